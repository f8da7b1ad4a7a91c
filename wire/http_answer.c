// SPDX-License-Identifier: Apache-2.0
#include "wire/http_answer.h"

#include <string.h>
#include <strings.h>

bool http_field_is(const struct http_field *f, const char *name)
{
	return strlen(name) == f->name_len && strncasecmp(f->name, name, f->name_len) == 0;
}

const struct http_field *http_answer_find(const struct http_answer *a, const char *name)
{
	for (size_t i = 0; i < a->n; i++)
		if (http_field_is(&a->fields[i], name))
			return &a->fields[i];
	return NULL;
}

static int read_status(const char *text, size_t len, struct http_answer *ret)
{
	static const char begin[] = "HTTP/1.1 ";
	const char *at = text + sizeof(begin) - 1;

	if (len < sizeof(begin) - 1 + 3 || memcmp(text, begin, sizeof(begin) - 1) != 0)
		return -EPROTO;
	for (int i = 0; i < 3; i++) {
		if (at[i] < '0' || at[i] > '9')
			return -EPROTO;
		ret->status = ret->status * 10 + (unsigned)(at[i] - '0');
	}
	return ret->status < 200 || ret->status > 599 ? -EPROTO : 0;
}

static int read_field(const char *line, size_t len, struct http_answer *ret)
{
	const char *colon = memchr(line, ':', len), *value;
	size_t left;

	if (!colon || colon == line || ret->n == HTTP_ANSWER_FIELDS_MAX)
		return -EPROTO;
	value = colon + 1;
	left = len - (size_t)(value - line);
	while (left && (*value == ' ' || *value == '\t')) {
		value++;
		left--;
	}
	while (left && (value[left - 1] == ' ' || value[left - 1] == '\t'))
		left--;
	ret->fields[ret->n++] = (struct http_field){line, value, (size_t)(colon - line), left};
	return 0;
}

/* A number of this base that ends before any other character: its length, or 0. */
static size_t read_number(const char *text, size_t len, unsigned base, size_t *ret)
{
	static const char digits[] = "0123456789abcdef";
	size_t n = 0;

	*ret = 0;
	for (; n < len && n < 15; n++) {
		const char c = (char)(text[n] >= 'A' && text[n] <= 'F' ? text[n] + 32 : text[n]);
		const char *digit = c ? memchr(digits, c, base) : NULL;

		if (!digit)
			break;
		*ret = *ret * base + (size_t)(digit - digits);
	}
	return n;
}

/* Moves the chunks together; fields behind the last one are dropped. */
static int read_chunks(char *text, size_t len, struct http_answer *ret)
{
	char *at = text, *const end = text + len, *to = text;

	for (;;) {
		const char *line_end = memmem(at, (size_t)(end - at), "\r\n", 2);
		size_t size;

		if (!line_end || read_number(at, (size_t)(line_end - at), 16, &size) == 0)
			return -EPROTO;
		at += line_end + 2 - at;
		if (size == 0)
			break;
		if (size > (size_t)(end - at) || (size_t)(end - at) - size < 2 ||
		    memcmp(at + size, "\r\n", 2) != 0)
			return -EPROTO;
		memmove(to, at, size);
		to += size;
		at += size + 2;
	}
	ret->body = text;
	ret->body_len = (size_t)(to - text);
	return 0;
}

int http_answer_read(char *text, size_t len, bool without_body, struct http_answer *ret)
{
	const char *end = memmem(text, len, "\r\n\r\n", 4), *line, *next;
	const struct http_field *field;
	size_t size;

	ret->status = 0;
	ret->n = ret->body_len = 0;
	if (!end || read_status(text, (size_t)(end - text), ret) < 0)
		return -EPROTO;
	ret->body = text + (end + 4 - text);
	for (line = memmem(text, len, "\r\n", 2); line < end; line = next) {
		line += 2;
		next = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
		if (read_field(line, (size_t)(next - line), ret) < 0)
			return -EPROTO;
	}
	if (without_body || ret->status == 204 || ret->status == 304)
		return 0;
	len -= (size_t)(ret->body - text);
	field = http_answer_find(ret, "transfer-encoding");
	if (field)
		return read_chunks(ret->body, len, ret);
	field = http_answer_find(ret, "content-length");
	if (field && (read_number(field->value, field->value_len, 10, &size) != field->value_len ||
		      field->value_len == 0 || size != len))
		return -EPROTO;
	ret->body_len = len;
	return 0;
}
