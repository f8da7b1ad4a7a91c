// SPDX-License-Identifier: Apache-2.0
/* Which project: the places where IronWorker's clients look, in their order; the last one
 * counts. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/ctl/tenant.h"

void tenant_clear(struct tenant *tenant)
{
	free(tenant->token);
	curl_easy_cleanup(tenant->curl);
	tenant->token = NULL;
	tenant->curl = NULL;
}

bool tenant_option(struct tenant *tenant, int c, char *value)
{
	switch (c) {
	case TENANT_OPT_CONFIG:
		tenant->config = value;
		return true;
	case 'e':
		tenant->env = value;
		return true;
	case TENANT_OPT_PROJECT:
		tenant->project_id = value;
		return true;
	case TENANT_OPT_HOST:
		tenant->host = value;
		return true;
	case TENANT_OPT_PORT:
		tenant->port = value;
		return true;
	case TENANT_OPT_TOKEN:
		free(tenant->token);
		tenant->token = strdup(value);
		memset(value, 'x', strlen(value));
		return true;
	default:
		return false;
	}
}

int tenant_number(const char *what, const char *text, long long min, long long max, long long *ret,
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

int tenant_check_id(const char *id, const char *of, struct err *e)
{
	return util_is_id(id)
		       ? 0
		       : err_set(e, ERR_INPUT, 0, "'%s' is no %s: 24 hexadecimal digits", id, of);
}

int tenant_words(const char *verb, int argc, char **argv, int min, int max, const char *what)
{
	if (argc - optind < min)
		return ctl_usage(verb, "names no %s", what);
	if (argc - optind > max)
		return ctl_usage(verb, "does not take '%s'", argv[optind + max]);
	return 0;
}

/* Reads the file at path, which has to exist only when `must` is set. */
static int read_config(struct tenant *tenant, const char *path, bool must, bool *env_found,
		       struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r;

	if (!must && access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	r = ctl_read_file(path, CLIENT_CONFIG_MAX, true, &text, &len, e);
	return r < 0 ? r
		     : client_config_read(path, text, len, tenant->env, &tenant->c, env_found, e);
}

/* Reads PREFIX_PROJECT_ID and the like. A variable that is empty counts as not set. */
static int read_environment(struct tenant *tenant, const char *prefix, struct err *e)
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
			r = client_config_set(&tenant->c, name, names[i].key, value, e);
	}
	return r;
}

static int read_arguments(struct tenant *tenant, struct err *e)
{
	const struct {
		const char *what, *key, *value;
	} args[] = {{"--project-id", "project_id", tenant->project_id},
		    {"--token", "token", tenant->token},
		    {"--host", "host", tenant->host},
		    {"--port", "port", tenant->port}};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(args) && r == 0; i++)
		if (args[i].value)
			r = client_config_set(&tenant->c, args[i].what, args[i].key, args[i].value,
					      e);
	return r;
}

static int look_up(struct tenant *tenant, struct err *e)
{
	const char *home = getenv("HOME");
	bool env_found = false;
	char path[PATH_MAX];
	int r = 0;

	if (home && *home && snprintf(path, sizeof(path), "%s/.iron.json", home) < PATH_MAX)
		r = read_config(tenant, path, false, &env_found, e);
	if (r == 0)
		r = read_environment(tenant, "IRON", e);
	if (r == 0)
		r = read_environment(tenant, "IRON_WORKER", e);
	if (r == 0)
		r = read_config(tenant, "./iron.json", false, &env_found, e);
	if (r == 0 && tenant->config)
		r = read_config(tenant, tenant->config, true, &env_found, e);
	if (r == 0 && tenant->env && !env_found)
		r = err_set(e, ERR_INPUT, 0,
			    "--env %s: none of ~/.iron.json, ./iron.json and --config has such a "
			    "section",
			    tenant->env);
	if (r == 0)
		r = read_arguments(tenant, e);
	return r < 0 ? r : client_config_end(&tenant->c, e);
}

int tenant_begin(struct tenant *tenant, struct err *e)
{
	int r = look_up(tenant, e);

	if (r < 0)
		return r;
	tenant->curl = curl_easy_init();
	if (!tenant->curl)
		return err_set(e, ERR_SYSTEM, ENOMEM, "libcurl");
	(void)snprintf(tenant->token_header, sizeof(tenant->token_header),
		       "Authorization: OAuth %s", tenant->c.token);
	return 0;
}
