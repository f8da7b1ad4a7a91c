// SPDX-License-Identifier: Apache-2.0
/* An archive to a folder, with nothing in it that reaches out of it. */
#include "supervisor/front/core/package/extract.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/json_strict.h"

int extract_refuse(struct err *e, const char *name, const char *why)
{
	char shown[160];

	return err_set(e, ERR_INPUT, 0, "%s: %s", util_escape(name, shown, sizeof(shown)), why);
}

int extract_cannot_keep(struct err *e, int errnum, const char *what)
{
	/* Both are the disk's, and what HTTP calls 507. */
	if (errnum == EDQUOT)
		errnum = ENOSPC;
	return err_set(e, errnum == ENOSPC ? ERR_LIMIT : ERR_SYSTEM, errnum, "%s cannot be kept",
		       what);
}

int package_path(const char *path, char *buf, struct err *e)
{
	size_t n = 0;
	int depth = 0;

	if (*path == '/')
		return extract_refuse(e, path, "an absolute path is not allowed");
	for (const char *p = path; *p;) {
		size_t len = strcspn(p, "/");

		if (len == 2 && p[0] == '.' && p[1] == '.')
			return extract_refuse(e, path, "\"..\" is not allowed");
		if (len > 255 || n + len + 2 > PACKAGE_PATH_MAX)
			return extract_refuse(e, path, "the name is too long");
		if (len > 0 && !(len == 1 && p[0] == '.')) {
			if (++depth > PACKAGE_DEPTH_MAX)
				return extract_refuse(e, path, "folders are nested too deep");
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
		return extract_refuse(e, path, "a symbolic link must be relative");
	if (strlen(target) >= PACKAGE_PATH_MAX)
		return extract_refuse(e, path, "the symbolic link is too long");
	for (const char *p = strchr(path, '/'); p; p = strchr(p + 1, '/'))
		depth++;
	for (const char *p = target; *p;) {
		size_t len = strcspn(p, "/");

		if (len == 2 && p[0] == '.' && p[1] == '.')
			depth--;
		else if (len > 0 && !(len == 1 && p[0] == '.'))
			depth++;
		if (depth < 0)
			return extract_refuse(e, path, "a symbolic link leads out of the folder");
		p += len;
		p += strspn(p, "/");
	}
	return 0;
}

/* Remembers a path that was made: two that differ in case alone are refused at the end. */
static int remember(struct extract *x, const char *path, struct err *e)
{
	size_t len = strlen(path);
	char *folded;

	if (x->n_folded == PACKAGE_ENTRIES_MAX)
		return extract_refuse(e, path, "the folder has more than 100000 files");
	if (len > PACKAGE_NAMES_MAX - x->name_bytes)
		return extract_refuse(e, path, "the names of all files have more than 16 MiB");
	x->name_bytes += len;
	if (x->n_folded == x->allocated) {
		size_t want = x->allocated ? 2 * x->allocated : 64;
		char **more = realloc(x->folded, want * sizeof(*more));

		if (!more)
			return extract_cannot_keep(e, ENOMEM, "it");
		x->folded = more;
		x->allocated = want;
	}
	folded = strdup(path);
	if (!folded)
		return extract_cannot_keep(e, ENOMEM, "it");
	for (char *p = folded; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	x->folded[x->n_folded++] = folded;
	return 0;
}

/*
 * The modes are those that were sent, without the bits for other users and groups to become
 * this one. A folder's owner keeps all rights: he has to be able to remove what is in it.
 */
static mode_t mode_of(const struct extract_entry *entry)
{
	mode_t mode = entry->mode & 0777;

	return S_ISDIR(entry->mode) ? mode | 0700 : mode;
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
		if (mkdirat(dir, name, 0755) == 0) {
			(void)snprintf(made, sizeof(made), "%.*s", (int)(slash - path), path);
			if (remember(x, made, e) < 0)
				return -EINVAL;
		} else if (errno != EEXIST) {
			return extract_cannot_keep(e, errno, "it");
		}
		/* O_NOFOLLOW: a link that an earlier entry made leads nowhere. */
		next = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return extract_refuse(e, path, "it lies in something that is not a folder");
		util_close_fd(&dir);
		dir = next;
		p = slash + 1;
	}
	if (dir < 0)
		return extract_cannot_keep(e, errno, "it");
	*ret_name = p;
	*ret_fd = TAKE_FD(dir);
	return 0;
}

static int write_data(struct extract *x, uint64_t size, const char *path, int fd, struct err *e)
{
	uint64_t end = 0;
	const void *bytes;
	int64_t at;
	size_t len;
	int r;

	if (size > x->bytes_left)
		return err_set(e, ERR_LIMIT, 0, "too big when unpacked");
	x->bytes_left -= size;
	while ((r = x->read(x->arg, &bytes, &len, &at)) > 0) {
		/* A block beyond the size that was counted is a lie of the archive. */
		if (at < 0 || len > size || (uint64_t)at > size - len)
			return extract_refuse(e, path, "it is longer than the archive says");
		end = (uint64_t)at + len;
		while (len > 0) {
			ssize_t n = pwrite(fd, bytes, len, at);

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return extract_cannot_keep(e, errno, "it");
			bytes = (const char *)bytes + n;
			at += n;
			len -= (size_t)n;
		}
	}
	if (r < 0)
		return extract_refuse(e, path, "the archive is damaged here");
	if (x->no_holes && end != size)
		return extract_refuse(e, path, "it is shorter than the archive says");
	if (ftruncate(fd, (off_t)size) < 0)
		return extract_cannot_keep(e, errno, "it");
	return 0;
}

static int make_file(struct extract *x, const struct extract_entry *entry, const char *path,
		     int dir, const char *name, struct err *e)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {entry->mtime, 0}};
	_cleanup_fd_ int fd =
		openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0 && errno == EEXIST)
		return extract_refuse(e, path, "it is there twice");
	if (fd < 0)
		return extract_cannot_keep(e, errno, "it");
	r = write_data(x, entry->size, path, fd, e);
	if (r == 0 && fchmod(fd, mode_of(entry)) < 0)
		r = extract_cannot_keep(e, errno, "it");
	/* Python's cached bytecode is valid for its source's time. A time that the file system
	 * cannot hold is none. */
	if (r == 0 && entry->has_mtime)
		(void)futimens(fd, times);
	return r == 0 ? remember(x, path, e) : r;
}

static int make_link(struct extract *x, const char *target, const char *path, int dir,
		     const char *name, struct err *e)
{
	int r;

	if (!target)
		return extract_refuse(e, path, "the symbolic link cannot be read");
	r = package_link(path, target, e);
	if (r < 0)
		return r;
	if (symlinkat(target, dir, name) < 0)
		return errno == EEXIST ? extract_refuse(e, path, "it is there twice")
				       : extract_cannot_keep(e, errno, "it");
	return remember(x, path, e);
}

int extract_entry(struct extract *x, const struct extract_entry *entry, struct err *e)
{
	const char *name = "";
	char path[PACKAGE_PATH_MAX + 2] = "";
	_cleanup_fd_ int dir = -1;
	int r;

	r = package_path(entry->name, path, e);
	if (r < 0)
		return r;
	if (entry->hard_link)
		return extract_refuse(e, path, "hard links are not allowed");
	if (S_ISDIR(entry->mode)) {
		/* As the parent of something in it. The folder itself is the task's work folder,
		 * with a mode of its own. */
		if (!*path)
			return 0;
		strcat(path, "/");
		r = open_parent(x, path, &name, &dir, e);
		if (r == 0 && fchmod(dir, mode_of(entry)) < 0)
			r = extract_cannot_keep(e, errno, "it");
		return r;
	}
	if (!*path)
		return extract_refuse(e, ".", "must be a folder");
	r = open_parent(x, path, &name, &dir, e);
	if (r < 0)
		return r;
	if (S_ISREG(entry->mode))
		return make_file(x, entry, path, dir, name, e);
	if (S_ISLNK(entry->mode))
		return make_link(x, entry->target, path, dir, name, e);
	return extract_refuse(e, path, "only files, folders and symbolic links are allowed");
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int extract_end(struct extract *x, struct err *e)
{
	if (x->n_folded > 1)
		qsort(x->folded, x->n_folded, sizeof(*x->folded), compare);
	for (size_t i = 1; i < x->n_folded; i++)
		if (strcmp(x->folded[i - 1], x->folded[i]) == 0)
			return extract_refuse(e, x->folded[i],
					      "two names differ in their case alone");
	return 0;
}

void extract_clear(struct extract *x)
{
	for (size_t i = 0; i < x->n_folded; i++)
		free(x->folded[i]);
	free(x->folded);
}
