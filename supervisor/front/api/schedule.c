// SPDX-License-Identifier: Apache-2.0
/* Schedules. */
#include <string.h>

#include "supervisor/front/api/iron/iron.h"
#include "supervisor/front/api/list.h"
#include "supervisor/front/api/verbs.h"

/* Schedules that are made in one turn: a zone's file is read for each. */
#define MAKE_MAX 10u

/* By their place in the list, which may be another one in the next turn, as with two pages. */
static int some_schedules(struct list *l, struct project *p, struct err *e)
{
	const size_t began = list_bytes(l);
	const struct schedule *s = p->schedules->first;

	(void)e;
	for (unsigned i = 0; s && i < l->at; i++)
		s = s->next;
	for (; s && l->n < l->page.limit && !list_is_full(l, began); s = s->next, l->at++)
		list_add(l, iron_schedule_json(s));
	return s && l->n < l->page.limit;
}

int verb_schedules(struct call *c, struct err *e)
{
	return list_page(c, "schedules", some_schedules, e);
}

static int check_workers(struct project *p, const struct iron_schedules *what, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < what->n; i++)
		r = worker_check_name(p, "schedules", i, what->specs[i].code_name, e);
	return r;
}

/* Schedules of one request: made some a turn, and then added, all or none. */
struct posted {
	struct work work;
	struct waiter *waiter;
	char project[PROJECT_ID_LEN + 1];
	struct iron_schedules what;
	size_t n; /* made */
	struct schedule *made[];
};

static void posted_free(struct posted *b)
{
	for (size_t i = 0; i < b->n; i++)
		schedule_free(b->made[i]);
	iron_schedules_clear(&b->what);
	free(b);
}

/* 1: there are more. */
static int make_some(struct front *f, struct posted *b, struct err *e)
{
	struct project *p = project_by_id(f, b->project);
	int res = 0;

	if (!p)
		return err_set(e, ERR_NOT_FOUND, 0, "Not found: there is no such project");
	for (unsigned i = 0; res == 0 && b->n < b->what.n && i < MAKE_MAX; i++) {
		res = schedule_make(f, p, &b->what.specs[b->n], &b->made[b->n], e);
		if (res < 0 && b->what.n > 1)
			(void)err_wrap(e, res, "schedules[%zu]", b->n);
		b->n += res == 0;
	}
	return res < 0 ? res : b->n < b->what.n;
}

/* All are made, or one cannot be (r, e). */
static void posted_end(struct front *f, struct posted *b, int r, struct err *e)
{
	struct project *p = project_by_id(f, b->project);
	json_t *ids = json_array();
	struct change *added = NULL;

	for (size_t i = 0; r == 0 && i < b->n; i++)
		(void)json_array_append_new(ids, json_pack("{s:s}", "id", b->made[i]->id));
	if (r == 0 && p)
		added = schedules_add(f, p, b->made, b->n, e);
	else if (r == 0)
		(void)err_set(e, ERR_NOT_FOUND, 0, "Not found: there is no such project");
	if (added) {
		waiter_end_when(b->waiter, added,
				json_pack("{s:s, s:O}", "msg", "Scheduled", "schedules", ids));
		b->n = 0; /* they are the project's */
	} else {
		waiter_end(b->waiter, NULL, e);
	}
	json_decref(ids);
	posted_free(b);
}

static bool posted_slice(struct front *f, struct work *w)
{
	struct posted *b = (struct posted *)w;
	struct err e = {0};
	int res = make_some(f, b, &e);

	if (res > 0)
		return true;
	posted_end(f, b, res, &e);
	return false;
}

static void posted_drop(struct front *f, struct work *w)
{
	struct err e = {0};

	posted_end(f, (struct posted *)w, turn_over(&e), &e);
}

int verb_schedules_create(struct call *c, struct err *e)
{
	struct iron_schedules *what = c->http->read;
	struct posted *b;
	int r = call_end_project(c, e);

	if (r < 0)
		return r;
	r = check_workers(c->project, what, e);
	if (r < 0)
		return r;
	/* Before any is made; it is asked again when they are added. */
	r = schedule_check_room(c->project, what->n, e);
	if (r < 0)
		return r;
	b = calloc(1, sizeof(*b) + what->n * sizeof(struct schedule *));
	if (!b)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make schedules");
	b->waiter = call_later(c, e);
	if (!b->waiter) {
		free(b);
		return -EBUSY;
	}
	b->work = (struct work){.slice = posted_slice, .drop = posted_drop};
	memcpy(b->project, c->project->id, sizeof(b->project));
	b->what = *what;
	*what = (struct iron_schedules){0};
	r = make_some(c->f, b, e);
	if (r > 0)
		turn_add(c->f, turn_holder(c->project), TURN_CALL, &b->work);
	else
		posted_end(c->f, b, r, e);
	return 0;
}

/* Reads "project" and "id", the last of what is read: a schedule of the project. */
static int call_schedule(struct call *c, struct schedule **ret, struct err *e)
{
	const char *id;
	int r = call_project_and_id(c, &id, e);

	if (r < 0)
		return r;
	*ret = schedule_get(c->project, id, e);
	return *ret ? 0 : -ENOENT;
}

/* A client's change of a schedule. It waits while the schedule is just queueing a task, or about to be
 * changed, and looks at it anew after that. */
struct schedule_wish {
	struct change change; /* while it waits */
	struct waiter *waiter;
	char project[PROJECT_ID_LEN + 1], id[PROJECT_ID_LEN + 1];
	char *text; /* to update it by, owned; NULL: it is to be cancelled */
	bool strict;
};

static struct change *update(struct front *f, struct schedule *s, const struct schedule_wish *wish,
			     struct err *e)
{
	struct schedule_spec spec = s->spec;
	struct change *change = NULL;
	int r;

	spec.payload = s->spec.payload ? strdup(s->spec.payload) : NULL;
	r = iron_schedule_change(wish->text, strlen(wish->text), wish->strict, &spec, e);
	if (r == 0 && !worker_by_name(s->project, spec.code_name))
		r = err_set(e, ERR_NOT_FOUND, 0, "request: code_name: there is no such worker");
	if (r == 0)
		change = schedule_update(f, s, &spec, e);
	schedule_spec_clear(&spec);
	return change;
}

static void wish_free(struct schedule_wish *wish)
{
	free(wish->text);
	free(wish);
}

/* The client is answered, now or later. */
static void wish_begin(struct front *f, struct schedule *s, struct schedule_wish *wish)
{
	struct change *change = NULL;
	struct err e = {0};

	if (schedule_wait(s, &wish->change))
		return;
	if (wish->text)
		change = update(f, s, wish, &e);
	else if (s->state == SCHEDULE_SCHEDULED)
		change = schedule_cancel(f, s, &e);
	else
		waiter_end(TAKE_PTR(wish->waiter), json_pack("{s:s}", "msg", "Cancelled"), NULL);
	if (change)
		waiter_end_when(wish->waiter, change,
				json_pack("{s:s}", "msg", wish->text ? "Updated" : "Cancelled"));
	else if (wish->waiter)
		waiter_end(wish->waiter, NULL, &e);
	wish_free(wish);
}

/* Whether what it waited for could be written does not matter. */
static void wish_again(struct front *f, struct change *c, const struct err *error)
{
	struct schedule_wish *wish = OWNER(c, struct schedule_wish, change);
	struct err e = {0};
	struct schedule *s = schedule_get(project_by_id(f, wish->project), wish->id, &e);

	(void)error;
	if (s) {
		wish_begin(f, s, wish);
		return;
	}
	waiter_end(wish->waiter, NULL, &e);
	wish_free(wish);
}

/* text NULL: the schedule is to be cancelled. */
static int change_schedule(struct call *c, const char *text, struct err *e)
{
	struct schedule_wish *wish;
	struct schedule *s = NULL;
	int r = call_schedule(c, &s, e);

	if (r < 0)
		return r;
	wish = calloc(1, sizeof(*wish));
	if (wish && text)
		wish->text = strdup(text);
	if (!wish || (text && !wish->text)) {
		free(wish);
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot change the schedule %s", s->id);
	}
	wish->waiter = call_later(c, e);
	if (!wish->waiter) {
		wish_free(wish);
		return -EBUSY;
	}
	wish->change = (struct change){.done = wish_again};
	memcpy(wish->project, s->project->id, sizeof(wish->project));
	memcpy(wish->id, s->id, sizeof(wish->id));
	wish->strict = !c->lenient;
	wish_begin(c->f, s, wish);
	return 0;
}

int verb_schedule(struct call *c, struct err *e)
{
	struct schedule *s = NULL;
	int r = call_schedule(c, &s, e);

	if (r == 0)
		call_reply(c, iron_schedule_json(s));
	return r;
}

int verb_schedule_update(struct call *c, struct err *e)
{
	return change_schedule(c, c->http->read, e);
}

int verb_schedule_cancel(struct call *c, struct err *e)
{
	return change_schedule(c, NULL, e);
}
