// SPDX-License-Identifier: Apache-2.0
/*
 * What a stopped process would have in common with its clones, and they with each other.
 * The runtime refuses all of it before it parks (sandbox_park.py, check_quiet), but runs
 * in the process itself; this is the check that counts. One open file is enough to reach
 * into the others: /proc/self/mem is an mm's, whoever has it open; and a file of the image,
 * which a checkpoint may have, has one offset for all that share it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "sandbox/inject_internal.h"
#include "sandbox/sandbox.h"

/* By name: a number. The pipes: each clone gets its own in their places, and its own stdin. */
static bool is_expected(int fds, const char *name)
{
	const long fd = strtol(name, NULL, 10);
	struct stat st;

	if (fd > STDIN_FILENO && fd <= PAYLOAD_FD_STARTED)
		return true;
	return fd == STDIN_FILENO && fstatat(fds, name, &st, 0) == 0 && S_ISCHR(st.st_mode) &&
	       st.st_rdev == makedev(1, 3);
}

static int check_fds(int dir, const char *what, struct err *e)
{
	int fds = openat(dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *stream = fds < 0 ? NULL : fdopendir(fds);
	struct dirent *d;

	if (!stream) {
		util_close_fd(&fds);
		return err_set(e, ERR_SYSTEM, errno, "%s: its files", what);
	}
	while (r == 0 && (d = readdir(stream)))
		if (d->d_name[0] != '.' && !is_expected(fds, d->d_name))
			r = err_set(e, ERR_INPUT, 0, "%s: file descriptor %s is open", what,
				    d->d_name);
	(void)closedir(stream);
	return r;
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

int inject_check_quiet(int proc, pid_t pid, const char *what, struct err *e)
{
	_cleanup_fd_ int dir = -1;
	char name[16];
	int r;

	(void)snprintf(name, sizeof(name), "%d", (int)pid);
	dir = openat(proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = check_fds(dir, what, e);
	return r == 0 ? check_maps(dir, what, e) : r;
}
