/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of REST requests as the structs that the queue, workers and schedules take. Pure.
 *
 * strict (/api): an unknown key or a number in quotes is an error. Else (/2) as IronWorker's
 * clients want it: unknown keys are ignored, "2" is 2, priority -3 is none. null is always what
 * was not given. Every error names the field, as in `request: tasks[3].delay: ...`.
 */
#ifndef SUPERVISOR_FRONT_API_IRON_BODY_H
#define SUPERVISOR_FRONT_API_IRON_BODY_H

#include "supervisor/front/run/queue/queue.h"
#include "supervisor/front/run/schedule/schedule.h"

#define IRON_BATCH_MAX 1000    /* tasks of one request */
#define IRON_SCHEDULES_MAX 100 /* they are one transaction */
#define IRON_SCHEDULES_BYTES (1u << 20)
#define IRON_RUN_EVERY_MIN 60
#define IRON_MSG_MAX 255

struct iron_task {
	const char *code_name;
	struct submit what;
	bool sync;
};

/* Texts of tasks are in one piece of memory: of a body of many small values little is left. */
struct iron_tasks {
	char *texts;
	struct iron_task *tasks;
	size_t n;
};
int iron_tasks_parse(const char *text, size_t len, bool strict, struct iron_tasks *ret,
		     struct err *e);
void iron_tasks_clear(struct iron_tasks *tasks);
#define _cleanup_iron_tasks_ __attribute__((cleanup(iron_tasks_clear)))

struct iron_schedules {
	struct schedule_spec *specs;
	size_t n;
};
int iron_schedules_parse(const char *text, size_t len, bool strict, struct iron_schedules *ret,
			 struct err *e);
void iron_schedules_clear(struct iron_schedules *schedules);
#define _cleanup_iron_schedules_ __attribute__((cleanup(iron_schedules_clear)))

/* What the text does not name stays as it is in *spec. */
int iron_schedule_change(const char *text, size_t len, bool strict, struct schedule_spec *spec,
			 struct err *e);

/* The part "data" of an upload. image "": none was named. */
int iron_code_parse(const char *text, size_t len, bool strict, struct worker_spec *ret,
		    struct err *e);
/* What the text does not name stays as it is in *spec; cleared on an error. */
int iron_code_change(const char *text, size_t len, bool strict, struct worker_spec *spec,
		     struct err *e);

struct iron_progress {
	uint32_t percent;
	bool has_percent;
	char msg[IRON_MSG_MAX + 1];
};
int iron_progress_parse(const char *text, size_t len, bool strict, struct iron_progress *ret,
			struct err *e);
/* An empty body is one without a delay. */
int iron_retry_parse(const char *text, size_t len, bool strict, uint32_t *ret_delay_s,
		     struct err *e);

/* A parameter of a webhook's query as the value of a key: digits are a number. */
int iron_webhook_parse(json_t *params, const char *body, size_t len, struct iron_tasks *ret,
		       struct err *e);

#endif
