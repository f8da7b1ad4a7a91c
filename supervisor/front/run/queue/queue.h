/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue: tasks that wait, and whose turn it is. A task that was submitted for a code is in
 * the store before it is acknowledged; what waits of it in memory is 150 bytes.
 *
 * Turns: the project with the fewest running tasks, of those the one that was served longest
 * ago; of its tasks the highest priority, then the oldest, of a code that is neither paused nor
 * at its max_concurrency. A task is as old as it could have started: from the end of its delay on.
 *
 * An attempt that fails or is lost is followed by a task of its own (attempt + 1,
 * original_id), written with its end: each has one id, one log, one end. `attempt` is the
 * fencing token that the worker sees as TASK_ATTEMPT: of two attempts of one task the higher
 * one is the later one. A task that has failed with no retry left is a dead letter.
 */
#ifndef SUPERVISOR_FRONT_RUN_QUEUE_QUEUE_H
#define SUPERVISOR_FRONT_RUN_QUEUE_QUEUE_H

#include "supervisor/front/core/code.h"
#include "supervisor/front/run/task.h"
#include "supervisor/front/store/query.h"

#define QUEUE_DELAY_MAX 604800u	      /* s */
#define QUEUE_PAYLOAD_MAX (64u << 10) /* bytes */
#define QUEUE_TIMEOUT_MAX 3600u	      /* s */
#define QUEUE_LABEL_MAX 128
#define QUEUE_LOST_MAX 5 /* attempts that a node's failure may cost, whatever the code's retries */

struct task;

/* What a client, a schedule or a retry asks for. Text is borrowed. */
struct submit {
	const char *payload; /* any text without NUL; NULL: none */
	size_t payload_len;
	int priority;	    /* -1: the code's default */
	uint32_t timeout_s; /* 0: the maximum */
	uint32_t delay_s;
	bool must_be;	   /* the next attempt of another: it is not given up when the disk fails */
	const char *label; /* NULL: none */
	const char *cluster;		    /* kept and told, nothing else */
	const char *schedule;		    /* id of the schedule that it comes from; NULL: none */
	const struct task_record *retry_of; /* NULL: none. Payload, label, ... are its own then,
					       but for delay_s */
	/* NULL: none. Called in the transaction that makes the task durable, once for each try of
	 * that; a failure of it is the task's. */
	int (*also)(void *arg, struct err *e);
	void *also_arg;
};

/*
 * Called once when the task is durable (error NULL) or is not kept (error). Not from within
 * queue_submit.
 */
typedef void (*submit_fn)(void *arg, const char *id, const struct err *error);

/*
 * id: of the new task. 0: done will be called. -errno with *e: nothing was kept: ERR_INPUT (the
 * field is named), ERR_LIMIT (quota, or the disk is full).
 */
int queue_submit(struct front *f, struct code *c, const struct submit *what,
		 char id[TASK_ID_LEN + 1], submit_fn done, void *arg, struct err *e);

/* A task of this project, whatever its state; ERR_NOT_FOUND when it is another one's. p NULL: of
 * any project. The
 * caller frees ret->spec (a code's task: its payload as it came). */
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
 * project. *ret_changed false: it had ended.
 */
int queue_cancel(struct front *f, const struct project *p, const char *id, bool *ret_changed,
		 struct err *e);
/* Every task of the worker that waits now. Those that come meanwhile stay, and start after it. */
int queue_cancel_all(struct front *f, struct code *c, code_done_fn done, void *arg, struct err *e);
int queue_progress(struct front *f, const struct project *p, const char *id, uint32_t percent,
		   const char *msg, struct err *e);
/* A new task of the same code and payload, whatever becomes of the old one. */
int queue_retry(struct front *f, struct project *p, const char *id, uint32_t delay_s,
		char new_id[TASK_ID_LEN + 1], submit_fn done, void *arg, struct err *e);

/* Newest first, all at once; rec as in store_task_walk: without its spec. */
int queue_list(struct front *f, const struct task_query *q,
	       int (*fn)(void *arg, struct task_record *rec), void *arg, struct err *e);

/* For /metrics and the dashboard. */
struct queue_counts {
	uint64_t queued, delayed, running, preparing;
};
void queue_counts(struct front *f, struct queue_counts *ret);

#endif
