/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ptrace part, alone. A process that criu has restored sits in a blocking
 * read, as an unprivileged user of the initial user namespace, under its seccomp
 * filter. It is not trusted to confine itself any further, so this is done to it.
 */
#ifndef SANDBOX_INJECT_H
#define SANDBOX_INJECT_H

#include <sys/types.h>

#include "sandbox/sandbox.h"

/*
 * Moves pid into a new user namespace with the sandbox's id map, with all five
 * capability sets empty and the task's own limit of open files, and leaves it where it was. It must have one thread, and be
 * the only process in the sandbox's cgroup but the caller and criu: another one would
 * not be confined, and could write to its memory meanwhile.
 * Checks the result by /proc before the process runs on. The caller is the sandbox's init with CAP_SYS_ADMIN in
 * the initial namespace (PTRACE_O_SUSPEND_SECCOMP wants it) and a writable /proc.
 * Bounded in time; on failure pid has been killed.
 */
int inject_userns(const struct sandbox_spec *spec, pid_t pid, pid_t criu, struct err *e);

#endif
