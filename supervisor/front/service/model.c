// SPDX-License-Identifier: Apache-2.0
/* What there is of services, in memory as in the store, and what follows from it. */
#include <stdio.h>
#include <string.h>

#include "lib/msg.h"
#include "supervisor/front/base/metric.h"
#include "supervisor/front/service/service.h"
#include "supervisor/front/store/schema.h"

_Static_assert(SERVICE_ROW_APP_MAX == SERVICE_APP_MAX && SERVICE_ROW_NAME_MAX == SERVICE_NAME_MAX &&
		       SERVICE_VARIABLE_MAX == SERVICE_ENV_NAME_MAX,
	       "what a manifest may say can be stored");

struct service *service_find(struct project *p, const char *app, const char *name)
{
	struct service *s;

	LIST_FOREACH(s, &p->service->services, next)
		if (strcmp(s->row.name, name) == 0 && strcmp(s->row.app, app) == 0)
			return s;
	return NULL;
}

struct service *service_by_id(struct front *f, const char *id)
{
	for (struct project *p = f->core->projects; p; p = p->next) {
		struct service *s;

		LIST_FOREACH(s, &p->service->services, next)
			if (strcmp(s->row.id, id) == 0)
				return s;
	}
	return NULL;
}

struct service *service_new(struct project *p, const char *app, const char *name)
{
	struct service *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->project = p;
	util_new_id(s->row.id);
	(void)snprintf(s->row.project, sizeof(s->row.project), "%s", p->id);
	(void)snprintf(s->row.app, sizeof(s->row.app), "%s", app);
	(void)snprintf(s->row.name, sizeof(s->row.name), "%s", name);
	s->row.created_ns = util_realtime_ns();
	for (unsigned i = 0; i < SERVICE_PORTS_MAX; i++)
		TAILQ_INIT(&s->wakes[i]);
	LIST_INSERT_HEAD(&p->service->services, s, next);
	p->service->n++;
	return s;
}

void service_free(struct front *f, struct service *s)
{
	struct err e = {0};

	(void)err_set(&e, ERR_NOT_FOUND, 0, "the service was removed");
	for (unsigned i = 0; i < SERVICE_PORTS_MAX; i++)
		edge_wake_answer(&s->wakes[i], NULL, &e);
	while (!LIST_EMPTY(&s->replicas))
		service_replica_free(LIST_FIRST(&s->replicas));
	if (s->background)
		f->services->hooks->free(s);
	while (!LIST_EMPTY(&s->versions))
		service_version_free(LIST_FIRST(&s->versions));
	LIST_REMOVE(s, next);
	s->project->service->n--;
	free(s);
}

struct service_version *service_version_new(struct service *s)
{
	struct service_version *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->service = s;
	memcpy(v->row.service, s->row.id, sizeof(v->row.service));
	LIST_INSERT_HEAD(&s->versions, v, next);
	return v;
}

/* It has no replica any more. */
void service_version_free(struct service_version *v)
{
	LIST_REMOVE(v, next);
	service_manifest_clear(&v->manifest);
	service_version_row_clear(&v->row);
	free(v);
}

struct service_version *service_version_of(struct service *s, uint32_t number)
{
	struct service_version *v;

	if (number)
		LIST_FOREACH(v, &s->versions, next)
			if (v->row.number == number)
				return v;
	return NULL;
}

struct service_version *service_live(struct service *s)
{
	return service_version_of(s, s->row.live);
}

int service_version_open(struct service_version *v, struct err *e)
{
	if (v->manifest.doc)
		return 0;
	return service_manifest_read("the version's manifest", v->row.manifest,
				     strlen(v->row.manifest), &v->manifest, e);
}

unsigned service_instances(const struct service *s, const struct service_version *v)
{
	return s->row.instances ? s->row.instances : v->manifest.instances;
}

unsigned service_project_wanted(const struct project *p)
{
	const struct service_replica *r;
	const struct service *s;
	unsigned n = 0;

	LIST_FOREACH(s, &p->service->services, next)
		LIST_FOREACH(r, &s->replicas, next)
			n += r->replica.wanted;
	return n;
}

static struct service_replica *find_replica(struct service *s, const struct service_version *v,
					    unsigned number)
{
	struct service_replica *r;

	LIST_FOREACH(r, &s->replicas, next)
		if (r->version == v && r->number == number && r->generation == s->generation &&
		    r->replica.wanted)
			return r;
	return NULL;
}

/* Of a roll that is under way the replicas are its own to want. */
static bool is_rolling(const struct service_replica *r)
{
	return r->service->roll && r->generation > r->service->generation;
}

static bool is_stopped(const struct front *f, const struct service *s)
{
	return s->background && f->services->hooks->is_stopped(s);
}

void service_settle(struct front *f, struct service *s)
{
	struct service_version *v = s->going ? NULL : service_live(s);
	struct service_replica *r;
	struct err e = {0};
	unsigned n = 0;

	if (v && service_version_open(v, &e) < 0)
		msg_err("service %s/%s: %s", s->row.app, s->row.name, e.msg);
	if (v && v->manifest.doc && !is_stopped(f, s))
		n = service_instances(s, v);
	LIST_FOREACH(r, &s->replicas, next)
		if (!is_rolling(r) &&
		    (r->version != v || r->number >= n || r->generation != s->generation))
			service_replica_want(r, false);
	for (unsigned i = 0; i < n; i++) {
		if (find_replica(s, v, i))
			continue;
		r = service_replica_new(f, v, i, s->generation);
		if (r)
			service_replica_want(r, true);
	}
	service_edge_put(f, s);
	if (s->background)
		LIST_FOREACH(r, &s->replicas, next)
			f->services->hooks->replica(r);
}

/* As of revisions: several in a row that have one package have it once. */
void service_packages_count(struct project *p)
{
	struct package_size now = {0};
	struct service *s;

	LIST_FOREACH(s, &p->service->services, next) {
		const uint8_t *newer = NULL;
		struct service_version *v;

		LIST_FOREACH(v, &s->versions, next) {
			if (!v->stored)
				continue;
			if (!newer || memcmp(newer, v->row.package, 32) != 0) {
				now.bytes += v->row.package_bytes;
				now.files += v->row.package_files;
			}
			newer = v->row.package;
		}
	}
	p->package_bytes += now.bytes - p->service->packages.bytes;
	p->package_files += now.files - p->service->packages.files;
	p->service->packages = now;
}

const char *service_state(struct service *s)
{
	const struct service_replica *r;
	unsigned n = 0, n_up = 0, n_failed = 0;

	if (s->roll)
		return "rolling";
	if (!service_live(s))
		return "down";
	LIST_FOREACH(r, &s->replicas, next)
		if (r->replica.wanted) {
			n++;
			n_up += r->replica.state == REPLICA_UP;
			n_failed += r->replica.state == REPLICA_FAILED;
		}
	if (n && n_up == n)
		return "up";
	if (n == 0)
		return "stopped";
	return n_failed == n ? "failed" : "degraded";
}

/* What the store has. */

struct load {
	struct front *f;
	struct service *service;
	struct service_version *last;
};

static int load_service(void *arg, const struct service_row *row)
{
	struct load *l = arg;
	struct project *p = project_by_id(l->f, row->project);
	struct service *s;

	/* Its project was removed, and a power cut kept the rest from being removed with it. */
	if (!p)
		return 0;
	s = service_new(p, row->app, row->name);
	if (!s)
		return -ENOMEM;
	s->row = *row;
	s->stored = true;
	return 0;
}

/* They come newest first, which is the order of the list. */
static int load_version(void *arg, struct service_version_row *row)
{
	struct load *l = arg;
	struct service_version *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->service = l->service;
	if (l->last)
		LIST_INSERT_AFTER(l->last, v, next);
	else
		LIST_INSERT_HEAD(&l->service->versions, v, next);
	l->last = v;
	v->row = *row;
	v->stored = true;
	row->manifest = NULL;
	return 0;
}

static int load(struct front *f, struct err *e)
{
	struct load l = {.f = f};
	int r = store_services(f->store, load_service, &l, e);

	for (struct project *p = f->core->projects; r == 0 && p; p = p->next) {
		LIST_FOREACH(l.service, &p->service->services, next) {
			l.last = NULL;
			r = store_service_versions(f->store, l.service->row.id, load_version, &l,
						   e);
			if (r < 0)
				return r;
		}
		service_packages_count(p);
	}
	return r;
}

static int start(struct front *f, struct err *e)
{
	(void)e;
	if (f->cfg.edge_dirfd < 0)
		return 0;
	service_edge_start(f);
	service_replicas_load(f);
	for (struct project *p = f->core->projects; p; p = p->next) {
		struct service *s;

		LIST_FOREACH(s, &p->service->services, next)
			service_settle(f, s);
	}
	return 0;
}

static void stop(struct front *f)
{
	service_pushes_clear(f, NULL);
	service_rolls_clear(f, NULL);
	f->services->stopped = true;
}

/* What a project has of it. */

static int attach(struct front *f, struct project *p)
{
	(void)f;
	p->service = calloc(1, sizeof(*p->service));
	return p->service ? 0 : -ENOMEM;
}

static void free_project(struct front *f, struct project *p)
{
	service_pushes_clear(f, p);
	service_rolls_clear(f, p);
	while (p->service && !LIST_EMPTY(&p->service->services)) {
		service_edge_gone(f, LIST_FIRST(&p->service->services));
		service_free(f, LIST_FIRST(&p->service->services));
	}
	free(p->service);
	p->service = NULL;
}

static int check_idle(struct front *f, struct project *p, struct err *e)
{
	const struct service *s = LIST_FIRST(&p->service->services);

	(void)f;
	if (!s)
		return 0;
	return err_set(e, ERR_CONFLICT, 0, "the service %s/%s of the project runs", s->row.app,
		       s->row.name);
}

static int delete_project(struct front *f, struct project *p, struct err *e)
{
	return store_service_delete_project(f->store, p->id, e);
}

static bool uses_package(struct front *f, const uint8_t digest[32])
{
	for (struct project *p = f->core->projects; p; p = p->next) {
		struct service *s;
		struct service_version *v;

		LIST_FOREACH(s, &p->service->services, next)
			LIST_FOREACH(v, &s->versions, next)
				if (memcmp(v->row.package, digest, 32) == 0)
					return true;
	}
	return false;
}

static void show(const struct project *p, json_t *o)
{
	uint64_t data = 0;
	struct service *s;

	LIST_FOREACH(s, &p->service->services, next)
		data += s->row.data_bytes;
	json_object_set_new(o, "services", json_integer((json_int_t)p->service->n));
	json_object_set_new(o, "service_replicas",
			    json_integer((json_int_t)service_project_wanted(p)));
	json_object_set_new(o, "service_data_bytes", json_integer((json_int_t)data));
}

/* The quota of requests a second is the edge's to count. */
static void project_changed(struct front *f, struct project *p)
{
	struct service *s;

	LIST_FOREACH(s, &p->service->services, next)
		if (s->stored)
			service_edge_put(f, s);
}

static void metric_of(FILE *out, const char *name, const struct service *s, const char *more,
		      uint64_t value)
{
	(void)fprintf(out, "sandboxd_%s{project=\"%s\",app=\"%s\",service=\"%s\"%s} %llu\n", name,
		      s->project->name, s->row.app, s->row.name, more, (unsigned long long)value);
}

static void each_metric(struct front *f, FILE *out, const char *name,
			void (*put)(FILE *out, const char *name, const struct service *s))
{
	for (struct project *p = f->core->projects; p; p = p->next) {
		struct service *s;

		LIST_FOREACH(s, &p->service->services, next)
			put(out, name, s);
	}
}

static void put_replicas(FILE *out, const char *name, const struct service *s)
{
	unsigned n[REPLICA_STATES] = {0};
	const struct service_replica *r;

	LIST_FOREACH(r, &s->replicas, next)
		n[r->replica.state]++;
	for (unsigned i = 0; i < REPLICA_STATES; i++) {
		char state[40];

		(void)snprintf(state, sizeof(state), ",state=\"%s\"",
			       replica_state_name((enum replica_state)i));
		if (i != REPLICA_DOWN)
			metric_of(out, name, s, state, n[i]);
	}
}

static void put_restarts(FILE *out, const char *name, const struct service *s)
{
	metric_of(out, name, s, "", s->restarts);
}

static void put_data(FILE *out, const char *name, const struct service *s)
{
	metric_of(out, name, s, "", s->row.data_bytes);
}

static void metrics(struct front *f, FILE *out)
{
	metric_head(out, "service_replicas", "gauge", "Replicas of services, by state.");
	each_metric(f, out, "service_replicas", put_replicas);
	metric_head(out, "service_restarts_total", "counter",
		    "Runs of services that have ended while they were wanted; since this front "
		    "started.");
	each_metric(f, out, "service_restarts_total", put_restarts);
	metric_head(out, "service_data_bytes", "gauge", "What services have in ~/data.");
	each_metric(f, out, "service_data_bytes", put_data);
}

static const struct listener listener = {.project_changed = project_changed};

static const struct part part = {
	.attach = attach,
	.check_idle = check_idle,
	.delete_project = delete_project,
	.free = free_project,
	.uses_package = uses_package,
	.show = show,
};

const struct capability service_capability = {
	.name = "service",
	.schema = &service_schema,
	.load = load,
	.start = start,
	.stop = stop,
	.listener = &listener,
	.part = &part,
	.source = &service_source,
	.verbs = service_verbs,
	.metrics = metrics,
};
