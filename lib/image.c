// SPDX-License-Identifier: Apache-2.0
#include "lib/image.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool terminated(const char *s, size_t size)
{
	return strnlen(s, size) < size;
}

static int check_head(const struct image_head *h, struct err *e)
{
	if (h->magic != IMAGE_MAGIC || h->version != IMAGE_VERSION)
		return err_set(e, ERR_INPUT, 0, "image.bin is of another version; build it again");
	if (!terminated(h->name, sizeof(h->name)) ||
	    !terminated(h->interpreter, sizeof(h->interpreter)) ||
	    !terminated(h->policy, sizeof(h->policy)) || !terminated(h->warm, sizeof(h->warm)) ||
	    !terminated(h->python_version, sizeof(h->python_version)))
		return err_set(e, ERR_INPUT, 0,
			       "image.bin has a text that does not end; build it again");
	if (!util_is_name(h->name) || !util_is_name(h->policy) || h->interpreter[0] != '/')
		return err_set(e, ERR_INPUT, 0, "image.bin has a wrong name in it; build it again");
	return 0;
}

/* The file must be root's and nobody else may write it, because what is in it runs in everybody's
 * sandbox. */
static int check_owner(int fd, mode_t type, const char *name, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set(e, ERR_SYSTEM, errno, "%s", name);
	if ((st.st_mode & S_IFMT) != type || st.st_uid != 0 || (st.st_mode & 022))
		return err_set(e, ERR_DENIED, 0, "%s must be a %s that only root can write", name,
			       type == S_IFDIR ? "folder" : "file");
	return 0;
}

static int read_head(int dirfd, struct image_head *ret, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	struct stat st;
	int r;

	fd = openat(dirfd, "image.bin", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_set(e, ERR_SYSTEM, errno, "image.bin");
	r = check_owner(fd, S_IFREG, "image.bin", e);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0 || st.st_size != (off_t)sizeof(*ret))
		return err_set(e, ERR_INPUT, 0, "image.bin has a wrong size; build it again");
	r = util_read_all(fd, ret, sizeof(*ret));
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "image.bin");
	return check_head(ret, e);
}

int image_load(int images_dirfd, const uint8_t digest[32], struct image_head *ret, int *ret_rootfs,
	       struct err *e)
{
	_cleanup_fd_ int dirfd = -1, rootfs = -1;
	char hex[65];
	int r;

	util_hex(digest, 32, hex);
	dirfd = openat(images_dirfd, hex, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dirfd < 0)
		return err_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_SYSTEM, errno, "image %s",
			       hex);
	r = check_owner(dirfd, S_IFDIR, "its place", e);
	if (r == 0)
		r = read_head(dirfd, ret, e);
	if (r < 0)
		return err_wrap(e, r, "image %s", hex);
	rootfs = openat(dirfd, "rootfs", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (rootfs < 0)
		return err_set(e, ERR_SYSTEM, errno, "image %s: rootfs", hex);
	r = check_owner(rootfs, S_IFDIR, "rootfs", e);
	if (r < 0)
		return err_wrap(e, r, "image %s", hex);
	*ret_rootfs = TAKE_FD(rootfs);
	return 0;
}
