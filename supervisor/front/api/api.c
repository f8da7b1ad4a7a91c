// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/api/api.h"

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

	IRON_ROUTES(P),
	{"GET", P "/tasks", HTTP_PROJECT, false, api_tasks},
	{"GET", P "/dead_letters", HTTP_PROJECT, false, api_dead_letters},
	{"GET", P "/tasks/{}", HTTP_PROJECT, false, api_task_get},
	{"GET", P "/tasks/{}/events", HTTP_PROJECT, false, api_task_events},

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
