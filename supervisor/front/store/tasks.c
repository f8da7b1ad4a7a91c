// SPDX-License-Identifier: Apache-2.0
/* Tasks and their history: their tables, and what is written and read one by one (query.h: many). */
#include <stdio.h>
#include <string.h>

#include "supervisor/front/store/priv.h"
#include "supervisor/front/store/projects.h"

static const struct column task_columns[] = {
	COLUMN(task_record, "id", COLUMN_TEXT, id),
	COLUMN(task_record, "project", COLUMN_TEXT, project),
	COLUMN(task_record, "image", COLUMN_TEXT, image),
	COLUMN(task_record, "image_digest", COLUMN_BLOB, image_digest),
	COLUMN(task_record, "policy", COLUMN_TEXT, policy),
	COLUMN(task_record, "policy_id", COLUMN_BLOB, policy_id),
	COLUMN(task_record, "has_package", COLUMN_U32, has_package),
	COLUMN(task_record, "package", COLUMN_BLOB, package),
	COLUMN(task_record, "label", COLUMN_TEXT, label),
	COLUMN(task_record, "priority", COLUMN_U32, priority),
	COLUMN(task_record, "requested_by", COLUMN_U32, requested_by),
	COLUMN(task_record, "state", COLUMN_U32, state),
	COLUMN(task_record, "verdict", COLUMN_U32, verdict),
	COLUMN(task_record, "start_asked", COLUMN_U32, start_asked),
	COLUMN(task_record, "start_mode", COLUMN_U32, start_mode),
	COLUMN(task_record, "start_us", COLUMN_U64, start_us),
	COLUMN(task_record, "exit_code", COLUMN_I32, exit_code),
	COLUMN(task_record, "signal", COLUMN_I32, signal),
	COLUMN(task_record, "created_ns", COLUMN_U64, created_ns),
	COLUMN(task_record, "started_ns", COLUMN_U64, started_ns),
	COLUMN(task_record, "finished_ns", COLUMN_U64, finished_ns),
	COLUMN(task_record, "cancel_ns", COLUMN_U64, cancel_ns),
	COLUMN(task_record, "cpu_us", COLUMN_U64, cpu_us),
	COLUMN(task_record, "memory_peak", COLUMN_U64, memory_peak),
	COLUMN(task_record, "log_known", COLUMN_U32, log_known),
	COLUMN(task_record, "log_lines", COLUMN_U64, log_lines),
	COLUMN(task_record, "log_bytes", COLUMN_U64, log_bytes),
	COLUMN(task_record, "log_dropped", COLUMN_U64, log_dropped),
	COLUMN(task_record, "limit_memory", COLUMN_U64, limits.memory),
	COLUMN(task_record, "limit_disk", COLUMN_U64, limits.disk),
	COLUMN(task_record, "limit_log", COLUMN_U64, limits.log_bytes),
	COLUMN(task_record, "limit_cpu_milli", COLUMN_U32, limits.cpu_milli),
	COLUMN(task_record, "limit_pids", COLUMN_U32, limits.pids),
	COLUMN(task_record, "limit_timeout_s", COLUMN_U32, limits.timeout_s),
	COLUMN(task_record, "limit_nofile", COLUMN_U32, limits.nofile),
	COLUMN(task_record, "warm", COLUMN_TEXT, warm),
	COLUMN(task_record, "warning", COLUMN_TEXT, warning),
	COLUMN(task_record, "error", COLUMN_TEXT, error),
	COLUMN(task_record, "code", COLUMN_TEXT, worker),
	COLUMN(task_record, "code_name", COLUMN_TEXT, code_name),
	COLUMN(task_record, "schedule", COLUMN_TEXT, schedule),
	COLUMN(task_record, "original", COLUMN_TEXT, original),
	COLUMN(task_record, "retry", COLUMN_TEXT, retry),
	COLUMN(task_record, "revision", COLUMN_U32, revision),
	COLUMN(task_record, "attempt", COLUMN_U32, attempt),
	COLUMN(task_record, "retries_left", COLUMN_U32, retries_left),
	COLUMN(task_record, "retries_delay_s", COLUMN_U32, retries_delay_s),
	COLUMN(task_record, "percent", COLUMN_U32, percent),
	COLUMN(task_record, "timeout_asked_s", COLUMN_U32, timeout_asked_s),
	COLUMN(task_record, "dead_letter", COLUMN_U32, dead_letter),
	COLUMN(task_record, "not_before_ns", COLUMN_U64, not_before_ns),
	COLUMN(task_record, "cluster", COLUMN_TEXT, cluster),
	COLUMN(task_record, "msg", COLUMN_TEXT, msg),
	COLUMN(task_record, "log_disk", COLUMN_U64, log_disk),
	COLUMN(task_record, "log_gone", COLUMN_U32, log_gone),
	COLUMN(task_record, "together", COLUMN_U32, together),
	COLUMN(task_record, "wanted_by", COLUMN_TEXT, wanted_by),
	COLUMN(task_record, "payload", COLUMN_OWNED, payload),
	COLUMN(task_record, "job", COLUMN_OWNED, job),
};
const struct table tasks_table = TABLE("tasks", task_record, 1, task_columns);

/* clang-format off */
static const char step_1[] =
	"CREATE TABLE tasks (id TEXT PRIMARY KEY NOT NULL, project TEXT NOT NULL,"
	" image TEXT NOT NULL, image_digest BLOB NOT NULL, policy TEXT NOT NULL,"
	" policy_id BLOB NOT NULL, has_package INTEGER NOT NULL, package BLOB NOT NULL,"
	" label TEXT NOT NULL, priority INTEGER NOT NULL, requested_by INTEGER NOT NULL,"
	" state INTEGER NOT NULL, verdict INTEGER NOT NULL, start_asked INTEGER NOT NULL,"
	" start_mode INTEGER NOT NULL, start_us INTEGER NOT NULL, exit_code INTEGER NOT NULL,"
	" signal INTEGER NOT NULL, created_ns INTEGER NOT NULL, started_ns INTEGER NOT NULL,"
	" finished_ns INTEGER NOT NULL, cancel_ns INTEGER NOT NULL, cpu_us INTEGER NOT NULL,"
	" memory_peak INTEGER NOT NULL, log_known INTEGER NOT NULL, log_lines INTEGER NOT NULL,"
	" log_bytes INTEGER NOT NULL, log_dropped INTEGER NOT NULL,"
	" limit_memory INTEGER NOT NULL, limit_disk INTEGER NOT NULL,"
	" limit_log INTEGER NOT NULL, limit_cpu_milli INTEGER NOT NULL,"
	" limit_pids INTEGER NOT NULL, limit_timeout_s INTEGER NOT NULL,"
	" limit_nofile INTEGER NOT NULL, warm TEXT NOT NULL, warning TEXT NOT NULL,"
	" error TEXT NOT NULL, spec TEXT NOT NULL);"
	"CREATE INDEX tasks_created ON tasks (created_ns);"
	"CREATE TABLE history (task_id TEXT NOT NULL, time_ns INTEGER NOT NULL,"
	" event TEXT NOT NULL, detail TEXT NOT NULL);"
	"CREATE INDEX history_task ON history (task_id)";
#define MORE(name, type_and_default) "ALTER TABLE tasks ADD COLUMN " name " " type_and_default ";"
#define TEXT "TEXT NOT NULL DEFAULT ''"
#define NUMBER "INTEGER NOT NULL DEFAULT 0"
static const char step_2[] =
	MORE("code", TEXT) MORE("code_name", TEXT) MORE("schedule", TEXT) MORE("original", TEXT)
	MORE("retry", TEXT) MORE("revision", NUMBER) MORE("attempt", NUMBER)
	MORE("retries_left", NUMBER) MORE("retries_delay_s", NUMBER) MORE("percent", NUMBER)
	MORE("timeout_asked_s", NUMBER) MORE("dead_letter", NUMBER) MORE("not_before_ns", NUMBER)
	MORE("cluster", TEXT) MORE("msg", TEXT)
	/* Until then there was one project, which was nothing but its name. */
	"UPDATE tasks SET project = '" PROJECT_DEFAULT_ID "';"
	/* A page of a project's list, by each of its filters: with 100,000 that wait none may look
	 * at all of them. */
	"CREATE INDEX tasks_project ON tasks (project, created_ns);"
	"CREATE INDEX tasks_state ON tasks (project, state, created_ns);"
	"CREATE INDEX tasks_code_name ON tasks (project, code_name, created_ns);"
	"CREATE INDEX tasks_label ON tasks (project, label, created_ns) WHERE label <> '';"
	"CREATE INDEX tasks_dead_letter ON tasks (project, created_ns) WHERE dead_letter = 1;"
	/* A worker's counts, and what of it waits. */
	"CREATE INDEX tasks_code ON tasks (code, state) WHERE code <> '';"
	/* What is kept of each project. */
	"DROP INDEX IF EXISTS tasks_finished;"
	"CREATE INDEX tasks_finished ON tasks (project, finished_ns) WHERE state > 2";
static const char step_3[] =
	MORE("log_disk", NUMBER) MORE("log_gone", NUMBER) MORE("together", NUMBER)
	/* The logger did not tell what a log takes: what was kept in whole blocks, its index and
	 * its folder. */
	"UPDATE tasks SET log_disk = (log_bytes - log_dropped + 4095) / 4096 * 4096 + 8192"
	" WHERE state > 2 AND log_known = 1 AND log_bytes > log_dropped;"
	/* The logs of a project, the oldest first, and how much they take together. */
	"CREATE INDEX tasks_log ON tasks (project, finished_ns, log_disk)"
	" WHERE log_disk > 0 AND state > 2";
/* They shared a column. What an operator's run had there, before it had its job, is the text of its
 * task.json (operator_job in run/source.c). */
static const char step_4[] =
	"ALTER TABLE tasks RENAME COLUMN spec TO payload;"
	MORE("job", TEXT)
	"UPDATE tasks SET job = payload, payload = '' WHERE code = ''";
static const char step_5[] = MORE("wanted_by", TEXT);
#undef MORE
#undef TEXT
#undef NUMBER
/* clang-format on */

static const struct migration steps[] = {{1, 1, step_1, NULL}, {2, 2, step_2, NULL},
					 {3, 3, step_3, NULL}, {4, 0, step_4, NULL},
					 {5, 0, step_5, NULL}, {0}};

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

static int tasks_prepare(struct store *store, struct err *e)
{
	char columns[ROW_SQL_MAX], marks[ROW_SQL_MAX], sets[ROW_SQL_MAX];
	char insert[3 * ROW_SQL_MAX], update[2 * ROW_SQL_MAX];
	char get[2 * ROW_SQL_MAX], active[2 * ROW_SQL_MAX];
	int r;

	row_sql(&tasks_table, ROW_COLUMNS, columns);
	row_sql(&tasks_table, ROW_MARKS, marks);
	row_sql(&tasks_table, ROW_SETS, sets);
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

	r = store_exec(store, counts, "count its tasks", e);
	for (enum statement i = 0; r == 0 && i < ST_MAX; i++)
		if (sql[i])
			r = store_prepare(store, i, sql[i], e);
	return r;
}

static const struct table *const tables[] = {&tasks_table, NULL};
const struct schema tasks_schema = {"tasks", steps, tables, tasks_prepare};

void task_record_clear(struct task_record *rec)
{
	row_clear(&tasks_table, rec);
}

size_t task_record_texts(const struct task_record *rec)
{
	return (rec->job ? strlen(rec->job) : 0) + (rec->payload ? strlen(rec->payload) : 0);
}

/* Numbers that stand for something. */
static bool is_sound(const struct task_record *rec)
{
	return util_is_id(rec->id) && rec->state < TASK_STATE_MAX && rec->verdict < VERDICT_MAX &&
	       rec->start_asked < START_MODE_MAX && rec->start_mode < START_MODE_MAX;
}

int task_row_read(sqlite3_stmt *st, struct task_record *ret, struct err *e)
{
	int r = row_read(&tasks_table, st, ret, e);

	if (r < 0)
		return r;
	return is_sound(ret) ? 0
			     : err_set(e, ERR_INTERNAL, 0, "a row of the task store is damaged");
}

int task_row_salvage(sqlite3_stmt *st, struct task_record *ret, struct err *damage, struct err *e)
{
	int r = row_salvage(&tasks_table, st, ret, damage, e);

	if (r < 0)
		return r;
	if (!is_sound(ret) && !damage->code)
		(void)err_set(damage, ERR_INTERNAL, 0, "a row of the task store is damaged");
	if (!util_is_id(ret->id))
		ret->id[0] = '\0';
	if (ret->state >= TASK_STATE_MAX)
		ret->state = TASK_RUNNING; /* it may have begun, and is not begun again */
	if (ret->verdict >= VERDICT_MAX)
		ret->verdict = VERDICT_NONE;
	if (ret->start_asked >= START_MODE_MAX)
		ret->start_asked = START_AUTO;
	if (ret->start_mode >= START_MODE_MAX)
		ret->start_mode = START_AUTO;
	ret->job = ret->job ? ret->job : strdup("");
	ret->payload = ret->payload ? ret->payload : strdup("");
	return ret->job && ret->payload ? 0 : err_set(e, ERR_SYSTEM, ENOMEM, "the task store");
}

static void bind_text(sqlite3_stmt *st, int i, const char *text)
{
	(void)sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
}

int store_task_insert(struct store *store, const struct task_record *rec, struct err *e)
{
	row_bind(&tasks_table, store->st[ST_INSERT], rec);
	return store_run(store, ST_INSERT, "add a task", e);
}

int store_task_update(struct store *store, const struct task_record *rec, struct err *e)
{
	row_bind(&tasks_table, store->st[ST_UPDATE], rec);
	return store_run(store, ST_UPDATE, "change a task", e);
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
	return store_run(store, ST_DELETE_HISTORY, "remove a task's history", e);
}

int store_event(struct store *store, const char *id, uint64_t time_ns, const char *event,
		const char *detail, struct err *e)
{
	sqlite3_stmt *st = store->st[ST_EVENT];

	bind_text(st, 1, id);
	(void)sqlite3_bind_int64(st, 2, (sqlite3_int64)time_ns);
	bind_text(st, 3, event);
	bind_text(st, 4, detail);
	return store_run(store, ST_EVENT, "add to a task's history", e);
}

/* Feeds every row of a bound statement to fn; what is damaged to damaged, or is an error (NULL). */
static int walk(struct store *store, enum statement i, store_task_fn fn, store_damaged_fn damaged,
		void *arg, struct err *e)
{
	sqlite3_stmt *st = store->st[i];
	struct task_record rec;
	struct err damage;
	int s, r = 0;

	while (r == 0 && (s = sqlite3_step(st)) != SQLITE_DONE) {
		if (s != SQLITE_ROW) {
			r = store_fail(store, e, "be read");
			break;
		}
		damage = (struct err){0};
		r = damaged ? task_row_salvage(st, &rec, &damage, e) : task_row_read(st, &rec, e);
		if (r == 0)
			r = damage.code ? damaged(arg, &rec, &damage) : fn(arg, &rec);
		task_record_clear(&rec);
	}
	(void)sqlite3_reset(st);
	(void)sqlite3_clear_bindings(st);
	return r;
}

int store_task_load_active(struct store *store, store_task_fn fn, store_damaged_fn damaged,
			   void *arg, struct err *e)
{
	return walk(store, ST_LIST_ACTIVE, fn, damaged, arg, e);
}

static int take_record(void *arg, struct task_record *rec)
{
	struct task_record *ret = arg;

	*ret = *rec;
	rec->job = rec->payload = NULL;
	return 1;
}

int store_task_get(struct store *store, const char *id, struct task_record *ret, struct err *e)
{
	int r;

	bind_text(store->st[ST_GET], 1, id);
	r = walk(store, ST_GET, take_record, NULL, ret, e);
	if (r == 0)
		return err_set(e, ERR_NOT_FOUND, 0, "there is no task %s", id);
	return r < 0 ? r : 0;
}

struct salvaged {
	struct task_record *ret;
	struct err *damage;
};

static int take_sound(void *arg, struct task_record *rec)
{
	return take_record(((struct salvaged *)arg)->ret, rec);
}

static int take_damaged(void *arg, struct task_record *rec, const struct err *damage)
{
	struct salvaged *s = arg;

	*s->damage = *damage;
	return take_record(s->ret, rec);
}

int store_task_salvage(struct store *store, const char *id, struct task_record *ret,
		       struct err *damage, struct err *e)
{
	struct salvaged s = {ret, damage};
	int r;

	*damage = (struct err){0};
	bind_text(store->st[ST_GET], 1, id);
	r = walk(store, ST_GET, take_sound, take_damaged, &s, e);
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
