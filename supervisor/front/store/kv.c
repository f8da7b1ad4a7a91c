// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/store/kv.h"

#include "supervisor/front/store/priv.h"

static const struct column namespace_columns[] = {
	COLUMN(kv_namespace_row, "id", COLUMN_TEXT, id),
	COLUMN(kv_namespace_row, "project_id", COLUMN_TEXT, project),
	COLUMN(kv_namespace_row, "title", COLUMN_TEXT, title),
	COLUMN(kv_namespace_row, "created_ns", COLUMN_U64, created_ns),
};
static const struct table namespaces_table =
	TABLE("kv_namespaces", kv_namespace_row, 1, namespace_columns);

/* clang-format off */
static const char step_1[] =
	"CREATE TABLE kv_namespaces (id TEXT PRIMARY KEY NOT NULL, project_id TEXT NOT NULL,"
	" title TEXT NOT NULL, created_ns INTEGER NOT NULL, UNIQUE (project_id, title));"
	KV_ROWS_SQL;
/* clang-format on */

static const struct migration steps[] = {{1, 0, step_1, NULL}, {0}};
static const struct table *const tables[] = {&namespaces_table, NULL};
const struct schema kv_schema = {"kv", steps, tables, NULL};

static struct kv_rows rows_of(struct store *store)
{
	return (struct kv_rows){store->db, "the task store"};
}

int store_kv_namespaces(struct store *store, kv_namespace_fn fn, void *arg, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	struct kv_namespace_row row;
	int r = store_select(store, &namespaces_table,
			     " FROM kv_namespaces ORDER BY created_ns, rowid", &st, e);

	while (r == 0 && (r = store_next_row(store, &namespaces_table, st, &row, e)) > 0) {
		r = fn(arg, &row);
		if (r != 0)
			return r;
	}
	return r;
}

int store_kv_namespace_put(struct store *store, const struct kv_namespace_row *row, struct err *e)
{
	return store_put(store, &namespaces_table, row, e);
}

#define SOME "(SELECT rowid FROM kv WHERE namespace = ?1 ORDER BY key LIMIT ?2)"

int store_kv_namespace_delete(struct store *store, const char *id, unsigned rows,
			      uint64_t *ret_bytes, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_ask(store,
			  "SELECT coalesce(sum(" KV_ROW_BYTES "), 0) FROM kv WHERE rowid IN " SOME,
			  &st, e);

	*ret_bytes = 0;
	if (r < 0)
		return r;
	(void)sqlite3_bind_text(st, 1, id, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 2, (sqlite3_int64)rows);
	r = store_next(store, st, e);
	if (r > 0)
		*ret_bytes = (uint64_t)sqlite3_column_int64(st, 0);
	if (r >= 0)
		r = store_sql(store, "DELETE FROM kv WHERE rowid IN " SOME, "si", e, id,
			      (sqlite3_int64)rows);
	if (r < 0 || sqlite3_changes(store->db) > 0)
		return r < 0 ? r : 1;
	return store_sql(store, "DELETE FROM kv_namespaces WHERE id = ?1", "s", e, id);
}

int store_kv_delete_project(struct store *store, const char *project, struct err *e)
{
	int r = store_sql(store,
			  "DELETE FROM kv WHERE namespace IN "
			  "(SELECT id FROM kv_namespaces WHERE project_id = ?1)",
			  "s", e, project);

	return r < 0 ? r
		     : store_sql(store, "DELETE FROM kv_namespaces WHERE project_id = ?1", "s", e,
				 project);
}

int store_kv_get(struct store *store, const char *namespace, const char *key, uint64_t now_s,
		 kv_value_fn fn, void *arg, struct err *e)
{
	const struct kv_rows rows = rows_of(store);

	return kv_rows_get(&rows, namespace, key, now_s, fn, arg, e);
}

int store_kv_put(struct store *store, const char *namespace, const char *key,
		 const struct kv_value *v, int64_t *ret_bytes, struct err *e)
{
	const struct kv_rows rows = rows_of(store);

	return kv_rows_put(&rows, namespace, key, v, ret_bytes, e);
}

int store_kv_delete(struct store *store, const char *namespace, const char *key, int64_t *ret_bytes,
		    struct err *e)
{
	const struct kv_rows rows = rows_of(store);

	return kv_rows_delete(&rows, namespace, key, ret_bytes, e);
}

int store_kv_list(struct store *store, const char *namespace, const char *prefix, const char *after,
		  unsigned max, uint64_t now_s, kv_key_fn fn, void *arg, struct err *e)
{
	const struct kv_rows rows = rows_of(store);

	return kv_rows_list(&rows, namespace, prefix, after, max, now_s, fn, arg, e);
}

void store_kv_look(struct store *store, const char *namespace, const struct kv_ask *ask,
		   uint64_t now_s, struct kv_reply *reply)
{
	const struct kv_rows rows = rows_of(store);

	kv_look(&rows, namespace, ask, now_s, reply);
}

int store_kv_bytes(struct store *store, const char *project, uint64_t *ret, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_ask(store,
			  "SELECT coalesce(sum(" KV_ROW_BYTES "), 0) FROM kv WHERE namespace IN "
			  "(SELECT id FROM kv_namespaces WHERE project_id = ?1)",
			  &st, e);

	if (r < 0)
		return r;
	(void)sqlite3_bind_text(st, 1, project, -1, SQLITE_STATIC);
	r = store_next(store, st, e);
	*ret = r > 0 ? (uint64_t)sqlite3_column_int64(st, 0) : 0;
	return r < 0 ? r : 0;
}

/* The same rows in both statements. */
#define EXPIRED                                                                                    \
	"(SELECT rowid FROM kv WHERE expires_s > 0 AND expires_s <= ?1 ORDER BY expires_s, rowid " \
	"LIMIT ?2)"

int store_kv_expire(struct store *store, uint64_t now_s, unsigned rows, kv_expired_fn fn, void *arg,
		    struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_ask(store,
			  "SELECT project_id, sum(" KV_ROW_BYTES ") FROM kv JOIN kv_namespaces ON "
			  "id = namespace WHERE kv.rowid IN " EXPIRED " GROUP BY project_id",
			  &st, e);

	if (r < 0)
		return r;
	(void)sqlite3_bind_int64(st, 1, (sqlite3_int64)now_s);
	(void)sqlite3_bind_int64(st, 2, (sqlite3_int64)rows);
	while ((r = store_next(store, st, e)) > 0)
		fn(arg, (const char *)sqlite3_column_text(st, 0),
		   (uint64_t)sqlite3_column_int64(st, 1));
	if (r == 0)
		r = store_sql(store, "DELETE FROM kv WHERE rowid IN " EXPIRED, "ii", e,
			      (sqlite3_int64)now_s, (sqlite3_int64)rows);
	return r < 0 ? r : sqlite3_changes(store->db) == (int)rows;
}
