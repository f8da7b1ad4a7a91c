/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP server, by libmicrohttpd in the front's own loop: requests are read whole (within
 * bounds of size and time), authorised, and handed to the row of the table that they match.
 */
#ifndef SUPERVISOR_FRONT_SERVE_HTTP_HTTP_H
#define SUPERVISOR_FRONT_SERVE_HTTP_HTTP_H

#include <jansson.h>

#include "supervisor/front/core/project.h"

#define HTTP_BODY_MAX (8u << 20)     /* of a row with a reader */
#define HTTP_BODY_SHORT (16u << 10)  /* of any other; what is read in the loop itself */
#define HTTP_UPLOAD_MAX (256u << 20) /* of a zip; a project's package_bytes may be less */
#define HTTP_PARTS_MAX 4	     /* placeholders of one path */

/* One request; the server's, valid until it is answered. */
struct http_request {
	struct front *f;
	const char *method, *path;
	struct project *project; /* whose token came along; NULL where the row needs none */
	bool operator;		 /* an operator's token: every project, node-wide rows */
	const char
		*parts[HTTP_PARTS_MAX]; /* what stood for the row's {}: decoded, no '/', no NUL */
	char *body;			/* len bytes and a NUL */
	size_t len;
	int upload_fd; /* multipart's part "file": an unlinked file at offset 0; else -1 */
	uint64_t upload_len;
	char *upload_data; /* its part "data" */
	void *read;	   /* what the row's reader has made of it or of the body; owned */
	void *priv;	   /* http.c's */
};

/* The decoded value of a query parameter, or NULL. */
const char *http_param(const struct http_request *r, const char *name);
const char *http_header(const struct http_request *r, const char *name);

enum http_auth { HTTP_OPEN, HTTP_PROJECT /* {0} is its id */, HTTP_TOKEN, HTTP_OPERATOR };

/*
 * 0: it has answered, or will (http_later). -errno with *e: the server answers, by
 * err_http_status(e->code), {"msg": e->msg}.
 */
typedef int (*http_fn)(struct http_request *r, struct err *e);
/*
 * What a row makes of a body, or of an upload's part "data", before its handler is called. The
 * functions look at their arguments alone: that of a long body is a thread's (http_read.h).
 */
struct http_reader {
	bool (*strict)(const struct http_request *r);
	int (*read)(const char *text, size_t len, bool strict, void **ret, struct err *e);
	void (*free)(void *what);
};
struct http_route {
	const char *method;
	const char *path; /* "/2/projects/{}/tasks/{}/cancel" */
	enum http_auth auth;
	bool upload; /* takes multipart/form-data up to HTTP_UPLOAD_MAX */
	http_fn fn;
	const struct http_reader *reader;
	size_t body_max; /* 0: HTTP_BODY_MAX with a reader, else HTTP_BODY_SHORT */
};
/* Tables; each ends with a row of NULLs. */
extern const struct http_route http_routes_iron[], http_routes_api[], http_routes_node[];

/* Answers; each steals its reference and ends the request. */
void http_json(struct http_request *r, unsigned status, json_t *reply);
void http_text(struct http_request *r, unsigned status, const char *type, const char *text,
	       size_t len);
/* The file from offset 0; takes fd. name: of the download, or NULL. */
void http_file(struct http_request *r, const char *type, const char *name, int fd);
void http_error(struct http_request *r, const struct err *e);
/* The answer comes later, from outside the handler. If the client leaves meanwhile, gone(arg)
 * is called once, and r must not be used again. */
void http_later(struct http_request *r, void (*gone)(void *arg), void *arg);

/* A task's log. streams: LOG_STREAM bits. As text/plain, what there is now; or as
 * text/event-stream until it ends, resumable by Last-Event-ID. */
int http_log_text(struct http_request *r, const char *task_id, unsigned streams, struct err *e);
int http_log_events(struct http_request *r, const char *task_id, unsigned streams, bool live,
		    struct err *e);

/* Serves the rows of these tables, which are there as long as it is. cfg.http_fd < 0: no server. */
int http_init(struct front *f, const struct http_route *const *tables, unsigned n_tables,
	      struct err *e);
void http_clear(struct front *f);
/* Ends what is being read with tokens that were revoked. */
extern const struct listener http_listener;
/* Where it listens: "127.0.0.1:8080"; "" without a server. */
const char *http_address(const struct front *f);

#endif
