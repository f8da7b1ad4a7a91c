// SPDX-License-Identifier: Apache-2.0
#include "lib/json_strict.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define KEY_SHOWN_MAX 80

/* From bytes to a document, with what is refused before any field is read. */

/* The line and column, both from 1, of the byte at offset. */
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
 * Refuses what jansson refuses too late or not at all: it recurses 2048 levels deep before it
 * refuses nesting, and takes a NUL for the end of the text.
 */
static int text_scan(const char *what, const char *text, size_t len, size_t values_max,
		     struct err *e)
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
			/* The byte after a backslash cannot end the string; a NUL is found
			 * above. */
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
		/* Each value but the first of an object or array comes behind a comma. */
		values += !in_string && (c == ',' || c == '{' || c == '[');
	}
	if (values > values_max)
		return err_set(e, ERR_LIMIT, 0, "%s: more than %zu values", what, values_max);
	return 0;
}

int json_strict_load(const char *what, const char *text, size_t len, size_t max, json_t **ret,
		     struct err *e)
{
	return json_strict_load_few(what, text, len, max, JSON_STRICT_VALUES_MAX, ret, e);
}

int json_strict_load_few(const char *what, const char *text, size_t len, size_t max, size_t values,
			 json_t **ret, struct err *e)
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
	r = text_scan(what, text, len, values, e);
	if (r < 0)
		return r;
	doc = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je);
	if (!doc)
		return err_set(e, ERR_INPUT, 0, "%s: line %d, column %d: %s", what, je.line,
			       je.column, util_escape(je.text, shown, sizeof(shown)));
	*ret = doc;
	return 0;
}

/* From a document to its fields */

static const char *type_name(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	default:
		return "null";
	}
}

/* Joins "a.b" and "c" to "a.b.c", and with index >= 0 to "a.b.c[index]". */
static void path_join(const struct json_strict *s, const char *key, ssize_t index, char *buf,
		      size_t size)
{
	char shown[KEY_SHOWN_MAX] = "", at[32] = "";

	if (key)
		(void)util_escape(key, shown, sizeof(shown));
	if (index >= 0)
		(void)snprintf(at, sizeof(at), "[%zd]", index);
	(void)snprintf(buf, size, "%s%s%s%s", s->path, *s->path && key ? "." : "", shown, at);
}

static int fail_at(struct json_strict *s, const char *key, ssize_t index, const char *msg)
{
	char path[JSON_STRICT_PATH_MAX + KEY_SHOWN_MAX + 32];
	int r;

	if (s->status < 0)
		return s->status;
	path_join(s, key, index, path, sizeof(path));
	r = err_set(s->e, ERR_INPUT, 0, "%s%s%s: %s", s->what, *path ? ": " : "", path, msg);
	for (; s; s = s->parent)
		s->status = r;
	return r;
}

int json_strict_fail(struct json_strict *s, const char *key, const char *fmt, ...)
{
	char msg[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	return fail_at(s, key, -1, msg);
}

int json_strict_item_fail(struct json_strict *s, const char *key, size_t i, const char *fmt, ...)
{
	char msg[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	return fail_at(s, key, (ssize_t)i, msg);
}

static int fail_type(struct json_strict *s, const char *key, ssize_t index, const char *want,
		     const json_t *value)
{
	char msg[128];

	(void)snprintf(msg, sizeof(msg), "must be %s, not %s", want, type_name(value));
	return fail_at(s, key, index, msg);
}

int json_strict_begin(struct json_strict *s, const char *what, json_t *doc, struct err *e)
{
	*s = (struct json_strict){.what = what, .e = e};
	if (!json_is_object(doc))
		return fail_type(s, NULL, -1, "an object", doc);
	s->obj = doc;
	return 0;
}

static bool known(const struct json_strict *s, const char *key)
{
	for (unsigned i = 0; i < s->n_known; i++)
		if (strcmp(s->known[i], key) == 0)
			return true;
	return false;
}

json_t *json_strict_get(struct json_strict *s, const char *key)
{
	if (s->status < 0)
		return NULL;
	if (!known(s, key)) {
		if (s->n_known == ARRAY_SIZE(s->known)) {
			(void)json_strict_fail(s, key, "this reader knows too many keys");
			return NULL;
		}
		s->known[s->n_known++] = key;
	}
	return json_object_get(s->obj, key);
}

int json_strict_end(struct json_strict *s)
{
	const char *key;
	json_t *value;

	if (s->status < 0)
		return s->status;
	json_object_foreach(s->obj, key, value)
	{
		char list[256] = "";
		size_t n = 0;

		if (known(s, key))
			continue;
		for (unsigned i = 0; i < s->n_known && n < sizeof(list); i++)
			n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "",
					      s->known[i]);
		return json_strict_fail(s, key, "unknown key (known here: %s)", list);
	}
	return 0;
}

static bool child_begin(struct json_strict *s, const char *key, ssize_t index, json_t *value,
			struct json_strict *ret)
{
	if (!json_is_object(value)) {
		(void)fail_type(s, key, index, "an object", value);
		return false;
	}
	*ret = (struct json_strict){.what = s->what, .parent = s, .obj = value, .e = s->e};
	path_join(s, key, index, ret->path, sizeof(ret->path));
	return true;
}

bool json_strict_object(struct json_strict *s, const char *key, struct json_strict *ret)
{
	json_t *value = json_strict_get(s, key);

	return value && child_begin(s, key, -1, value, ret);
}

bool json_strict_bool(struct json_strict *s, const char *key, bool *ret)
{
	json_t *value = json_strict_get(s, key);

	if (!value)
		return false;
	if (!json_is_boolean(value)) {
		(void)fail_type(s, key, -1, "true or false", value);
		return false;
	}
	*ret = json_is_true(value);
	return true;
}

bool json_strict_int(struct json_strict *s, const char *key, int64_t min, int64_t max, int64_t *ret)
{
	json_t *value = json_strict_get(s, key);
	int64_t v;

	if (!value)
		return false;
	if (!json_is_integer(value)) {
		if (json_is_real(value))
			(void)json_strict_fail(s, key, "must be an integer without a fraction");
		else
			(void)fail_type(s, key, -1, "an integer", value);
		return false;
	}
	v = json_integer_value(value);
	if (v < min || v > max) {
		(void)json_strict_fail(s, key, "must be from %lld to %lld", (long long)min,
				       (long long)max);
		return false;
	}
	*ret = v;
	return true;
}

bool json_strict_number(struct json_strict *s, const char *key, double min, double max, double *ret)
{
	json_t *value = json_strict_get(s, key);
	double v;

	if (!value)
		return false;
	if (!json_is_number(value)) {
		(void)fail_type(s, key, -1, "a number", value);
		return false;
	}
	v = json_number_value(value);
	if (!isfinite(v) || v < min || v > max) {
		(void)json_strict_fail(s, key, "must be from %g to %g", min, max);
		return false;
	}
	*ret = v;
	return true;
}

bool json_strict_size(struct json_strict *s, const char *key, uint64_t min, uint64_t max,
		      uint64_t *ret)
{
	json_t *value = json_strict_get(s, key);
	char a[32], b[32];
	uint64_t v = 0;
	int r = -EINVAL;

	if (!value)
		return false;
	if (json_is_integer(value)) {
		r = json_integer_value(value) < 0 ? -ERANGE : 0;
		v = (uint64_t)json_integer_value(value);
	} else if (json_is_string(value)) {
		r = util_parse_size(json_string_value(value), &v);
	}
	if (r == -EINVAL) {
		(void)json_strict_fail(s, key, "must be a size such as \"64M\" or 67108864");
		return false;
	}
	if (r < 0 || v < min || v > max) {
		(void)json_strict_fail(s, key, "must be from %s to %s bytes",
				       util_format_size(min, a, sizeof(a)),
				       util_format_size(max, b, sizeof(b)));
		return false;
	}
	*ret = v;
	return true;
}

static const char *string_value(struct json_strict *s, const char *key, ssize_t index,
				const json_t *value, size_t max_len)
{
	char msg[64];

	if (!json_is_string(value)) {
		(void)fail_type(s, key, index, "a string", value);
		return NULL;
	}
	if (json_string_length(value) > max_len) {
		(void)snprintf(msg, sizeof(msg), "must be at most %zu bytes long", max_len);
		(void)fail_at(s, key, index, msg);
		return NULL;
	}
	return json_string_value(value);
}

const char *json_strict_note(struct json_strict *s, const char *key, size_t max_len)
{
	json_t *value = json_strict_get(s, key);

	return value ? string_value(s, key, -1, value, max_len) : NULL;
}

const char *json_strict_string(struct json_strict *s, const char *key, size_t max_len)
{
	const char *text = json_strict_note(s, key, max_len);

	if (!text || *text)
		return text;
	(void)json_strict_fail(s, key, "must not be empty: leave it out");
	return NULL;
}

json_t *json_strict_array(struct json_strict *s, const char *key, size_t max_items)
{
	json_t *value = json_strict_get(s, key);

	if (!value)
		return NULL;
	if (!json_is_array(value)) {
		(void)fail_type(s, key, -1, "an array", value);
		return NULL;
	}
	if (json_array_size(value) > max_items) {
		(void)json_strict_fail(s, key, "has %zu items, and at most %zu are allowed",
				       json_array_size(value), max_items);
		return NULL;
	}
	return value;
}

static json_t *item(struct json_strict *s, const char *key, size_t i)
{
	return json_array_get(json_strict_get(s, key), i);
}

const char *json_strict_item_string(struct json_strict *s, const char *key, size_t i,
				    size_t max_len)
{
	json_t *value = item(s, key, i);

	return value ? string_value(s, key, (ssize_t)i, value, max_len) : NULL;
}

bool json_strict_item_object(struct json_strict *s, const char *key, size_t i,
			     struct json_strict *ret)
{
	json_t *value = item(s, key, i);

	return value && child_begin(s, key, (ssize_t)i, value, ret);
}
