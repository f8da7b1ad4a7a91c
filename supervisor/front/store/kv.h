/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and values that HTTP workers keep (kv/rows.h), in namespaces of a project. Errors as in store.h.
 */
#ifndef SUPERVISOR_FRONT_STORE_KV_H
#define SUPERVISOR_FRONT_STORE_KV_H

#include "kv/ask.h"
#include "supervisor/front/store/projects.h"

#define KV_ID_LEN 32 /* lower-case hex */
#define KV_TITLE_MAX 512

/* A value that is longer is kept in pieces, which are written and read some at a time: so no turn is long. */
#define KV_LARGE (256u << 10)
#define KV_PIECE (64u << 10)
/* One that is no longer is read at once all the same. */
#define KV_AT_ONCE (1u << 20)

extern const struct schema kv_schema; /* kv_namespaces, kv, kv_large, kv_pieces, kv_gone */

struct kv_namespace_row {
	char id[KV_ID_LEN + 1], project[PROJECT_ID_LEN + 1];
	char title[KV_TITLE_MAX + 1];
	uint64_t created_ns; /* CLOCK_REALTIME */
};

/* Oldest first. Another return than 0 ends the walk. */
typedef int (*kv_namespace_fn)(void *arg, const struct kv_namespace_row *row);
int store_kv_namespaces(struct store *store, kv_namespace_fn fn, void *arg, struct err *e);
/* Within a change, as all that writes. */
int store_kv_namespace_put(struct store *store, const struct kv_namespace_row *row, struct err *e);
/* Removes some of its keys, whose bytes are told, and then the namespace. 1: there are more. */
int store_kv_namespace_delete(struct store *store, const char *id, unsigned rows,
			      uint64_t *ret_bytes, struct err *e);
/* The namespaces of a project, whose keys have gone. */
int store_kv_delete_project(struct store *store, const char *project, struct err *e);

/* -ENOENT without an error: there is no such key. Of a value of more than KV_AT_ONCE fn sees the number
 * by which store_kv_piece reads it. */
int store_kv_get(struct store *store, const char *namespace, const char *key, uint64_t now_s,
		 kv_value_fn fn, void *arg, struct err *e);
/* Within a change. *ret_bytes: how much longer what is kept has become; negative: shorter. */
int store_kv_put(struct store *store, const char *namespace, const char *key,
		 const struct kv_value *v, int64_t *ret_bytes, struct err *e);
/* One of the pieces of a value that is to have this number: n of them, from 0, each but the last of
 * KV_PIECE. */
int store_kv_piece_put(struct store *store, uint64_t large, unsigned n, const void *bytes,
		       size_t len, struct err *e);
/* Then the value, whose v->value is not looked at. */
int store_kv_put_large(struct store *store, const char *namespace, const char *key, uint64_t large,
		       const struct kv_value *v, int64_t *ret_bytes, struct err *e);
/* buf: of KV_PIECE bytes. -ENOENT without an error: the value was replaced since, and is being removed. */
int store_kv_piece(struct store *store, uint64_t large, unsigned n, void *buf, size_t *ret_len,
		   struct err *e);
/* The highest number that was given. What was being written when the last front ended is dropped. */
int store_kv_large_begin(struct store *store, uint64_t *ret, struct err *e);
/* Nobody refers to the pieces: they are removed by and by. A transaction of its own. */
int store_kv_large_drop(struct store *store, uint64_t large, struct err *e);
/* Within a change: removes so many pieces that nobody refers to. 1: there are more. */
int store_kv_large_remove(struct store *store, unsigned pieces, struct err *e);
int store_kv_delete(struct store *store, const char *namespace, const char *key, int64_t *ret_bytes,
		    struct err *e);

/* Keys that begin with prefix, in the order of their bytes, after the key `after` ("": from the
 * first), at most `max`. 1: there are more. 0: there are none any more. */
int store_kv_list(struct store *store, const char *namespace, const char *prefix, const char *after,
		  unsigned max, uint64_t now_s, kv_key_fn fn, void *arg, struct err *e);
/* As kv_look. */
void store_kv_look(struct store *store, const char *namespace, const struct kv_ask *ask,
		   uint64_t now_s, struct kv_reply *reply);
/* Bytes of the keys, values and metadata of a project's namespaces. */
int store_kv_bytes(struct store *store, const char *project, uint64_t *ret, struct err *e);
/* Removes keys that have expired, at most `rows`, and tells what of each project goes so. 1: there may
 * be more. */
typedef void (*kv_expired_fn)(void *arg, const char *project, uint64_t bytes);
int store_kv_expire(struct store *store, uint64_t now_s, unsigned rows, kv_expired_fn fn, void *arg,
		    struct err *e);

#endif
