// SPDX-License-Identifier: Apache-2.0
/* Logs over HTTP: as text and as events, across loggers that die, and for clients that read
 * nothing. */
#include "tests/unit/http_rig.h"

#define ID "0123456789abcdef01234567"

static int follower(const struct rig *r, struct log_follow *what)
{
	struct pollfd pfd = {.fd = r->logger, .events = POLLIN};
	int fds[PROTO_FDS_MAX];
	union proto_msg m;
	unsigned n;

	assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
	assert_int_equal(proto_recv(r->logger, ROLE_FRONT, ROLE_LOGGER, &m, fds, &n), 0);
	assert_int_equal(m.h.type, LOG_FOLLOW);
	assert_int_equal(n, 1);
	*what = m.log_follow;
	return fds[0];
}

static void frame(int fd, uint8_t type, uint64_t cursor, uint64_t aux, const void *data, size_t len)
{
	struct log_frame head = {.len = (uint32_t)len,
				 .type = type,
				 .cursor = cursor,
				 .aux = aux,
				 .time_ns = 1500000000000000000ULL};

	if (type == LOG_FRAME_DROPPED)
		head.reason = LOG_DROP_LIMIT;
	assert_int_equal(util_write_all(fd, &head, sizeof(head)), 0);
	assert_int_equal(util_write_all(fd, data, len), 0);
}

static void test_log_text(void **state)
{
	uint64_t kept = 1 << 20;
	struct rig *r = *state;
	struct log_follow what;
	int fd = dial(r), log;

	say(fd, "GET /log/" ID " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
	log = follower(r, &what);
	assert_string_equal(what.id, ID);
	assert_int_equal(what.follow, 0);
	assert_int_equal(what.streams, 3);
	frame(log, LOG_FRAME_OUT, 0, 0, "one\n", 4);
	frame(log, LOG_FRAME_ERR, 1, 0, "t\0w\xff", 4);
	(void)close(log); /* the logger dies; the next one goes on where this one was */
	log = follower(r, &what);
	assert_int_equal(what.cursor, 2);
	frame(log, LOG_FRAME_DROPPED, 2, 100, &kept, sizeof(kept));
	frame(log, LOG_FRAME_END, 3, 0, "", 0);
	answer[0] = '\0';
	(void)hear(fd, answer, sizeof(answer), "");
	assert_has(answer, "\r\nContent-Type: text/plain; charset=utf-8\r\n");
	assert_has(answer, "t@w\xff");
	assert_has(answer, "\n[log limit of 1M reached: 100 bytes dropped]\n");
	(void)close(log);
	(void)close(fd);
	assert_has(get(r, "/log/nothing"), "HTTP/1.1 404 ");
}

static void test_log_events(void **state)
{
	struct rig *r = *state;
	struct log_follow what;
	int fd = dial(r), log;

	say(fd, "GET /events/" ID " HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 6\r\n\r\n");
	log = follower(r, &what);
	assert_int_equal(what.cursor, 7);
	assert_int_equal(what.follow, 1);
	assert_int_equal(what.live, 1);
	answer[0] = '\0';
	frame(log, LOG_FRAME_OUT, 7, 0, "a\"\xc3", 3);
	(void)hear(fd, answer, sizeof(answer), "\n\n");
	assert_has(answer, "\r\nContent-Type: text/event-stream\r\n");
	assert_has(answer, "event: stdout\nid: 7\ndata: {\"t\":\"2017-07-14T02:40:00.000000000Z\","
			   "\"text\":\"a\\\"\",\"partial\":false}\n\n");
	frame(log, LOG_FRAME_OUT, 8, 0, "\xa4\n", 2);
	(void)hear(fd, answer, sizeof(answer), "\"text\":\"\xc3\xa4\\n\"");
	/* This logger ends, the log does not. */
	frame(log, LOG_FRAME_END, 9, 0, "", 0);
	(void)close(log);
	log = follower(r, &what);
	assert_int_equal(what.cursor, 9);
	frame(log, LOG_FRAME_ERR, 9, 0, "</script>", 9);
	frame(log, LOG_FRAME_END, 10, 1, "", 0);
	(void)hear(fd, answer, sizeof(answer), "event: end\ndata: {\"complete\":true}\n\n");
	(void)hear(fd, answer, sizeof(answer), "\r\n0\r\n\r\n");
	(void)close(log);
	(void)close(fd);
	assert_has(get(r, "/events/" ID "?last_event_id=x"), "HTTP/1.1 400 ");
}

/* A client that reads nothing: the logger's socket fills, and nothing else waits. */
static void test_slow_reader(void **state)
{
	static char data[LOG_FRAME_DATA_MAX];
	struct log_frame head = {.len = sizeof(data), .type = LOG_FRAME_OUT};
	struct rig *r = *state;
	struct log_follow what;
	int fd = dial(r), log;
	size_t sent = 0;

	say(fd, "GET /events/" ID " HTTP/1.1\r\nHost: localhost\r\n\r\n");
	log = follower(r, &what);
	assert_int_equal(fcntl(log, F_SETFL, O_NONBLOCK), 0);
	for (int idle = 0; idle < 20;) {
		struct pollfd pfd = {.fd = log, .events = POLLOUT};
		char *from =
			sent % (sizeof(head) + sizeof(data)) < sizeof(head) ? (char *)&head : data;
		size_t at = sent % (sizeof(head) + sizeof(data));
		size_t rest = from == data ? sizeof(head) + sizeof(data) - at : sizeof(head) - at;
		ssize_t n = write(log, from + (from == data ? at - sizeof(head) : at), rest);

		if (n > 0)
			sent += (size_t)n;
		else
			idle += poll(&pfd, 1, 20) == 0;
		assert_true(sent < 64 * (size_t)MIB);
	}
	assert_has(get(r, "/answer"), "now");
	(void)close(fd);
	/* The client has gone, and its half of the socket with it. */
	for (int i = 0; i < WAIT_MS / 10 && send(log, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
	     i++)
		(void)poll(NULL, 0, 10);
	for (int i = 0; i < WAIT_MS / 10 && errno == EAGAIN; i++) {
		(void)poll(NULL, 0, 10);
		(void)send(log, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	assert_int_equal(errno, EPIPE);
	(void)close(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVED(test_log_text),
		SERVED(test_log_events),
		SERVED(test_slow_reader),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
