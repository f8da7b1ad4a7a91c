/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schedules: tasks of a code that come by themselves, once, every so many seconds, or by a
 * crontab line in a time zone. All are in memory and in the store; what a call has returned 0
 * for is durable.
 *
 * After a time in which the daemon was down, or its code was paused, one task is queued for all
 * the times that were missed (what systemd.timer(5) calls Persistent=), and then it goes on at
 * the next regular time; after end_ns nothing is made up for. Each time is queued once: the task
 * and the schedule's next time are written in one transaction (struct submit, also). What cannot
 * be queued (a quota, the disk, a paused code) stays due and is tried again.
 *
 * Regular times are start_ns (or that of its making) and every run_every_s after that, without
 * drift; or those of the crontab line from then on (cron.h has the rules for changing clocks).
 */
#ifndef SUPERVISOR_FRONT_RUN_SCHEDULE_SCHEDULE_H
#define SUPERVISOR_FRONT_RUN_SCHEDULE_SCHEDULE_H

#include <jansson.h>

#include <systemd/sd-event.h>

#include "lib/cron.h"
#include "supervisor/front/core/code.h"
#include "supervisor/front/store/schedules.h"

#define SCHEDULES_ENDED_MAX 100	     /* of a project that are kept: the newest */
#define SCHEDULE_EVERY_MIN_IRON 60   /* s; under /2. Ours is any number from 1 on */
#define SCHEDULE_EVERY_MAX 315360000 /* s; ten years */

struct listener;
struct part;

struct schedule {
	struct schedule *next; /* of its project, newest first */
	struct project *project;
	char id[PROJECT_ID_LEN + 1];
	struct schedule_spec spec;
	enum schedule_state state;
	uint64_t created_ns, changed_ns, next_ns, last_ns; /* CLOCK_REALTIME; 0: none */
	uint32_t run_count;
	char msg[256]; /* why the last try queued nothing; "" */
	/* schedule_run.c */
	struct front *front;
	struct cron line; /* spec.cron and spec.zone, read */
	struct zone *zone;
	bool read;		  /* they are */
	sd_event_source *timer;	  /* its next time, or the next try */
	struct schedule_run *run; /* being queued */
	unsigned tries;		  /* that failed since the last time */
};

int schedule_load(struct front *f, struct err *e);
void schedule_clear(struct front *f); /* after project_clear */
struct schedule *schedule_by_id(struct project *p, const char *id);
/*
 * In two steps, for what is long of many are the files of their zones: one that is nobody's yet,
 * and is to be added or freed; and its place in the project and in the store. Takes what spec owns,
 * on success. ERR_INPUT names the field. A start in the past is at once.
 */
int schedule_make(struct front *f, struct project *p, struct schedule_spec *spec,
		  struct schedule **ret, struct err *e);
/* made stays the caller's when it fails. */
int schedule_add(struct front *f, struct schedule *made, struct err *e);
/* It was added in a transaction that was not committed: it is as made again. */
void schedule_take_back(struct schedule *s);
void schedule_free(struct schedule *s);
/* Both at once. ERR_INPUT names the field. A start in the past is at once. */
int schedule_create(struct front *f, struct project *p, struct schedule_spec *spec,
		    struct schedule **ret, struct err *e);
/* Whether so many more may be made: ERR_LIMIT. */
int schedule_check_room(const struct project *p, size_t n, struct err *e);
/* Beyond what is kept the oldest that have ended go. Not within a transaction that may be rolled
 * back: they go out of memory, too. */
void schedule_trim(struct project *p);
/* All of the spec anew; run_count stays. One that is complete goes on if there is a time left;
 * ERR_CONFLICT for one that was cancelled. */
int schedule_update(struct front *f, struct schedule *s, struct schedule_spec *spec, struct err *e);
/* For good. Also of one that has ended; the tasks that it has queued stay. */
int schedule_cancel(struct front *f, struct schedule *s, struct err *e);
extern const struct part schedule_part;
/* What one waits for may be there now: its worker goes on, a quota is larger. */
extern const struct listener schedule_listener;
const char *schedule_state_name(enum schedule_state state); /* scheduled complete cancelled */

#endif
