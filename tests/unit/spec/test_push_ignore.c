// SPDX-License-Identifier: Apache-2.0
/* .dotcloudignore, as rsync reads exclude patterns. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <limits.h>
#include <string.h>

#include "spec/push_ignore.h"

static bool stays(const char *lines, const char *path, bool is_folder)
{
	struct push_ignore *i = calloc(1, sizeof(*i));
	struct err e = {0};
	bool has;

	if (push_ignore_read("x", strdup(lines), strlen(lines), i, &e) < 0)
		fail_msg("%s", e.msg);
	has = push_ignore_has(i, path, is_folder);
	push_ignore_clear(i);
	free(i);
	return has;
}

static void test_names(void **state)
{
	(void)state;
	assert_true(stays("*.log", "x.log", false));
	assert_true(stays("*.log\r\n", "a/b/x.log", false));
	assert_true(stays("a", "b/a", true));
	assert_false(stays("a", "b/ab", false));
	assert_false(stays("a", "a/b", false));
	assert_true(stays("?[a-c]x", "_bx", false));
	assert_false(stays("?[a-c]x", "_dx", false));
	assert_true(stays("[!a-c]", "d", false));
	assert_true(stays("[]]", "]", false));
	assert_true(stays("[a", "[a", false));
	assert_true(stays("\\*", "*", false));
	assert_false(stays("\\*", "x", false));
	assert_false(stays("# a\n; a\n\n", "# a", false));
}

static void test_paths(void **state)
{
	(void)state;
	assert_true(stays("/a", "a", false));
	assert_false(stays("/a", "b/a", false));
	assert_true(stays("a/", "b/a", true));
	assert_false(stays("a/", "b/a", false));
	assert_true(stays("b/c", "a/b/c", false));
	assert_false(stays("b/c", "a/xb/c", false));
	assert_false(stays("/*.log", "a/x.log", false));
	assert_false(stays("/a/*", "a/b/c", false));
	assert_true(stays("/a/**", "a/b/c", false));
	assert_true(stays("/a/**/c", "a/b/b/c", false));
	assert_true(stays("a**c", "x/a/b/c", false));
}

static void test_order(void **state)
{
	(void)state;
	assert_false(stays("+ keep/*.log\n*.log", "keep/x.log", false));
	assert_true(stays("+ keep/*.log\n*.log", "x.log", false));
	assert_true(stays("- x\n+ x", "x", false));
	assert_false(stays("+ ", "x", false));
}

/* The time is the product of both lengths, whatever the pattern. */
static void test_hard_patterns(void **state)
{
	char lines[PATH_MAX], path[PATH_MAX];

	(void)state;
	for (size_t i = 0; i + 2 < sizeof(lines); i += 2)
		memcpy(lines + i, "*a", 3);
	lines[sizeof(lines) - 2] = '\0';
	memset(path, 'a', sizeof(path));
	path[sizeof(path) - 2] = 'b';
	path[sizeof(path) - 1] = '\0';
	assert_false(stays(lines, path, false));
}

static void test_limits(void **state)
{
	struct push_ignore *i = calloc(1, sizeof(*i));
	struct err e = {0};
	char *text = malloc(2 * (PUSH_IGNORE_LINES + 1) + 1);

	(void)state;
	for (size_t n = 0; n <= PUSH_IGNORE_LINES; n++)
		memcpy(text + 2 * n, "a\n", 3);
	assert_true(push_ignore_read("x", text, strlen(text), i, &e) < 0);
	assert_string_equal(e.msg, "x: has more than 1000 patterns");
	push_ignore_clear(i);
	e = (struct err){0};
	assert_true(push_ignore_read("x", strdup("a\0b"), 3, i, &e) < 0);
	assert_string_equal(e.msg, "x: has a NUL byte in it");
	push_ignore_clear(i);
	free(i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),  cmocka_unit_test(test_paths),
		cmocka_unit_test(test_order),  cmocka_unit_test(test_hard_patterns),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests_name("push_ignore", tests, NULL, NULL);
}
