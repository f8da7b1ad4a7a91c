// SPDX-License-Identifier: Apache-2.0
/* A clone's life: every event in every state, and what must hold for any order of events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "supervisor/monitor/fork/clone.h"

enum { NEW, ASKED, FOR, UNWANTED, MADE, READY, EARLY, GIVEN, BEGUN, GONE };
_Static_assert((int)NEW == CLONE_NEW && (int)FOR == CLONE_ASKED_FOR &&
		       (int)EARLY == CLONE_GIVEN_EARLY && (int)GONE == CLONE_GONE &&
		       (int)GONE + 1 == CLONE_STATES,
	       "the columns are in the order of the states");

struct pair {
	int state, action;
};
#define TO(state, action)                                                                          \
	{                                                                                          \
		state, CLONE_DO_##action                                                           \
	}
#define NO                                                                                         \
	{                                                                                          \
		-1, 0                                                                              \
	}

/* Rows: the event. Columns: the state before it, in the order above. NO: the event is impossible in
 * this state. */
/* clang-format off */
static const struct pair matrix[CLONE_EVENTS][CLONE_STATES] = {
	[CLONE_EV_ASKED] = {
		TO(ASKED, NOTHING), NO, NO, NO, NO, NO, NO, NO, NO, NO},
	[CLONE_EV_ASKED_FOR] = {
		TO(FOR, NOTHING), NO, NO, NO, NO, NO, NO, NO, NO, NO},
	[CLONE_EV_ADOPTED] = {
		TO(BEGUN, NOTHING), NO, NO, NO, NO, NO, NO, NO, NO, NO},
	[CLONE_EV_MADE] = {
		NO, TO(MADE, AWAIT), TO(GIVEN, GIVE_NEW), TO(GONE, CANCEL), NO,
		NO, NO, NO, NO, NO},
	[CLONE_EV_FAILED] = {
		TO(GONE, DROP), TO(GONE, DROP), TO(GONE, AGAIN), TO(GONE, CANCEL), TO(GONE, DROP),
		TO(GONE, CLOSE), TO(GONE, AGAIN), TO(GONE, AGAIN), NO, NO},
	[CLONE_EV_PREPARED] = {
		NO, NO, NO, NO, TO(READY, CONFINE),
		TO(GONE, CLOSE), TO(GIVEN, NOTHING), TO(BEGUN, START), TO(BEGUN, TELL), NO},
	[CLONE_EV_GIVEN] = {
		NO, NO, NO, NO, TO(EARLY, GIVE),
		TO(GIVEN, GIVE), NO, NO, NO, NO},
	[CLONE_EV_BROKEN] = {
		NO, NO, NO, NO, NO,
		NO, TO(EARLY, KILL), TO(GIVEN, KILL), TO(BEGUN, KILL), NO},
	[CLONE_EV_WORD] = {
		NO, NO, NO, NO, TO(GONE, CLOSE),
		TO(GONE, CLOSE), TO(BEGUN, START), TO(BEGUN, START), TO(BEGUN, TELL), NO},
	[CLONE_EV_SHUT] = {
		NO, NO, NO, NO, TO(GONE, CLOSE),
		TO(GONE, DROP), TO(EARLY, NOTHING), TO(GIVEN, NOTHING), TO(BEGUN, NOTHING), NO},
	[CLONE_EV_OUTPUT] = {
		NO, NO, NO, NO, NO,
		NO, TO(EARLY, HOLD), TO(GIVEN, HOLD), NO, NO},
	[CLONE_EV_HELD] = {
		NO, NO, NO, NO, NO,
		NO, TO(BEGUN, BEGIN), TO(BEGUN, BEGIN), NO, NO},
	[CLONE_EV_HELD_EMPTY] = {
		NO, NO, NO, NO, NO,
		NO, TO(EARLY, KILL), TO(BEGUN, BEGIN), NO, NO},
	[CLONE_EV_LATE] = {
		NO, NO, NO, NO, TO(GONE, CLOSE),
		NO, TO(BEGUN, START), TO(BEGUN, START), TO(BEGUN, TELL), NO},
	[CLONE_EV_KILLED] = {
		NO, NO, TO(UNWANTED, NOTHING), TO(UNWANTED, NOTHING), NO,
		NO, TO(BEGUN, BEGIN), TO(BEGUN, BEGIN), TO(BEGUN, NOTHING), NO},
	[CLONE_EV_ENDED] = {
		NO, NO, NO, NO, TO(GONE, CLOSE),
		TO(GONE, DROP), TO(GONE, BEGIN_END), TO(GONE, BEGIN_END), TO(GONE, END), NO},
	[CLONE_EV_ENDED_EMPTY] = {
		NO, NO, NO, NO, TO(GONE, CLOSE),
		TO(GONE, DROP), TO(GONE, AGAIN_CLOSE), TO(GONE, BEGIN_END), TO(GONE, END), NO},
	[CLONE_EV_LOST] = {
		NO, NO, NO, NO, TO(GONE, CLOSE),
		TO(GONE, DROP), TO(GONE, AGAIN_CLOSE), TO(GONE, AGAIN_COUNT), TO(GONE, END), NO},
	[CLONE_EV_DROPPED] = {
		TO(GONE, DROP), TO(GONE, DROP), TO(GONE, AGAIN), TO(GONE, CANCEL), TO(GONE, DROP),
		TO(GONE, DROP), NO, NO, NO, NO},
};
/* The outcome of an event that is impossible in its state. */
static const struct pair harmless[CLONE_STATES] = {
	TO(GONE, DROP), TO(GONE, DROP), TO(GONE, AGAIN), TO(GONE, CANCEL), TO(GONE, DROP),
	TO(GONE, DROP), TO(BEGUN, BEGIN), TO(BEGUN, BEGIN), TO(BEGUN, NOTHING), TO(GONE, NOTHING),
};
/* clang-format on */

static void test_matrix(void **state)
{
	(void)state;
	for (int ev = 0; ev < CLONE_EVENTS; ev++) {
		for (int s = 0; s < CLONE_STATES; s++) {
			const struct pair *want = &matrix[ev][s];
			const struct clone_outcome got =
				clone_step((enum clone_state)s, (enum clone_event)ev);
			const bool impossible = want->state < 0;

			if (impossible)
				want = &harmless[s];
			if (got.state != want->state || got.action != want->action ||
			    got.impossible != impossible)
				fail_msg("event %d in state %d: state %d, action %d", ev, s,
					 got.state, got.action);
		}
	}
}

/* Numbers that are not an event or a state are treated as impossible events. */
static void test_unknown(void **state)
{
	struct clone_outcome got = clone_step(CLONE_ASKED_FOR, CLONE_EVENTS);

	(void)state;
	assert_true(got.impossible);
	assert_int_equal(got.state, CLONE_GONE);
	assert_int_equal(got.action, CLONE_DO_AGAIN);
	got = clone_step(CLONE_STATES, CLONE_EV_MADE);
	assert_true(got.impossible);
	assert_int_equal(got.state, CLONE_GONE);
	assert_int_equal(got.action, CLONE_DO_NOTHING);
}

/* Counts what was done so far with the task that a clone can get. */
struct life {
	uint8_t state;
	uint8_t tasks;	   /* how many tasks it got */
	uint8_t sent;	   /* sent to its init; from then on user code may run */
	uint8_t begun;	   /* counted as begun: the request is dropped */
	uint8_t again;	   /* handed on, to be started in another way */
	uint8_t cancelled; /* its end was told without a sandbox */
	uint8_t told;	   /* its end was told by what its sandbox has left */
	uint8_t freed;
};

static uint8_t one_more(uint8_t n)
{
	return n < 3 ? n + 1 : n;
}

static struct life live(struct life was, enum clone_event event)
{
	const struct clone_outcome step = clone_step((enum clone_state)was.state, event);
	struct life now = was;

	now.state = step.state;
	/* The clone gets a task by these two events if they are possible; otherwise the task is not
	 * its own. */
	if (!step.impossible && (event == CLONE_EV_ASKED_FOR || event == CLONE_EV_GIVEN))
		now.tasks = one_more(now.tasks);
	if (!step.impossible && event == CLONE_EV_ADOPTED)
		now.tasks = now.sent = now.begun = 1;
	switch ((enum clone_action)step.action) {
	case CLONE_DO_GIVE:
	case CLONE_DO_GIVE_NEW:
		now.sent = one_more(now.sent);
		break;
	case CLONE_DO_BEGIN:
	case CLONE_DO_START:
		now.begun = one_more(now.begun);
		break;
	case CLONE_DO_BEGIN_END:
		now.begun = one_more(now.begun);
		now.told = one_more(now.told);
		break;
	case CLONE_DO_END:
		now.told = one_more(now.told);
		break;
	case CLONE_DO_AGAIN:
	case CLONE_DO_AGAIN_CLOSE:
	case CLONE_DO_AGAIN_COUNT:
		now.again = one_more(now.again);
		now.freed = one_more(now.freed);
		break;
	case CLONE_DO_CANCEL:
		now.cancelled = one_more(now.cancelled);
		now.freed = one_more(now.freed);
		break;
	case CLONE_DO_DROP:
	case CLONE_DO_CLOSE:
		now.freed = one_more(now.freed);
		break;
	default:
		break;
	}
	return now;
}

/* Checks what must hold after any events in any order. */
static void check(const struct life *l)
{
	const bool has_task = l->state == EARLY || l->state == GIVEN || l->state == BEGUN;

	assert_in_range(l->tasks, 0, 1);
	assert_in_range(l->sent, 0, l->tasks);
	/* A task begins at most once, and only after it was sent. */
	assert_in_range(l->begun, 0, l->sent);
	/* A task that has begun is not started again, nor is any task twice. */
	assert_in_range(l->begun + l->again + l->cancelled, 0, l->tasks);
	assert_in_range(l->told, 0, l->begun);
	/* A clone is freed at most once, never while it can be given a task, and never when its
	 * task's end was told by its sandbox. */
	assert_in_range(l->freed, 0, 1);
	assert_int_equal(l->state != GONE && l->freed, 0);
	assert_int_equal(l->freed && l->told, 0);
	assert_int_equal(has_task, l->sent && l->state != GONE);
	if (l->state == BEGUN)
		assert_int_equal(l->begun, 1);
	/* No task is lost: in the end each has had exactly one of these ends. */
	if (l->state == GONE)
		assert_int_equal(l->again + l->cancelled + l->told, l->tasks);
}

#define LIVES_MAX 4096

/* Visits every life that a sequence of events of any length can lead to. What can follow depends
 * only on the counts and the state, so each combination is looked at once. */
static void test_any_order(void **state)
{
	static struct life all[LIVES_MAX];
	unsigned n = 1;
	bool reached[CLONE_STATES] = {false};

	(void)state;
	memset(all, 0, sizeof(all));
	for (unsigned i = 0; i < n; i++) {
		check(&all[i]);
		reached[all[i].state] = true;
		for (int ev = 0; ev < CLONE_EVENTS; ev++) {
			const struct life next = live(all[i], (enum clone_event)ev);
			unsigned k = 0;

			/* In the last state no event does anything. */
			if (all[i].state == GONE)
				assert_memory_equal(&next, &all[i], sizeof(next));
			while (k < n && memcmp(&all[k], &next, sizeof(next)) != 0)
				k++;
			if (k < n)
				continue;
			assert_true(n < LIVES_MAX);
			all[n++] = next;
		}
	}
	for (int s = 0; s < CLONE_STATES; s++)
		assert_true(reached[s]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matrix),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_any_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
