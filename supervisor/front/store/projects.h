/* SPDX-License-Identifier: Apache-2.0 */
/* Projects and their tokens in the store. Errors as in store.h. */
#ifndef SUPERVISOR_FRONT_STORE_PROJECTS_H
#define SUPERVISOR_FRONT_STORE_PROJECTS_H

#include "supervisor/front/store/store.h"

#define PROJECT_ID_LEN 24 /* lower-case hex, as of tasks; util_new_id */
#define PROJECT_NAME_MAX 63
#define PROJECT_DEFAULT_ID "000000000000000000000000"
#define PROJECT_DEFAULT_NAME "default"
#define PROJECTS_MAX 4096
#define QUOTA_NAMES_MAX 1023 /* bytes of a list of policies or images */
#define TOKEN_LABEL_MAX 63

/* 0, or no name, is no bound but the node's own. */
struct quota {
	uint32_t running;	 /* tasks at a time */
	uint32_t queued;	 /* tasks that wait */
	uint32_t schedules;	 /* that have not ended (100) */
	uint64_t memory;	 /* bytes, the sum of the limits of running tasks */
	uint64_t package_bytes;	 /* of all revisions */
	uint64_t log_bytes;	 /* what a task's log keeps at most: its limit is no higher */
	uint64_t kept_log_bytes; /* of all its ended tasks' logs, on the disk */
	uint32_t package_files;	 /* files, folders and links of all revisions */
	/* What its workers may name, separated by commas. */
	char policies[QUOTA_NAMES_MAX + 1], images[QUOTA_NAMES_MAX + 1];
};

struct project_row {
	char id[PROJECT_ID_LEN + 1], name[PROJECT_NAME_MAX + 1];
	uint32_t slot;
	uint64_t created_ns; /* CLOCK_REALTIME */
	struct quota quota;
};

struct token_row {
	char id[PROJECT_ID_LEN + 1], label[TOKEN_LABEL_MAX + 1];
	bool operator;
	uint8_t hash[32]; /* SHA-256 of the text */
	uint64_t created_ns;
};

/* The row is the callee's during the call only. Another return than 0 ends the walk. */
typedef int (*store_project_fn)(void *arg, const struct project_row *row);
typedef int (*store_token_fn)(void *arg, const char *project, const struct token_row *row);
int store_project_load(struct store *store, store_project_fn fn, void *arg, struct err *e);
int store_token_load(struct store *store, store_token_fn fn, void *arg, struct err *e);

/* Within a transaction (store_begin), as all that writes. */
int store_project_insert(struct store *store, const struct project_row *p, struct err *e);
int store_project_set_quota(struct store *store, const char *id, const struct quota *q,
			    struct err *e);
/* With its tokens, codes, revisions and schedules; not its tasks. */
int store_project_delete(struct store *store, const char *id, struct err *e);
int store_token_insert(struct store *store, const char *project, const struct token_row *t,
		       struct err *e);
int store_token_delete(struct store *store, const char *id, struct err *e);
int store_token_delete_all(struct store *store, const char *project_id, struct err *e);

/* Ids of some of its tasks that have ended, at most max. */
int store_project_tasks(struct store *store, const char *id, unsigned max,
			char (*ret)[TASK_ID_LEN + 1], unsigned *ret_n, struct err *e);

#endif
