// SPDX-License-Identifier: Apache-2.0
/*
 * Pipe -> raw file, by splice: the bytes leave the pipe in the same uninterrupted
 * step in which they reach the file, so that kill -9 finds them in one of the two.
 *
 * What two pipes hold has no order between them that the kernel would know. But a task's
 * interpreter writes to stderr only when its stdout's pipe is empty (sandbox_job.py). So what is
 * in stderr's pipe is older than all of stdout's that was not there when it was looked at.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>

#include "lib/msg.h"
#include "supervisor/logger/internal.h"

/* For one task in one turn of the loop; then it is the others' turn. */
#define PIECES_PER_TURN 4
#define DROP_PIECE (1u << 20)
/* As many pieces as its pipe can hold, in which others may write all the time. */
#define STDERR_PIECES 8
/* How often a folder that could not be made is tried again. */
#define FILES_RETRY_NS 1000000000u
/* Single bytes, each with its record, must not make an index much larger than the log. */
#define RECORDS_MIN 4096u
#define CAP_PER_RECORD 8u

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

/* Without files (a full disk when the task began) everything is dropped and counted. */
static void files_retry(struct log_task *t)
{
	uint64_t now = util_monotonic_ns();

	if (now - t->files_tried_ns < FILES_RETRY_NS)
		return;
	t->files_tried_ns = now;
	if (log_files_open(&t->files, t->logger->logs_dirfd, t->id, true) < 0 || t->lost == 0)
		return;
	if (log_files_dropped(&t->files, LOG_DROP_DISK, t->lost) == 0)
		t->lost = 0;
}

static bool index_full(const struct log_task *t)
{
	return t->files.n_records >= RECORDS_MIN + t->cap / CAP_PER_RECORD;
}

static ssize_t move_piece(struct log_stream *s);

/* All of the copy goes: what stayed of it in the pipe, which is for all tasks, would one day fill
 * it. */
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
 * Before stdout is taken: as much of it as is there now may be, after all that stderr has. That is
 * counted by a copy of it, which is thrown away. 0 at stdout's end, -EAGAIN when it is empty.
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

/* Moves one piece. Bytes moved, 0 at the pipe's end, -EAGAIN when it is empty. */
static ssize_t move_piece(struct log_stream *s)
{
	struct log_task *t = s->task;
	struct log_files *f = &t->files;
	int nr = (int)(s - t->streams);
	uint64_t kept, room, max = LOG_FRAME_DATA_MAX;
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
	kept = log_files_kept(f);
	if (kept >= t->cap || index_full(t))
		return drop(s, LOG_DROP_LIMIT);
	if (log_files_reserve(f) < 0)
		return drop(s, LOG_DROP_DISK);
	room = t->cap - kept;
	if (room > max)
		room = max;
	offset = (loff_t)f->size[nr];
	n = splice(s->fd, NULL, f->raw_fd[nr], &offset, room, SPLICE_F_NONBLOCK);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -errno;
	if (n < 0) /* ENOSPC, EDQUOT, EIO: the task must not wait for the disk */
		return drop(s, LOG_DROP_DISK);
	/* Bytes that get no record now get one with the next piece or at the end. */
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
