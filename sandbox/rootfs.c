// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "sandbox/sandbox.h"

/*
 * The image, read-only, as a mount of its own: a detached copy of the folder is
 * made (it carries none of the host's other mounts), its flags are set before
 * anybody can reach it, then it is put on an empty directory.
 */
int rootfs_mount(const struct sandbox_spec *spec, int *ret_root, struct err *e)
{
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
		.propagation = MS_PRIVATE,
	};
	_cleanup_fd_ int tree = -1;

	tree = open_tree(spec->rootfs_fd, "",
			 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (tree < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: image (open_tree)");
	if (mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: image read-only");
	if (move_mount(tree, "", AT_FDCWD, spec->root_dir, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: image on %s", spec->root_dir);
	*ret_root = TAKE_FD(tree);
	return 0;
}

/*
 * pivot_root(".", ".") stacks the old root over the new one at "/", and detaching
 * it leaves no remnant in mountinfo: pivot_root(2), NOTES. Every process of this
 * mount namespace that had the old root gets the new one, criu among them.
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
