// SPDX-License-Identifier: Apache-2.0
/* Replicas: places of a service, each with one run at a time. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fdpass.h"
#include "lib/msg.h"
#include "spec/job.h"
#include "supervisor/front/service/service.h"

#define WANTED_BY "service:" /* and SERVICE-ID:VERSION:NUMBER: task_record.wanted_by */
#define ENTRY ((char *)"_sandboxd_service.main:main")
#define CONNECT_AGAIN_NS (50 * MSEC)
/* What a replica that finishes may take beyond what its manifest says: then it is ended. */
#define DRAIN_AFTER_NS (5 * SEC)
#define FRAME_MAX (1u << 20)
/* At least, as far as the policy lets: each request may have two connections, and servers are several
 * processes. */
#define OPEN_FILES 4096u
#define PROCESSES 256u
/* What one that has ended before it was ready waits, and how often. */
static const struct replica_rules rules = {
	.backoff_ns = 500 * MSEC,
	.backoff_max_ns = 30 * SEC,
	.settled_ns = 30 * SEC,
	.ends_max = 10,
};

static void step(struct service_replica *r, enum replica_event event);
static void arm(struct service_replica *r);

bool service_replica_serves(const struct service_replica *r)
{
	return r->replica.state == REPLICA_UP && r->generation == r->service->generation &&
	       r->version->stored && r->version->row.number == r->service->row.live;
}

/* The sockets of a run: its first HTTP port has the name of the run, others a number behind it. */
static void socket_name(const char *run, unsigned port, char buf[EDGE_SOCKET_MAX])
{
	if (port)
		(void)snprintf(buf, EDGE_SOCKET_MAX, "%s-%u", run, port);
	else
		(void)snprintf(buf, EDGE_SOCKET_MAX, "%s", run);
}

static void channel_name(const char *run, char buf[EDGE_SOCKET_MAX])
{
	(void)snprintf(buf, EDGE_SOCKET_MAX, "%s-c", run);
}

void service_replica_background_name(const char *run, char buf[EDGE_SOCKET_MAX])
{
	(void)snprintf(buf, EDGE_SOCKET_MAX, "%s-b", run);
}

static void remove_sockets(struct front *f, const char *run)
{
	char name[EDGE_SOCKET_MAX];

	service_replica_background_name(run, name);
	edge_socket_remove(f, name);

	channel_name(run, name);
	edge_socket_remove(f, name);
	for (unsigned i = 0; i < SERVICE_PORTS_MAX; i++) {
		socket_name(run, i, name);
		edge_socket_remove(f, name);
	}
}

static void forget_run(struct service_replica *r)
{
	channel_close(&r->channel);
	util_close_fd(&r->listen_fd);
	if (!*r->run)
		return;
	if (r->service->background)
		r->f->services->hooks->run_over(r);
	/* The edge and the next front find a run that goes on by its sockets. */
	if (!r->f->services->stopped)
		remove_sockets(r->f, r->run);
	idtable_remove(&r->f->services->channels, &r->node);
	memcpy(r->last, r->run, sizeof(r->last));
	r->run[0] = '\0';
	r->stage[0] = '\0';
}

/* What the runtime is told first. */
/* As far as it is known: of a service whose first version is put, one. */
static unsigned instances_of(struct service *s)
{
	const struct service_version *v = service_live(s);

	return v && v->manifest.doc ? service_instances(s, v) : 1;
}

json_t *service_peers(struct front *f, struct service *own)
{
	json_t *all = json_array();
	struct service *s;

	/* First: what is known of those that are there is more. */
	service_push_peers(f, own, all);
	LIST_FOREACH(s, &own->project->service->services, next)
		if (strcmp(s->row.app, own->row.app) == 0) {
			char url[EDGE_URL_MAX];

			service_url(f, s, url, sizeof(url));
			json_array_append_new(all, json_pack("{s:s, s:s, s:i}", "name", s->row.name,
							     "url", url, "instances",
							     (int)instances_of(s)));
		}
	return all;
}

static json_t *hello(struct service_replica *r)
{
	json_t *env = service_env(r->f, r->service), *sockets = json_array();

	for (unsigned i = 0; i < r->version->manifest.n_http; i++)
		json_array_append_new(sockets, json_string(r->version->manifest.ports[i].name));
	if (r->version->manifest.background.is)
		json_array_append_new(sockets, json_string("background"));
	/* Those of its app, for the variables by which they find each other. */
	return json_pack("{s:s, s:o, s:o, s:o}", "op", "hello", "environment",
			 env ? env : json_object(), "sockets", sockets, "services",
			 service_peers(r->f, r->service));
}

/* fds: the sockets of its HTTP ports; n 0: an earlier front has given them. -EAGAIN: too many wait to
 * be accepted. */
static int channel_connect(struct service_replica *r, const int *fds, unsigned n)
{
	_cleanup_fd_ int fd = -1;
	char name[EDGE_SOCKET_MAX];
	int res;

	channel_name(r->run, name);
	fd = edge_socket_connect(r->f, name);
	if (fd < 0)
		return TAKE_FD(fd);
	res = fds_send(fd, "", 1, fds, (int)n, 0);
	if (res < 0)
		return res;
	res = channel_open(r->f, &r->channel, TAKE_FD(fd), FRAME_MAX);
	if (res == 0)
		channel_send(&r->channel, hello(r), NULL, 0);
	return res;
}

static void begin_channel(struct service_replica *r, const int *fds, unsigned n)
{
	const int res = channel_connect(r, fds, n);

	if (res == 0 || res == -EAGAIN)
		return;
	msg_warn("service %s/%s.%u: its channel: %s", r->service->row.app, r->service->row.name,
		 r->number, strerror(-res));
	step(r, REPLICA_UNWELL);
}

/* Of a sandbox: no escape sequence of its reaches a terminal. */
static void take_text(const json_t *head, const char *key, char *buf, size_t size)
{
	const char *text = json_string_value(json_object_get(head, key));
	char shown[ERR_MSG_MAX];

	(void)snprintf(buf, size, "%s", util_escape(text ? text : "", shown, sizeof(shown)));
}

/* Of more than a line; its control characters reach no terminal. */
static char *shown_text(const char *text)
{
	char *copy = text && *text ? strndup(text, SERVICE_OUTPUT_MAX) : NULL;

	for (char *c = copy; c && *c; c++)
		if ((*c > 0 && *c < 0x20 && *c != '\n' && *c != '\t') || *c == 0x7f)
			*c = '?';
	return copy;
}

static void channel_take(struct channel *c, const char *op, json_t *head)
{
	struct service_replica *r = OWNER(c, struct service_replica, channel);

	if (strcmp(op, "ready") == 0) {
		step(r, REPLICA_READY);
	} else if (strcmp(op, "stage") == 0) {
		take_text(head, "stage", r->stage, sizeof(r->stage));
		service_roll_stage(r);
	} else if (strcmp(op, "failed") == 0) {
		take_text(head, "message", r->failure, sizeof(r->failure));
		free(r->output);
		r->output = shown_text(json_string_value(json_object_get(head, "output")));
	} else if (strcmp(op, "unwell") == 0) {
		char text[200];

		take_text(head, "message", text, sizeof(text));
		msg_warn("service %s/%s.%u: it is unwell: %s", r->service->row.app,
			 r->service->row.name, r->number, text);
		step(r, REPLICA_UNWELL);
	}
}

/* Mostly its run has ended, of which the monitor tells. A run that has closed its channel otherwise
 * cannot be told anything any more. */
static void channel_ended(struct channel *c, const char *why)
{
	struct service_replica *r = OWNER(c, struct service_replica, channel);

	if (r->replica.state == REPLICA_UP || r->replica.state == REPLICA_STARTING)
		msg_info("service %s/%s.%u: run %s: %s", r->service->row.app, r->service->row.name,
			 r->number, r->run, why);
	step(r, REPLICA_UNWELL);
}

static bool is_over(const struct service_replica *r)
{
	return r->replica.state == REPLICA_DOWN;
}

static void on_timer(struct front *f, struct timer *t)
{
	struct service_replica *r = OWNER(t, struct service_replica, timer);

	(void)f;
	/* It is freed here alone, so that nobody finds it gone in the middle of something. */
	if (is_over(r)) {
		service_replica_free(r);
		return;
	}
	if (r->replica.timer_ns && util_monotonic_ns() >= r->replica.timer_ns) {
		step(r, REPLICA_TIMER);
		return;
	}
	if (r->replica.state == REPLICA_STARTING && r->channel.fd < 0)
		begin_channel(r, NULL, 0);
	arm(r);
}

/* The timer, for whatever comes first. */
static void arm(struct service_replica *r)
{
	uint64_t at = r->replica.timer_ns, other = 0;

	timer_cancel(r->f, &r->timer);
	if (is_over(r))
		at = other = util_monotonic_ns();
	else if (r->replica.state == REPLICA_STARTING && r->channel.fd < 0)
		other = util_monotonic_ns() + CONNECT_AGAIN_NS;
	if (other && (!at || other < at))
		at = other;
	if (at)
		timer_set(r->f, &r->timer, at, on_timer);
}

static int accept_run(struct service_replica *r, struct err *e)
{
	char wanted_by[sizeof(((struct task_record *)NULL)->wanted_by)];
	struct task *t;
	int res;

	(void)snprintf(wanted_by, sizeof(wanted_by), WANTED_BY "%s:%u:%u", r->service->row.id,
		       r->version->row.number, r->number);
	t = run_new(r->service->project, r->run, wanted_by, r->version->row.package);
	if (!t)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot begin a replica");
	res = flow_accept(r->f, t);
	if (res < 0)
		registry_free_task(r->f, t);
	return res < 0 ? err_set(e, ERR_SYSTEM, -res, "cannot begin a replica") : 0;
}

static void begin_run(struct service_replica *r)
{
	int fds[SERVICE_PORTS_MAX + 1];
	char name[EDGE_SOCKET_MAX];
	struct err e = {0};
	unsigned n = 0;
	int res = service_version_open(r->version, &e);

	util_new_id(r->run);
	idtable_add(&r->f->services->channels, &r->node, r->run);
	r->began_ns = util_monotonic_ns();
	r->ready_ns = 0;
	r->failure[0] = '\0';
	util_free_ptr(&r->output);
	channel_name(r->run, name);
	if (res == 0)
		res = edge_socket_make(r->f, name, &r->listen_fd, &e);
	while (res == 0 && n < r->version->manifest.n_http) {
		socket_name(r->run, n, name);
		res = edge_socket_make(r->f, name, &fds[n], &e);
		n += res == 0;
	}
	if (res == 0 && r->version->manifest.background.is) {
		service_replica_background_name(r->run, name);
		res = edge_socket_make(r->f, name, &fds[n], &e);
		n += res == 0;
	}
	if (res == 0)
		res = accept_run(r, &e);
	if (res == 0)
		begin_channel(r, fds, n);
	/* They are on their way; nobody but the run holds them from then on. */
	for (unsigned i = 0; i < n; i++)
		(void)close(fds[i]);
	if (res == 0)
		return;
	(void)snprintf(r->failure, sizeof(r->failure), "%s", e.msg);
	forget_run(r);
	step(r, REPLICA_ENDED);
}

/* Ends the run, also one that the monitor was not told of yet. */
static void end_run(struct service_replica *r, bool force)
{
	struct task *t = *r->run ? registry_find(r->f, r->run) : NULL;

	if (t)
		(void)flow_cancel(r->f, t, force);
}

static void tell_failure(struct service_replica *r)
{
	struct service *s = r->service;

	if (!*r->failure)
		(void)snprintf(r->failure, sizeof(r->failure),
			       "it has ended before it was ready: its log says why");
	memcpy(s->failure, r->failure, sizeof(s->failure));
	msg_warn("service %s/%s.%u: version %s: %s", s->row.app, s->row.name, r->number,
		 r->version->row.revision, r->failure);
	service_roll_replica(r, false);
}

/* Those that wait at the edge get one that serves now; or, where none will soon, hear that. */
static void answer_waiting(struct service *s)
{
	const struct service_replica *r, *up = NULL;
	struct err e = {0};
	bool hope = false;

	LIST_FOREACH(r, &s->replicas, next) {
		if (service_replica_serves(r))
			up = r;
		hope |= r->replica.wanted && r->replica.state != REPLICA_FAILED;
	}
	(void)err_set(&e, ERR_UNAVAILABLE, 0, "no replica of the service runs");
	for (unsigned i = 0; i < SERVICE_PORTS_MAX; i++) {
		char name[EDGE_SOCKET_MAX];

		if (up) {
			socket_name(up->run, i, name);
			edge_wake_answer(&s->wakes[i], name, NULL);
		} else if (!hope) {
			edge_wake_answer(&s->wakes[i], NULL, &e);
		}
	}
}

static void begin_service(struct service_replica *r)
{
	r->ready_ns = r->began_ns ? util_monotonic_ns() - r->began_ns : 0;
	r->stage[0] = '\0';
	r->service->failure[0] = '\0';
	service_roll_replica(r, true);
	if (!service_replica_serves(r))
		return;
	service_edge_put(r->f, r->service);
	answer_waiting(r->service);
}

/* Tells the replica what has happened, and does what follows from it. */
static void step(struct service_replica *r, enum replica_event event)
{
	const struct service_manifest *m = &r->version->manifest;
	struct replica_rules its = rules;
	const bool served = service_replica_serves(r);

	its.start_ns = (m->doc ? m->start_s : SERVICE_START_MAX) * SEC;
	its.drain_ns = (m->doc ? m->drain_s : 0) * SEC + DRAIN_AFTER_NS;
	switch (replica_step(&its, &r->replica, event, util_monotonic_ns())) {
	case REPLICA_DO_START:
		begin_run(r);
		break;
	case REPLICA_DO_PUBLISH:
		begin_service(r);
		break;
	case REPLICA_DO_DRAIN:
		/* It is told to when the edge knows that it gets no more. */
		r->drains = true;
		service_edge_put(r->f, r->service);
		break;
	case REPLICA_DO_STOP:
		/* It had its time to become ready; why it did not it may still say. */
		if (event == REPLICA_TIMER && !r->replica.up_ns && !*r->failure)
			(void)snprintf(r->failure, sizeof(r->failure),
				       "it was not ready within %u s%s%s", m->doc ? m->start_s : 0,
				       *r->stage ? ", and was at the stage " : "", r->stage);
		end_run(r, false);
		break;
	case REPLICA_DO_KILL:
		end_run(r, true);
		break;
	case REPLICA_DO_GIVE_UP:
		msg_err("service %s/%s.%u has ended too often: it is started no more before "
			"'sandboxctl service restart' or another version",
			r->service->row.app, r->service->row.name, r->number);
		/* fall through */
	case REPLICA_DO_FORGET:
		if (!r->replica.up_ns && !r->replica.told)
			tell_failure(r);
		answer_waiting(r->service);
		break;
	case REPLICA_DO_NOTHING:
	case REPLICA_ACTIONS:
		break;
	}
	if (served && !service_replica_serves(r))
		service_edge_put(r->f, r->service);
	if (r->service->background)
		r->f->services->hooks->replica(r);
	arm(r);
}

void service_replica_kill(struct service_replica *r)
{
	end_run(r, true);
}

void service_replicas_drain(struct service *s)
{
	struct service_replica *r;

	LIST_FOREACH(r, &s->replicas, next) {
		if (!r->drains)
			continue;
		r->drains = false;
		if (r->replica.state == REPLICA_DRAINING)
			channel_send(&r->channel,
				     json_pack("{s:s, s:I}", "op", "drain", "seconds",
					       (json_int_t)r->version->manifest.drain_s),
				     NULL, 0);
	}
}

void service_replica_want(struct service_replica *r, bool up)
{
	step(r, up ? REPLICA_WANT_UP : REPLICA_WANT_DOWN);
}

struct service_replica *service_replica_new(struct front *f, struct service_version *v,
					    unsigned number, uint64_t generation)
{
	struct service_replica *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->f = f;
	r->service = v->service;
	r->version = v;
	r->number = number;
	r->generation = generation;
	r->listen_fd = -1;
	r->channel = (struct channel){.fd = -1, .take = channel_take, .ended = channel_ended};
	LIST_INSERT_HEAD(&v->service->replicas, r, next);
	v->n_replicas++;
	return r;
}

void service_replica_free(struct service_replica *r)
{
	forget_run(r);
	timer_cancel(r->f, &r->timer);
	LIST_REMOVE(r, next);
	r->version->n_replicas--;
	free(r->output);
	free(r);
}

void service_replica_drop(struct service_replica *r)
{
	end_run(r, true);
	service_replica_free(r);
}

/* How a replica's run is made. */

static struct service_replica *of_run(struct front *f, const char *run)
{
	return OWNER_OF(idtable_find(&f->services->channels, run), struct service_replica, node);
}

static bool is_of(const struct task_record *rec)
{
	return strncmp(rec->wanted_by, WANTED_BY, strlen(WANTED_BY)) == 0;
}

static char *payload_of(const struct service_replica *r)
{
	const struct service *s = r->service;
	json_auto_t *o = json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:O}", "project",
				   s->project->name, "app", s->row.app, "service", s->row.name,
				   "replica", (int)r->number, "version", r->version->row.revision,
				   "run", r->run, "manifest", r->version->manifest.doc);

	return o ? json_dumps(o, JSON_COMPACT) : NULL;
}

static void fill_limits(const struct service_replica *r, struct task_spec *spec)
{
	const struct service_manifest *m = &r->version->manifest;
	const struct service_row *row = service_row_for(r);
	const uint64_t memory = row->memory ? row->memory : m->memory;

	spec->limits.nofile = OPEN_FILES;
	spec->limits.pids = PROCESSES;
	spec->limits_set |= LIMIT_BIT(LIMIT_NOFILE) | LIMIT_BIT(LIMIT_PIDS);
	spec->limits_lowered |= LIMIT_BIT(LIMIT_NOFILE) | LIMIT_BIT(LIMIT_PIDS);
	if (memory) {
		spec->limits.memory = memory;
		spec->limits_set |= LIMIT_BIT(LIMIT_MEMORY);
	}
	if (m->cpu_milli) {
		spec->limits.cpu_milli = m->cpu_milli;
		spec->limits_set |= LIMIT_BIT(LIMIT_CPUS);
	}
}

static int replica_job(struct front *f, struct task *t, char **ret, struct err *e)
{
	struct service_replica *r = of_run(f, t->rec.id);
	struct task_spec spec = {
		.kind = TASK_ENTRY, .source = ENTRY, .has_warm = true, .start = START_COLD};
	char label[SERVICE_APP_MAX + SERVICE_NAME_MAX + 16];
	int res;

	/* A run that an earlier front has asked for in vain. */
	if (!r)
		return err_set(e, ERR_NOT_FOUND, 0, "nobody wants this replica any more");
	(void)snprintf(label, sizeof(label), "%s/%s.%u", r->service->row.app, r->service->row.name,
		       r->number);
	spec.label = label;
	spec.policy = (char *)r->version->manifest.policy;
	fill_limits(r, &spec);
	res = source_fill(f, t, &spec, r->version->row.image, e);
	if (res < 0)
		return res;
	spec.payload = payload_of(r);
	if (!spec.payload)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make the replica's job");
	res = job_write(&spec, ret, e);
	free(spec.payload);
	return res;
}

static int replica_serve(struct front *f, struct task *t, int *ret, struct err *e)
{
	struct service_replica *r = of_run(f, t->rec.id);

	if (!r || r->listen_fd < 0)
		return err_set(e, ERR_NOT_FOUND, 0, "nobody wants this replica any more");
	*ret = TAKE_FD(r->listen_fd);
	return 0;
}

/* The service's own folder, which its replicas share and which outlives them. */
int service_data_open(struct front *f, const char *id, int *ret, struct err *e)
{
	*ret = -1;
	if (f->cfg.data_dirfd <= 0)
		return 0;
	(void)mkdirat(f->cfg.data_dirfd, id, 0755);
	*ret = openat(f->cfg.data_dirfd, id, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return *ret < 0 ? err_set(e, ERR_SYSTEM, errno, "the service's folder data") : 0;
}

static int replica_data(struct front *f, struct task *t, int *ret, struct err *e)
{
	struct service_replica *r = of_run(f, t->rec.id);

	*ret = -1;
	if (!r)
		return err_set(e, ERR_NOT_FOUND, 0, "nobody wants this replica any more");
	return service_data_open(f, r->service->row.id, ret, e);
}

static void run_over(struct front *f, struct task *t)
{
	struct service_replica *r = of_run(f, t->rec.id);

	if (!r)
		return;
	if (r->channel.fd >= 0)
		channel_drain(&r->channel);
	if (*t->rec.error && !*r->failure)
		(void)snprintf(r->failure, sizeof(r->failure), "%s", t->rec.error);
	if (r->replica.wanted && !r->replica.told) {
		r->service->restarts++;
		r->restarts++;
	}
	forget_run(r);
	step(r, REPLICA_ENDED);
}

const struct run_source service_source = {
	.name = "service",
	.flags = RUN_BY_TENANT | RUN_SERVES | RUN_NO_DEADLINE | RUN_RING_LOG,
	.is_of = is_of,
	.job = replica_job,
	.serve = replica_serve,
	.data = replica_data,
	.ended = run_over,
};

/* After a restart of the front. */

/* Whether the service has a replica in this place already. */
static bool is_taken(struct service *s, unsigned number)
{
	const struct service_replica *r;

	LIST_FOREACH(r, &s->replicas, next)
		if (r->number == number)
			return true;
	return false;
}

/* What a run is wanted by: a service's id, the number of a version and that of a replica. */
static bool read_wanted_by(const char *by, char id[PROJECT_ID_LEN + 1], unsigned *version,
			   unsigned *number)
{
	char *end;
	size_t n;

	if (strncmp(by, WANTED_BY, strlen(WANTED_BY)) != 0)
		return false;
	by += strlen(WANTED_BY);
	n = strspn(by, "0123456789abcdef");
	if (n > PROJECT_ID_LEN || by[n] != ':')
		return false;
	memcpy(id, by, n);
	id[n] = '\0';
	*version = (unsigned)strtoul(by + n + 1, &end, 10);
	if (*end != ':')
		return false;
	*number = (unsigned)strtoul(end + 1, &end, 10);
	return *end == '\0';
}

static void adopt(struct front *f, struct task *t, void *arg)
{
	char id[PROJECT_ID_LEN + 1];
	struct service_replica *r = NULL;
	unsigned version, number;
	struct service *s;
	struct service_version *v;

	(void)arg;
	if (!is_of(&t->rec))
		return;
	if (read_wanted_by(t->rec.wanted_by, id, &version, &number)) {
		s = service_by_id(f, id);
		v = s && version == s->row.live ? service_live(s) : NULL;
		if (v && service_version_open(v, NULL) == 0 && number < service_instances(s, v) &&
		    !is_taken(s, number))
			r = service_replica_new(f, v, number, s->generation);
	}
	/* Its version is not live, or not yet; or it finishes what it has for nobody. */
	if (!r) {
		remove_sockets(f, t->rec.id);
		(void)flow_cancel(f, t, false);
		return;
	}
	memcpy(r->run, t->rec.id, sizeof(r->run));
	idtable_add(&f->services->channels, &r->node, r->run);
	r->replica = (struct replica){.state = REPLICA_STARTING,
				      .wanted = true,
				      .timer_ns = util_monotonic_ns() +
						  r->version->manifest.start_s * SEC};
	/* It says again that it is ready, on a new channel. */
	begin_channel(r, NULL, 0);
	arm(r);
}

void service_replicas_load(struct front *f)
{
	registry_each(f, adopt, NULL);
}
