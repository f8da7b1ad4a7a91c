// SPDX-License-Identifier: Apache-2.0
/*
 * Everything that root does for somebody else: one row a request. Who may send which, its size,
 * its descriptors and the form of each field were checked before (proto_check, wire/proto.c);
 * what a request means is checked by its function.
 */
#include "supervisor/monitor/roles.h"

static int start(struct monitor *m, const union proto_msg *msg, const int *fds, unsigned n_fds)
{
	return start_task(m, &msg->start, fds[0], n_fds > 1 ? fds[1] : -1);
}

static int warm(struct monitor *m, const union proto_msg *msg, const int *fds, unsigned n_fds)
{
	(void)n_fds;
	return start_warm(m, &msg->warm, fds[0]);
}

static int list_templates(struct monitor *m, const union proto_msg *msg, const int *fds,
			  unsigned n_fds)
{
	(void)fds;
	(void)n_fds;
	template_list(m, &msg->templates);
	return 0;
}

/* Only a task's sandbox: the others are nobody's to end. */
static int kill_task(struct monitor *m, const union proto_msg *msg, const int *fds, unsigned n_fds)
{
	struct box *b = box_find(m, msg->kill.id);

	(void)fds;
	(void)n_fds;
	/* Pending: of a task whose clone is being made; it is told of then. */
	if (!b || b->exited || (b->run.kind != RUN_TASK && !b->pending))
		return 0;
	if (msg->kill.reason == KILL_CANCEL_TERM)
		box_term(b);
	else
		box_kill(b, VERDICT_CANCELLED);
	return 0;
}

/* Its end is written down: it need not be told again. */
static int forget_task(struct monitor *m, const union proto_msg *msg, const int *fds,
		       unsigned n_fds)
{
	struct box *b = box_find(m, msg->forget.id);

	(void)fds;
	(void)n_fds;
	if (b && b->exited && b->run.kind == RUN_TASK)
		box_forget(b);
	return 0;
}

static const struct {
	enum proto_type type;
	int (*run)(struct monitor *m, const union proto_msg *msg, const int *fds, unsigned n_fds);
} requests[] = {
	{MON_START, start},    {MON_WARM, warm},	  {MON_TEMPLATES, list_templates},
	{MON_KILL, kill_task}, {MON_FORGET, forget_task},
};

int request_run(struct monitor *m, const union proto_msg *msg, const int *fds, unsigned n_fds)
{
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		if (requests[i].type == (enum proto_type)msg->h.type)
			return requests[i].run(m, msg, fds, n_fds);
	return -EPROTO;
}
