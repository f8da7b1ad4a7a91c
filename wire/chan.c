// SPDX-License-Identifier: Apache-2.0
#include "wire/chan.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lib/fdpass.h"

#define TURN_MAX 64
/* For thousands of messages: the kernel counts its own bookkeeping for each message too. */
#define PROTO_SOCKET_BUFFER (1 << 20)

int proto_send(int sock, const union proto_msg *m, const int *fds, unsigned n_fds)
{
	const struct iovec iov = {.iov_base = (void *)m, .iov_len = m->h.size};
	ssize_t n;

	if (n_fds > PROTO_FDS_MAX || m->h.size < sizeof(m->h) || m->h.size > sizeof(*m))
		return -EINVAL;
	n = fds_sendv(sock, &iov, 1, fds, n_fds, 0);
	return n < 0 ? (int)n : 0;
}

int proto_recv(int sock, enum proto_role from, enum proto_role to, union proto_msg *m,
	       int fds[PROTO_FDS_MAX], unsigned *ret_n_fds)
{
	unsigned n_fds = PROTO_FDS_MAX;
	int flags, r;
	ssize_t n;

	for (int i = 0; i < PROTO_FDS_MAX; i++)
		fds[i] = -1;
	*ret_n_fds = 0;
	n = fds_recvv(sock, m, sizeof(*m), fds, &n_fds, 0, &flags);
	if (n < 0)
		return (int)n;
	if (flags & MSG_TRUNC)
		r = -EPROTO;
	else if (flags & MSG_CTRUNC)
		/* Too many descriptors were sent, or this process has no room for one more. */
		r = n_fds == PROTO_FDS_MAX ? -EPROTO : -EMFILE;
	else if (n == 0)
		r = -ECONNRESET;
	else
		r = proto_check(m, (size_t)n, from, to, n_fds);
	if (r < 0) {
		for (int i = 0; i < PROTO_FDS_MAX; i++)
			util_close_fd(&fds[i]);
		return r;
	}
	*ret_n_fds = n_fds;
	return 0;
}

int proto_socketpair(int fds[2])
{
	int size = PROTO_SOCKET_BUFFER;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -errno;
	for (int i = 0; i < 2; i++)
		/* SO_SNDBUFFORCE goes beyond wmem_max, but needs CAP_NET_ADMIN. */
		if (setsockopt(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
			(void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return 0;
}

struct chan_message {
	STAILQ_ENTRY(chan_message) next;
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

/* Copies a message, and its descriptors. */
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
	struct chan_message *msg = STAILQ_FIRST(&c->waiting);

	STAILQ_REMOVE_HEAD(&c->waiting, next);
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
	STAILQ_INIT(&c->waiting);
}

void chan_close(struct chan *c)
{
	c->io = sd_event_source_disable_unref(c->io);
	util_close_fd(&c->sock);
	while (!c->keeps && !STAILQ_EMPTY(&c->waiting))
		pop(c);
}

void chan_clear(struct chan *c)
{
	chan_close(c);
	while (!STAILQ_EMPTY(&c->waiting))
		pop(c);
}

int chan_send(struct chan *c, const union proto_msg *m, const int *fds, unsigned n_fds)
{
	struct chan_message *msg = NULL;
	int r = -EAGAIN;

	if (c->sock < 0 && !c->keeps)
		return -ENOTCONN;
	if (c->sock >= 0 && STAILQ_EMPTY(&c->waiting))
		r = proto_send(c->sock, m, fds, n_fds);
	if (r == 0)
		return 0;
	/* -EAGAIN: there is no room. Any other error: the role has died, which the loop is about to
	 * notice. */
	if (r != -EAGAIN && !c->keeps)
		return r;
	if (c->n_waiting == CHAN_WAITING_MAX)
		return -ENOBUFS;
	r = message_new(m, fds, n_fds, &msg);
	if (r < 0)
		return r;
	STAILQ_INSERT_TAIL(&c->waiting, msg, next);
	c->n_waiting++;
	want_output(c, true);
	return 0;
}

static int flush(struct chan *c)
{
	struct chan_message *msg;

	while ((msg = STAILQ_FIRST(&c->waiting))) {
		int r = proto_send(c->sock, &msg->m, msg->fds, msg->n_fds);

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

	/* A failure to send does not keep us from reading what the role has sent before it
	 * ended. */
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
