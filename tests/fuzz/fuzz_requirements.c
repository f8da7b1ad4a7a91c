// SPDX-License-Identifier: Apache-2.0
/* Requirements files: what they name is text, in the order of their lines. */
#include <stdlib.h>
#include <string.h>

#include "spec/requirements_text.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* Each path is one text that is not empty, each line one of the file's, in their order. */
static int check(void *arg, enum requirements_kind kind, const char *path, unsigned line)
{
	unsigned *last = arg;

	if (!*path || line < *last || kind < REQUIREMENTS_FILE || kind > REQUIREMENTS_LINKS)
		abort();
	*last = line;
	return 0;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	unsigned last = 1;

	if (size <= REQUIREMENTS_MAX)
		(void)requirements_parse((const char *)data, size, check, &last);
	return 0;
}
