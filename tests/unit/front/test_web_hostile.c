// SPDX-License-Identifier: Apache-2.0
/*
 * What the code of a sandbox, or another project, may do to a front that has HTTP workers: frames in
 * an order that no runtime sends, more asks than it reads the answers of, texts that are none, names
 * of others.
 */
#include "tests/unit/web_rig.h"

#include <signal.h>

/* The build of a worker with this name and these routes (JSON, or nothing). */
static void send_package(const struct run *run, const char *name, const char *routes)
{
	static char bytes[64 << 10];
	char text[512];
	ssize_t n;
	int fd = tar("entry.py", "code");

	n = read(fd, bytes, sizeof(bytes));
	(void)close(fd);
	say(run->serve, "{\"op\":\"package\",\"last\":true}", bytes, (size_t)n);
	(void)snprintf(text, sizeof(text),
		       "{\"name\":\"%s\",\"main\":\"entry\",\"main_file\":\"entry.py\","
		       "\"compatibility_date\":\"2026-03-01\",\"python\":\"3.11\"%s%s}",
		       name, *routes ? ",\"routes\":" : "", routes);
	say(run->serve, "{\"op\":\"manifest\"}", text, strlen(text));
}

static void build_named(struct rig *r, const char *name, const char *routes)
{
	struct run run = expect_start(r);

	send_package(&run, name, routes);
	(void)close(run.serve);
	end_run(r, run.id, VERDICT_OK);
}

static int deploy_of(struct rig *r, const char *project)
{
	int conn = rig_connect(r), fd = tar("wrangler.toml", "name = \"x\"\n");
	char text[128];

	(void)snprintf(text, sizeof(text), "{\"op\":\"deploy\",\"project\":\"%s\"}", project);
	rig_request_fds(conn, text, &fd, 1);
	(void)close(fd);
	return conn;
}

static void expect_deployed(int conn)
{
	json_t *reply = rig_reply(conn);

	if (!json_is_true(json_object_get(reply, "ok")))
		fail_msg("%s", rig_text(reply, "error"));
	json_decref(reply);
	(void)close(conn);
}

/* A deploy of a worker with routes, to its end. */
static struct instance deploy_routes(struct rig *r, const char *project, const char *name,
				     const char *routes)
{
	int conn = deploy_of(r, project);
	struct instance i;

	build_named(r, name, routes);
	warmed(r, expect_warm(r, DEDICATED), 0, "");
	i = start_instance(r);
	say_ready(&i);
	expect_deployed(conn);
	return i;
}

static void refuse_routes(struct rig *r, const char *project, const char *routes, const char *code,
			  const char *why)
{
	int conn = deploy_of(r, project);

	build_named(r, "thief", routes);
	rig_expect_error(rig_reply(conn), code, why);
	(void)close(conn);
}

/* A build that asks for another one, and goes on as if it had not. */
static void test_again(void **state)
{
	struct rig *r = *state;
	int conn = deploy_of(r, "default");
	struct run run = expect_start(r);
	struct instance i;

	say(run.serve, "{\"op\":\"again\",\"image\":\"web\"}", "{}", 2);
	send_package(&run, "first", "");
	(void)close(run.serve);
	run = expect_start(r);
	send_package(&run, "second", "");
	(void)close(run.serve);
	end_run(r, run.id, VERDICT_OK);
	warmed(r, expect_warm(r, DEDICATED), 0, "");
	i = start_instance(r);
	say_ready(&i);
	expect_deployed(conn);
	{
		json_t *worker = ls(r);

		assert_string_equal(rig_text(worker, "name"), "second");
		json_decref(worker);
	}
	forget(&i);
}

/* Two builds of one package wait for one checkpoint. */
static void test_one_checkpoint(void **state)
{
	struct rig *r = *state;
	int a = deploy_of(r, "default"), b;
	struct instance i;
	uint32_t tag;

	build_named(r, "one", "");
	tag = expect_warm(r, DEDICATED);
	b = deploy_of(r, "default");
	{
		struct run run = expect_start(r);
		struct pollfd p = {.fd = r->monitor, .events = POLLIN};

		send_package(&run, "two", "");
		(void)close(run.serve);
		end_run(r, run.id, VERDICT_OK);
		/* Its package is unpacked when it has begun the next step, of which nobody but a
		 * client that listens is told: that a third one is asked something shows it. */
		(void)poll(&p, 1, 0);
	}
	for (bool waits = false; !waits;) {
		json_t *reply = rig_call(r, "{\"op\":\"web_versions\",\"project\":\"default\","
					    "\"name\":\"two\"}");

		waits = json_is_true(json_object_get(reply, "ok"));
		json_decref(reply);
	}
	warmed(r, tag, 0, "");
	i = start_instance(r);
	say_ready(&i);
	forget(&i);
	i = start_instance(r);
	say_ready(&i);
	forget(&i);
	expect_deployed(a);
	expect_deployed(b);
}

/* Removed twice at a time, and deployed to meanwhile. */
static void test_removal(void **state)
{
	struct rig *r = *state;
	struct instance i = deploy_routes(r, "default", "hello", "");
	const char *const rm = "{\"op\":\"web_rm\",\"project\":\"default\",\"name\":\"hello\"}";
	int conns[3], status, n_going = 0;

	assert_int_equal(kill(r->pid, SIGSTOP), 0);
	assert_int_equal(waitpid(r->pid, &status, WUNTRACED), r->pid);
	for (unsigned n = 0; n < ARRAY_SIZE(conns); n++) {
		conns[n] = rig_connect(r);
		rig_request(conns[n], rm);
	}
	assert_int_equal(kill(r->pid, SIGCONT), 0);
	for (unsigned n = 0; n < ARRAY_SIZE(conns); n++) {
		json_t *reply = rig_reply(conns[n]);
		const char *error = json_string_value(json_object_get(reply, "error"));

		n_going += error && strstr(error, "is being removed");
		json_decref(reply);
		(void)close(conns[n]);
	}
	assert_int_equal(n_going, 2);
	forget(&i);
}

/* A frame of any length; its body is passed over. */
static json_t *hear_long(int sock, size_t *ret_body)
{
	static char head[SERVE_OUT_HEAD_MAX];
	uint32_t lengths[2];
	size_t left;
	char *body;
	json_t *o;

	rig_readable(sock);
	assert_int_equal(util_read_all(sock, lengths, sizeof(lengths)), 0);
	left = le32toh(lengths[1]);
	assert_int_equal(util_read_all(sock, head, le32toh(lengths[0])), 0);
	body = malloc(left + 1);
	assert_non_null(body);
	assert_int_equal(util_read_all(sock, body, left), 0);
	free(body);
	o = json_loadb(head, le32toh(lengths[0]), 0, NULL);
	assert_non_null(o);
	*ret_body = left;
	return o;
}

#define VALUE (2u << 20)

/* It asks for 80 MiB, and reads none of it before it has asked for all: what it gets waits in its own
 * time, and costs the front no more than one answer. */
static void test_unread(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1];
	struct instance i = deploy(r, "one", version);
	char *value = calloc(1, VALUE);
	size_t n;
	json_t *o;

	assert_non_null(value);
	say(i.channel,
	    "{\"op\":\"ask\",\"id\":1,\"binding\":\"KV\",\"method\":\"put\",\"key\":\"k\"}", value,
	    VALUE);
	free(value);
	json_decref(hear(i.channel));
	for (unsigned k = 0; k < 40; k++)
		say(i.channel,
		    "{\"op\":\"ask\",\"id\":2,\"binding\":\"KV\",\"method\":\"get\",\"key\":\"k\"}",
		    NULL, 0);
	json_decref(ls(r));
	for (unsigned k = 0; k < 40; k++) {
		o = hear_long(i.channel, &n);
		assert_true(json_is_true(json_object_get(o, "found")));
		assert_int_equal(n, VALUE);
		json_decref(o);
	}
	forget(&i);
}

/* What a list and many values say is longer than the head of a frame that comes in may be. */
static void test_long_heads(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1], text[2048], metadata[1001];
	struct instance i = deploy(r, "one", version);
	size_t n;
	json_t *o;

	memset(metadata, 'm', sizeof(metadata) - 1);
	metadata[sizeof(metadata) - 1] = '\0';
	for (unsigned k = 0; k < 100; k++) {
		(void)snprintf(text, sizeof(text),
			       "{\"op\":\"ask\",\"id\":1,\"binding\":\"KV\",\"method\":\"put\","
			       "\"key\":\"k%02u\",\"metadata\":\"%s\"}",
			       k, metadata);
		json_decref(ask(i.channel, text, "v"));
	}
	say(i.channel, "{\"op\":\"ask\",\"id\":2,\"binding\":\"KV\",\"method\":\"list\"}", NULL, 0);
	o = hear_long(i.channel, &n);
	assert_int_equal(json_array_size(json_object_get(o, "keys")), 100);
	assert_true(json_is_true(json_object_get(o, "list_complete")));
	json_decref(o);
	(void)snprintf(
		text, sizeof(text),
		"{\"op\":\"ask\",\"id\":3,\"binding\":\"KV\",\"method\":\"getMany\",\"keys\":[");
	for (unsigned k = 0; k < 100; k++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s\"k%02u\"",
			       k ? "," : "", k);
	(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "]}");
	say(i.channel, text, NULL, 0);
	o = hear_long(i.channel, &n);
	assert_int_equal(n, 100);
	json_decref(o);
	forget(&i);
}

/* Text of a sandbox that is cut within a character, or is none. */
static void test_texts(void **state)
{
	struct rig *r = *state;
	int conn = deploy_of(r, "default");
	char text[1024] =
		"{\"op\":\"failed\",\"file\":\"\\u001b[2Je.py\",\"line\":1,\"message\":\"x";
	struct instance i;
	json_t *reply;

	build_named(r, "hello", "");
	warmed(r, expect_warm(r, DEDICATED), -EINVAL, "cut: \xc3");
	warmed(r, expect_warm(r, "_sandboxd_http.warm"), 0, "");
	i = start_instance(r);
	for (unsigned k = 0; k < 200; k++)
		(void)strcat(text, "\xc3\xa9");
	(void)strcat(text, "\"}");
	say(i.channel, text, NULL, 0);
	forget(&i);
	end_run(r, i.run.id, VERDICT_EXIT);
	rig_expect_error(rig_reply(conn), "unavailable", "start: \\x1b[2Je.py:1: x\\xc3");
	(void)close(conn);

	conn = deploy_of(r, "default");
	build_named(r, "hello", "");
	warmed(r, expect_warm(r, DEDICATED), -EINVAL, "cut: \xc3");
	warmed(r, expect_warm(r, "_sandboxd_http.warm"), 0, "");
	i = start_instance(r);
	say_ready(&i);
	reply = rig_reply(conn);
	assert_string_equal(rig_text(reply, "note"), "cut: \\xc3");
	json_decref(reply);
	(void)close(conn);
	forget(&i);
}

/* What one project serves, no other one takes a piece of. */
static void test_routes(void **state)
{
	struct rig *r = *state;
	struct instance i, j;

	rig_write(r->cfg.state_dirfd, "edge-domain", "localhost\n", 10);
	json_decref(rig_call(r, "{\"op\":\"project_create\",\"name\":\"other\"}"));
	i = deploy_routes(r, "default", "hello",
			  "[{\"pattern\":\"a.example.com/*\"},{\"pattern\":\"*.wide.com/*\"},"
			  "{\"pattern\":\"x.default.localhost/*\"}]");
	refuse_routes(r, "other", "[{\"pattern\":\"a.example.com/admin/*\"}]", "conflict",
		      "another project has routes of this host");
	refuse_routes(r, "other", "[{\"pattern\":\"*.example.com/*\"}]", "conflict",
		      "another project has routes of this host");
	refuse_routes(r, "other", "[{\"pattern\":\"b.wide.com/*\"}]", "conflict",
		      "another project has routes of this host");
	refuse_routes(r, "other", "[{\"pattern\":\"hello.default.localhost/*\"}]", "conflict",
		      "NAME.other.localhost alone");
	refuse_routes(r, "other", "[{\"pattern\":\"*.localhost/*\"}]", "input", "too many hosts");
	refuse_routes(r, "other", "[{\"pattern\":\"*.other.localhost/*\"}]", "conflict",
		      "NAME.other.localhost alone");
	refuse_routes(r, "default", "[{\"pattern\":\"a.example.com/*\"}]", "conflict",
		      "is another worker's: hello");
	/* Its own are its own. */
	j = deploy_routes(r, "other", "mine",
			  "[{\"pattern\":\"wide.com/*\"},{\"pattern\":\"x.other.localhost/a*\"},"
			  "{\"pattern\":\"aa.example.com\"}]");
	forget(&i);
	forget(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WEB(test_again),  WITH_WEB(test_one_checkpoint), WITH_WEB(test_removal),
		WITH_WEB(test_unread), WITH_WEB(test_long_heads),     WITH_WEB(test_texts),
		WITH_WEB(test_routes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
