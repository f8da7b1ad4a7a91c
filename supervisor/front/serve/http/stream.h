/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers without an end in time, which the server takes a piece at a time as the client reads them:
 * server-sent events (events.c), and a WebSocket (websocket.c, RFC 6455). A client that does not read
 * holds one piece, and nothing more is taken for it.
 */
#ifndef SUPERVISOR_FRONT_SERVE_HTTP_STREAM_H
#define SUPERVISOR_FRONT_SERVE_HTTP_STREAM_H

#include "supervisor/front/serve/http/http.h"

/* Of whoever has the pieces. */
struct http_source {
	/*
	 * The next piece, malloc'ed: a text without newlines. *ret_name, of an event: a constant.
	 * NULL: there is none now, and http_stream_wake tells when there is; *ret_over: there will
	 * be none any more.
	 */
	char *(*next)(void *arg, const char **ret_name, size_t *ret_len, bool *ret_over);
	/* The stream is gone: the client has left, or has been given the last piece. Called once,
	 * also when the stream was never begun, but for a function here that has failed. */
	void (*gone)(void *arg);
};

struct http_stream;

/* Answers the request with a stream. *ret is good until gone is called. */
int http_events(struct http_request *r, const struct http_source *source, void *arg,
		struct http_stream **ret, struct err *e);
/* The same, of a request that must be a handshake which offers this protocol. may_be_plain: clients of
 * it send frames without a mask. */
int http_websocket(struct http_request *r, const char *protocol, bool may_be_plain,
		   const struct http_source *source, void *arg, struct http_stream **ret,
		   struct err *e);
/* There is something to take, or nothing any more. It may be called at any time. */
void http_stream_wake(struct http_stream *s);

#endif
