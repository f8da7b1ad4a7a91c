/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A capability is all that the front has of one thing: its tables in the store, what it loads and
 * clears, who listens to what becomes of runs, what of it a project has, its requests, its metrics.
 * front.c has the one list of them (front_capabilities). The front begins, ends, brings its store
 * over, removes a project, tells of events and writes /metrics by walking that list; a test may
 * begin a front with a list of its own.
 */
#ifndef SUPERVISOR_FRONT_BASE_CAPABILITY_H
#define SUPERVISOR_FRONT_BASE_CAPABILITY_H

#include <stdio.h>

#include "supervisor/front/base/base.h"
#include "supervisor/front/base/events.h"
#include "supervisor/front/base/part.h"

#define CAPABILITIES_MAX 64u

struct http_route;
struct run_source;
struct schema;
struct verb;

/* What a capability has no use for is NULL. */
struct capability {
	const char *name;
	/* store/schema.h: its tables, and the steps by which they have become what they are. */
	const struct schema *schema;

	/* Makes what the capability needs in memory, and reads the rest from the store. What the
	 * capabilities before it in the list have loaded is there; no other process has been heard
	 * yet. */
	int (*load)(struct front *f, struct err *e);
	/* Begins to watch sockets, when all capabilities are loaded. */
	int (*start)(struct front *f, struct err *e);
	/* A step of a turn's end (turn.h). Steps are called in the opposite order of the list, so
	 * that what a capability asks of one before it is done in the same turn. What has changed
	 * is written after all of them. */
	void (*turn)(struct front *f);
	/* The front ends. Called while all sockets are there still, so that clients who wait for an
	 * answer of this capability can be told that there will be none. */
	void (*stop)(struct front *f);
	/* Frees what load and start have made, also when they were not called, or failed. Called in
	 * the opposite order of the list. No work and no timer is waiting by then (turn_clear). */
	void (*clear)(struct front *f);

	const struct listener *listener;
	const struct part *part;
	const struct run_source *source; /* run/source.h: how the runs that it wants are made */
	/* What can be asked of it, each with a row of zeros at its end: api/verbs.h, and what is
	 * asked over HTTP in another way, serve/http/http.h. */
	const struct verb *verbs;
	const struct http_route *routes;
	/* Its lines of /metrics, as metric.h writes them. */
	void (*metrics)(struct front *f, FILE *out);
};

/* In the order of f->capabilities; the first failure ends it. */
int capability_load_all(struct front *f, struct err *e);
int capability_start_all(struct front *f, struct err *e);
void capability_turn_all(struct front *f); /* in the opposite order; a step for turn_init */
void capability_stop_all(struct front *f);
void capability_clear_all(struct front *f); /* in the opposite order */
/* The page /metrics, malloc'ed; NULL: out of memory. It names all projects. */
char *capability_metrics(struct front *f, size_t *ret_len);

/* EVENT_TELL(f, started, t): calls started(f, t) of all that listen to it, in the list's order. */
#define EVENT_TELL(f, event, ...)                                                                  \
	do {                                                                                       \
		for (const struct capability *const *c_ = (f)->capabilities; c_ && *c_; c_++)      \
			if ((*c_)->listener && (*c_)->listener->event)                             \
				(*c_)->listener->event((f), ##__VA_ARGS__);                        \
	} while (0)

/* PART_WALK(f, at): a for loop over all parts that there are; it is two loops: no break in it. */
/* NOLINTBEGIN(bugprone-macro-parentheses): at names the variable */
#define PART_WALK(f, at)                                                                           \
	for (const struct capability *const *c_ = (f)->capabilities; c_ && *c_; c_++)              \
		for (const struct part *at = (*c_)->part; at; at = NULL)
/* NOLINTEND(bugprone-macro-parentheses) */

#endif
