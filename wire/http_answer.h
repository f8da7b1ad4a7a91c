/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP/1.1 answer that is whole in memory: what the edge has sent until it has closed the
 * connection. The edge has made its framing; its fields and its body are anybody's.
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
	char *body; /* in the answer's own bytes */
	size_t body_len;
};

/* Chunks of the body are put together in place. without_body: it answers HEAD. -EPROTO: it is no
 * answer, or is not whole. */
int http_answer_read(char *text, size_t len, bool without_body, struct http_answer *ret);
/* The first field of this name, in lower case; NULL. */
const struct http_field *http_answer_find(const struct http_answer *a, const char *name);
bool http_field_is(const struct http_field *f, const char *name);

#endif
