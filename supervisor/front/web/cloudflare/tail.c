// SPDX-License-Identifier: Apache-2.0
/*
 * `wrangler tail`: a request for a tail is answered with the address of a WebSocket, which is opened
 * without a token: the address has a word in it that nobody can guess, and that is good for one
 * connection within a minute. The tail ends with that connection.
 */
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "supervisor/front/core/core.h"
#include "supervisor/front/serve/http/stream.h"
#include "supervisor/front/web/cloudflare/cloudflare.h"
#include "supervisor/front/web/tail.h"

#define TAILS CF_ACCOUNT "/workers/scripts/{name}/tails"
#define OPEN_WITHIN_NS (60 * SEC)
#define WAITING_MAX 64u /* of all projects, that were not opened */
#define WAITING_OF_ONE_MAX 8u
#define WORD_BYTES 24
#define PROTOCOL "trace-v1"

struct cf_tail {
	LIST_ENTRY(cf_tail) next;
	struct front *f;
	char id[TASK_ID_LEN + 1];
	char word[2 * WORD_BYTES + 1]; /* "": it was used */
	char project[PROJECT_ID_LEN + 1], worker[WEB_NAME_MAX + 1];
	char token[TOKEN_LEN + 1]; /* that it was asked for with */
	struct tail_filter filter; /* until it is opened */
	struct timer late;
	struct web_tail *tail; /* NULL: nobody has opened it */
	struct http_stream *stream;
	bool over; /* it was deleted */
};

static void tail_free(struct cf_tail *t)
{
	timer_cancel(t->f, &t->late);
	LIST_REMOVE(t, next);
	tail_filter_clear(&t->filter);
	if (t->tail)
		web_tail_free(t->tail);
	free(t);
}

/* The socket is closed, or the address is good for nothing any more. */
static void tail_end(struct cf_tail *t)
{
	t->over = true;
	if (!t->tail)
		tail_free(t);
	else if (t->stream)
		http_stream_wake(t->stream);
}

static void never_opened(struct front *f, struct timer *t)
{
	(void)f;
	tail_free(OWNER(t, struct cf_tail, late));
}

/* What wrangler prints of an event, or keeps. */

static json_t *logs_json(const json_t *event)
{
	json_t *all = json_array(), *line;
	size_t i;

	json_array_foreach(json_object_get(event, "logs"), i, line)
	{
		json_t *at = json_object_get(line, "time_ms");

		(void)json_array_append_new(all, json_pack("{s:O, s:[O], s:I}", "level",
							   json_object_get(line, "level"),
							   "message", json_object_get(line, "text"),
							   "timestamp", json_integer_value(at)));
	}
	return all;
}

static json_t *exceptions_json(const json_t *event)
{
	const json_int_t now = (json_int_t)(util_realtime_ns() / MSEC);
	json_t *all = json_array(), *one;
	size_t i;

	json_array_foreach(json_object_get(event, "exceptions"), i, one)(void)
		json_array_append_new(
			all, json_pack("{s:O, s:O, s:O, s:I}", "name", json_object_get(one, "name"),
				       "message", json_object_get(one, "message"), "stack",
				       json_object_get(one, "stack"), "timestamp", now));
	return all;
}

/* Whether a header is one of those whose values Cloudflare does not show either. */
static bool is_private(const char *name)
{
	static const char *const words[] = {"auth", "key", "secret", "token", "jwt", "cookie"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasestr(name, words[i]))
			return true;
	return false;
}

static json_t *headers_json(json_t *headers)
{
	json_t *all = json_object(), *value;
	const char *name;

	json_object_foreach(headers, name, value)
	{
		if (is_private(name))
			(void)json_object_set_new(all, name, json_string("REDACTED"));
		else
			(void)json_object_set(all, name, value);
	}
	return all;
}

static json_t *cause_json(const json_t *event)
{
	json_t *url = json_object_get(event, "url"), *method = json_object_get(event, "method");
	json_t *cron = json_object_get(event, "cron");

	if (url && method)
		return json_pack("{s:{s:O, s:O, s:o}, s:{s:O*}}", "request", "url", url, "method",
				 method, "headers", headers_json(json_object_get(event, "headers")),
				 "response", "status", json_object_get(event, "status"));
	if (cron)
		return json_pack("{s:O, s:O*}", "cron", cron, "scheduledTime",
				 json_object_get(event, "time_ms"));
	return json_null();
}

static json_t *shape_event(json_t *event)
{
	json_int_t at = (json_int_t)(util_realtime_ns() / MSEC) -
			(json_int_t)json_number_value(json_object_get(event, "ms"));
	json_t *o = json_pack("{s:O, s:O, s:I, s:o, s:o, s:o, s:O*}", "outcome",
			      json_object_get(event, "outcome"), "scriptName",
			      json_object_get(event, "worker"), "eventTimestamp", at, "logs",
			      logs_json(event), "exceptions", exceptions_json(event), "event",
			      cause_json(event), "wallTime", json_object_get(event, "ms"));

	/* What this server knows more. */
	if (o)
		(void)json_object_set_new(o, "sandboxd",
					  json_pack("{s:O, s:O, s:O}", "request_id",
						    json_object_get(event, "request_id"),
						    "instance", json_object_get(event, "instance"),
						    "version", json_object_get(event, "version")));
	return o;
}

/* That some were not kept wrangler shows as an overload. */
static json_t *shape(json_t *event, uint64_t dropped, const char *over)
{
	char text[100];

	if (event)
		return shape_event(event);
	/* The socket's close says it. */
	if (over)
		return NULL;
	(void)snprintf(text, sizeof(text), "%llu events were not kept: they were not read in time",
		       (unsigned long long)dropped);
	return json_pack("{s:s, s:n, s:I, s:[], s:[], s:{s:s, s:s}}", "outcome", "unknown",
			 "scriptName", "eventTimestamp", (json_int_t)(util_realtime_ns() / MSEC),
			 "logs", "exceptions", "event", "type", "overload", "message", text);
}

/* The WebSocket */

static char *stream_next(void *arg, const char **ret_name, size_t *ret_len, bool *ret_over)
{
	struct cf_tail *t = arg;

	if (!t->over)
		return web_tail_next(t->tail, ret_name, ret_len, ret_over);
	*ret_over = true;
	return NULL;
}

static void stream_gone(void *arg)
{
	tail_free(arg);
}

static void stream_wake(void *arg)
{
	struct cf_tail *t = arg;

	if (t->stream)
		http_stream_wake(t->stream);
}

static struct cf_tail *find_word(struct front *f, const char *word)
{
	struct cf_tail *t;

	LIST_FOREACH(t, &f->web->cf_tails, next)
		if (*t->word && strlen(word) == strlen(t->word) &&
		    CRYPTO_memcmp(t->word, word, strlen(word)) == 0)
			return t;
	return NULL;
}

static int open_tail(struct http_request *r, struct err *e)
{
	static const struct http_source source = {.next = stream_next, .gone = stream_gone};
	struct cf_tail *t = find_word(r->f, r->parts[0]);
	struct project *p = t ? project_by_id(r->f, t->project) : NULL;
	struct web_worker *w = p ? web_worker_find(p, t->worker) : NULL;
	struct web_tail_reader reader = {.shape = shape, .wake = stream_wake, .arg = t};
	int status;

	if (!w)
		return err_set(e, ERR_NOT_FOUND, 0,
			       "there is no such tail: it was opened before, or not within a "
			       "minute");
	reader.filter = t->filter;
	t->filter = (struct tail_filter){0};
	t->word[0] = '\0';
	timer_cancel(r->f, &t->late);
	t->tail = web_tail_begin(r->f, w, &reader, e);
	/* It is a connection and a stream of the project's, though no token came along. The first
	 * message of wrangler's has no mask. */
	r->project = p;
	status = t->tail ? http_websocket(r, PROTOCOL, true, &source, t, &t->stream, e) : -EBUSY;
	r->project = NULL;
	if (status < 0)
		tail_free(t);
	return status;
}

/* What comes before and after it */

static int check_room(struct call *c, struct err *e)
{
	const struct cf_tail *t;
	unsigned n = 0, of_one = 0;

	LIST_FOREACH(t, &c->f->web->cf_tails, next)
		if (!t->tail) {
			n++;
			of_one += strcmp(t->project, c->project->id) == 0;
		}
	if (n < WAITING_MAX && of_one < WAITING_OF_ONE_MAX)
		return 0;
	return err_set(e, ERR_UNAVAILABLE, 0,
		       "%u tails wait to be opened, %u of this project: try again in a minute", n,
		       of_one);
}

static json_t *tail_json(struct call *c, const struct cf_tail *t)
{
	const char *host = http_header(c->http, "Host");
	const char *scheme = http_header(c->http, "X-Forwarded-Proto");
	char expires[36], url[600];

	util_format_time(util_realtime_ns() + OPEN_WITHIN_NS, expires, sizeof(expires));
	(void)snprintf(url, sizeof(url), "%s://%s" CF_PATH "/tails/%s",
		       scheme && strcasecmp(scheme, "https") == 0 ? "wss" : "ws",
		       host ? host : http_address(c->f), t->word);
	return json_pack("{s:s, s:s, s:s}", "id", t->id, "url", url, "expires_at", expires);
}

static int create(struct call *c, struct err *e)
{
	json_t *body = call_get(c, "body");
	json_t *filters = json_object_get(body, "filters");
	struct tail_filter filter = {0};
	uint8_t bytes[WORD_BYTES];
	struct web_worker *w;
	struct cf_tail *t;
	int r = web_call_worker(c, &w, e);

	if (r == 0)
		r = check_room(c, e);
	if (r == 0)
		r = tail_filter_read(filters, &filter, e);
	if (r < 0)
		return r;
	t = calloc(1, sizeof(*t));
	if (!t || getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
		free(t);
		tail_filter_clear(&filter);
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot look at the worker");
	}
	t->f = c->f;
	t->filter = filter;
	util_new_id(t->id);
	util_hex(bytes, sizeof(bytes), t->word);
	(void)snprintf(t->project, sizeof(t->project), "%s", c->project->id);
	(void)snprintf(t->worker, sizeof(t->worker), "%s", w->row.name);
	(void)snprintf(t->token, sizeof(t->token), "%s", http_token(c->http));
	LIST_INSERT_HEAD(&c->f->web->cf_tails, t, next);
	timer_set(c->f, &t->late, util_monotonic_ns() + OPEN_WITHIN_NS, never_opened);
	call_reply(c, tail_json(c, t));
	return 0;
}

/* One that has ended is not there any more, and that is what was wanted. */
static int delete (struct call *c, struct err *e)
{
	const char *id = call_string(c, "tail", TASK_ID_LEN);
	struct web_worker *w;
	struct cf_tail *t;
	int r = web_call_worker(c, &w, e);

	if (r < 0)
		return r;
	LIST_FOREACH(t, &c->f->web->cf_tails, next)
		if (id && strcmp(t->id, id) == 0 && strcmp(t->project, c->project->id) == 0)
			break;
	if (t)
		tail_end(t);
	call_reply(c, json_null());
	return 0;
}

static int list(struct call *c, struct err *e)
{
	json_t *all = json_array();
	struct web_worker *w;
	const struct cf_tail *t;
	int r = web_call_worker(c, &w, e);

	if (r == 0)
		LIST_FOREACH(t, &c->f->web->cf_tails, next)
			if (strcmp(t->project, c->project->id) == 0 &&
			    strcmp(t->worker, w->row.name) == 0)
				(void)json_array_append_new(all, json_pack("{s:s}", "id", t->id));
	if (r < 0)
		json_decref(all);
	else
		call_reply(c, all);
	return r;
}

/* Those that are open go with their connections. */
static void tails_stop(struct front *f)
{
	struct cf_tail *t, *next;

	for (t = LIST_FIRST(&f->web->cf_tails); t; t = next) {
		next = LIST_NEXT(t, next);
		if (!t->tail)
			tail_free(t);
	}
}

static void token_revoked(struct front *f)
{
	struct cf_tail *t, *next;
	bool is_operator;

	for (t = LIST_FIRST(&f->web->cf_tails); t; t = next) {
		next = LIST_NEXT(t, next);
		if (!project_by_token(f, t->token, strlen(t->token), &is_operator))
			tail_end(t);
	}
}

static const struct listener listener = {.token_revoked = token_revoked};

/* clang-format off */
static const struct verb verbs[] = {
	{NULL, "GET", TAILS, WHO_PROJECT, list, .dialect = &cf_dialect, .shape = cf_shape},
	{NULL, "POST", TAILS, WHO_PROJECT, create, .body = "body", .dialect = &cf_dialect,
	 .shape = cf_shape},
	{NULL, "DELETE", TAILS "/{tail}", WHO_PROJECT, delete, .dialect = &cf_dialect,
	 .shape = cf_shape},
	{0},
};
/* clang-format on */

static const struct http_route routes[] = {{.method = "GET",
					    .path = CF_PATH "/tails/{}",
					    .who = WHO_ANYBODY,
					    .fn = open_tail,
					    .dialect = &cf_dialect},
					   {0}};

const struct capability cloudflare_tail_capability = {.name = "cloudflare tail",
						      .stop = tails_stop,
						      .listener = &listener,
						      .verbs = verbs,
						      .routes = routes};
