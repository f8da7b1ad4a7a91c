// SPDX-License-Identifier: Apache-2.0
/*
 * What a stopped process would have in common with its clones, and they with each other:
 * open files, and memory that is shared. The runtime refuses open files before it parks
 * (sandbox_park.py, check_quiet), but runs in the process itself; this is the check that
 * counts. One open file is enough to reach into the others: /proc/self/mem is an mm's,
 * whoever has it open. Those of the image alone may stay: each clone gets them anew.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "lib/dir.h"
#include "sandbox/fork/inject_internal.h"
#include "sandbox/sandbox.h"

uint64_t inject_mount_of(int dir, const char *path)
{
	struct statx st;

	if (statx(dir, path, 0, STATX_MNT_ID, &st) < 0 || !(st.stx_mask & STATX_MNT_ID))
		return 0;
	return st.stx_mnt_id;
}

/*
 * A file of the image, open for reading, with no lock. Images are mounted read-only. Not
 * refused: libffi 3.4.7 and newer has its own library open, to map it once more for closures.
 */
static bool is_image_file(const struct stat *st, const char *fdinfo, uint64_t mount)
{
	const char *flags = strstr(fdinfo, "flags:"), *mnt = strstr(fdinfo, "mnt_id:");

	return S_ISREG(st->st_mode) && flags && mnt && strtoull(mnt + 7, NULL, 10) == mount &&
	       !(strtoul(flags + 6, NULL, 8) & (O_ACCMODE | O_PATH)) && !strstr(fdinfo, "lock:");
}

static void read_fdinfo(int dir, const char *name, char *buf, size_t size)
{
	_cleanup_fd_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	buf[n < 0 ? 0 : n] = '\0';
}

/* What is asked of each. */
struct check {
	pid_t pid;
	int fdinfo; /* the folder of this name */
	uint64_t mount;
	const char *what;
	const struct inject_pipes *pipes;
	struct inject_files *files;
};

static int check_fd(int fds, const char *name, void *arg, struct err *e)
{
	const struct check *c = arg;
	const int fd = (int)strtol(name, NULL, 10);
	char fdinfo[512];
	struct stat st;

	if (fstatat(fds, name, &st, 0) < 0)
		return err_set(e, ERR_SYSTEM, errno, "%s: file descriptor %d", c->what, fd);
	/* Each clone gets its own in their places, and its own stdin. */
	if (fd > STDIN_FILENO && fd <= INJECT_PIPES_N)
		return S_ISFIFO(st.st_mode) && st.st_ino == c->pipes->ino[fd - 1]
			       ? 0
			       : err_set(e, ERR_INPUT, 0, "%s: file descriptor %d is not its pipe",
					 c->what, fd);
	if (fd == STDIN_FILENO && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))
		return 0;
	read_fdinfo(c->fdinfo, name, fdinfo, sizeof(fdinfo));
	if (!is_image_file(&st, fdinfo, c->mount))
		return err_set(e, ERR_INPUT, 0, "%s: file descriptor %d is open", c->what, fd);
	return fd == STDIN_FILENO || !c->files
		       ? 0
		       : inject_note_file(c->files, c->pid, fd, &st, fdinfo, c->what, e);
}

static int check_fds(struct check *c, int dir, struct err *e)
{
	_cleanup_fd_ int fdinfo = openat(dir, "fdinfo", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_fd_ int fds = openat(dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	c->fdinfo = fdinfo;
	c->mount = inject_mount_of(AT_FDCWD, "/");
	if (fds < 0 || fdinfo < 0 || !c->mount)
		return err_set(e, ERR_SYSTEM, errno, "%s: its files", c->what);
	return dir_each(fds, check_fd, c, e);
}

/* Shared, and written to or able to be: the C library maps files of the image shared too. */
static int check_maps(int dir, const char *what, struct err *e)
{
	int fd = openat(dir, "smaps", O_RDONLY | O_CLOEXEC), r = 0;
	FILE *stream = fd < 0 ? NULL : fdopen(fd, "r");
	char line[PATH_MAX + 256];

	if (!stream) {
		r = err_set(e, ERR_SYSTEM, errno, "%s: its memory", what);
		util_close_fd(&fd);
		return r;
	}
	while (r == 0 && fgets(line, sizeof(line), stream))
		if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " ms") && strstr(line, " mw"))
			r = err_set(e, ERR_INPUT, 0, "%s: memory is shared", what);
	if (r == 0 && ferror(stream))
		r = err_set(e, ERR_SYSTEM, errno, "%s: its memory", what);
	(void)fclose(stream);
	return r;
}

static int open_process(int proc, pid_t pid)
{
	char name[16];

	(void)snprintf(name, sizeof(name), "%d", (int)pid);
	return openat(proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int inject_check_files(int proc, pid_t pid, const struct inject_pipes *pipes,
		       struct inject_files *ret, const char *what, struct err *e)
{
	struct check c = {.pid = pid, .what = what, .pipes = pipes, .files = ret};
	_cleanup_fd_ int dir = open_process(proc, pid);

	if (ret)
		ret->n = 0;
	return check_fds(&c, dir, e);
}

int inject_check_memory(int proc, pid_t pid, const char *what, struct err *e)
{
	_cleanup_fd_ int dir = open_process(proc, pid);

	return check_maps(dir, what, e);
}
