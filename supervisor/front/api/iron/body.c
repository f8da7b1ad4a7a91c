// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/api/iron/body.h"

#include <stdio.h>
#include <string.h>

#include "supervisor/front/api/iron/read.h"

#define PRIORITY_UNSET (-3) /* the Go client's */
#define CLUSTER_MAX 64

/* What tasks and schedules have in common. */
struct common {
	int priority;
	uint32_t timeout_s, delay_s;
	const char *payload, *label, *cluster;
};

static void read_priority(struct iron_read *in, int *priority)
{
	int64_t n;

	if (!in->strict && iron_read_int(in, "priority", PRIORITY_UNSET, LANE_PRIORITIES - 1, &n)) {
		if (n < 0 && n != PRIORITY_UNSET)
			(void)json_strict_fail(&in->s, "priority", "must be from 0 to %d",
					       LANE_PRIORITIES - 1);
		*priority = n < 0 ? -1 : (int)n;
	} else if (iron_read_int(in, "priority", 0, LANE_PRIORITIES - 1, &n)) {
		*priority = (int)n;
	}
}

/* What is not there stays. */
static void read_common(struct iron_read *in, struct common *c)
{
	const char *payload = iron_read_any(in, "payload", QUEUE_PAYLOAD_MAX);
	const char *label = iron_read_string(in, "label", QUEUE_LABEL_MAX);
	const char *cluster = iron_read_string(in, "cluster", CLUSTER_MAX);

	read_priority(in, &c->priority);
	(void)iron_read_u32(in, "timeout", 0, QUEUE_TIMEOUT_MAX, &c->timeout_s);
	(void)iron_read_u32(in, "delay", 0, QUEUE_DELAY_MAX, &c->delay_s);
	c->payload = payload ? payload : c->payload;
	c->label = label ? label : c->label;
	c->cluster = cluster ? cluster : c->cluster;
}

/* IronWorker's clients say "name" too, some of them that alone. */
static const char *read_code_name(struct iron_read *in)
{
	const char *name = iron_read_string(in, "code_name", CODE_NAME_MAX);
	const char *old = in->strict ? NULL : iron_read_string(in, "name", CODE_NAME_MAX);

	name = name && *name ? name : old;
	if (!name || !*name) {
		(void)json_strict_fail(&in->s, "code_name", "must name a code that was uploaded");
		return NULL;
	}
	return name;
}

static void read_task(struct iron_read *in, struct iron_task *task)
{
	struct common c = {.priority = -1};

	task->code_name = read_code_name(in);
	read_common(in, &c);
	(void)iron_read_bool(in, "sync", &task->sync);
	task->what = (struct submit){.payload = c.payload,
				     .payload_len = c.payload ? strlen(c.payload) : 0,
				     .priority = c.priority,
				     .timeout_s = c.timeout_s,
				     .delay_s = c.delay_s,
				     .label = c.label,
				     .cluster = c.cluster};
	(void)iron_read_end(in);
}

/* The one list of a body, of at least one item; 0 when that is not so. */
static size_t read_list(struct iron_read *top, const char *key, size_t max)
{
	json_t *list = iron_read_get(top, key);

	if (top->s.status < 0)
		return 0;
	if (!list || json_array_size(list) == 0)
		(void)json_strict_fail(&top->s, key, "must be a list of at least one");
	else
		(void)json_strict_array(&top->s, key, max);
	return iron_read_end(top) == 0 ? json_array_size(list) : 0;
}

static char *put_text(char *to, const char **text)
{
	size_t size = *text ? strlen(*text) + 1 : 0;

	if (!size)
		return to;
	memcpy(to, *text, size);
	*text = to;
	return to + size;
}

static size_t text_size(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

/* Their texts, which are the document's, are theirs from now on. */
static int keep_texts(struct iron_tasks *all, struct err *e)
{
	size_t size = 1;
	char *to;

	if (!all->tasks)
		return err_set(e, ERR_SYSTEM, ENOMEM, "tasks");
	for (size_t i = 0; i < all->n; i++) {
		const struct iron_task *t = &all->tasks[i];

		size += text_size(t->code_name) + text_size(t->what.payload) +
			text_size(t->what.label) + text_size(t->what.cluster);
	}
	all->texts = to = malloc(size);
	if (!to)
		return err_set(e, ERR_SYSTEM, ENOMEM, "tasks");
	for (size_t i = 0; i < all->n; i++) {
		struct iron_task *t = &all->tasks[i];

		to = put_text(to, &t->code_name);
		to = put_text(to, &t->what.payload);
		to = put_text(to, &t->what.label);
		to = put_text(to, &t->what.cluster);
	}
	return 0;
}

int iron_tasks_parse(const char *text, size_t len, bool strict, struct iron_tasks *ret,
		     struct err *e)
{
	static const char *const raw[] = {"tasks[].payload", NULL};
	struct iron_read top = {.strict = strict}, item;
	json_auto_t *doc = NULL;
	size_t n;
	int r;

	*ret = (struct iron_tasks){0};
	r = iron_read_load(text, len, strict, false, raw, &doc, &top, e);
	if (r == 0) {
		n = read_list(&top, "tasks", IRON_BATCH_MAX);
		ret->tasks = calloc(n + 1, sizeof(*ret->tasks));
		for (; ret->tasks && ret->n < n && top.s.status == 0; ret->n++)
			if (iron_read_item(&top, "tasks", ret->n, &item))
				read_task(&item, &ret->tasks[ret->n]);
		r = top.s.status;
	}
	if (r == 0)
		r = keep_texts(ret, e);
	if (r < 0)
		iron_tasks_clear(ret);
	return r;
}

void iron_tasks_clear(struct iron_tasks *tasks)
{
	free(tasks->texts);
	free(tasks->tasks);
	*tasks = (struct iron_tasks){0};
}

static int read_webhook(json_t *params, const char *body, size_t len, struct iron_tasks *ret,
			struct err *e)
{
	json_auto_t *payload = NULL;
	struct iron_read in = {0};
	int r;

	r = json_strict_begin(&in.s, "query", params, e);
	if (r < 0)
		return r;
	if (len > QUEUE_PAYLOAD_MAX)
		return err_set(e, ERR_LIMIT, 0,
			       "the body is the payload: %zu bytes, and at most %u are taken", len,
			       QUEUE_PAYLOAD_MAX);
	payload = memchr(body, 0, len) ? NULL : json_stringn(body, len);
	if (!payload)
		return err_set(e, ERR_INPUT, 0,
			       "the body is the payload: it must be UTF-8 text without NUL");
	ret->tasks = calloc(1, sizeof(*ret->tasks));
	if (!ret->tasks)
		return err_set(e, ERR_SYSTEM, ENOMEM, "tasks");
	ret->n = 1;
	read_task(&in, &ret->tasks[0]);
	if (in.s.status < 0)
		return in.s.status;
	/* Never out of the query: what is there is the body's. */
	ret->tasks[0].what.payload = len > 0 ? json_string_value(payload) : NULL;
	ret->tasks[0].what.payload_len = len;
	return keep_texts(ret, e);
}

int iron_webhook_parse(json_t *params, const char *body, size_t len, struct iron_tasks *ret,
		       struct err *e)
{
	json_auto_t *doc = params;
	int r;

	*ret = (struct iron_tasks){0};
	r = read_webhook(doc, body, len, ret, e);
	if (r < 0)
		iron_tasks_clear(ret);
	return r;
}

static void copy_text(char *buf, size_t size, const char *text)
{
	if (text)
		(void)snprintf(buf, size, "%s", text);
}

/* run_every or cron. Of a schedule that is changed, the one takes the other's place. */
static void read_rule(struct iron_read *in, struct schedule_spec *spec)
{
	uint32_t least = in->strict ? 1 : IRON_RUN_EVERY_MIN;
	/* 0 is what the Go client sends for none. */
	const bool had = spec->run_every_s > 0;
	const bool given = iron_read_u32(in, "run_every", 0, INT32_MAX, &spec->run_every_s);
	bool every = given && spec->run_every_s > 0;
	bool cron = iron_read_text(in, "cron", spec->cron, sizeof(spec->cron)) && *spec->cron;

	if (every && spec->run_every_s < least)
		(void)json_strict_fail(&in->s, "run_every",
				       in->strict ? "must be at least %u second"
						  : "must be at least %u seconds; a schedule made "
						    "under /api may come each second",
				       least);
	/* It ends what was there; where nothing was, it is a mistake, and would run once. */
	if (in->strict && given && !every && !had && !*spec->cron)
		(void)json_strict_fail(&in->s, "run_every",
				       "must be at least 1 second; leave it out to run once");
	if (every && cron)
		(void)json_strict_fail(&in->s, "cron", "give cron or run_every, not both");
	if (every)
		spec->cron[0] = spec->zone[0] = '\0';
	else if (cron)
		spec->run_every_s = 0;
	(void)iron_read_text(in, "timezone", spec->zone, sizeof(spec->zone));
}

static void read_times(struct iron_read *in, struct schedule_spec *spec)
{
	(void)iron_read_time(in, "start_at", false, &spec->start_ns);
	/* IronWorker says 2262-04-11T23:47:16Z, the last that Go counts in nanoseconds, for none.
	 */
	(void)iron_read_time(in, "end_at", true, &spec->end_ns);
	(void)iron_read_u32(in, "run_times", 0, INT32_MAX, &spec->run_times);
	read_rule(in, spec);
	if (spec->end_ns && spec->start_ns && spec->end_ns < spec->start_ns)
		(void)json_strict_fail(&in->s, "end_at", "must not be before start_at");
}

static void read_schedule(struct iron_read *in, struct schedule_spec *spec)
{
	struct common c = {
		.priority = spec->priority, .timeout_s = spec->timeout_s, .delay_s = spec->delay_s};

	read_common(in, &c);
	read_times(in, spec);
	spec->priority = c.priority;
	spec->timeout_s = c.timeout_s;
	spec->delay_s = c.delay_s;
	copy_text(spec->label, sizeof(spec->label), c.label);
	copy_text(spec->cluster, sizeof(spec->cluster), c.cluster);
	if (c.payload) {
		free(spec->payload);
		spec->payload = strdup(c.payload);
		if (!spec->payload)
			(void)json_strict_fail(&in->s, "payload", "does not fit into memory");
	}
}

int iron_schedules_parse(const char *text, size_t len, bool strict, struct iron_schedules *ret,
			 struct err *e)
{
	static const char *const raw[] = {"schedules[].payload", NULL};
	struct iron_read top = {.strict = strict}, item;
	json_auto_t *doc = NULL;
	size_t n;
	int r;

	*ret = (struct iron_schedules){0};
	r = iron_read_load(text, len, strict, false, raw, &doc, &top, e);
	if (r < 0)
		return r;
	n = read_list(&top, "schedules", IRON_SCHEDULES_MAX);
	ret->specs = calloc(n + 1, sizeof(*ret->specs));
	if (!ret->specs)
		return err_set(e, ERR_SYSTEM, ENOMEM, "schedules");
	for (; ret->n < n && top.s.status == 0; ret->n++) {
		struct schedule_spec *spec = &ret->specs[ret->n];

		if (!iron_read_item(&top, "schedules", ret->n, &item))
			continue;
		spec->priority = -1;
		copy_text(spec->code_name, sizeof(spec->code_name), read_code_name(&item));
		read_schedule(&item, spec);
		(void)iron_read_end(&item);
	}
	if (top.s.status < 0)
		iron_schedules_clear(ret);
	return top.s.status;
}

void iron_schedules_clear(struct iron_schedules *schedules)
{
	for (size_t i = 0; i < schedules->n; i++)
		schedule_spec_clear(&schedules->specs[i]);
	free(schedules->specs);
	*schedules = (struct iron_schedules){0};
}

/* ret: what was asked for of the text; NULL: not wanted. */
static int schedule_change(const char *text, size_t len, bool strict, struct schedule_spec *spec,
			   char **ret, struct err *e)
{
	static const char *const raw[] = {"payload", NULL};
	struct iron_read in = {.strict = strict};
	json_auto_t *doc = NULL;
	int r;

	r = iron_read_load(text, len, strict, false, raw, &doc, &in, e);
	if (r < 0)
		return r;
	(void)iron_read_text(&in, "code_name", spec->code_name, sizeof(spec->code_name));
	if (!*spec->code_name)
		(void)json_strict_fail(&in.s, "code_name", "must name a code that was uploaded");
	read_schedule(&in, spec);
	r = iron_read_end(&in);
	if (r < 0 || !ret)
		return r;
	*ret = iron_read_known(&in);
	return *ret ? 0 : err_set(e, ERR_SYSTEM, ENOMEM, "request");
}

int iron_schedule_change(const char *text, size_t len, bool strict, struct schedule_spec *spec,
			 struct err *e)
{
	return schedule_change(text, len, strict, spec, NULL, e);
}

int iron_schedule_shorten(const char *text, size_t len, bool strict, char **ret, struct err *e)
{
	struct schedule_spec some = {.code_name = "some"};
	int r = schedule_change(text, len, strict, &some, ret, e);

	schedule_spec_clear(&some);
	return r;
}

int iron_progress_parse(const char *text, size_t len, bool strict, struct iron_progress *ret,
			struct err *e)
{
	struct iron_read in = {.strict = strict};
	json_auto_t *doc = NULL;
	int r;

	*ret = (struct iron_progress){0};
	r = iron_read_load(text, len, strict, false, NULL, &doc, &in, e);
	if (r < 0)
		return r;
	ret->has_percent = iron_read_u32(&in, "percent", 0, 100, &ret->percent);
	(void)iron_read_text(&in, "msg", ret->msg, sizeof(ret->msg));
	return iron_read_end(&in);
}

int iron_retry_parse(const char *text, size_t len, bool strict, uint32_t *ret_delay_s,
		     struct err *e)
{
	struct iron_read in = {.strict = strict};
	json_auto_t *doc = NULL;
	int r;

	*ret_delay_s = 0;
	r = iron_read_load(text, len, strict, true, NULL, &doc, &in, e);
	if (r < 0)
		return r;
	(void)iron_read_u32(&in, "delay", 0, QUEUE_DELAY_MAX, ret_delay_s);
	return iron_read_end(&in);
}
