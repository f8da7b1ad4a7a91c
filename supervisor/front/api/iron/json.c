// SPDX-License-Identifier: Apache-2.0
/* IronWorker's shapes: times are texts, what is unknown is "" or zero, never null. */
#include <stdio.h>
#include <string.h>

#include "lib/timefmt.h"
#include "supervisor/front/api/iron/iron.h"
#include "supervisor/front/store/workers.h"

json_t *iron_text(const char *text)
{
	json_t *s = json_string(text);

	/* A text that was cut to its field's size may end inside a character. */
	return s ? s : json_string("(not UTF-8)");
}

json_t *iron_time(uint64_t realtime_ns)
{
	char text[TIMEFMT_MAX];

	return json_string(timefmt_print(realtime_ns, text));
}

json_t *iron_hex(const uint8_t bytes[32])
{
	char hex[65];

	util_hex(bytes, 32, hex);
	return json_string(hex);
}

static json_t *count(uint64_t v)
{
	return json_integer((json_int_t)v);
}

static void set(json_t *o, const char *key, json_t *value)
{
	(void)json_object_set_new(o, key, value);
}

static void add_code_spec(json_t *o, const struct code_spec *spec)
{
	json_t *env = spec->env ? json_loads(spec->env, 0, NULL) : NULL;

	if (spec->config)
		set(o, "config", iron_text(spec->config));
	if (env)
		set(o, "env_vars", env);
	set(o, "stack", iron_text(spec->stack));
	set(o, "image", iron_text(*spec->image ? spec->image : CODE_IMAGE_DEFAULT));
	set(o, "policy", iron_text(spec->policy));
	set(o, "file_name", iron_text(spec->file_name));
	set(o, "command", iron_text(spec->command));
	set(o, "zip_bytes", count(spec->zip_bytes));
	set(o, "package_bytes", count(spec->package_bytes));
}

/* The id of a code's revision; "" when it is not known. */
static void revision_id(struct front *f, const struct code *c, uint32_t revision,
			char ret[PROJECT_ID_LEN + 1])
{
	struct err e;

	(void)store_code_revision_id(f->store, c->id, revision, ret, &e);
}

json_t *iron_code_json(struct front *f, const struct code *c)
{
	const struct code_spec *spec = &c->spec;
	char latest[PROJECT_ID_LEN + 1];
	json_t *o = json_object();

	revision_id(f, c, c->revision, latest);
	set(o, "id", json_string(c->id));
	set(o, "project_id", json_string(c->project->id));
	set(o, "name", iron_text(spec->name));
	set(o, "runtime", iron_text(spec->runtime));
	set(o, "latest_checksum", spec->has_package ? iron_hex(spec->zip) : json_string(""));
	set(o, "rev", count(c->revision));
	set(o, "latest_history_id", json_string(latest));
	set(o, "latest_change", iron_time(c->changed_ns));
	set(o, "created_at", iron_time(c->created_ns));
	set(o, "updated_at", iron_time(c->changed_ns));
	/* How IronWorker says that its queue is paused. */
	set(o, "max_concurrency", json_integer(c->paused ? -1 : (json_int_t)spec->max_concurrency));
	set(o, "retries", count(spec->retries));
	set(o, "retries_delay", count(spec->retries_delay_s));
	set(o, "default_priority", count(spec->default_priority));
	add_code_spec(o, spec);
	set(o, "paused", json_boolean(c->paused));
	set(o, "queued", count(c->lane.n_queued));
	set(o, "running", count(c->lane.n_running));
	return o;
}

json_t *iron_revision_json(const struct code *c, const struct code_revision *rev)
{
	json_t *o = json_object();

	set(o, "id", json_string(rev->id));
	set(o, "code_id", json_string(c->id));
	set(o, "project_id", json_string(c->project->id));
	set(o, "rev", count(rev->revision));
	set(o, "name", iron_text(c->spec.name));
	set(o, "runtime", iron_text(rev->runtime));
	set(o, "file_name", iron_text(rev->file_name));
	set(o, "image", iron_text(*rev->image ? rev->image : CODE_IMAGE_DEFAULT));
	set(o, "checksum", rev->has_package ? iron_hex(rev->zip) : json_string(""));
	set(o, "zip_bytes", count(rev->zip_bytes));
	set(o, "created_at", iron_time(rev->created_ns));
	return o;
}

json_t *iron_schedule_json(const struct schedule *s)
{
	const struct schedule_spec *spec = &s->spec;
	const struct code *c = code_by_name(s->project, spec->code_name);
	json_t *o = json_object();

	set(o, "id", json_string(s->id));
	set(o, "created_at", iron_time(s->created_ns));
	set(o, "updated_at", iron_time(s->changed_ns));
	set(o, "project_id", json_string(s->project->id));
	set(o, "code_id", json_string(c ? c->id : ""));
	set(o, "code_name", iron_text(spec->code_name));
	set(o, "status", json_string(schedule_state_name(s->state)));
	set(o, "msg", iron_text(s->msg));
	set(o, "start_at", iron_time(spec->start_ns));
	set(o, "end_at", iron_time(spec->end_ns));
	set(o, "next_start", iron_time(s->next_ns));
	set(o, "last_run_time", iron_time(s->last_ns));
	set(o, "run_times", count(spec->run_times));
	set(o, "run_count", count(s->run_count));
	set(o, "run_every", count(spec->run_every_s));
	set(o, "cron", iron_text(spec->cron));
	set(o, "timezone", iron_text(*spec->cron && !*spec->zone ? "UTC" : spec->zone));
	set(o, "payload", iron_text(spec->payload ? spec->payload : ""));
	set(o, "priority",
	    json_integer(spec->priority < 0 ? (c ? (int)c->spec.default_priority : 0)
					    : spec->priority));
	set(o, "timeout", count(spec->timeout_s ? spec->timeout_s : QUEUE_TIMEOUT_MAX));
	set(o, "delay", count(spec->delay_s));
	set(o, "label", iron_text(spec->label));
	set(o, "cluster", iron_text(spec->cluster));
	return o;
}

const char *iron_task_msg(const struct task_record *rec, char *buf, size_t size)
{
	char limit[24];

	if (!task_state_final((enum task_state)rec->state))
		return rec->msg;
	if (rec->verdict == VERDICT_OOM) {
		(void)snprintf(buf, size, "ERROR: WORKER RAM LIMIT EXCEEDED (%s)",
			       util_format_size(rec->limits.memory, limit, sizeof(limit)));
		return buf;
	}
	if (*rec->error || *rec->msg)
		return *rec->error ? rec->error : rec->msg;
	switch (rec->verdict) {
	case VERDICT_EXIT:
		(void)snprintf(buf, size, "exit status %d", rec->exit_code);
		return buf;
	case VERDICT_SIGNAL:
		(void)snprintf(buf, size, "killed by signal %d", rec->signal);
		return buf;
	case VERDICT_TIMEOUT:
		(void)snprintf(buf, size, "timed out after %u s", rec->limits.timeout_s);
		return buf;
	default:
		return "";
	}
}

static uint64_t later_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static void add_task_code(json_t *o, struct front *f, const struct task_record *rec)
{
	struct project *p = project_by_id(f, rec->project);
	const struct code *c = p && *rec->code ? code_by_id(p, rec->code) : NULL;
	char history[PROJECT_ID_LEN + 1] = "", rev[16] = "";

	if (c)
		revision_id(f, c, rec->revision ? rec->revision : c->revision, history);
	/* A text: the Go client takes nothing else. */
	if (rec->revision || c)
		(void)snprintf(rev, sizeof(rev), "%u", rec->revision ? rec->revision : c->revision);
	set(o, "code_id", json_string(rec->code));
	set(o, "code_name", iron_text(rec->code_name));
	set(o, "code_history_id", json_string(history));
	set(o, "code_rev", json_string(rev));
}

static void add_task_times(json_t *o, const struct task_record *rec, bool ended)
{
	uint64_t duration = 0;

	if (rec->started_ns && ended && rec->finished_ns > rec->started_ns)
		duration = (rec->finished_ns - rec->started_ns) / MSEC;
	set(o, "start_time", iron_time(rec->started_ns));
	set(o, "end_time", iron_time(ended ? rec->finished_ns : 0));
	set(o, "duration", count(duration));
}

json_t *iron_task_json(struct front *f, const struct task_record *rec, bool payload)
{
	bool ended = task_state_final((enum task_state)rec->state);
	uint64_t delay = 0;
	json_t *o = json_object();
	char buf[128];

	if (rec->not_before_ns > rec->created_ns)
		delay = (rec->not_before_ns - rec->created_ns + SEC / 2) / SEC;
	set(o, "id", json_string(rec->id));
	set(o, "created_at", iron_time(rec->created_ns));
	set(o, "updated_at",
	    iron_time(later_of(rec->created_ns, later_of(rec->started_ns, rec->finished_ns))));
	set(o, "project_id", json_string(rec->project));
	add_task_code(o, f, rec);
	set(o, "status", json_string(task_state_name((enum task_state)rec->state)));
	set(o, "msg", iron_text(iron_task_msg(rec, buf, sizeof(buf))));
	set(o, "label", iron_text(rec->label));
	set(o, "cluster", iron_text(rec->cluster));
	/* Of a task of sandboxctl run it is the whole task.json, and no payload. */
	if (payload)
		set(o, "payload", iron_text(*rec->code && rec->spec ? rec->spec : ""));
	set(o, "priority", count(rec->priority));
	set(o, "timeout", count(rec->timeout_asked_s ? rec->timeout_asked_s : QUEUE_TIMEOUT_MAX));
	set(o, "delay", count(delay));
	set(o, "percent", count(rec->percent));
	add_task_times(o, rec, ended);
	set(o, "log_size", count(rec->log_bytes));
	set(o, "retry_count", count(rec->attempt > 1 ? rec->attempt - 1 : 0));
	if (*rec->original && strcmp(rec->original, rec->id) != 0)
		set(o, "original_task_id", json_string(rec->original));
	if (*rec->retry)
		set(o, "retry_task_id", json_string(rec->retry));
	return o;
}
