/* SPDX-License-Identifier: Apache-2.0 */
/* Between schedule.c (what clients ask), schedule_run.c (what comes by itself) and the store. */
#ifndef SUPERVISOR_FRONT_SCHEDULE_INTERNAL_H
#define SUPERVISOR_FRONT_SCHEDULE_INTERNAL_H

#include "supervisor/front/internal.h"
#include "supervisor/front/schedule.h"

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

/* schedule.c: it is not scheduled any more. */
void schedule_ended(struct schedule *s, enum schedule_state state);

/* store_schedule.c */
typedef int (*store_schedule_fn)(void *arg, const char *project, struct schedule *s);
/* Oldest first. fn takes s->spec when it returns 0 and keeps it. */
int store_schedule_load(struct store *store, store_schedule_fn fn, void *arg, struct err *e);
/* As it is now, new or not. */
int store_schedule_put(struct store *store, const struct schedule *s, struct err *e);
/* What changes with each time; ran: state, next_ns, last_ns and run_count of it are meant. */
int store_schedule_ran(struct store *store, const char *id, const struct schedule *ran,
		       struct err *e);
int store_schedule_delete(struct store *store, const char *id, struct err *e);

#endif
