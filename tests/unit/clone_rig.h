/* SPDX-License-Identifier: Apache-2.0 */
/* A monitor whose roles are this test, and boxes in it, of which clones may be in any state. */
#ifndef TESTS_UNIT_CLONE_RIG_H
#define TESTS_UNIT_CLONE_RIG_H

#include <sys/mman.h>

#include "supervisor/monitor/fork/clone.h"
#include "supervisor/monitor/roles.h"
#include "tests/unit/monitor_rig.h"

/* The other ends of the sockets to the roles. */
struct roles {
	int front, logger;
};

RIG_UNUSED static struct roles roles_begin(struct monitor *m)
{
	int front[2], logger[2];

	assert_int_equal(proto_socketpair(front), 0);
	assert_int_equal(proto_socketpair(logger), 0);
	chan_init(&m->roles[R_FRONT].chan, front[0], false);
	chan_init(&m->roles[R_LOGGER].chan, logger[0], false);
	return (struct roles){front[1], logger[1]};
}

RIG_UNUSED static void roles_end(struct monitor *m, struct roles *r)
{
	for (int i = 0; i < R_N; i++)
		chan_clear(&m->roles[i].chan);
	(void)close(r->front);
	(void)close(r->logger);
}

/* The next message that a role has got; 0: there is none. */
RIG_UNUSED static unsigned next(int sock, enum proto_role role, union proto_msg *msg)
{
	int fds[PROTO_FDS_MAX];
	unsigned n_fds = 0;
	int r = proto_recv(sock, ROLE_MONITOR, role, msg, fds, &n_fds);

	for (unsigned i = 0; r == 0 && i < n_fds; i++)
		(void)close(fds[i]);
	return r == 0 ? msg->h.type : 0;
}

RIG_UNUSED static unsigned to_front(const struct roles *r)
{
	union proto_msg msg;

	return next(r->front, ROLE_FRONT, &msg);
}

RIG_UNUSED static unsigned to_logger(const struct roles *r)
{
	union proto_msg msg;

	return next(r->logger, ROLE_LOGGER, &msg);
}

RIG_UNUSED static struct box *box(struct monitor_rig *rig, const struct box_kind *kind)
{
	struct box *b = box_new(rig->m, kind, RIG_ID);
	int out[2], err[2];

	assert_non_null(b);
	b->run.magic = RUN_RECORD_MAGIC;
	b->record_fd = record_new(rig->m, RIG_ID, &b->run);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	b->out_r = out[0];
	b->err_r = err[0];
	(void)close(out[1]);
	(void)close(err[1]);
	return b;
}

RIG_UNUSED static void gone(struct monitor_rig *rig)
{
	struct box *b = box_find(rig->m, RIG_ID);

	if (b)
		box_free(b);
	(void)unlinkat(rig->m->tasks_fd, RIG_ID, 0);
}

/* A clone of a template, with a task from ASKED_FOR on. */
RIG_UNUSED static struct clone *clone_box(struct monitor_rig *rig, struct template *tpl,
					  enum clone_state state)
{
	struct clone *c = clone_of(box(rig, &box_clone));

	*tpl = (struct template){.m = rig->m, .id = "rig", .sock = -1, .failures = 1, .lost = 1};
	c->template = tpl;
	c->state = state;
	if (state == CLONE_GIVEN_EARLY || state == CLONE_GIVEN || state == CLONE_BEGUN)
		tpl->running = 1;
	else
		tpl->clones = c;
	if (state == CLONE_ASKED_FOR || state == CLONE_GIVEN_EARLY || state == CLONE_GIVEN) {
		c->task = calloc(1, sizeof(*c->task));
		assert_non_null(c->task);
		strcpy(c->task->req.id, RIG_ID);
		c->task->fds = (struct start_fds){memfd_create("job", MFD_CLOEXEC), -1, -1, -1, -1};
	}
	return c;
}

#endif
