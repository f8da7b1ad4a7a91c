// SPDX-License-Identifier: Apache-2.0
/* Answers. Each ends the request, which may have waited for it. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "supervisor/front/serve/http/internal.h"

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

static void respond(struct http_req *r, unsigned status, struct MHD_Response *response)
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

void http_respond(struct http_req *r, unsigned status, const char *type,
		  struct MHD_Response *response)
{
	add_common(response, type, DATA_CSP);
	http_header_add(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	respond(r, status, response);
}

void http_respond_page(struct http_req *r, unsigned status, const char *type, const char *etag,
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
	http_respond(http_req_of(r), status, JSON_TYPE, json_response(reply));
}

void http_text(struct http_request *r, unsigned status, const char *type, const char *text,
	       size_t len)
{
	/* It is copied: libmicrohttpd declares what it only reads without const. */
	http_respond(http_req_of(r), status, type,
		     MHD_create_response_from_buffer(len, (void *)(uintptr_t)text,
						     MHD_RESPMEM_MUST_COPY));
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
	http_respond(http_req_of(pub), MHD_HTTP_OK, type, response);
}

/* Text that is not UTF-8 must not cost the client its answer. */
static json_t *message(const char *text)
{
	json_t *msg = json_string(text);

	return json_pack("{s:o}", "msg",
			 msg ? msg : json_string("the request holds text that is not UTF-8"));
}

static void refuse(struct http_req *r, unsigned status, unsigned retry_s, const char *text)
{
	struct MHD_Response *response = json_response(message(text));
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
	refuse(http_req_of(r), status, status == MHD_HTTP_SERVICE_UNAVAILABLE ? RETRY_S : 0,
	       e->msg);
}

void http_refuse(struct http_req *r, unsigned status, unsigned retry_s, const char *fmt, ...)
{
	char text[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	refuse(r, status, retry_s, text);
}
