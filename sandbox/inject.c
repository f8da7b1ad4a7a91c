// SPDX-License-Identifier: Apache-2.0
#include "sandbox/inject.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "sandbox/inject_internal.h"
#include "sandbox/sandbox.h"

#ifndef __x86_64__
#error "inject.c knows x86-64 only"
#endif

#define STOP_TIMEOUT_NS 2000000000ULL
#define WAIT_YIELDS 1000
/* rt_sigreturn or the way back into the read may not have come to its syscall yet. */
#define ATTACH_TRIES 1000

int inject_fail(const struct tracee *t, struct err *e, int errnum, const char *step)
{
	return err_set(e, ERR_SYSTEM, errnum, "%s: %s", t->what, step);
}

static bool is_stop(int status, enum inject_stop want)
{
	const int event = status >> 16;

	switch (want) {
	case STOP_INTERRUPT:
		return event == PTRACE_EVENT_STOP;
	case STOP_TRAP:
		return event == 0 && WSTOPSIG(status) == SIGTRAP;
	case STOP_CLONE:
		/* By the clone's signal and flags it is the one or the other, ptrace(2). */
		return event == PTRACE_EVENT_CLONE || event == PTRACE_EVENT_FORK;
	}
	return false;
}

int inject_wait(const struct tracee *t, pid_t pid, enum inject_stop want, struct err *e)
{
	const uint64_t end = util_monotonic_ns() + STOP_TIMEOUT_NS;
	const struct timespec nap = {0, 50000};
	unsigned turns = 0;
	int status;
	pid_t r;

	for (;;) {
		r = waitpid(pid, &status, __WALL | WNOHANG);
		if (r < 0 && errno != EINTR)
			return inject_fail(t, e, errno, "wait");
		if (r == pid)
			break;
		if (util_monotonic_ns() > end)
			return inject_fail(t, e, ETIMEDOUT, "stop");
		/* A stop takes microseconds; sched_yield keeps a 1-CPU machine moving. What takes
		 * longer is to have the processor. */
		if (turns++ < WAIT_YIELDS)
			(void)sched_yield();
		else
			(void)nanosleep(&nap, NULL);
	}
	if (!WIFSTOPPED(status))
		return inject_fail(t, e, ESRCH, "the process died");
	return is_stop(status, want) ? 0 : inject_fail(t, e, EPROTO, "an unexpected stop");
}

int inject_set_regs(const struct tracee *t, const struct user_regs_struct *regs, struct err *e)
{
	return ptrace(PTRACE_SETREGS, t->pid, 0, regs) < 0 ? inject_fail(t, e, errno, "registers")
							   : 0;
}

int inject_get_regs(const struct tracee *t, struct user_regs_struct *regs, struct err *e)
{
	return ptrace(PTRACE_GETREGS, t->pid, 0, regs) < 0 ? inject_fail(t, e, errno, "registers")
							   : 0;
}

int inject_cont(const struct tracee *t, struct err *e)
{
	return ptrace(PTRACE_CONT, t->pid, 0, 0) < 0 ? inject_fail(t, e, errno, "PTRACE_CONT") : 0;
}

/*
 * Stopped while it waits in a syscall? The kernel says so by a result that no program ever
 * sees (ERESTARTSYS and its like, include/linux/errno.h): one that has done its work would
 * do it twice. Then the two bytes before its ip are the instruction.
 */
static bool at_syscall(struct tracee *t)
{
	const long result = (long)t->saved.rax;
	long word;

	if (result != -512 && result != -513 && result != -514 && result != -516)
		return false;
	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, t->pid, t->saved.rip - 2, 0);
	if (errno || (word & 0xffff) != 0x050f || (long)t->saved.orig_rax < 0)
		return false;
	t->syscall_ip = t->saved.rip - 2;
	return true;
}

int inject_attach(struct tracee *t, long options, struct err *e)
{
	int r;

	if (ptrace(PTRACE_SEIZE, t->pid, 0, options) < 0)
		return inject_fail(t, e, errno, "PTRACE_SEIZE");
	for (int i = 0; i < ATTACH_TRIES; i++) {
		struct timespec nap = {0, 100000};

		if (ptrace(PTRACE_INTERRUPT, t->pid, 0, 0) < 0)
			return inject_fail(t, e, errno, "PTRACE_INTERRUPT");
		r = inject_wait(t, t->pid, STOP_INTERRUPT, e);
		if (r == 0)
			r = inject_get_regs(t, &t->saved, e);
		if (r < 0)
			return r;
		if (at_syscall(t))
			return 0;
		r = inject_cont(t, e);
		if (r < 0)
			return r;
		(void)nanosleep(&nap, NULL);
	}
	return inject_fail(t, e, EBUSY, "the process does not wait in a system call");
}

int inject_syscall(const struct tracee *t, long nr, const unsigned long args[6], long *ret,
		   struct err *e)
{
	struct user_regs_struct regs = t->saved;
	int r;

	regs.rip = t->syscall_ip;
	regs.rax = (unsigned long)nr;
	regs.orig_rax = ~0UL; /* no restart of the interrupted read while we use it */
	regs.rdi = args[0];
	regs.rsi = args[1];
	regs.rdx = args[2];
	regs.r10 = args[3];
	regs.r8 = args[4];
	regs.r9 = args[5];
	r = inject_set_regs(t, &regs, e);
	if (r < 0)
		return r;
	if (ptrace(PTRACE_SINGLESTEP, t->pid, 0, 0) < 0)
		return inject_fail(t, e, errno, "PTRACE_SINGLESTEP");
	r = inject_wait(t, t->pid, STOP_TRAP, e);
	if (r == 0)
		r = inject_get_regs(t, &regs, e);
	if (r < 0)
		return r;
	/*
	 * A trap is the one that is waited for only if it comes from there: a SIGTRAP may
	 * be pending, a timer's for one, and the kernel may have sent the process to an
	 * rseq(2) abort handler.
	 */
	if (regs.rip != t->syscall_ip + 2)
		return inject_fail(t, e, EPROTO, "a trap in another place");
	*ret = (long)regs.rax;
	return 0;
}

int inject_map(struct tracee *t, size_t size, const void *bytes, size_t len, struct err *e)
{
	const unsigned long args[6] = {
		0, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, ~0UL, 0};
	struct iovec local = {(void *)(uintptr_t)bytes, len}, remote = {NULL, len};
	long addr = -1;
	int r = inject_syscall(t, SYS_mmap, args, &addr, e);

	if (r < 0)
		return r;
	if (addr < 0 && addr > -4096)
		return inject_fail(t, e, (int)-addr, "mmap");
	t->page = (unsigned long)addr;
	remote.iov_base = (void *)t->page;
	if (process_vm_writev(t->pid, &local, 1, &remote, 1, 0) != (ssize_t)len)
		return inject_fail(t, e, errno, "process_vm_writev");
	return 0;
}

int inject_unmap(struct tracee *t, size_t size, struct err *e)
{
	const unsigned long args[6] = {t->page, size, 0, 0, 0, 0};
	long result = -1;
	int r = inject_syscall(t, SYS_munmap, args, &result, e);

	if (r < 0)
		return r;
	return result != 0 ? inject_fail(t, e, (int)-result, "munmap") : 0;
}

int inject_check_status(int proc, pid_t pid, uint32_t owner, const char *what, struct err *e)
{
	const uid_t id = sandbox_host_id(owner, SANDBOX_UID);
	static const char none[] = "\t0000000000000000\n";
	char want[10][64], path[32], text[4096];
	_cleanup_fd_ int fd = -1;
	ssize_t n;

	for (int i = 0; i < 5; i++)
		(void)snprintf(
			want[i], sizeof(want[i]), "\n%s:%s",
			(const char *[]){"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}[i],
			none);
	(void)snprintf(want[5], sizeof(want[5]), "\nNoNewPrivs:\t1\n");
	(void)snprintf(want[6], sizeof(want[6]), "\nSeccomp:\t2\n");
	(void)snprintf(want[7], sizeof(want[7]), "\nThreads:\t1\n");
	for (int i = 0; i < 2; i++)
		(void)snprintf(want[8 + i], sizeof(want[0]), "\n%s:\t%u\t%u\t%u\t%u\n",
			       i ? "Gid" : "Uid", id, id, id, id);
	(void)snprintf(path, sizeof(path), "%d/status", (int)pid);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return err_set(e, ERR_SYSTEM, ESRCH, "%s: status", what);
	text[n] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		if (!strstr(text, want[i])) {
			want[i][strlen(want[i]) - 1] = '\0';
			return err_set(e, ERR_INTERNAL, 0,
				       "%s: the process is not confined: expected %s", what,
				       want[i] + 1);
		}
	return 0;
}
