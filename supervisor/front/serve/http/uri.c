// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/serve/http/uri.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/text.h"
#include "supervisor/front/serve/http/screen.h"

/* In place and once: what decodes to a percent sign is one. */
static int decode(char *text, bool plus_is_space)
{
	char *out = text;

	for (const char *p = text; *p; p++) {
		int high, low;

		if (*p == '+' && plus_is_space) {
			*out++ = ' ';
			continue;
		}
		if (*p != '%') {
			*out++ = *p;
			continue;
		}
		high = util_hex_digit(tolower((unsigned char)p[1]));
		low = high < 0 ? -1 : util_hex_digit(tolower((unsigned char)p[2]));
		if (low < 0 || (high == 0 && low == 0))
			return -EINVAL;
		*out++ = (char)(high << 4 | low);
		p += 2;
	}
	*out = '\0';
	return log_text_is_utf8(text, strlen(text)) ? 0 : -EINVAL;
}

static bool segment_is_good(const char *s)
{
	if (!*s || strcmp(s, ".") == 0 || strcmp(s, "..") == 0)
		return false;
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

static int parse_path(char *path, struct http_target *ret, struct err *e)
{
	char *next = path + 1;

	while (next && *next) {
		char *segment = next;

		next = strchr(segment, '/');
		if (next)
			*next++ = '\0';
		if (ret->n_segments == HTTP_SEGMENTS_MAX)
			return err_set(e, ERR_INPUT, 0, "the path has too many parts");
		if (decode(segment, false) < 0 || !segment_is_good(segment))
			return err_set(e, ERR_INPUT, 0,
				       "part %u of the path is empty, '.', '..', no UTF-8, or has "
				       "control characters in it",
				       ret->n_segments + 1);
		ret->slashed = ret->slashed || strchr(segment, '/');
		ret->segments[ret->n_segments++] = segment;
	}
	return 0;
}

static int parse_query(char *query, struct http_target *ret, struct err *e)
{
	while (query) {
		char *name = query, *value;

		query = strchr(name, '&');
		if (query)
			*query++ = '\0';
		if (!*name)
			continue;
		value = strchr(name, '=');
		if (value)
			*value++ = '\0';
		else
			value = name + strlen(name);
		if (ret->n_params == HTTP_PARAMS_MAX)
			return err_set(e, ERR_INPUT, 0, "more than %d query parameters",
				       HTTP_PARAMS_MAX);
		/* No name and no value in the message: it may be a token. */
		if (decode(name, true) < 0 || decode(value, true) < 0)
			return err_set(e, ERR_INPUT, 0,
				       "query parameter %u: bad percent encoding, NUL or no UTF-8",
				       ret->n_params + 1);
		ret->params[ret->n_params].name = name;
		ret->params[ret->n_params++].value = value;
	}
	return 0;
}

/* How long "http://" is at the beginning of the target; 0: it does not begin so. */
static size_t scheme_len(const char *uri)
{
	if (strncasecmp(uri, "http://", 7) == 0)
		return 7;
	return strncasecmp(uri, "https://", 8) == 0 ? 8 : 0;
}

char *http_target_path(const char *uri)
{
	size_t n = scheme_len(uri);

	if (n > 0)
		n += strcspn(uri + n, "/?");
	uri += n;
	return *uri == '/' || n == 0 ? strndup(uri, strcspn(uri, "?")) : strdup("/");
}

/* Moved by one, over the last '/' of "//", so that it can end where the path begins. */
static char *take_authority(char *uri, size_t scheme, struct http_target *ret)
{
	size_t n = strcspn(uri + scheme, "/?");

	ret->authority = memmove(uri + scheme - 1, uri + scheme, n);
	ret->authority[n] = '\0';
	return uri + scheme + n;
}

int http_target_parse(char *uri, struct http_target *ret, struct err *e)
{
	size_t scheme = scheme_len(uri);
	char *query;
	int r;

	*ret = (struct http_target){0};
	if (scheme > 0)
		uri = take_authority(uri, scheme, ret);
	if (ret->authority && (!*ret->authority || *ret->authority == ':' ||
			       !http_screen_is_host(ret->authority, strlen(ret->authority))))
		return err_set(e, ERR_INPUT, 0, "the target must be http://HOST/PATH, or /PATH");
	query = strchr(uri, '?');
	if (query)
		*query++ = '\0';
	if (*uri != '/' && (*uri || !ret->authority))
		return err_set(e, ERR_INPUT, 0, "the path must begin with '/'");
	r = *uri ? parse_path(uri, ret, e) : 0;
	return r < 0 ? r : parse_query(query, ret, e);
}

const char *http_target_param(const struct http_target *t, const char *name)
{
	for (unsigned i = 0; i < t->n_params; i++)
		if (strcmp(t->params[i].name, name) == 0)
			return t->params[i].value;
	return NULL;
}

/*
 * 0: not this path. Else a number that is higher the earlier a row has a word where another
 * has {...}; it always has its highest bit set.
 */
static uint32_t match(const char *path, const struct http_target *t,
		      const char *parts[HTTP_PARTS_MAX])
{
	uint32_t rank = 1u << HTTP_SEGMENTS_MAX;
	unsigned i = 0, n_parts = 0;

	for (; *path == '/' && path[1]; i++) {
		size_t len = strcspn(++path, "/");

		if (strcmp(path, "*") == 0)
			return rank;
		if (i == t->n_segments)
			return 0;
		if (path[0] == '{') {
			if (n_parts == HTTP_PARTS_MAX ||
			    (path[1] != '+' && t->slashed && strchr(t->segments[i], '/')))
				return 0;
			parts[n_parts++] = t->segments[i];
		} else if (strlen(t->segments[i]) == len &&
			   memcmp(t->segments[i], path, len) == 0) {
			rank |= 1u << (HTTP_SEGMENTS_MAX - 1 - i);
		} else {
			return 0;
		}
		path += len;
	}
	return i == t->n_segments ? rank : 0;
}

static void allow_add(char allow[HTTP_ALLOW_MAX], const char *method)
{
	size_t n = strlen(allow);

	if (!strstr(allow, method))
		(void)snprintf(allow + n, HTTP_ALLOW_MAX - n, "%s%s", n ? ", " : "", method);
}

const struct http_route *http_route_find(const struct http_route *const *tables, unsigned n_tables,
					 const char *method, const struct http_target *t,
					 const char *parts[HTTP_PARTS_MAX],
					 char allow[HTTP_ALLOW_MAX])
{
	const struct http_route *best = NULL;
	uint32_t best_rank = 0;

	if (strcmp(method, "HEAD") == 0)
		method = "GET";
	allow[0] = '\0';
	for (unsigned i = 0; i < n_tables; i++)
		for (const struct http_route *r = tables[i]; r->path; r++) {
			const char *these[HTTP_PARTS_MAX] = {NULL};
			uint32_t rank = match(r->path, t, these);
			const bool any = strcmp(r->method, "*") == 0;

			if (!rank)
				continue;
			allow_add(allow, any ? method : r->method);
			if (strcmp(r->method, "GET") == 0)
				allow_add(allow, "HEAD");
			if (rank <= best_rank || (!any && strcmp(r->method, method) != 0))
				continue;
			best = r;
			best_rank = rank;
			memcpy(parts, these, sizeof(these));
		}
	return best;
}

static bool is_token(const char *text, size_t len)
{
	if (len != TOKEN_LEN)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    c != '-' && c != '_')
			return false;
	}
	return true;
}

const char *http_token_text(const char *authorization, const char *param)
{
	const char *token = param;

	if (authorization) {
		size_t scheme = strcspn(authorization, " ");

		if (!(scheme == 5 && strncasecmp(authorization, "OAuth", 5) == 0) &&
		    !(scheme == 6 && strncasecmp(authorization, "Bearer", 6) == 0))
			return NULL;
		token = authorization + scheme;
		token += strspn(token, " ");
	}
	return token && is_token(token, strlen(token)) ? token : NULL;
}

bool http_host_is_loopback(const char *host)
{
	size_t len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
	char name[64];
	struct in_addr addr;

	if (len >= sizeof(name) || len > strlen(host))
		return false;
	memcpy(name, host, len);
	name[len] = '\0';
	host += len;
	if (*host == ':')
		host += 1 + strspn(host + 1, "0123456789");
	if (*host)
		return false;
	if (strcasecmp(name, "localhost") == 0 || strcmp(name, "[::1]") == 0)
		return true;
	return inet_pton(AF_INET, name, &addr) == 1 && ntohl(addr.s_addr) >> 24 == 127;
}

/* RFC 2046's bchars without the space, which would need quotes and which nobody sends; and a $,
 * which IronWorker's Python client does. */
static bool is_boundary(const char *p, size_t len)
{
	static const char more[] = "'()+_,-./:=?$";

	if (len < 1 || len > 70)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!(p[i] >= '0' && p[i] <= '9') && !(p[i] >= 'a' && p[i] <= 'z') &&
		    !(p[i] >= 'A' && p[i] <= 'Z') && !memchr(more, p[i], sizeof(more) - 1))
			return false;
	return true;
}

int http_multipart_check(const char *content_type, struct err *e)
{
	static const char type[] = "multipart/form-data";
	const char *p;

	if (!content_type || strncasecmp(content_type, type, sizeof(type) - 1) != 0)
		return 0;
	p = strcasestr(content_type, "boundary=");
	if (p)
		p += strlen("boundary=");
	if (p && *p == '"' ? is_boundary(p + 1, strcspn(p + 1, "\""))
			   : p && is_boundary(p, strcspn(p, "; \t")))
		return 1;
	return err_set(e, ERR_INPUT, 0,
		       "Content-Type: multipart/form-data needs a boundary of 1 to 70 characters");
}

int http_number(const char *text, uint64_t *ret)
{
	uint64_t n = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++)
		if (*text < '0' || *text > '9' || __builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*text - '0'), &n))
			return -EINVAL;
	*ret = n;
	return 0;
}
