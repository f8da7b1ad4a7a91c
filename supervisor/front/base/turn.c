// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/base/turn.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "lib/util.h"

/* The works of one kind of one holder. */
struct work_lane {
	STAILQ_ENTRY(work_lane) next; /* in the ring, while it has any */
	STAILQ_HEAD(, work) works;
	enum turn_kind kind;
	bool busy; /* its first work is being done, and is not in the list */
};

struct turn {
	struct work_lane lanes[TURN_HOLDERS + 1][TURN_KINDS];
	STAILQ_HEAD(, work_lane) ring; /* those that have work, in the order of their turns */
	sd_event_source *source;       /* works */
	const turn_step_fn *steps;
	sd_event_source *end; /* the steps, and timers */
	struct heap timers;
	sd_event_source *alarm;
	uint64_t alarm_ns; /* when the loop is woken for the timers; 0: it is not */
	unsigned n_waiting[TURN_KINDS];
};

/*
 * What has something to do after the sources that are ready now: a descriptor that is always ready.
 * A deferred source of sd-event, wanted again and again, would stay before all of them.
 */
static int turn_source(sd_event *event, sd_event_source **ret, sd_event_io_handler_t fn, void *arg)
{
	_cleanup_fd_ int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	int r;

	if (fd < 0)
		return -errno;
	r = sd_event_add_io(event, ret, fd, EPOLLIN, fn, arg);
	if (r >= 0)
		r = sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_source_set_io_fd_own(*ret, true);
	if (r < 0) {
		*ret = sd_event_source_disable_unref(*ret);
		return r;
	}
	TAKE_FD(fd);
	return 0;
}

/* Once. */
static void turn_want(sd_event_source *source)
{
	(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void ring_add(struct turn *t, struct work_lane *lane)
{
	STAILQ_INSERT_TAIL(&t->ring, lane, next);
	turn_want(t->source);
}

static struct work *take_first(struct work_lane *lane)
{
	struct work *w = STAILQ_FIRST(&lane->works);

	STAILQ_REMOVE_HEAD(&lane->works, next);
	return w;
}

static int serve(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct front *f = arg;
	struct turn *t = f->turn;
	struct work_lane *lane = STAILQ_FIRST(&t->ring);
	struct work *w;

	(void)s;
	(void)fd;
	(void)events;
	if (!lane)
		return 0;
	STAILQ_REMOVE_HEAD(&t->ring, next);
	w = take_first(lane);
	lane->busy = true;
	if (w->slice(f, w))
		STAILQ_INSERT_HEAD(&lane->works, w, next);
	else
		t->n_waiting[lane->kind]--;
	lane->busy = false;
	if (!STAILQ_EMPTY(&lane->works))
		ring_add(t, lane);
	else if (!STAILQ_EMPTY(&t->ring))
		turn_want(t->source);
	return 0;
}

void turn_mark(struct front *f)
{
	if (f->turn)
		turn_want(f->turn->end);
}

/* The alarm is set earlier and never later: most timers are cancelled or put off long before their
 * time, and an alarm for nothing costs less than to set it each time. */
static void alarm_set(struct turn *t)
{
	const uint64_t at_ns = t->timers.first ? t->timers.first->key : 0;

	if (!at_ns || (t->alarm_ns && t->alarm_ns <= at_ns))
		return;
	t->alarm_ns = at_ns;
	(void)sd_event_source_set_time(t->alarm, at_ns / 1000 + 1);
	(void)sd_event_source_set_enabled(t->alarm, SD_EVENT_ONESHOT);
}

void timer_set(struct front *f, struct timer *timer, uint64_t at_ns,
	       void (*fn)(struct front *f, struct timer *t))
{
	struct turn *t = f->turn;

	if (!t)
		return;
	timer->fn = fn;
	heap_take(&t->timers, &timer->node);
	heap_add(&t->timers, &timer->node, at_ns ? at_ns : 1);
	alarm_set(t);
}

void timer_cancel(struct front *f, struct timer *timer)
{
	if (f->turn)
		heap_take(&f->turn->timers, &timer->node);
}

bool timer_is_set(const struct timer *timer)
{
	return timer->node.key > 0;
}

static int on_alarm(sd_event_source *s, uint64_t usec, void *arg)
{
	struct front *f = arg;

	(void)s;
	(void)usec;
	f->turn->alarm_ns = 0;
	turn_mark(f);
	return 0;
}

static void call_timers(struct front *f)
{
	const uint64_t now = util_monotonic_ns();
	struct turn *t = f->turn;
	const uint64_t alarm_ns = t->alarm_ns;

	t->alarm_ns = 1; /* earlier than all: it is set when all have been called */
	while (t->timers.first && t->timers.first->key <= now) {
		struct timer *timer = OWNER(t->timers.first, struct timer, node);

		heap_take(&t->timers, &timer->node);
		timer->fn(f, timer);
	}
	t->alarm_ns = alarm_ns;
	alarm_set(t);
}

static int end_turn(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct front *f = arg;

	(void)s;
	(void)fd;
	(void)events;

	call_timers(f);
	for (const turn_step_fn *step = f->turn->steps; *step; step++)
		(*step)(f);
	return 0;
}

int turn_init(struct front *f, const turn_step_fn *steps)
{
	struct turn *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	STAILQ_INIT(&t->ring);
	for (unsigned i = 0; i <= TURN_HOLDERS; i++)
		for (unsigned kind = 0; kind < TURN_KINDS; kind++) {
			STAILQ_INIT(&t->lanes[i][kind].works);
			t->lanes[i][kind].kind = kind;
		}
	t->steps = steps;
	r = turn_source(f->event, &t->source, serve, f);
	if (r >= 0)
		r = turn_source(f->event, &t->end, end_turn, f);
	if (r >= 0)
		r = sd_event_add_time(f->event, &t->alarm, CLOCK_MONOTONIC, UINT64_MAX, 1000,
				      on_alarm, f);
	if (r < 0) {
		(void)sd_event_source_disable_unref(t->source);
		(void)sd_event_source_disable_unref(t->end);
		free(t);
		return r;
	}
	f->turn = t;
	return 0;
}

void turn_clear(struct front *f)
{
	struct turn *t = f->turn;

	if (!t)
		return;
	while (!STAILQ_EMPTY(&t->ring)) {
		struct work_lane *lane = STAILQ_FIRST(&t->ring);

		STAILQ_REMOVE_HEAD(&t->ring, next);
		while (!STAILQ_EMPTY(&lane->works)) {
			struct work *w = take_first(lane);

			t->n_waiting[lane->kind]--;
			w->drop(f, w);
		}
	}
	(void)sd_event_source_disable_unref(t->source);
	(void)sd_event_source_disable_unref(t->end);
	(void)sd_event_source_disable_unref(t->alarm);
	free(t);
	f->turn = NULL;
}

void turn_add(struct front *f, unsigned holder, enum turn_kind kind, struct work *w)
{
	struct work_lane *lane = &f->turn->lanes[holder][kind];

	if (turn_is_free(f, holder, kind))
		ring_add(f->turn, lane);
	STAILQ_INSERT_TAIL(&lane->works, w, next);
	f->turn->n_waiting[kind]++;
}

void turn_take_back(struct front *f, unsigned holder, enum turn_kind kind, struct work *w)
{
	struct work_lane *lane = &f->turn->lanes[holder][kind];
	struct work *at;

	STAILQ_FOREACH(at, &lane->works, next)
		if (at == w)
			break;
	if (!at)
		return;
	STAILQ_REMOVE(&lane->works, w, work, next);
	f->turn->n_waiting[kind]--;
	if (turn_is_free(f, holder, kind))
		STAILQ_REMOVE(&f->turn->ring, lane, work_lane, next);
}

bool turn_is_free(const struct front *f, unsigned holder, enum turn_kind kind)
{
	const struct work_lane *lane = &f->turn->lanes[holder][kind];

	return STAILQ_EMPTY(&lane->works) && !lane->busy;
}

unsigned turn_waiting(const struct front *f)
{
	const struct turn *t = f->turn;

	return t->n_waiting[TURN_CALL] + t->n_waiting[TURN_QUERY] + t->n_waiting[TURN_WORK];
}

unsigned turn_calls_waiting(const struct front *f)
{
	return f->turn->n_waiting[TURN_CALL];
}

static uint64_t processor_ns(void)
{
	struct timespec now = {0};

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * SEC + (uint64_t)now.tv_nsec;
}

int turn_run(struct front *f, uint64_t *ret_ns)
{
	uint64_t began;
	int r = sd_event_prepare(f->event);

	*ret_ns = 0;
	if (r == 0)
		r = sd_event_wait(f->event, UINT64_MAX);
	if (r > 0) {
		began = processor_ns();
		r = sd_event_dispatch(f->event);
		*ret_ns = processor_ns() - began;
	}
	return r < 0 ? r : sd_event_get_state(f->event) != SD_EVENT_FINISHED;
}

int turn_over(struct err *e)
{
	return err_set(e, ERR_UNAVAILABLE, 0, "sandboxd is going down");
}
