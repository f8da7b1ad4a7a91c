/* SPDX-License-Identifier: Apache-2.0 */
/* What goes into a worker's package, and the zip of it. */
#ifndef SUPERVISOR_CTL_UPLOAD_BUNDLE_H
#define SUPERVISOR_CTL_UPLOAD_BUNDLE_H

#include <sys/stat.h>

#include "lib/util.h"

#define BUNDLE_ENTRIES_MAX 100000u
#define BUNDLE_BYTES_MAX (1ULL << 30)
#define BUNDLE_DEPTH_MAX 64u

struct bundle_entry {
	char *dest;   /* owned; in the package: relative, without ".." */
	char *source; /* owned; beneath bundle.base; NULL: bytes */
	char *bytes;  /* owned; a file's content, or a link's target */
	size_t len;   /* of the content */
	mode_t mode;  /* type and permissions */
	dev_t dev;    /* of source */
	ino_t ino;
};

struct bundle {
	int base; /* the folder that paths are relative to; borrowed */
	struct bundle_entry *entries;
	size_t n, room;
	uint64_t bytes;
	char left_out[512]; /* names of what a folder has and a package must not; for people */
};
void bundle_clear(struct bundle *b);
#define _cleanup_bundle_ __attribute__((cleanup(bundle_clear)))

/* Opens a path of the worker's, of which no link leads elsewhere. The fd or -errno. */
int bundle_open(const struct bundle *b, const char *path, int flags, struct err *e);
/* Each: 0 or -errno; errors name the file. dest "": the package's root. */
int bundle_add_file(struct bundle *b, const char *path, const char *dest_dir, struct err *e);
/* Everything in the folder, but for what `left_out` names then. */
int bundle_add_dir(struct bundle *b, const char *path, const char *dest, struct err *e);
int bundle_add_bytes(struct bundle *b, const char *dest, mode_t mode, const char *bytes, size_t len,
		     struct err *e);
/* upload_zip.c: the content of a zip or tar; what names it. The fd stays the caller's. */
int bundle_add_archive(struct bundle *b, int fd, const char *what, const char *dest, struct err *e);
/*
 * A zip of all, in the order of names and with fixed times: the same files make the same
 * bytes. *ret_fd is an unlinked file at offset 0, the caller's.
 */
int bundle_zip(struct bundle *b, int *ret_fd, uint64_t *ret_size, struct err *e);
/* An unlinked file in TMPDIR or /tmp. */
int bundle_temp_file(struct err *e);
const struct bundle_entry *bundle_find(const struct bundle *b, const char *dest);

#endif
