/* SPDX-License-Identifier: Apache-2.0 */
/* Turns the command line of `run` into the task that is sent. */
#ifndef SUPERVISOR_CTL_RUN_H
#define SUPERVISOR_CTL_RUN_H

#include <jansson.h>

#include "lib/util.h"

struct run_spec {
	const char *image, *project; /* NULL: the default project */
	bool detach;
	json_t *task;	  /* ours: task.json with the command line's options laid over it */
	int package_fd;	  /* ours: an archive of the folder or file that is sent along, or -1 */
	uint32_t options; /* which options have set a member of task; only run.c reads it */
};

/* Returns 0; or the exit status, when something is wrong, which has been printed. */
int run_spec_read(struct run_spec *ret, int argc, char **argv);
void run_spec_clear(struct run_spec *spec);

#endif
