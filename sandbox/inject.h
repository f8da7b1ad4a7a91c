/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ptrace part, alone (inject*.c): what is done to a process that is not trusted to
 * do it itself. It sits in a blocking read, as an unprivileged user of the initial user
 * namespace, under its seccomp filter. The caller is the trusted init of its sandbox,
 * root, with CAP_SYS_ADMIN in the initial namespace (PTRACE_O_SUSPEND_SECCOMP wants it).
 */
#ifndef SANDBOX_INJECT_H
#define SANDBOX_INJECT_H

#include <sys/types.h>
#include <sys/user.h>

#include "sandbox/inject_code.h"
#include "sandbox/sandbox.h"

/* A process under trace, and how it is put back. */
struct tracee {
	pid_t pid;
	struct user_regs_struct saved; /* where it was */
	unsigned long syscall_ip;      /* of a syscall instruction in its code */
	unsigned long page;	       /* of injected code, 0 when not mapped */
	const char *what;	       /* for error messages */
};

/*
 * Moves pid, which criu has restored, into a new user namespace with the sandbox's id
 * map, with all five capability sets empty and the task's own limit of open files, and
 * leaves it where it was. It must have one thread, and be the only process in the
 * sandbox's cgroup but the caller and criu: another one would not be confined, and could
 * write to its memory meanwhile. Checks the result by /proc, which must be writable,
 * before the process runs on. Bounded in time; on failure pid has been killed.
 */
int inject_userns(const struct sandbox_spec *spec, pid_t pid, pid_t criu, struct err *e);

/* A file of the image that a template has open, as it was when the template was held. */
struct inject_file {
	int number, flags; /* flags: of fdinfo, FD_CLOEXEC as O_CLOEXEC */
	int same;	   /* the first in the list of this open file description */
	off_t offset;
	dev_t dev;
	ino_t ino;
};
struct inject_files {
	int n;
	struct inject_file of[CLONE_FILES_MAX];
};

/* A template: stopped for as long as it lives, its own code never runs again. */
struct inject_template {
	struct tracee t;
	struct inject_page page;
	struct inject_files files;
	uint64_t sigmask;
	int sock, proc;
};

/*
 * Takes hold of pid. One thread, and nobody but it and the caller in the cgroup. On
 * failure it may be alive and traced: the caller ends it.
 */
int inject_hold(struct inject_template *it, pid_t pid, const struct cgroup *cg, struct err *e);
/*
 * Clones it into a sandbox. fds, in this order: CLONE_NS_N namespaces, owned by a user
 * namespace that the template's user owns, whose ids are mapped; CLONE_FD_N for its
 * stdio and pipes; and the rest, opened by root, to join the spec's cgroup by, which nothing
 * is in but the sandbox's init. Of the spec: its cgroup, owner and limit of open files. The clone is the sandbox's pid 2, confined, checked, shares no open
 * file with anybody, and goes on in the template's read.
 *
 * *ret: its pid in the caller's pid namespace; a child of the caller's, whose exit
 * status waitpid(2) has with __WALL. On failure nothing of it is left; -ESRCH when the
 * template itself may have died. Bounded in time.
 */
int inject_clone(struct inject_template *it, const struct sandbox_spec *spec, const int *fds,
		 int n_fds, pid_t *ret, struct err *e);

#endif
