/* SPDX-License-Identifier: Apache-2.0 */
/* Zips that are made byte by byte, so that every byte of them can be wrong. */
#ifndef TESTS_UNIT_ZIP_RIG_H
#define TESTS_UNIT_ZIP_RIG_H

#include "tests/unit/rig.h"

#include <stdbool.h>
#include <string.h>

#define UNIX (3 << 8)
#define MODE(m) ((uint32_t)(m) << 16)
#define LATE 8
#define UTF8 0x800

/* What the zip says about a member. Zeros are replaced by the truth. */
struct member {
	const char *name, *data;
	uint32_t attr;	    /* external attributes */
	uint16_t made_by;   /* version made by */
	uint16_t flags;	    /* LATE: the sizes come in a descriptor behind the data */
	bool deflate, wide; /* deflate: compressed; wide: a ZIP64 entry */
	/* Values to be written in place of the true ones. */
	uint16_t method, disk, local_flags;
	uint32_t size, packed, local_size, crc;
	int name_len; /* for a name with a NUL in it */
	int shift;    /* added to the member's place in the directory */
	const char *local_name, *extra;
	size_t extra_len;
	bool no_descriptor, narrow;
	bool local_extra, central_extra; /* they are in the header alone, or in the directory */
	bool sized;			 /* LATE, but the size is known, as libarchive writes it */
};

struct made {
	uint8_t bytes[1 << 16];
	size_t len, at[16];
	/* Added to the true values of the end record. */
	int entries, directory_size, directory_at, disk;
	bool zip64;
	const char *comment;
};

static void put(struct made *z, uint64_t v, int n)
{
	assert_true(z->len + 8 < sizeof(z->bytes));
	for (int i = 0; i < n; i++)
		z->bytes[z->len++] = (uint8_t)(v >> 8 * i);
}

static void put_bytes(struct made *z, const void *bytes, size_t n)
{
	assert_true(z->len + n < sizeof(z->bytes));
	if (n)
		memcpy(z->bytes + z->len, bytes, n);
	z->len += n;
}

static size_t pack(const struct member *m, uint8_t *buf, size_t size)
{
	size_t len = m->data ? strlen(m->data) : 0, head = m->deflate ? 5 : 0;

	assert_true(head + len <= size);
	if (m->deflate) {
		buf[0] = 1; /* the last block, and a stored one (RFC 1951, 3.2.4) */
		buf[1] = (uint8_t)len;
		buf[2] = (uint8_t)(len >> 8);
		buf[3] = (uint8_t)~buf[1];
		buf[4] = (uint8_t)~buf[2];
	}
	memcpy(buf + head, m->data ? m->data : "", len);
	return head + len;
}

static uint32_t crc_of(const char *data, size_t len)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len; i++) {
		crc ^= (uint8_t)data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

struct truth {
	uint32_t crc, size, packed;
	uint16_t method;
	size_t name_len;
};

static struct truth truth_of(const struct member *m, uint8_t *buf, size_t buf_size)
{
	size_t len = m->data ? strlen(m->data) : 0;
	struct truth t = {.packed = (uint32_t)pack(m, buf, buf_size)};

	t.crc = m->crc ? m->crc : crc_of(m->data, len);
	t.size = m->size ? m->size : (uint32_t)len;
	t.method = m->method ? m->method : m->deflate ? 8 : 0;
	t.name_len = m->name_len ? (size_t)m->name_len : strlen(m->name);
	return t;
}

static void put_local(struct made *z, const struct member *m)
{
	uint8_t buf[8192];
	struct truth t = truth_of(m, buf, sizeof(buf));
	bool late = m->flags & LATE;
	uint32_t packed = m->packed ? m->packed : t.packed;
	uint32_t size = m->local_size ? m->local_size : t.size;
	size_t extra_len = m->central_extra ? 0 : m->extra_len;

	put(z, 0x04034b50, 4);
	put(z, m->wide ? 45 : 20, 2);
	put(z, m->flags | m->local_flags, 2);
	put(z, t.method, 2);
	put(z, 0, 4);
	put(z, late ? 0 : t.crc, 4);
	put(z, m->wide ? UINT32_MAX : late ? 0 : packed, 4);
	put(z, m->wide ? UINT32_MAX : late && !m->sized ? 0 : size, 4);
	put(z, t.name_len, 2);
	put(z, extra_len + (m->wide ? 20 : 0), 2);
	put_bytes(z, m->local_name ? m->local_name : m->name, t.name_len);
	if (m->wide) {
		put(z, 0x100001, 4);
		put(z, late ? 0 : size, 8);
		put(z, late ? 0 : packed, 8);
	}
	put_bytes(z, m->extra, extra_len);
	put_bytes(z, buf, t.packed);
	if (late && !m->no_descriptor) {
		if (!m->narrow)
			put(z, 0x08074b50, 4);
		put(z, t.crc, 4);
		put(z, packed, m->wide ? 8 : 4);
		put(z, t.size, m->wide ? 8 : 4);
	}
}

static void put_central(struct made *z, const struct member *m, size_t at)
{
	uint8_t buf[8192];
	struct truth t = truth_of(m, buf, sizeof(buf));
	size_t extra_len = m->local_extra ? 0 : m->extra_len;

	put(z, 0x02014b50, 4);
	put(z, m->made_by ? m->made_by : UNIX | 20, 2);
	put(z, m->wide ? 45 : 20, 2);
	put(z, m->flags, 2);
	put(z, t.method, 2);
	put(z, 0, 4);
	put(z, t.crc, 4);
	put(z, m->wide ? UINT32_MAX : m->packed ? m->packed : t.packed, 4);
	put(z, m->wide ? UINT32_MAX : t.size, 4);
	put(z, t.name_len, 2);
	put(z, extra_len + (m->wide ? 28 : 0), 2);
	put(z, 0, 2);
	put(z, m->disk, 2);
	put(z, 0, 2);
	put(z, m->attr, 4);
	put(z, m->wide ? UINT32_MAX : at + (size_t)m->shift, 4);
	put_bytes(z, m->name, t.name_len);
	if (m->wide) {
		put(z, 0x180001, 4);
		put(z, t.size, 8);
		put(z, m->packed ? m->packed : t.packed, 8);
		put(z, at + (size_t)m->shift, 8);
	}
	put_bytes(z, m->extra, extra_len);
}

static void put_end(struct made *z, size_t n, size_t directory)
{
	size_t end = z->len;
	int64_t size = (int64_t)(end - directory) + z->directory_size;
	int64_t at = (int64_t)directory + z->directory_at;

	if (z->zip64) {
		put(z, 0x06064b50, 4);
		put(z, 44, 8);
		put(z, 45 | 45 << 16, 4);
		put(z, 0, 8);
		put(z, n, 8);
		put(z, n, 8);
		put(z, (uint64_t)size, 8);
		put(z, (uint64_t)at, 8);
		put(z, 0x07064b50, 4);
		put(z, 0, 4);
		put(z, end, 8);
		put(z, 1, 4);
	}
	put(z, 0x06054b50, 4);
	put(z, (uint64_t)z->disk, 4);
	put(z, n + (size_t)z->entries, 2);
	put(z, n + (size_t)z->entries, 2);
	put(z, z->zip64 ? UINT32_MAX : (uint64_t)size, 4);
	put(z, z->zip64 ? UINT32_MAX : (uint64_t)at, 4);
	put(z, z->comment ? strlen(z->comment) : 0, 2);
	put_bytes(z, z->comment, z->comment ? strlen(z->comment) : 0);
}

static void make_zip(struct made *z, const struct member *members, size_t n)
{
	size_t directory;

	z->len = 0;
	for (size_t i = 0; i < n; i++) {
		z->at[i] = z->len;
		put_local(z, &members[i]);
	}
	directory = z->len;
	for (size_t i = 0; i < n; i++)
		put_central(z, &members[i], z->at[i]);
	put_end(z, n, directory);
}

#endif
