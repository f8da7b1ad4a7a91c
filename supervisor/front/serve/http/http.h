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

/* A part of a form. */
struct http_part {
	char *name, *file, *type; /* owned; file NULL: it is a field, and no file */
	char *text;		  /* owned: of a field; len bytes and a NUL */
	uint64_t at, len;	  /* of a file: where its bytes are in form.fd */
};
/*
 * What came as multipart/form-data, of a row with form_max. Its files are one after the other in one
 * file without a name: each begins at a block of 512 bytes and has HTTP_FORM_GAP empty ones before it,
 * which is room for what an archive has there.
 */
#define HTTP_FORM_GAP 1536u
#define HTTP_FORM_PARTS_MAX 10000u
#define HTTP_FORM_FIELDS_MAX (1u << 20) /* bytes of all fields */
struct http_form {
	struct http_part *parts;
	size_t n;
	int fd; /* -1: there was no file */
};

/* One request; the server's, valid until it is answered. */
struct http_request {
	struct front *f;
	const char *method, *path;
	struct project *project;	/* whose token came along; NULL where the row needs none */
	bool operator;			/* an operator's token: every project, node-wide rows */
	const struct http_route *route; /* the row that it matches */
	const char
		*parts[HTTP_PARTS_MAX]; /* what stood for the row's {...}: decoded, no NUL, and but
					  for {+..} no '/' */
	char *body;			/* len bytes and a NUL */
	size_t len;
	int upload_fd; /* multipart's part "file": an unlinked file at offset 0; else -1 */
	uint64_t upload_len;
	char *upload_data; /* its part "data" */
	struct http_form form;
	/* What an error's text is followed by for a client that has room for more than a line, as a
	 * traceback; set before the answer, owned. */
	char *detail;
	void *read; /* what the row's reader has made of it or of the body; owned */
	void *priv; /* http.c's */
};

/* The decoded value of a query parameter, or NULL. */
const char *http_param(const struct http_request *r, const char *name);
const char *http_header(const struct http_request *r, const char *name);
/* The token that came along, or NULL; nobody has asked yet whose it is. */
const char *http_token(const struct http_request *r);

/* Who may ask: anybody; with a token of the project whose id stands for the path's first {...}, or
 * an operator's; with any token; with an operator's. */
enum who { WHO_ANYBODY, WHO_PROJECT, WHO_TOKEN, WHO_OPERATOR };

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
	int (*read)(const char *text, size_t len, bool strict, void **ret, struct err *e);
	void (*free)(void *what);
	const char *part; /* of a form: the field that is read, and nothing else; NULL: none */
};
/* Manners of another's API, of a row that is made for its clients. */
struct http_dialect {
	const char *token_header; /* where the token may stand, alone, beside Authorization; NULL */
	/* Whose a token is that is no project's; NULL: nobody's. holder NULL: there are no such tokens. */
	struct project *(*holder)(struct front *f, const char *token);
	/* The body of an error; e NULL: the server itself refuses the request, before its handler is
	 * called. NULL: out of memory. */
	json_t *(*error)(const struct http_request *r, unsigned status, const struct err *e,
			 const char *text);
};
struct http_route {
	const char *method; /* "*": any */
	/* "/2/projects/{project}/tasks/{id}/cancel". A last part "*" stands for any number of parts;
	 * {+key} for one that may have '/' in it, encoded. */
	const char *path;
	enum who who;
	bool upload;  /* takes multipart/form-data up to HTTP_UPLOAD_MAX */
	bool lenient; /* the reader is not to be strict */
	http_fn fn;
	const struct http_reader *reader;
	size_t body_max; /* 0: HTTP_BODY_MAX with a reader, else HTTP_BODY_SHORT */
	uint64_t
		form_max; /* takes multipart/form-data of any parts up to so many bytes; 0: it does not */
	const void *verb;		    /* fn's own */
	const struct http_dialect *dialect; /* NULL: errors are {"msg": TEXT} */
};
/* A table ends with a row of NULLs. This one has the dashboard and /metrics. */
extern const struct http_route http_routes_node[];

/* The part of that name, or NULL. */
const struct http_part *http_form_part(const struct http_request *r, const char *name);

/* Of a form that was taken out of its request, which has {.fd = -1} then. */
void http_form_free(struct http_form *form);
/* A file without a name in this folder. -1: errno tells. */
int http_open_unnamed(int dirfd);

/* Answers; each steals its reference and ends the request. */
void http_json(struct http_request *r, unsigned status, json_t *reply);
void http_text(struct http_request *r, unsigned status, const char *type, const char *text,
	       size_t len);
/* bytes, which free(3) must take, are the server's from now on. headers: names and values in turn, up
 * to a NULL; NULL: none more. */
void http_bytes(struct http_request *r, const char *type, char *bytes, size_t len,
		const char *const *headers);
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

/* Serves the rows of these tables, which are there as long as it is. cfg.http_fd and
 * cfg.api_fd < 0: no server. */
int http_init(struct front *f, const struct http_route *const *tables, unsigned n_tables,
	      struct err *e);
void http_clear(struct front *f);
/* Ends what is being read with tokens that were revoked. */
extern const struct listener http_listener;
/* Its answers, connections and streams, for /metrics. */
void http_metrics(struct front *f, FILE *out);
/* Where it listens: "127.0.0.1:8080"; "" without a server. */
const char *http_address(const struct front *f);

#endif
