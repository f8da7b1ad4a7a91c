// SPDX-License-Identifier: Apache-2.0
/*
 * After a start: the store says which tasks had not ended, the monitor says which of
 * them it knows (MON_RUNNING, MON_EXITED, then MON_READY). What it does not know either
 * never reached it, and is started (again), or was lost with the machine.
 */
#include <string.h>

#include "lib/msg.h"
#include "supervisor/front/run/run.h"

static int load(void *arg, struct task_record *rec)
{
	struct front *f = arg;
	uint64_t now = util_realtime_ns();
	struct task *t;

	/* A code's, that waits: it stays in the store. */
	if (rec->state == TASK_QUEUED && !rec->cancel_ns && *rec->code &&
	    queue_push_stored(f, rec) == 0)
		return 0;
	t = registry_new(rec->id);
	if (!t)
		return -ENOMEM;
	t->rec = *rec;
	rec->spec = NULL;
	t->project = project_by_id(f, t->rec.project);
	t->code = t->project && *t->rec.code ? code_by_id(t->project, t->rec.code) : NULL;
	registry_add(f, t);
	/* The request came before this process: its time is told by the wall clock. */
	if (now > t->rec.created_ns && util_monotonic_ns() > now - t->rec.created_ns)
		t->received_ns = util_monotonic_ns() - (now - t->rec.created_ns);
	if (t->rec.state == TASK_QUEUED) {
		if (!t->rec.cancel_ns)
			(void)queue_push(f, t); /* else see settle */
		return 0;
	}
	flow_occupy(f, t, true);
	if (t->rec.cancel_ns) {
		/* The clock may have been set back meanwhile: never more than the grace. */
		uint64_t gone = now > t->rec.cancel_ns ? now - t->rec.cancel_ns : 0;

		t->kill_at_ns =
			util_monotonic_ns() + (gone < CANCEL_GRACE_NS ? CANCEL_GRACE_NS - gone : 0);
		turn_tick_at(f, t->kill_at_ns);
	}
	return 0;
}

int recover_load(struct front *f, struct err *e)
{
	return store_task_load_active(f->store, load, f, e);
}

void recover_running(struct front *f, const struct mon_running *m)
{
	struct task *t = flow_known(f, m->id);

	if (!t) {
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
	if (t->rec.state == TASK_QUEUED && t->rec.cancel_ns) {
		flow_end(f, t, VERDICT_CANCELLED, "");
	} else if (t->rec.state == TASK_QUEUED && !t->queued) {
		flow_end(f, t, VERDICT_FAILED, "its project or its code is no more");
	} else if (t->rec.state == TASK_RUNNING) {
		flow_end(f, t, VERDICT_LOST, "the machine or its sandbox went down under it");
	} else if (t->rec.state == TASK_PREPARING && t->rec.cancel_ns) {
		flow_end(f, t, VERDICT_CANCELLED, "");
	} else if (t->rec.state == TASK_PREPARING) {
		flow_occupy(f, t, false);
		flow_step(t, TASK_EV_REQUEUE, "its start request was lost");
		commit_mark(f, t);
		if (queue_push(f, t) < 0)
			flow_end(f, t, VERDICT_FAILED, "its project is no more");
	}
}

void recover_ready(struct front *f)
{
	f->run->ready = true;
	registry_each(f, settle, NULL);
	queue_dispatch(f);
}
