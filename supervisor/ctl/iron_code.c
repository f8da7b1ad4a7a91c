// SPDX-License-Identifier: Apache-2.0
/* One code of a tenant's: info, pause, resume, cancel-all, rm-code, webhook; and stacks. */
#include <stdio.h>
#include <string.h>

#include "supervisor/ctl/iron_verb.h"

const char iron_info_help[] = "usage: sandboxctl info NAME\n\n"
			      "What is known of a code, by its name or id.\n" IRON_HELP;
const char iron_pause_help[] = "usage: sandboxctl pause NAME\n"
			       "       sandboxctl resume NAME\n\n"
			       "A code that is paused keeps its queue, and starts none of it until "
			       "it is resumed.\n" IRON_HELP;
const char iron_cancel_all_help[] = "usage: sandboxctl cancel-all NAME\n\n"
				    "Cancels all tasks of a code that wait. Those that run go on: "
				    "see 'cancel-task'.\n" IRON_HELP;
const char iron_rm_code_help[] = "usage: sandboxctl rm-code NAME\n\n"
				 "Removes a code with all its revisions. Its schedules and its "
				 "tasks that wait are cancelled;\n"
				 "those that run go on.\n" IRON_HELP;
const char iron_webhook_help[] =
	"usage: sandboxctl webhook NAME [--with-token]\n\n"
	"Prints the URL that queues a task of the code for each POST; the body is the payload.\n\n"
	"  --with-token        with the project's token in it, as a service that only knows a URL\n"
	"                      needs it: who has that URL has the project\n" IRON_HELP;
const char iron_stacks_help[] = "usage: sandboxctl stacks\n\n"
				"The images that codes can run on (upload --image).\n" IRON_HELP;

int iron_find_code(struct iron *iron, const char *name, json_t **ret, struct err *e)
{
	char path[64];
	size_t i, n = 100;

	if (util_is_id(name)) {
		(void)snprintf(path, sizeof(path), "/codes/%s", name);
		return iron_call(iron, "GET", path, NULL, ret, e);
	}
	for (unsigned page = 0; n == 100; page++) {
		json_auto_t *reply = NULL;
		json_t *code;
		int r;

		(void)snprintf(path, sizeof(path), "/codes?page=%u&per_page=100", page);
		r = iron_call(iron, "GET", path, NULL, &reply, e);
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
		       "there is no code '%s' in this project ('sandboxctl codes' lists them, "
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

int iron_info(struct iron *iron, int argc, char **argv)
{
	json_auto_t *code = NULL;
	struct err e = {0};
	const char *key;
	json_t *value;
	int r = iron_plain(iron, argc, argv, 1, 1, "code");

	if (r)
		return r;
	if (iron_find_code(iron, argv[optind], &code, &e) < 0)
		return ctl_fail(&e);
	if (iron->ctl->json)
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
	/* 0 is no bound; of a code that is paused it is -1. */
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

/* METHOD /codes/ID/REST for the code that the command line names, and what it answers. */
static int change_code(struct iron *iron, int argc, char **argv, const char *method,
		       const char *rest)
{
	json_auto_t *code = NULL, *reply = NULL;
	struct err e = {0};
	char path[80];
	int r = iron_plain(iron, argc, argv, 1, 1, "code");

	if (r)
		return r;
	r = iron_find_code(iron, argv[optind], &code, &e);
	(void)snprintf(path, sizeof(path), "/codes/%.24s%s", ctl_text(code, "id"), rest);
	if (r == 0)
		r = iron_call(iron, method, path, NULL, &reply, &e);
	if (r < 0)
		return ctl_fail(&e);
	return iron->ctl->json ? ctl_print_json(reply) : iron_print_msg(reply);
}

int iron_pause(struct iron *iron, int argc, char **argv)
{
	char rest[32];

	(void)snprintf(rest, sizeof(rest), "/%s_task_queue", iron->verb);
	return change_code(iron, argc, argv, "POST", rest);
}

int iron_cancel_all(struct iron *iron, int argc, char **argv)
{
	return change_code(iron, argc, argv, "POST", "/cancel_all");
}

int iron_rm_code(struct iron *iron, int argc, char **argv)
{
	return change_code(iron, argc, argv, "DELETE", "");
}

int iron_webhook(struct iron *iron, int argc, char **argv)
{
	static const struct option options[] = {
		{"with-token", no_argument, NULL, 't'}, IRON_OPTIONS, {0}};
	_cleanup_free_ char *name = NULL, *url = NULL;
	json_auto_t *code = NULL, *doc = NULL;
	const struct iron_config *c = &iron->c;
	bool with_token = false;
	struct err e = {0};
	int o, r;

	while ((o = getopt_long(argc, argv, "e:", options, NULL)) != -1) {
		if (o == 't')
			with_token = true;
		else if (!iron_option(iron, o, optarg))
			return ctl_bad_option("webhook", argv);
	}
	r = iron_words("webhook", argc, argv, 1, 1, "code");
	if (r)
		return r;
	if (iron_begin(iron, &e) < 0 || iron_find_code(iron, argv[optind], &code, &e) < 0)
		return ctl_fail(&e);
	name = iron_escape(iron, ctl_text(code, "name"));
	if (!name || asprintf(&url, "%s://%s:%u/2/projects/%s/tasks/webhook?code_name=%s%s%s",
			      c->scheme, c->host, c->port, c->project_id, name,
			      with_token ? "&oauth=" : "", with_token ? c->token : "") < 0)
		return err_exit_status(ERR_SYSTEM);
	if (iron->ctl->json) {
		doc = json_pack("{s:s}", "url", url);
		return ctl_print_json(doc);
	}
	ctl_print_text(url);
	putchar('\n');
	if (!with_token)
		ctl_say("needs the header 'Authorization: OAuth TOKEN', or --with-token here");
	return ctl_flush(0);
}

int iron_stacks(struct iron *iron, int argc, char **argv)
{
	json_auto_t *reply = NULL;
	struct err e = {0};
	json_t *name;
	size_t i;
	int r = iron_plain(iron, argc, argv, 0, 0, "");

	if (r)
		return r;
	if (iron_call(iron, "GET", "//2/stacks", NULL, &reply, &e) < 0)
		return ctl_fail(&e);
	if (iron->ctl->json)
		return ctl_print_json(reply);
	json_array_foreach(reply, i, name)
	{
		ctl_print_text(json_string_value(name) ? json_string_value(name) : "");
		putchar('\n');
	}
	return ctl_flush(0);
}
