// SPDX-License-Identifier: Apache-2.0
/* KV, as `wrangler kv` asks for namespaces, keys and values. */
#include <string.h>

#include "supervisor/front/web/cloudflare/cloudflare.h"
#include "supervisor/front/web/kv.h"
#include "supervisor/front/web/kv_bulk.h"

#define NAMESPACES CF_ACCOUNT "/storage/kv/namespaces"
#define ONE NAMESPACES "/{namespace}"
/* What stands around a value in a form. */
#define FORM_MAX (8u << 10)

static json_t *namespace_json(const json_t *n)
{
	return json_pack("{s:O, s:O, s:b}", "id", json_object_get(n, "id"), "title",
			 json_object_get(n, "title"), "supports_url_encoding", 1);
}

static json_t *shape_one(const struct http_request *r, json_t *reply)
{
	json_t *one = namespace_json(reply);

	json_decref(reply);
	return cf_shape(r, one);
}

/* All of them are on the first page: wrangler asks until one is empty. */
static json_t *shape_list(const struct http_request *r, json_t *reply)
{
	const char *page = http_param(r, "page");
	json_t *all = json_array(), *n;
	size_t i;

	if (!page || strcmp(page, "1") == 0)
		json_array_foreach(json_object_get(reply, "namespaces"), i, n)(void)
			json_array_append_new(all, namespace_json(n));
	json_decref(reply);
	return cf_shape(r, all);
}

/* A page of keys, whose metadata is JSON and not its text. */
static json_t *shape_keys(const struct http_request *r, json_t *reply)
{
	json_t *keys = json_object_get(reply, "keys"), *key, *whole;
	const char *cursor = json_string_value(json_object_get(reply, "cursor"));
	size_t i;

	json_array_foreach(keys, i, key)
	{
		const char *text = json_string_value(json_object_get(key, "metadata"));

		if (text)
			(void)json_object_set_new(key, "metadata", kv_metadata(text));
	}
	whole = cf_shape(r, json_incref(keys));
	(void)json_object_set_new(whole, "result_info",
				  json_pack("{s:I, s:s}", "count",
					    (json_int_t)json_array_size(keys), "cursor",
					    cursor ? cursor : ""));
	json_decref(reply);
	return whole;
}

static json_t *shape_written(const struct http_request *r, json_t *reply)
{
	json_t *one = json_pack("{s:O, s:[]}", "successful_key_count",
				json_object_get(reply, "keys"), "unsuccessful_keys");

	json_decref(reply);
	return cf_shape(r, one);
}

/* The verbs of the operator's command do it. */
static int list(struct call *c, struct err *e)
{
	return verb_find(c->f, "web_kv_ls")->run(c, e);
}

static int create(struct call *c, struct err *e)
{
	return verb_find(c->f, "web_kv_create")->run(c, e);
}

static int delete (struct call *c, struct err *e)
{
	return verb_find(c->f, "web_kv_rm")->run(c, e);
}

static int keys(struct call *c, struct err *e)
{
	return verb_find(c->f, "web_kv_keys")->run(c, e);
}

static int get_value(struct call *c, struct err *e)
{
	return verb_find(c->f, "web_kv_get")->run(c, e);
}

static int delete_value(struct call *c, struct err *e)
{
	return verb_find(c->f, "web_kv_delete")->run(c, e);
}

static int namespace(struct call *c, struct err *e)
{
	struct web_namespace *n;
	int r = web_kv_call_namespace(c, &n, e);

	if (r == 0)
		call_reply(c, json_pack("{s:s, s:s}", "id", n->row.id, "title", n->row.title));
	return r;
}

static int metadata(struct call *c, struct err *e)
{
	json_t *o = NULL;
	int r = web_kv_metadata(c, &o, e);

	if (r == 0)
		call_reply(c, o);
	return r;
}

/* Of a form's short part, which wrangler sends as a field or as a file. The caller frees *ret. */
static int read_part(const struct http_request *q, const struct http_part *part, char **ret,
		     struct err *e)
{
	if (part->len > KV_LARGE)
		return err_set(e, ERR_LIMIT, 0, "%s: is too long", part->name);
	*ret = malloc(part->len + 1);
	if (!*ret)
		return err_set(e, ERR_SYSTEM, ENOMEM, "the value");
	(*ret)[part->len] = '\0';
	if (part->text)
		memcpy(*ret, part->text, part->len);
	else if (util_pread_all(q->form.fd, *ret, part->len, part->at) < 0)
		return err_set(e, ERR_SYSTEM, EIO, "the value");
	return 0;
}

/* A form has the parts "value" and "metadata". */
static int put_value(struct call *c, struct err *e)
{
	struct http_request *q = c->http;
	const struct http_part *part = http_form_part(q, "value");
	const struct http_part *about = http_form_part(q, "metadata");
	_cleanup_free_ char *metadata = NULL;
	struct web_kv_put put = {.value = q->body, .len = q->len, .fd = -1};
	void *body = q->body;
	int r = 0;

	if (q->form.n == 0) {
		put.owner = &body;
		r = web_kv_put_value(c, &put, e);
		q->body = body;
		return r;
	}
	if (!part)
		return err_set(e, ERR_INPUT, 0, "the form has no part \"value\"");
	put.value = part->text;
	put.len = part->len;
	put.fd = part->text ? -1 : q->form.fd;
	put.at = part->at;
	if (about && about->len > 0)
		r = read_part(q, about, &metadata, e);
	put.metadata = metadata;
	return r < 0 ? r : web_kv_put_value(c, &put, e);
}

#define ROW(fn) WHO_PROJECT, fn, .dialect = &cf_dialect
/* clang-format off */
static const struct verb verbs[] = {
	{NULL, "GET", NAMESPACES, ROW(list), .shape = shape_list},
	{NULL, "POST", NAMESPACES, ROW(create), .body = "", .shape = shape_one},
	{NULL, "GET", ONE, ROW(namespace), .shape = shape_one},
	{NULL, "DELETE", ONE, ROW(delete), .shape = cf_shape_none},
	{NULL, "GET", ONE "/keys", ROW(keys), .shape = shape_keys},
	{NULL, "GET", ONE "/values/{+key}", ROW(get_value)},
	{NULL, "PUT", ONE "/values/{+key}", ROW(put_value), .shape = cf_shape_none,
	 .body_max = KV_VALUE_MAX, .form_max = KV_VALUE_MAX + FORM_MAX},
	{NULL, "DELETE", ONE "/values/{+key}", ROW(delete_value), .shape = cf_shape_none},
	{NULL, "GET", ONE "/metadata/{+key}", ROW(metadata), .shape = cf_shape},
	{NULL, "PUT", ONE "/bulk", ROW(web_kv_bulk_put), .shape = shape_written,
	 .reader = &kv_bulk_reader, .body_max = KV_BULK_BYTES_MAX},
	{NULL, "DELETE", ONE "/bulk", ROW(web_kv_bulk_delete), .shape = shape_written,
	 .reader = &kv_bulk_keys_reader, .body_max = KV_BULK_BYTES_MAX},
	{NULL, "POST", ONE "/bulk/delete", ROW(web_kv_bulk_delete), .shape = shape_written,
	 .reader = &kv_bulk_keys_reader, .body_max = KV_BULK_BYTES_MAX},
	{NULL, "POST", ONE "/bulk/get", ROW(web_kv_bulk_get), .body = "", .shape = cf_shape,
	 .body_max = 1u << 20},
	{0},
};
/* clang-format on */

const struct capability cloudflare_kv_capability = {.name = "cloudflare kv", .verbs = verbs};
