/* SPDX-License-Identifier: Apache-2.0 */
/* What a project's logs take together, and which of them go. */
#ifndef SUPERVISOR_FRONT_RUN_LOG_KEEP_H
#define SUPERVISOR_FRONT_RUN_LOG_KEEP_H

#include "supervisor/front/core/project.h"
#include "supervisor/front/run/task.h"

struct front;
struct listener;
struct task;

/* At the start, when projects and works are there. */
int log_keep_load(struct front *f, struct err *e);
/* The end of t, and with it how much its log takes, is in the store. */
void log_keep_ended(struct front *f, const struct task *t);
/* A task of this project has been removed with its log of so many bytes. */
void log_keep_removed(struct front *f, const char *project, uint64_t bytes);
/* The quota may be another one. */
extern const struct listener log_keep_listener;
/* ERR_NOT_FOUND where the task's log was removed. p: its project, or NULL. */
int log_keep_check(const struct task_record *rec, const struct project *p, struct err *e);

#endif
