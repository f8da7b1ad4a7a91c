/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The REST handlers: /2, IronWorker's API as its clients know it, and /api, what it has not.
 * Rows of both tables that mean the same have the same function; what differs is how strict a
 * body is read (iron_strict) and how a task looks.
 */
#ifndef SUPERVISOR_FRONT_API_IRON_IRON_H
#define SUPERVISOR_FRONT_API_IRON_IRON_H

#include "lib/json_strict.h"
#include "supervisor/front/api/iron/body.h"
#include "supervisor/front/api/shapes.h"
#include "supervisor/front/run/queue/queue.h"
#include "supervisor/front/run/schedule/schedule.h"
#include "supervisor/front/serve/http/http.h"
#include "supervisor/front/serve/serve.h"

struct api {
	struct sync_wait *sync_waits; /* iron_sync.c */
	sd_event_source *sync_timer;
};

#define IRON_PAGE 30u
#define IRON_PAGE_MAX 100u
#define IRON_SKIP_MAX 10000000u

/* iron.c: what all handlers ask. */
bool iron_strict(const struct http_request *r); /* under /api */
/* Of the path: {0} is a project's id, {1} a code's, a schedule's. ERR_NOT_FOUND. */
int iron_project(const struct http_request *r, struct project **ret, struct err *e);
int iron_code(const struct http_request *r, struct code **ret, struct err *e);
int iron_schedule(const struct http_request *r, struct schedule **ret, struct err *e);
/* The caller frees ret->spec. */
int iron_task(const struct http_request *r, struct project **ret_project, struct task_record *ret,
	      struct err *e);
/* A parameter that is a text; what is not there stays, and one without a text is wrong. */
int iron_param(const struct http_request *r, const char *name, const char **ret, struct err *e);
/* A parameter that is a number; what is not there stays. */
int iron_number(const struct http_request *r, const char *name, uint64_t min, uint64_t max,
		uint64_t *ret, struct err *e);
/* True in *ret: "1" or "true". */
int iron_flag(const struct http_request *r, const char *name, bool *ret, struct err *e);
struct iron_page {
	unsigned skip, limit;
};
int iron_page(const struct http_request *r, struct iron_page *ret, struct err *e);
/* {"msg": msg}, 200. */
void iron_message(struct http_request *r, const char *msg);
/* Later than the handler: like an error that it returns. */
void iron_fail(struct http_request *r, const struct err *e);

/* A request that is answered later. r is NULL once the client has gone. */
struct iron_later {
	struct http_request *r;
	struct front *f;
	void *what;
};
struct iron_later *iron_later_new(struct http_request *r, void *what, struct err *e);
void iron_later_wait(struct iron_later *later); /* http_later */
/* The request, or NULL; frees. */
struct http_request *iron_later_take(struct iron_later *later);

/* iron_json.c: IronWorker's shapes. New references. */
json_t *iron_text(const char *text); /* what is not UTF-8 is said to be so */
json_t *iron_time(uint64_t realtime_ns);
json_t *iron_hex(const uint8_t bytes[32]);
json_t *iron_code_json(struct front *f, const struct code *c);
json_t *iron_revision_json(const struct code *c, const struct code_revision *rev);
json_t *iron_schedule_json(const struct schedule *s);
/* payload: also that. */
json_t *iron_task_json(struct front *f, const struct task_record *rec, bool payload);
/* What a user is told of how a task ended; "" when there is nothing to tell. */
const char *iron_task_msg(const struct task_record *rec, char *buf, size_t size);

/* iron_code.c */
int iron_codes(struct http_request *r, struct err *e);
int iron_code_get(struct http_request *r, struct err *e);
int iron_code_delete(struct http_request *r, struct err *e);
int iron_code_revisions(struct http_request *r, struct err *e);
int iron_code_download(struct http_request *r, struct err *e);
int iron_code_stats(struct http_request *r, struct err *e);
int iron_code_pause(struct http_request *r, struct err *e);
int iron_code_resume(struct http_request *r, struct err *e);
int iron_code_cancel_all(struct http_request *r, struct err *e);
/* iron_upload.c */
int iron_upload(struct http_request *r, struct err *e);
/* iron_queue.c */
int iron_queue(struct http_request *r, struct err *e);
int iron_webhook(struct http_request *r, struct err *e);
int iron_retry(struct http_request *r, struct err *e);
/* iron_task.c */
int iron_tasks(struct http_request *r, struct err *e);
int iron_task_get(struct http_request *r, struct err *e);
int iron_task_cancel(struct http_request *r, struct err *e);
int iron_task_progress(struct http_request *r, struct err *e);
int iron_task_log(struct http_request *r, struct err *e);
int iron_task_outlog(struct http_request *r, struct err *e);
/* iron_schedule.c */
int iron_schedules(struct http_request *r, struct err *e);
int iron_schedules_post(struct http_request *r, struct err *e);
int iron_schedule_get(struct http_request *r, struct err *e);
int iron_schedule_put(struct http_request *r, struct err *e);
int iron_schedule_cancel(struct http_request *r, struct err *e);

/* iron_sync.c: calls done when all of the n tasks have ended, when the asker, which is borrowed
 * until then, has gone, or after 300 s. */
typedef void (*iron_sync_fn)(void *arg);
int iron_sync(struct front *f, const char *project_id, char (*ids)[TASK_ID_LEN + 1], size_t n,
	      const struct iron_later *asker, iron_sync_fn done, void *arg, struct err *e);
void iron_sync_clear(struct front *f);

/* iron_reader.c: what is in a request's `read` when its handler is called. */
extern const struct http_reader iron_reader_tasks;     /* struct iron_tasks */
extern const struct http_reader iron_reader_schedules; /* struct iron_schedules */
extern const struct http_reader iron_reader_schedule;  /* text for iron_schedule_change */
extern const struct http_reader iron_reader_code;      /* text for iron_code_parse */

/* What is the same below /2 and /api. */
/* clang-format off */
#define IRON_ROUTES(p) \
	{"GET", p "/codes", HTTP_PROJECT, false, iron_codes}, \
	{"POST", p "/codes", HTTP_PROJECT, true, iron_upload, &iron_reader_code}, \
	{"GET", p "/codes/{}", HTTP_PROJECT, false, iron_code_get}, \
	{"DELETE", p "/codes/{}", HTTP_PROJECT, false, iron_code_delete}, \
	{"GET", p "/codes/{}/revisions", HTTP_PROJECT, false, iron_code_revisions}, \
	{"GET", p "/codes/{}/download", HTTP_PROJECT, false, iron_code_download}, \
	{"GET", p "/codes/{}/stats", HTTP_PROJECT, false, iron_code_stats}, \
	{"POST", p "/codes/{}/pause_task_queue", HTTP_PROJECT, false, iron_code_pause}, \
	{"POST", p "/codes/{}/resume_task_queue", HTTP_PROJECT, false, iron_code_resume}, \
	{"POST", p "/codes/{}/cancel_all", HTTP_PROJECT, false, iron_code_cancel_all}, \
	{"POST", p "/tasks", HTTP_PROJECT, false, iron_queue, &iron_reader_tasks}, \
	{"POST", p "/tasks/webhook", HTTP_PROJECT, false, iron_webhook, NULL, HTTP_BODY_MAX}, \
	{"GET", p "/tasks/{}/log", HTTP_PROJECT, false, iron_task_log}, \
	{"GET", p "/tasks/{}/outlog", HTTP_PROJECT, false, iron_task_outlog}, \
	{"POST", p "/tasks/{}/cancel", HTTP_PROJECT, false, iron_task_cancel}, \
	{"POST", p "/tasks/{}/progress", HTTP_PROJECT, false, iron_task_progress}, \
	{"POST", p "/tasks/{}/retry", HTTP_PROJECT, false, iron_retry}, \
	{"GET", p "/schedules", HTTP_PROJECT, false, iron_schedules}, \
	{"POST", p "/schedules", HTTP_PROJECT, false, iron_schedules_post, \
	 &iron_reader_schedules, IRON_SCHEDULES_BYTES}, \
	{"GET", p "/schedules/{}", HTTP_PROJECT, false, iron_schedule_get}, \
	{"PUT", p "/schedules/{}", HTTP_PROJECT, false, iron_schedule_put, \
	 &iron_reader_schedule}, \
	{"POST", p "/schedules/{}/cancel", HTTP_PROJECT, false, iron_schedule_cancel}
/* clang-format on */

#endif
