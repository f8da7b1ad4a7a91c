/* SPDX-License-Identifier: Apache-2.0 */
/* From the command line of `run` to the task that is sent. */
#ifndef SUPERVISOR_CTL_RUN_SPEC_H
#define SUPERVISOR_CTL_RUN_SPEC_H

#include <jansson.h>

#include "lib/util.h"

struct run_spec {
	const char *image, *project; /* project: NULL: the default one */
	bool detach;
	json_t *task;	  /* owned; task.json with the command line's words laid over it */
	int package_fd;	  /* owned; the folder or file sent along, or -1 */
	uint32_t options; /* that have set a member of it; private to run_spec.c */
};

/* 0, or the exit status after the reason was said. */
int run_spec_read(struct run_spec *ret, int argc, char **argv);
/* An error about a member that an option has set names the option instead of task.json. */
void run_spec_blame(const struct run_spec *spec, struct err *e);
void run_spec_clear(struct run_spec *spec);

#endif
