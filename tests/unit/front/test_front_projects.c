// SPDX-License-Identifier: Apache-2.0
/* What the monitor is told of a task's project, and what becomes of a project's slot. */
#include "tests/unit/front_rig.h"

static char *create(struct rig *r, const char *name)
{
	char text[128];
	json_t *reply;
	char *id;

	(void)snprintf(text, sizeof(text), "{\"op\":\"project_create\",\"name\":\"%s\"}", name);
	reply = rig_call(r, text);
	assert_true(json_is_true(json_object_get(reply, "ok")));
	assert_int_equal(strlen(rig_text(reply, "token")), 43);
	id = strdup(rig_text(reply, "id"));
	json_decref(reply);
	return id;
}

static bool removed(struct rig *r, const char *name, bool force)
{
	char text[128];
	json_t *reply;
	bool gone;

	(void)snprintf(text, sizeof(text),
		       "{\"op\":\"project_rm\",\"project\":\"%s\",\"force\":%s}", name,
		       force ? "true" : "false");
	reply = rig_call(r, text);
	gone = json_is_true(json_object_get(reply, "ok"));
	if (!gone && strcmp(rig_text(reply, "code"), "unavailable") != 0)
		fail_msg("%s", rig_text(reply, "error"));
	json_decref(reply);
	return gone;
}

/* Starts a task of the project and returns its owner's number; *ret: the connection. */
static uint32_t owner_of_run(struct rig *r, const char *project, char id[TASK_ID_LEN + 1], int *ret)
{
	int conn = rig_connect(r), fds[PROTO_FDS_MAX];
	union proto_msg m;
	char text[256];

	(void)snprintf(text, sizeof(text),
		       "{\"op\":\"run\",\"image\":\"python\",\"project\":\"%s\","
		       "\"task\":{\"code\":\"1\"}}",
		       project);
	rig_request(conn, text);
	rig_expect(r, false, MON_START, &m, fds);
	util_close_fd(&fds[0]);
	memcpy(id, m.start.id, TASK_ID_LEN + 1);
	rig_expect_event(conn, "accepted", id);
	*ret = conn;
	return m.start.owner;
}

static void end(struct rig *r, const char *id, int conn)
{
	char same[TASK_ID_LEN + 1];
	union proto_msg m;

	strcpy(same, id);
	rig_started(r, id, WARM_FOR_NOBODY);
	rig_exited(r, id, VERDICT_OK, 0);
	rig_log_end(r, id);
	rig_expect_event(conn, "started", same);
	rig_expect_event(conn, "finished", same);
	rig_expect(r, false, MON_FORGET, &m, NULL);
	(void)close(conn);
}

static void test_owner(void **state)
{
	struct rig *r = *state;
	char *a, *b, *c, *d, id[TASK_ID_LEN + 1];
	int conn;

	rig_start(r, true);
	a = create(r, "a");
	b = create(r, "b");
	c = create(r, "c");
	assert_int_equal(owner_of_run(r, "default", id, &conn), 0);
	end(r, id, conn);
	assert_int_equal(owner_of_run(r, a, id, &conn), 1);
	end(r, id, conn);
	assert_int_equal(owner_of_run(r, "c", id, &conn), 3);
	end(r, id, conn);
	/* The slot of a removed project is not given to a new one; a new front knows that too. */
	assert_true(removed(r, "b", false));
	rig_kill(r);
	rig_start(r, true);
	d = create(r, "d");
	assert_int_equal(owner_of_run(r, d, id, &conn), 4);
	end(r, id, conn);
	assert_int_equal(owner_of_run(r, c, id, &conn), 3);
	end(r, id, conn);
	rig_expect_error(rig_call(r, "{\"op\":\"run\",\"image\":\"python\",\"project\":\"b\","
				     "\"task\":{\"code\":\"1\"}}"),
			 "not-found", "project: there is no project \"b\"");
	free(a);
	free(b);
	free(c);
	free(d);
}

/* The project's task is cancelled; until it has ended, the project is being removed and takes no
 * other task. */
static void test_remove(void **state)
{
	struct rig *r = *state;
	char *a, id[TASK_ID_LEN + 1];
	union proto_msg m;
	int conn;

	rig_start(r, true);
	a = create(r, "a");
	assert_int_equal(owner_of_run(r, "a", id, &conn), 1);
	rig_started(r, id, WARM_FOR_NOBODY);
	rig_expect_error(rig_call(r, "{\"op\":\"project_rm\",\"project\":\"a\"}"), "conflict",
			 "tasks of the project a wait or run (1)");
	assert_false(removed(r, "a", true));
	rig_expect(r, false, MON_KILL, &m, NULL);
	assert_string_equal(m.kill.id, id);
	assert_int_equal(m.kill.reason, KILL_CANCEL_TERM);
	assert_false(removed(r, "a", true));
	rig_expect_error(rig_call(r, "{\"op\":\"run\",\"image\":\"python\",\"project\":\"a\","
				     "\"task\":{\"code\":\"1\"}}"),
			 "conflict", "a is being removed");
	rig_expect_error(rig_call(r, "{\"op\":\"token_create\",\"project\":\"a\"}"), "conflict",
			 "being removed");
	rig_exited(r, id, VERDICT_CANCELLED, 15);
	rig_log_end(r, id);
	rig_expect_event(conn, "started", id);
	rig_expect_event(conn, "finished", id);
	(void)close(conn);
	assert_true(removed(r, "a", false));
	rig_expect_error(rig_ask(r, "inspect", id), "not-found", id);
	rig_expect_error(rig_call(r, "{\"op\":\"project_rm\",\"project\":\"default\"}"), "conflict",
			 "cannot be removed");
	free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_RIG(test_owner),
		WITH_RIG(test_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
