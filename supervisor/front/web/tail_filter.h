/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What whoever looks at a worker live wants to see of it, and what its code says of a request. Both
 * are read here, strictly; nothing here knows of sockets or instances (fuzzed).
 */
#ifndef SUPERVISOR_FRONT_WEB_TAIL_FILTER_H
#define SUPERVISOR_FRONT_WEB_TAIL_FILTER_H

#include <jansson.h>

#include "lib/util.h"

#define TAIL_FILTERS_MAX 16u
#define TAIL_WORDS_MAX 32u /* of one filter that is a list */
#define TAIL_WORD_MAX 512u /* bytes */

/* Zeros take everything. It owns its references (tail_filter_clear). */
struct tail_filter {
	bool samples;	      /* not everything is taken, but: */
	double sampling_rate; /* from 0 to 1 */
	unsigned outcomes;    /* bits; 0: all */
	json_t *filters;      /* what it was read of: the others are looked up there */
};

/*
 * A list of objects of one key each, as Cloudflare has them: {"sampling_rate": 0.5}, {"outcome": [..]},
 * {"method": [..]}, {"header": {"key", "query"?}}, {"client_ip": [..]}, {"query": ".."},
 * {"scriptVersion": ".."}. filters NULL: everything is taken. An error names the filter.
 */
int tail_filter_read(json_t *filters, struct tail_filter *ret, struct err *e);
void tail_filter_clear(struct tail_filter *f);

/*
 * The frame {"op": "event"} as it may be shown: what is not as it should be is left out. The caller's
 * reference; NULL: out of memory. Its members: request_id, handler, outcome, logs [{level, text,
 * time_ms}], exceptions [{name, message, stack}]; where they are known method, url, status, ms,
 * headers, cron, time_ms; truncated where some of it was cut, and lost: events before it that the
 * instance could not send.
 */
json_t *tail_event_read(const json_t *head);
/* draw: a number from 0 to 1, at random. version: of the instance. */
bool tail_filter_takes(const struct tail_filter *f, const json_t *event, const char *version,
		       double draw);

#endif
