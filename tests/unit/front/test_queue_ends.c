// SPDX-License-Identifier: Apache-2.0
/* The ends of what was queued: done, cancelled, tried again, lost; each is written once. */
#include "tests/unit/queue_rig.h"

#include "supervisor/front/front.h"
#include "supervisor/front/serve/serve.h"
#include "supervisor/front/store/priv.h"
#include "supervisor/front/store/query.h"

static void test_retries(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "c", (struct code_spec){.retries = 1});
	struct submit s = {.payload = "p", .payload_len = 1, .priority = 1, .label = "kept"};
	const char *first = submit(x, c, s);
	char second[TASK_ID_LEN + 1];
	struct task_record one, two;

	assert_string_equal(started(x), first);
	finish(x, first, VERDICT_EXIT);
	one = record(x, first);
	assert_int_equal(one.state, TASK_ERROR);
	assert_int_equal(one.dead_letter, 0);
	strcpy(second, started(x));
	assert_string_equal(second, one.retry);
	two = record(x, second);
	assert_string_equal(two.original, first);
	assert_string_equal(two.label, "kept");
	assert_int_equal(two.attempt, 2);
	assert_int_equal(two.priority, 1);
	finish(x, second, VERDICT_TIMEOUT);
	assert_int_equal(record(x, second).state, TASK_TIMEOUT);
	assert_int_equal(record(x, second).dead_letter, 1);
	assert_string_equal(record(x, second).retry, "");
	assert_string_equal(started(x), "");
	assert_int_equal(x->f->run->tasks.n, 0);
}

/* The task's own success, or its owner's wish, is followed by nothing. */
static void test_no_retry(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "c", (struct code_spec){.retries = 3});

	for (int i = 0; i < 2; i++) {
		const char *id = submit(x, c, plain);

		assert_string_equal(started(x), id);
		finish(x, id, i ? VERDICT_CANCELLED : VERDICT_OK);
		assert_int_equal(record(x, id).dead_letter, 0);
		assert_string_equal(started(x), "");
	}
}

static void test_lost(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "c", (struct code_spec){0});
	char id[TASK_ID_LEN + 1];

	strcpy(id, submit(x, c, plain));
	for (int i = 1; i < QUEUE_LOST_MAX; i++) {
		assert_string_equal(started(x), id);
		finish(x, id, VERDICT_LOST);
		strcpy(id, record(x, id).retry);
	}
	assert_string_equal(started(x), id);
	finish(x, id, VERDICT_LOST);
	assert_string_equal(started(x), "");
	assert_int_equal(record(x, id).dead_letter, 1);
	assert_int_equal(record(x, id).attempt, QUEUE_LOST_MAX);
}

static void test_again(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "c", (struct code_spec){0});
	struct submit s = {.payload = "{}", .payload_len = 2, .priority = 0};
	const char *id = submit(x, c, s);
	char again[TASK_ID_LEN + 1];
	struct err e = {0};

	/* Right after it was queued, and while it runs: another task each time. */
	assert_int_equal(queue_retry(x->f, x->a, id, 0, again, on_done, x, &e), 0);
	assert_string_equal(started(x), id);
	assert_string_equal(started(x), again);
	assert_string_equal(record(x, again).original, id);
	finish(x, again, VERDICT_OK);
	assert_string_equal(record(x, id).retry, "");
	finish(x, id, VERDICT_EXIT);
	assert_int_equal(record(x, id).dead_letter, 1);
	assert_int_equal(queue_retry(x->f, x->a, id, 0, again, on_done, x, &e), 0);
	assert_string_equal(started(x), again);
	assert_string_equal(record(x, id).retry, again);
	assert_int_equal(record(x, id).dead_letter, 0);
	assert_string_equal(record(x, again).original, id);
	assert_int_equal(record(x, again).attempt, 2);
}

/* By the id of the first attempt, which is all that a client has: the one that waits ends, and one
 * that has failed and waits for its log's end has none after it. */
static void test_cancel_the_last(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "c", (struct code_spec){.retries = 3});
	struct submit s = {.payload = "{}", .payload_len = 2, .priority = 0};
	struct mon_exited m = {.verdict = VERDICT_EXIT, .wait_status = 1 << 8};
	char first[TASK_ID_LEN + 1], last[TASK_ID_LEN + 1];
	struct log_end log = {0};
	bool changed = false;
	struct err e = {0};

	strcpy(first, submit(x, c, s));
	assert_string_equal(started(x), first);
	finish(x, first, VERDICT_EXIT);
	strcpy(last, record(x, first).retry);
	assert_string_equal(started(x), last);
	finish(x, last, VERDICT_EXIT);
	queue_last_attempt(x->f, x->a, first, last);
	assert_int_equal(record(x, last).attempt, 3);
	assert_string_equal(started(x), last);
	assert_int_equal(queue_cancel(x->f, x->a, first, &changed, &e), 0);
	assert_true(changed);
	assert_int_equal(queue_cancel(x->f, x->a, first, &changed, &e), 0);
	finish(x, last, VERDICT_CANCELLED);
	assert_string_equal(record(x, last).retry, "");
	assert_int_equal(record(x, last).state, TASK_CANCELLED);
	/* Another project's chain is none. */
	assert_int_equal(queue_cancel(x->f, x->b, first, &changed, &e), -ENOENT);
	/* Between its exit and its log's end. */
	strcpy(first, submit(x, c, s));
	assert_string_equal(started(x), first);
	memcpy(m.id, first, sizeof(m.id));
	memcpy(log.id, first, sizeof(log.id));
	flow_exited(x->f, &m);
	assert_int_equal(queue_cancel(x->f, x->a, first, &changed, &e), 0);
	assert_true(changed);
	flow_log_end(x->f, &log);
	assert_int_equal(record(x, first).state, TASK_ERROR);
	assert_string_equal(record(x, first).retry, "");
	assert_int_equal(record(x, first).dead_letter, 0);
}

static void refuse_inserts(struct fixture *x, bool refuse)
{
	assert_int_equal(sqlite3_exec(x->f->store->db,
				      refuse ? "CREATE TEMP TRIGGER refuse BEFORE INSERT ON tasks "
					       "BEGIN SELECT RAISE(FAIL, 'refused'); END"
					     : "DROP TRIGGER refuse",
				      NULL, NULL, NULL),
			 SQLITE_OK);
}

/* An end and the attempt that follows it are written together, or neither is. */
static void test_retry_refused(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "c", (struct code_spec){.retries = 1});
	const char *id = submit(x, c, plain);

	assert_string_equal(started(x), id);
	refuse_inserts(x, true);
	finish(x, id, VERDICT_EXIT);
	assert_int_equal(record(x, id).state, TASK_PREPARING);
	refuse_inserts(x, false);
	assert_int_equal(record(x, id).state, TASK_ERROR);
	assert_int_equal(record(x, record(x, id).retry).attempt, 2);
}

/* Until what repeats it is durable, a dead letter is one. */
static void test_again_refused(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "c", (struct code_spec){0});
	const char *id = submit(x, c, plain);
	char again[TASK_ID_LEN + 1];
	struct err e = {0};

	assert_string_equal(started(x), id);
	finish(x, id, VERDICT_EXIT);
	x->n_failed = 0;
	refuse_inserts(x, true);
	assert_int_equal(queue_retry(x->f, x->a, id, 0, again, on_done, x, &e), 0);
	settle(x);
	assert_int_equal(x->n_failed, 1);
	assert_int_equal(record(x, id).dead_letter, 1);
	assert_string_equal(record(x, id).retry, "");
	refuse_inserts(x, false);
}

/* The front dies between asking the monitor and writing that down. */
static void test_dispatch_not_written(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "c", (struct code_spec){.retries = 3});
	struct mon_running runs = {.started = 1, .started_realtime_ns = util_realtime_ns()};
	struct mon_exited ended = {.verdict = VERDICT_OK};
	struct log_end log = {0};
	struct err e = {0};
	const char *ids[2];
	bool changed;

	assert_int_equal(code_pause(x->f, c, true, &changed, &e), 0);
	ids[0] = submit(x, c, plain);
	ids[1] = submit(x, c, plain);
	settle(x);
	assert_int_equal(code_pause(x->f, c, false, &changed, &e), 0);
	x->unready = true;
	restart(x);
	memcpy(runs.id, ids[0], sizeof(runs.id));
	memcpy(ended.id, ids[1], sizeof(ended.id));
	memcpy(log.id, ids[1], sizeof(log.id));
	recover_running(x->f, &runs);
	flow_exited(x->f, &ended);
	flow_log_end(x->f, &log);
	recover_ready(x->f);
	/* Neither is ended, nor run again. */
	assert_string_equal(started(x), "");
	assert_int_equal(queue_length(x->f), 0);
	assert_int_equal(record(x, ids[0]).state, TASK_RUNNING);
	assert_int_equal(record(x, ids[1]).state, TASK_COMPLETE);
	finish(x, ids[0], VERDICT_OK);
	assert_int_equal(record(x, ids[0]).state, TASK_COMPLETE);
	assert_int_equal(x->a->n_running, 0);
	assert_int_equal(x->a->running_memory, 0);
	assert_int_equal(x->f->run->tasks.n, 0);
}

static void test_cancel(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "c", (struct code_spec){0});
	const char *one = submit(x, c, plain), *two = submit(x, c, plain);
	const char *waits = submit(x, c, plain), *last = submit(x, c, plain);
	struct err e = {0};
	bool changed;
	uint64_t n;

	(void)started(x);
	(void)started(x);
	assert_int_equal(queue_cancel(x->f, x->b, waits, &changed, &e), -ENOENT);
	assert_int_equal(queue_cancel(x->f, x->a, waits, &changed, &e), 0);
	assert_true(changed);
	/* Nobody is waited for: who asks next is told so. */
	assert_int_equal(record(x, waits).state, TASK_CANCELLED);
	assert_int_equal(queue_cancel(x->f, x->a, waits, &changed, &e), 0);
	assert_false(changed);
	assert_int_equal(cancel_all(x, c, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(record(x, last).state, TASK_CANCELLED);
	assert_int_equal(queue_length(x->f), 0);
	assert_int_equal(x->a->n_queued, 0);
	finish(x, one, VERDICT_OK);
	finish(x, two, VERDICT_OK);
	assert_string_equal(started(x), "");
}

/* A cancel that was acknowledged holds, though the front dies before it knows what the monitor
 * has. */
static void test_cancel_restart(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "c", (struct code_spec){0});
	struct log_end log = {0};
	struct err e = {0};
	const char *id;
	bool changed;

	assert_int_equal(code_pause(x->f, c, true, &changed, &e), 0);
	id = submit(x, c, plain);
	settle(x);
	x->f->run->ready = false;
	assert_int_equal(queue_cancel(x->f, x->a, id, &changed, &e), 0);
	settle(x);
	assert_int_equal(record(x, id).state, TASK_QUEUED);
	restart(x);
	assert_int_equal(code_pause(x->f, code_by_name(x->a, "c"), false, &changed, &e), 0);
	assert_string_equal(started(x), "");
	memcpy(log.id, id, sizeof(log.id));
	flow_log_end(x->f, &log);
	assert_int_equal(record(x, id).state, TASK_CANCELLED);
}

/* All of a code, of every priority and delay, and none of another. */
static void test_cancel_all(void **state)
{
	struct fixture *x = *state;
	struct code *codes[2];
	struct err e = {0};
	bool changed;
	uint64_t n;

	codes[0] = code(x, x->a, "c", (struct code_spec){0});
	codes[1] = code(x, x->a, "d", (struct code_spec){0});
	for (int i = 0; i < 2; i++)
		assert_int_equal(code_pause(x->f, codes[i], true, &changed, &e), 0);
	for (unsigned i = 0; i < 120; i++) {
		struct submit s = {.priority = (int)(i % 3)};

		s.delay_s = i % 4 ? 1000 + (i * 7919) % 500 : 0;
		(void)submit(x, codes[i % 5 > 1], s);
	}
	settle(x);
	assert_int_equal(cancel_all(x, codes[1], &n, &e), 0);
	assert_int_equal(n, 72);
	assert_int_equal(codes[1]->lane.n_queued, 0);
	assert_int_equal(codes[0]->lane.n_queued, 48);
	assert_int_equal(queue_length(x->f), 48);
	assert_int_equal(cancel_all(x, codes[0], &n, &e), 0);
	assert_int_equal(n, 48);
	assert_int_equal(queue_length(x->f), 0);
}

static int count_cancelled(void *arg, uint64_t time_ns, const char *event, const char *detail)
{
	(void)time_ns;
	(void)detail;
	*(unsigned *)arg += strcmp(event, "cancelled") == 0;
	return 0;
}

/* One that is being cancelled, and one that is in memory, end once. */
static void test_cancel_all_once(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "c", (struct code_spec){0});
	struct log_end log = {0};
	struct err e = {0};
	const char *ids[3];
	bool changed;
	uint64_t n;

	assert_int_equal(code_pause(x->f, c, true, &changed, &e), 0);
	for (int i = 0; i < 3; i++)
		ids[i] = submit(x, c, plain);
	settle(x);
	assert_int_equal(queue_cancel(x->f, x->a, ids[0], &changed, &e), 0);
	assert_non_null(queue_wake(x->f, ids[1]));
	assert_int_equal(cancel_all(x, c, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_int_equal(queue_length(x->f), 0);
	for (int i = 0; i < 3; i++) {
		unsigned times = 0;

		memcpy(log.id, ids[i], sizeof(log.id));
		flow_log_end(x->f, &log);
		assert_int_equal(record(x, ids[i]).state, TASK_CANCELLED);
		assert_int_equal(store_history(x->f->store, ids[i], count_cancelled, &times, &e),
				 0);
		assert_int_equal(times, 1);
	}
	assert_int_equal(x->f->run->tasks.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_QUEUE(test_retries),
		WITH_QUEUE(test_no_retry),
		WITH_QUEUE(test_lost),
		WITH_QUEUE(test_again),
		WITH_QUEUE(test_cancel_the_last),
		WITH_QUEUE(test_retry_refused),
		WITH_QUEUE(test_again_refused),
		WITH_QUEUE(test_dispatch_not_written),
		WITH_QUEUE(test_cancel),
		WITH_QUEUE(test_cancel_restart),
		WITH_QUEUE(test_cancel_all),
		WITH_QUEUE(test_cancel_all_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
