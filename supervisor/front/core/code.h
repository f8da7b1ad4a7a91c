/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Codes: what a project has uploaded under a name, in revisions. A queued task is of a
 * code, and is started by the revision that was the newest when it was queued. All codes are in
 * memory and in the store; what a call has returned 0 for is durable.
 */
#ifndef SUPERVISOR_FRONT_CORE_CODE_H
#define SUPERVISOR_FRONT_CORE_CODE_H

#include <jansson.h>

#include "supervisor/front/core/package/package.h"
#include "supervisor/front/core/project.h"
#include "supervisor/front/store/workers.h"

#define CODES_MAX 1000 /* of a project: each is in memory, and looked at in its turn */
#define CODE_CONFIG_MAX (64u << 10)
#define CODE_RETRIES_MAX 10
#define CODE_RETRIES_DELAY_MAX 86400
#define CODE_CONCURRENCY_MAX 10000
#define CODE_TEXTS_MAX (16u << 20)	/* config and env of a project's codes together */
#define CODE_PACKAGES_MAX (16ULL << 30) /* a project's, without a quota "package_bytes" */
#define CODE_FILES_MAX 4000000u		/* the same of "package_files" */
#define CODE_IMAGE_DEFAULT "iron"

int code_spec_copy(struct code_spec *to, const struct code_spec *from); /* -ENOMEM */

struct code {
	struct code *next;		  /* of its project, newest first */
	struct code *id_next, *name_next; /* in their buckets */
	struct project *project;
	char id[PROJECT_ID_LEN + 1];
	uint32_t revision; /* from 1 */
	struct code_spec spec;
	bool paused;
	bool going;	     /* being removed: it takes no tasks, and none of it starts */
	unsigned cancelling; /* queue_cancel_all: none of it starts meanwhile */
	uint64_t created_ns, changed_ns; /* CLOCK_REALTIME */
	struct lane lane;		 /* queue.c */
	/* code_may_run: its image's policy as of one turn of the loop, by that one's number from 1
	 */
	uint64_t judged_turn;
	char judged_policy[sizeof(((struct image_head *)0)->policy)];
};

struct part;

int code_load(struct front *f, struct err *e);
void code_free_all(struct project *p);
extern const struct part code_part;
struct code *code_by_id(struct project *p, const char *id);
struct code *code_by_name(struct project *p, const char *name);
/* The code of that name, new or with one revision more. Takes what spec owns, on success.
 * ERR_LIMIT when the project's packages would take more than its quotas, or the project would
 * have more codes or longer texts than any may. */
int code_put(struct front *f, struct project *p, struct code_spec *spec, struct code **ret,
	     struct err *e);
/* What another package of the project may take on the disk. */
void code_room(const struct project *p, struct package_size *ret);
/*
 * Called once, not from within the call that it belongs to: with the number of tasks
 * that were cancelled, all of it durable; or with the failure that ended it in the middle. What
 * was done until then stays done, as after a crash: the same asked again does the rest.
 */
typedef void (*code_done_fn)(void *arg, uint64_t n, const struct err *error);
/* With its revisions. Tasks that wait are cancelled; running ones go on. Schedules of it end. */
int code_remove(struct front *f, struct code *c, code_done_fn done, void *arg, struct err *e);
/* False in *ret_changed when it was so already. */
int code_pause(struct front *f, struct code *c, bool paused, bool *ret_changed, struct err *e);
/* One slice of code_remove. 1: there is more. 0: it is gone. */
int code_remove_some(struct front *f, struct code *c, uint64_t *n, struct err *e);

/* ERR_DENIED where its project may not name its policy or image, by the lists of today. One that
 * names no policy has its image's; of an image that is not there, the start of the task tells. */
int code_may_run(struct front *f, struct code *c, struct err *e);

int code_revisions(struct front *f, const struct code *c, code_revision_fn fn, void *arg,
		   struct err *e); /* newest first */
/* revision 0: the newest. ERR_NOT_FOUND. */
int code_revision_get(struct front *f, const struct code *c, uint32_t revision,
		      struct code_revision *ret, struct err *e);
/* Counts by state of its tasks that are in the store; index enum task_state. */
int code_stats(struct front *f, const struct code *c, uint64_t counts[8], struct err *e);

/*
 * code_packages.c: which packages and zips the revisions of all projects have, for
 * package_prune. It asks in a child of the front, where the store must not be asked: so the
 * front reads them all before that, in slices, and what is uploaded meanwhile is added.
 */
/* Within done alone they are known. error: the store does not answer. */
typedef void (*code_packages_fn)(struct front *f, const struct err *error);
int code_packages_know(struct front *f, code_packages_fn done, struct err *e);
void code_packages_add(struct front *f, const struct code_spec *spec);
/* In the child, before it asks. */
void code_packages_sort(struct front *f);
bool code_uses_package(const struct front *f, const uint8_t digest[32]);

#endif
