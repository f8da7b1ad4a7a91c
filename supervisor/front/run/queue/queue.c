// SPDX-License-Identifier: Apache-2.0
/* What waits, and whose turn it is. */
#include <string.h>

#include "lib/msg.h"
#include "supervisor/front/run/queue/heap.h"
#include "supervisor/front/run/run.h"
#include "supervisor/front/store/query.h"

#define BUCKETS (1u << 18) /* of what waits, by id */
/* Of one turn: what starts; what is delayed no more. */
#define STARTS_MAX 16u
#define DUE_MAX 256u
/* How many of its lane one task is carried past at most. */
#define PAST_MAX 64u
/* Delays are of the wall clock, which may be set: it is looked at so often at least. */
#define LOOK_NS (60 * SEC)

struct queue {
	struct idtable by_id;
	struct queue_heap delayed;
	uint32_t n, n_ready;
	uint64_t turn, number;
	struct work work; /* dispatch, once more */
	bool dispatch;	  /* it is wanted in this turn */
	bool waits;	  /* the work does */
};

static struct queued *find(struct queue *q, const char *id)
{
	return ID_OWNER(idtable_find(&q->by_id, id), struct queued, node);
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
	w->project->n_queued += by;
	w->project->queued_bytes += by == 1 ? w->bytes : -(uint64_t)w->bytes;
}

static void tick_for_heap(struct front *f)
{
	struct queue *q = f->run->queue;
	uint64_t now = util_realtime_ns(), due;

	if (!q->delayed.n)
		return;
	due = q->delayed.at[1]->not_before_ns;
	due = due > now ? due - now : 0;
	turn_tick_at(f, util_monotonic_ns() + (due < LOOK_NS ? due : LOOK_NS));
}

static int add(struct front *f, struct project *p, struct code *c, const struct task_record *rec,
	       struct queued **ret)
{
	struct queued *w = calloc(1, sizeof(*w));
	struct queue *q = f->run->queue;

	if (!w)
		return -ENOMEM;
	w->project = p;
	w->code = c;
	w->lane = c ? &c->lane : &p->lane;
	w->not_before_ns = rec->not_before_ns;
	w->bytes = rec->spec ? (uint32_t)strlen(rec->spec) : 0;
	w->since_ns = rec->not_before_ns > rec->created_ns ? rec->not_before_ns : rec->created_ns;
	w->priority = (uint8_t)(rec->priority < LANE_PRIORITIES ? rec->priority : 0);
	memcpy(w->id, rec->id, sizeof(w->id));
	if (w->not_before_ns > util_realtime_ns()) {
		if (queue_heap_add(&q->delayed, w) < 0) {
			free(w);
			return -ENOMEM;
		}
		tick_for_heap(f);
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

static void drop(struct front *f, struct queued *w)
{
	struct queue *q = f->run->queue;

	if (w->heap_at)
		queue_heap_take(&q->delayed, w);
	else
		lane_take(q, w);
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
	r = add(f, t->project, t->code, &t->rec, &t->queued);
	if (r == 0)
		t->queued->task = t;
	return r;
}

int queue_push_stored(struct front *f, const struct task_record *rec)
{
	struct project *p = project_by_id(f, rec->project);
	struct code *c = p ? code_by_id(p, rec->code) : NULL;
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
	if (!t->queued || !t->code || t->waiters || t->dirty)
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
	struct err e = {0};

	if (!t || store_task_get(f->store, w->id, &t->rec, &e) < 0) {
		msg_err("task %s: %s", w->id, t ? e.msg : "out of memory");
		if (t)
			registry_free_task(f, t);
		return NULL;
	}
	t->project = w->project;
	t->code = w->code;
	t->queued = w;
	w->task = t;
	registry_add(f, t);
	return t;
}

struct task *queue_wake(struct front *f, const char *id)
{
	struct task *t = registry_find(f, id);
	struct queued *w = t ? NULL : find(f->run->queue, id);

	return w ? load(f, w) : t;
}

/* Turns */

bool queue_has_room(const struct front *f, const struct project *p, const struct limits *limits)
{
	const struct quota *q = &p->quota;

	if (q->running && p->n_running >= q->running)
		return false;
	/* One that is larger than the quota runs alone: it was refused if that were an error. */
	if (!limits || !p->n_running)
		return true;
	/* The other half of the pids is for other projects. */
	return (!q->memory || p->running_memory + limits->memory <= q->memory) &&
	       p->running_pids + limits->pids <= f->cfg.node_pids / 2;
}

bool queue_is_free(struct front *f, const struct project *p, const struct limits *limits)
{
	return f->run->ready && !f->run->queue->n_ready && f->run->n_running < f->cfg.running_max &&
	       queue_has_room(f, p, limits);
}

static bool is_open(const struct code *c)
{
	return !c->paused && !c->cancelling && !c->going &&
	       (!c->spec.max_concurrency || c->lane.n_running < c->spec.max_concurrency);
}

static struct queued *older(struct queued *a, struct queued *b)
{
	return !a || (b && b->since_ns < a->since_ns) ? b : a;
}

static struct queued *first_of(const struct project *p)
{
	struct queued *first = NULL;

	for (int i = LANE_PRIORITIES - 1; i >= 0 && !first; i--) {
		first = p->lane.head[i];
		for (const struct code *c = p->codes; c; c = c->next)
			if (c->lane.head[i] && is_open(c))
				first = older(first, c->lane.head[i]);
	}
	return first;
}

/* The project with the fewest running tasks, of those the one that was served longest ago. */
static struct queued *next_turn(struct front *f)
{
	struct queued *next = NULL;

	for (struct project *p = f->core->projects; p; p = p->next) {
		struct queued *w;

		if (!p->n_queued || p->full || !queue_has_room(f, p, NULL))
			continue;
		if (next && (p->n_running > next->project->n_running ||
			     (p->n_running == next->project->n_running &&
			      p->served > next->project->served)))
			continue;
		w = first_of(p);
		if (w)
			next = w;
	}
	return next;
}

static bool dispatch_again(struct front *f, struct work *w)
{
	(void)w;
	f->run->queue->waits = false;
	queue_dispatch(f);
	return false;
}

static void work_drop(struct front *f, struct work *w)
{
	(void)w;
	f->run->queue->waits = false;
}

void queue_dispatch(struct front *f)
{
	struct queue *q = f->run->queue;
	unsigned n = 0;

	q->dispatch = false;
	while (f->run->ready && q->n_ready && f->run->n_running < f->cfg.running_max) {
		struct queued *w;
		struct task *t;

		if (n++ == STARTS_MAX) {
			if (!q->waits)
				turn_add(f, TURN_NOBODY, TURN_CALL, &q->work);
			q->waits = true;
			return;
		}
		w = next_turn(f);
		if (!w)
			return;
		t = w->task ? w->task : load(f, w);
		if (!t) {
			/* The disk: it is tried again. */
			turn_tick_at(f, util_monotonic_ns() + SEC);
			return;
		}
		w->project->served = ++q->turn;
		flow_dispatch(f, t);
	}
}

static void on_worker(struct front *f, struct code *c)
{
	(void)c;
	queue_dispatch(f);
}

const struct listener queue_listener = {.worker_put = on_worker, .worker_paused = on_worker};

void queue_dispatch_soon(struct front *f)
{
	f->run->queue->dispatch = true;
}

void queue_dispatch_now(struct front *f)
{
	if (f->run->queue->dispatch)
		queue_dispatch(f);
}

void queue_tick(struct front *f, uint64_t now_ns)
{
	struct queue *q = f->run->queue;
	uint64_t now = util_realtime_ns();

	(void)now_ns;
	for (unsigned i = 0; i < DUE_MAX && q->delayed.n && q->delayed.at[1]->not_before_ns <= now;
	     i++) {
		struct queued *w = q->delayed.at[1];

		queue_heap_take(&q->delayed, w);
		lane_add(q, w);
	}
	tick_for_heap(f);
	queue_dispatch(f);
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
	for (unsigned i = 0; r == 0 && i < n; i++)
		drop(f, list[i]);
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
	/* Of the few that are in memory: no more than run, and what clients wait for. */
	registry_each(f, count_preparing, &ret->preparing);
	ret->running = f->run->n_running - ret->preparing;
}

int queue_init(struct front *f)
{
	f->run->queue = calloc(1, sizeof(*f->run->queue));
	if (!f->run->queue || idtable_init(&f->run->queue->by_id, BUCKETS) < 0)
		return -ENOMEM;
	f->run->queue->work = (struct work){.slice = dispatch_again, .drop = work_drop};
	return 0;
}

void queue_clear(struct front *f)
{
	struct queue *q = f->run->queue;
	struct idnode *next;

	if (!q)
		return;
	for (struct idnode *node = idtable_next(&q->by_id, NULL); node; node = next) {
		next = idtable_next(&q->by_id, node);
		drop(f, ID_OWNER(node, struct queued, node));
	}
	idtable_clear(&q->by_id);
	free(q->delayed.at);
	free(q);
	f->run->queue = NULL;
}
