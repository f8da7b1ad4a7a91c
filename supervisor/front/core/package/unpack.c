// SPDX-License-Identifier: Apache-2.0
/* Everything is made under a temporary name first: what has its real one is whole. */
#include "supervisor/front/core/package/unpack.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "lib/sha256.h"
#include "supervisor/front/core/core.h"
#include "supervisor/front/core/package/extract.h"
#include "supervisor/front/core/package/unescape.h"
#include "supervisor/front/core/package/zip_index.h"

#define COPY_SIZE (64u << 10)

/* What to unpack: a tar's fd or a zip in memory. */
struct source {
	int tar;
	const void *zip;
	size_t zip_len;
};

static void temporary_name(char *buf, size_t size, const char *end)
{
	char id[TASK_ID_LEN + 1];

	util_new_id(id);
	(void)snprintf(buf, size, PACKAGE_TMP "%s%s", id, end);
}

static int extract(struct front *f, const struct source *from, int dir, struct unpacked *ret,
		   struct err *e)
{
	uint64_t bytes;

	if (from->zip)
		return package_extract_zip(from->zip, from->zip_len, dir, f->cfg.package_bytes_max,
					   &bytes, e);
	return package_extract_tar(from->tar, dir, f->cfg.package_bytes_max, ret->package, e);
}

static int unpack_to_name(struct front *f, const struct source *from, struct unpacked *ret,
			  struct err *e)
{
	int packages = f->cfg.packages_dirfd, r;
	_cleanup_fd_ int dir = -1;
	char tmp[64], name[65];

	temporary_name(tmp, sizeof(tmp), "");
	if (mkdirat(packages, tmp, 0755) == 0)
		dir = openat(packages, tmp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return extract_cannot_keep(e, errno, "the folder");
	r = extract(f, from, dir, ret, e);
	util_close_fd(&dir);
	if (r == 0) {
		util_hex(ret->package, 32, name);
		/* Another one of the same content may have come first: then it is that one. */
		if (renameat2(packages, tmp, packages, name, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno != EEXIST)
			r = extract_cannot_keep(e, errno, "the folder");
	}
	package_remove(packages, tmp);
	return r;
}

int unpack_tar(struct front *f, int fd, struct unpacked *ret, struct err *e)
{
	return unpack_to_name(f, &(struct source){.tar = fd}, ret, e);
}

static int copy_all(int fd, int to, uint64_t max, struct unpacked *ret, struct err *e)
{
	_cleanup_free_ char *buf = malloc(COPY_SIZE);
	_cleanup_sha256_ struct sha256 sha = {0};
	uint64_t n = 0;

	sha256_begin(&sha);
	if (!buf)
		return err_set(e, ERR_SYSTEM, ENOMEM, "the zip cannot be read");
	for (;;) {
		ssize_t len = pread(fd, buf, COPY_SIZE, (off_t)n);
		int r;

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return err_set(e, ERR_SYSTEM, errno, "the zip cannot be read");
		if (len == 0)
			break;
		if ((uint64_t)len > max - n)
			return err_set(e, ERR_LIMIT, 0,
				       "the zip has more than %llu bytes, which are allowed",
				       (unsigned long long)max);
		r = util_write_all(to, buf, (size_t)len);
		if (r < 0)
			return extract_cannot_keep(e, -r, "the zip");
		sha256_add(&sha, buf, (size_t)len);
		n += (uint64_t)len;
	}
	ret->zip_bytes = n;
	if (sha256_end(&sha, ret->zip) < 0)
		return err_set(e, ERR_SYSTEM, ENOMEM, "the zip cannot be read");
	return 0;
}

/* Our own copy, which nobody changes while it is read. */
static int copy_zip(struct front *f, int fd, int to, struct unpacked *ret, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, ERR_INPUT, 0, "the zip must be a regular file");
	return copy_all(fd, to, f->cfg.package_bytes_max, ret, e);
}

static int measure(struct front *f, const struct source *from, struct package_size *ret,
		   struct err *e)
{
	struct zip_index index = {0};
	int r;

	r = package_zip_index(from->zip, from->zip_len, f->cfg.package_bytes_max, &index, e);
	if (r == 0)
		r = package_zip_size(&index, from->zip_len, ret, e);
	package_zip_index_clear(&index);
	return r < 0 ? err_wrap(e, r, "zip") : 0;
}

static bool is_there(struct front *f, const struct unpacked *is)
{
	int dir = package_open(f, is->package);

	if (dir < 0)
		return false;
	util_close_fd(&dir);
	return true;
}

static int check_room(const struct package_size *size, const struct package_size *room,
		      struct err *e)
{
	if (size->bytes <= room->bytes && size->files <= room->files)
		return 0;
	return err_set(
		e, ERR_LIMIT, 0,
		"zip: with its files it takes %llu bytes in %llu files and folders on the "
		"disk, and the project's quotas \"package_bytes\" and \"package_files\" leave "
		"it %llu and %llu: remove codes that are not used",
		(unsigned long long)size->bytes, (unsigned long long)size->files,
		(unsigned long long)room->bytes, (unsigned long long)room->files);
}

static int unpack_copy(struct front *f, int copy, const struct package_size *room,
		       struct unpacked *ret, struct err *e)
{
	struct source from = {.tar = -1, .zip_len = ret->zip_bytes};
	void *map;
	int r;

	if (ret->zip_bytes == 0)
		return err_set(e, ERR_INPUT, 0, "zip: it is empty");
	map = mmap(NULL, ret->zip_bytes, PROT_READ, MAP_PRIVATE, copy, 0);
	if (map == MAP_FAILED)
		return err_set(e, ERR_SYSTEM, errno, "the zip cannot be read");
	from.zip = map;
	package_zip_digest(ret->zip, ret->package);
	r = measure(f, &from, &ret->size, e);
	/* The same zip has been unpacked before: it is known to be good, and takes no more room. */
	if (r == 0 && !is_there(f, ret)) {
		r = check_room(&ret->size, room, e);
		if (r == 0)
			r = unpack_to_name(f, &from, ret, e);
	}
	(void)munmap(map, ret->zip_bytes);
	return r;
}

/*
 * A client that is written in Python 3 sends what it prints of the bytes, "b'PK...'": the bytes of
 * that in an unlinked file, whose fd is the caller's. -1 in *ret where the file is a zip as it is.
 */
static int plain_zip(struct front *f, int from, int *ret, struct err *e)
{
	_cleanup_free_ char *text = malloc(COPY_SIZE), *bytes = malloc(COPY_SIZE);
	struct iron_unescape u = {0};
	_cleanup_fd_ int to = -1;
	uint64_t at = 0;
	char head[2];
	size_t n;
	ssize_t got;

	*ret = -1;
	if (pread(from, head, sizeof(head), 0) != sizeof(head) || !iron_unescape_wanted(head))
		return 0;
	to = openat(f->cfg.packages_dirfd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (!text || !bytes || to < 0)
		return err_set(e, ERR_SYSTEM, to < 0 ? errno : ENOMEM, "file: cannot be kept");
	while ((got = pread(from, text, COPY_SIZE, (off_t)at)) > 0) {
		if (iron_unescape(&u, text, (size_t)got, bytes, &n) < 0)
			return err_set(e, ERR_INPUT, 0,
				       "file: it starts as what Python prints of bytes, and is "
				       "wrong at byte %zu",
				       u.offset);
		if (util_write_all(to, bytes, n) < 0)
			return extract_cannot_keep(e, errno, "file: it");
		at += (uint64_t)got;
	}
	if (got < 0)
		return err_set(e, ERR_SYSTEM, errno, "file: cannot be read");
	if (iron_unescape_end(&u) < 0)
		return err_set(e, ERR_INPUT, 0,
			       "file: it starts as what Python prints of bytes, and has no end");
	*ret = TAKE_FD(to);
	return 0;
}

int unpack_zip(struct front *f, int fd, const struct package_size *room, struct unpacked *ret,
	       struct err *e)
{
	int packages = f->cfg.packages_dirfd, r;
	char tmp[64], name[PACKAGE_NAME_MAX + 1];
	_cleanup_fd_ int copy = -1, plain = -1;

	r = plain_zip(f, fd, &plain, e);
	if (r < 0)
		return r;
	temporary_name(tmp, sizeof(tmp), PACKAGE_ZIP);
	copy = openat(packages, tmp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (copy < 0)
		return extract_cannot_keep(e, errno, "the zip");
	r = copy_zip(f, plain >= 0 ? plain : fd, copy, ret, e);
	if (r == 0)
		r = unpack_copy(f, copy, room, ret, e);
	if (r == 0) {
		util_hex(ret->zip, 32, name);
		strcat(name, PACKAGE_ZIP);
		/* In the place of another of the same bytes, which may be about to go. */
		if (renameat(packages, tmp, packages, name) < 0 || syncfs(packages) < 0)
			r = extract_cannot_keep(e, errno, "the zip");
	}
	if (r < 0)
		(void)unlinkat(packages, tmp, 0);
	return r;
}
