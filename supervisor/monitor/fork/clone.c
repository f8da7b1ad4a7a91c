// SPDX-License-Identifier: Apache-2.0
/* Clones: how one is asked for, gets its task and ends. clone.h says what its life is. */
#include "supervisor/monitor/fork/clone.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "lib/msg.h"
#include "sandbox/fork/keeper.h"
#include "supervisor/monitor/spawn/spawn.h"

/* What a clone may use while it waits for a task. The memory is several times what an interpreter's
 * own pages take. */
#define WAITING_CPU_MILLI 10
#define WAITING_MEMORY (64ULL << 20)
/* How long a clone may take to say that it is ready, and with its task, to begin. Both usually take
 * milliseconds. */
#define READY_US 10000000
#define BEGIN_US 10000000
/* How long a keeper may take to make one clone. */
#define SILENCE_US 5000000
/* How long the output of a clone that has not begun is held back: it may be about to end. */
#define HELD_US 200000
#define HELD_TICK_US 2000
/* When the next clone that is to wait is made. */
#define REFILL_US 3000
#define REFILL_NEXT_US 500
/* When so many clones in a row were lost, each further task would lose one more. */
#define LOST_MAX 3
/* The runtime's exit status for "the task has not come to me": images/runtime/sandbox_job.py. */
#define STATUS_NO_TASK 4
#define PARKED "parked-"
#define LOST_WHY "fork: the clone ended before its first bytecode"

_Static_assert(PARK_FDS_MAX <= FDS_SEND_MAX, "fds_send");

/*
 * Every event in every state; pairs that are not here cannot happen. A payload that ends in
 * GIVEN_EARLY with the status "no task" is believed, because it has not said yet that it is ready.
 * Once it has said so, user code may have set the status, and the end is the task's.
 */
#define ON(event, state, action)                                                                   \
	[CLONE_EV_##event] = {true, {CLONE_##state, CLONE_DO_##action, false}}
static const struct {
	bool possible;
	struct clone_outcome outcome;
} steps[CLONE_STATES][CLONE_EVENTS] = {
	[CLONE_NEW] =
		{
			ON(ASKED, ASKED, NOTHING),
			ON(ASKED_FOR, ASKED_FOR, NOTHING),
			ON(ADOPTED, BEGUN, NOTHING),
			ON(FAILED, GONE, DROP),
			ON(DROPPED, GONE, DROP),
		},
	[CLONE_ASKED] =
		{
			ON(MADE, MADE, AWAIT),
			ON(FAILED, GONE, DROP),
			ON(DROPPED, GONE, DROP),
		},
	[CLONE_ASKED_FOR] =
		{
			ON(MADE, GIVEN, GIVE_NEW),
			ON(FAILED, GONE, AGAIN),
			ON(KILLED, UNWANTED, NOTHING),
			ON(DROPPED, GONE, AGAIN),
		},
	[CLONE_UNWANTED] =
		{
			ON(MADE, GONE, CANCEL),
			ON(FAILED, GONE, CANCEL),
			ON(KILLED, UNWANTED, NOTHING),
			ON(DROPPED, GONE, CANCEL),
		},
	[CLONE_MADE] =
		{
			ON(FAILED, GONE, DROP),
			ON(PREPARED, READY, CONFINE),
			ON(GIVEN, GIVEN_EARLY, GIVE),
			ON(WORD, GONE, CLOSE),
			ON(SHUT, GONE, CLOSE),
			ON(LATE, GONE, CLOSE),
			ON(ENDED, GONE, CLOSE),
			ON(ENDED_EMPTY, GONE, CLOSE),
			ON(LOST, GONE, CLOSE),
			ON(DROPPED, GONE, DROP),
		},
	[CLONE_READY] =
		{
			ON(FAILED, GONE, CLOSE),
			ON(PREPARED, GONE, CLOSE),
			ON(GIVEN, GIVEN, GIVE),
			ON(WORD, GONE, CLOSE),
			ON(SHUT, GONE, DROP),
			ON(ENDED, GONE, DROP),
			ON(ENDED_EMPTY, GONE, DROP),
			ON(LOST, GONE, DROP),
			ON(DROPPED, GONE, DROP),
		},
	[CLONE_GIVEN_EARLY] =
		{
			ON(FAILED, GONE, AGAIN),
			ON(PREPARED, GIVEN, NOTHING),
			ON(BROKEN, GIVEN_EARLY, KILL),
			ON(WORD, BEGUN, START),
			ON(SHUT, GIVEN_EARLY, NOTHING),
			ON(OUTPUT, GIVEN_EARLY, HOLD),
			ON(HELD, BEGUN, BEGIN),
			ON(HELD_EMPTY, GIVEN_EARLY, KILL),
			ON(LATE, BEGUN, START),
			ON(KILLED, BEGUN, BEGIN),
			ON(ENDED, GONE, BEGIN_END),
			ON(ENDED_EMPTY, GONE, AGAIN_CLOSE),
			ON(LOST, GONE, AGAIN_CLOSE),
		},
	[CLONE_GIVEN] =
		{
			ON(FAILED, GONE, AGAIN),
			/* Nothing asks a clone to say this now: code that its template has imported
			 * says it, so code runs. */
			ON(PREPARED, BEGUN, START),
			ON(BROKEN, GIVEN, KILL),
			ON(WORD, BEGUN, START),
			ON(SHUT, GIVEN, NOTHING),
			ON(OUTPUT, GIVEN, HOLD),
			ON(HELD, BEGUN, BEGIN),
			ON(HELD_EMPTY, BEGUN, BEGIN),
			ON(LATE, BEGUN, START),
			ON(KILLED, BEGUN, BEGIN),
			ON(ENDED, GONE, BEGIN_END),
			ON(ENDED_EMPTY, GONE, BEGIN_END),
			ON(LOST, GONE, AGAIN_COUNT),
		},
	[CLONE_BEGUN] =
		{
			ON(PREPARED, BEGUN, TELL),
			ON(BROKEN, BEGUN, KILL),
			ON(WORD, BEGUN, TELL),
			ON(SHUT, BEGUN, NOTHING),
			ON(LATE, BEGUN, TELL),
			ON(KILLED, BEGUN, NOTHING),
			ON(ENDED, GONE, END),
			ON(ENDED_EMPTY, GONE, END),
			ON(LOST, GONE, END),
		},
};
#undef ON

/*
 * What follows an event that cannot happen. Nothing is known then but the state: a task that has
 * not been sent to the clone is started in another way, one that has been sent never is.
 */
static const struct clone_outcome harmless[CLONE_STATES] = {
	[CLONE_NEW] = {CLONE_GONE, CLONE_DO_DROP, true},
	[CLONE_ASKED] = {CLONE_GONE, CLONE_DO_DROP, true},
	[CLONE_ASKED_FOR] = {CLONE_GONE, CLONE_DO_AGAIN, true},
	[CLONE_UNWANTED] = {CLONE_GONE, CLONE_DO_CANCEL, true},
	[CLONE_MADE] = {CLONE_GONE, CLONE_DO_DROP, true},
	[CLONE_READY] = {CLONE_GONE, CLONE_DO_DROP, true},
	[CLONE_GIVEN_EARLY] = {CLONE_BEGUN, CLONE_DO_BEGIN, true},
	[CLONE_GIVEN] = {CLONE_BEGUN, CLONE_DO_BEGIN, true},
	[CLONE_BEGUN] = {CLONE_BEGUN, CLONE_DO_NOTHING, true},
	[CLONE_GONE] = {CLONE_GONE, CLONE_DO_NOTHING, true},
};

struct clone_outcome clone_step(enum clone_state state, enum clone_event event)
{
	if (state >= CLONE_STATES)
		return (struct clone_outcome){CLONE_GONE, CLONE_DO_NOTHING, true};
	if (event < CLONE_EVENTS && steps[state][event].possible)
		return steps[state][event].outcome;
	return harmless[state];
}

static void clone_handle(struct clone *c, enum clone_event event, const char *text);

/* --- a clone's task --- */

static void clone_task_free(struct clone_task *t)
{
	if (!t)
		return;
	util_close_fd(&t->fds.job);
	util_close_fd(&t->fds.package);
	util_close_fd(&t->fds.serve);
	free(t);
}

/* False: a descriptor that is there cannot be duplicated. */
static bool keep_fd(int fd, int *ret)
{
	*ret = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return fd < 0 || *ret >= 0;
}

static struct clone_task *clone_task_new(const struct mon_start *req, const struct start_fds *fds)
{
	struct clone_task *t = malloc(sizeof(*t));

	if (!t)
		return NULL;
	t->req = *req;
	t->fds = (struct start_fds){-1, -1, -1, -1, -1};
	if (!keep_fd(fds->job, &t->fds.job) || !keep_fd(fds->package, &t->fds.package) ||
	    !keep_fd(fds->serve, &t->fds.serve)) {
		clone_task_free(t);
		return NULL;
	}
	return t;
}

/* --- the ends of a clone --- */

/* A new name for a clone without a task, and for its cgroup. */
static void clone_name(char ret[TASK_ID_LEN + 1])
{
	uint8_t random[6];
	char hex[13];

	(void)!getrandom(random, sizeof(random), 0);
	util_hex(random, sizeof(random), hex);
	(void)snprintf(ret, TASK_ID_LEN + 1, PARKED "%s", hex);
}

static void clone_unlink(struct clone *c)
{
	struct clone **p = c->template ? &c->template->clones : NULL;

	while (p && *p && *p != c)
		p = &(*p)->next;
	if (p && *p)
		*p = c->next;
	c->next = NULL;
}

/* The clone's init may be alive: it ends by the signal, or when the socket is closed. */
static void clone_discard(struct clone *c)
{
	struct box *b = &c->box;

	clone_unlink(c);
	clone_task_free(TAKE_PTR(c->task));
	util_close_fd(&c->ctl);
	box_signal(b, SIGKILL);
	box_reap(b);
	c->template = NULL;
	box_discard(b);
}

/* Starts the clone's task in a sandbox of its own, and tells the task's user why. Frees c. */
static void clone_again(struct clone *c, const char *why)
{
	struct clone_task *task = TAKE_PTR(c->task);
	struct monitor *m = c->box.m;
	char words[PROTO_TEXT_MAX], name[TASK_ID_LEN + 1];

	(void)snprintf(words, sizeof(words), "restored: %.480s", why);
	/* The clone's cgroup may exist for a moment longer, and the task's next sandbox needs a
	 * cgroup of that name. */
	if (strcmp(c->box.cgroup.name, c->box.id) == 0) {
		clone_name(name);
		(void)cgroup_rename(&c->box.cgroup, name);
	}
	box_rename(&c->box, "");
	clone_discard(c);
	if (!task)
		return;
	start_without_fork(m, &task->req, &task->fds, words);
	clone_task_free(task);
}

static void clone_cancel(struct clone *c)
{
	struct monitor *m = c->box.m;
	char id[TASK_ID_LEN + 1];

	memcpy(id, c->box.id, sizeof(id));
	box_rename(&c->box, "");
	clone_discard(c);
	box_fail_new(m, id, VERDICT_CANCELLED);
}

/* From now on no clone of the template waits for a task; the log says why. */
static void clone_close_pool(struct template *tpl, enum clone_event event, const char *text)
{
	if (!tpl)
		return;
	switch (event) {
	case CLONE_EV_PREPARED:
	case CLONE_EV_WORD:
		pool_close(tpl, "a clone says what it was not asked for");
		return;
	case CLONE_EV_LATE:
		pool_close(tpl, "a clone does not get ready");
		return;
	case CLONE_EV_FAILED:
		pool_close(tpl, text);
		return;
	default:
		pool_close(tpl, "a clone has ended before it was ready");
		return;
	}
}

/* --- from the task to its first bytecode --- */

static void clone_leave_output(struct clone *c)
{
	for (int i = 0; i < 2; i++)
		c->held_src[i] = sd_event_source_disable_unref(c->held_src[i]);
	c->held_timer = sd_event_source_disable_unref(c->held_timer);
}

static void clone_begin(struct clone *c)
{
	clone_leave_output(c);
	clone_task_free(TAKE_PTR(c->task));
	if (c->template)
		c->template->lost = c->template->failures = 0;
	box_send_pipes(&c->box);
}

static void clone_tell_started(struct clone *c, const char *text)
{
	c->late_src = sd_event_source_disable_unref(c->late_src);
	box_started(&c->box, text);
}

/* How the payload of b has ended, by the exit record that its init writes. *ended: whether there is
 * such a record. */
static enum clone_event clone_end(const struct box *b, bool *ended)
{
	struct exit_record x;

	*ended = exit_record_read(b->record_fd, &x) && x.wait_status != -1;
	if (!*ended || !WIFEXITED(x.wait_status))
		return CLONE_EV_LOST;
	return WEXITSTATUS(x.wait_status) == STATUS_NO_TASK ? CLONE_EV_ENDED_EMPTY : CLONE_EV_ENDED;
}

static int on_held(sd_event_source *s, uint64_t usec, void *arg)
{
	struct clone *c = arg;
	bool ended;
	enum clone_event end = clone_end(&c->box, &ended);

	/* The init waits until somebody has read the output; nobody will, as there is no task. */
	if (end == CLONE_EV_ENDED_EMPTY) {
		clone_handle(c, CLONE_EV_HELD_EMPTY, NULL);
		return 0;
	}
	if (ended || usec >= c->held_until_us) {
		clone_handle(c, CLONE_EV_HELD, NULL);
		return 0;
	}
	(void)sd_event_source_set_time(s, usec + HELD_TICK_US);
	return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static void clone_hold(struct clone *c)
{
	uint64_t now = util_monotonic_ns() / 1000;

	if (c->held_timer)
		return;
	c->held_until_us = now + HELD_US;
	if (sd_event_add_time(c->box.m->event, &c->held_timer, CLOCK_MONOTONIC, now + HELD_TICK_US,
			      1, on_held, c) < 0)
		clone_handle(c, CLONE_EV_HELD, NULL);
}

/*
 * The clone has written something before its first bytecode was seen. If it is about to end without
 * having begun, what it has written is not the task's output. So the output is held back for a
 * moment, and not longer, because a task must not wait for a reader without end.
 */
static int on_output(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	(void)fd;
	(void)sd_event_source_set_enabled(s, SD_EVENT_OFF);
	/* Without EPOLLIN: all write ends are closed. */
	if (events & EPOLLIN)
		clone_handle(arg, CLONE_EV_OUTPUT, NULL);
	return 0;
}

static int on_late(sd_event_source *s, uint64_t usec, void *arg)
{
	(void)s;
	(void)usec;
	clone_handle(arg, CLONE_EV_LATE, "");
	return 0;
}

/* Makes CLONE_EV_LATE happen after this time. The priority is low, so that whatever the clone has
 * done in time comes first even when it was this process that slept. */
static int clone_expect(struct clone *c, uint64_t within_us)
{
	int r;

	c->late_src = sd_event_source_disable_unref(c->late_src);
	r = sd_event_add_time_relative(c->box.m->event, &c->late_src, CLOCK_MONOTONIC, within_us, 0,
				       on_late, c);
	return r < 0 ? r : sd_event_source_set_priority(c->late_src, SD_EVENT_PRIORITY_IDLE);
}

/*
 * Its task gets the limits that it is to have. The init counts as one process more. lowered: the
 * memory limit was lowered while the clone waited.
 */
static int clone_set_limits(struct clone *c, bool lowered)
{
	const struct cgroup *cg = &c->box.cgroup;
	int r = cgroup_set_cpu(cg, c->limits.cpu_milli);

	if (r < 0)
		return r;
	r = cgroup_set_pids(cg, c->limits.pids + 1);
	if (r < 0)
		return r;
	return lowered ? cgroup_set_memory(cg, c->limits.memory) : 0;
}

/*
 * Sends the task first, so that the clone's init prepares it while limits and record are set here.
 * The init waits for the record before it lets user code run: when the monitor dies before the
 * record is written, nothing has begun.
 */
static void clone_give(struct clone *c, bool lowered)
{
	struct shell_task task = {.magic = SHELL_TASK_MAGIC};
	const struct mon_start *req = &c->task->req;
	sd_event *event = c->box.m->event;
	struct template *tpl = c->template;
	struct box *b = &c->box;
	struct err e = {0};
	int fds[SHELL_FD_N], r;

	clone_unlink(c);
	box_rename(b, c->task->req.id);
	b->run.kind = RUN_TASK;
	r = box_open_record(b, &e);
	if (r < 0) {
		clone_handle(c, CLONE_EV_FAILED, e.msg);
		return;
	}
	memcpy(task.id, b->id, sizeof(task.id));
	task.serves = c->task->fds.serve >= 0;
	fds[SHELL_FD_JOB] = c->task->fds.job;
	fds[SHELL_FD_RECORD] = b->record_fd;
	fds[SHELL_FD_SERVE] = c->task->fds.serve;
	r = fds_send(c->ctl, &task, sizeof(task), fds, SHELL_FD_SERVE + task.serves, MSG_DONTWAIT);
	if (r < 0) {
		(void)err_set(&e, ERR_SYSTEM, -r, "the clone is gone");
		clone_handle(c, CLONE_EV_FAILED, e.msg);
		return;
	}
	util_close_fd(&c->ctl);
	if (tpl) {
		tpl->forks++;
		tpl->used_ns = util_realtime_ns();
		tpl->used_mono_ns = util_monotonic_ns();
	}

	/* Limits, time and record, while its init waits for the record. */
	r = clone_set_limits(c, lowered);
	if (r < 0) {
		r = err_set(&e, ERR_SYSTEM, -r, "cgroup");
	} else {
		(void)cgroup_rename(&b->cgroup, b->id);
		b->run.mode = START_FORK;
		b->run.log_cap = req->limits.log_bytes;
		b->run.ring_log = req->ring_log;
		r = box_record(b, req->no_deadline ? 0 : req->limits.timeout_s, &e);
	}

	/* Output and time are watched. The stamp of the first bytecode may never come, although the
	 * task runs: code that the template has imported may have closed the started pipe. */
	if (sd_event_add_io(event, &c->held_src[0], b->out_r, EPOLLIN, on_output, c) < 0 ||
	    sd_event_add_io(event, &c->held_src[1], b->err_r, EPOLLIN, on_output, c) < 0 ||
	    clone_expect(c, BEGIN_US) < 0)
		clone_handle(c, CLONE_EV_HELD, NULL);
	if (r == 0)
		r = box_watch_deadline(b, &e);
	if (r < 0) {
		(void)snprintf(b->error, sizeof(b->error), "fork: %.480s", e.msg);
		b->failed = true;
		clone_handle(c, CLONE_EV_BROKEN, NULL);
	}
}

/* A clone that waits has two processes, its init and its payload. A module that the template has
 * imported may have had any code run at the fork, which may have started others. */
static void clone_confine(struct clone *c)
{
	struct cgroup *cg = &c->box.cgroup;

	c->late_src = sd_event_source_disable_unref(c->late_src);
	if (cgroup_pids(cg) != 2)
		clone_handle(c, CLONE_EV_FAILED, "a clone has started other processes or threads");
	else if (cgroup_set_pids(cg, 2) < 0 || cgroup_set_cpu(cg, WAITING_CPU_MILLI) < 0)
		clone_handle(c, CLONE_EV_FAILED, "a clone's group cannot be limited");
}

/* --- what happens to a clone --- */

/* In this state it has its task, and has not ended. */
static bool is_given(enum clone_state state)
{
	return state == CLONE_GIVEN_EARLY || state == CLONE_GIVEN || state == CLONE_BEGUN;
}

/* Takes the step that follows an event: the one place where a clone's state changes. May free c.
 * text: the reason for FAILED and DROPPED, the bytes for PREPARED and WORD. */
static void clone_handle(struct clone *c, enum clone_event event, const char *text)
{
	const struct clone_outcome step = clone_step(c->state, event);
	struct template *tpl = c->template;

	if (step.impossible)
		msg_err("clone %s: event %d in state %d", c->box.id, (int)event, (int)c->state);
	if (tpl)
		tpl->running += (unsigned)is_given(step.state) - (unsigned)is_given(c->state);
	c->state = step.state;
	switch ((enum clone_action)step.action) {
	case CLONE_DO_NOTHING:
		break;
	case CLONE_DO_AWAIT:
		if (clone_expect(c, READY_US) < 0)
			clone_handle(c, CLONE_EV_FAILED, "no memory is left");
		break;
	case CLONE_DO_CONFINE:
		clone_confine(c);
		break;
	case CLONE_DO_GIVE:
		clone_give(c, true);
		break;
	case CLONE_DO_GIVE_NEW:
		clone_give(c, false);
		break;
	case CLONE_DO_HOLD:
		clone_hold(c);
		break;
	case CLONE_DO_START:
		clone_tell_started(c, text);
		clone_begin(c);
		break;
	case CLONE_DO_BEGIN:
		clone_begin(c);
		break;
	case CLONE_DO_TELL:
		clone_tell_started(c, text);
		break;
	case CLONE_DO_KILL:
		box_signal(&c->box, SIGKILL);
		break;
	case CLONE_DO_DROP:
		clone_discard(c);
		break;
	case CLONE_DO_CLOSE:
		clone_discard(c);
		clone_close_pool(tpl, event, text);
		break;
	case CLONE_DO_AGAIN_CLOSE:
		clone_close_pool(tpl, event, text);
		clone_again(c, c->box.error[0] ? c->box.error : LOST_WHY);
		break;
	case CLONE_DO_AGAIN_COUNT:
		if (tpl && ++tpl->lost == LOST_MAX)
			template_failed(tpl,
					"its clones end before the first bytecode of their tasks");
		clone_again(c, c->box.error[0] ? c->box.error : LOST_WHY);
		break;
	case CLONE_DO_AGAIN:
		clone_again(c, text && *text ? text : LOST_WHY);
		break;
	case CLONE_DO_CANCEL:
		clone_cancel(c);
		break;
	case CLONE_DO_BEGIN_END:
		clone_begin(c);
		box_ended(&c->box);
		break;
	case CLONE_DO_END:
		box_ended(&c->box);
		break;
	}
}

void clone_drop(struct clone *c, const char *why)
{
	clone_handle(c, CLONE_EV_DROPPED, why);
}

/*
 * A clone that waits writes the byte P once, when it has made itself unique. Anything else is its
 * task's stamp, or was written by code that its template has imported. Such code runs then, the
 * stamp may never come, and what has run may not run twice.
 */
static void clone_said(struct box *b, const char *text, size_t n)
{
	struct clone *c = clone_of(b);
	const bool expected = c->state == CLONE_MADE || c->state == CLONE_GIVEN_EARLY;
	enum clone_event event = n == 0 ? CLONE_EV_SHUT : CLONE_EV_WORD;

	if (n == 1 && *text == 'P')
		event = CLONE_EV_PREPARED;
	/* Only an expected P is followed by more. */
	if (event != CLONE_EV_PREPARED || !expected)
		box_stop_hearing(b);
	/* P and the stamp have come in one piece. */
	if (event == CLONE_EV_WORD && expected && *text == 'P')
		text++;
	clone_handle(c, event, text);
}

static void clone_killed(struct box *b)
{
	clone_handle(clone_of(b), CLONE_EV_KILLED, NULL);
}

static void clone_ended(struct box *b)
{
	struct clone *c = clone_of(b);
	bool ended;

	/* The task's stamp may have come in the same turn of the loop. */
	if (is_given(c->state))
		box_hear(b);
	/* Of a task that has begun, box_ended will find out how it has ended. */
	clone_handle(c, c->state == CLONE_BEGUN ? CLONE_EV_ENDED : clone_end(b, &ended), NULL);
}

static void clone_closed(struct box *b)
{
	struct clone *c = clone_of(b);

	clone_leave_output(c);
	c->late_src = sd_event_source_disable_unref(c->late_src);
	c->payload_src = sd_event_source_disable_unref(c->payload_src);
	util_close_fd(&c->payload_fd);
}

static void clone_clear(struct box *b)
{
	struct clone *c = clone_of(b);

	clone_task_free(TAKE_PTR(c->task));
	util_close_fd(&c->ctl);
}

static bool clone_is_task(const struct box *b)
{
	const struct clone *c = (const struct clone *)(const void *)b;

	return is_given(c->state) || c->state == CLONE_ASKED_FOR || c->state == CLONE_UNWANTED ||
	       b->state == BOX_ENDED;
}

/* The logger does not get the pipes of a clone that has not begun: if the task is started in
 * another way, it has other pipes. */
static void clone_tell(struct box *b, enum role_id role)
{
	const struct clone *c = clone_of(b);

	if (c->state == CLONE_BEGUN || b->state == BOX_ENDED ||
	    (is_given(c->state) && role != R_LOGGER))
		box_tell(b, role);
}

/* The record of a task that runs in a clone names the payload, which is a keeper's child. */
static bool clone_owns(const struct run_record *run)
{
	return run->kind == RUN_TASK && run->payload_pid > 1;
}

static void clone_init(struct box *b)
{
	struct clone *c = clone_of(b);

	c->ctl = c->payload_fd = -1;
}

static int clone_adopt(struct box *b, bool runs, struct err *e)
{
	struct clone *c = clone_of(b);

	clone_handle(c, CLONE_EV_ADOPTED, NULL);
	if (runs)
		keeper_watch_adopted(c);
	return adopt_task(b, runs, e);
}

const struct box_kind box_clone = {
	.size = sizeof(struct clone),
	.run = RUN_PARKED,
	.group = PARKED,
	.init = clone_init,
	.has_record = true,
	.has_network = true,
	.has_deadline = true,
	.owns = clone_owns,
	.adopt = clone_adopt,
	.is_task = clone_is_task,
	.tell = clone_tell,
	.said = clone_said,
	.killed = clone_killed,
	.ended = clone_ended,
	.closed = clone_closed,
	.clear = clone_clear,
};

/* --- asking the keeper --- */

static int send_park(struct template *tpl, const struct clone *c, bool ahead, int fds[PARK_FDS_MAX],
		     int package, struct err *e)
{
	static struct template_park park;
	_cleanup_free_ char *resolv = start_read_resolv_conf(&tpl->rules->policy);
	const struct box *b = &c->box;
	int n = PARK_FD_N, r;

	memset(&park, 0, sizeof(park));
	park.tag = c->tag;
	park.net_index = b->run.net_index;
	park.ahead = ahead;
	park.limits = c->limits;
	memcpy(park.cgroup, b->cgroup.name, sizeof(park.cgroup));
	if (resolv)
		(void)snprintf(park.resolv_conf, sizeof(park.resolv_conf), "%s", resolv);
	if (package >= 0) {
		park.has_package = 1;
		fds[n++] = package;
	}
	for (int i = 0; i < CGROUP_N; i++)
		if (b->cgroup.dirs[i] >= 0) {
			park.cgroup_mask |= 1u << i;
			fds[n++] = b->cgroup.dirs[i];
		}
	if (b->cgroup.unified >= 0) {
		park.cgroup_mask |= PARK_UNIFIED;
		fds[n++] = b->cgroup.unified;
	}
	r = fds_send(tpl->sock, &park, sizeof(park), fds, n, MSG_DONTWAIT);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "its keeper") : 0;
}

static int make_group(struct clone *c, bool ahead, struct err *e)
{
	struct limits limits = c->limits;
	struct box *b = &c->box;
	int r;

	/* The keeper waits for what is done in this cgroup: not at a thousandth of a processor. */
	if (ahead || limits.cpu_milli < 1000)
		limits.cpu_milli = 1000;
	/* Its init, and for a moment the process that clones the payload. */
	limits.pids += 2;
	r = cgroup_create(&b->m->cgroups, b->id, &limits, &b->cgroup, e);
	if (r < 0 || !ahead || limits.memory <= WAITING_MEMORY)
		return r;
	r = cgroup_set_memory(&b->cgroup, WAITING_MEMORY);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "cgroup %s", b->cgroup.name) : 0;
}

static int clone_request(struct template *tpl, struct clone *c, bool ahead, int package_fd,
			 struct err *e)
{
	_cleanup_fd_ int out_w = -1, err_w = -1, started_w = -1, report_w = -1, theirs = -1,
			 package = -1;
	int fds[PARK_FDS_MAX], sk[2] = {-1, -1}, r;
	struct box *b = &c->box;

	r = start_make_pipes(b, &out_w, &err_w, &started_w, &report_w, e);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sk) < 0)
		return err_set(e, ERR_SYSTEM, errno, "socket");
	c->ctl = sk[0];
	theirs = sk[1];
	if (package_fd >= 0) {
		r = start_detach_package(tpl->m, package_fd, b->run.owner, &package, e);
		if (r < 0)
			return r;
	}
	r = net_take_index(tpl->m, tpl->rules, &b->run.net_index, e);
	if (r < 0)
		return r;
	r = make_group(c, ahead, e);
	if (r < 0)
		return r;
	fds[PARK_FD_OUT_R] = b->out_r;
	fds[PARK_FD_OUT_W] = out_w;
	fds[PARK_FD_ERR_R] = b->err_r;
	fds[PARK_FD_ERR_W] = err_w;
	fds[PARK_FD_STARTED_R] = b->started_r;
	fds[PARK_FD_STARTED_W] = started_w;
	fds[PARK_FD_REPORT] = report_w;
	fds[PARK_FD_CTL] = theirs;
	return send_park(tpl, c, ahead, fds, package, e);
}

static int on_silence(sd_event_source *s, uint64_t usec, void *arg)
{
	(void)s;
	(void)usec;
	/* The keeper may hang at the end of one of its tasks: it is not asked for clones any
	 * more. */
	template_failed(arg, "its keeper does not answer");
	return 0;
}

/* Whether the keeper has clones to make, apart from this one. */
static bool is_asked(const struct template *tpl, const struct clone *but)
{
	for (const struct clone *c = tpl->clones; c; c = c->next)
		if (c != but && (c->state == CLONE_ASKED || c->state == CLONE_ASKED_FOR ||
				 c->state == CLONE_UNWANTED))
			return true;
	return false;
}

/* Gives the keeper time for one answer. It makes one clone at a time, so the time begins anew with
 * each answer while there are more requests in its queue. */
static int await_answer(struct template *tpl)
{
	int r;

	if (tpl->silence) {
		r = sd_event_source_set_time_relative(tpl->silence, SILENCE_US);
		return r < 0 ? r : sd_event_source_set_enabled(tpl->silence, SD_EVENT_ONESHOT);
	}
	r = sd_event_add_time_relative(tpl->m->event, &tpl->silence, CLOCK_MONOTONIC, SILENCE_US, 0,
				       on_silence, tpl);
	/* Answers of the same turn come first: it may have been this process that slept. */
	return r < 0 ? r : sd_event_source_set_priority(tpl->silence, SD_EVENT_PRIORITY_IDLE / 2);
}

/* Asks the keeper for a clone. ahead: there is no task for it yet. NULL: the keeper cannot be
 * asked, and nothing is left of the clone. */
static struct clone *clone_make(struct template *tpl, const struct clone_kind *kind, bool ahead)
{
	const bool asked = is_asked(tpl, NULL);
	char name[TASK_ID_LEN + 1];
	struct err e = {0};
	struct clone *c;
	struct box *b;
	int r;

	clone_name(name);
	b = box_new(tpl->m, &box_clone, name);
	if (!b)
		return NULL;
	c = clone_of(b);
	b->run.owner = tpl->of.owner;
	c->template = tpl;
	c->limits = kind->limits;
	memcpy(c->package, kind->package, 32);
	c->tag = ++tpl->last_tag ? tpl->last_tag : ++tpl->last_tag;
	c->next = tpl->clones;
	tpl->clones = c;
	r = clone_request(tpl, c, ahead, kind->package_fd, &e);
	if (r == 0 && !asked)
		r = await_answer(tpl);
	if (r < 0) {
		msg_warn("template %s: %s", tpl->id, e.msg[0] ? e.msg : strerror(-r));
		clone_handle(c, CLONE_EV_FAILED, NULL);
		return NULL;
	}
	return c;
}

/* Asks the keeper for a clone that waits for a task. False: the keeper cannot be asked. */
static bool clone_make_spare(struct template *tpl, const struct clone_kind *kind)
{
	struct clone *c = clone_make(tpl, kind, true);

	if (c)
		clone_handle(c, CLONE_EV_ASKED, NULL);
	return c != NULL;
}

/* --- the clones that wait --- */

/*
 * Which clones of a template wait for a task. As many wait as the policy says. A clone can only be
 * given a task of its own kind (limits, package), so they are of the kinds of the last tasks: when
 * all of those were of one kind, it has all of the clones; of two kinds in turn, each has half. A
 * kind that is not asked for any more makes room.
 */
static unsigned parked_max(const struct template *tpl)
{
	return tpl->none_waits ? 0 : tpl->rules->policy.head.parked;
}

/* Whether a sandbox that was made with these limits and this package does for a task of the
 * kind. */
static bool is_of(const struct limits *limits, const uint8_t package[32],
		  const struct clone_kind *kind)
{
	return limits_same_sandbox(limits, &kind->limits) &&
	       memcmp(package, kind->package, 32) == 0;
}

/* A task of this kind has come: more of them may follow. */
static void pool_note(struct template *tpl, const struct clone_kind *kind)
{
	struct clone_kind *last;
	int fd = -1;

	if (parked_max(tpl) == 0)
		return;
	if (kind->package_fd >= 0) {
		fd = fcntl(kind->package_fd, F_DUPFD_CLOEXEC, 3);
		if (fd < 0) /* a clone could not be made with the package */
			return;
	}
	if (tpl->n_recent == parked_max(tpl)) {
		util_close_fd(&tpl->recent[0].package_fd);
		tpl->n_recent--;
		memmove(&tpl->recent[0], &tpl->recent[1], tpl->n_recent * sizeof(tpl->recent[0]));
	}
	last = &tpl->recent[tpl->n_recent++];
	*last = *kind;
	last->package_fd = fd;
}

void pool_forget(struct template *tpl)
{
	tpl->refill = sd_event_source_disable_unref(tpl->refill);
	while (tpl->n_recent > 0)
		util_close_fd(&tpl->recent[--tpl->n_recent].package_fd);
}

void pool_close(struct template *tpl, const char *why)
{
	struct clone *next;

	msg_warn("template %s: %s: none of its clones will wait for a task", tpl->id, why);
	tpl->none_waits = true;
	pool_forget(tpl);
	for (struct clone *c = tpl->clones; c; c = next) {
		next = c->next;
		if (clone_waits(c))
			clone_drop(c, why);
	}
}

struct clone *pool_take(struct template *tpl, const struct clone_kind *kind)
{
	for (struct clone *c = tpl->clones; c; c = c->next)
		if (clone_waits(c) && is_of(&c->limits, c->package, kind))
			return c;
	return NULL;
}

unsigned pool_count(const struct template *tpl)
{
	unsigned n = 0;

	for (const struct clone *c = tpl->clones; c; c = c->next)
		n += clone_is_spare(c);
	return n;
}

/* How many clones of a kind wait, or are being made to wait, less how many there shall be. */
static int surplus(const struct template *tpl, const struct clone_kind *kind)
{
	int n = 0;

	for (const struct clone *c = tpl->clones; c; c = c->next)
		n += clone_is_spare(c) && is_of(&c->limits, c->package, kind);
	for (unsigned i = 0; i < tpl->n_recent; i++)
		n -= is_of(&tpl->recent[i].limits, tpl->recent[i].package, kind);
	return n;
}

/* The kind, most recently asked for, of which too few clones are waiting. */
static const struct clone_kind *find_wanted(const struct template *tpl)
{
	for (unsigned i = tpl->n_recent; i-- > 0;)
		if (surplus(tpl, &tpl->recent[i]) < 0)
			return &tpl->recent[i];
	return NULL;
}

/* A clone of a kind of which more wait than there shall be. */
static struct clone *find_surplus(const struct template *tpl)
{
	struct clone_kind kind = {.package_fd = -1};

	for (struct clone *c = tpl->clones; c; c = c->next) {
		kind.limits = c->limits;
		memcpy(kind.package, c->package, 32);
		if (clone_waits(c) && surplus(tpl, &kind) > 0)
			return c;
	}
	return NULL;
}

/* Makes one clone at a time, so that it does not keep the processor from tasks. */
static int on_refill(sd_event_source *s, uint64_t usec, void *arg)
{
	struct template *tpl = arg;
	const struct clone_kind *wanted = tpl->m->stopping ? NULL : find_wanted(tpl);
	struct clone *other;

	(void)usec;
	if (!wanted)
		return 0;
	if (pool_count(tpl) >= parked_max(tpl)) {
		other = find_surplus(tpl);
		if (!other) /* it is still being made; the next task has it replaced */
			return 0;
		clone_drop(other, NULL);
	}
	if (!clone_make_spare(tpl, wanted))
		return 0;
	(void)sd_event_source_set_time_relative(s, REFILL_NEXT_US);
	return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

/* Not at once: the task that has just been given to a clone is to have the processor. */
static int pool_refill_soon(struct template *tpl)
{
	int on = SD_EVENT_OFF, r;

	if (!tpl->refill)
		return sd_event_add_time_relative(tpl->m->event, &tpl->refill, CLOCK_MONOTONIC,
						  REFILL_US, 1, on_refill, tpl);
	r = sd_event_source_get_enabled(tpl->refill, &on);
	if (r < 0 || on != SD_EVENT_OFF)
		return r;
	(void)sd_event_source_set_time_relative(tpl->refill, REFILL_US);
	return sd_event_source_set_enabled(tpl->refill, SD_EVENT_ONESHOT);
}

/* Has the first clones made. */
static void pool_fill(struct template *tpl)
{
	struct clone_kind kind = {.limits = tpl->rules->policy.head.limits,
				  .package_fd = tpl->of.package_fd};

	memcpy(kind.package, tpl->of.package, 32);
	for (unsigned i = 0; i < parked_max(tpl); i++)
		pool_note(tpl, &kind);
	(void)pool_refill_soon(tpl);
}

/* --- a task comes --- */

bool clone_start(struct monitor *m, const struct mon_start *req, const struct start_fds *fds)
{
	struct clone_kind kind = {.limits = req->limits, .package_fd = fds->package};
	struct clone_task *task;
	struct template *tpl;
	struct recipe of;
	struct clone *c;

	if (req->has_package)
		memcpy(kind.package, req->package, 32);
	recipe_of_start(req, fds->package, &of);
	tpl = template_find(m, &of);

	/* A request that is not allowed is refused by start_sandbox, as all others are. */
	if (!tpl || tpl->state != TEMPLATE_READY ||
	    start_check_policy(req, &tpl->rules->policy, NULL) < 0 ||
	    start_check_package(m, fds->package, NULL) < 0)
		return false;
	task = clone_task_new(req, fds);
	if (!task)
		return false;
	c = pool_take(tpl, &kind);
	if (c) {
		c->task = task;
		clone_handle(c, CLONE_EV_GIVEN, NULL);
	} else {
		c = clone_make(tpl, &kind, false);
		if (!c) {
			clone_task_free(task);
			return false;
		}
		c->task = task;
		box_rename(&c->box, req->id);
		clone_handle(c, CLONE_EV_ASKED_FOR, NULL);
	}
	pool_note(tpl, &kind);
	(void)pool_refill_soon(tpl);
	return true;
}

/* The keeper has made the clone. Takes both descriptors. */
static void clone_made(struct clone *c, int pidfd, int payload_fd)
{
	struct box *b = &c->box;
	struct err e = {0};
	int r;

	b->pidfd = pidfd;
	b->pid = util_pidfd_pid(pidfd);
	c->payload_fd = payload_fd;
	r = b->pid > 1 ? util_proc_start_time(b->pid, &b->run.init_start) : -ESRCH;
	if (r == 0)
		r = box_watch(b, &e);
	if (r == 0)
		r = keeper_watch(c);
	if (r < 0)
		clone_handle(c, CLONE_EV_FAILED, e.msg[0] ? e.msg : "the clone is gone");
	else
		clone_handle(c, CLONE_EV_MADE, NULL);
}

static struct clone *find_tag(struct template *tpl, uint32_t tag)
{
	struct clone *c = tpl->clones;

	/* A clone that waits for a task has had its answer. */
	while (c && (clone_waits(c) || c->tag != tag))
		c = c->next;
	return c;
}

/* The keeper runs this program's code, but beside a process that is not trusted: an answer is
 * checked for its form, and can only concern a clone that was asked for. */
void clone_answer(struct template *tpl)
{
	struct template_answer a;
	int fds[2] = {-1, -1}, n_fds = 2;
	ssize_t n = fds_receive(tpl->sock, &a, sizeof(a), fds, &n_fds, MSG_DONTWAIT);
	_cleanup_fd_ int pidfd = fds[0], payload_fd = fds[1];
	struct clone *c;

	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n != (ssize_t)sizeof(a)) {
		/* The keeper's sandbox is about to end, and its report says why. */
		tpl->io = sd_event_source_disable_unref(tpl->io);
		return;
	}
	a.text[sizeof(a.text) - 1] = '\0';
	if (a.tag == 0) {
		if (a.status == 0 && tpl->state == TEMPLATE_MAKING) {
			tpl->state = TEMPLATE_READY;
			pool_fill(tpl);
		} else {
			template_failed(tpl, a.text);
		}
		return;
	}
	c = find_tag(tpl, a.tag);
	if (!c)
		return;
	/* The keeper has the usual time for its next answer. */
	if (is_asked(tpl, c))
		(void)await_answer(tpl);
	else
		(void)sd_event_source_set_enabled(tpl->silence, SD_EVENT_OFF);
	if (a.status == 0 && pidfd >= 0 && payload_fd >= 0) {
		clone_made(c, TAKE_FD(pidfd), TAKE_FD(payload_fd));
		return;
	}
	/* A template that cannot be cloned once is given up. */
	clone_handle(c, CLONE_EV_FAILED, a.text);
	template_failed(tpl, a.text);
}
