/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has the node import ahead what a worker's source imports. The first instance of a worker is started from
 * what all workers have in common, which is ready, and imports the rest itself; those after it have that
 * behind them, also those of a later command: what was prepared last is noted in the state's folder.
 */
#ifndef SUPERVISOR_CTL_DEV_PREPARE_H
#define SUPERVISOR_CTL_DEV_PREPARE_H

#include "supervisor/ctl/serve/serve.h"

struct prepare;
/* state: the folder, which stays the caller's and open; note: the name of its file there, of less than 32
 * bytes. */
int prepare_new(struct ctl *ctl, sd_event *loop, int state, const char *note, struct prepare **ret,
		struct err *e);
/* The loop does not run any more. NULL: nothing. */
void prepare_free(struct prepare *p);
/* Begins for the worker of spec, unless that was done, in place of what it was done for before. */
void prepare_for(struct prepare *p, const struct serve_worker_spec *spec);
/* Instances of spec are started with it. */
bool prepare_has(const struct prepare *p, const struct serve_worker_spec *spec);
/* The node has it no more: an instance was started without. */
void prepare_lost(struct prepare *p);

#endif
