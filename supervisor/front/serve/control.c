// SPDX-License-Identifier: Apache-2.0
/* The control socket's server: connections, frames in, answers out. */
#include <endian.h>
#include <malloc.h>
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
	struct output *next;
	size_t len, sent;
	char bytes[];
};

struct conn {
	struct conn *next, **pprev;
	struct front *front;
	int fd;
	uint32_t uid;
	sd_event_source *io;
	struct frame in;
	struct output *out, **out_tail;
	size_t out_bytes;
	struct waiter *waiters;
	unsigned n_waiters;
	bool broken;	      /* to be closed when the loop is back */
	uint64_t deadline_ns; /* CLOCK_MONOTONIC; 0: none */
};

uint32_t conn_uid(const struct conn *conn)
{
	return conn->uid;
}

struct waiter *waiter_new(struct conn *conn, json_t *tag)
{
	struct waiter *w = conn->n_waiters < WAITERS_MAX ? calloc(1, sizeof(*w)) : NULL;

	if (!w)
		return NULL;
	w->conn = conn;
	w->tag = json_incref(tag);
	w->conn_next = conn->waiters;
	w->conn_pprev = &conn->waiters;
	if (w->conn_next)
		w->conn_next->conn_pprev = &w->conn_next;
	conn->waiters = w;
	conn->n_waiters++;
	return w;
}

void waiter_attach(struct waiter *w, struct waiter **list)
{
	w->next = *list;
	w->pprev = list;
	if (w->next)
		w->next->pprev = &w->next;
	*list = w;
}

static void conn_set_deadline(struct conn *c)
{
	uint64_t wait = 0;

	if (c->out_bytes)
		wait = OUTPUT_NS;
	else if (c->in.got)
		wait = FRAME_NS;
	else if (!c->n_waiters)
		wait = IDLE_NS;
	c->deadline_ns = wait ? util_monotonic_ns() + wait : 0;
	if (wait)
		turn_tick_at(c->front, c->deadline_ns);
}

void waiter_free(struct waiter *w)
{
	if (w->pprev) {
		*w->pprev = w->next;
		if (w->next)
			w->next->pprev = w->pprev;
	}
	*w->conn_pprev = w->conn_next;
	if (w->conn_next)
		w->conn_next->conn_pprev = w->conn_pprev;
	w->conn->n_waiters--;
	if (!w->conn->broken && !w->conn->n_waiters)
		conn_set_deadline(w->conn);
	json_decref(w->tag);
	free(w);
}

static void output_free(struct output *out)
{
	const bool large = out->len > TRIM_BYTES;

	free(out);
	if (large)
		(void)malloc_trim(0);
}

static void conn_close(struct conn *c)
{
	c->broken = true;
	while (c->waiters)
		waiter_free(c->waiters);
	c->front->serve->input_bytes -= c->in.allocated;
	frame_clear(&c->in);
	while (c->out) {
		struct output *out = c->out;

		c->out = out->next;
		output_free(out);
	}
	*c->pprev = c->next;
	if (c->next)
		c->next->pprev = c->pprev;
	c->front->serve->n_conns--;
	(void)sd_event_source_disable_unref(c->io);
	util_close_fd(&c->fd);
	free(c);
}

/* Not closed at once: a caller further up may still hold it. */
static void conn_break(struct conn *c)
{
	c->broken = true;
	c->deadline_ns = 1;
	turn_tick_at(c->front, 1);
}

static void conn_want(struct conn *c)
{
	uint32_t events = c->out_bytes > OUTPUT_PAUSE ? 0 : EPOLLIN;

	if (c->out)
		events |= EPOLLOUT;
	(void)sd_event_source_set_io_events(c->io, events);
}

static int conn_flush(struct conn *c)
{
	while (c->out) {
		struct output *out = c->out;
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
		c->out = out->next;
		if (!c->out)
			c->out_tail = &c->out;
		output_free(out);
	}
	conn_want(c);
	conn_set_deadline(c);
	return 0;
}

/* A frame of what makes len bytes of text, written where it is sent from. NULL: no memory. */
static struct output *output_new(const json_t *reply, size_t len)
{
	const uint32_t head = htole32((uint32_t)len);
	struct output *out = malloc(sizeof(*out) + sizeof(head) + len);

	if (!out)
		return NULL;
	*out = (struct output){.len = sizeof(head) + len};
	memcpy(out->bytes, &head, sizeof(head));
	if (json_dumpb(reply, out->bytes + sizeof(head), len, JSON_COMPACT) != len)
		util_free_ptr(&out);
	return out;
}

void conn_send(struct conn *c, json_t *reply)
{
	size_t len = reply ? json_dumpb(reply, NULL, 0, JSON_COMPACT) : 0;
	struct output *out = NULL;

	if (!c->broken && len && len <= CONTROL_FRAME_MAX && c->out_bytes + len <= OUTPUT_MAX)
		out = output_new(reply, len);
	json_decref(reply);
	if (c->broken)
		return;
	if (!out) {
		msg_warn("a client is dropped: an answer of %zu bytes cannot be kept for it", len);
		conn_break(c);
		return;
	}
	*c->out_tail = out;
	c->out_tail = &out->next;
	c->out_bytes += out->len;
	if (conn_flush(c) < 0)
		conn_break(c);
}

void waiter_send(struct waiter *w, json_t *reply)
{
	if (w->tag && reply)
		(void)json_object_set(reply, "tag", w->tag);
	conn_send(w->conn, reply);
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
	if (events & (EPOLLHUP | EPOLLERR) && c->out)
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
	if (c->in.got == 0 || c->deadline_ns == 0)
		conn_set_deadline(c);
	return 0;
}

/* Too many: said in the protocol's own words, if the socket takes them at once. */
static void refuse(int fd)
{
	static const char text[] =
		"{\"ok\":false,\"code\":\"limit\",\"error\":\"the daemon has too "
		"many connections: try again later\"}";
	uint32_t head = htole32(sizeof(text) - 1);
	char frame[sizeof(head) + sizeof(text) - 1];

	memcpy(frame, &head, sizeof(head));
	memcpy(frame + sizeof(head), text, sizeof(text) - 1);
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
	c->out_tail = &c->out;
	r = sd_event_add_io(f->event, &c->io, fd, EPOLLIN, conn_ready, c);
	if (r < 0) {
		free(c);
		return r;
	}
	c->next = f->serve->conns;
	c->pprev = &f->serve->conns;
	if (c->next)
		c->next->pprev = &c->next;
	f->serve->conns = c;
	f->serve->n_conns++;
	conn_set_deadline(c);
	return 0;
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
			turn_tick_at(f, util_monotonic_ns() + SEC);
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
	while (f->serve->conns)
		conn_close(f->serve->conns);
}

void control_tick(struct front *f, uint64_t now_ns)
{
	struct conn *next;

	(void)sd_event_source_set_enabled(f->serve->listen, SD_EVENT_ON);
	for (struct conn *c = f->serve->conns; c; c = next) {
		next = c->next;
		if (!c->deadline_ns)
			continue;
		if (now_ns >= c->deadline_ns)
			conn_close(c);
		else
			turn_tick_at(f, c->deadline_ns);
	}
}
