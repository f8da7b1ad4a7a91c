// SPDX-License-Identifier: Apache-2.0
/* The tasks that a project or a worker has, when it goes. */
#include <string.h>

#include "supervisor/front/run/run.h"
#include "supervisor/front/store/projects.h"

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
	of.n += p->n_queued;
	if (of.n == 0)
		return 0;
	return err_set(e, ERR_CONFLICT, 0,
		       "%u tasks of the project %s wait or run: cancel them, or remove it by force",
		       of.n, p->name);
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

	if (p->lane.first) {
		r = queue_cancel_some(f, &p->lane, UINT64_MAX, &n_cancelled, &more, e);
		return r < 0 ? r : 1;
	}
	registry_each(f, look_at, &of);
	if (of.n > 0) {
		(void)err_set(e, ERR_UNAVAILABLE, 0,
			      "the project %s goes: %u tasks are being cancelled", p->name, of.n);
		return -EAGAIN;
	}
	r = store_project_tasks(f->store, p->id, ARRAY_SIZE(ids), ids, &n, e);
	if (r == 0 && n > 0)
		r = commit_delete(f, ids, n, true, e);
	return r < 0 ? r : n > 0;
}

static int remove_worker(struct front *f, struct code *c, uint64_t *n, struct err *e)
{
	uint64_t some;
	bool more;
	int r;

	r = queue_cancel_some(f, &c->lane, UINT64_MAX, &some, &more, e);
	*n += some;
	if (r < 0 || more)
		return r < 0 ? r : 1;
	/* What of it is in memory is cancelled in the store, and its schedules queue nothing. */
	commit_now(f);
	return 0;
}

static void forget(struct front *f, struct task *t, void *arg)
{
	(void)f;
	if (t->code == arg)
		t->code = NULL;
}

static void forget_worker(struct front *f, struct code *c)
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

const struct part task_part = {.check_idle = check_idle,
			       .remove = remove_tasks,
			       .remove_worker = remove_worker,
			       .forget_worker = forget_worker,
			       .uses_package = uses_package};
