// SPDX-License-Identifier: Apache-2.0
/* tzdata's files: whatever is accepted, its spans cover all times without a hole. */
#include "lib/cron.h"

#define YEAR (366LL * 86400)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct zone_span s, next;
	struct err e = {0};
	struct cron c;
	struct zone *z;

	if (zone_parse("x", data, size, &z, &e) < 0) {
		if (z || e.code != ERR_INPUT)
			abort();
		return 0;
	}
	zone_span_at(z, 0, &s);
	for (unsigned i = 0; i < 300 && s.until < 400 * YEAR; i++, s = next) {
		if (s.until <= s.from)
			abort();
		zone_span_at(z, s.until, &next);
		if (next.from != s.until || next.until <= next.from)
			abort();
	}
	if (cron_parse("30 2 * * *", &c, &e) < 0)
		abort();
	for (uint64_t t = 1; t < 200 * YEAR * 1000000000; t += 9 * YEAR * 1000000000) {
		uint64_t at = cron_next(&c, z, t);

		if (at && at <= t)
			abort();
	}
	zone_free(z);
	return 0;
}
