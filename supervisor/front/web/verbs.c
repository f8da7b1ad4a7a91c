// SPDX-License-Identifier: Apache-2.0
/* What can be asked of HTTP workers. */
#include "supervisor/front/api/verbs.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "lib/dir.h"
#include "supervisor/front/web/deploy.h"
#include "supervisor/front/web/web.h"

#define VARS_MAX 64u

const char *web_snapshot_name(enum web_snapshot kind)
{
	static const char *const names[WEB_SNAPSHOT_MAX] = {"none", "baseline", "package",
							    "dedicated"};

	return kind < WEB_SNAPSHOT_MAX ? names[kind] : "unknown";
}

void web_uuid(char ret[WEB_UUID_LEN + 1])
{
	uint8_t b[16];
	char hex[33];

	while (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b))
		;
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	util_hex(b, sizeof(b), hex);
	(void)snprintf(ret, WEB_UUID_LEN + 1, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
		       hex + 16, hex + 20);
}

void web_deploy_clear(struct web_deploy *d, json_t *reply, const struct err *error)
{
	if (d->waiter && (reply || error)) {
		waiter_end(d->waiter, reply, error);
	} else {
		json_decref(reply);
		if (d->waiter)
			waiter_free(d->waiter);
	}
	util_close_fd(&d->progress_fd);
	util_close_fd(&d->index_fd);
	json_decref(d->vars);
	json_decref(d->index);
	json_decref(d->metadata);
	web_secrets_free(d->secrets);
	free(d->name);
	free(d->env);
	free(d->file);
	free(d->message);
	free(d->tag);
	*d = WEB_DEPLOY_NONE;
}

/* Those that are made for HTTP workers, by their names, and that the project may name. A worker's
 * configuration may name others. */
json_t *web_images_named(struct front *f, const struct project *p, const char *begin)
{
	_cleanup_fd_ int fd =
		openat(f->cfg.state_dirfd, "images/by-name", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_names_ struct dir_names names = {0};
	json_t *all = json_array();

	if (fd < 0 || dir_names_read(fd, SIZE_MAX, &names) < 0)
		return all;
	for (size_t i = 0; i < names.n; i++) {
		struct image_head head;
		uint8_t digest[32];
		struct err e;

		if (strncmp(names.names[i], begin, strlen(begin)) == 0 &&
		    util_is_name(names.names[i]) &&
		    project_may_name(p, NULL, names.names[i], &e) == 0 &&
		    resolve_image(f, names.names[i], digest, &head, &e) == 0)
			json_array_append_new(
				all, json_pack("[s, s]", names.names[i], head.python_version));
	}
	return all;
}

json_t *web_images(struct front *f, const struct project *p)
{
	return web_images_named(f, p, WEB_IMAGE_DEFAULT);
}

char *web_deploy_payload(struct front *f, const struct project *p, const struct web_deploy *d,
			 const char *image, const char *config)
{
	json_auto_t *o = json_pack(
		"{s:s, s:O*, s:O*, s:s*, s:s*, s:s*, s:O*, s:b, s:s*, s:s*, s:o, s:s*}", "image",
		image, "metadata", d->metadata, "index", d->index, "name", d->name, "env", d->env,
		"file", d->file, "vars", d->vars, "dry_run", d->dry_run, "message", d->message,
		"tag", d->tag, "images", web_images(f, p), "config", config);

	return o ? json_dumps(o, JSON_COMPACT) : NULL;
}

/* An object of strings; the caller's reference. */
static json_t *read_vars(struct call *c)
{
	json_t *vars = call_get(c, "vars"), *value;
	const char *name;

	if (!vars)
		return NULL;
	if (!json_is_object(vars) || json_object_size(vars) > VARS_MAX) {
		(void)json_strict_fail(c->in, "vars", "must be an object of at most %u texts",
				       VARS_MAX);
		return NULL;
	}
	json_object_foreach(vars, name, value) if (!json_is_string(value))(void)
		json_strict_fail(c->in, "vars", "%.60s must be a text", name);
	return json_incref(vars);
}

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

int web_deploy_check(struct call *c, struct err *e)
{
	if (c->project->going)
		return err_set(e, ERR_CONFLICT, 0, "project: %s is being removed",
			       c->project->name);
	if (c->f->cfg.edge_dirfd < 0)
		return err_set(
			e, ERR_UNAVAILABLE, 0,
			"this daemon serves no HTTP workers: it was started with --edge-http none");
	return 0;
}

/* What is asked for beside the folder. What it owns is the caller's to clear, also on failure. */
static int read_deploy(struct call *c, struct web_deploy *ask, struct err *e)
{
	const char *name = call_string(c, "name", WEB_NAME_MAX);
	const char *env = call_string(c, "env", WEB_NAME_MAX);
	const char *file = call_string(c, "config", NAME_MAX);
	const char *message = call_string(c, "message", WEB_TEXT_MAX);
	/* "tag" is what any request may have its answers told by. */
	const char *tag = call_string(c, "version_tag", WEB_TAG_MAX);
	const char *source = call_string(c, "source", WEB_SOURCE_MAX);
	int r;

	(void)call_bool(c, "dry_run", &ask->dry_run);
	if (file &&
	    (!*file || strchr(file, '/') || strcmp(file, ".") == 0 || strcmp(file, "..") == 0))
		(void)json_strict_fail(c->in, "config", "must be the name of a file in the folder");
	ask->vars = read_vars(c);
	call_project(c);
	r = call_end(c, e);
	if (r < 0)
		return r;
	ask->name = copy(name);
	ask->env = copy(env);
	ask->file = copy(file);
	ask->message = copy(message);
	ask->tag = copy(tag);
	(void)snprintf(ask->source, sizeof(ask->source), "%s", source ? source : "api");
	return 0;
}

/* Takes the archive, and what ask has. */
static int begin_deploy(struct call *c, struct web_deploy *ask, int *archive, struct err *e)
{
	int r = web_deploy_check(c, e);

	if (r == 0) {
		ask->waiter = call_later(c, e);
		r = ask->waiter ? 0 : -EBUSY;
	}
	if (r < 0) {
		web_deploy_clear(ask, NULL, NULL);
		return r;
	}
	r = web_deploy_begin(c->f, c->project, ask, TAKE_FD(*archive), e);
	if (r < 0)
		web_deploy_clear(ask, NULL, e);
	return 0;
}

static int verb_deploy(struct call *c, struct err *e)
{
	struct web_deploy ask = WEB_DEPLOY_NONE;
	int r;

	ask.index = json_incref(call_get(c, "index"));
	if (ask.index && !json_is_object(ask.index))
		(void)json_strict_fail(c->in, "index", "must be an object");
	r = read_deploy(c, &ask, e);
	if (r == 0 && c->n_fds < 1)
		r = err_set(e, ERR_INPUT, 0, "the folder was not sent along");
	if (r == 0 && (c->n_fds == 3) != (ask.index != NULL))
		r = err_set(e, ERR_INPUT, 0,
			    "index: its socket comes third, behind the folder and progress");
	if (r == 0 && c->n_fds >= 2)
		r = call_check_socket(c, 1, "progress", e);
	if (r == 0 && c->n_fds == 3)
		r = call_check_socket(c, 2, "index", e);
	if (r < 0) {
		web_deploy_clear(&ask, NULL, NULL);
		return r;
	}
	if (c->n_fds >= 2)
		ask.progress_fd = TAKE_FD(c->fds[1]);
	if (c->n_fds == 3)
		ask.index_fd = TAKE_FD(c->fds[2]);
	return begin_deploy(c, &ask, &c->fds[0], e);
}

/* The folder as the part "file" of a form, a tar or a zip; what else is asked for is the part "data". */
static int verb_deploy_upload(struct call *c, struct err *e)
{
	struct web_deploy ask = WEB_DEPLOY_NONE;
	const char *text = c->http->upload_data;
	json_auto_t *data = NULL;
	int r = 0;

	if (text)
		r = json_strict_load("data", text, strlen(text), MANIFEST_MAX, &data, e);
	if (r == 0 && data && !json_is_object(data))
		r = err_set(e, ERR_INPUT, 0, "data: must be an object");
	if (r == 0 && data && json_object_get(data, "project"))
		r = err_set(e, ERR_INPUT, 0, "data: project: is given in the path");
	if (r == 0 && data && json_object_update(c->in->obj, data) < 0)
		r = err_set(e, ERR_SYSTEM, ENOMEM, "data");
	if (r == 0)
		r = read_deploy(c, &ask, e);
	if (r == 0 && c->http->upload_fd < 0)
		r = err_set(e, ERR_INPUT, 0,
			    "file: must be there: multipart/form-data with the part \"file\", the "
			    "folder as "
			    "a tar or zip, and \"data\" (JSON)");
	if (r < 0) {
		web_deploy_clear(&ask, NULL, NULL);
		return r;
	}
	ask.is_file = true;
	return begin_deploy(c, &ask, &c->http->upload_fd, e);
}

static json_t *split_json(const struct web_deployment_row *d)
{
	json_t *all = json_array();

	if (!d->number)
		return all;
	json_array_append_new(all, json_pack("{s:s, s:i}", "version", d->version_1, "percent",
					     *d->version_2 ? (int)d->percent_1 : 100));
	if (*d->version_2)
		json_array_append_new(all, json_pack("{s:s, s:i}", "version", d->version_2,
						     "percent", 100 - (int)d->percent_1));
	return all;
}

static json_t *instance_json(struct front *f, const struct web_instance *i)
{
	const struct task *t = *i->run ? registry_find(f, i->run) : NULL;
	const bool known = t && t->rec.started_ns && t->rec.start_mode != START_AUTO;
	json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:I}", "id", i->run, "version",
			      i->version->row.id, "state", replica_state_name(i->replica.state),
			      "served", (json_int_t)i->served, "in_flight", (json_int_t)i->active);

	json_object_set_new(o, "start_mode",
			    known ? json_string(start_mode_name((enum start_mode)t->rec.start_mode))
				  : json_null());
	json_object_set_new(o, "created_ns",
			    t ? json_integer((json_int_t)t->rec.created_ns) : json_null());
	/* Until its first bytecode, and until it was ready. */
	json_object_set_new(o, "start_ms",
			    known && t->rec.start_us ? json_real((double)t->rec.start_us / 1000)
						     : json_null());
	json_object_set_new(o, "ready_ms",
			    i->ready_ns ? json_real((double)i->ready_ns / MSEC) : json_null());
	return o;
}

json_t *web_routes_json(struct web_worker *w)
{
	struct web_version *serving[WEB_SPLIT_MAX];
	unsigned percent[WEB_SPLIT_MAX];
	char text[ROUTE_PATTERN_MAX + ROUTE_HOST_MAX];
	const struct manifest_route *routes;
	json_t *all = json_array();
	size_t n;

	if (web_serving(w, serving, percent) == 0 || web_version_open(serving[0], NULL) < 0)
		return all;
	routes = web_routes(serving[0], &n);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(all, json_string(route_pattern_format(&routes[i].pattern,
									    text, sizeof(text))));
	return all;
}

static json_t *worker_json(struct front *f, struct web_worker *w)
{
	json_t *instances = json_array();
	char url[WEB_URL_MAX];
	struct web_version *v;
	struct web_instance *i;

	LIST_FOREACH(v, &w->versions, next)
		LIST_FOREACH(i, &v->instances, next)
			json_array_append_new(instances, instance_json(f, i));
	web_edge_url(f, w, url, sizeof(url));
	return json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "name", w->row.name,
			 "url", url, "created_ns", (json_int_t)w->row.created_ns, "changed_ns",
			 (json_int_t)w->row.changed_ns, "versions", split_json(&w->in_force),
			 "instances", instances, "crons", web_crons_json(w), "routes",
			 web_routes_json(w), "counts", web_counts_json(f, w));
}

static int verb_ls(struct call *c, struct err *e)
{
	json_t *all = json_array();
	struct web_worker *w;
	int r;

	call_project(c);
	r = call_end(c, e);
	web_counts_look(c->f);
	if (r == 0)
		LIST_FOREACH(w, &c->project->web->workers, next)
			if (w->stored)
				json_array_append_new(all, worker_json(c->f, w));
	if (r == 0)
		call_reply(c, json_pack("{s:O}", "workers", all));
	json_decref(all);
	return r;
}

static int no_worker(const char *name, struct err *e)
{
	char shown[80];

	return err_set(e, ERR_NOT_FOUND, 0, "there is no HTTP worker \"%s\" in this project",
		       util_escape(name, shown, sizeof(shown)));
}

int web_call_worker(struct call *c, struct web_worker **ret, struct err *e)
{
	const char *name = call_string(c, "name", WEB_NAME_MAX);
	int r;

	if (!name)
		(void)json_strict_fail(c->in, "name", "must be given");
	call_project(c);
	r = call_end(c, e);
	if (r < 0)
		return r;
	*ret = web_worker_find(c->project, name);
	return *ret ? 0 : no_worker(name, e);
}

static void tell_info(struct front *f, struct waiter *waiter, const char *project, const char *name)
{
	struct project *p = project_find(f, project);
	struct web_worker *w = p ? web_worker_find(p, name) : NULL;
	struct err e = {0};

	if (!w)
		(void)no_worker(name, &e);
	waiter_end(waiter, w ? json_pack("{s:o}", "worker", worker_json(f, w)) : NULL, &e);
}

/* Whoever has sent a request sees it counted, a second later at most. */
static int verb_info(struct call *c, struct err *e)
{
	struct waiter *waiter;
	struct web_worker *w;
	int r = web_call_worker(c, &w, e);

	if (r < 0)
		return r;
	waiter = call_later(c, e);
	if (!waiter)
		return -EBUSY;
	r = web_counts_ask(c->f, waiter, w, tell_info, e);
	if (r < 0)
		waiter_free(waiter);
	return r;
}

/* A Python 3 is repaired for five years, until the end of an October. */
static bool python_has_ended(const char *python)
{
	const time_t now = (time_t)(util_realtime_ns() / SEC);
	unsigned long minor;
	struct tm tm;

	if (strncmp(python, "3.", 2) != 0 || !gmtime_r(&now, &tm))
		return false;
	minor = strtoul(python + 2, NULL, 10);
	/* 3.9 has ended in 2025, and each year another one does. */
	return minor >= 9 && ((unsigned)tm.tm_year + 1900 > 2016 + minor ||
			      ((unsigned)tm.tm_year + 1900 == 2016 + minor && tm.tm_mon >= 10));
}

static json_t *version_json(struct web_version *v)
{
	const struct web_version_row *row = &v->row;
	json_auto_t *manifest = json_loads(row->manifest, 0, NULL);
	const char *python = json_string_value(json_object_get(manifest, "python"));
	json_t *warnings = json_object_get(manifest, "warnings");
	json_t *o = json_pack("{s:s, s:i, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "id", row->id,
			      "number", (int)row->number, "created_ns", (json_int_t)row->created_ns,
			      "source", row->source, "message", row->message, "tag", row->tag,
			      "image", row->image, "snapshot", web_snapshot_name(row->snapshot),
			      "note", row->note ? row->note : "", "serves", web_version_serves(v));

	if (!python)
		python = "";
	json_object_set_new(o, "python", json_string(python));
	json_object_set_new(o, "python_ended", json_boolean(python_has_ended(python)));
	json_object_set_new(o, "snapshot_state", json_string(web_snapshot_state(v)));
	json_object_set_new(o, "snapshot_error",
			    json_string(v->snapshot_error ? v->snapshot_error : ""));
	json_object_set_new(o, "warnings", warnings ? json_incref(warnings) : json_array());
	return o;
}

static int verb_versions(struct call *c, struct err *e)
{
	json_auto_t *all = json_array();
	struct web_version *v;
	struct web_worker *w;
	int r = web_call_worker(c, &w, e);

	if (r < 0)
		return r;
	LIST_FOREACH(v, &w->versions, next)
		if (v->row.number)
			json_array_append_new(all, version_json(v));
	call_reply(c, json_pack("{s:O}", "versions", all));
	return 0;
}

static int add_deployment(void *arg, const struct web_deployment_row *d)
{
	return json_array_append_new(
		arg, json_pack("{s:s, s:i, s:I, s:s, s:s, s:o}", "id", d->id, "number",
			       (int)d->number, "created_ns", (json_int_t)d->created_ns, "source",
			       d->source, "message", d->message, "versions", split_json(d)));
}

static int verb_deployments(struct call *c, struct err *e)
{
	json_auto_t *all = json_array();
	struct web_worker *w;
	int r = web_call_worker(c, &w, e);

	if (r == 0)
		r = store_web_deployments(c->f->store, w->row.id, WEB_VERSIONS_MAX, add_deployment,
					  all, e);
	if (r < 0)
		return r;
	call_reply(c, json_pack("{s:O}", "deployments", all));
	return 0;
}

/* A deployment of versions that are there: a rollback, or two versions by percentage. */
struct web_redeploy {
	struct web_told told;
	struct change change;
	struct waiter *waiter;
	struct web_deployment_row row;
	char project[PROJECT_ID_LEN + 1], name[WEB_NAME_MAX + 1];
};

static struct web_worker *worker_of(struct front *f, const struct web_redeploy *x)
{
	struct project *p = project_by_id(f, x->project);

	return p ? web_worker_find(p, x->name) : NULL;
}

static int redeploy_write(struct front *f, struct change *c, struct err *e)
{
	struct web_redeploy *x = OWNER(c, struct web_redeploy, change);
	struct web_worker *w = worker_of(f, x);
	struct web_worker_row row;
	int r;

	if (!w || !web_version_find(w, x->row.version_1) ||
	    (*x->row.version_2 && !web_version_find(w, x->row.version_2)))
		return err_set(e, ERR_NOT_FOUND, 0, "the worker or its version was removed");
	row = w->row;
	row.changed_ns = x->row.created_ns;
	row.last_deployment = x->row.number;
	r = store_web_worker_put(f->store, &row, e);
	return r < 0 ? r : store_web_deployment_insert(f->store, &x->row, e);
}

static void redeploy_adopt(struct front *f, struct change *c, bool durable)
{
	struct web_redeploy *x = OWNER(c, struct web_redeploy, change);
	struct project *p = project_by_id(f, x->project);
	struct web_worker *w = worker_of(f, x);

	if (p)
		p->n_coming--;
	if (!w)
		return;
	w->redeploying = false;
	w->coming = NULL;
	if (!durable)
		return;
	w->row.changed_ns = x->row.created_ns;
	w->row.last_deployment = x->row.number;
	w->in_force = x->row;
}

static void redeploy_end(struct web_redeploy *x, const struct err *error)
{
	waiter_end(x->waiter,
		   error ? NULL
			 : json_pack("{s:s, s:o}", "deployment", x->row.id, "versions",
				     split_json(&x->row)),
		   error);
	free(x);
}

static void redeploy_told(struct front *f, struct web_told *t)
{
	(void)f;
	redeploy_end(OWNER(t, struct web_redeploy, told), NULL);
}

static void redeploy_done(struct front *f, struct change *c, const struct err *error)
{
	struct web_redeploy *x = OWNER(c, struct web_redeploy, change);
	struct web_worker *w = worker_of(f, x);

	if (error || !w) {
		redeploy_end(x, error);
		return;
	}
	web_switch(f, w);
	/* It is answered when the edge serves by it. */
	web_edge_wait(f, &x->told, w, redeploy_told);
}

/* A version by its id or a unique beginning of it. */
static struct web_version *find_version(struct web_worker *w, const char *id, struct err *e)
{
	struct web_version *v, *found = NULL;

	LIST_FOREACH(v, &w->versions, next) {
		if (!v->row.number || strncmp(v->row.id, id, strlen(id)) != 0)
			continue;
		if (found) {
			(void)err_set(e, ERR_CONFLICT, 0,
				      "several versions begin with %s: give more of the id", id);
			return NULL;
		}
		found = v;
	}
	if (!found)
		(void)err_set(e, ERR_NOT_FOUND, 0, "%s has no such version", w->row.name);
	return found;
}

/* What served before what serves now. */
struct previous {
	const struct web_deployment_row *now;
	char version[WEB_UUID_LEN + 1];
};

static int see_previous(void *arg, const struct web_deployment_row *d)
{
	struct previous *p = arg;

	if (d->number >= p->now->number || *d->version_2 ||
	    strcmp(d->version_1, p->now->version_1) == 0)
		return 0;
	memcpy(p->version, d->version_1, sizeof(p->version));
	return 1;
}

static int find_previous(struct call *c, struct web_worker *w, struct web_version **ret,
			 struct err *e)
{
	struct previous p = {.now = &w->in_force};
	int r = store_web_deployments(c->f->store, w->row.id, WEB_VERSIONS_MAX, see_previous, &p,
				      e);

	if (r < 0)
		return r;
	*ret = *p.version ? web_version_find(w, p.version) : NULL;
	if (*ret)
		return 0;
	return err_set(e, ERR_NOT_FOUND, 0, "%s has no version that served before this one",
		       w->row.name);
}

int web_redeploy_begin(struct call *c, struct web_worker *w, struct web_version *first,
		       struct web_version *second, unsigned percent_1, const char *message,
		       const char *source, struct err *e)
{
	const struct manifest_route *routes;
	struct web_redeploy *x;
	size_t n;
	int r;

	if (w->going)
		return err_set(e, ERR_CONFLICT, 0, "%s is being removed", w->row.name);
	/* Its number would be given twice. */
	if (w->redeploying || w->build)
		return err_set(e, ERR_CONFLICT, 0,
			       "another deployment of %s is under way: try again when it is over",
			       w->row.name);
	/* Another worker may have got them meanwhile. */
	r = web_version_open(first, e);
	if (r == 0) {
		routes = web_routes(first, &n);
		r = web_edge_check_routes(c->f, w, routes, n, e);
	}
	if (r < 0)
		return r;
	x = calloc(1, sizeof(*x));
	if (!x)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a deployment");
	x->waiter = call_later(c, e);
	if (!x->waiter) {
		free(x);
		return -EBUSY;
	}
	(void)snprintf(x->project, sizeof(x->project), "%s", c->project->id);
	(void)snprintf(x->name, sizeof(x->name), "%s", w->row.name);
	x->row = (struct web_deployment_row){.number = w->row.last_deployment + 1,
					     .created_ns = util_realtime_ns(),
					     .percent_1 = percent_1};
	memcpy(x->row.worker, w->row.id, sizeof(x->row.worker));
	web_uuid(x->row.id);
	(void)snprintf(x->row.source, sizeof(x->row.source), "%s", source ? source : "api");
	(void)snprintf(x->row.message, sizeof(x->row.message), "%s", message ? message : "");
	memcpy(x->row.version_1, first->row.id, sizeof(x->row.version_1));
	if (second)
		memcpy(x->row.version_2, second->row.id, sizeof(x->row.version_2));
	x->change = (struct change){
		.write = redeploy_write, .adopt = redeploy_adopt, .done = redeploy_done};
	w->redeploying = true;
	w->coming = first;
	c->project->n_coming++;
	change_mark(c->f, &x->change, turn_holder(c->project), 0);
	return 0;
}

static int verb_deployment_create(struct call *c, struct err *e)
{
	const char *version = call_string(c, "version", WEB_UUID_LEN);
	const char *other = call_string(c, "other", WEB_UUID_LEN);
	const char *message = call_string(c, "message", WEB_TEXT_MAX);
	const char *source = call_string(c, "source", WEB_SOURCE_MAX);
	struct web_version *first = NULL, *second = NULL;
	int64_t percent = 100;
	struct web_worker *w;
	bool two;
	int r;

	two = call_int(c, "percent", 1, 99, &percent);
	r = web_call_worker(c, &w, e);
	if (r < 0)
		return r;
	if (two != (other != NULL))
		return err_set(e, ERR_INPUT, 0,
			       "%s: percent and other belong together: two versions, of which the "
			       "first gets percent of the requests",
			       two ? "other" : "percent");
	if (version)
		first = find_version(w, version, e);
	else
		(void)find_previous(c, w, &first, e);
	if (first && other)
		second = find_version(w, other, e);
	if (!first || (other && !second))
		return -ENOENT;
	if (first == second)
		return err_set(e, ERR_INPUT, 0, "other: is the same version");
	return web_redeploy_begin(c, w, first, second, (unsigned)percent, message, source, e);
}

/* The worker goes: from the store, then from the edge and from memory. */
struct removal {
	struct change change;
	struct waiter *waiter;
	char project[PROJECT_ID_LEN + 1], name[WEB_NAME_MAX + 1], id[PROJECT_ID_LEN + 1];
};

static int removal_write(struct front *f, struct change *c, struct err *e)
{
	struct removal *x = OWNER(c, struct removal, change);
	int r = store_secrets_delete(f->store, x->project, x->name, e);

	return r < 0 ? r : store_web_worker_delete(f->store, x->id, e);
}

static void removal_adopt(struct front *f, struct change *c, bool durable)
{
	struct project *p = project_by_id(f, OWNER(c, struct removal, change)->project);

	(void)durable;
	if (p)
		p->n_coming--;
}

static void removal_done(struct front *f, struct change *c, const struct err *error)
{
	struct removal *x = OWNER(c, struct removal, change);
	struct project *p = project_by_id(f, x->project);
	struct web_worker *w = p ? web_worker_find(p, x->name) : NULL;

	if (w)
		w->going = false;
	if (!error && w)
		web_worker_remove(f, w);
	waiter_end(x->waiter, error ? NULL : json_pack("{s:s}", "msg", "Deleted"), error);
	free(x);
}

static int verb_remove(struct call *c, struct err *e)
{
	struct web_worker *w;
	struct removal *x;
	int r = web_call_worker(c, &w, e);

	if (r < 0)
		return r;
	if (w->going)
		return err_set(e, ERR_CONFLICT, 0, "%s is being removed", w->row.name);
	if (w->build || w->redeploying)
		return err_set(e, ERR_CONFLICT, 0, "a deploy of %s is under way", w->row.name);
	x = calloc(1, sizeof(*x));
	if (!x)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot remove the worker");
	x->waiter = call_later(c, e);
	if (!x->waiter) {
		free(x);
		return -EBUSY;
	}
	(void)snprintf(x->project, sizeof(x->project), "%s", c->project->id);
	(void)snprintf(x->name, sizeof(x->name), "%s", w->row.name);
	memcpy(x->id, w->row.id, sizeof(x->id));
	x->change = (struct change){
		.write = removal_write, .adopt = removal_adopt, .done = removal_done};
	w->going = true;
	c->project->n_coming++;
	change_mark(c->f, &x->change, turn_holder(c->project), 0);
	return 0;
}

/* clang-format off */
const struct verb web_verbs[] = {
	{"deploy", NULL, NULL, WHO_OPERATOR, verb_deploy, .fds_max = 3},
	{NULL, "POST", WEB_PATH "/deploy", WHO_PROJECT, verb_deploy_upload, .upload = true},
	{"web_ls", "GET", WEB_PATH "/workers", WHO_PROJECT, verb_ls},
	{"web_info", "GET", WEB_PATH "/workers/{name}", WHO_PROJECT, verb_info},
	{"web_versions", "GET", WEB_PATH "/workers/{name}/versions", WHO_PROJECT, verb_versions},
	{"web_deployments", "GET", WEB_PATH "/workers/{name}/deployments", WHO_PROJECT,
	 verb_deployments},
	{"web_deployment_create", "POST", WEB_PATH "/workers/{name}/deployments", WHO_PROJECT,
	 verb_deployment_create, .body = ""},
	{"web_rm", "DELETE", WEB_PATH "/workers/{name}", WHO_PROJECT, verb_remove},
	{0},
};
/* clang-format on */
