// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/store_query.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/front/store_internal.h"

#define BEFORE " AND (created_ns, id) < ((SELECT created_ns FROM tasks WHERE id = ?6"
#define QUERY_SQL_MAX (2 * STORE_ROW_SQL_MAX)

/* The conditions of a query as SQL; what a client gave is bound, never written. */
static void query_sql(const struct task_query *q, char *sql, size_t size)
{
	char columns[STORE_ROW_SQL_MAX], states[64] = "";
	size_t n = 0;

	store_row_sql(STORE_SQL_COLUMNS, columns, sizeof(columns));
	for (int i = 0; i < TASK_STATE_MAX; i++)
		if (q->states & (1u << i))
			n += (size_t)snprintf(states + n, sizeof(states) - n, "%s%d", n ? "," : "",
					      i);
	(void)snprintf(sql, size,
		       "SELECT %s FROM tasks WHERE 1%s%s%s%s%s%s%s%s%s%s"
		       " ORDER BY created_ns DESC, id DESC LIMIT ?7 OFFSET ?8",
		       columns, q->project ? " AND project = ?1" : "",
		       q->code_name ? " AND code_name = ?2" : "", q->label ? " AND label = ?3" : "",
		       n ? " AND state IN (" : "", states, n ? ")" : "",
		       q->from_ns ? " AND created_ns >= ?4" : "",
		       q->to_ns ? " AND created_ns < ?5" : "",
		       q->dead_letter ? " AND dead_letter = 1" : "",
		       !q->before   ? ""
		       : q->project ? BEFORE " AND project = ?1), ?6)" /* no other's tells a time */
				    : BEFORE "), ?6)");
}

static void bind_text(sqlite3_stmt *st, int i, const char *text)
{
	if (text)
		(void)sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
}

static void query_bind(sqlite3_stmt *st, const struct task_query *q)
{
	bind_text(st, 1, q->project ? q->project->id : NULL);
	bind_text(st, 2, q->code_name);
	bind_text(st, 3, q->label);
	(void)sqlite3_bind_int64(st, 4, (sqlite3_int64)q->from_ns);
	(void)sqlite3_bind_int64(st, 5, (sqlite3_int64)q->to_ns);
	bind_text(st, 6, q->before);
	(void)sqlite3_bind_int64(st, 7, q->limit ? (sqlite3_int64)q->limit : -1);
	(void)sqlite3_bind_int64(st, 8, q->skip);
}

/*
 * One list must not hold up everybody: what goes through more of the tasks than some tenths of a
 * second allow is given up. In SQLite's own steps, so that it is the same on every machine.
 */
#define STEPS 1000
#define STEPS_MAX (4000000 / STEPS)

static int count_steps(void *arg)
{
	return ++*(unsigned *)arg > STEPS_MAX;
}

static int query_failed(struct store *store, struct err *e)
{
	if (sqlite3_errcode(store->db) != SQLITE_INTERRUPT)
		return store_fail(store, e, "be read");
	return err_set(e, ERR_LIMIT, 0,
		       "too many tasks would have to be looked through: ask with \"before\", a "
		       "shorter time or a smaller page");
}

int store_task_query(struct store *store, const struct task_query *q, store_task_fn fn, void *arg,
		     struct err *e)
{
	char sql[QUERY_SQL_MAX];
	struct task_record rec;
	sqlite3_stmt *st = NULL;
	unsigned steps = 0;
	int s, r = 0;

	query_sql(q, sql, sizeof(sql));
	if (sqlite3_prepare_v2(store->db, sql, -1, &st, NULL) != SQLITE_OK)
		return store_fail(store, e, "be asked");
	query_bind(st, q);
	if (q->limit)
		sqlite3_progress_handler(store->db, STEPS, count_steps, &steps);
	while (r == 0 && (s = sqlite3_step(st)) != SQLITE_DONE) {
		if (s != SQLITE_ROW) {
			r = query_failed(store, e);
			break;
		}
		r = store_row_read(st, &rec, e);
		if (r == 0)
			r = fn(arg, &rec);
		free(rec.spec);
	}
	(void)sqlite3_finalize(st);
	sqlite3_progress_handler(store->db, 0, NULL, NULL);
	return r < 0 ? r : 0;
}

int store_sql(struct store *store, const char *sql, const char *types, struct err *e, ...)
{
	sqlite3_stmt *st = NULL;
	va_list ap;
	int r = 0;

	if (sqlite3_prepare_v2(store->db, sql, -1, &st, NULL) != SQLITE_OK)
		return store_fail(store, e, "be asked");
	va_start(ap, e);
	for (int i = 1; *types; types++, i++) {
		if (*types == 's')
			bind_text(st, i, va_arg(ap, const char *));
		else
			(void)sqlite3_bind_int64(st, i, va_arg(ap, sqlite3_int64));
	}
	va_end(ap);
	if (sqlite3_step(st) != SQLITE_DONE)
		r = store_fail(store, e, "be changed");
	(void)sqlite3_finalize(st);
	return r;
}

int store_task_retried(struct store *store, const char *id, const char *retry, struct err *e)
{
	return store_sql(store, "UPDATE tasks SET retry = ?2, dead_letter = 0 WHERE id = ?1", "ss",
			 e, id, retry);
}

static int cancel_code(struct store *store, const char *code, sqlite3_int64 now, struct err *e)
{
	int r;

	r = store_sql(
		store,
		"INSERT INTO history SELECT id, ?2, 'cancelled', 'all of its code' FROM tasks "
		"WHERE code = ?1 AND state = 0",
		"si", e, code, now);
	if (r < 0)
		return r;
	_Static_assert(TASK_QUEUED == 0 && TASK_CANCELLED == 5 && VERDICT_CANCELLED == 8,
		       "the numbers below");
	/* None of them has a log. */
	return store_sql(store,
			 "UPDATE tasks SET state = 5, verdict = 8, exit_code = 143, log_known = 1, "
			 "finished_ns = ?2, cancel_ns = ?2 WHERE code = ?1 AND state = 0",
			 "si", e, code, now);
}

int store_task_cancel_code(struct store *store, const char *code, uint64_t now_ns, uint64_t *ret_n,
			   struct err *e)
{
	int r = store_begin(store, e);

	if (r == 0)
		r = cancel_code(store, code, (sqlite3_int64)now_ns, e);
	*ret_n = (uint64_t)sqlite3_changes(store->db);
	if (r == 0)
		r = store_commit(store, e);
	if (r < 0)
		store_rollback(store);
	return r;
}

int store_task_stats(struct store *store, const char *code, uint64_t counts[TASK_STATE_MAX],
		     struct err *e)
{
	sqlite3_stmt *st = NULL;
	int s;

	memset(counts, 0, TASK_STATE_MAX * sizeof(*counts));
	if (sqlite3_prepare_v2(store->db,
			       "SELECT state, count(*) FROM tasks WHERE code = ?1 GROUP BY state",
			       -1, &st, NULL) != SQLITE_OK)
		return store_fail(store, e, "be asked");
	bind_text(st, 1, code);
	while ((s = sqlite3_step(st)) == SQLITE_ROW) {
		int state = sqlite3_column_int(st, 0);

		if (state >= 0 && state < TASK_STATE_MAX)
			counts[state] = (uint64_t)sqlite3_column_int64(st, 1);
	}
	(void)sqlite3_finalize(st);
	return s == SQLITE_DONE ? 0 : store_fail(store, e, "be read");
}
