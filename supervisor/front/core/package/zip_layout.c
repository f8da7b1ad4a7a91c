// SPDX-License-Identifier: Apache-2.0
/* The structure of a zip, by PKWARE's APPNOTE.TXT 6.3.10; section numbers are of it. */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <zlib.h>

#include "lib/text.h"
#include "supervisor/front/core/package/extract.h"
#include "supervisor/front/core/package/zip.h"

#define LOCAL_SIZE 30	/* 4.3.7 */
#define CENTRAL_SIZE 46 /* 4.3.12 */
#define END_SIZE 22	/* 4.3.16 */
#define LOCATOR_SIZE 20 /* 4.3.15 */
#define END64_SIZE 56	/* 4.3.14 */

#define FLAG_ENCRYPTED (1u << 0 | 1u << 6 | 1u << 13)
#define ENCRYPTED "it is encrypted: pack it without a password"
#define FLAG_LATE (1u << 3)
#define FLAG_UTF8 (1u << 11)
#define METHOD_STORED 0
#define METHOD_DEFLATED 8
#define EXTRA_ZIP64 0x0001
#define EXTRA_UNICODE_PATH 0x7075 /* 4.6.9 */
#define EXTRA_FIELDS_MAX 16	  /* of an entry, in its header and in the directory */
#define MANY_FIELDS "it has more than 16 extra fields"
#define UNICODE_PATH_HEAD 5 /* a version, and the CRC-32 of the name that it stands for */

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
static const uint8_t *range(const struct zip_layout *l, uint64_t at, uint64_t len)
{
	return at <= l->len && len <= l->len - at ? l->bytes + at : NULL;
}

static bool is_record(const uint8_t *p, uint8_t kind, uint8_t kind2)
{
	return p && p[0] == 'P' && p[1] == 'K' && p[2] == kind && p[3] == kind2;
}

static int refuse(const struct zip_place *place, const char *why, struct err *e)
{
	char shown[128];

	(void)snprintf(shown, sizeof(shown), "%.*s", (int)place->name_len, place->name);
	return extract_refuse(e, shown, why);
}

/* The end record, after which the comment goes on to the last byte. */
static const uint8_t *find_end(const struct zip_layout *l)
{
	for (size_t comment = 0; comment <= ZIP_COMMENT_MAX; comment++) {
		const uint8_t *p;

		if (l->len < END_SIZE + comment)
			return NULL;
		p = l->bytes + l->len - END_SIZE - comment;
		/* The last one counts, whatever it says: another reader may take it. */
		if (is_record(p, 5, 6))
			return get16(p + 20) == comment ? p : NULL;
	}
	return NULL;
}

/* 4.3.14: for what the end record's fields are too small. Each field there is the same then,
 * or full of ones. */
static int read_end64(struct zip_layout *l, const uint8_t *end, const uint8_t *locator,
		      struct err *e)
{
	const uint8_t *p = range(l, get64(locator + 8), END64_SIZE);

	if (!is_record(p, 6, 6) || p + END64_SIZE != locator || get32(locator + 4) != 0 ||
	    get32(locator + 16) > 1 || get32(p + 16) != 0 || get32(p + 20) != 0 ||
	    get64(p + 24) != get64(p + 32) || get64(p + 4) != END64_SIZE - 12)
		return extract_refuse(
			e, "archive",
			"its ZIP64 end record is wrong, or it is one of several parts");
	l->n = get64(p + 32);
	l->directory_size = get64(p + 40);
	l->directory_at = get64(p + 48);
	if ((get16(end + 10) != UINT16_MAX && get16(end + 10) != l->n) ||
	    (get32(end + 12) != UINT32_MAX && get32(end + 12) != l->directory_size) ||
	    (get32(end + 16) != UINT32_MAX && get32(end + 16) != l->directory_at))
		return extract_refuse(e, "archive", "its two end records say different things");
	return 0;
}

static int read_end(struct zip_layout *l, struct err *e)
{
	const uint8_t *end = find_end(l), *locator;
	uint64_t at;
	int r;

	if (!end)
		return extract_refuse(e, "archive",
				      "it is no zip, is cut short, or has something after its end");
	if (get16(end + 4) != 0 || get16(end + 6) != 0 || get16(end + 8) != get16(end + 10))
		return extract_refuse(e, "archive",
				      "it is one of several parts: send one whole zip");
	at = (uint64_t)(end - l->bytes);
	locator = at >= LOCATOR_SIZE ? end - LOCATOR_SIZE : NULL;
	l->n = get16(end + 10);
	l->directory_size = get32(end + 12);
	l->directory_at = get32(end + 16);
	if (is_record(locator, 6, 7)) {
		r = read_end64(l, end, locator, e);
		if (r < 0)
			return r;
		at = get64(locator + 8);
	}
	if (l->directory_at > at || at - l->directory_at != l->directory_size)
		return extract_refuse(
			e, "archive",
			"its directory is not where it is said to be: something stands "
			"before the zip, or it is damaged");
	if (l->n > PACKAGE_ENTRIES_MAX)
		return extract_refuse(e, "archive", "it has more than 100000 entries");
	/* libzip would take it for another end. */
	if (memmem(l->bytes + l->directory_at, l->directory_size, "PK\5\6", 4))
		return extract_refuse(e, "archive", "its directory is damaged");
	return 0;
}

static const char *check_name(const uint8_t *name, size_t len, bool must_be_utf8)
{
	if (memchr(name, '\0', len))
		return "the name has a NUL in it";
	if (must_be_utf8 && !log_text_is_utf8(name, len))
		return "the name is not UTF-8, as it says: pack it again";
	return NULL;
}

static bool is_ascii(const uint8_t *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] & 0x80)
			return false;
	return true;
}

/*
 * The name once more, in UTF-8; libzip takes it where the sum is that of the other one. With another
 * sum, somebody has renamed the entry who did not know of the field. Readers that do not know the
 * field take the other name. The two differ only where the other one cannot be written otherwise: a
 * name in ASCII is the same in all encodings.
 */
static const char *check_unicode_path(const struct zip_place *place, const uint8_t *p, size_t len)
{
	const uint8_t *name = p + UNICODE_PATH_HEAD;
	const char *why;

	len -= UNICODE_PATH_HEAD;
	why = check_name(name, len, true);
	if (why)
		return why;
	if (((place->flags & FLAG_UTF8) || is_ascii(name, len)) &&
	    get32(p + 1) == crc32(0, (const uint8_t *)place->name, place->name_len) &&
	    (len != place->name_len || memcmp(name, place->name, len) != 0))
		return "it has two names";
	return NULL;
}

/* 4.5.3: the fields of the header that are full of ones stand here, in this order. */
static int read_zip64(struct zip_place *place, const uint8_t *p, size_t len)
{
	uint64_t *const fields[] = {&place->size, &place->packed, &place->at};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (*fields[i] != UINT32_MAX)
			continue;
		if (len < 8)
			return -EINVAL;
		*fields[i] = get64(p);
		p += 8;
		len -= 8;
	}
	return 0;
}

/* A field may have no more than four bytes, and libzip makes some dozens of them: of a zip of
 * 256 MiB, gigabytes. */
static bool has_many_fields(const uint8_t *p, size_t left)
{
	unsigned n = 0;

	while (left >= 4 && get16(p + 2) <= left - 4) {
		const size_t len = 4u + get16(p + 2);

		if (++n > EXTRA_FIELDS_MAX)
			return true;
		p += len;
		left -= len;
	}
	return false;
}

static const char *read_extra(struct zip_place *place, const uint8_t *p, size_t left)
{
	bool seen = false;

	if (has_many_fields(p, left))
		return MANY_FIELDS;
	while (left >= 4) {
		const uint16_t id = get16(p), len = get16(p + 2);
		const char *why = NULL;

		p += 4;
		left -= 4;
		if (len > left)
			return "its extra field is damaged";
		if (id == EXTRA_ZIP64 && (seen || read_zip64(place, p, len) < 0))
			return "its ZIP64 field is damaged";
		seen |= id == EXTRA_ZIP64;
		if (id == EXTRA_UNICODE_PATH && len > UNICODE_PATH_HEAD)
			why = check_unicode_path(place, p, len);
		if (why)
			return why;
		p += len;
		left -= len;
	}
	return NULL;
}

/* The entry's header and its content. */
static const char *read_local(const struct zip_layout *l, struct zip_place *place)
{
	const uint8_t *p = range(l, place->at, LOCAL_SIZE);
	uint64_t content;

	if (!is_record(p, 3, 4))
		return "it is not where it should be";
	place->flags |= get16(p + 6);
	if (place->flags & FLAG_ENCRYPTED)
		return ENCRYPTED;
	place->bare = get32(p + 14) != place->crc;
	content = place->at + LOCAL_SIZE + get16(p + 26) + get16(p + 28);
	if (!range(l, content, place->packed))
		return "it is cut short";
	if (has_many_fields(p + LOCAL_SIZE + get16(p + 26), get16(p + 28)))
		return MANY_FIELDS;
	place->end = content + place->packed;
	if (get16(p + 26) != place->name_len ||
	    memcmp(p + LOCAL_SIZE, place->name, place->name_len) != 0)
		return "it has two names";
	return check_name((const uint8_t *)place->name, place->name_len, place->flags & FLAG_UTF8);
}

/* The directory's record at *at, which moves past it. */
static int read_record(const struct zip_layout *l, uint64_t *at, struct zip_place *ret,
		       struct err *e)
{
	const uint8_t *p = range(l, *at, CENTRAL_SIZE), *extra;
	const char *why;

	if (!is_record(p, 1, 2))
		return extract_refuse(e, "archive", "its directory is damaged");
	*ret = (struct zip_place){.at = get32(p + 42),
				  .packed = get32(p + 20),
				  .size = get32(p + 24),
				  .crc = get32(p + 16),
				  .name_len = get16(p + 28),
				  .flags = get16(p + 8),
				  .name = (const char *)p + CENTRAL_SIZE};
	extra = p + CENTRAL_SIZE + ret->name_len;
	*at += CENTRAL_SIZE + ret->name_len + get16(p + 30) + get16(p + 32);
	if (*at > l->directory_at + l->directory_size)
		return extract_refuse(e, "archive", "its directory is damaged");
	if (ret->name_len == 0)
		return extract_refuse(e, "archive", "an entry has no name");
	why = ret->flags & FLAG_ENCRYPTED ? ENCRYPTED : read_extra(ret, extra, get16(p + 30));
	if (!why && get16(p + 10) != METHOD_STORED && get16(p + 10) != METHOD_DEFLATED)
		why = "it is not compressed by deflate: pack it with that, or uncompressed";
	if (!why && get16(p + 34) != 0)
		why = "it lies in another part of a split zip: send one whole zip";
	if (!why)
		why = read_local(l, ret);
	return why ? refuse(ret, why, e) : 0;
}

/* 4.3.9: the bytes between an entry's content and what follows are its CRC-32 and its lengths,
 * with or without a signature, with lengths of 4 or of 8 bytes. */
static bool is_descriptor(const struct zip_layout *l, const struct zip_place *place, uint64_t len)
{
	const uint8_t *p = l->bytes + place->end;
	bool wide = len == 20 || len == 24;

	if (len == 16 || len == 24) {
		if (!is_record(p, 7, 8))
			return false;
		p += 4;
	} else if (len != 12 && len != 20) {
		return false;
	}
	if (get32(p) != place->crc)
		return false;
	return wide ? get64(p + 4) == place->packed && get64(p + 12) == place->size
		    : get32(p + 4) == place->packed && get32(p + 8) == place->size;
}

static int by_place(const void *a, const void *b)
{
	const struct zip_place *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

const struct zip_place *zip_layout_find(const struct zip_layout *l, uint64_t at)
{
	return bsearch(&(struct zip_place){.at = at}, l->places, l->n, sizeof(*l->places),
		       by_place);
}

/* No byte belongs to two entries, or to none. */
static int check_places(struct zip_layout *l, struct err *e)
{
	qsort(l->places, l->n, sizeof(*l->places), by_place);
	if (l->places[0].at != 0)
		return extract_refuse(
			e, "archive",
			"something stands before its first entry: send the zip alone");
	for (size_t i = 0; i < l->n; i++) {
		const struct zip_place *place = &l->places[i];
		uint64_t next = i + 1 < l->n ? place[1].at : l->directory_at;

		if (place->end > next)
			return refuse(place, "it overlaps with what follows it", e);
		if ((place->flags & FLAG_LATE) && is_descriptor(l, place, next - place->end))
			continue;
		if (place->end != next || place->bare)
			return refuse(place, "what follows its content belongs to nothing", e);
	}
	return 0;
}

int zip_layout_read(const void *zip, size_t len, struct zip_layout *ret, struct err *e)
{
	struct zip_layout l = {.bytes = zip, .len = len};
	uint64_t at;
	int r;

	r = read_end(&l, e);
	if (r < 0)
		return r;
	if (l.n == 0)
		return extract_refuse(e, "archive",
				      "nothing is in it: the worker's files are to be");
	l.places = calloc(l.n, sizeof(*l.places));
	if (!l.places)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot be read");
	at = l.directory_at;
	for (size_t i = 0; r == 0 && i < l.n; i++)
		r = read_record(&l, &at, &l.places[i], e);
	if (r == 0 && at != l.directory_at + l.directory_size)
		r = extract_refuse(e, "archive", "its directory is damaged");
	if (r == 0)
		r = check_places(&l, e);
	if (r < 0)
		zip_layout_clear(&l);
	else
		*ret = l;
	return r;
}

static int by_name(const void *a, const void *b)
{
	const struct zip_place *x = a, *y = b;
	int r = memcmp(x->name, y->name, MIN(x->name_len, y->name_len));

	return r ? r : x->name_len - y->name_len;
}

bool zip_layout_twice(struct zip_layout *l, struct err *e)
{
	qsort(l->places, l->n, sizeof(*l->places), by_name);
	for (size_t i = 1; i < l->n; i++) {
		if (by_name(&l->places[i - 1], &l->places[i]) != 0)
			continue;
		(void)refuse(&l->places[i], "it is there twice", e);
		return true;
	}
	return false;
}

void zip_layout_clear(struct zip_layout *l)
{
	free(l->places);
	*l = (struct zip_layout){0};
}
