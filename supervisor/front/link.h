/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets to the monitor and to the logger (run.h), and who takes what they say. */
#ifndef SUPERVISOR_FRONT_LINK_H
#define SUPERVISOR_FRONT_LINK_H

#include "wire/chan.h"

struct front;

/* Both links, from the configuration. 0 or -errno. */
int link_init(struct front *f);
/* Sends or queues one message as chan_send does, and takes its n fds, whatever happens. */
int link_send(struct chan *link, const union proto_msg *m, int *fds, unsigned n_fds);

#endif
