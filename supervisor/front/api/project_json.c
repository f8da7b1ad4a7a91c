// SPDX-License-Identifier: Apache-2.0
/* Projects and tokens as JSON. */
#include "supervisor/front/api/shapes.h"
#include "supervisor/front/serve/serve.h"

json_t *project_json(const struct project *p)
{
	return json_pack("{s:s, s:s, s:o, s:o, s:{s:I, s:I}, s:I, s:I, s:I, s:I, s:I, s:I}", "id",
			 p->id, "name", p->name, "created_at", task_json_time(p->created_ns),
			 "quota", quota_json(&p->quota), "tasks", "queued", (json_int_t)p->n_queued,
			 "running", (json_int_t)p->n_running, "codes", (json_int_t)p->n_codes,
			 "schedules", (json_int_t)p->n_schedules, "tokens", (json_int_t)p->n_tokens,
			 "package_bytes", (json_int_t)p->package_bytes, "package_files",
			 (json_int_t)p->package_files, "log_bytes", (json_int_t)p->log_bytes);
}

json_t *token_json(const struct token *t)
{
	return json_pack("{s:s, s:s, s:b, s:o, s:o}", "id", t->id, "label", t->label, "operator",
			 t->operator, "created_at", task_json_time(t->created_ns), "used_at",
			 task_json_time(t->used_ns));
}
