// SPDX-License-Identifier: Apache-2.0
#include "lib/dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TREE_DEPTH_MAX 256

int dir_each(int dirfd, int (*fn)(int dirfd, const char *name, void *arg, struct err *e), void *arg,
	     struct err *e)
{
	/* A descriptor of our own, because dirfd's offset may be shared with another process. */
	int copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *stream = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *d;

	if (!stream) {
		r = err_set(e, ERR_SYSTEM, errno, "the folder cannot be read");
		util_close_fd(&copy);
		return r;
	}
	while (r == 0 && (errno = 0, d = readdir(stream)))
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			r = fn(dirfd, d->d_name, arg, e);
	if (r == 0 && errno)
		r = err_set(e, ERR_SYSTEM, errno, "the folder cannot be read");
	(void)closedir(stream);
	return r;
}

struct names_to {
	struct dir_names *to;
	size_t max;
};

static int names_add(int dirfd, const char *name, void *arg, struct err *e)
{
	const struct names_to *a = arg;
	struct dir_names *to = a->to;

	(void)dirfd;
	(void)e;
	if (to->n == a->max)
		return -E2BIG;
	/* There is room for as many names as the next power of two. */
	if ((to->n & (to->n - 1)) == 0) {
		char **more = reallocarray(to->names, to->n ? 2 * to->n : 1, sizeof(*more));

		if (!more)
			return -ENOMEM;
		to->names = more;
	}
	to->names[to->n] = strdup(name);
	return to->names[to->n++] ? 0 : -ENOMEM;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int dir_names_read(int dirfd, size_t max, struct dir_names *ret)
{
	int r;

	*ret = (struct dir_names){0};
	r = dir_each(dirfd, names_add, &(struct names_to){ret, max}, NULL);
	if (r < 0)
		dir_names_clear(ret);
	else if (ret->n > 0)
		qsort(ret->names, ret->n, sizeof(*ret->names), by_bytes);
	return r;
}

void dir_names_clear(struct dir_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->names[i]);
	free(names->names);
	*names = (struct dir_names){0};
}

struct tree {
	dev_t dev; /* the file system of everything that is removed */
	unsigned depth;
};

static int remove_folder(int dirfd, const char *name, struct tree *t);

static int remove_one(int dirfd, const char *name, void *arg, struct err *e)
{
	(void)e;
	/* Most entries are files, so unlinking is tried first, and only what stays is looked at. */
	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	return errno == EISDIR || errno == EPERM ? remove_folder(dirfd, name, arg) : -errno;
}

static int remove_folder(int dirfd, const char *name, struct tree *t)
{
	_cleanup_fd_ int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_dev != t->dev)
		return -EXDEV;
	if (t->depth == TREE_DEPTH_MAX)
		return -ELOOP;
	t->depth++;
	r = dir_each(fd, remove_one, t, NULL);
	t->depth--;
	if (r < 0)
		return r;
	return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int dir_remove_tree(int dirfd, const char *name)
{
	_cleanup_fd_ int fd = -1;
	struct stat st, above;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISDIR(st.st_mode))
		return unlinkat(dirfd, name, 0) < 0 ? -errno : 0;
	fd = openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* The folder must be on the file system of the folder above, so that it is not a mount
	 * point itself. */
	if (fd < 0 || fstatat(fd, "..", &above, 0) < 0)
		return -errno;
	return remove_folder(dirfd, name, &(struct tree){.dev = above.st_dev});
}
