// SPDX-License-Identifier: Apache-2.0
#include "wire/chan.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>

#define TURN_MAX 64

struct chan_message {
	struct chan_message *next;
	unsigned n_fds;
	int fds[PROTO_FDS_MAX];
	union proto_msg m;
};

static void message_free(struct chan_message *msg)
{
	for (unsigned i = 0; i < msg->n_fds; i++)
		util_close_fd(&msg->fds[i]);
	free(msg);
}

/* With descriptors of its own. */
static int message_new(const union proto_msg *m, const int *fds, unsigned n_fds,
		       struct chan_message **ret)
{
	struct chan_message *msg = calloc(1, sizeof(*msg));

	if (!msg)
		return -ENOMEM;
	memcpy(&msg->m, m, m->h.size);
	for (; msg->n_fds < n_fds; msg->n_fds++) {
		msg->fds[msg->n_fds] = fcntl(fds[msg->n_fds], F_DUPFD_CLOEXEC, 3);
		if (msg->fds[msg->n_fds] < 0) {
			int r = -errno;

			message_free(msg);
			return r;
		}
	}
	*ret = msg;
	return 0;
}

static void pop(struct chan *c)
{
	struct chan_message *msg = c->head;

	c->head = msg->next;
	if (!c->head)
		c->tail = &c->head;
	c->n_waiting--;
	message_free(msg);
}

static void want_output(struct chan *c, bool want)
{
	if (c->io)
		(void)sd_event_source_set_io_events(c->io, want ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void chan_init(struct chan *c, int sock, bool keeps)
{
	*c = (struct chan){.sock = sock, .keeps = keeps};
	c->tail = &c->head;
}

void chan_close(struct chan *c)
{
	c->io = sd_event_source_disable_unref(c->io);
	util_close_fd(&c->sock);
	while (!c->keeps && c->head)
		pop(c);
}

void chan_clear(struct chan *c)
{
	chan_close(c);
	while (c->head)
		pop(c);
}

int chan_send(struct chan *c, const union proto_msg *m, const int *fds, unsigned n_fds)
{
	struct chan_message *msg = NULL;
	int r = -EAGAIN;

	if (c->sock < 0 && !c->keeps)
		return -ENOTCONN;
	if (c->sock >= 0 && !c->head)
		r = proto_send(c->sock, m, fds, n_fds);
	if (r == 0)
		return 0;
	/* -EAGAIN: there is no room. Anything else: the role has died, and the loop is about to
	 * hear of it. */
	if (r != -EAGAIN && !c->keeps)
		return r;
	if (c->n_waiting == CHAN_WAITING_MAX)
		return -ENOBUFS;
	r = message_new(m, fds, n_fds, &msg);
	if (r < 0)
		return r;
	*c->tail = msg;
	c->tail = &msg->next;
	c->n_waiting++;
	want_output(c, true);
	return 0;
}

static int flush(struct chan *c)
{
	while (c->head) {
		int r = proto_send(c->sock, &c->head->m, c->head->fds, c->head->n_fds);

		if (r < 0)
			return r == -EAGAIN ? 0 : r;
		pop(c);
	}
	want_output(c, false);
	return 0;
}

int chan_turn(struct chan *c, enum proto_role from, enum proto_role to, uint32_t events,
	      chan_take_fn take, void *arg)
{
	const int sock = c->sock;
	union proto_msg m;
	int r = 0;

	/* What cannot be sent is no reason to leave what has come: the end is seen behind it. */
	if (events & EPOLLOUT)
		(void)flush(c);
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return 0;
	for (int i = 0; i < TURN_MAX && r == 0 && c->sock == sock; i++) {
		int fds[PROTO_FDS_MAX];
		unsigned n_fds;

		r = proto_recv(sock, from, to, &m, fds, &n_fds);
		if (r < 0)
			break;
		r = take(arg, &m, fds, n_fds);
		for (unsigned j = 0; j < n_fds; j++)
			util_close_fd(&fds[j]);
	}
	return r == -EAGAIN ? 0 : r;
}
