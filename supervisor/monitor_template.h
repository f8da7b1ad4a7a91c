/* SPDX-License-Identifier: Apache-2.0 */
/* Between monitor_template.c (which templates there are) and monitor_clone.c. */
#ifndef SUPERVISOR_MONITOR_TEMPLATE_H
#define SUPERVISOR_MONITOR_TEMPLATE_H

#include "supervisor/monitor.h"

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
	struct mtask *keeper;	    /* its sandbox; NULL once that has ended */
	int sock;		    /* to the keeper; -1 when retired */
	sd_event_source *io;
	sd_event_source *silence; /* its keeper is asked for a clone, and does not answer */
	struct mtask *clones;	  /* being made, or waiting for a task; by clone_next */
	/* What the last task was like: for others like it clones are made, a moment later. */
	sd_event_source *refill;
	struct limits like;
	uint8_t like_package[32];
	int like_package_fd; /* -1: none */
	uint32_t last_tag, running;
	uint64_t forks, created_ns, used_ns; /* CLOCK_REALTIME */
	uint64_t begun_ns, used_mono_ns;     /* CLOCK_MONOTONIC */
	uint64_t counted_ns;		     /* used_ns, when its checkpoint was told last */
	/* A failure: no other try before retry_ns, later each time. The struct stays. */
	unsigned failures;
	uint64_t retry_ns;
};

struct template *template_find(struct monitor *m, const struct recipe *of);
/* No clones come out of it any more; it ends when those that have tasks have ended. */
void template_retire(struct template *tpl);
/* Retired because something is wrong with it. */
void template_failed(struct template *tpl, const char *why);

/* monitor_clone.c */
void clone_answer(struct template *tpl); /* the keeper's socket is readable */
int clone_refill_soon(struct template *tpl);
/* Those that wait go; those that are being made for a task start it without a fork. */
void clone_drop_all(struct template *tpl, const char *why);
unsigned clone_count(const struct template *tpl);

#endif
