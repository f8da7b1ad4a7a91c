// SPDX-License-Identifier: Apache-2.0
#include "spec/dotenv.h"

#include <string.h>

#include "lib/text.h"
#include "lib/util.h"

struct reader {
	const char *at, *end;
	unsigned line, ignored;
	char *name, *value; /* each has room for the whole text */
	dotenv_fn fn;
	void *arg;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f';
}

static bool is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '.' || c == '-';
}

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p;
}

static const char *find_line_end(const char *p, const char *end)
{
	while (p < end && *p != '\n' && *p != '\r')
		p++;
	return p;
}

/* Whether nothing but a comment follows on the line. */
static bool is_end(const char *p, const char *end)
{
	p = skip_blanks(p, end);
	return p == end || *p == '\n' || *p == '\r' || *p == '#';
}

/* The mark that ends what the one at p begins; NULL: there is none behind which the line ends, so that
 * the marks are the value's own. */
static const char *find_mark(const char *p, const char *end)
{
	const char mark = *p;

	for (p++; p < end && *p != mark; p++)
		if (*p == '\\' && p + 1 < end && p[1] == mark)
			p++;
	return p < end && is_end(p + 1, end) ? p : NULL;
}

/* In double quotation marks the two line ends can be written by a backslash. */
static size_t copy_marked(char *to, const char *p, const char *end, bool escapes)
{
	size_t n = 0;

	for (; p < end; p++) {
		if (escapes && *p == '\\' && p + 1 < end && (p[1] == 'n' || p[1] == 'r'))
			to[n++] = *++p == 'n' ? '\n' : '\r';
		else
			to[n++] = *p;
	}
	return n;
}

/* The value that begins at r->at, into r->value; r->at is behind it. Returns its length. */
static size_t take_value(struct reader *r)
{
	const char *p = r->at, *mark = NULL;
	size_t n;

	if (p < r->end && (*p == '"' || *p == '\'' || *p == '`'))
		mark = find_mark(p, r->end);
	if (mark) {
		r->at = mark + 1;
		return copy_marked(r->value, p + 1, mark, *mark == '"');
	}
	while (r->at < r->end && *r->at != '#' && *r->at != '\n' && *r->at != '\r')
		r->at++;
	n = (size_t)(r->at - p);
	while (n > 0 && is_blank(p[n - 1]))
		n--;
	/* Of marks that stand around all of it, as in "a" "b", the outer ones. */
	if (n > 1 && (*p == '"' || *p == '\'' || *p == '`') && p[n - 1] == *p)
		return copy_marked(r->value, p + 1, p + n - 1, *p == '"');
	memcpy(r->value, p, n);
	return n;
}

/* NAME and what stands before the value. False: the line has none. */
static bool take_name(struct reader *r)
{
	static const char export[] = "export";
	const char *p = r->at, *begin;
	size_t n;

	if ((size_t)(r->end - p) > strlen(export) && memcmp(p, export, strlen(export)) == 0 &&
	    is_blank(p[strlen(export)])) {
		const char *name = skip_blanks(p + strlen(export), r->end);

		/* It may be a variable's own name. */
		if (name < r->end && is_name(*name))
			p = name;
	}
	for (begin = p; p < r->end && is_name(*p); p++)
		;
	n = (size_t)(p - begin);
	memcpy(r->name, begin, n);
	r->name[n] = '\0';
	if (n > 0 && p + 1 < r->end && *p == ':' && is_blank(p[1])) {
		r->at = skip_blanks(p + 1, r->end);
		return true;
	}
	p = skip_blanks(p, r->end);
	if (n == 0 || p == r->end || *p != '=')
		return false;
	r->at = skip_blanks(p + 1, r->end);
	return true;
}

/* A line that has something, and the lines over which its value goes. */
static int take_line(struct reader *r)
{
	const unsigned line = r->line;
	const char *begin = r->at;
	size_t n;

	if (!take_name(r)) {
		r->ignored = r->ignored ? r->ignored : line;
		return 0;
	}
	n = take_value(r);
	for (; begin < r->at; begin++)
		r->line += *begin == '\n';
	r->value[n] = '\0';
	if (strlen(r->value) != n || !log_text_is_utf8(r->value, n)) {
		r->ignored = r->ignored ? r->ignored : line;
		return 0;
	}
	return r->fn(r->arg, r->name, r->value);
}

int dotenv_parse(const char *text, size_t len, dotenv_fn fn, void *arg, unsigned *ret_ignored)
{
	static const char mark[] = "\xef\xbb\xbf";
	_cleanup_free_ char *name = malloc(len + 1), *value = malloc(len + 1);
	struct reader r = {.at = text,
			   .end = text + len,
			   .line = 1,
			   .name = name,
			   .value = value,
			   .fn = fn,
			   .arg = arg};
	int status = 0;

	*ret_ignored = 0;
	if (!name || !value)
		return -ENOMEM;
	if (len >= strlen(mark) && memcmp(text, mark, strlen(mark)) == 0)
		r.at += strlen(mark);
	while (status == 0 && r.at < r.end) {
		r.at = skip_blanks(r.at, r.end);
		if (!is_end(r.at, r.end))
			status = take_line(&r);
		r.at = find_line_end(r.at, r.end);
		if (r.at < r.end)
			r.line += *r.at++ == '\n';
	}
	*ret_ignored = r.ignored;
	return status;
}
