// SPDX-License-Identifier: Apache-2.0
/* Tasks as /api shows them: all that is known, and null for what is not. */
#include <string.h>

#include "lib/timefmt.h"
#include "supervisor/front/api/api.h"
#include "supervisor/front/api/iron/list.h"
#include "supervisor/front/run/log_keep.h"

static void set(json_t *o, const char *key, json_t *value)
{
	(void)json_object_set_new(o, key, value);
}

static json_t *ms_between(uint64_t from_ns, uint64_t to_ns)
{
	return from_ns && to_ns >= from_ns ? json_real((double)(to_ns - from_ns) / 1e6)
					   : json_null();
}

static json_t *count(uint64_t v)
{
	return json_integer((json_int_t)v);
}

static void add_queue(json_t *o, const struct task_record *rec)
{
	set(o, "project_id", json_string(rec->project));
	set(o, "code_id", api_text(rec->code));
	set(o, "code_name", api_text(rec->code_name));
	set(o, "revision", rec->revision ? count(rec->revision) : json_null());
	set(o, "percent", count(rec->percent));
	set(o, "cluster", api_text(rec->cluster));
	set(o, "not_before", api_time(rec->not_before_ns));
	set(o, "attempt", count(rec->attempt));
	set(o, "retries_left", count(rec->retries_left));
	set(o, "original_task_id",
	    strcmp(rec->original, rec->id) == 0 ? json_null() : api_text(rec->original));
	set(o, "retry_task_id", api_text(rec->retry));
	set(o, "schedule_id", api_text(rec->schedule));
	set(o, "dead_letter", json_boolean(rec->dead_letter));
}

static json_t *api_task_json(struct front *f, const struct task_record *rec)
{
	const struct project *p = project_by_id(f, rec->project);
	bool ended = task_state_final((enum task_state)rec->state);
	json_t *o = task_json(rec, p);
	char buf[128];

	/* What it holds is beside the rest here. */
	(void)json_object_del(o, "queue");
	set(o, "msg", api_text(iron_task_msg(rec, buf, sizeof(buf))));
	set(o, "wait_ms", ms_between(rec->created_ns, rec->started_ns));
	set(o, "duration_ms", ms_between(rec->started_ns, ended ? rec->finished_ns : 0));
	add_queue(o, rec);
	return o;
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
				       json_strict_escape(text, shown, sizeof(shown)));
		*ret |= 1u << state;
		text += n + (text[n] == ',');
	}
	return 0;
}

static int read_time(const struct http_request *r, const char *name, uint64_t *ret, struct err *e)
{
	const char *text = NULL;
	int res = iron_param(r, name, &text, e);

	return text ? timefmt_parse(name, text, ret, e) : res;
}

static int add_task(void *arg, struct task_record *rec)
{
	struct iron_list *l = arg;
	const struct task *t = registry_find(l->f, rec->id);

	if (l->n == l->page.limit) {
		l->more = true;
		return 1;
	}
	memcpy(l->last, rec->id, sizeof(l->last));
	/* Memory knows the latest. */
	iron_list_add(l, api_task_json(l->f, t ? &t->rec : rec));
	return 0;
}

static int some_tasks(struct iron_list *l, struct project *p, struct err *e)
{
	l->query.project = p->id;
	return iron_list_tasks(l, add_task, e);
}

static int list_tasks(struct http_request *r, bool dead_letter, struct err *e)
{
	struct task_query q = {.dead_letter = dead_letter};
	const char *states = NULL;
	struct iron_list *l;
	struct project *p = NULL;
	uint64_t limit = IRON_PAGE;
	int res = iron_project(r, &p, e);

	if (res == 0)
		res = iron_param(r, "code_name", &q.code_name, e);
	if (res == 0)
		res = iron_param(r, "label", &q.label, e);
	if (res == 0)
		res = iron_param(r, "before", &q.before, e);
	if (res == 0)
		res = iron_param(r, "status", &states, e);
	if (res == 0)
		res = iron_number(r, "limit", 1, IRON_PAGE_MAX, &limit, e);
	if (res == 0)
		res = read_states(states, &q.states, e);
	if (res == 0)
		res = read_time(r, "from", &q.from_ns, e);
	if (res == 0)
		res = read_time(r, "to", &q.to_ns, e);
	if (res == 0 && q.before && !util_is_id(q.before))
		res = err_set(e, ERR_INPUT, 0, "before: must be what the page before said");
	if (res < 0)
		return res;
	/* One more, to know whether there is one. */
	q.limit = (unsigned)limit + 1;
	l = iron_list_new(r, "tasks", p, some_tasks, e);
	if (!l)
		return -ENOMEM;
	l->page.limit = (unsigned)limit;
	l->tell_last = true;
	return iron_list_set_query(l, &q, e) < 0 ? iron_list_fail(l) : iron_list_answer(r, l, e);
}

int api_tasks(struct http_request *r, struct err *e)
{
	return list_tasks(r, false, e);
}

int api_dead_letters(struct http_request *r, struct err *e)
{
	return list_tasks(r, true, e);
}

int api_task_get(struct http_request *r, struct err *e)
{
	struct task_record rec = {0};
	struct project *p = NULL;
	json_t *o;
	int res = iron_task(r, &p, &rec, e);

	if (res < 0)
		return res;
	o = api_task_json(r->f, &rec);
	/* Of a task of sandboxctl run it is the whole task.json. */
	set(o, "payload", *rec.code ? api_text(rec.spec ? rec.spec : "") : json_null());
	set(o, "history", task_json_history(r->f, rec.id));
	free(rec.spec);
	http_json(r, 200, o);
	return 0;
}

int api_task_events(struct http_request *r, struct err *e)
{
	struct task_record rec = {0};
	struct project *p = NULL;
	int res = iron_task(r, &p, &rec, e);

	free(rec.spec);
	if (res == 0)
		res = log_keep_check(&rec, p, e);
	if (res < 0)
		return res;
	return http_log_events(
		r, rec.id, LOG_STREAM_OUT | LOG_STREAM_ERR,
		registry_find(r->f, rec.id) || !task_state_final((enum task_state)rec.state), e);
}
