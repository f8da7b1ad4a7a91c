// SPDX-License-Identifier: Apache-2.0
/*
 * The kernel counts some resources by user. It counts each use in the user namespace of the
 * process, and again in every namespace above, there for the user who made the namespace below;
 * that user may have made the namespaces of other tasks as well (kernel/ucount.c). Two kinds of
 * bounds keep tasks apart all the same. Pending signals, message queues and locked memory are
 * bounded on the way up by the rlimits that the maker had when it made the namespace: the
 * daemon's limits, never a payload's. Inotify instances and watches are bounded by a number of
 * each namespace, and above that by what the host lets one user have.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "sandbox/sandbox.h"

#define MAKER_STACK 65536

/* The kernel keeps these values for the user namespace of the caller, whichever /proc it opens
 * the files of. */
static int write_bound(int proc, const char *name, unsigned value, struct err *e)
{
	char path[64], text[16];
	_cleanup_fd_ int fd = -1;

	(void)snprintf(path, sizeof(path), "sys/user/%s", name);
	(void)snprintf(text, sizeof(text), "%u", value);
	fd = openat(proc, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0; /* a kernel without inotify */
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return err_set(e, ERR_SYSTEM, errno, "sandbox: user.%s", name);
	return 0;
}

int userns_bound(int proc, struct err *e)
{
	int r = write_bound(proc, "max_inotify_instances", TASK_INOTIFY_INSTANCES, e);

	return r < 0 ? r : write_bound(proc, "max_inotify_watches", TASK_INOTIFY_WATCHES, e);
}

/* Runs in the new namespace with the memory of the process that cloned it, which waits until this
 * function has ended (CLONE_VFORK). */
static int inside(void *arg)
{
	return userns_bound(mounts_own_proc(), arg) < 0;
}

/* The effective user of the caller becomes the namespace's owner. The process in the namespace
 * has ended when this returns, but is not reaped. */
static pid_t clone_inside(uid_t id, struct err *e)
{
	static char stack[MAKER_STACK] __attribute__((aligned(16)));
	pid_t pid = -1;

	if (setegid(id) == 0 && seteuid(id) == 0)
		pid = clone(inside, stack + sizeof(stack),
			    CLONE_VM | CLONE_VFORK | CLONE_NEWUSER | SIGCHLD, e);
	if (pid < 0)
		(void)err_set(e, ERR_SYSTEM, errno,
			      "sandbox: user namespace (sysctl user.max_user_namespaces?)");
	/* Root again: only the effective ids were changed, and the saved ones are still
	 * root's. */
	if (seteuid(0) < 0 || setegid(0) < 0)
		abort();
	return pid;
}

int userns_make(uint32_t maker, uint32_t owner, int *ret, struct err *e)
{
	const int proc = mounts_own_proc();
	_cleanup_fd_ int fd = -1;
	char path[40];
	int status = -1, r;
	pid_t pid = clone_inside(sandbox_host_id(maker, SANDBOX_UID), e);

	if (pid < 0)
		return -EIO;
	(void)snprintf(path, sizeof(path), "%d/ns/user", (int)pid);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	r = fd < 0 ? err_set(e, ERR_SYSTEM, errno, "sandbox: user namespace") : 0;
	if (r == 0)
		r = idmap_write(proc, pid, owner, e);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r == 0 && status != 0)
		r = e->code ? -EIO
			    : err_set(e, ERR_SYSTEM, 0, "sandbox: bounds of a user namespace");
	if (r == 0)
		*ret = TAKE_FD(fd);
	return r;
}
