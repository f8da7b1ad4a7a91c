/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a worker as a zip: what is in it, how much room that takes, and to a folder. */
#ifndef SUPERVISOR_FRONT_CORE_PACKAGE_ZIP_H
#define SUPERVISOR_FRONT_CORE_PACKAGE_ZIP_H

#include <sys/types.h>
#include <zip.h>

#include "supervisor/front/core/package/package.h"

/* More bytes than this out of less than a RATIOth is a bomb. */
#define ZIP_BOMB_BYTES (64u << 20)
#define ZIP_BOMB_RATIO 250u
#define ZIP_COMMENT_MAX 4096

/* Where an entry lies in the archive. */
struct zip_place {
	uint64_t at, end;      /* from its header to the end of its content */
	uint64_t packed, size; /* as the directory has them, like crc */
	uint32_t crc;
	uint16_t name_len, flags;
	bool bare; /* its header has no CRC-32: that follows the content */
	const char *name;
};

/*
 * The bytes of an archive as its end and its directory share them out. libzip compares the headers
 * of the entries with the directory. What it does not look at is looked at here: that the archive
 * has one end, and that each byte belongs to one entry, to the directory or to the end. Other
 * readers of zips then find the same files in it, and nothing hides between them.
 */
struct zip_layout {
	const uint8_t *bytes; /* borrowed */
	size_t len;
	uint64_t n, directory_at, directory_size;
	struct zip_place *places; /* in the order of the content; owned */
};

/* -EINVAL with words for whoever made the zip. */
int zip_layout_read(const void *zip, size_t len, struct zip_layout *ret, struct err *e);
/* The entry whose header is at at; NULL where none is. */
const struct zip_place *zip_layout_find(const struct zip_layout *l, uint64_t at);
/* Fills e where two entries have one name. The order of places is lost. */
bool zip_layout_twice(struct zip_layout *l, struct err *e);
void zip_layout_clear(struct zip_layout *l);

struct zip_entry {
	const char *name; /* UTF-8; of zip */
	mode_t mode;	  /* its type and its permissions */
	uint64_t size;
	time_t mtime;
};

struct zip_package {
	struct zip_layout layout;
	zip_t *zip;
	bool open; /* libzip has found the directory and the entries */
	uint64_t offset;
	struct zip_entry *entries; /* as many as layout.n, in the order of the directory; owned */
	uint64_t bytes;		   /* of all of them, unpacked */
};

/*
 * Opens the zip in memory, which is borrowed until package_zip_close. Refused: anything but a
 * whole zip from the first byte to the last, one with nothing in it, in several parts, or with a
 * long comment; entries that overlap, that are encrypted, or compressed by anything but deflate;
 * what is no file, folder or symbolic link, or is set-user-id or set-group-id; names that are not
 * in the encoding that they claim, or that have a NUL or a back slash; headers that differ from
 * the directory; a bomb by its ratio; more than bytes_max bytes or PACKAGE_ENTRIES_MAX entries;
 * entries with more extra fields than any tool makes.
 */
int package_zip_open(const void *zip, size_t len, uint64_t bytes_max, struct zip_package *ret,
		     struct err *e);
/* What it takes on the disk, with the folders above its files and the zip, which is kept. Refused:
 * what has more than PACKAGE_ENTRIES_MAX of all these, and paths that unpacking would refuse. */
int package_zip_size(const struct zip_package *p, struct package_size *ret, struct err *e);
/* Unpacks it beneath the empty folder dirfd. Refused too: what package_extract_tar refuses, and a
 * file that is not exactly as long as its entry says. */
int package_zip_extract(struct zip_package *p, int dirfd, struct err *e);
void package_zip_close(struct zip_package *p);

#endif
