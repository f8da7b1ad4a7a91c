/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP workers in the store: their versions, which never change, and their deployments, which say
 * which versions serve. Errors as in store.h.
 */
#ifndef SUPERVISOR_FRONT_STORE_WEB_H
#define SUPERVISOR_FRONT_STORE_WEB_H

#include "supervisor/front/store/projects.h"

#define WEB_NAME_MAX 63	     /* of a worker: a label of a host's name */
#define WEB_UUID_LEN 36	     /* of a version, of a deployment: RFC 9562, version 4 */
#define WEB_TEXT_MAX 1023    /* of a message */
#define WEB_TAG_MAX 100	     /* of a version's tag */
#define WEB_SOURCE_MAX 31    /* which program asked: "sandboxctl", "wrangler" */
#define WEB_IMAGE_MAX 63     /* an image's name */
#define WEB_SPLIT_MAX 2	     /* versions of a deployment */
#define WEB_VERSIONS_MAX 100 /* of a worker: the oldest that serve nothing go */

extern const struct schema web_schema; /* web_workers, web_versions, web_deployments, web_crons,
					 web_triggers */

struct web_worker_row {
	char id[PROJECT_ID_LEN + 1], project[PROJECT_ID_LEN + 1];
	char name[WEB_NAME_MAX + 1];
	uint64_t created_ns, changed_ns;	/* CLOCK_REALTIME */
	uint32_t last_version, last_deployment; /* numbers; 0: there was none */
};

/* What its instances are started from. */
enum web_snapshot {
	WEB_SNAPSHOT_NONE = 0,
	WEB_SNAPSHOT_BASELINE,	/* the runtime of HTTP workers */
	WEB_SNAPSHOT_PACKAGE,	/* and the modules that the source imports */
	WEB_SNAPSHOT_DEDICATED, /* and the worker's own, after its top level */
	WEB_SNAPSHOT_MAX
};

struct web_version_row {
	char worker[PROJECT_ID_LEN + 1];
	uint32_t number; /* of the worker, from 1 */
	char id[WEB_UUID_LEN + 1];
	uint64_t created_ns;
	char source[WEB_SOURCE_MAX + 1], message[WEB_TEXT_MAX + 1], tag[WEB_TAG_MAX + 1];
	char image[WEB_IMAGE_MAX + 1];
	uint8_t image_digest[32]; /* that of the snapshots */
	uint8_t package[32];
	uint64_t package_bytes, package_files; /* on the disk: core/package/package.h */
	enum web_snapshot snapshot;
	char *manifest; /* owned; JSON, as the build has sent it and spec/worker_manifest.h has
			   checked it */
	char *note;	/* owned; why the snapshot is not a dedicated one; "" */
};
void web_version_row_clear(struct web_version_row *v);

struct web_deployment_row {
	char worker[PROJECT_ID_LEN + 1];
	uint32_t number; /* of the worker, from 1; the highest one is in force */
	char id[WEB_UUID_LEN + 1];
	uint64_t created_ns;
	char source[WEB_SOURCE_MAX + 1], message[WEB_TEXT_MAX + 1];
	char version_1[WEB_UUID_LEN + 1],
		version_2[WEB_UUID_LEN + 1]; /* version_2: "" or the other */
	uint32_t percent_1;		     /* version_2 has the rest */
};

/* When a cron of a worker was called last. */
#define WEB_CRON_LINE_MAX 100
struct web_cron_row {
	char worker[PROJECT_ID_LEN + 1], line[WEB_CRON_LINE_MAX + 1];
	uint64_t last_ns; /* CLOCK_REALTIME */
};

/* What leads to a worker whatever version serves, in the place of what its manifest says. */
#define WEB_TRIGGER_ROUTES 1u
#define WEB_TRIGGER_CRONS 2u
#define WEB_TRIGGER_HIDDEN 4u /* it answers at its routes alone */
struct web_trigger_row {
	char worker[PROJECT_ID_LEN + 1];
	uint64_t changed_ns; /* CLOCK_REALTIME */
	uint32_t what;	     /* WEB_TRIGGER_... */
	char *manifest;	     /* owned; a manifest that has nothing but these */
};
void web_trigger_row_clear(struct web_trigger_row *t);

typedef int (*web_worker_fn)(void *arg, const struct web_worker_row *row);
/* fn takes the row's texts by setting them to NULL. Another return than 0 ends the walk. */
typedef int (*web_version_fn)(void *arg, struct web_version_row *row);
typedef int (*web_deployment_fn)(void *arg, const struct web_deployment_row *row);

/* By age. */
int store_web_workers(struct store *store, web_worker_fn fn, void *arg, struct err *e);
/* Of a worker, the newest first. */
int store_web_versions(struct store *store, const char *worker, web_version_fn fn, void *arg,
		       struct err *e);
int store_web_deployments(struct store *store, const char *worker, unsigned max,
			  web_deployment_fn fn, void *arg, struct err *e);

/* *ret is 0 where it never was. */
int store_web_cron_last(struct store *store, const char *worker, const char *line, uint64_t *ret,
			struct err *e);

/* 1: *ret has them, and is the caller's to clear; 0: there are none. */
int store_web_triggers(struct store *store, const char *worker, struct web_trigger_row *ret,
		       struct err *e);

/* Within a change, as all that writes. */
int store_web_worker_put(struct store *store, const struct web_worker_row *row, struct err *e);
int store_web_version_put(struct store *store, const struct web_version_row *row, struct err *e);
int store_web_version_delete(struct store *store, const char *worker, uint32_t number,
			     struct err *e);
/* With it go all but the newest WEB_VERSIONS_MAX deployments of the worker. */
int store_web_deployment_insert(struct store *store, const struct web_deployment_row *row,
				struct err *e);
int store_web_cron_put(struct store *store, const struct web_cron_row *row, struct err *e);
int store_web_triggers_put(struct store *store, const struct web_trigger_row *row, struct err *e);
int store_web_triggers_delete(struct store *store, const char *worker, struct err *e);
/* With its versions, deployments, crons and triggers. */
int store_web_worker_delete(struct store *store, const char *id, struct err *e);
int store_web_delete_project(struct store *store, const char *project, struct err *e);

#endif
