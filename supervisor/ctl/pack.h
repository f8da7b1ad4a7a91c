/* SPDX-License-Identifier: Apache-2.0 */
/* The folder that a task sends along, as a tar archive in a memfd. */
#ifndef SUPERVISOR_CTL_PACK_H
#define SUPERVISOR_CTL_PACK_H

#include "lib/util.h"

#define PACK_BYTES_MAX (1ULL << 30)
#define PACK_ENTRIES_MAX 100000u
#define PACK_DEPTH_MAX 64u

/* Names of what was in a folder and is not sent, each with its reason: "job/pipe (a FIFO), ..." */
struct pack_left_out {
	char names[512];
	unsigned more; /* for which there was no room */
};

/*
 * Everything beneath dirfd, in the order of names, so that the same content makes the same
 * archive; links as they are; modes without set-id and sticky bits; owners are left out. What has
 * no place in an archive (FIFO, socket, device), virtual environments and links that lead out of
 * the folder are left out and named. A file that cannot be read is an error that names it. dirfd
 * stays the caller's; *ret_fd is the caller's to close. what names the folder in errors.
 */
int pack_folder(int dirfd, const char *what, int *ret_fd, struct pack_left_out *left_out,
		struct err *e);
/* Does a link at path, with this target, stay inside what is packed? By its text alone. */
bool pack_link_stays(const char *path, const char *target);
/* By what venv and virtualenv write into each of theirs (PEP 405). Programs and paths in one are
 * this machine's: in the sandbox, the image's interpreter and modules are used. */
bool pack_is_virtual_environment(int dirfd);
/*
 * Only what a task's exec leads to, at path (relative, folders in it included), which must lie
 * beneath dirfd, links followed: a regular file, or a folder with all that pack_folder takes.
 */
int pack_exec(int dirfd, const char *path, int *ret_fd, struct pack_left_out *left_out,
	      struct err *e);

#endif
