// SPDX-License-Identifier: Apache-2.0
/*
 * KV: namespaces of a project, which its workers' bindings name by their ids or by their titles. Those
 * that are not there are made with the version that names them; one that was removed since is made
 * when it is next asked for. What a put has changed is durable when it is
 * answered; a get sees what was written before it, whoever wrote that.
 */
#include <stdio.h>
#include <string.h>

#include "lib/json_strict.h"
#include "lib/msg.h"
#include "lib/text.h"
#include "supervisor/front/web/kv.h"

#define KV_NAMESPACES_MAX 1000u
#define EXPIRE_EVERY_NS (60 * SEC)
#define EXPIRE_ROWS TURN_WRITE_ROWS
#define GONE_PIECES 16u

struct web_namespace *web_kv_find(struct project *p, const char *id_or_title)
{
	struct web_namespace *n;

	LIST_FOREACH(n, &p->web->namespaces, next)
		if (strcmp(n->row.id, id_or_title) == 0)
			return n;
	LIST_FOREACH(n, &p->web->namespaces, next)
		if (strcmp(n->row.title, id_or_title) == 0)
			return n;
	return NULL;
}

static struct web_namespace *namespace_new(struct project *p)
{
	struct web_namespace *n = calloc(1, sizeof(*n));

	if (n)
		LIST_INSERT_HEAD(&p->web->namespaces, n, next);
	return n;
}

struct web_namespace *web_kv_make(struct project *p, const char *title, struct err *e)
{
	char id[2 * TASK_ID_LEN + 2];
	struct web_namespace *n, *other;
	unsigned count = 0;

	LIST_FOREACH(other, &p->web->namespaces, next)
		count++;
	if (count >= KV_NAMESPACES_MAX) {
		(void)err_set(e, ERR_LIMIT, 0, "the project has %u KV namespaces: remove some",
			      count);
		return NULL;
	}
	n = namespace_new(p);
	if (!n) {
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a KV namespace");
		return NULL;
	}
	util_new_id(id);
	util_new_id(id + TASK_ID_LEN);
	(void)snprintf(n->row.id, sizeof(n->row.id), "%.*s", KV_ID_LEN, id);
	(void)snprintf(n->row.project, sizeof(n->row.project), "%s", p->id);
	(void)snprintf(n->row.title, sizeof(n->row.title), "%s", title);
	n->row.created_ns = util_realtime_ns();
	return n;
}

/* The namespace that a binding means: what the manifest names, or the worker's own. */
static const char *title_of(const struct web_version *v, const struct manifest_binding *b,
			    char *buf, size_t size)
{
	if (b->target)
		return b->target;
	(void)snprintf(buf, size, "%s-%s", v->worker->row.name, b->name);
	return buf;
}

int web_kv_make_bound(const struct web_version *v, struct err *e)
{
	struct project *p = v->worker->project;
	char buf[KV_TITLE_MAX + 1];

	for (size_t i = 0; i < v->manifest.n_bindings; i++) {
		const struct manifest_binding *b = &v->manifest.bindings[i];

		if (b->type == BINDING_KV && !web_kv_find(p, title_of(v, b, buf, sizeof(buf))) &&
		    !web_kv_make(p, title_of(v, b, buf, sizeof(buf)), e))
			return -EBUSY;
	}
	return 0;
}

/* The next one that a version is bound to and that is not stored, from *at on; NULL: no more. */
static struct web_namespace *bound_next(const struct web_version *v, size_t *at)
{
	char buf[KV_TITLE_MAX + 1];

	while (*at < v->manifest.n_bindings) {
		const struct manifest_binding *b = &v->manifest.bindings[(*at)++];
		struct web_namespace *n =
			b->type == BINDING_KV
				? web_kv_find(v->worker->project, title_of(v, b, buf, sizeof(buf)))
				: NULL;

		if (n && !n->stored)
			return n;
	}
	return NULL;
}

int web_kv_write_bound(struct front *f, const struct web_version *v, struct err *e)
{
	const struct web_namespace *n;
	size_t at = 0;
	int r = 0;

	while (r == 0 && (n = bound_next(v, &at)))
		r = store_kv_namespace_put(f->store, &n->row, e);
	return r;
}

void web_kv_adopt_bound(const struct web_version *v)
{
	struct web_namespace *n;
	size_t at = 0;

	while ((n = bound_next(v, &at)))
		n->stored = true;
}

uint64_t web_kv_now_s(void)
{
	return util_realtime_ns() / SEC;
}

/* One ask that is answered later, to the run if it still is there, or to a client. */
struct web_ask {
	struct change change;
	struct waiter *waiter; /* NULL: a run asks */
	char run[TASK_ID_LEN + 1];
	json_int_t id;
	struct project *project; /* it is not removed before its changes are written */
	struct web_namespace *namespace;
	char key[KV_KEY_MAX + 1];
	bool is_delete;
	char *metadata;
	uint64_t expires_s;
	void *value;
	size_t len;
	int64_t bytes;
};

static void ask_free(struct web_ask *a)
{
	free(a->metadata);
	free(a->value);
	free(a);
}

static int write_ask(struct front *f, struct change *c, struct err *e)
{
	struct web_ask *a = OWNER(c, struct web_ask, change);
	const struct kv_value v = {a->value, a->len, a->metadata, a->expires_s};
	int r = a->namespace->stored ? 0 : store_kv_namespace_put(f->store, &a->namespace->row, e);

	if (r < 0)
		return r;
	if (a->is_delete)
		return store_kv_delete(f->store, a->namespace->row.id, a->key, &a->bytes, e);
	return store_kv_put(f->store, a->namespace->row.id, a->key, &v, &a->bytes, e);
}

static void ask_adopt(struct front *f, struct change *c, bool durable)
{
	struct web_ask *a = OWNER(c, struct web_ask, change);
	struct web_channel *asker = *a->run ? web_channel_of_run(f, a->run) : NULL;

	if (asker && asker->line.held >= a->len)
		asker->line.held -= a->len;
	a->project->n_coming--;
	a->project->web->kv_bytes -= a->len;
	if (durable) {
		a->namespace->stored = true;
		a->project->web->kv_bytes += (uint64_t)a->bytes;
	}
}

static void ask_written(struct front *f, struct change *c, const struct err *error)
{
	struct web_ask *a = OWNER(c, struct web_ask, change);

	if (a->waiter)
		waiter_end(a->waiter, error ? NULL : json_pack("{s:s}", "key", a->key), error);
	else if (error)
		web_answer_error(f, a->run, a->id, "Error", error->msg);
	else
		web_answer(f, a->run, a->id, json_object(), NULL, 0);
	ask_free(a);
}

int web_kv_room(const struct project *p, uint64_t bytes, struct err *e)
{
	const uint64_t max = p->quota.kv_bytes;
	char size[32];

	if (!max || p->web->kv_bytes + bytes <= max)
		return 0;
	return err_set(e, ERR_LIMIT, 0,
		       "KV PUT failed: 507 the project's quota \"kv_bytes\" is %s, and its "
		       "namespaces are full: delete keys, or have the operator change it",
		       util_format_size(max, size, sizeof(size)));
}

int web_kv_check(const struct project *p, const struct web_kv_put *put, struct err *e)
{
	if (!put)
		return 0;
	if (put->metadata && strlen(put->metadata) > KV_METADATA_MAX)
		return err_set(e, ERR_LIMIT, 0, "the metadata is too long");
	if (put->len > KV_VALUE_MAX)
		return err_set(e, ERR_LIMIT, 0, "the value is too long");
	return web_kv_room(p, put->len, e);
}

int web_kv_write(struct front *f, struct project *p, struct web_namespace *n, const char *key,
		 const struct web_kv_put *put, struct waiter *w, const char *run, json_int_t id)
{
	struct kv_many *busy = web_kv_busy(n, key);
	struct web_ask *a;

	if (busy || (put && (put->len > KV_LARGE || !put->value)))
		return web_kv_write_slices(f, p, n, key, put, busy, w, run, id);
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	if (put) {
		a->metadata = put->metadata ? strdup(put->metadata) : NULL;
		a->value = malloc(put->len + 1);
		if (!a->value || (put->metadata && !a->metadata)) {
			ask_free(a);
			return -ENOMEM;
		}
		if (put->len)
			memcpy(a->value, put->value, put->len);
		a->len = put->len;
		a->expires_s = put->expires_s;
	}
	(void)snprintf(a->run, sizeof(a->run), "%s", run);
	a->waiter = w;
	a->id = id;
	a->project = p;
	a->namespace = n;
	a->is_delete = !put;
	(void)snprintf(a->key, sizeof(a->key), "%s", key);
	a->change = (struct change){.write = write_ask, .adopt = ask_adopt, .done = ask_written};
	/* Until it is written and counted, it is counted as what it may be. */
	p->web->kv_bytes += a->len;
	p->n_coming++;
	change_mark(f, &a->change, turn_holder(p), a->len);
	return 0;
}

static void answer(struct web_channel *c, json_int_t id, struct kv_reply *reply)
{
	if (reply->type)
		web_answer_error(c->f, c->run, id, reply->type, reply->message);
	else
		web_answer(c->f, c->run, id, TAKE_PTR(reply->head), reply->body, reply->len);
}

static void write_key(struct web_channel *c, json_int_t id, struct web_namespace *n,
		      const struct kv_ask *ask)
{
	struct project *p = c->version->worker->project;
	struct serve_in *in = &c->line.in;
	void *body = in->body;
	const struct web_kv_put value = {.value = in->body ? (const void *)in->body : "",
					 .len = in->body_len,
					 .owner = &body,
					 .fd = -1,
					 .metadata = ask->metadata,
					 .expires_s = ask->expires_s};
	const struct web_kv_put *put = ask->method == KV_PUT ? &value : NULL;
	struct err e = {0};

	if (web_kv_check(p, put, &e) < 0)
		web_answer_error(c->f, c->run, id, "Error", e.msg);
	else if (web_kv_write(c->f, p, n, ask->key, put, NULL, c->run, id) < 0)
		web_answer_error(c->f, c->run, id, "Error", "out of memory");
	else if (put)
		c->line.held += put->len;
	/* It was taken: the frame has none any more. */
	if (!body && in->body) {
		in->body = NULL;
		in->body_size = 0;
	}
}

static void read_keys(struct web_channel *c, json_int_t id, struct web_namespace *n,
		      const struct kv_ask *ask)
{
	const bool many = ask->method == KV_GET_MANY;
	json_t *keys = many ? json_deep_copy(ask->keys) : json_pack("[s]", ask->key);

	if (!keys ||
	    web_kv_read_keys(c->f, c->version->worker->project, n, keys, many, c->run, id) < 0)
		web_answer_error(c->f, c->run, id, "Error", "out of memory");
}

void web_kv_ask(struct web_channel *c, const struct manifest_binding *b, json_int_t id,
		json_t *head)
{
	_cleanup_kv_reply_ struct kv_reply reply = {0};
	struct project *p = c->version->worker->project;
	char buf[KV_TITLE_MAX + 1];
	const char *title = title_of(c->version, b, buf, sizeof(buf));
	struct web_namespace *n = web_kv_find(p, title);
	struct kv_ask ask;
	struct err e = {0};

	if (!n)
		n = web_kv_make(p, title, &e);
	if (!n)
		kv_refuse(&reply, "Error", e.msg);
	else if (n->going)
		kv_refuse(&reply, "Error", "the namespace is being removed");
	else if (kv_ask_read(head, c->line.in.body_len, &ask, &reply)) {
		if (ask.method == KV_PUT || ask.method == KV_DELETE) {
			write_key(c, id, n, &ask);
			return;
		}
		if (ask.method != KV_GET_MANY)
			store_kv_look(c->f->store, n->row.id, &ask, web_kv_now_s(), &reply);
		if (ask.method == KV_GET_MANY || reply.large) {
			read_keys(c, id, n, &ask);
			return;
		}
	}
	answer(c, id, &reply);
}

/* What has expired is removed by and by. */

static void see_expired(void *arg, const char *project, uint64_t bytes)
{
	struct project *p = project_by_id(arg, project);

	if (p)
		p->web->kv_expired += bytes;
}

static int expire_write(struct front *f, struct change *c, struct err *e)
{
	struct web *w = OWNER(c, struct web, expire);
	int r;

	for (struct project *p = f->core->projects; p; p = p->next)
		p->web->kv_expired = 0;
	r = store_kv_expire(f->store, web_kv_now_s(), EXPIRE_ROWS, see_expired, f, e);
	w->expire_more = r > 0;
	if (r >= 0)
		r = store_kv_large_remove(f->store, GONE_PIECES, e);
	w->expire_more |= r > 0;
	return r < 0 ? r : 0;
}

static void expire_adopt(struct front *f, struct change *c, bool durable)
{
	(void)c;
	for (struct project *p = f->core->projects; durable && p; p = p->next)
		p->web->kv_bytes -= p->web->kv_expired;
}

static void expire_later(struct front *f, struct timer *t);

static void expire_done(struct front *f, struct change *c, const struct err *error)
{
	struct web *w = OWNER(c, struct web, expire);

	timer_set(f, &w->expire_timer,
		  util_monotonic_ns() + (!error && w->expire_more ? 0 : EXPIRE_EVERY_NS),
		  expire_later);
}

static void expire_later(struct front *f, struct timer *t)
{
	struct web *w = OWNER(t, struct web, expire_timer);

	w->expire =
		(struct change){.write = expire_write, .adopt = expire_adopt, .done = expire_done};
	change_mark(f, &w->expire, TURN_NOBODY, 0);
}

static int load_namespace(void *arg, const struct kv_namespace_row *row)
{
	struct project *p = project_by_id(arg, row->project);
	struct web_namespace *n = p ? namespace_new(p) : NULL;

	if (!p)
		return 0;
	if (!n)
		return -ENOMEM;
	n->row = *row;
	n->stored = true;
	return 0;
}

static int kv_load(struct front *f, struct err *e)
{
	int r = store_kv_large_begin(f->store, &f->web->kv_large, e);

	if (r == 0)
		r = store_kv_namespaces(f->store, load_namespace, f, e);

	for (struct project *p = f->core->projects; r == 0 && p; p = p->next)
		if (!LIST_EMPTY(&p->web->namespaces))
			r = store_kv_bytes(f->store, p->id, &p->web->kv_bytes, e);
	if (r == 0)
		timer_set(f, &f->web->expire_timer, util_monotonic_ns() + EXPIRE_EVERY_NS,
			  expire_later);
	return r;
}

static int delete_project(struct front *f, struct project *p, struct err *e)
{
	return store_kv_delete_project(f->store, p->id, e);
}

void web_kv_free(struct project *p)
{
	while (!LIST_EMPTY(&p->web->namespaces)) {
		struct web_namespace *n = LIST_FIRST(&p->web->namespaces);

		LIST_REMOVE(n, next);
		free(n);
	}
}

static const struct part part = {.delete_project = delete_project};

const struct capability web_kv_capability = {
	.name = "kv", .schema = &kv_schema, .load = kv_load, .part = &part, .verbs = web_kv_verbs};
