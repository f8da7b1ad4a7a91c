// SPDX-License-Identifier: Apache-2.0
/*
 * A task's log over HTTP. The logger writes frames into one end of a socketpair; they are
 * taken out of the other one only as fast as the client reads, so that a slow client fills
 * its own sockets and nothing else.
 */
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "supervisor/front/serve/http/internal.h"
#include "supervisor/front/serve/http/log_frame.h"
#include "supervisor/front/serve/http/streams.h"
#include "wire/log_client.h"

#define PING_NS (15 * SEC)
#define STREAM_IDLE_S 120u /* a client that takes nothing for so long is not there */
#define BLOCK (16u << 10)
/* A logger that was killed is back in a moment; one that does not come is given up. */
#define ATTACH_US 50000u
#define GIVE_UP_NS (10 * SEC)

struct http_log {
	struct http_exchange *req;
	struct front *f;
	struct log_follow what;
	struct http_log_format format;
	unsigned holder; /* of http.streams */
	int sock;	 /* -1: to be attached */
	sd_event_source *io, *timer;
	struct log_retry retry;
	uint64_t said_ns; /* when the client was told anything last */
	struct log_frame head;
	size_t n_head, n_data;
	uint8_t *data; /* owned; of the frame that is being read */
	char *out;     /* owned */
	size_t out_len, out_sent;
	bool ended, failed;
	bool probed; /* a ping was sent to a client that has shut its sending side */
};

static void log_free(void *arg)
{
	struct http_log *l = arg;

	http_stream_uncount(l->f->serve->http, l->holder);
	(void)sd_event_source_disable_unref(l->io);
	(void)sd_event_source_disable_unref(l->timer);
	util_close_fd(&l->sock);
	free(l->data);
	free(l->out);
	free(l);
}

static int on_readable(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct http_log *l = arg;

	(void)fd;
	(void)events;
	(void)sd_event_source_set_enabled(s, SD_EVENT_OFF);
	http_wake(l->req);
	return 0;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *arg)
{
	struct http_log *l = arg;

	(void)s;
	(void)usec;
	http_wake(l->req);
	return 0;
}

static void detach(struct http_log *l)
{
	l->io = sd_event_source_disable_unref(l->io);
	util_close_fd(&l->sock);
	util_free_ptr(&l->data);
	l->n_head = l->n_data = 0;
	log_retry_broke(&l->retry);
}

static int attach(struct http_log *l, struct err *e)
{
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return err_set(e, ERR_SYSTEM, errno, "the log's socket");
	l->sock = pair[0];
	log_retry_attached(&l->retry);
	r = sd_event_add_io(l->f->event, &l->io, l->sock, EPOLLIN, on_readable, l);
	if (r >= 0)
		r = sd_event_source_set_enabled(l->io, SD_EVENT_OFF);
	if (r < 0) {
		(void)close(pair[1]);
		detach(l);
		return err_set(e, ERR_SYSTEM, -r, "the log's socket");
	}
	r = log_follow(l->f, &l->what, pair[1], e);
	if (r < 0)
		detach(l);
	return r;
}

/* The frame is there whole: true when the client gets something of it. */
static void take_frame(struct http_log *l)
{
	const bool end = l->head.type == LOG_FRAME_END;

	l->n_head = l->n_data = 0;
	/* The logger ends before the log has: there will be another one. */
	if (end && l->what.follow && l->what.live && !l->head.aux) {
		detach(l);
		return;
	}
	if (http_log_format(&l->format, &l->head, l->data, &l->out, &l->out_len) < 0)
		l->failed = true;
	util_free_ptr(&l->data);
	l->ended = end;
	log_retry_went_well(&l->retry);
	if (!end)
		l->what.cursor = l->head.cursor + 1;
}

/* 1: something was read; 0: there is nothing now; -errno: the connection is at its end. */
static int read_some(struct http_log *l)
{
	const bool in_head = l->n_head < sizeof(l->head);
	struct err e = {0};
	ssize_t n;

	if (in_head)
		n = recv(l->sock, (uint8_t *)&l->head + l->n_head, sizeof(l->head) - l->n_head, 0);
	else
		n = recv(l->sock, l->data + l->n_data, l->head.len - l->n_data, 0);
	if (n < 0)
		return errno == EAGAIN ? 0 : errno == EINTR ? 1 : -errno;
	if (n == 0)
		return -ECONNRESET;
	if (!in_head) {
		l->n_data += (size_t)n;
		return 1;
	}
	l->n_head += (size_t)n;
	if (l->n_head < sizeof(l->head))
		return 1;
	if (log_frame_check(&l->head, &e) < 0)
		return -EPROTO;
	l->data = malloc(l->head.len + 1);
	return l->data ? 1 : -ENOMEM;
}

/* Reads until there is something for the client, or nothing more to read. */
static int fill(struct http_log *l)
{
	l->out_len = l->out_sent = 0;
	util_free_ptr(&l->out);
	while (l->sock >= 0 && l->out_len == 0 && !l->ended && !l->failed) {
		int r = read_some(l);

		if (r <= 0)
			return r;
		if (l->n_head == sizeof(l->head) && l->n_data == l->head.len)
			take_frame(l);
	}
	return l->sock < 0 ? -ECONNRESET : 1;
}

static void say(struct http_log *l, const char *text)
{
	l->out = strdup(text);
	l->out_len = l->out ? strlen(text) : 0;
	l->out_sent = 0;
}

/* Until the socket is readable, a ping is due, or the logger is to be asked again. */
static ssize_t wait_for_more(struct http_log *l)
{
	uint64_t now = util_monotonic_ns(), at = now + ATTACH_US * 1000ULL;

	if (l->sock >= 0) {
		at = l->said_ns + PING_NS;
		(void)sd_event_source_set_enabled(l->io, SD_EVENT_ONESHOT);
	}
	if (l->sock < 0 || l->format.events) {
		(void)sd_event_source_set_time(l->timer, at / 1000 + 1);
		(void)sd_event_source_set_enabled(l->timer, SD_EVENT_ONESHOT);
	}
	http_sleep(l->req);
	return 0;
}

/* 0: attached, or it will be tried again. */
static int attach_again(struct http_log *l)
{
	struct err e = {0};

	if (log_retry_is_over(&l->retry, GIVE_UP_NS))
		return -ETIMEDOUT;
	(void)attach(l, &e);
	return 0;
}

static ssize_t copy_out(struct http_log *l, char *buf, size_t max)
{
	size_t n = l->out_len - l->out_sent;

	if (n > max)
		n = max;
	memcpy(buf, l->out + l->out_sent, n);
	l->out_sent += n;
	l->said_ns = util_monotonic_ns();
	return (ssize_t)n;
}

/* libmicrohttpd's: the next bytes of the answer; 0 when the connection now sleeps. */
static ssize_t next_bytes(void *arg, uint64_t pos, char *buf, size_t max)
{
	struct http_log *l = arg;
	int r;

	(void)pos;
	if (l->req->dead)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	(void)sd_event_source_set_enabled(l->timer, SD_EVENT_OFF);
	if (l->out_sent == l->out_len && !l->ended) {
		/* Said after the wait, not before it: what was pending has the turn now. */
		if (l->sock < 0 && attach_again(l) < 0)
			return MHD_CONTENT_READER_END_WITH_ERROR;
		r = fill(l);
		if (r < 0)
			detach(l);
		/* A client that has only shut its sending side reads the ping; a machine without the
		 * client answers it with a reset. */
		if (l->out_len == 0 && !l->ended && l->format.events &&
		    (util_monotonic_ns() - l->said_ns >= PING_NS || (l->req->half && !l->probed))) {
			say(l, ": ping\n\n");
			l->probed = l->req->half;
		}
	}
	if (l->failed)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (l->out_sent < l->out_len)
		return copy_out(l, buf, max);
	return l->ended ? MHD_CONTENT_READER_END_OF_STREAM : wait_for_more(l);
}

static int log_start(struct http_request *pub, const struct log_follow *what, struct err *e)
{
	struct http_exchange *r = http_exchange_of(pub);
	struct http *h = r->http;
	struct MHD_Response *response;
	struct http_log *l;
	int status;

	status = http_stream_check(r, "logs", e);
	if (status < 0)
		return status;
	l = calloc(1, sizeof(*l));
	if (!l)
		return err_set(e, ERR_SYSTEM, ENOMEM, "the log");
	*l = (struct http_log){
		.req = r, .f = h->f, .what = *what, .sock = -1, .holder = http_holder(r)};
	l->format.events = what->follow;
	l->said_ns = util_monotonic_ns();
	http_stream_count(h, l->holder);
	status = sd_event_add_time(h->f->event, &l->timer, CLOCK_MONOTONIC, UINT64_MAX, 1000,
				   on_timer, l);
	if (status < 0)
		(void)err_set(e, ERR_SYSTEM, -status, "the log");
	else
		status = attach(l, e);
	response = status < 0 ? NULL
			      : MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK,
								  next_bytes, l, log_free);
	if (!response) {
		log_free(l);
		return status < 0 ? status : err_set(e, ERR_SYSTEM, ENOMEM, "the log");
	}
	r->stream = true;
	/* Proxies must not collect it. */
	if (what->follow)
		http_header_add(response, "X-Accel-Buffering", "no");
	(void)MHD_set_connection_option(r->mhd, MHD_CONNECTION_OPTION_TIMEOUT, STREAM_IDLE_S);
	http_respond(r, MHD_HTTP_OK,
		     what->follow ? "text/event-stream" : "text/plain; charset=utf-8", response);
	return 0;
}

static int fill_in(struct log_follow *what, const char *task_id, unsigned streams, struct err *e)
{
	if (!util_is_id(task_id))
		return err_set(e, ERR_NOT_FOUND, 0, "there is no such task");
	memcpy(what->id, task_id, sizeof(what->id));
	what->streams = (uint8_t)(streams & (LOG_STREAM_OUT | LOG_STREAM_ERR));
	return 0;
}

int http_log_text(struct http_request *r, const char *task_id, unsigned streams, struct err *e)
{
	struct log_follow what = {0};
	int status = fill_in(&what, task_id, streams, e);

	if (status < 0)
		return status;
	what.live = registry_find(r->f, task_id) != NULL;
	return log_start(r, &what, e);
}

int http_log_events(struct http_request *r, const char *task_id, unsigned streams, bool live,
		    struct err *e)
{
	const char *last = http_header(r, "Last-Event-ID");
	struct log_follow what = {.follow = 1, .live = live};
	int status = fill_in(&what, task_id, streams, e);

	if (status < 0)
		return status;
	if (!last || !*last)
		last = http_param(r, "last_event_id");
	if (last) {
		if (http_number(last, &what.cursor) < 0 || what.cursor >= INT64_MAX)
			return err_set(e, ERR_INPUT, 0,
				       "Last-Event-ID: must be the id of an event of this log");
		what.cursor++;
	}
	return log_start(r, &what, e);
}
