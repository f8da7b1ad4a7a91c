// SPDX-License-Identifier: Apache-2.0
/* What clients ask of the queue: a task more, one of theirs, its end. */
#include <stdio.h>
#include <string.h>

#include "supervisor/front/run/queue/queue.h"
#include "supervisor/front/run/run.h"
#include "supervisor/front/store/chore.h"
#include "supervisor/front/store/query.h"

_Static_assert(QUEUE_LABEL_MAX < sizeof(((struct task_record *)NULL)->label) &&
		       QUEUE_CLUSTER_MAX < sizeof(((struct task_record *)NULL)->cluster),
	       "a record has room for what may be asked for");

const struct submit_bound submit_bounds[SUBMIT_FIELDS] = {
	[SUBMIT_PAYLOAD] = {"payload", QUEUE_PAYLOAD_MAX, " bytes"},
	[SUBMIT_LABEL] = {"label", QUEUE_LABEL_MAX, " bytes"},
	[SUBMIT_CLUSTER] = {"cluster", QUEUE_CLUSTER_MAX, " bytes"},
	[SUBMIT_PRIORITY] = {"priority", LANE_PRIORITIES - 1, ""},
	[SUBMIT_TIMEOUT] = {"timeout", QUEUE_TIMEOUT_MAX, " seconds"},
	[SUBMIT_DELAY] = {"delay", QUEUE_DELAY_MAX, " seconds"},
};

int submit_check(const struct submit *s, struct err *e)
{
	const uint64_t asked[SUBMIT_FIELDS] = {
		[SUBMIT_PAYLOAD] = s->payload_len,
		[SUBMIT_LABEL] = s->label ? strlen(s->label) : 0,
		[SUBMIT_CLUSTER] = s->cluster ? strlen(s->cluster) : 0,
		/* Below -1, which stands for the worker's own, it is a large number here. */
		[SUBMIT_PRIORITY] = s->priority == -1 ? 0 : (uint64_t)(int64_t)s->priority,
		[SUBMIT_TIMEOUT] = s->timeout_s,
		[SUBMIT_DELAY] = s->delay_s,
	};

	for (int i = 0; i < SUBMIT_FIELDS; i++)
		if (asked[i] > submit_bounds[i].max)
			return err_set(e, ERR_INPUT, 0, "%s: must be from 0 to %u%s",
				       submit_bounds[i].key, submit_bounds[i].max,
				       submit_bounds[i].unit);
	if (s->payload && memchr(s->payload, '\0', s->payload_len))
		return err_set(e, ERR_INPUT, 0, "payload: must be text, without NUL bytes");
	return 0;
}

#define QUEUED_MAX 1000000u /* of a project that has no quota of its own */
/* Attempts that are followed: more than retries and lost nodes make of one task. */
#define CHAIN_MAX (WORKER_RETRIES_MAX + QUEUE_LOST_MAX + 1)
#define QUEUED_BYTES_MAX (1ULL << 30) /* the payloads of what waits of a project */

static void fill(struct task_record *rec, const struct worker *c, const struct submit *s)
{
	const struct task_record *of = s->retry_of;

	(void)snprintf(rec->project, sizeof(rec->project), "%s", c->project->id);
	memcpy(rec->worker, c->id, sizeof(rec->worker));
	memcpy(rec->code_name, c->spec.name, sizeof(rec->code_name));
	rec->created_ns = util_realtime_ns();
	rec->not_before_ns = s->delay_s ? rec->created_ns + s->delay_s * SEC : 0;
	rec->retries_delay_s = c->spec.retries_delay_s;
	rec->revision = of && of->revision ? of->revision : c->revision;
	if (of) {
		memcpy(rec->original, *of->original ? of->original : of->id, sizeof(rec->original));
		memcpy(rec->label, of->label, sizeof(rec->label));
		memcpy(rec->cluster, of->cluster, sizeof(rec->cluster));
		memcpy(rec->schedule, of->schedule, sizeof(rec->schedule));
		rec->attempt = of->attempt + 1;
		rec->priority = of->priority;
		rec->timeout_asked_s = of->timeout_asked_s;
		rec->retries_left = of->retries_left;
		return;
	}
	rec->attempt = 1;
	rec->retries_left = c->spec.retries;
	rec->timeout_asked_s = s->timeout_s;
	rec->priority = s->priority >= 0 ? (uint32_t)s->priority : c->spec.default_priority;
	(void)snprintf(rec->label, sizeof(rec->label), "%s", s->label ? s->label : "");
	(void)snprintf(rec->cluster, sizeof(rec->cluster), "%s", s->cluster ? s->cluster : "");
	(void)snprintf(rec->schedule, sizeof(rec->schedule), "%s", s->schedule ? s->schedule : "");
}

struct task *queue_again(struct front *f, struct worker *c, const struct submit *s, bool must)
{
	char id[TASK_ID_LEN + 1];
	struct task *t;

	util_new_id(id);
	t = registry_new(id);
	if (!t)
		return NULL;
	t->project = c->project;
	t->worker = c;
	t->change.must = must;
	t->received_ns = util_monotonic_ns();
	fill(&t->rec, c, s);
	if (s->retry_of && s->retry_of->payload)
		t->rec.payload = strdup(s->retry_of->payload);
	else
		t->rec.payload = s->payload ? strndup(s->payload, s->payload_len) : strdup("");
	if (!t->rec.payload || flow_accept(f, t) < 0) {
		registry_free_task(f, t);
		return NULL;
	}
	if (s->with)
		change_add_with(&t->change, s->with);
	return t;
}

int queue_submit(struct front *f, struct worker *c, const struct submit *what,
		 char id[TASK_ID_LEN + 1], struct err *e)
{
	const struct project *p = c->project;
	const uint32_t max = p->quota.queued ? p->quota.queued : QUEUED_MAX;
	struct task *t;
	int r;

	if (c->going)
		return err_set(e, ERR_CONFLICT, 0, "the worker %s is being removed", c->spec.name);
	r = submit_check(what, e);
	if (r < 0)
		return r;
	if (p->run->queued_bytes + what->payload_len > QUEUED_BYTES_MAX)
		return err_set(e, ERR_LIMIT, 0,
			       "the payloads of this project's tasks that wait are %llu bytes, at "
			       "most %llu are possible: try again later, or queue a reference to "
			       "the data",
			       (unsigned long long)p->run->queued_bytes, QUEUED_BYTES_MAX);
	if (worker_may_run(f, c, e) < 0)
		return -EACCES;
	if (p->run->n_queued >= max)
		return err_set(e, ERR_LIMIT, 0,
			       "the quota \"queued\" of this project is %u, and %u wait already: "
			       "try again later",
			       max, p->run->n_queued);
	t = queue_again(f, c, what, false);
	if (!t)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a task");
	memcpy(id, t->rec.id, sizeof(t->rec.id));
	return 0;
}

int queue_get(struct front *f, const struct project *p, const char *id, struct task_record *ret,
	      struct err *e)
{
	const struct task *t = registry_find(f, id);
	int r = 0;

	if (t) {
		*ret = t->rec;
		ret->job = NULL;
		ret->payload = strdup(t->rec.payload ? t->rec.payload : "");
		if (!ret->payload)
			return err_set(e, ERR_SYSTEM, ENOMEM, "task %s", id);
	} else {
		r = util_is_id(id) ? store_task_get(f->store, id, ret, e) : -ENOENT;
	}
	if (r == 0 && (!p || strcmp(ret->project, p->id) == 0))
		return 0;
	if (r == 0)
		task_record_clear(ret);
	*ret = (struct task_record){0};
	if (r < 0 && e && e->code && e->code != ERR_NOT_FOUND)
		return r;
	if (!p)
		return err_set(e, ERR_NOT_FOUND, 0, "there is no task %s", id);
	/* The same words for what is another project's. */
	return err_set(e, ERR_NOT_FOUND, 0, "Not found: there is no task with this id");
}

/* The task in memory, for a change; NULL in *ret when it has ended. */
static int find_active(struct front *f, const struct project *p, const char *id, struct task **ret,
		       struct err *e)
{
	struct task_record rec;
	int r = queue_get(f, p, id, &rec, e);

	*ret = NULL;
	if (r < 0)
		return r;
	task_record_clear(&rec);
	if (!task_state_final((enum task_state)rec.state))
		*ret = queue_wake(f, id);
	return 0;
}

void queue_last_attempt(struct front *f, const struct project *p, const char *id,
			char ret[TASK_ID_LEN + 1])
{
	struct task_record rec;

	memmove(ret, id, TASK_ID_LEN);
	ret[TASK_ID_LEN] = '\0';
	for (int i = 0; i < CHAIN_MAX && queue_get(f, p, ret, &rec, NULL) == 0; i++) {
		task_record_clear(&rec);
		if (!task_state_final((enum task_state)rec.state) || !*rec.retry)
			break;
		memcpy(ret, rec.retry, TASK_ID_LEN + 1);
	}
}

int queue_cancel(struct front *f, const struct project *p, const char *id, struct task **ret,
		 struct err *e)
{
	char last[TASK_ID_LEN + 1];
	struct task *t;
	int r;

	*ret = NULL;
	queue_last_attempt(f, p, id, last);
	r = find_active(f, p, last, &t, e);
	if (r < 0)
		return r;
	if (t && flow_cancel(f, t, false))
		*ret = t;
	/* It has exited, and waits for its log's end: what it keeps from following is a retry. */
	if (t && *t->rec.worker && !*ret && !t->rec.cancel_ns) {
		t->rec.cancel_ns = util_realtime_ns();
		commit_mark(f, t);
		*ret = t;
	}
	return 0;
}

/* queue_cancel_all, while it is done. */
struct cancelling {
	struct chore chore;
	char project[PROJECT_ID_LEN + 1], worker[PROJECT_ID_LEN + 1];
	uint64_t upto, n; /* of queue_number; cancelled tasks */
	worker_done_fn done;
	void *arg;
};

static int cancel_slice(struct front *f, struct chore *chore, struct err *e)
{
	struct cancelling *w = OWNER(chore, struct cancelling, chore);
	struct worker *c = worker_get(project_by_id(f, w->project), w->worker, e);
	uint64_t some;
	bool more;
	int r;

	if (!c)
		return -ENOENT;
	r = queue_cancel_some(f, &c->run->lane, w->upto, &some, &more, e);
	w->n += some;
	if (r == 0 && more)
		return 1;
	c->run->cancelling--;
	/* What came meanwhile. */
	queue_dispatch_soon(f);
	return r;
}

static void cancel_end(struct front *f, struct chore *chore, const struct err *error)
{
	struct cancelling *w = OWNER(chore, struct cancelling, chore);

	(void)f;
	w->done(w->arg, w->n, error);
	free(w);
}

int queue_cancel_all(struct front *f, struct worker *c, worker_done_fn done, void *arg,
		     struct err *e)
{
	struct cancelling *w = calloc(1, sizeof(*w));

	if (!w)
		return err_set(e, ERR_SYSTEM, ENOMEM, "the worker %s", c->spec.name);
	*w = (struct cancelling){.chore = {.slice = cancel_slice, .end = cancel_end},
				 .upto = queue_number(f),
				 .done = done,
				 .arg = arg};
	memcpy(w->project, c->project->id, sizeof(w->project));
	memcpy(w->worker, c->id, sizeof(w->worker));
	c->run->cancelling++;
	chore_begin(f, &w->chore, turn_holder(c->project));
	return 0;
}

int queue_progress(struct front *f, const struct project *p, const char *id, uint32_t percent,
		   const char *msg, struct err *e)
{
	struct task *t;
	int r = find_active(f, p, id, &t, e);

	if (r < 0)
		return r;
	if (percent > 100)
		return err_set(e, ERR_INPUT, 0, "percent: must be from 0 to 100");
	if (!t || t->exited_at_ns)
		return err_set(e, ERR_CONFLICT, 0, "the task %s has ended", id);
	t->rec.percent = percent;
	if (msg)
		(void)snprintf(t->rec.msg, sizeof(t->rec.msg), "%s", msg);
	commit_mark_later(f, t);
	return 0;
}

/* The old task names the new one, and is no dead letter, from when that is durable on. */
struct retried {
	struct change change;
	char id[TASK_ID_LEN + 1], new_id[TASK_ID_LEN + 1];
};

static int retried_write(struct front *f, struct change *c, struct err *e)
{
	const struct retried *x = OWNER(c, struct retried, change);

	return store_task_retried(f->store, x->id, x->new_id, e);
}

static void retried_done(struct front *f, struct change *c, const struct err *error)
{
	(void)f;
	(void)error;
	free(OWNER(c, struct retried, change));
}

/* One that has not ended may yet be followed by an attempt of its own, and names that. */
static int retry_ended(struct front *f, struct worker *c, struct submit *s, const char *id,
		       char new_id[TASK_ID_LEN + 1], struct err *e)
{
	struct retried *x = calloc(1, sizeof(*x));
	int r;

	if (!x)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a task");
	x->change = (struct change){.write = retried_write, .done = retried_done};
	memcpy(x->id, id, TASK_ID_LEN);
	change_add_with(&x->change, s->with);
	s->with = &x->change;
	r = queue_submit(f, c, s, new_id, e);
	if (r < 0)
		free(x);
	else
		memcpy(x->new_id, new_id, sizeof(x->new_id));
	return r;
}

static int retry_now(struct front *f, struct project *p, const char *id, uint32_t delay_s,
		     char new_id[TASK_ID_LEN + 1], struct change *with, struct err *e)
{
	struct submit s = {.priority = -1, .delay_s = delay_s, .with = with};
	struct task_record rec;
	struct worker *c;
	int r;

	r = queue_get(f, p, id, &rec, e);
	if (r < 0)
		return r;
	c = worker_by_id(p, rec.worker);
	if (c) {
		s.retry_of = &rec;
		rec.retries_left = c->spec.retries;
		/* It is asked for now, and what was wrong may have been mended. */
		rec.revision = c->revision;
		r = task_state_final((enum task_state)rec.state)
			    ? retry_ended(f, c, &s, id, new_id, e)
			    : queue_submit(f, c, &s, new_id, e);
	} else {
		r = err_set(e, ERR_CONFLICT, 0, "its worker \"%s\" was removed", rec.code_name);
	}
	task_record_clear(&rec);
	return r;
}

/* A retry that waits until the end of what it repeats is durable. */
struct retrying {
	struct change change;
	char project[PROJECT_ID_LEN + 1], id[TASK_ID_LEN + 1];
	uint32_t delay_s;
	char *new_id;
	struct change *with;
};

static void retry_then(struct front *f, struct change *c, const struct err *error)
{
	struct retrying *w = OWNER(c, struct retrying, change);
	struct project *p = project_by_id(f, w->project);
	struct err e = {0};
	int r;

	if (error)
		r = err_set(&e, ERR_UNAVAILABLE, 0,
			    "the end of the task %s cannot be written: try again later", w->id);
	else if (!p)
		r = err_set(&e, ERR_NOT_FOUND, 0, "Not found: there is no such project");
	else
		r = retry_now(f, p, w->id, w->delay_s, w->new_id, w->with, &e);
	if (r < 0)
		w->with->done(f, w->with, &e);
	free(w);
}

int queue_retry(struct front *f, struct project *p, const char *id, uint32_t delay_s,
		char new_id[TASK_ID_LEN + 1], struct change *with, struct err *e)
{
	struct task *t = registry_find(f, id);
	struct retrying *w;

	/* It is found to be another project's there. */
	if (!t || t->project != p || !task_state_final((enum task_state)t->rec.state))
		return retry_now(f, p, id, delay_s, new_id, with, e);
	w = calloc(1, sizeof(*w));
	if (!w)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a task");
	*w = (struct retrying){
		.change = {.done = retry_then}, .delay_s = delay_s, .new_id = new_id, .with = with};
	memcpy(w->project, p->id, sizeof(w->project));
	memcpy(w->id, t->rec.id, sizeof(w->id));
	change_add_with(&t->change, &w->change);
	return 0;
}
