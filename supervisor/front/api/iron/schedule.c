// SPDX-License-Identifier: Apache-2.0
/* Schedules. */
#include <string.h>

#include "supervisor/front/api/iron/list.h"

/* Schedules that are made in one turn: a zone's file is read for each. */
#define MAKE_MAX 10u

/* By their place in the list, which may be another one in the next turn, as with two pages. */
static int some_schedules(struct iron_list *l, struct project *p, struct err *e)
{
	const size_t began = iron_list_bytes(l);
	const struct schedule *s = p->schedules;

	(void)e;
	for (unsigned i = 0; s && i < l->at; i++)
		s = s->next;
	for (; s && l->n < l->page.limit && !iron_list_is_full(l, began); s = s->next, l->at++)
		iron_list_add(l, iron_schedule_json(s));
	return s && l->n < l->page.limit;
}

int iron_schedules(struct http_request *r, struct err *e)
{
	return iron_list_page(r, "schedules", some_schedules, e);
}

static int check_codes(struct project *p, const struct iron_schedules *what, struct err *e)
{
	char shown[CODE_NAME_MAX * 4 + 1];

	for (size_t i = 0; i < what->n; i++)
		if (!code_by_name(p, what->specs[i].code_name))
			return err_set(
				e, ERR_NOT_FOUND, 0,
				"request: schedules[%zu].code_name: there is no code \"%s\": "
				"upload it first",
				i,
				json_strict_escape(what->specs[i].code_name, shown, sizeof(shown)));
	return 0;
}

/* Schedules of one request: made some a turn, and then written in one transaction, all or none. */
struct posted {
	struct work work;
	struct front *f;
	struct iron_later *later;
	char project[PROJECT_ID_LEN + 1];
	struct iron_schedules what;
	size_t n; /* made */
	struct schedule *made[];
};

static void posted_free(struct posted *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->made[i])
			schedule_free(b->made[i]);
	iron_schedules_clear(&b->what);
	free(b);
}

/* 1: there are more. */
static int make_some(struct posted *b, struct err *e)
{
	struct project *p = project_by_id(b->f, b->project);
	int res = 0;

	if (!p)
		return err_set(e, ERR_NOT_FOUND, 0, "Not found: there is no such project");
	for (unsigned i = 0; res == 0 && b->n < b->what.n && i < MAKE_MAX; i++) {
		res = schedule_make(b->f, p, &b->what.specs[b->n], &b->made[b->n], e);
		if (res < 0 && b->what.n > 1)
			(void)err_wrap(e, res, "schedules[%zu]", b->n);
		b->n += res == 0;
	}
	return res < 0 ? res : b->n < b->what.n;
}

/* Those that have ended and are too many, in a transaction of their own. */
static void trim(struct front *f, struct project *p)
{
	if (store_begin(f->store, NULL) < 0)
		return;
	schedule_trim(p);
	if (store_commit(f->store, NULL) < 0)
		store_rollback(f->store);
}

static int add_all(struct posted *b, json_t *ids, struct err *e)
{
	int res = store_begin(b->f->store, e);
	struct project *p = b->made[0]->project;
	size_t n = 0;

	for (; res == 0 && n < b->n; n += res == 0) {
		res = schedule_add(b->f, b->made[n], e);
		if (res < 0 && b->n > 1)
			(void)err_wrap(e, res, "schedules[%zu]", n);
		else
			(void)json_array_append_new(ids, json_pack("{s:s}", "id", b->made[n]->id));
	}
	if (res == 0)
		res = store_commit(b->f->store, e);
	if (res < 0)
		store_rollback(b->f->store);
	for (size_t i = 0; i < n; i++) {
		if (res < 0)
			schedule_take_back(b->made[i]);
		else
			b->made[i] = NULL; /* its project's */
	}
	if (res == 0)
		trim(b->f, p);
	return res;
}

/* All are made, or one cannot be. */
static void posted_end(struct posted *b, int res, struct err *e)
{
	json_t *ids = json_array();
	struct http_request *r;

	if (res == 0)
		res = add_all(b, ids, e);
	r = iron_later_take(b->later);
	if (r && res < 0)
		iron_fail(r, e);
	else if (r)
		http_json(r, 200, json_pack("{s:s, s:O}", "msg", "Scheduled", "schedules", ids));
	json_decref(ids);
	posted_free(b);
}

static bool posted_slice(struct front *f, struct work *w)
{
	struct posted *b = (struct posted *)w;
	struct err e = {0};
	int res = make_some(b, &e);

	(void)f;
	if (res > 0)
		return true;
	posted_end(b, res, &e);
	return false;
}

static void posted_drop(struct front *f, struct work *w)
{
	struct err e = {0};

	(void)f;
	posted_end((struct posted *)w, err_set(&e, ERR_UNAVAILABLE, 0, "sandboxd is going down"),
		   &e);
}

int iron_schedules_post(struct http_request *r, struct err *e)
{
	struct iron_schedules *what = r->read;
	struct project *p = NULL;
	struct posted *b;
	int res;

	res = iron_project(r, &p, e);
	if (res == 0)
		res = check_codes(p, what, e);
	/* Before any is made; it is asked again when they are added. */
	if (res == 0)
		res = schedule_check_room(p, what->n, e);
	if (res < 0)
		return res;
	b = calloc(1, sizeof(*b) + what->n * sizeof(struct schedule *));
	if (!b)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make schedules");
	b->later = iron_later_new(r, b, e);
	if (!b->later) {
		free(b);
		return -ENOMEM;
	}
	b->work = (struct work){.slice = posted_slice, .drop = posted_drop};
	b->f = r->f;
	memcpy(b->project, p->id, sizeof(b->project));
	b->what = *what;
	*what = (struct iron_schedules){0};
	iron_later_wait(b->later);
	res = make_some(b, e);
	if (res > 0)
		turn_add(b->f, turn_holder(p), TURN_CALL, &b->work);
	else
		posted_end(b, res, e);
	return 0;
}

int iron_schedule_get(struct http_request *r, struct err *e)
{
	struct schedule *s = NULL;
	int res = iron_schedule(r, &s, e);

	if (res == 0)
		http_json(r, 200, iron_schedule_json(s));
	return res;
}

int iron_schedule_put(struct http_request *r, struct err *e)
{
	struct schedule *s = NULL;
	struct schedule_spec spec;
	int res = iron_schedule(r, &s, e);

	if (res < 0)
		return res;
	spec = s->spec;
	spec.payload = s->spec.payload ? strdup(s->spec.payload) : NULL;
	res = iron_schedule_change(r->read, strlen(r->read), iron_strict(r), &spec, e);
	if (res == 0 && !code_by_name(s->project, spec.code_name))
		res = err_set(e, ERR_NOT_FOUND, 0, "request: code_name: there is no such code");
	if (res == 0)
		res = schedule_update(r->f, s, &spec, e);
	if (res < 0)
		schedule_spec_clear(&spec);
	else
		iron_message(r, "Updated");
	return res;
}

int iron_schedule_cancel(struct http_request *r, struct err *e)
{
	struct schedule *s = NULL;
	int res = iron_schedule(r, &s, e);

	if (res == 0 && s->state == SCHEDULE_SCHEDULED)
		res = schedule_cancel(r->f, s, e);
	if (res == 0)
		iron_message(r, "Cancelled");
	return res;
}
