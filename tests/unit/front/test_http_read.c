// SPDX-License-Identifier: Apache-2.0
/* Long bodies are read beside the loop, one of each project at a time, and what becomes of them
 * when their clients or the server have gone meanwhile. */
#include "tests/unit/http_rig.h"

#define LONG (HTTP_BODY_SHORT + 1)

/* A request whose body is one byte too long to be read in the loop. */
static int post_long(const struct rig *r, const char *begin)
{
	static char body[LONG + 1];
	char head[128];
	int fd = dial(r);

	memset(body, 'x', LONG);
	for (size_t i = 0; begin[i]; i++)
		body[i] = begin[i];
	(void)snprintf(head, sizeof(head), "POST /read HTTP/1.0\r\nContent-Length: %u\r\n\r\n",
		       LONG);
	say(fd, head);
	say(fd, body);
	return fd;
}

/* Closes the connection as if the client had died. */
static void leave(int fd)
{
	const struct linger now = {.l_onoff = 1};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	(void)close(fd);
}

static void wait_begun(void)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_MS / 1000;
	if (sem_timedwait(&shared->begun, &until) < 0)
		fail_msg("nothing is read");
}

static void assert_answered(int fd, const char *what)
{
	answer[0] = '\0';
	assert_has(hear(fd, answer, sizeof(answer), ""), what);
	(void)close(fd);
}

static void test_beside(void **state)
{
	struct rig *r = *state;
	int first, second;

	assert_has(ask(r, "POST /read HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello"), "\"read\":5");
	assert_int_equal(shared->inside, 1);
	first = post_long(r, "");
	wait_begun();
	second = post_long(r, "bad");
	/* Other requests are answered meanwhile, and each body of this project is read after the
	 * one before it. */
	assert_has(get(r, "/answer"), "now");
	(void)sem_post(&shared->go);
	(void)sem_post(&shared->go);
	assert_answered(first, "\"read\":16385");
	assert_answered(second, "it is bad");
	assert_int_equal(shared->beside, 2);
	assert_int_equal(shared->most, 1);
	assert_int_equal(shared->inside, 1);
	assert_int_equal(shared->called, 2);
}

/* One client leaves while its body is read, and one while its body waits. */
static void test_left(void **state)
{
	struct rig *r = *state;
	int first = post_long(r, ""), second;

	wait_begun();
	second = post_long(r, "");
	assert_has(get(r, "/answer"), "now");
	leave(second);
	leave(first);
	assert_has(get(r, "/answer"), "now");
	/* More posts than there are bodies, because any of them may still be read. */
	for (int i = 0; i < 4; i++)
		(void)sem_post(&shared->go);
	assert_answered(post_long(r, ""), "\"read\":16385");
	/* The body that waited was not read, because its client had gone. */
	assert_int_equal(shared->beside, 2);
	assert_int_equal(shared->called, 1);
}

/* When the server ends, it waits for the body that is being read. */
static void test_server_ends(void **state)
{
	struct rig *r = *state;
	int first = post_long(r, ""), second;

	wait_begun();
	second = post_long(r, "");
	assert_has(get(r, "/answer"), "now");
	(void)kill(r->pid, SIGTERM);
	/* The server has closed the connection. */
	answer[0] = '\0';
	assert_string_equal(hear(second, answer, sizeof(answer), ""), "");
	(void)close(second);
	(void)sem_post(&shared->go);
	(void)close(first);
	server_ended(r);
	assert_int_equal(shared->called, 0);
}

/* Bodies for rows of the table that take only short ones. */
static void test_short(void **state)
{
	struct rig *r = *state;

	assert_has(ask(r, "POST /short HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16385\r\n"
			  "Expect: 100-continue\r\n\r\n"),
		   "the body is longer than 16 KiB");
	assert_int_equal(shared->called, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVED(test_beside),
		SERVED(test_left),
		SERVED(test_server_ends),
		SERVED(test_short),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
