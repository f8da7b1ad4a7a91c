// SPDX-License-Identifier: Apache-2.0
/* Schedules with a real store and queue, in this process: what is queued, and when. */
#include "tests/unit/schedule_rig.h"

#include "tests/unit/time_rig.h"

/* What comes after what, without a store or a clock. */
static void test_times(void **state)
{
	static const struct {
		const char *start, *end, *cron, *zone, *after, *next;
		uint32_t every, run_count;
	} cases[] = {
		/* once */
		{"2026-01-01T10:00:00Z", "", "", "", "0", "2026-01-01T10:00:00Z", 0, 0},
		{"2026-01-01T10:00:00Z", "", "", "", "2026-01-01T10:00:00Z", "0", 0, 1},
		{"", "", "", "", "0", "2025-05-05T05:05:05Z", 0, 0},
		/* every so often, from the start on and without drift */
		{"2026-01-01T10:00:00Z", "", "", "", "0", "2026-01-01T10:00:00Z", 7, 0},
		{"2026-01-01T10:00:00Z", "", "", "", "2026-01-01T10:00:00Z", "2026-01-01T10:00:07Z",
		 7, 1},
		{"2026-01-01T10:00:00Z", "", "", "", "2026-01-01T10:00:06.999Z",
		 "2026-01-01T10:00:07Z", 7, 1},
		{"2026-01-01T10:00:00Z", "", "", "", "2026-01-01T10:59:59.5Z",
		 "2026-01-01T11:00:05Z", 7, 1},
		{"2026-01-01T10:00:00Z", "2026-01-01T10:00:07Z", "", "", "2026-01-01T10:00:00Z",
		 "2026-01-01T10:00:07Z", 7, 1},
		{"2026-01-01T10:00:00Z", "2026-01-01T10:00:06Z", "", "", "2026-01-01T10:00:00Z",
		 "0", 7, 1},
		/* the clock was set to before its making */
		{"", "", "", "", "2025-05-05T05:05:00Z", "2025-05-05T05:05:05Z", 10, 1},
		{"", "", "", "", "2025-05-05T05:04:55Z", "2025-05-05T05:05:05Z", 10, 1},
		{"", "", "", "", "2025-05-05T05:04:54Z", "2025-05-05T05:04:55Z", 10, 1},
		/* a line */
		{"", "", "0 9 * * *", "", "2024-01-01T10:00:00Z", "2024-01-02T09:00:00Z", 0, 1},
		{"2026-01-01T09:00:00Z", "", "0 9 * * *", "", "0", "2026-01-01T09:00:00Z", 0, 0},
		{"2026-01-01T09:00:01Z", "", "0 9 * * *", "", "0", "2026-01-02T09:00:00Z", 0, 0},
		{"2026-01-01T00:00:00Z", "", "0 9 * * *", "Asia/Tokyo", "2026-01-01T00:00:00Z",
		 "2026-01-02T00:00:00Z", 0, 0},
		{"", "2026-01-01T08:59:59Z", "0 9 * * *", "", "2025-12-31T09:00:00Z", "0", 0, 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct schedule s = {.created_ns = at("2025-05-05T05:05:05Z"),
				     .run_count = cases[i].run_count};
		struct err e = {0};
		uint64_t next;

		s.spec.start_ns = *cases[i].start ? at(cases[i].start) : 0;
		s.spec.end_ns = *cases[i].end ? at(cases[i].end) : 0;
		s.spec.run_every_s = cases[i].every;
		strcpy(s.spec.cron, cases[i].cron);
		strcpy(s.spec.zone, cases[i].zone);
		assert_int_equal(schedule_read(&s, &e), 0);
		next = schedule_time_after(&s, at(cases[i].after));
		if (next != at(cases[i].next)) {
			char buf[TIMEFMT_MAX];

			fail_msg("case %zu: %s", i, timefmt_print(next, buf));
		}
		zone_free(s.zone);
	}
}

/* As if its next time were one that has passed since. */
static void miss(struct schedule *s, uint64_t by_ns)
{
	struct err e = {0};

	s->next_ns = util_realtime_ns() - by_ns;
	assert_int_equal(schedule_put(s, &e), 0);
	assert_int_equal(schedule_arm(s, &e), 0);
}

static void test_once(void **state)
{
	struct fixture *x = *state;
	struct schedule *s;
	struct task_record rec;

	(void)worker(x, x->a, "c", (struct worker_spec){0});
	s = make(x, (struct schedule_spec){.payload = strdup("{\"n\": 1}"),
					   .priority = 2,
					   .label = "l",
					   .timeout_s = 7});
	assert_int_equal(s->state, SCHEDULE_SCHEDULED);
	assert_int_equal(x->a->schedules->n, 1);
	wait_tasks(x, 1);
	assert_int_equal(s->state, SCHEDULE_COMPLETE);
	assert_int_equal(s->run_count, 1);
	assert_int_equal(s->next_ns, 0);
	assert_true(s->last_ns >= s->created_ns);
	assert_int_equal(x->a->schedules->n, 0);
	rec = record(x, started(x));
	assert_string_equal(rec.schedule, s->id);
	assert_string_equal(rec.label, "l");
	assert_int_equal(rec.priority, 2);
	assert_int_equal(rec.timeout_asked_s, 7);
	/* Also after a restart, and not again. */
	restart(x);
	s = x->a->schedules->first;
	assert_int_equal(s->state, SCHEDULE_COMPLETE);
	assert_int_equal(s->run_count, 1);
	assert_string_equal(s->spec.payload, "{\"n\": 1}");
	assert_int_equal(tasks(x), 1);
}

static void test_every_second(void **state)
{
	struct fixture *x = *state;
	struct schedule *s, *t;

	(void)worker(x, x->a, "c", (struct worker_spec){0});
	s = make(x, (struct schedule_spec){.run_every_s = 1, .run_times = 3, .priority = -1});
	t = make(x, (struct schedule_spec){.cron = "* * * * * *", .zone = "Asia/Kathmandu"});
	t->spec.run_times = 2;
	wait_tasks(x, 5);
	assert_int_equal(s->state, SCHEDULE_COMPLETE);
	assert_int_equal(s->run_count, 3);
	assert_int_equal(t->state, SCHEDULE_COMPLETE);
	assert_int_equal(t->run_count, 2);
	assert_int_equal(tasks(x), 5);
}

/* However many times were missed, one task is queued, and then the next regular time is due. */
static void test_missed(void **state)
{
	struct fixture *x = *state;
	struct schedule *s;
	uint64_t now;

	(void)worker(x, x->a, "c", (struct worker_spec){0});
	s = make(x, (struct schedule_spec){.run_every_s = 600,
					   .start_ns = util_realtime_ns() + 86400 * SEC});
	s->spec.start_ns = util_realtime_ns() - 3000 * SEC;
	miss(s, 2400 * SEC);
	restart(x);
	s = x->a->schedules->first;
	wait_tasks(x, 1);
	now = util_realtime_ns();
	assert_int_equal(s->run_count, 1);
	assert_true(s->next_ns > now && s->next_ns <= now + 600 * SEC);
	assert_int_equal((s->next_ns - s->spec.start_ns) % (600 * SEC), 0);
	restart(x);
	assert_int_equal(tasks(x), 1);
	assert_true(x->a->schedules->first->next_ns > now);
}

/* After its end nothing is made up for. */
static void test_end(void **state)
{
	struct fixture *x = *state;
	struct schedule *s;

	(void)worker(x, x->a, "c", (struct worker_spec){0});
	s = make(x, (struct schedule_spec){.run_every_s = 600,
					   .start_ns = util_realtime_ns() + 86400 * SEC});
	s->spec.end_ns = util_realtime_ns() - 3000 * SEC;
	miss(s, 4000 * SEC);
	settle(x);
	assert_int_equal(s->state, SCHEDULE_COMPLETE);
	assert_string_equal(s->msg, "its last times passed unseen");
	assert_int_equal(tasks(x), 0);
}

/* A paused worker and a full queue: it stays due, says why, and is not lost. */
static void test_in_the_way(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	struct worker *other = worker(x, x->a, "other", (struct worker_spec){.max_concurrency = 1});
	const struct quota none = {0};
	struct err e = {0};
	struct schedule *s;

	assert_int_equal(committed(x->f, worker_pause(x->f, c, true, &e), &e), 0);
	s = make(x, (struct schedule_spec){.priority = -1});
	settle(x);
	assert_int_equal(tasks(x), 0);
	assert_int_equal(s->state, SCHEDULE_SCHEDULED);
	assert_string_equal(s->msg, "its worker is paused");
	assert_int_equal(committed(x->f, worker_pause(x->f, c, false, &e), &e), 0);
	assert_int_equal(tasks(x), 1);
	assert_int_equal(s->state, SCHEDULE_COMPLETE);
	assert_string_equal(s->msg, "");

	(void)submit(x, other, plain);
	(void)submit(x, other, plain);
	(void)submit(x, other, plain);
	settle(x);
	x->a->quota.queued = 1;
	s = make(x, (struct schedule_spec){.priority = -1});
	settle(x);
	if (!strstr(s->msg, "quota \"queued\" of this project is 1, and 2 wait"))
		fail_msg("%s", s->msg);
	assert_int_equal(s->run_count, 0);
	assert_int_equal(committed(x->f, project_set_quota(x->f, x->a, &none, &e), &e), 0);
	settle(x);
	assert_int_equal(s->run_count, 1);
	assert_int_equal(s->state, SCHEDULE_COMPLETE);
}

static void fail_writes(struct fixture *x, bool on)
{
	assert_int_equal(sqlite3_exec(x->f->store->db,
				      on ? "PRAGMA query_only = ON" : "PRAGMA query_only = OFF",
				      NULL, NULL, NULL),
			 SQLITE_OK);
}

/* The task and the schedule's next time are written together or not at all. */
static void test_no_disk(void **state)
{
	struct fixture *x = *state;
	struct schedule_spec spec = {.code_name = "c"};
	struct schedule *s;
	struct err e = {0};
	uint64_t next;

	(void)worker(x, x->a, "c", (struct worker_spec){0});
	s = make(x, (struct schedule_spec){.run_every_s = 600,
					   .start_ns = util_realtime_ns() + 86400 * SEC});
	s->spec.start_ns = util_realtime_ns() - 300 * SEC;
	miss(s, 300 * SEC);
	next = s->next_ns;
	fail_writes(x, true);
	settle(x);
	assert_int_equal(s->run_count, 0);
	assert_int_equal(s->next_ns, next);
	assert_null(s->run);
	assert_true(*s->msg != '\0');
	/* Nor is anything acknowledged. */
	assert_null(make_one(x, &spec, &e));
	assert_int_equal(e.code, ERR_UNAVAILABLE);
	assert_true(committed(x->f, schedule_cancel(x->f, s, &e), &e) < 0);
	assert_int_equal(s->state, SCHEDULE_SCHEDULED);
	assert_int_equal(x->a->schedules->n, 1);
	fail_writes(x, false);
	wait_tasks(x, 1);
	assert_int_equal(s->run_count, 1);
	assert_int_equal(tasks(x), 1);
}

/* A clock that was wrong by a year is not waited for; by an hour it is. */
static void test_clock(void **state)
{
	struct fixture *x = *state;
	uint64_t now = util_realtime_ns(), next = now + 365ULL * 86400 * SEC;
	struct schedule *s;

	(void)worker(x, x->a, "c", (struct worker_spec){0});
	s = make(x, (struct schedule_spec){.cron = "@hourly"});
	s->run_count = 1;
	s->last_ns = next - SEC;
	s->next_ns = next;
	schedule_settle_clock(s, now);
	assert_true(s->next_ns > now && s->next_ns <= now + 3600 * SEC);
	next = now + 5400 * SEC;
	s->last_ns = next - SEC;
	s->next_ns = next;
	schedule_settle_clock(s, now);
	assert_int_equal(s->next_ns, next);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_times), WITH_QUEUE(test_once),  WITH_QUEUE(test_every_second),
		WITH_QUEUE(test_missed),      WITH_QUEUE(test_end),   WITH_QUEUE(test_in_the_way),
		WITH_QUEUE(test_no_disk),     WITH_QUEUE(test_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
