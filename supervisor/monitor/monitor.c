// SPDX-License-Identifier: Apache-2.0
#include "supervisor/monitor/monitor.h"

#include <fcntl.h>
#include <limits.h>
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

/* Buckets of the table of boxes: a power of two, about as many as run on a full node. */
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

/* The folder of the web page's files, or -1. */
static int open_dashboard(void)
{
	const char *share = getenv("SANDBOXD_SHARE");
	char path[PATH_MAX];

	if (!share || !*share)
		(void)util_installed("share/sandboxd/dashboard", path, sizeof(path));
	else
		(void)snprintf(path, sizeof(path), "%s/dashboard", share);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int open_folders(struct monitor *m, struct err *e)
{
	const struct {
		const int *parent;
		const char *name;
		mode_t mode;
		int *fd;
	} folders[] = {
		{&m->state_fd, "images", 0755, &m->images_fd},
		{&m->state_fd, "policies", 0755, &m->policies_fd},
		{&m->state_fd, "checkpoints", 0700, &m->checkpoints_fd},
		{&m->state_fd, "packages", 0700, &m->packages_fd},
		{&m->state_fd, "data", 0700, &m->data_fd},
		{&m->state_fd, "front", 0700, &m->front_fd},
		{&m->state_fd, "logs", 0700, &m->logs_fd},
		{&m->run_fd, "tasks", 0700, &m->tasks_fd},
	};
	int r = 0;

	m->dashboard_fd = open_dashboard();
	m->edge_fd = -1;
	m->state_fd = open(m->cfg->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->state_fd < 0)
		return err_set(e, ERR_SYSTEM, errno, "state folder %s", m->cfg->state);
	m->run_fd = open(m->cfg->run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->run_fd < 0)
		return err_set(e, ERR_SYSTEM, errno, "run folder %s", m->cfg->run);
	m->edge_fd = openat(m->run_fd, "edge", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	for (size_t i = 0; i < ARRAY_SIZE(folders) && r == 0; i++)
		r = open_dir(*folders[i].parent, folders[i].name, folders[i].mode, folders[i].fd,
			     e);
	return r;
}

/*
 * Makes a mount namespace for this process, so that no mount of its own is seen outside. Each
 * sandbox's mount namespace begins as a copy of it.
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
	/* Tasks go on; the next monitor adopts them. */
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

static int monitor_start(struct monitor *m, struct err *e)
{
	int r = private_mounts(m, e);

	if (r < 0)
		return r;
	/* After the mount namespace was made: nothing can be mounted from descriptors that were
	 * opened in another one (rootfs_detach). */
	r = open_folders(m, e);
	if (r < 0)
		return r;
	r = cgroup_host_open(m->cfg->cgroup, &m->cgroups, e);
	if (r < 0)
		return r;
	/* Before adopt_all ends the sandboxes in these cgroups that have no record. */
	r = cgroup_host_claim(&m->cgroups, m->cfg->cgroup, e);
	if (r < 0)
		return r;
	r = probe_host(m, e);
	if (r < 0)
		return r;
	r = set_up_loop(m, e);
	if (r < 0)
		return r;
	m->net_used = calloc(NET_INDEX_MAX + 1, 1);
	if (!m->net_used || idtable_init(&m->boxes, BOXES_SIZE) < 0)
		return err_set(e, ERR_SYSTEM, ENOMEM, "monitor");
	/* Before the roles are there, so that a new front and a new logger hear of all tasks at
	 * once. */
	r = adopt_all(m, e);
	if (r < 0)
		return r;
	warm_start(m);
	r = netns_start(m, e);
	if (r < 0)
		return r;
	r = template_start(m, e);
	if (r < 0)
		return r;
	return roles_start(m, e);
}

int monitor_main(const struct config *cfg, int listen_fd, int http_fd,
		 const struct edge_sockets *edge)
{
	static struct monitor monitor;
	struct monitor *m = &monitor;
	struct err e = {0};
	int r;

	m->cfg = cfg;
	m->listen_fd = listen_fd;
	m->http_fd = http_fd;
	m->api_fd = edge->api;
	m->node_memory = warm_node_memory();
	net_configure(cfg->cgroup);
	for (int i = 0; i < R_N; i++)
		chan_init(&m->roles[i].chan, -1, false);
	msg_init("monitor");
	r = monitor_start(m, &e);
	if (r == 0)
		r = edge_start(m, edge, &e);
	if (r < 0) {
		msg_err("%s", e.msg);
		return err_exit_status(e.code);
	}
	msg_info("ready: cgroup %s; %s", m->cgroups.text,
		 m->criu_works ? m->criu_version : "no checkpoints");
	(void)sd_notify(0, "READY=1");
	if (cfg->ready_fd >= 0)
		(void)util_write_all(cfg->ready_fd, "r", 1);
	r = sd_event_loop(m->event);
	/* First, for what the edge has under way wants the front. */
	edge_stop(m);
	template_stop_all(m);
	warm_stop_all(m);
	roles_stop(m);
	if (r >= 0)
		net_leave(m);
	return r < 0 ? 1 : r;
}
