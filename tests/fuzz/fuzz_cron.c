// SPDX-License-Identifier: Apache-2.0
/* Crontab lines: what is accepted has a next time that is later and stays the same. */
#include <string.h>

#include "lib/cron.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t after, next;
	struct err e = {0};
	struct cron c;
	char *text;

	if (size < sizeof(after))
		return 0;
	memcpy(&after, data, sizeof(after));
	after %= 6900000000000000000; /* what is after the year 2199 has no next time */
	text = strndup((const char *)data + sizeof(after), size - sizeof(after));
	if (!text)
		return 0;
	if (cron_parse(text, &c, &e) == 0) {
		next = cron_next(&c, NULL, after);
		if (next &&
		    (next <= after || next % 1000000000 || cron_next(&c, NULL, next - 1) != next))
			abort();
	} else if (e.code != ERR_INPUT || strncmp(e.msg, "cron: ", 6) != 0) {
		abort();
	}
	free(text);
	return 0;
}
