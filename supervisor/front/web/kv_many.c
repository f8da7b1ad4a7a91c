// SPDX-License-Identifier: Apache-2.0
/*
 * Many keys of a namespace at a time. They are written a slice a turn, so that nobody waits for all of
 * them; whoever asked is answered when the last is durable. Of one that fails half way the keys before
 * are written, as at Cloudflare.
 */
#include <string.h>

#include "lib/text.h"
#include "supervisor/front/web/kv.h"
#include "supervisor/front/web/kv_bulk.h"

#define SLICE_BYTES (256u << 10)
#define MANY_MAX 4u /* of a project, at a time: each has its keys in memory */
#define GET_KEYS_MAX 100u
#define GET_BYTES_MAX (1u << 20) /* of the values of one answer */

struct kv_many {
	struct change change;
	struct waiter *waiter;
	struct project *project; /* it is not removed before its changes are written */
	struct web_namespace *namespace;
	struct kv_bulk *keys;
	bool is_delete;
	size_t at, end;	  /* the slice that is being written */
	uint64_t counted; /* of kv_bytes, until they are written */
	int64_t bytes;	  /* by which the slice makes the namespace longer */
};

static uint64_t expires(const struct kv_bulk_item *item)
{
	return item->ttl_s ? web_kv_now_s() + item->ttl_s : item->expires_s;
}

static int write_one(struct front *f, struct kv_many *m, const struct kv_bulk_item *item,
		     int64_t *bytes, struct err *e)
{
	const struct kv_value v = {item->value, item->len, item->metadata, expires(item)};

	if (m->is_delete)
		return store_kv_delete(f->store, m->namespace->row.id, item->key, bytes, e);
	return store_kv_put(f->store, m->namespace->row.id, item->key, &v, bytes, e);
}

static int many_write(struct front *f, struct change *c, struct err *e)
{
	struct kv_many *m = OWNER(c, struct kv_many, change);
	int r = m->namespace->stored ? 0 : store_kv_namespace_put(f->store, &m->namespace->row, e);
	size_t len = 0;

	m->bytes = 0;
	for (m->end = m->at;
	     r == 0 && m->end < m->keys->n && m->end - m->at < TURN_WRITE_ROWS && len < SLICE_BYTES;
	     m->end++) {
		int64_t bytes = 0;

		r = write_one(f, m, &m->keys->items[m->end], &bytes, e);
		m->bytes += bytes;
		len += m->keys->items[m->end].len;
	}
	return r;
}

static void many_adopt(struct front *f, struct change *c, bool durable)
{
	struct kv_many *m = OWNER(c, struct kv_many, change);
	uint64_t *total = &m->project->web->kv_bytes, len = 0;

	(void)f;
	for (size_t i = m->at; i < m->end; i++)
		len += m->keys->items[i].len;
	if (!durable)
		len = m->counted;
	m->counted -= len;
	*total -= len;
	if (durable) {
		m->namespace->stored = true;
		*total += (uint64_t)m->bytes;
	}
}

static void many_done(struct front *f, struct change *c, const struct err *error);

static void many_mark(struct front *f, struct kv_many *m)
{
	m->change = (struct change){.write = many_write, .adopt = many_adopt, .done = many_done};
	change_mark(f, &m->change, turn_holder(m->project), SLICE_BYTES);
}

static void many_done(struct front *f, struct change *c, const struct err *error)
{
	struct kv_many *m = OWNER(c, struct kv_many, change);

	m->at = m->end;
	if (!error && m->at < m->keys->n) {
		many_mark(f, m);
		return;
	}
	m->project->n_coming--;
	m->project->web->n_kv_many--;
	m->namespace->n_many--;
	waiter_end(m->waiter, error ? NULL : json_pack("{s:I}", "keys", (json_int_t)m->keys->n),
		   error);
	kv_bulk_free(m->keys);
	free(m);
}

static int check_all(struct call *c, const struct kv_bulk *keys, struct err *e)
{
	int r = web_kv_room(c->project, keys->bytes, e);

	if (c->project->web->n_kv_many >= MANY_MAX)
		return err_set(e, ERR_UNAVAILABLE, 0,
			       "%u requests of many keys are being written: try again later",
			       MANY_MAX);
	if (r < 0)
		return r;
	for (size_t i = 0; i < keys->n; i++) {
		const uint64_t at = expires(&keys->items[i]);

		if (at && at < web_kv_now_s() + KV_TTL_MIN)
			return err_set(e, ERR_INPUT, 0,
				       "keys[%zu].expiration: must be at least %u seconds in the "
				       "future",
				       i, KV_TTL_MIN);
	}
	return 0;
}

static int begin(struct call *c, bool is_delete, struct err *e)
{
	struct kv_bulk *keys = c->http->read;
	struct web_namespace *n;
	struct kv_many *m;
	int r = web_kv_call_namespace(c, &n, e);

	/* The row's reader has made them of any body. */
	if (!keys)
		return err_set(e, ERR_INPUT, 0, "the keys must be the body, as JSON");
	if (r == 0 && c->project->going)
		r = err_set(e, ERR_CONFLICT, 0, "project: %s is being removed", c->project->name);
	if (r == 0)
		r = check_all(c, keys, e);
	if (r < 0)
		return r;
	m = calloc(1, sizeof(*m));
	if (!m)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot write the keys");
	m->waiter = call_later(c, e);
	if (!m->waiter) {
		free(m);
		return -EBUSY;
	}
	m->project = c->project;
	m->namespace = n;
	m->keys = keys;
	c->http->read = NULL;
	m->is_delete = is_delete;
	m->counted = keys->bytes;
	c->project->web->kv_bytes += m->counted;
	c->project->n_coming++;
	c->project->web->n_kv_many++;
	n->n_many++;
	many_mark(c->f, m);
	return 0;
}

int web_kv_bulk_put(struct call *c, struct err *e)
{
	return begin(c, false, e);
}

int web_kv_bulk_delete(struct call *c, struct err *e)
{
	return begin(c, true, e);
}

/* Of one key, as its value or as an object. */
struct seen {
	json_t *value; /* owned; NULL: it is no text */
	json_t *metadata;
	size_t bytes; /* of all values until now */
};

static void see(void *arg, const struct kv_value *v)
{
	struct seen *x = arg;

	x->bytes += v->len;
	if (x->bytes <= GET_BYTES_MAX)
		x->value = json_stringn(v->value ? v->value : "", v->len);
	x->metadata = kv_metadata(v->metadata);
}

static int get_one(struct call *c, const struct web_namespace *n, const char *key,
		   bool with_metadata, json_t *values, struct seen *x, struct err *e)
{
	char shown[80];
	int r;

	x->value = x->metadata = NULL;
	r = store_kv_get(c->f->store, n->row.id, key, web_kv_now_s(), see, x, e);
	if (r == -ENOENT)
		return json_object_set_new(values, key, json_null());
	if (r == 0 && !x->value)
		r = err_set(e, ERR_LIMIT, 0,
			    x->bytes > GET_BYTES_MAX
				    ? "the values are longer than 1 MiB together, at \"%s\": get "
				      "them one at a time"
				    : "the value of \"%s\" is no text: get it alone",
			    util_escape(key, shown, sizeof(shown)));
	if (r < 0) {
		json_decref(x->value);
		json_decref(x->metadata);
		return r;
	}
	if (!with_metadata) {
		json_decref(x->metadata);
		return json_object_set_new(values, key, x->value);
	}
	return json_object_set_new(
		values, key, json_pack("{s:o, s:o}", "value", x->value, "metadata", x->metadata));
}

int web_kv_bulk_get(struct call *c, struct err *e)
{
	const json_t *keys = call_array(c, "keys", GET_KEYS_MAX);
	json_auto_t *values = json_object();
	struct web_namespace *n;
	bool with_metadata = false;
	struct seen x = {0};
	int r;

	(void)call_bool(c, "withMetadata", &with_metadata);
	(void)call_string(c, "type", 16);
	if (json_array_size(keys) == 0)
		(void)json_strict_fail(c->in, "keys", "must be an array of 1 to %u keys",
				       GET_KEYS_MAX);
	for (size_t i = 0; i < json_array_size(keys); i++) {
		const char *key = json_strict_item_string(c->in, "keys", i, KV_KEY_MAX);

		if (key && !*key)
			(void)json_strict_item_fail(c->in, "keys", i,
						    "must be a text of 1 to %u bytes", KV_KEY_MAX);
	}
	r = web_kv_call_namespace(c, &n, e);
	for (size_t i = 0; r == 0 && i < json_array_size(keys); i++)
		r = get_one(c, n, json_string_value(json_array_get(keys, i)), with_metadata, values,
			    &x, e);
	if (r == 0)
		call_reply(c, json_pack("{s:O}", "values", values));
	return r;
}
