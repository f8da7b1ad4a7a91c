/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A socket to another role of the daemon, watched by the caller's event loop. What the other role
 * does not take at once waits here, in order, and is sent when there is room. proto.h has the
 * messages.
 *
 * A struct chan owns its socket, its messages that wait and copies of their descriptors;
 * chan_clear() releases all of them. It calls back only from within chan_turn().
 */
#ifndef WIRE_CHAN_H
#define WIRE_CHAN_H

#include <sys/queue.h>
#include <systemd/sd-event.h>

#include "wire/proto.h"

/* Enough for every task of a full node at once; a role that is further behind does not work any
 * more. */
#define CHAN_WAITING_MAX 65536u

struct chan_message;

struct chan {
	int sock; /* -1: the other role does not run */
	/* The source that the caller has made for sock; its EPOLLOUT is switched on and off here.
	 * NULL: there is none yet. */
	sd_event_source *io;
	/* true: messages that wait are kept while the other role is away, and go to its
	 * successor. false: they are dropped with the socket, because the successor is told
	 * everything again. */
	bool keeps;
	STAILQ_HEAD(, chan_message) waiting;
	unsigned n_waiting;
};

void chan_init(struct chan *c, int sock, bool keeps);
/* Closes the socket and releases its source. Messages that wait are kept or dropped, as keeps
 * says. */
void chan_close(struct chan *c);
void chan_clear(struct chan *c); /* the same, and drops all messages that wait */

/* Sends a message, or keeps it until there is room. The descriptors stay the caller's. -ENOTCONN:
 * the role is away and keeps is not set; -ENOBUFS: too many messages wait; else 0 or -errno, of
 * memory or descriptors. After the last two kinds of error the role has missed a message, and must
 * be ended. */
int chan_send(struct chan *c, const union proto_msg *m, const int *fds, unsigned n_fds);

/*
 * What the callback of the source does: sends what waits, and receives some of what has come, so
 * that other sources of the loop get their turn. take is called with each message, which
 * proto_check has checked, and its descriptors; it may keep some of them (TAKE_FD), and the others
 * are closed. An -errno that it returns ends the turn. It may close the channel. 0 or -errno;
 * -ECONNRESET: the other end has closed.
 */
typedef int (*chan_take_fn)(void *arg, const union proto_msg *m, int *fds, unsigned n_fds);
int chan_turn(struct chan *c, enum proto_role from, enum proto_role to, uint32_t events,
	      chan_take_fn take, void *arg);

/*
 * One message through the socket itself. proto_send sends one (its size is in its header) with n
 * descriptors, which stay the caller's: 0 or -errno. -EAGAIN: the other end does not read, and
 * nothing was sent.
 *
 * proto_recv receives a message, and descriptors into fds, which the caller owns; they are
 * O_CLOEXEC, and unused places are -1. 0; -EAGAIN: nothing has come; -ECONNRESET: the other end has
 * closed; -EPROTO: proto_table does not have such a message for (from, to); -EMFILE: this process
 * has no room for the message's descriptors, and the message is lost. After an error no descriptor
 * is open.
 */
int proto_send(int sock, const union proto_msg *m, const int *fds, unsigned n_fds);
int proto_recv(int sock, enum proto_role from, enum proto_role to, union proto_msg *m,
	       int fds[PROTO_FDS_MAX], unsigned *ret_n_fds);
int proto_socketpair(int fds[2]); /* SEQPACKET, CLOEXEC, NONBLOCK, large buffers */

#endif
