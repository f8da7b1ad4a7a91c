// SPDX-License-Identifier: Apache-2.0
/* The versions of the tables in the store's file: a new file, an older one, one of another release,
 * and a step that fails. */
#include "tests/unit/store_rig.h"

#include <sqlite3.h>

#include "lib/sha256.h"
#include "supervisor/front/store/priv.h"

static sqlite3 *file_open(void)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open("tasks.db", &db), SQLITE_OK);
	return db;
}

static void file_run(const char *sql)
{
	sqlite3 *db = file_open();

	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* The rows that a statement returns, each as a line. */
static char *file_ask(const char *sql)
{
	static char answers[2][64 << 10];
	static unsigned turn;
	char *to = answers[turn++ % 2];
	sqlite3 *db = file_open();
	sqlite3_stmt *st = NULL;
	size_t n = 0;

	to[0] = '\0';
	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	while (sqlite3_step(st) == SQLITE_ROW)
		for (int i = 0; i < sqlite3_column_count(st); i++)
			n += (size_t)snprintf(to + n, sizeof(answers[0]) - n, "%s%s",
					      (const char *)sqlite3_column_text(st, i),
					      i + 1 < sqlite3_column_count(st) ? " " : "\n");
	assert_true(n < sizeof(answers[0]));
	(void)sqlite3_finalize(st);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return to;
}

/* All tables with their columns, and all indices, sorted, because files of different age have them
 * in different orders. */
static char *file_shape(void)
{
	return file_ask("SELECT t.name, c.name, c.type, c.\"notnull\", c.pk FROM sqlite_master t, "
			"pragma_table_info(t.name) c WHERE t.type = 'table' UNION ALL "
			"SELECT name, tbl_name, sql, 0, 0 FROM sqlite_master WHERE type = 'index' "
			"AND sql IS NOT NULL ORDER BY 1, 2");
}

static void file_digest(uint8_t ret[32])
{
	static char bytes[1 << 20];
	FILE *in = fopen("tasks.db", "re");
	size_t n = fread(bytes, 1, sizeof(bytes), in);

	assert_true(n > 0 && n < sizeof(bytes));
	(void)fclose(in);
	assert_int_equal(sha256(bytes, n, ret), 0);
}

static void closed(struct fixture *x)
{
	store_free(x->store);
	x->store = NULL;
}

static void no_file(struct fixture *x)
{
	closed(x);
	assert_int_equal(unlinkat(x->fd, "tasks.db", 0), 0);
}

/* A file of a release that had one version number for the whole file. */
static void file_of(struct fixture *x, int version)
{
	char set[64];

	no_file(x);
	for (unsigned i = 0; schemas[i]; i++)
		for (const struct migration *m = schemas[i]->steps; m->version; m++)
			if (m->since_file && m->since_file <= version)
				file_run(m->sql);
	(void)snprintf(set, sizeof(set), "PRAGMA user_version = %d", version);
	file_run(set);
}

static void expect_refused(struct fixture *x, const struct schema *const *list, const char *words)
{
	uint8_t before[32], after[32];
	struct store *store = NULL;
	struct err e = {0};

	file_digest(before);
	assert_true(store_open(x->fd, list, &store, &e) < 0);
	assert_int_equal(e.code, ERR_CONFLICT);
	if (!strstr(e.msg, words))
		fail_msg("not \"%s\": %s", words, e.msg);
	file_digest(after);
	assert_memory_equal(before, after, sizeof(before));
}

/* The content of the table `schema` after that, sorted by name. */
static const char *newest(void)
{
	static const struct schema *const by_name[] = {&projects_schema, &schedules_schema,
						       &tasks_schema, &workers_schema};
	static char lines[256];
	size_t n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(by_name); i++) {
		const struct migration *m = by_name[i]->steps;

		while (m[1].version)
			m++;
		n += (size_t)snprintf(lines + n, sizeof(lines) - n, "%s %u\n", by_name[i]->name,
				      m->version);
	}
	return lines;
}

static void test_fresh(void **state)
{
	struct fixture *x = *state;

	closed(x);
	assert_string_equal(file_ask("SELECT name, version FROM schema ORDER BY name"), newest());
	assert_string_equal(file_ask("PRAGMA user_version"), "4\n");
	reopen(x);
}

/* If a list of columns did not match its table, only a tenant's request for a row would show it. */
static void check_columns(const struct table *t)
{
	char keys[256] = "", sql[256];

	for (unsigned c = 0; c < t->n_columns; c++) {
		for (unsigned d = 0; d < c; d++)
			assert_string_not_equal(t->columns[c].name, t->columns[d].name);
		(void)snprintf(sql, sizeof(sql),
			       "SELECT count(*) FROM pragma_table_info('%s') WHERE name = '%s'",
			       t->name, t->columns[c].name);
		assert_string_equal(file_ask(sql), "1\n");
	}
	(void)snprintf(sql, sizeof(sql), "SELECT count(*) = %u FROM pragma_table_info('%s')",
		       t->n_columns, t->name);
	assert_string_equal(file_ask(sql), "1\n");
	for (unsigned c = 0; c < t->n_keys; c++)
		(void)snprintf(keys + strlen(keys), sizeof(keys) - strlen(keys), "%s\n",
			       t->columns[c].name);
	(void)snprintf(sql, sizeof(sql),
		       "SELECT name FROM pragma_table_info('%s') WHERE pk > 0 ORDER BY pk",
		       t->name);
	assert_string_equal(file_ask(sql), keys);
}

static void test_columns(void **state)
{
	struct fixture *x = *state;
	unsigned n = 0;

	closed(x);
	for (unsigned i = 0; schemas[i]; i++)
		for (const struct table *const *t = schemas[i]->tables; *t; t++, n++)
			check_columns(*t);
	assert_int_equal(n, 6);
	reopen(x);
}

static void test_old_files(void **state)
{
	static char fresh[64 << 10];
	struct fixture *x = *state;

	closed(x);
	(void)snprintf(fresh, sizeof(fresh), "%s", file_shape());
	for (int version = 1; version <= 3; version++) {
		file_of(x, version);
		reopen(x);
		closed(x);
		assert_string_equal(file_shape(), fresh);
		assert_string_equal(file_ask("PRAGMA user_version"), "4\n");
		assert_string_equal(file_ask("SELECT name, version FROM schema ORDER BY name"),
				    newest());
	}
	reopen(x);
	insert(x, 1, TASK_QUEUED);
}

/* Steps are counted from 1 without a gap, and later ones are not in older files. */
static void test_steps(void **state)
{
	(void)state;
	for (unsigned i = 0; schemas[i]; i++) {
		const struct migration *last = NULL;

		for (const struct migration *m = schemas[i]->steps; m->version; m++) {
			assert_int_equal(m->version, last ? last->version + 1 : 1);
			assert_true(m->sql || m->run);
			assert_true(!last || !m->since_file || m->since_file > last->since_file);
			assert_true(!last || last->since_file || !m->since_file);
			last = m;
		}
		assert_non_null(last);
	}
}

static void test_newer_file(void **state)
{
	struct fixture *x = *state;

	closed(x);
	file_run("PRAGMA user_version = 5");
	expect_refused(x, schemas, "version 5 and this sandboxd knows 4");
	file_run("PRAGMA user_version = -1");
	expect_refused(x, schemas, "version -1");
}

static void test_newer_capability(void **state)
{
	struct fixture *x = *state;

	closed(x);
	file_run("UPDATE schema SET version = 9 WHERE name = 'schedules'");
	expect_refused(x, schemas,
		       "\"schedules\" have version 9 and this sandboxd knows 1: it was made by "
		       "another release");
	file_run("UPDATE schema SET version = 0 WHERE name = 'schedules'");
	expect_refused(x, schemas, "\"schedules\" have version 0");
	/* No other capability's tables are brought to a new version before all were looked at. */
	file_run("UPDATE schema SET version = 1 WHERE name = 'projects'");
	expect_refused(x, schemas, "\"schedules\" have version 0");
}

/* A capability that only a test has. */
static unsigned n_called;
static bool fails;

static int count_call(struct store *store, struct err *e)
{
	n_called++;
	if (fails)
		return err_set(e, ERR_INTERNAL, 0, "the step says no");
	return store_exec(store, "INSERT INTO kv (k, v) VALUES ('k', 'v')", "be filled", e);
}

static const struct migration kv_steps[] = {{1, 0, "CREATE TABLE kv (k, v)", count_call}, {0}};
static const struct migration kv_more_steps[] = {
	{1, 0, "CREATE TABLE kv (k, v)", count_call},
	{2, 0, "ALTER TABLE kv ADD COLUMN meta; CREATE INDEX kv_k ON kv (k)", NULL},
	{3, 0, NULL, count_call},
	{0}};
static const struct schema kv_schema = {"kv", kv_steps, NULL, NULL};
static const struct schema kv_more_schema = {"kv", kv_more_steps, NULL, NULL};
#define WITH(more)                                                                                 \
	{                                                                                          \
		&projects_schema, &workers_schema, &schedules_schema, &tasks_schema, more, NULL    \
	}
static const struct schema *const with_kv[] = WITH(&kv_schema);
static const struct schema *const with_more[] = WITH(&kv_more_schema);

static void test_unknown_capability(void **state)
{
	struct fixture *x = *state;
	struct err e = {0};

	closed(x);
	n_called = 0;
	fails = false;
	assert_int_equal(store_open(x->fd, with_kv, &x->store, &e), 0);
	closed(x);
	assert_int_equal(n_called, 1);
	assert_string_equal(file_ask("SELECT k, v FROM kv"), "k v\n");
	expect_refused(x, schemas, "holds \"kv\", which this sandboxd does not know");
	/* The release that wrote the file opens it again and changes nothing. */
	assert_int_equal(store_open(x->fd, with_kv, &x->store, &e), 0);
	closed(x);
	assert_int_equal(n_called, 1);
}

/* The missing steps are done in their order, and no step is done twice. */
static void test_further_steps(void **state)
{
	struct fixture *x = *state;
	struct err e = {0};

	closed(x);
	n_called = 0;
	fails = false;
	assert_int_equal(store_open(x->fd, with_kv, &x->store, &e), 0);
	closed(x);
	assert_int_equal(store_open(x->fd, with_more, &x->store, &e), 0);
	closed(x);
	assert_int_equal(n_called, 2);
	assert_string_equal(file_ask("SELECT version FROM schema WHERE name = 'kv'"), "3\n");
	assert_string_equal(file_ask("SELECT count(*) FROM pragma_table_info('kv')"), "3\n");
	assert_string_equal(file_ask("SELECT count(*) FROM kv"), "2\n");
	expect_refused(x, with_kv, "\"kv\" have version 3 and this sandboxd knows 1");
}

static void test_failing_step(void **state)
{
	static char before[64 << 10];
	struct fixture *x = *state;
	struct err e = {0};

	/* An old file, in which other steps of the same opening have been done before one fails. */
	file_of(x, 2);
	(void)snprintf(before, sizeof(before), "%s", file_shape());
	n_called = 0;
	fails = true;
	assert_true(store_open(x->fd, with_kv, &x->store, &e) < 0);
	assert_int_equal(n_called, 1);
	assert_non_null(strstr(e.msg, "step 1 of \"kv\": the step says no"));
	assert_string_equal(file_shape(), before);
	assert_string_equal(file_ask("PRAGMA user_version"), "2\n");
	/* The same file, when the step does not fail any more. */
	fails = false;
	assert_int_equal(store_open(x->fd, with_kv, &x->store, &e), 0);
	assert_int_equal(n_called, 2);
	insert(x, 1, TASK_QUEUED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(test_fresh),
		WITH_STORE(test_columns),
		WITH_STORE(test_old_files),
		WITH_STORE(test_steps),
		WITH_STORE(test_newer_file),
		WITH_STORE(test_newer_capability),
		WITH_STORE(test_unknown_capability),
		WITH_STORE(test_further_steps),
		WITH_STORE(test_failing_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
