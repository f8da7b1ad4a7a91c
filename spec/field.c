// SPDX-License-Identifier: Apache-2.0
#include "spec/field.h"

#include <string.h>

bool field_made_of(const char *s, const char *set, size_t max)
{
	size_t n = strlen(s);

	return n >= 1 && n <= max && strspn(s, set) == n;
}

bool field_is_python(const char *s)
{
	return strlen(s) <= 7 && s[0] >= '1' && s[0] <= '9' && s[1] == '.' &&
	       field_made_of(s + 2, FIELD_DIGITS, 5);
}

const char *field_string(struct json_strict *s, const char *key, size_t max, bool needed,
			 bool (*ok)(const char *), const char *must)
{
	const char *text = json_strict_string(s, key, max);

	if (text && ok && !ok(text)) {
		(void)json_strict_fail(s, key, "%s", must);
		return NULL;
	}
	if (!text && needed)
		(void)json_strict_fail(s, key, "is missing");
	return text;
}

uint32_t field_count(struct json_strict *s, const char *key, uint32_t min, uint32_t max,
		     uint32_t without)
{
	int64_t v;

	return json_strict_int(s, key, min, max, &v) ? (uint32_t)v : without;
}

const char *field_word(struct json_strict *s, const char *key, const char *const *words, size_t n,
		       const char *without)
{
	const char *text = json_strict_string(s, key, 64);

	if (!text)
		return without;
	for (size_t i = 0; i < n; i++)
		if (strcmp(text, words[i]) == 0)
			return text;
	(void)json_strict_fail(s, key, "is no word of %s's", key);
	return without;
}
