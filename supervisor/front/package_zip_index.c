// SPDX-License-Identifier: Apache-2.0
/* The structure of a zip, by PKWARE's APPNOTE.TXT 6.3.10; section numbers are of it. */
#include "supervisor/front/package_zip_index.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "supervisor/front/package_extract.h"
#include "supervisor/log_text.h"

#define LOCAL_SIZE 30	  /* 4.3.7 */
#define CENTRAL_SIZE 46	  /* 4.3.12 */
#define END_SIZE 22	  /* 4.3.16 */
#define LOCATOR_SIZE 20	  /* 4.3.15 */
#define END64_SIZE 56	  /* 4.3.14 */
#define DESCRIPTOR_MAX 24 /* 4.3.9 */

#define FLAG_ENCRYPTED (1u << 0 | 1u << 6 | 1u << 13)
#define FLAG_LATE (1u << 3)
#define METHOD_STORED 0
#define METHOD_DEFLATED 8
#define MADE_BY_UNIX 3
#define EXTRA_ZIP64 0x0001
#define EXTRA_UNICODE_PATH 0x7075 /* 4.6.9 */

struct zip {
	const uint8_t *bytes;
	size_t len;
	uint64_t bytes_max;
	uint64_t n, directory_at, directory_size;
};

/* What both headers of an entry say, and what their extra fields say better. */
struct header {
	uint16_t flags, method, mode; /* mode: 0 where the zip was not made by a Unix */
	uint32_t crc;
	uint64_t packed, size, at, disk;
	const uint8_t *name, *extra;
	uint16_t name_len, extra_len;
};

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

/* len bytes at at, or NULL where the archive has not so many. */
static const uint8_t *range(const struct zip *z, uint64_t at, uint64_t len)
{
	return at <= z->len && len <= z->len - at ? z->bytes + at : NULL;
}

static bool is_record(const uint8_t *p, uint8_t kind, uint8_t kind2)
{
	return p && p[0] == 'P' && p[1] == 'K' && p[2] == kind && p[3] == kind2;
}

static int refuse(struct err *e, const char *why)
{
	return extract_refuse(e, "archive", why);
}

static int refuse_entry(struct err *e, const void *name, size_t len, const char *why)
{
	char shown[128];

	(void)snprintf(shown, sizeof(shown), "%.*s", (int)len, (const char *)name);
	return extract_refuse(e, shown, why);
}

/* 4.3.14: for what the end record's fields are too small. Each field there is the same then,
 * or full of ones. */
static int read_end64(struct zip *z, const uint8_t *end, const uint8_t *locator, struct err *e)
{
	uint64_t at = get64(locator + 8);
	const uint8_t *p = range(z, at, END64_SIZE);

	if (!is_record(p, 6, 6) || get32(locator + 4) != 0 || get32(locator + 16) > 1 ||
	    get32(p + 16) != 0 || get32(p + 20) != 0 || get64(p + 24) != get64(p + 32) ||
	    get64(p + 4) != END64_SIZE - 12 || p + END64_SIZE != locator)
		return refuse(e, "its ZIP64 end record is wrong, or it is one of several parts");
	z->n = get64(p + 32);
	z->directory_size = get64(p + 40);
	z->directory_at = get64(p + 48);
	if ((get16(end + 10) != UINT16_MAX && get16(end + 10) != z->n) ||
	    (get32(end + 12) != UINT32_MAX && get32(end + 12) != z->directory_size) ||
	    (get32(end + 16) != UINT32_MAX && get32(end + 16) != z->directory_at))
		return refuse(e, "its two end records say different things");
	return z->directory_at <= at && at - z->directory_at == z->directory_size
		       ? 0
		       : refuse(e, "its directory is not where it is said to be");
}

/* The last record, which the comment follows to the very end. */
static const uint8_t *find_end(const struct zip *z)
{
	size_t last = z->len < END_SIZE ? 0 : z->len - END_SIZE;

	for (size_t comment = 0; z->len >= END_SIZE && comment <= ZIP_COMMENT_MAX; comment++) {
		const uint8_t *p = z->bytes + last - comment;

		/* The first one from behind, whatever it says: another reader may take it. */
		if (is_record(p, 5, 6))
			return get16(p + 20) == comment ? p : NULL;
		if (comment == last)
			break;
	}
	return NULL;
}

static int read_end(struct zip *z, struct err *e)
{
	const uint8_t *end = find_end(z), *locator;
	uint64_t at;

	if (!end)
		return refuse(e, "it is no zip, is cut short, or has something after its end");
	if (get16(end + 4) != 0 || get16(end + 6) != 0 || get16(end + 8) != get16(end + 10))
		return refuse(e, "it is one of several parts: send one whole zip");
	at = (uint64_t)(end - z->bytes);
	locator = at >= LOCATOR_SIZE ? end - LOCATOR_SIZE : NULL;
	if (is_record(locator, 6, 7))
		return read_end64(z, end, locator, e);
	z->n = get16(end + 10);
	z->directory_size = get32(end + 12);
	z->directory_at = get32(end + 16);
	if (z->directory_at > at || at - z->directory_at != z->directory_size)
		return refuse(e, "its directory is not where it is said to be: something stands "
				 "before the zip, or it is damaged");
	return 0;
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
		*field = get64(p);
		p += 8;
	}
	if (h->disk == UINT16_MAX && end - p >= 4)
		h->disk = get32(p);
	return 0;
}

static int read_extra(struct header *h, struct err *e)
{
	const uint8_t *p = h->extra, *end = p + h->extra_len;
	bool seen = false;

	while (end - p >= 4) {
		uint16_t id = get16(p), len = get16(p + 2);

		p += 4;
		if (len > end - p)
			return refuse_entry(e, h->name, h->name_len, "its extra field is damaged");
		if (id == EXTRA_ZIP64 && (seen || read_zip64(h, p, len) < 0))
			return refuse_entry(e, h->name, h->name_len, "its ZIP64 field is damaged");
		seen |= id == EXTRA_ZIP64;
		if (id == EXTRA_UNICODE_PATH &&
		    (len != h->name_len + 5 || memcmp(p + 5, h->name, h->name_len) != 0))
			return refuse_entry(e, h->name, h->name_len, "it has two names");
		p += len;
	}
	return 0;
}

static int check_name(const struct header *h, struct err *e)
{
	uint32_t c;
	int n;

	if (h->name_len == 0)
		return refuse(e, "an entry has no name");
	if (h->name_len >= PACKAGE_PATH_MAX)
		return refuse_entry(e, h->name, h->name_len, "the name is too long");
	for (size_t i = 0; i < h->name_len; i += (size_t)n) {
		n = log_text_utf8(h->name + i, h->name_len - i, &c);
		if (n <= 0)
			return refuse_entry(e, h->name, h->name_len,
					    "the name is not UTF-8: pack it with UTF-8 names");
		if (c == 0)
			return refuse_entry(e, h->name, h->name_len, "the name has a NUL in it");
		if (c == '\\')
			return refuse_entry(
				e, h->name, h->name_len,
				"the name has a back slash: folders are separated by /");
	}
	return 0;
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
	const uint8_t *p = range(z, dir->at, LOCAL_SIZE);
	uint64_t at = dir->at + LOCAL_SIZE;
	struct header h = {0};
	int r;

	if (!is_record(p, 3, 4))
		return refuse_entry(e, dir->name, dir->name_len, "it is not where it should be");
	h = (struct header){.flags = get16(p + 6),
			    .method = get16(p + 8),
			    .crc = get32(p + 14),
			    .packed = get32(p + 18),
			    .size = get32(p + 22),
			    .name_len = get16(p + 26),
			    .extra_len = get16(p + 28)};
	h.name = range(z, at, (uint64_t)h.name_len + h.extra_len);
	if (!h.name || h.name_len != dir->name_len || memcmp(h.name, dir->name, h.name_len) != 0)
		return refuse_entry(e, dir->name, dir->name_len, "it has two names");
	h.extra = h.name + h.name_len;
	r = read_extra(&h, e);
	if (r < 0)
		return r;
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
	if (!range(z, at, dir->packed))
		return refuse_entry(e, h.name, h.name_len, "it is cut short");
	ret->at = dir->at;
	ret->end = at + dir->packed;
	ret->name = (const char *)h.name;
	ret->name_len = h.name_len;
	return 0;
}

/* The directory's record at *at, which moves past it, and what it is of. */
static int read_entry(const struct zip *z, uint64_t *at, struct zip_entry *ret, struct err *e)
{
	const uint8_t *p = range(z, *at, CENTRAL_SIZE);
	struct header h = {0};
	uint64_t rest;
	int r;

	if (!is_record(p, 1, 2))
		return refuse(e, "its directory is damaged");
	h = (struct header){.flags = get16(p + 8),
			    .method = get16(p + 10),
			    .mode = p[5] == MADE_BY_UNIX ? get16(p + 40) : 0,
			    .crc = get32(p + 16),
			    .packed = get32(p + 20),
			    .size = get32(p + 24),
			    .name_len = get16(p + 28),
			    .extra_len = get16(p + 30),
			    .disk = get16(p + 34),
			    .at = get32(p + 42)};
	rest = (uint64_t)h.name_len + h.extra_len + get16(p + 32);
	h.name = range(z, *at + CENTRAL_SIZE, rest);
	if (!h.name)
		return refuse(e, "its directory is damaged");
	h.extra = h.name + h.name_len;
	*at += CENTRAL_SIZE + rest;
	r = check_name(&h, e);
	if (r == 0)
		r = read_extra(&h, e);
	if (r == 0)
		r = check_header(&h, e);
	if (r < 0)
		return r;
	ret->packed = h.packed;
	ret->size = h.size;
	ret->crc = h.crc;
	return read_local(z, &h, ret, e);
}

/* True when the bytes between an entry's content and what follows are its descriptor: with
 * or without a signature, with lengths of 4 or of 8 bytes. */
static bool is_descriptor(const struct zip *z, const struct zip_entry *entry, uint64_t len)
{
	const uint8_t *p = z->bytes + entry->end;
	bool wide = len == 20 || len == 24;

	if (len == 16 || len == 24) {
		if (!is_record(p, 7, 8))
			return false;
		p += 4;
	} else if (len != 12 && len != 20) {
		return false;
	}
	if (get32(p) != entry->crc)
		return false;
	return wide ? get64(p + 4) == entry->packed && get64(p + 12) == entry->size
		    : get32(p + 4) == entry->packed && get32(p + 8) == entry->size;
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
		return refuse(e, "something stands before its first entry: send the zip alone");
	for (size_t i = 0; i < index->n; i++) {
		const struct zip_entry *entry = &index->entries[i];
		uint64_t next = i + 1 < index->n ? entry[1].at : z->directory_at;

		if (entry->end > next)
			return refuse_entry(e, entry->name, entry->name_len,
					    "it overlaps with what follows it");
		if (entry->late && is_descriptor(z, entry, next - entry->end))
			continue;
		if (entry->end != next || !entry->told)
			return refuse_entry(e, entry->name, entry->name_len,
					    "what follows its content belongs to nothing");
	}
	return 0;
}

static int read_directory(const struct zip *z, struct zip_index *index, struct err *e)
{
	uint64_t at = z->directory_at;

	for (index->n = 0; index->n < z->n; index->n++) {
		struct zip_entry *entry = &index->entries[index->n];
		int r = read_entry(z, &at, entry, e);

		if (r < 0)
			return r;
		if (entry->size > z->bytes_max - index->bytes)
			return err_set(e, ERR_LIMIT, 0,
				       "it unpacks to more than %llu bytes, which are allowed",
				       (unsigned long long)z->bytes_max);
		index->bytes += entry->size;
	}
	if (at != z->directory_at + z->directory_size)
		return refuse(e, "its directory is damaged");
	if (index->bytes > ZIP_BOMB_BYTES && index->bytes / ZIP_BOMB_RATIO > z->len)
		return refuse(e, "it is a zip bomb: it unpacks to more than 250 times its size");
	return check_places(z, index, e);
}

int package_zip_index(const void *zip, size_t len, uint64_t bytes_max, struct zip_index *ret,
		      struct err *e)
{
	struct zip z = {.bytes = zip, .len = len, .bytes_max = bytes_max};
	struct zip_index index = {0};
	int r;

	r = read_end(&z, e);
	if (r < 0)
		return r;
	if (z.n == 0)
		return refuse(e, "nothing is in it: the worker's files are to be");
	if (z.n > PACKAGE_ENTRIES_MAX)
		return refuse(e, "it has more than 100000 entries");
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
	free(index->entries);
	*index = (struct zip_index){0};
}
