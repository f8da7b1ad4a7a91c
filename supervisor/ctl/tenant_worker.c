// SPDX-License-Identifier: Apache-2.0
/* The verbs about one worker: info, pause, resume, cancel-all, rm-worker, webhook; and stacks. */
#include <stdio.h>
#include <string.h>

#include "supervisor/ctl/tenant_verb.h"

const char tenant_info_help[] = "usage: sandboxctl info NAME\n\n"
				"What is known of a worker, by its name or id.\n" TENANT_HELP;
const char tenant_pause_help[] =
	"usage: sandboxctl pause NAME\n"
	"       sandboxctl resume NAME\n\n"
	"A worker that is paused keeps its queue, and starts none of it until "
	"it is resumed.\n" TENANT_HELP;
const char tenant_cancel_all_help[] =
	"usage: sandboxctl cancel-all NAME\n\n"
	"Cancels all waiting tasks of a worker. Those that run go on: "
	"see 'cancel-task'.\n" TENANT_HELP;
const char tenant_rm_worker_help[] =
	"usage: sandboxctl rm-worker NAME\n\n"
	"Removes a worker with all its revisions. Its schedules and its "
	"tasks that wait are cancelled;\n"
	"those that run go on.\n" TENANT_HELP;
const char tenant_webhook_help[] =
	"usage: sandboxctl webhook NAME [--with-token]\n\n"
	"Prints the URL that queues a task of the worker for each POST; the body is the "
	"payload.\n\n"
	"  --with-token        with the project's token in it, as a service that only knows a URL\n"
	"                      needs it: whoever has that URL has the project\n" TENANT_HELP;
const char tenant_stacks_help[] =
	"usage: sandboxctl stacks\n\n"
	"The images that workers can run on (upload --image).\n" TENANT_HELP;

/* Finds a worker by its name or id; the reference to *ret is the caller's. */
static int tenant_find_worker(struct tenant *tenant, const char *name, json_t **ret, struct err *e)
{
	char path[64];
	size_t i, n = 100;

	if (util_is_id(name)) {
		(void)snprintf(path, sizeof(path), "/codes/%s", name);
		return tenant_call(tenant, "GET", path, NULL, ret, e);
	}
	for (unsigned page = 0; n == 100; page++) {
		json_auto_t *reply = NULL;
		json_t *code;
		int r;

		(void)snprintf(path, sizeof(path), "/codes?page=%u&per_page=100", page);
		r = tenant_call(tenant, "GET", path, NULL, &reply, e);
		if (r < 0)
			return r;
		n = json_array_size(json_object_get(reply, "codes"));
		json_array_foreach(json_object_get(reply, "codes"), i,
				   code) if (strcmp(ctl_text(code, "name"), name) == 0)
		{
			*ret = json_incref(code);
			return 0;
		}
	}
	return err_set(e, ERR_NOT_FOUND, 0,
		       "there is no worker '%s' in this project ('sandboxctl workers' lists them, "
		       "'sandboxctl upload %s' makes it)",
		       name, name);
}

static void print_number(const char *name, const json_t *code, const char *key, const char *unit)
{
	const json_t *n = json_object_get(code, key);
	char text[32];

	if (!json_is_integer(n))
		return;
	(void)snprintf(text, sizeof(text), "%lld%s", (long long)json_integer_value(n), unit);
	ctl_print_field(name, text);
}

int tenant_info(struct tenant *tenant, int argc, char **argv)
{
	json_auto_t *code = NULL;
	struct err e = {0};
	const char *key;
	json_t *value;
	int r = tenant_plain(tenant, argc, argv, 1, 1, "worker");

	if (r)
		return r;
	if (tenant_find_worker(tenant, argv[optind], &code, &e) < 0)
		return ctl_fail(&e);
	if (tenant->ctl->json)
		return ctl_print_json(code);
	ctl_print_field("name", ctl_text(code, "name"));
	ctl_print_field("id", ctl_text(code, "id"));
	print_number("revision", code, "rev", "");
	ctl_print_field("changed", ctl_text(code, "latest_change"));
	ctl_print_field("runs", ctl_text(code, "file_name"));
	ctl_print_field("command", ctl_text(code, "command"));
	ctl_print_field("image", ctl_text(code, "image"));
	ctl_print_field("policy", ctl_text(code, "policy"));
	ctl_print_field("zip", ctl_text(code, "latest_checksum"));
	/* 0: no bound; -1: the worker is paused. */
	if (json_integer_value(json_object_get(code, "max_concurrency")) > 0)
		print_number("at a time", code, "max_concurrency", "");
	print_number("retries", code, "retries", "");
	print_number("retry delay", code, "retries_delay", " s");
	print_number("priority", code, "default_priority", "");
	print_number("queued", code, "queued", "");
	print_number("running", code, "running", "");
	ctl_print_field("paused", json_is_true(json_object_get(code, "paused")) ? "yes" : "no");
	json_object_foreach(json_object_get(code, "env_vars"), key, value)
	{
		printf("%-12s ", "env");
		ctl_print_text(key);
		putchar('=');
		ctl_print_text(json_string_value(value) ? json_string_value(value) : "");
		putchar('\n');
	}
	return ctl_flush(0);
}

/* Sends METHOD /codes/ID/REST for the worker that the command line names, and prints the answer. */
static int change_worker(struct tenant *tenant, int argc, char **argv, const char *method,
			 const char *rest)
{
	json_auto_t *code = NULL, *reply = NULL;
	struct err e = {0};
	char path[80];
	int r = tenant_plain(tenant, argc, argv, 1, 1, "worker");

	if (r)
		return r;
	r = tenant_find_worker(tenant, argv[optind], &code, &e);
	(void)snprintf(path, sizeof(path), "/codes/%.24s%s", ctl_text(code, "id"), rest);
	if (r == 0)
		r = tenant_call(tenant, method, path, NULL, &reply, &e);
	if (r < 0)
		return ctl_fail(&e);
	return tenant->ctl->json ? ctl_print_json(reply) : tenant_print_msg(reply);
}

int tenant_pause(struct tenant *tenant, int argc, char **argv)
{
	char rest[32];

	(void)snprintf(rest, sizeof(rest), "/%s_task_queue", tenant->verb);
	return change_worker(tenant, argc, argv, "POST", rest);
}

int tenant_cancel_all(struct tenant *tenant, int argc, char **argv)
{
	return change_worker(tenant, argc, argv, "POST", "/cancel_all");
}

int tenant_rm_worker(struct tenant *tenant, int argc, char **argv)
{
	return change_worker(tenant, argc, argv, "DELETE", "");
}

int tenant_webhook(struct tenant *tenant, int argc, char **argv)
{
	static const struct option options[] = {
		{"with-token", no_argument, NULL, 't'}, TENANT_OPTIONS, {0}};
	_cleanup_free_ char *name = NULL, *url = NULL;
	json_auto_t *code = NULL, *doc = NULL;
	const struct client_config *c = &tenant->c;
	bool with_token = false;
	struct err e = {0};
	int o, r;

	while ((o = getopt_long(argc, argv, "e:", options, NULL)) != -1) {
		if (o == 't')
			with_token = true;
		else if (!tenant_option(tenant, o, optarg))
			return ctl_bad_option("webhook", argv);
	}
	r = tenant_words("webhook", argc, argv, 1, 1, "worker");
	if (r)
		return r;
	if (tenant_begin(tenant, &e) < 0 || tenant_find_worker(tenant, argv[optind], &code, &e) < 0)
		return ctl_fail(&e);
	name = tenant_escape(tenant, ctl_text(code, "name"));
	if (!name || asprintf(&url, "%s://%s:%u/2/projects/%s/tasks/webhook?code_name=%s%s%s",
			      c->scheme, c->host, c->port, c->project_id, name,
			      with_token ? "&oauth=" : "", with_token ? c->token : "") < 0)
		return err_exit_status(ERR_SYSTEM);
	if (tenant->ctl->json) {
		doc = json_pack("{s:s}", "url", url);
		return ctl_print_json(doc);
	}
	ctl_print_text(url);
	putchar('\n');
	if (!with_token)
		ctl_say("needs the header 'Authorization: OAuth TOKEN', or --with-token here");
	return ctl_flush(0);
}

int tenant_stacks(struct tenant *tenant, int argc, char **argv)
{
	json_auto_t *reply = NULL;
	struct err e = {0};
	json_t *name;
	size_t i;
	int r = tenant_plain(tenant, argc, argv, 0, 0, "");

	if (r)
		return r;
	if (tenant_call(tenant, "GET", "//2/stacks", NULL, &reply, &e) < 0)
		return ctl_fail(&e);
	if (tenant->ctl->json)
		return ctl_print_json(reply);
	json_array_foreach(reply, i, name)
	{
		ctl_print_text(json_string_value(name) ? json_string_value(name) : "");
		putchar('\n');
	}
	return ctl_flush(0);
}
