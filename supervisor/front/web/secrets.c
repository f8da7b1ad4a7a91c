// SPDX-License-Identifier: Apache-2.0
/*
 * Secrets of HTTP workers: set, listed and removed. They are given to instances alone, in the first
 * frame of the channel (instance.c). One may be set before there is a worker of the name, for its
 * first version may require it.
 */
#include <string.h>

#include "lib/text.h"
#include "supervisor/front/core/core.h"
#include "supervisor/front/web/web.h"

/* Some that are set or removed at a time; answered when no request can meet the old ones any more. */
struct secret_ask {
	struct waiter *waiter;
	json_t *reply;	  /* owned */
	unsigned n;	  /* changes that are not done */
	struct err error; /* the first one's */
};

/* One of them. */
struct web_secret_change {
	struct change change;
	struct web_told told;
	struct secret_ask *ask;
	char project[PROJECT_ID_LEN + 1], worker[WEB_NAME_MAX + 1], name[SECRET_NAME_MAX + 1];
	uint64_t changed_ns;
	uint8_t *sealed; /* owned; NULL: it is removed */
	size_t len;
};

static void change_free(struct front *f, struct web_secret_change *x)
{
	web_edge_wait_end(f, &x->told);
	free(x->sealed);
	free(x);
}

static void ask_end(struct secret_ask *ask)
{
	const bool failed = ask->error.code != ERR_NONE;

	if (failed)
		json_decref(ask->reply);
	waiter_end(ask->waiter, failed ? NULL : ask->reply, failed ? &ask->error : NULL);
	free(ask);
}

static void change_answer(struct front *f, struct web_secret_change *x, const struct err *error)
{
	struct secret_ask *ask = x->ask;

	if (error && ask->error.code == ERR_NONE)
		ask->error = *error;
	change_free(f, x);
	if (--ask->n == 0)
		ask_end(ask);
}

static void change_told(struct front *f, struct web_told *t)
{
	change_answer(f, OWNER(t, struct web_secret_change, told), NULL);
}

static int write_change(struct front *f, struct change *c, struct err *e)
{
	struct web_secret_change *x = OWNER(c, struct web_secret_change, change);
	const struct secret_row row = {.project = x->project,
				       .worker = x->worker,
				       .name = x->name,
				       .changed_ns = x->changed_ns,
				       .sealed = x->sealed,
				       .len = x->len};

	if (x->sealed)
		return store_secret_put(f->store, &row, e);
	return store_secret_delete(f->store, x->project, x->worker, x->name, x->changed_ns, e);
}

static void written(struct front *f, struct change *c, const struct err *error)
{
	struct web_secret_change *x = OWNER(c, struct web_secret_change, change);
	struct project *p = project_by_id(f, x->project);
	struct web_worker *w = p ? web_worker_find(p, x->worker) : NULL;

	if (!error && w)
		web_instances_replace(w, NULL);
	if (error || !w)
		change_answer(f, x, error);
	else
		web_edge_wait(f, &x->told, w, change_told);
}

/* Reads "name", "secret" and "project", the last of what is read. */
static int call_secret(struct call *c, const char **ret_worker, const char **ret_name,
		       struct err *e)
{
	const char *worker = call_string(c, "name", WEB_NAME_MAX);
	const char *name = ret_name ? call_string(c, "secret", SECRET_NAME_MAX) : NULL;
	int r;

	if (!worker || !worker_manifest_is_name(worker))
		(void)json_strict_fail(c->in, "name",
				       "must be a worker's name: [a-z0-9-], at most %u",
				       WEB_NAME_MAX);
	if (ret_name && !secret_is_name(name))
		(void)json_strict_fail(c->in, "secret",
				       "must be letters, digits and _, at most %u, and begin with "
				       "no digit",
				       SECRET_NAME_MAX);
	call_project(c);
	r = call_end(c, e);
	if (r == 0 && c->project->going)
		r = err_set(e, ERR_CONFLICT, 0, "project: %s is being removed", c->project->name);
	*ret_worker = worker;
	if (ret_name)
		*ret_name = name;
	return r;
}

static struct web_secret_change *change_new(struct call *c, const char *worker, const char *name,
					    const char *value, size_t len, struct err *e)
{
	struct web_secret_change *x = calloc(1, sizeof(*x));

	if (x && value) {
		x->len = len + SECRET_SEAL_BYTES;
		x->sealed = malloc(x->len);
	}
	if (!x || (value && !x->sealed)) {
		free(x);
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "cannot change a secret");
		return NULL;
	}
	(void)snprintf(x->project, sizeof(x->project), "%s", c->project->id);
	(void)snprintf(x->worker, sizeof(x->worker), "%s", worker);
	(void)snprintf(x->name, sizeof(x->name), "%s", name);
	x->changed_ns = util_realtime_ns();
	if (!value ||
	    secret_seal(c->f, x->project, x->worker, x->name, value, len, x->sealed, e) == 0)
		return x;
	change_free(c->f, x);
	return NULL;
}

static void change_begin(struct call *c, struct secret_ask *ask, struct web_secret_change *x)
{
	x->ask = ask;
	ask->n++;
	x->change = (struct change){.write = write_change, .done = written};
	change_mark(c->f, &x->change, turn_holder(c->project), x->len);
}

/* Steals the reference. NULL with *e. */
static struct secret_ask *ask_new(struct call *c, json_t *reply, struct err *e)
{
	struct secret_ask *ask = calloc(1, sizeof(*ask));

	if (!ask || !reply)
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "cannot change a secret");
	else
		ask->waiter = call_later(c, e);
	if (ask && ask->waiter) {
		ask->reply = reply;
		return ask;
	}
	json_decref(reply);
	free(ask);
	return NULL;
}

static int begin_change(struct call *c, const char *worker, const char *name, const char *value,
			size_t len, struct err *e)
{
	struct web_secret_change *x = change_new(c, worker, name, value, len, e);
	struct secret_ask *ask =
		x ? ask_new(c,
			    json_pack("{s:s, s:s}", "msg", value ? "Set" : "Removed", "name", name),
			    e)
		  : NULL;

	if (x && !ask)
		change_free(c->f, x);
	if (!ask)
		return -EBUSY;
	change_begin(c, ask, x);
	return 0;
}

int web_secrets_fit(json_t *secrets, struct err *e)
{
	const json_t *value;
	const char *name;

	json_object_foreach(secrets, name, value)
	{
		if (!secret_is_name(name))
			return err_set(e, ERR_INPUT, 0,
				       "a secret's name must be letters, digits and _, at most %u, "
				       "and begin with no digit",
				       SECRET_NAME_MAX);
		if (!json_is_null(value) &&
		    (!json_is_string(value) || json_string_length(value) > SECRET_VALUE_MAX ||
		     strlen(json_string_value(value)) != json_string_length(value)))
			return err_set(e, ERR_INPUT, 0,
				       "the secret %s must be a text of at most %u bytes", name,
				       SECRET_VALUE_MAX);
	}
	return 0;
}

int web_secrets_change(struct call *c, const char *worker, json_t *secrets, json_t *reply,
		       struct err *e)
{
	struct web_secret_change *x;
	struct secret_ask *ask;
	json_t *value;
	const char *name;
	int r = web_secrets_fit(secrets, e);

	if (r < 0 || json_object_size(secrets) == 0) {
		if (r == 0)
			call_reply(c, reply);
		else
			json_decref(reply);
		return r;
	}
	ask = ask_new(c, reply, e);
	if (!ask)
		return -EBUSY;
	/* Until all are begun it is not at its end. */
	ask->n = 1;
	json_object_foreach(secrets, name, value)
	{
		x = change_new(c, worker, name, json_string_value(value), json_string_length(value),
			       &ask->error);
		if (x)
			change_begin(c, ask, x);
	}
	if (--ask->n == 0)
		ask_end(ask);
	return 0;
}

static int verb_set(struct call *c, struct err *e)
{
	const char *worker, *name;
	json_t *value = call_get(c, "value");
	int r;

	if (!json_is_string(value) || json_string_length(value) > SECRET_VALUE_MAX ||
	    strlen(json_string_value(value)) != json_string_length(value))
		(void)json_strict_fail(c->in, "value", "must be a text of at most %u bytes",
				       SECRET_VALUE_MAX);
	r = call_secret(c, &worker, &name, e);
	if (r == 0)
		r = begin_change(c, worker, name, json_string_value(value),
				 json_string_length(value), e);
	/* The document is freed when this returns. */
	if (json_is_string(value))
		explicit_bzero((char *)json_string_value(value), json_string_length(value));
	return r;
}

static int verb_unset(struct call *c, struct err *e)
{
	const char *worker, *name;
	int r = call_secret(c, &worker, &name, e);

	return r < 0 ? r : begin_change(c, worker, name, NULL, 0, e);
}

static int list_secret(void *arg, const struct secret_row *row)
{
	return json_array_append_new(arg, json_pack("{s:s, s:I}", "name", row->name, "changed_ns",
						    (json_int_t)row->changed_ns));
}

static int verb_ls(struct call *c, struct err *e)
{
	json_auto_t *all = json_array();
	const struct web_version *v;
	struct web_worker *w;
	const char *worker;
	int r = call_secret(c, &worker, NULL, e);

	if (r < 0)
		return r;
	w = web_worker_find(c->project, worker);
	v = w ? web_version_newest(w) : NULL;
	r = store_secrets(c->f->store, c->project->id, worker, v ? v->row.id : NULL, list_secret,
			  all, e);
	if (r == 0 && json_array_size(all) == 0 && !w)
		r = err_set(e, ERR_NOT_FOUND, 0,
			    "there is no HTTP worker \"%s\" in this project, and no secret of one",
			    worker);
	if (r < 0)
		return r;
	call_reply(c, json_pack("{s:O}", "secrets", all));
	return 0;
}

void web_secrets_free(json_t *secrets)
{
	const char *name;
	json_t *text;

	json_object_foreach(secrets, name, text) if (json_is_string(text))
		explicit_bzero((char *)json_string_value(text), json_string_length(text));
	json_decref(secrets);
}

/* A null: the version has none of this name, or the worker has it no more. */
static int write_none(struct front *f, const struct secret_row *row, const char *version,
		      struct err *e)
{
	int r;

	if (version)
		return store_version_secret_put(f->store, version, row, e);
	r = store_secret_delete(f->store, row->project, row->worker, row->name, row->changed_ns, e);
	if (r != -ENOENT)
		return r;
	*e = (struct err){0};
	return 0;
}

int web_secrets_write(struct front *f, const char *project, const char *worker, const char *version,
		      const json_t *secrets, struct err *e)
{
	_cleanup_free_ uint8_t *sealed = malloc(SECRET_VALUE_MAX + SECRET_SEAL_BYTES);
	const char *name;
	json_t *text;
	int r = sealed ? 0 : err_set(e, ERR_SYSTEM, ENOMEM, "cannot set secrets");

	json_object_foreach((json_t *)secrets, name, text)
	{
		const size_t len = json_string_length(text);
		struct secret_row row = {.project = project,
					 .worker = worker,
					 .name = name,
					 .changed_ns = util_realtime_ns()};

		if (r == 0 && json_is_null(text)) {
			r = write_none(f, &row, version, e);
			continue;
		}
		row.sealed = sealed;
		row.len = len + SECRET_SEAL_BYTES;
		if (r == 0)
			r = secret_seal(f, project, worker, name, json_string_value(text), len,
					sealed, e);
		if (r == 0)
			r = version ? store_version_secret_put(f->store, version, &row, e)
				    : store_secret_put(f->store, &row, e);
	}
	return r;
}

/* Those that are set are taken out of the list of those that are required. */
static int take_out(void *arg, const struct secret_row *row)
{
	(void)json_object_del(arg, row->name);
	return 0;
}

int web_secrets_check(struct front *f, struct project *p, const struct worker_manifest *m,
		      const char *version, struct err *e)
{
	json_auto_t *missing = json_object();
	char names[256] = "", *text = NULL;
	const json_t *name;
	const char *key;
	size_t at, len = 0, n = 0;
	json_t *none;
	int r;

	json_array_foreach(m->secrets_required, at, name)
		json_object_set_new(missing, json_string_value(name), json_null());
	r = store_secrets(f->store, p->id, m->name, version, take_out, missing, e);
	if (r == 0)
		r = secrets_open(f, p->id, m->name, version, &text, &len, e);
	if (r < 0)
		return r;
	secret_text_free(text, len);
	json_object_foreach(missing, key, none) if (n < sizeof(names)) n +=
		(size_t)snprintf(names + n, sizeof(names) - n, "%s%.60s", n ? ", " : "", key);
	if (n == 0)
		return 0;
	return err_set(e, ERR_INPUT, 0,
		       "secrets_required: not set: %s: 'sandboxctl secret set %s NAME' sets one",
		       names, m->name);
}

struct hidden {
	const struct worker_manifest *manifest;
	json_t *warnings;
};

static int see_hidden(void *arg, const struct secret_row *row)
{
	const struct hidden *h = arg;
	const struct worker_manifest *m = h->manifest;

	for (size_t i = 0; i < m->n_bindings; i++)
		if (strcmp(m->bindings[i].name, row->name) == 0 &&
		    m->bindings[i].type != BINDING_SECRET_TEXT)
			return json_array_append_new(
				h->warnings,
				json_sprintf(
					"%s hides the worker's secret of that name: 'sandboxctl "
					"secret rm %s %s', or give it another name",
					row->name, m->name, row->name));
	return 0;
}

int web_secrets_warn(struct front *f, struct project *p, const struct worker_manifest *m,
		     const char *version, json_t *warnings, struct err *e)
{
	struct hidden h = {m, warnings};

	return store_secrets(f->store, p->id, m->name, version, see_hidden, &h, e);
}

/* clang-format off */
static const struct verb verbs[] = {
	{"web_secret_set", "PUT", WEB_PATH "/workers/{name}/secrets/{secret}", WHO_PROJECT, verb_set,
	 .body = ""},
	{"web_secret_ls", "GET", WEB_PATH "/workers/{name}/secrets", WHO_PROJECT, verb_ls},
	{"web_secret_rm", "DELETE", WEB_PATH "/workers/{name}/secrets/{secret}", WHO_PROJECT,
	 verb_unset},
	{0},
};
/* clang-format on */

const struct capability web_secret_capability = {.name = "web secrets", .verbs = verbs};
