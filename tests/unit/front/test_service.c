// SPDX-License-Identifier: Apache-2.0
/*
 * Services in a real front: a version that is put, another one that takes its place, one that fails,
 * replicas that end, are scaled and restarted, and all of it after a restart of the front. The test
 * plays the monitor, the runtime in the sandboxes, and the edge.
 */
#include "tests/unit/web_rig.h"

#include "lib/fdpass.h"

#define MANIFEST_OF(name, more)                                                                    \
	"{\"format\":1,\"app\":\"shop\",\"name\":\"" name                                          \
	"\",\"type\":\"custom\",\"processes\":[{\"name\":\"a\",\"command\":\"./a\"}],"             \
	"\"ports\":[{\"name\":\"http\",\"kind\":\"http\"}]" more "}"
#define WWW(more) MANIFEST_OF("www", more)

struct replica_run {
	struct run run;
	int channel, http; /* http: the listening socket that it was given; -1: none */
	json_t *hello;
};

static int begin_put(struct rig *r, const char *text, const char *code)
{
	const int conn = rig_connect(r), fd = tar("code/a", code);
	char request[2048];

	(void)snprintf(request, sizeof(request),
		       "{\"op\":\"service_put\",\"project\":\"default\",\"manifest\":%s}", text);
	rig_request_fds(conn, request, &fd, 1);
	(void)close(fd);
	return conn;
}

/* The front's channel to a run, and what it brings. */
static void meet(struct replica_run *i)
{
	unsigned n = 4;
	int fds[4], sock;
	char zero = 1;

	rig_readable(i->run.serve);
	sock = accept4(i->run.serve, NULL, NULL, SOCK_CLOEXEC);
	assert_true(sock >= 0);
	rig_readable(sock);
	assert_int_equal(fds_recvv(sock, &zero, 1, fds, &n, 0, NULL), 1);
	assert_int_equal(zero, 0);
	assert_true(n <= 1);
	i->http = n ? fds[0] : -1;
	i->channel = sock;
	i->hello = hear(sock);
	assert_string_equal(rig_text(i->hello, "op"), "hello");
}

static struct replica_run start_replica(struct rig *r)
{
	struct replica_run i = {.run = expect_start(r)};

	assert_non_null(strstr(i.run.job, "_sandboxd_service.main:main"));
	meet(&i);
	assert_true(i.http >= 0);
	rig_started(r, i.run.id, WARM_FOR_NOBODY);
	return i;
}

static void say_up(const struct replica_run *i)
{
	say(i->channel, "{\"op\":\"ready\"}", NULL, 0);
}

static void leave(struct replica_run *i)
{
	util_close_fd(&i->channel);
	util_close_fd(&i->http);
	util_close_fd(&i->run.serve);
	json_decref(i->hello);
	i->hello = NULL;
}

static void expect_drain(struct rig *r, struct replica_run *i)
{
	json_t *o = hear(i->channel);

	assert_string_equal(rig_text(o, "op"), "drain");
	json_decref(o);
	end_run(r, i->run.id, VERDICT_OK);
	leave(i);
}

static json_t *expect_ok(json_t *reply)
{
	if (!json_is_true(json_object_get(reply, "ok")))
		fail_msg("%s", rig_text(reply, "error"));
	return reply;
}

static struct replica_run put(struct rig *r, const char *text, const char *code)
{
	const int conn = begin_put(r, text, code);
	struct replica_run i = start_replica(r);

	say_up(&i);
	json_decref(expect_ok(rig_reply(conn)));
	(void)close(conn);
	return i;
}

#define ASK_OF(op, more)                                                                           \
	"{\"op\":\"service_" op                                                                    \
	"\",\"project\":\"default\",\"app\":\"shop\",\"service\":\"www\"" more "}"

static json_t *info(struct rig *r)
{
	json_t *reply = expect_ok(rig_call(r, ASK_OF("info", ""))), *s;

	s = json_incref(json_object_get(reply, "service"));
	json_decref(reply);
	return s;
}

/* Its state, its live revision, and how many of its replicas serve. */
static bool is(struct rig *r, const char *state, const char *revision, unsigned serve)
{
	json_t *s = info(r), *at;
	unsigned n = 0;
	bool so;
	size_t i;

	json_array_foreach(json_object_get(s, "replicas"), i, at) n +=
		json_is_true(json_object_get(at, "serves"));
	so = strcmp(rig_text(s, "state"), state) == 0 &&
	     strcmp(rig_text(s, "revision"), revision) == 0 && n == serve;
	json_decref(s);
	return so;
}

static void expect(struct rig *r, const char *state, const char *revision, unsigned serve)
{
	const uint64_t begin = util_monotonic_ns();

	while (!is(r, state, revision, serve))
		not_for_ever(begin);
}

/* An ask whose answer comes when a replica is ready. */
static int ask_later(struct rig *r, const char *text)
{
	const int conn = rig_connect(r);

	rig_request(conn, text);
	return conn;
}

static void test_put(void **state)
{
	struct rig *r = *state;
	struct replica_run a, b, c;
	json_t *reply, *list;
	int conn;

	a = put(r, WWW(""), "one");
	expect(r, "up", "r1", 1);
	assert_non_null(strstr(a.run.job, "\"replica\":0"));
	b = put(r, WWW(""), "two");
	/* The first one finishes what it has. */
	expect_drain(r, &a);
	expect(r, "up", "r2", 1);
	reply = expect_ok(rig_call(r, ASK_OF("revisions", "")));
	list = json_object_get(reply, "revisions");
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(rig_text(json_array_get(list, 0), "revision"), "r2");
	assert_true(json_is_true(json_object_get(json_array_get(list, 0), "live")));
	assert_true(json_is_true(json_object_get(json_array_get(list, 1), "previous")));
	json_decref(reply);

	/* Back, without another version. */
	conn = ask_later(r, ASK_OF("deploy", ",\"revision\":\"previous\""));
	c = start_replica(r);
	say_up(&c);
	json_decref(expect_ok(rig_reply(conn)));
	(void)close(conn);
	expect_drain(r, &b);
	expect(r, "up", "r1", 1);
	rig_expect_error(rig_call(r, ASK_OF("deploy", ",\"revision\":\"r9\"")), "not-found",
			 "has no revision \"r9\"");
	json_decref(expect_ok(rig_call(r, ASK_OF("rm", ""))));
	rig_expect_error(rig_call(r, ASK_OF("info", "")), "not-found", "there is no service");
	end_run(r, c.run.id, VERDICT_OK);
	leave(&c);
}

/* What fails changes nothing, and says why. */
static void test_failures(void **state)
{
	struct rig *r = *state;
	struct replica_run old = put(r, WWW(""), "one"), i;
	int conn;

	conn = begin_put(r, "{\"format\":1}", "x");
	rig_expect_error(rig_reply(conn), "input", "unpack: manifest: app: is missing");
	(void)close(conn);

	conn = begin_put(r, WWW(""), "two");
	i = start_replica(r);
	say(i.channel, "{\"op\":\"stage\",\"stage\":\"postinstall\"}", NULL, 0);
	say(i.channel,
	    "{\"op\":\"failed\",\"stage\":\"postinstall\",\"message\":\"postinstall: exit status "
	    "3\",\"output\":\"no table\"}",
	    NULL, 0);
	util_close_fd(&i.channel);
	end_run(r, i.run.id, VERDICT_EXIT);
	rig_expect_error(rig_reply(conn), "input", "start: www.0: postinstall: exit status 3");
	(void)close(conn);
	leave(&i);
	expect(r, "up", "r1", 1);

	/* Two at once. */
	conn = begin_put(r, WWW(""), "three");
	i = start_replica(r);
	rig_expect_error(rig_call(r, ASK_OF("restart", "")), "conflict",
			 "another change of shop/www is under way");
	rig_expect_error(rig_call(r, ASK_OF("rm", "")), "conflict", "is under way");
	/* Its client goes; it does not. */
	(void)close(conn);
	say_up(&i);
	expect_drain(r, &old);
	expect(r, "up", "r2", 1);
	leave(&i);
}

static void test_ends(void **state)
{
	struct rig *r = *state;
	struct replica_run a = put(r, WWW(""), "one"), b;
	json_t *s;

	/* It ends by itself: the next one follows, after a pause. */
	end_run(r, a.run.id, VERDICT_EXIT);
	leave(&a);
	expect(r, "degraded", "r1", 0);
	b = start_replica(r);
	say_up(&b);
	expect(r, "up", "r1", 1);
	s = info(r);
	assert_int_equal(json_integer_value(json_object_get(s, "restarts")), 1);
	json_decref(s);
	/* It says that its health path does not answer: its run is killed. */
	say(b.channel, "{\"op\":\"unwell\",\"message\":\"GET /: no answer\"}", NULL, 0);
	expect(r, "degraded", "r1", 0);
	end_run(r, b.run.id, VERDICT_CANCELLED);
	leave(&b);
	a = start_replica(r);
	say_up(&a);
	expect(r, "up", "r1", 1);
	/* One is restarted by its number: it finishes what it has before. */
	json_decref(expect_ok(rig_call(r, ASK_OF("restart", ",\"replica\":0"))));
	expect_drain(r, &a);
	a = start_replica(r);
	say_up(&a);
	expect(r, "up", "r1", 1);
	rig_expect_error(rig_call(r, ASK_OF("restart", ",\"replica\":1")), "not-found",
			 "has no replica 1");
	leave(&a);
}

static void test_scale(void **state)
{
	struct rig *r = *state;
	struct replica_run a = put(r, WWW(""), "one"), b, c, d;
	int conn;

	json_decref(expect_ok(rig_call(r, ASK_OF("scale", ",\"instances\":2"))));
	b = start_replica(r);
	assert_non_null(strstr(b.run.job, "\"replica\":1"));
	say_up(&b);
	expect(r, "up", "r1", 2);
	/* Other memory wants other replicas, all of them. */
	conn = ask_later(r, ASK_OF("scale", ",\"memory\":\"96M\""));
	c = start_replica(r);
	d = start_replica(r);
	say_up(&c);
	say_up(&d);
	json_decref(expect_ok(rig_reply(conn)));
	(void)close(conn);
	expect_drain(r, &a);
	expect_drain(r, &b);
	expect(r, "up", "r1", 2);
	json_decref(expect_ok(rig_call(r, ASK_OF("scale", ",\"instances\":1"))));
	expect_drain(r, strstr(c.run.job, "\"replica\":1") ? &c : &d);
	expect(r, "up", "r1", 1);
	rig_expect_error(rig_call(r, ASK_OF("scale", "")), "input", "instances: must be given");
	leave(&c);
	leave(&d);
}

#define ENV(op, more)                                                                              \
	"{\"op\":\"service_env" op "\",\"project\":\"default\",\"app\":\"shop\"" more "}"

/* Variables are the app's, and its replicas get them when they are started anew. */
static void test_env(void **state)
{
	struct rig *r = *state;
	struct replica_run a = put(r, WWW(""), "one"), b;
	json_t *reply;

	assert_int_equal(json_object_size(json_object_get(a.hello, "environment")), 0);
	rig_expect_error(rig_call(r, ENV("_set", ",\"variables\":{\"DOTCLOUD_X\":\"1\"}")), "input",
			 "variables: DOTCLOUD_X: must be");
	json_decref(expect_ok(
		rig_call(r, ENV("_set", ",\"variables\":{\"MODE\":\"x\",\"GONE\":null}"))));
	b = start_replica(r);
	assert_string_equal(rig_text(json_object_get(b.hello, "environment"), "MODE"), "x");
	say_up(&b);
	expect_drain(r, &a);
	expect(r, "up", "r1", 1);
	reply = expect_ok(rig_call(r, ENV("", "")));
	assert_int_equal(json_object_size(json_object_get(reply, "variables")), 1);
	json_decref(reply);
	leave(&b);
}

/* Requests that wait at the edge for a replica. */
static void test_wake(void **state)
{
	struct rig *r = *state;
	struct replica_run a = put(r, WWW(""), "one"), b;
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	char want[64];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(name.sun_path, sizeof(name.sun_path), "%s/edge/wake.sock", r->dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	end_run(r, a.run.id, VERDICT_EXIT);
	leave(&a);
	expect(r, "degraded", "r1", 0);
	assert_int_equal(util_write_all(fd, "WAKE default/www-shop 1 q\n", 26), 0);
	b = start_replica(r);
	say_up(&b);
	(void)snprintf(want, sizeof(want), "OK i/%s.sock %s\n", b.run.id, b.run.id);
	edge_expect(fd, want);
	assert_int_equal(util_write_all(fd, "WAKE default/www-other 1 q\n", 27), 0);
	edge_expect(fd, "ERR 404 no such");
	(void)close(fd);
	leave(&b);
}

static void test_quota(void **state)
{
	struct rig *r = *state;
	struct replica_run a = put(r, WWW(""), "one");
	int conn;

	json_decref(expect_ok(rig_call(r, "{\"op\":\"project_quota\",\"project\":\"default\","
					  "\"quota\":{\"services\":1,\"service_replicas\":1}}")));
	rig_expect_error(rig_call(r, ASK_OF("scale", ",\"instances\":2")), "limit",
			 "\"service_replicas\" is 1");
	conn = begin_put(r, MANIFEST_OF("api", ""), "one");
	rig_expect_error(rig_reply(conn), "limit", "its quota \"services\" is 1");
	(void)close(conn);
	conn = begin_put(r, WWW(",\"instances\":2"), "one");
	rig_expect_error(rig_reply(conn), "limit", "\"service_replicas\" is 1");
	(void)close(conn);
	/* Two services of one address. */
	json_decref(expect_ok(rig_call(r, "{\"op\":\"project_quota\",\"project\":\"default\","
					  "\"quota\":{\"services\":9}}")));
	conn = begin_put(r,
			 "{\"format\":1,\"app\":\"www-shop\",\"name\":\"__\",\"type\":\"custom\","
			 "\"processes\":[{\"name\":\"a\",\"command\":\"b\"}],\"ports\":[{\"name\":"
			 "\"http\",\"kind\":\"http\"}]}",
			 "x");
	rig_expect_error(rig_reply(conn), "input", "which no host's name may be");
	(void)close(conn);
	expect(r, "up", "r1", 1);
	leave(&a);
}

/* The front ends, and another one finds the replicas of before. */
static void restart(struct rig *r, void (*end)(struct rig *r))
{
	struct replica_run a = put(r, WWW(",\"instances\":1"), "one"), b;
	union proto_msg m = {0};

	expect(r, "up", "r1", 1);
	end(r);
	util_close_fd(&a.channel);
	json_decref(a.hello);
	rig_start(r, false);
	proto_init(&m, MON_RUNNING);
	memcpy(m.running.id, a.run.id, sizeof(m.running.id));
	m.running.mode = START_COLD;
	m.running.started = 1;
	assert_int_equal(proto_send(r->monitor, &m, NULL, 0), 0);
	rig_send(r, MON_READY);
	/* It is asked anew, and has its sockets still. */
	b = a;
	meet(&b);
	assert_int_equal(b.http, -1);
	say_up(&b);
	expect(r, "up", "r1", 1);
	(void)close(a.http);
	leave(&b);
}

static void test_restart(void **state)
{
	restart(*state, rig_kill);
}

static void test_stop(void **state)
{
	restart(*state, rig_stop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WEB(test_put),   WITH_WEB(test_failures), WITH_WEB(test_ends),
		WITH_WEB(test_scale), WITH_WEB(test_env),      WITH_WEB(test_wake),
		WITH_WEB(test_quota), WITH_WEB(test_restart),  WITH_WEB(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
