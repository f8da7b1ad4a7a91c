// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/base/turn.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "lib/util.h"

/* The works of one kind of one holder. */
struct work_lane {
	struct work_lane *next; /* in the ring, while it has any */
	struct work *head, **tail;
	enum turn_kind kind;
	bool busy; /* its first work is being done, and is not in the list */
};

struct turn {
	struct work_lane lanes[TURN_HOLDERS + 1][TURN_KINDS];
	struct work_lane *first, **last; /* those that have work, in the order of their turns */
	sd_event_source *source, *tick;
	turn_tick_fn tick_fn;
	uint64_t tick_at_ns; /* 0: it is not asked for */
	unsigned n_waiting[TURN_KINDS];
};

int turn_source(sd_event *event, sd_event_source **ret, sd_event_io_handler_t fn, void *arg)
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

void turn_want(sd_event_source *source)
{
	(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void ring_add(struct turn *t, struct work_lane *lane)
{
	lane->next = NULL;
	*t->last = lane;
	t->last = &lane->next;
	turn_want(t->source);
}

static void ring_take(struct turn *t, struct work_lane *lane)
{
	struct work_lane **at = &t->first;

	while (*at != lane)
		at = &(*at)->next;
	*at = lane->next;
	if (t->last == &lane->next)
		t->last = at;
}

static void append(struct work_lane *lane, struct work *w)
{
	w->next = NULL;
	*lane->tail = w;
	lane->tail = &w->next;
}

static struct work *take_first(struct work_lane *lane)
{
	struct work *w = lane->head;

	lane->head = w->next;
	if (!lane->head)
		lane->tail = &lane->head;
	return w;
}

static void put_first(struct work_lane *lane, struct work *w)
{
	w->next = lane->head;
	lane->head = w;
	if (!w->next)
		lane->tail = &w->next;
}

static int serve(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct front *f = arg;
	struct turn *t = f->turn;
	struct work_lane *lane = t->first;
	struct work *w;

	(void)s;
	(void)fd;
	(void)events;
	if (!lane)
		return 0;
	ring_take(t, lane);
	w = take_first(lane);
	lane->busy = true;
	if (w->slice(f, w))
		put_first(lane, w);
	else
		t->n_waiting[lane->kind]--;
	lane->busy = false;
	if (lane->head)
		ring_add(t, lane);
	else if (t->first)
		turn_want(t->source);
	return 0;
}

void turn_tick_at(struct front *f, uint64_t at_ns)
{
	struct turn *t = f->turn;

	/* The front ends, and with it all that something is waited for. */
	if (!t || (t->tick_at_ns && t->tick_at_ns <= at_ns))
		return;
	t->tick_at_ns = at_ns;
	(void)sd_event_source_set_time(t->tick, at_ns / 1000 + 1);
	(void)sd_event_source_set_enabled(t->tick, SD_EVENT_ONESHOT);
}

static int on_tick(sd_event_source *s, uint64_t usec, void *arg)
{
	struct front *f = arg;

	(void)s;
	(void)usec;
	f->turn->tick_at_ns = 0;
	if (f->turn->tick_fn)
		f->turn->tick_fn(f, util_monotonic_ns());
	return 0;
}

int turn_init(struct front *f, turn_tick_fn tick)
{
	struct turn *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->last = &t->first;
	for (unsigned i = 0; i <= TURN_HOLDERS; i++)
		for (unsigned kind = 0; kind < TURN_KINDS; kind++) {
			t->lanes[i][kind].tail = &t->lanes[i][kind].head;
			t->lanes[i][kind].kind = kind;
		}
	t->tick_fn = tick;
	r = turn_source(f->event, &t->source, serve, f);
	if (r >= 0)
		r = sd_event_add_time(f->event, &t->tick, CLOCK_MONOTONIC, UINT64_MAX, 1000,
				      on_tick, f);
	if (r < 0) {
		(void)sd_event_source_disable_unref(t->source);
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
	while (t->first) {
		struct work_lane *lane = t->first;

		ring_take(t, lane);
		while (lane->head) {
			struct work *w = take_first(lane);

			t->n_waiting[lane->kind]--;
			w->drop(f, w);
		}
	}
	(void)sd_event_source_disable_unref(t->source);
	(void)sd_event_source_disable_unref(t->tick);
	free(t);
	f->turn = NULL;
}

void turn_add(struct front *f, unsigned holder, enum turn_kind kind, struct work *w)
{
	struct work_lane *lane = &f->turn->lanes[holder][kind];

	if (!lane->head && !lane->busy)
		ring_add(f->turn, lane);
	append(lane, w);
	f->turn->n_waiting[kind]++;
}

void turn_take_back(struct front *f, unsigned holder, enum turn_kind kind, struct work *w)
{
	struct work_lane *lane = &f->turn->lanes[holder][kind];
	struct work **at = &lane->head;

	while (*at && *at != w)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = w->next;
	if (lane->tail == &w->next)
		lane->tail = at;
	f->turn->n_waiting[kind]--;
	if (!lane->head && !lane->busy)
		ring_take(f->turn, lane);
}

bool turn_is_free(const struct front *f, unsigned holder, enum turn_kind kind)
{
	const struct work_lane *lane = &f->turn->lanes[holder][kind];

	return !lane->head && !lane->busy;
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
