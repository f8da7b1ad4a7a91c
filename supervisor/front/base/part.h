/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a project and its workers have of one capability: tasks, schedules, whatever comes to it.
 * Where a project or a worker goes, the list of capabilities is walked in its order (PART_WALK,
 * capability.h), and whoever has something of it lets that go.
 */
#ifndef SUPERVISOR_FRONT_BASE_PART_H
#define SUPERVISOR_FRONT_BASE_PART_H

#include <jansson.h>

#include "lib/util.h"
#include "supervisor/front/base/base.h"

struct project;
struct worker;

/* What a part has no use for is NULL. */
struct part {
	/* A project or a worker comes into memory: makes what the part keeps of it there. -ENOMEM:
	 * the project or worker is not made, and free or free_worker is called. */
	int (*attach)(struct front *f, struct project *p);
	int (*attach_worker)(struct front *f, struct worker *c);
	/* Asked before the project is removed without force. ERR_CONFLICT where what the part has of
	 * it is in use. */
	int (*check_idle)(struct front *f, struct project *p, struct err *e);
	/* Removes a slice of what the part has of the project. 1: there is more. 0: the part has
	 * nothing of it that takes long to remove. -EAGAIN with ERR_UNAVAILABLE: what it has is
	 * going, and the caller is to ask again later. -errno: the project stays. */
	int (*remove)(struct front *f, struct project *p, struct err *e);
	/* Called within the slice (store_slice) that deletes the project's row: deletes the rows that
	 * the part has of it. */
	int (*delete_project)(struct front *f, struct project *p, struct err *e);
	/* Frees what the part has of the project in memory: the project was removed, or the front
	 * ends. */
	void (*free)(struct front *f, struct project *p);
	/* Adds members to what clients are shown of the project. */
	void (*show)(const struct project *p, json_t *o);

	/* Removes a slice of what the part has of the worker, as remove does, and adds the tasks
	 * that it has cancelled to *n. 0 only when no change of the part's that names the worker is
	 * still to be written. */
	int (*remove_worker)(struct front *f, struct worker *c, uint64_t *n, struct err *e);
	/* Called within the slice that deletes the worker's row. */
	int (*delete_worker)(struct front *f, struct worker *c, struct err *e);
	/* The row is gone: the part lets go of its pointers to the worker. */
	void (*forget_worker)(struct front *f, struct worker *c);
	/* Frees what attach_worker has made. */
	void (*free_worker)(struct front *f, struct worker *c);

	/* Whether the part needs the package. Called in a child of the front, which only looks. */
	bool (*uses_package)(struct front *f, const uint8_t digest[32]);
};

#endif
