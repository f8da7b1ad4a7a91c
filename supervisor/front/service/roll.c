// SPDX-License-Identifier: Apache-2.0
/*
 * A roll: other replicas take the places of those that serve.
 *
 *	unpack	the folder that a client has sent becomes a package of the project's (of a new version)
 *	start	as many replicas as are wanted, beside those that serve, until all of them are ready
 *	switch	what is live is written, and then the edge is told; the old ones finish what they have
 *
 * A step that fails ends it, and what served before goes on. The client hears of each step when it ends,
 * by a socket that it sends along.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/msg.h"
#include "supervisor/front/base/metric.h"
#include "supervisor/front/service/service.h"

#define ROLLS_MAX 4u /* of a project, at a time */
/* How long an answer waits until the edge has been told. */
#define TOLD_WITHIN_NS (5 * SEC)

enum roll_step { ROLL_UNPACK = 0, ROLL_START, ROLL_SWITCH, ROLL_OVER };

static const char *const step_names[] = {"unpack", "start", "switch", "over"};

struct service_roll {
	LIST_ENTRY(service_roll) next;
	struct front *f;
	struct project *project; /* the roll ends before that is freed */
	struct service_ask ask;
	enum roll_step step;
	uint64_t began_ns;	 /* CLOCK_MONOTONIC: the step */
	struct service *service; /* NULL: not known yet */
	struct service_version *version;
	uint64_t generation;	/* of its replicas */
	struct service_row row; /* the service's, as it will be */
	bool unpacking;		/* it is not freed before that is told */
	bool writing;		/* the same */
	bool written;
	bool waits; /* its replicas are ready: for service_rolls_switch */
	struct service_wish wish;
	struct timer told, free_later;
};

void service_ask_clear(struct service_ask *a, json_t *reply, const struct err *error)
{
	if (a->done && (reply || error)) {
		a->done(a->arg, reply, error);
	} else if (a->waiter && (reply || error)) {
		waiter_end(a->waiter, reply, error);
	} else {
		json_decref(reply);
		if (a->waiter)
			waiter_free(a->waiter);
	}
	util_close_fd(&a->progress_fd);
	free(a->manifest);
	*a = SERVICE_ASK_NONE;
}

static void begin_step(struct service_roll *x, enum roll_step step)
{
	const uint64_t now = util_monotonic_ns();

	if (x->step != step)
		client_tell(x->ask.progress_fd, json_pack("{s:s, s:f}", "step", step_names[x->step],
							  "ms", (double)(now - x->began_ns) / 1e6));
	x->step = step;
	x->began_ns = now;
}

/* Its replicas, its version and its service go where nothing has come of them. */
static void undo(struct service_roll *x)
{
	struct service *s = x->service;
	struct service_replica *r, *next;

	if (!s)
		return;
	s->roll = NULL;
	if (x->written)
		return;
	for (r = LIST_FIRST(&s->replicas); r; r = next) {
		next = LIST_NEXT(r, next);
		if (r->generation == x->generation)
			service_replica_drop(r);
	}
	if (x->version && !x->version->stored)
		service_version_free(x->version);
	if (!s->stored)
		service_free(x->f, s);
}

static void roll_free(struct service_roll *x)
{
	timer_cancel(x->f, &x->told);
	timer_cancel(x->f, &x->free_later);
	service_ask_clear(&x->ask, NULL, NULL);
	undo(x);
	LIST_REMOVE(x, next);
	free(x);
}

static void free_now(struct front *f, struct timer *t)
{
	struct service_roll *x = OWNER(t, struct service_roll, free_later);

	(void)f;
	if (!x->unpacking && !x->writing)
		roll_free(x);
}

/* Not at once: one of its replicas may be in the middle of something. */
static void roll_over(struct service_roll *x)
{
	x->step = ROLL_OVER;
	timer_cancel(x->f, &x->told);
	timer_set(x->f, &x->free_later, util_monotonic_ns(), free_now);
}

static void roll_fail(struct service_roll *x, const struct err *error)
{
	struct err e = *error;

	if (x->step == ROLL_OVER)
		return;
	(void)err_wrap(&e, -1, "%s", step_names[x->step]);
	x->f->services->rolled[1]++;
	service_ask_clear(&x->ask, NULL, &e);
	roll_over(x);
}

/* switch */

static void answer(struct service_roll *x)
{
	struct service *s = x->service;
	json_t *warnings = json_deep_copy(x->version->manifest.warnings);
	char url[EDGE_URL_MAX];

	service_url(x->f, s, url, sizeof(url));
	begin_step(x, ROLL_OVER);
	x->f->services->rolled[0]++;
	service_ask_clear(&x->ask,
			  json_pack("{s:s, s:s, s:s, s:s, s:i, s:o}", "app", s->row.app, "name",
				    s->row.name, "revision", x->version->row.revision, "url", url,
				    "instances", (int)service_instances(s, x->version), "warnings",
				    warnings ? warnings : json_array()),
			  NULL);
	roll_over(x);
}

static void answer_anyway(struct front *f, struct timer *t)
{
	(void)f;
	answer(OWNER(t, struct service_roll, told));
}

void service_roll_told(struct service *s)
{
	if (s->roll && s->roll->written && s->roll->step == ROLL_SWITCH)
		answer(s->roll);
}

static void written(struct front *f, struct service_wish *w, const struct err *error)
{
	struct service_roll *x = OWNER(w, struct service_roll, wish);
	struct service *s = x->service;

	x->writing = false;
	if (!error) {
		x->written = true;
		s->generation = x->generation;
		service_settle(f, s);
	}
	/* Nobody waits for it any more. */
	if (x->step == ROLL_OVER)
		roll_over(x);
	else if (error)
		roll_fail(x, error);
	/* It serves when the edge has been told; an edge that is away is told later. */
	else if (service_edge_has(f, s))
		answer(x);
	else
		timer_set(f, &x->told, util_monotonic_ns() + TOLD_WITHIN_NS, answer_anyway);
}

static void do_switch(struct service_roll *x)
{
	struct service *s = x->service;
	struct service_version *v = x->version;
	struct err e = {0};

	begin_step(x, ROLL_SWITCH);
	/* Another one may have got its address while this one started. */
	if (service_edge_check(x->f, s, &v->manifest, &e) < 0) {
		roll_fail(x, &e);
		return;
	}
	x->row.last_version = s->row.last_version;
	if (!v->stored)
		x->row.last_version = v->row.number;
	x->row.previous = s->row.previous;
	if (s->row.live != v->row.number)
		x->row.previous = s->row.live;
	x->row.live = v->row.number;
	x->row.data_bytes = s->row.data_bytes;
	x->wish = (struct service_wish){
		.service = s, .row = x->row, .put = v->stored ? NULL : v, .done = written};
	if (service_wish_begin(x->f, &x->wish, &e) < 0)
		roll_fail(x, &e);
	else
		x->writing = true;
}

/* start */

const struct service_row *service_row_for(const struct service_replica *r)
{
	const struct service_roll *x = r->service->roll;

	return x && x->generation == r->generation ? &x->row : &r->service->row;
}

void service_roll_stage(struct service_replica *r)
{
	struct service_roll *x = r->service->roll;

	if (x && x->generation == r->generation && x->step == ROLL_START)
		client_tell(x->ask.progress_fd,
			    json_pack("{s:s, s:s, s:i, s:f}", "step", r->stage, "service",
				      r->service->row.name, "replica", (int)r->number, "ms",
				      (double)(util_monotonic_ns() - r->began_ns) / 1e6));
}

void service_roll_replica(struct service_replica *r, bool ready)
{
	struct service_roll *x = r->service->roll;
	const struct service_replica *other;
	struct err e = {0};

	if (!x || x->generation != r->generation || x->step != ROLL_START)
		return;
	if (!ready) {
		/* Before the answer, after which nobody reads it. */
		if (r->output)
			client_tell(x->ask.progress_fd,
				    json_pack("{s:s, s:s}", "step", "output", "text", r->output));
		(void)err_set(&e, ERR_INPUT, 0, "%s.%u: %.400s%s%s%s", r->service->row.name,
			      r->number, r->failure, *r->last ? " (sandboxctl logs " : "", r->last,
			      *r->last ? ")" : "");
		roll_fail(x, &e);
		return;
	}
	LIST_FOREACH(other, &r->service->replicas, next)
		if (other->generation == x->generation && other->replica.state != REPLICA_UP)
			return;
	x->waits = x->ask.ready != NULL;
	if (x->waits)
		x->ask.ready(x->ask.arg);
	else
		do_switch(x);
}

/* What the roll starts is there for a moment beside what serves, which its quota does not count. */
static int check_quota(const struct service_roll *x, unsigned n, struct err *e)
{
	const struct project *p = x->project;
	const unsigned max = p->quota.service_replicas;
	const struct service_replica *r;
	unsigned others = service_project_wanted(p);

	LIST_FOREACH(r, &x->service->replicas, next)
		others -= r->replica.wanted;
	if (!max || others + n <= max)
		return 0;
	return err_set(
		e, ERR_LIMIT, 0,
		"the project's services would have %u replicas, and its quota "
		"\"service_replicas\" is %u: scale one down, or ask the operator (sandboxctl "
		"project quota %s service_replicas=N)",
		others + n, max, p->name);
}

static int do_start(struct service_roll *x, struct err *e)
{
	struct service *s = x->service;
	unsigned n;
	int r = service_version_open(x->version, e);

	if (r < 0)
		return r;
	if (!x->version)
		return err_set(e, ERR_SYSTEM, EINVAL, "a service without a version");
	n = x->row.instances ? x->row.instances : x->version->manifest.instances;
	r = check_quota(x, n, e);
	if (r < 0)
		return r;
	begin_step(x, ROLL_START);
	x->generation = ++s->last_generation;
	for (unsigned i = 0; i < n; i++)
		if (!service_replica_new(x->f, x->version, n - 1 - i, x->generation))
			return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a replica");
	/* One that cannot be started at all ends the roll at once, and is there until that is freed. */
	for (struct service_replica *at = LIST_FIRST(&s->replicas), *next; at; at = next) {
		next = LIST_NEXT(at, next);
		if (at->generation == x->generation && x->step == ROLL_START)
			service_replica_want(at, true);
	}
	return 0;
}

static int may_roll(struct service *s, struct err *e)
{
	if (s->project->going)
		return err_set(e, ERR_CONFLICT, 0, "the project %s is being removed",
			       s->project->name);
	if (s->going)
		return err_set(e, ERR_CONFLICT, 0, "%s/%s is being removed: try again", s->row.app,
			       s->row.name);
	if (s->roll || s->wish)
		return err_set(e, ERR_CONFLICT, 0,
			       "another change of %s/%s is under way: try again when it is over",
			       s->row.app, s->row.name);
	return 0;
}

static struct service_roll *roll_new(struct front *f, struct project *p, struct service_ask *ask,
				     struct err *e)
{
	struct service_roll *x;
	unsigned n = 0;

	/* A push, which has several, is counted itself. */
	LIST_FOREACH(x, &f->services->rolls, next)
		n += x->project == p && !x->ask.done;
	if (n >= ROLLS_MAX && !ask->done) {
		(void)err_set(e, ERR_LIMIT, 0,
			      "%u changes of services of this project are under way: try again "
			      "later",
			      n);
		return NULL;
	}
	x = calloc(1, sizeof(*x));
	if (!x) {
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "cannot change the service");
		return NULL;
	}
	x->f = f;
	x->project = p;
	x->ask = *ask;
	*ask = SERVICE_ASK_NONE;
	x->began_ns = util_monotonic_ns();
	LIST_INSERT_HEAD(&f->services->rolls, x, next);
	return x;
}

int service_roll_begin(struct front *f, struct service_version *v, struct service_ask *ask,
		       const struct service_row *row, struct err *e)
{
	struct service *s = v->service;
	struct service_roll *x;
	int r = may_roll(s, e);

	if (r < 0)
		return r;
	x = roll_new(f, s->project, ask, e);
	if (!x)
		return -EBUSY;
	x->step = ROLL_START;
	x->service = s;
	x->version = v;
	x->row = row ? *row : s->row;
	s->roll = x;
	if (do_start(x, e) < 0)
		roll_fail(x, e);
	return 0;
}

/* unpack */

static int find_or_make_service(struct service_roll *x, const struct service_manifest *m,
				struct err *e)
{
	struct project *p = x->project;
	const unsigned max = p->quota.services ? p->quota.services : SERVICES_MAX;
	struct service *s = service_find(p, m->app, m->name);
	int r;

	if (!s && p->going)
		return err_set(e, ERR_CONFLICT, 0, "the project %s is being removed", p->name);
	r = s ? may_roll(s, e) : 0;
	if (r < 0)
		return r;
	if (!s && p->service->n >= max)
		return err_set(
			e, ERR_LIMIT, 0,
			"the project has %u services, and its quota \"services\" is %u: "
			"remove one (sandboxctl service rm), or ask the operator (sandboxctl "
			"project quota %s services=N)",
			p->service->n, max, p->name);
	if (!s)
		s = service_new(p, m->app, m->name);
	if (!s)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a service");
	x->service = s;
	x->row = s->row;
	s->roll = x;
	x->version = service_version_new(s);
	return x->version ? 0 : err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a version");
}

static bool is_revision_taken(struct service *s, const char *revision)
{
	struct service_version *v;

	LIST_FOREACH(v, &s->versions, next)
		if (v->stored && strcmp(v->row.revision, revision) == 0)
			return true;
	return false;
}

/* A service of the type python or static is served by nginx and uWSGI of its image. */
static const char *image_of(const struct service_manifest *m)
{
	if (m->image)
		return m->image;
	if (m->type != SERVICE_PYTHON && m->type != SERVICE_STATIC)
		return SERVICE_IMAGE_DEFAULT;
	return m->python && *m->python == '2' ? SERVICE_IMAGE_27 : SERVICE_IMAGE_SERVERS;
}

/* A background worker's queue outlives its versions: none of them is another kind of service. */
static int check_kind(struct service *s, const struct service_manifest *m, struct err *e)
{
	struct service_version *v = service_live(s);

	if (!v || service_version_open(v, e) < 0 || v->manifest.background.is == m->background.is)
		return 0;
	return err_set(e, ERR_CONFLICT, 0, "%s/%s is %s: remove it first, or take another name",
		       m->app, m->name,
		       m->background.is ? "a service that is no background worker"
					: "a background worker");
}

static int make_version(struct service_roll *x, const struct unpacked *is, struct err *e)
{
	_cleanup_service_manifest_ struct service_manifest m = {0};
	struct service_version_row *row;
	struct service_version *newest;
	struct image_head head;
	int r = service_manifest_read("manifest", x->ask.manifest, strlen(x->ask.manifest), &m, e);

	if (r == 0)
		r = find_or_make_service(x, &m, e);
	if (r == 0)
		r = check_kind(x->service, &m, e);
	if (r == 0)
		r = service_edge_check(x->f, x->service, &m, e);
	if (r < 0)
		return r;
	if (!x->service)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot keep a service");
	row = &x->version->row;
	row->number = x->service->row.last_version + 1;
	if (*x->ask.revision && is_revision_taken(x->service, x->ask.revision))
		return err_set(e, ERR_CONFLICT, 0, "%s/%s has a revision %s already", m.app, m.name,
			       x->ask.revision);
	if (*x->ask.revision)
		memcpy(row->revision, x->ask.revision, sizeof(row->revision));
	else
		(void)snprintf(row->revision, sizeof(row->revision), "r%u", row->number);
	row->created_ns = util_realtime_ns();
	memcpy(row->source, x->ask.source, sizeof(row->source));
	memcpy(row->message, x->ask.message, sizeof(row->message));
	(void)snprintf(row->image, sizeof(row->image), "%s", image_of(&m));
	memcpy(row->package, is->package, sizeof(row->package));
	row->package_bytes = is->size.bytes;
	row->package_files = is->size.files;
	row->manifest = TAKE_PTR(x->ask.manifest);
	r = project_may_name(x->project, m.policy, row->image, e);
	if (r == 0)
		r = resolve_image(x->f, row->image, row->image_digest, &head, e);
	/* The same package as that of the version before takes no more room. */
	newest = LIST_NEXT(x->version, next);
	if (r == 0 && !(newest && memcmp(newest->row.package, is->package, 32) == 0))
		r = worker_check_packages(x->project, &is->size, e);
	return r;
}

static void packed(struct front *f, void *arg, const struct unpacked *is, const struct err *error)
{
	struct service_roll *x = arg;
	struct err e = {0};

	(void)f;
	x->unpacking = false;
	if (x->step == ROLL_OVER) {
		roll_over(x);
		return;
	}
	if (error)
		e = *error;
	if (error || make_version(x, is, &e) < 0 || do_start(x, &e) < 0)
		roll_fail(x, &e);
}

int service_put_begin(struct front *f, struct project *p, struct service_ask *ask, int archive_fd,
		      const struct unpacked *package, struct err *e)
{
	struct service_roll *x = roll_new(f, p, ask, e);

	if (!x) {
		util_close_fd(&archive_fd);
		return -EBUSY;
	}
	x->unpacking = true;
	if (archive_fd >= 0 && x->ask.spooled)
		package_unpack_spool(f, p, archive_fd, packed, x);
	else if (archive_fd >= 0)
		package_unpack_sized(f, p, archive_fd, packed, x);
	else
		packed(f, x, package, NULL);
	return 0;
}

void service_rolls_clear(struct front *f, const struct project *p)
{
	struct service_roll *x, *next;
	struct err e = {0};

	(void)turn_over(&e);
	for (x = LIST_FIRST(&f->services->rolls); x; x = next) {
		next = LIST_NEXT(x, next);
		if (p && x->project != p)
			continue;
		service_ask_clear(&x->ask, NULL, &e);
		/* What unpacks, or is written, is told by one that nobody waits for. */
		if (x->unpacking || x->writing)
			x->step = ROLL_OVER;
		else
			roll_free(x);
	}
}

static bool is_among(const struct service_roll *x, const void *args, size_t size)
{
	const uintptr_t at = (uintptr_t)x->ask.arg, begin = (uintptr_t)args;

	return x->ask.done && at >= begin && at < begin + size;
}

void service_rolls_switch(struct front *f, const void *args, size_t size)
{
	struct service_roll *x;

	LIST_FOREACH(x, &f->services->rolls, next)
		if (is_among(x, args, size) && x->step == ROLL_START && x->waits)
			do_switch(x);
}

void service_rolls_end(struct front *f, const void *args, size_t size, const struct err *error)
{
	struct service_roll *x;

	LIST_FOREACH(x, &f->services->rolls, next)
		if (is_among(x, args, size) && x->step < ROLL_SWITCH)
			roll_fail(x, error);
}

void service_rolls_leave(struct front *f, const void *args, size_t size)
{
	struct service_roll *x;

	LIST_FOREACH(x, &f->services->rolls, next)
		if (is_among(x, args, size)) {
			x->ask.done = NULL;
			x->ask.ready = NULL;
		}
}

static void metrics(struct front *f, FILE *out)
{
	static const char name[] = "service_rolls_total";

	metric_head(out, name, "counter",
		    "Changes of the replicas of services, by outcome; since this front started.");
	(void)fprintf(out,
		      "sandboxd_%s{outcome=\"ok\"} %llu\nsandboxd_%s{outcome=\"failed\"} %llu\n",
		      name, (unsigned long long)f->services->rolled[0], name,
		      (unsigned long long)f->services->rolled[1]);
}

/* What still unpacks when the front ends. */
static void clear(struct front *f)
{
	while (!LIST_EMPTY(&f->services->rolls))
		roll_free(LIST_FIRST(&f->services->rolls));
}

const struct capability service_roll_capability = {
	.name = "service rolls", .metrics = metrics, .clear = clear};
