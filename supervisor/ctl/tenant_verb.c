// SPDX-License-Identifier: Apache-2.0
/* The table of the tenant's verbs. Each of them is a row of main.c's table too, with ctl_tenant as
 * its function. */
#include <stdio.h>
#include <string.h>

#include "supervisor/ctl/tenant_verb.h"

static const struct {
	const char *name;
	tenant_verb_fn run;
	const char *help;
} verbs[] = {
	{"upload", tenant_upload_verb, tenant_upload_help},
	{"install", tenant_install, tenant_install_help},
	{"queue", tenant_queue, tenant_queue_help},
	{"schedule", tenant_schedule, tenant_schedule_help},
	{"update", tenant_update, tenant_schedule_help},
	{"retry", tenant_retry, tenant_retry_help},
	{"log", tenant_log, tenant_log_help},
	{"status", tenant_status, tenant_status_help},
	{"cancel-task", tenant_cancel, tenant_cancel_help},
	{"cancel-schedule", tenant_cancel_schedule, tenant_cancel_schedule_help},
	{"cancel-all", tenant_cancel_all, tenant_cancel_all_help},
	{"info", tenant_info, tenant_info_help},
	{"pause", tenant_pause, tenant_pause_help},
	{"resume", tenant_pause, tenant_pause_help},
	{"webhook", tenant_webhook, tenant_webhook_help},
	{"stacks", tenant_stacks, tenant_stacks_help},
	{"rm-worker", tenant_rm_worker, tenant_rm_worker_help},
	{"rm-code", tenant_rm_worker, tenant_rm_worker_help},
	{"workers", tenant_workers, tenant_workers_help},
	{"codes", tenant_workers, tenant_workers_help},
	{"tasks", tenant_tasks, tenant_tasks_help},
	{"dead-letters", tenant_tasks, tenant_tasks_help},
	{"schedules", tenant_schedules, tenant_schedules_help},
};

int ctl_tenant(struct ctl *ctl, int argc, char **argv)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		_cleanup_tenant_ struct tenant tenant = TENANT_INIT(ctl, verbs[i].name);

		if (strcmp(verbs[i].name, argv[0]) != 0)
			continue;
		for (int k = 1; k < argc && strcmp(argv[k], "--") != 0; k++)
			if (strcmp(argv[k], "--help") == 0 || strcmp(argv[k], "-h") == 0) {
				fputs(verbs[i].help, stdout);
				return ctl_flush(0);
			}
		return verbs[i].run(&tenant, argc, argv);
	}
	return ctl_usage(NULL, "there is no verb '%s'", argv[0]);
}

int tenant_plain(struct tenant *tenant, int argc, char **argv, int min, int max, const char *what)
{
	static const struct option options[] = {TENANT_OPTIONS, {0}};
	struct err e = {0};
	int c, r;

	while ((c = getopt_long(argc, argv, "e:", options, NULL)) != -1)
		if (!tenant_option(tenant, c, optarg))
			return ctl_bad_option(tenant->verb, argv);
	r = tenant_words(tenant->verb, argc, argv, min, max, what);
	if (r)
		return r;
	return tenant_begin(tenant, &e) < 0 ? ctl_fail(&e) : 0;
}

int tenant_print_msg(const json_t *reply)
{
	ctl_print_text(ctl_text(reply, "msg"));
	putchar('\n');
	return ctl_flush(0);
}
