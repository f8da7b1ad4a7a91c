// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/run/task.h"

#include <string.h>
#include <sys/wait.h>

static const char *const state_names[TASK_STATE_MAX] = {
	[TASK_QUEUED] = "queued",   [TASK_PREPARING] = "preparing",
	[TASK_RUNNING] = "running", [TASK_COMPLETE] = "complete",
	[TASK_ERROR] = "error",	    [TASK_CANCELLED] = "cancelled",
	[TASK_KILLED] = "killed",   [TASK_TIMEOUT] = "timeout",
};

static const char *const event_names[TASK_EVENT_MAX] = {
	[TASK_EV_DISPATCH] = "dispatch", [TASK_EV_REQUEUE] = "requeue",
	[TASK_EV_STARTED] = "started",	 [TASK_EV_COMPLETE] = "complete",
	[TASK_EV_ERROR] = "error",	 [TASK_EV_CANCELLED] = "cancelled",
	[TASK_EV_KILLED] = "killed",	 [TASK_EV_TIMEOUT] = "timeout",
};

bool task_state_final(enum task_state state)
{
	return state >= TASK_COMPLETE;
}

const char *task_state_name(enum task_state state)
{
	return state < TASK_STATE_MAX ? state_names[state] : "unknown";
}

int task_state_parse(const char *name)
{
	for (int i = 0; i < TASK_STATE_MAX; i++)
		if (strcmp(name, state_names[i]) == 0)
			return i;
	return -EINVAL;
}

const char *task_event_name(enum task_event event)
{
	return event < TASK_EVENT_MAX ? event_names[event] : "unknown";
}

/* The state that an event leads to, whatever the one before. */
static const enum task_state event_leads_to[TASK_EVENT_MAX] = {
	[TASK_EV_DISPATCH] = TASK_PREPARING, [TASK_EV_REQUEUE] = TASK_QUEUED,
	[TASK_EV_STARTED] = TASK_RUNNING,    [TASK_EV_COMPLETE] = TASK_COMPLETE,
	[TASK_EV_ERROR] = TASK_ERROR,	     [TASK_EV_CANCELLED] = TASK_CANCELLED,
	[TASK_EV_KILLED] = TASK_KILLED,	     [TASK_EV_TIMEOUT] = TASK_TIMEOUT,
};

int task_step(struct task_record *rec, enum task_event event)
{
	bool ok = false;

	if (event >= TASK_EVENT_MAX)
		return -EPROTO;
	switch ((enum task_state)rec->state) {
	case TASK_QUEUED:
		/* It has not been near a sandbox: it cannot complete, time out or die. */
		ok = event == TASK_EV_DISPATCH || event == TASK_EV_CANCELLED ||
		     event == TASK_EV_ERROR;
		break;
	case TASK_PREPARING:
		/* The word that it started may be lost with a role: any end may follow. */
		ok = event != TASK_EV_DISPATCH;
		break;
	case TASK_RUNNING:
		/* Never run twice once user code has begun. */
		ok = event >= TASK_EV_COMPLETE;
		break;
	default:
		break;
	}
	if (!ok)
		return -EPROTO;
	rec->state = event_leads_to[event];
	return 0;
}

enum task_event task_verdict_event(enum verdict verdict)
{
	switch (verdict) {
	case VERDICT_OK:
		return TASK_EV_COMPLETE;
	case VERDICT_SIGNAL:
		return TASK_EV_KILLED;
	case VERDICT_TIMEOUT:
		return TASK_EV_TIMEOUT;
	case VERDICT_CANCELLED:
		return TASK_EV_CANCELLED;
	default:
		return TASK_EV_ERROR;
	}
}

int task_exit_signal(int wait_status)
{
	return wait_status >= 0 && WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
}

int task_exit_code(enum verdict verdict, int wait_status)
{
	switch (verdict) {
	case VERDICT_OK:
		return 0;
	case VERDICT_TIMEOUT:
		return 124;
	case VERDICT_OOM:
		return 137;
	case VERDICT_FAILED:
	case VERDICT_LOST:
	case VERDICT_NONE:
		return 125;
	default:
		break;
	}
	if (wait_status >= 0 && WIFEXITED(wait_status))
		return WEXITSTATUS(wait_status);
	if (task_exit_signal(wait_status))
		return 128 + task_exit_signal(wait_status);
	/* Cancelled before there was a process: as if SIGTERM had met it. */
	return verdict == VERDICT_CANCELLED ? 143 : 125;
}
