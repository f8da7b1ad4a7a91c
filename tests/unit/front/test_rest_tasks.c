// SPDX-License-Identifier: Apache-2.0
/* Tasks over HTTP: what an answer says is on disk, and a request is done whole or not at all. */
#include "supervisor/front/api/sync.h"
#include "supervisor/front/store/priv.h"
#include "tests/unit/rest_rig.h"

/* Reads a task's record from the store, as the next front would find it. */
static struct task_record stored(struct rest *r, const char *id)
{
	struct task_record rec = {0};
	struct err e = {0};

	if (store_task_get(r->x->f->store, id, &rec, &e) < 0)
		fail_msg("%s", e.msg);
	task_record_clear(&rec);
	return rec;
}

/* Queues a task and returns its id. */
static const char *queue_one(struct rest *r, const char *members)
{
	static char ids[8][TASK_ID_LEN + 1];
	static unsigned n;
	char body[512], *id = ids[n++ % 8];

	(void)snprintf(body, sizeof(body), "{\"tasks\": [{\"code_name\": \"c\"%s}]}", members);
	assert_int_equal(rest_a(r, "2", "POST", "/tasks", body), 200);
	(void)snprintf(id, TASK_ID_LEN + 1, "%s", rest_list(r, "tasks", "id"));
	return id;
}

static unsigned of_task(struct rest *r, const char *method, const char *id, const char *verb,
			const char *body)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "/tasks/%s%s", id, verb);
	return rest_a(r, "2", method, path, body);
}

static void make_code(struct rest *r, const char *name)
{
	(void)worker(r->x, r->x->a, name, (struct worker_spec){0});
}

static void test_answers_are_durable(void **state)
{
	struct rest *r = *state;
	const char *waits, *runs;

	make_code(r, "c");
	r->hasty = true;
	waits = queue_one(r, ", \"delay\": 3600");
	assert_int_equal(stored(r, waits).state, TASK_QUEUED);
	assert_int_equal(of_task(r, "POST", waits, "/cancel", ""), 200);
	assert_int_equal(stored(r, waits).state, TASK_CANCELLED);
	/* The same for a task that runs. */
	runs = queue_one(r, "");
	assert_string_equal(started(r->x), runs);
	assert_int_equal(of_task(r, "POST", runs, "/cancel", ""), 200);
	assert_true(stored(r, runs).cancel_ns > 0);
	assert_false(task_state_final((enum task_state)stored(r, runs).state));
	finish(r->x, runs, VERDICT_CANCELLED);
	/* A second cancel changes nothing, and is not an error. */
	assert_int_equal(of_task(r, "POST", runs, "/cancel", ""), 200);
	assert_int_equal(record(r->x, runs).state, TASK_CANCELLED);
}

/* The progress is written a little after each request. */
static void wait_written(struct rest *r, const char *id, uint32_t percent)
{
	while (stored(r, id).percent != percent)
		assert_true(sd_event_run(r->x->f->event, UINT64_MAX) >= 0);
}

static void test_progress(void **state)
{
	struct rest *r = *state;
	const char *id;
	char path[128];

	make_code(r, "c");
	id = queue_one(r, "");
	assert_string_equal(started(r->x), id);
	assert_int_equal(of_task(r, "POST", id, "/progress", "{\"percent\": 40, \"msg\": \"m\"}"),
			 200);
	wait_written(r, id, 40);
	assert_string_equal(stored(r, id).msg, "m");
	assert_int_equal(of_task(r, "POST", id, "/progress", "{\"msg\": \"n\"}"), 200);
	assert_int_equal(of_task(r, "GET", id, "", ""), 200);
	assert_int_equal(json_integer_value(json_object_get(r->body, "percent")), 40);
	assert_string_equal(rest_text(r, "msg"), "n");
	assert_int_equal(of_task(r, "POST", id, "/progress", "{\"percent\": 100}"), 200);
	wait_written(r, id, 100);
	assert_int_equal(of_task(r, "POST", id, "/progress", "{\"percent\": 101}"), 400);
	finish(r->x, id, VERDICT_OK);
	/* IronWorker's clients may send progress after the end; it is accepted and has no
	 * effect. */
	assert_int_equal(of_task(r, "POST", id, "/progress", "{\"percent\": 1}"), 200);
	(void)snprintf(path, sizeof(path), "/tasks/%s/progress", id);
	assert_int_equal(rest_a(r, "api", "POST", path, "{\"percent\": 1}"), 409);
	assert_int_equal(stored(r, id).percent, 100);
}

#define WAITS "{\"code_name\": \"c\", \"delay\": 3600}"

static void test_all_or_none(void **state)
{
	struct rest *r = *state;
	struct quota quota = r->x->a->quota;
	struct err e = {0};

	make_code(r, "c");
	quota.queued = 3;
	assert_int_equal(committed(r->x->f, project_set_quota(r->x->f, r->x->a, &quota, &e), &e),
			 0);
	(void)queue_one(r, ", \"delay\": 3600");
	assert_int_equal(
		rest_a(r, "2", "POST", "/tasks", "{\"tasks\": [" WAITS "," WAITS "," WAITS "]}"),
		503);
	assert_non_null(strstr(r->text, "\r\nRetry-After: "));
	assert_int_equal(queue_length(r->x->f), 1);
	assert_int_equal(rest_a(r, "2", "POST", "/tasks",
				"{\"tasks\": [" WAITS ",{\"code_name\": \"none\"}]}"),
			 404);
	rest_said(r, "tasks[1].code_name");
	assert_int_equal(queue_length(r->x->f), 1);
	assert_int_equal(rest_a(r, "2", "POST", "/tasks", "{\"tasks\": [" WAITS "," WAITS "]}"),
			 200);
	assert_int_equal(queue_length(r->x->f), 3);
	assert_int_equal(rest_a(r, "2", "POST", "/tasks", "{\"tasks\": [" WAITS "]}"), 503);
	assert_int_equal(queue_length(r->x->f), 3);
}

static void test_retry(void **state)
{
	struct rest *r = *state;
	const char *first;
	char next[TASK_ID_LEN + 1];

	make_code(r, "c");
	first = queue_one(r, ", \"label\": \"l\"");
	assert_string_equal(started(r->x), first);
	assert_int_equal(of_task(r, "POST", first, "/retry", "{\"delay\": 1000}"), 200);
	rest_said(r, "Queued up");
	finish(r->x, first, VERDICT_EXIT);
	assert_int_equal(stored(r, first).dead_letter, 1);
	assert_int_equal(of_task(r, "POST", first, "/retry", "{\"delay\": 604801}"), 400);
	assert_int_equal(of_task(r, "POST", first, "/retry", "{\"delay\": 1000}"), 200);
	(void)snprintf(next, sizeof(next), "%s", rest_list(r, "tasks", "id"));
	assert_string_equal(stored(r, first).retry, next);
	assert_int_equal(stored(r, first).dead_letter, 0);
	assert_string_equal(stored(r, next).original, first);
	assert_string_equal(stored(r, next).label, "l");
	assert_int_equal(stored(r, next).attempt, 2);
	assert_true(stored(r, next).not_before_ns >= stored(r, next).created_ns + 1000 * SEC);
}

static void test_retry_without_code(void **state)
{
	struct rest *r = *state;
	struct err e = {0};
	const char *id;

	make_code(r, "c");
	id = queue_one(r, "");
	assert_string_equal(started(r->x), id);
	finish(r->x, id, VERDICT_EXIT);
	assert_int_equal(remove_code(r->x, r->x->a->workers, &e), 0);
	assert_int_equal(of_task(r, "POST", id, "/retry", ""), 409);
	rest_said(r, "was removed");
	assert_int_equal(queue_length(r->x->f), 0);
}

static void test_webhook(void **state)
{
	static char big[QUEUE_PAYLOAD_MAX + 2];
	struct rest *r = *state;

	make_code(r, "c");
	assert_int_equal(rest_a(r, "2", "POST", "/tasks/webhook?code_name=c&delay=60&label=l",
				"payload=no&\"raw\""),
			 200);
	assert_int_equal(of_task(r, "GET", rest_text(r, "id"), "", ""), 200);
	assert_string_equal(rest_text(r, "payload"), "payload=no&\"raw\"");
	assert_string_equal(rest_text(r, "label"), "l");
	assert_int_equal(
		rest_a(r, "2", "POST", "/tasks/webhook?code_name=c&delay=60&payload=x", ""), 200);
	assert_int_equal(of_task(r, "GET", rest_text(r, "id"), "", ""), 200);
	assert_string_equal(rest_text(r, "payload"), "");
	memset(big, 'x', QUEUE_PAYLOAD_MAX);
	assert_int_equal(rest_a(r, "2", "POST", "/tasks/webhook?code_name=c&delay=60", big), 200);
	big[QUEUE_PAYLOAD_MAX] = 'x';
	assert_int_equal(rest_a(r, "2", "POST", "/tasks/webhook?code_name=c&delay=60", big), 413);
	assert_int_equal(rest_a(r, "2", "POST", "/tasks/webhook?code_name=none", "x"), 404);
}

/* One task in the middle cannot be queued: those before it are taken back. */
static void test_taken_back(void **state)
{
	static const char five[] = "{\"code_name\": \"c\", \"delay\": 60, \"payload\": \"12345\"}";
	struct rest *r = *state;
	char body[512];

	make_code(r, "c");
	r->x->a->run->queued_bytes = (1ULL << 30) - 8;
	(void)snprintf(body, sizeof(body), "{\"tasks\": [%s, %s, %s]}", five, five, five);
	assert_int_equal(rest_a(r, "2", "POST", "/tasks", body), 413);
	settle(r->x);
	assert_int_equal(queue_length(r->x->f), 0);
	assert_string_equal(started(r->x), "");
	assert_int_equal(rest_a(r, "2", "GET", "/tasks", ""), 200);
	assert_int_equal(strlen(rest_list(r, "tasks", "id")), TASK_ID_LEN);
	assert_true(stored(r, rest_list(r, "tasks", "id")).cancel_ns > 0);
	r->x->a->run->queued_bytes = 0;
}

/* Runs all tasks: each first attempt fails, each second one does not. */
static void run_attempts(struct rest *r)
{
	char id[TASK_ID_LEN + 1];

	(void)snprintf(id, sizeof(id), "%s", started(r->x));
	if (*id)
		finish(r->x, id, stored(r, id).attempt == 1 ? VERDICT_EXIT : VERDICT_OK);
}

static void test_sync(void **state)
{
	struct rest *r = *state;
	const char *id;

	(void)worker(r->x, r->x->a, "c", (struct worker_spec){.retries = 1});
	r->meanwhile = run_attempts;
	assert_int_equal(rest_a(r, "2", "POST", "/tasks",
				"{\"tasks\": [{\"code_name\": \"c\", \"sync\": true}, "
				"{\"code_name\": \"c\"}]}"),
			 200);
	assert_string_equal(rest_list(r, "tasks", "status"), "complete complete");
	/* The ids are those of the tasks that were asked for, not of their later attempts. */
	id = json_string_value(
		json_object_get(json_array_get(json_object_get(r->body, "tasks"), 0), "id"));
	assert_int_equal(stored(r, id).attempt, 1);
	assert_int_equal(stored(r, stored(r, id).retry).state, TASK_COMPLETE);
	assert_null(r->x->f->api->syncs);
	assert_int_equal(r->x->f->api->sync_tasks.n, 0);
}

static void no_answer(void *arg)
{
	++*(int *)arg;
}

/* If all of a project's requests wait, there is still room for another project's; a client that has
 * gone does not wait any longer. */
static void test_sync_shares(void **state)
{
	struct rest *r = *state;
	struct front *f = r->x->f;
	struct waiter askers[100] = {0};
	struct sync *s;
	char id[TASK_ID_LEN + 1];
	int n = 0, done = 0;

	for (; n < 99; n++) {
		askers[n].client.http = (struct http_request *)state;
		s = sync_new(f, r->x->a->id, 1, &askers[n], no_answer, &done);
		if (!s)
			break;
		util_new_id(id);
		sync_add(s, id);
		sync_begin(s);
	}
	assert_int_equal(n, 32);
	s = sync_new(f, r->x->b->id, 1, &askers[n], no_answer, &done);
	assert_non_null(s);
	/* One that nobody waits for is not told. */
	sync_free(s);
	for (int i = 0; i < n; i++) {
		assert_int_equal(done, i);
		waiter_gone(&askers[i]);
	}
	assert_int_equal(done, 32);
	assert_null(f->api->syncs);
	assert_int_equal(f->api->sync_tasks.n, 0);
}

/* What waits in the store alone, and is cancelled there with all others, has ended too. */
static void test_sync_cancelled(void **state)
{
	struct rest *r = *state;
	struct waiter asker = {.client.http = (struct http_request *)state};
	struct worker *c = worker(r->x, r->x->a, "c", (struct worker_spec){0});
	const struct submit late = {.priority = -1, .delay_s = 3600};
	const char *one = submit(r->x, c, late), *two = submit(r->x, c, late);
	struct sync *s;
	uint64_t n;
	struct err e;
	int done = 0;

	s = sync_new(r->x->f, r->x->a->id, 2, &asker, no_answer, &done);
	sync_add(s, one);
	sync_add(s, two);
	settle(r->x);
	assert_null(registry_find(r->x->f, one));
	sync_begin(s);
	assert_int_equal(done, 0);
	assert_int_equal(cancel_all(r->x, c, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_int_equal(done, 1);
}

static void sql(struct rest *r, const char *text)
{
	assert_int_equal(sqlite3_exec(r->x->f->store->db, text, NULL, NULL, NULL), SQLITE_OK);
}

/* That a task is cancelled is said when it is durable; where the disk does not take it, that is said. */
static void test_said_when_durable(void **state)
{
	struct rest *r = *state;
	struct fixture *x = r->x;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	struct err e = {0};
	char path[80];
	const char *id;

	assert_int_equal(committed(x->f, worker_pause(x->f, c, true, &e), &e), 0);
	id = submit(x, c, plain);
	settle(x);
	sql(r, "CREATE TEMP TRIGGER refuse BEFORE UPDATE ON tasks BEGIN SELECT RAISE(FAIL, 'no'); "
	       "END");
	(void)snprintf(path, sizeof(path), "/tasks/%s/cancel", id);
	assert_int_equal(rest_a(r, "2", "POST", path, ""), 503);
	assert_true(change_is_stuck(x->f));
	sql(r, "DROP TRIGGER refuse");
	assert_int_equal(record(x, id).state, TASK_CANCELLED);
	id = submit(x, c, plain);
	settle(x);
	(void)snprintf(path, sizeof(path), "/tasks/%s/cancel", id);
	assert_int_equal(rest_a(r, "2", "POST", path, ""), 200);
	assert_null(registry_find(x->f, id));
	assert_int_equal(record(x, id).state, TASK_CANCELLED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_REST(test_answers_are_durable),
		WITH_REST(test_progress),
		WITH_REST(test_all_or_none),
		WITH_REST(test_taken_back),
		WITH_REST(test_retry),
		WITH_REST(test_retry_without_code),
		WITH_REST(test_webhook),
		WITH_REST(test_sync),
		WITH_REST(test_sync_shares),
		WITH_REST(test_sync_cancelled),
		WITH_REST(test_said_when_durable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
