// SPDX-License-Identifier: Apache-2.0
/* The folder that comes with a task, as a tar. */
#include <archive.h>
#include <archive_entry.h>

#include "lib/sha256.h"
#include "supervisor/front/core/package/extract.h"

#define READ_SIZE (64u << 10)

struct tar {
	struct extract x;
	struct archive *in;
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

static int read_data(void *arg, const void **bytes, size_t *len, int64_t *at)
{
	struct tar *t = arg;
	int status = archive_read_data_block(t->in, bytes, len, at);

	return status == ARCHIVE_OK ? 1 : status == ARCHIVE_EOF ? 0 : -EINVAL;
}

static struct extract_entry describe(struct archive_entry *in, const char *name)
{
	const char *target = archive_entry_symlink(in);

	return (struct extract_entry){
		.name = name,
		.mode = archive_entry_filetype(in) | archive_entry_perm(in),
		.size = archive_entry_size(in) > 0 ? (uint64_t)archive_entry_size(in) : 0,
		.target = target ? target : archive_entry_symlink_utf8(in),
		.hard_link = archive_entry_hardlink(in),
		.has_mtime = archive_entry_mtime_is_set(in),
		.mtime = archive_entry_mtime(in),
	};
}

static int extract_all(struct tar *t, struct err *e)
{
	struct extract_entry is;
	struct archive_entry *entry;
	unsigned entries = 0;
	const void *rest;
	int r, status;

	if (archive_read_support_format_tar(t->in) != ARCHIVE_OK ||
	    archive_read_open(t->in, t, NULL, read_block, NULL) != ARCHIVE_OK)
		return extract_refuse(e, "archive", "it is not a tar archive");
	/* A warning: a name that this locale does not hold; it comes as UTF-8 then. */
	while ((status = archive_read_next_header(t->in, &entry)) == ARCHIVE_OK ||
	       status == ARCHIVE_WARN) {
		const char *name = archive_entry_pathname(entry);

		if (++entries > PACKAGE_ENTRIES_MAX)
			return extract_refuse(e, "archive", "it has more than 100000 entries");
		if (!name)
			name = archive_entry_pathname_utf8(entry);
		if (!name)
			return extract_refuse(e, "?", "a name cannot be read");
		is = describe(entry, name);
		r = extract_entry(&t->x, &is, e);
		if (r < 0)
			return r;
	}
	if (status != ARCHIVE_EOF && archive_errno(t->in) == ENOMEM)
		return extract_cannot_keep(e, ENOMEM, "it");
	if (status != ARCHIVE_EOF)
		return extract_refuse(e, "archive", "it is damaged, or is not a tar archive");
	/* What follows the end mark is part of what is named by the digest. */
	while ((r = (int)read_block(t->in, t, &rest)) > 0)
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
	t->in = archive_read_new();
	t->x = (struct extract){
		.dirfd = dirfd, .bytes_left = bytes_max, .read = read_data, .arg = t};
	sha256_begin(&t->sha);
	if (!t->in)
		r = extract_cannot_keep(e, ENOMEM, "it");
	else
		r = extract_all(t, e);
	if (r == 0 && sha256_end(&t->sha, digest) < 0)
		r = extract_cannot_keep(e, ENOMEM, "it");
	extract_clear(&t->x);
	sha256_clear(&t->sha);
	(void)archive_read_free(t->in);
	free(t);
	return r < 0 ? err_wrap(e, r, "the task's folder") : 0;
}
