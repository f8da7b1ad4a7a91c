// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "supervisor/front/store/priv.h"
#include "supervisor/front/store/projects.h"

#define STORE_FILE "tasks.db"
#define STORE_VERSION 3

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

/* clang-format off */
/* What version 2 has more than version 1. */
static const char *const version_2[] = {
	"CREATE TABLE projects (id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL UNIQUE,"
	" slot INTEGER NOT NULL UNIQUE, created_ns INTEGER NOT NULL, running INTEGER NOT NULL,"
	" queued INTEGER NOT NULL, schedules INTEGER NOT NULL, memory INTEGER NOT NULL,"
	" package_bytes INTEGER NOT NULL, log_bytes INTEGER NOT NULL)",
	"CREATE TABLE tokens (id TEXT PRIMARY KEY NOT NULL, project_id TEXT NOT NULL,"
	" label TEXT NOT NULL, hash BLOB NOT NULL UNIQUE, operator INTEGER NOT NULL,"
	" created_ns INTEGER NOT NULL)",
	"CREATE TABLE codes (id TEXT PRIMARY KEY NOT NULL, project_id TEXT NOT NULL,"
	" name TEXT NOT NULL, revision INTEGER NOT NULL, paused INTEGER NOT NULL,"
	" created_ns INTEGER NOT NULL, changed_ns INTEGER NOT NULL, config TEXT, env TEXT,"
	" UNIQUE (project_id, name))",
	"CREATE TABLE revisions (code_id TEXT NOT NULL, revision INTEGER NOT NULL,"
	" id TEXT NOT NULL, created_ns INTEGER NOT NULL, spec TEXT NOT NULL,"
	" PRIMARY KEY (code_id, revision)) WITHOUT ROWID",
	"CREATE TABLE schedules (id TEXT PRIMARY KEY NOT NULL, project_id TEXT NOT NULL,"
	" state INTEGER NOT NULL, created_ns INTEGER NOT NULL, changed_ns INTEGER NOT NULL,"
	" next_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, run_count INTEGER NOT NULL,"
	" msg TEXT NOT NULL, code_name TEXT NOT NULL, payload TEXT, start_ns INTEGER NOT NULL,"
	" end_ns INTEGER NOT NULL, run_every_s INTEGER NOT NULL, run_times INTEGER NOT NULL,"
	" cron TEXT NOT NULL, zone TEXT NOT NULL, priority INTEGER NOT NULL,"
	" timeout_s INTEGER NOT NULL, delay_s INTEGER NOT NULL, label TEXT NOT NULL,"
	" cluster TEXT NOT NULL)",
	"CREATE INDEX schedules_project ON schedules (project_id)",
	/* A page of a project's list, by each of its filters: with 100,000 that wait none may look
	 * at all of them. */
	"CREATE INDEX tasks_project ON tasks (project, created_ns)",
	"CREATE INDEX tasks_state ON tasks (project, state, created_ns)",
	"CREATE INDEX tasks_code_name ON tasks (project, code_name, created_ns)",
	"CREATE INDEX tasks_label ON tasks (project, label, created_ns) WHERE label <> ''",
	"CREATE INDEX tasks_dead_letter ON tasks (project, created_ns) WHERE dead_letter = 1",
	/* A code's counts, and what of it waits. */
	"CREATE INDEX tasks_code ON tasks (code, state) WHERE code <> ''",
	/* What is kept of each project. */
	"DROP INDEX IF EXISTS tasks_finished",
	"CREATE INDEX tasks_finished ON tasks (project, finished_ns) WHERE state > 2",
};

/* What version 3 has more. Projects that were there before keep what they could do: no bound is
 * put on them, and their workers may go on naming the policies that they name. */
static const char *const version_3[] = {
	"ALTER TABLE projects ADD COLUMN package_files INTEGER NOT NULL DEFAULT 0",
	"ALTER TABLE projects ADD COLUMN kept_log_bytes INTEGER NOT NULL DEFAULT 0",
	"ALTER TABLE projects ADD COLUMN policies TEXT NOT NULL DEFAULT ''",
	"ALTER TABLE projects ADD COLUMN images TEXT NOT NULL DEFAULT ''",
	"UPDATE projects SET policies = 'default,strict' || coalesce((SELECT ',' ||"
	" group_concat(DISTINCT json_extract(spec, '$.policy')) FROM codes JOIN revisions"
	" ON code_id = codes.id WHERE project_id = projects.id AND"
	" json_extract(spec, '$.policy') NOT IN ('', 'default', 'strict')), '')",
	"UPDATE projects SET policies = '' WHERE length(policies) > 1023",
	/* The logger did not tell it: what was kept in whole blocks, its index and its folder. */
	"UPDATE tasks SET log_disk = (log_bytes - log_dropped + 4095) / 4096 * 4096 + 8192"
	" WHERE state > 2 AND log_known = 1 AND log_bytes > log_dropped",
	/* The logs of a project, the oldest first, and how much they take together. */
	"CREATE INDEX tasks_log ON tasks (project, finished_ns, log_disk)"
	" WHERE log_disk > 0 AND state > 2",
};
/* clang-format on */

static int create_tasks(struct store *store, struct err *e)
{
	char columns[STORE_ROW_SQL_MAX], sql[STORE_ROW_SQL_MAX + 1024];

	store_row_sql(STORE_SQL_CREATE, columns, sizeof(columns));
	(void)snprintf(sql, sizeof(sql),
		       "CREATE TABLE tasks (%s);"
		       "CREATE INDEX tasks_created ON tasks (created_ns);"
		       "CREATE TABLE history (task_id TEXT NOT NULL, time_ns INTEGER NOT NULL,"
		       " event TEXT NOT NULL, detail TEXT NOT NULL);"
		       "CREATE INDEX history_task ON history (task_id)",
		       columns);
	return exec_sql(store, sql, "be created", e);
}

static int exec_all(struct store *store, const char *const *sql, size_t n, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = exec_sql(store, sql[i], "be brought to this release's version", e);
	return r;
}

static int upgrade_tasks(struct store *store, int version, struct err *e)
{
	char columns[STORE_ROW_SQL_MAX];

	store_row_upgrade(version, columns, sizeof(columns));
	return exec_sql(store, columns, "be brought to this release's version", e);
}

/* From one version to the next; 0 is an empty file, whose tasks have every column at once. */
static int schema_make(struct store *store, int version, struct err *e)
{
	char sql[64];
	int r = version == 0 ? create_tasks(store, e) : 0;

	if (r == 0 && version == 1)
		r = upgrade_tasks(store, 2, e);
	/* Version 1 had one project, which was nothing but its name. */
	if (r == 0 && version == 1)
		r = exec_sql(store, "UPDATE tasks SET project = '" PROJECT_DEFAULT_ID "'",
			     "be brought to this release's version", e);
	if (r == 0 && version < 2)
		r = exec_all(store, version_2, ARRAY_SIZE(version_2), e);
	if (r == 0 && version > 0)
		r = upgrade_tasks(store, 3, e);
	if (r == 0)
		r = exec_all(store, version_3, ARRAY_SIZE(version_3), e);
	(void)snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", STORE_VERSION);
	return r < 0 ? r : exec_sql(store, sql, "be created", e);
}

static int schema_create(struct store *store, struct err *e)
{
	int version = 0, r;

	r = schema_version(store, &version, e);
	if (r < 0 || version == STORE_VERSION)
		return r;
	if (version < 0 || version > STORE_VERSION)
		return err_set(e, ERR_CONFLICT, 0,
			       "the task store has version %d and this sandboxd knows %d: it was "
			       "made by another release",
			       version, STORE_VERSION);
	r = exec_sql(store, "BEGIN IMMEDIATE", "be created", e);
	if (r == 0)
		r = schema_make(store, version, e);
	return r < 0 ? r : exec_sql(store, "COMMIT", "be created", e);
}

/*
 * Counts of tasks, in the memory of this process: nobody's request counts rows. They are made when
 * the store is opened and are part of every transaction from then on, so that they are right after
 * a failed one, too, and after a crash.
 */
/* clang-format off */
static const char counts[] =
	"PRAGMA temp_store = MEMORY;"
	"CREATE TEMP TABLE code_counts (code TEXT NOT NULL, state INTEGER NOT NULL,"
	" n INTEGER NOT NULL, PRIMARY KEY (code, state)) WITHOUT ROWID;"
	"INSERT INTO code_counts SELECT code, state, count(*) FROM tasks INDEXED BY tasks_code"
	" WHERE code <> '' GROUP BY code, state;"
	/* Of tasks that have ended. */
	"CREATE TEMP TABLE project_counts (project TEXT PRIMARY KEY NOT NULL, n INTEGER NOT NULL)"
	" WITHOUT ROWID;"
	"INSERT INTO project_counts SELECT project, count(*) FROM tasks INDEXED BY tasks_finished"
	" WHERE state > 2 GROUP BY project;"
	"CREATE TEMP TRIGGER count_inserted AFTER INSERT ON main.tasks BEGIN"
	" INSERT INTO code_counts SELECT new.code, new.state, 1 WHERE new.code <> ''"
	"  ON CONFLICT DO UPDATE SET n = n + 1;"
	" INSERT INTO project_counts SELECT new.project, 1 WHERE new.state > 2"
	"  ON CONFLICT DO UPDATE SET n = n + 1;"
	"END;"
	"CREATE TEMP TRIGGER count_updated AFTER UPDATE OF state ON main.tasks"
	" WHEN new.state <> old.state BEGIN"
	" UPDATE code_counts SET n = n - 1 WHERE code = old.code AND state = old.state;"
	" INSERT INTO code_counts SELECT new.code, new.state, 1 WHERE new.code <> ''"
	"  ON CONFLICT DO UPDATE SET n = n + 1;"
	" INSERT INTO project_counts SELECT new.project, 1 WHERE new.state > 2 AND old.state <= 2"
	"  ON CONFLICT DO UPDATE SET n = n + 1;"
	"END;"
	"CREATE TEMP TRIGGER count_deleted AFTER DELETE ON main.tasks BEGIN"
	" UPDATE code_counts SET n = n - 1 WHERE code = old.code AND state = old.state;"
	" DELETE FROM code_counts WHERE code = old.code AND n = 0;"
	" UPDATE project_counts SET n = n - 1 WHERE project = old.project AND old.state > 2;"
	" DELETE FROM project_counts WHERE project = old.project AND n = 0;"
	"END";
/* clang-format on */

static int prepare_all(struct store *store, struct err *e)
{
	char columns[STORE_ROW_SQL_MAX], marks[STORE_ROW_SQL_MAX], sets[STORE_ROW_SQL_MAX];
	char insert[3 * STORE_ROW_SQL_MAX], update[2 * STORE_ROW_SQL_MAX];
	char get[2 * STORE_ROW_SQL_MAX], active[2 * STORE_ROW_SQL_MAX];

	store_row_sql(STORE_SQL_COLUMNS, columns, sizeof(columns));
	store_row_sql(STORE_SQL_MARKS, marks, sizeof(marks));
	store_row_sql(STORE_SQL_SETS, sets, sizeof(sets));
	(void)snprintf(insert, sizeof(insert), "INSERT INTO tasks (%s) VALUES (%s)", columns,
		       marks);
	(void)snprintf(update, sizeof(update), "UPDATE tasks SET %s WHERE id = ?1", sets);
	(void)snprintf(get, sizeof(get), "SELECT %s FROM tasks WHERE id = ?1", columns);
	/* Not finished_ns: that is known before the task is over, while its log still ends. */
	_Static_assert(TASK_RUNNING == 2, "state <= 2 below is every state that is not final");
	(void)snprintf(
		active, sizeof(active),
		"SELECT %s FROM tasks WHERE state <= 2 ORDER BY max(created_ns, not_before_ns)",
		columns);
	_Static_assert(TASK_QUEUED == 0 && TASK_CANCELLED == 5 && VERDICT_CANCELLED == 8,
		       "the numbers below");
	/* It has no log. */
	static const char cancel[] =
		"UPDATE tasks SET state = 5, verdict = 8, exit_code = 143, log_known = 1, "
		"finished_ns = ?2, cancel_ns = ?2 WHERE id = ?1 AND state = 0 AND cancel_ns = 0";
	const char *const sql[ST_MAX] = {
		[ST_BEGIN] = "BEGIN IMMEDIATE",
		[ST_COMMIT] = "COMMIT",
		[ST_ROLLBACK] = "ROLLBACK",
		[ST_INSERT] = insert,
		[ST_UPDATE] = update,
		[ST_DELETE] = ("DELETE FROM tasks WHERE id = ?1 "
			       "RETURNING project, iif(state > 2, log_disk, 0)"),
		[ST_DELETE_HISTORY] = "DELETE FROM history WHERE task_id = ?1",
		[ST_EVENT] = "INSERT INTO history VALUES (?1, ?2, ?3, ?4)",
		[ST_GET] = get,
		[ST_LIST_ACTIVE] = active,
		[ST_FIND] = "SELECT id FROM tasks WHERE id >= ?1 AND id < ?1 || 'g' LIMIT 2",
		/* Without statistics it would take the index that has what waits too. */
		[ST_OLDEST] =
			("SELECT id FROM tasks INDEXED BY tasks_finished WHERE state > 2 AND "
			 "project = (SELECT project FROM project_counts WHERE n = "
			 "(SELECT max(n) FROM project_counts) LIMIT 1) "
			 "ORDER BY finished_ns LIMIT "
			 "max(0, min(?1, (SELECT coalesce(sum(n), 0) FROM project_counts) - ?2))"),
		[ST_COUNTS] = "SELECT state, n FROM code_counts WHERE code = ?1",
		[ST_CANCEL] = cancel,
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
		r = exec_sql(store, counts, "count its tasks", e);
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
