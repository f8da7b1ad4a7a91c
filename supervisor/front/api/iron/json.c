// SPDX-License-Identifier: Apache-2.0
/* IronWorker's shapes: times are texts, what is unknown is "" or zero, never null. */
#include <stdio.h>
#include <string.h>

#include "lib/json_put.h"
#include "supervisor/front/api/iron/iron.h"
#include "supervisor/front/store/workers.h"

static void add_code_spec(json_t **o, const struct worker_spec *spec)
{
	json_t *env = spec->env ? json_loads(spec->env, 0, NULL) : NULL;

	if (spec->config)
		json_put(o, "config", json_text(spec->config));
	if (env)
		json_put(o, "env_vars", env);
	json_put(o, "stack", json_text(spec->stack));
	json_put(o, "image", json_text(*spec->image ? spec->image : WORKER_IMAGE_DEFAULT));
	json_put(o, "policy", json_text(spec->policy));
	json_put(o, "file_name", json_text(spec->file_name));
	json_put(o, "command", json_text(spec->command));
	json_put(o, "zip_bytes", json_count(spec->zip_bytes));
	json_put(o, "package_bytes", json_count(spec->package_bytes));
}

/* The id of a worker's revision; "" when it is not known. */
static void revision_id(struct front *f, const struct worker *c, uint32_t revision,
			char ret[PROJECT_ID_LEN + 1])
{
	struct err e;

	(void)store_worker_revision_id(f->store, c->id, revision, ret, &e);
}

json_t *iron_code_json(struct front *f, const struct worker *c)
{
	const struct worker_spec *spec = &c->spec;
	char latest[PROJECT_ID_LEN + 1];
	json_t *o = json_object();

	revision_id(f, c, c->revision, latest);
	json_put(&o, "id", json_string(c->id));
	json_put(&o, "project_id", json_string(c->project->id));
	json_put(&o, "name", json_text(spec->name));
	json_put(&o, "runtime", json_text(spec->runtime));
	json_put(&o, "latest_checksum", spec->has_package ? json_hex(spec->zip) : json_string(""));
	json_put(&o, "rev", json_count(c->revision));
	json_put(&o, "latest_history_id", json_string(latest));
	json_put(&o, "latest_change", json_time(c->changed_ns));
	json_put(&o, "created_at", json_time(c->created_ns));
	json_put(&o, "updated_at", json_time(c->changed_ns));
	/* How IronWorker says that its queue is paused. */
	json_put(&o, "max_concurrency",
		 json_integer(c->paused ? -1 : (json_int_t)spec->max_concurrency));
	json_put(&o, "retries", json_count(spec->retries));
	json_put(&o, "retries_delay", json_count(spec->retries_delay_s));
	json_put(&o, "default_priority", json_count(spec->default_priority));
	add_code_spec(&o, spec);
	json_put(&o, "paused", json_boolean(c->paused));
	json_put(&o, "queued", json_count(c->run->lane.n_queued));
	json_put(&o, "running", json_count(c->run->lane.n_running));
	return o;
}

json_t *iron_revision_json(const struct worker *c, const struct worker_revision *rev)
{
	json_t *o = json_object();

	json_put(&o, "id", json_string(rev->id));
	json_put(&o, "code_id", json_string(c->id));
	json_put(&o, "project_id", json_string(c->project->id));
	json_put(&o, "rev", json_count(rev->revision));
	json_put(&o, "name", json_text(c->spec.name));
	json_put(&o, "runtime", json_text(rev->runtime));
	json_put(&o, "file_name", json_text(rev->file_name));
	json_put(&o, "image", json_text(*rev->image ? rev->image : WORKER_IMAGE_DEFAULT));
	json_put(&o, "checksum", rev->has_package ? json_hex(rev->zip) : json_string(""));
	json_put(&o, "zip_bytes", json_count(rev->zip_bytes));
	json_put(&o, "created_at", json_time(rev->created_ns));
	return o;
}

json_t *iron_schedule_json(const struct schedule *s)
{
	const struct schedule_spec *spec = &s->spec;
	const struct worker *c = worker_by_name(s->project, spec->code_name);
	json_t *o = json_object();

	json_put(&o, "id", json_string(s->id));
	json_put(&o, "created_at", json_time(s->created_ns));
	json_put(&o, "updated_at", json_time(s->changed_ns));
	json_put(&o, "project_id", json_string(s->project->id));
	json_put(&o, "code_id", json_string(c ? c->id : ""));
	json_put(&o, "code_name", json_text(spec->code_name));
	json_put(&o, "status", json_string(schedule_state_name(s->state)));
	json_put(&o, "msg", json_text(s->msg));
	json_put(&o, "start_at", json_time(spec->start_ns));
	json_put(&o, "end_at", json_time(spec->end_ns));
	json_put(&o, "next_start", json_time(s->next_ns));
	json_put(&o, "last_run_time", json_time(s->last_ns));
	json_put(&o, "run_times", json_count(spec->run_times));
	json_put(&o, "run_count", json_count(s->run_count));
	json_put(&o, "run_every", json_count(spec->run_every_s));
	json_put(&o, "cron", json_text(spec->cron));
	json_put(&o, "timezone", json_text(*spec->cron && !*spec->zone ? "UTC" : spec->zone));
	json_put(&o, "payload", json_text(spec->payload ? spec->payload : ""));
	json_put(&o, "priority",
		 json_integer(spec->priority < 0 ? (c ? (int)c->spec.default_priority : 0)
						 : spec->priority));
	json_put(&o, "timeout", json_count(spec->timeout_s ? spec->timeout_s : QUEUE_TIMEOUT_MAX));
	json_put(&o, "delay", json_count(spec->delay_s));
	json_put(&o, "label", json_text(spec->label));
	json_put(&o, "cluster", json_text(spec->cluster));
	return o;
}

static uint64_t later_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static void add_task_code(json_t **o, struct front *f, const struct task_record *rec)
{
	struct project *p = project_by_id(f, rec->project);
	const struct worker *c = p && *rec->worker ? worker_by_id(p, rec->worker) : NULL;
	char history[PROJECT_ID_LEN + 1] = "", rev[16] = "";

	if (c)
		revision_id(f, c, rec->revision ? rec->revision : c->revision, history);
	/* A text: the Go client takes nothing else. */
	if (rec->revision || c)
		(void)snprintf(rev, sizeof(rev), "%u", rec->revision ? rec->revision : c->revision);
	json_put(o, "code_id", json_string(rec->worker));
	json_put(o, "code_name", json_text(rec->code_name));
	json_put(o, "code_history_id", json_string(history));
	json_put(o, "code_rev", json_string(rev));
}

static void add_task_times(json_t **o, const struct task_record *rec, bool ended)
{
	uint64_t duration = 0;

	if (rec->started_ns && ended && rec->finished_ns > rec->started_ns)
		duration = (rec->finished_ns - rec->started_ns) / MSEC;
	json_put(o, "start_time", json_time(rec->started_ns));
	json_put(o, "end_time", json_time(ended ? rec->finished_ns : 0));
	json_put(o, "duration", json_count(duration));
}

json_t *iron_task_json(struct front *f, const struct task_record *rec, bool payload)
{
	bool ended = task_state_final((enum task_state)rec->state);
	uint64_t delay = 0;
	json_t *o = json_object();
	char buf[128];

	if (rec->not_before_ns > rec->created_ns)
		delay = (rec->not_before_ns - rec->created_ns + SEC / 2) / SEC;
	json_put(&o, "id", json_string(rec->id));
	json_put(&o, "created_at", json_time(rec->created_ns));
	json_put(&o, "updated_at",
		 json_time(later_of(rec->created_ns, later_of(rec->started_ns, rec->finished_ns))));
	json_put(&o, "project_id", json_string(rec->project));
	add_task_code(&o, f, rec);
	json_put(&o, "status", json_string(task_state_name((enum task_state)rec->state)));
	json_put(&o, "msg", json_text(task_msg(rec, buf, sizeof(buf))));
	json_put(&o, "label", json_text(rec->label));
	json_put(&o, "cluster", json_text(rec->cluster));
	/* Of a task of sandboxctl run it is the whole task.json, and no payload. */
	if (payload)
		json_put(&o, "payload", json_text(rec->payload ? rec->payload : ""));
	json_put(&o, "priority", json_count(rec->priority));
	json_put(&o, "timeout",
		 json_count(rec->timeout_asked_s ? rec->timeout_asked_s : QUEUE_TIMEOUT_MAX));
	json_put(&o, "delay", json_count(delay));
	json_put(&o, "percent", json_count(rec->percent));
	add_task_times(&o, rec, ended);
	json_put(&o, "log_size", json_count(rec->log_bytes));
	json_put(&o, "retry_count", json_count(rec->attempt > 1 ? rec->attempt - 1 : 0));
	if (*rec->original && strcmp(rec->original, rec->id) != 0)
		json_put(&o, "original_task_id", json_string(rec->original));
	if (*rec->retry)
		json_put(&o, "retry_task_id", json_string(rec->retry));
	return o;
}
