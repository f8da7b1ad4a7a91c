// SPDX-License-Identifier: Apache-2.0
/* The folder that comes with a task, as a tar. */

#include "lib/sha256.h"
#include "supervisor/front/core/package/extract.h"

#define READ_SIZE (64u << 10)

struct tar {
	struct extract x;
	int fd;
	off_t offset; /* in fd */
	struct sha256 sha;
	char buf[READ_SIZE];
};

static la_ssize_t read_block(struct archive *a, void *arg, const void **ret)
{
	struct tar *t = arg;
	ssize_t n;

	do
		n = pread(t->fd, t->buf, sizeof(t->buf), t->offset);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		archive_set_error(a, errno, "cannot read the archive");
		return -1;
	}
	sha256_add(&t->sha, t->buf, (size_t)n);
	t->offset += n;
	*ret = t->buf;
	return n;
}

static int extract_all(struct tar *t, struct err *e)
{
	struct archive_entry *entry;
	unsigned entries = 0;
	const void *rest;
	int r, status;

	if (archive_read_support_format_tar(t->x.in) != ARCHIVE_OK ||
	    archive_read_open(t->x.in, t, NULL, read_block, NULL) != ARCHIVE_OK)
		return extract_refuse(e, "archive", "it is not a tar archive");
	/* A warning: a name that this locale does not hold; it comes as UTF-8 then. */
	while ((status = archive_read_next_header(t->x.in, &entry)) == ARCHIVE_OK ||
	       status == ARCHIVE_WARN) {
		const char *name = archive_entry_pathname(entry);

		if (++entries > PACKAGE_ENTRIES_MAX)
			return extract_refuse(e, "archive", "it has more than 100000 entries");
		if (!name)
			name = archive_entry_pathname_utf8(entry);
		if (!name)
			return extract_refuse(e, "?", "a name cannot be read");
		r = extract_entry(&t->x, entry, name, e);
		if (r < 0)
			return r;
	}
	if (status != ARCHIVE_EOF)
		return extract_refuse(e, "archive", "it is damaged, or is not a tar archive");
	/* What follows the end mark is part of what is named by the digest. */
	while ((r = (int)read_block(t->x.in, t, &rest)) > 0)
		;
	if (r < 0)
		return extract_refuse(e, "archive", "it cannot be read");
	return extract_end(&t->x, e);
}

int package_extract_tar(int fd, int dirfd, uint64_t bytes_max, uint8_t digest[32], struct err *e)
{
	struct tar *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return err_set(e, ERR_SYSTEM, ENOMEM, "the task's folder");
	t->fd = fd;
	t->x = (struct extract){.dirfd = dirfd, .bytes_left = bytes_max, .in = archive_read_new()};
	sha256_begin(&t->sha);
	if (!t->x.in)
		r = extract_cannot_keep(e, ENOMEM, "it");
	else
		r = extract_all(t, e);
	if (r == 0 && sha256_end(&t->sha, digest) < 0)
		r = extract_cannot_keep(e, ENOMEM, "it");
	extract_clear(&t->x);
	sha256_clear(&t->sha);
	(void)archive_read_free(t->x.in);
	free(t);
	return r < 0 ? err_wrap(e, r, "the task's folder") : 0;
}
