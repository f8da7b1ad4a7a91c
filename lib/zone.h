/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time zones, read from tzdata's files (RFC 8536) and the rule at a file's end. This process's TZ
 * is not used, because each schedule has a zone of its own.
 */
#ifndef LIB_ZONE_H
#define LIB_ZONE_H

#include "lib/util.h"

#define ZONE_NAME_MAX 63
#define ZONE_FILE_MAX (64u << 10)
#define ZONE_FOLDER "/usr/share/zoneinfo"

struct zone;

/* A span of time in which a zone's clocks had one offset. Times are s since 1970; until is the
 * first time behind the span. */
struct zone_span {
	int64_t from, until; /* INT64_MIN, INT64_MAX: no bound */
	int32_t offset;	     /* s east of UTC */
	/* the offset before the span; the same as offset when from is not a bound */
	int32_t before;
};

/* Reads a file's bytes. ERR_INPUT: they are not a zone; files of right/, which count leap seconds,
 * are refused. */
int zone_parse(const char *name, const void *bytes, size_t len, struct zone **ret, struct err *e);
/* Loads the zone of that name; *ret is NULL for "" and "UTC", which need no file. ERR_INPUT: there
 * is no such name. */
int zone_load(const char *name, struct zone **ret, struct err *e);
void zone_free(struct zone *z);
/* The span that t is in; t is s since 1970, up to the year 10000. z NULL: UTC. */
void zone_span_at(const struct zone *z, int64_t t, struct zone_span *ret);

/* The TZ string of POSIX at the end of a file, for all times behind the file's
 * table. */
struct zone_day {
	char kind; /* 'M'; 'J' 1 to 365 without 29 February; '0' 0 to 365 with it */
	unsigned month, week, day;
	int32_t time_s; /* s into the day, by the offset before the change */
};
struct zone_rule {
	int32_t offset, dst_offset; /* s east of UTC */
	bool has_dst;
	struct zone_day start, end; /* of daylight saving time */
};
/* Reads len bytes, without a NUL; false: they are not such a string. */
bool zone_rule_parse(const char *text, size_t len, struct zone_rule *ret);
/* When daylight saving time starts and ends in a year (of UTC, give or take hours); the rule has it
 * (has_dst). */
void zone_rule_year(const struct zone_rule *rule, int64_t year, int64_t *ret_start,
		    int64_t *ret_end);

#endif
