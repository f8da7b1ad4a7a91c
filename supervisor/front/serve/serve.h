/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks: connections of the control socket, and of HTTP. */
#ifndef SUPERVISOR_FRONT_SERVE_SERVE_H
#define SUPERVISOR_FRONT_SERVE_SERVE_H

#include "supervisor/front/run/run.h"
#include "supervisor/front/serve/control.h"

/*
 * A connection that waits for something. It is in two lists: of what it waits for
 * (a task or a warm-up) and of its connection; it goes with whichever goes first.
 */
struct waiter {
	struct waiter *next, **pprev;
	struct waiter *conn_next, **conn_pprev;
	struct conn *conn;
	json_t *tag;			  /* owned; NULL when the request had none */
	bool accepted, started, finished; /* answers that are still due */
};

struct serve {
	sd_event_source *listen;
	control_fn on_request;
	struct conn *conns;
	unsigned n_conns;
	size_t input_bytes; /* of all half-read frames */
	struct http *http;  /* NULL: none */
};

#endif
