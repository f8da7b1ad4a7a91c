/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the edge has counted: requests, bytes and times of each worker since nginx was started, after
 * which all of it begins at 0 again. It is fetched by a connection of its own to RUN/edge/edge.sock, as
 * lines, of which each turn of the loop reads as many as one read gives.
 */
#ifndef SUPERVISOR_FRONT_EDGE_STATS_H
#define SUPERVISOR_FRONT_EDGE_STATS_H

#include "supervisor/front/base/turn.h"

#define EDGE_BOUNDS_MAX 24u
#define EDGE_STATUS_CLASSES 5u
#define EDGE_FETCH_MAX (32u << 20) /* bytes of one answer */
#define EDGE_FETCH_NS (5 * SEC)	   /* how long one may take */
#define EDGE_LINE_MAX 2048u

struct edge_counts {
	uint64_t requests, bytes;
	double seconds;
	uint64_t status[EDGE_STATUS_CLASSES]; /* 1xx to 5xx */
	/* Requests that took no longer than the bound and longer than the one before it; the last is
	 * of those beyond all bounds. */
	uint64_t buckets[EDGE_BOUNDS_MAX + 1];
};

struct edge_bounds {
	double seconds[EDGE_BOUNDS_MAX];
	unsigned n;
};

struct edge_fetch {
	struct front *f;
	int fd; /* -1: none is under way */
	sd_event_source *io;
	struct timer late;
	char in[EDGE_LINE_MAX];
	size_t n, total;
	bool body;
	struct edge_bounds bounds;
	/* A worker's; then, once, done: ok false: the edge is away, or its answer was cut. */
	void (*worker)(struct edge_fetch *x, const char *key, const struct edge_counts *c);
	void (*done)(struct edge_fetch *x, bool ok);
};

/* Where none is under way. Without an edge done is called with false, also from within. */
void edge_fetch_begin(struct front *f, struct edge_fetch *x);
/* done is not called. */
void edge_fetch_clear(struct edge_fetch *x);

/* For its test: one line of the answer, which is changed. -EPROTO: it is none. 1: a worker's. 0: that
 * of the bounds. */
int edge_stats_line(char *line, struct edge_bounds *bounds, const char **ret_key,
		    struct edge_counts *ret);

#endif
