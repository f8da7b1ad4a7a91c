// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <fcntl.h>
#include <string.h>

#include "spec/service_manifest.h"

#define HEAD "\"format\": 1, \"app\": \"shop\", \"name\": \"www\", "

static int read_text(const char *text, struct service_manifest *m, struct err *e)
{
	*e = (struct err){0};
	return service_manifest_read("manifest", text, strlen(text), m, e);
}

static void test_whole(void **state)
{
	struct service_manifest m;
	struct err e = {0};
	char *text;
	size_t len;

	(void)state;
	assert_int_equal(util_read_file_at(AT_FDCWD,
					   "tests/fuzz/seeds/fuzz_service_manifest/whole.json",
					   SERVICE_MANIFEST_MAX, &text, &len),
			 0);
	if (service_manifest_read("manifest", text, len, &m, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(m.app, "ramen-on-dotcloud");
	assert_string_equal(m.name, "www");
	assert_int_equal(m.type, SERVICE_PYTHON);
	assert_string_equal(m.approot, "hellopython");
	assert_string_equal(m.python, "2.7");
	assert_int_equal(m.instances, 3);
	/* Those of HTTP first, each in its order. */
	assert_int_equal(m.n_ports, 3);
	assert_int_equal(m.n_http, 2);
	assert_string_equal(m.ports[0].name, "http");
	assert_true(m.ports[0].as_fd);
	assert_string_equal(m.ports[1].name, "x");
	assert_false(m.ports[1].as_fd);
	assert_string_equal(m.ports[2].name, "side");
	assert_int_equal(m.ports[2].kind, SERVICE_PORT_TCP);
	assert_string_equal(m.image, "web");
	assert_string_equal(m.policy, "default");
	assert_true(m.memory == 128u << 20);
	assert_int_equal(m.cpu_milli, 500);
	assert_int_equal(m.start_s, 700);
	assert_int_equal(m.drain_s, 20);
	assert_int_equal(json_object_size(m.environment), 2);
	assert_int_equal(json_array_size(m.warnings), 1);
	service_manifest_clear(&m);
	free(text);
}

static void test_small(void **state)
{
	struct service_manifest m;
	struct err e;

	(void)state;
	if (read_text("{" HEAD "\"type\": \"custom\", \"processes\": [{\"name\": \"www\", "
		      "\"command\": \"./run\"}]}",
		      &m, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(m.approot, ".");
	assert_int_equal(m.instances, 1);
	assert_null(m.image);
	assert_string_equal(m.policy, "default");
	assert_int_equal(m.n_ports, 0);
	assert_int_equal(m.start_s, 60);
	assert_int_equal(m.drain_s, 30);
	assert_null(m.environment);
	service_manifest_clear(&m);
	/* Code that is called needs no process. */
	assert_int_equal(read_text("{" HEAD
				   "\"type\": \"python-worker\", \"entry\": \"jobs.main:run\"}",
				   &m, &e),
			 0);
	service_manifest_clear(&m);
}

static void test_refused(void **state)
{
#define CUSTOM HEAD "\"type\": \"custom\", \"processes\": [{\"name\": \"a\", \"command\": \"b\"}]"
	static const char *const bad[][2] = {
		{"[]", "manifest: must be an object"},
		{"{\"app\": \"shop\"}", "format: is missing"},
		{"{\"format\": 2}", "format: must be"},
		{"{\"format\": 1, \"app\": \"-a\"}", "app: must have 1 to 40"},
		{"{\"format\": 1, \"app\": \"a\", \"name\": \"A\"}", "name: must have 1 to 16"},
		{"{\"format\": 1, \"app\": \"a\", \"name\": \"abcdefghijklmnopq\"}",
		 "name: must have 1 to 16"},
		{"{" HEAD "\"x\": 1}", "type: is missing"},
		{"{" HEAD "\"type\": \"php\"}", "type: is no word"},
		{"{" HEAD "\"type\": \"custom\"}", "processes: must have at least one"},
		{"{" HEAD "\"type\": \"python\"}", "ports: must have one of the kind http"},
		{"{" CUSTOM ", \"y\": 1}", "y: "},
		{"{" CUSTOM ", \"approot\": \"/etc\"}", "approot: must be a folder"},
		{"{" CUSTOM ", \"approot\": \"a/../..\"}", "approot: must be a folder"},
		{"{" CUSTOM ", \"entry\": \"os\"}", "entry: must be module:function"},
		{"{" CUSTOM ", \"entry\": \"_sandboxd_x:y\"}", "entry: must be module:function"},
		{"{" CUSTOM ", \"environment\": {\"DOTCLOUD_X\": \"1\"}}",
		 "environment: DOTCLOUD_X: must be a name"},
		{"{" CUSTOM ", \"environment\": {\"A\": 1}}", "environment: A: must be a text"},
		{"{" CUSTOM ", \"environment\": []}", "environment: must be an object"},
		{"{" CUSTOM ", \"config\": {\"a\": []}}", "config: a: must be a text"},
		{"{" CUSTOM ", \"config\": {\"A\": 1}}", "config: A: must be a name"},
		{"{" CUSTOM ", \"ports\": [{\"name\": \"x\"}]}", "ports[0].kind: is missing"},
		{"{" CUSTOM ", \"ports\": [{\"name\": \"x\", \"kind\": \"ftp\"}]}",
		 "ports[0].kind: is no word"},
		{"{" CUSTOM ", \"ports\": [{\"name\": \"x\", \"kind\": \"tcp\", \"give\": "
		 "\"fd\"}]}",
		 "ports[0].give: is for http"},
		{"{" CUSTOM ", \"ports\": [{\"name\": \"x\", \"kind\": \"tcp\"}, {\"name\": \"x\", "
		 "\"kind\": \"http\"}]}",
		 "ports[1].name: another port"},
		{"{" CUSTOM ", \"health\": {\"path\": \"/\"}}", "health.port: must be one"},
		{"{" CUSTOM ", \"health\": {\"path\": \"/a b\"}}", "health.path: must be a path"},
		{"{" CUSTOM ", \"ready\": \"soon\"}", "ready: is no word"},
		{"{" CUSTOM ", \"instances\": 0}", "instances: must be"},
		{"{" CUSTOM ", \"sandbox\": {\"memory\": \"1K\"}}", "sandbox.memory: must be"},
		{"{" CUSTOM ", \"sandbox\": {\"image\": \"../x\"}}", "sandbox.image: must be"},
		{"{" HEAD "\"type\": \"custom\", \"processes\": [{\"name\": \"a\", \"command\": "
		 "\"b\"}, {\"name\": \"a\", \"command\": \"b\"}]}",
		 "processes[1].name: another process"},
		{"{" HEAD "\"type\": \"custom\", \"processes\": [{\"name\": \"a\"}]}",
		 "processes[0].command: is missing"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct service_manifest m;
		struct err e;

		if (read_text(bad[i][0], &m, &e) == 0)
			fail_msg("%s", bad[i][0]);
		if (e.code != ERR_INPUT || !strstr(e.msg, bad[i][1]))
			fail_msg("%s: \"%s\" is not \"%s\"", bad[i][0], e.msg, bad[i][1]);
		assert_null(m.doc);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
