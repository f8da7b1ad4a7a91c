// SPDX-License-Identifier: Apache-2.0
/*
 * Cron triggers, and the same call when somebody asks for it: one instance of the worker has its
 * handler `scheduled` called. A time is written down before the call, so that it is never had twice;
 * one that has passed while no front was there is had once, at the start.
 */
#include "supervisor/front/web/cron.h"

#include <stdio.h>
#include <string.h>
#include <sys/param.h>
#include <sys/random.h>

#include "lib/msg.h"
#include "supervisor/front/web/web.h"

/* As cron(8): a clock that is set back by less is waited for, so that no time comes twice. */
#define SET_BACK_NS (10800 * SEC)
/* How often a time that is due looks whether the instances of before a restart have been heard. */
#define AWAITED_NS (100 * MSEC)

/* A call that is under way, or whose time is being written. */
struct web_job {
	struct web_call call;
	struct change change;
	struct web_cron *cron; /* NULL: it is of none, or of one that has gone */
	struct web_cron_row row;
	struct waiter *waiter; /* NULL: its time has come */
};

static int on_time(sd_event_source *timer, uint64_t usec, void *arg);

void web_cron_plan(struct web_cron *c, uint64_t from_ns)
{
	c->from_ns = from_ns;
	c->next_ns = cron_next(&c->times, NULL, from_ns);
}

static void arm(struct web_cron *c)
{
	const uint64_t usec = (c->next_ns + 999) / 1000;
	int r;

	if (!c->next_ns) {
		c->timer = sd_event_source_disable_unref(c->timer);
		return;
	}
	if (c->timer) {
		r = sd_event_source_set_time(c->timer, usec);
		if (r >= 0)
			r = sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
	} else {
		r = sd_event_add_time(c->f->event, &c->timer, CLOCK_REALTIME, usec, 1, on_time, c);
	}
	if (r < 0)
		msg_err("HTTP worker %s: cron %s: its timer: %s", c->worker->row.name, c->line,
			strerror(-r));
}

enum web_cron_turn web_cron_turn(struct web_cron *c, uint64_t now_ns)
{
	if (!c->next_ns || c->next_ns > now_ns)
		return WEB_CRON_WAIT;
	web_cron_plan(c, now_ns);
	if (!c->job)
		return WEB_CRON_CALL;
	c->skipped++;
	return WEB_CRON_SKIP;
}

void web_cron_settle(struct web_cron *c, uint64_t now_ns)
{
	if (c->from_ns > now_ns + SET_BACK_NS)
		web_cron_plan(c, now_ns);
}

/* The call is over; error NULL: it was made, and result says how it was. */
static void job_end(struct front *f, struct web_job *job, const struct web_result *result,
		    const struct err *error)
{
	struct web_cron *c = job->cron;
	const struct web_call *call = &job->call;

	(void)f;
	if (c) {
		c->job = NULL;
		c->ended = true;
		c->ok = !error && result->ok;
		c->took_ns = error ? 0 : result->took_ns;
		(void)util_escape(error ? error->msg : result->message, c->message,
				  sizeof(c->message));
		if (!c->ok)
			msg_warn("HTTP worker %s: cron %s: %s", c->worker->row.name, c->line,
				 c->message);
	}
	if (job->waiter)
		waiter_end(job->waiter,
			   error ? NULL
				 : json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:f}",
					     "handler", call->handler, "outcome",
					     result->ok ? "ok" : "exception", "message",
					     result->message, "traceback", result->traceback,
					     "version", result->version, "instance",
					     result->instance, "cron", call->cron, "time_ms",
					     (json_int_t)(call->time_ns / MSEC), "took_ms",
					     (double)result->took_ns / MSEC),
			   error);
	free(job);
}

static void call_ended(struct front *f, struct web_call *call, const struct web_result *result,
		       const struct err *error)
{
	job_end(f, OWNER(call, struct web_job, call), result, error);
}

static bool has_line(const struct web_version *v, const char *line)
{
	const json_t *crons = web_crons(v);

	for (size_t i = 0; i < json_array_size(crons); i++)
		if (strcmp(json_string_value(json_array_get(crons, i)), line) == 0)
			return true;
	return false;
}

/* One of the versions that serve, by percentage, as for a request; line not NULL: of those that have
 * it. NULL: there is none. */
static struct web_version *choose(struct web_worker *w, const char *line)
{
	struct web_version *serving[WEB_SPLIT_MAX];
	unsigned percent[WEB_SPLIT_MAX], all = 0, n = web_serving(w, serving, percent);
	uint32_t draw = 0;

	for (unsigned i = 0; i < n; i++) {
		if (web_version_open(serving[i], NULL) < 0 || (line && !has_line(serving[i], line)))
			percent[i] = 0;
		all += percent[i];
	}
	if (all == 0)
		return NULL;
	(void)!getrandom(&draw, sizeof(draw), 0);
	draw %= all;
	for (unsigned i = 0; i < n; i++) {
		if (draw < percent[i])
			return serving[i];
		draw -= percent[i];
	}
	return NULL;
}

struct web_version *web_version_draw(struct web_worker *w)
{
	return choose(w, NULL);
}

/* Takes the job. */
static void job_call(struct front *f, struct web_job *job, struct web_version *v)
{
	struct err e = {0};

	if (!v)
		(void)err_set(&e, ERR_NOT_FOUND, 0, "no version that serves has it any more");
	else if (web_call_begin(f, v, &job->call, &e) == 0)
		return;
	job_end(f, job, NULL, &e);
}

static int job_write(struct front *f, struct change *x, struct err *e)
{
	const struct web_job *job = OWNER(x, struct web_job, change);

	return job->cron ? store_web_cron_put(f->store, &job->row, e) : 0;
}

static void job_written(struct front *f, struct change *x, const struct err *error)
{
	struct web_job *job = OWNER(x, struct web_job, change);
	struct err e = {0};

	if (error) {
		job_end(f, job, NULL, error);
	} else if (job->cron) {
		job->cron->last_ns = job->row.last_ns;
		job_call(f, job, choose(job->cron->worker, job->cron->line));
	} else {
		(void)err_set(&e, ERR_NOT_FOUND, 0, "the worker has no such cron any more");
		job_end(f, job, NULL, &e);
	}
}

static struct web_job *job_new(const char *handler, const char *line, uint64_t time_ns)
{
	struct web_job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->call.handler = handler;
	job->call.time_ns = time_ns;
	job->call.ended = call_ended;
	(void)snprintf(job->call.cron, sizeof(job->call.cron), "%s", line);
	return job;
}

/* Writes that it is called now, and calls it then. */
static void job_mark(struct web_job *job, struct web_cron *c, uint64_t now_ns)
{
	job->cron = c;
	c->job = job;
	memcpy(job->row.worker, c->worker->row.id, sizeof(job->row.worker));
	(void)snprintf(job->row.line, sizeof(job->row.line), "%s", c->line);
	job->row.last_ns = now_ns;
	job->change = (struct change){.write = job_write, .done = job_written};
	change_mark(c->f, &job->change, turn_holder(c->worker->project), 0);
}

/* An instance of before the front's restart may be in the middle of a call. */
static bool is_awaited(const struct web_worker *w)
{
	const struct web_version *v;
	const struct web_instance *i;

	LIST_FOREACH(v, &w->versions, next)
		LIST_FOREACH(i, &v->instances, next)
			if (web_instance_is_awaited(i))
				return true;
	return false;
}

static int on_time(sd_event_source *timer, uint64_t usec, void *arg)
{
	struct web_cron *c = arg;
	const uint64_t now = util_realtime_ns(), due = c->next_ns;
	enum web_cron_turn turn;
	struct web_job *job;

	(void)usec;
	if (c->worker->going)
		return 0;
	if (due && due <= now && is_awaited(c->worker)) {
		if (sd_event_source_set_time(timer, (now + AWAITED_NS) / 1000) >= 0)
			(void)sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
		return 0;
	}
	turn = web_cron_turn(c, now);
	arm(c);
	if (turn == WEB_CRON_SKIP)
		msg_warn("HTTP worker %s: cron %s: skipped, as the last one still runs",
			 c->worker->row.name, c->line);
	if (turn != WEB_CRON_CALL)
		return 0;
	job = job_new("scheduled", c->line, due);
	if (job)
		job_mark(job, c, now);
	else
		msg_err("HTTP worker %s: cron %s: out of memory", c->worker->row.name, c->line);
	return 0;
}

static struct web_cron *find(struct web_worker *w, const char *line)
{
	struct web_cron *c;

	LIST_FOREACH(c, &w->crons, next)
		if (strcmp(c->line, line) == 0)
			return c;
	return NULL;
}

/* What a sandbox says: a call that is none ends with the worker's timeout, and the instance with it. */
void web_crons_adopt(struct web_instance *i, const json_t *calls)
{
	const json_t *one;
	size_t at;

	json_array_foreach(calls, at, one)
	{
		const char *line = json_string_value(json_object_get(one, "cron"));
		const json_int_t id = json_integer_value(json_object_get(one, "id"));
		const json_int_t time_ms = json_integer_value(json_object_get(one, "time_ms"));
		struct web_cron *c = line ? find(i->version->worker, line) : NULL;
		struct web_job *job;

		if (!c || c->job || id <= 0 || time_ms <= 0 ||
		    time_ms > INT64_MAX / (json_int_t)MSEC)
			continue;
		job = job_new("scheduled", c->line, (uint64_t)time_ms * MSEC);
		if (!job)
			return;
		job->cron = c;
		c->job = job;
		web_call_adopt(i, &job->call, id);
	}
}

static void cron_free(struct web_cron *c)
{
	if (c->job)
		c->job->cron = NULL;
	c->timer = sd_event_source_disable_unref(c->timer);
	LIST_REMOVE(c, next);
	free(c);
}

static void add(struct front *f, struct web_worker *w, const char *line)
{
	struct web_cron *c = find(w, line);
	const uint64_t now = util_realtime_ns();
	uint64_t from = MAX(w->in_force.created_ns, w->triggers.changed_ns);
	struct err e = {0};

	if (c) {
		c->named = true;
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c || cron_parse(line, &c->times, &e) < 0 ||
	    store_web_cron_last(f->store, w->row.id, line, &c->last_ns, &e) < 0) {
		msg_err("HTTP worker %s: cron %s: %s", w->row.name, line,
			c ? e.msg : "out of memory");
		free(c);
		return;
	}
	c->f = f;
	c->worker = w;
	c->named = true;
	(void)snprintf(c->line, sizeof(c->line), "%s", line);
	/* What it missed before it was deployed does not count. */
	web_cron_plan(c, c->last_ns > from ? c->last_ns : from);
	web_cron_settle(c, now);
	LIST_INSERT_HEAD(&w->crons, c, next);
	arm(c);
}

void web_crons_switch(struct front *f, struct web_worker *w)
{
	struct web_version *serving[WEB_SPLIT_MAX];
	unsigned percent[WEB_SPLIT_MAX], n = web_serving(w, serving, percent);
	struct web_cron *c, *next;
	const json_t *line;
	size_t at;

	LIST_FOREACH(c, &w->crons, next)
		c->named = false;
	for (unsigned i = 0; i < n; i++) {
		if (web_version_open(serving[i], NULL) < 0)
			continue;
		json_array_foreach(web_crons(serving[i]), at, line)
			add(f, w, json_string_value(line));
	}
	for (c = LIST_FIRST(&w->crons); c; c = next) {
		next = LIST_NEXT(c, next);
		if (!c->named)
			cron_free(c);
	}
}

void web_crons_free(struct web_worker *w)
{
	while (!LIST_EMPTY(&w->crons))
		cron_free(LIST_FIRST(&w->crons));
}

json_t *web_crons_json(const struct web_worker *w)
{
	json_t *all = json_array();
	const struct web_cron *c;

	LIST_FOREACH(c, &w->crons, next)
		(void)json_array_insert_new(
			all, 0,
			json_pack("{s:s, s:I, s:I, s:b, s:s, s:s, s:f, s:i}", "cron", c->line,
				  "next_ns", (json_int_t)c->next_ns, "last_ns",
				  (json_int_t)c->last_ns, "running", c->job != NULL, "outcome",
				  !c->ended ? ""
				  : c->ok   ? "ok"
					    : "exception",
				  "message", c->message, "took_ms", (double)c->took_ns / MSEC,
				  "skipped", (int)c->skipped));
	return all;
}

/* What can be asked. */

static int begin(struct call *c, struct web_worker *w, const char *handler, const char *line,
		 struct err *e)
{
	struct web_cron *cron = line ? find(w, line) : NULL;
	const uint64_t now = util_realtime_ns();
	struct web_version *v = choose(w, cron ? line : NULL);
	struct web_job *job;

	if (w->going || !v)
		return err_set(e, ERR_CONFLICT, 0, "no version of %s serves", w->row.name);
	if (cron && cron->job)
		return err_set(e, ERR_CONFLICT, 0,
			       "cron: \"%s\" of %s runs: try again when it is over", line,
			       w->row.name);
	job = job_new(handler, line ? line : "", now);
	if (!job)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot call the handler");
	job->waiter = call_later(c, e);
	if (!job->waiter) {
		free(job);
		return -EBUSY;
	}
	if (cron)
		job_mark(job, cron, now);
	else
		job_call(c->f, job, v);
	return 0;
}

/* The first line of a version that serves; NULL: it has none. */
static const char *first_line(struct web_worker *w)
{
	struct web_version *serving[WEB_SPLIT_MAX];
	unsigned percent[WEB_SPLIT_MAX], n = web_serving(w, serving, percent);

	for (unsigned i = 0; i < n; i++)
		if (web_version_open(serving[i], NULL) == 0 &&
		    json_array_size(web_crons(serving[i])))
			return json_string_value(json_array_get(web_crons(serving[i]), 0));
	return NULL;
}

static int verb_trigger(struct call *c, struct err *e)
{
	const char *line = call_string(c, "cron", WEB_CRON_MAX);
	struct web_worker *w;
	struct cron times;
	struct err bad = {0};
	int r;

	if (line && cron_parse(line, &times, &bad) < 0)
		(void)json_strict_fail(c->in, "cron", "%s", bad.msg);
	r = web_call_worker(c, &w, e);
	return r < 0 ? r : begin(c, w, "scheduled", line ? line : first_line(w), e);
}

static int verb_test(struct call *c, struct err *e)
{
	struct web_worker *w;
	int r = web_call_worker(c, &w, e);

	return r < 0 ? r : begin(c, w, "test", NULL, e);
}

static void clock_set(struct front *f, uint64_t now_ns)
{
	struct web_worker *w;
	struct web_cron *c;

	for (struct project *p = f->core->projects; p; p = p->next)
		LIST_FOREACH(w, &p->web->workers, next)
			LIST_FOREACH(c, &w->crons, next) {
				web_cron_settle(c, now_ns);
				arm(c);
			}
}

/* Whoever waits for a call is told that there will be no answer. */
static void stop(struct front *f)
{
	struct web_worker *w;
	struct web_version *v;

	for (struct project *p = f->core->projects; p; p = p->next)
		LIST_FOREACH(w, &p->web->workers, next) {
			web_crons_free(w);
			LIST_FOREACH(v, &w->versions, next)
				web_calls_over(f, v);
		}
}

static const struct listener listener = {.clock_set = clock_set};

/* clang-format off */
static const struct verb verbs[] = {
	{"web_trigger", "POST", WEB_PATH "/workers/{name}/trigger", WHO_PROJECT, verb_trigger,
	 .body = ""},
	{"web_test", "POST", WEB_PATH "/workers/{name}/test", WHO_PROJECT, verb_test, .body = ""},
	{0},
};
/* clang-format on */

const struct capability web_cron_capability = {
	.name = "web_cron",
	.stop = stop,
	.listener = &listener,
	.verbs = verbs,
};
