/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Background workers: services whose code is a worker of atasker's, with a queue that the store has.
 *
 *	background	what a service that is one has beyond a service
 *	line		the connection to the worker's process in a replica; a process that ends is followed by
 *			another one in the same replica, on another connection
 *	flight		an item that a line was given and has not told the end of
 *
 * An item is in the store from before its put is answered until its executor has returned. Whoever gets it
 * gets the number of this attempt with it, by which alone its end counts; so an item that was given
 * again, because a process or a connection has ended, is not ended by the first one.
 *
 * A replica's worker begins (go) when the replica serves and no other one in its place has a run: so two
 * versions never work at the same time.
 */
#ifndef SUPERVISOR_FRONT_BACKGROUND_BACKGROUND_H
#define SUPERVISOR_FRONT_BACKGROUND_BACKGROUND_H

#include <sys/queue.h>

#include "supervisor/front/service/service.h"
#include "supervisor/front/store/background.h"

#define BACKGROUND_SERVICE "worker" /* the service's name in its app, which is the worker's name */
#define BACKGROUND_NAME_MAX SERVICE_APP_MAX
#define BACKGROUND_TURN_ROWS 64u /* that one turn changes for one wish */
/* What a frame of records counts for among what a process has asked and is not done (HELD_MAX of a channel): two of
 * them are what one turn has time for. */
#define BACKGROUND_FRAME_HELD (512u << 10)

extern const struct capability background_capability;

struct background {
	LIST_ENTRY(background) next;
	struct front *f;
	struct service *service;
	struct background_row row, wanted; /* as it is stored; as it will be */
	bool stored;
	struct background_counts counts; /* what is stored */
	uint64_t n_coming, bytes_coming; /* what is being written */
	LIST_HEAD(, background_line) lines;
	struct timer due;
	bool by_rank;			/* as its worker has said last */
	char kind[12];			/* the same; "": it never has */
	char last_run[TASK_ID_LEN + 1]; /* that has ended; "": none since the front has started */
	double better; /* the lowest rank of what was added since the last was taken */
};

struct background_flight {
	TAILQ_ENTRY(background_flight) next;
	uint64_t id;
	uint32_t attempt;
	double rank;
};

struct background_line {
	LIST_ENTRY(background_line) next;
	struct background *b;
	struct service_replica *replica;
	char run[TASK_ID_LEN + 1];
	struct channel channel;
	struct timer again, limit;
	bool met, goes, taking, killed;
	unsigned window, n_flights, n_closed;
	TAILQ_HEAD(, background_flight) flights;
	uint64_t told_trigger; /* the last that it was told of */
	uint64_t opened_ns,
		head_ns; /* CLOCK_MONOTONIC; head: since when the first flight is the first */
	char why[100];	 /* of the process's end, where it was ended; "" */
};

struct backgrounds {
	LIST_HEAD(, background) all;
	uint64_t last_queue;
	struct timer sweep_timer;
	struct change sweep;
	bool sweep_more;
	uint64_t put, done, failed, dead; /* items, and attempts; since this front has started */
};

/* model.c */
struct background *background_find(struct front *f, uint64_t queue);
struct background *background_by_name(struct project *p, const char *name);
/* The worker's name: that of its app with '_' for '-'. */
void background_name(const struct service *s, char buf[BACKGROUND_NAME_MAX + 1]);
const struct service_manifest *background_manifest(struct background *b);
struct background_rules background_rules(struct background *b);
/* ERR_LIMIT where the project's quotas have no room for so much. */
int background_room(const struct project *p, uint64_t n, uint64_t bytes, struct err *e);
/* Asks for the next look at what is due. */
void background_arm(struct background *b);
/* b->wanted was changed: it is written. waiter: who is answered then, or NULL. */
int background_write(struct background *b, struct waiter *waiter, const char *msg, struct err *e);

/* line.c */
extern const struct service_hooks background_hooks;
struct background_line *background_line_of(struct background *b, const char *run);
void background_line_free(struct background_line *l);
/* Gives its lines what they have room for; and the go, and triggers. */
void background_look(struct background *b);

/* item.c */
/* Items that come: put[0..n) and their values are taken, also on failure. waiter, or from and
 * seq: who is told. */
int background_put(struct background *b, struct background_item *items, unsigned n,
		   struct waiter *waiter, const struct background_line *from, json_int_t seq,
		   struct err *e);
void background_items_free(struct background_item *items, unsigned n);
void background_take(struct background_line *l, unsigned max, double below);
/* all is taken. stop: it keeps its worker stopped. */
int background_settle(struct background *b, struct background_settled *all, unsigned n,
		      const char *run, json_int_t seq, size_t held, bool stop);
/* Items that the run has, but for these, are free again; the first one has failed, for this reason. */
void background_release(struct front *f, uint64_t queue, const char *run,
			const struct background_settled *kept, unsigned n_kept, bool claim,
			const char *why);

/* verbs.c */
extern const struct verb background_verbs[];

#endif
