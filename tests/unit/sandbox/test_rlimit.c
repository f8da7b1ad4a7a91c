// SPDX-License-Identifier: Apache-2.0
/* What a process that is injected into may have open, and the namespaces that a clone is checked
 * for: each from one place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/ns.h"
#include "sandbox/sandbox.h"

/* The limit of this process is lowered here, which may not be raised again. */
static int nofile_within(rlim_t own, uint32_t wanted)
{
	const struct rlimit limit = {own, own};
	const struct limits limits = {.nofile = wanted};
	uint64_t got[2];

	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || rlimit_nofile(&limits, got, NULL) < 0 ||
	    got[0] != got[1])
		return 0;
	return (int)got[0];
}

/* The task's own limit, but no more than this process may have. */
static void test_nofile(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(nofile_within(200, 150) == 150 && nofile_within(180, 250) == 180 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Each name is one of the kernel's, and of another namespace. */
static void test_namespaces(void **state)
{
	char path[40];

	(void)state;
	for (int i = 0; i < CLONE_NS_N; i++) {
		(void)snprintf(path, sizeof(path), "/proc/self/ns/%s", ns_names[i]);
		assert_int_equal(access(path, F_OK), 0);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(ns_names[i], ns_names[k]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nofile),
		cmocka_unit_test(test_namespaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
