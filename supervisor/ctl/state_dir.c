// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/state_dir.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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

static const char *part_dir(const char *variable, const char *below, char buf[PATH_MAX])
{
	const char *value = getenv(variable);

	return value && *value ? value : util_installed(below, buf, PATH_MAX);
}

const char *store_share_dir(void)
{
	static char dir[PATH_MAX];

	return part_dir("SANDBOXD_SHARE", "share/sandboxd", dir);
}

const char *store_libexec_dir(void)
{
	static char dir[PATH_MAX];

	return part_dir("SANDBOXD_LIBEXEC", "libexec/sandboxd", dir);
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

static bool is_named_link(int dirfd, const char *name)
{
	struct stat st;

	return util_is_name(name) && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISLNK(st.st_mode);
}

int store_links(int dirfd, struct dir_names *ret)
{
	int r = dir_names_read(dirfd, SIZE_MAX, ret);
	size_t n = 0;

	for (size_t i = 0; i < ret->n; i++) {
		if (is_named_link(dirfd, ret->names[i]))
			ret->names[n++] = ret->names[i];
		else
			free(ret->names[i]);
	}
	ret->n = n;
	return r;
}
