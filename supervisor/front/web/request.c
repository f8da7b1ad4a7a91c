// SPDX-License-Identifier: Apache-2.0
/*
 * Isolation "request": a run for each request, which nothing of another one reaches. The front listens
 * for such a version at its door, a socket that the edge connects to for one request at a time, and
 * never reads a byte of what comes there: the connection goes to a run of its own with the first frame
 * of the run's channel, and the run ends when it has answered.
 *
 * As many run at a time as the version's max says, and more wait in the door's queue. The runs are not
 * recorded: a restart of the front ends them, and the edge answers for them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/msg.h"
#include "supervisor/front/web/web.h"

#define WANTED_BY "web-request:" /* and the version's id: task_record.wanted_by */
#define LISTEN_BACKLOG 1024
#define ACCEPTS_A_TURN 32u
/* A request that the edge had picked the version for, before it was told otherwise, has arrived by then. */
#define LEAVE_NS (1 * SEC)

struct web_door {
	struct front *f;
	struct web_version *version;
	sd_event_source *io; /* has the socket */
	struct timer leaves;
};

struct web_request {
	LIST_ENTRY(web_request) next; /* of its version */
	struct web_version *version;
	char run[TASK_ID_LEN + 1];
	int serve_fd; /* the run's end of the channel until it is started; else -1 */
	struct web_channel channel;
	bool tries; /* it has no request: a deploy waits for its "ready" */
	bool ready;
};

static void request_take(struct web_channel *c, const char *op, json_t *head)
{
	struct web_request *q = OWNER(c, struct web_request, channel);

	if (web_binding_take(c, op, head))
		return;
	if (strcmp(op, "failed") == 0)
		web_take_failed(q->version, head);
	else if (strcmp(op, "event") == 0 && !q->tries)
		web_tail_event(q->version->worker, q->version->row.id, q->run, head);
	else if (strcmp(op, "ready") == 0 && q->tries && !q->ready) {
		q->ready = true;
		web_build_tried(c->f, q->version, NULL);
	}
}

/* What it has asked for nobody answers any more. Its run ends by itself, or by its timeout. */
static void request_channel_ended(struct web_channel *c, const char *why)
{
	(void)c;
	(void)why;
}

void web_requests_tell_tail(struct web_version *v, bool on)
{
	struct web_request *q;

	LIST_FOREACH(q, &v->requests, next)
		web_channel_tell_tail(&q->channel, on);
}

static struct web_request *of_run(struct front *f, const char *run)
{
	struct web_channel *c = web_channel_of_run(f, run);

	return c && c->take == request_take ? OWNER(c, struct web_request, channel) : NULL;
}

static bool has_room(const struct web_version *v)
{
	return v->n_requests < v->manifest.sandbox.max && web_project_has_room(v->worker->project);
}

static void watch(struct web_version *v)
{
	if (v->door)
		(void)sd_event_source_set_enabled(v->door->io,
						  has_room(v) ? SD_EVENT_ON : SD_EVENT_OFF);
}

/* More wait at the doors until there is room again. */
void web_doors_watch(const struct project *p)
{
	struct web_worker *w;
	struct web_version *v;

	LIST_FOREACH(w, &p->web->workers, next)
		LIST_FOREACH(v, &w->versions, next)
			watch(v);
}

static void request_free(struct front *f, struct web_request *q)
{
	web_channel_close(&q->channel);
	util_close_fd(&q->serve_fd);
	idtable_remove(&f->web->channels, &q->channel.node);
	LIST_REMOVE(q, next);
	q->version->n_requests--;
	q->version->worker->project->web->n_requests--;
	if (q->version->worker->project->quota.http_instances)
		web_doors_watch(q->version->worker->project);
	else
		watch(q->version);
	free(q);
}

/* The run's first frame, with the connection. There is room for its beginning, because nothing was sent
 * before. */
static int say_hello(struct web_request *q, int connection, struct err *e)
{
	struct web_channel *c = &q->channel;
	/* Whether it gets ready, only a deploy wants to know. */
	int r = web_hello(c, !q->tries, e);

	if (r < 0)
		return r;
	if (!c->line.out.first)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot begin a request");
	r = serve_out_pass(&c->line.out, c->line.fd, connection);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "cannot pass a request on") : 0;
}

static int start_run(struct front *f, struct web_request *q, struct err *e)
{
	struct web_version *v = q->version;
	struct task *t = web_run_of(v, q->run, WANTED_BY);
	int r;

	if (!t)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot begin a request");
	r = flow_accept(f, t);
	if (r < 0)
		registry_free_task(f, t);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "cannot begin a request") : 0;
}

/* connection stays the caller's. */
static int request_begin(struct front *f, struct web_version *v, int connection, bool tries,
			 struct err *e)
{
	struct web_request *q = calloc(1, sizeof(*q));
	int pair[2], r;

	if (!q || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		free(q);
		return err_set(e, ERR_SYSTEM, errno, "cannot begin a request");
	}
	*q = (struct web_request){.version = v, .serve_fd = pair[0], .tries = tries};
	q->channel = (struct web_channel){
		.run = q->run, .version = v, .take = request_take, .ended = request_channel_ended};
	util_new_id(q->run);
	LIST_INSERT_HEAD(&v->requests, q, next);
	v->n_requests++;
	v->worker->project->web->n_requests++;
	idtable_add(&f->web->channels, &q->channel.node, q->run);
	(void)fcntl(pair[1], F_SETFL, O_NONBLOCK);
	r = web_channel_open(f, &q->channel, pair[1], SERVE_BODY_MAX);
	if (r < 0)
		(void)err_set(e, ERR_SYSTEM, -r, "cannot begin a request");
	if (r == 0)
		r = say_hello(q, connection, e);
	if (r == 0)
		r = start_run(f, q, e);
	if (r < 0)
		request_free(f, q);
	return r;
}

/* Its connection is one whose client has left: the run says that it is ready, and ends. */
int web_request_try(struct front *f, struct web_version *v, struct err *e)
{
	int pair[2], r = web_version_open(v, e);

	if (r < 0)
		return r;
	v->failure[0] = '\0';
	util_free_ptr(&v->traceback);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(e, ERR_SYSTEM, errno, "cannot begin a request");
	r = request_begin(f, v, pair[0], true, e);
	util_close_fd(&pair[0]);
	util_close_fd(&pair[1]);
	return r;
}

static void door_close(struct front *f, struct web_version *v)
{
	struct web_door *d = v->door;
	char name[WEB_UUID_LEN + 16];

	v->door = NULL;
	(void)snprintf(name, sizeof(name), "v/%s.sock", v->row.id);
	(void)unlinkat(f->cfg.edge_dirfd, name, 0);
	timer_cancel(f, &d->leaves);
	(void)sd_event_source_disable_unref(d->io);
	free(d);
}

void web_requests_free(struct front *f, struct web_version *v)
{
	if (v->door)
		door_close(f, v);
	while (!LIST_EMPTY(&v->requests)) {
		struct web_request *q = LIST_FIRST(&v->requests);
		struct task *t = registry_find(f, q->run);

		request_free(f, q);
		if (t)
			(void)flow_cancel(f, t, true);
	}
}

/* The door */

/* Returns false when nobody waits at it any more. */
static bool take_some(struct web_door *d)
{
	const int sock = sd_event_source_get_io_fd(d->io);
	struct web_version *v = d->version;

	for (unsigned n = 0; n < ACCEPTS_A_TURN && has_room(v); n++) {
		_cleanup_fd_ int fd = accept4(sock, NULL, NULL, SOCK_CLOEXEC);
		struct err e = {0};

		if (fd < 0)
			return false;
		/* Closed without an answer: the edge gives one. */
		if (request_begin(d->f, v, fd, false, &e) < 0)
			msg_warn("HTTP worker %s: a request: %s", v->worker->row.name, e.msg);
	}
	return true;
}

static int on_connection(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct web_door *d = arg;

	(void)s;
	(void)fd;
	(void)events;
	(void)take_some(d);
	watch(d->version);
	return 0;
}

static int listen_at(struct front *f, const struct web_version *v, int *ret)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un name = {.sun_family = AF_UNIX};

	(void)snprintf(name.sun_path, sizeof(name.sun_path), "/proc/self/fd/%d/v/%s.sock",
		       f->cfg.edge_dirfd, v->row.id);
	(void)unlink(name.sun_path);
	/* The folder lets the edge in and nobody else. */
	if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0 ||
	    chmod(name.sun_path, 0666) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
		return -errno;
	*ret = TAKE_FD(fd);
	return 0;
}

int web_door_open(struct front *f, struct web_version *v, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	struct web_door *d;
	int r;

	if (v->door) {
		timer_cancel(f, &v->door->leaves);
		return 0;
	}
	r = listen_at(f, v, &fd);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "cannot make the version's socket");
	d = calloc(1, sizeof(*d));
	r = d ? sd_event_add_io(f->event, &d->io, fd, EPOLLIN, on_connection, d) : -ENOMEM;
	if (r < 0) {
		free(d);
		return err_set(e, ERR_SYSTEM, -r, "cannot listen for the version");
	}
	(void)sd_event_source_set_io_fd_own(d->io, 1);
	(void)TAKE_FD(fd);
	d->f = f;
	d->version = v;
	v->door = d;
	watch(v);
	return 0;
}

/* Requests that are being served go on. */
static void leave_now(struct front *f, struct timer *t)
{
	struct web_door *d = OWNER(t, struct web_door, leaves);

	if (take_some(d))
		timer_set(f, t, util_monotonic_ns() + LEAVE_NS, leave_now);
	else
		door_close(f, d->version);
}

void web_door_leave(struct front *f, struct web_version *v)
{
	if (!timer_is_set(&v->door->leaves))
		timer_set(f, &v->door->leaves, util_monotonic_ns() + LEAVE_NS, leave_now);
}

/* How a request's run is made. */

static bool is_of(const struct task_record *rec)
{
	return strncmp(rec->wanted_by, WANTED_BY, strlen(WANTED_BY)) == 0;
}

static int request_job(struct front *f, struct task *t, char **ret, struct err *e)
{
	struct web_request *q = of_run(f, t->rec.id);

	if (!q)
		return err_set(e, ERR_NOT_FOUND, 0, "nobody waits for this request any more");
	return web_job(f, t, q->version, "request", ret, e);
}

static int request_serve(struct front *f, struct task *t, int *ret, struct err *e)
{
	struct web_request *q = of_run(f, t->rec.id);

	if (!q || q->serve_fd < 0)
		return err_set(e, ERR_NOT_FOUND, 0, "nobody waits for this request any more");
	*ret = TAKE_FD(q->serve_fd);
	return 0;
}

static void run_over(struct front *f, struct task *t)
{
	struct web_request *q = of_run(f, t->rec.id);
	struct web_version *v = q ? q->version : NULL;
	struct err e = {0};

	if (!q)
		return;
	/* A run that was not started has told nothing. */
	if (q->serve_fd < 0)
		web_channel_drain(&q->channel);
	if (*t->rec.error)
		msg_info("HTTP worker %s: the run of a request: %s", v->worker->row.name,
			 t->rec.error);
	if (q->tries && !q->ready) {
		if (!*v->failure)
			(void)snprintf(v->failure, sizeof(v->failure), "%s",
				       *t->rec.error ? t->rec.error
						     : "it has ended before it was ready");
		(void)err_set(&e, ERR_UNAVAILABLE, 0, "%s", v->failure);
		web_build_tried(f, v, &e);
	}
	request_free(f, q);
}

static const struct run_source request_source = {
	.name = "web-request",
	.flags = RUN_BY_TENANT | RUN_SERVES | RUN_NOT_RECORDED,
	.is_of = is_of,
	.job = request_job,
	.serve = request_serve,
	.ended = run_over,
};

const struct capability web_request_capability = {.name = "web requests",
						  .source = &request_source};
