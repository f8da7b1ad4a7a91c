// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/api/call.h"

#include <string.h>

#include "lib/json_raw.h"
#include "supervisor/front/api/verbs.h"
#include "supervisor/front/serve/http/uri.h"

/* A parameter of the query; NULL: there is none, or it is given elsewhere too. */
static const char *call_param(struct call *c, const char *key)
{
	const char *text = c->http ? http_param(c->http, key) : NULL;

	if (!text || !json_object_get(c->in->obj, key))
		return text;
	(void)json_strict_fail(c->in, key, "is given in the query, and in the path or the body");
	return NULL;
}

json_t *call_get(struct call *c, const char *key)
{
	const char *param = call_param(c, key);
	json_t *v;

	if (param)
		(void)json_object_set_new(c->in->obj, key, json_string(param));
	v = json_strict_get(c->in, key);
	if (!json_is_null(v))
		return v;
	(void)json_object_del(c->in->obj, key);
	return NULL;
}

const char *call_string(struct call *c, const char *key, size_t max_len)
{
	return call_get(c, key) ? json_strict_string(c->in, key, max_len) : NULL;
}

const char *call_note(struct call *c, const char *key, size_t max_len)
{
	return call_get(c, key) ? json_strict_note(c->in, key, max_len) : NULL;
}

bool call_bool(struct call *c, const char *key, bool *ret)
{
	const char *param = call_param(c, key);

	if (!param)
		return call_get(c, key) && json_strict_bool(c->in, key, ret);
	if (strcmp(param, "1") == 0 || strcmp(param, "true") == 0)
		*ret = true;
	else if (strcmp(param, "0") == 0 || strcmp(param, "false") == 0)
		*ret = false;
	else
		(void)json_strict_fail(c->in, key, "must be true or false");
	return c->in->status == 0;
}

bool call_int(struct call *c, const char *key, int64_t min, int64_t max, int64_t *ret)
{
	const char *param = call_param(c, key);
	uint64_t n;

	if (!param)
		return call_get(c, key) && json_strict_int(c->in, key, min, max, ret);
	if (http_number(param, &n) < 0 || n > INT64_MAX || (int64_t)n < min || (int64_t)n > max)
		(void)json_strict_fail(c->in, key, "must be a whole number from %lld to %lld",
				       (long long)min, (long long)max);
	else
		*ret = (int64_t)n;
	return c->in->status == 0;
}

json_t *call_array(struct call *c, const char *key, size_t max_items)
{
	return call_get(c, key) ? json_strict_array(c->in, key, max_items) : NULL;
}

void call_project(struct call *c)
{
	const char *name = call_string(c, "project", PROJECT_NAME_MAX);

	if (!name) {
		(void)json_strict_fail(c->in, "project", "must be given");
		return;
	}
	/* A path names it by its id: a project that is called like another's id is not meant. */
	c->project = c->http ? project_by_id(c->f, name) : project_find(c->f, name);
	c->missing = c->project ? NULL : name;
}

const char *call_id(struct call *c)
{
	const char *id = call_string(c, "id", 255);

	if (!id)
		(void)json_strict_fail(c->in, "id", "must be given");
	return id;
}

int call_end(struct call *c, struct err *e)
{
	char shown[80];
	int r = json_strict_end(c->in);

	if (r < 0)
		return r;
	if (c->missing)
		return err_set(e, ERR_NOT_FOUND, 0, "there is no project \"%s\"",
			       util_escape(c->missing, shown, sizeof(shown)));
	return 0;
}

int call_end_project(struct call *c, struct err *e)
{
	call_project(c);
	return call_end(c, e);
}

int call_project_and_id(struct call *c, const char **ret_id, struct err *e)
{
	*ret_id = call_id(c);
	return call_end_project(c, e);
}

void call_reply(struct call *c, json_t *reply)
{
	client_reply(&c->client, reply);
}

void call_message(struct call *c, const char *msg)
{
	call_reply(c, json_pack("{s:s}", "msg", msg));
}

struct waiter *call_later(struct call *c, struct err *e)
{
	return waiter_new(&c->client, e);
}

int call_when(struct waiter *w, struct change *change, json_t *reply)
{
	if (change) {
		waiter_end_when(w, change, reply);
		return 0;
	}
	json_decref(reply);
	waiter_free(w);
	return -ECANCELED;
}

int call_reply_when(struct call *c, struct change *change, json_t *reply, struct err *e)
{
	struct waiter *w = call_later(c, e);

	if (w)
		return call_when(w, change, reply);
	json_decref(reply);
	return -EBUSY;
}

const struct verb *verb_find(const struct front *f, const char *op)
{
	for (const struct capability *const *c = f->capabilities; *c; c++)
		for (const struct verb *v = (*c)->verbs; v && v->run; v++)
			if (v->op && strcmp(v->op, op) == 0)
				return v;
	return NULL;
}

/* Reads the frame, and calls the verb that it names. */
static int control_run(struct call *c, const struct request *req, json_t **doc, struct err *e)
{
	static const char *const raw[] = {"task.payload", NULL}; /* as task_spec_load has it */
	char shown[64];
	const char *op;
	json_t *tag;
	int r;

	r = json_raw_load("request", req->text, req->len, CONTROL_FRAME_MAX, raw, true, doc, e);
	if (r < 0)
		return r;
	r = json_strict_begin(c->in, "request", *doc, e);
	if (r < 0)
		return r;
	op = json_strict_string(c->in, "op", 32);
	tag = json_strict_get(c->in, "tag");
	if (tag && !json_is_integer(tag))
		(void)json_strict_fail(c->in, "tag", "must be an integer");
	else
		c->client.tag = tag;
	if (!op)
		return json_strict_fail(c->in, "op", "must be given");
	if (c->in->status < 0)
		return c->in->status;

	c->verb = verb_find(c->f, op);
	if (!c->verb)
		return err_set(e, ERR_INPUT, 0,
			       "there is no operation \"%s\": sandboxctl and sandboxd are of "
			       "different releases, or this is no sandboxctl",
			       util_escape(op, shown, sizeof(shown)));
	if (c->n_fds > c->verb->fds_max)
		return err_set(e, ERR_INPUT, 0, "%s takes at most %u descriptors, not %u", op,
			       c->verb->fds_max, c->n_fds);
	return c->verb->run(c, e);
}

/* Whoever may connect is an operator: the socket is root's and its group's. */
void call_by_control(struct front *f, struct request *req)
{
	json_auto_t *doc = NULL;
	struct json_strict in = {0};
	struct call c = {.f = f,
			 .client = {.f = f, .conn = req->conn},
			 .in = &in,
			 .is_operator = true,
			 .fds = req->fds,
			 .n_fds = req->n_fds,
			 .uid = conn_uid(req->conn),
			 .received_ns = req->received_ns};
	struct err e = {0};

	if (control_run(&c, req, &doc, &e) < 0)
		client_fail(&c.client, &e);
}

static bool is_blank(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!text[i] || !strchr(" \t\r\n", text[i]))
			return false;
	return true;
}

/* The body as what was given: its members, or the value of one key. */
static int read_body(struct http_request *r, const char *key, json_t **ret, struct err *e)
{
	json_t *doc = NULL;
	int res;

	*ret = json_object();
	if (r->route->reader == &call_json_reader)
		doc = TAKE_PTR(r->read);
	if (!key || (!doc && is_blank(r->body, r->len)))
		return 0;
	res = doc ? 0 : json_strict_load("request", r->body, r->len, HTTP_BODY_MAX, &doc, e);
	if (res < 0)
		return res;
	if (*key)
		return json_object_set_new(*ret, key, doc) < 0
			       ? err_set(e, ERR_SYSTEM, ENOMEM, "request")
			       : 0;
	json_decref(*ret);
	*ret = doc;
	return 0;
}

static int json_read(const char *text, size_t len, bool strict, void **ret, struct err *e)
{
	json_t *doc = NULL;
	int r = is_blank(text, len)
			? 0
			: json_strict_load("request", text, len, HTTP_BODY_MAX, &doc, e);

	(void)strict;
	*ret = doc;
	return r;
}

void call_json_free(void *what)
{
	json_decref(what);
}

const struct http_reader call_json_reader = {.read = json_read, .free = call_json_free};

/* What stands in the path, by the names that the row gives it. */
static void read_path(struct json_strict *in, const struct http_request *r)
{
	const char *at = r->route->path;
	char name[32];

	for (unsigned i = 0; i < HTTP_PARTS_MAX && (at = strchr(at, '{')); i++) {
		size_t len;

		at += at[1] == '+' ? 2 : 1;
		len = strcspn(at, "}");
		if (len == 0 || len >= sizeof(name))
			continue;
		memcpy(name, at, len);
		name[len] = '\0';
		if (json_object_get(in->obj, name))
			(void)json_strict_fail(in, name, "is given in the path, and in the body");
		(void)json_object_set_new(in->obj, name, json_string(r->parts[i]));
	}
}

int call_by_http(struct http_request *r, struct err *e)
{
	const struct verb *verb = r->route->verb;
	json_auto_t *doc = NULL;
	struct json_strict in = {0};
	struct call c = {
		.f = r->f,
		.verb = verb,
		.client = {.f = r->f, .http = r, .status = verb->status, .shape = verb->shape},
		.in = &in,
		.http = r,
		.project = r->project,
		.is_operator = r->operator,
		.lenient = r->route->lenient,
		.uid = getuid()};
	int res;

	res = read_body(r, verb->body, &doc, e);
	if (res < 0)
		return res;
	res = json_strict_begin(&in, "request", doc, e);
	if (res < 0)
		return res;
	read_path(&in, r);
	return in.status < 0 ? in.status : verb->run(&c, e);
}
