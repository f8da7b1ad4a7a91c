// SPDX-License-Identifier: Apache-2.0
/* What a code's task runs: the revision that was its code's when it was queued. */
#include <stdio.h>
#include <string.h>

#include "supervisor/front/run/run.h"
#include "supervisor/front/store/workers.h"

static enum task_kind kind_of(const struct code_spec *spec)
{
	size_t len = strlen(spec->file_name);

	if (*spec->command)
		return TASK_COMMAND;
	return len > 3 && strcmp(spec->file_name + len - 3, ".sh") == 0 ? TASK_SHELL : TASK_EXEC;
}

static int add_env(struct task_spec *spec, const char *name, const char *value)
{
	return asprintf(&spec->env[spec->n_env], "%s=%s", name, value) < 0 ? -ENOMEM
									   : (int)spec->n_env++;
}

/* The code's own variables, and which attempt this is. */
static int fill_env(const struct task_record *rec, const struct code_spec *code,
		    struct task_spec *ret)
{
	json_auto_t *env = code->env ? json_loads(code->env, 0, NULL) : NULL;
	char attempt[16];
	const char *name;
	json_t *value;
	int r = 0;

	ret->env = calloc(json_object_size(env) + 1, sizeof(*ret->env));
	if (!ret->env)
		return -ENOMEM;
	json_object_foreach(env, name, value) if (r >= 0 && json_is_string(value)) r =
		add_env(ret, name, json_string_value(value));
	(void)snprintf(attempt, sizeof(attempt), "%u", rec->attempt);
	return r < 0 ? r : add_env(ret, "TASK_ATTEMPT", attempt);
}

static int fill_texts(const struct task_record *rec, const struct code_spec *code,
		      struct task_spec *ret)
{
	ret->kind = kind_of(code);
	ret->source = strdup(ret->kind == TASK_COMMAND ? code->command : code->file_name);
	ret->payload = rec->spec && *rec->spec ? strdup(rec->spec) : NULL;
	ret->config = code->config ? strdup(code->config) : NULL;
	ret->label = *rec->label ? strdup(rec->label) : NULL;
	return ret->source && fill_env(rec, code, ret) >= 0 ? 0 : -ENOMEM;
}

static int fill_limits(struct task *t, const struct policy_head *policy, struct task_spec *spec,
		       struct err *e)
{
	uint32_t timeout = t->rec.timeout_asked_s ? t->rec.timeout_asked_s : QUEUE_TIMEOUT_MAX;
	int r;

	spec->limits.timeout_s =
		timeout < policy->limits_max.timeout_s ? timeout : policy->limits_max.timeout_s;
	spec->limits_set = LIMIT_BIT(LIMIT_TIMEOUT);
	r = task_spec_limits(spec, policy, &t->rec.limits, e);
	if (r < 0)
		return r;
	project_bound_limits(t->project, &t->rec.limits);
	return project_check_memory(t->project, &t->rec.limits, e);
}

/*
 * *ret is the code's own spec, or what is in *old. config and env are the code's as they are now:
 * those of old revisions are not kept, and what is secret in them may have been changed for a
 * reason. The oldest revisions go when there are many; who waited so long runs by the newest one.
 */
static int find_revision(struct front *f, struct task *t, struct code_spec *old,
			 const struct code_spec **ret, struct err *e)
{
	const struct code *c = t->code;
	int r;

	*ret = &c->spec;
	if (!t->rec.revision || t->rec.revision == c->revision)
		return 0;
	r = store_code_revision_spec(f->store, c->id, t->rec.revision, old, e);
	if (r == -ENOENT) {
		(void)snprintf(t->rec.warning, sizeof(t->rec.warning),
			       "its revision %u is no more: it runs by revision %u",
			       t->rec.revision, c->revision);
		t->rec.revision = c->revision;
		return 0;
	}
	old->config = c->spec.config;
	old->env = c->spec.env;
	*ret = old;
	return r;
}

int queue_spec(struct front *f, struct task *t, struct task_spec *ret, struct err *e)
{
	const struct code_spec *code;
	struct task_record *rec = &t->rec;
	struct code_spec old; /* its texts are the code's */
	struct policy_head policy;
	struct image_head image;
	int r;

	r = find_revision(f, t, &old, &code, e);
	if (r < 0)
		return r;
	if (fill_texts(rec, code, ret) < 0)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make the task's job");
	(void)snprintf(rec->image, sizeof(rec->image), "%s",
		       *code->image ? code->image : CODE_IMAGE_DEFAULT);
	r = resolve_image(f, rec->image, rec->image_digest, &image, e);
	if (r < 0)
		return r;
	(void)snprintf(rec->policy, sizeof(rec->policy), "%s",
		       *code->policy ? code->policy : image.policy);
	/* What was allowed when it was uploaded or queued may be so no more. */
	r = project_may_name(t->project, rec->policy, rec->image, e);
	if (r < 0)
		return r;
	r = resolve_policy(f, rec->policy, rec->policy_id, &policy, e);
	if (r == 0)
		r = fill_limits(t, &policy, ret, e);
	if (r < 0)
		return r;
	rec->revision = rec->revision ? rec->revision : t->code->revision;
	rec->has_package = code->has_package;
	memcpy(rec->package, code->package, sizeof(rec->package));
	memcpy(rec->warm, image.warm, sizeof(rec->warm));
	/* A shell takes the interpreter's place: it has no use for one that is warm. */
	rec->start_asked = ret->start = ret->kind == TASK_EXEC ? START_AUTO : START_COLD;
	/* Until here it has waited for its turn, not for its start. */
	if (!t->is_new)
		t->received_ns = util_monotonic_ns();
	return 0;
}
