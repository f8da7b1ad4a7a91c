/* SPDX-License-Identifier: Apache-2.0 */
/* What the logger's files share among themselves. One thread, one sd-event loop. */
#ifndef SUPERVISOR_LOGGER_INTERNAL_H
#define SUPERVISOR_LOGGER_INTERNAL_H

#include <systemd/sd-event.h>

#include "lib/idtable.h"
#include "supervisor/logger/files.h"

struct logger;
struct log_task;

/* One of a task's two pipes. */
struct log_stream {
	struct log_task *task;
	int fd;		     /* read end, owned; -1 when at its end or never given */
	sd_event_source *io; /* goes before fd does: others hold the same pipe open */
};

/*
 * Whoever reads a task's log. It owns no buffer: what it has not taken yet is in the
 * files, and a frame that went out in part is built again.
 */
struct log_follower {
	struct log_follower *prev, *next;
	struct log_task *task;
	int fd; /* owned */
	sd_event_source *io;
	uint64_t cursor;   /* next record to send */
	uint64_t until;	   /* snapshot: records before this one; else UINT64_MAX */
	uint64_t since_ns; /* skip records until one is this late; then 0 */
	uint32_t sent;	   /* bytes of the record's frame that are out already */
	uint8_t streams;
	bool blocked; /* waits for EPOLLOUT */
};

/* A log that something is going on with; the others are only on disk. */
struct log_task {
	struct idnode node; /* of logger.logs */
	struct logger *logger;
	char id[TASK_ID_LEN + 1];
	uint64_t cap;
	struct log_files files;
	struct log_stream streams[2];
	struct log_follower *followers;
	struct log_task *due_next;
	uint64_t lost;		 /* bytes dropped while there were no files */
	uint64_t files_tried_ns; /* CLOCK_MONOTONIC */
	bool ended;		 /* nothing more will come */
	bool end_due;		 /* LOG_END is to be sent: on the logger's list */
	bool delete_after;	 /* LOG_DELETE came while pipes were open */
};

#define LOGGER_BUCKETS 4096u /* a power of two */
struct logger {
	sd_event *event;
	int monitor_sock, front_sock; /* front: owned, -1 while there is none */
	int logs_dirfd, null_fd;
	int copy[2]; /* a pipe of stream.c's own, empty between two calls */
	sd_event_source *monitor_io, *front_io, *due_defer;
	unsigned n_followers, max_followers;
	struct log_task *due, **due_tail; /* LOG_END to send, oldest first */
	struct idtable logs;
};

/* task.c */
struct log_task *task_find(struct logger *l, const char *id);
/* Finds or makes it, with its files open if there are any. NULL: no memory. */
struct log_task *task_get(struct logger *l, const char *id);
int task_open(struct log_task *t, uint64_t cap, int out_fd, int err_fd); /* takes the fds */
bool task_has_pipes(const struct log_task *t);
/* No pipe is left: writes the END record, tells followers and front. */
void task_end(struct log_task *t);
/* The same for a log that has no pipes (any more); of one that has some the end comes with theirs.
 */
void task_end_without_pipes(struct log_task *t);
/* Frees a task that nothing needs any more. Callers do this last. */
void task_release(struct log_task *t);
void tasks_clear(struct logger *l);

/* stream.c: an sd-event handler for a pipe */
int stream_readable(sd_event_source *io, int fd, uint32_t events, void *userdata);
void stream_close(struct log_stream *s);

/* follow.c */
/* Takes fd; when it is no use to anyone, closes it and returns -errno. */
int follower_new(struct log_task *t, int fd, const struct log_follow *req);
void follower_free(struct log_follower *f);
/* There is something new: send it, right now, to all that can take it. */
void followers_wake(struct log_task *t);

/* link.c: the sockets to monitor and front */
int links_start(struct logger *l);
void links_stop(struct logger *l);
/* LOG_END for this task is to go to the front, if there is one. */
void link_end_due(struct log_task *t);

#endif
