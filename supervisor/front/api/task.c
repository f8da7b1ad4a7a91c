// SPDX-License-Identifier: Apache-2.0
/* Tasks that exist: list, show, wait for, cancel, remove; how far they are, and what they print. */
#include <string.h>

#include "lib/json_put.h"
#include "lib/timefmt.h"
#include "supervisor/front/api/iron/body.h"
#include "supervisor/front/api/list.h"
#include "supervisor/front/api/shapes.h"
#include "supervisor/front/api/verbs.h"
#include "supervisor/front/run/log_keep.h"

/* A list must fit one frame. Whoever wants all tasks asks again, for those before the last one. */
#define LIST_BYTES_MAX (CONTROL_FRAME_MAX - (64u << 10))
#define LIST_TASKS_MAX 200u

/* Reads "id", the last of what is read: a whole one. Over HTTP it is of the project that
 * the path names; on the control socket it may be a unique beginning, of any project or of
 * "project". */
static int call_task(struct call *c, char ret[TASK_ID_LEN + 1], struct err *e)
{
	const char *id = call_id(c);
	int r;

	if (c->http || json_object_get(c->in->obj, "project"))
		call_project(c);
	r = call_end(c, e);
	if (r < 0)
		return r;
	if (!c->http) {
		struct task_record rec = {0};

		r = registry_resolve(c->f, id, ret, e);
		if (r < 0 || !c->project)
			return r;
		r = queue_get(c->f, c->project, ret, &rec, e);
		task_record_clear(&rec);
		return r;
	}
	/* A path has the whole id: a project's token is not for trying out beginnings of others'. */
	if (!util_is_id(id))
		return err_set(e, ERR_NOT_FOUND, 0, "Not found: there is no task with this id");
	memcpy(ret, id, TASK_ID_LEN + 1);
	return 0;
}

int call_record(struct call *c, struct task_record *ret, struct err *e)
{
	char id[TASK_ID_LEN + 1];
	int r = call_task(c, id, e);

	return r < 0 ? r : queue_get(c->f, c->project, id, ret, e);
}

/* "queued,running" as bits. */
static int read_states(const char *text, unsigned *ret, struct err *e)
{
	char name[16], shown[64];

	while (text && *text) {
		size_t n = strcspn(text, ",");
		int state = -EINVAL;

		if (n < sizeof(name)) {
			memcpy(name, text, n);
			name[n] = '\0';
			state = task_state_parse(name);
		}
		if (state < 0)
			return err_set(e, ERR_INPUT, 0,
				       "status: %s: must be of queued, preparing, running, "
				       "complete, error, cancelled, killed, timeout",
				       util_escape(text, shown, sizeof(shown)));
		*ret |= 1u << state;
		text += n + (text[n] == ',');
	}
	return 0;
}

static void read_time(struct call *c, const char *key, uint64_t *ret)
{
	const char *text = call_string(c, key, 63);
	struct err e = {0};

	if (text && timefmt_parse(key, text, ret, &e) < 0)
		(void)json_strict_fail(c->in, NULL, "%s", e.msg);
}

/* One task of the list: as the one or the other socket shows it. */
static int add_record(struct list *l, const struct task_record *rec)
{
	if (l->n == l->page.limit || list_bytes(l) > LIST_BYTES_MAX) {
		l->more = true;
		return 1;
	}
	memcpy(l->last, rec->id, sizeof(l->last));
	list_add(l, l->flat ? task_json_flat(l->f, rec)
			    : task_json(rec, project_by_id(l->f, rec->project)));
	return 0;
}

static int add_stored(void *arg, struct task_record *rec)
{
	struct list *l = arg;
	const struct task *t = registry_find(l->f, rec->id);

	/* Memory knows the latest. */
	return add_record(l, t ? &t->rec : rec);
}

static int some_stored(struct list *l, struct project *p, struct err *e)
{
	l->query.project = p ? p->id : NULL;
	return list_tasks(l, add_stored, e);
}

struct active {
	const struct task *task;
};

struct active_list {
	struct active *list;
	unsigned n;
};

static void collect_active(struct front *f, struct task *t, void *arg)
{
	struct active_list *a = arg;

	(void)f;
	if (!task_state_final((enum task_state)t->rec.state))
		a->list[a->n++].task = t;
}

static int newer_first(const void *a, const void *b)
{
	uint64_t x = ((const struct active *)a)->task->rec.created_ns;
	uint64_t y = ((const struct active *)b)->task->rec.created_ns;

	return x < y ? 1 : x > y ? -1 : 0;
}

/* All at once: they are in memory, and few. */
static int some_active(struct list *l, struct project *p, struct err *e)
{
	struct active_list a = {.list = calloc(l->f->run->tasks.n + 1, sizeof(*a.list))};

	(void)p;
	if (!a.list)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot list the tasks");
	registry_each(l->f, collect_active, &a);
	qsort(a.list, a.n, sizeof(*a.list), newer_first);
	for (unsigned i = 0; i < a.n && add_record(l, &a.list[i].task->rec) == 0; i++)
		;
	free(a.list);
	return 0;
}

/*
 * Newest first. On the control socket, of all projects where none is named, and without "all" or
 * "status" those that have not ended.
 */
static int tasks(struct call *c, bool dead_letter, struct err *e)
{
	const unsigned max = c->http ? PAGE_LIMIT_MAX : LIST_TASKS_MAX;
	int64_t limit = c->http ? PAGE_LIMIT : LIST_TASKS_MAX;
	struct task_query q = {.dead_letter = dead_letter};
	const char *states;
	bool all = c->http != NULL, in_memory;
	struct list *l;
	int r;

	if (c->http || json_object_get(c->in->obj, "project"))
		call_project(c);
	if (!c->http)
		(void)call_bool(c, "all", &all);
	q.code_name = call_string(c, "code_name", WORKER_NAME_MAX);
	q.label = call_string(c, "label", QUEUE_LABEL_MAX);
	q.before = call_string(c, "before", TASK_ID_LEN);
	states = call_string(c, "status", 255);
	(void)call_int(c, "limit", 1, max, &limit);
	read_time(c, "from", &q.from_ns);
	read_time(c, "to", &q.to_ns);
	if (q.before && !util_is_id(q.before))
		(void)json_strict_fail(c->in, "before", "must be what the page before said");
	r = call_end(c, e);
	if (r < 0)
		return r;
	r = read_states(states, &q.states, e);
	if (r < 0)
		return r;
	/* What waits is in the store, perhaps there alone. */
	in_memory = !all && !states && !c->project && !q.before && !q.code_name && !q.label &&
		    !q.from_ns && !q.to_ns && queue_length(c->f) == 0;
	if (!all && !states)
		q.states = 1u << TASK_QUEUED | 1u << TASK_PREPARING | 1u << TASK_RUNNING;
	/* One more, to know whether there is one. */
	q.limit = (unsigned)limit + 1;
	l = list_new(c, "tasks", c->project, in_memory ? some_active : some_stored, e);
	if (!l)
		return -ENOMEM;
	l->page.limit = (unsigned)limit;
	l->tell_last = true;
	l->flat = c->http != NULL;
	return list_set_query(l, &q, e) < 0 ? list_fail(l) : list_answer(c, l, e);
}

int verb_tasks(struct call *c, struct err *e)
{
	return tasks(c, false, e);
}

int verb_dead_letters(struct call *c, struct err *e)
{
	return tasks(c, true, e);
}

/* With its history; to who asked for it over HTTP, also with its payload. */
int verb_task(struct call *c, struct err *e)
{
	struct task_record rec = {0};
	json_t *o;
	int r = call_record(c, &rec, e);

	if (r < 0)
		return r;
	if (c->http) {
		o = task_json_flat(c->f, &rec);
		/* Of a task of sandboxctl run it is no payload. */
		json_put(&o, "payload",
			 *rec.worker && rec.payload ? json_text_or_null(rec.payload) : json_null());
	} else {
		o = json_object();
		json_put(&o, "task", task_json(&rec, project_by_id(c->f, rec.project)));
	}
	json_put(&o, "history", task_json_history(c->f, rec.id));
	task_record_clear(&rec);
	call_reply(c, o);
	return 0;
}

int verb_wait(struct call *c, struct err *e)
{
	char id[TASK_ID_LEN + 1];
	struct task_record rec = {0};
	struct waiter *w;
	struct task *t;
	int r = call_task(c, id, e);

	if (r < 0)
		return r;
	t = queue_wake(c->f, id);
	/* Also one that has ended: it answers when that is in the store. */
	if (t) {
		w = call_later(c, e);
		if (!w)
			return -EBUSY;
		waiter_attach(w, &t->waiters);
		w->finished = true;
		return 0;
	}
	r = queue_get(c->f, c->project, id, &rec, e);
	task_record_clear(&rec);
	if (r == 0)
		call_reply(c, json_pack("{s:s, s:s, s:o}", "event", "finished", "id", id, "task",
					task_json(&rec, project_by_id(c->f, rec.project))));
	return r;
}

/* The last attempt is: nothing more of it is wanted. */
int verb_cancel(struct call *c, struct err *e)
{
	struct task_record rec = {0};
	bool force = false;
	char id[TASK_ID_LEN + 1];
	struct task *t = NULL;
	json_t *reply;
	int r;

	(void)call_bool(c, "force", &force);
	r = call_task(c, id, e);
	if (r < 0)
		return r;
	if (force) {
		queue_last_attempt(c->f, c->project, id, id);
		t = queue_wake(c->f, id);
		force = t && (!c->project || t->project == c->project);
		if (force && !flow_cancel(c->f, t, true))
			t = NULL;
	}
	if (!force) {
		r = queue_cancel(c->f, c->project, id, &t, e);
		if (r < 0)
			return r;
	}
	queue_last_attempt(c->f, c->project, id, id);
	r = queue_get(c->f, c->project, id, &rec, e);
	task_record_clear(&rec);
	if (r < 0)
		return r;
	if (c->lenient)
		reply = json_pack("{s:s}", "msg", "Cancelled");
	else
		reply = json_pack("{s:s, s:s, s:s, s:b}", "msg", "Cancelled", "id", id, "status",
				  task_state_name((enum task_state)rec.state), "changed",
				  t != NULL);
	/* Said when it is durable: a front that dies now must not run it. */
	if (t && t->change.marked)
		return call_reply_when(c, &t->change, reply, e);
	call_reply(c, reply);
	return 0;
}

int verb_progress(struct call *c, struct err *e)
{
	struct iron_progress what;
	struct task_record rec = {0};
	int r = call_record(c, &rec, e);

	task_record_clear(&rec);
	if (r < 0)
		return r;
	r = iron_progress_parse(c->http->body, c->http->len, !c->lenient, &what, e);
	if (r < 0)
		return r;
	r = queue_progress(c->f, c->project, rec.id, what.has_percent ? what.percent : rec.percent,
			   what.msg, e);
	/* A worker may be over before its client has said how far it is; to IronWorker that is
	 * no error. */
	if (r < 0 && (e->code != ERR_CONFLICT || !c->lenient))
		return r;
	call_message(c, "Progress set");
	return 0;
}

/*
 * IronWorker's clients wait for a log by asking until it is there: before that it is an error
 * with "log" in its words (tasksWaitForLog of the one for Node.js).
 */
static int send_log(struct call *c, unsigned streams, struct err *e)
{
	const bool lenient = c->lenient;
	struct task_record rec = {0};
	int r = call_record(c, &rec, e);

	task_record_clear(&rec);
	if (r < 0)
		return r;
	r = log_keep_check(&rec, c->project, e);
	/* The words of this answer lack "log": otherwise that client would wait for ever. */
	if (r < 0 && rec.log_gone && lenient)
		return err_set(e, ERR_NOT_FOUND, 0,
			       "Not found: what this task has printed is kept no longer");
	if (r < 0)
		return r;
	if (lenient && (rec.state == TASK_QUEUED || rec.state == TASK_PREPARING))
		return err_set(e, ERR_NOT_FOUND, 0,
			       "Not found: there is no log yet, for the task has not started");
	return http_log_text(c->http, rec.id, streams, e);
}

int verb_log(struct call *c, struct err *e)
{
	return send_log(c, LOG_STREAM_OUT | LOG_STREAM_ERR, e);
}

int verb_outlog(struct call *c, struct err *e)
{
	return send_log(c, LOG_STREAM_OUT, e);
}

/* The log as events, live. */
int verb_events(struct call *c, struct err *e)
{
	struct task_record rec = {0};
	int r = call_record(c, &rec, e);

	task_record_clear(&rec);
	if (r < 0)
		return r;
	r = log_keep_check(&rec, c->project, e);
	if (r < 0)
		return r;
	return http_log_events(
		c->http, rec.id, LOG_STREAM_OUT | LOG_STREAM_ERR,
		registry_find(c->f, rec.id) || !task_state_final((enum task_state)rec.state), e);
}

/* The log of a task that has ended is as it is; any other may still grow. */
static int log_is_live(struct front *f, const char *id, bool *ret, struct err *e)
{
	struct task_record rec = {0};
	int r;

	*ret = registry_find(f, id) != NULL;
	if (*ret)
		return 0;
	r = store_task_get(f->store, id, &rec, e);
	if (r == 0)
		r = log_keep_check(&rec, project_by_id(f, rec.project), e);
	task_record_clear(&rec);
	return r;
}

int verb_logs(struct call *c, struct err *e)
{
	struct log_follow what = {0};
	int64_t since = 0, cursor = 0, streams = LOG_STREAM_OUT | LOG_STREAM_ERR;
	bool follow = false, live = false;
	int r;

	(void)call_bool(c, "follow", &follow);
	(void)call_int(c, "since_ns", 0, INT64_MAX, &since);
	(void)call_int(c, "cursor", 0, INT64_MAX, &cursor);
	(void)call_int(c, "streams", 1, LOG_STREAM_OUT | LOG_STREAM_ERR, &streams);
	r = call_task(c, what.id, e);
	if (r < 0)
		return r;
	r = call_check_socket(c, 0, "log", e);
	if (r < 0)
		return r;
	r = log_is_live(c->f, what.id, &live, e);
	if (r < 0)
		return r;
	what.streams = (uint8_t)streams;
	what.follow = follow;
	what.live = live;
	what.cursor = (uint64_t)cursor;
	what.since_ns = (uint64_t)since;
	r = log_follow(c->f, &what, TAKE_FD(c->fds[0]), e);
	if (r == 0)
		call_reply(c, json_pack("{s:s, s:b}", "id", what.id, "live", live));
	return r;
}

int verb_rm(struct call *c, struct err *e)
{
	struct task_record rec = {0};
	struct change *removal;
	char id[TASK_ID_LEN + 1];
	int r = call_task(c, id, e);

	if (r < 0)
		return r;
	if (queue_wake(c->f, id))
		return err_set(e, ERR_CONFLICT, 0, "the task %s has not ended: cancel it first",
			       id);
	r = queue_get(c->f, c->project, id, &rec, e);
	task_record_clear(&rec);
	if (r < 0)
		return r;
	removal = commit_remove(c->f, id, e);
	if (!removal)
		return -ENOMEM;
	return call_reply_when(c, removal, json_pack("{s:s}", "id", id), e);
}

static void pruned(struct front *f, void *arg, uint64_t n, const struct err *error)
{
	package_prune(f);
	waiter_end(arg, error ? NULL : json_pack("{s:I}", "removed", (json_int_t)n), error);
}

int verb_prune(struct call *c, struct err *e)
{
	struct waiter *w;
	int r;

	r = call_end(c, e);
	if (r < 0)
		return r;
	w = call_later(c, e);
	if (!w)
		return -EBUSY;
	r = commit_prune(c->f, 0, pruned, w, e);
	if (r < 0)
		waiter_free(w);
	return r;
}
