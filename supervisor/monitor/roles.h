/* SPDX-License-Identifier: Apache-2.0 */
/* Between roles.c (the monitor's side of a role) and role_exec.c (the way to its own). */
#ifndef SUPERVISOR_MONITOR_ROLES_H
#define SUPERVISOR_MONITOR_ROLES_H

#include "supervisor/monitor/monitor.h"

struct role_info {
	const char *name, *user;
	enum proto_role role;
};
extern const struct role_info role_table[R_N];

/* The child's side of a fork: gives up what it is not to have and executes the role's program.
 * sock is to the monitor. */
void role_exec(struct monitor *m, enum role_id id, int sock) __attribute__((noreturn));

/* request.c: one request, whose form proto_recv has checked; the fds stay the caller's. 0, or
 * -EPROTO: the role may not go on. */
int request_run(struct monitor *m, const union proto_msg *msg, const int *fds, unsigned n_fds);

#endif
