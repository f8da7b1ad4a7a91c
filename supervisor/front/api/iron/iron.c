// SPDX-License-Identifier: Apache-2.0
/*
 * The table of /2, IronWorker's API as its clients know it: what it has alone, which is how a task
 * and a project look to them. All else is what /api has, read leniently.
 */
#include "supervisor/front/api/iron/iron.h"

#include <fcntl.h>
#include <string.h>

#include "lib/dir.h"
#include "supervisor/front/api/list.h"
#include "supervisor/front/api/verbs.h"

static int add_task(void *arg, struct task_record *rec)
{
	struct list *l = arg;
	const struct task *t = registry_find(l->f, rec->id);

	/* Memory knows the latest. */
	list_add(l, iron_task_json(l->f, t ? &t->rec : rec, false));
	return 0;
}

static int some_tasks(struct list *l, struct project *p, struct err *e)
{
	l->query.project = p->id;
	return list_tasks(l, add_task, e);
}

/* What is neither "1" nor "true" says no. */
static bool is_wanted(struct call *c, const char *key)
{
	const char *text = call_string(c, key, HTTP_BODY_SHORT);

	return text && (strcmp(text, "1") == 0 || strcmp(text, "true") == 0);
}

static int tasks(struct call *c, struct err *e)
{
	int64_t from = 0, to = 0;
	struct page page = {0};
	struct task_query q = {0};
	struct list *l;
	int r;

	/* The client for Go asks for all workers by an empty name. */
	q.code_name = call_note(c, "code_name", HTTP_BODY_SHORT);
	if (q.code_name && !*q.code_name)
		q.code_name = NULL;
	q.label = call_string(c, "label", HTTP_BODY_SHORT);
	for (unsigned i = 0; i < TASK_STATE_MAX; i++)
		if (is_wanted(c, task_state_name((enum task_state)i)))
			q.states |= 1u << i;
	page_read(c, &page);
	(void)call_int(c, "from_time", 0, INT32_MAX * 4LL, &from);
	(void)call_int(c, "to_time", 0, INT32_MAX * 4LL, &to);
	r = call_end_project(c, e);
	if (r < 0)
		return r;
	q.from_ns = (uint64_t)from * SEC;
	q.to_ns = (uint64_t)to * SEC;
	q.skip = page.skip;
	q.limit = page.limit;
	l = list_new(c, "tasks", c->project, some_tasks, e);
	if (!l)
		return -ENOMEM;
	return list_set_query(l, &q, e) < 0 ? list_fail(l) : list_answer(c, l, e);
}

static int task(struct call *c, struct err *e)
{
	struct task_record rec = {0};
	int r = call_record(c, &rec, e);

	if (r == 0)
		call_reply(c, iron_task_json(c->f, &rec, true));
	task_record_clear(&rec);
	return r;
}

static int project(struct call *c, struct err *e)
{
	int r = call_end_project(c, e);

	if (r == 0)
		call_reply(c,
			   json_pack("{s:s, s:s}", "id", c->project->id, "name", c->project->name));
	return r;
}

/* IronWorker's stacks are our images, by the alphabet: what a worker of the token's project may name
 * as "stack" or "image". */
static int stacks(struct call *c, struct err *e)
{
	_cleanup_fd_ int fd =
		openat(c->f->cfg.state_dirfd, "images/by-name", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_names_ struct dir_names names = {0};
	json_t *list = json_array();

	(void)e;
	if (fd >= 0)
		(void)dir_names_read(fd, SIZE_MAX, &names);
	for (size_t i = 0; i < names.n; i++)
		if (util_is_name(names.names[i]) &&
		    (c->is_operator ||
		     project_may_name(c->project, NULL, names.names[i], NULL) == 0))
			(void)json_array_append_new(list, json_string(names.names[i]));
	call_reply(c, list);
	return 0;
}

#define P "/2/projects/{project}"
/* clang-format off */
static const struct verb verbs_iron[] = {
	VERBS_OF_A_PROJECT(P),
	{NULL, "POST", P "/tasks/{id}/cancel", WHO_PROJECT, verb_cancel},
	{NULL, "GET", P, WHO_PROJECT, project},
	{NULL, "GET", P "/tasks", WHO_PROJECT, tasks},
	{NULL, "GET", P "/tasks/{id}", WHO_PROJECT, task},
	{NULL, "GET", "/2/stacks", WHO_TOKEN, stacks},
	{0},
};
/* clang-format on */
const struct capability iron_capability = {.name = "iron", .verbs = verbs_iron};
