// SPDX-License-Identifier: Apache-2.0
/*
 * A WebSocket out of a source of pieces: each is a text message of the server's. Of the client's
 * messages nothing is wanted; its pings are answered, and its close. libmicrohttpd hands the
 * connection's socket over when it has sent the handshake's answer, and gets it back to close it.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "supervisor/front/serve/http/streams.h"
#include "supervisor/front/serve/http/ws_frame.h"

#define IDLE_NS                                                                                    \
	(60 * SEC) /* a client that says nothing for so long, not even a ping, is not there */
#define READ_BYTES (16u << 10)
/* A close that the client does not read is not waited for. */
#define CLOSE_NS (5 * SEC)

struct http_ws {
	struct http_stream stream; /* first */
	struct ws_in in;
	struct MHD_UpgradeResponseHandle *urh; /* NULL: the socket is not ours yet, or no more */
	int fd;				       /* libmicrohttpd's */
	sd_event_source *io;
	struct timer idle;
	/* What is being sent: a frame's head and a piece; owned. */
	uint8_t head[WS_HEAD_MAX + WS_CONTROL_MAX];
	unsigned head_len, head_sent;
	char *out;
	size_t out_len, out_sent;
	/* The newest ping's payload, which waits to be answered. */
	uint8_t ping[WS_CONTROL_MAX];
	unsigned ping_len;
	bool has_ping;
	unsigned closing; /* the status that it is to be closed with; 0: it is not */
	bool said_close, heard_close;
};

/* The connection ends: libmicrohttpd closes it, and calls http_exchange_done for its request. */
static void ws_close(struct http_ws *w)
{
	struct MHD_UpgradeResponseHandle *urh = TAKE_PTR(w->urh);

	w->io = sd_event_source_disable_unref(w->io);
	timer_cancel(w->stream.req->pub.f, &w->idle);
	if (!urh)
		return;
	w->stream.req->gone = NULL;
	(void)shutdown(w->fd, SHUT_RDWR);
	(void)MHD_upgrade_action(urh, MHD_UPGRADE_ACTION_CLOSE);
	http_poke(w->stream.req->http);
}

static void idle_over(struct front *f, struct timer *t)
{
	(void)f;
	ws_close(OWNER(t, struct http_ws, idle));
}

static void watch(struct http_ws *w, bool writes)
{
	(void)sd_event_source_set_io_events(w->io, EPOLLIN | (writes ? EPOLLOUT : 0));
}

static void wake(struct http_stream *s)
{
	struct http_ws *w = OWNER(s, struct http_ws, stream);

	if (w->urh)
		watch(w, true);
}

static void take_control(void *arg, enum ws_opcode op, const uint8_t *data, size_t len)
{
	struct http_ws *w = arg;

	if (op == WS_CLOSE) {
		w->heard_close = true;
		w->closing = w->closing ? w->closing : WS_NORMAL;
	} else if (op == WS_PING) {
		/* Only the newest need be answered: RFC 6455, 5.5.3. */
		memcpy(w->ping, data, len);
		w->ping_len = (unsigned)len;
		w->has_ping = true;
	}
}

static void control_frame(struct http_ws *w, enum ws_opcode op, const uint8_t *data, unsigned len)
{
	w->head_len = ws_head(op, len, w->head);
	memcpy(w->head + w->head_len, data, len);
	w->head_len += len;
	w->head_sent = 0;
}

/* The next frame, if there is any. */
static bool next_frame(struct http_ws *w)
{
	const char *name;
	size_t len = 0;
	bool over = false;

	util_free_ptr(&w->out);
	w->out_len = w->out_sent = 0;
	w->head_len = w->head_sent = 0;
	if (w->has_ping) {
		w->has_ping = false;
		control_frame(w, WS_PONG, w->ping, w->ping_len);
		return true;
	}
	if (!w->closing) {
		w->out = w->stream.source->next(w->stream.arg, &name, &len, &over);
		if (w->out) {
			w->out_len = len;
			w->head_len = ws_head(WS_TEXT, len, w->head);
			return true;
		}
		if (over)
			w->closing = WS_NORMAL;
	}
	if (w->closing && !w->said_close) {
		const uint8_t status[2] = {(uint8_t)(w->closing >> 8), (uint8_t)w->closing};

		w->said_close = true;
		timer_set(w->stream.req->pub.f, &w->idle, util_monotonic_ns() + CLOSE_NS,
			  idle_over);
		control_frame(w, WS_CLOSE, status, sizeof(status));
		return true;
	}
	return false;
}

static bool is_sent(const struct http_ws *w)
{
	return w->head_sent == w->head_len && w->out_sent == w->out_len;
}

/* 1: all that there is was sent; 0: the socket takes no more now; -errno. */
static int write_some(struct http_ws *w)
{
	while (!is_sent(w) || next_frame(w)) {
		const bool in_head = w->head_sent < w->head_len;
		const void *at = in_head ? (const void *)(w->head + w->head_sent)
					 : (const void *)(w->out + w->out_sent);
		const size_t len = in_head ? w->head_len - w->head_sent : w->out_len - w->out_sent;
		ssize_t n = send(w->fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0)
			return errno == EAGAIN ? 0 : errno == EINTR ? 0 : -errno;
		if (in_head)
			w->head_sent += (unsigned)n;
		else
			w->out_sent += (size_t)n;
	}
	return 1;
}

/* -errno: the connection is at its end. */
static int read_some(struct http_ws *w)
{
	uint8_t buf[READ_BYTES];
	/* Not recv(2), which screens what it reads here for requests (recv.c). */
	ssize_t n = recvfrom(w->fd, buf, sizeof(buf), MSG_DONTWAIT, NULL, NULL);
	unsigned status;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	if (!w->said_close)
		timer_set(w->stream.req->pub.f, &w->idle, util_monotonic_ns() + IDLE_NS, idle_over);
	status = ws_feed(&w->in, buf, (size_t)n, take_control, w);
	if (status && w->closing)
		return -EPROTO;
	w->closing = status ? status : w->closing;
	return 0;
}

static int on_ready(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct http_ws *w = arg;
	int r = events & (EPOLLHUP | EPOLLERR) ? -ECONNRESET : 1;

	(void)source;
	(void)fd;
	if (r > 0 && (events & EPOLLIN))
		r = read_some(w);
	if (r >= 0)
		r = write_some(w);
	/* The close is the last that is sent; a client that has done nothing wrong may say it too. */
	if (r < 0 || (w->said_close && is_sent(w) && (w->heard_close || w->closing != WS_NORMAL)))
		ws_close(w);
	else
		watch(w, r == 0);
	return 0;
}

/* The front or the connection's client has ended it. */
static void ws_leave(void *arg)
{
	ws_close(arg);
}

/* libmicrohttpd's: the handshake's answer was sent. */
static void taken_over(void *cls, struct MHD_Connection *mhd, void *context, const char *extra,
		       size_t extra_len, MHD_socket fd, struct MHD_UpgradeResponseHandle *urh)
{
	struct http_ws *w = cls;
	struct http_exchange *r = w->stream.req;

	(void)mhd;
	(void)context;
	(void)extra;
	w->urh = urh;
	w->fd = fd;
	r->gone = ws_leave;
	r->gone_arg = w;
	timer_set(r->pub.f, &w->idle, util_monotonic_ns() + IDLE_NS, idle_over);
	/* Who sends frames before the answer does not speak the protocol. */
	if (extra_len > 0 || r->dead ||
	    sd_event_add_io(r->pub.f->event, &w->io, fd, EPOLLIN | EPOLLOUT, on_ready, w) < 0)
		ws_close(w);
}

void http_ws_free(struct http_ws *w)
{
	(void)sd_event_source_disable_unref(w->io);
	timer_cancel(w->stream.req->pub.f, &w->idle);
	free(w->out);
	http_stream_end(&w->stream);
	free(w);
}

static int check_handshake(const struct http_request *r, const char *protocol,
			   char accept[WS_ACCEPT_LEN + 1], struct err *e)
{
	const char *version = http_header(r, "Sec-WebSocket-Version");

	if (!ws_list_has(http_header(r, "Connection"), "upgrade") ||
	    !ws_list_has(http_header(r, "Upgrade"), "websocket"))
		return err_set(e, ERR_INPUT, 0, "Upgrade: this is the address of a WebSocket");
	if (!version || strcmp(version, "13") != 0)
		return err_set(e, ERR_INPUT, 0, "Sec-WebSocket-Version: must be 13");
	if (!ws_list_has(http_header(r, "Sec-WebSocket-Protocol"), protocol))
		return err_set(e, ERR_INPUT, 0, "Sec-WebSocket-Protocol: must offer %s", protocol);
	if (ws_accept(http_header(r, "Sec-WebSocket-Key"), accept) < 0)
		return err_set(e, ERR_INPUT, 0,
			       "Sec-WebSocket-Key: must be the base64 of 16 bytes");
	return 0;
}

int http_websocket(struct http_request *pub, const char *protocol, bool may_be_plain,
		   const struct http_source *source, void *arg, struct http_stream **ret,
		   struct err *e)
{
	struct http_exchange *r = http_exchange_of(pub);
	char accept[WS_ACCEPT_LEN + 1];
	struct MHD_Response *response;
	struct http_ws *w;
	int status = check_handshake(pub, protocol, accept, e);

	if (status == 0)
		status = http_stream_check(r, "streams", e);
	if (status < 0)
		return status;
	w = calloc(1, sizeof(*w));
	response = w ? MHD_create_response_for_upgrade(taken_over, w) : NULL;
	if (!response) {
		free(w);
		return err_set(e, ERR_SYSTEM, ENOMEM, "the stream");
	}
	http_header_add(response, MHD_HTTP_HEADER_UPGRADE, "websocket");
	http_header_add(response, "Sec-WebSocket-Accept", accept);
	http_header_add(response, "Sec-WebSocket-Protocol", protocol);
	w->in.may_be_plain = may_be_plain;
	http_stream_begin(&w->stream, r, source, arg, wake);
	r->ws = w;
	*ret = &w->stream;
	http_conn_hold(r);
	http_respond_bare(r, MHD_HTTP_SWITCHING_PROTOCOLS, response);
	return 0;
}
