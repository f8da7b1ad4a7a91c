// SPDX-License-Identifier: Apache-2.0
/* HTTP workers in the store: rows are what was written, in their order, and go with their owner. */
#include "tests/unit/store_rig.h"

#include "supervisor/front/store/web.h"

static const struct schema *const web_schemas[] = {&projects_schema, &web_schema, NULL};

static int setup_web(void **state)
{
	struct fixture *x;
	struct err e;

	assert_int_equal(setup(state), 0);
	x = *state;
	store_free(x->store);
	assert_int_equal(unlinkat(x->fd, "tasks.db", 0), 0);
	assert_int_equal(store_open(x->fd, web_schemas, &x->store, &e), 0);
	return 0;
}

static struct web_worker_row worker(const char *id, const char *project, const char *name)
{
	struct web_worker_row row = {
		.created_ns = 11, .changed_ns = 12, .last_version = 13, .last_deployment = 14};

	strcpy(row.id, id);
	strcpy(row.project, project);
	strcpy(row.name, name);
	return row;
}

static struct web_version_row version(const char *of, uint32_t number, const char *id)
{
	static char manifest[] = "{\"name\":\"hello\"}", note[] = "not dedicated: a lock";
	struct web_version_row row = {
		.number = number,
		.created_ns = 21,
		.source = "wrangler",
		.message = "first",
		.tag = "v1",
		.image = "web",
		.package_bytes = 1ULL << 40,
		.package_files = 23,
		.snapshot = WEB_SNAPSHOT_PACKAGE,
		.manifest = manifest,
		.note = note,
	};

	strcpy(row.worker, of);
	strcpy(row.id, id);
	memset(row.image_digest, 0xa1, 32);
	memset(row.package, 0xb2, 32);
	return row;
}

static struct web_deployment_row deployment(const char *of, uint32_t number)
{
	struct web_deployment_row row = {.number = number,
					 .id = "d",
					 .created_ns = 31,
					 .source = "sandboxctl",
					 .message = "m",
					 .version_1 = "v-1",
					 .version_2 = "v-2",
					 .percent_1 = 30};

	strcpy(row.worker, of);
	return row;
}

static void begin(struct fixture *x)
{
	struct err e;

	assert_int_equal(store_begin(x->store, &e), 0);
}

static void end(struct fixture *x)
{
	struct err e;

	assert_int_equal(store_end(x->store, 0, &e), 0);
}

struct seen {
	unsigned n;
	struct web_worker_row workers[4];
	struct web_version_row versions[4];
	struct web_deployment_row deployments[4];
};

static int see_worker(void *arg, const struct web_worker_row *row)
{
	struct seen *s = arg;

	s->workers[s->n++] = *row;
	return 0;
}

static int see_version(void *arg, struct web_version_row *row)
{
	struct seen *s = arg;

	s->versions[s->n++] = *row;
	row->manifest = row->note = NULL;
	return 0;
}

static int see_deployment(void *arg, const struct web_deployment_row *row)
{
	struct seen *s = arg;

	s->deployments[s->n++] = *row;
	return 0;
}

static void test_rows(void **state)
{
	struct fixture *x = *state;
	const struct web_worker_row w = worker("w1", "p1", "hello");
	const struct web_worker_row again = worker("w2", "p1", "hello");
	struct web_version_row v1 = version("w1", 1, "v-1"), v2 = version("w1", 2, "v-2");
	const struct web_deployment_row d = deployment("w1", 1);
	struct seen s = {0};
	struct err e;

	begin(x);
	assert_int_equal(store_web_worker_put(x->store, &w, &e), 0);
	assert_int_equal(store_web_version_put(x->store, &v1, &e), 0);
	assert_int_equal(store_web_version_put(x->store, &v2, &e), 0);
	assert_int_equal(store_web_deployment_insert(x->store, &d, &e), 0);
	end(x);

	assert_int_equal(store_web_workers(x->store, see_worker, &s, &e), 0);
	assert_int_equal(s.n, 1);
	assert_memory_equal(&s.workers[0], &w, sizeof(w));
	s.n = 0;
	assert_int_equal(store_web_versions(x->store, "w1", see_version, &s, &e), 0);
	assert_int_equal(s.n, 2);
	for (int i = 0; i < 2; i++) {
		struct web_version_row *got = &s.versions[i], *want = i ? &v1 : &v2;

		assert_string_equal(got->manifest, want->manifest);
		assert_string_equal(got->note, want->note);
		web_version_row_clear(got);
		got->manifest = want->manifest;
		got->note = want->note;
		assert_memory_equal(got, want, sizeof(*want));
	}
	s.n = 0;
	assert_int_equal(store_web_deployments(x->store, "w1", 9, see_deployment, &s, &e), 0);
	assert_int_equal(s.n, 1);
	assert_memory_equal(&s.deployments[0], &d, sizeof(d));

	/* A name is taken once in a project. */
	begin(x);
	assert_true(store_web_worker_put(x->store, &again, &e) < 0);
	assert_true(store_end(x->store, -EEXIST, &e) < 0);
	s.n = 0;
	assert_int_equal(store_web_workers(x->store, see_worker, &s, &e), 0);
	assert_int_equal(s.n, 1);
}

static void test_deployments(void **state)
{
	struct fixture *x = *state;
	struct seen s = {0};
	struct err e;

	begin(x);
	for (uint32_t i = 1; i <= WEB_VERSIONS_MAX + 3; i++) {
		const struct web_deployment_row d = deployment("w1", i);

		assert_int_equal(store_web_deployment_insert(x->store, &d, &e), 0);
	}
	end(x);
	assert_int_equal(store_web_deployments(x->store, "w1", 2, see_deployment, &s, &e), 0);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.deployments[0].number, WEB_VERSIONS_MAX + 3);
	assert_int_equal(s.deployments[1].number, WEB_VERSIONS_MAX + 2);
}

static void test_removal(void **state)
{
	struct fixture *x = *state;
	static const struct {
		const char *id, *project, *name;
	} all[] = {{"w1", "p1", "a"}, {"w2", "p1", "b"}, {"w3", "p2", "a"}};
	struct seen s = {0};
	struct err e;

	begin(x);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		const struct web_worker_row w = worker(all[i].id, all[i].project, all[i].name);
		const struct web_version_row v = version(all[i].id, 1, all[i].id);
		const struct web_deployment_row d = deployment(all[i].id, 1);

		assert_int_equal(store_web_worker_put(x->store, &w, &e), 0);
		assert_int_equal(store_web_version_put(x->store, &v, &e), 0);
		assert_int_equal(store_web_deployment_insert(x->store, &d, &e), 0);
	}
	assert_int_equal(store_web_worker_delete(x->store, "w1", &e), 0);
	end(x);
	assert_int_equal(store_web_versions(x->store, "w1", see_version, &s, &e), 0);
	assert_int_equal(store_web_deployments(x->store, "w1", 9, see_deployment, &s, &e), 0);
	assert_int_equal(s.n, 0);

	begin(x);
	assert_int_equal(store_web_delete_project(x->store, "p1", &e), 0);
	end(x);
	assert_int_equal(store_web_workers(x->store, see_worker, &s, &e), 0);
	assert_int_equal(s.n, 1);
	assert_string_equal(s.workers[0].id, "w3");
	s.n = 0;
	assert_int_equal(store_web_versions(x->store, "w2", see_version, &s, &e), 0);
	assert_int_equal(store_web_deployments(x->store, "w2", 9, see_deployment, &s, &e), 0);
	assert_int_equal(s.n, 0);
	assert_int_equal(store_web_deployments(x->store, "w3", 9, see_deployment, &s, &e), 0);
	assert_int_equal(s.n, 1);

	begin(x);
	assert_int_equal(store_web_version_delete(x->store, "w3", 1, &e), 0);
	end(x);
	s.n = 0;
	assert_int_equal(store_web_versions(x->store, "w3", see_version, &s, &e), 0);
	assert_int_equal(s.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rows, setup_web, teardown),
		cmocka_unit_test_setup_teardown(test_deployments, setup_web, teardown),
		cmocka_unit_test_setup_teardown(test_removal, setup_web, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
