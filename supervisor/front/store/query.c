// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/store/query.h"

#include <stdio.h>
#include <string.h>

#include "supervisor/front/store/priv.h"

#define QUERY_SQL_MAX (2 * ROW_SQL_MAX)
/* A second of work, in slices: beyond it a client asks for less. */
#define QUERY_ROWS_MAX 500000u
#define QUERY_SLICE 100000u

static void bind_text(sqlite3_stmt *st, int i, const char *text)
{
	if (text)
		(void)sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
}

/* What an index of the tasks can find, and what must be looked at in each row. */
struct conditions {
	const char *index;
	char where[256], each[256];
};

static void condition(char *list, const char *text)
{
	size_t n = strlen(list);

	(void)snprintf(list + n, sizeof(((struct conditions *)0)->each) - n, " AND %s", text);
}

/* By the filter that leaves the fewest rows, by experience: SQLite has no statistics of them. What
 * a client gave is bound, never written. */
static void choose_index(const struct task_query *q, struct conditions *c)
{
	const bool one_state = q->states && !(q->states & (q->states - 1));
	const bool by_label = q->project && q->label && *q->label;
	const bool by_dead = q->project && !by_label && q->dead_letter;
	const bool by_state = q->project && !by_label && !by_dead && one_state;
	const bool by_worker = q->project && !by_label && !by_dead && !by_state && q->code_name;
	char states[64] = "state IN (";
	size_t n = strlen(states);

	for (int i = 0; i < TASK_STATE_MAX; i++)
		if (q->states & (1u << i))
			n += (size_t)snprintf(states + n, sizeof(states) - n, "%s%d",
					      states[n - 1] == '(' ? "" : ",", i);
	(void)snprintf(states + n, sizeof(states) - n, ")");
	c->index = by_label	? "tasks_label"
		   : by_dead	? "tasks_dead_letter"
		   : by_state	? "tasks_state"
		   : by_worker	? "tasks_code_name"
		   : q->project ? "tasks_project"
				: "tasks_created";
	if (q->project)
		condition(c->where, "project = ?1");
	if (q->label)
		condition(by_label ? c->where : c->each,
			  by_label ? "label = ?3 AND label <> ''" : "label = ?3");
	if (q->dead_letter)
		condition(by_dead ? c->where : c->each, "dead_letter = 1");
	if (q->states)
		condition(by_state ? c->where : c->each, states);
	if (q->code_name)
		condition(by_worker ? c->where : c->each, "code_name = ?2");
}

/* From the newest on, or from where the query begins. */
static int walk_begin(struct store *store, const struct task_query *q, struct store_walk *walk,
		      struct err *e)
{
	sqlite3_stmt *st = NULL;
	int s;

	walk->begun = true;
	walk->created_ns = q->to_ns ? (int64_t)q->to_ns : INT64_MAX;
	walk->rowid = q->to_ns ? INT64_MIN : INT64_MAX;
	if (!q->before)
		return 0;
	/* No other project's task tells a time. */
	if (sqlite3_prepare_v2(store->db,
			       "SELECT created_ns, rowid FROM tasks WHERE id = ?1 AND "
			       "(?2 IS NULL OR project = ?2)",
			       -1, &st, NULL) != SQLITE_OK)
		return store_fail(store, e, "be asked");
	bind_text(st, 1, q->before);
	bind_text(st, 2, q->project);
	s = sqlite3_step(st);
	walk->ended = s == SQLITE_DONE;
	if (s == SQLITE_ROW && sqlite3_column_int64(st, 0) < walk->created_ns) {
		walk->created_ns = sqlite3_column_int64(st, 0);
		walk->rowid = sqlite3_column_int64(st, 1);
	}
	(void)sqlite3_finalize(st);
	return s == SQLITE_ROW || s == SQLITE_DONE ? 0 : store_fail(store, e, "be read");
}

static sqlite3_stmt *walk_prepare(struct store *store, const struct task_query *q,
				  const struct store_walk *walk, unsigned rows)
{
	char sql[1024];
	struct conditions c = {0};
	sqlite3_stmt *st = NULL;

	choose_index(q, &c);
	(void)snprintf(sql, sizeof(sql),
		       "SELECT rowid, created_ns, 1%s FROM tasks INDEXED BY %s WHERE 1%s%s AND "
		       "(created_ns, rowid) < (?5, ?6) ORDER BY created_ns DESC, rowid DESC "
		       "LIMIT ?7",
		       c.each, c.index, c.where, q->from_ns ? " AND created_ns >= ?4" : "");
	if (sqlite3_prepare_v2(store->db, sql, -1, &st, NULL) != SQLITE_OK)
		return NULL;
	bind_text(st, 1, q->project);
	bind_text(st, 2, q->code_name);
	bind_text(st, 3, q->label);
	(void)sqlite3_bind_int64(st, 4, (sqlite3_int64)q->from_ns);
	(void)sqlite3_bind_int64(st, 5, walk->created_ns);
	(void)sqlite3_bind_int64(st, 6, walk->rowid);
	(void)sqlite3_bind_int64(st, 7, rows);
	return st;
}

static sqlite3_stmt *row_prepare(struct store *store)
{
	char columns[ROW_SQL_MAX], sql[QUERY_SQL_MAX];
	sqlite3_stmt *st = NULL;

	row_sql(&tasks_table, ROW_LIST, columns);
	(void)snprintf(sql, sizeof(sql), "SELECT %s FROM tasks WHERE rowid = ?1", columns);
	return sqlite3_prepare_v2(store->db, sql, -1, &st, NULL) == SQLITE_OK ? st : NULL;
}

static int row_hand_on(struct store *store, sqlite3_stmt *row, int64_t rowid, store_task_fn fn,
		       void *arg, struct err *e)
{
	struct task_record rec = {0};
	struct err damage;
	int r;

	(void)sqlite3_bind_int64(row, 1, rowid);
	if (sqlite3_step(row) != SQLITE_ROW)
		return store_fail(store, e, "be read");
	/* A damaged row costs nobody the whole list. */
	r = task_row_salvage(row, &rec, &damage, e);
	if (r == 0 && *rec.id)
		r = fn(arg, &rec);
	task_record_clear(&rec);
	(void)sqlite3_reset(row);
	return r;
}

int store_task_walk(struct store *store, const struct task_query *q, struct store_walk *walk,
		    unsigned rows, store_task_fn fn, void *arg, struct err *e)
{
	sqlite3_stmt *st, *row = NULL;
	unsigned n = 0, work = 0;
	int s = SQLITE_DONE, r = 0;

	if (!walk->begun)
		r = walk_begin(store, q, walk, e);
	if (r < 0 || walk->ended)
		return r;
	st = walk_prepare(store, q, walk, rows);
	if (!st)
		return store_fail(store, e, "be asked");
	while (r == 0 && !walk->ended && work < rows && (s = sqlite3_step(st)) == SQLITE_ROW) {
		n++;
		work++;
		walk->rowid = sqlite3_column_int64(st, 0);
		walk->created_ns = sqlite3_column_int64(st, 1);
		if (!sqlite3_column_int(st, 2) || walk->found++ < q->skip)
			continue;
		if (!row)
			row = row_prepare(store);
		r = row ? row_hand_on(store, row, walk->rowid, fn, arg, e)
			: store_fail(store, e, "be asked");
		work += STORE_WALK_ROW;
		walk->ended = r > 0 || (q->limit && walk->found >= q->skip + q->limit);
	}
	walk->ended |= s == SQLITE_DONE && n < rows;
	walk->looked_at += n;
	if (r == 0 && s != SQLITE_ROW && s != SQLITE_DONE)
		r = store_fail(store, e, "be read");
	(void)sqlite3_finalize(row);
	(void)sqlite3_finalize(st);
	if (r < 0)
		return r;
	if (q->limit && !walk->ended && walk->looked_at >= QUERY_ROWS_MAX)
		return err_set(e, ERR_INPUT, 0,
			       "page: there are too many tasks to look through: ask for a "
			       "nearer page, or give from_time and to_time");
	return 0;
}

int store_task_query(struct store *store, const struct task_query *q, store_task_fn fn, void *arg,
		     struct err *e)
{
	struct store_walk walk = {0};
	int r = 0;

	while (r == 0 && !walk.ended)
		r = store_task_walk(store, q, &walk, QUERY_SLICE, fn, arg, e);
	return r;
}

int store_log_gone(struct store *store, const char *id, uint64_t now_ns, struct err *e)
{
	int r = store_sql(store, "UPDATE tasks SET log_disk = 0, log_gone = 1 WHERE id = ?1", "s",
			  e, id);

	return r < 0 ? r
		     : store_event(store, id, now_ns, "log removed",
				   "its project's logs take more than may be kept", e);
}

int store_project_tasks(struct store *store, const char *project, unsigned max,
			char (*ret)[TASK_ID_LEN + 1], unsigned *ret_n, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_ask(store, "SELECT id FROM tasks WHERE project = ?1 AND state > 2 LIMIT ?2",
			  &st, e);

	*ret_n = 0;
	if (r < 0)
		return r;
	bind_text(st, 1, project);
	(void)sqlite3_bind_int64(st, 2, max);
	while (*ret_n < max && (r = store_next(store, st, e)) > 0)
		row_text(st, 0, ret[(*ret_n)++], TASK_ID_LEN + 1);
	return r < 0 ? r : 0;
}

int store_log_oldest(struct store *store, const char *project, unsigned max, struct kept_log *ret,
		     unsigned *ret_n, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_ask(store,
			  "SELECT id, log_disk FROM tasks INDEXED BY tasks_log WHERE "
			  "project = ?1 AND log_disk > 0 AND state > 2 ORDER BY finished_ns "
			  "LIMIT ?2",
			  &st, e);

	*ret_n = 0;
	if (r < 0)
		return r;
	bind_text(st, 1, project);
	(void)sqlite3_bind_int64(st, 2, max);
	while (*ret_n < max && (r = store_next(store, st, e)) > 0) {
		struct kept_log *log = &ret[(*ret_n)++];

		row_text(st, 0, log->id, sizeof(log->id));
		log->bytes = (uint64_t)sqlite3_column_int64(st, 1);
	}
	return r < 0 ? r : 0;
}

int store_log_sums(struct store *store, store_sum_fn fn, void *arg, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_ask(store,
			  "SELECT project, sum(log_disk) FROM tasks INDEXED BY tasks_log "
			  "WHERE log_disk > 0 AND state > 2 GROUP BY project",
			  &st, e);

	if (r < 0)
		return r;
	while ((r = store_next(store, st, e)) > 0) {
		r = fn(arg, (const char *)sqlite3_column_text(st, 0),
		       (uint64_t)sqlite3_column_int64(st, 1));
		if (r != 0)
			return r;
	}
	return r;
}

int store_task_retried(struct store *store, const char *id, const char *retry, struct err *e)
{
	return store_sql(store, "UPDATE tasks SET retry = ?2, dead_letter = 0 WHERE id = ?1", "ss",
			 e, id, retry);
}

int store_task_cancel(struct store *store, const char *const *ids, unsigned n, uint64_t now_ns,
		      uint64_t *ret_n, struct err *e)
{
	sqlite3_stmt *st = store->st[ST_CANCEL];
	int r = store_begin_slice(store, e);

	*ret_n = 0;
	if (r < 0)
		return r;
	for (unsigned i = 0; r == 0 && i < n; i++) {
		bind_text(st, 1, ids[i]);
		(void)sqlite3_bind_int64(st, 2, (sqlite3_int64)now_ns);
		if (sqlite3_step(st) != SQLITE_DONE)
			r = store_fail(store, e, "change a task");
		(void)sqlite3_reset(st);
		if (r < 0 || !sqlite3_changes(store->db))
			continue;
		++*ret_n;
		r = store_event(store, ids[i], now_ns, "cancelled", "all of its worker", e);
	}
	return store_end(store, r, e);
}

int store_task_stats(struct store *store, const char *worker, uint64_t counts[TASK_STATE_MAX],
		     struct err *e)
{
	sqlite3_stmt *st = store->st[ST_COUNTS];
	int s;

	memset(counts, 0, TASK_STATE_MAX * sizeof(*counts));
	bind_text(st, 1, worker);
	while ((s = sqlite3_step(st)) == SQLITE_ROW) {
		int state = sqlite3_column_int(st, 0);

		if (state >= 0 && state < TASK_STATE_MAX)
			counts[state] = (uint64_t)sqlite3_column_int64(st, 1);
	}
	(void)sqlite3_reset(st);
	return s == SQLITE_DONE ? 0 : store_fail(store, e, "be read");
}
