// SPDX-License-Identifier: Apache-2.0
/*
 * New tasks of workers: POST tasks, a webhook, a retry. All of a request's tasks are looked at before any
 * is queued, and it is answered when all are durable. When the disk or a quota ends it in the
 * middle, those that were queued are cancelled again.
 */
#include <string.h>

#include "lib/json_put.h"
#include "supervisor/front/api/iron/iron.h"
#include "supervisor/front/api/sync.h"
#include "supervisor/front/api/verbs.h"

/* Tasks of one turn: that are queued; that are looked up again, or cancelled. */
#define SUBMIT_MAX 100u
#define LOOK_MAX 32u

enum batch_phase { BATCH_SUBMIT, BATCH_WAIT, BATCH_TAKE_BACK, BATCH_ANSWER };

/* Told when a task of the batch is durable. */
struct batch_task {
	struct change change;
	struct batch *batch;
};

struct batch {
	struct work work; /* what is left to do, in slices */
	enum batch_phase phase;
	struct waiter *waiter;
	struct front *f;
	const char *msg;
	struct iron_tasks what; /* what is not queued yet needs its texts */
	struct batch_task *tasks;
	char project[PROJECT_ID_LEN + 1];
	size_t n, pending, at; /* ids; those that are not durable yet; where a slice goes on */
	bool webhook, sync, failed;
	struct sync *ends; /* NULL: their ends are not waited for */
	struct err err;	   /* the first failure */
	json_t *list;	   /* of the answer */
	char ids[][TASK_ID_LEN + 1];
};

static bool batch_slice(struct front *f, struct work *w);
static void batch_drop(struct front *f, struct work *w);

static void batch_free(struct batch *b)
{
	json_decref(b->list);
	iron_tasks_clear(&b->what);
	free(b->tasks);
	free(b);
}

static struct batch *batch_new(struct call *c, size_t n, const char *msg, struct err *e)
{
	struct batch *b = calloc(1, sizeof(*b) + n * sizeof(b->ids[0]));

	if (b) {
		b->list = json_array();
		b->tasks = calloc(n ? n : 1, sizeof(*b->tasks));
	}
	if (!b || !b->list || !b->tasks) {
		if (b)
			batch_free(b);
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "cannot queue tasks");
		return NULL;
	}
	b->waiter = call_later(c, e);
	if (!b->waiter) {
		batch_free(b);
		return NULL;
	}
	b->work = (struct work){.slice = batch_slice, .drop = batch_drop};
	b->f = c->f;
	b->msg = msg;
	memcpy(b->project, c->project->id, sizeof(b->project));
	return b;
}

/* How a task's last attempt has ended. */
static void add_end(const struct batch *b, const char *id, json_t **o)
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
	task_record_clear(&rec);
	json_put(o, "status", json_string(task_state_name((enum task_state)rec.state)));
	json_put(o, "msg", json_text(task_msg(&rec, buf, sizeof(buf))));
}

static void say(struct batch *b)
{
	json_t *reply = NULL;

	if (!b->failed && b->webhook)
		reply = json_pack("{s:s, s:s}", "msg", b->msg, "id", b->ids[0]);
	else if (!b->failed)
		reply = json_pack("{s:s, s:O}", "msg", b->msg, "tasks", b->list);
	waiter_end(b->waiter, reply, &b->err);
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
			add_end(b, b->ids[b->at], &o);
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

	b->ends = NULL;
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
	if (b->ends)
		sync_free(b->ends);
	b->ends = NULL;
}

static bool take_back_some(struct batch *b)
{
	const struct project *p = project_by_id(b->f, b->project);
	struct err ignored;
	struct task *t;

	for (unsigned i = 0; p && b->at < b->n && i < LOOK_MAX; i++, b->at++)
		(void)queue_cancel(b->f, p, b->ids[b->at], &t, &ignored);
	return p && b->at < b->n;
}

/* All are queued that will be, and all of those are durable. */
static void settled(struct batch *b)
{
	if (b->failed)
		batch_go_on(b, BATCH_TAKE_BACK); /* in slices: there may be many */
	else if (b->ends)
		sync_begin(b->ends);
	else
		answer(b);
}

static void durable(struct front *f, struct change *c, const struct err *error)
{
	const struct batch_task *t = OWNER(c, struct batch_task, change);
	struct batch *b = t->batch;

	(void)f;
	if (error)
		fail(b, error);
	if (--b->pending == 0 && b->phase == BATCH_WAIT)
		settled(b);
}

/* Of the task that is queued next. */
static struct change *next_told(struct batch *b)
{
	struct batch_task *t = &b->tasks[b->n];

	*t = (struct batch_task){.change = {.done = durable}, .batch = b};
	return &t->change;
}

/* True: there is more. When the disk or a quota ends it in the middle, there is not. */
static bool submit_some(struct batch *b, struct err *e)
{
	struct project *p = project_by_id(b->f, b->project);
	size_t bytes = 0;

	for (unsigned i = 0; b->n < b->what.n && i < SUBMIT_MAX && bytes < TURN_NEW_BYTES; i++) {
		struct iron_task *t = &b->what.tasks[b->n];
		struct worker *c = p ? worker_by_name(p, t->code_name) : NULL;
		int r;

		bytes += t->what.payload_len;
		t->what.with = next_told(b);
		if (c)
			r = queue_submit(b->f, c, &t->what, b->ids[b->n], e);
		else
			r = err_set(e, ERR_NOT_FOUND, 0,
				    "its project or its worker was removed meanwhile");
		if (r < 0) {
			/* Those before it are taken back, whatever becomes of them. */
			fail(b, e);
			return false;
		}
		if (b->ends)
			sync_add(b->ends, b->ids[b->n]);
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
	(void)turn_over(&e);
	fail(b, &e);
	say(b);
}

/* After the first submits: hands on the failure of the first one, or waits. */
static int batch_wait(struct batch *b, bool more, int res)
{
	if (!more && b->n == 0) {
		waiter_free(b->waiter);
		batch_free(b);
		return res;
	}
	if (more)
		batch_go_on(b, BATCH_SUBMIT);
	else
		b->phase = BATCH_WAIT;
	return 0;
}

/* Takes what. */
static int submit_all(struct call *c, struct iron_tasks *what, bool webhook, struct err *e)
{
	struct project *p = c->project;
	struct batch *b;
	bool more;
	int r;

	for (size_t i = 0; i < what->n; i++) {
		r = worker_check_name(p, "tasks", i, what->tasks[i].code_name, e);
		if (r < 0)
			return r;
	}
	/* Clients try again on 503, and not on 413. */
	if (p->quota.queued && (uint64_t)p->run->n_queued + what->n > p->quota.queued)
		return err_set(e, ERR_UNAVAILABLE, 0,
			       "the quota \"queued\" of this project is %u, and %u wait already: "
			       "try again later",
			       p->quota.queued, p->run->n_queued);
	b = batch_new(c, what->n, webhook ? "Queued up." : "Queued up", e);
	if (!b)
		return -ENOMEM;
	b->what = *what;
	*what = (struct iron_tasks){0};
	b->webhook = webhook;
	for (size_t i = 0; i < b->what.n; i++)
		b->sync = b->sync || b->what.tasks[i].sync;
	/* Where too many wait already, it is answered as soon as they are queued. */
	if (b->sync)
		b->ends = sync_new(b->f, b->project, b->what.n, b->waiter, answer, b);
	more = submit_some(b, e);
	return batch_wait(b, more, b->failed ? -ECANCELED : 0);
}

int verb_submit(struct call *c, struct err *e)
{
	int r = call_end_project(c, e);

	return r < 0 ? r : submit_all(c, c->http->read, false, e);
}

int verb_webhook(struct call *c, struct err *e)
{
	static const char *const names[] = {"code_name", "priority", "timeout",
					    "delay",	 "label",    "cluster"};
	_cleanup_iron_tasks_ struct iron_tasks what = {0};
	json_auto_t *params = json_object();
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *text = call_string(c, names[i], HTTP_BODY_SHORT);

		if (text)
			(void)json_object_set_new(params, names[i], json_string(text));
	}
	r = call_end_project(c, e);
	if (r < 0)
		return r;
	r = iron_webhook_parse(json_incref(params), c->http->body, c->http->len, &what, e);
	return r < 0 ? r : submit_all(c, &what, true, e);
}

int verb_retry(struct call *c, struct err *e)
{
	struct task_record rec = {0};
	uint32_t delay_s = 0;
	struct batch *b;
	int r = call_record(c, &rec, e);

	task_record_clear(&rec);
	if (r < 0)
		return r;
	r = iron_retry_parse(c->http->body, c->http->len, !c->lenient, &delay_s, e);
	if (r < 0)
		return r;
	b = batch_new(c, 1, "Queued up", e);
	if (!b)
		return -ENOMEM;
	r = queue_retry(c->f, c->project, rec.id, delay_s, b->ids[0], next_told(b), e);
	if (r == 0)
		b->n = b->pending = 1;
	return batch_wait(b, false, r);
}
