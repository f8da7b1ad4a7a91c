/* SPDX-License-Identifier: Apache-2.0 */
/* Folders for unpacked archives, and checks of what is in them. */
#ifndef TESTS_UNIT_PACKAGE_RIG_H
#define TESTS_UNIT_PACKAGE_RIG_H

#include "lib/dir.h"
#include "tests/unit/rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "supervisor/front/core/package/package.h"

/* Makes a new folder and writes its path to dir. */
static inline int make_dir(char dir[32])
{
	int fd;

	strcpy(dir, "/tmp/package-XXXXXX");
	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static inline void assert_file(int at, const char *path, const char *content, mode_t mode)
{
	_cleanup_free_ char *text = NULL;
	struct stat st;
	size_t len;

	assert_int_equal(util_read_file_at(at, path, 1 << 20, &text, &len), 0);
	assert_string_equal(text, content);
	assert_int_equal(fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}

static inline unsigned count_entries(int dirfd)
{
	DIR *d = fdopendir(openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n - 2;
}

#endif
