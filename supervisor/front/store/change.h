/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is to be written, and who is told when it is durable: at a turn's end (turn.h) all changes
 * that were marked are written in one transaction, with one wait for the disk, and then each is told.
 *
 * A change is a member of what it writes, and there are two kinds of it. One of something that is
 * stored already, or must be, is known to somebody: all of those are written together or none is,
 * in the order in which they were marked, and if the disk does not take them they are tried again
 * until it does. So a task's end is never durable without the attempt that follows it. A change of
 * something new is one that nobody was told of. It is written with all the others, but it stops none
 * of them: what the store refuses is tried once by itself, and is given up then.
 *
 * What a client asks for of projects, tokens, workers and schedules is new, also where it changes
 * what is there: memory stays as it is until the change is durable (adopt), and a client whose
 * change is given up is told why. So memory is never ahead of the store, and there is nothing to undo.
 */
#ifndef SUPERVISOR_FRONT_STORE_CHANGE_H
#define SUPERVISOR_FRONT_STORE_CHANGE_H

#include "lib/util.h"
#include "supervisor/front/base/turn.h"

struct change {
	struct change *next, *next_told; /* in the list of those that are marked, or written */
	struct change *with;		 /* change_add_with */
	/* Within the transaction, once for each try of it. -errno with *e: all that it has written
	 * is undone. NULL: it has nothing to write, and waits for the others. */
	int (*write)(struct front *f, struct change *c, struct err *e);
	/* Called before anybody is told of any change of the transaction. Durable: memory becomes what
	 * the store is now, so that whoever is told finds it so. Else what was put aside in memory for
	 * this change is given back. It tells nobody and marks nothing. NULL: there is nothing to do. */
	void (*adopt)(struct front *f, struct change *c, bool durable);
	/* After that. error NULL: it is durable. Else it is not: a new one never will be; a known
	 * one is tried again, and told again, unless it has nothing to write. It may be marked anew,
	 * and freed unless it is tried again. */
	void (*done)(struct front *f, struct change *c, const struct err *error);
	uint32_t bytes; /* of a new one: as much as it makes the transaction longer */
	uint16_t holder;
	bool marked;
	bool stored; /* it is in the store: set when that is durable, before any change is told */
	bool must;   /* it is new, and belongs to a change that is known */
};

/* What is marked is written from what is in memory at the turn's end, however often it was marked.
 * holder: whose it is (turn_holder); new ones of all holders take turns. */
void change_mark(struct front *f, struct change *c, unsigned holder, size_t bytes);
/*
 * The other one has no list of its own: it is written right after c, in the same transaction, and
 * told just before c, which is marked or about to be; it may bring others along. What has something to write may go only with
 * what is new, and shares its fate.
 */
void change_add_with(struct change *c, struct change *other);
/* More new ones of the holder wait to be written than should. */
bool change_is_behind(const struct front *f, unsigned holder);
/* The disk has refused what is known, and is tried again a little later. */
bool change_is_stuck(const struct front *f);
/* The turn's step. */
void change_commit(struct front *f);
/* The front ends: those that are marked are told that they are not durable, and are not tried again. */
void change_stop(struct front *f);

/* front.c makes it, with zeros; change.c's own. */
struct change_list {
	struct change *first, *last;
};
struct change_lane {
	struct change_lane *next; /* in the ring, while the holder has new ones */
	struct change_list list;
	unsigned n;
};
struct changes {
	struct change_list known;
	struct change_lane lanes[TURN_HOLDERS + 1], *first, *last;
	unsigned n_new, n_put_off;
	struct timer retry; /* set while it is stuck */
};

#endif
