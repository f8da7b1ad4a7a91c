// SPDX-License-Identifier: Apache-2.0
/*
 * A template is held, stopped, and cloned into sandboxes. Each wait is for one stop of
 * one process; whatever else happens ends the clone, and never the keeper.
 */
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "sandbox/fork/inject_internal.h"
#include "sandbox/sandbox.h"

#ifndef PR_GET_TID_ADDRESS
#define PR_GET_TID_ADDRESS 40
#endif

/* What comes to be besides the template, in this order. */
struct cloning {
	struct inject_template *it;
	pid_t helper, task; /* 0: not there, or not any more */
};

static unsigned long data_at(const struct inject_template *it, size_t offset)
{
	return it->t.page + INJECT_DATA + offset;
}
#define DATA(it, member) data_at(it, offsetof(struct inject_page, member))

static int copy_page(const struct inject_template *it, pid_t pid, struct inject_page *p, bool write,
		     struct err *e)
{
	struct iovec local = {p, sizeof(*p)}, remote = {(void *)data_at(it, 0), sizeof(*p)};
	ssize_t n = write ? process_vm_writev(pid, &local, 1, &remote, 1, 0)
			  : process_vm_readv(pid, &local, 1, &remote, 1, 0);

	return n == (ssize_t)sizeof(*p) ? 0
					: inject_fail(&it->t, e, n < 0 ? errno : EFAULT, "page");
}

/* Addresses that the template has given the kernel to write to: none may be in our memory,
 * whose place it can guess. */
static bool is_in_page(const struct inject_template *it, uint64_t address, uint64_t size)
{
	return address < it->t.page + INJECT_SIZE && address + size > it->t.page;
}

/* What a thread has told the kernel of itself, for its clones to tell again. */
static int read_thread(struct inject_template *it, struct err *e)
{
	struct __ptrace_rseq_configuration rseq = {0};
	const struct {
		long nr;
		unsigned long args[6];
	} calls[] = {
		{SYS_prctl, {PR_GET_TID_ADDRESS, DATA(it, tid_address)}},
		{SYS_get_robust_list, {0, DATA(it, robust_list), DATA(it, robust_len)}},
		{SYS_sigaltstack, {0, DATA(it, altstack)}},
		{SYS_socketpair, {AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, DATA(it, high)}},
	};
	long result;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		r = inject_syscall(&it->t, calls[i].nr, calls[i].args, &result, e);
		if (r < 0)
			return r;
		if (result < 0)
			return inject_fail(&it->t, e, (int)-result, "its thread");
	}
	r = copy_page(it, it->t.pid, &it->page, false, e);
	if (r == 0 && is_in_page(it, it->page.tid_address, sizeof(int)))
		return inject_fail(&it->t, e, EINVAL, "its tid address");
	if (r == 0)
		r = inject_quiet_rseq(&it->t, INJECT_SIZE, &rseq, e);
	it->page.rseq = rseq.rseq_abi_pointer;
	it->page.rseq_len = rseq.rseq_abi_size;
	it->page.rseq_signature = rseq.signature;
	return r;
}

/* Our end of the socket that it gets fds by. */
static int take_socket(struct inject_template *it, struct err *e)
{
	_cleanup_fd_ int pidfd = (int)syscall(SYS_pidfd_open, it->t.pid, 0);
	const unsigned long args[6] = {(unsigned long)it->page.high[1]};
	long result;

	it->page.sock = it->page.high[0];
	it->sock = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, it->page.high[1], 0);
	if (it->sock < 0)
		return inject_fail(&it->t, e, errno, "socket");
	return inject_syscall(&it->t, SYS_close, args, &result, e);
}

static void fill_page(struct inject_template *it)
{
	struct inject_page *p = &it->page;

	*p = (struct inject_page){.tid_address = p->tid_address,
				  .robust_list = p->robust_list,
				  .robust_len = p->robust_len,
				  .rseq = p->rseq,
				  .rseq_len = p->rseq_len,
				  .rseq_signature = p->rseq_signature,
				  .altstack = {p->altstack[0], p->altstack[1], p->altstack[2]},
				  .sock = p->sock,
				  .task_pid = PAYLOAD_PID,
				  /* _LINUX_CAPABILITY_VERSION_3 and itself; all sets empty */
				  .cap_head = {0x20080522, 0},
				  .places = {[CLONE_FD_GO] = PAYLOAD_FD_GO,
					     [CLONE_FD_OUT] = STDOUT_FILENO,
					     [CLONE_FD_ERR] = STDERR_FILENO,
					     [CLONE_FD_STARTED] = PAYLOAD_FD_STARTED},
				  .null_path = "/dev/null"};
	p->helper_args[0] = CLONE_VM | CLONE_PARENT;
	/* No CLONE_CHILD_SETTID: it would write where the template says. Its libc knows this pid.
	 */
	p->task_args[0] = CLONE_PARENT | CLONE_CHILD_CLEARTID;
	p->task_args[2] = p->tid_address;
	p->task_args[8] = DATA(it, task_pid);
	p->task_args[9] = 1;
	p->iov[0] = DATA(it, byte);
	p->iov[1] = 1;
	p->msg[2] = DATA(it, iov);
	p->msg[3] = 1;
	p->msg[4] = DATA(it, cmsg);
	p->msg[5] = sizeof(p->cmsg);
	p->n_files = it->files.n;
	for (int i = 0; i < p->n_files; i++) {
		p->files[i] = it->files.of[i].number;
		p->file_flags[i] = it->files.of[i].flags & O_CLOEXEC;
	}
}

int inject_hold(struct inject_template *it, const struct tracee *t,
		const struct inject_pipes *pipes, const struct sandbox_spec *spec, struct err *e)
{
	const size_t size = (size_t)(__stop_inject_text - __start_inject_text);
	const int proc = mounts_own_proc();
	int r = size > INJECT_DATA ? inject_fail(t, e, EINVAL, "code") : 0;

	it->t = *t;
	it->sock = -1;
	if (r == 0)
		r = inject_strip(&it->t, spec->policy, e);
	if (r == 0)
		r = inject_check_status(proc, t->pid, spec->checkpoint_owner, FILTERS_CONFINED,
					"template", e);
	if (r == 0)
		r = inject_check_files(proc, t->pid, pipes, &it->files, "template", e);
	if (r == 0)
		r = inject_check_memory(proc, t->pid, "template", e);
	if (r == 0)
		r = inject_map(&it->t, INJECT_SIZE, __start_inject_text, size, e);
	if (r == 0)
		r = read_thread(it, e);
	if (r == 0)
		r = take_socket(it, e);
	if (r == 0)
		fill_page(it);
	return r;
}

/* The code has ended in its trap before its time: where, and why. */
static int code_failed(const struct inject_template *it, struct err *e)
{
	static const char *const steps[] = {
		[CLONE_STEP_HELPER] = "clone",	   [CLONE_STEP_RECEIVE] = "receive fds",
		[CLONE_STEP_CGROUP] = "cgroup",	   [CLONE_STEP_SETNS] = "join namespaces",
		[CLONE_STEP_CLONE] = "clone task", [CLONE_STEP_FILES] = "files of the image",
		[CLONE_STEP_STDIN] = "/dev/null",  [CLONE_STEP_FDS] = "fds",
		[CLONE_STEP_SESSION] = "setsid",   [CLONE_STEP_USER] = "its user",
		[CLONE_STEP_LIMIT] = "setrlimit",  [CLONE_STEP_CAPS] = "capabilities"};
	struct inject_page p;
	int r = copy_page(it, it->t.pid, &p, false, e);

	if (r < 0)
		return r;
	if (p.step < 1 || p.step >= (int)ARRAY_SIZE(steps))
		return inject_fail(&it->t, e, EPROTO, "an unexpected trap");
	return inject_fail(&it->t, e, -p.error, steps[p.step]);
}

/* Until pid has cloned; the child is there then, and about to stop too. */
static int wait_child(const struct inject_template *it, pid_t pid, pid_t *ret, struct err *e)
{
	unsigned long child = 0;
	int r = inject_wait(&it->t, pid, STOP_CLONE, e);

	if (r == -EPROTO)
		return code_failed(it, e);
	if (r < 0)
		return r;
	if (ptrace(PTRACE_GETEVENTMSG, pid, 0, &child) < 0 || child < 2)
		return inject_fail(&it->t, e, EPROTO, "child");
	*ret = (pid_t)child;
	return inject_wait(&it->t, *ret, STOP_INTERRUPT, e);
}

static int run_on(const struct inject_template *it, pid_t pid, struct err *e)
{
	return ptrace(PTRACE_CONT, pid, 0, 0) < 0 ? inject_fail(&it->t, e, errno, "PTRACE_CONT")
						  : 0;
}

static int run_template(const struct inject_template *it, struct err *e)
{
	const size_t entry = (size_t)((const char *)(uintptr_t)inject_run - __start_inject_text);
	struct user_regs_struct regs = it->t.saved;
	int r;

	regs.rip = it->t.page + INJECT_CODE + entry;
	regs.rdi = data_at(it, 0);
	/* As after a call instruction; no direction flag, no single step. */
	regs.rsp = it->t.page + INJECT_SIZE - 8;
	regs.eflags &= ~0x500UL;
	regs.orig_rax = ~0UL;
	r = inject_set_regs(&it->t, &regs, e);
	return r < 0 ? r : inject_cont(&it->t, e);
}

/* The code's last trap, in the task: confined. Its memory is its own by now. */
static int wait_confined(const struct inject_template *it, pid_t task, struct err *e)
{
	struct inject_page p = {0};
	int r = inject_wait(&it->t, task, STOP_TRAP, e);

	if (r == 0)
		r = copy_page(it, task, &p, false, e);
	if (r < 0)
		return r;
	return p.step == CLONE_STEP_DONE ? 0 : inject_fail(&it->t, e, -p.error, "confine");
}

static void end_process(pid_t *pid)
{
	int status;

	if (*pid <= 0)
		return;
	/* Ours by CLONE_PARENT and not reaped: the pid is right. */
	(void)kill(*pid, SIGKILL);
	while (waitpid(*pid, &status, __WALL) == *pid && WIFSTOPPED(status))
		;
	*pid = 0;
}

/* It is in these seven namespaces and no other. */
static int check_namespaces(pid_t task, const struct tracee *t, const int *fds, struct err *e)
{
	struct stat want, have;
	char path[40];

	for (int i = 0; i < CLONE_NS_N; i++) {
		(void)snprintf(path, sizeof(path), "%d/ns/%s", (int)task, ns_names[i]);
		if (fstat(fds[i], &want) < 0 || fstatat(mounts_own_proc(), path, &have, 0) < 0 ||
		    want.st_ino != have.st_ino || want.st_dev != have.st_dev)
			return inject_fail(t, e, EPROTO, ns_names[i]);
	}
	return 0;
}

/* Without our memory, back in the read that the template waits in, with its signals. */
static int release(const struct inject_template *it, const struct sandbox_spec *spec, pid_t task,
		   const int *fds, struct err *e)
{
	struct tracee t = it->t;
	int r;

	t.pid = task;
	r = inject_unmap(&t, INJECT_SIZE, e);
	if (r < 0)
		return r;
	r = check_namespaces(task, &t, fds, e);
	if (r == 0)
		r = inject_check_status(mounts_own_proc(), task, spec->owner, FILTERS_CONFINED,
					"fork", e);
	return r == 0 ? inject_let_go(&t, e) : r;
}

static int clone_task(struct cloning *c, const struct sandbox_spec *spec, const int *fds,
		      struct err *e)
{
	struct inject_template *it = c->it;
	int r = run_template(it, e);

	if (r == 0)
		r = wait_child(it, it->t.pid, &c->helper, e);
	if (r == 0)
		r = run_on(it, c->helper, e);
	if (r == 0)
		r = wait_child(it, c->helper, &c->task, e);
	/* It shares the template's memory and has done its work. */
	end_process(&c->helper);
	if (r == 0)
		r = run_on(it, c->task, e);
	if (r == 0)
		r = wait_confined(it, c->task, e);
	/* The new sandbox's init and the task: nothing has slipped away in between. */
	if (r == 0 && cgroup_pids(spec->cgroup) != 2)
		r = inject_fail(&it->t, e, EPROTO, "processes");
	return r < 0 ? r : release(it, spec, c->task, fds, e);
}

_Static_assert(CLONE_FDS_MAX <= FDS_SEND_MAX, "fds_send");

int inject_clone(struct inject_template *it, const struct sandbox_spec *spec, const int *fds,
		 int n_fds, pid_t *ret, struct err *e)
{
	int all[CLONE_FDS_MAX], *files = all + n_fds, r;
	struct cloning c = {.it = it};

	r = rlimit_nofile(&spec->limits, it->page.nofile, e);
	if (r < 0)
		return r;
	it->page.n_fds = n_fds + it->files.n;
	memcpy(all, fds, (size_t)n_fds * sizeof(*fds));
	r = inject_open_files(it, files, e);
	if (r == 0)
		r = copy_page(it, it->t.pid, &it->page, true, e);
	if (r == 0) {
		r = fds_send(it->sock, "f", 1, all, it->page.n_fds, MSG_DONTWAIT);
		if (r < 0)
			r = inject_fail(&it->t, e, -r, "send fds");
	}
	inject_close_files(it, files);
	if (r == 0)
		r = clone_task(&c, spec, fds, e);
	end_process(&c.helper);
	if (r < 0)
		end_process(&c.task);
	*ret = c.task;
	return r;
}
