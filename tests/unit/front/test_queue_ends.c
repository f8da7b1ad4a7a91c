// SPDX-License-Identifier: Apache-2.0
/* The ends of queued tasks: done, cancelled, tried again, lost; each end is written once. */
#include "tests/unit/queue_rig.h"

#include "supervisor/front/front.h"
#include "supervisor/front/serve/serve.h"
#include "supervisor/front/store/priv.h"
#include "supervisor/front/store/query.h"

static void test_retries(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){.retries = 1});
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

/* After a task's success, or a cancel by its owner, no attempt follows. */
static void test_no_retry(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){.retries = 3});

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
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
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
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	struct submit s = {.payload = "{}", .payload_len = 2, .priority = 0};
	const char *id = submit(x, c, s);
	char again[TASK_ID_LEN + 1];
	struct err e = {0};

	/* A task is queued again right after it was queued, and while it runs: each time another
	 * task is made. */
	assert_int_equal(queue_again_of(x, x->a, id, 0, again, on_done, x, &e), 0);
	assert_string_equal(started(x), id);
	assert_string_equal(started(x), again);
	assert_string_equal(record(x, again).original, id);
	finish(x, again, VERDICT_OK);
	assert_string_equal(record(x, id).retry, "");
	finish(x, id, VERDICT_EXIT);
	assert_int_equal(record(x, id).dead_letter, 1);
	assert_int_equal(queue_again_of(x, x->a, id, 0, again, on_done, x, &e), 0);
	assert_string_equal(started(x), again);
	assert_string_equal(record(x, id).retry, again);
	assert_int_equal(record(x, id).dead_letter, 0);
	assert_string_equal(record(x, again).original, id);
	assert_int_equal(record(x, again).attempt, 2);
}

/* A client has only the id of the first attempt. A cancel by this id ends the attempt that waits,
 * and an attempt that has failed and waits for its log's end is not followed by another. */
static void test_cancel_the_last(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){.retries = 3});
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
	assert_int_equal(cancel(x, x->a, first, &changed, &e), 0);
	assert_true(changed);
	assert_int_equal(cancel(x, x->a, first, &changed, &e), 0);
	finish(x, last, VERDICT_CANCELLED);
	assert_string_equal(record(x, last).retry, "");
	assert_int_equal(record(x, last).state, TASK_CANCELLED);
	/* The attempts of another project's task are not found. */
	assert_int_equal(cancel(x, x->b, first, &changed, &e), -ENOENT);
	/* The cancel comes between the task's exit and its log's end. */
	strcpy(first, submit(x, c, s));
	assert_string_equal(started(x), first);
	memcpy(m.id, first, sizeof(m.id));
	memcpy(log.id, first, sizeof(log.id));
	flow_exited(x->f, &m);
	assert_int_equal(cancel(x, x->a, first, &changed, &e), 0);
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

/* What a role was sent. */
struct seen {
	unsigned of[256]; /* by type */
};

static struct seen see(int sock, enum proto_role to)
{
	struct seen seen = {0};
	int fds[PROTO_FDS_MAX];
	union proto_msg m;
	unsigned n;

	while (proto_recv(sock, ROLE_FRONT, to, &m, fds, &n) == 0) {
		seen.of[m.h.type]++;
		for (unsigned i = 0; i < PROTO_FDS_MAX; i++)
			util_close_fd(&fds[i]);
	}
	return seen;
}

/* An end and the attempt that follows it are written together, or neither is. */
static void test_retry_refused(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){.retries = 1});
	const char *id = submit(x, c, plain);

	assert_string_equal(started(x), id);
	refuse_inserts(x, true);
	finish(x, id, VERDICT_EXIT);
	assert_int_equal(record(x, id).state, TASK_PREPARING);
	refuse_inserts(x, false);
	assert_int_equal(record(x, id).state, TASK_ERROR);
	assert_int_equal(record(x, record(x, id).retry).attempt, 2);
}

/* A task that is not durable has exited, and then the disk refuses it: nothing of it is left, and no
 * attempt follows what its client was told that is not there. */
static void test_refused_after_its_end(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){.retries = 1});
	struct mon_exited m = {.verdict = VERDICT_EXIT, .wait_status = 1 << 8};
	const char *id = submit(x, c, plain);
	struct log_end log = {0};
	struct seen seen;

	queue_dispatch(x->f);
	memcpy(m.id, id, sizeof(m.id));
	memcpy(log.id, id, sizeof(log.id));
	flow_exited(x->f, &m);
	flow_log_end(x->f, &log);
	assert_int_equal(sqlite3_exec(x->f->store->db,
				      "CREATE TEMP TRIGGER refuse BEFORE INSERT ON tasks WHEN "
				      "new.attempt = 1 BEGIN SELECT RAISE(FAIL, 'refused'); END",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	settle(x);
	assert_int_equal(x->n_failed, 1);
	assert_int_equal(x->f->run->tasks.n, 0);
	assert_int_equal(queue_length(x->f), 0);
	seen = see(x->monitor, ROLE_MONITOR);
	assert_int_equal(seen.of[MON_START], 1);
	assert_int_equal(seen.of[MON_KILL], 0);
	assert_int_equal(seen.of[MON_FORGET], 1);
	assert_int_equal(see(x->logger, ROLE_LOGGER).of[LOG_DELETE], 1);
	refuse_inserts(x, false);
}

/* The same task, which the disk takes: its end is written, and the attempt that follows it. */
static void test_end_before_written(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){.retries = 1});
	struct mon_exited m = {.verdict = VERDICT_EXIT, .wait_status = 1 << 8};
	const char *id = submit(x, c, plain);
	struct log_end log = {0};

	queue_dispatch(x->f);
	memcpy(m.id, id, sizeof(m.id));
	memcpy(log.id, id, sizeof(log.id));
	flow_exited(x->f, &m);
	flow_log_end(x->f, &log);
	assert_int_equal(record(x, id).state, TASK_ERROR);
	assert_int_equal(record(x, record(x, id).retry).attempt, 2);
	assert_int_equal(x->n_failed, 0);
	assert_int_equal(see(x->monitor, ROLE_MONITOR).of[MON_FORGET], 1);
}

/* A log's end was given up, and then a new logger comes before the task's end is written. */
static void test_new_logger_after_end(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){.retries = 1});
	struct mon_exited m = {.verdict = VERDICT_EXIT, .wait_status = 1 << 8};
	const char *id = submit(x, c, plain);
	struct task *t;

	assert_string_equal(started(x), id);
	memcpy(m.id, id, sizeof(m.id));
	flow_exited(x->f, &m);
	t = registry_find(x->f, id);
	/* The timer's last call. */
	t->exited_at_ns = 1;
	t->log_end.fn(x->f, &t->log_end);
	assert_int_equal(t->rec.state, TASK_ERROR);
	flow_log_again(x->f);
	assert_false(timer_is_set(&t->log_end));
	assert_int_equal(record(x, id).state, TASK_ERROR);
}

/* The front ends before a task is written: who waits for that is told so, and it is not there after. */
static void test_front_ends(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	const char *old = submit(x, c, plain);
	char again[TASK_ID_LEN + 1];
	struct err e = {0};

	assert_string_equal(started(x), old);
	finish(x, old, VERDICT_EXIT);
	assert_int_equal(x->n_done, 1);
	(void)submit(x, c, plain);
	assert_int_equal(queue_again_of(x, x->a, old, 0, again, on_done, x, &e), 0);
	restart(x);
	assert_int_equal(x->n_done, 3);
	assert_int_equal(x->n_failed, 2);
	assert_int_equal(queue_length(x->f), 0);
	assert_int_equal(record(x, old).dead_letter, 1);
}

/* A task stays a dead letter until the task that repeats it is durable. */
static void test_again_refused(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	const char *id = submit(x, c, plain);
	char again[TASK_ID_LEN + 1];
	struct err e = {0};

	assert_string_equal(started(x), id);
	finish(x, id, VERDICT_EXIT);
	x->n_failed = 0;
	refuse_inserts(x, true);
	assert_int_equal(queue_again_of(x, x->a, id, 0, again, on_done, x, &e), 0);
	settle(x);
	assert_int_equal(x->n_failed, 1);
	assert_int_equal(record(x, id).dead_letter, 1);
	assert_string_equal(record(x, id).retry, "");
	refuse_inserts(x, false);
}

/* The front is killed after it asked the monitor to start the tasks and before it wrote that. */
static void test_dispatch_not_written(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){.retries = 3});
	struct mon_running runs = {.started = 1, .started_realtime_ns = util_realtime_ns()};
	struct mon_exited ended = {.verdict = VERDICT_OK};
	struct log_end log = {0};
	struct err e = {0};
	const char *ids[2];

	assert_int_equal(committed(x->f, worker_pause(x->f, c, true, &e), &e), 0);
	ids[0] = submit(x, c, plain);
	ids[1] = submit(x, c, plain);
	settle(x);
	assert_int_equal(committed(x->f, worker_pause(x->f, c, false, &e), &e), 0);
	x->unready = true;
	restart(x);
	memcpy(runs.id, ids[0], sizeof(runs.id));
	memcpy(ended.id, ids[1], sizeof(ended.id));
	memcpy(log.id, ids[1], sizeof(log.id));
	recover_running(x->f, &runs);
	flow_exited(x->f, &ended);
	flow_log_end(x->f, &log);
	recover_ready(x->f);
	/* Neither task is ended by the new front, nor run again. */
	assert_string_equal(started(x), "");
	assert_int_equal(queue_length(x->f), 0);
	assert_int_equal(record(x, ids[0]).state, TASK_RUNNING);
	assert_int_equal(record(x, ids[1]).state, TASK_COMPLETE);
	finish(x, ids[0], VERDICT_OK);
	assert_int_equal(record(x, ids[0]).state, TASK_COMPLETE);
	assert_int_equal(x->a->run->n_running, 0);
	assert_int_equal(x->a->run->running_memory, 0);
	assert_int_equal(x->f->run->tasks.n, 0);
}

static void test_cancel(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	const char *one = submit(x, c, plain), *two = submit(x, c, plain);
	const char *waits = submit(x, c, plain), *last = submit(x, c, plain);
	struct err e = {0};
	bool changed;
	uint64_t n;

	(void)started(x);
	(void)started(x);
	assert_int_equal(cancel(x, x->b, waits, &changed, &e), -ENOENT);
	assert_int_equal(cancel(x, x->a, waits, &changed, &e), 0);
	assert_true(changed);
	/* The cancelled task is not waited for: the next request already gets the new state. */
	assert_int_equal(record(x, waits).state, TASK_CANCELLED);
	assert_int_equal(cancel(x, x->a, waits, &changed, &e), 0);
	assert_false(changed);
	assert_int_equal(cancel_all(x, c, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(record(x, last).state, TASK_CANCELLED);
	assert_int_equal(queue_length(x->f), 0);
	assert_int_equal(x->a->run->n_queued, 0);
	finish(x, one, VERDICT_OK);
	finish(x, two, VERDICT_OK);
	assert_string_equal(started(x), "");
}

/* A cancel that was acknowledged stays in force, although the front is killed before the monitor
 * has told it which tasks it has. */
static void test_cancel_restart(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	struct log_end log = {0};
	struct err e = {0};
	const char *id;
	bool changed;

	assert_int_equal(committed(x->f, worker_pause(x->f, c, true, &e), &e), 0);
	id = submit(x, c, plain);
	settle(x);
	x->f->run->ready = false;
	assert_int_equal(cancel(x, x->a, id, &changed, &e), 0);
	settle(x);
	assert_int_equal(record(x, id).state, TASK_QUEUED);
	restart(x);
	assert_int_equal(
		committed(x->f, worker_pause(x->f, worker_by_name(x->a, "c"), false, &e), &e), 0);
	assert_string_equal(started(x), "");
	memcpy(log.id, id, sizeof(log.id));
	flow_log_end(x->f, &log);
	assert_int_equal(record(x, id).state, TASK_CANCELLED);
}

/* All tasks of a worker, with every priority and delay, and none of another worker. */
static void test_cancel_all(void **state)
{
	struct fixture *x = *state;
	struct worker *workers[2];
	struct err e = {0};
	uint64_t n;

	workers[0] = worker(x, x->a, "c", (struct worker_spec){0});
	workers[1] = worker(x, x->a, "d", (struct worker_spec){0});
	for (int i = 0; i < 2; i++)
		assert_int_equal(committed(x->f, worker_pause(x->f, workers[i], true, &e), &e), 0);
	for (unsigned i = 0; i < 120; i++) {
		struct submit s = {.priority = (int)(i % 3)};

		s.delay_s = i % 4 ? 1000 + (i * 7919) % 500 : 0;
		(void)submit(x, workers[i % 5 > 1], s);
	}
	settle(x);
	assert_int_equal(cancel_all(x, workers[1], &n, &e), 0);
	assert_int_equal(n, 72);
	assert_int_equal(workers[1]->run->lane.n_queued, 0);
	assert_int_equal(workers[0]->run->lane.n_queued, 48);
	assert_int_equal(queue_length(x->f), 48);
	assert_int_equal(cancel_all(x, workers[0], &n, &e), 0);
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

/* A task that is being cancelled and one that is in memory end once. */
static void test_cancel_all_once(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	struct log_end log = {0};
	struct err e = {0};
	const char *ids[3];
	bool changed;
	uint64_t n;

	assert_int_equal(committed(x->f, worker_pause(x->f, c, true, &e), &e), 0);
	for (int i = 0; i < 3; i++)
		ids[i] = submit(x, c, plain);
	settle(x);
	assert_int_equal(cancel(x, x->a, ids[0], &changed, &e), 0);
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
		WITH_QUEUE(test_refused_after_its_end),
		WITH_QUEUE(test_end_before_written),
		WITH_QUEUE(test_new_logger_after_end),
		WITH_QUEUE(test_front_ends),
		WITH_QUEUE(test_again_refused),
		WITH_QUEUE(test_dispatch_not_written),
		WITH_QUEUE(test_cancel),
		WITH_QUEUE(test_cancel_restart),
		WITH_QUEUE(test_cancel_all),
		WITH_QUEUE(test_cancel_all_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
