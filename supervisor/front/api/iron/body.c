// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/api/iron/body.h"

#include <stdio.h>
#include <string.h>

#include "lib/json_raw.h"
#include "lib/json_strict.h"
#include "lib/timefmt.h"
#include "supervisor/front/api/iron/iron.h"
#include "supervisor/front/core/package/package.h"
#include "supervisor/front/serve/http/http.h"

/* One object of a body: struct json_strict with the manners that body.h tells of. */
struct iron_read {
	struct json_strict s;
	bool strict;
};

static bool is_blank(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!strchr(" \t\r\n", text[i]) || !text[i])
			return false;
	return true;
}

/* text: an object; nothing but white space counts as {} when empty_ok. raw: the paths of what is
 * passed on as it stands (json_raw.h), or NULL. */
static int iron_read_load(const char *text, size_t len, bool strict, bool empty_ok,
			  const char *const *raw, json_t **ret, struct iron_read *in, struct err *e)
{
	static const char *const none[] = {NULL};
	int r;

	if (is_blank(text, len)) {
		if (!empty_ok)
			return err_set(e, ERR_INPUT, 0, "request: the body must be a JSON object");
		text = "{}";
		len = 2;
	}
	r = json_raw_load("request", text, len, HTTP_BODY_MAX, raw ? raw : none, false, ret, e);
	if (r < 0)
		return r;
	in->strict = strict;
	return json_strict_begin(&in->s, "request", *ret, e);
}

/* Object i of the array at key. */
static bool iron_read_item(struct iron_read *in, const char *key, size_t i, struct iron_read *ret)
{
	ret->strict = in->strict;
	return json_strict_item_object(&in->s, key, i, &ret->s);
}

static int iron_read_end(struct iron_read *in)
{
	return in->strict ? json_strict_end(&in->s) : in->s.status;
}

/* Once all was read: what of the object was asked for, as JSON text; NULL: out of memory. */
static char *iron_read_known(const struct iron_read *in)
{
	json_auto_t *known = json_object();

	for (unsigned i = 0; i < in->s.n_known; i++) {
		json_t *v = json_object_get(in->s.obj, in->s.known[i]);

		if (v && json_object_set(known, in->s.known[i], v) < 0)
			return NULL;
	}
	return json_dumps(known, JSON_COMPACT);
}

/*
 * What IronWorker's clients send for nothing: the one for Go all texts that it knows of, the one
 * for Python an empty msg. What they do not know of is as strict as under /api.
 */
static bool is_none(const struct iron_read *in, const char *key, const json_t *v)
{
	static const char *const keys[] = {"name",  "payload",	 "label", "cluster",
					   "msg",   "runtime",	 "stack", "command",
					   "image", "file_name", "config"};

	if (in->strict || !json_is_string(v) || json_string_length(v) > 0)
		return json_is_null(v);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcmp(keys[i], key) == 0)
			return true;
	return false;
}

/* NULL and false of this function and of those below mean "not given", or wrong: iron_read_end
 * tells which. A text that is empty is wrong; but where IronWorker's clients send one for nothing,
 * it is as null, under /2. */
static json_t *iron_read_get(struct iron_read *in, const char *key)
{
	json_t *v = json_strict_get(&in->s, key);

	return v && is_none(in, key, v) ? NULL : v;
}

/* What old clients take for a whole number: 2, 2.0, "2". */
static bool whole_number(const json_t *v, int64_t *ret)
{
	const char *text = json_string_value(v);
	double real = json_real_value(v);
	char *end;

	if (json_is_integer(v)) {
		*ret = json_integer_value(v);
		return true;
	}
	if (json_is_real(v) && real >= -1e15 && real <= 1e15 && real == (double)(int64_t)real) {
		*ret = (int64_t)real;
		return true;
	}
	if (!text || !*text || strlen(text) > 15 || !strchr("-0123456789", *text))
		return false;
	*ret = strtoll(text, &end, 10);
	return !*end;
}

static bool iron_read_int(struct iron_read *in, const char *key, int64_t min, int64_t max,
			  int64_t *ret)
{
	json_t *v = iron_read_get(in, key);
	int64_t n = 0;

	if (!v)
		return false;
	if ((in->strict && !json_is_integer(v)) || !whole_number(v, &n))
		(void)json_strict_fail(&in->s, key, "must be a whole number");
	else if (n < min || n > max)
		(void)json_strict_fail(&in->s, key, "must be from %lld to %lld", (long long)min,
				       (long long)max);
	else
		*ret = n;
	return in->s.status == 0;
}

static bool iron_read_u32(struct iron_read *in, const char *key, uint32_t min, uint32_t max,
			  uint32_t *ret)
{
	int64_t n = 0;

	if (!iron_read_int(in, key, min, max, &n))
		return false;
	*ret = (uint32_t)n;
	return true;
}

static bool iron_read_bool(struct iron_read *in, const char *key, bool *ret)
{
	json_t *v = iron_read_get(in, key);

	if (!v)
		return false;
	if (!json_is_boolean(v))
		(void)json_strict_fail(&in->s, key, "must be true or false");
	else
		*ret = json_is_true(v);
	return in->s.status == 0;
}

static const char *iron_read_string(struct iron_read *in, const char *key, size_t max)
{
	return iron_read_get(in, key) ? json_strict_string(&in->s, key, max) : NULL;
}

/* Into a buffer of size bytes; what does not fit is an error. */
static bool iron_read_text(struct iron_read *in, const char *key, char *buf, size_t size)
{
	const char *text = iron_read_string(in, key, size - 1);

	if (!text)
		return false;
	memset(buf, 0, size);
	memcpy(buf, text, strlen(text) + 1);
	return true;
}

/* A text as it is; any other value as its JSON text. */
static const char *iron_read_any(struct iron_read *in, const char *key, size_t max)
{
	json_t *v = iron_read_get(in, key);

	if (v && !json_is_string(v)) {
		_cleanup_free_ char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);

		/* The document owns it from now on. */
		if (!text || json_object_set_new(in->s.obj, key, json_string(text)) < 0) {
			(void)json_strict_fail(&in->s, key,
					       "is too much for this machine's memory");
			return NULL;
		}
		v = json_object_get(in->s.obj, key);
	}
	if (v && json_string_length(v) == 0)
		(void)json_strict_fail(&in->s, key, "must not be empty: leave it out");
	if (v && json_string_length(v) > max)
		(void)json_strict_fail(&in->s, key, "is %zu bytes long: at most %zu are taken",
				       json_string_length(v), max);
	return in->s.status == 0 ? json_string_value(v) : NULL;
}

/* never: what lies beyond all times that are known stands for no time at all, 0. */
static bool iron_read_time(struct iron_read *in, const char *key, bool never, uint64_t *ret_ns)
{
	const char *text = iron_read_any(in, key, 63);
	int r;

	if (!text)
		return false;
	r = timefmt_parse(key, text, ret_ns, NULL);
	if (r == -ERANGE && never)
		*ret_ns = 0;
	else if (r == -ERANGE)
		(void)json_strict_fail(&in->s, key, "must not be after the year 2199");
	else if (r < 0)
		(void)json_strict_fail(&in->s, key,
				       "must be a time such as \"2030-01-31T08:00:00Z\"");
	return in->s.status == 0;
}

#define PRIORITY_UNSET (-3) /* the Go client's */

/* What tasks and schedules have in common. */
struct common {
	int priority;
	uint32_t timeout_s, delay_s;
	const char *payload, *label, *cluster;
};

static void read_priority(struct iron_read *in, int *priority)
{
	const struct submit_bound *b = &submit_bounds[SUBMIT_PRIORITY];
	int64_t n;

	if (!iron_read_int(in, b->key, in->strict ? 0 : PRIORITY_UNSET, b->max, &n))
		return;
	if (n < 0 && n != PRIORITY_UNSET)
		(void)json_strict_fail(&in->s, b->key, "must be from 0 to %u", b->max);
	*priority = n < 0 ? -1 : (int)n;
}

/* What is not there stays. */
static void read_common(struct iron_read *in, struct common *c)
{
	const struct submit_bound *b = submit_bounds;
	const char *payload = iron_read_any(in, b[SUBMIT_PAYLOAD].key, b[SUBMIT_PAYLOAD].max);
	const char *label = iron_read_string(in, b[SUBMIT_LABEL].key, b[SUBMIT_LABEL].max);
	const char *cluster = iron_read_string(in, b[SUBMIT_CLUSTER].key, b[SUBMIT_CLUSTER].max);

	read_priority(in, &c->priority);
	(void)iron_read_u32(in, b[SUBMIT_TIMEOUT].key, 0, b[SUBMIT_TIMEOUT].max, &c->timeout_s);
	(void)iron_read_u32(in, b[SUBMIT_DELAY].key, 0, b[SUBMIT_DELAY].max, &c->delay_s);
	c->payload = payload ? payload : c->payload;
	c->label = label ? label : c->label;
	c->cluster = cluster ? cluster : c->cluster;
}

/* IronWorker's clients say "name" too, some of them that alone. */
static const char *read_code_name(struct iron_read *in)
{
	const char *name = iron_read_string(in, "code_name", WORKER_NAME_MAX);
	const char *old = in->strict ? NULL : iron_read_string(in, "name", WORKER_NAME_MAX);

	name = name && *name ? name : old;
	if (!name || !*name) {
		(void)json_strict_fail(&in->s, "code_name", "must name a worker that was uploaded");
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
		(void)json_strict_fail(&in.s, "code_name", "must name a worker that was uploaded");
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

/* A long text is read beside the loop (serve/http/read.h), what it changes is not: this looks at all of
 * it, and gives what is left without the keys that nobody knows, to be read once more. */
static int iron_schedule_shorten(const char *text, size_t len, bool strict, char **ret,
				 struct err *e)
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
	(void)iron_read_u32(&in, submit_bounds[SUBMIT_DELAY].key, 0,
			    submit_bounds[SUBMIT_DELAY].max, ret_delay_s);
	return iron_read_end(&in);
}

/* A worker, the part "data" of an upload. */

#define ENV_MAX 256
#define ENV_BYTES_MAX (64u << 10)

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

/* ASCII alone: no two names that look alike, nothing that means something in a path. */
static bool is_worker_name(const char *name)
{
	if (!is_word(*name) || strstr(name, ".."))
		return false;
	for (; *name; name++)
		if (!is_word(*name) && !strchr("-. ", *name))
			return false;
	return name[-1] != ' ';
}

static bool is_env_name(const char *name)
{
	if (!is_word(*name) || (*name >= '0' && *name <= '9'))
		return false;
	while (is_word(*name))
		name++;
	return !*name;
}

static bool is_printable(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

static void read_env(struct iron_read *in, struct worker_spec *spec)
{
	json_t *env = iron_read_get(in, "env_vars"), *value;
	json_auto_t *all = json_object();
	const char *name;

	if (!env)
		return;
	if (!json_is_object(env) || json_object_size(env) > ENV_MAX) {
		(void)json_strict_fail(&in->s, "env_vars", "must be an object of at most %d texts",
				       ENV_MAX);
		return;
	}
	json_object_foreach(env, name, value)
	{
		char path[64], shown[48];

		(void)snprintf(path, sizeof(path), "env_vars.%s",
			       util_escape(name, shown, sizeof(shown)));
		if (!is_env_name(name))
			(void)json_strict_fail(&in->s, path, "is no name of a variable");
		else if (!json_is_string(value))
			(void)json_strict_fail(&in->s, path, "must be a text");
		(void)json_object_set(all, name, value);
	}
	if (in->s.status < 0)
		return;
	util_free_ptr(&spec->env);
	if (json_object_size(all) == 0)
		return;
	spec->env = json_dumps(all, JSON_COMPACT);
	if (!spec->env || strlen(spec->env) > ENV_BYTES_MAX)
		(void)json_strict_fail(&in->s, "env_vars", "is longer than %u bytes",
				       ENV_BYTES_MAX);
}

static void read_file_name(struct iron_read *in, struct worker_spec *spec)
{
	char path[PACKAGE_PATH_MAX];
	struct err e;

	if (!iron_read_text(in, "file_name", spec->file_name, sizeof(spec->file_name)) ||
	    !*spec->file_name)
		return;
	if (package_path(spec->file_name, path, &e) < 0 || !*path || !is_printable(path))
		(void)json_strict_fail(&in->s, "file_name",
				       "must be a file's path in the zip, without \"..\"");
	else
		memcpy(spec->file_name, path, strlen(path) + 1); /* never longer than it was */
}

static void read_line(struct iron_read *in, const char *key, char *buf, size_t size)
{
	if (iron_read_text(in, key, buf, size) && !is_printable(buf))
		(void)json_strict_fail(&in->s, key, "must not hold control characters");
}

static void read_numbers(struct iron_read *in, struct worker_spec *spec)
{
	int64_t n = 0;

	/* IronWorker's -1 is a paused worker, never an upload's wish. */
	if (iron_read_int(in, "max_concurrency", in->strict ? 0 : -1, WORKER_CONCURRENCY_MAX, &n))
		spec->max_concurrency = n < 0 ? 0 : (uint32_t)n;
	(void)iron_read_u32(in, "retries", 0, WORKER_RETRIES_MAX, &spec->retries);
	(void)iron_read_u32(in, "retries_delay", 0, WORKER_RETRIES_DELAY_MAX,
			    &spec->retries_delay_s);
	if (!iron_read_int(in, "default_priority", in->strict ? 0 : -3, LANE_PRIORITIES - 1, &n))
		return;
	spec->default_priority = n < 0 ? 0 : (uint32_t)n;
}

static void read_names(struct iron_read *in, struct worker_spec *spec)
{
	if (!iron_read_text(in, "name", spec->name, sizeof(spec->name)) ||
	    !is_worker_name(spec->name))
		(void)json_strict_fail(&in->s, "name",
				       "must be letters, digits, \"_\", \"-\", \".\" and blanks "
				       "between them, such as \"hello\"");
	read_line(in, "runtime", spec->runtime, sizeof(spec->runtime));
	read_line(in, "stack", spec->stack, sizeof(spec->stack));
	read_line(in, "command", spec->command, sizeof(spec->command));
	if (iron_read_text(in, "image", spec->image, sizeof(spec->image)) && *spec->image &&
	    !util_is_name(spec->image))
		(void)json_strict_fail(&in->s, "image", "must be an image's name such as \"iron\"");
	if (iron_read_text(in, "policy", spec->policy, sizeof(spec->policy)) && *spec->policy &&
	    !util_is_name(spec->policy))
		(void)json_strict_fail(&in->s, "policy",
				       "must be a policy's name such as \"default\"");
}

/* known: what was asked for of the text; NULL: not wanted. */
static int worker_change(const char *text, size_t len, bool strict, struct worker_spec *ret,
			 char **known, struct err *e)
{
	static const char *const raw[] = {"config", NULL};
	struct iron_read in = {.strict = strict};
	json_auto_t *doc = NULL;
	const char *config;
	int r;

	r = iron_read_load(text, len, strict, false, raw, &doc, &in, e);
	if (r < 0) {
		worker_spec_clear(ret);
		return err_wrap(e, r, "data");
	}
	in.s.what = "data";
	read_names(&in, ret);
	read_file_name(&in, ret);
	read_numbers(&in, ret);
	read_env(&in, ret);
	config = iron_read_any(&in, "config", WORKER_CONFIG_MAX);
	if (config) {
		free(ret->config);
		ret->config = *config ? strdup(config) : NULL;
		if (*config && !ret->config)
			(void)json_strict_fail(&in.s, "config", "does not fit into memory");
	}
	r = iron_read_end(&in);
	if (r == 0 && known) {
		*known = iron_read_known(&in);
		r = *known ? 0 : err_set(e, ERR_SYSTEM, ENOMEM, "data");
	}
	if (r < 0)
		worker_spec_clear(ret);
	return r;
}

int iron_code_change(const char *text, size_t len, bool strict, struct worker_spec *ret,
		     struct err *e)
{
	return worker_change(text, len, strict, ret, NULL, e);
}

int iron_code_parse(const char *text, size_t len, bool strict, struct worker_spec *ret,
		    struct err *e)
{
	*ret = (struct worker_spec){0};
	return iron_code_change(text, len, strict, ret, e);
}

/* As iron_schedule_shorten. */
static int iron_code_shorten(const char *text, size_t len, bool strict, char **ret, struct err *e)
{
	struct worker_spec some = {0};
	int r = worker_change(text, len, strict, &some, ret, e);

	worker_spec_clear(&some);
	return r;
}

/* How bodies that may be long are read before their handlers are called (serve/http/read.h). */

static int reader_tasks(const char *text, size_t len, bool strict, void **ret, struct err *e)
{
	struct iron_tasks *all = calloc(1, sizeof(*all));
	int r;

	if (!all)
		return err_set(e, ERR_SYSTEM, ENOMEM, "tasks");
	r = iron_tasks_parse(text, len, strict, all, e);
	if (r < 0)
		free(all);
	else
		*ret = all;
	return r;
}

static void free_tasks(void *what)
{
	iron_tasks_clear(what);
	free(what);
}

static int reader_schedules(const char *text, size_t len, bool strict, void **ret, struct err *e)
{
	struct iron_schedules *all = calloc(1, sizeof(*all));
	int r;

	if (!all)
		return err_set(e, ERR_SYSTEM, ENOMEM, "schedules");
	r = iron_schedules_parse(text, len, strict, all, e);
	if (r < 0)
		free(all);
	else
		*ret = all;
	return r;
}

static void free_schedules(void *what)
{
	iron_schedules_clear(what);
	free(what);
}

static int reader_schedule(const char *text, size_t len, bool strict, void **ret, struct err *e)
{
	char *left = NULL;
	int r = iron_schedule_shorten(text, len, strict, &left, e);

	*ret = left;
	return r;
}

static int reader_code(const char *text, size_t len, bool strict, void **ret, struct err *e)
{
	char *left = NULL;
	int r = iron_code_shorten(text, len, strict, &left, e);

	*ret = left;
	return r;
}

const struct http_reader iron_reader_tasks = {reader_tasks, free_tasks};
const struct http_reader iron_reader_schedules = {reader_schedules, free_schedules};
const struct http_reader iron_reader_schedule = {reader_schedule, free};
const struct http_reader iron_reader_code = {reader_code, free};
