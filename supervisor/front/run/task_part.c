// SPDX-License-Identifier: Apache-2.0
/*
 * Tasks as a capability: how those that have ended are removed, and what a project or a worker has
 * of tasks when it goes.
 */
#include <string.h>

#include "lib/msg.h"
#include "supervisor/front/run/log_keep.h"
#include "supervisor/front/run/run.h"
#include "supervisor/front/run/source.h"
#include "supervisor/front/store/chore.h"
#include "supervisor/front/store/query.h"
#include "supervisor/front/store/schema.h"

/* Finished tasks beyond the bound are removed in batches. */
#define PRUNE_EVERY 64u
#define PRUNE_PACKAGES_EVERY (30 * SEC)

struct deletion {
	struct front *f;
	char (*ids)[TASK_ID_LEN + 1];
	unsigned n;
	struct kept_log logs[TURN_WRITE_ROWS];
};

static int write_deletion(void *arg, struct err *e)
{
	struct deletion *d = arg;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < d->n; i++)
		r = store_task_delete(d->f->store, d->ids[i], &d->logs[i], e);
	return r;
}

int commit_delete(struct front *f, char (*ids)[TASK_ID_LEN + 1], unsigned n, struct err *e)
{
	struct deletion d = {.f = f, .ids = ids, .n = n};
	int r = store_slice(f->store, write_deletion, &d, e);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < n; i++) {
		(void)log_request(f, ids[i], LOG_DELETE);
		log_keep_removed(f, d.logs[i].id, d.logs[i].bytes);
	}
	return 0;
}

/* A task that is removed alone. */
struct removal {
	struct change change;
	char id[TASK_ID_LEN + 1];
	struct kept_log log;
};

static int removal_write(struct front *f, struct change *c, struct err *e)
{
	struct removal *x = OWNER(c, struct removal, change);

	return store_task_delete(f->store, x->id, &x->log, e);
}

static void removal_done(struct front *f, struct change *c, const struct err *error)
{
	struct removal *x = OWNER(c, struct removal, change);

	if (!error) {
		(void)log_request(f, x->id, LOG_DELETE);
		log_keep_removed(f, x->log.id, x->log.bytes);
	}
	free(x);
}

struct change *commit_remove(struct front *f, const char *id, struct err *e)
{
	struct removal *x = calloc(1, sizeof(*x));

	if (!x) {
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "cannot remove the task %s", id);
		return NULL;
	}
	x->change = (struct change){.write = removal_write, .done = removal_done};
	memcpy(x->id, id, TASK_ID_LEN);
	change_mark(f, &x->change, TURN_NOBODY, 0);
	return &x->change;
}

struct prune {
	struct chore chore;
	uint64_t keep, n;
	commit_pruned_fn done;
	void *arg;
};

static int prune_slice(struct front *f, struct chore *c, struct err *e)
{
	struct prune *p = OWNER(c, struct prune, chore);
	char ids[TURN_WRITE_ROWS][TASK_ID_LEN + 1];
	unsigned n;
	int r = store_task_oldest(f->store, p->keep, ARRAY_SIZE(ids), ids, &n, e);

	if (r == 0 && n > 0)
		r = commit_delete(f, ids, n, e);
	if (r < 0)
		return r;
	p->n += n;
	return n > 0;
}

static void prune_end(struct front *f, struct chore *c, const struct err *error)
{
	struct prune *p = OWNER(c, struct prune, chore);

	if (p->done) {
		p->done(f, p->arg, p->n, error);
	} else {
		f->run->prunes = false;
		if (error)
			msg_warn("old tasks are not removed: %s", error->msg);
	}
	free(p);
}

int commit_prune(struct front *f, uint64_t keep, commit_pruned_fn done, void *arg, struct err *e)
{
	struct prune *p = calloc(1, sizeof(*p));

	if (!p)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot remove tasks");
	*p = (struct prune){.chore = {.slice = prune_slice, .end = prune_end},
			    .keep = keep,
			    .done = done,
			    .arg = arg};
	chore_begin(f, &p->chore, TURN_NOBODY);
	return 0;
}

void commit_ended(struct front *f)
{
	if (++f->run->n_finished < PRUNE_EVERY)
		return;
	f->run->n_finished = 0;
	if (!f->run->prunes)
		f->run->prunes = commit_prune(f, f->cfg.finished_keep, NULL, NULL, NULL) == 0;
	/* It forks, and reads the whole folder. */
	if (util_monotonic_ns() < f->run->prune_at_ns)
		return;
	f->run->prune_at_ns = util_monotonic_ns() + PRUNE_PACKAGES_EVERY;
	package_prune(f);
}

struct of_project {
	const char *id;
	unsigned n;
	bool cancel;
};

static void look_at(struct front *f, struct task *t, void *arg)
{
	struct of_project *of = arg;

	if (strcmp(t->rec.project, of->id) != 0)
		return;
	/* What waits is counted by the queue. */
	of->n += !t->queued;
	if (of->cancel && !t->rec.cancel_ns)
		(void)flow_cancel(f, t, false);
}

static int check_idle(struct front *f, struct project *p, struct err *e)
{
	struct of_project of = {.id = p->id};

	registry_each(f, look_at, &of);
	of.n += p->run->n_queued;
	if (of.n == 0)
		return 0;
	return err_set(
		e, ERR_CONFLICT, 0,
		"tasks of the project %s wait or run (%u): cancel them, or remove it with --force",
		p->name, of.n);
}

/* What waits, then what runs, then what has ended. */
static int remove_tasks(struct front *f, struct project *p, struct err *e)
{
	char ids[TURN_WRITE_ROWS][TASK_ID_LEN + 1];
	struct of_project of = {.id = p->id, .cancel = true};
	uint64_t n_cancelled = 0;
	unsigned n;
	bool more;
	int r;

	if (p->run->lane.first) {
		r = queue_cancel_some(f, &p->run->lane, UINT64_MAX, &n_cancelled, &more, e);
		return r < 0 ? r : 1;
	}
	registry_each(f, look_at, &of);
	if (of.n > 0) {
		(void)err_set(e, ERR_UNAVAILABLE, 0,
			      "the project %s goes: its tasks are being cancelled (%u)", p->name,
			      of.n);
		return -EAGAIN;
	}
	r = store_project_tasks(f->store, p->id, ARRAY_SIZE(ids), ids, &n, e);
	if (r == 0 && n > 0)
		r = commit_delete(f, ids, n, e);
	return r < 0 ? r : n > 0;
}

struct of_worker {
	const struct worker *worker;
	bool marked;
};

static void look_marked(struct front *f, struct task *t, void *arg)
{
	struct of_worker *of = arg;

	(void)f;
	of->marked |= t->worker == of->worker && t->change.marked;
}

static int remove_worker(struct front *f, struct worker *c, uint64_t *n, struct err *e)
{
	struct of_worker of = {.worker = c};
	uint64_t some;
	bool more;
	int r;

	r = queue_cancel_some(f, &c->run->lane, UINT64_MAX, &some, &more, e);
	*n += some;
	if (r < 0 || more)
		return r < 0 ? r : 1;
	/* Until what of it is in memory is cancelled in the store, and its schedules queue nothing. */
	registry_each(f, look_marked, &of);
	if (of.marked && change_is_stuck(f))
		return err_set(e, ERR_UNAVAILABLE, 0,
			       "the tasks of the worker %s cannot be written: try again later",
			       c->spec.name);
	return of.marked;
}

static void forget(struct front *f, struct task *t, void *arg)
{
	(void)f;
	if (t->worker == arg)
		t->worker = NULL;
}

static void forget_worker(struct front *f, struct worker *c)
{
	registry_each(f, forget, c);
}

struct use {
	const uint8_t *digest;
	bool used;
};

static void check_use(struct front *f, struct task *t, void *arg)
{
	struct use *use = arg;

	(void)f;
	use->used |= t->rec.has_package && memcmp(t->rec.package, use->digest, 32) == 0;
}

static bool uses_package(struct front *f, const uint8_t digest[32])
{
	struct use use = {.digest = digest};

	registry_each(f, check_use, &use);
	return use.used;
}

static int attach(struct front *f, struct project *p)
{
	(void)f;
	p->run = calloc(1, sizeof(*p->run));
	return p->run ? 0 : -ENOMEM;
}

static void free_run(struct front *f, struct project *p)
{
	(void)f;
	free(p->run);
}

static int attach_worker(struct front *f, struct worker *c)
{
	(void)f;
	c->run = calloc(1, sizeof(*c->run));
	return c->run ? 0 : -ENOMEM;
}

static void free_worker(struct front *f, struct worker *c)
{
	(void)f;
	free(c->run);
}

static const struct part part = {.attach = attach,
				 .free = free_run,
				 .attach_worker = attach_worker,
				 .free_worker = free_worker,
				 .check_idle = check_idle,
				 .remove = remove_tasks,
				 .remove_worker = remove_worker,
				 .forget_worker = forget_worker,
				 .uses_package = uses_package};

static void free_task(struct front *f, struct task *t, void *arg)
{
	(void)arg;
	registry_remove(f, t);
}

/* The queue has been cleared by then: its entries point to their tasks. */
static void tasks_clear(struct front *f)
{
	registry_each(f, free_task, NULL);
}

const struct capability task_capability = {.name = "tasks",
					   .schema = &tasks_schema,
					   .turn = commit_unrecorded,
					   .clear = tasks_clear,
					   .part = &part,
					   .source = &operator_source};
