/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A template: a restored interpreter, held stopped by the init of its sandbox, its
 * keeper, which clones it into new sandboxes as the monitor asks. A clone's sandbox is
 * like any other, with an init of its own as PID 1; it is made first, by a clone3 with
 * all seven CLONE_NEW* under the template's user, and the clone then joins it:
 *
 *	monitor
 *	└─ keeper             root, PID 1 of the template's pid namespace
 *	   ├─ template        stopped; its code never runs again
 *	   ├─ init            PID 1 of a task's pid namespace, which is below the keeper's;
 *	   │                  has a uid of its own, gives up all but CAP_KILL
 *	   └─ task            the clone: pid 2 there; the kernel tells the keeper its end
 *
 * So a keeper lives as long as the last task that came out of it; its death is theirs.
 */
#ifndef SANDBOX_FORK_KEEPER_H
#define SANDBOX_FORK_KEEPER_H

#include "sandbox/checkpoint.h"
#include "sandbox/fork/inject_code.h"
#include "sandbox/net.h"
#include "sandbox/sandbox.h"

#define RESOLV_CONF_MAX 4096

/* monitor -> keeper: make a sandbox with a clone in it. SOCK_SEQPACKET; the fds are enum
 * park_fd, then the package's detached mount if there is one, then the folders of the
 * cgroup that the mask names. */
enum park_fd {
	PARK_FD_OUT_R,
	PARK_FD_OUT_W,
	PARK_FD_ERR_R,
	PARK_FD_ERR_W,
	PARK_FD_STARTED_R,
	PARK_FD_STARTED_W,
	PARK_FD_REPORT,
	PARK_FD_CTL, /* the init's end of the socket that its task comes by */
	PARK_FD_N
};
#define PARK_UNIFIED (1u << CGROUP_N)
#define PARK_FDS_MAX (PARK_FD_N + 1 + CGROUP_N + 1)
struct template_park {
	uint32_t tag;
	uint32_t net_index;   /* for POLICY_NET_EGRESS */
	uint32_t cgroup_mask; /* 1 << enum cgroup_controller, PARK_UNIFIED */
	uint32_t has_package;
	uint32_t ahead; /* 1: it has time to prepare itself for its task */
	char cgroup[64];
	struct limits limits;
	char resolv_conf[RESOLV_CONF_MAX]; /* "": none */
};

/* keeper -> monitor: one for each template_park, and first of all one with tag 0 when the
 * template is held. With success come two fds (not with tag 0): pidfds of
 * the init and of the clone. */
struct template_answer {
	uint32_t tag;
	int32_t status; /* 0 or -errno */
	char text[ERR_MSG_MAX];
};

/* monitor -> init of a parked clone: its task. */
#define SHELL_TASK_MAGIC 0x314b5453u /* "STK1" */
enum shell_fd {
	SHELL_FD_JOB,
	SHELL_FD_RECORD,
	SHELL_FD_SERVE, /* with `serves`: the socket of a run that serves */
	SHELL_FD_N
};
struct shell_task {
	uint32_t magic;
	char id[TASK_ID_LEN + 1];
	uint8_t serves; /* 0, 1 */
	uint8_t pad[2];
};

/*
 * keeper.c: what a keeper takes along of the host's namespaces, opened before it leaves
 * them: the network, to which its clones' interfaces go (none where the policy has none),
 * and the cgroup namespace: a cgroup v2 mounted with nsdelegate, as systemd's is, lets
 * nobody place a process in a group outside of his own (cgroups(7), ENOENT).
 */
struct template_host {
	struct net_host net;
	int cgroup_ns; /* -1 */
};
#define TEMPLATE_HOST_INIT ((struct template_host){.net = {.netns = -1}, .cgroup_ns = -1})

int template_open_host(const struct sandbox_spec *spec, struct template_host *ret, struct err *e);

/* The keeper's life, once its template is restored and held. Ends when the monitor has hung up (or
 * asked by hanging up) and the last clone has ended. */
struct inject_template;
void template_keep(const struct sandbox_spec *spec, struct template_host *host,
		   struct inject_template *it, pid_t template) __attribute__((noreturn));

/* parked_init.c: the sandbox around a clone. */
struct shell {
	pid_t init; /* in the keeper's pid namespace; 0 when there is none */
	int ns[CLONE_NS_N];
	int go_w;
	int status; /* to its init and back; in the end the payload's wait status */
};
#define SHELL_INIT                                                                                 \
	(struct shell)                                                                             \
	{                                                                                          \
		.ns = {-1, -1, -1, -1, -1, -1, -1}, .go_w = -1, .status = -1                       \
	}
/* spec: of the clone. go_r: what its payload will wait on; a socket, by which the payload can be
 * sent a descriptor, and cannot send any. On failure as after shell_kill(). */
int shell_make(const struct sandbox_spec *spec, struct net_host *host, int ctl, struct shell *ret,
	       int *ret_go_r, struct err *e);
/* Without its processes, which live on. */
void shell_close(struct shell *s);
/* The init dies, and all in its pid namespace with it. It is for the caller to reap, with all
 * other children, among which is what it waits for: a payload, even one that is unknown. */
void shell_kill(struct shell *s);

#endif
