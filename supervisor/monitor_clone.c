// SPDX-License-Identifier: Apache-2.0
/*
 * Clones. One is made ahead of its task (parked) or for it, by the template's keeper.
 * With its task (monitor_clone_begin.c) it is a sandbox like any other.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "sandbox/template.h"
#include "supervisor/monitor_clone.h"
#include "supervisor/monitor_start.h"
#include "supervisor/msg.h"

#define REFILL_US 3000
#define REFILL_NEXT_US 500

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

void clone_unlink(struct mtask *t)
{
	struct mtask **p = t->template ? &t->template->clones : NULL;

	while (p && *p && *p != t)
		p = &(*p)->clone_next;
	if (p && *p)
		*p = t->clone_next;
	t->clone_next = NULL;
}

unsigned clone_count(const struct template *tpl)
{
	unsigned n = 0;

	for (const struct mtask *t = tpl->clones; t; t = t->clone_next)
		n += !t->pending;
	return n;
}

/* Of a clone: what its payload and its init hold is the same for any task with these. */
static bool same_sandbox(const struct limits *a, const struct limits *b)
{
	return a->memory == b->memory && a->disk == b->disk && a->cpu_milli == b->cpu_milli &&
	       a->pids == b->pids && a->nofile == b->nofile;
}

static void package_of(const struct mon_start *req, uint8_t ret[32])
{
	memset(ret, 0, 32);
	if (req->has_package)
		memcpy(ret, req->package, 32);
}

/* The end of a clone without a task. Its init may be alive: it ends with the socket. */
void clone_drop(struct mtask *t)
{
	clone_unlink(t);
	pending_free(TAKE_PTR(t->pending));
	util_close_fd(&t->ctl);
	if (t->pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, t->pidfd, SIGKILL, NULL, 0);
	task_reap(t);
	t->template = NULL;
	t->forgotten = true;
	task_remove_cgroup(t);
}

void clone_ended(struct mtask *t)
{
	clone_drop(t);
}

void clone_left(struct mtask *t)
{
	if (t->template && t->run.kind == RUN_TASK && t->template->running > 0)
		t->template->running--;
	t->template = NULL;
}

void clone_give_up(struct mtask *t, const char *why)
{
	struct pending *p = TAKE_PTR(t->pending);
	struct monitor *m = t->m;
	char words[PROTO_TEXT_MAX];
	bool killed = t->killed_for != VERDICT_NONE;

	if (!p) {
		clone_drop(t);
		return;
	}
	/* Its name is free for the one that follows. */
	mtask_rename(t, "");
	clone_drop(t);
	(void)snprintf(words, sizeof(words), "restored: %.480s", why);
	if (killed)
		task_fail_new(m, p->req.id, VERDICT_CANCELLED);
	else
		start_without_fork(m, &p->req, p->job_fd, p->package_fd, words);
	pending_free(p);
}

void clone_drop_all(struct template *tpl, const char *why)
{
	while (tpl->clones)
		clone_give_up(tpl->clones, why);
}

static bool is_like(const struct template *tpl, const struct mtask *t)
{
	return same_sandbox(&t->limits, &tpl->like) &&
	       memcmp(t->package, tpl->like_package, 32) == 0;
}

/* One that waits for another kind of task, and is in the way. */
static struct mtask *find_other(struct template *tpl)
{
	for (struct mtask *t = tpl->clones; t; t = t->clone_next)
		if (!t->pending && !t->clone_tag && !is_like(tpl, t))
			return t;
	return NULL;
}

/* As many as the policy says, one a time, for tasks like the last one. */
static int on_refill(sd_event_source *s, uint64_t usec, void *arg)
{
	struct template *tpl = arg;
	struct mtask *other;
	unsigned like = 0;

	(void)usec;
	for (const struct mtask *t = tpl->clones; t; t = t->clone_next)
		like += !t->pending && is_like(tpl, t);
	if (like >= tpl->rules->policy.head.parked || tpl->m->stopping)
		return 0;
	other = clone_count(tpl) >= tpl->rules->policy.head.parked ? find_other(tpl) : NULL;
	if (other)
		clone_drop(other);
	if (!clone_make(tpl, &tpl->like, tpl->like_package, tpl->like_package_fd, NULL))
		return 0;
	(void)sd_event_source_set_time_relative(s, REFILL_NEXT_US);
	return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

/* Not now: the task that has just been given away is to have the processor. */
int clone_refill_soon(struct template *tpl)
{
	int on = SD_EVENT_OFF, r;

	if (!tpl->refill)
		return sd_event_add_time_relative(tpl->m->event, &tpl->refill, CLOCK_MONOTONIC,
						  REFILL_US, 1, on_refill, tpl);
	r = sd_event_source_get_enabled(tpl->refill, &on);
	if (r < 0 || on != SD_EVENT_OFF)
		return r;
	(void)sd_event_source_set_time_relative(tpl->refill, REFILL_US);
	return sd_event_source_set_enabled(tpl->refill, SD_EVENT_ONESHOT);
}

static void note_kind(struct template *tpl, const struct mon_start *req, int package_fd)
{
	uint8_t package[32];
	int fd = -1;

	tpl->like = req->limits;
	package_of(req, package);
	if (memcmp(package, tpl->like_package, 32) == 0)
		return;
	if (package_fd >= 0) {
		fd = fcntl(package_fd, F_DUPFD_CLOEXEC, 3);
		if (fd < 0) /* the digest alone would promise a folder that is not there */
			return;
	}
	memcpy(tpl->like_package, package, 32);
	util_close_fd(&tpl->like_package_fd);
	tpl->like_package_fd = fd;
}

/* Its host pid, as this procfs says it. */
static pid_t pid_of(int pidfd)
{
	char path[48], buf[512], *p;
	_cleanup_fd_ int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);
	if (n <= 0)
		return -1;
	buf[n] = '\0';
	p = strstr(buf, "\nPid:");
	return p ? (pid_t)strtol(p + 5, NULL, 10) : -1;
}

static struct mtask *take_parked(struct template *tpl, const struct mon_start *req)
{
	uint8_t package[32];

	package_of(req, package);
	for (struct mtask *t = tpl->clones; t; t = t->clone_next)
		if (!t->pending && !t->clone_tag && same_sandbox(&t->limits, &req->limits) &&
		    memcmp(t->package, package, 32) == 0)
			return t;
	return NULL;
}

bool clone_start(struct monitor *m, const struct mon_start *req, int job_fd, int package_fd)
{
	uint8_t package[32];
	struct template *tpl;
	struct pending *pending;
	struct recipe of;
	struct mtask *t;

	recipe_of_start(req, package_fd, &of);
	tpl = template_find(m, &of);

	/* A request that is not allowed is refused where all others are. */
	if (!tpl || tpl->state != TEMPLATE_READY ||
	    !limits_allowed(&req->limits, &tpl->rules->policy.head.limits_max) ||
	    start_check_package(m, package_fd, NULL) < 0)
		return false;
	pending = pending_new(req, job_fd, package_fd);
	if (!pending)
		return false;
	t = take_parked(tpl, req);
	if (t) {
		t->pending = pending;
		clone_assign(t);
	} else {
		package_of(req, package);
		t = clone_make(tpl, &req->limits, package, package_fd, pending);
		if (!t)
			return false;
		mtask_rename(t, req->id);
	}
	note_kind(tpl, req, package_fd);
	(void)clone_refill_soon(tpl);
	return true;
}

static struct mtask *find_tag(struct template *tpl, uint32_t tag)
{
	struct mtask *t = tpl->clones;

	while (t && t->clone_tag != tag)
		t = t->clone_next;
	return t;
}

/* The clone is there. */
static void made(struct mtask *t, int pidfd)
{
	struct err e = {0};
	int r;

	t->pidfd = pidfd;
	t->pid = pid_of(pidfd);
	r = cgroup_set_pids(&t->cgroup, t->pids);
	if (r == 0)
		r = cgroup_set_cpu(&t->cgroup, t->limits.cpu_milli);
	t->pids = 0;
	if (r == 0)
		r = t->pid > 1 ? util_proc_start_time(t->pid, &t->run.init_start) : -ESRCH;
	if (r == 0)
		r = task_watch(t, &e);
	if (r < 0 || t->killed_for != VERDICT_NONE) {
		clone_give_up(t, e.msg[0] ? e.msg : "the clone is gone");
		return;
	}
	if (t->pending)
		clone_assign(t);
}

/* Nothing is believed but the form: the keeper is ours, its neighbour is not. */
void clone_answer(struct template *tpl)
{
	struct template_answer a;
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {&a, sizeof(a)};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(tpl->sock, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	_cleanup_fd_ int pidfd = -1;
	struct mtask *t;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&pidfd, CMSG_DATA(c), sizeof(int));
	if (n != (ssize_t)sizeof(a)) {
		/* Its sandbox ends now, and the report says why. */
		tpl->io = sd_event_source_disable_unref(tpl->io);
		return;
	}
	a.text[sizeof(a.text) - 1] = '\0';
	if (a.tag == 0) {
		if (a.status == 0 && tpl->state == TEMPLATE_MAKING) {
			tpl->state = TEMPLATE_READY;
			tpl->like = tpl->rules->policy.head.limits;
			(void)clone_refill_soon(tpl);
		} else {
			template_failed(tpl, a.text);
		}
		return;
	}
	t = find_tag(tpl, a.tag);
	if (!t)
		return;
	t->clone_tag = 0;
	(void)clone_answered(tpl);
	if (a.status == 0 && pidfd >= 0) {
		tpl->failures = 0;
		made(t, TAKE_FD(pidfd));
		return;
	}
	/* One that cannot be cloned once is not asked again. */
	clone_give_up(t, a.text);
	template_failed(tpl, a.text);
}
