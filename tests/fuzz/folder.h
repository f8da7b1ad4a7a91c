/* SPDX-License-Identifier: Apache-2.0 */
/* A folder for unpacking an archive: nothing may be made outside of it. */
#ifndef TESTS_FUZZ_FOLDER_H
#define TESTS_FUZZ_FOLDER_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/dir.h"
#include "supervisor/front/core/package/package.h"

struct folder {
	char parent[24];
	int at;
};

static inline void folder_make(struct folder *f)
{
	char dir[64];

	strcpy(f->parent, "/dev/shm/fuzz-XXXXXX");
	if (!mkdtemp(f->parent))
		abort();
	(void)snprintf(dir, sizeof(dir), "%s/in", f->parent);
	if (mkdir(dir, 0700) < 0)
		abort();
	f->at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* The folder's parent must hold this folder and nothing else, and everything in it can be removed
 * again. */
static inline void folder_remove(struct folder *f)
{
	DIR *d = opendir(f->parent);
	unsigned n = 0;

	while (d && readdir(d))
		n++;
	if (!d || n != 3)
		abort();
	(void)closedir(d);
	(void)dir_remove_tree(AT_FDCWD, f->parent);
	if (access(f->parent, F_OK) == 0)
		abort();
	util_close_fd(&f->at);
}

#endif
