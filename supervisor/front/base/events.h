/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of tasks, projects and workers. EVENT_TELL (capability.h) calls the listeners of all
 * capabilities in the order of their list. A listener must not free what it is told of.
 */
#ifndef SUPERVISOR_FRONT_BASE_EVENTS_H
#define SUPERVISOR_FRONT_BASE_EVENTS_H

#include "lib/util.h"
#include "supervisor/front/base/base.h"

struct project;
struct worker;
struct task;
struct warm;
struct mon_warmed;

/* What a listener has no use for is NULL. */
struct listener {
	/* All that has happened to the task until now is durable. */
	void (*written)(struct front *f, struct task *t);
	/* The task's code runs. The task itself may not be durable yet. */
	void (*started)(struct front *f, struct task *t);
	/* The task's verdict and its log's totals are known, and are about to be written. */
	void (*over)(struct front *f, struct task *t);
	/* The task's end is durable; or the disk did not take it, and the task has ended all the
	 * same. */
	void (*ended)(struct front *f, struct task *t);
	/* A task that was in the store alone, not in memory, was cancelled there. */
	void (*cancelled)(struct front *f, const char *id);
	/* The task leaves the memory: clients that still wait for it (task.waiters) will hear
	 * nothing more. */
	void (*dropped)(struct front *f, struct task *t, const struct err *why);
	/* A checkpoint was made, or could not be made. */
	void (*warmed)(struct front *f, struct warm *w, const struct mon_warmed *m);
	/* Tokens of some project were revoked. */
	void (*token_revoked)(struct front *f);
	/* The project's quotas may have been changed. */
	void (*project_changed)(struct front *f, struct project *p);
	/* The worker has a new revision. */
	void (*worker_put)(struct front *f, struct worker *c);
	/* The worker was paused, or goes on. */
	void (*worker_paused)(struct front *f, struct worker *c);
	/* CLOCK_REALTIME was set, to this time. */
	void (*clock_set)(struct front *f, uint64_t now_ns);
};

#endif
