/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a zip says that it holds, checked before anything of it is unpacked. Readers of zips
 * differ in which of its many lengths and names they believe: here all must agree, and the
 * entries must fill the archive from its first byte to the directory, and that to the end.
 */
#ifndef SUPERVISOR_FRONT_CORE_PACKAGE_ZIP_INDEX_H
#define SUPERVISOR_FRONT_CORE_PACKAGE_ZIP_INDEX_H

#include "supervisor/front/core/package/package.h"

/* More bytes than this out of less than a RATIOth is a bomb. */
#define ZIP_BOMB_BYTES (64u << 20)
#define ZIP_BOMB_RATIO 250u
#define ZIP_COMMENT_MAX 4096

struct zip_entry {
	uint64_t at, end; /* its header and the end of its content, in the archive */
	uint64_t packed, size;
	uint32_t crc;
	uint16_t mode; /* permissions; 0 where nothing is said of them */
	bool late;     /* a descriptor with the lengths may follow the content */
	bool told;     /* its header has the lengths too */
	char *name;    /* UTF-8; owned */
};

struct zip_index {
	struct zip_entry *entries; /* in the order of their content; owned */
	size_t n, n_named;
	uint64_t bytes; /* of all of them, unpacked */
	uint64_t directory_at;
};

/*
 * Refused: anything but a whole zip from the first byte to the last, one with nothing in it,
 * in several parts, or with a long comment; entries that overlap, that are encrypted, or
 * compressed by anything but deflate; names that are not what
 * they say that they are or have a NUL or back slash; names and lengths of the directory that are
 * not those of the entry; a bomb by its ratio; more than bytes_max bytes or PACKAGE_ENTRIES_MAX
 * entries.
 */
int package_zip_index(const void *zip, size_t len, uint64_t bytes_max, struct zip_index *ret,
		      struct err *e);
/* What it takes on the disk, with the folders above its files and the zip, which is kept. Refused:
 * what has more than PACKAGE_ENTRIES_MAX of all these, and paths that unpacking would refuse. */
int package_zip_size(const struct zip_index *index, uint64_t zip_bytes, struct package_size *ret,
		     struct err *e);
void package_zip_index_clear(struct zip_index *index);

#endif
