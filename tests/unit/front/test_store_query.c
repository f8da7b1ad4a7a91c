// SPDX-License-Identifier: Apache-2.0
/* Queries over many tasks: what they find, and that they do not read all rows. */
#include "tests/unit/queue_rig.h"

#include "supervisor/front/store/priv.h"
#include "supervisor/front/store/projects.h"
#include "supervisor/front/store/query.h"

#define WORKER_ID "0123456789abcdef01234567"

static void insert(struct fixture *x, const struct project *p, unsigned n, enum task_state state)
{
	struct task_record rec = {.state = (uint32_t)state, .created_ns = 1000 + n};
	struct err e = {0};

	(void)snprintf(rec.id, sizeof(rec.id), "%024x", n);
	memcpy(rec.project, p->id, sizeof(rec.project));
	strcpy(rec.worker, WORKER_ID);
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
	assert_string_equal(ask(x, (struct task_query){.project = x->a->id}), "421");
	assert_string_equal(ask(x, (struct task_query){.project = x->a->id, .label = "odd"}), "1");
	assert_string_equal(ask(x, (struct task_query){.project = x->a->id, .label = ""}), "42");
	assert_string_equal(
		ask(x, (struct task_query){.project = x->a->id, .states = 1 << TASK_ERROR}), "4");
	assert_string_equal(
		ask(x, (struct task_query){.project = x->a->id, .code_name = "c", .limit = 2}),
		"42");
	assert_string_equal(ask(x, (struct task_query){.project = x->a->id, .limit = 2, .skip = 2}),
			    "1");
}

/* The project with the most ended tasks loses its oldest; the other project's history stays. */
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

/* Keeps the text of the first statement that runs after plan->sql was emptied. */
static int keep_sql(unsigned type, void *arg, void *st, void *unused)
{
	struct plan *plan = arg;
	char *sql = sqlite3_expanded_sql(st);

	(void)type;
	(void)unused;
	if (sql && !*plan->sql && !strstr(sql, "WHERE id = "))
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
	if (!strstr(plan->text, index) || strstr(plan->text, "TEMP B-TREE") ||
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
		{{.project = x->a->id}, "tasks_project"},
		{{.project = x->a->id, .before = "000000000000000000000001"}, "tasks_project"},
		{{.project = x->a->id, .from_ns = 1, .to_ns = 2}, "tasks_project"},
		{{.project = x->a->id, .states = 1 << TASK_QUEUED}, "tasks_state"},
		{{.project = x->a->id, .code_name = "c"}, "tasks_code_name"},
		{{.project = x->a->id, .label = "l"}, "tasks_label"},
		{{.project = x->a->id, .dead_letter = true}, "tasks_dead_letter"},
		{{0}, "tasks_created"},
	};
	char ids[1][TASK_ID_LEN + 1];
	struct err e = {0};
	unsigned found;

	plan->db = store->db;
	(void)sqlite3_trace_v2(plan->db, SQLITE_TRACE_STMT, keep_sql, plan);
	insert(x, x->a, 1, TASK_QUEUED);
	plan->sql[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		(void)ask(x, lists[i].q);
		assert_plan(plan, lists[i].index);
	}
	assert_int_equal(store_begin(store, &e), 0);
	plan->sql[0] = '\0';
	assert_int_equal(store_project_tasks(store, x->a->id, 1, ids, &found, &e), 0);
	assert_plan(plan, "tasks_state");
	assert_int_equal(store_task_oldest(store, 1, 1, ids, &found, &e), 0);
	assert_plan(plan, "SEARCH tasks USING INDEX tasks_finished (project=?)");
	(void)store_end(store, -ECANCELED, NULL);
	(void)sqlite3_trace_v2(plan->db, 0, NULL, NULL);
	free(plan);
}

static int count(void *arg, struct task_record *rec)
{
	(void)rec;
	++*(unsigned *)arg;
	return 0;
}

/* A slice reads a bounded number of rows; no task is found twice, and the last slice says that it
 * is the last. */
static void test_slices(void **state)
{
	struct fixture *x = *state;
	struct task_query q = {.project = x->a->id, .label = "odd", .states = 3, .skip = 10};
	struct store_walk walk = {0};
	unsigned n = 0, slices = 0;
	struct err e = {0};

	assert_int_equal(store_begin(x->f->store, &e), 0);
	for (unsigned i = 0; i < 1000; i++)
		insert(x, x->a, i, i % 10 ? TASK_COMPLETE : TASK_QUEUED);
	for (unsigned i = 1; i < 100; i += 2)
		insert(x, x->a, 1000 + i, TASK_PREPARING);
	assert_int_equal(store_end(x->f->store, 0, &e), 0);
	while (!walk.ended) {
		uint64_t before = walk.looked_at;

		assert_int_equal(store_task_walk(x->f->store, &q, &walk, 100, count, &n, &e), 0);
		assert_true(walk.looked_at - before <= 100);
		slices++;
	}
	assert_int_equal(n, 40);
	assert_true(slices >= 550 / 100);
}

/* A far page ends with an error when it has looked at too many rows. */
static void test_too_far(void **state)
{
	struct fixture *x = *state;
	struct task_query q = {.project = x->a->id, .skip = 1000000000, .limit = 1};
	struct store_walk walk = {.looked_at = 1000000000};
	struct err e = {0};
	unsigned n = 0;

	for (unsigned i = 0; i < 3; i++)
		insert(x, x->a, i, TASK_QUEUED);
	assert_int_equal(store_task_walk(x->f->store, &q, &walk, 2, count, &n, &e), -EINVAL);
	assert_int_equal(e.code, ERR_INPUT);
	memset(&walk, 0, sizeof(walk));
	while (!walk.ended)
		assert_int_equal(store_task_walk(x->f->store, &q, &walk, 2, count, &n, &e), 0);
	assert_int_equal(n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_QUEUE(test_filters), WITH_QUEUE(test_oldest),  WITH_QUEUE(test_indexes),
		WITH_QUEUE(test_slices),  WITH_QUEUE(test_too_far),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
