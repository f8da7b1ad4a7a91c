/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Projects: tenants with their tokens and quotas. All are in memory and in the store. A call below
 * that returns a change has marked it (change.h): when that is durable, memory is what was asked for,
 * and not before; others may go with it, to be told. NULL with *e: nothing is changed.
 *
 * What the operator runs by `sandboxctl run` belongs to the project "default", which is always there
 * and has no token unless one is made.
 */
#ifndef SUPERVISOR_FRONT_CORE_PROJECT_H
#define SUPERVISOR_FRONT_CORE_PROJECT_H

#include <jansson.h>

#include "lib/idtable.h"
#include "lib/limits.h"
#include "lib/util.h"
#include "supervisor/front/base/turn.h"
#include "supervisor/front/store/change.h"
#include "supervisor/front/store/projects.h"
#include "wire/proto.h"

#define PROJECT_TOKENS_MAX 64
#define SCHEDULES_MAX 100 /* that have not ended, without a quota "schedules" */
#define KEPT_LOG_BYTES_MIN (64u << 10)
/* Of a project, where its quota of them is 0, and what the quota is at most. */
#define HTTP_WORKERS_MAX 10000u
#define HTTP_VERSIONS_MAX 1000u
#define SERVICES_MAX 1000u
#define SERVICE_VERSIONS_MAX 100u
#define WORKER_BUCKETS 32
#define TOKEN_LEN 43 /* 32 bytes of getrandom(2), base64url without padding */

struct front;
struct worker;

struct token {
	struct token *next, *hash_next; /* of its project; by hash */
	struct project *project;
	char id[PROJECT_ID_LEN + 1]; /* names it when it is listed or revoked; no secret */
	char label[TOKEN_LABEL_MAX + 1];
	bool operator;	  /* good for every project and the node; of the default project alone */
	uint8_t hash[32]; /* SHA-256 of the text: all that is kept of it */
	uint64_t created_ns, used_ns; /* CLOCK_REALTIME; used: 0 never; in memory only */
};

struct project {
	struct project *next; /* by name */
	struct idnode node;   /* by id */
	char id[PROJECT_ID_LEN + 1], name[PROJECT_NAME_MAX + 1];
	uint32_t slot; /* its place among the uid ranges, for life: 0 is the default project's */
	struct quota quota;
	struct quota_change *quota_change; /* the quota is about to be changed */
	uint64_t created_ns;		   /* CLOCK_REALTIME */
	struct token *tokens;
	struct worker *workers;	   /* worker.c */
	struct change *worker_put; /* worker_put: a revision that is about to be durable */
	struct worker *workers_by_id[WORKER_BUCKETS], *workers_by_name[WORKER_BUCKETS];
	unsigned n_tokens; /* also those that are about to be durable */
	unsigned n_workers;
	/* Changes that make something of the project, from when they are marked until they are adopted:
	 * it does not go before that. */
	unsigned n_coming;
	bool going;		/* being removed: it has no tokens any more, and takes no tasks */
	uint64_t package_bytes; /* of its workers' revisions, on the disk */
	uint64_t package_files; /* of the same */
	/* package/prune.c: packages that no worker has any more, and that may still be on the disk. */
	uint64_t left_bytes, left_files, left_ns; /* ns: CLOCK_REALTIME of the last of them; or 0 */
	uint64_t unpacked_at;			  /* package.c: its last turn, a counter */
	/* What other capabilities have of the project, and nobody else looks into: the attach of
	 * their parts makes it, and their free frees it. */
	struct project_run *run;	     /* run/run.h */
	struct project_logs *logs;	     /* run/log_keep.h */
	struct project_schedules *schedules; /* run/schedule/schedule.h */
	struct project_web *web;	     /* web/web.h */
	struct project_service *service;     /* service/service.h */
};

_Static_assert(PROJECTS_MAX <= TURN_HOLDERS, "each project has its turn");
/* Of its works. NULL: they are nobody's. */
static inline unsigned turn_holder(const struct project *p)
{
	return p ? p->slot : TURN_NOBODY;
}

/* By its id, or by its name; NULL when there is none. */
struct project *project_by_id(struct front *f, const char *id);
struct project *project_find(struct front *f, const char *id_or_name);
/* The project that the text is a token of, or NULL; takes no longer for nearly right ones. */
struct project *project_by_token(struct front *f, const char *text, size_t len, bool *ret_operator);

/* token: the new project's first one, told this once. *ret is there at once, to be looked at, and is
 * found by nobody yet. ERR_CONFLICT when the name is taken. */
struct change *project_create(struct front *f, const char *name, const struct quota *quota,
			      char token[TOKEN_LEN + 1], const struct project **ret, struct err *e);
/* Of a project that is created without any. */
struct quota project_quota_default(void);
/* All its quotas, made from project_quota, which has those that others are just changing. */
struct change *project_set_quota(struct front *f, struct project *p, const struct quota *quota,
				 struct err *e);
const struct quota *project_quota(const struct project *p);
/*
 * Called once, not from within project_remove. error NULL: it is gone, durably. ERR_UNAVAILABLE: it is
 * going, and waits for what *error says: ask again. Another error: it is as far as it was; asked
 * again, also after a restart, the same goes on from there.
 */
typedef void (*project_done_fn)(void *arg, const struct err *error);
/* With its tokens, at once; then its workers, schedules and ended tasks, in slices. ERR_CONFLICT
 * while a task of it waits or runs (force: those are cancelled). The default project never goes. */
int project_remove(struct front *f, struct project *p, bool force, project_done_fn done, void *arg,
		   struct err *e);

/* *ret is there at once, to be looked at, and opens nothing yet. */
struct change *token_create(struct front *f, struct project *p, const char *label, bool operator,
			    char text[TOKEN_LEN + 1], const struct token **ret, struct err *e);
struct change *token_revoke(struct front *f, struct project *p, const char *id, struct err *e);
struct change *token_revoke_all(struct front *f, struct project *p, struct err *e);
/* 32 bytes as base64url without padding. */
void token_format(const uint8_t bytes[32], char text[TOKEN_LEN + 1]);

/* ERR_DENIED where the project's workers may not name this policy or this image, which tells what
 * they may name, and who can change it. NULL or "": there is none to judge. What the operator runs
 * himself by `sandboxctl run` is never asked about. */
int project_may_name(const struct project *p, const char *policy, const char *image, struct err *e);
struct route_pattern;
/*
 * ERR_DENIED where the project's HTTP workers may have no such route: its quota "hosts" does not name
 * the host; or, where that is *, the quota of another project does.
 */
int project_may_route(struct front *f, const struct project *p, const struct route_pattern *r,
		      struct err *e);
/* No more than the project's quotas allow. */
void project_bound_limits(const struct project *p, struct limits *limits);
/* ERR_LIMIT for a task that its quota "memory" would never let run. */
int project_check_memory(const struct project *p, const struct limits *limits, struct err *e);
/* The members of struct quota, each optional: what is not there stays; sizes as in task.json
 * ("320M"), policies and images as lists of names, ["*"] for all. Unknown keys are errors. path: of
 * obj, in errors. */
int quota_from_json(const char *path, const json_t *obj, struct quota *quota, struct err *e);
json_t *quota_json(const struct quota *q); /* all of them, as quota_from_json reads them */
/*
 * What is odd about a quota that quota_from_json has taken, into an answer's "warnings", which is
 * not there when nothing is: policies and images that do not exist. They may be made later.
 */
void quota_warn(struct front *f, const json_t *obj, json_t *answer);

#endif
