// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/run/task.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/msg.h"
#include "spec/job.h"
#include "supervisor/front/run/log_keep.h"
#include "supervisor/front/run/run.h"
#include "supervisor/front/run/source.h"
#include "supervisor/front/store/query.h"

static const char *const state_names[TASK_STATE_MAX] = {
	[TASK_QUEUED] = "queued",   [TASK_PREPARING] = "preparing",
	[TASK_RUNNING] = "running", [TASK_COMPLETE] = "complete",
	[TASK_ERROR] = "error",	    [TASK_CANCELLED] = "cancelled",
	[TASK_KILLED] = "killed",   [TASK_TIMEOUT] = "timeout",
};

static const char *const event_names[TASK_EVENT_MAX] = {
	[TASK_EV_DISPATCH] = "dispatch", [TASK_EV_REQUEUE] = "requeue",
	[TASK_EV_STARTED] = "started",	 [TASK_EV_COMPLETE] = "complete",
	[TASK_EV_ERROR] = "error",	 [TASK_EV_CANCELLED] = "cancelled",
	[TASK_EV_KILLED] = "killed",	 [TASK_EV_TIMEOUT] = "timeout",
};

bool task_state_final(enum task_state state)
{
	return state >= TASK_COMPLETE;
}

const char *task_state_name(enum task_state state)
{
	return state < TASK_STATE_MAX ? state_names[state] : "unknown";
}

int task_state_parse(const char *name)
{
	for (int i = 0; i < TASK_STATE_MAX; i++)
		if (strcmp(name, state_names[i]) == 0)
			return i;
	return -EINVAL;
}

const char *task_event_name(enum task_event event)
{
	return event < TASK_EVENT_MAX ? event_names[event] : "unknown";
}

/* The state that an event leads to, whatever the one before. */
static const enum task_state event_leads_to[TASK_EVENT_MAX] = {
	[TASK_EV_DISPATCH] = TASK_PREPARING, [TASK_EV_REQUEUE] = TASK_QUEUED,
	[TASK_EV_STARTED] = TASK_RUNNING,    [TASK_EV_COMPLETE] = TASK_COMPLETE,
	[TASK_EV_ERROR] = TASK_ERROR,	     [TASK_EV_CANCELLED] = TASK_CANCELLED,
	[TASK_EV_KILLED] = TASK_KILLED,	     [TASK_EV_TIMEOUT] = TASK_TIMEOUT,
};

int task_step(struct task_record *rec, enum task_event event)
{
	bool ok = false;

	if (event >= TASK_EVENT_MAX)
		return -EPROTO;
	switch ((enum task_state)rec->state) {
	case TASK_QUEUED:
		/* It has not been near a sandbox: it cannot complete, time out or die. */
		ok = event == TASK_EV_DISPATCH || event == TASK_EV_CANCELLED ||
		     event == TASK_EV_ERROR;
		break;
	case TASK_PREPARING:
		/* The word that it started may be lost with a role: any end may follow. */
		ok = event != TASK_EV_DISPATCH;
		break;
	case TASK_RUNNING:
		/* Never run twice once user code has begun. */
		ok = event >= TASK_EV_COMPLETE;
		break;
	default:
		break;
	}
	if (!ok)
		return -EPROTO;
	rec->state = event_leads_to[event];
	return 0;
}

enum task_event task_verdict_event(enum verdict verdict)
{
	switch (verdict) {
	case VERDICT_OK:
		return TASK_EV_COMPLETE;
	case VERDICT_SIGNAL:
		return TASK_EV_KILLED;
	case VERDICT_TIMEOUT:
		return TASK_EV_TIMEOUT;
	case VERDICT_CANCELLED:
		return TASK_EV_CANCELLED;
	default:
		return TASK_EV_ERROR;
	}
}

int task_exit_signal(int wait_status)
{
	return wait_status >= 0 && WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
}

int task_exit_code(enum verdict verdict, int wait_status)
{
	switch (verdict) {
	case VERDICT_OK:
		return 0;
	case VERDICT_TIMEOUT:
		return 124;
	case VERDICT_OOM:
		return 137;
	case VERDICT_FAILED:
	case VERDICT_LOST:
	case VERDICT_NONE:
		return 125;
	default:
		break;
	}
	if (wait_status >= 0 && WIFEXITED(wait_status))
		return WEXITSTATUS(wait_status);
	if (task_exit_signal(wait_status))
		return 128 + task_exit_signal(wait_status);
	/* Cancelled before there was a process: as if SIGTERM had met it. */
	return verdict == VERDICT_CANCELLED ? 143 : 125;
}

/* The tasks in memory: those that have not ended, found by id. */

#define PREFIX_MIN 4

static int commit_write(struct front *f, struct change *c, struct err *e);
static void flow_written(struct front *f, struct change *c, const struct err *error);

struct task *registry_new(const char *id)
{
	struct task *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	(void)snprintf(t->rec.id, sizeof(t->rec.id), "%s", id);
	t->rec.exit_code = -1;
	t->package_fd = -1;
	t->input_fd = -1;
	t->notes_tail = &t->notes;
	t->change = (struct change){.write = commit_write, .done = flow_written};
	return t;
}

void registry_add(struct front *f, struct task *t)
{
	idtable_add(&f->run->tasks, &t->node, t->rec.id);
}

static void untold_take(struct front *f, struct task *t)
{
	struct task **at = &f->run->untold, *before = NULL;

	if (!t->untold)
		return;
	for (; *at != t; at = &before->next_untold)
		before = *at;
	*at = t->next_untold;
	if (f->run->untold_last == t)
		f->run->untold_last = before;
	f->run->n_untold--;
	t->untold = false;
}

static void untold_add(struct front *f, struct task *t)
{
	if (t->untold)
		return;
	*(f->run->untold ? &f->run->untold_last->next_untold : &f->run->untold) = t;
	t->next_untold = NULL;
	f->run->untold_last = t;
	f->run->n_untold++;
	t->untold = true;
	turn_mark(f);
}

void registry_free_task(struct front *f, struct task *t)
{
	struct err gone;

	if (t->waiters) {
		(void)err_set(&gone, ERR_NOT_FOUND, 0, "the task %s was removed", t->rec.id);
		EVENT_TELL(f, dropped, t, &gone);
	}
	while (t->notes) {
		struct task_note *note = t->notes;

		t->notes = note->next;
		free(note);
	}
	timer_cancel(f, &t->kill);
	timer_cancel(f, &t->log_end);
	timer_cancel(f, &t->write_by);
	untold_take(f, t);
	util_close_fd(&t->package_fd);
	util_close_fd(&t->input_fd);
	task_record_clear(&t->rec);
	free(t);
}

void registry_remove(struct front *f, struct task *t)
{
	idtable_remove(&f->run->tasks, &t->node);
	registry_free_task(f, t);
}

struct task *registry_find(struct front *f, const char *id)
{
	return OWNER_OF(idtable_find(&f->run->tasks, id), struct task, node);
}

void registry_each(struct front *f, void (*fn)(struct front *f, struct task *t, void *arg),
		   void *arg)
{
	const struct idtable *tasks = &f->run->tasks;
	struct idnode *next;

	/* fn may remove the task that it is given. */
	for (struct idnode *node = idtable_next(tasks, NULL); node; node = next) {
		next = idtable_next(tasks, node);
		fn(f, OWNER_OF(node, struct task, node), arg);
	}
}

struct prefix_search {
	const char *prefix;
	size_t len;
	const struct task *found;
	unsigned n;
};

static void match_prefix(struct front *f, struct task *t, void *arg)
{
	struct prefix_search *s = arg;

	(void)f;
	if (strncmp(t->rec.id, s->prefix, s->len) == 0) {
		s->found = t;
		s->n++;
	}
}

int registry_resolve(struct front *f, const char *prefix, char ret[TASK_ID_LEN + 1], struct err *e)
{
	struct prefix_search s = {.prefix = prefix, .len = strlen(prefix)};
	char stored[TASK_ID_LEN + 1];
	int r;

	if (s.len < PREFIX_MIN || s.len > TASK_ID_LEN ||
	    strspn(prefix, "0123456789abcdef") != s.len)
		return err_set(e, ERR_INPUT, 0,
			       "id: must be a task's id, or %d characters of its beginning or more",
			       PREFIX_MIN);
	if (s.len == TASK_ID_LEN) {
		memcpy(ret, prefix, TASK_ID_LEN + 1);
		return 0;
	}
	registry_each(f, match_prefix, &s);
	r = store_task_find(f->store, prefix, stored, e);
	if (r == -EEXIST || (r < 0 && e->code != ERR_NOT_FOUND))
		return r;
	if (s.n > 1 || (s.n == 1 && r == 0 && strcmp(s.found->rec.id, stored) != 0))
		return err_set(e, ERR_CONFLICT, 0,
			       "several tasks start with %s: give more of the id", prefix);
	if (s.n == 0 && r < 0)
		return r;
	memcpy(ret, s.n ? s.found->rec.id : stored, TASK_ID_LEN + 1);
	return 0;
}

/* What is asked of the logger about a task's log. */

bool log_request(struct front *f, const char *id, enum proto_type type)
{
	union proto_msg m = {0};

	proto_init(&m, type);
	memcpy(m.log_id.id, id, sizeof(m.log_id.id));
	return chan_send(&f->run->logger, &m, NULL, 0) == 0;
}

int log_follow(struct front *f, const struct log_follow *what, int fd, struct err *e)
{
	union proto_msg m = {.log_follow = *what};
	_cleanup_fd_ int taken = fd;
	int r;

	proto_init(&m, LOG_FOLLOW);
	r = chan_send(&f->run->logger, &m, &taken, 1);
	return r < 0 ? err_set(e, ERR_UNAVAILABLE, -r, "the logger does not answer") : 0;
}

/* A task's row and its history: how they are written, as a change at the end of a turn. */

/* A short task has ended by then: its start costs no wait for the disk of its own. */
#define LATER_NS (200 * MSEC)

void commit_mark(struct front *f, struct task *t)
{
	timer_cancel(f, &t->write_by);
	if (t->unrecorded) {
		untold_add(f, t);
		return;
	}
	/* Written before its end, a damaged row would look sound, and be run after a restart. */
	if (t->damaged && !task_state_final((enum task_state)t->rec.state))
		return;
	if (!t->change.marked)
		change_mark(f, &t->change, turn_holder(t->project),
			    t->change.stored ? 0 : task_record_texts(&t->rec));
}

static void write_late(struct front *f, struct timer *timer)
{
	commit_mark(f, OWNER(timer, struct task, write_by));
}

void commit_mark_later(struct front *f, struct task *t)
{
	if (!t->unrecorded && !t->change.marked && !timer_is_set(&t->write_by))
		timer_set(f, &t->write_by, util_monotonic_ns() + LATER_NS, write_late);
}

void commit_note(struct task *t, const char *event, const char *detail)
{
	struct task_note *note;

	if (t->unrecorded)
		return;
	note = malloc(sizeof(*note) + strlen(detail) + 1);
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

/* The task's change.write. */
static int commit_write(struct front *f, struct change *c, struct err *e)
{
	struct task *t = OWNER(c, struct task, change);
	int r;

	/* It waits, and may do so for days: what it needs must survive a power cut as its record does. */
	if (!c->stored && t->queued && t->rec.has_package)
		package_sync(f);
	r = c->stored ? store_task_update(f->store, &t->rec, e)
		      : store_task_insert(f->store, &t->rec, e);
	t->n_written = 0;
	for (const struct task_note *n = t->notes; r == 0 && n; n = n->next, t->n_written++)
		r = store_event(f->store, t->rec.id, n->time_ns, n->event, n->detail, e);
	return r;
}

/* What was written is durable: its notes need no memory any more. */
static void commit_written(struct task *t)
{
	for (; t->n_written; t->n_written--) {
		struct task_note *note = t->notes;

		t->notes = note->next;
		free(note);
	}
	if (!t->notes)
		t->notes_tail = &t->notes;
}

/* What happens to a task, in the order of its life. */

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
	if (!occupies)
		queue_dispatch_soon(f);
	if (t->worker)
		t->worker->run->lane.n_running += occupies ? 1 : -1u;
	if (!t->project)
		return;
	t->project->run->n_running += occupies ? 1 : -1u;
	t->project->run->running_memory += occupies ? t->rec.limits.memory : -t->rec.limits.memory;
	t->project->run->running_pids +=
		occupies ? t->rec.limits.pids : -(uint64_t)t->rec.limits.pids;
	t->project->run->full = false;
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

static void flow_forget(struct front *f, const char *id)
{
	union proto_msg m = {0};

	proto_init(&m, MON_FORGET);
	memcpy(m.forget.id, id, sizeof(m.forget.id));
	/* Lost, it is repeated: the monitor tells of this end again after a restart. */
	(void)chan_send(&f->run->monitor, &m, NULL, 0);
}

/* The slot is taken and the state is PREPARING only when the monitor has the request. */
void flow_dispatch(struct front *f, struct task *t)
{
	const struct job_of of = {t->rec.id, t->rec.policy, t->rec.together != 0};
	_cleanup_job_ struct job job = JOB_NONE;
	_cleanup_free_ char *text = NULL;
	const struct run_source *source = source_of(f, &t->rec);
	_cleanup_fd_ int serve = -1, data = -1;
	union proto_msg m = {0};
	struct err e = {0};
	unsigned n_fds = 0;
	int fds[PROTO_FDS_MAX], r;

	r = t->damaged ? err_set(&e, ERR_INTERNAL, 0, "its row in the store is damaged")
		       : source->job(f, t, &text, &e);
	if (r == 0 && t->project && !queue_has_room(f, t->project, &t->rec.limits)) {
		t->project->run->full = true;
		return;
	}
	queue_remove(f, t);
	if (r < 0)
		goto fail;

	if (t->rec.has_package && t->package_fd < 0) {
		t->package_fd = package_open(f, t->rec.package);
		if (t->package_fd < 0) {
			(void)err_set(&e, ERR_NOT_FOUND, -t->package_fd,
				      "the task's folder is not there any more");
			goto fail;
		}
	}
	if (!t->project) {
		(void)err_set(&e, ERR_NOT_FOUND, 0, "its project was removed");
		goto fail;
	}
	if (job_seal(text, &of, &job, &e) < 0)
		goto fail;
	if (source->flags & RUN_SERVES && source->serve(f, t, &serve, &e) < 0)
		goto fail;

	if (source->data && source->data(f, t, &data, &e) < 0)
		goto fail;

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
	_Static_assert(sizeof(m.start.script) == sizeof(job.script), "both end with a NUL");
	memcpy(m.start.script, job.script, sizeof(m.start.script));
	m.start.has_input = t->input_fd >= 0;
	m.start.has_serve = serve >= 0;
	m.start.has_data = data >= 0;
	m.start.no_deadline = (source->flags & RUN_NO_DEADLINE) != 0;
	m.start.ring_log = (source->flags & RUN_RING_LOG) != 0;
	fds[n_fds++] = job.fd;
	if (m.start.has_package)
		fds[n_fds++] = t->package_fd;
	if (m.start.has_data)
		fds[n_fds++] = data;
	if (m.start.has_input)
		fds[n_fds++] = t->input_fd;
	if (m.start.has_serve)
		fds[n_fds++] = serve;
	r = chan_send(&f->run->monitor, &m, fds, n_fds);
	util_close_fd(&t->package_fd);
	util_close_fd(&t->input_fd);
	if (r < 0) {
		(void)err_set(&e, ERR_UNAVAILABLE, -r, "the monitor does not take new tasks");
		goto fail;
	}
	t->known_to_monitor = true;
	flow_occupy(f, t, true);
	flow_step(t, TASK_EV_DISPATCH, "");
	commit_mark(f, t);
	return;
fail:
	flow_end(f, t, VERDICT_FAILED, e.msg);
}

struct task *run_new(struct project *p, const char *id, const char *wanted_by,
		     const uint8_t package[32])
{
	struct task *t = registry_new(id);

	if (!t)
		return NULL;
	t->project = p;
	(void)snprintf(t->rec.project, sizeof(t->rec.project), "%s", p->id);
	(void)snprintf(t->rec.wanted_by, sizeof(t->rec.wanted_by), "%s", wanted_by);
	t->rec.created_ns = util_realtime_ns();
	t->received_ns = util_monotonic_ns();
	t->rec.together = 1;
	t->rec.has_package = 1;
	memcpy(t->rec.package, package, sizeof(t->rec.package));
	return t;
}

int flow_accept(struct front *f, struct task *t)
{
	int r = queue_push(f, t);

	if (r < 0)
		return r;
	registry_add(f, t);
	t->unrecorded = source_of(f, &t->rec)->flags & RUN_NOT_RECORDED;
	t->change.stored |= t->unrecorded;
	commit_note(t, "accepted", "");
	commit_mark(f, t);
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
	const struct run_source *source = source_of(f, &t->rec);
	enum verdict verdict = (enum verdict)t->rec.verdict;

	if (!t->rec.finished_ns)
		t->rec.finished_ns = util_realtime_ns();
	timer_cancel(f, &t->kill);
	timer_cancel(f, &t->log_end);
	/* The attempt that follows is written whatever becomes of others' changes, and must not be there
	 * without the task that it follows, which may yet be refused: the end waits for that. */
	t->ends = source->ended && verdict != VERDICT_CANCELLED && !t->change.stored &&
		  !t->change.must;
	if (t->ends)
		return;
	flow_step(t, task_verdict_event(verdict), verdict_name(verdict));
	EVENT_TELL(f, over, t);
	if (source->ended)
		source->ended(f, t);
	commit_mark(f, t);
}

/* The logger has not told the end of the task's log. */
static void log_late(struct front *f, struct timer *timer)
{
	struct task *t = OWNER(timer, struct task, log_end);
	const uint64_t now = util_monotonic_ns();

	if (now < t->exited_at_ns + LOG_GIVE_UP) {
		log_request(f, t->rec.id, LOG_FINISH);
		timer_set(f, timer, now + LOG_ASK_EVERY, log_late);
		return;
	}
	/* The log's files are complete all the same; its totals alone are not known, so the log
	 * counts as if it were as long as it may be. */
	msg_warn("task %s: the logger does not tell the end of its log", t->rec.id);
	t->rec.log_disk = t->known_to_monitor ? t->rec.limits.log_bytes : 0;
	finish(f, t);
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
	log_request(f, t->rec.id, LOG_FINISH);
	timer_set(f, &t->log_end, t->exited_at_ns + LOG_ASK_EVERY, log_late);
}

void flow_runs(struct front *f, struct task *t)
{
	_cleanup_free_ char *job = NULL;
	struct err e = {0};

	t->known_to_monitor = true;
	if (t->rec.state != TASK_QUEUED || t->exited_at_ns)
		return;
	queue_remove(f, t);
	/* Of what it was made is not written either: by now that is the same, or nearly. */
	(void)source_of(f, &t->rec)->job(f, t, &job, &e);
	flow_occupy(f, t, true);
	flow_step(t, TASK_EV_DISPATCH, "");
	commit_mark(f, t);
	if (t->rec.cancel_ns)
		flow_kill(f, t->rec.id, KILL_CANCEL_KILL);
}

struct task *flow_known(struct front *f, const char *id)
{
	struct task *t = queue_wake(f, id);

	if (t)
		flow_runs(f, t);
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
		task_record_clear(&old);
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
	finish_if_over(f, t);
	if (!t->rec.log_known && t->rec.verdict == VERDICT_FAILED &&
	    t->rec.state == TASK_PREPARING) {
		/* It never had pipes whose end would end its log. */
		log_request(f, t->rec.id, LOG_FINISH);
		timer_set(f, &t->log_end, t->exited_at_ns + LOG_ASK_EVERY, log_late);
	} else if (!t->rec.log_known) {
		timer_set(f, &t->log_end, t->exited_at_ns + LOG_ASK_AFTER, log_late);
	}
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

/* All that had happened to the task until then is durable, or is not to be. */
static void task_durable(struct front *f, struct task *t)
{
	const bool unrecorded = t->unrecorded;

	commit_written(t);
	EVENT_TELL(f, written, t);
	if (t->ends)
		finish(f, t);
	/* Who was told of this task, or of another one before it, has changed it: it comes here again. */
	if (t->change.marked || t->untold || queue_settle(f, t))
		return;
	if (!task_state_final((enum task_state)t->rec.state))
		return;
	if (t->known_to_monitor)
		flow_forget(f, t->rec.id);
	EVENT_TELL(f, ended, t);
	if (unrecorded)
		(void)log_request(f, t->rec.id, LOG_DELETE);
	else
		log_keep_ended(f, t);
	registry_remove(f, t);
	if (!unrecorded)
		commit_ended(f);
}

void commit_unrecorded(struct front *f)
{
	/* Who is told of one may change it, and others, anew: that is told in the next turn. */
	for (unsigned n = f->run->n_untold; n > 0 && f->run->untold; n--) {
		struct task *t = f->run->untold;

		untold_take(f, t);
		task_durable(f, t);
	}
}

/* The task's change.done: what had happened to it is durable, or the disk does not take it. */
static void flow_written(struct front *f, struct change *c, const struct err *error)
{
	struct task *t = OWNER(c, struct task, change);

	if (!error) {
		task_durable(f, t);
		return;
	}
	if (c->stored || c->must) {
		/* It is tried again; but an end is known and true, whatever the disk says. */
		if (task_state_final((enum task_state)t->rec.state))
			EVENT_TELL(f, ended, t);
		return;
	}
	/* Nobody was told that the task exists: now somebody is told that it does not. */
	EVENT_TELL(f, dropped, t, error);
	queue_remove(f, t);
	if (t->known_to_monitor && t->exited_at_ns) {
		/* The monitor has told of its end, and keeps that until it hears this. */
		(void)log_request(f, t->rec.id, LOG_DELETE);
		flow_forget(f, t->rec.id);
	} else if (t->known_to_monitor) {
		flow_kill(f, t->rec.id, KILL_CANCEL_KILL); /* forgotten when it has ended */
	}
	flow_occupy(f, t, false);
	registry_remove(f, t);
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

static void kill_late(struct front *f, struct timer *timer)
{
	struct task *t = OWNER(timer, struct task, kill);

	if (t->exited_at_ns)
		return;
	t->kill_sent = true;
	flow_kill(f, t->rec.id, KILL_CANCEL_KILL);
}

void flow_kill_after(struct front *f, struct task *t, uint64_t ns)
{
	timer_set(f, &t->kill, util_monotonic_ns() + ns, kill_late);
}

bool flow_cancel(struct front *f, struct task *t, bool force)
{
	/* Who asks for the same again and again does not make a history of it. */
	const bool is_news = !t->rec.cancel_ns || (force && !t->kill_sent);

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
	if (!force && !timer_is_set(&t->kill))
		flow_kill_after(f, t, CANCEL_GRACE_NS);
	return true;
}

static void ask_again(struct front *f, struct task *t, void *arg)
{
	/* Of one whose end waits to be written the log was given up: it ends once. */
	if (!t->exited_at_ns || t->rec.log_known || t->ends ||
	    task_state_final((enum task_state)t->rec.state))
		return;
	t->exited_at_ns = *(const uint64_t *)arg;
	log_request(f, t->rec.id, LOG_FINISH);
	timer_set(f, &t->log_end, t->exited_at_ns + LOG_ASK_EVERY, log_late);
}

void flow_log_again(struct front *f)
{
	uint64_t now = util_monotonic_ns();

	registry_each(f, ask_again, &now);
}
