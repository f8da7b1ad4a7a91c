// SPDX-License-Identifier: Apache-2.0
/* Forms, whole and in pieces of every size, and those that are none. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <string.h>

#include "spec/multipart.h"

#define TYPE "multipart/form-data; boundary=----x"
#define D "------x"

/* All that was called back, as one text. */
struct seen {
	char text[4096];
	size_t len;
	unsigned pieces; /* in which data has come */
};

static void add(struct seen *s, const char *text, size_t len)
{
	assert_true(s->len + len < sizeof(s->text));
	memcpy(s->text + s->len, text, len);
	s->len += len;
	s->text[s->len] = '\0';
}

static int part(void *arg, const struct multipart_part *p, struct err *e)
{
	char line[1200];

	(void)e;
	(void)snprintf(line, sizeof(line), "<%s|%s|%s:", p->name, p->file ? p->file : "-", p->type);
	add(arg, line, strlen(line));
	return 0;
}

static int data(void *arg, const char *text, size_t len, struct err *e)
{
	struct seen *s = arg;

	(void)e;
	s->pieces++;
	add(s, text, len);
	return 0;
}

static int end(void *arg, struct err *e)
{
	(void)e;
	add(arg, ">", 1);
	return 0;
}

static int take(const char *type, const char *text, size_t len, size_t step, struct seen *s,
		struct err *e)
{
	struct multipart m;
	int r = multipart_begin(&m, type, e);

	if (r <= 0)
		return r;
	m.part = part;
	m.data = data;
	m.end = end;
	m.arg = s;
	r = 0;
	for (size_t at = 0, n; r == 0 && at < len; at += n) {
		n = step < len - at ? step : len - at;
		r = multipart_feed(&m, text + at, n, e);
	}
	return r < 0 ? r : multipart_end(&m, e);
}

static void expect(const char *text, const char *wanted)
{
	for (size_t step = 1; step <= strlen(text); step++) {
		struct seen s = {0};
		struct err e = {0};

		if (take(TYPE, text, strlen(text), step, &s, &e) < 0)
			fail_msg("in pieces of %zu: %s", step, e.msg);
		assert_string_equal(s.text, wanted);
	}
}

static void refuse(const char *text, const char *why)
{
	for (size_t step = 1; step <= strlen(text); step++) {
		struct seen s = {0};
		struct err e = {0};

		assert_true(take(TYPE, text, strlen(text), step, &s, &e) < 0);
		assert_int_equal(e.code, ERR_INPUT);
		if (!strstr(e.msg, why))
			fail_msg("in pieces of %zu: %s", step, e.msg);
	}
}

static void test_forms(void **state)
{
	(void)state;
	expect(D "\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{}\r\n" D
		 "\r\ncontent-type: text/x-python\r\nContent-Disposition: form-data; "
		 "name=\"a/b.py\"; "
		 "filename=\"a/b.py\"\r\nX-Other: 1\r\n\r\nx\r\n--\r\n-----\r\n------\r\r\n" D
		 "--\r\n",
	       "<metadata|-|:{}><a/b.py|a/b.py|text/x-python:x\r\n--\r\n-----\r\n------\r>");
	expect(D "\r\nContent-Disposition: form-data; name=\"\"; filename=\"a%22b\"\r\n\r\n\r\n" D
		 "--",
	       "<|a\"b|:>");
	/* Of the delimiter it is only the first one that ends a part. */
	expect(D "\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\r\n------y\r\n" D "--",
	       "<a|-|:\r\r\n------y>");
}

/* What looks like a delimiter's beginning at each byte, for instance to have a file written byte by byte. */
static void test_many_beginnings(void **state)
{
	static const char head[] =
		D "\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a\"\r\n\r\n";
	static const char *const units[] = {"\r", "\r\n", "\r\n-", "\r\n------\r"};
	char text[3072];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		for (size_t step = 500; step <= sizeof(text); step += 700) {
			struct seen s = {0};
			struct err e = {0};
			int n = snprintf(text, sizeof(text), "%s", head);

			while (n < 2900)
				n += snprintf(text + n, sizeof(text) - (size_t)n, "%s", units[i]);
			n += snprintf(text + n, sizeof(text) - (size_t)n, "\r\n" D "--");
			assert_int_equal(take(TYPE, text, (size_t)n, step, &s, &e), 0);
			assert_int_equal(s.len, (size_t)n - strlen(head) - strlen("\r\n" D "--") +
							strlen("<a|a|:>"));
			/* One with what was left of the piece before. */
			assert_in_range(s.pieces, 1, 2 * ((size_t)n / step + 1));
		}
}

static void test_refused(void **state)
{
#define HEAD D "\r\nContent-Disposition: form-data; "
	(void)state;
	refuse("x" D "--", "does not begin with the boundary");
	refuse("\r\n" D "--", "does not begin with the boundary");
	refuse(D, "ends in the middle");
	refuse(HEAD "name=\"a\"\r\n\r\nx\r\n" D, "ends in the middle");
	refuse(HEAD "name=\"a\"\r\n\r\nx\r\n" D "--\r\nx", "behind its last part");
	refuse(HEAD "name=\"a\"\r\n\r\nx\r\n" D " \r\n", "behind a boundary");
	refuse(D "\r\n\r\nx\r\n" D "--", "no Content-Disposition");
	refuse(D "\r\nContent-Type: a/b\r\n\r\nx\r\n" D "--", "no Content-Disposition");
	refuse(D "\r\nno header\r\n\r\nx\r\n" D "--", "a header without a name");
	refuse(HEAD "filename=\"a\"\r\n\r\nx\r\n" D "--", "has no name");
	refuse(HEAD "name=\"a\"; name=\"b\"\r\n\r\nx\r\n" D "--", "malformed");
	refuse(HEAD "name=\"a\"; filename*=\"b\"\r\n\r\nx\r\n" D "--", "something else");
	refuse(HEAD "name=a\r\n\r\nx\r\n" D "--", "something else");
	refuse(HEAD "name=\"a\\\"b\"\r\n\r\nx\r\n" D "--", "malformed");
	refuse(HEAD "name=\"a%0Ab\"\r\n\r\nx\r\n" D "--", "malformed");
	refuse(HEAD "name=\"a\x01\"\r\n\r\nx\r\n" D "--", "control characters");
	refuse(HEAD "name=\"a\nb\"\r\n\r\nx\r\n" D "--", "malformed");
	refuse(HEAD "name=\"a\xff\"\r\n\r\nx\r\n" D "--", "UTF-8");
	refuse(HEAD "name=\"a\"\r\n Folded: 1\r\n\r\nx\r\n" D "--", "malformed");
	refuse(HEAD "name=\"a\"\r\nContent-Transfer-Encoding: base64\r\n\r\nx\r\n" D "--",
	       "Transfer-Encoding");
	refuse(HEAD "name=\"a\"\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n" D "--",
	       "two Content-Dispositions");
}

static void test_bounds(void **state)
{
	char text[MULTIPART_HEAD_MAX + 200];
	struct seen s = {0};
	struct err e = {0};
	size_t n;

	(void)state;
	n = (size_t)snprintf(text, sizeof(text), HEAD "name=\"%0*d\"\r\n\r\n",
			     MULTIPART_NAME_MAX + 1, 1);
	assert_true(take(TYPE, text, n, n, &s, &e) < 0);
	assert_non_null(strstr(e.msg, "at most 480"));
	n = (size_t)snprintf(text, sizeof(text), D "\r\nX-Long: %0*d\r\n\r\n", MULTIPART_HEAD_MAX,
			     1);
	assert_true(take(TYPE, text, n, n, &s, &e) < 0);
	assert_non_null(strstr(e.msg, "more than 4096"));
	assert_int_equal(take("application/json", "", 0, 1, &s, &e), 0);
	assert_true(take("multipart/form-data", "", 0, 1, &s, &e) < 0);
	assert_true(take("multipart/form-data; boundary=", "", 0, 1, &s, &e) < 0);
	assert_true(take("multipart/form-data; boundary=\"a\rb\"", "", 0, 1, &s, &e) < 0);
	memset(s.text, 0, sizeof(s.text));
	s.len = 0;
	(void)snprintf(text, sizeof(text),
		       "--a b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--a b--");
	assert_int_equal(
		take("multipart/form-data; boundary=\"a b\"", text, strlen(text), 7, &s, &e), 0);
	assert_string_equal(s.text, "<x|-|:1>");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_many_beginnings),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
