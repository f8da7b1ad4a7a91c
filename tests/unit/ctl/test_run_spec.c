// SPDX-License-Identifier: Apache-2.0
/* From run's command line to the task: options are laid over task.json, and errors say what is
 * wrong. */
#include "tests/unit/ctl_rig.h"

#include "spec/task_spec.h"
#include "supervisor/ctl/run.h"

#define USAGE "Try 'sandboxctl help run'.\n"

/* Prints the task that the words make, in place of sending it. */
static int show(struct ctl *ctl, int argc, char **argv)
{
	struct run_spec spec;
	int status = run_spec_read(&spec, argc, argv);
	char *text = status ? NULL : task_spec_dump(spec.task);

	(void)ctl;
	if (text)
		printf("%s %s%s%s%s\n", spec.image, text, spec.project ? " of " : "",
		       spec.project ? spec.project : "", spec.detach ? ", detached" : "");
	if (text && spec.package_fd >= 0)
		puts("and a package");
	free(text);
	run_spec_clear(&spec);
	return status;
}

/* Each option sets its member; a word that is not a number is sent as text, which the parser then
 * refuses by the field's name. */
static void test_options(void **state)
{
	static const struct {
		const char *words[16], *out;
	} rows[] = {
		{{"run", "base", "--code", "x"}, "base {\"code\":\"x\"}\n"},
		{{"run", "--code=x", "-d", "base", "--project=p"},
		 "base {\"code\":\"x\"} of p, detached\n"},
		{{"run", "base", "--code", "x", "--start", "cold", "--policy", "strict", "--label",
		  "l"},
		 "base "
		 "{\"code\":\"x\",\"start\":\"cold\",\"policy\":\"strict\",\"label\":\"l\"}\n"},
		{{"run", "base", "--code", "x", "--timeout", "5", "--memory", "64M", "--disk", "1M",
		  "--cpus", "0.5", "--pids", "8"},
		 "base "
		 "{\"code\":\"x\",\"limits\":{\"timeout\":5,\"memory\":\"64M\",\"disk\":\"1M\","
		 "\"cpus\":0.5,\"pids\":8}}\n"},
		{{"run", "base", "--code", "x", "-e", "A=", "-eB=c=d", "-e", "SET", "-e", "UNSET"},
		 "base {\"code\":\"x\",\"env\":{\"A\":\"\",\"B\":\"c=d\",\"SET\":\"1\"}}\n"},
		{{"run", "base", "--code", "x", "--"}, "base {\"code\":\"x\",\"args\":[]}\n"},
		{{"run", "base", "--code", "x", "--", "-e", "--", "--json"},
		 "base {\"code\":\"x\",\"args\":[\"-e\",\"--\",\"--json\"]}\n"},
		{{"run", "base", "--code", "x", "--payload", " [1.0e2 ] "},
		 "base {\"payload\":[1.0e2 ],\"code\":\"x\"}\n"},
		{{"run", "base", "--code", "x", "--payload", "@p.json"},
		 "base {\"payload\":{\"b\": 1, \"a\": 2},\"code\":\"x\"}\n"},
		/* Of an option that is given twice the last value counts. */
		{{"run", "base", "--code", "x", "--label", "a", "--label", "b"},
		 "base {\"code\":\"x\",\"label\":\"b\"}\n"},
	};

	(void)state;
	(void)setenv("SET", "1", 1);
	(void)unsetenv("UNSET");
	ctl_rig_file("p.json", "\n {\"b\": 1, \"a\": 2}\n");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ctl_case c = {.verb = show, .out = rows[i].out};

		memcpy(c.words, rows[i].words, sizeof(rows[i].words));
		ctl_try(&c);
	}
}

/* A field of task.json counts if no option sets it; task.json may also come by stdin. */
static void test_over(void **state)
{
	static const char task[] = "{\"code\":\"x\",\"label\":\"old\",\"args\":[\"a\"],\"env\":"
				   "{\"A\":\"1\",\"B\":\"2\"},\"payload\":1.50,\"limits\":"
				   "{\"pids\":8,\"memory\":\"32M\"}}";

	(void)state;
	ctl_rig_file("t/task.json", task);
	ctl_try(&(struct ctl_case){
		.verb = show,
		.words = {"run", "base", "t/task.json", "--label", "new", "-e", "B=3", "--memory",
			  "64M"},
		.out = "base {\"payload\":1.50,\"code\":\"x\",\"label\":\"new\",\"args\":[\"a\"],"
		       "\"env\":{\"A\":\"1\",\"B\":\"3\"},\"limits\":{\"pids\":8,\"memory\":"
		       "\"64M\"}}\n"});
	ctl_try(&(struct ctl_case){
		.verb = show,
		.words = {"run", "base", "-", "--payload", "null", "--", "b"},
		.in = task,
		.out = "base {\"payload\":null,\"code\":\"x\",\"label\":\"old\",\"args\":[\"b\"],"
		       "\"env\":{\"A\":\"1\",\"B\":\"2\"},\"limits\":{\"pids\":8,\"memory\":"
		       "\"32M\"}}\n"});
}

/* Command lines and options with wrong values: the error names the option. */
static void test_wrong_words(void **state)
{
	static const struct {
		const char *words[8], *err;
	} rows[] = {
		{{"run"}, "sandboxctl run: names no image\n" USAGE},
		{{"run", "base"},
		 "sandboxctl run: names no task.json (- for stdin), and has no --code\n" USAGE},
		{{"run", "base", "-", "x"},
		 "sandboxctl run: does not take 'x' (the task's arguments follow --)\n" USAGE},
		{{"run", "base", "--code", "x", "task.json"},
		 "sandboxctl run: does not take 'task.json' (the task's arguments follow "
		 "--)\n" USAGE},
		{{"run", "base", "--code"}, "sandboxctl run: --code needs a value\n" USAGE},
		{{"run", "base", "--code", "x", "-e"},
		 "sandboxctl run: there is no option -e, or it needs a value\n" USAGE},
		{{"run", "--nice", "base"}, "sandboxctl run: there is no option --nice\n" USAGE},
		{{"run", "base", "--code", "x", "--detach=yes"},
		 "sandboxctl run: --detach=yes: takes no value\n" USAGE},
		{{"run", "base", "--code", "\xff"}, "sandboxctl: --code: must be UTF-8 text\n"},
		{{"run", "base", "--code", "x", "--label", "\xff"},
		 "sandboxctl: --label: is not UTF-8 text\n"},
		{{"run", "base", "--code", "x", "--timeout", "\xff"},
		 "sandboxctl: --timeout: is not UTF-8 text\n"},
		{{"run", "base", "--code", "x", "-e", "=1"},
		 "sandboxctl: --env '=1': names no variable\n"},
		{{"run", "base", "--code", "x", "-e", "A=\xff"},
		 "sandboxctl: --env A: is not UTF-8 text\n"},
		{{"run", "base", "--code", "x", "-e", "\xff=1"},
		 "sandboxctl: --env \\xff: is not UTF-8 text\n"},
		{{"run", "base", "--code", "x", "--", "a", "\xff"},
		 "sandboxctl: argument 2 is not UTF-8 text\n"},
		{{"run", "base", "--code", "x", "--payload", "{\"a\":}"},
		 "sandboxctl: --payload: is not JSON from byte 5 on\n"},
		{{"run", "base", "--code", "x", "--payload", "1 2"},
		 "sandboxctl: --payload: is not JSON from byte 1 on\n"},
		{{"run", "base", "--code", "x", "--payload", "\"\xff\""},
		 "sandboxctl: --payload: is not JSON from byte 1 on\n"},
		{{"run", "base", "--code", "x", "--payload", "@none.json"},
		 "sandboxctl: --payload: none.json: No such file or directory\n"},
		{{"run", "base", "--code", "x", "--payload", "@."},
		 "sandboxctl: --payload: .: is not a regular file (use - to read stdin)\n"},
		{{"run", "base", "none.json"},
		 "sandboxctl: none.json: No such file or directory\n"},
		{{"run", "base", "."},
		 "sandboxctl: .: is not a regular file (use - to read stdin)\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ctl_case c = {.verb = show, .status = 125, .err = rows[i].err};

		memcpy(c.words, rows[i].words, sizeof(rows[i].words));
		ctl_try(&c);
	}
}

/* An error about a value out of bounds names the option that has set it, or else task.json's
 * field. */
static void test_blame(void **state)
{
	static const struct {
		const char *in, *words[6], *starts;
	} rows[] = {
		{"{\"code\":\"x\"}", {"--timeout", "0"}, "sandboxctl: --timeout: "},
		{"{\"code\":\"x\"}", {"--timeout", "soon"}, "sandboxctl: --timeout: "},
		{"{\"code\":\"x\"}", {"--timeout", "1e400"}, "sandboxctl: --timeout: "},
		{"{\"code\":\"x\"}", {"--cpus", "-1"}, "sandboxctl: --cpus: "},
		{"{\"code\":\"x\"}", {"--pids", "1.5"}, "sandboxctl: --pids: "},
		{"{\"code\":\"x\"}", {"--memory", "1"}, "sandboxctl: --memory: "},
		{"{\"code\":\"x\"}", {"--disk", "much"}, "sandboxctl: --disk: "},
		{"{\"code\":\"x\"}", {"--start", "hot"}, "sandboxctl: --start: must be \"auto\""},
		{"{\"code\":\"x\"}", {"--policy", "A B"}, "sandboxctl: --policy: must be a "},
		{"{\"code\":\"x\"}", {"--label", "a\tb"}, "sandboxctl: --label: must not "},
		{"{\"code\":\"x\",\"label\":\"a\\tb\"}", {NULL}, "sandboxctl: task.json: label: "},
		{"{\"code\":\"x\",\"limits\":{\"pids\":0}}",
		 {"--timeout", "5"},
		 "sandboxctl: task.json: limits.pids: "},
		{"{\"code\":\"x\",\"limits\":7}",
		 {"--pids", "8"},
		 "sandboxctl: task.json: limits: "},
		{"{\"code\":\"x\",\"env\":7}", {"-e", "A=1"}, "sandboxctl: task.json: env: "},
		{"{\"code\":\"x\"}", {"-e", "1A=1"}, "sandboxctl: task.json: env.1A: "},
		{"{\"code\":\"x\",\"more\":1}", {NULL}, "sandboxctl: task.json: more: "},
		{"{\"label\":\"x\"}", {NULL}, "sandboxctl: task.json: one of exec, code and "},
		{"[]", {NULL}, "sandboxctl: task.json: must be an object"},
		{"{", {NULL}, "sandboxctl: task.json: "},
		{"", {NULL}, "sandboxctl: task.json: "},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ctl_case c = {.verb = show, .words = {"run", "base", "-"}, .in = rows[i].in};
		struct ctl_child child;
		char *out, *err;
		int status;

		memcpy(c.words + 3, rows[i].words, sizeof(rows[i].words));
		ctl_start(&c, &child);
		ctl_end(&child, &status, &out, &err);
		if (strncmp(err, rows[i].starts, strlen(rows[i].starts)) != 0)
			fail_msg("%s: says \"%s\" instead of \"%s\"", rows[i].in, err,
				 rows[i].starts);
		assert_int_equal(status, 125);
		assert_string_equal(out, "");
		free(out);
		free(err);
	}
}

/* What exec or dir name is sent along, from within task.json's own folder only. */
static void test_package(void **state)
{
	static const struct {
		const char *in, *out, *err;
		int status;
	} rows[] = {
		{"{\"exec\":\"job/main.py\"}", "base {\"exec\":\"job/main.py\"}\nand a package\n",
		 NULL, 0},
		{"{\"exec\":\"job\"}", "base {\"exec\":\"job\"}\nand a package\n", NULL, 0},
		{"{\"exec\":\"main.py\",\"dir\":\"job\"}",
		 "base {\"exec\":\"main.py\",\"dir\":\"job\"}\nand a package\n", NULL, 0},
		{"{\"entry\":\"a:b\",\"dir\":\"in\"}",
		 "base {\"entry\":\"a:b\",\"dir\":\"in\"}\nand a package\n", NULL, 0},
		/* The exit status is that of a shell whose script does not exist. */
		{"{\"exec\":\"none.py\"}", NULL,
		 "sandboxctl: task.json: exec: ./none.py: No such file or directory\n", 127},
		{"{\"exec\":\"out\"}", NULL,
		 "sandboxctl: task.json: exec: out leads out of task.json's folder\n", 125},
		{"{\"code\":\"x\",\"dir\":\"none\"}", NULL,
		 "sandboxctl: task.json: dir: none: No such file or directory\n", 125},
		{"{\"code\":\"x\",\"dir\":\"job/main.py\"}", NULL,
		 "sandboxctl: task.json: dir: job/main.py: Not a directory\n", 125},
		{"{\"code\":\"x\",\"dir\":\"..\"}", NULL,
		 "sandboxctl: task.json: dir: .. leads out of task.json's folder: move task.json "
		 "to "
		 "a folder that holds it\n",
		 125},
		{"{\"code\":\"x\",\"dir\":\"out\"}", NULL,
		 "sandboxctl: task.json: dir: out leads out of task.json's folder: move task.json "
		 "to a folder that holds it\n",
		 125},
		{"{\"code\":\"x\",\"dir\":\"/tmp\"}", NULL,
		 "sandboxctl: task.json: dir: must be a path relative to task.json's folder\n",
		 125},
	};

	(void)state;
	ctl_rig_file("job/main.py", "pass\n");
	assert_int_equal(symlink("job", "in"), 0);
	assert_int_equal(symlink("/etc", "out"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		ctl_try(&(struct ctl_case){.verb = show,
					   .words = {"run", "base", "-"},
					   .in = rows[i].in,
					   .out = rows[i].out,
					   .err = rows[i].err,
					   .status = rows[i].status});
	/* Paths are relative to task.json, wherever it is read from. */
	ctl_rig_file("job/task.json", "{\"exec\":\"main.py\"}");
	ctl_try(&(struct ctl_case){.verb = show,
				   .words = {"run", "base", "job/task.json"},
				   .out = "base {\"exec\":\"main.py\"}\nand a package\n"});
	/* A file that cannot be in a package is named in the error. */
	assert_int_equal(mkfifo("job/pipe", 0600), 0);
	assert_int_equal(symlink("..", "job/up"), 0);
	ctl_try(&(struct ctl_case){
		.verb = show,
		.words = {"run", "base", "-"},
		.in = "{\"code\":\"x\",\"dir\":\"job\"}",
		.out = "base {\"code\":\"x\",\"dir\":\"job\"}\nand a package\n",
		.err = "sandboxctl: not sent along: pipe (a FIFO), up (a link out of the "
		       "folder)\n"});
}

/* A description's paths stay in its folder, by whatever way they try to leave it. */
static void test_open_beneath(void **state)
{
	static const struct {
		const char *path;
		int error;
	} rows[] = {
		{"f", 0},
		{"d/f", 0},
		{"d/../f", 0},
		{"./d//f", 0},
		{"d/in", 0},
		{"../d/f", EXDEV},
		{"d/../../d/f", EXDEV},
		{"/etc/passwd", EXDEV},
		{"d/out", EXDEV},
		{"d/root/passwd", EXDEV},
		{"none", ENOENT},
		{"f/x", ENOTDIR},
		{"", ENOENT},
	};
	int base;

	(void)state;
	ctl_rig_file("base/f", "f");
	ctl_rig_file("base/d/f", "f");
	ctl_rig_file("d/f", "f");
	assert_int_equal(symlink("../f", "base/d/in"), 0);
	assert_int_equal(symlink("../../d/f", "base/d/out"), 0);
	assert_int_equal(symlink("/etc", "base/d/root"), 0);
	base = open("base", O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		static const int flags[] = {O_RDONLY, O_PATH};

		for (size_t k = 0; k < ARRAY_SIZE(flags); k++) {
			int fd = ctl_open_beneath(base, rows[i].path, flags[k]);
			int error = fd < 0 ? errno : 0;

			if (error != rows[i].error)
				fail_msg("%s: %s", rows[i].path, strerror(error));
			if (fd >= 0)
				assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
			util_close_fd(&fd);
		}
	}
	util_close_fd(&base);
}

/* A file of as many bytes as there may be is read; one more is too much. */
static void test_read_file(void **state)
{
	struct err e = {0};
	char *text = NULL;
	size_t len = 0;

	(void)state;
	ctl_rig_file("five", "12345");
	assert_int_equal(ctl_read_file("five", 5, false, &text, &len, &e), 0);
	assert_int_equal(len, 5);
	assert_string_equal(text, "12345");
	free(text);
	text = NULL;
	assert_true(ctl_read_file("five", 4, false, &text, &len, &e) < 0);
	assert_int_equal(e.code, ERR_LIMIT);
	assert_string_equal(e.msg, "five: has more than 4 bytes");
	assert_null(text);
	/* A FIFO without a writer is refused at once where only files will do. */
	assert_int_equal(mkfifo("pipe", 0600), 0);
	assert_true(ctl_read_file("pipe", 5, false, &text, &len, &e) < 0);
	assert_int_equal(e.code, ERR_INPUT);
	assert_null(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CTL_TEST(test_options),	  CTL_TEST(test_over),	  CTL_TEST(test_wrong_words),
		CTL_TEST(test_blame),	  CTL_TEST(test_package), CTL_TEST(test_open_beneath),
		CTL_TEST(test_read_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
