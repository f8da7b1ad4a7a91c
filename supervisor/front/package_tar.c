// SPDX-License-Identifier: Apache-2.0
/* An archive to a folder, with nothing in it that reaches out of it. */
#include <archive.h>
#include <archive_entry.h>
#include <ctype.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "supervisor/front/package.h"
#include "supervisor/json_strict.h"

#define READ_SIZE (64u << 10)

struct extract {
	int fd, dirfd;
	off_t offset; /* in fd */
	EVP_MD_CTX *sha;
	struct archive *in;
	uint64_t bytes_left;
	char **folded; /* every path that was made, in lower case */
	size_t n_folded, allocated;
	char buf[READ_SIZE];
};

static int refuse(struct err *e, const char *path, const char *why)
{
	char shown[160];

	return err_set(e, ERR_INPUT, 0, "the task's folder: %s: %s",
		       json_strict_escape(path, shown, sizeof(shown)), why);
}

int package_path(const char *path, char *buf, struct err *e)
{
	size_t n = 0;
	int depth = 0;

	if (*path == '/')
		return refuse(e, path, "an absolute path is not allowed");
	for (const char *p = path; *p;) {
		size_t len = strcspn(p, "/");

		if (len == 2 && p[0] == '.' && p[1] == '.')
			return refuse(e, path, "\"..\" is not allowed");
		if (len > 255 || n + len + 2 > PACKAGE_PATH_MAX)
			return refuse(e, path, "the name is too long");
		if (len > 0 && !(len == 1 && p[0] == '.')) {
			if (++depth > PACKAGE_DEPTH_MAX)
				return refuse(e, path, "folders are nested too deep");
			if (n)
				buf[n++] = '/';
			memcpy(buf + n, p, len);
			n += len;
		}
		p += len;
		p += strspn(p, "/");
	}
	buf[n] = '\0';
	return 0;
}

int package_link(const char *path, const char *target, struct err *e)
{
	int depth = 0;

	if (!*target || *target == '/')
		return refuse(e, path, "a symbolic link must be relative");
	if (strlen(target) >= PACKAGE_PATH_MAX)
		return refuse(e, path, "the symbolic link is too long");
	for (const char *p = strchr(path, '/'); p; p = strchr(p + 1, '/'))
		depth++;
	for (const char *p = target; *p;) {
		size_t len = strcspn(p, "/");

		if (len == 2 && p[0] == '.' && p[1] == '.')
			depth--;
		else if (len > 0 && !(len == 1 && p[0] == '.'))
			depth++;
		if (depth < 0)
			return refuse(e, path, "a symbolic link leads out of the folder");
		p += len;
		p += strspn(p, "/");
	}
	return 0;
}

static la_ssize_t read_block(struct archive *a, void *arg, const void **ret)
{
	struct extract *x = arg;
	ssize_t n;

	do
		n = pread(x->fd, x->buf, sizeof(x->buf), x->offset);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		archive_set_error(a, errno, "cannot read the archive");
		return -1;
	}
	if (EVP_DigestUpdate(x->sha, x->buf, (size_t)n) != 1) {
		archive_set_error(a, ENOMEM, "cannot digest the archive");
		return -1;
	}
	x->offset += n;
	*ret = x->buf;
	return n;
}

/* Remembers a path that was made: two that differ in case alone are refused at the end. */
static int remember(struct extract *x, const char *path, struct err *e)
{
	char *folded;

	if (x->n_folded == PACKAGE_ENTRIES_MAX)
		return refuse(e, path, "the folder has more than 100000 files");
	if (x->n_folded == x->allocated) {
		size_t want = x->allocated ? 2 * x->allocated : 64;
		char **more = realloc(x->folded, want * sizeof(*more));

		if (!more)
			return err_set(e, ERR_SYSTEM, ENOMEM, "the task's folder");
		x->folded = more;
		x->allocated = want;
	}
	folded = strdup(path);
	if (!folded)
		return err_set(e, ERR_SYSTEM, ENOMEM, "the task's folder");
	for (char *p = folded; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	x->folded[x->n_folded++] = folded;
	return 0;
}

/* Opens the folder of path, made where it is missing; *ret_name: path's last part. */
static int open_parent(struct extract *x, const char *path, const char **ret_name, int *ret_fd,
		       struct err *e)
{
	_cleanup_fd_ int dir = fcntl(x->dirfd, F_DUPFD_CLOEXEC, 3);
	char name[256], made[PACKAGE_PATH_MAX];
	const char *p = path, *slash;

	while (dir >= 0 && (slash = strchr(p, '/'))) {
		int next;

		(void)snprintf(name, sizeof(name), "%.*s", (int)(slash - p), p);
		if (mkdirat(dir, name, 0777) == 0) {
			(void)snprintf(made, sizeof(made), "%.*s", (int)(slash - path), path);
			if (remember(x, made, e) < 0)
				return -EINVAL;
		} else if (errno != EEXIST) {
			return err_set(e, ERR_SYSTEM, errno, "the task's folder cannot be kept");
		}
		/* O_NOFOLLOW: a link that an earlier entry made leads nowhere. */
		next = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return refuse(e, path, "it lies in something that is not a folder");
		if (fchmod(next, 0777) < 0)
			return err_set(e, ERR_SYSTEM, errno, "the task's folder cannot be kept");
		util_close_fd(&dir);
		dir = next;
		p = slash + 1;
	}
	if (dir < 0)
		return err_set(e, ERR_SYSTEM, errno, "the task's folder cannot be kept");
	*ret_name = p;
	*ret_fd = TAKE_FD(dir);
	return 0;
}

static int write_data(struct extract *x, struct archive_entry *entry, const char *path, int fd,
		      struct err *e)
{
	uint64_t size = archive_entry_size(entry) > 0 ? (uint64_t)archive_entry_size(entry) : 0;
	const void *bytes;
	int64_t at;
	size_t len;
	int r;

	if (size > x->bytes_left)
		return err_set(e, ERR_LIMIT, 0, "the task's folder is too big when unpacked");
	x->bytes_left -= size;
	while ((r = archive_read_data_block(x->in, &bytes, &len, &at)) == ARCHIVE_OK) {
		/* A block beyond the size that was counted is a lie of the archive. */
		if (at < 0 || len > size || (uint64_t)at > size - len)
			return refuse(e, path, "it is longer than the archive says");
		while (len > 0) {
			ssize_t n = pwrite(fd, bytes, len, at);

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return err_set(e, errno == ENOSPC ? ERR_LIMIT : ERR_SYSTEM, errno,
					       "the task's folder cannot be kept");
			bytes = (const char *)bytes + n;
			at += n;
			len -= (size_t)n;
		}
	}
	if (r != ARCHIVE_EOF)
		return refuse(e, path, "the archive is damaged here");
	if (ftruncate(fd, (off_t)size) < 0)
		return err_set(e, ERR_SYSTEM, errno, "the task's folder cannot be kept");
	return 0;
}

static int make_file(struct extract *x, struct archive_entry *entry, const char *path, int dir,
		     const char *name, struct err *e)
{
	mode_t mode = archive_entry_perm(entry) & 0111 ? 0777 : 0666;
	_cleanup_fd_ int fd =
		openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0 && errno == EEXIST)
		return refuse(e, path, "it is there twice");
	if (fd < 0)
		return err_set(e, ERR_SYSTEM, errno, "the task's folder cannot be kept");
	r = write_data(x, entry, path, fd, e);
	if (r == 0 && fchmod(fd, mode) < 0)
		r = err_set(e, ERR_SYSTEM, errno, "the task's folder cannot be kept");
	return r == 0 ? remember(x, path, e) : r;
}

static int make_link(struct extract *x, const char *target, const char *path, int dir,
		     const char *name, struct err *e)
{
	int r;

	if (!target)
		return refuse(e, path, "the symbolic link cannot be read");
	r = package_link(path, target, e);
	if (r < 0)
		return r;
	if (symlinkat(target, dir, name) < 0)
		return errno == EEXIST
			       ? refuse(e, path, "it is there twice")
			       : err_set(e, ERR_SYSTEM, errno, "the task's folder cannot be kept");
	return remember(x, path, e);
}

static int make_entry(struct extract *x, struct archive_entry *entry, struct err *e)
{
	const char *raw = archive_entry_pathname(entry), *name = "";
	char path[PACKAGE_PATH_MAX + 2] = "";
	_cleanup_fd_ int dir = -1;
	int r;

	/* Names that this locale cannot hold come as UTF-8. */
	if (!raw)
		raw = archive_entry_pathname_utf8(entry);
	if (!raw)
		return refuse(e, "?", "a name cannot be read");
	r = package_path(raw, path, e);
	if (r < 0)
		return r;
	if (archive_entry_hardlink(entry))
		return refuse(e, path, "hard links are not allowed");
	if (archive_entry_filetype(entry) == AE_IFDIR) {
		/* As the parent of something in it. */
		if (*path)
			strcat(path, "/");
		return open_parent(x, path, &name, &dir, e);
	}
	if (!*path)
		return refuse(e, ".", "must be a folder");
	r = open_parent(x, path, &name, &dir, e);
	if (r < 0)
		return r;
	switch (archive_entry_filetype(entry)) {
	case AE_IFREG:
		return make_file(x, entry, path, dir, name, e);
	case AE_IFLNK:
		return make_link(x,
				 archive_entry_symlink(entry) ? archive_entry_symlink(entry)
							      : archive_entry_symlink_utf8(entry),
				 path, dir, name, e);
	default:
		return refuse(e, path, "only files, folders and symbolic links are allowed");
	}
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int check_case(struct extract *x, struct err *e)
{
	if (x->n_folded > 1)
		qsort(x->folded, x->n_folded, sizeof(*x->folded), compare);
	for (size_t i = 1; i < x->n_folded; i++)
		if (strcmp(x->folded[i - 1], x->folded[i]) == 0)
			return refuse(e, x->folded[i], "two names differ in their case alone");
	return 0;
}

static int extract_all(struct extract *x, struct err *e)
{
	struct archive_entry *entry;
	unsigned entries = 0;
	const void *rest;
	int r, status;

	if (archive_read_support_format_tar(x->in) != ARCHIVE_OK ||
	    archive_read_open(x->in, x, NULL, read_block, NULL) != ARCHIVE_OK)
		return refuse(e, "archive", "it is not a tar archive");
	/* A warning: a name that this locale does not hold; it comes as UTF-8 then. */
	while ((status = archive_read_next_header(x->in, &entry)) == ARCHIVE_OK ||
	       status == ARCHIVE_WARN) {
		if (++entries > PACKAGE_ENTRIES_MAX)
			return refuse(e, "archive", "it has more than 100000 entries");
		r = make_entry(x, entry, e);
		if (r < 0)
			return r;
	}
	if (status != ARCHIVE_EOF)
		return refuse(e, "archive", "it is damaged, or is not a tar archive");
	/* What follows the end mark is part of what is named by the digest. */
	while ((r = (int)read_block(x->in, x, &rest)) > 0)
		;
	if (r < 0)
		return refuse(e, "archive", "it cannot be read");
	return check_case(x, e);
}

int package_extract(int fd, int dirfd, uint64_t bytes_max, uint8_t digest[32], struct err *e)
{
	struct extract *x = calloc(1, sizeof(*x));
	int r;

	if (!x)
		return err_set(e, ERR_SYSTEM, ENOMEM, "the task's folder");
	x->fd = fd;
	x->dirfd = dirfd;
	x->bytes_left = bytes_max;
	x->sha = EVP_MD_CTX_new();
	x->in = archive_read_new();
	if (!x->sha || !x->in || EVP_DigestInit_ex(x->sha, EVP_sha256(), NULL) != 1)
		r = err_set(e, ERR_SYSTEM, ENOMEM, "the task's folder");
	else
		r = extract_all(x, e);
	if (r == 0 && EVP_DigestFinal_ex(x->sha, digest, NULL) != 1)
		r = err_set(e, ERR_SYSTEM, ENOMEM, "the task's folder");
	for (size_t i = 0; i < x->n_folded; i++)
		free(x->folded[i]);
	free(x->folded);
	EVP_MD_CTX_free(x->sha);
	(void)archive_read_free(x->in);
	free(x);
	return r;
}
