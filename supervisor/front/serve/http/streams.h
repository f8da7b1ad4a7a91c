/* SPDX-License-Identifier: Apache-2.0 */
/* What the two kinds of streams have in common (stream.h). */
#ifndef SUPERVISOR_FRONT_SERVE_HTTP_STREAMS_H
#define SUPERVISOR_FRONT_SERVE_HTTP_STREAMS_H

#include "supervisor/front/serve/http/internal.h"
#include "supervisor/front/serve/http/stream.h"

struct http_stream {
	/* libmicrohttpd lets go of an answer after its request: the request may be gone before the
	 * stream ends. */
	struct http_exchange *req;
	struct http *http;
	const struct http_source *source;
	void *arg;
	unsigned holder; /* of http.streams */
	void (*wake)(struct http_stream *s);
};

/* ERR_UNAVAILABLE: too many are being read; what: they are, "logs". */
int http_stream_check(const struct http_exchange *r, const char *what, struct err *e);
/* One more of the holder's is being read, or one less. */
void http_stream_count(struct http *h, unsigned holder);
void http_stream_uncount(struct http *h, unsigned holder);
/* It is counted, and from now on the request's connection has no deadline. */
void http_stream_begin(struct http_stream *s, struct http_exchange *r,
		       const struct http_source *source, void *arg,
		       void (*wake)(struct http_stream *s));
/* It is counted no more, and its source is told. */
void http_stream_end(struct http_stream *s);

#endif
