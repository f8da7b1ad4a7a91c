// SPDX-License-Identifier: Apache-2.0
/*
 * Changes to tasks are written in one transaction at the end of a turn of the loop, so
 * that many tasks cost one wait for the disk. What must not be said before a record is
 * durable (accepted, finished) is said here, after it.
 */
#include <stdio.h>
#include <string.h>

#include "supervisor/front/internal.h"
#include "supervisor/front/store_query.h"
#include "supervisor/msg.h"

#define RETRY_NS (1 * SEC)
/* A short task has ended by then: its start costs no wait for the disk of its own. */
#define LATER_NS (200 * MSEC)
/* Finished tasks beyond the bound are removed in batches. */
#define PRUNE_EVERY 64u
#define PRUNE_PACKAGES_EVERY (30 * SEC)

void commit_mark(struct front *f, struct task *t)
{
	t->write_by_ns = 0;
	if (t->dirty)
		return;
	t->dirty = true;
	t->dirty_next = f->dirty;
	f->dirty = t;
	/* In its turn among the sockets that are ready now: their changes go along. */
	if (!f->retry_ns)
		(void)sd_event_source_set_enabled(f->committer, SD_EVENT_ONESHOT);
}

void commit_mark_later(struct front *f, struct task *t)
{
	if (t->dirty || t->write_by_ns)
		return;
	t->write_by_ns = util_monotonic_ns() + LATER_NS;
	front_tick_at(f, t->write_by_ns);
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

/* Nobody was told of it, and it may be what the store refuses. */
static bool may_fail(const struct task *t)
{
	return t->is_new && !t->must_be;
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

int commit_delete(struct front *f, char (*ids)[TASK_ID_LEN + 1], unsigned n, struct err *e)
{
	int r = store_begin(f->store, e);

	for (unsigned i = 0; r == 0 && i < n; i++)
		r = store_task_delete(f->store, ids[i], e);
	if (r == 0)
		r = store_commit(f->store, e);
	if (r < 0) {
		store_rollback(f->store);
		return r;
	}
	for (unsigned i = 0; i < n; i++)
		flow_log_request(f, ids[i], LOG_DELETE);
	return 0;
}

int commit_prune(struct front *f, uint64_t keep, unsigned *ret_n, struct err *e)
{
	char ids[PRUNE_EVERY * 2][TASK_ID_LEN + 1];
	int r;

	r = store_task_oldest(f->store, keep, ARRAY_SIZE(ids), ids, ret_n, e);
	if (r == 0 && *ret_n > 0)
		r = commit_delete(f, ids, *ret_n, e);
	return r;
}

static void prune_now_and_then(struct front *f)
{
	struct err e = {0};
	unsigned n;

	if (++f->n_finished < PRUNE_EVERY)
		return;
	f->n_finished = 0;
	if (commit_prune(f, f->cfg.finished_keep, &n, &e) < 0)
		msg_warn("old tasks are not removed: %s", e.msg);
	/* It forks, and reads the whole folder. */
	if (util_monotonic_ns() < f->prune_at_ns)
		return;
	f->prune_at_ns = util_monotonic_ns() + PRUNE_PACKAGES_EVERY;
	package_prune(f);
}

static void tell_submitted(struct task *t, const struct err *error)
{
	submit_fn fn = t->submitted;

	t->submitted = NULL;
	if (fn)
		fn(t->submitted_arg, t->rec.id, error);
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

static void written(struct front *f, struct task *t)
{
	ops_accepted(t);
	tell_submitted(t, NULL);
	/* Who was told of this one or of another before it has changed it: it comes here again. */
	if (t->dirty || queue_settle(f, t))
		return;
	if (!task_state_final((enum task_state)t->rec.state))
		return;
	if (t->known_to_monitor)
		flow_forget(f, t->rec.id);
	ops_finished(t);
	warm_background(f, t);
	registry_remove(f, t);
	prune_now_and_then(f);
}

/* True when the task is to be tried again later. */
static bool not_written(struct front *f, struct task *t, const struct err *e)
{
	if (!t->is_new || t->must_be) {
		/* The end is known and true, whatever the disk says. */
		if (task_state_final((enum task_state)t->rec.state))
			ops_finished(t);
		return true;
	}
	/* Nobody was told that it exists: now somebody is told that it does not. */
	ops_answer_all(&t->waiters, NULL, e);
	tell_submitted(t, e);
	queue_remove(f, t);
	if (t->known_to_monitor)
		flow_kill(f, t->rec.id, KILL_CANCEL_KILL); /* forgotten when it has ended */
	flow_occupy(f, t, false);
	registry_remove(f, t);
	return false;
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
		written(f, t);
		return false;
	}
	t->dirty = false;
	return not_written(f, t, e);
}

void commit_now(struct front *f)
{
	struct task *list = f->dirty, *t;
	struct err e = {0};
	bool all, known;

	f->dirty = NULL;
	f->retry_ns = 0;
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
		f->retry_ns = util_monotonic_ns() + RETRY_NS;
		commit_mark(f, t);
		front_tick_at(f, f->retry_ns);
	}
	if (f->dirty && !f->retry_ns)
		(void)sd_event_source_set_enabled(f->committer, SD_EVENT_ONESHOT);
}

static int commit_ready(sd_event_source *s, void *arg)
{
	(void)s;
	commit_now(arg);
	return 0;
}

int commit_init(struct front *f)
{
	int r = sd_event_add_defer(f->event, &f->committer, commit_ready, f);

	if (r < 0)
		return r;
	return sd_event_source_set_enabled(f->committer, SD_EVENT_OFF);
}
