/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4), by libcrypto, whose only failure is to be out of memory. */
#ifndef LIB_SHA256_H
#define LIB_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_LEN 32

/* 0 or -ENOMEM. */
int sha256(const void *data, size_t len, uint8_t ret[SHA256_LEN]);
/* Of a file from its begin on, whatever its offset. 0 or -errno. */
int sha256_file(int fd, uint8_t ret[SHA256_LEN]);

/*
 * Piece by piece. A failure of begin or add is told by end, so that nobody has to look before it.
 * What was begun is freed by end, or by the cleanup where it is not reached.
 */
struct sha256 {
	void *md; /* EVP_MD_CTX; NULL: failed, or ended */
};
void sha256_begin(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *data, size_t len);
int sha256_end(struct sha256 *s, uint8_t ret[SHA256_LEN]); /* 0 or -ENOMEM */
void sha256_clear(struct sha256 *s);
#define _cleanup_sha256_ __attribute__((cleanup(sha256_clear)))

#endif
