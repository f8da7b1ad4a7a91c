/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schedules: tasks of a code that come by themselves, once, every so many seconds, or by a
 * crontab line in a time zone. All are in memory and in the store; what a call has returned 0
 * for is durable.
 *
 * After a time in which the daemon was down, or its code was paused, one task is queued for all
 * the times that were missed (what systemd.timer(5) calls Persistent=), and then it goes on at
 * the next regular time. Each time is queued once: the task and the schedule's next time are
 * written in one transaction (struct submit, also).
 */
#ifndef SUPERVISOR_FRONT_SCHEDULE_H
#define SUPERVISOR_FRONT_SCHEDULE_H

#include <jansson.h>

#include "supervisor/front/code.h"

#define SCHEDULE_CRON_MAX 127
#define SCHEDULE_ZONE_MAX 63
#define SCHEDULES_MAX 100 /* of a project that have not ended, by default */

enum schedule_state { SCHEDULE_SCHEDULED = 0, SCHEDULE_COMPLETE, SCHEDULE_CANCELLED };

struct schedule_spec {
	char code_name[CODE_NAME_MAX + 1];
	char *payload;			  /* owned; NULL: none */
	uint64_t start_ns, end_ns;	  /* CLOCK_REALTIME; 0: at once; never */
	uint32_t run_every_s, run_times;  /* 0: once; 0: no bound */
	char cron[SCHEDULE_CRON_MAX + 1]; /* "": none; with run_every_s an error */
	char zone[SCHEDULE_ZONE_MAX + 1]; /* tzdata's name; "": UTC */
	int priority;			  /* -1: the code's */
	uint32_t timeout_s, delay_s;
	char label[129], cluster[65];
};
void schedule_spec_clear(struct schedule_spec *spec);

struct schedule {
	struct schedule *next; /* of its project, newest first */
	struct project *project;
	char id[PROJECT_ID_LEN + 1];
	struct schedule_spec spec;
	enum schedule_state state;
	uint64_t created_ns, changed_ns, next_ns, last_ns; /* CLOCK_REALTIME; 0: none */
	uint32_t run_count;
	char msg[256]; /* why the last try queued nothing; "" */
};

int schedule_load(struct front *f, struct err *e);
void schedule_free_all(struct project *p);
struct schedule *schedule_by_id(struct project *p, const char *id);
/* Takes what spec owns, on success. */
int schedule_create(struct front *f, struct project *p, struct schedule_spec *spec,
		    struct schedule **ret, struct err *e);
int schedule_update(struct front *f, struct schedule *s, struct schedule_spec *spec, struct err *e);
int schedule_cancel(struct front *f, struct schedule *s, struct err *e);
/* Its code is no more: those that have not ended are cancelled. */
void schedule_end_code(struct front *f, struct project *p, const char *code_name);
const char *schedule_state_name(enum schedule_state state); /* scheduled complete cancelled */

#endif
