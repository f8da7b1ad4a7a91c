// SPDX-License-Identifier: Apache-2.0
/*
 * Routes and crons that are set of a worker, whatever version of it serves: clients that know them as
 * a thing of their own set them after a deploy. A deploy whose configuration says them takes them back.
 */
#include <stdio.h>
#include <string.h>

#include "supervisor/front/web/web.h"

const struct manifest_route *web_routes(const struct web_version *v, size_t *ret_n)
{
	const struct web_triggers *t = &v->worker->triggers;
	const struct worker_manifest *m = t->what & WEB_TRIGGER_ROUTES ? &t->has : &v->manifest;

	*ret_n = m->n_routes;
	return m->routes;
}

const json_t *web_crons(const struct web_version *v)
{
	const struct web_triggers *t = &v->worker->triggers;

	return t->what & WEB_TRIGGER_CRONS ? t->has.crons : v->manifest.crons;
}

void web_triggers_clear(struct web_triggers *t)
{
	worker_manifest_clear(&t->has);
	*t = (struct web_triggers){0};
}

int web_triggers_load(struct front *f, struct web_worker *w, struct err *e)
{
	struct web_trigger_row row;
	int r = store_web_triggers(f->store, w->row.id, &row, e);

	if (r <= 0)
		return r;
	r = worker_manifest_read("the store's triggers", row.manifest, strlen(row.manifest),
				 &w->triggers.has, e);
	if (r == 0) {
		w->triggers.what = row.what;
		w->triggers.changed_ns = row.changed_ns;
	}
	web_trigger_row_clear(&row);
	return r;
}

/* Some of them that are being set. */
struct web_trigger_change {
	struct web_told told;
	struct change change;
	struct waiter *waiter;
	json_t *reply, *routes, *crons; /* owned; routes, crons: NULL where they stay as they are */
	bool sets_hidden, hidden;
	char project[PROJECT_ID_LEN + 1], name[WEB_NAME_MAX + 1], worker[PROJECT_ID_LEN + 1];
	struct web_triggers triggers; /* as they will be */
	char *text;		      /* of triggers.has */
};

static void change_free(struct web_trigger_change *x)
{
	web_triggers_clear(&x->triggers);
	json_decref(x->reply);
	json_decref(x->routes);
	json_decref(x->crons);
	free(x->text);
	free(x);
}

/* The same worker still: one of its name may be another one. */
static struct web_worker *worker_of(struct front *f, const struct web_trigger_change *x)
{
	struct project *p = project_by_id(f, x->project);
	struct web_worker *w = p ? web_worker_find(p, x->name) : NULL;

	return w && strcmp(w->row.id, x->worker) == 0 ? w : NULL;
}

static int change_write(struct front *f, struct change *c, struct err *e)
{
	struct web_trigger_change *x = OWNER(c, struct web_trigger_change, change);
	struct web_trigger_row row = {.changed_ns = x->triggers.changed_ns,
				      .what = x->triggers.what,
				      .manifest = x->text};

	if (!worker_of(f, x))
		return err_set(e, ERR_NOT_FOUND, 0, "the worker was removed");
	memcpy(row.worker, x->worker, sizeof(row.worker));
	return store_web_triggers_put(f->store, &row, e);
}

static void change_adopt(struct front *f, struct change *c, bool durable)
{
	struct web_trigger_change *x = OWNER(c, struct web_trigger_change, change);
	struct project *p = project_by_id(f, x->project);
	struct web_worker *w = worker_of(f, x);

	if (p)
		p->n_coming--;
	if (!w)
		return;
	w->coming_triggers = NULL;
	w->triggering = NULL;
	if (!durable)
		return;
	web_triggers_clear(&w->triggers);
	w->triggers = x->triggers;
	x->triggers = (struct web_triggers){0};
}

static void change_end(struct web_trigger_change *x, const struct err *error)
{
	waiter_end(x->waiter, error ? NULL : json_incref(x->reply), error);
	change_free(x);
}

static void change_told(struct front *f, struct web_told *t)
{
	(void)f;
	change_end(OWNER(t, struct web_trigger_change, told), NULL);
}

static void change_done(struct front *f, struct change *c, const struct err *error)
{
	struct web_trigger_change *x = OWNER(c, struct web_trigger_change, change);
	struct web_worker *w = worker_of(f, x);

	if (error) {
		change_end(x, error);
		return;
	}
	if (w) {
		web_edge_hosts(f);
		web_crons_switch(f, w);
	}
	if (w && x->sets_hidden) {
		web_edge_worker(f, w);
		web_edge_wait(f, &x->told, w, change_told);
	} else {
		web_edge_wait(f, &x->told, NULL, change_told);
	}
}

/* A manifest of nothing but them, so that it is held to a manifest's rules. */
static char *text_of(const struct web_worker *w, uint32_t what, const json_t *routes,
		     const json_t *crons)
{
	const char *main = "main";
	json_auto_t *doc = json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", w->row.name, "main", main,
				     "main_file", "main.py", "compatibility_date", "2026-01-01",
				     "python", "3.11");

	if (what & WEB_TRIGGER_ROUTES && json_array_size(routes))
		json_object_set(doc, "routes", (json_t *)routes);
	if (what & WEB_TRIGGER_CRONS && json_array_size(crons))
		json_object_set(doc, "crons", (json_t *)crons);
	return json_dumps(doc, JSON_COMPACT);
}

static int change_fill(struct front *f, struct web_trigger_change *x, struct web_worker *w,
		       struct err *e)
{
	const struct web_triggers *old = &w->triggers;
	uint32_t what = old->what | (x->routes ? WEB_TRIGGER_ROUTES : 0) |
			(x->crons ? WEB_TRIGGER_CRONS : 0);
	int r;

	if (x->sets_hidden)
		what = (what & ~WEB_TRIGGER_HIDDEN) | (x->hidden ? WEB_TRIGGER_HIDDEN : 0);

	if (w->going)
		return err_set(e, ERR_CONFLICT, 0, "%s is being removed", w->row.name);
	x->text = text_of(w, what, x->routes ? x->routes : json_object_get(old->has.doc, "routes"),
			  x->crons ? x->crons : json_object_get(old->has.doc, "crons"));
	if (!x->text)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot set routes or crons");
	r = worker_manifest_read("request", x->text, strlen(x->text), &x->triggers.has, e);
	if (r == 0 && x->routes)
		r = web_edge_check_routes(f, w, x->triggers.has.routes, x->triggers.has.n_routes,
					  e);
	x->triggers.what = what;
	x->triggers.changed_ns = util_realtime_ns();
	return r;
}

static void change_again(struct front *f, struct change *c, const struct err *error);

/* Clients set routes and crons at the same time: each change waits for the one before, whose outcome is
 * what it changes. */
static void change_begin(struct front *f, struct web_trigger_change *x)
{
	struct web_worker *w = worker_of(f, x);
	struct err e = {0};

	if (w && w->triggering) {
		x->change = (struct change){.done = change_again};
		change_add_with(w->triggering, &x->change);
		return;
	}
	if (!w)
		(void)err_set(&e, ERR_NOT_FOUND, 0, "the worker was removed");
	if (!w || change_fill(f, x, w, &e) < 0) {
		change_end(x, &e);
		return;
	}
	x->change =
		(struct change){.write = change_write, .adopt = change_adopt, .done = change_done};
	w->coming_triggers = &x->triggers;
	w->triggering = &x->change;
	w->project->n_coming++;
	change_mark(f, &x->change, turn_holder(w->project), strlen(x->text));
}

static void change_again(struct front *f, struct change *c, const struct err *error)
{
	(void)error;
	change_begin(f, OWNER(c, struct web_trigger_change, change));
}

/* x has what is to be set; NULL: out of memory. It is freed in any case. */
static int set(struct call *c, const struct web_worker *w, struct web_trigger_change *x,
	       struct err *e)
{
	if (!x)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot set routes or crons");
	(void)snprintf(x->project, sizeof(x->project), "%s", c->project->id);
	(void)snprintf(x->name, sizeof(x->name), "%s", w->row.name);
	memcpy(x->worker, w->row.id, sizeof(x->worker));
	x->waiter = call_later(c, e);
	if (!x->waiter) {
		change_free(x);
		return -EBUSY;
	}
	change_begin(c->f, x);
	return 0;
}

int web_triggers_set(struct call *c, struct web_worker *w, json_t *routes, json_t *crons,
		     json_t *reply, struct err *e)
{
	struct web_trigger_change *x = calloc(1, sizeof(*x));

	if (x) {
		x->reply = reply;
		x->routes = routes;
		x->crons = crons;
	} else {
		json_decref(routes);
		json_decref(crons);
		json_decref(reply);
	}
	return set(c, w, x, e);
}

int web_triggers_set_hidden(struct call *c, struct web_worker *w, bool hidden, json_t *reply,
			    struct err *e)
{
	struct web_trigger_change *x = calloc(1, sizeof(*x));

	if (x) {
		x->reply = reply;
		x->sets_hidden = true;
		x->hidden = hidden;
	} else {
		json_decref(reply);
	}
	return set(c, w, x, e);
}
