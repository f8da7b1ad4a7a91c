// SPDX-License-Identifier: Apache-2.0
/* What wrangler asks and sets of a worker beside its versions: whether there is one, its settings, and
 * what leads to it. */
#include <stdio.h>
#include <string.h>

#include "lib/timefmt.h"
#include "supervisor/front/core/core.h"
#include "supervisor/front/web/cloudflare/cloudflare.h"
#include "supervisor/front/web/kv.h"

int cf_call_script(struct call *c, struct web_worker **ret, struct err *e)
{
	int r = web_call_worker(c, ret, e);

	if (r == 0 && !(*ret)->stored)
		return err_set(e, ERR_NOT_FOUND, 0, "%s has no version yet", (*ret)->row.name);
	return r;
}

struct web_version *cf_newest(struct web_worker *w)
{
	struct web_version *v = web_version_newest(w);

	return v && web_version_open(v, NULL) == 0 ? v : NULL;
}

json_t *cf_binding(struct web_version *v, const struct manifest_binding *b)
{
	json_t *one = json_deep_copy(b->object), *kind = json_object_get(one, "kind");
	const struct web_namespace *n;
	char title[WEB_NAME_MAX + 300];

	if (kind) {
		(void)json_object_set(one, "type", kind);
		(void)json_object_del(one, "kind");
	}
	if (b->type == BINDING_KV && !b->target) {
		(void)snprintf(title, sizeof(title), "%s-%.255s", v->worker->row.name, b->name);
		n = web_kv_find(v->worker->project, title);
		if (n)
			(void)json_object_set_new(one, "namespace_id", json_string(n->row.id));
	}
	return one;
}

static int add_secret(void *arg, const struct secret_row *row)
{
	return json_array_append_new(
		arg, json_pack("{s:s, s:s}", "name", row->name, "type", "secret_text"));
}

json_t *cf_bindings(struct front *f, struct web_version *v, struct err *e)
{
	const struct web_worker *w = v->worker;
	json_t *all = json_array();

	for (size_t i = 0; i < v->manifest.n_bindings; i++)
		if (v->manifest.bindings[i].type != BINDING_SECRET_TEXT)
			(void)json_array_append_new(all, cf_binding(v, &v->manifest.bindings[i]));
	if (store_secrets(f->store, w->project->id, w->row.name, v->row.id, add_secret, all, e) ==
	    0)
		return all;
	json_decref(all);
	return NULL;
}

static json_t *time_json(uint64_t ns)
{
	char text[TIMEFMT_MAX];

	return json_string(timefmt_print(ns, text));
}

static json_t *script_json(struct web_worker *w)
{
	struct web_version *v = cf_newest(w);

	return json_pack("{s:s, s:s, s:s, s:[s], s:s, s:o, s:o, s:s, s:s, s:O*}", "id", w->row.name,
			 "tag", w->row.id, "etag", v ? v->row.id : "", "handlers", "fetch",
			 "usage_model", "standard", "created_on", time_json(w->row.created_ns),
			 "modified_on", time_json(w->row.changed_ns), "last_deployed_from",
			 "wrangler", "compatibility_date", v ? v->manifest.date : "",
			 "compatibility_flags", v ? (json_t *)v->manifest.flags : NULL);
}

static int list(struct call *c, struct err *e)
{
	struct web_worker *w;
	json_t *all;
	int r = call_end_project(c, e);

	if (r < 0)
		return r;
	all = json_array();
	LIST_FOREACH(w, &c->project->web->workers, next)
		if (w->stored)
			(void)json_array_append_new(all, script_json(w));
	call_reply(c, all);
	return 0;
}

static int service(struct call *c, struct err *e)
{
	struct web_worker *w;
	int r = cf_call_script(c, &w, e);

	if (r == 0)
		call_reply(c, json_pack("{s:s, s:{s:s, s:o}}", "id", w->row.name,
					"default_environment", "environment", "production",
					"script", script_json(w)));
	return r;
}

static int settings(struct call *c, struct err *e)
{
	struct web_worker *w;
	struct web_version *v;
	json_t *bindings;
	int r = cf_call_script(c, &w, e);

	if (r < 0)
		return r;
	v = cf_newest(w);
	bindings = v ? cf_bindings(c->f, v, e) : json_array();
	if (!bindings)
		return -EIO;
	call_reply(c, json_pack("{s:o, s:s, s:O*, s:s, s:[]}", "bindings", bindings,
				"compatibility_date", v ? v->manifest.date : "",
				"compatibility_flags", v ? (json_t *)v->manifest.flags : NULL,
				"usage_model", "standard", "tags"));
	return 0;
}

/* Tags, logging and the like: nothing here goes by them. */
static int script_settings(struct call *c, struct err *e)
{
	json_t *body = call_get(c, "body");
	struct web_worker *w;
	int r = cf_call_script(c, &w, e);

	if (r == 0)
		call_reply(c, json_is_object(body) ? json_incref(body) : json_object());
	return r;
}

/* Whether the worker answers at NAME.PROJECT.DOMAIN, beside its routes. There are no addresses of versions
 * that do not serve, whatever is asked for. */
static json_t *subdomain_json(bool enabled)
{
	return json_pack("{s:b, s:b}", "enabled", enabled, "previews_enabled", 0);
}

static int subdomain(struct call *c, struct err *e)
{
	struct web_worker *w;
	int r = cf_call_script(c, &w, e);

	if (r == 0)
		call_reply(c, subdomain_json(!(w->triggers.what & WEB_TRIGGER_HIDDEN)));
	return r;
}

static int subdomain_set(struct call *c, struct err *e)
{
	const json_t *enabled = json_object_get(call_get(c, "body"), "enabled");
	const bool on = json_is_true(enabled);
	struct web_worker *w;
	int r = cf_call_script(c, &w, e);

	if (r == 0 && !json_is_boolean(enabled))
		r = err_set(e, ERR_INPUT, 0, "enabled: must be true or false");
	return r < 0 ? r : web_triggers_set_hidden(c, w, !on, subdomain_json(on), e);
}

static int account_subdomain(struct call *c, struct err *e)
{
	int r = call_end_project(c, e);

	if (r == 0)
		call_reply(c, json_pack("{s:s}", "subdomain", c->project->name));
	return r;
}

/* Of a newer wrangler, which takes the address that it prints from here. */
static int worker(struct call *c, struct err *e)
{
	char url[WEB_URL_MAX];
	struct web_worker *w;
	int r = cf_call_script(c, &w, e);

	if (r < 0)
		return r;
	web_edge_url(c->f, w, url, sizeof(url));
	call_reply(c,
		   json_pack("{s:s, s:s, s:{s:b, s:b, s:s}}", "id", w->row.id, "name", w->row.name,
			     "subdomain", "enabled", !(w->triggers.what & WEB_TRIGGER_HIDDEN),
			     "previews_enabled", 0, "url", url));
	return 0;
}

/* Any host may have a route here (web_edge_check_routes says who has it): each is a zone of its own,
 * whose id is its name. */
static int zones(struct call *c, struct err *e)
{
	const char *name = call_string(c, "name", ROUTE_HOST_MAX);
	json_t *all;
	int r = call_end(c, e);

	if (r < 0)
		return r;
	all = json_array();
	if (name && c->project)
		(void)json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:{s:s, s:s}}", "id",
							   name, "name", name, "status", "active",
							   "account", "id", c->project->id, "name",
							   c->project->name));
	call_reply(c, all);
	return 0;
}

static bool is_in_zone(const char *host, const char *zone)
{
	const size_t n = strlen(host), m = strlen(zone);

	return n >= m && strcmp(host + n - m, zone) == 0 && (n == m || host[n - m - 1] == '.');
}

static void add_routes(json_t *all, struct web_worker *w, const char *zone)
{
	struct web_version *serving[WEB_SPLIT_MAX], *v;
	unsigned percent[WEB_SPLIT_MAX];
	const struct manifest_route *routes;
	char text[ROUTE_PATTERN_MAX + ROUTE_HOST_MAX];
	size_t n;

	v = web_serving(w, serving, percent) > 0 ? serving[0] : cf_newest(w);
	if (!v || web_version_open(v, NULL) < 0)
		return;
	routes = web_routes(v, &n);
	for (size_t i = 0; i < n; i++) {
		if (zone && !is_in_zone(routes[i].pattern.host, zone))
			continue;
		(void)route_pattern_format(&routes[i].pattern, text, sizeof(text));
		(void)json_array_append_new(all, json_pack("{s:s, s:s, s:s}", "id", text, "pattern",
							   text, "script", w->row.name));
	}
}

static int zone_routes(struct call *c, struct err *e)
{
	const char *zone = call_string(c, "zone", ROUTE_HOST_MAX);
	struct web_worker *w;
	json_t *all;
	int r = call_end(c, e);

	if (r < 0)
		return r;
	all = json_array();
	if (c->project)
		LIST_FOREACH(w, &c->project->web->workers, next)
			add_routes(all, w, zone);
	call_reply(c, all);
	return 0;
}

static int routes_get(struct call *c, struct err *e)
{
	struct web_worker *w;
	json_t *all;
	int r = cf_call_script(c, &w, e);

	if (r < 0)
		return r;
	all = json_array();
	add_routes(all, w, NULL);
	call_reply(c, all);
	return 0;
}

/* The worker's own that are, or are not, custom domains. */
static json_t *routes_of(const struct web_worker *w, bool custom)
{
	const struct web_triggers *t = &w->triggers;
	json_t *all = json_array(), *one;
	size_t i;

	if (t->what & WEB_TRIGGER_ROUTES)
		json_array_foreach(json_object_get(t->has.doc, "routes"), i,
				   one) if (json_is_true(json_object_get(one, "custom_domain")) ==
					    custom)(void) json_array_append(all, one);
	return all;
}

static int set_routes(struct call *c, json_t *list, bool custom, struct err *e)
{
	const char *key = custom ? "hostname" : "pattern";
	json_t *all, *one, *pattern, *zone;
	struct web_worker *w;
	size_t i;
	int r = cf_call_script(c, &w, e);

	if (r == 0 && !json_is_array(list))
		r = err_set(e, ERR_INPUT, 0, "request: must be a list of routes");
	if (r < 0)
		return r;
	/* Those of the other kind stay. */
	all = routes_of(w, !custom);
	json_array_foreach(list, i, one)
	{
		pattern = json_is_object(one) ? json_object_get(one, key) : one;
		zone = json_is_object(one) ? json_object_get(one, "zone_name") : NULL;
		(void)json_array_append_new(all, json_pack("{s:O*, s:O*, s:o*}", "pattern", pattern,
							   "zone_name", custom ? NULL : zone,
							   "custom_domain",
							   custom ? json_true() : NULL));
	}
	return web_triggers_set(c, w, all, NULL, json_object(), e);
}

static int routes_put(struct call *c, struct err *e)
{
	return set_routes(c, call_get(c, "body"), false, e);
}

static int domains_put(struct call *c, struct err *e)
{
	return set_routes(c, json_object_get(call_get(c, "body"), "origins"), true, e);
}

/* What setting the domains would do to others: nothing, for what another has is refused. */
static int domains_changes(struct call *c, struct err *e)
{
	struct web_worker *w;
	int r;

	(void)call_get(c, "body");
	r = cf_call_script(c, &w, e);
	if (r == 0)
		call_reply(c, json_pack("{s:[], s:[], s:[], s:[]}", "added", "removed", "updated",
					"conflicting"));
	return r;
}

static int schedules_get(struct call *c, struct err *e)
{
	struct web_version *v;
	struct web_worker *w;
	const json_t *line;
	json_t *all;
	size_t i;
	int r = cf_call_script(c, &w, e);

	if (r < 0)
		return r;
	all = json_array();
	v = cf_newest(w);
	json_array_foreach(v ? web_crons(v) : NULL, i, line)(void)
		json_array_append_new(all, json_pack("{s:O}", "cron", line));
	call_reply(c, json_pack("{s:o}", "schedules", all));
	return 0;
}

static int schedules_put(struct call *c, struct err *e)
{
	json_t *list = call_get(c, "body"), *all, *one, *line;
	struct web_worker *w;
	size_t i;
	int r = cf_call_script(c, &w, e);

	if (r == 0 && !json_is_array(list))
		r = err_set(e, ERR_INPUT, 0, "request: must be a list of {\"cron\": TEXT}");
	if (r < 0)
		return r;
	all = json_array();
	json_array_foreach(list, i, one)
	{
		line = json_object_get(one, "cron");
		(void)json_array_append_new(all, line ? json_incref(line) : json_null());
	}
	return web_triggers_set(c, w, NULL, all, json_object(), e);
}

/* Who has bindings to the worker, by whom its removal would be noticed. */
static int references(struct call *c, struct err *e)
{
	struct web_worker *w, *other;
	json_t *incoming;
	int r = cf_call_script(c, &w, e);

	if (r < 0)
		return r;
	incoming = json_array();
	LIST_FOREACH(other, &c->project->web->workers, next) {
		struct web_version *v = other == w ? NULL : cf_newest(other);

		for (size_t i = 0; v && i < v->manifest.n_bindings; i++) {
			const struct manifest_binding *b = &v->manifest.bindings[i];

			if (b->type == BINDING_SERVICE && b->target &&
			    strcmp(b->target, w->row.name) == 0)
				(void)json_array_append_new(
					incoming,
					json_pack("{s:s, s:s, s:s}", "service", other->row.name,
						  "environment", "production", "name", b->name));
		}
	}
	call_reply(c, json_pack("{s:{s:o, s:[]}, s:[]}", "services", "incoming", incoming,
				"outgoing", "durable_objects"));
	return 0;
}

/* Who reads its log: nobody but people does. */
static int tail_consumers(struct call *c, struct err *e)
{
	struct web_worker *w;
	int r = cf_call_script(c, &w, e);

	if (r == 0)
		call_reply(c, json_array());
	return r;
}

static int delete (struct call *c, struct err *e)
{
	return verb_find(c->f, "web_rm")->run(c, e);
}

#define ROW .dialect = &cf_dialect, .shape = cf_shape
#define ZONES CF_PATH "/zones"
#define SERVICE CF_ACCOUNT "/workers/services/{name}"
/* clang-format off */
static const struct verb verbs[] = {
	{NULL, "GET", CF_SCRIPTS, WHO_PROJECT, list, ROW},
	{NULL, "GET", SERVICE, WHO_PROJECT, service, ROW},
	{NULL, "DELETE", SERVICE, WHO_PROJECT, delete, .dialect = &cf_dialect, .shape = cf_shape_none},
	{NULL, "DELETE", CF_SCRIPT, WHO_PROJECT, delete, .dialect = &cf_dialect, .shape = cf_shape_none},
	{NULL, "GET", CF_ACCOUNT "/workers/workers/{name}", WHO_PROJECT, worker, ROW},
	{NULL, "GET", CF_SCRIPT "/settings", WHO_PROJECT, settings, ROW},
	{NULL, "GET", CF_SCRIPT "/script-settings", WHO_PROJECT, script_settings, ROW},
	{NULL, "PATCH", CF_SCRIPT "/script-settings", WHO_PROJECT, script_settings, .body = "body", ROW},
	{NULL, "GET", CF_ACCOUNT "/workers/subdomain", WHO_PROJECT, account_subdomain, ROW},
	{NULL, "GET", CF_SCRIPT "/subdomain", WHO_PROJECT, subdomain, ROW},
	{NULL, "POST", CF_SCRIPT "/subdomain", WHO_PROJECT, subdomain_set, .body = "body", ROW},
	{NULL, "GET", ZONES, WHO_TOKEN, zones, ROW},
	{NULL, "GET", ZONES "/{zone}/workers/routes", WHO_TOKEN, zone_routes, ROW},
	{NULL, "GET", CF_SCRIPT "/routes", WHO_PROJECT, routes_get, ROW},
	{NULL, "PUT", CF_SCRIPT "/routes", WHO_PROJECT, routes_put, .body = "body",
	 .body_max = MANIFEST_MAX, ROW},
	{NULL, "PUT", CF_SCRIPT "/domains/records", WHO_PROJECT, domains_put, .body = "body", ROW},
	{NULL, "POST", CF_SCRIPT "/domains/changeset", WHO_PROJECT, domains_changes, .body = "body", ROW},
	{NULL, "GET", CF_SCRIPT "/schedules", WHO_PROJECT, schedules_get, ROW},
	{NULL, "PUT", CF_SCRIPT "/schedules", WHO_PROJECT, schedules_put, .body = "body", ROW},
	{NULL, "GET", CF_SCRIPT "/references", WHO_PROJECT, references, ROW},
	{NULL, "GET", CF_ACCOUNT "/workers/tails/by-consumer/{name}", WHO_PROJECT, tail_consumers, ROW},
	{0},
};
/* clang-format on */

const struct capability cloudflare_script_capability = {.name = "cloudflare scripts",
							.verbs = verbs};
