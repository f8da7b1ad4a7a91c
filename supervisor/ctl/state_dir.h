/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verbs share that read and write the state folder themselves, as root,
 * rather than ask the daemon: image and policy.
 */
#ifndef SUPERVISOR_CTL_STATE_DIR_H
#define SUPERVISOR_CTL_STATE_DIR_H

#include "supervisor/ctl/ctl.h"

int store_need_root(const char *what, struct err *e);
/* STATE/name as a fd for openat; with create, it and STATE are made (0755). */
int store_open(struct ctl *ctl, const char *name, bool create, int *ret, struct err *e);

/* Where the installed parts are: SANDBOXD_SHARE and SANDBOXD_LIBEXEC, or beneath PREFIX. */
const char *store_share_dir(void);
const char *store_libexec_dir(void);

/* Reads the regular file that path leads to; a message that names it. */
int store_read_file(const char *path, size_t max, char **ret, size_t *ret_len, struct err *e);

/* Makes name a symlink to target, in one step that replaces an older one. 0 or -errno. */
int store_link(int dirfd, const char *name, const char *target);

/* The names of the symlinks in a folder, sorted. */
struct store_names {
	char **names;
	size_t n;
};
int store_links(int dirfd, struct store_names *ret);
/* The names of all that is in it but "." and "..". -E2BIG: there are more than max. */
int store_names(int dirfd, size_t max, struct store_names *ret);
void store_names_clear(struct store_names *names);

/*
 * Removes name beneath dirfd, a file or a whole tree. Follows no symlink and enters no
 * mount point: a tree with one is left with -EXDEV. 0 when it is not there.
 */
int store_remove_tree(int dirfd, const char *name);

#endif
