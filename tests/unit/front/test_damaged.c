// SPDX-License-Identifier: Apache-2.0
/* A row of the store that cannot be read: it costs its own task, and no other one. */
#include "tests/unit/queue_rig.h"

#include "supervisor/front/store/priv.h"
#include "supervisor/front/store/query.h"

static const struct worker_spec tried_again = {.retries = 3};

static void damage(struct fixture *x, const char *id, const char *how)
{
	char sql[128];

	(void)snprintf(sql, sizeof(sql), "UPDATE tasks SET %s WHERE id = '%s'", how, id);
	assert_int_equal(sqlite3_exec(x->f->store->db, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* What a new front is told by the monitor about its tasks: those of the ids run, and no other. */
static void restart_with(struct fixture *x, const char *const *ids)
{
	struct mon_running m = {.started = 1, .started_realtime_ns = util_realtime_ns()};

	x->unready = true;
	restart(x);
	for (; *ids; ids++) {
		memcpy(m.id, *ids, sizeof(m.id));
		recover_running(x->f, &m);
	}
	recover_ready(x->f);
}

static int count_rows(void *arg, struct task_record *rec)
{
	(void)rec;
	++*(unsigned *)arg;
	return 0;
}

/* Tasks in a list. */
static unsigned listed(struct fixture *x)
{
	struct task_query q = {.project = x->a->id};
	struct err e = {0};
	unsigned n = 0;

	if (store_task_query(x->f->store, &q, count_rows, &n, &e) < 0)
		fail_msg("%s", e.msg);
	return n;
}

/* A task that waits, or waited for its start, ends with an error that says why, and is tried no more;
 * the others start. */
static void test_waits(void **state)
{
	static const char *const damages[] = {"payload = x'00'", "created_ns = 'soon'",
					      "limit_pids = -1.5", "state = 1, payload = x'00'",
					      "code = x'00'"};
	const char *const none[] = {NULL};
	struct fixture *x = *state;

	for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
		struct worker *c = worker(x, x->a, "c", tried_again);
		struct task_record rec;
		const char *bad, *good;
		struct err e = {0};

		assert_int_equal(committed(x->f, worker_pause(x->f, c, true, &e), &e), 0);
		bad = submit(x, c, plain);
		good = submit(x, c, plain);
		settle(x);
		assert_int_equal(committed(x->f, worker_pause(x->f, c, false, &e), &e), 0);
		damage(x, bad, damages[i]);
		restart_with(x, none);
		assert_string_equal(started(x), good);
		finish(x, bad, VERDICT_FAILED); /* its log's end */
		rec = record(x, bad);
		assert_int_equal(rec.state, TASK_ERROR);
		assert_string_equal(rec.error, "its row in the store is damaged");
		if (!strstr(rec.warning, "damaged"))
			fail_msg("%s: %s", damages[i], rec.warning);
		assert_string_equal(rec.retry, "");
		finish(x, good, VERDICT_OK);
		assert_int_equal(listed(x), 2 * (i + 1));
		assert_int_equal(x->f->run->tasks.n, 0);
		assert_int_equal(x->f->run->n_running, 0);
	}
}

/* One that runs goes on, is shown, and its end is known; it is no other one's attempt. */
static void test_runs(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", tried_again);
	const char *ids[] = {submit(x, c, plain), submit(x, c, plain), NULL};
	struct task_record rec;

	assert_string_equal(started(x), ids[0]);
	assert_string_equal(started(x), ids[1]);
	damage(x, ids[0], "payload = x'00'");
	damage(x, ids[1], "payload = x'00'");
	for (int i = 0; i < 2; i++) {
		restart_with(x, ids);
		assert_string_equal(started(x), "");
		assert_int_equal(registry_find(x->f, ids[0])->rec.state, TASK_RUNNING);
		assert_int_equal(x->f->run->n_running, 2);
		assert_int_equal(listed(x), 2);
		/* The next front finds it damaged too, and does not think it sound. */
	}
	finish(x, ids[0], VERDICT_OK);
	finish(x, ids[1], VERDICT_EXIT);
	rec = record(x, ids[0]);
	assert_int_equal(rec.state, TASK_COMPLETE);
	assert_int_equal(record(x, ids[1]).state, TASK_ERROR);
	assert_int_equal(record(x, ids[1]).dead_letter, 1);
	assert_string_equal(started(x), "");
}

/* One that is damaged while it waits does not keep the others from starting. */
static void test_damaged_later(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", tried_again);
	const char *bad, *good;
	struct err e = {0};

	assert_int_equal(committed(x->f, worker_pause(x->f, c, true, &e), &e), 0);
	bad = submit(x, c, plain);
	good = submit(x, c, plain);
	settle(x);
	damage(x, bad, "label = x'00'");
	assert_int_equal(committed(x->f, worker_pause(x->f, c, false, &e), &e), 0);
	assert_string_equal(started(x), good);
	finish(x, bad, VERDICT_FAILED);
	assert_int_equal(record(x, bad).state, TASK_ERROR);
}

/* One without an id is nobody's: it is left alone. */
static void test_no_id(void **state)
{
	const char *const none[] = {NULL};
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", tried_again);
	const char *bad, *good;
	struct err e = {0};

	assert_int_equal(committed(x->f, worker_pause(x->f, c, true, &e), &e), 0);
	bad = submit(x, c, plain);
	good = submit(x, c, plain);
	settle(x);
	damage(x, bad, "id = 'x'");
	assert_int_equal(committed(x->f, worker_pause(x->f, c, false, &e), &e), 0);
	/* Nor does it keep the other one from starting. */
	assert_string_equal(started(x), good);
	finish(x, good, VERDICT_OK);
	restart_with(x, none);
	assert_string_equal(started(x), "");
	assert_int_equal(listed(x), 1);
}

/* What the monitor is asked to end. */
static bool killed(struct fixture *x, const char *id)
{
	int fds[PROTO_FDS_MAX];
	union proto_msg m;
	bool found = false;
	unsigned n;

	settle(x);
	while (proto_recv(x->monitor, ROLE_FRONT, ROLE_MONITOR, &m, fds, &n) >= 0) {
		for (unsigned i = 0; i < PROTO_FDS_MAX; i++)
			util_close_fd(&fds[i]);
		found |= m.h.type == MON_KILL && strcmp(m.kill.id, id) == 0;
	}
	return found;
}

/* A disk that does not give a row now: the task, which was acknowledged and runs, is not ended, nor is
 * it started once more; when the disk gives the row, the task's end is known. */
static void test_disk(void **state)
{
	static const char fails[] = "SELECT abs(-9223372036854775807 - 1 + length(?1) * 0)";
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", tried_again);
	struct mon_running m = {.started = 1, .started_realtime_ns = util_realtime_ns()};
	sqlite3_stmt *get, *broken;
	struct err e = {0};
	const char *id;

	assert_int_equal(committed(x->f, worker_pause(x->f, c, true, &e), &e), 0);
	id = submit(x, c, plain);
	settle(x);
	assert_int_equal(committed(x->f, worker_pause(x->f, c, false, &e), &e), 0);
	x->unready = true;
	restart(x);
	assert_int_equal(sqlite3_prepare_v2(x->f->store->db, fails, -1, &broken, NULL), SQLITE_OK);
	get = x->f->store->st[ST_GET];
	x->f->store->st[ST_GET] = broken;
	memcpy(m.id, id, sizeof(m.id));
	recover_running(x->f, &m);
	/* Of this one nobody can tell whether it was acknowledged. */
	strcpy(m.id, "0123456789abcdef01234567");
	recover_running(x->f, &m);
	recover_ready(x->f);
	assert_false(killed(x, id) || killed(x, m.id));
	assert_int_equal(queue_length(x->f), 1);
	x->f->store->st[ST_GET] = get;
	(void)sqlite3_finalize(broken);
	/* It was not. */
	recover_running(x->f, &m);
	assert_true(killed(x, m.id));
	queue_dispatch_soon(x->f);
	assert_string_equal(started(x), "");
	finish(x, id, VERDICT_OK);
	assert_int_equal(record(x, id).state, TASK_COMPLETE);
	assert_int_equal(queue_length(x->f), 0);
	assert_int_equal(x->f->run->n_running, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_QUEUE(test_waits), WITH_QUEUE(test_runs), WITH_QUEUE(test_damaged_later),
		WITH_QUEUE(test_no_id), WITH_QUEUE(test_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
