/* SPDX-License-Identifier: Apache-2.0 */
/* What the start of one sandbox needs; for spawn/, and for request.c, warm/ and fork/, which have
 * sandboxes made. */
#ifndef SUPERVISOR_MONITOR_SPAWN_SPAWN_H
#define SUPERVISOR_MONITOR_SPAWN_SPAWN_H

#include "supervisor/monitor/monitor.h"

enum { MOUNT_ROOTFS, MOUNT_DEV, MOUNT_PACKAGE, MOUNT_HEAP, MOUNT_DATA, MOUNT_N };

/* What one start needs. start_clear releases it. */
struct start {
	struct sandbox_spec spec;
	struct policy_entry *policy;
	struct image_head image;
	struct checkpoint_inputs inputs;
	struct recipe recipe;
	int rootfs, checkpoint, heap, mounts[MOUNT_N], report_w, out_w, err_w, started_w;
	char *resolv_conf;
	bool no_deadline;
	int data_fd; /* of the request, borrowed; or -1 */
};

void start_clear(struct start *s);
#define _cleanup_start_ __attribute__((cleanup(start_clear)))
#define START_INIT                                                                                 \
	{                                                                                          \
		.rootfs = -1, .checkpoint = -1, .data_fd = -1, .heap = -1,                         \
		.mounts = {-1, -1, -1, -1, -1},                                                    \
		.spec = {.keeper_sock = -1,                                                        \
			 .status_r = -1,                                                           \
			 .proc_mount = -1,                                                         \
			 .input_fd = -1,                                                           \
			 .serve_fd = -1},                                                          \
		.report_w = -1, .out_w = -1, .err_w = -1, .started_w = -1                          \
	}

/* spawn/spawn.c */
/* Makes the sandbox of s->spec and its record, and watches it. package_fd: is mounted; or -1. */
int start_spawn(struct monitor *m, struct start *s, struct box *b, int package_fd, struct err *e);
/* Takes back all that was made, after a failure: nothing is left of a sandbox but its box. */
void start_undo(struct box *b);

/* What a clone is surrounded with too. */
/* Makes the pipes. The read ends are b's, the write ends are the caller's. */
int start_make_pipes(struct box *b, int *out_w, int *err_w, int *started_w, int *report_w,
		     struct err *e);
/* Fails unless fd is -1 or a folder that the front owns. */
int start_check_package(struct monitor *m, int fd, struct err *e);
/* fd is a memory file that nobody can change any more, of JOB_BYTES_MAX at most: what root reads
 * is what the front has written, and reading it ends. */
bool start_is_job(int fd);
/* fd is one end of a pair of Unix stream sockets: it leads to no file, and to no other network. */
bool start_is_input(int fd);
/* The same, or one that listens. What is neither could be bound or connected in the network that
 * it was made in. */
bool start_is_serve(int fd);
/* What of a request the policy has to allow: no limit is above the policy's, and it lasts without a
 * deadline only where that is said. */
int start_check_policy(const struct mon_start *req, const struct policy *policy, struct err *e);
/* Makes a detached mount of the package, in which all files belong to this owner's payload. */
int start_detach_package(struct monitor *m, int package_fd, uint32_t owner, int *ret,
			 struct err *e);
/* The host's /etc/resolv.conf for a policy with DNS, else NULL. The caller frees it. */
char *start_read_resolv_conf(const struct policy *policy);

/* What is on disk. */
/* Loads policy and image, and works out the key of their checkpoint. */
int start_load_recipe(struct monitor *m, struct start *s, const struct recipe *of, struct err *e);
/* Opens the checkpoint of that key, and finds out whether its digests are known to be right. */
int start_open_checkpoint(struct monitor *m, struct start *s, struct box *b, struct err *e);

/* What a start would have been faster with: request.c has it made for those that follow. */
struct start_wish {
	struct recipe of; /* its package_fd is the caller's */
	enum start_mode asked;
	bool restored;	    /* out of a checkpoint, which is of use then */
	bool template;	    /* from which it could have been forked */
	bool checkpoint;    /* from which it could have been restored, */
	struct err missing; /* and why there is none */
};
/* A new sandbox for a task. why: what kept it from a clone, or "". The box, which has ended if it
 * cannot be made; NULL: no memory. */
struct box *start_sandbox(struct monitor *m, const struct mon_start *req,
			  const struct start_fds *fds, const char *why, struct start_wish *wish);

#endif
