/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the HTTP server share. */
#ifndef SUPERVISOR_FRONT_SERVE_HTTP_INTERNAL_H
#define SUPERVISOR_FRONT_SERVE_HTTP_INTERNAL_H

/* Before microhttpd.h, which wants va_list. */
#include <stdarg.h>
#include <sys/queue.h>

#include <microhttpd.h>

#include "lib/address.h"
#include "spec/multipart.h"
#include "supervisor/front/serve/http/http.h"
#include "supervisor/front/serve/http/read.h"
#include "supervisor/front/serve/http/screen.h"
#include "supervisor/front/serve/http/uri.h"
#include "supervisor/front/serve/serve.h"

#define HTTP_CONNS_MAX 512u
#define HTTP_STREAMS_MAX 256u
#define HTTP_STREAMS_OF_ONE_MAX 64u	   /* of them, a project's */
#define HTTP_UPLOADS_MAX 32u		   /* at a time */
#define HTTP_UPLOADS_OF_ONE_MAX 8u	   /* of them, a project's: fewer where many have some */
#define HTTP_BODIES_MAX ((size_t)64 << 20) /* of all requests that are being read or answered */
#define HTTP_RATE 20000u		   /* requests of a project, a second */

struct http;
struct http_exchange;
struct http_ws;

/* A client's connection, from accept to close. */
struct http_conn {
	LIST_ENTRY(http_conn) entry;
	struct http *http;
	struct http_exchange *req; /* the one that is being read or answered; NULL */
	/* Index of http.conns_of, by its last request; PROJECTS_MAX before the first one. */
	unsigned holder;
	int fd;		      /* libmicrohttpd's */
	uint64_t deadline_ns; /* CLOCK_MONOTONIC: what it does must be done by then; 0: never */
	bool by_edge;	      /* it is nginx's, which has read the request's framing and its host */
	bool leaving;	      /* hung up; libmicrohttpd is about to close it */
	bool at_end;	      /* loop.c: nothing more will come */
	bool reading;	      /* the deadline is the client's, for a request or for a part of one */
	struct http_screen screen; /* what it sends goes through it */
	uint64_t n_heads;	   /* that libmicrohttpd has read, of screen.heads */
};

/* In an upload, what has come of it. */
struct http_upload {
	struct MHD_PostProcessor *parser; /* NULL: of a row with form_max */
	struct multipart form;
	size_t fields_len, parts_allocated;
	char *data; /* part "data" */
	size_t data_len;
	int fd; /* part "file"; -1 */
	uint64_t len;
	unsigned holder; /* of http.uploads */
	struct err e;	 /* the first thing that is wrong with it */
	unsigned status;
};

/* One request and its answer, as the server has them; handlers see the http_request in it. */
struct http_exchange {
	struct http_request pub; /* first */
	struct http *http;
	struct http_conn *conn; /* NULL until its headers are there */
	struct MHD_Connection *mhd;
	char *uri; /* owned; what target points into */
	char *path;
	struct http_target target;
	struct err uri_error;
	struct http_upload *upload; /* owned; NULL: the body is one piece */
	size_t body_allocated;
	unsigned body_holder; /* of http.bodies, while there is some of it */
	uint64_t body_seen;
	uint64_t started_ns;
	unsigned holder;       /* of http.called_turn and of turns, once called */
	unsigned begun_holder; /* of http.begun, while counted there */
	bool counted;
	bool begun;	/* routed and authorised, or refused */
	bool refused;	/* its framing is wrong: the connection ends with it */
	bool called;	/* the handler has been, and */
	bool later;	/* answers by and by */
	bool suspended; /* libmicrohttpd waits for http_wake */
	bool half;	/* the client has shut its sending side, and may still read */
	bool dead;	/* the client has left */
	/* The answer, until libmicrohttpd has it. */
	struct MHD_Response *response;
	unsigned status;
	bool stream;		/* without an end in time */
	struct http_ws *ws;	/* owned: what the connection has become; NULL */
	sd_event_source *watch; /* whether the client leaves, while suspended */
	uint64_t n_head;	/* which one of its connection's heads it is, from 1 */
	void (*gone)(void *arg);
	void *gone_arg;
	struct work turn; /* while it waits for its turn */
};

#define HTTP_STATUS_MAX 600 /* no status is as high */

struct http {
	struct front *f;
	struct MHD_Daemon *daemon;
	sd_event_source *io, *timer, *again, *sweep;
	sd_event_source *api; /* connections of the edge's; NULL: none come */
	const struct http_route *const *tables;
	unsigned n_tables;
	uint64_t answers[HTTP_STATUS_MAX]; /* by their status */
	bool loopback;			   /* nobody outside this machine gets here */
	char address[HTTP_ADDRESS_MAX];
	LIST_HEAD(, http_conn) conns; /* newest first */
	unsigned n_conns, conns_max, n_begun, n_uploads, n_streams;
	/* By project (http_holder): connections that are not hung up; requests that are read or
	 * answered, none of operators; logs being read; uploads. */
	uint16_t conns_of[PROJECTS_MAX + 1], begun[PROJECTS_MAX + 1];
	uint16_t streams[PROJECTS_MAX + 1], uploads[PROJECTS_MAX + 1];
	size_t body_bytes, bodies[PROJECTS_MAX + 1]; /* all, and by project */
	uint64_t project_next_ns[PROJECTS_MAX];	     /* by slot; as rate_take has it */
	uint64_t failed_next_ns;
	struct http_reads reads;
	/* Turns of the loop in which libmicrohttpd had something to do; by project, the one in
	 * which a request of it was answered at once. */
	uint64_t turn, called_turn[PROJECTS_MAX + 1];
};

/* loop.c */
/* libmicrohttpd has something to do. */
void http_poke(struct http *h);
/* With this many connections there is no room for one more: some old one goes for it. */
unsigned http_conns_room(const struct http *h);
/* From now on the connection is one of its request's project. */
void http_conn_hold(struct http_exchange *r);

/*
 * recv.c: what libmicrohttpd reads of this descriptor is screened, until it is forgotten,
 * which must be before it is closed.
 */
int http_recv_watch(int fd, struct http_screen *s);
void http_recv_forget(int fd);
/* While its request is answered, the end of what the client sends is not told. True: it has come.
 */
void http_recv_hold(int fd);
bool http_recv_let_go(int fd);
void http_recv_clear(void);

/* request.c: what libmicrohttpd calls. */
void *http_exchange_new(void *cls, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result http_exchange_handle(void *cls, struct MHD_Connection *mhd, const char *url,
				     const char *method, const char *version, const char *data,
				     size_t *len, void **req);
void http_exchange_done(void *cls, struct MHD_Connection *mhd, void **req,
			enum MHD_RequestTerminationCode how);
/* form.c: what the body's parts go to. The first thing that is wrong is in upload.e and .status. */
void http_form_begin(struct http_exchange *r);
int http_upload_fail(struct http_upload *u, unsigned status, const char *text);

/* The connection waits until http_wake; from within the handler or a response's reader. */
void http_sleep(struct http_exchange *r);
void http_wake(struct http_exchange *r);
/* Its client has left, or is to be taken as if it had. */
void http_leave(struct http_exchange *r);

/* websocket.c: its connection is at its end. */
void http_ws_free(struct http_ws *w);

/* The request came with a token that was good and has been revoked since. */
bool http_is_revoked(struct http_exchange *r);

/* The project's place in an array by projects; the last one is for requests without any. */
static inline unsigned http_holder(const struct http_exchange *r)
{
	return r->pub.project ? r->pub.project->slot % PROJECTS_MAX : PROJECTS_MAX;
}

/* Its handler is called in its project's next turn. */
void http_call_again(struct http_exchange *r);

/* A body, and what is counted of it, without its request. */
struct http_body {
	char *text;
	size_t len, allocated;
	unsigned holder;
};
void http_body_take(struct http_exchange *r, struct http_body *ret);
void http_body_drop(struct http *h, struct http_body *body);

/* An answer of the server's own; retry_s: 0, or when to come again. */
void http_refuse(struct http_exchange *r, unsigned status, unsigned retry_s, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Takes the response; adds what every answer has. */
void http_respond(struct http_exchange *r, unsigned status, const char *type,
		  struct MHD_Response *response);
/* The same without: of an answer that has no content. */
void http_respond_bare(struct http_exchange *r, unsigned status, struct MHD_Response *response);
void http_respond_page(struct http_exchange *r, unsigned status, const char *type, const char *etag,
		       struct MHD_Response *response);
void http_header_add(struct MHD_Response *response, const char *name, const char *value);

/* Requests come evenly, at `rate` a second, with `burst` seconds' worth at once: *next_ns is
 * when the next one would be due. False: this one is too many. */
bool http_rate_take(uint64_t *next_ns, uint64_t now_ns, uint64_t rate, uint64_t burst_s);

static inline struct http_exchange *http_exchange_of(const struct http_request *r)
{
	return r->priv;
}

#endif
