// SPDX-License-Identifier: Apache-2.0
/*
 * What a worker asks of another worker of its project, or of its own assets. A fetch goes to the edge,
 * by the socket that the front alone can connect to: so it finds versions, instances and files as a
 * request of the world does, and no address of the network is needed. Requests and answers are whole in
 * memory here, and bounded. `scheduled` is a call of a handler, as for a cron trigger.
 *
 * How deep workers have called each other is said by the code of the caller, and passed on to the one
 * that is called. Code that lies about it spends its own project's instances.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "supervisor/front/web/web.h"
#include "wire/http_answer.h"

#define DEPTH_MAX 16
#define ANSWER_MAX (SERVE_BODY_MAX + (1u << 20)) /* with its head, and the framing of its chunks */
/* Of one project: the bytes of requests and answers that are here, and how many. */
#define FETCH_BYTES_MAX (96ULL << 20)
#define FETCHES_MAX 256u
/* An answer waits here while so much is on its way to the code that has asked; the channel is ended
 * with more than it holds. */
#define WAY_MAX (32u << 20)
#define WAY_AGAIN_NS (20 * MSEC)
#define TARGET_MAX 8192u
#define METHOD_MAX 24u
/* The edge ends what takes too long; this is for an edge that does not. */
#define LATE_NS ((MANIFEST_TIMEOUT_MAX + 300) * SEC)
#define MESSAGE_MAX 2000 /* of another worker's exception */

struct web_fetch {
	LIST_ENTRY(web_fetch) next; /* of its project */
	struct front *f;
	struct project *project;
	char run[TASK_ID_LEN + 1];
	json_int_t id;
	bool without_body; /* HEAD */
	size_t held;	   /* bytes of the ask that its channel waits for */
	int fd;
	sd_event_source *io;
	struct timer late;
	char *out, *in;
	size_t out_len, out_at, in_len, in_size;
};

static void fetch_free(struct web_fetch *x)
{
	struct web_channel *c = web_channel_of_run(x->f, x->run);

	if (c && c->line.held >= x->held)
		c->line.held -= x->held;
	x->project->web->fetch_bytes -= x->out_len + x->in_size;
	x->project->web->n_fetches--;
	LIST_REMOVE(x, next);
	timer_cancel(x->f, &x->late);
	x->io = sd_event_source_disable_unref(x->io);
	util_close_fd(&x->fd);
	free(x->out);
	free(x->in);
	free(x);
}

void web_fetches_drop(struct project *p, const char *run)
{
	struct web_fetch *x, *next;

	for (x = LIST_FIRST(&p->web->fetches); x; x = next) {
		next = LIST_NEXT(x, next);
		if (!run || strcmp(x->run, run) == 0)
			fetch_free(x);
	}
}

static void fetch_fail(struct web_fetch *x, const char *message)
{
	web_answer_error(x->f, x->run, x->id, "Error", message);
	fetch_free(x);
}

/* The answer */

/* Bytes as the text that has them as its characters (ISO 8859-1). */
static json_t *text_of_bytes(const char *bytes, size_t len)
{
	char *text = malloc(2 * len + 1);
	size_t n = 0;
	json_t *ret;

	if (!text)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		const unsigned char c = (unsigned char)bytes[i];

		if (c < 0x80) {
			text[n++] = (char)c;
		} else {
			text[n++] = (char)(0xc0 | c >> 6);
			text[n++] = (char)(0x80 | (c & 0x3f));
		}
	}
	ret = json_stringn(text, n);
	free(text);
	return ret;
}

/* Whether a field is about the connection to the edge, or between the edge and the front. */
static bool is_own_field(const char *name, size_t len)
{
	static const char *const names[] = {"connection", "content-length",    "expect",
					    "host",	  "keep-alive",	       "te",
					    "trailer",	  "transfer-encoding", "upgrade"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strlen(names[i]) == len && strncasecmp(names[i], name, len) == 0)
			return true;
	return (len > 6 && strncasecmp(name, "proxy-", 6) == 0) ||
	       (len > 11 && strncasecmp(name, "x-sandboxd-", 11) == 0);
}

static json_t *fields_of(const struct http_answer *a)
{
	json_t *ret = json_array();

	for (size_t i = 0; i < a->n; i++) {
		const struct http_field *field = &a->fields[i];

		if ((is_own_field(field->name, field->name_len) &&
		     !http_field_is(field, "content-length")) ||
		    http_field_is(field, "server"))
			continue;
		(void)json_array_append_new(
			ret, json_pack("[o, o]", text_of_bytes(field->name, field->name_len),
				       text_of_bytes(field->value, field->value_len)));
	}
	return ret;
}

/* What the edge says instead of the worker, and what the worker's code has raised. */
static bool is_error(struct web_fetch *x, const struct http_answer *a)
{
	char text[MESSAGE_MAX + 1], shown[MESSAGE_MAX + 1];
	size_t len = a->body_len < MESSAGE_MAX ? a->body_len : MESSAGE_MAX;

	if (!http_answer_find(a, "x-sandboxd-error") &&
	    !http_answer_find(a, "x-sandboxd-exception"))
		return false;
	while (len && (a->body[len - 1] == '\n' || a->body[len - 1] == '\r'))
		len--;
	(void)snprintf(text, sizeof(text), "%.*s", (int)len, a->body);
	fetch_fail(x, len ? util_escape(text, shown, sizeof(shown))
			  : "the other worker has raised an exception");
	return true;
}

static void take_answer(struct web_fetch *x);

static void take_again(struct front *f, struct timer *t)
{
	(void)f;
	take_answer(OWNER(t, struct web_fetch, late));
}

/* Whether it waits until its code has read more of what came before. */
static bool waits(struct web_fetch *x)
{
	const struct web_channel *c = web_channel_of_run(x->f, x->run);

	if (!c || c->line.out.bytes == 0 || c->line.out.bytes + x->in_len <= WAY_MAX)
		return false;
	timer_set(x->f, &x->late, util_monotonic_ns() + WAY_AGAIN_NS, take_again);
	return true;
}

/* The connection has ended, and with it the answer. */
static void end_answer(struct web_fetch *x)
{
	char *in = x->in_len ? realloc(x->in, x->in_len) : NULL;

	x->io = sd_event_source_disable_unref(x->io);
	util_close_fd(&x->fd);
	if (in) {
		x->project->web->fetch_bytes -= x->in_size - x->in_len;
		x->in = in;
		x->in_size = x->in_len;
	}
	take_answer(x);
}

static void take_answer(struct web_fetch *x)
{
	struct http_answer a;
	json_t *head;

	if (waits(x))
		return;
	if (x->in_len == 0 || http_answer_read(x->in, x->in_len, x->without_body, &a) < 0) {
		fetch_fail(x, "the other worker's answer has ended before it was whole");
		return;
	}
	if (is_error(x, &a))
		return;
	if (a.body_len > SERVE_BODY_MAX) {
		fetch_fail(x, "the other worker's answer is longer than 26 MiB, which is what one "
			      "may have between workers");
		return;
	}
	head = json_pack("{s:i, s:o}", "status", (int)a.status, "headers", fields_of(&a));
	if (head)
		web_answer(x->f, x->run, x->id, head, a.body, a.body_len);
	else
		web_answer_error(x->f, x->run, x->id, "Error", "out of memory");
	fetch_free(x);
}

/* False: it was failed, or its end has come. */
static bool receive(struct web_fetch *x)
{
	struct project_web *w = x->project->web;
	ssize_t n;

	if (x->in_size - x->in_len < 4096) {
		const size_t size = x->in_size ? 2 * x->in_size : 16384;
		char *in = w->fetch_bytes + size - x->in_size > FETCH_BYTES_MAX
				   ? NULL
				   : realloc(x->in, size);

		if (!in) {
			fetch_fail(x, "the project has too many bytes of requests and answers "
				      "between workers at a time");
			return false;
		}
		w->fetch_bytes += size - x->in_size;
		x->in = in;
		x->in_size = size;
	}
	n = recv(x->fd, x->in + x->in_len, x->in_size - x->in_len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0) {
		end_answer(x);
		return false;
	}
	x->in_len += (size_t)n;
	if (x->in_len <= ANSWER_MAX)
		return true;
	fetch_fail(x, "the other worker's answer is longer than 26 MiB, which is what one may have "
		      "between workers");
	return false;
}

static int on_io(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct web_fetch *x = arg;

	(void)s;
	if ((events & EPOLLOUT) && x->out_at < x->out_len) {
		const ssize_t n = send(fd, x->out + x->out_at, x->out_len - x->out_at,
				       MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			x->out_at += (size_t)n;
		/* It may have answered before it has read everything. */
		if ((n < 0 && errno != EAGAIN && errno != EINTR) || x->out_at == x->out_len)
			(void)sd_event_source_set_io_events(x->io, EPOLLIN);
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		(void)receive(x);
	return 0;
}

static void is_late(struct front *f, struct timer *t)
{
	(void)f;
	fetch_fail(OWNER(t, struct web_fetch, late), "the other worker did not answer in time");
}

/* The request */

struct ask_http {
	const char *method;
	const char *scheme;
	char host[300];
	const char *target; /* of the URL's text */
	size_t target_len;
};

static bool is_token(const char *s, size_t len)
{
	static const char plain[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	return len > 0 && strspn(s, plain) >= len;
}

static int read_method(const char *method, struct ask_http *ret)
{
	const size_t len = method ? strlen(method) : 0;

	if (len == 0 || len > METHOD_MAX || strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != len ||
	    strcmp(method, "CONNECT") == 0 || strcmp(method, "TRACE") == 0)
		return -EINVAL;
	ret->method = method;
	return 0;
}

/* A URL as the runtime writes it: ASCII, with a scheme and a host. */
static int read_url(const char *url, struct ask_http *ret)
{
	const char *host, *end, *at;

	if (!url)
		return -EINVAL;
	for (at = url; *at; at++)
		if (*at <= ' ' || *at >= 0x7f)
			return -EINVAL;
	ret->scheme = strncmp(url, "https://", 8) == 0 ? "https" : "http";
	if (strncmp(url, ret->scheme, strlen(ret->scheme)) != 0 ||
	    strncmp(url + strlen(ret->scheme), "://", 3) != 0)
		return -EINVAL;
	host = url + strlen(ret->scheme) + 3;
	end = host + strcspn(host, "/?#\\");
	at = memchr(host, '@', (size_t)(end - host));
	host = at ? at + 1 : host;
	if (end == host || (size_t)(end - host) >= sizeof(ret->host))
		return -EINVAL;
	(void)snprintf(ret->host, sizeof(ret->host), "%.*s", (int)(end - host), host);
	if (strspn(ret->host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
			      "[]:") != strlen(ret->host))
		return -EINVAL;
	ret->target = end;
	ret->target_len = strcspn(end, "#");
	return ret->target_len > TARGET_MAX ? -E2BIG : 0;
}

/* Text whose characters are bytes, as these. False: it has others, or what no field may have. */
static bool put_bytes(FILE *out, const char *text)
{
	for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
		unsigned c = *at;

		if ((c & 0xfe) == 0xc2 && (at[1] & 0xc0) == 0x80)
			c = (c & 0x03) << 6 | (*++at & 0x3f);
		else if (c >= 0x80)
			return false;
		if (c == '\r' || c == '\n' || putc((int)c, out) == EOF)
			return false;
	}
	return true;
}

static bool put_fields(FILE *out, const json_t *fields)
{
	for (size_t i = 0; i < json_array_size(fields); i++) {
		const json_t *field = json_array_get(fields, i);
		const char *name = json_string_value(json_array_get(field, 0));
		const char *value = json_string_value(json_array_get(field, 1));

		if (!name || !value || !is_token(name, strlen(name)))
			return false;
		if (is_own_field(name, strlen(name)))
			continue;
		if (fprintf(out, "%s: ", name) < 0 || !put_bytes(out, value) ||
		    fputs("\r\n", out) == EOF)
			return false;
	}
	return true;
}

/* Who is asked: the fields of the edge's own. False: a part of them could be a field by itself. */
static bool put_whom(FILE *out, const struct web_version *v, const struct manifest_binding *b,
		     json_int_t depth)
{
	char *own;

	if (b->type == BINDING_ASSETS) {
		json_t *assets = web_assets_json(v, true);

		own = assets ? json_dumps(assets, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
		json_decref(assets);
		(void)fprintf(out, "X-Sandboxd-Assets: %s\r\n", own ? own : "");
		free(own);
		return true;
	}
	if (b->entrypoint && !is_token(b->entrypoint, strlen(b->entrypoint)))
		return false;
	(void)fprintf(out, "X-Sandboxd-Worker: %s/%s\r\nX-Sandboxd-Depth: %d\r\n",
		      v->worker->project->name, b->target, (int)depth + 1);
	if (b->entrypoint)
		(void)fprintf(out, "X-Sandboxd-Entrypoint: %s\r\n", b->entrypoint);
	return true;
}

static int compose(struct web_fetch *x, const struct web_channel *c,
		   const struct manifest_binding *b, const struct ask_http *r, const json_t *http)
{
	FILE *out = open_memstream(&x->out, &x->out_len);
	bool fine;

	if (!out)
		return -ENOMEM;
	(void)fprintf(out,
		      "%s /.sandboxd/fetch HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n"
		      "X-Sandboxd-Host: %s\r\nX-Sandboxd-Scheme: %s\r\n"
		      "X-Sandboxd-Target: %s%.*s\r\n",
		      r->method, r->host, r->scheme, *r->target == '/' ? "" : "/",
		      (int)r->target_len, r->target);
	fine = put_whom(out, c->version, b, json_integer_value(json_object_get(http, "depth"))) &&
	       put_fields(out, json_object_get(http, "headers"));
	if (c->line.in.body_len ||
	    (strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0))
		(void)fprintf(out, "Content-Length: %zu\r\n", (size_t)c->line.in.body_len);
	(void)fputs("\r\n", out);
	if (c->line.in.body_len)
		(void)fwrite(c->line.in.body, 1, c->line.in.body_len, out);
	if (fclose(out) != 0 || !x->out)
		return -ENOMEM;
	return fine ? 0 : -EINVAL;
}

static int dial(struct web_fetch *x)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};

	(void)snprintf(name.sun_path, sizeof(name.sun_path), "/proc/self/fd/%d/edge.sock",
		       x->f->cfg.edge_dirfd);
	x->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (x->fd < 0 || connect(x->fd, (struct sockaddr *)&name, sizeof(name)) < 0)
		return -errno;
	return sd_event_add_io(x->f->event, &x->io, x->fd, EPOLLIN | EPOLLOUT, on_io, x);
}

/* The worker that a binding leads to; NULL: *text says why there is none. */
static struct web_worker *target_of(const struct web_version *v, const struct manifest_binding *b,
				    char *text, size_t size)
{
	struct web_worker *w = web_worker_find(v->worker->project, b->target);

	if (w && w->in_force.number)
		return w;
	(void)snprintf(text, size,
		       "the binding %s leads to the worker %s, which this project has not "
		       "deployed",
		       b->name, b->target);
	return NULL;
}

static void begin_fetch(struct web_channel *c, const struct manifest_binding *b, json_int_t id,
			json_t *head)
{
	const json_t *http = json_object_get(head, "http");
	struct project *p = c->version->worker->project;
	struct ask_http r = {0};
	struct web_fetch *x;
	int status;

	if (read_method(json_string_value(json_object_get(http, "method")), &r) < 0 ||
	    read_url(json_string_value(json_object_get(http, "url")), &r) < 0) {
		web_answer_error(c->f, c->run, id, "TypeError",
				 "fetch: the method or the URL cannot be sent to another worker");
		return;
	}
	if (p->web->n_fetches >= FETCHES_MAX ||
	    p->web->fetch_bytes + c->line.in.body_len > FETCH_BYTES_MAX) {
		web_answer_error(c->f, c->run, id, "Error",
				 "the project has too many requests between workers at a time");
		return;
	}
	x = calloc(1, sizeof(*x));
	if (!x) {
		web_answer_error(c->f, c->run, id, "Error", "out of memory");
		return;
	}
	*x = (struct web_fetch){.f = c->f,
				.project = p,
				.id = id,
				.without_body = strcmp(r.method, "HEAD") == 0,
				.held = c->line.in.body_len,
				.fd = -1};
	memcpy(x->run, c->run, sizeof(x->run));
	c->line.held += x->held;
	LIST_INSERT_HEAD(&p->web->fetches, x, next);
	p->web->n_fetches++;
	timer_set(c->f, &x->late, util_monotonic_ns() + LATE_NS, is_late);
	status = compose(x, c, b, &r, http);
	p->web->fetch_bytes += x->out_len;
	if (status == -EINVAL)
		fetch_fail(x, "fetch: a header cannot be sent to another worker");
	else if (status < 0)
		fetch_fail(x, "out of memory");
	else if (dial(x) < 0)
		fetch_fail(x,
			   "the edge is not there, by which workers reach each other: try again");
}

/* scheduled */

struct web_scheduled {
	struct web_call call;
	char run[TASK_ID_LEN + 1];
	json_int_t id;
	char entrypoint[MANIFEST_ENTRYPOINT_MAX + 1];
};

static void scheduled_ended(struct front *f, struct web_call *call, const struct web_result *result,
			    const struct err *error)
{
	struct web_scheduled *x = OWNER(call, struct web_scheduled, call);

	if (error)
		web_answer_error(f, x->run, x->id, "Error", error->msg);
	else
		web_answer(f, x->run, x->id,
			   json_pack("{s:s}", "outcome", result->ok ? "ok" : "exception"), NULL, 0);
	free(x);
}

static void begin_scheduled(struct web_channel *c, struct web_worker *w,
			    const struct manifest_binding *b, json_int_t id, json_t *head)
{
	const char *cron = json_string_value(json_object_get(head, "cron"));
	const json_int_t time_ms = json_integer_value(json_object_get(head, "time_ms"));
	struct web_version *v = web_version_draw(w);
	struct web_scheduled *x = v ? calloc(1, sizeof(*x)) : NULL;
	struct err e = {0};

	if (!x) {
		web_answer_error(c->f, c->run, id, "Error",
				 v ? "out of memory" : "no version of the other worker serves");
		return;
	}
	memcpy(x->run, c->run, sizeof(x->run));
	x->id = id;
	(void)snprintf(x->entrypoint, sizeof(x->entrypoint), "%s",
		       b->entrypoint ? b->entrypoint : "");
	x->call.handler = "scheduled";
	x->call.entrypoint = x->entrypoint;
	x->call.depth = (unsigned)json_integer_value(json_object_get(head, "depth")) + 1;
	x->call.time_ns = time_ms > 0 ? (uint64_t)time_ms * MSEC : util_realtime_ns();
	x->call.ended = scheduled_ended;
	(void)snprintf(x->call.cron, sizeof(x->call.cron), "%s", cron ? cron : "");
	if (web_call_begin(c->f, v, &x->call, &e) < 0) {
		web_answer_error(c->f, c->run, id, "Error", e.msg);
		free(x);
	}
}

void web_service_ask(struct web_channel *c, const struct manifest_binding *b, json_int_t id,
		     json_t *head)
{
	const char *method = json_string_value(json_object_get(head, "method"));
	const bool fetch = method && strcmp(method, "fetch") == 0;
	const json_t *from = fetch ? json_object_get(head, "http") : head;
	const json_int_t depth = json_integer_value(json_object_get(from, "depth"));
	struct web_worker *w = NULL;
	char text[300];

	if (!fetch && !(b->type == BINDING_SERVICE && method && strcmp(method, "scheduled") == 0)) {
		web_answer_error(c->f, c->run, id, "TypeError",
				 "this binding cannot be asked for that");
		return;
	}
	if (depth < 0 || depth >= DEPTH_MAX) {
		web_answer_error(c->f, c->run, id, "Error",
				 "Subrequest depth limit exceeded. This request recursed through "
				 "Workers too many times. This can happen e.g. if you have a "
				 "Worker that calls other Workers recursively.");
		return;
	}
	if (b->type == BINDING_SERVICE) {
		w = target_of(c->version, b, text, sizeof(text));
		if (!w) {
			web_answer_error(c->f, c->run, id, "Error", text);
			return;
		}
	}
	if (fetch)
		begin_fetch(c, b, id, head);
	else
		begin_scheduled(c, w, b, id, head);
}
