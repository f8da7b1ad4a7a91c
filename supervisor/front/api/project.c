// SPDX-License-Identifier: Apache-2.0
/* Projects, their quotas and their tokens. */
#include <string.h>

#include "lib/json_put.h"
#include "supervisor/front/api/shapes.h"
#include "supervisor/front/api/verbs.h"

int verb_whoami(struct call *c, struct err *e)
{
	int r = call_end(c, e);

	if (r < 0)
		return r;
	call_reply(c, json_pack("{s:{s:s, s:s}, s:b}", "project", "id", c->project->id, "name",
				c->project->name, "operator", c->is_operator));
	return 0;
}

int verb_projects(struct call *c, struct err *e)
{
	json_t *list;
	int r = call_end(c, e);

	if (r < 0)
		return r;
	list = json_array();
	for (const struct project *p = c->f->core->projects; p; p = p->next)
		if (c->is_operator || p == c->project)
			(void)json_array_append_new(list, project_json(c->f, p));
	call_reply(c, json_pack("{s:o}", "projects", list));
	return 0;
}

int verb_project(struct call *c, struct err *e)
{
	int r = call_end_project(c, e);

	if (r < 0)
		return r;
	call_reply(c, project_json(c->f, c->project));
	return 0;
}

int verb_project_create(struct call *c, struct err *e)
{
	/* project_create says what a name must be like, and how long. */
	const char *name = call_string(c, "name", 255);
	json_t *given = call_get(c, "quota");
	struct quota quota = project_quota_default();
	const struct project *p = NULL;
	char token[TOKEN_LEN + 1];
	struct change *change;
	struct waiter *w;
	json_t *answer;
	int r;

	if (!name)
		(void)json_strict_fail(c->in, "name", "must be given");
	r = call_end(c, e);
	if (r < 0)
		return r;
	if (given) {
		r = quota_from_json("quota", given, &quota, e);
		if (r < 0)
			return r;
	}
	w = call_later(c, e);
	if (!w)
		return -EBUSY;
	change = project_create(c->f, name, &quota, token, &p, e);
	if (!change)
		return call_when(w, NULL, NULL);
	answer = json_pack("{s:s, s:s, s:s}", "id", p->id, "name", p->name, "token", token);
	explicit_bzero(token, sizeof(token));
	quota_warn(c->f, given, answer);
	return call_when(w, change, answer);
}

int verb_project_quota(struct call *c, struct err *e)
{
	json_t *given = call_get(c, "quota");
	struct quota quota;
	struct waiter *w;
	json_t *answer;
	int r;

	call_project(c);
	if (!given)
		(void)json_strict_fail(c->in, "quota", "must be given");
	r = call_end(c, e);
	if (r < 0)
		return r;
	quota = *project_quota(c->project);
	r = quota_from_json("quota", given, &quota, e);
	if (r < 0)
		return r;
	w = call_later(c, e);
	if (!w)
		return -EBUSY;
	answer = project_json(c->f, c->project);
	json_put(&answer, "quota", quota_json(&quota));
	quota_warn(c->f, given, answer);
	return call_when(w, project_set_quota(c->f, c->project, &quota, e), answer);
}

static void say_removed(void *arg, const struct err *error)
{
	waiter_end(arg, error ? NULL : json_pack("{s:s}", "msg", "Deleted"), error);
}

int verb_project_rm(struct call *c, struct err *e)
{
	struct waiter *w;
	bool force = false;
	int r;

	call_project(c);
	(void)call_bool(c, "force", &force);
	r = call_end(c, e);
	if (r < 0)
		return r;
	w = call_later(c, e);
	if (!w)
		return -EBUSY;
	r = project_remove(c->f, c->project, force, say_removed, w, e);
	if (r < 0)
		waiter_free(w);
	return r;
}

int verb_tokens(struct call *c, struct err *e)
{
	json_t *list;
	int r = call_end_project(c, e);

	if (r < 0)
		return r;
	list = json_array();
	for (const struct token *t = c->project->tokens; t; t = t->next)
		(void)json_array_append_new(list, token_json(t));
	call_reply(c, json_pack("{s:o}", "tokens", list));
	return 0;
}

int verb_token_create(struct call *c, struct err *e)
{
	const char *label = call_string(c, "label", TOKEN_LABEL_MAX);
	const struct token *t = NULL;
	char text[TOKEN_LEN + 1];
	bool is_operator = false;
	struct change *change;
	struct waiter *w;
	json_t *answer;
	int r;

	call_project(c);
	(void)call_bool(c, "operator", &is_operator);
	r = call_end(c, e);
	if (r < 0)
		return r;
	w = call_later(c, e);
	if (!w)
		return -EBUSY;
	change = token_create(c->f, c->project, label ? label : "", is_operator, text, &t, e);
	if (!change)
		return call_when(w, NULL, NULL);
	answer = token_json(t);
	json_put(&answer, "token", json_string(text));
	json_put(&answer, "project_id", json_string(c->project->id));
	explicit_bzero(text, sizeof(text));
	return call_when(w, change, answer);
}

int verb_token_revoke(struct call *c, struct err *e)
{
	const char *id;
	struct waiter *w;
	int r = call_project_and_id(c, &id, e);

	if (r < 0)
		return r;
	w = call_later(c, e);
	if (!w)
		return -EBUSY;
	return call_when(w, token_revoke(c->f, c->project, id, e),
			 json_pack("{s:s, s:s}", "msg", "Revoked", "id", id));
}
