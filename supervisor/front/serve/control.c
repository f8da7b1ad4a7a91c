// SPDX-License-Identifier: Apache-2.0
/* The control socket's server: connections, frames in, answers out. */
#include <malloc.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lib/msg.h"
#include "supervisor/front/serve/serve.h"

/* What a request or an answer of this size was made of, ten times its memory, is not kept. */
#define TRIM_BYTES (256u << 10)
#define CONNS_MAX 4096u
#define WAITERS_MAX 64u	      /* of one connection */
#define INPUT_MAX (64u << 20) /* half-read frames of all connections */
#define OUTPUT_MAX (2UL * CONTROL_FRAME_MAX)
#define OUTPUT_PAUSE (256u << 10) /* no new requests are read beyond this */
#define FRAME_NS (10 * SEC)	  /* from a frame's first byte to its last */
#define OUTPUT_NS (30 * SEC)	  /* without any byte taken by the peer */
#define IDLE_NS (120 * SEC)	  /* with nothing asked for */
#define READS_PER_TURN 16

struct output {
	STAILQ_ENTRY(output) next;
	size_t len, sent;
	char bytes[];
};

struct conn {
	LIST_ENTRY(conn) entry; /* of serve.conns */
	struct front *front;
	int fd;
	uint32_t uid;
	sd_event_source *io;
	struct frame in;
	STAILQ_HEAD(, output) out;
	size_t out_bytes;
	LIST_HEAD(, waiter) waiters;
	unsigned n_waiters;
	bool broken; /* to be closed when the loop is back */
	struct timer deadline;
};

uint32_t conn_uid(const struct conn *conn)
{
	return conn->uid;
}

bool conn_has_left(const struct conn *conn)
{
	struct pollfd p = {.fd = conn->fd};

	return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR);
}

static void conn_late(struct front *f, struct timer *timer);

static void conn_set_deadline(struct conn *c)
{
	uint64_t wait = 0;

	if (c->out_bytes)
		wait = OUTPUT_NS;
	else if (c->in.got)
		wait = FRAME_NS;
	else if (!c->n_waiters)
		wait = IDLE_NS;
	if (wait)
		timer_set(c->front, &c->deadline, util_monotonic_ns() + wait, conn_late);
	else
		timer_cancel(c->front, &c->deadline);
}

int conn_wait(struct conn *c, struct waiter *w)
{
	if (c->n_waiters >= WAITERS_MAX)
		return -EBUSY;
	LIST_INSERT_HEAD(&c->waiters, w, of_conn);
	c->n_waiters++;
	return 0;
}

void conn_wait_no_more(struct conn *c, struct waiter *w)
{
	LIST_REMOVE(w, of_conn);
	c->n_waiters--;
	if (!c->broken && !c->n_waiters)
		conn_set_deadline(c);
}

static void output_pop(struct conn *c)
{
	struct output *out = STAILQ_FIRST(&c->out);
	const bool large = out->len > TRIM_BYTES;

	STAILQ_REMOVE_HEAD(&c->out, next);
	free(out);
	if (large)
		(void)malloc_trim(0);
}

static void conn_close(struct conn *c)
{
	c->broken = true;
	timer_cancel(c->front, &c->deadline);
	while (!LIST_EMPTY(&c->waiters))
		waiter_gone(LIST_FIRST(&c->waiters));
	c->front->serve->input_bytes -= c->in.allocated;
	frame_clear(&c->in);
	while (!STAILQ_EMPTY(&c->out))
		output_pop(c);
	LIST_REMOVE(c, entry);
	c->front->serve->n_conns--;
	(void)sd_event_source_disable_unref(c->io);
	util_close_fd(&c->fd);
	free(c);
}

static void conn_late(struct front *f, struct timer *timer)
{
	(void)f;
	conn_close(OWNER(timer, struct conn, deadline));
}

/* Not closed at once: a caller further up may still hold it. */
static void conn_break(struct conn *c)
{
	c->broken = true;
	timer_set(c->front, &c->deadline, util_monotonic_ns(), conn_late);
}

static void conn_want(struct conn *c)
{
	uint32_t events = c->out_bytes > OUTPUT_PAUSE ? 0 : EPOLLIN;

	if (!STAILQ_EMPTY(&c->out))
		events |= EPOLLOUT;
	(void)sd_event_source_set_io_events(c->io, events);
}

static int conn_flush(struct conn *c)
{
	struct output *out;

	while ((out = STAILQ_FIRST(&c->out))) {
		ssize_t n = send(c->fd, out->bytes + out->sent, out->len - out->sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return -errno;
		out->sent += (size_t)n;
		c->out_bytes -= (size_t)n;
		if (out->sent < out->len)
			continue;
		output_pop(c);
	}
	conn_want(c);
	conn_set_deadline(c);
	return 0;
}

/* A frame of len bytes of text, which the caller writes where they are sent from (output_text).
 * NULL: no memory. */
static struct output *output_new(size_t len)
{
	struct output *out = malloc(sizeof(*out) + FRAME_HEAD + len);

	if (!out)
		return NULL;
	*out = (struct output){.len = FRAME_HEAD + len};
	frame_put_head((uint8_t *)out->bytes, len);
	return out;
}

static char *output_text(struct output *out)
{
	return out->bytes + FRAME_HEAD;
}

static bool conn_has_room(const struct conn *c, size_t len)
{
	return !c->broken && len && len <= CONTROL_FRAME_MAX && c->out_bytes + len <= OUTPUT_MAX;
}

/* out NULL: there was no room for len bytes, or no memory. */
static void conn_queue(struct conn *c, struct output *out, size_t len)
{
	if (c->broken)
		return;
	if (!out) {
		msg_warn("a client is dropped: an answer of %zu bytes cannot be kept for it", len);
		conn_break(c);
		return;
	}
	STAILQ_INSERT_TAIL(&c->out, out, next);
	c->out_bytes += out->len;
	if (conn_flush(c) < 0)
		conn_break(c);
}

void conn_send(struct conn *c, json_t *reply)
{
	size_t len = reply ? json_dumpb(reply, NULL, 0, JSON_COMPACT) : 0;
	struct output *out = conn_has_room(c, len) ? output_new(len) : NULL;

	if (out && json_dumpb(reply, output_text(out), len, JSON_COMPACT) != len)
		util_free_ptr(&out);
	json_decref(reply);
	conn_queue(c, out, len);
}

void conn_send_text(struct conn *c, const char *text, size_t len)
{
	struct output *out = conn_has_room(c, len) ? output_new(len) : NULL;

	if (out)
		memcpy(output_text(out), text, len);
	conn_queue(c, out, len);
}

/* 1: a whole frame; 0: nothing more now; -errno: the connection is at its end. */
static int conn_read(struct conn *c)
{
	for (;;) {
		const size_t before = c->in.allocated;
		const bool first = c->in.got == 0;
		int r = frame_recv(&c->in, c->fd);

		c->front->serve->input_bytes += c->in.allocated - before;
		if (c->front->serve->input_bytes > INPUT_MAX)
			return -ENOBUFS;
		if (r != 0)
			return r == -EAGAIN ? 0 : r;
		if (first)
			conn_set_deadline(c);
	}
}

static void conn_request(struct conn *c)
{
	struct request req = {.conn = c, .received_ns = util_monotonic_ns()};
	struct front *f = c->front;

	/* The frame's memory is free for the next one before the handler runs. */
	req.text = TAKE_PTR(c->in.body);
	req.len = c->in.len;
	req.n_fds = c->in.n_fds;
	for (unsigned i = 0; i < PROTO_FDS_MAX; i++)
		req.fds[i] = i < c->in.n_fds ? c->in.fds[i] : -1;
	f->serve->input_bytes -= c->in.allocated;
	c->in = (struct frame){0};
	f->serve->on_request(f, &req);
	for (unsigned i = 0; i < PROTO_FDS_MAX; i++)
		util_close_fd(&req.fds[i]);
	free(req.text);
	if (req.len > TRIM_BYTES)
		(void)malloc_trim(0);
}

static int conn_ready(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct conn *c = arg;
	int r = 0;

	(void)s;
	(void)fd;
	/* Both directions are gone: nobody reads what waits here. */
	if (events & (EPOLLHUP | EPOLLERR) && !STAILQ_EMPTY(&c->out))
		r = -EPIPE;
	else if (events & EPOLLOUT)
		r = conn_flush(c);
	for (int i = 0; r >= 0 && !c->broken && i < READS_PER_TURN; i++) {
		if (c->out_bytes > OUTPUT_PAUSE)
			break;
		r = conn_read(c);
		if (r == 0)
			break;
		if (r > 0)
			conn_request(c);
	}
	if (r < 0 || c->broken) {
		conn_close(c);
		return 0;
	}
	if (c->in.got == 0 || !timer_is_set(&c->deadline))
		conn_set_deadline(c);
	return 0;
}

/* Too many: said in the protocol's own words, if the socket takes them at once. */
static void refuse(int fd)
{
	static const char text[] =
		"{\"ok\":false,\"code\":\"limit\",\"error\":\"the daemon has too "
		"many connections: try again later\"}";
	char frame[FRAME_HEAD + sizeof(text) - 1];

	frame_put_head((uint8_t *)frame, sizeof(text) - 1);
	memcpy(frame + FRAME_HEAD, text, sizeof(text) - 1);
	(void)send(fd, frame, sizeof(frame), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int conn_new(struct front *f, int fd)
{
	struct ucred cred = {.uid = (uid_t)-1};
	socklen_t len = sizeof(cred);
	struct conn *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	(void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
	*c = (struct conn){.front = f, .fd = fd, .uid = cred.uid};
	STAILQ_INIT(&c->out);
	r = sd_event_add_io(f->event, &c->io, fd, EPOLLIN, conn_ready, c);
	if (r < 0) {
		free(c);
		return r;
	}
	LIST_INSERT_HEAD(&f->serve->conns, c, entry);
	f->serve->n_conns++;
	conn_set_deadline(c);
	return 0;
}

static void listen_again(struct front *f, struct timer *timer)
{
	(void)timer;
	(void)sd_event_source_set_enabled(f->serve->listen, SD_EVENT_ON);
}

static int listen_ready(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct front *f = arg;

	(void)s;
	(void)events;
	for (int i = 0; i < READS_PER_TURN; i++) {
		_cleanup_fd_ int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (conn < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
			/* Nothing frees a descriptor here and now: do not spin on it. */
			msg_warn("no descriptor is left for another connection");
			(void)sd_event_source_set_enabled(f->serve->listen, SD_EVENT_OFF);
			timer_set(f, &f->serve->relisten, util_monotonic_ns() + SEC, listen_again);
		}
		if (conn < 0)
			return 0;
		if (f->serve->n_conns >= CONNS_MAX || conn_new(f, conn) < 0)
			refuse(conn);
		else
			(void)TAKE_FD(conn);
	}
	return 0;
}

int control_init(struct front *f, control_fn on_request)
{
	f->serve->on_request = on_request;
	return sd_event_add_io(f->event, &f->serve->listen, f->cfg.listen_fd, EPOLLIN, listen_ready,
			       f);
}

void control_clear(struct front *f)
{
	while (!LIST_EMPTY(&f->serve->conns))
		conn_close(LIST_FIRST(&f->serve->conns));
	f->serve->listen = sd_event_source_disable_unref(f->serve->listen);
}
