// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/run/schedule/schedule.h"

#include <stdio.h>
#include <string.h>

#include "lib/json_strict.h"
#include "lib/msg.h"
#include "supervisor/front/run/schedule/internal.h"

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
	memcpy(row.msg, s->msg, sizeof(row.msg));
	return row;
}

int schedule_put(const struct schedule *s, struct err *e)
{
	const struct schedule_row row = schedule_row_of(s);

	return store_schedule_put(s->front->store, s->project->id, &row, e);
}

void schedule_free(struct schedule *s)
{
	schedule_disarm(s);
	schedule_spec_clear(&s->spec);
	zone_free(s->zone);
	free(s);
}

static void attach(struct project *p, struct schedule *s)
{
	s->project = p;
	s->next = p->schedules;
	p->schedules = s;
	p->n_schedules += s->state == SCHEDULE_SCHEDULED;
}

static int load(void *arg, const char *project, struct schedule_row *row)
{
	struct project *p = project_by_id(arg, project);
	struct schedule *s;

	/* Its project went, and the rest of it with a power cut: it is nobody's. */
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
	/* A zone that is no more is told when it is due. */
	(void)schedule_read(s, NULL);
	schedule_settle_clock(s, util_realtime_ns());
	return 0;
}

int schedule_load(struct front *f, struct err *e)
{
	int r = schedule_watch_clock(f);

	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "cannot watch the clock");
	return store_schedule_load(f->store, load, f, e);
}

void schedule_clear(struct front *f)
{
	f->run->clock = sd_event_source_disable_unref(f->run->clock);
}

static void free_all(struct project *p)
{
	while (p->schedules) {
		struct schedule *s = p->schedules;

		p->schedules = s->next;
		schedule_free(s);
	}
	p->n_schedules = 0;
}

struct schedule *schedule_by_id(struct project *p, const char *id)
{
	struct schedule *s = p->schedules;

	while (s && strcmp(s->id, id) != 0)
		s = s->next;
	return s;
}

int schedule_check_room(const struct project *p, size_t n, struct err *e)
{
	const unsigned max = p->quota.schedules ? p->quota.schedules : SCHEDULES_MAX;

	if (p->n_schedules < max && n <= max - p->n_schedules)
		return 0;
	if (p->n_schedules < max)
		return err_set(e, ERR_LIMIT, 0,
			       "schedules: %zu more are too many: %u schedules of this project "
			       "have not ended, and its quota \"schedules\" is %u",
			       n, p->n_schedules, max);
	return err_set(
		e, ERR_LIMIT, 0,
		"%u schedules of this project have not ended, and its quota \"schedules\" is "
		"%u: cancel some",
		p->n_schedules, max);
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
	struct code *c = code_by_name(p, spec->code_name);
	char shown[80];

	if (!*spec->code_name)
		return err_set(e, ERR_INPUT, 0, "code_name: must be given");
	if (!c)
		return err_set(e, ERR_NOT_FOUND, 0,
			       "code_name: there is no code \"%s\": upload it first",
			       json_strict_escape(spec->code_name, shown, sizeof(shown)));
	if (code_may_run(f, c, e) < 0)
		return -EACCES;
	if (spec->payload && strlen(spec->payload) > QUEUE_PAYLOAD_MAX)
		return err_set(e, ERR_INPUT, EMSGSIZE, "payload: %zu bytes, at most %u",
			       strlen(spec->payload), QUEUE_PAYLOAD_MAX);
	if (spec->priority < -1 || spec->priority >= LANE_PRIORITIES)
		return err_set(e, ERR_INPUT, 0, "priority: must be 0, 1 or 2");
	if (spec->timeout_s > QUEUE_TIMEOUT_MAX)
		return err_set(e, ERR_INPUT, 0, "timeout: at most %u seconds", QUEUE_TIMEOUT_MAX);
	if (spec->delay_s > QUEUE_DELAY_MAX)
		return err_set(e, ERR_INPUT, 0, "delay: at most %u seconds", QUEUE_DELAY_MAX);
	return check_times(spec, now, e);
}

void schedule_trim(struct project *p)
{
	unsigned ended = 0;

	for (struct schedule **at = &p->schedules, *s; (s = *at);) {
		struct err e = {0};

		if (s->state == SCHEDULE_SCHEDULED || ++ended <= SCHEDULES_ENDED_MAX) {
			at = &s->next;
			continue;
		}
		if (store_schedule_delete(s->front->store, s->id, &e) < 0) {
			msg_warn("an old schedule is not removed: %s", e.msg);
			return;
		}
		*at = s->next;
		schedule_free(s);
	}
}

void schedule_ended(struct schedule *s, enum schedule_state state)
{
	if (s->state == SCHEDULE_SCHEDULED)
		s->project->n_schedules--;
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

int schedule_add(struct front *f, struct schedule *s, struct err *e)
{
	struct project *p = s->project;
	int r;

	/* Its code may have gone since it was made. */
	r = check(f, p, &s->spec, s->created_ns, e);
	if (r == 0)
		r = schedule_check_room(p, 1, e);
	if (r == 0)
		r = schedule_arm(s, e);
	if (r == 0)
		r = schedule_put(s, e);
	if (r < 0) {
		schedule_disarm(s);
		return r;
	}
	attach(p, s);
	return 0;
}

void schedule_take_back(struct schedule *s)
{
	struct schedule **at = &s->project->schedules;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	s->project->n_schedules -= s->state == SCHEDULE_SCHEDULED;
	schedule_disarm(s);
}

int schedule_create(struct front *f, struct project *p, struct schedule_spec *spec,
		    struct schedule **ret, struct err *e)
{
	struct schedule *s = NULL;
	int r;

	r = schedule_make(f, p, spec, &s, e);
	if (!s)
		return r;
	r = schedule_add(f, s, e);
	if (r == 0) {
		*ret = s;
		schedule_trim(p);
		return 0;
	}
	*spec = s->spec; /* the caller's again */
	s->spec.payload = NULL;
	schedule_free(s);
	return r;
}

/* Nothing of it is being queued when this returns 0. */
static int settle(struct front *f, struct schedule *s, struct err *e)
{
	if (s->run)
		commit_now(f);
	if (!s->run)
		return 0;
	return err_set(e, ERR_UNAVAILABLE, 0,
		       "the schedule %s is just queueing a task: try again later", s->id);
}

int schedule_update(struct front *f, struct schedule *s, struct schedule_spec *spec, struct err *e)
{
	const uint64_t now = util_realtime_ns();
	struct schedule next;
	int r;

	r = settle(f, s, e);
	if (r == 0 && s->state == SCHEDULE_CANCELLED)
		r = err_set(e, ERR_CONFLICT, 0, "the schedule %s is cancelled: make a new one",
			    s->id);
	if (r == 0)
		r = check(f, s->project, spec, now, e);
	if (r < 0)
		return r;
	next = *s;
	next.zone = NULL;
	next.spec = *spec;
	next.changed_ns = now;
	next.msg[0] = '\0';
	r = schedule_read(&next, e);
	if (r < 0)
		return r;
	next.next_ns = schedule_time_first(&next, now);
	next.state = next.next_ns ? SCHEDULE_SCHEDULED : SCHEDULE_COMPLETE;
	if (next.state == SCHEDULE_SCHEDULED && s->state != SCHEDULE_SCHEDULED)
		r = schedule_check_room(s->project, 1, e);
	if (r == 0)
		r = schedule_put(&next, e);
	if (r < 0) {
		zone_free(next.zone);
		return r;
	}
	schedule_spec_clear(&s->spec);
	zone_free(s->zone);
	s->project->n_schedules -= s->state == SCHEDULE_SCHEDULED;
	s->project->n_schedules += next.state == SCHEDULE_SCHEDULED;
	*s = next;
	s->tries = 0;
	*spec = (struct schedule_spec){0};
	return schedule_arm(s, e);
}

/* As it is once it is cancelled. */
static struct schedule cancelled(const struct schedule *s, const char *why)
{
	struct schedule next = *s;

	next.state = SCHEDULE_CANCELLED;
	next.next_ns = 0;
	next.changed_ns = util_realtime_ns();
	(void)snprintf(next.msg, sizeof(next.msg), "%s", why);
	return next;
}

static void adopt_cancelled(struct schedule *s, const char *why)
{
	(void)snprintf(s->msg, sizeof(s->msg), "%s", why);
	s->changed_ns = util_realtime_ns();
	schedule_ended(s, SCHEDULE_CANCELLED);
}

int schedule_cancel(struct front *f, struct schedule *s, struct err *e)
{
	struct schedule next;
	int r;

	r = settle(f, s, e);
	if (r < 0 || s->state == SCHEDULE_CANCELLED)
		return r;
	next = cancelled(s, "");
	r = schedule_put(&next, e);
	if (r == 0)
		adopt_cancelled(s, "");
	return r;
}

static const char code_deleted[] = "its code was deleted";

static bool is_of_code(const struct schedule *s, const char *code_name)
{
	return s->state == SCHEDULE_SCHEDULED && strcmp(s->spec.code_name, code_name) == 0;
}

/* Those that have not ended are cancelled: in the store first, then in memory. */
static int delete_worker(struct front *f, struct code *c, struct err *e)
{
	int r = 0;

	(void)f;
	for (struct schedule *s = c->project->schedules; r == 0 && s; s = s->next) {
		struct schedule next;

		if (!is_of_code(s, c->spec.name))
			continue;
		if (s->run)
			return err_set(e, ERR_UNAVAILABLE, 0,
				       "its schedule %s is just queueing a task: try again later",
				       s->id);
		next = cancelled(s, code_deleted);
		r = schedule_put(&next, e);
	}
	return r;
}

static void forget_worker(struct front *f, struct code *c)
{
	(void)f;
	for (struct schedule *s = c->project->schedules; s; s = s->next)
		if (is_of_code(s, c->spec.name))
			adopt_cancelled(s, code_deleted);
}

const struct part schedule_part = {
	.free = free_all, .delete_worker = delete_worker, .forget_worker = forget_worker};
