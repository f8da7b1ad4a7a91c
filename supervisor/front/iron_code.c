// SPDX-License-Identifier: Apache-2.0
/* Codes: list, show, remove, revisions, download, pause. */
#include <stdio.h>
#include <string.h>

#include "supervisor/front/iron.h"
#include "supervisor/front/package.h"

int iron_codes(struct http_request *r, struct err *e)
{
	struct project *p = NULL;
	struct iron_page page = {0};
	json_t *list;
	unsigned i = 0;
	int res;

	res = iron_project(r, &p, e);
	if (res == 0)
		res = iron_page(r, &page, e);
	if (res < 0)
		return res;
	list = json_array();
	for (const struct code *c = p->codes; c && i < page.skip + page.limit; c = c->next, i++)
		if (i >= page.skip)
			(void)json_array_append_new(list, iron_code_json(r->f, c));
	http_json(r, 200, json_pack("{s:o}", "codes", list));
	return 0;
}

int iron_code_get(struct http_request *r, struct err *e)
{
	struct code *c = NULL;
	int res = iron_code(r, &c, e);

	if (res == 0)
		http_json(r, 200, iron_code_json(r->f, c));
	return res;
}

int iron_code_delete(struct http_request *r, struct err *e)
{
	struct code *c = NULL;
	int res = iron_code(r, &c, e);

	if (res == 0)
		res = code_remove(r->f, c, e);
	if (res == 0)
		iron_message(r, "Deleted");
	return res;
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
	struct code *c = NULL;
	uint64_t n = 0;
	int res = iron_code(r, &c, e);

	if (res == 0)
		res = code_cancel_all(r->f, c, &n, e);
	if (res == 0)
		iron_message(r, "Cancelled");
	return res;
}
