/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor: root, about ten kinds of request, no parser. It trusts nothing that
 * the front sends beyond its form; what may block runs in the sandbox's init.
 */
#ifndef SUPERVISOR_MONITOR_MONITOR_H
#define SUPERVISOR_MONITOR_MONITOR_H

#include <sys/socket.h>

#include "lib/policy.h"
#include "sandbox/checkpoint.h"
#include "sandbox/net.h"
#include "supervisor/monitor/box/box.h"
#include "wire/chan.h"

struct config {
	const char *state, *run, *cgroup, *criu;
	const char *http; /* where the HTTP server listens, or "none" */
	/* Where the edge listens, or "none"; edge_http is NULL when nobody has said: EDGE_HTTP, if
	 * that can be had. */
	const char *edge_http, *edge_https;
	const char *domain;   /* of the workers' hosts */
	const char *api_name; /* the host by which the edge leads to the HTTP server, or "none" */
	const char *certificates; /* a folder of root's with DOMAIN.pem files; NULL: none */
	unsigned http_rate;	  /* requests of a project, a second; 0: the front's default */
	bool network;
	bool detach;
	unsigned max_running; /* tasks at a time; 0: the front's default */
	int ready_fd;	      /* a byte is written when requests are served; -1 */
	int programs[R_N];    /* what the roles execute, as it was when this program started */
};

struct role {
	struct monitor *m;
	pid_t pid;
	struct chan chan; /* no socket: it is down */
	sd_event_source *child, *restart;
	uint64_t started_ns;
	unsigned failures; /* quick deaths in a row: a pause before the next start */
};

/* The edge's sockets; -1: none. */
struct edge_sockets {
	int http, https, table;
	int api; /* the front's, to which the edge connects */
};

#define NETNS_POOL 16
#define ID_TABLES 64
#define CHECKPOINTS_MAX 64

/* What a checkpoint, and then a template, is of. */
struct recipe {
	uint32_t owner; /* the project whose tasks use it; see recipe_dumped_by */
	uint8_t image[32], policy[32];
	uint8_t package[32]; /* zeros unless a module of the package is imported */
	int package_fd;	     /* of the package, borrowed; or -1 */
	char warm[IMAGE_WARM_MAX];
};

struct policy_entry {
	struct policy_entry *next;
	struct policy policy;
	uint32_t net_block; /* first address index; 0: not installed */
	uint32_t net_next;  /* of the block: where to look for a free one */
};

struct stamp_entry_cached {
	struct stamp_entry_cached *next;
	uint8_t key[32], stamp[32];
};

struct warm_past; /* warm/past.c */

struct monitor {
	const struct config *cfg;
	sd_event *event;
	int state_fd, images_fd, policies_fd, checkpoints_fd, packages_fd, data_fd, tasks_fd,
		logs_fd, front_fd;
	int run_fd, listen_fd, dev_fd;
	int http_fd, dashboard_fd; /* -1: none */
	int edge_fd;		   /* RUN/edge: the front's own; -1: none */
	int api_fd;		   /* RUN/edge/api.sock, listening; -1: none */
	char root_dir[256], dev_dir[256];
	struct cgroup_host cgroups;
	struct role roles[R_N];
	struct idtable boxes;
	struct policy_entry *policies;
	struct stamp_entry_cached *stamps;
	struct template *templates;
	struct warm_past *warm_pasts;
	sd_event_source *template_tick;
	int netns_pool[NETNS_POOL], n_netns;	   /* ready, each for one sandbox */
	sd_event_source *netns_src;		   /* fills the pool when nothing else is to do */
	uint8_t *net_used;			   /* of each address index: enum net_address */
	uint64_t net_sweep_began_ns, net_sweep_us; /* the last one; the pause before the next */
	sd_event_source *net_sweep_timer, *net_sweep_child, *net_tick;
	struct net_forward net_forward;
	/* The id maps by which packages are shown to their owners (idmap_mount): those of the last
	 * owners that had packages. */
	struct {
		bool set;
		uint32_t owner;
		int fd;
	} id_tables[ID_TABLES];
	char boot_id[40], kernel[256], cpu[65], criu_version[64];
	bool criu_works;
	char criu_problem[256];
	void *kdat;
	size_t kdat_len;
	uint64_t node_memory; /* bytes; a part of it is for warm-ups */
	bool stopping;
	struct edge *edge; /* edge.c; NULL: there is none */
};

/* monitor.c */
int monitor_main(const struct config *cfg, int listen_fd, int http_fd,
		 const struct edge_sockets *edge);
void monitor_to_front(struct monitor *m, const union proto_msg *msg);
void monitor_to_logger(struct monitor *m, const union proto_msg *msg, const int *fds, unsigned n);

/* listen.c */
struct listen_place {
	const char *name;    /* of the option, and of the file in RUN that tells the address */
	const char *address; /* ADDRESS:PORT, or "none" */
	unsigned port;	     /* that messages to users suggest */
	int backlog;
};
/* The socket that listens there, or -1 for "none"; RUN/NAME tells where. */
int listen_open(const struct config *cfg, const struct listen_place *at, int *ret, struct err *e);
void listen_forget(const struct config *cfg, const char *name); /* removes RUN/NAME */

/* edge.c: nginx as the edge */
#define EDGE_HTTP "127.0.0.1:8000"
/* Opens the sockets, and makes the folder RUN/edge. Where nginx or a part of it is not installed,
 * that is told, and there are no sockets. */
int edge_listen(const struct config *cfg, struct edge_sockets *ret, struct err *e);
void edge_forget(const struct config *cfg); /* removes the files that tell the addresses */
int edge_start(struct monitor *m, const struct edge_sockets *sockets, struct err *e);
void edge_stop(struct monitor *m);

/* roles.c: fork, confine, watch, start again */
int roles_open(struct config *cfg, struct err *e); /* role_exec.c: opens cfg->programs */
int roles_start(struct monitor *m, struct err *e);
void roles_stop(struct monitor *m);
int role_send(struct monitor *m, enum role_id id, const union proto_msg *msg, const int *fds,
	      unsigned n_fds);

/* request.c */
/* The descriptors of a request to start a task, which lends them; -1: it has none. */
struct start_fds {
	int job, package, data, input, serve;
};
int start_task(struct monitor *m, const struct mon_start *req, const struct start_fds *fds);
/* The same when a clone for the task has failed, and why. It is not tried with a clone again. */
void start_without_fork(struct monitor *m, const struct mon_start *req, const struct start_fds *fds,
			const char *why);

/* spawn/spawn.c */
/* package_fd: of the request, or -1; the recipe borrows it. */
void recipe_of_start(const struct mon_start *req, int package_fd, struct recipe *ret);
bool recipe_is(const struct recipe *a, const struct recipe *b);
/* The owner of the id range in which its warm-up runs. A checkpoint of an image alone is for all
 * projects, and is dumped in a range of nobody's. */
uint32_t recipe_dumped_by(const struct recipe *of);
int policy_get(struct monitor *m, const uint8_t id[32], struct policy_entry **ret, struct err *e);
void stamp_remember(struct monitor *m, const uint8_t key[32], const uint8_t stamp[32]);

/* netns.c: network namespaces ready before they are wanted, addresses */
enum net_address {
	NET_FREE = 0,
	NET_USED,
	NET_LEFT,      /* its sandbox has ended, and may have left connections behind */
	NET_FORGETTING /* these are being forgotten */
};
int netns_start(struct monitor *m, struct err *e);
int netns_take(struct monitor *m); /* the caller closes it; -1: none is ready */
/* The host's side of a policy with egress. */
int net_install(struct monitor *m, struct policy_entry *p, struct err *e);
/* At a stop: puts back what the host's network had before, unless a sandbox needs it. */
void net_leave(struct monitor *m);
/* Takes an address for a sandbox of this policy, until net_put_index. 0: the policy has no
 * network. */
int net_take_index(struct monitor *m, struct policy_entry *p, uint32_t *ret, struct err *e);
void net_put_index(struct box *b);

/* fork/template.c: which there are, and for how long */
/* A template of this recipe would have been of use: makes one, unless there is one, or it has
 * failed lately. */
void template_want(struct monitor *m, const struct recipe *of);
void template_list(struct monitor *m, const struct mon_templates *req);
void template_stop_all(struct monitor *m);
int template_start(struct monitor *m, struct err *e);
extern const struct box_kind box_keeper; /* fork/keeper.c */

/* fork/clone.c: clones, from the request to the task */
/* Starts the task in a clone, now or when one is made. False: no template is ready for it. */
bool clone_start(struct monitor *m, const struct mon_start *req, const struct start_fds *fds);
extern const struct box_kind box_clone;

/* warm/warm.c */
void warm_start(struct monitor *m); /* removes what an earlier monitor has left half made */
int start_warm(struct monitor *m, const struct mon_warm *req, int package_fd);
/* Makes a new checkpoint in the place of an old one. Nobody waits for it. limits: of a task that
 * has used the old one, or zeros. */
void start_warm_again(struct monitor *m, const struct recipe *of, const struct limits *limits);
extern const struct box_kind box_warmup;
void warm_stop_all(struct monitor *m);
/* Sends the front a MON_TEMPLATE for each warm-up that runs. */
void warm_list(struct monitor *m, uint32_t tag);
/* What came out of the checkpoint that b was restored from was not what had been dumped. */
void warm_remove_bad(struct box *b, const char *why);
/* That checkpoint is the one that was dumped. */
void warm_verified(const struct box *b);
/* Marks a checkpoint as used now: others are removed before it. */
void warm_used(struct monitor *m, const uint8_t key[32]);

/*
 * warm/past.c: which warm-ups have failed, and how long they are not tried again. list: whether the
 * list of imports is the image's own, or was named by tasks of a project. now_ns: CLOCK_MONOTONIC.
 */
/* Why the last warm-up has failed, or "". The text is good until the next failure. */
const char *warm_past_why(const struct monitor *m, const struct recipe *of, enum warm_for list);
bool warm_past_allows(const struct monitor *m, const struct recipe *of, enum warm_for list,
		      uint64_t now_ns);
/* The same with why not. -EAGAIN: it has failed; -EBUSY: nothing has, and its turn comes soon. */
int warm_past_check(const struct monitor *m, const struct recipe *of, enum warm_for list,
		    uint64_t now_ns, struct err *e);
void warm_past_begin(struct monitor *m, const struct recipe *of, uint64_t now_ns);
/* why: the reason of the failure; "": the checkpoint is made. */
void warm_past_end(struct monitor *m, const struct recipe *of, enum warm_for list, const char *why,
		   uint64_t now_ns);
/* A checkpoint of the recipe was not what had been dumped, and why; or one has been restored. */
void warm_past_bad(struct monitor *m, const struct recipe *of, const char *why, uint64_t now_ns);
void warm_past_good(struct monitor *m, const struct recipe *of);

/* probe.c: finds out what the host and criu can do; the answers are kept in RUN until a reboot */
int probe_host(struct monitor *m, struct err *e);

#endif
