// SPDX-License-Identifier: Apache-2.0
/*
 * A version that is another one with other secrets (`wrangler versions secret`): nothing is built for it.
 * Newer clients say so. Older ones read the modules of a version and upload them again, with a module by
 * which it is known here what they want.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/dir.h"
#include "lib/text.h"
#include "supervisor/front/core/core.h"
#include "supervisor/front/web/cloudflare/cloudflare.h"
#include "supervisor/front/web/deploy.h"

/* Of the modules of a version: they are read and compared at a time. */
#define CONTENT_FILES_MAX 500u
#define CONTENT_BYTES_MAX (2u << 20)
#define CONTENT_DEPTH_MAX 16u
#define BODY_MAX (4u << 20)

static const char *type_of(const char *name)
{
	static const struct {
		const char *end, *type;
	} types[] = {{".py", "text/x-python"},	    {".txt", "text/plain"},
		     {".html", "text/plain"},	    {".sql", "text/plain"},
		     {".wasm", "application/wasm"}, {".json", "application/json"}};
	const char *end = strrchr(name, '.');

	for (size_t i = 0; end && i < ARRAY_SIZE(types); i++)
		if (strcmp(end, types[i].end) == 0)
			return types[i].type;
	return "application/octet-stream";
}

/* The modules of a version, as they are found in its package. */
struct content {
	FILE *out;
	const char *boundary;
	char path[1024]; /* of the folder that is read, with '/' behind it; "" */
	unsigned depth, n;
	size_t bytes;
};

static void add_part(const struct content *x, const char *name, const char *type, const char *bytes,
		     size_t len)
{
	(void)fprintf(x->out,
		      "--%s\r\nContent-Disposition: form-data; name=\"%s\"; filename=\"%s\"\r\n"
		      "Content-Type: %s\r\n\r\n",
		      x->boundary, name, name, type);
	(void)fwrite(bytes, 1, len, x->out);
	(void)fputs("\r\n", x->out);
}

static int add_file(struct content *x, int dirfd, const char *name, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	char path[sizeof(x->path) + NAME_MAX];
	size_t len = 0;
	int r;

	/* A name that a header cannot hold is none that was uploaded by a form. */
	if (strpbrk(name, "\"\r\n\\"))
		return 0;
	r = util_read_file_at(dirfd, name, CONTENT_BYTES_MAX, &text, &len);
	x->bytes += len;
	if (r == -EFBIG || r == -E2BIG || x->bytes > CONTENT_BYTES_MAX ||
	    ++x->n > CONTENT_FILES_MAX)
		return err_set(
			e, ERR_LIMIT, 0,
			"the modules of the version are more than %u, or have more than 2 MiB: "
			"set the secret of the worker (wrangler secret put), or ask by a newer "
			"wrangler (4.164)",
			CONTENT_FILES_MAX);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "the modules of the version");
	(void)snprintf(path, sizeof(path), "%s%s", x->path, name);
	add_part(x, path, type_of(name), text, len);
	return 0;
}

static int add_entry(int dirfd, const char *name, void *arg, struct err *e)
{
	struct content *x = arg;
	const size_t len = strlen(x->path);
	_cleanup_fd_ int fd = -1;
	struct stat st;
	int r;

	/* What the build has installed, and what it has made. */
	if (*name == '.' || (!len && strcmp(name, "python_modules") == 0) ||
	    fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (S_ISREG(st.st_mode))
		return add_file(x, dirfd, name, e);
	if (!S_ISDIR(st.st_mode) || x->depth >= CONTENT_DEPTH_MAX ||
	    len + strlen(name) + 2 > sizeof(x->path))
		return 0;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return 0;
	(void)snprintf(x->path + len, sizeof(x->path) - len, "%s/", name);
	x->depth++;
	r = dir_each(fd, add_entry, x, e);
	x->depth--;
	x->path[len] = '\0';
	return r;
}

static int open_package(struct front *f, const struct web_version *v, struct err *e)
{
	char hex[65];
	int fd;

	util_hex(v->row.package, 32, hex);
	fd = openat(f->cfg.packages_dirfd, hex, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 ? fd : err_set(e, ERR_SYSTEM, errno, "the package of the version");
}

/* What the call names by "version", or the newest. Reads the rest. */
static int call_version(struct call *c, struct web_version **ret, struct err *e)
{
	const char *id = call_string(c, "version", WEB_UUID_LEN);
	struct web_worker *w;
	char shown[80];
	int r = cf_call_script(c, &w, e);

	if (r < 0)
		return r;
	*ret = id ? web_version_find(w, id) : web_version_newest(w);
	if (!*ret || !(*ret)->row.number)
		return err_set(e, ERR_NOT_FOUND, 0, "%s has no version %s", w->row.name,
			       util_escape(id ? id : "", shown, sizeof(shown)));
	r = web_version_open(*ret, e);
	if (r == 0 && (*ret)->manifest.assets.only)
		r = err_set(e, ERR_INPUT, 0, "version: it has no modules, only assets");
	return r;
}

static int content(struct call *c, struct err *e)
{
	char boundary[WEB_UUID_LEN + 1], type[100], *text = NULL;
	struct content x = {.boundary = boundary};
	_cleanup_fd_ int package = -1;
	const char *headers[3] = {NULL};
	struct web_version *v = NULL;
	size_t len = 0;
	int r = call_version(c, &v, e);

	if (r < 0 || !v)
		return r;
	package = open_package(c->f, v, e);
	if (package < 0)
		return package;
	web_uuid(boundary);
	x.out = open_memstream(&text, &len);
	if (!x.out)
		return err_set(e, ERR_SYSTEM, ENOMEM, "the modules of the version");
	add_part(&x, CF_COPY, "text/plain", v->row.id, strlen(v->row.id));
	r = dir_each(package, add_entry, &x, e);
	(void)fprintf(x.out, "--%s--\r\n", boundary);
	if (fclose(x.out) != 0 && r == 0)
		r = err_set(e, ERR_SYSTEM, ENOMEM, "the modules of the version");
	if (r < 0) {
		free(text);
		return r;
	}
	(void)snprintf(type, sizeof(type), "multipart/form-data; boundary=%s", boundary);
	headers[0] = "cf-entrypoint";
	headers[1] = v->manifest.main_file;
	http_bytes(c->http, type, text, len, headers);
	return 0;
}

/* Whether a file of the form is the package's. */
static bool is_same(int package, int form, const struct http_part *p)
{
	_cleanup_free_ char *there = NULL, *here = NULL;
	size_t len = 0;

	/* What is there was read by add_file, so it is no longer than this. */
	if (util_read_file_at(package, p->name, CONTENT_BYTES_MAX, &there, &len) < 0 ||
	    len != p->len)
		return false;
	here = malloc(len + 1);
	return here && pread(form, here, len, (off_t)p->at) == (ssize_t)len &&
	       memcmp(here, there, len) == 0;
}

static bool is_inherited(const json_t *bindings, const char *name)
{
	const char *other;
	size_t i;
	json_t *b;

	json_array_foreach(bindings, i, b)
	{
		other = json_string_value(json_object_get(b, "name"));
		if (other && strcmp(other, name) == 0 && !json_object_get(b, "old_name"))
			return strcmp(json_string_value(json_object_get(b, "type")), "inherit") ==
			       0;
	}
	return false;
}

/* All that it says of bindings is that they stay, but for secrets. */
static bool keeps_bindings(const struct web_version *v, const json_t *metadata)
{
	const json_t *bindings = json_object_get(metadata, "bindings");
	size_t i;
	json_t *b;

	json_array_foreach(bindings, i, b)
	{
		const char *type = json_string_value(json_object_get(b, "type"));

		if (!type || (strcmp(type, "inherit") != 0 && strcmp(type, "secret_text") != 0))
			return false;
	}
	for (size_t j = 0; j < v->manifest.n_bindings; j++)
		if (v->manifest.bindings[j].type != BINDING_SECRET_TEXT &&
		    !is_inherited(bindings, v->manifest.bindings[j].name))
			return false;
	return true;
}

int cf_copy_find(struct call *c, const char *worker, const json_t *metadata,
		 struct web_version **ret, struct err *e)
{
	const struct http_form *form = &c->http->form;
	const struct http_part *mark = http_form_part(c->http, CF_COPY);
	struct web_worker *w = web_worker_find(c->project, worker);
	const char *date = json_string_value(json_object_get(metadata, "compatibility_date"));
	const json_t *flags = json_object_get(metadata, "compatibility_flags");
	_cleanup_fd_ int package = -1;
	char id[WEB_UUID_LEN + 1] = "";
	struct web_version *v;
	int r;

	*ret = NULL;
	if (!mark)
		return 0;
	if (mark->file && mark->len == WEB_UUID_LEN &&
	    pread(form->fd, id, WEB_UUID_LEN, (off_t)mark->at) != WEB_UUID_LEN)
		id[0] = '\0';
	v = w ? web_version_find(w, id) : NULL;
	if (!v || !v->row.number)
		return err_set(e, ERR_INPUT, 0, CF_COPY ": %s has no such version any more",
			       worker);
	r = web_version_open(v, e);
	if (r < 0)
		return r;
	package = open_package(c->f, v, e);
	if (package < 0)
		return package;
	for (size_t i = 0; i < form->n; i++) {
		const struct http_part *p = &form->parts[i];

		if (p->file && p != mark && !is_same(package, form->fd, p))
			return err_set(e, ERR_INPUT, 0,
				       "%.200s: is not as in version %s, whose modules these are: "
				       "deploy the folder, or leave " CF_COPY " out",
				       p->name, id);
	}
	if (!keeps_bindings(v, metadata) || (date && strcmp(date, v->manifest.date) != 0) ||
	    (json_array_size(flags) > 0 && !json_equal(flags, v->manifest.flags)))
		return err_set(e, ERR_INPUT, 0,
			       "bindings: of version %s only secrets are changed without the "
			       "worker's folder: deploy that",
			       id);
	*ret = v;
	return 0;
}

/* "env": {NAME: {"type": "secret_text", "text"} or null} */
static int read_env(const json_t *env, json_t *secrets, struct err *e)
{
	const char *name, *type;
	json_t *one, *text;

	json_object_foreach((json_t *)env, name, one)
	{
		type = json_string_value(json_object_get(one, "type"));
		text = json_object_get(one, "text");
		if (!json_is_null(one) &&
		    (!type || strcmp(type, "secret_text") != 0 || !json_is_string(text)))
			return err_set(
				e, ERR_INPUT, 0,
				"env: %.60s: must be null or {\"type\": \"secret_text\", "
				"\"text\": TEXT}: what is no secret is changed by a deploy of "
				"the worker's folder",
				name);
		(void)json_object_set(secrets, name, json_is_null(one) ? one : text);
	}
	return web_secrets_fit(secrets, e);
}

static int patch(struct call *c, struct err *e)
{
	const json_t *body = call_get(c, "body"), *env = json_object_get(body, "env");
	struct web_deploy ask = WEB_DEPLOY_NONE;
	struct web_version *v;
	int r;

	r = call_version(c, &v, e);
	if (r == 0 && !json_is_object(env))
		r = err_set(e, ERR_INPUT, 0, "env: must be an object of secrets");
	if (r < 0)
		return r;
	ask.secrets = json_object();
	ask.metadata = json_object();
	r = read_env(env, ask.secrets, e);
	if (r == 0) {
		ask.waiter = call_later(c, e);
		r = ask.waiter ? 0 : -EBUSY;
	}
	if (r < 0) {
		web_deploy_clear(&ask, NULL, NULL);
		return r;
	}
	ask.message = cf_annotation(body, "workers/message", WEB_TEXT_MAX);
	ask.tag = cf_annotation(body, "workers/tag", WEB_TAG_MAX);
	ask.stays = true;
	(void)snprintf(ask.source, sizeof(ask.source), "wrangler");
	if (web_deploy_copy(c->f, v, &ask, e) < 0)
		web_deploy_clear(&ask, NULL, e);
	return 0;
}

/* clang-format off */
static const struct verb verbs[] = {
	{NULL, "GET", CF_SCRIPT "/content/v2", WHO_PROJECT, content, .dialect = &cf_dialect},
	{NULL, "PATCH", CF_ACCOUNT "/workers/workers/{name}/versions/latest", WHO_PROJECT, patch,
	 .body = "body", .body_max = BODY_MAX, .dialect = &cf_dialect, .shape = cf_shape_version},
	{0},
};
/* clang-format on */

const struct capability cloudflare_copy_capability = {.name = "cloudflare copies", .verbs = verbs};
