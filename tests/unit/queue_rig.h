/* SPDX-License-Identifier: Apache-2.0 */
/* The front's queue with a real store, in the test's process. The test plays the monitor and the
 * logger. */
#ifndef TESTS_UNIT_QUEUE_RIG_H
#define TESTS_UNIT_QUEUE_RIG_H

#include "supervisor/front/front.h"
#include "supervisor/front/run/api_stats.h"
#include "supervisor/front/run/log_keep.h"
#include "supervisor/front/run/schedule/schedule.h"
#include "supervisor/front/serve/serve.h"
#include "tests/unit/change_rig.h"
#include "tests/unit/front_rig.h"

/* A test may have a list of its own. */
#ifndef RIG_CAPABILITIES
#define RIG_CAPABILITIES front_capabilities
#endif

struct fixture {
	struct rig *rig;
	struct front *f;
	struct project *a, *b;
	int monitor, logger;
	unsigned n_done, n_failed;
	char other[TASK_ID_LEN + 1];
	bool unready; /* begin() does not tell what the monitor knows; the test does it */
	struct err error;
	struct told *told;
};

/* Who is told that a task is durable, or is not kept. */
typedef void (*told_fn)(void *arg, const char *id, const struct err *error);
struct told {
	struct told *next;
	struct change change;
	told_fn fn;
	void *arg;
	const char *id;
};

/* Makes all that the daemon's front has; HTTP is served where the test gives it a socket
 * (rest_rig.h). */
static void begin(struct fixture *x)
{
	struct front_config cfg = x->rig->cfg;
	struct front *f = front_new();
	int monitor[2];
	struct err e = {0};

	assert_int_equal(proto_socketpair(monitor), 0);
	cfg.monitor_sock = monitor[1];
	cfg.running_max = 2;
	cfg.node_pids = 1 << 20;
	cfg.queued_max = 10;
	cfg.finished_keep = 1000;
	x->monitor = monitor[0];
	x->logger = rig_peer_new(x->monitor);
	x->f = f;
	if (front_begin(f, &cfg, RIG_CAPABILITIES, &e) < 0)
		fail_msg("%s", e.msg);
	f->cfg.packages_keep = 0;
	if (!x->unready)
		recover_ready(f);
}

static void end(struct fixture *x)
{
	struct front *f = x->f;
	const int sock = f->cfg.monitor_sock;

	/* A child that prunes packages looks into this test's folders, so it has to end first. */
	while (f->core->worker_known || f->core->pruner)
		assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
	front_end(f);
	(void)close(sock);
	while (x->told) {
		struct told *told = x->told;

		x->told = told->next;
		free(told);
	}
	(void)close(x->monitor);
	(void)close(x->logger);
}

/* Makes the project, if it is not there. */
static struct project *project(struct fixture *x, const char *name)
{
	const struct quota none = {0};
	const struct project *made;
	char token[TOKEN_LEN + 1];
	struct err e = {0};

	if (committed(x->f, project_create(x->f, name, &none, token, &made, &e), &e) < 0)
		fail_msg("%s", e.msg);
	return project_find(x->f, name);
}

RIG_UNUSED static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	assert_int_equal(rig_setup((void **)&x->rig), 0);
	begin(x);
	x->a = project(x, "a");
	x->b = project(x, "b");
	*state = x;
	return 0;
}

RIG_UNUSED static int teardown(void **state)
{
	struct fixture *x = *state;
	struct rig *rig = x->rig;

	end(x);
	assert_int_equal(chdir("/"), 0);
	free(x);
	return rig_teardown((void **)&rig);
}

RIG_UNUSED static void restart_without_a(struct fixture *x)
{
	end(x);
	begin(x);
	x->a = project_find(x->f, "a");
	x->b = project_find(x->f, "b");
}

RIG_UNUSED static void restart(struct fixture *x)
{
	restart_without_a(x);
	assert_non_null(x->a);
}

/* NULL with *e: it was refused, or could not be written, and spec is cleared. */
RIG_UNUSED static struct worker *put_worker(struct fixture *x, struct project *p,
					    struct worker_spec *spec, struct err *e)
{
	char id[PROJECT_ID_LEN + 1];
	int r = committed(x->f, worker_put(x->f, p, spec, id, e), e);

	worker_spec_clear(spec);
	return r < 0 ? NULL : worker_by_id(p, id);
}

RIG_UNUSED static struct worker *worker(struct fixture *x, struct project *p, const char *name,
					struct worker_spec spec)
{
	struct err e = {0};
	struct worker *c;

	(void)snprintf(spec.name, sizeof(spec.name), "%s", name);
	strcpy(spec.image, "python");
	strcpy(spec.command, "true");
	c = put_worker(x, p, &spec, &e);
	if (!c)
		fail_msg("%s", e.msg);
	return c;
}

/* How a work has ended that is done in slices. */
struct outcome {
	bool done;
	uint64_t n;
	struct err e;
};

static void on_outcome(void *arg, uint64_t n, const struct err *error)
{
	struct outcome *o = arg;

	assert_false(o->done);
	o->done = true;
	o->n = n;
	if (error)
		o->e = *error;
}

/* Runs the loop until the work has ended. */
static int outcome(struct fixture *x, struct outcome *o, int r, struct err *e)
{
	while (r == 0 && !o->done)
		assert_true(sd_event_run(x->f->event, UINT64_MAX) >= 0);
	if (r == 0 && o->e.code)
		*e = o->e;
	return r < 0 ? r : o->e.code ? -EIO : 0;
}

RIG_UNUSED static int cancel_all(struct fixture *x, struct worker *c, uint64_t *ret_n,
				 struct err *e)
{
	struct outcome o = {0};
	int r = outcome(x, &o, queue_cancel_all(x->f, c, on_outcome, &o, e), e);

	*ret_n = o.n;
	return r;
}

RIG_UNUSED static int remove_code(struct fixture *x, struct worker *c, struct err *e)
{
	struct outcome o = {0};

	return outcome(x, &o, worker_remove(x->f, c, on_outcome, &o, e), e);
}

static void on_removed(void *arg, const struct err *error)
{
	on_outcome(arg, 0, error);
}

RIG_UNUSED static int remove_project(struct fixture *x, struct project *p, bool force,
				     struct err *e)
{
	struct outcome o = {0};

	return outcome(x, &o, project_remove(x->f, p, force, on_removed, &o, e), e);
}

static void on_done(void *arg, const char *id, const struct err *error)
{
	struct fixture *x = arg;

	(void)id;
	x->n_done++;
	x->n_failed += error != NULL;
}

static void on_told(struct front *f, struct change *c, const struct err *error)
{
	struct told *told = OWNER(c, struct told, change);

	(void)f;
	told->fn(told->arg, told->id, error);
}

static struct change *told_new(struct fixture *x, const char *id, told_fn fn, void *arg)
{
	struct told *told = calloc(1, sizeof(*told));

	assert_non_null(told);
	*told = (struct told){
		.next = x->told, .change = {.done = on_told}, .fn = fn, .arg = arg, .id = id};
	x->told = told;
	return &told->change;
}

/* fn is told of the new task. id stays where it is until then. */
RIG_UNUSED static int queue(struct fixture *x, struct worker *c, const struct submit *what,
			    char *id, told_fn fn, void *arg, struct err *e)
{
	struct submit s = *what;

	s.with = told_new(x, id, fn, arg);
	return queue_submit(x->f, c, &s, id, e);
}

RIG_UNUSED static int queue_again_of(struct fixture *x, struct project *p, const char *id,
				     uint32_t delay_s, char *new_id, told_fn fn, void *arg,
				     struct err *e)
{
	return queue_retry(x->f, p, id, delay_s, new_id, told_new(x, new_id, fn, arg), e);
}

RIG_UNUSED static int cancel(struct fixture *x, struct project *p, const char *id, bool *changed,
			     struct err *e)
{
	struct task *t = NULL;
	int r = queue_cancel(x->f, p, id, &t, e);

	*changed = t != NULL;
	return r;
}

RIG_UNUSED static const char *submit(struct fixture *x, struct worker *c, struct submit s)
{
	static char ids[64][TASK_ID_LEN + 1];
	static unsigned n;
	char *id = ids[n++ % 64];
	struct err e = {0};

	if (queue(x, c, &s, id, on_done, x, &e) < 0)
		fail_msg("%s", e.msg);
	return id;
}

RIG_UNUSED static const struct submit plain = {.priority = -1};

/* Does everything that needs neither another role nor the clock. A disk that has failed is tried again
 * at once. */
static void settle(struct fixture *x)
{
	timer_cancel(x->f, &x->f->changes->retry);
	turn_mark(x->f);
	while (sd_event_run(x->f->event, 0) > 0)
		;
}

/* The id of the task that the monitor is asked to start next; "" when there is none. */
RIG_UNUSED static const char *started(struct fixture *x)
{
	static union proto_msg m;
	int fds[PROTO_FDS_MAX];
	unsigned n;

	settle(x);
	for (;;) {
		int r = proto_recv(x->monitor, ROLE_FRONT, ROLE_MONITOR, &m, fds, &n);

		if (r < 0)
			return "";
		for (unsigned i = 0; i < PROTO_FDS_MAX; i++)
			util_close_fd(&fds[i]);
		if (m.h.type == MON_START)
			return m.start.id;
	}
}

RIG_UNUSED static void finish(struct fixture *x, const char *id, enum verdict verdict)
{
	struct log_end log = {0};
	struct mon_exited m = {.verdict = (uint8_t)verdict, .wait_status = 0};

	memcpy(m.id, id, sizeof(m.id));
	memcpy(log.id, id, sizeof(log.id));
	m.wait_status = verdict == VERDICT_OK ? 0 : 1 << 8;
	flow_exited(x->f, &m);
	flow_log_end(x->f, &log);
	settle(x);
}

RIG_UNUSED static struct task_record record(struct fixture *x, const char *id)
{
	struct task_record rec = {0};
	struct err e = {0};

	settle(x);
	if (store_task_get(x->f->store, id, &rec, &e) < 0)
		fail_msg("%s", e.msg);
	task_record_clear(&rec);
	return rec;
}

#define WITH_QUEUE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
