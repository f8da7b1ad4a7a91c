/* SPDX-License-Identifier: Apache-2.0 */
/* Between checkpoint_launch.c (a criu that waits) and checkpoint.c (what it is asked). */
#ifndef SANDBOX_CHECKPOINT_INTERNAL_H
#define SANDBOX_CHECKPOINT_INTERNAL_H

#include "sandbox/checkpoint.h"

#define DUMP_TIMEOUT_S 30

/* Where criu's end of the socket and the payload's pipes, by enum checkpoint_pipe, are in criu. */
enum criu_fd { CRIU_FD_SOCK = 3, CRIU_FD_PIPES = 4 };

#endif
