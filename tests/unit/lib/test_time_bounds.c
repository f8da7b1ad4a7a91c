// SPDX-License-Identifier: Apache-2.0
/* Times: places where one field overflows into the next, and the least and the greatest value of
 * each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cron.h"
#include "lib/timefmt.h"
#include "lib/zone.h"

#define NS 1000000000ULL

/* Finds the due seconds of a line by asking for every second of the day whether it fits. */
static void check_line(const char *line, const char *from)
{
	struct err e = {0};
	struct cron c;
	uint64_t t, end;

	assert_int_equal(cron_parse(line, &c, &e), 0);
	assert_int_equal(timefmt_parse("t", from, &t, &e), 0);
	t /= NS;
	end = t + 2 * 86400ULL;
	for (uint64_t next = cron_next(&c, NULL, t * NS) / NS; ++t < end;) {
		unsigned s = (unsigned)(t % 60), m = (unsigned)(t / 60 % 60);
		unsigned h = (unsigned)(t / 3600 % 24);
		bool fits = (c.second >> s & 1) && (c.minute >> m & 1) && (c.hour >> h & 1);

		if (fits != (next == t))
			fail_msg("%s: %llu of the day", line, (unsigned long long)(t % 86400));
		/* From any time between two due times the next one is the same. */
		if (fits || t % 37 == 0) {
			uint64_t was = next;

			next = cron_next(&c, NULL, t * NS) / NS;
			if (!fits)
				assert_int_equal(next, was);
		}
	}
}

static void test_seconds(void **state)
{
	static const char *const lines[] = {
		"0,30 */5 * * * *",	"59 59 23 * * *",     "0,59 0,59 0,23 * * *",
		"10,20 3,40 5,6 * * *", "*/7 */11 */5 * * *", "30 * 12 * * *",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		check_line(lines[i], "2026-03-01T00:00:00Z");
		check_line(lines[i], "2026-12-30T23:59:58Z");
	}
}

static void test_rule_offsets(void **state)
{
	static const struct {
		const char *text;
		int32_t offset; /* 1: the text is refused */
	} cases[] = {
		{"XXX1", -3600},       {"XXX-1:30", 5400},	{"XXX+1:30:20", -5420},
		{"XXX-0:44:30", 2670}, {"XXX24:59:59", -89999}, {"<+0530>-5:30", 19800},
		{"XXX25", 1},	       {"XXX1:60", 1},		{"XXX1:", 1},
		{"XXX1:30:60", 1},     {"XXX1:30:", 1},
	};
	struct zone_rule rule;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool good = zone_rule_parse(cases[i].text, strlen(cases[i].text), &rule);

		if (good != (cases[i].offset != 1) || (good && rule.offset != cases[i].offset))
			fail_msg("\"%s\": %d", cases[i].text, rule.offset);
	}
}

static void test_offsets(void **state)
{
	static const struct {
		const char *text, *utc; /* NULL: the text is refused */
	} cases[] = {
		{"2026-03-01T12:00:00+23:59", "2026-02-28T12:01:00Z"},
		{"2026-03-01T12:00:00-23:59", "2026-03-02T11:59:00Z"},
		{"2026-03-01T12:00:00+0000", "2026-03-01T12:00:00Z"},
		{"2026-03-01T12:00:00+24:00", NULL},
		{"2026-03-01T12:00:00+23:60", NULL},
		{"2026-03-01T23:59:59Z", "2026-03-01T23:59:59Z"},
		{"2026-03-01T24:00:00Z", NULL},
		{"2026-03-01T23:60:00Z", NULL},
		{"2028-02-29T00:00:00Z", "2028-02-29T00:00:00Z"},
		{"2027-02-29T00:00:00Z", NULL},
		{"2026-12-31T00:00:00Z", "2026-12-31T00:00:00Z"},
		{"2026-12-32T00:00:00Z", NULL},
		{"2026-13-01T00:00:00Z", NULL},
		{"2026-00-01T00:00:00Z", NULL},
		{"2026-01-00T00:00:00Z", NULL},
	};
	struct err e;
	uint64_t ns, utc;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int r = timefmt_parse("t", cases[i].text, &ns, &e);

		if ((r == 0) != (cases[i].utc != NULL))
			fail_msg("\"%s\": %d", cases[i].text, r);
		if (r < 0)
			continue;
		assert_int_equal(timefmt_parse("t", cases[i].utc, &utc, &e), 0);
		assert_true(ns == utc);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_rule_offsets),
		cmocka_unit_test(test_offsets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
