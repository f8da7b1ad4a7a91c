// SPDX-License-Identifier: Apache-2.0
#include "sandbox/fork/inject.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "sandbox/fork/inject_internal.h"
#include "sandbox/sandbox.h"

#ifndef __x86_64__
#error "inject.c knows x86-64 only"
#endif

#define STOP_TIMEOUT_NS (2 * SEC)
#define WAIT_YIELDS 1000
/* A SIGSTOP, the group's stop by it, our own, and that it may go on. */
#define STOPS_MAX 8
#define RSEQ_CS_OFFSET 8 /* offsetof(struct rseq, rseq_cs) */
#ifndef PR_SET_PTRACER
#define PR_SET_PTRACER 0x59616d61
#endif
/* It may be about to make the system call that it parks in, or be back from a signal. */
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

static int wait_stop(const struct tracee *t, pid_t pid, int *status, struct err *e)
{
	const uint64_t end = util_monotonic_ns() + STOP_TIMEOUT_NS;
	const struct timespec nap = {0, 50000};
	unsigned turns = 0;
	pid_t r;

	for (;;) {
		r = waitpid(pid, status, __WALL | WNOHANG);
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
	return WIFSTOPPED(*status) ? 0 : inject_fail(t, e, ESRCH, "the process died");
}

int inject_wait(const struct tracee *t, pid_t pid, enum inject_stop want, struct err *e)
{
	int status, r = wait_stop(t, pid, &status, e);

	if (r < 0)
		return r;
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
 * Stopped while it waits in a system call? The kernel says so by a result that no program ever
 * sees (ERESTARTSYS and its like, include/linux/errno.h): one that has done its work would
 * do it twice. It will be made again from the start, by the instruction before its ip.
 */
static bool waits_for_go(struct tracee *t)
{
	const long result = (long)t->saved.rax;

	t->syscall_ip = t->saved.rip - 2;
	return (result == -512 || result == -513 || result == -514) &&
	       t->saved.orig_rax == SYS_read && t->saved.rdi == PAYLOAD_FD_GO;
}

static bool is_syscall(const struct tracee *t)
{
	long word;

	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, t->pid, t->syscall_ip, 0);
	return !errno && (word & 0xffff) == 0x050f;
}

int inject_attach_parked(struct tracee *t, pid_t pid, struct err *e)
{
	int r;

	*t = (struct tracee){.pid = pid, .what = "warm"};
	/* EPERM: it has ended, and is not reaped; nobody else may trace it. */
	if (ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_SUSPEND_SECCOMP) < 0)
		return inject_fail(t, e, errno == EPERM ? ESRCH : errno, "PTRACE_SEIZE");
	for (int i = 0; i < ATTACH_TRIES; i++) {
		struct timespec nap = {0, 100000};

		if (ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0)
			return inject_fail(t, e, errno, "PTRACE_INTERRUPT");
		r = inject_wait(t, pid, STOP_INTERRUPT, e);
		if (r == 0)
			r = inject_get_regs(t, &t->saved, e);
		if (r < 0)
			return r;
		if (waits_for_go(t) && is_syscall(t))
			return 0;
		r = inject_cont(t, e);
		if (r < 0)
			return r;
		(void)nanosleep(&nap, NULL);
	}
	return inject_fail(t, e, EBUSY, "the interpreter does not wait where it parks");
}

int inject_leave_stopped(struct tracee *t, pid_t tracer, struct err *e)
{
	const unsigned long ptracer[6] = {PR_SET_PTRACER, (unsigned long)tracer, 0, 0, 0, 0};
	const unsigned long dumpable[6] = {PR_SET_DUMPABLE, 1, 0, 0, 0, 0};
	siginfo_t si;
	struct __ptrace_rseq_configuration rseq;
	long result;
	int r = inject_quiet_rseq(t, 0, &rseq, e);

	/* As each task is; a library may have thought otherwise. */
	if (r == 0)
		r = inject_syscall(t, SYS_prctl, dumpable, &result, e);
	/* EINVAL where there is no Yama. */
	if (r == 0)
		r = inject_syscall(t, SYS_prctl, ptracer, &result, e);
	/* rax is -ERESTARTSYS and orig_rax read's number: the kernel restarts the read. */
	if (r == 0)
		r = inject_set_regs(t, &t->saved, e);
	/* It is at a signal's delivery, the single step's: that becomes one that stops it. */
	if (r == 0 && ptrace(PTRACE_DETACH, t->pid, 0, SIGSTOP) < 0)
		r = inject_fail(t, e, errno, "PTRACE_DETACH");
	/* criu cannot tell one that is about to stop from one that runs, and waits for ever. */
	while (r == 0 && waitid(P_PID, (id_t)t->pid, &si, WSTOPPED | WEXITED | WNOWAIT) < 0)
		if (errno != EINTR)
			r = inject_fail(t, e, errno, "wait");
	return r;
}

/* All signals but the one that ends injected code: no handler of its own may run in it. */
static int inject_block_signals(const struct tracee *t, pid_t pid, struct err *e)
{
	uint64_t all = ~(1ULL << (SIGTRAP - 1));

	return ptrace(PTRACE_SETSIGMASK, pid, sizeof(all), &all) < 0
		       ? inject_fail(t, e, errno, "signals")
		       : 0;
}

/*
 * criu has sent it a SIGSTOP, which may not have come to it yet. A SIGCONT of ours takes that
 * back, however far it is; and as only this one and SIGTRAP are not blocked, the process stops
 * with it, on its way to its first instruction, and is not stopped for anybody else any more.
 */
static int take_over_stop(const struct tracee *t, struct err *e)
{
	uint64_t but = ~(1ULL << (SIGTRAP - 1) | 1ULL << (SIGCONT - 1));
	int status = 0;

	if (ptrace(PTRACE_SETSIGMASK, t->pid, sizeof(but), &but) < 0)
		return inject_fail(t, e, errno, "signals");
	if (kill(t->pid, SIGCONT) < 0)
		return inject_fail(t, e, errno, "SIGCONT");
	for (int i = 0; i < STOPS_MAX; i++) {
		int r = inject_cont(t, e);

		if (r == 0)
			r = wait_stop(t, t->pid, &status, e);
		if (r < 0)
			return r;
		if (status >> 16 == 0 && WSTOPSIG(status) == SIGCONT)
			return 0;
		if (status >> 16 != PTRACE_EVENT_STOP && WSTOPSIG(status) != SIGSTOP)
			return inject_fail(t, e, EPROTO, "an unexpected stop");
	}
	return inject_fail(t, e, EPROTO, "too many stops");
}

int inject_seize(struct tracee *t, pid_t pid, bool template, struct err *e)
{
	const long options =
		PTRACE_O_SUSPEND_SECCOMP | PTRACE_O_EXITKILL |
		(template ? PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK : 0);
	int status, r;

	*t = (struct tracee){.pid = pid, .what = template ? "template" : "restore"};
	if (ptrace(PTRACE_SEIZE, pid, 0, options) < 0 || ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0)
		return inject_fail(t, e, errno, "PTRACE_SEIZE");
	r = wait_stop(t, pid, &status, e);
	if (r < 0)
		return r;
	if (status >> 16 != PTRACE_EVENT_STOP && WSTOPSIG(status) != SIGSTOP)
		return inject_fail(t, e, EPROTO, "an unexpected stop");
	if (ptrace(PTRACE_GETSIGMASK, pid, sizeof(t->sigmask), &t->sigmask) < 0)
		return inject_fail(t, e, errno, "signals");
	r = take_over_stop(t, e);
	if (r == 0)
		r = inject_block_signals(t, pid, e);
	if (r == 0)
		r = inject_get_regs(t, &t->saved, e);
	if (r < 0)
		return r;
	/* criu has turned the read that it waited in into one that is about to be made. */
	t->saved.orig_rax = ~0UL;
	t->syscall_ip = t->saved.rip;
	return is_syscall(t) ? 0 : inject_fail(t, e, EPROTO, "it is not in its read");
}

int inject_let_go(const struct tracee *t, struct err *e)
{
	int r = inject_set_regs(t, &t->saved, e);

	if (r == 0 && ptrace(PTRACE_SETSIGMASK, t->pid, sizeof(t->sigmask), &t->sigmask) < 0)
		r = inject_fail(t, e, errno, "signals");
	if (r == 0 && ptrace(PTRACE_DETACH, t->pid, 0, 0) < 0)
		r = inject_fail(t, e, errno, "PTRACE_DETACH");
	return r;
}

int inject_quiet_rseq(const struct tracee *t, size_t size, struct __ptrace_rseq_configuration *ret,
		      struct err *e)
{
	uint64_t none = 0;
	struct iovec local = {&none, sizeof(none)}, remote;

	*ret = (struct __ptrace_rseq_configuration){0};
	/* A kernel before 5.13 cannot say; criu restores none then, and glibc works without. */
	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, t->pid, sizeof(*ret), ret) <= 0 ||
	    !ret->rseq_abi_pointer)
		return 0;
	if (ret->rseq_abi_pointer < t->page + size &&
	    ret->rseq_abi_pointer + ret->rseq_abi_size > t->page)
		return inject_fail(t, e, EINVAL, "its rseq area");
	remote = (struct iovec){(void *)(uintptr_t)(ret->rseq_abi_pointer + RSEQ_CS_OFFSET),
				sizeof(none)};
	if (process_vm_writev(t->pid, &local, 1, &remote, 1, 0) != (ssize_t)sizeof(none))
		return inject_fail(t, e, EFAULT, "its rseq area");
	return 0;
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

int inject_check_status(int proc, pid_t pid, uint32_t owner, unsigned filters, const char *what,
			struct err *e)
{
	const uid_t id = sandbox_host_id(owner, SANDBOX_UID);
	static const char none[] = "\t0000000000000000\n";
	char want[12][64], path[32], text[4096];
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
	(void)snprintf(want[10], sizeof(want[10]), "\nSeccomp_filters:\t%u\n", filters);
	(void)snprintf(want[11], sizeof(want[11]), "\nGroups:\t \n");
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
