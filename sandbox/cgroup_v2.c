// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "sandbox/cgroup_internal.h"

int cgroup_v2_set_cpu(const struct cgroup *cg, uint32_t cpu_milli)
{
	char cpu[64];

	(void)snprintf(cpu, sizeof(cpu), "%llu %u",
		       (unsigned long long)cpu_milli * (CGROUP_PERIOD_US / 1000), CGROUP_PERIOD_US);
	return cgroup_write(cg->unified, "cpu.max", cpu);
}

static int set_limits(const struct cgroup *cg, const struct limits *l)
{
	int dir = cg->unified, r;

	r = cgroup_write_u64(dir, "memory.max", l->memory);
	if (r < 0)
		return r;
	/* The file is missing where the kernel does not account for swap. */
	r = cgroup_write(dir, "memory.swap.max", "0");
	if (r < 0 && r != -ENOENT)
		return r;
	r = cgroup_v2_set_cpu(cg, l->cpu_milli);
	if (r == 0)
		r = cgroup_write_u64(dir, "pids.max", l->pids);
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
	r = set_limits(ret, limits);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "cgroup %s", name);
	return 0;
}

static int enable_controllers(int dir)
{
	return cgroup_write(dir, "cgroup.subtree_control", "+memory +cpu +pids");
}

/*
 * In a container the group that we see as the top is the container's own, and this process may be
 * in it. A group with controllers enabled below it may hold no process (the "no internal processes"
 * rule of cgroups(7); only the real top is exempt). So the daemon moves to a leaf.
 */
static int move_aside(int mount_dir, const char *root_name, struct err *e)
{
	_cleanup_fd_ int root = -1, leaf = -1;
	int r;

	root = openat(mount_dir, root_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || (mkdirat(root, "supervisor", 0755) < 0 && errno != EEXIST))
		return err_set(e, ERR_SYSTEM, errno, "cgroup v2: %s/supervisor", root_name);
	leaf = openat(root, "supervisor", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (leaf < 0)
		return err_set(e, ERR_SYSTEM, errno, "cgroup v2: %s/supervisor", root_name);
	r = cgroup_write(leaf, "cgroup.procs", "0");
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "cgroup v2: enter %s/supervisor", root_name) : 0;
}

/*
 * The tasks' groups are not below the group that systemd gives the daemon's unit. They outlive the
 * daemon, and systemd 252 cannot start a unit again whose group has groups with processes below it.
 */
int cgroup_v2_prepare(int mount_dir, const char *root_name, int *ret_root, struct err *e)
{
	_cleanup_fd_ int root = -1;
	int r;

	if (mkdirat(mount_dir, root_name, 0755) < 0 && errno != EEXIST)
		return err_set(e, ERR_SYSTEM, errno, "cgroup v2: make %s", root_name);
	r = enable_controllers(mount_dir);
	if (r == -EBUSY) {
		r = move_aside(mount_dir, root_name, e);
		if (r < 0)
			return r;
		r = enable_controllers(mount_dir);
	}
	root = openat(mount_dir, root_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r == 0)
		r = root < 0 ? -errno : enable_controllers(root);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r,
			       "cgroup v2: enable memory, cpu and pids for %s; is this root, with "
			       "a writable cgroup file system?",
			       root_name);
	*ret_root = TAKE_FD(root);
	return 0;
}
