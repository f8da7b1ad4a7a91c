// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/dev/vars.h"

#include <stdio.h>
#include <string.h>

#include "spec/dotenv.h"
#include "supervisor/ctl/ctl.h"

static int take(void *arg, const char *name, const char *value)
{
	json_t *text = json_string(value);

	return json_object_set_new(arg, name, text) < 0 ? -ENOMEM : 0;
}

/* 1: it was read into vars. 0: there is no such file. */
static int read_one(int dirfd, const char *name, json_t *vars, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	unsigned ignored = 0;
	size_t len;
	int r = util_read_file_at(dirfd, name, DOTENV_MAX, &text, &len);

	if (r == -ENOENT)
		return 0;
	if (r == -EFBIG)
		return err_set(e, ERR_LIMIT, 0, "%s: has more than %u bytes", name, DOTENV_MAX);
	if (r == 0)
		r = dotenv_parse(text, len, take, vars, &ignored);
	if (r < 0)
		return err_set(e, ERR_INPUT, -r, "%s", name);
	if (ignored)
		ctl_say("%s:%u: the line is not NAME=VALUE, and means nothing", name, ignored);
	return 1;
}

/* NAME, or with env NAME.ENV, and behind it suffix. */
static int read_named(int dirfd, const char *begin, const char *env, const char *suffix,
		      json_t *vars, char files[DEV_VARS_FILES], struct err *e)
{
	const size_t n = strlen(files);
	char name[DEV_VARS_FILES];
	int r;

	if (snprintf(name, sizeof(name), "%s%s%s%s", begin, env ? "." : "", env ? env : "",
		     suffix) >= (int)sizeof(name) ||
	    strchr(name, '/'))
		return 0;
	r = read_one(dirfd, name, vars, e);
	if (r > 0)
		(void)snprintf(files + n, DEV_VARS_FILES - n, "%s%s", n ? ", " : "", name);
	return r;
}

int dev_vars_read(int dirfd, const char *env, json_t **ret, char files[DEV_VARS_FILES],
		  struct err *e)
{
	json_auto_t *vars = json_object();
	int r = 0;

	files[0] = '\0';
	if (!vars)
		return err_set(e, ERR_SYSTEM, ENOMEM, ".dev.vars");
	if (env)
		r = read_named(dirfd, ".dev.vars", env, "", vars, files, e);
	if (r == 0)
		r = read_named(dirfd, ".dev.vars", NULL, "", vars, files, e);
	if (r == 0) {
		r = read_named(dirfd, ".env", NULL, "", vars, files, e);
		if (r >= 0 && env)
			r = read_named(dirfd, ".env", env, "", vars, files, e);
		if (r >= 0)
			r = read_named(dirfd, ".env", NULL, ".local", vars, files, e);
		if (r >= 0 && env)
			r = read_named(dirfd, ".env", env, ".local", vars, files, e);
	}
	if (r < 0)
		return r;
	*ret = TAKE_PTR(vars);
	return 0;
}
