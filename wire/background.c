// SPDX-License-Identifier: Apache-2.0
#include "wire/background.h"

#include <endian.h>
#include <math.h>
#include <string.h>

/* A record's numbers are read one after the other; *ok becomes false where the body ends before. */
struct at {
	const uint8_t *p;
	size_t left;
	bool ok;
};

static const uint8_t *bytes_at(struct at *a, size_t n)
{
	const uint8_t *p = a->p;

	if (!a->ok || a->left < n) {
		a->ok = false;
		return NULL;
	}
	a->p += n;
	a->left -= n;
	return p;
}

static uint64_t number_at(struct at *a, size_t n)
{
	const uint8_t *p = bytes_at(a, n);
	uint64_t value = 0;

	if (p)
		memcpy(&value, p, n);
	return le64toh(value);
}

static double real_at(struct at *a)
{
	const uint64_t bits = number_at(a, 8);
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static struct at begin(const uint8_t *body, size_t len, size_t at)
{
	return (struct at){.p = body ? body + at : body, .left = len - at, .ok = true};
}

int background_read_put(const uint8_t *body, size_t len, size_t *at, struct background_put *ret)
{
	struct at a = begin(body, len, *at);

	if (*at >= len)
		return 0;
	ret->kind = (enum background_kind)number_at(&a, 1);
	ret->rank = real_at(&a);
	ret->len = (uint32_t)number_at(&a, 4);
	ret->bytes = bytes_at(&a, ret->len);
	if (!a.ok || ret->kind >= BACKGROUND_KINDS || ret->len > BACKGROUND_ITEM_MAX ||
	    !isfinite(ret->rank))
		return -EPROTO;
	*at = len - a.left;
	return 1;
}

int background_read_ended(const uint8_t *body, size_t len, size_t *at, struct background_ended *ret)
{
	struct at a = begin(body, len, *at);

	if (*at >= len)
		return 0;
	ret->id = number_at(&a, 8);
	ret->attempt = (uint32_t)number_at(&a, 4);
	ret->end = (enum background_end)number_at(&a, 1);
	ret->text_len = (uint16_t)number_at(&a, 2);
	ret->text = (const char *)bytes_at(&a, ret->text_len);
	if (!a.ok || ret->end >= BACKGROUND_ENDS || ret->text_len > BACKGROUND_ERROR_MAX)
		return -EPROTO;
	*at = len - a.left;
	return 1;
}

int background_read_held(const uint8_t *body, size_t len, size_t *at, uint64_t *ret_id,
			 uint32_t *ret_attempt)
{
	struct at a = begin(body, len, *at);

	if (*at >= len)
		return 0;
	*ret_id = number_at(&a, 8);
	*ret_attempt = (uint32_t)number_at(&a, 4);
	if (!a.ok)
		return -EPROTO;
	*at = len - a.left;
	return 1;
}

static uint8_t *put_number(uint8_t *to, uint64_t value, size_t n)
{
	value = htole64(value);
	memcpy(to, &value, n);
	return to + n;
}

void background_write_given(uint8_t *to, const struct background_given *item)
{
	uint64_t bits;

	memcpy(&bits, &item->rank, sizeof(bits));
	to = put_number(to, item->id, 8);
	to = put_number(to, item->attempt, 4);
	to = put_number(to, item->failures, 4);
	to = put_number(to, (uint64_t)item->kind, 1);
	to = put_number(to, bits, 8);
	(void)put_number(to, item->len, 4);
}
