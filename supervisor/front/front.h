/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front role: unprivileged (uid _sandboxd, no capabilities). It reads every byte
 * that a client sends, keeps all tasks and their history, and asks the monitor for
 * what needs root. It is killed and started again at any time without losing a task
 * that it had acknowledged.
 */
#ifndef SUPERVISOR_FRONT_H
#define SUPERVISOR_FRONT_H

#include "supervisor/front/base/capability.h"

extern const struct capability *const front_capabilities[]; /* NULL at its end */

/* All of it zeros; NULL: out of memory. */
struct front *front_new(void);
/* Loads and starts capabilities, all or those that a test has use for, in their order; NULL at the
 * end of the list, which is there until front_end. Where it fails, too, front_end frees f. */
int front_begin(struct front *f, const struct front_config *cfg,
		const struct capability *const *capabilities, struct err *e);
void front_end(struct front *f);
/* What the program of the role was given: its arguments and descriptors (wire/role_program.h). */
void front_config_read(struct front_config *ret, int argc, char **argv, char **envp);
/* Runs with these capabilities until the monitor's socket closes: 0; else -errno with a message
 * written. */
int front_main(const struct front_config *cfg, const struct capability *const *capabilities);

#endif
