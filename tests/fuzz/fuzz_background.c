// SPDX-License-Identifier: Apache-2.0
/* Records of what a background worker says to the front. First byte: of which kind. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "wire/background.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool so)
{
	if (!so)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct background_put put;
	struct background_ended ended;
	const uint8_t *body = data + 1;
	size_t at = 0, before = 0;
	uint32_t attempt;
	uint64_t id;
	int r = 1;

	if (size < 1)
		return 0;
	size--;
	while (r > 0) {
		before = at;
		if (data[0] % 3 == 0) {
			r = background_read_put(body, size, &at, &put);
			need(r <= 0 || (put.kind < BACKGROUND_KINDS && isfinite(put.rank) &&
					put.len <= BACKGROUND_ITEM_MAX &&
					(put.len == 0 || put.bytes + put.len == body + at)));
		} else if (data[0] % 3 == 1) {
			r = background_read_ended(body, size, &at, &ended);
			need(r <= 0 || (ended.end < BACKGROUND_ENDS &&
					ended.text_len <= BACKGROUND_ERROR_MAX &&
					(const uint8_t *)ended.text + ended.text_len == body + at));
		} else {
			r = background_read_held(body, size, &at, &id, &attempt);
		}
		need(r > 0 ? at > before && at <= size : at == before);
	}
	need(r < 0 || at >= size);
	return 0;
}
