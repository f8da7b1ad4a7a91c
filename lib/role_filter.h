/* SPDX-License-Identifier: Apache-2.0 */
/* A role's own seccomp filter: the syscalls that it needs, by name, and no others. */
#ifndef LIB_ROLE_FILTER_H
#define LIB_ROLE_FILTER_H

#include "lib/util.h"

/*
 * From here on the process can call nothing else: EPERM (clone3: ENOSYS), and another
 * architecture's calls kill. It cannot be taken back; it sets no_new_privs. Failure is to be
 * fatal.
 */
int role_filter_load(const char *const *names, size_t n_names, struct err *e);

#endif
