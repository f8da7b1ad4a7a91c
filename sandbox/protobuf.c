// SPDX-License-Identifier: Apache-2.0
#include "sandbox/protobuf.h"

#include <errno.h>
#include <string.h>

/* 64 bits, seven in each byte. */
#define VARINT_BYTES_MAX 10

static int read_varint(struct pb_in *in, uint64_t *ret)
{
	uint64_t value = 0;

	for (int i = 0; i < VARINT_BYTES_MAX && in->at < in->end; i++) {
		uint8_t byte = *in->at++;

		value |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (!(byte & 0x80)) {
			*ret = value;
			return 0;
		}
	}
	return -EBADMSG;
}

int pb_next(struct pb_in *in, struct pb_field *ret)
{
	uint64_t key, len = 0;

	if (in->at == in->end)
		return 0;
	if (read_varint(in, &key) < 0 || key >> 3 == 0 || key >> 3 > UINT32_MAX >> 3)
		return -EBADMSG;
	*ret = (struct pb_field){
		.number = (uint32_t)(key >> 3), .type = (enum pb_type)(key & 7), .start = in->at};
	switch (key & 7) {
	case PB_VARINT:
		return read_varint(in, &ret->value) < 0 ? -EBADMSG : 1;
	case PB_FIXED64:
		len = sizeof(uint64_t);
		break;
	case PB_FIXED32:
		len = sizeof(uint32_t);
		break;
	case PB_BYTES:
		if (read_varint(in, &len) < 0)
			return -EBADMSG;
		break;
	default:
		return -EBADMSG;
	}
	if (len > (uint64_t)(in->end - in->at))
		return -EBADMSG;
	ret->bytes = (struct pb_in){in->at, in->at + len};
	in->at += len;
	return 1;
}

int pb_find(struct pb_in in, uint32_t number, enum pb_type type, struct pb_field *ret)
{
	struct pb_field f;
	int found = 0, r;

	while ((r = pb_next(&in, &f)) > 0) {
		if (f.number != number)
			continue;
		if (found || f.type != type)
			return -EBADMSG;
		*ret = f;
		found = 1;
	}
	return r < 0 ? r : found;
}

static void put_byte(struct pb_out *out, uint8_t byte)
{
	if (out->n < out->size)
		out->buf[out->n++] = byte;
	else
		out->full = true;
}

static void put_varint(struct pb_out *out, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		put_byte(out, (uint8_t)(value | 0x80));
	put_byte(out, (uint8_t)value);
}

void pb_put(struct pb_out *out, uint32_t number, uint64_t value)
{
	put_varint(out, (uint64_t)number << 3 | PB_VARINT);
	put_varint(out, value);
}

void pb_put_bytes(struct pb_out *out, uint32_t number, const void *data, size_t n)
{
	put_varint(out, (uint64_t)number << 3 | PB_BYTES);
	put_varint(out, n);
	if (n > out->size - out->n) {
		out->full = true;
		return;
	}
	if (n)
		memcpy(out->buf + out->n, data, n);
	out->n += n;
}

void pb_put_text(struct pb_out *out, uint32_t number, const char *text)
{
	pb_put_bytes(out, number, text, strlen(text));
}
