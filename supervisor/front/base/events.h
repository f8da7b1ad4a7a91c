/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has become of tasks, projects and workers, told to those who want to know it and are not
 * known here: main has the one list of them (front_listeners), and they are called in its order.
 * A listener must not free what it is told of.
 */
#ifndef SUPERVISOR_FRONT_BASE_EVENTS_H
#define SUPERVISOR_FRONT_BASE_EVENTS_H

#include "lib/util.h"
#include "supervisor/front/base/base.h"

struct project;
struct code;
struct task;
struct warm;
struct mon_warmed;

/* What a listener has no use for is NULL. */
struct listener {
	/* What has happened to it until now is durable. */
	void (*written)(struct front *f, struct task *t);
	/* User code runs. It may be before the task itself is durable. */
	void (*started)(struct front *f, struct task *t);
	/* Its verdict and its log's totals are known, and are to be written. */
	void (*over)(struct front *f, struct task *t);
	/* They are durable, or the disk does not take them: it is as true. */
	void (*ended)(struct front *f, struct task *t);
	/* It leaves the memory: who still waits for it (task.waiters) will hear no more. */
	void (*dropped)(struct front *f, struct task *t, const struct err *why);
	/* A checkpoint was made, or could not be made. */
	void (*warmed)(struct front *f, struct warm *w, const struct mon_warmed *m);
	/* Tokens of some project are good no more. */
	void (*token_revoked)(struct front *f);
	/* Its quotas may be others. */
	void (*project_changed)(struct front *f, struct project *p);
	/* It has another revision. */
	void (*worker_put)(struct front *f, struct code *c);
	/* It is paused, or goes on. */
	void (*worker_paused)(struct front *f, struct code *c);
};

/* EVENT_TELL(f, started, t): calls started(f, t) of all that listen to it. */
#define EVENT_TELL(f, event, ...)                                                                  \
	do {                                                                                       \
		for (const struct listener *const *l_ = (f)->listeners; l_ && *l_; l_++)           \
			if ((*l_)->event)                                                          \
				(*l_)->event((f), ##__VA_ARGS__);                                  \
	} while (0)

#endif
