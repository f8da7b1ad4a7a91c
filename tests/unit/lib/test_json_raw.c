// SPDX-License-Identifier: Apache-2.0
/* JSON that is passed on as it stands. */
#include "tests/unit/rig.h"

#include <stdio.h>
#include <string.h>

#include "lib/json_raw.h"

static void test_value(void **state)
{
	static const char *const good[] = {
		"0",
		"-0",
		"0.10",
		"1E5",
		"-1.5e-10",
		"18446744073709551616",
		"1e400",
		"\"\"",
		"\"\\u00e9\\ud800\\\"\\/\"",
		"\"gr\xc3\xbcn\"",
		"true",
		"false",
		"null",
		"[]",
		"{}",
		"[1,[2,{}],\"]\"]",
		"{\"b\":1,\"a\":{\"}\":[]},\"b\":2}",
		"{ \"a\" : [ 1 , 2 ] , \"\\u0062\" : null }",
		"[\r\n\t1\n]",
	};
	static const char *const bad[] = {
		"",
		" ",
		"+1",
		"01x",
		".5",
		"1.",
		"1e",
		"-",
		"0x1",
		"NaN",
		"Infinity",
		"tru",
		"nul",
		"'a'",
		"\"a",
		"\"\\x\"",
		"\"\\u12g4\"",
		"\"\n\"",
		"\"\xff\"",
		"\"\xc3\"",
		"[",
		"[1",
		"[1,",
		"[1,]",
		"[1}",
		"{",
		"{1:2}",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\":1,}",
		"{\"a\":1]",
		"[1 2]",
		"{\"a\":1 \"b\":2}",
		"\xef\xbb\xbf"
		"1",
		"//\n1",
	};
	size_t at;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		char text[128];

		(void)snprintf(text, sizeof(text), " \n%s ,", good[i]);
		at = 0;
		if (json_raw_value(text, strlen(text), &at) < 0 || at != 2 + strlen(good[i]))
			fail_msg("%s: ends at %zu", good[i], at);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		at = 0;
		if (json_raw_value(bad[i], strlen(bad[i]), &at) == 0 && at == strlen(bad[i]))
			fail_msg("taken: %s", bad[i]);
	}
}

static void test_depth(void **state)
{
	char text[2 * JSON_RAW_DEPTH_MAX + 4];
	size_t at = 0;

	(void)state;
	memset(text, '[', JSON_RAW_DEPTH_MAX);
	memset(text + JSON_RAW_DEPTH_MAX, ']', JSON_RAW_DEPTH_MAX);
	assert_int_equal(json_raw_value(text, (size_t)2 * JSON_RAW_DEPTH_MAX, &at), 0);
	memset(text, '[', JSON_RAW_DEPTH_MAX + 1);
	memset(text + JSON_RAW_DEPTH_MAX + 1, ']', JSON_RAW_DEPTH_MAX + 1);
	at = 0;
	assert_true(json_raw_value(text, 2 * JSON_RAW_DEPTH_MAX + 2, &at) < 0);
}

static const char *at_path(json_t *doc, const char *list, size_t i)
{
	json_t *o = list ? json_array_get(json_object_get(doc, list), i) : doc;

	return json_string_value(json_object_get(o, "payload"));
}

static void test_load(void **state)
{
	static const char *const top[] = {"payload", NULL};
	static const char *const items[] = {"tasks[].payload", NULL};
	static const char text[] =
		"{\"x\": {\"payload\": 1.50}, \"tasks\": [{\"payload\": {\"b\":0.10, \"b\": "
		"1e400}},"
		" {\"payload\": \"1.0\"}, {}, {\"payload\": null}, {\"p\\u0061yload\": [ 1 ]},"
		" 5, {\"payload\": 18446744073709551616}], \"payload\": \"a\\u00e9\"}";
	static const char whole[] = "{\"a\":{\"payload\":1.5},\"payload\": \"a\\u00e9\" }";
	static const char *const wrong[][2] = {
		{"{\"payload\": [1,\n 2],\n x}", "doc: line 3, column 2"},
		{"{\"payload\": NaN}", "doc: line 1, column 1"},
		{"{\"payload\": 1e400, \"n\": 1e400}", "doc: line 1, column 29"},
		{"{\"payload\":1,\"payload\":2}", "duplicate"},
	};
	json_t *doc = NULL;
	struct err e = {0};
	char *dump;

	(void)state;
	assert_int_equal(json_raw_load("doc", text, strlen(text), 4096, items, false, &doc, &e), 0);
	assert_string_equal(at_path(doc, "tasks", 0), "{\"b\":0.10, \"b\": 1e400}");
	assert_string_equal(at_path(doc, "tasks", 1), "1.0");
	assert_true(json_is_null(
		json_object_get(json_array_get(json_object_get(doc, "tasks"), 3), "payload")));
	assert_string_equal(at_path(doc, "tasks", 4), "[ 1 ]");
	assert_string_equal(at_path(doc, "tasks", 6), "18446744073709551616");
	assert_string_equal(at_path(doc, NULL, 0), "a\xc3\xa9");
	json_decref(doc);
	/* A string too is kept with its quotes and escapes; a "payload" elsewhere in the document
	 * is an ordinary member. */
	assert_int_equal(json_raw_load("doc", whole, strlen(whole), 4096, top, true, &doc, &e), 0);
	assert_string_equal(at_path(doc, NULL, 0), "\"a\\u00e9\"");
	dump = json_raw_dump(doc, "payload");
	assert_string_equal(dump, "{\"payload\":\"a\\u00e9\",\"a\":{\"payload\":1.5}}");
	free(dump);
	json_decref(doc);
	/* An error names the place in the text that was given. */
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_true(json_raw_load("doc", wrong[i][0], strlen(wrong[i][0]), 4096, top, true,
					  &doc, &e) < 0);
		if (!strstr(e.msg, wrong[i][1]))
			fail_msg("%s: %s", wrong[i][0], e.msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_value),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
