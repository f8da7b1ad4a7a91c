// SPDX-License-Identifier: Apache-2.0
/* run and logs: what is sent to the daemon, what comes back, and what a signal or a lost daemon
 * does. */
#include "tests/unit/ctl_rig.h"

#include "wire/proto.h"

#define ID "0123456789abcdef01234567"
#define ACCEPTED "{\"ok\":true,\"event\":\"accepted\",\"id\":\"" ID "\"}"
#define STARTED(MORE) "{\"ok\":true,\"event\":\"started\"" MORE "}"
#define FINISHED(TASK) "{\"ok\":true,\"event\":\"finished\",\"task\":" TASK "}"
#define OK_TASK "{\"verdict\":\"ok\",\"exit_code\":0}"

/* A task that `run` has sent. */
struct sent {
	struct ctl_child child;
	int conn, fds[PROTO_FDS_MAX];
	unsigned n_fds;
	char *request;
};

static void send_task(const struct ctl_case *c, struct sent *s)
{
	ctl_start(c, &s->child);
	s->conn = ctl_accept(&s->child);
	s->n_fds = PROTO_FDS_MAX;
	s->request = ctl_request(s->conn, s->fds, &s->n_fds);
}

static void send_code(struct sent *s)
{
	const struct ctl_case c = {.verb = ctl_run, .words = {"run", "base", "--code", "x"}};

	send_task(&c, s);
	assert_int_equal(s->n_fds, 1);
}

/* Writes a frame as the logger does. */
static void log_frame(int sock, enum log_frame_type type, const char *text, uint64_t aux)
{
	struct log_frame h = {.type = (uint8_t)type,
			      .len = (uint32_t)strlen(text),
			      .cursor = 0,
			      .aux = aux,
			      .time_ns = 1700000000123456789u};

	assert_int_equal(util_write_all(sock, &h, sizeof(h)), 0);
	assert_int_equal(util_write_all(sock, text, strlen(text)), 0);
}

static void end_log(struct sent *s)
{
	log_frame(s->fds[0], LOG_FRAME_END, "", 1);
	(void)close(s->fds[0]);
}

static void expect_end(struct sent *s, int wanted, const char *out, const char *err)
{
	char *said_out, *said_err;
	int status;

	ctl_end(&s->child, &status, &said_out, &said_err);
	assert_string_equal(said_err, err);
	assert_string_equal(said_out, out);
	assert_int_equal(status, wanted);
	free(said_out);
	free(said_err);
	free(s->request);
	if (s->conn >= 0)
		(void)close(s->conn);
}

/* The request has the image, the options of the log, and the task with the command line's options
 * laid over it. */
static void test_request(void **state)
{
	const struct ctl_case c = {
		.verb = ctl_run,
		.words = {"run", "-e", "A=b=c", "base", "-", "--payload", " {\"n\": 1.00} ",
			  "--timeout=5", "--memory", "64M", "--project", "p", "--", "-v", ""},
		.in = "{\"code\":\"x\",\"args\":[\"old\"],\"limits\":{\"pids\":4}}"};
	struct sent s;

	(void)state;
	send_task(&c, &s);
	assert_string_equal(
		s.request,
		"{\"task\":{\"payload\":{\"n\": 1.00},\"code\":\"x\",\"args\":[\"-v\",\"\"],"
		"\"limits\":{\"pids\":4,\"timeout\":5,\"memory\":\"64M\"},"
		"\"env\":{\"A\":\"b=c\"}},\"op\":\"run\",\"image\":\"base\","
		"\"detach\":false,\"log\":true,\"package\":false,\"together\":false,"
		"\"project\":\"p\"}");
	assert_int_equal(s.n_fds, 1);
	ctl_answer(s.conn, ACCEPTED);
	ctl_answer(s.conn, STARTED(""));
	log_frame(s.fds[0], LOG_FRAME_OUT, "out\n", 0);
	log_frame(s.fds[0], LOG_FRAME_ERR, "err\n", 0);
	ctl_answer(s.conn, FINISHED("{\"verdict\":\"exit\",\"exit_code\":3}"));
	end_log(&s);
	expect_end(&s, 3, "out\n", "err\n");
}

/* With --detach the command waits only for the id, and does not follow the log. */
static void test_detach(void **state)
{
	static const struct {
		bool json;
		const char *out;
	} rows[] = {{false, ID "\n"}, {true, "{\n  \"id\": \"" ID "\"\n}\n"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		ctl_try(&(struct ctl_case){
			.verb = ctl_run,
			.words = {"run", "-d", "base", "--code", "x"},
			.json = rows[i].json,
			.turns = {{"{\"task\":{\"code\":\"x\"},\"op\":\"run\",\"image\":\"base\","
				   "\"detach\":true,\"log\":false,\"package\":false,"
				   "\"together\":false}",
				   ACCEPTED}},
			.out = rows[i].out});
}

/* As JSON, the ended task is printed instead of its output. */
static void test_json(void **state)
{
	const struct ctl_case c = {
		.verb = ctl_run, .words = {"run", "base", "--code", "x"}, .json = true};
	struct sent s;

	(void)state;
	send_task(&c, &s);
	assert_string_equal(
		s.request,
		"{\"task\":{\"code\":\"x\"},\"op\":\"run\",\"image\":\"base\",\"detach\":"
		"false,\"log\":false,\"package\":false,\"together\":false}");
	assert_int_equal(s.n_fds, 0);
	ctl_answer(s.conn, ACCEPTED);
	ctl_answer(s.conn, FINISHED("{\"verdict\":\"exit\",\"exit_code\":9}"));
	expect_end(&s, 9, "{\n  \"verdict\": \"exit\",\n  \"exit_code\": 9\n}\n", "");
}

/* If stdout and stderr are one file, the task gets one pipe for both. */
static void test_together(void **state)
{
	static const char *const detach[] = {NULL, "-d"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(detach); i++) {
		const struct ctl_case c = {.verb = ctl_run,
					   .words = {"run", "base", "--code", "x", detach[i]},
					   .one_file = true};
		struct sent s;

		send_task(&c, &s);
		assert_non_null(
			strstr(s.request, i == 0 ? "\"together\":true" : "\"together\":false"));
		ctl_answer(s.conn, ACCEPTED);
		if (i == 0) {
			log_frame(s.fds[0], LOG_FRAME_OUT, "a", 0);
			ctl_answer(s.conn, FINISHED("{\"exit_code\":0,\"warning\":\"w\"}"));
			end_log(&s);
		}
		expect_end(&s, 0, i == 0 ? "asandboxctl: task " ID ": warning: w\n" : ID "\n", "");
	}
}

/* The folder that task.json names is the last fd. */
static void test_package(void **state)
{
	const struct ctl_case c = {.verb = ctl_run,
				   .words = {"run", "-d", "base", "job/task.json"}};
	struct sent s;
	char name[101] = "";

	(void)state;
	ctl_rig_file("job/task.json", "{\"exec\":\"main.py\"}");
	ctl_rig_file("job/main.py", "pass\n");
	send_task(&c, &s);
	assert_non_null(strstr(s.request, "\"package\":true"));
	assert_int_equal(s.n_fds, 1);
	assert_int_equal(pread(s.fds[0], name, 100, 0), 100);
	assert_string_equal(name, "main.py");
	(void)close(s.fds[0]);
	ctl_answer(s.conn, ACCEPTED);
	expect_end(&s, 0, ID "\n", "");
}

/* The message about the task's end, where the task's status does not say all. */
static void test_verdicts(void **state)
{
	static const struct {
		const char *task;
		int status;
		const char *err;
	} rows[] = {
		{OK_TASK, 0, ""},
		{"{\"verdict\":\"timeout\",\"exit_code\":124,\"limits\":{\"timeout\":5}}", 124,
		 "sandboxctl: task " ID ": timed out after 5 s\n"},
		{"{\"verdict\":\"oom\",\"exit_code\":137,\"limits\":{\"memory\":67108864}}", 137,
		 "sandboxctl: task " ID ": out of memory (its limit is 64 MiB)\n"},
		{"{\"verdict\":\"pids\",\"exit_code\":1,\"limits\":{\"pids\":8}}", 1,
		 "sandboxctl: task " ID ": met its limit of 8 processes\n"},
		{"{\"verdict\":\"disk\",\"exit_code\":1,\"limits\":{\"disk\":1572864}}", 1,
		 "sandboxctl: task " ID ": its disk of 1.5 MiB was full\n"},
		{"{\"verdict\":\"disk\",\"exit_code\":1,\"limits\":{\"disk\":65536}}", 1,
		 "sandboxctl: task " ID ": its disk of 64 KiB was full\n"},
		{"{\"verdict\":\"signal\",\"exit_code\":139,\"signal\":11}", 139,
		 "sandboxctl: task " ID ": ended by signal 11 (Segmentation fault)\n"},
		{"{\"verdict\":\"cancelled\",\"status\":\"cancelled\",\"exit_code\":0}", 143,
		 "sandboxctl: task " ID ": cancelled\n"},
		{"{\"verdict\":\"failed\",\"exit_code\":null,\"error\":\"a\\u001bb\"}", 125,
		 "sandboxctl: task " ID ": failed: a\\x1bb\n"},
		{"{\"verdict\":\"ok\",\"exit_code\":0,\"warning\":\"w1; w2\"}", 0,
		 "sandboxctl: task " ID ": warning: w1; w2\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char answer[256];
		struct sent s;

		(void)snprintf(answer, sizeof(answer), FINISHED("%s"), rows[i].task);
		send_code(&s);
		ctl_answer(s.conn, ACCEPTED);
		ctl_answer(s.conn, answer);
		end_log(&s);
		expect_end(&s, rows[i].status, "", rows[i].err);
	}
}

/* A warning at the start is printed once; at the end only new warnings are printed. */
static void test_warnings(void **state)
{
	struct sent s;

	(void)state;
	send_code(&s);
	ctl_answer(s.conn, ACCEPTED);
	ctl_answer(s.conn, STARTED(",\"warning\":\"one\""));
	ctl_answer(s.conn, FINISHED("{\"exit_code\":0,\"warning\":\"one; two\"}"));
	end_log(&s);
	expect_end(&s, 0, "",
		   "sandboxctl: task " ID ": warning: one\nsandboxctl: task " ID
		   ": warning: two\n");
}

/* A refusal names the option that the refused member came from, else task.json. */
static void test_refused(void **state)
{
	static const struct {
		const char *error, *err;
	} rows[] = {
		{"task.json: limits.memory: too much", "sandboxctl: --memory: too much\n"},
		{"task.json: limits.pids: too many",
		 "sandboxctl: task.json: limits.pids: too many\n"},
		{"there is no image base", "sandboxctl: there is no image base\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct ctl_case c = {
			.verb = ctl_run,
			.words = {"run", "base", "--code", "x", "--memory", "64M"}};
		char answer[256];
		struct sent s;

		(void)snprintf(answer, sizeof(answer),
			       "{\"ok\":false,\"code\":\"input\",\"error\":\"%s\"}", rows[i].error);
		send_task(&c, &s);
		ctl_answer(s.conn, answer);
		expect_end(&s, 125, "", rows[i].err);
	}
}

/* The last answer must be about a task. */
static void test_no_task(void **state)
{
	struct sent s;

	(void)state;
	send_code(&s);
	ctl_answer(s.conn, ACCEPTED);
	/* The log has ended, so that only the last answer is awaited. */
	end_log(&s);
	ctl_answer(s.conn, FINISHED("7"));
	expect_end(&s, 125, "", "sandboxctl: the daemon's last answer has no task\n");
}

/* Before the daemon has accepted the task, the command cannot know whether the task exists, so it
 * is not sent again. */
static void test_lost_before(void **state)
{
	struct sent s;

	(void)state;
	send_code(&s);
	(void)close(s.conn);
	s.conn = -1;
	expect_end(&s, 125, "",
		   "sandboxctl: the daemon went away before it accepted the task ('sandboxctl ps "
		   "--all' shows whether it did)\n");
	(void)close(s.fds[0]);
}

/* Once the task was accepted, the command asks for the task's end by its id when the daemon is
 * back. */
static void test_lost_after(void **state)
{
	struct sent s;

	(void)state;
	send_code(&s);
	ctl_answer(s.conn, ACCEPTED);
	(void)close(s.conn);
	s.conn = ctl_accept(&s.child);
	ctl_expect(s.conn, "{\"op\":\"wait\",\"id\":\"" ID "\"}");
	log_frame(s.fds[0], LOG_FRAME_OUT, "said\n", 0);
	ctl_answer(s.conn, FINISHED("{\"verdict\":\"exit\",\"exit_code\":4}"));
	end_log(&s);
	expect_end(&s, 4, "said\n", "");
}

/* Ctrl-C ends the task with TERM, and a second Ctrl-C with KILL; the command then waits for the
 * task's end. */
static void test_signals(void **state)
{
	struct sent s;

	(void)state;
	send_code(&s);
	ctl_answer(s.conn, ACCEPTED);
	assert_int_equal(kill(s.child.pid, SIGINT), 0);
	ctl_expect(s.conn, "{\"op\":\"cancel\",\"id\":\"" ID "\",\"force\":false,\"tag\":1}");
	ctl_answer(s.conn, "{\"ok\":true,\"tag\":1}");
	assert_int_equal(kill(s.child.pid, SIGTERM), 0);
	ctl_expect(s.conn, "{\"op\":\"cancel\",\"id\":\"" ID "\",\"force\":true,\"tag\":1}");
	/* If the task has ended meanwhile, that is not an error of run. */
	ctl_answer(s.conn, "{\"ok\":false,\"tag\":1,\"code\":\"conflict\",\"error\":\"ended\"}");
	ctl_answer(s.conn, FINISHED("{\"verdict\":\"cancelled\",\"exit_code\":0}"));
	end_log(&s);
	expect_end(&s, 128 + SIGINT, "", "");
}

#define DROPPED                                                                                    \
	"sandboxctl: the daemon does not answer: it was told of the task, and drops it when it "   \
	"answers again\n"

/* A task.json that is longer than a socket's buffer. */
static const char *long_task(void)
{
	static char text[900 << 10];

	(void)snprintf(text, sizeof(text), "{\"code\": \"x\", \"payload\": \"%0*d\"}",
		       (int)sizeof(text) - 64, 0);
	return text;
}

/* A third signal leaves the task behind, and says so. */
static void test_third_signal(void **state)
{
	struct sent s;

	(void)state;
	send_code(&s);
	ctl_answer(s.conn, ACCEPTED);
	for (int i = 0; i < 2; i++) {
		unsigned n = 0;

		assert_int_equal(kill(s.child.pid, SIGTERM), 0);
		free(ctl_request(s.conn, NULL, &n));
	}
	assert_int_equal(kill(s.child.pid, SIGTERM), 0);
	expect_end(&s, 128 + SIGTERM, "",
		   "sandboxctl: left task " ID
		   " behind: it was told to end, and the daemon does not answer\n");
	(void)close(s.fds[0]);
}

/* A daemon that is stopped holds the connection and says nothing: one signal is enough, before the
 * task is accepted and after. */
static void test_silent(void **state)
{
	const struct ctl_case c = {
		.verb = ctl_run, .words = {"run", "base", "-"}, .in = long_task()};
	struct ctl_child child;
	struct sent s;
	char *out, *err;
	int status, conn;

	(void)state;
	send_code(&s);
	assert_int_equal(kill(s.child.pid, SIGTERM), 0);
	ctl_expect(s.conn, "{\"op\":\"version\",\"tag\":1}");
	expect_end(&s, 128 + SIGTERM, "", DROPPED);

	send_code(&s);
	ctl_answer(s.conn, ACCEPTED);
	assert_int_equal(kill(s.child.pid, SIGINT), 0);
	expect_end(&s, 128 + SIGINT, "",
		   "sandboxctl: left task " ID
		   " behind: it was told to end, and the daemon does not answer\n");

	/* A daemon that lives is waited for, whatever it is busy with. */
	send_code(&s);
	assert_int_equal(kill(s.child.pid, SIGINT), 0);
	ctl_expect(s.conn, "{\"op\":\"version\",\"tag\":1}");
	ctl_answer(s.conn, "{\"ok\":true,\"tag\":1}");
	ctl_answer(s.conn, ACCEPTED);
	ctl_expect(s.conn, "{\"op\":\"cancel\",\"id\":\"" ID "\",\"force\":false,\"tag\":1}");
	ctl_answer(s.conn, FINISHED("{\"verdict\":\"cancelled\",\"exit_code\":0}"));
	end_log(&s);
	expect_end(&s, 128 + SIGINT, "", "");

	/* More than the socket takes. */
	ctl_start(&c, &child);
	conn = ctl_accept(&child);
	rig_readable(conn);
	assert_int_equal(kill(child.pid, SIGTERM), 0);
	ctl_end(&child, &status, &out, &err);
	assert_int_equal(status, 128 + SIGTERM);
	assert_string_equal(err, DROPPED);
	free(out);
	free(err);
	(void)close(conn);
}

/* Output that cannot be written ends the task: nobody would see the rest. */
static void test_full_disk(void **state)
{
	const struct ctl_case c = {
		.verb = ctl_run, .words = {"run", "base", "--code", "x"}, .out_file = "/dev/full"};
	struct sent s;

	(void)state;
	send_task(&c, &s);
	ctl_answer(s.conn, ACCEPTED);
	log_frame(s.fds[0], LOG_FRAME_OUT, "text\n", 0);
	ctl_expect(s.conn, "{\"op\":\"cancel\",\"id\":\"" ID "\",\"force\":false,\"tag\":1}");
	ctl_answer(s.conn, FINISHED("{\"verdict\":\"cancelled\",\"exit_code\":0}"));
	expect_end(&s, 125, "",
		   "sandboxctl: task " ID ": cannot write the log: No space left on device\n");
	(void)close(s.fds[0]);
}

/* Follows one log: attached on a socket that is sent along, and copied to its end. */
static void follow(const struct ctl_case *c, const char *request, int status, const char *out,
		   const char *err)
{
	struct sent s;

	send_task(c, &s);
	assert_string_equal(s.request, request);
	assert_int_equal(s.n_fds, 1);
	ctl_answer(s.conn, "{\"ok\":true,\"id\":\"" ID "\",\"live\":false}");
	log_frame(s.fds[0], LOG_FRAME_OUT, "a\x1b\n", 0);
	log_frame(s.fds[0], LOG_FRAME_ERR, "b\n", 0);
	end_log(&s);
	expect_end(&s, status, out, err);
}

/* If no output is a terminal, each stream is copied byte for byte to its own descriptor. */
static void test_logs(void **state)
{
	static const struct {
		const char *words[5], *request, *out, *err;
	} rows[] = {
		{{"logs", "aaaa"},
		 "{\"op\":\"logs\",\"id\":\"aaaa\",\"follow\":false,\"streams\":3,\"since_ns\":0,"
		 "\"cursor\":0}",
		 "a\x1b\n",
		 "b\n"},
		{{"logs", "-f", "--stdout", "aaaa"},
		 "{\"op\":\"logs\",\"id\":\"aaaa\",\"follow\":true,\"streams\":1,\"since_ns\":0,"
		 "\"cursor\":0}",
		 "a\x1b\n",
		 "b\n"},
		{{"logs", "aaaa", "--stderr", "-t"},
		 "{\"op\":\"logs\",\"id\":\"aaaa\",\"follow\":false,\"streams\":2,\"since_ns\":0,"
		 "\"cursor\":0}",
		 "2023-11-14T22:13:20.123456789Z a\x1b\n",
		 "2023-11-14T22:13:20.123456789Z b\n"},
		{{"logs", "--since", "2026-01-31T12:00:00.5+01:00", "aaaa"},
		 "{\"op\":\"logs\",\"id\":\"aaaa\",\"follow\":false,\"streams\":3,"
		 "\"since_ns\":1769857200500000000,\"cursor\":0}",
		 "a\x1b\n",
		 "b\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ctl_case c = {.verb = ctl_logs};

		memcpy(c.words, rows[i].words, sizeof(rows[i].words));
		follow(&c, rows[i].request, 0, rows[i].out, rows[i].err);
	}
}

/* A text that is not a time, or a day that no calendar has, is refused before the daemon is
 * asked. */
static void test_since(void **state)
{
	static const char *const words[] = {
		"10",
		"yesterday",
		"10w",
		"-5m",
		"1e3s",
		"99999999999999999999d",
		"20000d1",
		"2026-02-31T00:00:00Z",
		"2026-01-31T25:00:00Z",
		"1960-01-01T00:00:00Z",
		"2026-01-31T12:00:00Zx",
		"1769857200",
	};
	char err[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		(void)snprintf(err, sizeof(err),
			       "sandboxctl logs: --since %s: must be an age such as 10m, or a time "
			       "such as 2026-01-31T12:00:00Z\nTry 'sandboxctl help logs'.\n",
			       words[i]);
		ctl_try(&(struct ctl_case){.verb = ctl_logs,
					   .words = {"logs", "--since", words[i], "aaaa"},
					   .status = 125,
					   .err = err});
	}
}

/* A task that is not there is said at once, and the others are printed all the same. */
static void test_logs_missing(void **state)
{
	const struct ctl_case c = {.verb = ctl_logs, .words = {"logs", "nope", "aaaa"}};
	struct sent s;

	(void)state;
	send_task(&c, &s);
	ctl_answer(s.conn, "{\"ok\":false,\"code\":\"not-found\",\"error\":\"there is none\"}");
	(void)close(s.conn);
	(void)close(s.fds[0]);
	free(s.request);
	s.conn = ctl_accept(&s.child);
	s.n_fds = PROTO_FDS_MAX;
	s.request = ctl_request(s.conn, s.fds, &s.n_fds);
	ctl_answer(s.conn, "{\"ok\":true}");
	log_frame(s.fds[0], LOG_FRAME_OUT, "text\n", 0);
	end_log(&s);
	expect_end(&s, 125, "text\n", "sandboxctl: there is none\n");
	/* An id that is longer than any is not asked for. */
	ctl_try(&(struct ctl_case){.verb = ctl_logs,
				   .words = {"logs", ID "0"},
				   .status = 125,
				   .err = "sandboxctl: there is no task " ID "0\n"});
}

/* A log whose socket breaks is asked for again, from the first record that was not written. */
static void test_logs_broken(void **state)
{
	const struct ctl_case c = {.verb = ctl_logs, .words = {"logs", "-f", "aaaa"}};
	struct sent s;

	(void)state;
	send_task(&c, &s);
	ctl_answer(s.conn, "{\"ok\":true}");
	log_frame(s.fds[0], LOG_FRAME_OUT, "one\n", 0);
	/* A frame that was cut off is dropped, and the next connection sends it again as a
	 * whole. */
	assert_int_equal(util_write_all(s.fds[0], "\4\0\0\0\1\0\0", 7), 0);
	(void)close(s.fds[0]);
	(void)close(s.conn);
	free(s.request);
	s.conn = ctl_accept(&s.child);
	s.n_fds = PROTO_FDS_MAX;
	s.request = ctl_request(s.conn, s.fds, &s.n_fds);
	assert_string_equal(s.request,
			    "{\"op\":\"logs\",\"id\":\"aaaa\",\"follow\":true,\"streams\":3,"
			    "\"since_ns\":0,\"cursor\":1}");
	ctl_answer(s.conn, "{\"ok\":true}");
	log_frame(s.fds[0], LOG_FRAME_OUT, "two\n", 0);
	end_log(&s);
	expect_end(&s, 0, "one\ntwo\n", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CTL_TEST(test_request),	     CTL_TEST(test_detach),	CTL_TEST(test_json),
		CTL_TEST(test_together),     CTL_TEST(test_package),	CTL_TEST(test_verdicts),
		CTL_TEST(test_warnings),     CTL_TEST(test_refused),	CTL_TEST(test_no_task),
		CTL_TEST(test_lost_before),  CTL_TEST(test_lost_after), CTL_TEST(test_signals),
		CTL_TEST(test_third_signal), CTL_TEST(test_silent),	CTL_TEST(test_full_disk),
		CTL_TEST(test_logs),	     CTL_TEST(test_since),	CTL_TEST(test_logs_missing),
		CTL_TEST(test_logs_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
