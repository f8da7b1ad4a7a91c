/* SPDX-License-Identifier: Apache-2.0 */
/* An answer that is a list, {"NAME": [...]}: put together in slices, a slice a turn. */
#ifndef SUPERVISOR_FRONT_API_IRON_LIST_H
#define SUPERVISOR_FRONT_API_IRON_LIST_H

#include <stdio.h>

#include "supervisor/front/api/iron/iron.h"
#include "supervisor/front/store/query.h"

struct iron_list;
/* Adds some: 1 when there are more, 0 when those were the last ones. */
typedef int (*iron_list_fn)(struct iron_list *l, struct project *p, struct err *e);

struct iron_list {
	struct work work;
	struct front *f;
	struct iron_later *later; /* NULL: within the handler still */
	iron_list_fn some;
	char project[PROJECT_ID_LEN + 1];
	FILE *out;
	char *text;
	size_t len;
	unsigned n; /* items that are in it */
	/* For some: which items; where it is. */
	struct iron_page page;
	unsigned at;
	/* Of tasks: the query, whose texts are the list's; what the answer has beside the list. */
	struct task_query query;
	struct store_walk walk;
	char *code_name, *label;
	char before[TASK_ID_LEN + 1], last[TASK_ID_LEN + 1];
	bool tell_last, more;
};

/* NULL: out of memory, with *e. */
struct iron_list *iron_list_new(struct http_request *r, const char *name, const struct project *p,
				iron_list_fn some, struct err *e);
/* Steals the reference. */
void iron_list_add(struct iron_list *l, json_t *item);
/* Enough for one slice. */
bool iron_list_is_full(struct iron_list *l, size_t began);
size_t iron_list_bytes(struct iron_list *l);
/* Takes l. */
int iron_list_fail(struct iron_list *l); /* what went wrong is in *e: -ENOMEM */
int iron_list_answer(struct http_request *r, struct iron_list *l, struct err *e);

/* A handler as a whole: the page, which the query names, of a list of the project's. */
int iron_list_page(struct http_request *r, const char *name, iron_list_fn some, struct err *e);

/* The tasks of l->query. The callback adds one; 1: that is enough. */
int iron_list_tasks(struct iron_list *l, store_task_fn add, struct err *e);
/* Keeps copies of the query's texts. */
int iron_list_set_query(struct iron_list *l, const struct task_query *q, struct err *e);

#endif
