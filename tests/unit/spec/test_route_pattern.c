// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <string.h>

#include "spec/route_pattern.h"

static void test_forms(void **state)
{
	static const struct {
		const char *text, *form;
		bool custom;
	} cases[] = {
		{"example.com/api/*", "example.com/api/*", false},
		{"EXAMPLE.com./Api/*", "example.com/Api/*", false},
		{"https://example.com/*", "example.com/*", false},
		{"HTTP://*.example.com/a", "*.example.com/a", false},
		{"example.com", "example.com/", false},
		{"example.com*", NULL, false},
		{"a-b.xn--bcher-kva.example/p*", "a-b.xn--bcher-kva.example/p*", false},
		{"127.0.0.1/*", "127.0.0.1/*", false},
		{"localhost/*", "localhost/*", false},
		{"example.com/a%20b/..c/*", "example.com/a%20b/..c/*", false},
		{"Api.Example.com", "api.example.com/*", true},
		{"https://api.example.com", "api.example.com/*", true},
	};
	char buf[ROUTE_PATTERN_MAX + ROUTE_HOST_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct route_pattern p;
		struct err e = {0};
		int r = route_pattern_parse(cases[i].text, cases[i].custom, &p, &e);

		if (!cases[i].form) {
			assert_int_equal(r, -EINVAL);
			continue;
		}
		if (r < 0)
			fail_msg("%s: %s", cases[i].text, e.msg);
		assert_string_equal(route_pattern_format(&p, buf, sizeof(buf)), cases[i].form);
		/* The one form is a pattern too, and its own form. */
		assert_int_equal(route_pattern_parse(cases[i].form, false, &p, &e), 0);
		assert_string_equal(route_pattern_format(&p, buf, sizeof(buf)), cases[i].form);
	}
}

static void test_parts(void **state)
{
	struct route_pattern p;
	struct err e = {0};

	(void)state;
	assert_int_equal(route_pattern_parse("*.Example.com/a/*", false, &p, &e), 0);
	assert_true(p.below);
	assert_true(p.prefix);
	assert_string_equal(p.host, "example.com");
	assert_string_equal(p.path, "/a/");
	assert_int_equal(route_pattern_parse("example.com/a", false, &p, &e), 0);
	assert_false(p.below);
	assert_false(p.prefix);
	assert_string_equal(p.path, "/a");
}

static void test_errors_say_what_to_write(void **state)
{
	static const struct {
		const char *text, *error;
		bool custom;
	} cases[] = {
		{"", "there is no host", false},
		{"/a", "there is no host", false},
		{"*/a", "a host may begin with '*.'", false},
		{"*example.com/*", "a host may begin with '*.'", false},
		{"a.*.com/*", "a host may begin with '*.'", false},
		{"*.*.com/*", "a host may begin with '*.'", false},
		{"*./", "there is no host", false},
		{"b\xc3\xbc"
		 "cher.de/*",
		 "form that DNS has of it, which begins with xn--", false},
		{"example.com:8080/*", "a pattern has no port", false},
		{"me@example.com/*", "a pattern has no user name", false},
		{"a..b/*", "the host has an empty part", false},
		{".a/*", "the host has an empty part", false},
		{"-a.com/", "may begin or end with '-'", false},
		{"a-.com/", "may begin or end with '-'", false},
		{"a_b.com/", "letters, digits, '-' and '.'", false},
		{"a b.com/", "letters, digits, '-' and '.'", false},
		{"a.com/*/b", "one '*', which is its last character", false},
		{"a.com/**", "one '*', which is its last character", false},
		{"a.com/?q=1", "a pattern has no '?'", false},
		{"a.com?q=1", "a pattern has no '?'", false},
		{"a.com/#x", "a pattern has no '#'", false},
		{"a.com/a b", "write it as %20", false},
		{"a.com/\\", "write it as %5C", false},
		{"a.com/\xc3\xbc", "write it as %C3", false},
		{"a.com/a/../b", "no part '.' or '..'", false},
		{"a.com/./b*", "no part '.' or '..'", false},
		{"a.com/*", "a custom domain is a host alone", true},
		{"a.com/", "a custom domain is a host alone", true},
		{"*.a.com", "a custom domain is a host alone", true},
	};
	char label[80], host[400] = "", path[ROUTE_PATTERN_MAX + 1];
	struct route_pattern p;
	struct err e = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		e = (struct err){0};
		assert_int_equal(route_pattern_parse(cases[i].text, cases[i].custom, &p, &e),
				 -EINVAL);
		if (!strstr(e.msg, cases[i].error))
			fail_msg("%s: %s", cases[i].text, e.msg);
	}
	memset(label, 'a', sizeof(label));
	label[64] = '\0';
	assert_int_equal(route_pattern_parse(label, false, &p, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "more than 63"));
	label[63] = '\0';
	assert_int_equal(route_pattern_parse(label, false, &p, &e), 0);
	for (int i = 0; i < 4; i++) {
		strcat(host, label);
		strcat(host, ".");
	}
	assert_int_equal(route_pattern_parse(host, false, &p, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "more than 253"));
	memset(path, 'a', sizeof(path));
	memcpy(path, "a/", 2);
	path[ROUTE_PATTERN_MAX] = '\0';
	assert_int_equal(route_pattern_parse(path, false, &p, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "more than 1023"));
	path[ROUTE_PATTERN_MAX - 1] = '\0';
	assert_int_equal(route_pattern_parse(path, false, &p, &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_errors_say_what_to_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
