/* SPDX-License-Identifier: Apache-2.0 */
/* What the front counts, and how Prometheus reads it. Counters begin with this front. */
#ifndef SUPERVISOR_FRONT_RUN_METRICS_H
#define SUPERVISOR_FRONT_RUN_METRICS_H

#include "lib/limits.h"
#include "lib/util.h"

struct capability;
struct front;

#define METRICS_BUCKETS 14
#define METRICS_TURN_BUCKETS 7

struct metrics {
	struct {
		uint64_t n, sum_us, buckets[METRICS_BUCKETS];
	} starts[START_MODE_MAX];
	uint64_t verdicts[VERDICT_MAX];
	uint64_t log_lines, log_bytes, log_dropped; /* of logs that have ended */
	uint64_t logger_starts;
	struct {
		uint64_t n, sum_ns, most_ns, buckets[METRICS_TURN_BUCKETS];
	} turns;
};

/* Counts starts, verdicts and logs, and shows them, and what the front itself is like. */
extern const struct capability metrics_capability;
/* A logger's socket has come: of the first one, or of one that was started anew. */
void metrics_logger_started(struct front *f);
/* A turn of the loop took so much processor time. Waiting for the disk takes none. */
void metrics_turn(struct front *f, uint64_t ns);

#endif
