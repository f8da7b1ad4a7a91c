// SPDX-License-Identifier: Apache-2.0
/* Quotas: their table, how they are read and shown, and what they allow. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "lib/json_strict.h"
#include "spec/route_pattern.h"
#include "supervisor/front/core/core.h"

enum quota_type { QUOTA_COUNT, QUOTA_SIZE, QUOTA_NAMES, QUOTA_HOSTS };
#define NAMES_MAX 64u

/* Every quota: its key, where it is, and what it is at least where it is not 0. */
static const struct quota_row {
	const char *key;
	/* a uint32_t; a uint64_t in bytes; names, patterns of hosts (projects.h) */
	enum quota_type type;
	size_t offset;
	uint64_t min, max;
} quota_table[] = {
	{"running", QUOTA_COUNT, offsetof(struct quota, running), 1, 1000000},
	{"queued", QUOTA_COUNT, offsetof(struct quota, queued), 1, 100000000},
	{"schedules", QUOTA_COUNT, offsetof(struct quota, schedules), 1, 1000000},
	{"memory", QUOTA_SIZE, offsetof(struct quota, memory), LIMIT_MEMORY_MIN, LIMIT_MEMORY_MAX},
	{"package_bytes", QUOTA_SIZE, offsetof(struct quota, package_bytes), 1, LIMIT_DISK_MAX},
	{"package_files", QUOTA_COUNT, offsetof(struct quota, package_files), 1, 1000000000},
	{"log_bytes", QUOTA_SIZE, offsetof(struct quota, log_bytes), LIMIT_LOG_MIN, LIMIT_LOG_MAX},
	{"kept_log_bytes", QUOTA_SIZE, offsetof(struct quota, kept_log_bytes), KEPT_LOG_BYTES_MIN,
	 LIMIT_DISK_MAX},
	{"http_workers", QUOTA_COUNT, offsetof(struct quota, http_workers), 1, HTTP_WORKERS_MAX},
	/* One that serves, and one to go back to. */
	{"http_versions", QUOTA_COUNT, offsetof(struct quota, http_versions), 2, HTTP_VERSIONS_MAX},
	{"http_instances", QUOTA_COUNT, offsetof(struct quota, http_instances), 1, 1000000},
	{"http_rate", QUOTA_COUNT, offsetof(struct quota, http_rate), 1, 1000000000},
	{"kv_bytes", QUOTA_SIZE, offsetof(struct quota, kv_bytes), 1, LIMIT_DISK_MAX},
	{"services", QUOTA_COUNT, offsetof(struct quota, services), 1, SERVICES_MAX},
	{"service_replicas", QUOTA_COUNT, offsetof(struct quota, service_replicas), 1, 1000000},
	{"service_versions", QUOTA_COUNT, offsetof(struct quota, service_versions), 2,
	 SERVICE_VERSIONS_MAX},
	{"service_data_bytes", QUOTA_SIZE, offsetof(struct quota, service_data_bytes), 1,
	 LIMIT_DISK_MAX},
	{"background_items", QUOTA_COUNT, offsetof(struct quota, background_items), 1, 1000000000},
	{"background_bytes", QUOTA_SIZE, offsetof(struct quota, background_bytes), 1,
	 LIMIT_DISK_MAX},
	{"policies", QUOTA_NAMES, offsetof(struct quota, policies), 0, 0},
	{"images", QUOTA_NAMES, offsetof(struct quota, images), 0, 0},
	{"hosts", QUOTA_HOSTS, offsetof(struct quota, hosts), 0, 0},
};

static uint64_t quota_get(const struct quota *q, const struct quota_row *row)
{
	const char *p = (const char *)q + row->offset;
	uint32_t small;
	uint64_t big;

	if (row->type == QUOTA_SIZE) {
		memcpy(&big, p, sizeof(big));
		return big;
	}
	memcpy(&small, p, sizeof(small));
	return small;
}

static void quota_set(struct quota *q, const struct quota_row *row, uint64_t value)
{
	char *p = (char *)q + row->offset;
	uint32_t small = (uint32_t)value;

	if (row->type == QUOTA_SIZE)
		memcpy(p, &value, sizeof(value));
	else
		memcpy(p, &small, sizeof(small));
}

/* True where the list holds this name; it may be one that is no name at all. */
static bool names_hold(const char *list, const char *name)
{
	const size_t len = strlen(name);

	for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
		if (strcspn(p, ",") == len && strncmp(p, name, len) == 0)
			return true;
	return false;
}

static bool read_name(const char *text, char buf[ROUTE_HOST_MAX + 3])
{
	(void)snprintf(buf, ROUTE_HOST_MAX + 3, "%s", text);
	return util_is_name(text);
}

/* A host, or "*." and a host; in buf in the one form that all ways of writing it have. */
static bool read_host(const char *text, char buf[ROUTE_HOST_MAX + 3])
{
	struct route_pattern pattern;
	struct err e;

	if (strpbrk(text, "/:,") || route_pattern_parse(text, false, &pattern, &e) < 0)
		return false;
	(void)snprintf(buf, ROUTE_HOST_MAX + 3, "%s%s", pattern.below ? "*." : "", pattern.host);
	return true;
}

/* What a list is of. */
struct list_kind {
	size_t max; /* bytes of an item */
	bool (*read)(const char *text, char buf[ROUTE_HOST_MAX + 3]);
	const char *must; /* be what, where read says no */
};

static const struct list_kind names_kind = {
	63, read_name, "must be a name such as \"default\", or \"*\" where it is the only one"};
static const struct list_kind hosts_kind = {
	ROUTE_HOST_MAX + 2, read_host,
	"must be a host such as \"example.com\", or \"*.example.com\" for all below it, or \"*\" "
	"where it is the only one"};

/* ["*"] is written as no item. */
static void read_list(struct json_strict *in, const struct quota_row *row,
		      const struct list_kind *kind, struct quota *q)
{
	char items[QUOTA_NAMES_MAX + 1] = "", *to = (char *)q + row->offset;
	json_t *list = json_strict_array(in, row->key, NAMES_MAX);
	size_t len = 0;

	if (!list)
		return;
	if (json_array_size(list) == 0)
		(void)json_strict_fail(in, row->key,
				       "must name at least one, or be [\"*\"], which is all");
	for (size_t i = 0; i < json_array_size(list) && in->status == 0; i++) {
		const char *text = json_strict_item_string(in, row->key, i, kind->max);
		char item[ROUTE_HOST_MAX + 3];

		if (!text)
			return;
		if (strcmp(text, "*") == 0 && json_array_size(list) == 1)
			break;
		if (!kind->read(text, item))
			(void)json_strict_item_fail(in, row->key, i, "%s", kind->must);
		else if (names_hold(items, item))
			(void)json_strict_item_fail(in, row->key, i, "is there twice");
		else if (len + strlen(item) + 1 > QUOTA_NAMES_MAX)
			(void)json_strict_fail(in, row->key, "must not have more than %d bytes",
					       QUOTA_NAMES_MAX);
		else
			len += (size_t)snprintf(items + len, sizeof(items) - len, "%s%s",
						len ? "," : "", item);
	}
	memcpy(to, items, sizeof(items));
}

static void read_row(struct json_strict *in, const struct quota_row *row, struct quota *q)
{
	uint64_t value = 0;
	int64_t count = 0;
	bool there;
	char least[32];

	if (row->type == QUOTA_NAMES) {
		read_list(in, row, &names_kind, q);
		return;
	}
	if (row->type == QUOTA_HOSTS) {
		read_list(in, row, &hosts_kind, q);
		return;
	}
	if (row->type == QUOTA_SIZE) {
		there = json_strict_size(in, row->key, 0, row->max, &value);
	} else {
		there = json_strict_int(in, row->key, 0, (int64_t)row->max, &count);
		value = (uint64_t)count;
	}
	if (!there)
		return;
	if (value != 0 && value < row->min)
		(void)json_strict_fail(in, row->key, "must be 0, which is no bound, or at least %s",
				       util_format_size(row->min, least, sizeof(least)));
	quota_set(q, row, value);
}

int quota_from_json(const char *path, const json_t *obj, struct quota *quota, struct err *e)
{
	struct quota read = *quota;
	struct json_strict in;
	int r;

	/* The reader changes nothing. */
	r = json_strict_begin(&in, path, (json_t *)obj, e);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(quota_table); i++)
		read_row(&in, &quota_table[i], &read);
	if (r == 0)
		r = json_strict_end(&in);
	if (r == 0)
		*quota = read;
	return r;
}

/* Is there none of this name? What cannot be read is another matter. */
static bool is_missing(struct front *f, bool image, const char *name)
{
	struct image_head image_head;
	struct policy_head policy;
	struct err e = {0};
	uint8_t digest[32];

	if (image)
		(void)resolve_image(f, name, digest, &image_head, &e);
	else
		(void)resolve_policy(f, name, digest, &policy, &e);
	return e.code == ERR_NOT_FOUND;
}

void quota_warn(struct front *f, const json_t *obj, json_t *answer)
{
	json_t *warnings = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(quota_table); i++) {
		const char *key = quota_table[i].key;
		const bool image = strcmp(key, "images") == 0;
		const json_t *list = json_object_get(obj, key), *item;
		size_t n;

		if (quota_table[i].type != QUOTA_NAMES)
			continue;
		json_array_foreach(list, n, item)
		{
			const char *name = json_string_value(item);

			if (strcmp(name, "*") != 0 && is_missing(f, image, name))
				(void)json_array_append_new(
					warnings,
					json_sprintf("%s: there is no %s \"%s\" (yet): "
						     "'sandboxctl %s ls' shows what there is",
						     key, image ? "image" : "policy", name,
						     image ? "image" : "policy"));
		}
	}
	if (json_array_size(warnings) > 0)
		(void)json_object_set(answer, "warnings", warnings);
	json_decref(warnings);
}

static json_t *names_json(const char *list)
{
	json_t *names = json_array();

	for (const char *p = *list ? list : "*"; *p; p += strcspn(p, ","), p += *p == ',')
		(void)json_array_append_new(names, json_stringn(p, strcspn(p, ",")));
	return names;
}

json_t *quota_json(const struct quota *q)
{
	json_t *o = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(quota_table); i++) {
		const struct quota_row *row = &quota_table[i];

		(void)json_object_set_new(o, row->key,
					  row->type >= QUOTA_NAMES
						  ? names_json((const char *)q + row->offset)
						  : json_integer((json_int_t)quota_get(q, row)));
	}
	return o;
}

static int check_name(const struct project *p, const char *what, const char *key, const char *list,
		      const char *name, struct err *e)
{
	char shown[80];

	if (!name || !*name || !*list || names_hold(list, name))
		return 0;
	return err_set(e, ERR_DENIED, 0,
		       "%s: workers of the project %s may not name \"%s\" (the operator can change "
		       "that: sandboxctl project quota %s %s=...); they may name %s",
		       what, p->name, util_escape(name, shown, sizeof(shown)), p->name, key, list);
}

int project_may_name(const struct project *p, const char *policy, const char *image, struct err *e)
{
	int r = check_name(p, "image", "images", p->quota.images, image, e);

	return r < 0 ? r : check_name(p, "policy", "policies", p->quota.policies, policy, e);
}

/* Calls fn with each pattern of a list until it returns true. */
static bool host_any(const char *list, const struct route_pattern *r,
		     bool (*fn)(const struct route_pattern *r, bool below, const char *host))
{
	for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',') {
		const size_t star = strncmp(p, "*.", 2) == 0 ? 2 : 0;
		char host[ROUTE_HOST_MAX + 1];

		(void)snprintf(host, sizeof(host), "%.*s", (int)(strcspn(p, ",") - star), p + star);
		if (fn(r, star > 0, host))
			return true;
	}
	return false;
}

/* All hosts that the route means are of the pattern. */
static bool covers(const struct route_pattern *r, bool below, const char *host)
{
	if (strcmp(r->host, host) == 0)
		return r->below == below;
	return below && route_host_is_below(r->host, host);
}

/* There is a host that both mean. */
static bool meets(const struct route_pattern *r, bool below, const char *host)
{
	if (strcmp(r->host, host) == 0)
		return r->below == below;
	return (below && route_host_is_below(r->host, host)) ||
	       (r->below && route_host_is_below(host, r->host));
}

int project_may_route(struct front *f, const struct project *p, const struct route_pattern *r,
		      struct err *e)
{
	const char *star = r->below ? "*." : "";

	if (*p->quota.hosts && host_any(p->quota.hosts, r, covers))
		return 0;
	if (*p->quota.hosts)
		return err_set(e, ERR_DENIED, 0,
			       "routes: %s%s: the project %s has routes of these hosts alone: %s "
			       "(the operator can change that: sandboxctl project quota %s "
			       "hosts=...)",
			       star, r->host, p->name, p->quota.hosts, p->name);
	for (const struct project *o = f->core->projects; o; o = o->next)
		if (o != p && host_any(o->quota.hosts, r, meets))
			return err_set(e, ERR_DENIED, 0,
				       "routes: %s%s: this host is kept for another project (the "
				       "operator can change that: sandboxctl project quota %s "
				       "hosts=...)",
				       star, r->host, p->name);
	return 0;
}

void project_bound_limits(const struct project *p, struct limits *limits)
{
	if (p->quota.log_bytes && limits->log_bytes > p->quota.log_bytes)
		limits->log_bytes = p->quota.log_bytes;
	/* One that took all that is kept would have to go as soon as it is there. */
	if (p->quota.kept_log_bytes && limits->log_bytes > p->quota.kept_log_bytes / 2)
		limits->log_bytes = p->quota.kept_log_bytes / 2;
}

int project_check_memory(const struct project *p, const struct limits *limits, struct err *e)
{
	char has[32], may[32];

	if (!p->quota.memory || limits->memory <= p->quota.memory)
		return 0;
	return err_set(e, ERR_LIMIT, 0,
		       "the task's memory limit is %s, and its project's quota \"memory\" is %s",
		       util_format_size(limits->memory, has, sizeof(has)),
		       util_format_size(p->quota.memory, may, sizeof(may)));
}
