/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time zones, read from tzdata's files (RFC 8536) and the rule at their end, not by TZ of this
 * process: each schedule has its own.
 */
#ifndef LIB_ZONE_H
#define LIB_ZONE_H

#include "lib/util.h"

#define ZONE_NAME_MAX 63
#define ZONE_FILE_MAX (64u << 10)
#define ZONE_FOLDER "/usr/share/zoneinfo"

struct zone;

/* A time in which clocks there ran at one offset; s since 1970, until is not in it. */
struct zone_span {
	int64_t from, until; /* INT64_MIN, INT64_MAX: no bound */
	int32_t offset;	     /* s east of UTC */
	int32_t before;	     /* offset of what comes before; the same when from is no bound */
};

/* A file's bytes. ERR_INPUT when they are no zone; right/ ones, with leap seconds, are refused. */
int zone_parse(const char *name, const void *bytes, size_t len, struct zone **ret, struct err *e);
/* The zone of that name; NULL for "" and "UTC", which need no file. ERR_INPUT: no such name. */
int zone_load(const char *name, struct zone **ret, struct err *e);
void zone_free(struct zone *z);
/* What t is in: s since 1970, up to the year 10000. z: NULL is UTC. */
void zone_span_at(const struct zone *z, int64_t t, struct zone_span *ret);

/* zone_rule.c: the TZ string of POSIX at the end of a file, for all times after its table. */
struct zone_day {
	char kind; /* 'M'; 'J' 1 to 365 without 29 February; '0' 0 to 365 with it */
	unsigned month, week, day;
	int32_t time_s; /* of the day, in the offset before the change */
};
struct zone_rule {
	int32_t offset, dst_offset; /* s east of UTC */
	bool has_dst;
	struct zone_day start, end; /* of DST */
};
/* len bytes without NUL; false when they are none. */
bool zone_rule_parse(const char *text, size_t len, struct zone_rule *ret);
/* When DST starts and ends in a year (of UTC, but for some hours); rule.has_dst. */
void zone_rule_year(const struct zone_rule *rule, int64_t year, int64_t *ret_start,
		    int64_t *ret_end);

#endif
