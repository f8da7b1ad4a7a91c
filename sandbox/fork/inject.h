/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ptrace part, alone (inject*.c): what is done to a process that is not trusted to
 * do it itself. It waits in a read, as an unprivileged user of the initial user
 * namespace, under a seccomp filter. The caller is the trusted init of its sandbox,
 * root, with CAP_SYS_ADMIN in the initial namespace (PTRACE_O_SUSPEND_SECCOMP wants it).
 *
 * What criu has restored is stopped, and does not run a single instruction of its own
 * before it has been looked at and confined; a template never does.
 */
#ifndef SANDBOX_FORK_INJECT_H
#define SANDBOX_FORK_INJECT_H

#include <sys/types.h>
#include <sys/user.h>

#include "sandbox/fork/inject_code.h"
#include "sandbox/sandbox.h"

/* A process under trace, and how it is put back. */
struct tracee {
	pid_t pid;
	struct user_regs_struct saved; /* where it was */
	uint64_t sigmask;	       /* its own; all signals but SIGTRAP are blocked meanwhile */
	unsigned long syscall_ip;      /* of a syscall instruction in its code */
	unsigned long page;	       /* of injected code, 0 when not mapped */
	const char *what;	       /* for error messages */
};

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

/* By the payload's numbers 1 to 4: the inode of the pipe that must be there. */
#define INJECT_PIPES_N 4
struct inject_pipes {
	ino_t ino[INJECT_PIPES_N];
};

/*
 * Takes hold of pid, which criu has left stopped, where it is. It must be about to make a
 * system call. Each call below is bounded in time; on failure the process may be there,
 * stopped and under trace: the caller ends it. -ESRCH when it has died.
 */
int inject_seize(struct tracee *t, pid_t pid, bool template, struct err *e);
/*
 * What the kernel says of it, against what was dumped: users, groups, capabilities,
 * no_new_privs, filters and threads; namespaces; files, open and mapped; program, folder and root;
 * session; limits; nothing beside it in its cgroup but the caller. criu must be gone by now.
 */
int inject_look(const struct tracee *t, const struct sandbox_spec *spec,
		const struct inject_pipes *pipes, struct err *e);
/*
 * Moves it into this user namespace (userns_make), as the sandbox's user, with all five capability
 * sets empty, the task's own limit of open files and the policy's filter. Checks the result by
 * /proc.
 */
int inject_confine(struct tracee *t, const struct sandbox_spec *spec, int userns, struct err *e);
/* It goes on, with its own signals, where it was. */
int inject_let_go(const struct tracee *t, struct err *e);

/* Stops pid, which waits in its read for the go, to be dumped... */
int inject_attach_parked(struct tracee *t, pid_t pid, struct err *e);
/* ...looks whether it is as it was started, and has no files but those that it may have: a filter
 * that the imports have added would be lost... */
int inject_look_parked(const struct tracee *t, uint32_t owner, const struct inject_pipes *pipes,
		       struct err *e);
/* ...and leaves it stopped, so that it runs no more; tracer may trace it where Yama restricts
 * that. */
int inject_leave_stopped(struct tracee *t, pid_t tracer, struct err *e);

/* A template: stopped for as long as it lives, its own code never runs again. */
struct inject_template {
	struct tracee t;
	struct inject_page page;
	struct inject_files files;
	int sock;
};

/* Makes a template of what was looked at: under the policy's filter, without capabilities,
 * and with nothing that its clones would share. */
int inject_hold(struct inject_template *it, const struct tracee *t,
		const struct inject_pipes *pipes, const struct sandbox_spec *spec, struct err *e);
/*
 * Clones it into a sandbox. fds, in this order: CLONE_NS_N namespaces, owned by a user
 * namespace that the template's user owns, whose ids are mapped; CLONE_FD_N for its
 * stdio and pipes; and the rest, opened by root, to join the spec's cgroup by, which nothing
 * is in but the sandbox's init. Of the spec: its cgroup, owner and limit of open files. The clone
 * is the sandbox's pid 2, confined, checked, shares no open file with anybody, and goes on in the
 * template's read.
 *
 * *ret: its pid in the caller's pid namespace; a child of the caller's, whose exit
 * status waitpid(2) has with __WALL. On failure nothing of it is left; -ESRCH when the
 * template itself may have died. Bounded in time.
 */
int inject_clone(struct inject_template *it, const struct sandbox_spec *spec, const int *fds,
		 int n_fds, pid_t *ret, struct err *e);

#endif
