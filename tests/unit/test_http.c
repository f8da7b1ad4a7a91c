// SPDX-License-Identifier: Apache-2.0
/* The HTTP server: what it answers, to whom, and when. */
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
	/* A name that another site gave this server. */
	assert_has(
		ask(r, "GET /answer HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"),
		"HTTP/1.1 421 ");
	/* Wrong tokens come at a bounded rate. */
	for (int i = 0; i < 400 && !strstr(answer, " 429 "); i++)
		(void)ask(r, "POST /project/p?oauth=x HTTP/1.0\r\n\r\n");
	assert_has(answer, " 429 ");
	assert_has(answer, "\r\nRetry-After: ");
}

static void test_keep_alive(void **state)
{
	struct rig *r = *state;
	int fd = dial(r);

	/* Two at once, then one more; also after an error. */
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
	(void)close(fd);
	wait_for(&shared->gone, 1);
	assert_has(get(r, "/answer"), "now");
	/* One that waits when the server ends: teardown. */
	fd = dial(r);
	say(fd, "GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n");
	wait_for(&shared->called, 3);
	(void)close(fd);
	wait_for(&shared->gone, 2);
	assert_int_equal(shared->gone, 2);
}

static void test_silent_clients(void **state)
{
	struct rig *r = *state;
	int fds[600];

	/* More than there is room for: some say nothing, some never end. */
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = dial(r);
		if (i % 2)
			(void)send(fds[i], "GET /body/x HTTP/1.1\r\nHo", 25, MSG_NOSIGNAL);
	}
	assert_has(get(r, "/answer"), "now");
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		(void)close(fds[i]);
}

/* The same by one who has much to wait for: his oldest ones go. */
static void test_waiting_clients(void **state)
{
	struct rig *r = *state;
	int fds[HTTP_CONNS_MAX + 20];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = dial(r);
		say(fds[i], "GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n");
		/* One that has not been heard yet would go before all that wait. */
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
	/* What was not used for long is no more than the burst. */
	for (n = 0; http_rate_take(&next, now + 1000 * SEC, 100, 2);)
		n++;
	assert_int_equal(n, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVED(test_answers),	      SERVED(test_who),
		SERVED(test_keep_alive),      SERVED(test_later),
		SERVED(test_silent_clients),  SERVED(test_headers),
		SERVED(test_waiting_clients), cmocka_unit_test(test_rate),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
