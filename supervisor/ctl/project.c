// SPDX-License-Identifier: Apache-2.0
/* sandboxctl project: tenants, their quotas and their tokens. */
#include "supervisor/ctl/ctl.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define REPLY_MS 30000
/* A removed project's tasks have ten seconds from TERM to KILL; the rest of the time is for their
 * logs and records. */
#define REMOVE_FOR_NS (120 * SEC)

static const char project_help[] =
	"usage: sandboxctl project create NAME [--quota KEY=VALUE]...\n"
	"       sandboxctl project ls\n"
	"       sandboxctl project inspect NAME\n"
	"       sandboxctl project quota NAME KEY=VALUE...\n"
	"       sandboxctl project rm NAME [--force]\n"
	"       sandboxctl project token create NAME [--label TEXT] [--operator]\n"
	"       sandboxctl project token ls NAME\n"
	"       sandboxctl project token revoke NAME TOKEN_ID\n\n"
	"A project is a tenant: its workers, tasks and schedules, tokens that open it, quotas, "
	"and\n"
	"user ids of its own for its tasks. NAME is its name or its id. What `sandboxctl run`\n"
	"runs is the project \"default\"'s, which is always there.\n\n"
	"create   also makes its first token. A token is shown this once: only a hash is kept\n"
	"quota    running, queued, schedules and package_files are numbers: of tasks, of\n"
	"         schedules, of files, folders and links in all packages. Sizes such as 512M are\n"
	"         memory (the sum of its running tasks' limits), package_bytes (packages and "
	"their\n"
	"         zips on the disk), log_bytes (of one task) and kept_log_bytes (of all its ended\n"
	"         tasks' logs: the oldest go first). 0 is no bound. policies and images are what\n"
	"         its workers may name: default,strict, or * for all. Of HTTP workers:\n"
	"         http_workers, http_versions (kept of each), http_instances (at a time),\n"
	"         http_rate (requests a second), kv_bytes, and hosts: example.com,*.example.org,\n"
	"         which nobody else has routes of then, or * for what no project is named for\n"
	"         Of services: services, service_replicas (that are wanted of all),\n"
	"         service_versions (kept of each), service_data_bytes (their ~/data)\n"
	"         Of background workers: background_items, background_bytes\n"
	"rm       with its workers, schedules, ended tasks and their logs. --force: its waiting\n"
	"         and running tasks are cancelled first\n"
	"token    --operator: opens every project and the node; of \"default\" alone. TOKEN_ID is\n"
	"         as 'token ls' shows it\n";

static long long project_number(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

/*
 * Sends a request only once, because its answer has a secret that is told only once. The reference
 * to request is taken. what: what may have become of the request, for the case that no answer
 * comes.
 */
static int project_call_once(struct ctl *ctl, json_t *request, const char *what, json_t **ret_reply,
			     struct err *e)
{
	int r;

	if (!request)
		return err_set(e, ERR_INPUT, 0, "a name or label is not UTF-8 text");
	r = ctl_call_once(ctl, request, NULL, 0, REPLY_MS, ret_reply, e);
	json_decref(request);
	if (r == -ECONNRESET)
		return err_set(e, ERR_UNAVAILABLE, 0, "the daemon went away before it answered: %s",
			       what);
	return r < 0 ? r : ctl_reply_check(*ret_reply, e);
}

/* A number is sent as a number, other text as text; the daemon judges whether it is right. */
static json_t *quota_value(const char *key, const char *value)
{
	const char *digits = value + (*value == '-');
	json_t *list;

	if (strcmp(key, "policies") != 0 && strcmp(key, "images") != 0 && strcmp(key, "hosts") != 0)
		return *digits && strspn(digits, "0123456789") == strlen(digits) &&
				       strlen(digits) < 19
			       ? json_integer(strtoll(value, NULL, 10))
			       : json_string(value);
	list = json_array();
	for (const char *p = value;; p++) {
		const size_t len = strcspn(p, ",");

		if (json_array_append_new(list, json_stringn(p, len)) < 0) {
			json_decref(list);
			return NULL;
		}
		p += len;
		if (!*p)
			return list;
	}
}

/* Prints warnings about something that was done although it looks wrong. */
static void say_warnings(const json_t *reply)
{
	const json_t *warning;
	size_t i;

	json_array_foreach(json_object_get(reply, "warnings"), i, warning)
	{
		ctl_say("warning: %s", json_string_value(warning));
	}
}

/* Adds "KEY=VALUE" as a member. */
static int add_quota(json_t *quota, const char *word, struct err *e)
{
	const char *value = strchr(word, '=');
	_cleanup_free_ char *key = value ? strndup(word, (size_t)(value - word)) : NULL;
	json_t *v;

	if (!key || !*key || !value[1])
		return err_set(e, ERR_INPUT, 0, "quota: '%s' is not KEY=VALUE", word);
	v = quota_value(key, value + 1);
	if (json_object_get(quota, key)) {
		json_decref(v);
		return err_set(e, ERR_INPUT, 0, "quota: %s is given twice", key);
	}
	if (!v || json_object_set_new(quota, key, v) < 0)
		return err_set(e, ERR_INPUT, 0, "quota: must be UTF-8 text");
	return 0;
}

/* Prints where clients find the daemon, from its "127.0.0.1:8080"; a server on all addresses is
 * also on this one. */
static void print_address(const char *http)
{
	const char *port = strrchr(http, ':');
	int len = port ? (int)(port - http) : 0;

	if (!port)
		printf("\"host\": \"127.0.0.1\", \"port\": 8080");
	else if (strncmp(http, "0.0.0.0:", 8) == 0)
		printf("\"host\": \"127.0.0.1\", \"port\": %s", port + 1);
	else if (strncmp(http, "[::]:", 5) == 0)
		printf("\"host\": \"[::1]\", \"port\": %s", port + 1);
	else
		printf("\"host\": \"%.*s\", \"port\": %s", len, http, port + 1);
}

static int print_created(struct ctl *ctl, const json_t *p)
{
	json_auto_t *version = NULL;
	struct err e = {0};
	/* The project has been made, and its token is printed, even if this fails. */
	int r = ctl_call(ctl, json_pack("{s:s}", "op", "version"), NULL, 0, &version, &e);

	printf("project %s is made. Its clients' iron.json (the token is shown this once):\n\n"
	       "{\"project_id\": \"%s\",\n"
	       " \"token\": \"%s\",\n"
	       " ",
	       ctl_text(p, "name"), ctl_text(p, "id"), ctl_text(p, "token"));
	print_address(ctl_text(version, "http"));
	printf(", \"protocol\": \"http\", \"scheme\": \"http\",\n \"api_version\": \"2\"}\n");
	if (r < 0)
		ctl_say("the daemon does not tell its port: 8080 is only the default");
	else if (!*ctl_text(version, "http"))
		ctl_say("the daemon has no HTTP server (--http none): no client can use this yet");
	return ctl_flush(0);
}

static int project_create(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {{"quota", required_argument, NULL, 'q'}, {0}};
	json_auto_t *quota = json_object(), *reply = NULL, *out = NULL;
	struct err e = {0};
	int c;

	while ((c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (c != 'q')
			return ctl_bad_option("project", argv);
		if (add_quota(quota, optarg, &e) < 0)
			return ctl_fail(&e);
	}
	if (argc - optind != 1)
		return ctl_usage("project", "create takes one name");
	if (project_call_once(ctl,
			      json_pack("{s:s, s:s, s:O}", "op", "project_create", "name",
					argv[optind], "quota", quota),
			      "see 'sandboxctl project ls', and 'project token create' if it is "
			      "there",
			      &reply, &e) < 0)
		return ctl_fail(&e);
	say_warnings(reply);
	if (!ctl->json)
		return print_created(ctl, reply);
	out = json_pack("{s:O, s:O, s:O}", "id", json_object_get(reply, "id"), "name",
			json_object_get(reply, "name"), "token", json_object_get(reply, "token"));
	return ctl_flush(ctl_print_json(out));
}

static void row_of(const json_t *p, char cell[][CTL_CELL])
{
	const json_t *tasks = json_object_get(p, "tasks");

	snprintf(cell[0], CTL_CELL, "%s", ctl_text(p, "name"));
	snprintf(cell[1], CTL_CELL, "%s", ctl_text(p, "id"));
	snprintf(cell[2], CTL_CELL, "%lld", project_number(tasks, "queued"));
	snprintf(cell[3], CTL_CELL, "%lld", project_number(tasks, "running"));
	snprintf(cell[4], CTL_CELL, "%lld", project_number(p, "codes"));
	snprintf(cell[5], CTL_CELL, "%lld", project_number(p, "schedules"));
	snprintf(cell[6], CTL_CELL, "%lld", project_number(p, "tokens"));
	ctl_format_size(cell[7], CTL_CELL, (double)project_number(p, "package_bytes"));
}

static const struct ctl_table table = {
	.n = 8,
	.titles = {"NAME", "ID", "QUEUED", "RUNNING", "WORKERS", "SCHEDULES", "TOKENS", "PACKAGES"},
	.row = row_of,
};

static int project_ls(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *reply = NULL;
	struct err e = {0};
	json_t *list;

	if (argc > 1)
		return ctl_usage("project", "ls takes no argument: '%s'", argv[1]);
	if (ctl_ask(ctl, json_pack("{s:s}", "op", "projects"), "projects", JSON_ARRAY, &reply,
		    &list, &e) < 0)
		return ctl_fail(&e);
	if (ctl->json)
		return ctl_flush(ctl_print_json(list));
	ctl_print_table(&table, list);
	return ctl_flush(0);
}

/* Prints quotas as KEY=VALUE, the form that `project quota` takes. */
static void print_bounds(const json_t *quota)
{
	static const char *const sizes[] = {
		"memory",   "package_bytes",	  "log_bytes",	     "kept_log_bytes",
		"kv_bytes", "service_data_bytes", "background_bytes"};
	static const char *const counts[] = {
		"running",	"queued",	    "schedules",	"package_files",
		"http_workers", "http_versions",    "http_instances",	"http_rate",
		"services",	"service_replicas", "service_versions", "background_items"};
	char text[1024] = "", size[32];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		if (project_number(quota, counts[i]))
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s=%lld ", counts[i],
					      project_number(quota, counts[i]));
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		if (project_number(quota, sizes[i]))
			n += (size_t)snprintf(
				text + n, sizeof(text) - n, "%s=%s ", sizes[i],
				util_format_size((uint64_t)project_number(quota, sizes[i]), size,
						 sizeof(size)));
	if (n > 0)
		text[n - 1] = '\0';
	ctl_print_field("quota", n > 0 ? text : "none");
}

static void print_names(const json_t *quota, const char *key)
{
	const json_t *list = json_object_get(quota, key), *name;
	char text[2048] = "";
	size_t i, n = 0;

	json_array_foreach(list, i, name) if (n < sizeof(text)) n += (size_t)snprintf(
		text + n, sizeof(text) - n, "%s%s", n ? "," : "", json_string_value(name));
	ctl_print_field(key, text);
}

static void print_project(const json_t *p)
{
	const json_t *tasks = json_object_get(p, "tasks"), *quota = json_object_get(p, "quota");
	char text[128];

	ctl_print_field("id", ctl_text(p, "id"));
	ctl_print_field("name", ctl_text(p, "name"));
	ctl_print_field("created", ctl_text(p, "created_at"));
	snprintf(text, sizeof(text), "%lld queued, %lld running", project_number(tasks, "queued"),
		 project_number(tasks, "running"));
	ctl_print_field("tasks", text);
	snprintf(text, sizeof(text), "%lld, %lld bytes of packages in %lld files",
		 project_number(p, "codes"), project_number(p, "package_bytes"),
		 project_number(p, "package_files"));
	ctl_print_field("workers", text);
	snprintf(text, sizeof(text), "%lld", project_number(p, "schedules"));
	ctl_print_field("schedules", text);
	snprintf(text, sizeof(text), "%lld bytes kept", project_number(p, "log_bytes"));
	ctl_print_field("logs", text);
	snprintf(text, sizeof(text), "%lld, %lld instances, %lld bytes of KV",
		 project_number(p, "http_workers"), project_number(p, "http_instances"),
		 project_number(p, "kv_bytes"));
	ctl_print_field("http", text);
	print_bounds(quota);
	print_names(quota, "policies");
	print_names(quota, "images");
	print_names(quota, "hosts");
}

/* Prints an answer that is a project, for a person or as JSON. */
static int show(const struct ctl *ctl, json_t *p)
{
	(void)json_object_del(p, "ok");
	(void)json_object_del(p, "warnings");
	if (ctl->json)
		return ctl_flush(ctl_print_json(p));
	print_project(p);
	return ctl_flush(0);
}

static int project_inspect(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *reply = NULL, *tokens = NULL;
	struct err e = {0};
	json_t *id, *list;

	if (argc != 2)
		return ctl_usage("project", "inspect takes one name");
	if (ctl_ask(ctl, json_pack("{s:s, s:s}", "op", "project", "project", argv[1]), "id",
		    JSON_STRING, &reply, &id, &e) < 0 ||
	    ctl_ask(ctl, json_pack("{s:s, s:s}", "op", "tokens", "project", argv[1]), "tokens",
		    JSON_ARRAY, &tokens, &list, &e) < 0)
		return ctl_fail(&e);
	(void)json_object_set(reply, "tokens", list);
	return show(ctl, reply);
}

static int project_quota(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *quota = json_object(), *reply = NULL;
	struct err e = {0};
	json_t *id;

	if (argc < 3)
		return ctl_usage("project", "quota takes a name and KEY=VALUE");
	for (int i = 2; i < argc; i++)
		if (add_quota(quota, argv[i], &e) < 0)
			return ctl_fail(&e);
	if (ctl_ask(ctl,
		    json_pack("{s:s, s:s, s:O}", "op", "project_quota", "project", argv[1], "quota",
			      quota),
		    "id", JSON_STRING, &reply, &id, &e) < 0)
		return ctl_fail(&e);
	say_warnings(reply);
	return show(ctl, reply);
}

/* Asks again until the project has been removed: its tasks end, and are removed, in the
 * background. */
static int remove_until(struct ctl *ctl, const char *name, bool force, struct err *e)
{
	const uint64_t until = util_monotonic_ns() + REMOVE_FOR_NS;
	const struct timespec nap = {0, 100000000};

	for (;;) {
		int r = ctl_call(ctl,
				 json_pack("{s:s, s:s, s:b}", "op", "project_rm", "project", name,
					   "force", force),
				 NULL, 0, NULL, e);
		size_t n = strlen(e->msg);

		/* With an errno, the error is that the daemon cannot be asked. */
		if (r == 0 || e->code != ERR_UNAVAILABLE || e->errnum)
			return r;
		if (util_monotonic_ns() > until) {
			(void)snprintf(e->msg + n, sizeof(e->msg) - n,
				       "; it takes long: ask again");
			return r;
		}
		(void)nanosleep(&nap, NULL);
	}
}

static int project_rm(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {{"force", no_argument, NULL, 'f'}, {0}};
	json_auto_t *out = NULL;
	bool force = false;
	struct err e = {0};
	int c;

	while ((c = getopt_long(argc, argv, "f", options, NULL)) != -1) {
		if (c != 'f')
			return ctl_bad_option("project", argv);
		force = true;
	}
	if (argc - optind != 1)
		return ctl_usage("project", "rm takes one name");
	if (remove_until(ctl, argv[optind], force, &e) < 0)
		return ctl_fail(&e);
	if (!ctl->json) {
		printf("project %s: removed\n", argv[optind]);
		return ctl_flush(0);
	}
	out = json_pack("{s:s, s:b}", "project", argv[optind], "removed", 1);
	return ctl_flush(ctl_print_json(out));
}

/* project token: what opens a project over HTTP. */

static int token_create(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {
		{"label", required_argument, NULL, 'l'}, {"operator", no_argument, NULL, 'o'}, {0}};
	json_auto_t *reply = NULL;
	const char *label = NULL;
	bool for_all = false;
	struct err e = {0};
	int c;

	while ((c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (c == 'l')
			label = optarg;
		else if (c == 'o')
			for_all = true;
		else
			return ctl_bad_option("project", argv);
	}
	if (argc - optind != 1)
		return ctl_usage("project", "token create takes one project");
	if (project_call_once(ctl,
			      json_pack("{s:s, s:s, s:s*, s:b}", "op", "token_create", "project",
					argv[optind], "label", label, "operator", for_all),
			      "see 'sandboxctl project token ls'", &reply, &e) < 0)
		return ctl_fail(&e);
	if (ctl->json) {
		(void)json_object_del(reply, "ok");
		return ctl_flush(ctl_print_json(reply));
	}
	fprintf(stderr, "token %s of the project %s; it is shown this once:\n",
		ctl_text(reply, "id"), argv[optind]);
	printf("%s\n", ctl_text(reply, "token"));
	return ctl_flush(0);
}

static void token_row_of(const json_t *t, char cell[][CTL_CELL])
{
	const char *used = ctl_text(t, "used_at");

	snprintf(cell[0], CTL_CELL, "%s", ctl_text(t, "id"));
	snprintf(cell[1], CTL_CELL, "%.19sZ", ctl_text(t, "created_at"));
	snprintf(cell[2], CTL_CELL, "%.19s%s", used, *used ? "Z" : "");
	snprintf(cell[3], CTL_CELL, "%s",
		 json_is_true(json_object_get(t, "operator")) ? "operator" : "");
	snprintf(cell[4], CTL_CELL, "%s", ctl_text(t, "label"));
}

static const struct ctl_table token_table = {
	.n = 5,
	.titles = {"ID", "CREATED", "USED", "KIND", "LABEL"},
	.row = token_row_of,
};

static int token_ls(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *reply = NULL;
	struct err e = {0};
	json_t *list;

	if (argc != 2)
		return ctl_usage("project", "token ls takes one project");
	if (ctl_ask(ctl, json_pack("{s:s, s:s}", "op", "tokens", "project", argv[1]), "tokens",
		    JSON_ARRAY, &reply, &list, &e) < 0)
		return ctl_fail(&e);
	if (ctl->json)
		return ctl_flush(ctl_print_json(list));
	ctl_print_table(&token_table, list);
	return ctl_flush(0);
}

static int token_revoke(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *reply = NULL, *out = NULL;
	struct err e = {0};

	if (argc != 3)
		return ctl_usage("project", "token revoke takes a project and a token's id");
	if (ctl_call(ctl,
		     json_pack("{s:s, s:s, s:s}", "op", "token_revoke", "project", argv[1], "id",
			       argv[2]),
		     NULL, 0, &reply, &e) < 0)
		return ctl_fail(&e);
	if (!ctl->json) {
		printf("token %s: revoked\n", argv[2]);
		return ctl_flush(0);
	}
	out = json_pack("{s:s, s:b}", "id", argv[2], "revoked", 1);
	return ctl_flush(ctl_print_json(out));
}

static int project_token(struct ctl *ctl, int argc, char **argv)
{
	static const struct ctl_word words[] = {
		{"create", token_create},
		{"ls", token_ls},
		{"revoke", token_revoke},
		{0},
	};

	return ctl_dispatch(ctl, "project", words, project_help, argc, argv);
}

int ctl_project(struct ctl *ctl, int argc, char **argv)
{
	static const struct ctl_word words[] = {
		{"create", project_create},
		{"ls", project_ls},
		{"inspect", project_inspect},
		{"quota", project_quota},
		{"rm", project_rm},
		{"token", project_token},
		{0},
	};

	return ctl_dispatch(ctl, "project", words, project_help, argc, argv);
}
