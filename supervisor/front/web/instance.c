// SPDX-License-Identifier: Apache-2.0
/*
 * Instances: replicas of a version. An instance's run has one socket, which the front makes and
 * listens on before the run is there: the edge connects to it, and so does the front, whose first
 * byte is a zero, which no client can bring past the edge. That connection is the channel: by it the
 * run hears its secrets and says that it is ready, and asks for what its bindings name.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/msg.h"
#include "lib/timefmt.h"
#include "spec/job.h"
#include "supervisor/front/web/web.h"

#define WANTED_BY "web:" /* and the version's id: task_record.wanted_by */
#define ENTRY ((char *)"_sandboxd_http.instance:main")
/* One without requests for so long is let go, where the version may have fewer. */
#define IDLE_NS (60 * SEC)
/* A version whose run could not start is tried again by a request after so long, not by each. */
#define FAILURE_NS (1 * SEC)
/* A version may have so many times its instances, with those that finish what they have. */
#define LEAVING_FACTOR 4u
/* How long a run for one request, or an instance that is let go, may go on after the worker's timeout. */
#define TIMEOUT_AFTER_S 5u
#define CONNECT_AGAIN_NS (50 * MSEC)

/* What a client hears. */
#define WEB_NOT_STARTED "no instance of the worker could be started: its log says why"

static const struct replica_rules rules = {
	.start_ns = 60 * SEC,
	.drain_ns = 30 * SEC, /* at least: see instance_step */
	.backoff_ns = 200 * MSEC,
	.backoff_max_ns = 30 * SEC,
	.settled_ns = 10 * SEC,
	.ends_max = 5,
};

static void instance_step(struct web_instance *i, enum replica_event event);
static void arm(struct web_instance *i);

/*
 * They are in the frame's head where it has room for them, else in its body. The text was written here,
 * so that it can be erased.
 */
int web_hello(struct web_channel *c, bool quiet, struct err *e)
{
	const struct web_worker *w = c->version->worker;
	char begin[96], *secrets, *head;
	size_t len, n;
	bool fits;
	int r = secrets_open(c->f, w->project->id, w->row.name, c->version->row.id, &secrets, &len,
			     e);

	if (r < 0)
		return r;
	(void)snprintf(begin, sizeof(begin),
		       "{\"op\":\"hello\",\"streams\":true,\"tail\":%s,%s\"secrets\":",
		       web_is_tailed(w) ? "true" : "false", quiet ? "\"quiet\":true," : "");
	fits = strlen(begin) + 1 + len <= SERVE_HEAD_MAX;
	n = strlen(begin) + (fits ? len : 2) + 1;
	head = malloc(n + 1);
	if (head)
		(void)snprintf(head, n + 1, "%s%.*s}", begin, fits ? (int)len : 2,
			       fits ? secrets : "{}");
	web_channel_send_text(c, head, n, fits ? NULL : secrets, fits ? 0 : len);
	secret_text_free(head, n);
	secret_text_free(secrets, len);
	return 0;
}

static struct web_instance *of_channel(struct web_channel *c)
{
	return OWNER(c, struct web_instance, channel);
}

static uint64_t number(const json_t *head, const char *key)
{
	const json_int_t n = json_integer_value(json_object_get(head, key));

	return n > 0 ? (uint64_t)n : 0;
}

static void take_load(struct web_instance *i, const json_t *head)
{
	i->served = number(head, "served");
	i->active = number(head, "active");
	i->idle_ns = number(head, "active") ? 0 : util_monotonic_ns();
	arm(i);
}

/* Of more than a line; its control characters reach no terminal. NULL: text is, or there is no memory. */
static char *shown_text(const char *text)
{
	char *copy = text ? strdup(text) : NULL;

	for (char *c = copy; c && *c; c++)
		if ((*c > 0 && *c < 0x20 && *c != '\n' && *c != '\t') || *c == 0x7f)
			*c = '?';
	return copy;
}

void web_take_failed(struct web_version *v, const json_t *head)
{
	const char *message = json_string_value(json_object_get(head, "message"));
	const char *file = json_string_value(json_object_get(head, "file"));
	const uint64_t line = number(head, "line");
	char text[200], at[200];

	/* Texts of the sandbox: no escape sequence of theirs reaches a terminal, and no character of
	 * them is cut in two. */
	message = util_escape(message ? message : "it has failed", text, sizeof(text));
	(void)snprintf(v->failure, sizeof(v->failure), "%s", message);
	if (file && line)
		(void)snprintf(v->failure, sizeof(v->failure), "%s:%llu: %s",
			       util_escape(file, at, sizeof(at)), (unsigned long long)line,
			       message);
	free(v->traceback);
	v->traceback = shown_text(json_string_value(json_object_get(head, "traceback")));
}

bool web_instance_is_awaited(const struct web_instance *i)
{
	return i->replica.state == REPLICA_STARTING && !i->began_ns;
}

static void channel_take(struct web_channel *c, const char *op, json_t *head)
{
	struct web_instance *i = of_channel(c);

	if (strcmp(op, "ready") == 0) {
		if (web_instance_is_awaited(i))
			web_crons_adopt(i, json_object_get(head, "calls"));
		instance_step(i, REPLICA_READY);
	} else if (strcmp(op, "failed") == 0)
		web_take_failed(i->version, head);
	else if (strcmp(op, "load") == 0)
		take_load(i, head);
	else if (strcmp(op, "done") == 0)
		web_call_done(i, head);
	else if (strcmp(op, "event") == 0)
		web_tail_event(i->version->worker, i->version->row.id, i->run, head);
	else
		(void)web_binding_take(c, op, head);
}

/* Mostly its run has ended, of which the monitor tells. A run that has closed its channel otherwise
 * cannot be told anything any more. */
static void channel_ended(struct web_channel *c, const char *why)
{
	struct web_instance *i = of_channel(c);

	if (i->replica.state == REPLICA_UP || i->replica.state == REPLICA_STARTING)
		msg_info("HTTP worker %s: instance %s: %s", i->version->worker->row.name, i->run,
			 why);
	instance_step(i, REPLICA_UNWELL);
}

/* -EAGAIN: too many wait to be accepted. */
static int channel_connect(struct web_instance *i)
{
	_cleanup_fd_ int fd = edge_socket_connect(i->f, i->run);
	struct err e = {0};
	int r;

	if (fd < 0)
		return TAKE_FD(fd);
	if (send(fd, "", 1, MSG_NOSIGNAL) != 1)
		return -errno;
	r = web_channel_open(i->f, &i->channel, TAKE_FD(fd), SERVE_BODY_MAX);
	if (r < 0 || web_hello(&i->channel, false, &e) == 0)
		return r;
	/* Without its secrets it would serve what nobody has deployed. */
	(void)snprintf(i->version->failure, sizeof(i->version->failure), "%s", e.msg);
	web_channel_close(&i->channel);
	return -EKEYREJECTED;
}

static void begin_channel(struct web_instance *i)
{
	const int r = channel_connect(i);

	if (r == 0 || r == -EAGAIN)
		return;
	msg_warn("HTTP worker %s: instance %s: its socket: %s", i->version->worker->row.name,
		 i->run, r == -EKEYREJECTED ? i->version->failure : strerror(-r));
	instance_step(i, REPLICA_UNWELL);
}

unsigned web_version_wanted(const struct web_version *v)
{
	const struct web_instance *i;
	unsigned n = 0;

	LIST_FOREACH(i, &v->instances, next)
		n += i->replica.wanted;
	return n;
}

unsigned web_project_wanted(const struct project *p)
{
	const struct web_worker *w;
	const struct web_version *v;
	unsigned n = p->web->n_requests;

	LIST_FOREACH(w, &p->web->workers, next)
		LIST_FOREACH(v, &w->versions, next)
			n += web_version_wanted(v);
	return n;
}

bool web_project_has_room(const struct project *p)
{
	return !p->quota.http_instances || web_project_wanted(p) < p->quota.http_instances;
}

/* Whether the version does well with one instance less. */
static bool is_spare(const struct web_instance *i)
{
	return !web_version_serves(i->version) ||
	       web_version_wanted(i->version) > i->version->manifest.sandbox.min;
}

static bool is_over(const struct web_instance *i)
{
	return i->replica.state == REPLICA_DOWN || i->replica.state == REPLICA_FAILED;
}

/* No request is in it, and no call. */
static bool is_idle(const struct web_instance *i)
{
	return i->replica.state == REPLICA_UP && i->idle_ns && TAILQ_EMPTY(&i->calls);
}

static void on_timer(struct front *f, struct timer *t)
{
	struct web_instance *i = OWNER(t, struct web_instance, timer);
	const uint64_t now = util_monotonic_ns();

	(void)f;
	/* It is freed here alone, so that nobody finds it gone in the middle of something. */
	if (is_over(i)) {
		web_instance_free(i);
		return;
	}
	if (i->replica.timer_ns && now >= i->replica.timer_ns) {
		instance_step(i, REPLICA_TIMER);
		return;
	}
	if (i->replica.state == REPLICA_STARTING && i->channel.line.fd < 0)
		begin_channel(i);
	else if (is_idle(i) && now - i->idle_ns >= IDLE_NS && is_spare(i))
		instance_step(i, REPLICA_WANT_DOWN);
	arm(i);
}

/* The timer, for whatever comes first. */
static void arm(struct web_instance *i)
{
	uint64_t at = i->replica.timer_ns, other = 0;

	timer_cancel(i->f, &i->timer);
	if (is_over(i))
		at = other = util_monotonic_ns();
	else if (is_idle(i))
		other = i->idle_ns + IDLE_NS;
	else if (i->replica.state == REPLICA_STARTING && i->channel.line.fd < 0)
		other = util_monotonic_ns() + CONNECT_AGAIN_NS;
	if (other && (!at || other < at))
		at = other;
	if (at)
		timer_set(i->f, &i->timer, at, on_timer);
}

static void forget_run(struct web_instance *i)
{
	web_calls_lost(i);
	web_channel_close(&i->channel);
	util_close_fd(&i->listen_fd);
	/* The edge and the next front find a run that goes on by its socket. */
	if (*i->run && !i->f->web->stopped)
		edge_socket_remove(i->f, i->run);
	idtable_remove(&i->f->web->channels, &i->channel.node);
	i->run[0] = '\0';
}

/* The run that the replica wants. */
static int start_run(struct web_instance *i, struct err *e)
{
	struct front *f = i->f;
	struct web_version *v = i->version;
	struct task *t;
	int r;

	util_new_id(i->run);
	r = edge_socket_make(f, i->run, &i->listen_fd, e);
	if (r < 0)
		return r;
	t = web_run_of(v, i->run, WANTED_BY);
	if (!t)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make an instance");
	(void)snprintf(t->rec.label, sizeof(t->rec.label), "%s", v->worker->row.name);
	idtable_add(&f->web->channels, &i->channel.node, i->run);
	r = flow_accept(f, t);
	if (r < 0)
		registry_free_task(f, t);
	return r;
}

static void begin_run(struct web_instance *i)
{
	struct err e = {0};

	i->idle_ns = i->served = i->active = i->ready_ns = 0;
	i->began_ns = util_monotonic_ns();
	i->channel.n_asks = 0;
	i->stale = false;
	if (start_run(i, &e) == 0) {
		begin_channel(i);
		return;
	}
	(void)snprintf(i->version->failure, sizeof(i->version->failure), "%s", e.msg);
	forget_run(i);
	instance_step(i, REPLICA_ENDED);
}

static void publish(struct web_instance *i, bool is)
{
	if (i->published == is)
		return;
	i->published = is;
	web_edge_worker(i->f, i->version->worker);
}

/* Ends the run, also one that the monitor was not told of yet. */
static void end_run(struct web_instance *i, bool force)
{
	struct task *t = *i->run ? registry_find(i->f, i->run) : NULL;

	publish(i, false);
	if (t)
		(void)flow_cancel(i->f, t, force);
}

/* Its run has ended before it was ready: whoever waits for it is told why. */
static void tell_failure(struct web_instance *i)
{
	struct web_version *v = i->version;
	struct err e = {0}, told = {0};

	v->failed_ns = util_monotonic_ns();
	if (!*v->failure)
		(void)snprintf(v->failure, sizeof(v->failure),
			       "its instance has ended before it was ready: see its log");
	(void)err_set(&e, ERR_UNAVAILABLE, 0, "%s", v->failure);
	msg_warn("HTTP worker %s: version %s: %s", v->worker->row.name, v->row.id, v->failure);
	/* Why is for whoever deploys or calls a handler, and not for clients. */
	web_calls_answer(i->f, v, NULL, &e);
	(void)err_set(&told, ERR_UNAVAILABLE, 0, WEB_NOT_STARTED);
	web_wake_answer(i->f, v, NULL, &told);
	web_build_instance(i->f, i, &e);
}

/* It gets nothing new; another one is started at once, for which a request that comes now waits. */
static void replace(struct web_instance *i)
{
	struct web_version *v = i->version;
	struct web_instance *other;
	struct err e = {0};

	web_instance_want(i, false);
	if (!web_version_serves(v))
		return;
	other = web_instance_add(i->f, v, &e);
	if (other)
		web_instance_want(other, true);
	else
		web_wake_answer(i->f, v, NULL, &e);
}

void web_instances_replace(struct web_worker *w, const struct web_version *only)
{
	struct web_version *v;
	struct web_instance *i;

	LIST_FOREACH(v, &w->versions, next)
		LIST_FOREACH(i, &v->instances, next) {
			/* One that is not connected yet will be told the new ones. */
			if (i->channel.line.fd < 0 || (only && v != only))
				continue;
			i->stale = true;
			if (i->replica.state == REPLICA_UP)
				replace(i);
		}
}

static void begin_service(struct web_instance *i)
{
	struct web_version *v = i->version;

	v->failure[0] = '\0';
	util_free_ptr(&v->traceback);
	v->failed_ns = 0;
	i->idle_ns = util_monotonic_ns();
	i->ready_ns = i->began_ns ? i->idle_ns - i->began_ns : 0;
	web_counts_instance(i->f, i);
	/* That it starts is what a deploy waits for; what waits for an answer gets one of the next. */
	if (i->stale) {
		web_build_instance(i->f, i, NULL);
		replace(i);
		return;
	}
	publish(i, true);
	web_build_instance(i->f, i, NULL);
	web_wake_answer(i->f, v, i, NULL);
}

/* Tells the replica what has happened, and does what follows from it. */
static void instance_step(struct web_instance *i, enum replica_event event)
{
	const uint64_t longest_ns = (web_timeout_s(i->version) + TIMEOUT_AFTER_S) * SEC;
	struct replica_rules its = rules;

	/* What an instance has when it is let go may have just begun. */
	if (its.drain_ns < longest_ns)
		its.drain_ns = longest_ns;
	switch (replica_step(&its, &i->replica, event, util_monotonic_ns())) {
	case REPLICA_DO_START:
		begin_run(i);
		break;
	case REPLICA_DO_PUBLISH:
		begin_service(i);
		break;
	case REPLICA_DO_DRAIN:
		/* It is told to when the edge knows that it gets no more (web_instances_drain). */
		i->drains = true;
		publish(i, false);
		web_edge_worker(i->f, i->version->worker);
		break;
	case REPLICA_DO_STOP:
		end_run(i, false);
		break;
	case REPLICA_DO_KILL:
		end_run(i, true);
		break;
	case REPLICA_DO_GIVE_UP:
	case REPLICA_DO_FORGET:
		publish(i, false);
		/* It has not served before. */
		if (!i->replica.up_ns)
			tell_failure(i);
		/* The next request starts another one, if it is one that may be missing. */
		if (is_spare(i))
			instance_step(i, REPLICA_WANT_DOWN);
		break;
	case REPLICA_DO_NOTHING:
	case REPLICA_ACTIONS:
		break;
	}
	arm(i);
}

void web_instances_drain(struct front *f, struct web_worker *w)
{
	struct web_version *v;
	struct web_instance *i;

	LIST_FOREACH(v, &w->versions, next) {
		if (v->door && !web_version_serves(v))
			web_door_leave(f, v);
		LIST_FOREACH(i, &v->instances, next) {
			if (!i->drains)
				continue;
			i->drains = false;
			if (i->replica.state == REPLICA_DRAINING)
				web_channel_send(&i->channel, json_pack("{s:s}", "op", "drain"),
						 NULL, 0);
		}
	}
}

uint32_t web_timeout_s(const struct web_version *v)
{
	return v->manifest.sandbox.timeout_s ? v->manifest.sandbox.timeout_s : WEB_TIMEOUT_S;
}

void web_instance_unwell(struct web_instance *i)
{
	instance_step(i, REPLICA_UNWELL);
}

void web_instance_rests(struct web_instance *i)
{
	if (i->idle_ns)
		i->idle_ns = util_monotonic_ns();
	arm(i);
}

void web_instance_want(struct web_instance *i, bool up)
{
	instance_step(i, up ? REPLICA_WANT_UP : REPLICA_WANT_DOWN);
}

static struct web_instance *instance_new(struct front *f, struct web_version *v)
{
	struct web_instance *i = calloc(1, sizeof(*i));

	if (!i)
		return NULL;
	i->f = f;
	i->version = v;
	i->listen_fd = -1;
	i->channel = (struct web_channel){.f = f,
					  .run = i->run,
					  .version = v,
					  .line.fd = -1,
					  .take = channel_take,
					  .ended = channel_ended};
	TAILQ_INIT(&i->calls);
	LIST_INSERT_HEAD(&v->instances, i, next);
	v->n_instances++;
	return i;
}

void web_instance_free(struct web_instance *i)
{
	forget_run(i);
	timer_cancel(i->f, &i->timer);
	LIST_REMOVE(i, next);
	i->version->n_instances--;
	web_doors_watch(i->version->worker->project);
	free(i);
}

static unsigned instances_max(const struct web_version *v)
{
	const struct manifest_sandbox *s = &v->manifest.sandbox;
	const unsigned max = s->max ? s->max : WEB_INSTANCES_MAX;

	return max > s->min ? max : s->min;
}

/* Of the project's that may be missed, the one that has had no request for longest is let go. */
static bool make_room(struct project *p)
{
	struct web_instance *i, *longest = NULL;
	struct web_worker *w;
	struct web_version *v;

	LIST_FOREACH(w, &p->web->workers, next)
		LIST_FOREACH(v, &w->versions, next)
			LIST_FOREACH(i, &v->instances, next)
				if (i->replica.wanted && is_idle(i) && is_spare(i) &&
				    (!longest || i->idle_ns < longest->idle_ns))
					longest = i;
	if (longest)
		web_instance_want(longest, false);
	return longest;
}

/* What a deploy starts to see whether it starts is one more for a moment. */
static int check_quota(struct web_version *v, struct err *e)
{
	struct project *p = v->worker->project;

	if (!v->row.number || web_project_has_room(p) || make_room(p))
		return 0;
	return err_set(e, ERR_LIMIT, 0,
		       "the project's HTTP workers have %u instances, as many as its quota "
		       "\"http_instances\" allows",
		       web_project_wanted(p));
}

struct web_instance *web_instance_add(struct front *f, struct web_version *v, struct err *e)
{
	struct web_instance *i;

	if (web_version_wanted(v) >= instances_max(v) ||
	    v->n_instances >= LEAVING_FACTOR * instances_max(v)) {
		(void)err_set(e, ERR_LIMIT, 0,
			      "all %u instances of the worker have as many requests as they take "
			      "at a time",
			      v->n_instances);
		return NULL;
	}
	if (check_quota(v, e) < 0)
		return NULL;
	i = instance_new(f, v);
	if (!i)
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "cannot make an instance");
	return i;
}

int web_wake_version(struct front *f, struct web_version *v, struct err *e)
{
	struct web_instance *i;

	LIST_FOREACH(i, &v->instances, next)
		if (i->replica.state == REPLICA_STARTING && i->replica.wanted)
			return 0;
	if (v->manifest.assets.only)
		return err_set(e, ERR_NOT_FOUND, 0, "the worker has assets alone, and no code");
	if (v->failed_ns && util_monotonic_ns() - v->failed_ns < FAILURE_NS)
		return err_set(e, ERR_UNAVAILABLE, 0, WEB_NOT_STARTED);
	i = web_instance_add(f, v, e);
	if (!i)
		return -EBUSY;
	web_instance_want(i, true);
	/* It could not even be asked for, and whoever waited by then has been told. */
	if (i->replica.state != REPLICA_STARTING)
		return err_set(e, ERR_UNAVAILABLE, 0, WEB_NOT_STARTED);
	return 0;
}

/* How an instance's run is made. */

static struct web_instance *instance_of_run(struct front *f, const char *run)
{
	struct web_channel *c = web_channel_of_run(f, run);

	return c && c->take == channel_take ? of_channel(c) : NULL;
}

static bool is_of(const struct task_record *rec)
{
	return strncmp(rec->wanted_by, WANTED_BY, strlen(WANTED_BY)) == 0;
}

/* What the run reads of itself. Its secrets are not among that: they come by the channel. */
static char *payload_of(const struct web_version *v, const char *run, const char *isolation)
{
	const struct worker_manifest *m = &v->manifest;
	json_t *flags = json_object_get(m->doc, "compatibility_flags");
	json_t *bindings = json_object_get(m->doc, "bindings");
	const char *tag = *v->row.tag ? v->row.tag : m->tag;
	char created[TIMEFMT_MAX];
	json_auto_t *o = json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:b, s:s, s:s, s:O*, s:O*}",
		"worker", m->name, "project", v->worker->project->name, "version", v->row.id,
		"instance", run, "main", m->main, "main_file", m->main_file, "isolation", isolation,
		"compatibility_date", m->date, "concurrency",
		(json_int_t)(m->sandbox.concurrency ? m->sandbox.concurrency : WEB_CONCURRENCY),
		"timeout_s", (json_int_t)web_timeout_s(v), "edge", 1, "tag", tag ? tag : "",
		"timestamp", timefmt_print(v->row.created_ns, created), "compatibility_flags",
		flags, "bindings", bindings);

	return o ? json_dumps(o, JSON_COMPACT) : NULL;
}

static void fill_limits(const struct manifest_sandbox *from, struct task_spec *spec)
{
	if (from->memory) {
		spec->limits.memory = from->memory;
		spec->limits_set |= LIMIT_BIT(LIMIT_MEMORY);
	}
	if (from->cpu_milli) {
		spec->limits.cpu_milli = from->cpu_milli;
		spec->limits_set |= LIMIT_BIT(LIMIT_CPUS);
	}
}

/* Adds the package's own modules to a warm list of *n bytes. */
static void add_own(const char *names, char *buf, size_t size, int *n)
{
	while (*names && *n < (int)size) {
		const size_t len = strcspn(names, "\n");

		*n += snprintf(buf + *n, size - (size_t)*n, "\n" WARM_MODULE "%.*s", (int)len,
			       names);
		names += len + (names[len] == '\n');
	}
}

int web_warm_list(const struct web_version *v, enum web_snapshot kind, char *buf, size_t size,
		  struct err *e)
{
	const struct worker_manifest *m = &v->manifest;
	int n = 0;

	if (kind == WEB_SNAPSHOT_BASELINE)
		n = snprintf(buf, size, WEB_WARM_MODULE);
	else if (kind == WEB_SNAPSHOT_DEDICATED)
		n = snprintf(buf, size, WEB_WARM_MODULE "\n" WARM_MODULE "%s\n" WARM_REFUSE,
			     m->main);
	else
		buf[0] = '\0';
	if (kind == WEB_SNAPSHOT_PACKAGE) {
		n = snprintf(buf, size, WEB_WARM_MODULE "%s%s", *m->imports ? "\n" : "",
			     m->imports);
		add_own(m->package_imports, buf, size, &n);
	}
	if (n >= (int)size)
		return err_set(e, ERR_INPUT, 0,
			       "the names of its modules are too long for a snapshot");
	return 0;
}

int web_job(struct front *f, struct task *t, struct web_version *v, const char *isolation,
	    char **ret, struct err *e)
{
	static const enum start_mode starts[MANIFEST_START_MAX] = {
		[MANIFEST_START_AUTO] = START_AUTO,
		[MANIFEST_START_RESTORE] = START_RESTORE,
		[MANIFEST_START_COLD] = START_COLD};
	struct task_spec spec = {.kind = TASK_ENTRY, .source = ENTRY, .has_warm = true};
	int r = web_version_open(v, e);

	if (r < 0)
		return r;
	fill_limits(&v->manifest.sandbox, &spec);
	if (strcmp(isolation, "request") == 0) {
		/* It ends what takes too long itself, with an answer; this is for one that does not. */
		spec.limits.timeout_s = web_timeout_s(v) + TIMEOUT_AFTER_S;
		spec.limits_set |= LIMIT_BIT(LIMIT_TIMEOUT);
		spec.limits_lowered |= LIMIT_BIT(LIMIT_TIMEOUT);
	}
	spec.policy = (char *)v->manifest.sandbox.policy;
	spec.label = v->worker->row.name;
	spec.start = v->row.snapshot == WEB_SNAPSHOT_NONE ? START_COLD
							  : starts[v->manifest.sandbox.start];
	r = web_warm_list(v, v->row.snapshot, spec.warm, sizeof(spec.warm), e);
	if (r == 0)
		r = source_fill(f, t, &spec, v->row.image, e);
	if (r < 0)
		return r;
	spec.payload = payload_of(v, t->rec.id, isolation);
	if (!spec.payload)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make the run's job");
	r = job_write(&spec, ret, e);
	free(spec.payload);
	return r;
}

static int instance_job(struct front *f, struct task *t, char **ret, struct err *e)
{
	struct web_instance *i = instance_of_run(f, t->rec.id);

	/* A run that an earlier front has asked for in vain. */
	if (!i)
		return err_set(e, ERR_NOT_FOUND, 0, "nobody wants this instance any more");
	return web_job(f, t, i->version, "instance", ret, e);
}

static int instance_serve(struct front *f, struct task *t, int *ret, struct err *e)
{
	struct web_instance *i = instance_of_run(f, t->rec.id);

	if (!i || i->listen_fd < 0)
		return err_set(e, ERR_NOT_FOUND, 0, "nobody wants this instance any more");
	*ret = TAKE_FD(i->listen_fd);
	return 0;
}

static void run_over(struct front *f, struct task *t)
{
	struct web_instance *i = instance_of_run(f, t->rec.id);

	if (!i)
		return;
	web_channel_drain(&i->channel);
	if (*t->rec.error && !*i->version->failure)
		(void)snprintf(i->version->failure, sizeof(i->version->failure), "%s",
			       t->rec.error);
	if (i->replica.wanted)
		i->version->worker->restarts++;
	forget_run(i);
	instance_step(i, REPLICA_ENDED);
}

const struct run_source web_source = {
	.name = "web",
	.flags = RUN_BY_TENANT | RUN_SERVES | RUN_NO_DEADLINE | RUN_RING_LOG,
	.is_of = is_of,
	.job = instance_job,
	.serve = instance_serve,
	.ended = run_over,
};

/* After a restart of the front. */

static void adopt(struct front *f, struct task *t, void *arg)
{
	const char *version = t->rec.wanted_by + strlen(WANTED_BY);
	struct web_version *v;
	struct web_instance *i;
	uint64_t changed_ns = 0;

	(void)arg;
	if (!is_of(&t->rec))
		return;
	v = web_version_by_id(t->project, version);
	i = v && web_version_serves(v) && web_version_open(v, NULL) == 0 ? instance_new(f, v)
									 : NULL;
	/* Its version was removed, or serves no more: it has nothing to finish that anybody could
	 * answer by now. */
	if (!i) {
		edge_socket_remove(f, t->rec.id);
		(void)flow_cancel(f, t, false);
		return;
	}
	memcpy(i->run, t->rec.id, sizeof(i->run));
	idtable_add(&f->web->channels, &i->channel.node, i->run);
	i->replica = (struct replica){.state = REPLICA_STARTING,
				      .wanted = true,
				      .timer_ns = util_monotonic_ns() + rules.start_ns};
	/* The front may have ended between a change of its secrets and what follows from that. */
	i->stale = store_secrets_changed(f->store, v->worker->project->id, v->worker->row.name,
					 &changed_ns, NULL) == 0 &&
		   changed_ns >= t->rec.created_ns;
	/* It says again that it is ready, on a new channel. */
	begin_channel(i);
	arm(i);
}

void web_instances_load(struct front *f)
{
	registry_each(f, adopt, NULL);
}
