/* SPDX-License-Identifier: Apache-2.0 */
/* From an archive to a package with its name; what a child of the front does (package.c). */
#ifndef SUPERVISOR_FRONT_CORE_PACKAGE_UNPACK_H
#define SUPERVISOR_FRONT_CORE_PACKAGE_UNPACK_H

#include "supervisor/front/core/package/package.h"

/* fd is borrowed. 0 when a package of that name is there in the end. */
int unpack_tar(struct front *f, int fd, struct unpacked *ret, struct err *e);
/* The same, with the zip beside it; both are on disk. ERR_LIMIT before anything is unpacked where
 * that would take more than room. */
int unpack_zip(struct front *f, int fd, const struct package_size *room, struct unpacked *ret,
	       struct err *e);

#endif
