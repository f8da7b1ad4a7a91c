// SPDX-License-Identifier: Apache-2.0
#include "spec/client_config.h"

#include <stdio.h>
#include <string.h>

#include "lib/json_strict.h"

#define ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static const char *const keys[] = {"project_id", "token", "host", "port", "protocol", "scheme"};

/* Copies a value that may have only the characters allowed. An error does not show the value,
 * because it may be a token that was written into the wrong place. */
static int copy(char *to, size_t size, const char *value, const char *allowed, const char *what,
		const char *key, struct err *e)
{
	if (!*value || strspn(value, allowed) != strlen(value))
		return err_set(e, ERR_INPUT, 0,
			       "%s: %s: is empty, or has a character that is not "
			       "allowed there",
			       what, key);
	if (strlen(value) >= size)
		return err_set(e, ERR_INPUT, 0, "%s: %s: is longer than %zu characters", what, key,
			       size - 1);
	strcpy(to, value);
	return 0;
}

static int set_port(struct client_config *c, const char *what, const char *value, struct err *e)
{
	unsigned long port = 0;

	if (*value && strlen(value) <= 5 && strspn(value, "0123456789") == strlen(value))
		port = strtoul(value, NULL, 10);
	if (port < 1 || port > 65535)
		return err_set(e, ERR_INPUT, 0, "%s: port: must be a number from 1 to 65535", what);
	c->port = (unsigned)port;
	return 0;
}

int client_config_set(struct client_config *c, const char *what, const char *key, const char *value,
		      struct err *e)
{
	if (strcmp(key, "project_id") == 0)
		return copy(c->project_id, sizeof(c->project_id), value, ALNUM, what, key, e);
	if (strcmp(key, "token") == 0) {
		(void)snprintf(c->token_from, sizeof(c->token_from), "%s", what);
		return copy(c->token, sizeof(c->token), value, ALNUM "-._~+/=", what, key, e);
	}
	if (strcmp(key, "host") == 0)
		return copy(c->host, sizeof(c->host), value, ALNUM "-._:[]", what, key, e);
	if (strcmp(key, "port") == 0)
		return set_port(c, what, value, e);
	if (strcmp(value, "http") != 0 && strcmp(value, "https") != 0)
		return err_set(e, ERR_INPUT, 0, "%s: %s: must be \"http\" or \"https\"", what, key);
	strcpy(c->scheme, value);
	return 0;
}

/* Reads the keys of one object. at: the section's path for errors, or "". */
static int read_object(const char *what, const char *at, const json_t *object,
		       struct client_config *c, struct err *e)
{
	char name[512], number[32];
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(keys) && r == 0; i++) {
		const json_t *value = json_object_get(object, keys[i]);
		const char *text = json_string_value(value);

		if (!value || json_is_null(value))
			continue;
		(void)snprintf(name, sizeof(name), "%s%s%s", what, *at ? ": " : "", at);
		if (json_is_integer(value) && strcmp(keys[i], "port") == 0) {
			(void)snprintf(number, sizeof(number), "%lld",
				       (long long)json_integer_value(value));
			text = number;
		}
		r = text ? client_config_set(c, name, keys[i], text, e)
			 : err_set(e, ERR_INPUT, 0, "%s: %s: must be a string", name, keys[i]);
	}
	return r;
}

/* Finds the object called key. *ret: NULL when there is none. */
static int read_section(const char *what, const char *at, const json_t *object, const char *key,
			struct client_config *c, const json_t **ret, struct err *e)
{
	const json_t *section = json_object_get(object, key);
	char path[160], shown[64];

	*ret = section;
	if (!section)
		return 0;
	(void)util_escape(key, shown, sizeof(shown));
	if (!json_is_object(section))
		return err_set(e, ERR_INPUT, 0, "%s: %s%s%s: must be an object", what, at,
			       *at ? "." : "", shown);
	(void)snprintf(path, sizeof(path), "%s%s%s", at, *at ? "." : "", shown);
	return read_object(what, path, section, c, e);
}

int client_config_read(const char *what, const char *text, size_t len, const char *env,
		       struct client_config *c, bool *ret_env, struct err *e)
{
	json_auto_t *doc = NULL;
	const json_t *section = NULL, *inner;
	char shown[64];
	int r = json_strict_load(what, text, len, CLIENT_CONFIG_MAX, &doc, e);

	if (r == 0 && !json_is_object(doc))
		r = err_set(e, ERR_INPUT, 0, "%s: must be an object", what);
	if (r == 0)
		r = read_object(what, "", doc, c, e);
	if (r == 0)
		r = read_section(what, "", doc, "iron_worker", c, &inner, e);
	if (r < 0 || !env)
		return r;
	r = read_section(what, "", doc, env, c, &section, e);
	if (r < 0 || !section)
		return r;
	*ret_env = true;
	return read_section(what, util_escape(env, shown, sizeof(shown)), section, "iron_worker", c,
			    &inner, e);
}

int client_config_end(struct client_config *c, struct err *e)
{
	bool https = strcmp(c->scheme, "https") == 0;

	if (!*c->host)
		strcpy(c->host, "127.0.0.1");
	if (!*c->scheme)
		strcpy(c->scheme, "http");
	if (!c->port)
		c->port = https ? 443 : CLIENT_PORT_DEFAULT;
	if (!*c->project_id)
		return err_set(e, ERR_INPUT, 0,
			       "no project is named: put \"project_id\" into iron.json, set "
			       "IRON_PROJECT_ID, or use --project-id ('sandboxctl project create' "
			       "makes one)");
	if (!*c->token)
		return err_set(e, ERR_INPUT, 0,
			       "there is no token: put \"token\" into iron.json, set IRON_TOKEN, "
			       "or use --token ('sandboxctl project token create' makes one)");
	return 0;
}
