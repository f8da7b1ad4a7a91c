// SPDX-License-Identifier: Apache-2.0
/* How frames become text: byte for byte, or safe for a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/unit/log_feed.h"
#include "wire/log_client.h"

static struct log_client client;
static uint8_t stream[1 << 20]; /* frames, to be fed */
static size_t n_stream;
static char text[1 << 20];
static int out_pipe[2], err_pipe[2];

static int setup(void **state)
{
	struct log_client_options opts = {0};

	(void)state;
	assert_int_equal(pipe2(out_pipe, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(pipe2(err_pipe, O_CLOEXEC | O_NONBLOCK), 0);
	(void)fcntl(out_pipe[1], F_SETPIPE_SZ, 1 << 20);
	(void)fcntl(err_pipe[1], F_SETPIPE_SZ, 1 << 20);
	opts.out_fd = out_pipe[1];
	opts.err_fd = err_pipe[1];
	assert_int_equal(log_client_init(&client, &opts), 0);
	n_stream = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	log_client_clear(&client);
	for (int i = 0; i < 2; i++) {
		util_close_fd(&out_pipe[i]);
		util_close_fd(&err_pipe[i]);
	}
	return 0;
}

static void frame(enum log_frame_type type, uint64_t cursor, const void *data, size_t len)
{
	struct log_frame h = {.type = (uint8_t)type,
			      .cursor = cursor,
			      .len = (uint32_t)len,
			      .time_ns = 1700000000123456789u};

	memcpy(stream + n_stream, &h, sizeof(h));
	if (len)
		memcpy(stream + n_stream + sizeof(h), data, len);
	n_stream += sizeof(h) + len;
}

static void frame_dropped(uint64_t cursor, enum log_drop reason, uint64_t dropped, uint64_t kept)
{
	struct log_frame h = {.type = LOG_FRAME_DROPPED,
			      .cursor = cursor,
			      .len = sizeof(kept),
			      .reason = (uint8_t)reason,
			      .aux = dropped};

	memcpy(stream + n_stream, &h, sizeof(h));
	memcpy(stream + n_stream + sizeof(h), &kept, sizeof(kept));
	n_stream += sizeof(h) + sizeof(kept);
}

static void frame_end(uint64_t cursor, bool complete)
{
	struct log_frame h = {.type = LOG_FRAME_END, .cursor = cursor, .aux = complete};

	memcpy(stream + n_stream, &h, sizeof(h));
	n_stream += sizeof(h);
}

static int feed(void)
{
	int r = log_feed(&client, stream, n_stream, NULL);

	n_stream = 0;
	return r;
}

static void expect(const int pipe_fds[2], const void *want, size_t len)
{
	ssize_t n = read(pipe_fds[0], text, sizeof(text));

	assert_int_equal(n < 0 ? 0 : n, len);
	if (len)
		assert_memory_equal(text, want, len);
}

static void expect_text(const int pipe_fds[2], const char *want)
{
	expect(pipe_fds, want, strlen(want));
}

static void test_byte_for_byte(void **state)
{
	static const char all[] = "a\0\x1b[31m\xff\r\n\x80 no newline";

	(void)state;
	frame(LOG_FRAME_OUT, 0, all, sizeof(all));
	frame(LOG_FRAME_ERR, 1, "err", 3);
	frame_end(2, true);
	assert_int_equal(feed(), LOG_CLIENT_END);
	expect(out_pipe, all, sizeof(all));
	expect_text(err_pipe, "err");
	assert_true(client.complete);
	assert_int_equal(log_client_cursor(&client), 2);
}

/* The stream of frames gives the same text wherever it is cut into pieces. */
static void test_any_cut(void **state)
{
	static uint8_t whole[sizeof(stream)];
	size_t len;

	(void)state;
	frame(LOG_FRAME_OUT, 0, "first\n", 6);
	frame(LOG_FRAME_OUT, 1, "second\n", 7);
	frame_end(2, false);
	len = n_stream;
	memcpy(whole, stream, len);
	for (size_t cut = 0; cut <= len; cut++) {
		struct log_client_options opts = client.opts;

		log_client_clear(&client);
		assert_int_equal(log_client_init(&client, &opts), 0);
		assert_int_equal(log_feed(&client, whole, cut, NULL),
				 cut == len ? LOG_CLIENT_END : 0);
		assert_int_equal(log_feed(&client, whole + cut, len - cut, NULL), LOG_CLIENT_END);
		expect_text(out_pipe, "first\nsecond\n");
		assert_false(client.complete);
	}
}

/* A frame that was cut off by the end of a connection is not written, and the next connection asks
 * for it again. */
static void test_reconnect(void **state)
{
	(void)state;
	frame(LOG_FRAME_OUT, 0, "one\n", 4);
	frame(LOG_FRAME_OUT, 7, "two\n", 4);
	n_stream -= 2;
	assert_int_equal(feed(), 0);
	expect_text(out_pipe, "one\n");
	assert_int_equal(log_client_cursor(&client), 1);
	log_client_reconnect(&client);
	frame(LOG_FRAME_OUT, 7, "two\n", 4);
	frame_end(8, true);
	assert_int_equal(feed(), LOG_CLIENT_END);
	expect_text(out_pipe, "two\n");
}

static void test_bad_frames(void **state)
{
	static const struct {
		uint8_t type;
		uint32_t len;
	} bad[] = {{0, 0},
		   {5, 0},
		   {255, 4},
		   {LOG_FRAME_OUT, LOG_FRAME_DATA_MAX + 1},
		   {LOG_FRAME_ERR, UINT32_MAX},
		   {LOG_FRAME_END, 1},
		   {LOG_FRAME_DROPPED, 0},
		   {LOG_FRAME_DROPPED, 9}};
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct log_frame h = {.type = bad[i].type, .len = bad[i].len};

		log_client_reconnect(&client);
		assert_int_equal(log_feed(&client, &h, sizeof(h), &e), -EPROTO);
		assert_int_equal(e.code, ERR_INTERNAL);
	}
}

static void escaped(const char *in, size_t len, const char *want)
{
	client.opts.escape_out = true;
	/* Characters that come whole, and characters that come with one byte in each frame: both
	 * are written whole. */
	for (size_t piece = len; piece; piece = piece == 1 ? 0 : 1) {
		for (size_t i = 0; i < len; i += piece)
			frame(LOG_FRAME_OUT, i, in + i, piece);
		assert_int_equal(feed(), 0);
		frame(LOG_FRAME_OUT, 0, "\n", 1);
		assert_int_equal(feed(), 0);
		expect_text(out_pipe, want);
	}
}

#define ESCAPED(in, want) escaped(in, sizeof(in) - 1, want "\n")

static void test_terminal(void **state)
{
	(void)state;
	ESCAPED("plain\ttext\nand more", "plain\ttext\nand more");
	ESCAPED("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m");
	ESCAPED("\0\a\b\x7f", "\\x00\\x07\\x08\\x7f");
	ESCAPED("line\r\nline\rover", "line\r\nline\\x0dover");
	ESCAPED("cr at the end\r", "cr at the end\r");
	ESCAPED("\r\r\n", "\\x0d\r\n");
	ESCAPED("gr\xc3\xbc\xc3\x9f, \xe2\x82\xac, \xf0\x9f\x90\x8d",
		"gr\xc3\xbc\xc3\x9f, \xe2\x82\xac, \xf0\x9f\x90\x8d");
	ESCAPED("c1 \xc2\x9b"
		"31m",
		"c1 \\u009b31m");
	ESCAPED("bidi \xe2\x80\xae \xe2\x80\xac \xe2\x81\xa6 \xe2\x81\xa9 \xd8\x9c",
		"bidi \\u202e \\u202c \\u2066 \\u2069 \\u061c");
	ESCAPED("\xff\xfe\x80", "\\xff\\xfe\\x80");
	ESCAPED("overlong \xc0\xaf \xe0\x80\xaf", "overlong \\xc0\\xaf \\xe0\\x80\\xaf");
	ESCAPED("surrogate \xed\xa0\x80", "surrogate \\xed\\xa0\\x80");
	ESCAPED("too high \xf4\x90\x80\x80", "too high \\xf4\\x90\\x80\\x80");
	ESCAPED("cut \xe2\x82", "cut \\xe2\\x82");
	ESCAPED("cut \xe2\x82"
		"a",
		"cut \\xe2\\x82"
		"a");
	ESCAPED("cut \xe2\x82\xc3\xbc", "cut \\xe2\\x82\xc3\xbc");
	ESCAPED("cut \xe2\x82\r", "cut \\xe2\\x82\r");
}

static void test_terminal_end(void **state)
{
	(void)state;
	client.opts.escape_out = true;
	frame(LOG_FRAME_OUT, 0, "rest \xe2\x82", 7);
	assert_int_equal(feed(), 0);
	expect_text(out_pipe, "rest ");
	frame_end(1, true);
	assert_int_equal(feed(), LOG_CLIENT_END);
	expect_text(out_pipe, "\\xe2\\x82");
}

#define STAMP "2023-11-14T22:13:20.123456789Z "

static void test_timestamps(void **state)
{
	(void)state;
	client.opts.timestamps = true;
	frame(LOG_FRAME_OUT, 0, "a\nb", 3);
	frame(LOG_FRAME_ERR, 1, "\n", 1);
	frame(LOG_FRAME_OUT, 2, "c\n\n", 3);
	frame(LOG_FRAME_OUT, 3, "d\n", 2);
	assert_int_equal(feed(), 0);
	expect_text(out_pipe, STAMP "a\n" STAMP "bc\n" STAMP "\n" STAMP "d\n");
	expect_text(err_pipe, STAMP "\n");
}

/* Where others write, too, only whole lines are written, and each in its turn. */
static void test_whole_lines(void **state)
{
	static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
	static char full[LOG_CLIENT_LINE_MAX];

	(void)state;
	client.opts.out_turn = client.opts.err_turn = &turn;
	frame(LOG_FRAME_OUT, 0, "begun ", 6);
	assert_int_equal(feed(), 0);
	expect_text(out_pipe, "");
	frame(LOG_FRAME_ERR, 1, "a line\nand ", 11);
	frame(LOG_FRAME_OUT, 2, "and ended\n\nmore", 15);
	assert_int_equal(feed(), 0);
	expect_text(out_pipe, "begun and ended\n\n");
	expect_text(err_pipe, "a line\n");
	/* What is told of the log stands in a line of its own. */
	frame_dropped(3, LOG_DROP_DISK, 5, 0);
	assert_int_equal(feed(), 0);
	expect_text(err_pipe, "and \n[no room for the log: 5 bytes dropped so far]\n");
	/* A line without end is not kept without end. */
	memset(full, 'x', sizeof(full));
	for (size_t at = 0; at < sizeof(full); at += 4096)
		frame(LOG_FRAME_ERR, 4 + at, full + at, 4096);
	assert_int_equal(feed(), 0);
	assert_int_equal(read(err_pipe[0], text, sizeof(text)), sizeof(full));
	frame_end(4 + sizeof(full), true);
	assert_int_equal(feed(), LOG_CLIENT_END);
	expect_text(out_pipe, "more\n");
	expect_text(err_pipe, "\n");
	/* Every turn was given up. */
	assert_int_equal(pthread_mutex_trylock(&turn), 0);
	(void)pthread_mutex_unlock(&turn);
}

static void test_markers(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	frame(LOG_FRAME_ERR, 0, "in a line", 9);
	frame_dropped(1, LOG_DROP_LIMIT, 100, 16 << 20);
	assert_int_equal(util_write_all(pair[1], stream, n_stream), 0);
	n_stream = 0;
	/* While the log is followed, each marker is written at once. */
	assert_int_equal(log_client_read(&client, pair[0], NULL), -EAGAIN);
	expect_text(err_pipe, "in a line\n[log limit of 16M reached: 100 bytes dropped so far]\n");
	assert_int_equal(log_client_read(&client, pair[0], NULL), -EAGAIN);
	expect_text(err_pipe, "");
	frame_dropped(2, LOG_DROP_LIMIT, 900, 16 << 20);
	frame_end(3, true);
	assert_int_equal(util_write_all(pair[1], stream, n_stream), 0);
	assert_int_equal(log_client_read(&client, pair[0], NULL), LOG_CLIENT_END);
	expect_text(err_pipe, "[log limit of 16M reached: 1000 bytes dropped]\n");
	(void)close(pair[0]);
	(void)close(pair[1]);
}

/* In a log that is complete, drops that follow each other become one marker, at the place where the
 * bytes are missing. */
static void test_markers_afterwards(void **state)
{
	(void)state;
	client.opts.err_fd = out_pipe[1];
	frame_dropped(0, LOG_DROP_RING, 9, 1 << 20);
	frame(LOG_FRAME_OUT, 0, "before\n", 7);
	frame_dropped(1, LOG_DROP_DISK, 100, 7);
	frame_dropped(2, LOG_DROP_DISK, 200, 7);
	frame(LOG_FRAME_OUT, 3, "after\n", 6);
	frame_dropped(4, LOG_DROP_DISK, 1, 13);
	frame_dropped(5, LOG_DROP_LIMIT, 5, 13);
	frame_end(6, true);
	assert_int_equal(feed(), LOG_CLIENT_END);
	expect_text(out_pipe, "[the log keeps its last 1M: 9 bytes before them are gone]\n"
			      "before\n[no room for the log: 300 bytes dropped]\nafter\n"
			      "[no room for the log: 301 bytes dropped]\n"
			      "[log limit of 13 reached: 5 bytes dropped]\n");
}

static void test_broken_ends(void **state)
{
	struct err e;
	int pair[2];

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	(void)close(pair[1]);
	assert_int_equal(log_client_read(&client, pair[0], &e), -ECONNRESET);
	assert_int_equal(e.code, ERR_UNAVAILABLE);
	(void)close(pair[0]);
	util_close_fd(&out_pipe[0]);
	frame(LOG_FRAME_OUT, 0, "nobody reads", 12);
	assert_int_equal(feed(), -EPIPE);
}

/* A frame that is larger than the client's buffer, with a reader that empties its pipe late. */
static void test_large(void **state)
{
	static uint8_t data[LOG_FRAME_DATA_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i % 251);
	for (int i = 0; i < 10; i++) {
		frame(LOG_FRAME_OUT, (uint64_t)i, data, sizeof(data));
		assert_int_equal(feed(), 0);
	}
	for (int i = 0; i < 10; i++) {
		assert_int_equal(util_read_all(out_pipe[0], text, sizeof(data)), 0);
		assert_memory_equal(text, data, sizeof(data));
	}
}

/* The patience is counted from the first break since the connection was last good. */
static void test_retry(void **state)
{
	const uint64_t hour = 3600000000000ULL;
	struct log_retry r = {0};

	(void)state;
	assert_false(log_retry_is_over(&r, 0));
	log_retry_attached(&r);
	log_retry_broke(&r);
	assert_false(log_retry_is_over(&r, hour));
	/* The first break was an hour ago; a connection that is only accepted and closed does not
	 * change that. */
	r.broke_ns -= hour + 1;
	log_retry_attached(&r);
	log_retry_broke(&r);
	assert_true(log_retry_is_over(&r, hour));
	/* A connection that cannot be made does not either. */
	log_retry_broke(&r);
	assert_true(log_retry_is_over(&r, hour));
	/* A connection that has lasted, or one by which something has come, does. */
	log_retry_attached(&r);
	r.attached_ns -= hour;
	log_retry_broke(&r);
	assert_false(log_retry_is_over(&r, hour));
	r.broke_ns -= hour + 1;
	assert_true(log_retry_is_over(&r, hour));
	log_retry_went_well(&r);
	assert_false(log_retry_is_over(&r, hour));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_byte_for_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(test_any_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reconnect, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_frames, setup, teardown),
		cmocka_unit_test_setup_teardown(test_terminal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_terminal_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timestamps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_whole_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_markers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_markers_afterwards, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large, setup, teardown),
		cmocka_unit_test(test_retry),
	};

	return cmocka_run_group_tests_name("log_client", tests, NULL, NULL);
}
