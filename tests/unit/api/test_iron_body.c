// SPDX-License-Identifier: Apache-2.0
/* Bodies of REST requests: what each client sends is read, and what is wrong is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/front/api/iron/body.h"
#include "supervisor/front/core/package/unescape.h"

static int tasks(const char *text, bool strict, struct iron_tasks *ret, struct err *e)
{
	return iron_tasks_parse(text, strlen(text), strict, ret, e);
}

static void test_tasks_of_clients(void **state)
{
	/* The Go client's, the Python client's, the Ruby CLI's. */
	static const char text[] =
		"{\"tasks\":[{\"code_name\":\"a\",\"payload\":\"{}\",\"priority\":-3,\"timeout\":0,"
		"\"delay\":0,\"cluster\":null,\"label\":null},"
		"{\"name\":\"b\",\"code_name\":\"b\",\"payload\":\"x\",\"priority\":\"2\","
		"\"timeout\":60.0,\"scheduled\":false},"
		"{\"code_name\":\"c\",\"payload\":{\"n\":[1]},\"label\":\"l\",\"cluster\":\"k\","
		"\"delay\":5,\"sync\":true}]}";
	_cleanup_iron_tasks_ struct iron_tasks t = {0};
	struct err e = {0};

	(void)state;
	assert_int_equal(tasks(text, false, &t, &e), 0);
	assert_int_equal(t.n, 3);
	assert_string_equal(t.tasks[0].code_name, "a");
	assert_int_equal(t.tasks[0].what.priority, -1);
	assert_int_equal(t.tasks[0].what.timeout_s, 0);
	assert_null(t.tasks[0].what.label);
	assert_null(t.tasks[0].what.cluster);
	assert_int_equal(t.tasks[1].what.priority, 2);
	assert_int_equal(t.tasks[1].what.timeout_s, 60);
	assert_false(t.tasks[1].sync);
	assert_string_equal(t.tasks[2].what.payload, "{\"n\":[1]}");
	assert_int_equal(t.tasks[2].what.payload_len, 9);
	assert_string_equal(t.tasks[2].what.label, "l");
	assert_string_equal(t.tasks[2].what.cluster, "k");
	assert_int_equal(t.tasks[2].what.delay_s, 5);
	assert_true(t.tasks[2].sync);
}

struct wrong {
	const char *text, *says;
	int strict; /* 0: under /2, 1: under /api, 2: both */
};

static void test_wrong_tasks(void **state)
{
	static const struct wrong list[] = {
		{"", "request: the body must be a JSON object", 2},
		{" \n", "request: the body must be a JSON object", 2},
		{"[]", "request: must be an object, not an array", 2},
		{"{\"tasks\":[]}", "request: tasks: must be a list of at least one", 2},
		{"{\"tasks\":null}", "request: tasks: must be a list of at least one", 2},
		{"{\"tasks\":[1]}", "request: tasks[0]: must be an object, not a number", 2},
		{"{\"tasks\":[{}]}", "request: tasks[0].code_name: must name a worker", 2},
		{"{\"tasks\":[{\"code_name\":\"a\"},{\"code_name\":\"a\",\"priority\":3}]}",
		 "request: tasks[1].priority: must be from", 2},
		{"{\"tasks\":[{\"code_name\":\"a\",\"priority\":-1}]}",
		 "request: tasks[0].priority: must be from 0 to 2", 2},
		{"{\"tasks\":[{\"code_name\":\"a\",\"priority\":-3}]}",
		 "request: tasks[0].priority: must be from 0 to 2", 1},
		{"{\"tasks\":[{\"code_name\":\"a\",\"priority\":\"1\"}]}",
		 "request: tasks[0].priority: must be a whole number", 1},
		{"{\"tasks\":[{\"code_name\":\"a\",\"priority\":\"1x\"}]}",
		 "request: tasks[0].priority: must be a whole number", 2},
		{"{\"tasks\":[{\"code_name\":\"a\",\"delay\":604801}]}",
		 "request: tasks[0].delay: must be from 0 to 604800", 2},
		{"{\"tasks\":[{\"code_name\":\"a\",\"timeout\":3601}]}",
		 "request: tasks[0].timeout: must be from 0 to 3600", 2},
		{"{\"tasks\":[{\"code_name\":\"a\",\"timeout\":1.5}]}",
		 "request: tasks[0].timeout: must be a whole number", 2},
		{"{\"tasks\":[{\"code_name\":\"a\",\"label\":1}]}",
		 "request: tasks[0].label: must be a string, not a number", 2},
		{"{\"tasks\":[{\"code_name\":\"a\",\"colour\":1}]}",
		 "request: tasks[0].colour: unknown key", 1},
		{"{\"tasks\":[{\"code_name\":\"a\"}],\"x\":1}", "request: x: unknown key", 1},
		{"{\"tasks\":[{\"code_name\":\"a\",\"payload\":\"\\u0000\"}]}", "request: line 1",
		 2},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(list); i++)
		for (int strict = list[i].strict == 1; strict < 2; strict++) {
			struct iron_tasks t = {0};
			struct err e = {0};

			if (strict && list[i].strict == 0)
				break;
			assert_true(tasks(list[i].text, strict, &t, &e) < 0);
			if (strncmp(e.msg, list[i].says, strlen(list[i].says)) != 0)
				fail_msg("%s: \"%s\" and not \"%s\"", list[i].text, e.msg,
					 list[i].says);
			assert_int_equal(e.code, ERR_INPUT);
			assert_null(t.tasks);
			assert_null(t.texts);
		}
}

static void test_payload_size(void **state)
{
	static char text[QUEUE_PAYLOAD_MAX + 100];

	(void)state;
	for (unsigned over = 0; over < 2; over++) {
		_cleanup_iron_tasks_ struct iron_tasks t = {0};
		struct err e = {0};
		int n = snprintf(text, sizeof(text),
				 "{\"tasks\":[{\"code_name\":\"a\",\"payload\":\"");

		memset(text + n, 'x', QUEUE_PAYLOAD_MAX + over);
		strcpy(text + n + QUEUE_PAYLOAD_MAX + over, "\"}]}");
		assert_int_equal(tasks(text, false, &t, &e), over ? -EINVAL : 0);
		if (over)
			assert_string_equal(e.msg,
					    "request: tasks[0].payload: is 65537 bytes long: "
					    "at most 65536 are taken");
	}
}

static int webhook(const char *body, size_t len, const char *priority, struct iron_tasks *ret,
		   struct err *e)
{
	return iron_webhook_parse(json_pack("{s:s, s:s}", "code_name", "a", "priority", priority),
				  body, len, ret, e);
}

static void test_webhook(void **state)
{
	struct iron_tasks t = {0};
	struct err e = {0};

	(void)state;
	assert_int_equal(webhook("a=1&b=\"\n", 8, "1", &t, &e), 0);
	assert_string_equal(t.tasks[0].what.payload, "a=1&b=\"\n");
	assert_int_equal(t.tasks[0].what.payload_len, 8);
	assert_int_equal(t.tasks[0].what.priority, 1);
	iron_tasks_clear(&t);
	assert_int_equal(webhook("", 0, "0", &t, &e), 0);
	assert_null(t.tasks[0].what.payload);
	iron_tasks_clear(&t);
	assert_true(webhook("a\0b", 3, "0", &t, &e) < 0);
	assert_string_equal(e.msg, "the body is the payload: it must be UTF-8 text without NUL");
	assert_true(webhook("\xff", 1, "0", &t, &e) < 0);
	assert_true(webhook("x", 1, "7", &t, &e) < 0);
	assert_non_null(strstr(e.msg, "priority"));
}

static void test_schedules(void **state)
{
	static const char text[] =
		"{\"schedules\":[{\"code_name\":\"a\",\"start_at\":\"2030-01-02T03:04:05Z\","
		"\"run_every\":60,\"run_times\":3,\"priority\":1,\"payload\":\"p\"},"
		"{\"code_name\":\"b\",\"start_at\":null,\"run_every\":0,\"cron\":\"* * * * *\","
		"\"timezone\":\"Europe/Berlin\"}]}";
	_cleanup_iron_schedules_ struct iron_schedules s = {0};
	struct err e = {0};

	(void)state;
	assert_int_equal(iron_schedules_parse(text, strlen(text), true, &s, &e), 0);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.specs[0].start_ns / 1000000000, 1893553445);
	assert_int_equal(s.specs[0].run_every_s, 60);
	assert_int_equal(s.specs[0].run_times, 3);
	assert_int_equal(s.specs[0].priority, 1);
	assert_string_equal(s.specs[0].payload, "p");
	assert_int_equal(s.specs[1].priority, -1);
	assert_string_equal(s.specs[1].cron, "* * * * *");
	assert_string_equal(s.specs[1].zone, "Europe/Berlin");
}

static void test_wrong_schedules(void **state)
{
	static const struct wrong list[] = {
		{"{\"code_name\":\"a\",\"run_every\":59}",
		 "request: schedules[0].run_every: must be at least 60 seconds", 0},
		{"{\"code_name\":\"a\",\"run_every\":0}",
		 "request: schedules[0].run_every: must be at least 1 second", 1},
		{"{\"code_name\":\"a\",\"run_every\":5,\"cron\":\"* * * * *\"}",
		 "request: schedules[0].cron: give cron or run_every, not both", 1},
		{"{\"code_name\":\"a\",\"start_at\":\"tomorrow\"}",
		 "request: schedules[0].start_at: must be a time", 2},
		{"{\"code_name\":\"a\",\"start_at\":\"2030-01-02T00:00:00Z\","
		 "\"end_at\":\"2030-01-01T00:00:00Z\"}",
		 "request: schedules[0].end_at: must not be before", 2},
		{"{\"code_name\":\"a\",\"run_times\":-1}",
		 "request: schedules[0].run_times: must be from 0", 2},
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		struct iron_schedules s = {0};
		struct err e = {0};

		(void)snprintf(text, sizeof(text), "{\"schedules\":[%s]}", list[i].text);
		assert_true(iron_schedules_parse(text, strlen(text), list[i].strict != 0, &s, &e) <
			    0);
		if (strncmp(e.msg, list[i].says, strlen(list[i].says)) != 0)
			fail_msg("%s: \"%s\" and not \"%s\"", text, e.msg, list[i].says);
		assert_null(s.specs);
	}
}

static void test_schedule_change(void **state)
{
	static const char cron[] = "{\"cron\":\"* * * * *\",\"timezone\":\"Europe/Berlin\"}";
	struct schedule_spec spec = {.code_name = "a",
				     .payload = strdup("old"),
				     .run_every_s = 60,
				     .priority = 2,
				     .label = "l"};
	struct err e = {0};

	(void)state;
	assert_int_equal(iron_schedule_change("{\"run_every\":120}", 17, false, &spec, &e), 0);
	assert_int_equal(spec.run_every_s, 120);
	assert_string_equal(spec.payload, "old");
	assert_int_equal(spec.priority, 2);
	assert_string_equal(spec.label, "l");
	assert_int_equal(iron_schedule_change("{\"payload\":\"new\"}", 17, false, &spec, &e), 0);
	assert_string_equal(spec.payload, "new");
	/* Members that are not named stay; only the other way to repeat is replaced. */
	assert_int_equal(iron_schedule_change(cron, strlen(cron), true, &spec, &e), 0);
	assert_int_equal(spec.run_every_s, 0);
	assert_string_equal(spec.cron, "* * * * *");
	assert_int_equal(iron_schedule_change("{\"run_every\":0}", 15, true, &spec, &e), 0);
	assert_string_equal(spec.cron, "* * * * *");
	assert_string_equal(spec.zone, "Europe/Berlin");
	assert_int_equal(iron_schedule_change("{\"run_every\":60}", 16, true, &spec, &e), 0);
	assert_int_equal(spec.run_every_s, 60);
	assert_string_equal(spec.cron, "");
	assert_string_equal(spec.zone, "");
	schedule_spec_clear(&spec);
}

static int worker(const char *text, bool strict, struct worker_spec *ret, struct err *e)
{
	return iron_code_parse(text, strlen(text), strict, ret, e);
}

static void test_codes(void **state)
{
	static const char text[] =
		"{\"name\":\"My-Worker_2\",\"runtime\":\"python\",\"file_name\":\"./a//b.py\","
		"\"config\":{\"k\":1},\"max_concurrency\":-1,\"retries\":\"3\","
		"\"retries_delay\":60,\"default_priority\":-3,\"stack\":null,"
		"\"env_vars\":{\"A\":\"1\"},\"extra\":[1]}";
	struct worker_spec spec;
	struct err e = {0};

	(void)state;
	assert_int_equal(worker(text, false, &spec, &e), 0);
	assert_string_equal(spec.name, "My-Worker_2");
	assert_string_equal(spec.file_name, "a/b.py");
	assert_string_equal(spec.config, "{\"k\":1}");
	assert_string_equal(spec.env, "{\"A\":\"1\"}");
	assert_int_equal(spec.max_concurrency, 0);
	assert_int_equal(spec.retries, 3);
	assert_int_equal(spec.retries_delay_s, 60);
	assert_int_equal(spec.default_priority, 0);
	worker_spec_clear(&spec);
	assert_true(worker(text, true, &spec, &e) < 0);
}

static void test_wrong_codes(void **state)
{
	static const struct wrong list[] = {
		{"{}", "data: name: must be letters", 2},
		{"{\"name\":\"../x\"}", "data: name: must be letters", 2},
		{"{\"name\":\"a..b\"}", "data: name: must be letters", 2},
		{"{\"name\":\"a%2eb\"}", "data: name: must be letters", 2},
		{"{\"name\":\"h\\u0435llo\"}", "data: name: must be letters", 2},
		{"{\"name\":\"a\",\"file_name\":\"../a.py\"}", "data: file_name: must be", 2},
		{"{\"name\":\"a\",\"file_name\":\"/a.py\"}", "data: file_name: must be", 2},
		{"{\"name\":\"a\",\"file_name\":\"a\\nb\"}", "data: file_name: must be", 2},
		{"{\"name\":\"a\",\"retries\":11}", "data: retries: must be from 0 to 10", 2},
		{"{\"name\":\"a\",\"env_vars\":{\"A=B\":\"1\"}}", "data: env_vars.A=B: is no name",
		 2},
		{"{\"name\":\"a\",\"env_vars\":{\"A\":1}}", "data: env_vars.A: must be a text", 2},
		{"{\"name\":\"a\",\"env_vars\":[]}", "data: env_vars: must be an object", 2},
		{"{\"name\":\"a\",\"image\":\"../x\"}", "data: image: must be", 2},
		{"{\"name\":\"a\",\"policy\":\"X\"}", "data: policy: must be", 2},
		{"{\"name\":\"a\",\"max_concurrency\":-1}", "data: max_concurrency: must be", 1},
		{"{\"name\":\"a\",\"extra\":1}", "data: extra: unknown key", 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(list); i++)
		for (int strict = list[i].strict == 1; strict < 2; strict++) {
			struct worker_spec spec;
			struct err e = {0};

			assert_true(worker(list[i].text, strict, &spec, &e) < 0);
			if (strncmp(e.msg, list[i].says, strlen(list[i].says)) != 0)
				fail_msg("%s: \"%s\" and not \"%s\"", list[i].text, e.msg,
					 list[i].says);
			assert_null(spec.env);
			assert_null(spec.config);
		}
}

static void test_progress_and_retry(void **state)
{
	struct iron_progress p;
	uint32_t delay = 7;
	struct err e = {0};

	(void)state;
	assert_int_equal(iron_progress_parse("{\"percent\":40,\"msg\":\"half\"}", 27, true, &p, &e),
			 0);
	assert_true(p.has_percent);
	assert_int_equal(p.percent, 40);
	assert_string_equal(p.msg, "half");
	assert_true(iron_progress_parse("{\"percent\":101}", 15, false, &p, &e) < 0);
	assert_int_equal(iron_retry_parse("", 0, false, &delay, &e), 0);
	assert_int_equal(delay, 0);
	assert_int_equal(iron_retry_parse("{\"delay\":9}", 11, true, &delay, &e), 0);
	assert_int_equal(delay, 9);
	assert_true(iron_retry_parse("{\"delay\":-1}", 12, true, &delay, &e) < 0);
}

/* Reads the text in pieces of every size; the result must be the same. */
static void unescapes(const char *text, const char *want, size_t len)
{
	char got[256];

	for (size_t piece = 1; piece <= strlen(text); piece++) {
		struct iron_unescape u = {0};
		size_t n = 0, m;

		for (size_t i = 0; i < strlen(text); i += piece) {
			size_t left = strlen(text) - i;

			assert_int_equal(iron_unescape(&u, text + i, left < piece ? left : piece,
						       got + n, &m),
					 0);
			n += m;
		}
		assert_int_equal(iron_unescape_end(&u), 0);
		assert_int_equal(n, len);
		assert_memory_equal(got, want, len);
	}
}

static void test_unescape(void **state)
{
	(void)state;
	unescapes("b'PK\\x03\\x04\\x00\\xff a\"b'", "PK\3\4\0\xff a\"b", 10);
	unescapes("b\"it's \\n\\r\\t\\\\ \\'\\\"\"", "it's \n\r\t\\ '\"", 12);
	unescapes("b''\n", "", 0);
}

static void test_wrong_literals(void **state)
{
	static const char *const list[] = {"b'\\q'",  "b'\\x4'", "b'\\xAB'",
					   "b'\xff'", "b'a'b",	 "b'\n'"};
	static const char *const cut[] = {"b'abc", "b'\\", "b'\\x", "b'\\x0", "b", ""};
	char got[16];
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		struct iron_unescape u = {0};

		assert_int_equal(iron_unescape(&u, list[i], strlen(list[i]), got, &n), -EINVAL);
	}
	for (size_t i = 0; i < ARRAY_SIZE(cut); i++) {
		struct iron_unescape u = {0};

		assert_int_equal(iron_unescape(&u, cut[i], strlen(cut[i]), got, &n), 0);
		assert_int_equal(iron_unescape_end(&u), -EINVAL);
	}
	assert_true(iron_unescape_wanted("b'"));
	assert_true(iron_unescape_wanted("b\""));
	assert_false(iron_unescape_wanted("PK"));
}

int main(void)
{
	const struct CMUnitTest list[] = {
		cmocka_unit_test(test_tasks_of_clients), cmocka_unit_test(test_wrong_tasks),
		cmocka_unit_test(test_payload_size),	 cmocka_unit_test(test_webhook),
		cmocka_unit_test(test_schedules),	 cmocka_unit_test(test_wrong_schedules),
		cmocka_unit_test(test_schedule_change),	 cmocka_unit_test(test_codes),
		cmocka_unit_test(test_wrong_codes),	 cmocka_unit_test(test_progress_and_retry),
		cmocka_unit_test(test_unescape),	 cmocka_unit_test(test_wrong_literals),
	};

	return cmocka_run_group_tests_name("iron_body", list, NULL, NULL);
}
