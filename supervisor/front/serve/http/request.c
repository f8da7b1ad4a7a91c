// SPDX-License-Identifier: Apache-2.0
/*
 * One request, in the order of libmicrohttpd's calls: its first line (http_exchange_new), its
 * headers (the first http_exchange_handle), its body, its end, and after http_wake again until
 * there is an answer (http_exchange_done). Before that stand the answers, the check of its token,
 * and the reading of its body, which these calls use.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "supervisor/front/run/metrics.h"
#include "supervisor/front/serve/http/internal.h"

/* Answers. Each ends the request, which may have waited for it. */

#define JSON_TYPE "application/json"
#define RETRY_S 1u

void http_header_add(struct MHD_Response *response, const char *name, const char *value)
{
	if (response)
		(void)MHD_add_response_header(response, name, value);
}

/* What comes of tasks is never run by a browser, whatever it calls itself. */
#define DATA_CSP "default-src 'none'; frame-ancestors 'none'; sandbox"
#define PAGE_CSP                                                                                   \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "          \
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static void respond(struct http_exchange *r, unsigned status, struct MHD_Response *response)
{
	/* The first answer counts: a second one is a handler's mistake. */
	if (!response || r->response || r->dead) {
		if (response)
			MHD_destroy_response(response);
		if (r->response)
			return;
		http_leave(r); /* out of memory */
		return;
	}
	r->response = response;
	r->status = status;
	r->gone = NULL;
	http_wake(r);
}

static void add_common(struct MHD_Response *response, const char *type, const char *csp)
{
	http_header_add(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	http_header_add(response, "X-Content-Type-Options", "nosniff");
	http_header_add(response, "Referrer-Policy", "no-referrer");
	http_header_add(response, "Content-Security-Policy", csp);
}

void http_respond(struct http_exchange *r, unsigned status, const char *type,
		  struct MHD_Response *response)
{
	add_common(response, type, DATA_CSP);
	http_header_add(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	respond(r, status, response);
}

void http_respond_bare(struct http_exchange *r, unsigned status, struct MHD_Response *response)
{
	respond(r, status, response);
}

void http_respond_page(struct http_exchange *r, unsigned status, const char *type, const char *etag,
		       struct MHD_Response *response)
{
	add_common(response, type, PAGE_CSP);
	http_header_add(response, MHD_HTTP_HEADER_ETAG, etag);
	http_header_add(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
	respond(r, status, response);
}

static struct MHD_Response *json_response(json_t *reply)
{
	char *text = reply ? json_dumps(reply,
					JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9))
			   : NULL;
	struct MHD_Response *response;

	json_decref(reply);
	if (!text)
		return NULL;
	response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (!response)
		free(text);
	return response;
}

void http_json(struct http_request *r, unsigned status, json_t *reply)
{
	struct MHD_Response *response = json_response(reply);

	if (response)
		http_respond(http_exchange_of(r), status, JSON_TYPE, response);
	else
		http_refuse(http_exchange_of(r), MHD_HTTP_INTERNAL_SERVER_ERROR, 0,
			    "the answer cannot be written as JSON");
}

void http_text(struct http_request *r, unsigned status, const char *type, const char *text,
	       size_t len)
{
	/* It is copied: libmicrohttpd declares what it only reads without const. */
	http_respond(http_exchange_of(r), status, type,
		     MHD_create_response_from_buffer(len, (void *)(uintptr_t)text,
						     MHD_RESPMEM_MUST_COPY));
}

/* What is sent of a long answer in one turn: the kernel would take all of it at once from a buffer, while
 * its client reads, and nobody else would be served. */
#define SEND_BLOCK (128u << 10)

struct long_bytes {
	char *bytes; /* owned */
	size_t len;
};

static ssize_t read_long(void *arg, uint64_t at, char *buf, size_t max)
{
	const struct long_bytes *x = arg;
	const size_t n = at < x->len ? MIN(x->len - at, max) : 0;

	if (n == 0)
		return MHD_CONTENT_READER_END_OF_STREAM;
	memcpy(buf, x->bytes + at, n);
	/* It is read once, from its beginning. */
	util_discard(x->bytes, at, at + n);
	return (ssize_t)n;
}

static void free_long(void *arg)
{
	struct long_bytes *x = arg;

	free(x->bytes);
	free(x);
}

static struct MHD_Response *bytes_response(char *bytes, size_t len)
{
	struct MHD_Response *response;
	struct long_bytes *x;

	if (len <= SEND_BLOCK)
		return MHD_create_response_from_buffer(len, bytes, MHD_RESPMEM_MUST_FREE);
	x = malloc(sizeof(*x));
	if (!x)
		return NULL;
	*x = (struct long_bytes){bytes, len};
	response = MHD_create_response_from_callback(len, SEND_BLOCK, read_long, x, free_long);
	if (!response)
		free(x);
	return response;
}

void http_bytes(struct http_request *r, const char *type, char *bytes, size_t len,
		const char *const *headers)
{
	struct MHD_Response *response = bytes_response(bytes, len);

	if (!response)
		free(bytes);
	for (; headers && headers[0]; headers += 2)
		http_header_add(response, headers[0], headers[1]);
	http_respond(http_exchange_of(r), MHD_HTTP_OK, type, response);
}

/* Nothing of a name may end the header or its quotes. */
static void attachment(const char *name, char *buf, size_t size)
{
	size_t n = (size_t)snprintf(buf, size, "attachment; filename=\"");

	for (; *name && n + 2 < size; name++)
		buf[n++] = *name > 0x20 && *name < 0x7f && !strchr("\"\\/%", *name) ? *name : '_';
	buf[n++] = '"';
	buf[n] = '\0';
}

void http_file(struct http_request *pub, const char *type, const char *name, int fd)
{
	_cleanup_fd_ int file = fd;
	struct MHD_Response *response;
	struct err e = {0};
	char text[200];
	struct stat st;

	if (fstat(file, &st) < 0 || !S_ISREG(st.st_mode)) {
		(void)err_set(&e, ERR_SYSTEM, 0, "the file cannot be read");
		http_error(pub, &e);
		return;
	}
	response = MHD_create_response_from_fd64((uint64_t)st.st_size, file);
	if (response)
		(void)TAKE_FD(file);
	if (name) {
		attachment(name, text, sizeof(text));
		http_header_add(response, MHD_HTTP_HEADER_CONTENT_DISPOSITION, text);
	}
	http_respond(http_exchange_of(pub), MHD_HTTP_OK, type, response);
}

/* Text that is not UTF-8 must not cost the client its answer. */
static json_t *message(const char *text)
{
	json_t *msg = json_string(text);

	return json_pack("{s:o}", "msg",
			 msg ? msg : json_string("the request holds text that is not UTF-8"));
}

static void refuse(struct http_exchange *r, unsigned status, unsigned retry_s, const struct err *e,
		   const char *text)
{
	const struct http_dialect *d = r->pub.route ? r->pub.route->dialect : NULL;
	struct MHD_Response *response =
		json_response(d ? d->error(&r->pub, status, e, text) : message(text));
	char number[16];

	if (retry_s) {
		(void)snprintf(number, sizeof(number), "%u", retry_s);
		http_header_add(response, MHD_HTTP_HEADER_RETRY_AFTER, number);
	}
	if (status == MHD_HTTP_UNAUTHORIZED)
		http_header_add(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
				"Bearer realm=\"sandboxd\"");
	http_respond(r, status, JSON_TYPE, response);
}

void http_error(struct http_request *r, const struct err *e)
{
	unsigned status = (unsigned)err_http_status(e->code);

	/* Not that the request is too large: it may be sent again as it is. */
	if (e->code == ERR_LIMIT && e->errnum == ENOSPC)
		status = MHD_HTTP_INSUFFICIENT_STORAGE;
	refuse(http_exchange_of(r), status, status == MHD_HTTP_SERVICE_UNAVAILABLE ? RETRY_S : 0, e,
	       e->msg);
}

void http_refuse(struct http_exchange *r, unsigned status, unsigned retry_s, const char *fmt, ...)
{
	char text[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	refuse(r, status, retry_s, NULL, text);
}

/* Whose request it is, whether he may, and whether it is one too many. */

#define FAILED_RATE 100u /* wrong tokens a second, of everybody together */
#define FAILED_BURST_S 1u
#define BURST_S 2u

bool http_rate_take(uint64_t *next_ns, uint64_t now_ns, uint64_t rate, uint64_t burst_s)
{
	uint64_t next = *next_ns > now_ns ? *next_ns : now_ns;

	next += SEC / rate;
	if (next - now_ns > burst_s * SEC)
		return false;
	*next_ns = next;
	return true;
}

static int refuse_token(struct http_exchange *r, bool given)
{
	if (!http_rate_take(&r->http->failed_next_ns, r->started_ns, FAILED_RATE, FAILED_BURST_S))
		http_refuse(r, MHD_HTTP_TOO_MANY_REQUESTS, RETRY_S,
			    "too many requests with wrong tokens: try again later");
	else
		http_refuse(
			r, MHD_HTTP_UNAUTHORIZED, 0, "%s",
			given ? "the token is not valid"
			      : "a token is needed: Authorization: OAuth TOKEN, or ?oauth=TOKEN");
	return -EACCES;
}

static int check_rate(struct http_exchange *r)
{
	struct http *h = r->http;
	uint64_t rate = h->f->cfg.http_rate ? h->f->cfg.http_rate : HTTP_RATE;

	/* Operators are not slowed down: they are who looks when something is. */
	if (r->pub.operator||
	    http_rate_take(&h->project_next_ns[r->pub.project->slot % PROJECTS_MAX], r->started_ns,
			   rate, BURST_S))
		return 0;
	http_refuse(r, MHD_HTTP_TOO_MANY_REQUESTS, RETRY_S,
		    "more than %llu requests a second: try again later", (unsigned long long)rate);
	return -EBUSY;
}

/* Another's project is as one that is not there. */
static int check_project(struct http_exchange *r)
{
	struct project *p = r->pub.project;

	if (r->pub.operator)
		p = project_by_id(r->http->f, r->pub.parts[0]);
	else if (strcmp(p->id, r->pub.parts[0]) != 0)
		p = NULL;
	if (!p) {
		http_refuse(r, MHD_HTTP_NOT_FOUND, 0, "Not found");
		return -ENOENT;
	}
	r->pub.project = p;
	return 0;
}

/* A token that stands there without a scheme; NULL: none. */
static const char *token_alone(struct http_exchange *r)
{
	const struct http_dialect *d = r->pub.route->dialect;
	const char *text = d && d->token_header ? http_header(&r->pub, d->token_header) : NULL;

	return text ? text : http_param(&r->pub, "oauth");
}

const char *http_token(const struct http_request *pub)
{
	return http_token_text(http_header(pub, MHD_HTTP_HEADER_AUTHORIZATION),
			       token_alone(http_exchange_of(pub)));
}

static struct project *project_of(struct http_exchange *r, bool *ret_operator)
{
	const char *token = http_token(&r->pub);

	const struct http_dialect *d = r->pub.route->dialect;
	struct project *p;

	*ret_operator = false;
	if (!token)
		return NULL;
	p = project_by_token(r->http->f, token, strlen(token), ret_operator);
	return p || !d || !d->holder ? p : d->holder(r->http->f, token);
}

bool http_is_revoked(struct http_exchange *r)
{
	bool is_operator;

	return r->pub.route && r->pub.route->who != WHO_ANYBODY && !project_of(r, &is_operator);
}

/* 0, or an answer was given. again: it was asked before, and the token, or the project with it, may
 * have gone while the body came. */
static int authorise(struct http_exchange *r, bool again)
{
	int status;

	r->pub.project = project_of(r, &r->pub.operator);
	if (r->pub.route->who == WHO_ANYBODY)
		return 0;
	if (!r->pub.project)
		return refuse_token(r, http_header(&r->pub, MHD_HTTP_HEADER_AUTHORIZATION) ||
					       token_alone(r));
	status = again ? 0 : check_rate(r);
	if (status == 0 && r->pub.route->who == WHO_PROJECT)
		status = check_project(r);
	if (status == 0 && r->pub.route->who == WHO_OPERATOR && !r->pub.operator) {
		http_refuse(r, MHD_HTTP_FORBIDDEN, 0, "this needs an operator's token");
		status = -EACCES;
	}
	return status;
}

/*
 * A request's body: one piece of memory within bounds; or an upload, whose file goes to disk
 * as it arrives.
 */

#define BODY_STEP 1024u
#define UPLOAD_DATA_MAX (1u << 20) /* of part "data": a config of 64 KiB, escaped, and more */
#define PARSER_BUFFER (32u << 10)

static size_t body_max(const struct http_route *row)
{
	if (row->body_max)
		return row->body_max;
	return row->reader ? HTTP_BODY_MAX : HTTP_BODY_SHORT;
}

static int body_grow(struct http_exchange *r, size_t want)
{
	size_t size = r->body_allocated ? r->body_allocated : BODY_STEP;
	struct http *h = r->http;
	size_t more;
	char *body;

	if (want <= r->body_allocated)
		return 0;
	while (size < want)
		size *= 2;
	/* A long one has what it may have, and not twice as much. */
	if (size > body_max(r->pub.route) && want <= body_max(r->pub.route) + 1)
		size = body_max(r->pub.route) + 1;
	/* Its project may go before it does. */
	if (!r->body_allocated)
		r->body_holder = http_holder(r);
	more = size - r->body_allocated;
	/* No more than are left for others, so that there are always some for one more project. */
	if (h->body_bytes + more > HTTP_BODIES_MAX ||
	    h->bodies[r->body_holder] + more > HTTP_BODIES_MAX - (h->body_bytes + more))
		return -ENOBUFS;
	body = realloc(r->pub.body, size);
	if (!body)
		return -ENOMEM;
	r->pub.body = body;
	h->body_bytes += more;
	h->bodies[r->body_holder] += more;
	r->body_allocated = size;
	return 0;
}

void http_body_take(struct http_exchange *r, struct http_body *ret)
{
	*ret = (struct http_body){r->pub.body, r->pub.len, r->body_allocated, r->body_holder};
	r->pub.body = NULL;
	r->pub.len = r->body_allocated = 0;
}

void http_body_drop(struct http *h, struct http_body *body)
{
	h->body_bytes -= body->allocated;
	h->bodies[body->holder] -= body->allocated;
	free(body->text);
	*body = (struct http_body){0};
}

static void body_release(struct http_exchange *r)
{
	struct http_body body;

	http_body_take(r, &body);
	http_body_drop(r->http, &body);
}

static void refuse_longer(struct http_exchange *r, size_t max)
{
	const bool big = max >= 1u << 20;

	http_refuse(r, MHD_HTTP_CONTENT_TOO_LARGE, 0, "the body is longer than %zu %s",
		    max >> (big ? 20 : 10), big ? "MiB" : "KiB");
}

static void upload_free(struct http_exchange *r)
{
	struct http_upload *u = TAKE_PTR(r->upload);

	if (!u)
		return;
	if (u->parser)
		(void)MHD_destroy_post_processor(u->parser);
	explicit_bzero(&u->form, sizeof(u->form));
	util_close_fd(&u->fd);
	free(u->data);
	r->http->n_uploads--;
	r->http->uploads[u->holder]--;
	free(u);
}

static void body_free(struct http_exchange *r)
{
	upload_free(r);
	body_release(r);
	util_close_fd(&r->pub.upload_fd);
	util_free_ptr(&r->pub.upload_data);
	http_form_free(&r->pub.form);
}

int http_upload_fail(struct http_upload *u, unsigned status, const char *text)
{
	if (!u->status) {
		u->status = status;
		(void)err_set(&u->e, ERR_INPUT, 0, "%s", text);
	}
	return -EINVAL;
}

static enum MHD_Result upload_fail(struct http_upload *u, unsigned status, const char *text)
{
	(void)http_upload_fail(u, status, text);
	return MHD_NO;
}

static enum MHD_Result add_data(struct http_upload *u, const char *data, size_t len, bool first)
{
	char *grown;

	if (first && u->data)
		return upload_fail(u, MHD_HTTP_BAD_REQUEST, "data: the form has two parts of it");
	if (len > UPLOAD_DATA_MAX - u->data_len)
		return upload_fail(u, MHD_HTTP_CONTENT_TOO_LARGE, "data: more than 1 MiB");
	grown = realloc(u->data, u->data_len + len + 1);
	if (!grown)
		return upload_fail(u, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
	u->data = grown;
	memcpy(u->data + u->data_len, data, len);
	u->data_len += len;
	u->data[u->data_len] = '\0';
	if (memchr(data, '\0', len))
		return upload_fail(u, MHD_HTTP_BAD_REQUEST, "data: holds a NUL");
	return MHD_YES;
}

static enum MHD_Result add_file(struct http_exchange *r, const char *data, size_t len, bool first)
{
	struct http_upload *u = r->upload;

	if (first && u->fd >= 0)
		return upload_fail(u, MHD_HTTP_BAD_REQUEST, "file: the form has two parts of it");
	if (u->fd < 0)
		u->fd = http_open_unnamed(r->http->f->cfg.packages_dirfd);
	if (u->fd < 0)
		return upload_fail(u, MHD_HTTP_INSUFFICIENT_STORAGE,
				   "file: there is no room for it on the server");
	if (len > HTTP_UPLOAD_MAX - u->len)
		return upload_fail(u, MHD_HTTP_CONTENT_TOO_LARGE, "file: more than 256 MiB");
	if (util_write_all(u->fd, data, len) < 0)
		return upload_fail(u, MHD_HTTP_INSUFFICIENT_STORAGE,
				   "file: there is no room for it on the server");
	u->len += len;
	return MHD_YES;
}

static enum MHD_Result on_part(void *cls, enum MHD_ValueKind kind, const char *key,
			       const char *filename, const char *content_type,
			       const char *transfer_encoding, const char *data, uint64_t off,
			       size_t size)
{
	struct http_exchange *r = cls;

	(void)kind;
	(void)filename;
	(void)content_type;
	(void)transfer_encoding;
	if (key && strcmp(key, "data") == 0)
		return add_data(r->upload, data, size, off == 0);
	if (key && strcmp(key, "file") == 0)
		return add_file(r, data, size, off == 0);
	return MHD_YES; /* of a newer client's */
}

static int upload_begin(struct http_exchange *r, const char *type)
{
	struct http *h = r->http;
	const unsigned of_one = h->uploads[http_holder(r)];

	/* No more than are left for others, so that there is always one for one more project. */
	if (of_one >= HTTP_UPLOADS_OF_ONE_MAX || of_one >= HTTP_UPLOADS_MAX - h->n_uploads) {
		http_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, RETRY_S,
			    "%u uploads are going on, %u of this project's: try again later",
			    h->n_uploads, of_one);
		return -EBUSY;
	}
	r->upload = calloc(1, sizeof(*r->upload));
	if (r->upload) {
		h->n_uploads++;
		r->upload->holder = http_holder(r);
		h->uploads[r->upload->holder]++;
		r->upload->fd = -1;
		if (r->pub.route->upload)
			r->upload->parser =
				MHD_create_post_processor(r->mhd, PARSER_BUFFER, on_part, r);
		else if (multipart_begin(&r->upload->form, type, &r->upload->e) > 0)
			http_form_begin(r);
	}
	if (r->upload && (r->upload->parser || r->upload->form.part))
		return 0;
	upload_free(r);
	http_refuse(r, MHD_HTTP_BAD_REQUEST, 0, "the form cannot be read");
	return -EINVAL;
}

static int body_begin(struct http_exchange *r)
{
	const char *type = http_header(&r->pub, MHD_HTTP_HEADER_CONTENT_TYPE);
	const char *text = http_header(&r->pub, MHD_HTTP_HEADER_CONTENT_LENGTH);
	struct err e = {0};
	uint64_t len = 0;
	size_t max;
	int r2;

	r2 = r->pub.route->upload || r->pub.route->form_max ? http_multipart_check(type, &e) : 0;
	if (r2 < 0) {
		http_error(&r->pub, &e);
		return r2;
	}
	/* A form is longer than the file in it, but not by much. */
	max = !r2		       ? body_max(r->pub.route)
	      : r->pub.route->form_max ? r->pub.route->form_max
				       : HTTP_UPLOAD_MAX;
	if (text &&
	    (http_number(text, &len) < 0 || len > max + (r2 ? 2ULL * UPLOAD_DATA_MAX : 0))) {
		refuse_longer(r, max);
		return -E2BIG;
	}
	return r2 ? upload_begin(r, type) : 0;
}

static void body_add(struct http_exchange *r, const char *data, size_t len)
{
	int status;

	if (r->upload) {
		struct http_upload *u = r->upload;

		if (!u->status && u->parser)
			(void)MHD_post_process(u->parser, data, len);
		else if (!u->status && multipart_feed(&u->form, data, len, &u->e) < 0 && !u->status)
			u->status = MHD_HTTP_BAD_REQUEST;
		return;
	}
	if (len > body_max(r->pub.route) - r->pub.len) {
		body_release(r);
		refuse_longer(r, body_max(r->pub.route));
		return;
	}
	status = body_grow(r, r->pub.len + len + 1);
	if (status < 0) {
		body_release(r);
		http_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, RETRY_S,
			    "the server holds too many requests: try again later");
		return;
	}
	memcpy(r->pub.body + r->pub.len, data, len);
	r->pub.len += len;
	r->pub.body[r->pub.len] = '\0';
}

static void upload_end(struct http_exchange *r)
{
	struct http_upload *u = r->upload;
	enum MHD_Result whole = MHD_YES;

	if (u->parser)
		whole = MHD_destroy_post_processor(TAKE_PTR(u->parser));
	else if (!u->status && multipart_end(&u->form, &u->e) < 0)
		u->status = MHD_HTTP_BAD_REQUEST;
	if (!u->status && whole != MHD_YES)
		(void)upload_fail(u, MHD_HTTP_BAD_REQUEST, "the form ends in the middle of a part");
	if (u->status) {
		http_refuse(r, u->status, 0, "%s", u->e.msg);
	} else {
		if (u->fd >= 0)
			(void)lseek(u->fd, 0, SEEK_SET);
		r->pub.upload_fd = TAKE_FD(u->fd);
		r->pub.upload_len = u->len;
		r->pub.upload_data = TAKE_PTR(u->data);
	}
	upload_free(r);
}

static void body_end(struct http_exchange *r)
{
	if (r->upload)
		upload_end(r);
	/* No handler meets NULL; a request without a body takes nothing of what bodies share. */
	if (!r->pub.body)
		r->pub.body = calloc(1, 1);
	if (!r->pub.body)
		http_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, RETRY_S,
			    "the server has no memory: try again later");
	else
		r->pub.body[r->pub.len] = '\0';
}

#define REQUEST_NS (60 * SEC) /* from its first line to its last byte */
/* A slower client is one that wants to be slow. */
#define RATE_MIN (16u << 10) /* bytes a second, of what is longer */

void *http_exchange_new(void *cls, const char *uri, struct MHD_Connection *mhd)
{
	struct http_exchange *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->http = cls;
	r->mhd = mhd;
	r->pub.f = r->http->f;
	r->pub.upload_fd = r->pub.form.fd = -1;
	r->pub.priv = r;
	r->started_ns = util_monotonic_ns();
	r->uri = strdup(uri);
	r->path = r->uri ? http_target_path(uri) : NULL;
	if (!r->path) {
		free(r->uri);
		free(r);
		return NULL;
	}
	(void)http_target_parse(r->uri, &r->target, &r->uri_error);
	return r;
}

static void req_free(struct http_exchange *r)
{
	(void)sd_event_source_disable_unref(r->watch);
	if (r->counted) {
		r->http->n_begun--;
		r->http->begun[r->begun_holder]--;
	}
	if (r->response)
		MHD_destroy_response(r->response);
	body_free(r);
	if (r->pub.read)
		r->pub.route->reader->free(r->pub.read);
	free(r->pub.detail);
	if (r->ws)
		http_ws_free(r->ws);
	free(r->path);
	free(r->uri);
	free(r);
}

void http_exchange_done(void *cls, struct MHD_Connection *mhd, void **req,
			enum MHD_RequestTerminationCode how)
{
	struct http_exchange *r = *req;
	void (*gone)(void *arg);

	(void)cls;
	(void)mhd;
	(void)how;
	*req = NULL;
	if (!r)
		return;
	gone = TAKE_PTR(r->gone);
	if (gone)
		gone(r->gone_arg);
	if (r->conn) {
		r->conn->req = NULL;
		r->conn->reading = true;
		r->conn->deadline_ns = util_monotonic_ns() + REQUEST_NS;
	}
	req_free(r);
}

void http_leave(struct http_exchange *r)
{
	void (*gone)(void *arg) = TAKE_PTR(r->gone);

	r->dead = true;
	if (gone)
		gone(r->gone_arg);
	http_wake(r);
}

/*
 * libmicrohttpd does not look at a suspended connection. A client that has shut its sending side may
 * still read the answer. Whether it does is seen when something is sent to it (a log sends a ping), or
 * when the client's machine answers with a reset because it has forgotten the connection.
 */
static int on_hang_up(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	static const int on = 1, after_s = 20;
	struct http_exchange *r = arg;

	if (events & (EPOLLHUP | EPOLLERR)) {
		http_leave(r);
		return 0;
	}
	(void)sd_event_source_set_io_events(s, 0);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &after_s, sizeof(after_s));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &after_s, sizeof(after_s));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	r->half = true;
	if (r->stream)
		http_wake(r);
	return 0;
}

void http_sleep(struct http_exchange *r)
{
	if (r->suspended)
		return;
	r->suspended = true;
	MHD_suspend_connection(r->mhd);
	if (r->conn)
		(void)sd_event_add_io(r->http->f->event, &r->watch, r->conn->fd,
				      r->half ? 0 : EPOLLRDHUP, on_hang_up, r);
}

void http_wake(struct http_exchange *r)
{
	if (!r->suspended)
		return;
	r->suspended = false;
	r->watch = sd_event_source_disable_unref(r->watch);
	MHD_resume_connection(r->mhd);
	http_poke(r->http);
}

void http_later(struct http_request *pub, void (*gone)(void *arg), void *arg)
{
	struct http_exchange *r = http_exchange_of(pub);

	r->later = true;
	r->gone = gone;
	r->gone_arg = arg;
}

const char *http_param(const struct http_request *pub, const char *name)
{
	return http_target_param(&http_exchange_of(pub)->target, name);
}

const char *http_header(const struct http_request *pub, const char *name)
{
	return MHD_lookup_connection_value(http_exchange_of(pub)->mhd, MHD_HEADER_KIND, name);
}

/* A page of another site must not reach this one by a name of its own that it has lead here. */
static int check_host(struct http_exchange *r)
{
	const char *host = r->target.authority;

	/* RFC 9112, 3.2.2: a target with a host in it goes before the header. */
	if (!host)
		host = http_header(&r->pub, MHD_HTTP_HEADER_HOST);
	if (!r->http->loopback || r->conn->by_edge || !host || http_host_is_loopback(host))
		return 0;
	http_refuse(r, MHD_HTTP_MISDIRECTED_REQUEST, 0,
		    "Host: this server listens on loopback alone: use localhost or 127.0.0.1");
	return -EACCES;
}

static int find_route(struct http_exchange *r)
{
	char allow[HTTP_ALLOW_MAX];

	r->pub.route = http_route_find(r->http->tables, r->http->n_tables, r->pub.method,
				       &r->target, r->pub.parts, allow);
	if (r->pub.route)
		return 0;
	if (r->target.slashed) {
		http_refuse(r, MHD_HTTP_BAD_REQUEST, 0, "a part of the path has '/' in it");
		return -EINVAL;
	}
	if (!*allow) {
		http_refuse(r, MHD_HTTP_NOT_FOUND, 0, "Not found");
		return -ENOENT;
	}
	http_refuse(r, MHD_HTTP_METHOD_NOT_ALLOWED, 0, "%s is not allowed here: use %s",
		    r->pub.method, allow);
	http_header_add(r->response, MHD_HTTP_HEADER_ALLOW, allow);
	return -EPERM;
}

/* The connection's end goes with it: where the next request begins, nobody knows. */
static int check_screen(struct http_exchange *r)
{
	const struct http_screen *s = r->conn ? &r->conn->screen : NULL;

	if (r->conn && r->conn->by_edge)
		return 0;
	if (!s || r->n_head > s->heads)
		http_refuse(r, MHD_HTTP_INTERNAL_SERVER_ERROR, 0, "the request was not screened");
	else if (s->status && r->n_head == s->heads)
		http_refuse(r, s->status, 0, "%s", s->why);
	else
		return 0;
	http_header_add(r->response, MHD_HTTP_HEADER_CONNECTION, "close");
	r->refused = true;
	return -EINVAL;
}

/* A project may have as many requests as it leaves places to others, so that there is always room for
 * one of a further project. Operators are not bounded: they look when something is wrong. */
static int take_share(struct http_exchange *r)
{
	struct http *h = r->http;
	const unsigned holder = http_holder(r);

	http_conn_hold(r);
	if (!r->pub.project || r->pub.operator)
		return 0;
	if (h->begun[holder] + h->n_begun >= http_conns_room(h)) {
		http_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, RETRY_S,
			    "%u requests are being read or answered, %u of this project's: try "
			    "again later",
			    h->n_begun, h->begun[holder]);
		return -EBUSY;
	}
	r->counted = true;
	r->begun_holder = holder;
	h->begun[holder]++;
	h->n_begun++;
	return 0;
}

/* Its headers are there. */
static void begin(struct http_exchange *r, const char *method)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(r->mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	r->begun = true;
	r->pub.method = method;
	r->pub.path = r->path;
	r->conn = info ? info->socket_context : NULL;
	if (r->conn) {
		r->conn->req = r;
		r->conn->reading = true;
		r->conn->deadline_ns = r->started_ns + REQUEST_NS;
		r->n_head = ++r->conn->n_heads;
	}
	if (check_screen(r) < 0)
		return;
	if (r->uri_error.code) {
		http_refuse(r, MHD_HTTP_BAD_REQUEST, 0, "%s", r->uri_error.msg);
		return;
	}
	if (check_host(r) == 0 && find_route(r) == 0 && authorise(r, false) == 0 &&
	    take_share(r) == 0)
		(void)body_begin(r);
}

/* Of an upload it is the part "data", or a body that says that it is JSON; else there is none. */
static bool has_text(const struct http_exchange *r)
{
	const char *type = http_header(&r->pub, MHD_HTTP_HEADER_CONTENT_TYPE);

	return !r->pub.route->upload || r->pub.upload_data ||
	       (r->pub.len > 0 && type && strncasecmp(type, "application/json", 16) == 0);
}

/* Has the route's reader read the body, for its handler. 0: it is read, or there is no reader. 1: a
 * thread reads it, and the request gets another turn after that. -errno: an answer was given. */
static int body_read(struct http_exchange *r)
{
	const struct http_reader *reader = r->pub.route->reader;
	const struct http_part *part =
		reader && reader->part ? http_form_part(&r->pub, reader->part) : NULL;
	const char *text = part			? part->text
			   : r->pub.upload_data ? r->pub.upload_data
						: r->pub.body;
	size_t len = part ? part->len : r->pub.upload_data ? strlen(text) : r->pub.len;
	struct err e = {0};
	int res;

	if (!reader || r->pub.read || (reader->part ? !part || !part->text : !has_text(r)))
		return 0;
	if (len > HTTP_BODY_SHORT)
		return http_read_later(r, len);
	res = reader->read(text, len, !r->pub.route->lenient, &r->pub.read, &e);
	if (res < 0)
		http_error(&r->pub, &e);
	return res;
}

static void call_now(struct http_exchange *r)
{
	struct err e = {0};

	if (!r->response)
		body_end(r);
	if (r->response || body_read(r) != 0)
		return;
	if (r->pub.route->fn(&r->pub, &e) < 0) {
		http_error(&r->pub, &e);
	} else if (!r->response && !r->later) {
		(void)err_set(&e, ERR_INTERNAL, 0, "%s %s has no answer", r->pub.route->method,
			      r->pub.route->path);
		http_error(&r->pub, &e);
	}
}

/* Its client has left before its turn has come. */
static void turn_gone(void *arg)
{
	struct http_exchange *r = arg;

	turn_take_back(r->http->f, r->holder, TURN_CALL, &r->turn);
}

static bool turn_slice(struct front *f, struct work *w)
{
	struct http_exchange *r =
		(struct http_exchange *)((char *)w - offsetof(struct http_exchange, turn));

	/* Its token, or the project with it, may have gone while it waited. */
	(void)authorise(r, true);
	if (!r->response && change_is_behind(f, turn_holder(r->pub.project)))
		return true;
	r->gone = NULL;
	call_now(r);
	return false;
}

static void turn_drop(struct front *f, struct work *w)
{
	struct http_exchange *r =
		(struct http_exchange *)((char *)w - offsetof(struct http_exchange, turn));

	(void)f;
	r->gone = NULL;
	http_leave(r);
}

void http_call_again(struct http_exchange *r)
{
	r->turn = (struct work){.slice = turn_slice, .drop = turn_drop};
	r->gone = turn_gone;
	r->gone_arg = r;
	turn_add(r->http->f, r->holder, TURN_CALL, &r->turn);
}

/* One request of a project is answered at once; the others that came in the same turn of the loop
 * wait for turns of their own, so that many connections of one do not hold up those of others. */
static void call(struct http_exchange *r)
{
	struct http *h = r->http;

	r->called = true;
	if (check_screen(r) == 0)
		(void)authorise(r, true);
	r->holder = http_holder(r);
	if (r->conn) {
		r->conn->reading = false;
		r->conn->deadline_ns = 0; /* now it is our turn */
		if (!r->conn->by_edge)
			http_recv_hold(r->conn->fd);
	}
	if (r->response)
		return;
	if (h->called_turn[r->holder] != h->turn && turn_is_free(h->f, r->holder, TURN_CALL) &&
	    !change_is_behind(h->f, turn_holder(r->pub.project))) {
		h->called_turn[r->holder] = h->turn;
		call_now(r);
		return;
	}
	http_call_again(r);
}

/* What is written is read by somebody, or the connection goes. */
static enum MHD_Result answer(struct http_exchange *r)
{
	struct MHD_Response *response = TAKE_PTR(r->response);
	enum MHD_Result queued;

	/* There is no next request then, and nobody would tell libmicrohttpd. */
	if (r->conn && !r->conn->by_edge && http_recv_let_go(r->conn->fd))
		http_header_add(response, MHD_HTTP_HEADER_CONNECTION, "close");
	queued = MHD_queue_response(r->mhd, r->status, response);

	r->gone = NULL;
	if (r->conn) {
		r->conn->reading = false;
		r->conn->deadline_ns = r->stream ? 0 : util_monotonic_ns() + 10 * REQUEST_NS;
	}
	if (r->status < HTTP_STATUS_MAX)
		r->http->answers[r->status]++;
	MHD_destroy_response(response);
	body_free(r);
	return queued;
}

/* How much of a body is read at most, be it of use or not: of whom nobody knows, little. */
static uint64_t patience(const struct http_exchange *r)
{
	const bool known = r->pub.route && (r->pub.project || r->pub.route->who == WHO_ANYBODY);

	if (known && (r->pub.route->upload || r->pub.route->form_max))
		return 2ULL * HTTP_UPLOAD_MAX;
	return 2ULL * (known && body_max(r->pub.route) > HTTP_BODY_MAX ? body_max(r->pub.route)
								       : HTTP_BODY_MAX);
}

/*
 * A refusal of a body that has not been asked for by "100 Continue" comes after the body:
 * else the client that is still sending would meet a reset connection, not an answer.
 */
static bool may_answer_early(struct http_exchange *r)
{
	const char *expect = http_header(&r->pub, MHD_HTTP_HEADER_EXPECT);
	const char *len = http_header(&r->pub, MHD_HTTP_HEADER_CONTENT_LENGTH);
	uint64_t n;

	/* Answered now, the connection is closed after it; that costs a request without a
	 * body its next ones. */
	return r->refused || expect || (len && (http_number(len, &n) < 0 || n > patience(r)));
}

/* False: the body is longer than the bound that holds for every client. */
static bool take_body(struct http_exchange *r, const char *data, size_t len)
{
	r->body_seen += len;
	if (r->body_seen > patience(r))
		return false;
	if (r->conn)
		r->conn->deadline_ns = r->started_ns + REQUEST_NS + r->body_seen / RATE_MIN * SEC;
	if (!r->response)
		body_add(r, data, len);
	return true;
}

enum MHD_Result http_exchange_handle(void *cls, struct MHD_Connection *mhd, const char *url,
				     const char *method, const char *version, const char *data,
				     size_t *len, void **req)
{
	struct http_exchange *r = *req;

	(void)cls;
	(void)mhd;
	(void)url;
	(void)version;
	if (!r || r->dead)
		return MHD_NO;
	if (!r->begun) {
		begin(r, method);
		return r->response && may_answer_early(r) ? answer(r) : MHD_YES;
	}
	if (*len > 0) {
		bool taken = take_body(r, data, *len);

		*len = 0;
		return taken ? MHD_YES : MHD_NO;
	}
	if (!r->response && !r->called)
		call(r);
	if (r->response)
		return answer(r);
	/* There was no memory for an answer, and nobody would wake it. */
	if (r->dead)
		return MHD_NO;
	http_sleep(r);
	return MHD_YES;
}
