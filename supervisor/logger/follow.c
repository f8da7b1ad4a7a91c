// SPDX-License-Identifier: Apache-2.0
/* Files -> followers' sockets, as many frames in one write as the socket takes. */
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "supervisor/logger/internal.h"

/* Index records looked at in one turn: skipping a long log must not hold up the loop. */
#define SCAN_MAX 4096u

/* What goes out in one write. There is one for all: nothing stays in it. */
struct batch {
	size_t len;
	uint64_t next; /* the cursor when all of it is out */
	bool final;    /* its last frame is END */
	bool more;     /* there are records after it */
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

/* Adds the frame of one record. False: it does not fit any more. */
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
		/* Raw bytes that are gone (somebody's hand) leave a gap in the cursors. */
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
	/* From here on the record may be known outside: it grows no more. */
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
	f->since_ns = 0; /* a clock that jumps back later hides nothing */
	if (r->type == LOG_FRAME_OUT)
		return f->streams & LOG_STREAM_OUT;
	if (r->type == LOG_FRAME_ERR)
		return f->streams & LOG_STREAM_ERR;
	return true;
}

/* The frames that no record stands for: a log without files, and the end of a snapshot. */
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

static void batch_fill(struct batch *b, struct log_follower *f)
{
	struct log_files *files = &f->task->files;
	uint64_t visible = log_files_visible(files), end = visible < f->until ? visible : f->until;
	struct log_record piece[128];
	unsigned scanned = 0;

	b->len = 0;
	b->next = f->cursor;
	b->final = b->more = false;
	while (b->next < end && scanned < SCAN_MAX) {
		uint64_t n = end - b->next < ARRAY_SIZE(piece) ? end - b->next : ARRAY_SIZE(piece);
		ssize_t got = pread(files->index_fd, piece, n * sizeof(piece[0]),
				    (off_t)(b->next * sizeof(piece[0])));

		n = got < 0 ? 0 : (uint64_t)got / sizeof(piece[0]);
		if (n == 0) /* an END that could not be written, or somebody's hand */
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

/* n bytes of the batch are out: moves the follower to the first frame that is not whole. */
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

/* Sends one batch. False: nothing more is to be sent to this follower. */
static bool follower_pump(struct log_follower *f)
{
	static struct batch b; /* one thread */
	size_t len;
	ssize_t n;

	batch_fill(&b, f);
	if (b.len == 0) {
		f->cursor = b.next; /* past records that it does not want */
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
	if (f->prev)
		f->prev->next = f->next;
	else
		f->task->followers = f->next;
	if (f->next)
		f->next->prev = f->prev;
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

void followers_wake(struct log_task *t)
{
	struct log_follower *next;

	for (struct log_follower *f = t->followers; f; f = next) {
		next = f->next;
		if (!f->blocked && !follower_pump(f))
			follower_free(f);
	}
}

/* The fd comes from a client by way of the front: it may be anything. */
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
		return -EMFILE; /* the client sees the hang-up and comes again */
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	if (!req->follow)
		log_files_show_drop(&t->files);
	*f = (struct log_follower){
		.next = t->followers,
		.task = t,
		.fd = TAKE_FD(owned),
		.cursor = req->cursor,
		.until = req->follow || t->ended ? UINT64_MAX : log_files_visible(&t->files),
		.since_ns = req->since_ns,
		.streams = req->streams,
	};
	if (t->followers)
		t->followers->prev = f;
	t->followers = f;
	l->n_followers++;
	r = sd_event_add_io(l->event, &f->io, fd, EPOLLRDHUP, follower_event, f);
	if (r < 0 || !follower_pump(f))
		follower_free(f);
	return r < 0 ? r : 0;
}
