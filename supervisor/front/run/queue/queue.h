/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue: tasks that wait, and whose turn it is. A task that was submitted for a worker is in
 * the store before it is acknowledged; what waits of it in memory is 150 bytes.
 *
 * Turns: the project with the fewest running tasks, of those the one that was served longest
 * ago; of its tasks the highest priority, then the oldest, of a worker that is neither paused nor
 * at its max_concurrency. A task is as old as it could have started: from the end of its delay on.
 *
 * An attempt that fails or is lost is followed by a task of its own (attempt + 1,
 * original_id), written with its end: each has one id, one log, one end. `attempt` is the
 * fencing token that the worker sees as TASK_ATTEMPT: of two attempts of one task the higher
 * one is the later one. A task that has failed with no retry left is a dead letter.
 */
#ifndef SUPERVISOR_FRONT_RUN_QUEUE_QUEUE_H
#define SUPERVISOR_FRONT_RUN_QUEUE_QUEUE_H

#include "supervisor/front/core/worker.h"
#include "supervisor/front/run/task.h"
#include "supervisor/front/store/query.h"

#define QUEUE_DELAY_MAX 604800u	      /* s */
#define QUEUE_PAYLOAD_MAX (64u << 10) /* bytes */
#define QUEUE_TIMEOUT_MAX 3600u	      /* s */
#define QUEUE_LABEL_MAX 128
#define QUEUE_CLUSTER_MAX 64
/* Attempts that a node's failure may cost, whatever the worker's retries. */
#define QUEUE_LOST_MAX 5

struct change;
struct task;

/* What a client, a schedule or a retry asks for. Text is borrowed. */
struct submit {
	const char *payload; /* any text without NUL; NULL: none */
	size_t payload_len;
	int priority;	    /* -1: the worker's default */
	uint32_t timeout_s; /* 0: the maximum */
	uint32_t delay_s;
	const char *label;		    /* NULL: none */
	const char *cluster;		    /* kept and told, nothing else */
	const char *schedule;		    /* id of the schedule that it comes from; NULL: none */
	const struct task_record *retry_of; /* NULL: none. Payload, label, ... are its own then,
					       but for delay_s */
	/* NULL: none. Written with the task in one transaction, and told when the task is durable, or
	 * is not kept (change_add_with). */
	struct change *with;
};

/* How much of each field may be asked for, whoever asks: those who read one from text
 * read it by this table, and all are checked by it. */
enum submit_field {
	SUBMIT_PAYLOAD = 0,
	SUBMIT_LABEL,
	SUBMIT_CLUSTER,
	SUBMIT_PRIORITY,
	SUBMIT_TIMEOUT,
	SUBMIT_DELAY,
	SUBMIT_FIELDS
};
struct submit_bound {
	const char *key; /* what clients call it */
	uint32_t max;
	const char *unit;
};
extern const struct submit_bound submit_bounds[SUBMIT_FIELDS];
/* ERR_INPUT names the field. What depends on the worker and its project is queue_submit's. */
int submit_check(const struct submit *s, struct err *e);

/*
 * id: of the new task. 0: what->with will be told. -errno with *e: nothing was kept: ERR_INPUT (the
 * field is named), ERR_LIMIT (quota, or the disk is full).
 */
int queue_submit(struct front *f, struct worker *c, const struct submit *what,
		 char id[TASK_ID_LEN + 1], struct err *e);

/* A task of this project, in any state; ERR_NOT_FOUND when it is of another project. p NULL: a task of
 * any project. The caller clears *ret (task_record_clear), which has no job. */
int queue_get(struct front *f, const struct project *p, const char *id, struct task_record *ret,
	      struct err *e);
/*
 * The task's attempt that was the last to begin, by the id of any before it: that of the first one
 * is all that its client knows. ret is id where none followed, or there is no such task.
 */
void queue_last_attempt(struct front *f, const struct project *p, const char *id,
			char ret[TASK_ID_LEN + 1]);
/*
 * The task's last attempt ends, and none follows; also of one that only waits. p NULL: of any
 * project. *ret: what was changed; NULL: nothing, it had ended.
 */
int queue_cancel(struct front *f, const struct project *p, const char *id, struct task **ret,
		 struct err *e);
/* Every task of the worker that waits now. Those that come meanwhile stay, and start after it. */
int queue_cancel_all(struct front *f, struct worker *c, worker_done_fn done, void *arg,
		     struct err *e);
/* It runs, says the monitor, and its record cannot be read now: it is not started, and is taken for
 * running as soon as it can be read. False: it does not wait here. */
bool queue_hold(struct front *f, const char *id);
int queue_progress(struct front *f, const struct project *p, const char *id, uint32_t percent,
		   const char *msg, struct err *e);
/* A new task of the same worker and payload, whatever becomes of the old one. new_id: set when `with`
 * is told that the new one is durable, and perhaps before. 0: it will be told. */
int queue_retry(struct front *f, struct project *p, const char *id, uint32_t delay_s,
		char new_id[TASK_ID_LEN + 1], struct change *with, struct err *e);

/* For /metrics and the dashboard. */
struct queue_counts {
	uint64_t queued, delayed, running, preparing;
};
void queue_counts(struct front *f, struct queue_counts *ret);

#endif
