/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of /api share; iron.h has what they share with /2. */
#ifndef SUPERVISOR_FRONT_API_API_H
#define SUPERVISOR_FRONT_API_API_H

#include "supervisor/front/api/iron/iron.h"

/* null for what is not known. New references. */
json_t *api_text(const char *text); /* "": null */
json_t *api_time(uint64_t realtime_ns);

/* api_project.c */
int api_whoami(struct http_request *r, struct err *e);
int api_projects(struct http_request *r, struct err *e);
int api_project_create(struct http_request *r, struct err *e);
int api_project_get(struct http_request *r, struct err *e);
int api_project_delete(struct http_request *r, struct err *e);
int api_project_quota(struct http_request *r, struct err *e);
int api_tokens(struct http_request *r, struct err *e);
int api_token_create(struct http_request *r, struct err *e);
int api_token_revoke(struct http_request *r, struct err *e);
/* api_task.c */
int api_tasks(struct http_request *r, struct err *e);
int api_dead_letters(struct http_request *r, struct err *e);
int api_task_get(struct http_request *r, struct err *e);
int api_task_events(struct http_request *r, struct err *e);
/* api_node.c */
int api_node(struct http_request *r, struct err *e);
int api_images(struct http_request *r, struct err *e);
int api_image_warm(struct http_request *r, struct err *e);
int api_policies(struct http_request *r, struct err *e);
int api_policy_get(struct http_request *r, struct err *e);
/* api_template.c */
int api_templates(struct http_request *r, struct err *e);
int api_template_retire(struct http_request *r, struct err *e);
int api_checkpoints(struct http_request *r, struct err *e);
/* api_openapi.c */
int api_openapi(struct http_request *r, struct err *e);

#endif
