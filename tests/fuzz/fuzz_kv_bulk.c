// SPDX-License-Identifier: Apache-2.0
/* Many keys as JSON, with values and without. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/front/store/kv.h"
#include "supervisor/front/web/kv_bulk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct http_reader *reader, const char *text, size_t size)
{
	struct err e = {0};
	void *read = NULL;
	const struct kv_bulk *b;

	if (reader->read(text, size, true, &read, &e) < 0) {
		if (!e.code || read)
			abort();
		return;
	}
	b = read;
	for (size_t i = 0; i < b->n; i++)
		if (!*b->items[i].key || strlen(b->items[i].key) > KV_KEY_MAX ||
		    b->items[i].len > KV_VALUE_MAX)
			abort();
	reader->free(read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check(&kv_bulk_reader, (const char *)data, size);
	check(&kv_bulk_keys_reader, (const char *)data, size);
	return 0;
}
