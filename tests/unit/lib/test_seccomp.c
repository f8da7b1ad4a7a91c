// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/policy.h"
#include "tests/unit/bpf_sim.h"

#define ENOSYS_ACTION SCMP_ACT_ERRNO(38)
#define EPERM_ACTION SCMP_ACT_ERRNO(1)

struct filter {
	struct sock_filter *bpf;
	size_t n;
};

static struct filter compile(uint32_t default_action, struct seccomp_rule *rules, size_t n)
{
	struct seccomp_profile profile = {default_action, rules, n};
	struct filter f = {0};
	struct err e = {0};

	if (seccomp_compile(&profile, &f.bpf, &f.n, &e) < 0)
		fail_msg("%s", e.msg);
	return f;
}

static uint32_t decide(const struct filter *f, int nr, uint64_t arg0, uint64_t arg1)
{
	const uint64_t args[6] = {arg0, arg1};

	return bpf_sim_call(f->bpf, f->n, nr, args);
}

static void test_numbers(void **state)
{
	(void)state;
	assert_int_equal(seccomp_number("read"), SYS_read);
	assert_int_equal(seccomp_number("clone3"), 435);
	assert_int_equal(seccomp_number("futex_waitv"), 449);
	assert_int_equal(seccomp_number("cachestat"), 451);
	assert_int_equal(seccomp_number("file_setattr"), 469);
	assert_int_equal(seccomp_number("chown32"), -ENOTSUP);
	assert_int_equal(seccomp_number("socketcall"), -ENOTSUP);
	assert_int_equal(seccomp_number("raed"), -ENOENT);
	assert_int_equal(seccomp_number(""), -ENOENT);
}

static void test_listed_and_unlisted(void **state)
{
	struct seccomp_rule rules[] = {
		{.nr = SYS_read, .action = SCMP_ACT_ALLOW},
		{.nr = SYS_mount, .action = EPERM_ACTION},
		{.nr = SYS_acct, .action = SCMP_ACT_KILL_PROCESS},
		{.nr = SYS_sync, .action = SCMP_ACT_ERRNO(0)},
		{.nr = 469, .action = SCMP_ACT_ALLOW}, /* newer than libseccomp 2.5 */
	};
	struct filter f = compile(ENOSYS_ACTION, rules, ARRAY_SIZE(rules));

	(void)state;
	assert_int_equal(decide(&f, SYS_read, 0, 0), SCMP_ACT_ALLOW);
	assert_int_equal(decide(&f, SYS_mount, 0, 0), EPERM_ACTION);
	assert_int_equal(decide(&f, SYS_acct, 0, 0), SCMP_ACT_KILL_PROCESS);
	assert_int_equal(decide(&f, SYS_sync, 0, 0), SCMP_ACT_ERRNO(0));
	assert_int_equal(decide(&f, 469, 0, 0), SCMP_ACT_ALLOW);
	assert_int_equal(decide(&f, SYS_write, 0, 0), ENOSYS_ACTION);
	assert_int_equal(decide(&f, 470, 0, 0), ENOSYS_ACTION);
	assert_int_equal(decide(&f, 10000, 0, 0), ENOSYS_ACTION);
	free(f.bpf);
}

static void test_other_architectures_are_killed(void **state)
{
	static const uint32_t arches[] = {AUDIT_ARCH_I386, AUDIT_ARCH_ARM, AUDIT_ARCH_AARCH64, 0};
	struct seccomp_rule rules[] = {
		{.nr = SYS_read, .action = SCMP_ACT_ALLOW},
		{.nr = SYS_ioctl, .action = SCMP_ACT_ALLOW},
		{.nr = SYS_ioctl,
		 .action = EPERM_ACTION,
		 .n_args = 1,
		 .args = {{1, SCMP_CMP_EQ, 7, 0}}},
	};
	struct filter f = compile(SCMP_ACT_ALLOW, rules, ARRAY_SIZE(rules));

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(arches); i++) {
		for (int nr = 0; nr < 500; nr++) {
			struct seccomp_data data = {.nr = nr, .arch = arches[i]};

			assert_int_equal(bpf_sim(f.bpf, f.n, &data, NULL), SCMP_ACT_KILL_PROCESS);
		}
	}
	/* x32 has the same architecture number as x86-64, and system call numbers with bit 30
	 * set. */
	for (int nr = 0; nr < 600; nr++)
		assert_int_equal(decide(&f, 0x40000000 | nr, 0, 0), SCMP_ACT_KILL_PROCESS);
	free(f.bpf);
}

/* The rule without "args" applies to calls that no rule with "args" matches, wherever it stands in
 * the file. */
static void test_rule_without_args_is_the_rest(void **state)
{
	struct seccomp_rule rules[] = {
		{.nr = SYS_socket, .action = EPERM_ACTION},
		{.nr = SYS_socket,
		 .action = SCMP_ACT_ALLOW,
		 .n_args = 1,
		 .args = {{0, SCMP_CMP_MASKED_EQ, 0xffffffff, 1}}},
		{.nr = SYS_socket,
		 .action = SCMP_ACT_ALLOW,
		 .n_args = 2,
		 .args = {{0, SCMP_CMP_MASKED_EQ, 0xffffffff, 2}, {1, SCMP_CMP_EQ, 1, 0}}},
		{.nr = SYS_read, .action = SCMP_ACT_ALLOW},
		{.nr = SYS_personality,
		 .action = SCMP_ACT_ALLOW,
		 .n_args = 1,
		 .args = {{0, SCMP_CMP_EQ, 0, 0}}},
	};

	(void)state;
	for (int turn = 0; turn < 2; turn++) {
		struct filter f = compile(ENOSYS_ACTION, rules, ARRAY_SIZE(rules));
		struct seccomp_rule first = rules[0];

		assert_int_equal(decide(&f, SYS_socket, 1, 9), SCMP_ACT_ALLOW);
		assert_int_equal(decide(&f, SYS_socket, 1ULL << 32 | 1, 9), SCMP_ACT_ALLOW);
		assert_int_equal(decide(&f, SYS_socket, 2, 1), SCMP_ACT_ALLOW);
		assert_int_equal(decide(&f, SYS_socket, 2, 3), EPERM_ACTION);
		assert_int_equal(decide(&f, SYS_socket, 38, 1), EPERM_ACTION);
		assert_int_equal(decide(&f, SYS_socket, 1ULL << 32 | 38, 1), EPERM_ACTION);
		assert_int_equal(decide(&f, SYS_read, 38, 1), SCMP_ACT_ALLOW);
		assert_int_equal(decide(&f, SYS_personality, 0, 0), SCMP_ACT_ALLOW);
		assert_int_equal(decide(&f, SYS_personality, 1, 0), ENOSYS_ACTION);
		assert_int_equal(decide(&f, SYS_write, 0, 0), ENOSYS_ACTION);
		free(f.bpf);
		rules[0] = rules[4];
		rules[4] = first;
	}
}

static void test_the_stricter_action_holds(void **state)
{
	struct seccomp_rule rules[] = {
		{.nr = SYS_setns, .action = SCMP_ACT_ALLOW},
		{.nr = SYS_setns, .action = EPERM_ACTION},
		{.nr = SYS_acct, .action = SCMP_ACT_KILL_PROCESS},
		{.nr = SYS_acct, .action = EPERM_ACTION},
		{.nr = SYS_read, .action = SCMP_ACT_ALLOW},
		/* the same as the default action, so the rule changes nothing */
		{.nr = SYS_read, .action = ENOSYS_ACTION},
		{.nr = SYS_read, .action = SCMP_ACT_ALLOW},
		{.nr = SYS_ioctl,
		 .action = SCMP_ACT_ALLOW,
		 .n_args = 1,
		 .args = {{1, SCMP_CMP_EQ, 7, 0}}},
		{.nr = SYS_ioctl,
		 .action = EPERM_ACTION,
		 .n_args = 1,
		 .args = {{1, SCMP_CMP_EQ, 7, 0}}},
	};
	const size_t n = ARRAY_SIZE(rules);

	(void)state;
	for (int turn = 0; turn < 2; turn++) {
		struct filter f = compile(ENOSYS_ACTION, rules, n);

		assert_int_equal(decide(&f, SYS_setns, 0, 0), EPERM_ACTION);
		assert_int_equal(decide(&f, SYS_acct, 0, 0), SCMP_ACT_KILL_PROCESS);
		assert_int_equal(decide(&f, SYS_read, 0, 0), SCMP_ACT_ALLOW);
		assert_int_equal(decide(&f, SYS_ioctl, 0, 7), EPERM_ACTION);
		free(f.bpf);
		for (size_t i = 0; i < n / 2; i++) {
			struct seccomp_rule r = rules[i];

			rules[i] = rules[n - 1 - i];
			rules[n - 1 - i] = r;
		}
	}
}

static void test_too_much_is_refused(void **state)
{
	static struct seccomp_rule rules[200];
	struct seccomp_profile profile = {ENOSYS_ACTION, rules, ARRAY_SIZE(rules)};
	struct sock_filter *bpf = NULL;
	struct err e = {0};
	size_t n;

	(void)state;
	for (size_t i = 0; i < 100; i++) {
		rules[2 * i] = (struct seccomp_rule){.nr = (int)i, .action = EPERM_ACTION};
		rules[2 * i + 1] = (struct seccomp_rule){.nr = (int)i,
							 .action = SCMP_ACT_ALLOW,
							 .n_args = 1,
							 .args = {{0, SCMP_CMP_EQ, 1, 0}}};
	}
	assert_true(seccomp_compile(&profile, &bpf, &n, &e) < 0);
	assert_null(bpf);
	assert_string_equal(e.msg, "more than 63 syscalls have both a rule with args and one "
				   "without");
	assert_true(seccomp_attach(NULL, 0, &e) < 0);
	assert_true(seccomp_attach(NULL, POLICY_BPF_MAX + 1, &e) < 0);
}

/* Runs the program in a child, and returns the child's wait status. */
static int run_filtered(const struct filter *f, int (*body)(void))
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		    seccomp_attach(f->bpf, f->n, NULL) < 0)
			_exit(99);
		_exit(body());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int body_denied(void)
{
	if (syscall(SYS_getppid) != -1 || errno != EPERM)
		return 1;
	if (syscall(SYS_getpgid, 0) != -1 || errno != ENOSYS)
		return 2;
	if (syscall(SYS_setns, -1, 0) != -1 || errno != EBADF)
		return 3;
	return 0;
}

static int body_x32(void)
{
	(void)syscall(0x40000000 | SYS_getpid);
	return 0;
}

static int body_int80(void)
{
	long ret;

	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(20L) : "memory");
	return (int)(ret & 0);
}

static void test_the_kernel_agrees(void **state)
{
	struct seccomp_rule rules[] = {
		{.nr = SYS_getppid, .action = EPERM_ACTION},
		{.nr = SYS_getpgid, .action = ENOSYS_ACTION},
		{.nr = SYS_setns,
		 .action = EPERM_ACTION,
		 .n_args = 1,
		 .args = {{1, SCMP_CMP_EQ, 7, 0}}},
		{.nr = SYS_ioctl, .action = EPERM_ACTION},
	};
	struct filter f = compile(SCMP_ACT_ALLOW, rules, ARRAY_SIZE(rules));
	int status;

	(void)state;
	assert_int_equal(run_filtered(&f, body_denied), 0);
	status = run_filtered(&f, body_x32);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	status = run_filtered(&f, body_int80);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	free(f.bpf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_listed_and_unlisted),
		cmocka_unit_test(test_other_architectures_are_killed),
		cmocka_unit_test(test_rule_without_args_is_the_rest),
		cmocka_unit_test(test_the_stricter_action_holds),
		cmocka_unit_test(test_too_much_is_refused),
		cmocka_unit_test(test_the_kernel_agrees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
