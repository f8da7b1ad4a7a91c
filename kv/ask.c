// SPDX-License-Identifier: Apache-2.0
#include "kv/ask.h"

#include <stdio.h>
#include <string.h>

void kv_reply_clear(struct kv_reply *reply)
{
	json_decref(reply->head);
	free(reply->body);
	*reply = (struct kv_reply){0};
}

void kv_refuse(struct kv_reply *reply, const char *type, const char *message)
{
	kv_reply_clear(reply);
	reply->type = type;
	(void)snprintf(reply->message, sizeof(reply->message), "%s", message);
}

json_t *kv_metadata(const char *text)
{
	json_t *ret = text ? json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : json_null();

	return ret ? ret : json_string(text);
}

static bool is_key(const json_t *value)
{
	const char *key = json_string_value(value);

	return key && *key && strlen(key) <= KV_KEY_MAX && strlen(key) == json_string_length(value);
}

static bool is_short(const char *text)
{
	return !text || strlen(text) <= KV_KEY_MAX;
}

static const char *text_of(const json_t *head, const char *key)
{
	return json_string_value(json_object_get(head, key));
}

/* The message why an ask cannot be; NULL: it can. */
static const char *check(const json_t *head, size_t len, const struct kv_ask *a, const char **type)
{
	const bool one = a->method == KV_GET || a->method == KV_PUT || a->method == KV_DELETE;
	const json_t *value;
	size_t i;

	bool good = !one || is_key(json_object_get(head, "key"));

	if (a->method == KV_GET_MANY)
		json_array_foreach(a->keys, i, value) good = good && is_key(value);
	*type = "TypeError";
	if (!good)
		return "the key must be a text of 1 to 512 bytes";
	*type = "Error";
	if (a->method == KV_GET_MANY &&
	    (json_array_size(a->keys) < 1 || json_array_size(a->keys) > KV_KEYS_MAX))
		return "from 1 to 100 keys";
	if (a->method == KV_LIST && (!is_short(a->prefix) || !is_short(a->cursor)))
		return "prefix, cursor: at most 512 bytes";
	if (a->method == KV_PUT && a->metadata && strlen(a->metadata) > KV_METADATA_MAX)
		return "the metadata is too long";
	if (a->method == KV_PUT && len > KV_VALUE_MAX)
		return "the value is too long";
	return NULL;
}

bool kv_ask_read(const json_t *head, size_t len, struct kv_ask *ret, struct kv_reply *reply)
{
	static const struct {
		const char *name;
		enum kv_method method;
	} methods[] = {{"get", KV_GET}, {"getWithMetadata", KV_GET}, {"getMany", KV_GET_MANY},
		       {"put", KV_PUT}, {"delete", KV_DELETE},	     {"list", KV_LIST}};
	const char *name = text_of(head, "method"), *type, *why;
	const json_int_t expires = json_integer_value(json_object_get(head, "expiration"));
	const json_int_t limit = json_integer_value(json_object_get(head, "limit"));

	*ret = (struct kv_ask){.key = text_of(head, "key"),
			       .keys = json_object_get(head, "keys"),
			       .metadata = text_of(head, "metadata"),
			       .prefix = text_of(head, "prefix"),
			       .cursor = text_of(head, "cursor"),
			       .expires_s = expires > 0 ? (uint64_t)expires : 0,
			       .limit = limit > 0 && limit <= (json_int_t)KV_LIST_MAX
						? (unsigned)limit
						: KV_LIST_MAX};
	for (size_t i = 0; name && i < ARRAY_SIZE(methods); i++)
		if (strcmp(name, methods[i].name) == 0) {
			ret->method = methods[i].method;
			why = check(head, len, ret, &type);
			if (why)
				kv_refuse(reply, type, why);
			return !why;
		}
	kv_refuse(reply, "TypeError",
		  name ? "there is no such method of KV" : "method: must be given");
	return false;
}

struct found {
	json_t *about; /* the value is told of in it */
	uint8_t *body; /* owned */
	size_t len;
	bool no_memory, large;
};

static void tell(json_t *o, const char *metadata, uint64_t expires_s)
{
	if (metadata)
		(void)json_object_set_new(o, "metadata", json_string(metadata));
	if (expires_s)
		(void)json_object_set_new(o, "expiration", json_integer((json_int_t)expires_s));
}

static void see_value(void *arg, const struct kv_value *v)
{
	struct found *x = arg;
	uint8_t *more;

	if (v->large && !v->value) {
		x->large = true;
		return;
	}
	more = realloc(x->body, x->len + v->len + 1);
	x->no_memory = x->no_memory || !more;
	if (!more)
		return;
	x->body = more;
	if (v->len > 0)
		memcpy(x->body + x->len, v->value, v->len);
	x->len += v->len;
	tell(x->about, v->metadata, v->expires_s);
}

/* True: there is nothing to refuse it for. */
static bool is_well(const struct found *x, int r, const struct err *e, struct kv_reply *reply)
{
	const bool failed = r < 0 && r != -ENOENT;

	if (failed || x->no_memory || x->len > KV_VALUE_MAX)
		kv_refuse(reply, "Error",
			  failed	 ? e->msg
			  : x->no_memory ? "out of memory"
					 : "the values are too long together");
	return !reply->type;
}

static void get_many(const struct kv_rows *rows, const char *namespace, const json_t *keys,
		     uint64_t now_s, struct found *x, struct kv_reply *reply)
{
	json_auto_t *values = json_array();
	const json_t *key;
	struct err e = {0};
	size_t i;

	json_array_foreach(keys, i, key)
	{
		json_auto_t *about = json_object();
		const size_t before = x->len;
		int r;

		x->about = about;
		r = kv_rows_get(rows, namespace, json_string_value(key), now_s, see_value, x, &e);
		if (!is_well(x, r, &e, reply))
			return;
		(void)json_object_set_new(about, "len",
					  json_integer((json_int_t)(x->len - before)));
		(void)json_array_append_new(values, r == 0 ? json_incref(about) : json_null());
	}
	reply->head = json_pack("{s:O}", "values", values);
}

int kv_see_key(void *array, const struct kv_key *key)
{
	json_t *o = json_pack("{s:s}", "name", key->name);

	tell(o, key->metadata, key->expires_s);
	return json_array_append_new(array, o) < 0 ? -ENOMEM : 0;
}

/* The cursor is the last key of the page before. */
static void list(const struct kv_rows *rows, const char *namespace, const struct kv_ask *a,
		 uint64_t now_s, struct kv_reply *reply)
{
	json_auto_t *keys = json_array();
	struct err e = {0};
	int r = kv_rows_list(rows, namespace, a->prefix ? a->prefix : "",
			     a->cursor ? a->cursor : "", a->limit, now_s, kv_see_key, keys, &e);

	if (r < 0) {
		kv_refuse(reply, "Error", e.msg);
		return;
	}
	reply->head = json_pack("{s:O, s:b}", "keys", keys, "list_complete", r == 0);
	if (r > 0)
		(void)json_object_set(
			reply->head, "cursor",
			json_object_get(json_array_get(keys, json_array_size(keys) - 1), "name"));
}

void kv_look(const struct kv_rows *rows, const char *namespace, const struct kv_ask *ask,
	     uint64_t now_s, struct kv_reply *reply)
{
	struct found x = {0};
	struct err e = {0};
	int r;

	if (ask->method == KV_LIST) {
		list(rows, namespace, ask, now_s, reply);
	} else if (ask->method == KV_GET_MANY) {
		get_many(rows, namespace, ask->keys, now_s, &x, reply);
	} else {
		json_auto_t *about = json_object();

		x.about = about;
		r = kv_rows_get(rows, namespace, ask->key, now_s, see_value, &x, &e);
		(void)json_object_set_new(about, "found", json_boolean(r == 0));
		if (is_well(&x, r, &e, reply))
			reply->head = json_incref(about);
	}
	if (!reply->type && !reply->head)
		kv_refuse(reply, "Error", "out of memory");
	if (reply->type) {
		free(x.body);
		return;
	}
	reply->large = x.large;
	reply->body = x.body;
	reply->len = x.len;
}
