// SPDX-License-Identifier: Apache-2.0
#include "lib/text.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

/* Unlike a plain write, this waits when stdout is a pipe in non-blocking mode. */
int log_text_write(int fd, const void *bytes, size_t len)
{
	struct pollfd pfd = {.fd = fd, .events = POLLOUT};
	const char *p = bytes;
	int r;

	while ((r = util_write_on(fd, &p, &len)) == -EAGAIN)
		(void)poll(&pfd, 1, -1);
	return r;
}

void log_text_flush(struct log_text_out *o)
{
	if (o->error == 0)
		o->error = log_text_write(o->fd, o->buf, o->len);
	o->len = 0;
}

static void log_text_add(struct log_text_out *o, const void *bytes, size_t len)
{
	const char *p = bytes;

	while (len > 0) {
		size_t n = sizeof(o->buf) - o->len;

		if (n == 0) {
			log_text_flush(o);
			continue;
		}
		if (n > len)
			n = len;
		memcpy(o->buf + o->len, p, n);
		o->len += n;
		p += n;
		len -= n;
	}
}

static void out_escape_byte(struct log_text_out *o, uint8_t c)
{
	char text[8];

	(void)snprintf(text, sizeof(text), "\\x%02x", c);
	log_text_add(o, text, 4);
}

int log_text_utf8(const uint8_t *p, size_t n, uint32_t *ret)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t c = p[0];
	int len = c < 0x80 ? 1 : c < 0xc2 ? -1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : -1;

	if (len < 0)
		return -1;
	if (len > 1)
		c &= 0x7fu >> len;
	for (int i = 1; i < len; i++) {
		if ((size_t)i == n)
			return 0;
		if ((p[i] & 0xc0) != 0x80)
			return -1;
		c = c << 6 | (p[i] & 0x3fu);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return -1;
	*ret = c;
	return len;
}

bool log_text_is_utf8(const void *text, size_t len)
{
	const uint8_t *p = text, *end = p + len;
	uint32_t c;

	while (p < end) {
		int n = log_text_utf8(p, (size_t)(end - p), &c);

		if (n <= 0)
			return false;
		p += n;
	}
	return true;
}

/* Control characters, and those that reorder text on a terminal; all of them are below U+10000. */
static bool is_hostile(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static void show_character(uint32_t c, const uint8_t *bytes, size_t len, char shown[LOG_TEXT_SHOWN])
{
	if (!is_hostile(c))
		(void)snprintf(shown, LOG_TEXT_SHOWN, "%.*s", (int)len, (const char *)bytes);
	else
		(void)snprintf(shown, LOG_TEXT_SHOWN, c < 0x80 ? "\\x%02x" : "\\u%04x", c & 0xffff);
}

size_t log_text_show(const uint8_t *p, size_t n, char shown[LOG_TEXT_SHOWN])
{
	uint32_t c;
	int len = log_text_utf8(p, n, &c);

	if (len > 0)
		show_character(c, p, (size_t)len, shown);
	else
		(void)snprintf(shown, LOG_TEXT_SHOWN, "\\x%02x", *p);
	return len > 0 ? (size_t)len : 1;
}

static void out_character(struct log_text_out *o, uint32_t c, const uint8_t *bytes, size_t len)
{
	char shown[LOG_TEXT_SHOWN];

	if (c == '\t' || !is_hostile(c)) {
		log_text_add(o, bytes, len);
		return;
	}
	show_character(c, bytes, len, shown);
	log_text_add(o, shown, strlen(shown));
}

/* A CR is either part of a line's end or made visible. */
static void settle_cr(struct log_text_out *o, struct log_text *t, uint8_t next)
{
	if (!t->cr)
		return;
	t->cr = false;
	if (next == '\n')
		log_text_add(o, "\r", 1);
	else
		out_escape_byte(o, '\r');
}

/* Writes bytes whose character will not be completed. */
static void settle_utf8(struct log_text_out *o, struct log_text *t)
{
	for (unsigned i = 0; i < t->n_utf8; i++)
		out_escape_byte(o, t->utf8[i]);
	t->n_utf8 = 0;
}

/* Adds a piece without a newline. */
static void log_text_escape(struct log_text_out *o, struct log_text *t, const uint8_t *p,
			    size_t len)
{
	uint32_t c;
	int n;

	while (len > 0) {
		settle_cr(o, t, *p);
		if (t->n_utf8 == 0 && *p == '\r') {
			t->cr = true;
			p++;
			len--;
			continue;
		}
		if (t->n_utf8 == 0 && *p < 0x80) {
			out_character(o, *p, p, 1);
			p++;
			len--;
			continue;
		}
		t->utf8[t->n_utf8++] = *p;
		n = log_text_utf8(t->utf8, t->n_utf8, &c);
		if (n == 0) {
			p++;
			len--;
		} else if (n > 0) {
			out_character(o, c, t->utf8, (size_t)n);
			t->n_utf8 = 0;
			p++;
			len--;
		} else if (t->n_utf8 == 1) {
			settle_utf8(o, t);
			p++;
			len--;
		} else {
			/* This byte does not continue the character, but may begin another. */
			t->n_utf8--;
			settle_utf8(o, t);
		}
	}
}

static void log_text_newline(struct log_text_out *o, struct log_text *t)
{
	settle_utf8(o, t);
	settle_cr(o, t, '\n');
	log_text_add(o, "\n", 1);
}

void log_text_settle(struct log_text_out *o, struct log_text *t)
{
	settle_utf8(o, t);
	settle_cr(o, t, 0);
}

int log_text_print(int fd, struct log_text *t, const void *bytes, size_t len, bool escape,
		   const char *stamp)
{
	const uint8_t *p = bytes, *const end = p + len;
	struct log_text_out o = {.fd = fd};

	if (len == 0)
		return 0;
	if (!escape && !stamp) {
		t->mid_line = end[-1] != '\n';
		return log_text_write(fd, bytes, len);
	}
	while (p < end) {
		const uint8_t *nl = memchr(p, '\n', (size_t)(end - p)), *stop = nl ? nl : end;

		if (stamp && !t->mid_line)
			log_text_add(&o, stamp, strlen(stamp));
		if (escape)
			log_text_escape(&o, t, p, (size_t)(stop - p));
		else
			log_text_add(&o, p, (size_t)(stop - p));
		t->mid_line = !nl;
		if (nl)
			log_text_newline(&o, t);
		p = nl ? nl + 1 : end;
	}
	log_text_flush(&o);
	return o.error;
}
