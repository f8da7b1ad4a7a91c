/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A schedule queues tasks of a worker by itself: once, every so many seconds, or by a crontab line
 * in a time zone. All schedules are in memory and in the store; calls that return a change are as
 * those of project.h.
 *
 * After a time in which the daemon was down, or the worker was paused, one task is queued for all
 * the times that were missed (what systemd.timer(5) calls Persistent=), and then the schedule goes
 * on at its next regular time; after end_ns no missed time is made up for. Each time is queued
 * once: the task and the schedule's next time are written in one transaction (struct submit, with).
 * A time whose task cannot be queued (a quota, the disk, a paused worker) stays due, and is tried
 * again.
 *
 * Regular times are start_ns (or the time at which the schedule was made) and every run_every_s
 * after that, without drift; or those of the crontab line from then on (cron.h has the rules for
 * changing clocks).
 */
#ifndef SUPERVISOR_FRONT_RUN_SCHEDULE_SCHEDULE_H
#define SUPERVISOR_FRONT_RUN_SCHEDULE_SCHEDULE_H

#include <jansson.h>

#include <systemd/sd-event.h>

#include "lib/cron.h"
#include "supervisor/front/core/worker.h"
#include "supervisor/front/store/schedules.h"

#define SCHEDULES_ENDED_MAX 100	     /* ended schedules that a project keeps: the newest */
#define SCHEDULE_EVERY_MIN_IRON 60   /* s; under /2. Under /api the least is 1 s */
#define SCHEDULE_EVERY_MAX 315360000 /* s; ten years */

struct capability;
struct change;

struct schedule {
	struct schedule *next; /* of its project, newest first */
	struct project *project;
	char id[PROJECT_ID_LEN + 1];
	struct schedule_spec spec;
	enum schedule_state state;
	uint64_t created_ns, changed_ns, next_ns, last_ns; /* CLOCK_REALTIME; 0: none */
	uint32_t run_count;
	char msg[256]; /* why the last try queued nothing; "" */
	/* run.c */
	struct front *front;
	struct cron line; /* spec.cron, parsed; zone: spec.zone, loaded */
	struct zone *zone;
	bool read;		  /* line and zone are what spec says */
	sd_event_source *timer;	  /* for the next time, or for the next try */
	struct schedule_run *run; /* while a task of this schedule is being queued */
	/* schedule.c: while the schedule is about to be another */
	struct schedule_change *changing;
	unsigned tries; /* to queue the time that is due, which have failed */
};

/* project.schedules */
struct project_schedules {
	struct schedule *first;
	struct schedules_making *coming; /* those that are about to be durable */
	unsigned n;			 /* those that have not ended, also what comes */
};

/* Of a project that may have been removed meanwhile (p NULL); NULL: ERR_NOT_FOUND. */
struct schedule *schedule_get(struct project *p, const char *id, struct err *e);
/*
 * Schedules are made in two steps, because reading a zone's file is slow, and many are made in one
 * request: schedule_make reads all that and changes nothing that others see; schedules_add gives n
 * of them, all or none, their places in the project and in the store, and makes room for them by
 * removing ended ones beyond SCHEDULES_ENDED_MAX. What was made and is not added is the caller's to
 * free. schedule_make takes what spec owns, on success. ERR_INPUT names the field. A start in the
 * past is at once.
 */
int schedule_make(struct front *f, struct project *p, struct schedule_spec *spec,
		  struct schedule **ret, struct err *e);
/* NULL: they are still the caller's. */
struct change *schedules_add(struct front *f, struct project *p, struct schedule *const *made,
			     size_t n, struct err *e);
void schedule_free(struct schedule *s);
/* ERR_LIMIT when the project may not have n schedules more. */
int schedule_check_room(const struct project *p, size_t n, struct err *e);
/* True while the schedule is just queueing a task, or about to be another: the change is told when that
 * is durable, or could not be written. Until then the schedule cannot be updated or cancelled
 * (ERR_UNAVAILABLE). */
bool schedule_wait(struct schedule *s, struct change *c);
/* Replaces all of the spec, which is taken on success; run_count stays. A complete schedule goes on if
 * the new spec leaves it a time; ERR_CONFLICT for a cancelled one. */
struct change *schedule_update(struct front *f, struct schedule *s, struct schedule_spec *spec,
			       struct err *e);
/* Ends the schedule for good, also one that is complete; not one that is cancelled already. The tasks
 * that it has queued stay. */
struct change *schedule_cancel(struct front *f, struct schedule *s, struct err *e);
extern const struct capability schedule_capability;
const char *schedule_state_name(enum schedule_state state); /* scheduled complete cancelled */

#endif
