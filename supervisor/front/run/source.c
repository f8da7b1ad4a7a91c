// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/run/source.h"

#include <stdio.h>
#include <string.h>

#include "spec/job.h"
#include "supervisor/front/run/run.h"
#include "supervisor/front/store/workers.h"

const struct run_source *source_of(const struct front *f, const struct task_record *rec)
{
	for (const struct capability *const *c = f->capabilities; *c; c++)
		if ((*c)->source && (*c)->source->is_of(rec))
			return (*c)->source;
	return &operator_source;
}

int source_fill(struct front *f, struct task *t, const struct task_spec *spec, const char *image,
		struct err *e)
{
	struct task_record *rec = &t->rec;
	struct policy_head policy;
	struct image_head head;
	const struct run_source *source = source_of(f, rec);
	const char *imports;
	int r, n;

	(void)snprintf(rec->image, sizeof(rec->image), "%s", image);
	r = resolve_image(f, image, rec->image_digest, &head, e);
	if (r < 0)
		return r;

	(void)snprintf(rec->policy, sizeof(rec->policy), "%s",
		       spec->policy ? spec->policy : head.policy);
	/* The lists may have been changed since its worker was uploaded, or the task was queued. */
	if (source->flags & RUN_BY_TENANT)
		r = project_may_name(t->project, rec->policy, rec->image, e);
	if (r < 0)
		return r;
	r = resolve_policy(f, rec->policy, rec->policy_id, &policy, e);
	if (r < 0)
		return r;
	if (source->flags & RUN_NO_DEADLINE && !policy.lasting)
		return err_set(e, ERR_DENIED, 0, "policy %s: " POLICY_NOT_LASTING, rec->policy);

	r = task_spec_limits(spec, &policy, &rec->limits, e);
	if (r < 0)
		return r;
	project_bound_limits(t->project, &rec->limits);
	r = project_check_memory(t->project, &rec->limits, e);
	if (r < 0)
		return r;

	rec->start_asked = spec->start;
	/* The modules to warm, as the task says or else its image; then the module of the task's own. */
	imports = spec->has_warm ? spec->warm : head.warm;
	n = snprintf(rec->warm, IMAGE_WARM_MAX, "%s", imports);
	if (spec->warm_module[0])
		n = snprintf(rec->warm, IMAGE_WARM_MAX, "%s%s" WARM_MODULE "%s%s", imports,
			     *imports ? "\n" : "", spec->warm_module,
			     spec->warm_refuse ? "\n" WARM_REFUSE : "");
	if (n >= IMAGE_WARM_MAX)
		return err_set(e, ERR_INPUT, 0, "task.json: warm: names have more than %d bytes",
			       IMAGE_WARM_MAX - 1);
	return 0;
}

/*
 * A record of a release that did not keep the job has the text of task.json in its place, which
 * begins with a brace, as no job does. It is read as if it had come now.
 */
static int operator_upgrade(struct task_record *rec, struct err *e)
{
	_cleanup_task_spec_ struct task_spec spec = {0};
	char *job;
	int r;

	r = task_spec_parse(rec->job, strlen(rec->job), &spec, e);
	if (r < 0)
		return r;
	r = job_write(&spec, &job, e);
	if (r < 0)
		return r;
	free(rec->job);
	rec->job = job;
	return 0;
}

/* What the operator asked for was validated, and its record filled, before it was accepted. */
static int operator_job(struct front *f, struct task *t, char **ret, struct err *e)
{
	int r = t->rec.job[0] == '{' ? operator_upgrade(&t->rec, e) : 0;

	(void)f;
	if (r < 0)
		return r;
	*ret = strdup(t->rec.job);
	return *ret ? 0 : err_set(e, ERR_SYSTEM, ENOMEM, "cannot make the task's job");
}

/* What is of no worker, and wanted by nobody else, was asked for by sandboxctl run. */
static bool is_operator(const struct task_record *rec)
{
	return !*rec->worker && !*rec->wanted_by;
}

const struct run_source operator_source = {
	.name = "operator", .is_of = is_operator, .job = operator_job};

/* What follows the end of a worker's task: another attempt, or none. */

static bool has_failed(const struct task_record *rec)
{
	return rec->verdict != VERDICT_OK && rec->verdict != VERDICT_CANCELLED;
}

/* The task of the next attempt, queued; NULL when there is to be none. */
static struct task *next_attempt(struct front *f, struct task *t)
{
	struct submit s = {.priority = -1, .retry_of = &t->rec};
	/* That the node failed is not the task's fault: it costs none of the retries that the worker
	 * grants, and is repeated even where the worker grants none. */
	bool lost = t->rec.verdict == VERDICT_LOST && t->rec.attempt < QUEUE_LOST_MAX;

	if (!t->worker || t->worker->going || t->damaged || !t->rec.payload ||
	    (!lost && !t->rec.retries_left))
		return NULL;
	s.delay_s = lost ? 0 : t->rec.retries_delay_s;
	/* In one transaction with the end that it follows. */
	return queue_again(f, t->worker, &s, true);
}

/* The attempt that follows a failed one, if any; t has just ended. */
static void queue_follow_up(struct front *f, struct task *t)
{
	struct task *next;

	/* A task can be cancelled after its process has failed and before its log has ended: then
	 * nothing follows, and it is no dead letter. */
	if (!has_failed(&t->rec) || t->rec.cancel_ns)
		return;
	next = next_attempt(f, t);
	if (!next) {
		t->rec.dead_letter = 1;
		commit_note(t, "dead letter", "");
		return;
	}
	if (t->rec.verdict != VERDICT_LOST)
		next->rec.retries_left = t->rec.retries_left - 1;
	memcpy(t->rec.retry, next->rec.id, sizeof(t->rec.retry));
	commit_note(t, "retry", next->rec.id);
}

/* The queue: a worker's task runs the revision of its worker that was the newest one when the task
 * was queued. */

static enum task_kind kind_of(const struct worker_spec *spec)
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

/* The worker's own variables, and TASK_ATTEMPT. */
static int fill_env(const struct task_record *rec, const struct worker_spec *worker,
		    struct task_spec *ret)
{
	json_auto_t *env = worker->env ? json_loads(worker->env, 0, NULL) : NULL;
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

/* An empty text is no text: *ret is NULL. */
static int copy_text(const char *text, char **ret)
{
	*ret = text && *text ? strdup(text) : NULL;
	return *ret || !text || !*text ? 0 : -ENOMEM;
}

static int fill_spec(const struct task_record *rec, const struct worker_spec *worker,
		     struct task_spec *ret)
{
	ret->kind = kind_of(worker);
	ret->limits.timeout_s = rec->timeout_asked_s ? rec->timeout_asked_s : QUEUE_TIMEOUT_MAX;
	ret->limits_set = ret->limits_lowered = LIMIT_BIT(LIMIT_TIMEOUT);
	/* A shell is executed in place of the interpreter, so a warm interpreter does not help it. */
	ret->start = ret->kind == TASK_EXEC ? START_AUTO : START_COLD;
	if (copy_text(ret->kind == TASK_COMMAND ? worker->command : worker->file_name,
		      &ret->source) < 0 ||
	    copy_text(rec->payload, &ret->payload) < 0 ||
	    copy_text(worker->config, &ret->config) < 0 || copy_text(rec->label, &ret->label) < 0 ||
	    copy_text(worker->policy, &ret->policy) < 0)
		return -ENOMEM;
	return fill_env(rec, worker, ret);
}

/*
 * *ret is the worker's newest spec, or *old, filled in from the store. The config and the variables
 * are always those that the worker has now: the store keeps them for no old revision, and a secret
 * in them may have been changed for a reason. Of many revisions the store keeps the newest ones: a
 * task that has waited so long that its own was dropped runs the newest, with a warning.
 */
static int find_revision(struct front *f, struct task *t, struct worker_spec *old,
			 const struct worker_spec **ret, struct err *e)
{
	const struct worker *c = t->worker;
	int r;

	*ret = &c->spec;
	if (!t->rec.revision || t->rec.revision == c->revision)
		return 0;
	r = store_worker_revision_spec(f->store, c->id, t->rec.revision, old, e);
	if (r == -ENOENT) {
		(void)snprintf(t->rec.warning, sizeof(t->rec.warning),
			       "its revision %u was removed: it runs by revision %u",
			       t->rec.revision, c->revision);
		t->rec.revision = c->revision;
		return 0;
	}
	old->config = c->spec.config;
	old->env = c->spec.env;
	*ret = old;
	return r;
}

static int queue_job(struct front *f, struct task *t, char **ret, struct err *e)
{
	_cleanup_task_spec_ struct task_spec spec = {0};
	const struct worker_spec *worker;
	struct task_record *rec = &t->rec;
	struct worker_spec old; /* its config and env are borrowed from the worker */
	int r;

	if (!t->worker)
		return err_set(e, ERR_NOT_FOUND, 0, "its worker \"%s\" was removed",
			       rec->code_name);
	r = find_revision(f, t, &old, &worker, e);
	if (r < 0)
		return r;
	if (fill_spec(rec, worker, &spec) < 0)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make the task's job");
	r = source_fill(f, t, &spec, *worker->image ? worker->image : WORKER_IMAGE_DEFAULT, e);
	if (r < 0)
		return r;
	rec->revision = rec->revision ? rec->revision : t->worker->revision;
	rec->has_package = worker->has_package;
	memcpy(rec->package, worker->package, sizeof(rec->package));
	/* How long its start takes is counted from now on: until here it waited for its turn. */
	if (t->change.stored)
		t->received_ns = util_monotonic_ns();
	return job_write(&spec, ret, e);
}

static bool is_queued(const struct task_record *rec)
{
	return *rec->worker;
}

const struct run_source queue_source = {.name = "queue",
					.flags = RUN_BY_TENANT,
					.is_of = is_queued,
					.job = queue_job,
					.ended = queue_follow_up};
