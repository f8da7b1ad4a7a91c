// SPDX-License-Identifier: Apache-2.0
/* A bytes literal: the same bytes, or the same error, in one piece and in two. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/front/core/package/unescape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct iron_unescape a = {0}, b = {0};
	char *whole = malloc(size + 1), *halves = malloc(size + 1);
	size_t n = 0, first = 0, second = 0, at;
	int r, s;

	if (size == 0 || !whole || !halves)
		goto out;
	at = data[0] % size;
	r = iron_unescape(&a, (const char *)data, size, whole, &n);
	s = iron_unescape(&b, (const char *)data, at, halves, &first);
	if (s == 0)
		s = iron_unescape(&b, (const char *)data + at, size - at, halves + first, &second);
	if (r != s || n != first + second || memcmp(whole, halves, n) != 0 || n > size ||
	    iron_unescape_end(&a) != iron_unescape_end(&b))
		abort();
out:
	free(whole);
	free(halves);
	return 0;
}
