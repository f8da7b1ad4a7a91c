// SPDX-License-Identifier: Apache-2.0
/* Operations on projects, their quotas and their tokens: an operator's, as all here. */
#include <string.h>

#include "supervisor/front/api/ops.h"

/* The project that "project" names. */
static struct project *read_project(struct op *op)
{
	const char *name = json_strict_string(op->in, "project", PROJECT_NAME_MAX);
	struct project *p = name ? project_find(op->f, name) : NULL;

	if (!name)
		(void)json_strict_fail(op->in, "project", "must be given");
	return p;
}

/* After the reader has ended without an error. */
static int no_project(struct op *op, struct err *e)
{
	char shown[80];

	return err_set(
		e, ERR_NOT_FOUND, 0, "there is no project \"%s\"",
		json_strict_escape(json_string_value(json_object_get(op->in->obj, "project")),
				   shown, sizeof(shown)));
}

/* *given: the request's, or NULL. */
static int read_quota(struct op *op, struct quota *quota, const json_t **given, struct err *e)
{
	int r;

	*given = json_strict_get(op->in, "quota");
	r = json_strict_end(op->in);
	return r == 0 && *given ? quota_from_json("quota", *given, quota, e) : r;
}

static json_t *answer_project(struct op *op, const struct project *p, const json_t *given)
{
	json_t *answer = json_pack("{s:b, s:o}", "ok", 1, "project", project_json(p));

	quota_warn(op->f, given, answer);
	return answer;
}

int op_project_create(struct op *op, struct err *e)
{
	const char *name = json_strict_string(op->in, "name", 255);
	struct quota quota = project_quota_default();
	char token[TOKEN_LEN + 1];
	const json_t *given = NULL;
	struct project *p = NULL;
	json_t *answer;
	int r;

	if (!name)
		(void)json_strict_fail(op->in, "name", "must be given");
	r = read_quota(op, &quota, &given, e);
	if (r == 0)
		r = project_create(op->f, name, &quota, token, &p, e);
	if (r < 0)
		return r;
	answer = answer_project(op, p, given);
	(void)json_object_set_new(answer, "token", json_string(token));
	op_reply(op, answer);
	explicit_bzero(token, sizeof(token));
	return 0;
}

int op_projects(struct op *op, struct err *e)
{
	json_t *list;
	int r = json_strict_end(op->in);

	(void)e;
	if (r < 0)
		return r;
	list = json_array();
	for (const struct project *p = op->f->core->projects; p; p = p->next)
		(void)json_array_append_new(list, project_json(p));
	op_reply(op, json_pack("{s:b, s:o}", "ok", 1, "projects", list));
	return 0;
}

static void removed(void *arg, int r, const struct err *error)
{
	struct op_asked *asked = arg;
	const bool failed = r < 0 && r != -EAGAIN;

	/* -EAGAIN: what is left to do takes a while, and the client asks again. */
	ops_answer_all(&asked->waiters,
		       failed ? NULL
			      : json_pack("{s:b, s:b, s:s}", "ok", 1, "removed", r == 0,
					  "waits_for", r == 0 ? "" : error->msg),
		       error);
	free(asked);
}

int op_project_rm(struct op *op, struct err *e)
{
	struct project *p = read_project(op);
	struct op_asked *asked = NULL;
	bool force = false;
	int r;

	(void)json_strict_bool(op->in, "force", &force);
	r = json_strict_end(op->in);
	if (r < 0)
		return r;
	if (!p)
		return no_project(op, e);
	r = op_ask(op, &asked, e);
	if (r == 0)
		r = project_remove(op->f, p, force, removed, asked, e);
	if (r < 0)
		op_ask_no_more(asked);
	return r;
}

int op_project_quota(struct op *op, struct err *e)
{
	struct project *p = read_project(op);
	struct quota quota = p ? p->quota : project_quota_default();
	const json_t *given = NULL;
	int r;

	if (!json_strict_get(op->in, "quota"))
		(void)json_strict_fail(op->in, "quota", "must be given");
	r = read_quota(op, &quota, &given, e);
	if (r == 0)
		r = p ? project_set_quota(op->f, p, &quota, e) : no_project(op, e);
	if (r == 0)
		op_reply(op, answer_project(op, p, given));
	return r;
}

int op_token_create(struct op *op, struct err *e)
{
	struct project *p = read_project(op);
	const char *label = json_strict_string(op->in, "label", TOKEN_LABEL_MAX);
	bool operator= false;
	char text[TOKEN_LEN + 1];
	struct token *t = NULL;
	int r;

	(void)json_strict_bool(op->in, "operator", &operator);
	r = json_strict_end(op->in);
	if (r == 0)
		r = p ? token_create(op->f, p, label ? label : "", operator, text, &t, e)
		      : no_project(op, e);
	if (r < 0)
		return r;
	op_reply(op, json_pack("{s:b, s:s, s:o, s:s}", "ok", 1, "project", p->id, "token",
			       token_json(t), "text", text));
	explicit_bzero(text, sizeof(text));
	return 0;
}

int op_tokens(struct op *op, struct err *e)
{
	struct project *p = read_project(op);
	int r = json_strict_end(op->in);
	json_t *list;

	if (r < 0)
		return r;
	if (!p)
		return no_project(op, e);
	list = json_array();
	for (const struct token *t = p->tokens; t; t = t->next)
		(void)json_array_append_new(list, token_json(t));
	op_reply(op,
		 json_pack("{s:b, s:o, s:o}", "ok", 1, "project", project_json(p), "tokens", list));
	return 0;
}

int op_token_revoke(struct op *op, struct err *e)
{
	struct project *p = read_project(op);
	const char *id = json_strict_string(op->in, "id", 255);
	int r;

	if (!id)
		(void)json_strict_fail(op->in, "id", "must be given");
	r = json_strict_end(op->in);
	if (r == 0)
		r = p ? token_revoke(op->f, p, id, e) : no_project(op, e);
	if (r == 0)
		op_reply(op, json_pack("{s:b, s:s}", "ok", 1, "id", id));
	return r;
}
