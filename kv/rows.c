// SPDX-License-Identifier: Apache-2.0
#include "kv/rows.h"

#include <string.h>

static void finalize(sqlite3_stmt **st)
{
	(void)sqlite3_finalize(*st);
}
#define _cleanup_rows_stmt_ __attribute__((cleanup(finalize)))

static int fail(const struct kv_rows *rows, struct err *e, const char *doing)
{
	if ((sqlite3_errcode(rows->db) & 0xff) == SQLITE_FULL)
		return err_set(e, ERR_LIMIT, ENOSPC, "%s cannot %s", rows->name, doing);
	return err_set(e, ERR_UNAVAILABLE, 0, "%s cannot %s: %s", rows->name, doing,
		       sqlite3_errmsg(rows->db));
}

static int ask(const struct kv_rows *rows, const char *sql, sqlite3_stmt **ret, struct err *e)
{
	if (sqlite3_prepare_v2(rows->db, sql, -1, ret, NULL) != SQLITE_OK)
		return fail(rows, e, "be read");
	return 0;
}

/* The same for a statement of which the first two values are a key. */
static int ask_key(const struct kv_rows *rows, const char *sql, const char *namespace,
		   const char *key, sqlite3_stmt **ret, struct err *e)
{
	int r = ask(rows, sql, ret, e);

	if (r < 0)
		return r;
	(void)sqlite3_bind_text(*ret, 1, namespace, -1, SQLITE_STATIC);
	(void)sqlite3_bind_blob(*ret, 2, key, (int)strlen(key), SQLITE_STATIC);
	return 0;
}

/* 1: there is a row. */
static int next(const struct kv_rows *rows, sqlite3_stmt *st, struct err *e)
{
	const int r = sqlite3_step(st);

	return r == SQLITE_ROW ? 1 : r == SQLITE_DONE ? 0 : fail(rows, e, "be read");
}

static int change(const struct kv_rows *rows, sqlite3_stmt *st, struct err *e)
{
	return sqlite3_step(st) == SQLITE_DONE ? 0 : fail(rows, e, "be changed");
}

int kv_rows_get(const struct kv_rows *rows, const char *namespace, const char *key, uint64_t now_s,
		kv_value_fn fn, void *arg, struct err *e)
{
	_cleanup_rows_stmt_ sqlite3_stmt *st = NULL;
	struct kv_value v;
	int r = ask_key(rows,
			"SELECT expires_s, metadata, value FROM kv WHERE namespace = ?1 AND "
			"key = ?2 AND (expires_s = 0 OR expires_s > ?3)",
			namespace, key, &st, e);

	if (r < 0)
		return r;
	(void)sqlite3_bind_int64(st, 3, (sqlite3_int64)now_s);
	r = next(rows, st, e);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	v = (struct kv_value){.expires_s = (uint64_t)sqlite3_column_int64(st, 0),
			      .metadata = (const char *)sqlite3_column_text(st, 1),
			      .value = sqlite3_column_blob(st, 2),
			      .len = (size_t)sqlite3_column_bytes(st, 2)};
	r = 0;
	if (v.len == 0 && rows->find_large)
		r = rows->find_large(rows->arg, namespace, key, &v, e);
	if (r == 0)
		fn(arg, &v);
	free(v.owned);
	return r;
}

/* The bytes that the key takes now; 0: there is none. */
static int bytes_of(const struct kv_rows *rows, const char *namespace, const char *key,
		    int64_t *ret, struct err *e)
{
	_cleanup_rows_stmt_ sqlite3_stmt *st = NULL;
	int r = ask_key(rows, "SELECT " KV_ROW_BYTES " FROM kv WHERE namespace = ?1 AND key = ?2",
			namespace, key, &st, e);

	*ret = 0;
	if (r < 0)
		return r;
	r = next(rows, st, e);
	if (r > 0)
		*ret = sqlite3_column_int64(st, 0);
	return r < 0 ? r : 0;
}

int kv_rows_put(const struct kv_rows *rows, const char *namespace, const char *key,
		const struct kv_value *v, int64_t *ret_bytes, struct err *e)
{
	_cleanup_rows_stmt_ sqlite3_stmt *st = NULL;
	int64_t before;
	int r = bytes_of(rows, namespace, key, &before, e);

	if (r == 0)
		r = ask_key(rows,
			    "INSERT INTO kv (namespace, key, expires_s, metadata, value) "
			    "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (namespace, key) DO UPDATE "
			    "SET expires_s = ?3, metadata = ?4, value = ?5",
			    namespace, key, &st, e);
	if (r < 0)
		return r;
	(void)sqlite3_bind_int64(st, 3, (sqlite3_int64)v->expires_s);
	(void)sqlite3_bind_text(st, 4, v->metadata, -1, SQLITE_STATIC);
	/* NULL would be no value, and an empty one is one. */
	(void)sqlite3_bind_blob(st, 5, v->len ? v->value : "", (int)v->len, SQLITE_STATIC);
	*ret_bytes =
		(int64_t)(strlen(key) + v->len + (v->metadata ? strlen(v->metadata) : 0)) - before;
	return change(rows, st, e);
}

int kv_rows_delete(const struct kv_rows *rows, const char *namespace, const char *key,
		   int64_t *ret_bytes, struct err *e)
{
	_cleanup_rows_stmt_ sqlite3_stmt *st = NULL;
	int64_t before;
	int r = bytes_of(rows, namespace, key, &before, e);

	if (r == 0)
		r = ask_key(rows, "DELETE FROM kv WHERE namespace = ?1 AND key = ?2", namespace,
			    key, &st, e);
	*ret_bytes = -before;
	return r < 0 ? r : change(rows, st, e);
}

/* The least text of bytes that is greater than all that begin with prefix, in buf; its length; 0:
 * there is none. */
static size_t after_prefix(const char *prefix, char buf[KV_KEY_MAX])
{
	size_t n = strnlen(prefix, KV_KEY_MAX);

	memcpy(buf, prefix, n);
	while (n > 0 && (unsigned char)buf[n - 1] == 0xff)
		n--;
	if (n > 0)
		buf[n - 1]++;
	return n;
}

int kv_rows_list(const struct kv_rows *rows, const char *namespace, const char *prefix,
		 const char *after, unsigned max, uint64_t now_s, kv_key_fn fn, void *arg,
		 struct err *e)
{
	_cleanup_rows_stmt_ sqlite3_stmt *st = NULL;
	char end[KV_KEY_MAX];
	const size_t end_len = after_prefix(prefix, end);
	unsigned n = 0;
	/* Two bounds on the key, so that the index is walked from the one to the other. */
	int r = ask_key(rows,
			"SELECT key, expires_s, metadata FROM kv WHERE namespace = ?1 AND "
			"key >= ?2 AND key > ?3 AND (?4 IS NULL OR key < ?4) AND "
			"(expires_s = 0 OR expires_s > ?5) ORDER BY key LIMIT ?6",
			namespace, prefix, &st, e);

	if (r < 0)
		return r;
	(void)sqlite3_bind_blob(st, 3, after, (int)strlen(after), SQLITE_STATIC);
	if (end_len)
		(void)sqlite3_bind_blob(st, 4, end, (int)end_len, SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 5, (sqlite3_int64)now_s);
	(void)sqlite3_bind_int64(st, 6, (sqlite3_int64)max + 1);
	while ((r = next(rows, st, e)) > 0) {
		char name[KV_KEY_MAX + 1];
		const size_t len = (size_t)sqlite3_column_bytes(st, 0);
		struct kv_key key = {.name = name,
				     .expires_s = (uint64_t)sqlite3_column_int64(st, 1),
				     .metadata = (const char *)sqlite3_column_text(st, 2)};

		if (n++ == max)
			return 1;
		if (len > KV_KEY_MAX)
			continue;
		memcpy(name, sqlite3_column_blob(st, 0), len);
		name[len] = '\0';
		r = fn(arg, &key);
		if (r < 0)
			return err_set(e, ERR_SYSTEM, -r, "%s", rows->name);
	}
	return r;
}

int kv_rows_expire(const struct kv_rows *rows, uint64_t now_s, unsigned max, struct err *e)
{
	_cleanup_rows_stmt_ sqlite3_stmt *st = NULL;
	int r = ask(rows,
		    "DELETE FROM kv WHERE rowid IN (SELECT rowid FROM kv WHERE "
		    "expires_s > 0 AND expires_s <= ?1 LIMIT ?2)",
		    &st, e);

	if (r < 0)
		return r;
	(void)sqlite3_bind_int64(st, 1, (sqlite3_int64)now_s);
	(void)sqlite3_bind_int64(st, 2, (sqlite3_int64)max);
	r = change(rows, st, e);
	return r < 0 ? r : sqlite3_changes(rows->db) == (int)max;
}
