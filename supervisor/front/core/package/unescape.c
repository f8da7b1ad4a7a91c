// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/core/package/unescape.h"

#include <errno.h>

#include "lib/util.h"

enum { START = 0, QUOTE, TEXT, BACKSLASH, HIGH, LOW, END };

bool iron_unescape_wanted(const char head[2])
{
	return head[0] == 'b' && (head[1] == '\'' || head[1] == '"');
}

/* What repr() writes after a backslash, but for x; else -EINVAL. */
static int simple_escape(char c)
{
	switch (c) {
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	case '\\':
	case '\'':
	case '"':
		return (unsigned char)c;
	default:
		return -EINVAL;
	}
}

/* The byte that c completes, -EAGAIN when it completes none, or -EINVAL. */
static int step(struct iron_unescape *u, char c)
{
	int v;

	switch (u->state) {
	case START:
		u->state = QUOTE;
		return c == 'b' ? -EAGAIN : -EINVAL;
	case QUOTE:
		u->quote = c;
		u->state = TEXT;
		return c == '\'' || c == '"' ? -EAGAIN : -EINVAL;
	case TEXT:
		if (c == u->quote || c == '\\') {
			u->state = c == '\\' ? BACKSLASH : END;
			return -EAGAIN;
		}
		return c >= 0x20 && c < 0x7f ? c : -EINVAL;
	case BACKSLASH:
		u->state = c == 'x' ? HIGH : TEXT;
		return c == 'x' ? -EAGAIN : simple_escape(c);
	case HIGH:
		u->high = util_hex_digit(c);
		u->state = LOW;
		return u->high < 0 ? -EINVAL : -EAGAIN;
	case LOW:
		v = util_hex_digit(c);
		u->state = TEXT;
		return v < 0 ? -EINVAL : u->high << 4 | v;
	default:
		/* Nothing but the end of a line follows the literal. */
		return c == '\r' || c == '\n' ? -EAGAIN : -EINVAL;
	}
}

int iron_unescape(struct iron_unescape *u, const char *text, size_t len, char *ret, size_t *ret_len)
{
	*ret_len = 0;
	for (size_t i = 0; i < len; i++, u->offset++) {
		int c = step(u, text[i]);

		if (c >= 0)
			ret[(*ret_len)++] = (char)c;
		else if (c != -EAGAIN)
			return c;
	}
	return 0;
}

int iron_unescape_end(const struct iron_unescape *u)
{
	return u->state == END ? 0 : -EINVAL;
}
