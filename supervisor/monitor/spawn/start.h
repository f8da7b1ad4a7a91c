/* SPDX-License-Identifier: Apache-2.0 */
/* Between spawn/start.c, spawn/parts.c and spawn/surround.c: what one start needs. */
#ifndef SUPERVISOR_MONITOR_SPAWN_START_H
#define SUPERVISOR_MONITOR_SPAWN_START_H

#include "supervisor/monitor/monitor.h"

enum { MOUNT_ROOTFS, MOUNT_DEV, MOUNT_PACKAGE, MOUNT_HEAP, MOUNT_N };

/* What one start needs, released by start_clear. */
struct start {
	struct sandbox_spec spec;
	struct policy_entry *policy;
	struct image_head image;
	struct checkpoint_inputs inputs;
	struct recipe recipe;
	int rootfs, checkpoint, heap, mounts[MOUNT_N], report_w, out_w, err_w, started_w;
	char *resolv_conf;
};

void start_clear(struct start *s);
#define _cleanup_start_ __attribute__((cleanup(start_clear)))
#define START_INIT                                                                                 \
	{                                                                                          \
		.rootfs = -1, .checkpoint = -1, .heap = -1, .mounts = {-1, -1, -1, -1},            \
		.spec = {.keeper_sock = -1, .status_r = -1, .proc_mount = -1}, .report_w = -1,     \
		.out_w = -1, .err_w = -1, .started_w = -1                                          \
	}

/* spawn/start.c */
/* The sandbox of s->spec, and its record. package_fd: mounted, or -1. */
int start_spawn(struct monitor *m, struct start *s, struct box *b, int package_fd, struct err *e);
/* Whatever had been made is unmade: a refused task leaves nothing. */
void start_undo(struct box *b);

/* spawn/surround.c: also of what is cloned */
/* Pipes, with their read ends in b. Each is closed by its owner. */
int start_make_pipes(struct box *b, int *out_w, int *err_w, int *started_w, int *report_w,
		     struct err *e);
/* fd, unless it is -1, is a folder that the front owns. */
int start_check_package(struct monitor *m, int fd, struct err *e);
/* fd is a memory file that nobody can change any more, of JOB_BYTES_MAX at most: what root reads
 * is what the front has written, and reading it ends. */
bool start_is_job(int fd);
/* The package as a detached mount in which all files are those of this owner's payload. */
int start_detach_package(struct monitor *m, int package_fd, uint32_t owner, int *ret,
			 struct err *e);
/* RUN/tasks/ID, empty, with its room taken. */
int start_open_record(struct box *b, struct err *e);
/* The host's, for a policy with dns; NULL for others. The caller frees it. */
char *start_read_resolv_conf(const struct policy *policy);

/* netns.c */
/* Of a policy with a network: which address, until net_put_index. 0 for others. */
int net_take_index(struct monitor *m, struct policy_entry *p, uint32_t *ret, struct err *e);
void net_put_index(struct box *b);

/* spawn/parts.c */
/* Policy, image, and what a checkpoint of the two is valid for. */
int start_load_parts(struct monitor *m, struct start *s, const struct recipe *of, struct err *e);
/* The checkpoint that fits: its fds, and whether its digests are known to be right. */
int start_open_checkpoint(struct monitor *m, struct start *s, struct box *b, struct err *e);
void start_choose_mode(struct monitor *m, struct start *s, struct box *b, enum start_mode asked);

#endif
