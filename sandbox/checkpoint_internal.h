/* SPDX-License-Identifier: Apache-2.0 */
/* Between checkpoint_launch.c (a criu that waits) and checkpoint.c (what it is asked). */
#ifndef SANDBOX_CHECKPOINT_INTERNAL_H
#define SANDBOX_CHECKPOINT_INTERNAL_H

#include "sandbox/checkpoint.h"

#define DUMP_TIMEOUT_S 30

/* Where criu has its end of the socket, the payload's pipes by enum checkpoint_pipe, and the
 * checkpoint's folder. */
enum criu_fd {
	CRIU_FD_SOCK = 3,
	CRIU_FD_PIPES = 4,
	CRIU_FD_IMAGES = CRIU_FD_PIPES + PIPE_N,
	CRIU_FD_N
};

/* checkpoint_launch.c: the user of the host that the dumped process is, and criu. */
uid_t checkpoint_user(const struct sandbox_spec *spec);

/* checkpoint.c: whose the payload's pipes are. */
int checkpoint_give_pipes(const struct sandbox_spec *spec, uid_t output, uid_t others,
			  struct err *e);

/* checkpoint_image.c: of a process under a filter, so that criu restores it without. */
int checkpoint_image_unfiltered(void *image, size_t n, struct err *e);
int checkpoint_clear_filter(int dir, struct err *e);
/* Of one process with one thread, which nothing that it asked for wakes: -EINVAL when it is not. */
int checkpoint_check_images(int dir, struct err *e);
int checkpoint_core_is_still(const void *image, size_t n, struct err *e);
int checkpoint_tree_is_one(const void *image, size_t n, struct err *e);

#endif
