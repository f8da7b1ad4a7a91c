// SPDX-License-Identifier: Apache-2.0
/* The answers that waiters of tasks and of warm-ups are due, when what they wait for has come. */
#include "supervisor/front/api/shapes.h"
#include "supervisor/front/api/verbs.h"

static void on_started(struct front *f, struct task *t)
{
	(void)f;
	for (struct waiter *w = t->waiters; w; w = w->next) {
		json_t *task;

		if (!w->started || w->accepted)
			continue;
		w->started = false;
		task = task_json(&t->rec, t->project);
		client_reply(&w->client,
			     json_pack("{s:s, s:s, s:O, s:O}", "event", "started", "id", t->rec.id,
				       "start", json_object_get(task, "start"), "warning",
				       json_object_get(task, "warning")));
		json_decref(task);
	}
}

static void on_written(struct front *f, struct task *t)
{
	struct waiter *next;

	for (struct waiter *w = t->waiters; w; w = next) {
		next = w->next;
		if (!w->accepted)
			continue;
		w->accepted = false;
		client_reply(&w->client,
			     json_pack("{s:s, s:s}", "event", "accepted", "id", t->rec.id));
		if (!w->finished)
			waiter_free(w);
	}
	if (t->rec.started_ns)
		on_started(f, t);
}

static void on_ended(struct front *f, struct task *t)
{
	struct waiter *next;
	json_t *task;

	(void)f;
	if (!t->waiters)
		return;
	task = task_json(&t->rec, t->project);
	for (struct waiter *w = t->waiters; w; w = next) {
		next = w->next;
		if (!w->finished)
			continue;
		client_reply(&w->client, json_pack("{s:s, s:s, s:O}", "event", "finished", "id",
						   t->rec.id, "task", task));
		waiter_free(w);
	}
	json_decref(task);
}

static void on_dropped(struct front *f, struct task *t, const struct err *why)
{
	(void)f;
	waiter_end_all(&t->waiters, NULL, why);
}

static void on_warmed(struct front *f, struct warm *w, const struct mon_warmed *m)
{
	json_t *reply = NULL;
	struct err e = {0};

	(void)f;
	if (m->status < 0)
		(void)err_set(&e, ERR_SYSTEM, *m->error ? 0 : -m->status,
			      "no checkpoint was made%s%s", *m->error ? ": " : "", m->error);
	else
		reply = json_pack("{s:s, s:b, s:f, s:I}", "key", m->key, "existed", m->existed,
				  "dump_ms", (double)m->dump_us / 1000, "bytes",
				  (json_int_t)m->bytes);
	waiter_end_all(&w->waiters, reply, &e);
}

const struct listener answers_listener = {.written = on_written,
					  .started = on_started,
					  .ended = on_ended,
					  .dropped = on_dropped,
					  .warmed = on_warmed};
