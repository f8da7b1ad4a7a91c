/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the node's page shows as charts: a sample a second, kept for five minutes, and the times
 * that the last starts took. Taken while somebody looks or tasks come; an idle node is not woken.
 */
#ifndef SUPERVISOR_FRONT_RUN_API_STATS_H
#define SUPERVISOR_FRONT_RUN_API_STATS_H

#include <jansson.h>

#include "lib/limits.h"
#include "lib/util.h"

struct capability;
struct front;

/* Counts starts, ends and checkpoints. */
extern const struct capability api_stats_capability;
/* Adds "lifecycles_per_second", "starts" and "samples" (those after since_ns, CLOCK_REALTIME). */
void api_stats_add(struct front *f, uint64_t since_ns, json_t *ret);

/* What a checkpoint took, of the last that were made since this front runs; dump_us 0: it was
 * there already. False: not known. */
bool api_checkpoint_cost(const struct front *f, const char *key, uint64_t *ret_dump_us,
			 uint64_t *ret_bytes);

/* Bytes; 0: unknown. */
struct api_memory {
	uint64_t total, available, front;
};
void api_memory(struct api_memory *ret);

#endif
