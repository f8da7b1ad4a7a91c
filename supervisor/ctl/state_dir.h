/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What image and policy share: as root, these verbs read and write the state folder themselves,
 * without the daemon.
 */
#ifndef SUPERVISOR_CTL_STATE_DIR_H
#define SUPERVISOR_CTL_STATE_DIR_H

#include "lib/dir.h"
#include "supervisor/ctl/ctl.h"

int store_need_root(const char *what, struct err *e);
/* Opens STATE/name. create: makes it and STATE (0755) when they do not exist. The caller closes
 * *ret. */
int store_open(struct ctl *ctl, const char *name, bool create, int *ret, struct err *e);

/* Where the installed parts are: SANDBOXD_SHARE and SANDBOXD_LIBEXEC, or the folders of this
 * program's installation. */
const char *store_share_dir(void);
const char *store_libexec_dir(void);

/* Reads the regular file that path leads to. Errors name the path. The caller frees *ret. */
int store_read_file(const char *path, size_t max, char **ret, size_t *ret_len, struct err *e);

/* Makes name a symlink to target, in one step that replaces an older link. 0 or -errno. */
int store_link(int dirfd, const char *name, const char *target);

/* The names of the symlinks in a folder, sorted. 0 or -errno. */
int store_links(int dirfd, struct dir_names *ret);

#endif
