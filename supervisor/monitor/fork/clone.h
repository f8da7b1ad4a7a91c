/* SPDX-License-Identifier: Apache-2.0 */
/* Between fork/clone.c (who gets which clone), fork/clone_make.c (how one is made) and
 * fork/clone_begin.c (how it gets its task). */
#ifndef SUPERVISOR_MONITOR_FORK_CLONE_H
#define SUPERVISOR_MONITOR_FORK_CLONE_H

#include "supervisor/monitor/fork/template.h"

/* A task whose clone is being made, or has not yet begun with it. */
struct pending {
	struct mon_start req;
	int job_fd, package_fd;
};
void pending_free(struct pending *p); /* NULL: nothing */

/* The end of a clone without a task. Its init may be alive: it ends with the socket. */
void clone_drop(struct box *b);
/* The same; a task that it was to have is started in another way, once, with the reason. */
void clone_give_up(struct box *b, const char *why);
/* It has ended by itself, and is in no list any more: what that says of the others. */
void clone_note_end(struct box *b);
void clone_unlink(struct box *b); /* from its template's list */

/* The keeper has answered one request, and has the usual time for the next one. */
int clone_answered(struct template *tpl);

/* Gives it the pending task. */
void clone_assign(struct box *b);

/* Those of its task, and its init besides. 0 or -errno. */
int clone_set_limits(struct box *b);

/* What one is called that has no task. */
void clone_name(char ret[TASK_ID_LEN + 1]);
bool clone_is_name(const char *name);

/* Asks the keeper for one, whose pending task becomes its own. NULL: it cannot be asked,
 * and nothing is left. */
struct box *clone_make(struct template *tpl, const struct clone_kind *kind,
		       struct pending *pending);

#endif
