// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/api.h"

#include <string.h>

json_t *api_text(const char *text)
{
	return *text ? iron_text(text) : json_null();
}

json_t *api_time(uint64_t realtime_ns)
{
	return realtime_ns ? iron_time(realtime_ns) : json_null();
}

static int version(struct http_request *r, struct err *e)
{
	(void)e;
	http_json(r, 200,
		  json_pack("{s:s, s:o}", "version", SANDBOXD_VERSION, "started_at",
			    iron_time(r->f->started_ns)));
	return 0;
}

#define P "/api/projects/{}"
const struct http_route http_routes_api[] = {
	{"GET", "/api/openapi.json", HTTP_OPEN, false, api_openapi},
	{"GET", "/api/version", HTTP_OPEN, false, version},
	{"GET", "/api/whoami", HTTP_TOKEN, false, api_whoami},
	{"GET", "/api/projects", HTTP_TOKEN, false, api_projects},
	{"POST", "/api/projects", HTTP_OPERATOR, false, api_project_create},
	{"GET", P, HTTP_PROJECT, false, api_project_get},
	{"DELETE", P, HTTP_OPERATOR, false, api_project_delete},
	{"PUT", P "/quota", HTTP_OPERATOR, false, api_project_quota},
	{"GET", P "/tokens", HTTP_OPERATOR, false, api_tokens},
	{"POST", P "/tokens", HTTP_OPERATOR, false, api_token_create},
	{"DELETE", P "/tokens/{}", HTTP_OPERATOR, false, api_token_revoke},

	{"GET", P "/codes", HTTP_PROJECT, false, iron_codes},
	{"POST", P "/codes", HTTP_PROJECT, true, iron_upload},
	{"GET", P "/codes/{}", HTTP_PROJECT, false, iron_code_get},
	{"DELETE", P "/codes/{}", HTTP_PROJECT, false, iron_code_delete},
	{"GET", P "/codes/{}/revisions", HTTP_PROJECT, false, iron_code_revisions},
	{"GET", P "/codes/{}/download", HTTP_PROJECT, false, iron_code_download},
	{"GET", P "/codes/{}/stats", HTTP_PROJECT, false, iron_code_stats},
	{"POST", P "/codes/{}/pause_task_queue", HTTP_PROJECT, false, iron_code_pause},
	{"POST", P "/codes/{}/resume_task_queue", HTTP_PROJECT, false, iron_code_resume},
	{"POST", P "/codes/{}/cancel_all", HTTP_PROJECT, false, iron_code_cancel_all},

	{"GET", P "/tasks", HTTP_PROJECT, false, api_tasks},
	{"GET", P "/dead_letters", HTTP_PROJECT, false, api_dead_letters},
	{"POST", P "/tasks", HTTP_PROJECT, false, iron_queue},
	{"POST", P "/tasks/webhook", HTTP_PROJECT, false, iron_webhook},
	{"GET", P "/tasks/{}", HTTP_PROJECT, false, api_task_get},
	{"GET", P "/tasks/{}/log", HTTP_PROJECT, false, iron_task_log},
	{"GET", P "/tasks/{}/outlog", HTTP_PROJECT, false, iron_task_outlog},
	{"GET", P "/tasks/{}/events", HTTP_PROJECT, false, api_task_events},
	{"POST", P "/tasks/{}/cancel", HTTP_PROJECT, false, iron_task_cancel},
	{"POST", P "/tasks/{}/progress", HTTP_PROJECT, false, iron_task_progress},
	{"POST", P "/tasks/{}/retry", HTTP_PROJECT, false, iron_retry},

	{"GET", P "/schedules", HTTP_PROJECT, false, iron_schedules},
	{"POST", P "/schedules", HTTP_PROJECT, false, iron_schedules_post},
	{"GET", P "/schedules/{}", HTTP_PROJECT, false, iron_schedule_get},
	{"PUT", P "/schedules/{}", HTTP_PROJECT, false, iron_schedule_put},
	{"POST", P "/schedules/{}/cancel", HTTP_PROJECT, false, iron_schedule_cancel},

	{"GET", "/api/node", HTTP_OPERATOR, false, api_node},
	{"GET", "/api/images", HTTP_OPERATOR, false, api_images},
	{"POST", "/api/images/{}/warm", HTTP_OPERATOR, false, api_image_warm},
	{"GET", "/api/templates", HTTP_OPERATOR, false, api_templates},
	{"DELETE", "/api/templates/{}", HTTP_OPERATOR, false, api_template_retire},
	{"GET", "/api/checkpoints", HTTP_OPERATOR, false, api_checkpoints},
	{"GET", "/api/policies", HTTP_OPERATOR, false, api_policies},
	{"GET", "/api/policies/{}", HTTP_OPERATOR, false, api_policy_get},
	{NULL, NULL, HTTP_OPEN, false, NULL},
};
