// SPDX-License-Identifier: Apache-2.0
#include "spec/push_ignore.h"

#include <limits.h>
#include <string.h>

int push_ignore_read(const char *what, char *text, size_t len, struct push_ignore *ret,
		     struct err *e)
{
	unsigned line = 0;

	*ret = (struct push_ignore){.text = text};
	if (strlen(text) != len)
		return err_set(e, ERR_INPUT, 0, "%s: has a NUL byte in it", what);
	for (char *at = text, *next; at; at = next) {
		size_t n;

		next = strchr(at, '\n');
		if (next)
			*next++ = '\0';
		line++;
		n = strlen(at);
		while (n > 0 && (at[n - 1] == '\r' || at[n - 1] == ' ' || at[n - 1] == '\t'))
			at[--n] = '\0';
		if (n == 0 || *at == '#' || *at == ';')
			continue;
		if (n >= PATH_MAX)
			return err_set(e, ERR_INPUT, 0, "%s:%u: has more than %d bytes", what, line,
				       PATH_MAX - 1);
		if (ret->n == PUSH_IGNORE_LINES)
			return err_set(e, ERR_LIMIT, 0, "%s: has more than %u patterns", what,
				       PUSH_IGNORE_LINES);
		ret->lines[ret->n++] = at;
	}
	return 0;
}

void push_ignore_clear(struct push_ignore *i)
{
	free(i->text);
	*i = (struct push_ignore){0};
}

/* One of the set "[...]" that *p begins with, behind which *p is then; a '[' without a ']' is itself. */
static bool fits_set(const char **p, const char *end, char c)
{
	const char *at = *p + 1;
	const bool not = at < end && (*at == '!' || *at == '^');
	bool found = false;

	at += not ;
	for (const char *first = at; at < end && (*at != ']' || at == first); at++) {
		const unsigned char from = (unsigned char)*at;
		unsigned char to = from;

		if (at + 2 < end && at[1] == '-' && at[2] != ']') {
			to = (unsigned char)at[2];
			at += 2;
		}
		found |= from <= (unsigned char)c && (unsigned char)c <= to;
	}
	if (at >= end) {
		(*p)++;
		return c == '[';
	}
	*p = at + 1;
	return c != '/' && found != not ;
}

/* All places of the path that the pattern may have come to, a step of the pattern at a time: its time is
 * that of the product of both, whatever the pattern. */
static bool fits(const char *p, size_t len, const char *path)
{
	const char *const end = p + len;
	const size_t n = strlen(path);
	bool at[PATH_MAX + 1] = {true};

	if (n > PATH_MAX)
		return false;
	while (p < end) {
		const char *next = p;
		bool any = false;

		if (*p == '*') {
			const bool over = p + 1 < end && p[1] == '*';

			for (size_t i = 1; i <= n; i++)
				at[i] |= at[i - 1] && (over || path[i - 1] != '/');
			while (p < end && *p == '*')
				p++;
			continue;
		}
		for (size_t i = n; i-- > 0;) {
			bool ok;

			next = p;
			if (*p == '?') {
				ok = path[i] != '/';
				next++;
			} else if (*p == '[') {
				ok = fits_set(&next, end, path[i]);
			} else {
				next += *p == '\\' && p + 1 < end;
				ok = *next == path[i];
				next++;
			}
			at[i + 1] = at[i] && ok;
			any |= at[i + 1];
		}
		at[0] = false;
		if (!any)
			return false;
		p = next;
	}
	return at[n];
}

static bool line_has(const char *line, const char *path, bool is_folder)
{
	size_t len = strlen(line);
	const char *tail = path;

	if (len > 1 && line[len - 1] == '/') {
		if (!is_folder)
			return false;
		len--;
	}
	if (*line == '/')
		return fits(line + 1, len - 1, path);
	if (!memchr(line, '/', len) && !memmem(line, len, "**", 2)) {
		tail = strrchr(path, '/');
		return fits(line, len, tail ? tail + 1 : path);
	}
	/* The end of the path, from the beginning of any of its names. */
	for (;;) {
		if (fits(line, len, tail))
			return true;
		tail = strchr(tail, '/');
		if (!tail)
			return false;
		tail++;
	}
}

bool push_ignore_has(const struct push_ignore *i, const char *path, bool is_folder)
{
	for (unsigned k = 0; k < i->n; k++) {
		const char *line = i->lines[k];
		const bool sent = line[0] == '+' && line[1] == ' ';

		if (sent || (line[0] == '-' && line[1] == ' '))
			line += 2;
		if (*line && line_has(line, path, is_folder))
			return !sent;
	}
	return false;
}
