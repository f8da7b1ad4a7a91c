/* SPDX-License-Identifier: Apache-2.0 */
/* Tells when something below a project's folder has changed, by inotify(7). */
#ifndef SUPERVISOR_CTL_DEV_WATCH_H
#define SUPERVISOR_CTL_DEV_WATCH_H

#include "lib/util.h"

/*
 * Folders that tools keep in a project (.git, .wrangler, __pycache__, node_modules, virtual environments)
 * are not looked into, and links are not followed. A file that is written counts when its writer closes
 * it. without: a folder of the caller's own that is not looked at either, by its real path; NULL: none.
 */
struct watch;
int watch_open(const char *folder, const char *without, struct watch **ret, struct err *e);
void watch_close(struct watch *w);   /* NULL: nothing */
int watch_fd(const struct watch *w); /* can be read when something may have changed */
/* Reads what has come, without waiting: whether something has changed. */
bool watch_read(struct watch *w);

#endif
