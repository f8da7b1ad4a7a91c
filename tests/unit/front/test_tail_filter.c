// SPDX-License-Identifier: Apache-2.0
/* What code says of a request, and which of it somebody wants to see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "supervisor/front/web/tail_filter.h"

static json_t *event_of(const char *text)
{
	json_t *head = json_loads(text, 0, NULL), *event;

	assert_non_null(head);
	event = tail_event_read(head);
	json_decref(head);
	assert_non_null(event);
	return event;
}

static void expect_event(const char *head, const char *want)
{
	json_t *event = event_of(head), *wanted = json_loads(want, 0, NULL);

	assert_non_null(wanted);
	if (!json_equal(event, wanted))
		fail_msg("%s", json_dumps(event, 0));
	json_decref(event);
	json_decref(wanted);
}

static void test_events(void **state)
{
	(void)state;
	expect_event(
		"{\"op\":\"event\",\"request_id\":\"r\",\"handler\":\"fetch\",\"method\":\"GET\","
		"\"url\":\"http://h/\",\"status\":200,\"ms\":1.5,\"outcome\":\"ok\","
		"\"truncated\":true,\"lost\":2,\"headers\":{\"a\":\"b\",\"c\":1},"
		"\"logs\":[{\"level\":\"warn\",\"message\":[\"hi\",\"x\"],\"timestamp\":7}],"
		"\"exceptions\":[{\"name\":\"E\",\"message\":\"m\",\"stack\":\"s\",\"y\":1}]}",
		"{\"request_id\":\"r\",\"handler\":\"fetch\",\"method\":\"GET\","
		"\"url\":\"http://h/\",\"status\":200,\"ms\":1.5,\"outcome\":\"ok\","
		"\"truncated\":true,\"lost\":2,\"headers\":{\"a\":\"b\"},"
		"\"logs\":[{\"level\":\"warn\",\"text\":\"hi\",\"time_ms\":7}],"
		"\"exceptions\":[{\"name\":\"E\",\"message\":\"m\",\"stack\":\"s\"}]}");
	/* What is not as it should be is left out. */
	expect_event("{\"op\":\"event\",\"request_id\":5,\"outcome\":\"made up\",\"status\":\"x\","
		     "\"ms\":-1,\"url\":[],\"headers\":[],\"truncated\":1,\"secret\":\"s\","
		     "\"logs\":[1,{},{\"message\":\"x\"},{\"message\":[3]},{\"message\":[\"a\"],"
		     "\"level\":1,\"timestamp\":-3}],\"exceptions\":[null,{\"name\":3}]}",
		     "{\"request_id\":\"\",\"handler\":\"\",\"outcome\":\"unknown\","
		     "\"logs\":[{\"level\":\"log\",\"text\":\"a\"}],\"exceptions\":["
		     "{\"name\":\"Error\",\"message\":\"\",\"stack\":\"\"},"
		     "{\"name\":\"Error\",\"message\":\"\",\"stack\":\"\"}]}");
	expect_event("{\"logs\":{},\"exceptions\":\"x\"}",
		     "{\"request_id\":\"\",\"handler\":\"\",\"outcome\":\"unknown\",\"logs\":[],"
		     "\"exceptions\":[]}");
}

static bool takes(const char *filters, double draw)
{
	json_t *doc = json_loads(filters, 0, NULL);
	json_t *event = event_of(
		"{\"method\":\"POST\",\"outcome\":\"exception\",\"headers\":{\"x-a\":\"one two\","
		"\"cf-connecting-ip\":\"192.0.2.7\"},\"logs\":[{\"message\":[\"a needle\"]}],"
		"\"exceptions\":[{\"message\":\"of thread\"}]}");
	struct tail_filter f;
	struct err e = {0};
	bool is;

	assert_non_null(doc);
	if (tail_filter_read(doc, &f, &e) < 0)
		fail_msg("%s: %s", filters, e.msg);
	is = tail_filter_takes(&f, event, "v1", draw);
	tail_filter_clear(&f);
	json_decref(doc);
	json_decref(event);
	return is;
}

static void test_filters(void **state)
{
	(void)state;
	assert_true(takes("[]", 0.9));
	assert_true(takes("[{\"sampling_rate\":0.5}]", 0.4));
	assert_false(takes("[{\"sampling_rate\":0.5}]", 0.5));
	assert_false(takes("[{\"sampling_rate\":0}]", 0));
	assert_true(takes("[{\"sampling_rate\":1}]", 0.999));
	assert_true(takes("[{\"outcome\":[\"canceled\",\"exception\"]}]", 0));
	assert_false(takes("[{\"outcome\":[\"ok\",\"exceededCpu\"]}]", 0));
	assert_true(takes("[{\"method\":[\"get\",\"post\"]}]", 0));
	assert_false(takes("[{\"method\":[\"GET\"]}]", 0));
	assert_true(takes("[{\"header\":{\"key\":\"X-A\"}}]", 0));
	assert_true(takes("[{\"header\":{\"key\":\"X-A\",\"query\":\"two\"}}]", 0));
	assert_false(takes("[{\"header\":{\"key\":\"X-A\",\"query\":\"three\"}}]", 0));
	assert_false(takes("[{\"header\":{\"key\":\"X-B\"}}]", 0));
	assert_true(takes("[{\"client_ip\":[\"192.0.2.7\"]}]", 0));
	assert_false(takes("[{\"client_ip\":[\"192.0.2.8\"]}]", 0));
	assert_true(takes("[{\"query\":\"needle\"}]", 0));
	assert_true(takes("[{\"query\":\"thread\"}]", 0));
	assert_false(takes("[{\"query\":\"camel\"}]", 0));
	assert_true(takes("[{\"scriptVersion\":\"v1\"}]", 0));
	assert_false(takes("[{\"scriptVersion\":\"v2\"}]", 0));
	/* All of them must. */
	assert_false(takes("[{\"query\":\"needle\"},{\"method\":[\"GET\"]}]", 0));
}

static void test_wrong(void **state)
{
	static const char *const bad[] = {
		"{}",
		"[1]",
		"[{\"color\":1}]",
		"[{\"sampling_rate\":2}]",
		"[{\"sampling_rate\":\"1\"}]",
		"[{\"outcome\":[\"good\"]}]",
		"[{\"outcome\":\"ok\"}]",
		"[{\"method\":[1]}]",
		"[{\"header\":{}}]",
		"[{\"header\":{\"key\":\"a\",\"x\":1}}]",
		"[{\"query\":1}]",
		"[{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}]",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		json_t *doc = json_loads(bad[i], 0, NULL);
		struct tail_filter f;
		struct err e = {0};

		assert_non_null(doc);
		if (tail_filter_read(doc, &f, &e) == 0)
			fail_msg("%s was taken", bad[i]);
		assert_int_equal(e.code, ERR_INPUT);
		assert_non_null(strstr(e.msg, "filters"));
		json_decref(doc);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_events),
					   cmocka_unit_test(test_filters),
					   cmocka_unit_test(test_wrong)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
