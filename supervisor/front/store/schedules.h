/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules in the store. Errors as in store.h. */
#ifndef SUPERVISOR_FRONT_STORE_SCHEDULES_H
#define SUPERVISOR_FRONT_STORE_SCHEDULES_H

#include "supervisor/front/store/workers.h"

#define SCHEDULE_CRON_MAX 127
#define SCHEDULE_ZONE_MAX 63

extern const struct schema schedules_schema; /* schedules */

enum schedule_state { SCHEDULE_SCHEDULED = 0, SCHEDULE_COMPLETE, SCHEDULE_CANCELLED };

struct schedule_spec {
	char code_name[WORKER_NAME_MAX + 1];
	char *payload;			  /* owned; NULL: none */
	uint64_t start_ns, end_ns;	  /* CLOCK_REALTIME; 0: at once; never */
	uint32_t run_every_s, run_times;  /* 0: once; 0: no bound */
	char cron[SCHEDULE_CRON_MAX + 1]; /* "": none; with run_every_s an error */
	char zone[SCHEDULE_ZONE_MAX + 1]; /* tzdata's name; "": UTC */
	int priority;			  /* -1: the worker's */
	uint32_t timeout_s, delay_s;
	char label[129], cluster[65];
};
void schedule_spec_clear(struct schedule_spec *spec);

struct schedule_row {
	char id[PROJECT_ID_LEN + 1], project[PROJECT_ID_LEN + 1];
	struct schedule_spec spec;
	enum schedule_state state;
	uint64_t created_ns, changed_ns, next_ns, last_ns; /* CLOCK_REALTIME; 0: none */
	uint32_t run_count;
	char msg[256]; /* why the last try queued nothing; "" */
};

typedef int (*store_schedule_fn)(void *arg, struct schedule_row *row);
/* Oldest first. fn takes row->spec when it returns 0 and keeps it. */
int store_schedule_load(struct store *store, store_schedule_fn fn, void *arg, struct err *e);
/* As it is now, new or not. */
int store_schedule_put(struct store *store, const struct schedule_row *s, struct err *e);
/* What changes with each time: state, next_ns, last_ns and run_count; and no try has failed. */
int store_schedule_ran(struct store *store, const struct schedule_row *ran, struct err *e);
int store_schedule_delete(struct store *store, const char *id, struct err *e);
int store_schedule_delete_all(struct store *store, const char *project, struct err *e);

#endif
