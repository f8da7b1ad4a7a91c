// SPDX-License-Identifier: Apache-2.0
/* MON_WARM: whether a warm-up may run now, within what limits, and its sandbox. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/msg.h"
#include "supervisor/monitor/spawn/start.h"
#include "wire/warm_load.h"

/* From its start to its checkpoint. The operator's may read a cold disk; a package's modules
 * are anybody's, and occupy a place meanwhile. */
#define WARM_S 150
#define WARM_OF_TASK_S 30

void recipe_of_warm(const struct mon_warm *req, int package_fd, struct recipe *ret)
{
	*ret = (struct recipe){.owner = req->owner, .package_fd = package_fd};
	memcpy(ret->image, req->image, 32);
	memcpy(ret->policy, req->policy, 32);
	if (package_fd >= 0)
		memcpy(ret->package, req->package, 32);
	memcpy(ret->warm, req->warm, sizeof(ret->warm));
}

/*
 * The policy's defaults, which its template has too; more where the task has more, which it
 * could use up anyway. Fewer are no use: others of the same list would have no checkpoint.
 */
static int limits_of_warm(const struct policy_head *policy, const struct mon_warm *req,
			  struct limits *ret, struct err *e)
{
	const struct limits *own = &req->limits;
	const bool of_task = req->wish == WARM_FOR_TASK;

	*ret = policy->limits;
	for (enum limit_id i = 0; i < LIMIT_N; i++)
		if (i != LIMIT_TIMEOUT && limit_get(own, i) > limit_get(ret, i))
			limit_set(ret, i, limit_get(own, i));
	/* It goes into the checkpoint, and a restored task can lower it, not raise it. */
	ret->nofile = policy->limits_max.nofile;
	if (limits_beyond(ret, &policy->limits_max) != LIMIT_N)
		return err_set(e, ERR_LIMIT, 0, "warm: limits beyond the policy's");
	ret->timeout_s = of_task ? WARM_OF_TASK_S : WARM_S;
	if (of_task && own->timeout_s && own->timeout_s < ret->timeout_s)
		ret->timeout_s = own->timeout_s;
	return 0;
}

/* The front keeps to this; a new front does not know what the former one began. */
static int check_room(const struct monitor *m, const struct box *mine, struct err *e)
{
	const struct mon_warm *req = mine->warm_req;
	struct warm_load load = {0};

	box_each(m, b)
	{
		/* 0: a renewal, of which there is one for each template. */
		if (b == mine || !box_is_warm(b) || b->warm_req->tag == 0)
			continue;
		warm_load_add(&load, (enum warm_for)b->warm_req->wish, b->warm_req->owner,
			      b->limits.memory);
		if (req->has_package && b->warm_req->has_package &&
		    req->owner == b->warm_req->owner &&
		    memcmp(b->warm_req->package, req->package, 32) == 0)
			return err_set(e, ERR_LIMIT, 0, "warm: another of this package runs");
	}
	if (!warm_load_allows(&load, (enum warm_for)req->wish, req->owner, mine->limits.memory,
			      m->node_memory))
		return err_set(e, ERR_LIMIT, 0, "warm: too many run already");
	return 0;
}

/* -EAGAIN: not now. Nothing has failed, and nothing is remembered. */
static int check_time(struct monitor *m, struct box *b, const struct recipe *of, struct err *e)
{
	const uint64_t now = util_monotonic_ns();

	if (b->warm_req->tag == 0)
		return 0;
	if (check_room(m, b, e) < 0)
		return -EAGAIN;
	if (b->warm_req->wish != WARM_FOR_OPERATOR &&
	    !warm_past_allows(m, of, (enum warm_for)b->warm_req->wish, now)) {
		(void)err_set(e, ERR_LIMIT, 0, "warm: it has failed lately");
		return -EAGAIN;
	}
	warm_past_begin(m, of, now);
	return 0;
}

static void say_begun(const struct start *s, const struct box *b)
{
	static const char *const wishes[WARM_FOR_MAX] = {
		[WARM_FOR_OPERATOR] = "asked for",
		[WARM_FOR_IMAGE] = "of the image's list",
		[WARM_FOR_TASK] = "of a task's list",
	};
	char list[IMAGE_WARM_MAX];

	(void)snprintf(list, sizeof(list), "%s", s->inputs.warm);
	for (char *p = list; *p; p++)
		*p = (char)(*p == '\n' ? ',' : *p);
	msg_info("warm-up %s begins: image %s, policy %s, %s: %s; up to %llu MiB, %u s", b->id,
		 s->image.name, s->policy->policy.head.name, wishes[b->warm_req->wish],
		 *list ? list : "no modules", (unsigned long long)(b->limits.memory >> 20),
		 b->limits.timeout_s);
}

static int begin_warm(struct monitor *m, struct start *s, const struct mon_warm *req, struct box *b,
		      struct err *e)
{
	_cleanup_fd_ int job = -1;
	struct recipe of;
	int r;

	recipe_of_warm(req, b->warm_package, &of);
	if (strstr(req->warm, WARM_MODULE) && b->warm_package < 0)
		return err_set(e, ERR_NOT_FOUND, 0, "warm.module: there is no package (any more)");
	r = start_check_package(m, b->warm_package, e);
	if (r == 0)
		r = start_load_parts(m, s, &of, e);
	b->run.owner = s->spec.owner = recipe_dumped_by(&of);
	if (r == 0)
		r = limits_of_warm(&s->policy->policy.head, req, &b->limits, e);
	if (r < 0)
		return r;
	if (!m->criu_works)
		return err_set(e, ERR_UNAVAILABLE, 0, "%s", m->criu_problem);
	memcpy(b->key, s->spec.checkpoint_key, 32);
	if (!req->force && start_open_checkpoint(m, s, b, NULL) == 0)
		return -EEXIST;
	r = check_time(m, b, &of, e);
	if (r < 0)
		return r;
	job = warm_job(s->inputs.warm, e);
	if (job < 0)
		return job;
	util_close_fd(&s->checkpoint);
	util_close_fd(&s->heap);
	r = warm_make_dir(b, &s->checkpoint, &s->heap, e);
	if (r < 0)
		return r;
	s->spec.action = SANDBOX_DUMP;
	s->spec.limits = b->limits;
	s->spec.job_fd = job;
	s->spec.checkpoint_fd = s->checkpoint;
	r = start_spawn(m, s, b, of.package_fd, e);
	if (r == 0)
		say_begun(s, b);
	return r;
}

void start_warm_again(struct monitor *m, const struct recipe *of, const struct limits *limits)
{
	struct mon_warm req = {.force = 1,
			       .has_package = of->package_fd >= 0,
			       .owner = of->owner,
			       .limits = *limits};

	req.wish = req.has_package ? WARM_FOR_TASK : WARM_FOR_IMAGE;

	memcpy(req.image, of->image, 32);
	memcpy(req.policy, of->policy, 32);
	memcpy(req.package, of->package, 32);
	memcpy(req.warm, of->warm, sizeof(req.warm));
	(void)start_warm(m, &req, of->package_fd);
}

/* When it is done, a template is made of it. */
void start_warmed(struct box *b)
{
	struct recipe of;

	recipe_of_warm(b->warm_req, b->warm_package, &of);
	template_want(b->m, &of);
}

int start_warm(struct monitor *m, const struct mon_warm *req, int package_fd)
{
	_cleanup_start_ struct start s = START_INIT;
	char id[TASK_ID_LEN + 1];
	struct err e = {0};
	struct box *b;
	int r;

	/* A package's module is nobody's but a task's. */
	if (req->wish == WARM_FOR_NOBODY || req->wish >= WARM_FOR_MAX ||
	    req->owner >= SANDBOX_OWNERS_MAX || (package_fd >= 0 && req->wish != WARM_FOR_TASK))
		return -EPROTO;
	util_new_id(id);
	b = box_new(m, id);
	if (!b)
		return 0;
	b->run.kind = RUN_WARM;
	b->warm_req = malloc(sizeof(*req));
	if (!b->warm_req) {
		box_free(b);
		return 0;
	}
	*b->warm_req = *req;
	if (package_fd >= 0)
		b->warm_package = fcntl(package_fd, F_DUPFD_CLOEXEC, 3);
	r = begin_warm(m, &s, req, b, &e);
	if (r < 0) {
		(void)snprintf(b->error, sizeof(b->error), "%s", e.msg);
		b->failed = r != -EEXIST;
		b->not_now = r == -EAGAIN;
		start_undo(b);
		warm_ended(b, r == -EEXIST);
	}
	return 0;
}
