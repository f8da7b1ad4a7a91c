// SPDX-License-Identifier: Apache-2.0
/* How much one project may ask for at once: requests, logs that are followed, bytes that are
 * sent. */
#include "tests/unit/rest_rig.h"

static const char *whose(struct rest *r, const struct project *p, const char *path)
{
	static char whole[256];

	(void)r;
	(void)snprintf(whole, sizeof(whole), "/api/projects/%s%s", p->id, path);
	return whole;
}

static void test_rate(void **state)
{
	struct rest *r = *state;
	unsigned n = 0, status;

	r->x->f->cfg.http_rate = 2; /* two seconds' worth at once */
	while ((status = rest(r, r->a, "GET", "/api/whoami", "")) == 200 && n < 100)
		n++;
	assert_int_equal(status, 429);
	assert_true(n >= 4 && n < 100);
	assert_non_null(strstr(r->text, "\r\nRetry-After: 1\r\n"));
	/* Other projects are not slowed down, and operators never are. */
	assert_int_equal(rest(r, r->b, "GET", "/api/whoami", ""), 200);
	for (int i = 0; i < 10; i++)
		assert_int_equal(rest(r, r->operator, "GET", "/api/whoami", ""), 200);
}

static void test_wrong_tokens(void **state)
{
	struct rest *r = *state;
	unsigned status = 0;

	for (int i = 0; i < 1000 && status != 429; i++)
		status = rest(r, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "GET",
			      "/api/whoami", "");
	assert_int_equal(status, 429);
	assert_int_equal(rest(r, r->a, "GET", "/api/whoami", ""), 200);
}

/* A body that is too long to be read to its end is refused before it is sent. */
static void test_early(void **state)
{
	static const char *const lengths[] = {"17000000", "99999999999999999999999", "x"};
	struct rest *r = *state;
	char head[512];

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		int fd = http_dial(r->port);

		(void)snprintf(head, sizeof(head),
			       "POST %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: OAuth %s\r\n"
			       "Content-Length: %s\r\n\r\n",
			       whose(r, r->x->a, "/tasks"), r->a, lengths[i]);
		assert_int_equal(util_write_all(fd, head, strlen(head)), 0);
		rest_hear(r, fd, NULL);
		(void)close(fd);
		assert_memory_equal(r->text, i < 1 ? "HTTP/1.1 413" : "HTTP/1.1 4",
				    i < 1 ? 12 : 10);
	}
}

/* Waits until the server counts this connection as this holder's. */
static void wait_held(struct rest *r, int fd, unsigned holder)
{
	const uint64_t until = util_monotonic_ns() + REST_WAIT_NS;
	struct sockaddr_in mine = {0}, peer = {0};
	socklen_t len = sizeof(mine);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&mine, &len), 0);
	for (;;) {
		const struct http_conn *c = LIST_FIRST(&r->x->f->serve->http->conns);

		len = sizeof(peer);
		if (c && c->holder == holder &&
		    getpeername(c->fd, (struct sockaddr *)&peer, &len) == 0 &&
		    peer.sin_port == mine.sin_port)
			return;
		assert_true(util_monotonic_ns() < until);
		(void)sd_event_run(r->x->f->event, 1000);
	}
}

/* Sends a request without its body. */
static int send_head(struct rest *r, const char *token, const struct project *p)
{
	int fd = http_dial(r->port);
	char head[512];

	(void)snprintf(head, sizeof(head),
		       "POST %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: OAuth %s\r\n"
		       "Connection: close\r\nContent-Length: 2\r\n\r\n",
		       whose(r, p, "/tasks"), token);
	assert_int_equal(util_write_all(fd, head, strlen(head)), 0);
	wait_held(r, fd, p->slot);
	return fd;
}

static void send_body(struct rest *r, int fd, const char *text, const char *status)
{
	assert_int_equal(util_write_all(fd, text, strlen(text)), 0);
	rest_hear(r, fd, NULL);
	(void)close(fd);
	assert_memory_equal(r->text, status, 12);
}

/* When a project has many connections, the connections of others are not closed, neither busy ones
 * nor new ones. */
static void test_connections(void **state)
{
	struct rest *r = *state;
	struct http *h = r->x->f->serve->http;
	const unsigned a = r->x->a->slot;
	int theirs, fds[80], fresh[10];
	char byte;

	h->conns_max = 64;
	theirs = send_head(r, r->b, r->x->b);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = send_head(r, r->a, r->x->a);
	/* The project has all connections that are left, and requests in half of them. */
	assert_true(h->conns_of[a] >= 50 && h->conns_of[a] <= 56);
	assert_true(h->begun[a] <= 28);
	assert_int_equal(recv(fds[0], &byte, 1, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(fresh); i++) {
		fresh[i] = http_dial(r->port);
		wait_held(r, fresh[i], PROJECTS_MAX);
	}
	assert_int_equal(h->conns_of[PROJECTS_MAX], ARRAY_SIZE(fresh));
	for (size_t i = 0; i < ARRAY_SIZE(fresh); i++)
		send_body(r, fresh[i],
			  "GET /none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
			  "HTTP/1.1 404");
	send_body(r, theirs, "{}", "HTTP/1.1 400");
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		(void)close(fds[i]);
}

/* A project that has used its share is told to come again; other projects are not. */
static void test_share(void **state)
{
	struct rest *r = *state;
	struct http *h = r->x->f->serve->http;
	int fds[28];

	h->conns_max = 64;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = send_head(r, r->a, r->x->a);
	assert_int_equal(rest_a(r, "api", "GET", "/tasks", ""), 503);
	assert_non_null(strstr(r->text, "\r\nRetry-After: 1\r\n"));
	rest_said(r, "28 requests are being read or answered, 28 of this project's");
	assert_int_equal(rest(r, r->b, "GET", "/api/whoami", ""), 200);
	assert_int_equal(rest(r, r->operator, "GET", whose(r, r->x->a, "/tasks"), ""), 200);
	/* A request that ends makes room for another. */
	send_body(r, fds[0], "{}", "HTTP/1.1 400");
	assert_int_equal(rest_a(r, "api", "GET", "/tasks", ""), 200);
	for (size_t i = 1; i < ARRAY_SIZE(fds); i++)
		(void)close(fds[i]);
	while (h->n_conns > 0)
		(void)sd_event_run(r->x->f->event, UINT64_MAX);
	assert_int_equal(h->n_begun, 0);
	assert_int_equal(h->begun[r->x->a->slot], 0);
	assert_int_equal(h->conns_of[r->x->a->slot], 0);
	assert_int_equal(h->conns_of[PROJECTS_MAX], 0);
}

/* Follows a log's events, and returns when the first ones have come. */
static int follow(struct rest *r, const char *token, const struct project *p, const char *id)
{
	int fd = http_dial(r->port);
	char head[512];

	(void)snprintf(head, sizeof(head),
		       "GET %s/tasks/%s/events HTTP/1.1\r\nHost: localhost\r\n"
		       "Authorization: OAuth %s\r\n\r\n",
		       whose(r, p, ""), id, token);
	assert_int_equal(util_write_all(fd, head, strlen(head)), 0);
	rest_hear(r, fd, "\r\n\r\n");
	assert_memory_equal(r->text, "HTTP/1.1 200 ", 13);
	assert_non_null(strstr(r->text, "\r\nContent-Type: text/event-stream\r\n"));
	return fd;
}

static void test_logs(void **state)
{
	struct rest *r = *state;
	struct worker *c = worker(r->x, r->x->a, "c", (struct worker_spec){0});
	struct worker *d = worker(r->x, r->x->b, "d", (struct worker_spec){0});
	const char *id = submit(r->x, c, plain), *theirs = submit(r->x, d, plain);
	int fds[HTTP_STREAMS_OF_ONE_MAX], other;
	char path[128];
	struct err e = {0};

	settle(r->x);
	(void)snprintf(path, sizeof(path), "/tasks/%s/events", id);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = follow(r, r->a, r->x->a, id);
	assert_int_equal(rest_a(r, "api", "GET", path, ""), 503);
	rest_said(r, "64 logs of this project");
	(void)close(follow(r, r->operator, r->x->a, id));
	other = follow(r, r->b, r->x->b, theirs);
	/* A client that leaves makes room for another. */
	(void)close(fds[0]);
	while (r->x->f->serve->http->n_streams > ARRAY_SIZE(fds))
		assert_true(sd_event_run(r->x->f->event, UINT64_MAX) >= 0);
	fds[0] = follow(r, r->a, r->x->a, id);
	/* A client that reads with a token that is revoked is disconnected, and nobody else is. */
	assert_int_equal(committed(r->x->f,
				   token_revoke(r->x->f, r->x->a, r->x->a->tokens->next->id, &e),
				   &e),
			 0);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		rest_hear(r, fds[i], NULL);
		(void)close(fds[i]);
	}
	while (r->x->f->serve->http->n_streams > 1)
		assert_true(sd_event_run(r->x->f->event, UINT64_MAX) >= 0);
	assert_int_equal(recv(other, path, 1, MSG_DONTWAIT), -1);
	(void)close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_REST(test_rate), WITH_REST(test_wrong_tokens), WITH_REST(test_early),
		WITH_REST(test_logs), WITH_REST(test_connections),  WITH_REST(test_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
