// SPDX-License-Identifier: Apache-2.0
/*
 * Tasks more: POST tasks, a webhook, a retry. All of a request's tasks are looked at before any
 * is queued, and it is answered when all are durable. When the disk or a quota ends it in the
 * middle, those that were queued are cancelled again.
 */
#include <string.h>

#include "supervisor/front/api/iron/iron.h"

/* Tasks of one turn: that are queued; that are looked up again, or cancelled. */
#define SUBMIT_MAX 100u
#define LOOK_MAX 32u

enum batch_phase { BATCH_SUBMIT, BATCH_WAIT, BATCH_TAKE_BACK, BATCH_ANSWER };

struct batch {
	struct work work; /* what is left to do, in slices */
	enum batch_phase phase;
	struct iron_later *later;
	struct front *f;
	const char *msg;
	struct iron_tasks what; /* what is not queued yet needs its texts */
	char project[PROJECT_ID_LEN + 1];
	size_t n, pending, at; /* ids; those that are not durable yet; where a slice goes on */
	bool webhook, sync, failed;
	struct err err; /* the first failure */
	json_t *list;	/* of the answer */
	char ids[][TASK_ID_LEN + 1];
};

static bool batch_slice(struct front *f, struct work *w);
static void batch_drop(struct front *f, struct work *w);

static void batch_free(struct batch *b)
{
	json_decref(b->list);
	iron_tasks_clear(&b->what);
	free(b);
}

static struct batch *batch_new(struct http_request *r, const struct project *p, size_t n,
			       const char *msg, struct err *e)
{
	struct batch *b = calloc(1, sizeof(*b) + n * sizeof(b->ids[0]));

	if (b)
		b->list = json_array();
	if (!b || !b->list) {
		free(b);
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "cannot queue tasks");
		return NULL;
	}
	b->later = iron_later_new(r, b, e);
	if (!b->later) {
		batch_free(b);
		return NULL;
	}
	b->work = (struct work){.slice = batch_slice, .drop = batch_drop};
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

static void say(struct batch *b)
{
	struct http_request *r = iron_later_take(b->later);

	if (r && b->failed)
		iron_fail(r, &b->err);
	else if (r && b->webhook)
		http_json(r, 200, json_pack("{s:s, s:s}", "msg", b->msg, "id", b->ids[0]));
	else if (r)
		http_json(r, 200, json_pack("{s:s, s:O}", "msg", b->msg, "tasks", b->list));
	batch_free(b);
}

/* True: there is more, and a look into the store for each. */
static bool answer_some(struct batch *b)
{
	for (unsigned i = 0; b->at < b->n && !b->failed; b->at++) {
		json_t *o = json_pack("{s:s}", "id", b->ids[b->at]);

		if (b->sync && i++ == LOOK_MAX) {
			json_decref(o);
			return true;
		}
		if (b->sync)
			add_end(b, b->ids[b->at], o);
		(void)json_array_append_new(b->list, o);
	}
	return false;
}

static void batch_go_on(struct batch *b, enum batch_phase phase)
{
	const struct project *p = project_by_id(b->f, b->project);

	b->phase = phase;
	b->at = 0;
	turn_add(b->f, turn_holder(p), TURN_CALL, &b->work);
}

static void answer(void *arg)
{
	struct batch *b = arg;

	b->phase = BATCH_ANSWER;
	b->at = 0;
	if (answer_some(b))
		turn_add(b->f, turn_holder(project_by_id(b->f, b->project)), TURN_CALL, &b->work);
	else
		say(b);
}

static void fail(struct batch *b, const struct err *e)
{
	if (!b->failed)
		b->err = *e;
	b->failed = true;
}

static bool take_back_some(struct batch *b)
{
	const struct project *p = project_by_id(b->f, b->project);
	struct err ignored;
	bool changed;

	for (unsigned i = 0; p && b->at < b->n && i < LOOK_MAX; i++, b->at++)
		(void)queue_cancel(b->f, p, b->ids[b->at], &changed, &ignored);
	return p && b->at < b->n;
}

/* All are queued that will be, and all of those are durable. */
static void settled(struct batch *b)
{
	if (b->failed)
		batch_go_on(b, BATCH_TAKE_BACK); /* not from within the list of changes */
	else if (!b->sync || iron_sync(b->f, b->project, b->ids, b->n, b->later, answer, b, NULL))
		answer(b);
}

static void durable(void *arg, const char *id, const struct err *error)
{
	struct batch *b = arg;

	(void)id;
	if (error)
		fail(b, error);
	if (--b->pending == 0 && b->phase == BATCH_WAIT)
		settled(b);
}

/* True: there is more. When the disk or a quota ends it in the middle, there is not. */
static bool submit_some(struct batch *b, struct err *e)
{
	struct project *p = project_by_id(b->f, b->project);
	size_t bytes = 0;

	for (unsigned i = 0; b->n < b->what.n && i < SUBMIT_MAX && bytes < TURN_NEW_BYTES; i++) {
		const struct iron_task *t = &b->what.tasks[b->n];
		struct code *c = p ? code_by_name(p, t->code_name) : NULL;
		int r;

		bytes += t->what.payload_len;
		b->sync = b->sync || t->sync;
		if (c)
			r = queue_submit(b->f, c, &t->what, b->ids[b->n], durable, b, e);
		else
			r = err_set(e, ERR_NOT_FOUND, 0,
				    "its project or its code was removed meanwhile");
		if (r < 0) {
			/* Those before it are taken back, whatever becomes of them. */
			fail(b, e);
			return false;
		}
		b->n++;
		b->pending++;
	}
	return b->n < b->what.n;
}

static bool batch_slice(struct front *f, struct work *w)
{
	struct batch *b = (struct batch *)w;
	struct err e = {0};

	(void)f;
	switch (b->phase) {
	case BATCH_SUBMIT:
		if (submit_some(b, &e))
			return true;
		b->phase = BATCH_WAIT;
		if (b->pending == 0)
			settled(b);
		return false;
	case BATCH_TAKE_BACK:
		if (take_back_some(b))
			return true;
		break;
	default:
		if (answer_some(b))
			return true;
		break;
	}
	say(b);
	return false;
}

static void batch_drop(struct front *f, struct work *w)
{
	struct batch *b = (struct batch *)w;
	struct err e = {0};

	(void)f;
	(void)err_set(&e, ERR_UNAVAILABLE, 0, "sandboxd is going down");
	fail(b, &e);
	say(b);
}

/* After the first submits: hands on the failure of the first one, or waits. */
static int batch_wait(struct batch *b, bool more, int res)
{
	if (!more && b->n == 0) {
		(void)iron_later_take(b->later);
		batch_free(b);
		return res;
	}
	iron_later_wait(b->later);
	if (more)
		batch_go_on(b, BATCH_SUBMIT);
	else
		b->phase = BATCH_WAIT;
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

/* Takes what. */
static int submit_all(struct http_request *r, struct project *p, struct iron_tasks *what,
		      bool webhook, struct err *e)
{
	struct batch *b;
	bool more;
	int res = check(p, what, e);

	if (res < 0)
		return res;
	b = batch_new(r, p, what->n, webhook ? "Queued up." : "Queued up", e);
	if (!b)
		return -ENOMEM;
	b->what = *what;
	*what = (struct iron_tasks){0};
	b->webhook = webhook;
	more = submit_some(b, e);
	return batch_wait(b, more, b->failed ? -ECANCELED : 0);
}

int iron_queue(struct http_request *r, struct err *e)
{
	struct project *p = NULL;
	int res = iron_project(r, &p, e);

	return res < 0 ? res : submit_all(r, p, r->read, false, e);
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
	return batch_wait(b, false, res);
}
