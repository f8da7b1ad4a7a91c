/* SPDX-License-Identifier: Apache-2.0 */
/* What checkpoint_launch.c, which starts a criu that waits, and checkpoint.c, which asks it,
 * share. */
#ifndef SANDBOX_CHECKPOINT_INTERNAL_H
#define SANDBOX_CHECKPOINT_INTERNAL_H

#include "sandbox/checkpoint.h"

#define DUMP_TIMEOUT_S 30

/* The numbers of criu's descriptors: its end of the socket, the payload's pipes in the order of
 * enum checkpoint_pipe, and the checkpoint's folder. */
enum criu_fd {
	CRIU_FD_SOCK = 3,
	CRIU_FD_PIPES = 4,
	CRIU_FD_IMAGES = CRIU_FD_PIPES + PIPE_N,
	CRIU_FD_N
};

/* checkpoint.c: gives the payload's output pipes to the user output, and its other pipes to the
 * user others. */
int checkpoint_give_pipes(const struct sandbox_spec *spec, uid_t output, uid_t others,
			  struct err *e);

/* checkpoint_image.c. Changes the dump of a process that has a seccomp filter, so that criu
 * restores it without one. */
int checkpoint_image_unfiltered(void *image, size_t n, struct err *e);
int checkpoint_clear_filter(int dir, struct err *e);
/* Whether the images are of one process with one thread, which no signal will come to by itself: no
 * timer is set, no signal waits. -EINVAL: they are not. */
int checkpoint_check_images(int dir, struct err *e);
int checkpoint_core_is_still(const void *image, size_t n, struct err *e);
int checkpoint_tree_is_one(const void *image, size_t n, struct err *e);

#endif
