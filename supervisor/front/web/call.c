// SPDX-License-Identifier: Apache-2.0
/*
 * Handlers that are called without a request: `scheduled` and `test`. A call is sent to one instance of
 * a version by its channel, and waits for one where there is none.
 */
#include <string.h>

#include "supervisor/front/web/web.h"

/* Until an instance must have been started, and more than it may take to start. */
#define WAIT_NS (75 * SEC)
/* An instance ends a handler whose time is over itself, and says so. One that does not within this is
 * ended, so that the handler does not run on. */
#define GRACE_NS (5 * SEC)

static struct web_instance *pick(struct web_version *v)
{
	struct web_instance *i, *best = NULL;

	LIST_FOREACH(i, &v->instances, next)
		if (i->replica.state == REPLICA_UP && i->published && i->channel.line.fd >= 0 &&
		    (!best || i->n_calls < best->n_calls))
			best = i;
	return best;
}

/* It is not in its list any more, and its timer is not set: ended may free it. */
static void take_out(struct front *f, struct web_call *c)
{
	struct web_instance *i = c->instance;

	timer_cancel(f, &c->late);
	if (i) {
		TAILQ_REMOVE(&i->calls, c, next);
		i->n_calls--;
	} else {
		TAILQ_REMOVE(&c->version->calls, c, next);
	}
}

static void fail(struct front *f, struct web_call *c, const struct err *error)
{
	take_out(f, c);
	c->ended(f, c, NULL, error);
}

static void is_late(struct front *f, struct timer *t)
{
	struct web_call *c = OWNER(t, struct web_call, late);
	struct web_instance *i = c->instance;
	struct err e = {0};

	(void)err_set(&e, ERR_UNAVAILABLE, 0,
		      i ? "the handler took longer than %u s, and did not end when it was told to"
			: "no instance of the worker was ready in time",
		      web_timeout_s(c->version));
	fail(f, c, &e);
	if (i)
		web_instance_unwell(i);
}

static void send_to(struct front *f, struct web_call *c, struct web_instance *i)
{
	static json_int_t last;
	const json_int_t id = (json_int_t)(util_realtime_ns() / 1000);

	/* No number of an earlier front's, whose calls may still be answered. */
	last = id > last ? id : last + 1;
	c->id = last;
	c->instance = i;
	c->sent_ns = util_monotonic_ns();
	TAILQ_INSERT_TAIL(&i->calls, c, next);
	i->n_calls++;
	timer_set(f, &c->late, c->sent_ns + web_timeout_s(c->version) * SEC + GRACE_NS, is_late);
	web_channel_send(&i->channel,
			 json_pack("{s:s, s:I, s:s, s:s, s:I, s:s*, s:I}", "op", "call", "id",
				   c->id, "handler", c->handler, "cron", c->cron, "time_ms",
				   (json_int_t)(c->time_ns / MSEC), "entrypoint",
				   c->entrypoint && *c->entrypoint ? c->entrypoint : NULL, "depth",
				   (json_int_t)c->depth),
			 NULL, 0);
}

void web_call_adopt(struct web_instance *i, struct web_call *c, json_int_t id)
{
	c->version = i->version;
	c->instance = i;
	c->id = id;
	c->sent_ns = util_monotonic_ns();
	TAILQ_INSERT_TAIL(&i->calls, c, next);
	i->n_calls++;
	timer_set(i->f, &c->late, c->sent_ns + web_timeout_s(c->version) * SEC + GRACE_NS, is_late);
}

int web_call_begin(struct front *f, struct web_version *v, struct web_call *c, struct err *e)
{
	struct web_instance *i = pick(v);
	int r;

	c->version = v;
	if (i) {
		send_to(f, c, i);
		return 0;
	}
	r = web_wake_version(f, v, e);
	if (r < 0)
		return r;
	TAILQ_INSERT_TAIL(&v->calls, c, next);
	timer_set(f, &c->late, util_monotonic_ns() + WAIT_NS, is_late);
	return 0;
}

void web_calls_answer(struct front *f, struct web_version *v, struct web_instance *i,
		      const struct err *error)
{
	struct web_call *c;

	while ((c = TAILQ_FIRST(&v->calls))) {
		if (!i) {
			fail(f, c, error);
			continue;
		}
		take_out(f, c);
		send_to(f, c, i);
	}
}

static const char *text_of(const json_t *head, const char *key)
{
	const char *text = json_string_value(json_object_get(head, key));

	return text ? text : "";
}

void web_call_done(struct web_instance *i, const json_t *head)
{
	const json_int_t id = json_integer_value(json_object_get(head, "id"));
	struct front *f = i->f;
	struct web_call *c;

	TAILQ_FOREACH(c, &i->calls, next)
		if (c->id == id)
			break;
	/* It was too late, or is nobody's. */
	if (!c)
		return;
	take_out(f, c);
	c->ended(f, c,
		 &(struct web_result){
			 .ok = json_is_true(json_object_get(head, "ok")),
			 .message = text_of(head, "message"),
			 .traceback = text_of(head, "traceback"),
			 .version = i->version->row.id,
			 .instance = i->run,
			 .took_ns = util_monotonic_ns() - c->sent_ns,
		 },
		 NULL);
	web_instance_rests(i);
}

void web_calls_lost(struct web_instance *i)
{
	struct err e = {0};

	(void)err_set(&e, ERR_UNAVAILABLE, 0,
		      "its instance has ended before the handler did: see 'sandboxctl logs %s'",
		      i->run);
	while (!TAILQ_EMPTY(&i->calls))
		fail(i->f, TAILQ_FIRST(&i->calls), &e);
}

void web_calls_over(struct front *f, struct web_version *v)
{
	struct web_instance *i;
	struct err e = {0};

	(void)turn_over(&e);
	web_calls_answer(f, v, NULL, &e);
	LIST_FOREACH(i, &v->instances, next)
		while (!TAILQ_EMPTY(&i->calls))
			fail(f, TAILQ_FIRST(&i->calls), &e);
}
