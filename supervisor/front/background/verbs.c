// SPDX-License-Identifier: Apache-2.0
/* What can be asked of background workers. That a folder becomes one, or another version of one, is a
 * service's matter (service_put). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/front/background/background.h"

#define ALL "/api/projects/{project}/background"
#define ONE ALL "/{worker}"
#define DEAD_MAX 100u

static const char *state_of(struct background *b)
{
	const struct service_replica *r;

	if (b->row.stopped)
		return "stopped";
	LIST_FOREACH(r, &b->service->replicas, next)
		if (r->replica.wanted && r->replica.state == REPLICA_BACKOFF)
			return "backoff";
	return service_state(b->service);
}

static json_t *worker_json(struct front *f, struct background *b)
{
	const struct service_manifest *m = background_manifest(b);
	const struct background_line *l;
	char name[BACKGROUND_NAME_MAX + 1];
	unsigned n_working = 0;
	json_t *o, *service = service_json(f, b->service);

	LIST_FOREACH(l, &b->lines, next)
		n_working += l->goes;
	background_name(b->service, name);
	o = json_pack("{s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:s}", "name",
		      name, "kind", b->kind, "state", state_of(b), "working", (int)n_working,
		      "ready", (json_int_t)b->counts.n[BACKGROUND_READY], "held",
		      (json_int_t)b->counts.n[BACKGROUND_HELD], "later",
		      (json_int_t)b->counts.n[BACKGROUND_LATER], "dead",
		      (json_int_t)b->counts.n[BACKGROUND_DEAD], "bytes",
		      (json_int_t)b->counts.bytes, "done", (json_int_t)b->row.done, "failed",
		      (json_int_t)b->row.failed, "triggered", b->row.triggered > b->row.ran,
		      "worker",
		      m ? json_string_value(
				  json_object_get(json_object_get(m->doc, "background"), "worker"))
			: "");
	for (unsigned i = 0; i < 5; i++) {
		static const char *const keys[] = {"instances", "restarts", "replicas", "revision",
						   "failure"};

		json_object_set(o, keys[i], json_object_get(service, keys[i]));
	}
	json_object_set_new(o, "last_run", json_string(b->last_run));
	json_decref(service);
	return o;
}

static int verb_ls(struct call *c, struct err *e)
{
	json_auto_t *all = json_array();
	struct service *s;
	int r = call_end_project(c, e);

	if (r < 0)
		return r;
	LIST_FOREACH(s, &c->project->service->services, next)
		if (s->stored && s->background && s->background->stored)
			json_array_append_new(all, worker_json(c->f, s->background));
	call_reply(c, json_pack("{s:O}", "workers", all));
	return 0;
}

/* Reads "worker" and "project", the last of what is read. */
static int call_worker(struct call *c, struct background **ret, struct err *e)
{
	const char *name = call_string(c, "worker", BACKGROUND_NAME_MAX);
	char shown[128];
	int r;

	if (!name)
		(void)json_strict_fail(c->in, "worker", "must be given");
	r = call_end_project(c, e);
	if (r < 0)
		return r;
	*ret = background_by_name(c->project, name);
	return *ret ? 0
		    : err_set(e, ERR_NOT_FOUND, 0,
			      "there is no background worker %s in this project",
			      util_escape(name, shown, sizeof(shown)));
}

static int verb_info(struct call *c, struct err *e)
{
	struct background *b;
	int r = call_worker(c, &b, e);

	if (r == 0)
		call_reply(c, json_pack("{s:o}", "worker", worker_json(c->f, b)));
	return r;
}

/* put */

/* By what a PriorityQueue takes it: the item, or its first element, if that is a number. */
static double rank_of(const json_t *item)
{
	const json_t *first = json_is_array(item) ? json_array_get(item, 0) : item;
	const double rank = json_is_number(first) ? json_number_value(first) : 0;

	return isfinite(rank) ? rank : 0;
}

static int fill_item(const json_t *from, struct background_item *to, struct err *e)
{
	to->value = json_dumps(from, JSON_COMPACT | JSON_ENCODE_ANY);
	if (!to->value)
		return err_set(e, ERR_SYSTEM, ENOMEM, "an item");
	to->len = strlen(to->value);
	to->kind = BACKGROUND_JSON;
	to->rank = rank_of(from);
	if (to->len <= BACKGROUND_ITEM_MAX)
		return 0;
	return err_set(e, ERR_LIMIT, 0, "an item has %zu bytes, more than %u", to->len,
		       BACKGROUND_ITEM_MAX);
}

/* "item", or "items", a list of some. null is an item. Where there is no such worker, that is told first. */
static json_t *read_items(const json_t *one, json_t *many, struct err *e)
{
	if (!one == !many)
		(void)err_set(e, ERR_INPUT, 0,
			      "request: item: must be given, or items: a list of them");
	else if (many && (!json_is_array(many) || json_array_size(many) == 0 ||
			  json_array_size(many) > BACKGROUND_RECORDS_MAX))
		(void)err_set(e, ERR_INPUT, 0, "request: items: must be a list of 1 to %u items",
			      BACKGROUND_RECORDS_MAX);
	else
		return one ? json_pack("[O]", one) : json_incref(many);
	return NULL;
}

static int verb_put(struct call *c, struct err *e)
{
	const json_t *one = json_object_get(c->in->obj, "item");
	json_t *many = call_get(c, "items"), *item;
	struct background_item *items;
	json_auto_t *list = NULL;
	struct waiter *waiter;
	struct background *b;
	uint64_t bytes = 0;
	unsigned n = 0;
	size_t i;
	int r;

	(void)call_get(c, "item");
	r = call_worker(c, &b, e);
	if (r < 0)
		return r;
	list = read_items(one, many, e);
	if (!list)
		return e->code ? -EINVAL : err_set(e, ERR_SYSTEM, ENOMEM, "items");
	items = calloc(json_array_size(list), sizeof(*items));
	if (!items)
		return err_set(e, ERR_SYSTEM, ENOMEM, "items");
	json_array_foreach(list, i, item)
	{
		if (r == 0)
			r = fill_item(item, &items[n++], e);
		bytes += r == 0 ? items[i].len : 0;
	}
	if (r == 0)
		r = background_room(c->project, n, bytes, e);
	waiter = r == 0 ? call_later(c, e) : NULL;
	if (!waiter) {
		background_items_free(items, n);
		return r < 0 ? r : -EBUSY;
	}
	if (background_put(b, items, n, waiter, NULL, 0, e) < 0)
		waiter_end(waiter, NULL, e);
	return 0;
}

/* Its row */

static int change_row(struct call *c, struct background *b, const char *msg, struct err *e)
{
	struct waiter *waiter = call_later(c, e);

	if (!waiter)
		return -EBUSY;
	if (background_write(b, waiter, msg, e) < 0)
		waiter_end(waiter, NULL, e);
	return 0;
}

static int verb_trigger(struct call *c, struct err *e)
{
	struct background *b;
	int r = call_worker(c, &b, e);

	if (r < 0)
		return r;
	if (*b->kind && strcmp(b->kind, "event") != 0 && strcmp(b->kind, "interval") != 0)
		return err_set(e, ERR_INPUT, 0,
			       "worker: it is of the kind %s: event and interval workers are "
			       "triggered",
			       b->kind);
	b->wanted.triggered++;
	return change_row(c, b, "Triggered", e);
}

static int verb_stop(struct call *c, struct err *e)
{
	struct background *b;
	int r = call_worker(c, &b, e);

	if (r < 0)
		return r;
	b->wanted.stopped = true;
	return change_row(c, b, "Stopped", e);
}

static int verb_start(struct call *c, struct err *e)
{
	struct background *b;
	int r = call_worker(c, &b, e);

	if (r < 0)
		return r;
	b->wanted.stopped = false;
	return change_row(c, b, "Started", e);
}

static int verb_restart(struct call *c, struct err *e)
{
	struct service_version *v;
	struct background *b;
	int r = call_worker(c, &b, e);

	if (r < 0)
		return r;
	v = service_live(b->service);
	if (b->row.stopped || !v) {
		b->wanted.stopped = false;
		return change_row(c, b, "Started", e);
	}
	return service_call_roll(c, v, NULL, e);
}

static int verb_worker_at_work_rm(struct call *c, struct err *e)
{
	struct background *b;
	int r = call_worker(c, &b, e);

	return r < 0 ? r : service_call_rm(c, b->service, e);
}

/* Dead letters */

/* Of a sandbox: it may be no UTF-8. */
static json_t *error_json(const char *text)
{
	char shown[2 * BACKGROUND_ERROR_MAX];
	json_t *s = json_string(text ? text : "");

	return s ? s : json_string(util_escape(text, shown, sizeof(shown)));
}

static json_t *item_json(const struct background_item *item)
{
	json_t *value = item->kind == BACKGROUND_JSON
				? json_loadb(item->value, item->len, JSON_DECODE_ANY, NULL)
				: NULL;
	json_t *o = json_pack("{s:I, s:s, s:i, s:I, s:I, s:o}", "id", (json_int_t)item->id, "kind",
			      item->kind == BACKGROUND_JSON ? "json" : "pickle", "failures",
			      (int)item->failures, "put_ns", (json_int_t)item->put_ns, "bytes",
			      (json_int_t)item->len, "error", error_json(item->error));

	json_object_set_new(o, "item", value ? value : json_null());
	return o;
}

static int add_dead(void *arg, const struct background_item *item)
{
	json_t *o = item_json(item);

	return o && json_array_append_new(arg, o) == 0 ? 0 : -ENOMEM;
}

static int verb_dead(struct call *c, struct err *e)
{
	int64_t after = 0, limit = DEAD_MAX;
	json_auto_t *all = json_array();
	struct background *b;
	int r;

	(void)call_int(c, "after", 0, INT64_MAX, &after);
	(void)call_int(c, "limit", 1, DEAD_MAX, &limit);
	r = call_worker(c, &b, e);
	if (r == 0)
		r = store_background_dead(c->f->store, b->row.queue, (uint64_t)after,
					  (unsigned)limit, add_dead, all, e);
	if (r == 0)
		call_reply(c, json_pack("{s:O}", "dead_letters", all));
	else if (!e->code)
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "dead letters");
	return r;
}

struct again {
	struct change change;
	uint64_t queue, id, n, all;
	struct waiter *waiter;
	unsigned holder;
	bool rm;
};

static int again_write(struct front *f, struct change *c, struct err *e)
{
	struct again *x = OWNER(c, struct again, change);

	x->n = 0;
	if (x->rm)
		return store_background_dead_rm(f->store, x->queue, x->id, BACKGROUND_TURN_ROWS,
						&x->n, e);
	return store_background_retry(f->store, x->queue, x->id, BACKGROUND_TURN_ROWS, &x->n, e);
}

static void again_adopt(struct front *f, struct change *c, bool durable)
{
	struct again *x = OWNER(c, struct again, change);
	struct background *b = background_find(f, x->queue);

	if (!b || !durable)
		return;
	b->counts.n[BACKGROUND_DEAD] -= x->n;
	if (!x->rm)
		b->counts.n[BACKGROUND_READY] += x->n;
	if (x->n)
		b->better = -INFINITY;
}

static void again_done(struct front *f, struct change *c, const struct err *error)
{
	struct again *x = OWNER(c, struct again, change);
	struct background *b = background_find(f, x->queue);
	struct err none = {0};

	x->all += error ? 0 : x->n;
	if (b)
		background_look(b);
	if (b && !error && !x->id && x->n == BACKGROUND_TURN_ROWS) {
		change_mark(f, c, x->holder, 0);
		return;
	}
	/* What they had of the quota of bytes is counted anew. */
	if (b && x->rm && !error)
		(void)store_background_counts(f->store, x->queue, &b->counts, &none);
	if (!error && x->id && !x->all) {
		(void)err_set(&none, ERR_NOT_FOUND, 0, "id: there is no such dead letter");
		error = &none;
	}
	waiter_end(x->waiter, error ? NULL : json_pack("{s:I}", "items", (json_int_t)x->all),
		   error);
	free(x);
}

static int change_dead(struct call *c, bool rm, struct err *e)
{
	struct background *b;
	struct again *x;
	int64_t id = 0;
	int r;

	(void)call_int(c, "id", 1, INT64_MAX, &id);
	r = call_worker(c, &b, e);
	if (r < 0)
		return r;
	x = calloc(1, sizeof(*x));
	if (!x)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot retry");
	x->waiter = call_later(c, e);
	if (!x->waiter) {
		free(x);
		return -EBUSY;
	}
	x->queue = b->row.queue;
	x->id = (uint64_t)id;
	x->rm = rm;
	x->holder = turn_holder(c->project);
	x->change = (struct change){.write = again_write, .adopt = again_adopt, .done = again_done};
	change_mark(c->f, &x->change, x->holder, 0);
	return 0;
}

static int verb_retry_dead(struct call *c, struct err *e)
{
	return change_dead(c, false, e);
}

static int verb_rm_dead(struct call *c, struct err *e)
{
	return change_dead(c, true, e);
}

/* clang-format off */
const struct verb background_verbs[] = {
	{"background_ls", "GET", ALL, WHO_PROJECT, verb_ls},
	{"background_info", "GET", ONE, WHO_PROJECT, verb_info},
	{"background_put", "POST", ONE "/items", WHO_PROJECT, verb_put, .body = ""},
	{"background_trigger", "POST", ONE "/trigger", WHO_PROJECT, verb_trigger, .body = ""},
	{"background_stop", "POST", ONE "/stop", WHO_PROJECT, verb_stop, .body = ""},
	{"background_start", "POST", ONE "/start", WHO_PROJECT, verb_start, .body = ""},
	{"background_restart", "POST", ONE "/restart", WHO_PROJECT, verb_restart, .fds_max = 1,
	 .body = ""},
	{"background_rm", "DELETE", ONE, WHO_PROJECT, verb_worker_at_work_rm},
	{"background_dead", "GET", ONE "/dead_letters", WHO_PROJECT, verb_dead},
	{"background_retry", "POST", ONE "/dead_letters/retry", WHO_PROJECT, verb_retry_dead,
	 .body = ""},
	{"background_dead_rm", "POST", ONE "/dead_letters/remove", WHO_PROJECT, verb_rm_dead,
	 .body = ""},
	{0},
};
/* clang-format on */
