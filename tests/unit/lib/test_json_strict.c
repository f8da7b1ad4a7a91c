// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdlib.h>
#include <string.h>

#include "lib/json_strict.h"

static int load(const char *text, json_t **ret, struct err *e)
{
	return json_strict_load("t.json", text, strlen(text), 1024, ret, e);
}

static void test_load_refuses(void **state)
{
	static const struct {
		const char *text, *error;
		size_t len; /* 0: strlen */
	} cases[] = {
		{"", "t.json: the document is empty", 0},
		{"{", "line 1, column 1", 0},
		{"{\"a\": 1,\n \"a\": 2}", "line 2, column 4: duplicate object key near '\"a\"'",
		 0},
		{"{\"a\": {\"b\": 1, \"b\": 1}}", "duplicate object key near '\"b\"'", 0},
		{"{} x", "line 1, column 4: end of file expected near 'x'", 0},
		{"{}{}", "end of file expected", 0},
		{"{\"a\": \"\x80\"}", "unable to decode byte 0x80", 0},
		{"{\"a\": \"\\u0000\"}", "\\u0000 is not allowed", 0},
		{"{\"a\": \"\\ud800\"}", "invalid Unicode", 0},
		{"{\"a\":\n\"b\0\"}", "line 2, column 3: a NUL byte is not allowed", 11},
		{"{}\0", "line 1, column 3: a NUL byte", 3},
		{"{\"a\": \"\\\0\"}", "a NUL byte", 11},
		{"{\"a\": 99999999999999999999}", "too big integer", 0},
		{"{\"a\": 1e999}", "real number overflow", 0},
		{"{\"a\": NaN}", "invalid token", 0},
		{"{\"a\": 01}", "invalid token", 0},
		{"{\"\x1b[2J\": 1}", "control character", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *doc = NULL;
		struct err e = {0};
		size_t len = cases[i].len ? cases[i].len : strlen(cases[i].text);

		assert_true(json_strict_load("t.json", cases[i].text, len, 1024, &doc, &e) < 0);
		assert_null(doc);
		if (!strstr(e.msg, cases[i].error))
			fail_msg("case %zu: \"%s\" lacks \"%s\"", i, e.msg, cases[i].error);
		assert_null(strchr(e.msg, 0x1b));
	}
}

static void test_load_bounds(void **state)
{
	char text[2048], *many;
	json_auto_t *doc = NULL;
	struct err e = {0};
	size_t n = 0;

	(void)state;
	memset(text, ' ', sizeof(text));
	memcpy(text, "{}", 2);
	assert_int_equal(json_strict_load("t.json", text, 1024, 1024, &doc, &e), 0);
	json_decref(doc);
	doc = NULL;
	assert_true(json_strict_load("t.json", text, 1025, 1024, &doc, &e) < 0);
	assert_int_equal(e.code, ERR_LIMIT);

	for (; n < JSON_STRICT_DEPTH_MAX; n++)
		text[n] = '[';
	for (; n < (size_t)2 * JSON_STRICT_DEPTH_MAX; n++)
		text[n] = ']';
	assert_int_equal(json_strict_load("t.json", text, n, 1024, &doc, &e), 0);
	json_decref(doc);
	doc = NULL;
	memset(text, '[', n);
	assert_true(json_strict_load("t.json", text, n, 1024, &doc, &e) < 0);
	assert_string_equal(e.msg, "t.json: line 1, column 65: nested deeper than 64 levels");
	/* A document of many small values would need much memory for its size. */
	n = (size_t)2 * JSON_STRICT_VALUES_MAX;
	many = malloc(n + 4);
	assert_non_null(many);
	memcpy(many, "[0", 2);
	for (size_t i = 0; i < n; i++)
		many[2 + i] = ",0"[i % 2];
	many[2 + n] = ']';
	assert_true(json_strict_load("t.json", many, n + 3, n + 3, &doc, &e) < 0);
	assert_string_equal(e.msg, "t.json: more than 100000 values");
	many[0] = many[2 + n] = '"';
	assert_int_equal(json_strict_load("t.json", many, n + 3, n + 3, &doc, &e), 0);
	json_decref(doc);
	doc = NULL;
	free(many);
	/* Brackets in a string are text, also after an escaped quote. */
	(void)snprintf(text, sizeof(text), "[\"\\\"%0100d\"]", 0);
	memset(text + 5, '[', 90);
	assert_int_equal(load(text, &doc, &e), 0);
}

static void test_truncated_everywhere(void **state)
{
	static const char text[] = "{\"a\": [1, 2.5, {\"b\": \"x\\u00e9\\n\"}], \"c\": null}";

	(void)state;
	for (size_t n = 0; n + 1 < sizeof(text); n++) {
		json_t *doc = NULL;
		struct err e = {0};

		assert_true(json_strict_load("t.json", text, n, 1024, &doc, &e) < 0);
		assert_int_not_equal(e.code, ERR_NONE);
	}
}

/* A reader that asks for every type, as the program's parsers do. */
static int read_all(json_t *doc, struct err *e)
{
	struct json_strict top, child, item;
	uint64_t size = 0;
	int64_t i = 0;
	double d = 0;
	bool b = false;
	json_t *a;

	(void)json_strict_begin(&top, "t.json", doc, e);
	(void)json_strict_string(&top, "text", 5);
	(void)json_strict_bool(&top, "flag", &b);
	(void)json_strict_int(&top, "count", 1, 10, &i);
	(void)json_strict_number(&top, "cpus", 0.5, 4, &d);
	if (json_strict_object(&top, "limits", &child)) {
		(void)json_strict_size(&child, "memory", 16 << 20, 1ULL << 42, &size);
		(void)json_strict_end(&child);
	}
	a = json_strict_array(&top, "names", 3);
	for (size_t n = 0; n < json_array_size(a); n++)
		(void)json_strict_item_string(&top, "names", n, 5);
	a = json_strict_array(&top, "rules", 3);
	for (size_t n = 0; n < json_array_size(a); n++) {
		if (!json_strict_item_object(&top, "rules", n, &item))
			continue;
		if (json_strict_object(&item, "to", &child))
			(void)json_strict_end(&child);
		(void)json_strict_end(&item);
	}
	return json_strict_end(&top);
}

static const struct {
	const char *text, *error; /* NULL: the document is right */
} readings[] = {
	{"{}", NULL},
	{"{\"text\": \"12345\", \"flag\": true, \"count\": 10, \"cpus\": 4, "
	 "\"limits\": {\"memory\": \"16M\"}, \"names\": [\"a\"], "
	 "\"rules\": [{}, {\"to\": {}}]}",
	 NULL},
	{"{\"limits\": {\"memory\": 16777216}}", NULL},
	{"[]", "t.json: must be an object, not an array"},
	{"7", "t.json: must be an object, not a number"},
	{"null", "t.json: must be an object, not null"},
	{"{\"text\": 1}", "t.json: text: must be a string, not a number"},
	{"{\"text\": null}", "t.json: text: must be a string, not null"},
	{"{\"text\": \"123456\"}", "t.json: text: must be at most 5 bytes long"},
	{"{\"flag\": \"yes\"}", "t.json: flag: must be true or false, not a string"},
	{"{\"count\": 0}", "t.json: count: must be from 1 to 10"},
	{"{\"count\": 1.5}", "t.json: count: must be an integer without a fraction"},
	{"{\"count\": \"1\"}", "t.json: count: must be an integer, not a string"},
	{"{\"cpus\": 0.1}", "t.json: cpus: must be from 0.5 to 4"},
	{"{\"cpus\": [1]}", "t.json: cpus: must be a number, not an array"},
	{"{\"limits\": []}", "t.json: limits: must be an object, not an array"},
	{"{\"limits\": {\"memory\": \"64X\"}}",
	 "t.json: limits.memory: must be a size such as \"64M\" or 67108864"},
	{"{\"limits\": {\"memory\": \"1M\"}}",
	 "t.json: limits.memory: must be from 16M to 4T bytes"},
	{"{\"limits\": {\"memory\": -1}}", "t.json: limits.memory: must be from 16M to 4T bytes"},
	{"{\"limits\": {\"memory\": \"99999999999999999999G\"}}",
	 "t.json: limits.memory: must be from 16M to 4T bytes"},
	{"{\"limits\": {\"memroy\": 1}}",
	 "t.json: limits.memroy: unknown key (known here: memory)"},
	{"{\"names\": {}}", "t.json: names: must be an array, not an object"},
	{"{\"names\": [1]}", "t.json: names[0]: must be a string, not a number"},
	{"{\"names\": [\"a\", \"b\", \"c\", \"d\"]}",
	 "t.json: names: has 4 items, and at most 3 are allowed"},
	{"{\"rules\": [{}, 1]}", "t.json: rules[1]: must be an object, not a number"},
	{"{\"rules\": [{}, {\"to\": {\"x\": 1}}]}",
	 "t.json: rules[1].to.x: unknown key (known here: )"},
	{"{\"x\\u001b[2J\": 1}",
	 "t.json: x\\x1b[2J: unknown key (known here: text, flag, count, cpus, limits, "
	 "names, rules)"},
};

static void test_readers_name_the_path(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(readings); i++) {
		json_auto_t *doc = NULL;
		struct err e = {0};
		int r;

		assert_int_equal(load(readings[i].text, &doc, &e), 0);
		r = read_all(doc, &e);
		if (!readings[i].error) {
			if (r < 0)
				fail_msg("case %zu: %s", i, e.msg);
			continue;
		}
		assert_int_equal(r, -EINVAL);
		assert_int_equal(e.code, ERR_INPUT);
		assert_string_equal(e.msg, readings[i].error);
	}
}

/* A field of each type is refused unless its type is the one that was asked for. */
static void test_every_wrong_type(void **state)
{
	static const char *const keys[] = {"text",   "flag",  "count", "cpus",
					   "limits", "names", "rules"};
	static const char *const values[] = {"\"s\"", "true", "2", "2", "{}", "[]", "[]"};

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
		for (size_t v = 0; v < ARRAY_SIZE(values); v++) {
			json_auto_t *doc = NULL;
			struct err e = {0};
			char text[64];
			int r;

			(void)snprintf(text, sizeof(text), "{\"%s\": %s}", keys[k], values[v]);
			assert_int_equal(load(text, &doc, &e), 0);
			r = read_all(doc, &e);
			if (strcmp(values[k], values[v]) == 0)
				assert_int_equal(r, 0);
			else
				assert_int_equal(r, -EINVAL);
		}
	}
}

static void test_first_error_sticks(void **state)
{
	json_auto_t *doc = NULL;
	struct json_strict top, child;
	struct err e = {0};

	(void)state;
	assert_int_equal(load("{\"a\": {\"b\": 1, \"c\": 2}}", &doc, &e), 0);
	assert_int_equal(json_strict_begin(&top, "t.json", doc, &e), 0);
	assert_true(json_strict_object(&top, "a", &child));
	assert_null(json_strict_string(&child, "b", 9));
	assert_null(json_strict_get(&child, "c"));
	assert_true(json_strict_fail(&child, "c", "another") < 0);
	assert_true(json_strict_item_fail(&top, "d", 3, "another") < 0);
	assert_true(json_strict_end(&top) < 0);
	assert_string_equal(e.msg, "t.json: a.b: must be a string, not a number");
}

static void test_long_paths_stay_in_bounds(void **state)
{
	char text[1000], key[300];
	json_auto_t *doc = NULL;
	struct json_strict top;
	struct err e = {0};

	(void)state;
	memset(key, 'k', sizeof(key));
	key[sizeof(key) - 1] = '\0';
	(void)snprintf(text, sizeof(text), "{\"%s\": 1}", key);
	assert_int_equal(load(text, &doc, &e), 0);
	assert_int_equal(json_strict_begin(&top, "t.json", doc, &e), 0);
	assert_true(json_strict_end(&top) < 0);
	assert_true(strlen(e.msg) < 200);
	assert_non_null(strstr(e.msg, "unknown key"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load_refuses),
		cmocka_unit_test(test_load_bounds),
		cmocka_unit_test(test_truncated_everywhere),
		cmocka_unit_test(test_readers_name_the_path),
		cmocka_unit_test(test_every_wrong_type),
		cmocka_unit_test(test_first_error_sticks),
		cmocka_unit_test(test_long_paths_stay_in_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
