/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a replica: one of the long-lived runs that a worker or a service wants. A replica
 * outlives its runs: when a run ends that was not asked to, the next one follows, later each time.
 *
 *	          WANT_UP          READY          WANT_DOWN
 *	   DOWN ----------> STARTING ----> UP -------------> DRAINING
 *	    ^                  ^  |         |                    | TIMER
 *	    | ENDED            |  | TIMER   | UNWELL             v
 *	    +------------------+--+---------+--------------> STOPPING
 *	                       |
 *	     BACKOFF, FAILED --+   where a run goes that has ended while it was wanted
 *
 * replica_step is the only function that changes the state. It does nothing else: what is to be done
 * is what it returns, and the caller does it. The caller also has the timer: it calls with
 * REPLICA_TIMER at or after timer_ns, and not at all while that is 0.
 */
#ifndef SUPERVISOR_FRONT_RUN_REPLICA_H
#define SUPERVISOR_FRONT_RUN_REPLICA_H

#include <stdbool.h>
#include <stdint.h>

enum replica_state {
	REPLICA_DOWN = 0, /* it has no run, and none is wanted */
	REPLICA_STARTING, /* its run was asked for, and has not said that it is ready */
	REPLICA_UP,	  /* its run serves */
	REPLICA_DRAINING, /* its run gets nothing new, and finishes what it has */
	REPLICA_STOPPING, /* its run was told to end, or is killed */
	REPLICA_BACKOFF,  /* its run has ended by itself; the next one is started at timer_ns */
	REPLICA_FAILED,	  /* that was so too often: nothing is started before it is wanted anew */
	REPLICA_STATES
};

enum replica_event {
	REPLICA_WANT_UP = 0,
	REPLICA_WANT_DOWN,
	REPLICA_READY,
	REPLICA_UNWELL, /* its run is there and does not answer */
	REPLICA_ENDED,	/* its run has ended, or could not be started */
	REPLICA_TIMER,
	REPLICA_EVENTS
};

enum replica_action {
	REPLICA_DO_NOTHING = 0,
	REPLICA_DO_START,   /* ask for a run */
	REPLICA_DO_PUBLISH, /* it is one of those that get work */
	REPLICA_DO_DRAIN,   /* it gets no more; tell its run to finish */
	REPLICA_DO_STOP,    /* it gets no more; end its run: TERM, and KILL after a while */
	REPLICA_DO_KILL,    /* it gets no more; KILL its run at once */
	REPLICA_DO_FORGET,  /* it gets no more; its run has ended */
	REPLICA_DO_GIVE_UP, /* the same, and say that it has failed */
	REPLICA_ACTIONS
};

/* All times in nanoseconds of CLOCK_MONOTONIC. */
struct replica_rules {
	uint64_t start_ns;   /* a run that is not ready by then is stopped */
	uint64_t drain_ns;   /* a run that drains for so long is stopped */
	uint64_t backoff_ns; /* after the first end; twice as long after each further one */
	uint64_t backoff_max_ns;
	uint64_t settled_ns; /* a run that served for so long has made good all ends before it */
	unsigned ends_max;   /* the end after so many is the last one */
};

struct replica {
	enum replica_state state;
	bool wanted;	   /* the last wish, of WANT_UP and WANT_DOWN */
	bool told;	   /* its run was told to end: that it does is no fault of its */
	unsigned n_ends;   /* runs that have ended while they were wanted, one after the other */
	uint64_t up_ns;	   /* since when it is UP */
	uint64_t timer_ns; /* 0: none */
};

enum replica_action replica_step(const struct replica_rules *rules, struct replica *r,
				 enum replica_event event, uint64_t now_ns);
const char *replica_state_name(enum replica_state state);

#endif
