/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A work (turn.h) that changes many rows: its slices do not wait for the disk (store_slice), and
 * whoever has asked for it is told once, when all of it is durable.
 */
#ifndef SUPERVISOR_FRONT_STORE_CHORE_H
#define SUPERVISOR_FRONT_STORE_CHORE_H

#include "supervisor/front/store/change.h"

/* Embedded in what the work needs. */
struct chore {
	struct work work;
	struct change durable;
	unsigned holder;
	/* 1: there is more to do, in another turn. 0: it is done. -errno with *e: it ends here; what
	 * was done until then stays done, as after a crash. */
	int (*slice)(struct front *f, struct chore *c, struct err *e);
	/* Called once, not from within chore_begin. error NULL: all of it is durable. Frees c. */
	void (*end)(struct front *f, struct chore *c, const struct err *error);
};

/* slice and end are set. */
void chore_begin(struct front *f, struct chore *c, unsigned holder);

#endif
