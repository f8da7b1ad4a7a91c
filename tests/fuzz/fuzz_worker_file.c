// SPDX-License-Identifier: Apache-2.0
/* NAME.worker. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "spec/worker_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct worker_file w;
	struct err e = {0};

	if (worker_file_parse("w", (const char *)data, size, &w, &e) < 0) {
		if (e.code == ERR_NONE || e.msg[0] == '\0' || w.items)
			abort();
		return 0;
	}
	for (size_t i = 0; i < w.n_items; i++)
		if (!w.items[i].text || !*w.items[i].text || !w.items[i].dest ||
		    w.items[i].dest[0] == '/' || w.items[i].line < 1 || w.items[i].column < 1)
			if (w.items[i].kind != WORKER_ENV || !w.items[i].dest)
				abort();
	worker_file_clear(&w);
	return 0;
}
