// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "supervisor/front/store/priv.h"

static int run(struct store *store, enum statement i, const char *doing, struct err *e)
{
	int r = sqlite3_step(store->st[i]) == SQLITE_DONE ? 0 : store_fail(store, e, doing);

	(void)sqlite3_reset(store->st[i]);
	(void)sqlite3_clear_bindings(store->st[i]);
	return r;
}

static void bind_text(sqlite3_stmt *st, int i, const char *text)
{
	(void)sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
}

int store_begin(struct store *store, struct err *e)
{
	return run(store, ST_BEGIN, "begin a change", e);
}

/* Without FULL a commit is in the log, and in its order, but not yet on the disk. Only between
 * transactions; whoever changes rows without a transaction of his own has FULL. */
static int wait_for_disk(struct store *store, bool wait, struct err *e)
{
	if (sqlite3_exec(store->db,
			 wait ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", NULL,
			 NULL, NULL) != SQLITE_OK)
		return store_fail(store, e, "begin a change");
	store->in_slice = !wait;
	return 0;
}

int store_begin_slice(struct store *store, struct err *e)
{
	int r = wait_for_disk(store, false, e);

	return r < 0 ? r : store_begin(store, e);
}

int store_commit(struct store *store, struct err *e)
{
	int r = run(store, ST_COMMIT, "write a change", e);

	if (r == 0 && store->in_slice)
		(void)wait_for_disk(store, true, NULL);
	return r;
}

void store_rollback(struct store *store)
{
	/* A failed COMMIT or a full disk may have rolled back by itself. */
	if (!sqlite3_get_autocommit(store->db))
		(void)run(store, ST_ROLLBACK, "undo a change", NULL);
	if (store->in_slice)
		(void)wait_for_disk(store, true, NULL);
}

int store_sync(struct store *store, struct err *e)
{
	sqlite3_file *log = NULL;

	/* Of the write-ahead log, in which all that was committed is. */
	if (sqlite3_file_control(store->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) !=
		    SQLITE_OK ||
	    !log || !log->pMethods)
		return err_set(e, ERR_INTERNAL, 0, "the task store has no log");
	if (log->pMethods->xSync(log, SQLITE_SYNC_NORMAL) != SQLITE_OK)
		return err_set(e, ERR_UNAVAILABLE, 0, "the task store cannot be synced");
	return 0;
}

int store_task_insert(struct store *store, const struct task_record *rec, struct err *e)
{
	store_row_bind(store->st[ST_INSERT], rec);
	return run(store, ST_INSERT, "add a task", e);
}

int store_task_update(struct store *store, const struct task_record *rec, struct err *e)
{
	store_row_bind(store->st[ST_UPDATE], rec);
	return run(store, ST_UPDATE, "change a task", e);
}

int store_task_delete(struct store *store, const char *id, struct kept_log *ret, struct err *e)
{
	sqlite3_stmt *st = store->st[ST_DELETE];
	int s, r = 0;

	*ret = (struct kept_log){0};
	bind_text(st, 1, id);
	while ((s = sqlite3_step(st)) == SQLITE_ROW) {
		(void)snprintf(ret->id, sizeof(ret->id), "%s",
			       (const char *)sqlite3_column_text(st, 0));
		ret->bytes = (uint64_t)sqlite3_column_int64(st, 1);
	}
	if (s != SQLITE_DONE)
		r = store_fail(store, e, "remove a task");
	(void)sqlite3_reset(st);
	(void)sqlite3_clear_bindings(st);
	if (r < 0)
		return r;
	bind_text(store->st[ST_DELETE_HISTORY], 1, id);
	return run(store, ST_DELETE_HISTORY, "remove a task's history", e);
}

int store_event(struct store *store, const char *id, uint64_t time_ns, const char *event,
		const char *detail, struct err *e)
{
	sqlite3_stmt *st = store->st[ST_EVENT];

	bind_text(st, 1, id);
	(void)sqlite3_bind_int64(st, 2, (sqlite3_int64)time_ns);
	bind_text(st, 3, event);
	bind_text(st, 4, detail);
	return run(store, ST_EVENT, "add to a task's history", e);
}

/* Feeds every row of a bound statement to fn. */
static int walk(struct store *store, enum statement i, store_task_fn fn, void *arg, struct err *e)
{
	sqlite3_stmt *st = store->st[i];
	struct task_record rec;
	int s, r = 0;

	while (r == 0 && (s = sqlite3_step(st)) != SQLITE_DONE) {
		if (s != SQLITE_ROW) {
			r = store_fail(store, e, "be read");
			break;
		}
		r = store_row_read(st, &rec, e);
		if (r == 0)
			r = fn(arg, &rec);
		free(rec.spec);
	}
	(void)sqlite3_reset(st);
	(void)sqlite3_clear_bindings(st);
	return r;
}

int store_task_load_active(struct store *store, store_task_fn fn, void *arg, struct err *e)
{
	return walk(store, ST_LIST_ACTIVE, fn, arg, e);
}

static int take_record(void *arg, struct task_record *rec)
{
	struct task_record *ret = arg;

	*ret = *rec;
	rec->spec = NULL;
	return 1;
}

int store_task_get(struct store *store, const char *id, struct task_record *ret, struct err *e)
{
	int r;

	bind_text(store->st[ST_GET], 1, id);
	r = walk(store, ST_GET, take_record, ret, e);
	if (r == 0)
		return err_set(e, ERR_NOT_FOUND, 0, "there is no task %s", id);
	return r < 0 ? r : 0;
}

int store_task_find(struct store *store, const char *prefix, char ret[TASK_ID_LEN + 1],
		    struct err *e)
{
	sqlite3_stmt *st = store->st[ST_FIND];
	int n = 0, s, r = 0;

	bind_text(st, 1, prefix);
	while ((s = sqlite3_step(st)) == SQLITE_ROW && n++ == 0)
		(void)snprintf(ret, TASK_ID_LEN + 1, "%s",
			       (const char *)sqlite3_column_text(st, 0));
	if (s != SQLITE_DONE && s != SQLITE_ROW)
		r = store_fail(store, e, "be read");
	else if (n == 0)
		r = err_set(e, ERR_NOT_FOUND, 0, "there is no task %s", prefix);
	else if (n > 1)
		r = err_set(e, ERR_CONFLICT, 0, "several tasks start with %s: give more of the id",
			    prefix);
	(void)sqlite3_reset(st);
	(void)sqlite3_clear_bindings(st);
	return r;
}

int store_task_oldest(struct store *store, uint64_t keep, unsigned max,
		      char (*ret)[TASK_ID_LEN + 1], unsigned *ret_n, struct err *e)
{
	sqlite3_stmt *st = store->st[ST_OLDEST];
	int s, r = 0;

	*ret_n = 0;
	(void)sqlite3_bind_int64(st, 1, max);
	(void)sqlite3_bind_int64(st, 2, (sqlite3_int64)keep);
	while (*ret_n < max && (s = sqlite3_step(st)) != SQLITE_DONE) {
		if (s != SQLITE_ROW) {
			r = store_fail(store, e, "be read");
			break;
		}
		(void)snprintf(ret[(*ret_n)++], TASK_ID_LEN + 1, "%s",
			       (const char *)sqlite3_column_text(st, 0));
	}
	(void)sqlite3_reset(st);
	return r;
}

int store_history(struct store *store, const char *id, store_event_fn fn, void *arg, struct err *e)
{
	sqlite3_stmt *st = store->st[ST_HISTORY];
	int s, r = 0;

	bind_text(st, 1, id);
	while (r == 0 && (s = sqlite3_step(st)) != SQLITE_DONE) {
		if (s != SQLITE_ROW)
			r = store_fail(store, e, "be read");
		else
			r = fn(arg, (uint64_t)sqlite3_column_int64(st, 0),
			       (const char *)sqlite3_column_text(st, 1),
			       (const char *)sqlite3_column_text(st, 2));
	}
	(void)sqlite3_reset(st);
	(void)sqlite3_clear_bindings(st);
	return r;
}
