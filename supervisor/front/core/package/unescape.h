/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Python client on Python 3 uploads str(zip): b'PK\x03\x04...', a bytes literal as text. This
 * reads it back, in pieces of any size.
 */
#ifndef SUPERVISOR_FRONT_CORE_PACKAGE_UNESCAPE_H
#define SUPERVISOR_FRONT_CORE_PACKAGE_UNESCAPE_H

#include <stdbool.h>
#include <stddef.h>

struct iron_unescape {
	char quote;    /* 0: before the first byte after b */
	int state;     /* enum in iron_unescape.c */
	int high;      /* first digit of \xNN */
	size_t offset; /* bytes read: where an error is */
};

/* True when the file starts as such a literal: b' or b". A zip starts with PK. */
bool iron_unescape_wanted(const char head[2]);
/* ret must have room for len bytes; *ret_len are filled. 0 or -EINVAL. */
int iron_unescape(struct iron_unescape *u, const char *text, size_t len, char *ret,
		  size_t *ret_len);
/* -EINVAL when the literal has not ended. */
int iron_unescape_end(const struct iron_unescape *u);

#endif
