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

/* The body in pieces of at most so many bytes, each alone in memory. Returns its length, or -1. */
static ssize_t read_body(const struct http_answer *a, bool bare, const uint8_t *data, size_t size,
			 size_t most, bool *ret_whole)
{
	struct http_body body;
	ssize_t total = 0;

	if (http_body_begin(a, bare, &body) < 0)
		return -1;
	while (size && !body.whole) {
		const size_t n = size < most ? size : most;
		char *text = malloc(n);
		size_t at, len;
		ssize_t took;

		memcpy(text, data, n);
		took = http_body_next(&body, text, n, &at, &len);
		free(text);
		if (took < 0)
			return -1;
		need(took > 0 && (size_t)took <= n && at + len <= (size_t)took);
		total += (ssize_t)len;
		data += took;
		size -= (size_t)took;
	}
	*ret_whole = body.whole;
	return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_answer a;
	char *text = malloc(size + 1); /* exactly, so that a read beyond the end is found */
	bool whole = false, whole_too = false;

	memcpy(text, data, size);
	if (size && http_answer_head(text, size, &a) == 0) {
		need(a.status >= 200 && a.status <= 599 && a.n <= HTTP_ANSWER_FIELDS_MAX);
		need(a.head_len <= size);
		for (size_t i = 0; i < a.n; i++)
			need(a.fields[i].name_len > 0 && a.fields[i].name >= text &&
			     a.fields[i].value + a.fields[i].value_len <= text + size);
		/* It is the same however it comes. */
		need(read_body(&a, data[0] % 2, data + a.head_len, size - a.head_len, size,
			       &whole) == read_body(&a, data[0] % 2, data + a.head_len,
						    size - a.head_len, 1, &whole_too));
		need(whole == whole_too);
	}
	free(text);
	return 0;
}
