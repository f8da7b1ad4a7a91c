// SPDX-License-Identifier: Apache-2.0
#include "spec/worker_lex.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define STRING_MAX 65536u

void worker_lex_init(struct worker_lex *l, const char *what, const char *text, size_t len,
		     struct err *e)
{
	*l = (struct worker_lex){
		.what = what, .p = text, .end = text + len, .line = 1, .column = 1, .e = e};
	/* Editors on Windows begin a file with a byte order mark. */
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		l->p += 3;
}

void worker_lex_clear(struct worker_lex *l)
{
	free(l->text);
	l->text = NULL;
}

static int fail_at(struct worker_lex *l, unsigned line, unsigned column, const char *text)
{
	return err_set(l->e, ERR_INPUT, 0, "%s:%u:%u: %s", l->what, line, column, text);
}

/* Makes an error about the token that was read last. */
static int lex_fail(struct worker_lex *l, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static int lex_fail(struct worker_lex *l, const char *fmt, ...)
{
	char text[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return fail_at(l, l->at_line, l->at_column, text);
}

/* The byte that is ahead bytes further, or -1 behind the end. */
static int peek(const struct worker_lex *l, size_t ahead)
{
	return (size_t)(l->end - l->p) > ahead ? (unsigned char)l->p[ahead] : -1;
}

static void step(struct worker_lex *l)
{
	unsigned char c = (unsigned char)*l->p++;

	if (c == '\n') {
		l->line++;
		l->column = 1;
	} else if ((c & 0xc0) != 0x80) { /* a byte that does not continue a UTF-8 character */
		l->column++;
	}
}

static bool is_word(int c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       (!first && c >= '0' && c <= '9');
}

/* The length of a backslash and the newline after it, with which a line goes on; else 0. */
static unsigned continuation(const struct worker_lex *l)
{
	if (peek(l, 0) != '\\')
		return 0;
	if (peek(l, 1) == '\n')
		return 2;
	return peek(l, 1) == '\r' && peek(l, 2) == '\n' ? 3 : 0;
}

static void skip_blanks(struct worker_lex *l)
{
	int c;

	while ((c = peek(l, 0)) >= 0) {
		unsigned n = continuation(l);

		if (c == '#')
			while (peek(l, 0) >= 0 && peek(l, 0) != '\n')
				step(l);
		else if (c == ' ' || c == '\t' || (c == '\r' && peek(l, 1) == '\n'))
			step(l);
		else if (n == 0)
			return;
		for (; n > 0; n--)
			step(l);
	}
}

/* A string that is being put together; bytes is its owner's to free. */
struct text {
	char *bytes;
	size_t len, room;
};

static int put(struct worker_lex *l, struct text *t, const char *bytes, size_t n)
{
	if (t->len + n > STRING_MAX)
		return lex_fail(l, "a string has more than %u bytes", STRING_MAX);
	if (t->len + n + 1 > t->room) {
		size_t room = 2 * (t->len + n) + 32;
		char *more = realloc(t->bytes, room);

		if (!more)
			return err_set(l->e, ERR_SYSTEM, ENOMEM, "%s", l->what);
		t->bytes = more;
		t->room = room;
	}
	memcpy(t->bytes + t->len, bytes, n);
	t->len += n;
	t->bytes[t->len] = '\0';
	return 0;
}

static int put_char(struct worker_lex *l, struct text *t, unsigned c)
{
	char utf8[4];
	size_t n = 0;

	if (c < 0x80) {
		utf8[n++] = (char)c;
	} else if (c < 0x800) {
		utf8[n++] = (char)(0xc0 | c >> 6);
	} else if (c < 0x10000) {
		utf8[n++] = (char)(0xe0 | c >> 12);
		utf8[n++] = (char)(0x80 | ((c >> 6) & 0x3f));
	} else {
		utf8[n++] = (char)(0xf0 | c >> 18);
		utf8[n++] = (char)(0x80 | ((c >> 12) & 0x3f));
		utf8[n++] = (char)(0x80 | ((c >> 6) & 0x3f));
	}
	if (c >= 0x80)
		utf8[n++] = (char)(0x80 | (c & 0x3f));
	return put(l, t, utf8, n);
}

/* Reads \xNN (a character below 0x80) or \uNNNN. The next byte is the x or the u. */
static int lex_code(struct worker_lex *l, struct text *t)
{
	unsigned line = l->line, column = l->column - 1, value = 0, n = 0;
	unsigned want = peek(l, 0) == 'x' ? 2 : 4;

	for (step(l); n < want && util_hex_digit(tolower(peek(l, 0))) >= 0; n++) {
		value = 16 * value + (unsigned)util_hex_digit(tolower(peek(l, 0)));
		step(l);
	}
	if (n < want || value == 0 || (want == 2 && value > 0x7f) ||
	    (value >= 0xd800 && value < 0xe000))
		return fail_at(l, line, column,
			       "this escape names no character: \\xNN (01 to 7f) or \\uNNNN");
	return put_char(l, t, value);
}

/* Reads the rest of an escape in "...". The backslash has been read already. */
static int lex_escape(struct worker_lex *l, struct text *t)
{
	static const char from[] = "nrtesabfv0", to[] = "\n\r\t\x1b \a\b\f\v";
	int c = peek(l, 0);
	const char *at;

	if (c == 'x' || c == 'u')
		return lex_code(l, t);
	if (c == '0')
		return fail_at(l, l->line, l->column - 1, "a string must not have a NUL");
	if (c == '\n') { /* the string goes on in the next line */
		step(l);
		return 0;
	}
	if ((c >= '1' && c <= '9') || c == 'c' || c == 'C' || c == 'M')
		return fail_at(l, l->line, l->column - 1,
			       "this escape is not known here: write \\xNN or \\uNNNN");
	at = c > 0 ? strchr(from, c) : NULL;
	if (c >= 0)
		step(l);
	return c < 0 ? 0 : put_char(l, t, at ? (unsigned char)to[at - from] : (unsigned)c);
}

/* Reads one character or one escape of a string. */
static int lex_string_part(struct worker_lex *l, char quote, struct text *t)
{
	const char *from = l->p;
	int c = peek(l, 0);

	if (c == '\0')
		return fail_at(l, l->line, l->column, "a string must not have a NUL");
	if (quote == '"' && c == '#' && peek(l, 1) == '{')
		return fail_at(l, l->line, l->column,
			       "#{...} is Ruby, which is not run here: write the text itself");
	if (c == '\\' && quote == '"') {
		step(l);
		return lex_escape(l, t);
	}
	if (c == '\\' && (peek(l, 1) == '\'' || peek(l, 1) == '\\')) {
		step(l);
		from++;
	}
	step(l);
	return put(l, t, from, 1);
}

static int lex_string(struct worker_lex *l)
{
	struct text t = {0};
	char quote = *l->p;
	int r = put(l, &t, "", 0);

	step(l);
	while (r == 0 && peek(l, 0) >= 0 && peek(l, 0) != quote)
		r = lex_string_part(l, quote, &t);
	if (r == 0 && peek(l, 0) < 0)
		r = lex_fail(l, "a string begins here that does not end");
	if (r < 0) {
		free(t.bytes);
		return r;
	}
	step(l);
	l->token = TOKEN_STRING;
	l->text = t.bytes;
	return 0;
}

static int lex_word(struct worker_lex *l)
{
	const char *from = l->p;

	while (is_word(peek(l, 0), false))
		step(l);
	l->token = TOKEN_WORD;
	l->text = strndup(from, (size_t)(l->p - from));
	return l->text ? 0 : err_set(l->e, ERR_SYSTEM, ENOMEM, "%s", l->what);
}

int worker_lex_next(struct worker_lex *l)
{
	int c;

	worker_lex_clear(l);
	skip_blanks(l);
	l->at_line = l->line;
	l->at_column = l->column;
	c = peek(l, 0);
	if (c == '"' || c == '\'')
		return lex_string(l);
	if (is_word(c, true))
		return lex_word(l);
	switch (c) {
	case -1:
		l->token = TOKEN_END;
		return 0;
	case '\n':
	case ';':
		l->token = TOKEN_EOL;
		break;
	case ',':
		l->token = TOKEN_COMMA;
		break;
	case '(':
		l->token = TOKEN_OPEN;
		break;
	case ')':
		l->token = TOKEN_CLOSE;
		break;
	default:
		if (c > 0x20 && c < 0x7f)
			return lex_fail(
				l,
				"'%c' has no meaning here: a .worker file is read as a list of "
				"words with strings, it is not run as Ruby",
				c);
		return lex_fail(l, "the byte 0x%02x cannot be part of a .worker file", c);
	}
	step(l);
	return 0;
}

void worker_line_clear(struct worker_line *line)
{
	free(line->word);
	for (size_t i = 0; i < line->n; i++)
		free(line->args[i].text);
	*line = (struct worker_line){0};
}

static int add_arg(struct worker_lex *l, struct worker_line *line)
{
	struct worker_arg *a = &line->args[line->n];

	if (line->n >= WORKER_ARGS_MAX)
		return lex_fail(l, "%s: takes no more arguments", line->word);
	*a = (struct worker_arg){.line = l->at_line, .column = l->at_column};
	if (l->token == TOKEN_WORD) {
		a->truth = strcmp(l->text, "true") == 0;
		a->bare = !a->truth && strcmp(l->text, "false") != 0 && strcmp(l->text, "nil") != 0;
		if (a->bare)
			a->text = TAKE_PTR(l->text);
	} else if (l->token == TOKEN_STRING) {
		a->text = TAKE_PTR(l->text);
	} else {
		return lex_fail(l, "%s: a string in quotes is missing here", line->word);
	}
	line->n++;
	return 0;
}

/* Inside parentheses and after a comma newlines have no meaning. */
static int next_past_lines(struct worker_lex *l)
{
	int r;

	do {
		r = worker_lex_next(l);
	} while (r == 0 && l->token == TOKEN_EOL);
	return r;
}

static int read_args(struct worker_lex *l, struct worker_line *line, bool parentheses)
{
	int r = 0;

	for (;;) {
		r = add_arg(l, line);
		if (r == 0)
			r = parentheses ? next_past_lines(l) : worker_lex_next(l);
		if (r < 0 || l->token != TOKEN_COMMA)
			return r;
		r = next_past_lines(l);
		if (r < 0)
			return r;
	}
}

int worker_line_read(struct worker_lex *l, struct worker_line *line)
{
	int r;

	if (l->token != TOKEN_WORD)
		return lex_fail(l, "a line begins with a word such as exec or file");
	line->word = TAKE_PTR(l->text);
	line->line = l->at_line;
	line->column = l->at_column;
	r = worker_lex_next(l);
	if (r == 0 && l->token == TOKEN_OPEN) {
		r = next_past_lines(l);
		if (r == 0 && l->token != TOKEN_CLOSE)
			r = read_args(l, line, true);
		if (r == 0 && l->token != TOKEN_CLOSE)
			r = lex_fail(l, "%s: a ) is missing here", line->word);
		if (r == 0)
			r = worker_lex_next(l);
	} else if (r == 0 && l->token != TOKEN_EOL && l->token != TOKEN_END) {
		r = read_args(l, line, false);
	}
	if (r == 0 && l->token != TOKEN_EOL && l->token != TOKEN_END)
		r = lex_fail(l,
			     "%s: the line must end here (arguments are literal strings "
			     "with commas between)",
			     line->word);
	return r;
}
