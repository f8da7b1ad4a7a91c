/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A clone's life. A clone is made ahead of its task, and then waits for one, or it is made for a
 * task that has come. With its task it is a sandbox like any other.
 *
 *	     NEW --> ASKED ------> MADE ---------> READY
 *	      |                     | GIVEN          | GIVEN
 *	      |                     v                v
 *	      +----> ASKED_FOR     GIVEN_EARLY --> GIVEN --> BEGUN --> GONE
 *	                | MADE                       ^
 *	                +----------------------------+
 *
 * Until the first bytecode of the user's code has run, the task can be started in another way and
 * nobody can tell. So the monitor keeps the task's request until then, and does not give the
 * clone's pipes to the logger, which would take their end for the end of the task. From BEGUN on
 * the task is never started again.
 *
 * clone_step says which state and which action follow each event in each state. Nothing but
 * clone_handle in clone.c assigns the state.
 */
#ifndef SUPERVISOR_MONITOR_FORK_CLONE_H
#define SUPERVISOR_MONITOR_FORK_CLONE_H

#include "supervisor/monitor/fork/template.h"

enum clone_state {
	CLONE_NEW,	   /* the keeper has not been asked for it yet */
	CLONE_ASKED,	   /* the keeper makes it; it will wait for a task */
	CLONE_ASKED_FOR,   /* the keeper makes it for a task, which waits meanwhile */
	CLONE_UNWANTED,	   /* like ASKED_FOR, but the task has been cancelled meanwhile */
	CLONE_MADE,	   /* it waits for a task, and still prepares itself */
	CLONE_READY,	   /* it waits for a task, and has said that it is ready */
	CLONE_GIVEN_EARLY, /* it was given a task before it had said that it is ready */
	CLONE_GIVEN,	   /* it was given a task, whose first bytecode has not been seen */
	CLONE_BEGUN,	   /* user code runs, has run, or may have run */
	CLONE_GONE,	   /* it has ended */
	CLONE_STATES
};

enum clone_event {
	CLONE_EV_ASKED,	      /* the keeper was asked for a clone that waits for a task */
	CLONE_EV_ASKED_FOR,   /* the keeper was asked for a clone for a task that is there */
	CLONE_EV_ADOPTED,     /* an earlier monitor had given it a task */
	CLONE_EV_MADE,	      /* the keeper has made it, and its end is watched */
	CLONE_EV_FAILED,      /* it cannot be made, watched or limited, or its task not be sent */
	CLONE_EV_PREPARED,    /* it says that it is ready: the byte P on the started pipe */
	CLONE_EV_GIVEN,	      /* there is a task for it */
	CLONE_EV_BROKEN,      /* the task was sent, and then its limits or record failed */
	CLONE_EV_WORD,	      /* any other bytes on the started pipe, such as the task's stamp */
	CLONE_EV_SHUT,	      /* the end of the started pipe */
	CLONE_EV_OUTPUT,      /* it has written to stdout or stderr */
	CLONE_EV_HELD,	      /* its output was held back long enough, or its payload has ended */
	CLONE_EV_HELD_EMPTY,  /* the payload of a clone whose output is held back has ended with the
			       * status that says it had no task */
	CLONE_EV_LATE,	      /* what should follow within seconds has not followed */
	CLONE_EV_KILLED,      /* its task was cancelled, or is out of time */
	CLONE_EV_ENDED,	      /* its init has ended, and its payload has exited with a status */
	CLONE_EV_ENDED_EMPTY, /* the same, and the status says that it had no task */
	CLONE_EV_LOST,	      /* its init has ended, and its payload was killed or is not known */
	CLONE_EV_DROPPED,     /* nobody has a use for it any more */
	CLONE_EVENTS
};

enum clone_action {
	CLONE_DO_NOTHING,
	CLONE_DO_AWAIT,	      /* watch the time until it says that it is ready */
	CLONE_DO_CONFINE,     /* check that it has started nothing, and take most resources away */
	CLONE_DO_GIVE,	      /* send it its task, and give it the resources of a task */
	CLONE_DO_GIVE_NEW,    /* the same for a clone that was made for this task */
	CLONE_DO_HOLD,	      /* leave its output in the pipes for a moment */
	CLONE_DO_BEGIN,	      /* drop the request, and give the pipes to the logger */
	CLONE_DO_START,	      /* tell the front that the task has started, and BEGIN */
	CLONE_DO_TELL,	      /* tell the front that the task has started */
	CLONE_DO_KILL,	      /* kill its init; its end will be another event */
	CLONE_DO_DROP,	      /* free it, with all that is left of it */
	CLONE_DO_CLOSE,	      /* DROP, and let no clone of its template wait for a task again */
	CLONE_DO_AGAIN,	      /* DROP, and start its task in another way */
	CLONE_DO_AGAIN_CLOSE, /* AGAIN, and let no clone of its template wait for a task again */
	CLONE_DO_AGAIN_COUNT, /* AGAIN, and count it as lost: too many in a row end the template */
	CLONE_DO_CANCEL,      /* DROP, and tell the front that its task was cancelled */
	CLONE_DO_END,	      /* tell the front how the task has ended */
	CLONE_DO_BEGIN_END,   /* BEGIN and END */
};

struct clone_outcome {
	uint8_t state, action; /* enum clone_state, enum clone_action */
	bool impossible;       /* the event cannot happen in that state; this does no harm */
};
struct clone_outcome clone_step(enum clone_state state, enum clone_event event);

/* The request for a task, kept so that the task can be started in another way. */
struct clone_task {
	struct mon_start req;
	struct start_fds fds; /* owned; input is -1 */
};

struct clone {
	struct box box;
	enum clone_state state;
	struct template *template; /* NULL: freed, or of an earlier monitor */
	struct clone *next;	   /* in the template's list, until it is given a task */
	uint32_t tag;		   /* by which the keeper's answer names it */
	int ctl;		   /* the socket to its init, which takes the task; or -1 */
	struct limits limits;	   /* with which it was made */
	uint8_t package[32];	   /* that is mounted in it; zeros: none */
	struct clone_task *task;   /* owned; NULL when it has no task, or has begun with it */
	int payload_fd;		   /* the pidfd of its payload; or -1 */
	sd_event_source *payload_src;
	sd_event_source *held_src[2]; /* stdout and stderr, until the logger has them */
	sd_event_source *held_timer;
	uint64_t held_until_us;	   /* CLOCK_MONOTONIC */
	sd_event_source *late_src; /* the time within which it must be ready, or begin */
};

/* The clone whose box this is; NULL: the box is of another kind. */
static inline struct clone *clone_of(struct box *b)
{
	return b->kind == &box_clone ? (struct clone *)(void *)b : NULL;
}

/* It may be given a task. */
static inline bool clone_waits(const struct clone *c)
{
	return c->state == CLONE_MADE || c->state == CLONE_READY;
}

/* It waits for a task, or will: it is in its template's list, and not for a certain task. */
static inline bool clone_is_spare(const struct clone *c)
{
	return clone_waits(c) || c->state == CLONE_ASKED;
}

/* Frees a clone that has not begun. A task that it was made for is started in another way, and the
 * task's user is told why. */
void clone_drop(struct clone *c, const char *why);

/* keeper.c: a keeper that hangs does not keep its tasks from their ends */
int keeper_watch(struct clone *c);	    /* by its payload_fd */
void keeper_watch_adopted(struct clone *c); /* by its record */

#endif
