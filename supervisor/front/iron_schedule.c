// SPDX-License-Identifier: Apache-2.0
/* Schedules. */
#include <string.h>

#include "supervisor/front/iron_list.h"

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
	struct project *p = NULL;
	struct iron_page page = {0};
	struct iron_list *l;
	int res;

	res = iron_project(r, &p, e);
	if (res == 0)
		res = iron_page(r, &page, e);
	if (res < 0)
		return res;
	l = iron_list_new(r, "schedules", p, some_schedules, e);
	if (!l)
		return -ENOMEM;
	l->page = page;
	l->at = page.skip;
	return iron_list_answer(r, l, e);
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

/* Many are one transaction: else everybody waits while each waits for the disk. */
static int end_all(struct front *f, int res, struct err *e)
{
	if (res == 0)
		res = store_commit(f->store, e);
	if (res < 0)
		store_rollback(f->store);
	return res;
}

static void take_back(struct front *f, struct project *p, const json_t *ids)
{
	int res = store_begin(f->store, NULL);

	for (size_t i = 0; i < json_array_size(ids); i++) {
		json_t *id = json_object_get(json_array_get(ids, i), "id");
		struct schedule *made = schedule_by_id(p, json_string_value(id));

		if (made)
			(void)schedule_cancel(f, made, NULL);
	}
	(void)end_all(f, res, NULL);
}

/* All or none: those that were made go again when one cannot be. */
static int create_all(struct front *f, struct project *p, struct iron_schedules *what, json_t *ids,
		      struct err *e)
{
	int res = store_begin(f->store, e);
	struct schedule *made;

	for (size_t i = 0; i < what->n && res == 0; i++) {
		made = NULL;
		res = schedule_create(f, p, &what->specs[i], &made, e);
		if (res == 0)
			(void)json_array_append_new(ids, json_pack("{s:s}", "id", made->id));
		else if (what->n > 1)
			(void)err_wrap(e, res, "schedules[%zu]", i);
	}
	res = end_all(f, res, e);
	if (res < 0)
		take_back(f, p, ids);
	return res;
}

int iron_schedules_post(struct http_request *r, struct err *e)
{
	_cleanup_iron_schedules_ struct iron_schedules what = {0};
	struct project *p = NULL;
	json_t *ids;
	int res;

	res = iron_project(r, &p, e);
	if (res == 0)
		res = iron_schedules_parse(r->body, r->len, iron_strict(r), &what, e);
	if (res == 0)
		res = check_codes(p, &what, e);
	if (res < 0)
		return res;
	ids = json_array();
	res = create_all(r->f, p, &what, ids, e);
	if (res < 0) {
		json_decref(ids);
		return res;
	}
	http_json(r, 200, json_pack("{s:s, s:o}", "msg", "Scheduled", "schedules", ids));
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
	res = iron_schedule_change(r->body, r->len, iron_strict(r), &spec, e);
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
