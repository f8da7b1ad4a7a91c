// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "supervisor/ctl/ctl.h"

/* Where only a regular file will do, opening must not wait for a FIFO's writer. */
static int open_input(const char *path, bool any, int *ret, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	struct stat st;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (any ? 0 : O_NONBLOCK));
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_INPUT, errno, "%s", path);
	if (!any && !S_ISREG(st.st_mode))
		return err_set(e, ERR_INPUT, 0, "%s: is not a regular file (use - to read stdin)",
			       path);
	*ret = TAKE_FD(fd);
	return 0;
}

int ctl_read_file(const char *path, size_t max, bool any, char **ret, size_t *ret_len,
		  struct err *e)
{
	_cleanup_fd_ int opened = -1;
	_cleanup_free_ char *buf = malloc(max + 2);
	bool is_stdin = !strcmp(path, "-");
	size_t len = 0;
	ssize_t n;
	int r;

	if (!buf)
		return err_set(e, ERR_SYSTEM, ENOMEM, "%s", path);
	r = is_stdin ? 0 : open_input(path, any, &opened, e);
	if (r < 0)
		return r;
	while ((n = read(is_stdin ? STDIN_FILENO : opened, buf + len, max + 1 - len)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, ERR_INPUT, errno, "%s", path);
		len += (size_t)n;
		if (len > max)
			return err_set(e, ERR_LIMIT, 0, "%s: has more than %zu bytes", path, max);
	}
	buf[len] = '\0';
	*ret = TAKE_PTR(buf);
	*ret_len = len;
	return 0;
}

int ctl_check_configured(int dirfd, const char *path, struct err *e)
{
	static const char *const names[] = {"wrangler.toml", "wrangler.json", "wrangler.jsonc",
					    "config.capnp"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (faccessat(dirfd, names[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return 0;
	return err_set(
		e, ERR_INPUT, 0,
		"%s: there is no configuration: wrangler.toml, wrangler.json, wrangler.jsonc or "
		"config.capnp has to be in the folder",
		path);
}

/* When a folder is renamed meanwhile, the kernel cannot be sure about "..", and returns EAGAIN
 * (openat2(2)). */
#define BENEATH_TRIES 10

int ctl_open_beneath(int dirfd, const char *path, int flags)
{
	/* With O_PATH, openat2 refuses flags that would have no meaning. */
	struct open_how how = {.flags = (uint64_t)(unsigned)flags | O_CLOEXEC |
					(flags & O_PATH ? 0 : O_NOCTTY),
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	int fd = -1;

	for (int i = 0; i < BENEATH_TRIES && fd < 0; i++) {
		fd = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
		if (fd < 0 && errno != EAGAIN && errno != EINTR)
			break;
	}
	return fd;
}
