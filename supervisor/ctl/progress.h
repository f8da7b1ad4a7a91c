/* SPDX-License-Identifier: Apache-2.0 */
/* Waits for the answer to something that takes long, and shows how far it is. */
#ifndef SUPERVISOR_CTL_PROGRESS_H
#define SUPERVISOR_CTL_PROGRESS_H

#include "supervisor/ctl/ctl.h"

/* progress: a socket by which the daemon tells of each step, a line of JSON; where: what to look at when
 * the daemon goes away. */
int progress_wait(struct ctl_conn *conn, int progress, const char *where, json_t **ret,
		  struct err *e);

/* Prints a sandbox's text on stderr, without what a terminal would obey. stamp: before each line; NULL. */
void progress_print(const char *stamp, const char *text);

#endif
