// SPDX-License-Identifier: Apache-2.0
/* A form in pieces of any size: what comes of it is the same as of the form in one piece. First byte:
 * the pieces; then the boundary, up to a NUL. */
#include <string.h>

#include "spec/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	unsigned parts, open;
	size_t bytes;
	uint64_t sum;
	size_t pieces; /* in which the data has come */
};

static void add(struct seen *s, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		s->sum = s->sum * 31 + (uint8_t)text[i];
}

static int part(void *arg, const struct multipart_part *p, struct err *e)
{
	struct seen *s = arg;

	(void)e;
	if (s->open || strlen(p->name) > MULTIPART_NAME_MAX || strlen(p->type) > MULTIPART_TYPE_MAX)
		__builtin_trap();
	s->open = 1;
	s->parts++;
	add(s, p->name, strlen(p->name) + 1);
	if (p->file)
		add(s, p->file, strlen(p->file) + 1);
	return 0;
}

static int more(void *arg, const char *text, size_t len, struct err *e)
{
	struct seen *s = arg;

	(void)e;
	if (!s->open || len == 0)
		__builtin_trap();
	s->pieces++;
	s->bytes += len;
	add(s, text, len);
	return 0;
}

static int end(void *arg, struct err *e)
{
	struct seen *s = arg;

	(void)e;
	if (!s->open)
		__builtin_trap();
	s->open = 0;
	return 0;
}

static int take(const char *type, const char *text, size_t len, size_t step, struct seen *ret)
{
	struct multipart m;
	struct err e = {0};
	int r = multipart_begin(&m, type, &e);

	if (r <= 0)
		return -1;
	m.part = part;
	m.data = more;
	m.end = end;
	m.arg = ret;
	r = 0;
	for (size_t at = 0, n; r == 0 && at < len; at += n) {
		n = step < len - at ? step : len - at;
		r = multipart_feed(&m, text + at, n, &e);
	}
	if (r == 0)
		r = multipart_end(&m, &e);
	if (r < 0 && e.code != ERR_INPUT)
		__builtin_trap();
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char type[160] = "multipart/form-data; boundary=";
	const uint8_t *nul = size > 1 ? memchr(data + 1, '\0', size - 1) : NULL;
	struct seen whole = {0}, pieces = {0};
	const char *text;
	size_t len;
	int r;

	if (!nul || nul - data > 100)
		return 0;
	memcpy(type + strlen(type), data + 1, (size_t)(nul - data));
	text = (const char *)nul + 1;
	len = size - (size_t)(nul + 1 - data);
	r = take(type, text, len, len ? len : 1, &whole);
	if (r != take(type, text, len, (size_t)data[0] + 1, &pieces))
		__builtin_trap();
	/* In one piece each part has its data in one. */
	if (whole.pieces > whole.parts)
		__builtin_trap();
	whole.pieces = pieces.pieces = 0;
	if (r == 0 && (whole.open || memcmp(&whole, &pieces, sizeof(whole)) != 0))
		__builtin_trap();
	return 0;
}
