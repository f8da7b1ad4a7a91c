// SPDX-License-Identifier: Apache-2.0
/* A project over HTTP, from its making to its end, by an operator: in this front and the next. */
#include "tests/unit/rest_rig.h"

/* The same in another front. */
static void again(struct rest *r)
{
	http_clear(r->x->f);
	restart(r->x);
	rest_serve(r);
}

static unsigned operate(struct rest *r, const char *method, const char *id, const char *rest_of,
			const char *body)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "/api/projects%s%s%s", *id ? "/" : "", id, rest_of);
	return rest(r, r->operator, method, path, body);
}

/* By this token, of the project itself. */
static unsigned look(struct rest *r, const char *token, const char *id)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "/api/projects/%s", id);
	return rest(r, token, "GET", path, "");
}

static json_int_t quota_of(struct rest *r, const char *name)
{
	return json_integer_value(json_object_get(json_object_get(r->body, "quota"), name));
}

static void test_life(void **state)
{
	char id[PROJECT_ID_LEN + 1], token[TOKEN_LEN + 1];
	struct rest *r = *state;

	assert_int_equal(operate(r, "POST", "", "",
				 "{\"name\": \"c\", \"quota\": {\"queued\": 2, \"running\": 1}}"),
			 201);
	(void)snprintf(id, sizeof(id), "%s", rest_text(r, "id"));
	(void)snprintf(token, sizeof(token), "%s", rest_text(r, "token"));
	assert_int_equal(operate(r, "POST", "", "", "{\"name\": \"c\"}"), 409);
	assert_int_equal(operate(r, "POST", "", "", "{\"name\": \"C\"}"), 400);
	assert_int_equal(operate(r, "POST", "", "", "{}"), 400);
	again(r);
	assert_int_equal(look(r, token, id), 200);
	assert_int_equal(quota_of(r, "queued"), 2);
	/* What is not named stays. */
	assert_int_equal(operate(r, "PUT", id, "/quota", "{\"queued\": 3}"), 200);
	assert_int_equal(operate(r, "PUT", id, "/quota", "{\"queued\": 4, \"x\": 1}"), 400);
	again(r);
	assert_int_equal(look(r, token, id), 200);
	assert_int_equal(quota_of(r, "queued"), 3);
	assert_int_equal(quota_of(r, "running"), 1);
	assert_int_equal(operate(r, "DELETE", id, "", ""), 200);
	assert_int_equal(look(r, token, id), 401);
	assert_int_equal(look(r, r->operator, id), 404);
	again(r);
	assert_int_equal(look(r, token, id), 401);
	assert_null(project_find(r->x->f, "c"));
	assert_int_equal(operate(r, "DELETE", PROJECT_DEFAULT_ID, "", ""), 409);
}

static void test_tokens(void **state)
{
	char token[TOKEN_LEN + 1], id[64], revoke[128];
	struct rest *r = *state;
	const char *a = r->x->a->id;

	assert_int_equal(operate(r, "POST", a, "/tokens", "{\"label\": \"l\"}"), 201);
	(void)snprintf(token, sizeof(token), "%s", rest_text(r, "token"));
	(void)snprintf(id, sizeof(id), "%s", rest_text(r, "id"));
	assert_int_equal(operate(r, "POST", a, "/tokens", "{\"operator\": true}"), 400);
	again(r);
	a = r->x->a->id;
	assert_int_equal(look(r, token, a), 200);
	assert_int_equal(operate(r, "GET", a, "/tokens", ""), 200);
	assert_string_equal(rest_list(r, "tokens", "label"), "first rest l");
	assert_null(strstr(r->text, token));
	(void)snprintf(revoke, sizeof(revoke), "/tokens/%s", id);
	/* Another project has no such token. */
	assert_int_equal(operate(r, "DELETE", r->x->b->id, revoke, ""), 404);
	assert_int_equal(look(r, token, a), 200);
	assert_int_equal(operate(r, "DELETE", a, revoke, ""), 200);
	assert_int_equal(look(r, token, a), 401);
	again(r);
	assert_int_equal(look(r, token, r->x->a->id), 401);
	assert_int_equal(look(r, r->a, r->x->a->id), 200);
}

/* With force or without: only what belongs to the project is removed. */
static void test_others_stay(void **state)
{
	struct rest *r = *state;
	struct worker *a = worker(r->x, r->x->a, "c", (struct worker_spec){0});
	struct worker *b = worker(r->x, r->x->b, "c", (struct worker_spec){0});
	const struct submit late = {.priority = -1, .delay_s = 3600};
	const char *mine = submit(r->x, a, late), *waits = submit(r->x, b, late);
	const char *runs = submit(r->x, b, plain);
	char id[PROJECT_ID_LEN + 1];

	assert_string_equal(started(r->x), runs);
	assert_int_equal(operate(r, "POST", "", "", "{\"name\": \"empty\"}"), 201);
	(void)snprintf(id, sizeof(id), "%s", rest_text(r, "id"));
	assert_int_equal(operate(r, "DELETE", id, "", ""), 200);
	assert_int_equal(operate(r, "DELETE", r->x->a->id, "", ""), 409);
	rest_said(r, "tasks of the project a wait or run (1)");
	assert_int_equal(record(r->x, mine).state, TASK_QUEUED);
	(void)snprintf(id, sizeof(id), "%s", r->x->a->id);
	while (operate(r, "DELETE", id, "?force=1", "") == 503)
		settle(r->x);
	assert_int_equal(look(r, r->operator, id), 404);
	assert_int_equal(record(r->x, waits).cancel_ns, 0);
	assert_int_equal(registry_find(r->x->f, runs)->rec.cancel_ns, 0);
	assert_int_equal(queue_length(r->x->f), 1);
	assert_ptr_equal(r->x->b->workers, b);
	finish(r->x, runs, VERDICT_OK);
	assert_int_equal(record(r->x, runs).state, TASK_COMPLETE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_REST(test_life),
		WITH_REST(test_others_stay),
		WITH_REST(test_tokens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
