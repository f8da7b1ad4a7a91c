// SPDX-License-Identifier: Apache-2.0
/* What becomes of schedules: made or refused, changed, cancelled, without their code. */
#include "tests/unit/schedule_rig.h"

static void test_refused(void **state)
{
	const uint64_t now = util_realtime_ns();
	const struct {
		struct schedule_spec spec;
		const char *error;
	} cases[] = {
		{{.code_name = ""}, "code_name: must be given"},
		{{.code_name = "none"}, "code_name: there is no code \"none\": upload it first"},
		{{.code_name = "c", .priority = 3}, "priority: must be 0, 1 or 2"},
		{{.code_name = "c", .priority = -2}, "priority: must be 0, 1 or 2"},
		{{.code_name = "c", .timeout_s = 3601}, "timeout: at most 3600 seconds"},
		{{.code_name = "c", .delay_s = 604801}, "delay: at most 604800 seconds"},
		{{.code_name = "c", .run_every_s = 315360001},
		 "run_every: at most 315360000 seconds"},
		{{.code_name = "c", .run_every_s = 60, .cron = "* * * * *"},
		 "cron: not together with run_every"},
		{{.code_name = "c", .zone = "Europe/Berlin"},
		 "timezone: is of cron, which is not given"},
		{{.code_name = "c", .cron = "@daily", .zone = "Mars"},
		 "timezone: there is no \"Mars\" in /usr/share/zoneinfo: names are as "
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

	(void)code(x, x->a, "c", (struct code_spec){0});
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct schedule_spec spec = cases[i].spec;
		struct schedule *s = NULL;
		struct err e = {0};

		spec.payload = strdup("kept");
		assert_true(schedule_create(x->f, x->a, &spec, &s, &e) < 0);
		assert_null(s);
		assert_string_equal(e.msg, cases[i].error);
		assert_string_equal(spec.payload, "kept");
		schedule_spec_clear(&spec);
	}
	assert_null(x->a->schedules);
}

static void test_room(void **state)
{
	struct fixture *x = *state;
	struct schedule_spec spec = {.code_name = "c", .run_every_s = 3600};
	struct schedule *s = NULL;
	struct err e = {0};

	(void)code(x, x->a, "c", (struct code_spec){0});
	x->a->quota.schedules = 2;
	spec.start_ns = util_realtime_ns() + 3600 * SEC;
	(void)make(x, spec);
	(void)make(x, spec);
	assert_true(schedule_create(x->f, x->a, &spec, &s, &e) < 0);
	assert_int_equal(e.code, ERR_LIMIT);
	assert_string_equal(e.msg, "2 schedules of this project have not ended, and its quota "
				   "\"schedules\" is 2: cancel some");
	assert_int_equal(schedule_cancel(x->f, x->a->schedules, &e), 0);
	(void)make(x, spec);
	/* The newest that have ended are kept. */
	x->a->quota.schedules = 0;
	for (unsigned i = 0; i < SCHEDULES_ENDED_MAX + 10; i++)
		assert_int_equal(schedule_cancel(x->f, make(x, spec), &e), 0);
	(void)make(x, spec);
	restart(x);
	for (unsigned i = 0; i < 3 + SCHEDULES_ENDED_MAX; i++) {
		s = i ? s->next : x->a->schedules;
		assert_non_null(s);
	}
	assert_null(s->next);
	assert_int_equal(x->a->n_schedules, 3);
}

static void test_update(void **state)
{
	struct fixture *x = *state;
	struct schedule_spec spec = {.code_name = "c", .run_times = 2};
	struct err e = {0};
	struct schedule *s;
	uint64_t now;

	(void)code(x, x->a, "c", (struct code_spec){0});
	s = make(x, (struct schedule_spec){.payload = strdup("old")});
	wait_tasks(x, 1);
	assert_int_equal(s->state, SCHEDULE_COMPLETE);
	/* Goes on, counts on. */
	now = util_realtime_ns();
	spec.payload = strdup("new");
	spec.run_every_s = 3600;
	assert_int_equal(schedule_update(x->f, s, &spec, &e), 0);
	assert_null(spec.payload);
	assert_int_equal(s->state, SCHEDULE_SCHEDULED);
	assert_int_equal(x->a->n_schedules, 1);
	assert_int_equal(s->run_count, 1);
	assert_string_equal(s->spec.payload, "new");
	assert_true(s->next_ns > now && s->next_ns <= now + 3600 * SEC);
	/* What is wrong changes nothing. */
	spec = (struct schedule_spec){.code_name = "c", .cron = "61 * * * *"};
	assert_int_equal(schedule_update(x->f, s, &spec, &e), -EINVAL);
	assert_string_equal(e.msg, "cron: minute: character 1: is more than 59");
	assert_int_equal(s->spec.run_every_s, 3600);
	/* As often as it may, it has run. */
	spec = (struct schedule_spec){.code_name = "c", .run_times = 1, .run_every_s = 60};
	assert_int_equal(schedule_update(x->f, s, &spec, &e), 0);
	assert_int_equal(s->state, SCHEDULE_COMPLETE);
	assert_int_equal(x->a->n_schedules, 0);
	assert_int_equal(tasks(x), 1);
}

static void test_cancel(void **state)
{
	struct fixture *x = *state;
	struct schedule_spec spec = {.code_name = "c"};
	struct err e = {0};
	struct schedule *s;

	(void)code(x, x->a, "c", (struct code_spec){0});
	s = make(x, (struct schedule_spec){.run_every_s = 1});
	assert_int_equal(schedule_cancel(x->f, s, &e), 0);
	assert_int_equal(s->state, SCHEDULE_CANCELLED);
	assert_int_equal(s->next_ns, 0);
	assert_int_equal(x->a->n_schedules, 0);
	assert_int_equal(schedule_cancel(x->f, s, &e), 0);
	assert_int_equal(schedule_update(x->f, s, &spec, &e), -EEXIST);
	assert_int_equal(e.code, ERR_CONFLICT);
	restart(x);
	s = x->a->schedules;
	assert_int_equal(s->state, SCHEDULE_CANCELLED);
	assert_string_equal(schedule_state_name(s->state), "cancelled");
	assert_int_equal(tasks(x), 0);
}

/* While its task is on its way to the disk. */
static void test_cancel_meanwhile(void **state)
{
	struct fixture *x = *state;
	struct err e = {0};
	struct schedule *s;

	(void)code(x, x->a, "c", (struct code_spec){0});
	s = make(x, (struct schedule_spec){.run_every_s = 600});
	while (!s->run)
		assert_true(sd_event_run(x->f->event, UINT64_MAX) >= 0);
	assert_int_equal(schedule_cancel(x->f, s, &e), 0);
	assert_int_equal(s->state, SCHEDULE_CANCELLED);
	assert_int_equal(s->run_count, 1);
	assert_int_equal(tasks(x), 1);
	restart(x);
	assert_int_equal(x->a->schedules->state, SCHEDULE_CANCELLED);
	assert_int_equal(x->a->schedules->run_count, 1);
}

static void test_code_goes(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "c", (struct code_spec){0});
	struct schedule *s, *other;
	struct err e = {0};

	(void)code(x, x->a, "other", (struct code_spec){0});
	s = make(x, (struct schedule_spec){.start_ns = util_realtime_ns() + 3600 * SEC});
	other = make(x, (struct schedule_spec){.code_name = "other",
					       .start_ns = util_realtime_ns() + 3600 * SEC});
	assert_int_equal(remove_code(x, c, &e), 0);
	assert_int_equal(s->state, SCHEDULE_CANCELLED);
	assert_string_equal(s->msg, "its code was deleted");
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
