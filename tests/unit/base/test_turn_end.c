// SPDX-License-Identifier: Apache-2.0
/* The end of a turn of the front's loop: the timers that are due, then the steps, in their order. */
#include "tests/unit/rig.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/util.h"
#include "supervisor/front/base/turn.h"

#define MANY 100u

struct fixture {
	struct front f;
	struct timer timers[MANY];
	unsigned called[MANY], n; /* in this order */
	bool set_again, cancel_next;
	char steps[16]; /* what was done in turns: a timer, the first step, the second */
	unsigned marks; /* how often the second step marks the next turn */
};

static void note(struct front *f, char what)
{
	struct fixture *x = OWNER(f, struct fixture, f);
	const size_t n = strlen(x->steps);

	assert_true(n + 1 < sizeof(x->steps));
	x->steps[n] = what;
}

static void first_step(struct front *f)
{
	note(f, '1');
}

static void second_step(struct front *f)
{
	struct fixture *x = OWNER(f, struct fixture, f);

	note(f, '2');
	if (!x->marks)
		return;
	x->marks--;
	turn_mark(f);
}

static const turn_step_fn steps[] = {first_step, second_step, NULL};
static const turn_step_fn none[] = {NULL};

static int setup_with(void **state, const turn_step_fn *what)
{
	struct fixture *x = calloc(1, sizeof(*x));

	assert_true(sd_event_new(&x->f.event) >= 0);
	assert_int_equal(turn_init(&x->f, what), 0);
	*state = x;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, none);
}

static int setup_steps(void **state)
{
	return setup_with(state, steps);
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	turn_clear(&x->f);
	(void)sd_event_unref(x->f.event);
	free(x);
	return 0;
}

static void on_time(struct front *f, struct timer *timer)
{
	struct fixture *x = OWNER(f, struct fixture, f);
	const unsigned i = (unsigned)(timer - x->timers);

	assert_false(timer_is_set(timer));
	assert_true(x->n < MANY);
	x->called[x->n++] = i;
	if (x->cancel_next && i + 1 < MANY)
		timer_cancel(f, timer + 1);
	if (x->set_again)
		timer_set(f, timer, util_monotonic_ns() + SEC * 3600, on_time);
}

/* Runs the loop until so many timers were called. */
static void until(struct fixture *x, unsigned n)
{
	while (x->n < n)
		assert_true(sd_event_run(x->f.event, 10 * SEC / 1000) > 0);
}

static void test_order(void **state)
{
	struct fixture *x = *state;
	const uint64_t now = util_monotonic_ns();

	for (unsigned i = 0; i < MANY; i++) {
		const unsigned at = i * 37 % MANY;

		timer_set(&x->f, &x->timers[at], now + at * MSEC / 10, on_time);
		assert_true(timer_is_set(&x->timers[at]));
	}
	/* A cancelled timer is not called; one that is set again is called at its last time. */
	for (unsigned i = 0; i < MANY; i += 10)
		timer_cancel(&x->f, &x->timers[i]);
	timer_set(&x->f, &x->timers[1], now + MANY * MSEC / 10, on_time);
	timer_cancel(&x->f, &x->timers[0]); /* nothing */
	until(x, MANY - MANY / 10);
	assert_int_equal(x->called[x->n - 1], 1);
	for (unsigned i = 1; i < x->n - 1; i++) {
		assert_true(x->called[i] > x->called[i - 1]);
		assert_int_not_equal(x->called[i] % 10, 0);
	}
}

/* When two timers are due in one turn, the first may cancel the second, and set itself again. */
static void test_in_turn(void **state)
{
	struct fixture *x = *state;

	x->set_again = x->cancel_next = true;
	timer_set(&x->f, &x->timers[0], 0, on_time);
	timer_set(&x->f, &x->timers[1], 1, on_time);
	timer_set(&x->f, &x->timers[2], 2, on_time);
	until(x, 2);
	assert_int_equal(x->called[0], 0);
	assert_int_equal(x->called[1], 2);
	assert_true(timer_is_set(&x->timers[0]));
	assert_false(timer_is_set(&x->timers[1]));
	assert_int_equal(sd_event_run(x->f.event, 0), 0);
}

/* The alarm of a timer that was cancelled is not the last one. */
static void test_later(void **state)
{
	struct fixture *x = *state;
	const uint64_t now = util_monotonic_ns();

	timer_set(&x->f, &x->timers[0], now + MSEC, on_time);
	timer_set(&x->f, &x->timers[1], now + 5 * MSEC, on_time);
	timer_cancel(&x->f, &x->timers[0]);
	until(x, 1);
	assert_int_equal(x->called[0], 1);
	assert_true(util_monotonic_ns() >= now + 5 * MSEC);
}

/* When the front ends, nothing is waited for, and a timer that is set after that is no fault. */
static void test_cleared(void **state)
{
	struct fixture *x = *state;

	timer_set(&x->f, &x->timers[0], 1, on_time);
	turn_clear(&x->f);
	timer_set(&x->f, &x->timers[1], 1, on_time);
	timer_cancel(&x->f, &x->timers[0]);
	assert_int_equal(sd_event_run(x->f.event, 0), 0);
	assert_int_equal(x->n, 0);
}

static void note_timer(struct front *f, struct timer *timer)
{
	(void)timer;
	note(f, 't');
	turn_mark(f);
}

static int on_socket(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct fixture *x = arg;
	char byte;

	(void)s;
	(void)events;
	assert_int_equal(read(fd, &byte, 1), 1);
	note(&x->f, 's');
	turn_mark(&x->f);
	return 0;
}

static bool on_work(struct front *f, struct work *w)
{
	(void)w;
	note(f, 'w');
	turn_mark(f);
	return false;
}

static void loop(struct fixture *x)
{
	while (sd_event_run(x->f.event, 0) > 0)
		;
}

/* A mark is for one turn, however often it is made; a mark that is made within a step is for the
 * next turn. */
static void test_steps(void **state)
{
	struct fixture *x = *state;

	loop(x);
	assert_string_equal(x->steps, "");
	turn_mark(&x->f);
	turn_mark(&x->f);
	loop(x);
	assert_string_equal(x->steps, "12");
	x->marks = 2;
	turn_mark(&x->f);
	loop(x);
	assert_string_equal(x->steps, "12121212");
}

/* Sources that are ready are served first, all of them; then timers, whose changes the steps see
 * too. */
static void test_steps_after(void **state)
{
	struct fixture *x = *state;
	sd_event_source *sources[2];
	struct work work = {.slice = on_work};
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], "ab", 2), 2);
	/* Two sources have something to read, and there is a work; the first source marks the
	 * turn's end. */
	for (int i = 0; i < 2; i++) {
		int fd = dup(fds[0]);

		assert_true(sd_event_add_io(x->f.event, &sources[i], fd, EPOLLIN, on_socket, x) >=
			    0);
		assert_true(sd_event_source_set_io_fd_own(sources[i], true) >= 0);
		assert_true(sd_event_source_set_enabled(sources[i], SD_EVENT_ONESHOT) >= 0);
	}
	turn_add(&x->f, TURN_NOBODY, TURN_WORK, &work);
	timer_set(&x->f, &x->timers[0], util_monotonic_ns(), note_timer);
	while (strlen(x->steps) < 6)
		assert_true(sd_event_run(x->f.event, 10 * SEC / 1000) > 0);
	assert_int_equal(strspn(x->steps, "sw"), 3);
	assert_memory_equal(x->steps + 3, "t12", 3);
	for (int i = 0; i < 2; i++)
		(void)sd_event_source_unref(sources[i]);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_later, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cleared, setup, teardown),
		cmocka_unit_test_setup_teardown(test_steps, setup_steps, teardown),
		cmocka_unit_test_setup_teardown(test_steps_after, setup_steps, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
