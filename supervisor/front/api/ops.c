// SPDX-License-Identifier: Apache-2.0
/* The table of operations, and how they answer. */
#include "supervisor/front/api/ops.h"

#include <string.h>
#include <sys/socket.h>

#include "lib/json_raw.h"

/* As in the table of control.h. */
static const struct {
	const char *name;
	op_fn run;
	unsigned fds_max;
} op_table[] = {
	{"version", op_version, 0},
	{"run", op_run, 2},
	{"ps", op_ps, 0},
	{"inspect", op_inspect, 0},
	{"wait", op_wait_task, 0},
	{"cancel", op_cancel, 0},
	{"logs", op_logs, 1},
	{"warm", op_warm, 0},
	{"image_in_use", op_images_in_use, 0},
	{"templates", op_templates, 0},
	{"template_retire", op_template_retire, 0},
	{"rm", op_rm, 0},
	{"prune", op_prune, 0},
	{"project_create", op_project_create, 0},
	{"projects", op_projects, 0},
	{"project_rm", op_project_rm, 0},
	{"project_quota", op_project_quota, 0},
	{"token_create", op_token_create, 0},
	{"tokens", op_tokens, 0},
	{"token_revoke", op_token_revoke, 0},
};

static json_t *error_json(const struct err *e)
{
	/* A message with text that is not UTF-8 must not cost the client its answer. */
	json_t *text = json_string(e->msg);

	return json_pack("{s:b, s:s, s:o}", "ok", 0, "code", err_code_name(e->code), "error",
			 text ? text : json_string("the request holds text that is not UTF-8"));
}

void op_reply(struct op *op, json_t *reply)
{
	if (op->tag && reply)
		(void)json_object_set(reply, "tag", op->tag);
	conn_send(op->req->conn, reply);
}

int op_wait(struct op *op, struct waiter **list, struct waiter **ret, struct err *e)
{
	struct waiter *w = waiter_new(op->req->conn, op->tag);

	if (!w)
		return err_set(e, ERR_LIMIT, 0, "this connection waits for too much already");
	if (list)
		waiter_attach(w, list);
	*ret = w;
	return 0;
}

int op_ask(struct op *op, struct op_asked **ret, struct err *e)
{
	struct op_asked *asked = calloc(1, sizeof(*asked));
	struct waiter *w = NULL;
	int r;

	if (!asked)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot wait for the answer");
	r = op_wait(op, &asked->waiters, &w, e);
	if (r < 0) {
		free(asked);
		return r;
	}
	*ret = asked;
	return 0;
}

void op_ask_no_more(struct op_asked *asked)
{
	if (asked && asked->waiters)
		waiter_free(asked->waiters);
	free(asked);
}

int op_id(struct op *op, char ret[TASK_ID_LEN + 1], struct err *e)
{
	const char *id = json_strict_string(op->in, "id", TASK_ID_LEN);
	int r;

	if (!id)
		(void)json_strict_fail(op->in, "id", "must be given");
	r = json_strict_end(op->in);
	return r < 0 ? r : registry_resolve(op->f, id, ret, e);
}

int op_check_follower(const struct op *op, unsigned i, struct err *e)
{
	int type = 0, domain = 0;
	socklen_t len = sizeof(type);

	if (i >= op->req->n_fds)
		return err_set(e, ERR_INPUT, 0, "the socket for the log was not sent along");
	if (getsockopt(op->req->fds[i], SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    getsockopt(op->req->fds[i], SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
	    type != SOCK_STREAM || domain != AF_UNIX)
		return err_set(e, ERR_INPUT, 0,
			       "the descriptor for the log must be a unix stream socket");
	return 0;
}

static int handle(struct op *op, struct err *e)
{
	const char *name = json_strict_string(op->in, "op", 32);
	char shown[64];

	op->tag = json_strict_get(op->in, "tag");
	if (op->tag && !json_is_integer(op->tag)) {
		op->tag = NULL;
		(void)json_strict_fail(op->in, "tag", "must be an integer");
	}
	if (!name)
		(void)json_strict_fail(op->in, "op", "must be given");
	if (!name || op->in->status < 0)
		return op->in->status;
	for (size_t i = 0; i < ARRAY_SIZE(op_table); i++) {
		if (strcmp(op_table[i].name, name) != 0)
			continue;
		if (op->req->n_fds > op_table[i].fds_max)
			return err_set(e, ERR_INPUT, 0, "%s takes at most %u descriptors, not %u",
				       name, op_table[i].fds_max, op->req->n_fds);
		return op_table[i].run(op, e);
	}
	return err_set(e, ERR_INPUT, 0,
		       "there is no operation \"%s\": sandboxctl and sandboxd are of different "
		       "releases, or this is no sandboxctl",
		       json_strict_escape(name, shown, sizeof(shown)));
}

void ops_handle(struct front *f, struct request *req)
{
	static const char *const raw[] = {"task.payload", NULL}; /* as task_spec_load has it */
	json_auto_t *doc = NULL;
	struct json_strict in;
	struct op op = {.f = f, .req = req, .in = &in};
	struct err e = {0};
	int r;

	r = json_raw_load("request", req->text, req->len, CONTROL_FRAME_MAX, raw, true, &doc, &e);
	if (r == 0)
		r = json_strict_begin(&in, "request", doc, &e);
	if (r == 0)
		r = handle(&op, &e);
	if (r < 0)
		op_reply(&op, error_json(&e));
}

void ops_answer_all(struct waiter **list, json_t *reply, const struct err *e)
{
	while (*list) {
		struct waiter *w = *list;

		waiter_send(w, reply ? json_copy(reply) : error_json(e));
		waiter_free(w);
	}
	json_decref(reply);
}

static void on_started(struct front *f, struct task *t)
{
	(void)f;
	for (struct waiter *w = t->waiters; w; w = w->next) {
		json_t *task;

		if (!w->started || w->accepted)
			continue;
		w->started = false;
		task = task_json(&t->rec, t->project);
		waiter_send(w, json_pack("{s:b, s:s, s:s, s:O, s:O}", "ok", 1, "event", "started",
					 "id", t->rec.id, "start", json_object_get(task, "start"),
					 "warning", json_object_get(task, "warning")));
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
		waiter_send(w, json_pack("{s:b, s:s, s:s}", "ok", 1, "event", "accepted", "id",
					 t->rec.id));
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
		waiter_send(w, json_pack("{s:b, s:s, s:s, s:O}", "ok", 1, "event", "finished", "id",
					 t->rec.id, "task", task));
		waiter_free(w);
	}
	json_decref(task);
}

static void on_dropped(struct front *f, struct task *t, const struct err *why)
{
	(void)f;
	ops_answer_all(&t->waiters, NULL, why);
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
		reply = json_pack("{s:b, s:s, s:b, s:f, s:I}", "ok", 1, "key", m->key, "existed",
				  m->existed, "dump_ms", (double)m->dump_us / 1000, "bytes",
				  (json_int_t)m->bytes);
	ops_answer_all(&w->waiters, reply, &e);
}

const struct listener ops_listener = {.written = on_written,
				      .started = on_started,
				      .ended = on_ended,
				      .dropped = on_dropped,
				      .warmed = on_warmed};
