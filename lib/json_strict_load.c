// SPDX-License-Identifier: Apache-2.0
/* From bytes to a document: what is refused before any field is looked at. */
#include "lib/json_strict.h"

#include <string.h>

char *json_strict_escape(const char *s, char *buf, size_t size)
{
	size_t n = 0;

	for (; *s && n + 5 < size; s++) {
		unsigned char c = (unsigned char)*s;

		if (c >= 0x20 && c < 0x7f) {
			buf[n++] = (char)c;
			continue;
		}
		buf[n++] = '\\';
		buf[n++] = 'x';
		util_hex(&c, 1, buf + n);
		n += 2;
	}
	buf[n] = '\0';
	return buf;
}

/* Line and column, both from 1, of the byte at offset. */
static void text_position(const char *text, size_t offset, size_t *ret_line, size_t *ret_column)
{
	size_t line = 1, start = 0;

	for (size_t i = 0; i < offset; i++) {
		if (text[i] != '\n')
			continue;
		line++;
		start = i + 1;
	}
	*ret_line = line;
	*ret_column = offset - start + 1;
}

/*
 * What jansson does not refuse early enough or at all: its own nesting bound is 2048
 * levels of recursion, and a NUL reads as its end of input.
 */
static int text_scan(const char *what, const char *text, size_t len, struct err *e)
{
	bool in_string = false;
	unsigned depth = 0;
	size_t values = 0, line, column;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '\0') {
			text_position(text, i, &line, &column);
			return err_set(e, ERR_INPUT, 0,
				       "%s: line %zu, column %zu: a NUL byte is not allowed", what,
				       line, column);
		}
		if (in_string) {
			/* The byte after a backslash cannot end the string; a NUL is seen above. */
			if (c == '\\' && i + 1 < len && text[i + 1] != '\0')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > JSON_STRICT_DEPTH_MAX) {
				text_position(text, i, &line, &column);
				return err_set(e, ERR_INPUT, 0,
					       "%s: line %zu, column %zu: nested deeper than %d "
					       "levels",
					       what, line, column, JSON_STRICT_DEPTH_MAX);
			}
		} else if ((c == '}' || c == ']') && depth > 0) {
			depth--;
		}
		/* Each but the first of an object or a list follows a comma. */
		values += !in_string && (c == ',' || c == '{' || c == '[');
	}
	if (values > JSON_STRICT_VALUES_MAX)
		return err_set(e, ERR_LIMIT, 0, "%s: more than %d values", what,
			       JSON_STRICT_VALUES_MAX);
	return 0;
}

int json_strict_load(const char *what, const char *text, size_t len, size_t max, json_t **ret,
		     struct err *e)
{
	char shown[sizeof(((json_error_t *)NULL)->text) * 2];
	json_error_t je;
	json_t *doc;
	int r;

	if (len > max)
		return err_set(e, ERR_LIMIT, 0, "%s: %zu bytes, and at most %zu are allowed", what,
			       len, max);
	if (len == 0)
		return err_set(e, ERR_INPUT, 0, "%s: the document is empty", what);
	r = text_scan(what, text, len, e);
	if (r < 0)
		return r;
	doc = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je);
	if (!doc)
		return err_set(e, ERR_INPUT, 0, "%s: line %d, column %d: %s", what, je.line,
			       je.column, json_strict_escape(je.text, shown, sizeof(shown)));
	*ret = doc;
	return 0;
}
