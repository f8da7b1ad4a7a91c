// SPDX-License-Identifier: Apache-2.0
/*
 * What becomes of items, each step a change that is written at the turn's end and told after that. Whoever
 * has asked may be gone by then, and so may the worker: both are looked up again.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lib/msg.h"
#include "supervisor/front/background/background.h"

static void project_coming(struct front *f, const char *id, int by)
{
	struct project *p = project_by_id(f, id);

	if (p)
		p->n_coming = by > 0 ? p->n_coming + 1 : p->n_coming - 1;
}

static void tell(struct front *f, uint64_t queue, const char *run, json_t *head)
{
	struct background *b = background_find(f, queue);
	struct background_line *l = b && *run ? background_line_of(b, run) : NULL;

	if (l)
		channel_send(&l->channel, head, NULL, 0);
	else
		json_decref(head);
}

/* What it has said is done with, and more is read of it. */
static void release_held(struct front *f, uint64_t queue, const char *run, size_t held)
{
	struct background *b = background_find(f, queue);
	struct background_line *l = b && *run ? background_line_of(b, run) : NULL;

	if (l && l->channel.held >= held)
		l->channel.held -= held;
}

void background_items_free(struct background_item *items, unsigned n)
{
	for (unsigned i = 0; items && i < n; i++)
		free(items[i].value);
	free(items);
}

/* put */

struct put {
	struct change change;
	uint64_t queue, from; /* from: of the worker whose process has put it */
	char project[PROJECT_ID_LEN + 1], run[TASK_ID_LEN + 1];
	struct waiter *waiter;
	json_int_t seq;
	struct background_item *items;
	unsigned n;
	size_t bytes;
	double lowest;
};

static int put_write(struct front *f, struct change *c, struct err *e)
{
	struct put *x = OWNER(c, struct put, change);

	if (!background_find(f, x->queue))
		return x->change.must ? 0 : err_set(e, ERR_NOT_FOUND, 0, "the worker was removed");
	return store_background_add(f->store, x->queue, x->items, x->n, e);
}

static void put_adopt(struct front *f, struct change *c, bool durable)
{
	struct put *x = OWNER(c, struct put, change);
	struct background *b = background_find(f, x->queue);

	/* It is tried again. */
	if (!durable && x->change.must)
		return;
	project_coming(f, x->project, -1);
	if (!b)
		return;
	b->n_coming -= x->n;
	b->bytes_coming -= x->bytes;
	if (!durable)
		return;
	f->background->put += x->n;
	b->counts.n[BACKGROUND_READY] += x->n;
	b->counts.bytes += x->bytes;
	if (x->lowest < b->better)
		b->better = x->lowest;
}

static json_t *ids_json(const struct put *x)
{
	json_t *ids = json_array();

	for (unsigned i = 0; i < x->n; i++)
		json_array_append_new(ids, json_integer((json_int_t)x->items[i].id));
	return json_pack("{s:o}", "ids", ids);
}

static void put_done(struct front *f, struct change *c, const struct err *error)
{
	struct put *x = OWNER(c, struct put, change);
	struct background *b = background_find(f, x->queue);

	/* It is tried again, unless the front ends. */
	if (error && c->marked)
		return;
	release_held(f, x->from, x->run, BACKGROUND_FRAME_HELD);
	if (x->waiter)
		waiter_end(x->waiter, error ? NULL : ids_json(x), error);
	else if (error)
		tell(f, x->from, x->run,
		     json_pack("{s:s, s:I, s:s}", "op", "refused", "n", x->seq, "message",
			       error->msg));
	else
		tell(f, x->from, x->run, json_pack("{s:s, s:I}", "op", "told", "n", x->seq));
	if (b)
		background_look(b);
	background_items_free(x->items, x->n);
	free(x);
}

int background_put(struct background *b, struct background_item *items, unsigned n,
		   struct waiter *waiter, const struct background_line *from, json_int_t seq,
		   struct err *e)
{
	struct project *p = b->service->project;
	struct put *x = calloc(1, sizeof(*x));
	const uint64_t now_ns = util_realtime_ns();

	if (!x) {
		background_items_free(items, n);
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot put an item");
	}
	*x = (struct put){.queue = b->row.queue,
			  .waiter = waiter,
			  .seq = seq,
			  .items = items,
			  .n = n,
			  .lowest = INFINITY};
	memcpy(x->project, p->id, sizeof(x->project));
	if (from) {
		x->from = from->b->row.queue;
		memcpy(x->run, from->run, sizeof(x->run));
	}
	for (unsigned i = 0; i < n; i++) {
		items[i].put_ns = now_ns;
		x->bytes += items[i].len;
		if (items[i].rank < x->lowest)
			x->lowest = items[i].rank;
	}
	x->change = (struct change){.write = put_write, .adopt = put_adopt, .done = put_done};
	/* What an executor has put is written with its end, or before. */
	x->change.must = from != NULL;
	b->n_coming += n;
	b->bytes_coming += x->bytes;
	p->n_coming++;
	change_mark(b->f, &x->change, turn_holder(p), x->bytes);
	return 0;
}

/* take */

struct take {
	struct change change;
	uint64_t queue;
	char run[TASK_ID_LEN + 1];
	unsigned max, n;
	bool by_rank;
	double below;
	struct background_item *items;
};

static void take_clear(struct take *x)
{
	for (unsigned i = 0; i < x->n; i++)
		free(x->items[i].value);
	x->n = 0;
}

static int take_write(struct front *f, struct change *c, struct err *e)
{
	struct take *x = OWNER(c, struct take, change);

	/* It may be tried more than once. */
	take_clear(x);
	if (!background_find(f, x->queue))
		return 0;
	return store_background_take(f->store, x->queue, x->by_rank, x->below, x->run, x->max,
				     BACKGROUND_FRAME_MAX / 2, x->items, &x->n, e);
}

static void take_adopt(struct front *f, struct change *c, bool durable)
{
	struct take *x = OWNER(c, struct take, change);
	struct background *b = background_find(f, x->queue);

	if (!durable)
		take_clear(x);
	if (!b)
		return;
	b->counts.n[BACKGROUND_READY] -= x->n;
	b->counts.n[BACKGROUND_HELD] += x->n;
}

/* A frame of them; -ENOMEM: none was sent. */
static int give(struct background_line *l, const struct take *x)
{
	size_t len = 0, at = 0;
	uint8_t *body;

	for (unsigned i = 0; i < x->n; i++)
		len += BACKGROUND_ITEM_HEAD + x->items[i].len;
	body = malloc(len);
	if (!body)
		return -ENOMEM;
	for (unsigned i = 0; i < x->n; i++) {
		const struct background_item *item = &x->items[i];
		struct background_flight *flight = calloc(1, sizeof(*flight));

		background_write_given(body + at,
				       &(struct background_given){item->id, item->attempt,
								  item->failures, item->kind,
								  item->rank, (uint32_t)item->len});
		at += BACKGROUND_ITEM_HEAD;
		memcpy(body + at, item->value, item->len);
		at += item->len;
		/* One that is not known here is only not waited for. */
		if (!flight)
			continue;
		*flight = (struct background_flight){
			.id = item->id, .attempt = item->attempt, .rank = item->rank};
		if (l->n_flights++ == 0)
			l->head_ns = util_monotonic_ns();
		TAILQ_INSERT_TAIL(&l->flights, flight, next);
	}
	channel_send_taken(&l->channel, json_pack("{s:s}", "op", "items"), body, len);
	return 0;
}

static void take_done(struct front *f, struct change *c, const struct err *error)
{
	struct take *x = OWNER(c, struct take, change);
	struct background *b = background_find(f, x->queue);
	struct background_line *l = b ? background_line_of(b, x->run) : NULL;

	if (l)
		l->taking = false;
	if (error)
		msg_warn("background worker: %s", error->msg);
	if (x->n && (!l || l->channel.fd < 0 || give(l, x) < 0))
		background_release(f, x->queue, x->run, NULL, 0, false, NULL);
	if (b && !error && x->n)
		background_look(b);
	take_clear(x);
	free(x->items);
	free(x);
}

void background_take(struct background_line *l, unsigned max, double below)
{
	struct background *b = l->b;
	struct take *x = calloc(1, sizeof(*x));

	if (x)
		x->items = calloc(max, sizeof(*x->items));
	if (!x || !x->items) {
		free(x);
		return;
	}
	x->queue = b->row.queue;
	memcpy(x->run, l->run, sizeof(x->run));
	x->max = max;
	x->by_rank = b->by_rank;
	x->below = below;
	x->change = (struct change){.write = take_write, .adopt = take_adopt, .done = take_done};
	l->taking = true;
	if (below == INFINITY)
		b->better = INFINITY;
	change_mark(b->f, &x->change, turn_holder(b->service->project), 0);
}

/* settle, and release */

struct settle {
	struct change change;
	uint64_t queue;
	char run[TASK_ID_LEN + 1];
	json_int_t seq;
	size_t held;
	bool stop;
	struct background_settled *all;
	unsigned n;
	/* Of a release: what is settled is found when it is written. */
	bool release, claim;
	struct background_settled *kept;
	unsigned n_kept;
	char why[100];
};

static void settled_free(struct background_settled *all, unsigned n)
{
	for (unsigned i = 0; all && i < n; i++)
		free(all[i].error);
	free(all);
}

static bool is_kept(struct settle *x, const struct background_item *item)
{
	for (unsigned i = 0; i < x->n_kept; i++)
		if (x->kept[i].id == item->id && x->kept[i].attempt == item->attempt) {
			x->kept[i].known = true;
			return true;
		}
	return false;
}

/* What the run has, and is not to keep: the first one is what its process was at. */
static int find_released(struct front *f, struct settle *x, const struct background *b,
			 struct err *e)
{
	const unsigned max = 2 * BACKGROUND_RECORDS_MAX;
	struct background_item *has = calloc(max, sizeof(*has));
	unsigned n = 0;
	bool charged = !x->why[0];
	int r;

	if (!has)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot free items");
	r = store_background_held(f->store, x->queue, x->run, b->by_rank, has, max, &n, e);
	if (r == 0 && !x->all)
		x->all = calloc(max, sizeof(*x->all));
	for (unsigned i = 0; x->all && i < x->n; i++)
		util_free_ptr(&x->all[i].error);
	x->n = 0;
	for (unsigned i = 0; r == 0 && x->all && i < n; i++) {
		if (is_kept(x, &has[i])) {
			/* It works on. */
			charged = true;
			continue;
		}
		x->all[x->n++] = (struct background_settled){
			.id = has[i].id,
			.attempt = has[i].attempt,
			.end = charged ? BACKGROUND_BACK : BACKGROUND_FAILED,
			.error = charged ? NULL : strdup(x->why)};
		charged = true;
	}
	free(has);
	return r;
}

static int settle_write(struct front *f, struct change *c, struct err *e)
{
	struct settle *x = OWNER(c, struct settle, change);
	struct background *b = background_find(f, x->queue);
	uint64_t done = 0, failed = 0;
	struct background_rules rules;
	int r = 0;

	if (!b)
		return 0;
	rules = background_rules(b);
	if (x->release)
		r = find_released(f, x, b, e);
	if (r == 0 && x->n)
		r = store_background_settle(f->store, x->queue, &rules, util_realtime_ns(), x->all,
					    x->n, e);
	for (unsigned i = 0; r == 0 && i < x->n; i++) {
		done += x->all[i].known && x->all[i].end == BACKGROUND_DONE;
		failed += x->all[i].known && x->all[i].end == BACKGROUND_FAILED;
	}
	if (r == 0 && (done || failed))
		r = store_background_count(f->store, x->queue, done, failed, e);
	return r;
}

static void settle_adopt(struct front *f, struct change *c, bool durable)
{
	struct settle *x = OWNER(c, struct settle, change);
	struct background *b = background_find(f, x->queue);

	if (!b || !durable)
		return;
	for (unsigned i = 0; i < x->n; i++) {
		const struct background_settled *s = &x->all[i];

		if (!s->known)
			continue;
		b->counts.n[BACKGROUND_HELD]--;
		if (s->gone) {
			b->counts.bytes -= s->len;
			b->row.done++;
			f->background->done++;
			continue;
		}
		b->counts.n[s->now]++;
		if (s->now == BACKGROUND_READY)
			b->better = -INFINITY;
		if (s->end == BACKGROUND_FAILED) {
			b->row.failed++;
			f->background->failed++;
		}
		f->background->dead += s->now == BACKGROUND_DEAD;
	}
}

static void forget_flights(struct background_line *l, const struct settle *x)
{
	struct background_flight *at, *next;
	const unsigned before = l->n_flights;

	for (unsigned i = 0; i < x->n; i++)
		for (at = TAILQ_FIRST(&l->flights); at; at = next) {
			next = TAILQ_NEXT(at, next);
			if (at->id != x->all[i].id || at->attempt != x->all[i].attempt)
				continue;
			TAILQ_REMOVE(&l->flights, at, next);
			l->n_flights--;
			free(at);
			break;
		}
	if (l->n_flights != before)
		l->head_ns = util_monotonic_ns();
}

/* What it still has becomes its flights. */
static void claim_flights(struct background_line *l, const struct settle *x)
{
	for (unsigned i = 0; i < x->n_kept; i++) {
		struct background_flight *flight =
			x->kept[i].known ? calloc(1, sizeof(*flight)) : NULL;

		if (!flight)
			continue;
		flight->id = x->kept[i].id;
		flight->attempt = x->kept[i].attempt;
		TAILQ_INSERT_TAIL(&l->flights, flight, next);
		l->n_flights++;
	}
	l->head_ns = util_monotonic_ns();
	l->met = true;
}

static void settle_done(struct front *f, struct change *c, const struct err *error)
{
	struct settle *x = OWNER(c, struct settle, change);
	struct background *b = background_find(f, x->queue);
	struct background_line *l = b && *x->run ? background_line_of(b, x->run) : NULL;
	struct err e = {0};

	/* It is tried again, unless the front ends. */
	if (error && c->marked)
		return;
	release_held(f, x->queue, x->run, x->held);
	if (l && !x->release)
		forget_flights(l, x);
	if (l && x->claim && l->channel.fd >= 0 && !l->met)
		claim_flights(l, x);
	if (x->seq && !error)
		tell(f, x->queue, x->run, json_pack("{s:s, s:I}", "op", "told", "n", x->seq));
	if (b && x->stop && !error) {
		b->wanted.stopped = true;
		(void)background_write(b, NULL, NULL, &e);
	}
	if (b && !error) {
		background_arm(b);
		background_look(b);
	}
	settled_free(x->all, x->n);
	free(x->kept);
	free(x);
}

static struct settle *settle_new(struct front *f, uint64_t queue, const char *run)
{
	struct background *b = background_find(f, queue);
	struct settle *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->queue = queue;
	(void)snprintf(x->run, sizeof(x->run), "%s", run);
	x->change = (struct change){
		.write = settle_write, .adopt = settle_adopt, .done = settle_done, .stored = true};
	change_mark(f, &x->change, b ? turn_holder(b->service->project) : TURN_NOBODY, 0);
	return x;
}

int background_settle(struct background *b, struct background_settled *all, unsigned n,
		      const char *run, json_int_t seq, size_t held, bool stop)
{
	struct settle *x = settle_new(b->f, b->row.queue, run);

	if (!x) {
		settled_free(all, n);
		return -ENOMEM;
	}
	x->all = all;
	x->n = n;
	x->seq = seq;
	x->held = held;
	x->stop = stop;
	return 0;
}

void background_release(struct front *f, uint64_t queue, const char *run,
			const struct background_settled *kept, unsigned n_kept, bool claim,
			const char *why)
{
	struct settle *x = settle_new(f, queue, run);

	if (!x) {
		msg_err("background worker: out of memory: items of run %s wait for a restart",
			run);
		return;
	}
	x->release = true;
	x->claim = claim;
	(void)snprintf(x->why, sizeof(x->why), "%s", why ? why : "");
	if (!kept || n_kept == 0)
		return;
	x->kept = calloc(n_kept, sizeof(*kept));
	if (x->kept) {
		memcpy(x->kept, kept, n_kept * sizeof(*kept));
		x->n_kept = n_kept;
	}
}
