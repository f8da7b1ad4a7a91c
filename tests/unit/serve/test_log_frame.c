// SPDX-License-Identifier: Apache-2.0
/* A log's frames as events and as text: characters that are cut between frames, and dropped
 * bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/front/serve/http/log_frame.h"

struct out {
	struct http_log_format format;
	char *buf;
	size_t len;
};

static void add(struct out *o, struct log_frame head, const void *data, size_t len)
{
	head.len = (uint32_t)len;
	assert_int_equal(http_log_format(&o->format, &head, data, &o->buf, &o->len), 0);
}

static void drop(struct out *o, uint8_t reason, uint64_t bytes, uint64_t kept)
{
	add(o,
	    (struct log_frame){
		    .type = LOG_FRAME_DROPPED, .reason = reason, .aux = bytes, .cursor = 5},
	    &kept, sizeof(kept));
}

static void out_free(struct out *o)
{
	free(o->buf);
	*o = (struct out){0};
}

/* The texts of all events of a stream are put together. */
static char *texts(struct out *o, const char *stream)
{
	static char all[256];
	char *line, *save = NULL;
	bool is = false;

	all[0] = '\0';
	assert_non_null(o->buf);
	o->buf[o->len] = '\0';
	for (line = strtok_r(o->buf, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		json_t *data;

		if (strncmp(line, "event: ", 7) == 0)
			is = strcmp(line + 7, stream) == 0;
		if (!is || strncmp(line, "data: ", 6) != 0)
			continue;
		data = json_loads(line + 6, 0, NULL);
		assert_non_null(data);
		strcat(all, json_string_value(json_object_get(data, "text")));
		json_decref(data);
	}
	return all;
}

/* Wherever a text is cut, its parts together are the text. */
static void test_cut(void **state)
{
	static const char text[] = "a\xf0\x9f\x98\x80\xc3\xa4\xe2\x82\xac z";
	const size_t n = sizeof(text) - 1;

	(void)state;
	for (size_t step = 1; step <= n; step++) {
		struct out o = {.format.events = true};

		for (size_t i = 0; i < n; i += step) {
			size_t len = step < n - i ? step : n - i;

			add(&o, (struct log_frame){.type = LOG_FRAME_OUT, .cursor = i}, text + i,
			    len);
			/* The bytes of the other stream do not complete a character of this one. */
			add(&o, (struct log_frame){.type = LOG_FRAME_ERR, .cursor = i}, "\xc3", 1);
			add(&o, (struct log_frame){.type = LOG_FRAME_ERR, .cursor = i}, "\xa4", 1);
		}
		add(&o, (struct log_frame){.type = LOG_FRAME_END, .aux = 1}, "", 0);
		assert_string_equal(texts(&o, "stdout"), text);
		out_free(&o);
	}
}

#define BAD "\xef\xbf\xbd"

static void test_no_character(void **state)
{
	static const struct {
		const char *frames[4], *text;
	} cases[] = {
		{{"\xf0\x9f", "x"}, BAD "x"},
		{{"\xf0", "\x9f", "\x98", "x"}, BAD "x"},
		{{"\xe2\x82", "\xc3\xa4"}, BAD "\xc3\xa4"},
		{{"\xff\xfe"}, BAD BAD},
		{{"\xed\xa0\x80"}, BAD BAD BAD},
		{{"a\xe2\x82"}, "a" BAD}, /* and the log ends */
		{{"\"\\\x1b\x7f"}, "\"\\\x1b\x7f"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct out o = {.format.events = true};

		for (int k = 0; k < 4 && cases[i].frames[k]; k++)
			add(&o, (struct log_frame){.type = LOG_FRAME_OUT, .cursor = 1},
			    cases[i].frames[k], strlen(cases[i].frames[k]));
		add(&o, (struct log_frame){.type = LOG_FRAME_END}, "", 0);
		o.buf[o.len] = '\0';
		assert_non_null(strstr(o.buf, "event: end\ndata: {\"complete\":false}\n\n"));
		assert_string_equal(texts(&o, "stdout"), cases[i].text);
		out_free(&o);
	}
}

static void test_dropped(void **state)
{
	struct out o = {.format.events = true};

	(void)state;
	drop(&o, LOG_DROP_DISK, 7, 9);
	assert_non_null(o.buf);
	o.buf[o.len] = '\0';
	assert_non_null(strstr(o.buf, "event: dropped\nid: 5\ndata: {\"t\":\""));
	assert_non_null(strstr(o.buf, "\"reason\":\"disk\",\"bytes\":7,\"kept\":9}\n\n"));
	out_free(&o);
	o = (struct out){.format.events = true};
	drop(&o, LOG_DROP_RING, 7, 9);
	o.buf[o.len] = '\0';
	assert_non_null(strstr(o.buf, "\"reason\":\"ring\",\"bytes\":7,\"kept\":9}\n\n"));
	out_free(&o);
	/* In plain text the drops of one reason are counted together, and are told in a line of
	 * their own. */
	add(&o, (struct log_frame){.type = LOG_FRAME_OUT}, "half", 4);
	drop(&o, LOG_DROP_LIMIT, 100, 1 << 20);
	drop(&o, LOG_DROP_LIMIT, 28, 1 << 20);
	assert_int_equal(o.len, 4);
	drop(&o, LOG_DROP_DISK, 3, 0);
	assert_true(o.len > 5);
	add(&o, (struct log_frame){.type = LOG_FRAME_OUT}, "on\n", 3);
	o.buf[o.len] = '\0';
	assert_memory_equal(o.buf, "half\n[log limit of 1M reached: 128 bytes dropped]\n[", 51);
	assert_string_equal(o.buf + o.len - 5, "]\non\n");
	assert_int_equal(o.format.dropped, 0);
	/* A count that would overflow does not become a small one. */
	drop(&o, LOG_DROP_LIMIT, UINT64_MAX, 1 << 20);
	drop(&o, LOG_DROP_LIMIT, 2, 1 << 20);
	assert_true(o.format.dropped == UINT64_MAX);
	out_free(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_no_character),
		cmocka_unit_test(test_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
