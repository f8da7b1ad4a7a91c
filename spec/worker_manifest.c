// SPDX-License-Identifier: Apache-2.0
#include "spec/worker_manifest.h"

#include <stdio.h>
#include <string.h>

#include "lib/cron.h"
#include "lib/json_strict.h"
#include "lib/limits.h"
#include "spec/field.h"

#define BINDING_NAME_MAX 128
#define BINDING_KEY_MAX 512 /* bytes of a name of something that a binding leads to */
#define CRON_MAX 100
#define NOTE_MAX 1000
#define WARNING_MAX 4000
#define MODULE_NAME_MAX 126
#define PATTERN_TEXT_MAX 4096 /* read so far, so that the error can say what a pattern may have */

const struct binding_row binding_table[BINDING_N] = {
	[BINDING_PLAIN_TEXT] = {"plain_text", true, {"text"}, true},
	[BINDING_JSON] = {"json", true, {NULL}, false},
	[BINDING_SECRET_TEXT] = {"secret_text", true, {NULL}, false},
	[BINDING_KV] = {"kv_namespace", true, {"namespace_id"}, false},
	[BINDING_SERVICE] = {"service", true, {"service", "entrypoint", "environment"}, true},
	[BINDING_ASSETS] = {"assets", true, {NULL}, false},
	[BINDING_RATELIMIT] = {"ratelimit", true, {"namespace_id"}, true},
	[BINDING_VERSION_METADATA] = {"version_metadata", true, {NULL}, false},
	/* In base64. */
	[BINDING_DATA] = {"data_blob", true, {"data"}, true},
	[BINDING_QUEUE] = {"queue", false, {"queue_name"}, true},
	[BINDING_WORKFLOW] = {"workflow",
			      false,
			      {"workflow_name", "class_name", "script_name"},
			      true},
	[BINDING_D1] = {"d1", false, {"id"}, false},
	[BINDING_R2] = {"r2_bucket", false, {"bucket_name", "jurisdiction"}, false},
	[BINDING_DURABLE_OBJECT] = {"durable_object_namespace",
				    false,
				    {"class_name", "script_name", "environment"},
				    true},
	[BINDING_ANALYTICS] = {"analytics_engine", false, {"dataset"}, false},
	[BINDING_MEMORY_CACHE] = {"memory_cache", false, {"id"}, false},
	[BINDING_AI] = {"ai", false, {NULL}, false},
	[BINDING_VECTORIZE] = {"vectorize", false, {"index_name"}, false},
	[BINDING_IMAGES] = {"images", false, {NULL}, false},
	[BINDING_BROWSER] = {"browser", false, {NULL}, false},
	[BINDING_HYPERDRIVE] = {"hyperdrive", false, {"id"}, false},
	[BINDING_MTLS] = {"mtls_certificate", false, {"certificate_id"}, false},
	[BINDING_SECRETS_STORE] = {"secrets_store_secret",
				   false,
				   {"store_id", "secret_name"},
				   false},
	[BINDING_OTHER] = {"other", false, {"kind"}, true},
};

enum binding_type binding_type_of(const char *type)
{
	enum binding_type i = 0;

	while (i < BINDING_N && strcmp(binding_table[i].type, type) != 0)
		i++;
	return i;
}

bool worker_manifest_is_name(const char *s)
{
	return field_made_of(s, FIELD_LOWER FIELD_DIGITS "-", MANIFEST_NAME_MAX) && s[0] != '-' &&
	       s[strlen(s) - 1] != '-';
}

static bool is_stem(const char *s)
{
	return field_made_of(s, FIELD_ALNUM "_-", MANIFEST_NAME_MAX) && s[0] != '-';
}

static bool is_flag(const char *s)
{
	return field_made_of(s, FIELD_LOWER FIELD_DIGITS "_", 100);
}

static bool is_binding_name(const char *s)
{
	return field_made_of(s, FIELD_ALNUM "_.$-", BINDING_NAME_MAX) &&
	       !strchr(FIELD_DIGITS "-.", s[0]);
}

/* A class of Python's: it is sent in a header, and in the words of JavaScript. */
static bool is_entrypoint(const char *s)
{
	return field_made_of(s, FIELD_ALNUM "_$", MANIFEST_ENTRYPOINT_MAX) &&
	       !strchr(FIELD_DIGITS, s[0]);
}

static bool is_image(const char *s)
{
	return field_made_of(s, FIELD_LOWER FIELD_DIGITS "-", 32) && s[0] >= 'a' && s[0] <= 'z';
}

static bool is_project_name(const char *s)
{
	return field_made_of(s, FIELD_LOWER FIELD_DIGITS "._-", 100) &&
	       strchr(FIELD_LOWER FIELD_DIGITS, s[0]);
}

static bool is_release(const char *s)
{
	return field_made_of(s, FIELD_ALNUM "._+!-", 100);
}

static bool is_zone(const char *s)
{
	return field_made_of(s, FIELD_LOWER FIELD_DIGITS ".-", ROUTE_HOST_MAX);
}

/* Whether s is a dotted name of a module; names that are not ASCII are none here. */
static bool is_module(const char *s)
{
	for (;;) {
		size_t n = strspn(s, FIELD_ALNUM "_");

		if (n == 0 || n > MODULE_NAME_MAX || strchr(FIELD_DIGITS, *s))
			return false;
		s += n;
		if (*s == '\0')
			return true;
		if (*s++ != '.')
			return false;
	}
}

/* Whether a path stays below the folder in which it begins. */
static bool is_inside(const char *path)
{
	if (*path == '\0' || *path == '/')
		return false;
	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 0 || (n <= 2 && strncmp(path, "..", n) == 0))
			return false;
		path += n;
		if (*path == '/')
			path++;
	}
	return true;
}

static bool is_date(const char *s)
{
	unsigned month, day;

	if (strlen(s) != 10 || s[4] != '-' || s[7] != '-')
		return false;
	for (size_t i = 0; i < 10; i++)
		if (i != 4 && i != 7 && (s[i] < '0' || s[i] > '9'))
			return false;
	month = (unsigned)(s[5] - '0') * 10 + (unsigned)(s[6] - '0');
	day = (unsigned)(s[8] - '0') * 10 + (unsigned)(s[9] - '0');
	return s[0] == '2' && month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

/* An array of different strings. NULL: it is missing, or wrong. */
static const json_t *read_strings(struct json_strict *s, const char *key, size_t max_items,
				  size_t max_len, bool (*ok)(const char *), const char *must)
{
	const json_t *list = json_strict_array(s, key, max_items);

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_strict_item_string(s, key, i, max_len);

		if (!text)
			break;
		if (ok && !ok(text))
			(void)json_strict_item_fail(s, key, i, "%s", must);
		for (size_t j = 0; ok && j < i && s->status == 0; j++)
			if (strcmp(text, json_string_value(json_array_get(list, j))) == 0)
				(void)json_strict_item_fail(s, key, i, "is there twice");
	}
	return s->status == 0 ? list : NULL;
}

static void read_head(struct json_strict *s, struct worker_manifest *m)
{
	size_t n;

	m->name = field_string(s, "name", 1024, true, worker_manifest_is_name,
			       "must have 1 to 63 of the characters a-z, 0-9 and '-', and neither "
			       "begin nor end with '-', because it is a part of a host's name");
	m->main = field_string(s, "main", 1024, true, is_stem,
			       "must be a module's name of letters, digits, '_' and '-'");
	m->main_file = field_string(s, "main_file", 1024, true, NULL, NULL);
	n = m->main ? strlen(m->main) : 0;
	if (m->main && m->main_file &&
	    (strncmp(m->main_file, m->main, n) != 0 || strcmp(m->main_file + n, ".py") != 0))
		(void)json_strict_fail(s, "main_file", "must be main with .py behind it");
	m->date = field_string(s, "compatibility_date", 1024, true, is_date,
			       "must be a date such as 2026-04-21");
	m->python = field_string(s, "python", 1024, true, field_is_python,
				 "must be a version such as 3.13");
	m->flags = read_strings(s, "compatibility_flags", MANIFEST_FLAGS_MAX, 100, is_flag,
				"must have characters of a-z, 0-9 and '_'");
	m->tag = json_strict_note(s, "tag", NOTE_MAX);
	m->message = json_strict_note(s, "message", NOTE_MAX);
	m->warnings = read_strings(s, "warnings", MANIFEST_WARNINGS_MAX, WARNING_MAX, NULL, NULL);
	m->secrets_required =
		read_strings(s, "secrets_required", MANIFEST_BINDINGS_MAX, BINDING_NAME_MAX,
			     is_binding_name, "must be a name such as API_KEY");
}

static void read_simple(struct json_strict *s, struct manifest_binding *b)
{
	struct json_strict simple;

	if (!json_strict_object(s, "simple", &simple)) {
		(void)json_strict_fail(s, "simple", "is missing");
		return;
	}
	b->limit = field_count(&simple, "limit", 1, 1000000000, 0);
	b->period_s = field_count(&simple, "period", 10, 60, 0);
	if (simple.status == 0 && (b->limit == 0 || (b->period_s != 10 && b->period_s != 60)))
		(void)json_strict_fail(&simple, b->limit ? "period" : "limit", "%s",
				       b->limit ? "must be 10 or 60" : "is missing");
	(void)json_strict_end(&simple);
}

static void read_binding(struct json_strict *s, struct manifest_binding *b)
{
	const char *type = json_strict_string(s, "type", 64);
	const struct binding_row *row;
	bool is_variable;
	size_t max;

	b->name = field_string(s, "name", BINDING_NAME_MAX, true, is_binding_name,
			       "must be a name such as MY_KV, of letters, digits and '_'");
	b->type = type ? binding_type_of(type) : BINDING_N;
	if (s->status == 0 && b->type == BINDING_N)
		(void)json_strict_fail(s, "type", "%s",
				       type ? "there is no such type of binding" : "is missing");
	if (s->status < 0)
		return;
	row = &binding_table[b->type];
	is_variable = b->type == BINDING_PLAIN_TEXT || b->type == BINDING_DATA;
	max = is_variable ? MANIFEST_TEXT_MAX : BINDING_KEY_MAX;
	for (size_t i = 0; i < ARRAY_SIZE(row->keys) && row->keys[i]; i++) {
		/* Only a variable's text may be empty. */
		const char *text = is_variable ? json_strict_note(s, row->keys[i], max)
					       : json_strict_string(s, row->keys[i], max);

		if (i == 0)
			b->target = text;
		if (i == 1 && b->type == BINDING_SERVICE)
			b->entrypoint = text;
	}
	if (row->need_target && !b->target)
		(void)json_strict_fail(s, row->keys[0], "is missing");
	if (b->type == BINDING_JSON && !json_strict_get(s, "json"))
		(void)json_strict_fail(s, "json", "is missing");
	if (b->type == BINDING_KV && b->target && !field_made_of(b->target, FIELD_ALNUM "_-", 64))
		(void)json_strict_fail(s, "namespace_id",
				       "must have 1 to 64 letters, digits, '_' and '-'");
	if (b->type == BINDING_SERVICE && b->target && !worker_manifest_is_name(b->target))
		(void)json_strict_fail(s, "service", "must be a worker's name");
	if (b->entrypoint && !is_entrypoint(b->entrypoint))
		(void)json_strict_fail(s, "entrypoint",
				       "must be a class's name of at most %d letters, digits and "
				       "'_'",
				       MANIFEST_ENTRYPOINT_MAX);
	if (b->type == BINDING_RATELIMIT)
		read_simple(s, b);
}

static int read_bindings(struct json_strict *s, struct worker_manifest *m)
{
	json_t *list = json_strict_array(s, "bindings", MANIFEST_BINDINGS_MAX);

	if (json_array_size(list) == 0)
		return 0;
	m->bindings = calloc(json_array_size(list), sizeof(*m->bindings));
	if (!m->bindings)
		return err_set(s->e, ERR_SYSTEM, ENOMEM, "%s", s->what);
	m->n_bindings = json_array_size(list);
	for (size_t i = 0; i < m->n_bindings; i++) {
		struct manifest_binding *b = &m->bindings[i];
		struct json_strict item;

		if (!json_strict_item_object(s, "bindings", i, &item))
			break;
		read_binding(&item, b);
		b->object = item.obj;
		for (size_t j = 0; j < i && item.status == 0; j++)
			if (strcmp(m->bindings[j].name, b->name) == 0)
				(void)json_strict_fail(&item, "name",
						       "another binding has this name");
		if (json_strict_end(&item) < 0)
			break;
	}
	return 0;
}

static int read_routes(struct json_strict *s, struct worker_manifest *m)
{
	json_t *list = json_strict_array(s, "routes", MANIFEST_ROUTES_MAX);

	if (json_array_size(list) == 0)
		return 0;
	m->routes = calloc(json_array_size(list), sizeof(*m->routes));
	if (!m->routes)
		return err_set(s->e, ERR_SYSTEM, ENOMEM, "%s", s->what);
	m->n_routes = json_array_size(list);
	for (size_t i = 0; i < m->n_routes; i++) {
		struct manifest_route *route = &m->routes[i];
		struct json_strict item;
		struct err e = {0};
		const char *text;

		if (!json_strict_item_object(s, "routes", i, &item))
			break;
		text = field_string(&item, "pattern", PATTERN_TEXT_MAX, true, NULL, NULL);
		(void)json_strict_bool(&item, "custom_domain", &route->custom_domain);
		route->zone = field_string(&item, "zone_name", ROUTE_HOST_MAX, false, is_zone,
					   "must be a domain such as example.com");
		if (text && item.status == 0 &&
		    route_pattern_parse(text, route->custom_domain, &route->pattern, &e) < 0)
			(void)json_strict_fail(&item, "pattern", "%s", e.msg);
		if (json_strict_end(&item) < 0)
			break;
	}
	return 0;
}

/* A cron line of five fields: seconds and names such as @daily are not for workers. */
static void read_crons(struct json_strict *s, struct worker_manifest *m)
{
	m->crons = read_strings(s, "crons", MANIFEST_CRONS_MAX, CRON_MAX, NULL, NULL);
	for (size_t i = 0; i < json_array_size(m->crons); i++) {
		const char *line = json_strict_item_string(s, "crons", i, CRON_MAX);
		unsigned fields = 0;
		struct err e = {0};
		struct cron cron;

		for (const char *at = line; at && *at; fields++) {
			at += strspn(at, " \t");
			at += strcspn(at, " \t");
			at += strspn(at, " \t");
		}
		if (line && fields != 5)
			(void)json_strict_item_fail(s, "crons", i,
						    "must have five fields: minute, hour, day of "
						    "the month, month, day of the week");
		else if (line && cron_parse(line, &cron, &e) < 0)
			(void)json_strict_item_fail(s, "crons", i, "%s", e.msg);
	}
}

static void read_assets(struct json_strict *s, struct worker_manifest *m)
{
	static const char *const html[] = {"auto-trailing-slash", "force-trailing-slash",
					   "drop-trailing-slash", "none"};
	static const char *const missing[] = {"none", "404-page", "single-page-application"};
	struct manifest_assets *a = &m->assets;
	struct json_strict assets;

	if (!json_strict_object(s, "assets", &assets))
		return;
	a->directory = field_string(&assets, "directory", 255, true, is_inside,
				    "must be a folder inside the package");
	a->binding = field_string(&assets, "binding", BINDING_NAME_MAX, false, is_binding_name,
				  "must be a name such as ASSETS");
	a->html_handling = field_word(&assets, "html_handling", html, ARRAY_SIZE(html), html[0]);
	a->not_found_handling =
		field_word(&assets, "not_found_handling", missing, ARRAY_SIZE(missing), missing[0]);
	if (json_is_array(json_strict_get(&assets, "run_worker_first")))
		a->worker_first = read_strings(&assets, "run_worker_first", MANIFEST_GLOBS_MAX, 255,
					       NULL, NULL);
	else
		(void)json_strict_bool(&assets, "run_worker_first", &a->run_worker_first);
	(void)json_strict_bool(&assets, "only", &a->only);
	for (size_t i = 0; i < json_array_size(a->worker_first); i++) {
		const char *glob = json_string_value(json_array_get(a->worker_first, i));

		if (glob[0] != '/' && strncmp(glob, "!/", 2) != 0)
			(void)json_strict_item_fail(&assets, "run_worker_first", i,
						    "must begin with / or !/");
	}
	(void)json_strict_end(&assets);
}

static void read_sandbox(struct json_strict *s, struct worker_manifest *m)
{
	static const char *const isolation[] = {"instance", "request"};
	static const char *const snapshots[MANIFEST_SNAPSHOT_MAX] = {"none", "baseline", "package",
								     "dedicated"};
	static const char *const starts[MANIFEST_START_MAX] = {"auto", "restore", "cold"};
	const char *snapshot, *start;
	struct manifest_sandbox *b = &m->sandbox;
	struct json_strict sandbox = {0};
	double cpus;

	b->policy = "default";
	b->max = 4;
	b->concurrency = 100;
	b->snapshot = MANIFEST_SNAPSHOT_DEDICATED;
	if (!json_strict_object(s, "sandbox", &sandbox))
		return;
	b->by_request = field_word(&sandbox, "isolation", isolation, 2, isolation[0])[0] == 'r';
	b->image = field_string(&sandbox, "image", 32, false, is_image, "must be an image's name");
	b->policy = field_string(&sandbox, "policy", 63, false, util_is_name,
				 "must be a policy's name such as \"default\"");
	if (!b->policy)
		b->policy = "default";
	b->min = field_count(&sandbox, "min", 0, MANIFEST_INSTANCES_MAX, 0);
	b->max = field_count(&sandbox, "max", 1, MANIFEST_INSTANCES_MAX,
			     b->by_request ? MANIFEST_REQUESTS
			     : b->min > 4  ? b->min
					   : 4);
	b->concurrency = field_count(&sandbox, "concurrency", 1, MANIFEST_CONCURRENCY_MAX, 100);
	b->max_age_s = field_count(&sandbox, "max_age_s", 1, MANIFEST_AGE_MAX, 0);
	b->max_requests = field_count(&sandbox, "max_requests", 1, 1000000000, 0);
	b->timeout_s = field_count(&sandbox, "timeout_s", 1, MANIFEST_TIMEOUT_MAX, 0);
	(void)json_strict_size(&sandbox, "memory", LIMIT_MEMORY_MIN, LIMIT_MEMORY_MAX, &b->memory);
	if (json_strict_number(&sandbox, "cpus", LIMIT_CPU_MIN / 1000.0, LIMIT_CPU_MAX / 1000.0,
			       &cpus))
		b->cpu_milli = (uint32_t)(cpus * 1000 + 0.5);
	snapshot = field_word(&sandbox, "snapshot", snapshots, ARRAY_SIZE(snapshots), "dedicated");
	for (unsigned i = 0; i < MANIFEST_SNAPSHOT_MAX; i++)
		if (strcmp(snapshot, snapshots[i]) == 0)
			b->snapshot = i;
	start = field_word(&sandbox, "start", starts, ARRAY_SIZE(starts), "auto");
	for (unsigned i = 0; i < MANIFEST_START_MAX; i++)
		if (strcmp(start, starts[i]) == 0)
			b->start = i;
	if (sandbox.status == 0 && b->min > b->max)
		(void)json_strict_fail(&sandbox, "min", "must not be more than max");
	if (sandbox.status == 0 && b->by_request && b->min > 0)
		(void)json_strict_fail(&sandbox, "min",
				       "is for isolation \"instance\": with \"request\", nothing "
				       "runs between requests");
	(void)json_strict_end(&sandbox);
}

/* Adds a list of modules to buf; *room: bytes that all lists may still take. */
static void read_modules(struct json_strict *s, const char *key, size_t extra, size_t *room,
			 char buf[MANIFEST_IMPORTS_BYTES])
{
	const json_t *list =
		read_strings(s, key, MANIFEST_IMPORTS_BYTES / 2, MANIFEST_IMPORTS_BYTES, is_module,
			     "must be a module's name such as \"numpy.linalg\"");
	size_t used = 0;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i));

		if (strlen(name) + 1 + extra > *room) {
			(void)json_strict_item_fail(s, key, i,
						    "all imports have more than %d bytes together",
						    MANIFEST_IMPORTS_BYTES - 1);
			return;
		}
		*room -= strlen(name) + 1 + extra;
		used += (size_t)snprintf(buf + used, MANIFEST_IMPORTS_BYTES - used, "%s%s",
					 i ? "\n" : "", name);
	}
}

static void read_imports(struct json_strict *s, struct worker_manifest *m)
{
	size_t room = MANIFEST_IMPORTS_BYTES;

	read_modules(s, "imports", 0, &room, m->imports);
	read_modules(s, "package_imports", MANIFEST_IMPORT_EXTRA, &room, m->package_imports);
}

static void read_requirements(struct json_strict *s, struct worker_manifest *m)
{
	static const char *const from[] = {"image", "package"};
	json_t *list = json_strict_array(s, "requirements", MANIFEST_REQUIREMENTS_MAX);

	for (size_t i = 0; i < json_array_size(list); i++) {
		struct json_strict item;

		if (!json_strict_item_object(s, "requirements", i, &item))
			return;
		(void)field_string(&item, "name", 1024, true, is_project_name,
				   "must be a project's name such as \"fastapi\"");
		(void)field_string(&item, "version", 1024, true, is_release,
				   "must be a version such as \"1.2.3\"");
		if (!field_word(&item, "from", from, 2, NULL))
			(void)json_strict_fail(&item, "from", "is missing");
		if (json_strict_end(&item) < 0)
			return;
	}
	m->requirements = list;
}

/* Only what the manifest has as a whole can be judged here. */
static void check_whole(struct json_strict *s, const struct worker_manifest *m)
{
	const struct manifest_binding *assets = NULL;

	for (size_t i = 0; i < m->n_bindings && s->status == 0; i++) {
		const struct manifest_binding *b = &m->bindings[i];

		if (b->type == BINDING_ASSETS)
			assets = b;
		if (b->type == BINDING_DURABLE_OBJECT && m->sandbox.by_request)
			(void)json_strict_item_fail(
				s, "bindings", i,
				"a Durable Object needs an instance that lasts: "
				"use isolation \"instance\"");
	}
	if (s->status == 0 && assets && !m->assets.directory)
		(void)json_strict_fail(s, "assets", "is missing, and the binding %s is of it",
				       assets->name);
}

int worker_manifest_read(const char *what, const char *text, size_t len,
			 struct worker_manifest *ret, struct err *e)
{
	struct json_strict top;
	int r;

	*ret = (struct worker_manifest){0};
	r = json_strict_load(what, text, len, MANIFEST_MAX, &ret->doc, e);
	if (r == 0)
		r = json_strict_begin(&top, what, ret->doc, e);
	if (r == 0) {
		read_head(&top, ret);
		r = read_bindings(&top, ret);
	}
	if (r == 0)
		r = read_routes(&top, ret);
	if (r == 0) {
		read_crons(&top, ret);
		read_assets(&top, ret);
		read_sandbox(&top, ret);
		read_imports(&top, ret);
		read_requirements(&top, ret);
		if (top.status == 0)
			check_whole(&top, ret);
		r = json_strict_end(&top);
	}
	if (r < 0)
		worker_manifest_clear(ret);
	return r;
}

void worker_manifest_clear(struct worker_manifest *m)
{
	json_decref(m->doc);
	free(m->bindings);
	free(m->routes);
	*m = (struct worker_manifest){0};
}
