/* SPDX-License-Identifier: Apache-2.0 */
/* KV, as bindings (kv.c) and the operator's command (kv_verbs.c) use it. */
#ifndef SUPERVISOR_FRONT_WEB_KV_H
#define SUPERVISOR_FRONT_WEB_KV_H

#include "supervisor/front/store/kv.h"
#include "supervisor/front/web/web.h"

struct web_namespace {
	LIST_ENTRY(web_namespace) next;
	struct kv_namespace_row row;
	bool stored;
	bool going; /* it is being removed, and takes nothing more */
	unsigned
		n_many; /* requests of many keys that are being written: it is not removed before */
};

struct web_namespace *web_kv_make(struct project *p, const char *title, struct err *e);
/* What is to be put under a key; NULL: the key is deleted. */
struct web_kv_put {
	const void *value;
	size_t len;
	const char *metadata; /* JSON; NULL: none */
	uint64_t expires_s;   /* CLOCK_REALTIME; 0: never */
};
/* ERR_LIMIT where there is no room for so much more. */
int web_kv_room(const struct project *p, uint64_t bytes, struct err *e);
/* ERR_LIMIT where that cannot be put. put NULL: what is deleted always can. */
int web_kv_check(const struct project *p, const struct web_kv_put *put, struct err *e);
/* Whoever asks: the waiter, or where it is NULL an instance's run with the ask's number. The value is
 * copied. -ENOMEM: nothing is answered. */
int web_kv_write(struct front *f, struct project *p, struct web_namespace *n, const char *key,
		 const struct web_kv_put *put, struct waiter *w, const char *run, json_int_t id);
uint64_t web_kv_now_s(void);

extern const struct verb web_kv_verbs[];
/* Reads "namespace" and "project", the last of what is read. */
int web_kv_call_namespace(struct call *c, struct web_namespace **ret, struct err *e);
/* A verb, of a value that it is given: it reads "key", "namespace", "project" and when it expires.
 * metadata: JSON, or NULL. */
int web_kv_put_value(struct call *c, const void *value, size_t len, const char *metadata,
		     struct err *e);
/* Reads as much, and tells the key's metadata: null where it has none. The caller's reference. */
int web_kv_metadata(struct call *c, json_t **ret, struct err *e);

/* kv_many.c: verbs of many keys, of which the first two have readers (kv_bulk.h). */
int web_kv_bulk_put(struct call *c, struct err *e);
int web_kv_bulk_delete(struct call *c, struct err *e);
int web_kv_bulk_get(struct call *c, struct err *e);

#endif
