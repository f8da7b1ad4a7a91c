/* SPDX-License-Identifier: Apache-2.0 */
/* Between edge.c (nginx as a process) and edge_config.c (what nginx is told). */
#ifndef SUPERVISOR_MONITOR_EDGE_H
#define SUPERVISOR_MONITOR_EDGE_H

#include "supervisor/monitor/monitor.h"

struct edge_config {
	char path[512];	     /* RUN/edge.conf */
	char error_log[512]; /* STATE/edge/error.log */
};

/*
 * Writes nginx's configuration. share: the folder of its Lua. A path that
 * cannot stand in nginx's configuration is refused, and named.
 */
int edge_config_make(const struct config *cfg, const struct edge_sockets *sockets,
		     const char *share, struct edge_config *ret, struct err *e);

#endif
