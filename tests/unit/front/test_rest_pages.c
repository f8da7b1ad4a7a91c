// SPDX-License-Identifier: Apache-2.0
/* Lists over HTTP: each thing once, whatever the size of a page. */
#include "tests/unit/rest_rig.h"

static void worker_named(struct rest *r, const char *name)
{
	(void)worker(r->x, r->x->a, name, (struct worker_spec){0});
}

/* Pages of two until one is empty: all of them, in one line. */
static const char *by_twos(struct rest *r, const char *path, const char *list, const char *key)
{
	static char all[512];
	char at[128];
	size_t n = 0;

	all[0] = '\0';
	for (int page = 0;; page++) {
		const char *these;

		(void)snprintf(at, sizeof(at), "%s?page=%d&per_page=2", path, page);
		assert_int_equal(rest_a(r, "2", "GET", at, ""), 200);
		these = rest_list(r, list, key);
		if (!*these)
			return all;
		n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s", n ? "|" : "", these);
		assert_true(n < sizeof(all));
	}
}

static void test_codes(void **state)
{
	struct rest *r = *state;

	for (int i = 0; i < 5; i++)
		worker_named(r, (const char *[]){"c0", "c1", "c2", "c3", "c4"}[i]);
	assert_string_equal(by_twos(r, "/codes", "codes", "name"), "c4 c3|c2 c1|c0");
	assert_int_equal(rest_a(r, "2", "GET", "/codes?per_page=0", ""), 200);
	assert_string_equal(rest_list(r, "codes", "name"), "c4");
	assert_int_equal(rest_a(r, "2", "GET", "/codes?page=4294967295", ""), 400);
	rest_said(r, "page: must be");
}

static void test_revisions(void **state)
{
	struct rest *r = *state;
	char path[64];

	for (int i = 0; i < 5; i++)
		worker_named(r, "again");
	(void)snprintf(path, sizeof(path), "/codes/%s/revisions", r->x->a->workers->id);
	assert_string_equal(by_twos(r, path, "revisions", "rev"), "5 4|3 2|1");
	assert_int_equal(rest_a(r, "2", "GET", path, ""), 200);
	assert_string_equal(rest_list(r, "revisions", "rev"), "5 4 3 2 1");
}

static void test_schedules(void **state)
{
	struct rest *r = *state;
	char body[256];

	worker_named(r, "plan");
	for (int i = 0; i < 5; i++) {
		(void)snprintf(body, sizeof(body),
			       "{\"schedules\": [{\"code_name\": \"plan\", \"label\": \"s%d\", "
			       "\"start_at\": \"2099-01-01T00:00:00Z\"}]}",
			       i);
		assert_int_equal(rest_a(r, "2", "POST", "/schedules", body), 200);
	}
	assert_string_equal(by_twos(r, "/schedules", "schedules", "label"), "s4 s3|s2 s1|s0");
}

#define WAITS "{\"code_name\": \"c\", \"delay\": 3600, \"label\": \"%s\"}"

static void queue_labels(struct rest *r, const char *const *labels, size_t n)
{
	char body[1024] = "{\"tasks\": [";

	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(body);

		(void)snprintf(body + len, sizeof(body) - len, "%s" WAITS, i ? "," : "", labels[i]);
	}
	strcat(body, "]}");
	assert_int_equal(rest_a(r, "2", "POST", "/tasks", body), 200);
}

static void test_tasks(void **state)
{
	static const char *const labels[] = {"m0", "m1", "m2", "m3", "m4"};
	struct rest *r = *state;
	char path[128];

	worker_named(r, "c");
	queue_labels(r, labels, 5);
	assert_string_equal(by_twos(r, "/tasks", "tasks", "label"), "m4 m3|m2 m1|m0");
	assert_int_equal(rest_a(r, "api", "GET", "/tasks?limit=3", ""), 200);
	assert_string_equal(rest_list(r, "tasks", "label"), "m4 m3 m2");
	(void)snprintf(path, sizeof(path), "/tasks?limit=2&before=%s", rest_text(r, "before"));
	assert_int_equal(rest_a(r, "api", "GET", path, ""), 200);
	assert_string_equal(rest_list(r, "tasks", "label"), "m1 m0");
	/* The last page is full, and nothing follows it. */
	assert_true(json_is_null(json_object_get(r->body, "before")));
	assert_int_equal(rest_a(r, "api", "GET", "/tasks?limit=100&status=preparing,queued", ""),
			 200);
	assert_string_equal(rest_list(r, "tasks", "label"), "m4 m3 m2 m1 m0");
	assert_int_equal(rest_a(r, "api", "GET", "/tasks?limit=101", ""), 400);
	assert_int_equal(rest_a(r, "api", "GET", "/tasks?limit=0", ""), 400);
}

/* A bound is the first time that is in the list, or the first that is not. */
static void test_times(void **state)
{
	static const char *const labels[] = {"m"};
	uint64_t second = util_realtime_ns() / SEC;
	struct rest *r = *state;
	char path[128];

	worker_named(r, "c");
	queue_labels(r, labels, 1);
	(void)snprintf(path, sizeof(path), "/tasks?from_time=%llu", (unsigned long long)second);
	assert_int_equal(rest_a(r, "2", "GET", path, ""), 200);
	assert_string_equal(rest_list(r, "tasks", "label"), "m");
	(void)snprintf(path, sizeof(path), "/tasks?from_time=%llu",
		       (unsigned long long)second + 3600);
	assert_int_equal(rest_a(r, "2", "GET", path, ""), 200);
	assert_string_equal(rest_list(r, "tasks", "label"), "");
	(void)snprintf(path, sizeof(path), "/tasks?to_time=%llu", (unsigned long long)second);
	assert_int_equal(rest_a(r, "2", "GET", path, ""), 200);
	assert_string_equal(rest_list(r, "tasks", "label"), "");
	assert_int_equal(rest_a(r, "api", "GET", "/tasks?from=2099-01-01T00:00:00Z", ""), 200);
	assert_string_equal(rest_list(r, "tasks", "label"), "");
	assert_int_equal(rest_a(r, "api", "GET", "/tasks?to=2099-01-01T00:00:00Z", ""), 200);
	assert_string_equal(rest_list(r, "tasks", "label"), "m");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_REST(test_codes), WITH_REST(test_revisions), WITH_REST(test_schedules),
		WITH_REST(test_tasks), WITH_REST(test_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
