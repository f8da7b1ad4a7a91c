/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times as clients write and read them, and the calendar under them (proleptic Gregorian, UTC).
 */
#ifndef LIB_TIMEFMT_H
#define LIB_TIMEFMT_H

#include "lib/util.h"

#define TIMEFMT_DAY 86400 /* seconds */
#define TIMEFMT_MAX 32	  /* the bytes that timefmt_print needs */
#define TIMEFMT_ZERO "0001-01-01T00:00:00Z"
#define TIMEFMT_YEAR_MIN 1970
#define TIMEFMT_YEAR_MAX 2199

/*
 * Reads a time as nanoseconds since 1970. Forms: RFC 3339 ("2013-11-02T21:22:34.5-07:00", also with
 * a space in place of the T, without seconds, and without an offset, which means UTC), what Ruby
 * prints ("2013-11-02 21:22:34 -0700"), RFC 2822 ("Sat, 02 Nov 2013 21:22:34 +0000"), a date alone,
 * and seconds since 1970 ("1383427354.25"). TIMEFMT_ZERO is 0. field: names text in errors.
 * -ERANGE: the time is later than any that can be had here; else -EINVAL.
 */
int timefmt_parse(const char *field, const char *text, uint64_t *ret_ns, struct err *e);
/* Writes a time as RFC 3339 with Z, with milliseconds when there are some; 0 becomes TIMEFMT_ZERO.
 * Returns buf. */
const char *timefmt_print(uint64_t ns, char buf[TIMEFMT_MAX]);

/* Days since 1970-01-01 of a date that exists; and the reverse. */
int64_t timefmt_days(int64_t year, unsigned month, unsigned day);
void timefmt_date(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day);
unsigned timefmt_month_days(int64_t year, unsigned month);
/* The day of the week; 0 is Sunday. */
unsigned timefmt_weekday(int64_t days);

#endif
