// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "sandbox/sandbox.h"

static int write_map(int proc, pid_t pid, const char *which, uint32_t owner, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	char path[64], map[64];

	(void)snprintf(path, sizeof(path), "%d/%s", (int)pid, which);
	(void)snprintf(map, sizeof(map), "0 %u %u\n", sandbox_host_id(owner, 0), SANDBOX_ID_COUNT);
	fd = openat(proc, path, O_WRONLY | O_CLOEXEC);
	/* One write: the kernel takes a map only as a whole, user_namespaces(7). */
	if (fd < 0 || write(fd, map, strlen(map)) != (ssize_t)strlen(map))
		return err_set(e, ERR_SYSTEM, errno, "sandbox: %s", which);
	return 0;
}

int idmap_write(int proc, pid_t pid, uint32_t owner, struct err *e)
{
	int r;

	if (owner >= SANDBOX_OWNERS_MAX)
		return err_set(e, ERR_INTERNAL, 0, "sandbox: no id range %u", owner);
	r = write_map(proc, pid, "uid_map", owner, e);
	return r < 0 ? r : write_map(proc, pid, "gid_map", owner, e);
}
