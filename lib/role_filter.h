/* SPDX-License-Identifier: Apache-2.0 */
/* A role's own seccomp filter: it allows the system calls with these names; "socket:unix" allows
 * sockets of that family alone. */
#ifndef LIB_ROLE_FILTER_H
#define LIB_ROLE_FILTER_H

#include "lib/util.h"

/*
 * After this the process can make no other calls: they fail with EPERM (clone3: ENOSYS), and a call
 * of another architecture kills it. The filter cannot be taken off. Sets no_new_privs. A failure
 * has to end the process.
 */
int role_filter_load(const char *const *names, size_t n_names, struct err *e);

#endif
