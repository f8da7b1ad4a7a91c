// SPDX-License-Identifier: Apache-2.0
/* Files of variables: what each line means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "spec/dotenv.h"

static char seen[4096];

static int see(void *arg, const char *name, const char *value)
{
	const size_t n = strlen(seen);

	(void)snprintf(seen + n, sizeof(seen) - n, "%s=[%s] ", name, value);
	return strcmp(name, "STOP") == 0 ? *(int *)arg : 0;
}

/* What the text has; *ignored as dotenv_parse says. */
static const char *read_text(const char *text, size_t len, unsigned *ignored)
{
	int stop = 7;

	seen[0] = '\0';
	assert_int_equal(dotenv_parse(text, len, see, &stop, ignored),
			 strstr(text, "STOP") ? 7 : 0);
	return seen;
}

static const char *all(const char *text)
{
	unsigned ignored;
	const char *found = read_text(text, strlen(text), &ignored);

	assert_int_equal(ignored, 0);
	return found;
}

static void test_values(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"", ""},
		{"A=1", "A=[1] "},
		{"A=1\nB=2\r\nC=3\r\n\n", "A=[1] B=[2] C=[3] "},
		{"\xef\xbb\xbf"
		 "A=1",
		 "A=[1] "},
		{"  A = 1 \n", "A=[1] "},
		{"A=", "A=[] "},
		{"A=\nB=2", "A=[] B=[2] "},
		{"A=  # nothing\nB=2", "A=[] B=[2] "},
		{"export A=1\nexport  B=2", "A=[1] B=[2] "},
		{"export=1", "export=[1] "},
		{"A: 1", "A=[1] "},
		{"a.b-c_1=x", "a.b-c_1=[x] "},
		{"# A=1\n\t# B=2\nC=3", "C=[3] "},
		{"A=one two # three", "A=[one two] "},
		{"A=one#two", "A=[one] "},
		{"A=x=y", "A=[x=y] "},
		{"A='one # two' # three", "A=[one # two] "},
		{"A=\"one\\ntwo\\r\"", "A=[one\ntwo\r] "},
		{"A='one\\ntwo'", "A=[one\\ntwo] "},
		{"A=`a 'b' \"c\"`", "A=[a 'b' \"c\"] "},
		{"A='it\\'s'", "A=[it\\'s] "},
		{"A=\"{\\\"a\\\": 1}\"", "A=[{\\\"a\\\": 1}] "},
		{"A=\"one\ntwo\"\nB=2", "A=[one\ntwo] B=[2] "},
		{"A='one\n\n# two\n'\nB=2", "A=[one\n\n# two\n] B=[2] "},
		{"A=\"\"", "A=[] "},
		/* Marks that nothing ends are the value's own. */
		{"A=\"one\nB=2", "A=[\"one] B=[2] "},
		{"A='one' two\nB=2", "A=['one' two] B=[2] "},
		{"A=it's\nB=it's", "A=[it's] B=[it's] "},
		{"A=\"a\" b \"c\"", "A=[a\" b \"c] "},
		{"A='", "A=['] "},
		{"A=$HOME ${B}", "A=[$HOME ${B}] "},
		{"A=1\nA=2", "A=[1] A=[2] "},
		{"A=1\nSTOP=2\nC=3", "A=[1] STOP=[2] "},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(all(cases[i].text), cases[i].want);
}

#define READ(text) read_text(text, sizeof(text) - 1, &ignored)

static void test_ignored(void **state)
{
	unsigned ignored;

	(void)state;
	assert_string_equal(READ("A=1\n\nwhat is this\nnor this\nB=2"), "A=[1] B=[2] ");
	assert_int_equal(ignored, 3);
	/* The lines of a value are counted. */
	assert_string_equal(READ("A='1\n2\n3'\n=x\nB=2"), "A=[1\n2\n3] B=[2] ");
	assert_int_equal(ignored, 4);
	assert_string_equal(READ("A=1\0x\nB=2"), "B=[2] ");
	assert_int_equal(ignored, 1);
	assert_string_equal(READ("A=\xff\nB=2"), "B=[2] ");
	assert_int_equal(ignored, 1);
	assert_string_equal(READ("A:1\nB=2"), "B=[2] ");
	assert_int_equal(ignored, 1);
	assert_string_equal(READ("A"), "");
	assert_int_equal(ignored, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
