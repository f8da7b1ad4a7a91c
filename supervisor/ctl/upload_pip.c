// SPDX-License-Identifier: Apache-2.0
/*
 * pip runs as a task of the image that the worker will run on, so that what it builds fits that
 * image, and so that no package's setup.py runs outside of a sandbox. The result comes back on the
 * task's stdout, as tar.gz: a log keeps every byte as it is, up to a size that this task's limits
 * set, and no other way out of the sandbox is needed. The task is removed afterwards, with its log.
 */
#include "supervisor/ctl/upload_pip.h"

#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/wait.h>

#include "lib/dir.h"
#include "supervisor/ctl/image.h"
#include "supervisor/ctl/pip_index.h"
#include "supervisor/ctl/upload_requirements.h"

#define IMAGE_DEFAULT "iron"  /* as for a worker that names none */
#define POLICY_ONLINE "build" /* the operator's, whatever policies a project's tasks may name */
#define POLICY_OFFLINE "default"
#define WHEELS "/usr/share/python-wheels/pip-*.whl" /* Debian's python3-pip-whl */
#define CERTIFICATES "/etc/ssl/certs/ca-certificates.crt"

/* A build: its folder, and its result. */
struct work {
	char dir[PATH_MAX]; /* "" before it is made */
	char image[128];    /* the image in which it is built */
	int dirfd, out;	    /* out: the task's stdout */
	bool wheels, index; /* index: it may ask for packages */
	struct err *e;
};

bool pip_wanted(const struct worker_file *w)
{
	for (size_t i = 0; i < w->n_items; i++)
		if (w->items[i].kind == WORKER_PIP || w->items[i].kind == WORKER_REQUIREMENTS)
			return true;
	return w->build_command != NULL;
}

static void work_clear(struct work *k)
{
	if (*k->dir)
		(void)dir_remove_tree(AT_FDCWD, k->dir);
	util_close_fd(&k->dirfd);
	util_close_fd(&k->out);
}

static int work_init(struct work *k, struct err *e)
{
	const char *tmp = getenv("TMPDIR");

	*k = (struct work){.dirfd = -1, .out = -1, .e = e};
	k->out = bundle_temp_file(e);
	if (k->out < 0)
		return k->out;
	(void)snprintf(k->dir, sizeof(k->dir), "%s/sandboxctl-build.XXXXXX",
		       tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(k->dir)) {
		int r = err_set(e, ERR_SYSTEM, errno, "%s", k->dir);

		*k->dir = '\0';
		return r;
	}
	k->dirfd = open(k->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return k->dirfd < 0 ? err_set(e, ERR_SYSTEM, errno, "%s", k->dir) : 0;
}

static int put_text(struct work *k, const char *name, const char *text, size_t len)
{
	int r = util_write_file_at(k->dirfd, name, 0600, text, len);

	return r < 0 ? err_set(k->e, ERR_SYSTEM, -r, "%s/%s", k->dir, name) : 0;
}

static int put_copy(struct work *k, const char *name, int from, uint64_t size)
{
	_cleanup_fd_ int to = openat(k->dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (to < 0)
		return err_set(k->e, ERR_SYSTEM, errno, "%s/%s", k->dir, name);
	while (size > 0) {
		ssize_t n = sendfile(to, from, NULL, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(k->e, ERR_SYSTEM, n < 0 ? errno : EIO, "%s/%s", k->dir,
				       name);
		size -= (uint64_t)n;
	}
	return 0;
}

/* Adds the file at path under this name; when it does not exist, that is an error only with
 * must. */
static int put_file(struct work *k, const char *name, int base, const char *path, bool must)
{
	_cleanup_fd_ int from = openat(base, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (from < 0 && !must)
		return 0;
	if (from < 0 || fstat(from, &st) < 0)
		return err_set(k->e, ERR_INPUT, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return must ? err_set(k->e, ERR_INPUT, 0, "%s: is not a regular file", path) : 0;
	return put_copy(k, name, from, (uint64_t)st.st_size);
}

static bool is_archive(const char *name)
{
	static const char *const ends[] = {".whl", ".tar.gz", ".zip", ".tar.bz2", ".tgz"};
	size_t len = strlen(name);

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (len > strlen(ends[i]) && strcmp(name + len - strlen(ends[i]), ends[i]) == 0)
			return true;
	return false;
}

static int put_wheel(int dir, const char *name, void *arg, struct err *e)
{
	char to[NAME_MAX + 16];
	struct work *k = arg;

	(void)e;
	(void)snprintf(to, sizeof(to), "wheels/%s", name);
	if (!is_archive(name) || faccessat(k->dirfd, to, F_OK, 0) == 0)
		return 0;
	return put_file(k, to, dir, name, true);
}

/* Adds the archives of a folder, for --find-links. */
static int put_wheels(struct work *k, const char *folder)
{
	_cleanup_fd_ int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return err_set(k->e, ERR_INPUT, errno, "--find-links: %s", folder);
	if (!k->wheels && mkdirat(k->dirfd, "wheels", 0700) < 0)
		return err_set(k->e, ERR_SYSTEM, errno, "%s/wheels", k->dir);
	k->wheels = true;
	return dir_each(dir, put_wheel, k, k->e);
}

/*
 * What the build is told of pip's configuration on this machine: the options that do not say where
 * packages come from, the folders of archives, and how many indexes it may ask.
 */
static int put_configuration(struct work *k, json_t *settings)
{
	json_auto_t *told = NULL;
	json_t *folder;
	size_t i;
	int r = pip_index_settings(&told, k->e);

	if (r < 0)
		return r;
	json_array_foreach(json_object_get(told, "find_links"), i, folder)
	{
		r = put_wheels(k, json_string_value(folder));
		if (r < 0)
			return r;
	}
	k->index = json_is_false(json_object_get(told, "no_index")) ||
		   json_integer_value(json_object_get(told, "pages")) > 0;
	(void)json_object_del(told, "find_links");
	(void)json_object_update(settings, told);
	return 0;
}

static int put_pip(struct work *k)
{
	glob_t found = {0};
	int r = 0;

	/* The newest wheel by its name; the image may have a pip of its own. */
	if (glob(WHEELS, 0, NULL, &found) == 0 && found.gl_pathc > 0)
		r = put_file(k, "pip.whl", AT_FDCWD, found.gl_pathv[found.gl_pathc - 1], false);
	globfree(&found);
	return r;
}

/* Adds a requirements file and what it names to *sources, and its name there to files. */
static int put_file_list(struct work *k, const struct worker_file *w,
			 const struct worker_item *item, struct bundle *sources, json_t *files)
{
	_cleanup_free_ char *name = NULL;
	int r = requirements_add(sources, item->text, &name, k->e);

	if (r == 0 && json_array_append_new(files, json_string(name)) < 0)
		r = err_set(k->e, ERR_INPUT, 0, "its name must be UTF-8 text");
	if (r < 0) {
		struct err said = *k->e;

		r = worker_file_fail(w, item->line, item->column, k->e, "requirements: %s",
				     said.msg);
	}
	return r;
}

static const char *image_of(const struct pip_build *build)
{
	return build->image ? build->image : IMAGE_DEFAULT;
}

/* Adds what the .worker file asks for: requirements as text, and files that are sent along. */
static int put_requirements(struct work *k, const struct worker_file *w, int base, json_t *settings)
{
	json_t *texts = json_array(), *files = json_array();
	_cleanup_bundle_ struct bundle sources = {.base = base};
	_cleanup_fd_ int zip = -1;
	uint64_t size;
	int r = 0;

	(void)json_object_set_new(settings, "requirements", texts);
	(void)json_object_set_new(settings, "files", files);
	for (size_t i = 0; i < w->n_items && r == 0; i++) {
		const struct worker_item *item = &w->items[i];

		if (item->kind == WORKER_PIP &&
		    json_array_append_new(texts, json_string(item->text)) < 0)
			r = worker_file_fail(w, item->line, item->column, k->e,
					     "pip: must be UTF-8 text");
		else if (item->kind == WORKER_REQUIREMENTS)
			r = put_file_list(k, w, item, &sources, files);
	}
	if (r < 0 || sources.n == 0)
		return r;
	r = bundle_zip(&sources, &zip, &size, k->e);
	return r < 0 ? r : put_copy(k, "sources.zip", zip, size);
}

static const char *policy_of(const struct pip_build *build)
{
	if (build->policy)
		return build->policy;
	return build->n_find_links > 0 ? POLICY_OFFLINE : POLICY_ONLINE;
}

/* Writes task.json for `sandboxctl run`, and what pip-build is told. */
static int put_task(struct work *k, const char *policy, const char *label, const json_t *settings)
{
	json_auto_t *task = json_pack("{s:s, s:s, s:s, s:s, s:s}", "exec", "pip-build", "dir", ".",
				      "policy", policy, "start", "cold", "label", label);
	_cleanup_free_ char *text = NULL, *task_text = NULL;
	int r;

	/* The operator's policy for builds has limits that are right for builds. */
	if (task && strcmp(policy, POLICY_ONLINE) != 0)
		(void)json_object_set_new(task, "limits",
					  json_pack("{s:s, s:s, s:s, s:i, s:i}", "memory", "2G",
						    "disk", "2G", "log", "1G", "pids", 256,
						    "timeout", 3600));
	text = settings ? json_dumps(settings, 0) : NULL;
	task_text = task ? json_dumps(task, 0) : NULL;
	if (!text || !task_text)
		return err_set(k->e, ERR_SYSTEM, ENOMEM, "task.json");
	r = put_text(k, "settings.json", text, strlen(text));
	return r < 0 ? r : put_text(k, "task.json", task_text, strlen(task_text));
}

/* Adds pip-build, and a pip for an image that has none. */
static int put_programs(struct work *k)
{
	char script[PATH_MAX];
	int r;

	(void)snprintf(script, sizeof(script), "%s/pip-build", store_libexec_dir());
	r = put_file(k, "pip-build", AT_FDCWD, script, true);
	return r < 0 ? r : put_pip(k);
}

/* Writes task.json, settings.json and everything that they name. */
static int fill(struct work *k, const struct pip_build *build, const struct worker_file *w,
		struct bundle *b)
{
	json_auto_t *settings =
		json_pack("{s:s, s:s, s:s, s:{}, s:b, s:s?}", "mode", "worker", "image",
			  image_of(build), "built_in", k->image, "environment", "no_index",
			  build->n_find_links > 0, "command", w->build_command);
	_cleanup_fd_ int zip = -1;
	uint64_t size = 0;
	int r;

	if (!settings)
		return err_set(k->e, ERR_INPUT, 0, "remote_build_command: must be UTF-8 text");
	r = put_programs(k);
	if (r < 0)
		return r;
	r = put_file(k, "ca.crt", AT_FDCWD, CERTIFICATES, false);
	if (r < 0)
		return r;
	for (size_t i = 0; i < build->n_find_links; i++) {
		r = put_wheels(k, build->find_links[i]);
		if (r < 0)
			return r;
	}
	if (build->n_find_links == 0) {
		r = put_configuration(k, settings);
		if (r < 0)
			return r;
	}
	r = put_requirements(k, w, b->base, settings);
	if (r < 0)
		return r;
	if (w->build_command) {
		r = bundle_zip(b, &zip, &size, k->e);
		if (r < 0)
			return r;
		r = put_copy(k, "package.zip", zip, size);
		if (r < 0)
			return r;
	}
	return put_task(k, policy_of(build), "build", settings);
}

/*
 * Chooses the image in which to build: IMAGE-build, if the operator has made one, with compilers
 * that the worker's own image need not have; else the worker's image. Both must have the same
 * Python, or the result would not fit.
 */
static void choose_image(struct ctl *ctl, const char *image, char *ret, size_t size)
{
	_cleanup_image_entry_ struct image_entry own = {0}, build = {0};
	_cleanup_fd_ int images = -1;
	struct err ignored = {0};

	(void)snprintf(ret, size, "%s-build", image);
	if (store_open(ctl, "images", false, &images, &ignored) < 0 ||
	    image_entry_read(images, ret, &build, &ignored) < 0 ||
	    image_entry_read(images, image, &own, &ignored) < 0 ||
	    strcmp(ctl_text(own.doc, "python"), ctl_text(build.doc, "python")) != 0)
		(void)snprintf(ret, size, "%s", image);
}

/* Runs `sandboxctl run IMAGE task.json` in a child with its stdout in k->out, beside the package index
 * that the build may ask; returns its exit status. */
static int run_build(struct ctl *ctl, struct work *k, const struct pip_build *build)
{
	struct pip_index index = PIP_INDEX_INIT;
	struct ctl quiet = *ctl;
	char path[PATH_MAX + 16];
	char *argv[8];
	int argc = 0, status = 0, r;
	pid_t pid;

	(void)snprintf(path, sizeof(path), "%s/task.json", k->dir);
	quiet.json = false;
	argv[argc++] = (char *)"run";
	if (build->project) {
		argv[argc++] = (char *)"--project";
		argv[argc++] = (char *)build->project;
	}
	argv[argc++] = k->image;
	argv[argc++] = path;
	argv[argc] = NULL;
	if (k->index) {
		r = pip_index_start(&index, k->e);
		if (r < 0)
			return r;
	}
	(void)fflush(NULL);
	pid = fork();
	if (pid < 0) {
		r = err_set(k->e, ERR_SYSTEM, errno, "fork");
		pip_index_stop(&index);
		return r;
	}
	if (pid == 0) {
		optind = 0;
		if (dup2(k->out, STDOUT_FILENO) < 0)
			_exit(err_exit_status(ERR_SYSTEM));
		_exit(ctl_run_with_input(&quiet, argc, argv, index.sock));
	}
	/* The child has a copy, and gives it to the sandbox: the index ends with the two. */
	util_close_fd(&index.sock);
	/* Ctrl-C is for the child, which ends the task; afterwards we tell that. */
	(void)signal(SIGINT, SIG_IGN);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	(void)signal(SIGINT, SIG_DFL);
	pip_index_stop(&index);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Reads the line with the task's id, with which the result begins. */
static int take_id(struct work *k, char id[TASK_ID_LEN + 1])
{
	char line[TASK_ID_LEN + 1];

	if (lseek(k->out, 0, SEEK_SET) < 0 || util_read_all(k->out, line, sizeof(line)) < 0 ||
	    line[TASK_ID_LEN] != '\n')
		return err_set(k->e, ERR_INTERNAL, 0, "the build's result is cut short");
	line[TASK_ID_LEN] = '\0';
	if (!util_is_id(line))
		return err_set(k->e, ERR_INTERNAL, 0, "the build's result names no task");
	(void)snprintf(id, TASK_ID_LEN + 1, "%s", line);
	return 0;
}

static void forget_task(struct ctl *ctl, const char *id)
{
	struct err ignored = {0};

	(void)ctl_call(ctl, json_pack("{s:s, s:s}", "op", "rm", "id", id), NULL, 0, NULL, &ignored);
}

static int take_result(struct ctl *ctl, struct work *k, const struct worker_file *w,
		       struct bundle *b)
{
	char id[TASK_ID_LEN + 1];
	int r = take_id(k, id);

	if (r < 0)
		return r;
	if (w->build_command)
		bundle_clear(b);
	r = bundle_add_archive(b, k->out, "the build's result", "", k->e);
	/* The task's log has a second copy of the package. */
	forget_task(ctl, id);
	return r;
}

/* Makes the check's folder: the result of the build, and what is to be done with it. */
static int fill_check(struct work *k, const struct work *built, const struct pip_build *build,
		      const struct worker_file *w)
{
	json_auto_t *settings =
		json_pack("{s:s, s:s, s:s, s:[], s:{}}", "mode", "check", "image", k->image,
			  "built_in", built->image, "requirements", "environment");
	json_t *texts = json_object_get(settings, "requirements");
	struct stat st;
	int r = put_programs(k);

	for (size_t i = 0; i < w->n_items; i++)
		if (w->items[i].kind == WORKER_PIP)
			(void)json_array_append_new(texts, json_string(w->items[i].text));
	if (r == 0 && (fstat(built->out, &st) < 0 ||
		       lseek(built->out, TASK_ID_LEN + 1, SEEK_SET) != TASK_ID_LEN + 1))
		r = err_set(k->e, ERR_SYSTEM, errno, "the build's result");
	if (r == 0)
		r = put_copy(k, "result.tar.gz", built->out,
			     (uint64_t)st.st_size - (TASK_ID_LEN + 1));
	return r < 0 ? r : put_task(k, policy_of(build), "check", settings);
}

/*
 * What was built in another image may need something there that the worker's image lacks. The check
 * looks for that in the worker's image and prints it; the user judges.
 */
static void check_result(struct ctl *ctl, const struct work *built, const struct pip_build *build,
			 const struct worker_file *w)
{
	char id[TASK_ID_LEN + 1];
	struct err e = {0};
	struct work k;
	int r = work_init(&k, &e);

	(void)snprintf(k.image, sizeof(k.image), "%s", image_of(build));
	if (r == 0)
		r = fill_check(&k, built, build, w);
	if (r == 0)
		r = run_build(ctl, &k, build);
	if (r == 0)
		r = take_id(&k, id);
	if (r == 0)
		forget_task(ctl, id);
	if (r != 0)
		ctl_say("what it misses in the image %s cannot be told%s%s", k.image,
			r < 0 ? ": " : "", r < 0 ? e.msg : "");
	work_clear(&k);
}

int pip_run(struct ctl *ctl, const struct pip_build *build, const struct worker_file *w,
	    struct bundle *b)
{
	struct err e = {0};
	struct work k;
	int r = work_init(&k, &e), status = 0;

	if (r == 0) {
		choose_image(ctl, image_of(build), k.image, sizeof(k.image));
		r = fill(&k, build, w, b);
	}
	if (r == 0)
		r = status = run_build(ctl, &k, build);
	if (r == 0)
		r = take_result(ctl, &k, w, b);
	if (r == 0 && strcmp(k.image, image_of(build)) != 0)
		check_result(ctl, &k, build, w);
	work_clear(&k);
	if (r < 0)
		return ctl_fail(&e);
	if (status == 1)
		ctl_say("nothing was uploaded: %s failed in its build sandbox, see above",
			w->build_command ? "pip or remote_build_command" : "pip");
	/* The status after a signal stays; any other status of a build is only the build's. */
	return status > 0 && status < 128 ? err_exit_status(ERR_INPUT) : status;
}
