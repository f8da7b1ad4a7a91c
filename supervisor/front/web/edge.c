// SPDX-License-Identifier: Apache-2.0
/* What the edge is told: which instances of which versions serve a worker, and which hosts lead to
 * it. */
#include "supervisor/front/edge/edge.h"

#include <stdio.h>
#include <string.h>

#include "lib/msg.h"
#include "supervisor/front/web/web.h"

#define KEY_MAX (PROJECT_NAME_MAX + WEB_NAME_MAX + 2)

static void key_of(const struct web_worker *w, char buf[KEY_MAX])
{
	(void)snprintf(buf, KEY_MAX, "%s/%s", w->project->name, w->row.name);
}

struct web_worker *web_worker_by_key(struct front *f, const char *key)
{
	char project[PROJECT_NAME_MAX + 1];
	const char *slash = strchr(key, '/');
	struct project *p;

	if (!slash || slash - key > PROJECT_NAME_MAX)
		return NULL;
	(void)snprintf(project, sizeof(project), "%.*s", (int)(slash - key), key);
	p = project_find(f, project);
	return p ? web_worker_find(p, slash + 1) : NULL;
}

static json_t *version_json(struct web_version *v, unsigned percent)
{
	const struct manifest_sandbox *s = &v->manifest.sandbox;
	json_t *instances;
	struct web_instance *i;

	if (v->manifest.assets.only)
		return json_pack("{s:s, s:i, s:o}", "id", v->row.id, "percent", (int)percent,
				 "assets", web_assets_json(v, false));
	if (v->door) {
		char path[WEB_UUID_LEN + 16];

		/* More than run at a time wait at the door. */
		(void)snprintf(path, sizeof(path), "v/%s.sock", v->row.id);
		return json_pack("{s:s, s:i, s:s, s:i, s:s, s:o*}", "id", v->row.id, "percent",
				 (int)percent, "isolation", "request", "room", WEB_DOOR_ROOM,
				 "path", path, "assets", web_assets_json(v, false));
	}
	instances = json_array();
	LIST_FOREACH(i, &v->instances, next) {
		char path[TASK_ID_LEN + 16];

		if (!i->published)
			continue;
		(void)snprintf(path, sizeof(path), "i/%s.sock", i->run);
		json_array_append_new(instances,
				      json_pack("{s:s, s:s}", "id", i->run, "path", path));
	}
	return json_pack("{s:s, s:i, s:s, s:I, s:o, s:o*}", "id", v->row.id, "percent",
			 (int)percent, "isolation", "instance", "room",
			 (json_int_t)(s->concurrency ? s->concurrency : WEB_CONCURRENCY),
			 "instances", instances, "assets", web_assets_json(v, false));
}

void web_edge_worker(struct front *f, struct web_worker *w)
{
	struct web_version *serving[WEB_SPLIT_MAX];
	unsigned percent[WEB_SPLIT_MAX], n = web_serving(w, serving, percent);
	json_t *versions = json_array(), *entry;
	const uint32_t rate = w->project->quota.http_rate;
	uint32_t timeout_s = 0;
	char key[KEY_MAX];
	struct err e = {0};

	key_of(w, key);
	for (unsigned i = 0; i < n; i++) {
		json_array_append_new(versions, version_json(serving[i], percent[i]));
		if (serving[i]->manifest.sandbox.timeout_s > timeout_s)
			timeout_s = serving[i]->manifest.sandbox.timeout_s;
	}
	entry = json_pack("{s:o, s:I}", "versions", versions, "timeout_s",
			  (json_int_t)(timeout_s ? timeout_s : WEB_TIMEOUT_S));
	if (entry && w->triggers.what & WEB_TRIGGER_HIDDEN)
		json_object_set_new(entry, "hidden", json_true());
	/* The edge counts it by project, over all its workers. */
	if (entry && rate)
		json_object_set_new(entry, "rate", json_integer(rate));
	if (edge_put_worker(f, key, entry, &e) < 0)
		msg_err("HTTP worker %s: the edge is not told: %s", key, e.msg);
	if (edge_has(f, key))
		web_instances_drain(f, w);
}

void web_edge_gone(struct front *f, const struct web_worker *w)
{
	char key[KEY_MAX];

	key_of(w, key);
	edge_delete_worker(f, key);
}

/* Where two workers have the same route, the first of the list has it: a deploy that would make a
 * second one is refused (web_edge_check_routes). */
static void add_route(json_t *hosts, const struct route_pattern *r, const char *key)
{
	char host[ROUTE_HOST_MAX + 3], path[ROUTE_PATTERN_MAX + 1];
	json_t *paths;

	(void)snprintf(host, sizeof(host), "%s%s", r->below ? "*." : "", r->host);
	(void)snprintf(path, sizeof(path), "%s%s", r->path, r->prefix ? "*" : "");
	paths = json_object_get(hosts, host);
	if (!paths) {
		json_object_set_new(hosts, host, json_array());
		paths = json_object_get(hosts, host);
	}
	json_array_append_new(paths, json_pack("{s:s, s:s}", "path", path, "worker", key));
}

void web_edge_hosts(struct front *f)
{
	json_t *hosts = json_object();
	struct err e = {0};

	for (struct project *p = f->core->projects; p; p = p->next) {
		struct web_worker *w;

		LIST_FOREACH(w, &p->web->workers, next) {
			struct web_version *serving[WEB_SPLIT_MAX];
			const struct manifest_route *routes;
			unsigned percent[WEB_SPLIT_MAX];
			char key[KEY_MAX];
			size_t n;

			/* The routes are those of the deployment's first version. */
			if (web_serving(w, serving, percent) == 0)
				continue;
			key_of(w, key);
			routes = web_routes(serving[0], &n);
			for (size_t i = 0; i < n; i++)
				add_route(hosts, &routes[i].pattern, key);
		}
	}
	if (edge_put_hosts(f, hosts, &e) < 0)
		msg_err("the edge is not told of routes: %s", e.msg);
}

/* Whether there is a host that both mean. */
static bool hosts_meet(const struct route_pattern *a, const struct route_pattern *b)
{
	if (strcmp(a->host, b->host) == 0)
		return a->below == b->below;
	return (b->below && route_host_is_below(a->host, b->host)) ||
	       (a->below && route_host_is_below(b->host, a->host));
}

/* The hosts below the node's domain belong to workers by their names, and a project has those of its
 * own alone; and nobody has all hosts of a name that is one word. */
static int check_host(struct front *f, const struct project *p, const struct route_pattern *r,
		      const char *domain, struct err *e)
{
	char own[PROJECT_NAME_MAX + 258];
	const char *parent = strchr(r->host, '.');

	(void)snprintf(own, sizeof(own), "%s.%s", p->name, domain);
	if (r->below && !strchr(r->host, '.'))
		return err_set(e, ERR_INPUT, 0, "routes: *.%s means too many hosts: name one",
			       r->host);
	if (!*domain ||
	    (!route_host_is_below(r->host, domain) &&
	     !(r->below && (strcmp(r->host, domain) == 0 || route_host_is_below(domain, r->host)))))
		return project_may_route(f, p, r, e);
	/* All below NAME.PROJECT would be hosts of the project that is called X.PROJECT, too. */
	if (!r->below && parent && strcmp(parent + 1, own) == 0)
		return 0;
	return err_set(e, ERR_CONFLICT, 0,
		       "routes: %s%s: of the hosts of %s this project has NAME.%s alone",
		       r->below ? "*." : "", r->host, domain, own);
}

/* Another worker may not have the same route, and one of another project no route of a host that
 * these mean: a longer path or a host that is named in full would win. */
static int check_route(const struct web_worker *of, const struct route_pattern *r,
		       const struct web_worker *w, const struct manifest_route *routes, size_t n,
		       struct err *e)
{
	const bool own = w->project == of->project;
	char text[ROUTE_PATTERN_MAX + ROUTE_HOST_MAX];

	for (size_t i = 0; i < n; i++) {
		const struct route_pattern *o = &routes[i].pattern;

		if (!hosts_meet(r, o) ||
		    (own && (r->below != o->below || r->prefix != o->prefix ||
			     strcmp(r->host, o->host) != 0 || strcmp(r->path, o->path) != 0)))
			continue;
		(void)route_pattern_format(r, text, sizeof(text));
		return own ? err_set(e, ERR_CONFLICT, 0,
				     "routes: %s is another worker's: %s: deploy that without it "
				     "first",
				     text, w->row.name)
			   : err_set(e, ERR_CONFLICT, 0,
				     "routes: %s: another project has routes of this host", text);
	}
	return 0;
}

/* The same of all that the other worker has, and will have when what is being written is durable. */
static int check_worker(const struct web_worker *of, const struct route_pattern *r,
			struct web_worker *w, struct err *e)
{
	struct web_version *serving[WEB_SPLIT_MAX] = {NULL};
	const struct web_triggers *t = w->coming_triggers;
	const struct manifest_route *routes;
	unsigned percent[WEB_SPLIT_MAX];
	size_t n;
	int res = 0;

	if (web_serving(w, serving, percent) > 0) {
		routes = web_routes(serving[0], &n);
		res = check_route(of, r, w, routes, n, e);
	}
	if (res == 0 && w->coming) {
		routes = web_routes(w->coming, &n);
		res = check_route(of, r, w, routes, n, e);
		/* A deploy that says its routes takes those of the worker back. */
		if (res == 0)
			res = check_route(of, r, w, w->coming->manifest.routes,
					  w->coming->manifest.n_routes, e);
	}
	if (res == 0 && t && t->what & WEB_TRIGGER_ROUTES)
		res = check_route(of, r, w, t->has.routes, t->has.n_routes, e);
	return res;
}

int web_edge_check_routes(struct front *f, const struct web_worker *of,
			  const struct manifest_route *routes, size_t n, struct err *e)
{
	char domain[256];
	int r = 0;

	edge_domain(f, domain, sizeof(domain));
	for (size_t i = 0; r == 0 && i < n; i++)
		r = check_host(f, of->project, &routes[i].pattern, domain, e);
	for (struct project *p = f->core->projects; r == 0 && p && n; p = p->next) {
		struct web_worker *w;

		LIST_FOREACH(w, &p->web->workers, next)
			for (size_t i = 0; r == 0 && i < n && w != of; i++)
				r = check_worker(of, &routes[i].pattern, w, e);
	}
	return r;
}

/* The next of those who wait for one thing, or for any; NULL: no more. */
static struct web_told *next_waiting(struct front *f, bool any, const struct web_worker *w)
{
	struct web_told *t;

	LIST_FOREACH(t, &f->web->told, next)
		if (any || t->worker == w)
			return t;
	return NULL;
}

/* Whoever is called may end others, and may free itself. */
static void call_waiting(struct front *f, bool any, const struct web_worker *w)
{
	struct web_told *t;

	while ((t = next_waiting(f, any, w))) {
		web_edge_wait_end(f, t);
		t->fn(f, t);
	}
}

void web_edge_wait_no_more(struct front *f, const struct web_worker *w)
{
	call_waiting(f, !w, w);
}

void web_edge_wait_end(struct front *f, struct web_told *t)
{
	if (!timer_is_set(&t->late))
		return;
	timer_cancel(f, &t->late);
	LIST_REMOVE(t, next);
}

static void wait_late(struct front *f, struct timer *timer)
{
	struct web_told *t = OWNER(timer, struct web_told, late);

	LIST_REMOVE(t, next);
	t->fn(f, t);
}

void web_edge_wait(struct front *f, struct web_told *t, const struct web_worker *w,
		   void (*fn)(struct front *f, struct web_told *t))
{
	char key[KEY_MAX] = "";

	if (w)
		key_of(w, key);
	if (edge_has(f, key)) {
		fn(f, t);
		return;
	}
	t->worker = w;
	t->fn = fn;
	LIST_INSERT_HEAD(&f->web->told, t, next);
	timer_set(f, &t->late, util_monotonic_ns() + WEB_TOLD_WITHIN_NS, wait_late);
}

static void told(struct front *f, const char *key)
{
	struct web_worker *w = web_worker_by_key(f, key);

	if (!*key)
		call_waiting(f, false, NULL);
	if (!w)
		return;
	web_instances_drain(f, w);
	call_waiting(f, false, w);
}

void web_edge_url(struct front *f, const struct web_worker *w, char *buf, size_t size)
{
	edge_url(f, w->row.name, w->project->name, buf, size);
}

void web_edge_start(struct front *f)
{
	edge_on_told(f, told);
}
