// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/store/secrets.h"

#include "supervisor/front/store/priv.h"

/* secret_changes also tells when the last one was removed: what was started before that has to be
 * started anew. */
/* clang-format off */
static const char step_1[] =
	"CREATE TABLE secrets (project_id TEXT NOT NULL, worker TEXT NOT NULL, name TEXT NOT NULL,"
	" changed_ns INTEGER NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (project_id, worker, name));"
	"CREATE TABLE secret_changes (project_id TEXT NOT NULL, worker TEXT NOT NULL,"
	" changed_ns INTEGER NOT NULL, PRIMARY KEY (project_id, worker)) WITHOUT ROWID";
/* clang-format on */

/* Of a version alone, in the place of the worker's of that name: sealed NULL is none. */
static const char step_2[] =
	"CREATE TABLE version_secrets (version TEXT NOT NULL, name TEXT NOT NULL,"
	" project_id TEXT NOT NULL, worker TEXT NOT NULL, changed_ns INTEGER NOT NULL, sealed BLOB,"
	" PRIMARY KEY (version, name));"
	"CREATE INDEX version_secrets_of ON version_secrets (project_id, worker, name)";

static const struct migration steps[] = {{1, 0, step_1, NULL}, {2, 0, step_2, NULL}, {0}};
static const struct table *const tables[] = {NULL};
const struct schema secrets_schema = {"secrets", steps, tables, NULL};

#define COLUMNS "project_id, worker, name, changed_ns, sealed"

int store_secrets(struct store *store, const char *project, const char *worker, const char *version,
		  secret_fn fn, void *arg, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_ask(
		store,
		project ? "SELECT " COLUMNS " FROM secrets WHERE "
			  "project_id = ?1 AND worker = ?2 AND NOT EXISTS (SELECT 1 FROM "
			  "version_secrets AS v WHERE v.version = ?3 AND v.name = secrets.name) "
			  "UNION ALL SELECT " COLUMNS " FROM version_secrets WHERE "
			  "version = ?3 AND sealed IS NOT NULL ORDER BY name"
			: "SELECT " COLUMNS " FROM secrets UNION ALL "
			  "SELECT " COLUMNS " FROM version_secrets WHERE sealed IS NOT NULL",
		&st, e);

	if (r < 0)
		return r;
	if (project) {
		(void)sqlite3_bind_text(st, 1, project, -1, SQLITE_STATIC);
		(void)sqlite3_bind_text(st, 2, worker, -1, SQLITE_STATIC);
		(void)sqlite3_bind_text(st, 3, version, -1, SQLITE_STATIC);
	}
	while ((r = store_next(store, st, e)) > 0) {
		const struct secret_row row = {.project = (const char *)sqlite3_column_text(st, 0),
					       .worker = (const char *)sqlite3_column_text(st, 1),
					       .name = (const char *)sqlite3_column_text(st, 2),
					       .changed_ns = (uint64_t)sqlite3_column_int64(st, 3),
					       .sealed = sqlite3_column_blob(st, 4),
					       .len = (size_t)sqlite3_column_bytes(st, 4)};

		r = fn(arg, &row);
		if (r != 0)
			return r;
	}
	return r;
}

int store_secrets_changed(struct store *store, const char *project, const char *worker,
			  uint64_t *ret_ns, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_ask(store,
			  "SELECT changed_ns FROM secret_changes WHERE project_id = ?1 AND "
			  "worker = ?2",
			  &st, e);

	*ret_ns = 0;
	if (r < 0)
		return r;
	(void)sqlite3_bind_text(st, 1, project, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(st, 2, worker, -1, SQLITE_STATIC);
	r = store_next(store, st, e);
	if (r > 0)
		*ret_ns = (uint64_t)sqlite3_column_int64(st, 0);
	return r < 0 ? r : 0;
}

static int mark_changed(struct store *store, const char *project, const char *worker,
			uint64_t now_ns, struct err *e)
{
	return store_sql(store,
			 "INSERT INTO secret_changes (project_id, worker, changed_ns) VALUES "
			 "(?1, ?2, ?3) ON CONFLICT (project_id, worker) DO UPDATE SET "
			 "changed_ns = ?3",
			 "ssi", e, project, worker, (sqlite3_int64)now_ns);
}

/* After the row was written: how many the worker and the project have by now. */
static int check_room(struct store *store, const char *project, const char *worker, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_ask(store,
			  "SELECT count(*), sum(worker = ?2), "
			  "sum(length(sealed) * (worker = ?2)) FROM secrets WHERE project_id = ?1",
			  &st, e);

	if (r < 0)
		return r;
	(void)sqlite3_bind_text(st, 1, project, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(st, 2, worker, -1, SQLITE_STATIC);
	r = store_next(store, st, e);
	if (r <= 0)
		return r;
	if (sqlite3_column_int64(st, 0) > SECRETS_PROJECT_MAX)
		return err_set(e, ERR_LIMIT, 0, "the project has %u secrets: remove some",
			       SECRETS_PROJECT_MAX);
	if (sqlite3_column_int64(st, 1) > SECRETS_MAX)
		return err_set(e, ERR_LIMIT, 0, "%s has %u secrets: remove some", worker,
			       SECRETS_MAX);
	if (sqlite3_column_int64(st, 2) > SECRETS_BYTES_MAX)
		return err_set(e, ERR_LIMIT, 0,
			       "the secrets of %s have more than %u bytes together", worker,
			       SECRETS_BYTES_MAX);
	return 0;
}

/* What is set or removed of the worker is so of all its versions. */
static int forget_in_versions(struct store *store, const char *project, const char *worker,
			      const char *name, struct err *e)
{
	return store_sql(store,
			 "DELETE FROM version_secrets WHERE project_id = ?1 AND worker = ?2 AND "
			 "name = ?3",
			 "sss", e, project, worker, name);
}

int store_secret_put(struct store *store, const struct secret_row *row, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_ask(store,
			  "INSERT INTO secrets (" COLUMNS ") "
			  "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (project_id, worker, name) "
			  "DO UPDATE SET changed_ns = ?4, sealed = ?5",
			  &st, e);

	if (r < 0)
		return r;
	(void)sqlite3_bind_text(st, 1, row->project, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(st, 2, row->worker, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(st, 3, row->name, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 4, (sqlite3_int64)row->changed_ns);
	(void)sqlite3_bind_blob(st, 5, row->sealed, (int)row->len, SQLITE_STATIC);
	r = store_next(store, st, e);
	if (r >= 0)
		r = forget_in_versions(store, row->project, row->worker, row->name, e);
	if (r >= 0)
		r = mark_changed(store, row->project, row->worker, row->changed_ns, e);
	return r < 0 ? r : check_room(store, row->project, row->worker, e);
}

int store_secret_delete(struct store *store, const char *project, const char *worker,
			const char *name, uint64_t now_ns, struct err *e)
{
	int n, r = store_sql(
		       store,
		       "DELETE FROM secrets WHERE project_id = ?1 AND worker = ?2 AND name = ?3",
		       "sss", e, project, worker, name);

	if (r < 0)
		return r;
	n = sqlite3_changes(store->db);
	r = forget_in_versions(store, project, worker, name, e);
	if (r < 0)
		return r;
	if (n + sqlite3_changes(store->db) == 0) {
		(void)err_set(e, ERR_NOT_FOUND, 0, "%s has no secret \"%s\"", worker, name);
		return -ENOENT;
	}
	return mark_changed(store, project, worker, now_ns, e);
}

/* After a version's row was written: how many it and the project have by now. */
static int check_version_room(struct store *store, const char *project, const char *version,
			      struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_ask(store,
			  "SELECT count(*), sum(version = ?2), "
			  "sum(ifnull(length(sealed), 0) * (version = ?2)) "
			  "FROM version_secrets WHERE project_id = ?1",
			  &st, e);

	if (r < 0)
		return r;
	(void)sqlite3_bind_text(st, 1, project, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(st, 2, version, -1, SQLITE_STATIC);
	r = store_next(store, st, e);
	if (r <= 0)
		return r;
	if (sqlite3_column_int64(st, 0) > SECRETS_PROJECT_MAX)
		return err_set(
			e, ERR_LIMIT, 0,
			"the versions of the project's workers have %u secrets of their own: "
			"set them of the workers (sandboxctl secret set)",
			SECRETS_PROJECT_MAX);
	if (sqlite3_column_int64(st, 1) > SECRETS_MAX ||
	    sqlite3_column_int64(st, 2) > SECRETS_BYTES_MAX)
		return err_set(e, ERR_LIMIT, 0,
			       "the version has more than %u secrets of its own, or than %u bytes "
			       "of them",
			       SECRETS_MAX, SECRETS_BYTES_MAX);
	return 0;
}

int store_version_secret_put(struct store *store, const char *version, const struct secret_row *row,
			     struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_ask(store,
			  "INSERT OR REPLACE INTO version_secrets (" COLUMNS ", version) "
			  "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
			  &st, e);

	if (r < 0)
		return r;
	(void)sqlite3_bind_text(st, 1, row->project, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(st, 2, row->worker, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(st, 3, row->name, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 4, (sqlite3_int64)row->changed_ns);
	if (row->sealed)
		(void)sqlite3_bind_blob(st, 5, row->sealed, (int)row->len, SQLITE_STATIC);
	(void)sqlite3_bind_text(st, 6, version, -1, SQLITE_STATIC);
	r = store_next(store, st, e);
	return r < 0 ? r : check_version_room(store, row->project, version, e);
}

int store_version_secrets_copy(struct store *store, const char *from, const char *to, struct err *e)
{
	return store_sql(store,
			 "INSERT INTO version_secrets (" COLUMNS ", version) "
			 "SELECT " COLUMNS ", ?2 FROM version_secrets WHERE version = ?1",
			 "ss", e, from, to);
}

int store_version_secrets_delete(struct store *store, const char *version, struct err *e)
{
	return store_sql(store, "DELETE FROM version_secrets WHERE version = ?1", "s", e, version);
}

int store_secrets_delete(struct store *store, const char *project, const char *worker,
			 struct err *e)
{
	int r = store_sql(store,
			  "DELETE FROM secrets WHERE project_id = ?1 AND "
			  "(?2 IS NULL OR worker = ?2)",
			  "ss", e, project, worker);

	if (r == 0)
		r = store_sql(store,
			      "DELETE FROM version_secrets WHERE project_id = ?1 AND "
			      "(?2 IS NULL OR worker = ?2)",
			      "ss", e, project, worker);
	return r < 0 ? r
		     : store_sql(store,
				 "DELETE FROM secret_changes WHERE project_id = ?1 AND "
				 "(?2 IS NULL OR worker = ?2)",
				 "ss", e, project, worker);
}
