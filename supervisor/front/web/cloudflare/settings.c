// SPDX-License-Identifier: Apache-2.0
/*
 * Many secrets at a time (`wrangler secret bulk`), as a change of the worker's settings: all else in
 * them belongs to a version.
 */
#include <string.h>

#include "supervisor/front/core/core.h"
#include "supervisor/front/web/cloudflare/cloudflare.h"
#include "supervisor/front/web/web.h"

#define BODY_MAX (4u << 20) /* a hundred secrets of 64 KiB, as JSON has them, are less */

static int add_secret(void *arg, const struct secret_row *row)
{
	return json_array_append_new(
		arg, json_pack("{s:s, s:s}", "type", "secret_text", "name", row->name));
}

/* Reads "name" and "project"; a worker may have secrets before it has a version. *ret: NULL then. */
static int call_script(struct call *c, const char **ret_name, struct web_worker **ret,
		       json_t *secrets, struct err *e)
{
	const char *name = call_string(c, "name", WEB_NAME_MAX);
	const struct web_version *v;
	int r;

	if (!name || !worker_manifest_is_name(name))
		(void)json_strict_fail(c->in, "name", "must be a worker's name");
	call_project(c);
	r = call_end(c, e);
	if (r < 0)
		return r;
	*ret_name = name;
	*ret = web_worker_find(c->project, name);
	v = *ret ? web_version_newest(*ret) : NULL;
	r = store_secrets(c->f->store, c->project->id, name, v ? v->row.id : NULL, add_secret,
			  secrets, e);
	if (r < 0)
		return r;
	if (*ret || json_array_size(secrets) > 0)
		return 0;
	return err_set(e, ERR_NOT_FOUND, 0, "there is no HTTP worker \"%s\" in this project", name);
}

static int settings_read(const char *text, size_t len, bool strict, void **ret, struct err *e)
{
	(void)strict;
	return cf_field_read("settings", text, len, ret, e);
}

static const struct http_reader settings_reader = {
	.read = settings_read, .free = call_json_free, .part = "settings"};

/* The part "settings", as JSON. */
static int read_form(struct http_request *q, json_t **ret, struct err *e)
{
	*ret = TAKE_PTR(q->read);
	if (!*ret)
		return err_set(e, ERR_INPUT, 0, "the form has no field \"settings\"");
	if (!json_is_object(*ret))
		return err_set(e, ERR_INPUT, 0, "settings: must be an object");
	return 0;
}

/* The list says which secrets there are from now on: those with a text are set, those without one stay,
 * and those that it does not name are removed. What is no secret has to be as it is: only its name and
 * type are there then. */
static int changes_of(const json_t *bindings, const json_t *secrets, json_t *ret, struct err *e)
{
	const json_t *one;
	size_t i;

	json_array_foreach(secrets, i, one)(void) json_object_set_new(
		ret, json_string_value(json_object_get(one, "name")), json_null());
	json_array_foreach(bindings, i, one)
	{
		const char *type = json_string_value(json_object_get(one, "type"));
		const char *name = json_string_value(json_object_get(one, "name"));
		json_t *text = json_object_get(one, "text");

		if (!type || !name)
			return err_set(e, ERR_INPUT, 0,
				       "settings: bindings[%zu]: must have \"type\" and \"name\"",
				       i);
		if (strcmp(type, "secret_text") != 0) {
			if (json_object_size(one) > 2)
				return err_set(e, ERR_INPUT, 0,
					       "settings: bindings[%zu]: only secrets are changed "
					       "without a new version: deploy the worker",
					       i);
			continue;
		}
		if (text)
			(void)json_object_set(ret, name, text);
		else if (json_is_null(json_object_get(ret, name)))
			(void)json_object_del(ret, name);
	}
	return 0;
}

static void erase(json_t *secrets)
{
	json_t *value;
	const char *name;

	json_object_foreach(secrets, name, value) if (json_is_string(value))
		explicit_bzero((char *)json_string_value(value), json_string_length(value));
}

static int patch(struct call *c, struct err *e)
{
	json_auto_t *secrets = json_array(), *changes = json_object(), *doc = NULL;
	struct web_worker *w = NULL;
	const json_t *bindings;
	const char *name;
	int r = call_script(c, &name, &w, secrets, e);

	if (r == 0)
		r = read_form(c->http, &doc, e);
	bindings = json_object_get(doc, "bindings");
	if (r == 0 && bindings)
		r = changes_of(bindings, secrets, changes, e);
	if (r == 0)
		r = web_secrets_change(c, name, changes, json_object(), e);
	erase(changes);
	return r;
}

/* {"secrets": {NAME: {"text"} or null}} */
static int patch_secrets(struct call *c, struct err *e)
{
	json_auto_t *changes = json_object(), *there = json_array();
	json_t *secrets = call_get(c, "secrets"), *one;
	struct web_worker *w = NULL;
	const char *name, *key;
	int r;

	if (!json_is_object(secrets))
		(void)json_strict_fail(c->in, "secrets", "must be an object");
	json_object_foreach(secrets, key, one)
	{
		json_t *text = json_object_get(one, "text");

		if (!json_is_null(one) && !json_is_string(text))
			(void)json_strict_fail(c->in, "secrets",
					       "each must be null, or have a \"text\"");
		else
			(void)json_object_set(changes, key, text ? text : json_null());
	}
	r = call_script(c, &name, &w, there, e);
	if (r == 0)
		r = web_secrets_change(c, name, changes, json_object(), e);
	erase(changes);
	return r;
}

#define ROW .dialect = &cf_dialect, .shape = cf_shape
/* clang-format off */
static const struct verb verbs[] = {
	{NULL, "PATCH", CF_SCRIPT "/settings", WHO_PROJECT, patch, ROW,
	 .form_max = HTTP_FORM_FIELDS_MAX, .reader = &settings_reader},
	{NULL, "PATCH", CF_SCRIPT "/secrets-bulk", WHO_PROJECT, patch_secrets, ROW, .body = "",
	 .body_max = BODY_MAX},
	{0},
};
/* clang-format on */

const struct capability cloudflare_settings_capability = {.name = "cloudflare settings",
							  .verbs = verbs};
