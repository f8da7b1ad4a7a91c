// SPDX-License-Identifier: Apache-2.0
/*
 * Everything that root does for somebody else: one row a request. Who may send which, its size,
 * its descriptors and the form of each field were checked before (proto_check, wire/proto.c);
 * what a request means is checked by its function.
 */
#include <stdio.h>

#include "supervisor/monitor/roles.h"
#include "supervisor/monitor/spawn/spawn.h"

/*
 * Has made what the start of b would have been faster with, for the starts that follow: a template
 * at once; a checkpoint by the front, which b tells of it (want_warm). b's warning says why there
 * is no checkpoint.
 */
static void grant(struct monitor *m, struct box *b, const struct start_wish *wish)
{
	const char *why;

	if (wish->restored)
		warm_used(m, b->key);
	if (wish->template)
		template_want(m, &wish->of);
	if (!wish->checkpoint)
		return;
	if (warm_past_allows(m, &wish->of, b->list, util_monotonic_ns()))
		b->want_warm = b->list;
	why = warm_past_why(m, &wish->of, b->list);
	/* Whoever has named the modules can mend them. Other users of the image are not told each
	 * time. */
	if (*why && wish->missing.code == ERR_NOT_FOUND &&
	    (wish->asked != START_AUTO || b->list == WARM_FOR_TASK))
		(void)snprintf(b->warning, sizeof(b->warning), "cold start: %.400s", why);
	/* For "auto" a missing checkpoint is an ordinary first start; a damaged one is not. */
	else if (wish->asked != START_AUTO || wish->missing.code != ERR_NOT_FOUND)
		(void)snprintf(b->warning, sizeof(b->warning), "cold start: %.400s",
			       wish->missing.msg);
}

static void start_new(struct monitor *m, const struct mon_start *req, const struct start_fds *fds,
		      const char *why)
{
	struct start_wish wish;
	struct box *b = start_sandbox(m, req, fds, why, &wish);

	if (b)
		grant(m, b, &wish);
}

void start_without_fork(struct monitor *m, const struct mon_start *req, const struct start_fds *fds,
			const char *why)
{
	struct mon_start again = *req;

	again.start = START_RESTORE;
	start_new(m, &again, fds, why);
}

/* The fastest way first: a clone, then a sandbox of its own. */
int start_task(struct monitor *m, const struct mon_start *req, const struct start_fds *fds)
{
	if (!util_is_id(req->id) || req->start >= START_MODE_MAX ||
	    req->owner >= SANDBOX_OWNERS_MAX || req->no_deadline > 1 || req->ring_log > 1 ||
	    (req->has_package != 0) != (fds->package >= 0) || !start_is_job(fds->job))
		return -EPROTO;
	/* A clone has all its mounts before there is a task. */
	if ((req->has_data != 0) != (fds->data >= 0) ||
	    (fds->data >= 0 && req->start != START_COLD && req->start != START_RESTORE))
		return -EPROTO;
	/* What is restored or cloned has its stdin already. */
	if ((req->has_input != 0) != (fds->input >= 0) ||
	    (fds->input >= 0 && (req->start != START_COLD || !start_is_input(fds->input))))
		return -EPROTO;
	if ((req->has_serve != 0) != (fds->serve >= 0) ||
	    (fds->serve >= 0 && !start_is_serve(fds->serve)))
		return -EPROTO;
	/* A front that was restarted in between asks twice. The first request counts. */
	if (box_find(m, req->id))
		return 0;
	if ((req->start == START_AUTO || req->start == START_FORK) && clone_start(m, req, fds))
		return 0;
	start_new(m, req, fds, "");
	return 0;
}

static int start(struct monitor *m, const union proto_msg *msg, const int *fds, unsigned n_fds)
{
	const struct mon_start *req = &msg->start;
	struct start_fds of = {.job = *fds++, .package = -1, .data = -1, .input = -1, .serve = -1};

	(void)n_fds;
	if (req->has_package)
		of.package = *fds++;
	if (req->has_data)
		of.data = *fds++;
	if (req->has_input)
		of.input = *fds++;
	if (req->has_serve)
		of.serve = *fds;
	return start_task(m, req, &of);
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

/* Only a task can be killed: its sandbox, or the clone that is being made for it. */
static int kill_task(struct monitor *m, const union proto_msg *msg, const int *fds, unsigned n_fds)
{
	struct box *b = box_find(m, msg->kill.id);

	(void)fds;
	(void)n_fds;
	if (!b || b->state != BOX_LIVES || !box_is_task(b))
		return 0;
	if (msg->kill.reason == KILL_CANCEL_TERM)
		box_term(b);
	else
		box_kill(b, VERDICT_CANCELLED);
	return 0;
}

/* The front has written down how the task has ended: it need not be told again. */
static int forget_task(struct monitor *m, const union proto_msg *msg, const int *fds,
		       unsigned n_fds)
{
	struct box *b = box_find(m, msg->forget.id);

	(void)fds;
	(void)n_fds;
	if (b && b->state == BOX_ENDED && box_is_task(b))
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
