// SPDX-License-Identifier: Apache-2.0
/*
 * A worker as wrangler uploads it: a form with "metadata", which is JSON and says what else would stand
 * in a configuration, and a file for each module, whose name is its path. They become the folder that a
 * deploy builds from, and from there on it is a deploy as any other.
 */
#include <stdio.h>
#include <string.h>
#include <sys/param.h>
#include <unistd.h>

#include "spec/multipart.h"
#include "supervisor/front/core/core.h"
#include "supervisor/front/core/package/package.h"
#include "supervisor/front/web/cloudflare/assets.h"
#include "supervisor/front/web/deploy.h"

struct tar_head {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100];
	char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct tar_head) == CF_BLOCK, "a block");

static void fill_head(struct tar_head *h, const char *name, char type, uint64_t size)
{
	unsigned sum = 0;

	memset(h, 0, sizeof(*h));
	(void)snprintf(h->name, sizeof(h->name), "%s", name);
	(void)snprintf(h->mode, sizeof(h->mode), "%07o", 0644);
	(void)snprintf(h->uid, sizeof(h->uid), "%07o", 0);
	(void)snprintf(h->gid, sizeof(h->gid), "%07o", 0);
	(void)snprintf(h->size, sizeof(h->size), "%011llo", (unsigned long long)size);
	(void)snprintf(h->mtime, sizeof(h->mtime), "%011o", 0);
	h->type = type;
	memcpy(h->magic, "ustar", sizeof(h->magic));
	memcpy(h->version, "00", 2);
	memset(h->sum, ' ', sizeof(h->sum));
	for (size_t i = 0; i < sizeof(*h); i++)
		sum += ((const unsigned char *)h)[i];
	(void)snprintf(h->sum, sizeof(h->sum), "%06o", sum);
}

void cf_archive_gap(char gap[HTTP_FORM_GAP], const char *path, uint64_t size)
{
	struct tar_head head;
	char record[CF_BLOCK];
	size_t rest = strlen(" path=\n") + strlen(path), len = rest + 3;

	_Static_assert(HTTP_FORM_GAP == 3 * CF_BLOCK, "two heads and a record");
	/* The length counts its own digits. */
	len = rest + (rest + 1 < 10 ? 1 : rest + 2 < 100 ? 2 : 3);
	memset(gap, 0, HTTP_FORM_GAP);
	(void)snprintf(record, sizeof(record), "%zu path=%.*s\n", len, MULTIPART_NAME_MAX, path);
	fill_head(&head, "path", 'x', len);
	memcpy(gap, &head, CF_BLOCK);
	memcpy(gap + CF_BLOCK, record, len);
	fill_head(&head, "file", '0', size);
	memcpy(gap + 2 * (size_t)CF_BLOCK, &head, CF_BLOCK);
}

/* A file that was not sent as one: what the metadata say of assets. */
static int add_text(struct http_form *form, const char *path, const char *text, uint64_t *end)
{
	char gap[HTTP_FORM_GAP];
	const size_t len = strlen(text);

	cf_archive_gap(gap, path, len);
	if (pwrite(form->fd, gap, sizeof(gap), (off_t)*end) != (ssize_t)sizeof(gap) ||
	    pwrite(form->fd, text, len, (off_t)(*end + sizeof(gap))) != (ssize_t)len)
		return -ENOSPC;
	*end = roundup(*end + sizeof(gap) + len, CF_BLOCK);
	return 0;
}

static int add_assets(struct call *c, const char *worker, json_t *metadata, uint64_t *end,
		      struct err *e)
{
	json_t *assets = json_object_get(metadata, "assets");
	const json_t *config = json_object_get(assets, "config");
	const char *token = json_string_value(json_object_get(assets, "jwt"));
	static const char *const names[] = {"_headers", "_redirects"};
	int r;

	if (json_is_true(json_object_get(metadata, "keep_assets")))
		return err_set(
			e, ERR_INPUT, 0,
			"keep_assets: is not there yet: deploy with the folder of the assets");
	if (!assets)
		return 0;
	if (!token)
		return err_set(e, ERR_INPUT, 0, "assets: jwt: must be that of an upload session");
	r = cf_assets_append(c->f, c->project, worker, token, c->http->form.fd, end, e);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++) {
		const char *text = json_string_value(json_object_get(config, names[i]));
		char path[64];

		(void)snprintf(path, sizeof(path), CF_ASSETS "/%s", names[i]);
		if (text && add_text(&c->http->form, path, text, end) < 0)
			r = err_set(e, ERR_LIMIT, ENOSPC, "there is no room for the upload");
	}
	(void)json_object_del(assets, "jwt");
	return r;
}

/* The files of a form as an archive, with the assets: what the form's file lacks of it is written between
 * them. */
static int make_archive(struct call *c, const char *worker, json_t *metadata, struct err *e)
{
	char gap[HTTP_FORM_GAP], path[PACKAGE_PATH_MAX];
	struct http_form *form = &c->http->form;
	uint64_t end = 0;
	int r;

	for (size_t i = 0; i < form->n; i++) {
		const struct http_part *p = &form->parts[i];

		if (!p->file && strcmp(p->name, "metadata") == 0)
			continue;
		if (!p->file)
			return err_set(e, ERR_INPUT, 0, "the form's part %.200s must be a file",
				       p->name);
		if (package_path(p->name, path, e) < 0)
			return -EINVAL;
		if (strncasecmp(path, ".sandboxd", 9) == 0)
			return err_set(e, ERR_INPUT, 0,
				       "%.200s: names that begin with .sandboxd are taken",
				       p->name);
		cf_archive_gap(gap, path, p->len);
		if (pwrite(form->fd, gap, sizeof(gap), (off_t)(p->at - sizeof(gap))) !=
		    (ssize_t)sizeof(gap))
			return err_set(e, ERR_LIMIT, ENOSPC, "there is no room for the upload");
		end = roundup(p->at + p->len, CF_BLOCK);
	}
	if (form->fd < 0)
		form->fd = http_open_unnamed(c->f->cfg.packages_dirfd);
	if (form->fd < 0)
		return err_set(e, ERR_LIMIT, ENOSPC, "there is no room for the upload");
	r = add_assets(c, worker, metadata, &end, e);
	/* Two empty blocks end it. */
	if (r == 0 && ftruncate(form->fd, (off_t)(end + 2 * (uint64_t)CF_BLOCK)) < 0)
		r = err_set(e, ERR_LIMIT, ENOSPC, "there is no room for the upload");
	return r;
}

/* `wrangler secret put` makes a worker that is not there out of this, to have one that may have
 * secrets. Here secrets need none: it stays a draft of which nothing is kept. */
static bool is_draft(struct http_request *r, const json_t *metadata)
{
	static const char stub[] = "export default { fetch() {} }";
	const char *main = json_string_value(json_object_get(metadata, "main_module"));
	const struct http_part *p = main ? http_form_part(r, main) : NULL;
	char text[sizeof(stub)];

	if (!p || !p->file || p->len != sizeof(stub) - 1)
		return false;
	return pread(r->form.fd, text, p->len, (off_t)p->at) == (ssize_t)p->len &&
	       memcmp(text, stub, p->len) == 0;
}

static json_t *find_binding(json_t *list, const char *name)
{
	const char *other;
	json_t *b;
	size_t i;

	json_array_foreach(list, i, b)
	{
		other = json_string_value(json_object_get(b, "name"));
		if (other && strcmp(other, name) == 0)
			return b;
	}
	return NULL;
}

struct secret_search {
	const char *name;
	bool found;
};

static int is_secret(void *arg, const struct secret_row *row)
{
	struct secret_search *s = arg;

	s->found = s->found || strcmp(s->name, row->name) == 0;
	return s->found;
}

/* One that the upload names: added to *all, or to *secrets. */
static int take_binding(struct call *c, const char *worker, json_t *old, json_t *b, json_t *all,
			json_t *secrets, struct err *e)
{
	const char *name = json_string_value(json_object_get(b, "name"));
	const char *type = json_string_value(json_object_get(b, "type"));
	const char *old_name = json_string_value(json_object_get(b, "old_name"));
	struct secret_search search;
	json_t *text = json_object_get(b, "text"), *one;
	int r;

	if (!name || !type)
		return err_set(e, ERR_INPUT, 0, "bindings: each must have a name and a type");
	if (strcmp(type, "secret_text") == 0 && text) {
		if (!secret_is_name(name) || !json_is_string(text) ||
		    json_string_length(text) > SECRET_VALUE_MAX ||
		    strlen(json_string_value(text)) != json_string_length(text))
			return err_set(
				e, ERR_INPUT, 0,
				"bindings: the secret %.60s must be a text of at most %u bytes, "
				"and its name letters, digits and _",
				name, SECRET_VALUE_MAX);
		return json_object_set(secrets, name, text);
	}
	/* Those that are set stay in any case. */
	if (strcmp(type, "secret_text") == 0)
		return 0;
	if (strcmp(type, "inherit") != 0)
		return json_array_append(all, b);
	one = find_binding(old, old_name ? old_name : name);
	if (one) {
		one = json_deep_copy(one);
		(void)json_object_set_new(one, "name", json_string(name));
		return json_array_append_new(all, one);
	}
	search = (struct secret_search){.name = name};
	r = store_secrets(c->f->store, c->project->id, worker, is_secret, &search, e);
	if (r < 0 || search.found)
		return r < 0 ? r : 0;
	return err_set(
		e, ERR_INPUT, 0,
		"inherit binding '%.60s' is invalid: the newest version of %s has none of this "
		"name",
		name, worker);
}

static bool is_kept(const json_t *keep, const char *type)
{
	const json_t *one;
	size_t i;

	json_array_foreach(keep, i, one) if (json_is_string(one) &&
					     strcmp(json_string_value(one), type) == 0) return true;
	return false;
}

/* What the bindings of the upload mean: those that are to be inherited or kept are the newest version's,
 * and texts of secrets are taken out. */
static int resolve_bindings(struct call *c, const char *worker, json_t *metadata, json_t *secrets,
			    struct err *e)
{
	const json_t *keep = json_object_get(metadata, "keep_bindings");
	struct web_worker *w = web_worker_find(c->project, worker);
	struct web_version *v = w ? cf_newest(w) : NULL;
	json_auto_t *old = json_array(), *all = json_array();
	const char *name, *type;
	json_t *b;
	size_t i;
	int r = 0;

	for (size_t j = 0; v && j < v->manifest.n_bindings; j++)
		(void)json_array_append_new(old, cf_binding(v, &v->manifest.bindings[j]));
	json_array_foreach(json_object_get(metadata, "bindings"), i, b)
	{
		r = take_binding(c, worker, old, b, all, secrets, e);
		if (r < 0)
			return e->code ? r : err_set(e, ERR_SYSTEM, ENOMEM, "bindings");
	}
	json_array_foreach(old, i, b)
	{
		name = json_string_value(json_object_get(b, "name"));
		type = json_string_value(json_object_get(b, "type"));
		if (is_kept(keep, type) && !find_binding(all, name) &&
		    !json_object_get(secrets, name))
			(void)json_array_append(all, b);
	}
	return json_object_set(metadata, "bindings", all) < 0
		       ? err_set(e, ERR_SYSTEM, ENOMEM, "bindings")
		       : r;
}

static char *annotation(const json_t *metadata, const char *key, size_t max)
{
	const char *text =
		json_string_value(json_object_get(json_object_get(metadata, "annotations"), key));

	return text ? strndup(text, max) : NULL;
}

static int read_metadata(struct call *c, json_t **ret, struct err *e)
{
	const struct http_part *p = http_form_part(c->http, "metadata");
	const char *main;
	int r;

	if (!p || p->file)
		return err_set(
			e, ERR_INPUT, 0,
			"metadata: must be there: multipart/form-data with a field \"metadata\" "
			"(JSON), and a file for each module");
	r = json_strict_load("metadata", p->text, p->len, HTTP_FORM_FIELDS_MAX, ret, e);
	if (r == 0 && !json_is_object(*ret))
		r = err_set(e, ERR_INPUT, 0, "metadata: must be an object");
	if (r < 0)
		return r;
	main = json_string_value(json_object_get(*ret, "main_module"));
	p = main ? http_form_part(c->http, main) : NULL;
	if (p && (strstr(p->type, "javascript") || strcmp(p->type, "application/wasm") == 0) &&
	    !is_draft(c->http, *ret))
		return err_set(
			e, ERR_INPUT, 0,
			"main: %.200s is no Python: this server runs Python Workers alone, whose "
			"main is a .py file",
			main);
	return 0;
}

static int upload(struct call *c, bool stays, struct err *e)
{
	const char *name = call_string(c, "name", WEB_NAME_MAX);
	struct web_deploy ask = WEB_DEPLOY_NONE;
	json_auto_t *metadata = NULL;
	int r;

	if (!name || !worker_manifest_is_name(name))
		return json_strict_fail(c->in, "name",
					"must be a worker's name: [a-z0-9-], at most %u",
					WEB_NAME_MAX);
	r = call_end_project(c, e);
	if (r == 0)
		r = web_deploy_check(c, e);
	if (r == 0)
		r = read_metadata(c, &metadata, e);
	if (r < 0)
		return r;
	if (is_draft(c->http, metadata)) {
		call_reply(c, json_pack("{s:s, s:i}", "name", name, "start_ms", 0));
		return 0;
	}
	ask.secrets = json_object();
	r = resolve_bindings(c, name, metadata, ask.secrets, e);
	if (r == 0)
		r = make_archive(c, name, metadata, e);
	if (r == 0) {
		ask.waiter = call_later(c, e);
		r = ask.waiter ? 0 : -EBUSY;
	}
	if (r < 0) {
		web_deploy_clear(&ask, NULL, NULL);
		return r;
	}
	ask.name = strdup(name);
	ask.message = annotation(metadata, "workers/message", WEB_TEXT_MAX);
	ask.tag = annotation(metadata, "workers/tag", WEB_TAG_MAX);
	ask.metadata = json_incref(metadata);
	ask.stays = stays;
	ask.is_file = true;
	(void)snprintf(ask.source, sizeof(ask.source), "wrangler");
	r = web_deploy_begin(c->f, c->project, &ask, TAKE_FD(c->http->form.fd), e);
	if (r < 0)
		web_deploy_clear(&ask, NULL, e);
	return 0;
}

static int put(struct call *c, struct err *e)
{
	return upload(c, false, e);
}

static int post_version(struct call *c, struct err *e)
{
	return upload(c, true, e);
}

static json_t *shape(const struct http_request *r, json_t *reply)
{
	json_t *id = json_object_get(reply, "version");
	json_t *one = json_pack("{s:O*, s:O*, s:O*, s:O, s:{s:{}}, s:{s:b}}", "id", id, "number",
				json_object_get(reply, "number"), "deployment_id", id,
				"startup_time_ms", json_object_get(reply, "start_ms"), "resources",
				"script", "metadata", "has_preview", 0);

	json_decref(reply);
	return cf_shape(r, one);
}

#define ROW .form_max = HTTP_UPLOAD_MAX, .dialect = &cf_dialect, .shape = shape
/* clang-format off */
static const struct verb verbs[] = {
	{NULL, "PUT", CF_SCRIPT, WHO_PROJECT, put, ROW},
	{NULL, "POST", CF_SCRIPT "/versions", WHO_PROJECT, post_version, ROW},
	{0},
};
/* clang-format on */

const struct capability cloudflare_upload_capability = {.name = "cloudflare uploads",
							.verbs = verbs};
