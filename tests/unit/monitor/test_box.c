// SPDX-License-Identifier: Apache-2.0
/* The kinds of box: which role is told of which kind, and what becomes of a clone's task when it is
 * cancelled, begins, or its sandbox ends. */
#include "tests/unit/clone_rig.h"

static void tell_new_roles(struct monitor *m)
{
	box_each(m, b)
	{
		for (enum role_id id = 0; b->kind->tell && id < R_N; id++)
			b->kind->tell(b, id);
	}
}

/* A new role is told of tasks and of nothing else; the logger is not told of a clone's task before
 * the task has begun. */
static void test_told(void **state)
{
	static const struct {
		const struct box_kind *kind;
		enum clone_state clone;
		unsigned front, logger;
	} rows[] = {
		{&box_task, 0, MON_RUNNING, LOG_OPEN},
		{&box_warmup, 0, 0, 0},
		{&box_keeper, 0, 0, 0},
		{&box_clone, CLONE_ASKED, 0, 0},
		{&box_clone, CLONE_ASKED_FOR, 0, 0},
		{&box_clone, CLONE_MADE, 0, 0},
		{&box_clone, CLONE_READY, 0, 0},
		{&box_clone, CLONE_GIVEN_EARLY, MON_RUNNING, 0},
		{&box_clone, CLONE_GIVEN, MON_RUNNING, 0},
		{&box_clone, CLONE_BEGUN, MON_RUNNING, LOG_OPEN},
	};
	struct monitor_rig *rig = *state;
	struct roles roles = roles_begin(rig->m);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct box *b = box(rig, rows[i].kind);

		if (clone_of(b))
			clone_of(b)->state = rows[i].clone;
		tell_new_roles(rig->m);
		assert_int_equal(to_front(&roles), rows[i].front);
		assert_int_equal(to_logger(&roles), rows[i].logger);
		assert_int_equal(to_front(&roles), 0);
		assert_int_equal(to_logger(&roles), 0);
		gone(rig);
	}
	roles_end(rig->m, &roles);
}

static void cancel(struct monitor_rig *rig)
{
	union proto_msg msg = {0};

	proto_init(&msg, MON_KILL);
	strcpy(msg.kill.id, RIG_ID);
	msg.kill.reason = KILL_CANCEL_KILL;
	assert_int_equal(request_run(rig->m, &msg, NULL, 0), 0);
}

/* Only a clone that has a task, or is made for one, can be ended by a task's id. */
static void test_cancelled(void **state)
{
	static const enum clone_state after[CLONE_STATES] = {
		[CLONE_NEW] = CLONE_NEW,
		[CLONE_ASKED] = CLONE_ASKED,
		[CLONE_ASKED_FOR] = CLONE_UNWANTED,
		[CLONE_UNWANTED] = CLONE_UNWANTED,
		[CLONE_MADE] = CLONE_MADE,
		[CLONE_READY] = CLONE_READY,
		[CLONE_GIVEN_EARLY] = CLONE_BEGUN,
		[CLONE_GIVEN] = CLONE_BEGUN,
		[CLONE_BEGUN] = CLONE_BEGUN,
	};
	struct monitor_rig *rig = *state;
	struct roles roles = roles_begin(rig->m);

	for (enum clone_state s = CLONE_NEW; s < CLONE_GONE; s++) {
		struct template tpl;
		struct clone *c = clone_box(rig, &tpl, s);
		const bool given = s == CLONE_GIVEN_EARLY || s == CLONE_GIVEN;

		cancel(rig);
		assert_int_equal(c->state, after[s]);
		assert_int_equal(c->box.killed_for,
				 after[s] == CLONE_BEGUN || after[s] == CLONE_UNWANTED
					 ? VERDICT_CANCELLED
					 : VERDICT_NONE);
		/* The task will end as cancelled and will not be started again, so its output is
		 * final and goes to the logger. */
		assert_int_equal(to_logger(&roles), given ? LOG_OPEN : 0);
		assert_int_equal(c->task != NULL, s == CLONE_ASKED_FOR);
		gone(rig);
	}
	roles_end(rig->m, &roles);
}

/* A task whose clone does not exist yet is told of as cancelled when the clone is given up. */
static void test_cancelled_before(void **state)
{
	struct monitor_rig *rig = *state;
	struct roles roles = roles_begin(rig->m);
	struct template tpl;
	struct clone *c = clone_box(rig, &tpl, CLONE_ASKED_FOR);
	union proto_msg msg;

	cancel(rig);
	assert_int_equal(to_front(&roles), 0);
	clone_drop(c, "the template was retired");
	assert_null(tpl.clones);
	assert_int_equal(next(roles.front, ROLE_FRONT, &msg), MON_EXITED);
	assert_int_equal(msg.exited.verdict, VERDICT_CANCELLED);
	assert_string_equal(msg.exited.id, RIG_ID);
	assert_int_equal(to_front(&roles), 0);
	gone(rig);
	roles_end(rig->m, &roles);
}

/* The clone sends its start time: the front is told, then the logger gets the pipes, and from then
 * on the task is the clone's. Further bytes change nothing. */
static void test_begins(void **state)
{
	static const char *const words[] = {"S 1\n", "PS 1\n", "x", "PP"};
	struct monitor_rig *rig = *state;
	struct roles roles = roles_begin(rig->m);

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct template tpl;
		struct clone *c = clone_box(rig, &tpl, CLONE_GIVEN_EARLY);

		box_clone.said(&c->box, words[i], strlen(words[i]));
		assert_int_equal(c->state, CLONE_BEGUN);
		assert_null(c->task);
		assert_int_equal(tpl.lost + tpl.failures, 0);
		assert_int_equal(to_front(&roles), MON_STARTED);
		assert_int_equal(to_logger(&roles), LOG_OPEN);
		box_clone.said(&c->box, "S 1\n", 4);
		assert_int_equal(to_front(&roles), 0);
		assert_int_equal(to_logger(&roles), 0);
		gone(rig);
	}
	roles_end(rig->m, &roles);
}

/* "P" from a clone that was given its task before it was ready does not begin the task. From a
 * clone that has sent "P" before, it counts as any other bytes. */
static void test_ready_late(void **state)
{
	struct monitor_rig *rig = *state;
	struct roles roles = roles_begin(rig->m);
	struct template tpl;
	struct clone *c = clone_box(rig, &tpl, CLONE_GIVEN_EARLY);

	box_clone.said(&c->box, "P", 1);
	assert_int_equal(c->state, CLONE_GIVEN);
	assert_non_null(c->task);
	assert_int_equal(to_front(&roles), 0);
	box_clone.said(&c->box, "P", 1);
	assert_int_equal(c->state, CLONE_BEGUN);
	assert_int_equal(to_front(&roles), MON_STARTED);
	gone(rig);
	roles_end(rig->m, &roles);
}

static void write_end(struct box *b, int wait_status)
{
	const struct exit_record x = {.magic = EXIT_RECORD_MAGIC, .wait_status = wait_status};

	if (wait_status != -1)
		assert_int_equal(pwrite(b->record_fd, &x, sizeof(x), EXIT_RECORD_OFFSET),
				 sizeof(x));
}

/* A clone that has a task ends: either this is the task's end, or the task is started in another
 * way, which fails here because there are no images. */
static void test_ends(void **state)
{
	enum { OWN, AGAIN };
	static const struct {
		enum clone_state state;
		int wait_status, end;
		bool closes;   /* its template gets no more waiting clones */
		unsigned lost; /* clones that the template lost in a row; one before this */
	} rows[] = {
		{CLONE_GIVEN_EARLY, 3 << 8, OWN, false, 0},
		{CLONE_GIVEN_EARLY, 4 << 8, AGAIN, true, 1},
		{CLONE_GIVEN_EARLY, SIGKILL, AGAIN, true, 1},
		{CLONE_GIVEN_EARLY, -1, AGAIN, true, 1},
		{CLONE_GIVEN, 4 << 8, OWN, false, 0},
		{CLONE_GIVEN, SIGKILL, AGAIN, false, 2},
		{CLONE_GIVEN, -1, AGAIN, false, 2},
		{CLONE_BEGUN, 4 << 8, OWN, false, 1},
		{CLONE_BEGUN, SIGKILL, OWN, false, 1},
	};
	struct monitor_rig *rig = *state;
	struct roles roles = roles_begin(rig->m);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct template tpl;
		struct clone *c = clone_box(rig, &tpl, rows[i].state);
		const bool begun = rows[i].state == CLONE_BEGUN;
		union proto_msg msg;
		struct box *b;

		write_end(&c->box, rows[i].wait_status);
		box_clone.ended(&c->box);
		b = box_find(rig->m, RIG_ID);
		assert_non_null(b);
		assert_int_equal(b->state, BOX_ENDED);
		assert_ptr_equal(b->kind, rows[i].end == OWN ? &box_clone : &box_task);
		assert_int_equal(next(roles.front, ROLE_FRONT, &msg), MON_EXITED);
		assert_int_equal(msg.exited.wait_status,
				 rows[i].end == OWN ? rows[i].wait_status : -1);
		if (rows[i].end == AGAIN)
			assert_int_equal(msg.exited.verdict, VERDICT_FAILED);
		/* The end is told once, and the logger gets the pipes only if it is the task's own
		 * end. */
		assert_int_equal(to_front(&roles), 0);
		assert_int_equal(to_logger(&roles), rows[i].end == OWN && !begun ? LOG_OPEN : 0);
		assert_int_equal(tpl.none_waits, rows[i].closes);
		assert_int_equal(tpl.lost, rows[i].lost);
		assert_int_equal(tpl.running, 0);
		gone(rig);
	}
	roles_end(rig->m, &roles);
}

/* A clone without a task ends, and no role is told. */
static void test_ends_without(void **state)
{
	static const enum clone_state states[] = {CLONE_MADE, CLONE_READY};
	struct monitor_rig *rig = *state;
	struct roles roles = roles_begin(rig->m);

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		struct template tpl;
		struct clone *c = clone_box(rig, &tpl, states[i]);

		box_clone.ended(&c->box);
		assert_null(tpl.clones);
		assert_int_equal(tpl.none_waits, states[i] == CLONE_MADE);
		assert_int_equal(to_front(&roles), 0);
		assert_int_equal(to_logger(&roles), 0);
		assert_null(box_find(rig->m, RIG_ID));
		(void)unlinkat(rig->m->tasks_fd, RIG_ID, 0);
	}
	roles_end(rig->m, &roles);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_MONITOR(test_told),
		WITH_MONITOR(test_cancelled),
		WITH_MONITOR(test_cancelled_before),
		WITH_MONITOR(test_begins),
		WITH_MONITOR(test_ready_late),
		WITH_MONITOR(test_ends),
		WITH_MONITOR(test_ends_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
