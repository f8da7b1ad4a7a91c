// SPDX-License-Identifier: Apache-2.0
/* Projects and their tokens. */
#include <string.h>

#include "supervisor/front/api/api.h"
#include "supervisor/front/api/iron/read.h"

int api_whoami(struct http_request *r, struct err *e)
{
	(void)e;
	http_json(r, 200,
		  json_pack("{s:{s:s, s:s}, s:b}", "project", "id", r->project->id, "name",
			    r->project->name, "operator", r->operator));
	return 0;
}

int api_projects(struct http_request *r, struct err *e)
{
	json_t *list = json_array();

	(void)e;
	for (const struct project *p = r->f->core->projects; p; p = p->next)
		if (r->operator|| p == r->project)
			(void)json_array_append_new(list, project_json(p));
	http_json(r, 200, json_pack("{s:o}", "projects", list));
	return 0;
}

int api_project_create(struct http_request *r, struct err *e)
{
	json_auto_t *doc = NULL;
	char token[TOKEN_LEN + 1];
	struct project *p = NULL;
	struct quota quota = project_quota_default();
	struct iron_read in;
	const char *name;
	json_t *q, *answer;
	int res;

	res = iron_read_load(r->body, r->len, true, false, NULL, &doc, &in, e);
	if (res < 0)
		return res;
	name = iron_read_string(&in, "name", PROJECT_NAME_MAX);
	q = iron_read_get(&in, "quota");
	if (!name)
		(void)json_strict_fail(&in.s, "name", "must be given");
	res = iron_read_end(&in);
	if (res == 0 && q)
		res = quota_from_json("quota", q, &quota, e);
	if (res == 0)
		res = project_create(r->f, name, &quota, token, &p, e);
	if (res < 0)
		return res;
	answer = json_pack("{s:s, s:s, s:s}", "id", p->id, "name", p->name, "token", token);
	quota_warn(r->f, q, answer);
	http_json(r, 201, answer);
	explicit_bzero(token, sizeof(token));
	return 0;
}

int api_project_get(struct http_request *r, struct err *e)
{
	struct project *p = NULL;
	int res = iron_project(r, &p, e);

	if (res == 0)
		http_json(r, 200, project_json(p));
	return res;
}

static void say_removed(void *arg, int res, const struct err *error)
{
	struct http_request *r = iron_later_take(arg);

	if (r && res < 0)
		iron_fail(r, error);
	else if (r)
		iron_message(r, "Deleted");
}

int api_project_delete(struct http_request *r, struct err *e)
{
	struct iron_later *later;
	struct project *p = NULL;
	bool force = false;
	int res = iron_project(r, &p, e);

	if (res == 0)
		res = iron_flag(r, "force", &force, e);
	if (res < 0)
		return res;
	later = iron_later_new(r, NULL, e);
	if (!later)
		return -ENOMEM;
	res = project_remove(r->f, p, force, say_removed, later, e);
	if (res < 0)
		(void)iron_later_take(later);
	else
		iron_later_wait(later);
	return res;
}

int api_project_quota(struct http_request *r, struct err *e)
{
	json_auto_t *doc = NULL;
	struct project *p = NULL;
	struct quota quota;
	json_t *answer;
	int res = iron_project(r, &p, e);

	if (res == 0)
		res = json_strict_load("request", r->body, r->len, HTTP_BODY_MAX, &doc, e);
	if (res < 0)
		return res;
	quota = p->quota;
	res = quota_from_json("request", doc, &quota, e);
	if (res == 0)
		res = project_set_quota(r->f, p, &quota, e);
	if (res < 0)
		return res;
	answer = project_json(p);
	quota_warn(r->f, doc, answer);
	http_json(r, 200, answer);
	return 0;
}

int api_tokens(struct http_request *r, struct err *e)
{
	struct project *p = NULL;
	json_t *list;
	int res = iron_project(r, &p, e);

	if (res < 0)
		return res;
	list = json_array();
	for (const struct token *t = p->tokens; t; t = t->next)
		(void)json_array_append_new(list, token_json(t));
	http_json(r, 200, json_pack("{s:o}", "tokens", list));
	return 0;
}

int api_token_create(struct http_request *r, struct err *e)
{
	json_auto_t *doc = NULL;
	char text[TOKEN_LEN + 1], label[TOKEN_LABEL_MAX + 1] = "";
	struct project *p = NULL;
	struct token *t = NULL;
	struct iron_read in;
	bool is_operator = false;
	json_t *reply;
	int res = iron_project(r, &p, e);

	if (res == 0)
		res = iron_read_load(r->body, r->len, true, true, NULL, &doc, &in, e);
	if (res < 0)
		return res;
	(void)iron_read_text(&in, "label", label, sizeof(label));
	(void)iron_read_bool(&in, "operator", &is_operator);
	res = iron_read_end(&in);
	if (res == 0)
		res = token_create(r->f, p, label, is_operator, text, &t, e);
	if (res < 0)
		return res;
	reply = token_json(t);
	(void)json_object_set_new(reply, "token", json_string(text));
	explicit_bzero(text, sizeof(text));
	http_json(r, 201, reply);
	return 0;
}

int api_token_revoke(struct http_request *r, struct err *e)
{
	struct project *p = NULL;
	int res = iron_project(r, &p, e);

	if (res == 0)
		res = token_revoke(r->f, p, r->parts[1], e);
	if (res == 0)
		iron_message(r, "Revoked");
	return res;
}
