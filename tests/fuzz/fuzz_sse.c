// SPDX-License-Identifier: Apache-2.0
/* A stream of events: whole, and in pieces as the first byte says; both must be the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int count(void *arg, const char *event, const char *id, const char *data, size_t len)
{
	uint64_t *sum = arg;

	if (data[len] != '\0' || !*event)
		abort();
	*sum = *sum * 31 + len + strlen(id) + (unsigned char)*event;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sse whole = {0}, parts = {0};
	uint64_t a = 0, b = 0;
	size_t piece;
	int r, q = 0;

	if (size < 1)
		return 0;
	piece = 1 + data[0] % 16;
	data++;
	size--;
	r = sse_feed(&whole, (const char *)data, size, count, &a);
	for (size_t at = 0; at < size && q == 0; at += piece)
		q = sse_feed(&parts, (const char *)data + at, size - at < piece ? size - at : piece,
			     count, &b);
	if (r != q || a != b)
		abort();
	sse_clear(&whole);
	sse_clear(&parts);
	return 0;
}
