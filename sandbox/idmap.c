// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sandbox/sandbox.h"

static int write_map(int proc, pid_t pid, const char *which, uid_t inside, uid_t outside,
		     uint32_t count, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	char path[64], map[64];

	(void)snprintf(path, sizeof(path), "%d/%s", (int)pid, which);
	(void)snprintf(map, sizeof(map), "%u %u %u\n", inside, outside, count);
	fd = openat(proc, path, O_WRONLY | O_CLOEXEC);
	/* One write: the kernel takes a map only as a whole, user_namespaces(7). */
	if (fd < 0 || write(fd, map, strlen(map)) != (ssize_t)strlen(map))
		return err_set(e, ERR_SYSTEM, errno, "sandbox: %s", which);
	return 0;
}

int idmap_write(int proc, pid_t pid, uint32_t owner, struct err *e)
{
	int r;

	if (owner >= SANDBOX_OWNERS_MAX && owner != SANDBOX_OWNER_BUILD)
		return err_set(e, ERR_INTERNAL, 0, "sandbox: no id range %u", owner);
	r = write_map(proc, pid, "uid_map", 0, sandbox_host_id(owner, 0), SANDBOX_ID_COUNT, e);
	return r < 0 ? r
		     : write_map(proc, pid, "gid_map", 0, sandbox_host_id(owner, 0),
				 SANDBOX_ID_COUNT, e);
}

/*
 * Makes a user namespace that serves only as a table: a mount with it shows the files of st's
 * owner as files of the user shown. The kernel makes a namespace only together with a process in
 * it; that process ends as soon as the map is written and the namespace is held by a descriptor.
 */
static int make_table(const struct stat *st, uid_t shown, struct err *e)
{
	struct clone_args args = {.flags = CLONE_NEWUSER};
	_cleanup_fd_ int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int p[2], fd = -1, r;
	char path[40], c;
	pid_t pid;

	if (proc < 0 || pipe2(p, O_CLOEXEC) < 0)
		return err_set(e, ERR_SYSTEM, errno, "package: id map");
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0) {
		(void)close(p[1]);
		(void)!read(p[0], &c, 1);
		_exit(0);
	}
	(void)close(p[0]);
	r = pid < 0 ? err_set(e, ERR_SYSTEM, errno, "package: new user namespace") : 0;
	if (r == 0)
		r = write_map(proc, pid, "uid_map", st->st_uid, shown, 1, e);
	if (r == 0)
		r = write_map(proc, pid, "gid_map", st->st_gid, shown, 1, e);
	if (r == 0) {
		(void)snprintf(path, sizeof(path), "%d/ns/user", (int)pid);
		fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			r = err_set(e, ERR_SYSTEM, errno, "package: user namespace");
	}
	(void)close(p[1]); /* the process reads the end of the pipe, and ends */
	/* The process was made without an exit signal, so waiting for it takes __WALL
	 * (wait(2)). */
	while (pid > 0 && waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	return r < 0 ? r : fd;
}

static int show_as(int mount, uid_t shown, uint64_t more_attrs, int *table, const char *what,
		   const char *folder, struct err *e)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP | more_attrs};
	struct stat st;
	int fd;

	if (fstat(mount, &st) < 0)
		return err_set(e, ERR_SYSTEM, errno, "%s", what);
	if (*table < 0) {
		fd = make_table(&st, shown, e);
		if (fd < 0)
			return fd;
		*table = fd;
	}
	attr.userns_fd = (uint64_t)*table;
	if (mount_setattr(mount, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return err_set(e, ERR_SYSTEM, errno,
			       "%s: the file system of %s cannot show files as another user's "
			       "(idmapped mounts): have it on ext4, xfs or btrfs",
			       what, folder);
	return 0;
}

int idmap_mount(int mount, uint32_t owner, int *table, struct err *e)
{
	return show_as(mount, sandbox_host_id(owner, SANDBOX_UID), 0, table, "package",
		       "the state folder", e);
}

int idmap_mount_read_only(int mount, uid_t shown, const char *folder, struct err *e)
{
	_cleanup_fd_ int table = -1;

	return show_as(mount, shown,
		       MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
		       &table, "mount", folder, e);
}
