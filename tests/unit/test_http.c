// SPDX-License-Identifier: Apache-2.0
/*
 * The HTTP server in a child process, with rows of its own and no front around it. The test
 * is its clients, and the logger.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "supervisor/front/http_internal.h"

#define WAIT_MS 15000 /* less than the idle time of a connection */
#define ID "0123456789abcdef01234567"
#define MIB (1u << 20)

struct rig {
	pid_t pid;
	uint16_t port;
	int logger; /* the test's end */
	char dir[32];
};

/* What handlers tell the test. */
static struct shared {
	int gone, called;
} * shared;

static struct http_request *waiting;

static int h_body(struct http_request *r, struct err *e)
{
	(void)e;
	shared->called++;
	if (strlen(r->body) != r->len)
		return err_set(e, ERR_INPUT, 0, "NUL");
	http_json(r, 200,
		  json_pack("{s:s, s:i, s:s?, s:s?}", "msg", "body", "len", (int)r->len, "x",
			    http_param(r, "x"), "part", r->parts[0]));
	return 0;
}

static int h_upload(struct http_request *r, struct err *e)
{
	int fd = r->upload_fd;

	(void)e;
	shared->called++;
	if (!r->upload_data || fd < 0) {
		http_json(r, 200,
			  json_pack("{s:b, s:b, s:i}", "data", r->upload_data != NULL, "file",
				    fd >= 0, "len", (int)r->len));
		return 0;
	}
	r->upload_fd = -1;
	http_file(r, "application/zip", "a \"b\"\n.zip", fd);
	return 0;
}

static void on_gone(void *arg)
{
	(void)arg;
	waiting = NULL;
	shared->gone++;
}

static int h_later(struct http_request *r, struct err *e)
{
	(void)e;
	waiting = r;
	http_later(r, on_gone, NULL);
	shared->called++;
	return 0;
}

static int h_answer(struct http_request *r, struct err *e)
{
	(void)e;
	if (waiting)
		http_text(TAKE_PTR(waiting), 202, "text/plain", "later", 5);
	http_text(r, 200, "text/plain", "now", 3);
	return 0;
}

static int h_fail(struct http_request *r, struct err *e)
{
	(void)r;
	return err_set(e, ERR_UNAVAILABLE, 0, "not \"now\" \xff");
}

static int h_nothing(struct http_request *r, struct err *e)
{
	(void)r;
	(void)e;
	return 0;
}

static int h_log(struct http_request *r, struct err *e)
{
	return http_log_text(r, r->parts[0], 3, e);
}

static int h_events(struct http_request *r, struct err *e)
{
	return http_log_events(r, r->parts[0], 3, true, e);
}

static const struct http_route routes[] = {
	{"POST", "/body", HTTP_OPEN, false, h_body},
	{"GET", "/body/{}", HTTP_OPEN, false, h_body},
	{"POST", "/upload", HTTP_OPEN, true, h_upload},
	{"GET", "/later", HTTP_OPEN, false, h_later},
	{"GET", "/answer", HTTP_OPEN, false, h_answer},
	{"GET", "/fail", HTTP_OPEN, false, h_fail},
	{"GET", "/nothing", HTTP_OPEN, false, h_nothing},
	{"GET", "/log/{}", HTTP_OPEN, false, h_log},
	{"GET", "/events/{}", HTTP_OPEN, false, h_events},
	{"POST", "/project/{}", HTTP_PROJECT, false, h_body},
	{NULL},
};

static void __attribute__((noreturn)) serve(int listen_fd, int logger, int dirfd)
{
	static const struct http_route *const tables[] = {routes};
	struct front *f = calloc(1, sizeof(*f));
	struct err e = {0};

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!f || sd_event_new(&f->event) < 0)
		_exit(1);
	f->cfg.http_fd = listen_fd;
	f->cfg.packages_dirfd = f->cfg.dashboard_dirfd = dirfd;
	f->logger = (struct link){.sock = logger};
	f->logger.tail = &f->logger.head;
	if (http_start(f, tables, 1, &e) < 0)
		_exit(2);
	(void)sd_event_add_signal(f->event, NULL, SIGTERM | SD_EVENT_SIGNAL_PROCMASK, NULL, NULL);
	(void)sd_event_loop(f->event);
	http_clear(f);
	sd_event_unref(f->event);
	free(f);
	_exit(0);
}

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int pair[2], dirfd;

	memset(shared, 0, sizeof(*shared));
	strcpy(r->dir, "/tmp/http-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	dirfd = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(fd, 600), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	r->port = ntohs(addr.sin_port);
	assert_int_equal(proto_socketpair(pair), 0);
	r->logger = pair[0];
	r->pid = fork();
	if (r->pid == 0)
		serve(fd, pair[1], dirfd);
	(void)close(pair[1]);
	(void)close(fd);
	(void)close(dirfd);
	*state = r;
	return 0;
}

/* It must end by itself, whatever it still had to do. */
static int teardown(void **state)
{
	struct rig *r = *state;
	int status = -1;

	(void)kill(r->pid, SIGTERM);
	assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(rmdir(r->dir), 0); /* an upload leaves nothing */
	(void)close(r->logger);
	free(r);
	return 0;
}

static int dial(const struct rig *r)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_port = htons(r->port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(util_write_all(fd, text, strlen(text)), 0);
}

/* Reads on until the text is there; "" waits for the end. A NUL is shown as @. */
static char *hear(int fd, char *buf, size_t size, const char *text)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	size_t n = strlen(buf);

	while (!*text || !strstr(buf, text)) {
		ssize_t got;

		if (poll(&pfd, 1, WAIT_MS) != 1)
			fail_msg("nothing more after: %s", buf);
		got = read(fd, buf + n, size - 1 - n);
		if (got <= 0) {
			if (*text)
				fail_msg("ended without %s: %s", text, buf);
			break;
		}
		for (; got > 0; got--, n++)
			buf[n] = buf[n] ? buf[n] : '@';
		buf[n] = '\0';
	}
	return buf;
}

static char answer[64 << 10];

/* One request on a connection of its own. */
static char *ask(const struct rig *r, const char *text)
{
	int fd = dial(r);

	answer[0] = '\0';
	say(fd, text);
	(void)hear(fd, answer, sizeof(answer), "");
	(void)close(fd);
	return answer;
}

static char *get(const struct rig *r, const char *path)
{
	char text[512];

	(void)snprintf(text, sizeof(text),
		       "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
	return ask(r, text);
}

static void assert_has(const char *where, const char *what)
{
	if (!strstr(where, what))
		fail_msg("no %s in: %s", what, where);
}

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

static void test_bodies(void **state)
{
	struct rig *r = *state;
	char text[256];
	int fd;

	assert_has(ask(r, "POST /body HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello"), "\"len\":5");
	assert_has(ask(r, "POST /body HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
			  "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"),
		   "\"len\":7");
	/* Too long by its own word, and then by what really comes. */
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
	/* A client that leaves in the middle is nobody's trouble. */
	fd = dial(r);
	say(fd, "POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\nhello");
	(void)close(fd);
	assert_has(get(r, "/answer"), "now");
	/* One that says so together with its last word is not waited for. */
	fd = dial(r);
	say(fd, "POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\nhello");
	(void)shutdown(fd, SHUT_WR);
	answer[0] = '\0';
	assert_string_equal(hear(fd, answer, sizeof(answer), ""), "");
	(void)close(fd);
	assert_int_equal(shared->called, 2);
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

/* --- logs --- */

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
	/* It is gone, and so is its half of the socket. */
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
#define SERVED(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		SERVED(test_answers),	      SERVED(test_who),
		SERVED(test_bodies),	      SERVED(test_uploads),
		SERVED(test_large_upload),    SERVED(test_many_uploads),
		SERVED(test_keep_alive),      SERVED(test_later),
		SERVED(test_silent_clients),  SERVED(test_headers),
		SERVED(test_waiting_clients), SERVED(test_log_text),
		SERVED(test_log_events),      SERVED(test_slow_reader),
		cmocka_unit_test(test_rate),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	return shared == MAP_FAILED ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
