// SPDX-License-Identifier: Apache-2.0
#include "sandbox/inject.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#include "sandbox/sandbox.h"

#ifndef __x86_64__
#error "inject.c knows x86-64 only"
#endif

#define PAGE 4096UL
#define STOP_TIMEOUT_NS 2000000000ULL
/* rt_sigreturn or the way back into the read may not have come to its syscall yet. */
#define ATTACH_TRIES 200

/*
 * What the process runs, on a fresh page of its own, with nothing of its own: no
 * stack, no library. One: unshare(CLONE_NEWUSER). Two, when its ids are mapped:
 * PR_CAPBSET_DROP for each capability until the kernel knows no more, capset(0), and
 * setrlimit(RLIMIT_NOFILE), which the checkpoint has at the policy's maximum: it does
 * this itself because the init may lack CAP_SYS_RESOURCE for another's limits.
 * The ambient set is empty in a new user namespace (user_namespaces(7)).
 */
__asm__(".pushsection .rodata\n"
	"inject_code:\n"
	"	movl $272, %eax\n" /* unshare */
	"	movl $0x10000000, %edi\n"
	"	syscall\n"
	"	int3\n"
	"inject_in_namespace:\n"
	"	xorl %ebx, %ebx\n"
	"1:	movl $157, %eax\n" /* prctl */
	"	movl $24, %edi\n"  /* PR_CAPBSET_DROP */
	"	movl %ebx, %esi\n"
	"	xorl %edx, %edx\n"
	"	xorl %r10d, %r10d\n"
	"	xorl %r8d, %r8d\n"
	"	syscall\n"
	"	testq %rax, %rax\n"
	"	js 2f\n"
	"	incl %ebx\n"
	"	cmpl $64, %ebx\n"
	"	jb 1b\n"
	"2:	movl $126, %eax\n" /* capset */
	"	leaq 3f(%rip), %rdi\n"
	"	leaq 4f(%rip), %rsi\n"
	"	syscall\n"
	"	testq %rax, %rax\n"
	"	jnz 5f\n"
	"	movl $160, %eax\n" /* setrlimit */
	"	movl $7, %edi\n"   /* RLIMIT_NOFILE */
	"	leaq 6f(%rip), %rsi\n"
	"	syscall\n"
	"5:	int3\n"
	"inject_confined:\n"
	"	.balign 8\n"
	"3:	.long 0x20080522, 0\n" /* _LINUX_CAPABILITY_VERSION_3, self */
	"4:	.zero 24\n"
	"	.balign 8\n"
	"inject_nofile:\n"
	"6:	.zero 16\n" /* struct rlimit, filled in by map_code */
	"inject_code_end:\n"
	".popsection\n");
extern const char inject_code[], inject_in_namespace[], inject_confined[], inject_nofile[],
	inject_code_end[];
#define INJECT_CODE_MAX 256

/* What is expected at the next stop. Anything else fails the injection. */
enum inject_stop { STOP_INTERRUPT, STOP_TRAP };

struct tracee {
	pid_t pid;
	struct user_regs_struct saved; /* where it was */
	unsigned long syscall_ip;      /* of a syscall instruction in its code */
	unsigned long page;	       /* where inject_code is, 0 when not mapped */
};

static int fail(struct err *e, int errnum, const char *step)
{
	return err_set(e, ERR_SYSTEM, errnum, "restore: user namespace: %s", step);
}

/* Waits, bounded, for the next stop. SIGCHLD-like signals are not delivered here:
 * the process has been restored a moment ago and has no child and no timer. */
static int wait_stop(pid_t pid, enum inject_stop want, struct err *e)
{
	const uint64_t end = util_monotonic_ns() + STOP_TIMEOUT_NS;
	int status;
	pid_t r;

	for (;;) {
		r = waitpid(pid, &status, __WALL | WNOHANG);
		if (r < 0 && errno != EINTR)
			return fail(e, errno, "wait");
		if (r == pid)
			break;
		if (util_monotonic_ns() > end)
			return fail(e, ETIMEDOUT, "stop");
		/* A stop takes microseconds; sched_yield keeps a 1-CPU machine moving. */
		(void)sched_yield();
	}
	if (!WIFSTOPPED(status))
		return fail(e, ESRCH, "the process died");
	if (want == STOP_INTERRUPT && status >> 16 == PTRACE_EVENT_STOP)
		return 0;
	if (want == STOP_TRAP && status >> 16 == 0 && WSTOPSIG(status) == SIGTRAP)
		return 0;
	return fail(e, EPROTO, "an unexpected stop");
}

static int set_regs(const struct tracee *t, const struct user_regs_struct *regs, struct err *e)
{
	return ptrace(PTRACE_SETREGS, t->pid, 0, regs) < 0 ? fail(e, errno, "registers") : 0;
}

static int get_regs(const struct tracee *t, struct user_regs_struct *regs, struct err *e)
{
	return ptrace(PTRACE_GETREGS, t->pid, 0, regs) < 0 ? fail(e, errno, "registers") : 0;
}

/* Stopped at a syscall? Then the two bytes before its ip are the instruction. */
static bool at_syscall(struct tracee *t)
{
	long word;

	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, t->pid, t->saved.rip - 2, 0);
	if (errno || (word & 0xffff) != 0x050f || (long)t->saved.orig_rax < 0)
		return false;
	t->syscall_ip = t->saved.rip - 2;
	return true;
}

static int attach(struct tracee *t, struct err *e)
{
	const long options = PTRACE_O_SUSPEND_SECCOMP | PTRACE_O_EXITKILL;
	int r;

	if (ptrace(PTRACE_SEIZE, t->pid, 0, options) < 0)
		return fail(e, errno, "PTRACE_SEIZE");
	for (int i = 0; i < ATTACH_TRIES; i++) {
		struct timespec nap = {0, 100000};

		if (ptrace(PTRACE_INTERRUPT, t->pid, 0, 0) < 0)
			return fail(e, errno, "PTRACE_INTERRUPT");
		r = wait_stop(t->pid, STOP_INTERRUPT, e);
		if (r == 0)
			r = get_regs(t, &t->saved, e);
		if (r < 0)
			return r;
		if (at_syscall(t))
			return 0;
		if (ptrace(PTRACE_CONT, t->pid, 0, 0) < 0)
			return fail(e, errno, "PTRACE_CONT");
		(void)nanosleep(&nap, NULL);
	}
	return fail(e, EBUSY, "the process does not wait in a system call");
}

/*
 * Nobody else may be there, whom the checkpoint held or who was forked before this stop:
 * he would stay in the initial user namespace, and could write to the code below by
 * /proc/PID/mem while no filter holds. The group's count cannot be dodged as a list of
 * /proc can. criu is counted until it has been reaped.
 */
static int check_alone(pid_t criu, const struct cgroup *cg, struct err *e)
{
	uint64_t want = waitpid(criu, NULL, WNOHANG) == criu ? 2 : 3, have = cgroup_pids(cg);

	if (have == want)
		return 0;
	return err_set(e, ERR_INPUT, 0, "restore: %llu processes where %llu are expected",
		       (unsigned long long)have, (unsigned long long)want);
}

/*
 * A trap is the one that is waited for only if it comes from there: a SIGTRAP may be
 * pending, a timer's for one, and the kernel may have sent the process to an rseq(2)
 * abort handler.
 */
static int check_at(const struct user_regs_struct *regs, unsigned long ip, struct err *e)
{
	return regs->rip == ip ? 0 : fail(e, EPROTO, "a trap in another place");
}

/* One system call at the instruction where the process waits. */
static int remote_syscall(struct tracee *t, long nr, const unsigned long args[6], long *ret,
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
	r = set_regs(t, &regs, e);
	if (r < 0)
		return r;
	if (ptrace(PTRACE_SINGLESTEP, t->pid, 0, 0) < 0)
		return fail(e, errno, "PTRACE_SINGLESTEP");
	r = wait_stop(t->pid, STOP_TRAP, e);
	if (r == 0)
		r = get_regs(t, &regs, e);
	if (r == 0)
		r = check_at(&regs, t->syscall_ip + 2, e);
	*ret = (long)regs.rax;
	return r;
}

static int map_code(struct tracee *t, uint32_t nofile, struct err *e)
{
	const size_t size = (size_t)(inject_code_end - inject_code);
	struct rlimit limit;
	char code[INJECT_CODE_MAX];
	const unsigned long args[6] = {
		0, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, ~0UL, 0};
	struct iovec local, remote;
	long addr = -1;
	int r;

	if (size > sizeof(code) || getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return fail(e, EINVAL, "code");
	/* As for a cold start (rlimit.c): no more than this process may have. */
	if (nofile < limit.rlim_max)
		limit.rlim_max = nofile;
	limit.rlim_cur = limit.rlim_max;
	memcpy(code, inject_code, size);
	memcpy(code + (inject_nofile - inject_code), &limit, sizeof(limit));
	r = remote_syscall(t, SYS_mmap, args, &addr, e);
	if (r < 0)
		return r;
	if (addr < 0 && addr > -4096)
		return fail(e, (int)-addr, "mmap");
	t->page = (unsigned long)addr;
	local.iov_base = code;
	local.iov_len = size;
	remote.iov_base = (void *)t->page;
	remote.iov_len = local.iov_len;
	if (process_vm_writev(t->pid, &local, 1, &remote, 1, 0) != (ssize_t)local.iov_len)
		return fail(e, errno, "process_vm_writev");
	return 0;
}

/* Runs the code on to the int3 before a label; *ret is the last system call's result. */
static int run_to_trap(struct tracee *t, const char *label, long *ret, struct err *e)
{
	struct user_regs_struct regs;
	int r;

	if (ptrace(PTRACE_CONT, t->pid, 0, 0) < 0)
		return fail(e, errno, "PTRACE_CONT");
	r = wait_stop(t->pid, STOP_TRAP, e);
	if (r == 0)
		r = get_regs(t, &regs, e);
	if (r == 0)
		r = check_at(&regs, t->page + (unsigned long)(label - inject_code), e);
	if (r == 0)
		*ret = (long)regs.rax;
	return r;
}

static int confine(struct tracee *t, struct err *e)
{
	struct user_regs_struct regs = t->saved;
	long result = -1;
	int r;

	regs.rip = t->page;
	regs.orig_rax = ~0UL;
	r = set_regs(t, &regs, e);
	if (r == 0)
		r = run_to_trap(t, inject_in_namespace, &result, e);
	if (r < 0)
		return r;
	if (result != 0)
		return fail(e, (int)-result, "unshare");
	r = idmap_write(t->pid, e);
	if (r == 0)
		r = run_to_trap(t, inject_confined, &result, e);
	if (r < 0)
		return r;
	return result != 0 ? fail(e, (int)-result, "capset or setrlimit") : 0;
}

static int put_back(struct tracee *t, struct err *e)
{
	const unsigned long args[6] = {t->page, PAGE, 0, 0, 0, 0};
	long result = -1;
	int r = remote_syscall(t, SYS_munmap, args, &result, e);

	if (r < 0)
		return r;
	if (result != 0)
		return fail(e, (int)-result, "munmap");
	/* rax is -ERESTARTSYS and orig_rax read's number: the kernel restarts the read. */
	return set_regs(t, &t->saved, e);
}

/* The kernel's own word on the result. Every line must be there and right. */
static int check_status(pid_t pid, struct err *e)
{
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
			       i ? "Gid" : "Uid", SANDBOX_ID_BASE + SANDBOX_UID,
			       SANDBOX_ID_BASE + SANDBOX_UID, SANDBOX_ID_BASE + SANDBOX_UID,
			       SANDBOX_ID_BASE + SANDBOX_UID);
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return fail(e, ESRCH, path);
	text[n] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		if (!strstr(text, want[i])) {
			want[i][strlen(want[i]) - 1] = '\0';
			return err_set(e, ERR_INTERNAL, 0,
				       "restore: the process is not confined: expected %s",
				       want[i] + 1);
		}
	return 0;
}

int inject_userns(const struct sandbox_spec *spec, pid_t pid, pid_t criu, struct err *e)
{
	struct tracee t = {.pid = pid};
	int r = attach(&t, e);

	if (r == 0)
		r = check_alone(criu, spec->cgroup, e);
	if (r == 0)
		r = map_code(&t, spec->limits.nofile, e);
	if (r == 0)
		r = confine(&t, e);
	if (r == 0)
		r = put_back(&t, e);
	if (r == 0)
		r = check_status(pid, e);
	if (r == 0 && ptrace(PTRACE_DETACH, pid, 0, 0) < 0)
		r = fail(e, errno, "PTRACE_DETACH");
	if (r < 0)
		(void)kill(pid, SIGKILL);
	return r;
}
