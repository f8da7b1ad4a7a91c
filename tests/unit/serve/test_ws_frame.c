// SPDX-License-Identifier: Apache-2.0
/* Frames of a WebSocket, as a client sends them and as none may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/front/serve/http/ws_frame.h"

static char heard[256];

static void control(void *arg, enum ws_opcode op, const uint8_t *data, size_t len)
{
	const size_t n = strlen(heard);

	(void)arg;
	(void)snprintf(heard + n, sizeof(heard) - n, "%d:%.*s;", (int)op, (int)len,
		       (const char *)data);
}

/* A client's frame: masked, with these first two bytes, but for the length of a short one. */
static size_t frame(uint8_t *to, unsigned first, const char *text)
{
	static const uint8_t mask[4] = {1, 2, 3, 4};
	const size_t len = strlen(text);

	to[0] = (uint8_t)first;
	to[1] = (uint8_t)(0x80 | len);
	memcpy(to + 2, mask, 4);
	for (size_t i = 0; i < len; i++)
		to[6 + i] = (uint8_t)text[i] ^ mask[i % 4];
	return 6 + len;
}

static void test_frames(void **state)
{
	uint8_t bytes[512];
	struct ws_in in;
	size_t n = 0;

	(void)state;
	n += frame(bytes + n, 0x81, "{\"debug\":false}");
	n += frame(bytes + n, 0x89, "are you there");
	/* A message in pieces, with a ping in the middle. */
	n += frame(bytes + n, 0x02, "one");
	n += frame(bytes + n, 0x89, "");
	n += frame(bytes + n, 0x00, "");
	n += frame(bytes + n, 0x80, "two");
	n += frame(bytes + n, 0x8a, "pong");
	n += frame(bytes + n, 0x88, "xx");
	/* In pieces of any size it is the same. */
	for (size_t step = 1; step <= n; step += 6) {
		in = (struct ws_in){0};
		heard[0] = '\0';
		for (size_t at = 0; at < n; at += step)
			assert_int_equal(ws_feed(&in, bytes + at, at + step > n ? n - at : step,
						 control, NULL),
					 0);
		assert_string_equal(heard, "9:are you there;9:;10:pong;8:xx;");
		assert_false(in.in_message);
	}
}

static unsigned feed(const uint8_t *bytes, size_t len)
{
	struct ws_in in = {0};

	return ws_feed(&in, bytes, len, control, NULL);
}

static void test_what_none_may(void **state)
{
	/* Not masked; a reserved bit; unknown kinds; a control frame in pieces, and one that is long;
	 * a continuation of nothing; a length that is written longer than it is. */
	static const uint8_t bad[][14] = {
		{0x81, 0x01, 'x'},
		{0xc1, 0x80, 0, 0, 0, 0},
		{0x83, 0x80, 0, 0, 0, 0},
		{0x8b, 0x80, 0, 0, 0, 0},
		{0x09, 0x80, 0, 0, 0, 0},
		{0x89, 0xfe, 0, 126, 0, 0, 0, 0},
		{0x80, 0x80, 0, 0, 0, 0},
		{0x81, 0xfe, 0, 125, 0, 0, 0, 0},
		{0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0},
		{0x81, 0xff, 0x80, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0},
	};
	uint8_t bytes[64];
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (feed(bad[i], sizeof(bad[i])) != WS_PROTOCOL)
			fail_msg("%zu was taken", i);
	/* A new message within one. */
	n = frame(bytes, 0x01, "a");
	n += frame(bytes + n, 0x81, "b");
	assert_int_equal(feed(bytes, n), WS_PROTOCOL);
}

/* Of a client that masks nothing. */
static void test_plain(void **state)
{
	static const uint8_t bytes[] =
		"\x81\x0f{\"debug\":false}\x89\x02hi\x81\x00\x88\x80\1\2\3\4";
	struct ws_in in;

	(void)state;
	for (size_t step = 1; step < sizeof(bytes); step++) {
		in = (struct ws_in){.may_be_plain = true};
		heard[0] = '\0';
		for (size_t at = 0; at < sizeof(bytes) - 1; at += step)
			assert_int_equal(ws_feed(&in, bytes + at,
						 at + step > sizeof(bytes) - 1
							 ? sizeof(bytes) - 1 - at
							 : step,
						 control, NULL),
					 0);
		assert_string_equal(heard, "9:hi;8:;");
	}
}

static void test_bounds(void **state)
{
	/* A message may have 64 KiB, in one frame or in many. */
	static const uint8_t whole[] = {0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0};
	static const uint8_t over[] = {0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0};
	static uint8_t payload[WS_MESSAGE_MAX];
	struct ws_in in = {0};
	uint8_t bytes[16];

	(void)state;
	assert_int_equal(feed(over, sizeof(over)), WS_TOO_BIG);
	assert_int_equal(ws_feed(&in, whole, sizeof(whole), control, NULL), 0);
	assert_int_equal(ws_feed(&in, payload, sizeof(payload), control, NULL), 0);
	assert_int_equal(ws_feed(&in, bytes, frame(bytes, 0x81, "again"), control, NULL), 0);
	in = (struct ws_in){0};
	assert_int_equal(ws_feed(&in, bytes, frame(bytes, 0x01, "x"), control, NULL), 0);
	memcpy(bytes, whole, sizeof(whole));
	bytes[0] = 0x80;
	assert_int_equal(ws_feed(&in, bytes, sizeof(whole), control, NULL), WS_TOO_BIG);
}

static void test_head(void **state)
{
	uint8_t head[WS_HEAD_MAX];

	(void)state;
	assert_int_equal(ws_head(WS_PONG, 125, head), 2);
	assert_memory_equal(head, "\x8a\x7d", 2);
	assert_int_equal(ws_head(WS_TEXT, 126, head), 4);
	assert_memory_equal(head, "\x81\x7e\x00\x7e", 4);
	assert_int_equal(ws_head(WS_TEXT, 65536, head), 10);
	assert_memory_equal(head, "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10);
}

static void test_handshake(void **state)
{
	char accept[WS_ACCEPT_LEN + 1];

	(void)state;
	/* RFC 6455, 1.3. */
	assert_int_equal(ws_accept("dGhlIHNhbXBsZSBub25jZQ==", accept), 0);
	assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	assert_int_equal(ws_accept("dGhlIHNhbXBsZSBub25jZQ=", accept), -EINVAL);
	assert_int_equal(ws_accept("dGhlIHNhbXBsZSBub25jZQAA", accept), -EINVAL);
	assert_int_equal(ws_accept("dGhlIHNhbXBs!SBub25jZQ==", accept), -EINVAL);
	assert_int_equal(ws_accept(NULL, accept), -EINVAL);
	assert_true(ws_list_has("keep-alive, Upgrade", "upgrade"));
	assert_true(ws_list_has(",, trace-v1", "trace-v1"));
	assert_false(ws_list_has("upgraded", "upgrade"));
	assert_false(ws_list_has("", "upgrade"));
	assert_false(ws_list_has(NULL, "upgrade"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames),	  cmocka_unit_test(test_what_none_may),
		cmocka_unit_test(test_bounds),	  cmocka_unit_test(test_head),
		cmocka_unit_test(test_handshake), cmocka_unit_test(test_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
