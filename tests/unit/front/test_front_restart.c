// SPDX-License-Identifier: Apache-2.0
/* The front after kill -9: every acknowledged task is there, and continues. */
#include <sqlite3.h>

#include "supervisor/front/run/task.h"
#include "tests/unit/front_rig.h"

static void running(struct rig *r, const char *id, bool started)
{
	union proto_msg m = {0};

	proto_init(&m, MON_RUNNING);
	strcpy(m.running.id, id);
	m.running.mode = START_COLD;
	m.running.started = started;
	m.running.first_ns = util_monotonic_ns();
	m.running.started_realtime_ns = util_realtime_ns();
	assert_int_equal(proto_send(r->monitor, &m, NULL, 0), 0);
}

static void copy_file(int from_dir, int to_dir, const char *name)
{
	int from = openat(from_dir, name, O_RDONLY | O_CLOEXEC);
	int to = openat(to_dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	char piece[65536];
	ssize_t n;

	assert_true(from >= 0 && to >= 0);
	while ((n = read(from, piece, sizeof(piece))) > 0)
		assert_int_equal(util_write_all(to, piece, (size_t)n), 0);
	(void)close(from);
	(void)close(to);
}

/* What a front would read after a crash now. The front has its store to itself, so a copy is read;
 * a copy that a write has torn reads as an error, or as before that write. */
static enum task_state stored_state(struct rig *r, const char *id)
{
	char dir[64], path[96], sql[80];
	enum task_state state = TASK_STATE_MAX;
	sqlite3_stmt *st = NULL;
	sqlite3 *db = NULL;
	int fd;

	(void)snprintf(dir, sizeof(dir), "%s/copy", r->dir);
	(void)snprintf(path, sizeof(path), "%s/tasks.db", dir);
	assert_true(mkdir(dir, 0700) == 0 || errno == EEXIST);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	copy_file(r->cfg.front_dirfd, fd, "tasks.db");
	copy_file(r->cfg.front_dirfd, fd, "tasks.db-wal");
	(void)snprintf(sql, sizeof(sql), "SELECT state FROM tasks WHERE id = '%s'", id);
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK &&
	    sqlite3_step(st) == SQLITE_ROW)
		state = (enum task_state)sqlite3_column_int(st, 0);
	(void)sqlite3_finalize(st);
	(void)sqlite3_close(db);
	(void)unlinkat(fd, "tasks.db", 0);
	(void)unlinkat(fd, "tasks.db-wal", 0);
	(void)unlinkat(fd, "tasks.db-shm", 0);
	(void)close(fd);
	(void)rmdir(dir);
	return state;
}

static void stored(struct rig *r, const char *id, enum task_state state)
{
	const uint64_t end = util_monotonic_ns() + RIG_WAIT_MS * 1000000ULL;

	while (stored_state(r, id) != state) {
		assert_true(util_monotonic_ns() < end);
		(void)poll(NULL, 0, 10);
	}
}

/* The states in which a restart may meet a task. */
enum { GOES_ON, STARTED_MEANWHILE, ENDED, NEVER_SEEN, LOST, WAITS, N };

/* Five tasks that run, as far as the front knows, and one that waits. */
static void before_restart(struct rig *r, char id[N][TASK_ID_LEN + 1])
{
	int conn;

	for (int i = 0; i < WAITS; i++) {
		conn = rig_run(r, RIG_CODE, id[i]);
		if (i == GOES_ON || i == LOST) {
			rig_started(r, id[i], WARM_FOR_NOBODY);
			rig_expect_event(conn, "started", NULL);
		}
		(void)close(conn);
	}
	conn = rig_connect(r);
	rig_request(conn, RIG_CODE);
	rig_expect_event(conn, "accepted", id[WAITS]);
	(void)close(conn);
	/* This is written a little later than clients are told. */
	stored(r, id[GOES_ON], TASK_RUNNING);
	stored(r, id[LOST], TASK_RUNNING);
}

static void log_finishes(struct rig *r, const char *id)
{
	union proto_msg m;

	rig_expect(r, true, LOG_FINISH, &m, NULL);
	assert_string_equal(m.log_id.id, id);
	rig_log_end(r, id);
}

/* After a kill -9 every acknowledged task exists, in each state in which it may have been. */
static void test_restart(void **state)
{
	struct rig *r = *state;
	char id[N][TASK_ID_LEN + 1];
	union proto_msg m;
	json_t *reply;

	r->cfg.running_max = 5;
	rig_start(r, true);
	before_restart(r, id);
	rig_kill(r);

	rig_start(r, false);
	rig_expect_status(r, id[GOES_ON], "running");
	rig_expect_status(r, id[NEVER_SEEN], "preparing");
	rig_expect_status(r, id[WAITS], "queued");
	running(r, id[GOES_ON], true);
	running(r, id[STARTED_MEANWHILE], true);
	rig_exited(r, id[ENDED], VERDICT_OK, 0);
	assert_true(rig_quiet(r->monitor, 50));
	rig_send(r, MON_READY);
	/* The slot of the lost task goes to the one that waited; the task that the monitor never
	 * saw is sent to it again. */
	for (int i = 0; i < 2; i++) {
		rig_expect(r, false, MON_START, &m, NULL);
		assert_true(!strcmp(m.start.id, id[NEVER_SEEN]) || !strcmp(m.start.id, id[WAITS]));
		assert_memory_equal(m.start.image, r->image, 32);
		assert_int_equal(m.start.limits.memory, 64 << 20);
	}
	log_finishes(r, id[LOST]);
	log_finishes(r, id[ENDED]);
	rig_expect(r, false, MON_FORGET, &m, NULL);
	assert_string_equal(m.forget.id, id[ENDED]);
	rig_expect_status(r, id[GOES_ON], "running");
	rig_expect_status(r, id[STARTED_MEANWHILE], "running");
	rig_expect_status(r, id[NEVER_SEEN], "preparing");
	rig_expect_status(r, id[WAITS], "preparing");
	rig_expect_status(r, id[ENDED], "complete");
	reply = rig_ask(r, "inspect", id[LOST]);
	assert_string_equal(rig_text(json_object_get(reply, "task"), "status"), "error");
	assert_string_equal(rig_text(json_object_get(reply, "task"), "verdict"), "lost");
	json_decref(reply);
	/* The monitor was not told that this end is recorded, so it tells it again. */
	rig_exited(r, id[ENDED], VERDICT_OK, 0);
	rig_expect(r, false, MON_FORGET, &m, NULL);
}

/* A cancel goes on after a restart: SIGKILL comes when the grace is over. */
static void test_restart_cancel(void **state)
{
	struct rig *r = *state;
	char id[TASK_ID_LEN + 1];
	union proto_msg m;

	rig_start(r, true);
	(void)close(rig_run(r, RIG_CODE, id));
	rig_started(r, id, WARM_FOR_NOBODY);
	json_decref(rig_ask(r, "cancel", id));
	rig_expect(r, false, MON_KILL, &m, NULL);
	rig_kill(r);
	rig_start(r, false);
	running(r, id, true);
	rig_send(r, MON_READY);
	rig_expect(r, false, MON_KILL, &m, NULL);
	assert_string_equal(m.kill.id, id);
	assert_int_equal(m.kill.reason, KILL_CANCEL_KILL);
}

/* No client was told of these tasks: the monitor is asked to end them, and nothing of them is
 * kept. */
static void test_unknown_tasks(void **state)
{
	static const char id[] = "0123456789abcdef01234567";
	struct rig *r = *state;
	union proto_msg m;

	rig_start(r, false);
	running(r, id, true);
	rig_expect(r, false, MON_KILL, &m, NULL);
	assert_string_equal(m.kill.id, id);
	assert_int_equal(m.kill.reason, KILL_CANCEL_KILL);
	rig_exited(r, id, VERDICT_CANCELLED, SIGKILL);
	rig_expect(r, true, LOG_DELETE, &m, NULL);
	assert_string_equal(m.log_id.id, id);
	rig_expect(r, false, MON_FORGET, &m, NULL);
	rig_started(r, id, WARM_FOR_NOBODY);
	rig_log_end(r, id);
	json_decref(rig_call(r, "{\"op\":\"version\"}"));
}

/* The front is killed at any moment: a client that was told "accepted" finds its task. */
static void test_kill_loop(void **state)
{
	struct rig *r = *state;

	for (int round = 0; round < 30; round++) {
		char id[8][TASK_ID_LEN + 1];
		int n = 0;

		rig_start(r, true);
		for (; n < round % 8; n++) {
			int conn = rig_connect(r);

			rig_request(conn, RIG_CODE);
			rig_expect_event(conn, "accepted", id[n]);
			(void)close(conn);
		}
		rig_kill(r);
		rig_start(r, false);
		while (n-- > 0) {
			json_t *reply = rig_ask(r, "inspect", id[n]);

			assert_true(json_is_true(json_object_get(reply, "ok")));
			json_decref(reply);
		}
		rig_kill(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_RIG(test_restart),
		WITH_RIG(test_restart_cancel),
		WITH_RIG(test_unknown_tasks),
		WITH_RIG(test_kill_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
