/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many keys at a time, as a JSON document has them: it is read by a thread where it is long, so
 * nothing here knows of the front (fuzzed).
 */
#ifndef SUPERVISOR_FRONT_WEB_KV_BULK_H
#define SUPERVISOR_FRONT_WEB_KV_BULK_H

#include "supervisor/front/serve/http/http.h"

#define KV_BULK_KEYS_MAX 10000u
#define KV_BULK_BYTES_MAX (16u << 20) /* of the document */

struct kv_bulk_item {
	char *key, *metadata; /* owned; metadata: JSON, NULL: none */
	void *value;	      /* owned */
	size_t len;
	uint64_t expires_s; /* CLOCK_REALTIME; 0: never */
	uint64_t ttl_s;	    /* 0: none; counted from when it is written */
};
struct kv_bulk {
	size_t n;
	uint64_t bytes; /* of the values */
	struct kv_bulk_item items[];
};
void kv_bulk_free(struct kv_bulk *b);

/* [{"key", "value", "base64"?, "metadata"?, "expiration"?, "expiration_ttl"?}, ..] */
extern const struct http_reader kv_bulk_reader;
/* ["key", ..] */
extern const struct http_reader kv_bulk_keys_reader;

#endif
