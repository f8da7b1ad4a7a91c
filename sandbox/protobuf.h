/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire format of protocol buffers, as far as CRIU uses it: CRIU's requests, answers and image
 * files are made of it. Reading works on bytes that are not trusted, so every length is checked;
 * what is read points into the caller's bytes. Writing is into the caller's buffer. Nothing is
 * allocated.
 */
#ifndef SANDBOX_PROTOBUF_H
#define SANDBOX_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pb_type { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

/* A message that is read: the bytes of it that are left. */
struct pb_in {
	const uint8_t *at, *end;
};

struct pb_field {
	uint32_t number;
	enum pb_type type;
	const uint8_t *start; /* of the value; for a varint, its first byte */
	uint64_t value;	      /* of PB_VARINT */
	struct pb_in bytes;   /* of PB_BYTES */
};

/* Reads the next field. 1: there is one; 0: the message has ended; -EBADMSG: these bytes are not a
 * field. */
int pb_next(struct pb_in *in, struct pb_field *ret);
/* Finds the only field of this number. 1: found; 0: there is none; -EBADMSG: it is there twice or
 * has another type, or the bytes are not a message. */
int pb_find(struct pb_in in, uint32_t number, enum pb_type type, struct pb_field *ret);

/* A message that is written. full: the buffer was too small, and its content is of no use. */
struct pb_out {
	uint8_t *buf;
	size_t size, n;
	bool full;
};

void pb_put(struct pb_out *out, uint32_t number, uint64_t value);
void pb_put_bytes(struct pb_out *out, uint32_t number, const void *data, size_t n);
void pb_put_text(struct pb_out *out, uint32_t number, const char *text);

#endif
