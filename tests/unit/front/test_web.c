// SPDX-License-Identifier: Apache-2.0
/*
 * HTTP workers in a real front: a deploy step by step, the instances that follow, what they ask for,
 * what the edge asks for, and all of it after a restart. The test plays the monitor, the code in the
 * sandboxes, and the edge.
 */
#include "supervisor/front/store/kv.h"
#include "tests/unit/web_rig.h"

static void test_deploy(void **state)
{
	struct rig *r = *state;
	char first[WEB_UUID_LEN + 1], second[WEB_UUID_LEN + 1], text[256];
	struct instance a, b;
	json_t *reply;

	a = deploy(r, "one", first);
	expect_serves(r, first, 1);
	b = deploy(r, "two", second);
	assert_string_not_equal(first, second);
	/* The first one finishes what it has, and its instance goes. */
	reply = hear(a.channel);
	assert_string_equal(rig_text(reply, "op"), "drain");
	json_decref(reply);
	end_run(r, a.run.id, VERDICT_OK);
	forget(&a);
	reply = rig_call(r, "{\"op\":\"web_versions\",\"project\":\"default\",\"name\":\"hello\"}");
	assert_int_equal(json_array_size(json_object_get(reply, "versions")), 2);
	json_decref(reply);

	/* Back to the first one, by nothing but its name; and there, by the beginning of its id. */
	reply = rig_call(r, "{\"op\":\"web_deployment_create\",\"project\":\"default\","
			    "\"name\":\"hello\"}");
	assert_true(json_is_true(json_object_get(reply, "ok")));
	json_decref(reply);
	reply = hear(b.channel);
	assert_string_equal(rig_text(reply, "op"), "drain");
	json_decref(reply);
	end_run(r, b.run.id, VERDICT_OK);
	forget(&b);
	(void)snprintf(text, sizeof(text),
		       "{\"op\":\"web_deployment_create\",\"project\":\"default\",\"name\":"
		       "\"hello\",\"version\":\"%.9s\"}",
		       second);
	reply = rig_call(r, text);
	assert_true(json_is_true(json_object_get(reply, "ok")));
	json_decref(reply);
	reply = rig_call(r, "{\"op\":\"web_rm\",\"project\":\"default\",\"name\":\"hello\"}");
	assert_true(json_is_true(json_object_get(reply, "ok")));
	json_decref(reply);
	assert_null(ls(r));
}

/* A build may ask the package index of whoever deploys: its socket is the run's stdin, and the run is
 * one of the operator's policy for builds, whatever the project may name. */
static void test_index(void **state)
{
	struct rig *r = *state;
	int fds[3], pair[2], index[2], given[PROTO_FDS_MAX], conn = rig_connect(r);
	uint8_t policy[32], build_policy[32];
	union proto_msg m;
	char job[4096] = "", c = 'x';

	memcpy(policy, r->policy, sizeof(policy));
	rig_make_policy(r, "build");
	memcpy(build_policy, r->policy, sizeof(build_policy));
	memcpy(r->policy, policy, sizeof(policy));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, index), 0);
	fds[0] = tar("wrangler.toml", "name = \"hello\"\n");
	fds[1] = pair[1];
	fds[2] = index[1];
	/* The socket without the settings, and the reverse. */
	rig_request_fds(conn, "{\"op\":\"deploy\",\"project\":\"default\"}", fds, 3);
	rig_expect_error(rig_reply(conn), "input", "index: its socket comes third");
	rig_request_fds(conn, "{\"op\":\"deploy\",\"project\":\"default\",\"index\":{}}", fds, 2);
	rig_expect_error(rig_reply(conn), "input", "index: its socket comes third");
	rig_request_fds(conn, "{\"op\":\"deploy\",\"project\":\"default\",\"index\":[]}", fds, 3);
	rig_expect_error(rig_reply(conn), "input", "index: must be an object");
	rig_request_fds(conn,
			"{\"op\":\"deploy\",\"project\":\"default\",\"index\":{\"indexes\":2}}",
			fds, 3);
	m = expect_mon(r, MON_START, given);
	assert_int_equal(m.start.start, START_COLD);
	assert_memory_equal(m.start.policy, build_policy, 32);
	assert_int_equal(m.start.has_package, 1);
	assert_int_equal(m.start.has_input, 1);
	assert_int_equal(m.start.has_serve, 1);
	assert_true(pread(given[0], job, sizeof(job) - 1, 0) > 0);
	assert_non_null(strstr(job, "\"index\":{\"indexes\":2}"));
	/* The third is the socket: what is written there comes out at the index. */
	assert_int_equal(util_write_all(given[2], &c, 1), 0);
	c = 0;
	assert_int_equal(util_read_all(index[0], &c, 1), 0);
	assert_int_equal(c, 'x');
	for (unsigned i = 0; i < 4; i++)
		(void)close(given[i]);
	end_run(r, m.start.id, VERDICT_EXIT);
	rig_expect_error(rig_reply(conn), "input", "ended without an answer");
	/* With the deploy, the index has lost its last other end. */
	for (unsigned i = 0; i < 3; i++)
		(void)close(fds[i]);
	rig_readable(index[0]);
	assert_int_equal(read(index[0], &c, 1), 0);
	(void)close(index[0]);
	(void)close(pair[0]);
	(void)close(conn);
}

/* Every step that fails leaves what served before, and says which step and why. */
static void test_failures(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1];
	struct instance old = deploy(r, "one", version), i;
	struct run run;
	int conn;

	conn = begin_deploy(r);
	run = expect_start(r);
	say(run.serve,
	    "{\"op\":\"failed\",\"step\":\"read\",\"message\":\"no "
	    "main\",\"file\":\"wrangler.toml\","
	    "\"line\":3}",
	    NULL, 0);
	rig_expect_error(rig_reply(conn), "input", "read: wrangler.toml:3: no main");
	(void)close(conn);
	(void)close(run.serve);
	end_run(r, run.id, VERDICT_EXIT);

	/* A build that ends without a word, one that lies, and one that sends what is no frame. */
	for (int what = 0; what < 3; what++) {
		static const char *const wants[] = {"ended without an answer",
						    "name:", "ended without an answer"};

		conn = begin_deploy(r);
		run = expect_start(r);
		if (what == 1)
			say(run.serve, "{\"op\":\"manifest\"}", "{\"name\":\"../x\"}", 15);
		else if (what == 2)
			assert_int_equal(util_write_all(run.serve, "\0\0\0\0\0\0\0\0", 8), 0);
		(void)close(run.serve);
		end_run(r, run.id, VERDICT_EXIT);
		rig_expect_error(rig_reply(conn), "input", wants[what]);
		(void)close(conn);
	}

	/* A top level that cannot be in a snapshot: the next best one serves, and it is said. */
	conn = begin_deploy(r);
	build(r, "three");
	warmed(r, expect_warm(r, DEDICATED), -EINVAL, "entry.py:1: LOCK is a lock");
	warmed(r, expect_warm(r, PACKAGE), 0, "");
	/* Its instance fails before it is ready. */
	i = start_instance(r);
	say(i.channel,
	    "{\"op\":\"failed\",\"message\":\"NameError: x\",\"file\":\"entry.py\",\"line\":7}",
	    NULL, 0);
	forget(&i);
	end_run(r, i.run.id, VERDICT_EXIT);
	rig_expect_error(rig_reply(conn), "unavailable", "start: entry.py:7: NameError: x");
	(void)close(conn);
	expect_serves(r, version, 1);
	forget(&old);
}

/* Why there is no dedicated snapshot, in the runtime's words alone. */
static void test_note(void **state)
{
	struct rig *r = *state;
	int conn = begin_deploy(r);
	struct instance i;
	json_t *reply;

	build(r, "one");
	warmed(r, expect_warm(r, DEDICATED), -EINVAL,
	       "warm: the interpreter ended; see its output: a line of the top level's\n"
	       "sandbox: warm: module 'entry' does not import: RuntimeError: no");
	warmed(r, expect_warm(r, PACKAGE), 0, "");
	i = start_instance(r);
	say_ready(&i);
	reply = rig_reply(conn);
	assert_string_equal(rig_text(reply, "snapshot"), "package");
	assert_string_equal(rig_text(reply, "note"),
			    "module 'entry' does not import: RuntimeError: no");
	json_decref(reply);
	(void)close(conn);
	forget(&i);
}

static void test_kv(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1];
	struct instance i = deploy(r, "one", version);
	char *value;
	json_t *o;

#define ASK(id, method) "{\"op\":\"ask\",\"id\":" id ",\"binding\":\"KV\",\"method\":\"" method "\""
	o = ask(i.channel, ASK("1", "get") ",\"key\":\"k\"}", "");
	assert_true(json_is_true(json_object_get(o, "ok")));
	assert_true(json_is_false(json_object_get(o, "found")));
	json_decref(o);
	o = ask(i.channel, ASK("2", "put") ",\"key\":\"k\",\"metadata\":\"[1]\"}", "value");
	assert_true(json_is_true(json_object_get(o, "ok")));
	assert_int_equal(json_integer_value(json_object_get(o, "id")), 2);
	json_decref(o);
	o = ask(i.channel, ASK("3", "get") ",\"key\":\"k\"}", "");
	assert_true(json_is_true(json_object_get(o, "found")));
	assert_string_equal(rig_text(o, "metadata"), "[1]");
	assert_string_equal(hear_body, "value");
	json_decref(o);
	o = ask(i.channel, ASK("4", "getMany") ",\"keys\":[\"none\",\"k\"]}", "");
	assert_true(json_is_null(json_array_get(json_object_get(o, "values"), 0)));
	assert_string_equal(hear_body, "value");
	json_decref(o);
	o = ask(i.channel, ASK("5", "list") ",\"prefix\":\"\"}", "");
	assert_true(json_is_true(json_object_get(o, "list_complete")));
	assert_string_equal(rig_text(json_array_get(json_object_get(o, "keys"), 0), "name"), "k");
	json_decref(o);
	o = ask(i.channel, ASK("6", "delete") ",\"key\":\"k\"}", "");
	assert_true(json_is_true(json_object_get(o, "ok")));
	json_decref(o);
	o = ask(i.channel, ASK("7", "get") ",\"key\":\"k\"}", "");
	assert_true(json_is_false(json_object_get(o, "found")));
	json_decref(o);
	/* What is asked for after a value that takes several turns comes after it. */
	value = malloc(KV_LARGE + 2);
	memset(value, 'v', KV_LARGE + 1);
	value[KV_LARGE + 1] = '\0';
	say(i.channel, ASK("20", "put") ",\"key\":\"k\"}", value, KV_LARGE + 1);
	say(i.channel, ASK("21", "put") ",\"key\":\"k\"}", "after", 5);
	for (unsigned n = 20; n < 22; n++) {
		o = hear(i.channel);
		assert_int_equal(json_integer_value(json_object_get(o, "id")), n);
		assert_true(json_is_true(json_object_get(o, "ok")));
		json_decref(o);
	}
	o = ask(i.channel, ASK("22", "get") ",\"key\":\"k\"}", "");
	assert_string_equal(hear_body, "after");
	json_decref(o);
	free(value);
	o = ask(i.channel, ASK("23", "delete") ",\"key\":\"k\"}", "");
	json_decref(o);
	/* What is refused. */
	o = ask(i.channel, ASK("8", "get") ",\"key\":\"\"}", "");
	assert_string_equal(rig_text(o, "error"), "TypeError");
	json_decref(o);
	o = ask(i.channel, ASK("9", "steal") "}", "");
	assert_string_equal(rig_text(o, "error"), "TypeError");
	json_decref(o);
	o = ask(i.channel, "{\"op\":\"ask\",\"id\":10,\"binding\":\"OTHER\",\"method\":\"get\"}",
		"");
	assert_string_equal(rig_text(o, "error"), "TypeError");
	json_decref(o);
	o = ask(i.channel, "{\"op\":\"ask\",\"id\":11,\"binding\":\"AI\",\"method\":\"run\"}", "");
	assert_string_equal(rig_text(o, "error"), "Error");
	json_decref(o);
	forget(&i);
}

static void test_wake(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1], want[128];
	struct instance i = deploy(r, "one", version);
	int a, b;

	/* It dies; the next two requests have one instance started, and are sent there. */
	forget(&i);
	end_run(r, i.run.id, VERDICT_SIGNAL);
	a = edge_ask(r, version);
	b = edge_ask(r, version);
	i = start_instance(r);
	say_ready(&i);
	(void)snprintf(want, sizeof(want), "OK i/%s.sock %s\n", i.run.id, i.run.id);
	edge_expect(a, want);
	edge_expect(b, want);
	/* The connection is used again. */
	assert_int_equal(util_write_all(a, "WAKE default/none x r2\n", 23), 0);
	edge_expect(a, "ERR 404 ");
	assert_int_equal(util_write_all(a, "what\n", 5), 0);
	edge_expect(a, "ERR 503 ");
	(void)close(a);

	/* One that cannot start: the request hears that, and not why. */
	assert_int_equal(util_write_all(b, "WAKE default/hello ", 19), 0);
	assert_int_equal(util_write_all(b, version, strlen(version)), 0);
	assert_int_equal(util_write_all(b, " r3\n", 4), 0);
	{
		struct instance j = start_instance(r);

		say(j.channel, "{\"op\":\"failed\",\"message\":\"no\\nmore\"}", NULL, 0);
		forget(&j);
		end_run(r, j.run.id, VERDICT_EXIT);
		edge_expect(
			b,
			"ERR 503 no instance of the worker could be started: its log says why\n");
	}
	(void)close(b);
	forget(&i);
}

/* Where an instance cannot even be asked for, the request is answered at once. */
static void test_no_socket(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1];
	struct instance i = deploy(r, "one", version);
	int edge;

	forget(&i);
	end_run(r, i.run.id, VERDICT_SIGNAL);
	assert_int_equal(renameat(r->cfg.edge_dirfd, "i", r->cfg.edge_dirfd, "away"), 0);
	edge = edge_ask(r, version);
	edge_expect(edge, "ERR 503 ");
	(void)close(edge);
}

static void restart(struct rig *r, void (*end)(struct rig *r))
{
	char version[WEB_UUID_LEN + 1], want[128];
	struct instance i = deploy(r, "one", version);
	union proto_msg m = {0};
	int edge;

	end(r);
	/* The edge goes on sending requests there. */
	(void)snprintf(want, sizeof(want), "i/%s.sock", i.run.id);
	assert_int_equal(faccessat(r->cfg.edge_dirfd, want, F_OK, 0), 0);
	rig_start(r, false);
	proto_init(&m, MON_RUNNING);
	memcpy(m.running.id, i.run.id, sizeof(m.running.id));
	m.running.started = 1;
	assert_int_equal(proto_send(r->monitor, &m, NULL, 0), 0);
	rig_send(r, MON_READY);
	/* The run goes on, and is told anew. */
	(void)close(i.channel);
	i.channel = accept_channel(i.run.serve);
	say_ready(&i);
	edge = edge_ask(r, version);
	{
		struct instance j = start_instance(r);

		say_ready(&j);
		(void)snprintf(want, sizeof(want), "OK i/%s.sock", j.run.id);
		edge_expect(edge, want);
		forget(&j);
	}
	expect_serves(r, version, 2);
	(void)close(edge);
	forget(&i);
}

static void test_restart(void **state)
{
	restart(*state, rig_kill);
}

static void test_stop(void **state)
{
	restart(*state, rig_stop);
}

static void expect_ok(json_t *reply)
{
	if (!json_is_true(json_object_get(reply, "ok")))
		fail_msg("%s", rig_text(reply, "error"));
	json_decref(reply);
}

#define KV(op, rest) "{\"op\":\"web_kv_" op "\",\"project\":\"default\"" rest "}"
#define KV_OF ",\"namespace\":\"hello-KV\""

static json_t *kv_call(struct rig *r, const char *request, int fd)
{
	const int conn = rig_connect(r);
	json_t *reply;

	rig_request_fds(conn, request, &fd, fd >= 0 ? 1 : 0);
	reply = rig_reply(conn);
	(void)close(conn);
	return reply;
}

/* The same namespaces by the control socket, with values that come and go in a file. */
static void test_kv_verbs(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1], got[16] = "";
	struct instance i = deploy(r, "one", version);
	int fd = memfd_create("value", MFD_CLOEXEC);
	json_t *o;

	rig_expect_error(kv_call(r, KV("get", KV_OF ",\"key\":\"k\""), fd), "not-found",
			 "there is no key \"k\"");
	o = ask(i.channel, ASK("1", "put") ",\"key\":\"k\",\"metadata\":\"[1]\"}", "of the worker");
	assert_true(json_is_true(json_object_get(o, "ok")));
	json_decref(o);
	o = kv_call(r, KV("get", KV_OF ",\"key\":\"k\""), fd);
	assert_int_equal(json_integer_value(json_object_get(o, "len")), 13);
	assert_string_equal(rig_text(o, "metadata"), "[1]");
	json_decref(o);
	assert_int_equal(pread(fd, got, sizeof(got) - 1, 0), 13);
	assert_string_equal(got, "of the worker");
	rig_expect_error(kv_call(r, KV("get", KV_OF ",\"key\":\"k\""), -1), "input",
			 "a file for the value");
	rig_expect_error(kv_call(r, KV("get", KV_OF ",\"key\":\"none\""), fd), "not-found",
			 "no key");
	/* What was put here the worker gets. */
	assert_int_equal(ftruncate(fd, 2), 0);
	expect_ok(kv_call(r, KV("put", KV_OF ",\"key\":\"l\",\"metadata\":\"{}\""), fd));
	o = ask(i.channel, ASK("2", "get") ",\"key\":\"l\"}", "");
	assert_string_equal(hear_body, "of");
	json_decref(o);
	rig_expect_error(kv_call(r, KV("put", KV_OF ",\"key\":\"l\",\"expiration\":5"), fd),
			 "input", "expiration: must be at least 60 seconds in the future");
	assert_int_equal(ftruncate(fd, (25 << 20) + 1), 0);
	rig_expect_error(kv_call(r, KV("put", KV_OF ",\"key\":\"l\""), fd), "limit",
			 "the value is too long");
	(void)close(fd);
	o = rig_call(r, KV("keys", KV_OF ",\"limit\":1"));
	assert_true(json_is_false(json_object_get(o, "list_complete")));
	assert_string_equal(rig_text(o, "cursor"), "k");
	json_decref(o);
	expect_ok(rig_call(r, KV("delete", KV_OF ",\"key\":\"k\"")));
	o = rig_call(r, KV("keys", KV_OF));
	assert_int_equal(json_array_size(json_object_get(o, "keys")), 1);
	json_decref(o);
	/* A namespace goes with its keys; the worker's next put makes it anew. */
	expect_ok(rig_call(r, KV("create", ",\"title\":\"other\"")));
	rig_expect_error(rig_call(r, KV("create", ",\"title\":\"other\"")), "conflict",
			 "already exists");
	expect_ok(rig_call(r, KV("rm", KV_OF)));
	o = rig_call(r, KV("ls", ""));
	assert_int_equal(json_array_size(json_object_get(o, "namespaces")), 1);
	assert_string_equal(rig_text(json_array_get(json_object_get(o, "namespaces"), 0), "title"),
			    "other");
	json_decref(o);
	o = ask(i.channel, ASK("3", "get") ",\"key\":\"l\"}", "");
	assert_true(json_is_false(json_object_get(o, "found")));
	json_decref(o);
	forget(&i);
}

#define SECRET(op, rest)                                                                           \
	"{\"op\":\"web_secret_" op "\",\"project\":\"default\",\"name\":\"hello\"" rest "}"

static void expect_drain(int channel)
{
	json_t *o = hear(channel);

	assert_string_equal(rig_text(o, "op"), "drain");
	json_decref(o);
}

/* No file of the front's folder has the text. */
static void expect_nowhere(struct rig *r, const char *text)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "grep -rqF '%s' %s/front", text, r->dir);
	assert_int_not_equal(system(command), 0); /* NOLINT: the test's own folder */
	(void)snprintf(command, sizeof(command), "grep -rqF hello %s/front", r->dir);
	assert_int_equal(system(command), 0); /* NOLINT: it would be found */
}

static void test_secrets(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1];
	struct instance i, next;
	union proto_msg m = {0};
	json_t *reply;
	int conn;

	/* What is no name, and what is no value. */
	rig_expect_error(rig_call(r, SECRET("set", ",\"secret\":\"1A\",\"value\":\"x\"")), "input",
			 "secret: must be letters");
	rig_expect_error(rig_call(r, SECRET("set", ",\"secret\":\"A\",\"value\":1")), "input",
			 "value: must be a text");
	rig_expect_error(rig_call(r, SECRET("rm", ",\"secret\":\"A\"")), "not-found",
			 "hello has no secret");

	/* A version whose secrets are not set does not get as far as a snapshot. */
	manifest = "{\"name\":\"hello\",\"main\":\"entry\",\"main_file\":\"entry.py\","
		   "\"compatibility_date\":\"2026-03-01\",\"python\":\"3.11\","
		   "\"secrets_required\":[\"A\",\"B\",\"C\"]}";
	expect_ok(rig_call(r, SECRET("set", ",\"secret\":\"B\",\"value\":\"bravo-bravo\"")));
	conn = begin_deploy(r);
	build(r, "one");
	rig_expect_error(rig_reply(conn), "input",
			 "secrets_required: not set: A, C: 'sandboxctl secret set hello NAME'");
	(void)close(conn);
	expect_ok(rig_call(r, SECRET("set", ",\"secret\":\"A\",\"value\":\"alpha\\n\\\"\"")));
	expect_ok(rig_call(r, SECRET("set", ",\"secret\":\"C\",\"value\":\"\"")));
	i = deploy_with(r, "one", "{\"A\":\"alpha\\n\\\"\",\"B\":\"bravo-bravo\",\"C\":\"\"}",
			version);
	assert_null(strstr(i.run.job, "bravo"));

	/* One that is changed: another instance has it, and this one ends. */
	expect_ok(rig_call(r, SECRET("set", ",\"secret\":\"A\",\"value\":\"second-alpha\"")));
	next = start_with(r, "{\"A\":\"second-alpha\",\"B\":\"bravo-bravo\",\"C\":\"\"}");
	expect_drain(i.channel);
	end_run(r, i.run.id, VERDICT_OK);
	forget(&i);
	/* And one that is changed while an instance starts: that one never serves. */
	expect_ok(rig_call(r, SECRET("rm", ",\"secret\":\"C\"")));
	say_ready(&next);
	i = start_with(r, "{\"A\":\"second-alpha\",\"B\":\"bravo-bravo\"}");
	expect_drain(next.channel);
	end_run(r, next.run.id, VERDICT_OK);
	forget(&next);
	say_ready(&i);

	reply = rig_call(r, SECRET("ls", ""));
	assert_int_equal(json_array_size(json_object_get(reply, "secrets")), 2);
	assert_string_equal(rig_text(json_array_get(json_object_get(reply, "secrets"), 0), "name"),
			    "A");
	assert_null(json_object_get(json_array_get(json_object_get(reply, "secrets"), 0), "value"));
	json_decref(reply);
	expect_nowhere(r, "bravo-bravo");
	expect_nowhere(r, "second-alpha");

	/* With another key nothing is opened, sealed or deployed, and it is said why. */
	rig_kill(r);
	(void)unlinkat(r->cfg.front_dirfd, "secret.key", 0);
	rig_write(r->cfg.front_dirfd, "secret.key", "01234567890123456789012345678901", 32);
	rig_start(r, false);
	proto_init(&m, MON_RUNNING);
	memcpy(m.running.id, i.run.id, sizeof(m.running.id));
	m.running.started = 1;
	assert_int_equal(proto_send(r->monitor, &m, NULL, 0), 0);
	rig_send(r, MON_READY);
	end_run(r, i.run.id, VERDICT_OK);
	forget(&i);
	rig_expect_error(rig_call(r, SECRET("set", ",\"secret\":\"A\",\"value\":\"x\"")),
			 "unavailable", "STATE/front/secret.key is not the key");
	conn = begin_deploy(r);
	build(r, "two");
	rig_expect_error(rig_reply(conn), "unavailable", "is not the key");
	(void)close(conn);
	/* Where nothing is left that was sealed by the other one, a new one is made. */
	expect_ok(rig_call(r, SECRET("rm", ",\"secret\":\"A\"")));
	expect_ok(rig_call(r, SECRET("rm", ",\"secret\":\"B\"")));
	expect_ok(rig_call(r, SECRET("set", ",\"secret\":\"A\",\"value\":\"third\"")));
	/* They go with the worker. */
	expect_ok(rig_call(r, "{\"op\":\"web_rm\",\"project\":\"default\",\"name\":\"hello\"}"));
	rig_expect_error(rig_call(r, SECRET("ls", "")), "not-found", "no secret of one");
	manifest = MANIFEST;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WEB(test_deploy),	WITH_WEB(test_failures), WITH_WEB(test_index),
		WITH_WEB(test_kv),	WITH_WEB(test_wake),	 WITH_WEB(test_restart),
		WITH_WEB(test_stop),	WITH_WEB(test_note),	 WITH_WEB(test_no_socket),
		WITH_WEB(test_secrets), WITH_WEB(test_kv_verbs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
