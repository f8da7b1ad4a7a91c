// SPDX-License-Identifier: Apache-2.0
/* The table of verbs. control.h tells what each takes and answers on the control socket,
 * openapi.json over HTTP. */
#include "supervisor/front/api/verbs.h"

#include <stdlib.h>
#include <string.h>

#include "supervisor/front/api/sync.h"

#define P "/api/projects/{project}"

/* clang-format off */
static const struct verb verbs[] = {
	{"version", "GET", "/api/version", WHO_ANYBODY, verb_version},
	{NULL, "GET", "/api/openapi.json", WHO_ANYBODY, verb_openapi},

	{NULL, "GET", "/api/whoami", WHO_TOKEN, verb_whoami},
	{"projects", "GET", "/api/projects", WHO_TOKEN, verb_projects},
	{"project_create", "POST", "/api/projects", WHO_OPERATOR, verb_project_create,
	 .body = "", .status = 201},
	{"project", "GET", P, WHO_PROJECT, verb_project},
	{"project_quota", "PUT", P "/quota", WHO_OPERATOR, verb_project_quota, .body = "quota"},
	{"project_rm", "DELETE", P, WHO_OPERATOR, verb_project_rm},
	{"tokens", "GET", P "/tokens", WHO_OPERATOR, verb_tokens},
	{"token_create", "POST", P "/tokens", WHO_OPERATOR, verb_token_create,
	 .body = "", .status = 201},
	{"token_revoke", "DELETE", P "/tokens/{id}", WHO_OPERATOR, verb_token_revoke},

	{"run", NULL, NULL, WHO_OPERATOR, verb_run, .fds_max = 3},
	{"ps", "GET", P "/tasks", WHO_PROJECT, verb_tasks},
	{"inspect", "GET", P "/tasks/{id}", WHO_PROJECT, verb_task},
	{"wait", NULL, NULL, WHO_OPERATOR, verb_wait},
	{"cancel", "POST", P "/tasks/{id}/cancel", WHO_PROJECT, verb_cancel},
	{"logs", NULL, NULL, WHO_OPERATOR, verb_logs, .fds_max = 1},
	{NULL, "GET", P "/tasks/{id}/events", WHO_PROJECT, verb_events},
	{NULL, "POST", P "/codes/check", WHO_PROJECT, verb_upload_check,
	 .reader = &iron_reader_code},
	{NULL, "GET", P "/dead_letters", WHO_PROJECT, verb_dead_letters},
	{"rm", NULL, NULL, WHO_OPERATOR, verb_rm},
	{"prune", NULL, NULL, WHO_OPERATOR, verb_prune},
	VERBS_OF_A_PROJECT(P),

	{NULL, "GET", "/api/node", WHO_OPERATOR, verb_node},
	{NULL, "GET", "/api/images", WHO_OPERATOR, verb_images},
	{"image_in_use", NULL, NULL, WHO_OPERATOR, verb_image_in_use},
	{"warm", "POST", "/api/images/{image}/warm", WHO_OPERATOR, verb_warm, .body = ""},
	{NULL, "GET", "/api/policies", WHO_OPERATOR, verb_policies},
	{NULL, "GET", "/api/policies/{name}", WHO_OPERATOR, verb_policy},
	{"templates", "GET", "/api/templates", WHO_OPERATOR, verb_templates},
	{"template_retire", "DELETE", "/api/templates/{id}", WHO_OPERATOR, verb_template_retire},
	{NULL, "GET", "/api/checkpoints", WHO_OPERATOR, verb_checkpoints},
	{0},
};
/* clang-format on */

/* The same as a row of the HTTP server's. */
static struct http_route verb_route(const struct verb *v)
{
	return (struct http_route){.method = v->method,
				   .path = v->path,
				   .who = v->who,
				   .upload = v->upload,
				   .fn = call_by_http,
				   /* A long body of JSON is a thread's to read. */
				   .reader = v->reader ? v->reader
					     : v->body && v->body_max > HTTP_BODY_SHORT
						     ? &call_json_reader
						     : NULL,
				   .body_max = v->body_max,
				   .form_max = v->form_max,
				   /* All that IronWorker's clients ask, and nothing else. */
				   .lenient = strncmp(v->path, "/2/", 3) == 0,
				   .dialect = v->dialect,
				   .verb = v};
}

const struct http_route *const *verb_tables(const struct capability *const *list, unsigned *ret_n)
{
	struct {
		const struct http_route
			*tables[CAPABILITIES_MAX + 1]; /* the first, which is freed */
		struct http_route rows[];
	} * all;
	unsigned n = 0, n_rows = 0;

	for (const struct capability *const *c = list; *c; c++)
		for (const struct verb *v = (*c)->verbs; v && v->run; v++)
			n_rows += v->path != NULL;
	all = calloc(1, sizeof(*all) + (n_rows + 1) * sizeof(all->rows[0]));
	if (!all)
		return NULL;
	all->tables[n++] = all->rows;
	n_rows = 0;
	for (const struct capability *const *c = list; *c; c++) {
		for (const struct verb *v = (*c)->verbs; v && v->run; v++)
			if (v->path)
				all->rows[n_rows++] = verb_route(v);
		if ((*c)->routes && n < ARRAY_SIZE(all->tables))
			all->tables[n++] = (*c)->routes;
	}
	*ret_n = n;
	return all->tables;
}

static int control_start(struct front *f, struct err *e)
{
	int r = control_init(f, call_by_control);

	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "cannot watch the control socket") : 0;
}

const struct capability control_capability = {.name = "control",
					      .start = control_start,
					      .clear = control_clear,
					      .listener = &answers_listener,
					      .verbs = verbs};

static int http_start(struct front *f, struct err *e)
{
	unsigned n;

	if (f->cfg.http_fd < 0 && f->cfg.api_fd < 0)
		return 0;
	free((void *)f->api->tables);
	f->api->tables = verb_tables(f->capabilities, &n);
	if (!f->api->tables)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot serve HTTP");
	return http_init(f, f->api->tables, n, e);
}

static void http_stop(struct front *f)
{
	http_clear(f);
	free((void *)f->api->tables);
	f->api->tables = NULL;
}

const struct capability http_capability = {.name = "http",
					   .start = http_start,
					   .clear = http_stop,
					   .listener = &http_listener,
					   .routes = http_routes_node,
					   .metrics = http_metrics};
