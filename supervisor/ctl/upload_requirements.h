/* SPDX-License-Identifier: Apache-2.0 */
/* Requirements files and what they name, for pip in a sandbox that has none of it. */
#ifndef SUPERVISOR_CTL_UPLOAD_REQUIREMENTS_H
#define SUPERVISOR_CTL_UPLOAD_REQUIREMENTS_H

#include "supervisor/ctl/upload_bundle.h"

/*
 * Adds the file at path, and every file and folder that pip would open for it, to the bundle, at
 * their own places beneath its base: the folder where pip would run. *ret_name is what the file
 * is called there (owned by the caller). A file of another folder may name nothing beside
 * itself, and nothing else leads out of the base: these files go to a sandbox that may
 * have a network. 0 or -errno.
 */
int requirements_add(struct bundle *b, const char *path, char **ret_name, struct err *e);

#endif
