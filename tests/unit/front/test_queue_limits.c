// SPDX-License-Identifier: Apache-2.0
/* Values at a bound are accepted, and values beyond it are not; what an attempt hands on to the
 * next; what a restart finds. */
#include "tests/unit/queue_rig.h"

#include "supervisor/front/store/priv.h"
#include "supervisor/front/store/query.h"

static int ask(struct fixture *x, struct worker *c, struct submit s, struct err *e)
{
	char id[TASK_ID_LEN + 1];

	*e = (struct err){0};
	return queue(x, c, &s, id, on_done, x, e);
}

static char *text_of(size_t len)
{
	static char text[QUEUE_PAYLOAD_MAX + 2];

	memset(text, 'x', len);
	text[len] = '\0';
	return text;
}

static void test_submit(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	struct err e;

	for (int i = 0; i < 2; i++) {
		const struct submit s[] = {
			{.payload = text_of(QUEUE_PAYLOAD_MAX + i),
			 .payload_len = QUEUE_PAYLOAD_MAX + i},
			{.priority = 2 + i},
			{.timeout_s = QUEUE_TIMEOUT_MAX + i},
			{.delay_s = QUEUE_DELAY_MAX + i},
			{.label = text_of(QUEUE_LABEL_MAX + i)},
			{.cluster = text_of(64 + i)},
		};

		/* The texts share one buffer, so each is written into it right before it is
		 * used. */
		(void)text_of(QUEUE_PAYLOAD_MAX + i);
		for (size_t k = 0; k < 4; k++)
			assert_int_equal(ask(x, c, s[k], &e) == 0, i == 0);
		(void)text_of(QUEUE_LABEL_MAX + i);
		assert_int_equal(ask(x, c, s[4], &e) == 0, i == 0);
		(void)text_of(64 + i);
		assert_int_equal(ask(x, c, s[5], &e) == 0, i == 0);
	}
	assert_int_equal(x->f->run->tasks.n, 6);
}

static void test_queued_bytes(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	const struct submit s = {.payload = "12345", .payload_len = 5, .delay_s = 60};
	struct err e;

	x->a->run->queued_bytes = (1ULL << 30) - 4;
	assert_int_equal(ask(x, c, s, &e), -E2BIG);
	x->a->run->queued_bytes = (1ULL << 30) - 5;
	assert_int_equal(ask(x, c, s, &e), 0);
	x->a->run->queued_bytes = 5;
}

/* The policy's default is 64 MiB for each. */
static void test_memory(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	const char *one, *two;

	x->f->cfg.running_max = 3;
	x->a->quota.memory = 128 << 20;
	one = submit(x, c, plain);
	two = submit(x, c, plain);
	(void)submit(x, c, plain);
	assert_string_equal(started(x), one);
	assert_string_equal(started(x), two);
	assert_string_equal(started(x), "");
	assert_int_equal(x->a->run->running_memory, 128 << 20);
}

/* What had no room in the old quota starts when the new one has it, without a task's end. */
static void test_larger_quota(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	struct quota quota = {.memory = 64 << 20};
	const char *one, *two, *three;
	struct err e = {0};

	x->f->cfg.running_max = 3;
	x->a->quota = quota;
	one = submit(x, c, plain);
	two = submit(x, c, plain);
	three = submit(x, c, plain);
	assert_string_equal(started(x), one);
	assert_string_equal(started(x), "");
	quota = (struct quota){.memory = 512 << 20, .running = 2};
	assert_int_equal(committed(x->f, project_set_quota(x->f, x->a, &quota, &e), &e), 0);
	assert_string_equal(started(x), two);
	assert_string_equal(started(x), "");
	quota.running = 3;
	assert_int_equal(committed(x->f, project_set_quota(x->f, x->a, &quota, &e), &e), 0);
	assert_string_equal(started(x), three);
}

/* No quota is set. Two tasks with the policy's default have half of the node's processes. */
static void test_pids(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0}), *other;
	const char *one, *two, *three, *others;

	x->f->cfg.running_max = 4;
	one = submit(x, c, plain);
	assert_string_equal(started(x), one);
	x->f->cfg.node_pids = 4 * x->a->run->running_pids;
	two = submit(x, c, plain);
	three = submit(x, c, plain);
	assert_string_equal(started(x), two);
	assert_string_equal(started(x), "");
	other = worker(x, x->b, "c", (struct worker_spec){0});
	others = submit(x, other, plain);
	assert_string_equal(started(x), others);
	finish(x, one, VERDICT_OK);
	assert_string_equal(started(x), three);
	finish(x, two, VERDICT_OK);
	finish(x, three, VERDICT_OK);
	assert_int_equal(x->a->run->running_pids, 0);
	/* A task that alone has more than half of them runs alone. */
	x->f->cfg.node_pids = 2;
	one = submit(x, c, plain);
	(void)submit(x, c, plain);
	assert_string_equal(started(x), one);
	assert_string_equal(started(x), "");
}

/* A task that needs exactly the quota's memory runs, one at a time; a task that needs more can
 * never run. */
static void test_memory_of_one(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	const char *id;

	x->a->quota.memory = 64 << 20;
	id = submit(x, c, plain);
	assert_string_equal(started(x), id);
	finish(x, id, VERDICT_OK);
	x->a->quota.memory = (64 << 20) - 1;
	id = submit(x, c, plain);
	assert_string_equal(started(x), "");
	finish(x, id, VERDICT_FAILED);
	assert_int_equal(record(x, id).state, TASK_ERROR);
}

static int put(struct fixture *x, struct worker_spec spec, struct err *e)
{
	strcpy(spec.name, "c");
	strcpy(spec.image, "python");
	spec.config = spec.config ? strdup(spec.config) : NULL;
	return put_worker(x, x->a, &spec, e) ? 0 : -EIO;
}

static void test_code(void **state)
{
	struct fixture *x = *state;
	char *config = malloc(WORKER_CONFIG_MAX + 2);
	struct err e = {0};

	for (int i = 0; i < 2; i++) {
		const struct worker_spec specs[] = {
			{.command = "true", .retries = WORKER_RETRIES_MAX + i},
			{.command = "true", .retries_delay_s = WORKER_RETRIES_DELAY_MAX + i},
			{.command = "true", .max_concurrency = WORKER_CONCURRENCY_MAX + i},
			{.command = "true", .default_priority = LANE_PRIORITIES - 1 + i},
			{.command = "true", .config = config},
		};

		memset(config, 'x', WORKER_CONFIG_MAX + i);
		config[WORKER_CONFIG_MAX + i] = '\0';
		for (size_t k = 0; k < ARRAY_SIZE(specs); k++)
			assert_int_equal(put(x, specs[k], &e) == 0, i == 0);
	}
	assert_true(put(x, (struct worker_spec){.has_package = true}, &e) < 0);
	assert_memory_equal(e.msg, "file_name: ", 11);
	free(config);
}

static int plan(struct fixture *x, struct schedule_spec spec)
{
	struct schedule *s = NULL;
	struct err e = {0};
	int r;

	strcpy(spec.code_name, "c");
	spec.start_ns = util_realtime_ns() + 3600 * SEC;
	spec.payload = spec.payload ? strdup(spec.payload) : NULL;
	r = schedule_make(x->f, x->a, &spec, &s, &e);
	schedule_spec_clear(&spec);
	if (r == 0)
		schedule_free(s);
	return r;
}

static void test_schedule(void **state)
{
	struct fixture *x = *state;

	(void)worker(x, x->a, "c", (struct worker_spec){0});
	for (int i = 0; i < 2; i++) {
		const struct schedule_spec specs[] = {
			{.payload = text_of(QUEUE_PAYLOAD_MAX + i)},
			{.priority = LANE_PRIORITIES - 1 + i},
			{.priority = -1 - i},
			{.timeout_s = QUEUE_TIMEOUT_MAX + i},
			{.delay_s = QUEUE_DELAY_MAX + i},
			{.run_every_s = SCHEDULE_EVERY_MAX + i},
		};

		for (size_t k = 0; k < ARRAY_SIZE(specs); k++)
			assert_int_equal(plan(x, specs[k]) == 0, i == 0);
	}
}

/* A task that was lost is not at fault: the next attempt costs none of its retries, and starts
 * without a delay. */
static void test_what_retries_inherit(void **state)
{
	struct fixture *x = *state;
	struct worker *c =
		worker(x, x->a, "c", (struct worker_spec){.retries = 2, .retries_delay_s = 100});
	const char *id =
		submit(x, c, (struct submit){.cluster = "k", .timeout_s = 7, .schedule = "5c"});
	char second[TASK_ID_LEN + 1];
	struct task_record rec;

	assert_string_equal(started(x), id);
	finish(x, id, VERDICT_LOST);
	rec = record(x, record(x, id).retry);
	strcpy(second, rec.id);
	assert_int_equal(rec.retries_left, 2);
	assert_int_equal(rec.not_before_ns, 0);
	assert_int_equal(rec.timeout_asked_s, 7);
	assert_string_equal(rec.cluster, "k");
	assert_string_equal(rec.schedule, "5c");
	assert_string_equal(started(x), second);
	finish(x, second, VERDICT_EXIT);
	rec = record(x, record(x, second).retry);
	assert_int_equal(rec.retries_left, 1);
	assert_true(rec.not_before_ns >= rec.created_ns + 100 * SEC);
	assert_string_equal(rec.original, id);
	assert_int_equal(rec.attempt, 3);
}

/* A task that runs continues when its worker is removed, and is not tried again. */
static void test_code_goes(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){.retries = 3});
	const char *id = submit(x, c, plain);
	struct err e = {0};

	assert_string_equal(started(x), id);
	assert_int_equal(remove_code(x, c, &e), 0);
	assert_null(registry_find(x->f, id)->worker);
	finish(x, id, VERDICT_EXIT);
	assert_int_equal(record(x, id).dead_letter, 1);
	assert_string_equal(record(x, id).retry, "");
	assert_int_equal(queue_length(x->f), 0);
}

/* The worker was removed, and after a power cut the store has a waiting task of it again: the task
 * ends. */
static void test_code_is_no_more(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	struct err e = {0};
	const char *id;

	c->paused = true;
	id = submit(x, c, plain);
	settle(x);
	assert_int_equal(store_sql(x->f->store, "DELETE FROM codes", "", &e), 0);
	restart(x);
	assert_string_equal(started(x), "");
	assert_int_equal(queue_length(x->f), 0);
	assert_string_equal(registry_find(x->f, id)->rec.error, "its worker \"c\" was removed");
	finish(x, id, VERDICT_FAILED);
	assert_int_equal(record(x, id).state, TASK_ERROR);
}

/* The monitor knows the task, and has not started it yet. */
static void test_known_not_started(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	const char *id = submit(x, c, plain);
	struct mon_running m = {.mode = START_COLD};

	assert_string_equal(started(x), id);
	x->unready = true;
	restart(x);
	strcpy(m.id, id);
	recover_running(x->f, &m);
	recover_ready(x->f);
	assert_int_equal(registry_find(x->f, id)->rec.state, TASK_PREPARING);
	assert_string_equal(started(x), ""); /* it is not asked for again */
	assert_int_equal(x->a->run->n_running, 1);
	m.started = 1;
	m.started_realtime_ns = util_realtime_ns();
	recover_running(x->f, &m);
	assert_int_equal(registry_find(x->f, id)->rec.state, TASK_RUNNING);
	finish(x, id, VERDICT_OK);
	assert_int_equal(record(x, id).state, TASK_COMPLETE);
}

/* The monitor knows of a task that the store has as waiting: the monitor was asked to start it, and
 * the record of that was lost. */
static void test_known_not_written(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	struct task *t;
	const char *id;

	c->paused = true;
	id = submit(x, c, plain);
	settle(x);
	x->unready = true;
	restart(x);
	t = flow_known(x->f, id);
	assert_non_null(t);
	recover_ready(x->f);
	assert_string_equal(started(x), "");
	assert_int_equal(queue_length(x->f), 0);
	assert_int_equal(record(x, id).state, TASK_PREPARING);
	assert_int_equal(record(x, id).revision, 1);
	/* The task is counted, with the policy's 64 MiB. */
	assert_int_equal(x->a->run->n_running, 1);
	assert_int_equal(x->a->run->running_memory, 64 << 20);
	finish(x, id, VERDICT_OK);
	assert_int_equal(x->a->run->n_running, 0);
	assert_int_equal(x->a->run->running_memory, 0);
}

int main(void)
{
#define QUEUE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		QUEUE(test_submit),
		QUEUE(test_queued_bytes),
		QUEUE(test_memory),
		WITH_QUEUE(test_larger_quota),
		QUEUE(test_pids),
		QUEUE(test_memory_of_one),
		QUEUE(test_code),
		QUEUE(test_what_retries_inherit),
		QUEUE(test_code_goes),
		QUEUE(test_code_is_no_more),
		QUEUE(test_known_not_started),
		QUEUE(test_schedule),
		QUEUE(test_known_not_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
