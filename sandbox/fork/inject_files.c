// SPDX-License-Identifier: Apache-2.0
/*
 * Files of the image that a template has open. What is cloned has the same open file
 * descriptions (open(2)): with one offset for all, one lock, one set of flags. So each
 * clone gets them opened anew, as a restore opens them: at the offset and with the flags
 * that they had when the template was held.
 */
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "sandbox/fork/inject_internal.h"

/* What fcntl(2) sets, but O_ASYNC, which a file of a disk does not know, and O_NOATIME, on
 * a read-only mount the same as none. */
#define FILE_STATUS (O_APPEND | O_DIRECT | O_NONBLOCK)

/* One that another number of the template's stands for too stays one in each clone. */
static int find_same(const struct inject_files *files, pid_t pid, const struct stat *st, int number)
{
	for (int i = 0; i < files->n; i++) {
		const struct inject_file *f = &files->of[i];
		long r;

		if (f->ino != st->st_ino || f->dev != st->st_dev)
			continue;
		r = syscall(SYS_kcmp, pid, pid, KCMP_FILE, (long)f->number, (long)number);
		if (r < 0)
			return -errno;
		if (r == 0)
			return i;
	}
	return files->n;
}

int inject_note_file(struct inject_files *files, pid_t pid, int number, const struct stat *st,
		     const char *fdinfo, const char *what, struct err *e)
{
	const char *pos = strstr(fdinfo, "pos:"), *flags = strstr(fdinfo, "flags:");
	struct inject_file *f = &files->of[files->n];

	if (files->n >= CLONE_FILES_MAX)
		return err_set(e, ERR_INPUT, 0, "%s: more than %d files of the image are open",
			       what, CLONE_FILES_MAX);
	if (!pos || !flags)
		return err_set(e, ERR_SYSTEM, EPROTO, "%s: file descriptor %d", what, number);
	*f = (struct inject_file){.number = number,
				  .flags = (int)strtol(flags + 6, NULL, 8),
				  .offset = strtoll(pos + 4, NULL, 10),
				  .dev = st->st_dev,
				  .ino = st->st_ino,
				  .same = find_same(files, pid, st, number)};
	if (f->same < 0)
		return err_set(e, ERR_SYSTEM, -f->same, "%s: kcmp", what);
	files->n++;
	return 0;
}

/* By the template's own link to it: a path may lead elsewhere, this one cannot. */
static int open_anew(const struct inject_file *f, int proc, pid_t pid, int *ret)
{
	_cleanup_fd_ int fd = -1;
	struct stat st;
	char path[40];

	(void)snprintf(path, sizeof(path), "%d/fd/%d", (int)pid, f->number);
	/* Not to wait, whatever it is. */
	fd = openat(proc, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_dev != f->dev || st.st_ino != f->ino)
		return -ESTALE;
	if (fcntl(fd, F_SETFL, f->flags & FILE_STATUS) < 0 || lseek(fd, f->offset, SEEK_SET) < 0)
		return -errno;
	*ret = TAKE_FD(fd);
	return 0;
}

int inject_open_files(const struct inject_template *it, int fds[CLONE_FILES_MAX], struct err *e)
{
	int r = 0;

	for (int i = 0; i < it->files.n; i++)
		fds[i] = -1;
	for (int i = 0; i < it->files.n && r == 0; i++) {
		const struct inject_file *f = &it->files.of[i];

		if (f->same < i)
			fds[i] = fds[f->same];
		else
			r = open_anew(f, mounts_own_proc(), it->t.pid, &fds[i]);
		if (r < 0)
			(void)err_set(e, ERR_SYSTEM, -r, "%s: file descriptor %d", it->t.what,
				      f->number);
	}
	return r;
}

void inject_close_files(const struct inject_template *it, int fds[CLONE_FILES_MAX])
{
	for (int i = 0; i < it->files.n; i++)
		if (it->files.of[i].same == i)
			util_close_fd(&fds[i]);
}
