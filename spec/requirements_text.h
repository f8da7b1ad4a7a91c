/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds what a requirements file of pip's names on the machine where the file is: other files,
 * projects, archives, folders of archives. Everything else in it (names, versions, URLs, hashes,
 * options) is left to pip and not looked at.
 */
#ifndef SPEC_REQUIREMENTS_TEXT_H
#define SPEC_REQUIREMENTS_TEXT_H

#include <stddef.h>

#define REQUIREMENTS_MAX (1u << 20) /* of a file */

enum requirements_kind {
	REQUIREMENTS_FILE = 1, /* -r, -c: relative to the folder of the file that names it */
	REQUIREMENTS_PATH,     /* -e, ./project, x.whl: relative to the folder in which pip runs */
	/* -f: a folder or a page, relative to the folder in which pip runs */
	REQUIREMENTS_LINKS,
};

/* Called for each name. The path is valid only for the call; line is where its logical line begins,
 * from 1. A value that is not 0 ends the parsing, which returns that value. */
typedef int (*requirements_fn)(void *arg, enum requirements_kind kind, const char *path,
			       unsigned line);

/* Returns 0, the value with which fn ended it, or -ENOMEM. Nothing is left to free. */
int requirements_parse(const char *text, size_t len, requirements_fn fn, void *arg);

#endif
