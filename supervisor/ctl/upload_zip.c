// SPDX-License-Identifier: Apache-2.0
/* Archives, by libarchive: writing the package's zip, and reading archives that are merged into a
 * package. */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "supervisor/ctl/upload_bundle.h"

int bundle_temp_file(struct err *e)
{
	const char *dir = getenv("TMPDIR");
	int fd = open(dir && *dir ? dir : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	/* The file system does not have O_TMPFILE. */
	if (fd < 0)
		fd = memfd_create("upload", MFD_CLOEXEC);
	return fd < 0 ? err_set(e, ERR_SYSTEM, errno, "a temporary file") : fd;
}

/* In the locale "C", libarchive would not mark names as UTF-8. */
static void speak_utf8(void)
{
	(void)setlocale(LC_CTYPE, "C.UTF-8");
}

/* Orders entries, also those of the same name, which qsort(3) would leave in any order. */
static int by_dest(const void *a, const void *b)
{
	const struct bundle_entry *x = a, *y = b;
	int r = strcmp(x->dest, y->dest);

	return r ? r : strcmp(x->source ? x->source : "", y->source ? y->source : "");
}

static bool same(const struct bundle_entry *a, const struct bundle_entry *b)
{
	if ((a->mode & S_IFMT) != (b->mode & S_IFMT))
		return false;
	if (S_ISDIR(a->mode))
		return true;
	if (a->source && b->source)
		return a->dev == b->dev && a->ino == b->ino;
	return !a->source && !b->source && a->len == b->len &&
	       memcmp(a->bytes, b->bytes, a->len) == 0;
}

static int write_all(struct archive *a, const char *bytes, size_t len, struct err *e)
{
	while (len > 0) {
		la_ssize_t n = archive_write_data(a, bytes, len);

		if (n <= 0)
			return err_set(e, ERR_SYSTEM, 0, "cannot write the package: %s",
				       archive_error_string(a));
		bytes += n;
		len -= (size_t)n;
	}
	return 0;
}

static int write_source(struct archive *a, const struct bundle *b, const struct bundle_entry *entry,
			struct err *e)
{
	_cleanup_fd_ int fd = bundle_open(b, entry->source, O_RDONLY | O_NONBLOCK, e);
	size_t left = entry->len;
	char buf[65536];
	int r = 0;

	if (fd < 0)
		return fd;
	while (left > 0 && r == 0) {
		size_t n = left < sizeof(buf) ? left : sizeof(buf);

		r = util_read_all(fd, buf, n);
		if (r < 0)
			return err_set(e, ERR_CONFLICT, r == -ENODATA ? 0 : -r,
				       "%s: changed while it was read", entry->source);
		r = write_all(a, buf, n, e);
		left -= n;
	}
	return r;
}

static int write_entry(struct archive *a, const struct bundle *b, const struct bundle_entry *from,
		       struct err *e)
{
	struct archive_entry *entry = archive_entry_new();
	bool file = S_ISREG(from->mode);
	int r = 0;

	if (!entry)
		return err_set(e, ERR_SYSTEM, ENOMEM, "%s", from->dest);
	archive_entry_set_pathname(entry, from->dest);
	archive_entry_set_mode(entry, from->mode);
	/* The first time that a zip can have, in every time zone. */
	archive_entry_set_mtime(entry, 0, 0);
	archive_entry_set_size(entry, file ? (la_int64_t)from->len : 0);
	if (S_ISLNK(from->mode))
		archive_entry_set_symlink(entry, from->bytes);
	if (archive_write_header(a, entry) < ARCHIVE_WARN)
		r = err_set(e, ERR_INPUT, 0, "%s: %s", from->dest, archive_error_string(a));
	archive_entry_free(entry);
	if (r == 0 && file)
		r = from->source ? write_source(a, b, from, e)
				 : write_all(a, from->bytes, from->len, e);
	return r;
}

/* Two files of one name are a mistake: a server unpacks files by their names. */
static int check_twice(const struct bundle *b, size_t i, struct err *e)
{
	const struct bundle_entry *a = &b->entries[i - 1], *c = &b->entries[i];

	if (strcmp(a->dest, c->dest) != 0 || same(a, c))
		return 0;
	return err_set(e, ERR_INPUT, 0, "%s is twice in the package%s%s%s%s: rename one of them",
		       c->dest, a->source ? ": " : "", a->source ? a->source : "",
		       c->source ? ", " : "", c->source ? c->source : "");
}

static int write_zip(struct archive *a, struct bundle *b, int fd, struct err *e)
{
	int r = 0;

	if (archive_write_set_format_zip(a) != ARCHIVE_OK ||
	    archive_write_set_format_option(a, "zip", "compression", "deflate") != ARCHIVE_OK ||
	    archive_write_open_fd(a, fd) != ARCHIVE_OK)
		return err_set(e, ERR_SYSTEM, 0, "libarchive: %s", archive_error_string(a));
	for (size_t i = 0; i < b->n && r == 0; i++) {
		if (i > 0)
			r = check_twice(b, i, e);
		if (r == 0 && (i == 0 || strcmp(b->entries[i - 1].dest, b->entries[i].dest) != 0))
			r = write_entry(a, b, &b->entries[i], e);
	}
	if (r == 0 && archive_write_close(a) != ARCHIVE_OK)
		r = err_set(e, ERR_SYSTEM, 0, "cannot write the package: %s",
			    archive_error_string(a));
	return r;
}

int bundle_zip(struct bundle *b, int *ret_fd, uint64_t *ret_size, struct err *e)
{
	_cleanup_fd_ int fd = bundle_temp_file(e);
	struct archive *a = archive_write_new();
	off_t size = 0;
	int r = fd < 0 ? fd : 0;

	speak_utf8();
	if (b->n > 0)
		qsort(b->entries, b->n, sizeof(*b->entries), by_dest);
	if (r == 0)
		r = a ? write_zip(a, b, fd, e) : err_set(e, ERR_SYSTEM, ENOMEM, "libarchive");
	(void)archive_write_free(a);
	if (r == 0) {
		size = lseek(fd, 0, SEEK_END);
		if (size < 0 || lseek(fd, 0, SEEK_SET) < 0)
			return err_set(e, ERR_SYSTEM, errno, "the package");
		*ret_size = (uint64_t)size;
		*ret_fd = TAKE_FD(fd);
	}
	return r;
}

static bool is_inside(const char *path)
{
	if (!*path || *path == '/')
		return false;
	for (size_t n; *path; path += n, path += *path == '/') {
		n = strcspn(path, "/");
		if (n == 2 && memcmp(path, "..", 2) == 0)
			return false;
	}
	return true;
}

/* Reads the whole content of the entry that was read last. */
static int read_content(struct archive *a, char **ret, size_t *ret_len)
{
	_cleanup_free_ char *buf = NULL;
	size_t len = 0, room = 0;
	la_ssize_t n;

	do {
		if (len == room) {
			char *more;

			room = room ? 2 * room : 65536;
			more = room > 2 * BUNDLE_BYTES_MAX ? NULL : realloc(buf, room);
			if (!more)
				return -ENOMEM;
			buf = more;
		}
		n = archive_read_data(a, buf + len, room - len);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	if (n < 0)
		return -EBADMSG;
	*ret = TAKE_PTR(buf);
	*ret_len = len;
	return 0;
}

static int add_entry(struct bundle *b, struct archive *a, struct archive_entry *entry,
		     const char *what, const char *dest, struct err *e)
{
	const char *name = archive_entry_pathname(entry), *link = archive_entry_symlink(entry);
	_cleanup_free_ char *path = NULL, *bytes = NULL;
	mode_t mode = archive_entry_mode(entry);
	size_t len = 0, n;

	while (name && name[0] == '.' && name[1] == '/')
		name += 2;
	if (name && (!*name || strcmp(name, ".") == 0))
		return 0;
	if (!name || !is_inside(name))
		return err_set(e, ERR_INPUT, 0, "%s: %s: is not a path inside the package", what,
			       name ? name : "a name");
	if (asprintf(&path, "%s%s%s", dest, *dest ? "/" : "", name) < 0)
		return err_set(e, ERR_SYSTEM, ENOMEM, "%s", what);
	n = strlen(path);
	if (path[n - 1] == '/')
		path[n - 1] = '\0';
	if (S_ISDIR(mode))
		return bundle_add_bytes(b, path, S_IFDIR | 0755, "", 0, e);
	if (S_ISLNK(mode) && link)
		return bundle_add_bytes(b, path, S_IFLNK | 0777, link, strlen(link), e);
	if (!S_ISREG(mode) || archive_entry_hardlink(entry))
		return err_set(e, ERR_INPUT, 0, "%s: %s: only files, folders and links can be sent",
			       what, name);
	if (read_content(a, &bytes, &len) < 0)
		return err_set(e, ERR_INPUT, 0, "%s: %s: cannot be read: %s", what, name,
			       archive_error_string(a) ? archive_error_string(a) : "too big");
	return bundle_add_bytes(b, path, S_IFREG | (mode & 0111 ? 0755 : 0644), bytes, len, e);
}

int bundle_add_archive(struct bundle *b, int fd, const char *what, const char *dest, struct err *e)
{
	struct archive *a = archive_read_new();
	struct archive_entry *entry;
	int r = 0, next;

	speak_utf8();
	if (!a)
		return err_set(e, ERR_SYSTEM, ENOMEM, "libarchive");
	(void)archive_read_support_filter_gzip(a);
	(void)archive_read_support_format_zip(a);
	(void)archive_read_support_format_tar(a);
	if (archive_read_open_fd(a, fd, 65536) != ARCHIVE_OK)
		r = err_set(e, ERR_INPUT, 0, "%s: %s", what, archive_error_string(a));
	while (r == 0) {
		next = archive_read_next_header(a, &entry);
		if (next == ARCHIVE_EOF)
			break;
		r = next < ARCHIVE_WARN
			    ? err_set(e, ERR_INPUT, 0, "%s: %s", what, archive_error_string(a))
			    : add_entry(b, a, entry, what, dest, e);
	}
	(void)archive_read_free(a);
	return r;
}
