/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP/1.1 answer of the edge, which closes the connection behind it. The edge has made its framing;
 * its fields and its body are anybody's.
 */
#ifndef WIRE_HTTP_ANSWER_H
#define WIRE_HTTP_ANSWER_H

#include "lib/util.h"

#define HTTP_ANSWER_FIELDS_MAX 256u

struct http_field {
	const char *name, *value; /* in the answer's own bytes; no NUL ends them */
	size_t name_len, value_len;
};

struct http_answer {
	unsigned status;
	struct http_field fields[HTTP_ANSWER_FIELDS_MAX];
	size_t n;
	size_t head_len; /* the body is what follows */
};

/* -EAGAIN: the end of the head has not come yet. -EPROTO: it is no answer. */
int http_answer_head(const char *text, size_t len, struct http_answer *ret);

/* Where a reader is in the body of an answer. */
struct http_body {
	enum { HTTP_BODY_LENGTH, HTTP_BODY_CHUNKS, HTTP_BODY_TO_END } kind;
	enum {
		HTTP_CHUNK_SIZE,
		HTTP_CHUNK_REST,
		HTTP_CHUNK_DATA,
		HTTP_CHUNK_END,
		HTTP_CHUNK_LAST
	} at;
	uint64_t left;	 /* of the length, or of the chunk */
	unsigned digits; /* of the chunk's size */
	bool whole;	 /* nothing more belongs to it; one to the connection's end never is */
};
/* without_body: it answers HEAD. -EPROTO: its length is none. */
int http_body_begin(const struct http_answer *a, bool without_body, struct http_body *ret);
/* Takes some of text, of which *ret_len bytes from *ret_at on belong to the body: none, where they are framing
 * alone. Returns how many bytes it has taken, at least one while it is not whole; or -EPROTO. */
ssize_t http_body_next(struct http_body *b, const char *text, size_t len, size_t *ret_at,
		       size_t *ret_len);
/* The first field of this name, in lower case; NULL. */
const struct http_field *http_answer_find(const struct http_answer *a, const char *name);
bool http_field_is(const struct http_field *f, const char *name);

#endif
