// SPDX-License-Identifier: Apache-2.0
#include "lib/timefmt.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/json_strict.h"

#define EPOCH_DIGITS_MAX 10

/* A time that is being read, and where in the text its parts are. */
struct reading {
	const char *p;
	int64_t year;
	unsigned month, day, hour, minute, second;
	uint64_t ns;
	int offset_s; /* east of UTC */
};

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun",
					  "jul", "aug", "sep", "oct", "nov", "dec"};
static const char *const day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

static bool leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

unsigned timefmt_month_days(int64_t year, unsigned month)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (unsigned)(month == 2 && leap(year));
}

/* Days are counted from the first of March, so that leap days come last in a year: there are
 * 365.2425 days in a year on average. */
int64_t timefmt_days(int64_t year, unsigned month, unsigned day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400, in_era = y - era * 400;
	int64_t in_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

void timefmt_date(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
	int64_t d = days + 719468;
	int64_t era = (d >= 0 ? d : d - 146096) / 146097, in_era = d - era * 146097;
	int64_t y = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	int64_t in_year = in_era - (365 * y + y / 4 - y / 100), m = (5 * in_year + 2) / 153;

	*ret_day = (unsigned)(in_year - (153 * m + 2) / 5 + 1);
	*ret_month = (unsigned)(m < 10 ? m + 3 : m - 9);
	*ret_year = y + era * 400 + (*ret_month <= 2);
}

unsigned timefmt_weekday(int64_t days)
{
	/* 1970-01-01 was a Thursday. */
	return (unsigned)(((days + 4) % 7 + 7) % 7);
}

/* Reads a number of min to max digits. */
static bool number(struct reading *r, unsigned min, unsigned max, unsigned *ret)
{
	unsigned n = 0;

	*ret = 0;
	for (; n < max && *r->p >= '0' && *r->p <= '9'; n++)
		*ret = *ret * 10 + (unsigned)(*r->p++ - '0');
	return n >= min;
}

static bool skip(struct reading *r, char c)
{
	if (*r->p != c)
		return false;
	r->p++;
	return true;
}

static bool skip_spaces(struct reading *r)
{
	const char *from = r->p;

	while (*r->p == ' ')
		r->p++;
	return r->p > from;
}

/* Digits behind the ninth are less than a nanosecond and are skipped. */
static bool fraction(struct reading *r)
{
	uint64_t unit = SEC;

	if (!skip(r, '.') && !skip(r, ','))
		return true;
	if (*r->p < '0' || *r->p > '9')
		return false;
	for (; *r->p >= '0' && *r->p <= '9'; r->p++) {
		unit /= 10;
		r->ns += unit * (uint64_t)(*r->p - '0');
	}
	return true;
}

/* Reads hh:mm[:ss[.fraction]]. */
static bool clock_time(struct reading *r)
{
	if (!number(r, 2, 2, &r->hour) || !skip(r, ':') || !number(r, 2, 2, &r->minute))
		return false;
	if (skip(r, ':') && (!number(r, 2, 2, &r->second) || !fraction(r)))
		return false;
	return r->hour <= 23 && r->minute <= 59 && r->second <= 60;
}

/* Reads Z, UTC, GMT, +hh:mm, +hhmm, +hh, or nothing, which means UTC. */
static bool offset(struct reading *r)
{
	unsigned hours, minutes = 0;
	int sign;

	(void)skip_spaces(r);
	if (*r->p == '\0')
		return true;
	if (skip(r, 'Z') || skip(r, 'z'))
		return true;
	if (strncasecmp(r->p, "UTC", 3) == 0 || strncasecmp(r->p, "GMT", 3) == 0) {
		r->p += 3;
		return true;
	}
	sign = *r->p == '-' ? -1 : 1;
	if (!skip(r, '+') && !skip(r, '-'))
		return false;
	if (!number(r, 2, 2, &hours))
		return false;
	if (skip(r, ':') ? !number(r, 2, 2, &minutes)
			 : *r->p >= '0' && *r->p <= '9' && !number(r, 2, 2, &minutes))
		return false;
	r->offset_s = sign * (int)(hours * 3600 + minutes * 60);
	return hours <= 23 && minutes <= 59;
}

/* Reads yyyy-mm-dd[(T| )clock[offset]]. */
static bool read_iso(struct reading *r)
{
	unsigned year;

	if (!number(r, 4, 4, &year) || !skip(r, '-') || !number(r, 2, 2, &r->month) ||
	    !skip(r, '-') || !number(r, 2, 2, &r->day))
		return false;
	r->year = year;
	if (*r->p == '\0')
		return true;
	if (!skip(r, 'T') && !skip(r, 't') && !skip_spaces(r))
		return false;
	return clock_time(r) && offset(r);
}

static bool name(struct reading *r, const char *const names[], unsigned n, unsigned *ret)
{
	for (*ret = 0; *ret < n; (*ret)++) {
		if (strncasecmp(r->p, names[*ret], 3) == 0) {
			r->p += 3;
			return true;
		}
	}
	return false;
}

/* Reads [Sat, ]2 Nov 2013 clock offset; the day of the week is skipped, because the date tells
 * it. */
static bool read_mail(struct reading *r)
{
	unsigned year, weekday;

	if (name(r, day_names, ARRAY_SIZE(day_names), &weekday)) {
		(void)skip(r, ',');
		if (!skip_spaces(r))
			return false;
	}
	if (!number(r, 1, 2, &r->day) || !skip_spaces(r) ||
	    !name(r, month_names, ARRAY_SIZE(month_names), &r->month) || !skip_spaces(r) ||
	    !number(r, 4, 4, &year) || !skip_spaces(r))
		return false;
	r->year = year;
	r->month++;
	return clock_time(r) && offset(r);
}

static bool read_epoch(struct reading *r, uint64_t *ret_ns)
{
	uint64_t s = 0;
	unsigned n = 0;

	for (; n < EPOCH_DIGITS_MAX && *r->p >= '0' && *r->p <= '9'; n++)
		s = s * 10 + (uint64_t)(*r->p++ - '0');
	if (n == 0 || !fraction(r) || *r->p)
		return false;
	*ret_ns = s * SEC + r->ns;
	return true;
}

static int fail(const char *field, const char *text, const char *what, struct err *e)
{
	char shown[80];

	(void)util_escape(text, shown, sizeof(shown));
	return err_set(e, ERR_INPUT, 0, "%s: \"%s\" %s", field, shown, what);
}

static int fail_late(const char *field, const char *text, struct err *e)
{
	(void)fail(field, text, "is after the year 2199", e);
	return -ERANGE;
}

int timefmt_parse(const char *field, const char *text, uint64_t *ret_ns, struct err *e)
{
	struct reading r = {.p = text};
	int64_t s, in_day;

	*ret_ns = 0;
	if (strcmp(text, TIMEFMT_ZERO) == 0)
		return 0;
	if (read_epoch(&r, ret_ns))
		return *ret_ns / SEC < (uint64_t)timefmt_days(TIMEFMT_YEAR_MAX + 1, 1, 1) *
					       TIMEFMT_DAY
			       ? 0
			       : fail_late(field, text, e);
	r = (struct reading){.p = text};
	if (!read_iso(&r) || *r.p) {
		r = (struct reading){.p = text};
		if (!read_mail(&r) || *r.p)
			return fail(field, text,
				    "is not a time: write it as in 2013-11-02T21:22:34Z", e);
	}
	if (r.month < 1 || r.month > 12 || r.year < 1 || r.day < 1 ||
	    r.day > timefmt_month_days(r.year, r.month))
		return fail(field, text, "is not a day of the calendar", e);
	in_day = r.hour * 3600 + r.minute * 60 + r.second;
	s = timefmt_days(r.year, r.month, r.day) * TIMEFMT_DAY + in_day - r.offset_s;
	if (s >= timefmt_days(TIMEFMT_YEAR_MAX + 1, 1, 1) * TIMEFMT_DAY)
		return fail_late(field, text, e);
	if (s < 0)
		return fail(field, text, "is before the year 1970", e);
	*ret_ns = (uint64_t)s * SEC + r.ns;
	return 0;
}

const char *timefmt_print(uint64_t ns, char buf[TIMEFMT_MAX])
{
	uint64_t s = ns / SEC, ms = ns % SEC / MSEC;
	unsigned month, day, in_day = (unsigned)(s % TIMEFMT_DAY);
	char part[8] = "";
	int64_t year;

	if (ns == 0) {
		(void)snprintf(buf, TIMEFMT_MAX, "%s", TIMEFMT_ZERO);
		return buf;
	}
	timefmt_date((int64_t)(s / TIMEFMT_DAY), &year, &month, &day);
	if (ms)
		(void)snprintf(part, sizeof(part), ".%03u", (unsigned)ms);
	(void)snprintf(buf, TIMEFMT_MAX, "%04lld-%02u-%02uT%02u:%02u:%02u%sZ", (long long)year,
		       month, day, in_day / 3600, in_day / 60 % 60, in_day % 60, part);
	return buf;
}
