// SPDX-License-Identifier: Apache-2.0
/* The logger on a full disk, with damaged files, and among hostile peers. */
#include "tests/unit/logger_rig.h"

#include <sched.h>
#include <sys/mount.h>

static int task_file(const struct rig_task *t, const char *name, int flags)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", t->id, name);
	fd = openat(rig.logs, path, flags | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* An index that is cut to any length, and raw files that lost their ends. */
static void test_damaged_files(void **state)
{
	struct rig_capture c = {0};
	struct rig_task t;
	off_t size;
	int fd;

	(void)state;
	rig_task_new(&rig, &t, MIB);
	fd = rig_follow(&rig, (struct rig_follow){.id = t.id});
	for (size_t i = 1; i <= 4; i++) {
		rig_write(&t, 0, "piece\n");
		capture_until(&c, fd, 0, 6 * i);
	}
	rig_task_close(&t);
	capture_all(&c, fd);
	capture_free(&c);
	(void)rig_end(&rig, t.id);
	fd = task_file(&t, "index", O_RDWR);
	size = lseek(fd, 0, SEEK_END);
	assert_int_equal(size, 5 * sizeof(struct log_record));
	while (size > 0) {
		size -= 11;
		assert_int_equal(ftruncate(fd, size > 0 ? size : 0), 0);
		rig_send_id(&rig, LOG_FINISH, t.id);
		assert_int_equal(rig_end(&rig, t.id).lines, 4);
		assert_int_equal(ftruncate(fd, size > 0 ? size : 0), 0);
		assert_true(rig_log_is(&rig, (struct rig_follow){.id = t.id, .dead = true}, 0,
				       "piece\npiece\npiece\npiece\n", 24));
		(void)rig_end(&rig, t.id);
	}
	assert_int_equal(pwrite(fd, "garbage that is no record, at all", 33, 0), 33);
	(void)close(fd);
	fd = task_file(&t, "out", O_RDWR);
	assert_int_equal(ftruncate(fd, 15), 0);
	(void)close(fd);
	assert_true(rig_log_is(&rig, (struct rig_follow){.id = t.id, .dead = true}, 0,
			       "piece\npiece\npie", 15));
	(void)rig_end(&rig, t.id);
}

/* The disk becomes full while a task writes: the task does not wait, and its log continues when
 * there is room again. */
static void test_full_disk(void **state)
{
	static char piece[65536];
	struct rig_capture c = {0};
	struct rig_task t, late;
	struct log_end end;
	struct rig small = {0};
	char path[100];
	int fd, late_fd;

	(void)state;
	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	(void)snprintf(small.dir, sizeof(small.dir), "/tmp/test-logger-full-XXXXXX");
	assert_non_null(mkdtemp(small.dir));
	assert_int_equal(mount("tmpfs", small.dir, "tmpfs", 0, "size=1m"), 0);
	small.logs = open(small.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(small.logs >= 0);
	(void)snprintf(path, sizeof(path), "%s/filler", small.dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fallocate(fd, 0, 0, 512 << 10), 0);
	rig_start(&small);
	rig_front_new(&small);
	memset(piece, 'f', sizeof(piece));
	rig_task_new(&small, &t, 64 * MIB);
	for (int i = 0; i < 64; i++)
		assert_int_equal(util_write_all(t.write_end[0], piece, sizeof(piece)), 0);
	/* There is not even room for the folder. */
	assert_int_equal(fallocate(fd, 0, 512 << 10, 4096), -1);
	rig_task_new(&small, &late, MIB);
	late_fd = rig_follow(&small, (struct rig_follow){.id = late.id});
	rig_write(&late, 0, "nowhere\n");
	rig_task_close(&late);
	capture_all(&c, late_fd);
	assert_int_equal(c.dropped, 8);
	assert_int_equal(c.reason, LOG_DROP_DISK);
	assert_true(c.complete);
	capture_free(&c);
	assert_int_equal(rig_end(&small, late.id).bytes, 8);
	(void)close(fd);
	assert_int_equal(unlink(path), 0);
	rig_write(&t, 1, "again\n");
	rig_task_close(&t);
	end = rig_end(&small, t.id);
	assert_int_equal(end.bytes, 64 * sizeof(piece) + 6);
	assert_true(end.dropped > 0);
	capture_all(&c, rig_follow(&small, (struct rig_follow){.id = t.id}));
	assert_int_equal(c.dropped, end.dropped);
	assert_int_equal(c.reason, LOG_DROP_DISK);
	assert_int_equal(c.len[0], 64 * sizeof(piece) - end.dropped);
	capture_check(&c, 1, "again\n", 6);
	assert_true(c.complete);
	capture_free(&c);
	rig_stop(&small);
	(void)close(small.logs);
	assert_int_equal(umount2(small.dir, MNT_DETACH), 0);
	assert_int_equal(rmdir(small.dir), 0);
}

/* The logger survives whatever descriptor a client sends as its socket. */
static void test_hostile_followers(void **state)
{
	struct rig_task t;
	int fds[8], pair[2], n = 0;

	(void)state;
	rig_task_new(&rig, &t, MIB);
	rig_write(&t, 0, "fine\n");
	fds[n++] = open("/dev/zero", O_RDWR | O_CLOEXEC);
	fds[n++] = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	fds[n++] = open("/", O_PATH | O_CLOEXEC);
	fds[n++] = dup(t.write_end[0]);
	fds[n++] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	fds[n++] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fds[n++] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); /* not connected */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fds[n++] = pair[0];
	(void)close(pair[1]); /* the other end is closed */
	for (int i = 0; i < n; i++) {
		assert_true(fds[i] >= 0);
		assert_int_equal(rig_follow_fd(&rig, (struct rig_follow){.id = t.id}, fds[i]), 0);
	}
	rig_task_close(&t);
	for (int i = 0; i < n; i++)
		(void)close(fds[i]);
	assert_int_equal(rig_end(&rig, t.id).bytes, 5);
	assert_true(rig_log_is(&rig, (struct rig_follow){.id = t.id}, 0, "fine\n", 5));
}

/* The logger closes the connection of a front that breaks the protocol; tasks and the monitor
 * notice nothing. */
static void test_hostile_front(void **state)
{
	union proto_msg m = {0};
	struct rig_task t;
	char byte;

	(void)state;
	rig_task_new(&rig, &t, MIB);
	proto_init(&m, LOG_OPEN); /* the monitor's word */
	(void)memset(m.log_open.id, 'a', TASK_ID_LEN);
	assert_int_equal(proto_send(rig.front, &m, t.read_end, 2), 0);
	rig_readable(rig.front);
	assert_int_equal(recv(rig.front, &byte, 1, 0), 0);
	rig_front_new(&rig);
	rig_write(&t, 1, "still\n");
	rig_task_close(&t);
	assert_int_equal(rig_end(&rig, t.id).bytes, 6);
}

/* From a front that reads no answers the logger reads no further questions; in the end all are
 * answered. */
static void test_front_that_does_not_read(void **state)
{
	const unsigned count = 3000;
	struct rig_task t;
	unsigned sent = 0, got = 0;

	(void)state;
	rig_task_new(&rig, &t, MIB);
	rig_task_close(&t);
	(void)rig_end(&rig, t.id);
	while (got < count) {
		union proto_msg m = {0};
		struct pollfd p = {.fd = rig.front, .events = POLLIN};

		memcpy(m.log_id.id, t.id, sizeof(t.id));
		proto_init(&m, LOG_FINISH);
		if (sent < count && proto_send(rig.front, &m, NULL, 0) == 0) {
			sent++;
			continue;
		}
		assert_int_equal(poll(&p, 1, RIG_WAIT_MS), 1);
		(void)rig_end(&rig, t.id);
		got++;
	}
}

static void test_monitor_breaks_the_protocol(void **state)
{
	union proto_msg m = {0};
	struct rig r = {0};
	int status;

	(void)state;
	r.logs = rig.logs;
	rig_start(&r);
	proto_init(&m, MON_READY);
	assert_int_equal(proto_send(r.monitor, &m, NULL, 0), 0);
	status = rig_reap(&r);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damaged_files),
		cmocka_unit_test(test_hostile_followers),
		cmocka_unit_test(test_hostile_front),
		cmocka_unit_test(test_front_that_does_not_read),
		cmocka_unit_test(test_monitor_breaks_the_protocol),
		cmocka_unit_test(test_full_disk),
	};

	return cmocka_run_group_tests_name("logger_faults", tests, rig_setup, rig_teardown);
}
