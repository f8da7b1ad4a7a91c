// SPDX-License-Identifier: Apache-2.0
/* task.json: which documents are accepted, and with which words all others are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "spec/task_spec.h"

static const char whole[] =
	"{\"exec\": \"a/hello.py\", \"dir\": \".\", \"payload\": {\"n\": 1, \"s\": \"x y\"},"
	" \"args\": [\"-v\", \"\"], \"env\": {\"A\": \"1\", \"_b2\": \"\"}, \"policy\": \"strict\","
	" \"limits\": {\"memory\": \"64M\", \"cpus\": 0.5, \"pids\": 8, \"disk\": 1048576,"
	" \"timeout\": 5, \"nofile\": 32, \"log\": \"1M\"}, \"start\": \"restore\","
	" \"warm\": {\"imports\": [\"numpy\", \"os.path\"]}, \"priority\": 2, \"label\": \"l\"}";

static void test_whole(void **state)
{
	_cleanup_task_spec_ struct task_spec s = {0};
	struct err e = {0};

	(void)state;
	assert_int_equal(task_spec_parse(whole, strlen(whole), &s, &e), 0);
	assert_int_equal(s.kind, TASK_EXEC);
	assert_string_equal(s.source, "a/hello.py");
	assert_string_equal(s.dir, ".");
	assert_string_equal(s.payload, "{\"n\": 1, \"s\": \"x y\"}");
	assert_int_equal(s.n_args, 2);
	assert_string_equal(s.args[0], "-v");
	assert_string_equal(s.args[1], "");
	assert_int_equal(s.n_env, 2);
	assert_string_equal(s.env[0], "A=1");
	assert_string_equal(s.env[1], "_b2=");
	assert_string_equal(s.policy, "strict");
	assert_int_equal(s.limits.memory, 64 << 20);
	assert_int_equal(s.limits.cpu_milli, 500);
	assert_int_equal(s.limits.pids, 8);
	assert_int_equal(s.limits.disk, 1 << 20);
	assert_int_equal(s.limits.timeout_s, 5);
	assert_int_equal(s.limits.nofile, 32);
	assert_int_equal(s.limits.log_bytes, 1 << 20);
	assert_int_equal(s.limits_set, 0x7f);
	assert_int_equal(s.start, START_RESTORE);
	assert_true(s.has_warm);
	assert_string_equal(s.warm, "numpy\nos.path");
	assert_int_equal(s.priority, 2);
	assert_string_equal(s.label, "l");
}

static void test_least(void **state)
{
	static const char *const texts[] = {"{\"code\":\"\\n\"}", "{\"exec\":\"x\"}",
					    "{\"entry\":\"a.b_:c.d\"}"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_task_spec_ struct task_spec s = {0};
		struct err e = {0};

		assert_int_equal(task_spec_parse(texts[i], strlen(texts[i]), &s, &e), 0);
		assert_int_equal(s.limits_set, 0);
		assert_int_equal(s.start, START_AUTO);
		assert_false(s.has_warm);
		assert_null(s.payload);
	}
}

/* Payloads of every type are kept; null is a payload, and not the same as no payload. */
static void test_payloads(void **state)
{
	static const char *const values[] = {"null",	  "true", "1",	"-9223372036854775808",
					     "\"a\\\"\"", "[]",	  "{}", "[1,[2,{\"a\":null}]]"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		_cleanup_task_spec_ struct task_spec s = {0};
		struct err e = {0};
		char text[256];

		(void)snprintf(text, sizeof(text), "{\"code\":\"x\",\"payload\": %s }", values[i]);
		assert_int_equal(task_spec_parse(text, strlen(text), &s, &e), 0);
		assert_string_equal(s.payload, values[i]);
	}
}

static const struct {
	const char *text, *error; /* error: what the message must hold */
} bad[] = {
	{"[]", "task.json: must be an object"},
	{"{}", "one of exec, code and entry must be given"},
	{"{\"limits\":{}}", "one of exec, code and entry must be given"},
	{"{\"exec\":\"a\",\"code\":\"b\"}", "code: only one of exec, code and entry"},
	{"{\"code\":\"a\",\"entry\":\"b:c\"}", "entry: only one of"},
	{"{\"exec\":\"/bin/sh\"}", "exec: must be a path relative"},
	{"{\"exec\":\"../a\"}", "exec: must not contain \"..\""},
	{"{\"exec\":\"a/../b\"}", "exec: must not contain \"..\""},
	{"{\"exec\":\"a/..\"}", "exec: must not contain \"..\""},
	{"{\"exec\":\"a\\nb\"}", "exec: must not contain control"},
	{"{\"exec\":\"\"}", "exec: must not be empty"},
	{"{\"code\":\"\"}", "code: must not be empty"},
	{"{\"entry\":\"abc\"}", "entry: must be \"module:function\""},
	{"{\"entry\":\"a:b:c\"}", "entry: must be"},
	{"{\"entry\":\":b\"}", "entry: must be"},
	{"{\"entry\":\"a:\"}", "entry: must be"},
	{"{\"entry\":\"a.:b\"}", "entry: must be"},
	{"{\"entry\":\"1a:b\"}", "entry: must be"},
	{"{\"entry\":\"a b:c\"}", "entry: must be"},
	{"{\"code\":\"x\",\"colour\":1}", "task.json: colour: unknown key"},
	{"{\"code\":\"x\",\"limits\":{\"ram\":1}}", "limits.ram: unknown key"},
	{"{\"code\":\"x\",\"warm\":{\"import\":[]}}", "warm.import: unknown key"},
	{"{\"code\":\"x\",\"code\":\"y\"}", "duplicate"},
	{"{\"code\":\"x\",\"limits\":{\"memory\":1}}", "limits.memory: must be"},
	{"{\"code\":\"x\",\"limits\":{\"memory\":\"-1M\"}}", "limits.memory: must be"},
	{"{\"code\":\"x\",\"limits\":{\"memory\":\"99999999999999999999\"}}", "limits.memory"},
	{"{\"code\":\"x\",\"limits\":{\"memory\":-1}}", "limits.memory"},
	{"{\"code\":\"x\",\"limits\":{\"cpus\":0}}", "limits.cpus: must be"},
	{"{\"code\":\"x\",\"limits\":{\"cpus\":-1}}", "limits.cpus"},
	{"{\"code\":\"x\",\"limits\":{\"cpus\":1e300}}", "limits.cpus"},
	{"{\"code\":\"x\",\"limits\":{\"cpus\":\"1\"}}", "limits.cpus: must be a number"},
	{"{\"code\":\"x\",\"limits\":{\"pids\":0}}", "limits.pids"},
	{"{\"code\":\"x\",\"limits\":{\"pids\":1.5}}", "limits.pids"},
	{"{\"code\":\"x\",\"limits\":{\"timeout\":0}}", "limits.timeout"},
	{"{\"code\":\"x\",\"limits\":{\"timeout\":99999999999}}", "limits.timeout"},
	{"{\"code\":\"x\",\"limits\":{\"timeout\":1e1000}}", "task.json: line 1"},
	{"{\"code\":\"x\",\"limits\":{\"nofile\":1}}", "limits.nofile"},
	{"{\"code\":\"x\",\"limits\":{\"disk\":\"1K\"}}", "limits.disk"},
	{"{\"code\":\"x\",\"limits\":{\"log\":\"1\"}}", "limits.log"},
	{"{\"code\":\"x\",\"args\":[1]}", "args[0]: must be a string"},
	{"{\"code\":\"x\",\"args\":[\"a\",null]}", "args[1]: must be a string"},
	{"{\"code\":\"x\",\"env\":{\"A\":1}}", "env.A: must be a string"},
	{"{\"code\":\"x\",\"env\":{\"1A\":\"\"}}", "env.1A: a variable's name"},
	{"{\"code\":\"x\",\"env\":{\"A=B\":\"\"}}", "env.A=B: a variable's name"},
	{"{\"code\":\"x\",\"env\":{\"\":\"\"}}", "a variable's name"},
	{"{\"code\":\"x\",\"env\":{\"TASK_ID\":\"\"}}", "env.TASK_ID: this variable is set"},
	{"{\"code\":\"x\",\"env\":{\"A\":\"\\u0000\"}}", "task.json: line 1"},
	{"{\"code\":\"x\",\"policy\":\"../x\"}", "policy: must be a policy's name"},
	{"{\"code\":\"x\",\"policy\":\"\"}", "policy: must not be empty"},
	{"{\"code\":\"x\",\"start\":\"warm\"}", "start: must be \"auto\""},
	{"{\"code\":\"x\",\"warm\":{\"imports\":[\"a b\"]}}", "warm.imports[0]: must be a module"},
	{"{\"code\":\"x\",\"warm\":{\"imports\":[\"a\",\"\"]}}", "warm.imports[1]"},
	{"{\"code\":\"x\",\"warm\":{\"imports\":[\"os;x\"]}}", "warm.imports[0]"},
	{"{\"code\":\"x\",\"warm\":{\"imports\":\"os\"}}", "warm.imports: must be an array"},
	{"{\"code\":\"x\",\"warm\":{\"module\":\"a b\"}}", "warm.module: must be a module"},
	{"{\"code\":\"x\",\"warm\":{\"module\":\"@entropy\"}}", "warm.module: must be a module"},
	{"{\"code\":\"x\",\"warm\":{\"module\":7}}", "warm.module: must be a string"},
	{"{\"code\":\"x\",\"warm\":{\"module\":\"a\",\"entropy\":\"no\"}}",
	 "warm.entropy: must be"},
	{"{\"code\":\"x\",\"warm\":{\"entropy\":\"refuse\"}}", "warm.entropy: is for warm.module"},
	{"{\"code\":\"x\",\"priority\":3}", "priority: must be from 0 to 2"},
	{"{\"code\":\"x\",\"priority\":-1}", "priority"},
	{"{\"code\":\"x\",\"label\":\"a\\u001bb\"}", "label: must not contain control"},
	{"{\"code\":\"\xff\"}", "task.json: line 1"},
	{"{\"code\":\"x\",\"payload\":99999999999999999999x}", "task.json: line 1"},
	{"{\"code\":\"x\",\"priority\":99999999999999999999}", "task.json: line 1"},
	{"", "empty"},
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct task_spec s, zero = {0};
		struct err e = {0};

		if (task_spec_parse(bad[i].text, strlen(bad[i].text), &s, &e) == 0)
			fail_msg("taken: %s", bad[i].text);
		if (!strstr(e.msg, bad[i].error))
			fail_msg("%s: \"%s\" does not say \"%s\"", bad[i].text, e.msg,
				 bad[i].error);
		assert_int_not_equal(e.code, ERR_NONE);
		assert_memory_equal(&s, &zero, sizeof(s));
	}
}

/* Each field gets a value of each type that is not its own. */
static void test_types(void **state)
{
	static const char *const values[] = {"null", "true", "1", "1.5", "\"..\"", "[]", "{}"};
	enum {
		T_NULL = 1,
		T_BOOL = 2,
		T_INT = 4,
		T_REAL = 8,
		T_STRING = 16,
		T_ARRAY = 32,
		T_OBJECT = 64
	};
	static const struct {
		const char *key;
		int right; /* the types that may be right */
	} fields[] = {
		{"dir", T_STRING},    {"args", T_ARRAY},
		{"env", T_OBJECT},    {"policy", T_STRING},
		{"limits", T_OBJECT}, {"start", T_STRING},
		{"warm", T_OBJECT},   {"priority", T_INT},
		{"label", T_STRING},  {"exec", T_STRING},
		{"entry", T_STRING},  {"limits\":{\"memory", T_INT | T_STRING},
	};

	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(fields); f++) {
		for (size_t v = 0; v < ARRAY_SIZE(values); v++) {
			bool source =
				!strcmp(fields[f].key, "exec") || !strcmp(fields[f].key, "entry");
			bool nested = strchr(fields[f].key, '{') != NULL;
			struct task_spec s;
			struct err e = {0};
			char text[256];

			if (fields[f].right & 1 << v)
				continue;
			(void)snprintf(text, sizeof(text), "{%s\"%s\":%s%s}",
				       source ? "" : "\"code\":\"x\",", fields[f].key, values[v],
				       nested ? "}" : "");
			if (task_spec_parse(text, strlen(text), &s, &e) == 0)
				fail_msg("taken: %s", text);
			if (!strstr(e.msg, nested ? "limits.memory: " : fields[f].key))
				fail_msg("%s: \"%s\" does not name the field", text, e.msg);
		}
	}
}

static void test_truncated(void **state)
{
	(void)state;
	for (size_t n = 0; n < strlen(whole); n++) {
		struct task_spec s;
		struct err e = {0};

		assert_int_not_equal(task_spec_parse(whole, n, &s, &e), 0);
		assert_non_null(strstr(e.msg, "task.json: "));
	}
}

static void test_bounds(void **state)
{
	size_t size = TASK_SPEC_MAX + 64;
	char *text = malloc(size);
	struct task_spec s;
	struct err e = {0};
	int n;

	(void)state;
	assert_non_null(text);
	/* A text that is longer than any document may be. */
	memset(text, ' ', size);
	assert_true(task_spec_parse(text, size, &s, &e) < 0);
	assert_int_equal(e.code, ERR_LIMIT);
	/* The bytes of the source, of one argument and of the label. */
	n = snprintf(text, size, "{\"code\":\"%0*d\"}", (int)TASK_SOURCE_MAX + 1, 0);
	assert_true(task_spec_parse(text, (size_t)n, &s, &e) < 0);
	assert_non_null(strstr(e.msg, "code: must be at most"));
	n = snprintf(text, size, "{\"code\":\"x\",\"args\":[\"%0*d\"]}", (int)TASK_STRING_MAX + 1,
		     0);
	assert_true(task_spec_parse(text, (size_t)n, &s, &e) < 0);
	assert_non_null(strstr(e.msg, "args[0]"));
	n = snprintf(text, size, "{\"code\":\"x\",\"label\":\"%0*d\"}", TASK_LABEL_MAX + 1, 0);
	assert_true(task_spec_parse(text, (size_t)n, &s, &e) < 0);
	n = snprintf(text, size, "{\"code\":\"x\",\"payload\":\"%0*d\"}", (int)TASK_PAYLOAD_MAX, 0);
	assert_true(task_spec_parse(text, (size_t)n, &s, &e) < 0);
	assert_non_null(strstr(e.msg, "payload: has"));
	n = snprintf(text, size, "{\"code\":\"x\",\"warm\":{\"imports\":[\"%0*d\",\"a%0*d\"]}}", 1,
		     0, 600, 0);
	assert_true(task_spec_parse(text, (size_t)n, &s, &e) < 0);
	n = snprintf(text, size, "{\"code\":\"x\",\"warm\":{\"imports\":[\"a%0*d\",\"b%0*d\"]}}",
		     600, 0, 600, 0);
	assert_true(task_spec_parse(text, (size_t)n, &s, &e) < 0);
	assert_non_null(strstr(e.msg, "warm.imports"));
	free(text);
}

static void test_depth(void **state)
{
	char text[512] = "{\"code\":\"x\",\"payload\":";
	struct task_spec s;
	struct err e = {0};

	(void)state;
	for (int i = 0; i < 100; i++)
		strcat(text, "[");
	assert_true(task_spec_parse(text, strlen(text), &s, &e) < 0);
	assert_non_null(strstr(e.msg, "nested deeper"));
}

static void test_limits(void **state)
{
	static const char text[] = "{\"code\":\"x\",\"limits\":{\"memory\":\"64M\",\"cpus\":0.25}}";
	static const char over[] = "{\"code\":\"x\",\"limits\":{\"memory\":\"2G\"}}";
	static const char cpus[] = "{\"code\":\"x\",\"limits\":{\"cpus\":3.5}}";
	const struct limits defaults = {.memory = 320 << 20,
					.disk = 64 << 20,
					.log_bytes = 1 << 20,
					.cpu_milli = 1000,
					.pids = 64,
					.timeout_s = 3600,
					.nofile = 256};
	struct policy_head policy = {.name = "default", .limits = defaults, .limits_max = defaults};
	_cleanup_task_spec_ struct task_spec s = {0};
	struct limits want = defaults, got;
	struct err e = {0};

	(void)state;
	policy.limits_max.memory = 1 << 30;
	policy.limits_max.cpu_milli = 2000;
	assert_int_equal(task_spec_parse(text, strlen(text), &s, &e), 0);
	assert_int_equal(task_spec_limits(&s, &policy, &got, &e), 0);
	want.memory = 64 << 20;
	want.cpu_milli = 250;
	assert_memory_equal(&got, &want, sizeof(got));
	task_spec_clear(&s);
	assert_int_equal(task_spec_parse(over, strlen(over), &s, &e), 0);
	assert_true(task_spec_limits(&s, &policy, &got, &e) < 0);
	assert_string_equal(e.msg, "task.json: limits.memory: 2G is more than the policy "
				   "\"default\" allows (1G)");
	/* Limits as a worker's task asks for them: as much as the policy allows. */
	s.limits_lowered = LIMIT_BIT(LIMIT_MEMORY);
	assert_int_equal(task_spec_limits(&s, &policy, &got, &e), 0);
	assert_int_equal(got.memory, 1 << 30);
	task_spec_clear(&s);
	assert_int_equal(task_spec_parse(cpus, strlen(cpus), &s, &e), 0);
	assert_true(task_spec_limits(&s, &policy, &got, &e) < 0);
	assert_non_null(
		strstr(e.msg, "limits.cpus: 3.5 is more than the policy \"default\" allows (2)"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),	 cmocka_unit_test(test_least),
		cmocka_unit_test(test_payloads), cmocka_unit_test(test_bad),
		cmocka_unit_test(test_types),	 cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_bounds),	 cmocka_unit_test(test_depth),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
