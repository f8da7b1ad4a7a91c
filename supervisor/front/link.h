/* SPDX-License-Identifier: Apache-2.0 */
/* A socket to another role: what it does not take at once waits here, in order. */
#ifndef SUPERVISOR_FRONT_LINK_H
#define SUPERVISOR_FRONT_LINK_H

#include <systemd/sd-event.h>

#include "wire/proto.h"

struct front;
struct link_message;

struct link {
	int sock; /* borrowed or owned by the role for life; -1: the other role is away */
	sd_event_source *io;
	struct link_message *head, **tail;
	unsigned n_waiting;
};

/* Both links, from the configuration. 0 or -errno. */
int link_init(struct front *f);
void link_clear(struct link *link);
/*
 * Sends or queues one message and takes its n fds, whatever happens. -ENOBUFS when the
 * other role has not read for long.
 */
int link_send(struct link *link, const union proto_msg *m, int *fds, unsigned n_fds);

#endif
