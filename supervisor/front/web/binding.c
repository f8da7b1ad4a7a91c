// SPDX-License-Identifier: Apache-2.0
/*
 * What the code of a run asks for by its bindings: {"op": "ask", "id", "binding", "method", ...}.
 * Which bindings it has, and what they lead to, its version's manifest says; a run is known by
 * its channel, so there is no token in the sandbox.
 */
#include <string.h>

#include "supervisor/front/web/web.h"

/* Asks of one run that are not answered yet. */
#define ASKS_MAX 64u

/* By type; a type that is not here is not served. */
static const struct {
	enum binding_type type;
	void (*ask)(struct web_channel *c, const struct manifest_binding *b, json_int_t id,
		    json_t *head);
} servers[] = {
	{BINDING_KV, web_kv_ask},
	{BINDING_SERVICE, web_service_ask},
	{BINDING_ASSETS, web_service_ask},
	{BINDING_RATELIMIT, web_rate_ask},
};

/* NULL: it has gone, and with it whoever waits. */
static struct web_channel *waiting(struct front *f, const char *run)
{
	struct web_channel *c = web_channel_of_run(f, run);

	if (!c || c->line.fd < 0 || c->n_asks == 0)
		return NULL;
	c->n_asks--;
	return c;
}

void web_answer(struct front *f, const char *run, json_int_t id, json_t *head, const void *body,
		size_t len)
{
	struct web_channel *c = waiting(f, run);

	if (!c) {
		json_decref(head);
		return;
	}
	(void)json_object_update_new(
		head, json_pack("{s:s, s:I, s:b}", "op", "answer", "id", id, "ok", 1));
	web_channel_send(c, head, body, len);
}

void web_answer_taken(struct front *f, const char *run, json_int_t id, json_t *head, void *body,
		      size_t len)
{
	struct web_channel *c = waiting(f, run);

	if (!c) {
		json_decref(head);
		free(body);
		return;
	}
	(void)json_object_update_new(
		head, json_pack("{s:s, s:I, s:b}", "op", "answer", "id", id, "ok", 1));
	web_channel_send_taken(c, head, body, len);
}

void web_answer_error(struct front *f, const char *run, json_int_t id, const char *type,
		      const char *message)
{
	struct web_channel *c = waiting(f, run);

	if (c)
		web_channel_send(c,
				 json_pack("{s:s, s:I, s:b, s:s, s:s}", "op", "answer", "id", id,
					   "ok", 0, "error", type, "message", message),
				 NULL, 0);
}

static const struct manifest_binding *find(const struct worker_manifest *m, const char *name)
{
	for (size_t i = 0; i < m->n_bindings; i++)
		if (strcmp(m->bindings[i].name, name) == 0)
			return &m->bindings[i];
	return NULL;
}

static void take_ask(struct web_channel *c, json_t *head)
{
	const json_int_t id = json_integer_value(json_object_get(head, "id"));
	const char *name = json_string_value(json_object_get(head, "binding"));
	const struct manifest_binding *b = name ? find(&c->version->manifest, name) : NULL;

	/* The runtime never asks for more at a time: this is somebody else's code. */
	if (c->n_asks >= ASKS_MAX) {
		c->line.dead = true;
		web_channel_send(c, json_object(), NULL, 0);
		return;
	}
	c->n_asks++;
	if (!b) {
		web_answer_error(c->f, c->run, id, "TypeError", "the worker has no such binding");
		return;
	}
	for (size_t n = 0; n < ARRAY_SIZE(servers); n++)
		if (servers[n].type == b->type) {
			servers[n].ask(c, b, id, head);
			return;
		}
	web_answer_error(c->f, c->run, id, "Error", "this kind of binding is not served here");
}

bool web_binding_take(struct web_channel *c, const char *op, json_t *head)
{
	if (strcmp(op, "ask") == 0)
		take_ask(c, head);
	else if (strcmp(op, "piece") == 0 || strcmp(op, "took") == 0 || strcmp(op, "cancel") == 0)
		web_service_take(c, op, head);
	else
		return false;
	return true;
}
