// SPDX-License-Identifier: Apache-2.0
/* The queue with a real store: which task is next, which tasks wait, and how many may. */
#include "tests/unit/queue_rig.h"

#include "supervisor/front/front.h"
#include "supervisor/front/serve/serve.h"

static void test_life(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "hello", (struct worker_spec){0});
	struct submit s = {.payload = "{\"n\": 1}", .payload_len = 8, .priority = 2, .label = "l"};
	const char *id = submit(x, c, s);
	struct mon_started begins = {.mode = START_COLD};
	struct queue_counts counts;
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
	assert_int_equal(x->a->run->n_running, 1);
	queue_counts(x->f, &counts);
	assert_int_equal(counts.preparing, 1);
	assert_int_equal(counts.running, 0);
	memcpy(begins.id, id, sizeof(begins.id));
	flow_started(x->f, &begins);
	queue_counts(x->f, &counts);
	assert_int_equal(counts.preparing, 0);
	assert_int_equal(counts.running, 1);
	finish(x, id, VERDICT_OK);
	assert_int_equal(record(x, id).state, TASK_COMPLETE);
	assert_int_equal(x->a->run->n_running, 0);
	assert_int_equal(x->a->run->running_memory, 0);
	assert_int_equal(x->f->run->tasks.n, 0);
}

static void test_turns(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "many", (struct worker_spec){0});
	struct worker *d = worker(x, x->b, "one", (struct worker_spec){0});
	const char *first = submit(x, c, plain), *second = submit(x, c, plain), *theirs;

	for (int i = 0; i < 20; i++)
		(void)submit(x, c, plain);
	assert_string_equal(started(x), first);
	assert_string_equal(started(x), second);
	assert_string_equal(started(x), "");
	/* Of a waiting task only its place in the queue is in memory. */
	assert_int_equal(x->f->run->tasks.n, 2);
	assert_int_equal(queue_length(x->f), 20);
	/* A task of another project does not wait for those: it gets the next slot. */
	theirs = submit(x, d, plain);
	finish(x, first, VERDICT_OK);
	assert_string_equal(started(x), theirs);
	finish(x, theirs, VERDICT_OK);
	assert_string_not_equal(started(x), "");
}

static void test_priorities(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	struct submit low = plain, high = {.priority = 2};
	const char *running[2] = {submit(x, c, low), submit(x, c, low)};
	const char *one, *two, *three;

	(void)started(x);
	(void)started(x);
	one = submit(x, c, low);
	two = submit(x, c, high);
	three = submit(x, c, high);
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
	struct worker *paused = worker(x, x->a, "paused", (struct worker_spec){0});
	struct worker *narrow =
		worker(x, x->a, "narrow", (struct worker_spec){.max_concurrency = 1});
	struct worker *free_one = worker(x, x->a, "free", (struct worker_spec){0});
	const char *first, *last, *behind, *held;
	struct err e = {0};

	assert_int_equal(committed(x->f, worker_pause(x->f, paused, true, &e), &e), 0);
	held = submit(x, paused, plain);
	first = submit(x, narrow, plain);
	behind = submit(x, narrow, plain);
	last = submit(x, free_one, plain);
	assert_string_equal(started(x), first);
	assert_string_equal(started(x), last);
	assert_string_equal(started(x), "");
	finish(x, last, VERDICT_OK);
	assert_string_equal(started(x), ""); /* a slot is free, and no waiting task may have it */
	finish(x, first, VERDICT_OK);
	assert_string_equal(started(x), behind);
	assert_int_equal(committed(x->f, worker_pause(x->f, paused, false, &e), &e), 0);
	assert_string_equal(started(x), held);
}

static void test_delay(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	struct submit later = {.priority = -1, .delay_s = 1}, far = {.priority = 2, .delay_s = 600};
	const char *soon = submit(x, c, later);
	struct queue_counts counts;

	(void)submit(x, c, far);
	assert_string_equal(started(x), "");
	queue_counts(x->f, &counts);
	assert_int_equal(counts.delayed, 2);
	assert_int_equal(counts.queued, 0);
	/* This is so after a restart too. */
	restart(x);
	assert_string_equal(started(x), "");
	while (x->f->run->n_running == 0)
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
		assert_int_equal(cancel(x, x->a, x->other, &changed, &e), 0);
}

/* A callback that is told that one task is durable changes another task, which was written in the
 * same transaction and may not have been told yet. */
static void test_change_when_told(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	char ids[3][TASK_ID_LEN + 1];
	struct err e = {0};

	assert_int_equal(committed(x->f, worker_pause(x->f, c, true, &e), &e), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(queue(x, c, &plain, ids[i], cancel_other, x, &e), 0);
	strcpy(x->other, ids[1]);
	settle(x);
	restart(x);
	assert_true(record(x, ids[1]).cancel_ns > 0);
	assert_true(record(x, ids[0]).cancel_ns == 0);
	assert_int_equal(queue_length(x->f), 2);
}

/* A delay counts: the task goes behind those that could start before it. */
static void test_delay_order(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	struct submit later = {.priority = -1, .delay_s = 1};
	struct task_record rec;
	struct err e = {0};
	struct queue_counts counts;
	const char *ids[4];

	assert_int_equal(committed(x->f, worker_pause(x->f, c, true, &e), &e), 0);
	ids[1] = submit(x, c, later);
	ids[0] = submit(x, c, plain);
	settle(x);
	rec = record(x, ids[1]);
	while (util_realtime_ns() < rec.not_before_ns)
		(void)poll(NULL, 0, 50);
	ids[2] = submit(x, c, plain);
	ids[3] = submit(x, c, later);
	settle(x);
	for (queue_counts(x->f, &counts); counts.delayed > 1; queue_counts(x->f, &counts))
		assert_true(sd_event_run(x->f->event, UINT64_MAX) >= 0);
	/* A new front reads the tasks in the same order. */
	restart(x);
	assert_int_equal(
		committed(x->f, worker_pause(x->f, worker_by_name(x->a, "c"), false, &e), &e), 0);
	for (int i = 0; i < 3; i++) {
		assert_string_equal(started(x), ids[i]);
		finish(x, ids[i], VERDICT_OK);
	}
	assert_string_equal(started(x), "");
}

/* After a restart tasks start in the order in which they were queued, whichever of them were in
 * memory. */
static void test_restart(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	char ids[6][TASK_ID_LEN + 1];

	for (int i = 0; i < 6; i++)
		strcpy(ids[i], submit(x, c, plain));
	settle(x);
	restart(x);
	/* Two tasks had been sent to a monitor that does not know them: they go back to their
	 * places. */
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
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
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
	assert_int_equal(queue(x, c, &s, id, on_done, x, &e), -E2BIG);
	assert_int_equal(e.code, ERR_LIMIT);
	finish(x, first, VERDICT_OK);
	assert_string_equal(started(x), second);
	x->a->quota = (struct quota){.running = 1};
	assert_string_equal(started(x), "");
	finish(x, second, VERDICT_OK);
	assert_string_not_equal(started(x), "");
	/* A task that needs more memory than its project may ever have ends with an error that says
	 * so. */
	x->a->quota = (struct quota){.memory = 1 << 20};
	finish(x, submit(x, c, plain), VERDICT_OK);
}

static void test_codes_max(void **state)
{
	struct fixture *x = *state;
	struct worker_spec spec = {.name = "more", .command = "true", .image = "python"};
	const struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	struct err e = {0};

	x->a->n_workers = CODES_MAX;
	assert_null(put_worker(x, x->a, &spec, &e));
	assert_int_equal(e.code, ERR_LIMIT);
	/* Another revision of a worker does not count as another worker. */
	assert_ptr_equal(worker(x, x->a, "c", (struct worker_spec){0}), c);
	assert_int_equal(c->revision, 2);
	x->a->n_workers = 1;
}

/* The payloads of a project's waiting tasks are bounded by their bytes, whatever their number
 * is. */
static void test_bytes(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	struct submit s = {.payload = "12345", .payload_len = 5, .priority = -1};
	const char *first = submit(x, c, s);
	char id[TASK_ID_LEN + 1];
	struct err e = {0};

	(void)submit(x, c, s);
	(void)submit(x, c, s);
	assert_string_equal(started(x), first);
	assert_int_equal(x->a->run->queued_bytes, 5);
	x->a->run->queued_bytes += 1ULL << 30;
	assert_int_equal(queue(x, c, &s, id, on_done, x, &e), -E2BIG);
	assert_int_equal(e.code, ERR_LIMIT);
	x->a->run->queued_bytes -= 1ULL << 30;
	finish(x, first, VERDICT_OK);
	assert_int_equal(x->a->run->queued_bytes, 0);
}

static void test_bounds(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
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

		assert_true(queue(x, c, &bad[i].s, id, on_done, x, &e) < 0);
		assert_int_equal(e.code, ERR_INPUT);
		assert_memory_equal(e.msg, bad[i].field, strlen(bad[i].field));
	}
	settle(x);
	assert_int_equal(x->n_done, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_QUEUE(test_life),	      WITH_QUEUE(test_turns),
		WITH_QUEUE(test_priorities),  WITH_QUEUE(test_codes_in_the_way),
		WITH_QUEUE(test_delay),	      WITH_QUEUE(test_change_when_told),
		WITH_QUEUE(test_delay_order), WITH_QUEUE(test_restart),
		WITH_QUEUE(test_quotas),      WITH_QUEUE(test_codes_max),
		WITH_QUEUE(test_bytes),	      WITH_QUEUE(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
