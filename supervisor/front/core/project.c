// SPDX-License-Identifier: Apache-2.0
/* Projects: those that there are, and how they come and go. */
#include "supervisor/front/core/project.h"

#include <stdio.h>
#include <string.h>

#include "lib/json_strict.h"
#include "lib/limits.h"
#include "supervisor/front/core/core.h"
#include "supervisor/front/core/project_internal.h"
#include "supervisor/front/store/projects.h"

/* No project fills the disk before the operator has looked at it. */
#define DEFAULT_QUEUED 200000u
#define DEFAULT_PACKAGE_BYTES (4ULL << 30)
#define DEFAULT_PACKAGE_FILES 400000u
#define DEFAULT_KEPT_LOG_BYTES (1ULL << 30)

_Static_assert(PROJECTS_MAX <= OWNERS_MAX, "each slot has an id range");

struct project *project_by_id(struct front *f, const char *id)
{
	return ID_OWNER(idtable_find(&f->core->projects_by_id, id), struct project, node);
}

struct project *project_find(struct front *f, const char *id_or_name)
{
	struct project *p = project_by_id(f, id_or_name);

	/* No name looks like an id. */
	for (struct project *q = f->core->projects; !p && q; q = q->next)
		if (strcmp(q->name, id_or_name) == 0)
			p = q;
	return p;
}

/* In the order of names, in which they are listed. */
static struct project *add(struct front *f, const struct project_row *row)
{
	struct project *p = calloc(1, sizeof(*p)), **at = &f->core->projects;

	if (!p)
		return NULL;
	memcpy(p->id, row->id, sizeof(p->id));
	memcpy(p->name, row->name, sizeof(p->name));
	p->slot = row->slot;
	p->created_ns = row->created_ns;
	p->quota = row->quota;
	while (*at && strcmp((*at)->name, p->name) < 0)
		at = &(*at)->next;
	p->next = *at;
	*at = p;
	idtable_add(&f->core->projects_by_id, &p->node, p->id);
	f->core->n_projects++;
	return p;
}

/* Out of memory; the store is the caller's. */
static void drop(struct front *f, struct project *p)
{
	struct project **at = &f->core->projects;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	idtable_remove(&f->core->projects_by_id, &p->node);
	f->core->n_projects--;
	PART_WALK(f, part)
		if ((*part)->free)
			(*part)->free(p);
	while (p->tokens)
		token_drop(f, p->tokens);
	free(p);
}

static int load_project(void *arg, const struct project_row *row)
{
	struct front *f = arg;

	if (row->slot > f->core->slot_last)
		f->core->slot_last = row->slot;
	return add(f, row) ? 0 : -ENOMEM;
}

static int load_token(void *arg, const char *project_id, const struct token_row *row)
{
	struct project *p = project_by_id(arg, project_id);

	/* Of a project that is gone: it opens nothing. */
	return !p || token_add(arg, p, row) ? 0 : -ENOMEM;
}

struct quota project_quota_default(void)
{
	return (struct quota){.queued = DEFAULT_QUEUED,
			      .schedules = SCHEDULES_MAX,
			      .package_bytes = DEFAULT_PACKAGE_BYTES,
			      .package_files = DEFAULT_PACKAGE_FILES,
			      .kept_log_bytes = DEFAULT_KEPT_LOG_BYTES,
			      .policies = "default,strict"};
}

static struct project_row new_project(const char *id, const char *name, uint32_t slot)
{
	struct project_row p = {.slot = slot, .created_ns = util_realtime_ns()};

	(void)snprintf(p.id, sizeof(p.id), "%s", id);
	(void)snprintf(p.name, sizeof(p.name), "%s", name);
	p.quota = project_quota_default();
	return p;
}

/* Adds the project, and its first token if there is one, to the store. */
static int write_new(struct front *f, const struct project_row *p, const struct token_row *t,
		     struct err *e)
{
	int r = store_begin(f->store, e);

	if (r == 0)
		r = store_project_insert(f->store, p, e);
	if (r == 0 && t)
		r = store_token_insert(f->store, p->id, t, e);
	if (r == 0)
		r = store_commit(f->store, e);
	if (r < 0)
		store_rollback(f->store);
	return r;
}

int project_load(struct front *f, struct err *e)
{
	struct project_row first = new_project(PROJECT_DEFAULT_ID, PROJECT_DEFAULT_NAME, 0);
	int r = store_project_load(f->store, load_project, f, e);

	if (r == 0 && !project_by_id(f, PROJECT_DEFAULT_ID)) {
		r = write_new(f, &first, NULL, e);
		if (r == 0)
			r = load_project(f, &first);
	}
	if (r == 0)
		r = store_token_load(f->store, load_token, f, e);
	return r == -ENOMEM ? err_set(e, ERR_SYSTEM, ENOMEM, "cannot load the projects") : r;
}

void project_clear(struct front *f)
{
	while (f->core->projects)
		drop(f, f->core->projects);
}

/* The next one that is free, in turn: what is left of a project that was removed (a task that is
 * just ending, checkpoints) has its range, and is not to meet the next project. */
static uint32_t free_slot(const struct front *f)
{
	bool used[PROJECTS_MAX] = {false};
	uint32_t slot = f->core->slot_last;

	for (const struct project *p = f->core->projects; p; p = p->next)
		used[p->slot] = true;
	do
		slot = (slot + 1) % PROJECTS_MAX;
	while (used[slot]);
	return slot;
}

static int check_new(struct front *f, const char *name, struct err *e)
{
	char shown[80];

	if (!util_is_name(name))
		return err_set(e, ERR_INPUT, 0,
			       "name: \"%s\" is no project's name: use up to %d lower-case "
			       "letters, digits, '.', '_' and '-', the first a letter or a digit",
			       json_strict_escape(name, shown, sizeof(shown)), PROJECT_NAME_MAX);
	if (util_is_id(name))
		return err_set(e, ERR_INPUT, 0, "name: %s looks like an id: use another name",
			       name);
	if (project_find(f, name))
		return err_set(e, ERR_CONFLICT, 0, "there is a project %s already", name);
	if (f->core->n_projects >= PROJECTS_MAX)
		return err_set(e, ERR_LIMIT, 0,
			       "there are %u projects, and no id range for one more: remove one",
			       f->core->n_projects);
	return 0;
}

int project_create(struct front *f, const char *name, const struct quota *quota,
		   char token[TOKEN_LEN + 1], struct project **ret, struct err *e)
{
	char id[PROJECT_ID_LEN + 1];
	struct project_row row;
	struct project *p;
	struct token_row t;
	int r = check_new(f, name, e);

	if (r < 0)
		return r;
	util_new_id(id);
	row = new_project(id, name, free_slot(f));
	row.quota = *quota;
	p = add(f, &row);
	if (!p)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a project");
	r = token_new("first", false, &t, token, e);
	if (r == 0 && !token_add(f, p, &t))
		r = err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a project");
	if (r == 0)
		r = write_new(f, &row, &t, e);
	if (r < 0) {
		drop(f, p);
		return r;
	}
	f->core->slot_last = p->slot;
	*ret = p;
	return 0;
}

int project_set_quota(struct front *f, struct project *p, const struct quota *quota, struct err *e)
{
	int r = store_begin(f->store, e);

	if (r == 0)
		r = store_project_set_quota(f->store, p->id, quota, e);
	if (r == 0)
		r = store_commit(f->store, e);
	if (r < 0) {
		store_rollback(f->store);
		return r;
	}
	p->quota = *quota;
	EVENT_TELL(f, project_changed, p);
	return 0;
}

/* Its tokens open nothing any more, not after a restart either. */
static int project_goes(struct front *f, struct project *p, struct err *e)
{
	int r = p->tokens ? token_revoke_all(f, p, e) : 0;

	p->going = p->going || r == 0;
	return r;
}

struct removal {
	struct work work;
	char id[PROJECT_ID_LEN + 1];
	project_done_fn done;
	void *arg;
};

static int write_removal(struct front *f, const struct project *p, struct err *e)
{
	int r = store_begin(f->store, e);

	if (r == 0)
		r = store_project_delete(f->store, p->id, e);
	if (r == 0)
		r = store_commit(f->store, e);
	if (r < 0)
		store_rollback(f->store);
	return r;
}

/* What is there of it goes piece by piece; the project itself is the last. 1: there is more. */
static int remove_some(struct front *f, struct project *p, struct err *e)
{
	int r;

	PART_WALK(f, part) {
		r = (*part)->remove ? (*part)->remove(f, p, e) : 0;
		if (r != 0)
			return r;
	}
	r = write_removal(f, p, e);
	if (r < 0)
		return r;
	drop(f, p);
	package_prune(f);
	return 0;
}

static bool removal_slice(struct front *f, struct work *w)
{
	struct removal *removal = (struct removal *)w;
	struct project *p = project_by_id(f, removal->id);
	struct err e = {0};
	int r;

	r = p ? remove_some(f, p, &e) : err_set(&e, ERR_NOT_FOUND, 0, "there is no such project");
	if (r > 0)
		return true;
	removal->done(removal->arg, r, &e);
	free(removal);
	return false;
}

static void removal_drop(struct front *f, struct work *w)
{
	struct removal *removal = (struct removal *)w;
	struct err e = {0};

	(void)f;
	removal->done(removal->arg, err_set(&e, ERR_UNAVAILABLE, 0, "sandboxd is going down"), &e);
	free(removal);
}

int project_remove(struct front *f, struct project *p, bool force, project_done_fn done, void *arg,
		   struct err *e)
{
	struct removal *removal;
	int r;

	if (p->slot == 0)
		return err_set(e, ERR_CONFLICT, 0, "the default project cannot be removed");
	if (!force && !p->going)
		PART_WALK(f, part) {
			r = (*part)->check_idle ? (*part)->check_idle(f, p, e) : 0;
			if (r < 0)
				return r;
		}
	removal = calloc(1, sizeof(*removal));
	if (!removal)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot remove the project %s", p->name);
	r = project_goes(f, p, e);
	if (r < 0) {
		free(removal);
		return r;
	}
	*removal = (struct removal){
		.work = {.slice = removal_slice, .drop = removal_drop}, .done = done, .arg = arg};
	memcpy(removal->id, p->id, sizeof(removal->id));
	turn_add(f, turn_holder(p), TURN_WORK, &removal->work);
	return 0;
}
