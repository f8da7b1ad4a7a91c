/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One turn of the front's loop serves one source of events, and no client's wish may make it
 * long: what looks at many rows or changes many is work, done in slices, a slice a turn. Works of
 * one project are done one after the other, those of all projects in turns, so that nobody waits
 * for more than one slice of each other project's.
 *
 * Requests over HTTP are such work too as soon as a project has more than one in a turn: who opens
 * a hundred connections is served a hundred times as slowly, and not at the others' cost.
 */
#ifndef SUPERVISOR_FRONT_BASE_TURN_H
#define SUPERVISOR_FRONT_BASE_TURN_H

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-event.h>

#include "supervisor/front/base/base.h"

/* Rows that one slice reads or changes at most: one or two milliseconds of processor time. */
#define TURN_READ_ROWS 1000u
#define TURN_WRITE_ROWS 32u
#define TURN_NEW_ROWS 64u /* a new task's costs half as much */
/* Of their payloads, and those of what is queued, no more in a turn; but one is always done. */
#define TURN_NEW_BYTES (1u << 20)
/* New tasks of a project that are not written yet; beyond it its next request waits for them. */
#define TURN_FRESH_MAX 2000u

/* Calls are short and one slice each; queries only look; neither waits for its project's works,
 * which change many rows and may take minutes. */
enum turn_kind { TURN_CALL = 0, TURN_QUERY, TURN_WORK, TURN_KINDS };

/* Embedded in what the work needs. */
struct work {
	struct work *next;
	/* True: there is more to do, in another turn. False: it is done, and may be freed. */
	bool (*slice)(struct front *f, struct work *w);
	/* The front ends before it is done: only memory is to be freed. */
	void (*drop)(struct front *f, struct work *w);
};

/* Whose works they are: a project's, by its slot (turn_holder), or nobody's. */
#define TURN_HOLDERS 4096u
#define TURN_NOBODY TURN_HOLDERS

/*
 * What has something to do in the next turn, after the sockets that are ready by then: a descriptor
 * that is always ready. A deferred source of sd-event, wanted again and again, would stay before
 * all of them.
 */
int turn_source(sd_event *event, sd_event_source **ret, sd_event_io_handler_t fn, void *arg);
void turn_want(sd_event_source *source); /* once */

/* tick is called when a time has come that turn_tick_at was told of; NULL: it is not there. */
typedef void (*turn_tick_fn)(struct front *f, uint64_t now_ns);
int turn_init(struct front *f, turn_tick_fn tick);
void turn_clear(struct front *f);
/* The tick comes at at_ns (CLOCK_MONOTONIC) at the latest, and is asked for anew after that. */
void turn_tick_at(struct front *f, uint64_t at_ns);
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

#endif
