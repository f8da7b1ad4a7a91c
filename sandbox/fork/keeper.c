// SPDX-License-Identifier: Apache-2.0
#include "sandbox/fork/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/title.h"
#include "sandbox/fork/inject.h"

/* Clones of one template that may live at a time. */
#define CLONES_MAX 1024

struct clone {
	pid_t task, init; /* 0: ended */
	int status;	  /* to its init: the payload's wait status */
};

struct keeper {
	const struct sandbox_spec *spec;
	struct template_host *host;
	struct inject_template *it;
	pid_t template; /* 0: dead */
	int sock;	/* the monitor; -1 when it has hung up */
	int sigfd;
	struct clone clones[CLONES_MAX];
	unsigned n_clones; /* of which a process is left */
};

/* fds: two, or NULL. */
static void answer(struct keeper *k, uint32_t tag, int status, const char *text, const int *fds)
{
	struct template_answer a = {.tag = tag, .status = status};

	(void)snprintf(a.text, sizeof(a.text), "%s", text);
	(void)fds_send(k->sock, &a, sizeof(a), fds, fds ? 2 : 0, 0);
}

/* One request with its fds, in a fixed order; the caller closes them. */
static int receive(struct keeper *k, struct template_park *park, int fds[PARK_FDS_MAX], int *ret_n)
{
	ssize_t n;

	*ret_n = PARK_FDS_MAX;
	n = fds_receive(k->sock, park, sizeof(*park), fds, ret_n, 0);
	if (n < 0)
		return (int)n;
	return n == (ssize_t)sizeof(*park) ? 0 : -ECONNRESET;
}

/* The monitor is this same program: what does not add up is a bug, and ends the request. */
static int read_request(const struct template_park *park, const int *fds, int n,
			struct sandbox_spec *spec, struct cgroup *cg)
{
	int next = PARK_FD_N;

	cg->unified = -1;
	for (int i = 0; i < CGROUP_N; i++)
		cg->dirs[i] = -1;
	if (n != PARK_FD_N + (park->has_package != 0) + __builtin_popcount(park->cgroup_mask))
		return -EPROTO;
	spec->package_mount = park->has_package ? fds[next++] : -1;
	for (int i = 0; i < CGROUP_N; i++)
		if (park->cgroup_mask & (1u << i))
			cg->dirs[i] = fds[next++];
	if (park->cgroup_mask & PARK_UNIFIED)
		cg->unified = fds[next];
	memcpy(cg->name, park->cgroup, sizeof(cg->name));
	spec->cgroup = cg;
	spec->action = SANDBOX_COLD;
	spec->limits = park->limits;
	spec->net_index = park->net_index;
	spec->resolv_conf = park->resolv_conf[0] ? park->resolv_conf : NULL;
	spec->out_r = fds[PARK_FD_OUT_R];
	spec->out_w = fds[PARK_FD_OUT_W];
	spec->err_r = fds[PARK_FD_ERR_R];
	spec->err_w = fds[PARK_FD_ERR_W];
	spec->started_r = fds[PARK_FD_STARTED_R];
	spec->started_w = fds[PARK_FD_STARTED_W];
	spec->report_w = fds[PARK_FD_REPORT];
	spec->job_fd = spec->heap_mount = spec->checkpoint_fd = spec->record_fd = -1;
	return 0;
}

/* Of the keeper's own mounts, which are the image and the devices. */
static int copy_mount(const char *path, int *ret, struct err *e)
{
	_cleanup_fd_ int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return dir < 0 ? err_set(e, ERR_SYSTEM, errno, "fork: %s", path)
		       : rootfs_detach(dir, path, ret, e);
}

static int clone_into(struct keeper *k, const struct sandbox_spec *spec, struct shell *s, int go_r,
		      pid_t *ret, struct err *e)
{
	int fds[CLONE_FDS_MAX], n = CLONE_NS_N, first_join, r;

	memcpy(fds, s->ns, sizeof(s->ns));
	fds[n + CLONE_FD_GO] = go_r;
	fds[n + CLONE_FD_OUT] = spec->out_w;
	fds[n + CLONE_FD_ERR] = spec->err_w;
	fds[n + CLONE_FD_STARTED] = spec->started_w;
	n += CLONE_FD_N;
	first_join = n;
	r = cgroup_open_join(spec->cgroup, fds, &n, e);
	if (r == 0)
		r = inject_clone(k->it, spec, fds, n, ret, e);
	for (int i = first_join; i < n; i++)
		util_close_fd(&fds[i]);
	return r;
}

static int make_clone(struct keeper *k, struct sandbox_spec *spec, int ctl, bool ahead,
		      struct clone *ret, struct err *e)
{
	_cleanup_fd_ int rootfs = -1, dev = -1, go_r = -1;
	struct shell s = SHELL_INIT;
	siginfo_t si;
	int r;

	if (!k->template)
		return err_set(e, ERR_UNAVAILABLE, 0, "fork: the template is dead");
	r = copy_mount("/", &rootfs, e);
	if (r == 0)
		r = copy_mount("/dev", &dev, e);
	if (r < 0)
		return r;
	spec->rootfs_mount = rootfs;
	spec->dev_mount = dev;
	r = shell_make(spec, &k->host->net, ctl, &s, &go_r, e);
	if (r < 0)
		return r;
	r = clone_into(k, spec, &s, go_r, &ret->task, e);
	/* "You are a clone: prepare for a task." Else it does what it must when the task comes. */
	if (r == 0 && ahead && util_write_all(s.go_w, "c", 1) < 0)
		r = err_set(e, ERR_SYSTEM, EPIPE, "fork: the process is gone");
	if (r < 0) {
		/* Was it the template that died? Its pid is not ours to use any more then. */
		if (waitid(P_PID, (id_t)k->template, &si, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0)
			k->template = 0;
		shell_kill(&s);
		return r;
	}
	ret->init = s.init;
	ret->status = TAKE_FD(s.status);
	shell_close(&s);
	return 0;
}

static void serve(struct keeper *k)
{
	static struct template_park park;
	struct sandbox_spec spec = *k->spec;
	struct cgroup cg = {.host = k->spec->cgroup->host};
	struct clone *c = NULL, made = {0};
	struct err e = {0};
	int fds[PARK_FDS_MAX] = {-1}, pidfds[2] = {-1, -1}, n, r;

	r = receive(k, &park, fds, &n);
	if (r == -EINTR || r == -EAGAIN)
		return;
	if (r < 0) {
		util_close_fd(&k->sock);
		return;
	}
	for (unsigned i = 0; i < CLONES_MAX && !c; i++)
		if (!k->clones[i].task && !k->clones[i].init)
			c = &k->clones[i];
	r = read_request(&park, fds, n, &spec, &cg);
	if (r < 0)
		(void)err_set(&e, ERR_INTERNAL, 0, "fork: a request that is none");
	else if (!c)
		r = err_set(&e, ERR_LIMIT, 0, "fork: %d clones of this template live", CLONES_MAX);
	else
		r = make_clone(k, &spec, fds[PARK_FD_CTL], park.ahead, &made, &e);
	if (r == 0) {
		*c = made;
		k->n_clones++;
		/* Our children, not reaped: the pids are right. */
		pidfds[0] = (int)syscall(SYS_pidfd_open, made.init, 0);
		pidfds[1] = (int)syscall(SYS_pidfd_open, made.task, 0);
	}
	answer(k, park.tag, r, e.msg, pidfds[0] >= 0 && pidfds[1] >= 0 ? pidfds : NULL);
	for (int i = 0; i < 2; i++)
		util_close_fd(&pidfds[i]);
	for (int i = 0; i < n; i++)
		util_close_fd(&fds[i]);
}

static void ended(struct keeper *k, pid_t pid, int status)
{
	if (pid == k->template) {
		k->template = 0;
		return;
	}
	for (unsigned i = 0; i < CLONES_MAX; i++) {
		struct clone *c = &k->clones[i];

		if (pid == c->task) {
			c->task = 0;
			/* The init is there, or nobody wants to know. */
			(void)util_write_all(c->status, &status, sizeof(status));
			util_close_fd(&c->status);
		} else if (pid == c->init) {
			c->init = 0;
		} else {
			continue;
		}
		if (!c->task && !c->init)
			k->n_clones--;
		return;
	}
}

/* A clone of a template that died before it could tell of it: traced by birth, and stopped. */
static bool is_stray(const struct keeper *k, pid_t pid)
{
	for (unsigned i = 0; i < CLONES_MAX; i++)
		if (pid == k->clones[i].task || pid == k->clones[i].init)
			return false;
	return pid != k->template;
}

static void reap(struct keeper *k)
{
	struct signalfd_siginfo si;
	int status;
	pid_t pid;

	(void)!read(k->sigfd, &si, sizeof(si));
	while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
		if (!WIFSTOPPED(status))
			ended(k, pid, status);
		else if (is_stray(k, pid))
			(void)kill(pid, SIGKILL); /* our own child, not reaped: the pid is right */
	}
}

/* No more clones: the template is not wanted, its memory is given back. */
static void end_template(struct keeper *k)
{
	int status;

	if (!k->template)
		return;
	(void)kill(k->template, SIGKILL);
	while (waitpid(k->template, &status, __WALL) > 0 && WIFSTOPPED(status))
		;
	k->template = 0;
}

int template_open_host(const struct sandbox_spec *spec, struct template_host *ret, struct err *e)
{
	*ret = TEMPLATE_HOST_INIT;
	ret->cgroup_ns = open("/proc/self/ns/cgroup", O_RDONLY | O_CLOEXEC);
	if (ret->cgroup_ns < 0)
		return err_set(e, ERR_SYSTEM, errno, "template: the host's cgroup namespace");
	/* Any index: what matters is that there is one. */
	return net_open_host(spec->policy->head.net_mode != POLICY_NET_NONE, &ret->net, e);
}

/* The template stays in the namespace that was made for it. */
static int begin(struct keeper *k, struct err *e)
{
	if (k->sigfd < 0)
		return err_set(e, ERR_SYSTEM, errno, "template: signalfd");
	if (setns(k->host->cgroup_ns, CLONE_NEWCGROUP) < 0)
		return err_set(e, ERR_SYSTEM, errno, "template: cgroup namespace");
	util_close_fd(&k->host->cgroup_ns);
	return 0;
}

void template_keep(const struct sandbox_spec *spec, struct template_host *host,
		   struct inject_template *it, pid_t template)
{
	static struct keeper keeper;
	struct keeper *k = &keeper;
	struct err e = {0};
	sigset_t chld;
	int r;

	*k = (struct keeper){.spec = spec,
			     .host = host,
			     .it = it,
			     .template = template,
			     .sock = spec->keeper_sock};
	title_set("template");
	/* Its death is that of all its tasks. */
	oom_protect();
	(void)sigemptyset(&chld);
	(void)sigaddset(&chld, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &chld, NULL);
	k->sigfd = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	r = begin(k, &e);
	answer(k, 0, r, e.msg, NULL);
	if (r < 0)
		_exit(1);
	while (k->sock >= 0 || k->n_clones > 0) {
		struct pollfd p[] = {{.fd = k->sigfd, .events = POLLIN},
				     {.fd = k->sock, .events = POLLIN}};

		if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
			_exit(1);
		/* Ends first: a task that waits to be told of is worth more than a new one. */
		if (p[0].revents)
			reap(k);
		if (p[1].revents)
			serve(k);
		if (k->sock < 0)
			end_template(k);
	}
	_exit(0);
}
