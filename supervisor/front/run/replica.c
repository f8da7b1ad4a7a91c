// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/run/replica.h"

#include <stddef.h>

#include "lib/util.h"

/* What an event makes of a state. AFTER_END stands for the state that replica_after_end chooses. */
#define AFTER_END REPLICA_STATES

struct step {
	enum replica_state next;
	enum replica_action action;
};

#define STAY(state)                                                                                \
	{                                                                                          \
		REPLICA_##state, REPLICA_DO_NOTHING                                                \
	}

/* clang-format off */
static const struct step steps[REPLICA_STATES][REPLICA_EVENTS] = {
	[REPLICA_DOWN] = {
		[REPLICA_WANT_UP]   = {REPLICA_STARTING, REPLICA_DO_START},
		[REPLICA_WANT_DOWN] = STAY(DOWN),
		[REPLICA_READY]     = STAY(DOWN),
		[REPLICA_UNWELL]    = STAY(DOWN),
		[REPLICA_ENDED]     = STAY(DOWN),
		[REPLICA_TIMER]     = STAY(DOWN),
	},
	[REPLICA_STARTING] = {
		[REPLICA_WANT_UP]   = STAY(STARTING),
		[REPLICA_WANT_DOWN] = {REPLICA_STOPPING, REPLICA_DO_STOP},
		[REPLICA_READY]     = {REPLICA_UP, REPLICA_DO_PUBLISH},
		[REPLICA_UNWELL]    = {REPLICA_STOPPING, REPLICA_DO_KILL},
		[REPLICA_ENDED]     = {AFTER_END, REPLICA_DO_FORGET},
		[REPLICA_TIMER]     = {REPLICA_STOPPING, REPLICA_DO_STOP},
	},
	[REPLICA_UP] = {
		[REPLICA_WANT_UP]   = STAY(UP),
		[REPLICA_WANT_DOWN] = {REPLICA_DRAINING, REPLICA_DO_DRAIN},
		[REPLICA_READY]     = STAY(UP),
		[REPLICA_UNWELL]    = {REPLICA_STOPPING, REPLICA_DO_KILL},
		[REPLICA_ENDED]     = {AFTER_END, REPLICA_DO_FORGET},
		[REPLICA_TIMER]     = STAY(UP),
	},
	/* Whoever is wanted again while it drains or stops comes back with another run. */
	[REPLICA_DRAINING] = {
		[REPLICA_WANT_UP]   = STAY(DRAINING),
		[REPLICA_WANT_DOWN] = STAY(DRAINING),
		[REPLICA_READY]     = STAY(DRAINING),
		[REPLICA_UNWELL]    = {REPLICA_STOPPING, REPLICA_DO_KILL},
		[REPLICA_ENDED]     = {AFTER_END, REPLICA_DO_FORGET},
		[REPLICA_TIMER]     = {REPLICA_STOPPING, REPLICA_DO_STOP},
	},
	[REPLICA_STOPPING] = {
		[REPLICA_WANT_UP]   = STAY(STOPPING),
		[REPLICA_WANT_DOWN] = STAY(STOPPING),
		[REPLICA_READY]     = STAY(STOPPING),
		[REPLICA_UNWELL]    = STAY(STOPPING),
		[REPLICA_ENDED]     = {AFTER_END, REPLICA_DO_FORGET},
		[REPLICA_TIMER]     = STAY(STOPPING),
	},
	[REPLICA_BACKOFF] = {
		[REPLICA_WANT_UP]   = STAY(BACKOFF),
		[REPLICA_WANT_DOWN] = STAY(DOWN),
		[REPLICA_READY]     = STAY(BACKOFF),
		[REPLICA_UNWELL]    = STAY(BACKOFF),
		[REPLICA_ENDED]     = STAY(BACKOFF),
		[REPLICA_TIMER]     = {REPLICA_STARTING, REPLICA_DO_START},
	},
	[REPLICA_FAILED] = {
		[REPLICA_WANT_UP]   = {REPLICA_STARTING, REPLICA_DO_START},
		[REPLICA_WANT_DOWN] = STAY(DOWN),
		[REPLICA_READY]     = STAY(FAILED),
		[REPLICA_UNWELL]    = STAY(FAILED),
		[REPLICA_ENDED]     = STAY(FAILED),
		[REPLICA_TIMER]     = STAY(FAILED),
	},
};
/* clang-format on */

const char *replica_state_name(enum replica_state state)
{
	static const char *const names[REPLICA_STATES] = {
		"down", "starting", "up", "draining", "stopping", "backoff", "failed",
	};

	return state < REPLICA_STATES ? names[state] : "unknown";
}

static uint64_t backoff(const struct replica_rules *rules, unsigned n_ends)
{
	uint64_t ns = rules->backoff_ns;

	for (unsigned i = 1; i < n_ends && ns < rules->backoff_max_ns; i++)
		ns *= 2;
	return ns < rules->backoff_max_ns ? ns : rules->backoff_max_ns;
}

/* The replica's run has ended. */
static struct step after_end(const struct replica_rules *rules, struct replica *r, uint64_t now_ns)
{
	if (!r->wanted)
		return (struct step){REPLICA_DOWN, REPLICA_DO_FORGET};
	if (r->told)
		return (struct step){REPLICA_STARTING, REPLICA_DO_START};
	if (r->up_ns && now_ns - r->up_ns >= rules->settled_ns)
		r->n_ends = 0;
	r->n_ends++;
	if (r->n_ends > rules->ends_max)
		return (struct step){REPLICA_FAILED, REPLICA_DO_GIVE_UP};
	return (struct step){REPLICA_BACKOFF, REPLICA_DO_FORGET};
}

enum replica_action replica_step(const struct replica_rules *rules, struct replica *r,
				 enum replica_event event, uint64_t now_ns)
{
	const enum replica_state was = r->state;
	struct step step;

	if (event == REPLICA_WANT_UP || event == REPLICA_WANT_DOWN)
		r->wanted = event == REPLICA_WANT_UP;
	step = steps[was][event];
	if (step.next == AFTER_END)
		step = after_end(rules, r, now_ns);
	if (step.next == was)
		return step.action;

	if (event == REPLICA_WANT_DOWN)
		r->told = true;
	r->state = step.next;
	r->timer_ns = 0;
	switch (step.next) {
	case REPLICA_STARTING:
		r->up_ns = 0;
		r->told = false;
		r->timer_ns = now_ns + rules->start_ns;
		break;
	case REPLICA_UP:
		r->up_ns = now_ns;
		break;
	case REPLICA_DRAINING:
		r->timer_ns = now_ns + rules->drain_ns;
		break;
	case REPLICA_BACKOFF:
		r->timer_ns = now_ns + backoff(rules, r->n_ends);
		break;
	case REPLICA_FAILED:
	case REPLICA_DOWN:
		/* Wanted anew, it begins anew. */
		r->n_ends = 0;
		break;
	case REPLICA_STOPPING:
	case REPLICA_STATES:
		break;
	}
	return step.action;
}
