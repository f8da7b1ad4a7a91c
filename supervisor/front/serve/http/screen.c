// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/serve/http/screen.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "supervisor/front/serve/http/uri.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define HEX_DIGITS "0123456789abcdefABCDEF"
/* RFC 9110, 5.6.2; RFC 3986, 2.2 and 2.3. */
#define TOKEN_CHARS "!#$%&'*+-.^_`|~" DIGITS LETTERS
#define HOST_CHARS "-._~!$&'()*+,;=%" DIGITS LETTERS

/* What libmicrohttpd gets to see of a request that is refused: a head; the end of a body. */
static const char head_stand_in[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
static const char chunk_stand_in[] = "0\r\n\r\n";
static const char data_stand_in[] = "\r\n0\r\n\r\n";

/* A piece of the text that is screened. */
struct span {
	const char *p;
	size_t n;
};

/* What a head has said of the framing. */
struct head {
	unsigned n_lines, n_host, n_length, n_codings; /* n_codings: not counting chunked */
	uint64_t length;
	bool old;	  /* HTTP/1.0 */
	bool encoded;	  /* Transfer-Encoding is there, and */
	bool chunked;	  /* is chunked, */
	bool chunked_end; /* which is its last one */
	bool chunked_twice;
};

void http_screen_clear(struct http_screen *s)
{
	free(s->held);
	*s = (struct http_screen){0};
}

void http_screen_refuse(struct http_screen *s, unsigned status, const char *why)
{
	if (s->state == SCREEN_REFUSED)
		return;
	if (s->state == SCREEN_HEAD) {
		s->stand_in = head_stand_in;
		s->heads++;
	} else if (s->state == SCREEN_CHUNK) {
		s->stand_in = chunk_stand_in;
	} else if (s->state == SCREEN_DATA_END) {
		s->stand_in = data_stand_in;
	}
	/* What is in the middle of bytes that are its own has no place for it. */
	if (!s->stand_in)
		s->stand_in = "";
	s->state = SCREEN_REFUSED;
	s->status = status;
	s->why = why;
	s->n_held = 0;
}

static size_t span_of(const struct span *s, const char *chars)
{
	size_t n = 0;

	while (n < s->n && s->p[n] && strchr(chars, s->p[n]))
		n++;
	return n;
}

static bool span_is(const struct span *s, const char *word)
{
	return s->n == strlen(word) && strncasecmp(s->p, word, s->n) == 0;
}

static struct span trim(struct span s)
{
	while (s.n > 0 && (*s.p == ' ' || *s.p == '\t')) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

bool http_screen_is_host(const char *text, size_t len)
{
	struct span s = {text, len};
	size_t n;

	if (len > 0 && *text == '[') {
		s.p++;
		s.n--;
		n = span_of(&s, HEX_DIGITS ":.vV-_~!$&'()*+,;=" LETTERS);
		if (n == 0 || n == s.n || s.p[n] != ']')
			return false;
		n++;
	} else {
		n = span_of(&s, HOST_CHARS);
	}
	s.p += n;
	s.n -= n;
	if (s.n == 0)
		return true;
	if (*s.p != ':')
		return false;
	s.p++;
	s.n--;
	return span_of(&s, DIGITS) == s.n;
}

/*
 * 1: *ret is the line at text[*at], without its end, and *at is behind it. 0: it is not there
 * whole. -EINVAL: refused.
 */
static int next_line(struct http_screen *s, const char *text, size_t len, size_t *at,
		     struct span *ret)
{
	const char *p = text + *at, *end = memchr(p, '\n', len - *at);

	if (!end)
		return 0;
	*at += (size_t)(end - p) + 1;
	*ret = (struct span){p, (size_t)(end - p)};
	if (ret->n == 0 || end[-1] != '\r') {
		http_screen_refuse(s, 400, "a line of the request ends in LF without a CR");
		return -EINVAL;
	}
	ret->n--;
	for (size_t i = 0; i < ret->n; i++)
		if (((unsigned char)p[i] < 0x20 && p[i] != '\t') || p[i] == 0x7f) {
			http_screen_refuse(s, 400, "the request has a control character in it");
			return -EINVAL;
		}
	return 1;
}

/* METHOD TARGET VERSION, with one blank between them. */
static void read_request_line(struct http_screen *s, struct span line, struct head *head)
{
	size_t n = span_of(&line, TOKEN_CHARS), params = 0;
	const char *target, *version;

	target = line.p + n + 1;
	version = n > 0 && n < line.n && line.p[n] == ' ' ? memchr(target, ' ', line.n - n - 1)
							  : NULL;
	if (!version || version == target ||
	    (size_t)(version - line.p) + strlen(" HTTP/1.1") != line.n ||
	    memcmp(version, " HTTP/", 6) != 0 || !strchr(DIGITS, version[6]) || version[7] != '.' ||
	    !strchr(DIGITS, version[8])) {
		http_screen_refuse(s, 400,
				   "the request's first line must be: METHOD TARGET VERSION");
		return;
	}
	if (version[6] != '1') {
		http_screen_refuse(s, 505, "no HTTP but 1.0 and 1.1 is spoken here");
		return;
	}
	head->old = version[8] == '0';
	if ((size_t)(version - target) > HTTP_TARGET_MAX) {
		http_screen_refuse(s, 414, "the request's target is longer than 8000 bytes");
		return;
	}
	for (const char *p = target; p < version; p++)
		params += *p == '&';
	/* Each of them takes libmicrohttpd's memory, and without memory it does not answer. */
	if (params >= HTTP_PARAMS_MAX)
		http_screen_refuse(s, 400, "more than 48 query parameters");
	_Static_assert(HTTP_PARAMS_MAX == 48 && HTTP_TARGET_MAX == 8000, "the words above");
}

static void read_length(struct http_screen *s, struct span value, struct head *head)
{
	uint64_t n = 0;

	if (head->n_length++ > 0) {
		http_screen_refuse(s, 400, "Content-Length: must be there once");
	} else if (value.n == 0 || span_of(&value, DIGITS) != value.n) {
		http_screen_refuse(s, 400, "Content-Length: must be a whole number");
	} else {
		for (size_t i = 0; i < value.n; i++)
			if (n > (INT64_MAX - 9) / 10) {
				http_screen_refuse(s, 413, "Content-Length: is more than is taken");
				return;
			} else {
				n = n * 10 + (uint64_t)(value.p[i] - '0');
			}
		head->length = n;
	}
}

/* The header may be there more than once, and is then one list. */
static void read_codings(struct span value, struct head *head)
{
	head->encoded = true;
	while (value.n > 0) {
		const char *comma = memchr(value.p, ',', value.n);
		size_t n = comma ? (size_t)(comma - value.p) : value.n;
		struct span coding = trim((struct span){value.p, n});

		value.p += n + (comma ? 1 : 0);
		value.n -= n + (comma ? 1 : 0);
		if (coding.n == 0)
			continue;
		head->chunked_end = span_is(&coding, "chunked");
		head->chunked_twice |= head->chunked_end && head->chunked;
		head->chunked |= head->chunked_end;
		head->n_codings += !head->chunked_end;
	}
}

static void read_field(struct http_screen *s, struct span line, struct head *head)
{
	struct span name = {line.p, span_of(&line, TOKEN_CHARS)}, value;

	if (*line.p == ' ' || *line.p == '\t') {
		http_screen_refuse(s, 400, "a header must stand in one line");
		return;
	}
	if (name.n == 0 || name.n == line.n || line.p[name.n] != ':') {
		http_screen_refuse(
			s, 400, "a header must be a name, a colon at once after it, and a value");
		return;
	}
	if (++head->n_lines > HTTP_HEADERS_MAX) {
		http_screen_refuse(s, 431, "the request has more than 100 headers");
		return;
	}
	_Static_assert(HTTP_HEADERS_MAX == 100, "the words above");
	value = trim((struct span){line.p + name.n + 1, line.n - name.n - 1});
	if (span_is(&name, "Host")) {
		if (head->n_host++ > 0)
			http_screen_refuse(s, 400, "Host: must be there once");
		else if (!http_screen_is_host(value.p, value.n))
			http_screen_refuse(s, 400, "Host: must be a host's name, or name:port");
	} else if (span_is(&name, "Content-Length")) {
		read_length(s, value, head);
	} else if (span_is(&name, "Transfer-Encoding")) {
		read_codings(value, head);
	}
}

/* RFC 9112, 6.1 and 6.3: how long the body is, or that nobody can tell. */
static void judge_head(struct http_screen *s, const struct head *head)
{
	if (!head->old && head->n_host == 0)
		http_screen_refuse(s, 400, "Host: must be there");
	else if (head->encoded && head->old)
		http_screen_refuse(s, 400, "Transfer-Encoding: HTTP/1.0 has none");
	else if (head->encoded && head->n_length > 0)
		http_screen_refuse(s, 400, "Content-Length: stands beside Transfer-Encoding");
	else if (head->encoded && (!head->chunked_end || head->chunked_twice))
		http_screen_refuse(s, 400, "Transfer-Encoding: must end in chunked, once");
	else if (head->n_codings > 0)
		http_screen_refuse(s, 501, "Transfer-Encoding: chunked alone is known here");
	if (s->state == SCREEN_REFUSED)
		return;
	s->heads++;
	s->left = head->length;
	s->state = head->encoded ? SCREEN_CHUNK : head->length > 0 ? SCREEN_BODY : SCREEN_HEAD;
}

/*
 * A head that was judged, as libmicrohttpd reads it well: it takes the blanks behind a value for a
 * part of it, and makes a list out of the cookies, which nobody here wants and which may be more
 * than it has memory for. Never longer than it was; out may be text.
 */
static size_t head_copy(char *out, const char *text, size_t len)
{
	size_t at = 0, n = 0;

	while (at < len) {
		const char *p = text + at;
		struct span line = {p, (size_t)((const char *)memchr(p, '\n', len - at) - p - 1)};
		struct span name = {p, span_of(&line, TOKEN_CHARS)};

		at += line.n + 2;
		if (n > 0 && span_is(&name, "Cookie"))
			continue;
		if (n > 0 && line.n > 0) {
			line = trim((struct span){p + name.n + 1, line.n - name.n - 1});
			/* A list of chunked and nothing, which may stand in many lines. */
			if (span_is(&name, "Transfer-Encoding")) {
				size_t skip = span_of(&line, " \t,");

				line.p += skip;
				line.n -= skip;
				if (line.n < strlen("chunked"))
					continue;
				line.n = strlen("chunked");
			}
			memmove(out + n, name.p, name.n + 1);
			n += name.n + 1;
		}
		memmove(out + n, line.p, line.n);
		n += line.n;
		out[n++] = '\r';
		out[n++] = '\n';
	}
	return n;
}

/* The length of the head that text begins with, which is then judged; 0: it is not there whole,
 * or was refused. */
static size_t take_head(struct http_screen *s, const char *text, size_t len)
{
	struct head head = {0};
	struct span line;
	size_t at = 0;
	int r = next_line(s, text, len, &at, &line);

	if (r > 0)
		read_request_line(s, line, &head);
	else if (r == 0 && len > HTTP_TARGET_MAX + 64)
		http_screen_refuse(s, 414, "the request's first line is longer than 8000 bytes");
	while (r > 0 && s->state == SCREEN_HEAD) {
		r = next_line(s, text, len, &at, &line);
		if (r > 0 && line.n > 0) {
			read_field(s, line, &head);
		} else if (r > 0 && at <= HTTP_HEADER_MAX) {
			judge_head(s, &head);
			return s->state == SCREEN_REFUSED ? 0 : at;
		}
		if (at > HTTP_HEADER_MAX)
			break;
	}
	if (s->state == SCREEN_HEAD && len >= HTTP_HEADER_MAX)
		http_screen_refuse(s, 431, "the request's headers are longer than 16 KiB");
	_Static_assert(HTTP_HEADER_MAX == 16384, "the words above");
	return 0;
}

/* As take_head, of the last chunk: its trailers are looked at, and dropped. */
static size_t take_trailers(struct http_screen *s, const char *text, size_t len, size_t at)
{
	struct head ignored = {0};
	struct span line;

	while (next_line(s, text, len, &at, &line) > 0) {
		if (line.n == 0) {
			s->state = SCREEN_HEAD;
			return at;
		}
		read_field(s, line, &ignored);
		if (s->state == SCREEN_REFUSED)
			return 0;
	}
	if (len >= HTTP_HEADER_MAX)
		http_screen_refuse(s, 431, "the body's trailers are longer than 16 KiB");
	return 0;
}

/* As take_head, of a chunk's size; out: what libmicrohttpd gets for it, never longer. */
static size_t take_chunk(struct http_screen *s, const char *text, size_t len, char *out,
			 size_t *n_out)
{
	char size[24];
	struct span line, after;
	size_t at = 0, digits;
	uint64_t n = 0;
	int r = next_line(s, text, len, &at, &line);

	if (r <= 0) {
		if (r == 0 && len > HTTP_CHUNK_LINE_MAX)
			http_screen_refuse(s, 400, "the body has a chunk whose first line is long");
		return 0;
	}
	digits = span_of(&line, HEX_DIGITS);
	after = trim((struct span){line.p + digits, line.n - digits});
	if (digits == 0 || digits > 15 || line.n > HTTP_CHUNK_LINE_MAX ||
	    (line.n > digits && (after.n == 0 || *after.p != ';'))) {
		http_screen_refuse(s, 400, "the body has a chunk without a size");
		return 0;
	}
	for (size_t i = 0; i < digits; i++)
		n = n << 4 | (uint64_t)util_hex_digit(tolower((unsigned char)line.p[i]));
	if (n == 0) {
		at = take_trailers(s, text, len, at);
		*n_out = at ? sizeof(chunk_stand_in) - 1 : 0;
		memcpy(out, chunk_stand_in, *n_out);
		return at;
	}
	*n_out = (size_t)snprintf(size, sizeof(size), "%llx\r\n", (unsigned long long)n);
	memcpy(out, size, *n_out);
	s->left = n;
	s->state = SCREEN_DATA;
	return at;
}

static size_t take_data_end(struct http_screen *s, const char *text, size_t len)
{
	if (*text != '\r' || (len > 1 && text[1] != '\n')) {
		http_screen_refuse(s, 400, "the body has a chunk that is longer than its size");
		return 0;
	}
	if (len < 2)
		return 0;
	s->state = SCREEN_CHUNK;
	return 2;
}

/*
 * RFC 9112, 2.2: an empty line before a request is none. A few of them: whoever sends nothing else
 * makes no request, and would keep its reader busy.
 */
static size_t empty_lines(struct http_screen *s, const char *text, size_t len)
{
	size_t n = 0;

	while (n + 1 < len && text[n] == '\r' && text[n + 1] == '\n') {
		n += 2;
		if (++s->n_empty > HTTP_EMPTY_LINES_MAX) {
			http_screen_refuse(s, 400, "the request begins with empty lines");
			break;
		}
	}
	return n;
}

static void hold(struct http_screen *s, const char *text, size_t len)
{
	char *more;

	if (len == 0 || s->state == SCREEN_REFUSED)
		return;
	more = realloc(s->held, len);
	if (!more) {
		http_screen_refuse(s, 503, "the server has no memory: try again later");
		return;
	}
	memcpy(more, text, len);
	s->held = more;
	s->n_held = len;
}

size_t http_screen(struct http_screen *s, char *buf, size_t len)
{
	size_t in = 0, out = 0;

	s->n_held = 0;
	while (in < len && s->state != SCREEN_REFUSED) {
		size_t taken, given;

		if (s->state == SCREEN_HEAD)
			in += empty_lines(s, buf + in, len - in);
		if (in == len || s->state == SCREEN_REFUSED)
			break;
		switch (s->state) {
		case SCREEN_BODY:
		case SCREEN_DATA:
			taken = given = len - in < s->left ? len - in : (size_t)s->left;
			memmove(buf + out, buf + in, given);
			s->left -= taken;
			if (s->left == 0)
				s->state = s->state == SCREEN_BODY ? SCREEN_HEAD : SCREEN_DATA_END;
			break;
		case SCREEN_HEAD:
			taken = take_head(s, buf + in, len - in);
			given = head_copy(buf + out, buf + in, taken);
			break;
		case SCREEN_DATA_END:
			taken = given = take_data_end(s, buf + in, len - in);
			memmove(buf + out, buf + in, given);
			break;
		default:
			given = 0;
			taken = take_chunk(s, buf + in, len - in, buf + out, &given);
			break;
		}
		if (taken == 0)
			break;
		in += taken;
		out += given;
		s->n_empty = 0;
	}
	hold(s, buf + in, len - in);
	return out;
}

void http_screen_end(struct http_screen *s)
{
	if (s->n_held > 0 || s->state == SCREEN_CHUNK || s->state == SCREEN_DATA_END)
		http_screen_refuse(s, 400, "the request ends in its middle");
}
