// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "lib/timefmt.h"
#include "lib/zone.h"

#define DAY 86400
#define RULE_HOURS_MAX 167 /* RFC 8536, version 3 */
#define OFFSET_HOURS_MAX 24

struct text {
	const char *p, *end;
};

static char peek(const struct text *t)
{
	return t->p < t->end ? *t->p : '\0';
}

static bool skip(struct text *t, char c)
{
	if (peek(t) != c)
		return false;
	t->p++;
	return true;
}

static bool number(struct text *t, unsigned min, unsigned max, unsigned *ret)
{
	unsigned v = 0, n = 0;

	for (; n < 3 && peek(t) >= '0' && peek(t) <= '9'; n++)
		v = v * 10 + (unsigned)(*t->p++ - '0');
	*ret = v;
	return n > 0 && v >= min && v <= max;
}

/* "CET", "<+0530>" */
static bool abbreviation(struct text *t)
{
	const char *from = t->p;

	if (skip(t, '<')) {
		while (peek(t) && peek(t) != '>')
			t->p++;
		return skip(t, '>');
	}
	while ((peek(t) >= 'a' && peek(t) <= 'z') || (peek(t) >= 'A' && peek(t) <= 'Z'))
		t->p++;
	return t->p - from >= 3;
}

/* [+-]h[:m[:s]] */
static bool seconds(struct text *t, unsigned hours_max, int32_t *ret)
{
	unsigned h, m = 0, s = 0;
	int sign = 1;

	if (skip(t, '-'))
		sign = -1;
	else
		(void)skip(t, '+');
	if (!number(t, 0, hours_max, &h))
		return false;
	if (skip(t, ':') && (!number(t, 0, 59, &m) || (skip(t, ':') && !number(t, 0, 59, &s))))
		return false;
	*ret = sign * (int32_t)(h * 3600 + m * 60 + s);
	return true;
}

/* Mm.w.d, Jn or n, then [/time] */
static bool day(struct text *t, struct zone_day *ret)
{
	*ret = (struct zone_day){.kind = '0', .time_s = 2 * 3600};
	if (skip(t, 'M')) {
		ret->kind = 'M';
		if (!number(t, 1, 12, &ret->month) || !skip(t, '.') ||
		    !number(t, 1, 5, &ret->week) || !skip(t, '.') || !number(t, 0, 6, &ret->day))
			return false;
	} else if (skip(t, 'J')) {
		ret->kind = 'J';
		if (!number(t, 1, 365, &ret->day))
			return false;
	} else if (!number(t, 0, 365, &ret->day)) {
		return false;
	}
	return !skip(t, '/') || seconds(t, RULE_HOURS_MAX, &ret->time_s);
}

bool zone_rule_parse(const char *text, size_t len, struct zone_rule *ret)
{
	struct text t = {text, text + len};

	*ret = (struct zone_rule){0};
	if (!abbreviation(&t) || !seconds(&t, OFFSET_HOURS_MAX, &ret->offset))
		return false;
	ret->offset = -ret->offset; /* POSIX counts to the west */
	if (t.p == t.end)
		return true;
	ret->has_dst = true;
	ret->dst_offset = ret->offset + 3600;
	if (!abbreviation(&t))
		return false;
	if (peek(&t) != ',') {
		if (!seconds(&t, OFFSET_HOURS_MAX, &ret->dst_offset))
			return false;
		ret->dst_offset = -ret->dst_offset;
	}
	/* Which days it is without rules is the system's choice: files have them. */
	return skip(&t, ',') && day(&t, &ret->start) && skip(&t, ',') && day(&t, &ret->end) &&
	       t.p == t.end;
}

static int64_t day_of(const struct zone_day *d, int64_t year)
{
	int64_t first = timefmt_days(year, 1, 1);
	unsigned n;

	if (d->kind == '0')
		return first + d->day;
	if (d->kind == 'J') /* day 60 is the first of March, always */
		return first + d->day - 1 +
		       (d->day >= 60 && timefmt_month_days(year, 2) == 29 ? 1 : 0);
	first = timefmt_days(year, d->month, 1);
	n = (d->day + 7 - timefmt_weekday(first)) % 7 + (d->week - 1) * 7;
	/* Week 5 is the last one, which may be the fourth. */
	return first + n - (n >= timefmt_month_days(year, d->month) ? 7 : 0);
}

void zone_rule_year(const struct zone_rule *rule, int64_t year, int64_t *ret_start,
		    int64_t *ret_end)
{
	*ret_start = day_of(&rule->start, year) * DAY + rule->start.time_s - rule->offset;
	*ret_end = day_of(&rule->end, year) * DAY + rule->end.time_s - rule->dst_offset;
}
