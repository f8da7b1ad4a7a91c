// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/store/kv.h"

#include <string.h>

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

/* clang-format off */
/* Values in pieces: the row of such a key has an empty value. Whatever replaces or removes the row leaves the
 * pieces to be removed later. */
static const char step_2[] =
	"CREATE TABLE kv_large (id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, key BLOB NOT NULL,"
	" len INTEGER NOT NULL, UNIQUE (namespace, key));"
	"CREATE TABLE kv_pieces (id INTEGER NOT NULL, n INTEGER NOT NULL, bytes BLOB NOT NULL,"
	" PRIMARY KEY (id, n));"
	"CREATE TABLE kv_gone (id INTEGER PRIMARY KEY);"
	"CREATE TRIGGER kv_replaced AFTER UPDATE ON kv BEGIN DELETE FROM kv_large WHERE"
	" namespace = old.namespace AND key = old.key; END;"
	"CREATE TRIGGER kv_removed AFTER DELETE ON kv BEGIN DELETE FROM kv_large WHERE"
	" namespace = old.namespace AND key = old.key; END;"
	"CREATE TRIGGER kv_large_removed AFTER DELETE ON kv_large BEGIN"
	" INSERT INTO kv_gone (id) VALUES (old.id); END";
/* clang-format on */
#define LARGE_BYTES                                                                                \
	"coalesce((SELECT len FROM kv_large AS l WHERE l.namespace = kv.namespace AND "            \
	"l.key = kv.key), 0)"
#define ALL_BYTES KV_ROW_BYTES " + " LARGE_BYTES

static const struct migration steps[] = {{1, 0, step_1, NULL}, {2, 0, step_2, NULL}, {0}};
static const struct table *const tables[] = {&namespaces_table, NULL};
const struct schema kv_schema = {"kv", steps, tables, NULL};

/* 1: *ret_id and *ret_len are those of the value; 0: it is in its row. */
static int large_of(struct store *store, const char *namespace, const char *key, uint64_t *ret_id,
		    size_t *ret_len, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_ask(store, "SELECT id, len FROM kv_large WHERE namespace = ?1 AND key = ?2",
			  &st, e);

	*ret_id = *ret_len = 0;
	if (r < 0)
		return r;
	(void)sqlite3_bind_text(st, 1, namespace, -1, SQLITE_STATIC);
	(void)sqlite3_bind_blob(st, 2, key, (int)strlen(key), SQLITE_STATIC);
	r = store_next(store, st, e);
	if (r > 0) {
		*ret_id = (uint64_t)sqlite3_column_int64(st, 0);
		*ret_len = (size_t)sqlite3_column_int64(st, 1);
	}
	return r;
}

static int find_large(void *arg, const char *namespace, const char *key, struct kv_value *v,
		      struct err *e)
{
	struct store *store = arg;
	size_t len = 0, at = 0;
	int r = large_of(store, namespace, key, &v->large, &v->len, e);

	if (r <= 0 || v->len > KV_AT_ONCE)
		return r < 0 ? r : 0;
	v->owned = malloc(v->len + KV_PIECE);
	if (!v->owned)
		return err_set(e, ERR_SYSTEM, ENOMEM, "the value");
	v->value = v->owned;
	for (unsigned n = 0; at < v->len; n++, at += len) {
		r = store_kv_piece(store, v->large, n, (uint8_t *)v->owned + at, &len, e);
		if (r < 0 || len == 0)
			return e->code ? r
				       : err_set(e, ERR_INTERNAL, 0,
						 "a piece of the value is missing");
	}
	return 0;
}

static struct kv_rows rows_of(struct store *store)
{
	return (struct kv_rows){store->db, "the task store", find_large, store};
}

int store_kv_piece_put(struct store *store, uint64_t large, unsigned n, const void *bytes,
		       size_t len, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_ask(store, "INSERT INTO kv_pieces (id, n, bytes) VALUES (?1, ?2, ?3)", &st,
			  e);

	if (r < 0)
		return r;
	(void)sqlite3_bind_int64(st, 1, (sqlite3_int64)large);
	(void)sqlite3_bind_int64(st, 2, (sqlite3_int64)n);
	(void)sqlite3_bind_blob(st, 3, bytes, (int)len, SQLITE_STATIC);
	r = store_next(store, st, e);
	return r < 0 ? r : 0;
}

int store_kv_piece(struct store *store, uint64_t large, unsigned n, void *buf, size_t *ret_len,
		   struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_ask(store, "SELECT bytes FROM kv_pieces WHERE id = ?1 AND n = ?2", &st, e);

	*ret_len = 0;
	if (r < 0)
		return r;
	(void)sqlite3_bind_int64(st, 1, (sqlite3_int64)large);
	(void)sqlite3_bind_int64(st, 2, (sqlite3_int64)n);
	r = store_next(store, st, e);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	*ret_len = (size_t)sqlite3_column_bytes(st, 0);
	if (*ret_len > KV_PIECE)
		return err_set(e, ERR_INTERNAL, 0, "a piece of the value is too long");
	memcpy(buf, sqlite3_column_blob(st, 0), *ret_len);
	return 0;
}

int store_kv_put_large(struct store *store, const char *namespace, const char *key, uint64_t large,
		       const struct kv_value *v, int64_t *ret_bytes, struct err *e)
{
	const struct kv_value row = {.metadata = v->metadata, .expires_s = v->expires_s};
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_kv_put(store, namespace, key, &row, ret_bytes, e);

	if (r < 0)
		return r;
	*ret_bytes += (int64_t)v->len;
	r = store_ask(store,
		      "INSERT INTO kv_large (id, namespace, key, len) VALUES (?1, ?2, ?3, ?4)", &st,
		      e);
	if (r < 0)
		return r;
	(void)sqlite3_bind_int64(st, 1, (sqlite3_int64)large);
	(void)sqlite3_bind_text(st, 2, namespace, -1, SQLITE_STATIC);
	(void)sqlite3_bind_blob(st, 3, key, (int)strlen(key), SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 4, (sqlite3_int64)v->len);
	r = store_next(store, st, e);
	return r < 0 ? r : 0;
}

static int drop_orphans(void *arg, struct err *e)
{
	return store_sql(arg,
			 "INSERT OR IGNORE INTO kv_gone (id) SELECT DISTINCT id FROM kv_pieces "
			 "WHERE id NOT IN (SELECT id FROM kv_large)",
			 "", e);
}

int store_kv_large_begin(struct store *store, uint64_t *ret, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_slice(store, drop_orphans, store, e);

	if (r == 0)
		r = store_ask(store,
			      "SELECT max(coalesce((SELECT max(id) FROM kv_large), 0), "
			      "coalesce((SELECT max(id) FROM kv_gone), 0))",
			      &st, e);
	if (r == 0)
		r = store_next(store, st, e);
	*ret = r > 0 ? (uint64_t)sqlite3_column_int64(st, 0) : 0;
	return r < 0 ? r : 0;
}

struct drop {
	struct store *store;
	uint64_t large;
};

static int drop_one(void *arg, struct err *e)
{
	const struct drop *x = arg;

	return store_sql(x->store, "INSERT OR IGNORE INTO kv_gone (id) VALUES (?1)", "i", e,
			 (sqlite3_int64)x->large);
}

int store_kv_large_drop(struct store *store, uint64_t large, struct err *e)
{
	struct drop x = {store, large};

	return store_slice(store, drop_one, &x, e);
}

int store_kv_large_remove(struct store *store, unsigned pieces, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	sqlite3_int64 id;
	int r = store_ask(store, "SELECT min(id) FROM kv_gone", &st, e);

	if (r == 0)
		r = store_next(store, st, e);
	if (r <= 0 || sqlite3_column_type(st, 0) == SQLITE_NULL)
		return r < 0 ? r : 0;
	id = sqlite3_column_int64(st, 0);
	(void)sqlite3_reset(st);
	r = store_sql(store,
		      "DELETE FROM kv_pieces WHERE rowid IN (SELECT rowid FROM kv_pieces WHERE "
		      "id = ?1 ORDER BY n LIMIT ?2)",
		      "ii", e, id, (sqlite3_int64)pieces);
	if (r == 0 && sqlite3_changes(store->db) < (int)pieces)
		r = store_sql(store, "DELETE FROM kv_gone WHERE id = ?1", "i", e, id);
	return r < 0 ? r : 1;
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
			  "SELECT coalesce(sum(" ALL_BYTES "), 0) FROM kv WHERE rowid IN " SOME,
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
	uint64_t large;
	size_t len;
	int r = large_of(store, namespace, key, &large, &len, e);

	if (r >= 0)
		r = kv_rows_put(&rows, namespace, key, v, ret_bytes, e);
	if (r >= 0)
		*ret_bytes -= (int64_t)len;
	return r < 0 ? r : 0;
}

int store_kv_delete(struct store *store, const char *namespace, const char *key, int64_t *ret_bytes,
		    struct err *e)
{
	const struct kv_rows rows = rows_of(store);
	uint64_t large;
	size_t len;
	int r = large_of(store, namespace, key, &large, &len, e);

	if (r >= 0)
		r = kv_rows_delete(&rows, namespace, key, ret_bytes, e);
	if (r >= 0)
		*ret_bytes -= (int64_t)len;
	return r < 0 ? r : 0;
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
			  "SELECT coalesce(sum(" ALL_BYTES "), 0) FROM kv WHERE namespace IN "
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
			  "SELECT project_id, sum(" ALL_BYTES ") FROM kv JOIN kv_namespaces ON "
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
