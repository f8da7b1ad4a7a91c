/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the front and a background worker say to each other, in frames of wire/serve.h: the head says
 * what it is, and the body has records one after the other, each of some little-endian numbers and
 * perhaps bytes. A frame has so many records at most that one turn of the front's loop writes them.
 *
 *	worker -> front	put	kind u8, rank f64, length u32, bytes	an item, of its own process
 *			ends	id u64, attempt u32, end u8, length u16, text	what came of items
 *			hello	id u64, attempt u32			items that it still has
 *	front -> worker	items	id u64, attempt u32, failures u32, kind u8, rank f64, length u32, bytes
 *
 * All that a worker says is hostile.
 */
#ifndef WIRE_BACKGROUND_H
#define WIRE_BACKGROUND_H

#include "lib/util.h"

#define BACKGROUND_RECORDS_MAX 256u	 /* in a frame */
#define BACKGROUND_ITEM_MAX (256u << 10) /* bytes of an item */
#define BACKGROUND_FRAME_MAX (1u << 20)	 /* bytes of a frame's body */
#define BACKGROUND_ERROR_MAX 1000u	 /* of a text that says why an item has failed */
#define BACKGROUND_ITEM_HEAD 29u	 /* bytes of a record of items without its bytes */

enum background_kind { BACKGROUND_JSON = 0, BACKGROUND_PICKLE, BACKGROUND_KINDS };

enum background_end {
	BACKGROUND_DONE = 0, /* its executor has returned */
	BACKGROUND_FAILED,   /* it has raised */
	BACKGROUND_BACK,     /* it was not begun */
	BACKGROUND_ENDS
};

/* Pointers lead into the body. */
struct background_put {
	enum background_kind kind;
	double rank; /* finite */
	const uint8_t *bytes;
	uint32_t len;
};
struct background_ended {
	uint64_t id;
	uint32_t attempt;
	enum background_end end;
	const char *text; /* not terminated */
	uint16_t text_len;
};

/* Each reads the record at *at and moves *at behind it. 1; 0: there is none any more; -EPROTO: it is
 * none. */
int background_read_put(const uint8_t *body, size_t len, size_t *at, struct background_put *ret);
int background_read_ended(const uint8_t *body, size_t len, size_t *at,
			  struct background_ended *ret);
int background_read_held(const uint8_t *body, size_t len, size_t *at, uint64_t *ret_id,
			 uint32_t *ret_attempt);

/* Writes the head of a record of items, BACKGROUND_ITEM_HEAD bytes; its bytes follow it. */
struct background_given {
	uint64_t id;
	uint32_t attempt, failures;
	enum background_kind kind;
	double rank;
	uint32_t len;
};
void background_write_given(uint8_t *to, const struct background_given *item);

#endif
