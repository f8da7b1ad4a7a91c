// SPDX-License-Identifier: Apache-2.0
#include "spec/task_limits.h"

#include <stdio.h>
#include <string.h>

enum limit_type { LIMIT_SIZE, LIMIT_COUNT, LIMIT_CPUS };

/* Every limit: its key, where it is in struct limits, and what any machine allows. */
static const struct limit_row {
	const char *key;
	enum limit_bit bit;
	enum limit_type type;
	size_t offset;
	uint64_t min, max;
} limit_table[] = {
	{"memory", LIMIT_BIT_MEMORY, LIMIT_SIZE, offsetof(struct limits, memory), LIMIT_MEMORY_MIN,
	 LIMIT_MEMORY_MAX},
	{"cpus", LIMIT_BIT_CPUS, LIMIT_CPUS, offsetof(struct limits, cpu_milli), LIMIT_CPU_MIN,
	 LIMIT_CPU_MAX},
	{"pids", LIMIT_BIT_PIDS, LIMIT_COUNT, offsetof(struct limits, pids), LIMIT_PIDS_MIN,
	 LIMIT_PIDS_MAX},
	{"disk", LIMIT_BIT_DISK, LIMIT_SIZE, offsetof(struct limits, disk), LIMIT_DISK_MIN,
	 LIMIT_DISK_MAX},
	{"timeout", LIMIT_BIT_TIMEOUT, LIMIT_COUNT, offsetof(struct limits, timeout_s),
	 LIMIT_TIMEOUT_MIN, LIMIT_TIMEOUT_MAX},
	{"nofile", LIMIT_BIT_NOFILE, LIMIT_COUNT, offsetof(struct limits, nofile), LIMIT_NOFILE_MIN,
	 LIMIT_NOFILE_MAX},
	{"log", LIMIT_BIT_LOG, LIMIT_SIZE, offsetof(struct limits, log_bytes), LIMIT_LOG_MIN,
	 LIMIT_LOG_MAX},
};

static uint64_t limit_get(const struct limits *l, const struct limit_row *row)
{
	const char *p = (const char *)l + row->offset;
	uint32_t small;
	uint64_t big;

	if (row->type == LIMIT_SIZE) {
		memcpy(&big, p, sizeof(big));
		return big;
	}
	memcpy(&small, p, sizeof(small));
	return small;
}

static void limit_set(struct limits *l, const struct limit_row *row, uint64_t value)
{
	char *p = (char *)l + row->offset;
	uint32_t small = (uint32_t)value;

	if (row->type == LIMIT_SIZE)
		memcpy(p, &value, sizeof(value));
	else
		memcpy(p, &small, sizeof(small));
}

static void limit_format(const struct limit_row *row, uint64_t v, char *buf, size_t size)
{
	static const char units[] = "KMGT";
	int u = -1;

	if (row->type == LIMIT_CPUS) {
		(void)snprintf(buf, size, "%g", (double)v / 1000);
		return;
	}
	for (; row->type == LIMIT_SIZE && u < 3 && v >= 1024 && v % 1024 == 0; u++)
		v /= 1024;
	(void)snprintf(buf, size, "%llu%.*s", (unsigned long long)v, u >= 0,
		       u >= 0 ? units + u : "");
}

json_t *task_limits_json(const struct limits *limits)
{
	json_t *o = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(limit_table); i++) {
		const struct limit_row *row = &limit_table[i];
		uint64_t v = limit_get(limits, row);

		json_object_set_new(o, row->key,
				    row->type == LIMIT_CPUS ? json_real((double)v / 1000)
							    : json_integer((json_int_t)v));
	}
	return o;
}

unsigned task_limits_read(struct json_strict *in, struct limits *limits)
{
	unsigned set = 0;

	for (size_t i = 0; i < ARRAY_SIZE(limit_table); i++) {
		const struct limit_row *row = &limit_table[i];
		uint64_t size;
		int64_t count;
		double cpus;
		bool there;

		if (row->type == LIMIT_SIZE) {
			there = json_strict_size(in, row->key, row->min, row->max, &size);
		} else if (row->type == LIMIT_COUNT) {
			there = json_strict_int(in, row->key, (int64_t)row->min, (int64_t)row->max,
						&count);
			size = there ? (uint64_t)count : 0;
		} else {
			there = json_strict_number(in, row->key, (double)row->min / 1000,
						   (double)row->max / 1000, &cpus);
			size = there ? (uint64_t)(cpus * 1000 + 0.5) : 0;
		}
		if (!there)
			continue;
		limit_set(limits, row, size);
		set |= row->bit;
	}
	(void)json_strict_end(in);
	return set;
}

int task_spec_limits(const struct task_spec *spec, const struct policy_head *policy,
		     struct limits *ret, struct err *e)
{
	*ret = policy->limits;
	for (size_t i = 0; i < ARRAY_SIZE(limit_table); i++) {
		const struct limit_row *row = &limit_table[i];
		uint64_t value = limit_get(&spec->limits, row);
		uint64_t max = limit_get(&policy->limits_max, row);
		char asked[32], allowed[32];

		if (!(spec->limits_set & row->bit))
			continue;
		if (value > max) {
			limit_format(row, value, asked, sizeof(asked));
			limit_format(row, max, allowed, sizeof(allowed));
			return err_set(e, ERR_INPUT, 0,
				       "task.json: limits.%s: %s is more than the policy \"%.*s\" "
				       "allows (%s)",
				       row->key, asked, (int)sizeof(policy->name), policy->name,
				       allowed);
		}
		limit_set(ret, row, value);
	}
	return 0;
}
