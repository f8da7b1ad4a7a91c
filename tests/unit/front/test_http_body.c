// SPDX-License-Identifier: Apache-2.0
/* Requests' bodies: plain, in chunks, as forms; too long, and broken off. */
#include "tests/unit/http_rig.h"

static void test_bodies(void **state)
{
	struct rig *r = *state;
	char text[256];
	int fd;

	assert_has(ask(r, "POST /body HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello"), "\"len\":5");
	assert_has(ask(r, "POST /body HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
			  "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"),
		   "\"len\":7");
	/* Too long by its Content-Length, and then by the bytes that come. */
	(void)snprintf(text, sizeof(text),
		       "POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: %u\r\n"
		       "Expect: 100-continue\r\n\r\n",
		       HTTP_BODY_MAX + 1);
	assert_has(ask(r, text), "HTTP/1.1 413 ");
	fd = dial(r);
	say(fd, "POST /body HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (unsigned i = 0; i <= HTTP_BODY_MAX / MIB; i++) {
		static char piece[MIB];

		memset(piece, 'x', sizeof(piece));
		say(fd, "100000\r\n");
		assert_int_equal(util_write_all(fd, piece, sizeof(piece)), 0);
		say(fd, "\r\n");
	}
	say(fd, "0\r\n\r\n");
	answer[0] = '\0';
	assert_has(hear(fd, answer, sizeof(answer), "\r\n\r\n"), "HTTP/1.1 413 ");
	(void)close(fd);
	assert_int_equal(shared->called, 2);
	/* A client that leaves in the middle disturbs nobody. */
	fd = dial(r);
	say(fd, "POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\nhello");
	(void)close(fd);
	assert_has(get(r, "/answer"), "now");
	/* A client that closes together with its last bytes is not waited for. */
	fd = dial(r);
	say(fd, "POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\nhello");
	(void)shutdown(fd, SHUT_WR);
	answer[0] = '\0';
	assert_string_equal(hear(fd, answer, sizeof(answer), ""), "");
	(void)close(fd);
	assert_int_equal(shared->called, 2);
}

/* Large bodies together leave room for others' requests. */
static void test_many_bodies(void **state)
{
	static char piece[5 * MIB];
	int fds[HTTP_BODIES_MAX / HTTP_BODY_MAX];
	struct rig *r = *state;

	memset(piece, 'x', sizeof(piece));
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = dial(r);
		say(fds[i],
		    "POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000\r\n\r\n");
		assert_int_equal(util_write_all(fds[i], piece, sizeof(piece)), 0);
	}
	assert_has(get(r, "/answer"), "now");
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		(void)close(fds[i]);
}

#define FORM(body)                                                                                 \
	"POST /upload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"                        \
	"Content-Type: multipart/form-data; boundary=XX\r\nTransfer-Encoding: "                    \
	"chunked\r\n\r\n" body
#define PART(name, text)                                                                           \
	"--XX\r\nContent-Disposition: form-data; name=\"" name "\"; filename=\"f\"\r\n\r\n" text   \
	"\r\n"

/* The body in one chunk. */
static char *upload(const struct rig *r, const char *body)
{
	char text[2048];

	(void)snprintf(text, sizeof(text), FORM("%zx\r\n%s\r\n0\r\n\r\n"), strlen(body), body);
	return ask(r, text);
}

static void test_uploads(void **state)
{
	struct rig *r = *state;

	assert_has(upload(r, PART("data", "{}") PART("other", "x")
				     PART("file", "PK-zip") "--XX--\r\n"),
		   "\r\n\r\nPK-zip");
	assert_has(answer, "\r\nContent-Disposition: attachment; filename=\"a__b__.zip\"\r\n");
	assert_has(answer, "\r\nContent-Type: application/zip\r\n");
	assert_has(upload(r, PART("file", "PK") "--XX--\r\n"), "\"data\":false,\"file\":true");
	assert_has(upload(r, PART("data", "1") PART("data", "2") "--XX--\r\n"), "HTTP/1.1 400 ");
	assert_has(answer, "two parts");
	assert_has(upload(r, PART("file", "1") PART("file", "2") "--XX--\r\n"), "HTTP/1.1 400 ");
	assert_has(upload(r, PART("data", "{}") "--XX\r\nContent-Disposition: form-data; na"),
		   "HTTP/1.1 400 ");
	/* Not a form at all: a body, as for any other row. */
	assert_has(ask(r, "POST /upload HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}"),
		   "\"data\":false,\"file\":false,\"len\":2");
	assert_has(ask(r, "POST /upload HTTP/1.0\r\nContent-Length: 2\r\n"
			  "Content-Type: multipart/form-data; boundary=\r\n\r\n{}"),
		   "HTTP/1.1 400 ");
	(void)ask(r,
		  "POST /upload HTTP/1.0\r\nContent-Length: 999999999\r\nExpect: 100-continue\r\n"
		  "Content-Type: multipart/form-data; boundary=XX\r\n\r\n");
	assert_has(answer, "HTTP/1.1 413 ");
}

static void test_large_upload(void **state)
{
	static const char head[] = PART("data", "{}") "--XX\r\nContent-Disposition: form-data; "
						      "name=\"file\"\r\n\r\n";
	static char piece[MIB], echo[4096];
	struct rig *r = *state;
	char text[512];
	int fd = dial(r);
	size_t got = 0;
	ssize_t n;

	(void)snprintf(text, sizeof(text),
		       "POST /upload HTTP/1.0\r\nContent-Length: %zu\r\n"
		       "Content-Type: multipart/form-data; boundary=XX\r\n\r\n%s",
		       sizeof(head) - 1 + 20 * (size_t)MIB + 10, head);
	say(fd, text);
	memset(piece, 'z', sizeof(piece));
	for (int i = 0; i < 20; i++)
		assert_int_equal(util_write_all(fd, piece, sizeof(piece)), 0);
	say(fd, "\r\n--XX--\r\n");
	while ((n = read(fd, echo, sizeof(echo))) > 0)
		got += (size_t)n;
	assert_true(got > 20 * (size_t)MIB);
	(void)close(fd);
}

static void test_many_uploads(void **state)
{
	static const char head[] =
		"POST /upload HTTP/1.0\r\nContent-Length: 10000\r\n"
		"Content-Type: multipart/form-data; boundary=XX\r\n\r\n" PART("data", "{}");
	int fds[HTTP_UPLOADS_OF_ONE_MAX];
	struct rig *r = *state;

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = dial(r);
		say(fds[i], head);
	}
	assert_has(get(r, "/body/x"), "HTTP/1.1 200 "); /* they have been read */
	assert_has(upload(r, PART("data", "{}") "--XX--\r\n"), "HTTP/1.1 503 ");
	assert_has(answer, "\r\nRetry-After: 1\r\n");
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		(void)close(fds[i]);
	for (int i = 0; i < WAIT_MS / 10 && strstr(answer, " 503 "); i++)
		(void)upload(r, PART("data", "{}") "--XX--\r\n");
	assert_has(answer, "HTTP/1.1 200 ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVED(test_bodies),	   SERVED(test_many_bodies),  SERVED(test_uploads),
		SERVED(test_large_upload), SERVED(test_many_uploads),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
