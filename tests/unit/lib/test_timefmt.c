// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/timefmt.h"

#define NS 1000000000ULL

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} cases[] = {
		{"2013-11-02T21:22:34Z", 1383427354 * NS},
		{"2013-11-02t21:22:34z", 1383427354 * NS},
		{"2013-11-02T21:22:34.5Z", 1383427354 * NS + NS / 2},
		{"2013-11-02T21:22:34,25Z", 1383427354 * NS + NS / 4},
		{"2013-11-02T21:22:34.1234567891234Z", 1383427354 * NS + 123456789},
		{"2013-11-02T14:22:34-07:00", 1383427354 * NS},
		{"2013-11-03T02:52:34+0530", 1383427354 * NS},
		{"2013-11-02T23:22:34+02", 1383427354 * NS},
		{"2013-11-02 14:22:34 -0700", 1383427354 * NS},
		{"2013-11-02 21:22:34 UTC", 1383427354 * NS},
		{"2013-11-02T21:22:34.000001+00:00", 1383427354 * NS + 1000},
		{"2013-11-02T21:22:34", 1383427354 * NS},
		{"2013-11-02T21:22Z", 1383427320 * NS},
		{"2013-11-02", 1383350400 * NS},
		{"Sat, 02 Nov 2013 21:22:34 +0000", 1383427354 * NS},
		{"Sat, 2 Nov 2013 21:22:34 GMT", 1383427354 * NS},
		{"02 Nov 2013 14:22:34 -0700", 1383427354 * NS},
		{"2016-12-31T23:59:60Z", 1483228800 * NS},
		{"2016-02-29T00:00:00Z", 1456704000 * NS},
		{"1383427354", 1383427354 * NS},
		{"1383427354.25", 1383427354 * NS + NS / 4},
		{"0", 0},
		{"0001-01-01T00:00:00Z", 0},
		{"1970-01-01T01:00:00+01:00", 0},
		{"2199-12-31T23:59:59Z", 7258118399 * NS},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = {0};
		uint64_t ns = 1;

		if (timefmt_parse("start_at", cases[i].text, &ns, &e) < 0)
			fail_msg("\"%s\": %s", cases[i].text, e.msg);
		if (ns != cases[i].ns)
			fail_msg("\"%s\": %llu", cases[i].text, (unsigned long long)ns);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"", "start_at: \"\" is not a time: write it as in 2013-11-02T21:22:34Z"},
		{"tomorrow", "start_at: \"tomorrow\" is not a time"},
		{"2013-11-02T", "is not a time"},
		{"2013-11-02T21", "is not a time"},
		{"2013-11-02T21:22:34Zx", "is not a time"},
		{"2013-11-02T21:22:34 ", NULL},
		{"2013-11-02T21:22:34.Z", "is not a time"},
		{"2013-11-02T24:00:00Z", "is not a time"},
		{"2013-11-02T21:60:00Z", "is not a time"},
		{"2013-11-02T21:22:61Z", "is not a time"},
		{"2013-11-02T21:22:34+24:00", "is not a time"},
		{"2013-11-02T21:22:34+5", "is not a time"},
		{"2013-11-02T21:22:34+053", "is not a time"},
		{"2013-11-31T00:00:00Z", "is not a day of the calendar"},
		{"2013-02-29T00:00:00Z", "is not a day of the calendar"},
		{"2013-00-01T00:00:00Z", "is not a day of the calendar"},
		{"2013-13-01T00:00:00Z", "is not a day of the calendar"},
		{"2013-01-00", "is not a day of the calendar"},
		{"0001-01-01T00:00:01Z", "is before the year 1970"},
		{"1969-12-31T23:59:59Z", "is before the year 1970"},
		{"2200-01-01T00:00:00Z", "is after the year 2199"},
		{"2262-04-11T23:47:16Z", "is after the year 2199"},
		{"9999999999", "is after the year 2199"},
		{"13834273540", "is not a time"},
		{"-5", "is not a time"},
		{"\x1b[2J", "\\x1b"},
		{"\xff\xfe", "\\xff"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = {0};
		uint64_t ns = 1;

		if (!cases[i].error) {
			assert_int_equal(timefmt_parse("start_at", cases[i].text, &ns, &e), 0);
			continue;
		}
		assert_int_equal(timefmt_parse("start_at", cases[i].text, &ns, &e),
				 strstr(cases[i].error, "is after") ? -ERANGE : -EINVAL);
		assert_int_equal(e.code, ERR_INPUT);
		if (!strstr(e.msg, cases[i].error) || strchr(e.msg, 0x1b))
			fail_msg("\"%s\": \"%s\"", cases[i].text, e.msg);
	}
}

static void test_print(void **state)
{
	char buf[TIMEFMT_MAX];

	(void)state;
	assert_string_equal(timefmt_print(0, buf), "0001-01-01T00:00:00Z");
	assert_string_equal(timefmt_print(1383427354 * NS, buf), "2013-11-02T21:22:34Z");
	assert_string_equal(timefmt_print(1383427354 * NS + 8999999, buf),
			    "2013-11-02T21:22:34.008Z");
	assert_string_equal(timefmt_print(UINT64_MAX, buf), "2554-07-21T23:34:33.709Z");
}

/* For every third day of some centuries the result is the same as gmtime_r's, and is read back as
 * the same time. */
static void test_calendar(void **state)
{
	(void)state;
	for (int64_t days = -800000; days < 800000; days += 3) {
		time_t t = days * 86400;
		unsigned month, day;
		int64_t year;
		struct tm tm;

		(void)gmtime_r(&t, &tm);
		timefmt_date(days, &year, &month, &day);
		if (year != tm.tm_year + 1900 || month != (unsigned)tm.tm_mon + 1 ||
		    day != (unsigned)tm.tm_mday || timefmt_weekday(days) != (unsigned)tm.tm_wday ||
		    timefmt_days(year, month, day) != days)
			fail_msg("day %lld: %lld-%u-%u", (long long)days, (long long)year, month,
				 day);
	}
}

static void test_round_trip(void **state)
{
	(void)state;
	for (uint64_t ms = 1; ms < 7258118400000; ms += 98765432109) {
		char buf[TIMEFMT_MAX];
		struct err e = {0};
		uint64_t ns;

		assert_int_equal(timefmt_parse("t", timefmt_print(ms * 1000000, buf), &ns, &e), 0);
		assert_int_equal(ns, ms * 1000000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),	   cmocka_unit_test(test_refused),
		cmocka_unit_test(test_print),	   cmocka_unit_test(test_calendar),
		cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
