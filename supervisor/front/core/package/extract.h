/* SPDX-License-Identifier: Apache-2.0 */
/* What the readers of tars and zips share: how an entry becomes a file of the folder. */
#ifndef SUPERVISOR_FRONT_CORE_PACKAGE_EXTRACT_H
#define SUPERVISOR_FRONT_CORE_PACKAGE_EXTRACT_H

#include <sys/types.h>
#include <time.h>

#include "supervisor/front/core/package/package.h"

/* An entry, as the archive describes it. */
struct extract_entry {
	const char *name;
	mode_t mode; /* its type and its permissions */
	uint64_t size;
	const char *target; /* of a symbolic link; NULL where it cannot be read */
	bool hard_link;
	bool has_mtime;
	time_t mtime;
};

struct extract {
	int dirfd; /* borrowed */
	/* The next bytes of the current file, and where in it they belong: 1; 0 at its end; -errno */
	int (*read)(void *arg, const void **bytes, size_t *len, int64_t *at);
	void *arg;
	uint64_t bytes_left;
	bool no_holes; /* every byte of a file is in the archive */
	char **folded; /* every path that was made, in lower case */
	size_t n_folded, allocated, name_bytes;
};

/* "name: why", the name made harmless. -EINVAL */
int extract_refuse(struct err *e, const char *name, const char *why);
/* "what cannot be kept: strerror"; a full disk is ERR_LIMIT. */
int extract_cannot_keep(struct err *e, int errnum, const char *what);
/* Makes the entry, whose bytes are the next that read gives, by the rules of package.h. */
int extract_entry(struct extract *x, const struct extract_entry *entry, struct err *e);
/* After the last one: what can only be told of all names together. */
int extract_end(struct extract *x, struct err *e);
void extract_clear(struct extract *x);

#endif
