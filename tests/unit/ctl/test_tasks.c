// SPDX-License-Identifier: Apache-2.0
/* ps, inspect, wait, cancel, rm and version: command lines, requests, output, exit statuses. */
#include "tests/unit/ctl_rig.h"

#define USAGE(VERB) "Try 'sandboxctl help " VERB "'.\n"

#define TASK_A                                                                                     \
	"{\"id\":\"aaaaaaaaaaaaaaaaaaaaaaaa\",\"image\":\"base\",\"status\":\"finished\","         \
	"\"start\":{\"mode\":\"fork\",\"ms\":4.56},\"created_at\":\"2026-01-31T12:34:56.789Z\","   \
	"\"verdict\":\"ok\",\"label\":\"nightly\"}"
#define TASK_B                                                                                     \
	"{\"id\":\"bbbbbbbbbbbbbbbbbbbbbbbb\",\"image\":\"python-full\",\"status\":\"running\","   \
	"\"label\":\"\\u001b[2J\\u009b\\u202e\"}"

/* Each column is as wide as its longest value; a task that has not started has no start time. */
static void test_ps(void **state)
{
	static const struct ctl_case cases[] = {
		{.verb = ctl_ps,
		 .words = {"ps"},
		 .turns = {{"{\"op\":\"ps\",\"all\":false}",
			    "{\"ok\":true,\"tasks\":[],\"before\":null}"}},
		 .out = "ID  IMAGE  STATUS  START  MS  CREATED  VERDICT  LABEL\n"},
		{.verb = ctl_ps,
		 .words = {"ps", "-a"},
		 .turns = {{"{\"op\":\"ps\",\"all\":true}",
			    "{\"ok\":true,\"tasks\":[" TASK_A "," TASK_B "]}"}},
		 .out = "ID                        IMAGE        STATUS    START  MS   "
			"CREATED               VERDICT  LABEL\n"
			"aaaaaaaaaaaaaaaaaaaaaaaa  base         finished  fork   4.6  "
			"2026-01-31T12:34:56Z  ok       nightly\n"
			"bbbbbbbbbbbbbbbbbbbbbbbb  python-full  running              "
			"                                \\x1b[2J\\u009b\\u202e\n"},
		{.verb = ctl_ps,
		 .words = {"ps", "--quiet", "--all"},
		 .turns = {{"{\"op\":\"ps\",\"all\":true}",
			    "{\"ok\":true,\"tasks\":[" TASK_A "," TASK_B "]}"}},
		 .out = "aaaaaaaaaaaaaaaaaaaaaaaa\nbbbbbbbbbbbbbbbbbbbbbbbb\n"},
		{.verb = ctl_ps,
		 .words = {"ps"},
		 .json = true,
		 .turns = {{"{\"op\":\"ps\",\"all\":false}",
			    "{\"ok\":true,\"tasks\":[{\"id\":\"a\",\"n\":0.1}]}"}},
		 .out = "[\n  {\n    \"id\": \"a\",\n    \"n\": 0.1\n  }\n]\n"},
	};

	(void)state;
	ctl_try_all(cases, ARRAY_SIZE(cases));
}

/* Columns are counted as a terminal shows them: characters, and what is escaped. */
static void test_columns(void **state)
{
	(void)state;
	ctl_try(&(struct ctl_case){
		.verb = ctl_ps,
		.words = {"ps"},
		.turns = {{"{\"op\":\"ps\",\"all\":false}",
			   "{\"ok\":true,\"tasks\":[{\"id\":\"a\",\"image\":\"b\\u00e4\\u0085\","
			   "\"status\":\"running\"},{\"id\":\"b\",\"image\":\"base\",\"status\":"
			   "\"running\"}]}"}},
		.out = "ID  IMAGE     STATUS   START  MS  CREATED  VERDICT  LABEL\n"
		       "a   b\xc3\xa4\\u0085  running\n"
		       "b   base      running\n"});
}

/* If a page says that there are more tasks, the next page is asked for; a page without new tasks
 * ends the list. */
static void test_ps_pages(void **state)
{
	static const struct ctl_case cases[] = {
		{.verb = ctl_ps,
		 .words = {"ps", "-q"},
		 .turns = {{"{\"op\":\"ps\",\"all\":false}",
			    "{\"ok\":true,\"tasks\":[" TASK_B
			    "],\"before\":\"bbbbbbbbbbbbbbbbbbbbbbbb\"}"},
			   {"{\"op\":\"ps\",\"all\":false,\"before\":\"bbbbbbbbbbbbbbbbbbbbbbbb\"}",
			    "{\"ok\":true,\"tasks\":[" TASK_A "],\"before\":null}"}},
		 .out = "bbbbbbbbbbbbbbbbbbbbbbbb\naaaaaaaaaaaaaaaaaaaaaaaa\n"},
		{.verb = ctl_ps,
		 .words = {"ps", "-q"},
		 .turns = {{"{\"op\":\"ps\",\"all\":false}",
			    "{\"ok\":true,\"tasks\":[],\"before\":\"b\"}"}}},
	};

	(void)state;
	ctl_try_all(cases, ARRAY_SIZE(cases));
}

/* An error about the command line names the verb and its help; the daemon is not asked. */
static void test_words(void **state)
{
	static const struct {
		struct ctl_case c;
	} rows[] = {
		{{.verb = ctl_ps,
		  .words = {"ps", "x"},
		  .err = "sandboxctl ps: does not take 'x'\n" USAGE("ps")}},
		{{.verb = ctl_ps,
		  .words = {"ps", "--al\x1b"},
		  .err = "sandboxctl ps: there is no option --al\\x1b\n" USAGE("ps")}},
		{{.verb = ctl_ps,
		  .words = {"ps", "-ax"},
		  .err = "sandboxctl ps: there is no option -x, or it needs a value\n" USAGE(
			  "ps")}},
		{{.verb = ctl_ps,
		  .words = {"ps", "--all=1"},
		  .err = "sandboxctl ps: --all=1: takes no value\n" USAGE("ps")}},
		{{.verb = ctl_inspect,
		  .words = {"inspect"},
		  .err = "sandboxctl inspect: names no task\n" USAGE("inspect")}},
		{{.verb = ctl_inspect,
		  .words = {"inspect", "-x"},
		  .err = "sandboxctl inspect: there is no option '-x'\n" USAGE("inspect")}},
		{{.verb = ctl_wait,
		  .words = {"wait"},
		  .err = "sandboxctl wait: names no task\n" USAGE("wait")}},
		{{.verb = ctl_wait,
		  .words = {"wait", "aaaa", "--now"},
		  .err = "sandboxctl wait: there is no option '--now'\n" USAGE("wait")}},
		{{.verb = ctl_inspect,
		  .words = {"inspect", "aaaa", "--now"},
		  .err = "sandboxctl inspect: there is no option '--now'\n" USAGE("inspect")}},
		{{.verb = ctl_cancel,
		  .words = {"cancel", "--force"},
		  .err = "sandboxctl cancel: names no task\n" USAGE("cancel")}},
		{{.verb = ctl_cancel,
		  .words = {"cancel", "aaaa", "-9"},
		  .err = "sandboxctl cancel: there is no option -9, or it needs a value\n" USAGE(
			  "cancel")}},
		{{.verb = ctl_rm,
		  .words = {"rm"},
		  .err = "sandboxctl rm: names no task\n" USAGE("rm")}},
		{{.verb = ctl_rm,
		  .words = {"rm", "-f", "aaaa"},
		  .err = "sandboxctl rm: there is no option '-f'\n" USAGE("rm")}},
		{{.verb = ctl_rm,
		  .words = {"rm", "aaaa", "-f"},
		  .err = "sandboxctl rm: there is no option '-f'\n" USAGE("rm")}},
		{{.verb = ctl_version,
		  .words = {"version", "x"},
		  .err = "sandboxctl version: does not take 'x'\n" USAGE("version")}},
		{{.verb = ctl_logs,
		  .words = {"logs", "-f"},
		  .err = "sandboxctl logs: names no task\n" USAGE("logs")}},
		{{.verb = ctl_logs,
		  .words = {"logs", "--since"},
		  .err = "sandboxctl logs: --since needs a value\n" USAGE("logs")}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ctl_case c = rows[i].c;

		c.status = 125;
		ctl_try(&c);
	}
}

/* A word that is not UTF-8 cannot be asked for, and the error says so. */
static void test_not_text(void **state)
{
	static const struct ctl_case cases[] = {
		{.verb = ctl_inspect,
		 .words = {"inspect", "aa\xff"},
		 .status = 125,
		 .err = "sandboxctl: what is asked for must be UTF-8 text\n"},
		{.verb = ctl_rm,
		 .words = {"rm", "\xff"},
		 .status = 125,
		 .err = "sandboxctl: what is asked for must be UTF-8 text\n"},
		{.verb = ctl_cancel,
		 .words = {"cancel", "-f", "\xff"},
		 .status = 125,
		 .err = "sandboxctl: what is asked for must be UTF-8 text\n"},
	};

	(void)state;
	ctl_try_all(cases, ARRAY_SIZE(cases));
}

static const char whole_task[] =
	"{\"ok\":true,\"task\":{\"id\":\"aaaaaaaaaaaaaaaaaaaaaaaa\",\"project\":\"default\","
	"\"image\":\"base\",\"image_digest\":\"0123456789abcdef\",\"policy\":\"strict\","
	"\"label\":\"a\\u0007b\",\"queue\":{\"code_name\":\"hello\",\"code_id\":\"c1\","
	"\"attempt\":2,\"retries_left\":1,\"original_task_id\":\"o1\",\"not_before\":\"later\"},"
	"\"status\":\"failed\",\"verdict\":\"signal\",\"exit_code\":137,\"signal\":9,"
	"\"error\":\"line\\nbreak\",\"warning\":\"w\",\"created_at\":\"t0\",\"started_at\":\"t1\","
	"\"finished_at\":\"t2\",\"start\":{\"mode\":\"cold\",\"ms\":12.5},"
	"\"usage\":{\"cpu_ms\":3.25,\"memory_peak_bytes\":1572864},"
	"\"log\":{\"lines\":2,\"bytes\":30,\"dropped\":4,\"removed\":true},"
	"\"limits\":{\"memory\":67108864,\"cpus\":0.5,\"pids\":8,\"odd\":\"x\"}},"
	"\"history\":[{\"time\":\"t0\",\"event\":\"queued\"},"
	"{\"time\":\"t1\",\"event\":\"started\",\"detail\":\"cold\"}]}";

static const char whole_text[] = "id           aaaaaaaaaaaaaaaaaaaaaaaa\n"
				 "project      default\n"
				 "image        base (0123456789ab)\n"
				 "policy       strict\n"
				 "label        a\\x07b\n"
				 "worker       hello (c1), attempt 2, retries left 1\n"
				 "first        o1\n"
				 "not before   later\n"
				 "status       failed, verdict signal, exit status 137, signal 9\n"
				 "error        line\\x0abreak\n"
				 "warning      w\n"
				 "created      t0\n"
				 "started      t1\n"
				 "finished     t2\n"
				 "start        cold, 12.500 ms to the first user bytecode\n"
				 "usage        3.2 ms of CPU, at most 1.5M of memory\n"
				 "log          2 lines, 30 bytes, 4 of them dropped; removed\n"
				 "limits       memory 64.0M, cpus 0.5, pids 8\n"
				 "history      t0  queued\n"
				 "             t1  started: cold\n";

/* Everything that is known is printed; what is not known has no line. */
static void test_inspect(void **state)
{
	static const struct ctl_case cases[] = {
		{.verb = ctl_inspect,
		 .words = {"inspect", "aaaa"},
		 .turns = {{"{\"op\":\"inspect\",\"id\":\"aaaa\"}", whole_task}},
		 .out = whole_text},
		{.verb = ctl_inspect,
		 .words = {"inspect", "aaaa", "bbbb"},
		 .turns = {{"{\"op\":\"inspect\",\"id\":\"aaaa\"}",
			    "{\"ok\":true,\"task\":{\"id\":\"a\",\"status\":\"queued\"}}"},
			   {"{\"op\":\"inspect\",\"id\":\"bbbb\"}",
			    "{\"ok\":true,\"task\":{\"id\":\"b\",\"status\":\"queued\"}}"}},
		 .out = "id           a\nstatus       queued\n\n"
			"id           b\nstatus       queued\n"},
		{.verb = ctl_inspect,
		 .words = {"inspect", "aaaa"},
		 .json = true,
		 .turns = {{"{\"op\":\"inspect\",\"id\":\"aaaa\"}",
			    "{\"ok\":true,\"task\":{\"id\":\"a\"},\"history\":[]}"}},
		 .out = "{\n  \"id\": \"a\",\n  \"history\": []\n}\n"},
		{.verb = ctl_inspect,
		 .words = {"inspect", "aaaa", "nope", "bbbb"},
		 .json = true,
		 .turns = {{"{\"op\":\"inspect\",\"id\":\"aaaa\"}",
			    "{\"ok\":true,\"task\":{\"id\":\"a\"},\"history\":[]}"},
			   {"{\"op\":\"inspect\",\"id\":\"nope\"}",
			    "{\"ok\":false,\"code\":\"not-found\",\"error\":\"there is none\"}"},
			   {"{\"op\":\"inspect\",\"id\":\"bbbb\"}",
			    "{\"ok\":true,\"task\":{\"id\":\"b\"},\"history\":[]}"}},
		 .status = 125,
		 .out = "{\"id\": \"a\", \"history\": []}\n{\"id\": \"b\", \"history\": []}\n",
		 .err = "sandboxctl: there is none\n"},
	};

	(void)state;
	ctl_try_all(cases, ARRAY_SIZE(cases));
}

#define ENDED(TASK) "{\"ok\":true,\"event\":\"finished\",\"task\":" TASK "}"

/* The exit status is the last task's; an orderly end on demand is not a success. */
static void test_wait(void **state)
{
	static const struct ctl_case cases[] = {
		{.verb = ctl_wait,
		 .words = {"wait", "aaaa"},
		 .turns = {{"{\"op\":\"wait\",\"id\":\"aaaa\"}", ENDED("{\"exit_code\":7}")}},
		 .status = 7,
		 .out = "7\n"},
		{.verb = ctl_wait,
		 .words = {"wait", "aaaa", "bbbb"},
		 .turns = {{"{\"op\":\"wait\",\"id\":\"aaaa\"}", ENDED("{\"exit_code\":7}")},
			   {"{\"op\":\"wait\",\"id\":\"bbbb\"}", ENDED("{\"exit_code\":0}")}},
		 .out = "7\n0\n"},
		{.verb = ctl_wait,
		 .words = {"wait", "aaaa"},
		 .turns = {{"{\"op\":\"wait\",\"id\":\"aaaa\"}",
			    ENDED("{\"status\":\"cancelled\",\"exit_code\":0}")}},
		 .status = 143,
		 .out = "143\n"},
		{.verb = ctl_wait,
		 .words = {"wait", "aaaa"},
		 .turns = {{"{\"op\":\"wait\",\"id\":\"aaaa\"}",
			    ENDED("{\"status\":\"failed\",\"exit_code\":null}")}},
		 .status = 125,
		 .out = "125\n"},
		{.verb = ctl_wait,
		 .words = {"wait", "aaaa"},
		 .json = true,
		 .turns = {{"{\"op\":\"wait\",\"id\":\"aaaa\"}", ENDED("{\"exit_code\":3}")}},
		 .status = 3,
		 .out = "{\"exit_code\": 3}\n"},
		{.verb = ctl_wait,
		 .words = {"wait", "nope", "aaaa"},
		 .turns = {{"{\"op\":\"wait\",\"id\":\"nope\"}",
			    "{\"ok\":false,\"code\":\"not-found\",\"error\":\"there is none\"}"},
			   {"{\"op\":\"wait\",\"id\":\"aaaa\"}", ENDED("{\"exit_code\":0}")}},
		 .out = "0\n",
		 .err = "sandboxctl: there is none\n"},
	};

	(void)state;
	ctl_try_all(cases, ARRAY_SIZE(cases));
}

/* Each task is asked for, even if the request for the one before it failed. */
static void test_cancel_rm(void **state)
{
	static const struct ctl_case cases[] = {
		{.verb = ctl_cancel,
		 .words = {"cancel", "aaaa"},
		 .turns = {{"{\"op\":\"cancel\",\"id\":\"aaaa\",\"force\":false}",
			    "{\"ok\":true}"}}},
		{.verb = ctl_cancel,
		 .words = {"cancel", "aaaa", "-f", "bbbb"},
		 .turns = {{"{\"op\":\"cancel\",\"id\":\"aaaa\",\"force\":true}",
			    "{\"ok\":false,\"code\":\"not-found\",\"error\":\"no\\u001b[1m\"}"},
			   {"{\"op\":\"cancel\",\"id\":\"bbbb\",\"force\":true}", "{\"ok\":true}"}},
		 .status = 125,
		 .err = "sandboxctl: no\\x1b[1m\n"},
		{.verb = ctl_rm,
		 .words = {"rm", "aaaa", "bbbb"},
		 .turns = {{"{\"op\":\"rm\",\"id\":\"aaaa\"}",
			    "{\"ok\":false,\"code\":\"conflict\",\"error\":\"it runs\"}"},
			   {"{\"op\":\"rm\",\"id\":\"bbbb\"}", "{\"ok\":true}"}},
		 .status = 125,
		 .err = "sandboxctl: it runs\n"},
	};

	(void)state;
	ctl_try_all(cases, ARRAY_SIZE(cases));
}

/* This command's version is told without a daemon too, but that is no success. */
static void test_version(void **state)
{
	static const struct ctl_case cases[] = {
		{.verb = ctl_version,
		 .words = {"version"},
		 .turns = {{"{\"op\":\"version\"}",
			    "{\"ok\":true,\"version\":\"9\\u0007\",\"http\":\"127.0.0.1:8080\"}"}},
		 .out = "sandboxctl " SANDBOXD_VERSION
			"\nsandboxd   9\\x07, http://127.0.0.1:8080\n"},
		{.verb = ctl_version,
		 .words = {"version"},
		 .turns = {{"{\"op\":\"version\"}",
			    "{\"ok\":false,\"code\":\"denied\",\"error\":\"not you\"}"}},
		 .status = 125,
		 .out = "sandboxctl " SANDBOXD_VERSION "\n",
		 .err = "sandboxctl: not you\n"},
		{.verb = ctl_version,
		 .words = {"version"},
		 .json = true,
		 .turns = {{"{\"op\":\"version\"}", "{\"ok\":true,\"version\":\"9\",\"pid\":4}"}},
		 .out = "{\n  \"sandboxctl\": \"" SANDBOXD_VERSION "\",\n  \"sandboxd\": {\n"
			"    \"version\": \"9\",\n    \"pid\": 4\n  }\n}\n"},
		{.verb = ctl_version,
		 .words = {"version"},
		 .json = true,
		 .turns = {{"{\"op\":\"version\"}",
			    "{\"ok\":false,\"code\":\"denied\",\"error\":\"not you\"}"}},
		 .status = 125,
		 .out = "{\n  \"sandboxctl\": \"" SANDBOXD_VERSION "\",\n  \"sandboxd\": null\n}\n",
		 .err = "sandboxctl: not you\n"},
	};

	(void)state;
	ctl_try_all(cases, ARRAY_SIZE(cases));
}

/* A full disk is an error of the verb. */
static void test_stdout(void **state)
{
	static const struct ctl_case cases[] = {
		{.verb = ctl_ps,
		 .words = {"ps"},
		 .out_file = "/dev/full",
		 .turns = {{"{\"op\":\"ps\",\"all\":false}", "{\"ok\":true,\"tasks\":[]}"}},
		 .status = 125,
		 .err = "sandboxctl: cannot write to stdout: No space left on device\n"},
		{.verb = ctl_version,
		 .words = {"version"},
		 .json = true,
		 .out_file = "/dev/full",
		 .turns = {{"{\"op\":\"version\"}", "{\"ok\":true,\"version\":\"9\"}"}},
		 .status = 125,
		 .err = "sandboxctl: cannot write to stdout: No space left on device\n"},
	};

	(void)state;
	ctl_try_all(cases, ARRAY_SIZE(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CTL_TEST(test_ps),     CTL_TEST(test_columns),	 CTL_TEST(test_ps_pages),
		CTL_TEST(test_words),  CTL_TEST(test_not_text),	 CTL_TEST(test_inspect),
		CTL_TEST(test_wait),   CTL_TEST(test_cancel_rm), CTL_TEST(test_version),
		CTL_TEST(test_stdout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
