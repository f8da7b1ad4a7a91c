// SPDX-License-Identifier: Apache-2.0
/* A worker of this command: its job, what its code says, and what it asks for. */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "kv/kv.h"
#include "supervisor/ctl/serve/serve.h"

#define ENTRY "_sandboxd_http.instance:main"
#define WARM_MODULE_OURS "_sandboxd_http.warm"
#define CONCURRENCY 100
#define TIMEOUT_S 60
/* What a run may have asked for at a time: its own code never asks for more. */
#define ASKS_MAX 64u
#define LIMIT_KEYS_MAX 10000u

struct pending_call {
	LIST_ENTRY(pending_call) next;
	json_int_t id;
	serve_called done;
	void *arg;
};

/* Of a binding of rate limits: how often a key has come in the period that runs. */
struct limited {
	LIST_ENTRY(limited) next;
	const struct manifest_binding *binding;
	uint64_t period;
	json_t *counts;
};

struct serve_worker {
	struct serve_worker_spec spec;
	struct serve_worker_calls calls;
	void *arg;
	struct served *run;
	LIST_HEAD(, serve_ask) asks;
	unsigned n_asks;
	LIST_HEAD(, pending_call) pending;
	LIST_HEAD(, limited) limits;
	json_int_t last_call;
	json_t *handlers; /* that it has; NULL: it was not ready yet */
	/* By it the worker knows a request of this command's from one of a client's. */
	char key[SERVE_KEY_LEN + 1];
};

static void ask_free(struct serve_ask *a)
{
	if (a->worker) {
		LIST_REMOVE(a, next);
		a->worker->n_asks--;
		served_hold(a->worker->run, 0, a->len);
	}
	json_decref(a->head);
	free(a->body);
	free(a);
}

void serve_answer(struct serve_ask *a, json_t *head, const void *body, size_t len)
{
	(void)json_object_update_new(
		head, json_pack("{s:s, s:I, s:b}", "op", "answer", "id", a->id, "ok", 1));
	if (a->worker)
		served_send(a->worker->run, head, body, len);
	else
		json_decref(head);
	ask_free(a);
}

void serve_answer_error(struct serve_ask *a, const char *type, const char *message)
{
	json_t *text = json_string(message);

	if (a->worker)
		served_send(a->worker->run,
			    json_pack("{s:s, s:I, s:b, s:s, s:o}", "op", "answer", "id", a->id,
				      "ok", 0, "error", type, "message",
				      text ? text : json_string("it has failed")),
			    NULL, 0);
	else
		json_decref(text);
	ask_free(a);
}

static void limit_ask(struct serve_worker *w, struct serve_ask *a)
{
	const struct manifest_binding *b = a->binding;
	const char *key = json_string_value(json_object_get(a->head, "key"));
	const uint64_t period = util_monotonic_ns() / SEC / (b->period_s ? b->period_s : 60);
	struct limited *l;
	json_int_t n;

	LIST_FOREACH(l, &w->limits, next)
		if (l->binding == b)
			break;
	if (!l) {
		l = calloc(1, sizeof(*l));
		if (l) {
			l->binding = b;
			LIST_INSERT_HEAD(&w->limits, l, next);
		}
	}
	if (!l || !key) {
		serve_answer_error(a, "TypeError", "the key of a rate limit must be a text");
		return;
	}
	if (!l->counts || l->period != period || json_object_size(l->counts) >= LIMIT_KEYS_MAX) {
		json_decref(l->counts);
		l->counts = json_object();
		l->period = period;
	}
	n = json_integer_value(json_object_get(l->counts, key)) + 1;
	(void)json_object_set_new(l->counts, key, json_integer(n));
	serve_answer(a, json_pack("{s:b}", "success", n <= (json_int_t)b->limit), NULL, 0);
}

/* The namespace that a binding names, or the worker's own. */
static void kv_ask(struct serve_worker *w, struct serve_ask *a)
{
	_cleanup_kv_reply_ struct kv_reply reply = {0};
	char own[256];

	(void)snprintf(own, sizeof(own), "%s-%s", w->spec.name, a->binding->name);
	if (w->spec.kv)
		kv_answer(w->spec.kv, a->binding->target ? a->binding->target : own, a->head,
			  a->body, a->len, &reply);
	else
		kv_refuse(&reply, "Error", "there is no KV here");
	if (reply.type)
		serve_answer_error(a, reply.type, reply.message);
	else
		serve_answer(a, TAKE_PTR(reply.head), reply.body, reply.len);
}

static const struct manifest_binding *find_binding(const struct worker_manifest *m,
						   const char *name)
{
	for (size_t i = 0; i < m->n_bindings; i++)
		if (strcmp(m->bindings[i].name, name) == 0)
			return &m->bindings[i];
	return NULL;
}

static void take_ask(struct serve_worker *w, json_t *head, const void *body, size_t len)
{
	const char *name = ctl_text(head, "binding");
	struct serve_ask *a = w->n_asks < ASKS_MAX ? calloc(1, sizeof(*a)) : NULL;

	if (!a || !(a->body = malloc(len + 1))) {
		free(a);
		served_end(w->run);
		return;
	}
	if (len)
		memcpy(a->body, body, len);
	a->body[len] = '\0';
	a->len = len;
	a->head = json_incref(head);
	a->id = json_integer_value(json_object_get(head, "id"));
	a->worker = w;
	LIST_INSERT_HEAD(&w->asks, a, next);
	w->n_asks++;
	served_hold(w->run, len, 0);
	a->binding = *name ? find_binding(&w->spec.made->manifest, name) : NULL;
	if (!*name && w->spec.outbound) {
		w->calls.ask(w->arg, a);
		return;
	}
	if (!a->binding) {
		serve_answer_error(a, "TypeError", "the worker has no such binding");
		return;
	}
	switch (a->binding->type) {
	case BINDING_KV:
		kv_ask(w, a);
		break;
	case BINDING_RATELIMIT:
		limit_ask(w, a);
		break;
	case BINDING_SERVICE:
	case BINDING_ASSETS:
		w->calls.ask(w->arg, a);
		break;
	default:
		serve_answer_error(a, "Error", "this kind of binding is not served here");
		break;
	}
}

static void take_done(struct serve_worker *w, const json_t *head)
{
	const json_int_t id = json_integer_value(json_object_get(head, "id"));
	struct pending_call *c;

	LIST_FOREACH(c, &w->pending, next)
		if (c->id == id)
			break;
	if (!c)
		return;
	LIST_REMOVE(c, next);
	c->done(c->arg, json_is_true(json_object_get(head, "ok")), ctl_text(head, "message"),
		ctl_text(head, "traceback"));
	free(c);
}

static void take_ready(struct serve_worker *w, const json_t *head)
{
	json_decref(w->handlers);
	w->handlers = json_incref(json_object_get(head, "handlers"));
	w->calls.ready(w->arg, json_number_value(json_object_get(head, "import_ms")));
}

bool serve_worker_has(const struct serve_worker *w, const char *handler)
{
	const json_t *name;
	size_t i;

	json_array_foreach(w->handlers, i, name) if (strcmp(json_string_value(name) ?: "",
							    handler) == 0) return true;
	return false;
}

static void take_failed(struct serve_worker *w, const json_t *head)
{
	const struct serve_failure f = {
		.message = ctl_text(head, "message"),
		.file = ctl_text(head, "file"),
		.traceback = ctl_text(head, "traceback"),
		.line = json_integer_value(json_object_get(head, "line")),
		.serves = json_is_true(json_object_get(head, "serves")),
	};

	w->calls.failed(w->arg, &f);
}

static void frame(void *arg, const char *op, json_t *head, const void *body, size_t len)
{
	struct serve_worker *w = arg;

	if (strcmp(op, "ask") == 0)
		take_ask(w, head, body, len);
	else if (strcmp(op, "ready") == 0)
		take_ready(w, head);
	else if (strcmp(op, "failed") == 0)
		take_failed(w, head);
	else if (strcmp(op, "done") == 0)
		take_done(w, head);
	else if ((strcmp(op, "event") == 0 || strcmp(op, "request") == 0) && w->calls.event)
		w->calls.event(w->arg, head);
}

static void started(void *arg, const char *mode, double ms)
{
	struct serve_worker *w = arg;

	if (w->calls.started)
		w->calls.started(w->arg, mode, ms);
}

static void worker_free(struct serve_worker *w)
{
	struct serve_ask *a;
	struct limited *l;

	/* They are answered into nothing, by whoever has them. */
	while ((a = LIST_FIRST(&w->asks))) {
		LIST_REMOVE(a, next);
		a->worker = NULL;
		a->binding = NULL;
	}
	while ((l = LIST_FIRST(&w->limits))) {
		LIST_REMOVE(l, next);
		json_decref(l->counts);
		free(l);
	}
	json_decref(w->spec.secrets);
	json_decref(w->handlers);
	free(w);
}

static void over(void *arg, const char *error, int exit_code)
{
	struct serve_worker *w = arg;
	const struct serve_worker_calls calls = w->calls;
	struct pending_call *c;
	void *whose = w->arg;

	while ((c = LIST_FIRST(&w->pending))) {
		LIST_REMOVE(c, next);
		c->done(c->arg, false, *error ? error : "the worker has ended", "");
		free(c);
	}
	worker_free(w);
	calls.over(whose, error, exit_code);
}

static json_t *payload_of(const struct serve_worker_spec *s)
{
	const struct worker_manifest *m = &s->made->manifest;
	json_t *flags = json_object_get(m->doc, "compatibility_flags");
	json_t *bindings = json_object_get(m->doc, "bindings");

	json_t *job = json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:b, s:b, s:O*, s:O*, s:s*}",
		"worker", m->name, "project", s->project, "version", "local", "instance", s->name,
		"main", m->main, "main_file", m->main_file, "isolation", "instance",
		"compatibility_date", m->date, "concurrency",
		m->sandbox.concurrency ? (int)m->sandbox.concurrency : CONCURRENCY, "timeout_s",
		m->sandbox.timeout_s ? (int)m->sandbox.timeout_s : TIMEOUT_S, "trace", s->trace,
		"outbound", s->outbound, "compatibility_flags", flags, "bindings", bindings,
		"inner_key", s->inner_key);

	if (job && s->job)
		(void)json_object_update(job, s->job);
	return job;
}

/* What is imported ahead. */
static json_t *warm_of(const struct serve_worker_spec *s)
{
	json_t *all = json_pack("[s]", WARM_MODULE_OURS);

	for (const char *at = s->baseline ? "" : s->made->manifest.imports; *at;) {
		const size_t len = strcspn(at, "\n");

		(void)json_array_append_new(all, json_stringn(at, len));
		at += len + (at[len] == '\n');
	}
	return all;
}

json_t *serve_worker_task(const struct serve_worker_spec *s)
{
	const struct manifest_sandbox *box = &s->made->manifest.sandbox;
	json_auto_t *payload = payload_of(s);
	_cleanup_free_ char *text = payload ? json_dumps(payload, JSON_COMPACT) : NULL;
	json_t *limits = json_object();
	char memory[32];

	if (box->memory) {
		(void)snprintf(memory, sizeof(memory), "%llu", (unsigned long long)box->memory);
		(void)json_object_set_new(limits, "memory", json_string(memory));
	}
	if (box->cpu_milli)
		(void)json_object_set_new(limits, "cpus", json_real(box->cpu_milli / 1000.0));
	return json_pack("{s:s, s:s, s:s*, s:{s:o}, s:s, s:o}", "entry", ENTRY, "payload", text,
			 "policy", box->policy, "warm", "imports", warm_of(s), "label", s->name,
			 "limits", limits);
}

int serve_key_make(char key[SERVE_KEY_LEN + 1])
{
	uint8_t bytes[SERVE_KEY_LEN / 2];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -EIO;
	util_hex(bytes, sizeof(bytes), key);
	return 0;
}

int serve_worker_start(struct ctl *ctl, sd_event *loop, const struct serve_worker_spec *spec,
		       const struct serve_worker_calls *calls, void *arg, struct serve_worker **ret,
		       struct err *e)
{
	static const struct served_calls run_calls = {
		.frame = frame, .started = started, .over = over};
	const struct worker_manifest *m = &spec->made->manifest;
	struct serve_worker *w = calloc(1, sizeof(*w));
	struct served_spec run = {.project = spec->project,
				  .image = m->sandbox.image ? m->sandbox.image : "web",
				  .package_fd = spec->made->package_fd,
				  .input_fd = -1};
	int r;

	if (!w || (!spec->inner_key && serve_key_make(w->key) < 0)) {
		free(w);
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot start a worker");
	}
	w->spec = *spec;
	if (spec->inner_key)
		(void)snprintf(w->key, sizeof(w->key), "%s", spec->inner_key);
	w->spec.inner_key = w->key;
	w->spec.secrets = json_incref(spec->secrets);
	run.task = serve_worker_task(&w->spec);
	w->calls = *calls;
	w->arg = arg;
	r = run.task ? served_start(ctl, loop, &run, &run_calls, w, &w->run, e)
		     : err_set(e, ERR_SYSTEM, ENOMEM, "cannot start a worker");
	json_decref(run.task);
	if (r < 0) {
		worker_free(w);
		return r;
	}
	served_send(w->run,
		    json_pack("{s:s, s:o}", "op", "hello", "secrets",
			      spec->secrets ? json_incref(spec->secrets) : json_object()),
		    NULL, 0);
	if (spec->tail)
		served_send(w->run, json_pack("{s:s, s:b}", "op", "tail", "on", 1), NULL, 0);
	*ret = w;
	return 0;
}

void serve_worker_connect(struct serve_worker *w, served_connected done, void *arg)
{
	served_connect(w->run, done, arg);
}

const char *serve_worker_key(const struct serve_worker *w)
{
	return w->key;
}

struct call_of {
	const char *handler, *cron, *entrypoint;
	json_int_t time_ms;
	unsigned depth;
};

static void call(struct serve_worker *w, const struct call_of *of, serve_called done, void *arg)
{
	struct pending_call *c = calloc(1, sizeof(*c));

	if (!c) {
		done(arg, false, "out of memory", "");
		return;
	}
	*c = (struct pending_call){.id = ++w->last_call, .done = done, .arg = arg};
	LIST_INSERT_HEAD(&w->pending, c, next);
	served_send(
		w->run,
		json_pack("{s:s, s:I, s:s, s:s*, s:s*, s:I, s:i}", "op", "call", "id", c->id,
			  "handler", of->handler, "cron", of->cron, "entrypoint", of->entrypoint,
			  "time_ms",
			  of->time_ms > 0 ? of->time_ms : (json_int_t)(util_realtime_ns() / MSEC),
			  "depth", (int)of->depth),
		NULL, 0);
}

void serve_worker_call(struct serve_worker *w, const char *handler, const char *cron,
		       serve_called done, void *arg)
{
	call(w, &(struct call_of){.handler = handler, .cron = cron}, done, arg);
}

static void scheduled(void *arg, bool ok, const char *message, const char *traceback)
{
	(void)message;
	(void)traceback;
	serve_answer(arg, json_pack("{s:s}", "outcome", ok ? "ok" : "exception"), NULL, 0);
}

void serve_worker_scheduled(struct serve_worker *w, struct serve_ask *a)
{
	struct call_of of = {.handler = "scheduled",
			     .cron = json_string_value(json_object_get(a->head, "cron")),
			     .entrypoint = a->binding ? a->binding->entrypoint : NULL,
			     .time_ms = json_integer_value(json_object_get(a->head, "time_ms"))};

	if (serve_ask_depth(a, &of.depth))
		call(w, &of, scheduled, a);
}

void serve_worker_drain(struct serve_worker *w)
{
	served_send(w->run, json_pack("{s:s}", "op", "drain"), NULL, 0);
}

void serve_worker_end(struct serve_worker *w)
{
	served_end(w->run);
}
