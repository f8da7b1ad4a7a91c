// SPDX-License-Identifier: Apache-2.0
#include "spec/task_limits.h"

json_t *task_limits_json(const struct limits *limits)
{
	json_t *o = json_object();

	for (enum limit_id i = 0; i < LIMIT_N; i++) {
		const struct limit_row *row = &limit_table[i];
		uint64_t v = limit_get(limits, i);

		json_object_set_new(o, row->key,
				    row->type == LIMIT_TYPE_CPUS ? json_real((double)v / 1000)
								 : json_integer((json_int_t)v));
	}
	return o;
}

unsigned task_limits_read(struct json_strict *in, struct limits *limits)
{
	unsigned set = 0;

	for (enum limit_id i = 0; i < LIMIT_N; i++) {
		const struct limit_row *row = &limit_table[i];
		uint64_t size;
		int64_t count;
		double cpus;
		bool there;

		if (row->type == LIMIT_TYPE_SIZE) {
			there = json_strict_size(in, row->key, row->min, row->max, &size);
		} else if (row->type == LIMIT_TYPE_COUNT) {
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
		limit_set(limits, i, size);
		set |= LIMIT_BIT(i);
	}
	(void)json_strict_end(in);
	return set;
}

int task_spec_limits(const struct task_spec *spec, const struct policy_head *policy,
		     struct limits *ret, struct err *e)
{
	*ret = policy->limits;
	for (enum limit_id i = 0; i < LIMIT_N; i++) {
		const struct limit_row *row = &limit_table[i];
		uint64_t value = limit_get(&spec->limits, i);
		uint64_t max = limit_get(&policy->limits_max, i);
		char asked[32], allowed[32];

		if (!(spec->limits_set & LIMIT_BIT(i)))
			continue;
		if (value > max) {
			limit_format(i, value, asked, sizeof(asked));
			limit_format(i, max, allowed, sizeof(allowed));
			return err_set(e, ERR_INPUT, 0,
				       "task.json: limits.%s: %s is more than the policy \"%.*s\" "
				       "allows (%s)",
				       row->key, asked, (int)sizeof(policy->name), policy->name,
				       allowed);
		}
		limit_set(ret, i, value);
	}
	return 0;
}
