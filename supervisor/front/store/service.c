// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/store/service.h"

#include "supervisor/front/store/priv.h"

static const struct column service_columns[] = {
	COLUMN(service_row, "id", COLUMN_TEXT, id),
	COLUMN(service_row, "project_id", COLUMN_TEXT, project),
	COLUMN(service_row, "app", COLUMN_TEXT, app),
	COLUMN(service_row, "name", COLUMN_TEXT, name),
	COLUMN(service_row, "created_ns", COLUMN_U64, created_ns),
	COLUMN(service_row, "changed_ns", COLUMN_U64, changed_ns),
	COLUMN(service_row, "last_version", COLUMN_U32, last_version),
	COLUMN(service_row, "live", COLUMN_U32, live),
	COLUMN(service_row, "previous", COLUMN_U32, previous),
	COLUMN(service_row, "instances", COLUMN_U32, instances),
	COLUMN(service_row, "memory", COLUMN_U64, memory),
	COLUMN(service_row, "data_bytes", COLUMN_U64, data_bytes),
};
static const struct table services_table = TABLE("services", service_row, 1, service_columns);

static const struct column version_columns[] = {
	COLUMN(service_version_row, "service_id", COLUMN_TEXT, service),
	COLUMN(service_version_row, "number", COLUMN_U32, number),
	COLUMN(service_version_row, "revision", COLUMN_TEXT, revision),
	COLUMN(service_version_row, "created_ns", COLUMN_U64, created_ns),
	COLUMN(service_version_row, "source", COLUMN_TEXT, source),
	COLUMN(service_version_row, "message", COLUMN_TEXT, message),
	COLUMN(service_version_row, "image", COLUMN_TEXT, image),
	COLUMN(service_version_row, "image_digest", COLUMN_BLOB, image_digest),
	COLUMN(service_version_row, "package", COLUMN_BLOB, package),
	COLUMN(service_version_row, "package_bytes", COLUMN_U64, package_bytes),
	COLUMN(service_version_row, "package_files", COLUMN_U64, package_files),
	COLUMN(service_version_row, "manifest", COLUMN_OWNED, manifest),
};
static const struct table versions_table =
	TABLE("service_versions", service_version_row, 2, version_columns);

static const struct column env_columns[] = {
	COLUMN(service_env_row, "project_id", COLUMN_TEXT, project),
	COLUMN(service_env_row, "app", COLUMN_TEXT, app),
	COLUMN(service_env_row, "name", COLUMN_TEXT, name),
	COLUMN(service_env_row, "value", COLUMN_OWNED, value),
};
static const struct table env_table = TABLE("service_env", service_env_row, 3, env_columns);

/* clang-format off */
static const char step_1[] =
	"CREATE TABLE services (id TEXT PRIMARY KEY NOT NULL, project_id TEXT NOT NULL,"
	" app TEXT NOT NULL, name TEXT NOT NULL, created_ns INTEGER NOT NULL,"
	" changed_ns INTEGER NOT NULL, last_version INTEGER NOT NULL, live INTEGER NOT NULL,"
	" previous INTEGER NOT NULL, instances INTEGER NOT NULL, memory INTEGER NOT NULL,"
	" data_bytes INTEGER NOT NULL, UNIQUE (project_id, app, name));"
	"CREATE TABLE service_versions (service_id TEXT NOT NULL, number INTEGER NOT NULL,"
	" revision TEXT NOT NULL, created_ns INTEGER NOT NULL, source TEXT NOT NULL,"
	" message TEXT NOT NULL, image TEXT NOT NULL, image_digest BLOB NOT NULL,"
	" package BLOB NOT NULL, package_bytes INTEGER NOT NULL, package_files INTEGER NOT NULL,"
	" manifest TEXT NOT NULL, PRIMARY KEY (service_id, number)) WITHOUT ROWID;"
	"CREATE TABLE service_env (project_id TEXT NOT NULL, app TEXT NOT NULL, name TEXT NOT NULL,"
	" value TEXT NOT NULL, PRIMARY KEY (project_id, app, name)) WITHOUT ROWID";
/* clang-format on */

static const struct migration steps[] = {{1, 0, step_1, NULL}, {0}};
static const struct table *const tables[] = {&services_table, &versions_table, &env_table, NULL};
const struct schema service_schema = {"service", steps, tables, NULL};

void service_version_row_clear(struct service_version_row *v)
{
	row_clear(&versions_table, v);
}

int store_services(struct store *store, service_fn fn, void *arg, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	struct service_row row;
	int r = store_select(store, &services_table, " FROM services ORDER BY created_ns, rowid",
			     &st, e);

	while (r == 0 && (r = store_next_row(store, &services_table, st, &row, e)) > 0) {
		r = fn(arg, &row);
		if (r < 0)
			return err_set(e, ERR_SYSTEM, -r, "the store's service %s/%s", row.app,
				       row.name);
	}
	return r;
}

int store_service_versions(struct store *store, const char *service, service_version_fn fn,
			   void *arg, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	struct service_version_row row;
	int r = store_select(store, &versions_table,
			     " FROM service_versions WHERE service_id = ?1 ORDER BY number DESC",
			     &st, e);

	if (r < 0)
		return r;
	(void)sqlite3_bind_text(st, 1, service, -1, SQLITE_STATIC);
	while ((r = store_next_row(store, &versions_table, st, &row, e)) > 0) {
		r = fn(arg, &row);
		if (r < 0)
			(void)err_set(e, ERR_SYSTEM, -r, "the store's version %s of a service",
				      row.revision);
		service_version_row_clear(&row);
		if (r != 0)
			return r;
	}
	return r;
}

int store_service_env(struct store *store, const char *project, const char *app, service_env_fn fn,
		      void *arg, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	struct service_env_row row;
	int r = store_select(store, &env_table,
			     " FROM service_env WHERE project_id = ?1 AND app = ?2 ORDER BY name",
			     &st, e);

	if (r < 0)
		return r;
	(void)sqlite3_bind_text(st, 1, project, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(st, 2, app, -1, SQLITE_STATIC);
	while ((r = store_next_row(store, &env_table, st, &row, e)) > 0) {
		r = fn(arg, &row);
		row_clear(&env_table, &row);
		if (r != 0)
			return r < 0 ? err_set(e, ERR_SYSTEM, -r, "the variables of an app") : r;
	}
	return r;
}

int store_service_put(struct store *store, const struct service_row *row, struct err *e)
{
	return store_put(store, &services_table, row, e);
}

int store_service_version_put(struct store *store, const struct service_version_row *row,
			      struct err *e)
{
	return store_put(store, &versions_table, row, e);
}

int store_service_version_delete(struct store *store, const char *service, uint32_t number,
				 struct err *e)
{
	return store_sql(store,
			 "DELETE FROM service_versions WHERE service_id = ?1 AND number = ?2", "si",
			 e, service, (sqlite3_int64)number);
}

int store_service_env_put(struct store *store, const struct service_env_row *row, struct err *e)
{
	return store_put(store, &env_table, row, e);
}

int store_service_env_delete(struct store *store, const char *project, const char *app,
			     const char *name, struct err *e)
{
	return store_sql(store,
			 "DELETE FROM service_env WHERE project_id = ?1 AND app = ?2 AND name = ?3",
			 "sss", e, project, app, name);
}

int store_service_delete(struct store *store, const struct service_row *row, struct err *e)
{
	int r = store_sql(store, "DELETE FROM service_versions WHERE service_id = ?1", "s", e,
			  row->id);

	if (r == 0)
		r = store_sql(store, "DELETE FROM services WHERE id = ?1", "s", e, row->id);
	return r < 0 ? r
		     : store_sql(store,
				 "DELETE FROM service_env WHERE project_id = ?1 AND app = ?2 AND "
				 "NOT EXISTS (SELECT 1 FROM services WHERE project_id = ?1 AND "
				 "app = ?2)",
				 "ss", e, row->project, row->app);
}

int store_service_delete_project(struct store *store, const char *project, struct err *e)
{
	int r = store_sql(store,
			  "DELETE FROM service_versions WHERE service_id IN "
			  "(SELECT id FROM services WHERE project_id = ?1)",
			  "s", e, project);

	if (r == 0)
		r = store_sql(store, "DELETE FROM service_env WHERE project_id = ?1", "s", e,
			      project);
	return r < 0 ? r
		     : store_sql(store, "DELETE FROM services WHERE project_id = ?1", "s", e,
				 project);
}
