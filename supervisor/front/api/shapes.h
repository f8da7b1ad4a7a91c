/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks, projects and tokens as both APIs show them. New references. */
#ifndef SUPERVISOR_FRONT_API_SHAPES_H
#define SUPERVISOR_FRONT_API_SHAPES_H

#include "supervisor/front/run/run.h"

/* A task as scripts see it, `inspect --json` and `ps --json`. p: its project; NULL: it was removed. */
json_t *task_json(const struct task_record *rec, const struct project *p);
/* The same as /api shows it: what the queue knows of it stands beside the rest. */
json_t *task_json_flat(struct front *f, const struct task_record *rec);
/* What a user is told of how a task ended; "" when there is nothing to tell. */
const char *task_msg(const struct task_record *rec, char *buf, size_t size);
json_t *task_json_history(struct front *f, const char *id);
/* {"id", "name", "created_at", "quota": {...}, "tasks": {"queued", "running"}, "codes",
 * "schedules", "tokens", "package_bytes", "package_files", "log_bytes"}, and what parts add */
json_t *project_json(struct front *f, const struct project *p);
json_t *token_json(const struct token *t); /* id label operator created_at used_at */

#endif
