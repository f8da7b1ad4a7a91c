// SPDX-License-Identifier: Apache-2.0
/* The end of a zip, where it is read first. Section numbers are of APPNOTE.TXT 6.3.10. */
#include "supervisor/front/core/package/extract.h"
#include "supervisor/front/core/package/zip_bytes.h"
#include "supervisor/front/core/package/zip_index.h"

#define END_SIZE 22	/* 4.3.16 */
#define LOCATOR_SIZE 20 /* 4.3.15 */
#define END64_SIZE 56	/* 4.3.14 */

/* 4.3.14: for what the end record's fields are too small. Each field there is the same then,
 * or full of ones. */
static int read_end64(struct zip *z, const uint8_t *end, const uint8_t *locator, struct err *e)
{
	uint64_t at = zip_get64(locator + 8);
	const uint8_t *p = zip_range(z, at, END64_SIZE);

	if (!zip_is_record(p, 6, 6) || zip_get32(locator + 4) != 0 || zip_get32(locator + 16) > 1 ||
	    zip_get32(p + 16) != 0 || zip_get32(p + 20) != 0 ||
	    zip_get64(p + 24) != zip_get64(p + 32) || zip_get64(p + 4) != END64_SIZE - 12 ||
	    p + END64_SIZE != locator)
		return extract_refuse(
			e, "archive",
			"its ZIP64 end record is wrong, or it is one of several parts");
	z->n = zip_get64(p + 32);
	z->directory_size = zip_get64(p + 40);
	z->directory_at = zip_get64(p + 48);
	if ((zip_get16(end + 10) != UINT16_MAX && zip_get16(end + 10) != z->n) ||
	    (zip_get32(end + 12) != UINT32_MAX && zip_get32(end + 12) != z->directory_size) ||
	    (zip_get32(end + 16) != UINT32_MAX && zip_get32(end + 16) != z->directory_at))
		return extract_refuse(e, "archive", "its two end records say different things");
	return z->directory_at <= at && at - z->directory_at == z->directory_size
		       ? 0
		       : extract_refuse(e, "archive",
					"its directory is not where it is said to be");
}

/* The last record, which the comment follows to the very end. */
static const uint8_t *find_end(const struct zip *z)
{
	size_t last = z->len < END_SIZE ? 0 : z->len - END_SIZE;

	for (size_t comment = 0; z->len >= END_SIZE && comment <= ZIP_COMMENT_MAX; comment++) {
		const uint8_t *p = z->bytes + last - comment;

		/* The first one from behind, whatever it says: another reader may take it. */
		if (zip_is_record(p, 5, 6))
			return zip_get16(p + 20) == comment ? p : NULL;
		if (comment == last)
			break;
	}
	return NULL;
}

int package_zip_end(struct zip *z, struct err *e)
{
	const uint8_t *end = find_end(z), *locator;
	uint64_t at;

	if (!end)
		return extract_refuse(e, "archive",
				      "it is no zip, is cut short, or has something after its end");
	if (zip_get16(end + 4) != 0 || zip_get16(end + 6) != 0 ||
	    zip_get16(end + 8) != zip_get16(end + 10))
		return extract_refuse(e, "archive",
				      "it is one of several parts: send one whole zip");
	at = (uint64_t)(end - z->bytes);
	locator = at >= LOCATOR_SIZE ? end - LOCATOR_SIZE : NULL;
	if (zip_is_record(locator, 6, 7))
		return read_end64(z, end, locator, e);
	z->n = zip_get16(end + 10);
	z->directory_size = zip_get32(end + 12);
	z->directory_at = zip_get32(end + 16);
	if (z->directory_at > at || at - z->directory_at != z->directory_size)
		return extract_refuse(
			e, "archive",
			"its directory is not where it is said to be: something stands "
			"before the zip, or it is damaged");
	return 0;
}
