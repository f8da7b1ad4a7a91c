// SPDX-License-Identifier: Apache-2.0
/* Times as clients write them: what is accepted is printed so that it is read as the same. */
#include <string.h>

#include "lib/timefmt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size), buf[TIMEFMT_MAX];
	uint64_t ns, again;
	struct err e = {0};

	if (!text)
		return 0;
	if (timefmt_parse("t", text, &ns, &e) == 0) {
		ns -= ns % 1000000;
		if (timefmt_parse("t", timefmt_print(ns, buf), &again, &e) < 0 || again != ns)
			abort();
	} else if (e.code != ERR_INPUT || strncmp(e.msg, "t: \"", 4) != 0) {
		abort();
	}
	free(text);
	return 0;
}
