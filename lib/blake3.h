/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BLAKE3 of a text in pieces: the hash alone, without a key, and 32 bytes of it. Clients that upload
 * files name them by it.
 */
#ifndef LIB_BLAKE3_H
#define LIB_BLAKE3_H

#include <stddef.h>
#include <stdint.h>

#define BLAKE3_LEN 32

struct blake3 {
	uint32_t cv[8];	       /* of the chunk that is being read */
	uint32_t stack[54][8]; /* of subtrees that are whole, the largest first */
	unsigned n_stack;
	uint64_t chunks; /* that are whole */
	uint8_t block[64];
	unsigned block_len, blocks; /* of the chunk: bytes that wait, and blocks that were taken */
};

void blake3_begin(struct blake3 *b);
void blake3_add(struct blake3 *b, const void *data, size_t len);
void blake3_end(const struct blake3 *b, uint8_t ret[BLAKE3_LEN]);

#endif
