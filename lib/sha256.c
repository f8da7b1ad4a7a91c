// SPDX-License-Identifier: Apache-2.0
#include "lib/sha256.h"

#include <errno.h>
#include <openssl/evp.h>
#include <unistd.h>

#define BLOCK 16384

int sha256(const void *data, size_t len, uint8_t ret[SHA256_LEN])
{
	return EVP_Digest(data, len, ret, NULL, EVP_sha256(), NULL) == 1 ? 0 : -ENOMEM;
}

void sha256_begin(struct sha256 *s)
{
	s->md = EVP_MD_CTX_new();
	if (s->md && EVP_DigestInit_ex(s->md, EVP_sha256(), NULL) != 1)
		sha256_clear(s);
}

void sha256_add(struct sha256 *s, const void *data, size_t len)
{
	if (s->md && EVP_DigestUpdate(s->md, data, len) != 1)
		sha256_clear(s);
}

int sha256_end(struct sha256 *s, uint8_t ret[SHA256_LEN])
{
	int r = s->md && EVP_DigestFinal_ex(s->md, ret, NULL) == 1 ? 0 : -ENOMEM;

	sha256_clear(s);
	return r;
}

void sha256_clear(struct sha256 *s)
{
	EVP_MD_CTX_free(s->md);
	s->md = NULL;
}

int sha256_file(int fd, uint8_t ret[SHA256_LEN])
{
	_cleanup_sha256_ struct sha256 s = {0};
	char block[BLOCK];
	off_t at = 0;
	ssize_t n;

	sha256_begin(&s);
	while ((n = pread(fd, block, sizeof(block), at)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		sha256_add(&s, block, (size_t)n);
		at += n;
	}
	return sha256_end(&s, ret);
}
