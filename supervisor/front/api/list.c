// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/api/list.h"

#include <string.h>

#define SLICE_BYTES (64u << 10)

static void list_free(struct list *l)
{
	if (l->out)
		(void)fclose(l->out);
	free(l->text);
	free(l->code_name);
	free(l->label);
	free(l);
}

/* 1: there is more to do. */
static int list_slice(struct list *l, struct err *e)
{
	struct project *p = *l->project ? project_by_id(l->f, l->project) : NULL;

	if (*l->project && !p)
		return err_set(e, ERR_NOT_FOUND, 0, "Not found: there is no such project");
	return l->some(l, p, e);
}

/* Answers with what is in it. */
static void list_say(struct client *to, struct list *l)
{
	struct err e = {0};

	(void)fputc(']', l->out);
	if (l->tell_last && l->more)
		(void)fprintf(l->out, ",\"before\":\"%s\"", l->last);
	else if (l->tell_last)
		(void)fputs(",\"before\":null", l->out);
	(void)fputc('}', l->out);
	if (fclose(l->out) == 0) {
		client_reply_text(to, l->text, l->len);
	} else {
		(void)err_set(&e, ERR_SYSTEM, ENOMEM, "cannot list them");
		client_fail(to, &e);
	}
	l->out = NULL;
}

static bool list_work(struct front *f, struct work *w)
{
	struct list *l = (struct list *)w;
	struct err e = {0};
	int r = 0;

	(void)f;
	/* The client may have left. */
	if (waiter_is_there(l->waiter))
		r = list_slice(l, &e);
	if (r > 0)
		return true;
	if (r < 0)
		client_fail(&l->waiter->client, &e);
	else
		list_say(&l->waiter->client, l);
	waiter_free(l->waiter);
	list_free(l);
	return false;
}

static void list_drop(struct front *f, struct work *w)
{
	struct list *l = (struct list *)w;
	struct err e = {0};

	(void)f;
	(void)turn_over(&e);
	waiter_end(l->waiter, NULL, &e);
	list_free(l);
}

struct list *list_new(struct call *c, const char *name, const struct project *p, list_fn some,
		      struct err *e)
{
	struct list *l = calloc(1, sizeof(*l));

	if (l)
		l->out = open_memstream(&l->text, &l->len);
	if (!l || !l->out) {
		free(l);
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "cannot list them");
		return NULL;
	}
	l->work = (struct work){.slice = list_work, .drop = list_drop};
	l->f = c->f;
	l->some = some;
	if (p)
		memcpy(l->project, p->id, sizeof(l->project));
	(void)fprintf(l->out, "{\"%s\":[", name);
	return l;
}

void list_add(struct list *l, json_t *item)
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

size_t list_bytes(struct list *l)
{
	return (size_t)ftell(l->out);
}

bool list_is_full(struct list *l, size_t began)
{
	return list_bytes(l) - began > SLICE_BYTES;
}

int list_fail(struct list *l)
{
	list_free(l);
	return -ENOMEM;
}

int list_answer(struct call *c, struct list *l, struct err *e)
{
	unsigned holder = turn_holder(c->project);
	int r = turn_is_free(l->f, holder, TURN_QUERY) ? list_slice(l, e) : 1;

	if (r == 0)
		list_say(&c->client, l);
	if (r > 0) {
		l->waiter = call_later(c, e);
		r = l->waiter ? 1 : -EBUSY;
	}
	if (r <= 0) {
		list_free(l);
		return r;
	}
	turn_add(l->f, holder, TURN_QUERY, &l->work);
	return 0;
}

int list_set_query(struct list *l, const struct task_query *q, struct err *e)
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

int list_tasks(struct list *l, store_task_fn add, struct err *e)
{
	int r = store_task_walk(l->f->store, &l->query, &l->walk, TURN_READ_ROWS, add, l, e);

	return r < 0 ? r : !l->walk.ended;
}

void page_read(struct call *c, struct page *ret)
{
	int64_t page = 0, limit = PAGE_LIMIT;

	(void)call_int(c, "page", 0, PAGE_SKIP_MAX, &page);
	(void)call_int(c, "per_page", 0, UINT32_MAX, &limit);
	/* As IronWorker: less than 1 is 1, more than 100 is 100. */
	limit = limit < 1 ? 1 : limit > PAGE_LIMIT_MAX ? PAGE_LIMIT_MAX : limit;
	page *= limit;
	ret->skip = (unsigned)(page > PAGE_SKIP_MAX ? PAGE_SKIP_MAX : page);
	ret->limit = (unsigned)limit;
}

int list_page(struct call *c, const char *name, list_fn some, struct err *e)
{
	struct page page = {0};
	struct list *l;
	int r;

	page_read(c, &page);
	r = call_end_project(c, e);
	if (r < 0)
		return r;
	l = list_new(c, name, c->project, some, e);
	if (!l)
		return -ENOMEM;
	l->page = page;
	l->at = page.skip;
	return list_answer(c, l, e);
}
