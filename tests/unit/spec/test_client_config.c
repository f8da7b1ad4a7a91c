// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <string.h>

#include "spec/client_config.h"

static int read_env(const char *text, const char *env, struct client_config *c, bool *found,
		    struct err *e)
{
	return client_config_read("iron.json", text, strlen(text), env, c, found, e);
}

static void test_whole(void **state)
{
	static const char text[] =
		"{\"project_id\": \"000000000000000000000001\", \"token\": \"a-b_C9\", \"host\": "
		"\"[::1]\", \"port\": 9, \"protocol\": \"http\", \"scheme\": \"https\", "
		"\"api_version\": \"2\", \"iron_mq\": {\"token\": \"no\"}}";
	struct client_config c = {0};
	struct err e = {0};
	bool found = false;

	(void)state;
	if (read_env(text, NULL, &c, &found, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(c.project_id, "000000000000000000000001");
	assert_string_equal(c.token, "a-b_C9");
	assert_string_equal(c.token_from, "iron.json");
	assert_string_equal(c.host, "[::1]");
	assert_string_equal(c.scheme, "https");
	assert_int_equal(c.port, 9);
	assert_int_equal(client_config_end(&c, &e), 0);
	for (size_t n = 0; n + 1 < sizeof(text); n++)
		assert_true(client_config_read("x", text, n, NULL, &c, &found, &e) < 0);
}

static void test_sections(void **state)
{
	static const char text[] =
		"{\"token\": \"top\", \"port\": \"1\", \"iron_worker\": {\"token\": \"worker\"}, "
		"\"dev\": {\"token\": \"dev\", \"port\": \"2\", \"iron_worker\": {\"token\": "
		"\"both\"}}}";
	struct client_config c = {0};
	struct err e = {0};
	bool found = false;

	(void)state;
	assert_int_equal(read_env(text, NULL, &c, &found, &e), 0);
	assert_string_equal(c.token, "worker");
	assert_int_equal(c.port, 1);
	assert_int_equal(read_env(text, "other", &c, &found, &e), 0);
	assert_false(found);
	assert_int_equal(read_env(text, "dev", &c, &found, &e), 0);
	assert_true(found);
	assert_string_equal(c.token, "both");
	assert_int_equal(c.port, 2);
}

static void test_layers(void **state)
{
	struct client_config c = {0};
	struct err e = {0};
	bool found;

	(void)state;
	assert_true(client_config_end(&c, &e) < 0);
	assert_non_null(strstr(e.msg, "IRON_PROJECT_ID"));
	assert_string_equal(c.host, "127.0.0.1");
	assert_int_equal(c.port, 8080);
	c = (struct client_config){0};
	assert_int_equal(
		read_env("{\"token\": \"a\", \"project_id\": \"p\", \"scheme\": \"https\"}", NULL,
			 &c, &found, &e),
		0);
	assert_int_equal(read_env("{\"token\": \"b\", \"host\": null}", NULL, &c, &found, &e), 0);
	assert_int_equal(client_config_set(&c, "IRON_HOST", "host", "h.example", &e), 0);
	assert_int_equal(client_config_end(&c, &e), 0);
	assert_string_equal(c.token, "b");
	assert_string_equal(c.project_id, "p");
	assert_string_equal(c.host, "h.example");
	assert_int_equal(c.port, 443);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"[]", "iron.json: must be an object"},
		{"{\"token\": 1}", "iron.json: token: must be a string"},
		{"{\"token\": \"\"}", "iron.json: token: is empty"},
		{"{\"token\": \"geheim\\r\\nx: y\"}", "iron.json: token: is empty, or has"},
		{"{\"project_id\": \"../x\"}", "iron.json: project_id: is empty, or has"},
		{"{\"host\": \"u@h/\"}", "iron.json: host: is empty, or has"},
		{"{\"port\": 0}", "iron.json: port: must be a number"},
		{"{\"port\": \"65536\"}", "iron.json: port: must be a number"},
		{"{\"port\": \"8 \"}", "iron.json: port: must be a number"},
		{"{\"scheme\": \"ftp\"}", "iron.json: scheme: must be \"http\""},
		{"{\"dev\": 1}", "iron.json: dev: must be an object"},
		{"{\"dev\": {\"token\": true}}", "iron.json: dev: token: must be a string"},
		{"{\"dev\": {\"iron_worker\": {\"port\": 0}}}",
		 "iron.json: dev.iron_worker: port: must be a number"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct client_config c = {0};
		struct err e = {0};
		bool found;

		if (read_env(cases[i].text, "dev", &c, &found, &e) == 0)
			fail_msg("%s: is taken", cases[i].text);
		if (strncmp(e.msg, cases[i].error, strlen(cases[i].error)) != 0)
			fail_msg("%s: says '%s'", cases[i].text, e.msg);
		assert_null(strstr(e.msg, "geheim"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_sections),
		cmocka_unit_test(test_layers),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
