// SPDX-License-Identifier: Apache-2.0
/* What clients ask of the queue: a task more, one of theirs, its end. */
#include <stdio.h>
#include <string.h>

#include "supervisor/front/run/run.h"
#include "supervisor/front/store/query.h"

#define QUEUED_MAX 1000000u /* of a project that has no quota of its own */
/* Attempts that are followed: more than retries and lost nodes make of one task. */
#define CHAIN_MAX (CODE_RETRIES_MAX + QUEUE_LOST_MAX + 1)
#define QUEUED_BYTES_MAX (1ULL << 30) /* the payloads of what waits of a project */

static int check(struct front *f, struct code *c, const struct submit *s, struct err *e)
{
	const struct project *p = c->project;
	const uint32_t max = p->quota.queued ? p->quota.queued : QUEUED_MAX;

	if (s->payload_len > QUEUE_PAYLOAD_MAX)
		return err_set(e, ERR_INPUT, EMSGSIZE, "payload: %zu bytes, at most %u",
			       s->payload_len, QUEUE_PAYLOAD_MAX);
	if (s->payload && memchr(s->payload, '\0', s->payload_len))
		return err_set(e, ERR_INPUT, 0, "payload: must be text, without NUL bytes");
	if (s->priority < -1 || s->priority >= LANE_PRIORITIES)
		return err_set(e, ERR_INPUT, 0, "priority: must be 0, 1 or 2");
	if (s->timeout_s > QUEUE_TIMEOUT_MAX)
		return err_set(e, ERR_INPUT, 0, "timeout: at most %u seconds", QUEUE_TIMEOUT_MAX);
	if (s->delay_s > QUEUE_DELAY_MAX)
		return err_set(e, ERR_INPUT, 0, "delay: at most %u seconds", QUEUE_DELAY_MAX);
	if (s->label && strlen(s->label) > QUEUE_LABEL_MAX)
		return err_set(e, ERR_INPUT, 0, "label: at most %d bytes", QUEUE_LABEL_MAX);
	if (s->cluster && strlen(s->cluster) >= sizeof(((struct task_record *)0)->cluster))
		return err_set(e, ERR_INPUT, 0, "cluster: at most 64 bytes");
	if (p->queued_bytes + s->payload_len > QUEUED_BYTES_MAX)
		return err_set(e, ERR_LIMIT, 0,
			       "the payloads of this project's tasks that wait are %llu bytes, at "
			       "most %llu are possible: try again later, or queue a reference to "
			       "the data",
			       (unsigned long long)p->queued_bytes, QUEUED_BYTES_MAX);
	if (code_may_run(f, c, e) < 0)
		return -EACCES;
	if (p->n_queued >= max)
		return err_set(e, ERR_LIMIT, 0,
			       "%u tasks of this project wait already, and its quota \"queued\" "
			       "is %u: try again later",
			       p->n_queued, max);
	return 0;
}

static void fill(struct task_record *rec, const struct code *c, const struct submit *s)
{
	const struct task_record *of = s->retry_of;

	(void)snprintf(rec->project, sizeof(rec->project), "%s", c->project->id);
	memcpy(rec->code, c->id, sizeof(rec->code));
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

struct task *queue_again(struct front *f, struct code *c, const struct submit *s)
{
	char id[TASK_ID_LEN + 1];
	struct task *t;

	util_new_id(id);
	t = registry_new(id);
	if (!t)
		return NULL;
	t->project = c->project;
	t->code = c;
	t->is_new = true;
	t->must_be = s->must_be;
	t->received_ns = util_monotonic_ns();
	fill(&t->rec, c, s);
	if (s->retry_of && s->retry_of->spec)
		t->rec.spec = strdup(s->retry_of->spec);
	else
		t->rec.spec = s->payload ? strndup(s->payload, s->payload_len) : strdup("");
	if (!t->rec.spec || queue_push(f, t) < 0) {
		registry_free_task(f, t);
		return NULL;
	}
	registry_add(f, t);
	commit_note(t, "accepted", "");
	commit_mark(f, t);
	return t;
}

int queue_submit(struct front *f, struct code *c, const struct submit *what,
		 char id[TASK_ID_LEN + 1], submit_fn done, void *arg, struct err *e)
{
	struct task *t;
	int r;

	if (c->going)
		return err_set(e, ERR_CONFLICT, 0, "the code %s is being removed", c->spec.name);
	r = check(f, c, what, e);
	if (r < 0)
		return r;
	t = queue_again(f, c, what);
	if (!t)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a task");
	t->submitted = done;
	t->submitted_arg = arg;
	t->also = what->also;
	t->also_arg = what->also_arg;
	memcpy(id, t->rec.id, sizeof(t->rec.id));
	/* The monitor is asked first, the disk second: both then work at once. */
	queue_dispatch_soon(f);
	return 0;
}

int queue_get(struct front *f, const struct project *p, const char *id, struct task_record *ret,
	      struct err *e)
{
	const struct task *t = registry_find(f, id);
	int r = 0;

	if (t) {
		*ret = t->rec;
		ret->spec = strdup(t->rec.spec ? t->rec.spec : "");
		if (!ret->spec)
			return err_set(e, ERR_SYSTEM, ENOMEM, "task %s", id);
	} else {
		r = util_is_id(id) ? store_task_get(f->store, id, ret, e) : -ENOENT;
	}
	if (r == 0 && (!p || strcmp(ret->project, p->id) == 0))
		return 0;
	if (r == 0)
		free(ret->spec);
	*ret = (struct task_record){0};
	if (r < 0 && e && e->code && e->code != ERR_NOT_FOUND)
		return r;
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
	free(rec.spec);
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
		free(rec.spec);
		if (!task_state_final((enum task_state)rec.state) || !*rec.retry)
			break;
		memcpy(ret, rec.retry, TASK_ID_LEN + 1);
	}
}

int queue_cancel(struct front *f, const struct project *p, const char *id, bool *ret_changed,
		 struct err *e)
{
	char last[TASK_ID_LEN + 1];
	struct task *t;
	int r;

	queue_last_attempt(f, p, id, last);
	r = find_active(f, p, last, &t, e);
	if (r < 0)
		return r;
	*ret_changed = t && flow_cancel(f, t, false);
	/* It has exited, and waits for its log's end: what it keeps from following is a retry. */
	if (t && *t->rec.code && !*ret_changed && !t->rec.cancel_ns) {
		t->rec.cancel_ns = util_realtime_ns();
		commit_mark(f, t);
		*ret_changed = true;
	}
	return 0;
}

/* queue_cancel_all, while it is done. */
struct cancelling {
	struct work work;
	char project[PROJECT_ID_LEN + 1], code[PROJECT_ID_LEN + 1];
	uint64_t upto, n; /* of queue_number; cancelled tasks */
	code_done_fn done;
	void *arg;
};

static int cancel_some(struct front *f, struct code *c, struct cancelling *w, struct err *e)
{
	uint64_t some;
	bool more;
	int r;

	r = queue_cancel_some(f, &c->lane, w->upto, &some, &more, e);
	w->n += some;
	if (r == 0 && more)
		return 1;
	c->cancelling--;
	commit_now(f);
	if (r == 0)
		r = store_sync(f->store, e);
	/* What came meanwhile. */
	queue_dispatch(f);
	return r;
}

static bool cancel_slice(struct front *f, struct work *work)
{
	struct cancelling *w = (struct cancelling *)work;
	struct project *p = project_by_id(f, w->project);
	struct code *c = p ? code_by_id(p, w->code) : NULL;
	struct err e = {0};
	int r;

	if (!c)
		r = err_set(&e, ERR_NOT_FOUND, 0, "Not found: there is no code with this id");
	else
		r = cancel_some(f, c, w, &e);
	if (r > 0)
		return true;
	w->done(w->arg, w->n, r < 0 ? &e : NULL);
	free(w);
	return false;
}

static void cancel_drop(struct front *f, struct work *work)
{
	struct cancelling *w = (struct cancelling *)work;
	struct err e = {0};

	(void)f;
	(void)err_set(&e, ERR_UNAVAILABLE, 0, "sandboxd is going down");
	w->done(w->arg, w->n, &e);
	free(w);
}

int queue_cancel_all(struct front *f, struct code *c, code_done_fn done, void *arg, struct err *e)
{
	struct cancelling *w = calloc(1, sizeof(*w));

	if (!w)
		return err_set(e, ERR_SYSTEM, ENOMEM, "the code %s", c->spec.name);
	*w = (struct cancelling){.work = {.slice = cancel_slice, .drop = cancel_drop},
				 .upto = queue_number(f),
				 .done = done,
				 .arg = arg};
	memcpy(w->project, c->project->id, sizeof(w->project));
	memcpy(w->code, c->id, sizeof(w->code));
	c->cancelling++;
	turn_add(f, turn_holder(c->project), TURN_WORK, &w->work);
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

int queue_retry(struct front *f, struct project *p, const char *id, uint32_t delay_s,
		char new_id[TASK_ID_LEN + 1], submit_fn done, void *arg, struct err *e)
{
	struct submit s = {.priority = -1, .delay_s = delay_s};
	struct task_record rec;
	struct code *c;
	struct task *t;
	bool ended;
	int r;

	/* An end that is not in the store yet is there after this, or the disk fails. */
	commit_now(f);
	r = queue_get(f, p, id, &rec, e);
	if (r < 0)
		return r;
	c = code_by_id(p, rec.code);
	ended = task_state_final((enum task_state)rec.state);
	if (!c) {
		r = err_set(e, ERR_CONFLICT, 0, "its code \"%s\" is no more", rec.code_name);
	} else if (ended && registry_find(f, id)) {
		r = err_set(e, ERR_UNAVAILABLE, 0,
			    "the end of the task %s cannot be written: try "
			    "again later",
			    id);
	} else {
		s.retry_of = &rec;
		rec.retries_left = c->spec.retries;
		/* It is asked for now, and what was wrong may have been mended. */
		rec.revision = c->revision;
		r = queue_submit(f, c, &s, new_id, done, arg, e);
	}
	/* The old task names the new one, and is no dead letter, from when that is durable on. One
	 * that has not ended may yet be followed by an attempt of its own. */
	t = r == 0 && ended ? registry_find(f, new_id) : NULL;
	if (t)
		memcpy(t->retries, id, sizeof(t->retries));
	free(rec.spec);
	return r;
}

int queue_list(struct front *f, const struct task_query *q,
	       int (*fn)(void *arg, struct task_record *rec), void *arg, struct err *e)
{
	return store_task_query(f->store, q, fn, arg, e);
}
