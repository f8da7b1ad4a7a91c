// SPDX-License-Identifier: Apache-2.0
/* Secrets in the store: by project and worker, when they have changed, and how many there may be. */
#include "tests/unit/store_rig.h"

#include "supervisor/front/store/secrets.h"

static const struct schema *const secret_schemas[] = {&projects_schema, &secrets_schema, NULL};

static int setup_secrets(void **state)
{
	struct fixture *x;
	struct err e;

	assert_int_equal(setup(state), 0);
	x = *state;
	store_free(x->store);
	assert_int_equal(unlinkat(x->fd, "tasks.db", 0), 0);
	assert_int_equal(store_open(x->fd, secret_schemas, &x->store, &e), 0);
	return 0;
}

static int put(struct fixture *x, const char *project, const char *worker, const char *name,
	       const char *sealed, size_t len, uint64_t at, struct err *e)
{
	const struct secret_row row = {project, worker, name, at, sealed, len};

	assert_int_equal(store_begin(x->store, e), 0);
	return store_end(x->store, store_secret_put(x->store, &row, e), e);
}

static int see(void *arg, const struct secret_row *row)
{
	char *text = arg;

	(void)snprintf(text + strlen(text), 200 - strlen(text), "%s/%s/%s=%.*s@%llu ", row->project,
		       row->worker, row->name, (int)row->len, (const char *)row->sealed,
		       (unsigned long long)row->changed_ns);
	return 0;
}

static void expect(struct fixture *x, const char *project, const char *worker, const char *want)
{
	char text[200] = "";
	struct err e;

	assert_int_equal(store_secrets(x->store, project, worker, NULL, see, text, &e), 0);
	assert_string_equal(text, want);
}

static void expect_changed(struct fixture *x, const char *worker, uint64_t want)
{
	uint64_t at = 1;
	struct err e;

	assert_int_equal(store_secrets_changed(x->store, "p", worker, &at, &e), 0);
	assert_int_equal(at, want);
}

static void test_rows(void **state)
{
	struct fixture *x = *state;
	struct err e;

	expect(x, "p", "w", "");
	expect_changed(x, "w", 0);
	assert_int_equal(put(x, "p", "w", "B", "b\0b", 1, 5, &e), 0);
	assert_int_equal(put(x, "p", "w", "A", "one", 3, 6, &e), 0);
	assert_int_equal(put(x, "p", "v", "A", "other", 5, 7, &e), 0);
	assert_int_equal(put(x, "q", "w", "A", "another", 7, 8, &e), 0);
	assert_int_equal(put(x, "p", "w", "A", "two", 3, 9, &e), 0);
	expect(x, "p", "w", "p/w/A=two@9 p/w/B=b@5 ");
	expect_changed(x, "w", 9);
	expect_changed(x, "v", 7);

	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_secret_delete(x->store, "p", "w", "A", 11, &e), 0);
	assert_int_equal(store_secret_delete(x->store, "p", "w", "A", 12, &e), -ENOENT);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_int_equal(store_end(x->store, 0, &e), 0);
	expect(x, "p", "w", "p/w/B=b@5 ");
	expect_changed(x, "w", 11);

	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_secrets_delete(x->store, "p", "w", &e), 0);
	assert_int_equal(store_end(x->store, 0, &e), 0);
	expect(x, "p", "w", "");
	expect_changed(x, "w", 0);
	expect(x, "p", "v", "p/v/A=other@7 ");
	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_secrets_delete(x->store, "p", NULL, &e), 0);
	assert_int_equal(store_end(x->store, 0, &e), 0);
	expect(x, NULL, NULL, "q/w/A=another@8 ");
}

static void put_version(struct fixture *x, const char *version, const char *name,
			const char *sealed)
{
	const struct secret_row row = {"p", "w", name, 9, sealed, sealed ? strlen(sealed) : 0};
	struct err e = {0};

	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(
		store_end(x->store, store_version_secret_put(x->store, version, &row, &e), &e), 0);
}

static void expect_of(struct fixture *x, const char *version, const char *want)
{
	char text[200] = "";
	struct err e;

	assert_int_equal(store_secrets(x->store, "p", "w", version, see, text, &e), 0);
	assert_string_equal(text, want);
}

/* What a version has of its own is in the place of its worker's, and nobody else's. */
static void test_versions(void **state)
{
	struct fixture *x = *state;
	struct err e;

	assert_int_equal(put(x, "p", "w", "A", "a", 1, 5, &e), 0);
	assert_int_equal(put(x, "p", "w", "B", "b", 1, 5, &e), 0);
	put_version(x, "v1", "A", "own");
	put_version(x, "v1", "B", NULL);
	put_version(x, "v1", "C", "c");
	expect(x, "p", "w", "p/w/A=a@5 p/w/B=b@5 ");
	expect_of(x, "v1", "p/w/A=own@9 p/w/C=c@9 ");
	expect_of(x, "v2", "p/w/A=a@5 p/w/B=b@5 ");
	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_version_secrets_copy(x->store, "v1", "v2", &e), 0);
	assert_int_equal(store_end(x->store, 0, &e), 0);
	put_version(x, "v2", "A", "other");
	expect_of(x, "v2", "p/w/A=other@9 p/w/C=c@9 ");
	expect_of(x, "v1", "p/w/A=own@9 p/w/C=c@9 ");
	/* What is set or removed of the worker is so of all. */
	assert_int_equal(put(x, "p", "w", "B", "new", 3, 10, &e), 0);
	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_secret_delete(x->store, "p", "w", "C", 11, &e), 0);
	assert_int_equal(store_secret_delete(x->store, "p", "w", "C", 11, &e), -ENOENT);
	assert_int_equal(store_version_secrets_delete(x->store, "v1", &e), 0);
	assert_int_equal(store_end(x->store, 0, &e), 0);
	expect_of(x, "v1", "p/w/A=a@5 p/w/B=new@10 ");
	expect_of(x, "v2", "p/w/A=other@9 p/w/B=new@10 ");
	/* Those of versions count as secrets where the key is tried, and go with the worker. */
	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_secret_delete(x->store, "p", "w", "B", 12, &e), 0);
	assert_int_equal(store_end(x->store, 0, &e), 0);
	expect(x, NULL, NULL, "p/w/A=a@5 p/w/A=other@9 ");
	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_secrets_delete(x->store, "p", "w", &e), 0);
	assert_int_equal(store_end(x->store, 0, &e), 0);
	expect(x, NULL, NULL, "");
}

static void test_version_bounds(void **state)
{
	struct fixture *x = *state;
	const struct secret_row row = {"p", "w", "MORE", 9, "s", 1};
	char name[16];
	struct err e;

	for (unsigned i = 0; i < SECRETS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "N%u", i);
		put_version(x, "v", name, "s");
	}
	assert_int_equal(store_begin(x->store, &e), 0);
	assert_true(store_end(x->store, store_version_secret_put(x->store, "v", &row, &e), &e) < 0);
	assert_int_equal(e.code, ERR_LIMIT);
	put_version(x, "other", "MORE", "s");
}

static void test_bounds(void **state)
{
	struct fixture *x = *state;
	static char big[SECRETS_BYTES_MAX / 4 + 1];
	char name[16];
	struct err e;

	for (unsigned i = 0; i < SECRETS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "N%u", i);
		assert_int_equal(put(x, "p", "w", name, "s", 1, 1, &e), 0);
	}
	assert_true(put(x, "p", "w", "more", "s", 1, 1, &e) < 0);
	assert_int_equal(e.code, ERR_LIMIT);
	/* In place of one there is room, and for another worker. */
	assert_int_equal(put(x, "p", "w", "N0", "t", 1, 1, &e), 0);
	for (unsigned i = 0; i < 3; i++) {
		(void)snprintf(name, sizeof(name), "N%u", i);
		assert_int_equal(put(x, "p", "v", name, big, sizeof(big), 1, &e), 0);
	}
	assert_true(put(x, "p", "v", "N3", big, sizeof(big), 1, &e) < 0);
	assert_int_equal(e.code, ERR_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rows, setup_secrets, teardown),
		cmocka_unit_test_setup_teardown(test_versions, setup_secrets, teardown),
		cmocka_unit_test_setup_teardown(test_version_bounds, setup_secrets, teardown),
		cmocka_unit_test_setup_teardown(test_bounds, setup_secrets, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
