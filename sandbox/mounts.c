// SPDX-License-Identifier: Apache-2.0
/*
 * What is mounted over the image. Mount points are opened without following any symbolic link, and
 * a mount is put on such a descriptor, never on a path: an image is not trusted, and its /proc may
 * be a link to anywhere.
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "sandbox/sandbox.h"

#define DEVPTS_PTYS_MAX "64"
#define HOSTS_FILE "hosts" /* below /run; /etc/hosts is this file, mounted read-only */

static int open_beneath(int root, const char *path, uint64_t flags)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC | flags,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH,
	};

	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

/* Makes a file system of this type with options in pairs, "key", "value", up to NULL. Returns a
 * descriptor of the detached mount, or -errno. */
static int new_fs(const char *type, const char *const *opts, unsigned attrs)
{
	_cleanup_fd_ int fs = fsopen(type, FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0)
		return -errno;
	for (; opts && opts[0]; opts += 2)
		if (fsconfig(fs, FSCONFIG_SET_STRING, opts[0], opts[1], 0) < 0)
			return -errno;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, attrs);
	return fd < 0 ? -errno : fd;
}

/* Attaches a detached mount at root/path and closes mount_fd. dir: the mount point is a folder. */
static int attach(int mount_fd, int root, const char *path, bool dir, struct err *e)
{
	_cleanup_fd_ int fd = mount_fd;
	_cleanup_fd_ int target = -1;

	if (fd < 0)
		return err_set(e, ERR_SYSTEM, -fd, "sandbox: file system for /%s", path);
	target = open_beneath(root, path, dir ? O_DIRECTORY : 0);
	if (target < 0)
		return err_set(e, ERR_SYSTEM, errno,
			       "sandbox: the image's /%s is not a plain %s; build the image again",
			       path, dir ? "directory" : "file");
	if (move_mount(fd, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: mount on /%s", path);
	return 0;
}

/* Sets the flags of a detached copy, and attaches it as attach() does. The descriptor stays the
 * caller's. */
static int attach_copy(int copy, int root, const char *path, bool dir, unsigned attrs,
		       struct err *e)
{
	struct mount_attr attr = {.attr_set = attrs, .propagation = MS_PRIVATE};

	if (copy < 0 || mount_setattr(copy, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: bind for /%s", path);
	return attach(fcntl(copy, F_DUPFD_CLOEXEC, 0), root, path, dir, e);
}

/* from is a mount of this mount namespace. */
static int bind(int from, int root, const char *path, bool dir, unsigned attrs, struct err *e)
{
	_cleanup_fd_ int copy =
		open_tree(from, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);

	return attach_copy(copy, root, path, dir, attrs, e);
}

/* Makes a tmpfs that belongs to the payload, as large as the task's disk limit. */
static int task_tmpfs(uint64_t size, const char *mode, unsigned uid, int *ret)
{
	char size_s[32], inodes_s[32], uid_s[16];
	const char *const opts[] = {"size", size_s, "nr_inodes", inodes_s, "mode", mode,
				    "uid",  uid_s,  "gid",	 uid_s,	   NULL};
	uint64_t inodes = size / 4096 + 64;

	(void)snprintf(size_s, sizeof(size_s), "%llu", (unsigned long long)size);
	(void)snprintf(inodes_s, sizeof(inodes_s), "%llu", (unsigned long long)inodes);
	(void)snprintf(uid_s, sizeof(uid_s), "%u", uid);
	*ret = new_fs("tmpfs", opts, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	return *ret < 0 ? *ret : 0;
}

/*
 * /work with a package: the package's files below, a tmpfs above. overlayfs is told its layers as
 * paths of /proc/self/fd, where the host's /proc still is, so that no path is ever composed.
 */
static int work_overlay(int tmpfs, uid_t uid, int *ret)
{
	_cleanup_fd_ int lower = -1, upper = -1, work = -1;
	char lower_s[40], upper_s[40], work_s[40];
	/*
	 * redirect_dir: a folder of the package can be renamed, which otherwise fails with EXDEV.
	 * xino: all of /work has one device number, whichever layer a file lies in, and a file
	 * keeps its inode number when it is written to. Both rely on "trusted" attributes in the
	 * tmpfs, which only a mount that the host's root made may use; the payload cannot set them.
	 */
	const char *const opts[] = {"lowerdir", lower_s,	"upperdir", upper_s,	"workdir",
				    work_s,	"redirect_dir", "on",	    "metacopy", "off",
				    "xino",	"on",		NULL};

	if (mkdirat(tmpfs, "u", 0755) < 0 || mkdirat(tmpfs, "w", 0700) < 0)
		return -errno;
	lower = openat(tmpfs, "l", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	upper = openat(tmpfs, "u", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	work = openat(tmpfs, "w", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	/* overlayfs gives the merged folder the owner that its upper layer has. */
	if (lower < 0 || upper < 0 || work < 0 || fchown(upper, uid, uid) < 0)
		return -errno;
	(void)snprintf(lower_s, sizeof(lower_s), "/proc/self/fd/%d", lower);
	(void)snprintf(upper_s, sizeof(upper_s), "/proc/self/fd/%d", upper);
	(void)snprintf(work_s, sizeof(work_s), "/proc/self/fd/%d", work);
	*ret = new_fs("overlay", opts, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	return *ret < 0 ? *ret : 0;
}

static int mount_work(const struct sandbox_spec *spec, int root, struct err *e)
{
	_cleanup_fd_ int tmpfs = -1;
	int overlay = -1, r;
	char lower[40];

	/* While a checkpoint is made, /work is root's and read-only: criu opens the dumped
	 * process's files as root and by name, and code of the package must not put a link in the
	 * place of one. */
	if (spec->action == SANDBOX_DUMP)
		r = task_tmpfs(spec->limits.disk, "0555", 0, &tmpfs);
	else
		r = task_tmpfs(spec->limits.disk, "0755", sandbox_host_id(spec->owner, SANDBOX_UID),
			       &tmpfs);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "sandbox: tmpfs for /work");
	if (spec->package_mount < 0)
		return attach(TAKE_FD(tmpfs), root, "work", true, e);
	/* overlayfs wants its layers to be mounted in this mount namespace. */
	r = attach(fcntl(tmpfs, F_DUPFD_CLOEXEC, 0), root, "work", true, e);
	if (r == 0 && mkdirat(tmpfs, "l", 0700) < 0)
		r = err_set(e, ERR_SYSTEM, errno, "sandbox: /work");
	if (r == 0)
		r = attach_copy(spec->package_mount, tmpfs, "l", true,
				MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, e);
	if (r < 0)
		return r;
	/* Root's while a checkpoint is made, as above. */
	r = work_overlay(
		tmpfs, spec->action == SANDBOX_DUMP ? 0 : sandbox_host_id(spec->owner, SANDBOX_UID),
		&overlay);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "sandbox: package over /work (overlayfs)");
	/* overlayfs holds a mount of the package of its own. This one is taken away, because
	 * /proc/self/mountinfo would show the payload where on the host the package lies. */
	(void)snprintf(lower, sizeof(lower), "/proc/self/fd/%d", spec->package_mount);
	if (umount2(lower, MNT_DETACH) < 0) {
		r = err_set(e, ERR_SYSTEM, errno, "sandbox: package");
		util_close_fd(&overlay);
		return r;
	}
	/* Attached to the tmpfs' own root, which it hides. */
	return attach(overlay, tmpfs, ".", true, e);
}

/* What a service keeps lies on the node's own disk: it is no part of the package and of no tmpfs. */
static int mount_data(const struct sandbox_spec *spec, int root, struct err *e)
{
	_cleanup_fd_ int work = -1;

	if (spec->data_mount <= 0)
		return 0;
	work = open_beneath(root, "work", O_DIRECTORY);
	if (work < 0 || (mkdirat(work, "data", 0755) < 0 && errno != EEXIST))
		return err_set(e, ERR_SYSTEM, errno, "sandbox: /work/data");
	return attach_copy(spec->data_mount, root, "work/data", true,
			   MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, e);
}

static int write_file(int dir, const char *name, mode_t mode, uid_t owner, const void *data,
		      size_t len)
{
	_cleanup_fd_ int fd =
		openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	int r;

	if (fd < 0)
		return -errno;
	r = util_write_all(fd, data, len);
	if (r == 0 && (fchown(fd, owner, owner) < 0 || fchmod(fd, mode) < 0))
		r = -errno;
	return r;
}

/* Copies the job from the front's memfd, whose size was bounded when it was sealed. */
static int copy_job(int run, int job_fd, uid_t owner)
{
	_cleanup_fd_ int fd = -1;
	off_t off = 0;
	char buf[16384];

	fd = openat(run, "job", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400);
	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n = pread(job_fd, buf, sizeof(buf), off);
		int r;

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		r = util_write_all(fd, buf, (size_t)n);
		if (r < 0)
			return r;
		off += n;
	}
	return fchown(fd, owner, owner) < 0 ? -errno : 0;
}

int mounts_put_job(const char *run, int job_fd, uid_t owner, struct err *e)
{
	_cleanup_fd_ int dir = open(run, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	int r = dir < 0 ? -errno : copy_job(dir, job_fd, owner);

	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "sandbox: job") : 0;
}

/*
 * /run holds what the supervisor tells the runtime. The folder is sticky and root's: the payload
 * may add files there and remove its own (the job), but cannot touch what criu reads there, its
 * cache of kernel features and its work folder.
 */
static int mount_run(const struct sandbox_spec *spec, int root, struct err *e)
{
	_cleanup_fd_ int run = -1;
	int r;

	r = task_tmpfs(spec->limits.disk, "1777", 0, &run);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "sandbox: tmpfs for /run");
	if (spec->job_fd >= 0)
		r = copy_job(run, spec->job_fd, sandbox_host_id(spec->owner, SANDBOX_UID));
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "sandbox: job");
	if (spec->action != SANDBOX_COLD) {
		if (mkdirat(run, "criu", 0755) < 0)
			return err_set(e, ERR_SYSTEM, errno, "sandbox: /run/criu");
		/* criu has no privilege and must be able to read its cache, which no payload may
		 * write to. */
		if (spec->kdat_len)
			r = write_file(run, "criu/criu.kdat", 0444, 0, spec->kdat, spec->kdat_len);
		if (r == 0)
			r = write_file(run, "heap", 0444, 0, "", 0);
		if (r < 0)
			return err_set(e, ERR_SYSTEM, -r, "sandbox: /run");
	}
	return attach(fcntl(run, F_DUPFD_CLOEXEC, 0), root, "run", true, e);
}

int mounts_heap(const struct sandbox_spec *spec, int root, struct err *e)
{
	return attach_copy(spec->heap_mount, root, "run/heap", false,
			   MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
				   (spec->action == SANDBOX_DUMP ? 0 : MOUNT_ATTR_RDONLY),
			   e);
}

/* Hides files of /proc that everybody may read and that tell of the host or of other users'
 * keys. */
static int mask_proc(int root, struct err *e)
{
	static const char *const masked[] = {"proc/keys", "proc/key-users", "proc/kcore",
					     "proc/timer_list", "proc/sysrq-trigger"};
	_cleanup_fd_ int null = open_beneath(root, "dev/null", 0);
	_cleanup_fd_ int proc = open_beneath(root, "proc", O_DIRECTORY);
	struct stat st;
	int r = 0;

	if (null < 0 || proc < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: masks for /proc");
	for (size_t i = 0; i < ARRAY_SIZE(masked) && r == 0; i++) {
		const char *name = masked[i] + strlen("proc/");

		if (fstatat(proc, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			r = bind(null, root, masked[i], false,
				 MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSUID, e);
	}
	return r;
}

/*
 * Terminals of the sandbox's own: each mount of devpts is an instance of its own, and a terminal
 * belongs to the user who opened it. Without a bound one sandbox could take all terminals that
 * sysctl kernel.pty.max leaves for such instances.
 */
static int mount_terminals(int root, struct err *e)
{
	static const char *const opts[] = {"ptmxmode", "0666",		"mode", "0620",
					   "max",      DEVPTS_PTYS_MAX, NULL};

	return attach(new_fs("devpts", opts, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC), root,
		      "dev/pts", true, e);
}

static int mount_dev(const struct sandbox_spec *spec, int root, struct err *e)
{
	int shm, r;

	r = attach_copy(spec->dev_mount, root, "dev", true,
			MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, e);
	if (r == 0)
		r = mount_terminals(root, e);
	if (r < 0)
		return r;
	r = task_tmpfs(spec->limits.disk, "1777", sandbox_host_id(spec->owner, SANDBOX_UID), &shm);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "sandbox: tmpfs for /dev/shm");
	return attach(shm, root, "dev/shm", true, e);
}

static int mount_resolv_conf(const struct sandbox_spec *spec, int root, struct err *e)
{
	_cleanup_fd_ int run = open_beneath(root, "run", O_DIRECTORY);
	_cleanup_fd_ int file = -1;
	int r;

	if (!spec->resolv_conf)
		return 0;
	if (run < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: /run");
	r = write_file(run, "resolv.conf", 0444, 0, spec->resolv_conf, strlen(spec->resolv_conf));
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "sandbox: /run/resolv.conf");
	file = openat(run, "resolv.conf", O_PATH | O_CLOEXEC | O_NOFOLLOW);
	if (file < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: /run/resolv.conf");
	return bind(file, root, "etc/resolv.conf", false, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, e);
}

/* hostname: a task's id, so it is short. */
static int fill_hosts(int fd, const char *hostname)
{
	char text[256];
	int n = snprintf(text, sizeof(text),
			 "127.0.0.1\tlocalhost\n"
			 "127.0.1.1\t%s\n"
			 "::1\tlocalhost ip6-localhost ip6-loopback\n",
			 hostname);

	return util_write_all(fd, text, (size_t)n);
}

/* Many programs ask for the address of their own host name. As in Debian, it is a loopback
 * address. */
static int mount_hosts(const struct sandbox_spec *spec, int root, struct err *e)
{
	const uid_t init = sandbox_host_id(spec->owner, SANDBOX_INIT_UID);
	_cleanup_fd_ int run = open_beneath(root, "run", O_DIRECTORY);
	_cleanup_fd_ int file = -1;
	int r;

	if (run < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: /run");
	file = openat(run, HOSTS_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (file < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: /run/" HOSTS_FILE);
	r = fill_hosts(file, spec->id);
	if (r == 0 && (fchmod(file, 0644) < 0 || fchown(file, init, init) < 0))
		r = -errno;
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "sandbox: /run/" HOSTS_FILE);
	return bind(file, root, "etc/hosts", false,
		    MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, e);
}

int mounts_put_hostname(const char *hostname, struct err *e)
{
	_cleanup_fd_ int fd = open("/run/" HOSTS_FILE, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW);
	int r = fd < 0 ? -errno : fill_hosts(fd, hostname);

	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "sandbox: /run/" HOSTS_FILE) : 0;
}

int mounts_new_proc(void)
{
	return new_fs("proc", NULL, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

/* A writable /proc of this pid namespace that is mounted nowhere. It is not closed before the
 * payload runs, because the last close of such a mount can take milliseconds. */
static int own_proc = -1;

int mounts_own_proc(void)
{
	return own_proc;
}

/*
 * Makes /proc read-only before criu or a payload runs: nothing below it opens for writing, for any
 * process of this sandbox. The init writes id maps, and keeps a writable copy for that.
 */
static int mount_proc(const struct sandbox_spec *spec, int root, struct err *e)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	const bool made_for_us = spec->proc_mount >= 0;
	_cleanup_fd_ int at = -1;
	int r = attach(made_for_us ? spec->proc_mount : mounts_new_proc(), root, "proc", true, e);

	if (r < 0)
		return r;
	/* Before Linux 6.15 only a mount that is attached can be copied. */
	at = open_beneath(root, "proc", O_DIRECTORY);
	if (at >= 0 && !made_for_us)
		own_proc = open_tree(at, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (at < 0 || (!made_for_us && own_proc < 0) ||
	    mount_setattr(at, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: /proc");
	return 0;
}

int mounts_make(const struct sandbox_spec *spec, int root, struct err *e)
{
	int tmp, r;

	r = mount_proc(spec, root, e);
	if (r < 0)
		return r;
	r = mount_dev(spec, root, e);
	if (r < 0)
		return r;
	r = mask_proc(root, e); /* with null of the new /dev */
	if (r < 0)
		return r;
	r = task_tmpfs(spec->limits.disk, "1777", sandbox_host_id(spec->owner, SANDBOX_UID), &tmp);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "sandbox: tmpfs for /tmp");
	r = attach(tmp, root, "tmp", true, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < spec->n_writable; i++) {
		r = attach_copy(spec->writable[i].mount, root, spec->writable[i].path, true,
				MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, e);
		if (r < 0)
			return r;
	}
	r = mount_work(spec, root, e);
	if (r < 0)
		return r;
	r = mount_data(spec, root, e);
	if (r < 0)
		return r;
	r = mount_run(spec, root, e);
	if (r < 0)
		return r;
	r = mount_resolv_conf(spec, root, e);
	return r < 0 ? r : mount_hosts(spec, root, e);
}

/*
 * The monitor makes the devices once, on a tmpfs of its own, and every sandbox has that mounted
 * read-only. There are no others.
 */
int mounts_make_dev(const char *dir, struct err *e)
{
	static const struct {
		const char *name;
		unsigned major, minor;
	} nodes[] = {{"null", 1, 3},   {"zero", 1, 5},	  {"full", 1, 7},
		     {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
	static const char *const links[][2] = {{"/proc/self/fd", "fd"},
					       {"/proc/self/fd/0", "stdin"},
					       {"/proc/self/fd/1", "stdout"},
					       {"/proc/self/fd/2", "stderr"},
					       {"pts/ptmx", "ptmx"}};
	_cleanup_fd_ int fd = -1;

	if (mount("dev", dir, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k") < 0)
		return err_set(e, ERR_SYSTEM, errno, "monitor: tmpfs on %s", dir);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || mkdirat(fd, "shm", 0755) < 0 || mkdirat(fd, "pts", 0755) < 0)
		return err_set(e, ERR_SYSTEM, errno, "monitor: %s", dir);
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++)
		if (mknodat(fd, nodes[i].name, S_IFCHR | 0666,
			    makedev(nodes[i].major, nodes[i].minor)) < 0 ||
		    fchmodat(fd, nodes[i].name, 0666, 0) < 0)
			return err_set(e, ERR_SYSTEM, errno, "monitor: device %s", nodes[i].name);
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		if (symlinkat(links[i][0], fd, links[i][1]) < 0)
			return err_set(e, ERR_SYSTEM, errno, "monitor: %s", links[i][1]);
	return 0;
}
