/* SPDX-License-Identifier: Apache-2.0 */
/* What waits in memory: queue.c's own. */
#ifndef SUPERVISOR_FRONT_RUN_QUEUE_QUEUED_H
#define SUPERVISOR_FRONT_RUN_QUEUE_QUEUED_H

#include "lib/heap.h"
#include "lib/idtable.h"
#include "supervisor/front/run/queue/queue.h"

/* A task that waits. 160 bytes, so that hundreds of thousands may. */
struct queued {
	struct queued *next, *prev;	      /* in its lane, by priority and age */
	struct queued *lane_next, *lane_prev; /* in its lane, as it came */
	struct idnode node;		      /* of all that wait, by id */
	struct lane *lane;
	struct project *project;
	struct worker *worker;	/* NULL: sandboxctl run */
	struct task *task;	/* NULL: it is in the store alone */
	uint64_t since_ns;	/* it could have started: its age in its lane. CLOCK_REALTIME */
	struct heap_node delay; /* while it is delayed, and in no lane yet */
	uint64_t number;	/* of all that has come to the queue */
	uint32_t bytes;		/* of its payload */
	uint8_t priority;
	bool held; /* it runs, and cannot be read: it is in no lane, and not delayed */
	char id[TASK_ID_LEN + 1];
};

#endif
