// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/api/iron/list.h"

#include <string.h>

#define SLICE_BYTES (64u << 10)

static void list_free(struct iron_list *l)
{
	if (l->out)
		(void)fclose(l->out);
	free(l->text);
	free(l->code_name);
	free(l->label);
	free(l);
}

/* 1: there is more to do. */
static int list_slice(struct iron_list *l, struct err *e)
{
	struct project *p = project_by_id(l->f, l->project);

	if (!p)
		return err_set(e, ERR_NOT_FOUND, 0, "Not found: there is no such project");
	return l->some(l, p, e);
}

static void list_say(struct http_request *r, struct iron_list *l)
{
	struct err e = {0};

	(void)fputc(']', l->out);
	if (l->tell_last && l->more)
		(void)fprintf(l->out, ",\"before\":\"%s\"", l->last);
	else if (l->tell_last)
		(void)fputs(",\"before\":null", l->out);
	(void)fputc('}', l->out);
	if (fclose(l->out) == 0) {
		http_text(r, 200, "application/json", l->text, l->len);
	} else {
		(void)err_set(&e, ERR_SYSTEM, ENOMEM, "cannot list them");
		http_error(r, &e);
	}
	l->out = NULL;
}

static bool list_work(struct front *f, struct work *w)
{
	struct iron_list *l = (struct iron_list *)w;
	struct http_request *r;
	struct err e = {0};
	int res = 0;

	(void)f;
	/* The client may have left. */
	if (l->later->r)
		res = list_slice(l, &e);
	if (res > 0)
		return true;
	r = iron_later_take(l->later);
	if (r && res < 0)
		iron_fail(r, &e);
	else if (r)
		list_say(r, l);
	list_free(l);
	return false;
}

static void list_drop(struct front *f, struct work *w)
{
	struct iron_list *l = (struct iron_list *)w;
	struct http_request *r = iron_later_take(l->later);
	struct err e = {0};

	(void)f;
	(void)err_set(&e, ERR_UNAVAILABLE, 0, "sandboxd is going down");
	if (r)
		iron_fail(r, &e);
	list_free(l);
}

struct iron_list *iron_list_new(struct http_request *r, const char *name, const struct project *p,
				iron_list_fn some, struct err *e)
{
	struct iron_list *l = calloc(1, sizeof(*l));

	if (l)
		l->out = open_memstream(&l->text, &l->len);
	if (!l || !l->out) {
		free(l);
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "cannot list them");
		return NULL;
	}
	l->work = (struct work){.slice = list_work, .drop = list_drop};
	l->f = r->f;
	l->some = some;
	memcpy(l->project, p->id, sizeof(l->project));
	(void)fprintf(l->out, "{\"%s\":[", name);
	return l;
}

void iron_list_add(struct iron_list *l, json_t *item)
{
	/* As every answer in JSON. */
	char *text = json_dumps(item, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));

	json_decref(item);
	if (!text)
		return;
	if (l->n++)
		(void)fputc(',', l->out);
	(void)fputs(text, l->out);
	free(text);
}

size_t iron_list_bytes(struct iron_list *l)
{
	return (size_t)ftell(l->out);
}

bool iron_list_is_full(struct iron_list *l, size_t began)
{
	return iron_list_bytes(l) - began > SLICE_BYTES;
}

int iron_list_fail(struct iron_list *l)
{
	list_free(l);
	return -ENOMEM;
}

int iron_list_answer(struct http_request *r, struct iron_list *l, struct err *e)
{
	unsigned holder = turn_holder(r->project);
	int res = turn_is_free(l->f, holder, TURN_QUERY) ? list_slice(l, e) : 1;

	if (res == 0)
		list_say(r, l);
	if (res > 0) {
		l->later = iron_later_new(r, l, e);
		res = l->later ? 1 : -ENOMEM;
	}
	if (res <= 0) {
		list_free(l);
		return res;
	}
	iron_later_wait(l->later);
	turn_add(l->f, holder, TURN_QUERY, &l->work);
	return 0;
}

int iron_list_set_query(struct iron_list *l, const struct task_query *q, struct err *e)
{
	l->query = *q;
	l->code_name = q->code_name ? strdup(q->code_name) : NULL;
	l->label = q->label ? strdup(q->label) : NULL;
	if ((q->code_name && !l->code_name) || (q->label && !l->label))
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot list them");
	l->query.code_name = l->code_name;
	l->query.label = l->label;
	if (q->before) {
		(void)snprintf(l->before, sizeof(l->before), "%s", q->before);
		l->query.before = l->before;
	}
	return 0;
}

int iron_list_tasks(struct iron_list *l, store_task_fn add, struct err *e)
{
	int r = store_task_walk(l->f->store, &l->query, &l->walk, TURN_READ_ROWS, add, l, e);

	return r < 0 ? r : !l->walk.ended;
}

int iron_list_page(struct http_request *r, const char *name, iron_list_fn some, struct err *e)
{
	struct project *p = NULL;
	struct iron_page page = {0};
	struct iron_list *l;
	int res = iron_project(r, &p, e);

	if (res == 0)
		res = iron_page(r, &page, e);
	if (res < 0)
		return res;
	l = iron_list_new(r, name, p, some, e);
	if (!l)
		return -ENOMEM;
	l->page = page;
	l->at = page.skip;
	return iron_list_answer(r, l, e);
}
