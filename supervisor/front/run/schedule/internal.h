/* SPDX-License-Identifier: Apache-2.0 */
/* What schedule.c (clients' requests), run.c (due times) and time.c share. */
#ifndef SUPERVISOR_FRONT_RUN_SCHEDULE_INTERNAL_H
#define SUPERVISOR_FRONT_RUN_SCHEDULE_INTERNAL_H

#include "supervisor/front/run/run.h"
#include "supervisor/front/run/schedule/schedule.h"
#include "supervisor/front/store/change.h"

/* A task that is being queued, and what the schedule is when it has been. */
struct schedule_run {
	struct change change; /* with the task's */
	struct schedule *s;   /* NULL: it was removed */
	struct schedule after;
};

/* time.c */
/* Parses the crontab line and the zone of s->spec into s. */
int schedule_read(struct schedule *s, struct err *e);
/* The first regular time that is later than after_ns and not after the schedule's end; 0: none. */
uint64_t schedule_time_after(const struct schedule *s, uint64_t after_ns);
/* The next time of a schedule that was just made or changed; 0: none is left. */
uint64_t schedule_time_first(const struct schedule *s, uint64_t now_ns);

/* run.c */
/* Sets the timer of s for its next time, or stops it where there is none. */
int schedule_arm(struct schedule *s, struct err *e);
/* Stops the timer; a task of s that is being queued will not touch s any more. */
void schedule_disarm(struct schedule *s);
/* s stays due, and is tried again. */
void schedule_try_later(struct schedule *s, const char *why);
/* The clock was set: a next time that was computed by a wrong clock is computed anew. */
void schedule_settle_clock(struct schedule *s, uint64_t now_ns);
int schedule_watch_clock(struct front *f);
/* A worker that goes on, or a larger quota, may be what a schedule's due time waits for. */
extern const struct listener schedule_listener;

/* schedule.c */
/* What the schedule asks of the queue each time; the texts are borrowed from spec. */
struct submit schedule_submit(const struct schedule_spec *spec);
/* The row that s has in the store; the texts are borrowed from s. */
struct schedule_row schedule_row_of(const struct schedule *s);
int schedule_put(const struct schedule *s, struct err *e);
/* s is complete or cancelled from now on: it has no next time and counts in no quota. */
void schedule_ended(struct schedule *s, enum schedule_state state);
/* s is about to end so; why: of its msg. Where that cannot be written, schedule_try_later. */
int schedule_end(struct schedule *s, enum schedule_state state, const char *why, struct err *e);
/* s will not touch what s->changing points to any more. */
void schedule_leave(struct schedule *s);

#endif
