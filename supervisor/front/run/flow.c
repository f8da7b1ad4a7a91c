// SPDX-License-Identifier: Apache-2.0
/* What happens to a task, in the order of its life. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/msg.h"
#include "spec/job.h"
#include "supervisor/front/run/log_keep.h"
#include "supervisor/front/run/run.h"

/* The end of a log comes from the logger by itself; it is asked for when it does not. */
#define LOG_ASK_AFTER (300 * MSEC)
#define LOG_ASK_EVERY (1 * SEC)
#define LOG_GIVE_UP (8 * SEC)

void flow_step(struct task *t, enum task_event event, const char *detail)
{
	if (task_step(&t->rec, event) < 0) {
		msg_err("task %s: %s is not possible while %s", t->rec.id, task_event_name(event),
			task_state_name((enum task_state)t->rec.state));
		return;
	}
	commit_note(t, task_event_name(event), detail);
}

void flow_occupy(struct front *f, struct task *t, bool occupies)
{
	if (t->occupies == occupies)
		return;
	t->occupies = occupies;
	f->run->n_running += occupies ? 1 : -1u;
	if (t->code)
		t->code->lane.n_running += occupies ? 1 : -1u;
	if (!t->project)
		return;
	t->project->n_running += occupies ? 1 : -1u;
	t->project->running_memory += occupies ? t->rec.limits.memory : -t->rec.limits.memory;
	t->project->running_pids += occupies ? t->rec.limits.pids : -(uint64_t)t->rec.limits.pids;
	t->project->full = false;
}

void flow_kill(struct front *f, const char *id, enum kill_reason reason)
{
	union proto_msg m = {0};

	proto_init(&m, MON_KILL);
	memcpy(m.kill.id, id, sizeof(m.kill.id));
	m.kill.reason = (uint8_t)reason;
	if (chan_send(&f->run->monitor, &m, NULL, 0) < 0)
		msg_err("task %s: the monitor does not take a request to end it", id);
}

void flow_forget(struct front *f, const char *id)
{
	union proto_msg m = {0};

	proto_init(&m, MON_FORGET);
	memcpy(m.forget.id, id, sizeof(m.forget.id));
	/* Lost, it is repeated: the monitor tells of this end again after a restart. */
	(void)chan_send(&f->run->monitor, &m, NULL, 0);
}

/* The slot is taken and the state is PREPARING only when the monitor has the request. */
static int dispatch(struct front *f, struct task *t, const struct task_spec *spec, struct err *e)
{
	int fds[2] = {-1, -1}, r;
	union proto_msg m = {0};

	if (!t->project)
		return err_set(e, ERR_NOT_FOUND, 0, "its project is no more");
	r = job_build(spec, &(struct job_of){t->rec.id, t->rec.policy, t->rec.together != 0},
		      &fds[0], e);
	if (r < 0)
		return r;
	proto_init(&m, MON_START);
	memcpy(m.start.id, t->rec.id, sizeof(m.start.id));
	m.start.start = (uint8_t)t->rec.start_asked;
	m.start.has_package = t->rec.has_package != 0;
	m.start.owner = t->project->slot;
	memcpy(m.start.image, t->rec.image_digest, sizeof(m.start.image));
	memcpy(m.start.policy, t->rec.policy_id, sizeof(m.start.policy));
	memcpy(m.start.package, t->rec.package, sizeof(m.start.package));
	m.start.limits = t->rec.limits;
	m.start.received_ns = t->received_ns;
	memcpy(m.start.warm, t->rec.warm, sizeof(m.start.warm));
	/* A longer name works too, by the runtime's own way. */
	if (spec->kind == TASK_EXEC && strlen(spec->source) < sizeof(m.start.script))
		memcpy(m.start.script, spec->source, strlen(spec->source));
	if (t->rec.has_package)
		fds[1] = TAKE_FD(t->package_fd);
	r = chan_send(&f->run->monitor, &m, fds, 1u + m.start.has_package);
	util_close_fd(&fds[0]);
	util_close_fd(&fds[1]);
	if (r < 0)
		return err_set(e, ERR_UNAVAILABLE, -r, "the monitor does not take new tasks");
	t->known_to_monitor = true;
	flow_occupy(f, t, true);
	flow_step(t, TASK_EV_DISPATCH, "");
	commit_mark(f, t);
	return 0;
}

static int open_package(struct front *f, struct task *t, struct err *e)
{
	if (!t->rec.has_package || t->package_fd >= 0)
		return 0;
	t->package_fd = package_open(f, t->rec.package);
	if (t->package_fd < 0)
		return err_set(e, ERR_NOT_FOUND, -t->package_fd,
			       "the task's folder is not there any more");
	return 0;
}

void flow_dispatch(struct front *f, struct task *t)
{
	_cleanup_task_spec_ struct task_spec spec = {0};
	struct err e = {0};
	int r;

	if (t->code)
		r = queue_spec(f, t, &spec, &e);
	else if (*t->rec.code)
		r = err_set(&e, ERR_NOT_FOUND, 0, "its code \"%s\" is no more", t->rec.code_name);
	else
		r = task_spec_parse(t->rec.spec, strlen(t->rec.spec), &spec, &e);
	if (r == 0 && t->project && !queue_has_room(f, t->project, &t->rec.limits)) {
		t->project->full = true;
		return;
	}
	queue_remove(f, t);
	if (r == 0)
		r = open_package(f, t, &e);
	if (r == 0)
		r = dispatch(f, t, &spec, &e);
	if (r < 0)
		flow_end(f, t, VERDICT_FAILED, e.msg);
}

int flow_accept(struct front *f, struct task *t, const struct task_spec *spec, struct err *e)
{
	int r;

	t->is_new = true;
	commit_note(t, "accepted", "");
	if (queue_is_free(f, t->project, &t->rec.limits)) {
		/* The monitor is asked first, the disk second: both then work at once. */
		r = dispatch(f, t, spec, e);
		if (r < 0)
			return r;
		registry_add(f, t);
		return 0;
	}
	if (t->project->lane.n_queued >= f->cfg.queued_max)
		return err_set(e, ERR_LIMIT, 0, "%u tasks wait already: try again later",
			       t->project->lane.n_queued);
	/* It may wait for days: what it needs must survive a power cut as the record does. */
	if (t->rec.has_package)
		package_sync(f);
	r = queue_push(f, t);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "cannot queue the task");
	registry_add(f, t);
	commit_mark(f, t);
	/* What waits already may be another project's, and not be its turn. */
	queue_dispatch(f);
	return 0;
}

void flow_started(struct front *f, const struct mon_started *m)
{
	struct task *t = registry_find(f, m->id);
	uint64_t now = util_monotonic_ns(), first = m->first_ns;

	if (!t || t->rec.state != TASK_PREPARING)
		return;
	/* 0: this interpreter has no cheap clock; the message came right after. */
	if (first == 0 || first > now)
		first = now;
	t->rec.start_mode = m->mode < START_MODE_MAX ? m->mode : START_AUTO;
	t->rec.started_ns = util_realtime_ns() - (now - first);
	if (t->received_ns && first > t->received_ns)
		t->rec.start_us = (first - t->received_ns) / 1000;
	if (*m->warning)
		(void)snprintf(t->rec.warning, sizeof(t->rec.warning), "%s", m->warning);
	/* Who asks for a restore wants to see that one; the others want to be fast next time. */
	if (m->want_warm < WARM_FOR_MAX && t->rec.start_asked != START_RESTORE)
		t->want_warm = (enum warm_for)m->want_warm;
	if (*m->warning)
		msg_warn("task %s: %s", t->rec.id, m->warning);
	flow_step(t, TASK_EV_STARTED, start_mode_name((enum start_mode)t->rec.start_mode));
	commit_mark_later(f, t);
	EVENT_TELL(f, started, t);
}

static void finish(struct front *f, struct task *t)
{
	enum verdict verdict = (enum verdict)t->rec.verdict;

	if (!t->rec.finished_ns)
		t->rec.finished_ns = util_realtime_ns();
	t->kill_at_ns = 0;
	flow_step(t, task_verdict_event(verdict), verdict_name(verdict));
	EVENT_TELL(f, over, t);
	queue_follow_up(f, t);
	commit_mark(f, t);
}

/* Both its end and its log's end are known: only then is a task over. */
static void finish_if_over(struct front *f, struct task *t)
{
	if (t->exited_at_ns && t->rec.log_known && !task_state_final((enum task_state)t->rec.state))
		finish(f, t);
}

void flow_end(struct front *f, struct task *t, enum verdict verdict, const char *error)
{
	if (t->exited_at_ns)
		return;
	t->exited_at_ns = util_monotonic_ns();
	t->rec.verdict = verdict;
	t->rec.exit_code = task_exit_code(verdict, -1);
	(void)snprintf(t->rec.error, sizeof(t->rec.error), "%s", error);
	flow_occupy(f, t, false);
	/* No pipe will end this log. */
	t->log_asked_ns = t->exited_at_ns;
	log_request(f, t->rec.id, LOG_FINISH);
	turn_tick_at(f, t->exited_at_ns + LOG_ASK_EVERY);
}

struct task *flow_known(struct front *f, const char *id)
{
	_cleanup_task_spec_ struct task_spec spec = {0};
	struct task *t = queue_wake(f, id);
	struct err e = {0};

	if (!t)
		return NULL;
	t->known_to_monitor = true;
	if (t->rec.state != TASK_QUEUED || t->exited_at_ns)
		return t;
	queue_remove(f, t);
	/* Of what it was made is not written either: by now that is the same, or nearly. */
	if (t->code)
		(void)queue_spec(f, t, &spec, &e);
	flow_occupy(f, t, true);
	flow_step(t, TASK_EV_DISPATCH, "");
	commit_mark(f, t);
	if (t->rec.cancel_ns)
		flow_kill(f, id, KILL_CANCEL_KILL);
	return t;
}

void flow_exited(struct front *f, const struct mon_exited *m)
{
	struct task *t = flow_known(f, m->id);
	struct task_record old = {0};
	int wait_status = m->wait_status;
	struct err e = {0};

	if (!t) {
		/* In the store: it has ended before, and the monitor was not told. Not
		 * there: its request was never acknowledged to anybody. */
		if (store_task_get(f->store, m->id, &old, &e) < 0) {
			if (e.code != ERR_NOT_FOUND)
				return;
			log_request(f, m->id, LOG_DELETE);
		}
		free(old.spec);
		flow_forget(f, m->id);
		return;
	}
	if (t->exited_at_ns)
		return;
	t->exited_at_ns = util_monotonic_ns();
	t->rec.verdict =
		m->verdict > VERDICT_NONE && m->verdict < VERDICT_MAX ? m->verdict : VERDICT_LOST;
	/* SIGKILL of the whole sandbox takes the one along that would tell of it. */
	if (wait_status < 0 && t->rec.verdict == VERDICT_CANCELLED &&
	    (t->kill_sent || t->rec.state == TASK_RUNNING))
		wait_status = SIGKILL;
	t->rec.exit_code = task_exit_code((enum verdict)t->rec.verdict, wait_status);
	t->rec.signal = task_exit_signal(wait_status);
	t->rec.cpu_us = m->cpu_us;
	t->rec.memory_peak = m->memory_peak;
	t->rec.finished_ns = m->finished_ns;
	(void)snprintf(t->rec.error, sizeof(t->rec.error), "%s", m->error);
	if (*m->warning) {
		size_t n = strlen(t->rec.warning);

		(void)snprintf(t->rec.warning + n, sizeof(t->rec.warning) - n, "%s%s",
			       n ? "; " : "", m->warning);
	}
	flow_occupy(f, t, false);
	if (t->rec.verdict == VERDICT_FAILED && t->rec.state == TASK_PREPARING &&
	    !t->rec.log_known) {
		t->log_asked_ns = t->exited_at_ns;
		log_request(f, t->rec.id, LOG_FINISH);
	}
	finish_if_over(f, t);
	if (!t->rec.log_known)
		turn_tick_at(f, t->exited_at_ns + LOG_ASK_AFTER);
	queue_dispatch(f);
}

void flow_log_end(struct front *f, const struct log_end *m)
{
	struct task *t = registry_find(f, m->id);

	if (!t || t->rec.log_known)
		return;
	t->rec.log_known = 1;
	t->rec.log_lines = m->lines;
	t->rec.log_bytes = m->bytes;
	t->rec.log_dropped = m->dropped;
	t->rec.log_disk = m->disk;
	finish_if_over(f, t);
}

static void tell_submitted(struct task *t, const struct err *error)
{
	submit_fn fn = t->submitted;

	t->submitted = NULL;
	if (fn)
		fn(t->submitted_arg, t->rec.id, error);
}

void flow_written(struct front *f, struct task *t)
{
	EVENT_TELL(f, written, t);
	tell_submitted(t, NULL);
	/* Who was told of this one or of another before it has changed it: it comes here again. */
	if (t->dirty || queue_settle(f, t))
		return;
	if (!task_state_final((enum task_state)t->rec.state))
		return;
	if (t->known_to_monitor)
		flow_forget(f, t->rec.id);
	EVENT_TELL(f, ended, t);
	warm_background(f, t);
	log_keep_ended(f, t);
	registry_remove(f, t);
	commit_ended(f);
}

bool flow_not_written(struct front *f, struct task *t, const struct err *e)
{
	if (!t->is_new || t->must_be) {
		/* The end is known and true, whatever the disk says. */
		if (task_state_final((enum task_state)t->rec.state))
			EVENT_TELL(f, ended, t);
		return true;
	}
	/* Nobody was told that it exists: now somebody is told that it does not. */
	EVENT_TELL(f, dropped, t, e);
	tell_submitted(t, e);
	queue_remove(f, t);
	if (t->known_to_monitor)
		flow_kill(f, t->rec.id, KILL_CANCEL_KILL); /* forgotten when it has ended */
	flow_occupy(f, t, false);
	registry_remove(f, t);
	return false;
}

/* It has no log whose end would have to be waited for, and is over when this is written: who is
 * told that it is cancelled may ask for it at once. */
static void end_unstarted(struct front *f, struct task *t)
{
	t->exited_at_ns = util_monotonic_ns();
	t->rec.verdict = VERDICT_CANCELLED;
	t->rec.exit_code = task_exit_code(VERDICT_CANCELLED, -1);
	t->rec.log_known = 1;
	finish(f, t);
}

bool flow_cancel(struct front *f, struct task *t, bool force)
{
	/* Who asks for the same again and again does not make a history of it. */
	const bool is_news = !t->rec.cancel_ns || (force && !t->kill_sent);
	uint64_t now = util_monotonic_ns();

	if (t->exited_at_ns || task_state_final((enum task_state)t->rec.state))
		return false;
	if (!t->rec.cancel_ns) {
		t->rec.cancel_ns = util_realtime_ns();
		commit_mark(f, t);
	}
	if (is_news)
		commit_note(t, "cancel", force ? "force" : "");
	if (t->rec.state == TASK_QUEUED) {
		queue_remove(f, t);
		/* Before the monitor has told what it has, this may be among it: see flow_known,
		 * and settle in recover.c. */
		if (f->run->ready)
			end_unstarted(f, t);
		return true;
	}
	t->kill_sent |= force;
	flow_kill(f, t->rec.id, force ? KILL_CANCEL_KILL : KILL_CANCEL_TERM);
	if (!force && !t->kill_at_ns) {
		t->kill_at_ns = now + CANCEL_GRACE_NS;
		turn_tick_at(f, t->kill_at_ns);
	}
	return true;
}

static void ask_again(struct front *f, struct task *t, void *arg)
{
	if (!t->exited_at_ns || t->rec.log_known)
		return;
	t->exited_at_ns = t->log_asked_ns = *(const uint64_t *)arg;
	log_request(f, t->rec.id, LOG_FINISH);
}

void flow_log_again(struct front *f)
{
	uint64_t now = util_monotonic_ns();

	registry_each(f, ask_again, &now);
	turn_tick_at(f, now + LOG_ASK_EVERY);
}

static void tick_task(struct front *f, struct task *t, void *arg)
{
	uint64_t now = *(const uint64_t *)arg, ask;

	if (t->write_by_ns) {
		if (now >= t->write_by_ns)
			commit_mark(f, t);
		else
			turn_tick_at(f, t->write_by_ns);
	}
	if (t->kill_at_ns && !t->exited_at_ns) {
		if (now >= t->kill_at_ns) {
			t->kill_at_ns = 0;
			t->kill_sent = true;
			flow_kill(f, t->rec.id, KILL_CANCEL_KILL);
		} else {
			turn_tick_at(f, t->kill_at_ns);
		}
	}
	if (!t->exited_at_ns || t->rec.log_known || task_state_final((enum task_state)t->rec.state))
		return;
	if (now >= t->exited_at_ns + LOG_GIVE_UP) {
		/* The log's files are complete all the same; its totals alone are not known, so it
		 * counts as if it were as long as it may be. */
		msg_warn("task %s: the logger does not tell the end of its log", t->rec.id);
		t->rec.log_disk = t->known_to_monitor ? t->rec.limits.log_bytes : 0;
		finish(f, t);
		return;
	}
	ask = t->log_asked_ns ? t->log_asked_ns + LOG_ASK_EVERY : t->exited_at_ns + LOG_ASK_AFTER;
	if (now >= ask) {
		t->log_asked_ns = now;
		log_request(f, t->rec.id, LOG_FINISH);
		ask = now + LOG_ASK_EVERY;
	}
	turn_tick_at(f, ask);
}

void flow_tick(struct front *f, uint64_t now_ns)
{
	registry_each(f, tick_task, &now_ns);
	queue_tick(f, now_ns);
}
