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
		n_many; /* writes that take several turns: it is not removed before they are done */
	LIST_HEAD(, kv_many) singles; /* those of one key (kv_many.c) */
};

struct web_namespace *web_kv_make(struct project *p, const char *title, struct err *e);
/* What is to be put under a key; NULL: the key is deleted. */
struct web_kv_put {
	const void *value;
	size_t len;
	/* Where the value's owner has it, who loses it if it is long and can be taken by free(3); NULL: it is
	 * copied. */
	void **owner;
	int fd;	     /* value NULL: it is in this file, of which a descriptor of our own is made, */
	uint64_t at; /* from here on */
	const char *metadata; /* JSON; NULL: none */
	uint64_t expires_s;   /* CLOCK_REALTIME; 0: never */
};
/* ERR_LIMIT where there is no room for so much more. */
int web_kv_room(const struct project *p, uint64_t bytes, struct err *e);
/* ERR_LIMIT where that cannot be put. put NULL: what is deleted always can. */
int web_kv_check(const struct project *p, const struct web_kv_put *put, struct err *e);
/* Whoever asks: the waiter, or where it is NULL an instance's run with the ask's number. -ENOMEM: nothing
 * is answered. */
int web_kv_write(struct front *f, struct project *p, struct web_namespace *n, const char *key,
		 const struct web_kv_put *put, struct waiter *w, const char *run, json_int_t id);
uint64_t web_kv_now_s(void);

extern const struct verb web_kv_verbs[];
/* Reads "namespace" and "project", the last of what is read. */
int web_kv_call_namespace(struct call *c, struct web_namespace **ret, struct err *e);
/* A verb, of a value that it is given: it reads "key", "namespace", "project" and when it expires. */
int web_kv_put_value(struct call *c, struct web_kv_put *put, struct err *e);
/* Reads as much, and tells the key's metadata: null where it has none. The caller's reference. */
int web_kv_metadata(struct call *c, json_t **ret, struct err *e);

/* kv_many.c: a write of the key that takes several turns is under way: what is asked for now has to come
 * after it. NULL: none is. */
struct kv_many *web_kv_busy(const struct web_namespace *n, const char *key);
/* As web_kv_write, a slice a turn; busy: what it comes after, or NULL. */
int web_kv_write_slices(struct front *f, struct project *p, struct web_namespace *n,
			const char *key, const struct web_kv_put *put, struct kv_many *busy,
			struct waiter *w, const char *run, json_int_t id);

/* kv_read.c: values that are read a slice a turn. -ENOMEM: nothing is answered. */
/* keys: an array; many: the answer has a list of values, else the one value. */
int web_kv_read_keys(struct front *f, struct project *p, const struct web_namespace *n,
		     json_t *keys, bool many, const char *run, json_int_t id);
/* The one value, as it is over HTTP, or into the file fd (taken; -1: none). */
int web_kv_read_value(struct front *f, struct project *p, const struct web_namespace *n,
		      const char *key, struct waiter *w, int fd);
/* The value as it is; what else is known of the key (kv_read.c) stands in headers. Takes value. */
void web_kv_reply_value(struct http_request *r, char *value, size_t len, const json_t *about);
/* What a client is told of a value, beside the value. */
json_t *web_kv_about(const struct kv_value *v);

/* kv_many.c: verbs of many keys, of which the first two have readers (kv_bulk.h). */
int web_kv_bulk_put(struct call *c, struct err *e);
int web_kv_bulk_delete(struct call *c, struct err *e);
int web_kv_bulk_get(struct call *c, struct err *e);

#endif
