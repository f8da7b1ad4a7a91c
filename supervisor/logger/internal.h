/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the logger's files share. The logger has one thread and one sd-event loop; every function
 * here is called from that loop, and none of them blocks.
 *
 * Ownership: struct logger owns its table of logs, and each struct log_task in it owns its files,
 * its two pipes and its followers. A log_task exists as long as something is going on with its log
 * (a pipe, a follower, an END to be told of); task_release() frees it when nothing is. So whoever
 * has called a function that may close a pipe or drop a follower calls task_release() last, and
 * does not touch the task after that.
 *
 * What calls back: the event handlers in stream.c, follow.c and link.c. They call into task.c, and
 * task.c calls followers_wake() and link_end_due(), which free followers but never a task.
 */
#ifndef SUPERVISOR_LOGGER_INTERNAL_H
#define SUPERVISOR_LOGGER_INTERNAL_H

#include <sys/queue.h>
#include <systemd/sd-event.h>

#include "lib/idtable.h"
#include "supervisor/logger/files.h"

struct logger;
struct log_task;

/* One of a task's two pipes, stdout or stderr. */
struct log_stream {
	struct log_task *task;
	/* the read end, which is ours to close; -1: at its end, or never given */
	int fd;
	/* freed before fd is closed: other processes hold the same pipe open, so that closing would
	 * not take it out of epoll */
	sd_event_source *io;
};

/*
 * A client that reads a task's log. A follower has no buffer: what it has not taken yet is in the
 * files, and a frame of which it has taken a part is built again.
 */
struct log_follower {
	LIST_ENTRY(log_follower) entry;
	struct log_task *task;
	int fd; /* ours to close */
	sd_event_source *io;
	uint64_t cursor;   /* number of the next record to send */
	uint64_t until;	   /* of a snapshot: records before this one are sent; else UINT64_MAX */
	uint64_t since_ns; /* records before this time are skipped; 0 once a record was not */
	uint64_t told;	   /* bytes that a ring has let go, as far as the follower knows */
	uint32_t sent;	   /* how many bytes of the record's frame the follower has taken already */
	uint8_t streams;
	bool blocked; /* the socket is full: EPOLLOUT is awaited */
};

/* A log with which something is going on; all others are only on disk. */
struct log_task {
	struct idnode node; /* in logger.logs */
	struct logger *logger;
	char id[TASK_ID_LEN + 1];
	bool ring; /* beyond the cap the oldest bytes go */
	uint64_t cap;
	struct log_files files;
	struct log_stream streams[2];
	LIST_HEAD(, log_follower) followers;
	struct log_task *due_next;
	uint64_t lost;		 /* bytes that were dropped while no files were open */
	uint64_t files_tried_ns; /* CLOCK_MONOTONIC: when opening the files was tried last */
	bool ended;		 /* no more data will come */
	bool end_due;		 /* LOG_END is to be sent: the task is on the logger's list */
	/* LOG_DELETE came while pipes were open: deleted when they have ended */
	bool delete_after;
};

#define LOGGER_BUCKETS 4096u /* a power of two */
struct logger {
	sd_event *event;
	int monitor_sock, front_sock; /* front_sock: ours to close, -1 while there is no front */
	int logs_dirfd, null_fd;
	int copy[2]; /* a pipe that only stream.c uses; it is empty between two calls */
	sd_event_source *monitor_io, *front_io, *due_defer;
	unsigned n_followers, max_followers;
	struct log_task *due, **due_tail; /* logs of which LOG_END is to be sent, oldest first */
	struct idtable logs;
};

/* task.c */
struct log_task *task_find(struct logger *l, const char *id);
/* Finds the log or makes an entry for it, with its files open when it has files. NULL: out of
 * memory. */
struct log_task *task_get(struct logger *l, const char *id);
/* takes both descriptors, also when it fails */
int task_open(struct log_task *t, uint64_t cap, bool ring, int out_fd, int err_fd);
bool task_has_pipes(const struct log_task *t);
/* For a log whose last pipe has ended: writes the END record, wakes followers, and has the front
 * told. */
void task_end(struct log_task *t);
/* As task_end, for a log that never had pipes or has none left. Does nothing for a log with pipes:
 * its end comes when they end. */
void task_end_without_pipes(struct log_task *t);
/* Frees the task when nothing needs it. The caller must not use it afterwards. */
void task_release(struct log_task *t);
void tasks_clear(struct logger *l);

/* stream.c. stream_readable is the sd-event handler of a pipe. */
int stream_readable(sd_event_source *io, int fd, uint32_t events, void *userdata);
void stream_close(struct log_stream *s);

/* follow.c */
/* Makes a follower of fd, which it takes in any case: on an error it closes fd and returns
 * -errno. */
int follower_new(struct log_task *t, int fd, const struct log_follow *req);
void follower_free(struct log_follower *f);
/* A ring has let records go: a follower that has taken a part of one of their frames is dropped,
 * and comes again; nobody could give it the rest. */
void followers_left_behind(struct log_task *t);
/* Sends what is new, at once, to every follower that can take it. */
void followers_wake(struct log_task *t);

/* link.c: the sockets to the monitor and the front. */
int links_start(struct logger *l);
void links_stop(struct logger *l);
/* Has LOG_END sent to the front, if there is one; not before this turn of the loop ends. */
void link_end_due(struct log_task *t);

#endif
