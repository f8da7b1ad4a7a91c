// SPDX-License-Identifier: Apache-2.0
/* What becomes of schedules: made or refused, changed, cancelled, without their worker. */
#include "tests/unit/schedule_rig.h"

static void test_refused(void **state)
{
	const uint64_t now = util_realtime_ns();
	const struct {
		struct schedule_spec spec;
		const char *error;
	} cases[] = {
		{{.code_name = ""}, "code_name: must be given"},
		{{.code_name = "none"}, "code_name: there is no worker \"none\": upload it first"},
		{{.code_name = "c", .priority = 3}, "priority: must be from 0 to 2"},
		{{.code_name = "c", .priority = -2}, "priority: must be from 0 to 2"},
		{{.code_name = "c", .timeout_s = 3601}, "timeout: must be from 0 to 3600 seconds"},
		{{.code_name = "c", .delay_s = 604801}, "delay: must be from 0 to 604800 seconds"},
		{{.code_name = "c", .run_every_s = 315360001},
		 "run_every: at most 315360000 seconds"},
		{{.code_name = "c", .run_every_s = 60, .cron = "* * * * *"},
		 "cron: not together with run_every"},
		{{.code_name = "c", .zone = "Europe/Berlin"},
		 "timezone: is of cron, which is not given"},
		{{.code_name = "c", .cron = "@daily", .zone = "Mars"},
		 "timezone: there is no zone \"Mars\" in /usr/share/zoneinfo; names are like "
		 "Europe/Berlin"},
		{{.code_name = "c", .cron = "0 0 30 2 *"},
		 "cron: there is no such time in the next 8 years"},
		{{.code_name = "c", .cron = "0 0 29 2 *", .end_ns = now + 60 * SEC},
		 "cron: there is no such time before end_at"},
		{{.code_name = "c", .end_ns = now - SEC}, "end_at: has passed"},
		{{.code_name = "c", .start_ns = now + 60 * SEC, .end_ns = now + 30 * SEC},
		 "end_at: is before start_at"},
	};
	struct fixture *x = *state;

	(void)worker(x, x->a, "c", (struct worker_spec){0});
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct schedule_spec spec = cases[i].spec;
		struct err e = {0};

		spec.payload = strdup("kept");
		assert_null(make_one(x, &spec, &e));
		assert_string_equal(e.msg, cases[i].error);
		assert_string_equal(spec.payload, "kept");
		schedule_spec_clear(&spec);
	}
	assert_null(x->a->schedules->first);
}

static int cancel_it(struct fixture *x, struct schedule *s, struct err *e)
{
	return committed(x->f, schedule_cancel(x->f, s, e), e);
}

static void test_room(void **state)
{
	struct fixture *x = *state;
	struct schedule_spec spec = {.code_name = "c", .run_every_s = 3600}, one_more;
	struct schedule *s;
	struct err e = {0};

	(void)worker(x, x->a, "c", (struct worker_spec){0});
	x->a->quota.schedules = 2;
	spec.start_ns = util_realtime_ns() + 3600 * SEC;
	(void)make(x, spec);
	(void)make(x, spec);
	one_more = spec;
	assert_null(make_one(x, &one_more, &e));
	assert_int_equal(e.code, ERR_LIMIT);
	assert_string_equal(e.msg, "the quota \"schedules\" of this project is 2, and 2 have not "
				   "ended: cancel some");
	assert_int_equal(cancel_it(x, x->a->schedules->first, &e), 0);
	(void)make(x, spec);
	/* The newest that have ended are kept. */
	x->a->quota.schedules = 0;
	for (unsigned i = 0; i < SCHEDULES_ENDED_MAX + 10; i++)
		assert_int_equal(cancel_it(x, make(x, spec), &e), 0);
	(void)make(x, spec);
	settle(x);
	restart(x);
	for (unsigned i = 0; i < 3 + SCHEDULES_ENDED_MAX; i++) {
		s = i ? s->next : x->a->schedules->first;
		assert_non_null(s);
	}
	assert_null(s->next);
	assert_int_equal(x->a->schedules->n, 3);
}

static void test_update(void **state)
{
	struct fixture *x = *state;
	struct schedule_spec spec = {.code_name = "c", .run_times = 2};
	struct err e = {0};
	struct schedule *s;
	uint64_t now;

	(void)worker(x, x->a, "c", (struct worker_spec){0});
	s = make(x, (struct schedule_spec){.payload = strdup("old")});
	wait_tasks(x, 1);
	assert_int_equal(s->state, SCHEDULE_COMPLETE);
	/* Goes on, counts on. */
	now = util_realtime_ns();
	spec.payload = strdup("new");
	spec.run_every_s = 3600;
	assert_int_equal(committed(x->f, schedule_update(x->f, s, &spec, &e), &e), 0);
	assert_null(spec.payload);
	assert_int_equal(s->state, SCHEDULE_SCHEDULED);
	assert_int_equal(x->a->schedules->n, 1);
	assert_int_equal(s->run_count, 1);
	assert_string_equal(s->spec.payload, "new");
	assert_true(s->next_ns > now && s->next_ns <= now + 3600 * SEC);
	/* What is wrong changes nothing. */
	spec = (struct schedule_spec){.code_name = "c", .cron = "61 * * * *"};
	assert_null(schedule_update(x->f, s, &spec, &e));
	assert_string_equal(e.msg, "cron: minute: character 1: is more than 59");
	assert_int_equal(s->spec.run_every_s, 3600);
	/* As often as it may, it has run. */
	spec = (struct schedule_spec){.code_name = "c", .run_times = 1, .run_every_s = 60};
	assert_int_equal(committed(x->f, schedule_update(x->f, s, &spec, &e), &e), 0);
	assert_int_equal(s->state, SCHEDULE_COMPLETE);
	assert_int_equal(x->a->schedules->n, 0);
	assert_int_equal(tasks(x), 1);
}

static void test_cancel(void **state)
{
	struct fixture *x = *state;
	struct schedule_spec spec = {.code_name = "c"};
	struct err e = {0};
	struct schedule *s;

	(void)worker(x, x->a, "c", (struct worker_spec){0});
	s = make(x, (struct schedule_spec){.run_every_s = 1});
	assert_int_equal(cancel_it(x, s, &e), 0);
	assert_int_equal(s->state, SCHEDULE_CANCELLED);
	assert_int_equal(s->next_ns, 0);
	assert_int_equal(x->a->schedules->n, 0);
	assert_null(schedule_update(x->f, s, &spec, &e));
	assert_int_equal(e.code, ERR_CONFLICT);
	restart(x);
	s = x->a->schedules->first;
	assert_int_equal(s->state, SCHEDULE_CANCELLED);
	assert_string_equal(schedule_state_name(s->state), "cancelled");
	assert_int_equal(tasks(x), 0);
}

static void cancel_then(void *arg, const char *id, const struct err *error)
{
	struct schedule *s = arg;
	struct err e = {0};

	(void)id;
	assert_null(error);
	assert_non_null(schedule_cancel(s->front, s, &e));
}

/* While its task is on its way to the disk: the change waits for that. */
static void test_cancel_meanwhile(void **state)
{
	struct fixture *x = *state;
	struct err e = {0};
	struct schedule *s;

	(void)worker(x, x->a, "c", (struct worker_spec){0});
	s = make(x, (struct schedule_spec){.run_every_s = 600});
	while (!s->run)
		assert_true(sd_event_run(x->f->event, UINT64_MAX) >= 0);
	assert_null(schedule_cancel(x->f, s, &e));
	assert_int_equal(e.code, ERR_UNAVAILABLE);
	assert_int_equal(s->state, SCHEDULE_SCHEDULED);
	assert_true(schedule_wait(s, told_new(x, "", cancel_then, s)));
	settle(x);
	assert_false(schedule_wait(s, NULL));
	assert_int_equal(s->state, SCHEDULE_CANCELLED);
	assert_int_equal(s->run_count, 1);
	assert_int_equal(tasks(x), 1);
	restart(x);
	assert_int_equal(x->a->schedules->first->state, SCHEDULE_CANCELLED);
	assert_int_equal(x->a->schedules->first->run_count, 1);
}

static void test_code_goes(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	struct schedule *s, *other;
	struct err e = {0};

	(void)worker(x, x->a, "other", (struct worker_spec){0});
	s = make(x, (struct schedule_spec){.start_ns = util_realtime_ns() + 3600 * SEC});
	other = make(x, (struct schedule_spec){.code_name = "other",
					       .start_ns = util_realtime_ns() + 3600 * SEC});
	assert_int_equal(remove_code(x, c, &e), 0);
	assert_int_equal(s->state, SCHEDULE_CANCELLED);
	assert_string_equal(s->msg, "its worker was deleted");
	assert_int_equal(other->state, SCHEDULE_SCHEDULED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_QUEUE(test_refused),	   WITH_QUEUE(test_room),
		WITH_QUEUE(test_update),	   WITH_QUEUE(test_cancel),
		WITH_QUEUE(test_cancel_meanwhile), WITH_QUEUE(test_code_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
