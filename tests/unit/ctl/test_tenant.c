// SPDX-License-Identifier: Apache-2.0
/* The tenant's verbs against a server that the test plays: requests, what is printed, refusals. */
#include "tests/unit/ctl_rig.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define PROJECT "111111111111111111111111"
#define TASK "222222222222222222222222"
#define API "/api/projects/" PROJECT
#define HELP(VERB) "Try 'sandboxctl help " VERB "'.\n"

struct http_turn {
	const char *request; /* "METHOD PATH", and behind a blank the body */
	int status;
	const char *answer;
};

struct tenant_case {
	const char *words[12];
	bool json, any_out;
	int status;
	const char *in, *out, *err;
	struct http_turn turns[4]; /* to the first without a request */
};

static char port[8];

/* The test's server listens where the rig's control socket would be, and the rig waits for the
 * server there. */
static int setup(void **state)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int r = ctl_rig_setup(state);

	util_close_fd(&ctl_rig.listener);
	ctl_rig.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(ctl_rig.listener, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(ctl_rig.listener, 8), 0);
	assert_int_equal(getsockname(ctl_rig.listener, (struct sockaddr *)&addr, &len), 0);
	(void)snprintf(port, sizeof(port), "%u", ntohs(addr.sin_port));
	(void)setenv("IRON_PORT", port, 1);
	(void)setenv("IRON_HOST", "127.0.0.1", 1);
	(void)setenv("IRON_PROJECT_ID", PROJECT, 1);
	(void)setenv("IRON_TOKEN", "secret", 1);
	(void)setenv("HOME", ctl_rig.dir, 1);
	return r;
}

/* Reads a request's header and body; the caller frees them. */
static char *read_request(int conn)
{
	char *text = calloc(1, 65536), *body, *length;
	size_t n = 0, want = 65535;

	assert_non_null(text);
	while (n < want) {
		ssize_t got;

		rig_readable(conn);
		got = recv(conn, text + n, 65535 - n, 0);
		assert_true(got > 0);
		n += (size_t)got;
		body = strstr(text, "\r\n\r\n");
		length = body ? strcasestr(text, "\r\nContent-Length: ") : NULL;
		if (body)
			want = (size_t)(body + 4 - text) +
			       (length && length < body ? strtoul(length + 18, NULL, 10) : 0);
	}
	return text;
}

static void take_turn(struct ctl_child *child, const struct http_turn *turn)
{
	char head[256], got[1024], *text;
	int conn = ctl_accept(child);
	const char *body;

	text = read_request(conn);
	assert_non_null(strstr(text, "\r\nAuthorization: OAuth secret\r\n"));
	body = strstr(text, "\r\n\r\n") + 4;
	(void)snprintf(got, sizeof(got), "%.*s%s%s", (int)(strstr(text, " HTTP/1.1\r\n") - text),
		       text, *body ? " " : "", body);
	assert_string_equal(got, turn->request);
	free(text);
	(void)snprintf(head, sizeof(head),
		       "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
		       turn->status, strlen(turn->answer));
	assert_int_equal(util_write_all(conn, head, strlen(head)), 0);
	assert_int_equal(util_write_all(conn, turn->answer, strlen(turn->answer)), 0);
	(void)close(conn);
}

static void tenant_try(const struct tenant_case *c)
{
	struct ctl_case verb = {.verb = ctl_tenant,
				.json = c->json,
				.in = c->in,
				.out = c->out,
				.err = c->err,
				.any_out = c->any_out};
	struct ctl_child child;
	char *out, *err;
	int status;

	memcpy(verb.words, c->words, sizeof(c->words));
	ctl_start(&verb, &child);
	for (size_t i = 0; i < ARRAY_SIZE(c->turns) && c->turns[i].request; i++)
		take_turn(&child, &c->turns[i]);
	ctl_end(&child, &status, &out, &err);
	ctl_rig_compare(&verb, "stderr", err, c->err, false);
	ctl_rig_compare(&verb, "stdout", out, c->out, c->any_out);
	assert_int_equal(status, c->status);
	free(out);
	free(err);
}

static void tenant_try_all(const struct tenant_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++)
		tenant_try(&cases[i]);
}

#define QUEUED_MSG                                                                                 \
	"sandboxctl: queued ('sandboxctl log -f " TASK "' follows it, 'sandboxctl status " TASK    \
	"' tells how it is)\n"

/* Each option becomes a member of the request; the payload is sent as text, whichever option it is
 * from. */
static void test_queue(void **state)
{
	static const struct tenant_case cases[] = {
		{.words = {"queue", "hello"},
		 .turns = {{"POST " API "/tasks {\"tasks\":[{\"code_name\":\"hello\"}]}", 200,
			    "{\"tasks\":[{\"id\":\"" TASK "\"}]}"}},
		 .out = TASK "\n",
		 .err = QUEUED_MSG},
		{.words = {"queue", "-n", "hello", "-p", "{\"a\":1}", "--priority", "2", "--delay",
			   "0", "--label", "l"},
		 .json = true,
		 .turns = {{"POST " API "/tasks {\"tasks\":[{\"payload\":\"{\\\"a\\\":1}\","
			    "\"priority\":2,\"delay\":0,\"label\":\"l\",\"code_name\":\"hello\"}]}",
			    200, "{\"tasks\":[{\"id\":\"" TASK "\"}]}"}},
		 .out = "{\n  \"id\": \"" TASK "\"\n}\n"},
		{.words = {"queue", "hello", "--payload-file", "-"},
		 .in = "from stdin\n",
		 .turns = {{"POST " API "/tasks {\"tasks\":[{\"payload\":\"from stdin\\n\","
			    "\"code_name\":\"hello\"}]}",
			    200, "{\"tasks\":[{\"id\":\"" TASK "\"}]}"}},
		 .out = TASK "\n",
		 .err = QUEUED_MSG},
		{.words = {"queue", "hello"},
		 .turns = {{"POST " API "/tasks {\"tasks\":[{\"code_name\":\"hello\"}]}", 200,
			    "{\"tasks\":[{\"id\":\"../../x\"}]}"}},
		 .status = 125,
		 .err = "sandboxctl: the answer names no id in \"tasks\"\n"},
		{.words = {"queue", "hello"},
		 .turns = {{"POST " API "/tasks {\"tasks\":[{\"code_name\":\"hello\"}]}", 404,
			    "{\"msg\":\"request: tasks[0].code_name: there is no worker "
			    "\\\"hello\\\": upload it first\"}"}},
		 .status = 125,
		 .err = "sandboxctl: NAME: there is no worker \"hello\": upload it first\n"},
		{.words = {"update", TASK, "--run-every", "5"},
		 .turns = {{"PUT " API "/schedules/" TASK " {\"run_every\":5}", 400,
			    "{\"msg\":\"request: run_every: must be 60 or more\"}"}},
		 .status = 125,
		 .err = "sandboxctl: --run-every: must be 60 or more\n"},
		{.words = {"schedule", "hello", "--cron", "* * * * *", "--run-times", "3"},
		 .json = true,
		 .turns = {{"POST " API "/schedules {\"schedules\":[{\"cron\":\"* * * * *\","
			    "\"run_times\":3,\"code_name\":\"hello\"}]}",
			    200, "{\"schedules\":[{\"id\":\"" TASK "\"}]}"}},
		 .out = "{\n  \"id\": \"" TASK "\"\n}\n"},
		{.words = {"update", TASK, "--run-every", "60"},
		 .turns = {{"PUT " API "/schedules/" TASK " {\"run_every\":60}", 200,
			    "{\"msg\":\"Updated\\u0007\"}"}},
		 .out = "Updated\\x07\n"},
		{.words = {"retry", TASK, "--delay", "5"},
		 .turns = {{"POST " API "/tasks/" TASK "/retry {\"delay\":5}", 200,
			    "{\"tasks\":[{\"id\":\"" TASK "\"}]}"}},
		 .out = TASK "\n",
		 .err = QUEUED_MSG},
	};

	(void)state;
	tenant_try_all(cases, ARRAY_SIZE(cases));
}

/* A request that is not possible is an error that names the option, before anything is sent. */
static void test_wrong_words(void **state)
{
	static const struct {
		const char *words[8], *err;
	} rows[] = {
		{{"queue"}, "sandboxctl queue: names no worker\n" HELP("queue")},
		{{"queue", "a", "b"}, "sandboxctl queue: does not take 'b'\n" HELP("queue")},
		{{"queue", "a", "--priority", "3"},
		 "sandboxctl: --priority: must be a number from 0 to 2\n"},
		{{"queue", "a", "--timeout", "3601"},
		 "sandboxctl: --timeout: must be a number from 0 to 3600\n"},
		{{"queue", "a", "--delay", "-1"},
		 "sandboxctl: --delay: must be a number from 0 to 604800\n"},
		{{"queue", "a", "-p", "1", "-f", "x"},
		 "sandboxctl: --payload, --payload-file: give one, once\n"},
		{{"queue", "a", "-p", "\xff"}, "sandboxctl: --payload: must be UTF-8 text\n"},
		{{"queue", "\xff"}, "sandboxctl: the worker's name: must be UTF-8 text\n"},
		{{"queue", "a", "-f", "none"},
		 "sandboxctl: --payload-file: none: No such file or directory\n"},
		{{"queue", "a", "--cron", "x"},
		 "sandboxctl queue: there is no option --cron here\n" HELP("queue")},
		{{"schedule", "a", "--wait"},
		 "sandboxctl schedule: there is no option --wait here\n" HELP("schedule")},
		{{"update", "abc", "--delay", "1"},
		 "sandboxctl: 'abc' is no schedule's id: 24 hexadecimal digits\n"},
		{{"update", TASK}, "sandboxctl: update: names nothing to change\n"},
		{{"retry", TASK, "-p", "x"},
		 "sandboxctl: retry: takes only --delay and --wait; all else is the task's own "
		 "('sandboxctl queue' queues another)\n"},
		{{"status", "../x"}, "sandboxctl: '../x' is no task's id: 24 hexadecimal digits\n"},
		{{"log", "x"}, "sandboxctl: 'x' is no task's id: 24 hexadecimal digits\n"},
		{{"cancel-task"}, "sandboxctl cancel-task: names no task\n" HELP("cancel-task")},
		{{"tasks", "--limit", "0"},
		 "sandboxctl: --limit: must be a number from 1 to 1000000\n"},
		{{"codes", "x"}, "sandboxctl codes: does not take 'x'\n" HELP("codes")},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct tenant_case c = {.status = 125, .err = rows[i].err};

		memcpy(c.words, rows[i].words, sizeof(rows[i].words));
		tenant_try(&c);
	}
}

/* Lists are read to their last page and printed as tables; the filters are escaped in the URL. */
static void test_lists(void **state)
{
	static const struct tenant_case cases[] = {
		{.words = {"codes"},
		 .turns = {{"GET " API "/codes?page=0&per_page=100", 200,
			    "{\"codes\":[{\"name\":\"a\\u001b\",\"rev\":2,\"image\":\"base\","
			    "\"queued\":1,\"running\":0,\"paused\":true,\"latest_change\":"
			    "\"2026-01-31T12:34:56.7Z\"}]}"}},
		 .out = "NAME   REVISION  IMAGE  QUEUED  RUNNING  PAUSED  CHANGED\n"
			"a\\x1b  2         base   1       0        paused  2026-01-31T12:34:56Z\n"},
		{.words = {"tasks", "--code", "a&b", "--limit", "2", "--status=queued"},
		 .turns = {{"GET " API "/tasks?limit=2&code_name=a%26b&status=queued", 200,
			    "{\"tasks\":[{\"id\":\"t1\",\"status\":\"queued\"}],\"before\":\"t1/"
			    "\"}"},
			   {"GET " API "/tasks?limit=1&code_name=a%26b&status=queued&before=t1%2F",
			    200,
			    "{\"tasks\":[{\"id\":\"t2\",\"exit_code\":1}],\"before\":\"t2\"}"}},
		 .out = "TASK  WORKER  STATUS  EXIT  ATTEMPT  CREATED  LABEL\n"
			"t1            queued\n"
			"t2                    1\n"},
		{.words = {"dead-letters"},
		 .json = true,
		 .turns = {{"GET " API "/dead_letters?limit=30", 200, "{\"tasks\":[]}"}},
		 .out = "[]\n"},
		{.words = {"schedules"},
		 .turns = {{"GET " API "/schedules?page=0&per_page=100", 200,
			    "{\"schedules\":[{\"id\":\"s1\",\"cron\":\"* * * * *\",\"timezone\":"
			    "\"UTC\",\"next_start\":\"0001-01-01T00:00:00Z\"},{\"id\":\"s2\","
			    "\"run_every\":60},{\"id\":\"s3\"}]}"}},
		 .out = "SCHEDULE  WORKER  STATUS  NEXT  RUNS  WHEN           MESSAGE\n"
			"s1                                    * * * * * UTC\n"
			"s2                                    every 60 s\n"
			"s3                                    once\n"},
		{.words = {"stacks"},
		 .turns = {{"GET /2/stacks", 200, "[\"base\",\"b\\u0007\",7]"}},
		 .out = "base\nb\\x07\n\n"},
	};

	(void)state;
	tenant_try_all(cases, ARRAY_SIZE(cases));
}

#define CODES                                                                                      \
	{                                                                                          \
		"GET " API "/codes?page=0&per_page=100", 200,                                      \
			"{\"codes\":[{\"name\":\"other\",\"id\":\"x\"},{\"name\":\"hello\","       \
			"\"id\":\"" TASK "\"}]}"                                                   \
	}

/* A worker is found by its name; one that is named by its id is asked for directly. */
static void test_codes(void **state)
{
	static const struct tenant_case cases[] = {
		{.words = {"pause", "hello"},
		 .turns = {CODES,
			   {"POST " API "/codes/" TASK "/pause_task_queue {}", 200,
			    "{\"msg\":\"Paused\"}"}},
		 .out = "Paused\n"},
		{.words = {"resume", TASK},
		 .turns = {{"GET " API "/codes/" TASK, 200, "{\"id\":\"" TASK "\"}"},
			   {"POST " API "/codes/" TASK "/resume_task_queue {}", 200,
			    "{\"msg\":\"Resumed\"}"}},
		 .json = true,
		 .out = "{\n  \"msg\": \"Resumed\"\n}\n"},
		{.words = {"rm-code", "hello"},
		 .turns = {CODES,
			   {"DELETE " API "/codes/" TASK " {}", 200, "{\"msg\":\"Deleted\"}"}},
		 .out = "Deleted\n"},
		{.words = {"info", "none"},
		 .turns = {CODES},
		 .status = 125,
		 .err = "sandboxctl: there is no worker 'none' in this project ('sandboxctl "
			"workers' "
			"lists them, 'sandboxctl upload none' makes it)\n"},
		{.words = {"info", TASK},
		 .turns = {{"GET " API "/codes/" TASK, 200,
			    "{\"name\":\"hello\",\"id\":\"" TASK
			    "\",\"rev\":3,\"max_concurrency\":-1,"
			    "\"paused\":true,\"retries_delay\":60,\"env_vars\":{\"A\\u001b\":\"b\"}"
			    "}"}},
		 .out = "name         hello\nid           " TASK "\nrevision     3\n"
			"retry delay  60 s\npaused       yes\nenv          A\\x1b=b\n"},
	};

	(void)state;
	tenant_try_all(cases, ARRAY_SIZE(cases));
}

/* The URL holds the token only where that is wanted. */
static void test_webhook(void **state)
{
	struct tenant_case c = {
		.words = {"webhook", "hello"},
		.turns = {{"GET " API "/codes?page=0&per_page=100", 200,
			   "{\"codes\":[{\"name\":\"hello\",\"id\":\"x\"}]}"}},
		.err = "sandboxctl: needs the header 'Authorization: OAuth TOKEN', or "
		       "--with-token here\n"};
	char out[256];

	(void)state;
	(void)snprintf(out, sizeof(out),
		       "http://127.0.0.1:%s/2/projects/" PROJECT "/tasks/webhook?code_name=hello\n",
		       port);
	c.out = out;
	tenant_try(&c);
	(void)snprintf(out, sizeof(out),
		       "http://127.0.0.1:%s/2/projects/" PROJECT
		       "/tasks/webhook?code_name=hello&oauth=secret\n",
		       port);
	c.words[2] = "--with-token";
	c.err = NULL;
	tenant_try(&c);
}

/* Each of several tasks is asked for, even if the request for the one before it failed. */
static void test_cancel(void **state)
{
	static const struct tenant_case cases[] = {
		{.words = {"cancel-task", TASK, "x", PROJECT},
		 .turns = {{"POST " API "/tasks/" TASK "/cancel {}", 409, "{\"msg\":\"it ended\"}"},
			   {"POST " API "/tasks/" PROJECT "/cancel {}", 200, "{}"}},
		 .status = 125,
		 .err = "sandboxctl: it ended\n"
			"sandboxctl: 'x' is no task's id: 24 hexadecimal digits\n"},
		{.words = {"cancel-schedule", TASK},
		 .turns = {{"POST " API "/schedules/" TASK "/cancel {}", 200, "{}"}}},
	};

	(void)state;
	tenant_try_all(cases, ARRAY_SIZE(cases));
}

/* An error is printed in the server's words; a refused token is named by the place that it is from,
 * and is never shown. */
static void test_refused(void **state)
{
	static const struct {
		int status;
		const char *answer, *err;
	} rows[] = {
		{401, "{\"msg\":\"no\\u001b\"}",
		 "sandboxctl: the token of IRON_TOKEN is not one of project " PROJECT
		 ", or was revoked: no\\x1b\n"},
		{404, "{\"msg\":\"Not found\"}",
		 "sandboxctl: there is no project " PROJECT
		 ", or the token of IRON_TOKEN is not one of it\n"},
		{404, "{\"msg\":\"There is no task\"}", "sandboxctl: There is no task\n"},
		{400, "{\"msg\":\"request: tasks[0].delay: too long\"}",
		 "sandboxctl: delay: too long\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		tenant_try(&(struct tenant_case){
			.words = {"status", TASK},
			.turns = {{"GET " API "/tasks/" TASK, rows[i].status, rows[i].answer}},
			.status = 125,
			.err = rows[i].err});
}

/* An error about a server that is not sandboxd names the place that its address is from. */
static void test_other_server(void **state)
{
	static const struct {
		int status;
		const char *answer, *says;
	} rows[] = {
		{200, "<html>", "does not answer with JSON: is it sandboxd?"},
		{200, "{\"a\":1,\"a\":2}", "does not answer with JSON: is it sandboxd?"},
		{200, "", "does not answer with JSON: is it sandboxd?"},
		{500, "<html>", "answers with HTTP status 500: is it sandboxd?"},
		{302, "", "answers with HTTP status 302: is it sandboxd?"},
	};
	char err[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		(void)snprintf(err, sizeof(err), "sandboxctl: 127.0.0.1:%s %s\n", port,
			       rows[i].says);
		tenant_try(&(struct tenant_case){
			.words = {"status", TASK},
			.turns = {{"GET " API "/tasks/" TASK, rows[i].status, rows[i].answer}},
			.status = 125,
			.err = err});
	}
}

/* What `status` prints about a task. */
static void test_status(void **state)
{
	static const struct tenant_case cases[] = {
		{.words = {"status", TASK},
		 .turns = {{"GET " API "/tasks/" TASK, 200,
			    "{\"status\":\"error\",\"msg\":\"m\\n\",\"code_name\":\"hello\","
			    "\"percent\":40,\"exit_code\":1,\"duration_ms\":1.5,\"dead_letter\":"
			    "true}"}},
		 .out = "status       error\nmessage      m\\x0a\nworker       hello\n"
			"percent      40 %\nexit status  1\nduration     1.5 ms\n"
			"dead letter  yes: no retry is left\n"},
		{.words = {"log", TASK},
		 .turns = {{"GET " API "/tasks/" TASK "/log", 200, "as it\x1b[2J is\n"}},
		 .out = "as it\x1b[2J is\n"},
	};

	(void)state;
	tenant_try_all(cases, ARRAY_SIZE(cases));
}

#define TENANT_TEST(TEST) cmocka_unit_test_setup_teardown(TEST, setup, ctl_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TENANT_TEST(test_queue),   TENANT_TEST(test_wrong_words),  TENANT_TEST(test_lists),
		TENANT_TEST(test_codes),   TENANT_TEST(test_webhook),	   TENANT_TEST(test_cancel),
		TENANT_TEST(test_refused), TENANT_TEST(test_other_server), TENANT_TEST(test_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
