/* SPDX-License-Identifier: Apache-2.0 */
/* Packs the folder that is sent along with a task as a tar archive in a memfd. */
#ifndef SUPERVISOR_CTL_PACK_H
#define SUPERVISOR_CTL_PACK_H

#include "lib/util.h"

#define PACK_BYTES_MAX (1ULL << 30)
#define PACK_ENTRIES_MAX 100000u
#define PACK_DEPTH_MAX 64u

/* Names of what was in the folder and was not sent, each with its reason: "job/pipe (a FIFO),
 * ..." */
struct pack_left_out {
	char names[512];
	unsigned more; /* how many names did not fit */
};

/*
 * Packs everything below dirfd. Entries come in the order of their names, so that the same content
 * makes the same archive; links stay links; modes lose set-id and sticky bits; there are no owners.
 * FIFOs, sockets and devices, virtual environments, and links that lead out of the folder are left
 * out, and *left_out names them. A file that cannot be read is an error that names it. dirfd stays
 * the caller's, who also closes *ret_fd. what: the folder's name, for errors.
 */
int pack_folder(int dirfd, const char *what, int *ret_fd, struct pack_left_out *left_out,
		struct err *e);
/* The same for the folder of an HTTP worker, without the history of its sources, what tools keep in
 * it, and the files with secrets that are for this machine alone (.dev.vars, .env). */
int pack_project(int dirfd, const char *what, int *ret_fd, struct pack_left_out *left_out,
		 struct err *e);
/* The same, and of another file, which stays the caller's and is read from its beginning, the content under
 * this name; -1: none. */
int pack_project_and(int dirfd, const char *what, int file, const char *name, int *ret_fd,
		     struct pack_left_out *left_out, struct err *e);
/* The same without what stays, which is asked of each entry by its path below dirfd. */
int pack_chosen(int dirfd, const char *what,
		bool (*stays)(void *arg, const char *path, bool is_folder), void *arg, int *ret_fd,
		struct pack_left_out *left_out, struct err *e);
/* The same as pack_folder, with all of it in a folder of that name. */
int pack_below(int dirfd, const char *what, const char *name, int *ret_fd,
	       struct pack_left_out *left_out, struct err *e);
/* Whether a link at path with this target stays inside the packed folder, judged by its text
 * alone. */
bool pack_link_stays(const char *path, const char *target);
/* Whether a folder has what venv and virtualenv write into each of theirs (PEP 405). Programs and
 * paths in it are this machine's; in the sandbox, the image's interpreter and modules are used. */
bool pack_is_virtual_environment(int dirfd);
/*
 * Packs only what a task's exec leads to, at path (relative, with the folders in it). Links are
 * followed, and the target must lie below dirfd: a regular file, or a folder, which is packed as by
 * pack_folder.
 */
int pack_exec(int dirfd, const char *path, int *ret_fd, struct pack_left_out *left_out,
	      struct err *e);

#endif
