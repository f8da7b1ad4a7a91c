// SPDX-License-Identifier: Apache-2.0
#include "sandbox/cgroup.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/dir.h"
#include "sandbox/cgroup_internal.h"

/* Writes one small control file in a group's folder. */
int cgroup_write(int dir, const char *file, const char *value)
{
	_cleanup_fd_ int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, value, strlen(value)) < 0 ? -errno : 0;
}

int cgroup_write_u64(int dir, const char *file, uint64_t value)
{
	char buf[32];

	(void)snprintf(buf, sizeof(buf), "%llu", (unsigned long long)value);
	return cgroup_write(dir, file, buf);
}

static ssize_t cgroup_read(int dir, const char *file, char *buf, size_t size)
{
	_cleanup_fd_ int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return n;
}

/* The value of a file, or of its line "key value". 0 when the file or the line is missing. */
static uint64_t cgroup_read_u64(int dir, const char *file, const char *key)
{
	char buf[4096] = "", *p = buf;
	size_t n = key ? strlen(key) : 0;

	if (dir < 0 || cgroup_read(dir, file, buf, sizeof(buf)) <= 0)
		return 0;
	while (key && p && !(strncmp(p, key, n) == 0 && p[n] == ' ')) {
		p = strchr(p, '\n');
		p = p ? p + 1 : NULL;
	}
	return p ? strtoull(p + (key ? n + 1 : 0), NULL, 10) : 0;
}

int cgroup_create(const struct cgroup_host *host, const char *name, const struct limits *limits,
		  struct cgroup *ret, struct err *e)
{
	int r;

	*ret = (struct cgroup){.host = host, .unified = -1, .dirs = {-1, -1, -1, -1}};
	(void)snprintf(ret->name, sizeof(ret->name), "%s", name);
	r = host->v2 ? cgroup_v2_create(host, name, limits, ret, e)
		     : cgroup_v1_create(host, name, limits, ret, e);
	if (r < 0)
		(void)cgroup_remove(ret);
	return r;
}

int cgroup_open(const struct cgroup_host *host, const char *name, struct cgroup *ret, struct err *e)
{
	*ret = (struct cgroup){.host = host, .unified = -1, .dirs = {-1, -1, -1, -1}};
	(void)snprintf(ret->name, sizeof(ret->name), "%s", name);
	if (host->unified >= 0)
		ret->unified = openat(host->unified, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < CGROUP_N; i++)
		if (!host->v2 && host->dirs[i] >= 0)
			ret->dirs[i] =
				openat(host->dirs[i], name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if ((host->v2 ? ret->unified : ret->dirs[CGROUP_MEMORY]) < 0) {
		cgroup_close(ret);
		return err_set(e, ERR_NOT_FOUND, 0, "cgroup %s has been removed", name);
	}
	return 0;
}

int cgroup_clone_fd(const struct cgroup *cg)
{
	return cg->host->v2 ? cg->unified : -1;
}

int cgroup_enter(const struct cgroup *cg, struct err *e)
{
	int r = 0;

	/* On v2 the process was born inside. */
	if (cg->host->v2)
		return 0;
	for (int i = 0; i < CGROUP_N && r == 0; i++)
		if (cg->dirs[i] >= 0)
			r = cgroup_write(cg->dirs[i], "tasks", "0");
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "sandbox: enter cgroup %s", cg->name);
	return 0;
}

int cgroup_open_join(const struct cgroup *cg, int *fds, int *n, struct err *e)
{
	const bool v2 = cg->host->v2;

	for (int i = 0; i < (v2 ? 1 : CGROUP_N); i++) {
		int dir = v2 ? cg->unified : cg->dirs[i], fd;

		if (dir < 0)
			continue;
		fd = openat(dir, v2 ? "cgroup.procs" : "tasks", O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			return err_set(e, ERR_SYSTEM, errno, "cgroup %s", cg->name);
		fds[(*n)++] = fd;
	}
	return 0;
}

/* cpu and cpuacct may be one hierarchy, as systemd mounts them: then the first call has renamed the
 * folder, and the second finds it under the new name. */
static int rename_one(int parent, const char *from, const char *to)
{
	if (renameat(parent, from, parent, to) == 0 ||
	    (errno == ENOENT && faccessat(parent, to, F_OK, 0) == 0))
		return 0;
	return -errno;
}

int cgroup_rename(struct cgroup *cg, const char *name)
{
	if (cg->host->v2)
		return -EOPNOTSUPP;
	for (int i = 0; i < CGROUP_N; i++) {
		int r = cg->dirs[i] < 0 ? 0 : rename_one(cg->host->dirs[i], cg->name, name);

		if (r < 0) {
			while (i-- > 0)
				if (cg->dirs[i] >= 0)
					(void)rename_one(cg->host->dirs[i], name, cg->name);
			return r;
		}
	}
	(void)snprintf(cg->name, sizeof(cg->name), "%s", name);
	return 0;
}

int cgroup_set_pids(const struct cgroup *cg, uint32_t pids)
{
	return cgroup_write_u64(cg->host->v2 ? cg->unified : cg->dirs[CGROUP_PIDS], "pids.max",
				pids);
}

int cgroup_open_pids(const struct cgroup *cg)
{
	int fd = openat(cg->host->v2 ? cg->unified : cg->dirs[CGROUP_PIDS], "pids.max",
			O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int cgroup_write_pids(int fd, uint32_t pids)
{
	char buf[32];
	int n = snprintf(buf, sizeof(buf), "%u", pids);

	return pwrite(fd, buf, (size_t)n, 0) == n ? 0 : -errno;
}

int cgroup_set_cpu(const struct cgroup *cg, uint32_t cpu_milli)
{
	return cg->host->v2 ? cgroup_v2_set_cpu(cg, cpu_milli) : cgroup_v1_set_cpu(cg, cpu_milli);
}

int cgroup_set_memory(const struct cgroup *cg, uint64_t bytes)
{
	if (cg->host->v2)
		return cgroup_write_u64(cg->unified, "memory.max", bytes);
	return cgroup_write_u64(cg->dirs[CGROUP_MEMORY], "memory.limit_in_bytes", bytes);
}

int cgroup_usage(const struct cgroup *cg, struct cgroup_usage *ret)
{
	int memory = cg->dirs[CGROUP_MEMORY];

	*ret = (struct cgroup_usage){0};
	if (cg->host->v2) {
		ret->cpu_us = cgroup_read_u64(cg->unified, "cpu.stat", "usage_usec");
		ret->memory_peak = cgroup_read_u64(cg->unified, "memory.peak", NULL);
		ret->memory_now = cgroup_read_u64(cg->unified, "memory.current", NULL);
		ret->oom_kills = cgroup_read_u64(cg->unified, "memory.events", "oom_kill");
		ret->pids_refused = cgroup_read_u64(cg->unified, "pids.events", "max");
		return 0;
	}
	ret->cpu_us = cgroup_read_u64(cg->dirs[CGROUP_CPUACCT], "cpuacct.usage", NULL) / 1000;
	ret->memory_peak = cgroup_read_u64(memory, "memory.max_usage_in_bytes", NULL);
	ret->memory_now = cgroup_read_u64(memory, "memory.usage_in_bytes", NULL);
	ret->oom_kills = cgroup_read_u64(memory, "memory.oom_control", "oom_kill");
	ret->pids_refused = cgroup_read_u64(cg->dirs[CGROUP_PIDS], "pids.events", "max");
	return 0;
}

uint64_t cgroup_pids(const struct cgroup *cg)
{
	return cgroup_read_u64(cg->host->v2 ? cg->unified : cg->dirs[CGROUP_PIDS], "pids.current",
			       NULL);
}

/* For kernels without cgroup.kill: signals the processes that are listed until none is, at most 100
 * times. */
static int kill_listed(int dir)
{
	char buf[4096] = "", *p, *end;

	for (int round = 0; round < 100; round++) {
		bool any = false;

		if (cgroup_read(dir, "cgroup.procs", buf, sizeof(buf)) <= 0)
			return 0;
		for (p = buf; *p; p = *end ? end + 1 : end) {
			long pid = strtol(p, &end, 10);

			/* The kernel lists 0 for a process of a pid namespace that this process
			 * cannot see into. */
			if (pid > 1 && kill((pid_t)pid, SIGKILL) == 0)
				any = true;
			if (end == p)
				break;
		}
		if (!any)
			return 0;
	}
	return -EBUSY;
}

int cgroup_kill(const struct cgroup *cg)
{
	if (cg->unified >= 0 && cgroup_write(cg->unified, "cgroup.kill", "1") == 0)
		return 0;
	return kill_listed(cg->host->v2 ? cg->unified : cg->dirs[CGROUP_PIDS]);
}

static int remove_one(int parent, const char *name)
{
	if (parent < 0 || unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	return -errno;
}

int cgroup_remove(struct cgroup *cg)
{
	int r = remove_one(cg->host->unified, cg->name);

	for (int i = 0; i < CGROUP_N && r == 0; i++)
		r = remove_one(cg->host->dirs[i], cg->name);
	if (r == 0)
		cgroup_close(cg);
	return r;
}

int cgroup_remove_within(struct cgroup *cg, unsigned ms)
{
	const struct timespec nap = {0, 1000000};
	int r;

	while ((r = cgroup_remove(cg)) == -EBUSY && ms-- > 0)
		(void)nanosleep(&nap, NULL);
	return r;
}

void cgroup_close(struct cgroup *cg)
{
	util_close_fd(&cg->unified);
	for (int i = 0; i < CGROUP_N; i++)
		util_close_fd(&cg->dirs[i]);
}

/* The name of a group that never had a task of its own, or has none yet. */
static bool is_ours(const char *name)
{
	return strncmp(name, "template-", 9) == 0 || strncmp(name, "parked-", 7) == 0;
}

struct each {
	void (*fn)(const char *name, void *arg);
	void *arg;
};

static int each_name(int dir, const char *name, void *arg, struct err *e)
{
	const struct each *each = arg;

	(void)dir;
	(void)e;
	if (util_is_id(name) || is_ours(name))
		each->fn(name, each->arg);
	return 0;
}

int cgroup_each(const struct cgroup_host *host, void (*fn)(const char *name, void *arg), void *arg)
{
	return dir_each(host->v2 ? host->unified : host->dirs[CGROUP_MEMORY], each_name,
			&(struct each){fn, arg}, NULL);
}
