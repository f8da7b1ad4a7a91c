// SPDX-License-Identifier: Apache-2.0
/*
 * What a worker asks of another worker of its project, or of its own assets. A fetch goes to the edge,
 * by the socket that the front alone can connect to: so it finds versions, instances and files as a
 * request of the world does, and no address of the network is needed. `scheduled` is a call of a handler,
 * as for a cron trigger.
 *
 * Bodies come and go in pieces, both ways at once, and never more of one than WINDOW is here or on its way:
 *
 *	the code: ask, with "pieces", and with "stream" where the request's body follows
 *	the code: piece, ..., the last one with "last", or with "broken"	us: took, so many bytes
 *	us: answer, with "stream" where its body follows; piece, ...		the code: took, so many bytes
 *	the code: cancel, when nobody wants the rest of the answer
 *
 * A body that is here at once is in the ask or the answer itself. Code that does not say "pieces", which an older
 * image has, gets answers whole, which are bounded.
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
#define ANSWER_HEAD_MAX (64u << 10)
#define PIECE_MAX (64u << 10)
#define WINDOW (256u << 10) /* of a body, each way */
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
	uint64_t bytes; /* of this that its project is charged for */

	/* The request: bytes that wait to be sent. */
	char *out;
	size_t out_len, out_at, out_size;
	bool uploads; /* the rest of its body comes in pieces */
	size_t untold; /* bytes of pieces that are in out, of which the code was not told that they are sent */

	/* The answer. */
	bool pieces; /* the code takes it in pieces */
	bool told;   /* the code has had its head, and gets pieces */
	bool failed; /* its body says why there is none, or what the other worker has raised */
	unsigned status;
	json_t *fields; /* NULL: its head is not here yet */
	struct http_body framing;
	char *in; /* bytes as they come */
	size_t in_len;
	char *body; /* bytes of the body that the code has not been sent */
	size_t body_len, body_size;
	size_t way; /* bytes of the body that the code was sent, and has not taken */
};

/* The project is charged for what is in memory. */
static void charge(struct web_fetch *x)
{
	const uint64_t now = x->out_size + x->body_size + ANSWER_HEAD_MAX;

	x->project->web->fetch_bytes += now - x->bytes;
	x->bytes = now;
}

static void fetch_free(struct web_fetch *x)
{
	struct web_channel *c = web_channel_of_run(x->f, x->run);

	if (c && c->line.held >= x->held)
		c->line.held -= x->held;
	x->project->web->fetch_bytes -= x->bytes;
	x->project->web->n_fetches--;
	LIST_REMOVE(x, next);
	timer_cancel(x->f, &x->late);
	x->io = sd_event_source_disable_unref(x->io);
	util_close_fd(&x->fd);
	json_decref(x->fields);
	free(x->out);
	free(x->in);
	free(x->body);
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

static void fetch_send(struct web_fetch *x, json_t *head, const void *body, size_t len)
{
	struct web_channel *c = web_channel_of_run(x->f, x->run);

	if (c)
		web_channel_send(c, head, body, len);
	else
		json_decref(head);
}

/* Ends it: by an error, or in the middle of an answer that has begun. */
static void fetch_fail(struct web_fetch *x, const char *message)
{
	if (x->told)
		fetch_send(
			x,
			json_pack("{s:s, s:I, s:s}", "op", "piece", "id", x->id, "broken", message),
			NULL, 0);
	else
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
static void fail_as_told(struct web_fetch *x)
{
	char text[MESSAGE_MAX + 1], shown[MESSAGE_MAX + 1];
	size_t len = x->body_len;

	while (len && (x->body[len - 1] == '\n' || x->body[len - 1] == '\r'))
		len--;
	(void)snprintf(text, sizeof(text), "%.*s", (int)len, x->body ? x->body : "");
	fetch_fail(x, len ? util_escape(text, shown, sizeof(shown))
			  : "the other worker has raised an exception");
}

static void take_end(struct web_fetch *x);

static void end_again(struct front *f, struct timer *t)
{
	(void)f;
	take_end(OWNER(t, struct web_fetch, late));
}

/* Whether it waits until its code has read more of what came before. */
static bool waits(struct web_fetch *x)
{
	const struct web_channel *c = web_channel_of_run(x->f, x->run);

	if (!c || c->line.out.bytes == 0 || c->line.out.bytes + x->body_len <= WAY_MAX)
		return false;
	timer_set(x->f, &x->late, util_monotonic_ns() + WAY_AGAIN_NS, end_again);
	return true;
}

static void answer(struct web_fetch *x, bool streams)
{
	json_t *head = json_pack("{s:i, s:O, s:b}", "status", (int)x->status, "headers", x->fields,
				 "stream", streams);

	web_answer(x->f, x->run, x->id, head ? head : json_object(), x->body, x->body_len);
	x->told = streams;
	x->body_len = 0;
}

/* The answer is whole. */
static void take_end(struct web_fetch *x)
{
	if (x->failed) {
		fail_as_told(x);
		return;
	}
	if (!x->told && waits(x)) {
		char *body = x->body_len ? realloc(x->body, x->body_len) : NULL;

		x->io = sd_event_source_disable_unref(x->io);
		util_close_fd(&x->fd);
		if (body) {
			x->body = body;
			x->body_size = x->body_len;
			charge(x);
		}
		return;
	}
	if (x->told)
		fetch_send(x, json_pack("{s:s, s:I, s:b}", "op", "piece", "id", x->id, "last", 1),
			   x->body, x->body_len);
	else
		answer(x, false);
	fetch_free(x);
}

/* What its connection is watched for. */
static void watch(struct web_fetch *x)
{
	if (x->io)
		(void)sd_event_source_set_io_events(
			x->io,
			(x->way < WINDOW ? EPOLLIN : 0) | (x->out_at < x->out_len ? EPOLLOUT : 0));
}

/* Sends what has come of the body: first the head, and where more is to come, by itself. */
static void pass_on(struct web_fetch *x)
{
	if (!x->pieces || x->failed || (x->told && x->body_len == 0))
		return;
	if (!x->told) {
		timer_cancel(x->f, &x->late);
		x->way += x->body_len;
		answer(x, true);
	} else {
		x->way += x->body_len;
		fetch_send(x, json_pack("{s:s, s:I}", "op", "piece", "id", x->id), x->body,
			   x->body_len);
	}
	x->body_len = 0;
	watch(x);
}

/* Keeps bytes of the body. False: it was failed. */
static bool keep(struct web_fetch *x, const char *bytes, size_t len)
{
	if (x->failed && len > MESSAGE_MAX - x->body_len)
		len = MESSAGE_MAX - x->body_len;
	if (x->body_len + len > SERVE_BODY_MAX) {
		fetch_fail(x,
			   "the other worker's answer is longer than 26 MiB, which is what one may "
			   "have that is not taken in pieces");
		return false;
	}
	if (x->body_size - x->body_len < len) {
		size_t size = x->body_size ? x->body_size : 16384;
		char *more;

		while (size - x->body_len < len)
			size *= 2;
		more = x->project->web->fetch_bytes + size - x->body_size > FETCH_BYTES_MAX
			       ? NULL
			       : realloc(x->body, size);
		if (!more) {
			fetch_fail(x, "the project has too many bytes of requests and answers "
				      "between workers at a time");
			return false;
		}
		x->body = more;
		x->body_size = size;
		charge(x);
	}
	memcpy(x->body + x->body_len, bytes, len);
	x->body_len += len;
	return true;
}

static const char too_early[] = "the other worker's answer has ended before it was whole";

/* False: it was failed. */
static bool take_head(struct web_fetch *x)
{
	struct http_answer a;
	int r = http_answer_head(x->in, x->in_len, &a);

	if (r == -EAGAIN && x->in_len < ANSWER_HEAD_MAX)
		return true;
	if (r == 0)
		r = http_body_begin(&a, x->without_body, &x->framing);
	if (r < 0) {
		fetch_fail(x, "the other worker's answer has a head that is none, or too long");
		return false;
	}
	x->status = a.status;
	x->fields = fields_of(&a);
	x->failed = http_answer_find(&a, "x-sandboxd-error") ||
		    http_answer_find(&a, "x-sandboxd-exception");
	x->in_len -= a.head_len;
	memmove(x->in, x->in + a.head_len, x->in_len);
	return true;
}

/* Takes what is in x->in. False: it has ended. */
static bool take_bytes(struct web_fetch *x)
{
	size_t done = 0;

	if (!x->fields && !take_head(x))
		return false;
	if (!x->fields)
		return true;
	while (done < x->in_len && !x->framing.whole) {
		size_t at, len;
		const ssize_t took =
			http_body_next(&x->framing, x->in + done, x->in_len - done, &at, &len);

		if (took < 0) {
			fetch_fail(x, too_early);
			return false;
		}
		if (!keep(x, x->in + done + at, len))
			return false;
		done += (size_t)took;
	}
	x->in_len = 0;
	if (x->framing.whole) {
		take_end(x);
		return false;
	}
	pass_on(x);
	return true;
}

static void receive(struct web_fetch *x)
{
	const ssize_t n = recv(x->fd, x->in + x->in_len, ANSWER_HEAD_MAX - x->in_len, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		x->in_len += (size_t)n;
		(void)take_bytes(x);
	} else if (x->fields && x->framing.kind == HTTP_BODY_TO_END) {
		take_end(x);
	} else if (x->failed) {
		fail_as_told(x);
	} else {
		fetch_fail(x, too_early);
	}
}

/* The code is told what was sent on of the pieces that it has given. */
static void tell_sent(struct web_fetch *x)
{
	if (x->untold)
		fetch_send(x,
			   json_pack("{s:s, s:I, s:I}", "op", "took", "id", x->id, "bytes",
				     (json_int_t)x->untold),
			   NULL, 0);
	x->untold = 0;
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
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			x->out_at = x->out_len;
		if (x->out_at == x->out_len) {
			x->out_at = x->out_len = 0;
			tell_sent(x);
		}
		watch(x);
	}
	/* One that is full is told of its end when the code has taken some of it. */
	if (x->way < WINDOW && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		receive(x);
	else if (x->way >= WINDOW && (events & (EPOLLHUP | EPOLLERR)))
		(void)sd_event_source_set_enabled(x->io, SD_EVENT_OFF);
	return 0;
}

/* What the code says of a fetch that is under way. */

static struct web_fetch *find_fetch(struct web_channel *c, json_int_t id)
{
	struct web_fetch *x;

	LIST_FOREACH(x, &c->version->worker->project->web->fetches, next)
		if (x->id == id && strcmp(x->run, c->run) == 0)
			return x;
	return NULL;
}

/* Adds to what is to be sent. False: it was failed. */
static bool add_out(struct web_fetch *x, const void *bytes, size_t len)
{
	if (x->out_size - x->out_len < len) {
		const size_t size = 2 * (x->out_len + len);
		char *more = x->project->web->fetch_bytes + size - x->out_size > FETCH_BYTES_MAX
				     ? NULL
				     : realloc(x->out, size);

		if (!more) {
			fetch_fail(x, "the project has too many bytes of requests and answers "
				      "between workers at a time");
			return false;
		}
		x->out = more;
		x->out_size = size;
		charge(x);
	}
	memcpy(x->out + x->out_len, bytes, len);
	x->out_len += len;
	return true;
}

static void take_piece(struct web_fetch *x, const struct web_channel *c, const json_t *head)
{
	const size_t len = c->line.in.body_len;
	const bool last = json_is_true(json_object_get(head, "last"));
	char size[24];
	int n;

	if (!x->uploads)
		return;
	if (json_object_get(head, "broken")) {
		fetch_fail(x, "the request's body has broken off");
		return;
	}
	if (x->untold + len > WINDOW + PIECE_MAX) {
		fetch_fail(x, "the request's body comes faster than it may");
		return;
	}
	n = snprintf(size, sizeof(size), "%zx\r\n", len);
	if (len && (!add_out(x, size, (size_t)n) || !add_out(x, c->line.in.body, len) ||
		    !add_out(x, "\r\n", 2)))
		return;
	x->untold += len;
	x->uploads = !last;
	if (last && !add_out(x, "0\r\n\r\n", 5))
		return;
	watch(x);
}

void web_service_take(struct web_channel *c, const char *op, const json_t *head)
{
	struct web_fetch *x = find_fetch(c, json_integer_value(json_object_get(head, "id")));
	const json_int_t bytes = json_integer_value(json_object_get(head, "bytes"));

	/* It may be over already. */
	if (!x)
		return;
	if (strcmp(op, "piece") == 0) {
		take_piece(x, c, head);
	} else if (strcmp(op, "cancel") == 0) {
		if (x->told)
			fetch_free(x);
		else
			fetch_fail(x, "nobody waits for the answer any more");
	} else if (bytes > 0) {
		x->way -= (size_t)bytes < x->way ? (size_t)bytes : x->way;
		if (x->io)
			(void)sd_event_source_set_enabled(x->io, SD_EVENT_ON);
		watch(x);
	}
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
	const size_t len = x->uploads ? 0 : c->line.in.body_len;
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
	if (x->uploads)
		(void)fputs("Transfer-Encoding: chunked\r\n", out);
	else if (len || (strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0))
		(void)fprintf(out, "Content-Length: %zu\r\n", len);
	(void)fputs("\r\n", out);
	if (len)
		(void)fwrite(c->line.in.body, 1, len, out);
	if (fclose(out) != 0 || !x->out)
		return -ENOMEM;
	x->out_size = x->out_len;
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
				.pieces = json_is_true(json_object_get(http, "pieces")),
				.uploads = json_is_true(json_object_get(http, "stream")),
				.in = malloc(ANSWER_HEAD_MAX),
				.fd = -1};
	memcpy(x->run, c->run, sizeof(x->run));
	c->line.held += x->held;
	LIST_INSERT_HEAD(&p->web->fetches, x, next);
	p->web->n_fetches++;
	timer_set(c->f, &x->late, util_monotonic_ns() + LATE_NS, is_late);
	status = x->in ? compose(x, c, b, &r, http) : -ENOMEM;
	charge(x);
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
