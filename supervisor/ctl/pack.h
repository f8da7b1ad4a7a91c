/* SPDX-License-Identifier: Apache-2.0 */
/* The folder that a task sends along, as a tar archive in a memfd. */
#ifndef SUPERVISOR_CTL_PACK_H
#define SUPERVISOR_CTL_PACK_H

#include "sandbox/util.h"

#define PACK_BYTES_MAX (1ULL << 30)
#define PACK_ENTRIES_MAX 100000u
#define PACK_DEPTH_MAX 64u

/*
 * Everything beneath dirfd, in the order of names, so that the same content makes the
 * same archive; links as they are, owners and all mode bits but "executable" left out.
 * A file that cannot be read or has no place in an archive (FIFO, socket, device) is an
 * error that names it. dirfd stays the caller's; *ret_fd is the caller's to close.
 * what names the folder in errors.
 */
int pack_folder(int dirfd, const char *what, int *ret_fd, struct err *e);
/* Only the one regular file at path (relative, folders in it included). */
int pack_file(int dirfd, const char *path, int *ret_fd, struct err *e);

#endif
