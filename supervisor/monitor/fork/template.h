/* SPDX-License-Identifier: Apache-2.0 */
/* Between fork/template.c (which templates there are) and fork/clone.c. */
#ifndef SUPERVISOR_MONITOR_FORK_TEMPLATE_H
#define SUPERVISOR_MONITOR_FORK_TEMPLATE_H

#include "supervisor/monitor/monitor.h"

/* What a task and a clone must have in common. */
struct clone_kind {
	struct limits limits;
	uint8_t package[32]; /* zeros: none */
	int package_fd;	     /* -1: none; the template's own where it is one of recent */
};

/*
 * One for each image, policy and warm list (and package, where a module of that is warmed)
 * that was asked for lately. Never trusted: what comes from its keeper's socket is checked,
 * and only its own tasks depend on it.
 */
struct template
{
	struct template *next;
	struct monitor *m;
	char id[TEMPLATE_ID_LEN + 1];
	enum template_state state;
	struct recipe of;	    /* its package_fd is owned */
	struct policy_entry *rules; /* policies are never given up */
	struct box *keeper;	    /* its sandbox; NULL once that has ended */
	int sock;		    /* to the keeper; -1 when retired */
	sd_event_source *io;
	sd_event_source *silence; /* its keeper is asked for a clone, and does not answer */
	struct box *clones;	  /* being made, or waiting for a task; by clone_next */
	sd_event_source *refill;  /* fork/pool.c, as what follows */
	struct clone_kind recent[POLICY_PARKED_MAX]; /* of the last tasks, the last one last */
	unsigned n_recent;
	bool none_waits; /* its clones do not keep quiet without a task */
	uint32_t last_tag, running;
	uint64_t forks, created_ns, used_ns; /* CLOCK_REALTIME */
	uint64_t begun_ns, used_mono_ns;     /* CLOCK_MONOTONIC */
	uint64_t counted_ns;		     /* used_ns, when its checkpoint was told last */
	/* A failure: no other try before retry_ns, later each time. The struct stays. */
	unsigned failures;
	uint64_t retry_ns;
	unsigned lost; /* clones in a row that had a task and did not begin with it */
	uint64_t
		memory; /* bytes that it and its waiting clones hold, when that was looked at last */
};

/* All templates and what waits of their clones may hold this part of the node's memory. */
#define TEMPLATE_MEMORY_PART 8
/* What one is taken to hold until that has been measured. */
#define TEMPLATE_MEMORY_GUESS (32ULL << 20)
/* However small they are: each costs descriptors of this process. */
#define TEMPLATES_MAX 256
/* Retires as many as one more, of the size that is guessed, makes too many: of the project that has
 * most memory in them, and of its own the one that was used longest ago. */
void template_make_room(struct monitor *m);
struct template *template_find(struct monitor *m, const struct recipe *of);
/* No clones come out of it any more; it ends when those that have tasks have ended. */
void template_retire(struct template *tpl);
/* Retired because something is wrong with it. */
void template_failed(struct template *tpl, const char *why);

/* fork/clone.c */
void clone_answer(struct template *tpl); /* the keeper's socket is readable */
/* Those that wait go; those that are being made for a task start it without a fork. */
void clone_drop_all(struct template *tpl, const char *why);
unsigned clone_count(const struct template *tpl); /* those that wait, or will */

/* fork/pool.c */
void pool_fill(struct template *tpl); /* it is ready */
/* From now on each clone is made for its task. */
void pool_close(struct template *tpl, const char *why);
void pool_forget(struct template *tpl);
/* A task of this kind has come. */
void pool_note(struct template *tpl, const struct clone_kind *kind);
int pool_refill_soon(struct template *tpl);
/* One that waits for such a task, or NULL. It is in the list still. */
struct box *pool_take(struct template *tpl, const struct clone_kind *kind);

#endif
