// SPDX-License-Identifier: Apache-2.0
/* The node, and what is installed on it: for operators. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/timefmt.h"
#include "supervisor/front/api/api.h"
#include "supervisor/front/api/iron/read.h"
#include "supervisor/front/api/ops.h"
#include "supervisor/front/run/api_stats.h"

#define DOC_MAX (4u << 20) /* image.json, a policy's source */

static json_t *memory_json(struct front *f)
{
	struct api_memory m;
	uint64_t limits = 0;

	api_memory(&m);
	for (const struct project *p = f->core->projects; p; p = p->next)
		limits += p->running_memory;
	return json_pack("{s:I, s:I, s:I, s:I}", "total_bytes", (json_int_t)m.total,
			 "available_bytes", (json_int_t)m.available, "limits_bytes",
			 (json_int_t)limits, "front_bytes", (json_int_t)m.front);
}

int api_node(struct http_request *r, struct err *e)
{
	const char *since = NULL;
	struct queue_counts c = {0};
	json_int_t projects = 0;
	uint64_t since_ns = 0;
	json_t *o;
	int res = iron_param(r, "since", &since, e);

	if (since)
		res = timefmt_parse("since", since, &since_ns, e);
	if (res < 0)
		return res;
	queue_counts(r->f, &c);
	for (const struct project *p = r->f->core->projects; p; p = p->next)
		projects++;
	o = json_pack("{s:s, s:o, s:o, s:I, s:{s:I, s:I, s:I, s:I}, s:o}", "version",
		      SANDBOXD_VERSION, "started_at", iron_time(r->f->started_ns), "time",
		      iron_time(util_realtime_ns()), "projects", projects, "tasks", "queued",
		      (json_int_t)c.queued, "delayed", (json_int_t)c.delayed, "preparing",
		      (json_int_t)c.preparing, "running", (json_int_t)c.running, "memory",
		      memory_json(r->f));
	api_stats_add(r->f, since_ns, o);
	http_json(r, 200, o);
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
	struct dirent **list = NULL;
	int n = fd < 0 ? -1 : scandirat(fd, ".", &list, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		if (util_is_name(list[i]->d_name))
			fn(f, fd, list[i]->d_name, arg);
		free(list[i]);
	}
	free(list);
	return n < 0 && errno != ENOENT ? -errno : 0;
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
	(void)json_object_set_new(doc, "name", json_string(name));
	(void)json_object_set_new(doc, "digest", json_string(hex));
	if (!json_object_get(doc, "modules"))
		(void)json_object_set_new(doc, "modules", json_array());
	(void)json_object_set_new(doc, "tasks", json_integer(0));
	json_array_foreach(used, i,
			   entry) if (strcmp(json_string_value(json_object_get(entry, "digest")),
					     hex) == 0)(void)
		json_object_set(doc, "tasks", json_object_get(entry, "tasks"));
	(void)json_array_append_new(json_object_get(arg, "images"), doc);
}

int api_images(struct http_request *r, struct err *e)
{
	json_auto_t *all = json_pack("{s:[], s:o}", "images", "used", ops_images_in_use(r->f));
	int res = each_name(r->f, "images/by-name", add_image, all);

	if (res < 0)
		return err_set(e, ERR_SYSTEM, -res, "the images cannot be read");
	http_json(r, 200, json_pack("{s:O}", "images", json_object_get(all, "images")));
	return 0;
}

int api_image_warm(struct http_request *r, struct err *e)
{
	struct warm what = {.wish = WARM_FOR_OPERATOR};
	json_auto_t *doc = NULL;
	struct policy_head policy;
	struct image_head image;
	struct iron_read in;
	const char *name;
	json_t *imports;
	int res = iron_read_load(r->body, r->len, true, true, NULL, &doc, &in, e);

	if (res < 0)
		return res;
	name = iron_read_string(&in, "policy", POLICY_NAME_MAX - 1);
	imports = json_strict_array(&in.s, "imports", IMAGE_WARM_MAX / 2);
	(void)iron_read_bool(&in, "force", &what.force);
	res = iron_read_end(&in);
	if (res == 0 && imports)
		res = task_spec_imports("request", "imports", imports, what.imports, e);
	if (res == 0)
		res = resolve_image(r->f, r->parts[0], what.image, &image, e);
	if (res == 0)
		res = resolve_policy(r->f, name ? name : image.policy, what.policy, &policy, e);
	if (res < 0)
		return res;
	if (!imports)
		memcpy(what.imports, image.warm, sizeof(what.imports));
	(void)warm_request(r->f, &what, NULL);
	http_json(r, 202, json_pack("{s:s}", "msg", "Warming"));
	return 0;
}

static json_t *policy_json(struct front *f, const char *name, struct err *e)
{
	struct policy_head head;
	uint8_t id[32];

	if (resolve_policy(f, name, id, &head, e) < 0)
		return NULL;
	return json_pack("{s:s, s:o, s:o, s:o, s:s, s:i}", "name", name, "digest", iron_hex(id),
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

int api_policies(struct http_request *r, struct err *e)
{
	json_t *list = json_array();
	int res = each_name(r->f, "policies", add_policy, list);

	if (res < 0) {
		json_decref(list);
		return err_set(e, ERR_SYSTEM, -res, "the policies cannot be read");
	}
	http_json(r, 200, json_pack("{s:o}", "policies", list));
	return 0;
}

int api_policy_get(struct http_request *r, struct err *e)
{
	_cleanup_fd_ int fd =
		openat(r->f->cfg.state_dirfd, "policies", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	json_t *policy = policy_json(r->f, r->parts[0], e);

	if (!policy)
		return e->code == ERR_NOT_FOUND ? -ENOENT : -EINVAL;
	describe(fd, r->parts[0], policy, true);
	http_json(r, 200, policy);
	return 0;
}
