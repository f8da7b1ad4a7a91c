// SPDX-License-Identifier: Apache-2.0
/*
 * Tasks more: POST tasks, a webhook, a retry. All of a request's tasks are looked at before any
 * is queued, and it is answered when all are durable. When the disk or a quota ends it in the
 * middle, those that were queued are cancelled again.
 */
#include <string.h>

#include "supervisor/front/iron.h"

struct batch {
	struct iron_later *later;
	struct front *f;
	const char *msg;
	char project[PROJECT_ID_LEN + 1];
	size_t n, pending; /* ids; those that are not durable yet */
	bool webhook, sync, failed;
	struct err err; /* the first failure */
	char ids[][TASK_ID_LEN + 1];
};

static struct batch *batch_new(struct http_request *r, const struct project *p, size_t n,
			       const char *msg, struct err *e)
{
	struct batch *b = calloc(1, sizeof(*b) + n * sizeof(b->ids[0]));

	if (!b) {
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "cannot queue tasks");
		return NULL;
	}
	b->later = iron_later_new(r, b, e);
	if (!b->later) {
		free(b);
		return NULL;
	}
	b->f = r->f;
	b->msg = msg;
	memcpy(b->project, p->id, sizeof(b->project));
	return b;
}

/* How a task's last attempt has ended. */
static void add_end(const struct batch *b, const char *id, json_t *o)
{
	const struct project *p = project_by_id(b->f, b->project);
	struct task_record rec = {0};
	char buf[128], last[TASK_ID_LEN + 1];
	struct err e;

	if (!p)
		return;
	queue_last_attempt(b->f, p, id, last);
	if (queue_get(b->f, p, last, &rec, &e) < 0)
		return;
	free(rec.spec);
	(void)json_object_set_new(o, "status",
				  json_string(task_state_name((enum task_state)rec.state)));
	(void)json_object_set_new(o, "msg", iron_text(iron_task_msg(&rec, buf, sizeof(buf))));
}

static void answer(void *arg)
{
	struct batch *b = arg;
	struct http_request *r = iron_later_take(b->later);
	json_t *list = json_array();

	for (size_t i = 0; r && i < b->n; i++) {
		json_t *o = json_pack("{s:s}", "id", b->ids[i]);

		if (b->sync)
			add_end(b, b->ids[i], o);
		(void)json_array_append_new(list, o);
	}
	if (r && b->failed)
		iron_fail(r, &b->err);
	else if (r && b->webhook)
		http_json(r, 200, json_pack("{s:s, s:s}", "msg", b->msg, "id", b->ids[0]));
	else if (r)
		http_json(r, 200, json_pack("{s:s, s:O}", "msg", b->msg, "tasks", list));
	json_decref(list);
	free(b);
}

static void fail(struct batch *b, const struct err *e)
{
	if (!b->failed)
		b->err = *e;
	b->failed = true;
}

static int take_back(sd_event_source *s, void *arg)
{
	struct batch *b = arg;
	const struct project *p = project_by_id(b->f, b->project);
	struct err ignored;
	bool changed;

	for (size_t i = 0; p && i < b->n; i++)
		(void)queue_cancel(b->f, p, b->ids[i], &changed, &ignored);
	answer(b);
	(void)sd_event_source_disable_unref(s);
	return 0;
}

static void durable(void *arg, const char *id, const struct err *error)
{
	sd_event_source *s = NULL;
	struct batch *b = arg;

	(void)id;
	if (error)
		fail(b, error);
	if (--b->pending > 0)
		return;
	/* Not from here: the store is in the middle of its list of changes. */
	if (b->failed && sd_event_add_defer(b->f->event, &s, take_back, b) >= 0)
		return;
	if (b->failed || !b->sync || iron_sync(b->f, b->project, b->ids, b->n, answer, b, NULL))
		answer(b);
}

/* After the last submit: waits, or hands on the failure of the first one. */
static int wait_durable(struct batch *b, int res)
{
	if (b->pending == 0) {
		(void)iron_later_take(b->later);
		free(b);
		return res;
	}
	iron_later_wait(b->later);
	return 0;
}

static int check(struct project *p, const struct iron_tasks *what, struct err *e)
{
	char shown[CODE_NAME_MAX * 4 + 1];

	for (size_t i = 0; i < what->n; i++)
		if (!code_by_name(p, what->tasks[i].code_name))
			return err_set(
				e, ERR_NOT_FOUND, 0,
				"request: tasks[%zu].code_name: there is no code \"%s\": "
				"upload it first",
				i,
				json_strict_escape(what->tasks[i].code_name, shown, sizeof(shown)));
	/* Clients try again on 503, and not on 413. */
	if (p->quota.queued && (uint64_t)p->n_queued + what->n > p->quota.queued)
		return err_set(e, ERR_UNAVAILABLE, 0,
			       "%u tasks of this project wait already, and its quota \"queued\" is "
			       "%u: try again later",
			       p->n_queued, p->quota.queued);
	return 0;
}

static int submit_all(struct http_request *r, struct project *p, const struct iron_tasks *what,
		      bool webhook, struct err *e)
{
	struct batch *b;
	int res = check(p, what, e);

	if (res < 0)
		return res;
	b = batch_new(r, p, what->n, webhook ? "Queued up." : "Queued up", e);
	if (!b)
		return -ENOMEM;
	b->webhook = webhook;
	for (size_t i = 0; i < what->n && res == 0; i++) {
		struct code *c = code_by_name(p, what->tasks[i].code_name);

		b->sync = b->sync || what->tasks[i].sync;
		res = queue_submit(r->f, c, &what->tasks[i].what, b->ids[i], durable, b, e);
		if (res < 0) {
			/* Those before it are taken back, whatever becomes of them. */
			fail(b, e);
			break;
		}
		b->n++;
		b->pending++;
	}
	return wait_durable(b, res);
}

int iron_queue(struct http_request *r, struct err *e)
{
	_cleanup_iron_tasks_ struct iron_tasks what = {0};
	struct project *p = NULL;
	int res = iron_project(r, &p, e);

	if (res == 0)
		res = iron_tasks_parse(r->body, r->len, iron_strict(r), &what, e);
	return res < 0 ? res : submit_all(r, p, &what, false, e);
}

int iron_webhook(struct http_request *r, struct err *e)
{
	static const char *const names[] = {"code_name", "priority", "timeout",
					    "delay",	 "label",    "cluster"};
	_cleanup_iron_tasks_ struct iron_tasks what = {0};
	json_t *params = json_object();
	struct project *p = NULL;
	int res = iron_project(r, &p, e);

	for (size_t i = 0; res == 0 && i < ARRAY_SIZE(names); i++) {
		const char *text = NULL;

		res = iron_param(r, names[i], &text, e);
		if (text)
			(void)json_object_set_new(params, names[i], json_string(text));
	}
	if (res < 0) {
		json_decref(params);
		return res;
	}
	res = iron_webhook_parse(params, r->body, r->len, &what, e);
	return res < 0 ? res : submit_all(r, p, &what, true, e);
}

int iron_retry(struct http_request *r, struct err *e)
{
	struct task_record rec = {0};
	struct project *p = NULL;
	uint32_t delay_s = 0;
	struct batch *b;
	int res = iron_task(r, &p, &rec, e);

	free(rec.spec);
	if (res == 0)
		res = iron_retry_parse(r->body, r->len, iron_strict(r), &delay_s, e);
	if (res < 0)
		return res;
	b = batch_new(r, p, 1, "Queued up", e);
	if (!b)
		return -ENOMEM;
	res = queue_retry(r->f, p, rec.id, delay_s, b->ids[0], durable, b, e);
	if (res == 0)
		b->n = b->pending = 1;
	return wait_durable(b, res);
}
