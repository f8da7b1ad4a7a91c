// SPDX-License-Identifier: Apache-2.0
/* The table of logs that something is going on with, and how one begins and ends. */
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>

#include "lib/msg.h"
#include "supervisor/logger/internal.h"

/* Room for a burst; an unprivileged user's pipes are bounded together, so it may fail. */
#define PIPE_SIZE (256 << 10)

struct log_task *task_find(struct logger *l, const char *id)
{
	return ID_OWNER(idtable_find(&l->logs, id), struct log_task, node);
}

static struct log_task *task_new(struct logger *l, const char *id)
{
	struct log_task *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->logger = l;
	memcpy(t->id, id, sizeof(t->id));
	log_files_init(&t->files);
	for (int s = 0; s < 2; s++)
		t->streams[s] = (struct log_stream){.task = t, .fd = -1};
	idtable_add(&l->logs, &t->node, t->id);
	return t;
}

struct log_task *task_get(struct logger *l, const char *id)
{
	struct log_task *t = task_find(l, id);
	int r;

	if (t)
		return t;
	t = task_new(l, id);
	if (!t)
		return NULL;
	r = log_files_open(&t->files, l->logs_dirfd, id, false);
	if (r < 0 && r != -ENOENT)
		msg_err("log %s: %s", id, strerror(-r));
	t->ended = r == 0 && t->files.tally.ended;
	return t;
}

bool task_has_pipes(const struct log_task *t)
{
	return t->streams[0].fd >= 0 || t->streams[1].fd >= 0;
}

static int stream_start(struct log_stream *s, int fd)
{
	int r;

	stream_close(s); /* given twice: it is the same pipe */
	s->fd = fd;
	(void)fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE);
	r = sd_event_add_io(s->task->logger->event, &s->io, fd, EPOLLIN, stream_readable, s);
	if (r < 0)
		stream_close(s);
	return r;
}

int task_open(struct log_task *t, uint64_t cap, int out_fd, int err_fd)
{
	int r = 0, k;

	t->cap = cap;
	if (!log_files_are_open(&t->files)) {
		r = log_files_open(&t->files, t->logger->logs_dirfd, t->id, true);
		/* Without files the stream handlers drop, and try again. */
		t->files_tried_ns = util_monotonic_ns();
	}
	if (log_files_are_open(&t->files)) {
		k = log_files_unend(&t->files);
		r = r < 0 ? r : k;
	}
	t->ended = false;
	k = stream_start(&t->streams[0], out_fd);
	r = r < 0 ? r : k;
	k = stream_start(&t->streams[1], err_fd);
	return r < 0 ? r : k;
}

void task_end(struct log_task *t)
{
	if (!t->ended && log_files_are_open(&t->files)) {
		int r = log_files_end(&t->files);

		if (r < 0)
			msg_err("log %s: its end could not be written: %s", t->id, strerror(-r));
	}
	t->ended = true;
	followers_wake(t);
	link_end_due(t);
}

void task_end_without_pipes(struct log_task *t)
{
	if (!task_has_pipes(t))
		task_end(t);
}

/* It is in no table any more. */
static void task_free(struct log_task *t)
{
	for (int s = 0; s < 2; s++)
		stream_close(&t->streams[s]);
	while (t->followers)
		follower_free(t->followers);
	log_files_close(&t->files);
	free(t);
}

void task_release(struct log_task *t)
{
	if (task_has_pipes(t) || t->followers || t->end_due)
		return;
	if (t->delete_after)
		(void)log_files_delete(t->logger->logs_dirfd, t->id);
	idtable_remove(&t->logger->logs, &t->node);
	task_free(t);
}

void tasks_clear(struct logger *l)
{
	struct idnode *node;

	while ((node = idtable_next(&l->logs, NULL))) {
		idtable_remove(&l->logs, node);
		task_free(ID_OWNER(node, struct log_task, node));
	}
	idtable_clear(&l->logs);
}
