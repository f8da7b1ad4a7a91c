// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/core/code.h"

#include <stdio.h>
#include <string.h>

#include "supervisor/front/core/core.h"
#include "supervisor/front/store/query.h"
#include "supervisor/front/store/workers.h"

int code_spec_copy(struct code_spec *to, const struct code_spec *from)
{
	*to = *from;
	to->config = from->config ? strdup(from->config) : NULL;
	to->env = from->env ? strdup(from->env) : NULL;
	if ((to->config || !from->config) && (to->env || !from->env))
		return 0;
	code_spec_clear(to);
	return -ENOMEM;
}

static void code_free(struct code *c)
{
	code_spec_clear(&c->spec);
	free(c);
}

/* One request may name a thousand codes, of a thousand that there are. */
static unsigned bucket(const char *text)
{
	return id_hash(text) % CODE_BUCKETS;
}

static void attach(struct project *p, struct code *c)
{
	struct code **by_id = &p->codes_by_id[bucket(c->id)];
	struct code **by_name = &p->codes_by_name[bucket(c->spec.name)];

	c->project = p;
	c->next = p->codes;
	p->codes = c;
	c->id_next = *by_id;
	*by_id = c;
	c->name_next = *by_name;
	*by_name = c;
	p->n_codes++;
}

static void detach(struct project *p, struct code *c)
{
	struct code **at = &p->codes, **by_id = &p->codes_by_id[bucket(c->id)];
	struct code **by_name = &p->codes_by_name[bucket(c->spec.name)];

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	while (*by_id != c)
		by_id = &(*by_id)->id_next;
	*by_id = c->id_next;
	while (*by_name != c)
		by_name = &(*by_name)->name_next;
	*by_name = c->name_next;
	p->n_codes--;
}

/* Takes the row's spec. */
static void adopt(struct code *c, const struct code_row *row)
{
	memcpy(c->id, row->id, sizeof(c->id));
	c->revision = row->revision;
	c->spec = row->spec;
	c->paused = row->paused;
	c->created_ns = row->created_ns;
	c->changed_ns = row->changed_ns;
}

static int load(void *arg, const char *project, struct code_row *row)
{
	struct project *p = project_by_id(arg, project);
	struct code *c;

	/* Its project went, and the rest of it with a power cut: it is nobody's. */
	if (!p) {
		code_spec_clear(&row->spec);
		return 0;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	adopt(c, row);
	attach(p, c);
	return 0;
}

/* Revisions come newest first; those in a row that have one package have it once. */
struct sum {
	uint32_t upto; /* 0: of all revisions; else of that one and those before it */
	struct package_size size;
	uint8_t newer[32];
};

static int add_size(void *arg, const struct code_revision *v)
{
	struct sum *sum = arg;
	const bool is_new = memcmp(sum->newer, v->package, 32) != 0;

	memcpy(sum->newer, v->package, 32);
	if (sum->upto && v->revision > sum->upto)
		return 0;
	if (is_new) {
		sum->size.bytes += v->package_bytes;
		sum->size.files += v->package_files;
	}
	return 0;
}

int code_load(struct front *f, struct err *e)
{
	int r = store_code_load(f->store, load, f, e);

	for (struct project *p = f->core->projects; r == 0 && p; p = p->next)
		for (const struct code *c = p->codes; r == 0 && c; c = c->next) {
			struct sum sum = {0};

			r = store_code_revisions(f->store, c->id, 0, add_size, &sum, e);
			p->package_bytes += sum.size.bytes;
			p->package_files += sum.size.files;
		}
	return r;
}

void code_free_all(struct project *p)
{
	while (p->codes) {
		struct code *c = p->codes;

		detach(p, c);
		code_free(c);
	}
}

struct code *code_by_id(struct project *p, const char *id)
{
	struct code *c = p->codes_by_id[bucket(id)];

	while (c && strcmp(c->id, id) != 0)
		c = c->id_next;
	return c;
}

struct code *code_by_name(struct project *p, const char *name)
{
	struct code *c = p->codes_by_name[bucket(name)];

	while (c && strcmp(c->spec.name, name) != 0)
		c = c->name_next;
	return c;
}

static size_t texts_of(const struct code_spec *spec)
{
	return (spec->config ? strlen(spec->config) : 0) + (spec->env ? strlen(spec->env) : 0);
}

static int check(const struct code_spec *spec, struct err *e)
{

	if (!*spec->name)
		return err_set(e, ERR_INPUT, 0, "name: must be given");
	if (!*spec->file_name && !*spec->command)
		return err_set(e, ERR_INPUT, 0, "file_name: must name the file to run");
	if (spec->retries > CODE_RETRIES_MAX)
		return err_set(e, ERR_INPUT, 0, "retries: at most %d", CODE_RETRIES_MAX);
	if (spec->retries_delay_s > CODE_RETRIES_DELAY_MAX)
		return err_set(e, ERR_INPUT, 0, "retries_delay: at most %d seconds",
			       CODE_RETRIES_DELAY_MAX);
	if (spec->max_concurrency > CODE_CONCURRENCY_MAX)
		return err_set(e, ERR_INPUT, 0, "max_concurrency: at most %d",
			       CODE_CONCURRENCY_MAX);
	if (spec->default_priority >= LANE_PRIORITIES)
		return err_set(e, ERR_INPUT, 0, "default_priority: must be 0, 1 or 2");
	if (spec->config && strlen(spec->config) > CODE_CONFIG_MAX)
		return err_set(e, ERR_INPUT, 0, "config: at most %u bytes", CODE_CONFIG_MAX);
	return 0;
}

/* What a revision more takes. */
static struct package_size size_more(const struct code *old, const struct code_spec *spec)
{
	if (old && memcmp(old->spec.package, spec->package, 32) == 0)
		return (struct package_size){0};
	return (struct package_size){spec->package_bytes, spec->package_files};
}

static struct package_size quota_of(const struct project *p)
{
	return (struct package_size){
		.bytes = p->quota.package_bytes ? p->quota.package_bytes : CODE_PACKAGES_MAX,
		.files = p->quota.package_files ? p->quota.package_files : CODE_FILES_MAX};
}

static uint64_t left_of(uint64_t max, uint64_t used, uint64_t going)
{
	uint64_t left = used < max ? max - used : 0;

	/* What is no code's any more goes in a moment: until then there may be as much of it. */
	if (used + going >= 2 * max)
		return 0;
	return left < 2 * max - used - going ? left : 2 * max - used - going;
}

void code_room(const struct project *p, struct package_size *ret)
{
	const struct package_size max = quota_of(p);

	ret->bytes = left_of(max.bytes, p->package_bytes, p->left_bytes);
	ret->files = left_of(max.files, p->package_files, p->left_files);
}

static int check_packages(const struct project *p, const struct package_size *more, struct err *e)
{
	const struct package_size max = quota_of(p);
	const unsigned long long bytes = p->package_bytes + more->bytes;
	const unsigned long long files = p->package_files + more->files;

	if (more->bytes && bytes > max.bytes)
		return err_set(e, ERR_LIMIT, 0,
			       "the project's packages would take %llu bytes, and its quota "
			       "\"package_bytes\" is %llu: remove codes that are not used",
			       bytes, (unsigned long long)max.bytes);
	if (more->files && files > max.files)
		return err_set(e, ERR_LIMIT, 0,
			       "the project's packages would have %llu files and folders, and its "
			       "quota \"package_files\" is %llu: remove codes that are not used",
			       files, (unsigned long long)max.files);
	return 0;
}

static void count_packages(struct project *p, const struct package_size *more,
			   const struct package_size *gone)
{
	p->package_bytes += more->bytes;
	p->package_bytes -= gone->bytes < p->package_bytes ? gone->bytes : p->package_bytes;
	p->package_files += more->files;
	p->package_files -= gone->files < p->package_files ? gone->files : p->package_files;
}

/* What is there of a project's codes is in memory. */
static int check_room(const struct project *p, const struct code *old, const struct code_spec *spec,
		      struct err *e)
{
	const struct package_size more = size_more(old, spec);
	size_t texts = texts_of(spec);

	for (const struct code *c = p->codes; c; c = c->next)
		texts += c == old ? 0 : texts_of(&c->spec);
	if (texts > CODE_TEXTS_MAX && texts_of(spec))
		return err_set(e, ERR_LIMIT, 0,
			       "config: with env and those of the project's other codes it would "
			       "take %zu bytes, at most %u are possible: remove codes that are not "
			       "used",
			       texts, CODE_TEXTS_MAX);
	if (!old && p->n_codes >= CODES_MAX)
		return err_set(e, ERR_LIMIT, 0,
			       "the project has %u codes, the most that are possible: remove codes "
			       "that are not used",
			       p->n_codes);
	return check_packages(p, &more, e);
}

/* What of the project's packages goes with the revision that is one too many. */
static struct package_size size_of_oldest(struct front *f, const struct code *c)
{
	struct sum sum = {.upto = c ? c->revision + 1 - CODE_REVISIONS_MAX : 0};

	if (!c || c->revision < CODE_REVISIONS_MAX ||
	    store_code_revisions(f->store, c->id, 0, add_size, &sum, NULL) < 0)
		return (struct package_size){0};
	return sum.size;
}

/* Where nothing was said of it, what was there before stays. */
static void keep_package(struct code_spec *spec, const struct code_spec *old)
{
	if (spec->has_package || !old)
		return;
	spec->has_package = old->has_package;
	memcpy(spec->package, old->package, sizeof(spec->package));
	memcpy(spec->zip, old->zip, sizeof(spec->zip));
	spec->zip_bytes = old->zip_bytes;
	spec->package_bytes = old->package_bytes;
	spec->package_files = old->package_files;
}

int code_put(struct front *f, struct project *p, struct code_spec *spec, struct code **ret,
	     struct err *e)
{
	struct code *old = code_by_name(p, spec->name);
	_cleanup_free_ struct code *fresh = NULL;
	char revision_id[PROJECT_ID_LEN + 1];
	struct code_row next = {0};
	struct package_size gone, more = size_more(old, spec);
	int r;

	r = check(spec, e);
	if (r == 0)
		r = check_room(p, old, spec, e);
	if (r == 0 && old && old->going)
		r = err_set(e, ERR_UNAVAILABLE, 0,
			    "the code %s is being removed: try again when it is gone", spec->name);
	if (r < 0)
		return r;
	keep_package(spec, old && !*spec->command ? &old->spec : NULL);
	if (!spec->has_package && !*spec->command)
		return err_set(e, ERR_INPUT, 0, "file: a zip with %s must be sent along",
			       spec->file_name);
	if (old)
		memcpy(next.id, old->id, sizeof(next.id));
	else
		util_new_id(next.id);
	next.revision = old ? old->revision + 1 : 1;
	next.paused = old && old->paused;
	next.spec = *spec;
	next.changed_ns = util_realtime_ns();
	next.created_ns = old ? old->created_ns : next.changed_ns;
	util_new_id(revision_id);
	fresh = old ? NULL : calloc(1, sizeof(*fresh));
	if (!old && !fresh)
		return err_set(e, ERR_SYSTEM, ENOMEM, "the code %s", spec->name);
	/* Its package is on disk: who unpacked it has synced it. */
	code_packages_add(f, &next.spec);
	gone = size_of_oldest(f, old);
	r = store_code_put(f->store, p->id, &next, revision_id, e);
	if (r < 0)
		return r;
	if (old) {
		code_spec_clear(&old->spec);
		adopt(old, &next);
		old->judged_turn = 0;
	} else {
		old = TAKE_PTR(fresh);
		adopt(old, &next);
		attach(p, old);
	}
	count_packages(p, &more, &gone);
	if (gone.bytes)
		package_left(f, p, &gone);
	*spec = (struct code_spec){0};
	*ret = old;
	/* What could not run by the old one may run now. */
	EVENT_TELL(f, worker_put, old);
	return 0;
}

/* Nothing of it waits any more. */
static int take_away(struct front *f, struct code *c, struct err *e)
{
	struct project *p = c->project;
	const struct package_size none = {0};
	struct sum sum = {0};
	int r;

	r = store_code_revisions(f->store, c->id, 0, add_size, &sum, e);
	if (r == 0)
		r = store_begin(f->store, e);
	if (r < 0)
		return r;
	PART_WALK(f, part)
		if (r == 0 && (*part)->delete_worker)
			r = (*part)->delete_worker(f, c, e);
	if (r == 0)
		r = store_code_delete(f->store, c->id, e);
	if (r == 0)
		r = store_commit(f->store, e);
	if (r < 0) {
		store_rollback(f->store);
		return r;
	}
	PART_WALK(f, part)
		if ((*part)->forget_worker)
			(*part)->forget_worker(f, c);
	detach(p, c);
	count_packages(p, &none, &sum.size);
	code_free(c);
	package_left(f, p, &sum.size);
	return 0;
}

int code_remove_some(struct front *f, struct code *c, uint64_t *n, struct err *e)
{
	int r = 0;

	c->going = true;
	PART_WALK(f, part)
		if (r == 0 && (*part)->remove_worker)
			r = (*part)->remove_worker(f, c, n, e);
	if (r == 0)
		r = take_away(f, c, e);
	if (r < 0)
		c->going = false;
	return r;
}

static int remove_project(struct front *f, struct project *p, struct err *e)
{
	uint64_t n_cancelled = 0;
	int r;

	if (!p->codes)
		return 0;
	r = code_remove_some(f, p->codes, &n_cancelled, e);
	return r < 0 ? r : 1;
}

const struct part code_part = {.remove = remove_project, .free = code_free_all};

/* code_remove, while it is done. */
struct removal {
	struct work work;
	char project[PROJECT_ID_LEN + 1], code[PROJECT_ID_LEN + 1];
	uint64_t n; /* cancelled tasks */
	code_done_fn done;
	void *arg;
};

static bool removal_slice(struct front *f, struct work *work)
{
	struct removal *w = (struct removal *)work;
	struct project *p = project_by_id(f, w->project);
	struct code *c = p ? code_by_id(p, w->code) : NULL;
	struct err e = {0};
	int r;

	if (!c)
		r = err_set(&e, ERR_NOT_FOUND, 0, "Not found: there is no code with this id");
	else
		r = code_remove_some(f, c, &w->n, &e);
	if (r > 0)
		return true;
	w->done(w->arg, w->n, r < 0 ? &e : NULL);
	free(w);
	return false;
}

static void removal_drop(struct front *f, struct work *work)
{
	struct removal *w = (struct removal *)work;
	struct err e = {0};

	(void)f;
	(void)err_set(&e, ERR_UNAVAILABLE, 0, "sandboxd is going down");
	w->done(w->arg, w->n, &e);
	free(w);
}

int code_remove(struct front *f, struct code *c, code_done_fn done, void *arg, struct err *e)
{
	struct removal *w = calloc(1, sizeof(*w));

	if (!w)
		return err_set(e, ERR_SYSTEM, ENOMEM, "the code %s", c->spec.name);
	*w = (struct removal){
		.work = {.slice = removal_slice, .drop = removal_drop}, .done = done, .arg = arg};
	memcpy(w->project, c->project->id, sizeof(w->project));
	memcpy(w->code, c->id, sizeof(w->code));
	c->going = true;
	turn_add(f, turn_holder(c->project), TURN_WORK, &w->work);
	return 0;
}

int code_pause(struct front *f, struct code *c, bool paused, bool *ret_changed, struct err *e)
{
	int r = 0;

	*ret_changed = c->paused != paused;
	if (*ret_changed)
		r = store_code_paused(f->store, c->id, paused, e);
	if (r == 0)
		c->paused = paused;
	EVENT_TELL(f, worker_paused, c);
	return r;
}

/* Many tasks of one code come in one request: its image is looked at once for them. "": unknown. */
static const char *image_policy(struct front *f, struct code *c, const char *name)
{
	struct image_head image;
	uint8_t digest[32];
	uint64_t turn = 0;

	(void)sd_event_get_iteration(f->event, &turn);
	if (c->judged_turn == turn + 1)
		return c->judged_policy;
	c->judged_turn = turn + 1;
	c->judged_policy[0] = '\0';
	if (resolve_image(f, name, digest, &image, NULL) == 0)
		memcpy(c->judged_policy, image.policy, sizeof(c->judged_policy));
	return c->judged_policy;
}

int code_may_run(struct front *f, struct code *c, struct err *e)
{
	const struct code_spec *spec = &c->spec;
	const char *name = *spec->image ? spec->image : CODE_IMAGE_DEFAULT;
	int r = project_may_name(c->project, spec->policy, name, e);

	/* A project that may name all policies has no need of the image. */
	if (r == 0 && !*spec->policy && *c->project->quota.policies)
		r = project_may_name(c->project, image_policy(f, c, name), NULL, e);
	return r < 0 ? err_wrap(e, r, "the worker %s", spec->name) : 0;
}

int code_revisions(struct front *f, const struct code *c, code_revision_fn fn, void *arg,
		   struct err *e)
{
	return store_code_revisions(f->store, c->id, 0, fn, arg, e);
}

struct search {
	uint32_t revision;
	struct code_revision *ret;
};

static int find_revision(void *arg, const struct code_revision *v)
{
	struct search *s = arg;

	if (s->revision && s->revision != v->revision)
		return 0;
	*s->ret = *v;
	return 1;
}

int code_revision_get(struct front *f, const struct code *c, uint32_t revision,
		      struct code_revision *ret, struct err *e)
{
	struct search s = {revision, ret};
	int r;

	*ret = (struct code_revision){0};
	r = store_code_revisions(f->store, c->id, revision, find_revision, &s, e);
	if (r == 0 && !ret->revision)
		return err_set(e, ERR_NOT_FOUND, 0, "revision: the code %s has no revision %u",
			       c->spec.name, revision);
	return r;
}

int code_stats(struct front *f, const struct code *c, uint64_t counts[8], struct err *e)
{
	_Static_assert(TASK_STATE_MAX == 8, "code.h");
	return store_task_stats(f->store, c->id, counts, e);
}
