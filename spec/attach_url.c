// SPDX-License-Identifier: Apache-2.0
#include "spec/attach_url.h"

#include <stdio.h>
#include <string.h>

static const struct kind {
	const char *type, *word, *port;
} kinds[] = {
	{"postgresql", "SQL", "5432"},	 {"postgis", "SQL", "5432"},
	{"mysql", "MYSQL", "3306"},	 {"redis", "REDIS", "6379"},
	{"mongodb", "MONGODB", "27017"}, {"rabbitmq", "AMQP", "5672"},
	{"solr", "SOLR", "8983"},	 {"smtp", "SMTP", "25"},
};

static const char *const parts[] = {"HOST", "PORT", "LOGIN", "PASSWORD", "URL"};

static const struct kind *kind_of(const char *type)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kinds[i].type, type) == 0)
			return &kinds[i];
	return NULL;
}

const char *attach_kind(const char *type)
{
	const struct kind *k = kind_of(type);

	return k ? k->word : NULL;
}

static void key_of(const char *name, const struct kind *k, const char *part, char buf[64])
{
	(void)snprintf(buf, 64, "DOTCLOUD_%.16s_%s_%s", name, k->word, part);
	for (char *c = buf; *c; c++)
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
}

static int hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* A part of the URL, with %XX as the byte that it means. -EINVAL: one that means none, or a NUL. */
static int decode(const char *from, size_t len, char buf[ATTACH_URL_MAX + 1])
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		buf[n] = from[i];
		if (from[i] == '%') {
			const int high = i + 2 < len ? hex(from[i + 1]) : -1;
			const int low = i + 2 < len ? hex(from[i + 2]) : -1;

			if (high < 0 || low < 0 || high + low == 0)
				return -EINVAL;
			buf[n] = (char)(high * 16 + low);
			i += 2;
		}
		n++;
	}
	buf[n] = '\0';
	return 0;
}

struct address {
	const char *login, *password, *host, *port;
	size_t n_login, n_password, n_host, n_port;
};

static int split(const char *url, struct address *a)
{
	const size_t n_scheme = strspn(url, "abcdefghijklmnopqrstuvwxyz0123456789+.-");
	const char *rest = url + n_scheme, *end, *at = NULL, *colon;

	if (n_scheme == 0 || strncmp(rest, "://", 3) != 0)
		return -EINVAL;
	rest += 3;
	end = rest + strcspn(rest, "/?#");
	for (const char *c = rest; c < end; c++)
		if (*c == '@')
			at = c;
	if (at) {
		colon = memchr(rest, ':', (size_t)(at - rest));
		a->login = rest;
		a->n_login = (size_t)((colon ? colon : at) - rest);
		if (colon) {
			a->password = colon + 1;
			a->n_password = (size_t)(at - a->password);
		}
		rest = at + 1;
	}
	a->host = rest;
	if (*rest == '[') {
		const char *close = memchr(rest, ']', (size_t)(end - rest));

		if (!close)
			return -EINVAL;
		a->host++;
		a->n_host = (size_t)(close - a->host);
		rest = close + 1;
	} else {
		colon = memchr(rest, ':', (size_t)(end - rest));
		a->n_host = (size_t)((colon ? colon : end) - rest);
		rest += a->n_host;
	}
	if (rest < end && *rest != ':')
		return -EINVAL;
	if (rest < end) {
		a->port = rest + 1;
		a->n_port = (size_t)(end - a->port);
	}
	return a->n_host ? 0 : -EINVAL;
}

static bool is_host(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:",
			    s[i]))
			return false;
	return n <= 253;
}

static int put(json_t *o, const char *name, const struct kind *k, const char *part,
	       const char *text, size_t len)
{
	char key[64], value[ATTACH_URL_MAX + 1];

	key_of(name, k, part, key);
	if (decode(text, len, value) < 0)
		return -EINVAL;
	return json_object_set_new(o, key, json_string(value)) < 0 ? -EINVAL : 0;
}

int attach_variables(const char *name, const char *type, const char *url, json_t **ret,
		     struct err *e)
{
	const struct kind *k = kind_of(type);
	struct address a = {.login = "", .password = "", .host = ""};
	json_auto_t *o = json_object();
	unsigned port = 0;
	char key[64];

	if (!k)
		return err_set(
			e, ERR_INPUT, 0,
			"kind: must be postgresql, postgis, mysql, redis, mongodb, rabbitmq, "
			"solr or smtp");
	if (strlen(url) > ATTACH_URL_MAX)
		return err_set(e, ERR_INPUT, 0, "url: has more than %u bytes", ATTACH_URL_MAX);
	for (const char *c = url; *c; c++)
		if (*c <= ' ' || *c >= 0x7f)
			return err_set(
				e, ERR_INPUT, 0,
				"url: has a space or a letter that is not ASCII: write it as "
				"%%XX");
	if (split(url, &a) < 0 || !is_host(a.host, a.n_host))
		return err_set(e, ERR_INPUT, 0,
			       "url: must be scheme://login:password@host:port/path, and only the "
			       "host has to be there");
	if (!a.port || a.n_port == 0) {
		a.port = k->port;
		a.n_port = strlen(k->port);
	}
	for (size_t i = 0; i < a.n_port && port <= 65535; i++)
		port = a.port[i] >= '0' && a.port[i] <= '9'
			       ? port * 10 + (unsigned)(a.port[i] - '0')
			       : 65536;
	if (port == 0 || port > 65535)
		return err_set(e, ERR_INPUT, 0, "url: the port must be a number from 1 to 65535");
	key_of(name, k, "URL", key);
	if (put(o, name, k, "HOST", a.host, a.n_host) < 0 ||
	    put(o, name, k, "PORT", a.port, a.n_port) < 0 ||
	    put(o, name, k, "LOGIN", a.login, a.n_login) < 0 ||
	    put(o, name, k, "PASSWORD", a.password, a.n_password) < 0 ||
	    json_object_set_new(o, key, json_string(url)) < 0)
		return err_set(
			e, ERR_INPUT, 0,
			"url: login and password must be UTF-8, with %%XX for what is none of "
			"a URL's characters");
	*ret = json_incref(o);
	return 0;
}

json_t *attach_nothing(const char *name, const char *type)
{
	const struct kind *k = kind_of(type);
	json_t *o = k ? json_object() : NULL;

	for (size_t i = 0; o && i < ARRAY_SIZE(parts); i++) {
		char key[64];

		key_of(name, k, parts[i], key);
		json_object_set_new(o, key, json_null());
	}
	return o;
}
