// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/front/store_row.h"

#define STORE_FILE "tasks.db"
#define STORE_VERSION 1

enum statement {
	ST_BEGIN,
	ST_COMMIT,
	ST_ROLLBACK,
	ST_INSERT,
	ST_UPDATE,
	ST_DELETE,
	ST_DELETE_HISTORY,
	ST_EVENT,
	ST_GET,
	ST_LIST,
	ST_LIST_ACTIVE,
	ST_FIND,
	ST_OLDEST,
	ST_HISTORY,
	ST_MAX
};

struct store {
	sqlite3 *db;
	sqlite3_stmt *st[ST_MAX];
};

/*
 * SQLite wants a full path of its file, which this role may not be able to walk. The
 * path is left as it is instead: relative to the working directory (store_open).
 */
static int keep_pathname(sqlite3_vfs *vfs, const char *name, int n, char *ret)
{
	(void)vfs;
	if ((int)strlen(name) >= n)
		return SQLITE_CANTOPEN;
	strcpy(ret, name);
	return SQLITE_OK;
}

static const char *vfs_register(void)
{
	static sqlite3_vfs beneath;

	if (!beneath.zName) {
		const sqlite3_vfs *unix_vfs = sqlite3_vfs_find("unix");

		if (!unix_vfs)
			return NULL;
		beneath = *unix_vfs;
		beneath.pNext = NULL;
		beneath.zName = "beneath";
		beneath.xFullPathname = keep_pathname;
		if (sqlite3_vfs_register(&beneath, 0) != SQLITE_OK)
			return NULL;
	}
	return beneath.zName;
}

static int store_fail(struct store *store, struct err *e, const char *doing)
{
	int code = store->db ? sqlite3_errcode(store->db) : SQLITE_NOMEM;

	if ((code & 0xff) == SQLITE_FULL)
		return err_set(e, ERR_LIMIT, ENOSPC, "the task store cannot %s", doing);
	return err_set(e, ERR_UNAVAILABLE, 0, "the task store cannot %s: %s", doing,
		       store->db ? sqlite3_errmsg(store->db) : "out of memory");
}

static int exec_sql(struct store *store, const char *sql, const char *doing, struct err *e)
{
	if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return store_fail(store, e, doing);
	return 0;
}

static int schema_version(struct store *store, int *ret, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int r = 0;

	if (sqlite3_prepare_v2(store->db, "PRAGMA user_version", -1, &st, NULL) != SQLITE_OK ||
	    sqlite3_step(st) != SQLITE_ROW)
		r = store_fail(store, e, "be read");
	else
		*ret = sqlite3_column_int(st, 0);
	(void)sqlite3_finalize(st);
	return r;
}

static int schema_create(struct store *store, struct err *e)
{
	char columns[STORE_ROW_SQL_MAX], sql[STORE_ROW_SQL_MAX + 1024];
	int version = 0, r;

	r = schema_version(store, &version, e);
	if (r < 0)
		return r;
	if (version == STORE_VERSION)
		return 0;
	if (version != 0)
		return err_set(e, ERR_CONFLICT, 0,
			       "the task store has version %d and this sandboxd knows %d: it was "
			       "made by another release",
			       version, STORE_VERSION);
	store_row_sql(STORE_SQL_CREATE, columns, sizeof(columns));
	(void)snprintf(sql, sizeof(sql),
		       "BEGIN IMMEDIATE; CREATE TABLE tasks (%s);"
		       "CREATE INDEX tasks_created ON tasks (created_ns);"
		       "CREATE INDEX tasks_finished ON tasks (finished_ns);"
		       "CREATE TABLE history (task_id TEXT NOT NULL, time_ns INTEGER NOT NULL,"
		       " event TEXT NOT NULL, detail TEXT NOT NULL);"
		       "CREATE INDEX history_task ON history (task_id);"
		       "PRAGMA user_version = %d; COMMIT",
		       columns, STORE_VERSION);
	return exec_sql(store, sql, "be created", e);
}

static int prepare_all(struct store *store, struct err *e)
{
	char columns[STORE_ROW_SQL_MAX], marks[STORE_ROW_SQL_MAX], sets[STORE_ROW_SQL_MAX];
	char insert[2 * STORE_ROW_SQL_MAX], update[2 * STORE_ROW_SQL_MAX];
	char get[2 * STORE_ROW_SQL_MAX], list[2 * STORE_ROW_SQL_MAX], active[2 * STORE_ROW_SQL_MAX];

	store_row_sql(STORE_SQL_COLUMNS, columns, sizeof(columns));
	store_row_sql(STORE_SQL_MARKS, marks, sizeof(marks));
	store_row_sql(STORE_SQL_SETS, sets, sizeof(sets));
	(void)snprintf(insert, sizeof(insert), "INSERT INTO tasks VALUES (%s)", marks);
	(void)snprintf(update, sizeof(update), "UPDATE tasks SET %s WHERE id = ?1", sets);
	(void)snprintf(get, sizeof(get), "SELECT %s FROM tasks WHERE id = ?1", columns);
	/* Not finished_ns: that is known before the task is over, while its log still ends. */
	_Static_assert(TASK_RUNNING == 2, "state <= 2 below is every state that is not final");
	/* ?1: active only; ?2: before this creation time. */
	(void)snprintf(list, sizeof(list),
		       "SELECT %s FROM tasks WHERE (?1 = 0 OR state <= 2) AND (?2 IS NULL OR "
		       "created_ns < (SELECT created_ns FROM tasks WHERE id = ?2))"
		       " ORDER BY created_ns DESC",
		       columns);
	(void)snprintf(active, sizeof(active),
		       "SELECT %s FROM tasks WHERE state <= 2 ORDER BY created_ns", columns);
	const char *const sql[ST_MAX] = {
		[ST_BEGIN] = "BEGIN IMMEDIATE",
		[ST_COMMIT] = "COMMIT",
		[ST_ROLLBACK] = "ROLLBACK",
		[ST_INSERT] = insert,
		[ST_UPDATE] = update,
		[ST_DELETE] = "DELETE FROM tasks WHERE id = ?1",
		[ST_DELETE_HISTORY] = "DELETE FROM history WHERE task_id = ?1",
		[ST_EVENT] = "INSERT INTO history VALUES (?1, ?2, ?3, ?4)",
		[ST_GET] = get,
		[ST_LIST] = list,
		[ST_LIST_ACTIVE] = active,
		[ST_FIND] = "SELECT id FROM tasks WHERE id >= ?1 AND id < ?1 || 'g' LIMIT 2",
		[ST_OLDEST] = ("SELECT id FROM tasks WHERE state > 2 ORDER BY finished_ns "
			       "LIMIT max(0, min(?1, (SELECT count(*) FROM tasks WHERE state > 2)"
			       " - ?2))"),
		[ST_HISTORY] = ("SELECT time_ns, event, detail FROM history WHERE task_id = ?1 "
				"ORDER BY rowid"),
	};

	for (int i = 0; i < ST_MAX; i++)
		if (sqlite3_prepare_v3(store->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
				       &store->st[i], NULL) != SQLITE_OK)
			return store_fail(store, e, "prepare its statements");
	return 0;
}

int store_open(int dirfd, struct store **ret, struct err *e)
{
	const char *vfs = vfs_register();
	struct store *store;
	int r;

	if (fchdir(dirfd) < 0)
		return err_set(e, ERR_SYSTEM, errno, "cannot enter the task store's folder");
	store = calloc(1, sizeof(*store));
	if (!store || !vfs) {
		free(store);
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot open the task store");
	}
	if (sqlite3_open_v2(STORE_FILE, &store->db,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW |
				    SQLITE_OPEN_NOMUTEX,
			    vfs) != SQLITE_OK)
		r = store_fail(store, e, "be opened");
	else
		/* Exclusive: no shared memory file, and never two daemons on one store. The
		 * timeout covers a predecessor that is just being torn down. */
		r = exec_sql(store,
			     "PRAGMA busy_timeout = 5000; PRAGMA locking_mode = EXCLUSIVE;"
			     "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
			     "PRAGMA trusted_schema = OFF",
			     "be opened", e);
	if (r == 0)
		r = schema_create(store, e);
	if (r == 0)
		r = prepare_all(store, e);
	if (r < 0) {
		store_free(store);
		return r;
	}
	*ret = store;
	return 0;
}

void store_free(struct store *store)
{
	if (!store)
		return;
	for (int i = 0; i < ST_MAX; i++)
		(void)sqlite3_finalize(store->st[i]);
	(void)sqlite3_close(store->db);
	free(store);
}

/* Runs a statement that returns no rows. */
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

int store_commit(struct store *store, struct err *e)
{
	return run(store, ST_COMMIT, "write a change", e);
}

void store_rollback(struct store *store)
{
	/* A failed COMMIT or a full disk may have rolled back by itself. */
	if (!sqlite3_get_autocommit(store->db))
		(void)run(store, ST_ROLLBACK, "undo a change", NULL);
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

int store_task_delete(struct store *store, const char *id, struct err *e)
{
	int r;

	bind_text(store->st[ST_DELETE], 1, id);
	r = run(store, ST_DELETE, "remove a task", e);
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

int store_task_list(struct store *store, bool active, const char *before, store_task_fn fn,
		    void *arg, struct err *e)
{
	(void)sqlite3_bind_int(store->st[ST_LIST], 1, active);
	if (before)
		bind_text(store->st[ST_LIST], 2, before);
	return walk(store, ST_LIST, fn, arg, e);
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
