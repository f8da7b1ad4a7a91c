/* SPDX-License-Identifier: Apache-2.0 */
/* The front's queue with a real store, in this process: the test is the monitor and the logger. */
#ifndef TESTS_UNIT_QUEUE_RIG_H
#define TESTS_UNIT_QUEUE_RIG_H

#include "supervisor/front/front.h"
#include "supervisor/front/run/api_stats.h"
#include "supervisor/front/run/log_keep.h"
#include "supervisor/front/run/schedule/schedule.h"
#include "supervisor/front/serve/serve.h"
#include "tests/unit/front_rig.h"

struct fixture {
	struct rig *rig;
	struct front *f;
	struct project *a, *b;
	int monitor, logger;
	unsigned n_done, n_failed;
	char other[TASK_ID_LEN + 1];
	bool unready; /* begin leaves it to the test to say what the monitor knows */
	struct err error;
};

/* What front_init makes, but for the control socket and the filter. */
static void begin(struct fixture *x)
{
	struct front *f = front_new();
	int monitor[2];
	struct err e = {0};

	assert_int_equal(proto_socketpair(monitor), 0);
	f->cfg = x->rig->cfg;
	f->listeners = front_listeners;
	f->parts = front_parts;
	f->cfg.monitor_sock = monitor[1];
	f->cfg.running_max = 2;
	f->cfg.node_pids = 1 << 20;
	f->cfg.queued_max = 10;
	f->cfg.finished_keep = 1000;
	x->monitor = monitor[0];
	x->logger = rig_peer_new(x->monitor);
	x->f = f;
	assert_int_equal(store_open(f->cfg.front_dirfd, &f->store, &e), 0);
	assert_true(sd_event_new(&f->event) >= 0);
	assert_true(turn_init(f, flow_tick) >= 0);
	assert_true(commit_init(f) >= 0);
	assert_int_equal(queue_init(f), 0);
	assert_int_equal(project_load(f, &e), 0);
	assert_int_equal(code_load(f, &e), 0);
	assert_int_equal(schedule_load(f, &e), 0);
	assert_int_equal(recover_load(f, &e), 0);
	assert_int_equal(log_keep_load(f, &e), 0);
	assert_true(link_init(f) >= 0);
	if (!x->unready)
		recover_ready(f);
}

static void drop_task(struct front *f, struct task *t, void *arg)
{
	(void)arg;
	registry_remove(f, t);
}

static void end(struct fixture *x)
{
	struct front *f = x->f;

	/* A child that prunes packages looks at this test's folders. */
	while (f->core->code_known || f->core->pruner)
		assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
	package_prune_clear(f);
	turn_clear(f);
	api_stats_clear(f);
	queue_clear(f);
	registry_each(f, drop_task, NULL);
	project_clear(f);
	schedule_clear(f);
	chan_clear(&f->run->monitor);
	chan_clear(&f->run->logger);
	(void)close(f->cfg.monitor_sock);
	(void)sd_event_source_disable_unref(f->run->committer);
	(void)sd_event_unref(f->event);
	store_free(f->store);
	free(f);
	(void)close(x->monitor);
	(void)close(x->logger);
}

RIG_UNUSED static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	char token[TOKEN_LEN + 1];
	struct quota none = {0};
	struct err e = {0};

	assert_int_equal(rig_setup((void **)&x->rig), 0);
	begin(x);
	assert_int_equal(project_create(x->f, "a", &none, token, &x->a, &e), 0);
	assert_int_equal(project_create(x->f, "b", &none, token, &x->b, &e), 0);
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

RIG_UNUSED static struct code *code(struct fixture *x, struct project *p, const char *name,
				    struct code_spec spec)
{
	struct code *c = NULL;
	struct err e = {0};

	(void)snprintf(spec.name, sizeof(spec.name), "%s", name);
	strcpy(spec.image, "python");
	strcpy(spec.command, "true");
	if (code_put(x->f, p, &spec, &c, &e) < 0)
		fail_msg("%s", e.msg);
	return c;
}

/* What a work that is done in slices has come to. */
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

/* The loop goes on until it is done. */
static int outcome(struct fixture *x, struct outcome *o, int r, struct err *e)
{
	while (r == 0 && !o->done)
		assert_true(sd_event_run(x->f->event, UINT64_MAX) >= 0);
	if (r == 0 && o->e.code)
		*e = o->e;
	return r < 0 ? r : o->e.code ? -EIO : 0;
}

RIG_UNUSED static int cancel_all(struct fixture *x, struct code *c, uint64_t *ret_n, struct err *e)
{
	struct outcome o = {0};
	int r = outcome(x, &o, queue_cancel_all(x->f, c, on_outcome, &o, e), e);

	*ret_n = o.n;
	return r;
}

RIG_UNUSED static int remove_code(struct fixture *x, struct code *c, struct err *e)
{
	struct outcome o = {0};

	return outcome(x, &o, code_remove(x->f, c, on_outcome, &o, e), e);
}

static void on_removed(void *arg, int r, const struct err *error)
{
	on_outcome(arg, (uint64_t)r, r < 0 ? error : NULL);
}

RIG_UNUSED static int remove_project(struct fixture *x, struct project *p, bool force,
				     struct err *e)
{
	struct outcome o = {0};
	int r = outcome(x, &o, project_remove(x->f, p, force, on_removed, &o, e), e);

	return o.done ? (int)o.n : r;
}

static void on_done(void *arg, const char *id, const struct err *error)
{
	struct fixture *x = arg;

	(void)id;
	x->n_done++;
	x->n_failed += error != NULL;
}

RIG_UNUSED static const char *submit(struct fixture *x, struct code *c, struct submit s)
{
	static char ids[64][TASK_ID_LEN + 1];
	static unsigned n;
	char *id = ids[n++ % 64];
	struct err e = {0};

	if (queue_submit(x->f, c, &s, id, on_done, x, &e) < 0)
		fail_msg("%s", e.msg);
	return id;
}

RIG_UNUSED static const struct submit plain = {.priority = -1};

/* All that is to be done without the disk, the other roles or the clock. */
static void settle(struct fixture *x)
{
	commit_now(x->f);
	while (sd_event_run(x->f->event, 0) > 0)
		;
	commit_now(x->f);
}

/* The id of the task that the monitor is asked to start; "" when there is none. */
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
	free(rec.spec);
	rec.spec = NULL;
	return rec;
}

#define WITH_QUEUE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
