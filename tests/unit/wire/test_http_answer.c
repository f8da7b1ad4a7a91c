// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/http_answer.h"

static struct http_answer a;
static char text[1 << 16], got[1 << 16];
static size_t n_got;

/* The body as it comes in pieces of at most so many bytes. */
static int read_body(const char *at, size_t len, bool without_body, size_t most)
{
	struct http_body body;

	n_got = 0;
	if (http_body_begin(&a, without_body, &body) < 0)
		return -EPROTO;
	while (len && !body.whole) {
		const size_t n = len < most ? len : most;
		size_t from, size;
		const ssize_t took = http_body_next(&body, at, n, &from, &size);

		if (took < 0)
			return -EPROTO;
		memcpy(got + n_got, at + from, size);
		n_got += size;
		at += took;
		len -= (size_t)took;
	}
	return body.whole || body.kind == HTTP_BODY_TO_END ? 0 : -EPROTO;
}

static int read_text(const char *from, bool without_body)
{
	const size_t len = strlen(from);
	int r;

	(void)strcpy(text, from);
	r = http_answer_head(text, len, &a);
	if (r < 0)
		return r;
	r = read_body(text + a.head_len, len - a.head_len, without_body, 1);
	/* It is the same however it comes. */
	for (size_t most = 2; most <= len; most++)
		assert_int_equal(read_body(text + a.head_len, len - a.head_len, without_body, most),
				 r);
	return r;
}

static void test_whole(void **state)
{
	const struct http_field *f;

	(void)state;
	assert_int_equal(
		read_text("HTTP/1.1 201 Made\r\nA:  b c \r\nContent-Length: 2\r\n\r\nok", false),
		0);
	assert_int_equal(a.status, 201);
	assert_int_equal(a.n, 2);
	f = http_answer_find(&a, "a");
	assert_int_equal(f->value_len, 3);
	assert_memory_equal(f->value, "b c", 3);
	assert_null(http_answer_find(&a, "content"));
	assert_int_equal(n_got, 2);
	assert_memory_equal(got, "ok", 2);
	/* Without a length the end of the connection is the body's. */
	assert_int_equal(read_text("HTTP/1.1 200 \r\n\r\nall of it", false), 0);
	assert_int_equal(n_got, 9);
	assert_int_equal(a.n, 0);
	/* A length that is not the body's. */
	assert_int_equal(read_text("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", true), 0);
	assert_int_equal(n_got, 0);
	assert_int_equal(read_text("HTTP/1.1 304 Not\r\nContent-Length: 9\r\n\r\n", false), 0);
	assert_int_equal(n_got, 0);
}

static void test_chunks(void **state)
{
	(void)state;
	assert_int_equal(read_text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
				   "2\r\nok\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
				   false),
			 0);
	assert_int_equal(n_got, 12);
	assert_memory_equal(got, "ok0123456789", 12);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"HTTP/1.0 200 OK\r\n\r\n",
		"HTTP/1.1 20 OK\r\n\r\n",
		"HTTP/1.1 100 OK\r\n\r\n",
		"HTTP/1.1 600 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
		"HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
		/* The connection has ended too early. */
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nok\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\nok\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0000000000000000\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
	};
	size_t at;

	(void)state;
	/* Its end has not come yet. */
	assert_int_equal(read_text("HTTP/1.1 200 OK\r\n", false), -EAGAIN);
	assert_int_equal(read_text("", false), -EAGAIN);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(read_text(bad[i], false), -EPROTO);
	at = (size_t)sprintf(text, "HTTP/1.1 200 OK\r\n");
	for (unsigned i = 0; i <= HTTP_ANSWER_FIELDS_MAX; i++)
		at += (size_t)sprintf(text + at, "a: %u\r\n", i);
	at += (size_t)sprintf(text + at, "\r\n");
	assert_int_equal(http_answer_head(text, at, &a), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
