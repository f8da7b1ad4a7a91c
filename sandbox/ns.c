// SPDX-License-Identifier: Apache-2.0
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "sandbox/sandbox.h"

/* glibc 2.36 has no clone3 wrapper; a plain fork-like use needs no stack juggling. */
static pid_t clone3_fork(struct clone_args *args)
{
	return (pid_t)syscall(SYS_clone3, args, sizeof(*args));
}

int ns_clone_init(int cgroup_fd, pid_t *ret_pid, int *ret_pidfd, struct err *e)
{
	int pidfd = -1;
	struct clone_args args = {
		.flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_PIDFD,
		.exit_signal = SIGCHLD,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
	};
	pid_t pid;

	if (cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_fd;
	}
	pid = clone3_fork(&args);
	if (pid < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: new namespaces (clone3)");
	*ret_pid = pid;
	*ret_pidfd = pidfd;
	return 0;
}

pid_t ns_clone_into(int cgroup_fd)
{
	struct clone_args args = {.exit_signal = SIGCHLD};
	pid_t pid;

	if (cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_fd;
	}
	pid = clone3_fork(&args);
	return pid < 0 ? -errno : pid;
}

pid_t ns_clone_pid(pid_t want)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uint64_t)(uintptr_t)&want,
		.set_tid_size = 1,
	};
	pid_t pid = clone3_fork(&args);

	return pid < 0 ? -errno : pid;
}

/* After the process is in its cgroup: that one becomes the namespace's root. */
int ns_unshare_cgroup(struct err *e)
{
	if (unshare(CLONE_NEWCGROUP) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: cgroup namespace");
	return 0;
}

int ns_set_hostname(const char *name, struct err *e)
{
	static const char domain[] = "(none)";

	if (sethostname(name, strlen(name)) < 0 || setdomainname(domain, strlen(domain)) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: host name");
	return 0;
}
