/* SPDX-License-Identifier: Apache-2.0 */
/* What the readers of tars and zips share: how an entry becomes a file of the folder. */
#ifndef SUPERVISOR_FRONT_CORE_PACKAGE_EXTRACT_H
#define SUPERVISOR_FRONT_CORE_PACKAGE_EXTRACT_H

#include <archive.h>
#include <archive_entry.h>

#include "supervisor/front/core/package/package.h"

struct extract {
	int dirfd; /* borrowed, as in */
	struct archive *in;
	uint64_t bytes_left;
	bool no_holes; /* every byte of a file is in the archive */
	char **folded; /* every path that was made, in lower case */
	size_t n_folded, allocated, name_bytes;
};

/* "name: why", the name made harmless. -EINVAL */
int extract_refuse(struct err *e, const char *name, const char *why);
/* "what cannot be kept: strerror"; a full disk is ERR_LIMIT. */
int extract_cannot_keep(struct err *e, int errnum, const char *what);
/* Makes the entry that in has just come to, under the name raw, by the rules of package.h. */
int extract_entry(struct extract *x, struct archive_entry *entry, const char *raw, struct err *e);
/* After the last one: what can only be told of all names together. */
int extract_end(struct extract *x, struct err *e);
void extract_clear(struct extract *x); /* but for in */

#endif
