/* SPDX-License-Identifier: Apache-2.0 */
/* The tenant's verbs: one function and one help a verb; the table is in iron_verb.c. */
#ifndef SUPERVISOR_CTL_IRON_VERB_H
#define SUPERVISOR_CTL_IRON_VERB_H

#include "supervisor/ctl/iron.h"

/* The exit status. argv[0] is the verb's name. */
typedef int (*iron_verb_fn)(struct iron *iron, int argc, char **argv);

/* upload.c */
int iron_upload_verb(struct iron *iron, int argc, char **argv);
int iron_install(struct iron *iron, int argc, char **argv);
extern const char iron_upload_help[], iron_install_help[];
/* iron_queue.c */
int iron_queue(struct iron *iron, int argc, char **argv);
int iron_schedule(struct iron *iron, int argc, char **argv);
int iron_update(struct iron *iron, int argc, char **argv);
int iron_retry(struct iron *iron, int argc, char **argv);
extern const char iron_queue_help[], iron_schedule_help[], iron_retry_help[];
/* iron_task.c */
int iron_log(struct iron *iron, int argc, char **argv);
int iron_status(struct iron *iron, int argc, char **argv);
int iron_cancel(struct iron *iron, int argc, char **argv);
int iron_cancel_schedule(struct iron *iron, int argc, char **argv);
extern const char iron_log_help[], iron_status_help[], iron_cancel_help[],
	iron_cancel_schedule_help[];
/* iron_code.c */
int iron_info(struct iron *iron, int argc, char **argv);
int iron_pause(struct iron *iron, int argc, char **argv);
int iron_cancel_all(struct iron *iron, int argc, char **argv);
int iron_rm_code(struct iron *iron, int argc, char **argv);
int iron_webhook(struct iron *iron, int argc, char **argv);
int iron_stacks(struct iron *iron, int argc, char **argv);
extern const char iron_info_help[], iron_pause_help[], iron_webhook_help[], iron_stacks_help[],
	iron_cancel_all_help[], iron_rm_code_help[];
/* iron_list.c */
int iron_codes(struct iron *iron, int argc, char **argv);
int iron_tasks(struct iron *iron, int argc, char **argv);
int iron_schedules(struct iron *iron, int argc, char **argv);
extern const char iron_codes_help[], iron_tasks_help[], iron_schedules_help[];

/* Options of IRON_OPTIONS alone, then words as by iron_words, then iron_begin: 0, or the exit
 * status. */
int iron_plain(struct iron *iron, int argc, char **argv, int min, int max, const char *what);
/* The "msg" of an answer, for people. */
int iron_print_msg(const json_t *reply);
/* What a person should know of how a task ended, on stderr. */
void iron_say_end(const json_t *task);

#endif
