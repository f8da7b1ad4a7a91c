// SPDX-License-Identifier: Apache-2.0
/* Server-sent events out of a source of pieces. */
#include <stdio.h>
#include <string.h>

#include "supervisor/front/serve/http/internal.h"
#include "supervisor/front/serve/http/stream.h"
#include "supervisor/front/serve/http/streams.h"

#define PING_NS (15 * SEC)
#define IDLE_S 120u /* a client that takes nothing for so long is not there */
#define BLOCK (16u << 10)
#define PING ": ping\n\n"

struct http_events {
	struct http_stream stream; /* first */
	sd_event_source *timer;	   /* the next ping */
	uint64_t said_ns;
	char *out; /* owned */
	size_t out_len, out_sent;
	bool over;
	bool probed; /* a client that has shut its sending side was sent a ping */
};

static void events_free(void *arg)
{
	struct http_events *s = arg;

	(void)sd_event_source_disable_unref(s->timer);
	free(s->out);
	http_stream_end(&s->stream);
	free(s);
}

static void wake(struct http_stream *s)
{
	http_wake(s->req);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	wake(arg);
	return 0;
}

static int say(struct http_events *s, const char *name, const char *text, size_t len)
{
	char *out;
	int n = asprintf(&out, "event: %s\ndata: %.*s\n\n", name, (int)len, text);

	if (n < 0)
		return -ENOMEM;
	s->out = out;
	s->out_len = (size_t)n;
	return 0;
}

/* Something for the client, if there is anything. */
static int fill(struct http_events *s)
{
	const struct http_source *source = s->stream.source;
	const char *name = "message";
	size_t len = 0;
	char *text;
	int r = 0;

	util_free_ptr(&s->out);
	s->out_len = s->out_sent = 0;
	text = source->next(s->stream.arg, &name, &len, &s->over);
	if (text) {
		r = say(s, name, text, len);
		free(text);
	} else if (!s->over && (util_monotonic_ns() - s->said_ns >= PING_NS ||
				(s->stream.req->half && !s->probed))) {
		s->probed = s->stream.req->half;
		s->out = strdup(PING);
		s->out_len = s->out ? strlen(s->out) : 0;
	}
	return r;
}

static ssize_t next_bytes(void *arg, uint64_t pos, char *buf, size_t max)
{
	struct http_events *s = arg;
	size_t n;

	(void)pos;
	(void)sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
	if (s->stream.req->dead || (s->out_sent == s->out_len && !s->over && fill(s) < 0))
		return MHD_CONTENT_READER_END_WITH_ERROR;
	n = s->out_len - s->out_sent;
	if (n == 0 && s->over)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n == 0) {
		(void)sd_event_source_set_time(s->timer, (s->said_ns + PING_NS) / 1000 + 1);
		(void)sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
		http_sleep(s->stream.req);
		return 0;
	}
	if (n > max)
		n = max;
	memcpy(buf, s->out + s->out_sent, n);
	s->out_sent += n;
	s->said_ns = util_monotonic_ns();
	return (ssize_t)n;
}

int http_events(struct http_request *pub, const struct http_source *source, void *arg,
		struct http_stream **ret, struct err *e)
{
	struct http_exchange *r = http_exchange_of(pub);
	struct MHD_Response *response = NULL;
	struct http_events *s;
	int status;

	status = http_stream_check(r, "streams", e);
	if (status < 0)
		return status;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, ERR_SYSTEM, ENOMEM, "the stream");
	s->said_ns = util_monotonic_ns();
	status = sd_event_add_time(pub->f->event, &s->timer, CLOCK_MONOTONIC, UINT64_MAX, 1000,
				   on_timer, s);
	if (status >= 0)
		response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, next_bytes, s,
							     events_free);
	if (!response) {
		(void)sd_event_source_disable_unref(s->timer);
		free(s);
		return err_set(e, ERR_SYSTEM, ENOMEM, "the stream");
	}
	http_stream_begin(&s->stream, r, source, arg, wake);
	*ret = &s->stream;
	/* Proxies must not collect it. */
	http_header_add(response, "X-Accel-Buffering", "no");
	(void)MHD_set_connection_option(r->mhd, MHD_CONNECTION_OPTION_TIMEOUT, IDLE_S);
	http_respond(r, MHD_HTTP_OK, "text/event-stream", response);
	return 0;
}
