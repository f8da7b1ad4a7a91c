// SPDX-License-Identifier: Apache-2.0
/* Projects and their tokens. */
#include "supervisor/front/store/projects.h"

#include "supervisor/front/store/priv.h"

static const struct column project_columns[] = {
	COLUMN(project_row, "id", COLUMN_TEXT, id),
	COLUMN(project_row, "name", COLUMN_TEXT, name),
	COLUMN(project_row, "slot", COLUMN_U32, slot),
	COLUMN(project_row, "created_ns", COLUMN_U64, created_ns),
	COLUMN(project_row, "running", COLUMN_U32, quota.running),
	COLUMN(project_row, "queued", COLUMN_U32, quota.queued),
	COLUMN(project_row, "schedules", COLUMN_U32, quota.schedules),
	COLUMN(project_row, "memory", COLUMN_U64, quota.memory),
	COLUMN(project_row, "package_bytes", COLUMN_U64, quota.package_bytes),
	COLUMN(project_row, "log_bytes", COLUMN_U64, quota.log_bytes),
	COLUMN(project_row, "package_files", COLUMN_U32, quota.package_files),
	COLUMN(project_row, "kept_log_bytes", COLUMN_U64, quota.kept_log_bytes),
	COLUMN(project_row, "policies", COLUMN_TEXT, quota.policies),
	COLUMN(project_row, "images", COLUMN_TEXT, quota.images),
	COLUMN(project_row, "http_workers", COLUMN_U32, quota.http_workers),
	COLUMN(project_row, "http_versions", COLUMN_U32, quota.http_versions),
	COLUMN(project_row, "http_instances", COLUMN_U32, quota.http_instances),
	COLUMN(project_row, "http_rate", COLUMN_U32, quota.http_rate),
	COLUMN(project_row, "kv_bytes", COLUMN_U64, quota.kv_bytes),
	COLUMN(project_row, "hosts", COLUMN_TEXT, quota.hosts),
	COLUMN(project_row, "services", COLUMN_U32, quota.services),
	COLUMN(project_row, "service_replicas", COLUMN_U32, quota.service_replicas),
	COLUMN(project_row, "service_versions", COLUMN_U32, quota.service_versions),
	COLUMN(project_row, "service_data_bytes", COLUMN_U64, quota.service_data_bytes),
	COLUMN(project_row, "background_items", COLUMN_U32, quota.background_items),
	COLUMN(project_row, "background_bytes", COLUMN_U64, quota.background_bytes),
};
static const struct table projects_table = TABLE("projects", project_row, 1, project_columns);

static const struct column token_columns[] = {
	COLUMN(token_row, "id", COLUMN_TEXT, id),
	COLUMN(token_row, "project_id", COLUMN_TEXT, project),
	COLUMN(token_row, "label", COLUMN_TEXT, label),
	COLUMN(token_row, "hash", COLUMN_BLOB, hash),
	COLUMN(token_row, "operator", COLUMN_BOOL, operator),
	COLUMN(token_row, "created_ns", COLUMN_U64, created_ns),
};
static const struct table tokens_table = TABLE("tokens", token_row, 1, token_columns);

/* clang-format off */
static const char step_1[] =
	"CREATE TABLE projects (id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL UNIQUE,"
	" slot INTEGER NOT NULL UNIQUE, created_ns INTEGER NOT NULL, running INTEGER NOT NULL,"
	" queued INTEGER NOT NULL, schedules INTEGER NOT NULL, memory INTEGER NOT NULL,"
	" package_bytes INTEGER NOT NULL, log_bytes INTEGER NOT NULL);"
	"CREATE TABLE tokens (id TEXT PRIMARY KEY NOT NULL, project_id TEXT NOT NULL,"
	" label TEXT NOT NULL, hash BLOB NOT NULL UNIQUE, operator INTEGER NOT NULL,"
	" created_ns INTEGER NOT NULL)";
/* Projects that were there before keep what they could do: no bound is put on them. */
static const char step_2[] =
	"ALTER TABLE projects ADD COLUMN package_files INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE projects ADD COLUMN kept_log_bytes INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE projects ADD COLUMN policies TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE projects ADD COLUMN images TEXT NOT NULL DEFAULT ''";
/* What held for every project until then. */
static const char step_3[] =
	"ALTER TABLE projects ADD COLUMN http_workers INTEGER NOT NULL DEFAULT 500;"
	"ALTER TABLE projects ADD COLUMN http_versions INTEGER NOT NULL DEFAULT 100;"
	"ALTER TABLE projects ADD COLUMN http_instances INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE projects ADD COLUMN http_rate INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE projects ADD COLUMN kv_bytes INTEGER NOT NULL DEFAULT 1073741824;"
	"ALTER TABLE projects ADD COLUMN hosts TEXT NOT NULL DEFAULT ''";
/* As of a new project. */
static const char step_4[] =
	"ALTER TABLE projects ADD COLUMN services INTEGER NOT NULL DEFAULT 100;"
	"ALTER TABLE projects ADD COLUMN service_replicas INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE projects ADD COLUMN service_versions INTEGER NOT NULL DEFAULT 10;"
	"ALTER TABLE projects ADD COLUMN service_data_bytes INTEGER NOT NULL DEFAULT 1073741824";
static const char step_5[] =
	"ALTER TABLE projects ADD COLUMN background_items INTEGER NOT NULL DEFAULT 1000000;"
	"ALTER TABLE projects ADD COLUMN background_bytes INTEGER NOT NULL DEFAULT 1073741824";
/* clang-format on */

static const struct migration steps[] = {{1, 2, step_1, NULL}, {2, 3, step_2, NULL},
					 {3, 0, step_3, NULL}, {4, 0, step_4, NULL},
					 {5, 0, step_5, NULL}, {0}};
static const struct table *const tables[] = {&projects_table, &tokens_table, NULL};
const struct schema projects_schema = {"projects", steps, tables, NULL};

int store_project_load(struct store *store, store_project_fn fn, void *arg, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	struct project_row row;
	int r = store_select(store, &projects_table, " FROM projects", &st, e);

	if (r < 0)
		return r;
	while ((r = store_next_row(store, &projects_table, st, &row, e)) > 0) {
		if (row.slot >= PROJECTS_MAX)
			return err_set(e, ERR_INTERNAL, 0,
				       "the task store's project %s has no place", row.id);
		r = fn(arg, &row);
		if (r != 0)
			return r;
	}
	return r;
}

int store_token_load(struct store *store, store_token_fn fn, void *arg, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	struct token_row row;
	int r = store_select(store, &tokens_table, " FROM tokens ORDER BY created_ns", &st, e);

	if (r < 0)
		return r;
	while ((r = store_next_row(store, &tokens_table, st, &row, e)) > 0) {
		r = fn(arg, &row);
		if (r != 0)
			return r;
	}
	return r;
}

int store_project_insert(struct store *store, const struct project_row *p, struct err *e)
{
	return store_insert(store, &projects_table, p, e);
}

int store_project_update(struct store *store, const struct project_row *p, struct err *e)
{
	return store_update(store, &projects_table, p, e);
}

int store_project_delete(struct store *store, const char *id, struct err *e)
{
	int r = store_token_delete_all(store, id, e);

	return r < 0 ? r : store_sql(store, "DELETE FROM projects WHERE id = ?1", "s", e, id);
}

int store_token_insert(struct store *store, const struct token_row *t, struct err *e)
{
	return store_insert(store, &tokens_table, t, e);
}

int store_token_delete(struct store *store, const char *id, struct err *e)
{
	return store_sql(store, "DELETE FROM tokens WHERE id = ?1", "s", e, id);
}

int store_token_delete_all(struct store *store, const char *project_id, struct err *e)
{
	return store_sql(store, "DELETE FROM tokens WHERE project_id = ?1", "s", e, project_id);
}
