// SPDX-License-Identifier: Apache-2.0
/* Handlers that are called without a request: by a cron's time, and when somebody asks for it. */
#include "tests/unit/web_rig.h"

#include <sqlite3.h>

#include "supervisor/front/web/cron.h"

#define WITH_CRONS                                                                                 \
	"{\"name\":\"hello\",\"main\":\"entry\",\"main_file\":\"entry.py\","                       \
	"\"compatibility_date\":\"2026-03-01\",\"python\":\"3.11\","                               \
	"\"crons\":[\"0 0 1 1 *\",\"0 0 1 2 *\"]}"
#define WITH_TIMEOUT                                                                               \
	"{\"name\":\"hello\",\"main\":\"entry\",\"main_file\":\"entry.py\","                       \
	"\"compatibility_date\":\"2026-03-01\",\"python\":\"3.11\","                               \
	"\"sandbox\":{\"timeout_s\":1}}"
#define OF "\"project\":\"default\",\"name\":\"hello\""

static int setup(void **state)
{
	manifest = WITH_CRONS;
	return web_setup(state);
}

static int ask_verb(struct rig *r, const char *op, const char *rest)
{
	const int conn = rig_connect(r);
	char text[256];

	(void)snprintf(text, sizeof(text), "{\"op\":\"%s\"," OF "%s}", op, rest);
	rig_request_fds(conn, text, NULL, 0);
	return conn;
}

/* The call that the instance gets next: its id. */
static json_int_t expect_call(const struct instance *i, const char *handler, const char *cron)
{
	json_t *o = hear(i->channel);
	const json_int_t id = json_integer_value(json_object_get(o, "id"));

	assert_string_equal(rig_text(o, "op"), "call");
	assert_string_equal(rig_text(o, "handler"), handler);
	assert_string_equal(rig_text(o, "cron"), cron);
	assert_true(json_integer_value(json_object_get(o, "time_ms")) > 0);
	assert_true(id > 0);
	json_decref(o);
	return id;
}

static void say_done(const struct instance *i, json_int_t id, const char *rest)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "{\"op\":\"done\",\"id\":%lld,%s}", (long long)id, rest);
	say(i->channel, text, NULL, 0);
}

#define DONE "\"ok\":true"
#define RAISED "\"ok\":false,\"message\":\"ValueError: x\",\"traceback\":\"line\\nValueError: x\""

/* What web_info says of the worker's n-th cron. */
static json_t *cron_info(struct rig *r, size_t n)
{
	json_t *reply = rig_call(r, "{\"op\":\"web_info\"," OF "}");
	json_t *cron =
		json_array_get(json_object_get(json_object_get(reply, "worker"), "crons"), n);

	assert_non_null(cron);
	json_incref(cron);
	json_decref(reply);
	return cron;
}

static void expect_result(int conn, const char *outcome, const char *message)
{
	json_t *reply = rig_reply(conn);

	if (!json_is_true(json_object_get(reply, "ok")))
		fail_msg("%s", rig_text(reply, "error"));
	assert_string_equal(rig_text(reply, "outcome"), outcome);
	assert_string_equal(rig_text(reply, "message"), message);
	json_decref(reply);
	(void)close(conn);
}

static void test_trigger(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1];
	struct instance i = deploy(r, "one", version);
	json_int_t id, other;
	json_t *o;
	int a, b;

	/* Without a line it is the first one's, which is never called twice at a time. */
	a = ask_verb(r, "web_trigger", "");
	id = expect_call(&i, "scheduled", "0 0 1 1 *");
	rig_expect_error(rig_call(r, "{\"op\":\"web_trigger\"," OF ",\"cron\":\"0 0 1 1 *\"}"),
			 "conflict", "\"0 0 1 1 *\" of hello runs");
	o = cron_info(r, 0);
	assert_true(json_is_true(json_object_get(o, "running")));
	json_decref(o);
	/* Another one is. What it says of others' calls is not heard. */
	b = ask_verb(r, "web_trigger", ",\"cron\":\"0 0 1 2 *\"");
	other = expect_call(&i, "scheduled", "0 0 1 2 *");
	assert_int_not_equal(id, other);
	say_done(&i, 1, DONE);
	say_done(&i, other, RAISED);
	expect_result(b, "exception", "ValueError: x");
	say_done(&i, id, DONE);
	expect_result(a, "ok", "");
	o = cron_info(r, 0);
	assert_string_equal(rig_text(o, "outcome"), "ok");
	assert_true(json_is_false(json_object_get(o, "running")));
	assert_true(json_integer_value(json_object_get(o, "last_ns")) > 0);
	assert_true((uint64_t)json_integer_value(json_object_get(o, "next_ns")) >
		    util_realtime_ns());
	json_decref(o);
	o = cron_info(r, 1);
	assert_string_equal(rig_text(o, "outcome"), "exception");
	assert_string_equal(rig_text(o, "message"), "ValueError: x");
	json_decref(o);
	/* A line that is none of the worker's, and one that is none at all. */
	a = ask_verb(r, "web_trigger", ",\"cron\":\"*/5 * * * *\"");
	say_done(&i, expect_call(&i, "scheduled", "*/5 * * * *"), DONE);
	expect_result(a, "ok", "");
	rig_expect_error(rig_call(r, "{\"op\":\"web_trigger\"," OF ",\"cron\":\"x\"}"), "input",
			 "cron: ");
	a = ask_verb(r, "web_test", "");
	say_done(&i, expect_call(&i, "test", ""), RAISED);
	expect_result(a, "exception", "ValueError: x");
	forget(&i);
	end_run(r, i.run.id, VERDICT_SIGNAL);

	/* One that cannot start. */
	a = ask_verb(r, "web_test", "");
	i = start_instance(r);
	say(i.channel, "{\"op\":\"failed\",\"message\":\"NameError: y\"}", NULL, 0);
	forget(&i);
	end_run(r, i.run.id, VERDICT_EXIT);
	rig_expect_error(rig_reply(a), "unavailable", "NameError: y");
	(void)close(a);
}

/* Without an instance one is started; one that dies takes its calls along. */
static void test_instances(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1];
	struct instance i = deploy(r, "one", version);
	json_t *o;
	int a;

	a = ask_verb(r, "web_trigger", "");
	(void)expect_call(&i, "scheduled", "0 0 1 1 *");
	forget(&i);
	end_run(r, i.run.id, VERDICT_SIGNAL);
	rig_expect_error(rig_reply(a), "unavailable", "its instance has ended before the handler");
	(void)close(a);
	o = cron_info(r, 0);
	assert_string_equal(rig_text(o, "outcome"), "exception");
	json_decref(o);

	a = ask_verb(r, "web_trigger", "");
	i = start_instance(r);
	say_ready(&i);
	say_done(&i, expect_call(&i, "scheduled", "0 0 1 1 *"), DONE);
	expect_result(a, "ok", "");
	forget(&i);
	end_run(r, i.run.id, VERDICT_SIGNAL);

	/* The worker goes while a call waits. */
	a = ask_verb(r, "web_trigger", "");
	i = start_instance(r);
	o = rig_call(r, "{\"op\":\"web_rm\"," OF "}");
	assert_true(json_is_true(json_object_get(o, "ok")));
	json_decref(o);
	rig_expect_error(rig_reply(a), "not-found", "removed");
	(void)close(a);
	forget(&i);
}

static void set_back(struct rig *r)
{
	char path[160];
	sqlite3 *db = NULL;

	(void)snprintf(path, sizeof(path), "%s/front/tasks.db", r->dir);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	/* As if it had been deployed two years ago, and one cron had been called last year. */
	assert_int_equal(
		sqlite3_exec(
			db,
			"UPDATE web_deployments SET created_ns = created_ns - 63072000000000000;"
			"INSERT OR REPLACE INTO web_crons SELECT id, '0 0 1 2 *', "
			"created_ns - 31622400000000000 FROM web_workers",
			NULL, NULL, NULL),
		SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static bool is_running(struct rig *r, size_t n)
{
	json_t *o = cron_info(r, n);
	const bool is = json_is_true(json_object_get(o, "running"));

	json_decref(o);
	return is;
}

/* Both were called just now, and are due at some later time. */
static void expect_called(struct rig *r)
{
	const uint64_t now = util_realtime_ns();

	for (size_t n = 0; n < 2; n++) {
		json_t *o = cron_info(r, n);

		assert_true((uint64_t)json_integer_value(json_object_get(o, "next_ns")) > now);
		assert_true((uint64_t)json_integer_value(json_object_get(o, "last_ns")) >
			    now - 600 * SEC);
		assert_true(json_is_false(json_object_get(o, "running")));
		json_decref(o);
	}
}

/* Times that have passed while no front was there: each cron is called once, and not by the next front
 * again. */
static void test_missed(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1];
	struct instance i = deploy(r, "one", version);
	json_int_t id[2];

	end_run(r, i.run.id, VERDICT_OK);
	forget(&i);
	while (true) {
		json_t *worker = ls(r);
		const bool gone = json_array_size(json_object_get(worker, "instances")) == 0;

		json_decref(worker);
		if (gone)
			break;
	}
	rig_kill(r);
	set_back(r);
	rig_start(r, true);
	i = start_instance(r);
	say_ready(&i);
	for (int n = 0; n < 2; n++) {
		json_t *o = hear(i.channel);

		assert_string_equal(rig_text(o, "handler"), "scheduled");
		id[n] = json_integer_value(json_object_get(o, "id"));
		/* The time that it was for. */
		assert_true(json_integer_value(json_object_get(o, "time_ms")) <
			    (json_int_t)(util_realtime_ns() / MSEC));
		json_decref(o);
	}
	say_done(&i, id[0], DONE);
	say_done(&i, id[1], DONE);
	for (size_t n = 0; n < 2; n++)
		while (is_running(r, n))
			;
	expect_called(r);
	/* The next front knows that they were called. */
	rig_kill(r);
	rig_start(r, true);
	expect_called(r);
	forget(&i);
}

/* A clock that was wrong by a year is not waited for; by an hour it is. */
static void test_clock(void **state)
{
	const uint64_t now = 1780000000ULL * SEC, year = 365ULL * 86400 * SEC;
	struct web_cron c = {0};
	struct err e = {0};

	(void)state;
	assert_int_equal(cron_parse("0 * * * *", &c.times, &e), 0);
	web_cron_plan(&c, now + year);
	assert_true(c.next_ns > now + year && c.next_ns <= now + year + 3600 * SEC);
	web_cron_settle(&c, now);
	assert_true(c.next_ns > now && c.next_ns <= now + 3600 * SEC);
	web_cron_plan(&c, now + 3600 * SEC);
	web_cron_settle(&c, now);
	assert_true(c.next_ns > now + 3600 * SEC);
	/* One that is set forward: what has passed is due once, and then what follows. */
	web_cron_settle(&c, now + year);
	assert_true(c.next_ns < now + year);
	web_cron_plan(&c, now + year);
	assert_true(c.next_ns > now + year);
}

/* A time that comes while the call of the last one is under way is skipped, and not had later. */
static void test_skip(void **state)
{
	const uint64_t hour = 3600 * SEC, noon = 1780056000ULL * SEC;
	struct web_cron c = {0};
	struct err e = {0};

	(void)state;
	assert_int_equal(cron_parse("0 * * * *", &c.times, &e), 0);
	web_cron_plan(&c, noon - 1);
	assert_int_equal(web_cron_turn(&c, noon - 1), WEB_CRON_WAIT);
	assert_int_equal(c.next_ns, noon);
	c.job = (struct web_job *)&c; /* nobody looks into it */
	assert_int_equal(web_cron_turn(&c, noon), WEB_CRON_SKIP);
	assert_int_equal(c.skipped, 1);
	assert_int_equal(c.next_ns, noon + hour);
	c.job = NULL;
	assert_int_equal(web_cron_turn(&c, noon + 1), WEB_CRON_WAIT);
	/* However many have passed, there is one call. */
	assert_int_equal(web_cron_turn(&c, noon + 5 * hour + 1), WEB_CRON_CALL);
	assert_int_equal(c.next_ns, noon + 6 * hour);
	assert_int_equal(c.skipped, 1);
}

/* A version that no longer serves finishes the call that it has; its instance is told to end after it. */
static void test_drain(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1], other[WEB_UUID_LEN + 1];
	struct instance old = deploy(r, "one", version), i;
	json_int_t id;
	json_t *o;
	int conn = ask_verb(r, "web_trigger", "");

	id = expect_call(&old, "scheduled", "0 0 1 1 *");
	i = deploy(r, "two", other);
	o = hear(old.channel);
	assert_string_equal(rig_text(o, "op"), "drain");
	json_decref(o);
	/* The cron is one of the new version, too, and still runs. */
	rig_expect_error(rig_call(r, "{\"op\":\"web_trigger\"," OF "}"), "conflict", "runs");
	say_done(&old, id, RAISED);
	expect_result(conn, "exception", "ValueError: x");
	o = cron_info(r, 0);
	assert_string_equal(rig_text(o, "message"), "ValueError: x");
	json_decref(o);
	end_run(r, old.run.id, VERDICT_OK);
	forget(&old);
	conn = ask_verb(r, "web_trigger", "");
	say_done(&i, expect_call(&i, "scheduled", "0 0 1 1 *"), DONE);
	expect_result(conn, "ok", "");
	forget(&i);
}

/* A handler that does not end when its time is over takes its instance along. */
static void test_late(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1];
	union proto_msg m;
	struct instance i;
	int conn, fds[PROTO_FDS_MAX];
	unsigned n;

	manifest = WITH_TIMEOUT;
	i = deploy(r, "one", version);
	conn = ask_verb(r, "web_test", "");
	(void)expect_call(&i, "test", "");
	rig_expect_error(rig_reply(conn), "unavailable",
			 "longer than 1 s, and did not end when it was told to");
	(void)close(conn);
	do {
		rig_readable(r->monitor);
		assert_int_equal(proto_recv(r->monitor, ROLE_FRONT, ROLE_MONITOR, &m, fds, &n), 0);
	} while (m.h.type == MON_FORGET);
	assert_int_equal(m.h.type, MON_KILL);
	assert_string_equal(m.kill.id, i.run.id);
	forget(&i);
	end_run(r, i.run.id, VERDICT_SIGNAL);
	/* The next one has another. */
	conn = ask_verb(r, "web_test", "");
	i = start_instance(r);
	say_ready(&i);
	say_done(&i, expect_call(&i, "test", ""), DONE);
	expect_result(conn, "ok", "");
	forget(&i);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, web_teardown)

/* A call that goes on over the front's restart is the cron's one still. */
static void test_adopted(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1], text[256];
	struct instance i = deploy(r, "one", version);
	const int conn = ask_verb(r, "web_trigger", "");
	const json_int_t id = expect_call(&i, "scheduled", "0 0 1 1 *");
	const uint64_t begin = util_monotonic_ns();
	union proto_msg m = {0};
	json_t *o;

	rig_kill(r);
	(void)close(conn);
	rig_start(r, false);
	proto_init(&m, MON_RUNNING);
	memcpy(m.running.id, i.run.id, sizeof(m.running.id));
	m.running.started = 1;
	assert_int_equal(proto_send(r->monitor, &m, NULL, 0), 0);
	rig_send(r, MON_READY);
	(void)close(i.channel);
	i.channel = accept_channel(i.run.serve);
	/* One that the worker does not have, and one that is none, change nothing. */
	(void)snprintf(
		text, sizeof(text),
		"{\"op\":\"ready\",\"calls\":[{\"id\":7,\"cron\":\"* * * * *\",\"time_ms\":1},"
		"{\"id\":-1,\"cron\":\"0 0 1 2 *\",\"time_ms\":1},"
		"{\"id\":%lld,\"cron\":\"0 0 1 1 *\",\"time_ms\":1790000000000},7]}",
		(long long)id);
	say(i.channel, text, NULL, 0);
	for (o = cron_info(r, 0); !json_is_true(json_object_get(o, "running"));
	     o = cron_info(r, 0)) {
		json_decref(o);
		not_for_ever(begin);
	}
	json_decref(o);
	rig_expect_error(rig_call(r, "{\"op\":\"web_trigger\"," OF ",\"cron\":\"0 0 1 1 *\"}"),
			 "conflict", "\"0 0 1 1 *\" of hello runs");
	o = cron_info(r, 1);
	assert_true(json_is_false(json_object_get(o, "running")));
	json_decref(o);
	say_done(&i, id, RAISED);
	for (o = cron_info(r, 0); json_is_true(json_object_get(o, "running"));
	     o = cron_info(r, 0)) {
		json_decref(o);
		not_for_ever(begin);
	}
	assert_string_equal(rig_text(o, "outcome"), "exception");
	json_decref(o);
	forget(&i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(test_trigger),
		WITH(test_instances),
		WITH(test_missed),
		WITH(test_drain),
		WITH(test_adopted),
		WITH(test_late),
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_skip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
