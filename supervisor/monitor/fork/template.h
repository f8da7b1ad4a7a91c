/* SPDX-License-Identifier: Apache-2.0 */
/* The private header of fork/: templates, the pool of waiting clones, keepers. */
#ifndef SUPERVISOR_MONITOR_FORK_TEMPLATE_H
#define SUPERVISOR_MONITOR_FORK_TEMPLATE_H

#include "supervisor/monitor/monitor.h"

struct clone; /* fork/clone.h */

/* What a clone was made with, and the task that it is given must want. */
struct clone_kind {
	struct limits limits;
	uint8_t package[32]; /* zeros: none */
	int package_fd;	     /* or -1; owned by the template in its list of recent kinds */
};

/*
 * A template: one for each project, image, policy and list of warm imports (and package, where the
 * list names a module of it) that was asked for lately. It is never trusted: what comes by its
 * keeper's socket is checked, and only its own tasks depend on it.
 */
struct template
{
	struct template *next;
	struct monitor *m;
	char id[TEMPLATE_ID_LEN + 1];
	enum template_state state;
	struct recipe of;	    /* its package_fd is owned */
	struct policy_entry *rules; /* its policy, which is kept as long as the monitor */
	struct box *keeper;	    /* its sandbox; NULL once that has ended */
	int sock;		    /* to the keeper; -1: no clone is asked for any more */
	sd_event_source *io;
	sd_event_source *silence; /* the time within which the keeper must answer */
	struct clone *clones;	  /* those that are being made, or wait for a task */
	/* which clones wait; fork/clone.c */
	sd_event_source *refill;
	struct clone_kind recent[POLICY_PARKED_MAX]; /* the kinds of the last tasks, in order */
	unsigned n_recent;
	bool none_waits; /* each clone is made for its task: one that waited did not keep quiet */
	uint32_t last_tag;
	uint32_t running;		     /* clones that have a task */
	uint64_t forks, created_ns, used_ns; /* CLOCK_REALTIME */
	uint64_t begun_ns, used_mono_ns;     /* CLOCK_MONOTONIC */
	uint64_t counted_ns; /* used_ns, when its checkpoint was last marked as used */
	/* After a failure the struct is kept, so that no template of the same recipe is made before
	 * retry_ns; the pause grows with each failure. */
	unsigned failures;
	uint64_t retry_ns;
	unsigned lost;	 /* clones in a row that were given a task and did not begin with it */
	uint64_t memory; /* bytes that it and its waiting clones held when last measured */
};

/* All templates and what waits of their clones may hold this part of the node's memory. */
#define TEMPLATE_MEMORY_PART 8
/* What a template is taken to hold until that has been measured. */
#define TEMPLATE_MEMORY_GUESS (32ULL << 20)
/* However small they are, each costs descriptors of this process. */
#define TEMPLATES_MAX 256
/* Makes room for one more template of the guessed size: retires templates of the project whose
 * templates hold most memory, and of these the one that was used longest ago. */
void template_make_room(struct monitor *m);
struct template *template_find(struct monitor *m, const struct recipe *of);
/* No clone is made of it any more. Its keeper ends when the clones that have tasks have ended. */
void template_retire(struct template *tpl);
/* Retires it because something is wrong with it, and has it not made again for a while. */
void template_failed(struct template *tpl, const char *why);

/* Its keeper has ended, and every clone with it. May free tpl. */
void template_ended(struct template *tpl, const char *why);

/* fork/keeper.c */
#define KEEPER_GROUP "template-" /* how the name of its cgroup begins */
/* Makes the sandbox that holds tpl, whose keeper it becomes. sock: the keeper's end. */
int keeper_start(struct template *tpl, int sock, struct err *e);

/* fork/clone.c */
void clone_answer(struct template *tpl); /* reads one answer of its keeper's */
/* Those of a template's clones that wait for a task. */
unsigned pool_count(const struct template *tpl); /* clones that wait for a task, or will */
/* From now on each clone is made for its task; those that wait are dropped. The log says why. */
void pool_close(struct template *tpl, const char *why);
void pool_forget(struct template *tpl); /* has no more clones made */
/* A clone that waits for a task of this kind, or NULL. It stays in the list. */
struct clone *pool_take(struct template *tpl, const struct clone_kind *kind);

#endif
