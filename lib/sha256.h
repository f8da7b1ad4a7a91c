/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4), by libcrypto, which fails only when memory is out. */
#ifndef LIB_SHA256_H
#define LIB_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_LEN 32

/* 0 or -ENOMEM. */
int sha256(const void *data, size_t len, uint8_t ret[SHA256_LEN]);
/* The digest of a whole file, whatever the descriptor's offset. 0 or -errno. */
int sha256_file(int fd, uint8_t ret[SHA256_LEN]);

/*
 * In pieces. sha256_end tells of a failure of begin or add, so that nobody has to look earlier. It
 * also frees what was begun; where it is not reached, the cleanup attribute does.
 */
struct sha256 {
	void *md; /* an EVP_MD_CTX; NULL: it has failed or was ended */
};
void sha256_begin(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *data, size_t len);
int sha256_end(struct sha256 *s, uint8_t ret[SHA256_LEN]); /* 0 or -ENOMEM */
void sha256_clear(struct sha256 *s);
#define _cleanup_sha256_ __attribute__((cleanup(sha256_clear)))

#endif
