/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a project and its workers have of one kind: tasks, schedules, whatever comes to it. main
 * has the one list of them (front_parts); where a project or a worker goes, the list is walked in
 * its order, and whoever has something of it lets that go.
 */
#ifndef SUPERVISOR_FRONT_BASE_PART_H
#define SUPERVISOR_FRONT_BASE_PART_H

#include "lib/util.h"
#include "supervisor/front/base/base.h"

struct project;
struct code;

/* What a part has no use for is NULL. */
struct part {
	/* -errno, ERR_CONFLICT: what is there of the project keeps it, unless it goes by force. */
	int (*check_idle)(struct front *f, struct project *p, struct err *e);
	/* A slice of the project's end. 1: there is more; 0: nothing is left of it, also not in the
	 * store; -EAGAIN, ERR_UNAVAILABLE: it is going, and takes a while; -errno. */
	int (*remove)(struct front *f, struct project *p, struct err *e);
	/* What is in memory of the project, which is about to be freed: it was removed, or the
	 * front ends. */
	void (*free)(struct project *p);

	/* A slice of the worker's end. *n: tasks that were cancelled are added. Returns as above,
	 * and 0 only when nothing of it is to be written any more. */
	int (*remove_worker)(struct front *f, struct code *c, uint64_t *n, struct err *e);
	/* Within the store's transaction in which the worker goes. */
	int (*delete_worker)(struct front *f, struct code *c, struct err *e);
	/* That is durable, and the worker is about to be freed. */
	void (*forget_worker)(struct front *f, struct code *c);

	/* The package is needed. It is asked in a child of the front, not to touch anything. */
	bool (*uses_package)(struct front *f, const uint8_t digest[32]);
};

/* PART_WALK(f, part): a for loop over all of them; f->parts NULL: there are none. */
/* NOLINTNEXTLINE(bugprone-macro-parentheses): it names the variable */
#define PART_WALK(f, part) for (const struct part *const *part = (f)->parts; part && *part; part++)

#endif
