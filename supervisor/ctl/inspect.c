// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "supervisor/ctl/ctl.h"

static void print_status(const json_t *task)
{
	const json_t *exit_code = json_object_get(task, "exit_code");
	const json_t *signal = json_object_get(task, "signal");
	const char *verdict = ctl_text(task, "verdict");
	char text[256];
	int n = snprintf(text, sizeof(text), "%s", ctl_text(task, "status"));

	if (*verdict)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ", verdict %s", verdict);
	if (json_is_integer(exit_code))
		n += snprintf(text + n, sizeof(text) - (size_t)n, ", exit status %lld",
			      (long long)json_integer_value(exit_code));
	if (json_is_integer(signal))
		(void)snprintf(text + n, sizeof(text) - (size_t)n, ", signal %lld",
			       (long long)json_integer_value(signal));
	ctl_print_field("status", text);
}

static void print_numbers(const json_t *task)
{
	const json_t *start = json_object_get(task, "start");
	const json_t *usage = json_object_get(task, "usage");
	const json_t *log = json_object_get(task, "log");
	const json_t *v;
	char text[160], size[32];

	if (json_is_number(json_object_get(start, "ms"))) {
		snprintf(text, sizeof(text), "%s, %.3f ms to the first user bytecode",
			 ctl_text(start, "mode"), json_number_value(json_object_get(start, "ms")));
		ctl_print_field("start", text);
	} else {
		ctl_print_field("start", ctl_text(start, "mode"));
	}
	v = json_object_get(usage, "cpu_ms");
	if (json_is_number(v)) {
		ctl_format_size(size, sizeof(size),
				json_number_value(json_object_get(usage, "memory_peak_bytes")));
		snprintf(text, sizeof(text), "%.1f ms of CPU, at most %s of memory",
			 json_number_value(v), size);
		ctl_print_field("usage", text);
	}
	if (json_is_integer(json_object_get(log, "bytes"))) {
		snprintf(text, sizeof(text), "%lld lines, %lld bytes, %lld of them dropped%s",
			 (long long)json_integer_value(json_object_get(log, "lines")),
			 (long long)json_integer_value(json_object_get(log, "bytes")),
			 (long long)json_integer_value(json_object_get(log, "dropped")),
			 json_is_true(json_object_get(log, "removed")) ? "; removed" : "");
		ctl_print_field("log", text);
	}
}

static void print_limits(const json_t *limits)
{
	char text[512] = "", size[32];
	const char *key;
	const json_t *v;
	size_t n = 0;

	json_object_foreach((json_t *)limits, key, v)
	{
		bool bytes = !strcmp(key, "memory") || !strcmp(key, "disk") || !strcmp(key, "log");

		if (!json_is_number(v))
			continue;
		if (bytes)
			ctl_format_size(size, sizeof(size), json_number_value(v));
		else
			snprintf(size, sizeof(size), "%g", json_number_value(v));
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s %s", n ? ", " : "", key,
				      size);
		if (n >= sizeof(text))
			break;
	}
	ctl_print_field("limits", text);
}

static void print_history(const json_t *history)
{
	const json_t *event;
	char text[160];
	size_t i;

	json_array_foreach(history, i, event)
	{
		const char *detail = ctl_text(event, "detail");

		snprintf(text, sizeof(text), "%s  %s%s%.90s", ctl_text(event, "time"),
			 ctl_text(event, "event"), *detail ? ": " : "", detail);
		ctl_print_field(i ? "" : "history", text);
	}
}

/* For a worker's task: the worker, the attempt and the schedule. */
static void print_queue(const json_t *queue)
{
	char text[300];

	if (!json_is_object(queue))
		return;
	(void)snprintf(text, sizeof(text), "%s (%s), attempt %lld, retries left %lld",
		       ctl_text(queue, "code_name"), ctl_text(queue, "code_id"),
		       (long long)json_integer_value(json_object_get(queue, "attempt")),
		       (long long)json_integer_value(json_object_get(queue, "retries_left")));
	ctl_print_field("worker", text);
	ctl_print_field("first", ctl_text(queue, "original_task_id"));
	ctl_print_field("retry", ctl_text(queue, "retry_task_id"));
	ctl_print_field("schedule", ctl_text(queue, "schedule_id"));
	ctl_print_field("not before", ctl_text(queue, "not_before"));
}

static void print_task(const json_t *task)
{
	char text[160];

	ctl_print_field("id", ctl_text(task, "id"));
	ctl_print_field("project", ctl_text(task, "project"));
	snprintf(text, sizeof(text), "%s (%.12s)", ctl_text(task, "image"),
		 ctl_text(task, "image_digest"));
	ctl_print_field("image", *ctl_text(task, "image_digest") ? text : ctl_text(task, "image"));
	ctl_print_field("policy", ctl_text(task, "policy"));
	ctl_print_field("label", ctl_text(task, "label"));
	print_queue(json_object_get(task, "queue"));
	print_status(task);
	ctl_print_field("error", ctl_text(task, "error"));
	ctl_print_field("warning", ctl_text(task, "warning"));
	ctl_print_field("created", ctl_text(task, "created_at"));
	ctl_print_field("started", ctl_text(task, "started_at"));
	ctl_print_field("finished", ctl_text(task, "finished_at"));
	print_numbers(task);
	print_limits(json_object_get(task, "limits"));
	print_history(json_object_get(task, "history"));
}

int ctl_inspect(struct ctl *ctl, int argc, char **argv)
{
	int status = ctl_ids_only("inspect", argc, argv);

	if (status)
		return status;
	for (int i = 1; i < argc; i++) {
		json_t *reply = NULL, *task;
		struct err e = {0};

		if (ctl_ask(ctl, json_pack("{s:s, s:s}", "op", "inspect", "id", argv[i]), "task",
			    JSON_OBJECT, &reply, &task, &e) < 0) {
			status = ctl_fail(&e);
			continue;
		}
		(void)json_object_set(task, "history", json_object_get(reply, "history"));
		if (!ctl->json && i > 1)
			putchar('\n');
		if (!ctl->json)
			print_task(task);
		else if (argc == 2)
			status = ctl_print_json(task);
		else
			status |= ctl_print_json_line(task);
		json_decref(reply);
	}
	return ctl_flush(status);
}
