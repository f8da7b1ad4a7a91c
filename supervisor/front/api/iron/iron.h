/* SPDX-License-Identifier: Apache-2.0 */
/* What is IronWorker's: its shapes, and how bodies of its API are read. */
#ifndef SUPERVISOR_FRONT_API_IRON_IRON_H
#define SUPERVISOR_FRONT_API_IRON_IRON_H

#include "supervisor/front/api/iron/body.h"
#include "supervisor/front/api/shapes.h"
#include "supervisor/front/run/queue/queue.h"
#include "supervisor/front/run/schedule/schedule.h"
#include "supervisor/front/serve/http/http.h"

/* json.c: IronWorker's shapes, of workers and schedules also /api's. Times are texts, what is
 * unknown is "" or zero, never null. New references. */
json_t *iron_code_json(struct front *f, const struct worker *c);
json_t *iron_revision_json(const struct worker *c, const struct worker_revision *rev);
json_t *iron_schedule_json(const struct schedule *s);
/* payload: also that. */
json_t *iron_task_json(struct front *f, const struct task_record *rec, bool payload);

/* body.c: what is in a request's `read` when its verb is called. */
extern const struct http_reader iron_reader_tasks;     /* struct iron_tasks */
extern const struct http_reader iron_reader_schedules; /* struct iron_schedules */
extern const struct http_reader iron_reader_schedule;  /* text for iron_schedule_change */
extern const struct http_reader iron_reader_code;      /* text for iron_code_parse */

#endif
