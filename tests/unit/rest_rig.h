/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The REST API on top of the queue's rig. The server runs in the test's own loop, and the test is
 * also the client that waits for the answer.
 */
#ifndef TESTS_UNIT_REST_RIG_H
#define TESTS_UNIT_REST_RIG_H

#include <netinet/in.h>

#include "supervisor/front/api/verbs.h"
#include "supervisor/front/serve/http/internal.h"
#include "tests/unit/http_dial.h"
#include "tests/unit/queue_rig.h"

#define REST_WAIT_NS (15 * SEC)
#define REST_PACKAGE_MAX (1u << 20)

struct rest {
	struct fixture *x;
	uint16_t port;
	char a[TOKEN_LEN + 1], b[TOKEN_LEN + 1], operator[TOKEN_LEN + 1];
	char text[256 << 10]; /* the last answer, with its header */
	json_t *body;	      /* the last answer's body, if it is JSON */
	/* The test does not wait for the connection to end: what has to be durable is so once the
	 * answer has come. */
	bool hasty;
	/* Called while an answer is awaited, for what others do in that time; NULL: nothing. */
	void (*meanwhile)(struct rest *r);
};

static void rest_token(struct rest *r, const char *project, bool operator, char * text)
{
	struct project *p = project_find(r->x->f, project);
	const struct token *t = NULL;
	struct err e = {0};

	if (committed(r->x->f, token_create(r->x->f, p, "rest", operator, text, &t, &e), &e) < 0)
		fail_msg("%s", e.msg);
}

static void rest_serve(struct rest *r)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(addr);
	struct err e = {0};

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	r->port = ntohs(addr.sin_port);
	r->x->f->cfg.http_fd = fd;
	r->x->f->cfg.package_bytes_max = REST_PACKAGE_MAX;
	assert_int_equal(http_capability.start(r->x->f, &e), 0);
}

RIG_UNUSED static int rest_setup(void **state)
{
	struct rest *r = calloc(1, sizeof(*r));
	sigset_t child;

	assert_int_equal(setup((void **)&r->x), 0);
	/* SIGCHLD is blocked as in the daemon, because a child does the unpacking. */
	assert_int_equal(sigemptyset(&child) | sigaddset(&child, SIGCHLD), 0);
	assert_int_equal(sigprocmask(SIG_BLOCK, &child, NULL), 0);
	rest_token(r, "a", false, r->a);
	rest_token(r, "b", false, r->b);
	rest_token(r, PROJECT_DEFAULT_NAME, true, r->operator);
	rest_serve(r);
	*state = r;
	return 0;
}

RIG_UNUSED static int rest_teardown(void **state)
{
	struct rest *r = *state;
	struct fixture *x = r->x;

	http_clear(x->f); /* the server's socket is closed by it */
	json_decref(r->body);
	free(r);
	return teardown((void **)&x);
}

/* Runs the loop until the whole answer has come, or all of it up to these words. */
static void rest_hear(struct rest *r, int fd, const char *words)
{
	const uint64_t until = util_monotonic_ns() + REST_WAIT_NS;
	size_t n = 0;
	ssize_t got;

	r->text[0] = '\0';
	while ((got = recv(fd, r->text + n, sizeof(r->text) - 1 - n, MSG_DONTWAIT)) != 0) {
		if (got > 0)
			n += (size_t)got;
		else if (errno != EAGAIN)
			fail_msg("recv: %s", strerror(errno));
		r->text[n] = '\0';
		if (words && strstr(r->text, words))
			return;
		if (util_monotonic_ns() > until)
			fail_msg("no end after: %s", r->text);
		(void)sd_event_run(r->x->f->event, 1000);
		if (r->meanwhile)
			r->meanwhile(r);
	}
}

/* Sends a request, and returns the connection. token, type: "" for none. */
static int rest_ask(struct rest *r, const char *token, const char *method, const char *path,
		    const char *type, const void *body, size_t len)
{
	char head[1024];
	int n, fd;

	n = snprintf(head, sizeof(head),
		     "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
		     "%s%s%s%s%s%sContent-Length: %zu\r\n\r\n",
		     method, path, *token ? "Authorization: OAuth " : "", token,
		     *token ? "\r\n" : "", *type ? "Content-Type: " : "", type, *type ? "\r\n" : "",
		     len);
	assert_true(n > 0 && (size_t)n < sizeof(head));
	fd = http_dial(r->port);
	assert_int_equal(util_write_all(fd, head, (size_t)n), 0);
	assert_int_equal(util_write_all(fd, body, len), 0);
	return fd;
}

/* Waits for the answer; returns the status. fd: taken. */
static unsigned rest_answer(struct rest *r, int fd)
{
	char *at;

	rest_hear(r, fd, r->hasty ? "}" : NULL);
	(void)close(fd);
	assert_memory_equal(r->text, "HTTP/1.1 ", 9);
	json_decref(r->body);
	at = strstr(r->text, "\r\n\r\n");
	r->body = at ? json_loads(at + 4, JSON_REJECT_DUPLICATES, NULL) : NULL;
	return (unsigned)strtoul(r->text + 9, NULL, 10);
}

static unsigned rest_send(struct rest *r, const char *token, const char *method, const char *path,
			  const char *type, const void *body, size_t len)
{
	return rest_answer(r, rest_ask(r, token, method, path, type, body, len));
}

static void rest_never(struct front *f, struct timer *t)
{
	(void)f;
	(void)t;
}

/* From now on nothing is written, as if the disk had to be tried again; and from rest_let_go on it is. */
RIG_UNUSED static void rest_hold(struct rest *r)
{
	timer_set(r->x->f, &r->x->f->changes->retry, UINT64_MAX / 2, rest_never);
}

RIG_UNUSED static void rest_let_go(struct rest *r)
{
	timer_cancel(r->x->f, &r->x->f->changes->retry);
	turn_mark(r->x->f);
}

/* Runs the loop until so many wait for *change, which may not be there yet. */
RIG_UNUSED static void rest_wait_for(struct rest *r, struct change *const *change, unsigned n)
{
	for (;;) {
		unsigned have = 0;

		for (const struct change *c = *change; c && c->with; c = c->with)
			have++;
		if (have >= n)
			return;
		assert_true(sd_event_run(r->x->f->event, UINT64_MAX) >= 0);
	}
}

RIG_UNUSED static unsigned rest(struct rest *r, const char *token, const char *method,
				const char *path, const char *body)
{
	return rest_send(r, token, method, path, "", body, strlen(body));
}

/* Sends a request as project a, about itself: path is what follows /2/projects/ID or
 * /api/projects/ID. */
RIG_UNUSED static unsigned rest_a(struct rest *r, const char *api, const char *method,
				  const char *path, const char *body)
{
	char whole[512];

	(void)snprintf(whole, sizeof(whole), "/%s/projects/%s%s", api, r->x->a->id, path);
	return rest(r, r->a, method, whole, body);
}

/* The values of key in the last answer's list, in their order: "m3 m2". */
RIG_UNUSED static const char *rest_list(struct rest *r, const char *list, const char *key)
{
	static char text[4096];
	json_t *item;
	size_t i, n = 0;

	text[0] = '\0';
	assert_true(json_is_array(json_object_get(r->body, list)));
	json_array_foreach(json_object_get(r->body, list), i, item)
	{
		json_t *value = json_object_get(item, key);

		n += (size_t)(json_is_integer(value)
				      ? snprintf(text + n, sizeof(text) - n, "%s%d", i ? " " : "",
						 (int)json_integer_value(value))
				      : snprintf(text + n, sizeof(text) - n, "%s%s", i ? " " : "",
						 json_string_value(value)));
	}
	return text;
}

RIG_UNUSED static const char *rest_text(struct rest *r, const char *key)
{
	const char *s = json_string_value(json_object_get(r->body, key));

	return s ? s : "";
}

/* The last answer must be an error whose text holds what. */
RIG_UNUSED static void rest_said(struct rest *r, const char *what)
{
	if (!strstr(rest_text(r, "msg"), what))
		fail_msg("no \"%s\" in: %s", what, r->text);
}

#define WITH_REST(test) cmocka_unit_test_setup_teardown(test, rest_setup, rest_teardown)

#endif
