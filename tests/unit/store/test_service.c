// SPDX-License-Identifier: Apache-2.0
/* Services in the store: rows are what was written, in their order, and go with their owner. */
#include "tests/unit/store_rig.h"

#include "supervisor/front/store/service.h"

static const struct schema *const service_schemas[] = {&projects_schema, &service_schema, NULL};

static int setup_service(void **state)
{
	struct fixture *x;
	struct err e;

	assert_int_equal(setup(state), 0);
	x = *state;
	store_free(x->store);
	assert_int_equal(unlinkat(x->fd, "tasks.db", 0), 0);
	assert_int_equal(store_open(x->fd, service_schemas, &x->store, &e), 0);
	return 0;
}

static struct service_row service(const char *id, const char *app, const char *name)
{
	struct service_row row = {.created_ns = 11,
				  .changed_ns = 12,
				  .last_version = 13,
				  .live = 12,
				  .previous = 11,
				  .instances = 3,
				  .memory = 1ULL << 33,
				  .data_bytes = 1ULL << 34};

	strcpy(row.id, id);
	strcpy(row.project, "p1");
	strcpy(row.app, app);
	strcpy(row.name, name);
	return row;
}

static struct service_version_row version(const char *of, uint32_t number)
{
	static char manifest[] = "{\"format\":1}";
	struct service_version_row row = {.number = number,
					  .created_ns = 21,
					  .source = "sandboxctl",
					  .message = "first",
					  .image = "web",
					  .package_bytes = 1ULL << 40,
					  .package_files = 23,
					  .manifest = manifest};

	strcpy(row.service, of);
	(void)snprintf(row.revision, sizeof(row.revision), "r%u", number);
	memset(row.image_digest, 0xa1, 32);
	memset(row.package, 0xb2, 32);
	return row;
}

struct seen {
	unsigned n;
	struct service_row services[4];
	struct service_version_row versions[4];
	char env[4][2][160];
};

static int see_service(void *arg, const struct service_row *row)
{
	struct seen *s = arg;

	s->services[s->n++] = *row;
	return 0;
}

static int see_version(void *arg, struct service_version_row *row)
{
	struct seen *s = arg;

	s->versions[s->n++] = *row;
	row->manifest = NULL;
	return 0;
}

static int see_env(void *arg, struct service_env_row *row)
{
	struct seen *s = arg;

	(void)snprintf(s->env[s->n][0], 160, "%s", row->name);
	(void)snprintf(s->env[s->n++][1], 160, "%s", row->value);
	return 0;
}

static void put_env(struct fixture *x, const char *app, const char *name, const char *value)
{
	struct service_env_row row = {.project = "p1", .value = (char *)value};
	struct err e;

	(void)snprintf(row.app, sizeof(row.app), "%s", app);
	(void)snprintf(row.name, sizeof(row.name), "%s", name);
	assert_int_equal(store_service_env_put(x->store, &row, &e), 0);
}

static unsigned n_env(struct fixture *x, const char *app)
{
	struct seen s = {0};
	struct err e;

	assert_int_equal(store_service_env(x->store, "p1", app, see_env, &s, &e), 0);
	return s.n;
}

static void test_rows(void **state)
{
	struct fixture *x = *state;
	struct service_row www = service("s1", "shop", "www"), api = service("s2", "shop", "api");
	struct service_version_row v1 = version("s1", 1), v2 = version("s1", 2);
	struct seen s = {0};
	struct err e;

	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_service_put(x->store, &www, &e), 0);
	assert_int_equal(store_service_put(x->store, &api, &e), 0);
	www.live = 2;
	assert_int_equal(store_service_put(x->store, &www, &e), 0);
	assert_int_equal(store_service_version_put(x->store, &v1, &e), 0);
	assert_int_equal(store_service_version_put(x->store, &v2, &e), 0);
	put_env(x, "shop", "B", "2");
	put_env(x, "shop", "A", "1");
	put_env(x, "shop", "B", "3");
	put_env(x, "other", "C", "");
	assert_int_equal(store_end(x->store, 0, &e), 0);

	assert_int_equal(store_services(x->store, see_service, &s, &e), 0);
	assert_int_equal(s.n, 2);
	assert_memory_equal(&s.services[0], &www, sizeof(www));
	assert_string_equal(s.services[1].name, "api");
	s = (struct seen){0};
	assert_int_equal(store_service_versions(x->store, "s1", see_version, &s, &e), 0);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.versions[0].number, 2);
	assert_string_equal(s.versions[0].manifest, v2.manifest);
	assert_string_equal(s.versions[1].revision, "r1");
	assert_memory_equal(s.versions[1].package, v1.package, 32);
	service_version_row_clear(&s.versions[0]);
	service_version_row_clear(&s.versions[1]);
	s = (struct seen){0};
	assert_int_equal(store_service_env(x->store, "p1", "shop", see_env, &s, &e), 0);
	assert_int_equal(s.n, 2);
	assert_string_equal(s.env[0][0], "A");
	assert_string_equal(s.env[1][1], "3");
	/* Another service of a name that is taken. */
	api = service("s3", "shop", "www");
	assert_true(store_service_put(x->store, &api, &e) < 0);
}

static void test_removal(void **state)
{
	struct fixture *x = *state;
	const struct service_row www = service("s1", "shop", "www"),
				 api = service("s2", "shop", "api");
	struct service_version_row v1 = version("s1", 1), v2 = version("s2", 1);
	struct seen s = {0};
	struct err e;

	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_service_put(x->store, &www, &e), 0);
	assert_int_equal(store_service_put(x->store, &api, &e), 0);
	assert_int_equal(store_service_version_put(x->store, &v1, &e), 0);
	assert_int_equal(store_service_version_put(x->store, &v2, &e), 0);
	put_env(x, "shop", "A", "1");
	put_env(x, "other", "A", "1");
	assert_int_equal(store_service_env_delete(x->store, "p1", "other", "A", &e), 0);
	assert_int_equal(store_service_delete(x->store, &www, &e), 0);
	assert_int_equal(store_end(x->store, 0, &e), 0);
	/* The app has another service. */
	assert_int_equal(n_env(x, "shop"), 1);
	assert_int_equal(n_env(x, "other"), 0);
	assert_int_equal(store_service_versions(x->store, "s1", see_version, &s, &e), 0);
	assert_int_equal(s.n, 0);
	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_service_delete(x->store, &api, &e), 0);
	assert_int_equal(store_end(x->store, 0, &e), 0);
	assert_int_equal(n_env(x, "shop"), 0);

	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_service_put(x->store, &www, &e), 0);
	assert_int_equal(store_service_version_put(x->store, &v1, &e), 0);
	put_env(x, "shop", "A", "1");
	assert_int_equal(store_service_delete_project(x->store, "p1", &e), 0);
	assert_int_equal(store_end(x->store, 0, &e), 0);
	assert_int_equal(n_env(x, "shop"), 0);
	assert_int_equal(store_services(x->store, see_service, &s, &e), 0);
	assert_int_equal(store_service_versions(x->store, "s1", see_version, &s, &e), 0);
	assert_int_equal(s.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rows, setup_service, teardown),
		cmocka_unit_test_setup_teardown(test_removal, setup_service, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
