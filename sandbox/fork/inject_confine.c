// SPDX-License-Identifier: Apache-2.0
/* A restored process is confined as one that was started cold is by itself (payload.c). */
#include <linux/seccomp.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "sandbox/fork/inject_internal.h"

#define PAGE 4096UL

#define DATA(t, member) ((t)->page + INJECT_DATA + offsetof(struct inject_confine_page, member))

/* The code, the page that it works on, its stack, and the policy's filter. */
static size_t size_of(const struct policy *policy)
{
	const size_t filter = policy->head.n_bpf * sizeof(struct sock_filter);

	return INJECT_SIZE + ((filter + PAGE - 1) & -PAGE);
}

static int fill_page(const struct tracee *t, const struct sandbox_spec *spec,
		     struct inject_confine_page *p, struct err *e)
{
	*p = (struct inject_confine_page){
		.cap_head = {0x20080522, 0}, /* _LINUX_CAPABILITY_VERSION_3, itself */
		.filter = {spec->policy->head.n_bpf, t->page + INJECT_SIZE},
		.serve = spec->serve_fd >= 0 ? PAYLOAD_FD_SERVE : 0,
		.iov = {DATA(t, byte), 1},
		.msg = {[2] = DATA(t, iov), 1, DATA(t, cmsg), sizeof(p->cmsg)},
	};
	return rlimit_nofile(&spec->limits, p->nofile, e);
}

static int write_at(const struct tracee *t, unsigned long offset, const void *data, size_t n,
		    struct err *e)
{
	struct iovec local = {(void *)(uintptr_t)data, n}, remote = {(void *)(t->page + offset), n};

	return process_vm_writev(t->pid, &local, 1, &remote, 1, 0) == (ssize_t)n
		       ? 0
		       : inject_fail(t, e, errno, "process_vm_writev");
}

/* Runs the code on to its next trap, which must be the one of this step. *p: the page then. */
static int run_to(const struct tracee *t, enum confine_step want, struct inject_confine_page *p,
		  struct err *e)
{
	static const char *const steps[] = {
		[CONFINE_STEP_SOCKET] = "socketpair",	  [CONFINE_STEP_USERNS] = "user namespace",
		[CONFINE_STEP_SERVE] = "its socket",	  [CONFINE_STEP_USER] = "its user",
		[CONFINE_STEP_LIMIT] = "setrlimit",	  [CONFINE_STEP_CAPS] = "capabilities",
		[CONFINE_STEP_FILTER] = "seccomp filter", [CONFINE_STEP_DONE] = "its end"};
	struct iovec local = {p, sizeof(*p)},
		     remote = {(void *)(t->page + INJECT_DATA), sizeof(*p)};
	struct user_regs_struct regs = {0};
	int r = inject_cont(t, e);

	if (r == 0)
		r = inject_wait(t, t->pid, STOP_TRAP, e);
	if (r == 0)
		r = inject_get_regs(t, &regs, e);
	if (r < 0)
		return r;
	if (regs.rip <= t->page || regs.rip >= t->page + INJECT_DATA)
		return inject_fail(t, e, EPROTO, "a trap in another place");
	if (process_vm_readv(t->pid, &local, 1, &remote, 1, 0) != (ssize_t)sizeof(*p))
		return inject_fail(t, e, errno, "process_vm_readv");
	if (p->step == (int)want && p->error == 0)
		return 0;
	if (p->step < 1 || p->step >= (int)ARRAY_SIZE(steps))
		return inject_fail(t, e, EPROTO, "an unexpected trap");
	return inject_fail(t, e, -p->error, steps[p->step]);
}

/* The user namespace, and the socket of a run that serves. */
static int send_fds(const struct tracee *t, int theirs, int userns, int serve, struct err *e)
{
	const int fds[] = {userns, serve};
	_cleanup_fd_ int pidfd = (int)syscall(SYS_pidfd_open, t->pid, 0);
	_cleanup_fd_ int sock = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, theirs, 0);
	int r;

	if (sock < 0)
		return inject_fail(t, e, errno, "socket");
	r = fds_send(sock, "u", 1, fds, serve >= 0 ? 2 : 1, MSG_DONTWAIT);
	return r < 0 ? inject_fail(t, e, -r, "send the user namespace") : 0;
}

static int run_code(const struct tracee *t, int userns, int serve, struct err *e)
{
	const size_t entry =
		(size_t)((const char *)(uintptr_t)inject_confine_run - __start_inject_text);
	struct user_regs_struct regs = t->saved;
	struct inject_confine_page p = {0};
	int r;

	regs.rip = t->page + INJECT_CODE + entry;
	regs.rdi = t->page + INJECT_DATA;
	/* As after a call instruction; no direction flag, no single step. */
	regs.rsp = t->page + INJECT_SIZE - 8;
	regs.eflags &= ~0x500UL;
	regs.orig_rax = ~0UL;
	r = inject_set_regs(t, &regs, e);
	if (r == 0)
		r = run_to(t, CONFINE_STEP_SOCKET, &p, e);
	if (r == 0)
		r = send_fds(t, p.sock[1], userns, serve, e);
	return r == 0 ? run_to(t, CONFINE_STEP_DONE, &p, e) : r;
}

int inject_confine(struct tracee *t, const struct sandbox_spec *spec, int userns, struct err *e)
{
	const size_t code = (size_t)(__stop_inject_text - __start_inject_text);
	const size_t size = size_of(spec->policy);
	struct __ptrace_rseq_configuration rseq;
	struct inject_confine_page p;
	int r = code > INJECT_DATA ? inject_fail(t, e, EINVAL, "code") : 0;

	if (r == 0)
		r = inject_map(t, size, __start_inject_text, code, e);
	if (r == 0)
		r = inject_quiet_rseq(t, size, &rseq, e);
	if (r == 0)
		r = fill_page(t, spec, &p, e);
	if (r == 0)
		r = write_at(t, INJECT_DATA, &p, sizeof(p), e);
	if (r == 0)
		r = write_at(t, INJECT_SIZE, spec->policy->bpf,
			     spec->policy->head.n_bpf * sizeof(struct sock_filter), e);
	if (r == 0)
		r = run_code(t, userns, spec->serve_fd, e);
	if (r == 0)
		r = inject_unmap(t, size, e);
	if (r == 0)
		r = inject_check_status(mounts_own_proc(), t->pid, spec->owner, FILTERS_CONFINED,
					t->what, e);
	return r;
}

/*
 * A template stays the user that it is, so that it owns its clones' namespaces, and gives up all
 * else for good: its clones have the filter from their birth.
 */
int inject_strip(struct tracee *t, const struct policy *policy, struct err *e)
{
	const size_t size = size_of(policy);
	struct inject_confine_page p;
	struct __ptrace_rseq_configuration rseq;
	long result;
	int r = inject_map(t, size, "", 1, e);

	if (r < 0)
		return r;
	p = (struct inject_confine_page){
		.cap_head = {0x20080522, 0},
		.filter = {policy->head.n_bpf, t->page + INJECT_SIZE},
	};
	r = inject_quiet_rseq(t, size, &rseq, e);
	if (r == 0)
		r = write_at(t, INJECT_DATA, &p, sizeof(p), e);
	if (r == 0)
		r = write_at(t, INJECT_SIZE, policy->bpf,
			     policy->head.n_bpf * sizeof(struct sock_filter), e);
	for (int i = 0; i < 2 && r == 0; i++) {
		const unsigned long capset[6] = {DATA(t, cap_head), DATA(t, cap_data)};
		const unsigned long seccomp[6] = {SECCOMP_SET_MODE_FILTER, 0, DATA(t, filter)};

		r = i == 0 ? inject_syscall(t, SYS_capset, capset, &result, e)
			   : inject_syscall(t, SYS_seccomp, seccomp, &result, e);
		if (r == 0 && result != 0)
			r = inject_fail(t, e, (int)-result,
					i == 0 ? "capabilities" : "seccomp filter");
	}
	if (r == 0)
		r = inject_unmap(t, size, e);
	return r;
}
