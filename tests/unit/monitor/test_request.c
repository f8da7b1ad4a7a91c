// SPDX-License-Identifier: Apache-2.0
/* What the front may ask root for: each request does what it says to a task's sandbox, and nothing
 * to any other sandbox. */
#include "supervisor/monitor/roles.h"
#include "tests/unit/monitor_rig.h"

static struct box *box(struct monitor_rig *rig, const struct box_kind *kind)
{
	struct box *b = box_new(rig->m, kind, RIG_ID);

	assert_non_null(b);
	b->run.magic = RUN_RECORD_MAGIC;
	b->record_fd = record_new(rig->m, RIG_ID, &b->run);
	return b;
}

static void gone(struct monitor_rig *rig, struct box *b)
{
	box_free(b);
	(void)unlinkat(rig->m->tasks_fd, RIG_ID, 0);
}

static int ask_kill(struct monitor_rig *rig, enum kill_reason reason)
{
	union proto_msg msg = {0};

	proto_init(&msg, MON_KILL);
	strcpy(msg.kill.id, RIG_ID);
	msg.kill.reason = (uint8_t)reason;
	return request_run(rig->m, &msg, NULL, 0);
}

static int ask_forget(struct monitor_rig *rig)
{
	union proto_msg msg = {0};

	proto_init(&msg, MON_FORGET);
	strcpy(msg.forget.id, RIG_ID);
	return request_run(rig->m, &msg, NULL, 0);
}

/* The reason is written into the record before anything is done. */
static void test_kill(void **state)
{
	static const enum kill_reason reasons[] = {KILL_CANCEL_TERM, KILL_CANCEL_KILL};
	struct monitor_rig *rig = *state;

	assert_int_equal(ask_kill(rig, KILL_CANCEL_KILL), 0); /* there is no task with this id */
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		struct box *b = box(rig, &box_task);
		struct run_record run;

		assert_int_equal(ask_kill(rig, reasons[i]), 0);
		assert_int_equal(b->killed_for, VERDICT_CANCELLED);
		assert_int_equal(pread(b->record_fd, &run, sizeof(run), 0), sizeof(run));
		assert_int_equal(run.killed_for, VERDICT_CANCELLED);
		gone(rig, b);
	}
}

/* A task that has ended by itself keeps its own verdict, and a sandbox that is not a task's cannot
 * be ended by its id. */
static void test_kill_not(void **state)
{
	static const struct box_kind *const others[] = {&box_warmup, &box_keeper, &box_clone};
	const struct exit_record end = {.magic = EXIT_RECORD_MAGIC};
	struct monitor_rig *rig = *state;
	struct box *b;

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		b = box(rig, others[i]);
		assert_int_equal(ask_kill(rig, KILL_CANCEL_KILL), 0);
		assert_int_equal(b->killed_for, VERDICT_NONE);
		gone(rig, b);
	}
	b = box(rig, &box_task);
	assert_int_equal(pwrite(b->record_fd, &end, sizeof(end), EXIT_RECORD_OFFSET), sizeof(end));
	assert_int_equal(ask_kill(rig, KILL_CANCEL_KILL), 0);
	assert_int_equal(b->killed_for, VERDICT_NONE);
	b->state = BOX_ENDED;
	assert_int_equal(ask_kill(rig, KILL_CANCEL_TERM), 0);
	assert_int_equal(b->killed_for, VERDICT_NONE);
}

/* Only a task that has ended is forgotten, with its record. */
static void test_forget(void **state)
{
	struct monitor_rig *rig = *state;
	struct box *b = box(rig, &box_task);

	assert_int_equal(ask_forget(rig), 0);
	assert_ptr_equal(box_find(rig->m, RIG_ID), b);
	assert_true(record_is_there(rig->m, RIG_ID));
	b->state = BOX_ENDED;
	b->kind = &box_keeper;
	assert_int_equal(ask_forget(rig), 0);
	assert_ptr_equal(box_find(rig->m, RIG_ID), b);
	b->kind = &box_task;
	assert_int_equal(ask_forget(rig), 0);
	assert_null(box_find(rig->m, RIG_ID));
	assert_false(record_is_there(rig->m, RIG_ID));
	assert_int_equal(ask_forget(rig), 0); /* asked again, as if the request had been lost */
}

/* Messages of other types are not requests. */
static void test_not_asked(void **state)
{
	static const enum proto_type others[] = {MON_STARTED, MON_EXITED,   MON_RUNNING, MON_READY,
						 MON_WARMED,  MON_TEMPLATE, LOG_OPEN,	 LOG_END,
						 LOG_FINISH,  LOG_DELETE,   ROLE_PEER};
	struct monitor_rig *rig = *state;

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		union proto_msg msg = {0};

		proto_init(&msg, others[i]);
		assert_int_equal(request_run(rig->m, &msg, NULL, 0), -EPROTO);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_MONITOR(test_kill),
		WITH_MONITOR(test_kill_not),
		WITH_MONITOR(test_forget),
		WITH_MONITOR(test_not_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
