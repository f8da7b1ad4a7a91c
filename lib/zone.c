// SPDX-License-Identifier: Apache-2.0
#include "lib/zone.h"

#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/json_strict.h"
#include "lib/timefmt.h"

#define HEAD_LEN 44
#define TIMES_MAX 4096u
#define TYPES_MAX 256u
#define TIME_MAX (1LL << 59) /* some files begin with the big bang */
#define OFFSET_MIN (-89999)  /* RFC 8536: from -24:59:59 */
#define OFFSET_MAX 93599     /* to 25:59:59 */
/* how many years before and after are searched for changes by the rule */
#define RULE_HOURS_MAX 167 /* as RFC 8536 says for version 3 */
#define OFFSET_HOURS_MAX 24
#define AROUND 2

struct zone {
	unsigned n;	 /* how many changes the table has */
	int64_t *times;	 /* when they are, ascending */
	int32_t *offset; /* the offset from each of them on */
	int32_t first;	 /* the offset before all of them */
	bool has_rule;
	struct zone_rule rule;
};

/* The counts in a header, in the file's order. */
struct head {
	uint32_t utc, std, leap, times, types, chars;
};

/* What is left of the file. */
struct input {
	const uint8_t *p;
	size_t left;
};

static const uint8_t *take(struct input *in, size_t n)
{
	const uint8_t *p = in->p;

	if (n > in->left)
		return NULL;
	in->p += n;
	in->left -= n;
	return p;
}

static uint32_t be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static int64_t be_time(const uint8_t *p, size_t size)
{
	uint64_t v;

	if (size == 4)
		return (int32_t)be32(p);
	memcpy(&v, p, sizeof(v));
	return (int64_t)be64toh(v);
}

static const char *read_head(struct input *in, struct head *ret, uint8_t *ret_version)
{
	const uint8_t *p = take(in, HEAD_LEN);

	if (!p || memcmp(p, "TZif", 4) != 0)
		return "is not a time zone's";
	*ret_version = p[4];
	*ret = (struct head){be32(p + 20), be32(p + 24), be32(p + 28),
			     be32(p + 32), be32(p + 36), be32(p + 40)};
	if (ret->times > TIMES_MAX || ret->types < 1 || ret->types > TYPES_MAX ||
	    ret->chars > ZONE_FILE_MAX || ret->leap > TIMES_MAX || ret->utc > TYPES_MAX ||
	    ret->std > TYPES_MAX)
		return "has counts that a time zone cannot have";
	return NULL;
}

static size_t body_len(const struct head *h, size_t size)
{
	return (size_t)h->times * (size + 1) + (size_t)h->types * 6 + h->chars +
	       (size_t)h->leap * (size + 4) + h->std + h->utc;
}

/* size: the bytes of a time, 4 in version 1 of the format, else 8. */
static const char *read_body(struct zone *z, struct input *in, const struct head *h, size_t size)
{
	const uint8_t *times, *index, *types;
	int32_t offsets[TYPES_MAX];

	if (h->leap > 0)
		return "counts leap seconds, as clocks here do not";
	times = take(in, h->times * size);
	index = take(in, h->times);
	types = take(in, (size_t)h->types * 6);
	if (!times || !index || !types || !take(in, (size_t)h->chars + h->std + h->utc))
		return "is cut off";
	z->times = calloc(h->times + 1, sizeof(*z->times));
	z->offset = calloc(h->times + 1, sizeof(*z->offset));
	if (!z->times || !z->offset)
		return "does not fit into memory";
	for (uint32_t i = 0; i < h->types; i++) {
		offsets[i] = (int32_t)be32(types + (size_t)i * 6);
		if (offsets[i] < OFFSET_MIN || offsets[i] > OFFSET_MAX)
			return "has an offset of more than a day";
	}
	z->first = offsets[0];
	for (uint32_t i = 0; i < h->times; i++) {
		z->times[i] = be_time(times + i * size, size);
		if (index[i] >= h->types || z->times[i] < -TIME_MAX || z->times[i] > TIME_MAX ||
		    (i > 0 && z->times[i] <= z->times[i - 1]))
			return "has a table that is out of order";
		z->offset[i] = offsets[index[i]];
	}
	z->n = h->times;
	return NULL;
}

struct rule_text {
	const char *p, *end;
};

static char rule_peek(const struct rule_text *t)
{
	return t->p < t->end ? *t->p : '\0';
}

static bool rule_skip(struct rule_text *t, char c)
{
	if (rule_peek(t) != c)
		return false;
	t->p++;
	return true;
}

static bool rule_number(struct rule_text *t, unsigned min, unsigned max, unsigned *ret)
{
	unsigned v = 0, n = 0;

	for (; n < 3 && rule_peek(t) >= '0' && rule_peek(t) <= '9'; n++)
		v = v * 10 + (unsigned)(*t->p++ - '0');
	*ret = v;
	return n > 0 && v >= min && v <= max;
}

/* Reads "CET" or "<+0530>". */
static bool rule_abbreviation(struct rule_text *t)
{
	const char *from = t->p;

	if (rule_skip(t, '<')) {
		while (rule_peek(t) && rule_peek(t) != '>')
			t->p++;
		return rule_skip(t, '>');
	}
	while ((rule_peek(t) >= 'a' && rule_peek(t) <= 'z') ||
	       (rule_peek(t) >= 'A' && rule_peek(t) <= 'Z'))
		t->p++;
	return t->p - from >= 3;
}

/* Reads [+-]h[:m[:s]]. */
static bool rule_seconds(struct rule_text *t, unsigned hours_max, int32_t *ret)
{
	unsigned h, m = 0, s = 0;
	int sign = 1;

	if (rule_skip(t, '-'))
		sign = -1;
	else
		(void)rule_skip(t, '+');
	if (!rule_number(t, 0, hours_max, &h))
		return false;
	if (rule_skip(t, ':') &&
	    (!rule_number(t, 0, 59, &m) || (rule_skip(t, ':') && !rule_number(t, 0, 59, &s))))
		return false;
	*ret = sign * (int32_t)(h * 3600 + m * 60 + s);
	return true;
}

/* Reads Mm.w.d, Jn or n, and then [/time]. */
static bool rule_day(struct rule_text *t, struct zone_day *ret)
{
	*ret = (struct zone_day){.kind = '0', .time_s = 2 * 3600};
	if (rule_skip(t, 'M')) {
		ret->kind = 'M';
		if (!rule_number(t, 1, 12, &ret->month) || !rule_skip(t, '.') ||
		    !rule_number(t, 1, 5, &ret->week) || !rule_skip(t, '.') ||
		    !rule_number(t, 0, 6, &ret->day))
			return false;
	} else if (rule_skip(t, 'J')) {
		ret->kind = 'J';
		if (!rule_number(t, 1, 365, &ret->day))
			return false;
	} else if (!rule_number(t, 0, 365, &ret->day)) {
		return false;
	}
	return !rule_skip(t, '/') || rule_seconds(t, RULE_HOURS_MAX, &ret->time_s);
}

bool zone_rule_parse(const char *text, size_t len, struct zone_rule *ret)
{
	struct rule_text t = {text, text + len};

	*ret = (struct zone_rule){0};
	if (!rule_abbreviation(&t) || !rule_seconds(&t, OFFSET_HOURS_MAX, &ret->offset))
		return false;
	ret->offset = -ret->offset; /* POSIX counts offsets to the west */
	if (t.p == t.end)
		return true;
	ret->has_dst = true;
	ret->dst_offset = ret->offset + 3600;
	if (!rule_abbreviation(&t))
		return false;
	if (rule_peek(&t) != ',') {
		if (!rule_seconds(&t, OFFSET_HOURS_MAX, &ret->dst_offset))
			return false;
		ret->dst_offset = -ret->dst_offset;
	}
	/* POSIX leaves a rule without days to the system; tzdata's files always have them. */
	return rule_skip(&t, ',') && rule_day(&t, &ret->start) && rule_skip(&t, ',') &&
	       rule_day(&t, &ret->end) && t.p == t.end;
}

static int64_t day_of(const struct zone_day *d, int64_t year)
{
	int64_t first = timefmt_days(year, 1, 1);
	unsigned n;

	if (d->kind == '0')
		return first + d->day;
	if (d->kind == 'J') /* day 60 is the first of March in every year */
		return first + d->day - 1 +
		       (d->day >= 60 && timefmt_month_days(year, 2) == 29 ? 1 : 0);
	first = timefmt_days(year, d->month, 1);
	n = (d->day + 7 - timefmt_weekday(first)) % 7 + (d->week - 1) * 7;
	/* Week 5 is the last week, which may be the fourth. */
	return first + n - (n >= timefmt_month_days(year, d->month) ? 7 : 0);
}

void zone_rule_year(const struct zone_rule *rule, int64_t year, int64_t *ret_start,
		    int64_t *ret_end)
{
	*ret_start = day_of(&rule->start, year) * TIMEFMT_DAY + rule->start.time_s - rule->offset;
	*ret_end = day_of(&rule->end, year) * TIMEFMT_DAY + rule->end.time_s - rule->dst_offset;
}

/* Reads "\nRULE\n"; the rule may be empty. */
static const char *read_rule(struct zone *z, struct input *in)
{
	const uint8_t *end;

	if (in->left < 2 || *in->p != '\n')
		return "is cut off before its rule";
	(void)take(in, 1);
	end = memchr(in->p, '\n', in->left);
	if (!end)
		return "is cut off in its rule";
	if (end == in->p)
		return NULL;
	z->has_rule = zone_rule_parse((const char *)in->p, (size_t)(end - in->p), &z->rule);
	return z->has_rule ? NULL : "ends with a rule that cannot be read";
}

static const char *read_file(struct zone *z, struct input *in)
{
	const char *wrong;
	struct head h;
	uint8_t version;

	wrong = read_head(in, &h, &version);
	if (wrong || version == 0)
		return wrong ? wrong : read_body(z, in, &h, 4);
	/* The same comes again with times of 64 bits. */
	if (!take(in, body_len(&h, 4)))
		return "is cut off";
	wrong = read_head(in, &h, &version);
	if (!wrong)
		wrong = read_body(z, in, &h, 8);
	return wrong ? wrong : read_rule(z, in);
}

int zone_parse(const char *name, const void *bytes, size_t len, struct zone **ret, struct err *e)
{
	struct zone *z = calloc(1, sizeof(*z));
	struct input in = {bytes, len};
	const char *wrong;

	*ret = NULL;
	if (!z)
		return err_set(e, ERR_SYSTEM, ENOMEM, "timezone");
	wrong = len > ZONE_FILE_MAX ? "is too big" : read_file(z, &in);
	if (wrong) {
		zone_free(z);
		return err_set(e, ERR_INPUT, 0, "timezone: the file of \"%s\" %s", name, wrong);
	}
	*ret = z;
	return 0;
}

void zone_free(struct zone *z)
{
	if (!z)
		return;
	free(z->times);
	free(z->offset);
	free(z);
}

/* Without '.', so that the name leads nowhere up; without an empty part, so that it is not an
 * absolute path. */
static bool is_zone_name(const char *name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789_+-/";
	size_t len = strlen(name);

	return len > 0 && len <= ZONE_NAME_MAX && strspn(name, allowed) == len && name[0] != '/' &&
	       name[len - 1] != '/' && !strstr(name, "//");
}

/* Reads a file of the system's; tzdata has links in it, and they are followed. The name has been
 * checked. */
static int read_zone_file(const char *name, char *buf, size_t size, size_t *ret_len)
{
	char path[sizeof(ZONE_FOLDER) + ZONE_NAME_MAX + 2];
	_cleanup_fd_ int fd = -1;
	struct stat st;
	int r;

	(void)snprintf(path, sizeof(path), "%s/%s", ZONE_FOLDER, name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOENT; /* "Europe" is a folder */
	if (st.st_size < 0 || (uint64_t)st.st_size > size)
		return -EFBIG;
	r = util_read_all(fd, buf, (size_t)st.st_size);
	*ret_len = (size_t)st.st_size;
	return r;
}

int zone_load(const char *name, struct zone **ret, struct err *e)
{
	_cleanup_free_ char *buf = NULL;
	char shown[80];
	size_t len = 0;
	int r;

	*ret = NULL;
	if (!*name || strcmp(name, "UTC") == 0)
		return 0;
	(void)util_escape(name, shown, sizeof(shown));
	if (!is_zone_name(name))
		return err_set(
			e, ERR_INPUT, 0,
			"timezone: \"%s\" is not the name of a time zone, such as Europe/Berlin",
			shown);
	buf = malloc(ZONE_FILE_MAX);
	if (!buf)
		return err_set(e, ERR_SYSTEM, ENOMEM, "timezone");
	r = read_zone_file(name, buf, ZONE_FILE_MAX, &len);
	if (r == -ENOENT || r == -ENOTDIR)
		return err_set(e, ERR_INPUT, 0,
			       "timezone: there is no zone \"%s\" in " ZONE_FOLDER
			       "; names are like Europe/Berlin%s",
			       shown,
			       access(ZONE_FOLDER, F_OK) < 0 ? "; install tzdata on the node" : "");
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "timezone: cannot read " ZONE_FOLDER "/%s", name);
	return zone_parse(name, buf, len, ret, e);
}

/* The last change of a sorted list that is not later than t; -1: there is none. */
static int last_before(const int64_t *times, unsigned n, int64_t t)
{
	unsigned low = 0, high = n;

	while (low < high) {
		unsigned mid = low + (high - low) / 2;

		if (times[mid] <= t)
			low = mid + 1;
		else
			high = mid;
	}
	return (int)low - 1;
}

/* The changes by the rule in the years around t, behind the table's last one. */
static unsigned rule_changes(const struct zone *z, int64_t t, int64_t *times, int32_t *offsets)
{
	const struct zone_rule *rule = &z->rule;
	int64_t table_end = z->n ? z->times[z->n - 1] : INT64_MIN, year;
	unsigned month, day, n = 0;

	timefmt_date(t / TIMEFMT_DAY, &year, &month, &day);
	for (int64_t y = year - AROUND; y <= year + AROUND; y++) {
		int64_t at[2];
		unsigned first;

		zone_rule_year(rule, y, &at[0], &at[1]);
		first = at[0] > at[1];
		for (unsigned i = 0; i < 2; i++) {
			unsigned which = first ^ i; /* 0: daylight saving time starts */

			if (at[which] <= table_end || (n > 0 && at[which] < times[n - 1]))
				continue;
			times[n] = at[which];
			offsets[n++] = which == 0 ? rule->dst_offset : rule->offset;
		}
	}
	return n;
}

static void rule_span(const struct zone *z, int64_t t, struct zone_span *ret)
{
	int64_t times[2 * (2 * AROUND + 1)] = {0};
	int32_t offsets[2 * (2 * AROUND + 1)] = {0};
	unsigned n = rule_changes(z, t, times, offsets);
	int i = last_before(times, n, t);

	/* *ret is the last span of the table. */
	if (i >= 0) {
		ret->before = i > 0 ? offsets[i - 1] : ret->offset;
		ret->from = times[i];
		ret->offset = offsets[i];
	}
	ret->until = i + 1 < (int)n ? times[i + 1] : INT64_MAX;
}

void zone_span_at(const struct zone *z, int64_t t, struct zone_span *ret)
{
	int i;

	*ret = (struct zone_span){INT64_MIN, INT64_MAX, 0, 0};
	if (!z)
		return;
	i = last_before(z->times, z->n, t);
	ret->offset = i >= 0 ? z->offset[i] : z->first;
	ret->before = ret->offset;
	if (i >= 0) {
		ret->from = z->times[i];
		ret->before = i > 0 ? z->offset[i - 1] : z->first;
	}
	if (i + 1 < (int)z->n)
		ret->until = z->times[i + 1];
	else if (z->has_rule && z->rule.has_dst)
		rule_span(z, t, ret);
}
