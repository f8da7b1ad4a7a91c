// SPDX-License-Identifier: Apache-2.0
/* Workers, which IronWorker's API calls codes: list, show, remove, revisions, download, pause. */
#include <stdio.h>
#include <string.h>

#include "lib/json_put.h"
#include "supervisor/front/api/iron/iron.h"
#include "supervisor/front/api/list.h"
#include "supervisor/front/api/verbs.h"
#include "supervisor/front/core/package/package.h"

/* Reads "project" and "id", the last of what is read: a worker of the project. */
static int call_worker(struct call *c, struct worker **ret, struct err *e)
{
	const char *id;
	int r = call_project_and_id(c, &id, e);

	if (r < 0)
		return r;
	*ret = worker_get(c->project, id, e);
	return *ret ? 0 : -ENOENT;
}

/* By their place in the list, which may be another one in the next turn, as with two pages. */
static int some_workers(struct list *l, struct project *p, struct err *e)
{
	const size_t began = list_bytes(l);
	const struct worker *worker = p->workers;

	(void)e;
	for (unsigned i = 0; worker && i < l->at; i++)
		worker = worker->next;
	for (; worker && l->n < l->page.limit && !list_is_full(l, began);
	     worker = worker->next, l->at++)
		list_add(l, iron_code_json(l->f, worker));
	return worker && l->n < l->page.limit;
}

int verb_workers(struct call *c, struct err *e)
{
	return list_page(c, "codes", some_workers, e);
}

int verb_worker(struct call *c, struct err *e)
{
	struct worker *worker = NULL;
	int r = call_worker(c, &worker, e);

	if (r == 0)
		call_reply(c, iron_code_json(c->f, worker));
	return r;
}

static void say_deleted(void *arg, uint64_t n, const struct err *error)
{
	(void)n;
	waiter_end(arg, error ? NULL : json_pack("{s:s}", "msg", "Deleted"), error);
}

static void say_cancelled(void *arg, uint64_t n, const struct err *error)
{
	(void)n;
	waiter_end(arg, error ? NULL : json_pack("{s:s}", "msg", "Cancelled"), error);
}

typedef int (*worker_work_fn)(struct front *f, struct worker *worker, worker_done_fn done,
			      void *arg, struct err *e);

/* Of many tasks, in slices: answered when all of it is durable. */
static int begin_work(struct call *c, worker_work_fn fn, worker_done_fn done, struct err *e)
{
	struct worker *worker = NULL;
	struct waiter *w;
	int r = call_worker(c, &worker, e);

	if (r < 0)
		return r;
	w = call_later(c, e);
	if (!w)
		return -EBUSY;
	r = fn(c->f, worker, done, w, e);
	if (r < 0)
		waiter_free(w);
	return r;
}

int verb_worker_rm(struct call *c, struct err *e)
{
	return begin_work(c, worker_remove, say_deleted, e);
}

struct revision_page {
	const struct worker *worker;
	struct page page;
	unsigned i;
	json_t *list;
};

static int add_revision(void *arg, const struct worker_revision *rev)
{
	struct revision_page *l = arg;

	if (l->i++ >= l->page.skip)
		(void)json_array_append_new(l->list, iron_revision_json(l->worker, rev));
	return json_array_size(l->list) < l->page.limit ? 0 : 1;
}

int verb_worker_revisions(struct call *c, struct err *e)
{
	struct revision_page l = {0};
	struct worker *worker = NULL;
	int r;

	page_read(c, &l.page);
	r = call_worker(c, &worker, e);
	if (r < 0)
		return r;
	l.worker = worker;
	l.list = json_array();
	r = worker_revisions(c->f, worker, add_revision, &l, e);
	if (r < 0) {
		json_decref(l.list);
		return r;
	}
	call_reply(c, json_pack("{s:o}", "revisions", l.list));
	return 0;
}

int verb_worker_download(struct call *c, struct err *e)
{
	char name[WORKER_NAME_MAX + 32];
	struct worker_revision rev = {0};
	struct worker *worker = NULL;
	int64_t n = 0;
	int fd, r;

	(void)call_int(c, "revision", 1, UINT32_MAX, &n);
	r = call_worker(c, &worker, e);
	if (r < 0)
		return r;
	r = worker_revision_get(c->f, worker, (uint32_t)n, &rev, e);
	if (r < 0)
		return r;
	if (!rev.has_package)
		return err_set(e, ERR_NOT_FOUND, 0, "revision %u was uploaded without a file",
			       rev.revision);
	fd = package_open_zip(c->f, rev.zip);
	if (fd < 0)
		return err_set(e, ERR_SYSTEM, -fd, "the zip of revision %u cannot be read",
			       rev.revision);
	(void)snprintf(name, sizeof(name), "%s_%u.zip", worker->spec.name, rev.revision);
	http_file(c->http, "application/zip", name, fd);
	return 0;
}

int verb_worker_stats(struct call *c, struct err *e)
{
	uint64_t counts[TASK_STATE_MAX] = {0};
	struct worker *worker = NULL;
	json_t *o;
	int r = call_worker(c, &worker, e);

	if (r < 0)
		return r;
	r = worker_stats(c->f, worker, counts, e);
	if (r < 0)
		return r;
	o = json_object();
	for (int i = 0; i < TASK_STATE_MAX; i++)
		json_put(&o, task_state_name((enum task_state)i), json_count(counts[i]));
	call_reply(c, o);
	return 0;
}

static int set_paused(struct call *c, bool paused, const char *done, const char *already,
		      struct err *e)
{
	struct worker *worker = NULL;
	struct waiter *w;
	int r = call_worker(c, &worker, e);

	if (r < 0)
		return r;
	if (worker->paused == paused) {
		call_message(c, already);
		return 0;
	}
	w = call_later(c, e);
	if (!w)
		return -EBUSY;
	return call_when(w, worker_pause(c->f, worker, paused, e), json_pack("{s:s}", "msg", done));
}

int verb_worker_pause(struct call *c, struct err *e)
{
	return set_paused(c, true, "Paused", "Already paused", e);
}

int verb_worker_resume(struct call *c, struct err *e)
{
	return set_paused(c, false, "Resumed", "Already resumed", e);
}

int verb_worker_cancel_all(struct call *c, struct err *e)
{
	return begin_work(c, queue_cancel_all, say_cancelled, e);
}
