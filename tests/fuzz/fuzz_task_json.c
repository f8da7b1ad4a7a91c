// SPDX-License-Identifier: Apache-2.0
/* task.json: whatever the bytes, an error with a text, or a whole spec. */
#include <stdio.h>
#include <string.h>

#include "spec/job.h"
#include "spec/task_spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the runtime and the monitor are entitled to once a spec was taken. */
static void check(const struct task_spec *s)
{
	if (s->kind < TASK_EXEC || s->kind > TASK_ENTRY || !s->source || !*s->source)
		abort();
	if (s->kind == TASK_EXEC && (*s->source == '/' || strcmp(s->source, "..") == 0))
		abort();
	for (size_t i = 0; i < s->n_env; i++)
		if (!strchr(s->env[i], '=') || *s->env[i] == '=')
			abort();
	if (s->policy && !util_is_name(s->policy))
		abort();
	if ((s->limits_set & LIMIT_BIT(LIMIT_MEMORY) && s->limits.memory < LIMIT_MEMORY_MIN) ||
	    (s->limits_set & LIMIT_BIT(LIMIT_TIMEOUT) && s->limits.timeout_s < LIMIT_TIMEOUT_MIN))
		abort();
	if (strlen(s->warm) >= IMAGE_WARM_MAX || s->start < 0 || s->start >= START_MODE_MAX)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct job_of of = {"0123456789abcdef01234567", "default", false};
	struct task_spec spec;
	struct err e = {0};
	struct job job = JOB_NONE;
	char *text = NULL;

	if (task_spec_parse((const char *)data, size, &spec, &e) < 0) {
		if (e.code == ERR_NONE || strncmp(e.msg, "task.json: ", 11) != 0)
			abort();
		return 0;
	}
	check(&spec);
	if (job_write(&spec, &text, &e) < 0)
		abort();
	if (job_seal(text, &of, &job, &e) < 0 && e.code == ERR_INTERNAL)
		abort();
	job_clear(&job);
	free(text);
	task_spec_clear(&spec);
	return 0;
}
