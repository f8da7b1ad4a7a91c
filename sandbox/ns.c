// SPDX-License-Identifier: Apache-2.0
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "sandbox/ns.h"
#include "sandbox/sandbox.h"

const char *const ns_names[CLONE_NS_N] = {
	[CLONE_NS_USER] = "user", [CLONE_NS_MNT] = "mnt", [CLONE_NS_IPC] = "ipc",
	[CLONE_NS_UTS] = "uts",	  [CLONE_NS_NET] = "net", [CLONE_NS_CGROUP] = "cgroup",
	[CLONE_NS_PID] = "pid",
};

/* glibc 2.36 has no wrapper for clone3; used as fork is, it needs no stack of its own. */
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

/* To be called when the process is in its cgroup: that cgroup becomes the namespace's root. */
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
