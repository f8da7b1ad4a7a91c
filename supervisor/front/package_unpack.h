/* SPDX-License-Identifier: Apache-2.0 */
/* From an archive to a package with its name; what a child of the front does (package.c). */
#ifndef SUPERVISOR_FRONT_PACKAGE_UNPACK_H
#define SUPERVISOR_FRONT_PACKAGE_UNPACK_H

#include "sandbox/util.h"

struct front;

/* zip, and both counts of bytes: of a zip alone. */
struct unpacked {
	uint8_t package[32], zip[32];
	uint64_t zip_bytes, package_bytes;
};

/* fd is borrowed. 0 when a package of that name is there in the end. */
int unpack_tar(struct front *f, int fd, struct unpacked *ret, struct err *e);
/* The same, with the zip beside it; both are on disk. */
int unpack_zip(struct front *f, int fd, struct unpacked *ret, struct err *e);

#endif
