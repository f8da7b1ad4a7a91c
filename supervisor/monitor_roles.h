/* SPDX-License-Identifier: Apache-2.0 */
/* Between monitor_roles.c (the monitor's side of a role) and role_main.c (its own). */
#ifndef SUPERVISOR_MONITOR_ROLES_H
#define SUPERVISOR_MONITOR_ROLES_H

#include "supervisor/monitor.h"

struct role_info {
	const char *name, *user;
	enum proto_role role;
};
extern const struct role_info role_table[R_N];

/* The child's side of a fork: gives up what it is not to have and becomes the role.
 * sock is to the monitor, peer to the other role. */
void role_main(struct monitor *m, enum role_id id, int sock) __attribute__((noreturn));

#endif
