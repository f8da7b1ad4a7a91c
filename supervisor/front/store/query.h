/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of the store of many tasks at a time. */
#ifndef SUPERVISOR_FRONT_STORE_QUERY_H
#define SUPERVISOR_FRONT_STORE_QUERY_H

#include "supervisor/front/store/store.h"

struct task_query {
	const char *project;	       /* its id; NULL: all */
	const char *code_name, *label; /* NULL: any */
	unsigned states;	       /* bits 1 << enum task_state; 0: all */
	uint64_t from_ns, to_ns;       /* created at or after, before; 0: no bound */
	bool dead_letter;	       /* only those */
	const char *before;	       /* only those older than this task; NULL: all */
	unsigned skip, limit;	       /* limit 0: no bound */
};
/* Newest first, without jobs and payloads; all of it at once: nothing that a client waits for. */
int store_task_query(struct store *store, const struct task_query *q, store_task_fn fn, void *arg,
		     struct err *e);

/* Where a query is, between two slices of it; zeros before the first one. */
struct store_walk {
	int64_t created_ns, rowid; /* of the last row that was looked at */
	unsigned found;		   /* rows that the query means, those that it skips too */
	uint64_t looked_at;	   /* rows */
	bool begun, ended;
};
/* A row that is handed on counts as so many that are looked at. */
#define STORE_WALK_ROW 25u
/* A slice of a query: looks at so many rows at most, and sets walk->ended after the last one. Rows
 * that come or go between two slices are found or not; none is found twice. ERR_INPUT when the
 * whole query has looked at too many. */
int store_task_walk(struct store *store, const struct task_query *q, struct store_walk *walk,
		    unsigned rows, store_task_fn fn, void *arg, struct err *e);

/* Ids of some of a project's tasks that have ended, at most max. */
int store_project_tasks(struct store *store, const char *project, unsigned max,
			char (*ret)[TASK_ID_LEN + 1], unsigned *ret_n, struct err *e);

/* The oldest logs of ended tasks of a project, at most max; all projects' sums. */
int store_log_oldest(struct store *store, const char *project, unsigned max, struct kept_log *ret,
		     unsigned *ret_n, struct err *e);
typedef int (*store_sum_fn)(void *arg, const char *project, uint64_t bytes);
int store_log_sums(struct store *store, store_sum_fn fn, void *arg, struct err *e);
/* The task's log is removed, which its history tells. */
int store_log_gone(struct store *store, const char *id, uint64_t now_ns, struct err *e);
/* The task that came after an ended one. */
int store_task_retried(struct store *store, const char *id, const char *retry, struct err *e);
/* Ends those of the ids that wait, and are not being cancelled, as cancelled, in one slice
 * (store_slice). */
int store_task_cancel(struct store *store, const char *const *ids, unsigned n, uint64_t now_ns,
		      uint64_t *ret_n, struct err *e);
/* How many tasks of a worker are in each state. */
int store_task_stats(struct store *store, const char *worker, uint64_t counts[TASK_STATE_MAX],
		     struct err *e);

#endif
