/* SPDX-License-Identifier: Apache-2.0 */
/* A zip's bytes, and what its end says of them. */
#ifndef SUPERVISOR_FRONT_CORE_PACKAGE_ZIP_BYTES_H
#define SUPERVISOR_FRONT_CORE_PACKAGE_ZIP_BYTES_H

#include <endian.h>
#include <string.h>

#include "lib/util.h"

struct zip {
	const uint8_t *bytes;
	size_t len;
	uint64_t bytes_max;
	uint64_t n, directory_at, directory_size;
};

static inline uint16_t zip_get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

static inline uint32_t zip_get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static inline uint64_t zip_get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

/* len bytes at at, or NULL where the archive has not so many. */
static inline const uint8_t *zip_range(const struct zip *z, uint64_t at, uint64_t len)
{
	return at <= z->len && len <= z->len - at ? z->bytes + at : NULL;
}

static inline bool zip_is_record(const uint8_t *p, uint8_t kind, uint8_t kind2)
{
	return p && p[0] == 'P' && p[1] == 'K' && p[2] == kind && p[3] == kind2;
}

/* One of an entry's two headers: its name's bytes, and what says how they are to be read. */
struct zip_name {
	const uint8_t *bytes, *extra;
	size_t len, extra_len;
	bool is_utf8; /* by bit 11 of its flags */
};
/*
 * The name in UTF-8: as it is where it says so or simply is; the one in its Unicode Path field,
 * if that was made for this name; else by code page 437. No NUL or back slash is in it. The
 * caller frees it.
 */
int package_zip_name(const struct zip_name *raw, char **ret, struct err *e);

/* Fills n and the directory's place, of a zip that is whole and one. */
int package_zip_end(struct zip *z, struct err *e);

#endif
