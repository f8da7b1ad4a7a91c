// SPDX-License-Identifier: Apache-2.0
/* Codes: list, show, remove, revisions, download, pause. */
#include <stdio.h>
#include <string.h>

#include "supervisor/front/api/iron/list.h"
#include "supervisor/front/core/package/package.h"

/* By their place in the list, which may be another one in the next turn, as with two pages. */
static int some_codes(struct iron_list *l, struct project *p, struct err *e)
{
	const size_t began = iron_list_bytes(l);
	const struct code *c = p->codes;

	(void)e;
	for (unsigned i = 0; c && i < l->at; i++)
		c = c->next;
	for (; c && l->n < l->page.limit && !iron_list_is_full(l, began); c = c->next, l->at++)
		iron_list_add(l, iron_code_json(l->f, c));
	return c && l->n < l->page.limit;
}

int iron_codes(struct http_request *r, struct err *e)
{
	return iron_list_page(r, "codes", some_codes, e);
}

int iron_code_get(struct http_request *r, struct err *e)
{
	struct code *c = NULL;
	int res = iron_code(r, &c, e);

	if (res == 0)
		http_json(r, 200, iron_code_json(r->f, c));
	return res;
}

/* Of many tasks, in slices: said when all of it is durable. */
static void say(struct iron_later *later, const char *what, const struct err *error)
{
	struct http_request *r = iron_later_take(later);

	if (r && error)
		iron_fail(r, error);
	else if (r)
		iron_message(r, what);
}

static void say_deleted(void *arg, uint64_t n, const struct err *error)
{
	(void)n;
	say(arg, "Deleted", error);
}

static void say_cancelled(void *arg, uint64_t n, const struct err *error)
{
	(void)n;
	say(arg, "Cancelled", error);
}

typedef int (*code_work_fn)(struct front *f, struct code *c, code_done_fn done, void *arg,
			    struct err *e);

static int begin_work(struct http_request *r, code_work_fn fn, code_done_fn done, struct err *e)
{
	struct iron_later *later;
	struct code *c = NULL;
	int res = iron_code(r, &c, e);

	if (res < 0)
		return res;
	later = iron_later_new(r, NULL, e);
	if (!later)
		return -ENOMEM;
	res = fn(r->f, c, done, later, e);
	if (res < 0)
		(void)iron_later_take(later);
	else
		iron_later_wait(later);
	return res;
}

int iron_code_delete(struct http_request *r, struct err *e)
{
	return begin_work(r, code_remove, say_deleted, e);
}

struct revision_page {
	const struct code *code;
	struct iron_page page;
	unsigned i;
	json_t *list;
};

static int add_revision(void *arg, const struct code_revision *rev)
{
	struct revision_page *l = arg;

	if (l->i++ >= l->page.skip)
		(void)json_array_append_new(l->list, iron_revision_json(l->code, rev));
	return json_array_size(l->list) < l->page.limit ? 0 : 1;
}

int iron_code_revisions(struct http_request *r, struct err *e)
{
	struct revision_page l = {0};
	struct code *c = NULL;
	int res = iron_code(r, &c, e);

	if (res == 0)
		res = iron_page(r, &l.page, e);
	if (res < 0)
		return res;
	l.code = c;
	l.list = json_array();
	res = code_revisions(r->f, c, add_revision, &l, e);
	if (res < 0) {
		json_decref(l.list);
		return res;
	}
	http_json(r, 200, json_pack("{s:o}", "revisions", l.list));
	return 0;
}

int iron_code_download(struct http_request *r, struct err *e)
{
	char name[CODE_NAME_MAX + 32];
	struct code_revision rev = {0};
	struct code *c = NULL;
	uint64_t n = 0;
	int fd, res;

	res = iron_code(r, &c, e);
	if (res == 0)
		res = iron_number(r, "revision", 1, UINT32_MAX, &n, e);
	if (res == 0)
		res = code_revision_get(r->f, c, (uint32_t)n, &rev, e);
	if (res < 0)
		return res;
	if (!rev.has_package)
		return err_set(e, ERR_NOT_FOUND, 0, "revision %u was uploaded without a file",
			       rev.revision);
	fd = package_open_zip(r->f, rev.zip);
	if (fd < 0)
		return err_set(e, ERR_SYSTEM, -fd, "the zip of revision %u cannot be read",
			       rev.revision);
	(void)snprintf(name, sizeof(name), "%s_%u.zip", c->spec.name, rev.revision);
	http_file(r, "application/zip", name, fd);
	return 0;
}

int iron_code_stats(struct http_request *r, struct err *e)
{
	uint64_t counts[TASK_STATE_MAX] = {0};
	struct code *c = NULL;
	json_t *o;
	int res = iron_code(r, &c, e);

	if (res == 0)
		res = code_stats(r->f, c, counts, e);
	if (res < 0)
		return res;
	o = json_object();
	for (int i = 0; i < TASK_STATE_MAX; i++)
		(void)json_object_set_new(o, task_state_name((enum task_state)i),
					  json_integer((json_int_t)counts[i]));
	http_json(r, 200, o);
	return 0;
}

static int set_paused(struct http_request *r, bool paused, const char *done, const char *already,
		      struct err *e)
{
	struct code *c = NULL;
	bool changed = false;
	int res = iron_code(r, &c, e);

	if (res == 0)
		res = code_pause(r->f, c, paused, &changed, e);
	if (res == 0)
		iron_message(r, changed ? done : already);
	return res;
}

int iron_code_pause(struct http_request *r, struct err *e)
{
	return set_paused(r, true, "Paused", "Already paused", e);
}

int iron_code_resume(struct http_request *r, struct err *e)
{
	return set_paused(r, false, "Resumed", "Already resumed", e);
}

int iron_code_cancel_all(struct http_request *r, struct err *e)
{
	return begin_work(r, queue_cancel_all, say_cancelled, e);
}
