// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/run/link.h"

#include <string.h>
#include <sys/epoll.h>

#include "lib/msg.h"
#include "supervisor/front/run/run.h"

static int take_message(void *arg, const union proto_msg *m, int *fds, unsigned n_fds);

static int logger_ready(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct front *f = arg;
	int r = chan_turn(&f->run->logger, ROLE_LOGGER, ROLE_FRONT, events, take_message, f);

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
			    f->run->logger.head ? EPOLLIN | EPOLLOUT : EPOLLIN, logger_ready, f);
	if (r < 0)
		chan_close(&f->run->logger);
	return r;
}

/* proto_recv has checked whose it may be. */
static int take_message(void *arg, const union proto_msg *m, int *fds, unsigned n_fds)
{
	struct front *f = arg;

	(void)n_fds;
	switch (m->h.type) {
	case LOG_END:
		flow_log_end(f, &m->log_end);
		break;
	case MON_STARTED:
		flow_started(f, &m->started);
		break;
	case MON_EXITED:
		flow_exited(f, &m->exited);
		break;
	case MON_WARMED:
		warm_done(f, &m->warmed);
		break;
	case MON_TEMPLATE:
		template_row(f, &m->template);
		break;
	case MON_RUNNING:
		recover_running(f, &m->running);
		break;
	case MON_READY:
		recover_ready(f);
		break;
	case ROLE_PEER:
		metrics_logger_started(f);
		if (logger_connect(f, TAKE_FD(fds[0])) < 0)
			msg_err("cannot watch the new logger's socket");
		else
			flow_log_again(f);
		break;
	default:
		break;
	}
	return 0;
}

static int monitor_ready(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct front *f = arg;
	int r = chan_turn(&f->run->monitor, ROLE_MONITOR, ROLE_FRONT, events, take_message, f);

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

int link_init(struct front *f)
{
	chan_init(&f->run->monitor, f->cfg.monitor_sock, true);
	chan_init(&f->run->logger, -1, true);
	return sd_event_add_io(f->event, &f->run->monitor.io, f->run->monitor.sock, EPOLLIN,
			       monitor_ready, f);
}
