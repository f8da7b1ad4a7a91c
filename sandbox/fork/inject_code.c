// SPDX-License-Identifier: Apache-2.0
/*
 * Runs in a template, which is held stopped for ever otherwise, and in what is cloned
 * out of it. It reads no memory but the page, which the keeper has just written and
 * nobody else writes to, and writes to no other but one word of the task's rseq area.
 * Compiled freestanding (Makefile): no stack protector, no calls, general registers only.
 *
 * Three processes in turn:
 *   the template    clones the helper, which shares its memory;
 *   the helper      receives the fds, joins the new sandbox's cgroup and namespaces, puts
 *                   the task's fds in their places, and clones the task, which is born
 *                   with all that. It may, because an unprivileged owner of a user
 *                   namespace has every capability over it (user_namespaces(7)), and the
 *                   template's user owns this one.
 *   the task        leaves the template's session, takes its own user of the namespace,
 *                   gives up what it got with that, and tells the kernel of its thread.
 * The keeper stops the first two where they have cloned; the task ends in a trap, and so
 * does whichever meets a failure.
 *
 * A restored process runs inject_confine_run instead, once.
 */
#include "sandbox/fork/inject_code.h"

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/sched.h>

#ifdef __SSP_STRONG__
#error "the Makefile's line for this file does not name it: what is built so kills each template"
#endif

#define in_page static inline __attribute__((always_inline))

in_page long call5(long number, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return result;
}

in_page long call3(long number, long a, long b, long c)
{
	return call5(number, a, b, c, 0, 0);
}

#define PR_SET_DUMPABLE 4
#define PR_CAPBSET_DROP 24
#define TASK_UID 1000 /* SANDBOX_UID */
#define RLIMIT_NOFILE 7
#define MSG_DONTWAIT 0x40
#define MSG_CMSG_CLOEXEC 0x40000000
#define F_DUPFD_CLOEXEC 1030
#define O_RDONLY 0
#define RSEQ_CS 8 /* offsetof(struct rseq, rseq_cs) */

#define AF_UNIX 1
#define SOCK_SEQPACKET_CLOEXEC (5 | 02000000)
#define CLONE_NEWUSER_FLAG 0x10000000
#define SECCOMP_SET_MODE_FILTER_OP 1

/* The bounding set as far as the kernel knows capabilities. */
in_page void drop_bounding(void)
{
	for (long cap = 0; cap < 64; cap++)
		if (call5(__NR_prctl, PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			break;
}

/* Notes a failure; true when there is one. */
in_page int failed(struct inject_page *p, long result, int step)
{
	p->step = step;
	p->error = result < 0 ? (int)result : 0;
	return result < 0;
}

in_page int received(struct inject_page *p, int i)
{
	return ((const int *)(p->cmsg + 2))[i];
}

in_page int take_fds(struct inject_page *p)
{
	long n = call3(__NR_recvmsg, p->sock, (long)p->msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	/* Fewer than were sent: this process's table is full. */
	if (n >= 0 && p->cmsg[0] != 2 * sizeof(uint64_t) + sizeof(int) * (unsigned)p->n_fds)
		n = -EMFILE;
	return failed(p, n, CLONE_STEP_RECEIVE);
}

/* Before the task is cloned: its page tables are on its own bill then. */
in_page int join_cgroup(struct inject_page *p)
{
	const char zero = '0';

	for (int i = CLONE_NS_N + CLONE_FD_N; i < p->n_fds - p->n_files; i++)
		if (failed(p, call3(__NR_write, received(p, i), (long)&zero, 1), CLONE_STEP_CGROUP))
			return 1;
	return 0;
}

in_page int join_namespaces(struct inject_page *p)
{
	/* 0: whatever the fd is of; all seven are checked by the keeper afterwards. */
	for (int i = 0; i < CLONE_NS_N; i++)
		if (failed(p, call3(__NR_setns, received(p, i), 0, 0), CLONE_STEP_SETNS))
			return 1;
	return 0;
}

/* Its own in the places of those that it has in common with the template. These numbers are
 * taken: none of them is a received one. */
in_page int place_files(struct inject_page *p)
{
	for (int i = 0; i < p->n_files; i++)
		if (failed(p,
			   call3(__NR_dup3, received(p, p->n_fds - p->n_files + i), p->files[i],
				 p->file_flags[i]),
			   CLONE_STEP_FILES))
			return 1;
	return 0;
}

/* Of its own: an open file has flags and an owner that all who share it would see. */
in_page int open_stdin(struct inject_page *p)
{
	long fd = call3(__NR_openat, -100, (long)p->null_path, O_RDONLY);

	if (failed(p, fd, CLONE_STEP_STDIN))
		return 1;
	if (fd == 0)
		return 0;
	if (failed(p, call3(__NR_dup3, fd, 0, 0), CLONE_STEP_STDIN))
		return 1;
	(void)call3(__NR_close, fd, 0, 0);
	return 0;
}

/* The task's own in their places, and nothing that was received or sent for left over. */
in_page int move_fds(struct inject_page *p)
{
	long r;

	/* Above the targets first: no target is a source that is still wanted. */
	for (int i = 0; i < CLONE_FD_N; i++) {
		r = call3(__NR_fcntl, received(p, CLONE_NS_N + i), F_DUPFD_CLOEXEC, 64);
		if (failed(p, r, CLONE_STEP_FDS))
			return 1;
		p->high[i] = (int)r;
	}
	for (int i = 0; i < p->n_fds; i++)
		(void)call3(__NR_close, received(p, i), 0, 0);
	for (int i = 0; i < CLONE_FD_N; i++) {
		if (failed(p, call3(__NR_dup3, p->high[i], p->places[i], 0), CLONE_STEP_FDS))
			return 1;
		(void)call3(__NR_close, p->high[i], 0, 0);
	}
	(void)call3(__NR_close, p->sock, 0, 0);
	return 0;
}

/* What a thread tells the kernel of itself and a clone does not inherit. */
in_page void keep_thread(struct inject_page *p)
{
	if (p->robust_list)
		(void)call3(__NR_set_robust_list, (long)p->robust_list, (long)p->robust_len, 0);
	(void)call3(__NR_sigaltstack, (long)p->altstack, 0, 0);
	if (p->rseq) {
		/* No critical section is in force: the kernel would go to its abort handler. */
		*(volatile uint64_t *)(p->rseq + RSEQ_CS) = 0;
		(void)call5(__NR_rseq, (long)p->rseq, (long)p->rseq_len, 0, (long)p->rseq_signature,
			    0);
	}
}

/* Not the template's session: kill(0) knows no pid namespace, and would reach the template
 * and all that was cloned out of it. */
in_page int leave_session(struct inject_page *p)
{
	return failed(p, call3(__NR_setsid, 0, 0, 0), CLONE_STEP_SESSION);
}

/*
 * The template's user is in no range of a sandbox whose owner is another one. A change of
 * user takes the right to its own /proc files, which it has after an exec.
 */
in_page int become_user(struct inject_page *p)
{
	return failed(p, call3(__NR_setresgid, TASK_UID, TASK_UID, TASK_UID), CLONE_STEP_USER) ||
	       failed(p, call3(__NR_setresuid, TASK_UID, TASK_UID, TASK_UID), CLONE_STEP_USER) ||
	       failed(p, call5(__NR_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0), CLONE_STEP_USER);
}

/* The bounding set as far as the kernel knows capabilities, then the others. The ambient
 * set is empty in a new user namespace. */
in_page int confine(struct inject_page *p)
{
	if (failed(p, call3(__NR_setrlimit, RLIMIT_NOFILE, (long)p->nofile, 0), CLONE_STEP_LIMIT))
		return 1;
	drop_bounding();
	return failed(p, call3(__NR_capset, (long)p->cap_head, (long)p->cap_data, 0),
		      CLONE_STEP_CAPS);
}

in_page int helper(struct inject_page *p)
{
	long r;

	if (take_fds(p) || join_cgroup(p) || join_namespaces(p) || place_files(p) ||
	    open_stdin(p) || move_fds(p))
		return 1;
	r = call3(__NR_clone3, (long)p->task_args, sizeof(p->task_args), 0);
	if (failed(p, r, CLONE_STEP_CLONE) || r > 0)
		return 1;
	if (leave_session(p) || become_user(p) || confine(p))
		return 1;
	keep_thread(p);
	return 0;
}

__attribute__((section("inject_text"), noinline, used)) void inject_run(struct inject_page *p)
{
	long r = call3(__NR_clone3, (long)p->helper_args, sizeof(p->helper_args), 0);

	if (!failed(p, r, CLONE_STEP_HELPER) && r == 0 && !helper(p))
		p->step = CLONE_STEP_DONE;
	__asm__ volatile("int3");
	__builtin_unreachable();
}

/* The step, and whether it has failed; true when it has. */
in_page int confine_failed(struct inject_confine_page *p, enum confine_step step, long result)
{
	p->step = (int)step;
	p->error = result < 0 ? (int)result : 0;
	return result < 0;
}

/* It owns the namespace (userns.c), and has every capability in there, and none outside of it. */
in_page int join_userns(struct inject_confine_page *p)
{
	long r = call5(__NR_socketpair, AF_UNIX, SOCK_SEQPACKET_CLOEXEC, 0, (long)p->sock, 0);
	const int *fds = (const int *)(p->cmsg + 2);

	if (confine_failed(p, CONFINE_STEP_SOCKET, r))
		return 1;
	__asm__ volatile("int3" ::: "memory"); /* the init sends it meanwhile */
	r = call3(__NR_recvmsg, p->sock[0], (long)p->msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (r >= 0 && p->cmsg[0] != 2 * sizeof(uint64_t) + sizeof(int) * (p->serve ? 2 : 1))
		r = -EMFILE;
	if (confine_failed(p, CONFINE_STEP_USERNS, r))
		return 1;
	r = call3(__NR_setns, fds[0], CLONE_NEWUSER_FLAG, 0);
	(void)call3(__NR_close, fds[0], 0, 0);
	(void)call3(__NR_close, p->sock[0], 0, 0);
	(void)call3(__NR_close, p->sock[1], 0, 0);
	if (confine_failed(p, CONFINE_STEP_USERNS, r) || !p->serve)
		return r < 0;
	/* The socketpair took the lowest free numbers, so this one is not at its place yet. */
	r = call3(__NR_dup3, fds[1], p->serve, 0);
	(void)call3(__NR_close, fds[1], 0, 0);
	return confine_failed(p, CONFINE_STEP_SERVE, r);
}

in_page int confine_self(struct inject_confine_page *p)
{
	if (join_userns(p))
		return 1;
	/*
	 * The checkpoint may be another owner's, whose range is not mapped: it takes the user
	 * that is its own there, which costs it the right to its own /proc files, and has that
	 * back as after an exec.
	 */
	if (confine_failed(p, CONFINE_STEP_USER, call3(__NR_setgroups, 0, 0, 0)) ||
	    confine_failed(p, CONFINE_STEP_USER,
			   call3(__NR_setresgid, TASK_UID, TASK_UID, TASK_UID)) ||
	    confine_failed(p, CONFINE_STEP_USER,
			   call3(__NR_setresuid, TASK_UID, TASK_UID, TASK_UID)) ||
	    confine_failed(p, CONFINE_STEP_USER, call5(__NR_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0)))
		return 1;
	/* By itself: the init may lack CAP_SYS_RESOURCE for another's limits. */
	if (confine_failed(p, CONFINE_STEP_LIMIT,
			   call3(__NR_setrlimit, RLIMIT_NOFILE, (long)p->nofile, 0)))
		return 1;
	/* The ambient set is empty in a new user namespace (user_namespaces(7)). */
	drop_bounding();
	if (confine_failed(p, CONFINE_STEP_CAPS,
			   call3(__NR_capset, (long)p->cap_head, (long)p->cap_data, 0)))
		return 1;
	return confine_failed(p, CONFINE_STEP_FILTER,
			      call3(__NR_seccomp, SECCOMP_SET_MODE_FILTER_OP, 0, (long)p->filter));
}

__attribute__((section("inject_text"), noinline, used)) void
inject_confine_run(struct inject_confine_page *p)
{
	if (!confine_self(p))
		p->step = CONFINE_STEP_DONE;
	__asm__ volatile("int3");
	__builtin_unreachable();
}
