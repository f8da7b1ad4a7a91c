// SPDX-License-Identifier: Apache-2.0
/* What an entry of a zip is called: APPNOTE.TXT 4.4.17, 4.6.9 and appendix D. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "lib/text.h"
#include "supervisor/front/core/package/extract.h"
#include "supervisor/front/core/package/zip_bytes.h"

#define EXTRA_UNICODE_PATH 0x7075 /* 4.6.9 */
#define UNICODE_PATH_HEAD 5	  /* a version, and the CRC-32 of the name that it stands for */
#define UTF8_MAX 3		  /* bytes of any character of this page */

/* Code page 437, its upper half. What is below is ASCII. */
static const uint16_t page_437[128] = {
	0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8,
	0x00ef, 0x00ee, 0x00ec, 0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2,
	0x00fb, 0x00f9, 0x00ff, 0x00d6, 0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192, 0x00e1,
	0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1, 0x00aa, 0x00ba, 0x00bf, 0x2310, 0x00ac, 0x00bd,
	0x00bc, 0x00a1, 0x00ab, 0x00bb, 0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561, 0x2562,
	0x2556, 0x2555, 0x2563, 0x2551, 0x2557, 0x255d, 0x255c, 0x255b, 0x2510, 0x2514, 0x2534,
	0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566, 0x2560,
	0x2550, 0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256b,
	0x256a, 0x2518, 0x250c, 0x2588, 0x2584, 0x258c, 0x2590, 0x2580, 0x03b1, 0x00df, 0x0393,
	0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4, 0x03a6, 0x0398, 0x03a9, 0x03b4, 0x221e, 0x03c6,
	0x03b5, 0x2229, 0x2261, 0x00b1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00f7, 0x2248, 0x00b0,
	0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, 0x00a0,
};

static bool is_utf8(const uint8_t *name, size_t len)
{
	uint32_t c;
	int n;

	for (size_t i = 0; i < len; i += (size_t)n) {
		n = log_text_utf8(name + i, len - i, &c);
		if (n <= 0)
			return false;
	}
	return true;
}

/* The field that has the name in UTF-8; NULL where there is none, or it is of another name. */
static const uint8_t *unicode_path(const uint8_t *name, size_t len, const uint8_t *extra,
				   size_t extra_len, size_t *ret_len)
{
	const uint8_t *p = extra, *end = extra + extra_len;

	while (end - p >= 4) {
		const uint16_t id = zip_get16(p), size = zip_get16(p + 2);

		p += 4;
		if (size > end - p)
			return NULL;
		/* With another sum, somebody has renamed the entry who did not know of the field.
		 */
		if (id == EXTRA_UNICODE_PATH && size > UNICODE_PATH_HEAD && p[0] == 1 &&
		    zip_get32(p + 1) == crc32(0, name, (uInt)len)) {
			*ret_len = size - UNICODE_PATH_HEAD;
			return p + UNICODE_PATH_HEAD;
		}
		p += size;
	}
	return NULL;
}

static char *from_437(const uint8_t *name, size_t len)
{
	char *text = malloc(UTF8_MAX * len + 1), *to = text;

	if (!text)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		const unsigned c = name[i] < 0x80 ? name[i] : page_437[name[i] - 0x80];

		if (c < 0x80) {
			*to++ = (char)c;
		} else if (c < 0x800) {
			*to++ = (char)(0xc0 | c >> 6);
			*to++ = (char)(0x80 | (c & 0x3f));
		} else {
			*to++ = (char)(0xe0 | c >> 12);
			*to++ = (char)(0x80 | (c >> 6 & 0x3f));
			*to++ = (char)(0x80 | (c & 0x3f));
		}
	}
	*to = '\0';
	return text;
}

static int check(const char *name, size_t len, struct err *e)
{
	if (memchr(name, '\0', len))
		return extract_refuse(e, name, "the name has a NUL in it");
	if (strchr(name, '\\'))
		return extract_refuse(e, name,
				      "the name has a back slash: folders are separated by /");
	if (len >= PACKAGE_PATH_MAX)
		return extract_refuse(e, name, "the name is too long");
	return 0;
}

int package_zip_name(const struct zip_name *raw, char **ret, struct err *e)
{
	_cleanup_free_ char *name = NULL;
	const uint8_t *unicode;
	size_t len = raw->len;
	int r;

	if (len == 0)
		return extract_refuse(e, "archive", "an entry has no name");
	unicode = unicode_path(raw->bytes, len, raw->extra, raw->extra_len, &len);
	if (!unicode) {
		unicode = raw->bytes;
		len = raw->len;
	} else if (raw->is_utf8 && (len != raw->len || memcmp(unicode, raw->bytes, len) != 0)) {
		_cleanup_free_ char *shown = strndup((const char *)raw->bytes, raw->len);

		return extract_refuse(e, shown ? shown : "?", "it has two names");
	}
	/* Many say nothing of a name in UTF-8; by chance, one of another kind hardly is. */
	if (is_utf8(unicode, len)) {
		name = malloc(len + 1);
		if (name) {
			memcpy(name, unicode, len);
			name[len] = '\0';
		}
	} else if (raw->is_utf8 || unicode != raw->bytes) {
		name = strndup((const char *)unicode, len);
		r = extract_refuse(e, name ? name : "?",
				   "the name is not UTF-8, as it says: pack it again");
		return r;
	} else {
		name = from_437(raw->bytes, len);
		len = name && !memchr(raw->bytes, '\0', len) ? strlen(name) : len;
	}
	if (!name)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot be read");
	r = check(name, len, e);
	if (r == 0)
		*ret = TAKE_PTR(name);
	return r;
}
