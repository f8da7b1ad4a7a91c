/* SPDX-License-Identifier: Apache-2.0 */
/* Between inject.c (the tracee) and its two uses, a restore and a clone. */
#ifndef SANDBOX_FORK_INJECT_INTERNAL_H
#define SANDBOX_FORK_INJECT_INTERNAL_H

#include <sys/stat.h>

#include "sandbox/fork/inject.h"

/* What is expected at the next stop. Anything else fails the injection. */
enum inject_stop {
	STOP_INTERRUPT, /* after PTRACE_INTERRUPT, and of a new child that is traced from birth */
	STOP_TRAP,	/* a single step, or the trap at an injection's end */
	STOP_CLONE,	/* it has cloned; PTRACE_GETEVENTMSG has the child */
};

int inject_fail(const struct tracee *t, struct err *e, int errnum, const char *step);
/* Waits for the stop, bounded in time. -ESRCH when the process has ended (and is reaped). */
int inject_wait(const struct tracee *t, pid_t pid, enum inject_stop want, struct err *e);
int inject_get_regs(const struct tracee *t, struct user_regs_struct *regs, struct err *e);
int inject_set_regs(const struct tracee *t, const struct user_regs_struct *regs, struct err *e);
int inject_cont(const struct tracee *t, struct err *e);
/* No critical section of rseq(2) is in force, which could send injected code elsewhere, and its
 * area is not in t->page, for the kernel writes to it. *ret: what it has registered, or zeros. */
struct __ptrace_rseq_configuration;
int inject_quiet_rseq(const struct tracee *t, size_t size, struct __ptrace_rseq_configuration *ret,
		      struct err *e);
/* One system call at the instruction where the process waits. *ret is what it returned. */
int inject_syscall(const struct tracee *t, long nr, const unsigned long args[6], long *ret,
		   struct err *e);
/* Private memory of the process's, readable, writable and executable, with bytes in it. */
int inject_map(struct tracee *t, size_t size, const void *bytes, size_t len, struct err *e);
int inject_unmap(struct tracee *t, size_t size, struct err *e);
/* The kernel's own word on a process without privileges: every line must be there and right.
 * proc: the folder /proc of a pid namespace that sees it as pid. filters: of seccomp. */
int inject_check_status(int proc, pid_t pid, uint32_t owner, unsigned filters, const char *what,
			struct err *e);
/* criu's own, and the policy's. */
#define FILTERS_RESTORED 1
#define FILTERS_CONFINED 2
/* The same two, of which the policy's lets criu work. */
#define FILTERS_WARM 2

/* A stopped process has no files but its pipes, /dev/null, and files of the image to read, which
 * are noted. ret: or NULL. */
int inject_check_files(int proc, pid_t pid, const struct inject_pipes *pipes,
		       struct inject_files *ret, const char *what, struct err *e);
/* It has no memory that its clones would share with it. */
int inject_check_memory(int proc, pid_t pid, const char *what, struct err *e);
/* Each file that is mapped into it is the image's, the heap's, or its user's own memory. */
int inject_check_maps(int proc, pid_t pid, uint32_t owner, const char *what, struct err *e);
/* inject_confine.c: no capabilities, and the policy's filter. */
int inject_strip(struct tracee *t, const struct policy *policy, struct err *e);
/* The mount that a path is on; 0 when that cannot be known. */
uint64_t inject_mount_of(int dir, const char *path);
/* Notes pid's file of this number. fdinfo: the text of its file in /proc/PID/fdinfo. */
int inject_note_file(struct inject_files *files, pid_t pid, int number, const struct stat *st,
		     const char *fdinfo, const char *what, struct err *e);
/* Opens what was noted anew, for one clone: fds for the same numbers in the same order, for
 * inject_close_files, also on failure. */
int inject_open_files(const struct inject_template *it, int fds[CLONE_FILES_MAX], struct err *e);
void inject_close_files(const struct inject_template *it, int fds[CLONE_FILES_MAX]);

#endif
