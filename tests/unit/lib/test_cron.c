// SPDX-License-Identifier: Apache-2.0
/* Lines of cron: when they are due, also where clocks change, and how wrong ones are named. */
#include "tests/unit/time_rig.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/cron.h"

#define NS 1000000000ULL

/* A line and up to four times at which it is due, in order, after a first time. */
static const struct {
	const char *line, *zone, *after, *next[5];
} times[] = {
	{"* * * * *", "", "2026-03-01T10:00:00Z", {"2026-03-01T10:01:00Z", "2026-03-01T10:02:00Z"}},
	{"* * * * *", "", "2026-03-01T10:00:59.999Z", {"2026-03-01T10:01:00Z"}},
	{"* * * * * *",
	 "",
	 "2026-03-01T23:59:58.5Z",
	 {"2026-03-01T23:59:59Z", "2026-03-02T00:00:00Z"}},
	{"*/20 * * * * *",
	 "",
	 "2026-03-01T10:00:00Z",
	 {"2026-03-01T10:00:20Z", "2026-03-01T10:00:40Z", "2026-03-01T10:01:00Z"}},
	{"5,10-11 30 4 * * *",
	 "",
	 "2026-03-01T10:00:00Z",
	 {"2026-03-02T04:30:05Z", "2026-03-02T04:30:10Z", "2026-03-02T04:30:11Z",
	  "2026-03-03T04:30:05Z"}},
	{"\t 0   12 * *\t* ", "", "2026-03-01T12:00:00Z", {"2026-03-02T12:00:00Z"}},
	{"10-50/20 1 * * *",
	 "",
	 "2026-03-01T00:00:00Z",
	 {"2026-03-01T01:10:00Z", "2026-03-01T01:30:00Z", "2026-03-01T01:50:00Z",
	  "2026-03-02T01:10:00Z"}},
	{"0 0 31 * *",
	 "",
	 "2026-01-31T00:00:00Z",
	 {"2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z", "2026-07-31T00:00:00Z",
	  "2026-08-31T00:00:00Z"}},
	/* 1 November 2026 is a Sunday. */
	{"0 9 * * mon-fri",
	 "",
	 "2026-11-05T09:00:00Z",
	 {"2026-11-06T09:00:00Z", "2026-11-09T09:00:00Z"}},
	{"0 9 * * 7", "", "2026-11-01T08:00:00Z", {"2026-11-01T09:00:00Z", "2026-11-08T09:00:00Z"}},
	{"0 9 * * 0", "", "2026-11-01T09:00:00Z", {"2026-11-08T09:00:00Z"}},
	{"0 9 * * Fri-SUN",
	 "",
	 "2026-11-01T09:00:00Z",
	 {"2026-11-06T09:00:00Z", "2026-11-07T09:00:00Z", "2026-11-08T09:00:00Z",
	  "2026-11-13T09:00:00Z"}},
	{"0 9 * * 6-7",
	 "",
	 "2026-11-01T09:00:00Z",
	 {"2026-11-07T09:00:00Z", "2026-11-08T09:00:00Z"}},
	/* If both day fields are restricted, either is enough; a field that starts with * is not
	 * restricted. */
	{"0 0 13 * fri",
	 "",
	 "2026-11-01T00:00:00Z",
	 {"2026-11-06T00:00:00Z", "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"}},
	{"0 0 */2 * fri",
	 "",
	 "2026-11-01T00:00:00Z",
	 {"2026-11-13T00:00:00Z", "2026-11-27T00:00:00Z"}},
	{"0 0 1 jan,Jul *",
	 "",
	 "2026-03-01T00:00:00Z",
	 {"2026-07-01T00:00:00Z", "2027-01-01T00:00:00Z"}},
	{"0 0 29 2 *",
	 "",
	 "2026-03-01T00:00:00Z",
	 {"2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"}},
	{"0 0 29 2 *", "", "2096-02-29T00:00:00Z", {"2104-02-29T00:00:00Z"}},
	{"0 0 30 2 *", "", "2026-03-01T00:00:00Z", {"0001-01-01T00:00:00Z"}},
	{"@hourly", "", "2026-03-01T10:00:00Z", {"2026-03-01T11:00:00Z"}},
	{"@daily", "", "2026-03-01T10:00:00Z", {"2026-03-02T00:00:00Z"}},
	{" @Weekly ", "", "2026-11-02T10:00:00Z", {"2026-11-08T00:00:00Z"}},
	{"@monthly", "", "2026-03-01T10:00:00Z", {"2026-04-01T00:00:00Z"}},
	{"@yearly", "", "2026-03-01T10:00:00Z", {"2027-01-01T00:00:00Z"}},
	{"0 9 * * *",
	 "Asia/Kolkata",
	 "2026-03-01T00:00:00Z",
	 {"2026-03-01T03:30:00Z", "2026-03-02T03:30:00Z"}},
	{"0 9 1 * *", "Pacific/Kiritimati", "2026-03-01T00:00:00Z", {"2026-03-31T19:00:00Z"}},
	{"0 9 * * *",
	 "Europe/Berlin",
	 "2026-03-28T00:00:00Z",
	 {"2026-03-28T08:00:00Z", "2026-03-29T07:00:00Z"}},
	/* On 29 March 2026 in Berlin the clock goes from 2:00 to 3:00: a time that is skipped comes
	 * once. */
	{"30 2 * * *",
	 "Europe/Berlin",
	 "2026-03-27T12:00:00Z",
	 {"2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"}},
	{"*/10 2 * * *",
	 "Europe/Berlin",
	 "2026-03-28T01:45:00Z",
	 {"2026-03-28T01:50:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"}},
	{"0,30 2,3 * * *",
	 "Europe/Berlin",
	 "2026-03-29T00:00:00Z",
	 {"2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:00:00Z"}},
	{"30 * * * *",
	 "Europe/Berlin",
	 "2026-03-29T00:00:00Z",
	 {"2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"}},
	/* On 25 October 2026 in Berlin the clock goes from 3:00 back to 2:00. */
	{"30 2 * * *",
	 "Europe/Berlin",
	 "2026-10-24T12:00:00Z",
	 {"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
	{"0,30 2,3 * * *",
	 "Europe/Berlin",
	 "2026-10-25T00:00:00Z",
	 {"2026-10-25T00:30:00Z", "2026-10-25T02:00:00Z", "2026-10-25T02:30:00Z"}},
	{"*/30 * * * *",
	 "Europe/Berlin",
	 "2026-10-25T00:00:00Z",
	 {"2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z",
	  "2026-10-25T02:00:00Z"}},
	/* A zone that changes by half an hour, and one of the southern hemisphere. */
	{"15 2 * * *",
	 "Australia/Lord_Howe",
	 "2026-10-02T16:00:00Z",
	 {"2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"}},
	/* Samoa had no 30 December 2011. */
	{"0 12 30 12 *",
	 "Pacific/Apia",
	 "2011-12-29T00:00:00Z",
	 {"2011-12-30T10:00:00Z", "2012-12-29T22:00:00Z"}},
	/* A time after the zone file's table is computed by the rule at the file's end. */
	{"30 2 * * *",
	 "America/New_York",
	 "2099-03-07T12:00:00Z",
	 {"2099-03-08T07:00:00Z", "2099-03-09T06:30:00Z"}},
};

static void test_next(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		uint64_t t = at(times[i].after);
		struct err e = {0};
		struct zone *z = NULL;
		struct cron c;

		if (cron_parse(times[i].line, &c, &e) < 0 || zone_load(times[i].zone, &z, &e) < 0)
			fail_msg("%s: %s", times[i].line, e.msg);
		for (size_t k = 0; times[i].next[k]; k++) {
			char buf[TIMEFMT_MAX];

			t = cron_next(&c, z, t);
			if (strcmp(timefmt_print(t, buf), times[i].next[k]) != 0)
				fail_msg("%s %s: %s, not %s", times[i].line, times[i].zone, buf,
					 times[i].next[k]);
		}
		zone_free(z);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *line, *error;
	} cases[] = {
		{"", "cron: 0 fields, where 5 are needed (minute, hour, "},
		{"*", "cron: 1 field, where 5"},
		{"* * * *", "cron: 4 fields, where 5"},
		{"* * * * * * *", "cron: 7 fields"},
		{"60 * * * *", "cron: minute: character 1: is more than 59"},
		{"* 24 * * *", "cron: hour: character 3: is more than 23"},
		{"* * 0 * *", "cron: day of the month: character 5: is less than 1"},
		{"* * 1,32 * *", "cron: day of the month: character 7: is more than 31"},
		{"* * * 13 *", "cron: month: character 7: is more than 12"},
		{"* * * * 8", "cron: day of the week: character 9: is more than 7"},
		{"60 * * * * *", "cron: second: character 1: is more than 59"},
		{"99999999999999999999 * * * *", "cron: minute: character 1: is more than 59"},
		{"x * * * *", "cron: minute: character 1: 'x' is not possible here"},
		{"1x * * * *", "cron: minute: character 2: 'x' is not possible here"},
		{"*x * * * *", "cron: minute: character 2: 'x' is not possible here"},
		{"1, * * * *", "cron: minute: character 3: a number or * is missing"},
		{"1- * * * *", "cron: minute: character 3: a number or * is missing"},
		{"*/ * * * *", "cron: minute: character 3: a number or * is missing"},
		{",1 * * * *", "cron: minute: character 1: ',' is not possible here"},
		{"-1 * * * *", "cron: minute: character 1: '-' is not possible here"},
		{"5-1 * * * *", "cron: minute: character 1: the range ends before it starts"},
		{"*/0 * * * *", "cron: minute: character 3: a step must be at least 1"},
		{"*/61 * * * *", "cron: minute: character 3: is more than 60"},
		{"5/10 * * * *", "cron: minute: character 2: a step needs a range or * before it"},
		{"*/2/3 * * * *", "cron: minute: character 4: '/' is not possible here"},
		{"jan * * * *", "cron: minute: character 1: 'j' is not possible here"},
		{"* * * mon *", "cron: month: character 7: 'm' is not possible here"},
		{"* * * * monday", "cron: day of the week: character 12: 'd' is not possible"},
		{"* * L * *", "cron: day of the month: character 5: 'L' is not possible here"},
		{"* * * * 5#2", "'#' is not possible here"},
		{"\xc3\xa9 * * * *", "cron: minute: character 1: \\xc3 is not possible here"},
		{"*\n * * * *", "cron: minute: character 2: \\x0a is not possible here"},
		{"@reboot", "cron: character 1: after @ there must be one of hourly, daily"},
		{"@daily x", "cron: character 1: after @"},
		{"@", "cron: character 1: after @"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = {0};
		struct cron c;

		assert_int_equal(cron_parse(cases[i].line, &c, &e), -EINVAL);
		assert_int_equal(e.code, ERR_INPUT);
		if (strncmp(e.msg, cases[i].error, strlen(cases[i].error)) != 0 &&
		    (cases[i].error[0] == 'c' || !strstr(e.msg, cases[i].error)))
			fail_msg("\"%s\": %s", cases[i].line, e.msg);
	}
}

/* The fields' bits are set here by hand, because the parser of the line is itself under test. */
struct plain {
	const char *line;
	int minutes[4], hours[4], days[4], weekdays[4]; /* -1 ends; none: all */
	bool either;
};

static bool in(const int *list, int v)
{
	if (list[0] < 0)
		return true;
	for (int i = 0; i < 4 && list[i] >= 0; i++)
		if (list[i] == v)
			return true;
	return false;
}

static bool matches(const struct plain *p, const struct tm *tm)
{
	bool day = in(p->days, tm->tm_mday), weekday = in(p->weekdays, tm->tm_wday);

	return in(p->minutes, tm->tm_min) && in(p->hours, tm->tm_hour) &&
	       (p->either ? day || weekday : day && weekday);
}

/* Finds the next time by asking the C library's clock for each minute. */
struct brute {
	int64_t latest; /* the latest minute that a clock there has shown */
};

static bool brute_fires(struct brute *b, const struct plain *p, time_t t)
{
	bool hit = false;
	int64_t shown;
	struct tm tm;

	(void)localtime_r(&t, &tm);
	shown = (t + tm.tm_gmtoff) / 60;
	if (p->hours[0] < 0)
		return matches(p, &tm);
	if (b->latest && shown > b->latest + 1) {
		for (int64_t m = b->latest + 1; m < shown; m++) {
			time_t skipped = m * 60;
			struct tm was;

			(void)gmtime_r(&skipped, &was);
			hit = hit || matches(p, &was);
		}
	}
	if (shown > b->latest) {
		hit = hit || matches(p, &tm);
		b->latest = shown;
	}
	return hit;
}

static void test_as_by_hand(void **state)
{
	static const struct plain lines[] = {
		{"*/15 * * * *", {0, 15, 30, 45}, {-1}, {-1}, {-1}, false},
		{"30 2 * * *", {30, -1}, {2, -1}, {-1}, {-1}, false},
		{"0,59 1-3 * * *", {0, 59, -1}, {1, 2, 3, -1}, {-1}, {-1}, false},
		{"* 1,2 * * 0", {-1}, {1, 2, -1}, {-1}, {0, -1}, false},
		{"7 0 1,15 * 3,6", {7, -1}, {0, -1}, {1, 15, -1}, {3, 6, -1}, true},
	};
	static const char *const zones[] = {"Europe/Berlin", "America/New_York",
					    "Australia/Lord_Howe", "America/Havana"};
	const time_t from = 1767225600, until = from + 366LL * 86400; /* 2026 */

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(lines) * ARRAY_SIZE(zones); k++) {
		const struct plain *p = &lines[k / ARRAY_SIZE(zones)];
		const char *name = zones[k % ARRAY_SIZE(zones)];
		uint64_t next = (uint64_t)(from - 1) * NS;
		struct brute brute = {0};
		struct err e = {0};
		unsigned n = 0;
		struct zone *z;
		struct cron c;

		assert_int_equal(setenv("TZ", name, 1), 0);
		tzset();
		assert_int_equal(cron_parse(p->line, &c, &e), 0);
		assert_int_equal(zone_load(name, &z, &e), 0);
		next = cron_next(&c, z, next);
		for (time_t t = from - 7200; t < until; t += 60) {
			bool fires = brute_fires(&brute, p, t);

			if (t < from)
				continue;
			if (fires != (next == (uint64_t)t * NS))
				fail_msg("%s in %s at %lld: %d", p->line, name, (long long)t,
					 fires);
			if (!fires)
				continue;
			next = cron_next(&c, z, next);
			n++;
		}
		assert_true(n > 50);
		zone_free(z);
	}
}

/* From any moment between two due times the next one is the same. */
static void test_between(void **state)
{
	struct err e = {0};
	struct cron c;
	struct zone *z;
	uint64_t t = at("2026-01-01"), next;

	(void)state;
	assert_int_equal(cron_parse("13 7,23 1-20/3 * sun", &c, &e), 0);
	assert_int_equal(zone_load("Europe/Berlin", &z, &e), 0);
	for (unsigned i = 0; i < 300; i++, t = next) {
		next = cron_next(&c, z, t);
		assert_true(next > t);
		for (uint64_t m = t; m < next; m += (next - t) / 7 + 1)
			assert_int_equal(cron_next(&c, z, m), next);
		assert_int_equal(cron_next(&c, z, next - 1), next);
	}
	zone_free(z);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_as_by_hand),
		cmocka_unit_test(test_between),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
