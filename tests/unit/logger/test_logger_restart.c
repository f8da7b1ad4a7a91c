// SPDX-License-Identifier: Apache-2.0
/* The logger is killed at any moment: the next one continues where it stopped, and knows the end of
 * every log. */
#include "tests/unit/logger_rig.h"

#include <sys/mman.h>

/* Writes numbered lines on both streams until it is told to stop. */
static pid_t numbers_start(const struct rig_task *t, const volatile uint32_t *stop)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid)
		return pid;
	for (unsigned n = 0; !*stop; n++) {
		char line[32];
		int len = snprintf(line, sizeof(line), "%u\n", n / 2);

		if (util_write_all(t->write_end[n % 2], line, (size_t)len) < 0)
			_exit(1);
		if (n % 512 == 511)
			(void)usleep(1000);
	}
	_exit(0);
}

/* Checks that the numbers from 0 on are there, each once; returns how many there are. */
static unsigned numbers_check(const struct rig_capture *c, int stream)
{
	const char *p = (const char *)c->bytes[stream], *end = p + c->len[stream];
	unsigned n = 0;

	while (p < end) {
		char line[32];
		int len = snprintf(line, sizeof(line), "%u\n", n);

		assert_true(end - p >= len);
		assert_memory_equal(p, line, (size_t)len);
		p += len;
		n++;
	}
	return n;
}

static uint32_t *shared_new(void)
{
	char name[] = "/tmp/test-logger-stop-XXXXXX";
	int fd = mkstemp(name);
	uint32_t *p;

	assert_true(fd >= 0);
	(void)unlink(name);
	assert_int_equal(ftruncate(fd, sizeof(*p)), 0);
	p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(p != MAP_FAILED);
	(void)close(fd);
	return p;
}

/* Reads what arrives within some microseconds. */
static void capture_for(struct rig_capture *c, int fd, unsigned usec)
{
	uint64_t until = util_monotonic_ns() + usec * 1000ull;

	while (util_monotonic_ns() < until) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		if (poll(&p, 1, 0) == 1 && !capture_read(c, fd))
			return;
	}
}

/*
 * 200 loggers die under a task that writes on both streams, and under a follower
 * that comes back with its cursor each time. Nothing is lost, doubled or reordered.
 */
static void test_kill_at_any_moment(void **state)
{
	struct rig_capture c = {0}, whole = {0};
	uint32_t *stop = shared_new();
	struct rig_task t;
	struct log_end end;
	unsigned lines;
	pid_t writer;
	int fd, status;

	(void)state;
	rig_task_new(&rig, &t, 1024 * MIB);
	writer = numbers_start(&t, stop);
	util_close_fd(&t.write_end[0]);
	util_close_fd(&t.write_end[1]);
	fd = rig_follow(&rig, (struct rig_follow){.id = t.id});
	for (unsigned i = 0; i < 200; i++) {
		capture_for(&c, fd, i * 7919 % 3000);
		rig_kill(&rig);
		while (capture_read(&c, fd)) /* reads what is left in the socket */
			;
		(void)close(fd);
		c.n_pending = 0;
		rig_start(&rig);
		/* The front's socket is handed over after the pipes, so that its question finds the
		 * task. */
		rig_task_give(&rig, &t);
		rig_front_new(&rig);
		if (i % 5 == 0)
			rig_send_id(&rig, LOG_FINISH, t.id);
		fd = rig_follow(&rig, (struct rig_follow){.id = t.id, .cursor = c.next_cursor});
	}
	*stop = 1;
	assert_int_equal(waitpid(writer, &status, 0), writer);
	assert_int_equal(status, 0);
	capture_all(&c, fd);
	end = rig_end(&rig, t.id);
	lines = numbers_check(&c, 0);
	lines += numbers_check(&c, 1);
	assert_true(lines > 1000);
	assert_int_equal(end.lines, lines);
	assert_int_equal(end.bytes, c.len[0] + c.len[1]);
	assert_int_equal(end.dropped, 0);
	capture_all(&whole, rig_follow(&rig, (struct rig_follow){.id = t.id, .dead = true}));
	for (int s = 0; s < 2; s++)
		capture_check(&whole, s, c.bytes[s], c.len[s]);
	capture_free(&c);
	capture_free(&whole);
	rig_task_close(&t);
	(void)munmap(stop, sizeof(*stop));
}

/* The totals are read from the files, so they are the same for every question and after every
 * restart. */
static void test_totals_after_restarts(void **state)
{
	struct log_end first, again;
	struct rig_task t;

	(void)state;
	rig_task_new(&rig, &t, 4096);
	for (int i = 0; i < 100; i++)
		rig_write(&t, i % 2, "0123456789012345678901234567890123456789012345678\n");
	rig_write(&t, 0, "rest");
	rig_task_close(&t);
	first = rig_end(&rig, t.id);
	assert_int_equal(first.bytes, 5004);
	assert_int_equal(first.dropped, 5004 - 4096);
	rig_kill(&rig);
	rig_start(&rig);
	rig_front_new(&rig);
	rig_send_id(&rig, LOG_FINISH, t.id);
	again = rig_end(&rig, t.id);
	assert_memory_equal(&first, &again, sizeof(first));

	rig_front_new(&rig);
	rig_send_id(&rig, LOG_FINISH, t.id);
	again = rig_end(&rig, t.id);
	assert_memory_equal(&first, &again, sizeof(first));
}

/* No process has the pipes any more, as when the machine went down: the logger ends the log. */
static void test_end_of_an_orphan(void **state)
{
	struct rig_capture c = {0};
	struct rig_task t;
	struct log_end end;
	int fd;

	(void)state;
	rig_task_new(&rig, &t, MIB);
	fd = rig_follow(&rig, (struct rig_follow){.id = t.id});
	rig_write(&t, 0, "left\n");
	capture_until(&c, fd, 0, 5);
	(void)close(fd);
	capture_free(&c);
	rig_kill(&rig);
	rig_task_close(&t);
	rig_start(&rig);
	rig_front_new(&rig);
	rig_send_id(&rig, LOG_FINISH, t.id);
	end = rig_end(&rig, t.id);
	assert_int_equal(end.bytes, 5);
	assert_int_equal(end.lines, 1);
	assert_true(rig_log_is(&rig, (struct rig_follow){.id = t.id}, 0, "left\n", 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kill_at_any_moment),
		cmocka_unit_test(test_totals_after_restarts),
		cmocka_unit_test(test_end_of_an_orphan),
	};

	return cmocka_run_group_tests_name("logger_restart", tests, rig_setup, rig_teardown);
}
