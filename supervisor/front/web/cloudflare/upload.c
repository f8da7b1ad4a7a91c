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

/* Parts of a form that are looked at in one turn of the loop. */
#define PARTS_A_TURN 64u
/* Those of a manifest, and secrets. */
#define BINDINGS_MAX ((size_t)2 * MANIFEST_BINDINGS_MAX)

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

/* An upload that becomes an archive, a piece in each turn: the form's file has room for what it lacks. */
struct upload {
	struct work work;
	struct web_deploy ask;
	struct http_form form;
	char project[PROJECT_ID_LEN + 1];
	struct cf_session *assets; /* NULL: it has none */
	struct cf_copied copied;
	size_t part;  /* of the form, that is next */
	uint64_t end; /* of the archive */
};

static void upload_free(struct upload *u)
{
	http_form_free(&u->form);
	cf_session_give(u->assets);
	free(u);
}

static void upload_fail(struct upload *u, const struct err *e)
{
	web_deploy_clear(&u->ask, NULL, e);
	upload_free(u);
}

static int add_part(struct upload *u, const struct http_part *p, struct err *e)
{
	char gap[HTTP_FORM_GAP], path[PACKAGE_PATH_MAX];

	if (!p->file && strcmp(p->name, "metadata") == 0)
		return 0;
	if (!p->file)
		return err_set(e, ERR_INPUT, 0, "the form's part %.200s must be a file", p->name);
	if (package_path(p->name, path, e) < 0)
		return -EINVAL;
	if (strncasecmp(path, ".sandboxd", 9) == 0)
		return err_set(e, ERR_INPUT, 0, "%.200s: names that begin with .sandboxd are taken",
			       p->name);
	cf_archive_gap(gap, path, p->len);
	if (pwrite(u->form.fd, gap, sizeof(gap), (off_t)(p->at - sizeof(gap))) !=
	    (ssize_t)sizeof(gap))
		return err_set(e, ERR_LIMIT, ENOSPC, "there is no room for the upload");
	u->end = roundup(p->at + p->len, CF_BLOCK);
	return 0;
}

/* What the metadata say of assets, and the archive's end. */
static int end_archive(struct upload *u, struct err *e)
{
	const json_t *config =
		json_object_get(json_object_get(u->ask.metadata, "assets"), "config");
	static const char *const names[] = {"_headers", "_redirects"};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++) {
		const char *text = json_string_value(json_object_get(config, names[i]));
		char path[64];

		(void)snprintf(path, sizeof(path), CF_ASSETS "/%s", names[i]);
		if (text)
			r = add_text(&u->form, path, text, &u->end);
	}
	/* Two empty blocks end it. */
	if (r < 0 || ftruncate(u->form.fd, (off_t)(u->end + 2 * (uint64_t)CF_BLOCK)) < 0)
		return err_set(e, ERR_LIMIT, ENOSPC, "there is no room for the upload");
	return 0;
}

/* 1: there is more to do; 0: it is an archive; -errno. */
static int step(struct front *f, struct upload *u, struct err *e)
{
	int r = 0;

	for (unsigned n = 0; r == 0 && u->part < u->form.n && n < PARTS_A_TURN; n++)
		r = add_part(u, &u->form.parts[u->part++], e);
	if (r < 0 || u->part < u->form.n)
		return r < 0 ? r : 1;
	if (u->form.fd < 0)
		u->form.fd = http_open_unnamed(f->cfg.packages_dirfd);
	if (u->form.fd < 0)
		return err_set(e, ERR_LIMIT, ENOSPC, "there is no room for the upload");
	if (u->assets)
		r = cf_session_copy(u->assets, &u->copied, u->form.fd, &u->end, e);
	return r ? r : end_archive(u, e);
}

static bool slice(struct front *f, struct work *w)
{
	struct upload *u = OWNER(w, struct upload, work);
	struct project *p = project_by_id(f, u->project);
	struct err e = {0};
	int r = p ? step(f, u, &e) : err_set(&e, ERR_NOT_FOUND, 0, "the project was removed");

	if (r > 0)
		return true;
	if (r == 0)
		r = web_deploy_begin(f, p, &u->ask, TAKE_FD(u->form.fd), &e);
	if (r < 0)
		upload_fail(u, &e);
	else
		upload_free(u);
	return false;
}

static void drop(struct front *f, struct work *w)
{
	struct err e = {0};

	(void)f;
	(void)turn_over(&e);
	upload_fail(OWNER(w, struct upload, work), &e);
}

static bool has_assets(struct call *c, const char *worker)
{
	struct web_worker *w = web_worker_find(c->project, worker);
	const struct web_version *v = w ? cf_newest(w) : NULL;

	return v && v->manifest.assets.directory;
}

/* The session of the assets that the metadata name. *ret: NULL, when there are none. */
static int find_assets(struct call *c, const char *worker, json_t *metadata,
		       struct cf_session **ret, struct err *e)
{
	json_t *assets = json_object_get(metadata, "assets");
	const char *token = json_string_value(json_object_get(assets, "jwt"));

	*ret = NULL;
	if (json_is_true(json_object_get(metadata, "keep_assets")) && has_assets(c, worker))
		return err_set(
			e, ERR_INPUT, 0,
			"keep_assets: the files of a version are kept by one that is as it "
			"but for secrets, and by no other: deploy with the folder of the assets");
	if (!assets)
		return 0;
	if (!token)
		return err_set(e, ERR_INPUT, 0, "assets: jwt: must be that of an upload session");
	*ret = cf_session_take(c->f, c->project, worker, token, e);
	(void)json_object_del(assets, "jwt");
	return *ret ? 0 : -EINVAL;
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

static int add_secret(void *arg, const struct secret_row *row)
{
	return json_object_set_new(arg, row->name, json_null());
}

/* What bindings of an upload are inherited from. */
struct inherited {
	const char *worker;
	json_t *bindings; /* of its newest version */
	json_t *secrets; /* an object with their names, of which those that are named are taken out */
};

/* One that the upload names: added to *all, or to *secrets. */
static int take_binding(const struct inherited *from, json_t *b, json_t *all, json_t *secrets,
			struct err *e)
{
	const char *name = json_string_value(json_object_get(b, "name"));
	const char *type = json_string_value(json_object_get(b, "type"));
	const char *old_name = json_string_value(json_object_get(b, "old_name"));
	json_t *text = json_object_get(b, "text"), *one;

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
		(void)json_object_del(from->secrets, name);
		return json_object_set(secrets, name, text);
	}
	if (strcmp(type, "secret_text") == 0) {
		(void)json_object_del(from->secrets, name);
		return 0;
	}
	if (strcmp(type, "inherit") != 0)
		return json_array_append(all, b);
	one = find_binding(from->bindings, old_name ? old_name : name);
	if (one) {
		one = json_deep_copy(one);
		(void)json_object_set_new(one, "name", json_string(name));
		return json_array_append_new(all, one);
	}
	if (json_object_del(from->secrets, name) == 0)
		return 0;
	return err_set(e, ERR_INPUT, 0,
		       CF_INHERIT_TEXT
		       " '%.60s' is invalid: the newest version of %s has none of this name",
		       name, from->worker);
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
 * and texts of secrets are taken out. Secrets that it does not name stay, unless it says what is to be
 * kept and they are not in that. */
static int resolve_bindings(struct call *c, const char *worker, json_t *metadata, json_t *secrets,
			    struct err *e)
{
	const json_t *keep = json_object_get(metadata, "keep_bindings");
	const json_t *given = json_object_get(metadata, "bindings");
	struct web_worker *w = web_worker_find(c->project, worker);
	struct web_version *v = w ? cf_newest(w) : NULL;
	json_auto_t *old = json_array(), *all = json_array(), *set = json_object();
	const struct inherited from = {worker, old, set};
	const char *name, *type;
	json_t *b;
	size_t i;
	int r = store_secrets(c->f->store, c->project->id, worker, v ? v->row.id : NULL, add_secret,
			      set, e);

	if (r < 0)
		return r;
	if (json_array_size(given) > BINDINGS_MAX || json_array_size(keep) > BINDINGS_MAX)
		return err_set(e, ERR_INPUT, 0, "%s: at most %zu are allowed",
			       json_array_size(given) > BINDINGS_MAX ? "bindings" : "keep_bindings",
			       BINDINGS_MAX);
	for (size_t j = 0; v && j < v->manifest.n_bindings; j++)
		(void)json_array_append_new(old, cf_binding(v, &v->manifest.bindings[j]));
	json_array_foreach(given, i, b)
	{
		r = take_binding(&from, b, all, secrets, e);
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
	if (json_is_array(keep) && !is_kept(keep, "secret_text"))
		(void)json_object_update_missing(secrets, set);
	return json_object_set(metadata, "bindings", all) < 0
		       ? err_set(e, ERR_SYSTEM, ENOMEM, "bindings")
		       : r;
}

/* The beginning of a longer one, with none of its characters cut in two. */
char *cf_annotation(const json_t *metadata, const char *key, size_t max)
{
	const char *text =
		json_string_value(json_object_get(json_object_get(metadata, "annotations"), key));

	if (text && strlen(text) > max)
		while (max > 0 && (text[max] & 0xc0) == 0x80)
			max--;
	return text ? strndup(text, max) : NULL;
}

int cf_field_read(const char *what, const char *text, size_t len, void **ret, struct err *e)
{
	json_t *doc = NULL;
	int r = json_strict_load_few(what, text, len, CF_FIELD_MAX, CF_FIELD_VALUES_MAX, &doc, e);

	explicit_bzero((char *)text, len);
	*ret = doc;
	return r;
}

static int metadata_read(const char *text, size_t len, bool strict, void **ret, struct err *e)
{
	(void)strict;
	return cf_field_read("metadata", text, len, ret, e);
}

static const struct http_reader metadata_reader = {
	.read = metadata_read, .free = call_json_free, .part = "metadata"};

static int read_metadata(struct call *c, json_t **ret, struct err *e)
{
	const struct http_part *p = http_form_part(c->http, "metadata");
	const char *main;

	*ret = TAKE_PTR(c->http->read);
	if (!p || p->file || !*ret)
		return err_set(
			e, ERR_INPUT, 0,
			"metadata: must be there: multipart/form-data with a field \"metadata\" "
			"(JSON), and a file for each module");
	if (!json_is_object(*ret))
		return err_set(e, ERR_INPUT, 0, "metadata: must be an object");
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
	struct web_version *copied = NULL;
	json_auto_t *metadata = NULL;
	struct upload *u;
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
	u = calloc(1, sizeof(*u));
	if (!u)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot take the upload");
	u->work = (struct work){.slice = slice, .drop = drop};
	u->ask = WEB_DEPLOY_NONE;
	u->form.fd = -1;
	u->ask.secrets = json_object();
	r = stays ? cf_copy_find(c, name, metadata, &copied, e) : 0;
	if (r == 0)
		r = resolve_bindings(c, name, metadata, u->ask.secrets, e);
	if (r == 0 && !copied)
		r = find_assets(c, name, metadata, &u->assets, e);
	if (r == 0) {
		u->ask.waiter = call_later(c, e);
		r = u->ask.waiter ? 0 : -EBUSY;
	}
	if (r < 0) {
		upload_fail(u, NULL);
		return r;
	}
	u->ask.name = strdup(name);
	u->ask.message = cf_annotation(metadata, "workers/message", WEB_TEXT_MAX);
	u->ask.tag = cf_annotation(metadata, "workers/tag", WEB_TAG_MAX);
	u->ask.metadata = json_incref(metadata);
	u->ask.stays = stays;
	u->ask.is_file = true;
	(void)snprintf(u->ask.source, sizeof(u->ask.source), "wrangler");
	if (copied) {
		if (web_deploy_copy(c->f, copied, &u->ask, e) < 0)
			upload_fail(u, e);
		else
			upload_free(u);
		return 0;
	}
	(void)snprintf(u->project, sizeof(u->project), "%s", c->project->id);
	u->form = c->http->form;
	c->http->form = (struct http_form){.fd = -1};
	turn_add(c->f, turn_holder(c->project), TURN_WORK, &u->work);
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

json_t *cf_shape_version(const struct http_request *r, json_t *reply)
{
	json_t *id = json_object_get(reply, "version");
	json_t *one = json_pack("{s:O*, s:O*, s:O*, s:O, s:{s:{}}, s:{s:b}}", "id", id, "number",
				json_object_get(reply, "number"), "deployment_id", id,
				"startup_time_ms", json_object_get(reply, "start_ms"), "resources",
				"script", "metadata", "has_preview", 0);

	json_decref(reply);
	return cf_shape(r, one);
}

#define ROW                                                                                        \
	.form_max = HTTP_UPLOAD_MAX, .reader = &metadata_reader, .dialect = &cf_dialect,           \
	.shape = cf_shape_version
/* clang-format off */
static const struct verb verbs[] = {
	{NULL, "PUT", CF_SCRIPT, WHO_PROJECT, put, ROW},
	{NULL, "POST", CF_SCRIPT "/versions", WHO_PROJECT, post_version, ROW},
	{0},
};
/* clang-format on */

const struct capability cloudflare_upload_capability = {.name = "cloudflare uploads",
							.verbs = verbs};
