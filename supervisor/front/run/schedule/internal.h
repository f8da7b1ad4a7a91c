/* SPDX-License-Identifier: Apache-2.0 */
/* Between schedule.c (what clients ask) and schedule_run.c (what comes by itself). */
#ifndef SUPERVISOR_FRONT_RUN_SCHEDULE_INTERNAL_H
#define SUPERVISOR_FRONT_RUN_SCHEDULE_INTERNAL_H

#include "supervisor/front/run/run.h"
#include "supervisor/front/run/schedule/schedule.h"

/* schedule_time.c: the line and the zone of the spec, read into s. */
int schedule_read(struct schedule *s, struct err *e);
/* The first regular time later than after_ns and not after the end; 0: none. */
uint64_t schedule_time_after(const struct schedule *s, uint64_t after_ns);
/* Its next time as of now_ns, after a change of the spec; 0: none is left. */
uint64_t schedule_time_first(const struct schedule *s, uint64_t now_ns);

/* schedule_run.c: its timer, by state and next_ns. */
int schedule_arm(struct schedule *s, struct err *e);
/* Nothing of it comes any more, and what is being queued does not know it. */
void schedule_disarm(struct schedule *s);
/* A next time that a wrong clock has made is not waited for. */
void schedule_settle_clock(struct schedule *s, uint64_t now_ns);
int schedule_watch_clock(struct front *f);

/* schedule.c */
/* As it is in the store. */
struct schedule_row schedule_row_of(const struct schedule *s);
int schedule_put(const struct schedule *s, struct err *e);
/* It is not scheduled any more. */
void schedule_ended(struct schedule *s, enum schedule_state state);

#endif
