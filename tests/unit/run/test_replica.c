// SPDX-License-Identifier: Apache-2.0
/* Every event in every state of a replica, wanted or not; and how long it waits between its runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "supervisor/front/run/replica.h"

#define NOW 1000000u

static const struct replica_rules rules = {
	.start_ns = 500,
	.drain_ns = 300,
	.backoff_ns = 10,
	.backoff_max_ns = 60,
	.settled_ns = 1000,
	.ends_max = 4,
};

struct want {
	enum replica_state state;
	enum replica_action action;
	uint64_t timer; /* after NOW; 0: none */
};

#define SAME(state)                                                                                \
	{                                                                                          \
		REPLICA_##state, REPLICA_DO_NOTHING, 0                                             \
	}
#define TO(state, action, timer)                                                                   \
	{                                                                                          \
		REPLICA_##state, REPLICA_DO_##action, timer                                        \
	}

/* Columns: WANT_UP, WANT_DOWN, READY, UNWELL, ENDED, TIMER; the replica is wanted before. */
static const struct want wanted[REPLICA_STATES][REPLICA_EVENTS] = {
	[REPLICA_DOWN] = {TO(STARTING, START, 500), SAME(DOWN), SAME(DOWN), SAME(DOWN), SAME(DOWN),
			  SAME(DOWN)},
	[REPLICA_STARTING] = {SAME(STARTING), TO(STOPPING, STOP, 0), TO(UP, PUBLISH, 0),
			      TO(STOPPING, KILL, 0), TO(BACKOFF, FORGET, 10),
			      TO(STOPPING, STOP, 0)},
	[REPLICA_UP] = {SAME(UP), TO(DRAINING, DRAIN, 300), SAME(UP), TO(STOPPING, KILL, 0),
			TO(BACKOFF, FORGET, 10), SAME(UP)},
	[REPLICA_DRAINING] = {SAME(DRAINING), SAME(DRAINING), SAME(DRAINING), TO(STOPPING, KILL, 0),
			      TO(BACKOFF, FORGET, 10), TO(STOPPING, STOP, 0)},
	[REPLICA_STOPPING] = {SAME(STOPPING), SAME(STOPPING), SAME(STOPPING), SAME(STOPPING),
			      TO(BACKOFF, FORGET, 10), SAME(STOPPING)},
	[REPLICA_BACKOFF] = {SAME(BACKOFF), TO(DOWN, NOTHING, 0), SAME(BACKOFF), SAME(BACKOFF),
			     SAME(BACKOFF), TO(STARTING, START, 500)},
	[REPLICA_FAILED] = {TO(STARTING, START, 500), TO(DOWN, NOTHING, 0), SAME(FAILED),
			    SAME(FAILED), SAME(FAILED), SAME(FAILED)},
};

static void check(struct replica before, int event, const struct want *want)
{
	struct replica r = before;
	enum replica_action action = replica_step(&rules, &r, (enum replica_event)event, NOW);

	assert_int_equal(r.state, want->state);
	assert_int_equal(action, want->action);
	if (r.state == before.state)
		assert_int_equal(r.timer_ns, before.timer_ns);
	else
		assert_int_equal(r.timer_ns, want->timer ? NOW + want->timer : 0);
	if (event == REPLICA_WANT_UP || event == REPLICA_WANT_DOWN)
		assert_int_equal(r.wanted, event == REPLICA_WANT_UP);
	else
		assert_int_equal(r.wanted, before.wanted);
}

static void test_wanted(void **state)
{
	(void)state;
	for (int s = 0; s < REPLICA_STATES; s++)
		for (int ev = 0; ev < REPLICA_EVENTS; ev++)
			check((struct replica){.state = (enum replica_state)s,
					       .wanted = true,
					       .timer_ns = 7},
			      ev, &wanted[s][ev]);
}

/* The same where nobody wants it: only an end, and with it where the run ends, is different. */
static void test_unwanted(void **state)
{
	static const struct want down = TO(DOWN, FORGET, 0);

	(void)state;
	for (int s = 0; s < REPLICA_STATES; s++)
		for (int ev = 0; ev < REPLICA_EVENTS; ev++)
			check((struct replica){.state = (enum replica_state)s, .timer_ns = 7}, ev,
			      wanted[s][ev].action == REPLICA_DO_FORGET ? &down : &wanted[s][ev]);
}

/* A run that was told to end is followed at once by another one when it is wanted again. */
static void test_wanted_again(void **state)
{
	static const enum replica_event ways[][4] = {
		{REPLICA_READY, REPLICA_WANT_DOWN, REPLICA_WANT_UP, REPLICA_ENDED},
		{REPLICA_WANT_DOWN, REPLICA_WANT_UP, REPLICA_WANT_UP, REPLICA_ENDED},
		{REPLICA_WANT_DOWN, REPLICA_TIMER, REPLICA_WANT_UP, REPLICA_ENDED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct replica r = {0};
		enum replica_action action = replica_step(&rules, &r, REPLICA_WANT_UP, NOW);

		for (int j = 0; j < 4; j++)
			action = replica_step(&rules, &r, ways[i][j], NOW);
		assert_int_equal(action, REPLICA_DO_START);
		assert_int_equal(r.state, REPLICA_STARTING);
		assert_int_equal(r.n_ends, 0);
		assert_false(r.told);
	}
}

static void test_backoff(void **state)
{
	static const uint64_t waits[] = {10, 20, 40, 60};
	struct replica r = {0};

	(void)state;
	(void)replica_step(&rules, &r, REPLICA_WANT_UP, NOW);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(replica_step(&rules, &r, REPLICA_ENDED, NOW), REPLICA_DO_FORGET);
		assert_int_equal(r.state, REPLICA_BACKOFF);
		assert_int_equal(r.timer_ns, NOW + waits[i]);
		assert_int_equal(replica_step(&rules, &r, REPLICA_TIMER, r.timer_ns),
				 REPLICA_DO_START);
	}
	assert_int_equal(replica_step(&rules, &r, REPLICA_ENDED, NOW), REPLICA_DO_GIVE_UP);
	assert_int_equal(r.state, REPLICA_FAILED);
	/* It is tried again when it is wanted anew, with all its tries. */
	assert_int_equal(replica_step(&rules, &r, REPLICA_WANT_UP, NOW), REPLICA_DO_START);
	assert_int_equal(replica_step(&rules, &r, REPLICA_ENDED, NOW), REPLICA_DO_FORGET);
	assert_int_equal(r.timer_ns, NOW + 10);
}

static void test_settled(void **state)
{
	struct replica r = {0};

	(void)state;
	(void)replica_step(&rules, &r, REPLICA_WANT_UP, NOW);
	for (int i = 0; i < 3; i++) {
		(void)replica_step(&rules, &r, REPLICA_ENDED, NOW);
		(void)replica_step(&rules, &r, REPLICA_TIMER, NOW);
	}
	(void)replica_step(&rules, &r, REPLICA_READY, NOW);
	(void)replica_step(&rules, &r, REPLICA_ENDED, NOW + 999);
	assert_int_equal(r.n_ends, 4);
	(void)replica_step(&rules, &r, REPLICA_TIMER, NOW);
	(void)replica_step(&rules, &r, REPLICA_READY, NOW);
	(void)replica_step(&rules, &r, REPLICA_ENDED, NOW + 1000);
	assert_int_equal(r.n_ends, 1);
	assert_int_equal(r.timer_ns, NOW + 1010);
}

static void test_names(void **state)
{
	(void)state;
	for (int i = 0; i < REPLICA_STATES; i++)
		for (int j = 0; j < i; j++)
			assert_string_not_equal(replica_state_name((enum replica_state)i),
						replica_state_name((enum replica_state)j));
	assert_string_equal(replica_state_name(REPLICA_STATES), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wanted),	     cmocka_unit_test(test_unwanted),
		cmocka_unit_test(test_wanted_again), cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_settled),	     cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
