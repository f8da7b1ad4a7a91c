/* SPDX-License-Identifier: Apache-2.0 */
/* Workers and their revisions in the store; for worker.c. */
#ifndef SUPERVISOR_FRONT_STORE_WORKERS_H
#define SUPERVISOR_FRONT_STORE_WORKERS_H

#include "supervisor/front/store/projects.h"
#include "supervisor/front/store/store.h"

#define WORKER_NAME_MAX 127
#define WORKER_FILE_NAME_MAX 255
#define WORKER_COMMAND_MAX 1023
#define WORKER_REVISIONS_MAX 100 /* of a worker: the oldest beyond it go */

/* workers, revisions; its steps know the tables of projects_schema. */
extern const struct schema workers_schema;

/* What an upload says; all text is owned. Zeros and "" are the defaults. */
struct worker_spec {
	char name[WORKER_NAME_MAX + 1];
	char runtime[32]; /* as it was given; "python" */
	char file_name[WORKER_FILE_NAME_MAX +
		       1]; /* of the package: .sh is run by sh, others by Python */
	char command[WORKER_COMMAND_MAX + 1];
	char stack[64], image[64], policy[64]; /* image: names; policy "": the image's */
	char *config;			       /* text, at most CODE_CONFIG_MAX; NULL: none */
	char *env;			       /* a JSON object of strings; NULL: none */
	uint32_t max_concurrency;	       /* 0: as many as the project may */
	uint32_t retries, retries_delay_s;
	uint32_t default_priority;
	bool has_package;    /* a zip came along */
	uint8_t package[32]; /* of its unpacked folder, STATE/packages/<hex> */
	uint8_t zip[32];     /* of what was sent, STATE/packages/<hex>.zip */
	uint64_t zip_bytes;
	uint64_t package_bytes, package_files; /* of folder and zip on the disk: package.h */
};
void worker_spec_clear(struct worker_spec *spec);

struct worker_row {
	char id[PROJECT_ID_LEN + 1], project[PROJECT_ID_LEN + 1];
	uint32_t revision; /* from 1 */
	struct worker_spec spec;
	bool paused;
	uint64_t created_ns, changed_ns; /* CLOCK_REALTIME */
};

struct worker_revision {
	uint32_t revision;
	char worker[PROJECT_ID_LEN + 1], id[PROJECT_ID_LEN + 1];
	char file_name[WORKER_FILE_NAME_MAX + 1], runtime[32], image[64];
	bool has_package;
	uint8_t package[32], zip[32];
	uint64_t zip_bytes, package_bytes, package_files, created_ns;
};

typedef int (*worker_revision_fn)(void *arg, const struct worker_revision *r);

/* Takes worker->spec when it returns 0 and keeps it. */
typedef int (*store_worker_fn)(void *arg, struct worker_row *worker);
int store_worker_load(struct store *store, store_worker_fn fn, void *arg, struct err *e);

/* The worker as it is now, and the revision that it has become. One that is there keeps its
 * `paused`. */
int store_worker_put(struct store *store, const struct worker_row *worker, const char *revision_id,
		     struct err *e);
int store_worker_paused(struct store *store, const char *id, bool paused, struct err *e);
/* With its revisions. All: of a project. */
int store_worker_delete(struct store *store, const char *id, struct err *e);
int store_worker_delete_all(struct store *store, const char *project, struct err *e);
/* Of a worker, newest first; only: 0, or the one that is asked for. */
int store_worker_revisions(struct store *store, const char *worker, uint32_t only,
			   worker_revision_fn fn, void *arg, struct err *e);
/* The next ones, at most max, of all workers of all projects; at is zeros for the first ones. */
struct store_revision_at {
	char worker[PROJECT_ID_LEN + 1];
	uint32_t revision;
};
int store_worker_revisions_after(struct store *store, struct store_revision_at *at, unsigned max,
				 worker_revision_fn fn, void *arg, bool *ret_more, struct err *e);
/* What a revision runs; ret is cleared at first, and the caller's. Its config and env are not
 * kept. -ENOENT without an error: the revision was removed. */
int store_worker_revision_spec(struct store *store, const char *worker, uint32_t revision,
			       struct worker_spec *ret, struct err *e);
/* The id of a revision, for lists, which do not need the rest of it. "": the revision was removed. */
int store_worker_revision_id(struct store *store, const char *worker, uint32_t revision,
			     char ret[PROJECT_ID_LEN + 1], struct err *e);

#endif
