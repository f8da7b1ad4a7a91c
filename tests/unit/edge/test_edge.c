// SPDX-License-Identifier: Apache-2.0
/* What the edge is told: by a server that stands in its place, in a thread. */
#include "tests/unit/rig.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "supervisor/front/base/turn.h"
#include "supervisor/front/edge/edge.h"

#define ID_ONE "0123456789abcdef0123456789abcdef"
#define ID_TWO "fedcba9876543210fedcba9876543210"

struct fixture {
	struct front f;
	char dir[32], path[64];
	int listen_fd;
	pthread_t server;
	pthread_mutex_t lock;
	/* What the server has heard, a line for each request; and what it does. */
	char heard[8192];
	char id[EDGE_ID_LEN + 1];
	int status;   /* of its answers */
	bool hang_up; /* instead of the next answer */
	char told[512];
};

static struct fixture *now;

static void on_told(struct front *f, const char *key)
{
	(void)f;
	strcat(strcat(now->told, key), " ");
}

/* One request: false at the end of the connection. */
static bool serve_one(struct fixture *x, int fd)
{
	char buf[65536] = "", line[1024], *end, *body;
	size_t n = 0, want;

	while (!(end = strstr(buf, "\r\n\r\n"))) {
		ssize_t r = recv(fd, buf + n, sizeof(buf) - 1 - n, 0);

		if (r <= 0)
			return false;
		n += (size_t)r;
		buf[n] = '\0';
	}
	body = end + 4;
	want = (size_t)(body - buf) +
	       strtoul(strstr(buf, "Content-Length: ") + strlen("Content-Length: "), NULL, 10);
	while (n < want) {
		ssize_t r = recv(fd, buf + n, sizeof(buf) - 1 - n, 0);

		if (r <= 0)
			return false;
		n += (size_t)r;
		buf[n] = '\0';
	}
	*strstr(buf, " HTTP/1.1") = '\0';
	(void)pthread_mutex_lock(&x->lock);
	(void)snprintf(line, sizeof(line), "%.100s %.900s\n", buf, body);
	if (x->hang_up) {
		x->hang_up = false;
		(void)pthread_mutex_unlock(&x->lock);
		return false;
	}
	strcat(x->heard, line);
	n = (size_t)snprintf(line, sizeof(line), "HTTP/1.1 %d X\r\nX-Edge: %s\r\n\r\n", x->status,
			     x->id);
	(void)pthread_mutex_unlock(&x->lock);
	return send(fd, line, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static void *server(void *arg)
{
	struct fixture *x = arg;
	int fd;

	while ((fd = accept(x->listen_fd, NULL, NULL)) >= 0) {
		while (serve_one(x, fd))
			;
		(void)close(fd);
	}
	return NULL;
}

static const turn_step_fn none[] = {NULL};

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct err e = {0};

	strcpy(x->dir, "/tmp/edge-XXXXXX");
	assert_non_null(mkdtemp(x->dir));
	(void)snprintf(x->path, sizeof(x->path), "%s/edge.sock", x->dir);
	strcpy(addr.sun_path, x->path);
	x->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(x->listen_fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(x->listen_fd, 8), 0);
	assert_int_equal(pthread_mutex_init(&x->lock, NULL), 0);
	strcpy(x->id, ID_ONE);
	x->status = 204;
	assert_int_equal(pthread_create(&x->server, NULL, server, x), 0);
	assert_true(sd_event_new(&x->f.event) >= 0);
	assert_int_equal(turn_init(&x->f, none), 0);
	x->f.cfg.edge_dirfd = open(x->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(edge_capability.load(&x->f, &e), 0);
	edge_on_told(&x->f, on_told);
	now = x;
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	turn_clear(&x->f);
	edge_capability.clear(&x->f);
	assert_null(x->f.edge);
	(void)sd_event_unref(x->f.event);
	(void)shutdown(x->listen_fd, SHUT_RDWR);
	(void)pthread_join(x->server, NULL);
	(void)close(x->listen_fd);
	(void)close(x->f.cfg.edge_dirfd);
	(void)unlink(x->path);
	(void)rmdir(x->dir);
	free(x);
	return 0;
}

static bool has_heard(struct fixture *x, const char *what)
{
	bool r;

	(void)pthread_mutex_lock(&x->lock);
	r = strstr(x->heard, what) != NULL;
	(void)pthread_mutex_unlock(&x->lock);
	return r;
}

static void forget(struct fixture *x)
{
	(void)pthread_mutex_lock(&x->lock);
	x->heard[0] = '\0';
	(void)pthread_mutex_unlock(&x->lock);
	x->told[0] = '\0';
}

/* Turns the loop until the server has heard this. */
static void hear(struct fixture *x, const char *what)
{
	uint64_t ns;

	while (!has_heard(x, what))
		assert_true(turn_run(&x->f, &ns) > 0);
}

/* And until the answers are read. */
static void settle(struct fixture *x, const char *key)
{
	uint64_t ns;

	while (!edge_has(&x->f, key))
		assert_true(turn_run(&x->f, &ns) > 0);
}

static void put(struct fixture *x, const char *key, const char *name)
{
	struct err e = {0};

	assert_int_equal(edge_put_worker(&x->f, key, json_pack("{s:s}", "name", name), &e), 0);
}

static void put_hosts(struct fixture *x)
{
	struct err e = {0};

	assert_int_equal(edge_put_hosts(&x->f, json_pack("{s:[]}", "a.example.com"), &e), 0);
}

static void begin(struct fixture *x)
{
	assert_int_equal(edge_capability.start(&x->f, NULL), 0);
}

static void test_everything_is_told_and_then_that_it_was(void **state)
{
	struct fixture *x = *state;

	put(x, "p/a", "one");
	put(x, "p/b", "two");
	put_hosts(x);
	begin(x);
	assert_false(edge_has(&x->f, "p/a"));
	hear(x, "PUT /ready");
	assert_string_equal(x->heard, "PUT /workers/p/a {\"name\":\"one\"}\n"
				      "PUT /workers/p/b {\"name\":\"two\"}\n"
				      "PUT /hosts {\"a.example.com\":[]}\n"
				      "PUT /ready {\"workers\":[\"p/a\",\"p/b\"]}\n");
	/* The hosts are told of by the empty key. */
	assert_string_equal(x->told, "p/a p/b  ");
	assert_true(edge_has(&x->f, ""));
	assert_true(edge_has(&x->f, "p/a"));
}

static void test_nothing_to_tell_is_told_too(void **state)
{
	begin(*state);
	hear(*state, "PUT /ready {\"workers\":[]}");
}

static void test_only_what_has_changed_is_told(void **state)
{
	struct fixture *x = *state;

	put(x, "p/a", "one");
	put(x, "p/b", "two");
	begin(x);
	hear(x, "PUT /ready");
	forget(x);
	put(x, "p/a", "one");
	assert_true(edge_has(&x->f, "p/a"));
	put(x, "p/b", "other");
	put(x, "p/b", "newest");
	settle(x, "p/b");
	assert_string_equal(x->heard, "PUT /workers/p/b {\"name\":\"newest\"}\n");
	assert_string_equal(x->told, "p/b ");
	forget(x);
	edge_delete_worker(&x->f, "p/b");
	edge_delete_worker(&x->f, "p/unknown");
	settle(x, "p/b");
	assert_string_equal(x->heard, "DELETE /workers/p/b \n");
	/* It may come again. */
	put(x, "p/b", "again");
	hear(x, "again");
}

static void test_a_change_of_what_is_under_way_is_told_after_it(void **state)
{
	struct fixture *x = *state;

	begin(x);
	hear(x, "PUT /ready");
	put(x, "p/a", "one");
	hear(x, "one");
	/* Its answer may be read by now, or not. */
	put(x, "p/a", "two");
	assert_false(edge_has(&x->f, "p/a"));
	x->told[0] = '\0';
	settle(x, "p/a");
	assert_true(has_heard(x, "two"));
	assert_string_equal(x->told, "p/a ");
}

static void test_a_new_edge_is_told_all_of_it(void **state)
{
	struct fixture *x = *state;

	put(x, "p/a", "one");
	put_hosts(x);
	begin(x);
	hear(x, "PUT /ready");
	/* One that was started again is known by its id ... */
	forget(x);
	(void)pthread_mutex_lock(&x->lock);
	strcpy(x->id, ID_TWO);
	(void)pthread_mutex_unlock(&x->lock);
	put(x, "p/b", "two");
	hear(x, "PUT /ready");
	assert_true(has_heard(x, "PUT /workers/p/a"));
	assert_true(has_heard(x, "PUT /hosts"));
	/* ... by its word ... */
	forget(x);
	edge_is_new(&x->f);
	hear(x, "PUT /ready");
	assert_true(has_heard(x, "PUT /workers/p/a"));
	/* ... and by the end of the connection, here in the middle of a request. */
	forget(x);
	(void)pthread_mutex_lock(&x->lock);
	x->hang_up = true;
	(void)pthread_mutex_unlock(&x->lock);
	put(x, "p/b", "three");
	hear(x, "PUT /ready");
	assert_true(has_heard(x, "PUT /workers/p/a"));
	assert_true(has_heard(x, "three"));
	settle(x, "p/b");
}

static void test_what_is_refused_holds_nothing_up(void **state)
{
	struct fixture *x = *state;

	begin(x);
	hear(x, "PUT /ready");
	x->status = 507;
	put(x, "p/a", "one");
	settle(x, "p/a");
	assert_string_equal(x->told, "");
	x->status = 204;
	put(x, "p/b", "two");
	settle(x, "p/b");
	assert_string_equal(x->told, "p/b ");
}

static void test_without_an_edge_nothing_is_done(void **state)
{
	struct front f = {.cfg.edge_dirfd = -1};
	struct err e = {0};

	(void)state;
	assert_int_equal(edge_capability.load(&f, &e), 0);
	assert_null(f.edge);
	assert_int_equal(edge_put_worker(&f, "p/a", json_object(), &e), 0);
	assert_int_equal(edge_put_hosts(&f, json_object(), &e), 0);
	edge_delete_worker(&f, "p/a");
	edge_is_new(&f);
	assert_true(edge_has(&f, "p/a"));
	edge_capability.clear(&f);
}

static void test_answers(void **state)
{
	static const char whole[] =
		"HTTP/1.1 204 No Content\r\nx-edge:  " ID_ONE "\r\nA: b\r\n\r\n";
	static const char *const bad[] = {"HTTP/1.0 204 X\r\n\r\n", "hello, world",
					  "HTTP/1.1 2040 X\r\n\r\n", "HTTP/1.1 20 X\r\n\r\n",
					  "HTTP/1.1 204 X\r\nX-Edge: short\r\n\r\n"};
	char id[EDGE_ID_LEN + 1];
	unsigned status;

	(void)state;
	for (size_t n = 0; n < sizeof(whole) - 1; n++)
		assert_int_equal(edge_answer_parse(whole, n, &status, id), 0);
	assert_int_equal(edge_answer_parse(whole, sizeof(whole) - 1, &status, id),
			 sizeof(whole) - 1);
	assert_int_equal(status, 204);
	assert_string_equal(id, ID_ONE);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(edge_answer_parse(bad[i], strlen(bad[i]), &status, id), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_everything_is_told_and_then_that_it_was, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_nothing_to_tell_is_told_too, setup, teardown),
		cmocka_unit_test_setup_teardown(test_only_what_has_changed_is_told, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_change_of_what_is_under_way_is_told_after_it,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_new_edge_is_told_all_of_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_refused_holds_nothing_up, setup,
						teardown),
		cmocka_unit_test(test_without_an_edge_nothing_is_done),
		cmocka_unit_test(test_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
