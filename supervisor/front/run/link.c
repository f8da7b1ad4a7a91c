// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/run/link.h"

#include <string.h>
#include <sys/epoll.h>

#include "lib/msg.h"
#include "supervisor/front/run/run.h"

static int link_take(void *arg, const union proto_msg *m, int *fds, unsigned n_fds);

static int logger_ready(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct front *f = arg;
	int r = chan_turn(&f->run->logger, ROLE_LOGGER, ROLE_FRONT, events, link_take, f);

	(void)s;
	(void)fd;
	if (r < 0) {
		if (r != -ECONNRESET)
			msg_warn("the logger's socket failed: %s", strerror(-r));
		/* The monitor starts a new one and sends its socket (ROLE_PEER). */
		chan_close(&f->run->logger);
	}
	return 0;
}

static int logger_connect(struct front *f, int sock)
{
	int r;

	chan_close(&f->run->logger);
	f->run->logger.sock = sock;
	r = sd_event_add_io(f->event, &f->run->logger.io, sock,
			    f->run->logger.n_waiting ? EPOLLIN | EPOLLOUT : EPOLLIN, logger_ready,
			    f);
	if (r < 0)
		chan_close(&f->run->logger);
	return r;
}

static void take_log_end(struct front *f, const union proto_msg *m, int fd)
{
	(void)fd;
	flow_log_end(f, &m->log_end);
}

static void take_started(struct front *f, const union proto_msg *m, int fd)
{
	(void)fd;
	flow_started(f, &m->started);
}

static void take_exited(struct front *f, const union proto_msg *m, int fd)
{
	(void)fd;
	flow_exited(f, &m->exited);
}

static void take_warmed(struct front *f, const union proto_msg *m, int fd)
{
	(void)fd;
	warm_done(f, &m->warmed);
}

static void take_template(struct front *f, const union proto_msg *m, int fd)
{
	(void)fd;
	template_row(f, &m->template);
}

static void take_running(struct front *f, const union proto_msg *m, int fd)
{
	(void)fd;
	recover_running(f, &m->running);
}

static void take_ready(struct front *f, const union proto_msg *m, int fd)
{
	(void)m;
	(void)fd;
	recover_ready(f);
}

/* A new logger; fd is this role's end of the socket to it. */
static void take_peer(struct front *f, const union proto_msg *m, int fd)
{
	(void)m;
	metrics_logger_started(f);
	if (logger_connect(f, fd) < 0)
		msg_err("cannot watch the new logger's socket");
	else
		flow_log_again(f);
}

/* All that the monitor and the logger say. Who of them may say which, with what size and how many
 * descriptors, was checked before (proto_check, wire/proto.c). */
static const struct {
	enum proto_type type;
	/* fd: the message's descriptor, to be kept or closed; -1 for all but ROLE_PEER. */
	void (*take)(struct front *f, const union proto_msg *m, int fd);
} receivers[] = {
	{LOG_END, take_log_end},   {MON_STARTED, take_started},	  {MON_EXITED, take_exited},
	{MON_WARMED, take_warmed}, {MON_TEMPLATE, take_template}, {MON_RUNNING, take_running},
	{MON_READY, take_ready},   {ROLE_PEER, take_peer},
};

static int link_take(void *arg, const union proto_msg *m, int *fds, unsigned n_fds)
{
	for (size_t i = 0; i < ARRAY_SIZE(receivers); i++) {
		if (receivers[i].type != (enum proto_type)m->h.type)
			continue;
		receivers[i].take(arg, m, n_fds > 0 ? TAKE_FD(fds[0]) : -1);
		return 0;
	}
	return -EPROTO;
}

static int monitor_ready(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct front *f = arg;
	int r = chan_turn(&f->run->monitor, ROLE_MONITOR, ROLE_FRONT, events, link_take, f);

	(void)s;
	(void)fd;
	if (r >= 0)
		return 0;
	/* Without its monitor this role is nothing: the next monitor starts a new one,
	 * which learns from it and from the store where each task is. */
	if (r == -EPROTO || r == -EMFILE) {
		msg_err("the monitor's socket failed: %s", strerror(-r));
		return sd_event_exit(f->event, r);
	}
	return sd_event_exit(f->event, 0);
}

/* What is sent before link_start waits. */
static int link_load(struct front *f, struct err *e)
{
	(void)e;
	chan_init(&f->run->monitor, f->cfg.monitor_sock, true);
	chan_init(&f->run->logger, -1, true);
	return 0;
}

static int link_start(struct front *f, struct err *e)
{
	int r = sd_event_add_io(f->event, &f->run->monitor.io, f->run->monitor.sock, EPOLLIN,
				monitor_ready, f);

	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "cannot watch the monitor's socket") : 0;
}

static void link_clear(struct front *f)
{
	chan_clear(&f->run->monitor);
	chan_clear(&f->run->logger);
}

const struct capability link_capability = {
	.name = "roles", .load = link_load, .start = link_start, .clear = link_clear};
