// SPDX-License-Identifier: Apache-2.0
/* The part "data" of an upload. */
#include <stdio.h>
#include <string.h>

#include "supervisor/front/api/iron/body.h"
#include "supervisor/front/api/iron/read.h"
#include "supervisor/front/core/package/package.h"

#define ENV_MAX 256
#define ENV_BYTES_MAX (64u << 10)

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

/* ASCII alone: no two names that look alike, nothing that means something in a path. */
static bool is_code_name(const char *name)
{
	if (!is_word(*name) || strstr(name, ".."))
		return false;
	for (; *name; name++)
		if (!is_word(*name) && !strchr("-. ", *name))
			return false;
	return name[-1] != ' ';
}

static bool is_env_name(const char *name)
{
	if (!is_word(*name) || (*name >= '0' && *name <= '9'))
		return false;
	while (is_word(*name))
		name++;
	return !*name;
}

static bool is_printable(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

static void read_env(struct iron_read *in, struct code_spec *spec)
{
	json_t *env = iron_read_get(in, "env_vars"), *value;
	json_auto_t *all = json_object();
	const char *name;

	if (!env)
		return;
	if (!json_is_object(env) || json_object_size(env) > ENV_MAX) {
		(void)json_strict_fail(&in->s, "env_vars", "must be an object of at most %d texts",
				       ENV_MAX);
		return;
	}
	json_object_foreach(env, name, value)
	{
		char path[64], shown[48];

		(void)snprintf(path, sizeof(path), "env_vars.%s",
			       json_strict_escape(name, shown, sizeof(shown)));
		if (!is_env_name(name))
			(void)json_strict_fail(&in->s, path, "is no name of a variable");
		else if (!json_is_string(value))
			(void)json_strict_fail(&in->s, path, "must be a text");
		(void)json_object_set(all, name, value);
	}
	if (in->s.status < 0)
		return;
	util_free_ptr(&spec->env);
	if (json_object_size(all) == 0)
		return;
	spec->env = json_dumps(all, JSON_COMPACT);
	if (!spec->env || strlen(spec->env) > ENV_BYTES_MAX)
		(void)json_strict_fail(&in->s, "env_vars", "is longer than %u bytes",
				       ENV_BYTES_MAX);
}

static void read_file_name(struct iron_read *in, struct code_spec *spec)
{
	char path[PACKAGE_PATH_MAX];
	struct err e;

	if (!iron_read_text(in, "file_name", spec->file_name, sizeof(spec->file_name)) ||
	    !*spec->file_name)
		return;
	if (package_path(spec->file_name, path, &e) < 0 || !*path || !is_printable(path))
		(void)json_strict_fail(&in->s, "file_name",
				       "must be a file's path in the zip, without \"..\"");
	else
		memcpy(spec->file_name, path, strlen(path) + 1); /* never longer than it was */
}

static void read_line(struct iron_read *in, const char *key, char *buf, size_t size)
{
	if (iron_read_text(in, key, buf, size) && !is_printable(buf))
		(void)json_strict_fail(&in->s, key, "must not hold control characters");
}

static void read_numbers(struct iron_read *in, struct code_spec *spec)
{
	int64_t n;

	/* IronWorker's -1 is a paused code, never an upload's wish. */
	if (iron_read_int(in, "max_concurrency", in->strict ? 0 : -1, CODE_CONCURRENCY_MAX, &n))
		spec->max_concurrency = n < 0 ? 0 : (uint32_t)n;
	(void)iron_read_u32(in, "retries", 0, CODE_RETRIES_MAX, &spec->retries);
	(void)iron_read_u32(in, "retries_delay", 0, CODE_RETRIES_DELAY_MAX, &spec->retries_delay_s);
	if (!iron_read_int(in, "default_priority", in->strict ? 0 : -3, LANE_PRIORITIES - 1, &n))
		return;
	spec->default_priority = n < 0 ? 0 : (uint32_t)n;
}

static void read_names(struct iron_read *in, struct code_spec *spec)
{
	if (!iron_read_text(in, "name", spec->name, sizeof(spec->name)) ||
	    !is_code_name(spec->name))
		(void)json_strict_fail(&in->s, "name",
				       "must be letters, digits, \"_\", \"-\", \".\" and blanks "
				       "between them, such as \"hello\"");
	read_line(in, "runtime", spec->runtime, sizeof(spec->runtime));
	read_line(in, "stack", spec->stack, sizeof(spec->stack));
	read_line(in, "command", spec->command, sizeof(spec->command));
	if (iron_read_text(in, "image", spec->image, sizeof(spec->image)) && *spec->image &&
	    !util_is_name(spec->image))
		(void)json_strict_fail(&in->s, "image", "must be an image's name such as \"iron\"");
	if (iron_read_text(in, "policy", spec->policy, sizeof(spec->policy)) && *spec->policy &&
	    !util_is_name(spec->policy))
		(void)json_strict_fail(&in->s, "policy",
				       "must be a policy's name such as \"default\"");
}

/* known: what was asked for of the text; NULL: not wanted. */
static int code_change(const char *text, size_t len, bool strict, struct code_spec *ret,
		       char **known, struct err *e)
{
	static const char *const raw[] = {"config", NULL};
	struct iron_read in = {.strict = strict};
	json_auto_t *doc = NULL;
	const char *config;
	int r;

	r = iron_read_load(text, len, strict, false, raw, &doc, &in, e);
	if (r < 0) {
		code_spec_clear(ret);
		return err_wrap(e, r, "data");
	}
	in.s.what = "data";
	read_names(&in, ret);
	read_file_name(&in, ret);
	read_numbers(&in, ret);
	read_env(&in, ret);
	config = iron_read_any(&in, "config", CODE_CONFIG_MAX);
	if (config) {
		free(ret->config);
		ret->config = *config ? strdup(config) : NULL;
		if (*config && !ret->config)
			(void)json_strict_fail(&in.s, "config", "does not fit into memory");
	}
	r = iron_read_end(&in);
	if (r == 0 && known) {
		*known = iron_read_known(&in);
		r = *known ? 0 : err_set(e, ERR_SYSTEM, ENOMEM, "data");
	}
	if (r < 0)
		code_spec_clear(ret);
	return r;
}

int iron_code_change(const char *text, size_t len, bool strict, struct code_spec *ret,
		     struct err *e)
{
	return code_change(text, len, strict, ret, NULL, e);
}

int iron_code_parse(const char *text, size_t len, bool strict, struct code_spec *ret, struct err *e)
{
	*ret = (struct code_spec){0};
	return iron_code_change(text, len, strict, ret, e);
}

int iron_code_shorten(const char *text, size_t len, bool strict, char **ret, struct err *e)
{
	struct code_spec some = {0};
	int r = code_change(text, len, strict, &some, ret, e);

	code_spec_clear(&some);
	return r;
}
