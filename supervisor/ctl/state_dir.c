// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/state_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define TREE_DEPTH_MAX 256

int store_need_root(const char *what, struct err *e)
{
	if (geteuid() == 0)
		return 0;
	return err_set(e, ERR_DENIED, 0, "%s writes the state folder and needs root; try sudo",
		       what);
}

static int open_dir(int dirfd, const char *name, bool create, int *ret)
{
	if (create && mkdirat(dirfd, name, 0755) < 0 && errno != EEXIST)
		return -errno;
	*ret = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? -errno : 0;
}

int store_open(struct ctl *ctl, const char *name, bool create, int *ret, struct err *e)
{
	_cleanup_fd_ int state = -1;
	mode_t mask = umask(022);
	int r;

	r = open_dir(AT_FDCWD, ctl->state_dir, create, &state);
	if (r == 0)
		r = open_dir(state, name, create, ret);
	(void)umask(mask);
	if (r == -ENOENT)
		return err_set(e, ERR_NOT_FOUND, 0,
			       "%s/%s: there is none yet; it is made when the first is %s",
			       ctl->state_dir, name,
			       strcmp(name, "images") == 0 ? "built" : "installed");
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "%s/%s", ctl->state_dir, name) : 0;
}

static const char *env_or(const char *name, const char *otherwise)
{
	const char *value = getenv(name);

	return value && *value ? value : otherwise;
}

const char *store_share_dir(void)
{
	return env_or("SANDBOXD_SHARE", SANDBOXD_PREFIX "/share/sandboxd");
}

const char *store_libexec_dir(void)
{
	return env_or("SANDBOXD_LIBEXEC", SANDBOXD_PREFIX "/libexec/sandboxd");
}

int store_read_file(const char *path, size_t max, char **ret, size_t *ret_len, struct err *e)
{
	_cleanup_free_ char *real = realpath(path, NULL);
	int r = real ? util_read_file_at(AT_FDCWD, real, max, ret, ret_len) : -errno;

	if (r == -ENOENT)
		return err_set(e, ERR_NOT_FOUND, 0, "%s: there is no such file", path);
	if (r == -ENOTSUP)
		return err_set(e, ERR_INPUT, 0, "%s: not a regular file", path);
	if (r == -EFBIG)
		return err_set(e, ERR_LIMIT, 0, "%s: larger than %zu bytes", path, max);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "%s", path) : 0;
}

int store_link(int dirfd, const char *name, const char *target)
{
	char tmp[NAME_MAX + 1];

	if (snprintf(tmp, sizeof(tmp), ".%s.%d.link", name, (int)getpid()) >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	(void)unlinkat(dirfd, tmp, 0);
	if (symlinkat(target, dirfd, tmp) < 0)
		return -errno;
	if (renameat(dirfd, tmp, dirfd, name) < 0) {
		int r = -errno;

		(void)unlinkat(dirfd, tmp, 0);
		return r;
	}
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void store_names_clear(struct store_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->names[i]);
	free(names->names);
	*names = (struct store_names){0};
}

static int names_add(struct store_names *names, const char *name)
{
	size_t room = names->n & (names->n - 1) ? 0 : (names->n ? 2 * names->n : 1);
	char **more = room ? reallocarray(names->names, room, sizeof(*more)) : names->names;

	if (!more)
		return -ENOMEM;
	names->names = more;
	more[names->n] = strdup(name);
	return more[names->n++] ? 0 : -ENOMEM;
}

/* The names of those that are wanted, sorted by bytes. */
static int read_names(int dirfd, size_t max, bool (*wanted)(int dirfd, const char *name),
		      struct store_names *ret)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	const struct dirent *entry;
	DIR *dir;

	*ret = (struct store_names){0};
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	while (r == 0 && (errno = 0, entry = readdir(dir)))
		if (wanted(dirfd, entry->d_name))
			r = ret->n < max ? names_add(ret, entry->d_name) : -E2BIG;
	if (r == 0 && errno)
		r = -errno;
	(void)closedir(dir);
	if (r < 0)
		store_names_clear(ret);
	else if (ret->n > 0)
		qsort(ret->names, ret->n, sizeof(*ret->names), compare_names);
	return r;
}

static bool is_named_link(int dirfd, const char *name)
{
	struct stat st;

	return util_is_name(name) && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISLNK(st.st_mode);
}

int store_links(int dirfd, struct store_names *ret)
{
	return read_names(dirfd, SIZE_MAX, is_named_link, ret);
}

static bool is_entry(int dirfd, const char *name)
{
	(void)dirfd;
	return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

int store_names(int dirfd, size_t max, struct store_names *ret)
{
	return read_names(dirfd, max, is_entry, ret);
}

static int remove_entry(int dirfd, const char *name, dev_t dev, unsigned depth);

static int remove_children(int fd, dev_t dev, unsigned depth)
{
	const struct dirent *entry;
	DIR *dir = fdopendir(fd);
	int r = 0;

	if (!dir) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	while (r == 0 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = remove_entry(dirfd(dir), entry->d_name, dev, depth + 1);
	(void)closedir(dir);
	return r;
}

static int remove_entry(int dirfd, const char *name, dev_t dev, unsigned depth)
{
	struct stat st;
	int fd, r;

	/* Most entries are files: try that first, and look only at what is left. */
	if (depth > 0 && unlinkat(dirfd, name, 0) == 0)
		return 0;
	if (depth > 0 && errno != EISDIR && errno != EPERM)
		return errno == ENOENT ? 0 : -errno;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || st.st_dev != dev || depth >= TREE_DEPTH_MAX) {
		r = depth >= TREE_DEPTH_MAX ? -ELOOP : -EXDEV;
		(void)close(fd);
		return r;
	}
	r = remove_children(fd, dev, depth);
	if (r == 0 && unlinkat(dirfd, name, AT_REMOVEDIR) < 0)
		r = -errno;
	return r;
}

int store_remove_tree(int dirfd, const char *name)
{
	struct stat st, at;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISDIR(st.st_mode))
		return unlinkat(dirfd, name, 0) < 0 ? -errno : 0;
	if (fstat(dirfd, &at) < 0)
		return -errno;
	return remove_entry(dirfd, name, at.st_dev, 0);
}
