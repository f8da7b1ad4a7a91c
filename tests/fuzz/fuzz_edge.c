// SPDX-License-Identifier: Apache-2.0
/* The head of an answer of the edge's: whole, and cut off anywhere, which is never more. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/front/edge/edge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char id[EDGE_ID_LEN + 1], *exact = malloc(size ? size : 1);
	unsigned status = 0;
	int r;

	if (!exact)
		return 0;
	memcpy(exact, data, size);
	r = edge_answer_parse(exact, size, &status, id);
	if (r > (int)size || strlen(id) > EDGE_ID_LEN || (r > 0 && status > 999))
		abort();
	free(exact);
	return 0;
}
