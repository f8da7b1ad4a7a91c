// SPDX-License-Identifier: Apache-2.0
/* The structure of a zip, by PKWARE's APPNOTE.TXT 6.3.10; section numbers are of it. */
#include "supervisor/front/core/package/zip_index.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "supervisor/front/core/package/extract.h"
#include "supervisor/front/core/package/zip_bytes.h"

#define LOCAL_SIZE 30	  /* 4.3.7 */
#define CENTRAL_SIZE 46	  /* 4.3.12 */
#define DESCRIPTOR_MAX 24 /* 4.3.9 */

#define FLAG_ENCRYPTED (1u << 0 | 1u << 6 | 1u << 13)
#define FLAG_LATE (1u << 3)
#define FLAG_UTF8 (1u << 11)
#define METHOD_STORED 0
#define METHOD_DEFLATED 8
#define MADE_BY_UNIX 3
#define EXTRA_ZIP64 0x0001

/* What both headers of an entry say, and what their extra fields say better. */
struct header {
	uint16_t flags, method, mode; /* mode: 0 where the zip was not made by a Unix */
	uint32_t crc;
	uint64_t packed, size, at, disk;
	const uint8_t *name, *extra;
	uint16_t name_len, extra_len;
};

static int refuse_entry(struct err *e, const void *name, size_t len, const char *why)
{
	char shown[128];

	(void)snprintf(shown, sizeof(shown), "%.*s", (int)len, (const char *)name);
	return extract_refuse(e, shown, why);
}

/* 4.5.3: the fields that are full of ones stand here, in this order. */
static int read_zip64(struct header *h, const uint8_t *p, uint16_t len)
{
	const uint8_t *end = p + len;

	for (int i = 0; i < 3; i++) {
		uint64_t *field = i == 0 ? &h->size : i == 1 ? &h->packed : &h->at;

		if (*field != UINT32_MAX)
			continue;
		if (end - p < 8)
			return -EINVAL;
		*field = zip_get64(p);
		p += 8;
	}
	if (h->disk == UINT16_MAX && end - p >= 4)
		h->disk = zip_get32(p);
	return 0;
}

static int read_extra(struct header *h, struct err *e)
{
	const uint8_t *p = h->extra, *end = p + h->extra_len;
	bool seen = false;

	while (end - p >= 4) {
		uint16_t id = zip_get16(p), len = zip_get16(p + 2);

		p += 4;
		if (len > end - p)
			return refuse_entry(e, h->name, h->name_len, "its extra field is damaged");
		if (id == EXTRA_ZIP64 && (seen || read_zip64(h, p, len) < 0))
			return refuse_entry(e, h->name, h->name_len, "its ZIP64 field is damaged");
		seen |= id == EXTRA_ZIP64;
		p += len;
	}
	return 0;
}

static int take_name(const struct header *h, char **ret, struct err *e)
{
	const struct zip_name raw = {.bytes = h->name,
				     .len = h->name_len,
				     .extra = h->extra,
				     .extra_len = h->extra_len,
				     .is_utf8 = h->flags & FLAG_UTF8};

	return package_zip_name(&raw, ret, e);
}

/* libarchive makes files of all others. */
static bool is_type(uint16_t mode)
{
	return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) || (mode & S_IFMT) == 0;
}

static int check_header(const struct header *h, struct err *e)
{
	const char *why = NULL;

	if (h->flags & FLAG_ENCRYPTED)
		why = "it is encrypted: pack it without a password";
	else if (h->method != METHOD_STORED && h->method != METHOD_DEFLATED)
		why = "it is not compressed by deflate: pack it with that, or uncompressed";
	else if (h->disk != 0)
		why = "it lies in another part of a split zip: send one whole zip";
	else if (h->size > INT64_MAX || h->packed > INT64_MAX ||
		 (h->method == METHOD_STORED && h->size != h->packed))
		why = "its lengths are wrong";
	else if (!is_type(h->mode))
		why = "only files, folders and symbolic links are allowed";
	else if (h->name[h->name_len - 1] == '/' && h->size != 0)
		why = "a folder has content";
	else if (h->size > ZIP_BOMB_BYTES && h->size / ZIP_BOMB_RATIO > h->packed)
		why = "it is a zip bomb: it unpacks to more than 250 times its size";
	return why ? refuse_entry(e, h->name, h->name_len, why) : 0;
}

/* The entry's header, which repeats what the directory has said. */
static int read_local(const struct zip *z, const struct header *dir, struct zip_entry *ret,
		      struct err *e)
{
	const uint8_t *p = zip_range(z, dir->at, LOCAL_SIZE);
	_cleanup_free_ char *name = NULL;
	uint64_t at = dir->at + LOCAL_SIZE;
	struct header h = {0};
	int r;

	if (!zip_is_record(p, 3, 4))
		return refuse_entry(e, dir->name, dir->name_len, "it is not where it should be");
	h = (struct header){.flags = zip_get16(p + 6),
			    .method = zip_get16(p + 8),
			    .crc = zip_get32(p + 14),
			    .packed = zip_get32(p + 18),
			    .size = zip_get32(p + 22),
			    .name_len = zip_get16(p + 26),
			    .extra_len = zip_get16(p + 28)};
	h.name = zip_range(z, at, (uint64_t)h.name_len + h.extra_len);
	if (!h.name || h.name_len != dir->name_len || memcmp(h.name, dir->name, h.name_len) != 0)
		return refuse_entry(e, dir->name, dir->name_len, "it has two names");
	h.extra = h.name + h.name_len;
	r = read_extra(&h, e);
	if (r == 0)
		r = take_name(&h, &name, e);
	if (r < 0)
		return r;
	if (strcmp(name, ret->name) != 0)
		return refuse_entry(e, dir->name, dir->name_len, "it has two names");
	at += h.name_len + h.extra_len;
	ret->late = (h.flags | dir->flags) & FLAG_LATE;
	ret->told = h.crc == dir->crc && h.packed == dir->packed && h.size == dir->size;
	if (h.flags & FLAG_ENCRYPTED)
		return refuse_entry(e, h.name, h.name_len,
				    "it is encrypted: pack it without a password");
	/* Written before the data were there: 4.4.4 wants zeros, libarchive knows the size. */
	if (h.method != dir->method || (!ret->told && !ret->late) ||
	    (h.crc != 0 && h.crc != dir->crc) || (h.packed != 0 && h.packed != dir->packed) ||
	    (h.size != 0 && h.size != dir->size))
		return refuse_entry(e, h.name, h.name_len,
				    "its header and the zip's directory say different things");
	if (!zip_range(z, at, dir->packed))
		return refuse_entry(e, h.name, h.name_len, "it is cut short");
	ret->at = dir->at;
	ret->end = at + dir->packed;
	return 0;
}

/* The directory's record at *at, which moves past it, and what it is of. */
static int read_entry(const struct zip *z, uint64_t *at, struct zip_entry *ret, struct err *e)
{
	const uint8_t *p = zip_range(z, *at, CENTRAL_SIZE);
	struct header h = {0};
	uint64_t rest;
	int r;

	if (!zip_is_record(p, 1, 2))
		return extract_refuse(e, "archive", "its directory is damaged");
	h = (struct header){.flags = zip_get16(p + 8),
			    .method = zip_get16(p + 10),
			    .mode = p[5] == MADE_BY_UNIX ? zip_get16(p + 40) : 0,
			    .crc = zip_get32(p + 16),
			    .packed = zip_get32(p + 20),
			    .size = zip_get32(p + 24),
			    .name_len = zip_get16(p + 28),
			    .extra_len = zip_get16(p + 30),
			    .disk = zip_get16(p + 34),
			    .at = zip_get32(p + 42)};
	rest = (uint64_t)h.name_len + h.extra_len + zip_get16(p + 32);
	h.name = zip_range(z, *at + CENTRAL_SIZE, rest);
	if (!h.name)
		return extract_refuse(e, "archive", "its directory is damaged");
	h.extra = h.name + h.name_len;
	*at += CENTRAL_SIZE + rest;
	r = take_name(&h, &ret->name, e);
	if (r == 0)
		r = read_extra(&h, e);
	if (r == 0)
		r = check_header(&h, e);
	if (r < 0)
		return r;
	ret->packed = h.packed;
	ret->size = h.size;
	ret->crc = h.crc;
	ret->mode = h.mode & 07777;
	return read_local(z, &h, ret, e);
}

/* True when the bytes between an entry's content and what follows are its descriptor: with
 * or without a signature, with lengths of 4 or of 8 bytes. */
static bool is_descriptor(const struct zip *z, const struct zip_entry *entry, uint64_t len)
{
	const uint8_t *p = z->bytes + entry->end;
	bool wide = len == 20 || len == 24;

	if (len == 16 || len == 24) {
		if (!zip_is_record(p, 7, 8))
			return false;
		p += 4;
	} else if (len != 12 && len != 20) {
		return false;
	}
	if (zip_get32(p) != entry->crc)
		return false;
	return wide ? zip_get64(p + 4) == entry->packed && zip_get64(p + 12) == entry->size
		    : zip_get32(p + 4) == entry->packed && zip_get32(p + 8) == entry->size;
}

static int by_place(const void *a, const void *b)
{
	const struct zip_entry *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

/* No byte belongs to two entries, or to none. */
static int check_places(const struct zip *z, struct zip_index *index, struct err *e)
{
	qsort(index->entries, index->n, sizeof(*index->entries), by_place);
	if (index->entries[0].at != 0)
		return extract_refuse(
			e, "archive",
			"something stands before its first entry: send the zip alone");
	for (size_t i = 0; i < index->n; i++) {
		const struct zip_entry *entry = &index->entries[i];
		uint64_t next = i + 1 < index->n ? entry[1].at : z->directory_at;

		if (entry->end > next)
			return extract_refuse(e, entry->name, "it overlaps with what follows it");
		if (entry->late && is_descriptor(z, entry, next - entry->end))
			continue;
		if (entry->end != next || !entry->told)
			return extract_refuse(e, entry->name,
					      "what follows its content belongs to nothing");
	}
	return 0;
}

static int read_directory(const struct zip *z, struct zip_index *index, struct err *e)
{
	uint64_t at = z->directory_at;

	for (index->n = 0; index->n < z->n; index->n++) {
		struct zip_entry *entry = &index->entries[index->n];
		int r;

		index->n_named = index->n + 1;
		r = read_entry(z, &at, entry, e);

		if (r < 0)
			return r;
		if (entry->size > z->bytes_max - index->bytes)
			return err_set(e, ERR_LIMIT, 0,
				       "it unpacks to more than %llu bytes, which are allowed",
				       (unsigned long long)z->bytes_max);
		index->bytes += entry->size;
	}
	if (at != z->directory_at + z->directory_size)
		return extract_refuse(e, "archive", "its directory is damaged");
	if (index->bytes > ZIP_BOMB_BYTES && index->bytes / ZIP_BOMB_RATIO > z->len)
		return extract_refuse(
			e, "archive",
			"it is a zip bomb: it unpacks to more than 250 times its size");
	return check_places(z, index, e);
}

int package_zip_index(const void *zip, size_t len, uint64_t bytes_max, struct zip_index *ret,
		      struct err *e)
{
	struct zip z = {.bytes = zip, .len = len, .bytes_max = bytes_max};
	struct zip_index index = {0};
	int r;

	r = package_zip_end(&z, e);
	if (r < 0)
		return r;
	if (z.n == 0)
		return extract_refuse(e, "archive",
				      "nothing is in it: the worker's files are to be");
	if (z.n > PACKAGE_ENTRIES_MAX)
		return extract_refuse(e, "archive", "it has more than 100000 entries");
	index.entries = calloc(z.n, sizeof(*index.entries));
	if (!index.entries)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot be read");
	index.directory_at = z.directory_at;
	r = read_directory(&z, &index, e);
	if (r < 0)
		package_zip_index_clear(&index);
	else
		*ret = index;
	return r;
}

void package_zip_index_clear(struct zip_index *index)
{
	for (size_t i = 0; index->entries && i < index->n_named; i++)
		free(index->entries[i].name);
	free(index->entries);
	*index = (struct zip_index){0};
}
