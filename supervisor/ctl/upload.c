// SPDX-License-Identifier: Apache-2.0
/* sandboxctl upload and install: NAME.worker, what it names, and the zip of that. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "supervisor/ctl/iron_verb.h"
#include "supervisor/ctl/upload_pip.h"

const char iron_upload_help[] =
	"usage: sandboxctl upload NAME [OPTION]...\n\n"
	"Uploads the worker that NAME.worker describes, or NAME.py by itself, as a new revision "
	"of\n"
	"the code NAME. Paths in NAME.worker are relative to its own folder:\n\n"
	"  exec \"hello.py\"               what is run\n"
	"  file \"data.csv\", \"to\"         a file, into the folder to/\n"
	"  dir \"lib\", \"to\"               a folder. .git, iron.json, .env and the like are left "
	"out\n"
	"  zip \"more.zip\", \"to\"          what is in an archive\n"
	"  pip \"six==1.16.0\"             installed on the node, by the image's own Python\n"
	"  requirements \"requirements.txt\"\n"
	"  remote_build_command \"make\"   run in the package's folder, in the build sandbox\n"
	"  set_env \"NAME\", \"VALUE\"\n"
	"  name, runtime, stack\n\n"
	"  -n, --name NAME         the code's name (default: NAME.worker's)\n"
	"  -c, --worker-config FILE\n"
	"                          what the worker finds in CONFIG_FILE. (-c 5 is\n"
	"                          --max-concurrency 5, as for IronWorker's Ruby command)\n"
	"  --max-concurrency N     no more of its tasks at a time\n"
	"  -r, --retries N         how often a task that failed is tried again: at most 10\n"
	"  --retries-delay SECONDS\n"
	"  -p, --default-priority N\n"
	"  --image NAME            what it runs on (default: iron; 'sandboxctl stacks' lists "
	"them)\n"
	"  --policy NAME           what confines it (default: the image's)\n"
	"  --find-links DIR        pip installs from the archives in DIR, without a network\n"
	"  --build-policy NAME     what confines pip (default: network, or default with "
	"--find-links)\n" IRON_HELP;
const char iron_install_help[] =
	"usage: sandboxctl install NAME [-o FILE.zip] [OPTION]...\n\n"
	"Makes the package that 'sandboxctl upload NAME' would send, pips and all, and keeps it "
	"in\n"
	"FILE.zip (default: NAME.zip in this folder). Options are those of upload.\n";

enum { OPT_CONCURRENCY = 256, OPT_DELAY, OPT_IMAGE, OPT_POLICY, OPT_LINKS, OPT_BUILD_POLICY };
static const struct option options[] = {
	{"name", required_argument, NULL, 'n'},
	{"worker-config", required_argument, NULL, 'c'},
	{"max-concurrency", required_argument, NULL, OPT_CONCURRENCY},
	{"retries", required_argument, NULL, 'r'},
	{"retries-delay", required_argument, NULL, OPT_DELAY},
	{"default-priority", required_argument, NULL, 'p'},
	{"image", required_argument, NULL, OPT_IMAGE},
	{"policy", required_argument, NULL, OPT_POLICY},
	{"find-links", required_argument, NULL, OPT_LINKS},
	{"build-policy", required_argument, NULL, OPT_BUILD_POLICY},
	{"output", required_argument, NULL, 'o'},
	IRON_OPTIONS,
	{0}};

/* One upload, from its words to its zip. */
struct upload {
	const char *word;		    /* NAME as it was given */
	const char *name, *config, *output; /* of options; borrowed */
	struct pip_build build;
	json_t *data; /* owned; what the server is told */
	char *shown;  /* owned; the .worker file's path */
	bool has_file;
	struct worker_file file;
	struct bundle bundle;
	int base; /* the .worker file's folder */
};

static void upload_clear(struct upload *u)
{
	json_decref(u->data);
	free(u->shown);
	worker_file_clear(&u->file);
	bundle_clear(&u->bundle);
	util_close_fd(&u->base);
}
#define _cleanup_upload_ __attribute__((cleanup(upload_clear)))

static int set_number(struct upload *u, const char *key, const char *what, const char *value,
		      long long max, struct err *e)
{
	long long n;
	int r = iron_number(what, value, 0, max, &n, e);

	if (r == 0)
		(void)json_object_set_new(u->data, key, json_integer(n));
	return r;
}

static int set_config(struct upload *u, const char *path, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	json_t *value;
	size_t len;
	int r = iron_read_file(path, 64u << 10, &text, &len, e);

	if (r < 0)
		return err_wrap(e, r, "--worker-config");
	value = memchr(text, '\0', len) ? NULL : json_stringn(text, len);
	if (!value)
		return err_set(e, ERR_INPUT, 0, "--worker-config: %s: must be UTF-8 text", path);
	(void)json_object_set_new(u->data, "config", value);
	return 0;
}

static int set_text(struct upload *u, const char *key, const char *what, const char *value,
		    struct err *e)
{
	json_t *text = json_string(value);

	if (!text)
		return err_set(e, ERR_INPUT, 0, "%s: must be UTF-8 text", what);
	(void)json_object_set_new(u->data, key, text);
	return 0;
}

static int add_links(struct upload *u, const char *folder, struct err *e)
{
	if (u->build.n_find_links >= PIP_FIND_LINKS_MAX)
		return err_set(e, ERR_USAGE, 0, "--find-links: at most %d", PIP_FIND_LINKS_MAX);
	u->build.find_links[u->build.n_find_links++] = folder;
	return 0;
}

static int take_option(struct upload *u, int c, const char *value, struct err *e)
{
	switch (c) {
	case 'n':
		u->name = value;
		return 0;
	case 'o':
		u->output = value;
		return 0;
	case 'c':
		if (*value && strspn(value, "0123456789") == strlen(value))
			return set_number(u, "max_concurrency", "-c", value, 10000, e);
		return set_config(u, value, e);
	case OPT_CONCURRENCY:
		return set_number(u, "max_concurrency", "--max-concurrency", value, 10000, e);
	case 'r':
		return set_number(u, "retries", "--retries", value, 10, e);
	case OPT_DELAY:
		return set_number(u, "retries_delay", "--retries-delay", value, 86400, e);
	case 'p':
		return set_number(u, "default_priority", "--default-priority", value, 2, e);
	case OPT_IMAGE:
		u->build.image = value;
		return set_text(u, "image", "--image", value, e);
	case OPT_POLICY:
		return set_text(u, "policy", "--policy", value, e);
	case OPT_LINKS:
		return add_links(u, value, e);
	default:
		u->build.policy = value;
		return 0;
	}
}

static int read_options(struct iron *iron, struct upload *u, int argc, char **argv)
{
	struct err e = {0};
	int c, r;

	u->data = json_object();
	while ((c = getopt_long(argc, argv, "n:c:r:p:o:e:", options, NULL)) != -1) {
		if (c == '?')
			return ctl_bad_option(iron->verb, argv);
		if (!iron_option(iron, c, optarg) && take_option(u, c, optarg, &e) < 0)
			return ctl_fail(&e);
	}
	if (u->output && strcmp(iron->verb, "install") != 0)
		return ctl_usage(iron->verb, "there is no option -o here");
	/* `upload -n NAME` alone, as IronWorker's command takes it. */
	if (optind >= argc && u->name) {
		u->word = u->name;
		return 0;
	}
	r = iron_words(iron->verb, argc, argv, 1, 1, "worker");
	if (r == 0)
		u->word = argv[optind];
	return r;
}

static bool ends_in(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n > m && strcmp(s + n - m, end) == 0;
}

/* path + end, unless it ends so already; owned by the caller. NULL when no file is there. */
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

/* Opens the folder that the file is in; *ret is the file's name in it. */
static int open_base(struct upload *u, const char *path, const char **ret, struct err *e)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");

	*ret = slash ? slash + 1 : path;
	u->base = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	u->bundle.base = u->base;
	return u->base < 0 ? err_set(e, ERR_INPUT, errno, "%s", path) : 0;
}

/* NAME.worker into u->file; or, where there is none, NAME.py as its exec. */
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
		r = iron_read_file(u->shown, WORKER_FILE_MAX, &text, &len, e);
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
	/* The code's name: -n, the file's own, or what the file is called. */
	if (!u->name)
		u->name = u->file.name;
	if (u->name)
		return set_text(u, "name", "--name", u->name, e);
	len = strlen(name) - strlen(u->has_file ? ".worker" : ".py");
	(void)json_object_set_new(u->data, "name", json_stringn(name, len));
	return 0;
}

/* The item's error, with its line and column where there is a file. */
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
	_cleanup_fd_ int fd = openat(u->base, item->text, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return err_set(e, ERR_INPUT, errno, "%s", item->text);
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

/* set_env's, and where the pips are. */
static int set_env(struct upload *u, struct err *e)
{
	json_t *env = json_object();
	const char *own;

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
	if (bundle_find(&u->bundle, PIP_FOLDER)) {
		own = ctl_text(env, "PYTHONPATH");
		(void)json_object_set_new(
			env, "PYTHONPATH",
			json_sprintf("%s%s/work/" PIP_FOLDER, own, *own ? ":" : ""));
	}
	return 0;
}

static int set_rest(struct upload *u, struct err *e)
{
	const char *slash = strrchr(u->file.exec, '/');
	const char *runtime = u->file.runtime ? u->file.runtime : "python";
	int r = 0;

	if (strncmp(runtime, "python", 6) != 0 && strcmp(runtime, "sh") != 0)
		return err_set(e, ERR_INPUT, 0,
			       "%s: runtime \"%s\" is not offered here: \"python\" and \"sh\" are",
			       u->shown, runtime);
	r = set_text(u, "file_name", "exec", slash ? slash + 1 : u->file.exec, e);
	if (r == 0)
		r = set_text(u, "runtime", "runtime", runtime, e);
	if (r == 0 && u->file.stack)
		r = set_text(u, "stack", "stack", u->file.stack, e);
	return r < 0 ? r : set_env(u, e);
}

/* What was installed, one `name==version` a line. */
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

/* All but the sending: 0 and the zip, or the exit status. */
static int prepare(struct iron *iron, struct upload *u, int *ret_fd, uint64_t *ret_size)
{
	struct err e = {0};
	int r = find_worker(u, &e), status;

	if (r == 0)
		r = gather(u, &e);
	if (r < 0)
		return ctl_fail(&e);
	if (*u->bundle.left_out)
		ctl_say("left out of the package: %s (file \"NAME\" takes one in)",
			u->bundle.left_out);
	if (pip_wanted(&u->file)) {
		status = pip_run(iron->ctl, &u->build, &u->file, &u->bundle);
		if (status)
			return status;
		say_pips(u);
	}
	r = set_rest(u, &e);
	if (r == 0)
		r = bundle_zip(&u->bundle, ret_fd, ret_size, &e);
	return r < 0 ? ctl_fail(&e) : 0;
}

static int print_uploaded(struct iron *iron, const struct upload *u, const json_t *reply)
{
	const char *name = ctl_text(u->data, "name"), *id = ctl_text(reply, "id");
	json_int_t rev = json_integer_value(json_object_get(reply, "rev"));
	json_auto_t *doc = NULL;

	if (iron->ctl->json) {
		doc = json_pack("{s:s, s:s, s:I}", "id", id, "name", name, "revision", rev);
		return ctl_print_json(doc);
	}
	ctl_print_text(name);
	printf("  id %s  revision %lld\n", id, (long long)rev);
	ctl_say("uploaded ('sandboxctl queue %s --wait' runs it, 'sandboxctl info %s' tells all of "
		"it)",
		name, name);
	return ctl_flush(0);
}

int iron_upload_verb(struct iron *iron, int argc, char **argv)
{
	_cleanup_upload_ struct upload u = {.base = -1};
	json_auto_t *reply = NULL;
	_cleanup_fd_ int zip = -1;
	struct err e = {0};
	uint64_t size = 0;
	int r = read_options(iron, &u, argc, argv);

	if (r)
		return r;
	/* Before anything is built: where it is to go. */
	if (iron_begin(iron, &e) < 0)
		return ctl_fail(&e);
	u.build.project = iron->c.project_id;
	r = prepare(iron, &u, &zip, &size);
	if (r)
		return r;
	if (iron_upload(iron, json_incref(u.data), zip, size, &reply, &e) < 0)
		return ctl_fail(&e);
	return print_uploaded(iron, &u, reply);
}

/* Copies the zip to a file that is new, or replaced as a whole. */
static int keep_zip(const char *path, int zip, uint64_t size, struct err *e)
{
	_cleanup_fd_ int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	char buf[65536];
	int r = to < 0 ? -errno : 0;

	while (r == 0 && size > 0) {
		size_t n = size < sizeof(buf) ? (size_t)size : sizeof(buf);

		r = util_read_all(zip, buf, n);
		if (r == 0)
			r = util_write_all(to, buf, n);
		size -= n;
	}
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "%s", path) : 0;
}

int iron_install(struct iron *iron, int argc, char **argv)
{
	_cleanup_upload_ struct upload u = {.base = -1};
	_cleanup_free_ char *path = NULL;
	_cleanup_fd_ int zip = -1;
	struct err e = {0};
	uint64_t size = 0;
	char text[24];
	int r = read_options(iron, &u, argc, argv);

	if (r == 0)
		r = prepare(iron, &u, &zip, &size);
	if (r)
		return r;
	if (u.output)
		path = strdup(u.output);
	else if (asprintf(&path, "%s.zip", ctl_text(u.data, "name")) < 0)
		path = NULL;
	if (!path)
		return err_exit_status(ERR_SYSTEM);
	if (keep_zip(path, zip, size, &e) < 0)
		return ctl_fail(&e);
	if (iron->ctl->json)
		return ctl_print_json(u.data);
	ctl_format_size(text, sizeof(text), (double)size);
	ctl_print_text(path);
	printf("  %s\n", text);
	return ctl_flush(0);
}
