// SPDX-License-Identifier: Apache-2.0
/*
 * Many keys of a namespace at a time, or one with a long value. They are written a slice a turn, so that
 * nobody waits for all of them; whoever asked is answered when the last is durable. Of many that fail half
 * way the keys before are written, as at Cloudflare.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/param.h>

#include "lib/msg.h"
#include "lib/text.h"
#include "supervisor/front/web/kv.h"
#include "supervisor/front/web/kv_bulk.h"

#define SLICE_BYTES (128u << 10)
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
	/* Of the key at `at`, where its value is long: its number, and how many of its pieces are written; and
	 * the same when the slice is. */
	uint64_t large, large_end;
	unsigned pieces, pieces_end;
	/* Of one key */
	bool single;
	LIST_ENTRY(kv_many) of_namespace;
	struct kv_many *after;	   /* that waits for this one */
	int fd;			   /* owned; in which the value is; -1 */
	uint64_t fd_at;		   /* from here on */
	char run[TASK_ID_LEN + 1]; /* that asks; "": the waiter does */
	json_int_t id;
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

static int write_piece(struct front *f, struct kv_many *m, const struct kv_bulk_item *item,
		       size_t *len, struct err *e)
{
	const size_t at = (size_t)m->pieces_end * KV_PIECE;
	_cleanup_free_ uint8_t *read = NULL;
	const uint8_t *bytes = item->value ? (const uint8_t *)item->value + at : NULL;
	const size_t n = MIN(item->len - at, (size_t)KV_PIECE);
	int r;

	if (!bytes) {
		bytes = read = malloc(n);
		/* It may have become shorter: it is somebody else's file. */
		if (!read || util_pread_all(m->fd, read, n, m->fd_at + at) < 0)
			return err_set(e, ERR_INPUT, 0, "the value cannot be read");
	}
	if (m->pieces_end == 0)
		m->large_end = ++f->web->kv_large;
	r = store_kv_piece_put(f->store, m->large_end, m->pieces_end, bytes, n, e);
	m->pieces_end++;
	*len += n;
	return r;
}

static bool is_whole(const struct kv_many *m, const struct kv_bulk_item *item)
{
	return (size_t)m->pieces_end * KV_PIECE >= item->len;
}

/* Of a long value as much as there is time for. */
static int write_pieces(struct front *f, struct kv_many *m, const struct kv_bulk_item *item,
			size_t *len, int64_t *bytes, struct err *e)
{
	const struct kv_value v = {
		.len = item->len, .metadata = item->metadata, .expires_s = expires(item)};
	int r = 0;

	while (r == 0 && *len < SLICE_BYTES && !is_whole(m, item))
		r = write_piece(f, m, item, len, e);
	if (r == 0 && is_whole(m, item))
		r = store_kv_put_large(f->store, m->namespace->row.id, item->key, m->large_end, &v,
				       bytes, e);
	return r;
}

static int many_write(struct front *f, struct change *c, struct err *e)
{
	struct kv_many *m = OWNER(c, struct kv_many, change);
	int r = m->namespace->stored ? 0 : store_kv_namespace_put(f->store, &m->namespace->row, e);
	size_t len = 0;

	m->bytes = 0;
	m->large_end = m->large;
	m->pieces_end = m->pieces;
	for (m->end = m->at;
	     r == 0 && m->end < m->keys->n && m->end - m->at < TURN_WRITE_ROWS && len < SLICE_BYTES;
	     m->end++) {
		const struct kv_bulk_item *item = &m->keys->items[m->end];
		int64_t bytes = 0;

		if (m->is_delete || item->len <= KV_LARGE) {
			r = write_one(f, m, item, &bytes, e);
			len += item->len;
		} else {
			r = write_pieces(f, m, item, &len, &bytes, e);
			if (r < 0 || !is_whole(m, item))
				return r;
			m->pieces_end = 0;
			m->large_end = 0;
		}
		m->bytes += bytes;
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
	if (!durable)
		return;
	m->namespace->stored = true;
	*total += (uint64_t)m->bytes;
	if (m->pieces_end > m->pieces && m->keys->items[m->end].value)
		util_discard(m->keys->items[m->end].value, (size_t)m->pieces * KV_PIECE,
			     (size_t)m->pieces_end * KV_PIECE);
	m->large = m->large_end;
	m->pieces = m->pieces_end;
	/* To free all of them at the end would take long. */
	for (size_t i = m->at; i < m->end; i++)
		util_free_ptr(&m->keys->items[i].value);
}

static void many_done(struct front *f, struct change *c, const struct err *error);

static void many_mark(struct front *f, struct kv_many *m)
{
	m->change = (struct change){.write = many_write, .adopt = many_adopt, .done = many_done};
	change_mark(f, &m->change, turn_holder(m->project), SLICE_BYTES);
}

static void many_begin(struct front *f, struct kv_many *m)
{
	m->project->n_coming++;
	m->namespace->n_many++;
	if (f->web->n_kv_many++ == 0)
		store_log_short(f->store, true);
}

static void many_over(struct front *f, struct kv_many *m)
{
	m->project->n_coming--;
	m->namespace->n_many--;
	if (--f->web->n_kv_many == 0)
		store_log_short(f->store, false);
}

static void many_free(struct kv_many *m)
{
	util_close_fd(&m->fd);
	kv_bulk_free(m->keys);
	free(m);
}

/* Of one key: whoever comes after it begins. */
static void single_end(struct front *f, struct kv_many *m, const struct err *error)
{
	struct web_channel *asker = *m->run ? web_channel_of_run(f, m->run) : NULL;
	const struct kv_bulk_item *item = &m->keys->items[0];

	LIST_REMOVE(m, of_namespace);
	if (asker && asker->line.held >= item->len)
		asker->line.held -= item->len;
	if (m->waiter)
		waiter_end(m->waiter, error ? NULL : json_pack("{s:s}", "key", item->key), error);
	else if (error)
		web_answer_error(f, m->run, m->id, "Error", error->msg);
	else
		web_answer(f, m->run, m->id, json_object(), NULL, 0);
	if (m->after)
		many_mark(f, m->after);
}

static void many_done(struct front *f, struct change *c, const struct err *error)
{
	struct kv_many *m = OWNER(c, struct kv_many, change);
	struct err e = {0};

	if (!error) {
		m->at = m->end;
		if (m->at < m->keys->n) {
			many_mark(f, m);
			return;
		}
	}
	/* If it cannot be told now, the next front finds it. */
	if (m->large && store_kv_large_drop(f->store, m->large, &e) < 0)
		msg_err("%s", e.msg);
	many_over(f, m);
	if (m->single) {
		single_end(f, m, error);
	} else {
		m->project->web->n_kv_many--;
		waiter_end(m->waiter,
			   error ? NULL : json_pack("{s:I}", "keys", (json_int_t)m->keys->n),
			   error);
	}
	many_free(m);
}

struct kv_many *web_kv_busy(const struct web_namespace *n, const char *key)
{
	struct kv_many *m;

	LIST_FOREACH(m, &n->singles, of_namespace)
		if (!m->after && strcmp(m->keys->items[0].key, key) == 0)
			return m;
	return NULL;
}

/* The value, or where it is: what is in a file is read when it is written. */
static int take_value(struct kv_many *m, const struct web_kv_put *put)
{
	struct kv_bulk_item *item = &m->keys->items[0];

	item->len = put->len;
	item->expires_s = put->expires_s;
	item->metadata = put->metadata ? strdup(put->metadata) : NULL;
	if (put->metadata && !item->metadata)
		return -ENOMEM;
	if (put->value && put->len > KV_LARGE && put->owner) {
		item->value = TAKE_PTR(*put->owner);
		return 0;
	}
	if (!put->value && put->len > KV_LARGE) {
		m->fd = fcntl(put->fd, F_DUPFD_CLOEXEC, 0);
		m->fd_at = put->at;
		return m->fd < 0 ? -ENOMEM : 0;
	}
	item->value = malloc(put->len + 1);
	if (!item->value)
		return -ENOMEM;
	if (!put->value)
		return util_pread_all(put->fd, item->value, put->len, put->at);
	if (put->len)
		memcpy(item->value, put->value, put->len);
	return 0;
}

int web_kv_write_slices(struct front *f, struct project *p, struct web_namespace *n,
			const char *key, const struct web_kv_put *put, struct kv_many *busy,
			struct waiter *w, const char *run, json_int_t id)
{
	struct kv_many *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->fd = -1;
	m->keys = calloc(1, sizeof(*m->keys) + sizeof(m->keys->items[0]));
	if (m->keys) {
		m->keys->n = 1;
		m->keys->items[0].key = strdup(key);
	}
	if (!m->keys || !m->keys->items[0].key || (put && take_value(m, put) < 0)) {
		many_free(m);
		return -ENOMEM;
	}
	(void)snprintf(m->run, sizeof(m->run), "%s", run);
	m->single = true;
	m->waiter = w;
	m->id = id;
	m->project = p;
	m->namespace = n;
	m->is_delete = !put;
	m->counted = put ? put->len : 0;
	p->web->kv_bytes += m->counted;
	many_begin(f, m);
	LIST_INSERT_HEAD(&n->singles, m, of_namespace);
	if (busy)
		busy->after = m;
	else
		many_mark(f, m);
	return 0;
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
	m->fd = -1;
	m->project = c->project;
	m->namespace = n;
	m->keys = keys;
	c->http->read = NULL;
	m->is_delete = is_delete;
	m->counted = keys->bytes;
	c->project->web->kv_bytes += m->counted;
	c->project->web->n_kv_many++;
	many_begin(c->f, m);
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
	/* A longer one is not read at once (KV_AT_ONCE). */
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
