// SPDX-License-Identifier: Apache-2.0
/* Tasks at the front: which task is next, and tasks that are cancelled, left by their client, or
 * removed. */
#include "tests/unit/front_rig.h"

/* Two tasks may run. The others wait, ordered by priority and then by age. */
static void test_queue(void **state)
{
	static const char low[] = RIG_CODE;
	static const char high[] =
		"{\"op\":\"run\",\"image\":\"python\",\"detach\":true,\"task\":{\"code\":\"x\","
		"\"priority\":2}}";
	struct rig *r = *state;
	char id[2][TASK_ID_LEN + 1], waiting[3][TASK_ID_LEN + 1];
	int conn[2], more[3];
	union proto_msg m;
	json_t *reply;

	r->cfg.running_max = 2;
	r->cfg.queued_max = 3;
	rig_start(r, true);
	for (int i = 0; i < 2; i++)
		conn[i] = rig_run(r, RIG_CODE, id[i]);
	for (int i = 0; i < 3; i++) {
		more[i] = rig_connect(r);
		rig_request(more[i], i == 2 ? high : low);
		rig_expect_event(more[i], "accepted", waiting[i]);
		rig_expect_status(r, waiting[i], "queued");
	}
	rig_expect_error(rig_call(r, RIG_CODE), "limit", "3 tasks wait already");
	assert_true(rig_quiet(r->monitor, 30));
	reply = rig_call(r, "{\"op\":\"ps\"}");
	assert_int_equal(json_array_size(json_object_get(reply, "tasks")), 5);
	assert_string_equal(rig_text(json_array_get(json_object_get(reply, "tasks"), 0), "id"),
			    waiting[2]);
	json_decref(reply);
	/* A waiting task is cancelled without asking the monitor or the logger. */
	json_decref(rig_ask(r, "cancel", waiting[0]));
	rig_expect_event(more[0], "finished", NULL);
	rig_expect_status(r, waiting[0], "cancelled");
	for (int i = 0; i < 2; i++) {
		rig_exited(r, id[i], VERDICT_OK, 0);
		rig_expect(r, false, MON_START, &m, NULL);
		assert_string_equal(m.start.id, waiting[i ? 1 : 2]);
		rig_log_end(r, id[i]);
		rig_expect(r, false, MON_FORGET, &m, NULL);
		rig_expect_event(conn[i], "finished", NULL);
		(void)close(conn[i]);
	}
	for (int i = 0; i < 3; i++)
		(void)close(more[i]);
}

/* A cancel sends TERM first, and KILL with "force" or when the grace is over (the test does not
 * wait for that). */
static void test_cancel(void **state)
{
	struct rig *r = *state;
	char id[TASK_ID_LEN + 1], text[128];
	union proto_msg m;
	json_t *reply;
	int conn;

	rig_start(r, true);
	conn = rig_run(r, RIG_CODE, id);
	rig_started(r, id, WARM_FOR_NOBODY);
	rig_expect_event(conn, "started", NULL);
	reply = rig_ask(r, "cancel", id);
	assert_true(json_is_true(json_object_get(reply, "changed")));
	assert_string_equal(rig_text(reply, "status"), "running");
	json_decref(reply);
	rig_expect(r, false, MON_KILL, &m, NULL);
	assert_string_equal(m.kill.id, id);
	assert_int_equal(m.kill.reason, KILL_CANCEL_TERM);
	/* The cancel is sent on the connection that waits for the task; its answer is recognised by
	 * the tag. */
	(void)snprintf(text, sizeof(text),
		       "{\"op\":\"cancel\",\"id\":\"%s\",\"force\":true,\"tag\":-7}", id);
	rig_request(conn, text);
	reply = rig_reply(conn);
	assert_int_equal(json_integer_value(json_object_get(reply, "tag")), -7);
	json_decref(reply);
	rig_expect(r, false, MON_KILL, &m, NULL);
	assert_int_equal(m.kill.reason, KILL_CANCEL_KILL);
	rig_expect_error(rig_ask(r, "rm", id), "conflict", "cancel it first");
	rig_exited(r, id, VERDICT_CANCELLED, -1);
	rig_log_end(r, id);
	reply = rig_reply(conn);
	assert_string_equal(rig_text(json_object_get(reply, "task"), "status"), "cancelled");
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(reply, "task"), "exit_code")),
		137);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(reply, "task"), "signal")), 9);
	json_decref(reply);
	reply = rig_ask(r, "cancel", id);
	assert_true(json_is_true(json_object_get(reply, "ok")));
	assert_true(json_is_false(json_object_get(reply, "changed")));
	json_decref(reply);
	(void)close(conn);
}

/* A task continues when its client has gone. */
static void test_client_leaves(void **state)
{
	struct rig *r = *state;
	char id[TASK_ID_LEN + 1];
	union proto_msg m;
	json_t *reply;

	rig_start(r, true);
	(void)close(rig_run(r, RIG_CODE, id));
	rig_started(r, id, WARM_FOR_NOBODY);
	rig_exited(r, id, VERDICT_OK, 0);
	rig_log_end(r, id);
	rig_expect(r, false, MON_FORGET, &m, NULL);
	rig_expect_status(r, id, "complete");
	/* Afterwards the task is removed, with its log. */
	reply = rig_ask(r, "rm", id);
	assert_true(json_is_true(json_object_get(reply, "ok")));
	json_decref(reply);
	rig_expect(r, true, LOG_DELETE, &m, NULL);
	assert_string_equal(m.log_id.id, id);
	rig_expect_error(rig_ask(r, "inspect", id), "not-found", "there is no task");
}

static void test_prune(void **state)
{
	struct rig *r = *state;
	char id[TASK_ID_LEN + 1];
	union proto_msg m;
	json_t *reply;

	r->cfg.finished_keep = 10;
	rig_start(r, true);
	for (int i = 0; i < 70; i++) {
		(void)close(rig_run(r, RIG_CODE, id));
		rig_exited(r, id, VERDICT_OK, 0);
		rig_log_end(r, id);
		rig_expect(r, false, MON_FORGET, &m, NULL);
	}
	/* After 64 the oldest are removed, down to the number that is kept. */
	for (int i = 0; i < 54; i++)
		rig_expect(r, true, LOG_DELETE, &m, NULL);
	reply = rig_call(r, "{\"op\":\"ps\",\"all\":true}");
	assert_int_equal(json_array_size(json_object_get(reply, "tasks")), 16);
	json_decref(reply);
	reply = rig_call(r, "{\"op\":\"ps\",\"all\":true,\"limit\":5}");
	assert_int_equal(json_array_size(json_object_get(reply, "tasks")), 5);
	assert_string_equal(rig_text(reply, "before"),
			    rig_text(json_array_get(json_object_get(reply, "tasks"), 4), "id"));
	json_decref(reply);
	(void)close(rig_run(r, RIG_CODE, id));
	reply = rig_call(r, "{\"op\":\"prune\"}");
	assert_int_equal(json_integer_value(json_object_get(reply, "removed")), 16);
	json_decref(reply);
	reply = rig_call(r, "{\"op\":\"ps\",\"all\":true}");
	assert_int_equal(json_array_size(json_object_get(reply, "tasks")), 1);
	json_decref(reply);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_RIG(test_queue),
		WITH_RIG(test_cancel),
		WITH_RIG(test_client_leaves),
		WITH_RIG(test_prune),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
