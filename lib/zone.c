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
#define TIME_MAX (1LL << 59) /* the big bang, in some files */
#define OFFSET_MIN (-89999)  /* RFC 8536: from -24:59:59 */
#define OFFSET_MAX 93599     /* to 25:59:59 */
#define AROUND 2	     /* years before and after that the rule's changes are looked at */

struct zone {
	unsigned n;	 /* changes of the table */
	int64_t *times;	 /* when, ascending */
	int32_t *offset; /* since then */
	int32_t first;	 /* the offset before all of them */
	bool has_rule;
	struct zone_rule rule;
};

/* The counts of a header, in the order of the file. */
struct head {
	uint32_t utc, std, leap, times, types, chars;
};

/* What of the file is left. */
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
		return "is no time zone's";
	*ret_version = p[4];
	*ret = (struct head){be32(p + 20), be32(p + 24), be32(p + 28),
			     be32(p + 32), be32(p + 36), be32(p + 40)};
	if (ret->times > TIMES_MAX || ret->types < 1 || ret->types > TYPES_MAX ||
	    ret->chars > ZONE_FILE_MAX || ret->leap > TIMES_MAX || ret->utc > TYPES_MAX ||
	    ret->std > TYPES_MAX)
		return "has counts that no time zone has";
	return NULL;
}

static size_t body_len(const struct head *h, size_t size)
{
	return (size_t)h->times * (size + 1) + (size_t)h->types * 6 + h->chars +
	       (size_t)h->leap * (size + 4) + h->std + h->utc;
}

/* size: of a time, 4 in the first version and 8 since. */
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

/* "\nRULE\n"; an empty one says nothing. */
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
	return z->has_rule ? NULL : "ends with a rule that is none";
}

static const char *read_file(struct zone *z, struct input *in)
{
	const char *wrong;
	struct head h;
	uint8_t version;

	wrong = read_head(in, &h, &version);
	if (wrong || version == 0)
		return wrong ? wrong : read_body(z, in, &h, 4);
	/* All of it comes again with times of 64 bits. */
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

/* No '.', so no way up; no empty part, so no absolute path. */
static bool is_zone_name(const char *name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789_+-/";
	size_t len = strlen(name);

	return len > 0 && len <= ZONE_NAME_MAX && strspn(name, allowed) == len && name[0] != '/' &&
	       name[len - 1] != '/' && !strstr(name, "//");
}

/* A file of the system's; tzdata has links in it. The name has been checked. */
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
		return -ENOENT; /* "Europe" */
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
	(void)json_strict_escape(name, shown, sizeof(shown));
	if (!is_zone_name(name))
		return err_set(e, ERR_INPUT, 0,
			       "timezone: \"%s\" is no name of one: they are as Europe/Berlin",
			       shown);
	buf = malloc(ZONE_FILE_MAX);
	if (!buf)
		return err_set(e, ERR_SYSTEM, ENOMEM, "timezone");
	r = read_zone_file(name, buf, ZONE_FILE_MAX, &len);
	if (r == -ENOENT || r == -ENOTDIR)
		return err_set(e, ERR_INPUT, 0,
			       "timezone: there is no \"%s\" in " ZONE_FOLDER
			       ": names are as Europe/Berlin%s",
			       shown,
			       access(ZONE_FOLDER, F_OK) < 0 ? "; install tzdata on the node" : "");
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "timezone: cannot read " ZONE_FOLDER "/%s", name);
	return zone_parse(name, buf, len, ret, e);
}

/* The last change of a sorted list that is at or before t; -1: none. */
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

/* Changes of the rule after the table's last one, in the years around t. */
static unsigned rule_changes(const struct zone *z, int64_t t, int64_t *times, int32_t *offsets)
{
	const struct zone_rule *rule = &z->rule;
	int64_t table_end = z->n ? z->times[z->n - 1] : INT64_MIN, year;
	unsigned month, day, n = 0;

	timefmt_date(t / 86400, &year, &month, &day);
	for (int64_t y = year - AROUND; y <= year + AROUND; y++) {
		int64_t at[2];
		unsigned first;

		zone_rule_year(rule, y, &at[0], &at[1]);
		first = at[0] > at[1];
		for (unsigned i = 0; i < 2; i++) {
			unsigned which = first ^ i; /* 0: DST starts */

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

	/* ret is the table's last span. */
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
