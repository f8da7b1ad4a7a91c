// SPDX-License-Identifier: Apache-2.0
/* What can be asked of KV namespaces. On the control socket a value comes and goes by a file that comes
 * along: it may be longer than a frame, and need not be text. Over HTTP it is the body. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/front/web/kv.h"
#include "supervisor/front/web/kv_bulk.h"

int web_kv_call_namespace(struct call *c, struct web_namespace **ret, struct err *e)
{
	const char *name = call_string(c, "namespace", KV_TITLE_MAX);
	char shown[80];
	int r;

	if (!name)
		(void)json_strict_fail(c->in, "namespace", "must be given");
	call_project(c);
	r = call_end(c, e);
	if (r < 0)
		return r;
	*ret = web_kv_find(c->project, name);
	if (!*ret || (*ret)->going)
		return err_set(e, ERR_NOT_FOUND, 0,
			       "there is no KV namespace \"%s\" in this project",
			       util_escape(name, shown, sizeof(shown)));
	return 0;
}

static const char *call_key(struct call *c)
{
	const char *key = call_string(c, "key", KV_KEY_MAX);

	if (!key || !*key)
		(void)json_strict_fail(c->in, "key", "must be a text of 1 to %u bytes", KV_KEY_MAX);
	return key;
}

static int check_file(const struct call *c, off_t *ret_size, struct err *e)
{
	struct stat st;

	if (c->n_fds != 1 || fstat(c->fds[0], &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, ERR_INPUT, 0, "a file for the value must come along");
	*ret_size = st.st_size;
	return 0;
}

static json_t *namespace_json(const struct web_namespace *n)
{
	return json_pack("{s:s, s:s, s:I}", "id", n->row.id, "title", n->row.title, "created_ns",
			 (json_int_t)n->row.created_ns);
}

static int verb_kv_ls(struct call *c, struct err *e)
{
	json_auto_t *all = json_array();
	struct web_namespace *n;
	int r;

	call_project(c);
	r = call_end(c, e);
	if (r < 0)
		return r;
	LIST_FOREACH(n, &c->project->web->namespaces, next)
		if (n->stored && !n->going)
			json_array_append_new(all, namespace_json(n));
	call_reply(c, json_pack("{s:O}", "namespaces", all));
	return 0;
}

/* A namespace that is made, or removed, a slice of its keys at a time. */
struct namespace_change {
	struct change change;
	struct waiter *waiter;
	struct project *project; /* it is not removed before its changes are written */
	struct web_namespace *namespace;
	uint64_t bytes; /* of the keys that go with this slice */
	bool more;
};

static int create_write(struct front *f, struct change *c, struct err *e)
{
	return store_kv_namespace_put(
		f->store, &OWNER(c, struct namespace_change, change)->namespace->row, e);
}

static void create_done(struct front *f, struct change *c, const struct err *error)
{
	struct namespace_change *x = OWNER(c, struct namespace_change, change);

	(void)f;
	x->namespace->stored = x->namespace->stored || !error;
	waiter_end(x->waiter, error ? NULL : namespace_json(x->namespace), error);
	free(x);
}

static int remove_write(struct front *f, struct change *c, struct err *e)
{
	struct namespace_change *x = OWNER(c, struct namespace_change, change);
	int r = store_kv_namespace_delete(f->store, x->namespace->row.id, TURN_WRITE_ROWS,
					  &x->bytes, e);

	x->more = r > 0;
	return r < 0 ? r : 0;
}

static void remove_adopt(struct front *f, struct change *c, bool durable)
{
	const struct namespace_change *x = OWNER(c, struct namespace_change, change);

	(void)f;
	if (durable)
		x->project->web->kv_bytes -= x->bytes;
}

static void remove_done(struct front *f, struct change *c, const struct err *error)
{
	struct namespace_change *x = OWNER(c, struct namespace_change, change);
	struct project *p = x->project;

	if (!error && x->more) {
		x->change = (struct change){
			.write = remove_write, .adopt = remove_adopt, .done = remove_done};
		change_mark(f, &x->change, turn_holder(p), 0);
		return;
	}
	if (error) {
		x->namespace->going = false;
	} else {
		LIST_REMOVE(x->namespace, next);
		free(x->namespace);
	}
	waiter_end(x->waiter, error ? NULL : json_pack("{s:s}", "msg", "Deleted"), error);
	free(x);
}

static int change_namespace(struct call *c, struct web_namespace *n, bool is_removal, struct err *e)
{
	struct namespace_change *x = calloc(1, sizeof(*x));

	if (!x)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot change a KV namespace");
	x->waiter = call_later(c, e);
	if (!x->waiter) {
		free(x);
		return -EBUSY;
	}
	x->project = c->project;
	x->namespace = n;
	n->going = is_removal;
	x->change = is_removal ? (struct change){.write = remove_write,
						 .adopt = remove_adopt,
						 .done = remove_done}
			       : (struct change){.write = create_write, .done = create_done};
	change_mark(c->f, &x->change, turn_holder(c->project), 0);
	return 0;
}

static int verb_kv_create(struct call *c, struct err *e)
{
	const char *title = call_string(c, "title", KV_TITLE_MAX);
	struct web_namespace *n;
	int r;

	if (!title || !*title)
		(void)json_strict_fail(c->in, "title", "must be a text of 1 to %u bytes",
				       KV_TITLE_MAX);
	call_project(c);
	r = call_end(c, e);
	if (r < 0)
		return r;
	if (c->project->going)
		return err_set(e, ERR_CONFLICT, 0, "project: %s is being removed",
			       c->project->name);
	n = web_kv_find(c->project, title);
	if (n)
		return err_set(e, ERR_CONFLICT, 0,
			       "a namespace with this account ID and title already exists");
	n = web_kv_make(c->project, title, e);
	return n ? change_namespace(c, n, false, e) : -ENOMEM;
}

static int verb_kv_rm(struct call *c, struct err *e)
{
	struct web_namespace *n;
	int r = web_kv_call_namespace(c, &n, e);

	if (r == 0 && n->n_many > 0)
		r = err_set(e, ERR_UNAVAILABLE, 0,
			    "keys of the namespace are being written: try again later");
	return r < 0 ? r : change_namespace(c, n, true, e);
}

static int write_key(struct call *c, struct web_namespace *n, const char *key,
		     const struct web_kv_put *put, struct err *e)
{
	struct waiter *w;
	int r = web_kv_check(c->project, put, e);

	if (r < 0)
		return r;
	w = call_later(c, e);
	if (!w)
		return -EBUSY;
	if (web_kv_write(c->f, c->project, n, key, put, w, "", 0) == 0)
		return 0;
	(void)err_set(e, ERR_SYSTEM, ENOMEM, "cannot write the key");
	waiter_end(w, NULL, e);
	return 0;
}

/* When a key expires, by "expiration" or "expiration_ttl"; 0: never. */
static uint64_t call_expires(struct call *c)
{
	int64_t at = 0, ttl = 0;

	(void)call_int(c, "expiration", 1, INT32_MAX * 1000LL, &at);
	(void)call_int(c, "expiration_ttl", KV_TTL_MIN, INT32_MAX * 1000LL, &ttl);
	if (ttl)
		return web_kv_now_s() + (uint64_t)ttl;
	if (at && (uint64_t)at < web_kv_now_s() + KV_TTL_MIN)
		(void)json_strict_fail(c->in, "expiration",
				       "must be at least %u seconds in the future", KV_TTL_MIN);
	return (uint64_t)at;
}

int web_kv_put_value(struct call *c, struct web_kv_put *put, struct err *e)
{
	const char *key = call_key(c);
	json_t *doc = NULL;
	struct web_namespace *n;
	int r;

	put->expires_s = call_expires(c);
	r = web_kv_call_namespace(c, &n, e);
	if (r == 0 && put->metadata)
		r = json_strict_load("metadata", put->metadata, strlen(put->metadata),
				     KV_METADATA_MAX, &doc, e);
	json_decref(doc);
	return r < 0 ? r : write_key(c, n, key, put, e);
}

static int verb_kv_put(struct call *c, struct err *e)
{
	struct web_kv_put put = {.metadata = call_string(c, "metadata", KV_METADATA_MAX), .fd = -1};
	off_t size = 0;
	int r;

	if (c->http) {
		void *body = c->http->body;

		put.value = c->http->body;
		put.len = c->http->len;
		put.owner = &body;
		r = web_kv_put_value(c, &put, e);
		c->http->body = body;
		return r;
	}
	r = check_file(c, &size, e);
	if (r < 0)
		return r;
	put.fd = c->fds[0];
	put.len = (size_t)size;
	return web_kv_put_value(c, &put, e);
}

static int verb_kv_delete(struct call *c, struct err *e)
{
	const char *key = call_key(c);
	struct web_namespace *n;
	int r = web_kv_call_namespace(c, &n, e);

	return r < 0 ? r : write_key(c, n, key, NULL, e);
}

struct found {
	int fd; /* the value is written into it; -1: it is kept */
	char *value;
	size_t len;
	json_t *answer; /* owned */
	bool large;	/* it is to be read by slices */
	int r;
};

json_t *web_kv_about(const struct kv_value *v)
{
	json_t *o = json_pack("{s:I, s:s*}", "len", (json_int_t)v->len, "metadata", v->metadata);

	if (o && v->expires_s)
		json_object_set_new(o, "expiration", json_integer((json_int_t)v->expires_s));
	return o;
}

static void see_value(void *arg, const struct kv_value *v)
{
	const void *value = v->value ? v->value : "";
	struct found *x = arg;

	x->len = v->len;
	x->answer = web_kv_about(v);
	x->large = v->large && !v->value;
	if (x->large)
		return;
	if (x->fd >= 0) {
		x->r = ftruncate(x->fd, 0) < 0 || pwrite(x->fd, value, v->len, 0) != (ssize_t)v->len
			       ? -EIO
			       : 0;
		return;
	}
	x->value = malloc(v->len + 1);
	x->r = x->value ? 0 : -ENOMEM;
	if (x->value)
		memcpy(x->value, value, v->len);
}

/* Reads the rest of what was given, and the key; *x is the caller's to clear. */
static int find_key(struct call *c, struct found *x, const char **ret_key,
		    struct web_namespace **ret, struct err *e)
{
	const char *key = call_key(c);
	struct web_namespace *n;
	char shown[80];
	int r = web_kv_call_namespace(c, &n, e);

	if (r < 0)
		return r;
	*ret_key = key;
	*ret = n;
	r = store_kv_get(c->f->store, n->row.id, key, web_kv_now_s(), see_value, x, e);
	if (r == -ENOENT)
		return err_set(e, ERR_NOT_FOUND, 0, "there is no key \"%s\"",
			       util_escape(key, shown, sizeof(shown)));
	if (r == 0 && x->r < 0)
		r = err_set(e, ERR_SYSTEM, -x->r, "the value could not be written");
	return r;
}

static void found_clear(struct found *x)
{
	free(x->value);
	json_decref(x->answer);
}

void web_kv_reply_value(struct http_request *r, char *value, size_t len, const json_t *about)
{
	const char *metadata = json_string_value(json_object_get(about, "metadata"));
	const json_int_t at = json_integer_value(json_object_get(about, "expiration"));
	json_t *doc = metadata ? kv_metadata(metadata) : NULL;
	/* A header is ASCII. */
	_cleanup_free_ char *ascii =
		doc ? json_dumps(doc, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
	const char *headers[5] = {NULL};
	char number[24];
	unsigned n = 0;

	json_decref(doc);
	(void)snprintf(number, sizeof(number), "%lld", (long long)at);
	if (ascii) {
		headers[n++] = "X-KV-Metadata";
		headers[n++] = ascii;
	}
	if (at) {
		headers[n++] = "X-KV-Expiration";
		headers[n] = number;
	}
	http_bytes(r, "application/octet-stream", value, len, headers);
}

static int read_later(struct call *c, const struct web_namespace *n, const char *key, int into,
		      struct err *e)
{
	int fd = into >= 0 ? fcntl(into, F_DUPFD_CLOEXEC, 0) : -1;
	struct waiter *w;

	if (into >= 0 && fd < 0)
		return err_set(e, ERR_SYSTEM, errno, "the value");
	w = call_later(c, e);
	if (!w) {
		util_close_fd(&fd);
		return -EBUSY;
	}
	if (web_kv_read_value(c->f, c->project, n, key, w, fd) == 0)
		return 0;
	(void)err_set(e, ERR_SYSTEM, ENOMEM, "the value");
	waiter_end(w, NULL, e);
	return 0;
}

static int verb_kv_get(struct call *c, struct err *e)
{
	struct found x = {.fd = -1};
	struct web_namespace *n = NULL;
	const char *key = NULL;
	off_t size;
	int r = c->http ? 0 : check_file(c, &size, e);

	if (r == 0 && !c->http)
		x.fd = c->fds[0];
	if (r == 0)
		r = find_key(c, &x, &key, &n, e);
	if (r == 0 && x.large)
		r = read_later(c, n, key, x.fd, e);
	else if (r == 0 && c->http)
		web_kv_reply_value(c->http, TAKE_PTR(x.value), x.len, x.answer);
	else if (r == 0)
		call_reply(c, TAKE_PTR(x.answer));
	found_clear(&x);
	return r;
}

int web_kv_metadata(struct call *c, json_t **ret, struct err *e)
{
	struct found x = {.fd = -1};
	struct web_namespace *n;
	const char *key;
	int r = find_key(c, &x, &key, &n, e);
	const char *text = json_string_value(json_object_get(x.answer, "metadata"));

	if (r == 0)
		*ret = kv_metadata(text);
	found_clear(&x);
	return r;
}

static int verb_kv_keys(struct call *c, struct err *e)
{
	/* Clients send both without a value where there is none to send: all keys, from the first. */
	const char *prefix = call_note(c, "prefix", KV_KEY_MAX);
	const char *cursor = call_note(c, "cursor", KV_KEY_MAX);
	json_auto_t *keys = json_array();
	struct web_namespace *n;
	int64_t limit = KV_LIST_MAX;
	json_t *answer;
	int r;

	(void)call_int(c, "limit", 1, KV_LIST_MAX, &limit);
	r = web_kv_call_namespace(c, &n, e);
	if (r == 0)
		r = store_kv_list(c->f->store, n->row.id, prefix ? prefix : "",
				  cursor ? cursor : "", (unsigned)limit, web_kv_now_s(), kv_see_key,
				  keys, e);
	if (r < 0)
		return r;
	answer = json_pack("{s:O, s:b}", "keys", keys, "list_complete", r == 0);
	if (r > 0)
		json_object_set(
			answer, "cursor",
			json_object_get(json_array_get(keys, json_array_size(keys) - 1), "name"));
	call_reply(c, answer);
	return 0;
}

#define VALUE WEB_PATH "/kv/namespaces/{namespace}/values/{+key}"
#define BULK WEB_PATH "/kv/namespaces/{namespace}/bulk"

/* clang-format off */
const struct verb web_kv_verbs[] = {
	{"web_kv_ls", "GET", WEB_PATH "/kv/namespaces", WHO_PROJECT, verb_kv_ls},
	{"web_kv_create", "POST", WEB_PATH "/kv/namespaces", WHO_PROJECT, verb_kv_create, .body = "",
	 .status = 201},
	{"web_kv_rm", "DELETE", WEB_PATH "/kv/namespaces/{namespace}", WHO_PROJECT, verb_kv_rm},
	{"web_kv_put", "PUT", VALUE, WHO_PROJECT, verb_kv_put, .fds_max = 1,
	 .body_max = KV_VALUE_MAX},
	{"web_kv_get", "GET", VALUE, WHO_PROJECT, verb_kv_get, .fds_max = 1},
	{"web_kv_delete", "DELETE", VALUE, WHO_PROJECT, verb_kv_delete},
	{NULL, "PUT", BULK, WHO_PROJECT, web_kv_bulk_put, .reader = &kv_bulk_reader,
	 .body_max = KV_BULK_BYTES_MAX},
	{NULL, "POST", BULK "/delete", WHO_PROJECT, web_kv_bulk_delete,
	 .reader = &kv_bulk_keys_reader, .body_max = KV_BULK_BYTES_MAX},
	{NULL, "POST", BULK "/get", WHO_PROJECT, web_kv_bulk_get, .body = "", .body_max = 1u << 20},
	{"web_kv_keys", "GET", WEB_PATH "/kv/namespaces/{namespace}/keys", WHO_PROJECT, verb_kv_keys},
	{0},
};
/* clang-format on */
