// SPDX-License-Identifier: Apache-2.0
/* `run`: from a request to a task that is recorded and on its way. */
#include <stdio.h>
#include <string.h>

#include "supervisor/front/api/ops.h"

/* What a request becomes before its folder is unpacked. */
struct pending {
	struct task *task;
	struct task_spec spec;
	int follower; /* -1 when nobody reads the log along */
};

static void pending_free(struct front *f, struct pending *p)
{
	if (p->task)
		registry_free_task(f, p->task);
	task_spec_clear(&p->spec);
	util_close_fd(&p->follower);
	free(p);
}

static int find_project(struct front *f, const char *name, struct project **ret, struct err *e)
{
	char shown[80];

	*ret = project_find(f, name ? name : PROJECT_DEFAULT_ID);
	if (!*ret)
		return err_set(e, ERR_NOT_FOUND, 0, "project: there is no project \"%s\"",
			       json_strict_escape(name, shown, sizeof(shown)));
	if ((*ret)->going)
		return err_set(e, ERR_CONFLICT, 0, "project: %s is being removed", (*ret)->name);
	return 0;
}

/* The last step; takes p. */
static void begin(struct front *f, struct pending *p)
{
	struct log_follow follow = {
		.streams = LOG_STREAM_OUT | LOG_STREAM_ERR, .follow = 1, .live = 1};
	struct err e = {0};

	memcpy(follow.id, p->task->rec.id, sizeof(follow.id));
	/* While its folder was unpacked it may have gone. */
	if (find_project(f, p->task->rec.project, &p->task->project, &e) < 0 ||
	    flow_accept(f, p->task, &p->spec, &e) < 0) {
		ops_answer_all(&p->task->waiters, NULL, &e);
	} else {
		p->task = NULL;
		/* Best effort: without it the client asks for the log by its id. */
		if (p->follower >= 0)
			(void)log_follow(f, &follow, TAKE_FD(p->follower), NULL);
	}
	pending_free(f, p);
}

static void unpacked(struct front *f, void *arg, const uint8_t digest[32], int dirfd,
		     const struct err *error)
{
	struct pending *p = arg;
	struct task *t = p->task;

	if (error)
		ops_answer_all(&t->waiters, NULL, error);
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

/* What the image says, or the task; and then its own module. */
static int make_warm_list(const struct task_spec *spec, const char *of_image, char *ret,
			  struct err *e)
{
	const char *imports = spec->has_warm ? spec->warm : of_image;
	int n = snprintf(ret, IMAGE_WARM_MAX, "%s", imports);

	if (spec->warm_module[0])
		n = snprintf(ret, IMAGE_WARM_MAX, "%s%s" WARM_MODULE "%s%s", imports,
			     *imports ? "\n" : "", spec->warm_module,
			     spec->warm_refuse ? "\n" WARM_REFUSE : "");
	if (n >= IMAGE_WARM_MAX)
		return err_set(e, ERR_INPUT, 0, "task.json: warm: names have more than %d bytes",
			       IMAGE_WARM_MAX - 1);
	return 0;
}

static int fill_record(struct op *op, struct pending *p, const char *image, json_t *task,
		       struct err *e)
{
	struct task_record *rec = &p->task->rec;
	const struct task_spec *spec = &p->spec;
	struct policy_head policy;
	struct image_head head;
	int r;

	r = resolve_image(op->f, image, rec->image_digest, &head, e);
	if (r < 0)
		return r;
	(void)snprintf(rec->policy, sizeof(rec->policy), "%s",
		       spec->policy ? spec->policy : head.policy);
	r = resolve_policy(op->f, rec->policy, rec->policy_id, &policy, e);
	if (r == 0)
		r = task_spec_limits(spec, &policy, &rec->limits, e);
	if (r < 0)
		return r;
	project_bound_limits(p->task->project, &rec->limits);
	r = project_check_memory(p->task->project, &rec->limits, e);
	if (r < 0)
		return r;
	(void)snprintf(rec->project, sizeof(rec->project), "%s", p->task->project->id);
	(void)snprintf(rec->image, sizeof(rec->image), "%s", image);
	(void)snprintf(rec->label, sizeof(rec->label), "%s", spec->label ? spec->label : "");
	r = make_warm_list(spec, head.warm, rec->warm, e);
	if (r < 0)
		return r;
	rec->start_asked = spec->start;
	rec->priority = (uint32_t)spec->priority;
	rec->requested_by = conn_uid(op->req->conn);
	rec->created_ns = util_realtime_ns();
	rec->spec = task_spec_dump(task);
	p->task->received_ns = op->req->received_ns;
	if (!rec->spec)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot keep the task's text");
	/* It is read again when its turn comes. */
	if (strlen(rec->spec) > TASK_SPEC_MAX)
		return err_set(e, ERR_LIMIT, 0, "task.json: more than %u bytes", TASK_SPEC_MAX);
	return 0;
}

struct run_keys {
	const char *image, *project;
	json_t *task;
	bool wait, log, package, together;
	int start; /* enum start_mode, -1 when not given */
};

static int read_keys(struct op *op, struct run_keys *k)
{
	const char *start;
	bool detach = false;

	*k = (struct run_keys){.wait = true, .start = -1};
	k->package = op->req->n_fds == 2;
	k->image = json_strict_string(op->in, "image", 63);
	k->project = json_strict_string(op->in, "project", PROJECT_NAME_MAX);
	k->task = json_strict_get(op->in, "task");
	(void)json_strict_bool(op->in, "wait", &k->wait);
	if (json_strict_bool(op->in, "detach", &detach) && detach)
		k->wait = false;
	(void)json_strict_bool(op->in, "package", &k->package);
	k->log = op->req->n_fds > k->package;
	(void)json_strict_bool(op->in, "log", &k->log);
	(void)json_strict_bool(op->in, "together", &k->together);
	start = json_strict_string(op->in, "start", 32);
	if (start)
		k->start = start_mode_parse(start);
	if (start && k->start < 0)
		(void)json_strict_fail(op->in, "start",
				       "must be \"auto\", \"cold\", \"restore\" or \"fork\"");
	if (!k->image)
		(void)json_strict_fail(op->in, "image", "must be given");
	if (!k->task)
		(void)json_strict_fail(op->in, "task", "must be given");
	if (op->req->n_fds != (unsigned)k->log + k->package)
		(void)json_strict_fail(op->in, NULL,
				       "%u descriptors came along; \"log\" and \"package\" say %d",
				       op->req->n_fds, k->log + k->package);
	return json_strict_end(op->in);
}

static int check_package(const struct task_spec *spec, bool package, struct err *e)
{
	if (spec->kind == TASK_EXEC && !package)
		return err_set(e, ERR_INPUT, 0,
			       "task.json: exec: the folder with the script was not sent along");
	if (spec->warm_module[0] && !package)
		return err_set(e, ERR_INPUT, 0,
			       "task.json: warm.module: the folder with the module was not sent "
			       "along: give dir");
	return 0;
}

/* Everything that can be refused is, before a byte of the folder is unpacked. */
static int prepare(struct op *op, const struct run_keys *k, struct pending *p, struct err *e)
{
	struct waiter *w = NULL;
	int r;

	r = task_spec_from_json(k->task, &p->spec, e);
	if (r == 0)
		r = check_package(&p->spec, k->package, e);
	if (r == 0 && k->start >= 0)
		p->spec.start = (enum start_mode)k->start;
	p->task->rec.together = k->together;
	if (r == 0)
		r = fill_record(op, p, k->image, k->task, e);
	if (r == 0)
		r = op_wait(op, &p->task->waiters, &w, e);
	if (r < 0 || !w)
		return r;
	w->accepted = true;
	w->started = w->finished = k->wait;
	return 0;
}

int op_run(struct op *op, struct err *e)
{
	char id[TASK_ID_LEN + 1];
	struct run_keys k;
	struct pending *p;
	int r;

	r = read_keys(op, &k);
	if (r == 0 && k.log)
		r = op_check_follower(op, 0, e);
	if (r < 0)
		return r;
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a task");
	p->follower = -1;
	util_new_id(id);
	p->task = registry_new(id);
	if (!p->task) {
		pending_free(op->f, p);
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a task");
	}
	r = find_project(op->f, k.project, &p->task->project, e);
	if (r == 0)
		r = prepare(op, &k, p, e);
	if (r < 0) {
		pending_free(op->f, p);
		return r;
	}
	if (k.log)
		p->follower = TAKE_FD(op->req->fds[0]);
	/* From here on errors reach the client through its waiter. */
	if (k.package)
		package_unpack(op->f, p->task->project, TAKE_FD(op->req->fds[k.log]), unpacked, p);
	else
		begin(op->f, p);
	return 0;
}
