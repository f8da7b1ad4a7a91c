// SPDX-License-Identifier: Apache-2.0
#include "kv/kv.h"

#include <string.h>

#define KV_VERSION 1 /* PRAGMA user_version of the file */
#define EXPIRE_ROWS 10000u
#define MAKE                                                                                       \
	"BEGIN IMMEDIATE;" KV_ROWS_SQL ";"                                                         \
	"PRAGMA user_version = 1; COMMIT"

struct kv {
	sqlite3 *db;
	struct kv_rows rows;
};

static int fail(const struct kv *kv, const char *path, struct err *e)
{
	return err_set(e, ERR_SYSTEM, 0, "%s: %s", path,
		       kv->db ? sqlite3_errmsg(kv->db) : "out of memory");
}

static int version_of(struct kv *kv)
{
	sqlite3_stmt *st = NULL;
	int version = -1;

	if (sqlite3_prepare_v2(kv->db, "PRAGMA user_version", -1, &st, NULL) == SQLITE_OK &&
	    sqlite3_step(st) == SQLITE_ROW)
		version = sqlite3_column_int(st, 0);
	(void)sqlite3_finalize(st);
	return version;
}

static int make_tables(struct kv *kv, const char *path, struct err *e)
{
	int version = version_of(kv);

	if (version == 0 && sqlite3_exec(kv->db, MAKE, NULL, NULL, NULL) != SQLITE_OK) {
		if (!sqlite3_get_autocommit(kv->db))
			(void)sqlite3_exec(kv->db, "ROLLBACK", NULL, NULL, NULL);
		/* Another process may have been faster. */
		version = version_of(kv);
		if (version <= 0)
			return fail(kv, path, e);
	}
	if (version < 0)
		return fail(kv, path, e);
	if (version > KV_VERSION)
		return err_set(e, ERR_INPUT, 0,
			       "%s was written by a later release: use that one, or another folder",
			       path);
	return 0;
}

int kv_open(const char *path, struct kv **ret, struct err *e)
{
	struct kv *kv = calloc(1, sizeof(*kv));
	int r;

	if (!kv)
		return err_set(e, ERR_SYSTEM, ENOMEM, "%s", path);
	/* Several processes may have the file open. What is committed survives this process, though
	 * not always the machine. */
	if (sqlite3_open_v2(path, &kv->db,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
			    NULL) != SQLITE_OK ||
	    sqlite3_exec(kv->db,
			 "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL;"
			 "PRAGMA synchronous = NORMAL; PRAGMA trusted_schema = OFF",
			 NULL, NULL, NULL) != SQLITE_OK)
		r = fail(kv, path, e);
	else
		r = make_tables(kv, path, e);
	kv->rows = (struct kv_rows){kv->db, "the store of KV"};
	while (r == 0 && kv_rows_expire(&kv->rows, util_realtime_ns() / SEC, EXPIRE_ROWS, NULL) > 0)
		;
	if (r < 0) {
		kv_close(kv);
		return r;
	}
	*ret = kv;
	return 0;
}

void kv_close(struct kv *kv)
{
	if (!kv)
		return;
	(void)sqlite3_close(kv->db);
	free(kv);
}

void kv_answer(struct kv *kv, const char *namespace, const json_t *head, const void *body,
	       size_t len, struct kv_reply *reply)
{
	struct kv_value v;
	struct kv_ask ask;
	struct err e = {0};
	int64_t bytes;
	int r;

	if (!kv_ask_read(head, len, &ask, reply))
		return;
	if (ask.method != KV_PUT && ask.method != KV_DELETE) {
		kv_look(&kv->rows, namespace, &ask, util_realtime_ns() / SEC, reply);
		return;
	}
	v = (struct kv_value){body, len, ask.metadata, ask.expires_s};
	r = ask.method == KV_PUT ? kv_rows_put(&kv->rows, namespace, ask.key, &v, &bytes, &e)
				 : kv_rows_delete(&kv->rows, namespace, ask.key, &bytes, &e);
	reply->head = r < 0 ? NULL : json_object();
	if (!reply->head)
		kv_refuse(reply, "Error", r < 0 ? e.msg : "out of memory");
}
