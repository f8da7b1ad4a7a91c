// SPDX-License-Identifier: Apache-2.0
/* Bodies of REST requests: whatever the bytes, an error with words, or what the queue may take. */
#include <stdio.h>
#include <string.h>

#include "supervisor/front/api/iron/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void said(int r, const struct err *e)
{
	if (r < 0 && (e->code == ERR_NONE || !*e->msg))
		abort();
}

static void check_submit(const struct submit *s)
{
	if (s->priority < -1 || s->priority >= LANE_PRIORITIES ||
	    s->timeout_s > QUEUE_TIMEOUT_MAX || s->delay_s > QUEUE_DELAY_MAX ||
	    s->payload_len > QUEUE_PAYLOAD_MAX ||
	    (s->payload && strlen(s->payload) != s->payload_len) ||
	    (s->label && strlen(s->label) > QUEUE_LABEL_MAX))
		abort();
}

static void try_tasks(const char *text, size_t len, bool strict)
{
	_cleanup_iron_tasks_ struct iron_tasks t = {0};
	struct err e = {0};
	int r = iron_tasks_parse(text, len, strict, &t, &e);

	said(r, &e);
	for (size_t i = 0; r == 0 && i < t.n; i++) {
		if (!t.tasks[i].code_name || !*t.tasks[i].code_name)
			abort();
		check_submit(&t.tasks[i].what);
	}
}

static void try_webhook(const char *text, size_t len)
{
	_cleanup_iron_tasks_ struct iron_tasks t = {0};
	struct err e = {0};
	int r = iron_webhook_parse(json_pack("{s:s}", "code_name", "a"), text, len, &t, &e);

	said(r, &e);
	if (r == 0)
		check_submit(&t.tasks[0].what);
}

static void try_schedules(const char *text, size_t len, bool strict)
{
	_cleanup_iron_schedules_ struct iron_schedules s = {0};
	struct schedule_spec spec = {.code_name = "a", .priority = -1};
	struct err e = {0};
	int r = iron_schedules_parse(text, len, strict, &s, &e);

	said(r, &e);
	for (size_t i = 0; r == 0 && i < s.n; i++)
		if (!*s.specs[i].code_name || (s.specs[i].run_every_s && *s.specs[i].cron) ||
		    (!strict && s.specs[i].run_every_s &&
		     s.specs[i].run_every_s < IRON_RUN_EVERY_MIN))
			abort();
	e = (struct err){0};
	r = iron_schedule_change(text, len, strict, &spec, &e);
	said(r, &e);
	schedule_spec_clear(&spec);
}

static void try_code(const char *text, size_t len, bool strict)
{
	struct worker_spec spec = {0};
	struct err e = {0};
	int r = iron_code_parse(text, len, strict, &spec, &e);

	said(r, &e);
	if (r == 0 && (!*spec.name || strstr(spec.name, "..") || strchr(spec.name, '/') ||
		       spec.retries > WORKER_RETRIES_MAX || *spec.file_name == '/' ||
		       strncmp(spec.file_name, "../", 3) == 0))
		abort();
	worker_spec_clear(&spec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct iron_progress progress;
	struct err e = {0};
	uint32_t delay;

	for (int strict = 0; strict < 2; strict++) {
		try_tasks(text, size, strict);
		try_schedules(text, size, strict);
		try_code(text, size, strict);
		said(iron_progress_parse(text, size, strict, &progress, &e), &e);
		said(iron_retry_parse(text, size, strict, &delay, &e), &e);
	}
	try_webhook(text, size);
	return 0;
}
