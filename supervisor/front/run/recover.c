// SPDX-License-Identifier: Apache-2.0
/*
 * After a start: the store says which tasks had not ended, the monitor says which of
 * them it knows (MON_RUNNING, MON_EXITED, then MON_READY). What it does not know either
 * never reached it, and is started (again), or was lost with the machine.
 */
#include <stdio.h>
#include <string.h>

#include "lib/msg.h"
#include "supervisor/front/run/run.h"

/* NULL: out of memory. */
static struct task *take(struct front *f, struct task_record *rec)
{
	const uint64_t now = util_realtime_ns();
	struct task *t = registry_new(rec->id);

	if (!t)
		return NULL;
	t->rec = *rec;
	rec->job = rec->payload = NULL;
	t->project = project_by_id(f, t->rec.project);
	t->worker = t->project && *t->rec.worker ? worker_by_id(t->project, t->rec.worker) : NULL;
	t->change.stored = true;
	registry_add(f, t);
	/* The request came before this process: its time is told by the wall clock. */
	if (now > t->rec.created_ns && util_monotonic_ns() > now - t->rec.created_ns)
		t->received_ns = util_monotonic_ns() - (now - t->rec.created_ns);
	if (t->rec.state == TASK_QUEUED)
		return t;
	flow_occupy(f, t, true);
	if (t->rec.cancel_ns) {
		/* The clock may have been set back meanwhile: never more than the grace. */
		uint64_t gone = now > t->rec.cancel_ns ? now - t->rec.cancel_ns : 0;

		flow_kill_after(f, t, gone < CANCEL_GRACE_NS ? CANCEL_GRACE_NS - gone : 0);
	}
	return t;
}

static int load(void *arg, struct task_record *rec)
{
	struct front *f = arg;
	struct task *t;

	/* A worker's, that waits: it stays in the store. */
	if (rec->state == TASK_QUEUED && !rec->cancel_ns && *rec->worker &&
	    queue_push_stored(f, rec) == 0)
		return 0;
	t = take(f, rec);
	if (!t)
		return -ENOMEM;
	if (t->rec.state == TASK_QUEUED && !t->rec.cancel_ns)
		(void)queue_push(f, t); /* else see settle */
	return 0;
}

void recover_damaged(struct task *t, const struct err *damage)
{
	msg_err("task %s is not started, unless it runs already: %s", t->rec.id, damage->msg);
	t->damaged = true;
	(void)snprintf(t->rec.warning, sizeof(t->rec.warning), "%s", damage->msg);
	commit_note(t, "damaged", damage->msg);
}

/* One row is not worth all others: its task ends with an error that says so; or it runs, and its end
 * is known as any other's. */
static int load_damaged(void *arg, struct task_record *rec, const struct err *damage)
{
	struct front *f = arg;
	struct task *t;

	if (!*rec->id) {
		msg_err("a task without an id is left alone in the store: %s", damage->msg);
		return 0;
	}
	t = take(f, rec);
	if (!t)
		return -ENOMEM;
	recover_damaged(t, damage);
	return 0;
}

int recover_load(struct front *f, struct err *e)
{
	return store_task_load_active(f->store, load, load_damaged, f, e);
}

/* Whether a task that runs and is not in memory was ever acknowledged: then, or when nobody can tell, it
 * goes on. */
static bool is_nobodys(struct front *f, const char *id)
{
	struct task_record rec = {0};
	struct err e = {0};

	if (queue_hold(f, id)) {
		msg_err("task %s runs, and cannot be read from the store now", id);
		return false;
	}
	if (store_task_get(f->store, id, &rec, &e) < 0 && e.code != ERR_NOT_FOUND) {
		msg_err("task %s runs: %s", id, e.msg);
		return false;
	}
	task_record_clear(&rec);
	return true;
}

void recover_running(struct front *f, const struct mon_running *m)
{
	struct task *t = flow_known(f, m->id);

	if (!t) {
		if (!is_nobodys(f, m->id))
			return;
		/* Nobody was told that it exists: it ends, and is forgotten then. */
		msg_warn("task %s runs and was never acknowledged: it is ended", m->id);
		flow_kill(f, m->id, KILL_CANCEL_KILL);
		return;
	}
	if (!m->started || t->rec.state != TASK_PREPARING)
		return;
	t->rec.start_mode = m->mode < START_MODE_MAX ? m->mode : START_AUTO;
	t->rec.started_ns = m->started_realtime_ns;
	if (t->rec.started_ns > t->rec.created_ns)
		t->rec.start_us = (t->rec.started_ns - t->rec.created_ns) / 1000;
	flow_step(t, TASK_EV_STARTED, start_mode_name((enum start_mode)t->rec.start_mode));
	commit_mark_later(f, t);
}

static void settle(struct front *f, struct task *t, void *arg)
{
	(void)arg;
	if (t->known_to_monitor || t->exited_at_ns ||
	    task_state_final((enum task_state)t->rec.state))
		return;
	if (t->damaged) {
		flow_end(f, t, VERDICT_FAILED, "its row in the store is damaged");
	} else if (t->rec.state == TASK_QUEUED && t->rec.cancel_ns) {
		flow_end(f, t, VERDICT_CANCELLED, "");
	} else if (t->rec.state == TASK_QUEUED && !t->queued) {
		flow_end(f, t, VERDICT_FAILED, "its project or its worker was removed");
	} else if (t->rec.state == TASK_RUNNING) {
		flow_end(f, t, VERDICT_LOST, "the machine or its sandbox went down under it");
	} else if (t->rec.state == TASK_PREPARING && t->rec.cancel_ns) {
		flow_end(f, t, VERDICT_CANCELLED, "");
	} else if (t->rec.state == TASK_PREPARING) {
		flow_occupy(f, t, false);
		flow_step(t, TASK_EV_REQUEUE, "its start request was lost");
		commit_mark(f, t);
		if (queue_push(f, t) < 0)
			flow_end(f, t, VERDICT_FAILED, "its project was removed");
	}
}

void recover_ready(struct front *f)
{
	f->run->ready = true;
	registry_each(f, settle, NULL);
	queue_dispatch_soon(f);
}
