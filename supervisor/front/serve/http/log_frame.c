// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/serve/http/log_frame.h"

#include <stdio.h>
#include <string.h>

#include "lib/text.h"
#include "wire/log_client.h"

#define REPLACEMENT "\xef\xbf\xbd"
#define ESCAPED_MAX 6 /* \u001b for one byte */
#define HEAD_MAX 256  /* of an event, without its text */

/* Room for n more bytes at *buf + *len. */
static int room(char **buf, size_t len, size_t n)
{
	char *grown = realloc(*buf, len + n + 1);

	if (!grown)
		return -ENOMEM;
	*buf = grown;
	return 0;
}

static int append(char **buf, size_t *len, const void *bytes, size_t n)
{
	if (room(buf, *len, n) < 0)
		return -ENOMEM;
	memcpy(*buf + *len, bytes, n);
	*len += n;
	return 0;
}

/* One character of JSON text; at most ESCAPED_MAX bytes. */
static char *put_character(char *out, const uint8_t *p, int n)
{
	static const char short_form[] = "\b\t\n\f\r\"\\", letter[] = "btnfr\"\\";
	const char *known = *p ? strchr(short_form, *p) : NULL;

	if (n == 1 && known) {
		*out++ = '\\';
		*out++ = letter[known - short_form];
		return out;
	}
	if (n == 1 && (*p < 0x20 || *p == 0x7f))
		return out + sprintf(out, "\\u%04x", *p);
	memcpy(out, p, (size_t)n);
	return out + n;
}

static char *put_replacement(char *out)
{
	return put_character(out, (const uint8_t *)REPLACEMENT, sizeof(REPLACEMENT) - 1);
}

/* The rest of a character that the stream's last frame has cut. */
static char *put_cut(struct http_log_format *s, int stream, char *out, const uint8_t **p,
		     const uint8_t *end)
{
	uint8_t *cut = s->cut[stream], *n = &s->n_cut[stream];
	uint32_t c;

	while (*n > 0 && *p < end) {
		int len;

		cut[(*n)++] = **p;
		len = log_text_utf8(cut, *n, &c);
		if (len < 0) {
			/* This byte begins something else: it is looked at again. */
			*n = 0;
			return put_replacement(out);
		}
		(*p)++;
		if (len > 0) {
			*n = 0;
			return put_character(out, cut, len);
		}
	}
	return out;
}

static char *put_text(struct http_log_format *s, int stream, char *out, const uint8_t *p, size_t n)
{
	const uint8_t *end = p + n;
	uint32_t c;

	out = put_cut(s, stream, out, &p, end);
	while (p < end) {
		int len = log_text_utf8(p, (size_t)(end - p), &c);

		if (len == 0) {
			s->n_cut[stream] = (uint8_t)(end - p);
			memcpy(s->cut[stream], p, (size_t)(end - p));
			break;
		}
		out = len < 0 ? put_replacement(out) : put_character(out, p, len);
		p += len < 0 ? 1 : len;
	}
	return out;
}

static int event_text(struct http_log_format *s, int stream, const struct log_frame *head,
		      const uint8_t *data, char **buf, size_t *len)
{
	char time[40], *out;

	/* A cut character may become one more that is replaced. */
	if (room(buf, *len, HEAD_MAX + ESCAPED_MAX * ((size_t)head->len + 4)) < 0)
		return -ENOMEM;
	util_format_time(head->time_ns, time, sizeof(time));
	out = *buf + *len;
	out += sprintf(out, "event: %s\nid: %llu\ndata: {\"t\":\"%s\",\"text\":\"",
		       stream == 0 ? "stdout" : "stderr", (unsigned long long)head->cursor, time);
	out = put_text(s, stream, out, data, head->len);
	out += sprintf(out, "\",\"partial\":%s}\n\n", head->partial ? "true" : "false");
	*len = (size_t)(out - *buf);
	return 0;
}

static int event_dropped(const struct log_frame *head, const uint8_t *data, char **buf, size_t *len)
{
	char text[HEAD_MAX], time[40];
	uint64_t kept;
	int n;

	memcpy(&kept, data, sizeof(kept));
	util_format_time(head->time_ns, time, sizeof(time));
	n = snprintf(text, sizeof(text),
		     "event: dropped\nid: %llu\ndata: {\"t\":\"%s\",\"reason\":\"%s\","
		     "\"bytes\":%llu,\"kept\":%llu}\n\n",
		     (unsigned long long)head->cursor, time,
		     head->reason == LOG_DROP_DISK   ? "disk"
		     : head->reason == LOG_DROP_RING ? "ring"
						     : "limit",
		     (unsigned long long)head->aux, (unsigned long long)kept);
	return append(buf, len, text, (size_t)n);
}

/* What waited for the rest of a character will not get it. */
static int event_end(struct http_log_format *s, const struct log_frame *head, char **buf,
		     size_t *len)
{
	char text[HEAD_MAX];
	int n, r = 0;

	for (int i = 0; i < 2 && r == 0; i++) {
		if (s->n_cut[i] == 0)
			continue;
		s->n_cut[i] = 0;
		n = snprintf(text, sizeof(text),
			     "event: %s\ndata: {\"t\":null,\"text\":\"" REPLACEMENT
			     "\",\"partial\":true}\n\n",
			     i == 0 ? "stdout" : "stderr");
		r = append(buf, len, text, (size_t)n);
	}
	n = snprintf(text, sizeof(text), "event: end\ndata: {\"complete\":%s}\n\n",
		     head->aux ? "true" : "false");
	return r < 0 ? r : append(buf, len, text, (size_t)n);
}

/* As `sandboxctl logs` has it: a line of its own, where bytes are missing. */
static int text_marker(struct http_log_format *s, char **buf, size_t *len)
{
	char text[160] = "\n";
	int n = s->mid_line ? 1 : 0;

	if (s->dropped == 0)
		return 0;
	n += log_marker_text(s->drop_reason, s->kept, s->dropped, true, text + n,
			     sizeof(text) - (size_t)n);
	s->dropped = 0;
	s->mid_line = false;
	return append(buf, len, text, (size_t)n);
}

static int text_dropped(struct http_log_format *s, const struct log_frame *head,
			const uint8_t *data, char **buf, size_t *len)
{
	int r = head->reason == s->drop_reason ? 0 : text_marker(s, buf, len);

	if (__builtin_add_overflow(s->dropped, head->aux, &s->dropped))
		s->dropped = UINT64_MAX;
	s->drop_reason = head->reason;
	memcpy(&s->kept, data, sizeof(s->kept));
	return r;
}

static int format_text(struct http_log_format *s, const struct log_frame *head, const uint8_t *data,
		       char **buf, size_t *len)
{
	int r;

	if (head->type == LOG_FRAME_DROPPED)
		return text_dropped(s, head, data, buf, len);
	r = text_marker(s, buf, len);
	if (r < 0 || head->len == 0)
		return r;
	s->mid_line = data[head->len - 1] != '\n';
	return append(buf, len, data, head->len);
}

int http_log_format(struct http_log_format *s, const struct log_frame *head, const uint8_t *data,
		    char **buf, size_t *len)
{
	if (!s->events)
		return format_text(s, head, data, buf, len);
	switch (head->type) {
	case LOG_FRAME_OUT:
	case LOG_FRAME_ERR:
		return event_text(s, head->type - LOG_FRAME_OUT, head, data, buf, len);
	case LOG_FRAME_DROPPED:
		return event_dropped(head, data, buf, len);
	default:
		return event_end(s, head, buf, len);
	}
}
