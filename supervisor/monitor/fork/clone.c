// SPDX-License-Identifier: Apache-2.0
/*
 * Clones. One is made ahead of its task (parked) or for it, by the template's keeper.
 * With its task (fork/clone_begin.c) it is a sandbox like any other.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/msg.h"
#include "sandbox/fork/keeper.h"
#include "supervisor/monitor/fork/clone.h"
#include "supervisor/monitor/spawn/start.h"

/* What one that waits may use, and how long it may take to come so far. */
#define WAITING_CPU_MILLI 10
#define READY_TIMEOUT_US 10000000
/* So many lost in a row, and each task would lose one more. */
#define LOST_MAX 3

void pending_free(struct pending *p)
{
	if (!p)
		return;
	util_close_fd(&p->job_fd);
	util_close_fd(&p->package_fd);
	free(p);
}

static struct pending *pending_new(const struct mon_start *req, int job_fd, int package_fd)
{
	struct pending *p = malloc(sizeof(*p));

	if (!p)
		return NULL;
	p->req = *req;
	p->job_fd = fcntl(job_fd, F_DUPFD_CLOEXEC, 3);
	p->package_fd = package_fd < 0 ? -1 : fcntl(package_fd, F_DUPFD_CLOEXEC, 3);
	if (p->job_fd < 0 || (package_fd >= 0 && p->package_fd < 0)) {
		pending_free(p);
		return NULL;
	}
	return p;
}

void clone_unlink(struct box *b)
{
	struct box **p = b->template ? &b->template->clones : NULL;

	while (p && *p && *p != b)
		p = &(*p)->clone_next;
	if (p && *p)
		*p = b->clone_next;
	b->clone_next = NULL;
}

unsigned clone_count(const struct template *tpl)
{
	unsigned n = 0;

	for (const struct box *b = tpl->clones; b; b = b->clone_next)
		n += !b->pending;
	return n;
}

/* The end of a clone without a task. Its init may be alive: it ends with the socket. */
void clone_drop(struct box *b)
{
	clone_unlink(b);
	pending_free(TAKE_PTR(b->pending));
	util_close_fd(&b->ctl);
	box_signal(b, SIGKILL);
	box_reap(b);
	b->template = NULL;
	b->forgotten = true;
	box_remove_cgroup(b);
}

void clone_note_end(struct box *b)
{
	struct template *tpl = b->template;

	if (tpl && b->ahead && !b->prepared)
		pool_close(tpl, "a clone has ended before it was ready");
	else if (tpl && b->pending && ++tpl->lost == LOST_MAX)
		template_failed(tpl, "its clones end before the first bytecode of their tasks");
}

void clone_ended(struct box *b)
{
	clone_unlink(b);
	clone_note_end(b);
	clone_drop(b);
}

void clone_left(struct box *b)
{
	if (b->template && b->run.kind == RUN_TASK && b->template->running > 0)
		b->template->running--;
	b->template = NULL;
}

void clone_give_up(struct box *b, const char *why)
{
	struct pending *p = TAKE_PTR(b->pending);
	struct monitor *m = b->m;
	char words[PROTO_TEXT_MAX];
	bool killed = b->killed_for != VERDICT_NONE;

	if (!p) {
		clone_drop(b);
		return;
	}
	/* Its name is free for the one that follows. */
	box_rename(b, "");
	clone_drop(b);
	(void)snprintf(words, sizeof(words), "restored: %.480s", why);
	if (killed)
		box_fail_new(m, p->req.id, VERDICT_CANCELLED);
	else
		start_without_fork(m, &p->req, p->job_fd, p->package_fd, words);
	pending_free(p);
}

void clone_drop_all(struct template *tpl, const char *why)
{
	while (tpl->clones)
		clone_give_up(tpl->clones, why);
}

bool clone_start(struct monitor *m, const struct mon_start *req, int job_fd, int package_fd)
{
	struct clone_kind kind = {.limits = req->limits, .package_fd = package_fd};
	struct template *tpl;
	struct pending *pending;
	struct recipe of;
	struct box *b;

	if (req->has_package)
		memcpy(kind.package, req->package, 32);
	recipe_of_start(req, package_fd, &of);
	tpl = template_find(m, &of);

	/* A request that is not allowed is refused where all others are. */
	if (!tpl || tpl->state != TEMPLATE_READY ||
	    limits_beyond(&req->limits, &tpl->rules->policy.head.limits_max) != LIMIT_N ||
	    start_check_package(m, package_fd, NULL) < 0)
		return false;
	pending = pending_new(req, job_fd, package_fd);
	if (!pending)
		return false;
	b = pool_take(tpl, &kind);
	if (b) {
		b->pending = pending;
		clone_assign(b);
	} else {
		b = clone_make(tpl, &kind, pending);
		if (!b)
			return false;
		box_rename(b, req->id);
	}
	pool_note(tpl, &kind);
	(void)pool_refill_soon(tpl);
	return true;
}

static struct box *find_tag(struct template *tpl, uint32_t tag)
{
	struct box *b = tpl->clones;

	while (b && b->clone_tag != tag)
		b = b->clone_next;
	return b;
}

static int on_not_ready(sd_event_source *s, uint64_t usec, void *arg)
{
	struct box *b = arg;

	(void)s;
	(void)usec;
	pool_close(b->template, "a clone does not get ready");
	return 0;
}

void clone_ready(struct box *b)
{
	b->deadline_src = sd_event_source_disable_unref(b->deadline_src);
	/* Its init and it. What a module has had run at each fork may be any code. */
	if (cgroup_pids(&b->cgroup) != 2)
		pool_close(b->template, "a clone has started other processes or threads");
	else if (cgroup_set_pids(&b->cgroup, 2) < 0 ||
		 cgroup_set_cpu(&b->cgroup, WAITING_CPU_MILLI) < 0)
		pool_close(b->template, "a clone's group cannot be limited");
}

/* The clone is there. */
static void made(struct box *b, int pidfd, int payload_fd)
{
	struct err e = {0};
	int r;

	b->pidfd = pidfd;
	b->pid = util_pidfd_pid(pidfd);
	b->payload_fd = payload_fd;
	if (b->pending)
		r = clone_set_limits(b);
	else
		r = sd_event_add_time_relative(b->m->event, &b->deadline_src, CLOCK_MONOTONIC,
					       READY_TIMEOUT_US, 0, on_not_ready, b);
	if (r >= 0)
		r = b->pid > 1 ? util_proc_start_time(b->pid, &b->run.init_start) : -ESRCH;
	if (r == 0)
		r = box_watch(b, &e);
	if (r == 0)
		r = keeper_watch(b);
	if (r < 0 || b->killed_for != VERDICT_NONE) {
		clone_give_up(b, e.msg[0] ? e.msg : "the clone is gone");
		return;
	}
	if (b->pending)
		clone_assign(b);
}

/* Nothing is believed but the form: the keeper is ours, its neighbour is not. */
void clone_answer(struct template *tpl)
{
	struct template_answer a;
	int fds[2] = {-1, -1}, n_fds = 2;
	ssize_t n = fds_receive(tpl->sock, &a, sizeof(a), fds, &n_fds, MSG_DONTWAIT);
	_cleanup_fd_ int pidfd = fds[0], payload_fd = fds[1];
	struct box *b;

	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n != (ssize_t)sizeof(a)) {
		/* Its sandbox ends now, and the report says why. */
		tpl->io = sd_event_source_disable_unref(tpl->io);
		return;
	}
	a.text[sizeof(a.text) - 1] = '\0';
	if (a.tag == 0) {
		if (a.status == 0 && tpl->state == TEMPLATE_MAKING) {
			tpl->state = TEMPLATE_READY;
			pool_fill(tpl);
		} else {
			template_failed(tpl, a.text);
		}
		return;
	}
	b = find_tag(tpl, a.tag);
	if (!b)
		return;
	b->clone_tag = 0;
	(void)clone_answered(tpl);
	if (a.status == 0 && pidfd >= 0 && payload_fd >= 0) {
		made(b, TAKE_FD(pidfd), TAKE_FD(payload_fd));
		return;
	}
	/* One that cannot be cloned once is not asked again. */
	clone_give_up(b, a.text);
	template_failed(tpl, a.text);
}
