// SPDX-License-Identifier: Apache-2.0
/* Looking at a worker live: the test plays its instances, and those who look. */
#include "tests/unit/web_rig.h"

#include <poll.h>

#define EVENT(id) "{\"op\":\"event\",\"request_id\":\"" id "\",\"outcome\":\"ok\"," LOGS "}"
#define LOGS "\"logs\":[{\"level\":\"log\",\"message\":[\"hello\"]}],\"exceptions\":[]"

struct viewer {
	int conn, sock;
};

static struct viewer look(struct rig *r, const char *more)
{
	char text[256];
	int pair[2];
	struct viewer v = {.conn = rig_connect(r)};
	json_t *reply;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	(void)snprintf(text, sizeof(text),
		       "{\"op\":\"web_tail\",\"project\":\"default\",\"name\":\"hello\"%s}", more);
	rig_request_fds(v.conn, text, &pair[1], 1);
	(void)close(pair[1]);
	v.sock = pair[0];
	reply = rig_reply(v.conn);
	if (!json_is_true(json_object_get(reply, "ok")))
		fail_msg("%s", rig_text(reply, "error"));
	json_decref(reply);
	return v;
}

static void leave(struct viewer *v)
{
	util_close_fd(&v->conn);
	util_close_fd(&v->sock);
}

/* The next line. */
static json_t *see(const struct viewer *v)
{
	static char line[1 << 20];
	size_t n = 0;
	json_t *o;

	do {
		rig_readable(v->sock);
		assert_int_equal(read(v->sock, line + n, 1), 1);
	} while (line[n++] != '\n' && n < sizeof(line));
	o = json_loadb(line, n, 0, NULL);
	assert_non_null(o);
	return o;
}

static void expect_id(const struct viewer *v, const char *id)
{
	json_t *o = see(v);

	assert_string_equal(rig_text(o, "request_id"), id);
	json_decref(o);
}

static void expect_tail(int channel, bool on)
{
	json_t *o = hear(channel);

	assert_string_equal(rig_text(o, "op"), "tail");
	assert_int_equal(json_is_true(json_object_get(o, "on")), on);
	json_decref(o);
}

static void test_looking(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1];
	struct instance i = deploy(r, "pass", version);
	struct viewer a, b;
	json_t *o;

	/* Nobody looks: what it says is for nobody. */
	say(i.channel, EVENT("early"), NULL, 0);
	a = look(r, "");
	expect_tail(i.channel, true);
	say(i.channel, EVENT("one"), NULL, 0);
	o = see(&a);
	assert_string_equal(rig_text(o, "request_id"), "one");
	assert_string_equal(rig_text(o, "worker"), "hello");
	assert_string_equal(rig_text(o, "version"), version);
	assert_string_equal(rig_text(o, "instance"), i.run.id);
	assert_string_equal(rig_text(json_array_get(json_object_get(o, "logs"), 0), "text"),
			    "hello");
	json_decref(o);
	/* It is told once. The second one sees what he wants to see. */
	b = look(r, ",\"search\":\"other\"");
	say(i.channel, EVENT("two"), NULL, 0);
	say(i.channel,
	    "{\"op\":\"event\",\"request_id\":\"three\",\"logs\":[{\"message\":[\"other\"]}]}",
	    NULL, 0);
	expect_id(&a, "two");
	expect_id(&a, "three");
	expect_id(&b, "three");
	leave(&a);
	say(i.channel,
	    "{\"op\":\"event\",\"request_id\":\"four\",\"logs\":[{\"message\":[\"other\"]}]}", NULL,
	    0);
	expect_id(&b, "four");
	leave(&b);
	expect_tail(i.channel, false);
	/* Somebody else, who stays until the worker is removed. */
	a = look(r, "");
	expect_tail(i.channel, true);
	o = rig_call(r, "{\"op\":\"web_rm\",\"project\":\"default\",\"name\":\"hello\"}");
	assert_true(json_is_true(json_object_get(o, "ok")));
	json_decref(o);
	o = see(&a);
	assert_string_equal(rig_text(o, "end"), "the worker was removed");
	json_decref(o);
	rig_readable(a.sock);
	assert_int_equal(read(a.sock, version, 1), 0);
	leave(&a);
	forget(&i);
}

/* An instance that is started while somebody looks is told in its first frame. */
static void test_new_instances(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1];
	struct instance i = deploy(r, "pass", version), next;
	struct viewer a = look(r, "");
	int conn = begin_deploy(r);
	json_t *hello;
	char zero;

	expect_tail(i.channel, true);
	build(r, "pass # again");
	warmed(r, expect_warm(r, DEDICATED), 0, "");
	next.run = expect_start(r);
	rig_readable(next.run.serve);
	next.channel = accept4(next.run.serve, NULL, NULL, SOCK_CLOEXEC);
	assert_int_equal(util_read_all(next.channel, &zero, 1), 0);
	hello = hear(next.channel);
	assert_true(json_is_true(json_object_get(hello, "tail")));
	json_decref(hello);
	rig_started(r, next.run.id, WARM_FOR_NOBODY);
	say_ready(&next);
	json_decref(rig_reply(conn));
	(void)close(conn);
	/* Both are seen, as long as both are there. */
	say(next.channel, EVENT("new"), NULL, 0);
	expect_id(&a, "new");
	leave(&a);
	forget(&i);
	forget(&next);
}

/* What a reader does not read is bounded, and what is not kept is counted. */
static void test_slow(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1], text[40000], *event = NULL;
	struct instance i = deploy(r, "pass", version);
	struct viewer a = look(r, "");
	unsigned seen = 0, n = 100;
	json_int_t dropped = 0;
	struct viewer b;
	json_t *o;

	expect_tail(i.channel, true);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_true(asprintf(&event,
			     "{\"op\":\"event\",\"request_id\":\"%s\",\"lost\":1,\"logs\":[]}",
			     text) > 0);
	for (unsigned k = 0; k < n; k++)
		say(i.channel, event, NULL, 0);
	/* Who comes now sees what is said from now on: all the others were taken. */
	b = look(r, ",\"search\":\"last\"");
	say(i.channel,
	    "{\"op\":\"event\",\"request_id\":\"z\",\"logs\":[{\"message\":[\"last\"]}]}", NULL, 0);
	expect_id(&b, "z");
	while (seen + dropped < 2 * n + 1) {
		o = see(&a);
		if (json_object_get(o, "dropped"))
			dropped += json_integer_value(json_object_get(o, "dropped"));
		else
			seen++;
		json_decref(o);
	}
	/* One was lost before each by the instance's own account; and the front has kept a part. */
	assert_true(dropped > (json_int_t)n);
	assert_true(seen > 1);
	assert_true((size_t)seen * sizeof(text) < (4u << 20));
	leave(&a);
	leave(&b);
	free(event);
	forget(&i);
}

static void test_refused(void **state)
{
	static const char *const bad[][2] = {
		{",\"status\":\"good\"", "status"},
		{",\"sampling_rate\":\"2\"", "sampling_rate"},
		{",\"sampling_rate\":\"x\"", "sampling_rate"},
		{",\"color\":1", "color"},
		{"", "socket"},
	};
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1], text[256];
	struct instance i = deploy(r, "pass", version);

	for (size_t k = 0; k < ARRAY_SIZE(bad); k++) {
		json_t *reply;

		(void)snprintf(text, sizeof(text),
			       "{\"op\":\"web_tail\",\"project\":\"default\",\"name\":\"hello\"%s}",
			       bad[k][0]);
		reply = rig_call(r, text);
		if (!strstr(rig_text(reply, "error"), bad[k][1]))
			fail_msg("no \"%s\" in: %s", bad[k][1], rig_text(reply, "error"));
		json_decref(reply);
	}
	forget(&i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WEB(test_looking),
		WITH_WEB(test_new_instances),
		WITH_WEB(test_slow),
		WITH_WEB(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
