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

extern const struct schema projects_schema; /* projects, tokens */

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
	uint32_t http_workers;	 /* HTTP workers */
	uint32_t http_versions;	 /* that are kept of each: the oldest that serve nothing go */
	uint32_t http_instances; /* of all HTTP workers at a time, with runs for single requests */
	uint32_t http_rate;	 /* requests a second that the edge passes on to all of them */
	uint64_t kv_bytes;	 /* keys, values and metadata of its KV namespaces */
	uint32_t services;	 /* of all its apps */
	uint32_t service_replicas;   /* of all services, as many as are wanted */
	uint32_t service_versions;   /* that are kept of each: the oldest that nothing runs go */
	uint64_t service_data_bytes; /* of all services' folders ~/data */
	uint32_t background_items;   /* of all background workers, dead letters too */
	uint64_t background_bytes;   /* of the same */
	/* What its workers may name, separated by commas. */
	char policies[QUOTA_NAMES_MAX + 1], images[QUOTA_NAMES_MAX + 1];
	/* Of which hosts its HTTP workers may have routes: names, and *.NAME for all below one. */
	char hosts[QUOTA_NAMES_MAX + 1];
};

struct project_row {
	char id[PROJECT_ID_LEN + 1], name[PROJECT_NAME_MAX + 1];
	uint32_t slot;
	uint64_t created_ns; /* CLOCK_REALTIME */
	struct quota quota;
};

struct token_row {
	char id[PROJECT_ID_LEN + 1], project[PROJECT_ID_LEN + 1], label[TOKEN_LABEL_MAX + 1];
	bool operator;
	uint8_t hash[32]; /* SHA-256 of the text */
	uint64_t created_ns;
};

/* The row is the callee's during the call only. Another return than 0 ends the walk. */
typedef int (*store_project_fn)(void *arg, const struct project_row *row);
typedef int (*store_token_fn)(void *arg, const struct token_row *row);
int store_project_load(struct store *store, store_project_fn fn, void *arg, struct err *e);
int store_token_load(struct store *store, store_token_fn fn, void *arg, struct err *e);

int store_project_insert(struct store *store, const struct project_row *p, struct err *e);
int store_project_update(struct store *store, const struct project_row *p, struct err *e);
/* With its tokens. What others have of it they delete (struct part). */
int store_project_delete(struct store *store, const char *id, struct err *e);
int store_token_insert(struct store *store, const struct token_row *t, struct err *e);
int store_token_delete(struct store *store, const char *id, struct err *e);
int store_token_delete_all(struct store *store, const char *project_id, struct err *e);

#endif
