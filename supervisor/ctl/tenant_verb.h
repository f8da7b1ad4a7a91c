/* SPDX-License-Identifier: Apache-2.0 */
/* The tenant's verbs: each is a function and a help text; the table is in tenant_verb.c. */
#ifndef SUPERVISOR_CTL_TENANT_VERB_H
#define SUPERVISOR_CTL_TENANT_VERB_H

#include "supervisor/ctl/tenant.h"

/* Returns the exit status. argv[0] is the verb's name. */
typedef int (*tenant_verb_fn)(struct tenant *tenant, int argc, char **argv);

/* upload.c */
int tenant_upload_verb(struct tenant *tenant, int argc, char **argv);
int tenant_install(struct tenant *tenant, int argc, char **argv);
extern const char tenant_upload_help[], tenant_install_help[];
/* tenant_queue.c */
int tenant_queue(struct tenant *tenant, int argc, char **argv);
int tenant_schedule(struct tenant *tenant, int argc, char **argv);
int tenant_update(struct tenant *tenant, int argc, char **argv);
int tenant_retry(struct tenant *tenant, int argc, char **argv);
extern const char tenant_queue_help[], tenant_schedule_help[], tenant_retry_help[];
/* tenant_task.c */
int tenant_log(struct tenant *tenant, int argc, char **argv);
int tenant_status(struct tenant *tenant, int argc, char **argv);
int tenant_cancel(struct tenant *tenant, int argc, char **argv);
int tenant_cancel_schedule(struct tenant *tenant, int argc, char **argv);
extern const char tenant_log_help[], tenant_status_help[], tenant_cancel_help[],
	tenant_cancel_schedule_help[];
/* tenant_worker.c */
int tenant_info(struct tenant *tenant, int argc, char **argv);
int tenant_pause(struct tenant *tenant, int argc, char **argv);
int tenant_cancel_all(struct tenant *tenant, int argc, char **argv);
int tenant_rm_worker(struct tenant *tenant, int argc, char **argv);
int tenant_webhook(struct tenant *tenant, int argc, char **argv);
int tenant_stacks(struct tenant *tenant, int argc, char **argv);
extern const char tenant_info_help[], tenant_pause_help[], tenant_webhook_help[],
	tenant_stacks_help[], tenant_cancel_all_help[], tenant_rm_worker_help[];
/* tenant_list.c */
int tenant_workers(struct tenant *tenant, int argc, char **argv);
int tenant_tasks(struct tenant *tenant, int argc, char **argv);
int tenant_schedules(struct tenant *tenant, int argc, char **argv);
extern const char tenant_workers_help[], tenant_tasks_help[], tenant_schedules_help[];

/* For a verb that has only the options of TENANT_OPTIONS: reads them and the words (tenant_words),
 * and calls tenant_begin. 0, or the exit status. */
int tenant_plain(struct tenant *tenant, int argc, char **argv, int min, int max, const char *what);
/* Prints the "msg" of an answer. */
int tenant_print_msg(const json_t *reply);
/* Prints on stderr what a person should know about a task's end. */
void tenant_say_end(const json_t *task);

#endif
