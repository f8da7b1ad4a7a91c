/* SPDX-License-Identifier: Apache-2.0 */
/* Between monitor_clone.c (who gets which clone) and monitor_clone_make.c (how one is made). */
#ifndef SUPERVISOR_MONITOR_CLONE_H
#define SUPERVISOR_MONITOR_CLONE_H

#include "supervisor/monitor_template.h"

/* A task whose clone is being made. */
struct pending {
	struct mon_start req;
	int job_fd, package_fd;
};
void pending_free(struct pending *p); /* NULL: nothing */

/* The end of a clone without a task. Its init may be alive: it ends with the socket. */
void clone_drop(struct mtask *t);

/* Asks the keeper for one, whose pending task becomes its own. NULL: it cannot be asked,
 * and nothing is left. */
struct mtask *clone_make(struct template *tpl, const struct limits *limits,
			 const uint8_t package_id[32], int package_fd, struct pending *pending);

#endif
