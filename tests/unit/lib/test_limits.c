// SPDX-License-Identifier: Apache-2.0
/* The table of limits: each row stands for a member of its own, and each bound is enforced. */
#include <string.h>

#include "lib/limits.h"
#include "lib/util.h"
#include "tests/unit/rig.h"

static struct limits lowest(void)
{
	struct limits l = {0};

	for (enum limit_id i = 0; i < LIMIT_N; i++)
		limit_set(&l, i, limit_table[i].min);
	return l;
}

static void test_members(void **state)
{
	struct limits l = {0};

	(void)state;
	for (enum limit_id i = 0; i < LIMIT_N; i++)
		limit_set(&l, i, 1000 + i);
	for (enum limit_id i = 0; i < LIMIT_N; i++) {
		assert_int_equal(limit_get(&l, i), 1000 + i);
		for (enum limit_id j = 0; j < i; j++)
			assert_string_not_equal(limit_table[i].key, limit_table[j].key);
	}
	assert_int_equal(l.memory, 1000 + LIMIT_MEMORY);
	assert_int_equal(l.log_bytes, 1000 + LIMIT_LOG);
	assert_int_equal(l.nofile, 1000 + LIMIT_NOFILE);
	/* A size that does not fit in 32 bits. */
	limit_set(&l, LIMIT_DISK, 1ULL << 40);
	assert_int_equal(l.disk, 1ULL << 40);
}

static void test_beyond(void **state)
{
	const struct limits low = lowest();

	(void)state;
	assert_int_equal(limits_beyond(&low, NULL), LIMIT_N);
	assert_int_equal(limits_beyond(&low, &low), LIMIT_N);
	for (enum limit_id i = 0; i < LIMIT_N; i++) {
		struct limits l = low;

		limit_set(&l, i, limit_table[i].min - 1);
		assert_int_equal(limits_beyond(&l, NULL), i);
		limit_set(&l, i, limit_table[i].max);
		assert_int_equal(limits_beyond(&l, NULL), LIMIT_N);
		assert_int_equal(limits_beyond(&l, &low), i);
		limit_set(&l, i, limit_table[i].max + 1);
		assert_int_equal(limits_beyond(&l, NULL), i);
	}
}

/* The time and the log's size are counted by the monitor and the logger, so any sandbox of the kind
 * is fit for the run. */
static void test_same_sandbox(void **state)
{
	const struct limits low = lowest();

	(void)state;
	for (enum limit_id i = 0; i < LIMIT_N; i++) {
		struct limits l = low;

		assert_true(limits_same_sandbox(&l, &low));
		limit_set(&l, i, limit_table[i].min + 1);
		assert_int_equal(limits_same_sandbox(&l, &low),
				 i == LIMIT_TIMEOUT || i == LIMIT_LOG);
	}
}

static void test_format(void **state)
{
	static const struct {
		enum limit_id id;
		uint64_t value;
		const char *text;
	} rows[] = {
		{LIMIT_MEMORY, 320ULL << 20, "320M"}, {LIMIT_MEMORY, 1000, "1000"},
		{LIMIT_DISK, 3ULL << 40, "3T"},	      {LIMIT_CPUS, 500, "0.5"},
		{LIMIT_PIDS, 2048, "2048"},
	};
	char text[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		limit_format(rows[i].id, rows[i].value, text, sizeof(text));
		assert_string_equal(text, rows[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_beyond),
		cmocka_unit_test(test_same_sandbox),
		cmocka_unit_test(test_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
