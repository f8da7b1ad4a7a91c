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

static int record_task(struct box *b, const struct mon_start *req, struct err *e)
{
	int r;

	(void)cgroup_rename(&b->cgroup, b->id);
	b->run.mode = START_FORK;
	b->run.log_cap = req->limits.log_bytes;
	b->run.magic = RUN_RECORD_MAGIC;
	b->run.init_pid = b->pid;
	b->run.started_realtime_ns = util_realtime_ns();
	memcpy(b->run.boot_id, b->m->boot_id, sizeof(b->run.boot_id));
	memcpy(b->run.id, b->id, sizeof(b->run.id));
	memcpy(b->run.cgroup, b->cgroup.name, sizeof(b->run.cgroup));
	box_set_deadline(b, req->limits.timeout_s);
	r = box_save_record(b);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "run record") : 0;
}

static int send_task(struct box *b, int job_fd, struct err *e)
{
	struct shell_task task = {.magic = SHELL_TASK_MAGIC};
	const int fds[2] = {job_fd, b->record_fd};
	int r;

	memcpy(task.id, b->id, sizeof(task.id));
	r = fds_send(b->ctl, &task, sizeof(task), fds, 2, MSG_DONTWAIT);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "the clone is gone") : 0;
}

void clone_leave_output(struct box *b)
{
	for (int i = 0; i < 2; i++)
		b->held_src[i] = sd_event_source_disable_unref(b->held_src[i]);
	b->held_timer = sd_event_source_disable_unref(b->held_timer);
}

void clone_begun(struct box *b)
{
	clone_leave_output(b);
	if (!b->pending)
		return;
	if (b->template)
		b->template->lost = b->template->failures = 0;
	pending_free(TAKE_PTR(b->pending));
	box_send_pipes(b);
}

static bool has_ended(const struct box *b, struct exit_record *ret)
{
	return exit_record_read(b->record_fd, ret) && ret->wait_status != -1;
}

/* One that has said that it is ready may end in any way: what ends then is a task. */
static bool is_without_task(const struct box *b, const struct exit_record *x)
{
	return b->ahead && !b->prepared && WIFEXITED(x->wait_status) &&
	       WEXITSTATUS(x->wait_status) == STATUS_NO_TASK;
}

static int on_held(sd_event_source *s, uint64_t usec, void *arg)
{
	struct box *b = arg;
	struct exit_record x;
	bool ended = has_ended(b, &x);

	/* Its init waits until somebody has read what it has said: of no task, nobody. */
	if (ended && is_without_task(b, &x)) {
		box_signal(b, SIGKILL);
		return 0;
	}
	if (ended || usec >= b->held_until_us) {
		clone_begun(b);
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
	struct box *b = arg;
	uint64_t now = util_monotonic_ns() / 1000;

	(void)fd;
	(void)sd_event_source_set_enabled(s, SD_EVENT_OFF);
	/* Without it: nobody can write any more. */
	if (!(events & EPOLLIN) || b->held_timer)
		return 0;
	b->held_until_us = now + HELD_US;
	if (sd_event_add_time(b->m->event, &b->held_timer, CLOCK_MONOTONIC, now + HELD_TICK_US, 1,
			      on_held, b) < 0)
		clone_begun(b);
	return 0;
}

/* What its template has imported may have taken its pipe, and it runs all the same. */
static int on_no_stamp(sd_event_source *s, uint64_t usec, void *arg)
{
	(void)s;
	(void)usec;
	box_started(arg, "");
	return 0;
}

static void hold_output(struct box *b)
{
	sd_event *event = b->m->event;

	if (sd_event_add_io(event, &b->held_src[0], b->out_r, EPOLLIN, on_output, b) < 0 ||
	    sd_event_add_io(event, &b->held_src[1], b->err_r, EPOLLIN, on_output, b) < 0 ||
	    sd_event_add_time_relative(event, &b->begin_src, CLOCK_MONOTONIC, BEGIN_US, 0,
				       on_no_stamp, b) < 0 ||
	    /* After its end of the same turn: this process may have been the one that slept. */
	    sd_event_source_set_priority(b->begin_src, SD_EVENT_PRIORITY_IDLE) < 0)
		clone_begun(b);
}

/*
 * Its init begins while the rest is done here, and waits for the record before any of the
 * task runs: a monitor that dies before leaves nothing that has begun.
 */
void clone_assign(struct box *b)
{
	const struct mon_start *req = &b->pending->req;
	struct template *tpl = b->template;
	struct err e = {0};
	int r;

	box_rename(b, req->id);
	b->run.kind = RUN_TASK;
	r = start_open_record(b, &e);
	if (r == 0)
		r = send_task(b, b->pending->job_fd, &e);
	if (r < 0) {
		b->run.kind = RUN_PARKED;
		clone_give_up(b, e.msg);
		return;
	}
	util_close_fd(&b->ctl);
	clone_unlink(b);
	tpl->running++;
	tpl->forks++;
	tpl->used_ns = util_realtime_ns();
	tpl->used_mono_ns = util_monotonic_ns();
	b->deadline_src = sd_event_source_disable_unref(b->deadline_src);
	r = b->ahead ? clone_set_limits(b) : 0;
	if (r < 0)
		(void)err_set(&e, ERR_SYSTEM, -r, "cgroup");
	if (r == 0)
		r = record_task(b, req, &e);
	hold_output(b);
	if (r == 0)
		r = box_watch_deadline(b, &e);
	if (r < 0) {
		(void)snprintf(b->error, sizeof(b->error), "fork: %.480s", e.msg);
		b->failed = true;
		box_signal(b, SIGKILL);
	}
}

/* A runtime that finds nothing to run says so by its exit status. */
static bool ended_by_itself(const struct box *b)
{
	struct exit_record x;

	return has_ended(b, &x) && WIFEXITED(x.wait_status) && !is_without_task(b, &x);
}

bool clone_again(struct box *b)
{
	char why[PROTO_TEXT_MAX], name[TASK_ID_LEN + 1];

	if (!b->pending)
		return false;
	if (b->killed_for != VERDICT_NONE || ended_by_itself(b)) {
		clone_begun(b);
		return false;
	}
	(void)snprintf(why, sizeof(why), "%s",
		       b->error[0] ? b->error : "fork: the clone ended before its first bytecode");
	/* Its group may be there for a moment longer, and the task's name is wanted. */
	clone_name(name);
	(void)cgroup_rename(&b->cgroup, name);
	clone_note_end(b);
	clone_left(b);
	clone_give_up(b, why);
	return true;
}
