/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folders that are sent along with tasks, and workers' files. STATE/packages/<hex> holds one,
 * named by the SHA-256 of the archive that it came in, and <hex>.zip a zip that was sent,
 * named by its own; ".tmp-*" is being unpacked. Files have the modes that were sent and the
 * front's user, in whose place a sandbox sees the task's own (idmap_mount); nobody else gets
 * past the 0700 folder above.
 *
 * Nothing locks one: its name does. Who uses one sets its time, then opens it; the pruner
 * (1) reads the time, (2) renames it to ".gone-<name>", (3) reads the time again and renames it
 * back where it has changed, (4) renames it to ".dead-<name>" and (5) removes it. Who comes
 * between (2) and (4) renames it back too: one of the two renames fails, and which tells whose
 * it is. A front that starts finds ".gone-*" whole and puts it back; the rest it removes.
 */
#ifndef SUPERVISOR_FRONT_CORE_PACKAGE_PACKAGE_H
#define SUPERVISOR_FRONT_CORE_PACKAGE_PACKAGE_H

#include "lib/util.h"

#define PACKAGE_ENTRIES_MAX 100000u
#define PACKAGE_DEPTH_MAX 64
#define PACKAGE_PATH_MAX 4096
#define PACKAGE_ZIP ".zip"
#define PACKAGE_NAME_MAX (64 + sizeof(PACKAGE_ZIP) - 1) /* in STATE/packages */
#define PACKAGE_TMP ".tmp-"
#define PACKAGE_GONE ".gone-"
#define PACKAGE_DEAD ".dead-"
#define PACKAGE_NAMES_MAX (16u << 20) /* bytes of all paths */
#define PACKAGE_BLOCK 4096u	      /* what a file, folder or link takes at least */

/* Of the folder and the zip together, on the disk. */
struct package_size {
	uint64_t bytes, files;
};

/* What has become of a zip. */
struct unpacked {
	uint8_t package[32]; /* of the folder */
	uint8_t zip[32];     /* of STATE/packages/<hex>.zip */
	uint64_t zip_bytes;
	struct package_size size;
};

/*
 * Unpacks the uncompressed tar in fd (from offset 0) beneath the empty folder dirfd.
 * Refused: absolute paths, "..", links that leave the folder, hard links, devices,
 * FIFOs, sockets, a path twice, paths that differ in case alone, more than bytes_max
 * bytes or PACKAGE_ENTRIES_MAX entries. The digest is of the bytes that were read.
 * On an error the folder is left as it is then, for the caller to remove.
 */
int package_extract_tar(int fd, int dirfd, uint64_t bytes_max, uint8_t digest[32], struct err *e);
/*
 * Names what the zip of this SHA-256 is unpacked to. A tar's package is named by the SHA-256
 * of the tar, which this one is of no tar.
 */
void package_zip_digest(const uint8_t zip[32], uint8_t package[32]);

/* A path of an archive, checked and without "." and double or trailing slashes, in buf
 * (PACKAGE_PATH_MAX bytes); "" is the folder itself. */
int package_path(const char *path, char *buf, struct err *e);
/* Where a symbolic link at path points: relative, and never above the folder. */
int package_link(const char *path, const char *target, struct err *e);

struct front;
struct project;
/* On an error is is NULL. */
typedef void (*package_zip_fn)(struct front *f, void *arg, const struct unpacked *is,
			       const struct err *error);
/*
 * Unpacks the zip in fd (taken), a file that nobody else writes to, from its offset 0, and
 * keeps it for downloads. done is called once, possibly before the call returns; both are on
 * disk then, and stay for the minutes that it takes to make a code of them.
 *
 * Of each project one zip is unpacked at a time, so that what it has room for is known before
 * anything is made (worker_room), and the others wait in turns of the projects. ERR_UNAVAILABLE
 * where too many of this project's wait.
 */
void package_unpack_zip(struct front *f, const struct project *p, int fd, package_zip_fn done,
			void *arg);
/* An empty file without a name beside the packages, for one that comes in pieces: on disk, because
 * all of a sandbox's answers could not be held in memory. The caller owns the fd; -errno. */
int package_spool(struct front *f);
/* The zip, to be read. The caller owns the fd; -errno. */
int package_open_zip(struct front *f, const uint8_t zip[32]);

#endif
