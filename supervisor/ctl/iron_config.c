// SPDX-License-Identifier: Apache-2.0
/* Which project: the look-up order of IronWorker's clients, last wins. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/ctl/iron.h"

void iron_clear(struct iron *iron)
{
	free(iron->token);
	curl_easy_cleanup(iron->curl);
	iron->token = NULL;
	iron->curl = NULL;
}

bool iron_option(struct iron *iron, int c, char *value)
{
	switch (c) {
	case IRON_OPT_CONFIG:
		iron->config = value;
		return true;
	case 'e':
		iron->env = value;
		return true;
	case IRON_OPT_PROJECT:
		iron->project_id = value;
		return true;
	case IRON_OPT_HOST:
		iron->host = value;
		return true;
	case IRON_OPT_PORT:
		iron->port = value;
		return true;
	case IRON_OPT_TOKEN:
		free(iron->token);
		iron->token = strdup(value);
		memset(value, 'x', strlen(value));
		return true;
	default:
		return false;
	}
}

int iron_number(const char *what, const char *text, long long min, long long max, long long *ret,
		struct err *e)
{
	char *end;

	errno = 0;
	*ret = strtoll(text, &end, 10);
	if (errno || end == text || *end || *ret < min || *ret > max)
		return err_set(e, ERR_INPUT, 0, "%s: must be a number from %lld to %lld", what, min,
			       max);
	return 0;
}

int iron_check_id(const char *id, const char *of, struct err *e)
{
	return util_is_id(id)
		       ? 0
		       : err_set(e, ERR_INPUT, 0, "'%s' is no %s: 24 hexadecimal digits", id, of);
}

int iron_words(const char *verb, int argc, char **argv, int min, int max, const char *what)
{
	if (argc - optind < min)
		return ctl_usage(verb, "names no %s", what);
	if (argc - optind > max)
		return ctl_usage(verb, "does not take '%s'", argv[optind + max]);
	return 0;
}

/* The file at path, which need not be there unless `must`. */
static int read_config(struct iron *iron, const char *path, bool must, bool *env_found,
		       struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r;

	if (!must && access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	r = ctl_read_file(path, IRON_JSON_MAX, true, &text, &len, e);
	return r < 0 ? r : iron_json_read(path, text, len, iron->env, &iron->c, env_found, e);
}

/* PREFIX_PROJECT_ID and so on. An empty variable is as good as none. */
static int read_environment(struct iron *iron, const char *prefix, struct err *e)
{
	static const struct {
		const char *name, *key;
	} names[] = {{"PROJECT_ID", "project_id"},
		     {"TOKEN", "token"},
		     {"HOST", "host"},
		     {"PORT", "port"},
		     {"PROTOCOL", "protocol"},
		     {"SCHEME", "scheme"}};
	char name[64];
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names) && r == 0; i++) {
		const char *value;

		(void)snprintf(name, sizeof(name), "%s_%s", prefix, names[i].name);
		value = getenv(name);
		if (value && *value)
			r = iron_config_set(&iron->c, name, names[i].key, value, e);
	}
	return r;
}

static int read_arguments(struct iron *iron, struct err *e)
{
	const struct {
		const char *what, *key, *value;
	} args[] = {{"--project-id", "project_id", iron->project_id},
		    {"--token", "token", iron->token},
		    {"--host", "host", iron->host},
		    {"--port", "port", iron->port}};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(args) && r == 0; i++)
		if (args[i].value)
			r = iron_config_set(&iron->c, args[i].what, args[i].key, args[i].value, e);
	return r;
}

static int look_up(struct iron *iron, struct err *e)
{
	const char *home = getenv("HOME");
	bool env_found = false;
	char path[PATH_MAX];
	int r = 0;

	if (home && *home && snprintf(path, sizeof(path), "%s/.iron.json", home) < PATH_MAX)
		r = read_config(iron, path, false, &env_found, e);
	if (r == 0)
		r = read_environment(iron, "IRON", e);
	if (r == 0)
		r = read_environment(iron, "IRON_WORKER", e);
	if (r == 0)
		r = read_config(iron, "./iron.json", false, &env_found, e);
	if (r == 0 && iron->config)
		r = read_config(iron, iron->config, true, &env_found, e);
	if (r == 0 && iron->env && !env_found)
		r = err_set(e, ERR_INPUT, 0,
			    "--env %s: none of ~/.iron.json, ./iron.json and --config has such a "
			    "section",
			    iron->env);
	if (r == 0)
		r = read_arguments(iron, e);
	return r < 0 ? r : iron_config_end(&iron->c, e);
}

int iron_begin(struct iron *iron, struct err *e)
{
	int r = look_up(iron, e);

	if (r < 0)
		return r;
	iron->curl = curl_easy_init();
	if (!iron->curl)
		return err_set(e, ERR_SYSTEM, ENOMEM, "libcurl");
	(void)snprintf(iron->token_header, sizeof(iron->token_header), "Authorization: OAuth %s",
		       iron->c.token);
	return 0;
}
