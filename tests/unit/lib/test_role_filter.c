// SPDX-License-Identifier: Apache-2.0
/* A role's filter, in a child that loads it. */
#include "tests/unit/rig.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/role_filter.h"

/* What the child's end takes, also with a sanitizer in it. */
#define ALWAYS "exit", "exit_group", "write", "mmap", "munmap", "rt_sigprocmask", "close"

#if !defined(__SANITIZE_ADDRESS__)
/* True when the call that errno is about was refused by the filter. */
static bool refused(int fd)
{
	return fd < 0 && errno == EPERM;
}

/* Runs in a child with this filter: bit 0, a unix socket was refused; bit 1, one of IPv4; bit 2, a
 * pair of sockets. */
static int sockets(const char *const *names, size_t n)
{
	int status = 0, pair[2];
	pid_t pid = fork();

	if (pid == 0) {
		struct err e = {0};

		if (role_filter_load(names, n, &e) < 0)
			_exit(64);
		_exit((refused(socket(AF_UNIX, SOCK_STREAM, 0)) ? 1 : 0) |
		      (refused(socket(AF_INET, SOCK_STREAM, 0)) ? 2 : 0) |
		      (refused(socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) ? 4 : 0));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_only_what_is_named_is_allowed(void **state)
{
	static const char *const none[] = {ALWAYS};
	static const char *const any[] = {ALWAYS, "socket", "socketpair"};
	static const char *const unix_only[] = {ALWAYS, "socket:unix"};

	(void)state;
	assert_int_equal(sockets(none, ARRAY_SIZE(none)), 1 | 2 | 4);
	assert_int_equal(sockets(any, ARRAY_SIZE(any)), 0);
	assert_int_equal(sockets(unix_only, ARRAY_SIZE(unix_only)), 2 | 4);
}
#endif

static void test_a_name_that_nobody_knows_is_refused(void **state)
{
	static const char *const names[] = {ALWAYS, "socket:inet"};
	struct err e = {0};

	(void)state;
	assert_true(role_filter_load(names, ARRAY_SIZE(names), &e) < 0);
	assert_non_null(strstr(e.msg, "no syscall socket:inet"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#if !defined(__SANITIZE_ADDRESS__)
		/* With a sanitizer the filter is compiled, and not loaded. */
		cmocka_unit_test(test_only_what_is_named_is_allowed),
#endif
		cmocka_unit_test(test_a_name_that_nobody_knows_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
