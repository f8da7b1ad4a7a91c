// SPDX-License-Identifier: Apache-2.0
/* What comes by itself: the time of a schedule, and the wall clock being set. */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "lib/msg.h"
#include "supervisor/front/run/schedule/internal.h"

#define TRY_MAX_S 60
/* A last time that is at the end itself is looked at a little later. */
#define END_SLACK_NS (60 * SEC)
/* As cron(8): a clock that is set back by less is waited for, so that no time comes twice. */
#define SET_BACK_NS (10800 * SEC)
#define CLOCK_FAR_S 0xffffffffL /* a time that never comes, for timerfd_settime */

static int set_timer(struct schedule *s, uint64_t at_ns);

void schedule_try_later(struct schedule *s, const char *why)
{
	const unsigned wait_s = s->tries < 6 ? 1u << s->tries : TRY_MAX_S;

	if (!s->tries)
		msg_warn("schedule %s: %s", s->id, why);
	s->tries++;
	(void)snprintf(s->msg, sizeof(s->msg), "%s", why);
	(void)set_timer(s, util_realtime_ns() + wait_s * SEC);
}

static int write_run(struct front *f, struct change *c, struct err *e)
{
	const struct schedule_run *run = OWNER(c, struct schedule_run, change);
	struct schedule_row row;

	if (!run->s)
		return 0;
	row = schedule_row_of(&run->after);
	return store_schedule_ran(f->store, &row, e);
}

static void adopt(struct schedule *s, const struct schedule *after)
{
	s->last_ns = after->last_ns;
	s->run_count = after->run_count;
	s->tries = 0;
	s->msg[0] = '\0';
	if (after->state == SCHEDULE_SCHEDULED)
		s->next_ns = after->next_ns;
	else
		schedule_ended(s, after->state);
}

static void queued(struct front *f, struct change *c, const struct err *error)
{
	struct schedule_run *run = OWNER(c, struct schedule_run, change);
	struct schedule *s = run->s;

	(void)f;
	if (s) {
		s->run = NULL;
		if (error) {
			schedule_try_later(s, error->msg);
		} else {
			adopt(s, &run->after);
			(void)schedule_arm(s, NULL);
		}
	}
	free(run);
}

/* What of s changes when one is queued now. */
static void advance(const struct schedule *s, uint64_t now, struct schedule *ret)
{
	/* A clock that was set back does not bring back what has been. */
	const uint64_t from = now > s->next_ns ? now : s->next_ns;

	*ret = *s;
	ret->last_ns = now;
	ret->run_count++;
	ret->next_ns = ret->spec.run_times && ret->run_count >= ret->spec.run_times
			       ? 0
			       : schedule_time_after(s, from);
	ret->state = ret->next_ns ? SCHEDULE_SCHEDULED : SCHEDULE_COMPLETE;
}

static int submit(struct schedule *s, struct worker *c, uint64_t now, struct err *e)
{
	struct schedule_run *run = calloc(1, sizeof(*run));
	struct submit what = schedule_submit(&s->spec);
	char id[TASK_ID_LEN + 1];
	int r;

	if (!run)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a task");
	what.schedule = s->id;
	what.with = &run->change;
	run->change = (struct change){.write = write_run, .done = queued};
	run->s = s;
	advance(s, now, &run->after);
	s->run = run;
	r = queue_submit(s->front, c, &what, id, e);
	if (r < 0) {
		s->run = NULL;
		free(run);
	}
	return r;
}

static int run_now(struct schedule *s, uint64_t now, struct err *e)
{
	struct worker *c = worker_by_name(s->project, s->spec.code_name);
	int r;

	if (!s->read) {
		r = schedule_read(s, e);
		if (r < 0)
			return r;
	}
	if (!c)
		return schedule_end(s, SCHEDULE_CANCELLED, "its worker was deleted", e);
	if (s->spec.end_ns && now > s->spec.end_ns + END_SLACK_NS)
		return schedule_end(s, SCHEDULE_COMPLETE, "its last times passed unseen", e);
	if (c->paused)
		return err_set(e, ERR_CONFLICT, 0, "its worker is paused");
	return submit(s, c, now, e);
}

static int on_time(sd_event_source *timer, uint64_t usec, void *arg)
{
	const uint64_t now = util_realtime_ns();
	struct schedule *s = arg;
	struct err e = {0};

	(void)timer;
	(void)usec;
	/* What it is about to be says when it is due. */
	if (s->run || s->changing || s->state != SCHEDULE_SCHEDULED)
		return 0;
	if (s->next_ns > now)
		(void)schedule_arm(s, NULL);
	else if (run_now(s, now, &e) < 0)
		schedule_try_later(s, e.msg);
	return 0;
}

static int set_timer(struct schedule *s, uint64_t at_ns)
{
	const uint64_t usec = (at_ns + 999) / 1000;
	int r;

	if (!s->timer) {
		return sd_event_add_time(s->front->event, &s->timer, CLOCK_REALTIME, usec, 1,
					 on_time, s);
	}
	r = sd_event_source_set_time(s->timer, usec);
	return r < 0 ? r : sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
}

int schedule_arm(struct schedule *s, struct err *e)
{
	int r;

	if (s->state != SCHEDULE_SCHEDULED) {
		s->timer = sd_event_source_disable_unref(s->timer);
		return 0;
	}
	r = set_timer(s, s->next_ns);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "cannot set a schedule's timer") : 0;
}

void schedule_disarm(struct schedule *s)
{
	s->timer = sd_event_source_disable_unref(s->timer);
	if (s->run)
		s->run->s = NULL;
	s->run = NULL;
}

static void wake(struct front *f, struct project *p)
{
	(void)f;
	for (struct schedule *s = p->schedules->first; s; s = s->next) {
		if (s->state != SCHEDULE_SCHEDULED || !s->tries || s->run || s->changing)
			continue;
		s->tries = 0;
		(void)schedule_arm(s, NULL);
	}
}

static void on_worker_paused(struct front *f, struct worker *c)
{
	if (!c->paused)
		wake(f, c->project);
}

const struct listener schedule_listener = {.project_changed = wake,
					   .worker_paused = on_worker_paused};

void schedule_settle_clock(struct schedule *s, uint64_t now)
{
	if (s->state != SCHEDULE_SCHEDULED || s->run || s->changing)
		return;
	if (s->read && s->run_count && s->last_ns > now + SET_BACK_NS) {
		const uint64_t next = schedule_time_after(s, now);

		s->next_ns = next ? next : s->next_ns;
	}
	/* The next try is by the clock too. */
	(void)schedule_arm(s, NULL);
}

/* When the time is set, the timer that never comes is cancelled. */
static int watch(int fd)
{
	const struct itimerspec far = {.it_value = {.tv_sec = CLOCK_FAR_S}};

	return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL) < 0
		       ? -errno
		       : 0;
}

static int on_clock(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	const uint64_t now = util_realtime_ns();
	struct front *f = arg;
	uint64_t n;

	(void)source;
	(void)events;
	if (read(fd, &n, sizeof(n)) < 0 && errno != ECANCELED)
		return 0;
	msg_info("the clock was set: schedules go by the new time");
	for (struct project *p = f->core->projects; p; p = p->next)
		for (struct schedule *s = p->schedules->first; s; s = s->next)
			schedule_settle_clock(s, now);
	EVENT_TELL(f, clock_set, now);
	return watch(fd);
}

int schedule_watch_clock(struct front *f)
{
	_cleanup_fd_ int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	int r;

	r = fd < 0 ? -errno : watch(fd);
	if (r == 0)
		r = sd_event_add_io(f->event, &f->run->clock, fd, EPOLLIN, on_clock, f);
	if (r < 0)
		return r;
	TAKE_FD(fd);
	return sd_event_source_set_io_fd_own(f->run->clock, true);
}
