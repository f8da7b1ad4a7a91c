// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/api/sync.h"

#include <string.h>

#include "supervisor/front/base/capability.h"

/* At most so many requests wait at a time. A project may have as many of them as it leaves to others,
 * so that there is always one for a further project. */
#define SYNC_MAX 64u
#define SYNC_NS (300 * SEC)
#define SYNC_BUCKETS 1024u

/* A task that has not ended. */
struct sync_task {
	struct idnode node; /* of api.sync_tasks */
	struct sync *sync;
	char id[TASK_ID_LEN + 1]; /* of its last attempt */
};

struct sync {
	struct sync *next, **pprev;
	struct front *f;
	char project[PROJECT_ID_LEN + 1];
	struct waiter *asker;
	sync_fn done;
	void *arg;
	struct timer timer;
	bool begun;
	size_t n, left; /* tasks that were added; those that have not ended */
	struct sync_task tasks[];
};

void sync_free(struct sync *s)
{
	for (size_t i = 0; i < s->n; i++)
		idtable_remove(&s->f->api->sync_tasks, &s->tasks[i].node);
	s->asker->gone = NULL;
	timer_cancel(s->f, &s->timer);
	*s->pprev = s->next;
	if (s->next)
		s->next->pprev = s->pprev;
	free(s);
}

static void sync_done(struct sync *s)
{
	sync_fn done = s->done;
	void *arg = s->arg;

	sync_free(s);
	done(arg);
}

static void on_gone(void *arg)
{
	struct sync *s = arg;

	if (s->begun)
		sync_done(s);
}

struct sync *sync_new(struct front *f, const char *project_id, size_t n, struct waiter *asker,
		      sync_fn done, void *arg)
{
	unsigned waiting = 0, of_one = 0;
	struct sync *s;

	for (s = f->api->syncs; s; s = s->next) {
		waiting++;
		of_one += strcmp(s->project, project_id) == 0;
	}
	if (of_one >= SYNC_MAX - waiting)
		return NULL;
	s = calloc(1, sizeof(*s) + n * sizeof(s->tasks[0]));
	if (!s)
		return NULL;
	s->f = f;
	memcpy(s->project, project_id, sizeof(s->project));
	s->done = done;
	s->arg = arg;
	s->asker = asker;
	asker->gone = on_gone;
	asker->gone_arg = s;
	s->next = f->api->syncs;
	s->pprev = &f->api->syncs;
	if (s->next)
		s->next->pprev = &s->next;
	f->api->syncs = s;
	return s;
}

static void task_wait(struct sync_task *t, const char *id)
{
	memcpy(t->id, id, sizeof(t->id));
	idtable_add(&t->sync->f->api->sync_tasks, &t->node, t->id);
}

void sync_add(struct sync *s, const char *id)
{
	struct sync_task *t = &s->tasks[s->n++];

	s->left++;
	t->sync = s;
	task_wait(t, id);
}

static void on_late(struct front *f, struct timer *timer)
{
	struct sync *s = OWNER(timer, struct sync, timer);

	(void)f;
	sync_done(s);
}

void sync_begin(struct sync *s)
{
	s->begun = true;
	if (s->left == 0 || !waiter_is_there(s->asker))
		sync_done(s);
	else
		timer_set(s->f, &s->timer, util_monotonic_ns() + SYNC_NS, on_late);
}

static void task_over(struct front *f, const char *id, const char *next_attempt)
{
	struct idnode *node = idtable_find(&f->api->sync_tasks, id);
	struct sync_task *t = OWNER_OF(node, struct sync_task, node);

	if (!node)
		return;
	idtable_remove(&f->api->sync_tasks, node);
	if (*next_attempt)
		task_wait(t, next_attempt);
	else if (--t->sync->left == 0 && t->sync->begun)
		sync_done(t->sync);
}

static void on_ended(struct front *f, struct task *t)
{
	task_over(f, t->rec.id, t->rec.retry);
}

static void on_cancelled(struct front *f, const char *id)
{
	task_over(f, id, "");
}

static const struct listener sync_listener = {.ended = on_ended, .cancelled = on_cancelled};

static int sync_load(struct front *f, struct err *e)
{
	int r = idtable_init(&f->api->sync_tasks, SYNC_BUCKETS);

	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "cannot keep what waits for tasks") : 0;
}

static void sync_stop(struct front *f)
{
	while (f->api->syncs)
		sync_done(f->api->syncs);
}

static void sync_clear(struct front *f)
{
	idtable_clear(&f->api->sync_tasks);
}

const struct capability sync_capability = {.name = "sync",
					   .load = sync_load,
					   .stop = sync_stop,
					   .clear = sync_clear,
					   .listener = &sync_listener};
