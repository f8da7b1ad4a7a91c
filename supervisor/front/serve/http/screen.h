/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a client's connection before libmicrohttpd reads them. It takes for a request what
 * RFC 9112 forbids, and reads some of it otherwise than a proxy in front of it would: that is how
 * a request is smuggled in. So it is given whole heads alone, of which sections 3, 5 and 6 hold,
 * and chunks without extensions and trailers; in the place of any other it is given a stand-in,
 * and the request is refused. Nothing here knows of sockets or requests (fuzzed).
 */
#ifndef SUPERVISOR_FRONT_SERVE_HTTP_SCREEN_H
#define SUPERVISOR_FRONT_SERVE_HTTP_SCREEN_H

#include "lib/util.h"

#define HTTP_HEADER_MAX (16u << 10) /* a request's line and headers */
#define HTTP_HEADERS_MAX 100	    /* lines; each takes libmicrohttpd's memory too */
#define HTTP_TARGET_MAX 8000u	    /* as RFC 9112 wants it at least */
#define HTTP_EMPTY_LINES_MAX 8u	    /* before a request */
#define HTTP_CHUNK_LINE_MAX 512u    /* a chunk's size with its extensions */

enum http_screen_state {
	SCREEN_HEAD,	 /* a request's */
	SCREEN_BODY,	 /* left bytes of it, as Content-Length has it */
	SCREEN_CHUNK,	 /* a chunk's size; the trailers belong to the last one */
	SCREEN_DATA,	 /* left bytes of a chunk */
	SCREEN_DATA_END, /* the line's end after them */
	SCREEN_REFUSED,	 /* nothing more is read */
};

/* Zeros at first. */
struct http_screen {
	enum http_screen_state state;
	uint64_t left;
	uint64_t heads;	      /* that were let through, with the stand-in of a refused one */
	char *held;	      /* owned: what has come of a head or a chunk's size */
	size_t n_held;	      /* less than HTTP_HEADER_MAX */
	unsigned n_empty;     /* empty lines since the last head or body */
	const char *stand_in; /* what is still to be given of it; NULL or "": nothing */
	/* The status and the words that the newest head is refused with; 0: it is not. */
	unsigned status;
	const char *why;
};

void http_screen_clear(struct http_screen *s);
/*
 * buf: what is held, and len bytes in all with what has come after it. Returns how many bytes at
 * its beginning are for libmicrohttpd, and keeps the rest that is not whole.
 */
size_t http_screen(struct http_screen *s, char *buf, size_t len);
/* Nothing more will come: a request that has begun is refused. */
void http_screen_end(struct http_screen *s);
/* Refuses the request that is under way. */
void http_screen_refuse(struct http_screen *s, unsigned status, const char *why);

/* A Host header's value, or what stands between "//" and the path: HOST or HOST:PORT. */
bool http_screen_is_host(const char *text, size_t len);

#endif
