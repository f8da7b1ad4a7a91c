// SPDX-License-Identifier: Apache-2.0
/* What is asked of many tasks: what it finds, and that it does not look at all of them. */
#include "tests/unit/queue_rig.h"

#include "supervisor/front/store_internal.h"
#include "supervisor/front/store_project.h"
#include "supervisor/front/store_query.h"

#define CODE_ID "0123456789abcdef01234567"

static void insert(struct fixture *x, const struct project *p, unsigned n, enum task_state state)
{
	struct task_record rec = {.state = (uint32_t)state, .created_ns = 1000 + n};
	struct err e = {0};

	(void)snprintf(rec.id, sizeof(rec.id), "%024x", n);
	memcpy(rec.project, p->id, sizeof(rec.project));
	strcpy(rec.code, CODE_ID);
	strcpy(rec.code_name, "c");
	strcpy(rec.label, n % 2 ? "odd" : "");
	rec.finished_ns = task_state_final(state) ? 5000 + n : 0;
	if (store_task_insert(x->f->store, &rec, &e) < 0)
		fail_msg("%s", e.msg);
}

static int collect(void *arg, struct task_record *rec)
{
	strcat(arg, rec->id + TASK_ID_LEN - 1);
	return 0;
}

static const char *ask(struct fixture *x, struct task_query q)
{
	static char ids[64];
	struct err e = {0};

	ids[0] = '\0';
	if (store_task_query(x->f->store, &q, collect, ids, &e) < 0)
		fail_msg("%s", e.msg);
	return ids;
}

static void test_filters(void **state)
{
	struct fixture *x = *state;

	insert(x, x->a, 1, TASK_COMPLETE);
	insert(x, x->a, 2, TASK_RUNNING);
	insert(x, x->b, 3, TASK_QUEUED);
	insert(x, x->a, 4, TASK_ERROR);
	assert_string_equal(ask(x, (struct task_query){0}), "4321");
	assert_string_equal(ask(x, (struct task_query){.project = x->a}), "421");
	assert_string_equal(ask(x, (struct task_query){.project = x->a, .label = "odd"}), "1");
	assert_string_equal(ask(x, (struct task_query){.project = x->a, .label = ""}), "42");
	assert_string_equal(ask(x, (struct task_query){.project = x->a, .states = 1 << TASK_ERROR}),
			    "4");
	assert_string_equal(
		ask(x, (struct task_query){.project = x->a, .code_name = "c", .limit = 2}), "42");
	assert_string_equal(ask(x, (struct task_query){.project = x->a, .limit = 2, .skip = 2}),
			    "1");
}

/* The project that has the most loses its oldest; the other one's history stays. */
static void test_oldest(void **state)
{
	struct fixture *x = *state;
	char ids[8][TASK_ID_LEN + 1];
	struct err e = {0};
	unsigned n;

	insert(x, x->a, 1, TASK_COMPLETE);
	insert(x, x->a, 9, TASK_RUNNING);
	for (unsigned i = 2; i <= 6; i++)
		insert(x, x->b, i, TASK_ERROR);
	assert_int_equal(store_task_oldest(x->f->store, 4, 8, ids, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_string_equal(ids[0] + TASK_ID_LEN - 1, "2");
	assert_string_equal(ids[1] + TASK_ID_LEN - 1, "3");
	assert_int_equal(store_task_oldest(x->f->store, 6, 8, ids, &n, &e), 0);
	assert_int_equal(n, 0);
}

struct plan {
	sqlite3 *db;
	char sql[16384], text[2048];
};

/* The first statement since it was emptied. */
static int keep_sql(unsigned type, void *arg, void *st, void *unused)
{
	struct plan *plan = arg;
	char *sql = sqlite3_expanded_sql(st);

	(void)type;
	(void)unused;
	if (sql && !*plan->sql)
		(void)snprintf(plan->sql, sizeof(plan->sql), "%s", sql);
	sqlite3_free(sql);
	return 0;
}

static int keep_row(void *arg, int n, char **values, char **names)
{
	struct plan *plan = arg;
	size_t len = strlen(plan->text);

	(void)n;
	(void)names;
	(void)snprintf(plan->text + len, sizeof(plan->text) - len, "%s; ", values[3]);
	return 0;
}

static void assert_plan(struct plan *plan, const char *index)
{
	char *sql = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", plan->sql);

	plan->text[0] = '\0';
	(void)sqlite3_trace_v2(plan->db, 0, NULL, NULL);
	assert_int_equal(sqlite3_exec(plan->db, sql, keep_row, plan, NULL), SQLITE_OK);
	(void)sqlite3_trace_v2(plan->db, SQLITE_TRACE_STMT, keep_sql, plan);
	sqlite3_free(sql);
	/* Equal times alone are sorted: FOR RIGHT PART OF ORDER BY. */
	if (!strstr(plan->text, index) || strstr(plan->text, "TEMP B-TREE FOR ORDER BY") ||
	    strstr(plan->text, "SCAN tasks;"))
		fail_msg("%s\nis done by: %s", plan->sql, plan->text);
	plan->sql[0] = '\0';
}

static void test_indexes(void **state)
{
	struct fixture *x = *state;
	struct store *store = x->f->store;
	struct plan *plan = calloc(1, sizeof(*plan));
	const struct {
		struct task_query q;
		const char *index;
	} lists[] = {
		{{.project = x->a}, "tasks_project"},
		{{.project = x->a, .before = CODE_ID}, "tasks_project"},
		{{.project = x->a, .from_ns = 1, .to_ns = 2}, "tasks_project"},
		{{.project = x->a, .states = 1 << TASK_QUEUED}, "tasks_state"},
		{{.project = x->a, .code_name = "c"}, "tasks_code_name"},
		{{.project = x->a, .label = "l"}, "tasks_label"},
		{{.project = x->a, .dead_letter = true}, "tasks_dead_letter"},
		{{0}, "tasks_created"},
	};
	uint64_t counts[TASK_STATE_MAX], n;
	char ids[1][TASK_ID_LEN + 1];
	struct err e = {0};
	unsigned found;

	plan->db = store->db;
	(void)sqlite3_trace_v2(plan->db, SQLITE_TRACE_STMT, keep_sql, plan);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		(void)ask(x, lists[i].q);
		assert_plan(plan, lists[i].index);
	}
	assert_int_equal(store_task_stats(store, CODE_ID, counts, &e), 0);
	assert_plan(plan, "COVERING INDEX tasks_code");
	assert_int_equal(store_begin(store, &e), 0);
	plan->sql[0] = '\0';
	assert_int_equal(store_project_tasks(store, x->a->id, 1, ids, &found, &e), 0);
	assert_plan(plan, "tasks_state");
	assert_int_equal(store_task_oldest(store, 1, 1, ids, &found, &e), 0);
	assert_plan(plan, "SEARCH tasks USING INDEX tasks_finished (project=?)");
	store_rollback(store);
	plan->sql[0] = '\0';
	assert_int_equal(store_task_cancel_code(store, CODE_ID, 1, &n, &e), 0);
	(void)snprintf(
		plan->sql, sizeof(plan->sql),
		"UPDATE tasks SET state = 5 WHERE code = 'x' AND code <> '' AND state = 0 AND "
		"cancel_ns = 0");
	assert_plan(plan, "tasks_code");
	(void)sqlite3_trace_v2(plan->db, 0, NULL, NULL);
	free(plan);
}

/* A far page ends with an error, not with seconds in which the front does nothing else. */
static void test_far_page(void **state)
{
	struct fixture *x = *state;
	struct task_query q = {.project = x->a, .skip = 1000000000, .limit = 1};
	char columns[STORE_ROW_SQL_MAX], ids[64] = "", *sql;
	struct err e = {0};

	insert(x, x->a, 0, TASK_QUEUED);
	store_row_sql(STORE_SQL_COLUMNS, columns, sizeof(columns));
	sql = sqlite3_mprintf("CREATE TEMP VIEW tasks AS WITH RECURSIVE n(i) AS (SELECT 1 UNION "
			      "ALL SELECT i + 1 FROM n) SELECT %s FROM main.tasks, n",
			      columns);
	assert_int_equal(store_task_query(x->f->store, &q, collect, ids, &e), 0);
	/* As if there were tasks without end. */
	assert_int_equal(sqlite3_exec(x->f->store->db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_free(sql);
	assert_true(store_task_query(x->f->store, &q, collect, ids, &e) < 0);
	assert_int_equal(e.code, ERR_INPUT);
	assert_string_equal(ids, "");
	/* The next one has all of its steps. */
	assert_int_equal(sqlite3_exec(x->f->store->db, "DROP VIEW temp.tasks", NULL, NULL, NULL),
			 SQLITE_OK);
	q.skip = 0;
	assert_int_equal(store_task_query(x->f->store, &q, collect, ids, &e), 0);
	assert_string_equal(ids, "0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_QUEUE(test_filters),
		WITH_QUEUE(test_oldest),
		WITH_QUEUE(test_indexes),
		WITH_QUEUE(test_far_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
