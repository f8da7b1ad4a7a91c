// SPDX-License-Identifier: Apache-2.0
/* The table of the logs with which something is going on, and how a log begins and ends. */
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>

#include "lib/msg.h"
#include "supervisor/logger/internal.h"

/* A ring's records are so much smaller than its cap that letting a few of them go is enough. */
#define RING_RECORDS 16u
#define RING_RECORD_MIN 256u

/* Room for a burst. The kernel bounds the pipes of an unprivileged user together, so setting the
 * size may fail; the pipe then keeps its size. */
#define PIPE_SIZE (256 << 10)

struct log_task *task_find(struct logger *l, const char *id)
{
	return OWNER_OF(idtable_find(&l->logs, id), struct log_task, node);
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
	r = log_files_open(&t->files, l->logs_dirfd, id, LOG_EXISTING);
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

	stream_close(s); /* a pipe that comes a second time is the same pipe */
	s->fd = fd;
	(void)fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE);
	r = sd_event_add_io(s->task->logger->event, &s->io, fd, EPOLLIN, stream_readable, s);
	if (r < 0)
		stream_close(s);
	return r;
}

static uint32_t record_max(uint64_t cap)
{
	uint64_t n = cap / RING_RECORDS;

	return n < RING_RECORD_MIN	? RING_RECORD_MIN
	       : n < LOG_FRAME_DATA_MAX ? (uint32_t)n
					: LOG_FRAME_DATA_MAX;
}

int task_open(struct log_task *t, uint64_t cap, bool ring, int out_fd, int err_fd)
{
	int r = 0, k;

	t->cap = cap;
	t->ring = ring;
	/* A follower may have had a log opened that is not a ring yet. */
	if (ring && t->files.head_fd < 0)
		log_files_close(&t->files);
	if (!log_files_are_open(&t->files)) {
		r = log_files_open(&t->files, t->logger->logs_dirfd, t->id,
				   ring ? LOG_CREATE_RING : LOG_CREATE);
		/* Without files, stream.c drops what comes and tries again to open them. */
		t->files_tried_ns = util_monotonic_ns();
	}
	if (log_files_are_open(&t->files)) {
		k = log_files_unend(&t->files);
		r = r < 0 ? r : k;
		t->files.record_max = ring ? record_max(cap) : LOG_FRAME_DATA_MAX;
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

/* Frees a task that was taken out of the table. */
static void task_free(struct log_task *t)
{
	for (int s = 0; s < 2; s++)
		stream_close(&t->streams[s]);
	while (!LIST_EMPTY(&t->followers))
		follower_free(LIST_FIRST(&t->followers));
	log_files_close(&t->files);
	free(t);
}

void task_release(struct log_task *t)
{
	if (task_has_pipes(t) || !LIST_EMPTY(&t->followers) || t->end_due)
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
		task_free(OWNER_OF(node, struct log_task, node));
	}
	idtable_clear(&l->logs);
}
