/* SPDX-License-Identifier: Apache-2.0 */
/* Waits for the answer to something that takes long, and shows how far it is. */
#ifndef SUPERVISOR_CTL_PROGRESS_H
#define SUPERVISOR_CTL_PROGRESS_H

#include "supervisor/ctl/ctl.h"
#include "supervisor/ctl/pip_index.h"

/* progress: a socket by which the daemon tells of each step, a line of JSON; where: what to look at when
 * the daemon goes away. */
int progress_wait(struct ctl_conn *conn, int progress, const char *where, json_t **ret,
		  struct err *e);

/* Sends a request (stolen; NULL: its text was no UTF-8), and waits like progress_wait. With it go file (-1:
 * none), the socket for the progress and, if it has one, the index's, which is closed here, so that the index
 * ends with the copies of those who ask it. sent: called when the daemon has it all; NULL. */
int progress_call(struct ctl *ctl, json_t *request, int file, struct pip_index *index,
		  const char *where, void (*sent)(void), json_t **ret, struct err *e);

/* Prints a sandbox's text on stderr, without what a terminal would obey. stamp: before each line; NULL. */
void progress_print(const char *stamp, const char *text);

#endif
