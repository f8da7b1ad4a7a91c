// SPDX-License-Identifier: Apache-2.0
/* Projects, tokens and quotas as JSON. */
#include <stddef.h>
#include <string.h>

#include "supervisor/front/internal.h"
#include "supervisor/json_strict.h"

/* Every quota: its key, where it is, and what it is at least where it is not 0. */
static const struct quota_row {
	const char *key;
	bool is_size; /* a uint64_t in bytes, else a uint32_t */
	size_t offset;
	uint64_t min, max;
} quota_table[] = {
	{"running", false, offsetof(struct quota, running), 1, 1000000},
	{"queued", false, offsetof(struct quota, queued), 1, 100000000},
	{"schedules", false, offsetof(struct quota, schedules), 1, 1000000},
	{"memory", true, offsetof(struct quota, memory), LIMIT_MEMORY_MIN, LIMIT_MEMORY_MAX},
	{"package_bytes", true, offsetof(struct quota, package_bytes), 1, LIMIT_DISK_MAX},
	{"log_bytes", true, offsetof(struct quota, log_bytes), LIMIT_LOG_MIN, LIMIT_LOG_MAX},
};

static uint64_t quota_get(const struct quota *q, const struct quota_row *row)
{
	const char *p = (const char *)q + row->offset;
	uint32_t small;
	uint64_t big;

	if (row->is_size) {
		memcpy(&big, p, sizeof(big));
		return big;
	}
	memcpy(&small, p, sizeof(small));
	return small;
}

static void quota_set(struct quota *q, const struct quota_row *row, uint64_t value)
{
	char *p = (char *)q + row->offset;
	uint32_t small = (uint32_t)value;

	if (row->is_size)
		memcpy(p, &value, sizeof(value));
	else
		memcpy(p, &small, sizeof(small));
}

static void read_row(struct json_strict *in, const struct quota_row *row, struct quota *q)
{
	uint64_t value = 0;
	int64_t count = 0;
	bool there;
	char least[32];

	if (row->is_size) {
		there = json_strict_size(in, row->key, 0, row->max, &value);
	} else {
		there = json_strict_int(in, row->key, 0, (int64_t)row->max, &count);
		value = (uint64_t)count;
	}
	if (!there)
		return;
	if (value != 0 && value < row->min)
		(void)json_strict_fail(in, row->key, "must be 0, which is no bound, or at least %s",
				       util_format_size(row->min, least, sizeof(least)));
	quota_set(q, row, value);
}

int quota_from_json(const char *path, const json_t *obj, struct quota *quota, struct err *e)
{
	struct quota read = *quota;
	struct json_strict in;
	int r;

	/* The reader changes nothing. */
	r = json_strict_begin(&in, path, (json_t *)obj, e);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(quota_table); i++)
		read_row(&in, &quota_table[i], &read);
	if (r == 0)
		r = json_strict_end(&in);
	if (r == 0)
		*quota = read;
	return r;
}

static json_t *quota_json(const struct quota *q)
{
	json_t *o = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(quota_table); i++)
		(void)json_object_set_new(o, quota_table[i].key,
					  json_integer((json_int_t)quota_get(q, &quota_table[i])));
	return o;
}

json_t *project_json(const struct project *p)
{
	return json_pack("{s:s, s:s, s:o, s:o, s:{s:I, s:I}, s:I, s:I, s:I, s:I}", "id", p->id,
			 "name", p->name, "created_at", task_json_time(p->created_ns), "quota",
			 quota_json(&p->quota), "tasks", "queued", (json_int_t)p->n_queued,
			 "running", (json_int_t)p->n_running, "codes", (json_int_t)p->n_codes,
			 "schedules", (json_int_t)p->n_schedules, "tokens", (json_int_t)p->n_tokens,
			 "package_bytes", (json_int_t)p->package_bytes);
}

json_t *token_json(const struct token *t)
{
	return json_pack("{s:s, s:s, s:b, s:o, s:o}", "id", t->id, "label", t->label, "operator",
			 t->operator, "created_at", task_json_time(t->created_ns), "used_at",
			 task_json_time(t->used_ns));
}

void project_bound_limits(const struct project *p, struct limits *limits)
{
	if (p->quota.log_bytes && limits->log_bytes > p->quota.log_bytes)
		limits->log_bytes = p->quota.log_bytes;
}

int project_check_memory(const struct project *p, const struct limits *limits, struct err *e)
{
	char has[32], may[32];

	if (!p->quota.memory || limits->memory <= p->quota.memory)
		return 0;
	return err_set(e, ERR_LIMIT, 0,
		       "the task's memory limit is %s, and its project's quota \"memory\" is %s",
		       util_format_size(limits->memory, has, sizeof(has)),
		       util_format_size(p->quota.memory, may, sizeof(may)));
}
