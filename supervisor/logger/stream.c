// SPDX-License-Identifier: Apache-2.0
/*
 * Moves bytes from a pipe into a raw file by splice: they leave the pipe in the same uninterrupted
 * step in which they reach the file, so that kill -9 finds them in one of the two.
 *
 * The kernel keeps no order between the bytes of two pipes. But a task's interpreter writes to
 * stderr only when its stdout's pipe is empty (sandbox_job.py). So what is in stderr's pipe is
 * older than everything in stdout's pipe that was not there when stdout was looked at.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>

#include "lib/msg.h"
#include "supervisor/logger/internal.h"

/* The most pieces of one task in one turn of the loop, so that other tasks get their turn. */
#define PIECES_PER_TURN 4
#define DROP_PIECE (1u << 20)
/* As many pieces as the pipe of stderr can hold; other processes may write to it all the time. */
#define STDERR_PIECES 8
/* How long a folder that could not be made is left alone before it is tried again. */
#define FILES_RETRY_NS (1 * SEC)
/* The index is bounded too: single bytes, each with a record of its own, must not make it much
 * larger than the log. */
#define RECORDS_MIN 4096u
#define CAP_PER_RECORD 8u
/* A ring that is full lets this part of itself go at a time. */
#define RING_PART 8u

void stream_close(struct log_stream *s)
{
	s->io = sd_event_source_disable_unref(s->io);
	util_close_fd(&s->fd);
}

static ssize_t drop(struct log_stream *s, enum log_drop reason)
{
	struct log_task *t = s->task;
	ssize_t n;

	n = splice(s->fd, NULL, t->logger->null_fd, NULL, DROP_PIECE, SPLICE_F_NONBLOCK);
	if (n < 0)
		return -errno;
	if (n > 0 && log_files_are_open(&t->files))
		(void)log_files_dropped(&t->files, reason, (uint64_t)n);
	else if (n > 0)
		t->lost += (uint64_t)n;
	return n;
}

/* Tries again to open files. While there are none (the disk was full when the task began)
 * everything is dropped and counted. */
static void files_retry(struct log_task *t)
{
	uint64_t now = util_monotonic_ns();

	if (now - t->files_tried_ns < FILES_RETRY_NS)
		return;
	t->files_tried_ns = now;
	if (log_files_open(&t->files, t->logger->logs_dirfd, t->id,
			   t->ring ? LOG_CREATE_RING : LOG_CREATE) < 0 ||
	    t->lost == 0)
		return;
	if (log_files_dropped(&t->files, LOG_DROP_DISK, t->lost) == 0)
		t->lost = 0;
}

static uint64_t records_max(const struct log_task *t)
{
	return RECORDS_MIN + t->cap / CAP_PER_RECORD;
}

static bool is_full(const struct log_task *t)
{
	return log_files_kept(&t->files) >= t->cap ||
	       t->files.n_records - t->files.head.first >= records_max(t);
}

static void let_go(struct log_task *t)
{
	const uint64_t bytes = t->cap - t->cap / RING_PART, max = records_max(t);
	int r = log_files_let_go(&t->files, bytes, max - max / RING_PART);

	if (r < 0) {
		msg_warn("log %s: its oldest bytes cannot be let go, so its newest are dropped: %s",
			 t->id, strerror(-r));
		t->ring = false;
	}
	followers_left_behind(t);
}

static ssize_t move_piece(struct log_stream *s);

/* Throws away n bytes of the pipe copy, which serves all tasks: bytes that stayed in it would fill
 * it up one day. */
static void drop_copy(const struct logger *l, size_t n)
{
	char scrap[4096];

	while (n > 0) {
		ssize_t m = splice(l->copy[0], NULL, l->null_fd, NULL, n, SPLICE_F_NONBLOCK);

		if (m <= 0)
			m = read(l->copy[0], scrap, n < sizeof(scrap) ? n : sizeof(scrap));
		if (m <= 0 && errno != EINTR)
			return;
		n -= m > 0 ? (size_t)m : 0;
	}
}

/*
 * Called before stdout is moved: moves everything that is in stderr's pipe, which is older. Returns
 * how many bytes of stdout may be moved after that: those that were there when this began. They are
 * counted by tee into the pipe copy. 0: stdout has ended; -EAGAIN: its pipe is empty.
 */
static ssize_t take_stderr_first(struct log_stream *s)
{
	struct log_task *t = s->task;
	struct logger *l = t->logger;
	ssize_t n = tee(s->fd, l->copy[1], LOG_FRAME_DATA_MAX, SPLICE_F_NONBLOCK);

	if (n <= 0)
		return n < 0 ? -errno : 0;
	drop_copy(l, (size_t)n);
	for (int i = 0; i < STDERR_PIECES && move_piece(&t->streams[1]) > 0; i++)
		;
	return n;
}

/* Moves one piece. Returns the bytes moved; 0 at the pipe's end; -EAGAIN when the pipe is empty. */
static ssize_t move_piece(struct log_stream *s)
{
	struct log_task *t = s->task;
	struct log_files *f = &t->files;
	int nr = (int)(s - t->streams);
	uint64_t room, max = LOG_FRAME_DATA_MAX;
	loff_t offset;
	ssize_t n;

	if (nr == 0 && t->streams[1].fd >= 0) {
		n = take_stderr_first(s);
		if (n <= 0)
			return n;
		max = (uint64_t)n;
	}
	if (!log_files_are_open(f))
		files_retry(t);
	if (!log_files_are_open(f))
		return drop(s, LOG_DROP_DISK);
	if (t->ring && is_full(t))
		let_go(t);
	if (is_full(t))
		return drop(s, LOG_DROP_LIMIT);
	if (log_files_reserve(f) < 0)
		return drop(s, LOG_DROP_DISK);
	room = t->cap - log_files_kept(f);
	if (max > f->record_max)
		max = f->record_max;
	if (room > max)
		room = max;
	offset = (loff_t)f->size[nr];
	n = splice(s->fd, NULL, f->raw_fd[nr], &offset, room, SPLICE_F_NONBLOCK);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -errno;
	if (n < 0) /* ENOSPC, EDQUOT, EIO: the task must not wait for the disk */
		return drop(s, LOG_DROP_DISK);
	/* Bytes for which adding a record fails now get one with the next piece or at the end. */
	if (n > 0)
		(void)log_files_added(f, nr, (uint64_t)n);
	return n;
}

int stream_readable(sd_event_source *io, int fd, uint32_t events, void *userdata)
{
	struct log_stream *s = userdata;
	struct log_task *t = s->task;
	ssize_t n = 1;

	(void)io;
	(void)fd;
	(void)events;
	for (int i = 0; i < PIECES_PER_TURN && n > 0; i++)
		n = move_piece(s);
	if (n == 0 || (n < 0 && n != -EAGAIN && n != -EINTR)) {
		if (n < 0)
			msg_err("task %s: %s: %s", t->id, s == t->streams ? "stdout" : "stderr",
				strerror((int)-n));
		stream_close(s);
	}
	if (task_has_pipes(t))
		followers_wake(t);
	else
		task_end(t);
	task_release(t);
	return 0;
}
