// SPDX-License-Identifier: Apache-2.0
/*
 * Changes to tasks are written in one transaction at the end of a turn of the loop, so
 * that many tasks cost one wait for the disk. What must not be said before a record is
 * durable (accepted, finished) is said by flow_written, after it.
 */
#include <stdio.h>
#include <string.h>

#include "lib/msg.h"
#include "supervisor/front/run/log_keep.h"
#include "supervisor/front/run/run.h"
#include "supervisor/front/store/query.h"

#define RETRY_NS (1 * SEC)
/* Turns that a write waits at most for what else is to be written with it. */
#define PUT_OFF_MAX 64u
/* A short task has ended by then: its start costs no wait for the disk of its own. */
#define LATER_NS (200 * MSEC)
/* Finished tasks beyond the bound are removed in batches. */
#define PRUNE_EVERY 64u
#define PRUNE_PACKAGES_EVERY (30 * SEC)

static void append(struct task_list *list, struct task *t)
{
	t->dirty_next = NULL;
	*(list->last ? &list->last->dirty_next : &list->first) = t;
	list->last = t;
}

static struct task *take_first(struct task_list *list)
{
	struct task *t = list->first;

	list->first = t->dirty_next;
	if (!list->first)
		list->last = NULL;
	return t;
}

/* Nobody was told of it, and it may be what the store refuses. */
static bool may_fail(const struct task *t)
{
	return t->is_new && !t->must_be;
}

static void fresh_ring_add(struct front *f, struct project *p)
{
	p->fresh_next = NULL;
	*(f->run->fresh_last ? &f->run->fresh_last->fresh_next : &f->run->fresh_first) = p;
	f->run->fresh_last = p;
}

void commit_mark(struct front *f, struct task *t)
{
	t->write_by_ns = 0;
	if (t->dirty)
		return;
	t->dirty = true;
	if (may_fail(t)) {
		if (!t->project->fresh.first)
			fresh_ring_add(f, t->project);
		append(&t->project->fresh, t);
		t->project->n_fresh++;
		f->run->n_fresh++;
	} else {
		append(&f->run->dirty, t);
	}
	/* In its turn among the sockets that are ready now: their changes go along. */
	if (!f->run->retry_ns)
		turn_want(f->run->committer);
}

/*
 * What is written in this turn: all changes of tasks that somebody knows, which belong together;
 * and of the new ones no more than one turn has time for, of each project one after the other.
 */
static struct task *take_list(struct front *f)
{
	struct task_list list = f->run->dirty;
	size_t bytes = 0;

	f->run->dirty = (struct task_list){0};
	for (unsigned n = 0; n < TURN_NEW_ROWS && bytes < TURN_NEW_BYTES && f->run->fresh_first;
	     n++) {
		struct project *p = f->run->fresh_first;

		bytes += p->fresh.first->rec.spec ? strlen(p->fresh.first->rec.spec) : 0;
		f->run->fresh_first = p->fresh_next;
		if (!f->run->fresh_first)
			f->run->fresh_last = NULL;
		append(&list, take_first(&p->fresh));
		p->n_fresh--;
		f->run->n_fresh--;
		if (p->fresh.first)
			fresh_ring_add(f, p);
	}
	return list.first;
}

void commit_mark_later(struct front *f, struct task *t)
{
	if (t->dirty || t->write_by_ns)
		return;
	t->write_by_ns = util_monotonic_ns() + LATER_NS;
	turn_tick_at(f, t->write_by_ns);
}

void commit_note(struct task *t, const char *event, const char *detail)
{
	struct task_note *note = malloc(sizeof(*note) + strlen(detail) + 1);

	/* History is worth less than the task: out of memory, a line is missing. */
	if (!note)
		return;
	note->next = NULL;
	note->time_ns = util_realtime_ns();
	note->event = event;
	strcpy(note->detail, detail);
	*t->notes_tail = note;
	t->notes_tail = &note->next;
}

static int write_task(struct front *f, struct task *t, struct err *e)
{
	int r;

	r = t->is_new ? store_task_insert(f->store, &t->rec, e)
		      : store_task_update(f->store, &t->rec, e);
	if (r == 0 && t->is_new && t->also)
		r = t->also(t->also_arg, e);
	if (r == 0 && t->is_new && *t->retries)
		r = store_task_retried(f->store, t->retries, t->rec.id, e);
	for (const struct task_note *n = t->notes; r == 0 && n; n = n->next)
		r = store_event(f->store, t->rec.id, n->time_ns, n->event, n->detail, e);
	return r;
}

enum write_what { WRITE_ALL, WRITE_KNOWN, WRITE_FIRST };

/* One transaction for the list from first on; 0 or nothing is written. */
static int write_list(struct front *f, struct task *first, enum write_what what, struct err *e)
{
	int r = store_begin(f->store, e);

	for (struct task *t = first; r == 0 && t; t = what == WRITE_FIRST ? NULL : t->dirty_next)
		if (what != WRITE_KNOWN || !may_fail(t))
			r = write_task(f, t, e);
	if (r == 0)
		r = store_commit(f->store, e);
	if (r < 0)
		store_rollback(f->store);
	return r;
}

int commit_delete(struct front *f, char (*ids)[TASK_ID_LEN + 1], unsigned n, bool slice,
		  struct err *e)
{
	int r = slice ? store_begin_slice(f->store, e) : store_begin(f->store, e);
	struct kept_log logs[TURN_WRITE_ROWS] = {0};

	for (unsigned i = 0; r == 0 && i < n; i++)
		r = store_task_delete(f->store, ids[i], &logs[i], e);
	if (r == 0)
		r = store_commit(f->store, e);
	if (r < 0) {
		store_rollback(f->store);
		return r;
	}
	for (unsigned i = 0; i < n; i++) {
		(void)log_request(f, ids[i], LOG_DELETE);
		log_keep_removed(f, logs[i].id, logs[i].bytes);
	}
	return 0;
}

struct prune {
	struct work work;
	uint64_t keep, n;
	commit_pruned_fn done;
	void *arg;
};

bool commit_is_behind(const struct front *f, const struct project *p)
{
	return p && p->n_fresh > TURN_FRESH_MAX && !f->run->retry_ns;
}

static void prune_end(struct front *f, struct prune *p, const struct err *error)
{
	if (p->done)
		p->done(f, p->arg, p->n, error);
	else
		f->run->prunes = false;
	free(p);
}

static bool prune_slice(struct front *f, struct work *w)
{
	char ids[TURN_WRITE_ROWS][TASK_ID_LEN + 1];
	struct prune *p = (struct prune *)w;
	struct err e = {0};
	unsigned n;
	int r;

	r = store_task_oldest(f->store, p->keep, ARRAY_SIZE(ids), ids, &n, &e);
	if (r == 0 && n > 0)
		r = commit_delete(f, ids, n, true, &e);
	if (r == 0 && n > 0) {
		p->n += n;
		return true;
	}
	if (r == 0 && p->n > 0)
		r = store_sync(f->store, &e);
	if (r < 0 && !p->done)
		msg_warn("old tasks are not removed: %s", e.msg);
	prune_end(f, p, r < 0 ? &e : NULL);
	return false;
}

static void prune_drop(struct front *f, struct work *w)
{
	struct err e = {0};

	(void)err_set(&e, ERR_UNAVAILABLE, 0, "sandboxd is going down");
	prune_end(f, (struct prune *)w, &e);
}

int commit_prune(struct front *f, uint64_t keep, commit_pruned_fn done, void *arg, struct err *e)
{
	struct prune *p = calloc(1, sizeof(*p));

	if (!p)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot remove tasks");
	*p = (struct prune){.work = {.slice = prune_slice, .drop = prune_drop},
			    .keep = keep,
			    .done = done,
			    .arg = arg};
	turn_add(f, TURN_NOBODY, TURN_WORK, &p->work);
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

/* What changes from now on is to be written anew. */
static void mark_clean(struct task *t)
{
	while (t->notes) {
		struct task_note *note = t->notes;

		t->notes = note->next;
		free(note);
	}
	t->notes_tail = &t->notes;
	t->is_new = t->dirty = false;
}

/* False: it is in no list any more, and may be gone. */
static bool settle(struct front *f, struct task *t, bool known, struct err *e)
{
	if (may_fail(t) && write_list(f, t, WRITE_FIRST, e) == 0) {
		mark_clean(t);
		known = true;
	} else if (may_fail(t)) {
		known = false;
	}
	if (known) {
		flow_written(f, t);
		return false;
	}
	t->dirty = false;
	return flow_not_written(f, t, e);
}

void commit_now(struct front *f)
{
	struct task *list, *t;
	struct err e = {0};
	bool all, known;

	queue_dispatch_now(f);
	f->run->retry_ns = 0;
	list = take_list(f);
	if (!list)
		return;
	all = write_list(f, list, WRITE_ALL, &e) == 0;
	/* What is new stops no other. The rest stays together: an end without the attempt that
	 * follows it would be a retry that is lost if this process dies now. */
	known = all || write_list(f, list, WRITE_KNOWN, &e) == 0;
	if (!all)
		msg_err("%s", e.msg);
	for (t = list; t; t = t->dirty_next) {
		t->written_next = t->dirty_next;
		if (all || (known && !may_fail(t)))
			mark_clean(t);
	}
	while ((t = list)) {
		list = t->written_next;
		if (!settle(f, t, known, &e))
			continue;
		f->run->retry_ns = util_monotonic_ns() + RETRY_NS;
		commit_mark(f, t);
		turn_tick_at(f, f->run->retry_ns);
	}
	if ((f->run->dirty.first || f->run->fresh_first) && !f->run->retry_ns)
		turn_want(f->run->committer);
}

/*
 * Requests that wait for their turns are about to change something, and one wait for the disk is
 * enough for as many as there is time for in one turn: else each of them would wait for its own,
 * one after the other.
 */
static bool is_put_off(struct front *f)
{
	if (f->run->n_put_off == PUT_OFF_MAX || f->run->n_fresh >= TURN_NEW_ROWS ||
	    !turn_calls_waiting(f)) {
		f->run->n_put_off = 0;
		return false;
	}
	f->run->n_put_off++;
	return true;
}

static int commit_ready(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct front *f = arg;

	(void)s;
	(void)fd;
	(void)events;
	if (is_put_off(f))
		turn_want(f->run->committer);
	else
		commit_now(f);
	return 0;
}

int commit_init(struct front *f)
{
	return turn_source(f->event, &f->run->committer, commit_ready, f);
}
