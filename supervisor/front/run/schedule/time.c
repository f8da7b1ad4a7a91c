// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/run/schedule/internal.h"

int schedule_read(struct schedule *s, struct err *e)
{
	struct zone *zone = NULL;
	int r;

	if (*s->spec.cron) {
		r = cron_parse(s->spec.cron, &s->line, e);
		if (r == 0)
			r = zone_load(s->spec.zone, &zone, e);
		if (r < 0)
			return r;
	}
	zone_free(s->zone);
	s->zone = zone;
	s->read = true;
	return 0;
}

uint64_t schedule_time_after(const struct schedule *s, uint64_t after_ns)
{
	const struct schedule_spec *spec = &s->spec;
	const uint64_t base = spec->start_ns ? spec->start_ns : s->created_ns;
	const uint64_t every = spec->run_every_s * SEC;
	uint64_t t = 0;

	if (*spec->cron)
		t = cron_next(&s->line, s->zone,
			      after_ns < spec->start_ns ? spec->start_ns - 1 : after_ns);
	else if (after_ns < base && s->run_count && every && !spec->start_ns)
		/* The clock was set back. */
		t = base - (base - after_ns - 1) / every * every;
	else if (after_ns < base)
		t = base;
	else if (every)
		t = base + ((after_ns - base) / every + 1) * every;
	return spec->end_ns && t > spec->end_ns ? 0 : t;
}

uint64_t schedule_time_first(const struct schedule *s, uint64_t now_ns)
{
	if (s->spec.run_times && s->run_count >= s->spec.run_times)
		return 0;
	/* Of a crontab line only later times count; a start_ns in the past means now. */
	return schedule_time_after(s, *s->spec.cron || s->run_count ? now_ns : 0);
}
