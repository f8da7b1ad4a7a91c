/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that are answered when their tasks have ended ("sync"). */
#ifndef SUPERVISOR_FRONT_API_SYNC_H
#define SUPERVISOR_FRONT_API_SYNC_H

#include "lib/idtable.h"
#include "supervisor/front/serve/serve.h"

struct sync;

/* What api/ keeps. */
struct api {
	struct sync *syncs;
	struct idtable sync_tasks;		/* the tasks that are waited for */
	const struct http_route *const *tables; /* verb_tables; NULL: HTTP is not served */
};

/*
 * Room to wait for n tasks of a project; NULL: too many requests wait already, or there is no
 * memory. The tasks are added as they are queued, before anything can have become of them; then
 * sync_begin has done called once: when all have ended, each with all attempts that follow it, when
 * the asker has gone, or after 300 s; perhaps before it returns. The asker must be there until
 * then.
 */
typedef void (*sync_fn)(void *arg);
struct sync *sync_new(struct front *f, const char *project_id, size_t n, struct waiter *asker,
		      sync_fn done, void *arg);
void sync_add(struct sync *s, const char *id);
void sync_begin(struct sync *s);
/* It is not waited for: done is not called. */
void sync_free(struct sync *s);

extern const struct capability sync_capability;

#endif
