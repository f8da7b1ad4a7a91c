/* SPDX-License-Identifier: Apache-2.0 */
/* Installs a worker's dependencies, in a build sandbox on this node. */
#ifndef SUPERVISOR_CTL_UPLOAD_PIP_H
#define SUPERVISOR_CTL_UPLOAD_PIP_H

#include "spec/worker_file.h"
#include "supervisor/ctl/ctl.h"
#include "supervisor/ctl/upload_bundle.h"

#define PIP_FOLDER "__pips__"
#define PIP_LOCK PIP_FOLDER "/requirements.lock"
#define PIP_FIND_LINKS_MAX 16

/* Where to build, and from what. All text is the caller's. */
struct pip_build {
	const char *image, *policy; /* NULL: the default */
	/* the project whose user ids the build has; NULL: the default project */
	const char *project;
	/* folders of archives; if there are any, the build has no network */
	const char *find_links[PIP_FIND_LINKS_MAX];
	size_t n_find_links;
};

/* Whether the worker file names anything that has to be built. */
bool pip_wanted(const struct worker_file *w);
/*
 * Builds, and adds __pips__ to the bundle; after a remote_build_command the bundle is what the
 * command has left. 0; or the exit status, when something failed, which has been printed.
 */
int pip_run(struct ctl *ctl, const struct pip_build *build, const struct worker_file *w,
	    struct bundle *b);

#endif
