// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/core/worker.h"

#include <stdio.h>
#include <string.h>

#include "supervisor/front/core/core.h"
#include "supervisor/front/store/chore.h"
#include "supervisor/front/store/query.h"
#include "supervisor/front/store/schema.h"
#include "supervisor/front/store/workers.h"

int worker_spec_copy(struct worker_spec *to, const struct worker_spec *from)
{
	*to = *from;
	to->config = from->config ? strdup(from->config) : NULL;
	to->env = from->env ? strdup(from->env) : NULL;
	if ((to->config || !from->config) && (to->env || !from->env))
		return 0;
	worker_spec_clear(to);
	return -ENOMEM;
}

static void worker_free(struct front *f, struct worker *c)
{
	PART_WALK(f, part)
		if (part->free_worker)
			part->free_worker(f, c);
	worker_spec_clear(&c->spec);
	free(c);
}

/* In no project yet. NULL: out of memory. */
static struct worker *worker_new(struct front *f)
{
	struct worker *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	PART_WALK(f, part)
		if (part->attach_worker && part->attach_worker(f, c) < 0) {
			worker_free(f, c);
			return NULL;
		}
	return c;
}

/* One request may name a thousand workers, of a thousand that there are. */
static unsigned bucket(const char *text)
{
	return id_hash(text) % WORKER_BUCKETS;
}

static void attach(struct project *p, struct worker *c)
{
	struct worker **by_id = &p->workers_by_id[bucket(c->id)];
	struct worker **by_name = &p->workers_by_name[bucket(c->spec.name)];

	c->project = p;
	c->next = p->workers;
	p->workers = c;
	c->id_next = *by_id;
	*by_id = c;
	c->name_next = *by_name;
	*by_name = c;
	p->n_workers++;
}

static void detach(struct project *p, struct worker *c)
{
	struct worker **at = &p->workers, **by_id = &p->workers_by_id[bucket(c->id)];
	struct worker **by_name = &p->workers_by_name[bucket(c->spec.name)];

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	while (*by_id != c)
		by_id = &(*by_id)->id_next;
	*by_id = c->id_next;
	while (*by_name != c)
		by_name = &(*by_name)->name_next;
	*by_name = c->name_next;
	p->n_workers--;
}

/* Takes the row's spec. */
static void adopt(struct worker *c, const struct worker_row *row)
{
	memcpy(c->id, row->id, sizeof(c->id));
	c->revision = row->revision;
	c->spec = row->spec;
	c->created_ns = row->created_ns;
	c->changed_ns = row->changed_ns;
}

static int load(void *arg, struct worker_row *row)
{
	struct project *p = project_by_id(arg, row->project);
	struct worker *c;

	/* Its project went, and the rest of it with a power cut: it is nobody's. */
	if (!p) {
		worker_spec_clear(&row->spec);
		return 0;
	}
	c = worker_new(arg);
	if (!c)
		return -ENOMEM;
	adopt(c, row);
	c->paused = row->paused;
	attach(p, c);
	return 0;
}

/* Revisions come newest first; those in a row that have one package have it once. */
struct sum {
	uint32_t upto; /* 0: of all revisions; else of that one and those before it */
	struct package_size size;
	uint8_t newer[32];
};

static int add_size(void *arg, const struct worker_revision *v)
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

static int worker_load(struct front *f, struct err *e)
{
	int r = store_worker_load(f->store, load, f, e);

	for (struct project *p = f->core->projects; r == 0 && p; p = p->next)
		for (const struct worker *c = p->workers; r == 0 && c; c = c->next) {
			struct sum sum = {0};

			r = store_worker_revisions(f->store, c->id, 0, add_size, &sum, e);
			p->package_bytes += sum.size.bytes;
			p->package_files += sum.size.files;
		}
	return r;
}

static void worker_free_all(struct front *f, struct project *p)
{
	while (p->workers) {
		struct worker *c = p->workers;

		detach(p, c);
		worker_free(f, c);
	}
}

struct worker *worker_by_id(struct project *p, const char *id)
{
	struct worker *c = p->workers_by_id[bucket(id)];

	while (c && strcmp(c->id, id) != 0)
		c = c->id_next;
	return c;
}

struct worker *worker_get(struct project *p, const char *id, struct err *e)
{
	struct worker *c = p ? worker_by_id(p, id) : NULL;

	if (!c)
		(void)err_set(e, ERR_NOT_FOUND, 0, "Not found: there is no worker with this id");
	return c;
}

struct worker *worker_by_name(struct project *p, const char *name)
{
	struct worker *c = p->workers_by_name[bucket(name)];

	while (c && strcmp(c->spec.name, name) != 0)
		c = c->name_next;
	return c;
}

int worker_check_name(struct project *p, const char *list, size_t i, const char *name,
		      struct err *e)
{
	char shown[WORKER_NAME_MAX * 4 + 1];

	if (worker_by_name(p, name))
		return 0;
	return err_set(e, ERR_NOT_FOUND, 0,
		       "request: %s[%zu].code_name: there is no worker \"%s\": upload it first",
		       list, i, util_escape(name, shown, sizeof(shown)));
}

static size_t texts_of(const struct worker_spec *spec)
{
	return (spec->config ? strlen(spec->config) : 0) + (spec->env ? strlen(spec->env) : 0);
}

static int check(const struct worker_spec *spec, struct err *e)
{

	if (!*spec->name)
		return err_set(e, ERR_INPUT, 0, "name: must be given");
	if (!*spec->file_name && !*spec->command)
		return err_set(e, ERR_INPUT, 0, "file_name: must name the file to run");
	if (spec->retries > WORKER_RETRIES_MAX)
		return err_set(e, ERR_INPUT, 0, "retries: at most %d", WORKER_RETRIES_MAX);
	if (spec->retries_delay_s > WORKER_RETRIES_DELAY_MAX)
		return err_set(e, ERR_INPUT, 0, "retries_delay: at most %d seconds",
			       WORKER_RETRIES_DELAY_MAX);
	if (spec->max_concurrency > WORKER_CONCURRENCY_MAX)
		return err_set(e, ERR_INPUT, 0, "max_concurrency: at most %d",
			       WORKER_CONCURRENCY_MAX);
	if (spec->default_priority >= LANE_PRIORITIES)
		return err_set(e, ERR_INPUT, 0, "default_priority: must be 0, 1 or 2");
	if (spec->config && strlen(spec->config) > WORKER_CONFIG_MAX)
		return err_set(e, ERR_INPUT, 0, "config: at most %u bytes", WORKER_CONFIG_MAX);
	return 0;
}

/* What a revision more takes. */
static struct package_size size_more(const struct worker *old, const struct worker_spec *spec)
{
	if (old && memcmp(old->spec.package, spec->package, 32) == 0)
		return (struct package_size){0};
	return (struct package_size){spec->package_bytes, spec->package_files};
}

static struct package_size quota_of(const struct project *p)
{
	return (struct package_size){
		.bytes = p->quota.package_bytes ? p->quota.package_bytes : WORKER_PACKAGES_MAX,
		.files = p->quota.package_files ? p->quota.package_files : WORKER_FILES_MAX};
}

static uint64_t left_of(uint64_t max, uint64_t used, uint64_t going)
{
	uint64_t left = used < max ? max - used : 0;

	/* What is no worker's any more goes in a moment: until then there may be as much of it. */
	if (used + going >= 2 * max)
		return 0;
	return left < 2 * max - used - going ? left : 2 * max - used - going;
}

void worker_room(const struct project *p, struct package_size *ret)
{
	const struct package_size max = quota_of(p);

	ret->bytes = left_of(max.bytes, p->package_bytes, p->left_bytes);
	ret->files = left_of(max.files, p->package_files, p->left_files);
}

int worker_check_packages(const struct project *p, const struct package_size *more, struct err *e)
{
	const struct package_size max = quota_of(p);
	const unsigned long long bytes = p->package_bytes + more->bytes;
	const unsigned long long files = p->package_files + more->files;

	if (more->bytes && bytes > max.bytes)
		return err_set(e, ERR_LIMIT, 0,
			       "the project's packages would take %llu bytes, and its quota "
			       "\"package_bytes\" is %llu: remove workers or versions that are not "
			       "used",
			       bytes, (unsigned long long)max.bytes);
	if (more->files && files > max.files)
		return err_set(e, ERR_LIMIT, 0,
			       "the project's packages would have %llu files and folders, and its "
			       "quota \"package_files\" is %llu: remove workers or versions that "
			       "are not used",
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

/* What is there of a project's workers is in memory. */
static int check_room(const struct project *p, const struct worker *old,
		      const struct worker_spec *spec, struct err *e)
{
	const struct package_size more = size_more(old, spec);
	size_t texts = texts_of(spec);

	for (const struct worker *c = p->workers; c; c = c->next)
		texts += c == old ? 0 : texts_of(&c->spec);
	if (texts > WORKER_TEXTS_MAX && texts_of(spec))
		return err_set(
			e, ERR_LIMIT, 0,
			"config: with env and those of the project's other workers it would "
			"take %zu bytes, at most %u are possible: remove workers that are not "
			"used",
			texts, WORKER_TEXTS_MAX);
	if (!old && p->n_workers >= CODES_MAX)
		return err_set(
			e, ERR_LIMIT, 0,
			"the project has %u workers, the most that are possible: remove workers "
			"that are not used",
			p->n_workers);
	return worker_check_packages(p, &more, e);
}

/* What of the project's packages goes with the revision that is one too many. */
static struct package_size size_of_oldest(struct front *f, const struct worker *c)
{
	struct sum sum = {.upto = c ? c->revision + 1 - WORKER_REVISIONS_MAX : 0};

	if (!c || c->revision < WORKER_REVISIONS_MAX ||
	    store_worker_revisions(f->store, c->id, 0, add_size, &sum, NULL) < 0)
		return (struct package_size){0};
	return sum.size;
}

/* Where nothing was said of it, what was there before stays. */
static void keep_package(struct worker_spec *spec, const struct worker_spec *old)
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

/* A revision that comes. Of a project one comes at a time, so that what there is room for is known. */
struct revision_making {
	struct change change;
	struct worker_row row;
	char id[PROJECT_ID_LEN + 1]; /* of the revision */
	struct worker *fresh;	     /* of the first revision: the worker, in no project yet */
	struct package_size more, gone;
};

/* Of this worker. */
static bool revision_comes(const struct worker *c)
{
	const struct change *put = c->project->worker_put;

	return put && strcmp(OWNER(put, struct revision_making, change)->row.id, c->id) == 0;
}

static int revision_write(struct front *f, struct change *c, struct err *e)
{
	const struct revision_making *m = OWNER(c, struct revision_making, change);

	return store_worker_put(f->store, &m->row, m->id, e);
}

/* The project and the worker are there: none goes while something of it comes. */
static void revision_adopt(struct front *f, struct change *c, bool durable)
{
	static const struct package_size none = {0};
	struct revision_making *m = OWNER(c, struct revision_making, change);
	struct project *p = project_by_id(f, m->row.project);
	struct worker *worker = m->fresh ? TAKE_PTR(m->fresh) : worker_by_id(p, m->row.id);

	p->worker_put = NULL;
	p->n_coming--;
	count_packages(p, &none, durable ? &m->gone : &m->more);
	if (!durable) {
		if (m->row.revision == 1)
			worker_free(f, worker);
		return;
	}
	worker_spec_clear(&worker->spec);
	adopt(worker, &m->row);
	m->row.spec = (struct worker_spec){0};
	worker->judged_turn = 0;
	if (m->row.revision == 1)
		attach(p, worker);
	/* Its package is on disk: who unpacked it has synced it. */
	worker_packages_add(f, &worker->spec);
}

static void revision_done(struct front *f, struct change *c, const struct err *error)
{
	struct revision_making *m = OWNER(c, struct revision_making, change);
	struct project *p = project_by_id(f, m->row.project);
	struct worker *worker = p && !error ? worker_by_id(p, m->row.id) : NULL;

	if (worker && m->gone.bytes)
		package_left(f, p, &m->gone);
	/* What could not run by the one before it may run now. */
	if (worker)
		EVENT_TELL(f, worker_put, worker);
	worker_spec_clear(&m->row.spec);
	free(m);
}

static int check_put(const struct project *p, const struct worker *old,
		     const struct worker_spec *spec, struct err *e)
{
	int r = check(spec, e);

	if (r < 0)
		return r;
	if (p->worker_put)
		return err_set(e, ERR_UNAVAILABLE, 0,
			       "another upload of the project is just being written: try again");
	if (p->going)
		return err_set(e, ERR_CONFLICT, 0, "the project %s is being removed", p->name);
	r = check_room(p, old, spec, e);
	if (r < 0)
		return r;
	if (old && old->going)
		return err_set(e, ERR_UNAVAILABLE, 0,
			       "the worker %s is being removed: try again when it is gone",
			       spec->name);
	return 0;
}

struct change *worker_put(struct front *f, struct project *p, struct worker_spec *spec,
			  char id[PROJECT_ID_LEN + 1], struct err *e)
{
	static const struct package_size none = {0};
	const struct worker *old = worker_by_name(p, spec->name);
	const struct package_size more = size_more(old, spec);
	struct revision_making *m;

	if (check_put(p, old, spec, e) < 0)
		return NULL;
	keep_package(spec, old && !*spec->command ? &old->spec : NULL);
	if (!spec->has_package && !*spec->command) {
		(void)err_set(e, ERR_INPUT, 0, "file: a zip with %s must be sent along",
			      spec->file_name);
		return NULL;
	}
	m = calloc(1, sizeof(*m));
	if (m && !old)
		m->fresh = worker_new(f);
	if (!m || (!old && !m->fresh)) {
		free(m);
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "the worker %s", spec->name);
		return NULL;
	}
	m->change = (struct change){
		.write = revision_write, .adopt = revision_adopt, .done = revision_done};
	if (old)
		memcpy(m->row.id, old->id, sizeof(m->row.id));
	else
		util_new_id(m->row.id);
	memcpy(m->row.project, p->id, sizeof(m->row.project));
	m->row.revision = old ? old->revision + 1 : 1;
	m->row.spec = *spec;
	m->row.changed_ns = util_realtime_ns();
	m->row.created_ns = old ? old->created_ns : m->row.changed_ns;
	util_new_id(m->id);
	m->more = more;
	m->gone = size_of_oldest(f, old);
	memcpy(id, m->row.id, sizeof(m->row.id));
	*spec = (struct worker_spec){0};
	count_packages(p, &more, &none);
	p->worker_put = &m->change;
	p->n_coming++;
	change_mark(f, &m->change, turn_holder(p), texts_of(&m->row.spec));
	return &m->change;
}

struct last_rows {
	struct front *f;
	struct worker *worker;
};

static int write_removal(void *arg, struct err *e)
{
	const struct last_rows *last = arg;
	int r = 0;

	PART_WALK(last->f, part)
		if (r == 0 && part->delete_worker)
			r = part->delete_worker(last->f, last->worker, e);
	return r < 0 ? r : store_worker_delete(last->f->store, last->worker->id, e);
}

/* Nothing of it waits any more. */
static int take_away(struct front *f, struct worker *c, struct err *e)
{
	struct project *p = c->project;
	const struct package_size none = {0};
	struct last_rows last = {f, c};
	struct sum sum = {0};
	int r;

	r = store_worker_revisions(f->store, c->id, 0, add_size, &sum, e);
	if (r == 0)
		r = store_slice(f->store, write_removal, &last, e);
	if (r < 0)
		return r;
	PART_WALK(f, part)
		if (part->forget_worker)
			part->forget_worker(f, c);
	detach(p, c);
	count_packages(p, &none, &sum.size);
	worker_free(f, c);
	package_left(f, p, &sum.size);
	return 0;
}

/* One slice of worker_remove. 1: there is more. 0: the worker has been removed. */
static int worker_remove_some(struct front *f, struct worker *c, uint64_t *n, struct err *e)
{
	int r = revision_comes(c);

	c->going = true;
	PART_WALK(f, part)
		if (r == 0 && part->remove_worker)
			r = part->remove_worker(f, c, n, e);
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

	if (!p->workers)
		return 0;
	r = worker_remove_some(f, p->workers, &n_cancelled, e);
	return r < 0 ? r : 1;
}

static int delete_project(struct front *f, struct project *p, struct err *e)
{
	return store_worker_delete_all(f->store, p->id, e);
}

static const struct part worker_part = {
	.remove = remove_project, .delete_project = delete_project, .free = worker_free_all};

const struct capability worker_capability = {
	.name = "workers", .schema = &workers_schema, .load = worker_load, .part = &worker_part};

/* worker_remove, while it is done. */
struct removal {
	struct chore chore;
	char project[PROJECT_ID_LEN + 1], worker[PROJECT_ID_LEN + 1];
	uint64_t n; /* cancelled tasks */
	worker_done_fn done;
	void *arg;
};

static int removal_slice(struct front *f, struct chore *chore, struct err *e)
{
	struct removal *w = OWNER(chore, struct removal, chore);
	struct worker *c = worker_get(project_by_id(f, w->project), w->worker, e);

	return c ? worker_remove_some(f, c, &w->n, e) : -ENOENT;
}

static void removal_end(struct front *f, struct chore *chore, const struct err *error)
{
	struct removal *w = OWNER(chore, struct removal, chore);

	(void)f;
	w->done(w->arg, w->n, error);
	free(w);
}

int worker_remove(struct front *f, struct worker *c, worker_done_fn done, void *arg, struct err *e)
{
	struct removal *w = calloc(1, sizeof(*w));

	if (!w)
		return err_set(e, ERR_SYSTEM, ENOMEM, "the worker %s", c->spec.name);
	*w = (struct removal){
		.chore = {.slice = removal_slice, .end = removal_end}, .done = done, .arg = arg};
	memcpy(w->project, c->project->id, sizeof(w->project));
	memcpy(w->worker, c->id, sizeof(w->worker));
	c->going = true;
	chore_begin(f, &w->chore, turn_holder(c->project));
	return 0;
}

struct pausing {
	struct change change;
	char project[PROJECT_ID_LEN + 1], worker[PROJECT_ID_LEN + 1];
	bool paused;
};

/* NULL: the worker was removed meanwhile. */
static struct worker *paused_worker(struct front *f, const struct pausing *w)
{
	struct project *p = project_by_id(f, w->project);

	return p ? worker_by_id(p, w->worker) : NULL;
}

static int pausing_write(struct front *f, struct change *c, struct err *e)
{
	const struct pausing *w = OWNER(c, struct pausing, change);

	return store_worker_paused(f->store, w->worker, w->paused, e);
}

static void pausing_adopt(struct front *f, struct change *c, bool durable)
{
	const struct pausing *w = OWNER(c, struct pausing, change);
	struct worker *worker = durable ? paused_worker(f, w) : NULL;

	if (worker)
		worker->paused = w->paused;
}

static void pausing_done(struct front *f, struct change *c, const struct err *error)
{
	struct pausing *w = OWNER(c, struct pausing, change);
	struct worker *worker = error ? NULL : paused_worker(f, w);

	if (worker)
		EVENT_TELL(f, worker_paused, worker);
	free(w);
}

struct change *worker_pause(struct front *f, struct worker *c, bool paused, struct err *e)
{
	struct pausing *w = calloc(1, sizeof(*w));

	if (!w) {
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "the worker %s", c->spec.name);
		return NULL;
	}
	*w = (struct pausing){
		.change = {.write = pausing_write, .adopt = pausing_adopt, .done = pausing_done},
		.paused = paused};
	memcpy(w->project, c->project->id, sizeof(w->project));
	memcpy(w->worker, c->id, sizeof(w->worker));
	change_mark(f, &w->change, turn_holder(c->project), 0);
	return &w->change;
}

/* Many tasks of one worker come in one request: its image is looked at once for them. "": unknown. */
static const char *image_policy(struct front *f, struct worker *c, const char *name)
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

int worker_may_run(struct front *f, struct worker *c, struct err *e)
{
	const struct worker_spec *spec = &c->spec;
	const char *name = *spec->image ? spec->image : WORKER_IMAGE_DEFAULT;
	int r = project_may_name(c->project, spec->policy, name, e);

	/* A project that may name all policies has no need of the image. */
	if (r == 0 && !*spec->policy && *c->project->quota.policies)
		r = project_may_name(c->project, image_policy(f, c, name), NULL, e);
	return r < 0 ? err_wrap(e, r, "the worker %s", spec->name) : 0;
}

int worker_revisions(struct front *f, const struct worker *c, worker_revision_fn fn, void *arg,
		     struct err *e)
{
	return store_worker_revisions(f->store, c->id, 0, fn, arg, e);
}

struct search {
	uint32_t revision;
	struct worker_revision *ret;
};

static int find_revision(void *arg, const struct worker_revision *v)
{
	struct search *s = arg;

	if (s->revision && s->revision != v->revision)
		return 0;
	*s->ret = *v;
	return 1;
}

int worker_revision_get(struct front *f, const struct worker *c, uint32_t revision,
			struct worker_revision *ret, struct err *e)
{
	struct search s = {revision, ret};
	int r;

	*ret = (struct worker_revision){0};
	r = store_worker_revisions(f->store, c->id, revision, find_revision, &s, e);
	if (r == 0 && !ret->revision)
		return err_set(e, ERR_NOT_FOUND, 0, "revision: the worker %s has no revision %u",
			       c->spec.name, revision);
	return r;
}

int worker_stats(struct front *f, const struct worker *c, uint64_t counts[8], struct err *e)
{
	_Static_assert(TASK_STATE_MAX == 8, "worker.h");
	return store_task_stats(f->store, c->id, counts, e);
}
