/* SPDX-License-Identifier: Apache-2.0 */
/* What a project's logs take together, and which of them go. */
#ifndef SUPERVISOR_FRONT_RUN_LOG_KEEP_H
#define SUPERVISOR_FRONT_RUN_LOG_KEEP_H

#include "supervisor/front/core/project.h"
#include "supervisor/front/run/task.h"

struct front;
struct capability;
struct task;

/* It counts what there is, and looks again when a quota may be another one. */
extern const struct capability log_keep_capability;
/* project.logs */
struct project_logs {
	uint64_t bytes; /* of its ended tasks' logs, on the disk */
	bool going;	/* some are just being removed */
};
/* The end of t, and with it how much its log takes, is in the store. */
void log_keep_ended(struct front *f, const struct task *t);
/* A task of this project has been removed with its log of so many bytes. */
void log_keep_removed(struct front *f, const char *project, uint64_t bytes);
/* ERR_NOT_FOUND where the task's log was removed. p: its project, or NULL. */
int log_keep_check(const struct task_record *rec, const struct project *p, struct err *e);

#endif
