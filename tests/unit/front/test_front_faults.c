// SPDX-License-Identifier: Apache-2.0
/* The front without a logger, on a full disk, and among hostile clients. */
#include "tests/unit/front_rig.h"

#include <sys/mount.h>

static void test_logger_away(void **state)
{
	struct rig *r = *state;
	char id[TASK_ID_LEN + 1];
	union proto_msg m = {0};
	int conn;

	rig_start(r, true);
	conn = rig_run(r, RIG_CODE, id);
	rig_started(r, id, WARM_FOR_NOBODY);
	rig_expect_event(conn, "started", NULL);
	(void)close(r->logger);
	rig_exited(r, id, VERDICT_OK, 0);
	assert_true(rig_quiet(conn, 50));
	json_decref(rig_call(r, "{\"op\":\"version\"}"));
	/* A new logger is asked for the end of the log. */
	r->logger = rig_peer_new(r->monitor);
	rig_expect(r, true, LOG_FINISH, &m, NULL);
	assert_string_equal(m.log_id.id, id);
	rig_log_end(r, id);
	rig_expect_event(conn, "finished", NULL);
	(void)close(conn);
}

/* The front asks for the end of a log that it was not told of. */
static void test_log_end_missing(void **state)
{
	struct rig *r = *state;
	char id[TASK_ID_LEN + 1];
	union proto_msg m;
	int conn;

	rig_start(r, true);
	conn = rig_run(r, RIG_CODE, id);
	rig_exited(r, id, VERDICT_FAILED, -1);
	rig_expect(r, true, LOG_FINISH, &m, NULL);
	rig_log_end(r, id);
	rig_expect_event(conn, "finished", NULL);
	rig_expect(r, false, MON_FORGET, &m, NULL);
	(void)close(conn);
	conn = rig_run(r, RIG_CODE, id);
	rig_started(r, id, WARM_FOR_NOBODY);
	rig_expect_event(conn, "started", NULL);
	rig_exited(r, id, VERDICT_OK, 0);
	rig_expect(r, true, LOG_FINISH, &m, NULL);
	rig_expect(r, true, LOG_FINISH, &m, NULL);
	rig_log_end(r, id);
	rig_expect_event(conn, "finished", NULL);
	(void)close(conn);
}

/* Each of these ends only its own connection. */
static void test_hostile_frames(void **state)
{
	static const uint8_t huge[] = {0xff, 0xff, 0xff, 0x7f, '{'}, zero[] = {0, 0, 0, 0};
	static const char version[] = "{\"op\":\"version\"}";
	struct rig *r = *state;
	int conn, fds[12];
	uint32_t len = htole32(sizeof(version) - 1);
	char byte;

	rig_start(r, true);
	for (int i = 0; i < 2; i++) {
		conn = rig_connect(r);
		assert_true(write(conn, i ? zero : huge, i ? sizeof(zero) : sizeof(huge)) > 0);
		rig_readable(conn);
		assert_true(read(conn, &byte, 1) <= 0);
		(void)close(conn);
	}
	/* The client sends a part of a frame and then closes the connection. */
	for (size_t n = 1; n < 4 + sizeof(version) - 1; n++) {
		conn = rig_connect(r);
		assert_int_equal(write(conn, &len, n < 4 ? n : 4), n < 4 ? n : 4);
		if (n > 4)
			assert_int_equal(write(conn, version, n - 4), n - 4);
		(void)close(conn);
	}
	/* A frame that comes byte by byte is answered. */
	conn = rig_connect(r);
	for (size_t n = 0; n < 4 + sizeof(version) - 1; n++)
		assert_int_equal(write(conn, n < 4 ? (char *)&len + n : version + n - 4, 1), 1);
	json_decref(rig_reply(conn));
	/* Several requests at once, one of which is wrong. */
	rig_request(conn, version);
	rig_request(conn, "{]");
	rig_request(conn, version);
	json_decref(rig_reply(conn));
	rig_expect_error(rig_reply(conn), "input", "line 1");
	json_decref(rig_reply(conn));
	/* A request with more descriptors than any operation takes. */
	for (int i = 0; i < 12; i++)
		fds[i] = conn;
	rig_request_fds(conn, version, fds, 3);
	rig_expect_error(rig_reply(conn), "input", "takes at most 0 descriptors");
	rig_request_fds(conn, version, fds, 12);
	rig_readable(conn);
	(void)close(conn);
	json_decref(rig_call(r, version));
}

static unsigned open_fds(pid_t pid)
{
	char path[64], target[8];
	unsigned n = 0;

	for (int fd = 0; fd < 1024; fd++) {
		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
		n += readlink(path, target, sizeof(target)) > 0;
	}
	return n;
}

/* Whatever clients do, the front closes all descriptors that it got from them. */
static void test_no_leak(void **state)
{
	struct rig *r = *state;
	unsigned before, after = 0;
	int pair[2];

	rig_start(r, true);
	json_decref(rig_call(r, "{\"op\":\"version\"}"));
	before = open_fds(r->pid);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	for (int i = 0; i < 200; i++) {
		int conn = rig_connect(r);

		rig_request_fds(conn, i & 1 ? RIG_CODE "x" : "{\"op\":\"logs\",\"id\":\"0000\"}",
				pair, i % 3);
		if (i & 2)
			json_decref(rig_reply(conn));
		(void)close(conn);
	}
	for (int i = 0; i < 100 && after != before; i++) {
		json_decref(rig_call(r, "{\"op\":\"version\"}"));
		after = open_fds(r->pid);
		(void)usleep(10000);
	}
	assert_int_equal(after, before);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

/* A client that sends many requests and reads no answer keeps no other client waiting. */
static void test_slow_client(void **state)
{
	static const char text[] = "{\"op\":\"version\",\"x\":1}";
	struct rig *r = *state;
	int conn, other;
	size_t sent = 0;

	rig_start(r, true);
	conn = rig_connect(r);
	other = rig_connect(r);
	assert_int_equal(fcntl(conn, F_SETFL, O_NONBLOCK), 0);
	for (int idle = 0; idle < 20;) {
		uint32_t frame[8];

		frame[0] = htole32(sizeof(text) - 1);
		memcpy(frame + 1, text, sizeof(text) - 1);
		if (send(conn, frame, 4 + sizeof(text) - 1, MSG_NOSIGNAL) > 0) {
			sent++;
			continue;
		}
		idle++;
		rig_request(other, "{\"op\":\"version\"}");
		json_decref(rig_reply(other));
	}
	assert_true(sent > 100);
	(void)close(other);
	(void)close(conn);
	json_decref(rig_call(r, "{\"op\":\"version\"}"));
}

/* Makes a file that takes all free space of a file system. */
static int fill(const char *folder)
{
	static char block[1 << 16];
	char filler[80];
	int fd;

	(void)snprintf(filler, sizeof(filler), "%s/filler", folder);
	fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(fd, block, sizeof(block)) > 0)
		;
	return fd;
}

/* The monitor is asked before the store is written: a task that the store refuses is killed and
 * forgotten. */
static void expect_refused(struct rig *r)
{
	char refused[TASK_ID_LEN + 1];
	union proto_msg m;

	/* The log of the database may have some room left in its last page. */
	for (int i = 0;; i++) {
		json_t *reply;
		int other = rig_connect(r);

		assert_true(i < 50);
		rig_request(other, RIG_CODE);
		rig_expect(r, false, MON_START, &m, NULL);
		reply = rig_reply(other);
		(void)close(other);
		if (json_is_true(json_object_get(reply, "ok"))) {
			json_decref(reply);
			continue;
		}
		rig_expect_error(reply, "limit", "the task store cannot");
		break;
	}
	strcpy(refused, m.start.id);
	rig_expect_error(rig_ask(r, "wait", refused), "not-found", "there is no task");
	rig_expect(r, false, MON_KILL, &m, NULL);
	assert_string_equal(m.kill.id, refused);
	rig_exited(r, refused, VERDICT_CANCELLED, SIGKILL);
	rig_expect(r, true, LOG_DELETE, &m, NULL);
	rig_expect(r, false, MON_FORGET, &m, NULL);
}

/* While the store cannot be written, clients get an error and no task keeps running; later it works
 * again. */
static void test_disk_full(void **state)
{
	struct rig *r = *state;
	char path[64], id[TASK_ID_LEN + 1];
	union proto_msg m;
	int fd, conn;

	(void)snprintf(path, sizeof(path), "%s/full", r->dir);
	assert_int_equal(mkdir(path, 0755), 0);
	if (mount("tmpfs", path, "tmpfs", 0, "size=1m") < 0)
		skip();
	(void)close(r->cfg.front_dirfd);
	r->cfg.front_dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rig_start(r, true);
	conn = rig_run(r, RIG_CODE, id);
	fd = fill(path);
	expect_refused(r);
	/* A running task ends with its own verdict; the monitor keeps the end until it is
	 * stored. */
	rig_exited(r, id, VERDICT_EXIT, 9 << 8);
	rig_log_end(r, id);
	rig_expect_event(conn, "finished", NULL);
	assert_true(rig_quiet(r->monitor, 100));
	assert_int_equal(ftruncate(fd, 0), 0);
	rig_expect(r, false, MON_FORGET, &m, NULL);
	assert_string_equal(m.forget.id, id);
	rig_expect_status(r, id, "error");
	(void)close(conn);
	conn = rig_run(r, RIG_CODE, id);
	(void)close(conn);
	(void)close(fd);
	rig_stop(r);
	assert_int_equal(umount2(path, MNT_DETACH), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_RIG(test_logger_away),    WITH_RIG(test_log_end_missing),
		WITH_RIG(test_hostile_frames), WITH_RIG(test_no_leak),
		WITH_RIG(test_slow_client),    WITH_RIG(test_disk_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
