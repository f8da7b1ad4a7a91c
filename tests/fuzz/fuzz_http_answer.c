// SPDX-License-Identifier: Apache-2.0
/* What the edge answers when a worker has asked another one. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/http_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool so)
{
	if (!so)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_answer a;
	char *text = malloc(size + 1); /* exactly, so that a read beyond the end is found */

	memcpy(text, data, size);
	if (size && http_answer_read(text, size, data[0] % 2, &a) == 0) {
		need(a.status >= 200 && a.status <= 599 && a.n <= HTTP_ANSWER_FIELDS_MAX);
		need(a.body >= text && a.body + a.body_len <= text + size);
		for (size_t i = 0; i < a.n; i++)
			need(a.fields[i].name_len > 0 && a.fields[i].name >= text &&
			     a.fields[i].value + a.fields[i].value_len <= text + size);
	}
	free(text);
	return 0;
}
