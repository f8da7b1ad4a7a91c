// SPDX-License-Identifier: Apache-2.0
/* cgroup_rename() and cgroup_open_join() on plain folders, because each host decides by itself
 * which hierarchies are mounted together. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "sandbox/cgroup.h"

static char top[] = "/tmp/test-cgroup.XXXXXX";

static int folder(int parent, const char *name)
{
	int fd;

	assert_true(mkdirat(parent, name, 0700) == 0 || errno == EEXIST);
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static bool has(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, 0) == 0;
}

static const char *const of_host[CGROUP_N] = {"memory", "cpu,cpuacct", "cpu,cpuacct", "pids"};

/* A host with cpu and cpuacct in one hierarchy, and a group in it. */
static void make(struct cgroup_host *host, struct cgroup *cg)
{
	int dir;

	strcpy(top, "/tmp/test-cgroup.XXXXXX");
	assert_non_null(mkdtemp(top));
	dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*host = (struct cgroup_host){.unified = -1};
	*cg = (struct cgroup){.host = host, .name = "parked-1", .unified = -1};
	for (int i = 0; i < CGROUP_N; i++) {
		host->dirs[i] = folder(dir, of_host[i]);
		cg->dirs[i] = folder(host->dirs[i], cg->name);
	}
	close(dir);
}

static void clear(struct cgroup_host *host, struct cgroup *cg)
{
	static const char *const names[] = {"task/not-empty", "task", "parked-1"};
	int dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	cgroup_close(cg);
	for (int i = 0; i < CGROUP_N; i++) {
		for (size_t n = 0; n < ARRAY_SIZE(names); n++)
			(void)unlinkat(host->dirs[i], names[n], AT_REMOVEDIR);
		close(host->dirs[i]);
		(void)unlinkat(dir, of_host[i], AT_REMOVEDIR);
	}
	close(dir);
	assert_int_equal(rmdir(top), 0);
}

static void test_rename(void **state)
{
	struct cgroup_host host;
	struct cgroup cg;

	(void)state;
	make(&host, &cg);
	assert_int_equal(cgroup_rename(&cg, "task"), 0);
	assert_string_equal(cg.name, "task");
	for (int i = 0; i < CGROUP_N; i++) {
		assert_true(has(host.dirs[i], "task"));
		assert_false(has(host.dirs[i], "parked-1"));
	}
	clear(&host, &cg);
}

static void test_rename_fails(void **state)
{
	struct cgroup_host host;
	struct cgroup cg;
	int taken;

	(void)state;
	make(&host, &cg);
	taken = folder(host.dirs[CGROUP_PIDS], "task");
	close(folder(taken, "not-empty"));
	close(taken);
	assert_int_equal(cgroup_rename(&cg, "task"), -ENOTEMPTY);
	assert_string_equal(cg.name, "parked-1");
	for (int i = 0; i < CGROUP_N; i++)
		assert_true(has(host.dirs[i], "parked-1"));
	assert_false(has(host.dirs[CGROUP_MEMORY], "task"));
	clear(&host, &cg);
}

static void touch(int dir, const char *name)
{
	close(openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

/* Returns how many files a process must write to in order to join the group. */
static int join(const struct cgroup *cg)
{
	int fds[CGROUP_N + 1], n = 0;

	assert_int_equal(cgroup_open_join(cg, fds, &n, NULL), 0);
	for (int i = 0; i < n; i++)
		close(fds[i]);
	return n;
}

/* With cgroup v1 there is one file in each hierarchy that is mounted. */
static void test_join(void **state)
{
	struct cgroup_host host;
	struct cgroup cg;

	(void)state;
	make(&host, &cg);
	for (int i = 0; i < CGROUP_N; i++)
		touch(cg.dirs[i], "tasks");
	close(cg.dirs[CGROUP_CPUACCT]);
	cg.dirs[CGROUP_CPUACCT] = -1;
	assert_int_equal(join(&cg), CGROUP_N - 1);
	for (int i = 0; i < CGROUP_N; i++)
		if (cg.dirs[i] >= 0)
			(void)unlinkat(cg.dirs[i], "tasks", 0);
	clear(&host, &cg);
}

/* With cgroup v2 there is one file. */
static void test_join_v2(void **state)
{
	struct cgroup_host host, v2;
	struct cgroup cg, group;

	(void)state;
	make(&host, &cg);
	v2 = (struct cgroup_host){.v2 = true, .unified = host.dirs[0], .dirs = {-1, -1, -1, -1}};
	group = (struct cgroup){.host = &v2, .unified = cg.dirs[0], .dirs = {-1, -1, -1, -1}};
	touch(group.unified, "cgroup.procs");
	assert_int_equal(join(&group), 1);
	(void)unlinkat(group.unified, "cgroup.procs", 0);
	clear(&host, &cg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rename),
		cmocka_unit_test(test_rename_fails),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_join_v2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
