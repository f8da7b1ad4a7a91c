// SPDX-License-Identifier: Apache-2.0
/* .dotcloudignore: a path, a NUL, and the file's text. Asking twice answers the same. */
#include <limits.h>
#include <string.h>

#include "spec/push_ignore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, '\0', size);
	struct push_ignore *i;
	struct err e = {0};
	size_t len;
	char *text;

	if (!end || end == data || end - data >= PATH_MAX)
		return 0;
	len = size - (size_t)(end + 1 - data);
	i = calloc(1, sizeof(*i));
	text = malloc(len + 1);
	if (!i || !text)
		abort();
	memcpy(text, end + 1, len);
	text[len] = '\0';
	if (push_ignore_read("x", text, len, i, &e) == 0) {
		const bool has = push_ignore_has(i, (const char *)data, false);

		if (has != push_ignore_has(i, (const char *)data, false))
			abort();
		/* What stays as a file stays as a folder. */
		if (has && i->n == 1 && !push_ignore_has(i, (const char *)data, true))
			abort();
	} else if (e.code != ERR_INPUT && e.code != ERR_LIMIT) {
		abort();
	}
	push_ignore_clear(i);
	free(i);
	return 0;
}
