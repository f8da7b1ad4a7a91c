// SPDX-License-Identifier: Apache-2.0
/*
 * Runs that belong to a client: what `sandboxctl serve` and `sandboxctl dev` have running. The client
 * says what runs, hears the code of the sandbox by itself and answers what it asks for; the front knows
 * no manifest of it, and keeps nothing of it. Such a run ends with its client.
 *
 * Client and front have a socket for each run, the link. A client that wants a connection to the run
 * writes a byte, and gets one back with the connection, which the front has made: a socket tells who
 * holds it of the network that it was made in, so none of the client's ever reaches a sandbox, and the
 * front is in a network of its own in which there is nothing.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/fdpass.h"
#include "lib/msg.h"
#include "spec/job.h"
#include "supervisor/front/web/deploy.h"
#include "supervisor/front/web/web.h"

#define WANTED_BY "web-served"
#define WANTED_BY_BUILD "web-served-build"
/* Connections that are made for one client in one turn of the loop. */
#define CONNECTIONS_A_TURN 64u

enum { FD_LOG, FD_LINK, FD_PACKAGE, FD_INPUT, FDS_MAX };

struct web_served {
	LIST_ENTRY(web_served) next; /* of web.served */
	struct front *f;
	char run[TASK_ID_LEN + 1];
	struct task *task; /* until it is accepted; owned */
	bool builds;	   /* it has one connection, which is made before it runs */
	int serve_fd;	   /* the run's end until it is started; else -1 */
	int log, link;	   /* the client's sockets */
	sd_event_source *io;
};

static struct web_served *of_run(struct front *f, const char *run)
{
	struct web_served *s;

	LIST_FOREACH(s, &f->web->served, next)
		if (strcmp(s->run, run) == 0)
			return s;
	return NULL;
}

/* The run, if there is one, goes on. */
static void served_free(struct web_served *s)
{
	s->io = sd_event_source_disable_unref(s->io);
	util_close_fd(&s->link);
	util_close_fd(&s->log);
	util_close_fd(&s->serve_fd);
	if (!s->builds)
		edge_socket_remove(s->f, s->run);
	if (s->task)
		registry_free_task(s->f, s->task);
	LIST_REMOVE(s, next);
	free(s);
}

/* The client has left, or does not read. */
static void served_end(struct web_served *s)
{
	struct front *f = s->f;
	struct task *t = registry_find(f, s->run);

	served_free(s);
	if (t)
		(void)flow_cancel(f, t, true);
}

/* fd -1: there is no connection. */
static int give(struct web_served *s, int fd)
{
	const char answer = fd < 0 ? '-' : '+';
	const struct iovec iov = {(void *)&answer, 1};
	const ssize_t n = fds_sendv(s->link, &iov, 1, &fd, fd < 0 ? 0 : 1, MSG_DONTWAIT);

	return n < 0 ? (int)n : 0;
}

static int link_ready(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct web_served *s = arg;
	char wanted[CONNECTIONS_A_TURN];
	ssize_t n = recv(fd, wanted, sizeof(wanted), MSG_DONTWAIT);
	int r = 0;

	(void)source;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	/* A build has the one that it was given. */
	if (n <= 0 || s->builds) {
		served_end(s);
		return 0;
	}
	for (ssize_t i = 0; i < n && r == 0; i++) {
		_cleanup_fd_ int made = edge_socket_connect(s->f, s->run);

		r = give(s, made);
	}
	if (r < 0)
		served_end(s);
	return 0;
}

static int make_sockets(struct web_served *s, struct err *e)
{
	int pair[2], r = 0;

	if (!s->builds) {
		r = edge_socket_make(s->f, s->run, &s->serve_fd, e);
	} else if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		r = err_set(e, ERR_SYSTEM, errno, "cannot make a socket");
	} else {
		s->serve_fd = pair[0];
		r = give(s, pair[1]);
		util_close_fd(&pair[1]);
		if (r < 0)
			(void)err_set(e, ERR_UNAVAILABLE, -r, "the client does not read");
	}
	if (r == 0)
		r = sd_event_add_io(s->f->event, &s->io, s->link, EPOLLIN, link_ready, s);
	return r < 0 && !e->code ? err_set(e, ERR_SYSTEM, -r, "cannot watch the client") : r;
}

/* The package is there, and the project still. */
static int begin(struct web_served *s, const uint8_t digest[32], struct err *e)
{
	struct front *f = s->f;
	struct task *t = s->task;
	int r;

	memcpy(t->rec.package, digest, sizeof(t->rec.package));
	t->rec.has_package = 1;
	t->project = project_by_id(f, t->rec.project);
	if (!t->project || t->project->going)
		return err_set(e, ERR_CONFLICT, 0, "the project is being removed");
	r = make_sockets(s, e);
	if (r < 0)
		return r;
	r = flow_accept(f, t);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "cannot begin the run") : 0;
}

static void unpacked(struct front *f, void *arg, const uint8_t digest[32], int dirfd,
		     const struct err *error)
{
	struct log_follow follow = {
		.streams = LOG_STREAM_OUT | LOG_STREAM_ERR, .follow = 1, .live = 1};
	struct web_served *s = arg;
	struct task *t = s->task;
	struct err e = {0};

	t->package_fd = dirfd;
	/* Without a waiter its client has left. */
	if (error || !t->waiters || begin(s, digest, &e) < 0) {
		waiter_end_all(&t->waiters, NULL, error ? error : &e);
		served_free(s);
		return;
	}
	s->task = NULL;
	/* Best effort: without it the client asks for the log by its id. */
	memcpy(follow.id, t->rec.id, sizeof(follow.id));
	(void)log_follow(f, &follow, TAKE_FD(s->log), NULL);
}

static int fill_task(struct call *c, struct task *t, const char *image, json_t *doc, bool builds,
		     struct err *e)
{
	_cleanup_task_spec_ struct task_spec spec = {0};
	struct waiter *w;
	int r = task_spec_from_json(doc, &spec, e);

	if (r == 0 && spec.kind != TASK_ENTRY)
		r = err_set(e, ERR_INPUT, 0, "task.json: entry: must be given");
	if (r == 0 && c->n_fds > FD_INPUT && spec.start != START_COLD)
		r = err_set(e, ERR_INPUT, 0,
			    "input: only a run that starts cold can have it: give start: \"cold\"");
	if (r < 0)
		return r;
	t->project = c->project;
	(void)snprintf(t->rec.project, sizeof(t->rec.project), "%s", c->project->id);
	(void)snprintf(t->rec.wanted_by, sizeof(t->rec.wanted_by), "%s",
		       builds ? WANTED_BY_BUILD : WANTED_BY);
	(void)snprintf(t->rec.label, sizeof(t->rec.label), "%s", spec.label ? spec.label : "serve");
	t->rec.requested_by = c->uid;
	t->rec.created_ns = util_realtime_ns();
	t->received_ns = c->received_ns;
	r = source_fill(c->f, t, &spec, image, e);
	if (r == 0)
		r = job_write(&spec, &t->rec.job, e);
	if (r < 0)
		return r;
	w = call_later(c, e);
	if (!w)
		return -EBUSY;
	waiter_attach(w, &t->waiters);
	w->accepted = w->started = w->finished = true;
	return 0;
}

static int check_fds(const struct call *c, struct err *e)
{
	int r;

	if (c->n_fds <= FD_PACKAGE)
		return err_set(e, ERR_INPUT, 0,
			       "the sockets for the log and the link, and the package, are to be "
			       "sent along");
	r = call_check_socket(c, FD_LOG, "log", e);
	if (r == 0)
		r = call_check_socket(c, FD_LINK, "link", e);
	if (r == 0 && c->n_fds > FD_INPUT)
		r = call_check_socket(c, FD_INPUT, "input", e);
	return r;
}

static int verb_serve(struct call *c, struct err *e)
{
	const char *image = call_string(c, "image", WEB_IMAGE_MAX);
	json_t *doc = call_get(c, "task");
	struct web_served *s;
	bool builds = false;
	int r;

	(void)call_bool(c, "build", &builds);
	if (!image)
		(void)json_strict_fail(c->in, "image", "must be given");
	if (!doc)
		(void)json_strict_fail(c->in, "task", "must be given");
	r = call_end_project(c, e);
	if (r == 0)
		r = check_fds(c, e);
	if (r == 0 && c->project->going)
		r = err_set(e, ERR_CONFLICT, 0, "project: %s is being removed", c->project->name);
	if (r == 0 && c->project->run->lane.n_queued >= c->f->cfg.queued_max)
		r = err_set(e, ERR_LIMIT, 0, "%u tasks wait already: try again later",
			    c->project->run->lane.n_queued);
	if (r == 0 && c->f->cfg.edge_dirfd < 0)
		r = err_set(e, ERR_UNAVAILABLE, 0, "this daemon serves no HTTP workers");
	if (r < 0)
		return r;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a run");
	*s = (struct web_served){
		.f = c->f, .builds = builds, .serve_fd = -1, .log = -1, .link = -1};
	util_new_id(s->run);
	LIST_INSERT_HEAD(&c->f->web->served, s, next);
	s->task = registry_new(s->run);
	r = s->task ? fill_task(c, s->task, image, doc, builds, e)
		    : err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a run");
	if (r < 0) {
		served_free(s);
		return r;
	}
	s->log = TAKE_FD(c->fds[FD_LOG]);
	s->link = TAKE_FD(c->fds[FD_LINK]);
	if (s->task && c->n_fds > FD_INPUT)
		s->task->input_fd = TAKE_FD(c->fds[FD_INPUT]);
	/* From here on errors reach the client through its waiter. */
	package_unpack(c->f, c->project, TAKE_FD(c->fds[FD_PACKAGE]), unpacked, s);
	return 0;
}

static int verb_web_images(struct call *c, struct err *e)
{
	int r = call_end_project(c, e);

	if (r == 0)
		call_reply(c, json_pack("{s:o}", "images", web_images(c->f, c->project)));
	return r;
}

/* How such a run is made. */

static int served_job(struct front *f, struct task *t, char **ret, struct err *e)
{
	if (!of_run(f, t->rec.id))
		return err_set(e, ERR_NOT_FOUND, 0, "its client has left");
	*ret = strdup(t->rec.job);
	return *ret ? 0 : err_set(e, ERR_SYSTEM, ENOMEM, "cannot make the run's job");
}

static int served_serve(struct front *f, struct task *t, int *ret, struct err *e)
{
	struct web_served *s = of_run(f, t->rec.id);

	if (!s || s->serve_fd < 0)
		return err_set(e, ERR_NOT_FOUND, 0, "its client has left");
	*ret = TAKE_FD(s->serve_fd);
	return 0;
}

/* The client hears how by its waiter. */
static void run_over(struct front *f, struct task *t)
{
	struct web_served *s = of_run(f, t->rec.id);

	if (s)
		served_free(s);
}

static void clear(struct front *f)
{
	while (!LIST_EMPTY(&f->web->served))
		served_free(LIST_FIRST(&f->web->served));
}

static bool is_served(const struct task_record *rec)
{
	return strcmp(rec->wanted_by, WANTED_BY) == 0;
}

static bool is_build(const struct task_record *rec)
{
	return strcmp(rec->wanted_by, WANTED_BY_BUILD) == 0;
}

static const struct run_source served_source = {
	.name = WANTED_BY,
	.flags = RUN_SERVES | RUN_NOT_RECORDED | RUN_NO_DEADLINE | RUN_RING_LOG,
	.is_of = is_served,
	.job = served_job,
	.serve = served_serve,
	.ended = run_over,
};

static const struct run_source build_source = {
	.name = WANTED_BY_BUILD,
	.flags = RUN_SERVES | RUN_NOT_RECORDED,
	.is_of = is_build,
	.job = served_job,
	.serve = served_serve,
	.ended = run_over,
};

static const struct verb verbs[] = {
	{"serve", NULL, NULL, WHO_OPERATOR, verb_serve, .fds_max = FDS_MAX},
	{"web_images", NULL, NULL, WHO_OPERATOR, verb_web_images},
	{0}};

const struct capability web_served_capability = {
	.name = "web served", .source = &served_source, .verbs = verbs, .clear = clear};
const struct capability web_served_build_capability = {.name = "web served builds",
						       .source = &build_source};
