// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/serve/http/streams.h"

int http_stream_check(const struct http_exchange *r, const char *what, struct err *e)
{
	const struct http *h = r->http;

	if (h->streams[http_holder(r)] >= HTTP_STREAMS_OF_ONE_MAX && !r->pub.operator)
		return err_set(e, ERR_UNAVAILABLE, 0,
			       "%u %s of this project are being read: try again later",
			       h->streams[http_holder(r)], what);
	if (h->n_streams >= HTTP_STREAMS_MAX)
		return err_set(e, ERR_UNAVAILABLE, 0, "%u %s are being read: try again later",
			       h->n_streams, what);
	return 0;
}

void http_stream_count(struct http *h, unsigned holder)
{
	h->n_streams++;
	h->streams[holder]++;
}

void http_stream_uncount(struct http *h, unsigned holder)
{
	h->n_streams--;
	h->streams[holder]--;
}

void http_stream_begin(struct http_stream *s, struct http_exchange *r,
		       const struct http_source *source, void *arg,
		       void (*wake)(struct http_stream *s))
{
	*s = (struct http_stream){.req = r,
				  .http = r->http,
				  .source = source,
				  .arg = arg,
				  .holder = http_holder(r),
				  .wake = wake};
	http_stream_count(r->http, s->holder);
	r->stream = true;
}

void http_stream_end(struct http_stream *s)
{
	http_stream_uncount(s->http, s->holder);
	s->source->gone(s->arg);
}

void http_stream_wake(struct http_stream *s)
{
	s->wake(s);
}
