// SPDX-License-Identifier: Apache-2.0
/* `run`: from a request to a task that is recorded and on its way. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "spec/job.h"
#include "supervisor/front/api/shapes.h"
#include "supervisor/front/api/verbs.h"
#include "supervisor/front/run/source.h"

/* What a request becomes before its folder is unpacked. */
struct pending {
	struct task *task;
	int follower; /* -1 when nobody reads the log along */
};

static void pending_free(struct front *f, struct pending *p)
{
	if (p->task)
		registry_free_task(f, p->task);
	util_close_fd(&p->follower);
	free(p);
}

int call_check_socket(const struct call *c, unsigned i, const char *what, struct err *e)
{
	int type = 0, domain = 0;
	socklen_t len = sizeof(type), peer_len = sizeof(struct sockaddr_un);
	struct sockaddr_un peer;

	if (i >= c->n_fds)
		return err_set(e, ERR_INPUT, 0, "the socket for the %s was not sent along", what);
	if (getsockopt(c->fds[i], SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    getsockopt(c->fds[i], SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
	    type != SOCK_STREAM || domain != AF_UNIX)
		return err_set(e, ERR_INPUT, 0,
			       "the descriptor for the %s must be a unix stream socket", what);
	/* The monitor takes no other, and ends the front that sends it one. */
	if (getpeername(c->fds[i], (struct sockaddr *)&peer, &peer_len) < 0)
		return err_set(e, ERR_INPUT, errno, "the socket for the %s must be connected",
			       what);
	return 0;
}

static int find_project(struct front *f, const char *name, struct project **ret, struct err *e)
{
	char shown[80];

	*ret = project_find(f, name ? name : PROJECT_DEFAULT_ID);
	if (!*ret)
		return err_set(e, ERR_NOT_FOUND, 0, "project: there is no project \"%s\"",
			       util_escape(name, shown, sizeof(shown)));
	if ((*ret)->going)
		return err_set(e, ERR_CONFLICT, 0, "project: %s is being removed", (*ret)->name);
	return 0;
}

/* The last step; takes p. */
static void begin(struct front *f, struct pending *p)
{
	struct log_follow follow = {
		.streams = LOG_STREAM_OUT | LOG_STREAM_ERR, .follow = 1, .live = 1};
	struct task *t = p->task;
	struct err e = {0};
	int r;

	/* The project may have been removed while the task's folder was unpacked. */
	r = find_project(f, t->rec.project, &t->project, &e);
	if (r == 0 && t->project->run->lane.n_queued >= f->cfg.queued_max)
		r = err_set(&e, ERR_LIMIT, 0, "%u tasks wait already: try again later",
			    t->project->run->lane.n_queued);
	if (r == 0) {
		r = flow_accept(f, t);
		if (r < 0)
			(void)err_set(&e, ERR_SYSTEM, -r, "cannot queue the task");
	}
	if (r < 0) {
		waiter_end_all(&t->waiters, NULL, &e);
		pending_free(f, p);
		return;
	}
	p->task = NULL;
	/* Best effort: without it the client asks for the log by its id. */
	memcpy(follow.id, t->rec.id, sizeof(follow.id));
	if (p->follower >= 0)
		(void)log_follow(f, &follow, TAKE_FD(p->follower), NULL);
	pending_free(f, p);
}

static void unpacked(struct front *f, void *arg, const uint8_t digest[32], int dirfd,
		     const struct err *error)
{
	struct pending *p = arg;
	struct task *t = p->task;

	if (error)
		waiter_end_all(&t->waiters, NULL, error);
	t->package_fd = dirfd;
	/* Its client was refused, or left before it was told that the task exists. */
	if (!t->waiters) {
		pending_free(f, p);
		return;
	}
	memcpy(t->rec.package, digest, sizeof(t->rec.package));
	t->rec.has_package = 1;
	begin(f, p);
}

struct run_keys {
	const char *image, *project;
	json_t *task;
	bool wait, log, package, input, together;
	int start; /* enum start_mode, -1 when not given */
};

static int read_keys(struct call *c, struct run_keys *k)
{
	const char *start;
	bool detach = false;

	*k = (struct run_keys){.wait = true, .start = -1};
	(void)json_strict_bool(c->in, "input", &k->input);
	k->package = c->n_fds - k->input == 2;
	k->image = json_strict_string(c->in, "image", 63);
	k->project = json_strict_string(c->in, "project", PROJECT_NAME_MAX);
	k->task = json_strict_get(c->in, "task");
	(void)json_strict_bool(c->in, "wait", &k->wait);
	if (json_strict_bool(c->in, "detach", &detach) && detach)
		k->wait = false;
	(void)json_strict_bool(c->in, "package", &k->package);
	k->log = c->n_fds > (unsigned)k->package + k->input;
	(void)json_strict_bool(c->in, "log", &k->log);
	(void)json_strict_bool(c->in, "together", &k->together);
	start = json_strict_string(c->in, "start", 32);
	if (start)
		k->start = start_mode_parse(start);
	if (start && k->start < 0)
		(void)json_strict_fail(c->in, "start",
				       "must be \"auto\", \"cold\", \"restore\" or \"fork\"");
	if (!k->image)
		(void)json_strict_fail(c->in, "image", "must be given");
	if (!k->task)
		(void)json_strict_fail(c->in, "task", "must be given");
	if (c->n_fds != (unsigned)k->log + k->package + k->input)
		(void)json_strict_fail(
			c->in, NULL,
			"%u descriptors came along; \"log\", \"package\" and \"input\" say %d",
			c->n_fds, k->log + k->package + k->input);
	return json_strict_end(c->in);
}

/* Everything that can be refused is, before a byte of the folder is unpacked. What is kept of
 * task.json is the job, in which nothing has to be validated any more. */
static int prepare(struct call *c, const struct run_keys *k, struct task *t, struct err *e)
{
	_cleanup_task_spec_ struct task_spec spec = {0};
	struct waiter *w;
	int r;

	r = task_spec_from_json(k->task, &spec, e);
	if (r < 0)
		return r;
	if (spec.kind == TASK_EXEC && !k->package)
		return err_set(e, ERR_INPUT, 0,
			       "task.json: exec: the folder with the script was not sent along");
	if (spec.warm_module[0] && !k->package)
		return err_set(e, ERR_INPUT, 0,
			       "task.json: warm.module: the folder with the module was not sent "
			       "along: give dir");
	if (k->start >= 0)
		spec.start = (enum start_mode)k->start;
	if (k->input && spec.start != START_COLD)
		return err_set(
			e, ERR_INPUT, 0,
			"input: only a task that starts cold can have it: give start: \"cold\"");

	r = source_fill(c->f, t, &spec, k->image, e);
	if (r < 0)
		return r;
	(void)snprintf(t->rec.project, sizeof(t->rec.project), "%s", t->project->id);
	(void)snprintf(t->rec.label, sizeof(t->rec.label), "%s", spec.label ? spec.label : "");
	t->rec.priority = (uint32_t)spec.priority;
	t->rec.together = k->together;
	t->rec.requested_by = c->uid;
	t->rec.created_ns = util_realtime_ns();
	t->received_ns = c->received_ns;
	r = job_write(&spec, &t->rec.job, e);
	if (r < 0)
		return r;

	w = call_later(c, e);
	if (!w)
		return -EBUSY;
	waiter_attach(w, &t->waiters);
	w->accepted = true;
	w->started = w->finished = k->wait;
	return 0;
}

int verb_run(struct call *c, struct err *e)
{
	char id[TASK_ID_LEN + 1];
	struct run_keys k;
	struct pending *p;
	int r;

	/* It could not be told that there is such a task, and has given up waiting for that. */
	if (conn_has_left(c->client.conn))
		return err_set(e, ERR_UNAVAILABLE, 0, "the client has left");
	r = read_keys(c, &k);
	if (r == 0 && k.log)
		r = call_check_socket(c, 0, "log", e);
	if (r == 0 && k.input)
		r = call_check_socket(c, c->n_fds - 1, "input", e);
	if (r < 0)
		return r;
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a task");
	p->follower = -1;
	util_new_id(id);
	p->task = registry_new(id);
	if (!p->task) {
		pending_free(c->f, p);
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a task");
	}
	r = find_project(c->f, k.project, &p->task->project, e);
	if (r == 0)
		r = prepare(c, &k, p->task, e);
	if (r < 0) {
		pending_free(c->f, p);
		return r;
	}
	if (k.log)
		p->follower = TAKE_FD(c->fds[0]);
	if (k.input)
		p->task->input_fd = TAKE_FD(c->fds[c->n_fds - 1]);
	/* From here on errors reach the client through its waiter. */
	if (k.package)
		package_unpack(c->f, p->task->project, TAKE_FD(c->fds[k.log]), unpacked, p);
	else
		begin(c->f, p);
	return 0;
}
