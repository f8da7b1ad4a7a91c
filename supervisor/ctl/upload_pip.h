/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's dependencies, installed in a build sandbox on this node. */
#ifndef SUPERVISOR_CTL_UPLOAD_PIP_H
#define SUPERVISOR_CTL_UPLOAD_PIP_H

#include "spec/worker_file.h"
#include "supervisor/ctl/ctl.h"
#include "supervisor/ctl/upload_bundle.h"

#define PIP_FOLDER "__pips__"
#define PIP_LOCK PIP_FOLDER "/requirements.lock"
#define PIP_FIND_LINKS_MAX 16

/* Where to build, and from what. Text is borrowed. */
struct pip_build {
	const char *image, *policy; /* NULL: the default */
	const char *project;	    /* whose tasks' user ids it runs under; NULL: the default's */
	const char *find_links[PIP_FIND_LINKS_MAX]; /* folders; with any there is no network */
	size_t n_find_links;
};

/* Does the file ask for anything that is built? */
bool pip_wanted(const struct worker_file *w);
/*
 * Builds and adds __pips__ to the bundle; after a remote_build_command the bundle is what that
 * has left. 0, or the exit status after the reason was said.
 */
int pip_run(struct ctl *ctl, const struct pip_build *build, const struct worker_file *w,
	    struct bundle *b);

#endif
