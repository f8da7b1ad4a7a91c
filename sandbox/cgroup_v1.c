// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "sandbox/cgroup_internal.h"

/* A limit for sockets, beside the memory limit: one part in so many of it. */
#define SOCKETS_PART 4

static int make_dir(int parent, const char *name, int *ret)
{
	if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST)
		return -errno;
	*ret = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return *ret < 0 ? -errno : 0;
}

int cgroup_v1_set_cpu(const struct cgroup *cg, uint32_t cpu_milli)
{
	return cgroup_write_u64(cg->dirs[CGROUP_CPU], "cpu.cfs_quota_us",
				(uint64_t)cpu_milli * (CGROUP_PERIOD_US / 1000));
}

static int set_limits(const struct cgroup *cg, const struct limits *l)
{
	int memory = cg->dirs[CGROUP_MEMORY], cpu = cg->dirs[CGROUP_CPU], r;

	r = cgroup_write_u64(memory, "memory.limit_in_bytes", l->memory);
	if (r < 0)
		return r;
	/* The file is missing where swap is not accounted for, which is right where there is no
	 * swap. */
	r = cgroup_write_u64(memory, "memory.memsw.limit_in_bytes", l->memory);
	if (r < 0 && r != -ENOENT && r != -EOPNOTSUPP)
		return r;
	/*
	 * On v1 the data that waits in TCP and UDP sockets is counted apart from memory, and only
	 * where it has a limit. Without one it is charged to nobody, up to what all sockets of the
	 * machine may have together (net.ipv4.tcp_mem).
	 */
	r = cgroup_write_u64(memory, "memory.kmem.tcp.limit_in_bytes", l->memory / SOCKETS_PART);
	if (r < 0 && r != -ENOENT)
		return r;
	r = cgroup_write_u64(cpu, "cpu.cfs_period_us", CGROUP_PERIOD_US);
	if (r == 0)
		r = cgroup_v1_set_cpu(cg, l->cpu_milli);
	if (r == 0)
		r = cgroup_write_u64(cg->dirs[CGROUP_PIDS], "pids.max", l->pids);
	return r;
}

int cgroup_v1_create(const struct cgroup_host *host, const char *name, const struct limits *limits,
		     struct cgroup *ret, struct err *e)
{
	int r = 0;

	for (int i = 0; i < CGROUP_N && r == 0; i++)
		if (host->dirs[i] >= 0)
			r = make_dir(host->dirs[i], name, &ret->dirs[i]);
	if (r == 0)
		r = set_limits(ret, limits);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "cgroup %s", name);
	return 0;
}
