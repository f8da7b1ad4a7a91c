/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire format of protocol buffers, as far as CRIU speaks it: its requests, its answers and
 * its image files are made of it. Reading is over somebody else's bytes, and every length is
 * checked; writing is into room that the caller has.
 */
#ifndef SANDBOX_PROTOBUF_H
#define SANDBOX_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pb_type { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

/* A message that is read: what is left of it. */
struct pb_in {
	const uint8_t *at, *end;
};

struct pb_field {
	uint32_t number;
	enum pb_type type;
	const uint8_t *start; /* of the value: of a varint its first byte */
	uint64_t value;	      /* of PB_VARINT */
	struct pb_in bytes;   /* of PB_BYTES */
};

/* The next field: 1; 0 at the message's end; -EBADMSG when it is none. */
int pb_next(struct pb_in *in, struct pb_field *ret);
/* The only field of this number, which must be of this type: 1; 0 when there is none; -EBADMSG
 * when it is there twice, of another type, or when the message is none. */
int pb_find(struct pb_in in, uint32_t number, enum pb_type type, struct pb_field *ret);

/* A message that is written. full: there was no room, and what is there is of no use. */
struct pb_out {
	uint8_t *buf;
	size_t size, n;
	bool full;
};

void pb_put(struct pb_out *out, uint32_t number, uint64_t value);
void pb_put_bytes(struct pb_out *out, uint32_t number, const void *data, size_t n);
void pb_put_text(struct pb_out *out, uint32_t number, const char *text);

#endif
