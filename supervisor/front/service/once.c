// SPDX-License-Identifier: Apache-2.0
/*
 * A run by hand of what a service runs: its live version's package and image, its variables, its folder
 * ~/data. A command is run in it, or what is in ~/data goes out or comes in as a tar by its stdin, which
 * is a socket of the client's.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "spec/job.h"
#include "supervisor/front/service/service.h"

#define WANTED_BY "service-once"
#define ENTRY "_sandboxd_service.once:main"
#define BODY_MAX 65536u
#define OPEN_FILES 65536u

struct service_once {
	LIST_ENTRY(service_once) next;
	struct front *f;
	char run[TASK_ID_LEN + 1];
	char service[PROJECT_ID_LEN + 1]; /* its id, which its folder is called by */
	char label[SERVICE_APP_MAX + SERVICE_NAME_MAX + 16];
	char image[SERVICE_IMAGE_MAX + 1], policy[64];
	uint64_t memory; /* 0: the policy's */
	json_t *payload; /* owned */
	int serve_fd;	 /* the run's end until it is started; -1 */
	struct channel channel;
};

static void once_free(struct service_once *x)
{
	channel_close(&x->channel);
	util_close_fd(&x->serve_fd);
	json_decref(x->payload);
	LIST_REMOVE(x, next);
	free(x);
}

static struct service_once *of_run(struct front *f, const char *run)
{
	struct service_once *x;

	LIST_FOREACH(x, &f->services->onces, next)
		if (strcmp(x->run, run) == 0)
			return x;
	return NULL;
}

static bool is_of(const struct task_record *rec)
{
	return strcmp(rec->wanted_by, WANTED_BY) == 0;
}

static int once_job(struct front *f, struct task *t, char **ret, struct err *e)
{
	struct service_once *x = of_run(f, t->rec.id);
	struct task_spec spec = {.kind = TASK_ENTRY,
				 .source = (char *)ENTRY,
				 .has_warm = true,
				 .start = START_COLD,
				 .limits.nofile = OPEN_FILES,
				 .limits_set = LIMIT_BIT(LIMIT_NOFILE),
				 .limits_lowered = LIMIT_BIT(LIMIT_NOFILE)};
	int r;

	if (!x)
		return err_set(e, ERR_NOT_FOUND, 0, "nobody waits for this run any more");
	spec.label = x->label;
	spec.policy = x->policy;
	if (x->memory) {
		spec.limits.memory = x->memory;
		spec.limits_set |= LIMIT_BIT(LIMIT_MEMORY);
	}
	r = source_fill(f, t, &spec, x->image, e);
	if (r < 0)
		return r;
	spec.payload = json_dumps(x->payload, JSON_COMPACT);
	if (!spec.payload)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make the run's job");
	r = job_write(&spec, ret, e);
	free(spec.payload);
	return r;
}

static int once_serve(struct front *f, struct task *t, int *ret, struct err *e)
{
	struct service_once *x = of_run(f, t->rec.id);

	if (!x || x->serve_fd < 0)
		return err_set(e, ERR_NOT_FOUND, 0, "nobody waits for this run any more");
	*ret = TAKE_FD(x->serve_fd);
	return 0;
}

static int once_data(struct front *f, struct task *t, int *ret, struct err *e)
{
	struct service_once *x = of_run(f, t->rec.id);

	*ret = -1;
	return x ? service_data_open(f, x->service, ret, e) : 0;
}

static void run_over(struct front *f, struct task *t)
{
	struct service_once *x = of_run(f, t->rec.id);

	if (x)
		once_free(x);
}

/* It has nothing to say that anybody waits for. */
static void take(struct channel *c, const char *op, json_t *head)
{
	(void)c;
	(void)op;
	(void)head;
}

static void channel_ended(struct channel *c, const char *why)
{
	(void)c;
	(void)why;
}

int service_once_begin(struct front *f, struct service_version *v, json_t *begin, int input_fd,
		       char ret_run[TASK_ID_LEN + 1], struct err *e)
{
	_cleanup_fd_ int input = input_fd;
	struct service *s = v->service;
	json_t *env = service_env(f, s);
	struct service_once *x;
	struct task *t;
	int pair[2], r;

	json_object_set_new(begin, "op", json_string("begin"));
	json_object_set_new(begin, "environment", env ? env : json_object());
	json_object_set_new(begin, "services", service_peers(f, s));
	x = calloc(1, sizeof(*x));
	if (!x || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		free(x);
		json_decref(begin);
		return err_set(e, ERR_SYSTEM, x ? errno : ENOMEM, "cannot begin the run");
	}
	x->f = f;
	x->serve_fd = pair[0];
	x->channel = (struct channel){.fd = -1, .take = take, .ended = channel_ended};
	x->memory = s->row.memory ? s->row.memory : v->manifest.memory;
	memcpy(x->service, s->row.id, sizeof(x->service));
	memcpy(x->image, v->row.image, sizeof(x->image));
	(void)snprintf(x->policy, sizeof(x->policy), "%s", v->manifest.policy);
	(void)snprintf(x->label, sizeof(x->label), "%s/%s by hand", s->row.app, s->row.name);
	x->payload = json_pack("{s:s, s:s, s:s, s:i, s:O}", "project", s->project->name, "app",
			       s->row.app, "service", s->row.name, "replica", 0, "manifest",
			       v->manifest.doc);
	LIST_INSERT_HEAD(&f->services->onces, x, next);
	(void)fcntl(pair[1], F_SETFL, O_NONBLOCK);
	r = channel_open(f, &x->channel, pair[1], BODY_MAX);
	util_new_id(x->run);
	t = r < 0 || !x->payload ? NULL : run_new(s->project, x->run, WANTED_BY, v->row.package);
	if (!t) {
		json_decref(begin);
		once_free(x);
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot begin the run");
	}
	(void)snprintf(t->rec.label, sizeof(t->rec.label), "%s", x->label);
	t->input_fd = TAKE_FD(input);
	channel_send(&x->channel, begin, NULL, 0);
	if (flow_accept(f, t) < 0) {
		registry_free_task(f, t);
		once_free(x);
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot begin the run");
	}
	memcpy(ret_run, x->run, sizeof(x->run));
	return 0;
}

static void clear(struct front *f)
{
	while (!LIST_EMPTY(&f->services->onces))
		once_free(LIST_FIRST(&f->services->onces));
}

static const struct run_source once_source = {
	.name = WANTED_BY,
	.flags = RUN_BY_TENANT | RUN_SERVES,
	.is_of = is_of,
	.job = once_job,
	.serve = once_serve,
	.data = once_data,
	.ended = run_over,
};

const struct capability service_once_capability = {
	.name = "service runs", .source = &once_source, .clear = clear};
