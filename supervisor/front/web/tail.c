// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/web/tail.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "supervisor/front/serve/http/stream.h"

struct piece {
	STAILQ_ENTRY(piece) next;
	const char *name; /* "event", "dropped", "end" */
	char *text;	  /* owned */
	size_t len;
};

struct web_tail {
	LIST_ENTRY(web_tail) next; /* of its worker, until that goes */
	struct front *f;
	struct web_worker *worker; /* NULL: it was removed */
	struct web_tail_reader reader;
	STAILQ_HEAD(, piece) pieces;
	size_t bytes;
	uint64_t dropped; /* events since the last piece */
	bool ended;	  /* its last piece was made */
};

void web_channel_tell_tail(struct web_channel *c, bool on)
{
	web_channel_send(c, json_pack("{s:s, s:b}", "op", "tail", "on", on), NULL, 0);
}

/* Instances and runs of the worker hear that somebody looks, or nobody any more. */
static void tell(struct web_worker *w, bool on)
{
	struct web_version *v;
	struct web_instance *i;

	LIST_FOREACH(v, &w->versions, next) {
		LIST_FOREACH(i, &v->instances, next)
			web_channel_tell_tail(&i->channel, on);
		web_requests_tell_tail(v, on);
	}
}

bool web_is_tailed(const struct web_worker *w)
{
	return !LIST_EMPTY(&w->tails);
}

/* Pieces */

static int put(struct web_tail *t, const char *name, json_t *o)
{
	struct piece *p = calloc(1, sizeof(*p));

	if (p)
		p->text = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
	json_decref(o);
	if (!p || !p->text) {
		free(p);
		return -ENOMEM;
	}
	p->name = name;
	p->len = strlen(p->text);
	t->bytes += p->len;
	STAILQ_INSERT_TAIL(&t->pieces, p, next);
	return 0;
}

/* How many events were not kept stands where they would have. */
static void put_dropped(struct web_tail *t)
{
	if (t->dropped && put(t, "dropped", t->reader.shape(NULL, t->dropped, NULL)) == 0)
		t->dropped = 0;
}

static void put_event(struct web_tail *t, json_t *event)
{
	/* Not less than what one event takes, so that each finds room when all before were read. */
	if (t->bytes >= WEB_TAIL_BYTES_MAX) {
		t->dropped++;
		return;
	}
	put_dropped(t);
	if (put(t, "event", t->reader.shape(event, 0, NULL)) < 0)
		t->dropped++;
	t->reader.wake(t->reader.arg);
}

static double draw(void)
{
	uint32_t n = 0;

	if (getrandom(&n, sizeof(n), 0) != (ssize_t)sizeof(n))
		n = 0;
	return n / 4294967296.0;
}

void web_tail_event(struct web_worker *w, const char *version, const char *instance,
		    const json_t *head)
{
	json_t *event, *lost;
	struct web_tail *t;
	char now[36];

	if (!web_is_tailed(w))
		return;
	event = tail_event_read(head);
	util_format_time(util_realtime_ns(), now, sizeof(now));
	if (!event || json_object_update_new(event, json_pack("{s:s, s:s, s:s, s:s}", "time", now,
							      "worker", w->row.name, "version",
							      version, "instance", instance)) < 0) {
		json_decref(event);
		return;
	}
	lost = json_object_get(event, "lost");
	LIST_FOREACH(t, &w->tails, next) {
		if (json_is_integer(lost))
			t->dropped += (uint64_t)json_integer_value(lost);
		if (tail_filter_takes(&t->reader.filter, event, version,
				      t->reader.filter.samples ? draw() : 0))
			put_event(t, event);
	}
	json_decref(event);
}

char *web_tail_next(struct web_tail *t, const char **ret_name, size_t *ret_len, bool *ret_over)
{
	struct piece *p;
	char *text;

	if (STAILQ_EMPTY(&t->pieces))
		put_dropped(t);
	if (STAILQ_EMPTY(&t->pieces) && !t->worker && !t->ended) {
		json_t *last = t->reader.shape(NULL, 0, "the worker was removed");

		t->ended = true;
		if (last)
			(void)put(t, "end", last);
	}
	p = STAILQ_FIRST(&t->pieces);
	*ret_over = !p && t->ended;
	if (!p)
		return NULL;
	STAILQ_REMOVE_HEAD(&t->pieces, next);
	t->bytes -= p->len;
	text = p->text;
	*ret_name = p->name;
	*ret_len = p->len;
	free(p);
	return text;
}

/* Who looks */

struct web_tail *web_tail_begin(struct front *f, struct web_worker *w,
				struct web_tail_reader *reader, struct err *e)
{
	struct web_tail *t, *other;
	unsigned n = 0;

	LIST_FOREACH(other, &w->tails, next)
		n++;
	t = n < WEB_TAILS_MAX ? calloc(1, sizeof(*t)) : NULL;
	if (!t) {
		tail_filter_clear(&reader->filter);
		(void)(n < WEB_TAILS_MAX
			       ? err_set(e, ERR_SYSTEM, ENOMEM, "cannot look at the worker")
			       : err_set(e, ERR_LIMIT, 0, "%u look at the worker already", n));
		return NULL;
	}
	t->f = f;
	t->worker = w;
	t->reader = *reader;
	STAILQ_INIT(&t->pieces);
	LIST_INSERT_HEAD(&w->tails, t, next);
	if (n == 0)
		tell(w, true);
	return t;
}

void web_tail_free(struct web_tail *t)
{
	struct web_worker *w = t->worker;
	struct piece *p;

	if (w) {
		LIST_REMOVE(t, next);
		if (!web_is_tailed(w))
			tell(w, false);
	}
	while ((p = STAILQ_FIRST(&t->pieces))) {
		STAILQ_REMOVE_HEAD(&t->pieces, next);
		free(p->text);
		free(p);
	}
	tail_filter_clear(&t->reader.filter);
	free(t);
}

void web_tails_end(struct web_worker *w)
{
	struct web_tail *t;

	while ((t = LIST_FIRST(&w->tails))) {
		LIST_REMOVE(t, next);
		t->worker = NULL;
		t->reader.wake(t->reader.arg);
	}
}

/* What can be asked: over the control socket a connected socket comes along, and gets a JSON document a
 * line; over HTTP the answer is server-sent events. */

static json_t *shape(json_t *event, uint64_t dropped, const char *over)
{
	if (event)
		return json_incref(event);
	if (over)
		return json_pack("{s:s}", "end", over);
	return json_pack("{s:I}", "dropped", (json_int_t)dropped);
}

struct tail_sock {
	LIST_ENTRY(tail_sock) next; /* of web.tail_socks */
	struct front *f;
	struct web_tail *tail;
	int fd;
	sd_event_source *io;
	char *out; /* owned */
	size_t len, sent;
	bool over;
};

static void sock_free(struct tail_sock *s)
{
	LIST_REMOVE(s, next);
	(void)sd_event_source_disable_unref(s->io);
	if (s->tail)
		web_tail_free(s->tail);
	util_close_fd(&s->fd);
	free(s->out);
	free(s);
}

static void sock_wake(void *arg)
{
	struct tail_sock *s = arg;

	(void)sd_event_source_set_io_events(s->io, EPOLLIN | EPOLLOUT);
}

/* 1: all was sent; 0: the socket takes no more now; -errno. */
static int sock_write(struct tail_sock *s)
{
	const char *name;

	for (;;) {
		ssize_t n;

		if (s->sent == s->len) {
			util_free_ptr(&s->out);
			s->len = s->sent = 0;
			s->out = web_tail_next(s->tail, &name, &s->len, &s->over);
			if (!s->out)
				return 1;
			/* In the place of its NUL. */
			s->out[s->len++] = '\n';
		}
		n = send(s->fd, s->out + s->sent, s->len - s->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		s->sent += (size_t)n;
	}
}

static int sock_ready(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct tail_sock *s = arg;
	char scrap[64];
	int r = events & (EPOLLHUP | EPOLLERR) ? -EPIPE : 1;

	(void)source;
	/* It has nothing to say; its end is that it leaves. */
	if (r > 0 && (events & EPOLLIN)) {
		const ssize_t n = recv(fd, scrap, sizeof(scrap), MSG_DONTWAIT);

		r = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) ? -EPIPE : 1;
	}
	if (r > 0)
		r = sock_write(s);
	if (r < 0 || s->over)
		sock_free(s);
	else
		(void)sd_event_source_set_io_events(s->io, EPOLLIN | (r == 0 ? EPOLLOUT : 0));
	return 0;
}

static int begin_sock(struct call *c, struct web_worker *w, struct web_tail_reader *reader,
		      struct err *e)
{
	struct tail_sock *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		tail_filter_clear(&reader->filter);
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot look at the worker");
	}
	s->f = c->f;
	s->fd = TAKE_FD(c->fds[0]);
	LIST_INSERT_HEAD(&c->f->web->tail_socks, s, next);
	reader->wake = sock_wake;
	reader->arg = s;
	s->tail = web_tail_begin(c->f, w, reader, e);
	r = s->tail ? sd_event_add_io(c->f->event, &s->io, s->fd, EPOLLIN, sock_ready, s) : -EBUSY;
	if (r >= 0)
		return 0;
	if (s->tail)
		(void)err_set(e, ERR_SYSTEM, -r, "cannot look at the worker");
	sock_free(s);
	return r;
}

/* The same over HTTP. */
struct tail_stream {
	struct web_tail *tail;
	struct http_stream *stream;
};

static char *stream_next(void *arg, const char **ret_name, size_t *ret_len, bool *ret_over)
{
	struct tail_stream *s = arg;

	return web_tail_next(s->tail, ret_name, ret_len, ret_over);
}

static void stream_gone(void *arg)
{
	struct tail_stream *s = arg;

	web_tail_free(s->tail);
	free(s);
}

static void stream_wake(void *arg)
{
	struct tail_stream *s = arg;

	if (s->stream)
		http_stream_wake(s->stream);
}

static int begin_stream(struct call *c, struct web_worker *w, struct web_tail_reader *reader,
			struct err *e)
{
	static const struct http_source source = {.next = stream_next, .gone = stream_gone};
	struct tail_stream *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		tail_filter_clear(&reader->filter);
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot look at the worker");
	}
	reader->wake = stream_wake;
	reader->arg = s;
	s->tail = web_tail_begin(c->f, w, reader, e);
	r = s->tail ? http_events(c->http, &source, s, &s->stream, e) : -EBUSY;
	if (r == 0)
		return 0;
	if (s->tail)
		web_tail_free(s->tail);
	free(s);
	return r;
}

/* A list of words with commas between them, as a filter of that key. */
static void add_words(json_t *filters, const char *key, const char *text)
{
	json_t *words = text ? json_array() : NULL;

	while (text && *text) {
		const size_t n = strcspn(text, ",");

		(void)json_array_append_new(words, json_stringn(text, n));
		text += n + (text[n] == ',');
	}
	if (words)
		(void)json_array_append_new(filters, json_pack("{s:o}", key, words));
}

/* What a user calls an error is called an exception. */
static void add_status(struct call *c, json_t *filters, const char *text)
{
	static const char *const words[][2] = {
		{"ok", "ok"}, {"canceled", "canceled"}, {"error", "exception,unknown"}};
	char all[128] = "";
	size_t n = 0;

	while (text && *text) {
		const size_t len = strcspn(text, ",");
		const char *word = NULL;

		for (size_t i = 0; i < ARRAY_SIZE(words); i++)
			if (strlen(words[i][0]) == len && memcmp(words[i][0], text, len) == 0)
				word = words[i][1];
		if (!word || n >= sizeof(all)) {
			(void)json_strict_fail(c->in, "status",
					       "must be ok, error or canceled, with commas "
					       "between them");
			return;
		}
		n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s", n ? "," : "", word);
		text += len + (text[len] == ',');
	}
	if (n)
		add_words(filters, "outcome", all);
}

static int verb_tail(struct call *c, struct err *e)
{
	struct web_tail_reader reader = {.shape = shape};
	const char *methods = call_string(c, "method", TAIL_WORD_MAX);
	const char *search = call_string(c, "search", TAIL_WORD_MAX);
	const char *rate = call_string(c, "sampling_rate", 32);
	const char *version = call_string(c, "version", WEB_UUID_LEN);
	json_auto_t *filters = json_array();
	struct web_worker *w;
	char *end = NULL;
	int r;

	add_status(c, filters, call_string(c, "status", TAIL_WORD_MAX));
	add_words(filters, "method", methods);
	if (search)
		(void)json_array_append_new(filters, json_pack("{s:s}", "query", search));
	if (version)
		(void)json_array_append_new(filters, json_pack("{s:s}", "scriptVersion", version));
	if (rate) {
		const double n = strtod(rate, &end);

		if (*end || !(n >= 0 && n <= 1))
			(void)json_strict_fail(c->in, "sampling_rate",
					       "must be a number from 0 to 1");
		else
			(void)json_array_append_new(filters,
						    json_pack("{s:f}", "sampling_rate", n));
	}
	r = web_call_worker(c, &w, e);
	if (r == 0 && !c->http && c->n_fds != 1)
		r = err_set(e, ERR_INPUT, 0, "a socket for the events must come along");
	if (r == 0 && !c->http)
		r = call_check_socket(c, 0, "the events", e);
	if (r == 0)
		r = tail_filter_read(filters, &reader.filter, e);
	if (r < 0)
		return r;
	if (c->http)
		return begin_stream(c, w, &reader, e);
	r = begin_sock(c, w, &reader, e);
	if (r == 0)
		call_reply(c, json_pack("{s:s}", "name", w->row.name));
	return r;
}

static void tail_stop(struct front *f)
{
	while (!LIST_EMPTY(&f->web->tail_socks))
		sock_free(LIST_FIRST(&f->web->tail_socks));
}

/* clang-format off */
static const struct verb verbs[] = {
	{"web_tail", "GET", WEB_PATH "/workers/{name}/tail", WHO_PROJECT, verb_tail, .fds_max = 1},
	{0},
};
/* clang-format on */

const struct capability web_tail_capability = {
	.name = "web tail", .stop = tail_stop, .verbs = verbs};
