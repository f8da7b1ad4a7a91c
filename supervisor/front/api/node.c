// SPDX-License-Identifier: Apache-2.0
/* The node, and what is installed on it: images, policies, templates and the checkpoints that they
 * come out of. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/dir.h"
#include "lib/json_put.h"
#include "lib/timefmt.h"
#include "supervisor/front/api/shapes.h"
#include "supervisor/front/api/verbs.h"
#include "supervisor/front/run/api_stats.h"

#define DOC_MAX (4u << 20) /* image.json, a policy's source */

/* Whoever is no operator is told the release alone. */
int verb_version(struct call *c, struct err *e)
{
	const char *http = http_address(c->f);
	json_t *o;
	int r = call_end(c, e);

	if (r < 0)
		return r;
	o = json_object();
	json_put(&o, "version", json_string(SANDBOXD_VERSION));
	json_put(&o, "started_at", json_time(c->f->started_ns));
	if (c->is_operator) {
		json_put(&o, "pid", json_integer(getpid()));
		json_put(&o, "proto", json_integer(PROTO_VERSION));
		json_put(&o, "http", json_text_or_null(http));
		json_put(&o, "tasks",
			 json_pack("{s:i, s:i}", "running", (int)c->f->run->n_running, "queued",
				   (int)queue_length(c->f)));
	}
	call_reply(c, o);
	return 0;
}

static json_t *memory_json(struct front *f)
{
	struct api_memory m;
	uint64_t limits = 0;

	api_memory(&m);
	for (const struct project *p = f->core->projects; p; p = p->next)
		limits += p->run->running_memory;
	return json_pack("{s:I, s:I, s:I, s:I}", "total_bytes", (json_int_t)m.total,
			 "available_bytes", (json_int_t)m.available, "limits_bytes",
			 (json_int_t)limits, "front_bytes", (json_int_t)m.front);
}

int verb_node(struct call *c, struct err *e)
{
	const char *since = call_string(c, "since", 63);
	struct queue_counts n = {0};
	json_int_t projects = 0;
	uint64_t since_ns = 0;
	json_t *o;
	int r = call_end(c, e);

	if (r < 0)
		return r;
	if (since) {
		r = timefmt_parse("since", since, &since_ns, e);
		if (r < 0)
			return r;
	}
	queue_counts(c->f, &n);
	for (const struct project *p = c->f->core->projects; p; p = p->next)
		projects++;
	o = json_pack("{s:s, s:o, s:o, s:I, s:{s:I, s:I, s:I, s:I}, s:o}", "version",
		      SANDBOXD_VERSION, "started_at", json_time(c->f->started_ns), "time",
		      json_time(util_realtime_ns()), "projects", projects, "tasks", "queued",
		      (json_int_t)n.queued, "delayed", (json_int_t)n.delayed, "preparing",
		      (json_int_t)n.preparing, "running", (json_int_t)n.running, "memory",
		      memory_json(c->f));
	api_stats_add(c->f, since_ns, o);
	call_reply(c, o);
	return 0;
}

/* An image that a task has, or, without a name, that a checkpoint is being made of. */
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

/* [{"name", "digest", "tasks"}] */
static json_t *images_in_use(struct front *f)
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

int verb_image_in_use(struct call *c, struct err *e)
{
	int r = call_end(c, e);

	if (r < 0)
		return r;
	call_reply(c, json_pack("{s:o}", "images", images_in_use(c->f)));
	return 0;
}

static json_t *read_doc(int dirfd, const char *name)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;

	if (util_read_file_at(dirfd, name, DOC_MAX, &text, &len) < 0)
		return NULL;
	return json_loadb(text, len, 0, NULL);
}

/* Calls fn with each name in a folder of the state, by the alphabet. -errno. */
static int each_name(struct front *f, const char *folder,
		     void (*fn)(struct front *f, int dirfd, const char *name, void *arg), void *arg)
{
	_cleanup_fd_ int fd =
		openat(f->cfg.state_dirfd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_names_ struct dir_names names = {0};
	int r = fd < 0 ? -errno : dir_names_read(fd, SIZE_MAX, &names);

	for (size_t i = 0; i < names.n; i++)
		if (util_is_name(names.names[i]))
			fn(f, fd, names.names[i], arg);
	return r == -ENOENT ? 0 : r;
}

static void add_image(struct front *f, int dirfd, const char *name, void *arg)
{
	json_t *used = json_object_get(arg, "used"), *entry;
	uint8_t digest[32];
	struct image_head head;
	char hex[65], path[96];
	json_t *doc;
	size_t i;

	if (resolve_image(f, name, digest, &head, NULL) < 0)
		return;
	util_hex(digest, sizeof(digest), hex);
	(void)snprintf(path, sizeof(path), "%s/image.json", name);
	doc = read_doc(dirfd, path);
	if (!doc)
		doc = json_object();
	json_put(&doc, "name", json_string(name));
	json_put(&doc, "digest", json_string(hex));
	if (!json_object_get(doc, "modules"))
		json_put(&doc, "modules", json_array());
	json_put(&doc, "tasks", json_count(0));
	json_array_foreach(used, i, entry)
	{
		if (strcmp(json_string_value(json_object_get(entry, "digest")), hex) == 0)
			(void)json_object_set(doc, "tasks", json_object_get(entry, "tasks"));
	}
	(void)json_array_append_new(json_object_get(arg, "images"), doc);
}

int verb_images(struct call *c, struct err *e)
{
	json_auto_t *all = NULL;
	int r = call_end(c, e);

	if (r < 0)
		return r;
	all = json_pack("{s:[], s:o}", "images", "used", images_in_use(c->f));
	r = each_name(c->f, "images/by-name", add_image, all);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "the images cannot be read");
	call_reply(c, json_pack("{s:O}", "images", json_object_get(all, "images")));
	return 0;
}

/*
 * Answered when the checkpoint has been made, or cannot be; or, where it is not waited for, at
 * once: 202. A page does not hold a connection for so long unless it says "wait".
 */
int verb_warm(struct call *c, struct err *e)
{
	const char *image = call_string(c, "image", 63);
	const char *name = call_string(c, "policy", POLICY_NAME_MAX - 1);
	json_t *imports = call_array(c, "imports", IMAGE_WARM_MAX / 2);
	struct warm what = {.wish = WARM_FOR_OPERATOR}, *warm;
	struct policy_head policy = {0};
	struct image_head head = {0};
	struct waiter *w = NULL;
	bool wait = !c->http;
	int r;

	(void)call_bool(c, "force", &what.force);
	(void)call_bool(c, "wait", &wait);
	if (!image)
		(void)json_strict_fail(c->in, "image", "must be given");
	r = call_end(c, e);
	if (r < 0)
		return r;
	if (imports) {
		r = task_spec_imports("request", "imports", imports, what.imports, e);
		if (r < 0)
			return r;
	}
	r = resolve_image(c->f, image, what.image, &head, e);
	if (r < 0)
		return r;
	r = resolve_policy(c->f, name ? name : head.policy, what.policy, &policy, e);
	if (r < 0)
		return r;
	if (!imports)
		memcpy(what.imports, head.warm, sizeof(what.imports));
	what.memory = policy.limits.memory;
	if (wait) {
		w = call_later(c, e);
		if (!w)
			return -EBUSY;
	}
	warm = warm_request(c->f, &what, e);
	if (!warm) {
		if (w)
			waiter_free(w);
		return -EAGAIN;
	}
	if (w) {
		waiter_attach(w, &warm->waiters);
	} else {
		c->client.status = 202;
		call_message(c, "Warming");
	}
	return 0;
}

static json_t *policy_json(struct front *f, const char *name, struct err *e)
{
	struct policy_head head;
	uint8_t id[32];

	if (resolve_policy(f, name, id, &head, e) < 0)
		return NULL;
	return json_pack("{s:s, s:o, s:o, s:o, s:s, s:i}", "name", name, "digest", json_hex(id),
			 "limits", task_limits_json(&head.limits), "limits_max",
			 task_limits_json(&head.limits_max), "network",
			 head.net_mode == POLICY_NET_NONE ? "none" : "egress", "parked",
			 (int)head.parked);
}

static void describe(int dirfd, const char *name, json_t *policy, bool source)
{
	char path[POLICY_NAME_MAX + 8];
	json_t *doc, *text;

	(void)snprintf(path, sizeof(path), "%s.json", name);
	doc = read_doc(dirfd, path);
	text = json_object_get(doc, "description");
	(void)json_object_set(policy, "description", text ? text : json_null());
	if (source)
		(void)json_object_set(policy, "source", doc ? doc : json_null());
	json_decref(doc);
}

static void add_policy(struct front *f, int dirfd, const char *name, void *arg)
{
	json_t *policy = policy_json(f, name, NULL);

	if (!policy)
		return;
	describe(dirfd, name, policy, false);
	(void)json_array_append_new(arg, policy);
}

int verb_policies(struct call *c, struct err *e)
{
	json_t *list;
	int r = call_end(c, e);

	if (r < 0)
		return r;
	list = json_array();
	r = each_name(c->f, "policies", add_policy, list);
	if (r < 0) {
		json_decref(list);
		return err_set(e, ERR_SYSTEM, -r, "the policies cannot be read");
	}
	call_reply(c, json_pack("{s:o}", "policies", list));
	return 0;
}

int verb_policy(struct call *c, struct err *e)
{
	const char *name = call_string(c, "name", 255);
	_cleanup_fd_ int fd = -1;
	json_t *policy;
	int r;

	if (!name)
		(void)json_strict_fail(c->in, "name", "must be given");
	r = call_end(c, e);
	if (r < 0)
		return r;
	policy = policy_json(c->f, name, e);
	if (!policy)
		return e->code == ERR_NOT_FOUND ? -ENOENT : -EINVAL;
	fd = openat(c->f->cfg.state_dirfd, "policies", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	describe(fd, name, policy, true);
	call_reply(c, policy);
	return 0;
}

static void say_templates(void *arg, json_t *rows, const struct err *e)
{
	waiter_end(arg, e ? NULL : json_pack("{s:O}", "templates", rows), e);
}

static void say_retired(void *arg, json_t *rows, const struct err *e)
{
	waiter_end(arg, e ? NULL : json_pack("{s:s, s:O}", "msg", "Retired", "templates", rows), e);
}

/* The monitor is asked. */
static int ask_templates(struct call *c, enum template_verb verb, const char *id, template_fn done,
			 struct err *e)
{
	struct waiter *w = call_later(c, e);
	int r;

	if (!w)
		return -EBUSY;
	r = template_ask(c->f, verb, id, done, w, e);
	if (r < 0)
		waiter_free(w);
	return r;
}

int verb_templates(struct call *c, struct err *e)
{
	int r = call_end(c, e);

	return r < 0 ? r : ask_templates(c, TEMPLATE_LIST, NULL, say_templates, e);
}

int verb_template_retire(struct call *c, struct err *e)
{
	const char *id = call_string(c, "id", TEMPLATE_ID_LEN);
	uint8_t bytes[TEMPLATE_ID_LEN / 2];
	bool all = false;
	int r;

	(void)call_bool(c, "all", &all);
	if (id && util_unhex(id, sizeof(bytes), bytes) < 0)
		(void)json_strict_fail(c->in, "id", "must be a template's id: %d hex digits",
				       TEMPLATE_ID_LEN);
	if (!id == !all)
		(void)json_strict_fail(c->in, "id", "must be given, or all: true, and not both");
	r = call_end(c, e);
	return r < 0 ? r : ask_templates(c, TEMPLATE_RETIRE, id, say_retired, e);
}

static bool is_of(json_t *checkpoint, json_t *template)
{
	return json_equal(json_object_get(checkpoint, "key"),
			  json_object_get(template, "checkpoint"));
}

static void add_cost(const struct front *f, const char *key, json_t **checkpoint)
{
	uint64_t us, bytes;

	if (!api_checkpoint_cost(f, key, &us, &bytes))
		return;
	if (us)
		json_put(checkpoint, "dump_ms", json_real((double)us / 1000));
	json_put(checkpoint, "bytes", json_count(bytes));
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
	add_cost(f, key, &have);
	(void)json_array_append_new(list, have);
}

static json_t *warm_json(const struct warm *w)
{
	json_t *imports = template_imports_json(w->imports);

	return json_pack("{s:s, s:s, s:n, s:o, s:o, s:o, s:i, s:n, s:n}", "key", "", "state",
			 "making", "image", "image_digest", json_hex(w->image), "policy_digest",
			 json_hex(w->policy), "warm", imports, "templates", 0, "dump_ms", "bytes");
}

static void say_checkpoints(void *arg, json_t *rows, const struct err *e)
{
	struct waiter *w = arg;
	const struct front *f = w->client.f;
	json_t *list, *row;
	size_t i;

	if (e) {
		waiter_end(w, NULL, e);
		return;
	}
	list = json_array();
	json_array_foreach(rows, i, row) add_checkpoint(f, list, row);
	for (const struct warm *warm = f->run->warms; warm; warm = warm->next)
		(void)json_array_append_new(list, warm_json(warm));
	waiter_end(w, json_pack("{s:o}", "checkpoints", list), NULL);
}

int verb_checkpoints(struct call *c, struct err *e)
{
	int r = call_end(c, e);

	return r < 0 ? r : ask_templates(c, TEMPLATE_LIST, NULL, say_checkpoints, e);
}
