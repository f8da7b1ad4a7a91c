// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "sandbox/sandbox.h"

/*
 * The kernel copies only mounts of the caller's own mount namespace (check_mnt() in
 * fs/namespace.c), so the monitor calls this in its own. The detached copy may be attached in any
 * namespace, and brings none of the host's other mounts along.
 */
int rootfs_detach(int dir_fd, const char *what, int *ret, struct err *e)
{
	*ret = open_tree(dir_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	return *ret < 0 ? err_set(e, ERR_SYSTEM, errno, "sandbox: %s (open_tree)", what) : 0;
}

/* Mounts the image on an empty directory; it is made read-only before any process can reach
 * it. */
int rootfs_mount(const struct sandbox_spec *spec, int *ret_root, struct err *e)
{
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
		.propagation = MS_PRIVATE,
	};
	const int tree = spec->rootfs_mount;

	if (mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: image read-only");
	if (move_mount(tree, "", AT_FDCWD, spec->root_dir, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: image on %s", spec->root_dir);
	*ret_root = tree;
	return 0;
}

/*
 * pivot_root(".", ".") stacks the old root over the new one at "/", and detaching it leaves no
 * remnant in mountinfo (pivot_root(2), NOTES). Every process of this mount namespace whose root
 * was the old one gets the new one, criu among them.
 */
int rootfs_pivot(int root, struct err *e)
{
	if (fchdir(root) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: new root");
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: pivot_root");
	if (umount2(".", MNT_DETACH) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: old root");
	if (chdir("/") < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: new root");
	return 0;
}
