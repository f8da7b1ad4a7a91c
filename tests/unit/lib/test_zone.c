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
#include "lib/zone.h"

/* Zones without changes, zones of both hemispheres, zones with odd offsets and rules, and zones
 * that skipped or repeated a date. */
static const char *const names[] = {
	"Europe/Berlin",     "Europe/London",
	"Europe/Dublin",     "Europe/Moscow",
	"America/New_York",  "America/Los_Angeles",
	"America/St_Johns",  "America/Sao_Paulo",
	"America/Santiago",  "America/Phoenix",
	"America/Caracas",   "America/Godthab",
	"America/Asuncion",  "America/Scoresbysund",
	"America/Havana",    "America/Mexico_City",
	"Australia/Sydney",  "Australia/Lord_Howe",
	"Australia/Eucla",   "Pacific/Apia",
	"Pacific/Chatham",   "Pacific/Kiritimati",
	"Pacific/Norfolk",   "Pacific/Easter",
	"Asia/Kolkata",	     "Asia/Kathmandu",
	"Asia/Tehran",	     "Asia/Gaza",
	"Asia/Pyongyang",    "Asia/Tokyo",
	"Africa/Casablanca", "Africa/Cairo",
	"Africa/Monrovia",   "Africa/Sao_Tome",
	"Antarctica/Troll",  "Antarctica/Casey",
	"Atlantic/Azores",   "Etc/GMT+12",
	"Etc/UTC",	     "US/Eastern",
	"EST5EDT",	     "UTC",
};

static int32_t system_offset(int64_t t)
{
	time_t at = t;
	struct tm tm;

	(void)localtime_r(&at, &tm);
	return (int32_t)tm.tm_gmtoff;
}

static void use_zone(const char *name)
{
	char text[80];

	(void)snprintf(text, sizeof(text), ":%s", name);
	assert_int_equal(setenv("TZ", text, 1), 0);
	tzset();
}

/* From 1970 to 2150 the offset is the same as the C library's, also at both ends of every span. */
static void test_as_the_system(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int64_t end = timefmt_days(2150, 1, 1) * 86400, changes = 0;
		struct err e = {0};
		struct zone *z;

		use_zone(names[i]);
		if (zone_load(names[i], &z, &e) < 0)
			fail_msg("%s: %s", names[i], e.msg);
		for (int64_t t = 0; t < end; t += 5 * 86400 + 1234) {
			struct zone_span s;

			zone_span_at(z, t, &s);
			if (s.from > t || s.until <= t || s.offset != system_offset(t))
				fail_msg("%s at %lld: %d", names[i], (long long)t, s.offset);
			if (s.from > 0 && (s.offset != system_offset(s.from) ||
					   s.before != system_offset(s.from - 1)))
				fail_msg("%s: from %lld", names[i], (long long)s.from);
			if (s.until < end && s.offset != system_offset(s.until - 1))
				fail_msg("%s: until %lld", names[i], (long long)s.until);
			changes += s.from > 0 && s.before != s.offset;
		}
		if (strcmp(names[i], "Europe/Berlin") == 0)
			assert_true(changes > 1000);
		zone_free(z);
	}
}

/* Every span is followed by the next without a hole, far beyond the table. */
static void test_spans_follow(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct zone_span s, next;
		struct err e = {0};
		struct zone *z;

		assert_int_equal(zone_load(names[i], &z, &e), 0);
		zone_span_at(z, 0, &s);
		for (; s.until < timefmt_days(2400, 1, 1) * 86400; s = next) {
			zone_span_at(z, s.until, &next);
			assert_int_equal(next.from, s.until);
			assert_int_equal(next.before, s.offset);
			assert_true(next.until > next.from);
		}
		zone_free(z);
	}
}

static void test_names(void **state)
{
	static const struct {
		const char *name, *error;
	} cases[] = {
		{"../../../etc/passwd", "is not the name of a time zone"},
		{"/etc/localtime", "is not the name of a time zone"},
		{"Europe/", "is not the name of a time zone"},
		{"Europe//Berlin", "is not the name of a time zone"},
		{"Europe/Berlin\n", "Berlin\\x0a\" is not the name of a time zone"},
		{"zone1970.tab", "is not the name of a time zone"},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		 "is not the name of a time zone"},
		{"Europe", "there is no zone \"Europe\" in /usr/share/zoneinfo"},
		{"Europe/Atlantis", "there is no zone \"Europe/Atlantis\""},
		{"Europe/Berlin/Mitte", "there is no"},
	};
	struct zone *z;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = {0};

		assert_int_equal(zone_load(cases[i].name, &z, &e), -EINVAL);
		assert_int_equal(e.code, ERR_INPUT);
		if (strncmp(e.msg, "timezone: ", 10) != 0 || !strstr(e.msg, cases[i].error))
			fail_msg("\"%s\": %s", cases[i].name, e.msg);
	}
	assert_int_equal(zone_load("", &z, NULL), 0);
	assert_null(z);
}

static void test_rules(void **state)
{
	static const char *const bad[] = {
		"",
		"A",
		"AB1",
		"UTC",
		"UTC25",
		"CET-1CEST",
		"CET-1CEST,M3",
		"CET-1CEST,M3.5.0",
		"CET-1CEST,M3.6.0,M10.5.0",
		"CET-1CEST,M13.5.0,M10.5.0",
		"CET-1CEST,M3.5.0,M10.5.0x",
		"CET-1CEST,J0,J3",
		"CET-1CEST,366,3",
		"<+03-3",
		"CET-1CEST,M3.5.0/168,M10.5.0",
		"UTC0 ",
	};
	struct zone_rule rule;
	int64_t start, end;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (zone_rule_parse(bad[i], strlen(bad[i]), &rule))
			fail_msg("\"%s\"", bad[i]);
	assert_true(zone_rule_parse("<-03>3<-02>,M3.5.0/-2,M10.5.0/-1", 32, &rule));
	assert_int_equal(rule.offset, -3 * 3600);
	assert_int_equal(rule.dst_offset, -2 * 3600);
	zone_rule_year(&rule, 2026, &start, &end);
	/* Saturday 28 March 22:00 at -3; Saturday 24 October 23:00 at -2. */
	assert_int_equal(start, timefmt_days(2026, 3, 29) * 86400 + 3600);
	assert_int_equal(end, timefmt_days(2026, 10, 25) * 86400 + 3600);
	assert_true(zone_rule_parse("XXX0YYY,J60/0,59/0", 18, &rule));
	zone_rule_year(&rule, 2024, &start, &end); /* a leap year */
	assert_int_equal(start, timefmt_days(2024, 3, 1) * 86400);
	assert_int_equal(end, timefmt_days(2024, 2, 29) * 86400 - 3600);
	zone_rule_year(&rule, 2025, &start, &end);
	assert_int_equal(start, timefmt_days(2025, 3, 1) * 86400);
	assert_int_equal(end, timefmt_days(2025, 3, 1) * 86400 - 3600);
}

/* A file that was cut short, at any byte, is refused. */
static void test_cut(void **state)
{
	_cleanup_free_ char *buf = NULL;
	struct err e = {0};
	struct zone *z;
	size_t len, n;
	FILE *file = fopen(ZONE_FOLDER "/America/New_York", "re");

	(void)state;
	assert_non_null(file);
	buf = malloc(ZONE_FILE_MAX);
	assert_non_null(buf);
	len = fread(buf, 1, ZONE_FILE_MAX, file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(zone_parse("x", buf, len, &z, &e), 0);
	zone_free(z);
	for (n = 0; n < len; n++) {
		/* allocated with exactly this size, so that the sanitizer sees a read beyond it */
		char *cut = malloc(n + 1);

		assert_non_null(cut);
		memcpy(cut, buf, n);
		assert_true(zone_parse("x", cut, n, &z, &e) < 0);
		assert_null(z);
		free(cut);
	}
	assert_string_equal(e.msg, "timezone: the file of \"x\" is cut off in its rule");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_the_system), cmocka_unit_test(test_spans_follow),
		cmocka_unit_test(test_names),	      cmocka_unit_test(test_rules),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
