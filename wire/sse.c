// SPDX-License-Identifier: Apache-2.0
#include "wire/sse.h"

#include <stdio.h>
#include <string.h>

void sse_reconnect(struct sse *s)
{
	s->line_len = s->data_len = 0;
	s->cr = s->has_data = false;
	s->event[0] = '\0';
}

void sse_clear(struct sse *s)
{
	free(s->line);
	free(s->data);
	*s = (struct sse){0};
}

/* Adds bytes, and a NUL that len does not count. */
static int put(char **buf, size_t *len, size_t *room, const char *bytes, size_t n)
{
	if (*len + n > SSE_LINE_MAX)
		return -EMSGSIZE;
	if (*len + n + 1 > *room) {
		size_t more = 2 * (*len + n) + 256;
		char *to = realloc(*buf, more);

		if (!to)
			return -ENOMEM;
		*buf = to;
		*room = more;
	}
	memcpy(*buf + *len, bytes, n);
	*len += n;
	(*buf)[*len] = '\0';
	return 0;
}

static void set(char *to, size_t size, const char *value)
{
	(void)snprintf(to, size, "%s", value);
}

static int dispatch(struct sse *s, sse_fn fn, void *arg)
{
	int r = 0;

	if (s->has_data)
		r = fn(arg, *s->event ? s->event : "message", s->id, s->data, s->data_len);
	s->has_data = false;
	s->data_len = 0;
	s->event[0] = '\0';
	return r;
}

static int take_line(struct sse *s, sse_fn fn, void *arg)
{
	char *value;
	int r = 0;

	if (s->line_len == 0)
		return dispatch(s, fn, arg);
	value = strchr(s->line, ':');
	if (value == s->line) /* a comment */
		return 0;
	if (value) {
		*value++ = '\0';
		if (*value == ' ')
			value++;
	} else {
		value = s->line + s->line_len;
	}
	if (strcmp(s->line, "data") == 0) {
		if (s->has_data)
			r = put(&s->data, &s->data_len, &s->data_room, "\n", 1);
		s->has_data = true;
		return r < 0 ? r
			     : put(&s->data, &s->data_len, &s->data_room, value,
				   s->line_len - (size_t)(value - s->line));
	}
	if (strcmp(s->line, "event") == 0)
		set(s->event, sizeof(s->event), value);
	else if (strcmp(s->line, "id") == 0 && strlen(value) < sizeof(s->id))
		set(s->id, sizeof(s->id), value);
	return 0;
}

int sse_feed(struct sse *s, const char *bytes, size_t len, sse_fn fn, void *arg)
{
	const char *end = bytes + len;
	int r = 0;

	while (bytes < end && r == 0) {
		size_t n = 0;

		/* A line ends with CR, LF, or both. */
		if (s->cr && *bytes == '\n')
			bytes++;
		s->cr = false;
		while (bytes + n < end && bytes[n] != '\n' && bytes[n] != '\r')
			n++;
		r = put(&s->line, &s->line_len, &s->line_room, bytes, n);
		bytes += n;
		if (r < 0 || bytes == end)
			break;
		s->cr = *bytes++ == '\r';
		r = take_line(s, fn, arg);
		s->line_len = 0;
	}
	return r;
}
