// SPDX-License-Identifier: Apache-2.0
/* Bytes that are not an answer, errors of every kind, and a daemon that is away or goes away. */
#include "tests/unit/ctl_rig.h"

#define ASKED "{\"op\":\"ps\",\"all\":false}"
#define NOT_JSON "sandboxctl: the daemon's answer is not a JSON object\n"

/* An answer that is not a JSON object is an error that says so, and nothing of it is printed. */
static void test_not_json(void **state)
{
	static const char *const answers[] = {
		"{]",
		"[]",
		"12",
		"{\"ok\":true} x",
		"{\"ok\":true,\"ok\":true}",
		"{\"ok\":tru",
		"{\"a\":\"\xff\"}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
		ctl_try(&(struct ctl_case){.verb = ctl_ps,
					   .words = {"ps"},
					   .turns = {{ASKED, answers[i]}},
					   .status = 125,
					   .err = NOT_JSON});
}

/* A length that no answer can have is refused before there is memory for it. */
static void test_lengths(void **state)
{
	static const struct {
		uint32_t announced;
		const char *err;
	} rows[] = {
		{1, NOT_JSON}, /* a valid frame, whose body is not a JSON object */
		{CONTROL_FRAME_MAX + 1,
		 "sandboxctl: the daemon's answer is out of bounds (8388609 bytes)\n"},
		{UINT32_MAX,
		 "sandboxctl: the daemon's answer is out of bounds (4294967295 bytes)\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		ctl_try(&(struct ctl_case){.verb = ctl_ps,
					   .words = {"ps"},
					   .turns = {{ASKED, "{\"ok\":true}", rows[i].announced}},
					   .status = 125,
					   .err = rows[i].err});
}

/* The text of an error is the daemon's own, whatever its code is; 125 is the status of each. */
static void test_codes(void **state)
{
	(void)state;
	for (int code = ERR_NONE + 1; code < ERR_CODE_MAX; code++) {
		char answer[128], err[128];

		(void)snprintf(answer, sizeof(answer),
			       "{\"ok\":false,\"code\":\"%s\",\"error\":\"because %d\\r\"}",
			       err_code_name((enum err_code)code), code);
		(void)snprintf(err, sizeof(err), "sandboxctl: because %d\\x0d\n", code);
		ctl_try(&(struct ctl_case){.verb = ctl_ps,
					   .words = {"ps"},
					   .turns = {{ASKED, answer}},
					   .status = 125,
					   .err = err});
	}
}

/* The code of an answer is the code of the error, for callers that look at it. */
static void test_check(void **state)
{
	struct err e;

	(void)state;
	for (int code = ERR_NONE + 1; code < ERR_CODE_MAX; code++) {
		json_t *reply = json_pack("{s:b, s:s, s:s}", "ok", 0, "code",
					  err_code_name((enum err_code)code), "error", "why");

		e = (struct err){0};
		assert_true(ctl_reply_check(reply, &e) < 0);
		assert_int_equal(e.code, code);
		assert_string_equal(e.msg, "why");
		json_decref(reply);
	}
}

/* An error that says little is an error all the same: only "ok": true is a success. */
static void test_poor_errors(void **state)
{
	static const struct {
		const char *answer, *err;
	} rows[] = {
		{"{}", "sandboxctl: the daemon's answer has no \"ok\"\n"},
		{"{\"ok\":1}", "sandboxctl: the daemon's answer has no \"ok\"\n"},
		{"{\"ok\":\"true\"}", "sandboxctl: the daemon's answer has no \"ok\"\n"},
		{"{\"ok\":false,\"code\":\"denied\"}", "sandboxctl: denied\n"},
		{"{\"ok\":false,\"code\":\"denied\",\"error\":7}", "sandboxctl: denied\n"},
		{"{\"ok\":false,\"code\":\"new\",\"error\":\"text\"}", "sandboxctl: text\n"},
		{"{\"ok\":false,\"code\":7,\"error\":\"text\"}", "sandboxctl: text\n"},
		{"{\"ok\":false,\"code\":\"none\",\"error\":\"text\"}", "sandboxctl: text\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		ctl_try(&(struct ctl_case){.verb = ctl_ps,
					   .words = {"ps"},
					   .turns = {{ASKED, rows[i].answer}},
					   .status = 125,
					   .err = rows[i].err});
}

/* A success without the member that was asked for, or with a member of another type, is an
 * error. */
static void test_no_member(void **state)
{
	static const struct {
		ctl_verb_fn verb;
		const char *words[4], *request, *answer, *key;
	} rows[] = {
		{ctl_ps, {"ps"}, ASKED, "{\"ok\":true}", "tasks"},
		{ctl_ps, {"ps"}, ASKED, "{\"ok\":true,\"tasks\":{}}", "tasks"},
		{ctl_inspect,
		 {"inspect", "aaaa"},
		 "{\"op\":\"inspect\",\"id\":\"aaaa\"}",
		 "{\"ok\":true,\"task\":[]}",
		 "task"},
		{ctl_wait,
		 {"wait", "aaaa"},
		 "{\"op\":\"wait\",\"id\":\"aaaa\"}",
		 "{\"ok\":true}",
		 "task"},
		{ctl_template,
		 {"template", "ls"},
		 "{\"op\":\"templates\"}",
		 "{\"ok\":true,\"templates\":null}",
		 "templates"},
		{ctl_project,
		 {"project", "ls"},
		 "{\"op\":\"projects\"}",
		 "{\"ok\":true,\"projects\":7}",
		 "projects"},
		{ctl_project,
		 {"project", "inspect", "p"},
		 "{\"op\":\"project\",\"project\":\"p\"}",
		 "{\"ok\":true,\"tokens\":[]}",
		 "id"},
		{ctl_project,
		 {"project", "quota", "p", "running=1"},
		 "{\"op\":\"project_quota\",\"project\":\"p\",\"quota\":{\"running\":1}}",
		 "{\"ok\":true,\"id\":7}",
		 "id"},
		{ctl_project,
		 {"project", "token", "ls", "p"},
		 "{\"op\":\"tokens\",\"project\":\"p\"}",
		 "{\"ok\":true,\"tokens\":{}}",
		 "tokens"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ctl_case c = {.verb = rows[i].verb,
				     .turns = {{rows[i].request, rows[i].answer}},
				     .status = 125};
		char err[128];

		memcpy(c.words, rows[i].words, sizeof(rows[i].words));
		(void)snprintf(err, sizeof(err), "sandboxctl: the daemon's answer has no \"%s\"\n",
			       rows[i].key);
		c.err = err;
		ctl_try(&c);
		c.json = true;
		ctl_try(&c);
	}
}

/* A daemon that hangs up before or within its answer is asked again, as often as it takes. */
static void test_hang_up(void **state)
{
	static const struct ctl_case cases[] = {
		{.verb = ctl_ps,
		 .words = {"ps", "-q"},
		 .turns = {{ASKED, NULL},
			   {ASKED, "", 20, true},
			   {ASKED, "{\"ok\":true,\"tasks\":[", 500, true},
			   {ASKED, "{\"ok\":true,\"tasks\":[{\"id\":\"a\"}]}"}},
		 .out = "a\n"},
		{.verb = ctl_wait,
		 .words = {"wait", "aaaa"},
		 .turns = {{"{\"op\":\"wait\",\"id\":\"aaaa\"}", NULL},
			   {"{\"op\":\"wait\",\"id\":\"aaaa\"}", NULL},
			   {"{\"op\":\"wait\",\"id\":\"aaaa\"}",
			    "{\"ok\":true,\"task\":{\"exit_code\":2}}"}},
		 .status = 2,
		 .out = "2\n"},
	};

	(void)state;
	ctl_try_all(cases, ARRAY_SIZE(cases));
}

/* A request whose answer has a secret that is told only once is not sent twice. */
static void test_hang_up_once(void **state)
{
	static const struct ctl_case cases[] = {
		{.verb = ctl_project,
		 .words = {"project", "create", "p"},
		 .turns = {{"{\"op\":\"project_create\",\"name\":\"p\",\"quota\":{}}", NULL}},
		 .status = 125,
		 .err = "sandboxctl: the daemon went away before it answered: see 'sandboxctl "
			"project ls', and 'project token create' if it is there\n"},
		{.verb = ctl_project,
		 .words = {"project", "token", "create", "p"},
		 .turns = {{"{\"op\":\"token_create\",\"project\":\"p\",\"operator\":false}",
			    NULL}},
		 .status = 125,
		 .err = "sandboxctl: the daemon went away before it answered: see 'sandboxctl "
			"project token ls'\n"},
	};

	(void)state;
	ctl_try_all(cases, ARRAY_SIZE(cases));
}

/* A daemon that was not there to begin with is not waited for. */
static void test_no_daemon(void **state)
{
	struct ctl_case c = {
		.verb = ctl_ps,
		.words = {"ps"},
		.status = 125,
		.err = "sandboxctl: no daemon answers at control.sock (systemctl start "
		       "sandboxd, or sandboxd --detach): No such file or directory\n"};

	(void)state;
	assert_int_equal(unlink("control.sock"), 0);
	ctl_try(&c);
	ctl_rig_file("control.sock", "");
	c.err = "sandboxctl: no daemon answers at control.sock (systemctl start sandboxd, or "
		"sandboxd --detach): Connection refused\n";
	ctl_try(&c);
}

/* A path that no socket can have is said with the option that it is from. */
static void test_long_path(void **state)
{
	struct ctl_conn conn = CTL_CONN_INIT;
	char path[200] = {0};
	struct ctl ctl = {.socket_path = path};
	struct err e = {0};

	(void)state;
	memset(path, 'a', 108);
	assert_true(ctl_connect(&ctl, &conn, &e) < 0);
	assert_int_equal(e.code, ERR_USAGE);
	assert_non_null(strstr(e.msg, "--socket aaaa"));
	assert_non_null(strstr(e.msg, "longer than 107 bytes"));
	/* A path that fits is tried. */
	path[107] = '\0';
	assert_true(ctl_connect(&ctl, &conn, &e) < 0);
	assert_int_equal(e.code, ERR_UNAVAILABLE);
}

/* A request that no daemon would accept is not sent; the error says how long it is. */
static void test_long_request(void **state)
{
	struct ctl_conn conn = CTL_CONN_INIT;
	char *text = malloc(CONTROL_FRAME_MAX + 2);
	struct err e = {0};

	(void)state;
	assert_non_null(text);
	memset(text, ' ', CONTROL_FRAME_MAX + 1);
	text[CONTROL_FRAME_MAX + 1] = '\0';
	assert_true(ctl_send_text(&conn, text, NULL, 0, &e) < 0);
	assert_int_equal(e.code, ERR_LIMIT);
	assert_string_equal(e.msg,
			    "the request has 8388609 bytes; the daemon takes at most 8388608");
	free(text);
}

/* Answers that follow each other without a pause, and one that comes byte by byte. */
static void test_frames(void **state)
{
	static const char bytes[] = "\2\0\0\0{}\7\0\0\0{\"a\":1}\2\0\0\0[]";
	struct ctl_conn conn = CTL_CONN_INIT;
	json_t *reply = NULL;
	struct err e = {0};
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	conn.fd = pair[0];
	assert_int_equal(util_write_all(pair[1], bytes, 17), 0);
	assert_int_equal(ctl_read(&conn, &reply, &e), 1);
	assert_int_equal(json_object_size(reply), 0);
	json_decref(reply);
	assert_int_equal(ctl_read(&conn, &reply, &e), 1);
	assert_int_equal(json_integer_value(json_object_get(reply, "a")), 1);
	json_decref(reply);
	for (size_t i = 17; i < sizeof(bytes) - 1; i++) {
		assert_int_equal(ctl_read(&conn, &reply, &e), 0);
		assert_int_equal(util_write_all(pair[1], bytes + i, 1), 0);
	}
	assert_true(ctl_read(&conn, &reply, &e) < 0);
	assert_int_equal(e.code, ERR_INTERNAL);
	(void)close(pair[1]);
	assert_int_equal(ctl_read(&conn, &reply, &e), -ECONNRESET);
	ctl_close(&conn);
	assert_int_equal(conn.fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CTL_TEST(test_not_json),  CTL_TEST(test_lengths),      CTL_TEST(test_codes),
		CTL_TEST(test_check),	  CTL_TEST(test_poor_errors),  CTL_TEST(test_no_member),
		CTL_TEST(test_hang_up),	  CTL_TEST(test_hang_up_once), CTL_TEST(test_no_daemon),
		CTL_TEST(test_long_path), CTL_TEST(test_long_request), CTL_TEST(test_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
