/* SPDX-License-Identifier: Apache-2.0 */
/* What can be asked: a verb is one function, for both sockets. */
#ifndef SUPERVISOR_FRONT_API_VERBS_H
#define SUPERVISOR_FRONT_API_VERBS_H

#include "supervisor/front/api/call.h"
#include "supervisor/front/api/iron/iron.h"

struct verb {
	const char *op;		   /* on the control socket; NULL: not there */
	const char *method, *path; /* over HTTP; NULL: not there */
	enum who who; /* over HTTP; whoever may use the control socket is an operator */
	int (*run)(struct call *c, struct err *e);
	uint16_t fds_max; /* that may come along, on the control socket */
	uint16_t status;  /* HTTP's, of an answer that is no error; 0: 200 */
	bool upload;	  /* its body may be multipart/form-data */
	const char *body; /* NULL: it is not looked at; "": its members are given; or the key whose
			     value it is */
	const struct http_reader *reader;
	/* As struct http_route has them. */
	size_t body_max;
	uint64_t form_max;
	/* Of a row for another's clients: how errors look, and answers (struct client). */
	const struct http_dialect *dialect;
	json_t *(*shape)(const struct http_request *r, json_t *reply);
};

/* NULL: there is none. */
const struct verb *verb_find(const struct front *f, const char *op);
/* What the HTTP server is given: the rows of all capabilities' verbs that have a path, and their
 * own routes. The caller frees it, all at once; NULL: out of memory. */
const struct http_route *const *verb_tables(const struct capability *const *list, unsigned *ret_n);
/* The control socket, with all verbs of /api and its own; /2 (iron/iron.c), which has some verbs
 * alone and shares the others; and the HTTP server, which serves them. */
extern const struct capability control_capability, iron_capability, http_capability;

/* clang-format off */
#define VERBS_OF_A_PROJECT(p) \
	{NULL, "GET", p "/codes", WHO_PROJECT, verb_workers}, \
	{NULL, "POST", p "/codes", WHO_PROJECT, verb_upload, .upload = true, \
	 .reader = &iron_reader_code}, \
	{NULL, "GET", p "/codes/{id}", WHO_PROJECT, verb_worker}, \
	{NULL, "DELETE", p "/codes/{id}", WHO_PROJECT, verb_worker_rm}, \
	{NULL, "GET", p "/codes/{id}/revisions", WHO_PROJECT, verb_worker_revisions}, \
	{NULL, "GET", p "/codes/{id}/download", WHO_PROJECT, verb_worker_download}, \
	{NULL, "GET", p "/codes/{id}/stats", WHO_PROJECT, verb_worker_stats}, \
	{NULL, "POST", p "/codes/{id}/pause_task_queue", WHO_PROJECT, verb_worker_pause}, \
	{NULL, "POST", p "/codes/{id}/resume_task_queue", WHO_PROJECT, verb_worker_resume}, \
	{NULL, "POST", p "/codes/{id}/cancel_all", WHO_PROJECT, verb_worker_cancel_all}, \
	{NULL, "POST", p "/tasks", WHO_PROJECT, verb_submit, .reader = &iron_reader_tasks}, \
	{NULL, "POST", p "/tasks/webhook", WHO_PROJECT, verb_webhook, \
	 .body_max = HTTP_BODY_MAX}, \
	{NULL, "GET", p "/tasks/{id}/log", WHO_PROJECT, verb_log}, \
	{NULL, "GET", p "/tasks/{id}/outlog", WHO_PROJECT, verb_outlog}, \
	{NULL, "POST", p "/tasks/{id}/progress", WHO_PROJECT, verb_progress}, \
	{NULL, "POST", p "/tasks/{id}/retry", WHO_PROJECT, verb_retry}, \
	{NULL, "GET", p "/schedules", WHO_PROJECT, verb_schedules}, \
	{NULL, "POST", p "/schedules", WHO_PROJECT, verb_schedules_create, \
	 .reader = &iron_reader_schedules, .body_max = IRON_SCHEDULES_BYTES}, \
	{NULL, "GET", p "/schedules/{id}", WHO_PROJECT, verb_schedule}, \
	{NULL, "PUT", p "/schedules/{id}", WHO_PROJECT, verb_schedule_update, \
	 .reader = &iron_reader_schedule}, \
	{NULL, "POST", p "/schedules/{id}/cancel", WHO_PROJECT, verb_schedule_cancel}
/* clang-format on */

/* project.c */
int verb_whoami(struct call *c, struct err *e);
int verb_projects(struct call *c, struct err *e);
int verb_project(struct call *c, struct err *e);
int verb_project_create(struct call *c, struct err *e);
int verb_project_quota(struct call *c, struct err *e);
int verb_project_rm(struct call *c, struct err *e);
int verb_tokens(struct call *c, struct err *e);
int verb_token_create(struct call *c, struct err *e);
int verb_token_revoke(struct call *c, struct err *e);
/* run.c */
int verb_run(struct call *c, struct err *e);
/* submit.c */
int verb_submit(struct call *c, struct err *e);
int verb_webhook(struct call *c, struct err *e);
int verb_retry(struct call *c, struct err *e);
/* task.c */
int verb_tasks(struct call *c, struct err *e);
int verb_dead_letters(struct call *c, struct err *e);
int verb_task(struct call *c, struct err *e);
int verb_wait(struct call *c, struct err *e);
int verb_cancel(struct call *c, struct err *e);
int verb_progress(struct call *c, struct err *e);
int verb_log(struct call *c, struct err *e);
int verb_outlog(struct call *c, struct err *e);
int verb_events(struct call *c, struct err *e);
int verb_logs(struct call *c, struct err *e);
int verb_rm(struct call *c, struct err *e);
int verb_prune(struct call *c, struct err *e);
/* worker.c, upload.c */
int verb_workers(struct call *c, struct err *e);
int verb_upload(struct call *c, struct err *e);
int verb_upload_check(struct call *c, struct err *e);
int verb_worker(struct call *c, struct err *e);
int verb_worker_rm(struct call *c, struct err *e);
int verb_worker_revisions(struct call *c, struct err *e);
int verb_worker_download(struct call *c, struct err *e);
int verb_worker_stats(struct call *c, struct err *e);
int verb_worker_pause(struct call *c, struct err *e);
int verb_worker_resume(struct call *c, struct err *e);
int verb_worker_cancel_all(struct call *c, struct err *e);
/* schedule.c */
int verb_schedules(struct call *c, struct err *e);
int verb_schedules_create(struct call *c, struct err *e);
int verb_schedule(struct call *c, struct err *e);
int verb_schedule_update(struct call *c, struct err *e);
int verb_schedule_cancel(struct call *c, struct err *e);
/* node.c, openapi.c */
int verb_version(struct call *c, struct err *e);
int verb_node(struct call *c, struct err *e);
int verb_images(struct call *c, struct err *e);
int verb_image_in_use(struct call *c, struct err *e);
int verb_warm(struct call *c, struct err *e);
int verb_policies(struct call *c, struct err *e);
int verb_policy(struct call *c, struct err *e);
int verb_templates(struct call *c, struct err *e);
int verb_template_retire(struct call *c, struct err *e);
int verb_checkpoints(struct call *c, struct err *e);
int verb_openapi(struct call *c, struct err *e);

/* task.c: reads "id", the last of what is read, of a task, and gives what is known of the task. The
 * caller clears *ret (task_record_clear). */
int call_record(struct call *c, struct task_record *ret, struct err *e);

/* run.c: fds[i] must be a connected Unix stream socket; what: for what it is, in an error. */
int call_check_socket(const struct call *c, unsigned i, const char *what, struct err *e);

/* answers.c: gives waiters the answers that they are due. */
extern const struct listener answers_listener;

#endif
