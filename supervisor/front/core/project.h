/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Projects: tenants with their tokens and quotas. All are in memory and in the store; what
 * a call below has returned 0 for is durable. What the operator runs by `sandboxctl run`
 * belongs to the project "default", which is always there and has no token unless one is made.
 */
#ifndef SUPERVISOR_FRONT_CORE_PROJECT_H
#define SUPERVISOR_FRONT_CORE_PROJECT_H

#include <jansson.h>

#include "lib/idtable.h"
#include "lib/limits.h"
#include "lib/util.h"
#include "supervisor/front/base/turn.h"
#include "supervisor/front/store/projects.h"
#include "wire/proto.h"

#define PROJECT_TOKENS_MAX 64
#define SCHEDULES_MAX 100 /* that have not ended, without a quota "schedules" */
#define KEPT_LOG_BYTES_MIN (64u << 10)
#define CODE_BUCKETS 32
#define TOKEN_LEN 43 /* 32 bytes of getrandom(2), base64url without padding */

struct front;
struct code;
struct schedule;
struct queued;
struct task;

/* By task.dirty_next, oldest change first. */
struct task_list {
	struct task *first, *last;
};

/* What waits, by priority, oldest first; all of it, also what is delayed, as it came; and how much
 * of the same runs. queue.c's. */
#define LANE_PRIORITIES 3
struct lane {
	struct queued *head[LANE_PRIORITIES], *tail[LANE_PRIORITIES];
	struct queued *first, *last;
	uint32_t n_queued, n_running; /* n_queued: with those that are delayed */
};

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
	uint64_t created_ns; /* CLOCK_REALTIME */
	struct token *tokens;
	struct code *codes; /* code.c */
	struct code *codes_by_id[CODE_BUCKETS], *codes_by_name[CODE_BUCKETS];
	struct schedule *schedules; /* schedule.c */
	unsigned n_tokens, n_codes, n_schedules;
	bool going;		/* being removed: it has no tokens any more, and takes no tasks */
	uint64_t package_bytes; /* of its codes' revisions, on the disk */
	uint64_t package_files; /* of the same */
	uint64_t log_bytes;	/* of its ended tasks' logs, on the disk: log_keep.c, */
	bool log_keeps;		/* where some are just being removed */
	/* Of packages that are no code's any more and may still be on the disk: package_prune.c. */
	uint64_t left_bytes, left_files, left_ns; /* ns: CLOCK_REALTIME of the last of them; or 0 */
	uint64_t unpacked_at;			  /* package.c: its last turn, a counter */
	/* queue.c */
	struct lane lane;	      /* of the tasks that have no code: sandboxctl run */
	uint32_t n_queued, n_running; /* with those of its codes */
	uint64_t queued_bytes;	      /* of what waits, its payloads */
	uint64_t running_memory;      /* bytes, the sum of their limits */
	uint64_t running_pids;	      /* the same */
	uint64_t served;	      /* when it got its last slot: a counter, not a time */
	bool full;		      /* no other task of it starts before one ends */
	/* commit.c: new tasks that are not in the store yet; its place among those that have some
	 */
	struct task_list fresh;
	unsigned n_fresh;
	struct project *fresh_next;
};

_Static_assert(PROJECTS_MAX <= TURN_HOLDERS, "each project has its turn");
/* Of its works. NULL: they are nobody's. */
static inline unsigned turn_holder(const struct project *p)
{
	return p ? p->slot : TURN_NOBODY;
}

/* What the store knows, and the default project. */
int project_load(struct front *f, struct err *e);
void project_clear(struct front *f);

/* By its id, or by its name; NULL when there is none. */
struct project *project_by_id(struct front *f, const char *id);
struct project *project_find(struct front *f, const char *id_or_name);
/* The project that the text is a token of, or NULL; takes no longer for nearly right ones. */
struct project *project_by_token(struct front *f, const char *text, size_t len, bool *ret_operator);

/* token: the new project's first one, told this once. ERR_CONFLICT when the name is taken. */
int project_create(struct front *f, const char *name, const struct quota *quota,
		   char token[TOKEN_LEN + 1], struct project **ret, struct err *e);
/* Of a project that is created without any. */
struct quota project_quota_default(void);
int project_set_quota(struct front *f, struct project *p, const struct quota *quota, struct err *e);
/*
 * Called once, not from within project_remove. 0: it is gone. -EAGAIN, ERR_UNAVAILABLE: it is
 * going, and waits for what *error says: ask again. -errno: it is as far as it was; asked again,
 * also after a restart, the same goes on from there.
 */
typedef void (*project_done_fn)(void *arg, int r, const struct err *error);
/* With its tokens, at once; then its codes, schedules and ended tasks, in slices. ERR_CONFLICT
 * while a task of it waits or runs (force: those are cancelled). The default project never goes. */
int project_remove(struct front *f, struct project *p, bool force, project_done_fn done, void *arg,
		   struct err *e);

int token_create(struct front *f, struct project *p, const char *label, bool operator,
		 char text[TOKEN_LEN + 1], struct token **ret, struct err *e);
int token_revoke(struct front *f, struct project *p, const char *id, struct err *e);

/* ERR_DENIED where the project's workers may not name this policy or this image, which tells what
 * they may name, and who can change it. NULL or "": there is none to judge. What the operator runs
 * himself by `sandboxctl run` is never asked about. */
int project_may_name(const struct project *p, const char *policy, const char *image, struct err *e);
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
