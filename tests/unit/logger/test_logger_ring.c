// SPDX-License-Identifier: Apache-2.0
/* Logs that keep their last bytes: what followers see, and what is there after a restart. */
#include "tests/unit/logger_rig.h"

#define CAP 65536u
#define LINE_LEN 10ull

/* Writes the lines from number `from` to before number `to`, in turns on both streams. */
static void lines_write(const struct rig_task *t, unsigned from, unsigned to)
{
	for (unsigned n = from; n < to; n++) {
		char line[16];

		(void)snprintf(line, sizeof(line), "%09u\n", n);
		rig_write(t, n % 2, line);
	}
}

/* Each stream has its lines without a gap, up to the last of all lines; returns the bytes of both. */
static size_t tail_check(const struct rig_capture *c, unsigned lines)
{
	for (int s = 0; s < 2; s++) {
		const char *end = (const char *)c->bytes[s] + c->len[s];
		unsigned n = lines - 1 - (lines - 1 - (unsigned)s) % 2;

		/* The oldest line may be cut. */
		for (size_t left = c->len[s]; left >= LINE_LEN; left -= LINE_LEN, n -= 2) {
			char line[16];

			(void)snprintf(line, sizeof(line), "%09u\n", n);
			end -= LINE_LEN;
			assert_memory_equal(end, line, LINE_LEN);
		}
	}
	return c->len[0] + c->len[1];
}

/* What a new follower of the log is sent. */
static void tail_read(const struct rig_task *t, struct rig_capture *c)
{
	memset(c, 0, sizeof(*c));
	capture_all(c, rig_follow(&rig, (struct rig_follow){.id = t->id}));
}

static uint64_t disk_blocks(const char *id)
{
	static const char *const names[] = {"out", "err", "index", "head"};
	uint64_t n = 0;
	struct stat st;
	char path[64];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", id, names[i]);
		assert_int_equal(fstatat(rig.logs, path, &st, 0), 0);
		n += (uint64_t)st.st_blocks * 512;
	}
	return n;
}

/* Who follows live sees everything; who comes later sees the last bytes, and what is not there. */
static void test_ring(void **state)
{
	struct rig_capture live = {0}, late;
	const unsigned lines = 40000;
	struct log_end end, again;
	struct rig_task t;
	size_t kept;
	int fd;

	(void)state;
	rig_ring_new(&rig, &t, CAP);
	fd = rig_follow(&rig, (struct rig_follow){.id = t.id});
	for (unsigned n = 0; n < lines; n += 100) {
		lines_write(&t, n, n + 100);
		capture_until(&live, fd, 0, (size_t)(n + 100) / 2 * LINE_LEN);
		capture_until(&live, fd, 1, (size_t)(n + 100) / 2 * LINE_LEN);
	}
	rig_task_close(&t);
	end = rig_end(&rig, t.id);
	capture_all(&live, fd);
	assert_int_equal(live.dropped, 0);
	assert_int_equal(tail_check(&live, lines), lines * LINE_LEN);

	tail_read(&t, &late);
	kept = tail_check(&late, lines);
	assert_in_range(kept, CAP / 2, CAP);
	assert_int_equal(late.types[0], LOG_FRAME_DROPPED);
	assert_int_equal(late.reason, LOG_DROP_RING);
	assert_int_equal(late.kept, kept);
	assert_int_equal(late.dropped, lines * LINE_LEN - kept);
	assert_int_equal(end.lines, lines);
	assert_int_equal(end.bytes, lines * LINE_LEN);
	assert_int_equal(end.dropped, late.dropped);
	/* Its index may be as large as a ring of single bytes needs. */
	assert_true(disk_blocks(t.id) <= end.disk);
	assert_true(end.disk < 1024ul * 1024);
	capture_free(&live);
	capture_free(&late);

	/* The next logger reads the same. */
	rig_kill(&rig);
	rig_start(&rig);
	rig_front_new(&rig);
	rig_send_id(&rig, LOG_FINISH, t.id);
	again = rig_end(&rig, t.id);
	assert_int_equal(again.lines, end.lines);
	assert_int_equal(again.bytes, end.bytes);
	assert_int_equal(again.dropped, end.dropped);
	tail_read(&t, &late);
	assert_int_equal(tail_check(&late, lines), kept);
	capture_free(&late);
}

/* A ring of few bytes, and one of single bytes, which its index bounds. */
static void test_small_rings(void **state)
{
	struct rig_capture c;
	struct rig_task t;
	struct log_end end;

	(void)state;
	rig_ring_new(&rig, &t, 4096);
	lines_write(&t, 0, 3000);
	rig_task_close(&t);
	end = rig_end(&rig, t.id);
	assert_int_equal(end.bytes, 3000 * LINE_LEN);
	tail_read(&t, &c);
	assert_in_range(tail_check(&c, 3000), 2048, 4096);
	assert_int_equal(end.dropped, c.dropped);
	capture_free(&c);

	rig_ring_new(&rig, &t, MIB);
	for (unsigned i = 0; i < 200; i++)
		rig_write(&t, (int)i % 2, "short\n");
	rig_task_close(&t);
	end = rig_end(&rig, t.id);
	assert_int_equal(end.dropped, 0);
	assert_int_equal(end.lines, 200);
}

/* A follower that does not read for longer than the ring lasts goes on with what is there. */
static void test_left_behind(void **state)
{
	struct rig_capture c = {0};
	const unsigned lines = 200000;
	struct rig_task t;
	size_t got;
	int fd;

	(void)state;
	rig_ring_new(&rig, &t, CAP);
	fd = rig_follow(&rig, (struct rig_follow){.id = t.id});
	lines_write(&t, 0, lines);
	rig_task_close(&t);
	while (!c.ended) {
		rig_readable(fd);
		if (capture_read(&c, fd))
			continue;
		assert_true(c.reset);
		(void)close(fd);
		c.n_pending = 0;
		fd = rig_follow(&rig, (struct rig_follow){.id = t.id, .cursor = c.next_cursor});
	}
	(void)close(fd);
	(void)rig_end(&rig, t.id);
	got = c.len[0] + c.len[1];
	assert_true(got < lines * LINE_LEN);
	assert_int_equal(c.reason, LOG_DROP_RING);
	/* It was told of all that the log had let go by then, also of what it had got itself. */
	assert_true(got + c.dropped >= lines * LINE_LEN);
	assert_true(c.dropped < lines * LINE_LEN);
	/* The end of what it got is the end of the log. */
	assert_memory_equal(c.bytes[1] + c.len[1] - LINE_LEN, "000199999\n", LINE_LEN);
	capture_free(&c);
}

/* Loggers are killed under a task that writes: the ring's end is right after each of them. */
static void test_kill_at_any_moment(void **state)
{
	struct rig_capture c;
	struct rig_task t;
	struct log_end end;
	unsigned lines = 0;

	(void)state;
	rig_ring_new(&rig, &t, CAP);
	for (unsigned i = 0; i < 60; i++) {
		lines_write(&t, lines, lines + 1000);
		lines += 1000;
		(void)usleep(i * 7919 % 3000);
		rig_kill(&rig);
		rig_start(&rig);
		rig_task_give(&rig, &t);
		rig_front_new(&rig);
	}
	rig_task_close(&t);
	end = rig_end(&rig, t.id);
	assert_int_equal(end.lines, lines);
	assert_int_equal(end.bytes, lines * LINE_LEN);
	tail_read(&t, &c);
	assert_in_range(tail_check(&c, lines), CAP / 2, CAP);
	assert_int_equal(c.dropped, end.dropped);
	capture_free(&c);
}

/* After a power cut the head may be one of some time ago, while the holes are there. */
static void test_old_head(void **state)
{
	struct rig_capture c = {0};
	struct rig_task t;
	struct log_head old;
	char path[64];
	size_t kept;
	int fd;

	(void)state;
	rig_ring_new(&rig, &t, CAP);
	(void)snprintf(path, sizeof(path), "%s/head", t.id);
	fd = rig_follow(&rig, (struct rig_follow){.id = t.id});
	lines_write(&t, 0, 10000);
	capture_until(&c, fd, 1, 5000 * LINE_LEN);
	(void)close(fd);
	capture_free(&c);
	rig_kill(&rig);
	fd = openat(rig.logs, path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, &old, sizeof(old), 0), sizeof(old));
	assert_int_equal(old.magic, LOG_HEAD_MAGIC);
	rig_start(&rig);
	rig_task_give(&rig, &t);
	rig_front_new(&rig);
	lines_write(&t, 10000, 40000);
	rig_task_close(&t);
	(void)rig_end(&rig, t.id);
	rig_kill(&rig);
	assert_int_equal(pwrite(fd, &old, sizeof(old), 0), sizeof(old));
	(void)close(fd);
	rig_start(&rig);
	rig_front_new(&rig);
	tail_read(&t, &c);
	kept = tail_check(&c, 40000);
	assert_in_range(kept, CAP / 2, CAP);
	assert_int_equal(c.dropped, 40000 * LINE_LEN - kept);
	capture_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ring),	    cmocka_unit_test(test_small_rings),
		cmocka_unit_test(test_left_behind), cmocka_unit_test(test_kill_at_any_moment),
		cmocka_unit_test(test_old_head),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
