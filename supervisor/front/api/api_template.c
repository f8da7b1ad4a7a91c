// SPDX-License-Identifier: Apache-2.0
/* Templates, and the checkpoints that they come out of. The monitor is asked. */
#include <string.h>

#include "supervisor/front/api/api.h"
#include "supervisor/front/run/api_stats.h"

static void say_list(void *arg, json_t *rows, const struct err *e)
{
	struct http_request *r = iron_later_take(arg);

	if (r && e)
		iron_fail(r, e);
	else if (r)
		http_json(r, 200, json_pack("{s:O}", "templates", rows));
}

static void say_retired(void *arg, json_t *rows, const struct err *e)
{
	struct http_request *r = iron_later_take(arg);

	if (r && e)
		iron_fail(r, e);
	else if (r)
		http_json(r, 200, json_pack("{s:s, s:O}", "msg", "Retired", "templates", rows));
}

static bool is_of(json_t *checkpoint, json_t *template)
{
	return json_equal(json_object_get(checkpoint, "key"),
			  json_object_get(template, "checkpoint"));
}

static void add_cost(const struct front *f, const char *key, json_t *checkpoint)
{
	uint64_t us, bytes;

	if (!api_checkpoint_cost(f, key, &us, &bytes))
		return;
	if (us)
		(void)json_object_set_new(checkpoint, "dump_ms", json_real((double)us / 1000));
	(void)json_object_set_new(checkpoint, "bytes", json_integer((json_int_t)bytes));
}

static void add_checkpoint(const struct front *f, json_t *list, json_t *template)
{
	const char *key = json_string_value(json_object_get(template, "checkpoint"));
	json_t *have;
	size_t i;

	/* A warm-up, or one that is not there yet. */
	if (!key || !*key)
		return;
	json_array_foreach(list, i, have)
	{
		json_t *n = json_object_get(have, "templates");

		if (!is_of(have, template))
			continue;
		(void)json_integer_set(n, json_integer_value(n) + 1);
		return;
	}
	have = json_pack("{s:s, s:s, s:O, s:O, s:O, s:O, s:i, s:n, s:n}", "key", key, "state",
			 "ready", "image", json_object_get(template, "image"), "image_digest",
			 json_object_get(template, "image_digest"), "policy_digest",
			 json_object_get(template, "policy_digest"), "warm",
			 json_object_get(template, "warm"), "templates", 1, "dump_ms", "bytes");
	add_cost(f, key, have);
	(void)json_array_append_new(list, have);
}

static json_t *warm_json(const struct warm *w)
{
	json_t *imports = template_imports_json(w->imports);

	return json_pack("{s:s, s:s, s:n, s:o, s:o, s:o, s:i, s:n, s:n}", "key", "", "state",
			 "making", "image", "image_digest", iron_hex(w->image), "policy_digest",
			 iron_hex(w->policy), "warm", imports, "templates", 0, "dump_ms", "bytes");
}

static void say_checkpoints(void *arg, json_t *rows, const struct err *e)
{
	struct front *f = ((struct iron_later *)arg)->f;
	struct http_request *r = iron_later_take(arg);
	json_t *list, *row;
	size_t i;

	if (r && e)
		iron_fail(r, e);
	if (!r || e)
		return;
	list = json_array();
	json_array_foreach(rows, i, row) add_checkpoint(f, list, row);
	for (const struct warm *w = f->run->warms; w; w = w->next)
		(void)json_array_append_new(list, warm_json(w));
	http_json(r, 200, json_pack("{s:o}", "checkpoints", list));
}

static int ask(struct http_request *r, enum template_verb verb, const char *id, template_fn done,
	       struct err *e)
{
	struct iron_later *later = iron_later_new(r, NULL, e);
	int res;

	if (!later)
		return -ENOMEM;
	res = template_ask(r->f, verb, id, done, later, e);
	if (res < 0)
		(void)iron_later_take(later);
	else
		iron_later_wait(later);
	return res;
}

int api_templates(struct http_request *r, struct err *e)
{
	return ask(r, TEMPLATE_LIST, NULL, say_list, e);
}

int api_template_retire(struct http_request *r, struct err *e)
{
	uint8_t bytes[TEMPLATE_ID_LEN / 2];

	if (strlen(r->parts[0]) != TEMPLATE_ID_LEN ||
	    util_unhex(r->parts[0], sizeof(bytes), bytes) < 0)
		return err_set(e, ERR_NOT_FOUND, 0, "Not found: there is no template with this id");
	return ask(r, TEMPLATE_RETIRE, r->parts[0], say_retired, e);
}

int api_checkpoints(struct http_request *r, struct err *e)
{
	return ask(r, TEMPLATE_LIST, NULL, say_checkpoints, e);
}
