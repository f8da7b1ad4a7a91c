// SPDX-License-Identifier: Apache-2.0
/* Which processes the kernel's OOM killer takes first (oom_score_adj, proc(5)). */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "sandbox/sandbox.h"

#define PATH "/proc/self/oom_score_adj"

/* Taken last of all, but not exempt (-1000): a cgroup in which no process may be killed would
 * hang. */
#define LAST "-999"

/* The score that this process, or the one that it was forked from, had before oom_protect(). */
static char before[16];

/* Within a sandbox /proc is read-only, so the init writes through its own one. */
static int set(const char *score)
{
	const int proc = mounts_own_proc();
	_cleanup_fd_ int fd = proc < 0
				      ? open(PATH, O_WRONLY | O_CLOEXEC)
				      : openat(proc, PATH + strlen("/proc/"), O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return util_write_all(fd, score, strlen(score));
}

int oom_expose(struct err *e)
{
	int r = set("500");

	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "sandbox: oom_score_adj") : 0;
}

void oom_protect(void)
{
	_cleanup_fd_ int fd = open(PATH, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, before, sizeof(before) - 1);

	before[n < 0 ? 0 : n] = '\0';
	before[strcspn(before, "\n")] = '\0';
	/* A score below zero wants CAP_SYS_RESOURCE, in this process or where the daemon was
	 * started. */
	if (n > 0 && set(LAST) < 0 && before[0] != '-')
		(void)set("0");
}

int oom_unprotect(struct err *e)
{
	int r = before[0] ? set(before) : 0;

	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "fork: oom_score_adj") : 0;
}
