/* SPDX-License-Identifier: Apache-2.0 */
/* An answer that is a list, {"NAME": [...]}: put together in slices, a slice a turn. */
#ifndef SUPERVISOR_FRONT_API_LIST_H
#define SUPERVISOR_FRONT_API_LIST_H

#include <stdio.h>

#include "supervisor/front/api/call.h"
#include "supervisor/front/store/query.h"

#define PAGE_LIMIT 30u
#define PAGE_LIMIT_MAX 100u
#define PAGE_SKIP_MAX 10000000u

struct page {
	unsigned skip, limit;
};
/* "page" and "per_page", as IronWorker's clients give them. */
void page_read(struct call *c, struct page *ret);

struct list;
/* Adds some: 1 when there are more, 0 when those were the last ones. p: the list's, or NULL. */
typedef int (*list_fn)(struct list *l, struct project *p, struct err *e);

struct list {
	struct work work;
	struct front *f;
	struct waiter *waiter; /* NULL: within the call still */
	list_fn some;
	char project[PROJECT_ID_LEN + 1]; /* "": of all projects */
	FILE *out;
	char *text;
	size_t len;
	unsigned n; /* items that are in it */
	/* For some: which items; where it is. */
	struct page page;
	unsigned at;
	/* Of tasks: the query, whose texts are the list's; what the answer has beside the list. */
	struct task_query query;
	struct store_walk walk;
	char *code_name, *label;
	char before[TASK_ID_LEN + 1], last[TASK_ID_LEN + 1];
	bool tell_last, more, flat;
};

/* NULL: out of memory, with *e. p may be NULL. */
struct list *list_new(struct call *c, const char *name, const struct project *p, list_fn some,
		      struct err *e);
/* Steals the reference. */
void list_add(struct list *l, json_t *item);
/* Enough for one slice. */
bool list_is_full(struct list *l, size_t began);
size_t list_bytes(struct list *l);
/* Takes l. */
int list_fail(struct list *l); /* what went wrong is in *e: -ENOMEM */
int list_answer(struct call *c, struct list *l, struct err *e);

/* A verb as a whole: the page that was asked for, of a list of the project's. */
int list_page(struct call *c, const char *name, list_fn some, struct err *e);

/* The tasks of l->query. The callback adds one; 1: that is enough. */
int list_tasks(struct list *l, store_task_fn add, struct err *e);
/* Keeps copies of the query's texts. */
int list_set_query(struct list *l, const struct task_query *q, struct err *e);

#endif
