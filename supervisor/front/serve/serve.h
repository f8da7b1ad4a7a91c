/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks: connections of the control socket, and of HTTP. */
#ifndef SUPERVISOR_FRONT_SERVE_SERVE_H
#define SUPERVISOR_FRONT_SERVE_SERVE_H

#include "supervisor/front/run/run.h"
#include "supervisor/front/serve/client.h"
#include "supervisor/front/serve/control.h"

struct serve {
	sd_event_source *listen;
	struct timer relisten; /* there may be descriptors again */
	control_fn on_request;
	LIST_HEAD(, conn) conns;
	unsigned n_conns;
	size_t input_bytes; /* of all half-read frames */
	struct http *http;  /* NULL: none */
};

#endif
