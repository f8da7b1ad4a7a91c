/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A turn of the front's loop serves the sources of events that are ready, one after the other. What
 * they have changed is seen to at the turn's end, and nowhere else, in this order:
 *
 *	timers		that are due: what they do is seen to in the same turn
 *	dispatch	the queue says whose turn it is, and the monitor is asked to start it
 *	commit		one transaction for all that has changed: one wait for the disk
 *	tell		whoever waits for that, and for nothing that is not durable yet
 *
 * So the monitor and the disk work at the same time on what a client has asked for:
 *
 *	client             front             monitor      disk
 *	  | run, tasks ----> |                  |           |
 *	  |                  | MON_START -----> |           |
 *	  |                  | write, sync ---------------> |
 *	  |                  |                  | the run's |
 *	  |                  |                  | start     |
 *	  |                  | <--------------------------- |
 *	  | <----- accepted  |                  |           |
 *	  |                  | <--- MON_STARTED |           |
 *	  | <------ started  |                  |           |
 *
 * No client's wish may make a turn long: what looks at many rows or changes many is work, done in
 * slices, a slice a turn. Works of one project are done one after the other, those of all projects
 * in turns, so that nobody waits for more than one slice of each other project's.
 *
 * Requests over HTTP are such work too as soon as a project has more than one in a turn: who opens
 * a hundred connections is served a hundred times as slowly, and not at the others' cost.
 */
#ifndef SUPERVISOR_FRONT_BASE_TURN_H
#define SUPERVISOR_FRONT_BASE_TURN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <systemd/sd-event.h>

#include "lib/heap.h"
#include "supervisor/front/base/base.h"

/* Rows that one slice reads or changes at most: one or two milliseconds of processor time. */
#define TURN_READ_ROWS 1000u
#define TURN_WRITE_ROWS 32u
#define TURN_NEW_ROWS 64u /* a new task's costs half as much */
/* Bytes of payloads that a turn writes or starts at most; one task is always done, however long. */
#define TURN_NEW_BYTES (1u << 20)
/* New tasks of a project that are not written yet; beyond it its next request waits for them. */
#define TURN_FRESH_MAX 2000u

/* Calls are short and one slice each; queries only look; neither waits for its project's works,
 * which change many rows and may take minutes. */
enum turn_kind { TURN_CALL = 0, TURN_QUERY, TURN_WORK, TURN_KINDS };

/* Embedded in what the work needs. */
struct work {
	STAILQ_ENTRY(work) next;
	/* True: there is more to do, in another turn. False: it is done, and may be freed. */
	bool (*slice)(struct front *f, struct work *w);
	/* The front ends before it is done: only memory is to be freed. */
	void (*drop)(struct front *f, struct work *w);
};

/* A work's holder is its project, by the project's slot (turn_holder), or TURN_NOBODY. */
#define TURN_HOLDERS 4096u
#define TURN_NOBODY TURN_HOLDERS

/* What is done at a turn's end when the timers that are due have been called. A step that has more
 * to do than one turn has time for marks the next one. */
typedef void (*turn_step_fn)(struct front *f);
/* steps: in their order, NULL is the last; borrowed. */
int turn_init(struct front *f, const turn_step_fn *steps);
void turn_clear(struct front *f);
/* The steps have something to do at the end of this turn or, from within a step, of the next. */
void turn_mark(struct front *f);

/* Embedded in what has a deadline, with zeros. Whoever frees that cancels the timer before. */
struct timer {
	struct heap_node node; /* by CLOCK_MONOTONIC in ns */
	void (*fn)(struct front *f, struct timer *t);
};
/* fn is called once, at the end of the first turn after at_ns; the timer may be set anew, also by fn. After
 * turn_clear nothing is waited for any more, and both do nothing. */
void timer_set(struct front *f, struct timer *t, uint64_t at_ns,
	       void (*fn)(struct front *f, struct timer *t));
void timer_cancel(struct front *f, struct timer *t);
bool timer_is_set(const struct timer *t);

void turn_add(struct front *f, unsigned holder, enum turn_kind kind, struct work *w);
/* It is not to be done any more. One that is not waiting is left alone. */
void turn_take_back(struct front *f, unsigned holder, enum turn_kind kind, struct work *w);
/* True when nothing of the holder waits: a first slice may be done at once. */
bool turn_is_free(const struct front *f, unsigned holder, enum turn_kind kind);
/* Works of all kinds that wait. */
unsigned turn_waiting(const struct front *f);
unsigned turn_calls_waiting(const struct front *f);
/* Serves the source of events that is due next. 1; 0: the loop is to end; -errno. *ret_ns: the
 * processor time that it took, without the waiting; 0: nothing was due. */
int turn_run(struct front *f, uint64_t *ret_ns);
/* Fills the error of whoever waits for what the front ends before: ERR_UNAVAILABLE. */
int turn_over(struct err *e);

#endif
