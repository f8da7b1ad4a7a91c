// SPDX-License-Identifier: Apache-2.0
#include "supervisor/monitor/monitor.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "lib/msg.h"
#include "sandbox/net.h"
#include "wire/warm_load.h"

/* Of the table: a power of two, about as many as run on a full node. */
#define BOXES_SIZE 1024

void monitor_to_front(struct monitor *m, const union proto_msg *msg)
{
	(void)role_send(m, R_FRONT, msg, NULL, 0);
}

void monitor_to_logger(struct monitor *m, const union proto_msg *msg, const int *fds, unsigned n)
{
	(void)role_send(m, R_LOGGER, msg, fds, n);
}

static int open_dir(int parent, const char *name, mode_t mode, int *ret, struct err *e)
{
	if (mkdirat(parent, name, mode) < 0 && errno != EEXIST)
		return err_set(e, ERR_SYSTEM, errno, "state folder %s", name);
	*ret = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (*ret < 0)
		return err_set(e, ERR_SYSTEM, errno, "state folder %s", name);
	return 0;
}

/* The web page's files; there need not be any. */
static int open_dashboard(void)
{
	const char *share = getenv("SANDBOXD_SHARE");
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/dashboard",
		       share && *share ? share : SANDBOXD_PREFIX "/share/sandboxd");
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int open_folders(struct monitor *m, struct err *e)
{
	int state = open(m->cfg->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (state < 0)
		return err_set(e, ERR_SYSTEM, errno, "state folder %s", m->cfg->state);
	m->state_fd = state;
	m->dashboard_fd = open_dashboard();
	m->run_fd = open(m->cfg->run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->run_fd < 0)
		return err_set(e, ERR_SYSTEM, errno, "run folder %s", m->cfg->run);
	r = open_dir(state, "images", 0755, &m->images_fd, e);
	if (r == 0)
		r = open_dir(state, "policies", 0755, &m->policies_fd, e);
	if (r == 0)
		r = open_dir(state, "checkpoints", 0700, &m->checkpoints_fd, e);
	if (r == 0)
		r = open_dir(state, "packages", 0700, &m->packages_fd, e);
	if (r == 0)
		r = open_dir(state, "front", 0700, &m->front_fd, e);
	if (r == 0)
		r = open_dir(state, "logs", 0700, &m->logs_fd, e);
	if (r == 0)
		r = open_dir(m->run_fd, "tasks", 0700, &m->tasks_fd, e);
	return r;
}

/*
 * A mount namespace of our own: nothing of ours is seen outside, and each sandbox's
 * copy of it is cheap. What no step needs is detached, so that it is not copied.
 */
static int private_mounts(struct monitor *m, struct err *e)
{
	int r;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_set(e, ERR_SYSTEM, errno, "monitor: private mount namespace");
	(void)snprintf(m->root_dir, sizeof(m->root_dir), "%s/root", m->cfg->run);
	(void)snprintf(m->dev_dir, sizeof(m->dev_dir), "%s/dev", m->cfg->run);
	if ((mkdir(m->root_dir, 0700) < 0 && errno != EEXIST) ||
	    (mkdir(m->dev_dir, 0700) < 0 && errno != EEXIST))
		return err_set(e, ERR_SYSTEM, errno, "monitor: folders in %s", m->cfg->run);
	r = mounts_make_dev(m->dev_dir, e);
	if (r < 0)
		return r;
	m->dev_fd = open(m->dev_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return m->dev_fd < 0 ? err_set(e, ERR_SYSTEM, errno, "monitor: %s", m->dev_dir) : 0;
}

static int on_stop(sd_event_source *s, const struct signalfd_siginfo *si, void *arg)
{
	struct monitor *m = arg;

	(void)s;
	(void)si;
	/* Tasks go on; the next start adopts them. */
	m->stopping = true;
	(void)sd_notify(0, "STOPPING=1");
	return sd_event_exit(m->event, 0);
}

static int set_up_loop(struct monitor *m, struct err *e)
{
	sigset_t mask;
	int r = sd_event_new(&m->event);

	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "monitor: event loop");
	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGTERM);
	(void)sigaddset(&mask, SIGINT);
	(void)sigaddset(&mask, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &mask, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	r = sd_event_add_signal(m->event, NULL, SIGTERM, on_stop, m);
	if (r >= 0)
		r = sd_event_add_signal(m->event, NULL, SIGINT, on_stop, m);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "monitor: signals") : 0;
}

static int prepare(struct monitor *m, struct err *e)
{
	int r = private_mounts(m, e);

	/* In that namespace: fds of other ones cannot be mounted from (rootfs_detach). */
	if (r == 0)
		r = open_folders(m, e);
	if (r == 0)
		r = cgroup_host_open(m->cfg->cgroup, &m->cgroups, e);
	/* Before anything is done about the sandboxes in there that are not in our records. */
	if (r == 0)
		r = cgroup_host_claim(&m->cgroups, m->cfg->cgroup, e);
	if (r == 0)
		r = probe_host(m, e);
	if (r == 0)
		r = set_up_loop(m, e);
	if (r < 0)
		return r;
	m->net_used = calloc(NET_INDEX_MAX + 1, 1);
	if (!m->net_used || idtable_init(&m->boxes, BOXES_SIZE) < 0)
		return err_set(e, ERR_SYSTEM, ENOMEM, "monitor");
	return 0;
}

int monitor_main(const struct config *cfg, int listen_fd, int http_fd)
{
	static struct monitor monitor;
	struct monitor *m = &monitor;
	struct err e = {0};
	int r;

	m->cfg = cfg;
	m->listen_fd = listen_fd;
	m->http_fd = http_fd;
	m->node_memory = warm_node_memory();
	net_configure(cfg->cgroup);
	for (int i = 0; i < R_N; i++)
		chan_init(&m->roles[i].chan, -1, false);
	msg_init("monitor");
	r = prepare(m, &e);
	/* Tasks first, so that a new front and a new logger hear of them at once. */
	if (r == 0)
		r = adopt_all(m, &e);
	if (r == 0)
		r = netns_start(m, &e);
	if (r == 0)
		r = template_start(m, &e);
	if (r == 0)
		r = roles_start(m, &e);
	if (r < 0) {
		msg_err("%s", e.msg);
		return err_exit_status(e.code);
	}
	msg_info("ready: cgroup %s; %s", m->cgroups.text,
		 m->criu_works ? m->criu_version : m->criu_problem);
	(void)sd_notify(0, "READY=1");
	if (cfg->ready_fd >= 0)
		(void)util_write_all(cfg->ready_fd, "r", 1);
	r = sd_event_loop(m->event);
	template_stop_all(m);
	warm_stop_all(m);
	roles_stop(m);
	if (r >= 0)
		net_leave(m);
	return r < 0 ? 1 : r;
}
