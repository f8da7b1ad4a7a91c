// SPDX-License-Identifier: Apache-2.0
/* Every row of the tables, by who may not: another project's token, none, a tenant's where an
 * operator's is needed, and ids that are another project's. A row that is new is in it too. */
#include "supervisor/front/store/query.h"
#include "tests/unit/rest_rig.h"

struct things {
	const char *worker, *task, *schedule;
};

/* What stands for the other {} of a path. */
static const char *thing_of(const char *path, const struct things *things)
{
	if (strstr(path, "/codes/{}"))
		return things->worker;
	if (strstr(path, "/tasks/{}"))
		return things->task;
	if (strstr(path, "/schedules/{"))
		return things->schedule;
	if (strstr(path, "/{app}"))
		return "absent";
	return "000000000000000000000000";
}

/* The row's path with its {} filled in. */
static const char *path_of(const struct http_route *row, const char *project,
			   const struct things *things)
{
	static char path[512];
	const char *from = row->path, *at;
	size_t n = 0;

	for (int i = 0; (at = strchr(from, '{')); i++, from = strchr(at, '}') + 1)
		n += (size_t)snprintf(path + n, sizeof(path) - n, "%.*s%s", (int)(at - from), from,
				      i == 0 && (strstr(row->path, "/projects/{") ||
						 strstr(row->path, "/accounts/{"))
					      ? project
					      : thing_of(row->path, things));
	(void)snprintf(path + n, sizeof(path) - n, "%s", from);
	return path;
}

static bool has_two(const char *path)
{
	return strchr(path, '{') != strrchr(path, '{');
}

/* What it names need not be there, it is made (x-creates in openapi.json), by an upload or as a secret,
 * and must be a secret's name then. An app has variables before it has a service. */
static bool makes(const struct http_route *row)
{
	return row->form_max || strstr(row->path, "/secrets/") || strstr(row->path, "/variables") ||
	       strstr(row->path, "/assets-upload-session") ||
	       (strstr(row->path, "/secrets") && strcmp(row->method, "PUT") == 0);
}

/* A worker, a task that waits and a schedule of project a. */
static struct things make_things(struct rest *r)
{
	static const char body[] =
		"{\"schedules\": [{\"code_name\": \"c\", \"start_at\": \"2099-01-01T00:00:00Z\"}]}";
	struct worker *c = worker(r->x, r->x->a, "c", (struct worker_spec){0});
	const struct submit waits = {.priority = -1, .delay_s = 3600};
	struct things things = {.worker = c->id, .task = submit(r->x, c, waits)};

	settle(r->x);
	assert_int_equal(rest_a(r, "2", "POST", "/schedules", body), 200);
	things.schedule = r->x->a->schedules->first->id;
	return things;
}

/* All of project a is as it was made. */
static void check_things(struct rest *r, const struct things *things)
{
	const struct project *a = r->x->a;
	unsigned n = 0;

	assert_int_equal(a->n_workers, 1);
	assert_false(a->workers->paused);
	assert_int_equal(a->n_tokens, 2);
	assert_int_equal(a->quota.queued, 0);
	assert_int_equal(a->schedules->first->state, SCHEDULE_SCHEDULED);
	assert_null(a->schedules->first->next);
	assert_int_equal(record(r->x, things->task).state, TASK_QUEUED);
	assert_int_equal(record(r->x, things->task).percent, 0);
	assert_int_equal(queue_length(r->x->f), 1);
	assert_non_null(project_find(r->x->f, "b"));
	for (const struct project *p = r->x->f->core->projects; p; p = p->next)
		n++;
	assert_int_equal(n, 3);
}

static void refused(struct rest *r, const struct http_route *row, const char *token,
		    const char *project, const struct things *things, unsigned status)
{
	/* What is read of a body before its thing is looked for must be right. */
	const char *body = strcmp(row->method, "GET") == 0	   ? ""
			   : strstr(row->path, "/bulk/get")	   ? "{\"keys\": [\"k\"]}"
			   : strstr(row->path, "/secrets-bulk")	   ? "{\"secrets\": {}}"
			   : strstr(row->path, "/assets-")	   ? "{\"manifest\": {}}"
			   : strstr(row->path, "/variables")	   ? "{\"variables\": {}}"
			   : strstr(row->path, "{worker}/items")   ? "{\"items\": [1]}"
			   : strstr(row->path, "/background/")	   ? "{}"
			   : strstr(row->path, "/scale")	   ? "{\"instances\": 1}"
			   : strstr(row->path, "/restart")	   ? "{}"
			   : strstr(row->path, "{service}/deploy") ? "{\"revision\": \"latest\"}"
			   : !strstr(row->path, "/bulk")	   ? NULL
			   : strcmp(row->method, "PUT") == 0
				   ? "[{\"key\": \"k\", \"value\": \"v\"}]"
				   : "[\"k\"]";
	body = body					     ? body
	       : strstr(row->path, "/http/workers/{name}/t") ? "{}" /* trigger, test */
	       : strcmp(row->method, "PUT") == 0	     ? "{\"priority\": 1}"
							     : "{\"percent\": 50}";
	unsigned was;

	/* What bounds the rate of wrong tokens is tested elsewhere. */
	r->x->f->serve->http->failed_next_ns = 0;
	was = rest(r, token, row->method, path_of(row, project, things), body);

	if (was != status)
		fail_msg("%s %s: %u, not %u: %s", row->method, row->path, was, status, r->text);
}

static void test_matrix(void **state)
{
	struct rest *r = *state;
	const struct things things = make_things(r);
	unsigned n = 0, n_things = 0, n_tables;
	const struct http_route *const *tables = verb_tables(front_capabilities, &n_tables);

	for (unsigned i = 0; i < n_tables; i++)
		for (const struct http_route *row = tables[i]; row->path; row++) {
			if (row->who == WHO_ANYBODY)
				continue;
			n++;
			refused(r, row, "", r->x->a->id, &things, 401);
			refused(r, row, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", r->x->a->id,
				&things, 401);
			if (row->who == WHO_OPERATOR)
				refused(r, row, r->a, r->x->a->id, &things, 403);
			if (row->who == WHO_PROJECT)
				refused(r, row, r->b, r->x->a->id, &things, 404);
			if (row->who != WHO_PROJECT || !has_two(row->path) || makes(row))
				continue;
			n_things++;
			refused(r, row, r->b, r->x->b->id, &things, 404);
			refused(r, row, r->operator, r->x->b->id, &things, 404);
		}
	/* The control: so many rows were there to be asked. */
	assert_true(n > 60);
	assert_true(n_things > 25);
	check_things(r, &things);
	free((void *)tables);
}

/* What is listed, and who may page by what. */
static void test_lists(void **state)
{
	struct rest *r = *state;
	const struct things things = make_things(r);
	struct worker *theirs = worker(r->x, r->x->b, "c", (struct worker_spec){0});
	const char *task = submit(r->x, theirs, plain);
	char path[256];

	settle(r->x);
	assert_int_equal(rest_a(r, "2", "GET", "/tasks", ""), 200);
	assert_string_equal(rest_list(r, "tasks", "id"), things.task);
	assert_int_equal(rest_a(r, "api", "GET", "/tasks?code_name=c", ""), 200);
	assert_string_equal(rest_list(r, "tasks", "id"), things.task);
	/* Another's id tells nothing of when it was. */
	(void)snprintf(path, sizeof(path), "/tasks?before=%s", task);
	assert_int_equal(rest_a(r, "api", "GET", path, ""), 200);
	assert_string_equal(rest_list(r, "tasks", "id"), "");
	assert_int_equal(rest_a(r, "2", "GET", "/codes", ""), 200);
	assert_string_equal(rest_list(r, "codes", "id"), things.worker);
	assert_int_equal(rest(r, r->a, "GET", "/api/projects", ""), 200);
	assert_string_equal(rest_list(r, "projects", "name"), "a");
	assert_int_equal(rest(r, r->operator, "GET", "/api/projects", ""), 200);
	assert_string_equal(rest_list(r, "projects", "name"), "a b default");
}

static void test_tokens(void **state)
{
	struct rest *r = *state;
	struct project *a = r->x->a;
	char path[128], text[TOKEN_LEN + 1];
	struct err e = {0};

	(void)snprintf(path, sizeof(path), "/2/projects/%s?oauth=%s", a->id, r->a);
	assert_int_equal(rest(r, "", "GET", path, ""), 200);
	/* One character more, less or other. */
	(void)snprintf(path, sizeof(path), "/2/projects/%s", a->id);
	memcpy(text, r->a, sizeof(text));
	text[0] = text[0] == 'A' ? 'B' : 'A';
	assert_int_equal(rest(r, text, "GET", path, ""), 401);
	memcpy(text, r->a, sizeof(text));
	text[TOKEN_LEN - 1] = '\0';
	assert_int_equal(rest(r, text, "GET", path, ""), 401);
	/* A revoked token opens nothing; the other one still does. */
	assert_int_equal(committed(r->x->f, token_revoke(r->x->f, a, a->tokens->next->id, &e), &e),
			 0);
	assert_int_equal(rest(r, r->a, "GET", path, ""), 401);
	assert_int_equal(rest(r, r->operator, "GET", path, ""), 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_REST(test_matrix),
		WITH_REST(test_lists),
		WITH_REST(test_tokens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
