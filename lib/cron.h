/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines as in crontab(5): minute, hour, day of the month, month, day of the week; with six
 * fields the first is the second. Each is *, a number, a range a-b, or a list of those by commas;
 * with /n after * or a range every n-th. Months and days have names too (jan, mon); 0 and 7 are
 * Sunday. When neither of the days' fields starts with *, either of them is enough. Or one of
 * @hourly @daily @midnight @weekly @monthly @yearly @annually.
 *
 * When clocks are put forward, the times that are skipped come once, right after the change;
 * when they are put back, a time that comes twice counts once, the first time. A line that is
 * for every hour follows the time that passes instead: it neither makes up nor leaves out.
 */
#ifndef LIB_CRON_H
#define LIB_CRON_H

#include "lib/zone.h"

#define CRON_YEARS_MAX 8 /* two 29 February can be so far apart */

struct cron {
	uint64_t second, minute; /* bit n: the value n is meant */
	uint32_t hour, day;
	uint16_t month; /* bits 1 to 12 */
	uint8_t weekday;
	bool any_day, any_weekday; /* the field begins with * */
};

/* Reads a line. ERR_INPUT names the field, the character, and what may be there. */
int cron_parse(const char *text, struct cron *ret, struct err *e);
/* The first time, in ns since 1970, that is later than after_ns; 0: there is none within
 * CRON_YEARS_MAX years. */
uint64_t cron_next(const struct cron *c, const struct zone *z, uint64_t after_ns);

#endif
