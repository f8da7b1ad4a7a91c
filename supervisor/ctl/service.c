// SPDX-License-Identifier: Apache-2.0
/* sandboxctl service, scale, url, open: what a project runs for good. */
#include "supervisor/ctl/service.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/ctl/pack.h"
#include "supervisor/ctl/progress.h"

#define MANIFEST_BYTES (1u << 20)
#define CONFIG_BYTES 65536
#define WORDS_MAX 210

static const char service_help[] =
	"usage: sandboxctl service ls [APP]\n"
	"       sandboxctl service info [APP/]SVC\n"
	"       sandboxctl service logs [APP/]SVC[.N] [-f]\n"
	"       sandboxctl service restart [APP/]SVC[.N]\n"
	"       sandboxctl service revisions [APP/]SVC\n"
	"       sandboxctl service deploy [APP/]SVC REVISION|latest|previous\n"
	"       sandboxctl service rollback [APP/]SVC\n"
	"       sandboxctl service rm [APP/]SVC\n"
	"       sandboxctl service env list|set K=V...|unset K... [--app NAME]\n"
	"       sandboxctl service run [--app NAME] [APP/]SVC [--] COMMAND...\n"
	"       sandboxctl service data export|import [--app NAME] [APP/]SVC\n"
	"       sandboxctl service attach NAME KIND --url URL [--app NAME]\n"
	"       sandboxctl service detach NAME KIND [--app NAME]\n"
	"       sandboxctl service put DIR --manifest FILE\n\n"
	"  --app NAME      the app; without it that of the folder (.dotcloud/config)\n"
	"  --project NAME  whose it is (default)\n\n"
	"ls         the services, of all apps or of one\n"
	"info       one service with its replicas\n"
	"logs       what its replicas print, as one; -f goes on until Ctrl-C\n"
	"restart    other replicas take the places of all; or N finishes what it has, and begins\n"
	"           anew\n"
	"revisions  what was put; * is live\n"
	"deploy     a revision that is there becomes live\n"
	"rollback   the one that was live before\n"
	"rm         the service goes, with its revisions\n"
	"env        variables of all services of the app, which get new replicas for them\n"
	"run        a command beside the replicas, in the same surroundings, with stdin but "
	"without a\n"
	"           terminal of its own; one word is a line for a shell. Its exit status is "
	"returned\n"
	"data       what is in ~/data, as a tar on stdout, or from stdin over what is there\n"
	"attach     a database that runs elsewhere: the app finds its DOTCLOUD_NAME_KIND_* "
	"variables;\n"
	"           KIND is postgresql, postgis, mysql, redis, mongodb, rabbitmq, solr or smtp\n"
	"put        a revision by hand: DIR has the folder code, FILE the manifest (JSON)\n\n"
	"Replicas are replaced when as many new ones are ready; where one of them fails, the old\n"
	"ones stay.\n";
static const char scale_help[] =
	"usage: sandboxctl scale [APP/]SVC=N|[APP/]SVC:instances=N|[APP/]SVC:memory=SIZE...\n"
	"                        [--app NAME] [--project NAME]\n\n"
	"How many replicas a service has, and how much memory each of them. Other memory means\n"
	"other replicas, which take the places of the old ones when they are ready.\n";
static const char url_help[] = "usage: sandboxctl url [[APP/]SVC] [--app NAME] [--project NAME]\n\n"
			       "Prints where services answer: all of the app, or one.\n";
static const char open_help[] = "usage: sandboxctl open [APP/]SVC [--app NAME] [--project NAME]\n\n"
				"Opens the service's address in a browser.\n";

void service_folder_app(char app[SERVICE_APP_BYTES])
{
	char path[64] = ".dotcloud/config";

	app[0] = '\0';
	for (unsigned up = 0; up < 12; up++) {
		_cleanup_free_ char *text = NULL;
		json_auto_t *o = NULL;
		size_t len;

		if (util_read_file_at(AT_FDCWD, path, CONFIG_BYTES, &text, &len) == 0) {
			o = json_loadb(text, len, 0, NULL);
			(void)snprintf(app, SERVICE_APP_BYTES, "%s", ctl_text(o, "app"));
			return;
		}
		memmove(path + 3, path, strlen(path) + 1);
		memcpy(path, "../", 3);
	}
}

int service_name_read(const struct service_options *o, const char *text, struct service_name *ret,
		      struct err *e)
{
	const char *slash = strchr(text, '/'), *name = slash ? slash + 1 : text;
	const char *dot = strchr(name, '.');
	const size_t n_app = slash ? (size_t)(slash - text) : 0;
	const size_t n_name = dot ? (size_t)(dot - name) : strlen(name);
	char *end;

	*ret = (struct service_name){.replica = -1};
	if (n_name == 0 || n_name >= sizeof(ret->name) || n_app >= sizeof(ret->app) ||
	    (slash && n_app == 0))
		return err_set(e, ERR_USAGE, 0, "'%s' is no service: it is APP/SVC, or SVC", text);
	memcpy(ret->name, name, n_name);
	if (slash)
		memcpy(ret->app, text, n_app);
	else if (o->app)
		(void)snprintf(ret->app, sizeof(ret->app), "%s", o->app);
	else
		memcpy(ret->app, o->own_app, sizeof(ret->app));
	if (!*ret->app)
		return err_set(e, ERR_USAGE, 0,
			       "'%s' does not say which app: use APP/%s, or --app, or a folder "
			       "that was pushed",
			       text, text);
	if (!dot)
		return 0;
	ret->replica = strtol(dot + 1, &end, 10);
	if (!dot[1] || *end || ret->replica < 0)
		return err_set(e, ERR_USAGE, 0, "'%s': behind the '.' is a replica's number", text);
	return 0;
}

int service_roll(struct ctl *ctl, json_t *request, int fd, json_t **ret, struct err *e)
{
	return progress_call(ctl, request, fd, NULL, "'sandboxctl service ls' tells what runs",
			     NULL, ret, e);
}

/* Options that stand anywhere; *word is what is left, between min and max words. An exit status. */
static int read_words(const char *verb, int argc, char **argv, int min, int max,
		      struct service_options *o, char ***word)
{
	static const struct option options[] = {{"project", required_argument, NULL, 'p'},
						{"app", required_argument, NULL, 'a'},
						{0}};
	int c;

	*o = (struct service_options){.project = "default"};
	optind = 0;
	while ((c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (c == 'p')
			o->project = optarg;
		else if (c == 'a')
			o->app = optarg;
		else
			return ctl_bad_option(verb, argv);
	}
	if (argc - optind < min || argc - optind > max)
		return ctl_bad_count(verb, argv[0], min, max);
	service_folder_app(o->own_app);
	*word = argv + optind;
	return 0;
}

/* The same, and the first word is a service. */
static int read_service(const char *verb, int argc, char **argv, int max, struct service_options *o,
			struct service_name *name, char ***word)
{
	struct err e = {0};
	int status;

	*word = NULL;
	status = read_words(verb, argc, argv, 1, max, o, word);
	if (status || !*word)
		return status;
	return service_name_read(o, (*word)[0], name, &e) < 0 ? ctl_fail(&e) : 0;
}

static json_t *ask_of(const char *op, const struct service_options *o,
		      const struct service_name *name)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "op", op, "project", o->project, "app", name->app,
			 "service", name->name);
}

static const char *const states[] = {"up", "starting", "draining", "backoff", "failed"};

static void service_row(const json_t *s, char cell[][CTL_CELL])
{
	const json_t *r;
	char size[32];
	size_t i, n = 0;

	(void)snprintf(cell[0], CTL_CELL, "%s/%s", ctl_text(s, "app"), ctl_text(s, "name"));
	(void)snprintf(cell[1], CTL_CELL, "%s", ctl_text(s, "type"));
	(void)snprintf(cell[2], CTL_CELL, "%s", ctl_text(s, "state"));
	json_array_foreach(json_object_get(s, "replicas"), i, r) n +=
		json_is_true(json_object_get(r, "serves"));
	(void)snprintf(cell[3], CTL_CELL, "%zu/%lld", n,
		       (long long)json_integer_value(json_object_get(s, "instances")));
	cell[4][0] = '\0';
	if (json_integer_value(json_object_get(s, "memory")))
		(void)snprintf(
			cell[4], CTL_CELL, "%s",
			util_format_size((uint64_t)json_integer_value(json_object_get(s, "memory")),
					 size, sizeof(size)));
	(void)snprintf(cell[5], CTL_CELL, "%s", ctl_text(s, "revision"));
	(void)snprintf(cell[6], CTL_CELL, "%s", ctl_text(s, "url"));
}

static const struct ctl_table service_table = {
	.n = 7,
	.titles = {"SERVICE", "TYPE", "STATE", "REPLICAS", "MEMORY", "REVISION", "URL"},
	.row = service_row};

static int ask_list(struct ctl *ctl, const struct service_options *o, const char *app,
		    json_t **reply, json_t **list, struct err *e)
{
	return ctl_ask(ctl,
		       json_pack("{s:s, s:s, s:s*}", "op", "service_ls", "project", o->project,
				 "app", app),
		       "services", JSON_ARRAY, reply, list, e);
}

static int service_ls(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *reply = NULL;
	struct service_options o;
	struct err e = {0};
	json_t *list;
	char **word;
	int status = read_words("service", argc, argv, 0, 1, &o, &word);

	if (status)
		return status;
	if (ask_list(ctl, &o, *word ? *word : o.app, &reply, &list, &e) < 0)
		return ctl_fail(&e);
	if (ctl->json)
		return ctl_flush(ctl_print_json(list));
	ctl_print_table(&service_table, list);
	return ctl_flush(0);
}

static void print_replica(const json_t *r)
{
	const char *stage = ctl_text(r, "stage"), *failure = ctl_text(r, "failure");
	const json_t *ready = json_object_get(r, "ready_ms");
	const json_int_t restarts = json_integer_value(json_object_get(r, "restarts"));
	char shown[512];

	printf("replica    %s.%lld %s, revision %s", ctl_text(r, "service"),
	       (long long)json_integer_value(json_object_get(r, "number")), ctl_text(r, "state"),
	       ctl_text(r, "revision"));
	if (*ctl_text(r, "run"))
		printf(", run %s", ctl_text(r, "run"));
	if (json_is_number(ready))
		printf(", ready after %.0f ms", json_number_value(ready));
	if (*stage)
		printf(", %s", stage);
	if (restarts)
		printf(", %lld restarts", (long long)restarts);
	if (*failure)
		printf(": %s", util_escape(failure, shown, sizeof(shown)));
	putchar('\n');
}

static int service_info(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *reply = NULL;
	struct service_options o;
	struct service_name name;
	struct err e = {0};
	const json_t *item;
	json_t *s;
	char text[64], **word;
	size_t i;
	int status = read_service("service", argc, argv, 1, &o, &name, &word);

	if (status)
		return status;
	if (ctl_ask(ctl, ask_of("service_info", &o, &name), "service", JSON_OBJECT, &reply, &s,
		    &e) < 0)
		return ctl_fail(&e);
	if (ctl->json)
		return ctl_flush(ctl_print_json(s));
	(void)snprintf(text, sizeof(text), "%s/%s", ctl_text(s, "app"), ctl_text(s, "name"));
	ctl_print_field("service", text);
	ctl_print_field("type", ctl_text(s, "type"));
	ctl_print_field("state", ctl_text(s, "state"));
	ctl_print_field("revision", ctl_text(s, "revision"));
	json_array_foreach(json_object_get(s, "ports"), i, item)
		ctl_print_field(i ? ctl_text(item, "name") : "url", ctl_text(item, "url"));
	for (size_t k = 0; k < ARRAY_SIZE(states); k++)
		json_array_foreach(json_object_get(s, "replicas"), i,
				   item) if (strcmp(ctl_text(item, "state"), states[k]) == 0)
			print_replica(item);
	return ctl_flush(0);
}

static void revision_row(const json_t *v, char cell[][CTL_CELL])
{
	(void)snprintf(cell[0], CTL_CELL, "%s%s",
		       json_is_true(json_object_get(v, "live")) ? "*" : " ",
		       ctl_text(v, "revision"));
	(void)snprintf(cell[1], CTL_CELL, "%s", ctl_text(v, "image"));
	ctl_time_cell(v, "created_ns", cell[2]);
	(void)snprintf(cell[3], CTL_CELL, "%s", ctl_text(v, "message"));
}

static const struct ctl_table revision_table = {
	.n = 4, .titles = {" REVISION", "IMAGE", "CREATED", "MESSAGE"}, .row = revision_row};

static int service_revisions(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *reply = NULL;
	struct service_options o;
	struct service_name name;
	struct err e = {0};
	json_t *list;
	char **word;
	int status = read_service("service", argc, argv, 1, &o, &name, &word);

	if (status)
		return status;
	if (ctl_ask(ctl, ask_of("service_revisions", &o, &name), "revisions", JSON_ARRAY, &reply,
		    &list, &e) < 0)
		return ctl_fail(&e);
	if (ctl->json)
		return ctl_flush(ctl_print_json(list));
	ctl_print_table(&revision_table, list);
	return ctl_flush(0);
}

/* Prints what a roll has come to. */
static int print_rolled(struct ctl *ctl, const json_t *reply)
{
	const json_t *warning;
	char text[64];
	size_t i;

	if (ctl->json)
		return ctl_flush(ctl_print_json(reply));
	json_array_foreach(json_object_get(reply, "warnings"), i, warning)
		ctl_say("warning: %s", json_string_value(warning));
	if (*ctl_text(reply, "name")) {
		(void)snprintf(text, sizeof(text), "%s/%s", ctl_text(reply, "app"),
			       ctl_text(reply, "name"));
		ctl_print_field("service", text);
		ctl_print_field("revision", ctl_text(reply, "revision"));
		ctl_print_field("url", ctl_text(reply, "url"));
	}
	return ctl_flush(0);
}

static int roll(struct ctl *ctl, json_t *request)
{
	json_auto_t *reply = NULL;
	struct err e = {0};

	if (service_roll(ctl, request, -1, &reply, &e) < 0)
		return ctl_fail(&e);
	return print_rolled(ctl, reply);
}

static int service_restart(struct ctl *ctl, int argc, char **argv)
{
	struct service_options o;
	struct service_name name;
	json_t *request;
	char **word;
	int status = read_service("service", argc, argv, 1, &o, &name, &word);

	if (status)
		return status;
	request = ask_of("service_restart", &o, &name);
	if (name.replica >= 0)
		json_object_set_new(request, "replica", json_integer(name.replica));
	return roll(ctl, request);
}

static int deploy(struct ctl *ctl, const struct service_options *o, const struct service_name *name,
		  const char *revision)
{
	json_t *request = ask_of("service_deploy", o, name);

	json_object_set_new(request, "revision", json_string(revision));
	return roll(ctl, request);
}

static int service_deploy(struct ctl *ctl, int argc, char **argv)
{
	struct service_options o;
	struct service_name name;
	char **word;
	int status = read_service("service", argc, argv, 2, &o, &name, &word);

	return status ? status : deploy(ctl, &o, &name, word[1] ? word[1] : "latest");
}

static int service_rollback(struct ctl *ctl, int argc, char **argv)
{
	struct service_options o;
	struct service_name name;
	char **word;
	int status = read_service("service", argc, argv, 1, &o, &name, &word);

	return status ? status : deploy(ctl, &o, &name, "previous");
}

static int service_rm(struct ctl *ctl, int argc, char **argv)
{
	struct service_options o;
	struct service_name name;
	struct err e = {0};
	char **word;
	int status = read_service("service", argc, argv, 1, &o, &name, &word);

	if (status)
		return status;
	if (ctl_call(ctl, ask_of("service_rm", &o, &name), NULL, 0, NULL, &e) < 0)
		return ctl_fail(&e);
	return 0;
}

static int service_put(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {{"project", required_argument, NULL, 'p'},
						{"manifest", required_argument, NULL, 'm'},
						{"message", required_argument, NULL, 't'},
						{"revision", required_argument, NULL, 'r'},
						{0}};
	const char *project = "default", *manifest = NULL, *message = NULL, *revision = NULL;
	_cleanup_fd_ int dir = -1, archive = -1;
	_cleanup_free_ char *text = NULL;
	json_auto_t *reply = NULL;
	struct pack_left_out left_out;
	struct err e = {0};
	json_error_t wrong;
	json_t *doc = NULL;
	size_t len;
	int c, r;

	optind = 0;
	while ((c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (c == 'p')
			project = optarg;
		else if (c == 'm')
			manifest = optarg;
		else if (c == 't')
			message = optarg;
		else if (c == 'r')
			revision = optarg;
		else
			return ctl_bad_option("service", argv);
	}
	if (argc - optind != 1)
		return ctl_bad_count("service", "put", 1, 1);
	if (!manifest)
		return ctl_usage("service", "put wants --manifest FILE");
	r = ctl_read_file(manifest, MANIFEST_BYTES, false, &text, &len, &e);
	if (r == 0) {
		doc = json_loadb(text, len, JSON_REJECT_DUPLICATES, &wrong);
		if (!doc)
			r = err_set(&e, ERR_INPUT, 0, "%s:%d:%d: %s", manifest, wrong.line,
				    wrong.column, wrong.text);
	}
	dir = open(argv[optind], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r == 0 && dir < 0)
		r = err_set(&e, ERR_INPUT, errno, "%s", argv[optind]);
	if (r == 0)
		r = pack_folder(dir, argv[optind], &archive, &left_out, &e);
	if (r == 0 && *left_out.names)
		ctl_say("not sent along: %s%s", left_out.names, left_out.more ? " and more" : "");
	if (r == 0)
		r = service_roll(ctl,
				 json_pack("{s:s, s:s, s:s, s:O, s:s*, s:s*}", "op", "service_put",
					   "project", project, "source", "sandboxctl", "manifest",
					   doc, "message", message, "revision", revision),
				 archive, &reply, &e);
	json_decref(doc);
	return r < 0 ? ctl_fail(&e) : print_rolled(ctl, reply);
}

/* Variables */

static int env_app(const struct service_options *o, struct service_name *name, struct err *e)
{
	return service_name_read(o, "x", name, e);
}

static int env_list(struct ctl *ctl, const struct service_options *o, const char *app)
{
	json_auto_t *reply = NULL;
	struct err e = {0};
	const char *key;
	json_t *all, *value;

	if (ctl_ask(ctl,
		    json_pack("{s:s, s:s, s:s}", "op", "service_env", "project", o->project, "app",
			      app),
		    "variables", JSON_OBJECT, &reply, &all, &e) < 0)
		return ctl_fail(&e);
	if (ctl->json)
		return ctl_flush(ctl_print_json(all));
	json_object_foreach(all, key, value)
	{
		printf("%s=", key);
		ctl_print_text(json_string_value(value));
		putchar('\n');
	}
	return ctl_flush(0);
}

/* Until none of the app's services is being changed. */
static int wait_rolled(struct ctl *ctl, const struct service_options *o, const char *app)
{
	for (;;) {
		json_auto_t *reply = NULL;
		struct err e = {0};
		const json_t *s;
		bool rolls = false, failed = false;
		json_t *list;
		size_t i;

		if (ask_list(ctl, o, app, &reply, &list, &e) < 0)
			return ctl_fail(&e);
		json_array_foreach(list, i, s) rolls |=
			strcmp(ctl_text(s, "state"), "rolling") == 0;
		if (rolls) {
			(void)usleep(CTL_RETRY_MS * 1000);
			continue;
		}
		json_array_foreach(list, i, s) if (*ctl_text(s, "failure"))
		{
			failed = true;
			ctl_say("%s/%s goes on with what it had: %s", ctl_text(s, "app"),
				ctl_text(s, "name"), ctl_text(s, "failure"));
		}
		return failed ? 125 : 0;
	}
}

static int env_change(struct ctl *ctl, const struct service_options *o, const char *app,
		      json_t *variables)
{
	json_auto_t *reply = NULL;
	struct err e = {0};
	const json_t *warning;
	size_t i;

	if (ctl_call(ctl,
		     json_pack("{s:s, s:s, s:s, s:o}", "op", "service_env_set", "project",
			       o->project, "app", app, "variables", variables),
		     NULL, 0, &reply, &e) < 0)
		return ctl_fail(&e);
	json_array_foreach(json_object_get(reply, "warnings"), i, warning)
		ctl_say("warning: %s", json_string_value(warning));
	return wait_rolled(ctl, o, app);
}

static int service_env(struct ctl *ctl, int argc, char **argv)
{
	struct service_options o;
	struct service_name name;
	json_t *variables;
	struct err e = {0};
	char **word;
	int status = read_words("service", argc, argv, 1, WORDS_MAX, &o, &word);
	bool set;

	if (status)
		return status;
	if (env_app(&o, &name, &e) < 0)
		return ctl_fail(&e);
	if (strcmp(word[0], "list") == 0 && !word[1])
		return env_list(ctl, &o, name.app);
	set = strcmp(word[0], "set") == 0;
	if ((!set && strcmp(word[0], "unset") != 0) || !word[1])
		return ctl_usage("service", "env takes list, set K=V... or unset K...");
	variables = json_object();
	for (word++; *word; word++) {
		const char *equals = strchr(*word, '=');
		char key[160];

		if ((equals != NULL) != set || equals == *word ||
		    (equals ? (size_t)(equals - *word) : strlen(*word)) >= sizeof(key)) {
			json_decref(variables);
			return ctl_usage("service", "env: '%s' is not %s", *word,
					 set ? "NAME=VALUE" : "a name");
		}
		(void)snprintf(key, sizeof(key), "%.*s",
			       (int)(equals ? equals - *word : (long)strlen(*word)), *word);
		if (json_object_set_new(variables, key,
					equals ? json_string(equals + 1) : json_null()) < 0) {
			json_decref(variables);
			return ctl_usage("service", "env: '%s' must be UTF-8", *word);
		}
	}
	return env_change(ctl, &o, name.app, variables);
}

/* detach is attach without a URL. */
static int service_attach(struct ctl *ctl, int argc, char **argv)
{
	const bool has_url = strcmp(argv[0], "attach") == 0;
	const char *url = NULL;
	struct service_options o;
	struct service_name name;
	json_t *reply = NULL;
	struct err e = {0};
	const json_t *warning;
	char **word;
	size_t i;
	int n = 0, status;

	for (int k = 0; k < argc; k++) {
		if (has_url && strcmp(argv[k], "--url") == 0 && k + 1 < argc)
			url = argv[++k];
		else if (has_url && strncmp(argv[k], "--url=", 6) == 0)
			url = argv[k] + 6;
		else
			argv[n++] = argv[k];
	}
	argv[n] = NULL;
	status = read_words("service", n, argv, 2, 2, &o, &word);
	if (status)
		return status;
	if (has_url && !url)
		return ctl_usage("service", "attach wants --url URL");
	if (service_name_read(&o, word[0], &name, &e) < 0)
		return ctl_fail(&e);
	if (ctl_call(ctl,
		     json_pack("{s:s, s:s, s:s, s:s, s:s, s:s*}", "op", "service_attach", "project",
			       o.project, "app", name.app, "name", name.name, "kind", word[1],
			       "url", url),
		     NULL, 0, &reply, &e) < 0)
		return ctl_fail(&e);
	json_array_foreach(json_object_get(reply, "warnings"), i, warning)
		ctl_say("warning: %s", json_string_value(warning));
	json_decref(reply);
	return wait_rolled(ctl, &o, name.app);
}

int ctl_service(struct ctl *ctl, int argc, char **argv)
{
	static const struct ctl_word words[] = {
		{"ls", service_ls, false},
		{"info", service_info, false},
		{"logs", service_logs, false},
		{"restart", service_restart, false},
		{"revisions", service_revisions, false},
		{"deploy", service_deploy, false},
		{"rollback", service_rollback, false},
		{"rm", service_rm, false},
		{"env", service_env, false},
		{"put", service_put, false},
		{"run", service_run, false},
		{"data", service_data, false},
		{"attach", service_attach, false},
		{"detach", service_attach, false},
		/* dotCloud's own words. */
		{"dlist", service_revisions, false},
		{"dlogs", service_logs, false},
		{"status", service_info, false},
		{"list", service_ls, false},
		{"destroy", service_rm, false},
		{"scale", ctl_scale, false},
		{"url", ctl_url, false},
		{"open", ctl_open, false},
		{0},
	};

	return ctl_dispatch(ctl, "service", words, service_help, argc, argv);
}

/* SVC=3, SVC:instances=3, SVC:memory=512M; several of one service are one change. */
static int read_scale(const struct service_options *o, const char *text, json_t *all, struct err *e)
{
	const char *equals = strrchr(text, '='), *colon = strchr(text, ':');
	struct service_name name;
	char service[128], key[160];
	json_t *request;
	char *end;
	long n;
	int r;

	if (!equals || (colon && colon > equals))
		return err_set(e, ERR_USAGE, 0, "'%s' is not SVC=N or SVC:memory=SIZE", text);
	(void)snprintf(service, sizeof(service), "%.*s", (int)((colon ? colon : equals) - text),
		       text);
	r = service_name_read(o, service, &name, e);
	if (r < 0)
		return r;
	(void)snprintf(key, sizeof(key), "%s/%s", name.app, name.name);
	request = json_object_get(all, key);
	if (!request) {
		json_object_set_new(all, key, ask_of("service_scale", o, &name));
		request = json_object_get(all, key);
	}
	if (colon && strncmp(colon, ":memory=", 8) == 0) {
		json_object_set_new(request, "memory", json_string(equals + 1));
		return 0;
	}
	n = strtol(equals + 1, &end, 10);
	if ((colon && strncmp(colon, ":instances=", 11) != 0) || *end || end == equals + 1 || n < 1)
		return err_set(e, ERR_USAGE, 0,
			       "'%s': behind the '=' is a number of replicas, or of bytes for "
			       ":memory",
			       text);
	json_object_set_new(request, "instances", json_integer(n));
	return 0;
}

int ctl_scale(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *all = json_object();
	struct service_options o;
	struct err e = {0};
	const char *key;
	json_t *request;
	char **word;
	int status;

	if (argc > 1 && !strcmp(argv[1], "--help")) {
		fputs(scale_help, stdout);
		return ctl_flush(0);
	}
	status = read_words("scale", argc, argv, 1, WORDS_MAX, &o, &word);
	if (status)
		return status;
	for (; *word; word++)
		if (read_scale(&o, *word, all, &e) < 0)
			return ctl_fail(&e);
	json_object_foreach(all, key, request)
	{
		json_auto_t *reply = NULL;

		if (service_roll(ctl, json_incref(request), -1, &reply, &e) < 0)
			status = ctl_fail(&e);
	}
	return status;
}

static int print_urls(struct ctl *ctl, const struct service_options *o, const char *app,
		      const char *name, char *first, size_t size)
{
	json_auto_t *reply = NULL;
	struct err e = {0};
	bool found = false;
	const json_t *s;
	json_t *list;
	size_t i;

	if (ask_list(ctl, o, app, &reply, &list, &e) < 0)
		return ctl_fail(&e);
	json_array_foreach(list, i, s)
	{
		if (name && strcmp(name, ctl_text(s, "name")) != 0)
			continue;
		found = true;
		if (!*ctl_text(s, "url"))
			continue;
		if (first)
			(void)snprintf(first, size, "%s", ctl_text(s, "url"));
		else if (name)
			printf("%s\n", ctl_text(s, "url"));
		else
			printf("%s: %s\n", ctl_text(s, "name"), ctl_text(s, "url"));
	}
	if (found)
		return first ? 0 : ctl_flush(0);
	(void)err_set(&e, ERR_NOT_FOUND, 0, "there is no service %s/%s", app, name ? name : "");
	return ctl_fail(&e);
}

int ctl_url(struct ctl *ctl, int argc, char **argv)
{
	struct service_options o;
	struct service_name name;
	struct err e = {0};
	char **word;
	int status;

	if (argc > 1 && !strcmp(argv[1], "--help")) {
		fputs(url_help, stdout);
		return ctl_flush(0);
	}
	status = read_words("url", argc, argv, 0, 1, &o, &word);
	if (status)
		return status;
	if (service_name_read(&o, *word ? *word : "x", &name, &e) < 0)
		return ctl_fail(&e);
	return print_urls(ctl, &o, name.app, *word ? name.name : NULL, NULL, 0);
}

int ctl_open(struct ctl *ctl, int argc, char **argv)
{
	struct service_options o;
	struct service_name name;
	struct err e = {0};
	char url[1024] = "", **word;
	int status;

	if (argc > 1 && !strcmp(argv[1], "--help")) {
		fputs(open_help, stdout);
		return ctl_flush(0);
	}
	status = read_service("open", argc, argv, 1, &o, &name, &word);
	if (!status)
		status = print_urls(ctl, &o, name.app, name.name, url, sizeof(url));
	if (status)
		return status;
	if (!*url) {
		(void)err_set(&e, ERR_NOT_FOUND, 0, "%s/%s answers nowhere", name.app, name.name);
		return ctl_fail(&e);
	}
	/* Whoever has no browser sees where it is. */
	printf("%s\n", url);
	status = ctl_flush(0);
	(void)execlp("xdg-open", "xdg-open", url, (char *)NULL);
	return status;
}
