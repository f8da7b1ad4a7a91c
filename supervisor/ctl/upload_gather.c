// SPDX-License-Identifier: Apache-2.0
/* From NAME.worker to a package: finding the files that it names, gathering, building and packing
 * them. */
#include "supervisor/ctl/upload.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void upload_clear(struct upload *u)
{
	json_decref(u->data);
	free(u->shown);
	worker_file_clear(&u->file);
	bundle_clear(&u->bundle);
	util_close_fd(&u->base);
}
int upload_set_text(struct upload *u, const char *key, const char *what, const char *value,
		    struct err *e)
{
	json_t *text = json_string(value);

	if (!text)
		return err_set(e, ERR_INPUT, 0, "%s: must be UTF-8 text", what);
	(void)json_object_set_new(u->data, key, text);
	return 0;
}

static bool ends_in(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n > m && strcmp(s + n - m, end) == 0;
}

/* Returns path with end added, unless it has that end already; the caller frees it. NULL: there is
 * no such file. */
static char *existing(const char *path, const char *end)
{
	char *whole = NULL;
	struct stat st;

	if (asprintf(&whole, "%s%s", path, ends_in(path, end) ? "" : end) < 0)
		return NULL;
	if (stat(whole, &st) == 0 && S_ISREG(st.st_mode))
		return whole;
	free(whole);
	return NULL;
}

/* Opens the folder that the file is in; *ret: the file's name in it. */
static int open_base(struct upload *u, const char *path, const char **ret, struct err *e)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");

	*ret = slash ? slash + 1 : path;
	u->base = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	u->bundle.base = u->base;
	return u->base < 0 ? err_set(e, ERR_INPUT, errno, "%s", path) : 0;
}

/* Reads NAME.worker into u->file; when there is none, NAME.py becomes the exec. */
static int find_worker(struct upload *u, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	const char *name = NULL;
	char cwd[PATH_MAX];
	size_t len;
	int r;

	u->shown = ends_in(u->word, ".py") ? NULL : existing(u->word, ".worker");
	u->has_file = u->shown != NULL;
	if (!u->shown)
		u->shown = existing(u->word, ".py");
	if (!u->shown)
		return err_set(e, ERR_NOT_FOUND, 0, "there is no %s.worker and no %s.py in %s",
			       u->word, u->word, getcwd(cwd, sizeof(cwd)) ? cwd : "this folder");
	r = open_base(u, u->shown, &name, e);
	if (r < 0)
		return r;
	if (u->has_file) {
		r = ctl_read_file(u->shown, WORKER_FILE_MAX, true, &text, &len, e);
		if (r == 0)
			r = worker_file_parse(u->shown, text, len, &u->file, e);
		if (r < 0)
			return r;
	} else {
		u->file.what = u->shown;
		u->file.exec = strdup(name);
	}
	if (!u->file.exec)
		return err_set(e, ERR_INPUT, 0,
			       "%s: names no exec: add a line such as exec \"hello.py\"", u->shown);
	/* The worker's name: from -n, from the file, or the name of the file. */
	if (!u->name)
		u->name = u->file.name;
	if (u->name)
		return upload_set_text(u, "name", "--name", u->name, e);
	len = strlen(name) - strlen(u->has_file ? ".worker" : ".py");
	(void)json_object_set_new(u->data, "name", json_stringn(name, len));
	return 0;
}

/* Makes an error about an item, with its line and column when it comes from a file. */
static int blame(const struct upload *u, unsigned line, unsigned column, const char *word, int r,
		 struct err *e)
{
	struct err said = *e;

	if (r < 0 && u->has_file)
		(void)worker_file_fail(&u->file, line, column, e, "%s: %s", word, said.msg);
	return r;
}

static int gather_zip(struct upload *u, const struct worker_item *item, struct err *e)
{
	_cleanup_fd_ int fd = bundle_open(&u->bundle, item->text, O_RDONLY, e);

	if (fd < 0)
		return fd;
	return bundle_add_archive(&u->bundle, fd, item->text, item->dest, e);
}

static int gather(struct upload *u, struct err *e)
{
	struct worker_file *w = &u->file;
	int r = bundle_add_file(&u->bundle, w->exec, "", e);

	if (r < 0)
		return blame(u, w->exec_line, w->exec_column, "exec", r, e);
	for (size_t i = 0; i < w->n_items && r == 0; i++) {
		const struct worker_item *item = &w->items[i];
		const char *word = "file";

		if (item->kind == WORKER_FILE) {
			r = bundle_add_file(&u->bundle, item->text, item->dest, e);
		} else if (item->kind == WORKER_DIR) {
			word = "dir";
			r = bundle_add_dir(&u->bundle, item->text, item->dest, e);
		} else if (item->kind == WORKER_ZIP) {
			word = "zip";
			r = gather_zip(u, item, e);
		}
		r = blame(u, item->line, item->column, word, r, e);
	}
	return r;
}

/* Adds the variables of set_env. */
static int set_env(struct upload *u, struct err *e)
{
	json_t *env = json_object();

	(void)json_object_set_new(u->data, "env_vars", env);
	for (size_t i = 0; i < u->file.n_items; i++) {
		const struct worker_item *item = &u->file.items[i];
		json_t *value = item->kind == WORKER_ENV ? json_string(item->dest) : NULL;

		if (item->kind != WORKER_ENV)
			continue;
		if (!value)
			return worker_file_fail(&u->file, item->line, item->column, e,
						"set_env: must be UTF-8 text");
		(void)json_object_set_new(env, item->text, value);
	}
	return 0;
}

/* Adds the folder of the modules that were installed to what Python looks through. */
static void add_pips(struct upload *u)
{
	json_t *env = json_object_get(u->data, "env_vars");
	const char *own = ctl_text(env, "PYTHONPATH");

	if (bundle_find(&u->bundle, PIP_FOLDER))
		(void)json_object_set_new(
			env, "PYTHONPATH",
			json_sprintf("%s%s/work/" PIP_FOLDER, own, *own ? ":" : ""));
}

static int set_rest(struct upload *u, struct err *e)
{
	const char *exec = u->file.exec ? u->file.exec : "", *slash = strrchr(exec, '/');
	const char *runtime = u->file.runtime ? u->file.runtime : "python";
	int r = 0;

	if (strncmp(runtime, "python", 6) != 0 && strcmp(runtime, "sh") != 0)
		return err_set(e, ERR_INPUT, 0,
			       "%s: runtime \"%s\" is not offered here: \"python\" and \"sh\" are",
			       u->shown, runtime);
	r = upload_set_text(u, "file_name", "exec", slash ? slash + 1 : exec, e);
	if (r == 0)
		r = upload_set_text(u, "runtime", "runtime", runtime, e);
	if (r == 0 && u->file.stack)
		r = upload_set_text(u, "stack", "stack", u->file.stack, e);
	return r < 0 ? r : set_env(u, e);
}

/* Prints what was installed, a line `name==version` for each. */
static void say_pips(const struct upload *u)
{
	const struct bundle_entry *lock = bundle_find(&u->bundle, PIP_LOCK);
	const char *line = lock ? lock->bytes : "";

	while (line && *line) {
		size_t n = strcspn(line, "\n");

		if (n > 0)
			ctl_say("installed %.*s", (int)n, line);
		line += n + (line[n] == '\n');
	}
}

/* The image on which the worker will run, for pip: its stack, when that is an image here, as the
 * daemon sees it. */
static void take_stack(const struct ctl *ctl, struct upload *u)
{
	const char *stack = u->file.stack ? worker_stack_image(u->file.stack) : NULL;
	char path[PATH_MAX];

	if (!u->build.image && stack && util_is_name(stack) &&
	    snprintf(path, sizeof(path), "%s/images/by-name/%s", ctl->state_dir, stack) <
		    PATH_MAX &&
	    faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		u->build.image = stack;
}

/* Does everything but sending. 0 and the zip, or the exit status. */
int upload_prepare(struct tenant *tenant, struct upload *u, int *ret_fd, uint64_t *ret_size)
{
	struct err e = {0};
	int r = find_worker(u, &e), status;

	if (r == 0)
		r = gather(u, &e);
	if (r == 0)
		r = set_rest(u, &e);
	if (r < 0)
		return ctl_fail(&e);
	if (*u->bundle.left_out)
		ctl_say("left out of the package: %s (file \"NAME\" takes one in)",
			u->bundle.left_out);
	if (pip_wanted(&u->file)) {
		/* A build takes minutes, so the server says before it whether it would take this. */
		r = u->build.project ? tenant_call(tenant, "POST", "/codes/check",
						   json_incref(u->data), NULL, &e)
				     : 0;
		if (r < 0)
			return ctl_fail(&e);
		take_stack(tenant->ctl, u);
		status = pip_run(tenant->ctl, &u->build, &u->file, &u->bundle);
		if (status)
			return status;
		say_pips(u);
	}
	add_pips(u);
	r = bundle_zip(&u->bundle, ret_fd, ret_size, &e);
	return r < 0 ? ctl_fail(&e) : 0;
}
