/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A socket to another role of the daemon, watched by the caller's loop: what the role does not take
 * at once waits here, in order, and goes when there is room. proto.h has the messages.
 */
#ifndef WIRE_CHAN_H
#define WIRE_CHAN_H

#include <systemd/sd-event.h>

#include "wire/proto.h"

/* Enough for every task of a full node at once; a role that is further behind hangs. */
#define CHAN_WAITING_MAX 65536u

struct chan_message;

struct chan {
	int sock; /* -1: the other role is away */
	/* The caller's, of sock; EPOLLOUT is switched on and off here. NULL: nobody watches yet. */
	sd_event_source *io;
	/* What waits is kept while the role is away, and goes to its successor. Else it is dropped
	 * with the socket: the successor is told everything anew. */
	bool keeps;
	struct chan_message *head, **tail;
	unsigned n_waiting;
};

void chan_init(struct chan *c, int sock, bool keeps);
/* Closes the socket and forgets its source, which is unreferenced; what waits as keeps says. */
void chan_close(struct chan *c);
void chan_clear(struct chan *c); /* that, and all that waits */

/* Sends one message, or has it wait. The descriptors stay the caller's. 0; -ENOTCONN: the role is
 * away, and keeps is not set; -ENOBUFS: too many wait; else -errno of memory or descriptors.
 * After the last two the role has missed something, and must not live on. */
int chan_send(struct chan *c, const union proto_msg *m, const int *fds, unsigned n_fds);

/*
 * What its source's callback does: sends what waits, and takes some of what has come (the loop's
 * other sources have their turns too). take gets each message, checked by proto_check, and its
 * descriptors, of which it may keep some (TAKE_FD); the rest are closed. Its -errno ends the turn.
 * The socket may be closed within it. 0 or -errno: -ECONNRESET at the end.
 */
typedef int (*chan_take_fn)(void *arg, const union proto_msg *m, int *fds, unsigned n_fds);
int chan_turn(struct chan *c, enum proto_role from, enum proto_role to, uint32_t events,
	      chan_take_fn take, void *arg);

#endif
