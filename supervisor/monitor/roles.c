// SPDX-License-Identifier: Apache-2.0
/*
 * The other two roles: forked, stripped of privilege, watched, and started again
 * with new sockets when they die. What they ask for is in request.c.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "lib/msg.h"
#include "supervisor/monitor/roles.h"

static int spawn_role(struct monitor *m, enum role_id id, struct err *e);

static void role_down(struct monitor *m, enum role_id id, const char *why)
{
	struct role *role = &m->roles[id];

	if (role->chan.sock < 0)
		return;
	msg_warn("%s: %s", role_table[id].name, why);
	chan_close(&role->chan);
	/* Fatal to the role, not to tasks. on_role_exit starts it again. */
	if (role->pid > 0)
		(void)kill(role->pid, SIGKILL);
}

/* Sends a message to a role. While the role is down nothing is kept: its successor is told
 * everything anew. */
int role_send(struct monitor *m, enum role_id id, const union proto_msg *msg, const int *fds,
	      unsigned n_fds)
{
	struct role *role = &m->roles[id];
	int r = chan_send(&role->chan, msg, fds, n_fds);

	/* A role that has missed a message must not live on. */
	if (r == -EPIPE || r == -ECONNRESET)
		role_down(m, id, "closed its socket");
	else if (r < 0 && r != -ENOTCONN)
		role_down(m, id, "no memory or file descriptor is left for what it is to be told");
	return r;
}

static int take_request(void *arg, const union proto_msg *msg, int *fds, unsigned n_fds)
{
	return request_run(arg, msg, fds, n_fds);
}

static int on_role_io(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct monitor *m = arg;
	enum role_id id = m->roles[R_FRONT].chan.io == s ? R_FRONT : R_LOGGER;
	int r = chan_turn(&m->roles[id].chan, role_table[id].role, ROLE_MONITOR, events,
			  take_request, m);

	(void)fd;
	if (r == -EPROTO)
		role_down(m, id, "sent a request that is not allowed");
	else if (r < 0 && r != -EMFILE)
		role_down(m, id, "closed its socket");
	return 0;
}

/* --- start, and start again --- */

static int on_restart(sd_event_source *s, uint64_t usec, void *arg);

static void announce(struct monitor *m, enum role_id id)
{
	union proto_msg msg = {0};

	box_each(m, b)
	{
		if (b->kind->tell)
			b->kind->tell(b, id);
	}
	if (id == R_FRONT) {
		proto_init(&msg, MON_READY);
		monitor_to_front(m, &msg);
	}
}

/* Makes the socket between the two roles, anew at the death of either. The logger gets its end by
 * the same socket as the pipes, and after all of them: when it hears a question of the front's
 * about a task, it has the task's pipes, or there are none. */
static int introduce(struct monitor *m, struct err *e)
{
	union proto_msg msg = {0};
	int pair[2], r;

	if (m->roles[R_FRONT].chan.sock < 0 || m->roles[R_LOGGER].chan.sock < 0)
		return 0;
	r = proto_socketpair(pair);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "socket between the roles");
	proto_init(&msg, ROLE_PEER);
	(void)role_send(m, R_LOGGER, &msg, &pair[0], 1);
	(void)role_send(m, R_FRONT, &msg, &pair[1], 1);
	util_close_fd(&pair[0]);
	util_close_fd(&pair[1]);
	return 0;
}

static int respawn(struct monitor *m, enum role_id id, struct err *e)
{
	int r = spawn_role(m, id, e);

	if (r < 0)
		return r;
	announce(m, id);
	r = introduce(m, e);
	/* A role that cannot hear the other one is of no use. Its exit brings the next try. */
	if (r < 0)
		role_down(m, id, "no socket to the other role");
	return r;
}

/* Starts a role again: at once, and after three quick deaths in a row after a pause of 10 ms, which
 * doubles up to 5 s. */
static int restart_later(struct role *role)
{
	uint64_t pause_us =
		role->failures < 3 ? 0 : 10000ULL << (role->failures < 12 ? role->failures - 3 : 9);

	return sd_event_add_time_relative(role->m->event, &role->restart, CLOCK_MONOTONIC, pause_us,
					  1, on_restart, role);
}

static int on_role_exit(sd_event_source *s, const siginfo_t *si, void *arg)
{
	struct monitor *m = arg;
	enum role_id id = m->roles[R_FRONT].child == s ? R_FRONT : R_LOGGER;
	struct role *role = &m->roles[id];
	bool quick = util_monotonic_ns() - role->started_ns < 2 * SEC;

	role->pid = 0;
	role->child = sd_event_source_disable_unref(role->child);
	if (si->si_code == CLD_EXITED)
		msg_warn("%s exited with status %d", role_table[id].name, si->si_status);
	else
		msg_warn("%s died of signal %d", role_table[id].name, si->si_status);
	role_down(m, id, "gone");
	role->failures = quick ? role->failures + 1 : 0;
	return m->stopping ? 0 : restart_later(role);
}

static int on_restart(sd_event_source *s, uint64_t usec, void *arg)
{
	struct role *role = arg;
	struct monitor *m = role->m;
	struct err e = {0};

	(void)s;
	(void)usec;
	role->restart = sd_event_source_disable_unref(role->restart);
	if (respawn(m, (enum role_id)(role - m->roles), &e) == 0)
		return 0;
	msg_err("%s", e.msg);
	role->failures++;
	/* If there is no process, no exit brings the next try. */
	return role->pid > 0 ? 0 : restart_later(role);
}

static int watch_role(struct monitor *m, enum role_id id, int sock, pid_t pid, struct err *e)
{
	struct role *role = &m->roles[id];
	int r;

	role->m = m;
	chan_init(&role->chan, sock, false);
	role->pid = pid;
	role->started_ns = util_monotonic_ns();
	r = sd_event_add_io(m->event, &role->chan.io, sock, EPOLLIN, on_role_io, m);
	if (r >= 0)
		r = sd_event_add_child(m->event, &role->child, pid, WEXITED, on_role_exit, m);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "watch the %s", role_table[id].name) : 0;
}

/* A daemon without one of its programs is not started, so it is waited for that the first processes
 * of the roles execute theirs. Later, tasks depend on the monitor, and a role is tried again. */
static int spawn_role(struct monitor *m, enum role_id id, struct err *e)
{
	_cleanup_fd_ int heard = -1, failed = -1;
	int pair[2], ends[2], r = proto_socketpair(pair);
	pid_t pid;

	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "socket to the %s", role_table[id].name);
	if (!m->roles[id].started_ns && pipe2(ends, O_CLOEXEC) == 0) {
		heard = ends[0];
		failed = ends[1];
	}
	pid = fork();
	if (pid == 0)
		role_exec(m, id, pair[1], failed);
	util_close_fd(&pair[1]);
	util_close_fd(&failed);
	if (pid < 0) {
		util_close_fd(&pair[0]);
		return err_set(e, ERR_SYSTEM, errno, "start the %s", role_table[id].name);
	}
	if (heard >= 0 && util_read_all(heard, e, sizeof(*e)) == 0) {
		util_close_fd(&pair[0]);
		(void)waitpid(pid, NULL, 0);
		return e->errnum ? -e->errnum : -EIO;
	}
	return watch_role(m, id, pair[0], pid, e);
}

int roles_start(struct monitor *m, struct err *e)
{
	/* The logger comes first, so that pipes have a reader before anybody starts a task. */
	int r = respawn(m, R_LOGGER, e);

	return r < 0 ? r : respawn(m, R_FRONT, e);
}

/* The roles end when their sockets end. What they have is on disk. */
void roles_stop(struct monitor *m)
{
	for (int i = 0; i < R_N; i++) {
		struct role *role = &m->roles[i];

		role->child = sd_event_source_disable_unref(role->child);
		/* Closing is not enough: a sandbox's init that was just cloned has a copy. */
		if (role->chan.sock >= 0)
			(void)shutdown(role->chan.sock, SHUT_RDWR);
		chan_clear(&role->chan);
	}
	for (int i = 0; i < R_N; i++)
		if (m->roles[i].pid > 0)
			(void)waitpid(m->roles[i].pid, NULL, 0);
}
