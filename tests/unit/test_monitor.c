// SPDX-License-Identifier: Apache-2.0
/* The monitor when it runs out of file descriptors: an fd that is none fails as one too many. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor/monitor_template.h"

#define NO_FD 100000

/* A role that reads nothing, and has been told more than its socket takes. */
static void make_busy(struct role *role, struct monitor *m, int pair[2])
{
	union proto_msg msg = {0};

	assert_int_equal(proto_socketpair(pair), 0);
	role->sock = pair[0];
	role->queue_end = &role->queue;
	proto_init(&msg, MON_READY);
	while (!role->queue)
		assert_int_equal(role_send(m, R_LOGGER, &msg, NULL, 0), 0);
}

static void test_message_kept(void **state)
{
	struct monitor *m = calloc(1, sizeof(*m));
	struct role *role = &m->roles[R_LOGGER];
	union proto_msg msg = {0};
	int pair[2], fds[2] = {STDIN_FILENO, STDOUT_FILENO};

	(void)state;
	make_busy(role, m, pair);
	proto_init(&msg, LOG_OPEN);
	assert_int_equal(role_send(m, R_LOGGER, &msg, fds, 2), 0);
	assert_true(role->sock >= 0);
	/* Without it nobody would tell a successor, who would tell it everything: it goes. */
	fds[1] = NO_FD;
	assert_int_equal(role_send(m, R_LOGGER, &msg, fds, 2), -EBADF);
	assert_int_equal(role->sock, -1);
	assert_null(role->queue);
	assert_int_equal(role_send(m, R_LOGGER, &msg, NULL, 0), -ENOTCONN);
	close(pair[1]);
	free(m);
}

/* Its package is part of what it is made of: without it there is no template. */
static void test_template_package(void **state)
{
	const struct recipe of = {.package = {1}, .package_fd = NO_FD, .warm = "app"};
	int log = memfd_create("log", MFD_CLOEXEC), err = dup(STDERR_FILENO);
	struct monitor *m = calloc(1, sizeof(*m));
	char text[1024] = "";

	(void)state;
	m->criu_works = true;
	m->images_fd = m->policies_fd = -1;
	dup2(log, STDERR_FILENO);
	template_want(m, &of);
	dup2(err, STDERR_FILENO);
	assert_true(pread(log, text, sizeof(text) - 1, 0) > 0);
	assert_non_null(strstr(text, "package: Bad file descriptor"));
	/* Remembered, to be tried again later. */
	assert_non_null(m->templates);
	assert_int_equal(m->templates->state, TEMPLATE_RETIRED);
	assert_int_equal(m->templates->of.package_fd, -1);
	assert_null(m->templates->keeper);
	free(m->templates);
	free(m);
	close(log);
	close(err);
}

static uint64_t seconds_until_retry(struct monitor *m, const struct recipe *of)
{
	uint64_t at = warm_past_retry_ns(m, of), now = util_monotonic_ns();

	return at > now ? (at - now + 999999999) / 1000000000 : 0;
}

/* Later after each failure; a success ends it. Another package is another recipe, but not
 * another list. */
static void test_warm_past(void **state)
{
	/* It remembers for as long as it lives, which is as long as this program. */
	static struct monitor monitor;
	struct monitor *m = &monitor;
	struct recipe of = {.package = {1}, .package_fd = STDIN_FILENO, .warm = "@module app"};
	struct recipe other = of, plain = {.package_fd = -1, .warm = "json"};

	(void)state;
	other.package[0] = 2;
	assert_true(warm_past_allows(m, &of));
	assert_string_equal(warm_past_why(m, &of), "");
	for (unsigned i = 0; i < 12; i++) {
		warm_past_begin(m, &of);
		warm_past_end(m, &of, i ? "again" : "first");
		assert_false(warm_past_allows(m, &of));
		assert_int_equal(seconds_until_retry(m, &of), i < 9 ? 1 << i : 512);
		assert_int_equal(seconds_until_retry(m, &other), i < 5 ? 1 << i : 32);
	}
	assert_string_equal(warm_past_why(m, &of), "again");
	assert_string_equal(warm_past_why(m, &other), "");
	assert_true(warm_past_allows(m, &plain));
	warm_past_end(m, &of, "");
	assert_string_equal(warm_past_why(m, &of), "");
	warm_past_begin(m, &other);
	assert_int_equal(seconds_until_retry(m, &of), 1);
	/* Bounded: of so many the first is forgotten. */
	warm_past_end(m, &plain, "lost");
	for (unsigned i = 0; i < 128; i++) {
		assert_string_equal(warm_past_why(m, &plain), "lost");
		other.image[0] = (uint8_t)i;
		warm_past_end(m, &other, "x");
	}
	assert_string_equal(warm_past_why(m, &plain), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message_kept),
		cmocka_unit_test(test_template_package),
		cmocka_unit_test(test_warm_past),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
