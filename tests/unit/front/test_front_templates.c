// SPDX-License-Identifier: Apache-2.0
/* Templates: what the front asks the monitor for, and a task that a template's clone runs. */
#include "tests/unit/front_rig.h"

#define LIST "{\"op\":\"templates\"}"
#define RETIRE(what) "{\"op\":\"template_retire\"," what "}"
#define ONE "0123456789ab"
#define TWO "ba9876543210"

static uint32_t expect_asked(struct rig *r, enum template_verb verb, bool all, const char *id)
{
	union proto_msg m;

	rig_expect(r, false, MON_TEMPLATES, &m, NULL);
	assert_int_equal(m.templates.verb, verb);
	assert_int_equal(m.templates.all, all);
	assert_string_equal(m.templates.id, id);
	return m.templates.tag;
}

static void say_last(struct rig *r, uint32_t tag)
{
	union proto_msg m = {0};

	proto_init(&m, MON_TEMPLATE);
	m.template.tag = tag;
	m.template.last = 1;
	assert_int_equal(proto_send(r->monitor, &m, NULL, 0), 0);
}

static void say(struct rig *r, uint32_t tag, const char *id, enum template_state state)
{
	union proto_msg m = {0};

	proto_init(&m, MON_TEMPLATE);
	m.template.tag = tag;
	m.template.state = (uint8_t)state;
	strcpy(m.template.id, id);
	memcpy(m.template.image, r->image, 32);
	memcpy(m.template.policy, r->policy, 32);
	strcpy(m.template.policy_name, "default");
	strcpy(m.template.warm, "json\nre");
	memset(m.template.key, 'c', 64);
	m.template.parked = 3;
	m.template.running = 2;
	m.template.forks = 5000000000;
	m.template.created_ns = 1700000000ULL * 1000000000;
	m.template.memory_bytes = 20 << 20;
	assert_int_equal(proto_send(r->monitor, &m, NULL, 0), 0);
}

static json_t *expect_rows(int conn, size_t n)
{
	json_t *reply = rig_reply(conn);

	if (!json_is_true(json_object_get(reply, "ok")))
		fail_msg("%s", rig_text(reply, "error"));
	assert_int_equal(json_array_size(json_object_get(reply, "templates")), n);
	return reply;
}

static int64_t number(const json_t *o, const char *key)
{
	assert_true(json_is_integer(json_object_get(o, key)));
	return json_integer_value(json_object_get(o, key));
}

static void test_list(void **state)
{
	struct rig *r = *state;
	const json_t *row, *warm;
	char hex[65];
	json_t *reply;
	uint32_t tag;
	int conn;

	rig_start(r, true);
	conn = rig_connect(r);
	rig_request(conn, "{\"op\":\"templates\",\"tag\":7}");
	tag = expect_asked(r, TEMPLATE_LIST, true, "");
	say(r, tag, ONE, TEMPLATE_READY);
	say(r, tag + 1, TWO, TEMPLATE_READY); /* an answer to a question that nobody asked */
	say(r, tag, TWO, TEMPLATE_MAKING);
	assert_true(rig_quiet(conn, 30));
	say_last(r, tag);
	reply = expect_rows(conn, 2);
	assert_int_equal(number(reply, "tag"), 7);
	row = json_array_get(json_object_get(reply, "templates"), 0);
	assert_string_equal(rig_text(row, "id"), ONE);
	assert_string_equal(rig_text(row, "image"), "python");
	util_hex(r->image, 32, hex);
	assert_string_equal(rig_text(row, "image_digest"), hex);
	util_hex(r->policy, 32, hex);
	assert_string_equal(rig_text(row, "policy_digest"), hex);
	assert_string_equal(rig_text(row, "policy"), "default");
	assert_string_equal(rig_text(row, "state"), "ready");
	assert_int_equal(strlen(rig_text(row, "checkpoint")), 64);
	warm = json_object_get(row, "warm");
	assert_int_equal(json_array_size(warm), 2);
	assert_string_equal(json_string_value(json_array_get(warm, 1)), "re");
	assert_int_equal(number(row, "parked"), 3);
	assert_int_equal(number(row, "running"), 2);
	assert_int_equal(number(row, "forks"), 5000000000);
	assert_int_equal(number(row, "memory_bytes"), 20 << 20);
	assert_string_equal(rig_text(row, "created_at"), "2023-11-14T22:13:20.000000000Z");
	assert_true(json_is_null(json_object_get(row, "used_at")));
	row = json_array_get(json_object_get(reply, "templates"), 1);
	assert_string_equal(rig_text(row, "state"), "making");
	json_decref(reply);
	/* A list without a template, and one with a template whose image has no name any more. */
	rig_request(conn, LIST);
	say_last(r, expect_asked(r, TEMPLATE_LIST, true, ""));
	json_decref(expect_rows(conn, 0));
	assert_int_equal(unlinkat(r->cfg.state_dirfd, "images/by-name/python", 0), 0);
	rig_request(conn, LIST);
	tag = expect_asked(r, TEMPLATE_LIST, true, "");
	say(r, tag, ONE, TEMPLATE_READY);
	say_last(r, tag);
	reply = expect_rows(conn, 1);
	row = json_array_get(json_object_get(reply, "templates"), 0);
	assert_true(json_is_null(json_object_get(row, "image")));
	json_decref(reply);
	(void)close(conn);
}

static void test_retire(void **state)
{
	struct rig *r = *state;
	const json_t *row;
	json_t *reply;
	uint32_t tag;
	int conn;

	rig_start(r, true);
	conn = rig_connect(r);
	rig_request(conn, RETIRE("\"id\":\"" ONE "\""));
	tag = expect_asked(r, TEMPLATE_RETIRE, false, ONE);
	say(r, tag, ONE, TEMPLATE_RETIRED);
	say_last(r, tag);
	reply = expect_rows(conn, 1);
	row = json_array_get(json_object_get(reply, "templates"), 0);
	assert_string_equal(rig_text(row, "state"), "retired");
	json_decref(reply);
	rig_request(conn, RETIRE("\"id\":\"" TWO "\""));
	say_last(r, expect_asked(r, TEMPLATE_RETIRE, false, TWO));
	rig_expect_error(rig_reply(conn), "not-found", "there is no template " TWO);
	/* Retiring all templates is not an error when there is none. */
	rig_request(conn, RETIRE("\"all\":true"));
	say_last(r, expect_asked(r, TEMPLATE_RETIRE, true, ""));
	json_decref(expect_rows(conn, 0));
	(void)close(conn);
}

static void test_errors(void **state)
{
	static const struct {
		const char *request, *error;
	} cases[] = {
		{"{\"op\":\"templates\",\"all\":true}", "all: unknown key"},
		{"{\"op\":\"template_retire\"}", "id: must be given"},
		{RETIRE("\"all\":false"), "id: must be given"},
		{RETIRE("\"all\":true,\"id\":\"" ONE "\""), "and not both"},
		{RETIRE("\"id\":\"0123\""), "id: must be a template's id"},
		{RETIRE("\"id\":\"0123456789AB\""), "id: must be a template's id"},
		{RETIRE("\"id\":\"0123456789abc\""), "id: "},
		{RETIRE("\"id\":\"../../../etc\""), "id: must be a template's id"},
		{RETIRE("\"id\":12"), "id: must be a string"},
	};
	struct rig *r = *state;

	rig_start(r, true);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		rig_expect_error(rig_call(r, cases[i].request), "input", cases[i].error);
	assert_true(rig_quiet(r->monitor, 30));
}

/* Answers that cross each other reach the clients that asked; a client that has gone costs
 * nothing. */
static void test_several(void **state)
{
	struct rig *r = *state;
	uint32_t tag[3];
	json_t *reply;
	int conn[3];

	rig_start(r, true);
	for (int i = 0; i < 3; i++) {
		conn[i] = rig_connect(r);
		rig_request(conn[i], LIST);
		tag[i] = expect_asked(r, TEMPLATE_LIST, true, "");
	}
	assert_true(tag[0] != tag[1] && tag[1] != tag[2] && tag[0] != tag[2]);
	(void)close(conn[1]);
	json_decref(rig_ask(r, "version", "0123")); /* its leaving was seen */
	say(r, tag[2], TWO, TEMPLATE_READY);
	say(r, tag[1], ONE, TEMPLATE_READY);
	say(r, tag[0], ONE, TEMPLATE_READY);
	for (int i = 0; i < 3; i++)
		say_last(r, tag[i]);
	for (int i = 0; i < 3; i += 2) {
		reply = expect_rows(conn[i], 1);
		assert_string_equal(
			rig_text(json_array_get(json_object_get(reply, "templates"), 0), "id"),
			i ? TWO : ONE);
		json_decref(reply);
		(void)close(conn[i]);
	}
	/* The answer comes a second time, when no client waits for it. */
	say_last(r, tag[0]);
	json_decref(rig_call(r, "{\"op\":\"version\"}"));
}

/* The number of questions to a monitor that does not answer is bounded. */
static void test_too_many(void **state)
{
	struct rig *r = *state;
	uint32_t tag[64];
	int conn;

	rig_start(r, true);
	conn = rig_connect(r);
	for (size_t i = 0; i < ARRAY_SIZE(tag); i++) {
		rig_request(conn, LIST);
		tag[i] = expect_asked(r, TEMPLATE_LIST, true, "");
	}
	rig_expect_error(rig_call(r, LIST), "limit", "64 questions");
	(void)close(conn);
	for (size_t i = 0; i < ARRAY_SIZE(tag); i++)
		say_last(r, tag[i]);
	conn = rig_connect(r);
	rig_request(conn, LIST);
	say_last(r, expect_asked(r, TEMPLATE_LIST, true, ""));
	json_decref(expect_rows(conn, 0));
	(void)close(conn);
}

static void test_monitor_goes(void **state)
{
	struct rig *r = *state;
	int a, b;

	rig_start(r, true);
	a = rig_connect(r);
	b = rig_connect(r);
	rig_request(a, LIST);
	say(r, expect_asked(r, TEMPLATE_LIST, true, ""), ONE, TEMPLATE_READY);
	rig_request(b, RETIRE("\"all\":true"));
	(void)expect_asked(r, TEMPLATE_RETIRE, true, "");
	rig_stop(r);
	rig_expect_error(rig_reply(a), "unavailable", "went away before it answered");
	rig_expect_error(rig_reply(b), "unavailable", "went away before it answered");
	(void)close(a);
	(void)close(b);
}

/* A task that asked for a fork and got one, and a task that asked and got none. */
static void test_fork_start(void **state)
{
	static const char text[] = "{\"op\":\"run\",\"image\":\"python\",\"start\":\"fork\","
				   "\"task\":{\"code\":\"x\"}}";
	static const char own[] = "{\"op\":\"run\",\"image\":\"python\","
				  "\"task\":{\"code\":\"x\",\"start\":\"fork\"}}";
	struct rig *r = *state;
	json_t *reply, *start, *task;
	char id[TASK_ID_LEN + 1];
	union proto_msg m;
	int conn;

	rig_start(r, true);
	for (int i = 0; i < 2; i++) {
		conn = rig_connect(r);
		rig_request(conn, i ? own : text);
		rig_expect(r, false, MON_START, &m, NULL);
		assert_int_equal(m.start.start, START_FORK);
		rig_expect_event(conn, "accepted", id);
		proto_init(&m, MON_STARTED);
		memset((char *)&m + sizeof(m.h), 0, sizeof(m) - sizeof(m.h));
		strcpy(m.started.id, id);
		m.started.mode = i ? START_RESTORE : START_FORK;
		m.started.first_ns = util_monotonic_ns();
		strcpy(m.started.warning, i ? "no template was ready" : "");
		assert_int_equal(proto_send(r->monitor, &m, NULL, 0), 0);
		reply = rig_reply(conn);
		assert_string_equal(rig_text(reply, "event"), "started");
		json_decref(reply);
		reply = rig_ask(r, "inspect", id);
		task = json_object_get(reply, "task");
		start = json_object_get(task, "start");
		assert_string_equal(rig_text(start, "mode"), i ? "restore" : "fork");
		assert_string_equal(rig_text(start, "requested"), "fork");
		assert_string_equal(rig_text(task, "warning"), i ? "no template was ready" : "");
		json_decref(reply);
		(void)close(conn);
	}
	/* A new front hears of it from the monitor. */
	rig_kill(r);
	rig_start(r, false);
	memset(&m, 0, sizeof(m));
	proto_init(&m, MON_RUNNING);
	strcpy(m.running.id, id);
	m.running.started = 1;
	m.running.mode = START_FORK;
	m.running.started_realtime_ns = util_realtime_ns();
	assert_int_equal(proto_send(r->monitor, &m, NULL, 0), 0);
	reply = rig_ask(r, "inspect", id);
	start = json_object_get(json_object_get(reply, "task"), "start");
	assert_string_equal(rig_text(start, "requested"), "fork");
	json_decref(reply);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_RIG(test_list),	   WITH_RIG(test_retire),   WITH_RIG(test_errors),
		WITH_RIG(test_several),	   WITH_RIG(test_too_many), WITH_RIG(test_monitor_goes),
		WITH_RIG(test_fork_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
