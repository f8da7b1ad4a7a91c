// SPDX-License-Identifier: Apache-2.0
/*
 * The other two roles: forked, stripped of privilege, watched, and started again
 * with new sockets when they die. Their requests are dispatched by one table.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "lib/msg.h"
#include "supervisor/monitor/roles.h"

struct out_message {
	struct out_message *next;
	union proto_msg msg;
	int fds[PROTO_FDS_MAX];
	unsigned n_fds;
};

static int spawn_role(struct monitor *m, enum role_id id, struct err *e);

static void message_free(struct out_message *o)
{
	for (unsigned i = 0; i < o->n_fds; i++)
		util_close_fd(&o->fds[i]);
	free(o);
}

/* With fds of its own. */
static int message_new(const union proto_msg *msg, const int *fds, unsigned n_fds,
		       struct out_message **ret)
{
	struct out_message *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return -ENOMEM;
	o->msg = *msg;
	for (; o->n_fds < n_fds; o->n_fds++) {
		o->fds[o->n_fds] = fcntl(fds[o->n_fds], F_DUPFD_CLOEXEC, 3);
		if (o->fds[o->n_fds] < 0) {
			r = -errno;
			message_free(o);
			return r;
		}
	}
	*ret = o;
	return 0;
}

static void pop_queue(struct role *role)
{
	struct out_message *o = role->queue;

	role->queue = o->next;
	if (!role->queue)
		role->queue_end = &role->queue;
	message_free(o);
}

static void role_down(struct monitor *m, enum role_id id, const char *why)
{
	struct role *role = &m->roles[id];

	if (role->sock < 0)
		return;
	msg_warn("%s: %s", role_table[id].name, why);
	role->io = sd_event_source_disable_unref(role->io);
	util_close_fd(&role->sock);
	while (role->queue)
		pop_queue(role);
	/* Fatal to the role, not to tasks. on_role_exit starts it again. */
	if (role->pid > 0)
		(void)kill(role->pid, SIGKILL);
}

static int set_events(struct role *role, uint32_t events)
{
	return role->io ? sd_event_source_set_io_events(role->io, events) : 0;
}

static void flush_queue(struct role *role)
{
	while (role->queue) {
		struct out_message *o = role->queue;

		if (proto_send(role->sock, &o->msg, o->fds, o->n_fds) == -EAGAIN)
			return;
		pop_queue(role);
	}
	(void)set_events(role, EPOLLIN);
}

/* Nothing is lost while the role lives: what it does not take at once waits here, and one
 * for which that cannot be kept does not live on. While it is down nothing is kept: its
 * successor is told everything anew. */
int role_send(struct monitor *m, enum role_id id, const union proto_msg *msg, const int *fds,
	      unsigned n_fds)
{
	struct role *role = &m->roles[id];
	struct out_message *o = NULL;
	int r;

	if (role->sock < 0)
		return -ENOTCONN;
	if (!role->queue) {
		r = proto_send(role->sock, msg, fds, n_fds);
		if (r != -EAGAIN)
			return r;
	}
	r = message_new(msg, fds, n_fds, &o);
	if (r < 0) {
		role_down(m, id, "no memory or file descriptor is left for what it is to be told");
		return r;
	}
	*role->queue_end = o;
	role->queue_end = &o->next;
	return set_events(role, EPOLLIN | EPOLLOUT);
}

static void on_kill_request(struct monitor *m, const struct mon_kill *req)
{
	struct mtask *t = monitor_find(m, req->id);

	/* Pending: of a task whose clone is being made; it is told of then. */
	if (!t || t->exited || (t->run.kind != RUN_TASK && !t->pending))
		return;
	if (req->reason == KILL_CANCEL_TERM)
		task_term(t);
	else
		task_kill(t, VERDICT_CANCELLED);
}

/* The table of privileged requests. Form was checked by proto_recv. */
static int dispatch(struct monitor *m, const union proto_msg *msg, int *fds, unsigned n_fds)
{
	struct mtask *t;

	switch ((enum proto_type)msg->h.type) {
	case MON_START:
		return start_task(m, &msg->start, fds[0], n_fds > 1 ? fds[1] : -1);
	case MON_WARM:
		return start_warm(m, &msg->warm, fds[0]);
	case MON_TEMPLATES:
		template_list(m, &msg->templates);
		return 0;
	case MON_KILL:
		on_kill_request(m, &msg->kill);
		return 0;
	case MON_FORGET:
		t = monitor_find(m, msg->forget.id);
		if (t && t->exited && t->run.kind == RUN_TASK)
			task_forget(t);
		return 0;
	default:
		return -EPROTO;
	}
}

static int on_role_io(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct monitor *m = arg;
	enum role_id id = m->roles[R_FRONT].io == s ? R_FRONT : R_LOGGER;
	union proto_msg msg;
	int fds[PROTO_FDS_MAX], r = 0;
	unsigned n_fds;

	if (events & EPOLLOUT)
		flush_queue(&m->roles[id]);
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return 0;
	for (int i = 0; i < 64 && r == 0 && m->roles[id].sock == fd; i++) {
		r = proto_recv(fd, role_table[id].role, ROLE_MONITOR, &msg, fds, &n_fds);
		if (r < 0)
			break;
		r = dispatch(m, &msg, fds, n_fds);
		for (unsigned k = 0; k < n_fds; k++)
			util_close_fd(&fds[k]);
	}
	if (r == -EPROTO)
		role_down(m, id, "sent a request that is not allowed");
	else if (r < 0 && r != -EAGAIN && r != -EMFILE)
		role_down(m, id, "closed its socket");
	return 0;
}

/* --- start, and start again --- */

static int on_restart(sd_event_source *s, uint64_t usec, void *arg);

static void announce(struct monitor *m, enum role_id id)
{
	union proto_msg msg = {0};

	for (int b = 0; b < TASK_BUCKETS; b++)
		for (struct mtask *t = m->tasks[b]; t; t = t->next) {
			if (t->run.kind != RUN_TASK)
				continue;
			if (id == R_LOGGER)
				task_send_pipes(t);
			else if (t->exited)
				monitor_to_front(m, &t->exit_msg);
			else
				task_send_running(t);
		}
	if (id == R_FRONT) {
		proto_init(&msg, MON_READY);
		monitor_to_front(m, &msg);
	}
}

/* The socket between the two, made anew at the death of either. The logger gets its end behind
 * all pipes, on the same socket as they: by the time it hears a question of the front's about a
 * task, it has that task's pipes, or there are none. */
static int introduce(struct monitor *m, struct err *e)
{
	union proto_msg msg = {0};
	int pair[2], r;

	if (m->roles[R_FRONT].sock < 0 || m->roles[R_LOGGER].sock < 0)
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
	/* Deaf to the other one it is of no use: its exit brings the next try. */
	if (r < 0)
		role_down(m, id, "no socket to the other role");
	return r;
}

/* At once, unless it cannot live: then 10 ms, doubling up to 5 s. */
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
	bool quick = util_monotonic_ns() - role->started_ns < 2000000000ULL;

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
	/* Not there at all: no exit of it would bring the next try. */
	return role->pid > 0 ? 0 : restart_later(role);
}

static int watch_role(struct monitor *m, enum role_id id, int sock, pid_t pid, struct err *e)
{
	struct role *role = &m->roles[id];
	int r;

	role->m = m;
	role->sock = sock;
	role->pid = pid;
	role->queue = NULL;
	role->queue_end = &role->queue;
	role->started_ns = util_monotonic_ns();
	r = sd_event_add_io(m->event, &role->io, sock, EPOLLIN, on_role_io, m);
	if (r >= 0)
		r = sd_event_add_child(m->event, &role->child, pid, WEXITED, on_role_exit, m);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "watch the %s", role_table[id].name) : 0;
}

static int spawn_role(struct monitor *m, enum role_id id, struct err *e)
{
	int pair[2], r = proto_socketpair(pair);
	pid_t pid;

	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "socket to the %s", role_table[id].name);
	pid = fork();
	if (pid == 0)
		role_exec(m, id, pair[1]);
	util_close_fd(&pair[1]);
	if (pid < 0) {
		util_close_fd(&pair[0]);
		return err_set(e, ERR_SYSTEM, errno, "start the %s", role_table[id].name);
	}
	return watch_role(m, id, pair[0], pid, e);
}

int roles_start(struct monitor *m, struct err *e)
{
	/* The logger first: pipes have a reader before anybody starts a task. */
	int r = respawn(m, R_LOGGER, e);

	return r < 0 ? r : respawn(m, R_FRONT, e);
}

/* They end by the end of their sockets; what they have is on disk. */
void roles_stop(struct monitor *m)
{
	for (int i = 0; i < R_N; i++) {
		struct role *role = &m->roles[i];

		role->child = sd_event_source_disable_unref(role->child);
		role->io = sd_event_source_disable_unref(role->io);
		/* Not close alone: a sandbox's init that was cloned just now has a copy. */
		if (role->sock >= 0)
			(void)shutdown(role->sock, SHUT_RDWR);
		util_close_fd(&role->sock);
	}
	for (int i = 0; i < R_N; i++)
		if (m->roles[i].pid > 0)
			(void)waitpid(m->roles[i].pid, NULL, 0);
}
