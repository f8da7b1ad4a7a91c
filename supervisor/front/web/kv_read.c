// SPDX-License-Identifier: Apache-2.0
/*
 * Values that are longer than what one turn has time for, or many of them: they are read a slice a turn,
 * and then told as a whole. A value that is replaced while it is read is read anew.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <unistd.h>

#include "supervisor/front/web/kv.h"
#include "supervisor/front/web/web.h"

#define SLICE_BYTES (256u << 10)
#define SLICE_KEYS 16u
#define TRIES_MAX 5u

struct kv_read {
	struct work work;
	struct front *f;
	char namespace[KV_ID_LEN + 1];
	json_t *keys; /* owned; the first `at` are done */
	size_t at;
	json_t *values; /* owned: what is told of each; null where there is none */
	json_t *about;	/* owned: of the key that is being read; NULL: it was not looked for yet */
	uint64_t large; /* of which so many pieces were read, of a value of len bytes; 0: none */
	unsigned pieces, tries;
	size_t len;
	size_t begin; /* where the key's value begins in body */
	uint8_t *body;
	size_t body_len, body_size;
	/* Who is told */
	struct waiter *waiter; /* NULL: the run */
	int fd;		       /* owned; into which the value is written, in place of body; -1 */
	bool many;
	char run[TASK_ID_LEN + 1];
	json_int_t id;
	int error; /* of memory, or of fd; 0 */
};

static void read_free(struct kv_read *x)
{
	json_decref(x->keys);
	json_decref(x->values);
	json_decref(x->about);
	util_close_fd(&x->fd);
	free(x->body);
	free(x);
}

/* Room for so many bytes more. NULL: there is none. */
static uint8_t *more_room(struct kv_read *x, size_t n)
{
	const size_t want = MAX(x->body_len + n, 2 * x->body_size);
	uint8_t *body;

	if (x->body_len + n > x->body_size) {
		body = realloc(x->body, want);
		if (!body) {
			x->error = -ENOMEM;
			return NULL;
		}
		x->body = body;
		x->body_size = want;
	}
	return x->body + x->body_len;
}

static void see(void *arg, const struct kv_value *v)
{
	struct kv_read *x = arg;
	uint8_t *to;

	x->about = web_kv_about(v);
	if (v->large && !v->value) {
		x->large = v->large;
		x->len = v->len;
		return;
	}
	to = more_room(x, v->len);
	if (to && v->len > 0)
		memcpy(to, v->value, v->len);
	if (to)
		x->body_len += v->len;
}

static void begin_key(struct kv_read *x)
{
	json_decref(x->about);
	x->about = NULL;
	x->large = 0;
	x->pieces = 0;
	x->body_len = x->begin;
}

static void end_key(struct kv_read *x, bool found)
{
	(void)json_array_append_new(x->values, found ? json_incref(x->about) : json_null());
	x->at++;
	x->begin = x->body_len;
	x->tries = 0;
	begin_key(x);
}

/* The next piece of the key's value. */
static int read_piece(struct kv_read *x, size_t *budget, struct err *e)
{
	uint8_t *to = more_room(x, KV_PIECE);
	size_t n = 0;
	int r = to ? store_kv_piece(x->f->store, x->large, x->pieces, to, &n, e) : -ENOMEM;

	if (r == -ENOENT && ++x->tries < TRIES_MAX) {
		begin_key(x);
		return 0;
	}
	if (r < 0)
		return r;
	if (x->fd >= 0 && pwrite(x->fd, to, n, (off_t)x->pieces * KV_PIECE) != (ssize_t)n) {
		x->error = -EIO;
		return -EIO;
	}
	if (x->fd < 0)
		x->body_len += n;
	x->pieces++;
	*budget -= MIN(n, *budget);
	if ((size_t)x->pieces * KV_PIECE >= x->len)
		end_key(x, true);
	return 0;
}

/* Looks for the next key, and has its value if it is short. */
static int read_key(struct kv_read *x, size_t *budget, struct err *e)
{
	const char *key = json_string_value(json_array_get(x->keys, x->at));
	int r = store_kv_get(x->f->store, x->namespace, key, web_kv_now_s(), see, x, e);

	if (r == 0 && x->error)
		r = x->error;
	if (r < 0 && r != -ENOENT)
		return r;
	*budget -= MIN(x->body_len - x->begin, *budget);
	if (r == 0 && x->fd >= 0 && !x->large &&
	    (ftruncate(x->fd, 0) < 0 ||
	     pwrite(x->fd, x->body, x->body_len, 0) != (ssize_t)x->body_len)) {
		x->error = -EIO;
		return -EIO;
	}
	if (r == 0 && x->large && x->fd >= 0 && ftruncate(x->fd, 0) < 0) {
		x->error = -EIO;
		return -EIO;
	}
	if (x->body_len + (x->large ? x->len : 0) > KV_VALUE_MAX)
		return err_set(e, ERR_LIMIT, 0, "the values are too long together");
	if (r == -ENOENT || !x->large)
		end_key(x, r == 0);
	return 0;
}

static void tell_run(struct kv_read *x)
{
	json_t *head = json_object(), *one;

	if (x->many) {
		(void)json_object_set(head, "values", x->values);
	} else {
		one = json_array_get(x->values, 0);
		(void)json_object_set_new(head, "found", json_boolean(json_is_object(one)));
		if (json_is_object(one)) {
			(void)json_object_update(head, one);
			(void)json_object_del(head, "len");
		}
	}
	web_answer_taken(x->f, x->run, x->id, head, TAKE_PTR(x->body), x->body_len);
}

static void tell_waiter(struct kv_read *x)
{
	json_t *about = json_array_get(x->values, 0);
	struct err e = {0};

	if (!json_is_object(about)) {
		(void)err_set(&e, ERR_NOT_FOUND, 0, "there is no key of this name any more");
		waiter_end(x->waiter, NULL, &e);
	} else if (x->fd >= 0) {
		waiter_end(x->waiter, json_incref(about), NULL);
	} else {
		if (x->waiter->client.http)
			web_kv_reply_value(x->waiter->client.http, (char *)TAKE_PTR(x->body),
					   x->body_len, about);
		waiter_free(x->waiter);
	}
}

static void fail(struct kv_read *x, int r, struct err *e)
{
	if (e->code == ERR_NONE)
		(void)err_set(e, ERR_SYSTEM, -r, "the value cannot be read");
	if (x->waiter)
		waiter_end(x->waiter, NULL, e);
	else
		web_answer_error(x->f, x->run, x->id, "Error", e->msg);
	read_free(x);
}

static bool read_slice(struct front *f, struct work *w)
{
	struct kv_read *x = OWNER(w, struct kv_read, work);
	size_t budget = SLICE_BYTES;
	struct err e = {0};
	int r = 0;

	(void)f;
	for (unsigned n = 0;
	     r == 0 && budget > 0 && n < SLICE_KEYS && x->at < json_array_size(x->keys); n++)
		r = x->large ? read_piece(x, &budget, &e) : read_key(x, &budget, &e);
	if (r < 0) {
		fail(x, r, &e);
		return false;
	}
	if (x->at < json_array_size(x->keys))
		return true;
	if (x->waiter)
		tell_waiter(x);
	else
		tell_run(x);
	read_free(x);
	return false;
}

static void read_drop(struct front *f, struct work *w)
{
	struct kv_read *x = OWNER(w, struct kv_read, work);
	struct err e = {0};

	(void)f;
	(void)turn_over(&e);
	if (x->waiter)
		waiter_end(x->waiter, NULL, &e);
	read_free(x);
}

/* Steals keys. */
static struct kv_read *read_new(struct front *f, const struct web_namespace *n, json_t *keys)
{
	struct kv_read *x = calloc(1, sizeof(*x));

	if (!x || !keys) {
		json_decref(keys);
		free(x);
		return NULL;
	}
	x->work = (struct work){.slice = read_slice, .drop = read_drop};
	x->f = f;
	x->fd = -1;
	x->keys = keys;
	x->values = json_array();
	memcpy(x->namespace, n->row.id, sizeof(x->namespace));
	return x;
}

int web_kv_read_keys(struct front *f, struct project *p, const struct web_namespace *n,
		     json_t *keys, bool many, const char *run, json_int_t id)
{
	struct kv_read *x = read_new(f, n, keys);

	if (!x)
		return -ENOMEM;
	(void)snprintf(x->run, sizeof(x->run), "%s", run);
	x->id = id;
	x->many = many;
	turn_add(f, turn_holder(p), TURN_QUERY, &x->work);
	return 0;
}

int web_kv_read_value(struct front *f, struct project *p, const struct web_namespace *n,
		      const char *key, struct waiter *w, int fd)
{
	struct kv_read *x = read_new(f, n, json_pack("[s]", key));

	if (!x) {
		util_close_fd(&fd);
		return -ENOMEM;
	}
	x->waiter = w;
	x->fd = fd;
	turn_add(f, turn_holder(p), TURN_QUERY, &x->work);
	return 0;
}
