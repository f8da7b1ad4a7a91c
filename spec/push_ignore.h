/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a push leaves where it is: .dotcloudignore, whose lines are patterns as rsync's --exclude has them.
 *
 *	*.log		names; with a '/' in it the end of a path; with one in front the path from the top
 *	media/		folders alone
 *	* ? [a-z]	within a name; ** over folders
 *	- P, + P	P stays, or is sent; the first line that fits decides
 *	# ...		nothing, like an empty line
 */
#ifndef SPEC_PUSH_IGNORE_H
#define SPEC_PUSH_IGNORE_H

#include "lib/util.h"

#define PUSH_IGNORE_BYTES (64u << 10)
#define PUSH_IGNORE_LINES 1000u

struct push_ignore {
	char *text; /* owned; its lines are strings */
	const char *lines[PUSH_IGNORE_LINES];
	unsigned n;
};

/* text is taken, also on failure; len bytes and a NUL. */
int push_ignore_read(const char *what, char *text, size_t len, struct push_ignore *ret,
		     struct err *e);
void push_ignore_clear(struct push_ignore *i);
/* path: below the top folder, without a '/' in front. */
bool push_ignore_has(const struct push_ignore *i, const char *path, bool is_folder);

#endif
