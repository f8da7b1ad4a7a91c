// SPDX-License-Identifier: Apache-2.0
/*
 * What a worker asks of others, of its assets and of a rate limit, and where its assets are. The test
 * plays the edge, and code that keeps to nothing.
 */
#include "tests/unit/web_rig.h"

#include <signal.h>

#include "lib/dir.h"

#define WORKER                                                                                     \
	"{\"name\":\"hello\",\"main\":\"entry\",\"main_file\":\"entry.py\","                       \
	"\"compatibility_date\":\"2026-03-01\",\"python\":\"3.11\""
#define BINDINGS                                                                                   \
	",\"bindings\":["                                                                          \
	"{\"name\":\"S\",\"type\":\"service\",\"service\":\"hello\",\"entrypoint\":\"Admin\"},"    \
	"{\"name\":\"N\",\"type\":\"service\",\"service\":\"none\"},"                              \
	"{\"name\":\"R\",\"type\":\"ratelimit\",\"namespace_id\":\"1\","                           \
	"\"simple\":{\"limit\":2,\"period\":60}},"                                                 \
	"{\"name\":\"Q\",\"type\":\"ratelimit\",\"namespace_id\":\"1\","                           \
	"\"simple\":{\"limit\":1,\"period\":10}}]"

#define FETCH(http)                                                                                \
	"{\"op\":\"ask\",\"id\":7,\"binding\":\"S\",\"method\":\"fetch\",\"http\":{" http "}}"
#define GET "\"method\":\"GET\",\"url\":"

static struct instance begin(struct rig *r)
{
	char version[WEB_UUID_LEN + 1];
	struct instance i;

	manifest = WORKER BINDINGS "}";
	i = deploy(r, "code", version);
	manifest = MANIFEST;
	assert_non_null(strstr(i.run.job, "\"timestamp\":\"20"));
	return i;
}

static void expect_error(int channel, const char *head, const char *why)
{
	json_t *o = ask(channel, head, "");

	assert_false(json_is_true(json_object_get(o, "ok")));
	if (!strstr(rig_text(o, "message"), why))
		fail_msg("%s: %s", head, rig_text(o, "message"));
	json_decref(o);
}

/* Where the edge listens. */
static int edge_listen_at(struct rig *r)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un name = {.sun_family = AF_UNIX};

	(void)snprintf(name.sun_path, sizeof(name.sun_path), "/proc/self/fd/%d/edge.sock",
		       r->cfg.edge_dirfd);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

/* What the front has sent to the edge, to the end of its head and of a body of so many bytes. */
static int edge_accept(int listener, char *buf, size_t size, size_t body)
{
	size_t n = 0;
	char *end;
	int fd;

	rig_readable(listener);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	do {
		rig_readable(fd);
		n += (size_t)read(fd, buf + n, size - 1 - n);
		buf[n] = '\0';
		end = strstr(buf, "\r\n\r\n");
	} while (!end || n < (size_t)(end + 4 - buf) + body);
	return fd;
}

static void edge_answer(int fd, const char *text)
{
	assert_int_equal(util_write_all(fd, text, strlen(text)), 0);
	(void)close(fd);
}

static void test_fetch(void **state)
{
	struct rig *r = *state;
	struct instance i = begin(r);
	int listener = edge_listen_at(r), fd;
	char buf[8192];
	json_t *o;

	say(i.channel,
	    FETCH("\"method\":\"PUT\",\"url\":\"https://u:p@h.example:81/a%2Fb?q#frag\","
		  "\"depth\":3,\"headers\":[[\"X-One\",\"\xc3\xbc\"],[\"Host\",\"evil\"],"
		  "[\"x-sandboxd-worker\",\"other/x\"],[\"Transfer-Encoding\",\"chunked\"],"
		  "[\"Content-Length\",\"99\"]]"),
	    "body", 4);
	fd = edge_accept(listener, buf, sizeof(buf), 4);
	assert_string_equal(buf, "PUT /.sandboxd/fetch HTTP/1.1\r\nHost: edge\r\n"
				 "Connection: close\r\nX-Sandboxd-Host: h.example:81\r\n"
				 "X-Sandboxd-Scheme: https\r\nX-Sandboxd-Target: /a%2Fb?q\r\n"
				 "X-Sandboxd-Worker: default/hello\r\nX-Sandboxd-Depth: 4\r\n"
				 "X-Sandboxd-Entrypoint: Admin\r\nX-One: \xfc\r\n"
				 "Content-Length: 4\r\n\r\nbody");
	edge_answer(fd, "HTTP/1.1 203 Fine\r\nServer: nginx\r\nConnection: close\r\nX-A: \xe9\r\n"
			"X-Sandboxd-Other: 1\r\nContent-Length: 2\r\n\r\nok");
	o = hear(i.channel);
	assert_int_equal(json_integer_value(json_object_get(o, "status")), 203);
	{
		char *text = json_dumps(json_object_get(o, "headers"), JSON_COMPACT);

		assert_string_equal(text, "[[\"X-A\",\"\xc3\xa9\"],[\"Content-Length\",\"2\"]]");
		free(text);
	}
	assert_string_equal(hear_body, "ok");
	json_decref(o);
	/* What the edge says, what the other worker has raised, and what ends too early. */
	static const char *const bad[][2] = {
		{"HTTP/1.1 503 No\r\nX-Sandboxd-Error: 1\r\nContent-Length: 6\r\n\r\nwhy\x1b[\n",
		 "why\\x1b["},
		{"HTTP/1.1 500 No\r\nX-Sandboxd-Exception: 1\r\nContent-Length: 0\r\n\r\n",
		 "has raised an exception"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nwhy", "before it was whole"},
		{"", "before it was whole"},
	};
	for (size_t n = 0; n < ARRAY_SIZE(bad); n++) {
		say(i.channel, FETCH(GET "\"http://x\""), "", 0);
		fd = edge_accept(listener, buf, sizeof(buf), 0);
		assert_non_null(strstr(buf, "X-Sandboxd-Target: /\r\n"));
		edge_answer(fd, bad[n][0]);
		o = hear(i.channel);
		assert_false(json_is_true(json_object_get(o, "ok")));
		assert_non_null(strstr(rig_text(o, "message"), bad[n][1]));
		json_decref(o);
	}
	/* Whoever has asked goes: so does what was asked. */
	say(i.channel, FETCH(GET "\"http://x\""), "", 0);
	fd = edge_accept(listener, buf, sizeof(buf), 0);
	(void)close(i.channel);
	rig_readable(fd);
	assert_int_equal(read(fd, buf, sizeof(buf)), 0);
	(void)close(fd);
	(void)close(listener);
	(void)close(i.run.serve);
}

static bool within(int channel, const char *binding, const char *key)
{
	char text[4096];
	json_t *o;
	bool ret;

	(void)snprintf(text, sizeof(text),
		       "{\"op\":\"ask\",\"id\":1,\"binding\":\"%s\",\"method\":\"limit\","
		       "\"key\":\"%s\"}",
		       binding, key);
	o = ask(channel, text, "");
	assert_true(json_is_true(json_object_get(o, "ok")));
	ret = json_is_true(json_object_get(o, "success"));
	json_decref(o);
	return ret;
}

/* Reads a frame, of which only the length of the body matters. Where all this takes as long as an instance
 * may be idle, it is told to drain meanwhile, which is no answer. */
static size_t hear_length(int sock)
{
	static const char drain[] = "{\"op\":\"drain\"}";
	static char piece[1 << 16];
	uint32_t lengths[2];

	do {
		rig_readable(sock);
		assert_int_equal(util_read_all(sock, lengths, sizeof(lengths)), 0);
		for (size_t left = le32toh(lengths[0]) + (size_t)le32toh(lengths[1]), n; left;
		     left -= n) {
			n = left < sizeof(piece) ? left : sizeof(piece);
			assert_int_equal(util_read_all(sock, piece, n), 0);
		}
	} while (lengths[1] == 0 && le32toh(lengths[0]) == strlen(drain) &&
		 memcmp(piece, drain, strlen(drain)) == 0);
	return le32toh(lengths[1]);
}

/* More in answers than a channel may hold, for code that does not read yet. */
static void test_many_answers(void **state)
{
	static char bytes[20 << 20];
	struct rig *r = *state;
	struct instance i = begin(r);
	int listener = edge_listen_at(r);
	char buf[8192];

	for (int n = 0; n < 5; n++)
		say(i.channel, FETCH(GET "\"http://x\""), "", 0);
	for (int n = 0; n < 5; n++) {
		int fd = edge_accept(listener, buf, sizeof(buf), 0);

		assert_int_equal(util_write_all(fd, "HTTP/1.1 200 OK\r\n\r\n", 19), 0);
		assert_int_equal(util_write_all(fd, bytes, sizeof(bytes)), 0);
		(void)close(fd);
	}
	for (int n = 0; n < 5; n++)
		assert_int_equal(hear_length(i.channel), sizeof(bytes));
	/* One too long is refused, and the channel goes on. */
	say(i.channel, FETCH(GET "\"http://x\""), "", 0);
	{
		int fd = edge_accept(listener, buf, sizeof(buf), 0);
		json_t *o;

		assert_int_equal(util_write_all(fd, "HTTP/1.1 200 OK\r\n\r\n", 19), 0);
		assert_int_equal(util_write_all(fd, bytes, sizeof(bytes)), 0);
		(void)util_write_all(fd, bytes, 8 << 20);
		o = hear(i.channel);
		assert_non_null(strstr(rig_text(o, "message"), "longer than 26 MiB"));
		json_decref(o);
		(void)close(fd);
	}
	assert_true(within(i.channel, "R", "k"));
	(void)close(listener);
	forget(&i);
}

#define PIECES(more) FETCH("\"method\":\"PUT\",\"url\":\"http://x/\",\"pieces\":true" more)
#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define WINDOW (256u << 10)

/* The next frame, which is a piece of the answer: its bytes, and how it ends. */
static void expect_piece(int channel, const char *bytes, const char *end)
{
	json_t *o = hear(channel);

	assert_string_equal(rig_text(o, "op"), "piece");
	assert_int_equal(json_integer_value(json_object_get(o, "id")), 7);
	assert_string_equal(hear_body, bytes);
	assert_int_equal(end && strcmp(end, "last") == 0, json_is_true(json_object_get(o, "last")));
	if (json_object_get(o, "broken") && (!end || !strstr(rig_text(o, "broken"), end)))
		fail_msg("broken: %s", rig_text(o, "broken"));
	json_decref(o);
}

static void expect_begun(int channel, const char *bytes)
{
	json_t *o = hear(channel);

	assert_string_equal(rig_text(o, "op"), "answer");
	assert_true(json_is_true(json_object_get(o, "ok")));
	assert_true(json_is_true(json_object_get(o, "stream")));
	assert_int_equal(json_integer_value(json_object_get(o, "status")), 200);
	assert_string_equal(hear_body, bytes);
	json_decref(o);
}

static void edge_say(int fd, const char *text)
{
	assert_int_equal(util_write_all(fd, text, strlen(text)), 0);
}

static void expect_closed(int fd)
{
	char c;

	rig_readable(fd);
	assert_true(read(fd, &c, 1) <= 0);
	(void)close(fd);
}

/* An answer goes to code that takes it in pieces as it comes. */
static void test_answer_in_pieces(void **state)
{
	struct rig *r = *state;
	struct instance i = begin(r);
	int listener = edge_listen_at(r), fd;
	char buf[8192];
	json_t *o;

	say(i.channel, PIECES(), "", 0);
	fd = edge_accept(listener, buf, sizeof(buf), 0);
	edge_say(fd, CHUNKED "3\r\none\r\n4\r\ntw");
	expect_begun(i.channel, "onetw");
	edge_say(fd, "o!\r\n");
	expect_piece(i.channel, "o!", NULL);
	edge_say(fd, "5\r\nthree\r\n0\r\n\r\n");
	expect_piece(i.channel, "three", "last");
	expect_closed(fd);
	/* One that is here at once is one frame. */
	say(i.channel, PIECES(), "", 0);
	fd = edge_accept(listener, buf, sizeof(buf), 0);
	edge_answer(fd, CHUNKED "3\r\none\r\n0\r\n\r\n");
	o = hear(i.channel);
	assert_false(json_is_true(json_object_get(o, "stream")));
	assert_string_equal(hear_body, "one");
	json_decref(o);
	/* One that ends too early; and what the other worker has raised, however it comes. */
	say(i.channel, PIECES(), "", 0);
	fd = edge_accept(listener, buf, sizeof(buf), 0);
	edge_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome");
	expect_begun(i.channel, "some");
	(void)close(fd);
	expect_piece(i.channel, "", "before it was whole");
	say(i.channel, PIECES(), "", 0);
	fd = edge_accept(listener, buf, sizeof(buf), 0);
	edge_say(fd, "HTTP/1.1 500 No\r\nX-Sandboxd-Exception: 1\r\n"
		     "Transfer-Encoding: chunked\r\n\r\n2\r\nwh\r\n");
	edge_answer(fd, "1\r\ny\r\n0\r\n\r\n");
	o = hear(i.channel);
	assert_string_equal(rig_text(o, "message"), "why");
	json_decref(o);
	(void)close(listener);
	forget(&i);
}

/* Reads frames to the answer of a rate limit. Returns how many bytes of bodies there were before it. */
static size_t hear_bytes(int channel)
{
	static char head[4096], piece[128 << 10];
	size_t bytes = 0;

	say(channel,
	    "{\"op\":\"ask\",\"id\":99,\"binding\":\"R\",\"method\":\"limit\",\"key\":\"k\"}", "",
	    0);
	for (;;) {
		uint32_t lengths[2];

		rig_readable(channel);
		assert_int_equal(util_read_all(channel, lengths, sizeof(lengths)), 0);
		assert_true(le32toh(lengths[0]) < sizeof(head));
		assert_true(le32toh(lengths[1]) <= sizeof(piece));
		assert_int_equal(util_read_all(channel, head, le32toh(lengths[0])), 0);
		assert_int_equal(util_read_all(channel, piece, le32toh(lengths[1])), 0);
		head[le32toh(lengths[0])] = '\0';
		bytes += le32toh(lengths[1]);
		if (strstr(head, "\"id\":99"))
			return bytes;
	}
}

/* Code that does not take what it has asked for is sent no more, and what it has let go of ends. */
static void test_answer_not_taken(void **state)
{
	static char bytes[1 << 20];
	struct rig *r = *state;
	struct instance i = begin(r);
	int listener = edge_listen_at(r), fd;
	size_t heard = 0, before;
	char buf[8192];

	say(i.channel, PIECES(), "", 0);
	fd = edge_accept(listener, buf, sizeof(buf), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	edge_say(fd, "HTTP/1.1 200 OK\r\n\r\n");
	for (int n = 0; n < 100; n++) {
		(void)!write(fd, bytes, sizeof(bytes));
		heard += hear_bytes(i.channel);
	}
	assert_true(heard > 0 && heard <= WINDOW + (64 << 10));
	before = heard;
	(void)snprintf(buf, sizeof(buf), "{\"op\":\"took\",\"id\":7,\"bytes\":%zu}", heard);
	say(i.channel, buf, "", 0);
	while (heard == before)
		heard += hear_bytes(i.channel);
	say(i.channel, "{\"op\":\"cancel\",\"id\":7}", "", 0);
	(void)hear_bytes(i.channel);
	/* Writing to it fails. */
	assert_true(send(fd, bytes, 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
	(void)close(fd);
	/* What is said of it now is about nothing. */
	say(i.channel, "{\"op\":\"took\",\"id\":7,\"bytes\":1}", "", 0);
	say(i.channel, "{\"op\":\"piece\",\"id\":7}", "x", 1);
	(void)hear_bytes(i.channel);
	(void)close(listener);
	forget(&i);
}

/* A body that comes in pieces goes on as it comes. */
static void test_body_in_pieces(void **state)
{
	static char piece[64 << 10];
	struct rig *r = *state;
	struct instance i = begin(r);
	int listener = edge_listen_at(r), fd;
	char buf[8192];
	json_t *o;

	/* Nothing of it is in the ask. */
	say(i.channel, PIECES(",\"stream\":true"), "0\r\n\r\nGET", 8);
	fd = edge_accept(listener, buf, sizeof(buf), 0);
	assert_string_equal(strstr(buf, "\r\n\r\n"), "\r\n\r\n");
	assert_non_null(strstr(buf, "\r\nTransfer-Encoding: chunked\r\n\r\n"));
	assert_null(strstr(buf, "Content-Length"));
	say(i.channel, "{\"op\":\"piece\",\"id\":7}", "\r\n0\r\n\r\nGET", 10);
	o = hear(i.channel);
	assert_string_equal(rig_text(o, "op"), "took");
	assert_int_equal(json_integer_value(json_object_get(o, "bytes")), 10);
	json_decref(o);
	say(i.channel, "{\"op\":\"piece\",\"id\":7,\"last\":true}", "d", 1);
	o = hear(i.channel);
	assert_int_equal(json_integer_value(json_object_get(o, "bytes")), 1);
	json_decref(o);
	memset(buf, 0, sizeof(buf));
	assert_true(read(fd, buf, sizeof(buf)) > 0);
	assert_string_equal(buf, "a\r\n\r\n0\r\n\r\nGET\r\n1\r\nd\r\n0\r\n\r\n");
	/* Behind the last one there is none. */
	say(i.channel, "{\"op\":\"piece\",\"id\":7}", "more", 4);
	assert_true(within(i.channel, "R", "k"));
	assert_int_equal(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), -1);
	edge_answer(fd, "HTTP/1.1 204 OK\r\n\r\n");
	o = hear(i.channel);
	assert_int_equal(json_integer_value(json_object_get(o, "status")), 204);
	json_decref(o);
	/* One that breaks off is no whole request. */
	say(i.channel, PIECES(",\"stream\":true"), "", 0);
	fd = edge_accept(listener, buf, sizeof(buf), 0);
	say(i.channel, "{\"op\":\"piece\",\"id\":7,\"broken\":true}", "", 0);
	o = hear(i.channel);
	assert_string_equal(rig_text(o, "message"), "the request's body has broken off");
	json_decref(o);
	expect_closed(fd);
	/* Code that does not wait for who reads it. */
	say(i.channel, PIECES(",\"stream\":true"), "", 0);
	fd = edge_accept(listener, buf, sizeof(buf), 0);
	for (int n = 0; n < 40; n++)
		say(i.channel, "{\"op\":\"piece\",\"id\":7}", piece, sizeof(piece));
	do {
		o = hear(i.channel);
		if (strcmp(rig_text(o, "op"), "took") == 0) {
			json_decref(o);
			o = NULL;
		}
	} while (!o);
	assert_string_equal(rig_text(o, "message"), "the request's body comes faster than it may");
	json_decref(o);
	(void)close(fd);
	(void)close(listener);
	forget(&i);
}

static void test_refused(void **state)
{
	static const char *const urls[] = {
		"\"\"",
		"\"x\"",
		"\"ftp://x/\"",
		"\"http:///x\"",
		"\"http://x/a b\"",
		"\"http://x/\\r\\nX-Sandboxd-Worker: o\"",
		"\"http://x\\\"y/\"",
		"\"http://x:80\\r\\n/\"",
		"\"http://\xc3\xbc/\"",
		"\"http://x/\xc3\xbc\"",
		"7",
		"null",
	};
	static const char *const methods[] = {"\"\"",	     "\"GET /\"",   "\"get\"",
					      "\"CONNECT\"", "\"G\\r\\n\"", "7"};
	static const char *const fields[] = {"[\"A\",\"b\\r\\nX: 1\"]",
					     "[\"A: 1\\r\\nB\",\"b\"]",
					     "[\"\",\"b\"]",
					     "[\"A\"]",
					     "[\"A\",7]",
					     "[\"A b\",\"1\"]",
					     "\"A\"",
					     "[\"A\",\"\xe2\x82\xac\"]"};
	struct rig *r = *state;
	struct instance i = begin(r);
	int listener = edge_listen_at(r);
	char text[512];

	for (size_t n = 0; n < ARRAY_SIZE(urls); n++) {
		(void)snprintf(text, sizeof(text), FETCH(GET "%s"), urls[n]);
		expect_error(i.channel, text, "the method or the URL");
	}
	for (size_t n = 0; n < ARRAY_SIZE(methods); n++) {
		(void)snprintf(text, sizeof(text), FETCH("\"method\":%s,\"url\":\"http://x/\""),
			       methods[n]);
		expect_error(i.channel, text, "the method or the URL");
	}
	for (size_t n = 0; n < ARRAY_SIZE(fields); n++) {
		(void)snprintf(text, sizeof(text), FETCH(GET "\"http://x/\",\"headers\":[%s]"),
			       fields[n]);
		expect_error(i.channel, text, "a header cannot be sent");
	}
	expect_error(i.channel, FETCH(GET "\"http://x/\",\"depth\":16"),
		     "Subrequest depth limit exceeded");
	expect_error(i.channel, FETCH(GET "\"http://x/\",\"depth\":-1"),
		     "Subrequest depth limit exceeded");
	expect_error(i.channel,
		     "{\"op\":\"ask\",\"id\":1,\"binding\":\"N\",\"method\":\"fetch\",\"http\":{}}",
		     "the worker none, which this project has not deployed");
	expect_error(i.channel, "{\"op\":\"ask\",\"id\":1,\"binding\":\"S\",\"method\":\"run\"}",
		     "cannot be asked for that");
	(void)unlinkat(r->cfg.edge_dirfd, "edge.sock", 0);
	expect_error(i.channel, FETCH(GET "\"http://x/\""), "the edge is not there");
	(void)close(listener);
	forget(&i);
}

static void test_rate(void **state)
{
	struct rig *r = *state;
	struct instance i = begin(r);
	char text[4096], key[2050];

	assert_true(within(i.channel, "R", "k"));
	assert_true(within(i.channel, "R", "k"));
	assert_false(within(i.channel, "R", "k"));
	assert_true(within(i.channel, "R", "other"));
	/* Another period is counted for itself. */
	assert_true(within(i.channel, "Q", "k"));
	assert_false(within(i.channel, "Q", "k"));
	memset(key, 'k', 2049);
	key[2049] = '\0';
	(void)snprintf(text, sizeof(text),
		       "{\"op\":\"ask\",\"id\":1,\"binding\":\"R\",\"method\":\"limit\","
		       "\"key\":\"%s\"}",
		       key);
	expect_error(i.channel, text, "at most 2048 bytes");
	expect_error(i.channel, "{\"op\":\"ask\",\"id\":1,\"binding\":\"R\",\"method\":\"limit\"}",
		     "limit(key=...)");
	/* As many keys as are kept push out the first one. */
	for (unsigned n = 0; n < 20000; n++) {
		(void)snprintf(key, sizeof(key), "%u", n);
		assert_true(within(i.channel, "R", key));
	}
	assert_true(within(i.channel, "R", "k"));
	assert_true(within(i.channel, "R", "19999"));
	assert_false(within(i.channel, "R", "19999"));
	forget(&i);
}

/* Assets */

#define ASSETS ",\"assets\":{\"directory\":\".sandboxd/assets\",\"only\":true}"

struct file {
	const char *name, *content, *link; /* of one of the two */
};

static int tar_of(const struct file *files)
{
	int fd = memfd_create("tar", MFD_CLOEXEC);
	struct archive *a = archive_write_new();

	assert_int_equal(archive_write_set_format_ustar(a), ARCHIVE_OK);
	assert_int_equal(archive_write_open_fd(a, fd), ARCHIVE_OK);
	for (; files->name; files++) {
		struct archive_entry *entry = archive_entry_new();
		const size_t len = files->content ? strlen(files->content) : 0;

		archive_entry_set_pathname(entry, files->name);
		archive_entry_set_filetype(entry, files->content ? AE_IFREG : AE_IFLNK);
		if (files->link)
			archive_entry_set_symlink(entry, files->link);
		archive_entry_set_perm(entry, 0644);
		archive_entry_set_size(entry, (la_int64_t)len);
		assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
		assert_int_equal(archive_write_data(a, files->content, len), len);
		archive_entry_free(entry);
	}
	assert_int_equal(archive_write_free(a), ARCHIVE_OK);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

/* A deploy of these files, to the answer. */
static json_t *deploy_files(struct rig *r, const struct file *files)
{
	static const char text[] = WORKER ASSETS "}";
	static char bytes[64 << 10];
	int conn = begin_deploy(r), fd = tar_of(files);
	struct run run = expect_start(r);
	const ssize_t n = read(fd, bytes, sizeof(bytes));
	json_t *reply;

	(void)close(fd);
	say(run.serve, "{\"op\":\"package\",\"last\":true}", bytes, (size_t)n);
	say(run.serve, "{\"op\":\"manifest\"}", text, strlen(text));
	(void)close(run.serve);
	end_run(r, run.id, VERDICT_OK);
	reply = rig_reply(conn);
	(void)close(conn);
	return reply;
}

/* Packages whose assets the edge can read. */
static size_t count(struct rig *r)
{
	_cleanup_fd_ int fd =
		openat(r->cfg.state_dirfd, "assets", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_names_ struct dir_names names = {0};

	assert_int_equal(dir_names_read(fd, 100, &names), 0);
	return names.n;
}

static void remove_worker(struct rig *r)
{
	json_t *o = rig_call(r, "{\"op\":\"web_rm\",\"project\":\"default\",\"name\":\"hello\"}");

	assert_true(json_is_true(json_object_get(o, "ok")));
	json_decref(o);
}

static void test_assets(void **state)
{
	static const struct file good[] = {{".sandboxd/assets/files/a", "a", NULL}, {0}};
	static const struct file bad[][4] = {
		/* Moved, such a link would lead out of the package. */
		{{"x/files/a", "a", NULL}, {".sandboxd/assets", NULL, "../x"}, {0}},
		{{"x/assets/files/a", "a", NULL}, {".sandboxd", NULL, "x"}, {0}},
		{{".sandboxd/assets", "a", NULL}, {0}},
		{{"a", "a", NULL}, {0}},
	};
	struct rig *r = *state;
	json_t *reply;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		rig_expect_error(deploy_files(r, bad[i]), "input", "assets: the package has none");
		assert_int_equal(count(r), 0);
	}
	/* Twice the same package: it is there once, until nothing has it. */
	for (int i = 0; i < 2; i++) {
		reply = deploy_files(r, good);
		if (!json_is_true(json_object_get(reply, "ok")))
			fail_msg("%s", rig_text(reply, "error"));
		assert_string_equal(rig_text(reply, "snapshot"), "none");
		json_decref(reply);
		assert_int_equal(count(r), 1);
	}
	rig_kill(r);
	rig_start(r, true);
	assert_int_equal(count(r), 1);
	remove_worker(r);
	assert_int_equal(count(r), 0);
	reply = deploy_files(r, good);
	assert_true(json_is_true(json_object_get(reply, "ok")));
	json_decref(reply);
	assert_int_equal(count(r), 1);
	/* Nothing can be called in it. */
	rig_expect_error(
		rig_call(r, "{\"op\":\"web_test\",\"project\":\"default\",\"name\":\"hello\"}"),
		"not-found", "assets alone");
	remove_worker(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WEB(test_fetch),
		WITH_WEB(test_many_answers),
		WITH_WEB(test_refused),
		WITH_WEB(test_answer_in_pieces),
		WITH_WEB(test_answer_not_taken),
		WITH_WEB(test_body_in_pieces),
		WITH_WEB(test_rate),
		WITH_WEB(test_assets),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
