// SPDX-License-Identifier: Apache-2.0
#include "spec/route_pattern.h"

#include <stdio.h>
#include <string.h>

#define LABEL_MAX 63

static bool is_label_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/* Checks the labels of a host in lower case. */
static int check_host(const char *host, struct err *e)
{
	for (const char *at = host;; at++) {
		size_t n = strcspn(at, ".");

		if (n == 0)
			return err_set(e, ERR_INPUT, 0,
				       "the host has an empty part: write it as in example.com/*");
		if (n > LABEL_MAX)
			return err_set(e, ERR_INPUT, 0,
				       "a part of the host has more than %d characters", LABEL_MAX);
		for (size_t i = 0; i < n; i++)
			if (!is_label_char(at[i]))
				return err_set(e, ERR_INPUT, 0,
					       "the host may have letters, digits, '-' and '.'");
		if (at[0] == '-' || at[n - 1] == '-')
			return err_set(e, ERR_INPUT, 0,
				       "no part of the host may begin or end with '-'");
		at += n;
		if (*at == '\0')
			return 0;
	}
}

static int read_host(const char *text, size_t len, struct route_pattern *ret, struct err *e)
{
	if (len >= 2 && memcmp(text, "*.", 2) == 0) {
		ret->below = true;
		text += 2;
		len -= 2;
	}
	if (len > 0 && text[len - 1] == '.')
		len--;
	if (len == 0)
		return err_set(e, ERR_INPUT, 0, "there is no host: write it as in example.com/*");
	if (memchr(text, '*', len))
		return err_set(e, ERR_INPUT, 0,
			       "a host may begin with '*.', which means all hosts below it, and "
			       "have no other '*'");
	if (memchr(text, ':', len))
		return err_set(e, ERR_INPUT, 0, "a pattern has no port: leave it out");
	if (memchr(text, '@', len))
		return err_set(e, ERR_INPUT, 0, "a pattern has no user name: leave it out");
	if (len > ROUTE_HOST_MAX)
		return err_set(e, ERR_INPUT, 0, "the host has more than %d characters",
			       ROUTE_HOST_MAX);
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] >= 0x80)
			return err_set(e, ERR_INPUT, 0,
				       "the host has letters that are not ASCII: write it in the "
				       "form that DNS has of it, which begins with xn--");
		ret->host[i] = text[i];
		if (text[i] >= 'A' && text[i] <= 'Z')
			ret->host[i] = (char)(text[i] - 'A' + 'a');
	}
	ret->host[len] = '\0';
	return check_host(ret->host, e);
}

/* Whether a path has a part "." or "..": no request's path has one when it is looked up. */
static bool has_dots(const char *path)
{
	while (*path) {
		size_t n = strcspn(path, "/");

		if ((n == 1 && path[0] == '.') || (n == 2 && path[0] == '.' && path[1] == '.'))
			return true;
		path += n + (path[n] == '/');
	}
	return false;
}

static int read_path(const char *text, struct route_pattern *ret, struct err *e)
{
	size_t len = strlen(text);

	if (len == 0) {
		(void)snprintf(ret->path, sizeof(ret->path), "/");
		return 0;
	}
	if (text[len - 1] == '*') {
		ret->prefix = true;
		len--;
	}
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '*')
			return err_set(e, ERR_INPUT, 0,
				       "a path may have one '*', which is its last character");
		if (text[i] == '?' || text[i] == '#')
			return err_set(e, ERR_INPUT, 0,
				       "a pattern has no '%c': it matches whatever the query is",
				       text[i]);
		if (text[i] <= ' ' || text[i] == '\x7f' || strchr("\"<>\\^`{|}", text[i]))
			return err_set(
				e, ERR_INPUT, 0,
				"the path has a character that no URL has: write it as %%%02X",
				(unsigned char)text[i]);
	}
	(void)snprintf(ret->path, sizeof(ret->path), "%.*s", (int)len, text);
	if (has_dots(ret->path))
		return err_set(e, ERR_INPUT, 0, "a path has no part '.' or '..'");
	return 0;
}

int route_pattern_parse(const char *text, bool custom_domain, struct route_pattern *ret,
			struct err *e)
{
	size_t n;
	int r;

	*ret = (struct route_pattern){0};
	if (strlen(text) >= ROUTE_PATTERN_MAX)
		return err_set(e, ERR_INPUT, 0, "has more than %d characters",
			       ROUTE_PATTERN_MAX - 1);
	if (strncasecmp(text, "https://", 8) == 0)
		text += 8;
	else if (strncasecmp(text, "http://", 7) == 0)
		text += 7;
	n = strcspn(text, "/?#");
	if (custom_domain && (text[n] || memchr(text, '*', n)))
		return err_set(e, ERR_INPUT, 0,
			       "a custom domain is a host alone, without '*' and without a path: "
			       "leave out custom_domain, or write it as in api.example.com");
	r = read_host(text, n, ret, e);
	if (r == 0)
		r = read_path(custom_domain ? "/*" : text + n, ret, e);
	if (r < 0)
		*ret = (struct route_pattern){0};
	return r;
}

char *route_pattern_format(const struct route_pattern *p, char *buf, size_t size)
{
	(void)snprintf(buf, size, "%s%s%s%s", p->below ? "*." : "", p->host, p->path,
		       p->prefix ? "*" : "");
	return buf;
}

bool route_host_is_below(const char *host, const char *base)
{
	const size_t n = strlen(host), m = strlen(base);

	return n > m + 1 && host[n - m - 1] == '.' && strcmp(host + n - m, base) == 0;
}
