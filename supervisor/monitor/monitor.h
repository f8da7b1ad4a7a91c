/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor: root, about ten kinds of request, no parser. It trusts nothing that
 * the front sends beyond its form; what may block runs in the sandbox's init.
 */
#ifndef SUPERVISOR_MONITOR_MONITOR_H
#define SUPERVISOR_MONITOR_MONITOR_H

#include <sys/socket.h>
#include <systemd/sd-event.h>

#include "lib/idtable.h"
#include "lib/policy.h"
#include "sandbox/cgroup.h"
#include "sandbox/checkpoint.h"
#include "sandbox/net.h"
#include "sandbox/sandbox.h"
#include "wire/chan.h"
#include "wire/proto.h"

enum role_id { R_FRONT, R_LOGGER, R_N };

struct config {
	const char *state, *run, *cgroup, *criu;
	const char *http;   /* where the HTTP server listens, or "none" */
	unsigned http_rate; /* requests of a project, a second; 0: the front's default */
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

#define NETNS_POOL 16
#define ID_TABLES 64
#define WARM_OUTPUT_MAX 400
#define CHECKPOINTS_MAX 64

struct box {
	struct idnode node;
	struct monitor *m;
	char id[TASK_ID_LEN + 1];
	struct run_record run;
	pid_t pid;  /* the init; 0 when there is none (any more) */
	bool child; /* ours to reap; false when adopted */
	int pidfd, record_fd, report_r, started_r, out_r, err_r;
	struct cgroup cgroup;
	sd_event_source *exit_src, *report_src, *started_src, *deadline_src, *remove_src;
	enum verdict killed_for;       /* VERDICT_NONE: nobody killed it */
	enum warm_for list, want_warm; /* the kind of its warm list; the same where one is wanted */
	bool exited, failed, not_now;  /* not_now: a warm-up that was refused for the time being */
	bool forgotten;		       /* only its cgroup is left to remove */
	char warning[PROTO_TEXT_MAX], error[PROTO_TEXT_MAX];
	union proto_msg exit_msg; /* repeated until MON_FORGET */
	/* restore */
	uint8_t key[32], stamp[32];
	struct recipe *recipe; /* of that checkpoint; owned, without a package_fd; may be NULL */
	/* a clone, or the keeper of them */
	struct template *template;
	struct box *clone_next;	 /* of those that are being made or wait */
	uint32_t clone_tag;	 /* until the keeper has answered; then 0 */
	int ctl;		 /* where it waits for its task; -1 */
	uint8_t package[32];	 /* zero: none */
	struct limits limits;	 /* that it was made with; a warm-up too */
	struct pending *pending; /* its task, until that has begun; owned */
	bool ahead;		 /* a clone that was made before its task: with the limits of one */
	bool prepared;		 /* it has said so */
	int payload_fd;		 /* its pidfd, by which its end is seen; -1 */
	sd_event_source *payload_src;
	sd_event_source *held_src[2]; /* its output, which nobody reads before */
	sd_event_source *held_timer;
	uint64_t held_until_us;	    /* CLOCK_MONOTONIC */
	sd_event_source *begin_src; /* how long its first bytecode is waited for */
	/* a checkpoint in the making; no task of the front's */
	struct mon_warm *warm_req; /* owned */
	uint64_t dump_us;
	int warm_package; /* its package, or -1 */
	char warm_dir[64], warm_output[WARM_OUTPUT_MAX + 1];
	sd_event_source *output_src;
};

static inline bool box_is_warm(const struct box *b)
{
	return b->run.kind == RUN_WARM;
}

/* What a checkpoint, and then a template, is of. */
struct recipe {
	uint32_t owner; /* whose tasks: each has its own templates; see recipe_dumped_by */
	uint8_t image[32], policy[32];
	uint8_t package[32]; /* zero but where a module of it is warmed */
	int package_fd;	     /* borrowed; -1 */
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
	int state_fd, images_fd, policies_fd, checkpoints_fd, packages_fd, tasks_fd, logs_fd,
		front_fd;
	int run_fd, listen_fd, dev_fd;
	int http_fd, dashboard_fd; /* -1: none */
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
	/* By which packages are shown to whom (idmap_mount), of the last owners that had any. */
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
};

/* monitor.c */
int monitor_main(const struct config *cfg, int listen_fd, int http_fd);
void monitor_to_front(struct monitor *m, const union proto_msg *msg);
void monitor_to_logger(struct monitor *m, const union proto_msg *msg, const int *fds, unsigned n);
struct box *box_find(struct monitor *m, const char *id);
struct box *box_next(const struct monitor *m, const struct box *b); /* as idtable_next */
/* b, which is declared here, may be freed by what is done with it. */
/* NOLINTBEGIN(bugprone-macro-parentheses): b is the name of a variable */
#define box_each(m, b)                                                                             \
	for (struct box *b = box_next(m, NULL), *next_##b; b && (next_##b = box_next(m, b), true); \
	     b = next_##b)
/* NOLINTEND(bugprone-macro-parentheses) */
struct box *box_new(struct monitor *m, const char *id);
void box_free(struct box *b); /* also from the table */
void box_rename(struct box *b, const char *id);

/* listen.c */
/* "127.0.0.1:8080", "[::1]:0": 0 or -EINVAL. */
int http_address_parse(const char *text, struct sockaddr_storage *ret, socklen_t *ret_len);
/* The socket that listens there, or -1 for "none"; RUN/http tells where. */
/* role_exec.c: opens cfg->programs. */
int roles_open(struct config *cfg, struct err *e);
int http_listen(const struct config *cfg, int *ret, struct err *e);
void http_forget(const struct config *cfg); /* removes RUN/http */

/* roles.c: fork, confine, watch, start again */
int roles_start(struct monitor *m, struct err *e);
void roles_stop(struct monitor *m);
int role_send(struct monitor *m, enum role_id id, const union proto_msg *msg, const int *fds,
	      unsigned n_fds);

/* spawn/start.c */
int start_task(struct monitor *m, const struct mon_start *req, int job_fd, int package_fd);
/* The same without a clone: when there was to be one and it failed, with why. */
void start_without_fork(struct monitor *m, const struct mon_start *req, int job_fd, int package_fd,
			const char *why);
/* A template's sandbox, from the checkpoint; b is ended by template_ended. */
int start_template(struct monitor *m, struct box *b, const struct recipe *of, int keeper_sock,
		   struct err *e);
/* package_fd: of the request, or -1; borrowed by the recipe. */
void recipe_of_start(const struct mon_start *req, int package_fd, struct recipe *ret);
bool recipe_is(const struct recipe *a, const struct recipe *b);
/* In whose range the warm-up runs: a checkpoint of the image alone is everybody's. */
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
int netns_take(struct monitor *m); /* -1: none is ready; the caller closes it */
/* The host's side of a policy with egress. */
int net_install(struct monitor *m, struct policy_entry *p, struct err *e);
/* At a stop: puts back what the host's network had before, unless a sandbox needs it. */
void net_leave(struct monitor *m);

/* fork/template.c: which there are, and for how long */
/* One would have helped: makes it, unless there is one or it has failed lately. */
void template_want(struct monitor *m, const struct recipe *of);
void template_ended(struct box *keeper);
void template_list(struct monitor *m, const struct mon_templates *req);
void template_stop_all(struct monitor *m);
int template_start(struct monitor *m, struct err *e);

/* fork/clone.c: clones, from the request to the task */
/* Starts the task in a clone, now or when it is made. False: there is no template. */
bool clone_start(struct monitor *m, const struct mon_start *req, int job_fd, int package_fd);
void clone_ended(struct box *b); /* one that never had a task */
void clone_left(struct box *b);	 /* a task has ended: its template has one less */
void clone_ready(struct box *b); /* it says that it waits, and may be gone after this */

/* fork/keeper.c: a keeper that hangs does not keep its tasks from their ends */
int keeper_watch(struct box *b);	  /* by its payload_fd */
void keeper_watch_adopted(struct box *b); /* by its record */

/* fork/clone_begin.c */
/* Its task is not to be started in another way any more: for any task, at any time. */
void clone_begun(struct box *b);
void clone_leave_output(struct box *b); /* before its pipes are closed */
/* A task's sandbox has ended. True: it was a clone that had not begun, the task is started
 * in another way, and b is not to be used. */
bool clone_again(struct box *b);

/* box/task.c: what happens to one that runs */
int box_watch(struct box *b, struct err *e);
int box_watch_deadline(struct box *b, struct err *e);
void box_set_deadline(struct box *b, uint32_t timeout_s); /* in its record; from now */
void box_signal(const struct box *b, int sig);		  /* to its init, where that is known */
void box_kill(struct box *b, enum verdict why);
void box_term(struct box *b);
/* Its first bytecode runs: since text's stamp, or, where that is none, since now. */
void box_started(struct box *b, const char *text);
void box_send_running(struct box *b);
void box_send_pipes(struct box *b);
void box_forget(struct box *b);
/* The end of one that never was. */
void box_fail_new(struct monitor *m, const char *id, enum verdict why);
int box_save_record(struct box *b);

/* box/exit.c */
void box_ended(struct box *b);
void box_reap(struct box *b);	       /* its process, and all that was open for it */
void box_remove_cgroup(struct box *b); /* when it is empty; frees b then if it is forgotten */

/* box/adopt.c */
int adopt_all(struct monitor *m, struct err *e);

/* warm/begin.c */
int start_warm(struct monitor *m, const struct mon_warm *req, int package_fd);
/* A new checkpoint in the place of an old one; nobody waits for it. limits: of a task that
 * used it, or zero. */
void start_warm_again(struct monitor *m, const struct recipe *of, const struct limits *limits);
void start_warmed(struct box *b);
void recipe_of_warm(const struct mon_warm *req, int package_fd, struct recipe *ret);

/* warm/warm.c */
int warm_job(const char *warm, struct err *e); /* a memfd or -errno */
int warm_make_dir(struct box *b, int *ret_dir, int *ret_heap, struct err *e);
void warm_ended(struct box *b, bool ok);
/* What the cgroup knows about the end of one that has made no checkpoint; before it goes. */
void warm_note_limit(struct box *b);
void warm_stop_all(struct monitor *m);
/* A MON_TEMPLATE for each that runs. */
void warm_list(struct monitor *m, uint32_t tag);
void warm_remove_dir(struct monitor *m, const char *name);
void warm_remove_bad(struct box *b, const char *why);
/* A checkpoint is of use: not the next one to go. */
void warm_used(struct monitor *m, const uint8_t key[32]);

/*
 * warm/past.c: warm-ups that have failed, and for how long none is tried again. list:
 * whether it is the image's own list, or one that the tasks of a project name. now_ns:
 * CLOCK_MONOTONIC.
 */
/* "" or what the last one died of; good until the next failure. */
const char *warm_past_why(const struct monitor *m, const struct recipe *of, enum warm_for list);
bool warm_past_allows(const struct monitor *m, const struct recipe *of, enum warm_for list,
		      uint64_t now_ns);
void warm_past_begin(struct monitor *m, const struct recipe *of, uint64_t now_ns);
/* why: what it died of; "": the checkpoint is made. */
void warm_past_end(struct monitor *m, const struct recipe *of, enum warm_for list, const char *why,
		   uint64_t now_ns);
/* A checkpoint that was made was not right, and is removed: why. Or it was: one is restored. */
void warm_past_bad(struct monitor *m, const struct recipe *of, const char *why, uint64_t now_ns);
void warm_past_good(struct monitor *m, const struct recipe *of);

/* probe.c: what the host and criu are; once a boot, kept in RUN */
int probe_host(struct monitor *m, struct err *e);

#endif
