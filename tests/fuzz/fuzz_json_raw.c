// SPDX-License-Identifier: Apache-2.0
/* A value that is passed on as it stands: whatever is taken for JSON, jansson reads too, but for
 * what this is there for (numbers that fit no type, half a surrogate pair); and what it reads is
 * taken. */
#include <stdlib.h>
#include <string.h>

#include "lib/json_raw.h"
#include "lib/json_strict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_value(const char *text, size_t size)
{
	const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
	size_t at = 0;
	bool taken = json_raw_value(text, size, &at) == 0;
	json_error_t e;
	json_t *doc = json_loadb(text, taken ? at : size, flags, &e);

	if (at > size)
		__builtin_trap();
	if (taken && !doc && json_error_code(&e) != json_error_numeric_overflow &&
	    json_error_code(&e) != json_error_stack_overflow && !memmem(text, size, "\\u", 2))
		__builtin_trap();
	/* Only jansson reads deeper nesting, and takes a NUL for the end. */
	if (!taken && doc && size < JSON_RAW_DEPTH_MAX && !memchr(text, 0, size))
		__builtin_trap();
	json_decref(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const paths[][2] = {
		{"payload", NULL}, {"tasks[].payload", NULL}, {"task.payload", NULL}};
	/* In memory of exactly its length, so that a sanitizer sees a read of one byte more. */
	char *text = malloc(size ? size : 1);

	if (!text)
		abort();
	memcpy(text, data, size);
	check_value(text, size);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct err e = {0};
		json_t *doc = NULL;
		const char *raw;
		char *dump;
		size_t at = 0;

		if (json_raw_load("doc", text, size, 1u << 20, paths[i], i == 0, &doc, &e) < 0) {
			if (!*e.msg)
				__builtin_trap();
			continue;
		}
		raw = i ? NULL : json_string_value(json_object_get(doc, "payload"));
		/* The value is part of what was sent, and is JSON. */
		if (raw && (!memmem(text, size, raw, strlen(raw)) ||
			    json_raw_value(raw, strlen(raw), &at) < 0 || at != strlen(raw)))
			__builtin_trap();
		dump = json_is_object(doc) && i == 0 ? json_raw_dump(doc, "payload") : NULL;
		if (raw && (!dump || !memmem(dump, strlen(dump), raw, strlen(raw))))
			__builtin_trap();
		free(dump);
		json_decref(doc);
	}
	free(text);
	return 0;
}
