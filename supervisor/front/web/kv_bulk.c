// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/web/kv_bulk.h"

#include <openssl/evp.h>
#include <string.h>

#include "lib/json_strict.h"
#include "supervisor/front/store/kv.h"

void kv_bulk_free(struct kv_bulk *b)
{
	for (size_t i = 0; b && i < b->n; i++) {
		free(b->items[i].key);
		free(b->items[i].metadata);
		free(b->items[i].value);
	}
	free(b);
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_SYSTEM, ENOMEM, "request");
}

/* Bytes of base64 text, with its padding. -EINVAL: it is none. What is none is told here: libcrypto
 * passes blanks over, and decodes less than the length says; the rest would be what the memory had before. */
static int decode(const char *text, size_t len, uint8_t *ret, size_t *ret_len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t pad = 0;

	while (pad < 2 && pad < len && text[len - 1 - pad] == '=')
		pad++;
	if (len % 4 != 0 || strspn(text, digits) != len - pad ||
	    (len > 0 &&
	     EVP_DecodeBlock(ret, (const unsigned char *)text, (int)len) != (int)(len / 4 * 3)))
		return -EINVAL;
	*ret_len = len / 4 * 3 - pad;
	return 0;
}

static int take_value(struct json_strict *s, const json_t *value, bool base64,
		      struct kv_bulk_item *item)
{
	const size_t len = json_string_length(value);

	item->value = malloc(len + 1);
	if (!item->value)
		return -ENOMEM;
	item->len = len;
	if (!base64)
		memcpy(item->value, json_string_value(value), len);
	else if (decode(json_string_value(value), len, item->value, &item->len) < 0)
		return json_strict_fail(s, "value", "must be base64");
	if (item->len > KV_VALUE_MAX)
		return json_strict_fail(s, "value", "must be at most 25 MiB");
	return 0;
}

static int read_item(struct json_strict *s, struct kv_bulk_item *item)
{
	const char *key = json_strict_string(s, "key", KV_KEY_MAX);
	const json_t *value = json_strict_get(s, "value");
	json_t *metadata = json_strict_get(s, "metadata");
	int64_t expires = 0, ttl = 0;
	bool base64 = false;
	int r;

	(void)json_strict_bool(s, "base64", &base64);
	(void)json_strict_int(s, "expiration", 1, INT32_MAX * 1000LL, &expires);
	(void)json_strict_int(s, "expiration_ttl", KV_TTL_MIN, INT32_MAX * 1000LL, &ttl);
	if (!key)
		(void)json_strict_fail(s, "key", "must be a text of 1 to %u bytes", KV_KEY_MAX);
	else if (!json_is_string(value))
		(void)json_strict_fail(s, "value", "must be a text");
	r = json_strict_end(s);
	if (r < 0)
		return r;
	item->key = key ? strdup(key) : NULL;
	item->expires_s = (uint64_t)expires;
	item->ttl_s = (uint64_t)ttl;
	if (metadata && !json_is_null(metadata)) {
		item->metadata = json_dumps(metadata, JSON_COMPACT | JSON_ENCODE_ANY);
		if (!item->metadata)
			return -ENOMEM;
		if (strlen(item->metadata) > KV_METADATA_MAX)
			return json_strict_fail(s, "metadata", "must be at most %u bytes of JSON",
						KV_METADATA_MAX);
	}
	return item->key ? take_value(s, value, base64, item) : -ENOMEM;
}

/* The document's list, below a name for errors: "request: items[3].key: ...". */
static int begin(const char *text, size_t len, json_t **doc, struct json_strict *top,
		 struct kv_bulk **ret, struct err *e)
{
	json_t *list = NULL;
	size_t n;
	int r = json_strict_load("request", text, len, KV_BULK_BYTES_MAX, &list, e);

	if (r < 0)
		return r;
	n = json_array_size(list);
	if (!json_is_array(list) || n == 0 || n > KV_BULK_KEYS_MAX) {
		json_decref(list);
		return err_set(e, ERR_INPUT, 0, "request: must be an array of 1 to %u keys",
			       KV_BULK_KEYS_MAX);
	}
	*doc = json_pack("{s:o}", "keys", list);
	*ret = calloc(1, sizeof(**ret) + n * sizeof((*ret)->items[0]));
	if (!*doc || !*ret)
		return no_memory(e);
	(*ret)->n = n;
	r = json_strict_begin(top, "request", *doc, e);
	if (r == 0)
		(void)json_strict_array(top, "keys", KV_BULK_KEYS_MAX);
	return r;
}

static int end(int r, struct kv_bulk *b, void **ret, struct err *e)
{
	if (r == -ENOMEM && e->code == ERR_NONE)
		(void)no_memory(e);
	if (r < 0)
		kv_bulk_free(b);
	else
		*ret = b;
	return r;
}

static int read_items(const char *text, size_t len, bool strict, void **ret, struct err *e)
{
	json_auto_t *doc = NULL;
	struct json_strict top = {0}, one;
	struct kv_bulk *b = NULL;
	int r = begin(text, len, &doc, &top, &b, e);

	(void)strict;
	for (size_t i = 0; r == 0 && i < b->n; i++) {
		r = json_strict_item_object(&top, "keys", i, &one) ? read_item(&one, &b->items[i])
								   : top.status;
		b->bytes += b->items[i].len;
	}
	return end(r, b, ret, e);
}

static int read_keys(const char *text, size_t len, bool strict, void **ret, struct err *e)
{
	json_auto_t *doc = NULL;
	struct json_strict top = {0};
	struct kv_bulk *b = NULL;
	int r = begin(text, len, &doc, &top, &b, e);

	(void)strict;
	for (size_t i = 0; r == 0 && i < b->n; i++) {
		const char *key = json_strict_item_string(&top, "keys", i, KV_KEY_MAX);

		if (key && !*key)
			(void)json_strict_item_fail(&top, "keys", i,
						    "must be a text of 1 to %u bytes", KV_KEY_MAX);
		b->items[i].key = key ? strdup(key) : NULL;
		r = top.status < 0 ? top.status : b->items[i].key ? 0 : -ENOMEM;
	}
	return end(r, b, ret, e);
}

static void free_items(void *what)
{
	kv_bulk_free(what);
}

const struct http_reader kv_bulk_reader = {.read = read_items, .free = free_items};
const struct http_reader kv_bulk_keys_reader = {.read = read_keys, .free = free_items};
