// SPDX-License-Identifier: Apache-2.0
/* Operations on the node: version, logs, warm, image_in_use, templates. */
#include <string.h>

#include "supervisor/front/api/ops.h"
#include "supervisor/front/run/log_keep.h"
#include "supervisor/front/serve/http/http.h"

int op_version(struct op *op, struct err *e)
{
	const char *http = http_address(op->f);
	char started[40];
	int r = json_strict_end(op->in);

	(void)e;
	if (r < 0)
		return r;
	util_format_time(op->f->started_ns, started, sizeof(started));
	op_reply(op,
		 json_pack("{s:b, s:s, s:i, s:s, s:i, s:s?, s:{s:i, s:i}}", "ok", 1, "version",
			   SANDBOXD_VERSION, "pid", (int)getpid(), "started_at", started, "proto",
			   (int)PROTO_VERSION, "http", *http ? http : NULL, "tasks", "running",
			   (int)op->f->run->n_running, "queued", (int)queue_length(op->f)));
	return 0;
}

/* The log of a task that has ended is as it is; any other may still grow. */
static int log_is_live(struct front *f, const char *id, bool *ret, struct err *e)
{
	struct task_record rec = {0};
	int r;

	*ret = registry_find(f, id) != NULL;
	if (*ret)
		return 0;
	r = store_task_get(f->store, id, &rec, e);
	if (r == 0)
		r = log_keep_check(&rec, project_by_id(f, rec.project), e);
	free(rec.spec);
	return r;
}

int op_logs(struct op *op, struct err *e)
{
	struct log_follow what = {0};
	int64_t since = 0, cursor = 0, streams = LOG_STREAM_OUT | LOG_STREAM_ERR;
	bool follow = false, live = false;
	int r;

	(void)json_strict_bool(op->in, "follow", &follow);
	(void)json_strict_int(op->in, "since_ns", 0, INT64_MAX, &since);
	(void)json_strict_int(op->in, "cursor", 0, INT64_MAX, &cursor);
	(void)json_strict_int(op->in, "streams", 1, LOG_STREAM_OUT | LOG_STREAM_ERR, &streams);
	r = op_id(op, what.id, e);
	if (r == 0)
		r = op_check_follower(op, 0, e);
	if (r == 0)
		r = log_is_live(op->f, what.id, &live, e);
	if (r < 0)
		return r;
	what.streams = (uint8_t)streams;
	what.follow = follow;
	what.live = live;
	what.cursor = (uint64_t)cursor;
	what.since_ns = (uint64_t)since;
	r = log_follow(op->f, &what, TAKE_FD(op->req->fds[0]), e);
	if (r == 0)
		op_reply(op, json_pack("{s:b, s:s, s:b}", "ok", 1, "id", what.id, "live", live));
	return r;
}

int op_warm(struct op *op, struct err *e)
{
	const char *image = json_strict_string(op->in, "image", 63);
	const char *name = json_strict_string(op->in, "policy", 63);
	json_t *imports = json_strict_array(op->in, "imports", IMAGE_WARM_MAX / 2);
	struct policy_head policy = {0};
	struct image_head head = {0};
	struct warm what = {.wish = WARM_FOR_OPERATOR};
	struct waiter *w = NULL;
	struct warm *warm;
	int r;

	(void)json_strict_bool(op->in, "force", &what.force);
	if (!image)
		(void)json_strict_fail(op->in, "image", "must be given");
	r = json_strict_end(op->in);
	if (r == 0 && imports)
		r = task_spec_imports("request", "imports", imports, what.imports, e);
	if (r == 0)
		r = resolve_image(op->f, image, what.image, &head, e);
	if (r == 0)
		r = resolve_policy(op->f, name ? name : head.policy, what.policy, &policy, e);
	if (r == 0)
		r = op_wait(op, NULL, &w, e);
	if (r < 0)
		return r;
	if (!imports)
		memcpy(what.imports, head.warm, sizeof(what.imports));
	what.memory = policy.limits.memory;
	warm = warm_request(op->f, &what, e);
	if (!warm) {
		waiter_free(w);
		return -EAGAIN;
	}
	waiter_attach(w, &warm->waiters);
	return 0;
}

static void count_image(json_t *images, const char *name, const uint8_t digest[32])
{
	char hex[65];
	json_t *entry;

	util_hex(digest, 32, hex);
	entry = json_object_get(images, hex);
	if (!entry) {
		entry = json_pack("{s:s, s:s, s:i}", "name", name, "digest", hex, "tasks", 0);
		if (json_object_set_new(images, hex, entry) < 0)
			return;
	}
	if (*name) {
		json_int_t n = json_integer_value(json_object_get(entry, "tasks"));

		(void)json_object_set_new(entry, "tasks", json_integer(n + 1));
		(void)json_object_set_new(entry, "name", json_string(name));
	}
}

static void count_task(struct front *f, struct task *t, void *arg)
{
	(void)f;
	if (!task_state_final((enum task_state)t->rec.state))
		count_image(arg, t->rec.image, t->rec.image_digest);
}

json_t *ops_images_in_use(struct front *f)
{
	json_t *images = json_object(), *list = json_array(), *entry;
	const char *hex;

	registry_each(f, count_task, images);
	for (const struct warm *w = f->run->warms; w; w = w->next)
		count_image(images, "", w->image);
	json_object_foreach(images, hex, entry) json_array_append(list, entry);
	json_decref(images);
	return list;
}

int op_images_in_use(struct op *op, struct err *e)
{
	int r = json_strict_end(op->in);

	(void)e;
	if (r < 0)
		return r;
	op_reply(op, json_pack("{s:b, s:o}", "ok", 1, "images", ops_images_in_use(op->f)));
	return 0;
}

static void say_templates(void *arg, json_t *rows, const struct err *e)
{
	struct op_asked *asked = arg;

	ops_answer_all(&asked->waiters,
		       e ? NULL : json_pack("{s:b, s:O}", "ok", 1, "templates", rows), e);
	free(asked);
}

static int ask_templates(struct op *op, enum template_verb verb, const char *id, struct err *e)
{
	struct op_asked *asked = NULL;
	int r;

	r = op_ask(op, &asked, e);
	if (r < 0)
		return r;
	r = template_ask(op->f, verb, id, say_templates, asked, e);
	if (r < 0)
		op_ask_no_more(asked);
	return r;
}

int op_templates(struct op *op, struct err *e)
{
	int r = json_strict_end(op->in);

	return r < 0 ? r : ask_templates(op, TEMPLATE_LIST, NULL, e);
}

int op_template_retire(struct op *op, struct err *e)
{
	const char *id = json_strict_string(op->in, "id", TEMPLATE_ID_LEN);
	uint8_t bytes[TEMPLATE_ID_LEN / 2];
	bool all = false;
	int r;

	(void)json_strict_bool(op->in, "all", &all);
	if (id && util_unhex(id, sizeof(bytes), bytes) < 0)
		(void)json_strict_fail(op->in, "id", "must be a template's id: %d hex digits",
				       TEMPLATE_ID_LEN);
	if (!id == !all)
		(void)json_strict_fail(op->in, "id", "must be given, or all: true, and not both");
	r = json_strict_end(op->in);
	return r < 0 ? r : ask_templates(op, TEMPLATE_RETIRE, id, e);
}
