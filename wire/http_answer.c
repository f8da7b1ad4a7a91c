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

int http_answer_head(const char *text, size_t len, struct http_answer *ret)
{
	const char *end = memmem(text, len, "\r\n\r\n", 4), *line, *next;

	ret->status = 0;
	ret->n = 0;
	if (!end)
		return -EAGAIN;
	if (read_status(text, (size_t)(end - text), ret) < 0)
		return -EPROTO;
	ret->head_len = (size_t)(end - text) + 4;
	for (line = memmem(text, len, "\r\n", 2); line < end; line = next) {
		line += 2;
		next = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
		if (read_field(line, (size_t)(next - line), ret) < 0)
			return -EPROTO;
	}
	return 0;
}

int http_body_begin(const struct http_answer *a, bool without_body, struct http_body *ret)
{
	const struct http_field *field = http_answer_find(a, "content-length");
	size_t size = 0;

	*ret = (struct http_body){.kind = HTTP_BODY_TO_END};
	if (without_body || a->status == 204 || a->status == 304) {
		ret->whole = true;
	} else if (http_answer_find(a, "transfer-encoding")) {
		ret->kind = HTTP_BODY_CHUNKS;
	} else if (field) {
		if (field->value_len == 0 ||
		    read_number(field->value, field->value_len, 10, &size) != field->value_len)
			return -EPROTO;
		ret->kind = HTTP_BODY_LENGTH;
		ret->left = size;
		ret->whole = size == 0;
	}
	return 0;
}

/* One byte of what is between the chunks. */
static int take_framing(struct http_body *b, char c)
{
	size_t digit;

	switch (b->at) {
	case HTTP_CHUNK_SIZE:
		if (read_number(&c, 1, 16, &digit) == 1) {
			b->left = b->left * 16 + digit;
			return ++b->digits > 15 ? -EPROTO : 0;
		}
		if (b->digits == 0 || c == '\n')
			return -EPROTO;
		b->at = HTTP_CHUNK_REST;
		return 0;
	case HTTP_CHUNK_REST:
		if (c != '\n')
			return 0;
		b->at = b->left ? HTTP_CHUNK_DATA : HTTP_CHUNK_LAST;
		b->digits = 0;
		return 0;
	case HTTP_CHUNK_END: /* CR LF behind its data */
		if (c != "\r\n"[b->digits])
			return -EPROTO;
		if (++b->digits == 2) {
			b->at = HTTP_CHUNK_SIZE;
			b->digits = 0;
		}
		return 0;
	default: /* fields behind the last chunk, which are dropped, and an empty line */
		b->whole = c == '\n' && b->digits == 0;
		if (c != '\r')
			b->digits = c != '\n';
		return 0;
	}
}

ssize_t http_body_next(struct http_body *b, const char *text, size_t len, size_t *ret_at,
		       size_t *ret_len)
{
	size_t n = 0;

	*ret_at = *ret_len = 0;
	if (b->whole || len == 0)
		return 0;
	if (b->kind == HTTP_BODY_TO_END) {
		*ret_len = len;
		return (ssize_t)len;
	}
	while (b->kind == HTTP_BODY_CHUNKS && b->at != HTTP_CHUNK_DATA && n < len && !b->whole)
		if (take_framing(b, text[n++]) < 0)
			return -EPROTO;
	if (b->whole || n == len)
		return (ssize_t)n;
	*ret_at = n;
	*ret_len = len - n < b->left ? len - n : b->left;
	b->left -= *ret_len;
	if (b->left == 0 && b->kind == HTTP_BODY_LENGTH)
		b->whole = true;
	else if (b->left == 0)
		b->at = HTTP_CHUNK_END;
	return (ssize_t)(n + *ret_len);
}
