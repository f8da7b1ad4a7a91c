// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/store/web.h"

#include "supervisor/front/store/priv.h"

static const struct column worker_columns[] = {
	COLUMN(web_worker_row, "id", COLUMN_TEXT, id),
	COLUMN(web_worker_row, "project_id", COLUMN_TEXT, project),
	COLUMN(web_worker_row, "name", COLUMN_TEXT, name),
	COLUMN(web_worker_row, "created_ns", COLUMN_U64, created_ns),
	COLUMN(web_worker_row, "changed_ns", COLUMN_U64, changed_ns),
	COLUMN(web_worker_row, "last_version", COLUMN_U32, last_version),
	COLUMN(web_worker_row, "last_deployment", COLUMN_U32, last_deployment),
};
static const struct table workers_table = TABLE("web_workers", web_worker_row, 1, worker_columns);

static const struct column version_columns[] = {
	COLUMN(web_version_row, "worker_id", COLUMN_TEXT, worker),
	COLUMN(web_version_row, "number", COLUMN_U32, number),
	COLUMN(web_version_row, "id", COLUMN_TEXT, id),
	COLUMN(web_version_row, "created_ns", COLUMN_U64, created_ns),
	COLUMN(web_version_row, "source", COLUMN_TEXT, source),
	COLUMN(web_version_row, "message", COLUMN_TEXT, message),
	COLUMN(web_version_row, "tag", COLUMN_TEXT, tag),
	COLUMN(web_version_row, "image", COLUMN_TEXT, image),
	COLUMN(web_version_row, "image_digest", COLUMN_BLOB, image_digest),
	COLUMN(web_version_row, "package", COLUMN_BLOB, package),
	COLUMN(web_version_row, "package_bytes", COLUMN_U64, package_bytes),
	COLUMN(web_version_row, "package_files", COLUMN_U64, package_files),
	COLUMN(web_version_row, "snapshot", COLUMN_U32, snapshot),
	COLUMN(web_version_row, "manifest", COLUMN_OWNED, manifest),
	COLUMN(web_version_row, "note", COLUMN_OWNED, note),
};
static const struct table versions_table =
	TABLE("web_versions", web_version_row, 2, version_columns);

static const struct column deployment_columns[] = {
	COLUMN(web_deployment_row, "worker_id", COLUMN_TEXT, worker),
	COLUMN(web_deployment_row, "number", COLUMN_U32, number),
	COLUMN(web_deployment_row, "id", COLUMN_TEXT, id),
	COLUMN(web_deployment_row, "created_ns", COLUMN_U64, created_ns),
	COLUMN(web_deployment_row, "source", COLUMN_TEXT, source),
	COLUMN(web_deployment_row, "message", COLUMN_TEXT, message),
	COLUMN(web_deployment_row, "version_1", COLUMN_TEXT, version_1),
	COLUMN(web_deployment_row, "percent_1", COLUMN_U32, percent_1),
	COLUMN(web_deployment_row, "version_2", COLUMN_TEXT, version_2),
};
static const struct table deployments_table =
	TABLE("web_deployments", web_deployment_row, 2, deployment_columns);

static const struct column cron_columns[] = {
	COLUMN(web_cron_row, "worker_id", COLUMN_TEXT, worker),
	COLUMN(web_cron_row, "line", COLUMN_TEXT, line),
	COLUMN(web_cron_row, "last_ns", COLUMN_U64, last_ns),
};
static const struct table crons_table = TABLE("web_crons", web_cron_row, 2, cron_columns);

static const struct column trigger_columns[] = {
	COLUMN(web_trigger_row, "worker_id", COLUMN_TEXT, worker),
	COLUMN(web_trigger_row, "changed_ns", COLUMN_U64, changed_ns),
	COLUMN(web_trigger_row, "what", COLUMN_U32, what),
	COLUMN(web_trigger_row, "manifest", COLUMN_OWNED, manifest),
};
static const struct table triggers_table =
	TABLE("web_triggers", web_trigger_row, 1, trigger_columns);

/* clang-format off */
static const char step_1[] =
	"CREATE TABLE web_workers (id TEXT PRIMARY KEY NOT NULL, project_id TEXT NOT NULL,"
	" name TEXT NOT NULL, created_ns INTEGER NOT NULL, changed_ns INTEGER NOT NULL,"
	" last_version INTEGER NOT NULL, last_deployment INTEGER NOT NULL,"
	" UNIQUE (project_id, name));"
	"CREATE TABLE web_versions (worker_id TEXT NOT NULL, number INTEGER NOT NULL,"
	" id TEXT NOT NULL UNIQUE, created_ns INTEGER NOT NULL, source TEXT NOT NULL,"
	" message TEXT NOT NULL, tag TEXT NOT NULL, image TEXT NOT NULL,"
	" image_digest BLOB NOT NULL, package BLOB NOT NULL, package_bytes INTEGER NOT NULL,"
	" package_files INTEGER NOT NULL, snapshot INTEGER NOT NULL, manifest TEXT NOT NULL,"
	" note TEXT NOT NULL, PRIMARY KEY (worker_id, number)) WITHOUT ROWID;"
	"CREATE TABLE web_deployments (worker_id TEXT NOT NULL, number INTEGER NOT NULL,"
	" id TEXT NOT NULL, created_ns INTEGER NOT NULL, source TEXT NOT NULL,"
	" message TEXT NOT NULL, version_1 TEXT NOT NULL, percent_1 INTEGER NOT NULL,"
	" version_2 TEXT NOT NULL, PRIMARY KEY (worker_id, number)) WITHOUT ROWID";
static const char step_2[] =
	"CREATE TABLE web_crons (worker_id TEXT NOT NULL, line TEXT NOT NULL,"
	" last_ns INTEGER NOT NULL, PRIMARY KEY (worker_id, line)) WITHOUT ROWID";
static const char step_3[] =
	"CREATE TABLE web_triggers (worker_id TEXT PRIMARY KEY NOT NULL, changed_ns INTEGER NOT NULL,"
	" what INTEGER NOT NULL, manifest TEXT NOT NULL) WITHOUT ROWID";
/* clang-format on */

static const struct migration steps[] = {
	{1, 0, step_1, NULL}, {2, 0, step_2, NULL}, {3, 0, step_3, NULL}, {0}};
static const struct table *const tables[] = {&workers_table, &versions_table, &deployments_table,
					     &crons_table,   &triggers_table, NULL};
const struct schema web_schema = {"web", steps, tables, NULL};

void web_version_row_clear(struct web_version_row *v)
{
	row_clear(&versions_table, v);
}

int store_web_workers(struct store *store, web_worker_fn fn, void *arg, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	struct web_worker_row row;
	int r = store_select(store, &workers_table, " FROM web_workers ORDER BY created_ns, rowid",
			     &st, e);

	while (r == 0 && (r = store_next_row(store, &workers_table, st, &row, e)) > 0) {
		r = fn(arg, &row);
		if (r < 0)
			return err_set(e, ERR_SYSTEM, -r, "the store's HTTP worker %s", row.name);
	}
	return r;
}

int store_web_versions(struct store *store, const char *worker, web_version_fn fn, void *arg,
		       struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	struct web_version_row row;
	int r = store_select(store, &versions_table,
			     " FROM web_versions WHERE worker_id = ?1 ORDER BY number DESC", &st,
			     e);

	if (r < 0)
		return r;
	(void)sqlite3_bind_text(st, 1, worker, -1, SQLITE_STATIC);
	while ((r = store_next_row(store, &versions_table, st, &row, e)) > 0) {
		r = fn(arg, &row);
		if (r < 0)
			(void)err_set(e, ERR_SYSTEM, -r, "the store's version %s", row.id);
		web_version_row_clear(&row);
		if (r != 0)
			return r;
	}
	return r;
}

int store_web_deployments(struct store *store, const char *worker, unsigned max,
			  web_deployment_fn fn, void *arg, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	struct web_deployment_row row;
	int r = store_select(
		store, &deployments_table,
		" FROM web_deployments WHERE worker_id = ?1 ORDER BY number DESC LIMIT ?2", &st, e);

	if (r < 0)
		return r;
	(void)sqlite3_bind_text(st, 1, worker, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 2, max);
	while ((r = store_next_row(store, &deployments_table, st, &row, e)) > 0) {
		r = fn(arg, &row);
		if (r < 0)
			return err_set(e, ERR_SYSTEM, -r, "the store's deployment %s", row.id);
		if (r > 0)
			return r;
	}
	return r;
}

int store_web_cron_last(struct store *store, const char *worker, const char *line, uint64_t *ret,
			struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	struct web_cron_row row;
	int r = store_select(store, &crons_table,
			     " FROM web_crons WHERE worker_id = ?1 AND line = ?2", &st, e);

	*ret = 0;
	if (r < 0)
		return r;
	(void)sqlite3_bind_text(st, 1, worker, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(st, 2, line, -1, SQLITE_STATIC);
	r = store_next_row(store, &crons_table, st, &row, e);
	if (r > 0)
		*ret = row.last_ns;
	return r < 0 ? r : 0;
}

void web_trigger_row_clear(struct web_trigger_row *t)
{
	row_clear(&triggers_table, t);
}

int store_web_triggers(struct store *store, const char *worker, struct web_trigger_row *ret,
		       struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_select(store, &triggers_table, " FROM web_triggers WHERE worker_id = ?1", &st,
			     e);

	if (r < 0)
		return r;
	(void)sqlite3_bind_text(st, 1, worker, -1, SQLITE_STATIC);
	return store_next_row(store, &triggers_table, st, ret, e);
}

int store_web_triggers_put(struct store *store, const struct web_trigger_row *row, struct err *e)
{
	return store_put(store, &triggers_table, row, e);
}

int store_web_triggers_delete(struct store *store, const char *worker, struct err *e)
{
	return store_sql(store, "DELETE FROM web_triggers WHERE worker_id = ?1", "s", e, worker);
}

int store_web_cron_put(struct store *store, const struct web_cron_row *row, struct err *e)
{
	return store_put(store, &crons_table, row, e);
}

int store_web_worker_put(struct store *store, const struct web_worker_row *row, struct err *e)
{
	return store_put(store, &workers_table, row, e);
}

int store_web_version_put(struct store *store, const struct web_version_row *row, struct err *e)
{
	return store_put(store, &versions_table, row, e);
}

int store_web_version_delete(struct store *store, const char *worker, uint32_t number,
			     struct err *e)
{
	return store_sql(store, "DELETE FROM web_versions WHERE worker_id = ?1 AND number = ?2",
			 "si", e, worker, (sqlite3_int64)number);
}

int store_web_deployment_insert(struct store *store, const struct web_deployment_row *row,
				struct err *e)
{
	int r = store_insert(store, &deployments_table, row, e);

	if (r < 0)
		return r;
	return store_sql(store, "DELETE FROM web_deployments WHERE worker_id = ?1 AND number <= ?2",
			 "si", e, row->worker, (sqlite3_int64)row->number - WEB_VERSIONS_MAX);
}

int store_web_worker_delete(struct store *store, const char *id, struct err *e)
{
	int r = store_sql(store, "DELETE FROM web_deployments WHERE worker_id = ?1", "s", e, id);

	if (r == 0)
		r = store_sql(store, "DELETE FROM web_crons WHERE worker_id = ?1", "s", e, id);
	if (r == 0)
		r = store_web_triggers_delete(store, id, e);
	if (r == 0)
		r = store_sql(store, "DELETE FROM web_versions WHERE worker_id = ?1", "s", e, id);
	return r < 0 ? r : store_sql(store, "DELETE FROM web_workers WHERE id = ?1", "s", e, id);
}

int store_web_delete_project(struct store *store, const char *project, struct err *e)
{
	int r = store_sql(store,
			  "DELETE FROM web_deployments WHERE worker_id IN "
			  "(SELECT id FROM web_workers WHERE project_id = ?1)",
			  "s", e, project);

	if (r == 0)
		r = store_sql(store,
			      "DELETE FROM web_crons WHERE worker_id IN "
			      "(SELECT id FROM web_workers WHERE project_id = ?1)",
			      "s", e, project);
	if (r == 0)
		r = store_sql(store,
			      "DELETE FROM web_triggers WHERE worker_id IN "
			      "(SELECT id FROM web_workers WHERE project_id = ?1)",
			      "s", e, project);
	if (r == 0)
		r = store_sql(store,
			      "DELETE FROM web_versions WHERE worker_id IN "
			      "(SELECT id FROM web_workers WHERE project_id = ?1)",
			      "s", e, project);
	return r < 0 ? r
		     : store_sql(store, "DELETE FROM web_workers WHERE project_id = ?1", "s", e,
				 project);
}
