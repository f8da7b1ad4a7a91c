// SPDX-License-Identifier: Apache-2.0
/* Who switches forwarding of an interface on and off, when several programs need it. All in a network
 * namespace and with a /run of the test's own. */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sandbox/net.h"

#define UPLINK "uplink"

static int shell(const char *command)
{
	return system(command); /* NOLINT(cert-env33-c): a constant of this file */
}

static int set_up(void **state)
{
	(void)state;
	return unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	       mount("run", "/run", "tmpfs", 0, NULL) < 0 ||
	       shell("ip link add " UPLINK " type veth peer name far") != 0 ||
	       shell("sysctl -qw net.ipv4.ip_forward=0") != 0;
}

/* From now on this process is the program whose sandboxes' interfaces begin so. */
static void become(const char *prefix)
{
	(void)snprintf(net_instance.prefix, sizeof(net_instance.prefix), "%s", prefix);
}

static bool forwards(void)
{
	return net_forwards(UPLINK) == 1;
}

static int use(struct net_forward *f)
{
	int r = net_uplink_take(UPLINK, f, NULL);

	return r == 1 ? net_uplink_on(UPLINK, NULL) : r;
}

static void end(struct net_forward *f)
{
	net_forward_undo(f);
	assert_int_equal(f->n, 0);
}

/* Runs fn in a process that is then killed. */
static void killed(void (*fn)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		fn();
		(void)raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void another_uses(void)
{
	struct net_forward f = {0};

	become("sb02-");
	(void)use(&f);
}

static void another_comes_and_goes(void)
{
	struct net_forward f = {0};

	become("sb03-");
	(void)use(&f);
	net_forward_undo(&f);
}

/* As long as a program has taken the interface it forwards, whatever others do meanwhile. */
static void test_many(void **state)
{
	enum { PROGRAMS = 3, TIMES = 500 };
	pid_t pids[PROGRAMS];
	int status;

	(void)state;
	for (int i = 0; i < PROGRAMS; i++) {
		pids[i] = fork();
		if (pids[i] != 0)
			continue;
		(void)snprintf(net_instance.prefix, sizeof(net_instance.prefix), "sb%02hhx-",
			       (unsigned char)i);
		for (int n = 0; n < TIMES; n++) {
			struct net_forward f = {0};

			if (use(&f) != 0 || f.n != 1)
				_exit(1);
			for (int k = 0; k < 3; k++) {
				if (!forwards())
					_exit(2);
				(void)sched_yield();
			}
			net_forward_undo(&f);
		}
		_exit(0);
	}
	for (int i = 0; i < PROGRAMS; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_false(forwards());
}

static void takes(void)
{
	struct net_forward f = {0};

	(void)net_uplink_take(UPLINK, &f, NULL);
}

static void drops(void)
{
	struct net_forward f = {.n = 1, .uplinks = {{.name = UPLINK, .fd = -1}}};

	net_uplink_drop(&f);
}

static void loads(void)
{
	struct net_forward f = {0};

	(void)net_forward_load(&f, NULL);
}

static void ends(void)
{
	struct net_forward f = {0};

	net_forward_undo(&f);
}

static bool is_in_flock(pid_t pid)
{
	char path[40];
	long nr = -1;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/syscall", (int)pid);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%ld", &nr) != 1) /* NOLINT(cert-err34-c): "running" is no number */
		nr = -1;
	if (f)
		(void)fclose(f);
	return nr == SYS_flock;
}

/* Nothing is looked at or changed while another program looks and changes. */
static void test_one_at_a_time(void **state)
{
	void (*const all[])(void) = {takes, drops, loads, ends};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		int lock = net_lock("lock", NULL, NULL);
		pid_t pid = fork();

		assert_true(lock >= 0);
		if (pid == 0) {
			all[i]();
			_exit(0);
		}
		while (!is_in_flock(pid))
			assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
		(void)close(lock);
		/* The child has inherited the lock. */
		(void)kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
}

static void test_the_owner_s(void **state)
{
	struct net_forward f = {0};

	(void)state;
	become("sb01-");
	assert_int_equal(net_uplink_on(UPLINK, NULL), 0);
	assert_int_equal(net_uplink_take(UPLINK, &f, NULL), 0);
	end(&f);
	assert_true(forwards());
	assert_int_equal(net_uplink_take("none", &f, NULL), 0);
	assert_int_equal(shell("sysctl -qw net.ipv4.conf." UPLINK ".forwarding=0"), 0);
	/* The owner makes a router of the host while we need the interface. */
	assert_int_equal(use(&f), 0);
	assert_int_equal(shell("sysctl -qw net.ipv4.ip_forward=1"), 0);
	end(&f);
	assert_true(forwards());
	assert_int_equal(shell("sysctl -qw net.ipv4.ip_forward=0"), 0);
}

static void test_dropped(void **state)
{
	struct net_forward f = {0};

	(void)state;
	become("sb01-");
	assert_int_equal(use(&f), 0);
	net_uplink_drop(&f);
	assert_int_equal(f.n, 0);
	assert_false(forwards());
}

/* What a killed program has left is cleaned by the next one that starts or stops, but not before
 * its sandboxes have ended. */
static void test_killed(void **state)
{
	struct net_forward f = {0};

	(void)state;
	become("sb01-");
	killed(another_uses);
	assert_true(forwards());
	assert_int_equal(net_forward_load(&f, NULL), 0);
	assert_int_equal(f.n, 0);
	assert_false(forwards());

	killed(another_uses);
	assert_int_equal(shell("ip link add sb02-7 type veth peer name inside"), 0);
	killed(another_comes_and_goes);
	assert_true(forwards());
	assert_int_equal(shell("ip link del sb02-7"), 0);
	killed(another_comes_and_goes);
	assert_false(forwards());
}

/* A program that has taken the place of another one holds what that one held, also when a process
 * that had inherited it ends later. */
static void test_replaced(void **state)
{
	struct net_forward f = {0};
	int gate[2], status;
	pid_t old, heir;

	(void)state;
	assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
	old = fork();
	if (old == 0) {
		char c;

		another_uses();
		heir = fork();
		if (heir == 0) {
			(void)close(gate[1]);
			_exit(read(gate[0], &c, 1) != 0);
		}
		_exit(heir < 0);
	}
	(void)close(gate[0]);
	assert_int_equal(waitpid(old, &status, 0), old);
	become("sb02-");
	assert_int_equal(net_forward_load(&f, NULL), 0);
	assert_int_equal(f.n, 1);
	assert_string_equal(f.uplinks[0].name, UPLINK);
	(void)close(gate[1]);
	killed(another_comes_and_goes);
	assert_true(forwards());
	/* Loaded again, as after a failure. */
	assert_int_equal(net_forward_load(&f, NULL), 0);
	assert_int_equal(f.n, 1);
	end(&f);
	assert_false(forwards());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_at_a_time), cmocka_unit_test(test_many),
		cmocka_unit_test(test_the_owner_s),   cmocka_unit_test(test_dropped),
		cmocka_unit_test(test_killed),	      cmocka_unit_test(test_replaced),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
