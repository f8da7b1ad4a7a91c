// SPDX-License-Identifier: Apache-2.0
/* The queue with a real store, in this process: the test is the monitor and the logger. */
#include "tests/unit/queue_rig.h"

#include "supervisor/front/internal.h"
#include "supervisor/front/store_internal.h"
#include "supervisor/front/store_query.h"

static void test_life(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "hello", (struct code_spec){0});
	struct submit s = {.payload = "{\"n\": 1}", .payload_len = 8, .priority = 2, .label = "l"};
	const char *id = submit(x, c, s);
	struct task_record rec;

	assert_int_equal(x->n_done, 0); /* not durable yet */
	assert_string_equal(started(x), id);
	assert_int_equal(x->n_done, 1);
	assert_int_equal(x->n_failed, 0);
	rec = record(x, id);
	assert_int_equal(rec.state, TASK_PREPARING);
	assert_string_equal(rec.project, x->a->id);
	assert_string_equal(rec.code_name, "hello");
	assert_string_equal(rec.label, "l");
	assert_int_equal(rec.priority, 2);
	assert_int_equal(rec.attempt, 1);
	assert_int_equal(rec.revision, 1);
	assert_int_equal(x->a->n_running, 1);
	finish(x, id, VERDICT_OK);
	assert_int_equal(record(x, id).state, TASK_COMPLETE);
	assert_int_equal(x->a->n_running, 0);
	assert_int_equal(x->a->running_memory, 0);
	assert_int_equal(x->f->n_tasks, 0);
}

static void test_turns(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "many", (struct code_spec){0});
	struct code *d = code(x, x->b, "one", (struct code_spec){0});
	const char *first = submit(x, c, plain), *second = submit(x, c, plain), *theirs;

	for (int i = 0; i < 20; i++)
		(void)submit(x, c, plain);
	assert_string_equal(started(x), first);
	assert_string_equal(started(x), second);
	assert_string_equal(started(x), "");
	/* What waits is not in memory, but for its place. */
	assert_int_equal(x->f->n_tasks, 2);
	assert_int_equal(queue_length(x->f), 20);
	/* Another project's does not wait for those: the next slot is its own. */
	theirs = submit(x, d, plain);
	finish(x, first, VERDICT_OK);
	assert_string_equal(started(x), theirs);
	finish(x, theirs, VERDICT_OK);
	assert_string_not_equal(started(x), "");
}

static void test_priorities(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "c", (struct code_spec){0});
	struct submit low = plain, high = {.priority = 2};
	const char *running[2] = {submit(x, c, low), submit(x, c, low)};
	const char *one = submit(x, c, low), *two = submit(x, c, high), *three = submit(x, c, high);

	(void)started(x);
	(void)started(x);
	finish(x, running[0], VERDICT_OK);
	assert_string_equal(started(x), two);
	finish(x, running[1], VERDICT_OK);
	assert_string_equal(started(x), three);
	finish(x, two, VERDICT_OK);
	assert_string_equal(started(x), one);
}

static void test_codes_in_the_way(void **state)
{
	struct fixture *x = *state;
	struct code *paused = code(x, x->a, "paused", (struct code_spec){0});
	struct code *narrow = code(x, x->a, "narrow", (struct code_spec){.max_concurrency = 1});
	struct code *free_one = code(x, x->a, "free", (struct code_spec){0});
	const char *first, *last, *behind, *held;
	struct err e = {0};
	bool changed;

	assert_int_equal(code_pause(x->f, paused, true, &changed, &e), 0);
	assert_true(changed);
	assert_int_equal(code_pause(x->f, paused, true, &changed, &e), 0);
	assert_false(changed);
	held = submit(x, paused, plain);
	first = submit(x, narrow, plain);
	behind = submit(x, narrow, plain);
	last = submit(x, free_one, plain);
	assert_string_equal(started(x), first);
	assert_string_equal(started(x), last);
	assert_string_equal(started(x), "");
	finish(x, last, VERDICT_OK);
	assert_string_equal(started(x), ""); /* a slot is free, and nobody may have it */
	finish(x, first, VERDICT_OK);
	assert_string_equal(started(x), behind);
	assert_int_equal(code_pause(x->f, paused, false, &changed, &e), 0);
	assert_string_equal(started(x), held);
}

static void test_delay(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "c", (struct code_spec){0});
	struct submit later = {.priority = -1, .delay_s = 1}, far = {.priority = 2, .delay_s = 600};
	const char *soon = submit(x, c, later);
	struct queue_counts counts;

	(void)submit(x, c, far);
	assert_string_equal(started(x), "");
	queue_counts(x->f, &counts);
	assert_int_equal(counts.delayed, 2);
	assert_int_equal(counts.queued, 0);
	/* Also after a restart. */
	restart(x);
	assert_string_equal(started(x), "");
	while (x->f->n_running == 0)
		assert_true(sd_event_run(x->f->event, UINT64_MAX) >= 0);
	assert_string_equal(started(x), soon);
	assert_string_equal(started(x), "");
}

static void cancel_other(void *arg, const char *id, const struct err *error)
{
	struct fixture *x = arg;
	struct err e = {0};
	bool changed;

	assert_null(error);
	if (strcmp(id, x->other) != 0)
		assert_int_equal(queue_cancel(x->f, x->a, x->other, &changed, &e), 0);
}

/* Who is told that one is durable changes another that was written with it, or will be told. */
static void test_change_when_told(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "c", (struct code_spec){0});
	char ids[3][TASK_ID_LEN + 1];
	struct err e = {0};
	bool changed;

	assert_int_equal(code_pause(x->f, c, true, &changed, &e), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(queue_submit(x->f, c, &plain, ids[i], cancel_other, x, &e), 0);
	strcpy(x->other, ids[1]);
	settle(x);
	restart(x);
	assert_true(record(x, ids[1]).cancel_ns > 0);
	assert_true(record(x, ids[0]).cancel_ns == 0);
	assert_int_equal(queue_length(x->f), 2);
}

/* Its delay counts: it goes after what could start before it. */
static void test_delay_order(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "c", (struct code_spec){0});
	struct submit later = {.priority = -1, .delay_s = 1};
	struct task_record rec;
	struct err e = {0};
	const char *ids[4];
	bool changed;

	assert_int_equal(code_pause(x->f, c, true, &changed, &e), 0);
	ids[1] = submit(x, c, later);
	ids[0] = submit(x, c, plain);
	settle(x);
	rec = record(x, ids[1]);
	while (util_realtime_ns() < rec.not_before_ns)
		(void)poll(NULL, 0, 50);
	ids[2] = submit(x, c, plain);
	ids[3] = submit(x, c, later);
	settle(x);
	queue_tick(x->f, util_monotonic_ns());
	/* As well in the order in which a new front reads them. */
	restart(x);
	assert_int_equal(code_pause(x->f, code_by_name(x->a, "c"), false, &changed, &e), 0);
	for (int i = 0; i < 3; i++) {
		assert_string_equal(started(x), ids[i]);
		finish(x, ids[i], VERDICT_OK);
	}
	assert_string_equal(started(x), "");
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
	assert_int_equal(code_cancel_all(x->f, codes[1], &n, &e), 0);
	assert_int_equal(n, 72);
	assert_int_equal(codes[1]->lane.n_queued, 0);
	assert_int_equal(codes[0]->lane.n_queued, 48);
	assert_int_equal(queue_length(x->f), 48);
	assert_int_equal(code_cancel_all(x->f, codes[0], &n, &e), 0);
	assert_int_equal(n, 48);
	assert_int_equal(queue_length(x->f), 0);
}

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
	assert_int_equal(x->f->n_tasks, 0);
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

static void test_cancel(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "c", (struct code_spec){0});
	const char *one = submit(x, c, plain), *two = submit(x, c, plain);
	const char *waits = submit(x, c, plain), *last = submit(x, c, plain);
	struct log_end log = {0};
	struct err e = {0};
	bool changed;
	uint64_t n;

	(void)started(x);
	(void)started(x);
	assert_int_equal(queue_cancel(x->f, x->b, waits, &changed, &e), -ENOENT);
	assert_int_equal(queue_cancel(x->f, x->a, waits, &changed, &e), 0);
	assert_true(changed);
	memcpy(log.id, waits, sizeof(log.id));
	flow_log_end(x->f, &log);
	assert_int_equal(record(x, waits).state, TASK_CANCELLED);
	assert_int_equal(queue_cancel(x->f, x->a, waits, &changed, &e), 0);
	assert_false(changed);
	assert_int_equal(code_cancel_all(x->f, c, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(record(x, last).state, TASK_CANCELLED);
	assert_int_equal(queue_length(x->f), 0);
	assert_int_equal(x->a->n_queued, 0);
	finish(x, one, VERDICT_OK);
	finish(x, two, VERDICT_OK);
	assert_string_equal(started(x), "");
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
	assert_int_equal(code_cancel_all(x->f, c, &n, &e), 0);
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
	assert_int_equal(x->f->n_tasks, 0);
}

static void test_again(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "c", (struct code_spec){0});
	struct submit s = {.payload = "{}", .payload_len = 2, .priority = 0};
	const char *id = submit(x, c, s);
	char again[TASK_ID_LEN + 1];
	struct err e = {0};

	assert_int_equal(queue_retry(x->f, x->a, id, 0, again, on_done, x, &e), -EEXIST);
	assert_string_equal(started(x), id);
	finish(x, id, VERDICT_EXIT);
	assert_int_equal(record(x, id).dead_letter, 1);
	assert_int_equal(queue_retry(x->f, x->a, id, 0, again, on_done, x, &e), 0);
	assert_string_equal(started(x), again);
	assert_string_equal(record(x, id).retry, again);
	assert_int_equal(record(x, id).dead_letter, 0);
	assert_string_equal(record(x, again).original, id);
	assert_int_equal(record(x, again).attempt, 2);
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
	assert_int_equal(x->f->n_tasks, 0);
}

/* A cancel that was acknowledged holds, though the front dies before the task's log has ended. */
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
	assert_int_equal(queue_cancel(x->f, x->a, id, &changed, &e), 0);
	settle(x);
	restart(x);
	assert_int_equal(code_pause(x->f, code_by_name(x->a, "c"), false, &changed, &e), 0);
	assert_string_equal(started(x), "");
	memcpy(log.id, id, sizeof(log.id));
	flow_log_end(x->f, &log);
	assert_int_equal(record(x, id).state, TASK_CANCELLED);
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

/* In the order in which they came, whatever was in memory. */
static void test_restart(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "c", (struct code_spec){0});
	char ids[6][TASK_ID_LEN + 1];

	for (int i = 0; i < 6; i++)
		strcpy(ids[i], submit(x, c, plain));
	settle(x);
	restart(x);
	/* Two had been asked of a monitor that knows nothing of them: they go to their places. */
	for (int i = 0; i < 6; i++) {
		assert_string_equal(started(x), ids[i]);
		if (i > 0)
			finish(x, ids[i - 1], VERDICT_OK);
	}
	finish(x, ids[5], VERDICT_OK);
	assert_int_equal(queue_length(x->f), 0);
}

static void test_quotas(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "c", (struct code_spec){0});
	struct submit s = plain;
	const char *first, *second;
	char id[TASK_ID_LEN + 1];
	struct err e = {0};

	/* The policy's default is 64 MiB. */
	x->a->quota = (struct quota){.memory = 100 << 20, .queued = 2};
	first = submit(x, c, plain);
	second = submit(x, c, plain);
	assert_string_equal(started(x), first);
	assert_string_equal(started(x), "");
	(void)submit(x, c, plain);
	assert_int_equal(queue_submit(x->f, c, &s, id, on_done, x, &e), -E2BIG);
	assert_int_equal(e.code, ERR_LIMIT);
	finish(x, first, VERDICT_OK);
	assert_string_equal(started(x), second);
	x->a->quota = (struct quota){.running = 1};
	assert_string_equal(started(x), "");
	finish(x, second, VERDICT_OK);
	assert_string_not_equal(started(x), "");
	/* More than can ever be: it ends, and says why. */
	x->a->quota = (struct quota){.memory = 1 << 20};
	finish(x, submit(x, c, plain), VERDICT_OK);
}

static void test_codes_max(void **state)
{
	struct fixture *x = *state;
	struct code_spec spec = {.name = "more", .command = "true", .image = "python"};
	const struct code *c = code(x, x->a, "c", (struct code_spec){0});
	struct code *put = NULL;
	struct err e = {0};

	x->a->n_codes = CODES_MAX;
	assert_true(code_put(x->f, x->a, &spec, &put, &e) < 0);
	assert_int_equal(e.code, ERR_LIMIT);
	/* A revision more is none. */
	assert_ptr_equal(code(x, x->a, "c", (struct code_spec){0}), c);
	assert_int_equal(c->revision, 2);
	x->a->n_codes = 1;
}

/* A project's payloads that wait are bounded by their bytes, whatever their number. */
static void test_bytes(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "c", (struct code_spec){0});
	struct submit s = {.payload = "12345", .payload_len = 5, .priority = -1};
	const char *first = submit(x, c, s);
	char id[TASK_ID_LEN + 1];
	struct err e = {0};

	(void)submit(x, c, s);
	(void)submit(x, c, s);
	assert_string_equal(started(x), first);
	assert_int_equal(x->a->queued_bytes, 5);
	x->a->queued_bytes += 1ULL << 30;
	assert_int_equal(queue_submit(x->f, c, &s, id, on_done, x, &e), -E2BIG);
	assert_int_equal(e.code, ERR_LIMIT);
	x->a->queued_bytes -= 1ULL << 30;
	finish(x, first, VERDICT_OK);
	assert_int_equal(x->a->queued_bytes, 0);
}

static void test_bounds(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "c", (struct code_spec){0});
	static char big[QUEUE_PAYLOAD_MAX + 1];
	const struct {
		struct submit s;
		const char *field;
	} bad[] = {
		{{.payload = big, .payload_len = sizeof(big), .priority = -1}, "payload: "},
		{{.payload = "a\0b", .payload_len = 3, .priority = -1}, "payload: "},
		{{.priority = 3}, "priority: "},
		{{.priority = -2}, "priority: "},
		{{.priority = 0, .timeout_s = QUEUE_TIMEOUT_MAX + 1}, "timeout: "},
		{{.priority = 0, .delay_s = QUEUE_DELAY_MAX + 1}, "delay: "},
	};

	memset(big, 'x', sizeof(big));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char id[TASK_ID_LEN + 1];
		struct err e = {0};

		assert_true(queue_submit(x->f, c, &bad[i].s, id, on_done, x, &e) < 0);
		assert_int_equal(e.code, ERR_INPUT);
		assert_memory_equal(e.msg, bad[i].field, strlen(bad[i].field));
	}
	settle(x);
	assert_int_equal(x->n_done, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_life, setup, teardown),
		cmocka_unit_test_setup_teardown(test_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_priorities, setup, teardown),
		cmocka_unit_test_setup_teardown(test_codes_in_the_way, setup, teardown),
		cmocka_unit_test_setup_teardown(test_delay, setup, teardown),
		cmocka_unit_test_setup_teardown(test_change_when_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_delay_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_retries, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_retry, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel_all_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_quotas, setup, teardown),
		cmocka_unit_test_setup_teardown(test_codes_max, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dispatch_not_written, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_retry_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_again_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
