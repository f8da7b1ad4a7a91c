/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers: what a project has uploaded under a name, in revisions. A queued task is of a
 * worker, and is started by the revision that was the newest when it was queued. All workers are in
 * memory and in the store; calls that return a change are as those of project.h.
 */
#ifndef SUPERVISOR_FRONT_CORE_WORKER_H
#define SUPERVISOR_FRONT_CORE_WORKER_H

#include <jansson.h>

#include "supervisor/front/core/package/package.h"
#include "supervisor/front/core/project.h"
#include "supervisor/front/store/workers.h"

#define CODES_MAX 1000 /* of a project: each is in memory, and looked at in its turn */
#define WORKER_CONFIG_MAX (64u << 10)
#define WORKER_RETRIES_MAX 10
#define WORKER_RETRIES_DELAY_MAX 86400
#define WORKER_CONCURRENCY_MAX 10000
#define WORKER_TEXTS_MAX (16u << 20)	  /* config and env of a project's workers together */
#define WORKER_PACKAGES_MAX (16ULL << 30) /* a project's, without a quota "package_bytes" */
#define WORKER_FILES_MAX 4000000u	  /* the same of "package_files" */
#define WORKER_IMAGE_DEFAULT "iron"
#define LANE_PRIORITIES 3 /* a task's is 0, 1 or 2 */

int worker_spec_copy(struct worker_spec *to, const struct worker_spec *from); /* -ENOMEM */

struct worker {
	struct worker *next;		    /* of its project, newest first */
	struct worker *id_next, *name_next; /* in their buckets */
	struct project *project;
	char id[PROJECT_ID_LEN + 1];
	uint32_t revision; /* from 1 */
	struct worker_spec spec;
	bool paused;
	bool going; /* being removed: it takes no tasks, and none of it starts */
	uint64_t created_ns, changed_ns; /* CLOCK_REALTIME */
	struct worker_run *run;		 /* run/run.h: as project.run */
	/* worker_may_run: the policy of its image, and the turn of the loop (from 1) in which that was
	 * looked up */
	uint64_t judged_turn;
	char judged_policy[sizeof(((struct image_head *)0)->policy)];
};

struct worker *worker_by_id(struct project *p, const char *id);
struct worker *worker_by_name(struct project *p, const char *name);
/* By its id, of a project that may have been removed meanwhile (p NULL); NULL: ERR_NOT_FOUND. */
struct worker *worker_get(struct project *p, const char *id, struct err *e);
/* 0 where the project has a code of the name that list[i] of a request gives as "code_name". */
int worker_check_name(struct project *p, const char *list, size_t i, const char *name,
		      struct err *e);
/*
 * The worker of that name, new or with one revision more. Takes what spec owns, on success. id: the
 * worker's, under which the new revision is found when it is durable. ERR_LIMIT when the project's
 * packages would take more than its quotas, or the project would have more workers or longer texts
 * than any may. ERR_UNAVAILABLE while another one of the project is just being written
 * (project.worker_put): whoever goes with that change calls again.
 */
struct change *worker_put(struct front *f, struct project *p, struct worker_spec *spec,
			  char id[PROJECT_ID_LEN + 1], struct err *e);
/* ERR_LIMIT where so much more would be beyond the project's quotas of packages. */
int worker_check_packages(const struct project *p, const struct package_size *more, struct err *e);
/* What another package of the project may take on the disk. */
void worker_room(const struct project *p, struct package_size *ret);
/*
 * Called once, not from within the call that it belongs to: with the number of tasks
 * that were cancelled, all of it durable; or with the failure that ended it in the middle. What
 * was done until then stays done, as after a crash: the same asked again does the rest.
 */
typedef void (*worker_done_fn)(void *arg, uint64_t n, const struct err *error);
/* With its revisions. Tasks that wait are cancelled; running ones go on. Schedules of it end. */
int worker_remove(struct front *f, struct worker *c, worker_done_fn done, void *arg, struct err *e);
/* To be paused, or to go on. */
struct change *worker_pause(struct front *f, struct worker *c, bool paused, struct err *e);

/* ERR_DENIED where its project may not name its policy or image, by the lists of today. One that
 * names no policy has its image's; of an image that is not there, the start of the task tells. */
int worker_may_run(struct front *f, struct worker *c, struct err *e);

int worker_revisions(struct front *f, const struct worker *c, worker_revision_fn fn, void *arg,
		     struct err *e); /* newest first */
/* revision 0: the newest. ERR_NOT_FOUND. */
int worker_revision_get(struct front *f, const struct worker *c, uint32_t revision,
			struct worker_revision *ret, struct err *e);
/* Counts by state of its tasks that are in the store; index enum task_state. */
int worker_stats(struct front *f, const struct worker *c, uint64_t counts[8], struct err *e);

/*
 * worker_packages.c: which packages and zips the revisions of all projects have, for
 * package_prune. It asks in a child of the front, where the store must not be asked: so the
 * front reads them all before that, in slices, and what is uploaded meanwhile is added.
 */
/* Within done alone they are known. error: the store does not answer. */
typedef void (*worker_packages_fn)(struct front *f, const struct err *error);
int worker_packages_know(struct front *f, worker_packages_fn done, struct err *e);
void worker_packages_add(struct front *f, const struct worker_spec *spec);
/* In the child, before it asks. */
void worker_packages_sort(struct front *f);
bool worker_uses_package(const struct front *f, const uint8_t digest[32]);

#endif
