/* SPDX-License-Identifier: Apache-2.0 */
/* Variables and secrets that a project has on this machine alone. */
#ifndef SUPERVISOR_CTL_DEV_VARS_H
#define SUPERVISOR_CTL_DEV_VARS_H

#include <jansson.h>

#include "lib/util.h"

/*
 * Reads .dev.vars.ENV, or where that is not there .dev.vars; where neither is, all of .env, .env.ENV,
 * .env.local and .env.ENV.local, of which a later one goes over an earlier one. env NULL: none is named.
 * *ret is an object of strings, which the caller owns, empty where there is no such file; files: their names,
 * "" then. Lines that mean nothing are said on stderr.
 */
#define DEV_VARS_FILES 512
int dev_vars_read(int dirfd, const char *env, json_t **ret, char files[DEV_VARS_FILES],
		  struct err *e);

#endif
