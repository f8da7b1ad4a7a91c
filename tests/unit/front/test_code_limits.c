// SPDX-License-Identifier: Apache-2.0
/* What a project may have of codes, revisions and waiting tasks, and learn of other projects. */
#include "tests/unit/queue_rig.h"

#include "supervisor/front/store/priv.h"

static int put(struct fixture *x, const char *name, const char *config, uint8_t package,
	       uint64_t bytes, struct err *e)
{
	struct code_spec spec = {.has_package = package != 0, .package_bytes = bytes};
	struct code *c = NULL;
	int r;

	(void)snprintf(spec.name, sizeof(spec.name), "%s", name);
	(void)snprintf(spec.file_name, sizeof(spec.file_name), "main.py");
	strcpy(spec.image, "python");
	if (package)
		memset(spec.package, package, sizeof(spec.package));
	else if (!code_by_name(x->a, name))
		strcpy(spec.command, "true");
	spec.config = config ? strdup(config) : NULL;
	r = code_put(x->f, x->a, &spec, &c, e);
	if (r < 0)
		code_spec_clear(&spec);
	return r;
}

static void test_texts(void **state)
{
	static char config[CODE_CONFIG_MAX + 1];
	struct fixture *x = *state;
	struct err e = {0};
	char name[16];

	memset(config, 'x', CODE_CONFIG_MAX);
	for (unsigned i = 0; i < CODE_TEXTS_MAX / CODE_CONFIG_MAX; i++) {
		(void)snprintf(name, sizeof(name), "c%u", i);
		assert_int_equal(put(x, name, config, 0, 0, &e), 0);
	}
	assert_int_equal(put(x, "more", "x", 0, 0, &e), -E2BIG);
	assert_memory_equal(e.msg, "config: ", 8);
	/* One that takes another's place, and one without any. */
	assert_int_equal(put(x, "c0", config, 1, 1, &e), 0);
	assert_int_equal(put(x, "more", NULL, 0, 0, &e), 0);
	while (x->a->codes)
		assert_int_equal(remove_code(x, x->a->codes, &e), 0);
	assert_int_equal(put(x, "more", "x", 0, 0, &e), 0);
}

static void test_number(void **state)
{
	struct fixture *x = *state;
	struct err e = {0};
	unsigned had;

	assert_int_equal(put(x, "c", NULL, 0, 0, &e), 0);
	had = x->a->n_codes;
	x->a->n_codes = CODES_MAX;
	assert_int_equal(put(x, "d", NULL, 0, 0, &e), -E2BIG);
	assert_int_equal(put(x, "c", NULL, 1, 1, &e), 0);
	x->a->n_codes = had;
	assert_int_equal(put(x, "d", NULL, 0, 0, &e), 0);
}

static int count(void *arg, const struct code_revision *v)
{
	(void)v;
	++*(unsigned *)arg;
	return 0;
}

/* The package that a hundred revisions have is there once, as long as one of them is. */
static void test_revisions(void **state)
{
	struct fixture *x = *state;
	struct code_revision v;
	struct err e = {0};
	unsigned n = 0;

	assert_int_equal(put(x, "c", NULL, 1, 1000, &e), 0);
	for (unsigned i = 0; i < CODE_REVISIONS_MAX; i++)
		assert_int_equal(put(x, "c", NULL, 0, 0, &e), 0);
	assert_int_equal(x->a->package_bytes, 1000);
	assert_int_equal(put(x, "c", NULL, 1, 1000, &e), 0);
	assert_int_equal(x->a->package_bytes, 1000);
	assert_int_equal(put(x, "c", NULL, 2, 50, &e), 0);
	assert_int_equal(x->a->package_bytes, 1050);
	assert_int_equal(code_revisions(x->f, x->a->codes, count, &n, &e), 0);
	assert_int_equal(n, CODE_REVISIONS_MAX);
	assert_int_equal(code_revision_get(x->f, x->a->codes, 1, &v, &e), -ENOENT);
	assert_int_equal(code_revision_get(x->f, x->a->codes, 4, &v, &e), 0);
	assert_int_equal(v.revision, 4);
	restart(x);
	assert_int_equal(x->a->package_bytes, 1050);
	for (unsigned i = 0; i < CODE_REVISIONS_MAX - 1; i++)
		assert_int_equal(put(x, "c", NULL, 0, 0, &e), 0);
	assert_int_equal(x->a->package_bytes, 50);
	/* Without a quota there is a bound too. */
	assert_int_equal(put(x, "c", NULL, 3, CODE_PACKAGES_MAX, &e), -E2BIG);
}

static int rows_with(struct fixture *x, const char *text)
{
	sqlite3_stmt *st = NULL;
	int n;

	assert_int_equal(sqlite3_prepare_v2(x->f->store->db,
					    "SELECT count(*) FROM codes, revisions WHERE "
					    "instr(config, ?1) OR instr(spec, ?1)",
					    -1, &st, NULL),
			 SQLITE_OK);
	(void)sqlite3_bind_text(st, 1, text, -1, SQLITE_STATIC);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	n = sqlite3_column_int(st, 0);
	(void)sqlite3_finalize(st);
	return n;
}

/* What a code was once set up with is not kept. */
static void test_old_texts(void **state)
{
	struct fixture *x = *state;
	struct err e = {0};

	assert_int_equal(put(x, "c", "{\"key\": \"secret one\"}", 1, 1000, &e), 0);
	assert_int_equal(rows_with(x, "secret one") > 0, true);
	assert_int_equal(put(x, "c", "{\"key\": \"secret two\"}", 0, 0, &e), 0);
	assert_int_equal(rows_with(x, "secret one"), 0);
	assert_int_equal(rows_with(x, "secret two") > 0, true);
	restart(x);
	assert_string_equal(x->a->codes->spec.config, "{\"key\": \"secret two\"}");
	assert_int_equal(x->a->package_bytes, 1000);
}

/* What is run again waits as any other. */
static void test_retries_wait_too(void **state)
{
	struct fixture *x = *state;
	struct code *c = code(x, x->a, "c", (struct code_spec){0});
	const char *id = submit(x, c, plain);
	char again[TASK_ID_LEN + 1];
	struct err e = {0};
	bool changed;

	assert_string_equal(started(x), id);
	finish(x, id, VERDICT_EXIT);
	x->a->quota = (struct quota){.queued = 1};
	assert_int_equal(code_pause(x->f, c, true, &changed, &e), 0);
	assert_int_equal(queue_retry(x->f, x->a, id, 0, again, on_done, x, &e), 0);
	assert_int_equal(queue_retry(x->f, x->a, id, 0, again, on_done, x, &e), -E2BIG);
	assert_int_equal(x->a->n_queued, 1);
}

static int count_tasks(void *arg, struct task_record *rec)
{
	(void)rec;
	++*(unsigned *)arg;
	return 0;
}

/* That another project's task is there, and since when, is not told by what is older. */
static void test_others_cursor(void **state)
{
	struct fixture *x = *state;
	struct code *a = code(x, x->a, "c", (struct code_spec){0});
	struct code *b = code(x, x->b, "c", (struct code_spec){0});
	struct task_query q = {.project = x->a->id};
	struct err e = {0};
	unsigned n = 0;

	(void)submit(x, a, plain);
	q.before = submit(x, b, plain);
	settle(x);
	assert_int_equal(queue_list(x->f, &q, count_tasks, &n, &e), 0);
	assert_int_equal(n, 0);
	q.before = submit(x, a, plain);
	settle(x);
	assert_int_equal(queue_list(x->f, &q, count_tasks, &n, &e), 0);
	assert_int_equal(n, 1);
	/* An operator's list has all. */
	q.project = NULL;
	n = 0;
	assert_int_equal(queue_list(x->f, &q, count_tasks, &n, &e), 0);
	assert_int_equal(n, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_QUEUE(test_texts),
		WITH_QUEUE(test_number),
		WITH_QUEUE(test_revisions),
		WITH_QUEUE(test_old_texts),
		WITH_QUEUE(test_retries_wait_too),
		WITH_QUEUE(test_others_cursor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
