// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <string.h>

#include "wire/sse.h"

static char seen[512];

static int note(void *arg, const char *event, const char *id, const char *data, size_t len)
{
	size_t n = strlen(seen);

	(void)arg;
	assert_int_equal(strlen(data), len);
	(void)snprintf(seen + n, sizeof(seen) - n, "[%s|%s|%s]", event, id, data);
	return strcmp(event, "stop") == 0 ? 7 : 0;
}

static const char stream[] =
	": ping\n\nevent: stdout\nid: 1\ndata: a b\n\r\ndata:x\r\ndata: y\r\n\r\n"
	"event: none\n\nid: 2\ndata\n\nevent: end\rdata: {}\r\r";
static const char wanted[] = "[stdout|1|a b][message|1|x\ny][message|2|][end|2|{}]";

static void test_any_pieces(void **state)
{
	(void)state;
	for (size_t piece = 1; piece <= sizeof(stream); piece++) {
		struct sse s = {0};

		seen[0] = '\0';
		for (size_t at = 0; at < strlen(stream); at += piece) {
			size_t n = strlen(stream) - at;

			assert_int_equal(
				sse_feed(&s, stream + at, n < piece ? n : piece, note, NULL), 0);
		}
		assert_string_equal(seen, wanted);
		sse_clear(&s);
	}
}

static void test_reconnect_and_stop(void **state)
{
	struct sse s = {0};

	(void)state;
	seen[0] = '\0';
	assert_int_equal(sse_feed(&s, "id: 9\nevent: x\ndata: lost\nda", 28, note, NULL), 0);
	sse_reconnect(&s);
	assert_int_equal(sse_feed(&s, "data: b\n\n", 9, note, NULL), 0);
	assert_int_equal(sse_feed(&s, "event: stop\ndata: 1\n\ndata: 2\n\n", 30, note, NULL), 7);
	assert_string_equal(seen, "[message|9|b][stop|9|1]");
	sse_clear(&s);
}

static void test_bound(void **state)
{
	static char big[SSE_LINE_MAX];
	struct sse s = {0};

	(void)state;
	memset(big, 'a', sizeof(big));
	assert_int_equal(sse_feed(&s, big, sizeof(big), note, NULL), 0);
	assert_int_equal(sse_feed(&s, big, 1, note, NULL), -EMSGSIZE);
	sse_clear(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_pieces),
		cmocka_unit_test(test_reconnect_and_stop),
		cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
