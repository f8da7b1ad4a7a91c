// SPDX-License-Identifier: Apache-2.0
/* What the edge has counted, as lines: the test stands in the edge's place. */
#include "tests/unit/rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "supervisor/front/edge/stats.h"

#define HEAD "HTTP/1.1 200 OK\r\nX-Edge: 0\r\n\r\n"
#define BOUNDS "bounds 0.01 0.1 1\n"
#define ONE "p/one 3 300 0.250 0 2 0 1 0 1 1 1 0\n"
#define TWO "p/two 1 9 12.000 0 0 0 0 1 0 0 0 1\n"

struct fixture {
	struct front f;
	char dir[32], path[64];
	int listen_fd;
	struct edge_fetch fetch;
	char seen[512];
	int done; /* -1: it is under way */
};

static void see_worker(struct edge_fetch *x, const char *key, const struct edge_counts *c)
{
	struct fixture *t = OWNER(x, struct fixture, fetch);
	char *to = t->seen + strlen(t->seen);

	(void)snprintf(to, sizeof(t->seen) - strlen(t->seen), "%s %llu %.3f 5xx %llu last %llu;",
		       key, (unsigned long long)c->requests, c->seconds,
		       (unsigned long long)c->status[4],
		       (unsigned long long)c->buckets[x->bounds.n]);
}

static void see_done(struct edge_fetch *x, bool ok)
{
	OWNER(x, struct fixture, fetch)->done = ok;
}

static const turn_step_fn none[] = {NULL};

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	strcpy(x->dir, "/tmp/edge-XXXXXX");
	assert_non_null(mkdtemp(x->dir));
	(void)snprintf(x->path, sizeof(x->path), "%s/edge.sock", x->dir);
	strcpy(addr.sun_path, x->path);
	x->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(x->listen_fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(x->listen_fd, 8), 0);
	assert_true(sd_event_new(&x->f.event) >= 0);
	assert_int_equal(turn_init(&x->f, none), 0);
	x->f.cfg.edge_dirfd = open(x->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	x->fetch.worker = see_worker;
	x->fetch.done = see_done;
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	edge_fetch_clear(&x->fetch);
	turn_clear(&x->f);
	(void)sd_event_unref(x->f.event);
	(void)close(x->f.cfg.edge_dirfd);
	(void)close(x->listen_fd);
	(void)unlink(x->path);
	(void)rmdir(x->dir);
	free(x);
	return 0;
}

/* The answer in pieces of so many bytes; then it ends. */
static void fetch(struct fixture *x, const char *answer, size_t piece)
{
	char request[64] = "";
	size_t len = strlen(answer);
	uint64_t ns;
	int fd;

	x->seen[0] = '\0';
	x->done = -1;
	edge_fetch_begin(&x->f, &x->fetch);
	fd = accept4(x->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(recv(fd, request, sizeof(request) - 1, 0) > 0);
	assert_string_equal(request, "GET /stats/lines HTTP/1.0\r\n\r\n");
	while (len > 0 && x->done < 0) {
		const size_t n = len < piece ? len : piece;

		/* It may have hung up. */
		(void)send(fd, answer, n, MSG_NOSIGNAL);
		answer += n;
		len -= n;
		assert_true(turn_run(&x->f, &ns) >= 0);
	}
	(void)close(fd);
	while (x->done < 0)
		assert_true(turn_run(&x->f, &ns) >= 0);
}

static void test_fetch(void **state)
{
	static const char whole[] = HEAD BOUNDS ONE TWO;
	struct fixture *x = *state;

	for (size_t piece = 1; piece <= sizeof(whole); piece += 7) {
		fetch(x, whole, piece);
		assert_int_equal(x->done, 1);
		assert_string_equal(x->seen, "p/one 3 0.250 5xx 0 last 0;"
					     "p/two 1 12.000 5xx 1 last 1;");
		assert_int_equal(x->fetch.bounds.n, 3);
	}
}

/* What is no such answer, or not all of it. */
static void test_bad(void **state)
{
	static const char *const bad[] = {
		"",
		"HTTP/1.1 404 no\r\n\r\n" BOUNDS ONE,
		"what\r\n\r\n" BOUNDS ONE,
		HEAD BOUNDS "p/one 3 300",
		HEAD BOUNDS "p/one 3 300 0.250 0 2 0 1 0 1 1 1\n",
		HEAD BOUNDS "p/one 3 300 0.250 0 2 0 1 0 1 1 1 0 5\n",
		HEAD BOUNDS "p/one x 300 0.250 0 2 0 1 0 1 1 1 0\n",
		HEAD BOUNDS "p/one -1 300 0.250 0 2 0 1 0 1 1 1 0\n",
		HEAD BOUNDS "p/one nan 300 0.250 0 2 0 1 0 1 1 1 0\n",
		HEAD BOUNDS "\n",
		HEAD "bounds 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n",
	};
	static char endless[EDGE_LINE_MAX + 200] = HEAD;
	struct fixture *x = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		fetch(x, bad[i], 4096);
		if (x->done != 0)
			fail_msg("%s", bad[i]);
	}
	memset(endless + strlen(endless), 'a', EDGE_LINE_MAX + 100);
	fetch(x, endless, 4096);
	assert_int_equal(x->done, 0);
	/* The next one is whole again. */
	fetch(x, HEAD BOUNDS TWO, 4096);
	assert_int_equal(x->done, 1);
	/* Without an edge. */
	(void)unlink(x->path);
	x->done = -1;
	edge_fetch_begin(&x->f, &x->fetch);
	assert_int_equal(x->done, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_fetch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
