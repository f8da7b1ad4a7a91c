/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor: root, about ten kinds of request, no parser. It trusts nothing that
 * the front sends beyond its form; what may block runs in the sandbox's init.
 */
#ifndef SUPERVISOR_MONITOR_H
#define SUPERVISOR_MONITOR_H

#include <systemd/sd-event.h>

#include "sandbox/cgroup.h"
#include "sandbox/checkpoint.h"
#include "sandbox/policy.h"
#include "sandbox/sandbox.h"
#include "supervisor/proto.h"

struct config {
	const char *state, *run, *cgroup, *criu;
	bool network;
	bool detach;
	int ready_fd; /* a byte is written when requests are served; -1 */
};

enum role_id { R_FRONT, R_LOGGER, R_N };
struct role {
	struct monitor *m;
	pid_t pid;
	int sock; /* ours; -1 while it is down */
	sd_event_source *io, *child, *restart;
	struct out_message *queue, **queue_end; /* what did not fit into the socket */
	uint64_t started_ns;
	unsigned failures; /* quick deaths in a row: a pause before the next start */
};

#define NETNS_POOL 16
#define TASK_BUCKETS 1024
#define WARM_OUTPUT_MAX 400

struct mtask {
	struct mtask *next;
	struct monitor *m;
	char id[TASK_ID_LEN + 1];
	struct run_record run;
	pid_t pid;  /* the init; 0 when there is none (any more) */
	bool child; /* ours to reap; false when adopted */
	int pidfd, record_fd, report_r, started_r, out_r, err_r;
	struct cgroup cgroup;
	sd_event_source *exit_src, *report_src, *started_src, *deadline_src, *remove_src;
	enum verdict killed_for; /* VERDICT_NONE: nobody killed it */
	bool want_warm, exited, failed;
	bool forgotten; /* only its cgroup is left to remove */
	char warning[PROTO_TEXT_MAX], error[PROTO_TEXT_MAX];
	union proto_msg exit_msg; /* repeated until MON_FORGET */
	/* restore */
	bool verifying;
	uint8_t key[32], stamp[32];
	uint32_t pids; /* the limit once criu is gone: the task's and its init */
	/* a checkpoint in the making; no task of the front's */
	bool warm;
	uint32_t warm_tag;
	uint64_t dump_us;
	char warm_dir[64], warm_output[WARM_OUTPUT_MAX + 1];
	sd_event_source *output_src;
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

struct monitor {
	const struct config *cfg;
	sd_event *event;
	int state_fd, images_fd, policies_fd, checkpoints_fd, packages_fd, tasks_fd, logs_fd,
		front_fd;
	int run_fd, listen_fd, dev_fd;
	char root_dir[256], dev_dir[256];
	struct cgroup_host cgroups;
	struct role roles[R_N];
	struct mtask *tasks[TASK_BUCKETS];
	struct policy_entry *policies;
	struct stamp_entry_cached *stamps;
	int netns_pool[NETNS_POOL], n_netns; /* ready, each for one sandbox */
	sd_event_source *netns_src;	     /* fills the pool when nothing else is to do */
	uint8_t *net_used;		     /* NET_INDEX_MAX + 1 flags */
	char boot_id[40], kernel[256], cpu[65], criu_version[64];
	bool criu_works;
	char criu_problem[256];
	void *kdat;
	size_t kdat_len;
	bool stopping;
};

/* monitor.c */
int monitor_main(const struct config *cfg, int listen_fd);
void monitor_to_front(struct monitor *m, const union proto_msg *msg);
void monitor_to_logger(struct monitor *m, const union proto_msg *msg, const int *fds, unsigned n);
struct mtask *monitor_find(struct monitor *m, const char *id);
struct mtask *mtask_new(struct monitor *m, const char *id);
void mtask_free(struct mtask *t); /* also from the table */

/* monitor_roles.c: fork, confine, watch, start again */
int roles_start(struct monitor *m, struct err *e);
void roles_stop(struct monitor *m);
int role_send(struct monitor *m, enum role_id id, const union proto_msg *msg, const int *fds,
	      unsigned n_fds);

/* monitor_start.c */
int start_task(struct monitor *m, const struct mon_start *req, int job_fd, int package_fd);
int start_warm(struct monitor *m, const struct mon_warm *req);
int policy_get(struct monitor *m, const uint8_t id[32], struct policy_entry **ret, struct err *e);
void stamp_remember(struct monitor *m, const uint8_t key[32], const uint8_t stamp[32]);

/* monitor_netns.c: network namespaces ready before they are wanted */
int netns_start(struct monitor *m, struct err *e);
int netns_take(struct monitor *m); /* -1: none is ready; the caller closes it */

/* monitor_task.c: what happens to one that runs */
int task_watch(struct mtask *t, struct err *e);
void task_kill(struct mtask *t, enum verdict why);
void task_term(struct mtask *t);
void task_fail(struct monitor *m, const char *id, const char *why);
void task_send_running(struct mtask *t);
void task_send_pipes(struct mtask *t);
void task_forget(struct mtask *t);
int task_save_record(struct mtask *t);

/* monitor_exit.c */
void task_ended(struct mtask *t);

/* monitor_adopt.c */
int adopt_all(struct monitor *m, struct err *e);

/* monitor_warm.c */
int warm_job(const char *warm, struct err *e); /* a memfd or -errno */
int warm_make_dir(struct mtask *t, int *ret_dir, int *ret_heap, struct err *e);
void warm_ended(struct mtask *t, bool ok);
void warm_stop_all(struct monitor *m);
void warm_remove_dir(struct monitor *m, const char *name);

/* monitor_probe.c: what the host and criu are; once a boot, kept in RUN */
int probe_host(struct monitor *m, struct err *e);

#endif
