/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets to the monitor and to the logger (struct run): who takes what comes over them. */
#ifndef SUPERVISOR_FRONT_RUN_LINK_H
#define SUPERVISOR_FRONT_RUN_LINK_H

#include "wire/chan.h"

struct capability;

/* Both, from the configuration. Who sends over them calls chan_send. */
extern const struct capability link_capability;

#endif
