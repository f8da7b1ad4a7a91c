// SPDX-License-Identifier: Apache-2.0
/* Frames between the front and a sandbox that serves: whole however they arrive, and bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/serve.h"

static const char head[] = "{\"op\":\"ready\"}";

/* Gives `in` the bytes, at most `step` at a time. Returns the last result. */
static int feed(struct serve_in *in, const uint8_t *bytes, size_t len, size_t step)
{
	int r = 0;

	while (len > 0 && r == 0) {
		size_t n;
		void *to;

		assert_int_equal(serve_in_room(in, &to, &n), 0);
		assert_true(n > 0);
		n = n < step ? n : step;
		n = n < len ? n : len;
		memcpy(to, bytes, n);
		r = serve_in_took(in, n);
		bytes += n;
		len -= n;
	}
	if (r > 0)
		assert_int_equal(len, 0);
	return r;
}

/* The frame as serve_out makes it; the caller frees it. */
static uint8_t *frame(const void *body, size_t body_len, size_t *ret_len)
{
	struct serve_out out = {0};
	int pair[2], r;
	uint8_t *bytes;
	size_t got = 0;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(serve_out_add(&out, head, strlen(head), body, body_len), 0);
	*ret_len = out.bytes;
	bytes = malloc(out.bytes);
	assert_non_null(bytes);
	do {
		ssize_t n;

		r = serve_out_send(&out, pair[0]);
		assert_true(r >= 0);
		n = read(pair[1], bytes + got, *ret_len - got);
		assert_true(n > 0);
		got += (size_t)n;
	} while (got < *ret_len);
	assert_int_equal(r, 0);
	assert_int_equal(out.bytes, 0);
	(void)close(pair[0]);
	(void)close(pair[1]);
	return bytes;
}

static void test_frames(void **state)
{
	static const size_t steps[] = {1, 3, 4096, SIZE_MAX};
	const size_t body_len = 300001;
	uint8_t *body = malloc(body_len), *bytes;
	struct serve_in in = {.body_max = SERVE_BODY_MAX};
	size_t len;

	(void)state;
	for (size_t i = 0; i < body_len; i++)
		body[i] = (uint8_t)(i * 7);
	bytes = frame(body, body_len, &len);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		assert_int_equal(feed(&in, bytes, len, steps[i]), 1);
		assert_string_equal(in.head, head);
		assert_int_equal(in.head_len, strlen(head));
		assert_int_equal(in.body_len, body_len);
		assert_memory_equal(in.body, body, body_len);
		serve_in_next(&in);
		/* A long body's memory does not stay. */
		assert_true(in.body_size < body_len);
	}
	serve_in_clear(&in);
	free(bytes);
	bytes = frame(NULL, 0, &len);
	in.body_max = 0;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(feed(&in, bytes, len, 5), 1);
		assert_string_equal(in.head, head);
		assert_int_equal(in.body_len, 0);
		serve_in_next(&in);
	}
	serve_in_clear(&in);
	free(bytes);
	free(body);
}

static void test_bounds(void **state)
{
	static const uint32_t bad[][2] = {
		{0, 0},	    {0, 5},	      {SERVE_HEAD_MAX + 1, 0}, {UINT32_MAX, UINT32_MAX},
		{10, 1001}, {10, UINT32_MAX},
	};
	struct serve_out out = {0};
	char *long_head = calloc(1, SERVE_OUT_HEAD_MAX + 1);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct serve_in in = {.body_max = 1000};

		assert_int_equal(feed(&in, (const uint8_t *)bad[i], SERVE_LENGTHS, SIZE_MAX),
				 -EPROTO);
		serve_in_clear(&in);
	}
	assert_int_equal(serve_out_add(&out, long_head, SERVE_OUT_HEAD_MAX + 1, NULL, 0),
			 -EMSGSIZE);
	assert_int_equal(serve_out_add(&out, long_head, 0, NULL, 0), -EMSGSIZE);
	assert_int_equal(serve_out_add(&out, long_head, 1, long_head, SERVE_BODY_MAX + 1),
			 -EMSGSIZE);
	assert_null(out.first);
	free(long_head);
}

/* An announced length takes no memory: what arrives does. */
static void test_memory(void **state)
{
	const uint32_t lengths[2] = {SERVE_HEAD_MAX, SERVE_BODY_MAX};
	struct serve_in in = {.body_max = SERVE_BODY_MAX};
	size_t len;
	void *to;

	(void)state;
	assert_int_equal(feed(&in, (const uint8_t *)lengths, sizeof(lengths), SIZE_MAX), 0);
	assert_int_equal(serve_in_room(&in, &to, &len), 0);
	assert_int_equal(len, 4096);
	serve_in_clear(&in);
}

static void test_sockets(void **state)
{
	struct serve_in in = {.body_max = SERVE_BODY_MAX};
	struct serve_out out = {0};
	int pair[2], r;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(serve_in_recv(&in, pair[1]), -EAGAIN);
	for (int i = 0; i < 3; i++)
		assert_int_equal(serve_out_add(&out, head, strlen(head), "body", 4), 0);
	assert_int_equal(serve_out_send(&out, pair[0]), 0);
	for (int i = 0; i < 3; i++) {
		while ((r = serve_in_recv(&in, pair[1])) == 0)
			;
		assert_int_equal(r, 1);
		assert_memory_equal(in.body, "body", 4);
		serve_in_next(&in);
	}
	(void)close(pair[0]);
	assert_int_equal(serve_in_recv(&in, pair[1]), -ECONNRESET);
	assert_int_equal(serve_out_add(&out, head, strlen(head), "body", 4), 0);
	assert_int_equal(serve_out_send(&out, pair[0]), -EBADF);
	serve_out_clear(&out);
	serve_in_clear(&in);
	(void)close(pair[1]);
}

/* Whoever does not read gets no more than its socket holds; the rest waits here. */
static void test_full(void **state)
{
	uint8_t *body = calloc(1, SERVE_BODY_MAX);
	struct serve_out out = {0};
	size_t before;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(serve_out_add(&out, head, strlen(head), body, SERVE_BODY_MAX), 0);
	before = out.bytes;
	assert_int_equal(serve_out_send(&out, pair[0]), 1);
	assert_true(out.bytes > 0 && out.bytes < before);
	assert_int_equal(serve_out_send(&out, pair[0]), 1);
	(void)close(pair[1]);
	assert_int_equal(serve_out_send(&out, pair[0]), -EPIPE);
	serve_out_clear(&out);
	(void)close(pair[0]);
	free(body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames), cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_memory), cmocka_unit_test(test_sockets),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
