/* SPDX-License-Identifier: Apache-2.0 */
/* What waits in memory, and the heap of those of it that are delayed: queue.c's own. */
#ifndef SUPERVISOR_FRONT_RUN_QUEUE_HEAP_H
#define SUPERVISOR_FRONT_RUN_QUEUE_HEAP_H

#include "lib/idtable.h"
#include "supervisor/front/run/queue/queue.h"

/* A task that waits. 150 bytes, so that hundreds of thousands may. */
struct queued {
	struct queued *next, *prev;	      /* in its lane, by priority and age */
	struct queued *lane_next, *lane_prev; /* in its lane, as it came */
	struct idnode node;		      /* of all that wait, by id */
	struct lane *lane;
	struct project *project;
	struct code *code; /* NULL: sandboxctl run */
	struct task *task; /* NULL: it is in the store alone */
	uint64_t since_ns; /* it could have started: its age in its lane. CLOCK_REALTIME */
	uint64_t not_before_ns;
	uint64_t number;  /* of all that has come to the queue */
	uint32_t bytes;	  /* of its payload */
	uint32_t heap_at; /* from 1 while it is delayed; 0: in its lane */
	uint8_t priority;
	char id[TASK_ID_LEN + 1];
};

/* By not_before_ns; from 1. */
struct queue_heap {
	struct queued **at;
	uint32_t n, size;
};

int queue_heap_add(struct queue_heap *h, struct queued *w); /* -ENOMEM */
void queue_heap_take(struct queue_heap *h, struct queued *w);

#endif
