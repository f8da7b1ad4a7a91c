// SPDX-License-Identifier: Apache-2.0
/* Schedules over HTTP: all of a request's or none, what a change leaves, what a restart keeps. */
#include "supervisor/front/store/priv.h"
#include "tests/unit/rest_rig.h"

#define AT "\"start_at\": \"2099-01-01T00:00:00Z\""
#define ONE(name, more) "{\"code_name\": \"" name "\", " AT more "}"

static unsigned post(struct rest *r, const char *list)
{
	char body[1024];

	(void)snprintf(body, sizeof(body), "{\"schedules\": [%s]}", list);
	return rest_a(r, "2", "POST", "/schedules", body);
}

static unsigned of_schedule(struct rest *r, const char *api, const char *method, const char *verb,
			    const char *body)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "/schedules/%s%s", r->x->a->schedules->first->id, verb);
	return rest_a(r, api, method, path, body);
}

/* Begins to change the first schedule. */
static int change_ask(struct rest *r, const char *body)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "/api/projects/%s/schedules/%s", r->x->a->id,
		       r->x->a->schedules->first->id);
	return rest_ask(r, r->a, "PUT", path, "application/json", body, strlen(body));
}

static void make_code(struct rest *r, const char *name)
{
	(void)worker(r->x, r->x->a, name, (struct worker_spec){0});
}

static unsigned count_scheduled(struct rest *r)
{
	unsigned n = 0;

	for (const struct schedule *s = r->x->a->schedules->first; s; s = s->next)
		n += s->state == SCHEDULE_SCHEDULED;
	assert_int_equal(r->x->a->schedules->n, n);
	return n;
}

/* The same in another front. */
static void again(struct rest *r)
{
	http_clear(r->x->f);
	restart(r->x);
	rest_serve(r);
}

static void test_all_or_none(void **state)
{
	struct quota quota = {.schedules = 2};
	struct rest *r = *state;
	struct err e = {0};

	make_code(r, "c");
	assert_int_equal(committed(r->x->f, project_set_quota(r->x->f, r->x->a, &quota, &e), &e),
			 0);
	assert_int_equal(post(r, ONE("c", "") "," ONE("none", "")), 404);
	rest_said(r, "schedules[1].code_name");
	assert_null(r->x->a->schedules->first);
	assert_int_equal(post(r, ONE("c", "") "," ONE("c", "") "," ONE("c", "")), 413);
	rest_said(r, "schedules: 3 more are too many");
	/* None of them was made, not even for a while. */
	assert_null(r->x->a->schedules->first);
	again(r);
	assert_int_equal(count_scheduled(r), 0);
	assert_int_equal(post(r, ONE("c", "") "," ONE("c", "")), 200);
	assert_int_equal(json_array_size(json_object_get(r->body, "schedules")), 2);
	assert_int_equal(post(r, ONE("c", "")), 413);
	again(r);
	assert_int_equal(count_scheduled(r), 2);
}

static void refuse_put(struct rest *r, const char *body, unsigned status, const char *what)
{
	assert_int_equal(of_schedule(r, "2", "PUT", "", body), status);
	rest_said(r, what);
}

static void test_change(void **state)
{
	struct rest *r = *state;
	const struct schedule *s;

	make_code(r, "c");
	assert_int_equal(post(r, ONE("c", ", \"payload\": \"p\", \"run_every\": 60, \"label\": "
					  "\"l\", \"priority\": 2, \"run_times\": 5")),
			 200);
	s = r->x->a->schedules->first;
	refuse_put(r, "{\"code_name\": \"none\"}", 404, "code_name");
	refuse_put(r, "{\"run_every\": 59}", 400, "run_every");
	refuse_put(r, "{\"end_at\": \"2098-01-01T00:00:00Z\"}", 400, "end_at");
	refuse_put(r,
		   "{\"end_at\": \"2020-01-01T00:00:00Z\", \"start_at\": "
		   "\"2020-01-01T00:00:00Z\"}",
		   400, "end_at: has passed");
	assert_int_equal(of_schedule(r, "2", "PUT", "", "{\"run_times\": 9}"), 200);
	assert_int_equal(s->spec.run_times, 9);
	assert_int_equal(s->spec.run_every_s, 60);
	assert_string_equal(s->spec.payload, "p");
	assert_string_equal(s->spec.label, "l");
	assert_int_equal(s->spec.priority, 2);
	assert_int_equal(of_schedule(r, "api", "PUT", "",
				     "{\"cron\": \"0 6 * * *\", \"timezone\": \"Europe/Berlin\"}"),
			 200);
	assert_int_equal(s->spec.run_every_s, 0);
	assert_int_equal(of_schedule(r, "api", "PUT", "", "{\"run_every\": 1}"), 200);
	assert_string_equal(s->spec.cron, "");
	assert_string_equal(s->spec.zone, "");
	again(r);
	s = r->x->a->schedules->first;
	assert_string_equal(s->spec.payload, "p");
	assert_int_equal(s->spec.run_every_s, 1);
	assert_string_equal(s->spec.cron, "");
	assert_int_equal(s->spec.run_times, 9);
	assert_int_equal(s->state, SCHEDULE_SCHEDULED);
}

static void test_cancel(void **state)
{
	struct rest *r = *state;

	make_code(r, "c");
	assert_int_equal(post(r, ONE("c", "")), 200);
	assert_int_equal(of_schedule(r, "2", "POST", "/cancel", ""), 200);
	assert_int_equal(r->x->a->schedules->first->state, SCHEDULE_CANCELLED);
	assert_int_equal(of_schedule(r, "2", "POST", "/cancel", ""), 200);
	refuse_put(r, "{\"run_times\": 9}", 409, "is cancelled");
	assert_int_equal(of_schedule(r, "2", "GET", "", ""), 200);
	assert_string_equal(rest_text(r, "status"), "cancelled");
	assert_string_equal(rest_text(r, "next_start"), "0001-01-01T00:00:00Z");
	again(r);
	assert_int_equal(r->x->a->schedules->first->state, SCHEDULE_CANCELLED);
	assert_int_equal(r->x->a->schedules->n, 0);
}

/* What has run once says so in the next front too. */
static void test_ran(void **state)
{
	struct rest *r = *state;
	uint64_t last_ns;

	make_code(r, "c");
	assert_int_equal(rest_a(r, "2", "POST", "/schedules",
				"{\"schedules\": [{\"code_name\": \"c\", \"run_every\": 3600, "
				"\"start_at\": \"2020-01-01T00:00:00Z\"}]}"),
			 200);
	while (!r->x->a->schedules->first->run_count)
		assert_true(sd_event_run(r->x->f->event, UINT64_MAX) >= 0);
	last_ns = r->x->a->schedules->first->last_ns;
	assert_true(last_ns > 0);
	again(r);
	assert_int_equal(r->x->a->schedules->first->run_count, 1);
	assert_true(r->x->a->schedules->first->last_ns == last_ns);
	assert_int_equal(of_schedule(r, "2", "GET", "", ""), 200);
	assert_int_equal(json_integer_value(json_object_get(r->body, "run_count")), 1);
	assert_memory_equal(rest_text(r, "last_run_time"), "20", 2);
}

/* Changes of one schedule at once follow one another: each changes what the one before it has left. */
static void test_at_once(void **state)
{
	struct rest *r = *state;
	struct change *first;
	struct schedule *s;
	int fds[3];

	make_code(r, "c");
	assert_int_equal(post(r, ONE("c", "")), 200);
	s = r->x->a->schedules->first;
	rest_hold(r);
	fds[0] = change_ask(r, "{\"run_every\": 120}");
	while (!s->changing)
		assert_true(sd_event_run(r->x->f->event, UINT64_MAX) >= 0);
	first = (struct change *)s->changing; /* its first member */
	fds[1] = change_ask(r, "{\"priority\": 2}");
	rest_wait_for(r, &first, 2);
	fds[2] = change_ask(r, "{\"code_name\": \"none\"}");
	rest_wait_for(r, &first, 3);
	assert_int_equal(s->spec.run_every_s, 0);
	rest_let_go(r);
	assert_int_equal(rest_answer(r, fds[0]), 200);
	assert_int_equal(rest_answer(r, fds[1]), 200);
	assert_int_equal(rest_answer(r, fds[2]), 404);
	assert_int_equal(s->spec.run_every_s, 120);
	assert_int_equal(s->spec.priority, 2);
	again(r);
	s = r->x->a->schedules->first;
	assert_int_equal(s->spec.run_every_s, 120);
	assert_int_equal(s->spec.priority, 2);
}

/* A change that cannot be written is told in words, and leaves the schedule as it was. */
static void test_no_disk(void **state)
{
	struct rest *r = *state;
	sqlite3 *db = r->x->f->store->db;

	make_code(r, "c");
	assert_int_equal(post(r, ONE("c", "")), 200);
	assert_int_equal(sqlite3_exec(db, "PRAGMA query_only = ON", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(post(r, ONE("c", "")), 503);
	rest_said(r, "the task store cannot");
	assert_int_equal(of_schedule(r, "api", "PUT", "", "{\"priority\": 2}"), 503);
	rest_said(r, "the task store cannot");
	assert_int_equal(of_schedule(r, "2", "POST", "/cancel", ""), 503);
	assert_int_equal(count_scheduled(r), 1);
	assert_null(r->x->a->schedules->first->next);
	assert_int_equal(sqlite3_exec(db, "PRAGMA query_only = OFF", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(of_schedule(r, "2", "POST", "/cancel", ""), 200);
	again(r);
	assert_int_equal(count_scheduled(r), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_REST(test_all_or_none), WITH_REST(test_change),  WITH_REST(test_cancel),
		WITH_REST(test_ran),	     WITH_REST(test_at_once), WITH_REST(test_no_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
