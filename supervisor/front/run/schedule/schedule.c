// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/run/schedule/schedule.h"

#include <stdio.h>
#include <string.h>

#include "lib/json_strict.h"
#include "lib/msg.h"
#include "supervisor/front/run/schedule/internal.h"
#include "supervisor/front/store/schema.h"

const char *schedule_state_name(enum schedule_state state)
{
	static const char *const names[] = {"scheduled", "complete", "cancelled"};

	return (unsigned)state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

struct schedule_row schedule_row_of(const struct schedule *s)
{
	struct schedule_row row = {.spec = s->spec,
				   .state = s->state,
				   .created_ns = s->created_ns,
				   .changed_ns = s->changed_ns,
				   .next_ns = s->next_ns,
				   .last_ns = s->last_ns,
				   .run_count = s->run_count};

	memcpy(row.id, s->id, sizeof(row.id));
	memcpy(row.project, s->project->id, sizeof(row.project));
	memcpy(row.msg, s->msg, sizeof(row.msg));
	return row;
}

int schedule_put(const struct schedule *s, struct err *e)
{
	const struct schedule_row row = schedule_row_of(s);

	return store_schedule_put(s->front->store, &row, e);
}

void schedule_free(struct schedule *s)
{
	schedule_disarm(s);
	schedule_leave(s);
	schedule_spec_clear(&s->spec);
	zone_free(s->zone);
	free(s);
}

static void attach(struct project *p, struct schedule *s)
{
	s->project = p;
	s->next = p->schedules->first;
	p->schedules->first = s;
}

static void detach(struct schedule *s)
{
	struct schedule **at = &s->project->schedules->first;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
}

static int load(void *arg, struct schedule_row *row)
{
	struct project *p = project_by_id(arg, row->project);
	struct schedule *s;

	/* Its project was removed, and a power cut kept the rest from being removed with it. */
	if (!p) {
		schedule_spec_clear(&row->spec);
		return 0;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	memcpy(s->id, row->id, sizeof(s->id));
	memcpy(s->msg, row->msg, sizeof(s->msg));
	s->spec = row->spec;
	s->state = row->state;
	s->created_ns = row->created_ns;
	s->changed_ns = row->changed_ns;
	s->next_ns = row->next_ns;
	s->last_ns = row->last_ns;
	s->run_count = row->run_count;
	s->front = arg;
	attach(p, s);
	p->schedules->n += s->state == SCHEDULE_SCHEDULED;
	/* A zone file that has been removed is an error when the schedule is due. */
	(void)schedule_read(s, NULL);
	schedule_settle_clock(s, util_realtime_ns());
	return 0;
}

static int schedule_load(struct front *f, struct err *e)
{
	int r = schedule_watch_clock(f);

	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "cannot watch the clock");
	return store_schedule_load(f->store, load, f, e);
}

static void schedule_clear(struct front *f)
{
	f->run->clock = sd_event_source_disable_unref(f->run->clock);
}

static int attach_project(struct front *f, struct project *p)
{
	(void)f;
	p->schedules = calloc(1, sizeof(*p->schedules));
	return p->schedules ? 0 : -ENOMEM;
}

static void free_all(struct front *f, struct project *p)
{
	(void)f;
	while (p->schedules && p->schedules->first) {
		struct schedule *s = p->schedules->first;

		p->schedules->first = s->next;
		schedule_free(s);
	}
	free(p->schedules);
}

struct schedule *schedule_get(struct project *p, const char *id, struct err *e)
{
	struct schedule *s = p ? p->schedules->first : NULL;

	while (s && strcmp(s->id, id) != 0)
		s = s->next;
	if (!s)
		(void)err_set(e, ERR_NOT_FOUND, 0, "Not found: there is no schedule with this id");
	return s;
}

int schedule_check_room(const struct project *p, size_t n, struct err *e)
{
	const unsigned max = p->quota.schedules ? p->quota.schedules : SCHEDULES_MAX;

	if (p->schedules->n < max && n <= max - p->schedules->n)
		return 0;
	if (p->schedules->n < max)
		return err_set(e, ERR_LIMIT, 0,
			       "schedules: %zu more are too many: the quota \"schedules\" of this "
			       "project is %u, and %u have not ended",
			       n, max, p->schedules->n);
	return err_set(
		e, ERR_LIMIT, 0,
		"the quota \"schedules\" of this project is %u, and %u have not ended: cancel some",
		max, p->schedules->n);
}

struct submit schedule_submit(const struct schedule_spec *spec)
{
	return (struct submit){.payload = spec->payload,
			       .payload_len = spec->payload ? strlen(spec->payload) : 0,
			       .priority = spec->priority,
			       .timeout_s = spec->timeout_s,
			       .delay_s = spec->delay_s,
			       .label = *spec->label ? spec->label : NULL,
			       .cluster = *spec->cluster ? spec->cluster : NULL};
}

static int check_times(const struct schedule_spec *spec, uint64_t now, struct err *e)
{
	if (spec->run_every_s > SCHEDULE_EVERY_MAX)
		return err_set(e, ERR_INPUT, 0, "run_every: at most %d seconds",
			       SCHEDULE_EVERY_MAX);
	if (*spec->cron && spec->run_every_s)
		return err_set(e, ERR_INPUT, 0, "cron: not together with run_every");
	if (*spec->zone && !*spec->cron)
		return err_set(e, ERR_INPUT, 0, "timezone: is of cron, which is not given");
	if (spec->end_ns && spec->end_ns <= now)
		return err_set(e, ERR_INPUT, 0, "end_at: has passed");
	if (spec->end_ns && spec->end_ns < spec->start_ns)
		return err_set(e, ERR_INPUT, 0, "end_at: is before start_at");
	return 0;
}

static int check(struct front *f, struct project *p, const struct schedule_spec *spec, uint64_t now,
		 struct err *e)
{
	const struct submit what = schedule_submit(spec);
	struct worker *c = worker_by_name(p, spec->code_name);
	char shown[80];
	int r;

	if (!*spec->code_name)
		return err_set(e, ERR_INPUT, 0, "code_name: must be given");
	if (!c)
		return err_set(e, ERR_NOT_FOUND, 0,
			       "code_name: there is no worker \"%s\": upload it first",
			       util_escape(spec->code_name, shown, sizeof(shown)));
	if (c->going || p->going)
		return err_set(e, ERR_CONFLICT, 0, "code_name: the worker %s is being removed",
			       spec->code_name);
	if (worker_may_run(f, c, e) < 0)
		return -EACCES;
	r = submit_check(&what, e);
	return r < 0 ? r : check_times(spec, now, e);
}

void schedule_ended(struct schedule *s, enum schedule_state state)
{
	if (s->state == SCHEDULE_SCHEDULED)
		s->project->schedules->n--;
	s->state = state;
	s->next_ns = 0;
	s->timer = sd_event_source_disable_unref(s->timer);
}

int schedule_make(struct front *f, struct project *p, struct schedule_spec *spec,
		  struct schedule **ret, struct err *e)
{
	const uint64_t now = util_realtime_ns();
	struct schedule *s;
	int r;

	r = check(f, p, spec, now, e);
	if (r < 0)
		return r;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a schedule");
	util_new_id(s->id);
	s->front = f;
	s->project = p;
	s->spec = *spec;
	s->created_ns = s->changed_ns = now;
	r = schedule_read(s, e);
	if (r == 0) {
		s->next_ns = schedule_time_first(s, now);
		if (!s->next_ns)
			r = err_set(e, ERR_INPUT, 0, "cron: there is no such time %s",
				    spec->end_ns ? "before end_at" : "in the next 8 years");
	}
	if (r < 0) {
		s->spec.payload = NULL; /* still the caller's */
		schedule_free(s);
		return r;
	}
	*spec = (struct schedule_spec){0};
	*ret = s;
	return 0;
}

/* A change of one schedule that is there. */
struct schedule_change {
	struct change change;
	struct schedule *s; /* NULL: the schedule has gone from memory */
	enum { SCHEDULE_UPDATE, SCHEDULE_END, SCHEDULE_DROP } kind;
	/* What it is to be. Of an update spec and zone are owned, and counted: it will not have ended,
	 * as it has now. */
	struct schedule next;
	bool counted;
	bool is_due; /* of an end: a time that is due is tried again where the end is not written */
};

static int change_write(struct front *f, struct change *c, struct err *e)
{
	const struct schedule_change *x = OWNER(c, struct schedule_change, change);

	if (!x->s)
		return err_set(e, ERR_NOT_FOUND, 0, "the schedule was removed");
	return x->kind == SCHEDULE_DROP ? store_schedule_delete(f->store, x->s->id, e)
					: schedule_put(&x->next, e);
}

static void adopt_update(struct schedule *s, struct schedule_change *x)
{
	struct project_schedules *all = s->project->schedules;
	struct schedule *next = &x->next;

	schedule_spec_clear(&s->spec);
	zone_free(s->zone);
	s->spec = next->spec;
	s->line = next->line;
	s->zone = TAKE_PTR(next->zone);
	s->read = next->read;
	next->spec = (struct schedule_spec){0};
	if (next->state == SCHEDULE_SCHEDULED) {
		all->n += s->state != SCHEDULE_SCHEDULED && !x->counted;
		s->state = next->state;
		s->next_ns = next->next_ns;
	} else {
		schedule_ended(s, next->state);
	}
	s->tries = 0;
}

static void change_adopt(struct front *f, struct change *c, bool durable)
{
	struct schedule_change *x = OWNER(c, struct schedule_change, change);
	struct schedule *s = x->s;
	struct err e = {0};

	(void)f;
	if (!s)
		return;
	s->changing = NULL;
	if (!durable && x->counted)
		s->project->schedules->n--;
	if (durable && x->kind == SCHEDULE_DROP) {
		detach(s);
		schedule_free(s);
		return;
	}
	if (durable) {
		memcpy(s->msg, x->next.msg, sizeof(s->msg));
		s->changed_ns = x->next.changed_ns;
		if (x->kind == SCHEDULE_UPDATE)
			adopt_update(s, x);
		else
			schedule_ended(s, x->next.state);
	}
	/* A time that has come meanwhile was not looked at. */
	if (schedule_arm(s, &e) < 0)
		msg_warn("schedule %s: %s", s->id, e.msg);
}

static void change_done(struct front *f, struct change *c, const struct err *error)
{
	struct schedule_change *x = OWNER(c, struct schedule_change, change);

	(void)f;
	if (error && x->kind == SCHEDULE_DROP)
		msg_warn("an old schedule is not removed: %s", error->msg);
	if (error && x->is_due && x->s && !x->s->changing)
		schedule_try_later(x->s, error->msg);
	if (x->kind == SCHEDULE_UPDATE) {
		schedule_spec_clear(&x->next.spec);
		zone_free(x->next.zone);
	}
	free(x);
}

void schedule_leave(struct schedule *s)
{
	if (s->changing)
		s->changing->s = NULL;
	s->changing = NULL;
}

/* When this returns 0, s is not about to be another. */
static int check_idle(const struct schedule *s, struct err *e)
{
	if (!s->run && !s->changing)
		return 0;
	return err_set(e, ERR_UNAVAILABLE, 0, "the schedule %s is just %s: try again later", s->id,
		       s->run ? "queueing a task" : "being changed");
}

/* It is not marked yet. */
static struct schedule_change *change_new(struct schedule *s, struct err *e)
{
	struct schedule_change *x;

	if (check_idle(s, e) < 0)
		return NULL;
	x = calloc(1, sizeof(*x));
	if (!x) {
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "cannot change the schedule %s", s->id);
		return NULL;
	}
	x->change =
		(struct change){.write = change_write, .adopt = change_adopt, .done = change_done};
	x->s = s;
	x->next = *s;
	x->next.changed_ns = util_realtime_ns();
	return x;
}

static struct change *change_begin(struct schedule_change *x)
{
	const size_t bytes = x->next.spec.payload ? strlen(x->next.spec.payload) : 0;

	x->s->changing = x;
	change_mark(x->s->front, &x->change, turn_holder(x->s->project), bytes);
	return &x->change;
}

bool schedule_wait(struct schedule *s, struct change *c)
{
	if (s->run)
		change_add_with(&s->run->change, c);
	else if (s->changing)
		change_add_with(&s->changing->change, c);
	return s->run || s->changing;
}

/* Those that have ended and are too many, the oldest. */
static void trim(struct project *p)
{
	unsigned ended = 0;

	for (struct schedule *s = p->schedules->first; s; s = s->next) {
		struct schedule_change *x;

		if (s->state == SCHEDULE_SCHEDULED || ++ended <= SCHEDULES_ENDED_MAX)
			continue;
		x = change_new(s, NULL);
		if (!x)
			continue;
		x->kind = SCHEDULE_DROP;
		(void)change_begin(x);
	}
}

/* Schedules of one request that come: they count from now on, and are found when they are durable. */
struct schedules_making {
	struct change change;
	struct schedules_making *next; /* of project.schedules */
	char project[PROJECT_ID_LEN + 1];
	size_t n; /* 0: they are their project's, or were given up */
	struct schedule *made[];
};

static int making_write(struct front *f, struct change *c, struct err *e)
{
	const struct schedules_making *m = OWNER(c, struct schedules_making, change);
	int r = 0;

	(void)f;
	for (size_t i = 0; r == 0 && i < m->n; i++)
		r = schedule_put(m->made[i], e);
	return r;
}

/* The project is there: it does not go while something of it comes. */
static void making_adopt(struct front *f, struct change *c, bool durable)
{
	struct schedules_making *m = OWNER(c, struct schedules_making, change);
	struct project *p = project_by_id(f, m->project);
	struct schedules_making **at = &p->schedules->coming;
	struct err e = {0};

	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
	p->n_coming--;
	if (!durable)
		p->schedules->n -= (unsigned)m->n;
	for (size_t i = 0; i < m->n; i++) {
		if (!durable) {
			schedule_free(m->made[i]);
			continue;
		}
		attach(p, m->made[i]);
		if (schedule_arm(m->made[i], &e) < 0)
			msg_warn("schedule %s: %s", m->made[i]->id, e.msg);
	}
	m->n = 0;
}

static void making_done(struct front *f, struct change *c, const struct err *error)
{
	struct schedules_making *m = OWNER(c, struct schedules_making, change);
	struct project *p = project_by_id(f, m->project);

	if (p && !error)
		trim(p);
	free(m);
}

struct change *schedules_add(struct front *f, struct project *p, struct schedule *const *made,
			     size_t n, struct err *e)
{
	struct schedules_making *m;
	int r = schedule_check_room(p, n, e);

	/* A worker may have been removed since they were made. */
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = check(f, p, &made[i]->spec, made[i]->created_ns, e);
		if (r < 0 && n > 1)
			(void)err_wrap(e, r, "schedules[%zu]", i);
	}
	if (r < 0)
		return NULL;
	m = calloc(1, sizeof(*m) + n * sizeof(struct schedule *));
	if (!m) {
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "cannot make schedules");
		return NULL;
	}
	m->change =
		(struct change){.write = making_write, .adopt = making_adopt, .done = making_done};
	memcpy(m->project, p->id, sizeof(m->project));
	memcpy(m->made, made, n * sizeof(struct schedule *));
	m->n = n;
	m->next = p->schedules->coming;
	p->schedules->coming = m;
	p->schedules->n += (unsigned)n;
	p->n_coming++;
	change_mark(f, &m->change, turn_holder(p), n * sizeof(struct schedule_row));
	return &m->change;
}

struct change *schedule_update(struct front *f, struct schedule *s, struct schedule_spec *spec,
			       struct err *e)
{
	const uint64_t now = util_realtime_ns();
	struct schedule_change *x;
	struct schedule *next;
	int r = check_idle(s, e);

	if (r == 0 && s->state == SCHEDULE_CANCELLED)
		r = err_set(e, ERR_CONFLICT, 0, "the schedule %s is cancelled: make a new one",
			    s->id);
	if (r == 0)
		r = check(f, s->project, spec, now, e);
	x = r < 0 ? NULL : change_new(s, e);
	if (!x)
		return NULL;
	next = &x->next;
	x->kind = SCHEDULE_UPDATE;
	next->zone = NULL;
	next->spec = *spec;
	next->changed_ns = now;
	next->msg[0] = '\0';
	r = schedule_read(next, e);
	if (r == 0) {
		next->next_ns = schedule_time_first(next, now);
		next->state = next->next_ns ? SCHEDULE_SCHEDULED : SCHEDULE_COMPLETE;
		x->counted = next->state == SCHEDULE_SCHEDULED && s->state != SCHEDULE_SCHEDULED;
	}
	if (r == 0 && x->counted)
		r = schedule_check_room(s->project, 1, e);
	if (r < 0) {
		zone_free(next->zone);
		free(x);
		return NULL;
	}
	s->project->schedules->n += x->counted;
	*spec = (struct schedule_spec){0};
	return change_begin(x);
}

static void set_end(struct schedule *next, enum schedule_state state, const char *why)
{
	next->state = state;
	next->next_ns = 0;
	(void)snprintf(next->msg, sizeof(next->msg), "%s", why);
}

int schedule_end(struct schedule *s, enum schedule_state state, const char *why, struct err *e)
{
	struct schedule_change *x = change_new(s, e);

	if (!x)
		return -EBUSY;
	x->kind = SCHEDULE_END;
	x->is_due = true;
	set_end(&x->next, state, why);
	(void)change_begin(x);
	return 0;
}

struct change *schedule_cancel(struct front *f, struct schedule *s, struct err *e)
{
	struct schedule_change *x = change_new(s, e);

	(void)f;
	if (!x)
		return NULL;
	x->kind = SCHEDULE_END;
	set_end(&x->next, SCHEDULE_CANCELLED, "");
	return change_begin(x);
}

static const char worker_deleted[] = "its worker was deleted";

static bool is_of_worker(const struct schedule *s, const char *code_name)
{
	return s->state == SCHEDULE_SCHEDULED && strcmp(s->spec.code_name, code_name) == 0;
}

/* What is about to change may be of the worker, or come to be. It is soon over.
 * As part.h has it. NOLINTNEXTLINE(readability-non-const-parameter) */
static int remove_worker(struct front *f, struct worker *c, uint64_t *n, struct err *e)
{
	const struct project_schedules *all = c->project->schedules;

	(void)f;
	(void)n;
	(void)e;
	for (const struct schedules_making *m = all->coming; m; m = m->next)
		for (size_t i = 0; i < m->n; i++)
			if (is_of_worker(m->made[i], c->spec.name))
				return 1;
	for (const struct schedule *s = all->first; s; s = s->next)
		if (s->changing && (is_of_worker(s, c->spec.name) ||
				    is_of_worker(&s->changing->next, c->spec.name)))
			return 1;
	return 0;
}

/* The worker's schedules that have not ended are cancelled: here in the store, and in memory when
 * that is done (forget_worker). */
static int delete_worker(struct front *f, struct worker *c, struct err *e)
{
	int r = 0;

	(void)f;
	for (struct schedule *s = c->project->schedules->first; r == 0 && s; s = s->next) {
		struct schedule next = *s;

		if (!is_of_worker(s, c->spec.name))
			continue;
		if (s->run)
			return err_set(e, ERR_UNAVAILABLE, 0,
				       "its schedule %s is just queueing a task: try again later",
				       s->id);
		set_end(&next, SCHEDULE_CANCELLED, worker_deleted);
		next.changed_ns = util_realtime_ns();
		r = schedule_put(&next, e);
	}
	return r;
}

static void forget_worker(struct front *f, struct worker *c)
{
	(void)f;
	for (struct schedule *s = c->project->schedules->first; s; s = s->next) {
		if (!is_of_worker(s, c->spec.name))
			continue;
		(void)snprintf(s->msg, sizeof(s->msg), "%s", worker_deleted);
		s->changed_ns = util_realtime_ns();
		schedule_ended(s, SCHEDULE_CANCELLED);
	}
}

/* As remove_worker. */
static int remove_project(struct front *f, struct project *p, struct err *e)
{
	(void)f;
	(void)e;
	for (const struct schedule *s = p->schedules->first; s; s = s->next)
		if (s->changing)
			return 1;
	return 0;
}

static int delete_project(struct front *f, struct project *p, struct err *e)
{
	return store_schedule_delete_all(f->store, p->id, e);
}

static const struct part part = {.attach = attach_project,
				 .remove = remove_project,
				 .delete_project = delete_project,
				 .free = free_all,
				 .remove_worker = remove_worker,
				 .delete_worker = delete_worker,
				 .forget_worker = forget_worker};

const struct capability schedule_capability = {.name = "schedules",
					       .schema = &schedules_schema,
					       .load = schedule_load,
					       .clear = schedule_clear,
					       .listener = &schedule_listener,
					       .part = &part};
