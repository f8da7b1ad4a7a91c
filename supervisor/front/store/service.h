/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services in the store: what a project wants to run for good, in versions that never change, and the
 * variables of its apps. Errors as in store.h.
 */
#ifndef SUPERVISOR_FRONT_STORE_SERVICE_H
#define SUPERVISOR_FRONT_STORE_SERVICE_H

#include "supervisor/front/store/projects.h"

#define SERVICE_ROW_APP_MAX 40
#define SERVICE_ROW_NAME_MAX 16
#define SERVICE_REVISION_MAX 40 /* a version's name */
#define SERVICE_MESSAGE_MAX 1023
#define SERVICE_SOURCE_MAX 31 /* which program asked */
#define SERVICE_IMAGE_MAX 63
#define SERVICE_VARIABLE_MAX 128

extern const struct schema service_schema; /* services, service_versions, service_env */

struct service_row {
	char id[PROJECT_ID_LEN + 1], project[PROJECT_ID_LEN + 1];
	char app[SERVICE_ROW_APP_MAX + 1], name[SERVICE_ROW_NAME_MAX + 1];
	uint64_t created_ns, changed_ns; /* CLOCK_REALTIME */
	uint32_t last_version;		 /* the highest number of a version; 0: there was none */
	uint32_t live, previous;	 /* numbers: that it is to run, and before that; 0: none */
	uint32_t instances;		 /* replicas; 0: as many as the version's manifest says */
	uint64_t memory;		 /* bytes of each; 0: as the manifest says */
	uint64_t data_bytes;		 /* that its folder had when it was counted last */
};

struct service_version_row {
	char service[PROJECT_ID_LEN + 1];
	uint32_t number; /* of the service, from 1 */
	char revision[SERVICE_REVISION_MAX + 1];
	uint64_t created_ns;
	char source[SERVICE_SOURCE_MAX + 1], message[SERVICE_MESSAGE_MAX + 1];
	char image[SERVICE_IMAGE_MAX + 1];
	uint8_t image_digest[32], package[32];
	uint64_t package_bytes, package_files; /* on the disk: core/package/package.h */
	char *manifest;			       /* owned; spec/service_manifest.h has checked it */
};
void service_version_row_clear(struct service_version_row *v);

/* A variable of all services of an app. */
struct service_env_row {
	char project[PROJECT_ID_LEN + 1], app[SERVICE_ROW_APP_MAX + 1];
	char name[SERVICE_VARIABLE_MAX + 1];
	char *value; /* owned */
};

typedef int (*service_fn)(void *arg, const struct service_row *row);
/* fn takes the row's texts by setting them to NULL. Another return than 0 ends the walk. */
typedef int (*service_version_fn)(void *arg, struct service_version_row *row);
typedef int (*service_env_fn)(void *arg, struct service_env_row *row);

/* By age. */
int store_services(struct store *store, service_fn fn, void *arg, struct err *e);
/* Of a service, the newest first. */
int store_service_versions(struct store *store, const char *service, service_version_fn fn,
			   void *arg, struct err *e);
/* Of an app, by their names. */
int store_service_env(struct store *store, const char *project, const char *app, service_env_fn fn,
		      void *arg, struct err *e);

/* Within a change, as all that writes. */
int store_service_put(struct store *store, const struct service_row *row, struct err *e);
int store_service_version_put(struct store *store, const struct service_version_row *row,
			      struct err *e);
int store_service_version_delete(struct store *store, const char *service, uint32_t number,
				 struct err *e);
int store_service_env_put(struct store *store, const struct service_env_row *row, struct err *e);
int store_service_env_delete(struct store *store, const char *project, const char *app,
			     const char *name, struct err *e);
/* With its versions; the app's variables go with the last of its services. */
int store_service_delete(struct store *store, const struct service_row *row, struct err *e);
int store_service_delete_project(struct store *store, const char *project, struct err *e);

#endif
