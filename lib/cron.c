// SPDX-License-Identifier: Apache-2.0
#include "lib/cron.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/timefmt.h"

#define HOURS_ALL 0xffffffU
#define SUNDAY_TOO 7

enum { SECOND, MINUTE, HOUR, MONTH_DAY, MONTH, WEEKDAY, FIELDS };

static const char *const months[] = {"jan", "feb", "mar", "apr", "may", "jun",
				     "jul", "aug", "sep", "oct", "nov", "dec"};
static const char *const weekdays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

static const struct field {
	const char *name;
	unsigned min, max;
	const char *const *names; /* names of the values from min on */
	unsigned n_names;
} fields[FIELDS] = {
	[SECOND] = {"second", 0, 59, NULL, 0},
	[MINUTE] = {"minute", 0, 59, NULL, 0},
	[HOUR] = {"hour", 0, 23, NULL, 0},
	[MONTH_DAY] = {"day of the month", 1, 31, NULL, 0},
	[MONTH] = {"month", 1, 12, months, 12},
	[WEEKDAY] = {"day of the week", 0, SUNDAY_TOO, weekdays, 7},
};

static const struct {
	const char *name, *line;
} shorts[] = {
	{"@hourly", "0 * * * *"},   {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
	{"@weekly", "0 0 * * 0"},   {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
	{"@annually", "0 0 1 1 *"},
};

struct reader {
	const char *text, *p;
	const struct field *field;
	struct err *e;
};

static bool at_end(const struct reader *r)
{
	return *r->p == '\0' || *r->p == ' ' || *r->p == '\t';
}

/* Makes an error "cron: hour: character 3: what". */
static int fail(const struct reader *r, const char *at, const char *what)
{
	return err_set(r->e, ERR_INPUT, 0, "cron: %s: character %zu: %s", r->field->name,
		       (size_t)(at - r->text) + 1, what);
}

static int unexpected(const struct reader *r)
{
	unsigned char c = (unsigned char)*r->p;
	char what[64];

	if (at_end(r))
		return fail(r, r->p, "a number or * is missing");
	(void)snprintf(what, sizeof(what),
		       c > ' ' && c < 0x7f ? "'%c' is not possible here"
					   : "\\x%02x is not possible here",
		       c);
	return fail(r, r->p, what);
}

static int read_number(struct reader *r, unsigned max, unsigned *ret)
{
	const char *from = r->p;
	unsigned v = 0;
	char what[64];

	if (*r->p < '0' || *r->p > '9')
		return unexpected(r);
	for (; *r->p >= '0' && *r->p <= '9'; r->p++)
		v = v > 9999 ? v : v * 10 + (unsigned)(*r->p - '0');
	if (v > max || r->p - from > 4) {
		(void)snprintf(what, sizeof(what), "is more than %u", max);
		return fail(r, from, what);
	}
	*ret = v;
	return 0;
}

/* Reads a number of the field, or a name that stands for one. */
static int read_value(struct reader *r, unsigned *ret)
{
	const struct field *f = r->field;
	const char *from = r->p;
	char what[64];
	int n;

	for (unsigned i = 0; i < f->n_names; i++) {
		if (strncasecmp(r->p, f->names[i], 3) == 0) {
			r->p += 3;
			*ret = f->min + i;
			return 0;
		}
	}
	n = read_number(r, f->max, ret);
	if (n == 0 && *ret < f->min) {
		(void)snprintf(what, sizeof(what), "is less than %u", f->min);
		return fail(r, from, what);
	}
	return n;
}

/* Reads *, a, or a-b, with /n behind the first and the last of these. */
static int read_item(struct reader *r, uint64_t *bits)
{
	const struct field *f = r->field;
	unsigned low = f->min, high = f->max, step = 1;
	const char *from = r->p;
	bool range = true;
	int n = 0;

	if (*r->p == '*') {
		r->p++;
	} else {
		n = read_value(r, &low);
		high = low;
		range = n == 0 && *r->p == '-';
		if (range) {
			r->p++;
			n = read_value(r, &high);
		}
		if (n == 0 && f == &fields[WEEKDAY] && range && high == 0 && low > 0)
			high = SUNDAY_TOO; /* "fri-sun" */
		if (n == 0 && high < low)
			n = fail(r, from, "the range ends before it starts");
	}
	if (n < 0)
		return n;
	if (*r->p == '/') {
		if (!range)
			return fail(r, r->p, "a step needs a range or * before it");
		from = ++r->p;
		n = read_number(r, f->max + 1, &step);
		if (n == 0 && step == 0)
			n = fail(r, from, "a step must be at least 1");
	}
	for (unsigned v = low; n == 0 && v <= high; v += step)
		*bits |= 1ULL << v;
	return n;
}

static int read_field(struct reader *r, unsigned which, uint64_t *ret, bool *ret_any)
{
	int n;

	r->field = &fields[which];
	*ret = 0;
	*ret_any = *r->p == '*';
	for (;;) {
		n = read_item(r, ret);
		if (n < 0 || at_end(r))
			return n;
		if (*r->p != ',')
			return unexpected(r);
		r->p++;
	}
}

static void skip_space(struct reader *r)
{
	while (*r->p == ' ' || *r->p == '\t')
		r->p++;
}

static unsigned count_fields(const char *text)
{
	unsigned n = 0;

	for (;;) {
		text += strspn(text, " \t");
		if (!*text)
			return n;
		n++;
		text += strcspn(text, " \t");
	}
}

static int read_line(const char *text, struct cron *ret, struct err *e)
{
	struct reader r = {.text = text, .p = text, .e = e};
	unsigned n = count_fields(text);
	uint64_t bits[FIELDS] = {1};
	bool any[FIELDS] = {false};
	int k = 0;

	if (n != 5 && n != 6)
		return err_set(
			e, ERR_INPUT, 0,
			"cron: %u field%s, where 5 are needed (minute, hour, day of the month, "
			"month, day of the week), or 6 with the second first",
			n, n == 1 ? "" : "s");
	for (unsigned i = n == 6 ? SECOND : MINUTE; k == 0 && i < FIELDS; i++) {
		skip_space(&r);
		k = read_field(&r, i, &bits[i], &any[i]);
	}
	if (k < 0)
		return k;
	if (bits[WEEKDAY] >> SUNDAY_TOO)
		bits[WEEKDAY] |= 1;
	*ret = (struct cron){
		.second = bits[SECOND],
		.minute = bits[MINUTE],
		.hour = (uint32_t)bits[HOUR],
		.day = (uint32_t)bits[MONTH_DAY],
		.month = (uint16_t)bits[MONTH],
		.weekday = (uint8_t)(bits[WEEKDAY] & 0x7f),
		.any_day = any[MONTH_DAY],
		.any_weekday = any[WEEKDAY],
	};
	return 0;
}

int cron_parse(const char *text, struct cron *ret, struct err *e)
{
	size_t len;

	text += strspn(text, " \t");
	if (*text != '@')
		return read_line(text, ret, e);
	len = strcspn(text, " \t");
	for (size_t i = 0; i < ARRAY_SIZE(shorts); i++)
		if (strlen(shorts[i].name) == len && strncasecmp(text, shorts[i].name, len) == 0 &&
		    !text[len + strspn(text + len, " \t")])
			return read_line(shorts[i].line, ret, e);
	return err_set(e, ERR_INPUT, 0,
		       "cron: character 1: after @ there must be one of hourly, daily, midnight, "
		       "weekly, monthly, "
		       "yearly and annually, and nothing else");
}

static bool is_day(const struct cron *c, int64_t days)
{
	unsigned month, day;
	bool by_month, by_week;
	int64_t year;

	timefmt_date(days, &year, &month, &day);
	if (!(c->month >> month & 1))
		return false;
	by_month = c->day >> day & 1;
	by_week = c->weekday >> timefmt_weekday(days) & 1;
	if (c->any_day || c->any_weekday)
		return by_month && by_week;
	return by_month || by_week;
}

/* The first value that is from or more; -1: there is none. */
static int next_bit(uint64_t bits, unsigned from)
{
	bits = from < 64 ? bits >> from << from : 0;
	return bits ? __builtin_ctzll(bits) : -1;
}

/* The first time of the day that is s seconds into it or later; -1: there is none. */
static int64_t next_in_day(const struct cron *c, unsigned s)
{
	int h = next_bit(c->hour, s / 3600), m, sec;

	if (h < 0)
		return -1;
	if ((unsigned)h > s / 3600)
		s = (unsigned)h * 3600;
	sec = next_bit(c->second, s % 60);
	m = next_bit(c->minute, s / 60 % 60 + (sec < 0));
	if (m < 0) {
		h = next_bit(c->hour, (unsigned)h + 1);
		m = next_bit(c->minute, 0);
		sec = -1;
	} else if ((unsigned)m > s / 60 % 60) {
		sec = -1;
	}
	if (h < 0)
		return -1;
	if (sec < 0)
		sec = next_bit(c->second, 0);
	return (int64_t)h * 3600 + (int64_t)m * 60 + sec;
}

/* The first time from local on that the clock shows, in s; end: there is none before end. */
static int64_t next_local(const struct cron *c, int64_t local, int64_t end)
{
	int64_t days =
		local >= 0 ? local / TIMEFMT_DAY : -((TIMEFMT_DAY - 1 - local) / TIMEFMT_DAY);
	unsigned s = (unsigned)(local - days * TIMEFMT_DAY);

	for (; days * TIMEFMT_DAY < end; days++, s = 0) {
		int64_t in_day = is_day(c, days) ? next_in_day(c, s) : -1;

		if (in_day >= 0)
			return days * TIMEFMT_DAY + in_day < end ? days * TIMEFMT_DAY + in_day
								 : end;
	}
	return end;
}

uint64_t cron_next(const struct cron *c, const struct zone *z, uint64_t after_ns)
{
	const int64_t limit =
		(int64_t)(after_ns / SEC) + (CRON_YEARS_MAX * 366LL + 1) * TIMEFMT_DAY;
	const bool hourly = c->hour == HOURS_ALL;
	int64_t t = (int64_t)(after_ns / SEC) + 1;
	struct zone_span span;

	if (after_ns / SEC > (uint64_t)timefmt_days(TIMEFMT_YEAR_MAX + 1, 1, 1) * TIMEFMT_DAY)
		return 0;
	while (t < limit) {
		int64_t from, end, local;

		zone_span_at(z, t, &span);
		from = t + span.offset;
		end = (span.until < limit ? span.until : limit) + span.offset;
		if (!hourly && t == span.from && span.before < span.offset &&
		    next_local(c, t + span.before, from) < from)
			/* a time that the change of the clock has skipped */
			return (uint64_t)t * SEC;
		if (!hourly && span.before > span.offset && from < span.from + span.before)
			/* behind the times that the clock shows a second time */
			from = span.from + span.before;
		local = from < end ? next_local(c, from, end) : end;
		if (local < end)
			return (uint64_t)(local - span.offset) * SEC;
		t = span.until;
	}
	return 0;
}
