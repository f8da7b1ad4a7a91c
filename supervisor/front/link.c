// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/link.h"

#include <string.h>
#include <sys/epoll.h>

#include "lib/msg.h"
#include "supervisor/front/run.h"

/* Enough for every task of a full node at once; a role that is further behind hangs. */
#define LINK_WAITING_MAX 65536u
/* One turn of the loop: the other sources must have their turn too. */
#define LINK_TURN 64

struct link_message {
	struct link_message *next;
	unsigned n_fds;
	int fds[PROTO_FDS_MAX];
	union proto_msg m;
};

static void message_free(struct link_message *msg)
{
	for (unsigned i = 0; i < msg->n_fds; i++)
		util_close_fd(&msg->fds[i]);
	free(msg);
}

static void want_output(struct link *link, bool want)
{
	if (link->io)
		(void)sd_event_source_set_io_events(link->io, want ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

int link_send(struct link *link, const union proto_msg *m, int *fds, unsigned n_fds)
{
	struct link_message *msg;
	int r = -EAGAIN;

	if (link->sock >= 0 && !link->head)
		r = proto_send(link->sock, m, fds, n_fds);
	if (r >= 0) {
		for (unsigned i = 0; i < n_fds; i++)
			util_close_fd(&fds[i]);
		return 0;
	}
	/* EAGAIN: full. Anything else: the other role died, and the loop is about to
	 * hear of it; the message waits for its successor. */
	msg = link->n_waiting < LINK_WAITING_MAX ? malloc(sizeof(*msg)) : NULL;
	if (!msg) {
		for (unsigned i = 0; i < n_fds; i++)
			util_close_fd(&fds[i]);
		return -ENOBUFS;
	}
	msg->next = NULL;
	msg->n_fds = n_fds;
	memset(&msg->m, 0, sizeof(msg->m));
	memcpy(&msg->m, m, m->h.size);
	for (unsigned i = 0; i < n_fds; i++)
		msg->fds[i] = TAKE_FD(fds[i]);
	*link->tail = msg;
	link->tail = &msg->next;
	link->n_waiting++;
	want_output(link, true);
	return 0;
}

static int link_flush(struct link *link)
{
	while (link->head) {
		struct link_message *msg = link->head;
		int r = proto_send(link->sock, &msg->m, msg->fds, msg->n_fds);

		if (r < 0)
			return r == -EAGAIN ? 0 : r;
		link->head = msg->next;
		if (!link->head)
			link->tail = &link->head;
		link->n_waiting--;
		message_free(msg);
	}
	want_output(link, false);
	return 0;
}

static void link_close(struct link *link)
{
	link->io = sd_event_source_disable_unref(link->io);
	util_close_fd(&link->sock);
}

void link_clear(struct link *link)
{
	link_close(link);
	while (link->head) {
		struct link_message *msg = link->head;

		link->head = msg->next;
		message_free(msg);
	}
	link->tail = &link->head;
	link->n_waiting = 0;
}

static void take_message(struct front *f, const union proto_msg *m, int *fds);

/* What is there to be sent and to be taken. -errno when the link is at its end. */
static int link_turn(struct front *f, struct link *link, enum proto_role from, int fd,
		     uint32_t events)
{
	int fds[PROTO_FDS_MAX], r = 0;
	union proto_msg m;
	unsigned n_fds;

	if (events & EPOLLOUT)
		r = link_flush(link);
	for (int i = 0; r >= 0 && i < LINK_TURN; i++) {
		r = proto_recv(fd, from, ROLE_FRONT, &m, fds, &n_fds);
		if (r < 0)
			break;
		take_message(f, &m, fds);
		for (unsigned j = 0; j < n_fds; j++)
			util_close_fd(&fds[j]);
	}
	return r == -EAGAIN ? 0 : r;
}

static int logger_ready(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct front *f = arg;
	int r = link_turn(f, &f->run->logger, ROLE_LOGGER, fd, events);

	(void)s;
	if (r < 0) {
		if (r != -ECONNRESET)
			msg_warn("the logger's socket failed: %s", strerror(-r));
		/* The monitor starts a new one and sends its socket (ROLE_PEER). */
		link_close(&f->run->logger);
	}
	return 0;
}

static int logger_connect(struct front *f, int sock)
{
	int r;

	link_close(&f->run->logger);
	f->run->logger.sock = sock;
	r = sd_event_add_io(f->event, &f->run->logger.io, sock,
			    f->run->logger.head ? EPOLLIN | EPOLLOUT : EPOLLIN, logger_ready, f);
	if (r < 0)
		link_close(&f->run->logger);
	return r;
}

/* proto_recv has checked whose it may be. */
static void take_message(struct front *f, const union proto_msg *m, int *fds)
{
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
}

static int monitor_ready(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct front *f = arg;
	int r = link_turn(f, &f->run->monitor, ROLE_MONITOR, fd, events);

	(void)s;
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
	f->run->monitor = (struct link){.sock = f->cfg.monitor_sock};
	f->run->monitor.tail = &f->run->monitor.head;
	f->run->logger = (struct link){.sock = -1};
	f->run->logger.tail = &f->run->logger.head;
	return sd_event_add_io(f->event, &f->run->monitor.io, f->run->monitor.sock, EPOLLIN,
			       monitor_ready, f);
}
