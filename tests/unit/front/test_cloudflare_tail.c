// SPDX-License-Identifier: Apache-2.0
/* `wrangler tail`: the address that it asks for, and the WebSocket behind it. */
#include "tests/unit/rest_rig.h"

#include "supervisor/front/web/web.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="

static json_t *result(struct rest *r)
{
	return json_object_get(r->body, "result");
}

static struct web_worker *make_worker(struct rest *r)
{
	struct web_worker *w = web_worker_new(r->x->a, "hello");

	assert_non_null(w);
	return w;
}

/* Asks for a tail; its address's path. */
static const char *ask_tail(struct rest *r, const char *body, char id[32])
{
	static char path[200];
	char ask[200], want[64];
	const char *url;

	(void)snprintf(ask, sizeof(ask), "/client/v4/accounts/%s/workers/scripts/hello/tails",
		       r->x->a->id);
	assert_int_equal(rest(r, r->a, "POST", ask, body), 200);
	url = json_string_value(json_object_get(result(r), "url"));
	assert_non_null(url);
	assert_non_null(json_object_get(result(r), "expires_at"));
	(void)snprintf(id, 32, "%s", json_string_value(json_object_get(result(r), "id")));
	(void)snprintf(want, sizeof(want), "ws://localhost/");
	assert_memory_equal(url, want, strlen(want));
	(void)snprintf(path, sizeof(path), "%s", url + strlen(want) - 1);
	return path;
}

static int shake(struct rest *r, const char *path, const char *fields)
{
	char head[512];
	const int fd = http_dial(r->port);
	const int n = snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n",
			       path, fields);

	assert_int_equal(util_write_all(fd, head, (size_t)n), 0);
	return fd;
}

#define UPGRADE "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
#define FIELDS                                                                                     \
	UPGRADE "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " KEY                             \
		"\r\nSec-WebSocket-Protocol: trace-v1\r\n"

static void run_until_readable(struct rest *r, int fd)
{
	const uint64_t until = util_monotonic_ns() + REST_WAIT_NS;
	char byte;

	while (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0) {
		assert_int_equal(errno, EAGAIN);
		assert_true(util_monotonic_ns() < until);
		(void)sd_event_run(r->x->f->event, 1000);
	}
}

static void read_all(struct rest *r, int fd, void *buf, size_t len)
{
	for (size_t got = 0; got < len;) {
		ssize_t n;

		run_until_readable(r, fd);
		n = read(fd, (char *)buf + got, len - got);
		if (n <= 0)
			fail_msg("the connection has ended");
		got += (size_t)n;
	}
}

/* A frame of the server's: its first byte, and its payload. */
static unsigned hear_frame(struct rest *r, int fd, char *buf, size_t size)
{
	uint8_t head[4];
	size_t len;

	read_all(r, fd, head, 2);
	len = head[1];
	if (len == 126) {
		read_all(r, fd, head + 2, 2);
		len = (size_t)head[2] << 8 | head[3];
	}
	assert_true(len < size && len < 65536);
	read_all(r, fd, buf, len);
	buf[len] = '\0';
	return head[0];
}

static int open_tail(struct rest *r, const char *path)
{
	int fd = shake(r, path, FIELDS);
	size_t n = 0;

	/* Only the head: frames follow it. */
	do {
		read_all(r, fd, r->text + n, 1);
		r->text[++n] = '\0';
	} while (n < 4 || strcmp(r->text + n - 4, "\r\n\r\n") != 0);
	assert_memory_equal(r->text, "HTTP/1.1 101 ", 13);
	assert_non_null(strstr(r->text, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
	assert_non_null(strstr(r->text, "Sec-WebSocket-Protocol: trace-v1\r\n"));
	assert_non_null(strstr(r->text, "Upgrade: websocket\r\n"));
	return fd;
}

static void say_event(struct web_worker *w, const char *text)
{
	json_t *head = json_loads(text, 0, NULL);

	assert_non_null(head);
	web_tail_event(w, "v1", "i1", head);
	json_decref(head);
}

static void expect_end(struct rest *r, int fd)
{
	char byte;

	run_until_readable(r, fd);
	assert_int_equal(read(fd, &byte, 1), 0);
	(void)close(fd);
}

/* A client's close, with no payload. */
static const char closes[] = {(char)0x88, (char)0x80, 1, 2, 3, 4};

static void test_tail(void **state)
{
	struct rest *r = *state;
	struct web_worker *w = make_worker(r);
	char id[32], text[4096];
	const char *path = ask_tail(r, "{\"filters\":[{\"method\":[\"GET\"]}]}", id);
	/* What wrangler says first, and a ping. */
	const char ping[] = "\x81\x0f{\"debug\":false}\x89\x82\0\0\0\0hi";
	int fd = open_tail(r, path);
	json_t *event, *request;

	/* The address was good for one connection. */
	(void)rest_answer(r, shake(r, path, FIELDS "Connection: close\r\n"));
	assert_memory_equal(r->text, "HTTP/1.1 404 ", 13);
	assert_true(web_is_tailed(w));
	say_event(w, "{\"method\":\"POST\",\"url\":\"http://h/no\",\"outcome\":\"ok\"}");
	say_event(w, "{\"method\":\"GET\",\"url\":\"http://h/yes\",\"outcome\":\"exception\","
		     "\"status\":500,\"ms\":2,\"request_id\":\"r1\","
		     "\"headers\":{\"accept\":\"*/*\",\"authorization\":\"x\"},"
		     "\"logs\":[{\"level\":\"warn\",\"message\":[\"said\"],\"timestamp\":12}],"
		     "\"exceptions\":[{\"name\":\"E\",\"message\":\"m\",\"stack\":\"s\"}]}");
	assert_int_equal(hear_frame(r, fd, text, sizeof(text)), 0x81);
	event = json_loads(text, 0, NULL);
	assert_non_null(event);
	assert_string_equal(json_string_value(json_object_get(event, "outcome")), "exception");
	assert_string_equal(json_string_value(json_object_get(event, "scriptName")), "hello");
	assert_int_equal(json_array_size(json_object_get(event, "logs")), 1);
	assert_non_null(strstr(text, "\"message\":[\"said\"]"));
	assert_int_equal(json_array_size(json_object_get(event, "exceptions")), 1);
	request = json_object_get(json_object_get(event, "event"), "request");
	assert_string_equal(json_string_value(json_object_get(request, "url")), "http://h/yes");
	assert_non_null(strstr(text, "\"authorization\":\"REDACTED\""));
	json_decref(event);
	/* A ping is answered, a scheduled call and one of nothing are told. */
	assert_int_equal(util_write_all(fd, ping, sizeof(ping) - 1), 0);
	assert_int_equal(hear_frame(r, fd, text, sizeof(text)), 0x8a);
	assert_string_equal(text, "hi");
	/* The client says that it goes, is told so, and is gone. */
	assert_int_equal(util_write_all(fd, closes, sizeof(closes)), 0);
	assert_int_equal(hear_frame(r, fd, text, sizeof(text)), 0x88);
	assert_memory_equal(text, "\x03\xe8", 2);
	expect_end(r, fd);
	while (web_is_tailed(w))
		(void)sd_event_run(r->x->f->event, 1000);
}

static void test_ends(void **state)
{
	struct rest *r = *state;
	struct web_worker *w = make_worker(r);
	char id[32], text[4096], path[200];
	int fd = open_tail(r, ask_tail(r, "{}", id));
	const char bad[] = {(char)0xc1, 0x01, 'x'};

	/* By a request of its owner's. */
	(void)snprintf(path, sizeof(path), "/client/v4/accounts/%s/workers/scripts/hello/tails/%s",
		       r->x->a->id, id);
	assert_int_equal(rest(r, r->a, "DELETE", path, ""), 200);
	assert_int_equal(hear_frame(r, fd, text, sizeof(text)), 0x88);
	assert_int_equal(util_write_all(fd, closes, sizeof(closes)), 0);
	expect_end(r, fd);
	assert_int_equal(rest(r, r->a, "DELETE", path, ""), 200);
	/* By what no client may send. */
	fd = open_tail(r, ask_tail(r, "", id));
	say_event(w, "{\"cron\":\"* * * * *\",\"time_ms\":5,\"handler\":\"scheduled\"}");
	assert_int_equal(hear_frame(r, fd, text, sizeof(text)), 0x81);
	assert_non_null(strstr(text, "\"event\":{\"cron\":\"* * * * *\",\"scheduledTime\":5}"));
	assert_int_equal(util_write_all(fd, bad, sizeof(bad)), 0);
	assert_int_equal(hear_frame(r, fd, text, sizeof(text)), 0x88);
	assert_memory_equal(text, "\x03\xea", 2);
	expect_end(r, fd);
	/* With the worker. */
	fd = open_tail(r, ask_tail(r, "", id));
	web_worker_free(r->x->f, w);
	assert_int_equal(hear_frame(r, fd, text, sizeof(text)), 0x88);
	(void)close(fd);
	/* One that is open when the front ends is closed by it, and one that was never opened goes. */
	w = make_worker(r);
	(void)open_tail(r, ask_tail(r, "", id));
	(void)ask_tail(r, "", id);
}

static void test_refused(void **state)
{
	static const char *const bad[][2] = {
		{"Connection: close\r\n", "the address of a WebSocket"},
		{UPGRADE "Sec-WebSocket-Version: 8\r\n", "must be 13"},
		{UPGRADE "Sec-WebSocket-Version: 13\r\n", "must offer trace-v1"},
		{UPGRADE "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: trace-v1\r\n",
		 "base64 of 16 bytes"},
	};
	struct rest *r = *state;
	char id[32], path[200];

	(void)snprintf(path, sizeof(path), "/client/v4/accounts/%s/workers/scripts/hello/tails",
		       r->x->a->id);
	assert_int_equal(rest(r, r->a, "POST", path, "{}"), 404);
	(void)make_worker(r);
	assert_int_equal(rest(r, r->b, "POST", path, "{}"), 404);
	assert_int_equal(rest(r, r->a, "POST", path, "{\"filters\":[{\"color\":1}]}"), 400);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int fd = shake(r, ask_tail(r, "{}", id), bad[i][0]);

		rest_hear(r, fd, "\"result\":null}");
		(void)close(fd);
		if (!strstr(r->text, bad[i][1]))
			fail_msg("no \"%s\" in: %s", bad[i][1], r->text);
	}
	(void)rest_answer(r, shake(r, "/client/v4/tails/0123", FIELDS "Connection: close\r\n"));
	assert_memory_equal(r->text, "HTTP/1.1 404 ", 13);
	/* So many wait, and no more. */
	for (unsigned i = 0; i < 8; i++)
		(void)ask_tail(r, "{}", id);
	assert_int_equal(rest(r, r->a, "POST", path, "{}"), 503);
}

static void test_events(void **state)
{
	struct rest *r = *state;
	struct web_worker *w = make_worker(r);
	char path[200];
	int fd;

	(void)snprintf(path, sizeof(path), "/api/projects/%s/http/workers/hello/tail?status=error",
		       r->x->a->id);
	assert_int_equal(rest(r, r->b, "GET", path, ""), 404);
	fd = rest_ask(r, r->a, "GET", path, "", "", 0);
	rest_hear(r, fd, "\r\n\r\n");
	assert_non_null(strstr(r->text, "text/event-stream"));
	say_event(w, "{\"request_id\":\"good\",\"outcome\":\"ok\"}");
	say_event(w, "{\"request_id\":\"bad\",\"outcome\":\"exception\"}");
	rest_hear(r, fd, "\"instance\":\"i1\"}\n\n");
	assert_non_null(strstr(r->text, "event: event\ndata: {\"request_id\":\"bad\","));
	assert_null(strstr(r->text, "good"));
	web_worker_free(r->x->f, w);
	rest_hear(r, fd, NULL);
	assert_non_null(
		strstr(r->text, "event: end\ndata: {\"end\":\"the worker was removed\"}\n"));
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_REST(test_tail),
		WITH_REST(test_ends),
		WITH_REST(test_refused),
		WITH_REST(test_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
