// SPDX-License-Identifier: Apache-2.0
/*
 * A clone gets its task. Until the first of the user's bytecode the task can still be
 * started in another way and nobody can tell: so long the request is kept, and the logger
 * does not know of pipes whose end would be taken for the task's.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "sandbox/fork/keeper.h"
#include "supervisor/monitor/fork/clone.h"
#include "supervisor/monitor/spawn/start.h"

/* How long a clone that has said something, and not begun, may be about to end. */
#define HELD_US 200000
#define HELD_TICK_US 2000
/* A clone that has its task begins within milliseconds. */
#define BEGIN_US 10000000
/* The runtime's exit status for "the task has not come to me": images/runtime/sandbox_job.py. */
#define STATUS_NO_TASK 4

static int record_task(struct mtask *t, const struct mon_start *req, struct err *e)
{
	int r;

	(void)cgroup_rename(&t->cgroup, t->id);
	t->run.mode = START_FORK;
	t->run.log_cap = req->limits.log_bytes;
	t->run.magic = RUN_RECORD_MAGIC;
	t->run.init_pid = t->pid;
	t->run.started_realtime_ns = util_realtime_ns();
	memcpy(t->run.boot_id, t->m->boot_id, sizeof(t->run.boot_id));
	memcpy(t->run.id, t->id, sizeof(t->run.id));
	memcpy(t->run.cgroup, t->cgroup.name, sizeof(t->run.cgroup));
	task_set_deadline(t, req->limits.timeout_s);
	r = task_save_record(t);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "run record") : 0;
}

static int send_task(struct mtask *t, int job_fd, struct err *e)
{
	struct shell_task task = {.magic = SHELL_TASK_MAGIC};
	const int fds[2] = {job_fd, t->record_fd};
	int r;

	memcpy(task.id, t->id, sizeof(task.id));
	r = fds_send(t->ctl, &task, sizeof(task), fds, 2, MSG_DONTWAIT);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "the clone is gone") : 0;
}

void clone_leave_output(struct mtask *t)
{
	for (int i = 0; i < 2; i++)
		t->held_src[i] = sd_event_source_disable_unref(t->held_src[i]);
	t->held_timer = sd_event_source_disable_unref(t->held_timer);
}

void clone_begun(struct mtask *t)
{
	clone_leave_output(t);
	if (!t->pending)
		return;
	if (t->template)
		t->template->lost = t->template->failures = 0;
	pending_free(TAKE_PTR(t->pending));
	task_send_pipes(t);
}

static bool has_ended(const struct mtask *t, struct exit_record *ret)
{
	return exit_record_read(t->record_fd, ret) && ret->wait_status != -1;
}

/* One that has said that it is ready may end in any way: what ends then is a task. */
static bool is_without_task(const struct mtask *t, const struct exit_record *x)
{
	return t->ahead && !t->prepared && WIFEXITED(x->wait_status) &&
	       WEXITSTATUS(x->wait_status) == STATUS_NO_TASK;
}

static int on_held(sd_event_source *s, uint64_t usec, void *arg)
{
	struct mtask *t = arg;
	struct exit_record x;
	bool ended = has_ended(t, &x);

	/* Its init waits until somebody has read what it has said: of no task, nobody. */
	if (ended && is_without_task(t, &x)) {
		task_signal(t, SIGKILL);
		return 0;
	}
	if (ended || usec >= t->held_until_us) {
		clone_begun(t);
		return 0;
	}
	(void)sd_event_source_set_time(s, usec + HELD_TICK_US);
	return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

/*
 * It says something before its time. Words of one that is about to end, before its init
 * could let it go, are no part of the task; but a clone must not wait for a reader for ever.
 */
static int on_output(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct mtask *t = arg;
	uint64_t now = util_monotonic_ns() / 1000;

	(void)fd;
	(void)sd_event_source_set_enabled(s, SD_EVENT_OFF);
	/* Without it: nobody can write any more. */
	if (!(events & EPOLLIN) || t->held_timer)
		return 0;
	t->held_until_us = now + HELD_US;
	if (sd_event_add_time(t->m->event, &t->held_timer, CLOCK_MONOTONIC, now + HELD_TICK_US, 1,
			      on_held, t) < 0)
		clone_begun(t);
	return 0;
}

/* What its template has imported may have taken its pipe, and it runs all the same. */
static int on_no_stamp(sd_event_source *s, uint64_t usec, void *arg)
{
	(void)s;
	(void)usec;
	task_started(arg, "");
	return 0;
}

static void hold_output(struct mtask *t)
{
	sd_event *event = t->m->event;

	if (sd_event_add_io(event, &t->held_src[0], t->out_r, EPOLLIN, on_output, t) < 0 ||
	    sd_event_add_io(event, &t->held_src[1], t->err_r, EPOLLIN, on_output, t) < 0 ||
	    sd_event_add_time_relative(event, &t->begin_src, CLOCK_MONOTONIC, BEGIN_US, 0,
				       on_no_stamp, t) < 0 ||
	    /* After its end of the same turn: this process may have been the one that slept. */
	    sd_event_source_set_priority(t->begin_src, SD_EVENT_PRIORITY_IDLE) < 0)
		clone_begun(t);
}

/*
 * Its init begins while the rest is done here, and waits for the record before any of the
 * task runs: a monitor that dies before leaves nothing that has begun.
 */
void clone_assign(struct mtask *t)
{
	const struct mon_start *req = &t->pending->req;
	struct template *tpl = t->template;
	struct err e = {0};
	int r;

	mtask_rename(t, req->id);
	t->run.kind = RUN_TASK;
	r = start_open_record(t, &e);
	if (r == 0)
		r = send_task(t, t->pending->job_fd, &e);
	if (r < 0) {
		t->run.kind = RUN_PARKED;
		clone_give_up(t, e.msg);
		return;
	}
	util_close_fd(&t->ctl);
	clone_unlink(t);
	tpl->running++;
	tpl->forks++;
	tpl->used_ns = util_realtime_ns();
	tpl->used_mono_ns = util_monotonic_ns();
	t->deadline_src = sd_event_source_disable_unref(t->deadline_src);
	r = t->ahead ? clone_set_limits(t) : 0;
	if (r < 0)
		(void)err_set(&e, ERR_SYSTEM, -r, "cgroup");
	if (r == 0)
		r = record_task(t, req, &e);
	hold_output(t);
	if (r == 0)
		r = task_watch_deadline(t, &e);
	if (r < 0) {
		(void)snprintf(t->error, sizeof(t->error), "fork: %.480s", e.msg);
		t->failed = true;
		task_signal(t, SIGKILL);
	}
}

/* A runtime that finds nothing to run says so by its exit status. */
static bool ended_by_itself(const struct mtask *t)
{
	struct exit_record x;

	return has_ended(t, &x) && WIFEXITED(x.wait_status) && !is_without_task(t, &x);
}

bool clone_again(struct mtask *t)
{
	char why[PROTO_TEXT_MAX], name[TASK_ID_LEN + 1];

	if (!t->pending)
		return false;
	if (t->killed_for != VERDICT_NONE || ended_by_itself(t)) {
		clone_begun(t);
		return false;
	}
	(void)snprintf(why, sizeof(why), "%s",
		       t->error[0] ? t->error : "fork: the clone ended before its first bytecode");
	/* Its group may be there for a moment longer, and the task's name is wanted. */
	clone_name(name);
	(void)cgroup_rename(&t->cgroup, name);
	clone_note_end(t);
	clone_left(t);
	clone_give_up(t, why);
	return true;
}
