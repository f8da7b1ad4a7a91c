// SPDX-License-Identifier: Apache-2.0
/* Tasks that exist: list, show, cancel, progress, logs. */
#include <string.h>

#include "supervisor/front/api/iron/list.h"
#include "supervisor/front/run/log_keep.h"

static int add_task(void *arg, struct task_record *rec)
{
	struct iron_list *l = arg;
	const struct task *t = registry_find(l->f, rec->id);

	/* Memory knows the latest. */
	iron_list_add(l, iron_task_json(l->f, t ? &t->rec : rec, false));
	return 0;
}

static int some_tasks(struct iron_list *l, struct project *p, struct err *e)
{
	l->query.project = p->id;
	return iron_list_tasks(l, add_task, e);
}

static int read_query(const struct http_request *r, struct task_query *q, struct err *e)
{
	uint64_t from = 0, to = 0;
	struct iron_page page = {0};
	bool wanted;
	int res;

	/* The client for Go asks for all codes so. */
	q->code_name = http_param(r, "code_name");
	if (q->code_name && !*q->code_name)
		q->code_name = NULL;
	res = iron_param(r, "label", &q->label, e);
	for (unsigned i = 0; res == 0 && i < TASK_STATE_MAX; i++) {
		res = iron_flag(r, task_state_name((enum task_state)i), &wanted, e);
		q->states |= wanted ? 1u << i : 0;
	}
	if (res == 0)
		res = iron_page(r, &page, e);
	if (res == 0)
		res = iron_number(r, "from_time", 0, INT32_MAX * 4ULL, &from, e);
	if (res == 0)
		res = iron_number(r, "to_time", 0, INT32_MAX * 4ULL, &to, e);
	if (res < 0)
		return res;
	q->from_ns = from * SEC;
	q->to_ns = to * SEC;
	q->skip = page.skip;
	q->limit = page.limit;
	return 0;
}

int iron_tasks(struct http_request *r, struct err *e)
{
	struct iron_list *l;
	struct task_query q = {0};
	struct project *p = NULL;
	int res = iron_project(r, &p, e);

	if (res == 0)
		res = read_query(r, &q, e);
	if (res < 0)
		return res;
	l = iron_list_new(r, "tasks", p, some_tasks, e);
	if (!l)
		return -ENOMEM;
	return iron_list_set_query(l, &q, e) < 0 ? iron_list_fail(l) : iron_list_answer(r, l, e);
}

int iron_task_get(struct http_request *r, struct err *e)
{
	struct task_record rec = {0};
	struct project *p = NULL;
	int res = iron_task(r, &p, &rec, e);

	if (res == 0)
		http_json(r, 200, iron_task_json(r->f, &rec, true));
	free(rec.spec);
	return res;
}

/* {1} is a task of the project: nothing more of it is wanted. */
int iron_task_cancel(struct http_request *r, struct err *e)
{
	struct task_record rec = {0};
	struct project *p = NULL;
	bool changed = false;
	int res = iron_task(r, &p, &rec, e);

	free(rec.spec);
	if (res == 0)
		res = queue_cancel(r->f, p, r->parts[1], &changed, e);
	/* Said when it is durable: a front that dies now must not run it. */
	if (res == 0 && changed)
		commit_now(r->f);
	if (res == 0)
		iron_message(r, "Cancelled");
	return res;
}

int iron_task_progress(struct http_request *r, struct err *e)
{
	struct iron_progress what;
	struct task_record rec = {0};
	struct project *p = NULL;
	int res = iron_task(r, &p, &rec, e);

	free(rec.spec);
	if (res == 0)
		res = iron_progress_parse(r->body, r->len, iron_strict(r), &what, e);
	if (res == 0)
		res = queue_progress(r->f, p, rec.id, what.has_percent ? what.percent : rec.percent,
				     what.msg, e);
	/* A worker may be over before its client has said how far it is; to IronWorker that is
	 * no error. */
	if (res < 0 && e->code == ERR_CONFLICT && !iron_strict(r))
		res = 0;
	if (res == 0)
		iron_message(r, "Progress set");
	return res;
}

/*
 * IronWorker's clients wait for a log by asking until it is there: before that it is an error
 * with "log" in its words (tasksWaitForLog of the one for Node.js).
 */
static int send_log(struct http_request *r, unsigned streams, struct err *e)
{
	struct task_record rec = {0};
	struct project *p = NULL;
	int res = iron_task(r, &p, &rec, e);

	free(rec.spec);
	if (res == 0)
		res = log_keep_check(&rec, p, e);
	/* Theirs would wait for it for ever. */
	if (res < 0 && rec.log_gone && !iron_strict(r))
		return err_set(e, ERR_NOT_FOUND, 0,
			       "Not found: what this task has printed is kept no longer");
	if (res < 0)
		return res;
	if (!iron_strict(r) && (rec.state == TASK_QUEUED || rec.state == TASK_PREPARING))
		return err_set(e, ERR_NOT_FOUND, 0,
			       "Not found: there is no log yet, for the task has not started");
	return http_log_text(r, r->parts[1], streams, e);
}

int iron_task_log(struct http_request *r, struct err *e)
{
	return send_log(r, LOG_STREAM_OUT | LOG_STREAM_ERR, e);
}

int iron_task_outlog(struct http_request *r, struct err *e)
{
	return send_log(r, LOG_STREAM_OUT, e);
}
