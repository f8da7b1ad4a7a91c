// SPDX-License-Identifier: Apache-2.0
/* sandboxctl deploy: HTTP workers, from a folder to what serves. */
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/text.h"
#include "supervisor/ctl/ctl.h"
#include "supervisor/ctl/deploy.h"
#include "supervisor/ctl/pack.h"
#include "supervisor/ctl/pip_index.h"
#include "supervisor/ctl/progress.h"

static const char deploy_help[] =
	"usage: sandboxctl deploy [DIR|--config FILE] [--dry-run] [--env NAME] [--name NAME]\n"
	"                         [--var KEY=VALUE]... [--message TEXT] [--tag TEXT]\n"
	"       sandboxctl deploy ls [NAME]\n"
	"       sandboxctl deploy info NAME\n"
	"       sandboxctl deploy rollback NAME [VERSION]\n"
	"       sandboxctl deploy split NAME VERSION PERCENT OTHER\n"
	"       sandboxctl deploy trigger NAME [--cron EXPR]\n"
	"       sandboxctl deploy test NAME\n"
	"       sandboxctl deploy rm NAME\n"
	"       sandboxctl deploy index\n\n"
	"Deploys the HTTP worker of DIR (.), by its wrangler.toml, wrangler.json, wrangler.jsonc\n"
	"or config.capnp, and prints where it answers. Until the new version has started, and\n"
	"where it cannot, the old one serves.\n\n"
	"  -c, --config FILE\n"
	"                  a configuration of another name; its folder is the project's\n"
	"  --dry-run       read and check everything, and change nothing\n"
	"  --env NAME      the configuration's [env.NAME]\n"
	"  --name NAME     another name for the worker\n"
	"  --var K=V       a variable in place of the configuration's\n"
	"  --project NAME  whose worker it is (default)\n\n"
	"ls        the workers, or the versions of one\n"
	"info      what one serves by, its instances, and its crons with their last results\n"
	"rollback  the version that served before, or VERSION, serves again\n"
	"split     VERSION gets PERCENT of the requests, OTHER the rest\n"
	"trigger   its handler `scheduled` is called now, as by its cron EXPR (its first one)\n"
	"test      its handler `test` is called; both print what it has raised\n"
	"rm        the worker goes, with its versions\n"
	"index     runs, and gives deploys over HTTP the package index of this machine's pip\n\n"
	"VERSION is an id or the beginning of one.\n";

struct deploy_options {
	const char *dir, *config, *project, *env, *name, *message, *tag;
	bool dry_run;
	json_t *vars; /* owned */
};

static int add_var(struct deploy_options *o, const char *text)
{
	const char *equals = strchr(text, '=');
	char key[256];

	if (!equals || equals == text || equals - text >= (long)sizeof(key))
		return ctl_usage("deploy", "--var: '%s' is not KEY=VALUE", text);
	(void)snprintf(key, sizeof(key), "%.*s", (int)(equals - text), text);
	if (!o->vars)
		o->vars = json_object();
	if (json_object_set_new(o->vars, key, json_string(equals + 1)) < 0)
		return ctl_usage("deploy", "--var: '%s' must be UTF-8", text);
	return 0;
}

static int take_option(void *arg, int option, const char *value)
{
	struct deploy_options *o = arg;

	switch (option) {
	case 'c':
		o->config = value;
		break;
	case 'd':
		o->dry_run = true;
		break;
	case 'e':
		o->env = value;
		break;
	case 'n':
		o->name = value;
		break;
	case 'm':
		o->message = value;
		break;
	case 't':
		o->tag = value;
		break;
	case 'v':
		return add_var(o, value);
	default: /* 'p' */
		o->project = value;
	}
	return 0;
}

static int read_options(struct deploy_options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{"dry-run", no_argument, NULL, 'd'},
		{"env", required_argument, NULL, 'e'},
		{"name", required_argument, NULL, 'n'},
		{"var", required_argument, NULL, 'v'},
		{"message", required_argument, NULL, 'm'},
		{"tag", required_argument, NULL, 't'},
		{"project", required_argument, NULL, 'p'},
		{"config", required_argument, NULL, 'c'},
		{0},
	};
	int r = ctl_read_options("deploy", argc, argv, ":c:", options, take_option, o);

	if (r)
		return r;
	if (argc - optind > 1)
		return ctl_usage("deploy", "one folder at most: '%s'", argv[optind + 1]);
	if (optind < argc && o->config)
		return ctl_usage("deploy", "the folder is that of --config: leave '%s' away",
				 argv[optind]);
	if (optind < argc)
		o->dir = argv[optind];
	return 0;
}

/* The folder that is sent, and the name of the configuration in it; *name NULL: one of those that any
 * folder may have. path: room for PATH_MAX bytes. */
static int find_folder(const struct deploy_options *o, char *path, const char **name, struct err *e)
{
	const char *slash = o->config ? strrchr(o->config, '/') : NULL;
	struct stat st;

	*name = NULL;
	if (snprintf(path, PATH_MAX, "%s", o->config ? o->config : o->dir) >= PATH_MAX)
		return err_set(e, ERR_INPUT, ENAMETOOLONG, "%s", o->config ? o->config : o->dir);
	if (!o->config)
		return 0;
	if (stat(o->config, &st) < 0)
		return err_set(e, ERR_INPUT, errno, "%s", o->config);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INPUT, 0,
			       "%s: --config must be a file: a folder is given without it",
			       o->config);
	*name = slash ? slash + 1 : o->config;
	if (!slash)
		(void)snprintf(path, PATH_MAX, ".");
	else
		/* Of a file right below the root, the root's own slash stays. */
		path[slash == o->config ? 1 : slash - o->config] = '\0';
	return 0;
}

static int pack(const char *path, bool named, int *ret_fd, struct err *e)
{
	_cleanup_fd_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct pack_left_out left_out;
	int r;

	if (dir < 0)
		return err_set(e, ERR_INPUT, errno, "%s%s", path,
			       errno == ENOTDIR ? ": must be the folder of a configuration" : "");
	r = named ? 0 : ctl_check_configured(dir, path, e);
	if (r == 0)
		r = pack_project(dir, path, ret_fd, &left_out, e);
	if (r == 0 && *left_out.names)
		ctl_say("not sent along: %s%s", left_out.names, left_out.more ? " and more" : "");
	return r;
}

static int ask(struct ctl *ctl, const struct deploy_options *o, json_t **ret, struct err *e)
{
	struct pip_index index = PIP_INDEX_INIT;
	json_auto_t *told = NULL;
	_cleanup_fd_ int archive = -1;
	char folder[PATH_MAX];
	const char *file;
	int r = find_folder(o, folder, &file, e);

	if (r == 0)
		r = pack(folder, file != NULL, &archive, e);
	if (r == 0)
		r = pip_index_begin(&index, &told, e);
	if (r < 0)
		return r;
	r = progress_call(
		ctl,
		json_pack("{s:s, s:s, s:s, s:b, s:s*, s:s*, s:s*, s:s*, s:s*, s:O*, s:O*}", "op",
			  "deploy", "project", o->project, "source", "sandboxctl", "dry_run",
			  o->dry_run, "config", file, "env", o->env, "name", o->name, "message",
			  o->message, "version_tag", o->tag, "vars", o->vars, "index", told),
		archive, &index, "'sandboxctl deploy ls' tells what serves", NULL, ret, e);
	pip_index_stop(&index);
	return r;
}

/* What a manifest, or the answer to a deploy, has of them. */
static void print_warnings(const json_t *o)
{
	const json_t *warning;
	size_t i;

	json_array_foreach(json_object_get(o, "warnings"), i, warning)
		ctl_say("warning: %s", json_string_value(warning));
}

static void print_deployed(const json_t *reply)
{
	const json_t *item;
	size_t i;

	print_warnings(reply);
	if (*ctl_text(reply, "note"))
		ctl_say("warning: each instance runs its top level anew and starts slower, for it "
			"is not in the snapshot: %s%s",
			ctl_text(reply, "note"),
			strstr(ctl_text(reply, "note"), "outside of request context")
				? ": do that in a handler"
				: "");
	ctl_print_field("worker", ctl_text(reply, "name"));
	ctl_print_field("version", ctl_text(reply, "version"));
	ctl_print_field("snapshot", ctl_text(reply, "snapshot"));
	ctl_print_field("url", ctl_text(reply, "url"));
	json_array_foreach(json_object_get(reply, "routes"), i, item)
		ctl_print_field("route", json_string_value(item));
	json_array_foreach(json_object_get(reply, "crons"), i, item)
		ctl_print_field("cron", ctl_text(item, "cron"));
}

static int deploy(struct ctl *ctl, int argc, char **argv)
{
	struct deploy_options o = {.project = "default", .dir = "."};
	json_auto_t *reply = NULL;
	struct err e = {0};
	int r = read_options(&o, argc, argv);

	if (r == 0 && ask(ctl, &o, &reply, &e) < 0)
		r = ctl_fail(&e);
	json_decref(o.vars);
	if (r)
		return r;
	if (ctl->json)
		return ctl_flush(ctl_print_json(reply));
	if (o.dry_run) {
		print_warnings(json_object_get(reply, "manifest"));
		printf("%s can be deployed.\n", ctl_text(reply, "name"));
	} else {
		print_deployed(reply);
	}
	return ctl_flush(0);
}

/* The words after the options, between min and max of them; *project. NULL: an exit status. */
static char **words(int argc, char **argv, int min, int max, const char **project, int *status)
{
	static const struct option options[] = {{"project", required_argument, NULL, 'p'}, {0}};
	int c;

	*project = "default";
	optind = 0;
	while ((c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (c != 'p') {
			*status = ctl_bad_option("deploy", argv);
			return NULL;
		}
		*project = optarg;
	}
	if (argc - optind < min || argc - optind > max) {
		*status = ctl_bad_count("deploy", argv[0], min, max);
		return NULL;
	}
	return argv + optind;
}

static void worker_row(const json_t *w, char cell[][CTL_CELL])
{
	const json_t *v;
	size_t i, n = 0;

	(void)snprintf(cell[0], CTL_CELL, "%s", ctl_text(w, "name"));
	cell[1][0] = '\0';
	json_array_foreach(json_object_get(w, "versions"), i, v) if (n < CTL_CELL) n +=
		(size_t)snprintf(cell[1] + n, CTL_CELL - n, "%s%.8s %lld%%", i ? ", " : "",
				 ctl_text(v, "version"),
				 (long long)json_integer_value(json_object_get(v, "percent")));
	(void)snprintf(cell[2], CTL_CELL, "%zu", json_array_size(json_object_get(w, "instances")));
	(void)snprintf(cell[3], CTL_CELL, "%s", ctl_text(w, "url"));
}

static void version_row(const json_t *v, char cell[][CTL_CELL])
{
	(void)snprintf(cell[0], CTL_CELL, "%s", ctl_text(v, "id"));
	(void)snprintf(cell[1], CTL_CELL, "%lld",
		       (long long)json_integer_value(json_object_get(v, "number")));
	(void)snprintf(cell[2], CTL_CELL, "%s",
		       json_is_true(json_object_get(v, "serves")) ? "yes" : "");
	(void)snprintf(cell[3], CTL_CELL, "%s", ctl_text(v, "image"));
	(void)snprintf(cell[4], CTL_CELL, "%s%s", ctl_text(v, "python"),
		       json_is_true(json_object_get(v, "python_ended")) ? " (ended)" : "");
	(void)snprintf(cell[5], CTL_CELL, "%s", ctl_text(v, "snapshot"));
	if (strcmp(ctl_text(v, "snapshot_state"), "ready") != 0)
		(void)snprintf(cell[5], CTL_CELL, "%s (%s)", ctl_text(v, "snapshot"),
			       ctl_text(v, "snapshot_state"));
	ctl_time_cell(v, "created_ns", cell[6]);
	(void)snprintf(cell[7], CTL_CELL, "%s", ctl_text(v, "message"));
}

static const struct ctl_table worker_table = {
	.n = 4, .titles = {"NAME", "VERSIONS", "INSTANCES", "URL"}, .row = worker_row};
static const struct ctl_table version_table = {.n = 8,
					       .titles = {"VERSION", "NUMBER", "SERVES", "IMAGE",
							  "PYTHON", "SNAPSHOT", "CREATED",
							  "MESSAGE"},
					       .row = version_row};

/* What is odd about the versions that serve: what the deploy said of Python, and what has come since. */
static void say_oddities(const json_t *versions)
{
	const json_t *v, *warning;
	size_t i, k;

	json_array_foreach(versions, i, v)
	{
		const char *error = ctl_text(v, "snapshot_error");
		char shown[512];

		if (!json_is_true(json_object_get(v, "serves")))
			continue;
		json_array_foreach(json_object_get(v, "warnings"), k,
				   warning) if (strncmp(json_string_value(warning), "Python ", 7) ==
						0)
			ctl_say("%.8s: %s", ctl_text(v, "id"),
				util_escape(json_string_value(warning), shown, sizeof(shown)));
		if (json_is_true(json_object_get(v, "python_ended")))
			ctl_say("%.8s: Python %s has had its five years, and gets no repairs: "
				"deploy again where the node has an image with a newer one",
				ctl_text(v, "id"), ctl_text(v, "python"));
		if (*error)
			ctl_say("%.8s: its instances start without the snapshot: %s",
				ctl_text(v, "id"), util_escape(error, shown, sizeof(shown)));
	}
}

static int deploy_ls(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *reply = NULL;
	const char *project;
	struct err e = {0};
	json_t *request, *list = NULL;
	int status, r;
	char **word = words(argc, argv, 0, 1, &project, &status);
	const bool one = word && *word;

	if (!word)
		return status;
	request = json_pack("{s:s, s:s, s:s*}", "op", one ? "web_versions" : "web_ls", "project",
			    project, "name", one ? word[0] : NULL);
	r = ctl_ask(ctl, request, one ? "versions" : "workers", JSON_ARRAY, &reply, &list, &e);
	if (r < 0)
		return ctl_fail(&e);
	if (ctl->json)
		return ctl_flush(ctl_print_json(list));
	ctl_print_table(one ? &version_table : &worker_table, list);
	r = ctl_flush(0);
	if (one)
		say_oddities(list);
	return r;
}

static void print_time(const char *what, const json_t *o, const char *key)
{
	const json_int_t at = json_integer_value(json_object_get(o, key));
	char text[40];

	if (at <= 0)
		return;
	util_format_time((uint64_t)at, text, sizeof(text));
	printf(" %s %.19sZ", what, text);
}

static void print_cron(const json_t *c)
{
	const char *outcome = ctl_text(c, "outcome");
	const json_int_t skipped = json_integer_value(json_object_get(c, "skipped"));
	char shown[512];

	printf("%-12s %s:", "cron", ctl_text(c, "cron"));
	print_time("next", c, "next_ns");
	print_time("last", c, "last_ns");
	if (json_is_true(json_object_get(c, "running")))
		printf(" running");
	else if (*outcome)
		printf(" %s after %.0f ms", outcome,
		       json_number_value(json_object_get(c, "took_ms")));
	if (*ctl_text(c, "message"))
		printf(": %s", util_escape(ctl_text(c, "message"), shown, sizeof(shown)));
	if (skipped)
		printf(" (%lld skipped)", (long long)skipped);
	putchar('\n');
}

/* "1 request", "2 requests". */
static const char *number_of(const json_t *of, const char *key, const char *what, char ret[48])
{
	const json_int_t n = json_integer_value(json_object_get(of, key));

	(void)snprintf(ret, 48, "%lld %s%s", (long long)n, what, n == 1 ? "" : "s");
	return ret;
}

static void print_instance(const json_t *i)
{
	const json_t *start_ms = json_object_get(i, "start_ms"),
		     *ready_ms = json_object_get(i, "ready_ms");
	const char *mode = ctl_text(i, "start_mode");
	char served[48];

	printf("%-12s %s %s, %s, %lld now", "instance", ctl_text(i, "id"), ctl_text(i, "state"),
	       number_of(i, "served", "request", served),
	       (long long)json_integer_value(json_object_get(i, "in_flight")));
	if (*mode)
		printf(", %s", mode);
	if (json_is_number(start_ms))
		printf(" in %.1f ms", json_number_value(start_ms));
	if (json_is_number(ready_ms))
		printf(", ready after %.1f ms", json_number_value(ready_ms));
	putchar('\n');
}

/* What the edge has counted. */
static void print_counts(const json_t *c)
{
	const json_int_t n = json_integer_value(json_object_get(c, "requests"));
	const json_t *status = json_object_get(c, "status");
	char restarts[48], wakes[48];

	printf("%-12s %lld, of which 4xx: %lld, 5xx: %lld", "requests", (long long)n,
	       (long long)json_integer_value(json_object_get(status, "4")),
	       (long long)json_integer_value(json_object_get(status, "5")));
	if (n > 0)
		printf("; %.1f ms on average",
		       1000 * json_number_value(json_object_get(c, "seconds")) / (double)n);
	printf("; %s, %s\n", number_of(c, "restarts", "restart", restarts),
	       number_of(c, "wakes", "wake", wakes));
}

static int deploy_info(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *reply = NULL, *versions = NULL;
	const char *project;
	struct err e = {0};
	json_t *worker = NULL, *list = NULL;
	const json_t *item;
	int status;
	size_t i;
	char **word = words(argc, argv, 1, 1, &project, &status);

	if (!word)
		return status;
	if (ctl_ask(ctl,
		    json_pack("{s:s, s:s, s:s}", "op", "web_info", "project", project, "name",
			      word[0]),
		    "worker", JSON_OBJECT, &reply, &worker, &e) < 0)
		return ctl_fail(&e);
	if (ctl->json)
		return ctl_flush(ctl_print_json(worker));
	ctl_print_field("worker", ctl_text(worker, "name"));
	ctl_print_field("url", ctl_text(worker, "url"));
	json_array_foreach(json_object_get(worker, "versions"), i, item)
		printf("%-12s %s %lld%%\n", "version", ctl_text(item, "version"),
		       (long long)json_integer_value(json_object_get(item, "percent")));
	json_array_foreach(json_object_get(worker, "routes"), i, item)
		printf("%-12s %s\n", "route", json_string_value(item));
	json_array_foreach(json_object_get(worker, "instances"), i, item) print_instance(item);
	print_counts(json_object_get(worker, "counts"));
	json_array_foreach(json_object_get(worker, "crons"), i, item) print_cron(item);
	i = (size_t)ctl_flush(0);
	if (ctl_ask(ctl,
		    json_pack("{s:s, s:s, s:s}", "op", "web_versions", "project", project, "name",
			      word[0]),
		    "versions", JSON_ARRAY, &versions, &list, &e) == 0)
		say_oddities(list);
	return (int)i;
}

/* Calls a handler, and prints how it has ended. It is asked for once: a handler that may have been called
 * is not called again. */
static int call_handler(struct ctl *ctl, json_t *request)
{
	json_auto_t *ask = request, *reply = NULL;
	struct err e = {0};
	const char *traceback;
	int r;

	if (!ask)
		return ctl_usage("deploy", "what is asked for must be UTF-8 text");
	r = ctl_call_once(ctl, ask, NULL, 0, -1, &reply, &e);
	if (r == 0)
		r = ctl_reply_check(reply, &e);
	if (r < 0)
		return ctl_fail(&e);
	r = strcmp(ctl_text(reply, "outcome"), "ok") != 0;
	if (ctl->json)
		return ctl_flush(ctl_print_json(reply) | r);
	printf("%s %s after %.1f ms (instance %s)\n", ctl_text(reply, "handler"),
	       ctl_text(reply, "outcome"), json_number_value(json_object_get(reply, "took_ms")),
	       ctl_text(reply, "instance"));
	traceback = ctl_text(reply, "traceback");
	(void)fflush(stdout);
	if (r)
		progress_print(NULL, *traceback ? traceback : ctl_text(reply, "message"));
	return ctl_flush(r);
}

static int deploy_trigger(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {{"project", required_argument, NULL, 'p'},
						{"cron", required_argument, NULL, 'c'},
						{0}};
	const char *project = "default", *cron = NULL;
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (c == 'p')
			project = optarg;
		else if (c == 'c')
			cron = optarg;
		else
			return ctl_bad_option("deploy", argv);
	}
	if (argc - optind != 1)
		return ctl_usage("deploy", "trigger takes the name of a worker");
	return call_handler(ctl, json_pack("{s:s, s:s, s:s, s:s*}", "op", "web_trigger", "project",
					   project, "name", argv[optind], "cron", cron));
}

static int deploy_test(struct ctl *ctl, int argc, char **argv)
{
	const char *project;
	int status;
	char **word = words(argc, argv, 1, 1, &project, &status);

	if (!word)
		return status;
	return call_handler(ctl, json_pack("{s:s, s:s, s:s}", "op", "web_test", "project", project,
					   "name", word[0]));
}

static int redeploy(struct ctl *ctl, json_t *request)
{
	json_auto_t *reply = NULL;
	struct err e = {0};
	const json_t *v;
	size_t i;

	if (ctl_call(ctl, request, NULL, 0, &reply, &e) < 0)
		return ctl_fail(&e);
	if (ctl->json)
		return ctl_flush(ctl_print_json(reply));
	json_array_foreach(json_object_get(reply, "versions"), i, v)
		printf("%s %lld%%\n", ctl_text(v, "version"),
		       (long long)json_integer_value(json_object_get(v, "percent")));
	return ctl_flush(0);
}

static int deploy_rollback(struct ctl *ctl, int argc, char **argv)
{
	const char *project;
	int status;
	char **word = words(argc, argv, 1, 2, &project, &status);

	if (!word)
		return status;
	return redeploy(ctl, json_pack("{s:s, s:s, s:s, s:s, s:s*}", "op", "web_deployment_create",
				       "source", "sandboxctl", "project", project, "name", word[0],
				       "version", word[1]));
}

static int deploy_split(struct ctl *ctl, int argc, char **argv)
{
	const char *project;
	int status;
	char **word = words(argc, argv, 4, 4, &project, &status), *end;
	long percent;

	if (!word)
		return status;
	percent = strtol(word[2], &end, 10);
	if (*end == '%')
		end++;
	if (*end || percent < 1 || percent > 99)
		return ctl_usage("deploy", "PERCENT must be from 1 to 99: '%s'", word[2]);
	return redeploy(ctl, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i}", "op",
				       "web_deployment_create", "source", "sandboxctl", "project",
				       project, "name", word[0], "version", word[1], "other",
				       word[3], "percent", (int)percent));
}

static int deploy_rm(struct ctl *ctl, int argc, char **argv)
{
	const char *project;
	struct err e = {0};
	int status;
	char **word = words(argc, argv, 1, 1, &project, &status);

	if (!word)
		return status;
	if (ctl_call(ctl,
		     json_pack("{s:s, s:s, s:s}", "op", "web_rm", "project", project, "name",
			       word[0]),
		     NULL, 0, NULL, &e) < 0)
		return ctl_fail(&e);
	return 0;
}

int ctl_deploy(struct ctl *ctl, int argc, char **argv)
{
	static const struct ctl_word verbs[] = {
		{"ls", deploy_ls},     {"rollback", deploy_rollback}, {"split", deploy_split},
		{"info", deploy_info}, {"trigger", deploy_trigger},   {"test", deploy_test},
		{"rm", deploy_rm},     {"index", deploy_index},	      {0},
	};

	if (ctl_asks_help(argc, argv)) {
		fputs(deploy_help, stdout);
		return ctl_flush(0);
	}
	for (const struct ctl_word *w = verbs; argc > 1 && w->name; w++)
		if (!strcmp(argv[1], w->name))
			return w->run(ctl, argc - 1, argv + 1);
	return deploy(ctl, argc, argv);
}
