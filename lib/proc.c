// SPDX-License-Identifier: Apache-2.0
/* What the kernel tells of a process, and of all processes. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "lib/util.h"

int util_proc_stat(pid_t pid, int field, uint64_t *ret)
{
	_cleanup_fd_ int fd = -1;
	char path[64], buf[1024], *p;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -ESRCH;
	n = read(fd, buf, sizeof(buf) - 1);
	if (n <= 0)
		return -ESRCH;
	buf[n] = '\0';
	/* The command's name may have spaces and ')' in it, so fields are counted from the last
	 * ')', behind which comes field 3. */
	p = strrchr(buf, ')');
	for (int at = 2; p && at < field; at++)
		p = strchr(p + 1, ' ');
	if (!p)
		return -EPROTO;
	*ret = strtoull(p + 1, NULL, 10);
	return 0;
}

int util_proc_start_time(pid_t pid, uint64_t *ret)
{
	return util_proc_stat(pid, 22, ret);
}

pid_t util_pidfd_pid(int pidfd)
{
	char path[48], buf[512], *p;
	_cleanup_fd_ int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);
	if (n <= 0)
		return -1;
	buf[n] = '\0';
	p = strstr(buf, "\nPid:");
	return p ? (pid_t)strtol(p + 5, NULL, 10) : -1;
}

static uint64_t read_number(const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char buf[32];
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);

	if (n <= 0)
		return 0;
	buf[n] = '\0';
	return strtoull(buf, NULL, 10);
}

uint64_t util_pids_for_tasks(void)
{
	static const char *const paths[] = {"/proc/sys/kernel/pid_max",
					    "/proc/sys/kernel/threads-max"};
	uint64_t least = 32768; /* pid_max on a small machine */

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		uint64_t n = read_number(paths[i]);

		if (n && (i == 0 || n < least))
			least = n;
	}
	return least / 4 * 3;
}

const char *util_installed(const char *below, char *buf, size_t size)
{
	char self[PATH_MAX], *slash;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n < 0 ? 0 : n] = '\0';
	/* The program is in PREFIX/bin, PREFIX/sbin or PREFIX/libexec/sandboxd. */
	for (int up = 0; up < 3 && (slash = strrchr(self, '/')); up++) {
		*slash = '\0';
		if (up > 0 && snprintf(buf, size, "%s/%s", self, below) < (int)size &&
		    access(buf, F_OK) == 0)
			return buf;
	}
	(void)snprintf(buf, size, SANDBOXD_PREFIX "/%s", below);
	return buf;
}
