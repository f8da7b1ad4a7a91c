// SPDX-License-Identifier: Apache-2.0
#include "spec/multipart.h"

#include <string.h>
#include <strings.h>

#include "lib/text.h"

static int fail(struct err *e, const char *what)
{
	return err_set(e, ERR_INPUT, 0, "the form cannot be read: %s", what);
}

/* RFC 2046, 5.1.1. */
static bool is_boundary(const char *s, size_t len)
{
	static const char others[] = "'()+_,-./:=? ";

	if (len == 0 || len > MULTIPART_BOUNDARY_MAX || s[len - 1] == ' ')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!(s[i] >= '0' && s[i] <= '9') &&
		    !((s[i] | 0x20) >= 'a' && (s[i] | 0x20) <= 'z') && !strchr(others, s[i]))
			return false;
	return true;
}

int multipart_begin(struct multipart *m, const char *content_type, struct err *e)
{
	static const char type[] = "multipart/form-data";
	const char *p = content_type;
	size_t len;

	memset(m, 0, sizeof(*m));
	if (!p || strncasecmp(p, type, sizeof(type) - 1) != 0)
		return 0;
	p = strcasestr(p, "boundary=");
	if (p) {
		p += strlen("boundary=");
		len = *p == '"' ? strcspn(++p, "\"") : strcspn(p, "; \t");
	}
	if (!p || !is_boundary(p, len))
		return fail(
			e,
			"Content-Type: multipart/form-data needs a boundary of 1 to 70 characters");
	memcpy(m->delimiter, "\r\n--", 4);
	memcpy(m->delimiter + 4, p, len);
	m->delimiter_len = 4 + len;
	/* The first one begins the body, as if a line had ended before it. */
	m->matched = 2;
	return 1;
}

/* A quoted parameter of Content-Disposition, from behind its '"': decoded in place, which makes it
 * no longer. Returns what follows the closing '"'; NULL: it is none. */
static char *read_quoted(char *at)
{
	char *to = at;

	for (; *at != '"'; at++) {
		if (!*at || *at == '\\')
			return NULL;
		*to++ = strncmp(at, "%22", 3) == 0 ? '"' : *at;
		if (to[-1] == '"')
			at += 2;
		else if (strncasecmp(at, "%0a", 3) == 0 || strncasecmp(at, "%0d", 3) == 0)
			return NULL;
	}
	*to = '\0';
	return at + 1;
}

/* form-data; name="..."; filename="..." */
static int read_disposition(char *at, struct multipart_part *p, struct err *e)
{
	static const char kind[] = "form-data";

	if (strncasecmp(at, kind, sizeof(kind) - 1) != 0)
		return fail(e, "a part's Content-Disposition must be form-data");
	at += sizeof(kind) - 1;
	while (*at) {
		const char **to;
		char *value;

		at += strspn(at, "; ");
		if (strncasecmp(at, "name=\"", 6) == 0) {
			to = &p->name;
			value = at + 6;
		} else if (strncasecmp(at, "filename=\"", 10) == 0) {
			to = &p->file;
			value = at + 10;
		} else {
			return fail(e, "a part's Content-Disposition has something else than "
				       "name=\"..\" and "
				       "filename=\"..\"");
		}
		at = read_quoted(value);
		if (!at || *to || (*at && *at != ';'))
			return fail(e, "a part's Content-Disposition is malformed");
		if (strlen(value) > MULTIPART_NAME_MAX || !log_text_is_utf8(value, strlen(value)))
			return fail(e, "a part's name must be UTF-8, and at most 480 bytes long");
		*to = value;
	}
	if (!p->name)
		return fail(e, "a part has no name");
	return 0;
}

static int read_header(char *line, struct multipart_part *p, bool *disposition, struct err *e)
{
	char *value = strchr(line, ':');

	if (!value || value == line)
		return fail(e, "a part has a header without a name");
	*value++ = '\0';
	value += strspn(value, " \t");
	if (strcasecmp(line, "content-disposition") == 0) {
		if (*disposition)
			return fail(e, "a part has two Content-Dispositions");
		*disposition = true;
		return read_disposition(value, p, e);
	}
	if (strcasecmp(line, "content-type") == 0) {
		if (*p->type || strlen(value) > MULTIPART_TYPE_MAX)
			return fail(e, "a part has two Content-Types, or a long one");
		p->type = value;
	} else if (strcasecmp(line, "content-transfer-encoding") == 0 &&
		   strcasecmp(value, "binary") != 0 && strcasecmp(value, "8bit") != 0 &&
		   strcasecmp(value, "7bit") != 0) {
		return fail(e, "a part has a Content-Transfer-Encoding that forms do not have");
	}
	return 0;
}

/* m->head holds all headers, each with its CRLF, without the empty line. */
static int read_head(struct multipart *m, struct err *e)
{
	struct multipart_part p = {.type = ""};
	bool disposition = false;
	char *line = m->head;
	int r = 0;

	for (size_t i = 0; i < m->head_len; i++) {
		const unsigned char c = (unsigned char)m->head[i];

		if (c == 0x7f || (c < 0x20 && c != '\r' && c != '\n' && c != '\t'))
			return fail(e, "a part's headers hold control characters");
	}
	m->head[m->head_len] = '\0';
	while (r == 0 && *line) {
		char *end = strstr(line, "\r\n");

		if (!end || memchr(line, '\r', (size_t)(end - line)) ||
		    memchr(line, '\n', (size_t)(end - line)) || *line == ' ' || *line == '\t')
			return fail(e, "a part's headers are malformed");
		*end = '\0';
		r = read_header(line, &p, &disposition, e);
		line = end + 2;
	}
	if (r == 0 && !disposition)
		return fail(e, "a part has no Content-Disposition");
	return r < 0 ? r : m->part(m->arg, &p, e);
}

/* Takes from data what belongs to the headers; *ret is how much. */
static int feed_head(struct multipart *m, const char *data, size_t len, size_t *ret, struct err *e)
{
	size_t n = 0;

	while (n < len) {
		if (m->head_len == MULTIPART_HEAD_MAX)
			return fail(e, "a part's headers have more than 4096 bytes");
		m->head[m->head_len++] = data[n++];
		if (m->head_len == 2 && memcmp(m->head, "\r\n", 2) == 0)
			return fail(e, "a part has no Content-Disposition");
		if (m->head_len < 4 || memcmp(m->head + m->head_len - 4, "\r\n\r\n", 4) != 0)
			continue;
		*ret = n;
		m->head_len -= 2;
		m->at = MULTIPART_DATA;
		m->matched = 0;
		return read_head(m, e);
	}
	*ret = n;
	return 0;
}

/*
 * What is not the delimiter is the part's. The delimiter has a CR as its first character alone, so
 * that where one breaks off, what was taken for it is data, and only the character at which it broke
 * off may begin another. Data is given on in one piece, however many of its CRs begin nothing: what
 * takes it may have to make a system call for each.
 */
static int feed_data(struct multipart *m, const char *data, size_t len, size_t *ret, struct err *e)
{
	size_t before = m->matched; /* of the delimiter, with what was fed earlier */
	size_t n = 0, plain;
	int r = 0;

	while (r == 0 && n < len && m->matched < m->delimiter_len) {
		if (m->matched > 0 && data[n] == m->delimiter[m->matched]) {
			m->matched++;
			n++;
		} else if (m->at == MULTIPART_FIRST) {
			return fail(e, "it does not begin with the boundary of its Content-Type");
		} else if (m->matched > 0) {
			if (before > 0)
				r = m->data(m->arg, m->delimiter, before, e);
			before = m->matched = 0;
		} else {
			const char *cr = memchr(data + n, '\r', len - n);

			n = cr ? (size_t)(cr - data) + 1 : len;
			m->matched = cr ? 1 : 0;
		}
	}
	*ret = n;
	plain = n - (m->matched - before);
	if (r == 0 && plain > 0)
		r = m->data(m->arg, data, plain, e);
	if (r == 0 && m->matched == m->delimiter_len) {
		if (m->at == MULTIPART_DATA)
			r = m->end(m->arg, e);
		m->at = MULTIPART_BEHIND;
		m->head_len = 0;
	}
	return r;
}

/* Behind a delimiter: CRLF and another part, or "--" and nothing but a CRLF. */
static int feed_behind(struct multipart *m, char c, struct err *e)
{
	m->head[m->head_len++] = c;
	if (m->head_len < 2)
		return 0;
	if (memcmp(m->head, "\r\n", 2) == 0)
		m->at = MULTIPART_HEAD;
	else if (memcmp(m->head, "--", 2) == 0)
		m->at = MULTIPART_OVER;
	else
		return fail(e, "behind a boundary must stand a line's end, or \"--\"");
	m->head_len = 0;
	return 0;
}

int multipart_feed(struct multipart *m, const char *data, size_t len, struct err *e)
{
	size_t n, at = 0;
	int r = 0;

	while (r == 0 && at < len) {
		n = 1;
		switch (m->at) {
		case MULTIPART_FIRST:
		case MULTIPART_DATA:
			r = feed_data(m, data + at, len - at, &n, e);
			break;
		case MULTIPART_BEHIND:
			r = feed_behind(m, data[at], e);
			break;
		case MULTIPART_HEAD:
			r = feed_head(m, data + at, len - at, &n, e);
			break;
		case MULTIPART_OVER:
			if (m->head_len == 2 || data[at] != "\r\n"[m->head_len++])
				return fail(e, "there is something behind its last part");
			break;
		}
		at += n;
	}
	return r;
}

int multipart_end(const struct multipart *m, struct err *e)
{
	return m->at == MULTIPART_OVER ? 0 : fail(e, "it ends in the middle of a part");
}
