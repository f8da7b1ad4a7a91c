/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of the store of many tasks at a time. */
#ifndef SUPERVISOR_FRONT_STORE_QUERY_H
#define SUPERVISOR_FRONT_STORE_QUERY_H

#include "supervisor/front/queue.h"
#include "supervisor/front/store.h"

/* As queue_list. */
int store_task_query(struct store *store, const struct task_query *q, store_task_fn fn, void *arg,
		     struct err *e);
/* The task that came after an ended one. */
int store_task_retried(struct store *store, const char *id, const char *retry, struct err *e);
/* Ends all that wait of a code, and are not being cancelled, as cancelled; their number. */
int store_task_cancel_code(struct store *store, const char *code, uint64_t now_ns, uint64_t *ret_n,
			   struct err *e);
/* How many tasks of a code are in each state. */
int store_task_stats(struct store *store, const char *code, uint64_t counts[TASK_STATE_MAX],
		     struct err *e);

#endif
