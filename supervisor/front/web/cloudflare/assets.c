// SPDX-License-Identifier: Apache-2.0
/*
 * The files that a worker serves as they are, as wrangler uploads them before the worker: it tells all
 * paths with their hashes and sizes, is told which contents are wanted, and sends these in forms, each
 * named by its hash. The session's token, by which it sends them, then stands in the metadata of the
 * worker's upload, and the files become a part of the folder that is built from.
 *
 * A session is in memory, and its contents, each once, in a file without a name: wrangler begins anew where
 * it is gone.
 */
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/blake3.h"
#include "spec/multipart.h"
#include "supervisor/front/core/core.h"
#include "supervisor/front/core/package/package.h"
#include "supervisor/front/serve/http/uri.h"
#include "supervisor/front/web/cloudflare/assets.h"
#include "supervisor/front/web/deploy.h"

#define ASSET_FILES_MAX 20000u
#define ASSET_FILE_MAX (25u << 20)
#define ASSETS_BYTES_MAX ((uint64_t)HTTP_UPLOAD_MAX)
#define BUCKET_BYTES                                                                               \
	(8u << 20) /* of contents that are sent in one form, but for a larger one alone */
#define BUCKET_FILES 200u
#define FORM_MAX ((uint64_t)64 << 20)
#define SESSIONS_OF_ONE_MAX 4u /* of a project: the oldest goes for one more */
#define SESSIONS_MAX 64u
#define ASSETS_LIFE_NS (3600 * SEC)
#define HASH_LEN 32	   /* hexadecimal digits */
#define PIECE (192u << 10) /* bytes that are taken, or copied, in one turn of the loop */
#define FILES_A_TURN 64u

struct asset {
	char *path;	       /* below the archive's root */
	const char *extension; /* of path, without its dot */
	char hash[HASH_LEN + 1];
	uint64_t size;
	bool has;    /* its content is there */
	uint64_t at; /* where in the session's file */
};

struct cf_session {
	LIST_ENTRY(cf_session) next; /* the newest first */
	struct front *f;
	unsigned refs; /* the list's, and those of forms that are being read */
	bool listed;
	char project[PROJECT_ID_LEN + 1], script[WEB_NAME_MAX + 1], token[TOKEN_LEN + 1];
	struct asset *assets; /* by their hashes */
	size_t n;
	int fd;
	uint64_t end; /* of what is in it */
	struct timer late;
};

static void session_unref(struct cf_session *s)
{
	if (--s->refs > 0)
		return;
	for (size_t i = 0; i < s->n; i++)
		free(s->assets[i].path);
	free(s->assets);
	util_close_fd(&s->fd);
	free(s);
}

static void session_end(struct cf_session *s)
{
	if (!s->listed)
		return;
	s->listed = false;
	timer_cancel(s->f, &s->late);
	LIST_REMOVE(s, next);
	session_unref(s);
}

static void session_late(struct front *f, struct timer *t)
{
	(void)f;
	session_end(OWNER(t, struct cf_session, late));
}

static struct cf_session *session_find(struct front *f, const char *token)
{
	struct cf_session *s;

	LIST_FOREACH(s, &f->web->asset_sessions, next)
		if (strlen(token) == TOKEN_LEN && CRYPTO_memcmp(s->token, token, TOKEN_LEN) == 0)
			return s;
	return NULL;
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct asset *)a)->hash, ((const struct asset *)b)->hash);
}

/* One of the manifest. */
static int read_asset(const char *path, const json_t *is, struct asset *ret, struct err *e)
{
	const char *hash = json_string_value(json_object_get(is, "hash")), *dot, *slash;
	const json_int_t size = json_integer_value(json_object_get(is, "size"));
	char clean[PACKAGE_PATH_MAX], shown[200];

	(void)util_escape(path, shown, sizeof(shown));
	if (*path != '/' || package_path(path + 1, clean, e) < 0 || !*clean ||
	    strlen(clean) + strlen(CF_ASSETS) + 1 > MULTIPART_NAME_MAX)
		return err_set(e, ERR_INPUT, 0, "manifest: %s: must be a path that begins with '/'",
			       shown);
	if (!hash || strlen(hash) != HASH_LEN || strspn(hash, "0123456789abcdef") != HASH_LEN)
		return err_set(e, ERR_INPUT, 0, "manifest: %s: hash: must be 32 hexadecimal digits",
			       shown);
	if (!json_is_integer(json_object_get(is, "size")) || size < 0 ||
	    size > (json_int_t)ASSET_FILE_MAX)
		return err_set(e, ERR_INPUT, 0, "manifest: %s: a file has at most 25 MiB", shown);
	if (asprintf(&ret->path, CF_ASSETS "/%s", clean) < 0) {
		ret->path = NULL;
		return err_set(e, ERR_SYSTEM, ENOMEM, "manifest");
	}
	slash = strrchr(ret->path, '/');
	dot = strrchr(slash, '.');
	/* As Node's extname: a name that begins with its only dot has none. */
	ret->extension = dot && dot != slash + 1 ? dot + 1 : "";
	memcpy(ret->hash, hash, sizeof(ret->hash));
	ret->size = (uint64_t)size;
	return 0;
}

static int read_manifest(struct cf_session *s, json_t *manifest, struct err *e)
{
	uint64_t bytes = 0;
	const char *path;
	json_t *is;
	int r;

	if (!json_is_object(manifest) || json_object_size(manifest) > ASSET_FILES_MAX)
		return err_set(e, ERR_INPUT, 0, "manifest: must be an object of at most %u files",
			       ASSET_FILES_MAX);
	s->assets = calloc(json_object_size(manifest) + 1, sizeof(*s->assets));
	if (!s->assets)
		return err_set(e, ERR_SYSTEM, ENOMEM, "manifest");
	json_object_foreach(manifest, path, is)
	{
		r = read_asset(path, is, &s->assets[s->n], e);
		if (r < 0)
			return r;
		bytes += s->assets[s->n++].size;
	}
	if (bytes > ASSETS_BYTES_MAX)
		return err_set(e, ERR_LIMIT, 0,
			       "manifest: the files have more than %u MiB together",
			       (unsigned)(ASSETS_BYTES_MAX >> 20));
	qsort(s->assets, s->n, sizeof(*s->assets), compare);
	return 0;
}

/* Which contents are to be sent in which form: all, each once. */
static json_t *buckets(const struct cf_session *s)
{
	json_t *all = json_array(), *bucket = NULL;
	uint64_t bytes = 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct asset *a = &s->assets[i];

		if (i > 0 && strcmp(a->hash, a[-1].hash) == 0)
			continue;
		if (!bucket || bytes + a->size > BUCKET_BYTES ||
		    json_array_size(bucket) >= BUCKET_FILES) {
			bucket = json_array();
			(void)json_array_append_new(all, bucket);
			bytes = 0;
		}
		(void)json_array_append_new(bucket, json_string(a->hash));
		bytes += a->size;
	}
	return all;
}

/* So that there is room for one more. */
static int make_room(struct front *f, const struct project *p, struct err *e)
{
	struct cf_session *s, *oldest = NULL;
	unsigned n = 0, of_one = 0;

	LIST_FOREACH(s, &f->web->asset_sessions, next) {
		n++;
		if (strcmp(s->project, p->id) != 0)
			continue;
		of_one++;
		oldest = s;
	}
	if (of_one >= SESSIONS_OF_ONE_MAX)
		session_end(oldest);
	else if (n >= SESSIONS_MAX)
		return err_set(e, ERR_UNAVAILABLE, 0,
			       "%u uploads of assets are going on: try again later", n);
	return 0;
}

static void make_token(char ret[TOKEN_LEN + 1])
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint8_t random[TOKEN_LEN];

	while (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		;
	for (size_t i = 0; i < TOKEN_LEN; i++)
		ret[i] = digits[random[i] & 63];
	ret[TOKEN_LEN] = '\0';
}

static int session_begin(struct call *c, struct err *e)
{
	json_t *body = call_get(c, "body");
	const char *name = call_string(c, "name", WEB_NAME_MAX);
	struct cf_session *s;
	int r;

	if (!name || !worker_manifest_is_name(name))
		return json_strict_fail(c->in, "name",
					"must be a worker's name: [a-z0-9-], at most %u",
					WEB_NAME_MAX);
	r = call_end_project(c, e);
	if (r == 0)
		r = make_room(c->f, c->project, e);
	if (r < 0)
		return r;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot begin an upload of assets");
	s->f = c->f;
	s->refs = 1;
	s->fd = http_open_unnamed(c->f->cfg.packages_dirfd);
	(void)snprintf(s->project, sizeof(s->project), "%s", c->project->id);
	(void)snprintf(s->script, sizeof(s->script), "%s", name);
	make_token(s->token);
	r = s->fd < 0 ? err_set(e, ERR_LIMIT, ENOSPC, "there is no room for assets")
		      : read_manifest(s, json_object_get(body, "manifest"), e);
	if (r < 0) {
		session_unref(s);
		return r;
	}
	s->listed = true;
	LIST_INSERT_HEAD(&c->f->web->asset_sessions, s, next);
	timer_set(c->f, &s->late, util_monotonic_ns() + ASSETS_LIFE_NS, session_late);
	call_reply(c, json_pack("{s:s, s:o}", "jwt", s->token, "buckets", buckets(s)));
	return 0;
}

/* A form that is read, a piece in each turn. */
struct asset_form {
	struct work work;
	struct cf_session *session;
	struct waiter *waiter;
	struct http_form form;
	size_t part;	     /* that is being read */
	struct asset *asset; /* the first that has its content; NULL: the part is not begun */
	uint64_t at, to;     /* how much of the part was read; where its next byte goes */
	struct blake3 hash;
};

static void form_end(struct asset_form *x, const struct err *error)
{
	/* What is in the file would be no archive. */
	if (error)
		session_end(x->session);
	waiter_end(x->waiter, error ? NULL : json_pack("{s:s}", "jwt", x->session->token), error);
	session_unref(x->session);
	http_form_free(&x->form);
	free(x);
}

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* A number of whole groups; only the last one may have '='. Returns the bytes in buf, or -EINVAL. */
static ssize_t decode(const char *text, size_t len, bool last, uint8_t *buf)
{
	size_t n = 0;

	if (len % 4)
		return -EINVAL;
	for (size_t i = 0; i < len; i += 4) {
		const bool end = last && i + 4 == len;
		const unsigned pad = !end ? 0
				     : text[i + 2] == '=' && text[i + 3] == '='
					     ? 2
					     : text[i + 3] == '=';
		uint32_t bits = 0;

		for (unsigned j = 0; j < 4; j++) {
			const int v = j >= 4 - pad ? 0 : value_of(text[i + j]);

			if (v < 0)
				return -EINVAL;
			bits = bits << 6 | (uint32_t)v;
		}
		for (unsigned j = 0; j < 3 - pad; j++)
			buf[n++] = (uint8_t)(bits >> (16 - 8 * j));
	}
	return (ssize_t)n;
}

static struct asset *asset_find(const struct cf_session *s, const char *hash)
{
	struct asset key = {0}, *a;

	if (strlen(hash) != HASH_LEN)
		return NULL;
	memcpy(key.hash, hash, sizeof(key.hash));
	a = bsearch(&key, s->assets, s->n, sizeof(*a), compare);
	while (a && a > s->assets && strcmp(a[-1].hash, hash) == 0)
		a--;
	return a;
}

static int begin_part(struct asset_form *x, const struct http_part *p, struct err *e)
{
	struct asset *a = asset_find(x->session, p->name);

	if (!a || !p->file)
		return err_set(e, ERR_INPUT, 0, "%.60s: is the hash of no file of this upload",
			       p->name);
	if (p->len != (a->size + 2) / 3 * 4)
		return err_set(e, ERR_INPUT, 0, "%s: its size is not that of the manifest",
			       a->path);
	blake3_begin(&x->hash);
	x->asset = a;
	x->at = 0;
	if (a->has)
		return 0;
	a->at = x->to = x->session->end;
	x->session->end += a->size;
	return 0;
}

/* The content is whole, for all files that have it. */
static int end_part(struct asset_form *x, struct err *e)
{
	const struct cf_session *s = x->session;
	const struct asset *first = x->asset;
	uint8_t hash[BLAKE3_LEN];
	char hex[2 * BLAKE3_LEN + 1];

	blake3_add(&x->hash, first->extension, strlen(first->extension));
	blake3_end(&x->hash, hash);
	util_hex(hash, sizeof(hash), hex);
	if (strncmp(hex, first->hash, HASH_LEN) != 0)
		return err_set(e, ERR_INPUT, 0, "%s: its content has another hash", first->path);
	for (struct asset *a = x->asset; a < s->assets + s->n && strcmp(a->hash, first->hash) == 0;
	     a++) {
		if (a->size != first->size)
			return err_set(e, ERR_INPUT, 0, "%s: its size is not that of the manifest",
				       a->path);
		a->has = true;
		a->at = first->at;
	}
	return 0;
}

static int read_piece(struct asset_form *x, struct err *e)
{
	static char text[PIECE];
	static uint8_t bytes[PIECE];
	const struct http_part *p = &x->form.parts[x->part];
	const size_t len = MIN(p->len - x->at, sizeof(text));
	ssize_t n;

	if (pread(x->form.fd, text, len, (off_t)(p->at + x->at)) != (ssize_t)len)
		return err_set(e, ERR_SYSTEM, EIO, "the form cannot be read");
	x->at += len;
	blake3_add(&x->hash, text, len);
	n = decode(text, len, x->at == p->len, bytes);
	if (n < 0)
		return err_set(e, ERR_INPUT, 0, "%s: is not base64", x->asset->path);
	if (pwrite(x->session->fd, bytes, (size_t)n, (off_t)x->to) != n)
		return err_set(e, ERR_LIMIT, ENOSPC, "there is no room for assets");
	x->to += (uint64_t)n;
	return 0;
}

static bool slice(struct front *f, struct work *w)
{
	struct asset_form *x = OWNER(w, struct asset_form, work);
	const struct http_part *p = x->part < x->form.n ? &x->form.parts[x->part] : NULL;
	struct err e = {0};
	int r = 0;

	(void)f;
	if (!p) {
		form_end(x, NULL);
		return false;
	}
	if (!x->session->listed)
		r = err_set(&e, ERR_NOT_FOUND, 0, "the upload of assets is over: deploy again");
	else if (!x->asset)
		r = begin_part(x, p, &e);
	if (r == 0 && x->asset) {
		/* One that is there was sent before. */
		if (!x->asset->has && x->at < p->len)
			r = read_piece(x, &e);
		if (r == 0 && !x->asset->has && x->at == p->len)
			r = end_part(x, &e);
		if (r == 0 && x->asset->has) {
			x->asset = NULL;
			x->part++;
		}
	}
	if (r < 0)
		form_end(x, &e);
	return r == 0;
}

static void drop(struct front *f, struct work *w)
{
	struct err e = {0};

	(void)f;
	(void)turn_over(&e);
	form_end(OWNER(w, struct asset_form, work), &e);
}

static const char *token_of(const struct http_request *r)
{
	return http_token_text(http_header(r, "Authorization"), NULL);
}

static int take_form(struct call *c, struct err *e)
{
	const char *token = token_of(c->http), *base64 = http_param(c->http, "base64");
	struct cf_session *s = token ? session_find(c->f, token) : NULL;
	struct asset_form *x;
	int r = call_end_project(c, e);

	if (r < 0)
		return r;
	if (!s || strcmp(s->project, c->project->id) != 0)
		return err_set(e, ERR_INPUT, 0,
			       "Authorization: must be the jwt of an upload session of assets");
	if (!base64 || strcmp(base64, "true") != 0)
		return err_set(e, ERR_INPUT, 0, "base64: must be true: contents are sent so");
	x = calloc(1, sizeof(*x));
	if (x)
		x->waiter = call_later(c, e);
	if (!x || !x->waiter) {
		free(x);
		return e->code ? -EBUSY : err_set(e, ERR_SYSTEM, ENOMEM, "cannot take assets");
	}
	x->work = (struct work){.slice = slice, .drop = drop};
	x->session = s;
	s->refs++;
	x->form = c->http->form;
	c->http->form = (struct http_form){.fd = -1};
	turn_add(c->f, turn_holder(c->project), TURN_WORK, &x->work);
	return 0;
}

struct cf_session *cf_session_take(struct front *f, const struct project *p, const char *script,
				   const char *token, struct err *e)
{
	struct cf_session *s = session_find(f, token);

	if (!s || strcmp(s->project, p->id) != 0 || strcmp(s->script, script) != 0) {
		(void)err_set(
			e, ERR_INPUT, 0,
			"assets: the upload of this jwt is over, or is another worker's: deploy "
			"again");
		return NULL;
	}
	for (size_t i = 0; i < s->n; i++)
		if (!s->assets[i].has) {
			(void)err_set(e, ERR_INPUT, 0, "assets: %s was not uploaded",
				      s->assets[i].path);
			return NULL;
		}
	s->refs++;
	return s;
}

void cf_session_give(struct cf_session *s)
{
	if (s)
		session_unref(s);
}

int cf_session_copy(const struct cf_session *s, struct cf_copied *at, int fd, uint64_t *end,
		    struct err *e)
{
	static char piece[PIECE];
	char gap[HTTP_FORM_GAP];
	size_t room = sizeof(piece);

	for (unsigned n = 0; at->files < s->n && room > 0 && n < FILES_A_TURN; n++) {
		const struct asset *a = &s->assets[at->files];
		const size_t len = MIN(a->size - at->bytes, room);
		const uint64_t to = *end + sizeof(gap) + at->bytes;

		cf_archive_gap(gap, a->path, a->size);
		if (pread(s->fd, piece, len, (off_t)(a->at + at->bytes)) != (ssize_t)len ||
		    pwrite(fd, gap, sizeof(gap), (off_t)*end) != (ssize_t)sizeof(gap) ||
		    pwrite(fd, piece, len, (off_t)to) != (ssize_t)len)
			return err_set(e, ERR_LIMIT, ENOSPC, "there is no room for assets");
		room -= len;
		at->bytes += len;
		if (at->bytes < a->size)
			break;
		*end = roundup(*end + sizeof(gap) + a->size, CF_BLOCK);
		at->files++;
		at->bytes = 0;
	}
	return at->files < s->n;
}

struct project *cf_asset_holder(struct front *f, const char *token)
{
	const struct cf_session *s = session_find(f, token);

	return s ? project_by_id(f, s->project) : NULL;
}

static void free_project(struct front *f, struct project *p)
{
	struct cf_session *s, *next;

	for (s = LIST_FIRST(&f->web->asset_sessions); s; s = next) {
		next = LIST_NEXT(s, next);
		if (strcmp(s->project, p->id) == 0)
			session_end(s);
	}
}

static void stop(struct front *f)
{
	while (!LIST_EMPTY(&f->web->asset_sessions))
		session_end(LIST_FIRST(&f->web->asset_sessions));
}

static const struct part part = {.free = free_project};
/* clang-format off */
static const struct verb verbs[] = {
	{NULL, "POST", CF_SCRIPT "/assets-upload-session", WHO_PROJECT, session_begin, .body = "body",
	 .body_max = HTTP_BODY_MAX / 2, .dialect = &cf_dialect, .shape = cf_shape},
	{NULL, "POST", CF_ACCOUNT "/workers/assets/upload", WHO_PROJECT, take_form, .form_max = FORM_MAX,
	 .dialect = &cf_asset_dialect, .shape = cf_shape},
	{0},
};
/* clang-format on */

const struct capability cloudflare_asset_capability = {
	.name = "cloudflare assets", .stop = stop, .part = &part, .verbs = verbs};
