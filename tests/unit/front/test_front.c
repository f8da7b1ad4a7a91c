// SPDX-License-Identifier: Apache-2.0
/* How the front behaves towards clients, the monitor and the logger. */
#include "tests/unit/front_rig.h"

static void read_job(int fd, char *job, size_t size)
{
	ssize_t n = pread(fd, job, size - 1, 0);

	assert_true(n > 0);
	job[n] = '\0';
}

/* Expects that the monitor is asked to start a task. */
static void expect_start(struct rig *r, char id[TASK_ID_LEN + 1])
{
	const struct limits want = {32 << 20, 1 << 20, 1 << 20, 1000, 32, 7, 64};
	int fds[PROTO_FDS_MAX];
	union proto_msg m;
	char job[4096];

	rig_expect(r, false, MON_START, &m, fds);
	strcpy(id, m.start.id);
	assert_int_equal(m.start.start, START_AUTO);
	assert_int_equal(m.start.has_package, 0);
	assert_memory_equal(m.start.image, r->image, 32);
	assert_memory_equal(m.start.policy, r->policy, 32);
	assert_memory_equal(&m.start.limits, &want, sizeof(want));
	assert_string_equal(m.start.warm, "json\nre");
	assert_true(m.start.received_ns > 0 && m.start.received_ns < util_monotonic_ns());
	read_job(fds[0], job, sizeof(job));
	assert_non_null(strstr(job, "kind 4\ncode\ncode 8\nprint(1)\npayload 7\n{\"n\":1}\n"));
	util_close_fd(&fds[0]);
}

/* Expects that the logger is given the socket that came with the request. */
static void expect_follow(struct rig *r, const char *id, int other_end)
{
	int fds[PROTO_FDS_MAX];
	union proto_msg m;
	char byte;

	rig_expect(r, true, LOG_FOLLOW, &m, fds);
	assert_string_equal(m.log_follow.id, id);
	assert_int_equal(m.log_follow.live, 1);
	assert_int_equal(m.log_follow.follow, 1);
	assert_int_equal(m.log_follow.streams, 3);
	assert_int_equal(write(fds[0], "x", 1), 1);
	assert_int_equal(read(other_end, &byte, 1), 1);
	util_close_fd(&fds[0]);
}

static void assert_finished(const json_t *reply, const char *id)
{
	const json_t *task = json_object_get(reply, "task");
	const json_t *start = json_object_get(task, "start");

	assert_string_equal(rig_text(reply, "event"), "finished");
	assert_string_equal(rig_text(task, "id"), id);
	assert_string_equal(rig_text(task, "project"), "default");
	assert_string_equal(rig_text(task, "image"), "python");
	assert_string_equal(rig_text(task, "status"), "error");
	assert_string_equal(rig_text(task, "verdict"), "exit");
	assert_string_equal(rig_text(task, "label"), "first");
	assert_int_equal(json_integer_value(json_object_get(task, "exit_code")), 3);
	assert_true(json_is_null(json_object_get(task, "signal")));
	assert_string_equal(rig_text(start, "mode"), "restore");
	assert_true(json_real_value(json_object_get(start, "ms")) > 0);
	assert_true(json_real_value(json_object_get(json_object_get(task, "usage"), "cpu_ms")) ==
		    12.5);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(task, "log"), "lines")),
			 3);
	assert_true(strcmp(rig_text(task, "created_at"), rig_text(task, "started_at")) < 0);
	assert_true(strcmp(rig_text(task, "started_at"), rig_text(task, "finished_at")) < 0);
}

/* The whole life of one task. */
static void test_run(void **state)
{
	static const char text[] =
		"{\"op\":\"run\",\"image\":\"python\",\"tag\":5,\"task\":{\"code\":\"print(1)\","
		"\"payload\":{\"n\":1},\"limits\":{\"memory\":\"32M\",\"timeout\":7},"
		"\"label\":\"first\",\"start\":\"auto\",\"priority\":1}}";
	struct rig *r = *state;
	char id[TASK_ID_LEN + 1];
	union proto_msg m;
	int pair[2], conn;
	json_t *reply;

	rig_start(r, true);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	conn = rig_connect(r);
	rig_request_fds(conn, text, &pair[1], 1);
	(void)close(pair[1]);
	expect_start(r, id);
	expect_follow(r, id, pair[0]);
	(void)close(pair[0]);
	/* The client hears of each step, with its tag. */
	reply = rig_reply(conn);
	assert_string_equal(rig_text(reply, "event"), "accepted");
	assert_string_equal(rig_text(reply, "id"), id);
	assert_int_equal(json_integer_value(json_object_get(reply, "tag")), 5);
	json_decref(reply);
	rig_expect_status(r, id, "preparing");
	rig_started(r, id, WARM_FOR_NOBODY);
	reply = rig_reply(conn);
	assert_string_equal(rig_text(reply, "event"), "started");
	assert_string_equal(rig_text(json_object_get(reply, "start"), "mode"), "restore");
	json_decref(reply);
	rig_expect_status(r, id, "running");
	/* The task's end and the log's end, in either order, make it finished. */
	rig_log_end(r, id);
	assert_true(rig_quiet(conn, 30));
	rig_exited(r, id, VERDICT_EXIT, 3 << 8);
	reply = rig_reply(conn);
	assert_finished(reply, id);
	json_decref(reply);
	rig_expect(r, false, MON_FORGET, &m, NULL);
	assert_string_equal(m.forget.id, id);
	/* The same answers come from the store, by a prefix of the id, and for clients that wait
	 * only after the end. */
	reply = rig_ask(r, "wait", id);
	assert_string_equal(rig_text(json_object_get(reply, "task"), "status"), "error");
	json_decref(reply);
	id[20] = '\0';
	reply = rig_ask(r, "inspect", id);
	assert_string_equal(rig_text(json_object_get(reply, "task"), "status"), "error");
	assert_int_equal(json_array_size(json_object_get(reply, "history")), 4);
	json_decref(reply);
	(void)close(conn);
}

/* A client's socket is sent to the monitor, behind the job; a socket that the monitor would refuse
 * is refused here. */
static void test_input(void **state)
{
#define INPUT(start)                                                                               \
	"{\"op\":\"run\",\"image\":\"python\",\"log\":false,\"input\":true,\"task\":"              \
	"{\"code\":\"1\",\"start\":\"" start "\"}}"
	struct rig *r = *state;
	int pair[2], fds[PROTO_FDS_MAX], alone = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int conn;
	union proto_msg m;
	char byte;

	rig_start(r, true);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	conn = rig_connect(r);
	rig_request_fds(conn, INPUT("cold"), NULL, 0);
	rig_expect_error(rig_reply(conn), "input", "0 descriptors came along");
	rig_request_fds(conn, INPUT("auto"), &pair[1], 1);
	rig_expect_error(rig_reply(conn), "input", "only a task that starts cold can have it");
	rig_request_fds(conn, INPUT("cold"), &alone, 1);
	rig_expect_error(rig_reply(conn), "input", "the socket for the input must be connected");
	rig_request_fds(conn, INPUT("cold"), &pair[1], 1);
	(void)close(pair[1]);
	rig_expect(r, false, MON_START, &m, fds);
	assert_int_equal(m.start.has_package, 0);
	assert_int_equal(m.start.has_input, 1);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(read(pair[0], &byte, 1), 1);
	util_close_fd(&fds[0]);
	util_close_fd(&fds[1]);
	rig_expect_event(conn, "accepted", NULL);
	/* No other process has the socket open. */
	assert_int_equal(read(pair[0], &byte, 1), 0);
	(void)close(alone);
	(void)close(pair[0]);
	/* The socket may also come after a log's socket and a folder. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	rig_request_fds(conn, INPUT("cold"), (const int[]){pair[1], pair[1], pair[1]}, 3);
	rig_expect_error(rig_reply(conn), "input", "3 descriptors came along");
	(void)close(pair[0]);
	(void)close(pair[1]);
	(void)close(conn);
#undef INPUT
}

static void test_version(void **state)
{
	struct rig *r = *state;
	json_t *reply;

	rig_start(r, false);
	reply = rig_call(r, "{\"op\":\"version\"}");
	assert_string_equal(rig_text(reply, "version"), SANDBOXD_VERSION);
	assert_int_equal(json_integer_value(json_object_get(reply, "pid")), r->pid);
	json_decref(reply);
}

static void test_errors(void **state)
{
#define RUN(rest) "{\"op\":\"run\"," rest "}"
	static const struct {
		const char *request, *code, *error;
	} cases[] = {
		{"[]", "input", "request: must be an object"},
		{"{", "input", "request: line 1"},
		{"{}", "input", "op: must be given"},
		{"{\"op\":1}", "input", "op: must be a string"},
		{"{\"op\":\"fly\\u001b\"}", "input", "there is no operation \"fly\\x1b\""},
		{"{\"op\":\"version\",\"x\":1}", "input", "request: x: unknown key"},
		{"{\"op\":\"version\",\"tag\":\"a\"}", "input", "tag: must be an integer"},
		{"{\"op\":\"ps\",\"all\":1}", "input", "all: must be true or false"},
		{"{\"op\":\"inspect\"}", "input", "id: must be given"},
		{"{\"op\":\"inspect\",\"id\":\"abc\"}", "input", "id: must be a task's id"},
		{"{\"op\":\"inspect\",\"id\":\"../../etc\"}", "input", "id: must be a task's id"},
		{"{\"op\":\"inspect\",\"id\":\"0123\"}", "not-found", "there is no task 0123"},
		{"{\"op\":\"wait\",\"id\":\"0123456789abcdef01234567\"}", "not-found", "no task"},
		{"{\"op\":\"cancel\",\"id\":\"0123456789abcdef01234567\"}", "not-found", "no task"},
		{"{\"op\":\"rm\",\"id\":\"0123456789abcdef01234567\"}", "not-found", "no task"},
		{"{\"op\":\"logs\",\"id\":\"0123456789abcdef01234567\"}", "input", "socket"},
		{"{\"op\":\"warm\"}", "input", "image: must be given"},
		{"{\"op\":\"warm\",\"image\":\"nope\"}", "not-found", "no image \"nope\""},
		{"{\"op\":\"warm\",\"image\":\"python\",\"imports\":[\"a b\"]}", "input",
		 "imports[0]"},
		{RUN("\"image\":\"python\""), "input", "task: must be given"},
		{RUN("\"task\":{\"code\":\"x\"}"), "input", "image: must be given"},
		{RUN("\"image\":\"../x\",\"task\":{\"code\":\"x\"}"), "input", "image: must be"},
		{RUN("\"image\":\"nope\",\"task\":{\"code\":\"x\"}"), "not-found",
		 "no image \"nope\""},
		{RUN("\"image\":\"python\",\"task\":{\"code\":1}"), "input",
		 "task.json: code: must be"},
		{RUN("\"image\":\"python\",\"task\":{\"code\":\"x\",\"policy\":\"nope\"}"),
		 "not-found", "no policy \"nope\""},
		{RUN("\"image\":\"python\",\"task\":{\"code\":\"x\",\"limits\":{\"memory\":\"1G\"}"
		     "}"),
		 "input", "limits.memory: 1G is more than the policy \"default\" allows (128M)"},
		{RUN("\"image\":\"python\",\"task\":{\"exec\":\"x.py\"}"), "input",
		 "was not sent along"},
		{RUN("\"image\":\"python\",\"task\":{\"exec\":\"x.py\",\"package\":\"p\"}"),
		 "input", "task.json: package: unknown key"},
		{RUN("\"image\":\"python\",\"start\":\"hot\",\"task\":{\"code\":\"x\"}"), "input",
		 "start: must be"},
		{RUN("\"image\":\"python\",\"log\":true,\"task\":{\"code\":\"x\"}"), "input",
		 "0 descriptors came along"},
	};
	struct rig *r = *state;
	json_t *reply;

	rig_start(r, true);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		rig_expect_error(rig_call(r, cases[i].request), cases[i].code, cases[i].error);
	/* Nothing was created, and no other role was asked. */
	assert_true(rig_quiet(r->monitor, 30));
	assert_true(rig_quiet(r->logger, 0));
	reply = rig_call(r, "{\"op\":\"ps\",\"all\":true}");
	assert_int_equal(json_array_size(json_object_get(reply, "tasks")), 0);
	json_decref(reply);
}

static void test_logs(void **state)
{
	struct rig *r = *state;
	char id[TASK_ID_LEN + 1], text[200];
	int pair[2], fds[PROTO_FDS_MAX], conn;
	union proto_msg m;
	json_t *reply;

	rig_start(r, true);
	(void)close(rig_run(r, RIG_CODE, id));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	conn = rig_connect(r);
	(void)snprintf(text, sizeof(text),
		       "{\"op\":\"logs\",\"id\":\"%s\",\"follow\":true,\"since_ns\":77,"
		       "\"streams\":2,\"cursor\":9}",
		       id);
	rig_request_fds(conn, text, &pair[1], 1);
	reply = rig_reply(conn);
	assert_true(json_is_true(json_object_get(reply, "live")));
	json_decref(reply);
	rig_expect(r, true, LOG_FOLLOW, &m, fds);
	assert_string_equal(m.log_follow.id, id);
	assert_int_equal(m.log_follow.since_ns, 77);
	assert_int_equal(m.log_follow.cursor, 9);
	assert_int_equal(m.log_follow.streams, 2);
	assert_int_equal(m.log_follow.live, 1);
	util_close_fd(&fds[0]);
	/* Not a socket. */
	fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
	rig_request_fds(conn, text, fds, 1);
	rig_expect_error(rig_reply(conn), "input", "must be a unix stream socket");
	/* After its end the log is as it is. */
	rig_exited(r, id, VERDICT_OK, 0);
	rig_log_end(r, id);
	rig_expect(r, false, MON_FORGET, &m, NULL);
	(void)snprintf(text, sizeof(text), "{\"op\":\"logs\",\"id\":\"%.6s\"}", id);
	rig_request_fds(conn, text, &pair[1], 1);
	reply = rig_reply(conn);
	assert_true(json_is_false(json_object_get(reply, "live")));
	json_decref(reply);
	rig_expect(r, true, LOG_FOLLOW, &m, NULL);
	assert_int_equal(m.log_follow.live, 0);
	assert_int_equal(m.log_follow.streams, 3);
	util_close_fd(&fds[0]);
	(void)close(pair[0]);
	(void)close(pair[1]);
	(void)close(conn);
}

static void test_images_in_use(void **state)
{
	struct rig *r = *state;
	char id[TASK_ID_LEN + 1], hex[65];
	json_t *reply, *image;

	rig_start(r, true);
	(void)close(rig_run(r, RIG_CODE, id));
	(void)close(rig_run(r, RIG_CODE, id));
	reply = rig_call(r, "{\"op\":\"image_in_use\"}");
	assert_int_equal(json_array_size(json_object_get(reply, "images")), 1);
	image = json_array_get(json_object_get(reply, "images"), 0);
	util_hex(r->image, 32, hex);
	assert_string_equal(rig_text(image, "digest"), hex);
	assert_string_equal(rig_text(image, "name"), "python");
	assert_int_equal(json_integer_value(json_object_get(image, "tasks")), 2);
	json_decref(reply);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_RIG(test_run),    WITH_RIG(test_input), WITH_RIG(test_version),
		WITH_RIG(test_errors), WITH_RIG(test_logs),  WITH_RIG(test_images_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
