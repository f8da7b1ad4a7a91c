// SPDX-License-Identifier: Apache-2.0
/* Isolation "request" in a real front: a run for each request, with the request's connection. The test
 * plays the monitor, the code in the sandboxes, and the edge. */
#include "tests/unit/web_rig.h"

#include <poll.h>

#include "lib/fdpass.h"

#define BY_REQUEST(more)                                                                           \
	"{\"name\":\"hello\",\"main\":\"entry\",\"main_file\":\"entry.py\","                       \
	"\"compatibility_date\":\"2026-03-01\",\"python\":\"3.11\","                               \
	"\"bindings\":[{\"name\":\"KV\",\"type\":\"kv_namespace\"}],"                              \
	"\"sandbox\":{\"isolation\":\"request\"" more "}}"

/* Reads a run's first frame. Returns the connection that comes with it. */
static int take_hello_of(const struct run *run, bool quiet)
{
	uint32_t lengths[2];
	char head[512];
	int fd = -1, n = 1;
	json_t *o;

	assert_non_null(strstr(run->job, "_sandboxd_http.instance:main"));
	assert_non_null(strstr(run->job, "\"isolation\":\"request\""));
	rig_readable(run->serve);
	/* The descriptor is beside the first byte. */
	assert_int_equal(fds_receive(run->serve, lengths, sizeof(lengths), &fd, &n, 0),
			 sizeof(lengths));
	assert_int_equal(le32toh(lengths[1]), 0);
	assert_int_equal(util_read_all(run->serve, head, le32toh(lengths[0])), 0);
	o = json_loadb(head, le32toh(lengths[0]), 0, NULL);
	assert_string_equal(rig_text(o, "op"), "hello");
	assert_true(json_is_object(json_object_get(o, "secrets")));
	assert_int_equal(json_is_true(json_object_get(o, "quiet")), quiet);
	json_decref(o);
	assert_int_equal(n, 1);
	return fd;
}

static int take_hello(const struct run *run)
{
	return take_hello_of(run, true);
}

static int begin_request_deploy(struct rig *r, const char *code, struct run *ret)
{
	const int conn = begin_deploy(r);

	build(r, code);
	warmed(r, expect_warm(r, DEDICATED), 0, "");
	*ret = expect_start(r);
	{
		/* Its client has left. */
		int gone = take_hello_of(ret, false);
		char c;

		assert_int_equal(read(gone, &c, 1), 0);
		(void)close(gone);
	};
	rig_started(r, ret->id, WARM_FOR_NOBODY);
	return conn;
}

static void end(struct rig *r, struct run *run, enum verdict verdict)
{
	util_close_fd(&run->serve);
	end_run(r, run->id, verdict);
}

static void deploy_requests(struct rig *r, const char *code, char version[WEB_UUID_LEN + 1])
{
	struct run run;
	const int conn = begin_request_deploy(r, code, &run);
	json_t *reply;

	say(run.serve, "{\"op\":\"ready\"}", NULL, 0);
	reply = rig_reply(conn);
	assert_true(json_is_true(json_object_get(reply, "ok")));
	(void)snprintf(version, WEB_UUID_LEN + 1, "%s", rig_text(reply, "version"));
	json_decref(reply);
	(void)close(conn);
	end(r, &run, VERDICT_OK);
}

static int connect_door(struct rig *r, const char *version)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(name.sun_path, sizeof(name.sun_path), "%s/edge/v/%s.sock", r->dir, version);
	assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	return fd;
}

/* What is written at one end comes out at the other. */
static void expect_pair(int a, int b)
{
	char c = 'x';

	assert_int_equal(util_write_all(a, &c, 1), 0);
	c = 0;
	assert_int_equal(util_read_all(b, &c, 1), 0);
	assert_int_equal(c, 'x');
}

static void wait_gone(struct rig *r, const char *name)
{
	for (unsigned i = 0; faccessat(r->cfg.edge_dirfd, name, F_OK, 0) == 0; i++) {
		assert_true(i < 3000);
		(void)usleep(10000);
	}
}

/* Nothing is asked of the monitor but to forget or end what is over. */
static void expect_no_start(struct rig *r)
{
	struct pollfd readable = {.fd = r->monitor, .events = POLLIN};
	int fds[PROTO_FDS_MAX];
	union proto_msg m;
	unsigned n;

	while (poll(&readable, 1, 0) > 0) {
		assert_int_equal(proto_recv(r->monitor, ROLE_FRONT, ROLE_MONITOR, &m, fds, &n), 0);
		assert_true(m.h.type == MON_FORGET || m.h.type == MON_KILL);
	}
}

static void test_requests(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1];
	int client[3], given[3];
	struct run run[3];
	json_t *o;
	char c;

	manifest = BY_REQUEST(",\"max\":2");
	deploy_requests(r, "one", version);
	/* Two at a time, each by its own run. */
	for (unsigned i = 0; i < 3; i++)
		client[i] = connect_door(r, version);
	for (unsigned i = 0; i < 2; i++) {
		run[i] = expect_start(r);
		given[i] = take_hello(&run[i]);
		expect_pair(client[i], given[i]);
		rig_started(r, run[i].id, WARM_FOR_NOBODY);
	}
	assert_string_not_equal(run[0].id, run[1].id);
	/* It has the version's bindings, and no other's answers. */
	o = ask(run[0].serve,
		"{\"op\":\"ask\",\"id\":1,\"binding\":\"KV\",\"method\":\"put\",\"key\":\"k\"}",
		"value");
	assert_true(json_is_true(json_object_get(o, "ok")));
	json_decref(o);
	o = ask(run[1].serve,
		"{\"op\":\"ask\",\"id\":1,\"binding\":\"KV\",\"method\":\"get\",\"key\":\"k\"}",
		"");
	assert_string_equal(hear_body, "value");
	json_decref(o);
	/* The third one's turn is when one of the two is over; none of them is in the list of instances. */
	expect_serves(r, version, 0);
	expect_no_start(r);
	(void)close(given[0]);
	end(r, &run[0], VERDICT_OK);
	run[2] = expect_start(r);
	given[2] = take_hello(&run[2]);
	expect_pair(client[2], given[2]);
	assert_int_equal(read(client[0], &c, 1), 0);
	/* One that was not started closes the connection, and frees the place. */
	(void)close(given[2]);
	end(r, &run[2], VERDICT_FAILED);
	assert_int_equal(read(client[2], &c, 1), 0);
	(void)close(given[1]);
	end(r, &run[1], VERDICT_OK);
	for (unsigned i = 0; i < 3; i++)
		(void)close(client[i]);
	manifest = MANIFEST;
}

/* A worker goes from one kind of isolation to the other: what was on its way to the door is served. */
static void test_leaves(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1], other[WEB_UUID_LEN + 1], path[64];
	struct instance i;
	struct run run;
	int client, given;

	manifest = BY_REQUEST("");
	deploy_requests(r, "one", version);
	manifest = MANIFEST;
	i = deploy(r, "two", other);
	client = connect_door(r, version);
	run = expect_start(r);
	given = take_hello(&run);
	expect_pair(client, given);
	(void)snprintf(path, sizeof(path), "v/%s.sock", version);
	wait_gone(r, path);
	expect_pair(given, client);
	(void)close(given);
	(void)close(client);
	end(r, &run, VERDICT_OK);
	forget(&i);
}

static void test_failures(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1];
	struct run run;
	int conn, client;
	char c;

	/* It says why it does not start, or it does not say so. */
	manifest = BY_REQUEST("");
	conn = begin_request_deploy(r, "one", &run);
	say(run.serve, "{\"op\":\"failed\",\"message\":\"no x\",\"file\":\"entry.py\",\"line\":7}",
	    NULL, 0);
	end(r, &run, VERDICT_EXIT);
	rig_expect_error(rig_reply(conn), "unavailable", "start: entry.py:7: no x");
	(void)close(conn);
	conn = begin_request_deploy(r, "two", &run);
	end(r, &run, VERDICT_EXIT);
	rig_expect_error(rig_reply(conn), "unavailable", "ended before it was ready");
	(void)close(conn);

	/* A front that is restarted makes the door anew; the runs of before are ended. */
	deploy_requests(r, "three", version);
	client = connect_door(r, version);
	run = expect_start(r);
	rig_kill(r);
	/* The next front is forked from here, and would have it, too. */
	util_close_fd(&run.serve);
	rig_start(r, true);
	assert_int_equal(read(client, &c, 1), 0);
	(void)close(client);
	expect_serves(r, version, 0);
	client = connect_door(r, version);
	run = expect_start(r);
	(void)close(take_hello(&run));
	end(r, &run, VERDICT_OK);
	(void)close(client);
	manifest = MANIFEST;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WEB(test_requests),
		WITH_WEB(test_leaves),
		WITH_WEB(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
