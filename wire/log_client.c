// SPDX-License-Identifier: Apache-2.0
#include "wire/log_client.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define LASTED_NS (1 * SEC)
#define BUF_SIZE (sizeof(struct log_frame) + LOG_FRAME_DATA_MAX)

void log_retry_attached(struct log_retry *r)
{
	r->attached_ns = util_monotonic_ns();
}

void log_retry_went_well(struct log_retry *r)
{
	r->broke_ns = 0;
}

void log_retry_broke(struct log_retry *r)
{
	const uint64_t now = util_monotonic_ns();

	if (!r->broke_ns || (r->attached_ns && now - r->attached_ns > LASTED_NS))
		r->broke_ns = now;
	r->attached_ns = 0;
}

bool log_retry_is_over(const struct log_retry *r, uint64_t patience_ns)
{
	return r->broke_ns && util_monotonic_ns() - r->broke_ns > patience_ns;
}

#define LABEL_MAX 80

static int fd_of(const struct log_client *c, int stream)
{
	return stream == 0 ? c->opts.out_fd : c->opts.err_fd;
}

static pthread_mutex_t *turn_of(const struct log_client *c, int stream)
{
	return stream == 0 ? c->opts.out_turn : c->opts.err_turn;
}

/* Writes n of the bytes that are held. */
static int write_held(struct log_client *c, int stream, size_t n, const char *stamp)
{
	const bool escape = stream == 0 ? c->opts.escape_out : c->opts.escape_err;
	struct log_held *h = &c->held[stream];
	int r;

	(void)pthread_mutex_lock(turn_of(c, stream));
	r = log_text_print(fd_of(c, stream), &c->text[stream], h->bytes, n, escape, stamp);
	(void)pthread_mutex_unlock(turn_of(c, stream));
	h->len -= n;
	memmove(h->bytes, h->bytes + n, h->len);
	return r;
}

static int write_lines(struct log_client *c, int stream, const char *data, size_t len,
		       const char *stamp)
{
	struct log_held *h = &c->held[stream];
	const char *end;

	if (h->size - h->len < len) {
		char *more = realloc(h->bytes, h->len + len);

		if (!more)
			return -ENOMEM;
		h->bytes = more;
		h->size = h->len + len;
	}
	if (len == 0)
		return 0;
	memcpy(h->bytes + h->len, data, len);
	h->len += len;
	end = memrchr(h->bytes, '\n', h->len);
	if (end)
		return write_held(c, stream, (size_t)(end - h->bytes) + 1, stamp);
	return h->len < LOG_CLIENT_LINE_MAX ? 0 : write_held(c, stream, h->len, stamp);
}

/* Of a line whose end will not come, or not before something else is written. */
static int end_line(struct log_client *c, int stream)
{
	const struct log_held *h = &c->held[stream];

	if (!turn_of(c, stream) || (h->len == 0 && !c->text[stream].mid_line))
		return 0;
	return write_lines(c, stream, "\n", 1, NULL);
}

static int write_text(struct log_client *c, int stream, const struct log_frame *head,
		      const uint8_t *data)
{
	const bool escape = stream == 0 ? c->opts.escape_out : c->opts.escape_err;
	const int fd = fd_of(c, stream);
	char stamp[LABEL_MAX + 40] = "";
	const time_t second = (time_t)(head->time_ns / SEC);
	struct tm tm;

	if (fd < 0)
		return 0;
	if (c->opts.label && gmtime_r(&second, &tm)) {
		(void)snprintf(stamp, sizeof(stamp), "%02d:%02d:%02d: [%.*s] ", tm.tm_hour,
			       tm.tm_min, tm.tm_sec, LABEL_MAX, c->opts.label);
	} else if (c->opts.timestamps) {
		util_format_time(head->time_ns, stamp, 39);
		strcat(stamp, " ");
	}
	if (turn_of(c, stream))
		return write_lines(c, stream, (const char *)data, head->len, *stamp ? stamp : NULL);
	return log_text_print(fd, &c->text[stream], data, head->len, escape, *stamp ? stamp : NULL);
}

int log_marker_text(uint8_t reason, uint64_t kept, uint64_t dropped, bool final, char *buf,
		    size_t size)
{
	char bound[32];

	if (reason == LOG_DROP_RING)
		return snprintf(
			buf, size, "[the log keeps its last %s: %llu bytes before them are gone]\n",
			util_format_size(kept, bound, sizeof(bound)), (unsigned long long)dropped);
	if (reason == LOG_DROP_DISK)
		return snprintf(buf, size, "[no room for the log: %llu bytes dropped%s]\n",
				(unsigned long long)dropped, final ? "" : " so far");
	return snprintf(buf, size, "[log limit of %s reached: %llu bytes dropped%s]\n",
			util_format_size(kept, bound, sizeof(bound)), (unsigned long long)dropped,
			final ? "" : " so far");
}

/* Writes a line to stderr that says how much is missing here. */
static int write_marker(struct log_client *c, bool final)
{
	char text[160] = "\n";
	int n, r;

	if (c->dropped == c->dropped_told)
		return 0;
	c->dropped_told = c->dropped;
	if (c->opts.quiet || c->opts.err_fd < 0)
		return 0;
	r = end_line(c, 1);
	n = c->text[1].mid_line ? 1 : 0;
	n += log_marker_text(c->drop_reason, c->kept, c->dropped, final, text + n,
			     sizeof(text) - (size_t)n);
	if (c->opts.err_turn)
		(void)pthread_mutex_lock(c->opts.err_turn);
	r = r < 0 ? r : log_text_write(c->opts.err_fd, text, (size_t)n);
	if (c->opts.err_turn)
		(void)pthread_mutex_unlock(c->opts.err_turn);
	c->text[1].mid_line = false;
	return r;
}

/* Writes what still waits for the rest of a character when the log ends. */
static int settle_streams(struct log_client *c)
{
	int r = 0;

	for (int s = 0; s < 2; s++) {
		struct log_text_out o = {.fd = fd_of(c, s)};

		if (o.fd < 0)
			continue;
		if (turn_of(c, s)) {
			int ended = end_line(c, s);

			r = r < 0 ? r : ended;
			continue;
		}
		log_text_settle(&o, &c->text[s]);
		log_text_flush(&o);
		if (r == 0)
			r = o.error;
	}
	return r;
}

int log_frame_check(const struct log_frame *h, struct err *e)
{
	bool ok;

	switch (h->type) {
	case LOG_FRAME_OUT:
	case LOG_FRAME_ERR:
		ok = h->len <= LOG_FRAME_DATA_MAX;
		break;
	case LOG_FRAME_DROPPED:
		ok = h->len == sizeof(uint64_t);
		break;
	default:
		ok = h->type == LOG_FRAME_END && h->len == 0;
	}
	if (ok)
		return 0;
	return err_set(e, ERR_INTERNAL, EPROTO,
		       "the log's stream holds a frame of type %u with %u bytes", h->type, h->len);
}

static int frame_write(struct log_client *c, const struct log_frame *h, const uint8_t *data)
{
	int r;

	switch (h->type) {
	case LOG_FRAME_DROPPED:
		if (h->reason != c->drop_reason) {
			r = write_marker(c, true);
			if (r < 0)
				return r;
			c->dropped = c->dropped_told = 0;
		}
		if (__builtin_add_overflow(c->dropped, h->aux, &c->dropped))
			c->dropped = UINT64_MAX;
		c->drop_reason = h->reason;
		memcpy(&c->kept, data, sizeof(c->kept));
		return 0;
	case LOG_FRAME_END:
		c->ended = true;
		c->complete = h->aux != 0;
		r = settle_streams(c);
		return r < 0 ? r : write_marker(c, true);
	default:
		r = write_marker(c, true);
		return r < 0 ? r : write_text(c, h->type - LOG_FRAME_OUT, h, data);
	}
}

/* Handles all whole frames in the buffer. */
static int frames_take(struct log_client *c, struct err *e)
{
	size_t pos = 0;
	int r = 0;

	while (!c->ended && c->n_buf - pos >= sizeof(struct log_frame)) {
		struct log_frame h;

		memcpy(&h, c->buf + pos, sizeof(h));
		r = log_frame_check(&h, e);
		if (r < 0)
			return r;
		if (c->n_buf - pos < sizeof(h) + h.len)
			break;
		r = frame_write(c, &h, c->buf + pos + sizeof(h));
		if (r < 0)
			return err_set(e, ERR_SYSTEM, -r, "cannot write the log");
		if (h.type != LOG_FRAME_END)
			c->next_cursor = h.cursor + 1;
		pos += sizeof(h) + h.len;
	}
	c->n_buf -= pos;
	memmove(c->buf, c->buf + pos, c->n_buf);
	return c->ended ? LOG_CLIENT_END : 0;
}

int log_client_read(struct log_client *c, int sock, struct err *e)
{
	int r = c->ended ? LOG_CLIENT_END : 0;

	while (r == 0) {
		ssize_t n = recv(sock, c->buf + c->n_buf, BUF_SIZE - c->n_buf, MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			/* No frame follows for now, and a marker must not wait for one. */
			r = write_marker(c, false);
			return r < 0 ? err_set(e, ERR_SYSTEM, -r, "cannot write the log") : -EAGAIN;
		}
		if (n < 0 && errno != ECONNRESET)
			return err_set(e, ERR_SYSTEM, errno, "the log's socket");
		if (n <= 0)
			return err_set(e, ERR_UNAVAILABLE, ECONNRESET,
				       "the log's stream broke off");
		c->n_buf += (size_t)n;
		r = frames_take(c, e);
	}
	return r;
}

uint64_t log_client_cursor(const struct log_client *c)
{
	return c->next_cursor;
}

void log_client_reconnect(struct log_client *c)
{
	c->n_buf = 0;
}

void log_client_defaults(struct log_client_options *ret)
{
	*ret = (struct log_client_options){
		.out_fd = STDOUT_FILENO,
		.err_fd = STDERR_FILENO,
		.escape_out = isatty(STDOUT_FILENO) == 1,
		.escape_err = isatty(STDERR_FILENO) == 1,
	};
}

int log_client_init(struct log_client *c, const struct log_client_options *opts)
{
	*c = (struct log_client){.opts = *opts};
	c->buf = malloc(BUF_SIZE);
	return c->buf ? 0 : -ENOMEM;
}

void log_client_clear(struct log_client *c)
{
	util_free_ptr(&c->buf);
	for (int s = 0; s < 2; s++)
		util_free_ptr(&c->held[s].bytes);
	c->n_buf = 0;
}
