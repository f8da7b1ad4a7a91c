// SPDX-License-Identifier: Apache-2.0
/* The verbs that ask the daemon the same about each of several tasks: wait, cancel, rm. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/ctl/ctl.h"

int ctl_task_exit_status(const json_t *task)
{
	const json_t *code = json_object_get(task, "exit_code");

	if (!json_is_integer(code))
		return err_exit_status(ERR_INTERNAL);
	/* A script that waits for a result must not take a task that was cancelled, and ended in
	 * good order, for a success. */
	if (json_integer_value(code) == 0 && !strcmp(ctl_text(task, "status"), "cancelled"))
		return 128 + SIGTERM;
	return (int)json_integer_value(code) & 0xff;
}

int ctl_ids_only(const char *verb, int argc, char **argv)
{
	if (argc < 2)
		return ctl_usage(verb, "names no task");
	for (int i = 1; i < argc; i++)
		if (argv[i][0] == '-')
			return ctl_usage(verb, "there is no option '%s'", argv[i]);
	return 0;
}

int ctl_wait(struct ctl *ctl, int argc, char **argv)
{
	int status = ctl_ids_only("wait", argc, argv);

	if (status)
		return status;
	for (int i = 1; i < argc; i++) {
		json_t *reply = NULL, *task;
		struct err e = {0};

		if (ctl_ask(ctl, json_pack("{s:s, s:s}", "op", "wait", "id", argv[i]), "task",
			    JSON_OBJECT, &reply, &task, &e) < 0) {
			status = ctl_fail(&e);
			continue;
		}
		status = ctl_task_exit_status(task);
		if (ctl->json)
			(void)ctl_print_json_line(task);
		else
			printf("%d\n", status);
		(void)fflush(stdout);
		json_decref(reply);
	}
	return ctl_flush(status);
}

/* Sends {op, id, ...extra} for each of argv[first..], and prints every failure. */
static int for_each_id(struct ctl *ctl, const char *op, int argc, char **argv, int first,
		       json_t *extra)
{
	int status = 0;

	if (first >= argc)
		status = ctl_usage(op, "names no task");
	for (int i = first; i < argc; i++) {
		json_t *request = json_pack("{s:s, s:s}", "op", op, "id", argv[i]);
		struct err e = {0};

		(void)json_object_update(request, extra);
		if (ctl_call(ctl, request, NULL, 0, NULL, &e) < 0)
			status = ctl_fail(&e);
	}
	json_decref(extra);
	return status;
}

int ctl_cancel(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {{"force", no_argument, NULL, 'f'}, {0}};
	bool force = false;
	int c;

	while ((c = getopt_long(argc, argv, "f", options, NULL)) != -1) {
		if (c != 'f')
			return ctl_bad_option("cancel", argv);
		force = true;
	}
	return for_each_id(ctl, "cancel", argc, argv, optind, json_pack("{s:b}", "force", force));
}

int ctl_rm(struct ctl *ctl, int argc, char **argv)
{
	int status = ctl_ids_only("rm", argc, argv);

	return status ? status : for_each_id(ctl, "rm", argc, argv, 1, NULL);
}
