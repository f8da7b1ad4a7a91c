/* SPDX-License-Identifier: Apache-2.0 */
/* Reads server-sent events (WHATWG HTML, "Server-sent events") that come in pieces of any size.
 * sse_clear() frees what a struct sse owns. */
#ifndef WIRE_SSE_H
#define WIRE_SSE_H

#include "lib/util.h"

#define SSE_LINE_MAX (1u << 20) /* bytes, of a line and of an event's data */

struct sse {
	char *line, *data; /* owned */
	size_t line_len, line_room, data_len, data_room;
	bool cr, has_data;
	char event[32], id[64]; /* id stays until an event has another one, as the standard says */
};

/* Called for each event; data ends with a NUL. When it returns anything but 0, sse_feed ends and
 * returns that. */
typedef int (*sse_fn)(void *arg, const char *event, const char *id, const char *data, size_t len);
/* 0, the value with which fn ended it, -EMSGSIZE or -ENOMEM. */
int sse_feed(struct sse *s, const char *bytes, size_t len, sse_fn fn, void *arg);
/* For a new connection: half an event is dropped, the id is kept. */
void sse_reconnect(struct sse *s);
void sse_clear(struct sse *s);

#endif
