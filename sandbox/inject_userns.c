// SPDX-License-Identifier: Apache-2.0
/* A restored process goes into its user namespace. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "sandbox/inject_internal.h"
#include "sandbox/sandbox.h"

#define PAGE 4096UL

/*
 * What the process runs, on a fresh page of its own, with nothing of its own: no
 * stack, no library. One: unshare(CLONE_NEWUSER). Two, when its ids are mapped: it takes
 * the one that is its own there (the checkpoint may be another owner's, whose range is not
 * mapped), which costs it the right to its own /proc files, and has that back as after an
 * exec; PR_CAPBSET_DROP for each capability until the kernel knows no more, capset(0), and
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
	"	movl $119, %eax\n" /* setresgid, all three SANDBOX_UID */
	"	movl $1000, %edi\n"
	"	movl %edi, %esi\n"
	"	movl %edi, %edx\n"
	"	syscall\n"
	"	testq %rax, %rax\n"
	"	jnz 5f\n"
	"	movl $117, %eax\n" /* setresuid */
	"	syscall\n"
	"	testq %rax, %rax\n"
	"	jnz 5f\n"
	"	movl $157, %eax\n" /* prctl */
	"	movl $4, %edi\n"   /* PR_SET_DUMPABLE */
	"	movl $1, %esi\n"
	"	xorl %edx, %edx\n"
	"	xorl %r10d, %r10d\n"
	"	xorl %r8d, %r8d\n"
	"	syscall\n"
	"	testq %rax, %rax\n"
	"	jnz 5f\n"
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
#define INJECT_CODE_MAX 384
_Static_assert(SANDBOX_UID == 1000, "inject_code says it");

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

static int check_at(const struct tracee *t, const struct user_regs_struct *regs, const char *label,
		    struct err *e)
{
	return regs->rip == t->page + (unsigned long)(label - inject_code)
		       ? 0
		       : inject_fail(t, e, EPROTO, "a trap in another place");
}

static int map_code(struct tracee *t, uint32_t nofile, struct err *e)
{
	const size_t size = (size_t)(inject_code_end - inject_code);
	char code[INJECT_CODE_MAX];
	struct rlimit limit;

	if (size > sizeof(code) || getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return inject_fail(t, e, EINVAL, "code");
	/* As for a cold start (rlimit.c): no more than this process may have. */
	if (nofile < limit.rlim_max)
		limit.rlim_max = nofile;
	limit.rlim_cur = limit.rlim_max;
	memcpy(code, inject_code, size);
	memcpy(code + (inject_nofile - inject_code), &limit, sizeof(limit));
	return inject_map(t, PAGE, code, size, e);
}

/* Runs the code on to the int3 before a label; *ret is the last system call's result. */
static int run_to_trap(struct tracee *t, const char *label, long *ret, struct err *e)
{
	struct user_regs_struct regs;
	int r = inject_cont(t, e);

	if (r == 0)
		r = inject_wait(t, t->pid, STOP_TRAP, e);
	if (r == 0)
		r = inject_get_regs(t, &regs, e);
	if (r == 0)
		r = check_at(t, &regs, label, e);
	if (r == 0)
		*ret = (long)regs.rax;
	return r;
}

static int confine(struct tracee *t, int proc, uint32_t owner, struct err *e)
{
	struct user_regs_struct regs = t->saved;
	long result = -1;
	int r;

	regs.rip = t->page;
	regs.orig_rax = ~0UL;
	r = inject_set_regs(t, &regs, e);
	if (r == 0)
		r = run_to_trap(t, inject_in_namespace, &result, e);
	if (r < 0)
		return r;
	if (result != 0)
		return inject_fail(t, e, (int)-result, "unshare");
	r = idmap_write(proc, t->pid, owner, e);
	if (r == 0)
		r = run_to_trap(t, inject_confined, &result, e);
	if (r < 0)
		return r;
	return result != 0 ? inject_fail(t, e, (int)-result, "its user, capset or setrlimit") : 0;
}

int inject_userns(const struct sandbox_spec *spec, pid_t pid, pid_t criu, struct err *e)
{
	struct tracee t = {.pid = pid, .what = "restore: user namespace"};
	_cleanup_fd_ int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = inject_attach(&t, PTRACE_O_SUSPEND_SECCOMP | PTRACE_O_EXITKILL, e);

	if (r == 0)
		r = check_alone(criu, spec->cgroup, e);
	if (r == 0)
		r = map_code(&t, spec->limits.nofile, e);
	if (r == 0)
		r = confine(&t, proc, spec->owner, e);
	if (r == 0)
		r = inject_unmap(&t, PAGE, e);
	/* rax is -ERESTARTSYS and orig_rax read's number: the kernel restarts the read. */
	if (r == 0)
		r = inject_set_regs(&t, &t.saved, e);
	if (r == 0)
		r = inject_check_status(proc, pid, spec->owner, "restore", e);
	if (r == 0 && ptrace(PTRACE_DETACH, pid, 0, 0) < 0)
		r = inject_fail(&t, e, errno, "PTRACE_DETACH");
	if (r < 0)
		(void)kill(pid, SIGKILL);
	return r;
}
