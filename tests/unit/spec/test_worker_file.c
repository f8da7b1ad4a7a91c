// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <string.h>

#include "spec/worker_file.h"

static void is_item(const struct worker_file *w, size_t i, enum worker_kind kind, const char *text,
		    const char *dest)
{
	assert_true(i < w->n_items);
	assert_int_equal(w->items[i].kind, kind);
	assert_string_equal(w->items[i].text, text);
	assert_string_equal(w->items[i].dest, dest);
}

static void test_whole(void **state)
{
	static const char text[] =
		"\xef\xbb\xbf# a worker\r\n"
		"runtime 'python'   # 3\r\n"
		"stack \"python-3.2\"; name \"other\"\n\n"
		"set_env \"KEY\", 'it\\'s \\n' \n"
		"exec(\"hello_worker.py\")\n"
		"file \"../lib/x.py\"\n"
		"file 'data.csv', 'data'\n"
		"dir(\n  \"lib\", # all of it\n  \"vendor\"\n)\n"
		"zip \"a.zip\",\n    \"b\"\n"
		"pip \"requests\"\npip 'six==1.16.0'\npip \"lxml\", \"4.9\"\npip \"n\", \">=1\"\n"
		"requirements \"requirements.txt\"\n"
		"remote\n"
		"remote_build_command \"make \\\n all\"";
	_cleanup_worker_file_ struct worker_file w = {0};
	struct err e = {0};

	(void)state;
	if (worker_file_parse("w", text, strlen(text), &w, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(w.runtime, "python");
	assert_string_equal(w.stack, "python-3.2");
	assert_string_equal(w.name, "other");
	assert_string_equal(w.exec, "hello_worker.py");
	assert_int_equal(w.exec_line, 6);
	assert_int_equal(w.exec_column, 6);
	assert_true(w.remote);
	assert_string_equal(w.build_command, "make  all");
	assert_int_equal(w.n_items, 10);
	is_item(&w, 0, WORKER_ENV, "KEY", "it's \\n");
	is_item(&w, 1, WORKER_FILE, "../lib/x.py", "");
	is_item(&w, 2, WORKER_FILE, "data.csv", "data");
	is_item(&w, 3, WORKER_DIR, "lib", "vendor");
	assert_int_equal(w.items[3].line, 10);
	assert_int_equal(w.items[3].column, 3);
	is_item(&w, 4, WORKER_ZIP, "a.zip", "b");
	is_item(&w, 5, WORKER_PIP, "requests", "");
	is_item(&w, 6, WORKER_PIP, "six==1.16.0", "");
	is_item(&w, 7, WORKER_PIP, "lxml==4.9", "");
	is_item(&w, 8, WORKER_PIP, "n>=1", "");
	is_item(&w, 9, WORKER_REQUIREMENTS, "requirements.txt", "");
}

static void test_strings(void **state)
{
	static const struct {
		const char *text, *value;
	} cases[] = {
		{"exec \"a b\"", "a b"},
		{"exec \"\\t\\e\\s\\\"\\\\\\q\"", "\t\x1b \"\\q"},
		{"exec \"\\x41\\u00e4\\u20ac\"", "A\xc3\xa4\xe2\x82\xac"},
		{"exec \"# not a comment\"", "# not a comment"},
		{"exec '#{no}'", "#{no}"},
		{"exec '\\n\\\\'", "\\n\\"},
		{"exec \\\n  'next line'", "next line"},
		{"exec 'two\nlines'", "two\nlines"},
		{"\n\n;;exec 'x';", "x"},
		{"full_remote_build false\nexec ( 'x' )", "x"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_worker_file_ struct worker_file w = {0};
		struct err e = {0};

		if (worker_file_parse("w", cases[i].text, strlen(cases[i].text), &w, &e) < 0)
			fail_msg("%s: %s", cases[i].text, e.msg);
		assert_string_equal(w.exec, cases[i].value);
		assert_false(w.remote);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"exec", "w:1:1: exec: takes 1 or 2 arguments, not 0"},
		{"exec x", "w:1:6: exec: 'x' is not a string"},
		{"exec 'a' if true", "w:1:10: exec: the line must end here"},
		{"exec 'a' 'b'", "w:1:10: exec: the line must end here"},
		{"exec 'a', :name => 'b'", "w:1:11: ':' has no meaning here"},
		{"exec 'a'\nexec 'b'", "w:2:1: exec: is on line 1 already"},
		{"exec 'a'\nworker 'b'",
		 "w:2:1: worker: means the same as exec on line 1, and may"},
		{"remote\nfull_remote_build",
		 "w:2:1: full_remote_build: means the same as remote on"},
		{"exec \"#{x}\"", "w:1:7: #{...} is Ruby"},
		{"exec \"a", "w:1:6: a string begins here that does not end"},
		{"exec 'a", "w:1:6: a string begins here that does not end"},
		{"exec \"\\", "w:1:6: a string begins here that does not end"},
		{"exec \"\\u12\"", "w:1:7: this escape names no character"},
		{"exec \"\\xff\"", "w:1:7: this escape names no character"},
		{"exec \"\\ud800\"", "w:1:7: this escape names no character"},
		{"exec \"\\101\"", "w:1:7: this escape is not known"},
		{"exec \"\\0\"", "w:1:7: a string must not have a NUL"},
		{"exec ''", "w:1:6: exec: must not be empty"},
		{"exec true", "w:1:6: exec: must be a string in quotes"},
		{"exec('a'", "w:1:9: exec: a ) is missing here"},
		{"exec 'a',", "w:1:10: exec: a string in quotes is missing here"},
		{"'a'", "w:1:1: a line begins with a word"},
		{"\nx = 1", "w:2:3: '=' has no meaning here"},
		{"foo 'a'", "w:1:1: there is no word 'foo'; the words are"},
		{"file 'a', '../b'", "w:1:11: file: must be a folder inside the package"},
		{"file 'a', '/b'", "w:1:11: file: must be a folder inside the package"},
		{"file 'http://x/y'", "w:1:6: file: must be a local path"},
		{"deb 'x.deb'", "w:1:1: deb: packages are installed in images"},
		{"gem 'x'", "w:1:1: gem: is for Ruby workers"},
		{"gem x", "w:1:1: gem: is for Ruby workers"},
		{"foo bar", "w:1:1: there is no word 'foo'; the words are"},
		{"set_env 'A'", "w:1:1: set_env: takes 2 arguments, not 1"},
		{"set_env 'A=', 'b'", "w:1:9: set_env: must be a name"},
		{"set_env '1A', 'b'", "w:1:9: set_env: must be a name"},
		{"pip '-r x'", "w:1:5: pip: must name what to install"},
		{"pip \"a\\nb\"", "w:1:5: pip: must be one line"},
		{"remote 'yes'", "w:1:8: remote: must be true or false, without quotes"},
		{"remote yes", "w:1:8: remote: must be true or false, without quotes"},
		{"# \xc3\xa4\nfile '\xc3\xa4', 1", "w:2:11: '1' has no meaning here"},
		{"\x01", "w:1:1: the byte 0x01 cannot be part"},
		{"file 'a','b','c'", "w:1:1: file: takes 1 or 2 arguments, not 3"},
		{"file 'a','b','c','d','e'", "w:1:22: file: takes no more arguments"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct worker_file w = {0};
		struct err e = {0};

		if (worker_file_parse("w", cases[i].text, strlen(cases[i].text), &w, &e) == 0)
			fail_msg("%s: is taken", cases[i].text);
		if (strncmp(e.msg, cases[i].error, strlen(cases[i].error)) != 0)
			fail_msg("%s: says '%s'", cases[i].text, e.msg);
		assert_null(w.items);
	}
}

static void test_stack(void **state)
{
	(void)state;
	assert_string_equal(worker_stack_image("python-2.7"), "iron27");
	assert_string_equal(worker_stack_image("python-2.71"), "python-2.71");
	assert_string_equal(worker_stack_image("web"), "web");
}

static void test_nul_and_size(void **state)
{
	struct worker_file w = {0};
	char *big = calloc(1, WORKER_FILE_MAX + 1);
	struct err e = {0};

	(void)state;
	assert_true(worker_file_parse("w", "exec 'a\0b'", 10, &w, &e) < 0);
	assert_string_equal(e.msg, "w:1:8: a string must not have a NUL");
	assert_non_null(big);
	memset(big, '\n', WORKER_FILE_MAX + 1);
	assert_int_equal(worker_file_parse("w", big, WORKER_FILE_MAX, &w, &e), 0);
	assert_true(worker_file_parse("w", big, WORKER_FILE_MAX + 1, &w, &e) < 0);
	assert_int_equal(e.code, ERR_LIMIT);
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),	     cmocka_unit_test(test_strings),
		cmocka_unit_test(test_refused),	     cmocka_unit_test(test_stack),
		cmocka_unit_test(test_nul_and_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
