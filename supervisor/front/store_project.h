/* SPDX-License-Identifier: Apache-2.0 */
/* Projects and their tokens in the store. Errors as in store.h. */
#ifndef SUPERVISOR_FRONT_STORE_PROJECT_H
#define SUPERVISOR_FRONT_STORE_PROJECT_H

#include "supervisor/front/project.h"
#include "supervisor/front/store.h"

/* The row is the callee's during the call only. Another return than 0 ends the walk. */
typedef int (*store_project_fn)(void *arg, const struct project *row);
typedef int (*store_token_fn)(void *arg, const char *project_id, const struct token *row);
int store_project_load(struct store *store, store_project_fn fn, void *arg, struct err *e);
int store_token_load(struct store *store, store_token_fn fn, void *arg, struct err *e);

/* Within a transaction (store_begin), as all that writes. */
int store_project_insert(struct store *store, const struct project *p, struct err *e);
int store_project_set_quota(struct store *store, const char *id, const struct quota *q,
			    struct err *e);
/* With its tokens, codes, revisions and schedules; not its tasks. */
int store_project_delete(struct store *store, const char *id, struct err *e);
int store_token_insert(struct store *store, const struct token *t, struct err *e);
int store_token_delete(struct store *store, const char *id, struct err *e);
int store_token_delete_all(struct store *store, const char *project_id, struct err *e);

/* Ids of some of its tasks that have ended, at most max. */
int store_project_tasks(struct store *store, const char *id, unsigned max,
			char (*ret)[TASK_ID_LEN + 1], unsigned *ret_n, struct err *e);

#endif
