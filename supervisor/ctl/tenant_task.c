// SPDX-License-Identifier: Apache-2.0
/* The verbs about one task: log, status, cancel-task; and cancel-schedule. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/ctl/tenant_verb.h"

const char tenant_log_help[] =
	"usage: sandboxctl log TASK [-f]\n\n"
	"Prints what the task has written to stdout and stderr.\n\n"
	"  -f, --follow, -w, --wait\n"
	"                      go on until the task ends, also while it waits "
	"for its turn\n" TENANT_HELP;
const char tenant_status_help[] =
	"usage: sandboxctl status TASK\n\n"
	"How a task is: queued preparing running complete error cancelled "
	"killed timeout.\n" TENANT_HELP;
const char tenant_cancel_help[] =
	"usage: sandboxctl cancel-task TASK...\n\n"
	"Cancels tasks of the project over HTTP, by its token, whether they wait or run.\n"
	"('cancel' is the operator's: it asks by the control socket.)\n" TENANT_HELP;

const char tenant_cancel_schedule_help[] =
	"usage: sandboxctl cancel-schedule SCHEDULE...\n\n"
	"No more tasks come of these schedules. Those that they have queued stay.\n" TENANT_HELP;

static int get_task(struct tenant *tenant, const char *id, json_t **ret, struct err *e)
{
	char path[64];
	int r = tenant_check_id(id, "task's id", e);

	(void)snprintf(path, sizeof(path), "/tasks/%.24s", id);
	return r < 0 ? r : tenant_call(tenant, "GET", path, NULL, ret, e);
}

static int print_bytes(void *arg, const char *bytes, size_t len)
{
	return tenant_write_text(STDOUT_FILENO, arg, bytes, len);
}

static int print_log(struct tenant *tenant, const char *id, bool follow, struct err *e)
{
	json_auto_t *task = NULL;
	struct log_text text = {0};
	char path[64];
	int r = tenant_check_id(id, "task's id", e);

	if (r < 0)
		return r;
	if (follow)
		return tenant_follow(tenant, id, false, &task, e);
	(void)snprintf(path, sizeof(path), "/tasks/%s/log", id);
	return tenant_stream(tenant, path, NULL, print_bytes, &text, e);
}

int tenant_log(struct tenant *tenant, int argc, char **argv)
{
	static const struct option options[] = {{"follow", no_argument, NULL, 'f'},
						{"wait", no_argument, NULL, 'w'},
						TENANT_OPTIONS,
						{0}};
	bool follow = false;
	struct err e = {0};
	int c, r;

	while ((c = getopt_long(argc, argv, "fwe:", options, NULL)) != -1) {
		if (c == 'f' || c == 'w')
			follow = true;
		else if (!tenant_option(tenant, c, optarg))
			return ctl_bad_option("log", argv);
	}
	r = tenant_words("log", argc, argv, 1, 1, "task");
	if (r)
		return r;
	r = tenant_begin(tenant, &e);
	if (r == 0)
		r = print_log(tenant, argv[optind], follow, &e);
	if (r == -EPIPE)
		return 128 + SIGPIPE;
	if (r < 0 && e.code == ERR_NONE)
		(void)err_set(&e, ERR_SYSTEM, -r, "cannot write to stdout");
	return r < 0 ? ctl_fail(&e) : 0;
}

void tenant_say_end(const json_t *task)
{
	const char *status = ctl_text(task, "status"), *msg = ctl_text(task, "msg");

	if (strcmp(status, "complete") == 0)
		return;
	if (!*msg)
		msg = ctl_text(task, "error");
	ctl_say("task %s: %s%s%s%s", ctl_text(task, "id"), status, *msg ? ": " : "", msg,
		json_is_true(json_object_get(task, "dead_letter"))
			? " (a dead letter: no retry is left)"
			: "");
}

static void print_number(const char *name, const json_t *task, const char *key, const char *unit)
{
	const json_t *n = json_object_get(task, key);
	char text[48];

	if (!json_is_number(n))
		return;
	(void)snprintf(text, sizeof(text), "%.10g%s", json_number_value(n), unit);
	ctl_print_field(name, text);
}

int tenant_status(struct tenant *tenant, int argc, char **argv)
{
	json_auto_t *task = NULL;
	struct err e = {0};
	int r = tenant_plain(tenant, argc, argv, 1, 1, "task");

	if (r)
		return r;
	if (get_task(tenant, argv[optind], &task, &e) < 0)
		return ctl_fail(&e);
	if (tenant->ctl->json)
		return ctl_print_json(task);
	ctl_print_field("status", ctl_text(task, "status"));
	ctl_print_field("message", ctl_text(task, "msg"));
	ctl_print_field("error", ctl_text(task, "error"));
	ctl_print_field("worker", ctl_text(task, "code_name"));
	ctl_print_field("label", ctl_text(task, "label"));
	print_number("revision", task, "revision", "");
	print_number("percent", task, "percent", " %");
	print_number("exit status", task, "exit_code", "");
	print_number("attempt", task, "attempt", "");
	ctl_print_field("created", ctl_text(task, "created_at"));
	ctl_print_field("not before", ctl_text(task, "not_before"));
	ctl_print_field("started", ctl_text(task, "started_at"));
	ctl_print_field("finished", ctl_text(task, "finished_at"));
	print_number("duration", task, "duration_ms", " ms");
	ctl_print_field("first", ctl_text(task, "original_task_id"));
	ctl_print_field("retry", ctl_text(task, "retry_task_id"));
	if (json_is_true(json_object_get(task, "dead_letter")))
		ctl_print_field("dead letter", "yes: no retry is left");
	return ctl_flush(0);
}

/* Sends POST /LIST/ID/cancel for each id, and prints every failure. */
static int cancel_each(struct tenant *tenant, int argc, char **argv, const char *list,
		       const char *what)
{
	int status = tenant_plain(tenant, argc, argv, 1, argc, what);
	char of[32];

	if (status)
		return status;
	(void)snprintf(of, sizeof(of), "%s's id", what);
	for (int i = optind; i < argc; i++) {
		struct err e = {0};
		char path[64];
		int r = tenant_check_id(argv[i], of, &e);

		(void)snprintf(path, sizeof(path), "/%s/%.24s/cancel", list, argv[i]);
		if (r == 0)
			r = tenant_call(tenant, "POST", path, NULL, NULL, &e);
		if (r < 0)
			status = ctl_fail(&e);
	}
	return status;
}

int tenant_cancel(struct tenant *tenant, int argc, char **argv)
{
	return cancel_each(tenant, argc, argv, "tasks", "task");
}

int tenant_cancel_schedule(struct tenant *tenant, int argc, char **argv)
{
	return cancel_each(tenant, argc, argv, "schedules", "schedule");
}
