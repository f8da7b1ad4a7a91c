// SPDX-License-Identifier: Apache-2.0
/* The HTTP server: what it answers, to which clients, and when. */
#include "tests/unit/http_rig.h"

static void wait_for(const int *value, int least)
{
	for (int i = 0; i < WAIT_MS / 10 && *(volatile const int *)value < least; i++)
		(void)poll(NULL, 0, 10);
	assert_true(*(volatile const int *)value >= least);
}

static void test_answers(void **state)
{
	struct rig *r = *state;

	assert_has(get(r, "/body/a%20b?x=%41"), "HTTP/1.1 200 ");
	assert_has(answer, "\r\n\r\n{\"msg\":\"body\",\"len\":0,\"x\":\"A\",\"part\":\"a b\"}");
	assert_has(answer, "\r\nContent-Type: application/json\r\n");
	assert_has(answer, "\r\nX-Content-Type-Options: nosniff\r\n");
	assert_has(answer, "\r\nCache-Control: no-store\r\n");
	assert_has(get(r, "/none"), "HTTP/1.1 404 ");
	assert_has(answer, "{\"msg\":\"Not found\"}");
	assert_has(get(r, "/body"), "HTTP/1.1 405 ");
	assert_has(answer, "\r\nAllow: POST\r\n");
	assert_has(get(r, "/fail"), "HTTP/1.1 503 ");
	assert_has(answer, "\r\nRetry-After: 1\r\n");
	assert_has(answer, "{\"msg\":");
	assert_has(get(r, "/nothing"), "HTTP/1.1 500 ");
	assert_has(get(r, "/a%2fb"), "HTTP/1.1 400 ");
	assert_has(ask(r, "HEAD /answer HTTP/1.0\r\n\r\n"), "\r\nContent-Length: 3\r\n");
	assert_null(strstr(answer, "now"));
}

static void test_who(void **state)
{
	struct rig *r = *state;

	assert_has(
		ask(r, "POST /project/p HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
		"HTTP/1.1 401 ");
	assert_has(answer, "\r\nWWW-Authenticate: Bearer ");
	assert_has(ask(r, "POST /project/p HTTP/1.0\r\nAuthorization: OAuth secretsecret\r\n\r\n"),
		   "HTTP/1.1 401 ");
	assert_null(strstr(answer, "secret"));
	assert_int_equal(shared->called, 0);
	/* The Host is a name that another site has given to this server's address. */
	assert_has(
		ask(r, "GET /answer HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"),
		"HTTP/1.1 421 ");
	/* The rate of requests with wrong tokens is bounded. */
	for (int i = 0; i < 400 && !strstr(answer, " 429 "); i++)
		(void)ask(r, "POST /project/p?oauth=x HTTP/1.0\r\n\r\n");
	assert_has(answer, " 429 ");
	assert_has(answer, "\r\nRetry-After: ");
}

static void test_keep_alive(void **state)
{
	struct rig *r = *state;
	int fd = dial(r);

	/* Two requests at once, and then one more, also after an error. */
	answer[0] = '\0';
	say(fd, "GET /body/one HTTP/1.1\r\nHost: localhost\r\n\r\n"
		"GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n"
		"GET /body/two HTTP/1.1\r\nHost: localhost\r\n\r\n");
	(void)hear(fd, answer, sizeof(answer), "\"part\":\"two\"");
	assert_has(answer, "\"part\":\"one\"");
	assert_has(answer, " 404 ");
	say(fd, "POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nxyz");
	(void)hear(fd, answer, sizeof(answer), "\"len\":3");
	(void)close(fd);
}

/* Each of these is refused before a route is looked up, and its connection ends: the bytes behind
 * it are not a request. */
static void test_framing(void **state)
{
#define POST "POST /body HTTP/1.1\r\nHost: localhost\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define BEHIND "GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n"
	static const struct {
		const char *status, *text;
	} cases[] = {
		{"400", POST "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"},
		{"400", POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"},
		{"400", POST "Content-Length: 3, 3\r\n\r\nabc"},
		{"400", POST "Content-Length: +3\r\n\r\nabc"},
		{"400", POST "Content-Length: 0x3\r\n\r\nabc"},
		{"400", POST "Content-Length:\r\n\r\nabc"},
		{"400", POST "Content-Length : 3\r\n\r\nabc"},
		{"400", POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"413", POST "Content-Length: 18446744073709551617\r\n\r\nabc"},
		{"400", POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
		{"400", POST "Transfer-Encoding: identity\r\n\r\n"},
		{"400", POST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"},
		{"400", POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"},
		{"400", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n"},
		{"501", POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
		{"501", POST "Transfer-Encoding: gzip\r\ntransfer-encoding: CHUNKED\r\n\r\n"},
		{"400", "POST /body HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"400", CHUNKED "3\nabc\r\n0\r\n\r\n"},
		{"400", CHUNKED "3\r\nabc\n0\r\n\r\n"},
		{"400", CHUNKED "3\r\nabcd\r\n0\r\n\r\n"},
		{"400", CHUNKED "3\r\nabc\r\n0\r\n\n"},
		{"400", CHUNKED "0x3\r\nabc\r\n0\r\n\r\n"},
		{"400", CHUNKED "-3\r\nabc\r\n0\r\n\r\n"},
		{"400", CHUNKED "\r\nabc\r\n0\r\n\r\n"},
		{"400", CHUNKED "3 3\r\nabc\r\n0\r\n\r\n"},
		{"400", CHUNKED "fffffffffffffffff3\r\nabc\r\n0\r\n\r\n"},
		{"400", CHUNKED "0\r\nA : b\r\n\r\n"},
		{"400", "GET /body/x HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"},
		{"400", "GET /body/x HTTP/1.1\r\nHost: a b\r\n\r\n"},
		{"400", "GET /body/x HTTP/1.1\r\nHost: localhost/x\r\n\r\n"},
		{"400", "GET /body/x HTTP/1.1\r\nHost: a@localhost\r\n\r\n"},
		{"400", "GET /body/x HTTP/1.1\r\nHost: localhost:http\r\n\r\n"},
		{"400", "GET /body/x HTTP/1.1\r\n\r\n"},
		{"400", "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n"},
		{"400", "GET /body/x HTTP/1.1\r\nHost: localhost\r\nA: b\r\n c\r\n\r\n"},
		{"400", "GET /body/x HTTP/1.1\r\n Host: localhost\r\n\r\n"},
		{"400", "GET /body/x HTTP/1.1\r\nHost: localhost\r\nA: b@c\r\n\r\n"},
		{"400", "GET /body/x HTTP/1.1\r\nHost: localhost\r\nA@: c\r\n\r\n"},
		{"400", "GET /body/x HTTP/1.1\r\nHost: localhost\r\nA: b\rc\r\n\r\n"},
		{"400", "GET /body/x HTTP/1.1\r\nHost: localhost\r\nA\r\n\r\n"},
		{"400", "GET /body/x HTTP/1.1\r\nHost: localhost\r\n: b\r\n\r\n"},
		{"400", "GET /body/x HTTP/1.1\r\nHost: localhost\r\nA(b): c\r\n\r\n"},
		{"400", "GET /body/x HTTP/1.1\nHost: localhost\n\n"},
		{"400", "GET /body/x HTTP/1.1\r\nHost: localhost\n\r\n"},
		{"400", "GET  /body/x HTTP/1.1\r\nHost: localhost\r\n\r\n"},
		{"400", "GET /body/x  HTTP/1.1\r\nHost: localhost\r\n\r\n"},
		{"400", "GET /body/x HTTP/1.1 \r\nHost: localhost\r\n\r\n"},
		{"400", "GET\t/body/x HTTP/1.1\r\nHost: localhost\r\n\r\n"},
		{"400", "GET /body/x\r\nHost: localhost\r\n\r\n"},
		{"400", "G(T /body/x HTTP/1.1\r\nHost: localhost\r\n\r\n"},
		{"400", "GET /body/x HTTP/11\r\nHost: localhost\r\n\r\n"},
		{"400", "GET /body/x http/1.1\r\nHost: localhost\r\n\r\n"},
		{"505", "GET /body/x HTTP/2.0\r\nHost: localhost\r\n\r\n"},
	};
	struct rig *r = *state;
	char text[1024];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (int pieces = 0; pieces < 2; pieces++) {
			size_t len =
				(size_t)snprintf(text, sizeof(text), "%s" BEHIND, cases[i].text);
			int fd = dial(r);

			/* '@' stands for a NUL. */
			for (char *p = text; !strstr(cases[i].text, "a@l") && *p; p++)
				*p = *p == '@' ? '\0' : *p;
			for (size_t n = 0; n < len; n += pieces ? 1 : len)
				(void)send(fd, text + n, pieces ? 1 : len, MSG_NOSIGNAL);
			answer[0] = '\0';
			(void)hear(fd, answer, sizeof(answer), "");
			(void)close(fd);
			(void)snprintf(text, sizeof(text), "HTTP/1.1 %s ", cases[i].status);
			if (strncmp(answer, text, strlen(text)) != 0)
				fail_msg("not %s: %s: %s", cases[i].status, cases[i].text, answer);
			assert_has(answer, "{\"msg\":");
			assert_null(strstr(answer + 1, "HTTP/1.1"));
			assert_int_equal(shared->called, 0);
		}
	}
}

/* Requests that a server must accept by RFC 9112, sent in one piece and in many. */
static void test_framing_taken(void **state)
{
	static const char *const taken[] = {
		"\r\n\r\n" POST "Content-Length:3\r\n\r\nabc",
		POST "content-length: \t 3 \r\nX:\r\n\r\nabc",
		POST "Transfer-Encoding: , ChunKed\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		CHUNKED "01\r\na\r\n2 ; x=\"y\";z\r\nbc\r\n000\r\nA: b\r\nC: d\r\n\r\n",
		"POST http://localhost/body HTTP/1.1\r\nHost: evil.example\r\n"
		"Content-Length: 3\r\n\r\nabc",
		"POST HTTPS://127.0.0.1:8080/body?x HTTP/1.1\r\nHost: [::1]:80\r\n"
		"Content-Length: 3\r\n\r\nabc",
	};
	struct rig *r = *state;
	int fd = dial(r);

	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		for (int pieces = 0; pieces < 2; pieces++) {
			const size_t len = strlen(taken[i]), step = pieces ? 1 : len;

			for (size_t n = 0; n < len; n += step)
				assert_int_equal(send(fd, taken[i] + n, step, MSG_NOSIGNAL), step);
			answer[0] = '\0';
			assert_has(hear(fd, answer, sizeof(answer), "}"), "\"len\":3");
		}
	(void)close(fd);
	assert_has(get(r, "http://evil.example/body/x"), "HTTP/1.1 421 ");
	assert_has(get(r, "http:///body/x"), "HTTP/1.1 400 ");
	assert_has(get(r, "http://a@localhost/body/x"), "HTTP/1.1 400 ");
	assert_has(get(r, "http://localhost?x=1"), "HTTP/1.1 404 ");
}

/* Many requests in one write; the header of the last one is longer than the room that is left in
 * the buffer. */
static void test_many_at_once(void **state)
{
	static char text[40 << 10];
	struct rig *r = *state;
	int fd = dial(r);
	size_t n = 0;

	for (int i = 0; i < 60; i++)
		n += (size_t)sprintf(text + n, POST "Content-Length: 3\r\n\r\nabc");
	n += (size_t)sprintf(text + n, "GET /body/last HTTP/1.1\r\nHost: localhost\r\nX: ");
	memset(text + n, 'a', 15000);
	strcpy(text + n + 15000, "\r\n\r\n");
	say(fd, text);
	answer[0] = '\0';
	(void)hear(fd, answer, sizeof(answer), "\"part\":\"last\"");
	assert_int_equal(shared->called, 61);
	(void)close(fd);
}

/* Each request that is too large in some way gets an answer that says so. */
static void test_too_much(void **state)
{
	static char text[70 << 10];
	struct rig *r = *state;

	for (size_t count = 49; count <= 4000; count *= 2) {
		size_t n = (size_t)sprintf(text, "GET /body/x?");

		for (size_t i = 0; i < count; i++)
			n += (size_t)sprintf(text + n, "%c=1&", (char)('a' + i % 26));
		(void)sprintf(text + n, " HTTP/1.1\r\nHost: localhost\r\n\r\n");
		assert_has(ask(r, text), count < 2000 ? "HTTP/1.1 400 " : "HTTP/1.1 414 ");
		n = (size_t)sprintf(text, "GET /body/x HTTP/1.1\r\nHost: localhost\r\n");
		for (size_t i = 0; i < 2 * count; i++)
			n += (size_t)sprintf(text + n, "A:\r\n");
		(void)sprintf(text + n, "Connection: close\r\n\r\n");
		assert_has(ask(r, text), count < 50 ? "HTTP/1.1 200 " : "HTTP/1.1 431 ");
		n = (size_t)sprintf(text, "GET /body/x HTTP/1.1\r\nHost: localhost\r\nCookie: ");
		for (size_t i = 0; i < count; i++)
			n += (size_t)sprintf(text + n, "a=;");
		(void)sprintf(text + n, "\r\nConnection: close\r\n\r\n");
		assert_has(ask(r, text), "HTTP/1.1 200 ");
	}
}

/* A client that sends no more still reads its answer. */
static void test_half_closed(void **state)
{
	struct rig *r = *state;
	int fd = dial(r), many[40];

	say(fd, "GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	wait_for(&shared->called, 1);
	assert_has(get(r, "/answer"), "now");
	assert_int_equal(shared->gone, 0);
	answer[0] = '\0';
	assert_has(hear(fd, answer, sizeof(answer), "later"), "HTTP/1.1 202 ");
	(void)close(fd);
	/* This holds for each of many clients, most of which wait for their turn. */
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		many[i] = dial(r);
		say(many[i], "GET /body/x HTTP/1.1\r\nHost: localhost\r\n\r\n");
		assert_int_equal(shutdown(many[i], SHUT_WR), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		answer[0] = '\0';
		assert_has(hear(many[i], answer, sizeof(answer), ""), "HTTP/1.1 200 ");
		(void)close(many[i]);
	}
	/* A client whose request has no end gets an answer too. */
	fd = dial(r);
	say(fd, "GET /later HTTP/1.1\r\nHost: local");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	answer[0] = '\0';
	assert_has(hear(fd, answer, sizeof(answer), ""), "HTTP/1.1 400 ");
	(void)close(fd);
}

/* Closes the connection with a reset, because a client that only stops sending may still be
 * there. */
static void leave(int fd)
{
	const struct linger now = {.l_onoff = 1};

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	(void)close(fd);
}

static void test_later(void **state)
{
	struct rig *r = *state;
	int fd = dial(r);

	say(fd, "GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n");
	wait_for(&shared->called, 1);
	assert_has(get(r, "/answer"), "now");
	answer[0] = '\0';
	assert_has(hear(fd, answer, sizeof(answer), "later"), "HTTP/1.1 202 ");
	/* The same connection, and now the client leaves. */
	say(fd, "GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n");
	wait_for(&shared->called, 2);
	assert_int_equal(shared->gone, 0);
	leave(fd);
	wait_for(&shared->gone, 1);
	assert_has(get(r, "/answer"), "now");
	/* A client that waits when the server ends; see teardown. */
	fd = dial(r);
	say(fd, "GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n");
	wait_for(&shared->called, 3);
	leave(fd);
	wait_for(&shared->gone, 2);
	assert_int_equal(shared->gone, 2);
}

static void test_silent_clients(void **state)
{
	struct rig *r = *state;
	int fds[600];

	/* More connections than there is room for: some send nothing, some never end. */
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = dial(r);
		if (i % 2)
			(void)send(fds[i], "GET /body/x HTTP/1.1\r\nHo", 25, MSG_NOSIGNAL);
	}
	assert_has(get(r, "/answer"), "now");
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		(void)close(fds[i]);
}

/* One client opens more connections, each of which waits for an answer: its oldest ones are
 * closed. */
static void test_waiting_clients(void **state)
{
	struct rig *r = *state;
	int fds[HTTP_CONNS_MAX + 20];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = dial(r);
		say(fds[i], "GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n");
		/* The request must be heard first: a connection without one would be closed before
		 * those that wait. */
		wait_for(&shared->called, (int)i + 1);
	}
	assert_has(get(r, "/body/x"), "HTTP/1.1 200 ");
	assert_true(shared->gone > 0);
	answer[0] = '\0';
	assert_string_equal(hear(fds[0], answer, sizeof(answer), ""), "");
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		(void)close(fds[i]);
}

static void test_headers(void **state)
{
	static char text[80 << 10];
	struct rig *r = *state;
	size_t n = (size_t)sprintf(text, "GET /answer HTTP/1.1\r\nHost: localhost\r\n"
					 "Connection: close\r\nX: ");

	memset(text + n, 'a', HTTP_HEADER_MAX);
	strcpy(text + n + HTTP_HEADER_MAX, "\r\n\r\n");
	assert_has(ask(r, text), "HTTP/1.1 431 ");
	memset(text + n, 'a', HTTP_HEADER_MAX - 200);
	strcpy(text + n + HTTP_HEADER_MAX - 200, "\r\n\r\n");
	assert_has(ask(r, text), "HTTP/1.1 200 ");
}

static void test_rate(void **state)
{
	uint64_t next = 0, now = 5 * SEC;
	int n = 0;

	(void)state;
	while (http_rate_take(&next, now, 100, 2))
		n++;
	assert_int_equal(n, 200);
	assert_false(http_rate_take(&next, now + SEC / 100 - 1, 100, 2));
	assert_true(http_rate_take(&next, now + SEC / 100, 100, 2));
	assert_false(http_rate_take(&next, now + SEC / 100, 100, 2));
	/* A rate that was not used for long allows no more than its burst. */
	for (n = 0; http_rate_take(&next, now + 1000 * SEC, 100, 2);)
		n++;
	assert_int_equal(n, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVED(test_answers),	     SERVED(test_who),	    SERVED(test_keep_alive),
		SERVED(test_later),	     SERVED(test_framing),  SERVED(test_framing_taken),
		SERVED(test_many_at_once),   SERVED(test_too_much), SERVED(test_half_closed),
		SERVED(test_silent_clients), SERVED(test_headers),  SERVED(test_waiting_clients),
		cmocka_unit_test(test_rate),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
