// SPDX-License-Identifier: Apache-2.0
/* As in "BLAKE3: one function, fast everywhere", section 2. Chunks of 1024 bytes are the leaves of a
 * binary tree; a subtree is joined with its left neighbour as soon as both have the same size. */
#include "lib/blake3.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

#define CHUNK_BLOCKS 16

enum { CHUNK_START = 1, CHUNK_END = 2, PARENT = 4, ROOT = 8 };

static const uint32_t iv[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
			       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static uint32_t rotate(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

static void mix(uint32_t s[16], unsigned a, unsigned b, unsigned c, unsigned d, uint32_t x,
		uint32_t y)
{
	s[a] += s[b] + x;
	s[d] = rotate(s[d] ^ s[a], 16);
	s[c] += s[d];
	s[b] = rotate(s[b] ^ s[c], 12);
	s[a] += s[b] + y;
	s[d] = rotate(s[d] ^ s[a], 8);
	s[c] += s[d];
	s[b] = rotate(s[b] ^ s[c], 7);
}

static void compress(const uint32_t cv[8], const uint8_t block[64], uint64_t counter, uint32_t len,
		     uint32_t flags, uint32_t ret[8])
{
	static const uint8_t order[16] = {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8};
	uint32_t m[16], next[16], s[16];

	memcpy(m, block, sizeof(m));
	for (unsigned i = 0; i < 16; i++)
		m[i] = le32toh(m[i]);
	memcpy(s, cv, 8 * sizeof(*s));
	memcpy(s + 8, iv, 4 * sizeof(*s));
	s[12] = (uint32_t)counter;
	s[13] = (uint32_t)(counter >> 32);
	s[14] = len;
	s[15] = flags;
	for (unsigned round = 0; round < 7; round++) {
		mix(s, 0, 4, 8, 12, m[0], m[1]);
		mix(s, 1, 5, 9, 13, m[2], m[3]);
		mix(s, 2, 6, 10, 14, m[4], m[5]);
		mix(s, 3, 7, 11, 15, m[6], m[7]);
		mix(s, 0, 5, 10, 15, m[8], m[9]);
		mix(s, 1, 6, 11, 12, m[10], m[11]);
		mix(s, 2, 7, 8, 13, m[12], m[13]);
		mix(s, 3, 4, 9, 14, m[14], m[15]);
		for (unsigned i = 0; i < 16; i++)
			next[i] = m[order[i]];
		memcpy(m, next, sizeof(m));
	}
	for (unsigned i = 0; i < 8; i++)
		ret[i] = s[i] ^ s[i + 8];
}

static void join(const uint32_t left[8], const uint32_t right[8], uint32_t flags, uint32_t ret[8])
{
	uint32_t both[16];

	for (unsigned i = 0; i < 8; i++) {
		both[i] = htole32(left[i]);
		both[i + 8] = htole32(right[i]);
	}
	compress(iv, (const uint8_t *)both, 0, 64, PARENT | flags, ret);
}

static uint32_t start_flag(const struct blake3 *b)
{
	return b->blocks == 0 ? CHUNK_START : 0;
}

void blake3_begin(struct blake3 *b)
{
	memset(b, 0, sizeof(*b));
	memcpy(b->cv, iv, sizeof(b->cv));
}

/* More follows: what waits is a whole block, and perhaps the last one of its chunk. */
static void take_block(struct blake3 *b)
{
	const bool last = b->blocks == CHUNK_BLOCKS - 1;
	uint32_t cv[8];

	compress(b->cv, b->block, b->chunks, 64, start_flag(b) | (last ? CHUNK_END : 0), cv);
	b->block_len = 0;
	b->blocks++;
	memcpy(b->cv, cv, sizeof(cv));
	if (!last)
		return;
	b->chunks++;
	/* As many zeros as the number of chunks ends with, so many subtrees have become whole. */
	for (uint64_t n = b->chunks; (n & 1) == 0; n >>= 1)
		join(b->stack[--b->n_stack], cv, 0, cv);
	memcpy(b->stack[b->n_stack++], cv, sizeof(cv));
	memcpy(b->cv, iv, sizeof(b->cv));
	b->blocks = 0;
}

void blake3_add(struct blake3 *b, const void *data, size_t len)
{
	const uint8_t *at = data;

	while (len > 0) {
		size_t n = sizeof(b->block) - b->block_len;

		if (n == 0) {
			take_block(b);
			n = sizeof(b->block);
		}
		n = n < len ? n : len;
		memcpy(b->block + b->block_len, at, n);
		b->block_len += (unsigned)n;
		at += n;
		len -= n;
	}
}

void blake3_end(const struct blake3 *b, uint8_t ret[BLAKE3_LEN])
{
	const uint32_t root = b->n_stack == 0 ? ROOT : 0;
	uint8_t block[64] = {0};
	uint32_t cv[8];

	memcpy(block, b->block, b->block_len);
	compress(b->cv, block, b->chunks, b->block_len, start_flag(b) | CHUNK_END | root, cv);
	for (unsigned i = b->n_stack; i > 0; i--)
		join(b->stack[i - 1], cv, i == 1 ? ROOT : 0, cv);
	for (unsigned i = 0; i < 8; i++)
		cv[i] = htole32(cv[i]);
	memcpy(ret, cv, BLAKE3_LEN);
}
