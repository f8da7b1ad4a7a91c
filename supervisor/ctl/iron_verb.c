// SPDX-License-Identifier: Apache-2.0
/* The table of the tenant's verbs. In main.c's each is a row with ctl_iron. */
#include <stdio.h>
#include <string.h>

#include "supervisor/ctl/iron_verb.h"

static const struct {
	const char *name;
	iron_verb_fn run;
	const char *help;
} verbs[] = {
	{"upload", iron_upload_verb, iron_upload_help},
	{"install", iron_install, iron_install_help},
	{"queue", iron_queue, iron_queue_help},
	{"schedule", iron_schedule, iron_schedule_help},
	{"update", iron_update, iron_schedule_help},
	{"retry", iron_retry, iron_retry_help},
	{"log", iron_log, iron_log_help},
	{"status", iron_status, iron_status_help},
	{"cancel-task", iron_cancel, iron_cancel_help},
	{"cancel-schedule", iron_cancel_schedule, iron_cancel_schedule_help},
	{"cancel-all", iron_cancel_all, iron_cancel_all_help},
	{"info", iron_info, iron_info_help},
	{"pause", iron_pause, iron_pause_help},
	{"resume", iron_pause, iron_pause_help},
	{"webhook", iron_webhook, iron_webhook_help},
	{"stacks", iron_stacks, iron_stacks_help},
	{"rm-code", iron_rm_code, iron_rm_code_help},
	{"codes", iron_codes, iron_codes_help},
	{"tasks", iron_tasks, iron_tasks_help},
	{"dead-letters", iron_tasks, iron_tasks_help},
	{"schedules", iron_schedules, iron_schedules_help},
};

int ctl_iron(struct ctl *ctl, int argc, char **argv)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		_cleanup_iron_ struct iron iron = IRON_INIT(ctl, verbs[i].name);

		if (strcmp(verbs[i].name, argv[0]) != 0)
			continue;
		for (int k = 1; k < argc && strcmp(argv[k], "--") != 0; k++)
			if (strcmp(argv[k], "--help") == 0 || strcmp(argv[k], "-h") == 0) {
				fputs(verbs[i].help, stdout);
				return ctl_flush(0);
			}
		return verbs[i].run(&iron, argc, argv);
	}
	return ctl_usage(NULL, "there is no verb '%s'", argv[0]);
}

int iron_plain(struct iron *iron, int argc, char **argv, int min, int max, const char *what)
{
	static const struct option options[] = {IRON_OPTIONS, {0}};
	struct err e = {0};
	int c, r;

	while ((c = getopt_long(argc, argv, "e:", options, NULL)) != -1)
		if (!iron_option(iron, c, optarg))
			return ctl_bad_option(iron->verb, argv);
	r = iron_words(iron->verb, argc, argv, min, max, what);
	if (r)
		return r;
	return iron_begin(iron, &e) < 0 ? ctl_fail(&e) : 0;
}

int iron_print_msg(const json_t *reply)
{
	ctl_print_text(ctl_text(reply, "msg"));
	putchar('\n');
	return ctl_flush(0);
}
