// SPDX-License-Identifier: Apache-2.0
/* Operations on tasks that exist: ps, inspect, wait, cancel, rm, prune. */
#include <stdio.h>
#include <string.h>

#include "supervisor/front/api/ops.h"
#include "supervisor/front/store/query.h"

/* An answer must fit one frame: what a task's object takes at most, and room for all else. */
#define TASK_JSON_MAX(rec)                                                                         \
	(2440 + 6 * (strlen((rec)->label) + strlen((rec)->warning) + strlen((rec)->error) +        \
		     strlen((rec)->msg) + strlen((rec)->code_name)))
#define LIST_MAX (CONTROL_FRAME_MAX - (64u << 10))

/* Whoever wants all of them asks again. */
#define LIST_TASKS_MAX 200

struct listing {
	struct work work;
	struct front *f;
	struct op_asked *asked; /* NULL: within the handler still */
	struct task_query query;
	struct store_walk walk;
	char before[TASK_ID_LEN + 1];
	json_t *tasks; /* newest first */
	uint64_t left; /* tasks that may still be added */
	size_t bytes;
	bool truncated;
};

/* 0, or 1 when the list is full. */
static int list_add(struct listing *l, const struct task_record *rec)
{
	l->bytes += TASK_JSON_MAX(rec);
	if (l->left == 0 || l->bytes > LIST_MAX) {
		l->truncated = true;
		return 1;
	}
	l->left--;
	return json_array_append_new(l->tasks, task_json(rec, project_by_id(l->f, rec->project))) ==
			       0
		       ? 0
		       : -ENOMEM;
}

static int list_stored(void *arg, struct task_record *rec)
{
	struct listing *l = arg;
	const struct task *t = registry_find(l->f, rec->id);

	/* Memory knows the latest. */
	return list_add(l, t ? &t->rec : rec);
}

struct active {
	const struct task *task;
};

struct active_list {
	struct active *list;
	unsigned n;
};

static void collect_active(struct front *f, struct task *t, void *arg)
{
	struct active_list *a = arg;

	(void)f;
	if (!task_state_final((enum task_state)t->rec.state))
		a->list[a->n++].task = t;
}

static int newer_first(const void *a, const void *b)
{
	uint64_t x = ((const struct active *)a)->task->rec.created_ns;
	uint64_t y = ((const struct active *)b)->task->rec.created_ns;

	return x < y ? 1 : x > y ? -1 : 0;
}

static int list_active(struct listing *l, struct err *e)
{
	struct active_list a = {.list = calloc(l->f->run->tasks.n + 1, sizeof(struct active))};
	int r = 0;

	if (!a.list)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot list the tasks");
	registry_each(l->f, collect_active, &a);
	qsort(a.list, a.n, sizeof(*a.list), newer_first);
	for (unsigned i = 0; r == 0 && i < a.n; i++)
		r = list_add(l, &a.list[i].task->rec);
	free(a.list);
	return r < 0 ? err_set(e, ERR_SYSTEM, ENOMEM, "cannot list the tasks") : 0;
}

static bool list_work(struct front *f, struct work *w)
{
	struct listing *l = (struct listing *)w;
	json_t *reply = NULL;
	struct err e = {0};
	int r = 0;

	/* The client may have left. */
	if (l->asked->waiters)
		r = store_task_walk(f->store, &l->query, &l->walk, TURN_READ_ROWS, list_stored, l,
				    &e);
	if (r == 0 && l->asked->waiters && !l->walk.ended)
		return true;
	if (r < 0 && !e.code)
		(void)err_set(&e, ERR_SYSTEM, -r, "cannot list the tasks");
	if (r == 0)
		reply = json_pack("{s:b, s:O, s:b}", "ok", 1, "tasks", l->tasks, "truncated",
				  l->truncated);
	ops_answer_all(&l->asked->waiters, reply, &e);
	json_decref(l->tasks);
	free(l->asked);
	free(l);
	return false;
}

static void list_drop(struct front *f, struct work *w)
{
	struct listing *l = (struct listing *)w;

	(void)f;
	op_ask_no_more(l->asked);
	json_decref(l->tasks);
	free(l);
}

/* In slices: what waits is in the store, perhaps there alone, and may be very much. */
static int list_begin(struct op *op, const struct listing *what, struct err *e)
{
	struct listing *l = malloc(sizeof(*l));
	int r;

	if (!l)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot list the tasks");
	*l = *what;
	l->work = (struct work){.slice = list_work, .drop = list_drop};
	if (l->query.before)
		l->query.before = l->before;
	r = op_ask(op, &l->asked, e);
	if (r < 0) {
		free(l);
		return r;
	}
	turn_add(op->f, TURN_NOBODY, TURN_QUERY, &l->work);
	return 0;
}

int op_ps(struct op *op, struct err *e)
{
	struct listing l = {.f = op->f};
	const char *before = json_strict_string(op->in, "before", TASK_ID_LEN);
	int64_t limit = LIST_TASKS_MAX;
	bool all = false;
	int r;

	(void)json_strict_bool(op->in, "all", &all);
	(void)json_strict_int(op->in, "limit", 1, INT32_MAX, &limit);
	r = json_strict_end(op->in);
	if (r < 0)
		return r;
	if (before)
		(void)snprintf(l.before, sizeof(l.before), "%s", before);
	l.query.before = before;
	l.query.states = all ? 0 : 1u << TASK_QUEUED | 1u << TASK_PREPARING | 1u << TASK_RUNNING;
	l.left = (uint64_t)(limit < LIST_TASKS_MAX ? limit : LIST_TASKS_MAX);
	l.tasks = json_array();
	if (all || before || queue_length(op->f) > 0) {
		r = list_begin(op, &l, e);
	} else {
		r = list_active(&l, e);
		if (r == 0)
			op_reply(op, json_pack("{s:b, s:O, s:b}", "ok", 1, "tasks", l.tasks,
					       "truncated", l.truncated));
		json_decref(l.tasks);
		return r;
	}
	if (r < 0)
		json_decref(l.tasks);
	return r;
}

/* The task's object, from memory or from the store. */
static int find_json(struct front *f, const char *id, json_t **ret, struct err *e)
{
	const struct task *t = registry_find(f, id);
	struct task_record rec = {0};
	int r;

	if (t) {
		*ret = task_json(&t->rec, t->project);
		return 0;
	}
	r = store_task_get(f->store, id, &rec, e);
	if (r == 0)
		*ret = task_json(&rec, project_by_id(f, rec.project));
	free(rec.spec);
	return r;
}

int op_inspect(struct op *op, struct err *e)
{
	char id[TASK_ID_LEN + 1];
	json_t *task = NULL;
	int r;

	r = op_id(op, id, e);
	if (r == 0)
		r = find_json(op->f, id, &task, e);
	if (r == 0)
		op_reply(op, json_pack("{s:b, s:o, s:o}", "ok", 1, "task", task, "history",
				       task_json_history(op->f, id)));
	return r;
}

int op_wait_task(struct op *op, struct err *e)
{
	char id[TASK_ID_LEN + 1];
	struct waiter *w = NULL;
	struct task *t;
	json_t *task = NULL;
	int r;

	r = op_id(op, id, e);
	if (r < 0)
		return r;
	t = queue_wake(op->f, id);
	/* Also one that has ended: it answers when that is in the store. */
	if (t) {
		r = op_wait(op, &t->waiters, &w, e);
		if (r == 0)
			w->finished = true;
		return r;
	}
	r = find_json(op->f, id, &task, e);
	if (r == 0)
		op_reply(op, json_pack("{s:b, s:s, s:s, s:o}", "ok", 1, "event", "finished", "id",
				       id, "task", task));
	return r;
}

int op_cancel(struct op *op, struct err *e)
{
	char id[TASK_ID_LEN + 1];
	bool force = false, changed = false;
	struct task *t;
	json_t *task = NULL;
	int r;

	(void)json_strict_bool(op->in, "force", &force);
	r = op_id(op, id, e);
	if (r < 0)
		return r;
	/* As queue_cancel, and perhaps at once. */
	queue_last_attempt(op->f, NULL, id, id);
	t = queue_wake(op->f, id);
	if (t && force)
		changed = flow_cancel(op->f, t, true);
	else
		(void)queue_cancel(op->f, NULL, id, &changed, NULL);
	/* As iron_task_cancel; t may be gone then. */
	if (changed)
		commit_now(op->f);
	r = find_json(op->f, id, &task, e);
	if (r < 0)
		return r;
	op_reply(op, json_pack("{s:b, s:s, s:O, s:b}", "ok", 1, "id", id, "status",
			       json_object_get(task, "status"), "changed", changed));
	json_decref(task);
	return 0;
}

int op_rm(struct op *op, struct err *e)
{
	struct task_record rec = {0};
	char id[TASK_ID_LEN + 1];
	int r;

	r = op_id(op, id, e);
	if (r == 0 && queue_wake(op->f, id))
		r = err_set(e, ERR_CONFLICT, 0, "the task %s has not ended: cancel it first", id);
	if (r == 0)
		r = store_task_get(op->f->store, id, &rec, e);
	free(rec.spec);
	if (r == 0)
		r = commit_delete(op->f, &id, 1, false, e);
	if (r == 0)
		op_reply(op, json_pack("{s:b, s:s}", "ok", 1, "id", id));
	return r;
}

static void pruned(struct front *f, void *arg, uint64_t n, const struct err *error)
{
	struct op_asked *asked = arg;

	package_prune(f);
	ops_answer_all(&asked->waiters,
		       error ? NULL : json_pack("{s:b, s:I}", "ok", 1, "removed", (json_int_t)n),
		       error);
	free(asked);
}

int op_prune(struct op *op, struct err *e)
{
	struct op_asked *asked = NULL;
	int r;

	r = json_strict_end(op->in);
	if (r == 0)
		r = op_ask(op, &asked, e);
	if (r == 0)
		r = commit_prune(op->f, 0, pruned, asked, e);
	if (r < 0)
		op_ask_no_more(asked);
	return r;
}
