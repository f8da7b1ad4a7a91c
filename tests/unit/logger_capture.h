/* SPDX-License-Identifier: Apache-2.0 */
/* What a follower was sent, read by a parser that is the tests' own. */
#ifndef TESTS_UNIT_LOGGER_CAPTURE_H
#define TESTS_UNIT_LOGGER_CAPTURE_H

#include "tests/unit/role_rig.h"

#include <string.h>
#include <sys/socket.h>

struct rig_capture {
	uint8_t *bytes[2]; /* out, err */
	size_t len[2], size[2];
	uint64_t cursors[4096], dropped, kept, next_cursor;
	uint8_t *pending;
	size_t n_pending;
	unsigned n_frames;
	uint8_t types[4096], reason;
	bool ended, complete, reset;
};

static void capture_frame(struct rig_capture *c, const struct log_frame *h, const uint8_t *data)
{
	int s = h->type - LOG_FRAME_OUT;

	assert_false(c->ended);
	assert_in_range(h->type, LOG_FRAME_OUT, LOG_FRAME_END);
	if (c->n_frames < ARRAY_SIZE(c->cursors)) {
		c->cursors[c->n_frames] = h->cursor;
		c->types[c->n_frames] = h->type;
	}
	c->n_frames++;
	if (h->type == LOG_FRAME_END) {
		c->ended = true;
		c->complete = h->aux;
		return;
	}
	assert_true(h->cursor >= c->next_cursor);
	c->next_cursor = h->cursor + 1;
	if (h->type == LOG_FRAME_DROPPED) {
		assert_int_equal(h->len, sizeof(uint64_t));
		memcpy(&c->kept, data, sizeof(c->kept));
		c->dropped += h->aux;
		c->reason = h->reason;
		return;
	}
	assert_in_range(h->len, 1, LOG_FRAME_DATA_MAX);
	if (c->len[s] + h->len > c->size[s]) {
		c->size[s] = 2 * c->size[s] + LOG_FRAME_DATA_MAX;
		c->bytes[s] = realloc(c->bytes[s], c->size[s]);
	}
	assert_non_null(c->bytes[s]);
	memcpy(c->bytes[s] + c->len[s], data, h->len);
	c->len[s] += h->len;
}

/* Reads once; false when the stream has ended. */
static bool capture_read(struct rig_capture *c, int fd)
{
	struct log_frame h;
	size_t pos = 0;
	ssize_t n;

	if (!c->pending)
		c->pending = malloc(1 << 20);
	assert_non_null(c->pending);
	n = recv(fd, c->pending + c->n_pending, (1 << 20) - c->n_pending, 0);
	if (n <= 0) {
		c->reset = !c->ended;
		return false;
	}
	c->n_pending += (size_t)n;
	while (c->n_pending - pos >= sizeof(h)) {
		memcpy(&h, c->pending + pos, sizeof(h));
		assert_true(h.len <= LOG_FRAME_DATA_MAX);
		if (c->n_pending - pos < sizeof(h) + h.len)
			break;
		capture_frame(c, &h, c->pending + pos + sizeof(h));
		pos += sizeof(h) + h.len;
	}
	memmove(c->pending, c->pending + pos, c->n_pending - pos);
	c->n_pending -= pos;
	return true;
}

/* Reads until so many bytes of a stream have come. */
RIG_UNUSED static void capture_until(struct rig_capture *c, int fd, int stream, size_t len)
{
	while (c->len[stream] < len) {
		rig_readable(fd);
		assert_true(capture_read(c, fd));
	}
}

/* Reads up to the END frame; the stream must end right after it. */
static void capture_all(struct rig_capture *c, int fd)
{
	do
		rig_readable(fd);
	while (capture_read(c, fd));
	assert_true(c->ended);
	assert_int_equal(c->n_pending, 0);
	(void)close(fd);
}

static void capture_free(struct rig_capture *c)
{
	free(c->bytes[0]);
	free(c->bytes[1]);
	free(c->pending);
	memset(c, 0, sizeof(*c));
}

static void capture_check(const struct rig_capture *c, int stream, const void *bytes, size_t len)
{
	assert_int_equal(c->len[stream], len);
	if (len)
		assert_memory_equal(c->bytes[stream], bytes, len);
}

#endif
