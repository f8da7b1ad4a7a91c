// SPDX-License-Identifier: Apache-2.0
/* A task as scripts see it: `inspect --json` and `ps --json`. Unknown is null. */
#include "supervisor/front/api/shapes.h"
#include "supervisor/front/serve/serve.h"

static json_t *text_or_null(const char *text)
{
	json_t *s = *text ? json_string(text) : NULL;

	/* A text that was cut to its field's size may end inside a character. */
	return s ? s : *text ? json_string("(not UTF-8)") : json_null();
}

json_t *task_json_time(uint64_t realtime_ns)
{
	char text[40];

	if (!realtime_ns)
		return json_null();
	util_format_time(realtime_ns, text, sizeof(text));
	return json_string(text);
}

static json_t *count(uint64_t v)
{
	return json_integer((json_int_t)v);
}

static json_t *hex_or_null(const uint8_t bytes[32], bool there)
{
	char hex[65];

	if (!there)
		return json_null();
	util_hex(bytes, 32, hex);
	return json_string(hex);
}

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
			 "memory_peak_bytes", ended ? count(rec->memory_peak) : json_null());
}

static json_t *log_json(const struct task_record *rec)
{
	bool known = rec->log_known;

	return json_pack(
		"{s:o, s:o, s:o, s:b}", "lines", known ? count(rec->log_lines) : json_null(),
		"bytes", known ? count(rec->log_bytes) : json_null(), "dropped",
		known ? count(rec->log_dropped) : json_null(), "removed", rec->log_gone != 0);
}

/* What the queue knows of a code's task. */
static json_t *queue_json(const struct task_record *rec)
{
	json_t *o;

	if (!*rec->code)
		return json_null();
	o = json_object();
	json_object_set_new(o, "code_id", json_string(rec->code));
	json_object_set_new(o, "code_name", text_or_null(rec->code_name));
	json_object_set_new(o, "revision", rec->revision ? count(rec->revision) : json_null());
	json_object_set_new(o, "attempt", count(rec->attempt));
	json_object_set_new(o, "retries_left", count(rec->retries_left));
	json_object_set_new(o, "original_task_id", text_or_null(rec->original));
	json_object_set_new(o, "retry_task_id", text_or_null(rec->retry));
	json_object_set_new(o, "schedule_id", text_or_null(rec->schedule));
	json_object_set_new(o, "not_before", task_json_time(rec->not_before_ns));
	json_object_set_new(o, "timeout", count(rec->timeout_asked_s));
	json_object_set_new(o, "percent", count(rec->percent));
	json_object_set_new(o, "msg", text_or_null(rec->msg));
	json_object_set_new(o, "cluster", text_or_null(rec->cluster));
	json_object_set_new(o, "dead_letter", json_boolean(rec->dead_letter));
	return o;
}

json_t *task_json(const struct task_record *rec, const struct project *p)
{
	bool ended = task_state_final((enum task_state)rec->state);
	json_t *o = json_object();

	json_object_set_new(o, "id", json_string(rec->id));
	json_object_set_new(o, "project", json_string(p ? p->name : rec->project));
	json_object_set_new(o, "image", json_string(rec->image));
	json_object_set_new(o, "status", json_string(task_state_name((enum task_state)rec->state)));
	json_object_set_new(o, "exit_code", ended ? json_integer(rec->exit_code) : json_null());
	json_object_set_new(o, "signal",
			    ended && rec->signal ? json_integer(rec->signal) : json_null());
	json_object_set_new(o, "verdict",
			    text_or_null(ended ? verdict_name((enum verdict)rec->verdict) : ""));
	json_object_set_new(o, "created_at", task_json_time(rec->created_ns));
	json_object_set_new(o, "started_at", task_json_time(rec->started_ns));
	json_object_set_new(o, "finished_at", task_json_time(ended ? rec->finished_ns : 0));
	json_object_set_new(o, "start", start_json(rec));
	json_object_set_new(o, "usage", usage_json(rec, ended));
	json_object_set_new(o, "log", log_json(rec));
	json_object_set_new(o, "label", text_or_null(rec->label));
	json_object_set_new(o, "queue", queue_json(rec));
	json_object_set_new(o, "priority", count(rec->priority));
	json_object_set_new(o, "policy", json_string(rec->policy));
	json_object_set_new(o, "limits", task_limits_json(&rec->limits));
	json_object_set_new(o, "image_digest", hex_or_null(rec->image_digest, true));
	json_object_set_new(o, "policy_digest", hex_or_null(rec->policy_id, true));
	json_object_set_new(o, "package_digest", hex_or_null(rec->package, rec->has_package));
	json_object_set_new(o, "requested_by", count(rec->requested_by));
	json_object_set_new(o, "warning", text_or_null(rec->warning));
	json_object_set_new(o, "error", text_or_null(rec->error));
	return o;
}

static int add_event(void *arg, uint64_t time_ns, const char *event, const char *detail)
{
	json_t *line = json_pack("{s:o, s:s, s:o}", "time", task_json_time(time_ns), "event", event,
				 "detail", text_or_null(detail));

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
