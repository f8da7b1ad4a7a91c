/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies on their way to what their rows' handlers take (struct http_reader). A long one is read
 * by a thread beside the front's loop: what some MiB of JSON take of a processor is nothing that
 * others wait for. The thread looks at the body, which the request has given away, and at what it
 * makes of it; at nothing else. So a client may leave and a project may be removed meanwhile.
 *
 * Of a project one body is read at a time, and HTTP_READERS_MAX of all; next is the project that
 * was served longest ago.
 */
#ifndef SUPERVISOR_FRONT_SERVE_HTTP_READ_H
#define SUPERVISOR_FRONT_SERVE_HTTP_READ_H

#include <stdbool.h>
#include <sys/queue.h>

#include <systemd/sd-event.h>

#include "supervisor/front/core/project.h"

#define HTTP_READERS_MAX 2u

struct http;
struct http_exchange;

struct http_reads {
	STAILQ_HEAD(, http_read)
	list; /* oldest first: those that wait, and those that threads have */
	unsigned n, n_running;
	uint64_t turn,
		served[PROJECTS_MAX + 1]; /* by holder: the turn in which it was the last time */
	sd_event_source *source;
	int done_fd; /* the source's */
};

int http_read_init(struct http *h);
/* Waits for the threads; the requests have left. */
void http_read_clear(struct http *h);
/* The body is long, len bytes. 1: a thread reads it, and the request gets another turn after that.
 * -errno: an answer was given. */
int http_read_later(struct http_exchange *r, size_t len);

#endif
