// SPDX-License-Identifier: Apache-2.0
/* What there is of HTTP workers, in memory as in the store. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/dir.h"
#include "lib/msg.h"
#include "supervisor/front/store/schema.h"
#include "supervisor/front/web/deploy.h"
#include "supervisor/front/web/web.h"

struct web_worker *web_worker_find(struct project *p, const char *name)
{
	struct web_worker *w;

	LIST_FOREACH(w, &p->web->workers, next)
		if (strcmp(w->row.name, name) == 0)
			return w;
	return NULL;
}

struct web_version *web_version_find(struct web_worker *w, const char *id)
{
	struct web_version *v;

	LIST_FOREACH(v, &w->versions, next)
		if (strcmp(v->row.id, id) == 0)
			return v;
	return NULL;
}

struct web_version *web_version_by_id(struct project *p, const char *id)
{
	struct web_worker *w;

	if (!p)
		return NULL;
	LIST_FOREACH(w, &p->web->workers, next) {
		struct web_version *v = web_version_find(w, id);

		if (v)
			return v;
	}
	return NULL;
}

unsigned web_serving(struct web_worker *w, struct web_version *ret[WEB_SPLIT_MAX],
		     unsigned percent[WEB_SPLIT_MAX])
{
	const struct web_deployment_row *d = &w->in_force;
	struct web_version *first = d->number ? web_version_find(w, d->version_1) : NULL;
	struct web_version *second = *d->version_2 ? web_version_find(w, d->version_2) : NULL;
	unsigned n = 0;

	if (first) {
		ret[n] = first;
		percent[n++] = second ? d->percent_1 : 100;
	}
	if (second) {
		ret[n] = second;
		percent[n++] = first ? 100 - d->percent_1 : 100;
	}
	return n;
}

bool web_version_serves(struct web_version *v)
{
	struct web_version *serving[WEB_SPLIT_MAX];
	unsigned percent[WEB_SPLIT_MAX];
	const unsigned n = web_serving(v->worker, serving, percent);

	for (unsigned i = 0; i < n; i++)
		if (serving[i] == v)
			return true;
	return false;
}

struct web_version *web_version_newest(struct web_worker *w)
{
	struct web_version *v;

	LIST_FOREACH(v, &w->versions, next)
		if (v->row.number)
			return v;
	return NULL;
}

int web_version_open(struct web_version *v, struct err *e)
{
	if (v->manifest.doc)
		return 0;
	return worker_manifest_read("the version's manifest", v->row.manifest,
				    strlen(v->row.manifest), &v->manifest, e);
}

struct task *web_run_of(const struct web_version *v, const char *run, const char *wanted_by)
{
	char whole[sizeof(((struct task_record *)NULL)->wanted_by)];
	struct task *t;

	(void)snprintf(whole, sizeof(whole), "%s%s", wanted_by, v->row.id);
	t = run_new(v->worker->project, run, whole, v->row.package);
	if (t)
		(void)snprintf(t->rec.code_name, sizeof(t->rec.code_name), "%s",
			       v->worker->row.name);
	return t;
}

struct web_worker *web_worker_new(struct project *p, const char *name)
{
	struct web_worker *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->project = p;
	util_new_id(w->row.id);
	(void)snprintf(w->row.project, sizeof(w->row.project), "%s", p->id);
	(void)snprintf(w->row.name, sizeof(w->row.name), "%s", name);
	w->row.created_ns = util_realtime_ns();
	LIST_INSERT_HEAD(&p->web->workers, w, next);
	p->web->n++;
	return w;
}

struct web_version *web_version_new(struct web_worker *w)
{
	struct web_version *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->worker = w;
	TAILQ_INIT(&v->wakes);
	TAILQ_INIT(&v->calls);
	LIST_INSERT_HEAD(&w->versions, v, next);
	return v;
}

void web_version_free(struct front *f, struct web_version *v)
{
	struct err e = {0};

	(void)err_set(&e, ERR_NOT_FOUND, 0, "the version was removed");
	web_wake_answer(f, v, NULL, &e);
	while (!LIST_EMPTY(&v->instances))
		web_instance_free(LIST_FIRST(&v->instances));
	web_requests_free(f, v);
	LIST_REMOVE(v, next);
	web_assets_give(f, v->row.package);
	worker_manifest_clear(&v->manifest);
	web_version_row_clear(&v->row);
	free(v->traceback);
	free(v->snapshot_error);
	free(v);
}

void web_worker_free(struct front *f, struct web_worker *w)
{
	web_edge_wait_no_more(f, w);
	web_crons_free(w);
	web_triggers_clear(&w->triggers);
	web_tails_end(w);
	while (!LIST_EMPTY(&w->versions))
		web_version_free(f, LIST_FIRST(&w->versions));
	LIST_REMOVE(w, next);
	w->project->web->n--;
	free(w);
}

void web_worker_remove(struct front *f, struct web_worker *w)
{
	struct web_version *v;
	struct web_instance *i;
	struct project *p;

	web_edge_gone(f, w);
	w->in_force.number = 0;
	web_edge_hosts(f);
	/* Their ends find no instance here any more, and change nothing. */
	LIST_FOREACH(v, &w->versions, next)
		LIST_FOREACH(i, &v->instances, next) {
			struct task *t = *i->run ? registry_find(f, i->run) : NULL;

			if (t)
				(void)flow_cancel(f, t, false);
		}
	p = w->project;
	web_worker_free(f, w);
	web_packages_count(p);
}

/* Starts or ends instances until there are as many as the version must have. */
static void settle_version(struct front *f, struct web_version *v, bool serves)
{
	struct web_instance *i;
	struct err e = {0};

	if (!serves) {
		(void)err_set(&e, ERR_UNAVAILABLE, 0, "the version serves no more");
		web_wake_answer(f, v, NULL, &e);
		LIST_FOREACH(i, &v->instances, next)
			web_instance_want(i, false);
		return;
	}
	if (web_version_open(v, &e) < 0) {
		msg_err("HTTP worker %s: %s", v->worker->row.name, e.msg);
		return;
	}
	/* Nothing runs. */
	if (v->manifest.assets.only)
		return;
	if (v->manifest.sandbox.by_request) {
		if (web_door_open(f, v, &e) < 0)
			msg_err("HTTP worker %s: %s", v->worker->row.name, e.msg);
		return;
	}
	while (web_version_wanted(v) < v->manifest.sandbox.min && (i = web_instance_add(f, v, &e)))
		web_instance_want(i, true);
}

void web_switch(struct front *f, struct web_worker *w)
{
	struct web_version *v;

	LIST_FOREACH(v, &w->versions, next)
		settle_version(f, v, web_version_serves(v));
	/* In this order, so that an edge that has the worker has its routes. */
	web_edge_hosts(f);
	web_edge_worker(f, w);
	web_crons_switch(f, w);
}

/* As of revisions: several in a row that have one package have it once. */
void web_packages_count(struct project *p)
{
	struct package_size now = {0};
	struct web_worker *w;

	LIST_FOREACH(w, &p->web->workers, next) {
		const uint8_t *newer = NULL;
		struct web_version *v;

		LIST_FOREACH(v, &w->versions, next) {
			if (!v->row.number)
				continue;
			if (!newer || memcmp(newer, v->row.package, 32) != 0) {
				now.bytes += v->row.package_bytes;
				now.files += v->row.package_files;
			}
			newer = v->row.package;
		}
	}
	p->package_bytes += now.bytes - p->web->packages.bytes;
	p->package_files += now.files - p->web->packages.files;
	p->web->packages = now;
}

/* What the store has. */

struct load {
	struct front *f;
	struct web_worker *worker;
	struct web_version *last;
};

static int load_worker(void *arg, const struct web_worker_row *row)
{
	struct load *l = arg;
	struct project *p = project_by_id(l->f, row->project);
	struct web_worker *w;

	/* Its project was removed, and a power cut kept the rest from being removed with it. */
	if (!p)
		return 0;
	w = web_worker_new(p, row->name);
	if (!w)
		return -ENOMEM;
	w->row = *row;
	w->stored = true;
	return 0;
}

/* They come newest first, which is the order of the list. */
static int load_version(void *arg, struct web_version_row *row)
{
	struct load *l = arg;
	struct web_version *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->worker = l->worker;
	TAILQ_INIT(&v->wakes);
	TAILQ_INIT(&v->calls);
	if (l->last)
		LIST_INSERT_AFTER(l->last, v, next);
	else
		LIST_INSERT_HEAD(&l->worker->versions, v, next);
	l->last = v;
	v->row = *row;
	row->manifest = row->note = NULL;
	return 0;
}

static int load_deployment(void *arg, const struct web_deployment_row *row)
{
	struct load *l = arg;

	l->worker->in_force = *row;
	return 0;
}

/* Sockets of what ended while no front was there. */
static void sweep_sockets(struct front *f, const char *folder)
{
	_cleanup_fd_ int fd = openat(f->cfg.edge_dirfd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir)
		return;
	(void)TAKE_FD(fd);
	while ((entry = readdir(dir))) {
		char run[TASK_ID_LEN + 1];

		(void)snprintf(run, sizeof(run), "%.*s", TASK_ID_LEN, entry->d_name);
		if (entry->d_name[0] != '.' && !registry_find(f, run))
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
	}
	(void)closedir(dir);
}

static int web_load(struct front *f, struct err *e)
{
	struct load l = {.f = f};
	int r = store_web_workers(f->store, load_worker, &l, e);

	for (struct project *p = f->core->projects; r == 0 && p; p = p->next)
		LIST_FOREACH(l.worker, &p->web->workers, next) {
			l.last = NULL;
			r = store_web_versions(f->store, l.worker->row.id, load_version, &l, e);
			if (r == 0)
				r = store_web_deployments(f->store, l.worker->row.id, 1,
							  load_deployment, &l, e);
			if (r == 0)
				r = web_triggers_load(f, l.worker, e);
			if (r < 0)
				return r;
		}
	for (struct project *p = f->core->projects; r == 0 && p; p = p->next)
		web_packages_count(p);
	return r;
}

static int web_start(struct front *f, struct err *e)
{
	(void)e;
	if (f->cfg.edge_dirfd < 0)
		return 0;
	web_edge_start(f);
	web_assets_start(f);
	web_instances_load(f);
	sweep_sockets(f, "i");
	sweep_sockets(f, "v");
	web_wake_start(f);
	for (struct project *p = f->core->projects; p; p = p->next) {
		struct web_worker *w;

		LIST_FOREACH(w, &p->web->workers, next)
			web_switch(f, w);
	}
	return 0;
}

static void web_stop(struct front *f)
{
	web_builds_clear(f, NULL);
	web_edge_wait_no_more(f, NULL);
	f->web->stopped = true;
}

/* What a project has of it. */

static int attach(struct front *f, struct project *p)
{
	(void)f;
	p->web = calloc(1, sizeof(*p->web));
	for (unsigned i = 0; p->web && i < WEB_RATE_PERIODS; i++)
		TAILQ_INIT(&p->web->rates[i]);
	return p->web ? 0 : -ENOMEM;
}

static void free_project(struct front *f, struct project *p)
{
	web_builds_clear(f, p);
	while (p->web && !LIST_EMPTY(&p->web->workers)) {
		web_edge_gone(f, LIST_FIRST(&p->web->workers));
		web_worker_free(f, LIST_FIRST(&p->web->workers));
	}
	if (p->web) {
		web_fetches_drop(p, NULL);
		web_rates_free(f, p);
		web_kv_free(p);
	}
	free(p->web);
	p->web = NULL;
}

static int check_idle(struct front *f, struct project *p, struct err *e)
{
	const struct web_worker *w = LIST_FIRST(&p->web->workers);

	(void)f;
	if (!w)
		return 0;
	return err_set(e, ERR_CONFLICT, 0, "the HTTP worker %s of the project serves", w->row.name);
}

static int delete_project(struct front *f, struct project *p, struct err *e)
{
	return store_web_delete_project(f->store, p->id, e);
}

static bool uses_package(struct front *f, const uint8_t digest[32])
{
	for (struct project *p = f->core->projects; p; p = p->next) {
		struct web_worker *w;
		struct web_version *v;

		LIST_FOREACH(w, &p->web->workers, next)
			LIST_FOREACH(v, &w->versions, next)
				if (memcmp(v->row.package, digest, 32) == 0)
					return true;
	}
	return false;
}

static void show(const struct project *p, json_t *o)
{
	json_object_set_new(o, "http_workers", json_integer((json_int_t)p->web->n));
	json_object_set_new(o, "http_instances", json_integer((json_int_t)web_project_wanted(p)));
	json_object_set_new(o, "kv_bytes", json_integer((json_int_t)p->web->kv_bytes));
}

/* The edge counts requests by the project's rate. */
static void project_changed(struct front *f, struct project *p)
{
	struct web_worker *w;

	LIST_FOREACH(w, &p->web->workers, next)
		if (w->stored)
			web_edge_worker(f, w);
	web_doors_watch(p);
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

const struct capability web_capability = {
	.name = "web",
	.schema = &web_schema,
	.load = web_load,
	.start = web_start,
	.stop = web_stop,
	.listener = &listener,
	.clear = web_assets_clear,
	.part = &part,
	.source = &web_source,
	.verbs = web_verbs,
};
