// SPDX-License-Identifier: Apache-2.0
/* The store's file: how it is opened, changed and closed. */
#include <stdarg.h>
#include <string.h>

#include "supervisor/front/store/priv.h"

#define STORE_FILE "tasks.db"
/* Pages of the write-ahead log that are moved to the database when there are so many, within one commit. */
#define LOG_LONG 1000 /* SQLite's own */
#define LOG_SHORT 128

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

int store_fail(struct store *store, struct err *e, const char *doing)
{
	int code = store->db ? sqlite3_errcode(store->db) : SQLITE_NOMEM;

	if ((code & 0xff) == SQLITE_FULL)
		return err_set(e, ERR_LIMIT, ENOSPC, "the task store cannot %s", doing);
	return err_set(e, ERR_UNAVAILABLE, 0, "the task store cannot %s: %s", doing,
		       store->db ? sqlite3_errmsg(store->db) : "out of memory");
}

int store_exec(struct store *store, const char *sql, const char *doing, struct err *e)
{
	if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return store_fail(store, e, doing);
	return 0;
}

int store_prepare(struct store *store, enum statement i, const char *sql, struct err *e)
{
	if (sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &store->st[i],
			       NULL) != SQLITE_OK)
		return store_fail(store, e, "prepare its statements");
	return 0;
}

int store_run(struct store *store, enum statement i, const char *doing, struct err *e)
{
	int r = sqlite3_step(store->st[i]) == SQLITE_DONE ? 0 : store_fail(store, e, doing);

	(void)sqlite3_reset(store->st[i]);
	(void)sqlite3_clear_bindings(store->st[i]);
	return r;
}

int store_sql(struct store *store, const char *sql, const char *types, struct err *e, ...)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	va_list ap;
	int r = store_ask(store, sql, &st, e);

	if (r < 0)
		return r;
	va_start(ap, e);
	for (int i = 1; *types; types++, i++) {
		if (*types == 's')
			(void)sqlite3_bind_text(st, i, va_arg(ap, const char *), -1, SQLITE_STATIC);
		else
			(void)sqlite3_bind_int64(st, i, va_arg(ap, sqlite3_int64));
	}
	va_end(ap);
	return sqlite3_step(st) == SQLITE_DONE ? 0 : store_fail(store, e, "be changed");
}

/* What each capability compiles and counts. */
static int prepare_all(struct store *store, const struct schema *const *schemas, struct err *e)
{
	int r = store_prepare(store, ST_BEGIN, "BEGIN IMMEDIATE", e);

	if (r == 0)
		r = store_prepare(store, ST_COMMIT, "COMMIT", e);
	if (r == 0)
		r = store_prepare(store, ST_ROLLBACK, "ROLLBACK", e);
	for (; r == 0 && *schemas; schemas++)
		if ((*schemas)->prepare)
			r = (*schemas)->prepare(store, e);
	return r;
}

int store_open(int dirfd, const struct schema *const *schemas, struct store **ret, struct err *e)
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
		r = store_exec(store,
			       "PRAGMA busy_timeout = 5000; PRAGMA locking_mode = EXCLUSIVE;"
			       "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
			       "PRAGMA trusted_schema = OFF",
			       "be opened", e);
	if (r == 0)
		r = store_migrate(store, schemas, e);
	if (r == 0)
		r = prepare_all(store, schemas, e);
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

int store_begin(struct store *store, struct err *e)
{
	return store_run(store, ST_BEGIN, "begin a change", e);
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

	if (r < 0)
		return r;
	r = store_begin(store, e);
	if (r < 0)
		(void)wait_for_disk(store, true, NULL);
	return r;
}

int store_end(struct store *store, int r, struct err *e)
{
	if (r == 0)
		r = store_run(store, ST_COMMIT, "write a change", e);
	/* A failed COMMIT or a full disk may have rolled back by itself. */
	if (r < 0 && !sqlite3_get_autocommit(store->db))
		(void)store_run(store, ST_ROLLBACK, "undo a change", NULL);
	if (store->in_slice)
		(void)wait_for_disk(store, true, NULL);
	return r;
}

int store_slice(struct store *store, int (*write)(void *arg, struct err *e), void *arg,
		struct err *e)
{
	int r = store_begin_slice(store, e);

	return r < 0 ? r : store_end(store, write(arg, e), e);
}

void store_log_short(struct store *store, bool is_short)
{
	(void)sqlite3_wal_autocheckpoint(store->db, is_short ? LOG_SHORT : LOG_LONG);
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
