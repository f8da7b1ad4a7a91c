// SPDX-License-Identifier: Apache-2.0
/* Tasks, projects and tokens as both APIs show them. What is not known is null. */
#include "supervisor/front/api/shapes.h"

#include <stdio.h>
#include <string.h>

#include "lib/json_put.h"
#include "supervisor/front/run/log_keep.h"
#include "supervisor/front/run/schedule/schedule.h"
#include "supervisor/front/serve/serve.h"

static json_t *start_json(const struct task_record *rec)
{
	bool known = rec->start_mode != START_AUTO;

	return json_pack("{s:o, s:o, s:s}", "mode",
			 known ? json_string(start_mode_name((enum start_mode)rec->start_mode))
			       : json_null(),
			 "ms",
			 rec->start_us ? json_real((double)rec->start_us / 1000) : json_null(),
			 "requested", start_mode_name((enum start_mode)rec->start_asked));
}

static json_t *usage_json(const struct task_record *rec, bool ended)
{
	return json_pack("{s:o, s:o}", "cpu_ms",
			 ended ? json_real((double)rec->cpu_us / 1000) : json_null(),
			 "memory_peak_bytes", ended ? json_count(rec->memory_peak) : json_null());
}

static json_t *log_json(const struct task_record *rec)
{
	bool known = rec->log_known;

	return json_pack(
		"{s:o, s:o, s:o, s:b}", "lines", known ? json_count(rec->log_lines) : json_null(),
		"bytes", known ? json_count(rec->log_bytes) : json_null(), "dropped",
		known ? json_count(rec->log_dropped) : json_null(), "removed", rec->log_gone != 0);
}

/* What the queue knows of a worker's task. */
static json_t *queue_json(const struct task_record *rec)
{
	json_t *o;

	if (!*rec->worker)
		return json_null();
	o = json_object();
	json_put(&o, "code_id", json_string(rec->worker));
	json_put(&o, "code_name", json_text_or_null(rec->code_name));
	json_put(&o, "revision", rec->revision ? json_count(rec->revision) : json_null());
	json_put(&o, "attempt", json_count(rec->attempt));
	json_put(&o, "retries_left", json_count(rec->retries_left));
	json_put(&o, "original_task_id", json_text_or_null(rec->original));
	json_put(&o, "retry_task_id", json_text_or_null(rec->retry));
	json_put(&o, "schedule_id", json_text_or_null(rec->schedule));
	json_put(&o, "not_before", json_time_exact(rec->not_before_ns));
	json_put(&o, "timeout", json_count(rec->timeout_asked_s));
	json_put(&o, "percent", json_count(rec->percent));
	json_put(&o, "msg", json_text_or_null(rec->msg));
	json_put(&o, "cluster", json_text_or_null(rec->cluster));
	json_put(&o, "dead_letter", json_boolean(rec->dead_letter));
	return o;
}

static json_t *digest_or_null(const uint8_t digest[32])
{
	static const uint8_t none[32];

	return memcmp(digest, none, sizeof(none)) ? json_hex(digest) : json_null();
}

json_t *task_json(const struct task_record *rec, const struct project *p)
{
	bool ended = task_state_final((enum task_state)rec->state);
	json_t *o = json_object();

	json_put(&o, "id", json_string(rec->id));
	json_put(&o, "project", json_string(p ? p->name : rec->project));
	json_put(&o, "image", json_text_or_null(rec->image));
	json_put(&o, "status", json_string(task_state_name((enum task_state)rec->state)));
	json_put(&o, "exit_code", ended ? json_integer(rec->exit_code) : json_null());
	json_put(&o, "signal", ended && rec->signal ? json_integer(rec->signal) : json_null());
	json_put(&o, "verdict",
		 json_text_or_null(ended ? verdict_name((enum verdict)rec->verdict) : ""));
	json_put(&o, "created_at", json_time_exact(rec->created_ns));
	json_put(&o, "started_at", json_time_exact(rec->started_ns));
	json_put(&o, "finished_at", json_time_exact(ended ? rec->finished_ns : 0));
	json_put(&o, "start", start_json(rec));
	json_put(&o, "usage", usage_json(rec, ended));
	json_put(&o, "log", log_json(rec));
	json_put(&o, "label", json_text_or_null(rec->label));
	json_put(&o, "queue", queue_json(rec));
	json_put(&o, "priority", json_count(rec->priority));
	json_put(&o, "policy", json_text_or_null(rec->policy));
	/* A worker's task has its image, policy and limits from when it leaves the queue on. */
	json_put(&o, "limits", rec->limits.memory ? task_limits_json(&rec->limits) : json_null());
	json_put(&o, "image_digest", digest_or_null(rec->image_digest));
	json_put(&o, "policy_digest", digest_or_null(rec->policy_id));
	json_put(&o, "package_digest", rec->has_package ? json_hex(rec->package) : json_null());
	json_put(&o, "requested_by", json_count(rec->requested_by));
	json_put(&o, "warning", json_text_or_null(rec->warning));
	json_put(&o, "error", json_text_or_null(rec->error));
	return o;
}

const char *task_msg(const struct task_record *rec, char *buf, size_t size)
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

static json_t *ms_between(uint64_t from_ns, uint64_t to_ns)
{
	return from_ns && to_ns >= from_ns ? json_real((double)(to_ns - from_ns) / 1e6)
					   : json_null();
}

static void add_queue(json_t **o, const struct task_record *rec)
{
	json_put(o, "project_id", json_string(rec->project));
	json_put(o, "code_id", json_text_or_null(rec->worker));
	json_put(o, "code_name", json_text_or_null(rec->code_name));
	json_put(o, "revision", rec->revision ? json_count(rec->revision) : json_null());
	json_put(o, "percent", json_count(rec->percent));
	json_put(o, "cluster", json_text_or_null(rec->cluster));
	json_put(o, "not_before", json_time_or_null(rec->not_before_ns));
	json_put(o, "attempt", json_count(rec->attempt));
	json_put(o, "retries_left", json_count(rec->retries_left));
	json_put(o, "original_task_id",
		 strcmp(rec->original, rec->id) == 0 ? json_null()
						     : json_text_or_null(rec->original));
	json_put(o, "retry_task_id", json_text_or_null(rec->retry));
	json_put(o, "schedule_id", json_text_or_null(rec->schedule));
	json_put(o, "dead_letter", json_boolean(rec->dead_letter));
}

json_t *task_json_flat(struct front *f, const struct task_record *rec)
{
	const struct project *p = project_by_id(f, rec->project);
	bool ended = task_state_final((enum task_state)rec->state);
	json_t *o = task_json(rec, p);
	char buf[128];

	/* What it holds stands beside the rest. */
	(void)json_object_del(o, "queue");
	json_put(&o, "msg", json_text_or_null(task_msg(rec, buf, sizeof(buf))));
	json_put(&o, "wait_ms", ms_between(rec->created_ns, rec->started_ns));
	json_put(&o, "duration_ms", ms_between(rec->started_ns, ended ? rec->finished_ns : 0));
	add_queue(&o, rec);
	return o;
}

static int add_event(void *arg, uint64_t time_ns, const char *event, const char *detail)
{
	json_t *line = json_pack("{s:o, s:s, s:o}", "time", json_time_exact(time_ns), "event",
				 event, "detail", json_text_or_null(detail));

	return line && json_array_append_new(arg, line) == 0 ? 0 : -ENOMEM;
}

json_t *task_json_history(struct front *f, const char *id)
{
	const struct task *t = registry_find(f, id);
	json_t *list = json_array();
	struct err e;

	(void)store_history(f->store, id, add_event, list, &e);
	for (const struct task_note *n = t ? t->notes : NULL; n; n = n->next)
		(void)add_event(list, n->time_ns, n->event, n->detail);
	return list;
}

json_t *project_json(struct front *f, const struct project *p)
{
	json_t *o = json_pack(
		"{s:s, s:s, s:o, s:o, s:{s:I, s:I}, s:I, s:I, s:I, s:I, s:I, s:I}", "id", p->id,
		"name", p->name, "created_at", json_time_exact(p->created_ns), "quota",
		quota_json(&p->quota), "tasks", "queued", (json_int_t)p->run->n_queued, "running",
		(json_int_t)p->run->n_running, "codes", (json_int_t)p->n_workers, "schedules",
		(json_int_t)p->schedules->n, "tokens", (json_int_t)p->n_tokens, "package_bytes",
		(json_int_t)p->package_bytes, "package_files", (json_int_t)p->package_files,
		"log_bytes", (json_int_t)p->logs->bytes);

	PART_WALK(f, part)
		if (part->show)
			part->show(p, o);
	return o;
}

json_t *token_json(const struct token *t)
{
	return json_pack("{s:s, s:s, s:b, s:o, s:o}", "id", t->id, "label", t->label, "operator",
			 t->operator, "created_at", json_time_exact(t->created_ns), "used_at",
			 json_time_exact(t->used_ns));
}
