/* SPDX-License-Identifier: Apache-2.0 */
/* Server-sent events (WHATWG HTML, "Server-sent events") as they come, in pieces of any size. */
#ifndef WIRE_SSE_H
#define WIRE_SSE_H

#include "lib/util.h"

#define SSE_LINE_MAX (1u << 20) /* bytes, of a line and of an event's data */

struct sse {
	char *line, *data; /* owned */
	size_t line_len, line_room, data_len, data_room;
	bool cr, has_data;
	char event[32], id[64]; /* id stays from event to event, as the standard has it */
};

/* data ends with a NUL. What it returns other than 0 ends sse_feed. */
typedef int (*sse_fn)(void *arg, const char *event, const char *id, const char *data, size_t len);
/* 0, what fn has returned, -EMSGSIZE or -ENOMEM. */
int sse_feed(struct sse *s, const char *bytes, size_t len, sse_fn fn, void *arg);
/* A new connection: half an event is forgotten, the id is not. */
void sse_reconnect(struct sse *s);
void sse_clear(struct sse *s);

#endif
