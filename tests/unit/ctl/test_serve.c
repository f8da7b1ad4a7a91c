// SPDX-License-Identifier: Apache-2.0
/* The parts of `sandboxctl serve` that need no daemon: sockets and what is copied between them, and the
 * paths that workers ask a folder for. */
#include "tests/unit/rig.h"

#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "supervisor/ctl/serve/serve.h"

#define BIG (1u << 20)

static int path_of(const char *url, char *buf, size_t size)
{
	struct serve_ask *a = calloc(1, sizeof(*a));
	int r;

	a->head = json_pack("{s:s, s:{s:s}}", "method", "fetch", "http", "url", url);
	r = serve_ask_path(a, buf, size);
	serve_answer_error(a, "Error", ""); /* frees it */
	return r;
}

static void test_paths(void **state)
{
	static const char *const good[][2] = {
		{"http://x/", ""},
		{"http://x", ""},
		{"http://x/a", "a"},
		{"http://x//a//b/?q=/../c#d", "a/b"},
		{"http://x/a%20b/c%2Fd", "a b/c/d"},
		{"http://x/a/../b", "b"},
		{"http://x/..", ""},
		{"http://x/.a/...", ".a/..."},
	};
	static const char *const bad[] = {"http://x/%2e%2e/a",
					  "http://x/a%2f..%2fb",
					  "http://x/a%00b",
					  "http://x/%2e/a",
					  "x y",
					  ""};
	char path[64], longer[300];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(path_of(good[i][0], path, sizeof(path)), 0);
		assert_string_equal(path, good[i][1]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(path_of(bad[i], path, sizeof(path)), -EINVAL);
	(void)snprintf(longer, sizeof(longer), "http://x/%0100d", 1);
	assert_int_equal(path_of(longer, path, sizeof(path)), -EINVAL);
	assert_string_equal(serve_media_type("a/b.HTML"), "text/html; charset=utf-8");
	assert_string_equal(serve_media_type("html"), "application/octet-stream");
}

/* "PORT" of a socket that listens. */
static void port_of(int fd, char *buf, size_t size)
{
	struct sockaddr_storage at = {0};
	socklen_t len = sizeof(at);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	assert_int_equal(getnameinfo((struct sockaddr *)&at, len, NULL, 0, buf, (socklen_t)size,
				     NI_NUMERICSERV),
			 0);
}

static void test_addresses(void **state)
{
	static const char *const good[] = {"127.0.0.1:0", "*:0", "localhost:0"};
	static const char *const bad[] = {"127.0.0.1:x", "127.0.0.1:", "1.2.3.4:65536", "[::1",
					  "no such host:1"};
	char folder[] = "/tmp/test-serve-XXXXXX", address[80], want[80], port[16];
	int fd = -1, other = -1;
	char *url = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct err e = {0};

		assert_int_equal(serve_listen(good[i], 80, &fd, &url, &e), 0);
		port_of(fd, port, sizeof(port));
		(void)snprintf(want, sizeof(want), "http://%s:%s",
			       i == 0 ? "127.0.0.1" : "localhost", port);
		assert_string_equal(url, want);
		free(url);
		(void)close(fd);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err e = {0};

		assert_true(serve_listen(bad[i], 80, &fd, NULL, &e) < 0);
		assert_int_equal(e.code, ERR_INPUT);
	}
	assert_non_null(mkdtemp(folder));
	(void)snprintf(address, sizeof(address), "unix:%s/sock", folder);
	{
		struct err e = {0};

		/* A socket that nobody listens at any more is replaced, and no other. */
		assert_int_equal(serve_listen(address, 80, &fd, &url, &e), 0);
		assert_string_equal(url, address);
		free(url);
		assert_true(serve_listen(address, 80, &other, NULL, &e) < 0);
		(void)close(fd);
		assert_int_equal(serve_listen(address, 80, &fd, NULL, &e), 0);
		(void)close(fd);
	}
	(void)unlink(address + 5);
	assert_int_equal(rmdir(folder), 0);
}

struct doors {
	sd_event *loop;
	struct serve_conn *wanted;
	int fd, door;
	struct serve_proxy *proxy;
};

static void wants(void *arg, struct serve_conn *c)
{
	((struct doors *)arg)->wanted = c;
}

/* A client that has connected by the door, and whose connection is wanted. */
static int enter(struct doors *d)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(name.sun_path, sizeof(name.sun_path), "/proc/self/fd/%d", d->door);
	assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	d->wanted = NULL;
	while (!d->wanted)
		assert_true(sd_event_run(d->loop, UINT64_MAX) >= 0);
	return fd;
}

static void turns(struct doors *d)
{
	while (sd_event_run(d->loop, 0) > 0)
		;
}

/* Writes all of it at one end, and reads it at the other, by and by. */
static void carry(struct doors *d, int from, int to)
{
	static char out[BIG], in[BIG];
	size_t sent = 0, got = 0;

	for (size_t i = 0; i < BIG; i++)
		out[i] = (char)(i * 7 + i / 251);
	while (got < BIG) {
		ssize_t n = sent < BIG ? send(from, out + sent, BIG - sent, MSG_NOSIGNAL) : 0;

		sent += n > 0 ? (size_t)n : 0;
		turns(d);
		n = recv(to, in + got, BIG - got, MSG_DONTWAIT);
		got += n > 0 ? (size_t)n : 0;
	}
	assert_memory_equal(in, out, BIG);
}

static void test_copies(void **state)
{
	struct doors d = {0};
	int client, pair[2] = {-1, -1};
	struct err e = {0};
	char text[512] = "", c;

	(void)state;
	assert_true(sd_event_new(&d.loop) >= 0);
	assert_int_equal(serve_listen_door(&d.fd, &d.door, &e), 0);
	assert_int_equal(serve_proxy_start(d.loop, d.fd, wants, &d, &d.proxy, &e), 0);

	client = enter(&d);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	serve_conn_give(d.wanted, pair[0]);
	carry(&d, client, pair[1]);
	carry(&d, pair[1], client);
	/* One side has said all, and the other goes on. */
	assert_int_equal(shutdown(client, SHUT_WR), 0);
	turns(&d);
	assert_int_equal(recv(pair[1], &c, 1, MSG_DONTWAIT), 0);
	carry(&d, pair[1], client);
	(void)close(pair[1]);
	turns(&d);
	assert_int_equal(recv(client, &c, 1, MSG_DONTWAIT), 0);
	(void)close(client);

	/* Nobody is there, or the command answers itself. */
	client = enter(&d);
	serve_conn_give(d.wanted, -1);
	assert_true(recv(client, text, sizeof(text) - 1, 0) > 0);
	assert_ptr_equal(strstr(text, "HTTP/1.1 503 Service Unavailable\r\n"), text);
	(void)close(client);
	client = enter(&d);
	serve_conn_answer(d.wanted, "200 OK", "text/plain", "own", 3);
	assert_true(recv(client, text, sizeof(text) - 1, 0) > 0);
	assert_non_null(strstr(text, "\r\n\r\nown"));
	(void)close(client);

	/* A proxy that is stopped has its connections until they end. */
	client = enter(&d);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	serve_conn_give(d.wanted, pair[0]);
	serve_proxy_stop(d.proxy);
	carry(&d, client, pair[1]);
	(void)close(client);
	(void)close(pair[1]);
	turns(&d);
	(void)close(d.door);
	(void)sd_event_unref(d.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_copies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
