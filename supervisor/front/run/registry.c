// SPDX-License-Identifier: Apache-2.0
/* The tasks in memory: those that have not ended, found by id. */
#include <stdio.h>
#include <string.h>

#include "supervisor/front/run/run.h"

#define PREFIX_MIN 4

struct task *registry_new(const char *id)
{
	struct task *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	(void)snprintf(t->rec.id, sizeof(t->rec.id), "%s", id);
	t->rec.exit_code = -1;
	t->package_fd = -1;
	t->notes_tail = &t->notes;
	return t;
}

void registry_add(struct front *f, struct task *t)
{
	idtable_add(&f->run->tasks, &t->node, t->rec.id);
}

void registry_free_task(struct front *f, struct task *t)
{
	struct err gone;

	if (t->waiters) {
		(void)err_set(&gone, ERR_NOT_FOUND, 0, "the task %s is no more", t->rec.id);
		EVENT_TELL(f, dropped, t, &gone);
	}
	while (t->notes) {
		struct task_note *note = t->notes;

		t->notes = note->next;
		free(note);
	}
	util_close_fd(&t->package_fd);
	free(t->rec.spec);
	free(t);
}

void registry_remove(struct front *f, struct task *t)
{
	idtable_remove(&f->run->tasks, &t->node);
	registry_free_task(f, t);
}

struct task *registry_find(struct front *f, const char *id)
{
	return ID_OWNER(idtable_find(&f->run->tasks, id), struct task, node);
}

void registry_each(struct front *f, void (*fn)(struct front *f, struct task *t, void *arg),
		   void *arg)
{
	const struct idtable *tasks = &f->run->tasks;
	struct idnode *next;

	/* fn may remove the task that it is given. */
	for (struct idnode *node = idtable_next(tasks, NULL); node; node = next) {
		next = idtable_next(tasks, node);
		fn(f, ID_OWNER(node, struct task, node), arg);
	}
}

struct prefix_search {
	const char *prefix;
	size_t len;
	const struct task *found;
	unsigned n;
};

static void match_prefix(struct front *f, struct task *t, void *arg)
{
	struct prefix_search *s = arg;

	(void)f;
	if (strncmp(t->rec.id, s->prefix, s->len) == 0) {
		s->found = t;
		s->n++;
	}
}

int registry_resolve(struct front *f, const char *prefix, char ret[TASK_ID_LEN + 1], struct err *e)
{
	struct prefix_search s = {.prefix = prefix, .len = strlen(prefix)};
	char stored[TASK_ID_LEN + 1];
	int r;

	if (s.len < PREFIX_MIN || s.len > TASK_ID_LEN ||
	    strspn(prefix, "0123456789abcdef") != s.len)
		return err_set(e, ERR_INPUT, 0,
			       "id: must be a task's id, or %d characters of its beginning or more",
			       PREFIX_MIN);
	if (s.len == TASK_ID_LEN) {
		memcpy(ret, prefix, TASK_ID_LEN + 1);
		return 0;
	}
	registry_each(f, match_prefix, &s);
	r = store_task_find(f->store, prefix, stored, e);
	if (r == -EEXIST || (r < 0 && e->code != ERR_NOT_FOUND))
		return r;
	if (s.n > 1 || (s.n == 1 && r == 0 && strcmp(s.found->rec.id, stored) != 0))
		return err_set(e, ERR_CONFLICT, 0,
			       "several tasks start with %s: give more of the id", prefix);
	if (s.n == 0 && r < 0)
		return r;
	memcpy(ret, s.n ? s.found->rec.id : stored, TASK_ID_LEN + 1);
	return 0;
}
