// SPDX-License-Identifier: Apache-2.0
/* A code's files, as a zip. */
#include <string.h>

#include "lib/sha256.h"
#include "supervisor/front/core/package/extract.h"
#include "supervisor/front/core/package/zip_index.h"

void package_zip_digest(const uint8_t zip[32], uint8_t package[32])
{
	/* No tar is as short as this. */
	char text[64] = "sandboxd: a zip, unpacked: ";
	size_t n = strlen(text);

	memcpy(text + n, zip, 32);
	if (sha256(text, n + 32, package) < 0)
		abort(); /* it has no way to fail but that of memory */
}

static int extract_next(struct extract *x, const struct zip_entry *known, struct err *e)
{
	const char *name = known->name;
	struct archive_entry *entry;
	int status = archive_read_next_header(x->in, &entry);

	/* A warning: a name that this locale does not hold. It is not asked for its names. */
	if (status != ARCHIVE_OK && status != ARCHIVE_WARN)
		return extract_refuse(e, name, "it is damaged");
	if (archive_entry_filetype(entry) == AE_IFREG) {
		if (archive_entry_perm(entry) & 06000)
			return extract_refuse(e, name,
					      "set-user-id and set-group-id are not allowed");
		if (!archive_entry_size_is_set(entry) ||
		    (uint64_t)archive_entry_size(entry) != known->size)
			return extract_refuse(e, name, "its lengths are wrong");
	}
	if (known->mode == 0)
		archive_entry_set_perm(entry,
				       archive_entry_filetype(entry) == AE_IFDIR ? 0755 : 0644);
	return extract_entry(x, entry, name, e);
}

/* libarchive reads the entries in the order of their content, as the index has them. */
static int extract_all(struct extract *x, const void *zip, size_t len,
		       const struct zip_index *index, struct err *e)
{
	struct archive_entry *entry;
	int r;

	if (archive_read_support_format_zip_seekable(x->in) != ARCHIVE_OK ||
	    archive_read_open_memory(x->in, zip, len) != ARCHIVE_OK)
		return extract_refuse(e, "archive", "it cannot be read as a zip");
	for (size_t i = 0; i < index->n; i++) {
		r = extract_next(x, &index->entries[i], e);
		if (r < 0)
			return r;
	}
	if (archive_read_next_header(x->in, &entry) != ARCHIVE_EOF)
		return extract_refuse(e, "archive", "it can be read in two ways");
	return extract_end(x, e);
}

int package_extract_zip(const void *zip, size_t len, int dirfd, uint64_t bytes_max,
			uint64_t *ret_bytes, struct err *e)
{
	struct extract x = {.dirfd = dirfd, .bytes_left = bytes_max, .no_holes = true};
	struct zip_index index = {0};
	int r;

	r = package_zip_index(zip, len, bytes_max, &index, e);
	if (r == 0) {
		x.in = archive_read_new();
		r = x.in ? extract_all(&x, zip, len, &index, e)
			 : err_set(e, ERR_SYSTEM, ENOMEM, "cannot be read");
	}
	*ret_bytes = index.bytes;
	(void)archive_read_free(x.in);
	extract_clear(&x);
	package_zip_index_clear(&index);
	return r < 0 ? err_wrap(e, r, "zip") : 0;
}
