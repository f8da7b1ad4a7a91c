// SPDX-License-Identifier: Apache-2.0
/*
 * A deploy: from a folder that a client has sent to a version that serves.
 *
 *	unpack		the folder becomes a package of the project's
 *	build		a run of the project's own reads the configuration and resolves what the worker
 *			needs. It sends a manifest, which is held to its rules here, and the package of the
 *			version.
 *	store		that package is unpacked, and kept
 *	snapshot	a checkpoint of the interpreter with the worker's top level run; where that cannot
 *			be, with the modules that it imports
 *	start		an instance, which must become ready
 *	switch		worker, version and deployment are written in one change, and then the edge is told
 *
 * A step that fails ends it, and the version that served before goes on. The client hears of each step
 * when it ends, by a socket that it sends along.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/msg.h"
#include "spec/job.h"
#include "supervisor/front/base/metric.h"
#include "supervisor/front/core/package/package.h"
#include "supervisor/front/web/deploy.h"
#include "supervisor/front/web/web.h"

#define WANTED_BY "web-build"
#define ENTRY "_sandboxd_deploy.build:main"
/* The operator's, for what pip installs, whatever policies the project may name. */
#define POLICY_BUILD "build"
#define BUILD_TIMEOUT_S 600u
#define PACKAGE_FRAME (64u << 20) /* what a tar has beside the bytes of its files, at most */
#define BUILD_BODY_MAX (1u << 20) /* a manifest, a piece of the package, or what was read */
#define INDEX_MAX (1u << 20)
#define BUILDS_MAX 4u  /* of a project, at a time */
#define NOT_NOW_MAX 3u /* times that a snapshot may be put off because the last one has failed */
#define NOT_NOW_NS (1 * SEC + 50 * MSEC)
/* There is a pause between two of the project's that have like lists, and room for so many at a time: who
 * has to wait for that asks again soon. */
#define TURN_NS (250 * MSEC)
#define TURNS_MAX 240u

enum build_step {
	BUILD_UNPACK = 0,
	BUILD_READ,
	BUILD_STORE,
	BUILD_SNAPSHOT,
	BUILD_START,
	BUILD_SWITCH,
	BUILD_OVER,
};

static const char *const step_names[] = {"unpack", "build",  "store", "snapshot",
					 "start",  "switch", "over"};
/* Those of the build's run, which tells of each itself. */
static const char *const read_steps[] = {"read", "resolve", "pack"};

struct web_build {
	LIST_ENTRY(web_build) next;
	struct front *f;
	struct project *project; /* whose it is; the build ends before that is freed */
	struct web_deploy ask;
	enum build_step step;
	uint64_t began_ns;   /* CLOCK_MONOTONIC: the step */
	uint64_t started_ns; /* how long the start took */
	json_t *warnings;    /* owned: of what the manifest cannot know */
	uint8_t source[32];  /* the package of what was sent */
	char run[TASK_ID_LEN + 1];
	char log[TASK_ID_LEN +
		 1];  /* the last run of its own, whose log says what an error leaves out */
	int serve_fd; /* the run's end until it is started; -1 */
	struct web_channel channel;
	char *manifest;
	int package_fd;		       /* an unlinked file with the package; -1 */
	uint64_t package_bytes;	       /* so far */
	char image[WEB_IMAGE_MAX + 1]; /* that the build runs in */
	char *config;		       /* what it has read in another image; NULL: it has not */
	struct timer again;
	struct web_told told;
	bool unpacking; /* a package of it: it is not freed before that is told */
	struct web_worker *worker;
	struct web_version *version;
	bool new_worker;
	char before[WEB_UUID_LEN + 1]; /* the version whose own secrets it goes on with; "": none */
	struct warm *warm;
	enum web_snapshot snapshot;  /* that is being made */
	unsigned n_not_now, n_turns; /* times that it was put off, and has waited for its turn */
	struct web_instance *instance;
	struct change change;
	struct web_worker_row row; /* the worker's, as it will be */
	struct web_deployment_row deployment;
	struct timer free_later;
};

static void build_free(struct web_build *b);
static void start_build(struct web_build *b, struct err *e);
static void try_snapshot(struct web_build *b);

static void begin_step(struct web_build *b, enum build_step step)
{
	const uint64_t now = util_monotonic_ns();

	client_tell(b->ask.progress_fd, json_pack("{s:s, s:f}", "step", step_names[b->step], "ms",
						  (double)(now - b->began_ns) / 1e6));
	b->step = step;
	b->began_ns = now;
}

static void free_now(struct front *f, struct timer *t)
{
	struct web_build *b = OWNER(t, struct web_build, free_later);

	(void)f;
	if (!b->unpacking)
		build_free(b);
}

/* Not at once: it may be in the middle of something of it. */
static void build_over(struct web_build *b)
{
	b->step = BUILD_OVER;
	timer_cancel(b->f, &b->again);
	web_edge_wait_end(b->f, &b->told);
	timer_set(b->f, &b->free_later, util_monotonic_ns(), free_now);
}

/* step: its name. */
static void build_fail_in(struct web_build *b, const char *step, const struct err *error)
{
	struct err e = *error;

	if (b->step == BUILD_OVER)
		return;
	(void)err_wrap(&e, -1, "%s", step);
	/* It is the user's own code that does not start, and does not start at the next try either. */
	if (b->step == BUILD_START && b->ask.metadata && e.code == ERR_UNAVAILABLE)
		e.code = ERR_INPUT;
	if (b->step == BUILD_START && b->version && b->version->traceback) {
		e.code = ERR_INPUT;
		if (b->ask.waiter && b->ask.waiter->client.http) {
			free(b->ask.waiter->client.http->detail);
			b->ask.waiter->client.http->detail = TAKE_PTR(b->version->traceback);
		} else {
			client_tell(b->ask.progress_fd,
				    json_pack("{s:s}", "traceback", b->version->traceback));
		}
	}
	/* What its code has printed before is in its log, too. */
	if (*b->log && b->step == BUILD_START)
		(void)snprintf(e.msg + strlen(e.msg), sizeof(e.msg) - strlen(e.msg),
			       " (sandboxctl logs %s)", b->log);
	b->f->web->deploys[b->step]++;
	web_deploy_clear(&b->ask, NULL, &e);
	build_over(b);
}

static void build_fail(struct web_build *b, const struct err *error)
{
	build_fail_in(b, step_names[b->step], error);
}

/* Whoever has asked for it has gone, as by Ctrl-C: what serves goes on, unless the new version is being
 * written already. */
static void deserted(void *arg)
{
	struct web_build *b = arg;
	struct err e = {0};

	if (b->step >= BUILD_SWITCH)
		return;
	(void)err_set(&e, ERR_CONFLICT, 0, "its client has gone");
	build_fail(b, &e);
}

/* With the runs of its instances, which nobody would end later. */
static void drop_version(struct front *f, struct web_version *v)
{
	struct web_instance *i;

	LIST_FOREACH(i, &v->instances, next) {
		struct task *t = *i->run ? registry_find(f, i->run) : NULL;

		if (t)
			(void)flow_cancel(f, t, true);
	}
	web_version_free(f, v);
}

static void build_free(struct web_build *b)
{
	struct front *f = b->f;
	struct task *t = *b->run ? registry_find(f, b->run) : NULL;

	timer_cancel(f, &b->free_later);
	web_deploy_clear(&b->ask, NULL, NULL);
	web_channel_close(&b->channel);
	util_close_fd(&b->serve_fd);
	util_close_fd(&b->package_fd);
	free(b->manifest);
	free(b->config);
	json_decref(b->warnings);
	timer_cancel(f, &b->again);
	web_edge_wait_end(f, &b->told);
	if (t)
		(void)flow_cancel(f, t, true);
	/* What nobody serves by. */
	if (b->version && !b->version->row.number)
		drop_version(f, b->version);
	if (b->worker) {
		b->worker->build = NULL;
		if (b->new_worker && LIST_EMPTY(&b->worker->versions)) {
			web_edge_gone(f, b->worker);
			web_worker_free(f, b->worker);
		}
	}
	LIST_REMOVE(b, next);
	free(b);
}

/* switch */

/* Of a worker whose routes the manifest does not say, they are the worker's own. */
static int check_routes(struct web_build *b, const struct worker_manifest *m, struct err *e)
{
	const struct web_triggers *t = &b->worker->triggers;

	if (b->ask.metadata && t->what & WEB_TRIGGER_ROUTES)
		m = &t->has;
	return web_edge_check_routes(b->f, b->worker, m->routes, m->n_routes, e);
}

/* What the build has warned of, and bindings to workers that are not there: they may come. */
static json_t *warnings_of(const struct web_version *v)
{
	json_t *ret = json_deep_copy(v->manifest.warnings);

	if (!ret)
		ret = json_array();
	for (size_t i = 0; i < v->manifest.n_bindings; i++) {
		const struct manifest_binding *b = &v->manifest.bindings[i];

		if (b->type == BINDING_SERVICE && !web_worker_find(v->worker->project, b->target))
			(void)json_array_append_new(
				ret, json_sprintf("the binding %s leads to the worker %s, which is "
						  "not deployed: until it is, what uses %s raises "
						  "an exception",
						  b->name, b->target, b->name));
	}
	return ret;
}

static void answer(struct web_build *b)
{
	struct web_worker *w = b->worker;
	const struct web_version_row *row = &b->version->row;
	json_auto_t *warnings = warnings_of(b->version);
	char url[WEB_URL_MAX];

	json_array_extend(warnings, b->warnings);
	web_edge_url(b->f, w, url, sizeof(url));
	begin_step(b, BUILD_OVER);
	b->f->web->deploys[BUILD_OVER]++;
	web_deploy_clear(&b->ask,
			 json_pack("{s:s, s:s, s:s, s:i, s:s, s:I, s:s, s:s, s:s, s:O, s:o, s:o}",
				   "name", w->row.name, "url", url, "version", row->id, "number",
				   (int)row->number, "deployment",
				   b->ask.stays ? "" : b->deployment.id, "start_ms",
				   (json_int_t)(b->started_ns / MSEC), "image", row->image,
				   "snapshot", web_snapshot_name(row->snapshot), "note",
				   row->note ? row->note : "", "warnings", warnings, "routes",
				   web_routes_json(w), "crons", web_crons_json(w)),
			 NULL);
	w->build = NULL;
	b->worker = NULL;
	b->version = NULL;
	build_over(b);
}

static void build_told(struct front *f, struct web_told *t)
{
	(void)f;
	answer(OWNER(t, struct web_build, told));
}

/* A configuration says all that leads to its worker; what comes without one says nothing of that. */
static bool takes_triggers(const struct web_build *b)
{
	return !b->ask.metadata && b->worker->triggers.what;
}

static int drop_row(struct front *f, const struct web_version *v, struct err *e)
{
	int r = store_version_secrets_delete(f->store, v->row.id, e);

	return r < 0 ? r : store_web_version_delete(f->store, v->row.worker, v->row.number, e);
}

static int write_version(struct front *f, struct change *c, struct err *e)
{
	struct web_build *b = OWNER(c, struct web_build, change);
	int r = store_web_worker_put(f->store, &b->row, e);
	struct web_version *v;

	if (r == 0)
		r = store_web_version_put(f->store, &b->version->row, e);
	LIST_FOREACH(v, &b->worker->versions, next)
		if (r == 0 && v->goes)
			r = drop_row(f, v, e);
	if (r == 0)
		r = web_kv_write_bound(f, b->version, e);
	if (r == 0 && *b->before)
		r = store_version_secrets_copy(f->store, b->before, b->version->row.id, e);
	/* What serves is not to see what comes with a version that serves later, or never. */
	if (r == 0 && json_object_size(b->ask.secrets) > 0)
		r = web_secrets_write(f, b->project->id, b->row.name,
				      b->ask.stays ? b->version->row.id : NULL, b->ask.secrets, e);
	if (r == 0 && takes_triggers(b))
		r = store_web_triggers_delete(f->store, b->row.id, e);
	if (r < 0 || b->ask.stays)
		return r;
	return store_web_deployment_insert(f->store, &b->deployment, e);
}

static void adopt_version(struct front *f, struct change *c, bool durable)
{
	struct web_build *b = OWNER(c, struct web_build, change);

	(void)f;
	b->project->n_coming--;
	b->worker->coming = NULL;
	if (!durable) {
		b->version->row.number = 0;
		return;
	}
	if (takes_triggers(b))
		web_triggers_clear(&b->worker->triggers);
	web_packages_count(b->project);
	b->worker->row = b->row;
	if (!b->ask.stays)
		b->worker->in_force = b->deployment;
	b->worker->stored = true;
	web_kv_adopt_bound(b->version);
}

/* Of the versions that are more than the project's quota: the oldest that serve nothing go with the
 * change. What serves, or finishes what it has, stays until the next deploy. */
static void mark_oldest(struct web_worker *w)
{
	const struct quota *quota = &w->project->quota;
	const unsigned max = quota->http_versions ? quota->http_versions : HTTP_VERSIONS_MAX;
	struct web_version *v, *oldest;
	unsigned n = 0;

	LIST_FOREACH(v, &w->versions, next) {
		v->goes = false;
		n++;
	}
	for (oldest = w->build->version; n > max && oldest; n--) {
		oldest = NULL;
		/* The newest are first. */
		LIST_FOREACH(v, &w->versions, next)
			if (v->row.number && !v->goes && v != w->build->version &&
			    v->n_instances == 0 && v->n_requests == 0 && !web_version_serves(v))
				oldest = v;
		if (oldest)
			oldest->goes = true;
	}
}

static void drop_oldest(struct front *f, struct web_worker *w)
{
	struct web_version *v, *next;

	for (v = LIST_FIRST(&w->versions); v; v = next) {
		next = LIST_NEXT(v, next);
		/* It may serve again by now. */
		if (v->goes)
			web_version_free(f, v);
	}
	web_packages_count(w->project);
}

static void written(struct front *f, struct change *c, const struct err *error)
{
	struct web_build *b = OWNER(c, struct web_build, change);

	/* Nobody waits for it any more (web_builds_clear). */
	if (b->step == BUILD_OVER) {
		build_over(b);
		return;
	}
	if (error) {
		build_fail(b, error);
		return;
	}
	drop_oldest(f, b->worker);
	if (json_object_size(b->ask.secrets) > 0)
		web_instances_replace(b->worker, b->ask.stays ? b->version : NULL);
	web_switch(f, b->worker);
	/* It serves when the edge has been told. */
	web_edge_wait(f, &b->told, b->worker, build_told);
}

static void do_switch(struct web_build *b)
{
	struct web_version *v = b->version;
	struct web_deployment_row *d = &b->deployment;
	struct err e = {0};

	b->started_ns = util_monotonic_ns() - b->began_ns;
	begin_step(b, BUILD_SWITCH);
	/* Another worker may have got them while this one was built. */
	if (check_routes(b, &v->manifest, &e) < 0 || web_kv_make_bound(v, &e) < 0) {
		build_fail(b, &e);
		return;
	}
	/* Two changes of them would be written at once. */
	if (takes_triggers(b) && b->worker->coming_triggers) {
		(void)err_set(&e, ERR_CONFLICT, 0,
			      "routes or crons of %s are being set: deploy again",
			      b->worker->row.name);
		build_fail(b, &e);
		return;
	}
	b->row = b->worker->row;
	b->row.changed_ns = util_realtime_ns();
	v->row.number = ++b->row.last_version;
	if (!b->ask.stays)
		b->row.last_deployment++;
	*d = (struct web_deployment_row){.number = b->row.last_deployment,
					 .created_ns = b->row.changed_ns,
					 .percent_1 = 100};
	memcpy(d->worker, b->row.id, sizeof(d->worker));
	web_uuid(d->id);
	memcpy(d->source, v->row.source, sizeof(d->source));
	memcpy(d->message, v->row.message, sizeof(d->message));
	memcpy(d->version_1, v->row.id, sizeof(d->version_1));
	mark_oldest(b->worker);
	b->change =
		(struct change){.write = write_version, .adopt = adopt_version, .done = written};
	b->project->n_coming++;
	if (!b->ask.stays)
		b->worker->coming = v;
	change_mark(b->f, &b->change, turn_holder(b->project), strlen(v->row.manifest));
}

/* start */

void web_build_instance(struct front *f, struct web_instance *i, const struct err *error)
{
	struct web_build *b = i->version->worker->build;

	(void)f;
	if (!b || b->instance != i || b->step != BUILD_START)
		return;
	b->instance = NULL;
	if (error)
		build_fail(b, error);
	else
		do_switch(b);
}

void web_build_tried(struct front *f, struct web_version *v, const struct err *error)
{
	struct web_build *b = v->worker->build;

	(void)f;
	if (!b || b->version != v || b->step != BUILD_START)
		return;
	if (error)
		build_fail(b, error);
	else
		do_switch(b);
}

static void do_start(struct web_build *b)
{
	struct web_instance *i;
	struct err e = {0};

	begin_step(b, BUILD_START);
	b->log[0] = '\0';
	if (b->version->manifest.sandbox.by_request) {
		if (web_request_try(b->f, b->version, &e) < 0)
			build_fail(b, &e);
		return;
	}
	b->instance = web_instance_add(b->f, b->version, &e);
	if (!b->instance) {
		build_fail(b, &e);
		return;
	}
	i = b->instance;
	/* One that cannot be started at all is told of at once. */
	web_instance_want(i, true);
	if (b->instance == i)
		memcpy(b->log, i->run, sizeof(b->log));
}

/* snapshot */

/* Why there is no dedicated snapshot. The runtime's own word for it, the last thing that the warm-up has
 * printed, says more than how the warm-up has ended. */
static void note(struct web_build *b, const char *text)
{
	static const char begin[] = "sandbox: warm: ";
	char shown[ERR_MSG_MAX];
	const char *at;

	while ((at = strstr(text, begin)))
		text = at + strlen(begin);
	free(b->version->row.note);
	b->version->row.note = strdup(util_escape(text, shown, sizeof(shown)));
}

static void snapshot_again(struct front *f, struct timer *t)
{
	(void)f;
	try_snapshot(OWNER(t, struct web_build, again));
}

static void take_warmed(struct web_build *b, const struct mon_warmed *m)
{
	b->warm = NULL;
	if (b->step != BUILD_SNAPSHOT)
		return;
	if (m->status == 0) {
		b->version->row.snapshot = b->snapshot;
		do_start(b);
		return;
	}
	if ((m->status == -EAGAIN && b->n_not_now++ < NOT_NOW_MAX) ||
	    (m->status == -EBUSY && b->n_turns++ < TURNS_MAX)) {
		timer_set(b->f, &b->again,
			  util_monotonic_ns() + (m->status == -EBUSY ? TURN_NS : NOT_NOW_NS),
			  snapshot_again);
		return;
	}
	if (b->snapshot == WEB_SNAPSHOT_DEDICATED)
		note(b, m->error);
	b->snapshot--;
	try_snapshot(b);
}

static void on_warmed(struct front *f, struct warm *w, const struct mon_warmed *m)
{
	struct web_build *b;

	/* One checkpoint may be what several builds wait for. */
	LIST_FOREACH(b, &f->web->builds, next)
		if (b->warm == w)
			take_warmed(b, m);
}

_Static_assert((int)WEB_SNAPSHOT_MAX == (int)MANIFEST_SNAPSHOT_MAX, "the same words");

/* From the fastest to none: a version whose top level cannot be in a snapshot serves by less. */
static void try_snapshot(struct web_build *b)
{
	struct web_version *v = b->version;
	struct err e = {0};

	if (b->snapshot == WEB_SNAPSHOT_NONE) {
		v->row.snapshot = WEB_SNAPSHOT_NONE;
		do_start(b);
		return;
	}
	b->warm = web_snapshot_request(b->f, v, b->snapshot, v->row.image_digest, &e);
	if (!b->warm)
		build_fail(b, &e);
}

/* build */

static int find_or_make_worker(struct web_build *b, const char *name, struct err *e)
{
	struct web_worker *w = web_worker_find(b->project, name);
	unsigned max;
	int r;

	if (b->project->going)
		return err_set(e, ERR_CONFLICT, 0, "the project %s is being removed",
			       b->project->name);
	if (w && w->going)
		return err_set(e, ERR_CONFLICT, 0, "%s is being removed: try again", name);
	if (w && (w->build || w->redeploying))
		return err_set(e, ERR_CONFLICT, 0,
			       "another deploy of %s is under way: try again when it is over",
			       name);
	max = b->project->quota.http_workers ? b->project->quota.http_workers : HTTP_WORKERS_MAX;
	if (!w && b->project->web->n >= max)
		return err_set(e, ERR_LIMIT, 0,
			       "the project has %u HTTP workers, and its quota \"http_workers\" is "
			       "%u: remove one (sandboxctl deploy rm), or ask the operator "
			       "(sandboxctl project quota %s http_workers=N)",
			       b->project->web->n, max, b->project->name);
	/* One that is there has had the name before. */
	r = w ? 0 : edge_check_name(b->f, b->project, name, e);
	if (r < 0)
		return r;
	b->new_worker = !w;
	w = w ? w : web_worker_new(b->project, name);
	b->version = w ? web_version_new(w) : NULL;
	if (w)
		w->build = b;
	b->worker = w;
	return b->version ? 0 : err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a version");
}

static int fill_version(struct web_build *b, struct err *e)
{
	_cleanup_manifest_ struct worker_manifest m = {0};
	const struct web_version *before;
	struct web_version_row *row;
	int r;

	r = worker_manifest_read("manifest", b->manifest, strlen(b->manifest), &m, e);
	if (r == 0)
		r = find_or_make_worker(b, m.name, e);
	if (r == 0)
		r = check_routes(b, &m, e);
	if (r < 0 || !b->version)
		return r;
	before = web_version_newest(b->worker);
	if (before)
		memcpy(b->before, before->row.id, sizeof(b->before));
	row = &b->version->row;
	(void)snprintf(row->worker, sizeof(row->worker), "%s", b->worker->row.id);
	web_uuid(row->id);
	row->created_ns = util_realtime_ns();
	(void)snprintf(row->source, sizeof(row->source), "%s", b->ask.source);
	(void)snprintf(row->message, sizeof(row->message), "%s",
		       b->ask.message ? b->ask.message : "");
	(void)snprintf(row->tag, sizeof(row->tag), "%s", b->ask.tag ? b->ask.tag : "");
	(void)snprintf(row->image, sizeof(row->image), "%s",
		       m.sandbox.image ? m.sandbox.image : WEB_IMAGE_DEFAULT);
	row->manifest = TAKE_PTR(b->manifest);
	r = web_version_open(b->version, e);
	if (r == 0)
		r = web_secrets_check(b->f, b->project, &b->version->manifest,
				      before ? before->row.id : NULL, e);
	if (r == 0)
		r = web_secrets_warn(b->f, b->project, &b->version->manifest,
				     before ? before->row.id : NULL, b->warnings, e);
	return r < 0 ? r
		     : project_may_name(b->project, b->version->manifest.sandbox.policy, row->image,
					e);
}

/* A package of the build is unpacked, or could not be. False: the build is over. */
static bool goes_on(struct web_build *b, const struct err *error)
{
	b->unpacking = false;
	if (b->step == BUILD_OVER)
		build_over(b);
	else if (error)
		build_fail(b, error);
	else
		return true;
	return false;
}

static void packed(struct front *f, void *arg, const struct unpacked *is, const struct err *error)
{
	struct web_build *b = arg;
	struct web_version *newest;
	struct err e = {0};
	int r;

	if (!goes_on(b, error))
		return;
	r = fill_version(b, &e);
	newest = r == 0 && b->version ? LIST_NEXT(b->version, next) : NULL;
	/* The same package as that of the version before takes no more room. */
	if (r == 0 && !(newest && memcmp(newest->row.package, is->package, 32) == 0))
		r = worker_check_packages(b->project, &is->size, &e);
	if (r < 0 || !b->version) {
		build_fail(b, &e);
		return;
	}
	memcpy(b->version->row.package, is->package, 32);
	b->version->row.package_bytes = is->size.bytes;
	b->version->row.package_files = is->size.files;
	if (b->version->manifest.assets.directory && web_assets_take(f, is->package, &e) < 0) {
		build_fail(b, &e);
		return;
	}
	/* There is nothing to run. */
	if (b->version->manifest.assets.only) {
		do_switch(b);
		return;
	}
	begin_step(b, BUILD_SNAPSHOT);
	b->snapshot = (enum web_snapshot)b->version->manifest.sandbox.snapshot;
	try_snapshot(b);
}

static void take_failed(struct web_build *b, const json_t *head)
{
	const char *message = json_string_value(json_object_get(head, "message"));
	const char *file = json_string_value(json_object_get(head, "file"));
	const char *step = json_string_value(json_object_get(head, "step"));
	const json_int_t line = json_integer_value(json_object_get(head, "line"));
	char at[300] = "", shown[ERR_MSG_MAX];
	struct err e = {0};

	if (file && line > 0)
		(void)snprintf(at, sizeof(at), "%.200s:%lld: ", file, (long long)line);
	else if (file)
		(void)snprintf(at, sizeof(at), "%.200s: ", file);
	(void)err_set(&e, ERR_INPUT, 0, "%s%s", at,
		      util_escape(message ? message : "it has failed", shown, sizeof(shown)));
	for (size_t i = 0; step && i < ARRAY_SIZE(read_steps); i++)
		if (strcmp(step, read_steps[i]) == 0)
			build_fail_in(b, read_steps[i], &e);
	build_fail(b, &e);
}

/* The build is over, and what it has made is right as far as can be seen. */
static void take_manifest(struct web_build *b)
{
	_cleanup_manifest_ struct worker_manifest m = {0};
	struct err e = {0};
	int fd;

	b->manifest = strndup((const char *)b->channel.line.in.body, b->channel.line.in.body_len);
	if (!b->manifest)
		(void)err_set(&e, ERR_SYSTEM, ENOMEM, "manifest");
	else if (worker_manifest_read("manifest", b->manifest, strlen(b->manifest), &m, &e) == 0 &&
		 !b->ask.dry_run && b->package_fd < 0)
		(void)err_set(&e, ERR_INPUT, 0, "the build has sent no package");
	if (e.code) {
		build_fail(b, &e);
		return;
	}
	web_channel_close(&b->channel);
	if (b->ask.dry_run) {
		web_deploy_clear(&b->ask,
				 json_pack("{s:s, s:O}", "name", m.name, "manifest", m.doc), NULL);
		build_over(b);
		return;
	}
	begin_step(b, BUILD_STORE);
	fd = TAKE_FD(b->package_fd);
	(void)lseek(fd, 0, SEEK_SET);
	b->unpacking = true;
	package_unpack_spool(b->f, b->project, fd, packed, b);
}

/* The next piece of the package. */
static void take_package(struct web_build *b)
{
	const struct serve_in *in = &b->channel.line.in;
	struct err e = {0};
	int r;

	if (b->package_fd < 0)
		b->package_fd = package_spool(b->f);
	b->package_bytes += in->body_len;
	if (b->package_bytes > b->f->cfg.package_bytes_max + PACKAGE_FRAME) {
		(void)err_set(&e, ERR_LIMIT, 0, "the package has more than %llu bytes",
			      (unsigned long long)b->f->cfg.package_bytes_max);
		build_fail(b, &e);
		return;
	}
	r = b->package_fd < 0 ? b->package_fd
			      : util_write_all(b->package_fd, in->body, in->body_len);
	if (r < 0) {
		(void)err_set(&e, ERR_SYSTEM, -r, "package");
		build_fail(b, &e);
	}
}

static void start_again(struct front *f, struct timer *t)
{
	struct web_build *b = OWNER(t, struct web_build, again);
	struct task *old = registry_find(f, b->run);
	struct err e = {0};

	web_channel_close(&b->channel);
	b->run[0] = '\0';
	if (old)
		(void)flow_cancel(f, old, true);
	start_build(b, &e);
	if (e.code)
		build_fail(b, &e);
}

/* The worker's image is another one: what it needs is resolved there, by what was read here. */
static void take_again(struct web_build *b, const json_t *head)
{
	const char *image = json_string_value(json_object_get(head, "image"));
	const struct serve_in *in = &b->channel.line.in;
	struct err e = {0};

	if (!image || !util_is_name(image) || b->config) {
		(void)err_set(&e, ERR_INPUT, 0, "the build asks for an image that it may not have");
		build_fail(b, &e);
		return;
	}
	(void)snprintf(b->image, sizeof(b->image), "%s", image);
	b->config = strndup((const char *)in->body, in->body_len);
	/* Not from within the channel that ends by it. */
	timer_set(b->f, &b->again, util_monotonic_ns(), start_again);
}

static void build_take(struct web_channel *c, const char *op, json_t *head)
{
	struct web_build *b = OWNER(c, struct web_build, channel);

	/* Whoever has asked for another build has nothing more to say. */
	if (b->step != BUILD_READ || timer_is_set(&b->again))
		return;
	if (strcmp(op, "progress") == 0)
		client_tell(b->ask.progress_fd, json_incref(head));
	else if (strcmp(op, "failed") == 0)
		take_failed(b, head);
	else if (strcmp(op, "manifest") == 0)
		take_manifest(b);
	else if (strcmp(op, "package") == 0)
		take_package(b);
	else if (strcmp(op, "again") == 0)
		take_again(b, head);
}

/* Its run is over, and all that it has sent was read. */
static void check_ended(struct web_build *b, const char *error)
{
	struct err e = {0};

	if (b->step != BUILD_READ || *b->run || b->channel.line.fd >= 0 || timer_is_set(&b->again))
		return;
	(void)err_set(&e, ERR_INPUT, 0, "%s: sandboxctl logs %s",
		      *error ? error : "it has ended without an answer", b->log);
	build_fail(b, &e);
}

static void build_channel_ended(struct web_channel *c, const char *why)
{
	(void)why;
	check_ended(OWNER(c, struct web_build, channel), "");
}

static bool is_of(const struct task_record *rec)
{
	return strcmp(rec->wanted_by, WANTED_BY) == 0;
}

static struct web_build *of_run(struct front *f, const char *run)
{
	struct web_build *b;

	LIST_FOREACH(b, &f->web->builds, next)
		if (strcmp(b->run, run) == 0)
			return b;
	return NULL;
}

static int build_job(struct front *f, struct task *t, char **ret, struct err *e)
{
	struct web_build *b = of_run(f, t->rec.id);
	struct task_spec spec = {.kind = TASK_ENTRY,
				 .source = (char *)ENTRY,
				 .has_warm = true,
				 .label = (char *)"deploy",
				 .limits.timeout_s = BUILD_TIMEOUT_S,
				 .limits_set = LIMIT_BIT(LIMIT_TIMEOUT),
				 .limits_lowered = LIMIT_BIT(LIMIT_TIMEOUT)};
	int r;

	if (!b)
		return err_set(e, ERR_NOT_FOUND, 0, "nobody waits for this deploy any more");
	/* A task that has a socket as its stdin starts cold. */
	if (b->ask.index) {
		spec.policy = (char *)POLICY_BUILD;
		spec.start = START_COLD;
	}
	r = project_may_name(b->project, NULL, b->image, e);
	if (r == 0)
		r = source_fill(f, t, &spec, b->image, e);
	if (r < 0)
		return r;
	spec.payload = web_deploy_payload(f, b->project, &b->ask, b->image, b->config);
	if (!spec.payload)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make the deploy's job");
	r = job_write(&spec, ret, e);
	free(spec.payload);
	return r;
}

static int build_serve(struct front *f, struct task *t, int *ret, struct err *e)
{
	struct web_build *b = of_run(f, t->rec.id);

	if (!b || b->serve_fd < 0)
		return err_set(e, ERR_NOT_FOUND, 0, "nobody waits for this deploy any more");
	*ret = TAKE_FD(b->serve_fd);
	return 0;
}

static void run_over(struct front *f, struct task *t)
{
	struct web_build *b = of_run(f, t->rec.id);

	if (!b)
		return;
	b->run[0] = '\0';
	/* It was not started: nothing will come. */
	if (b->serve_fd >= 0)
		web_channel_close(&b->channel);
	check_ended(b, t->rec.error);
}

static const struct run_source build_source = {
	.name = "web-build",
	.flags = RUN_SERVES,
	.is_of = is_of,
	.job = build_job,
	.serve = build_serve,
	.ended = run_over,
};

/* unpack */

static void start_build(struct web_build *b, struct err *e)
{
	struct front *f = b->f;
	struct task *t;
	int pair[2], r;

	if (b->step != BUILD_READ)
		begin_step(b, BUILD_READ);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		(void)err_set(e, ERR_SYSTEM, errno, "cannot make a socket");
		return;
	}
	b->serve_fd = pair[0];
	(void)fcntl(pair[1], F_SETFL, O_NONBLOCK);
	r = web_channel_open(f, &b->channel, pair[1], BUILD_BODY_MAX);
	util_new_id(b->run);
	memcpy(b->log, b->run, sizeof(b->log));
	t = r < 0 ? NULL : run_new(b->project, b->run, WANTED_BY, b->source);
	if (!t) {
		b->run[0] = '\0';
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "cannot begin the build");
		return;
	}
	(void)snprintf(t->rec.label, sizeof(t->rec.label), "deploy");
	/* The next build, in another image, may ask the same index. */
	if (b->ask.index_fd >= 0)
		t->input_fd = fcntl(b->ask.index_fd, F_DUPFD_CLOEXEC, 0);
	if (flow_accept(f, t) < 0) {
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "cannot begin the build");
		b->run[0] = '\0';
		registry_free_task(f, t);
	}
}

static void unpacked(struct front *f, void *arg, const uint8_t digest[32], int dirfd,
		     const struct err *error)
{
	struct web_build *b = arg;
	struct err e = {0};

	(void)f;
	util_close_fd(&dirfd);
	if (!goes_on(b, error) || !digest)
		return;
	memcpy(b->source, digest, 32);
	start_build(b, &e);
	if (e.code)
		build_fail(b, &e);
}

static void unpacked_zip(struct front *f, void *arg, const struct unpacked *is,
			 const struct err *error)
{
	unpacked(f, arg, is ? is->package : NULL, -1, error);
}

/* A tar begins with a file's name. */
static bool is_zip(int fd)
{
	char head[4];

	return pread(fd, head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
	       memcmp(head, "PK\3\4", sizeof(head)) == 0;
}

/*
 * The operator's package index, which `sandboxctl deploy index` serves, for what comes without one. The
 * socket is made here, in a network of nothing: a run that has it learns of no other.
 */
static void find_index(struct front *f, struct web_deploy *ask)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	_cleanup_free_ char *text = NULL;
	json_auto_t *told = NULL;
	_cleanup_fd_ int fd = -1;
	size_t len = 0;

	if (util_read_file_at(f->cfg.edge_dirfd, "../index.json", INDEX_MAX, &text, &len) < 0)
		return;
	told = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/../index.sock",
		       f->cfg.edge_dirfd);
	if (!json_is_object(told) || fd < 0 ||
	    connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || fcntl(fd, F_SETFL, 0) < 0)
		return;
	ask->index = json_incref(told);
	ask->index_fd = TAKE_FD(fd);
}

int web_deploy_begin(struct front *f, struct project *p, struct web_deploy *ask, int archive_fd,
		     struct err *e)
{
	_cleanup_fd_ int archive = archive_fd;
	struct web_build *b;
	unsigned n = 0;

	LIST_FOREACH(b, &f->web->builds, next)
		n += b->project == p;
	if (n >= BUILDS_MAX)
		return err_set(e, ERR_LIMIT, 0,
			       "%u deploys of this project are under way: try again later", n);
	b = calloc(1, sizeof(*b));
	if (!b)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot begin a deploy");
	b->f = f;
	b->project = p;
	b->ask = *ask;
	*ask = WEB_DEPLOY_NONE;
	if (b->ask.waiter) {
		b->ask.waiter->gone = deserted;
		b->ask.waiter->gone_arg = b;
	}
	if (b->ask.is_file)
		find_index(f, &b->ask);
	b->warnings = json_array();
	b->began_ns = util_monotonic_ns();
	b->serve_fd = b->package_fd = -1;
	(void)snprintf(b->image, sizeof(b->image), "%s", WEB_IMAGE_DEFAULT);
	b->channel = (struct web_channel){
		.line.fd = -1, .take = build_take, .ended = build_channel_ended};
	LIST_INSERT_HEAD(&f->web->builds, b, next);
	b->unpacking = true;
	if (b->ask.is_file && is_zip(archive))
		package_unpack_zip(f, p, TAKE_FD(archive), unpacked_zip, b);
	else if (b->ask.is_file)
		package_unpack_file(f, p, TAKE_FD(archive), unpacked, b);
	else
		package_unpack(f, p, TAKE_FD(archive), unpacked, b);
	return 0;
}

int web_deploy_copy(struct front *f, struct web_version *from, struct web_deploy *ask,
		    struct err *e)
{
	struct web_worker *w = from->worker;
	struct web_version_row *row;
	struct web_build *b;
	int r;

	if (w->going)
		return err_set(e, ERR_CONFLICT, 0, "%s is being removed", w->row.name);
	if (w->build || w->redeploying)
		return err_set(e, ERR_CONFLICT, 0,
			       "another deploy of %s is under way: try again when it is over",
			       w->row.name);
	b = calloc(1, sizeof(*b));
	if (!b)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a version");
	b->f = f;
	b->project = w->project;
	b->worker = w;
	w->build = b;
	b->serve_fd = b->package_fd = -1;
	b->ask.progress_fd = b->ask.index_fd = -1;
	b->channel = (struct web_channel){.line.fd = -1};
	b->step = BUILD_START;
	b->began_ns = util_monotonic_ns();
	b->warnings = json_array();
	memcpy(b->before, from->row.id, sizeof(b->before));
	LIST_INSERT_HEAD(&f->web->builds, b, next);
	b->version = web_version_new(w);
	r = b->version ? 0 : -ENOMEM;
	if (r == 0) {
		row = &b->version->row;
		*row = from->row;
		row->number = 0;
		row->manifest = strdup(from->row.manifest);
		row->note = from->row.note ? strdup(from->row.note) : NULL;
		row->created_ns = util_realtime_ns();
		web_uuid(row->id);
		memcpy(row->source, ask->source, sizeof(row->source));
		(void)snprintf(row->message, sizeof(row->message), "%s",
			       ask->message ? ask->message : "");
		(void)snprintf(row->tag, sizeof(row->tag), "%s", ask->tag ? ask->tag : "");
		r = row->manifest ? web_version_open(b->version, e) : -ENOMEM;
	}
	if (r < 0) {
		if (!e->code)
			(void)err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a version");
		build_over(b);
		return r;
	}
	b->ask = *ask;
	*ask = WEB_DEPLOY_NONE;
	do_switch(b);
	return 0;
}

void web_builds_clear(struct front *f, const struct project *p)
{
	struct web_build *b, *next;
	struct err e = {0};

	(void)turn_over(&e);
	for (b = LIST_FIRST(&f->web->builds); b; b = next) {
		next = LIST_NEXT(b, next);
		if (p && b->project != p)
			continue;
		web_deploy_clear(&b->ask, NULL, &e);
		/* What unpacks, or is written, is told by a build that nobody waits for. */
		if (b->unpacking || b->change.marked)
			b->step = BUILD_OVER;
		else
			build_free(b);
	}
}

static void metrics(struct front *f, FILE *out)
{
	static const char name[] = "http_deploys_total";

	metric_head(
		out, name, "counter",
		"Deploys of HTTP workers, by outcome, and in which step they failed; since this "
		"front started.");
	(void)fprintf(out, "sandboxd_%s{outcome=\"ok\",step=\"\"} %llu\n", name,
		      (unsigned long long)f->web->deploys[BUILD_OVER]);
	for (unsigned i = 0; i < BUILD_OVER; i++)
		(void)fprintf(out, "sandboxd_%s{outcome=\"failed\",step=\"%s\"} %llu\n", name,
			      step_names[i], (unsigned long long)f->web->deploys[i]);
}

static const struct listener listener = {.warmed = on_warmed};

const struct capability web_build_capability = {
	.name = "web builds", .source = &build_source, .listener = &listener, .metrics = metrics};
