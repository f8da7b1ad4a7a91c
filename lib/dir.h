/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and removing folders. */
#ifndef LIB_DIR_H
#define LIB_DIR_H

#include "lib/util.h"

/*
 * Calls fn for each name in a folder but "." and "..", in no order, until fn returns anything but
 * 0, which is returned then. dirfd stays the caller's, with its offset; fn gets it. -errno: the
 * folder cannot be read; then *e, if e is not NULL, says so.
 */
int dir_each(int dirfd, int (*fn)(int dirfd, const char *name, void *arg, struct err *e), void *arg,
	     struct err *e);

/* The names in a folder but "." and "..", sorted by bytes. The caller frees them
 * (dir_names_clear). */
struct dir_names {
	char **names;
	size_t n;
};
/* 0 or -errno; -E2BIG: there are more than max. */
int dir_names_read(int dirfd, size_t max, struct dir_names *ret);
void dir_names_clear(struct dir_names *names);
#define _cleanup_dir_names_ __attribute__((cleanup(dir_names_clear)))

/*
 * Removes a file or a whole tree called name below dirfd. No symlink is followed and no mount point
 * is entered: a tree with one is left, with -EXDEV, and so is a tree with folders more than 256
 * deep, with -ELOOP. 0 also when there is nothing of this name.
 */
int dir_remove_tree(int dirfd, const char *name);

#endif
