/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker's code asks of a KV namespace by the head of a frame {"op": "ask", "method": ..}, and what
 * it is answered:
 *
 *	get, getWithMetadata	key			found, metadata, expiration; the value
 *	getMany			keys			values: [{len, metadata, expiration} or null]; the values
 *	put			key, metadata, expiration; the value	nothing
 *	delete			key			nothing
 *	list			prefix, limit, cursor	keys: [{name, metadata, expiration}], list_complete, cursor
 *
 * Metadata is the text of JSON, an expiration in seconds since 1970. All of it comes from a sandbox.
 */
#ifndef KV_ASK_H
#define KV_ASK_H

#include <jansson.h>

#include "kv/rows.h"

enum kv_method {
	KV_GET = 0,
	KV_GET_MANY,
	KV_PUT,
	KV_DELETE,
	KV_LIST,
};

/* Texts are the head's. */
struct kv_ask {
	enum kv_method method;
	const char *key, *metadata, *prefix, *cursor; /* metadata NULL: none */
	const json_t *keys;
	uint64_t expires_s; /* 0: never */
	unsigned limit;
};

struct kv_reply {
	json_t *head; /* owned; NULL: out of memory, or refused */
	void *body;   /* owned */
	size_t len;   /* of body */
	bool large; /* the value is not in its row, and is to be read by whoever knows where it is */
	const char *
		type; /* of the exception where it is refused: "TypeError", "Error"; NULL: it is not */
	char message[ERR_MSG_MAX];
};
void kv_reply_clear(struct kv_reply *reply);
#define _cleanup_kv_reply_ __attribute__((cleanup(kv_reply_clear)))
void kv_refuse(struct kv_reply *reply, const char *type, const char *message);

/* len: of the body. False: it is refused. */
bool kv_ask_read(const json_t *head, size_t len, struct kv_ask *ret, struct kv_reply *reply);
/* Answers what changes nothing: get, getMany and list. */
void kv_look(const struct kv_rows *rows, const char *namespace, const struct kv_ask *ask,
	     uint64_t now_s, struct kv_reply *reply);
/* A key's metadata as the JSON that its text should be, but nobody has checked: else as that text. NULL: null. */
json_t *kv_metadata(const char *text);
/* A kv_key_fn: an object with name, expiration and metadata is added to the array. */
int kv_see_key(void *array, const struct kv_key *key);

#endif
