/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads files of variables that are for one machine (.dev.vars, .env), as the npm package dotenv does:
 * NAME=VALUE a line, "export" before it or not, comments after '#'. A value in quotation marks may go
 * over several lines; in double ones, \n and \r are a line's end. Nothing is expanded.
 */
#ifndef SPEC_DOTENV_H
#define SPEC_DOTENV_H

#include <stddef.h>

#define DOTENV_MAX (1u << 20) /* of a file */

/* Called for each variable, in the order of the file; the last one of a name is meant. Both are UTF-8,
 * and valid for the call. A value that is not 0 ends the parsing, which returns that value. */
typedef int (*dotenv_fn)(void *arg, const char *name, const char *value);

/* Returns 0, the value with which fn ended it, or -ENOMEM. *ret_ignored: the first line that has neither
 * a variable nor a comment, from 1; 0: there is none. */
int dotenv_parse(const char *text, size_t len, dotenv_fn fn, void *arg, unsigned *ret_ignored);

#endif
