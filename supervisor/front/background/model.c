// SPDX-License-Identifier: Apache-2.0
/* What there is of background workers, and what is seen to from time to time. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lib/msg.h"
#include "supervisor/front/background/background.h"
#include "supervisor/front/base/metric.h"
#include "supervisor/front/store/schema.h"

#define SWEEP_EVERY_NS (60 * SEC)
#define DUE_AGAIN_NS (1 * SEC) /* where the store could not say */

struct background *background_find(struct front *f, uint64_t queue)
{
	struct background *b;

	LIST_FOREACH(b, &f->background->all, next)
		if (b->row.queue == queue)
			return b;
	return NULL;
}

void background_name(const struct service *s, char buf[BACKGROUND_NAME_MAX + 1])
{
	(void)snprintf(buf, BACKGROUND_NAME_MAX + 1, "%s", s->row.app);
	for (char *c = buf; *c; c++)
		if (*c == '-')
			*c = '_';
}

struct background *background_by_name(struct project *p, const char *name)
{
	char app[BACKGROUND_NAME_MAX + 1];
	struct service *s;

	if (strlen(name) >= sizeof(app) || strchr(name, '-'))
		return NULL;
	(void)snprintf(app, sizeof(app), "%s", name);
	for (char *c = app; *c; c++)
		if (*c == '_')
			*c = '-';
	s = service_find(p, app, BACKGROUND_SERVICE);
	return s && s->stored && !s->going && s->background && s->background->stored ? s->background
										     : NULL;
}

const struct service_manifest *background_manifest(struct background *b)
{
	struct service_version *v = service_live(b->service);
	struct err e = {0};

	return v && service_version_open(v, &e) == 0 ? &v->manifest : NULL;
}

struct background_rules background_rules(struct background *b)
{
	const struct service_manifest *m = background_manifest(b);
	const struct service_background its = m ? m->background
						: (struct service_background){.attempts = 5,
									      .backoff_s = 1,
									      .backoff_max_s = 300};

	return (struct background_rules){.attempts = its.attempts,
					 .backoff_ns = its.backoff_s * SEC,
					 .backoff_max_ns = its.backoff_max_s * SEC};
}

static void project_sum(const struct project *p, uint64_t *ret_n, uint64_t *ret_bytes)
{
	const struct service *s;

	*ret_n = *ret_bytes = 0;
	LIST_FOREACH(s, &p->service->services, next) {
		const struct background *b = s->background;

		if (!b)
			continue;
		*ret_n += b->n_coming;
		*ret_bytes += b->bytes_coming + b->counts.bytes;
		for (unsigned i = 0; i < BACKGROUND_STATES; i++)
			*ret_n += b->counts.n[i];
	}
}

int background_room(const struct project *p, uint64_t n, uint64_t bytes, struct err *e)
{
	const uint64_t n_max = p->quota.background_items, bytes_max = p->quota.background_bytes;
	uint64_t has, has_bytes;
	char size[32];

	project_sum(p, &has, &has_bytes);
	if (n_max && has + n > n_max)
		return err_set(
			e, ERR_LIMIT, 0,
			"%llu items of the project's background workers wait, and its quota "
			"\"background_items\" is %llu: try again later, retry or remove dead "
			"letters, or ask the operator (sandboxctl project quota %s "
			"background_items=N)",
			(unsigned long long)has, (unsigned long long)n_max, p->name);
	if (bytes_max && has_bytes + bytes > bytes_max)
		return err_set(e, ERR_LIMIT, 0,
			       "the items of the project's background workers have no room: its "
			       "quota \"background_bytes\" is %s",
			       util_format_size(bytes_max, size, sizeof(size)));
	return 0;
}

/* A change of a row */

struct row_change {
	struct change change;
	uint64_t queue;
	struct background_row row; /* as it was written */
	struct waiter *waiter;
	const char *msg;
};

static int row_write(struct front *f, struct change *c, struct err *e)
{
	struct row_change *x = OWNER(c, struct row_change, change);
	struct background *b = background_find(f, x->queue);

	if (!b)
		return 0;
	x->row = b->wanted;
	return store_background_update(f->store, &x->row, e);
}

static void row_adopt(struct front *f, struct change *c, bool durable)
{
	struct row_change *x = OWNER(c, struct row_change, change);
	struct background *b = background_find(f, x->queue);

	if (!b || !durable)
		return;
	x->row.done = b->row.done;
	x->row.failed = b->row.failed;
	b->row = x->row;
}

static void row_done(struct front *f, struct change *c, const struct err *error)
{
	struct row_change *x = OWNER(c, struct row_change, change);
	struct background *b = background_find(f, x->queue);
	struct background_line *l;
	struct err gone = {0};

	if (error && c->marked)
		return;
	if (!b)
		(void)err_set(&gone, ERR_NOT_FOUND, 0, "the worker was removed");
	if (x->waiter)
		waiter_end(x->waiter, b && !error ? json_pack("{s:s}", "msg", x->msg) : NULL,
			   error ? error : &gone);
	if (b && !error) {
		service_settle(f, b->service);
		/* One of them has a trigger that it was not told of, perhaps. */
		LIST_FOREACH(l, &b->lines, next)
			if (l->goes && b->row.triggered > b->row.ran &&
			    l->told_trigger != b->row.triggered) {
				l->told_trigger = b->row.triggered;
				channel_send(&l->channel,
					     json_pack("{s:s, s:I}", "op", "trigger", "trigger",
						       (json_int_t)b->row.triggered),
					     NULL, 0);
			}
	}
	free(x);
}

int background_write(struct background *b, struct waiter *waiter, const char *msg, struct err *e)
{
	struct row_change *x = calloc(1, sizeof(*x));

	if (!x)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot change the worker");
	x->queue = b->row.queue;
	x->waiter = waiter;
	x->msg = msg;
	x->change = (struct change){
		.write = row_write, .adopt = row_adopt, .done = row_done, .stored = true};
	change_mark(b->f, &x->change, turn_holder(b->service->project), 0);
	return 0;
}

/* Items that are due again */

struct due {
	struct change change;
	uint64_t queue, n;
};

static int due_write(struct front *f, struct change *c, struct err *e)
{
	struct due *x = OWNER(c, struct due, change);

	return store_background_due(f->store, x->queue, util_realtime_ns(), BACKGROUND_TURN_ROWS,
				    &x->n, e);
}

static void due_adopt(struct front *f, struct change *c, bool durable)
{
	struct due *x = OWNER(c, struct due, change);
	struct background *b = background_find(f, x->queue);

	if (!b || !durable)
		return;
	b->counts.n[BACKGROUND_LATER] -= x->n;
	b->counts.n[BACKGROUND_READY] += x->n;
	if (x->n)
		b->better = -INFINITY;
}

static void due_done(struct front *f, struct change *c, const struct err *error)
{
	struct due *x = OWNER(c, struct due, change);
	struct background *b = background_find(f, x->queue);

	(void)error;
	if (b) {
		background_look(b);
		background_arm(b);
	}
	free(x);
}

static void on_due(struct front *f, struct timer *t)
{
	struct background *b = OWNER(t, struct background, due);
	struct due *x = calloc(1, sizeof(*x));

	if (!x) {
		timer_set(f, t, util_monotonic_ns() + DUE_AGAIN_NS, on_due);
		return;
	}
	x->queue = b->row.queue;
	x->change = (struct change){.write = due_write, .adopt = due_adopt, .done = due_done};
	change_mark(f, &x->change, turn_holder(b->service->project), 0);
}

void background_arm(struct background *b)
{
	const uint64_t now_ns = util_realtime_ns();
	uint64_t due_ns = 0, wait_ns;
	struct err e = {0};

	timer_cancel(b->f, &b->due);
	if (!b->counts.n[BACKGROUND_LATER])
		return;
	if (store_background_next_due(b->f->store, b->row.queue, &due_ns, &e) < 0 || !due_ns)
		due_ns = now_ns + DUE_AGAIN_NS;
	wait_ns = due_ns > now_ns ? due_ns - now_ns : 0;
	timer_set(b->f, &b->due, util_monotonic_ns() + wait_ns, on_due);
}

static void clock_set(struct front *f, uint64_t now_ns)
{
	struct background *b;

	(void)now_ns;
	LIST_FOREACH(b, &f->background->all, next)
		background_arm(b);
}

/* Items of workers that were removed go by and by. */

static void sweep_later(struct front *f, struct timer *t);

static int sweep_write(struct front *f, struct change *c, struct err *e)
{
	const int r = store_background_sweep(f->store, BACKGROUND_TURN_ROWS, e);

	(void)c;
	f->background->sweep_more = r > 0;
	return r < 0 ? r : 0;
}

static void sweep_done(struct front *f, struct change *c, const struct err *error)
{
	(void)c;
	timer_set(f, &f->background->sweep_timer,
		  util_monotonic_ns() + (!error && f->background->sweep_more ? 0 : SWEEP_EVERY_NS),
		  sweep_later);
}

static void sweep_later(struct front *f, struct timer *t)
{
	struct backgrounds *all = OWNER(t, struct backgrounds, sweep_timer);

	all->sweep = (struct change){.write = sweep_write, .done = sweep_done};
	change_mark(f, &all->sweep, TURN_NOBODY, 0);
}

/* What the store has */

static int load_row(void *arg, const struct background_row *row)
{
	struct front *f = arg;
	struct service *s = service_by_id(f, row->service);
	struct background *b;
	struct err e = {0};
	int r;

	/* Its project was removed, and a power cut kept the rest from being removed with it. */
	if (!s || s->background)
		return 0;
	r = background_hooks.begin(f, s, &e);
	if (r < 0)
		return r;
	b = s->background;
	b->row = b->wanted = *row;
	b->stored = true;
	return store_background_counts(f->store, row->queue, &b->counts, &e);
}

static int load(struct front *f, struct err *e)
{
	uint64_t last = 0;
	int r;

	f->services->hooks = &background_hooks;
	r = store_background_load(f->store, load_row, f, e);
	if (r == 0)
		r = store_background_last(f->store, &last, e);
	f->background->last_queue = last;
	return r;
}

static int see_holder(void *arg, uint64_t queue, const char *run)
{
	struct front *f = arg;
	struct background *b = background_find(f, queue);
	const struct service_replica *r;

	if (b)
		LIST_FOREACH(r, &b->service->replicas, next)
			if (strcmp(r->run, run) == 0)
				return 0;
	background_release(f, queue, run, NULL, 0, false, NULL);
	return 0;
}

/* Its replicas were found again, or not, by then. */
static int start(struct front *f, struct err *e)
{
	struct background *b;

	LIST_FOREACH(b, &f->background->all, next) {
		struct service_replica *r;

		background_arm(b);
		LIST_FOREACH(r, &b->service->replicas, next)
			background_hooks.replica(r);
	}
	timer_set(f, &f->background->sweep_timer, util_monotonic_ns() + SWEEP_EVERY_NS,
		  sweep_later);
	return store_background_holders(f->store, see_holder, f, e);
}

static int delete_project(struct front *f, struct project *p, struct err *e)
{
	return store_background_delete_project(f->store, p->id, e);
}

static void show(const struct project *p, json_t *o)
{
	uint64_t n, bytes;

	project_sum(p, &n, &bytes);
	json_object_set_new(o, "background_items", json_integer((json_int_t)n));
	json_object_set_new(o, "background_bytes", json_integer((json_int_t)bytes));
}

static void metrics(struct front *f, FILE *out)
{
	static const char *const states[BACKGROUND_STATES] = {"ready", "held", "later", "dead"};
	const struct backgrounds *all = f->background;
	struct background *b;

	metric_head(out, "background_items", "gauge", "Items of background workers, by state.");
	LIST_FOREACH(b, &f->background->all, next) {
		char name[BACKGROUND_NAME_MAX + 1];

		background_name(b->service, name);
		for (unsigned i = 0; i < BACKGROUND_STATES; i++)
			(void)fprintf(out,
				      "sandboxd_background_items{project=\"%s\",worker=\"%s\","
				      "state=\"%s\"} %llu\n",
				      b->service->project->name, name, states[i],
				      (unsigned long long)b->counts.n[i]);
	}
	metric_head(
		out, "background_events_total", "counter",
		"Items that were put, done, failed (each attempt) and given up; since this front "
		"started.");
	(void)fprintf(out,
		      "sandboxd_background_events_total{event=\"put\"} %llu\n"
		      "sandboxd_background_events_total{event=\"done\"} %llu\n"
		      "sandboxd_background_events_total{event=\"failed\"} %llu\n"
		      "sandboxd_background_events_total{event=\"dead\"} %llu\n",
		      (unsigned long long)all->put, (unsigned long long)all->done,
		      (unsigned long long)all->failed, (unsigned long long)all->dead);
}

static const struct listener listener = {.clock_set = clock_set};
static const struct part part = {.delete_project = delete_project, .show = show};

const struct capability background_capability = {
	.name = "background",
	.schema = &background_schema,
	.load = load,
	.start = start,
	.listener = &listener,
	.part = &part,
	.verbs = background_verbs,
	.metrics = metrics,
};
