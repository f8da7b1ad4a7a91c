/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks, projects and tokens as both APIs show them. New references. */
#ifndef SUPERVISOR_FRONT_API_SHAPES_H
#define SUPERVISOR_FRONT_API_SHAPES_H

#include "supervisor/front/run/run.h"

/* task_json.c. p: its project, or NULL where that is no more. */
json_t *task_json(const struct task_record *rec, const struct project *p);
json_t *task_json_history(struct front *f, const char *id);
json_t *task_json_time(uint64_t realtime_ns); /* null for 0 */
/* project_json.c */
/* {"id", "name", "created_at", "quota": {...}, "tasks": {"queued", "running"}, "codes",
 * "schedules", "tokens", "package_bytes", "package_files", "log_bytes"}. New references. */
json_t *project_json(const struct project *p);
json_t *token_json(const struct token *t); /* id label operator created_at used_at */

#endif
