/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and values in a database of SQLite's: namespaces, each with its keys in the order of their bytes.
 * A key that has expired is not there, whether its row was removed or not. Who has the database has its
 * transactions too.
 */
#ifndef KV_ROWS_H
#define KV_ROWS_H

#include <sqlite3.h>

#include "lib/util.h"

#define KV_KEY_MAX 512		 /* bytes of UTF-8 */
#define KV_METADATA_MAX 1024	 /* bytes of JSON */
#define KV_VALUE_MAX (25u << 20) /* bytes */
#define KV_LIST_MAX 1000u	 /* keys of one answer */
#define KV_KEYS_MAX 100u	 /* of one get */
#define KV_TTL_MIN 60u		 /* seconds */

/*
 * The table. Keys are BLOBs, so that they are compared by their bytes, and "a\0" is not "a". A value is
 * the last column: a list of keys need not read it. The text is a step of migrations, and never changed.
 */
#define KV_ROWS_SQL                                                                                \
	"CREATE TABLE kv (namespace TEXT NOT NULL, key BLOB NOT NULL, expires_s INTEGER NOT NULL," \
	" metadata TEXT, value BLOB NOT NULL, PRIMARY KEY (namespace, key));"                      \
	"CREATE INDEX kv_expires ON kv (expires_s) WHERE expires_s > 0"

/* Of a row, what it is counted as. */
#define KV_ROW_BYTES "length(key) + length(value) + coalesce(length(metadata), 0)"

/* A value as it is kept. What it points to is the statement's, for as long as fn runs. */
struct kv_value {
	const void *value; /* NULL: it is empty, or elsewhere (large) */
	size_t len;
	const char *metadata; /* JSON; NULL: none */
	uint64_t expires_s;   /* CLOCK_REALTIME; 0: never */
	uint64_t large;	      /* by which whoever has the database finds it; 0: it is in its row */
	void *owned;	      /* freed when fn has returned; NULL: nothing */
};

struct kv_rows {
	sqlite3 *db;
	const char *name; /* for errors: "NAME cannot be read" */
	/* Asked of a value that is empty in its row, whether it is elsewhere: sets large and len of *v, and
	 * value and owned where it is at hand. NULL: none is. */
	int (*find_large)(void *arg, const char *namespace, const char *key, struct kv_value *v,
			  struct err *e);
	void *arg;
};
typedef void (*kv_value_fn)(void *arg, const struct kv_value *v);
/* -ENOENT without an error: there is no such key. */
int kv_rows_get(const struct kv_rows *rows, const char *namespace, const char *key, uint64_t now_s,
		kv_value_fn fn, void *arg, struct err *e);
/* *ret_bytes: how much longer what is kept has become; negative: shorter. */
int kv_rows_put(const struct kv_rows *rows, const char *namespace, const char *key,
		const struct kv_value *v, int64_t *ret_bytes, struct err *e);
int kv_rows_delete(const struct kv_rows *rows, const char *namespace, const char *key,
		   int64_t *ret_bytes, struct err *e);

struct kv_key {
	const char *name, *metadata; /* metadata: JSON; NULL: none */
	uint64_t expires_s;
};
typedef int (*kv_key_fn)(void *arg, const struct kv_key *key);
/* Keys that begin with prefix, in the order of their bytes, after the key `after` ("": from the
 * first), at most `max`. 1: there are more. 0: there are none any more. */
int kv_rows_list(const struct kv_rows *rows, const char *namespace, const char *prefix,
		 const char *after, unsigned max, uint64_t now_s, kv_key_fn fn, void *arg,
		 struct err *e);
/* Removes keys that have expired, at most `max`. 1: there may be more. */
int kv_rows_expire(const struct kv_rows *rows, uint64_t now_s, unsigned max, struct err *e);

#endif
