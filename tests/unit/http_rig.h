/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP server in a child process, with a table of its own and no front around it. The test
 * plays its clients and the logger.
 */
#ifndef TESTS_UNIT_HTTP_RIG_H
#define TESTS_UNIT_HTTP_RIG_H

#include "tests/unit/rig.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "supervisor/front/front.h"
#include "supervisor/front/serve/http/internal.h"
#include "tests/unit/http_dial.h"

#define WAIT_MS 15000 /* less than the time after which an idle connection is closed */
#define MIB (1u << 20)

struct rig {
	pid_t pid;
	uint16_t port;
	int logger; /* the test's end */
	char dir[32];
};

/* What the handlers tell the test, in memory that both share. */
static struct shared {
	int gone, called;
	/* How many bodies h_read's reader has read in the loop, how many beside it, and the most at
	 * a time. */
	int inside, beside, most, now;
	sem_t begun, go; /* for a reading beside the loop: it has begun; it may end */
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

/* Reads a body; one that begins with "bad" is an error. */
static int slow_read(const char *text, size_t len, bool strict, void **ret, struct err *e)
{
	size_t *n = malloc(sizeof(*n));

	if (gettid() == getpid()) {
		shared->inside++;
	} else {
		int now = __atomic_add_fetch(&shared->now, 1, __ATOMIC_SEQ_CST);

		shared->most = now > shared->most ? now : shared->most;
		shared->beside++;
		(void)sem_post(&shared->begun);
		while (sem_wait(&shared->go) < 0)
			;
		(void)__atomic_sub_fetch(&shared->now, 1, __ATOMIC_SEQ_CST);
	}
	if (!n || strict || strncmp(text, "bad", 3) == 0) {
		free(n);
		return err_set(e, ERR_INPUT, 0, "it is bad");
	}
	*n = len;
	*ret = n;
	return 0;
}

static int h_read(struct http_request *r, struct err *e)
{
	const size_t *n = r->read;

	(void)e;
	shared->called++;
	http_json(r, 200, json_pack("{s:i}", "read", (int)*n));
	return 0;
}

static const struct http_reader slow_reader = {slow_read, free};

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
	{"POST", "/body", WHO_ANYBODY, .fn = h_body, .body_max = HTTP_BODY_MAX},
	{"GET", "/body/{}", WHO_ANYBODY, .fn = h_body},
	{"POST", "/read", WHO_ANYBODY, .fn = h_read, .reader = &slow_reader, .lenient = true},
	{"POST", "/short", WHO_ANYBODY, .fn = h_body},
	{"POST", "/upload", WHO_ANYBODY, .upload = true, .fn = h_upload},
	{"GET", "/later", WHO_ANYBODY, .fn = h_later},
	{"GET", "/answer", WHO_ANYBODY, .fn = h_answer},
	{"GET", "/fail", WHO_ANYBODY, .fn = h_fail},
	{"GET", "/nothing", WHO_ANYBODY, .fn = h_nothing},
	{"GET", "/log/{}", WHO_ANYBODY, .fn = h_log},
	{"GET", "/events/{}", WHO_ANYBODY, .fn = h_events},
	{"POST", "/project/{}", WHO_PROJECT, .fn = h_body},
	{NULL},
};

static void __attribute__((noreturn)) serve(int listen_fd, int logger, int dirfd)
{
	static const struct http_route *const tables[] = {routes};
	static const turn_step_fn none[] = {NULL};
	struct front *f = front_new();
	struct err e = {0};

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!f || sd_event_new(&f->event) < 0 || turn_init(f, none) < 0)
		_exit(1);
	f->cfg.http_fd = listen_fd;
	f->cfg.api_fd = -1;
	f->cfg.packages_dirfd = f->cfg.dashboard_dirfd = dirfd;
	chan_init(&f->run->logger, logger, true);
	if (http_init(f, tables, 1, &e) < 0)
		_exit(2);
	(void)sd_event_add_signal(f->event, NULL, SIGTERM | SD_EVENT_SIGNAL_PROCMASK, NULL, NULL);
	(void)sd_event_loop(f->event);
	turn_clear(f);
	http_clear(f);
	sd_event_unref(f->event);
	free(f);
	_exit(0);
}

/* The memory that the handlers and the test share has to be mapped before the fork. */
static int group_setup(void **state)
{
	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	return shared == MAP_FAILED ? -1 : 0;
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
	assert_int_equal(sem_init(&shared->begun, 1, 0) | sem_init(&shared->go, 1, 0), 0);
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

/* The server was told to end, and must have. */
static void server_ended(struct rig *r)
{
	int status = -1;

	assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	r->pid = 0;
}

/* The server must end by itself, whatever it had still to do. */
static int teardown(void **state)
{
	struct rig *r = *state;

	if (r->pid) {
		(void)kill(r->pid, SIGTERM);
		server_ended(r);
	}
	assert_int_equal(rmdir(r->dir), 0); /* fails when an upload has left a file behind */
	(void)close(r->logger);
	free(r);
	return 0;
}

static int dial(const struct rig *r)
{
	return http_dial(r->port);
}

static void say(int fd, const char *text)
{
	assert_int_equal(util_write_all(fd, text, strlen(text)), 0);
}

/* Reads until the text has come; "" waits for the end. A NUL is shown as @. */
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

/* Sends a request on a connection of its own. */
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

#define SERVED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
