/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a requirements file of pip's names on the machine where it is: other files, projects,
 * archives, folders of archives. All the rest of it (names, versions, URLs, hashes, options) is
 * pip's own business, and is not looked at.
 */
#ifndef SPEC_REQUIREMENTS_TEXT_H
#define SPEC_REQUIREMENTS_TEXT_H

#include <stddef.h>

#define REQUIREMENTS_MAX (1u << 20) /* bytes of a file */

enum requirements_kind {
	REQUIREMENTS_FILE = 1, /* -r, -c: relative to the folder of the file that names it */
	REQUIREMENTS_PATH,     /* -e, ./project, x.whl: relative to the folder where pip runs */
	REQUIREMENTS_LINKS,    /* -f: a folder, or a page, relative to the same */
};

/* One name; the path is valid for the call, the line is that where its own begins, from 1. What is
 * not 0 ends the parsing, which returns it. */
typedef int (*requirements_fn)(void *arg, enum requirements_kind kind, const char *path,
			       unsigned line);

/* 0, what fn returned, or -ENOMEM. */
int requirements_parse(const char *text, size_t len, requirements_fn fn, void *arg);

#endif
