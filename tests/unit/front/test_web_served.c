// SPDX-License-Identifier: Apache-2.0
/* Runs that belong to a client, in a real front: the test plays the client, the monitor and the code in
 * the sandbox. */
#include "tests/unit/web_rig.h"

#include <poll.h>

#include "lib/fdpass.h"

#define SERVE(build)                                                                               \
	"{\"op\":\"serve\",\"project\":\"default\",\"image\":\"web\",\"build\":" build             \
	",\"task\":{\"entry\":\"_sandboxd_http.instance:main\",\"payload\":{\"main\":\"own\"},"    \
	"\"warm\":{\"imports\":[\"_sandboxd_http.warm\"]}}}"

struct client {
	int conn, link, log;
};

static struct client ask_for(struct rig *r, const char *request)
{
	struct client c = {.conn = rig_connect(r)};
	int link[2], log[2], fds[3];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, log), 0);
	fds[0] = log[1];
	fds[1] = link[1];
	fds[2] = tar("own.py", "pass\n");
	rig_request_fds(c.conn, request, fds, 3);
	for (unsigned i = 0; i < 3; i++)
		(void)close(fds[i]);
	c.link = link[0];
	c.log = log[0];
	return c;
}

static void leave(struct client *c)
{
	util_close_fd(&c->conn);
	util_close_fd(&c->link);
	util_close_fd(&c->log);
}

/* The connection that comes, or -1 for the answer that there is none. */
static int connection(const struct client *c)
{
	int fd = -1, n = 1;
	char answer = 0;

	rig_readable(c->link);
	assert_int_equal(fds_receive(c->link, &answer, 1, &fd, &n, 0), 1);
	assert_int_equal(answer, n == 1 ? '+' : '-');
	return n == 1 ? fd : -1;
}

static void expect_pair(int a, int b)
{
	char c = 'x';

	assert_int_equal(util_write_all(a, &c, 1), 0);
	c = 0;
	assert_int_equal(util_read_all(b, &c, 1), 0);
	assert_int_equal(c, 'x');
}

static void expect_event(const struct client *c, const char *event)
{
	json_t *reply = rig_reply(c->conn);

	assert_true(json_is_true(json_object_get(reply, "ok")));
	assert_string_equal(rig_text(reply, "event"), event);
	json_decref(reply);
}

static void expect_killed(struct rig *r, const char *id)
{
	int fds[PROTO_FDS_MAX];
	union proto_msg m;
	unsigned n;

	do {
		rig_readable(r->monitor);
		assert_int_equal(proto_recv(r->monitor, ROLE_FRONT, ROLE_MONITOR, &m, fds, &n), 0);
	} while (m.h.type == MON_FORGET);
	assert_int_equal(m.h.type, MON_KILL);
	assert_string_equal(m.kill.id, id);
	assert_int_equal(m.kill.reason, KILL_CANCEL_KILL);
}

static void test_serves(void **state)
{
	struct rig *r = *state;
	struct client c = ask_for(r, SERVE("false"));
	struct run run = expect_start(r);
	int given[2], taken[2];
	json_t *reply;
	char path[80];

	assert_non_null(strstr(run.job, "_sandboxd_http.instance:main"));
	assert_non_null(strstr(run.job, "{\"main\":\"own\"}"));
	expect_event(&c, "accepted");
	/* A connection may be asked for before the run accepts any. */
	assert_int_equal(util_write_all(c.link, "cc", 2), 0);
	given[0] = connection(&c);
	given[1] = connection(&c);
	for (unsigned i = 0; i < 2; i++) {
		rig_readable(run.serve);
		taken[i] = accept4(run.serve, NULL, NULL, SOCK_CLOEXEC);
		assert_true(taken[i] >= 0);
		expect_pair(given[i], taken[i]);
		(void)close(given[i]);
		(void)close(taken[i]);
	}
	rig_started(r, run.id, WARM_FOR_NOBODY);
	expect_event(&c, "started");
	/* It is in no store. */
	rig_expect_status(r, run.id, "running");
	(void)close(run.serve);
	end_run(r, run.id, VERDICT_OK);
	reply = rig_reply(c.conn);
	assert_string_equal(rig_text(reply, "event"), "finished");
	assert_string_equal(rig_text(json_object_get(reply, "task"), "id"), run.id);
	json_decref(reply);
	(void)snprintf(path, sizeof(path), "i/%s.sock", run.id);
	assert_int_equal(faccessat(r->cfg.edge_dirfd, path, F_OK, 0), -1);
	leave(&c);
	reply = rig_ask(r, "inspect", run.id);
	rig_expect_error(reply, "not-found", "");
}

/* Whose client leaves is killed. */
static void test_ends_with_its_client(void **state)
{
	struct rig *r = *state;
	struct client c = ask_for(r, SERVE("false"));
	struct run run = expect_start(r);

	rig_started(r, run.id, WARM_FOR_NOBODY);
	leave(&c);
	expect_killed(r, run.id);
	(void)close(run.serve);
	end_run(r, run.id, VERDICT_CANCELLED);
}

static void test_builds(void **state)
{
	struct rig *r = *state;
	struct client c = ask_for(r, SERVE("true"));
	struct run run = expect_start(r);
	const int given = connection(&c);

	expect_pair(given, run.serve);
	expect_pair(run.serve, given);
	/* It has this one connection. */
	assert_int_equal(util_write_all(c.link, "c", 1), 0);
	expect_killed(r, run.id);
	(void)close(given);
	(void)close(run.serve);
	end_run(r, run.id, VERDICT_CANCELLED);
	leave(&c);
}

static void test_refuses(void **state)
{
	struct rig *r = *state;
	struct client c;
	int conn = rig_connect(r);

	rig_request_fds(conn, SERVE("false"), NULL, 0);
	rig_expect_error(rig_reply(conn), "input", "link");
	(void)close(conn);
	c = ask_for(r, "{\"op\":\"serve\",\"project\":\"default\",\"image\":\"web\","
		       "\"task\":{\"code\":\"pass\"}}");
	rig_expect_error(rig_reply(c.conn), "input", "entry");
	leave(&c);
	c = ask_for(r, "{\"op\":\"serve\",\"project\":\"default\",\"image\":\"other\","
		       "\"task\":{\"entry\":\"own:main\"}}");
	rig_expect_error(rig_reply(c.conn), "not-found", "other");
	leave(&c);
}

static void test_images(void **state)
{
	struct rig *r = *state;
	json_t *reply = rig_call(r, "{\"op\":\"web_images\",\"project\":\"default\"}");
	const json_t *first = json_array_get(json_object_get(reply, "images"), 0);

	assert_string_equal(json_string_value(json_array_get(first, 0)), "web");
	json_decref(reply);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WEB(test_serves), WITH_WEB(test_ends_with_its_client),
		WITH_WEB(test_builds), WITH_WEB(test_refuses),
		WITH_WEB(test_images),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
