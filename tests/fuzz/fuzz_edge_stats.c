// SPDX-License-Identifier: Apache-2.0
/* Lines of what the edge has counted: whatever the bytes, numbers that are finite, or no line. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/front/edge/stats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *rest = NULL;
	struct edge_bounds bounds = {0};

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		struct edge_counts c;
		const char *key = NULL;
		const int r = edge_stats_line(line, &bounds, &key, &c);

		if (bounds.n > EDGE_BOUNDS_MAX || (r > 0 && (!key || !isfinite(c.seconds))))
			abort();
	}
	free(text);
	return 0;
}
