// SPDX-License-Identifier: Apache-2.0
/* Secrets of an HTTP worker, as `wrangler secret` sets, lists and removes them. */
#include "supervisor/front/web/cloudflare/cloudflare.h"

#define SECRETS CF_ACCOUNT "/workers/scripts/{name}/secrets"

static json_t *shape_list(const struct http_request *r, json_t *reply)
{
	json_t *all = json_array(), *s;
	size_t i;

	json_array_foreach(json_object_get(reply, "secrets"), i, s)(void) json_array_append_new(
		all,
		json_pack("{s:O, s:s}", "name", json_object_get(s, "name"), "type", "secret_text"));
	json_decref(reply);
	return cf_shape(r, all);
}

static json_t *shape_set(const struct http_request *r, json_t *reply)
{
	json_t *one = json_pack("{s:O, s:s}", "name", json_object_get(reply, "name"), "type",
				"secret_text");

	json_decref(reply);
	return cf_shape(r, one);
}

/* The verbs of the operator's command do it. */
static int list(struct call *c, struct err *e)
{
	return verb_find(c->f, "web_secret_ls")->run(c, e);
}

static int unset(struct call *c, struct err *e)
{
	return verb_find(c->f, "web_secret_rm")->run(c, e);
}

/* The body's "name" is the secret's, and the path's the worker's. */
static int set(struct call *c, struct err *e)
{
	json_t *body = json_object_get(c->in->obj, "body");
	json_t *name = json_object_get(body, "name"), *text = json_object_get(body, "text");

	if (!json_is_string(name) || !json_is_string(text))
		return err_set(e, ERR_INPUT, 0, "request: \"name\" and \"text\" must be texts");
	if (json_object_set(c->in->obj, "secret", name) < 0 ||
	    json_object_set(c->in->obj, "value", text) < 0 ||
	    json_object_del(c->in->obj, "body") < 0)
		return err_set(e, ERR_SYSTEM, ENOMEM, "request");
	return verb_find(c->f, "web_secret_set")->run(c, e);
}

/* clang-format off */
static const struct verb verbs[] = {
	{NULL, "GET", SECRETS, WHO_PROJECT, list, .dialect = &cf_dialect, .shape = shape_list},
	{NULL, "PUT", SECRETS, WHO_PROJECT, set, .body = "body", .dialect = &cf_dialect,
	 .shape = shape_set},
	{NULL, "DELETE", SECRETS "/{secret}", WHO_PROJECT, unset, .dialect = &cf_dialect,
	 .shape = cf_shape_none},
	{0},
};
/* clang-format on */

const struct capability cloudflare_secret_capability = {.name = "cloudflare secrets",
							.verbs = verbs};
