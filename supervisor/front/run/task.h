/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task's life. Its state changes in task_step() and nowhere else.
 *
 *	queued ──dispatch──▶ preparing ──started──▶ running ──▶ one of the final states
 *	   ▲                     │
 *	   └──────requeue────────┘   (its start request was lost with the monitor)
 *
 * The final states, by verdict: complete (ok), error (exit, oom, pids, disk, failed,
 * lost), killed (a signal that sandboxd did not send), timeout, cancelled.
 */
#ifndef SUPERVISOR_FRONT_RUN_TASK_H
#define SUPERVISOR_FRONT_RUN_TASK_H

#include "supervisor/front/store/task.h"

enum task_event {
	TASK_EV_DISPATCH = 0,
	TASK_EV_REQUEUE,
	TASK_EV_STARTED,
	TASK_EV_COMPLETE,
	TASK_EV_ERROR,
	TASK_EV_CANCELLED,
	TASK_EV_KILLED,
	TASK_EV_TIMEOUT,
	TASK_EVENT_MAX
};

/* 0, or -EPROTO and no change when the event is not possible in this state. */
int task_step(struct task_record *rec, enum task_event event);
bool task_state_final(enum task_state state);
const char *task_state_name(enum task_state state);
int task_state_parse(const char *name); /* enum value or -EINVAL */
const char *task_event_name(enum task_event event);

/* What a verdict means: the event that ends the task, and what `run` exits with. */
enum task_event task_verdict_event(enum verdict verdict);
int task_exit_code(enum verdict verdict, int wait_status);
/* The signal that the payload died of, 0 when none. */
int task_exit_signal(int wait_status);

#endif
