/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the files that requirements files name, for a pip that runs in a sandbox where none of them
 * is. */
#ifndef SUPERVISOR_CTL_UPLOAD_REQUIREMENTS_H
#define SUPERVISOR_CTL_UPLOAD_REQUIREMENTS_H

#include "supervisor/ctl/upload_bundle.h"

/*
 * Adds the requirements file at path to the bundle, and every file and folder that pip would open
 * for it, each at its own place below the bundle's base, which is the folder where pip would run.
 * *ret_name: what the requirements file is called there; the caller frees it. A file outside of the
 * base may name nothing that is relative to itself, and no other name may lead out of the base,
 * because these files are sent to a sandbox that may have a network. 0 or -errno.
 */
int requirements_add(struct bundle *b, const char *path, char **ret_name, struct err *e);

#endif
