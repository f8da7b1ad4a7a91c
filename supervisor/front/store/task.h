/* SPDX-License-Identifier: Apache-2.0 */
/* The row of a task. task.h says how its state changes. */
#ifndef SUPERVISOR_FRONT_STORE_TASK_H
#define SUPERVISOR_FRONT_STORE_TASK_H

#include "lib/image.h"
#include "lib/limits.h"
#include "wire/proto.h"

enum task_state {
	TASK_QUEUED = 0, /* waits for its turn */
	TASK_PREPARING,	 /* the monitor has been asked to start it */
	TASK_RUNNING,	 /* user code runs */
	TASK_COMPLETE,
	TASK_ERROR,
	TASK_CANCELLED,
	TASK_KILLED,
	TASK_TIMEOUT,
	TASK_STATE_MAX
};

/* What is kept of a task for good: a row of the store. */
struct task_record {
	char id[TASK_ID_LEN + 1];
	char project[64], image[64], policy[64], label[136];
	uint8_t image_digest[32], policy_id[32], package[32]; /* package: zeros when none */
	uint32_t state;			  /* enum task_state; task_step alone writes it */
	uint32_t verdict;		  /* enum verdict */
	uint32_t start_asked, start_mode; /* enum start_mode; mode: AUTO until known */
	uint32_t has_package, priority, requested_by; /* uid */
	int32_t exit_code, signal;		      /* -1 and 0 until known */
	struct limits limits;
	uint64_t created_ns, started_ns, finished_ns; /* CLOCK_REALTIME; 0 until known */
	uint64_t cancel_ns; /* CLOCK_REALTIME of the first request to cancel; 0: none */
	uint64_t start_us;  /* request to first user bytecode; 0: unknown */
	uint64_t cpu_us, memory_peak, log_lines, log_bytes, log_dropped;
	uint32_t log_known; /* 1: the three above are the logger's totals */
	uint64_t log_disk;  /* bytes that its log takes on the disk; 0: there is none */
	uint32_t together;  /* 1: its stderr is its stdout, as the client that runs it has them */
	uint32_t log_gone;  /* 1: its log was removed, its project's logs took too much */
	/* Of a task that was submitted for a worker (queue.h); else zeros. */
	char worker[TASK_ID_LEN + 1], code_name[128], schedule[TASK_ID_LEN + 1];
	char original[TASK_ID_LEN + 1], retry[TASK_ID_LEN + 1]; /* of the first attempt; the next */
	uint32_t revision;					/* known when it has started */
	uint32_t attempt, retries_left, retries_delay_s, percent, timeout_asked_s;
	uint32_t dead_letter;	/* 1: failed for good */
	uint64_t not_before_ns; /* CLOCK_REALTIME; 0: at once */
	char cluster[65], msg[256];
	/* Of a run that neither an operator nor the queue wants: by whom, and for what of his. */
	char wanted_by[64];
	char warm[IMAGE_WARM_MAX];
	char warning[PROTO_TEXT_MAX], error[PROTO_TEXT_MAX];
	/* What it runs, or is given; both owned. An operator's run has a job (job_write) and no
	 * payload: that is in the job. A worker's task has a payload, as it came, and gets its job
	 * by its worker when its turn has come. NULL is as "". */
	char *job, *payload;
};

void task_record_clear(struct task_record *rec);	 /* frees what it owns */
size_t task_record_texts(const struct task_record *rec); /* bytes of that */

#endif
