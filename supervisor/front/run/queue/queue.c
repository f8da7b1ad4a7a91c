// SPDX-License-Identifier: Apache-2.0
/* What waits, and whose turn it is. */
#include <string.h>

#include "lib/msg.h"
#include "supervisor/front/base/metric.h"
#include "supervisor/front/run/queue/queued.h"
#include "supervisor/front/run/run.h"
#include "supervisor/front/run/source.h"
#include "supervisor/front/store/query.h"

#define BUCKETS (1u << 18) /* of what waits, by id */
/* At most so many tasks are started in one turn, and so many delayed ones become ready. */
#define STARTS_MAX 16u
#define DUE_MAX 256u
/* How many of its lane one task is carried past at most. */
#define PAST_MAX 64u
/* Delays are of the wall clock, which may be set: it is looked at so often at least. */
#define LOOK_NS (60 * SEC)

struct queue {
	struct idtable by_id;
	struct heap delayed; /* by not_before_ns, CLOCK_REALTIME */
	struct timer due;    /* the first of them may start, or the clock is looked at */
	struct timer again;  /* the disk may give what it did not */
	uint32_t n, n_ready;
	uint64_t turn, number;
	bool dispatch; /* something may be able to start */
};

static struct queued *find(struct queue *q, const char *id)
{
	return OWNER_OF(idtable_find(&q->by_id, id), struct queued, node);
}

/* Lanes */

/*
 * By age. What could not start after all is the oldest, or nearly; all else, also what was delayed
 * and is due, the newest or nearly. So its place is looked for from both ends, and what would have
 * to be carried past many, for hundreds of thousands wait, is as old as the one that it meets.
 */
static void lane_add(struct queue *q, struct queued *w)
{
	struct lane *lane = w->lane;
	struct queued *after = lane->tail[w->priority], *before = lane->head[w->priority];

	for (unsigned i = 0; after && after->since_ns > w->since_ns; i++) {
		if (before->since_ns > w->since_ns) {
			after = before->prev;
			break;
		}
		if (i == PAST_MAX) {
			w->since_ns = after->since_ns;
			break;
		}
		after = after->prev;
		before = before->next;
	}
	w->prev = after;
	w->next = after ? after->next : lane->head[w->priority];
	*(after ? &after->next : &lane->head[w->priority]) = w;
	*(w->next ? &w->next->prev : &lane->tail[w->priority]) = w;
	q->n_ready++;
}

static void lane_take(struct queue *q, struct queued *w)
{
	*(w->prev ? &w->prev->next : &w->lane->head[w->priority]) = w->next;
	*(w->next ? &w->next->prev : &w->lane->tail[w->priority]) = w->prev;
	q->n_ready--;
}

static void count(struct queue *q, struct queued *w, uint32_t by)
{
	q->n += by;
	w->lane->n_queued += by;
	w->project->run->n_queued += by;
	w->project->run->queued_bytes += by == 1 ? w->bytes : -(uint64_t)w->bytes;
}

static void delay_over(struct front *f, struct timer *timer);

static void set_due(struct front *f)
{
	struct queue *q = f->run->queue;
	uint64_t now = util_realtime_ns(), due;

	if (!q->delayed.first)
		return;
	due = q->delayed.first->key > now ? q->delayed.first->key - now : 0;
	timer_set(f, &q->due, util_monotonic_ns() + (due < LOOK_NS ? due : LOOK_NS), delay_over);
}

static int add(struct front *f, struct project *p, struct worker *c, const struct task_record *rec,
	       struct queued **ret)
{
	struct queued *w = calloc(1, sizeof(*w));
	struct queue *q = f->run->queue;

	if (!w)
		return -ENOMEM;
	w->project = p;
	w->worker = c;
	w->lane = c ? &c->run->lane : &p->run->lane;
	w->bytes = (uint32_t)task_record_texts(rec);
	w->since_ns = rec->not_before_ns > rec->created_ns ? rec->not_before_ns : rec->created_ns;
	w->priority = (uint8_t)(rec->priority < LANE_PRIORITIES ? rec->priority : 0);
	memcpy(w->id, rec->id, sizeof(w->id));
	if (rec->not_before_ns > util_realtime_ns()) {
		heap_add(&q->delayed, &w->delay, rec->not_before_ns);
		set_due(f);
	} else {
		lane_add(q, w);
	}
	idtable_add(&q->by_id, &w->node, w->id);
	w->number = ++q->number;
	w->lane_prev = w->lane->last;
	*(w->lane->last ? &w->lane->last->lane_next : &w->lane->first) = w;
	w->lane->last = w;
	count(q, w, 1);
	*ret = w;
	return 0;
}

/* It does not wait for its turn any more. */
static void take_turn(struct queue *q, struct queued *w)
{
	if (w->delay.key)
		heap_take(&q->delayed, &w->delay);
	else if (!w->held)
		lane_take(q, w);
}

static void drop(struct front *f, struct queued *w)
{
	struct queue *q = f->run->queue;

	take_turn(q, w);
	idtable_remove(&q->by_id, &w->node);
	*(w->lane_prev ? &w->lane_prev->lane_next : &w->lane->first) = w->lane_next;
	*(w->lane_next ? &w->lane_next->lane_prev : &w->lane->last) = w->lane_prev;
	count(q, w, -1u);
	if (w->task)
		w->task->queued = NULL;
	free(w);
}

int queue_push(struct front *f, struct task *t)
{
	int r;

	if (!t->project)
		return -ENOENT;
	r = add(f, t->project, t->worker, &t->rec, &t->queued);
	if (r < 0)
		return r;
	t->queued->task = t;
	queue_dispatch_soon(f);
	return 0;
}

int queue_push_stored(struct front *f, const struct task_record *rec)
{
	struct project *p = project_by_id(f, rec->project);
	struct worker *c = p ? worker_by_id(p, rec->worker) : NULL;
	struct queued *w;

	return c ? add(f, p, c, rec, &w) : -ENOENT;
}

void queue_remove(struct front *f, struct task *t)
{
	if (t->queued)
		drop(f, t->queued);
}

bool queue_settle(struct front *f, struct task *t)
{
	if (!t->queued || !t->worker || t->waiters || t->change.marked || t->damaged)
		return false;
	t->queued->task = NULL;
	t->queued = NULL;
	registry_remove(f, t);
	return true;
}

/* Its record as it is in the store, in memory again. */
static struct task *load(struct front *f, struct queued *w)
{
	struct task *t = registry_new(w->id);
	struct err e = {0}, damage = {0};

	if (!t || store_task_salvage(f->store, w->id, &t->rec, &damage, &e) < 0) {
		msg_err("task %s: %s", w->id, t ? e.msg : "out of memory");
		if (t)
			registry_free_task(f, t);
		return NULL;
	}
	t->project = w->project;
	t->worker = w->worker;
	t->queued = w;
	t->change.stored = true;
	w->task = t;
	registry_add(f, t);
	if (damage.code)
		recover_damaged(t, &damage);
	return t;
}

struct task *queue_wake(struct front *f, const char *id)
{
	struct task *t = registry_find(f, id);
	struct queued *w = t ? NULL : find(f->run->queue, id);
	const bool held = w && w->held;

	if (!w)
		return t;
	t = load(f, w);
	if (t && held)
		flow_runs(f, t);
	return t;
}

bool queue_hold(struct front *f, const char *id)
{
	struct queued *w = find(f->run->queue, id);

	if (!w)
		return false;
	take_turn(f->run->queue, w);
	w->held = true;
	return true;
}

/* Turns */

bool queue_has_room(const struct front *f, const struct project *p, const struct limits *limits)
{
	const struct quota *q = &p->quota;

	if (q->running && p->run->n_running >= q->running)
		return false;
	/* One that is larger than the quota runs alone: it was refused if that were an error. */
	if (!limits || !p->run->n_running)
		return true;
	/* The other half of the pids is for other projects. */
	return (!q->memory || p->run->running_memory + limits->memory <= q->memory) &&
	       p->run->running_pids + limits->pids <= f->cfg.node_pids / 2;
}

static bool is_open(const struct worker *c)
{
	return !c->paused && !c->run->cancelling && !c->going &&
	       (!c->spec.max_concurrency || c->run->lane.n_running < c->spec.max_concurrency);
}

static struct queued *older(struct queued *a, struct queued *b)
{
	return !a || (b && b->since_ns < a->since_ns) ? b : a;
}

static struct queued *first_of(const struct project *p)
{
	struct queued *first = NULL;

	for (int i = LANE_PRIORITIES - 1; i >= 0 && !first; i--) {
		first = p->run->lane.head[i];
		for (const struct worker *c = p->workers; c; c = c->next)
			if (c->run->lane.head[i] && is_open(c))
				first = older(first, c->run->lane.head[i]);
	}
	return first;
}

/* The project with the fewest running tasks, of those the one that was served longest ago. */
static struct queued *next_turn(struct front *f)
{
	struct queued *next = NULL;

	for (struct project *p = f->core->projects; p; p = p->next) {
		struct queued *w;

		if (!p->run->n_queued || p->run->full || !queue_has_room(f, p, NULL))
			continue;
		if (next && (p->run->n_running > next->project->run->n_running ||
			     (p->run->n_running == next->project->run->n_running &&
			      p->run->served > next->project->run->served)))
			continue;
		w = first_of(p);
		if (w)
			next = w;
	}
	return next;
}

void queue_dispatch_soon(struct front *f)
{
	if (!f->run->queue)
		return;
	f->run->queue->dispatch = true;
	turn_mark(f);
}

static void start_again(struct front *f, struct timer *timer)
{
	(void)timer;
	queue_dispatch_soon(f);
}

/* It cannot be read now, and is tried again. */
static void put_aside(struct front *f, struct queued *w)
{
	struct queue *q = f->run->queue;

	take_turn(q, w);
	heap_add(&q->delayed, &w->delay, util_realtime_ns() + SEC);
	set_due(f);
}

void queue_dispatch(struct front *f)
{
	struct queue *q = f->run->queue;
	unsigned n = 0, n_failed = 0;

	if (!q->dispatch)
		return;
	q->dispatch = false;
	while (f->run->ready && q->n_ready && f->run->n_running < f->cfg.running_max) {
		struct queued *w;
		struct task *t;

		if (n++ == STARTS_MAX) {
			queue_dispatch_soon(f);
			return;
		}
		w = next_turn(f);
		if (!w)
			return;
		t = w->task ? w->task : load(f, w);
		if (!t) {
			put_aside(f, w);
			/* One row may be at fault; of two, the disk is. */
			if (++n_failed == 1)
				continue;
			timer_set(f, &q->again, util_monotonic_ns() + SEC, start_again);
			return;
		}
		w->project->run->served = ++q->turn;
		flow_dispatch(f, t);
	}
}

static void on_worker(struct front *f, struct worker *c)
{
	(void)c;
	queue_dispatch_soon(f);
}

/* A larger quota has room for what had none. */
static void on_project(struct front *f, struct project *p)
{
	p->run->full = false;
	queue_dispatch_soon(f);
}

/* What a change of its worker, or of its project's quotas, lets start. */
static const struct listener listener = {
	.project_changed = on_project, .worker_put = on_worker, .worker_paused = on_worker};

static void delay_over(struct front *f, struct timer *timer)
{
	struct queue *q = f->run->queue;
	uint64_t now = util_realtime_ns();

	(void)timer;
	for (unsigned i = 0; i < DUE_MAX && q->delayed.first && q->delayed.first->key <= now; i++) {
		struct queued *w = OWNER(q->delayed.first, struct queued, delay);

		heap_take(&q->delayed, &w->delay);
		lane_add(q, w);
	}
	set_due(f);
	queue_dispatch_soon(f);
}

int queue_cancel_some(struct front *f, struct lane *lane, uint64_t upto, uint64_t *ret_n,
		      bool *ret_more, struct err *e)
{
	struct queued *list[TURN_WRITE_ROWS], *next;
	const char *ids[TURN_WRITE_ROWS];
	unsigned n = 0, in_memory = 0;
	int r = 0;

	*ret_n = 0;
	for (struct queued *w = lane->first;
	     w && w->number <= upto && n + in_memory < TURN_WRITE_ROWS; w = next) {
		struct task *t = w->task;

		next = w->lane_next;
		if (!t) {
			list[n] = w;
			ids[n++] = w->id;
			continue;
		}
		/* What is in memory ends as a single one does, once. */
		in_memory++;
		*ret_n += flow_cancel(f, t, false);
		if (t->queued)
			drop(f, w);
	}
	*ret_more = lane->first && lane->first->number <= upto && n + in_memory == TURN_WRITE_ROWS;
	if (n > 0) {
		uint64_t changed = 0;

		r = store_task_cancel(f->store, ids, n, util_realtime_ns(), &changed, e);
		*ret_n += changed;
	}
	for (unsigned i = 0; r == 0 && i < n; i++) {
		EVENT_TELL(f, cancelled, ids[i]);
		drop(f, list[i]);
	}
	return r;
}

uint64_t queue_number(const struct front *f)
{
	return f->run->queue->number;
}

unsigned queue_length(const struct front *f)
{
	return f->run->queue->n;
}

static void count_preparing(struct front *f, struct task *t, void *arg)
{
	(void)f;
	*(uint64_t *)arg += t->occupies && t->rec.state == TASK_PREPARING;
}

void queue_counts(struct front *f, struct queue_counts *ret)
{
	*ret = (struct queue_counts){.queued = f->run->queue->n_ready,
				     .delayed = f->run->queue->delayed.n};
	/* Few tasks are in memory: those that run, and those that a client waits for. */
	registry_each(f, count_preparing, &ret->preparing);
	ret->running = f->run->n_running - ret->preparing;
}

/* With what had not ended when the last front did. */
static int queue_load(struct front *f, struct err *e)
{
	f->run->queue = calloc(1, sizeof(*f->run->queue));
	if (!f->run->queue || idtable_init(&f->run->queue->by_id, BUCKETS) < 0)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make the queue");
	return recover_load(f, e);
}

static void queue_clear(struct front *f)
{
	struct queue *q = f->run->queue;
	struct idnode *next;

	if (!q)
		return;
	for (struct idnode *node = idtable_next(&q->by_id, NULL); node; node = next) {
		next = idtable_next(&q->by_id, node);
		drop(f, OWNER_OF(node, struct queued, node));
	}
	idtable_clear(&q->by_id);
	timer_cancel(f, &q->due);
	timer_cancel(f, &q->again);
	free(q);
	f->run->queue = NULL;
}

static void by_project(FILE *out, struct front *f, const char *name, const char *help, bool queued)
{
	metric_head(out, name, "gauge", help);
	for (const struct project *p = f->core->projects; p; p = p->next) {
		(void)fprintf(out, "sandboxd_%s{project=\"", name);
		metric_label(out, p->name);
		(void)fprintf(out, "\"} %u\n", queued ? p->run->n_queued : p->run->n_running);
	}
}

static void queue_metrics(struct front *f, FILE *out)
{
	struct queue_counts counts = {0};

	queue_counts(f, &counts);
	metric_head(out, "tasks", "gauge", "Tasks that have not ended, by state.");
	(void)fprintf(out,
		      "sandboxd_tasks{state=\"queued\"} %llu\n"
		      "sandboxd_tasks{state=\"delayed\"} %llu\n"
		      "sandboxd_tasks{state=\"preparing\"} %llu\n"
		      "sandboxd_tasks{state=\"running\"} %llu\n",
		      (unsigned long long)counts.queued, (unsigned long long)counts.delayed,
		      (unsigned long long)counts.preparing, (unsigned long long)counts.running);
	by_project(out, f, "project_queued_tasks", "Tasks of a project that wait.", true);
	by_project(out, f, "project_running_tasks", "Tasks of a project that have a slot.", false);
	metric_one(out, "running_tasks_limit", "gauge",
		   "Tasks at a time that this node runs at most.", f->cfg.running_max);
}

const struct capability queue_capability = {.name = "queue",
					    .load = queue_load,
					    .turn = queue_dispatch,
					    .clear = queue_clear,
					    .listener = &listener,
					    .source = &queue_source,
					    .metrics = queue_metrics};
