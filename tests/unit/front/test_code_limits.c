// SPDX-License-Identifier: Apache-2.0
/* How many workers, revisions and waiting tasks a project may have, and what it may learn of other
 * projects. */
#include "tests/unit/queue_rig.h"

#include "supervisor/front/store/priv.h"
#include "supervisor/front/store/query.h"

static int put(struct fixture *x, const char *name, const char *config, uint8_t package,
	       uint64_t bytes, struct err *e)
{
	struct worker_spec spec = {.has_package = package != 0, .package_bytes = bytes};

	(void)snprintf(spec.name, sizeof(spec.name), "%s", name);
	(void)snprintf(spec.file_name, sizeof(spec.file_name), "main.py");
	strcpy(spec.image, "python");
	if (package)
		memset(spec.package, package, sizeof(spec.package));
	else if (!worker_by_name(x->a, name))
		strcpy(spec.command, "true");
	spec.config = config ? strdup(config) : NULL;
	return put_worker(x, x->a, &spec, e) ? 0 : (int)e->code;
}

static void test_texts(void **state)
{
	static char config[WORKER_CONFIG_MAX + 1];
	struct fixture *x = *state;
	struct err e = {0};
	char name[16];

	memset(config, 'x', WORKER_CONFIG_MAX);
	for (unsigned i = 0; i < WORKER_TEXTS_MAX / WORKER_CONFIG_MAX; i++) {
		(void)snprintf(name, sizeof(name), "c%u", i);
		assert_int_equal(put(x, name, config, 0, 0, &e), 0);
	}
	assert_int_equal(put(x, "more", "x", 0, 0, &e), ERR_LIMIT);
	assert_memory_equal(e.msg, "config: ", 8);
	/* Two uploads are still accepted: one that replaces a worker, and one without a config. */
	assert_int_equal(put(x, "c0", config, 1, 1, &e), 0);
	assert_int_equal(put(x, "more", NULL, 0, 0, &e), 0);
	while (x->a->workers)
		assert_int_equal(remove_code(x, x->a->workers, &e), 0);
	assert_int_equal(put(x, "more", "x", 0, 0, &e), 0);
}

static void test_number(void **state)
{
	struct fixture *x = *state;
	struct err e = {0};
	unsigned had;

	assert_int_equal(put(x, "c", NULL, 0, 0, &e), 0);
	had = x->a->n_workers;
	x->a->n_workers = CODES_MAX;
	assert_int_equal(put(x, "d", NULL, 0, 0, &e), ERR_LIMIT);
	assert_int_equal(put(x, "c", NULL, 1, 1, &e), 0);
	x->a->n_workers = had;
	assert_int_equal(put(x, "d", NULL, 0, 0, &e), 0);
}

static int count(void *arg, const struct worker_revision *v)
{
	(void)v;
	++*(unsigned *)arg;
	return 0;
}

/* A package of a hundred revisions is stored once, as long as one of them exists. */
static void test_revisions(void **state)
{
	struct fixture *x = *state;
	struct worker_revision v;
	struct err e = {0};
	unsigned n = 0;

	assert_int_equal(put(x, "c", NULL, 1, 1000, &e), 0);
	for (unsigned i = 0; i < WORKER_REVISIONS_MAX; i++)
		assert_int_equal(put(x, "c", NULL, 0, 0, &e), 0);
	assert_int_equal(x->a->package_bytes, 1000);
	assert_int_equal(put(x, "c", NULL, 1, 1000, &e), 0);
	assert_int_equal(x->a->package_bytes, 1000);
	assert_int_equal(put(x, "c", NULL, 2, 50, &e), 0);
	assert_int_equal(x->a->package_bytes, 1050);
	assert_int_equal(worker_revisions(x->f, x->a->workers, count, &n, &e), 0);
	assert_int_equal(n, WORKER_REVISIONS_MAX);
	assert_int_equal(worker_revision_get(x->f, x->a->workers, 1, &v, &e), -ENOENT);
	assert_int_equal(worker_revision_get(x->f, x->a->workers, 4, &v, &e), 0);
	assert_int_equal(v.revision, 4);
	restart(x);
	assert_int_equal(x->a->package_bytes, 1050);
	for (unsigned i = 0; i < WORKER_REVISIONS_MAX - 1; i++)
		assert_int_equal(put(x, "c", NULL, 0, 0, &e), 0);
	assert_int_equal(x->a->package_bytes, 50);
	/* There is a bound without a quota too. */
	assert_int_equal(put(x, "c", NULL, 3, WORKER_PACKAGES_MAX, &e), ERR_LIMIT);
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

/* The texts of a worker's earlier revisions are not kept. */
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
	assert_string_equal(x->a->workers->spec.config, "{\"key\": \"secret two\"}");
	assert_int_equal(x->a->package_bytes, 1000);
}

/* A retried task waits like any other. */
static void test_retries_wait_too(void **state)
{
	struct fixture *x = *state;
	struct worker *c = worker(x, x->a, "c", (struct worker_spec){0});
	const char *id = submit(x, c, plain);
	char again[TASK_ID_LEN + 1];
	struct err e = {0};

	assert_string_equal(started(x), id);
	finish(x, id, VERDICT_EXIT);
	x->a->quota = (struct quota){.queued = 1};
	assert_int_equal(committed(x->f, worker_pause(x->f, c, true, &e), &e), 0);
	assert_int_equal(queue_again_of(x, x->a, id, 0, again, on_done, x, &e), 0);
	assert_int_equal(queue_again_of(x, x->a, id, 0, again, on_done, x, &e), -E2BIG);
	assert_int_equal(x->a->run->n_queued, 1);
}

static int count_tasks(void *arg, struct task_record *rec)
{
	(void)rec;
	++*(unsigned *)arg;
	return 0;
}

/* A cursor does not tell whether another project's task exists, or since when. */
static void test_others_cursor(void **state)
{
	struct fixture *x = *state;
	struct worker *a = worker(x, x->a, "c", (struct worker_spec){0});
	struct worker *b = worker(x, x->b, "c", (struct worker_spec){0});
	struct task_query q = {.project = x->a->id};
	struct err e = {0};
	unsigned n = 0;

	(void)submit(x, a, plain);
	q.before = submit(x, b, plain);
	settle(x);
	assert_int_equal(store_task_query(x->f->store, &q, count_tasks, &n, &e), 0);
	assert_int_equal(n, 0);
	q.before = submit(x, a, plain);
	settle(x);
	assert_int_equal(store_task_query(x->f->store, &q, count_tasks, &n, &e), 0);
	assert_int_equal(n, 1);
	/* An operator's list has the tasks of all projects. */
	q.project = NULL;
	n = 0;
	assert_int_equal(store_task_query(x->f->store, &q, count_tasks, &n, &e), 0);
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
