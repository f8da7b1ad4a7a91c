/* SPDX-License-Identifier: Apache-2.0 */
/* The content of a worker's package, and the zip of it. */
#ifndef SUPERVISOR_CTL_UPLOAD_BUNDLE_H
#define SUPERVISOR_CTL_UPLOAD_BUNDLE_H

#include <sys/stat.h>

#include "lib/util.h"

#define BUNDLE_ENTRIES_MAX 100000u
#define BUNDLE_BYTES_MAX (1ULL << 30)
#define BUNDLE_DEPTH_MAX 64u

struct bundle_entry {
	char *dest;   /* ours: the path in the package, relative and without ".." */
	char *source; /* ours: the path below bundle.base; NULL: the content is in bytes */
	char *bytes;  /* ours: a file's content, or a link's target */
	size_t len;   /* of bytes */
	mode_t mode;  /* type and permissions */
	dev_t dev;    /* of the source */
	ino_t ino;
};

struct bundle {
	int base; /* the folder that paths are relative to; the caller's */
	struct bundle_entry *entries;
	size_t n, room;
	uint64_t bytes;
	char left_out[512]; /* for people: names of what a folder has and a package must not have */
};
void bundle_clear(struct bundle *b);
#define _cleanup_bundle_ __attribute__((cleanup(bundle_clear)))

/* Opens a path that the worker names; no link in it may lead elsewhere. Returns a descriptor or
 * -errno. */
int bundle_open(const struct bundle *b, const char *path, int flags, struct err *e);
/* These return 0 or -errno, and errors name the file. dest "": the root of the package. */
int bundle_add_file(struct bundle *b, const char *path, const char *dest_dir, struct err *e);
/* Adds everything in the folder, without what left_out names afterwards. */
int bundle_add_dir(struct bundle *b, const char *path, const char *dest, struct err *e);
int bundle_add_bytes(struct bundle *b, const char *dest, mode_t mode, const char *bytes, size_t len,
		     struct err *e);
/* upload_zip.c: adds the content of a zip or tar. what: its name, for errors. fd stays the
 * caller's. */
int bundle_add_archive(struct bundle *b, int fd, const char *what, const char *dest, struct err *e);
/*
 * Makes a zip of all entries in the order of their names, with a fixed time, so that the same files
 * make the same bytes. *ret_fd: a file without a name, at offset 0, which the caller closes.
 */
int bundle_zip(struct bundle *b, int *ret_fd, uint64_t *ret_size, struct err *e);
/* Makes a file without a name in TMPDIR or /tmp. */
int bundle_temp_file(struct err *e);
const struct bundle_entry *bundle_find(const struct bundle *b, const char *dest);

#endif
