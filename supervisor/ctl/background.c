// SPDX-License-Identifier: Apache-2.0
/* sandboxctl background: workers of atasker's that the node keeps at work, and their queues. */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/json_strict.h"
#include "lib/limits.h"
#include "spec/field.h"
#include "spec/service_manifest.h"
#include "supervisor/ctl/pack.h"
#include "supervisor/ctl/service.h"
#include "wire/background.h"

#define FILE_BYTES (1u << 20)
#define LINES_BYTES (64u << 20)
#define WORDS_MAX 300
#define WORKERS_MAX SERVICE_SIBLINGS_MAX
#define PYTHON_NAME_MAX 128
#define IMAGE "python"

static const char background_help[] =
	"usage: sandboxctl background up FILE [DIR]\n"
	"       sandboxctl background ls\n"
	"       sandboxctl background put NAME ITEM...\n"
	"       sandboxctl background put NAME --lines FILE|-\n"
	"       sandboxctl background trigger|stop|start|restart|rm NAME\n"
	"       sandboxctl background logs NAME [-f]\n"
	"       sandboxctl background dead NAME [--rm ID|all]\n"
	"       sandboxctl background retry NAME ID|all\n\n"
	"  --project NAME  whose it is (default)\n\n"
	"up       makes the workers of FILE (JSON) run, each in a sandbox of its own:\n"
	"         {\"kind\": \"background\", \"dir\": \".\", \"module\": \"mail\", \"workers\": "
	"[\"send\"]}\n"
	"         DIR in place of its dir; again, after a change: new ones take their places\n"
	"put      queues items, JSON each; --lines: one a line. They are durable when it returns;\n"
	"         --json prints their ids\n"
	"trigger  has an event's or an interval's worker called; while it runs, once more\n"
	"stop     ends a worker when its call has ended; items and triggers wait for start\n"
	"dead     items that have failed too often, with their last errors\n"
	"retry    queues a dead letter once more\n"
	"rm       the worker goes, with its items\n";

/* What the file says. */
struct file {
	json_t *doc;
	const char *dir, *module, *image, *policy;
	struct {
		const char *worker, *name;
		char own[SERVICE_APP_MAX + 1]; /* the name, where none is given */
	} workers[WORKERS_MAX];
	unsigned n;
	uint64_t memory;
	double cpus;
	uint32_t instances, attempts, limit_s, backoff_s, backoff_max_s, start_s, drain_s;
	const json_t *env;
};

static bool is_module(const char *s)
{
	return field_made_of(s, FIELD_ALNUM "_.", PYTHON_NAME_MAX);
}

static bool is_python_name(const char *s)
{
	return field_made_of(s, FIELD_ALNUM "_", PYTHON_NAME_MAX) && !strchr(FIELD_DIGITS, s[0]);
}

/* Its app's name has '-' for '_'. */
static bool is_worker_name(const char *s)
{
	return field_made_of(s, FIELD_LOWER FIELD_DIGITS "_", SERVICE_APP_MAX) && s[0] != '_' &&
	       s[strlen(s) - 1] != '_';
}

#define NAME_MUST                                                                                  \
	"must have 1 to 40 of the characters a-z, 0-9 and '_', and neither begin nor end with '_'"

static void read_worker(struct json_strict *top, json_t *list, size_t i, struct file *f)
{
	const json_t *item = json_array_get(list, i);
	struct json_strict in;

	if (json_is_string(item)) {
		f->workers[i].worker = f->workers[i].name = json_string_value(item);
		if (!is_python_name(f->workers[i].worker))
			(void)json_strict_item_fail(top, "workers", i,
						    "must be a name in the module");
		else if (!is_worker_name(f->workers[i].name))
			(void)json_strict_item_fail(top, "workers", i,
						    "needs a name of its own, {\"worker\": "
						    "\"%.60s\", \"name\": \"...\"}: "
						    "one " NAME_MUST,
						    f->workers[i].worker);
		return;
	}
	if (!json_strict_item_object(top, "workers", i, &in))
		return;
	f->workers[i].worker = field_string(&in, "worker", PYTHON_NAME_MAX, true, is_python_name,
					    "must be a name in the module");
	f->workers[i].name =
		field_string(&in, "name", SERVICE_APP_MAX, true, is_worker_name, NAME_MUST);
	(void)json_strict_end(&in);
}

static void read_top(struct json_strict *s, struct file *f)
{
	static const char *const kinds[] = {"background"}, *const restarts[] = {"always"};
	json_t *workers;

	if (!field_word(s, "kind", kinds, 1, NULL))
		(void)json_strict_fail(s, "kind", "must be \"background\"");
	(void)field_word(s, "restart", restarts, 1, "always");
	f->dir = field_string(s, "dir", 4096, false, NULL, NULL);
	f->module = field_string(s, "module", PYTHON_NAME_MAX, true, is_module,
				 "must be the name of a module in dir");
	f->image = field_string(s, "image", 63, false, util_is_name, "must be an image's name");
	f->policy = field_string(s, "policy", 63, false, util_is_name, "must be a policy's name");
	workers = json_strict_array(s, "workers", WORKERS_MAX);
	if (json_array_size(workers) == 0)
		(void)json_strict_fail(s, "workers", "must name at least one worker of the module");
	for (size_t i = 0; i < json_array_size(workers) && s->status == 0; i++, f->n++) {
		read_worker(s, workers, i, f);
		for (unsigned j = 0; s->status == 0 && j < i; j++)
			if (f->workers[j].name && f->workers[i].name &&
			    strcmp(f->workers[j].name, f->workers[i].name) == 0)
				(void)json_strict_item_fail(s, "workers", i, "is there twice");
	}
	f->env = json_strict_get(s, "env");
	(void)json_strict_size(s, "memory", LIMIT_MEMORY_MIN, LIMIT_MEMORY_MAX, &f->memory);
	(void)json_strict_number(s, "cpus", LIMIT_CPU_MIN / 1000.0, LIMIT_CPU_MAX / 1000.0,
				 &f->cpus);
	f->instances = field_count(s, "instances", 1, SERVICE_INSTANCES_MAX, 1);
	f->attempts = field_count(s, "attempts", 1, SERVICE_ATTEMPTS_MAX, 5);
	f->limit_s = field_count(s, "limit_s", 1, SERVICE_LIMIT_MAX, 3600);
	f->backoff_s = field_count(s, "backoff_s", 0, SERVICE_LIMIT_MAX, 1);
	f->backoff_max_s = field_count(s, "backoff_max_s", 0, SERVICE_LIMIT_MAX, 300);
	f->start_s = field_count(s, "start_s", 1, SERVICE_START_MAX, 60);
	f->drain_s = field_count(s, "drain_s", 0, SERVICE_DRAIN_MAX, 30);
}

static int read_file(const char *path, struct file *f, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	struct json_strict top;
	size_t len;
	int r = ctl_read_file(path, FILE_BYTES, true, &text, &len, e);

	if (r == 0)
		r = json_strict_load(path, text, len, FILE_BYTES, &f->doc, e);
	if (r == 0)
		r = json_strict_begin(&top, path, f->doc, e);
	if (r < 0)
		return r;
	read_top(&top, f);
	return json_strict_end(&top);
}

static void app_of(const char *name, char app[SERVICE_APP_MAX + 1])
{
	(void)snprintf(app, SERVICE_APP_MAX + 1, "%s", name);
	for (char *c = app; *c; c++)
		if (*c == '_')
			*c = '-';
}

static json_t *manifest_of(const struct file *f, unsigned i)
{
	char app[SERVICE_APP_MAX + 1], path[2 * PYTHON_NAME_MAX + 2], sibling[2 * PYTHON_NAME_MAX];
	json_t *siblings = json_array(), *m, *sandbox;

	app_of(f->workers[i].name, app);
	(void)snprintf(path, sizeof(path), "%s.%s", f->module, f->workers[i].worker);
	for (unsigned j = 0; j < f->n; j++) {
		if (j == i)
			continue;
		(void)snprintf(sibling, sizeof(sibling), "%s=%s", f->workers[j].worker,
			       f->workers[j].name);
		json_array_append_new(siblings, json_string(sibling));
	}
	sandbox = json_pack("{s:s, s:s*, s:i, s:i}", "image", f->image ? f->image : IMAGE, "policy",
			    f->policy, "start_s", (int)f->start_s, "drain_s", (int)f->drain_s);
	if (f->memory)
		json_object_set_new(sandbox, "memory", json_integer((json_int_t)f->memory));
	if (f->cpus > 0)
		json_object_set_new(sandbox, "cpus", json_real(f->cpus));
	m = json_pack("{s:i, s:s, s:s, s:s, s:s, s:i, s:o, s:{s:s, s:o, s:i, s:i, s:i, s:i}}",
		      "format", 1, "app", app, "name", "worker", "type", "python-worker", "ready",
		      "notify", "instances", (int)f->instances, "sandbox", sandbox, "background",
		      "worker", path, "siblings", siblings, "attempts", (int)f->attempts, "limit_s",
		      (int)f->limit_s, "backoff_s", (int)f->backoff_s, "backoff_max_s",
		      (int)f->backoff_max_s);
	if (f->env)
		json_object_set(m, "environment", (json_t *)f->env);
	return m;
}

/* The folder is named as the file sees it. */
static int open_dir(const char *path, const struct file *f, const char *given, struct err *e)
{
	const char *slash = strrchr(path, '/'), *dir = f->dir ? f->dir : ".";
	char full[4096];
	int fd;

	if (given)
		(void)snprintf(full, sizeof(full), "%s", given);
	else if (slash && dir[0] != '/')
		(void)snprintf(full, sizeof(full), "%.*s/%s", (int)(slash - path), path, dir);
	else
		(void)snprintf(full, sizeof(full), "%s", dir);
	fd = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 ? fd : err_set(e, ERR_INPUT, errno, "%s: dir: %s", path, full);
}

/* Options that stand anywhere; word is what is left. An exit status. */
struct words {
	const char *project, *lines, *rm;
	char **word;
	int n;
};

static int take_option(void *arg, int option, const char *value)
{
	struct words *w = arg;

	if (option == 'p')
		w->project = value;
	else if (option == 'l')
		w->lines = value;
	else if (option == 'r')
		w->rm = value;
	return 0;
}

static int read_words(int argc, char **argv, int min, int max, struct words *w)
{
	static const struct option options[] = {{"project", required_argument, NULL, 'p'},
						{"lines", required_argument, NULL, 'l'},
						{"rm", required_argument, NULL, 'r'},
						{0}};
	int status;

	*w = (struct words){.project = "default"};
	optind = 0;
	status = ctl_read_options("background", argc, argv, ":", options, take_option, w);
	if (status)
		return status;
	w->word = argv + optind;
	w->n = argc - optind;
	return w->n < min || w->n > max ? ctl_bad_count("background", argv[0], min, max) : 0;
}

static int up_one(struct ctl *ctl, const struct words *w, const struct file *f, unsigned i, int tar)
{
	json_auto_t *reply = NULL;
	struct err e = {0};

	if (lseek(tar, 0, SEEK_SET) < 0 ||
	    service_roll(ctl,
			 json_pack("{s:s, s:s, s:s, s:o}", "op", "service_put", "project",
				   w->project, "source", "sandboxctl", "manifest",
				   manifest_of(f, i)),
			 tar, &reply, &e) < 0)
		return ctl_fail(&e);
	if (ctl->json)
		return ctl_print_json_line(reply);
	printf("%s: %s\n", f->workers[i].name, ctl_text(reply, "revision"));
	return 0;
}

static int background_up(struct ctl *ctl, int argc, char **argv)
{
	_cleanup_fd_ int dir = -1, tar = -1;
	struct pack_left_out left_out;
	struct file f = {0};
	struct err e = {0};
	struct words w;
	int status = read_words(argc, argv, 1, 2, &w), r;

	if (status)
		return status;
	r = read_file(w.word[0], &f, &e);
	if (r == 0)
		r = dir = open_dir(w.word[0], &f, w.word[1], &e);
	if (r >= 0)
		r = pack_below(dir, ".", "code", &tar, &left_out, &e);
	if (r < 0) {
		json_decref(f.doc);
		return ctl_fail(&e);
	}
	if (*left_out.names)
		ctl_say("not sent along: %s%s", left_out.names, left_out.more ? " and more" : "");
	for (unsigned i = 0; i < f.n && status == 0; i++)
		status = up_one(ctl, &w, &f, i, tar);
	json_decref(f.doc);
	return ctl_flush(status);
}

static void worker_row(const json_t *b, char cell[][CTL_CELL])
{
	const json_int_t waiting = json_integer_value(json_object_get(b, "ready")) +
				   json_integer_value(json_object_get(b, "held")) +
				   json_integer_value(json_object_get(b, "later"));

	(void)snprintf(cell[0], CTL_CELL, "%s", ctl_text(b, "name"));
	(void)snprintf(cell[1], CTL_CELL, "%s", ctl_text(b, "kind"));
	(void)snprintf(cell[2], CTL_CELL, "%s", ctl_text(b, "state"));
	(void)snprintf(cell[3], CTL_CELL, "%lld", (long long)waiting);
	(void)snprintf(cell[4], CTL_CELL, "%lld",
		       (long long)json_integer_value(json_object_get(b, "done")));
	(void)snprintf(cell[5], CTL_CELL, "%lld",
		       (long long)json_integer_value(json_object_get(b, "failed")));
	(void)snprintf(cell[6], CTL_CELL, "%lld",
		       (long long)json_integer_value(json_object_get(b, "dead")));
	(void)snprintf(cell[7], CTL_CELL, "%s", ctl_text(b, "revision"));
}

static const struct ctl_table worker_table = {
	.n = 8,
	.titles = {"WORKER", "KIND", "STATE", "WAITING", "DONE", "FAILED", "DEAD", "REVISION"},
	.row = worker_row};

static int background_ls(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *reply = NULL;
	struct err e = {0};
	struct words w;
	json_t *list;
	int status = read_words(argc, argv, 0, 0, &w);

	if (status)
		return status;
	if (ctl_ask(ctl, json_pack("{s:s, s:s}", "op", "background_ls", "project", w.project),
		    "workers", JSON_ARRAY, &reply, &list, &e) < 0)
		return ctl_fail(&e);
	if (ctl->json)
		return ctl_flush(ctl_print_json(list));
	ctl_print_table(&worker_table, list);
	return ctl_flush(0);
}

/* put */

/* Sends what is in items, and empties it. Not sent again by itself: it would be there twice. */
static int send_items(struct ctl *ctl, const struct words *w, json_t *items, struct err *e)
{
	json_auto_t *ask = NULL, *reply = NULL;
	int r;

	if (json_array_size(items) == 0)
		return 0;
	ask = json_pack("{s:s, s:s, s:s, s:O}", "op", "background_put", "project", w->project,
			"worker", w->word[0], "items", items);
	r = ctl_call_once(ctl, ask, NULL, 0, 30000, &reply, e);
	if (r == 0)
		r = ctl_reply_check(reply, e);
	if (r == 0 && ctl->json) {
		json_object_del(reply, "ok");
		(void)ctl_print_json_line(reply);
	}
	json_array_clear(items);
	return r;
}

static int add_item(json_t *items, const char *text, size_t len, const char *what, unsigned line,
		    struct err *e)
{
	json_error_t wrong;
	json_t *item = json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &wrong);

	if (!item && line)
		return err_set(e, ERR_INPUT, 0, "%s:%u: an item must be JSON: %s", what, line,
			       wrong.text);
	if (!item)
		return err_set(e, ERR_INPUT, 0,
			       "'%.100s' is no item: it must be JSON, as '\"text\"' is: %s", text,
			       wrong.text);
	json_array_append_new(items, item);
	return 0;
}

static int put_lines(struct ctl *ctl, const struct words *w, json_t *items, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len, bytes = 0;
	unsigned line = 0;
	int r = ctl_read_file(w->lines, LINES_BYTES, true, &text, &len, e);

	for (char *at = text; r == 0 && *at;) {
		const size_t n = strcspn(at, "\n");

		line++;
		if (n)
			r = add_item(items, at, n, w->lines, line, e);
		bytes += n;
		if (r == 0 &&
		    (json_array_size(items) == BACKGROUND_RECORDS_MAX || bytes > 200000)) {
			r = send_items(ctl, w, items, e);
			bytes = 0;
		}
		at += n + (at[n] == '\n');
	}
	return r;
}

static int background_put(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *items = json_array();
	struct err e = {0};
	struct words w;
	int status = read_words(argc, argv, 1, WORDS_MAX, &w), r = 0;

	if (status)
		return status;
	if ((w.n == 1) == !w.lines)
		return ctl_usage("background", "put wants items, or --lines FILE");
	if (w.lines)
		r = put_lines(ctl, &w, items, &e);
	for (int i = 1; r == 0 && i < w.n; i++) {
		r = add_item(items, w.word[i], strlen(w.word[i]), "", 0, &e);
		if (r == 0 && json_array_size(items) == BACKGROUND_RECORDS_MAX)
			r = send_items(ctl, &w, items, &e);
	}
	if (r == 0)
		r = send_items(ctl, &w, items, &e);
	return r < 0 ? ctl_fail(&e) : ctl_flush(0);
}

/* Those that have a name and nothing else. */

static json_t *ask_of(const char *op, const struct words *w)
{
	return json_pack("{s:s, s:s, s:s}", "op", op, "project", w->project, "worker", w->word[0]);
}

static int simple(struct ctl *ctl, int argc, char **argv, const char *op)
{
	struct err e = {0};
	struct words w;
	int status = read_words(argc, argv, 1, 1, &w);

	if (status)
		return status;
	return ctl_call(ctl, ask_of(op, &w), NULL, 0, NULL, &e) < 0 ? ctl_fail(&e) : 0;
}

static int background_trigger(struct ctl *ctl, int argc, char **argv)
{
	return simple(ctl, argc, argv, "background_trigger");
}

static int background_stop(struct ctl *ctl, int argc, char **argv)
{
	return simple(ctl, argc, argv, "background_stop");
}

static int background_start(struct ctl *ctl, int argc, char **argv)
{
	return simple(ctl, argc, argv, "background_start");
}

static int background_rm(struct ctl *ctl, int argc, char **argv)
{
	return simple(ctl, argc, argv, "background_rm");
}

static int background_restart(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *reply = NULL;
	struct err e = {0};
	struct words w;
	int status = read_words(argc, argv, 1, 1, &w);

	if (status)
		return status;
	return service_roll(ctl, ask_of("background_restart", &w), -1, &reply, &e) < 0
		       ? ctl_fail(&e)
		       : 0;
}

/* One that is stopped has no replica, and shows what the last one has printed. Its run; "": none. */
static void stopped_run(struct ctl *ctl, const char *project, const char *name, char run[64])
{
	json_auto_t *reply = NULL;
	struct err e = {0};
	json_t *worker;

	run[0] = '\0';
	if (ctl_ask(ctl,
		    json_pack("{s:s, s:s, s:s}", "op", "background_info", "project", project,
			      "worker", name),
		    "worker", JSON_OBJECT, &reply, &worker, &e) == 0 &&
	    json_array_size(json_object_get(worker, "replicas")) == 0)
		(void)snprintf(run, 64, "%s", ctl_text(worker, "last_run"));
}

static int background_logs(struct ctl *ctl, int argc, char **argv)
{
	char app[SERVICE_APP_MAX + 1], name[SERVICE_APP_MAX + 16];
	char **words = calloc((size_t)argc + 1, sizeof(*words)), *own[3] = {argv[0]};
	const char *project = "default";
	char run[64] = "";
	int status;

	if (!words)
		return 125;
	/* The name is the word that is no option, nor behind one. */
	for (int i = 0; i < argc; i++) {
		words[i] = argv[i];
		if (i == 0 || argv[i][0] == '-' || strcmp(argv[i - 1], "--project") == 0)
			continue;
		for (int j = 1; j + 1 < argc; j++)
			if (strcmp(argv[j], "--project") == 0)
				project = argv[j + 1];
		stopped_run(ctl, project, argv[i], run);
		app_of(argv[i], app);
		(void)snprintf(name, sizeof(name), "%s/worker", app);
		words[i] = name;
	}
	own[1] = run;
	status = *run ? ctl_logs(ctl, 2, own) : service_logs(ctl, argc, words);
	free(words);
	return status;
}

/* Dead letters */

static int read_id(const char *text, json_t *request, struct err *e)
{
	char *end;
	const long long id = strtoll(text, &end, 10);

	if (strcmp(text, "all") == 0)
		return 0;
	if (*end || end == text || id < 1)
		return err_set(e, ERR_USAGE, 0,
			       "'%.100s' is no dead letter: it is a number, or all", text);
	json_object_set_new(request, "id", json_integer(id));
	return 0;
}

static int change_dead(struct ctl *ctl, const struct words *w, const char *op, const char *which)
{
	json_auto_t *reply = NULL;
	json_t *request = ask_of(op, w);
	struct err e = {0};

	if (read_id(which, request, &e) < 0) {
		json_decref(request);
		return ctl_fail(&e);
	}
	if (ctl_call(ctl, request, NULL, 0, &reply, &e) < 0)
		return ctl_fail(&e);
	if (ctl->json)
		return ctl_flush(ctl_print_json(reply));
	return 0;
}

static void dead_row(const json_t *item, char cell[][CTL_CELL])
{
	char *text = json_dumps(json_object_get(item, "item"), JSON_COMPACT | JSON_ENCODE_ANY);

	(void)snprintf(cell[0], CTL_CELL, "%lld",
		       (long long)json_integer_value(json_object_get(item, "id")));
	ctl_time_cell(item, "put_ns", cell[1]);
	(void)snprintf(cell[2], CTL_CELL, "%lld",
		       (long long)json_integer_value(json_object_get(item, "failures")));
	if (strcmp(ctl_text(item, "kind"), "json") == 0)
		(void)snprintf(cell[3], CTL_CELL, "%.40s", text ? text : "");
	else
		(void)snprintf(cell[3], CTL_CELL, "(pickled, %lld bytes)",
			       (long long)json_integer_value(json_object_get(item, "bytes")));
	(void)snprintf(cell[4], CTL_CELL, "%s", ctl_text(item, "error"));
	free(text);
}

static const struct ctl_table dead_table = {
	.n = 5, .titles = {"ID", "PUT", "FAILURES", "ITEM", "ERROR"}, .row = dead_row};

static int background_dead(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *reply = NULL;
	struct err e = {0};
	struct words w;
	json_t *list;
	int status = read_words(argc, argv, 1, 1, &w);

	if (status)
		return status;
	if (w.rm)
		return change_dead(ctl, &w, "background_dead_rm", w.rm);
	if (ctl_ask(ctl, ask_of("background_dead", &w), "dead_letters", JSON_ARRAY, &reply, &list,
		    &e) < 0)
		return ctl_fail(&e);
	if (ctl->json)
		return ctl_flush(ctl_print_json(list));
	ctl_print_table(&dead_table, list);
	return ctl_flush(0);
}

static int background_retry(struct ctl *ctl, int argc, char **argv)
{
	struct words w;
	int status = read_words(argc, argv, 2, 2, &w);

	return status ? status : change_dead(ctl, &w, "background_retry", w.word[1]);
}

int ctl_background(struct ctl *ctl, int argc, char **argv)
{
	static const struct ctl_word words[] = {
		{"up", background_up, false},		{"ls", background_ls, false},
		{"put", background_put, false},		{"trigger", background_trigger, false},
		{"stop", background_stop, false},	{"start", background_start, false},
		{"restart", background_restart, false}, {"logs", background_logs, false},
		{"dead", background_dead, false},	{"retry", background_retry, false},
		{"rm", background_rm, false},		{0},
	};

	return ctl_dispatch(ctl, "background", words, background_help, argc, argv);
}
