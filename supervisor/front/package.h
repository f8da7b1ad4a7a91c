/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folders that are sent along with tasks. STATE/packages/<hex> holds one, named by the
 * SHA-256 of the archive that it came in; ".tmp-*" is being unpacked, ".gone-*" removed.
 * Everything in one is made writable for all: the sandbox's overlay copies it up for
 * the task's uid, and nobody else gets past the 0700 folder above.
 */
#ifndef SUPERVISOR_FRONT_PACKAGE_H
#define SUPERVISOR_FRONT_PACKAGE_H

#include "sandbox/util.h"

#define PACKAGE_ENTRIES_MAX 100000u
#define PACKAGE_DEPTH_MAX 64
#define PACKAGE_PATH_MAX 4096

/*
 * Unpacks the uncompressed tar in fd (from offset 0) beneath the empty folder dirfd.
 * Refused: absolute paths, "..", links that leave the folder, hard links, devices,
 * FIFOs, sockets, a path twice, paths that differ in case alone, more than bytes_max
 * bytes or PACKAGE_ENTRIES_MAX entries. The digest is of the bytes that were read.
 * On an error the folder is left as it is then, for the caller to remove.
 */
int package_extract(int fd, int dirfd, uint64_t bytes_max, uint8_t digest[32], struct err *e);

/* A path of an archive, checked and without "." and double or trailing slashes, in buf
 * (PACKAGE_PATH_MAX bytes); "" is the folder itself. */
int package_path(const char *path, char *buf, struct err *e);
/* Where a symbolic link at path points: relative, and never above the folder. */
int package_link(const char *path, const char *target, struct err *e);

/* Removes what is at name, a whole tree; best effort. */
void package_remove(int at, const char *name);

#endif
