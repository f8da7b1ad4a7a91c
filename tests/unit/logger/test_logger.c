// SPDX-License-Identifier: Apache-2.0
/* What a follower sees and what the front is told, while nothing goes wrong. */
#include "tests/unit/logger_rig.h"

static void test_live_and_in_order(void **state)
{
	struct rig_capture c = {0};
	struct rig_task t;
	struct log_end end;
	int fd;

	(void)state;
	rig_task_new(&rig, &t, MIB);
	fd = rig_follow(&rig, (struct rig_follow){.id = t.id});
	/* The test waits for each piece, which arrives while the task still has its pipes. */
	rig_write(&t, 0, "one\n");
	capture_until(&c, fd, 0, 4);
	rig_write(&t, 1, "two\n");
	capture_until(&c, fd, 1, 4);
	rig_write(&t, 0, "three");
	capture_until(&c, fd, 0, 9);
	rig_task_close(&t);
	capture_all(&c, fd);
	end = rig_end(&rig, t.id);
	assert_true(c.complete);
	capture_check(&c, 0, "one\nthree", 9);
	capture_check(&c, 1, "two\n", 4);
	assert_int_equal(c.n_frames, 4);
	assert_memory_equal(c.types, "\1\2\1\4", 4);
	assert_int_equal(end.lines, 3);
	assert_int_equal(end.bytes, 13);
	assert_int_equal(end.dropped, 0);
	capture_free(&c);
}

/* Both pipes have content: that of stderr is the older one, because the writers of stderr wait
 * until stdout's pipe is empty. */
static void test_stderr_before_stdout(void **state)
{
	struct rig_capture c = {0};
	struct rig_task t;

	(void)state;
	for (int i = 0; i < 20; i++) {
		rig_task_make(&t, MIB);
		rig_write(&t, 1, "first\n");
		rig_write(&t, 0, "second\n");
		rig_task_give(&rig, &t);
		rig_task_close(&t);
		(void)rig_end(&rig, t.id);
		capture_all(&c, rig_follow(&rig, (struct rig_follow){.id = t.id, .dead = true}));
		capture_check(&c, 1, "first\n", 6);
		capture_check(&c, 0, "second\n", 7);
		assert_memory_equal(c.types, "\2\1\4", 3);
		capture_free(&c);
	}
}

static void test_late_followers(void **state)
{
	struct rig_capture live = {0}, c = {0};
	struct rig_task t;
	char text[24];
	int fd;

	(void)state;
	rig_task_new(&rig, &t, MIB);
	fd = rig_follow(&rig, (struct rig_follow){.id = t.id});
	for (int i = 0; i < 20; i++) {
		size_t want = live.len[i % 2] + 8;

		(void)snprintf(text, sizeof(text), "line %02d\n", i);
		rig_write(&t, i % 2, text);
		capture_until(&live, fd, i % 2, want);
	}
	rig_task_close(&t);
	capture_all(&live, fd);
	(void)rig_end(&rig, t.id);
	assert_int_equal(live.n_frames, 21);

	/* A follower that starts at any record gets all that was written before and all that is
	 * written now. */
	for (uint64_t cursor = 0; cursor <= 21; cursor++) {
		size_t lines = cursor > 20 ? 20 : cursor, before = (lines + 1) / 2 * 8;

		fd = rig_follow(&rig,
				(struct rig_follow){.id = t.id, .cursor = cursor, .dead = true});
		capture_all(&c, fd);
		assert_true(c.complete);
		assert_int_equal(before + c.len[0], live.len[0]);
		assert_int_equal(c.n_frames, 21 - lines);
		if (c.len[0])
			assert_memory_equal(c.bytes[0], live.bytes[0] + before, c.len[0]);
		capture_free(&c);
	}
	capture_free(&live);
}

static void test_streams_and_since(void **state)
{
	struct rig_capture c = {0};
	struct rig_task t;
	uint64_t since;
	int fd;

	(void)state;
	rig_task_new(&rig, &t, MIB);
	fd = rig_follow(&rig, (struct rig_follow){.id = t.id});
	rig_write(&t, 0, "early out\n");
	rig_write(&t, 1, "early err\n");
	capture_until(&c, fd, 0, 10);
	capture_until(&c, fd, 1, 10);
	since = util_realtime_ns();
	rig_write(&t, 0, "late out\n");
	rig_write(&t, 1, "late err\n");
	rig_task_close(&t);
	capture_all(&c, fd);
	(void)rig_end(&rig, t.id);
	capture_free(&c);

	capture_all(&c,
		    rig_follow(&rig, (struct rig_follow){.id = t.id, .streams = LOG_STREAM_ERR}));
	capture_check(&c, 0, NULL, 0);
	capture_check(&c, 1, "early err\nlate err\n", 19);
	capture_free(&c);

	capture_all(&c, rig_follow(&rig, (struct rig_follow){.id = t.id, .since_ns = since}));
	capture_check(&c, 0, "late out\n", 9);
	capture_check(&c, 1, "late err\n", 9);
	capture_free(&c);

	capture_all(&c, rig_follow(&rig, (struct rig_follow){.id = t.id, .since_ns = UINT64_MAX}));
	assert_int_equal(c.n_frames, 1);
	assert_true(c.complete);
	capture_free(&c);
}

static void test_snapshot(void **state)
{
	struct rig_capture live = {0};
	struct rig_task t;
	int fd;

	(void)state;
	rig_task_new(&rig, &t, MIB);
	fd = rig_follow(&rig, (struct rig_follow){.id = t.id});
	rig_write(&t, 0, "so far\n");
	capture_until(&live, fd, 0, 7);
	assert_false(rig_log_is(&rig, (struct rig_follow){.id = t.id, .snapshot = true}, 0,
				"so far\n", 7));
	rig_task_close(&t);
	capture_all(&live, fd);
	capture_free(&live);
	(void)rig_end(&rig, t.id);
	assert_true(rig_log_is(&rig, (struct rig_follow){.id = t.id, .snapshot = true}, 0,
			       "so far\n", 7));
}

static void test_unknown_ids(void **state)
{
	struct rig_capture c = {0};
	struct rig_task t;
	struct log_end end;
	char id[TASK_ID_LEN + 1];
	int fd;

	(void)state;
	util_new_id(id);
	rig_send_id(&rig, LOG_FINISH, id);
	end = rig_end(&rig, id);
	assert_int_equal(end.lines + end.bytes + end.dropped, 0);
	util_new_id(id);
	assert_true(rig_log_is(&rig, (struct rig_follow){.id = id, .dead = true}, 0, "", 0));
	(void)rig_end(&rig, id);
	util_new_id(id);
	assert_false(rig_log_is(&rig, (struct rig_follow){.id = id, .snapshot = true}, 0, "", 0));

	/* A follower may wait for a log that does not exist yet. */
	rig_task_make(&t, MIB);
	fd = rig_follow(&rig, (struct rig_follow){.id = t.id});
	rig_task_give(&rig, &t);
	rig_write(&t, 1, "here\n");
	rig_task_close(&t);
	capture_all(&c, fd);
	capture_check(&c, 1, "here\n", 5);
	assert_true(c.complete);
	(void)rig_end(&rig, t.id);
	capture_free(&c);
}

static void test_bytes_are_kept_as_they_are(void **state)
{
	uint8_t bytes[3000];
	struct rig_task t;
	struct log_end end;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	rig_task_new(&rig, &t, MIB);
	assert_int_equal(util_write_all(t.write_end[0], bytes, sizeof(bytes)), 0);
	rig_task_close(&t);
	end = rig_end(&rig, t.id);
	assert_int_equal(end.bytes, sizeof(bytes));
	assert_true(rig_log_is(&rig, (struct rig_follow){.id = t.id}, 0, bytes, sizeof(bytes)));
}

static void test_cap(void **state)
{
	struct rig_capture live = {0}, c = {0};
	struct rig_task t;
	struct log_end end;
	char line[101];
	int fd;

	(void)state;
	memset(line, 'x', 99);
	line[99] = '\n';
	line[100] = '\0';
	rig_task_new(&rig, &t, 4096);
	fd = rig_follow(&rig, (struct rig_follow){.id = t.id});
	for (int i = 0; i < 41; i++)
		rig_write(&t, i % 2, line);
	/* A follower sees that bytes are missing while the task runs. */
	while (live.dropped == 0) {
		rig_readable(fd);
		assert_true(capture_read(&live, fd));
	}
	for (int i = 0; i < 5000; i++)
		rig_write(&t, i % 2, line);
	rig_task_close(&t);
	end = rig_end(&rig, t.id);
	assert_int_equal(end.bytes, 504100);
	assert_int_equal(end.dropped, 504100 - 4096);
	capture_all(&live, fd);
	capture_all(&c, rig_follow(&rig, (struct rig_follow){.id = t.id}));
	assert_int_equal(live.len[0] + live.len[1], 4096);
	assert_int_equal(live.dropped, end.dropped);
	assert_int_equal(live.kept, 4096);
	assert_int_equal(live.reason, LOG_DROP_LIMIT);
	assert_int_equal(c.len[0] + c.len[1], 4096);
	assert_int_equal(c.dropped, end.dropped);
	assert_true(c.n_frames < 60); /* drops do not grow the index */
	capture_free(&live);
	capture_free(&c);
}

static void test_one_huge_line(void **state)
{
	static char piece[65536];
	struct rig_task t;
	struct log_end end;
	unsigned long before;

	(void)state;
	memset(piece, 'a', sizeof(piece));
	rig_task_new(&rig, &t, 256 * MIB);
	rig_write(&t, 1, "warm\n");
	before = rig_memory(&rig);
	for (int i = 0; i < 1024; i++)
		assert_int_equal(util_write_all(t.write_end[0], piece, sizeof(piece)), 0);
	assert_true(rig_memory(&rig) < before + 2048);
	rig_task_close(&t);
	end = rig_end(&rig, t.id);
	assert_int_equal(end.lines, 2);
	assert_int_equal(end.bytes, 64 * MIB + 5);
	assert_int_equal(end.dropped, 0);
}

static void test_many_followers(void **state)
{
	struct rig_capture c[50] = {0};
	struct rig_task t;
	char text[2000];
	int fds[50];

	(void)state;
	memset(text, 'm', sizeof(text) - 2);
	text[sizeof(text) - 2] = '\n';
	text[sizeof(text) - 1] = '\0';
	rig_task_new(&rig, &t, 16 * MIB);
	for (int i = 0; i < 50; i++)
		fds[i] = rig_follow(&rig, (struct rig_follow){.id = t.id});
	for (int i = 0; i < 50; i++)
		rig_write(&t, i % 2, text);
	rig_task_close(&t);
	for (int i = 0; i < 50; i++) {
		capture_all(&c[i], fds[i]);
		assert_int_equal(c[i].len[0], 25 * (sizeof(text) - 1));
		assert_int_equal(c[i].len[1], 25 * (sizeof(text) - 1));
		capture_free(&c[i]);
	}
	(void)rig_end(&rig, t.id);
}

static void test_slow_follower(void **state)
{
	struct rig_capture slow = {0}, quick = {0};
	static char piece[65536];
	struct rig_task t;
	int slow_fd, quick_fd;
	unsigned long before = rig_memory(&rig);

	(void)state;
	for (size_t i = 0; i < sizeof(piece); i++)
		piece[i] = (char)('a' + i % 26);
	rig_task_new(&rig, &t, 64 * MIB);
	slow_fd = rig_follow(&rig, (struct rig_follow){.id = t.id});
	quick_fd = rig_follow(&rig, (struct rig_follow){.id = t.id});
	for (int i = 0; i < 256; i++) {
		assert_int_equal(util_write_all(t.write_end[0], piece, sizeof(piece)), 0);
		capture_until(&quick, quick_fd, 0, (size_t)(i + 1) * sizeof(piece));
	}
	rig_task_close(&t);
	capture_all(&quick, quick_fd);
	(void)rig_end(&rig, t.id);
	assert_true(rig_memory(&rig) < before + 2048);
	/* The task has ended, and the slow follower has missed nothing. */
	capture_all(&slow, slow_fd);
	assert_int_equal(slow.len[0], 256 * sizeof(piece));
	assert_memory_equal(slow.bytes[0], quick.bytes[0], slow.len[0]);
	capture_free(&slow);
	capture_free(&quick);
}

/* The logger closes pipes and files when a log has ended, and also when a follower hangs up. */
static void test_fds_are_let_go(void **state)
{
	unsigned before = rig_count_fds(&rig);
	struct rig_task t;
	uint64_t deadline;
	int fds[20];

	(void)state;
	rig_task_new(&rig, &t, MIB);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = rig_follow(&rig, (struct rig_follow){.id = t.id});
	deadline = util_monotonic_ns() + RIG_WAIT_MS * 1000000ull;
	while (rig_count_fds(&rig) != before + 5 + ARRAY_SIZE(fds))
		assert_true(util_monotonic_ns() < deadline);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		(void)close(fds[i]);
	while (rig_count_fds(&rig) != before + 5)
		assert_true(util_monotonic_ns() < deadline);
	rig_task_close(&t);
	(void)rig_end(&rig, t.id);
	while (rig_count_fds(&rig) != before)
		assert_true(util_monotonic_ns() < deadline);
}

static void test_delete(void **state)
{
	struct rig_capture c = {0};
	struct rig_task t;
	struct log_end end;

	(void)state;
	rig_task_new(&rig, &t, MIB);
	rig_write(&t, 0, "gone\n");
	rig_task_close(&t);
	(void)rig_end(&rig, t.id);
	assert_int_equal(faccessat(rig.logs, t.id, F_OK, 0), 0);
	rig_send_id(&rig, LOG_DELETE, t.id);
	rig_send_id(&rig, LOG_FINISH, t.id); /* it is answered after the log was deleted */
	end = rig_end(&rig, t.id);
	assert_int_equal(end.bytes, 0);
	assert_int_equal(faccessat(rig.logs, t.id, F_OK, 0), -1);

	/* A log whose pipes are still open is deleted after its end. */
	rig_task_new(&rig, &t, MIB);
	rig_write(&t, 0, "going\n");
	rig_send_id(&rig, LOG_DELETE, t.id);
	capture_all(&c, rig_follow(&rig, (struct rig_follow){.id = t.id, .snapshot = true}));
	capture_free(&c);
	rig_task_close(&t);
	end = rig_end(&rig, t.id);
	assert_int_equal(end.bytes, 6);
	rig_send_id(&rig, LOG_FINISH, t.id);
	assert_int_equal(rig_end(&rig, t.id).bytes, 0);
	assert_int_equal(faccessat(rig.logs, t.id, F_OK, 0), -1);
}

/* The logger's filter is in force (a sanitizer's runtime could not work under it). */
static void test_confined(void **state)
{
	char path[64], line[128] = "";
	FILE *f;

	(void)state;
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)rig.pid);
	rig_send_id(&rig, LOG_FINISH, "000000000000000000000000");
	/* an answer shows that the logger has started */
	(void)rig_end(&rig, "000000000000000000000000");
	f = fopen(path, "re");
	assert_non_null(f);
	while (strncmp(line, "Seccomp:", 8) != 0)
		assert_non_null(fgets(line, sizeof(line), f));
	(void)fclose(f);
#ifndef __SANITIZE_ADDRESS__
	assert_string_equal(line, "Seccomp:\t2\n");
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_live_and_in_order),
		cmocka_unit_test(test_stderr_before_stdout),
		cmocka_unit_test(test_late_followers),
		cmocka_unit_test(test_streams_and_since),
		cmocka_unit_test(test_snapshot),
		cmocka_unit_test(test_unknown_ids),
		cmocka_unit_test(test_bytes_are_kept_as_they_are),
		cmocka_unit_test(test_cap),
		cmocka_unit_test(test_one_huge_line),
		cmocka_unit_test(test_many_followers),
		cmocka_unit_test(test_slow_follower),
		cmocka_unit_test(test_fds_are_let_go),
		cmocka_unit_test(test_delete),
		cmocka_unit_test(test_confined),
	};

	return cmocka_run_group_tests_name("logger", tests, rig_setup, rig_teardown);
}
