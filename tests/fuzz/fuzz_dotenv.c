// SPDX-License-Identifier: Apache-2.0
/* Files of variables: names and values are texts, and what was read can be written and read again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"
#include "spec/dotenv.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static int check_same(void *arg, const char *name, const char *value)
{
	const char *const *pair = arg;

	if (strcmp(name, pair[0]) != 0 || strcmp(value, pair[1]) != 0)
		abort();
	return 1;
}

static int check(void *arg, const char *name, const char *value)
{
	const size_t len = strlen(name) + strlen(value) + 4;
	const char *pair[2] = {name, value};
	char *text;
	unsigned ignored;

	(void)arg;
	if (!*name || strpbrk(name, " \t\r\n=#'\"`") || !log_text_is_utf8(value, strlen(value)))
		abort();
	/* A value without marks is the same within some. */
	if (strpbrk(value, "'\\"))
		return 0;
	text = malloc(len + 1);
	if (!text)
		abort();
	(void)snprintf(text, len + 1, "%s='%s'", name, value);
	if (dotenv_parse(text, strlen(text), check_same, pair, &ignored) != 1)
		abort();
	free(text);
	return 0;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	unsigned ignored;

	if (size <= DOTENV_MAX)
		(void)dotenv_parse((const char *)data, size, check, NULL, &ignored);
	return 0;
}
