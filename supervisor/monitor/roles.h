/* SPDX-License-Identifier: Apache-2.0 */
/* Between roles.c (the monitor's side of the roles), role_exec.c (how a role's program is executed)
 * and request.c (what roles ask for). */
#ifndef SUPERVISOR_MONITOR_ROLES_H
#define SUPERVISOR_MONITOR_ROLES_H

#include "supervisor/monitor/monitor.h"

struct role_info {
	const char *name, *user;
	enum proto_role role;
};
extern const struct role_info role_table[R_N];

/* In the child after a fork: gives up what the role must not have, and executes its program. sock
 * leads to the monitor. failed: a pipe for the error where that is not possible; -1: it is logged. */
void role_exec(struct monitor *m, enum role_id id, int sock, int failed) __attribute__((noreturn));
/* Its parts, of which the edge's process is made too. Gives the program these descriptors, from
 * ROLE_FD_FIRST on in their order, and no other above stderr; -1: none. Returns the program's. */
#define ROLE_FDS_MAX 10
int role_keep_fds(const int *fds, int n, int program);
/* Becomes this user, without any capability, for good; it ends with its parent. */
int role_confine(const char *user, struct err *e);

/* request.c: runs one request, whose form proto_recv has checked. The descriptors stay the
 * caller's. 0, or -EPROTO: the role must be ended. */
int request_run(struct monitor *m, const union proto_msg *msg, const int *fds, unsigned n_fds);

#endif
