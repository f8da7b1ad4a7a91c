// SPDX-License-Identifier: Apache-2.0
/* What can be asked of services. */
#include "supervisor/front/api/verbs.h"

#include <stdio.h>
#include <string.h>

#include "spec/attach_url.h"
#include "supervisor/front/service/service.h"
#include "supervisor/front/web/deploy.h"

#define SERVICE_PATH "/api/projects/{project}/services"
#define ONE SERVICE_PATH "/{app}/{service}"
#define SCALE_MEMORY_MIN LIMIT_MEMORY_MIN
#define RUN_WORDS_MAX 200u
#define PUSH_TEXT_MAX (64u << 10) /* bytes of a dotcloud.yml */

static json_t *replica_json(const struct service_replica *r)
{
	json_t *o = json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:i, s:s}", "service",
			      r->service->row.name, "number", (int)r->number, "state",
			      replica_state_name(r->replica.state), "run", r->run, "last_run",
			      r->last, "revision", r->version->row.revision, "stage", r->stage,
			      "restarts", (int)r->restarts, "failure", r->failure);

	json_object_set_new(o, "serves", json_boolean(service_replica_serves(r)));
	json_object_set_new(o, "ready_ms",
			    r->ready_ns ? json_real((double)r->ready_ns / MSEC) : json_null());
	return o;
}

static json_t *ports_json(struct front *f, struct service *s, const struct service_version *v)
{
	json_t *all = json_array();

	for (unsigned i = 0; v && i < v->manifest.n_http; i++) {
		char label[SERVICE_LABEL_MAX + 1], url[EDGE_URL_MAX] = "";

		if (service_label(s, i, v->manifest.ports[i].name, label) == 0)
			edge_url(f, label, s->project->name, url, sizeof(url));
		json_array_append_new(all, json_pack("{s:s, s:s}", "name",
						     v->manifest.ports[i].name, "url", url));
	}
	return all;
}

json_t *service_json(struct front *f, struct service *s)
{
	struct service_version *v = service_live(s);
	const struct service_replica *r;
	json_t *replicas = json_array(), *o;
	char url[EDGE_URL_MAX];

	if (v && service_version_open(v, NULL) < 0)
		v = NULL;
	LIST_FOREACH(r, &s->replicas, next)
		if (r->replica.state != REPLICA_DOWN)
			json_array_append_new(replicas, replica_json(r));
	service_url(f, s, url, sizeof(url));
	o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:s}", "app",
		      s->row.app, "name", s->row.name, "state", service_state(s), "url", url,
		      "revision", v ? v->row.revision : "", "created_ns",
		      (json_int_t)s->row.created_ns, "changed_ns", (json_int_t)s->row.changed_ns,
		      "instances", (json_int_t)(v ? service_instances(s, v) : 0), "memory",
		      (json_int_t)(s->row.memory ? s->row.memory
				   : v		 ? v->manifest.memory
						 : 0),
		      "restarts", (json_int_t)s->restarts, "replicas", replicas, "ports",
		      ports_json(f, s, v), "failure", s->failure);
	json_object_set_new(o, "type", json_string(v ? service_type_name(v->manifest.type) : ""));
	json_object_set_new(o, "data_bytes", json_integer((json_int_t)s->row.data_bytes));
	return o;
}

static int verb_ls(struct call *c, struct err *e)
{
	const char *app = call_string(c, "app", SERVICE_APP_MAX);
	json_t *all = json_array();
	struct service *s;
	int r;

	call_project(c);
	r = call_end(c, e);
	if (r == 0)
		LIST_FOREACH(s, &c->project->service->services, next)
			if (s->stored && (!app || strcmp(app, s->row.app) == 0))
				json_array_append_new(all, service_json(c->f, s));
	if (r == 0)
		call_reply(c, json_pack("{s:O}", "services", all));
	json_decref(all);
	return r;
}

/* Reads "app", "service" and "project", the last of what is read. */
static int call_service(struct call *c, struct service **ret, struct err *e)
{
	const char *app = call_string(c, "app", SERVICE_APP_MAX);
	const char *name = call_string(c, "service", SERVICE_NAME_MAX);
	char shown[80], shown_name[40];
	int r;

	if (!app)
		(void)json_strict_fail(c->in, "app", "must be given");
	if (!name)
		(void)json_strict_fail(c->in, "service", "must be given");
	call_project(c);
	r = call_end(c, e);
	if (r < 0)
		return r;
	*ret = service_find(c->project, app, name);
	if (*ret && (*ret)->stored)
		return 0;
	return err_set(e, ERR_NOT_FOUND, 0, "there is no service %s/%s in this project",
		       util_escape(app, shown, sizeof(shown)),
		       util_escape(name, shown_name, sizeof(shown_name)));
}

static int verb_info(struct call *c, struct err *e)
{
	struct service *s;
	int r = call_service(c, &s, e);

	if (r == 0)
		call_reply(c, json_pack("{s:o}", "service", service_json(c->f, s)));
	return r;
}

static int verb_revisions(struct call *c, struct err *e)
{
	json_auto_t *all = json_array();
	struct service_version *v;
	struct service *s;
	int r = call_service(c, &s, e);

	if (r < 0)
		return r;
	LIST_FOREACH(v, &s->versions, next)
		if (v->stored)
			json_array_append_new(
				all,
				json_pack("{s:s, s:i, s:I, s:s, s:s, s:s, s:I, s:b, s:b}",
					  "revision", v->row.revision, "number", (int)v->row.number,
					  "created_ns", (json_int_t)v->row.created_ns, "source",
					  v->row.source, "message", v->row.message, "image",
					  v->row.image, "bytes", (json_int_t)v->row.package_bytes,
					  "live", v->row.number == s->row.live, "previous",
					  v->row.number == s->row.previous));
	call_reply(c, json_pack("{s:O}", "revisions", all));
	return 0;
}

static int may_begin(struct call *c, struct err *e)
{
	if (c->project->going)
		return err_set(e, ERR_CONFLICT, 0, "project: %s is being removed",
			       c->project->name);
	if (c->f->cfg.edge_dirfd < 0)
		return err_set(e, ERR_UNAVAILABLE, 0,
			       "this daemon runs no services: it was started with --edge-http "
			       "none");
	return 0;
}

/* The client that waits, and who is told of each step. */
static int begin_ask(struct call *c, unsigned progress, struct service_ask *ask, struct err *e)
{
	int r = may_begin(c, e);

	if (r == 0 && c->n_fds > progress)
		r = call_check_socket(c, progress, "progress", e);
	if (r < 0)
		return r;
	ask->waiter = call_later(c, e);
	if (!ask->waiter)
		return -EBUSY;
	if (c->n_fds > progress)
		ask->progress_fd = TAKE_FD(c->fds[progress]);
	return 0;
}

static int verb_put(struct call *c, struct err *e)
{
	struct service_ask ask = SERVICE_ASK_NONE;
	json_t *manifest = call_get(c, "manifest");
	const char *revision = call_string(c, "revision", SERVICE_REVISION_MAX);
	const char *message = call_string(c, "message", SERVICE_MESSAGE_MAX);
	const char *source = call_string(c, "source", SERVICE_SOURCE_MAX);
	int r;

	if (!json_is_object(manifest))
		(void)json_strict_fail(c->in, "manifest", "must be given: an object");
	if (revision && !util_is_name(revision))
		(void)json_strict_fail(c->in, "revision",
				       "must be of lower-case letters, digits, '.', '_' and '-', "
				       "the first a letter or a digit");
	call_project(c);
	r = call_end(c, e);
	if (r == 0 && c->n_fds < 1)
		r = err_set(e, ERR_INPUT, 0, "the folder was not sent along");
	if (r < 0)
		return r;
	ask.manifest = json_dumps(manifest, JSON_COMPACT);
	if (!ask.manifest)
		return err_set(e, ERR_SYSTEM, ENOMEM, "manifest");
	(void)snprintf(ask.revision, sizeof(ask.revision), "%s", revision ? revision : "");
	(void)snprintf(ask.message, sizeof(ask.message), "%s", message ? message : "");
	(void)snprintf(ask.source, sizeof(ask.source), "%s", source ? source : "api");
	r = begin_ask(c, 1, &ask, e);
	if (r < 0) {
		service_ask_clear(&ask, NULL, NULL);
		return r;
	}
	if (service_put_begin(c->f, c->project, &ask, TAKE_FD(c->fds[0]), NULL, e) < 0)
		service_ask_clear(&ask, NULL, e);
	return 0;
}

/* The image that a file is read in: any that has the runtime's reader. */
static void choose_reader(struct call *c, char *buf, size_t size)
{
	json_auto_t *images = web_images(c->f, c->project);
	const json_t *image;
	size_t i;

	(void)snprintf(buf, size, "%s", SERVICE_IMAGE_DEFAULT);
	json_array_foreach(images, i, image)
	{
		const char *name = json_string_value(json_array_get(image, 0));

		if (i == 0 || (name && strcmp(name, SERVICE_IMAGE_DEFAULT) == 0))
			(void)snprintf(buf, size, "%s", name ? name : "");
	}
}

static int read_push(struct call *c, struct service_push_ask *ask, struct err *e)
{
	const char *app = call_string(c, "app", SERVICE_APP_MAX);
	const char *text = call_string(c, "text", PUSH_TEXT_MAX);
	const char *python = call_string(c, "python", sizeof(ask->python) - 1);
	const char *image = call_string(c, "image", sizeof(ask->image) - 1);
	const char *policy = call_string(c, "policy", sizeof(ask->policy) - 1);
	const char *message = call_string(c, "message", SERVICE_MESSAGE_MAX);
	int r;

	(void)call_bool(c, "clean", &ask->clean);
	ask->index = json_incref(call_get(c, "index"));
	if (ask->index && !json_is_object(ask->index))
		(void)json_strict_fail(c->in, "index", "must be an object");
	if (!app || !service_is_app(app))
		(void)json_strict_fail(c->in, "app", "must be given: 1 to 40 of a-z, 0-9 and '-'");
	if (!text)
		(void)json_strict_fail(c->in, "text", "must be given: that of dotcloud.yml");
	if (image && !util_is_name(image))
		(void)json_strict_fail(c->in, "image", "must be an image's name");
	if (policy && !util_is_name(policy))
		(void)json_strict_fail(c->in, "policy", "must be a policy's name");
	call_project(c);
	r = call_end(c, e);
	if (r == 0 && c->n_fds < 2)
		r = err_set(e, ERR_INPUT, 0,
			    "the folder was not sent along, or no socket for progress");
	if (r == 0 && (c->n_fds == 3) != (ask->index != NULL))
		r = err_set(e, ERR_INPUT, 0,
			    "index: its socket comes third, behind the folder and progress");
	for (unsigned i = 1; r == 0 && i < c->n_fds; i++)
		r = call_check_socket(c, i, i == 1 ? "progress" : "index", e);
	if (r == 0)
		r = may_begin(c, e);
	if (r < 0)
		return r;
	ask->text = strdup(text);
	if (!ask->text)
		return err_set(e, ERR_SYSTEM, ENOMEM, "text");
	(void)snprintf(ask->app, sizeof(ask->app), "%s", app);
	(void)snprintf(ask->python, sizeof(ask->python), "%s", python ? python : "");
	(void)snprintf(ask->policy, sizeof(ask->policy), "%s", policy ? policy : "");
	(void)snprintf(ask->image, sizeof(ask->image), "%s", image ? image : "");
	(void)snprintf(ask->message, sizeof(ask->message), "%s", message ? message : "");
	choose_reader(c, ask->read_image, sizeof(ask->read_image));
	return 0;
}

static int verb_push(struct call *c, struct err *e)
{
	struct service_push_ask ask = SERVICE_PUSH_ASK_NONE;
	int r = read_push(c, &ask, e);

	if (r == 0) {
		ask.waiter = call_later(c, e);
		r = ask.waiter ? 0 : -EBUSY;
	}
	if (r < 0) {
		service_push_ask_clear(&ask, NULL, NULL);
		return r;
	}
	ask.archive_fd = TAKE_FD(c->fds[0]);
	ask.progress_fd = TAKE_FD(c->fds[1]);
	if (c->n_fds == 3)
		ask.index_fd = TAKE_FD(c->fds[2]);
	if (service_push_begin(c->f, c->project, &ask, e) < 0)
		service_push_ask_clear(&ask, NULL, e);
	return 0;
}

int service_call_roll(struct call *c, struct service_version *v, const struct service_row *row,
		      struct err *e)
{
	struct service_ask ask = SERVICE_ASK_NONE;
	int r = begin_ask(c, 0, &ask, e);

	if (r < 0)
		return r;
	if (service_roll_begin(c->f, v, &ask, row, e) < 0)
		service_ask_clear(&ask, NULL, e);
	return 0;
}

/* "latest", "previous", or a revision's name. */
static struct service_version *find_version(struct service *s, const char *which, struct err *e)
{
	struct service_version *v = NULL, *at;
	char shown[80];

	if (strcmp(which, "previous") == 0) {
		v = service_version_of(s, s->row.previous);
	} else {
		LIST_FOREACH(at, &s->versions, next)
			if (!v && at->stored &&
			    (strcmp(which, "latest") == 0 || strcmp(which, at->row.revision) == 0))
				v = at;
	}
	if (!v)
		(void)err_set(e, ERR_NOT_FOUND, 0,
			      "%s/%s has no revision \"%s\": 'sandboxctl service revisions' lists "
			      "them",
			      s->row.app, s->row.name, util_escape(which, shown, sizeof(shown)));
	return v;
}

static int verb_deploy(struct call *c, struct err *e)
{
	const char *which = call_string(c, "revision", SERVICE_REVISION_MAX);
	struct service_version *v;
	struct service *s;
	int r = call_service(c, &s, e);

	if (r < 0)
		return r;
	v = find_version(s, which ? which : "latest", e);
	return v ? service_call_roll(c, v, NULL, e) : -ENOENT;
}

static int restart_one(struct call *c, struct service *s, unsigned number, struct err *e)
{
	struct service_replica *r;

	LIST_FOREACH(r, &s->replicas, next)
		if (r->number == number && r->replica.wanted && r->generation == s->generation) {
			/* Its run ends when it has finished what it has, and the next one follows. */
			if (r->replica.state != REPLICA_FAILED)
				service_replica_want(r, false);
			if (r->replica.state != REPLICA_DOWN)
				service_replica_want(r, true);
			call_reply(c, json_pack("{s:s}", "msg", "Restarting"));
			return 0;
		}
	return err_set(e, ERR_NOT_FOUND, 0, "%s/%s has no replica %u", s->row.app, s->row.name,
		       number);
}

static int verb_restart(struct call *c, struct err *e)
{
	struct service_version *v;
	struct service *s;
	int64_t number = -1;
	int r;

	(void)call_int(c, "replica", 0, SERVICE_INSTANCES_MAX, &number);
	r = call_service(c, &s, e);
	if (r < 0)
		return r;
	if (number >= 0)
		return restart_one(c, s, (unsigned)number, e);
	v = service_live(s);
	if (!v)
		return err_set(e, ERR_NOT_FOUND, 0, "%s/%s has no version that runs", s->row.app,
			       s->row.name);
	return service_call_roll(c, v, NULL, e);
}

/* A change of a service that a call waits for. */
struct asked {
	struct service_wish wish;
	struct waiter *waiter;
	char id[PROJECT_ID_LEN + 1];
};

static int begin_asked(struct call *c, struct asked *x, struct err *e)
{
	int r;

	x->waiter = call_later(c, e);
	if (!x->waiter) {
		free(x);
		return -EBUSY;
	}
	r = service_wish_begin(c->f, &x->wish, e);
	if (r < 0) {
		waiter_end(x->waiter, NULL, e);
		free(x);
	}
	return 0;
}

static void scaled(struct front *f, struct service_wish *w, const struct err *error)
{
	struct asked *x = OWNER(w, struct asked, wish);

	if (!error)
		service_settle(f, w->service);
	waiter_end(x->waiter, error ? NULL : json_pack("{s:s}", "msg", "Scaled"), error);
	free(x);
}

static int check_replicas(struct service *s, unsigned n, struct err *e)
{
	const unsigned max = s->project->quota.service_replicas;
	const struct service_replica *r;
	unsigned others = service_project_wanted(s->project);

	LIST_FOREACH(r, &s->replicas, next)
		others -= r->replica.wanted;
	if (!max || others + n <= max)
		return 0;
	return err_set(e, ERR_LIMIT, 0,
		       "the project's services would have %u replicas, and its quota "
		       "\"service_replicas\" is %u",
		       others + n, max);
}

static int verb_scale(struct call *c, struct err *e)
{
	int64_t instances = 0;
	uint64_t memory = 0;
	struct service_row row;
	struct service_version *v;
	struct service *s;
	struct asked *x;
	bool has_memory;
	int r;

	(void)call_int(c, "instances", 1, SERVICE_INSTANCES_MAX, &instances);
	has_memory = json_strict_size(c->in, "memory", SCALE_MEMORY_MIN, LIMIT_MEMORY_MAX, &memory);
	r = call_service(c, &s, e);
	if (r < 0)
		return r;
	if (!instances && !has_memory)
		return err_set(e, ERR_INPUT, 0, "instances: must be given, or memory");
	if (s->roll || s->wish)
		return err_set(e, ERR_CONFLICT, 0,
			       "another change of %s/%s is under way: try again when it is over",
			       s->row.app, s->row.name);
	v = service_live(s);
	if (!v)
		return err_set(e, ERR_NOT_FOUND, 0, "%s/%s has no version that runs", s->row.app,
			       s->row.name);
	row = s->row;
	if (instances)
		row.instances = (uint32_t)instances;
	if (has_memory)
		row.memory = memory;
	if (has_memory && memory != s->row.memory)
		return service_call_roll(c, v, &row, e);
	r = check_replicas(s, row.instances, e);
	if (r < 0)
		return r;
	x = calloc(1, sizeof(*x));
	if (!x)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot scale the service");
	x->wish = (struct service_wish){.service = s, .row = row, .done = scaled};
	return begin_asked(c, x, e);
}

/* The service goes, and its folder with it: what is half made among the packages a child takes away. */
static void service_data_remove(struct front *f, const struct service *s)
{
	char left[PROJECT_ID_LEN + sizeof(PACKAGE_TMP)];

	if (f->cfg.data_dirfd <= 0)
		return;
	(void)snprintf(left, sizeof(left), PACKAGE_TMP "%s", s->row.id);
	(void)renameat(f->cfg.data_dirfd, s->row.id, f->cfg.packages_dirfd, left);
	package_prune(f);
}

static void removed(struct front *f, struct service_wish *w, const struct err *error)
{
	struct asked *x = OWNER(w, struct asked, wish);
	struct service *s = w->service;

	if (!error) {
		struct project *p = s->project;
		struct service_replica *r;

		service_edge_gone(f, s);
		service_data_remove(f, s);
		/* Their ends find no replica here any more, and change nothing. */
		LIST_FOREACH(r, &s->replicas, next) {
			struct task *t = *r->run ? registry_find(f, r->run) : NULL;

			if (t)
				(void)flow_cancel(f, t, false);
		}
		service_free(f, s);
		service_packages_count(p);
	}
	waiter_end(x->waiter, error ? NULL : json_pack("{s:s}", "msg", "Deleted"), error);
	free(x);
}

int service_call_rm(struct call *c, struct service *s, struct err *e)
{
	struct asked *x;

	if (s->roll || s->wish)
		return err_set(e, ERR_CONFLICT, 0, "a change of %s/%s is under way", s->row.app,
			       s->row.name);
	x = calloc(1, sizeof(*x));
	if (!x)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot remove the service");
	x->wish =
		(struct service_wish){.service = s, .row = s->row, .remove = true, .done = removed};
	return begin_asked(c, x, e);
}

/* A command in the surroundings of the service, or its folder ~/data by the socket that comes along. Who
 * asks follows its log, as that of any task. */
static int verb_service_run(struct call *c, struct err *e)
{
	static const char *const words[] = {"run", "export", "import", NULL};
	const char *what = call_string(c, "do", 16);
	json_t *argv = call_get(c, "argv"), *item;
	char run[TASK_ID_LEN + 1];
	struct service_version *v;
	struct service *s;
	bool known = false;
	json_t *begin;
	size_t i;
	int r;

	for (i = 0; what && words[i]; i++)
		known |= strcmp(what, words[i]) == 0;
	if (!known)
		(void)json_strict_fail(c->in, "do", "must be run, export or import");
	if (known && strcmp(what, "run") == 0 &&
	    (!json_is_array(argv) || json_array_size(argv) == 0 ||
	     json_array_size(argv) > RUN_WORDS_MAX))
		(void)json_strict_fail(c->in, "argv", "must be a list of 1 to %u texts",
				       RUN_WORDS_MAX);
	json_array_foreach(argv, i, item) if (!json_is_string(item))(void)
		json_strict_fail(c->in, "argv", "must be a list of texts");
	r = call_service(c, &s, e);
	if (r == 0)
		r = may_begin(c, e);
	if (r == 0 && c->n_fds > 0)
		r = call_check_socket(c, 0, "input", e);
	if (r < 0)
		return r;
	v = service_live(s);
	if (!v)
		return err_set(e, ERR_NOT_FOUND, 0, "%s/%s has no version that runs", s->row.app,
			       s->row.name);
	r = service_version_open(v, e);
	if (r < 0)
		return r;
	begin = json_pack("{s:s, s:O*}", "do", what, "argv", argv);
	if (!begin)
		return err_set(e, ERR_SYSTEM, ENOMEM, "run");
	r = service_once_begin(c->f, v, begin, c->n_fds > 0 ? TAKE_FD(c->fds[0]) : -1, run, e);
	if (r == 0)
		call_reply(c, json_pack("{s:s}", "id", run));
	return r;
}

static int verb_service_rm(struct call *c, struct err *e)
{
	struct service *s;
	int r = call_service(c, &s, e);

	return r < 0 ? r : service_call_rm(c, s, e);
}

/* Variables of an app. */

static int add_variable(void *arg, struct service_env_row *row)
{
	return json_object_set_new(arg, row->name, json_string(row->value)) < 0 ? -ENOMEM : 0;
}

static json_t *env_of(struct front *f, const char *project, const char *app, struct err *e)
{
	json_t *o = json_object();

	if (store_service_env(f->store, project, app, add_variable, o, e) < 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

json_t *service_app_env(struct front *f, const struct project *p, const char *app, struct err *e)
{
	return env_of(f, p->id, app, e);
}

json_t *service_env(struct front *f, const struct service *s)
{
	struct err e = {0};

	return env_of(f, s->project->id, s->row.app, &e);
}

static const char *read_app(struct call *c)
{
	const char *app = call_string(c, "app", SERVICE_APP_MAX);

	if (!app || !service_is_app(app))
		(void)json_strict_fail(c->in, "app", "must be given: an app's name");
	return app;
}

static int verb_env(struct call *c, struct err *e)
{
	const char *app = read_app(c);
	json_t *o;
	int r;

	call_project(c);
	r = call_end(c, e);
	if (r < 0)
		return r;
	o = env_of(c->f, c->project->id, app, e);
	if (!o)
		return -EIO;
	call_reply(c, json_pack("{s:o}", "variables", o));
	return 0;
}

struct env_change {
	struct change change;
	struct waiter *waiter;
	char project[PROJECT_ID_LEN + 1], app[SERVICE_APP_MAX + 1];
	json_t *variables; /* owned: texts, or null for one that goes */
};

static int env_write(struct front *f, struct change *c, struct err *e)
{
	struct env_change *x = OWNER(c, struct env_change, change);
	const char *name;
	json_t *value;
	int r = 0;

	json_object_foreach(x->variables, name, value)
	{
		struct service_env_row row = {.value = (char *)json_string_value(value)};

		memcpy(row.project, x->project, sizeof(row.project));
		memcpy(row.app, x->app, sizeof(row.app));
		(void)snprintf(row.name, sizeof(row.name), "%s", name);
		if (r == 0)
			r = row.value ? store_service_env_put(f->store, &row, e)
				      : store_service_env_delete(f->store, row.project, row.app,
								 row.name, e);
	}
	return r;
}

static void env_adopt(struct front *f, struct change *c, bool durable)
{
	struct project *p = project_by_id(f, OWNER(c, struct env_change, change)->project);

	(void)durable;
	if (p)
		p->n_coming--;
}

/* All services of the app get replicas with the new ones. */
static void env_done(struct front *f, struct change *c, const struct err *error)
{
	struct env_change *x = OWNER(c, struct env_change, change);
	struct project *p = project_by_id(f, x->project);
	json_t *rolling = json_array(), *failed = json_array();
	struct service *s;

	if (!error && p)
		LIST_FOREACH(s, &p->service->services, next) {
			struct service_ask ask = SERVICE_ASK_NONE;
			struct service_version *v = service_live(s);
			struct err e = {0};

			if (strcmp(s->row.app, x->app) != 0 || !v)
				continue;
			if (service_roll_begin(f, v, &ask, NULL, &e) == 0)
				json_array_append_new(rolling, json_string(s->row.name));
			else
				json_array_append_new(failed, json_string(e.msg));
		}
	waiter_end(x->waiter,
		   error ? NULL : json_pack("{s:O, s:O}", "rolling", rolling, "warnings", failed),
		   error);
	json_decref(rolling);
	json_decref(failed);
	json_decref(x->variables);
	free(x);
}

static void check_variables(struct call *c, json_t *all)
{
	const char *name;
	json_t *value;

	if (!json_is_object(all) || json_object_size(all) == 0 ||
	    json_object_size(all) > SERVICE_ENV_MAX) {
		(void)json_strict_fail(c->in, "variables",
				       "must be an object of 1 to %d texts, or null for those that "
				       "go",
				       SERVICE_ENV_MAX);
		return;
	}
	json_object_foreach(all, name, value)
	{
		if (!service_is_variable(name))
			(void)json_strict_fail(c->in, "variables",
					       "%.60s: must be a name of letters, digits and '_', "
					       "which does not begin with DOTCLOUD_",
					       name);
		else if (!json_is_null(value) &&
			 (!json_is_string(value) ||
			  json_string_length(value) > SERVICE_ENV_TEXT_MAX ||
			  strlen(json_string_value(value)) != json_string_length(value)))
			(void)json_strict_fail(c->in, "variables",
					       "%.60s: must be a text of at most %u bytes, or null",
					       name, SERVICE_ENV_TEXT_MAX);
	}
}

/* Answers when they are durable; all services of the app get replicas with them. */
static int change_env(struct call *c, const char *app, json_t *variables, struct err *e)
{
	struct env_change *x;
	const char *name;
	json_t *has, *value;
	size_t n;

	has = env_of(c->f, c->project->id, app, e);
	if (!has)
		return -EIO;
	json_object_foreach(variables, name, value)(void) json_object_set(has, name, value);
	n = json_object_size(has);
	json_decref(has);
	if (n > SERVICE_ENV_MAX)
		return err_set(e, ERR_LIMIT, 0, "an app has at most %d variables", SERVICE_ENV_MAX);
	x = calloc(1, sizeof(*x));
	if (!x)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot set variables");
	x->waiter = call_later(c, e);
	if (!x->waiter) {
		free(x);
		return -EBUSY;
	}
	memcpy(x->project, c->project->id, sizeof(x->project));
	(void)snprintf(x->app, sizeof(x->app), "%s", app);
	x->variables = json_incref(variables);
	x->change = (struct change){.write = env_write, .adopt = env_adopt, .done = env_done};
	c->project->n_coming++;
	change_mark(c->f, &x->change, turn_holder(c->project), 0);
	return 0;
}

static int verb_env_set(struct call *c, struct err *e)
{
	json_t *variables = call_get(c, "variables");
	const char *app = read_app(c);
	int r;

	check_variables(c, variables);
	call_project(c);
	r = call_end(c, e);
	if (r == 0)
		r = may_begin(c, e);
	if (r < 0)
		return r;
	return change_env(c, app, variables, e);
}

/* A database that runs elsewhere: the app gets the variables by which it finds it, which no tenant sets
 * himself. Without a URL they go. */
static int verb_attach(struct call *c, struct err *e)
{
	const char *app = read_app(c);
	const char *name = call_string(c, "name", SERVICE_NAME_MAX);
	const char *kind = call_string(c, "kind", SERVICE_NAME_MAX);
	const char *url = call_string(c, "url", ATTACH_URL_MAX);
	json_t *variables = NULL;
	int r;

	if (!name || !service_is_name(name))
		(void)json_strict_fail(c->in, "name", "must be given: 1 to 16 of a-z, 0-9 and '_'");
	if (!kind || !attach_kind(kind))
		(void)json_strict_fail(c->in, "kind",
				       "must be postgresql, postgis, mysql, redis, mongodb, "
				       "rabbitmq, solr or smtp");
	call_project(c);
	r = call_end(c, e);
	if (r == 0)
		r = may_begin(c, e);
	if (r == 0 && url)
		r = attach_variables(name, kind, url, &variables, e);
	if (r < 0)
		return r;
	if (!url)
		variables = attach_nothing(name, kind);
	r = variables ? change_env(c, app, variables, e)
		      : err_set(e, ERR_SYSTEM, ENOMEM, "variables");
	json_decref(variables);
	return r;
}

/* clang-format off */
const struct verb service_verbs[] = {
	{"service_put", NULL, NULL, WHO_OPERATOR, verb_put, .fds_max = 2},
	{"service_push", NULL, NULL, WHO_OPERATOR, verb_push, .fds_max = 3},
	{"service_run", NULL, NULL, WHO_OPERATOR, verb_service_run, .fds_max = 1},
	{"service_ls", "GET", SERVICE_PATH, WHO_PROJECT, verb_ls},
	{"service_info", "GET", ONE, WHO_PROJECT, verb_info},
	{"service_revisions", "GET", ONE "/revisions", WHO_PROJECT, verb_revisions},
	{"service_deploy", "POST", ONE "/deploy", WHO_PROJECT, verb_deploy, .fds_max = 1, .body = ""},
	{"service_restart", "POST", ONE "/restart", WHO_PROJECT, verb_restart, .fds_max = 1,
	 .body = ""},
	{"service_scale", "POST", ONE "/scale", WHO_PROJECT, verb_scale, .fds_max = 1, .body = ""},
	{"service_rm", "DELETE", ONE, WHO_PROJECT, verb_service_rm},
	{"service_env", "GET", "/api/projects/{project}/apps/{app}/variables", WHO_PROJECT, verb_env},
	{"service_env_set", "POST", "/api/projects/{project}/apps/{app}/variables", WHO_PROJECT,
	 verb_env_set, .body = ""},
	{"service_attach", NULL, NULL, WHO_OPERATOR, verb_attach},
	{0},
};
/* clang-format on */
