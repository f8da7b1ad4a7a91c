// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "sandbox/cgroup_internal.h"

static int set_limits(int dir, const struct limits *l)
{
	char cpu[64];
	int r;

	(void)snprintf(cpu, sizeof(cpu), "%llu %u",
		       (unsigned long long)l->cpu_milli * (CGROUP_PERIOD_US / 1000),
		       CGROUP_PERIOD_US);
	r = cgroup_write_u64(dir, "memory.max", l->memory);
	if (r < 0)
		return r;
	/* Only where the kernel has swap accounting. */
	r = cgroup_write(dir, "memory.swap.max", "0");
	if (r < 0 && r != -ENOENT)
		return r;
	r = cgroup_write(dir, "cpu.max", cpu);
	if (r == 0)
		r = cgroup_write_u64(dir, "pids.max", l->pids + 2); /* see cgroup_v1.c */
	return r;
}

int cgroup_v2_create(const struct cgroup_host *host, const char *name, const struct limits *limits,
		     struct cgroup *ret, struct err *e)
{
	int r;

	if (mkdirat(host->unified, name, 0755) < 0 && errno != EEXIST)
		return err_set(e, ERR_SYSTEM, errno, "cgroup %s", name);
	ret->unified = openat(host->unified, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (ret->unified < 0)
		return err_set(e, ERR_SYSTEM, errno, "cgroup %s", name);
	r = set_limits(ret->unified, limits);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "cgroup %s", name);
	return 0;
}

static int enable_controllers(int dir, const char *where, struct err *e)
{
	int r = cgroup_write(dir, "cgroup.subtree_control", "+memory +cpu +pids");

	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r,
			       "cgroup v2: enable memory, cpu and pids below %s; run as root, with "
			       "Delegate=yes under systemd",
			       where);
	return 0;
}

/*
 * The daemon's own group (systemd's for the unit, or the top) is an inner node as
 * soon as controllers are enabled below it, and inner nodes may hold no process
 * (cgroups(7), "no internal processes"): the daemon moves itself to a leaf first.
 */
int cgroup_v2_prepare(int mount_dir, const char *root_name, int *ret_root, struct err *e)
{
	_cleanup_fd_ int root = -1, leaf = -1;
	int r;

	r = enable_controllers(mount_dir, "the top", e);
	if (r < 0)
		return r;
	if (mkdirat(mount_dir, root_name, 0755) < 0 && errno != EEXIST)
		return err_set(e, ERR_SYSTEM, errno, "cgroup v2: make %s", root_name);
	root = openat(mount_dir, root_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_set(e, ERR_SYSTEM, errno, "cgroup v2: %s", root_name);
	if (mkdirat(root, "supervisor", 0755) < 0 && errno != EEXIST)
		return err_set(e, ERR_SYSTEM, errno, "cgroup v2: %s/supervisor", root_name);
	leaf = openat(root, "supervisor", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (leaf < 0)
		return err_set(e, ERR_SYSTEM, errno, "cgroup v2: %s/supervisor", root_name);
	r = cgroup_write(leaf, "cgroup.procs", "0");
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "cgroup v2: enter %s/supervisor", root_name);
	r = enable_controllers(root, root_name, e);
	if (r < 0)
		return r;
	*ret_root = TAKE_FD(root);
	return 0;
}
