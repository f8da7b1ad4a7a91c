// SPDX-License-Identifier: Apache-2.0
/* Sends what is in the files to the followers' sockets, as many frames in one write as the socket
 * takes. */
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "supervisor/logger/internal.h"

/* The most index records that are looked at in one turn: skipping a long log must not hold up the
 * loop. */
#define SCAN_MAX 4096u

/* The frames that go out in one write. One batch serves all followers, because nothing stays in it
 * between two writes. */
struct batch {
	size_t len;
	uint64_t next; /* the follower's cursor once all of the batch has been sent */
	bool final;    /* its last frame is END */
	bool more;     /* there are records behind those of the batch */
	uint8_t buf[256 << 10];
};

static bool batch_add(struct batch *b, const struct log_frame *head, int raw_fd, uint64_t offset)
{
	uint8_t *data = b->buf + b->len + sizeof(*head);

	memcpy(b->buf + b->len, head, sizeof(*head));
	if (raw_fd >= 0 && util_pread_all(raw_fd, data, head->len, offset) < 0)
		return false;
	b->len += sizeof(*head) + head->len;
	return true;
}

static void batch_add_dropped(struct batch *b, struct log_frame *head, uint64_t kept)
{
	head->len = sizeof(kept);
	(void)batch_add(b, head, -1, 0);
	memcpy(b->buf + b->len - sizeof(kept), &kept, sizeof(kept));
}

/* Adds the frame of one record. False: there is no room for it. */
static bool batch_add_record(struct batch *b, struct log_files *f, uint64_t nr,
			     const struct log_record *r)
{
	struct log_frame head = {.type = r->type, .time_ns = r->time_ns, .cursor = nr};

	if (b->len + sizeof(head) + LOG_FRAME_DATA_MAX > sizeof(b->buf))
		return false;
	switch (r->type) {
	case LOG_FRAME_OUT:
	case LOG_FRAME_ERR:
		head.len = r->len;
		/* When somebody has removed the raw bytes, the frame is left out, which leaves a
		 * gap in the cursors. */
		(void)batch_add(b, &head, f->raw_fd[r->type - LOG_FRAME_OUT], r->offset);
		break;
	case LOG_FRAME_DROPPED:
		head.reason = r->reason;
		head.aux = r->aux;
		batch_add_dropped(b, &head, r->offset);
		break;
	default:
		head.type = LOG_FRAME_END;
		head.aux = 1;
		(void)batch_add(b, &head, -1, 0);
		b->final = true;
	}
	/* From here on a follower may have seen the record, so it must not grow. */
	if (f->sent <= nr)
		f->sent = nr + 1;
	return true;
}

static bool wanted(struct log_follower *f, const struct log_record *r)
{
	if (r->type == LOG_FRAME_END)
		return true;
	if (f->since_ns && r->time_ns < f->since_ns)
		return false;
	f->since_ns = 0; /* when the clock jumps back later, that hides nothing */
	if (r->type == LOG_FRAME_OUT)
		return f->streams & LOG_STREAM_OUT;
	if (r->type == LOG_FRAME_ERR)
		return f->streams & LOG_STREAM_ERR;
	return true;
}

/* Adds the frames that have no record: bytes lost by a log without files, and the end of a
 * snapshot. */
static void batch_add_end(struct batch *b, const struct log_follower *f)
{
	const struct log_task *t = f->task;
	struct log_frame head = {.type = LOG_FRAME_DROPPED, .cursor = b->next};

	if (t->lost > 0 && b->next == 0) {
		head.reason = LOG_DROP_DISK;
		head.aux = t->lost;
		batch_add_dropped(b, &head, 0);
		head.cursor = ++b->next;
	}
	head.type = LOG_FRAME_END;
	head.reason = 0;
	head.len = 0;
	head.aux = t->ended ? 1 : 0;
	(void)batch_add(b, &head, -1, 0);
	b->final = true;
}

/* The follower is to go on before the first record that a ring keeps: adds the frame that tells what
 * has gone. */
static void batch_skip_gone(struct batch *b, struct log_follower *f)
{
	const struct log_task *t = f->task;
	struct log_frame head = {.type = LOG_FRAME_DROPPED,
				 .time_ns = t->files.gone_ns,
				 .reason = LOG_DROP_RING,
				 .cursor = t->files.head.first - 1,
				 .aux = log_files_gone(&t->files) - f->told};

	b->next = t->files.head.first;
	/* Nobody misses what is before the time that was asked for. */
	if (!f->since_ns && head.aux > 0)
		batch_add_dropped(b, &head, t->cap ? t->cap : log_files_kept(&t->files));
}

static void batch_fill(struct batch *b, struct log_follower *f)
{
	struct log_files *files = &f->task->files;
	uint64_t visible = log_files_visible(files), end = visible < f->until ? visible : f->until;
	struct log_record piece[128];
	unsigned scanned = 0;

	b->len = 0;
	b->next = f->cursor;
	b->final = b->more = false;
	if (b->next < files->head.first)
		batch_skip_gone(b, f);
	while (b->next < end && scanned < SCAN_MAX) {
		uint64_t n = end - b->next < ARRAY_SIZE(piece) ? end - b->next : ARRAY_SIZE(piece);
		ssize_t got = pread(files->index_fd, piece, n * sizeof(piece[0]),
				    (off_t)(b->next * sizeof(piece[0])));

		n = got < 0 ? 0 : (uint64_t)got / sizeof(piece[0]);
		/* an END that could not be written, or an index that somebody has cut */
		if (n == 0)
			break;
		for (uint64_t i = 0; i < n && !b->final; i++) {
			if (wanted(f, &piece[i]) &&
			    !batch_add_record(b, files, b->next, &piece[i])) {
				b->more = true;
				return;
			}
			b->next++;
		}
		scanned += (unsigned)n;
	}
	if (b->final)
		return;
	b->more = b->next < end && scanned >= SCAN_MAX;
	if (!b->more && (f->task->ended || b->next >= f->until))
		batch_add_end(b, f);
}

/* n bytes of the batch have been sent: moves the follower to the first frame that was not sent
 * whole. */
static void follower_advance(struct log_follower *f, const struct batch *b, size_t n)
{
	size_t rest = f->sent + n, pos = 0;

	while (pos < b->len) {
		struct log_frame head;
		size_t size;

		memcpy(&head, b->buf + pos, sizeof(head));
		size = sizeof(head) + head.len;
		if (rest < size)
			break;
		rest -= size;
		pos += size;
		f->cursor = head.cursor + 1;
		if (head.type == LOG_FRAME_DROPPED && head.reason == LOG_DROP_RING)
			f->told += head.aux;
	}
	f->sent = (uint32_t)rest;
	if (pos == b->len)
		f->cursor = b->next;
}

static void follower_block(struct log_follower *f, bool blocked)
{
	if (f->blocked == blocked)
		return;
	f->blocked = blocked;
	(void)sd_event_source_set_io_events(f->io, EPOLLRDHUP | (blocked ? EPOLLOUT : 0u));
}

/* Sends one batch. False: the follower has all that it is to get, or has gone. */
static bool follower_pump(struct log_follower *f)
{
	static struct batch b; /* one thread */
	size_t len;
	ssize_t n;

	batch_fill(&b, f);
	if (b.len == 0) {
		f->cursor = b.next; /* past records that the follower does not want */
		follower_block(f, b.more);
		return true;
	}
	len = b.len - f->sent;
	do
		n = send(f->fd, b.buf + f->sent, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)
		return false;
	if (n < 0)
		n = 0;
	follower_advance(f, &b, (size_t)n);
	if ((size_t)n == len && b.final)
		return false;
	follower_block(f, (size_t)n < len || b.more);
	return true;
}

void follower_free(struct log_follower *f)
{
	LIST_REMOVE(f, entry);
	f->task->logger->n_followers--;
	f->io = sd_event_source_disable_unref(f->io);
	util_close_fd(&f->fd);
	free(f);
}

static int follower_event(sd_event_source *io, int fd, uint32_t events, void *userdata)
{
	struct log_follower *f = userdata;
	struct log_task *t = f->task;

	(void)io;
	(void)fd;
	if ((events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)) || !follower_pump(f))
		follower_free(f);
	task_release(t);
	return 0;
}

void followers_left_behind(struct log_task *t)
{
	struct log_follower *next;

	for (struct log_follower *f = LIST_FIRST(&t->followers); f; f = next) {
		next = LIST_NEXT(f, entry);
		if (f->sent > 0 && f->cursor < t->files.head.first)
			follower_free(f);
	}
}

void followers_wake(struct log_task *t)
{
	struct log_follower *next;

	for (struct log_follower *f = LIST_FIRST(&t->followers); f; f = next) {
		next = LIST_NEXT(f, entry);
		if (!f->blocked && !follower_pump(f))
			follower_free(f);
	}
}

/* The descriptor comes from a client through the front, and may be anything. */
static int socket_check(int fd)
{
	int type, domain;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
		return -errno;
	return type == SOCK_STREAM && domain == AF_UNIX ? 0 : -EPROTOTYPE;
}

int follower_new(struct log_task *t, int fd, const struct log_follow *req)
{
	struct logger *l = t->logger;
	_cleanup_fd_ int owned = fd;
	struct log_follower *f;
	int r = socket_check(fd);

	if (r < 0)
		return r;
	if (l->n_followers >= l->max_followers)
		return -EMFILE; /* the client sees the connection closed, and comes again */
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	if (!req->follow)
		log_files_show_drop(&t->files);
	*f = (struct log_follower){
		.task = t,
		.fd = TAKE_FD(owned),
		.cursor = req->cursor,
		.until = req->follow || t->ended ? UINT64_MAX : log_files_visible(&t->files),
		.since_ns = req->since_ns,
		.streams = req->streams,
		.told = req->cursor < t->files.head.first ? 0 : log_files_gone(&t->files),
	};
	LIST_INSERT_HEAD(&t->followers, f, entry);
	l->n_followers++;
	r = sd_event_add_io(l->event, &f->io, fd, EPOLLRDHUP, follower_event, f);
	if (r < 0 || !follower_pump(f))
		follower_free(f);
	return r < 0 ? r : 0;
}
