/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front role: unprivileged (uid _sandboxd, no capabilities). It reads every byte
 * that a client sends, keeps all tasks and their history, and asks the monitor for
 * what needs root. It is killed and started again at any time without losing a task
 * that it had acknowledged.
 */
#ifndef SUPERVISOR_FRONT_H
#define SUPERVISOR_FRONT_H

#include "supervisor/front/base/base.h"

/* All of it zeros; NULL: out of memory. free() frees it. */
struct front *front_new(void);
/* Who listens, and what projects have; each list ends with NULL. For tests that begin a front by
 * themselves. */
extern const struct listener *const front_listeners[];
extern const struct part *const front_parts[];

/* Runs until the monitor's socket closes: 0; else -errno with a message written. */
int front_main(const struct front_config *cfg);

#endif
